/*
 * Taking batches: each message must be one that the model would have pushed.
 */

#include "body.h"
#include "client.h"
#include "count.h"
#include "handle.h"
#include "message.h"
#include "observe.h"
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
take_ready(unsigned h, topic_t *t, uint32_t id)
{
    group_t    *g;
    message_t  *m = &M.message[id];

    CHECK(m->state == READY, "%u pushed in state %d", id, m->state);
    CHECK(&M.topic[m->topic] == t, "message %u of another topic", id);

    if (m->group == NONE) {
        CHECK(t->ngroups == 0, "returned messages go first");
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
    m->state = IN_FLIGHT;

    if (m->attempts++) {
        M.redelivered++;
        t->count.redelivered++;
    } else {
        count_latency(h, m);
    }

    M.in_flight++;
    M.pace_used++;
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

        take_ready(h, t, id[first]);
        m->position = b->messages[first].position;
        CHECK(!t->any || (int32_t) (m->position - t->position) > 0,
              "position %u after %u", m->position, t->position);
        t->position = m->position;
        t->any = 1;
        m->confirmed = 0;

        if (t->push_type == KMQ_PUSH_ALL) {
            m->todo = topic_consumers(m->topic);
            list_append(&t->log, id[first]);
        }
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
    d->time = M.handle[c->handle].mono;
    d->attempts = 1;
    d->returned = 0;

    c->oldest = c->n == 1 || d->time < c->oldest ? d->time : c->oldest;
    c->last = m->position;
    c->any = 1;
}


/* One message that is pushed again to the consumer that has it. */
static void
take_again(topic_t *t, client_t *c, uint32_t id)
{
    delivery_t  *d;
    message_t   *m = &M.message[id];

    d = delivery_of(c, id);
    CHECK(t->push_type == KMQ_PUSH_ALL && d, "%u is pushed again", id);
    CHECK(overdue(c, d), "%u is not overdue, after %llu ms", id,
          (unsigned long long) (M.mono - d->time));
    CHECK(!gives_up(t, d->attempts), "%u after %u pushes", id, d->attempts);

    d->time = M.handle[c->handle].mono;
    d->returned = 0;
    d->attempts++;
    m->attempts = later(m->attempts, d->attempts);

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
    CHECK(again || c->n + run->count <= c->prefetch,
          "%u + %u beyond prefetch %u", c->n, run->count, c->prefetch);

    for (i = run->first; i < run->first + run->count; i++) {
        CHECK(t->push_type == KMQ_PUSH_ALL || !covered[i], "runs overlap");
        covered[i] = 1;
        CHECK(again == is_again(t, c, id[i], &b->messages[i]),
              "re-push in a usual run");

        if (again) {
            take_again(t, c, id[i]);
        } else {
            take_delivery(t, c, id[i]);
        }
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
    kmq_counts_t         now;
    unsigned char        covered[KMQ_BATCH_MESSAGES];
    static kmq_batch_t   b;

    b.bytes_max = one_in(4) ? 1 + below(5000) : 1000000;
    n = kmq_take(kmq, &b);
    CHECK(n == b.nruns, "%u runs, not %u", b.nruns, n);
    wakes(h);

    M.stamp++;
    t = n ? take_batch(h, &b, id) : NULL;
    observe(h, &now);

    if (n) {
        memset(covered, 0, sizeof(covered));
        take_messages(h, t, &b, id, covered);

        for (i = 0; i < n; i++) {
            take_run(h, t, &b, &b.runs[i], id, covered);
        }

        CHECK(memchr(covered, 0, b.nmessages) == NULL, "message of no run");
        check_pace();
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
