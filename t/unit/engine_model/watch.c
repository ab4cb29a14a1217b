/*
 * What engine_model.c does as an operator would who watches the queue and acts:
 * counts, growth, topics, clients and latency are compared with the model;
 * messages are purged, clients disconnected.
 */

#include "count.h"
#include "handle.h"
#include "hold.h"
#include "manage.h"
#include "message.h"
#include "observe.h"
#include "search.h"
#include "shard.h"
#include "watch.h"


/* ----------------------------------------------------------------- growth */

/* The period of that number, as it must be told; kept is a table of n. */
static void
check_period(const kmq_period_t *got, const kmq_period_t *kept, unsigned n,
    uint64_t number)
{
    kmq_period_t  want;

    memset(&want, 0, sizeof(want));
    want.number = number;
    want.backlog = KMQ_UNKNOWN;
    kept += number % n;

    if (kept->number == number) {
        want = *kept;
        want.published = (int64_t) want.published > 0 ? want.published : 0;
    }

    CHECK(memcmp(got, &want, sizeof(want)) == 0, "period %llu of %u: %llu "
          "%llu %llu %lld, want %llu: %llu %llu %llu %lld",
          (unsigned long long) got->number, n,
          (unsigned long long) got->published,
          (unsigned long long) got->delivered,
          (unsigned long long) got->confirmed, (long long) got->backlog,
          (unsigned long long) number,
          (unsigned long long) want.published,
          (unsigned long long) want.delivered,
          (unsigned long long) want.confirmed, (long long) want.backlog);
}


void
op_growth(void)
{
    unsigned             h, i, n, unit, kept;
    uint64_t             last;
    static kmq_period_t  got[KMQ_MINUTES];

    h = some_handle();
    unit = one_in(2) ? KMQ_UNIT_MINUTE : KMQ_UNIT_HOUR;
    kept = unit == KMQ_UNIT_MINUTE ? KMQ_MINUTES : KMQ_HOURS;
    last = M.handle[h].wall / 1000 / (unit == KMQ_UNIT_MINUTE ? 60 : 3600);
    n = one_in(4) ? kept : 1 + below(kept);
    kmq_growth(M.handle[h].kmq, unit, got, n);

    for (i = 0; i < n; i++) {
        check_period(&got[i], unit == KMQ_UNIT_MINUTE ? M.minute : M.hour,
                     kept, last - (n - 1 - i));
    }

    M.watched++;
}


void
op_latency(void)
{
    unsigned       i;
    uint64_t       n;
    kmq_latency_t  latency;

    kmq_latency(M.handle[some_handle()].kmq, &latency);

    for (i = 0, n = 0; i <= KMQ_LATENCY_BOUNDS; i++) {
        n += latency.count[i];
    }

    SAME(n, M.pushed);
    SAME(latency.sum, M.waited);
}


/* ----------------------------------------------------------------- topics */

/* What there is of a topic now; 0: nothing that keeps the engine from
 * forgetting it. */
static int
topic_expect(const topic_t *t, kmq_topic_info_t *want)
{
    unsigned    i, held;
    uint32_t    id;
    message_t  *m;

    memset(want, 0, sizeof(*want));

    for (id = M.all.head, held = 0; id != NONE; id = NEXT(&M.all, id)) {
        m = &M.message[id];

        if (&M.topic[m->topic] == t) {
            held++;
            want->ready += m->state == READY;
            want->in_flight += m->state == IN_FLIGHT && !m->doomed;
            want->delayed += m->state == DELAYED;
            want->retrying += m->state == RETRYING || m->state == ASIDE;
            want->consumed += m->state == CONSUMED;
            want->dead += m->state == DEAD;
        }
    }

    for (i = 0; i < CLIENTS; i++) {
        if (M.client[i].ref && &M.topic[M.client[i].topic] == t) {
            want->producers += M.client[i].role == KMQ_PRODUCER;
            want->consumers += M.client[i].role == KMQ_CONSUMER;
        }
    }

    want->paused = (uint32_t) t->paused;

    return held + want->producers + want->consumers + want->paused != 0;
}


