/*
 * Taking batches: each message must be one that the model would have pushed.
 */

#include "../../../src/engine/queue/kmq_queue.h"

#include "body.h"
#include "client.h"
#include "count.h"
#include "handle.h"
#include "hold.h"
#include "message.h"
#include "observe.h"
#include "peek.h"
#include "take.h"


/* A message is pushed for the first time: how long did it wait? */
static void
count_latency(unsigned h, const message_t *m)
{
    int32_t  waited;

    waited = (int32_t) ((uint32_t) M.handle[h].mono - m->waits);
    M.pushed++;
    M.waited += waited > 0 ? (uint64_t) waited : 0;
}


/* Did these come back last?  A look at a consumer may have been interrupted,
 * and gone on later: then the first that it found go first. */
static int
is_last(const topic_t *t, const group_t *g)
{
    const group_t  *last = &t->group[t->ngroups - 1];

    return g->epoch == last->epoch
           || (t->push_type == KMQ_PUSH_ALL && g->from
               && g->from == last->from);
}


/* A ready message is taken: was it its turn? */
static void
take_ready(topic_t *t, uint32_t id)
{
    group_t    *g;
    message_t  *m = &M.message[id];

    CHECK(m->state == READY, "%u pushed in state %d", id, m->state);

    if (m->loose) {

        /* its next try was due: where it is depends on the others */

    } else if (m->group == NONE) {
        CHECK(t->ngroups == 0 && (t->loose.count == 0 || t->mingled),
              "returned messages go first");
        CHECK(t->fresh.head == id
              || (m->tie && m->tie == M.message[t->fresh.head].tie),
              "%u is not the first in its topic", id);

    } else {
        g = &t->group[m->group];
        CHECK(is_last(t, g), "what came back last goes first");

        /* of several consumers it is the last one that counts */

        CHECK(g->list.head == id || m->tie,
              "what came back goes in its order");
    }

    ready_remove(id);
    M.pace_used++;
}


/* A message is taken from its queue, or a suspect from beside it. */
static void
take_message(unsigned h, topic_t *t, uint32_t id)
{
    unsigned    i;
    message_t  *m = &M.message[id];

    CHECK(&M.topic[m->topic] == t, "message %u of another topic", id);
    m->aside = 0;

    if (m->state == ASIDE) {
        m->aside = m->next <= M.mono ? -1 : 1;
        list_remove(&M.retrying, id);
    } else {
        take_ready(t, id);
    }

    m->state = IN_FLIGHT;
    m->configured = M.configured;

    for (i = 0; i < HANDLES; i++) {
        m->logged[i] = M.handle[i].mono;
    }

    if (m->pushed) {
        M.redelivered++;
        t->count.redelivered++;
    } else {
        count_latency(h, m);
    }

    M.in_flight++;
}


/* May this be the next position in its topic?  One that was idle may have been
 * forgotten, where there were many names or memory was short; then positions
 * begin anew. */
static int
is_next(const topic_t *t, uint32_t position)
{
    return !t->any || (int32_t) (position - t->position) > 0
           || (M.options & (LARGE|BREAKS) && position == kmq_position + 1);
}


/* A message leaves the queue, with that position. */
static void
take_at(unsigned h, topic_t *t, uint32_t id, uint32_t position)
{
    message_t  *m = &M.message[id];

    take_message(h, t, id);
    m->position = position;
    CHECK(is_next(t, position), "position %u after %u", position, t->position);
    t->position = m->position;
    t->any = 1;
    m->confirmed = 0;

    if (t->push_type == KMQ_PUSH_ALL) {
        m->todo = topic_consumers(m->topic);
        list_append(&t->log, id);
    }
}


/* The next message of a topic that has left the queue for the log, and is in no
 * batch yet, since a suspect is in front of it; NONE: there is none. */
static uint32_t
logged_next(const topic_t *t)
{
    uint32_t    id, best;
    peeked_t    is, first;
    message_t  *m;

    best = NONE;
    memset(&first, 0, sizeof(first));

    for (id = M.all.head; id != NONE; id = NEXT(&M.all, id)) {
        m = &M.message[id];

        if (m->state != READY || &M.topic[m->topic] != t) {
            continue;
        }

        peek_message(m, &is);

        if (is.state == IN_FLIGHT
            && (best == NONE
                || (int32_t) (is.position - first.position) < 0))
        {
            best = id;
            first = is;
        }
    }

    return best;
}


