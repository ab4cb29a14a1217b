/*
 * Consumers: the clocks of what they have, and why they get nothing new, or
 * little.
 */

#include "../../../src/engine/queue/kmq_queue.h"

#include "hold.h"
#include "message.h"
#include "peek.h"


static topic_t *
topic_of(const client_t *c)
{
    return &M.topic[c->topic];
}


/* ----------------------------------------------------------------- clocks */

/* The oldest one's clock runs from when it became that. */
void
clock_first(client_t *c, uint64_t mono)
{
    delivery_t  *d = c->flight;

    if (c->n == 0 || d->runs) {
        return;
    }

    d->runs = 1;
    d->time = d->again ? d->time : mono;
    d->slack = M.mono - mono;
}


/* And those of others from when one behind them was confirmed. */
void
clock_passed(client_t *c, const delivery_t *d, uint64_t mono)
{
    delivery_t  *passed;

    for (passed = c->flight; passed < d; passed++) {
        if (!passed->runs) {
            passed->runs = 1;
            passed->time = passed->again ? passed->time : mono;
            passed->slack = M.mono - mono;
        }
    }
}


/* Is it overdue? */
int
clock_over(const client_t *c, const delivery_t *d, uint64_t mono)
{
    uint64_t  retry;

    retry = topic_of(c)->now.retry_time;

    return d->runs && !d->again && retry && d->time + retry <= mono;
}


/* ------------------------------------------------------------------ holds */

/* So many messages it may have. */
unsigned
limit_of(const client_t *c)
{
    if (c->resting && !(c->spoken && c->rest_until <= M.mono)) {
        return 1;
    }

    return c->proving ? 1 : c->prefetch;
}


/* May it be pushed something new, as far as is known? */
int
is_free(const client_t *c)
{
    return !(c->alone && c->alone_until > M.mono)
           && !(c->paused && c->paused_until > M.mono) && !c->giving;
}


void
hold_alone(client_t *c, uint64_t mono)
{
    c->alone = 1;
    c->alone_until = mono + topic_of(c)->now.retry_delay_max;
}


/* It gave back what it had not begun. */
void
hold_pause(client_t *c, uint64_t mono)
{
    if (topic_of(c)->now.retry_delay) {
        c->paused = 1;
        c->paused_until = mono + topic_of(c)->now.retry_delay;
    }
}


/* It let one become overdue. */
void
hold_rest(client_t *c, uint64_t mono)
{
    c->late = 1;
    c->resting = 1;
    c->spoken = 0;
    c->proving = 0;
    c->rest_until = c->by_code ? mono + topic_of(c)->now.retry_delay_max
                               : NEVER;
}


/* A pong, whatever it confirms. */
void
hold_spoken(client_t *c)
{
    if (!c->by_code) {
        c->late = 0;
        c->resting = 0;
    }
}


/* It has confirmed something. */
void
hold_confirmed(client_t *c)
{
    c->late = 0;
    c->proving = 0;

    if (!c->by_code) {
        c->resting = 0;

    } else if (c->resting) {
        c->spoken = 1;
    }

    hold_emptied(c);
}


void
hold_emptied(client_t *c)
{
    if (c->n == 0) {
        c->alone = 0;
        c->giving = 0;
    }
}


/* ---------------------------------------------------------------- observe */

/* What has ended by time. */
void
observe_held(client_t *c)
{
    unsigned  held;

    held = peek_held(c);

    if (c->alone && !(held & KMQ_HELD_ALONE)) {
        CHECK(c->alone_until <= M.mono, "alone no more, too early");
        c->alone = 0;
    }

    if (c->paused && !(held & KMQ_HELD_PAUSED)) {
        CHECK(c->paused_until <= M.mono, "a pause is too short");
        c->paused = 0;
    }

    if (c->resting && !(held & KMQ_HELD_RESTING)) {
        CHECK(c->by_code && c->rest_until <= M.mono, "a rest is too short");
        c->resting = 0;
        c->proving = !c->spoken;
        c->spoken = 0;
    }
}


/* The same is held as in the model. */
void
check_held(const client_t *c)
{
    unsigned  held, want;

    held = peek_held(c) & ~(KMQ_HELD_EMPTYING | KMQ_HELD_ADMITTED);

    want = c->alone ? KMQ_HELD_ALONE : 0;
    want |= c->paused ? KMQ_HELD_PAUSED : 0;
    want |= c->resting ? KMQ_HELD_RESTING : 0;
    want |= c->giving ? KMQ_HELD_GIVING : 0;
    want |= c->proving ? KMQ_HELD_PROVING : 0;
    want |= c->late ? KMQ_HELD_LATE : 0;
    want |= c->resting && c->spoken ? KMQ_HELD_SPOKEN : 0;

    CHECK(held == want, "consumer %u is held by %x, want %x",
          (unsigned) (c - M.client), held, want);
}


unsigned
resting_of(const topic_t *t)
{
    unsigned   n;
    client_t  *c;

    n = 0;

    for (c = M.client; c < M.client + CLIENTS; c++) {
        n += c->ref && c->role == KMQ_CONSUMER && topic_of(c) == t
             && c->resting;
    }

    return n;
}


