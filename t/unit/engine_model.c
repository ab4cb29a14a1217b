/*
 * Model-based test: random calls on several handles of one block, and beside
 * it a trivial model (engine_model.h) that says what each call may answer.
 *
 *     KMQ_SEED=n   repeats a run       KMQ_STEPS=n   calls per run
 *     KMQ_RUN=n    only this one       KMQ_JOBS=n    runs at a time
 *
 * Each run is a process of its own.
 */

#include <sys/wait.h>
#include <unistd.h>

#include "engine_model.h"


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

    clock_set(h);
    kmq_configure(handle->kmq, &M.settings);
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

    CHECK(kmq_tick(M.handle[h].kmq) == want, "%u are dead", want);
    wakes(h);

    for (i = 0; i < HANDLES; i++) {
        if (M.handle[i].dead) {
            handle_left(i, h);
            M.handle[i].dead = 0;
            attach(i, below(BROKEN));
        }
    }
}


/* ---------------------------------------------------------------- publish */

/* Checks why not all of n messages got room. */
static void
check_refusal(unsigned h, unsigned n, unsigned got, int why)
{
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
    CHECK(c.consumed == 0, "KMQ_NOMEM with %llu in the history",
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
    check_refusal(h, n, got, why);
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


/* Onto the schedule; or it is due
 * already. */
static void
message_delayed(unsigned h, uint32_t id)
{
    message_t           *m = &M.message[id];
    kmq_message_info_t   info;

    CHECK(kmq_find(M.handle[h].kmq, m->code, &info) == KMQ_OK, "find delayed");

    if (info.status == KMQ_STATUS_WAITING) {
        CHECK(m->due <= M.mono, "%u is ready too early", id);
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

    for (k = i; k < i + n; k++) {
        write_body(kmq, &held->m[k], held->id[k]);
    }

    kmq_commit(kmq, held->m + i, n);
    M.published += n;

    for (k = i; k < i + n; k++) {
        if (M.message[held->id[k]].due) {
            message_delayed(held->handle, held->id[k]);
        } else {
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
            finish(held);
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

/* A ready message is taken: was it its turn? */
static void
take_ready(topic_t *t, uint32_t id)
{
    group_t    *g;
    message_t  *m = &M.message[id];

    CHECK(m->state == READY, "%u pushed in state %d", id, m->state);
    CHECK(&M.topic[m->topic] == t, "message %u of another topic", id);

    if (m->group == NONE) {
        CHECK(t->ngroups == 0, "returned messages go first");
#ifdef MODEL_DEBUG
#endif
        CHECK(t->fresh.head == id
              || (m->tie && m->tie == M.message[t->fresh.head].tie),
              "%u is not the first in its topic", id);

    } else {
        g = &t->group[m->group];
        CHECK(g->epoch == t->group[t->ngroups - 1].epoch,
              "what came back last goes first");
#ifdef MODEL_DEBUG
#endif

        /* of several consumers it is the last one that counts */

        CHECK(g->list.head == id || m->tie,
              "what came back goes in its order");
    }

    ready_remove(id);
    m->state = IN_FLIGHT;
    M.redelivered += m->attempts++ > 0;
    M.in_flight++;
    M.pace_used++;
}


/*
 * The messages of a batch leave the queue, in the order of positions.  Those
 * that have left it before need not be in a run again.
 */
static void
take_messages(topic_t *t, kmq_batch_t *b, const uint32_t *id,
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

        take_ready(t, id[first]);
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

    M.delivered++;
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
    M.delivered++;
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
        take_messages(t, &b, id, covered);

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

    M.message[id].confirmed = 1;
    M.confirmed++;
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
op_join(void)
{
    unsigned            i;
    topic_t            *t;
    client_t           *c;
    kmq_counts_t        now;
    kmq_client_info_t   info;

    c = &M.client[below(CLIENTS)];

    if (c->ref) {
        return;
    }

    c->role = one_in(4) ? KMQ_PRODUCER : KMQ_CONSUMER;
    c->handle = some_handle();
    c->topic = below(TOPICS);
    c->prefetch = one_in(4) ? 1 + below(300) : 1 + below(20);
    c->serial = ++M.serial;
    c->ready = 0;
    c->any = 0;
    c->n = 0;
    c->flight = realloc(c->flight, c->prefetch * sizeof(delivery_t));
    t = &M.topic[c->topic];

    memset(&info, 0, sizeof(info));
    info.role = c->role;
    info.prefetch = c->prefetch;
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
    char            name[32];
    kmq_t          *kmq;
    kmq_message_t   m;

    kmq = kmq_attach(M.block, SIZE, BROKEN);
    CHECK(kmq, "attach");
    bury(kmq);
    kmq_clock(kmq, M.mono, WALL + M.mono + M.offset);

    memset(&m, 0, sizeof(m));
    m.size = 1;
    sprintf(name, "topic %u", one_in(2) ? ++M.serial : below(TOPICS));

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
        lists_sort();
    }

    compare(&now);
    wakes(h);
}

#else

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

    if (one_in(20)) {

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
    unsigned   h;
    client_t  *c;

    h = some_handle();
    tick(h);

    while ((c = kmq_too_slow(M.handle[h].kmq)) != NULL) {
        CHECK(c >= M.client && c < M.client + CLIENTS && c->ref
              && c->handle == h && c->role == KMQ_CONSUMER
              && M.topic[c->topic].push_type == KMQ_PUSH_ALL,
              "too slow: not a consumer of this worker");
        leave(c);
    }
}


/* ------------------------------------------------------------- management */

static int
status_of(const message_t *m)
{
    switch (m->state) {

    case READY:
    case IN_FLIGHT:
        return KMQ_STATUS_WAITING;

    case DELAYED:
        return KMQ_STATUS_DELAYED;

    case CONSUMED:
        return KMQ_STATUS_CONSUMED;

    default:
        return KMQ_STATUS_DEAD;
    }
}


static int
is_visible(const message_t *m)
{
    return m->state != FREE && m->state != RESERVED
           && !(m->state == IN_FLIGHT && m->doomed);
}


static void
check_info(uint32_t id, const kmq_message_info_t *info)
{
    topic_t    *t;
    message_t  *m = &M.message[id];

    t = &M.topic[m->topic];

    CHECK(is_visible(m) && info->status == status_of(m)
          && info->size == m->size && info->create_time == m->create_time
          && info->delay == m->delay && info->sequence == m->sequence
          && info->slot == m->slot
          && memcmp(info->code, m->code, KMQ_CODE_LEN) == 0,
          "%u is found, but is not as it is (status %d)", id, info->status);
    CHECK(info->attempts == m->attempts, "%u: %u attempts, want %u", id,
          info->attempts, m->attempts);
    CHECK(info->consumed_time == (m->state == CONSUMED ? m->consumed_time : 0)
          || m->consumed_time == UNKNOWN,
          "%u: consumed_time %u", id, info->consumed_time);
    CHECK(info->topic_len == strlen(t->name)
          && memcmp(info->topic, t->name, info->topic_len) == 0,
          "%u: topic", id);
}


/* Some message, which may be gone. */
static uint32_t
some_message(void)
{
    unsigned   i;
    client_t  *c;
    topic_t   *t = &M.topic[below(TOPICS)];

    switch (below(6)) {

    case 0:
        c = some_consumer();

        if (c && c->n) {
            return c->flight[below(c->n)].id;
        }

        break;

    case 1:
        if (t->dead.count) {
            return one_in(2) ? t->dead.head : t->dead.tail;
        }

        break;

    case 2:
        if (t->fresh.count) {
            return one_in(2) ? t->fresh.head : t->fresh.tail;
        }

        break;

    case 3:
        if (M.delayed.count) {
            return one_in(2) ? M.delayed.head : M.delayed.tail;
        }

        break;

    default:
        break;
    }

    i = MESSAGES - M.nunused;

    return MESSAGES - 1 - below(i + 20 < MESSAGES ? i + 20 : MESSAGES);
}


static void
op_find(void)
{
    int                  rc;
    uint32_t             id;
    kmq_message_info_t   info;

    id = some_message();
    rc = kmq_find(M.handle[some_handle()].kmq, M.message[id].code, &info);

    if (!is_visible(&M.message[id])) {
        CHECK(rc == KMQ_GONE, "%u: found %d, state %d", id, rc,
              M.message[id].state);
        return;
    }

    CHECK(rc == KMQ_OK, "%u: %d, state %d", id, rc, M.message[id].state);
    check_info(id, &info);
    M.found++;
}


/* Deletes a message; what must follow. */
static void
delete(unsigned h, uint32_t id)
{
    int         rc, visible;
    message_t  *m = &M.message[id];

    visible = is_visible(m);
    rc = kmq_delete(M.handle[h].kmq, m->code);
    CHECK(rc == (visible ? KMQ_OK : KMQ_GONE), "delete: %d, state %d", rc,
          m->state);
    wakes(h);

    if (!visible) {
        return;
    }

    M.deleted++;

    switch (m->state) {

    case IN_FLIGHT:
        m->doomed = 1;
        M.in_flight--;
        return;

    case READY:
        ready_remove(id);
        break;

    case DELAYED:
        list_remove(&M.delayed, id);
        break;

    case DEAD:
        list_remove(&M.topic[m->topic].dead, id);
        M.dead--;
        break;

    default:
        history_remove(id);
        return;
    }

    message_gone(id);
}


static void
op_delete(void)
{
    delete(some_handle(), some_message());
}


/* Reads a body in parts; it may be deleted on the way. */
static void
op_copy(void)
{
    int                  n;
    unsigned             h;
    uint32_t             id, left, offset;
    kmq_ref_t            piece;
    static char          buf[3 * KMQ_COPY_MIN];
    kmq_message_info_t   info;

    id = some_message();
    h = some_handle();

    if (!is_visible(&M.message[id])
        || kmq_find(M.handle[h].kmq, M.message[id].code, &info) != KMQ_OK)
    {
        return;
    }

    piece = info.body;
    left = info.size;
    offset = 0;

    for ( ;; ) {
        if (one_in(16)) {
            delete(h, id);
            CHECK(kmq_copy(M.handle[h].kmq, &info, &piece, &left, buf,
                           sizeof(buf)) == KMQ_GONE, "copy of the deleted");
            return;
        }

        n = kmq_copy(M.handle[h].kmq, &info, &piece, &left, buf,
                     KMQ_COPY_MIN + below(2 * KMQ_COPY_MIN));
        CHECK(n >= 0 && (uint32_t) n <= info.size - offset, "copy: %d", n);

        if (n == 0) {
            break;
        }

        CHECK(body_same(id, offset, buf, (uint32_t) n), "copy of %u", id);
        offset += (uint32_t) n;
    }

    CHECK(offset == info.size, "copy of %u ends at %u", id, offset);
}


static void
op_requeue(void)
{
    int         rc;
    unsigned    h;
    uint32_t    id;
    message_t  *m;

    id = some_message();
    h = some_handle();
    m = &M.message[id];
    rc = kmq_requeue(M.handle[h].kmq, m->code);

    if (!is_visible(m)) {
        CHECK(rc == KMQ_GONE, "requeue of none: %d", rc);

    } else if (m->state != DEAD) {
        CHECK(rc == KMQ_ERROR, "requeue in state %d: %d", m->state, rc);

    } else {
        CHECK(rc == KMQ_OK, "requeue: %d", rc);
        message_requeued(id, h);
    }

    wakes(h);
}


/* n dead messages of a topic were requeued, the oldest: which? */
static void
topic_requeued(topic_t *t, unsigned n, unsigned h)
{
    uint32_t             id, next, tie;
    kmq_message_info_t   info;

    for (id = t->dead.head, tie = 0; n; id = next) {
        CHECK(id != NONE, "requeued is what was not the oldest");
        next = NEXT(&t->dead, id);

        if (M.message[id].tie != tie) {
            tie = M.message[id].tie;
            M.tie = tie ? ++M.ties : 0;
        }

        CHECK(kmq_find(M.handle[h].kmq, M.message[id].code, &info) == KMQ_OK,
              "a dead message is gone");

        if (info.status == KMQ_STATUS_WAITING) {
            message_requeued(id, h);
            n--;

        } else {
            CHECK(tie && (next == NONE || M.message[next].tie == tie),
                  "requeued is what was not the oldest");
        }
    }

    M.tie = 0;
}


static void
op_requeue_topic(void)
{
    topic_t   *t = &M.topic[below(TOPICS)];
    unsigned   h, n, max, want;

    h = some_handle();

    if (one_in(10)) {
        CHECK(kmq_requeue_topic(M.handle[h].kmq, "nowhere", 7, 5) == 0,
              "requeue of a topic that is not there");
        return;
    }

    max = below(one_in(2) ? 4 : 1000);
    want = max < t->dead.count ? max : t->dead.count;
    n = kmq_requeue_topic(M.handle[h].kmq, t->name, strlen(t->name), max);
    CHECK(n == want, "requeue_topic: %u, want %u", n, want);
    topic_requeued(t, n, h);
    wakes(h);
}


/* ----------------------------------------------------------------- search */

static int
matches(const kmq_query_t *q, const message_t *m)
{
    const char  *name = M.topic[m->topic].name;

    return is_visible(m)
           && (q->status == KMQ_STATUS_ANY || q->status == status_of(m))
           && (q->topic_len == 0
               || (q->topic_len == strlen(name)
                   && memcmp(q->topic, name, q->topic_len) == 0))
           && m->create_time >= q->from && m->create_time <= q->to;
}


static void
random_query(kmq_query_t *q)
{
    uint32_t                   now;
    static const char *const   none = "nowhere";

    memset(q, 0, sizeof(*q));
    q->status = one_in(2) ? KMQ_STATUS_ANY : (int) below(5) - 1;
    q->to = UINT32_MAX;

    if (one_in(2)) {
        q->topic = one_in(20) ? none : M.topic[below(TOPICS)].name;
        q->topic_len = strlen(q->topic);
    }

    now = seconds(some_handle());

    if (one_in(3)) {
        q->from = now - below(one_in(2) ? 20 : 1000);
    }

    if (one_in(3)) {
        q->to = now - below(one_in(2) ? 20 : 1000);
    }
}


/* Which of the model's messages this is. */
static uint32_t
id_found(const kmq_message_info_t *info)
{
    uint32_t  id;

    CHECK(info->slot < SIZE / 8, "found in slot %u", info->slot);
    id = M.of_slot[info->slot];
    CHECK(M.message[id].sequence == info->sequence, "sequence %llu is found",
          (unsigned long long) info->sequence);
    check_info(id, info);

    return id;
}


/* A complete walk finds exactly what is there. */
static void
op_search(void)
{
    kmq_t               *kmq;
    unsigned             i, n, max, calls;
    uint32_t             want;
    uint64_t             cursor;
    kmq_query_t          q;
    kmq_message_info_t   info[64];

    kmq = M.handle[some_handle()].kmq;
    random_query(&q);
    cursor = 0;
    want = M.all.tail;
    max = one_in(4) ? 3 : 64;

    for (calls = 0; ; calls++) {
        n = kmq_search(kmq, &q, &cursor, info, 1 + below(max));

        for (i = 0; i < n; i++) {
            while (want != NONE && !matches(&q, &M.message[want])) {
                want = PREV(&M.all, want);
            }

            CHECK(want != NONE, "search finds %llu", (unsigned long long)
                  info[i].sequence);
            CHECK(id_found(&info[i]) == want, "search finds %llu, not %llu",
                  (unsigned long long) info[i].sequence,
                  (unsigned long long) M.message[want].sequence);
            want = PREV(&M.all, want);
        }

        if (cursor == 0) {
            break;
        }

        CHECK(calls < 1000000, "a search without end");
    }

    while (want != NONE && !matches(&q, &M.message[want])) {
        want = PREV(&M.all, want);
    }

    CHECK(want == NONE, "search misses %llu",
          (unsigned long long) M.message[want].sequence);
    M.searches++;
}


static void
search_start(search_t *s)
{
    uint32_t  id;

    random_query(&s->query);
    s->query.status = KMQ_STATUS_ANY;
    s->active = 1;
    s->cursor = 0;
    s->last = UINT64_MAX;
    s->top = M.sequence;

    for (id = M.all.head; id != NONE; id = NEXT(&M.all, id)) {
        M.message[id].wanted = matches(&s->query, &M.message[id]);
    }
}


/* One slice of a walk while other things happen: what was there at the start
 * and still is has to be found, once. */
static void
op_search_on(void)
{
    unsigned             i, n;
    uint32_t             id;
    search_t            *s = &M.search;
    kmq_message_info_t   info[40];

    if (!s->active) {
        search_start(s);
    }

    n = kmq_search(M.handle[some_handle()].kmq, &s->query, &s->cursor, info,
                   1 + below(40));

    for (i = 0; i < n; i++) {
        CHECK(info[i].sequence < s->last && info[i].sequence <= s->top,
              "search finds %llu after %llu",
              (unsigned long long) info[i].sequence,
              (unsigned long long) s->last);
        s->last = info[i].sequence;
        id = id_found(&info[i]);
        CHECK(matches(&s->query, &M.message[id]), "search finds what it was "
              "not asked for");
        M.message[id].wanted = 0;
    }

    if (s->cursor) {
        return;
    }

    for (id = M.all.head; id != NONE; id = NEXT(&M.all, id)) {
        CHECK(!M.message[id].wanted || !is_visible(&M.message[id]),
              "search missed %u", id);
    }

    s->active = 0;
    M.searches++;
}


/* ----------------------------------------------------------------- checks */

static void
op_count(void)
{
    unsigned      h;
    kmq_counts_t  now;

    h = some_handle();
    observe(h, &now);
    compare(&now);
}


static void
op_walk(void)
{
    kmq_t              *kmq;
    unsigned            i, k, n, role, found;
    uint64_t            cursor, seen;
    client_t           *c;
    kmq_client_info_t   info[5];

    kmq = M.handle[some_handle()].kmq;
    role = 1 + below(2);
    cursor = 0;
    seen = 0;
    found = 0;

    while ((n = kmq_clients(kmq, role, &cursor, info, 1 + below(5))) != 0) {

        for (i = 0; i < n; i++, found++) {
            info[i].id[info[i].id_len] = '\0';

            for (k = 0; k < CLIENTS; k++) {
                c = &M.client[k];

                if (c->ref && c->serial == strtoul(info[i].id, NULL, 10)) {
                    break;
                }
            }

            CHECK(k < CLIENTS && !(seen >> k & 1), "client not there");
            seen |= UINT64_C(1) << k;
            CHECK(c->role == role && info[i].role == role
                  && info[i].worker == M.handle[c->handle].worker
                  && (role == KMQ_PRODUCER
                      || (info[i].in_flight == c->n
                          && info[i].prefetch == c->prefetch))
                  && topic_by_name(info[i].topic, info[i].topic_len)
                     == &M.topic[c->topic],
                  "client is not as it is");
        }
    }

    CHECK(found == (role == KMQ_PRODUCER ? M.producers : M.consumers),
          "%u clients found", found);
}


static void
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

        if (!is_active(c) || !c->ready || c->n >= c->prefetch) {
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

    do {
        again = 0;

        for (h = 0; h < HANDLES; h++) {

            if (is_told(h)) {
                M.handle[h].woken = 0;
                M.handle[h].timer = 0;
                again = 1;

                while (take(h)) { /* void */ }
                CHECK(++calls < 100000, "work without end");
            }
        }
    } while (again);
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


/* All that was due has been done: nothing is ready too late, no delivery
 * overdue. */
static void
check_due(void)
{
    unsigned     i;
    client_t    *c;
    delivery_t  *d;

    CHECK(M.delayed.count == 0 || M.message[M.delayed.head].due > M.mono,
          "%u is delayed, and due since %llu ms", M.delayed.head,
          (unsigned long long) (M.mono - M.message[M.delayed.head].due));

    for (c = M.client; c < M.client + CLIENTS; c++) {
        if (!is_active(c)) {
            continue;
        }

        for (i = 0; i < c->n; i++) {
            d = &c->flight[i];

#ifdef MODEL_DEBUG
#endif
            CHECK(!overdue(c, d) || (!c->ready
                      && M.topic[c->topic].push_type == KMQ_PUSH_ALL),
                  "%u has been with %u for %llu ms", d->id,
                  (unsigned) (c - M.client),
                  (unsigned long long) (M.mono - d->time));
        }
    }
}


/* The message that is first in a topic, where that is certain. */
static uint32_t
ready_first(const topic_t *t)
{
    unsigned  n = t->ngroups;

    if (n == 0) {
        return t->fresh.head;
    }

    if (n > 1 && t->group[n - 2].epoch == t->group[n - 1].epoch) {
        return NONE;
    }

    return t->group[n - 1].list.head;
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
#ifdef MODEL_DEBUG
        if (!(M.settings.batch_interval && least)) dumptopic(c);
#endif

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


/*
 * No wake-up is ever lost: when every worker has done what it was told to,
 * nobody is left that could be pushed something, but for the pace, and nothing
 * is late.
 */
static void
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
    check_due();
    work_paced();
    check_due();
    M.quiesced++;

    if (M.options & TIMED && one_in(4)) {
        check_age();
    }
}


/* ------------------------------------------------------------------- runs */

typedef struct {
    void      (*call)(void);
    unsigned    options;           /* in which runs; 0: in all */
    unsigned    weight[4];         /* in each mood */
} op_t;

static const op_t  ops[] = {
    /*                              even  fills  drains  churn */
    { op_publish,       0,       { 3000,  6000,   1000,  2000 } },
    { op_take,          0,       { 2000,  1000,   3000,  2000 } },
    { op_confirm_upto,  0,       { 1200,   200,   2000,   500 } },
    { op_confirm_codes, 0,       { 1200,   200,   2000,   500 } },
    { op_join,          0,       {   60,    20,     60,   400 } },
    { op_leave,         0,       {   30,    20,     10,   400 } },
    { op_set_ready,     0,       {  100,   100,    100,   300 } },
    { op_clock,         0,       {  200,   200,    200,   200 } },
    { op_tick,          0,       {   20,    20,     20,    20 } },
    { op_count,         0,       {   20,    20,     20,    20 } },
    { op_walk,          0,       {    5,     5,      5,    20 } },
    { op_configure,     0,       {    3,     3,      3,     3 } },
    { op_reattach,      0,       {    2,     2,      2,    30 } },
    { verify,           0,       {    3,     3,      3,     3 } },
    { op_quiesce,       0,       {   30,     5,     30,    30 } },
    { op_extend,        TIMED,   {  300,   100,    300,   300 } },
    { op_return,        TIMED,   {  200,    50,    200,   200 } },
    { op_find,          MANAGED, {  200,   200,    200,   200 } },
    { op_copy,          MANAGED, {   40,    40,     40,    40 } },
    { op_delete,        MANAGED, {  100,    50,    100,   100 } },
    { op_requeue,       MANAGED, {  100,    50,    100,   100 } },
    { op_requeue_topic, MANAGED, {   10,     5,     10,    10 } },
    { op_search,        MANAGED, {    1,     1,      1,     1 } },
    { op_search_on,     MANAGED, {   20,    20,     20,    20 } },
    { op_break,         BREAKS,  {    2,     2,      2,     5 } },
};

#define OPS  (sizeof(ops) / sizeof(ops[0]))


static unsigned
weight(const op_t *op)
{
    return op->options && !(M.options & op->options) ? 0
                                                     : op->weight[M.mood];
}


static void
start(uint64_t seed, unsigned n, unsigned push_type, unsigned options)
{
    unsigned  i;
    uint64_t  fill;

    /* the last one: times of 32 bits overflow on the way */

    static const uint64_t  clocks[] = { 1000, 1000, UINT32_MAX - 20000 };

    memset(&M, 0, sizeof(M));
    M.seed = seed;
    M.run = n;
    M.random = seed + n;
    M.options = options;
    M.mono = clocks[below(3)];
    M.block = eu_block(SIZE);
    M.settings = eu_settings(push_type);
    M.settings.waiting_max = 3000;
    M.settings.topic_own = topic_own;
    M.settings.topic_arg = &M;

    fill = 1;
    eu_fill(noise, sizeof(noise), fill);

    for (i = 0; i < MESSAGES; i++) {
        M.unused[M.nunused++] = i;
    }

    list_init(&M.all, ALL);
    list_init(&M.history, HISTORY);
    list_init(&M.delayed, PLACE);

    for (i = 0; i < TOPICS; i++) {
        sprintf(M.topic[i].name, "topic %u", i);
        list_init(&M.topic[i].fresh, PLACE);
        list_init(&M.topic[i].log, PLACE);
        list_init(&M.topic[i].dead, PLACE);
        list_init(&M.topic[i].history, PLACE);
        M.topic[i].now = M.settings.topic;
    }

    for (i = 0; i < HANDLES; i++) {
        attach(i, i);
    }

    configure();
}


/* Time goes on, and what is dead lives again, until all is consumed. */
static void
drain(void)
{
    unsigned   i, k;
    uint64_t   due;
    client_t  *c;

    for (i = 0; M.all.count > M.consumed && i < 200000; i++) {

        while ((c = some_consumer()) == NULL) {
            op_join();
        }

        c->ready = 1;
        kmq_set_ready(M.handle[c->handle].kmq, c->ref, 1);
        wakes(c->handle);
        op_quiesce();
        op_confirm_upto();

        if (i % 100 == 0) {
            op_join();

            if (M.delayed.count) {
                due = M.message[M.delayed.tail].due;
                M.mono = due > M.mono ? due : M.mono;
            }

            for (k = 0; M.dead && k < 100; k++) {
                op_requeue_topic();
            }
        }
    }

    CHECK(M.all.count == M.consumed, "%u messages stay",
          (unsigned) (M.all.count - M.consumed));
}


/* Everybody leaves, all is consumed; nothing may stay behind. */
static void
finish_run(void)
{
    unsigned       i;
    kmq_counts_t   k;

    tick(some_handle());

    for (i = 0; i < HELD; i++) {
        finish(&M.held[i]);
    }

    for (i = 0; i < CLIENTS; i++) {
        if (M.client[i].ref) {
            leave(&M.client[i]);
        }
    }

    M.settings.batch_interval = 0;
    M.settings.keep_consumed = 0;
    memset(&M.settings.topic, 0, sizeof(M.settings.topic));
    M.settings.topic.push_type = KMQ_PUSH_ONE;

    for (i = 0; i < TOPICS; i++) {
        M.topic[i].has_own = 0;
    }

    configure();
    M.mono += 1000000;

    while (M.consumers < TOPICS) {
        op_join();
    }

    drain();
    op_count();

    for (i = 0; i < CLIENTS; i++) {
        if (M.client[i].ref) {
            leave(&M.client[i]);
        }
    }

    verify();
    k = eu_count(M.handle[0].kmq);
    CHECK(k.ready + k.in_flight + k.delayed + k.dead == 0, "messages stay");
}


static void
steps(uint64_t n)
{
    uint64_t  i;
    unsigned  k, sum, x;

    for (i = 0; i < n; i++) {
        M.step = i;

        if (i % 5000 == 0) {
            M.mood = (int) below(4);
        }

        for (k = 0, sum = 0; k < OPS; k++) {
            sum += weight(&ops[k]);
        }

        x = below(sum);

        for (k = 0; x >= weight(&ops[k]); k++) {
            x -= weight(&ops[k]);
        }

        ops[k].call();
#ifdef MODEL_DEBUG
        op_name = k;
#endif
    }
}


typedef struct {
    const char  *name;
    unsigned     push_type, options;
} run_t;

#define ONE  KMQ_PUSH_ONE
#define PUB KMQ_PUSH_ALL

static const run_t  runs[] = {
    { "point to point",                    ONE, 0 },
    { "publish/subscribe",                 PUB, 0 },
    { "point to point, paced",             ONE, PACED },
    { "publish/subscribe, paced",          PUB, PACED },
    { "both, large",                       ONE, MIXED|LARGE },
    { "both, large, paced",                PUB, MIXED|LARGE|PACED },
    { "point to point, timed",             ONE, TIMED },
    { "publish/subscribe, timed",          PUB, TIMED },
    { "point to point, timed, managed",    ONE, TIMED|MANAGED },
    { "publish/subscribe, timed, managed", PUB, TIMED|MANAGED|KILLS },
    { "both, timed, managed, repaired",    ONE,
      TIMED|MANAGED|KILLS|MIXED|BREAKS },
    { "both, all there is",                ONE,
      TIMED|MANAGED|KILLS|MIXED|PACED },
    { "both, all there is, large",         PUB,
      TIMED|MANAGED|KILLS|MIXED|PACED|LARGE|BREAKS },
};

#define RUNS  (sizeof(runs) / sizeof(runs[0]))


/* What a run says to the parent. */
typedef struct {
    char    text[400];
    int     met;                   /* all that it was made for has happened */
    pid_t   pid;
} result_t;


static void
report(result_t *r)
{
    r->met = (!(M.options & LARGE) || M.nomems)
             && (!(M.options & MIXED) || M.switched)
             && (!(M.options & KILLS) || M.kills)
             && (!(M.options & BREAKS) || M.repairs)
             && (!(M.options & MANAGED) || (M.deleted && M.searches))
             && (!(M.options & TIMED)
                 || (M.due && M.overdue && M.died && M.expired && M.extended
                     && M.returned && M.died_leaving));

    snprintf(r->text, sizeof(r->text), "%llu published, %llu delivered, "
             "%llu consumed; %llu times out of memory, %llu due, %llu overdue, "
             "%llu pushed again, %llu dead, %llu expired, %llu deleted, "
             "%llu requeued, %llu searches, %llu kills, %llu repairs, "
             "%llu probes",
             (unsigned long long) M.published,
             (unsigned long long) M.delivered, (unsigned long long) M.ended,
             (unsigned long long) M.nomems, (unsigned long long) M.due,
             (unsigned long long) M.overdue, (unsigned long long) M.repushed,
             (unsigned long long) M.died, (unsigned long long) M.expired,
             (unsigned long long) M.deleted, (unsigned long long) M.requeued,
             (unsigned long long) M.searches, (unsigned long long) M.kills,
             (unsigned long long) M.repairs,
             (unsigned long long) M.probed);
}


/* The life of a child. */
static void
run(unsigned n, uint64_t seed, uint64_t nsteps, result_t *r)
{
    unsigned  i;

    start(seed, n, runs[n].push_type, runs[n].options);
    steps(nsteps);
    finish_run();
    report(r);

    for (i = 0; i < HANDLES; i++) {
        handle_close(&M.handle[i], 1);
    }

    for (i = 0; i < CLIENTS; i++) {
        free(M.client[i].flight);
    }

    for (i = 0; i < TOPICS; i++) {
        free(M.topic[i].group);
    }

    munmap(M.block, SIZE);
}


/* Waits for one child; 0 when there is none. */
static int
reap(result_t *r, uint64_t nsteps)
{
    int       status;
    pid_t     pid;
    unsigned  n;

    pid = wait(&status);

    for (n = 0; n < RUNS && pid > 0; n++) {
        if (r[n].pid != pid) {
            continue;
        }

        if (ok(status == 0, "%s", runs[n].name)) {
            diag("%s", r[n].text);
            ok(r[n].met || nsteps < 100000, "%s: that was all it is for",
               runs[n].name);
        } else {
            diag("status %x", (unsigned) status);
        }
    }

    return pid > 0;
}


int
main(void)
{
    uint64_t   seed, nsteps, only;
    result_t  *r;
    pid_t      pid;
    unsigned   n, jobs, running;

    seed = eu_env("KMQ_SEED", (uint64_t) time(NULL));
    nsteps = eu_env("KMQ_STEPS", 900000);
    only = eu_env("KMQ_RUN", RUNS);
    jobs = (unsigned) eu_env("KMQ_JOBS",
                             (uint64_t) sysconf(_SC_NPROCESSORS_ONLN));
    diag("KMQ_SEED=%llu KMQ_STEPS=%llu", (unsigned long long) seed,
         (unsigned long long) nsteps);

    r = eu_map(RUNS * sizeof(result_t));
    running = 0;

    for (n = 0; n < RUNS; n++) {
        if (only != RUNS && only != n) {
            continue;
        }

        if (running == jobs) {
            (void) reap(r, nsteps);
            running--;
        }

        fflush(stdout);
        pid = fork();

        if (pid == 0) {
            run(n, seed, nsteps, &r[n]);
            exit(0);
        }

        r[n].pid = pid;
        running++;
    }

    while (reap(r, nsteps)) { /* void */ }

    return done_testing();
}
