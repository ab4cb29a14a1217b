/*
 * What engine_model.c does to the engine, each with what must follow in the
 * model: workers come, go and die; messages are published, pushed, confirmed,
 * extended, given back; consumers join and leave; settings and clocks change.
 */

#ifndef KMQ_ENGINE_MODEL_CALLS_H
#define KMQ_ENGINE_MODEL_CALLS_H

#include "engine_model_disk.h"


/* ---------------------------------------------------------------- handles */

/* Whom this call found work for, and when the worker looks again: what a
 * worker does after each call. */
static void
wakes(unsigned h)
{
    unsigned   i, w;
    uint64_t   ms, mask[KMQ_WORKERS / 64];
    handle_t  *handle = &M.handle[h];

    ms = kmq_next_due(handle->kmq);

    if (ms && (handle->timer == 0 || handle->mono + ms < handle->timer)) {
        handle->timer = handle->mono + ms;
    }

    if (!kmq_wakes(handle->kmq, mask)) {
        return;
    }

    for (i = 0; i < HANDLES; i++) {
        w = M.handle[i].worker;

        if (mask[w / 64] >> w % 64 & 1) {
            CHECK(i != h, "a worker wakes itself");
            M.handle[i].woken = 1;
            mask[w / 64] &= ~(UINT64_C(1) << w % 64);
        }
    }

    CHECK(!mask[0] && !mask[1], "a worker is to be woken that is not there");
}


/* One that lives; there always is one. */
static unsigned
some_handle(void)
{
    unsigned  h;

    do {
        h = below(HANDLES);
    } while (M.handle[h].dead);

    return h;
}


static void
clock_set(unsigned h)
{
    handle_t  *handle = &M.handle[h];

    handle->mono = M.mono;
    handle->wall = WALL + M.mono + M.offset;
    kmq_clock(handle->kmq, handle->mono, handle->wall);
}


static void
clock_all(void)
{
    unsigned  h;

    for (h = 0; h < HANDLES; h++) {
        if (!M.handle[h].dead) {
            clock_set(h);
        }
    }
}


static void *
handle_thread(void *arg)
{
    handle_t  *handle = arg;

    handle->kmq = kmq_attach(M.block, SIZE, handle->worker);
    sem_post(&handle->done);

    while (sem_wait(&handle->go) != 0) { /* void */ }

    if (handle->detaches) {
        kmq_detach(handle->kmq);
    }

    return NULL;
}


/* A thread that may end with its handle open, or the same without one. */
static void
handle_open(handle_t *handle)
{
    handle->threaded = M.options & KILLS && one_in(3);

    if (!handle->threaded) {
        handle->kmq = kmq_attach(M.block, SIZE, handle->worker);
        return;
    }

    sem_init(&handle->go, 0, 0);
    sem_init(&handle->done, 0, 0);

    if (pthread_create(&handle->thread, NULL, handle_thread, handle) != 0) {
        fail("pthread_create");
    }

    while (sem_wait(&handle->done) != 0) { /* void */ }
}


/* A handle that nobody can free any more. */
static void
bury(kmq_t *kmq)
{
    static kmq_t    **grave;
    static unsigned   graves;

    grave = realloc(grave, (graves + 1) * sizeof(kmq_t *));
    grave[graves++] = kmq;
}


static void
handle_close(handle_t *handle, int detaches)
{
    journal_close((unsigned) (handle - M.handle), !detaches);

    if (!handle->threaded) {
        kmq_detach(handle->kmq);
        handle->kmq = NULL;
        return;
    }

    if (!detaches) {
        bury(handle->kmq);
    }

    handle->detaches = detaches;
    sem_post(&handle->go);
    pthread_join(handle->thread, NULL);
    sem_destroy(&handle->go);
    sem_destroy(&handle->done);
    handle->kmq = NULL;
}


static void
attach(unsigned h, unsigned w)
{
    unsigned   i;
    handle_t  *handle = &M.handle[h];

    for (i = 0; i < HANDLES; i++) {
        if (i != h && (M.handle[i].kmq || M.handle[i].dead)
            && M.handle[i].worker == w)
        {
            w = one_in(2) ? below(BROKEN) : below(8);
            i = NONE;
        }
    }

    memset(handle, 0, sizeof(*handle));
    handle->worker = w;
    handle_open(handle);
    CHECK(handle->kmq, "attach as worker %u", w);

    journal_open(h);
    clock_set(h);
    kmq_configure(handle->kmq, &M.settings);
    M.wall = handle->wall;
    M.lost_wakes = 1;
    wakes(h);
}