static void
take_logged(unsigned h)
{
    uint32_t   id;
    topic_t   *t;
    peeked_t   is;

    for (t = M.topic; t < M.topic + TOPICS; t++) {
        while (t->nready && t->push_type == KMQ_PUSH_ALL
               && (id = logged_next(t)) != NONE)
        {
            peek_message(&M.message[id], &is);
            take_at(h, t, id, is.position);
        }
    }
}


/*
 * The messages of a batch leave the queue, in the order of positions.  Those
 * that have left it before need not be in a run again.
 */
static void
take_messages(unsigned h, topic_t *t, kmq_batch_t *b, const uint32_t *id,
    unsigned char *covered)
{
    unsigned     i, k, first, order[KMQ_BATCH_MESSAGES];
    message_t   *m;

    for (i = 0; i < b->nmessages; i++) {
        for (k = i; k > 0
                    && (int32_t) (b->messages[order[k - 1]].position
                                  - b->messages[i].position) > 0; k--)
        {
            order[k] = order[k - 1];
        }

        order[k] = i;
    }

    for (i = 0; i < b->nmessages; i++) {
        first = order[i];
        m = &M.message[id[first]];
        CHECK(!m->doomed, "%u was deleted", id[first]);

        if (m->state == IN_FLIGHT) {
            CHECK(t->push_type == KMQ_PUSH_ALL, "%u pushed twice", id[first]);
            CHECK(m->position == b->messages[first].position,
                  "position of a message in flight changed");
            covered[first] = 1;
            continue;
        }

        take_at(h, t, id[first], b->messages[first].position);
    }
}


/* A suspect comes to a consumer that has nothing else, with nothing behind it;
 * unless it has waited for that long enough. */
static void
take_suspect(topic_t *t, client_t *c, uint32_t id, unsigned count)
{
    int         alone, waited;
    message_t  *m = &M.message[id];

    alone = (peek_held(c) & KMQ_HELD_ALONE) != 0;

    if (t->push_type == KMQ_PUSH_ONE) {
        CHECK(m->aside != 1 || alone, "suspect %u is not alone", id);
        CHECK(!alone || alone_of(t) == 0 || alone_of(t) < t->matching / 2,
              "%u of %u are alone, and another one is", alone_of(t),
              t->matching);

    } else if (t->now.retry_delay_max && m->configured == M.configured) {
        waited = m->logged[c->handle] + t->now.retry_delay_max
                 <= M.handle[c->handle].mono;
        CHECK(c->n == 0 || waited, "%u was to run empty for suspect %u",
              (unsigned) (c - M.client), id);
        CHECK(count == 1, "%u with suspect %u", count, id);
        CHECK(alone || c->n, "suspect %u is not alone", id);
    }

    if (alone) {
        CHECK(c->n == 0 && count == 1, "suspect %u with others", id);
        hold_alone(c, M.handle[c->handle].mono);
        M.isolated++;
    }
}


/* One message of one consumer's run, for the first time. */
static void
take_delivery(topic_t *t, client_t *c, uint32_t id)
{
    delivery_t  *d;
    message_t   *m = &M.message[id];

    if (t->push_type == KMQ_PUSH_ALL) {
        CHECK(m->todo & bit_of(c), "%u is not for this consumer, or was", id);
        m->todo &= ~bit_of(c);

    } else {
        CHECK(m->flight == 0, "%u for two consumers", id);
    }

    CHECK(!c->any || (int32_t) (m->position - c->last) > 0,
          "consumer's order");

    count(t, c->handle, 0, 1, 0);
    c->messages++;
    m->flight |= bit_of(c);

    d = &c->flight[c->n++];
    d->id = id;
    d->position = m->position;
    d->runs = 0;
    d->time = 0;
    d->slack = 0;
    d->again = 0;
    d->failures = 0;
    clock_first(c, M.handle[c->handle].mono);
    c->last = m->position;
    c->any = 1;
}