/* The age of a message that may be the first of those that are ready. */
static int
is_oldest(const topic_t *t, uint64_t oldest)
{
    uint32_t  id, first;

    first = ready_first(t);

    if (first != NONE && M.message[first].tie == 0) {
        return oldest == M.message[first].since;
    }

    for (id = M.all.head; id != NONE; id = NEXT(&M.all, id)) {
        if (M.message[id].state == READY
            && &M.topic[M.message[id].topic] == t
            && M.message[id].since == oldest)
        {
            return 1;
        }
    }

    return t->nready == 0 && oldest == 0;
}


/* Where memory was short or there were many names, an idle topic may have been
 * forgotten, and its counters begin anew. */
static void
count_follow(topic_t *t, const kmq_topic_info_t *got)
{
    counted_t  *c = &t->count;

    if (M.vague || M.options & (LARGE|BREAKS)) {
        CHECK(got->totals.expired >= c->expired
              || got->totals.published < c->published
              || M.options & (LARGE|BREAKS), "too few expired");
        c->expired = got->totals.expired;
    }

    if (!(M.options & (LARGE|BREAKS))
        || got->totals.published >= c->published)
    {
        return;
    }

    memset(c->minute, 0, sizeof(c->minute));
    memset(c->hour, 0, sizeof(c->hour));
    c->published = got->totals.published;
    c->delivered = got->totals.delivered;
    c->redelivered = got->totals.redelivered;
    c->confirmed = got->totals.confirmed;
    c->died = got->totals.died;
    c->refused = got->totals.refused;
}


static void
check_counts(topic_t *t, const kmq_topic_info_t *got)
{
    counted_t  *c = &t->count;

    count_follow(t, got);

    SAME(got->totals.published, c->published);
    SAME(got->totals.delivered, c->delivered);
    SAME(got->totals.redelivered, c->redelivered);
    SAME(got->totals.confirmed, c->confirmed);
    SAME(got->totals.died, c->died);
    SAME(got->totals.expired, c->expired);
    SAME(got->totals.refused, c->refused);
}


static void
check_topic(topic_t *t, const kmq_topic_info_t *got)
{
    kmq_topic_info_t  want;

    (void) topic_expect(t, &want);

    SAME(got->ready, want.ready);
    SAME(got->in_flight, want.in_flight);
    SAME(got->delayed, want.delayed);
    SAME(got->retrying, want.retrying);
    SAME(got->resting, resting_of(t));
    SAME(got->consumed, want.consumed);
    SAME(got->dead, want.dead);
    SAME(got->producers, want.producers);
    SAME(got->consumers, want.consumers);
    SAME(got->paused, want.paused);
    CHECK(is_oldest(t, got->oldest), "oldest: %llu",
          (unsigned long long) got->oldest);
    CHECK(got->push_type == t->push_type || want.consumers == 0,
          "push type %u, want %u", got->push_type, t->push_type);
    check_counts(t, got);
}


/* What is told of a topic by minute or hour at a time.  A period that is not
 * kept any more for whoever counted last may be gone. */
static void
check_table(const char *what, const kmq_period_t *got,
    const kmq_period_t *want, unsigned n, uint64_t time, uint64_t latest)
{
    unsigned  i;

    for (i = 0; i < n; i++) {

        if (got[i].number == 0 && (!is_current(want[i].number, n, time)
                                   || !is_current(want[i].number, n, latest)))
        {
            continue;
        }

        CHECK(is_current(got[i].number, n, time), "%s %u: %llu is of old",
              what, i, (unsigned long long) got[i].number);

        CHECK(got[i].number == want[i].number
              && got[i].published == want[i].published
              && got[i].delivered == want[i].delivered
              && got[i].confirmed == want[i].confirmed,
              "%s %u: %llu, %llu %llu %llu, want %llu, %llu %llu %llu",
              what, i, (unsigned long long) got[i].number,
              (unsigned long long) got[i].published,
              (unsigned long long) got[i].delivered,
              (unsigned long long) got[i].confirmed,
              (unsigned long long) want[i].number,
              (unsigned long long) want[i].published,
              (unsigned long long) want[i].delivered,
              (unsigned long long) want[i].confirmed);
    }
}