/* What follows from the end of a handle: its clients go in any order. */
static void
handle_left(unsigned h, unsigned by)
{
    unsigned  i, k;

    M.tie = ++M.ties;

    for (i = 0; i < CLIENTS; i++) {
        if (M.client[i].ref && M.client[i].handle == h) {
            left(&M.client[i], by, 0);
        }
    }

    M.tie = 0;

    for (i = 0; i < HELD; i++) {
        if (M.held[i].n && M.held[i].handle == h) {
            for (k = 0; k < M.held[i].n; k++) {
                message_gone(M.held[i].id[k]);
            }

            if (M.held[i].accepted) {
                count(&M.topic[M.held[i].topic], by, -(int) M.held[i].n, 0, 0);
            }

            M.reserved -= M.held[i].n;
            M.held[i].n = 0;
        }
    }
}


static unsigned
dead_handles(void)
{
    unsigned  i, n;

    for (i = 0, n = 0; i < HANDLES; i++) {
        n += M.handle[i].dead;
    }

    return n;
}


static void
tick(unsigned h)
{
    unsigned  i, want;

    want = dead_handles() + M.broken;
    M.broken = 0;
    M.reserved -= M.broken_reserved;
    M.broken_reserved = 0;
    M.epoch++;
    M.wall = M.handle[h].wall;

    CHECK(kmq_tick(M.handle[h].kmq) == want, "%u are dead", want);
    wakes(h);

    for (i = 0; i < HANDLES; i++) {
        if (M.handle[i].dead) {
            handle_left(i, h);
            M.handle[i].dead = 0;
            attach(i, below(BROKEN));
        }
    }

    count_backlog(h);
}


/* ---------------------------------------------------------------- publish */

/* Checks why not all of n messages got room; the first that did not has so many
 * bytes. */
static void
check_refusal(unsigned h, unsigned n, unsigned got, int why, uint32_t size)
{
    uint64_t      spare;
    kmq_counts_t  c;

    if (got == n) {
        return;
    }

    if (M.ready + M.reserved + got >= M.settings.waiting_max) {
        CHECK(why == KMQ_FULL, "why %d, not KMQ_FULL", why);
        return;
    }

    CHECK(why == KMQ_NOMEM, "why %d, not KMQ_NOMEM", why);
    kmq_count(M.handle[h].kmq, &c);

    /* history goes for it, but not where all of it would not be enough */

    spare = SIZE / 32 + 32 * 8192;

    CHECK(c.consumed == 0
          || c.bytes_history + c.bytes_free < size + size / 64 + spare,
          "KMQ_NOMEM for %u bytes with %llu in the history", size,
          (unsigned long long) c.consumed);

    /* what was deleted in flight lies there unseen for a while */

    CHECK(M.bytes > SIZE / 2 || M.options & MANAGED,
          "KMQ_NOMEM with %llu bytes stored", (unsigned long long) M.bytes);
    M.nomems++;
}


static uint64_t
random_delay(void)
{
    static const uint32_t  spans[] = {
        3, 30, 300, 3000, 70000, 400000
    };

    if (!(M.options & TIMED) || M.delayed.count > 400 || !one_in(4)) {
        return 0;
    }

    return 1 + below(spans[below(6)]);
}