/* How many of a topic's consumers have a suspect alone, for sure? */
unsigned
alone_of(const topic_t *t)
{
    unsigned   n;
    client_t  *c;

    n = 0;

    for (c = M.client; c < M.client + CLIENTS; c++) {
        n += is_active(c) && topic_of(c) == t && c->alone
             && c->alone_until > M.mono;
    }

    return n;
}


/* --------------------------------------------- when all work has been done */

/* Could the consumer be pushed something now? */
int
is_ready(const client_t *c)
{
    unsigned  held;

    held = peek_held(c);

    return is_active(c) && c->ready && c->n < limit_of(c) && is_free(c)
           && !c->alone && !c->paused && !(held & KMQ_HELD_EMPTYING)
           && (!c->resting || held & KMQ_HELD_ADMITTED);
}


/* What is known of a topic's consumers. */
typedef struct {
    unsigned  ready, resting_ready, emptying, alone;
} consumers_t;

static void
consumers_count(const topic_t *t, consumers_t *n)
{
    client_t  *c;

    memset(n, 0, sizeof(*n));

    for (c = M.client; c < M.client + CLIENTS; c++) {
        if (!is_active(c) || topic_of(c) != t) {
            continue;
        }

        n->ready += is_ready(c) && !c->resting;
        n->resting_ready += is_ready(c) && c->resting;
        n->emptying += (peek_held(c) & KMQ_HELD_EMPTYING) != 0;
        n->alone += c->alone;
    }
}


/* Does a suspect wait for a consumer? */
static int
has_aside(const topic_t *t)
{
    uint32_t  id;

    for (id = M.retrying.head; id != NONE; id = NEXT(&M.retrying, id)) {
        if (M.message[id].state == ASIDE
            && &M.topic[M.message[id].topic] == t)
        {
            return 1;
        }
    }

    return 0;
}


static void
check_consumer(const client_t *c, const consumers_t *n)
{
    unsigned  held;

    held = peek_held(c);

    /* it is looked at again when its connection takes bytes */

    if (!c->ready) {
        return;
    }

    CHECK(!c->alone || c->alone_until > M.mono, "alone for too long");
    CHECK(!c->paused || c->paused_until > M.mono, "a pause is too long");
    CHECK(!c->resting || c->rest_until > M.mono, "a rest is too long");
    CHECK(!c->giving || c->n == 0, "not all is given back");
    CHECK(!(held & KMQ_HELD_EMPTYING) || c->n || M.topic[c->topic].paused,
          "an empty one runs empty");
    CHECK(!(held & KMQ_HELD_EMPTYING)
          || M.topic[c->topic].push_type == KMQ_PUSH_ONE
          || (int32_t) (peek_until(c, KMQ_HELD_EMPTYING)
                        - (uint32_t) M.mono) > 0,
          "one runs empty for too long");

    /* who is to rest may not even have one */

    CHECK(!(held & KMQ_HELD_ADMITTED) || n->ready == 0,
          "consumer %u rests, and is admitted while another is ready",
          (unsigned) (c - M.client));
}


/* Nobody is held for too long, and a suspect has got who can have it. */
void
check_holds(void)
{
    topic_t      *t;
    client_t     *c;
    consumers_t   n[TOPICS];

    for (t = M.topic; t < M.topic + TOPICS; t++) {
        consumers_count(t, &n[t - M.topic]);

        if (t->push_type != KMQ_PUSH_ONE) {
            continue;
        }

        CHECK(n[t - M.topic].emptying <= (unsigned) has_aside(t),
              "%u run empty in topic %u", n[t - M.topic].emptying,
              (unsigned) (t - M.topic));
        CHECK(!has_aside(t) || t->paused || n[t - M.topic].emptying
              || (n[t - M.topic].ready == 0
                  && n[t - M.topic].resting_ready == 0)
              || (n[t - M.topic].alone
                  && n[t - M.topic].alone >= t->matching / 2),
              "a suspect of topic %u waits, and nobody runs empty",
              (unsigned) (t - M.topic));
    }

    for (c = M.client; c < M.client + CLIENTS; c++) {
        if (is_active(c) && !M.handle[c->handle].dead) {
            check_consumer(c, &n[c->topic]);
        }
    }
}


/* One that rests, for a while yet, and gets nothing, although there is
 * something and no other is ready, or, where it was late just now, none is
 * there that does not rest; NULL: there is none. */
client_t *
to_admit(void)
{
    topic_t      *t;
    client_t     *c;
    consumers_t   n;

    for (c = M.client; c < M.client + CLIENTS; c++) {
        t = topic_of(c);

        if (t->paused || !is_active(c) || !c->resting || !c->ready || c->n
            || !is_free(c) || M.handle[c->handle].dead || t->nready == 0
            || (c->by_code && c->rest_until <= M.mono + ADMIT_TIME)
            || peek_held(c) & (KMQ_HELD_ADMITTED | KMQ_HELD_EMPTYING))
        {
            continue;
        }

        consumers_count(t, &n);

        if (c->late ? resting_of(t) == t->matching : n.ready == 0) {
            return c;
        }
    }

    return NULL;
}