/* One topic by its name. */
static void
check_detail(unsigned h, topic_t *t)
{
    int                        rc;
    kmq_t                     *kmq = M.handle[h].kmq;
    kmq_topic_info_t           want;
    static kmq_topic_detail_t  d;

    rc = kmq_topic(kmq, t->name, strlen(t->name), &d);

    if (rc == KMQ_GONE) {
        CHECK(!topic_expect(t, &want), "%s is gone", t->name);
        CHECK(t->count.published == 0 || M.options & (LARGE|BREAKS),
              "%s is forgotten", t->name);
        return;
    }

    CHECK(rc == KMQ_OK && d.info.name_len == strlen(t->name)
          && memcmp(d.info.name, t->name, d.info.name_len) == 0, "kmq_topic");
    check_topic(t, &d.info);

    CHECK(memcmp(&d.settings, &t->now, sizeof(d.settings)) == 0,
          "settings of %s", t->name);

    /* what was before it was forgotten is in the model's no more */

    if (!(M.options & (LARGE|BREAKS))) {
        check_table("minute", d.minute, t->count.minute, KMQ_TOPIC_MINUTES,
                    seconds(h), t->count.latest);
        check_table("hour", d.hour, t->count.hour, KMQ_TOPIC_HOURS,
                    seconds(h), t->count.latest);
    }
}


static topic_t *
topic_known(const kmq_topic_info_t *info)
{
    unsigned  i;

    for (i = 0; i < TOPICS; i++) {
        if (strlen(M.topic[i].name) == info->name_len
            && memcmp(M.topic[i].name, info->name, info->name_len) == 0)
        {
            return &M.topic[i];
        }
    }

    CHECK(M.options & BREAKS && memcmp(info->name, "topic ", 6) == 0,
          "an unknown topic");

    return NULL;
}


/* All topics are told, each once, as they are. */
void
op_topics(void)
{
    kmq_t             *kmq;
    topic_t           *t;
    unsigned           h, i, n, seen, found;
    uint64_t           cursor;
    kmq_counts_t       now;
    kmq_topic_info_t   info[5], want;

    h = some_handle();
    kmq = M.handle[h].kmq;
    observe(h, &now);
    compare(&now);

    cursor = 0;
    seen = 0;
    found = 0;

    while ((n = kmq_topics(kmq, &cursor, info, 1 + below(5))) != 0) {
        for (i = 0; i < n; i++, found++) {
            t = topic_known(&info[i]);

            if (t) {
                CHECK(!(seen >> (t - M.topic) & 1), "%s is told twice",
                      t->name);
                seen |= 1u << (t - M.topic);
                check_topic(t, &info[i]);
            }
        }
    }

    SAME(now.topics, found);

    for (i = 0; i < TOPICS; i++) {
        CHECK(seen >> i & 1 || !topic_expect(&M.topic[i], &want),
              "topic %u is not told", i);
    }

    check_detail(h, &M.topic[below(TOPICS)]);
    M.vague = 0;
}


void
op_refused(void)
{
    unsigned                   n;
    topic_t                   *t = &M.topic[below(TOPICS)];
    static kmq_topic_detail_t  d;
    kmq_t                     *kmq = M.handle[some_handle()].kmq;

    n = 1 + below(5);
    M.refused += n;

    if (kmq_topic(kmq, t->name, strlen(t->name), &d) == KMQ_OK) {
        t->count.refused += n;
    }

    kmq_count_refused(kmq, t->name, strlen(t->name), n);
}


/* ------------------------------------------------------------------ pause */

