/*
 * What engine_model.c does as an operator would: finds, reads, deletes,
 * requeues and searches for messages, compared with the model.
 */

#ifndef KMQ_ENGINE_MODEL_MANAGE_H
#define KMQ_ENGINE_MODEL_MANAGE_H

#include "engine_model_calls.h"


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
    CHECK(m->state == CONSUMED && m->consumed_time == UNKNOWN
          ? info->consumed_time >= WALL / 1000
          : info->consumed_time == (m->state == CONSUMED ? m->consumed_time
                                                         : 0),
          "%u: consumed_time %u", id, info->consumed_time);
    CHECK(info->in_flight == (m->state == IN_FLIGHT),
          "%u: in flight %u", id, info->in_flight);
    CHECK((info->dead_time != 0) == (m->state == DEAD && m->dead_time != 0)
          && (info->dead_time == m->dead_time || m->state != DEAD),
          "%u: dead_time %u, want %u", id, info->dead_time, m->dead_time);
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
}


/* A message that could be seen is deleted. */
static void
message_deleted(uint32_t id)
{
    message_t  *m = &M.message[id];

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

    if (visible) {
        message_deleted(id);
    }
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

#endif /* KMQ_ENGINE_MODEL_MANAGE_H */
