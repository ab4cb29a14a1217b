/*
 * What must be true at any time: counts, lists, and that nobody waits for ever.
 */

#include "../../../src/engine/queue/kmq_queue.h"

#include "apart.h"
#include "check.h"
#include "count.h"
#include "handle.h"
#include "hold.h"
#include "message.h"
#include "observe.h"
#include "peek.h"
#include "take.h"
#include "watch.h"


/* One that rests is admitted after a few times ADMIT_TIME; where others get
 * messages now and then, perhaps never. */
#define ADMITS       10
#define ADMITS_MAX   50

/* ms: after a pause, it may take so long until what is to be pushed again
 * is. */
#define RESUME_TIME  2000


/* All that is known of a message's failures. */
static void
check_message(uint32_t id)
{
    peeked_t    is;
    message_t  *m = &M.message[id];

    if (m->state == RESERVED || m->doomed) {
        return;
    }

    peek_message(m, &is);

    /* of what is consumed, only files tell that it was */

    is.pushed |= m->state == CONSUMED;

    CHECK(is.state == m->state, "%u in state %d, want "
          "%d", id, is.state, m->state);
    CHECK(is.failures == m->failures && is.reason == m->reason
          && is.suspect == m->suspect
          && is.pushed == (m->pushed || m->state == CONSUMED),
          "%u in state %d: %u failures, reason %u, suspect %d, pushed %d; want "
          "%u, %u, %d, %d", id, m->state, is.failures, is.reason, is.suspect,
          is.pushed, m->failures, m->reason, m->suspect, m->pushed);
}


void
op_count(void)
{
    uint32_t      id;
    unsigned      h, keepers;
    kmq_counts_t  now;

    h = some_handle();
    observe(h, &now);
    compare(&now);

    for (id = M.all.head; id != NONE; id = NEXT(&M.all, id)) {
        check_message(id);
    }

    for (h = 0, keepers = 0; h < HANDLES; h++) {
        keepers += !M.handle[h].dead && kmq_next_due(M.handle[h].kmq);
    }

    CHECK(keepers <= 1, "%u keepers", keepers);
}


void
op_walk(void)
{
    kmq_t              *kmq;
    unsigned            h, i, k, n, role, found;
    uint64_t            cursor, seen;
    client_t           *c;
    kmq_client_info_t   info[5];

    h = some_handle();
    kmq = M.handle[h].kmq;
    role = 1 + below(2);
    cursor = 0;
    seen = 0;
    found = 0;

    while ((n = kmq_clients(kmq, role, &cursor, info, 1 + below(5))) != 0) {

        for (i = 0; i < n; i++, found++) {
            info[i].id[info[i].id_len] = '\0';

            for (k = 0; k < CLIENTS; k++) {
                c = &M.client[k];

                if (c->ref && !c->leaving
                    && c->serial == strtoul(info[i].id, NULL, 10))
                {
                    break;
                }
            }

            CHECK(k < CLIENTS && !(seen >> k & 1), "client not there");
            seen |= UINT64_C(1) << k;
            if (c->role == SET_APART) {
                check_apart_client(c, &info[i], h);
            }

            CHECK((c->role == role
                   || (c->role == SET_APART && role == KMQ_CONSUMER))
                  && info[i].role == role
                  && (c->role == SET_APART
                      || info[i].worker == M.handle[c->handle].worker)
                  && (role == KMQ_PRODUCER
                      || (info[i].in_flight == c->n
                          && info[i].prefetch == c->prefetch))
                  && topic_by_name(info[i].topic, info[i].topic_len)
                     == &M.topic[c->topic],
                  "client is not as it is");
            check_client(c, &info[i]);
        }
    }

    CHECK(found == (role == KMQ_PRODUCER
                    ? M.producers : M.consumers + apart_count(KMQ_LEASED)
                                    + apart_count(KMQ_PARKED)),
          "%u clients found", found);
}


void
verify(void)
{
    char  text[512];

    if (kmq_verify(M.handle[some_handle()].kmq, text, sizeof(text)) != KMQ_OK)
    {
        fail("kmq_verify: %s", text);
    }
}


/* A consumer that could be pushed something, NULL: there is none. */
static client_t *
starving(void)
{
    unsigned   i;
    uint32_t   id;
    topic_t   *t;
    client_t  *c;

    for (i = 0; i < CLIENTS; i++) {
        c = &M.client[i];
        t = &M.topic[c->topic];

        if (t->paused || !is_active(c) || !c->ready || c->n >= limit_of(c)
            || M.handle[c->handle].dead || !is_ready(c))
        {
            continue;
        }

        if (t->nready) {
            return c;
        }

        for (id = t->log.head; id != NONE; id = NEXT(&t->log, id)) {
            if (M.message[id].todo & bit_of(c) && !M.message[id].doomed) {
                return c;
            }
        }
    }

    return NULL;
}


/* Lets the workers do all they were told to do, and no more. */
static void
work(void)
{
    int       again;
    unsigned  h, calls;

    calls = 0;

    /* of a tick before */

    for (h = 0; h < HANDLES; h++) {
        if (!M.handle[h].dead) {
            clients_close(h);
        }
    }

    do {
        again = 0;

        for (h = 0; h < HANDLES; h++) {

            if (is_told(h)) {
                M.handle[h].woken = 0;
                M.handle[h].timer = 0;
                again = 1;

                while (take(h)) { /* void */ }
                clients_close(h);
                CHECK(++calls < 100000, "work without end");
            }
        }
    } while (again);
}


/* Does a delivery that is due wait for its connection, or for its topic? */
static int
waits_rightly(const client_t *c, const delivery_t *d)
{
    const topic_t  *t = &M.topic[c->topic];

    if (t->push_type == KMQ_PUSH_ONE) {
        return 0;
    }

    return !c->ready || (d->again && (t->paused
                                      || M.mono < t->resumed + RESUME_TIME));
}