static void
pause_topic(topic_t *t, int on)
{
    int               rc;
    unsigned          h;
    kmq_topic_info_t  want;

    h = some_handle();
    rc = kmq_pause(M.handle[h].kmq, t->name, strlen(t->name), on);
    CHECK(rc == KMQ_OK || (rc == KMQ_GONE && !topic_expect(t, &want)),
          "pause: %d", rc);
    wakes(h);

    if (rc != KMQ_OK) {
        return;
    }

    if (t->paused && !on) {
        t->resumed = M.mono;
    }

    t->paused = on;
    M.paused += (uint64_t) on;
}


/* Most of the time few topics are. */
void
op_pause(void)
{
    topic_t  *t = &M.topic[below(TOPICS)];

    pause_topic(t, t->paused ? one_in(4) : one_in(3));
}


void
resume_all(void)
{
    unsigned  i;

    for (i = 0; i < TOPICS; i++) {
        pause_topic(&M.topic[i], 0);
    }
}


/* ------------------------------------------------------------------ purge */

/* One slice, or all of them: the first that match are gone, and no other. */
void
op_purge(void)
{
    unsigned     h;
    uint32_t     id, next;
    uint64_t     cursor, deleted, n;
    kmq_query_t  q;

    h = some_handle();
    random_query(&q);
    next = walk_first(&q);
    cursor = 0;
    deleted = 0;

    do {
        kmq_purge(M.handle[h].kmq, &q, &cursor, &deleted);
    } while (cursor && !one_in(4));

    wakes(h);

    for (n = 0; (id = next) != NONE; /* void */) {
        next = walk_next(&q, id);

        if (!matches(&q, &M.message[id])) {
            continue;
        }

        if (n == deleted) {
            CHECK(cursor, "%u was not purged", id);
            break;
        }

        message_deleted(id);
        n++;
    }

    SAME(deleted, n);
    M.purged += n;
}


/* ---------------------------------------------------------------- clients */

/* What is told of a client. */
void
check_client(const client_t *c, const kmq_client_info_t *info)
{
    CHECK(info->ref == c->ref && info->mode == c->mode,
          "client %u: ref or mode", c->serial);
    SAME(info->messages, c->messages);
    SAME(info->confirmed, c->confirmed);
    SAME(info->last_seen, c->last_seen);
    CHECK(info->resting == (uint32_t) (c->role == KMQ_CONSUMER && c->resting),
          "client %u: resting", c->serial);
}


void
op_seen(void)
{
    unsigned   n;
    client_t  *c = &M.client[below(CLIENTS)];

    if (c->ref == 0 || M.handle[c->handle].dead) {
        return;
    }

    n = c->role == KMQ_PRODUCER ? below(4) : 0;
    kmq_seen(M.handle[c->handle].kmq, c->ref, n);
    c->messages += n;
    c->last_seen = seconds(c->handle);
}


/* The number of a client. */
static uint64_t
number_of(kmq_t *kmq, const client_t *c)
{
    uint64_t            cursor;
    kmq_client_info_t   info;

    cursor = 0;

    while (kmq_clients(kmq, c->role == KMQ_PRODUCER ? KMQ_PRODUCER
                                                    : KMQ_CONSUMER,
                       &cursor, &info, 1))
    {
        if (info.ref == c->ref) {
            return info.number;
        }
    }

    fail("client %u is not told", c->serial);
}


void
op_disconnect(void)
{
    int        known;
    unsigned   h;
    uint64_t   number;
    client_t  *c = &M.client[below(CLIENTS)];

    if (c->ref == 0 || c->leaving) {
        return;
    }

    h = some_handle();
    number = number_of(M.handle[h].kmq, c);
    known = !one_in(4);

    CHECK(kmq_disconnect(M.handle[h].kmq, c->ref, number + !known)
          == (known ? KMQ_OK : KMQ_GONE), "kmq_disconnect");
    wakes(h);
    c->closing |= known;
}


/* All workers have done what they were told to. */
void
check_closed(void)
{
    client_t  *c;

    for (c = M.client; c < M.client + CLIENTS; c++) {
        CHECK(c->ref == 0 || !c->closing || M.handle[c->handle].dead,
              "client %u should have been closed", c->serial);
    }
}