/* A message that kmq_reserve() has made room for. */
static void
message_reserved(held_t *held, unsigned i)
{
    uint32_t        id;
    message_t      *m;
    kmq_message_t  *r = &held->m[i];

    id = M.unused[--M.nunused];
    held->id[i] = id;
    m = &M.message[id];
    memset(m, 0, sizeof(message_t));

    m->state = RESERVED;
    m->topic = held->topic;
    m->size = r->size;
    m->group = NONE;
    m->sequence = r->sequence;
    m->create_time = seconds(held->handle);
    m->delay = (uint32_t) ((r->delay_time + 999) / 1000);
    m->since = m->create_time + m->delay;
    m->due = r->delay_time ? M.handle[held->handle].mono + r->delay_time : 0;
    m->slot = r->slot;
    m->body = r->body;
    kmq_code(M.handle[held->handle].kmq, r, m->code);

    CHECK(r->create_time == m->create_time && r->delay == m->delay,
          "times of a message");
    CHECK(m->sequence > M.sequence, "sequence %llu",
          (unsigned long long) m->sequence);
    CHECK(m->slot < SIZE / 8, "slot %u", m->slot);

    M.sequence = m->sequence;
    M.of_slot[m->slot] = id;
    M.reserved++;
    M.bytes += m->size + 200;
    M.peak = M.bytes > M.peak ? M.bytes : M.peak;
    M.peak_next = M.bytes > M.peak_next ? M.bytes : M.peak_next;
    list_append(&M.all, id);
}


/* n messages for the client's topic, or by the topic's name; how many. */
static unsigned
reserve(unsigned h, client_t *producer, unsigned topic, held_t *held,
    unsigned n)
{
    int            why;
    unsigned       i, got;
    topic_t       *t = &M.topic[topic];
    kmq_counts_t   now;

    memset(held, 0, sizeof(*held));
    held->handle = h;
    held->topic = topic;

    for (i = 0; i < n; i++) {
        held->m[i].size = body_size();
        held->m[i].delay_time = random_delay();
    }

    why = KMQ_OK;

    if (producer) {
        got = kmq_reserve(M.handle[h].kmq, producer->ref, held->m, n, &why);
    } else {
        n = 1;
        why = kmq_reserve_to(M.handle[h].kmq, t->name, strlen(t->name),
                             held->m);
        got = why == KMQ_OK;
    }

    CHECK(got <= n, "%u of %u reserved", got, n);
    CHECK(M.ready + M.reserved + got <= M.settings.waiting_max || got == 0,
          "beyond the bound");
    check_refusal(h, n, got, why, got < n ? held->m[got].size : 0);
    observe(h, &now);

    for (i = 0; i < got; i++) {
        message_reserved(held, i);
    }

    compare(&now);
    held->n = got;

    return got;
}


static void
write_body(kmq_t *kmq, kmq_message_t *m, uint32_t id)
{
    uint32_t  n, step;

    kmq_write(kmq, m, &id, sizeof(id));

    for (n = sizeof(id); n < m->size; n += step) {
        step = one_in(4) ? 1 + below(m->size) : m->size;
        step = step < m->size - n ? step : m->size - n;
        kmq_write(kmq, m, body_rest(id) + n - sizeof(id), step);
    }
}


static void
bodies_write(held_t *held, unsigned i, unsigned n)
{
    uint64_t  sequence;

    for ( /* void */ ; n--; i++) {
        write_body(M.handle[held->handle].kmq, &held->m[i], held->id[i]);
        sequence = M.message[held->id[i]].sequence;
        M.stored = sequence > M.stored ? sequence : M.stored;
    }
}


/* Puts what is held into the journal before it is in the queue. */
static void
accept(held_t *held)
{
    bodies_write(held, 0, held->n);
    CHECK(kmq_accept(M.handle[held->handle].kmq, held->m, held->n) == KMQ_OK,
          "kmq_accept");

    held->accepted = 1;
    count(&M.topic[held->topic], held->handle, (int) held->n, 0, 0);
    M.accepted += held->n;
}


/* Onto the schedule; or it is due already. */
static void
message_delayed(unsigned h, uint32_t id)
{
    message_t           *m = &M.message[id];
    kmq_message_info_t   info;

    CHECK(kmq_find(M.handle[h].kmq, m->code, &info) == KMQ_OK, "find delayed");

    if (info.status == KMQ_STATUS_WAITING) {
        CHECK(m->due <= M.mono, "%u is ready too early", id);
        m->waits = (uint32_t) m->due;
        ready_append(id);
        M.due++;
        return;
    }

    m->state = DELAYED;
    delayed_insert(id);
}


