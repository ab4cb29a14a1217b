/*
 * Searches, at once and in slices.
 */

#include "count.h"
#include "handle.h"
#include "manage.h"
#include "search.h"
#include "shard.h"


int
matches(const kmq_query_t *q, const message_t *m)
{
    const char  *name = M.topic[m->topic].name;

    return is_visible(m)
           && (q->status == KMQ_STATUS_ANY || q->status == status_of(m)
               || (q->status == KMQ_STATUS_IN_FLIGHT
                   && m->state == IN_FLIGHT))
           && (q->topic_fits == NULL || q->topic_fits(NULL, name, 1))
           && (q->topic_len == 0
               || (q->topic_len == strlen(name)
                   && memcmp(q->topic, name, q->topic_len) == 0))
           && m->create_time >= q->from && m->create_time <= q->to;
}


/* Half of the topics. */
static int
odd_topic(void *arg, const char *name, size_t len)
{
    (void) arg;
    (void) len;

    return name[0] & 1;
}


void
random_query(kmq_query_t *q)
{
    uint32_t                   now;
    static const char *const   none = "nowhere";

    memset(q, 0, sizeof(*q));
    q->status = one_in(2) ? KMQ_STATUS_ANY : (int) below(5) - 1;
    q->status = one_in(8) ? KMQ_STATUS_IN_FLIGHT : q->status;
    q->to = UINT32_MAX;
    q->oldest = one_in(3);
    q->topic_fits = one_in(8) ? odd_topic : NULL;

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


/* A walk begins: the first message of all that it meets. */
uint32_t
walk_first(const kmq_query_t *q)
{
    if (q->oldest) {
        return M.all.head;
    }

    numbers_anew_all();

    return M.all.tail;
}


uint32_t
walk_next(const kmq_query_t *q, uint32_t id)
{
    return q->oldest ? NEXT(&M.all, id) : PREV(&M.all, id);
}


/* The next one that a walk finds, from id on; NONE: there is none. */
static uint32_t
wanted(const kmq_query_t *q, uint32_t id)
{
    while (id != NONE && !matches(q, &M.message[id])) {
        id = walk_next(q, id);
    }

    return id;
}


/* A complete walk finds exactly what is there. */
void
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
    want = walk_first(&q);
    max = one_in(4) ? 3 : 64;

    for (calls = 0; ; calls++) {
        n = kmq_search(kmq, &q, &cursor, info, 1 + below(max));

        for (i = 0; i < n; i++) {
            want = wanted(&q, want);

            CHECK(want != NONE, "search finds %llu", (unsigned long long)
                  info[i].sequence);
            CHECK(id_found(&info[i]) == want, "search finds %llu, not %llu",
                  (unsigned long long) info[i].sequence,
                  (unsigned long long) M.message[want].sequence);
            want = walk_next(&q, want);
        }

        if (cursor == 0) {
            break;
        }

        CHECK(calls < 1000000, "a search without end");
    }

    want = wanted(&q, want);

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
    s->last = s->query.oldest ? 0 : UINT64_MAX;
    s->top = M.sequence;
    (void) walk_first(&s->query);

    for (id = M.all.head; id != NONE; id = NEXT(&M.all, id)) {
        M.message[id].wanted = matches(&s->query, &M.message[id]);
    }
}


/* One slice of a walk while other things happen: what was there at the start
 * and still is has to be found, once. */
void
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
        CHECK(s->query.oldest ? info[i].sequence > s->last
                              : info[i].sequence < s->last
                                && info[i].sequence <= s->top,
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