/* One message that is pushed again to the consumer that has it. */
static void
take_again(topic_t *t, client_t *c, uint32_t id)
{
    delivery_t  *d;

    d = delivery_of(c, id);
    CHECK(t->push_type == KMQ_PUSH_ALL && d, "%u is pushed again", id);
    CHECK(d->again && d->time <= M.mono, "%u is pushed again too early", id);
    CHECK(!gives_up(t, d->failures), "%u after %u failures", id, d->failures);

    d->time = M.handle[c->handle].mono;
    d->slack = M.mono - d->time;
    d->again = 0;

    M.redelivered++;
    t->count.redelivered++;
    count(t, c->handle, 0, 1, 0);
    M.repushed++;
}


/* Is this a delivery that the consumer has got before? */
static int
is_again(const topic_t *t, const client_t *c, uint32_t id,
    const kmq_message_t *m)
{
    return t->push_type == KMQ_PUSH_ALL
           && M.message[id].state == IN_FLIGHT
           && M.message[id].position == m->position
           && M.message[id].flight & bit_of(c);
}


/* How often it failed, and this time, unless it is the first one. */
static void
check_attempts(client_t *c, uint32_t id, int again, unsigned attempts)
{
    unsigned    want;
    message_t  *m = &M.message[id];

    want = again ? delivery_of(c, id)->failures + 1
                 : m->pushed ? m->failures + 1 : 0;

    CHECK(attempts == want, "%u: %u attempts, want %u", id, attempts, want);
}


static void
take_run(unsigned h, topic_t *t, kmq_batch_t *b, kmq_run_t *run,
    const uint32_t *id, unsigned char *covered)
{
    int        again;
    unsigned   i;
    client_t  *c = run->user;

    again = is_again(t, c, id[run->first], &b->messages[run->first]);
    CHECK(c->ready, "run of a client that is not ready");
    CHECK(is_active(c), "run of a client that waits for another push type");
    CHECK(again || c->n + run->count <= limit_of(c),
          "%u + %u beyond %u (prefetch %u)", c->n, run->count, limit_of(c),
          c->prefetch);
    CHECK(again || is_free(c), "consumer %u is held, and gets something",
          (unsigned) (c - M.client));
    CHECK(again || !c->resting || peek_held(c) & KMQ_HELD_ADMITTED,
          "consumer %u rests, and gets something",
          (unsigned) (c - M.client));

    for (i = run->first; i < run->first + run->count; i++) {
        CHECK(t->push_type == KMQ_PUSH_ALL || !covered[i], "runs overlap");
        covered[i] = 1;
        CHECK(again == is_again(t, c, id[i], &b->messages[i]),
              "re-push in a usual run");

        if (again) {
            take_again(t, c, id[i]);
        } else {
            if (M.message[id[i]].suspect) {
                take_suspect(t, c, id[i], run->count);
            }

            take_delivery(t, c, id[i]);
        }

        check_attempts(c, id[i], again, b->messages[i].attempts);
    }

    c->pushed = 0;
    CHECK(kmq_in_flight(M.handle[h].kmq, c->ref) == c->n, "in flight");
}


topic_t *
topic_by_name(const char *name, size_t len)
{
    unsigned  i;

    for (i = 0; i < TOPICS; i++) {
        if (strlen(M.topic[i].name) == len
            && memcmp(M.topic[i].name, name, len) == 0)
        {
            return &M.topic[i];
        }
    }

    fail("batch of an unknown topic");
}


/* What every batch must be; which messages these are. */
static topic_t *
take_batch(unsigned h, kmq_batch_t *b, uint32_t *id)
{
    size_t      bytes;
    topic_t    *t;
    unsigned    i, last;
    client_t   *c;
    kmq_run_t  *run;

    CHECK(b->nruns <= KMQ_BATCH_RUNS, "%u runs", b->nruns);
    CHECK(b->nmessages && b->nmessages <= KMQ_BATCH_MESSAGES, "%u messages",
          b->nmessages);

    t = topic_by_name(b->topic, b->topic_len);
    CHECK(!t->paused, "a topic that is paused is pushed");
    CHECK(t->ref == 0 || t->ref == b->topic_ref, "topic_ref changed");
    t->ref = b->topic_ref;

    for (i = 0, last = 0, bytes = 0; i < b->nmessages; i++) {
        bytes += b->messages[i].size;
        id[i] = body_check(M.handle[h].kmq, &b->messages[i]);
        M.message[id[i]].stamp = M.stamp;
        M.message[id[i]].taken = b->messages[i].position;

        if ((int32_t) (b->messages[i].position - b->messages[last].position)
            > 0)
        {
            last = i;
        }
    }

    CHECK(bytes - b->messages[last].size < b->bytes_max, "beyond bytes_max");

    for (i = 0; i < b->nruns; i++) {
        run = &b->runs[i];
        c = run->user;

        CHECK(c >= M.client && c < M.client + CLIENTS && c->ref == run->client,
              "run of no client");
        CHECK(c->role == KMQ_CONSUMER && c->handle == h
              && &M.topic[c->topic] == t, "run of another's client");
        CHECK(run->count && run->first < b->nmessages
              && run->count <= b->nmessages - run->first, "range of a run");
        c->pushed += is_again(t, c, id[run->first], &b->messages[run->first])
                     ? 0 : run->count;
    }

    return t;
}