/* Messages from i on are committed. */
static void
commit(held_t *held, unsigned i, unsigned n)
{
    unsigned  k;
    kmq_t    *kmq = M.handle[held->handle].kmq;

    if (!held->accepted) {
        bodies_write(held, i, n);
        count(&M.topic[held->topic], held->handle, (int) n, 0, 0);
    }

    kmq_commit(kmq, held->m + i, n);

    for (k = i; k < i + n; k++) {
        if (M.message[held->id[k]].due) {
            message_delayed(held->handle, held->id[k]);
        } else {
            M.message[held->id[k]].waits
                               = (uint32_t) M.handle[held->handle].mono;
            ready_append(held->id[k]);
        }
    }
}


/* Writes and commits, or discards, what is held; in random parts. */
static void
finish(held_t *held)
{
    kmq_t         *kmq = M.handle[held->handle].kmq;
    unsigned       i, k, part;
    kmq_counts_t   now;

    for (i = 0; i < held->n; i += part) {
        part = 1 + below(held->n - i);
        M.reserved -= part;

        if (!one_in(8)) {
            commit(held, i, part);
            continue;
        }

        if (held->accepted) {
            count(&M.topic[held->topic], held->handle, -(int) part, 0, 0);
        }

        for (k = i; k < i + part; k++) {
            message_gone(held->id[k]);
        }

        kmq_discard(kmq, held->m + i, part);
    }

    if (held->n && M.options & TIMED) {
        observe(held->handle, &now);
        compare(&now);
    }

    held->n = 0;
    wakes(held->handle);
}


static void
op_publish(void)
{
    held_t    *held, now;
    unsigned   h, n;
    client_t  *c;

    n = 1 + (one_in(4) ? below(HELD_MAX) : 0);

    if (M.nunused < n || M.all.count - M.history.count > LIVE) {
        return;
    }

    memset(&now, 0, sizeof(now));
    held = one_in(10) ? &M.held[below(HELD)] : &now;

    if (held != &now && held->n) {
        if (!M.handle[held->handle].dead) {
            if (M.options & JOURNALED && !held->accepted && one_in(2)) {
                accept(held);
            } else {
                finish(held);
            }
        }

        return;
    }

    c = &M.client[below(CLIENTS)];
    h = some_handle();

    if (c->ref && c->role == KMQ_PRODUCER && !M.handle[c->handle].dead) {
        (void) reserve(c->handle, c, c->topic, held, n);
    } else {
        (void) reserve(h, NULL, below(TOPICS), held, 1);
    }

    if (held == &now) {
        finish(held);
    }
}


/* ------------------------------------------------------------------- take */