/* All that was due has been done: nothing is ready too late, no delivery
 * overdue. */
static void
check_due(void)
{
    unsigned     i;
    client_t    *c;
    delivery_t  *d;

    uint32_t     id;

    for (id = M.retrying.head; id != NONE; id = NEXT(&M.retrying, id)) {
        CHECK(M.message[id].next > M.mono, "%u in state %d waits for too long",
              id, M.message[id].state);
    }

    CHECK(M.delayed.count == 0 || M.message[M.delayed.head].due > M.mono,
          "%u is delayed, and due since %llu ms", M.delayed.head,
          (unsigned long long) (M.mono - M.message[M.delayed.head].due));

    check_apart();

    for (c = M.client; c < M.client + CLIENTS; c++) {
        if (!is_active(c)) {
            continue;
        }

        for (i = 0; i < c->n; i++) {
            d = &c->flight[i];

            CHECK(!(clock_over(c, d, M.mono - d->slack)
                    || (d->again && d->time <= M.mono))
                  || waits_rightly(c, d),
                  "%u has been with %u for %llu ms", d->id,
                  (unsigned) (c - M.client),
                  (unsigned long long) (M.mono - d->time));
        }
    }
}


/* The first messages of a topic's lists. */
static void
topic_first(const topic_t *t, uint32_t first[3])
{
    first[0] = ready_first(t);
    first[1] = t->dead.head;
    first[2] = t->history.head;
}


/*
 * Lets a check_interval go by, and all workers look.  Then no list begins with
 * a message that it began with all the time, and that was too old before.
 */
static void
check_age(void)
{
    unsigned  i, k;
    uint32_t  now, first[TOPICS][3], id[3];
    uint64_t  then, back[TOPICS];

    then = M.mono;
    now = seconds(some_handle());

    for (i = 0; i < TOPICS; i++) {
        topic_first(&M.topic[i], first[i]);
        back[i] = M.topic[i].came_back;
    }

    M.mono += M.settings.check_interval;
    clock_all();

    for (i = 0; i < HANDLES; i++) {
        tick(i);
    }

    work();
    check_due();

    for (i = 0; i < TOPICS; i++) {
        topic_first(&M.topic[i], id);

        for (k = 0; k < 3; k++) {
            CHECK(id[k] == NONE || id[k] != first[i][k]
                  || M.message[id[k]].entered > then || M.message[id[k]].tie
                  || (k == 0 && back[i] != M.topic[i].came_back)
                  || !is_old(id[k], now),
                  "%u in state %d is too old", id[k],
                  M.message[id[k]].state);
        }
    }
}


/* The milliseconds until the next batch. */
static uint64_t
next_batch(void)
{
    unsigned  h;
    uint64_t  next, least;

    least = 0;

    for (h = 0; h < HANDLES; h++) {
        if (!M.handle[h].dead) {
            next = kmq_next_batch(M.handle[h].kmq);
            least = next && (least == 0 || next < least) ? next : least;
        }
    }

    return least;
}


/* Lets batches go until nobody waits for one. */
static void
work_paced(void)
{
    unsigned   h, i;
    uint64_t   next, least;
    client_t  *c;

    for (i = 0; (c = starving()) != NULL; i++) {
        least = next_batch();

        CHECK(M.settings.batch_interval && least, "consumer %u of topic %u "
              "waits for ever, %u ready", (unsigned) (c - M.client), c->topic,
              M.topic[c->topic].nready);

        /* what is not confirmed may be overdue sooner than all have gone */

        if (i >= 50 && M.options & TIMED) {
            return;
        }

        CHECK(i < 20000, "batches without end");
        M.mono += least;

        for (h = 0; h < HANDLES; h++) {
            if (!M.handle[h].dead) {
                next = kmq_next_batch(M.handle[h].kmq);
                clock_set(h);
                M.handle[h].woken |= next && next <= least;
            }
        }

        work();
    }
}


/* How much consumers of a topic have been pushed so far. */
static uint64_t
pushed_of(unsigned topic)
{
    uint64_t   n;
    client_t  *c;

    n = 0;

    for (c = M.client; c < M.client + CLIENTS; c++) {
        n += c->role == KMQ_CONSUMER && c->topic == topic ? c->messages : 0;
    }

    return n;
}


/* Where no other consumer gets anything, one that rests does soon. */
static void
check_admitted(void)
{
    unsigned   i, n;
    uint64_t   before, now;
    client_t  *c;

    before = 0;

    for (i = 0, n = 0; (c = to_admit()) != NULL && n < ADMITS_MAX; i++, n++) {
        now = pushed_of(c->topic);

        if (now != before) {
            before = now;
            i = 0;
        }

        CHECK(i < ADMITS, "consumer %u rests, and nobody else is ready",
              (unsigned) (c - M.client));
        M.mono += ADMIT_TIME;
        clock_all();
        work();
    }
}


/*
 * No wake-up is ever lost: when every worker has done what it was told to,
 * nobody is left that could be pushed something, but for the pace, and nothing
 * is late.
 */
void
op_quiesce(void)
{
    unsigned  h;

    clock_all();

    if (M.lost_wakes || dead_handles()) {
        M.lost_wakes = 0;
        tick(some_handle());
        clock_all();

        for (h = 0; h < HANDLES; h++) {
            tick(h);
        }
    }

    M.lost_wakes = 0;
    work();
    check_closed();
    check_due();
    work_paced();
    check_due();

    if (M.options & TIMED) {
        check_holds();
        check_admitted();
    }

    if (M.options & TIMED && one_in(4)) {
        check_age();
    }
}