/* No more may go than the batches until now allow. */
static void
check_pace(void)
{
    uint64_t  batches;

    if (M.settings.batch_interval == 0) {
        return;
    }

    batches = 2 + M.pace_settings
              + (M.mono - M.pace_start) / M.settings.batch_interval;

    CHECK(M.pace_used <= M.pace_before + M.pace_back
                         + batches * M.settings.batch_count,
          "%llu messages in %llu batches of %u; %llu ready before, %llu back",
          (unsigned long long) M.pace_used, (unsigned long long) batches,
          M.settings.batch_count, (unsigned long long) M.pace_before,
          (unsigned long long) M.pace_back);
}


unsigned
take(unsigned h)
{
    kmq_t               *kmq = M.handle[h].kmq;
    topic_t             *t;
    unsigned             i, n;
    uint32_t             id[KMQ_BATCH_MESSAGES];
    client_t            *c;
    kmq_counts_t         now;
    unsigned char        covered[KMQ_BATCH_MESSAGES];
    static kmq_batch_t   b;

    b.bytes_max = one_in(4) ? 1 + below(5000) : 1000000;
    n = kmq_take(kmq, &b);
    CHECK(n == b.nruns, "%u runs, not %u", b.nruns, n);
    wakes(h);

    M.stamp++;
    t = n ? take_batch(h, &b, id) : NULL;
    observe_take(h, &now);

    if (n) {
        memset(covered, 0, sizeof(covered));
        take_messages(h, t, &b, id, covered);
    }

    if (now.ready < M.ready) {
        take_logged(h);
    }

    if (n) {
        for (i = 0; i < n; i++) {
            take_run(h, t, &b, &b.runs[i], id, covered);
        }

        CHECK(memchr(covered, 0, b.nmessages) == NULL, "message of no run");
        check_pace();
    }

    for (c = M.client; M.options & TIMED && c < M.client + CLIENTS; c++) {
        if (c->ref && c->role == KMQ_CONSUMER && c->handle == h) {
            c->pushed = 0;
            check_held(c);
        }
    }

    compare(&now);

    return n;
}


int
is_told(unsigned h)
{
    handle_t  *handle = &M.handle[h];

    return !handle->dead
           && (handle->woken || kmq_has_work(handle->kmq)
               || (handle->timer && handle->timer <= handle->mono));
}


/* Closes whom a worker is told to close, each of them once. */
void
clients_close(unsigned h)
{
    int        why;
    unsigned   n;
    client_t  *c, *gone[CLIENTS];

    n = 0;

    while ((c = kmq_to_close(M.handle[h].kmq, &why)) != NULL) {
        CHECK(c >= M.client && c < M.client + CLIENTS && c->ref
              && c->handle == h, "to close: not a client of this worker");
        CHECK(!c->told, "to close: told twice");
        CHECK(why == KMQ_DISCONNECTED
              ? c->closing
              : why == KMQ_TOO_SLOW && c->role == KMQ_CONSUMER
                && M.topic[c->topic].push_type == KMQ_PUSH_ALL,
              "to close: %d, without a reason", why);
        M.disconnected += why == KMQ_DISCONNECTED;
        c->told = 1;
        gone[n++] = c;
    }

    while (n--) {
        leave(gone[n]);
    }
}


/* Mostly as a worker would: only when it has been told, or knows. */
void
op_take(void)
{
    unsigned  h;

    h = some_handle();

    if (is_told(h) || (M.mood % 2 && one_in(4))) {
        M.handle[h].woken = 0;
        M.handle[h].timer = 0;

        if (take(h)) {
            M.handle[h].woken = 1;
        }

        clients_close(h);
    }
}