/* A message is pushed for the first time: how long did it wait? */
static void
count_latency(unsigned h, const message_t *m)
{
    int32_t  waited;

    waited = (int32_t) ((uint32_t) M.handle[h].mono - m->waits);
    M.pushed++;
    M.waited += waited > 0 ? (uint64_t) waited : 0;
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
        CHECK(g->epoch == t->group[t->ngroups - 1].epoch,
              "what came back last goes first");

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


static topic_t *
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


static unsigned
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


static int
is_told(unsigned h)
{
    handle_t  *handle = &M.handle[h];

    return !handle->dead
           && (handle->woken || kmq_has_work(handle->kmq)
               || (handle->timer && handle->timer <= handle->mono));
}


static void  leave(client_t *c);


/* Closes whom a worker is told to close, each of them once. */
static void
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
static void
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


/* ---------------------------------------------------------------- confirm */

/* Delivery d of c is confirmed. */
static void
confirmed(client_t *c, delivery_t *d)
{
    uint32_t  id;

    id = d->id;
    delivery_remove(c, d);

    if (!M.message[id].confirmed) {
        M.message[id].first_time = seconds(c->handle);
    }

    M.message[id].confirmed = 1;
    c->confirmed++;
    count(&M.topic[c->topic], c->handle, 0, 0, 1);
    let_go(id, bit_of(c), c->handle, 0, NULL);
}


static client_t *
some_consumer(void)
{
    unsigned   i, k;
    client_t  *c;

    k = below(CLIENTS);

    for (i = 0; i < CLIENTS; i++) {
        c = &M.client[(i + k) % CLIENTS];

        if (c->ref && c->role == KMQ_CONSUMER && !M.handle[c->handle].dead
            && (c->n || one_in(20)))
        {
            return c;
        }
    }

    return NULL;
}


static void
op_confirm_upto(void)
{
    unsigned   n, got;
    uint32_t   position;
    client_t  *c;

    c = some_consumer();

    if (c == NULL) {
        return;
    }

    if (c->n && !one_in(20)) {
        position = c->flight[one_in(3) ? c->n - 1 : below(c->n)].position;
    } else {
        position = c->last + below(20) - 10;
    }

    n = 0;

    while (c->n && (int32_t) (c->flight[0].position - position) <= 0) {
        confirmed(c, &c->flight[0]);
        n++;
    }

    got = kmq_confirm_upto(M.handle[c->handle].kmq, c->ref, position);
    CHECK(got == n, "confirm_upto: %u, want %u", got, n);
    wakes(c->handle);
}


/* Some code, and mostly a right one. */
static void
some_code(client_t *c, char *code)
{
    unsigned   i;
    message_t  *m;

    switch (below(8)) {

    case 0:
        memcpy(code, M.old[below(OLD)], KMQ_CODE_LEN);
        return;

    case 1:
        m = &M.message[MESSAGES - 1 - below(MESSAGES - M.nunused + 1)];
        memcpy(code, m->code, KMQ_CODE_LEN);
        return;

    case 2:
        for (i = 0; i < KMQ_CODE_LEN; i++) {
            code[i] = "0123456789abcdef"[below(16)];
        }

        return;

    default:
        break;
    }

    if (c->n == 0) {
        memset(code, '0', KMQ_CODE_LEN);
        return;
    }

    m = &M.message[c->flight[below(c->n)].id];
    memcpy(code, m->code, KMQ_CODE_LEN);

    if (one_in(6)) {
        code[below(KMQ_CODE_LEN)] ^= (char) (1 << below(7));
    }
}


/* Fills in up to 8 codes for c; returns how many. */
static unsigned
some_codes(client_t *c, char codes[8][KMQ_CODE_LEN])
{
    unsigned  i, n;

    n = below(9);

    for (i = 0; i < n; i++) {
        some_code(c, codes[i]);
    }

    return n;
}


/* The delivery of c that a code names. */
static delivery_t *
delivery_named(client_t *c, const char *code)
{
    unsigned  i;

    for (i = 0; i < c->n; i++) {
        if (memcmp(M.message[c->flight[i].id].code, code, KMQ_CODE_LEN) == 0) {
            return &c->flight[i];
        }
    }

    return NULL;
}


static void
op_confirm_codes(void)
{
    char         codes[8][KMQ_CODE_LEN];
    unsigned     i, n, got, want;
    client_t    *c;
    delivery_t  *d;

    c = some_consumer();

    if (c == NULL) {
        return;
    }

    n = some_codes(c, codes);

    for (i = 0, want = 0; i < n; i++) {
        d = delivery_named(c, codes[i]);

        if (d) {
            confirmed(c, d);
            want++;
        }
    }

    got = kmq_confirm_codes(M.handle[c->handle].kmq, c->ref, codes[0], n);
    CHECK(got == want, "confirm_codes: %u, want %u", got, want);
    CHECK(kmq_in_flight(M.handle[c->handle].kmq, c->ref) == c->n,
          "in flight after confirm_codes");
    wakes(c->handle);
}


static void
op_extend(void)
{
    char         codes[8][KMQ_CODE_LEN];
    unsigned     i, n, got, want;
    client_t    *c;
    delivery_t  *d;

    c = some_consumer();

    if (c == NULL) {
        return;
    }

    n = some_codes(c, codes);

    for (i = 0, want = 0; i < n; i++) {
        d = delivery_named(c, codes[i]);

        if (d) {
            d->time = M.handle[c->handle].mono;
            d->returned = 0;
            want++;
        }
    }

    got = kmq_extend_codes(M.handle[c->handle].kmq, c->ref, codes[0], n);
    CHECK(got == want, "extend_codes: %u, want %u", got, want);
    M.extended += got;
    wakes(c->handle);
}


/* A consumer gives delivery d back. */
static void
returned(client_t *c, delivery_t *d, place_t *place)
{
    uint32_t  id;

    id = d->id;

    /* what it was pushed too often ends when the worker looks */

    if (M.topic[c->topic].push_type == KMQ_PUSH_ALL) {
        d->returned = 1;
        return;
    }

    delivery_remove(c, d);
    let_go(id, bit_of(c), c->handle, !M.handle[c->handle].retired, place);
}


static void
op_return(void)
{
    char         codes[8][KMQ_CODE_LEN];
    place_t      place;
    unsigned     i, n, got, want;
    client_t    *c;
    delivery_t  *d;

    c = some_consumer();

    if (c == NULL) {
        return;
    }

    n = some_codes(c, codes);
    place.group = place.after = NONE;
    M.epoch++;

    for (i = 0, want = 0; i < n; i++) {
        d = delivery_named(c, codes[i]);

        if (d) {
            returned(c, d, &place);
            want++;
        }
    }

    got = kmq_return_codes(M.handle[c->handle].kmq, c->ref, codes[0], n);
    CHECK(got == want, "return_codes: %u, want %u", got, want);
    CHECK(kmq_in_flight(M.handle[c->handle].kmq, c->ref) == c->n,
          "in flight after return_codes");
    M.returned += got;
    wakes(c->handle);
}


/* ---------------------------------------------------------------- clients */

static void
join_consumer(client_t *c)
{
    topic_t  *t = &M.topic[c->topic];

    c->push_type = t->now.push_type;
    M.consumers++;

    if (t->consumers++ == 0) {
        t->push_type = c->push_type;
        t->ref = 0;
    }

    t->matching += c->push_type == t->push_type;

    if (!one_in(10)) {
        c->ready = 1;
        kmq_set_ready(M.handle[c->handle].kmq, c->ref, 1);
        wakes(c->handle);
    }
}


static void
join(client_t *c, unsigned role, unsigned topic)
{
    unsigned            i;
    topic_t            *t = &M.topic[topic];
    kmq_counts_t        now;
    kmq_client_info_t   info;

    c->role = role;
    c->handle = some_handle();
    c->topic = topic;
    c->prefetch = one_in(4) ? 1 + below(300) : 1 + below(20);
    c->prefetch = one_in(20) ? 256 : c->prefetch;
    c->serial = ++M.serial;
    c->ready = 0;
    c->any = 0;
    c->n = 0;
    c->messages = 0;
    c->confirmed = 0;
    c->closing = 0;
    c->told = 0;
    c->mode = below(3);
    c->last_seen = seconds(c->handle);
    c->flight = realloc(c->flight, c->prefetch * sizeof(delivery_t));

    memset(&info, 0, sizeof(info));
    info.role = c->role;
    info.prefetch = c->prefetch;
    info.mode = c->mode;
    info.topic_len = (uint16_t) strlen(t->name);
    memcpy(info.topic, t->name, info.topic_len);
    info.id_len = (uint16_t) sprintf(info.id, "%u", c->serial);
    info.addr_len = (uint16_t) sprintf(info.addr, "::1");

    c->ref = kmq_join(M.handle[c->handle].kmq, &info, c);
    CHECK(c->ref, "no memory for a client");
    observe(c->handle, &now);

    for (i = 0; i < CLIENTS; i++) {
        CHECK(&M.client[i] == c || M.client[i].ref != c->ref,
              "two clients in one place");
    }

    if (c->role == KMQ_PRODUCER) {
        M.producers++;
    } else {
        join_consumer(c);
    }
}


static void
op_join(void)
{
    client_t  *c;

    c = &M.client[below(CLIENTS)];

    if (c->ref == 0) {
        join(c, one_in(4) ? KMQ_PRODUCER : KMQ_CONSUMER, below(TOPICS));
    }
}


static void
leave(client_t *c)
{
    uint64_t   died;
    kmq_ref_t  ref;

    ref = c->ref;
    died = M.died;
    M.epoch++;
    left(c, c->handle, !M.handle[c->handle].retired);
    M.died_leaving += M.died - died;
    kmq_leave(M.handle[c->handle].kmq, ref);
    wakes(c->handle);
}


static void
op_leave(void)
{
    client_t  *c;

    c = &M.client[below(CLIENTS)];

    if (c->ref && !M.handle[c->handle].dead) {
        leave(c);
    }
}


static void
op_set_ready(void)
{
    client_t  *c;

    c = some_consumer();

    if (c) {
        c->ready = !one_in(3);
        kmq_set_ready(M.handle[c->handle].kmq, c->ref, c->ready);
        wakes(c->handle);
    }
}


/* --------------------------------------------------- handles come and go */

static void
handle_ends(unsigned h)
{
    M.epoch++;
    handle_left(h, h);
    handle_close(&M.handle[h], 1);
    M.lost_wakes = 1;
    attach(h, below(BROKEN));
}


/* All of a worker's clients go, and nobody is to blame. */
static void
handle_retires(unsigned h)
{
    unsigned  i;

    M.handle[h].retired = 1;
    kmq_retire(M.handle[h].kmq);
    wakes(h);

    for (i = 0; i < CLIENTS; i++) {
        if (M.client[i].ref && M.client[i].handle == h && !one_in(4)) {
            leave(&M.client[i]);
        }
    }
}


static void
handle_dies(unsigned h)
{
    handle_t  *handle = &M.handle[h];

    if (!handle->threaded || dead_handles() + 2 > HANDLES) {
        return;
    }

    M.kills++;
    handle_close(handle, 0);
    handle->dead = 1;

    if (one_in(2)) {

        /* the next one in its place gives back what it held */

        M.epoch++;
        M.handle[h].wall = UNKNOWN * 1000;
        handle_left(h, h);
        attach(h, handle->worker);
    }
}


static void
op_reattach(void)
{
    unsigned  h;

    h = some_handle();

    switch (below(5)) {

    case 0:
        handle_retires(h);
        break;

    case 1:
        M.epoch++;
        handle_left(h, h);
        kmq_leave_all(M.handle[h].kmq);
        wakes(h);
        break;

    case 2:
    case 3:
        handle_dies(h);
        break;

    default:
        handle_ends(h);
        break;
    }
}


/* ------------------------------------------------- death inside the lock */

#ifdef KMQ_FAULTS

#define CAN_BREAK  1

static __thread const char  *dies_at;
static int                   has_died;

/* The thread ends here, with its lock. */
static void
fault(const char *point)
{
    if (dies_at && strcmp(point, dies_at) == 0) {
        has_died = 1;
        M.broken_reserved = strcmp(point, "reserve") == 0;
        pthread_exit(NULL);
    }
}


/* A worker that reserves a message, and dies of it or later. */
static void *
broken_thread(void *arg)
{
    char            name[KMQ_NAME_MAX + 1];
    kmq_t          *kmq;
    kmq_message_t   m;

    kmq = kmq_attach(M.block, SIZE, BROKEN);
    CHECK(kmq, "attach");
    bury(kmq);
    kmq_clock(kmq, M.mono, WALL + M.mono + M.offset);

    memset(&m, 0, sizeof(m));
    m.size = 1;

    if (one_in(2)) {
        sprintf(name, "topic %*u", one_in(2) ? 100 : 1, ++M.serial);
    } else {
        strcpy(name, M.topic[below(TOPICS)].name);
    }

    dies_at = arg;
    M.broken_reserved = kmq_reserve_to(kmq, name, strlen(name), &m) == KMQ_OK;

    return NULL;
}


/* The next one that takes the lock makes all lists and counters anew. */
static void
op_break(void)
{
    char         *point;
    unsigned      h;
    pthread_t     thread;
    kmq_counts_t  now;

    /* who has this number now gives back what the last one left */

    M.reserved -= M.broken_reserved;
    M.broken_reserved = 0;
    M.broken = 1;

    point = one_in(2) ? "reserve" : "topic-create";
    has_died = 0;
    kmq_fault = fault;

    if (pthread_create(&thread, NULL, broken_thread, point) != 0) {
        fail("pthread_create");
    }

    pthread_join(thread, NULL);

    M.reserved += M.broken_reserved;
    h = some_handle();
    observe(h, &now);
    CHECK(kmq_repaired(M.handle[h].kmq) == has_died, "kmq_repaired");

    if (has_died) {
        M.repairs++;
        M.repaired++;
        lists_sort();
        waits_anew(M.handle[h].mono);
    }

    compare(&now);
    wakes(h);
}

#else

#define CAN_BREAK  0

static void
op_break(void)
{
    /* void */
}

#endif


/* --------------------------------------------------------------- settings */

#define PICK(array)  (array)[below(sizeof(array) / sizeof((array)[0]))]

static void
topic_settings(kmq_topic_settings_t *s)
{
    static const uint32_t  retry[] = { 0, 1, 20, 100, 1000, 30000 };
    static const uint32_t  most[] = { 0, 0, 1, 2, 3, 6 };
    static const uint32_t  clean[] = { 0, 0, 1, 10, 100, 1000 };

    if (M.options & MIXED) {
        s->push_type = 1 + below(2);
    }

    if (M.options & TIMED) {
        s->retry_time = PICK(retry);
        s->max_deliveries = PICK(most);
        s->clean_time = PICK(clean);
    }
}


/* Tells all workers the settings, as a reload would. */
static void
configure(void)
{
    unsigned   h;
    topic_t   *t;

    for (t = M.topic; t < M.topic + TOPICS; t++) {
        t->now = t->has_own ? t->own : M.settings.topic;
    }

    /* the current batch goes on */

    M.pace_before = M.ready + M.pace_count;
    M.pace_count = M.settings.batch_interval ? M.settings.batch_count : 0;
    M.pace_start = M.mono;
    M.pace_settings = 0;
    M.pace_back = 0;
    M.pace_used = 0;

    for (h = 0; h < HANDLES; h++) {
        if (!M.handle[h].dead) {
            kmq_configure(M.handle[h].kmq, &M.settings);
            M.wall = M.handle[h].wall;
            wakes(h);

            /* by its clock, the current batch may end sooner */

            M.pace_settings++;
            M.pace_start = M.handle[h].mono < M.pace_start
                           ? M.handle[h].mono : M.pace_start;
        }
    }

    M.lost_wakes = 1;
}


static void
op_configure(void)
{
    topic_t  *t;

    static const uint32_t  bounds[] = { 40, 300, 3000, 100000, 100000 };
    static const uint32_t  checks[] = { 1, 10, 1000, 5000 };

    M.settings.waiting_max = PICK(bounds);
    M.settings.keep_consumed = !one_in(3);
    M.settings.retry_count = below(4);
    M.settings.check_interval = PICK(checks);

    if (M.options & PACED) {
        M.settings.batch_interval = one_in(3) ? 0 : 1 + below(100);
        M.settings.batch_count = 1 + below(200);
    }

    topic_settings(&M.settings.topic);

    for (t = M.topic; t < M.topic + TOPICS; t++) {
        t->has_own = M.options & (MIXED|TIMED) && one_in(3);
        t->own = M.settings.topic;
        topic_settings(&t->own);
    }

    configure();
}


/* ------------------------------------------------------------------- time */

/* When something will happen, of some kind: 0, or its time. */
static uint64_t
some_deadline(void)
{
    client_t    *c;
    delivery_t  *d;

    if (one_in(3)) {
        return M.delayed.count ? M.message[M.delayed.head].due : 0;
    }

    c = some_consumer();

    if (c == NULL || c->n == 0) {
        return 0;
    }

    d = &c->flight[below(c->n)];

    return M.topic[c->topic].now.retry_time
           ? d->time + M.topic[c->topic].now.retry_time : 0;
}


/* Time jumps, mostly to where something is about to happen. */
static void
clock_jump(void)
{
    uint64_t  to;

    if (one_in(40)) {
        M.mono += 1000 * below(one_in(4) ? 1200 : 20);
        return;
    }

    if (!(M.options & JOURNALED) && one_in(20)) {

        /* somebody sets the wall clock */

        M.offset = 2000 * below(200);
        return;
    }

    to = some_deadline() + below(3) - 1;

    if (to > M.mono && to < M.mono + 40000) {
        M.mono = to;
    }
}


static void
op_clock(void)
{
    unsigned  h;

    M.mono += below(20);

    if (M.options & TIMED && one_in(3)) {
        clock_jump();
    }

    h = some_handle();
    clock_set(h);
}


static void
op_tick(void)
{
    unsigned  h;

    h = some_handle();
    tick(h);
    clients_close(h);
}

#endif /* KMQ_ENGINE_MODEL_CALLS_H */
