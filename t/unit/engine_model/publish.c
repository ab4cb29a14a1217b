/*
 * Publishing: room, body, commit.
 */

#include "body.h"
#include "count.h"
#include "handle.h"
#include "message.h"
#include "observe.h"
#include "publish.h"
#include "shard.h"


/* Checks why not all of n messages got room; the first that did not has so many
 * bytes. */
void
check_refusal(unsigned h, unsigned topic, unsigned n, unsigned got, int why,
    uint32_t size)
{
    uint64_t      spare, half, least, holes;
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

    if (got == 0) {
        number_maybe(M.topic[topic].shard, seconds(h));
    }

    /* what is free between messages of other shards is theirs */

    holes = M.shards > 1 ? shards_holes(M.topic[topic].shard) : 0;

    /* history goes for it, but not where all of it would not be enough */

    spare = SIZE / 32 + 36 * 8192;

    CHECK(c.consumed == 0
          || c.bytes_history + c.bytes_free < size + size / 64 + spare + holes,
          "KMQ_NOMEM for %u bytes with %llu in the history", size,
          (unsigned long long) c.consumed);

    /* what was deleted in flight lies there unseen for a while */

    half = M.shards > 1 ? c.bytes_total / 2 : SIZE / 2;
    least = half > holes ? half - holes : 0;

    CHECK(M.bytes > least || M.options & MANAGED,
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


/* Behind those with smaller numbers. */
static void
all_insert(uint32_t id)
{
    uint32_t  after;

    after = M.all.tail;

    while (after != NONE
           && M.message[after].sequence > M.message[id].sequence)
    {
        after = PREV(&M.all, after);
    }

    list_insert(&M.all, after, id);
}


/* A message that kmq_reserve() has made room for. */
void
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
    number_given(M.topic[m->topic].shard, m->create_time, m->sequence);
    CHECK(m->slot < SIZE / 8, "slot %u", m->slot);

    M.of_slot[m->slot] = id;
    M.reserved++;
    M.bytes += m->size + 200;
    M.peak = M.bytes > M.peak ? M.bytes : M.peak;
    M.peak_next = M.bytes > M.peak_next ? M.bytes : M.peak_next;
    all_insert(id);
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
    check_refusal(h, topic, n, got, why, got < n ? held->m[got].size : 0);
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
void
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
void
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


void
op_publish(void)
{
    held_t    *held, now;
    unsigned   h, n;
    client_t  *c;

    n = 1 + (one_in(4) ? below(HELD_MAX) : 0);

    if (M.nunused < n || M.all.count - M.consumed > LIVE) {
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
