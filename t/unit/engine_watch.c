/* What whoever watches the queue is told: topics, growth, latency, clients.
 * See engine_cases.h. */

#include "../../src/engine/queue/kmq_queue.h"
#include "../../src/engine/upkeep/kmq_upkeep.h"
#include "engine_cases.h"


#define SECOND  1000
#define MINUTE  (60 * SECOND)
#define HOUR    (60 * MINUTE)
#define DAY     (24 * (uint64_t) HOUR)


/* ----------------------------------------------------------------- topics */

static kmq_topic_detail_t
topic_of(kmq_t *kmq, const char *name)
{
    kmq_topic_detail_t  detail;

    memset(&detail, 0, sizeof(detail));
    is_int(kmq_topic(kmq, name, strlen(name), &detail), KMQ_OK, "topic %s",
           name);

    return detail;
}


/* The same that a walk tells. */
static void
is_in_walk(kmq_t *kmq, const kmq_topic_info_t *want)
{
    uint64_t          cursor;
    unsigned          found;
    kmq_topic_info_t  info;

    cursor = 0;
    found = 0;

    for ( ;; ) {
        memset(&info, 0, sizeof(info));

        if (kmq_topics(kmq, &cursor, &info, 1) == 0) {
            break;
        }

        if (info.name_len == want->name_len
            && memcmp(info.name, want->name, want->name_len) == 0)
        {
            found++;
            is_bytes((char *) &info, sizeof(info), (const char *) want,
                     sizeof(info), "the same in a walk");
        }
    }

    is_int(found, 1, "met once");
}


/* ready, in flight, delayed, consumed, dead; published, delivered,
 * redelivered, confirmed, died, expired, refused */
static void
topic_is(kmq_t *kmq, const char *want, const char *what)
{
    char                 text[200];
    kmq_topic_info_t    *i;
    kmq_topic_detail_t   detail;

    detail = topic_of(kmq, "t");
    i = &detail.info;

    sprintf(text, "%llu %llu %llu %llu %llu; %llu %llu %llu %llu %llu %llu "
            "%llu", (unsigned long long) i->ready,
            (unsigned long long) i->in_flight,
            (unsigned long long) i->delayed,
            (unsigned long long) i->consumed, (unsigned long long) i->dead,
            (unsigned long long) i->totals.published,
            (unsigned long long) i->totals.delivered,
            (unsigned long long) i->totals.redelivered,
            (unsigned long long) i->totals.confirmed,
            (unsigned long long) i->totals.died,
            (unsigned long long) i->totals.expired,
            (unsigned long long) i->totals.refused);

    (void) ec_text(text, want, what);
    is_in_walk(kmq, i);
}


/* Everything that can become of a message, counted for its topic. */
static void
test_topic(void)
{
    kmq_ref_t           a;
    ec_queue_t          q;
    kmq_topic_detail_t  t;

    ec_open_retry(&q, KMQ_PUSH_ONE, 300 * SECOND, 2);
    q.s.topic.clean_time = 1000;
    kmq_configure(q.kmq, &q.s);
    ec_clock(q.kmq, SECOND);

    topic_is(q.kmq, "0 0 0 0 0; 0 0 0 0 0 0 0", "nothing yet");
    ec_publish(q.kmq, q.p, 1, 4);
    ec_delayed(q.kmq, q.p, 5, 10 * SECOND);
    topic_is(q.kmq, "4 0 1 0 0; 5 0 0 0 0 0 0", "published");

    a = eu_consumer(q.kmq, "t", 10, "a");
    (void) ec_take(q.kmq);
    topic_is(q.kmq, "0 4 1 0 0; 5 4 0 0 0 0 0", "pushed");

    t = topic_of(q.kmq, "t");
    is_int(t.info.producers, 1, "a producer");
    is_int(t.info.consumers, 1, "a consumer");
    is_int(t.info.push_type, KMQ_PUSH_ONE, "its type");
    is_int(t.settings.max_deliveries, 2, "its settings");
    is_int((long long) t.info.oldest, 0, "none waits");

    (void) ec_confirm(q.kmq, a, "1");
    topic_is(q.kmq, "0 3 1 1 0; 5 4 0 1 0 0 0", "one is confirmed");

    (void) ec_return(q.kmq, a, "2");
    (void) ec_take(q.kmq);
    topic_is(q.kmq, "0 3 1 1 0; 5 5 1 1 0 0 0", "one is pushed again");

    (void) ec_return(q.kmq, a, "2");
    topic_is(q.kmq, "0 2 1 1 1; 5 5 1 1 1 0 0", "and dies");

    is_int(kmq_delete(q.kmq, ec_code[3]), KMQ_OK, "deleted in flight");
    topic_is(q.kmq, "0 1 1 1 1; 5 5 1 1 1 0 0", "it is not seen any more");
    (void) ec_confirm(q.kmq, a, "3");
    topic_is(q.kmq, "0 1 1 1 1; 5 5 1 2 1 0 0", "and goes");

    kmq_count_refused(q.kmq, "t", 1, 3);
    kmq_count_refused(q.kmq, "another", 7, 1);
    topic_is(q.kmq, "0 1 1 1 1; 5 5 1 2 1 0 3", "refused");
    is_int((long long) eu_count(q.kmq).totals.refused, 4, "refused in all");

    ec_clock(q.kmq, 2000 * SECOND);
    (void) kmq_tick(q.kmq);
    kmq_leave(q.kmq, a, 0);
    (void) ec_take(q.kmq);
    topic_is(q.kmq, "0 0 0 0 0; 5 5 1 2 1 4 3", "old ones expire");

    is_int(kmq_topic(q.kmq, "no", 2, &t), KMQ_GONE, "no such topic");
    ec_close(&q, "topic");
}


/* Since when the first ready message could have been delivered. */
static void
test_oldest(void)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_retry(&q, KMQ_PUSH_ONE, 300 * SECOND, 1);
    ec_clock(q.kmq, 10 * SECOND);
    ec_delayed(q.kmq, q.p, 1, 20 * SECOND);
    is_int((long long) topic_of(q.kmq, "t").info.oldest, 0, "delayed");

    ec_clock(q.kmq, 50 * SECOND);
    (void) kmq_tick(q.kmq);
    (void) ec_take(q.kmq);
    is_int((long long) topic_of(q.kmq, "t").info.oldest,
           EC_WALL / 1000 + 30, "since it was due");

    ec_publish(q.kmq, q.p, 2, 1);
    is_int((long long) topic_of(q.kmq, "t").info.oldest,
           EC_WALL / 1000 + 30, "the first counts");

    a = eu_consumer(q.kmq, "t", 1, "a");
    (void) ec_take(q.kmq);
    is_int((long long) topic_of(q.kmq, "t").info.oldest,
           EC_WALL / 1000 + 50, "then the next");

    ec_clock(q.kmq, 70 * SECOND);
    (void) ec_return(q.kmq, a, "1");
    (void) ec_take(q.kmq);
    is_int(kmq_requeue(q.kmq, ec_code[1]), KMQ_OK, "requeued");
    (void) ec_return(q.kmq, a, "2");
    is_int((long long) topic_of(q.kmq, "t").info.oldest,
           EC_WALL / 1000 + 70, "a requeued one since then");

    ec_close(&q, "oldest");
}


/* Topics come and go while they are walked: those that stay are met once. */
static void
test_walk(unsigned slice)
{
    char              name[32];
    uint64_t          cursor;
    unsigned          i, n, met[1000], wrong;
    kmq_ref_t         stay[1000];
    ec_queue_t        q;
    kmq_topic_info_t  info[64];

    ec_open(&q, KMQ_PUSH_ONE);
    kmq_leave(q.kmq, q.p, 0);

    for (i = 0; i < 1000; i++) {
        sprintf(name, "%u", i);
        stay[i] = eu_producer(q.kmq, name);
    }

    memset(met, 0, sizeof(met));
    cursor = 0;
    wrong = 0;

    while ((n = kmq_topics(q.kmq, &cursor, info, slice)) != 0) {
        wrong += n > slice;

        for (i = 0; i < n; i++) {
            memcpy(name, info[i].name, info[i].name_len);
            name[info[i].name_len] = '\0';

            if (name[0] != 'x' && name[0] != 't') {
                met[atoi(name)]++;
            }
        }

        sprintf(name, "x%llu", (unsigned long long) cursor);
        kmq_leave(q.kmq, eu_producer(q.kmq, name), 0);
    }

    for (i = 0; i < 1000; i++) {
        wrong += met[i] != 1;
        kmq_leave(q.kmq, stay[i], 0);
    }

    is_int(wrong, 0, "all that stay are met once, %u at a time", slice);

    /* from wherever somebody says that he was */

    for (i = 0; i < 64; i++) {
        cursor = (UINT64_C(0x9e3779b97f4a7c15) * i) >> i;
        wrong += kmq_topics(q.kmq, &cursor, info, 64) > 64;
    }

    is_int(wrong, 0, "any cursor is one");
    ec_close(&q, "walk");
}


/* ----------------------------------------------------------------- growth */

/* The periods with anything in them: how long ago, published, delivered,
 * confirmed, and the backlog. */
static void
growth_is(kmq_t *kmq, unsigned unit, unsigned n, const char *want,
    const char *what)
{
    char           text[EC_TEXT];
    size_t         len;
    unsigned       i;
    uint64_t       now;
    kmq_period_t  *period;

    period = calloc(n, sizeof(kmq_period_t));
    kmq_growth(kmq, unit, period, n);
    now = period[n - 1].number;
    text[0] = '\0';

    for (i = 0, len = 0; i < n && len < EC_TEXT - 100; i++) {
        if (period[i].number != now - (n - 1 - i)) {
            len += sprintf(text + len, "wrong number ");
        }

        if (period[i].published || period[i].delivered || period[i].confirmed
            || period[i].backlog != KMQ_UNKNOWN)
        {
            len += sprintf(text + len, "%s%u: %llu %llu %llu",
                           len ? ", " : "", n - 1 - i,
                           (unsigned long long) period[i].published,
                           (unsigned long long) period[i].delivered,
                           (unsigned long long) period[i].confirmed);

            if (period[i].backlog != KMQ_UNKNOWN) {
                len += sprintf(text + len, " (%llu)",
                               (unsigned long long) period[i].backlog);
            }
        }
    }

    free(period);
    (void) ec_text(text, want, what);
}


static void
test_growth(void)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open(&q, KMQ_PUSH_ONE);

    /* the wall clock's minute and hour begin at 11 s, and 31 s */

    ec_clock(q.kmq, 11 * SECOND);
    growth_is(q.kmq, KMQ_UNIT_MINUTE, KMQ_MINUTES, "", "nothing");
    ec_publish(q.kmq, q.p, 1, 3);
    ec_delayed(q.kmq, q.p, 4, HOUR);
    growth_is(q.kmq, KMQ_UNIT_MINUTE, 1, "0: 4 0 0", "now");
    growth_is(q.kmq, KMQ_UNIT_HOUR, KMQ_HOURS, "0: 4 0 0", "in the hour");

    ec_clock(q.kmq, 11 * SECOND + MINUTE);
    (void) kmq_tick(q.kmq);
    a = eu_consumer(q.kmq, "t", 10, "a");
    (void) ec_take(q.kmq);
    growth_is(q.kmq, KMQ_UNIT_MINUTE, 5, "1: 4 0 0, 0: 0 3 0 (4)",
              "a minute later");

    ec_clock(q.kmq, 11 * SECOND + 3 * MINUTE);
    (void) ec_confirm(q.kmq, a, "1 2");
    (void) kmq_tick(q.kmq);
    growth_is(q.kmq, KMQ_UNIT_MINUTE, KMQ_MINUTES,
              "3: 4 0 0, 2: 0 3 0 (4), 0: 0 0 2 (2)", "and two more");

    ec_clock(q.kmq, 11 * SECOND + 2 * MINUTE + 24 * HOUR);
    (void) ec_confirm(q.kmq, a, "3");
    growth_is(q.kmq, KMQ_UNIT_MINUTE, KMQ_MINUTES, "1439: 0 0 2 (2), 0: 0 0 1",
              "a day later the first minutes are gone");
    growth_is(q.kmq, KMQ_UNIT_HOUR, KMQ_HOURS, "24: 4 3 2 (2), 0: 0 0 1",
              "but not the hours");

    ec_close(&q, "growth");
}


/* Some of topic t's periods: ago: published, delivered, confirmed; the first
 * number is how long ago. */
static void
periods_are(const kmq_period_t *period, unsigned n, uint64_t now,
    const char *want, const char *what)
{
    char                 text[EC_TEXT];
    size_t               len;
    unsigned             ago, i;
    const kmq_period_t  *p;

    text[0] = '\0';

    for (ago = 2 * KMQ_TOPIC_HOURS, len = 0; ago-- > 0; /* void */) {
        for (i = 0, p = period; i < n; i++, p++) {
            if (p->number && p->number + ago == now) {
                len += sprintf(text + len, "%s%u: %llu %llu %llu",
                               len ? ", " : "", ago,
                               (unsigned long long) p->published,
                               (unsigned long long) p->delivered,
                               (unsigned long long) p->confirmed);
            }
        }
    }

    (void) ec_text(text, want, what);
}


static void
minutes_are(kmq_t *kmq, uint64_t mono, const char *want, const char *what)
{
    kmq_topic_detail_t  t;

    t = topic_of(kmq, "t");
    periods_are(t.minute, KMQ_TOPIC_MINUTES, (EC_WALL + mono) / MINUTE, want,
                what);
}


static void
hours_are(kmq_t *kmq, uint64_t mono, const char *want, const char *what)
{
    kmq_topic_detail_t  t;

    t = topic_of(kmq, "t");
    periods_are(t.hour, KMQ_TOPIC_HOURS, (EC_WALL + mono) / HOUR, want, what);
}


/* A topic's own periods, first few, and then all of them. */
static void
test_topic_periods(void)
{
    kmq_ref_t    a;
    uint64_t     mono;
    ec_queue_t   q;

    ec_open(&q, KMQ_PUSH_ONE);
    minutes_are(q.kmq, 0, "", "nothing yet");

    ec_publish(q.kmq, q.p, 1, 3);
    minutes_are(q.kmq, 0, "0: 3 0 0", "a minute");

    ec_clock(q.kmq, mono = MINUTE);
    a = eu_consumer(q.kmq, "t", 10, "a");
    (void) ec_take(q.kmq);
    minutes_are(q.kmq, mono, "1: 3 0 0, 0: 0 3 0", "two");

    /* what is older than an hour makes room for others */

    ec_clock(q.kmq, mono = 62 * MINUTE);
    minutes_are(q.kmq, mono, "", "an hour later there is none");
    (void) ec_confirm(q.kmq, a, "1");
    minutes_are(q.kmq, mono, "0: 0 0 1", "but the next one");
    ec_clock(q.kmq, mono = 63 * MINUTE);
    ec_publish(q.kmq, q.p, 4, 1);
    minutes_are(q.kmq, mono, "1: 0 0 1, 0: 1 0 0", "again two");

    ec_clock(q.kmq, mono = 64 * MINUTE);
    ec_publish(q.kmq, q.p, 5, 1);
    minutes_are(q.kmq, mono, "2: 0 0 1, 1: 1 0 0, 0: 1 0 0", "three");
    ec_clock(q.kmq, mono = 121 * MINUTE);
    ec_publish(q.kmq, q.p, 6, 2);
    minutes_are(q.kmq, mono, "59: 0 0 1, 58: 1 0 0, 57: 1 0 0, 0: 2 0 0",
                "an hour");
    ec_clock(q.kmq, mono = 122 * MINUTE);
    minutes_are(q.kmq, mono, "59: 1 0 0, 58: 1 0 0, 1: 2 0 0", "goes on");
    hours_are(q.kmq, mono, "2: 3 3 0, 1: 2 0 1, 0: 2 0 0", "by hours, too");

    /* whoever set the clock back loses nothing of the hour before */

    ec_clock(q.kmq, mono = 120 * MINUTE);
    ec_publish(q.kmq, q.p, 8, 1);
    minutes_are(q.kmq, mono + MINUTE, "59: 0 0 1, 58: 1 0 0, 57: 1 0 0, "
                "1: 1 0 0, 0: 2 0 0", "a clock that was set back");

    ec_close(&q, "periods");
}


/* What waited when a minute began, about: what it begins with may count. */
static void
test_topic_backlog(void)
{
    uint64_t             mono, backlog;
    unsigned             i;
    ec_queue_t           q;
    kmq_topic_detail_t   t;

    ec_open(&q, KMQ_PUSH_ONE);
    ec_publish(q.kmq, q.p, 1, 20);
    ec_clock(q.kmq, mono = 5 * MINUTE);
    (void) eu_consumer(q.kmq, "t", 100, "a");
    (void) ec_take(q.kmq);
    t = topic_of(q.kmq, "t");

    for (i = 0; i < KMQ_TOPIC_MINUTES; i++) {
        backlog = t.minute[i].backlog;

        if (t.minute[i].number == (EC_WALL + mono) / MINUTE) {
            is_int((long long) backlog, 20, "a minute's, when it began");
        } else if (t.minute[i].number) {
            ok(backlog <= 1, "the first one's");
        }
    }

    for (i = 0; i < KMQ_TOPIC_HOURS; i++) {
        if (t.hour[i].number && t.hour[i].backlog != KMQ_UNKNOWN) {
            break;
        }
    }

    is_int(i, KMQ_TOPIC_HOURS, "of hours it is not known");

    ec_close(&q, "a topic's backlog");
}


static void
test_backlog_kept(void)
{
    unsigned  i, wrong;
    uint64_t  n, got;

    wrong = 0;

    for (i = 0; i < 3000; i++) {
        wrong += i < 2047 && kmq_backlog_read(kmq_backlog_keep(i)) != i;
    }

    for (n = 1; n < UINT64_C(1) << 41; n = n * 3 + 1) {
        got = kmq_backlog_read(kmq_backlog_keep(n));
        wrong += got > n || n - got > n / 1000;
    }

    is_int(wrong, 0, "backlogs are kept right to a thousandth");
    ok(kmq_backlog_read(0) == KMQ_UNKNOWN, "or not known");
    is_int(kmq_backlog_keep(UINT64_MAX), 0, "nor is one that is none");
    is_int(kmq_backlog_keep(UINT64_C(1) << 45), 0, "nor one too large");
}


/* The last hour by minute, and two weeks by hour. */
static void
test_topic_busy(void)
{
    unsigned             i, minutes, hours;
    ec_queue_t           q;
    kmq_topic_detail_t   t;

    ec_open(&q, KMQ_PUSH_ONE);

    for (i = 0; i < 20 * 24 * 60; i += 5) {
        ec_clock(q.kmq, i * (uint64_t) MINUTE);
        ec_publish(q.kmq, q.p, 99, 1);
    }

    for (i = 0; i < 100; i++) {
        ec_clock(q.kmq, 20 * DAY + i * MINUTE);
        ec_publish(q.kmq, q.p, 99, 1);
    }

    t = topic_of(q.kmq, "t");

    for (i = 0, minutes = 0; i < KMQ_TOPIC_MINUTES; i++) {
        minutes += t.minute[i].published == 1
                   && (EC_WALL + 20 * DAY) / MINUTE + 99 - t.minute[i].number
                      < 60;
    }

    for (i = 0, hours = 0; i < KMQ_TOPIC_HOURS; i++) {
        hours += t.hour[i].published == 12
                 && (EC_WALL + 20 * DAY) / HOUR - t.hour[i].number
                    < KMQ_TOPIC_HOURS - 2;
    }

    is_int(minutes, KMQ_TOPIC_MINUTES, "the last hour by minute");
    is_int(hours, KMQ_TOPIC_HOURS - 3, "all hours but the last three");

    ec_close(&q, "a busy topic");
}


/* In the shard of topic t, how many topics have room for all of their periods
 * of that class. */
static unsigned
rooms(kmq_t *kmq, unsigned class)
{
    void         *part;
    unsigned      n;
    kmq_walk_t    walk;
    kmq_shard_t  *s = kmq_topic_shard(kmq, "t", 1);

    memset(&walk, 0, sizeof(walk));

    for (n = 0; (part = kmq_table_scan(s, class, &walk)) != NULL; /* void */) {
        n += kmq_object_used(s, class, part) != 0;
    }

    return n;
}


/* A pass over all topics at that time. */
static void
pass(kmq_t *kmq, uint64_t mono)
{
    unsigned  i;

    for (i = 0; i < 10; i++) {
        ec_clock(kmq, mono + i * SECOND);
        (void) kmq_tick(kmq);
        (void) eu_take(kmq);
    }
}


/* What a topic needed to keep its periods is given back when they are over,
 * though nothing else is there that grows old. */
static void
test_topic_room(void)
{
    uint64_t      mono, two;
    kmq_shard_t  *s;
    ec_queue_t    q;

    ec_open(&q, KMQ_PUSH_ONE);
    (void) eu_consumer(q.kmq, "t", 10, NULL);
    s = kmq_topic_shard(q.kmq, "t", 1);

    for (mono = 0; mono <= 4 * HOUR; mono += 2 * HOUR) {
        ec_clock(q.kmq, mono);
        ec_publish(q.kmq, q.p, 1, 1);
        (void) eu_drain(q.kmq);
        two = mono - 2 * HOUR;
    }

    hours_are(q.kmq, 4 * HOUR, "4: 1 1 1, 2: 1 1 1, 0: 1 1 1", "three hours");
    is_int(rooms(q.kmq, KMQ_CLASS_HOURS), 1, "have room for all");
    is_int((long long) s->table[KMQ_CLASS_HOURS - KMQ_CLASS_TOPIC].pages, 1,
           "which is a page");

    for (mono = 4 * HOUR; mono <= 4 * HOUR + 4 * MINUTE; mono += 2 * MINUTE) {
        ec_clock(q.kmq, mono);
        ec_publish(q.kmq, q.p, 1, 1);
        (void) eu_drain(q.kmq);
    }

    is_int(rooms(q.kmq, KMQ_CLASS_MINUTES), 1, "and three minutes");

    pass(q.kmq, mono = 4 * HOUR + 50 * MINUTE);
    is_int(rooms(q.kmq, KMQ_CLASS_MINUTES), 1, "as long as they are kept");
    pass(q.kmq, mono = 5 * HOUR + 3 * MINUTE);
    is_int(rooms(q.kmq, KMQ_CLASS_MINUTES), 0, "one minute needs none");
    minutes_are(q.kmq, mono, "59: 1 1 1", "and is kept");

    is_int(rooms(q.kmq, KMQ_CLASS_HOURS), 1, "hours are there longer");
    pass(q.kmq, mono = two + (KMQ_TOPIC_HOURS - 1) * (uint64_t) HOUR);
    is_int(rooms(q.kmq, KMQ_CLASS_HOURS), 1, "to the last of them");
    pass(q.kmq, mono += HOUR);
    is_int(rooms(q.kmq, KMQ_CLASS_HOURS), 0, "one needs no room");
    is_int((long long) s->table[KMQ_CLASS_HOURS - KMQ_CLASS_TOPIC].pages, 0,
           "the page is given back");
    hours_are(q.kmq, mono, "336: 4 4 4", "the last one is kept");
    ok(eu_verify(q.kmq, "given back"), "sound");

    ec_publish(q.kmq, q.p, 1, 2);
    hours_are(q.kmq, mono, "336: 4 4 4, 0: 2 0 0", "and another one");
    is_int(rooms(q.kmq, KMQ_CLASS_HOURS), 1, "needs room again");
    (void) eu_drain(q.kmq);

    pass(q.kmq, mono += 2 * KMQ_TOPIC_HOURS * (uint64_t) HOUR);
    hours_are(q.kmq, mono, "", "all are over");
    is_int(rooms(q.kmq, KMQ_CLASS_HOURS), 0, "none needs no room either");

    ec_close(&q, "a topic's room");
}


/* ---------------------------------------------------------------- latency */

/* The bounds with anything under them, in ms, and the sum. */
static void
latency_is(kmq_t *kmq, const char *want, const char *what)
{
    char            text[EC_TEXT];
    size_t          len;
    unsigned        i;
    kmq_latency_t   latency;

    kmq_latency(kmq, &latency);

    for (i = 0, len = 0; i <= KMQ_LATENCY_BOUNDS; i++) {
        if (latency.count[i]) {
            len += sprintf(text + len, "%lld: %llu, ",
                           i < KMQ_LATENCY_BOUNDS
                           ? (long long) kmq_latency_bound[i] : -1,
                           (unsigned long long) latency.count[i]);
        }
    }

    sprintf(text + len, "%llu", (unsigned long long) latency.sum);
    (void) ec_text(text, want, what);
}


static void
test_latency(uint32_t push_type)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open(&q, push_type);
    ec_clock(q.kmq, SECOND);
    ec_publish(q.kmq, q.p, 1, 2);
    ec_delayed(q.kmq, q.p, 3, SECOND);
    a = eu_consumer(q.kmq, "t", 10, "a");

    ec_clock(q.kmq, SECOND + 7);
    (void) ec_take(q.kmq);
    latency_is(q.kmq, "10: 2, 14", "from being accepted");

    ec_clock(q.kmq, 2 * SECOND + 2);
    (void) kmq_tick(q.kmq);
    (void) ec_take(q.kmq);
    latency_is(q.kmq, "2: 1, 10: 2, 16", "from being due");

    (void) ec_return(q.kmq, a, "1 2");
    ec_clock(q.kmq, 3 * SECOND);
    (void) ec_take(q.kmq);
    latency_is(q.kmq, "2: 1, 10: 2, 16", "not for another push");

    kmq_set_ready(q.kmq, a, 0);
    ec_publish(q.kmq, q.p, 4, 1);
    ec_clock(q.kmq, 3 * SECOND + 300 * SECOND);
    kmq_set_ready(q.kmq, a, 1);
    (void) ec_take(q.kmq);
    latency_is(q.kmq, "2: 1, 10: 2, 300000: 1, 300016", "a bound is within");

    kmq_set_ready(q.kmq, a, 0);
    ec_publish(q.kmq, q.p, 5, 1);
    ec_clock(q.kmq, 3 * SECOND + 600 * SECOND + 1);
    kmq_set_ready(q.kmq, a, 1);
    (void) ec_take(q.kmq);
    latency_is(q.kmq, "2: 1, 10: 2, 300000: 1, -1: 1, 600017",
               "beyond all bounds");

    ec_publish(q.kmq, q.p, 6, 1);
    ec_clock(q.kmq, 3 * SECOND + 600 * SECOND);
    (void) ec_take(q.kmq);
    latency_is(q.kmq, "1: 1, 2: 1, 10: 2, 300000: 1, -1: 1, 600017",
               "another worker's clock is ahead");

    ec_close(&q, "latency");
}


/* A requeued message is as if it were new. */
static void
test_latency_requeued(void)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_retry(&q, KMQ_PUSH_ONE, 300 * SECOND, 1);
    ec_clock(q.kmq, SECOND);
    a = eu_consumer(q.kmq, "t", 10, "a");
    ec_publish(q.kmq, q.p, 1, 1);
    (void) ec_take(q.kmq);
    (void) ec_return(q.kmq, a, "1");
    latency_is(q.kmq, "1: 1, 0", "pushed, and dead");

    ec_clock(q.kmq, 9 * SECOND);
    is_int(kmq_requeue(q.kmq, ec_code[1]), KMQ_OK, "requeued");
    ec_clock(q.kmq, 9 * SECOND + 4);
    (void) ec_take(q.kmq);
    latency_is(q.kmq, "1: 1, 5: 1, 4", "from then on");

    ec_close(&q, "latency, requeued");
}


/* --------------------------------------------------------------- messages */

static kmq_message_info_t
message(kmq_t *kmq, unsigned number)
{
    kmq_message_info_t  info;

    memset(&info, 0xff, sizeof(info));
    is_int(kmq_find(kmq, ec_code[number], &info), KMQ_OK, "message %u",
           number);

    return info;
}


/* A due time is the same to all who look, whatever a ms makes of their clocks;
 * but the clock may be set. */
static void
test_due_steady(void)
{
    size_t      i;
    ec_queue_t  q;

    static const struct {
        int64_t     ahead;           /* ms, of the wall clock */
        int64_t     due;             /* s */
        const char  *name;
    } look[] = {
        { 0, 0, "due at a whole second" },
        { -1, 0, "read a ms earlier: the same" },
        { 2, 0, "and later" },
        { 3600 * SECOND, 3600, "the clock was set: it moves" },
        { 3600 * SECOND - 1, 3600, "and stays there" },
        { -7 * SECOND, -7, "set back, too" },
    };

    ec_open_retry(&q, KMQ_PUSH_ONE, 300 * SECOND, 1);
    ec_clock(q.kmq, SECOND);
    ec_delayed(q.kmq, q.p, 1, 2000);

    for (i = 0; i < sizeof(look) / sizeof(look[0]); i++) {
        kmq_clock(q.kmq, SECOND,
                  (uint64_t) (EC_WALL + SECOND + look[i].ahead));
        is_int((long long) message(q.kmq, 1).due,
               EC_WALL / 1000 + 3 + look[i].due, "%s", look[i].name);
    }

    ec_close(&q, "a steady time");
}


/* What is told of a message besides its status. */
static void
test_message(uint32_t push_type)
{
    char                 id[KMQ_NAME_MAX];
    size_t               len;
    kmq_ref_t            a;
    ec_queue_t           q;
    kmq_message_info_t   m;

    ec_open_retry(&q, push_type, 300 * SECOND, 1);
    ec_clock(q.kmq, SECOND);
    ec_delayed(q.kmq, q.p, 1, 1500);
    m = message(q.kmq, 1);
    is_int((long long) m.due, (EC_WALL + SECOND + 1500) / 1000, "due");
    is_int(m.in_flight, 0, "not in flight");
    is_int(m.dead_time, 0, "not dead");
    is_int((long long) kmq_consumer_of(q.kmq, &m, id), 0, "with nobody");

    a = eu_consumer(q.kmq, "t", 10, "a");
    ec_clock(q.kmq, 3 * SECOND);
    (void) kmq_tick(q.kmq);
    (void) ec_take(q.kmq);
    m = message(q.kmq, 1);
    is_int((long long) m.due, 0, "not delayed any more");
    is_int(m.in_flight, 1, "in flight");
    len = kmq_consumer_of(q.kmq, &m, id);

    if (push_type == KMQ_PUSH_ONE) {
        is_bytes(id, len, "id of someone", 13, "with that one");
        (void) ec_return(q.kmq, a, "1");
        is_int(message(q.kmq, 1).dead_time, EC_WALL / 1000 + 3, "dead since");
        is_int(message(q.kmq, 1).in_flight, 0, "and not in flight");

    } else {
        is_int((long long) len, 0, "with whoever listens");
    }

    is_int((long long) kmq_consumer_of(q.kmq, &m, id),
           0, "with nobody then");

    ec_close(&q, "message");
}


/* ---------------------------------------------------------------- clients */

static void
test_clients(void)
{
    uint64_t           cursor;
    kmq_ref_t          a;
    ec_queue_t         q;
    kmq_client_info_t  info;

    ec_open(&q, KMQ_PUSH_ONE);
    ec_clock(q.kmq, SECOND);

    memset(&info, 0, sizeof(info));
    info.role = KMQ_CONSUMER;
    info.prefetch = 2;
    info.mode = 77;
    info.topic_len = 1;
    info.topic[0] = 't';
    a = kmq_join(q.kmq, &info, "a");
    kmq_set_ready(q.kmq, a, 1);

    ec_publish(q.kmq, q.p, 1, 3);
    kmq_seen(q.kmq, q.p, 3);
    ec_clock(q.kmq, 5 * SECOND);
    kmq_seen(q.kmq, q.p, 0);
    (void) ec_take(q.kmq);
    (void) ec_confirm(q.kmq, a, "1");
    (void) ec_take(q.kmq);

    cursor = 0;
    (void) kmq_clients(q.kmq, KMQ_PRODUCER, &cursor, &info, 1);
    is_int((long long) info.messages, 3, "a producer's messages");
    is_int(info.last_seen, EC_WALL / 1000 + 5, "when it was seen");

    cursor = 0;
    memset(&info, 0, sizeof(info));
    (void) kmq_clients(q.kmq, KMQ_CONSUMER, &cursor, &info, 1);
    is_int((long long) info.messages, 3, "what a consumer was pushed");
    is_int((long long) info.confirmed, 1, "what it confirmed");
    is_int(info.in_flight, 2, "what it has");
    is_int(info.mode, 77, "its mode");
    is_int(info.last_seen, EC_WALL / 1000 + 1, "it has said nothing since");

    ec_close(&q, "clients");
}


/* ------------------------------------------------------------------ queue */

static void
test_counts(void)
{
    kmq_t         *other;
    kmq_counts_t   n;
    ec_queue_t     q;

    ec_open(&q, KMQ_PUSH_ONE);
    other = eu_attach(q.block, EC_SIZE, 70);
    ec_clock(q.kmq, 9 * SECOND);
    ec_clock(other, 9 * SECOND);

    n = eu_count(q.kmq);
    is_int((long long) n.workers[0], 1, "worker 0");
    is_int((long long) n.workers[1], 1 << 6, "worker 70");
    is_int((long long) n.retiring[1], 0, "which stays");
    is_int(n.keeper, 0, "the keeper");
    is_int((long long) n.start_time, 1640975470, "when it began");
    is_int((long long) n.flush_time, 0, "nothing was written");
    is_int(n.disk_error, 0, "and nothing failed");

    kmq_journal_flushed(other, 0);
    is_int((long long) eu_count(q.kmq).flush_time, EC_WALL / 1000 + 9,
           "written");
    kmq_journal_flushed(other, 28);
    is_int(eu_count(q.kmq).disk_error, 28, "failed");
    is_int((long long) eu_count(q.kmq).flush_time, EC_WALL / 1000 + 9,
           "the last time that it did not");
    kmq_journal_flushed(other, 0);
    is_int(eu_count(q.kmq).disk_error, 0, "healed");

    kmq_journal_flushed(other, 5);
    kmq_retire(other);
    is_int((long long) eu_count(q.kmq).retiring[1], 1 << 6, "about to end");
    kmq_detach(other);
    n = eu_count(q.kmq);
    is_int((long long) n.workers[1], 0, "it has ended");
    is_int(n.disk_error, 0, "and its disk with it");

    ec_close(&q, "counts");
}


/* ------------------------------------------------------------------ purge */

/* Deletes what a query names; how many that were. */
static unsigned
purge(kmq_t *kmq, const char *topic, int status)
{
    uint64_t     cursor, deleted;
    kmq_query_t  query;

    memset(&query, 0, sizeof(query));
    query.status = status;
    query.topic = topic;
    query.topic_len = strlen(topic);
    query.to = UINT32_MAX;
    cursor = deleted = 0;

    do {
        kmq_purge(kmq, &query, &cursor, &deleted);
    } while (cursor);

    return (unsigned) deleted;
}


/* One message of each status, and another topic that stays as it is. */
static void
test_purge(void)
{
    kmq_ref_t   a, other;
    ec_queue_t  q;

    ec_open_retry(&q, KMQ_PUSH_ONE, 300 * SECOND, 1);
    other = eu_producer(q.kmq, "other");
    ec_publish(q.kmq, other, 50, 1);

    a = eu_consumer(q.kmq, "t", 3, "a");
    ec_publish(q.kmq, q.p, 1, 3);
    (void) ec_take(q.kmq);
    (void) ec_confirm(q.kmq, a, "1");
    (void) ec_return(q.kmq, a, "2");
    kmq_set_ready(q.kmq, a, 0);
    ec_publish(q.kmq, q.p, 4, 2);
    ec_delayed(q.kmq, q.p, 6, SECOND);
    topic_is(q.kmq, "2 1 1 1 1; 6 3 0 1 1 0 0", "one of each, two wait");

    is_int(purge(q.kmq, "nothing", KMQ_STATUS_ANY), 0, "no such topic");
    is_int(purge(q.kmq, "t", KMQ_STATUS_DEAD), 1, "the dead one");
    topic_is(q.kmq, "2 1 1 1 0; 6 3 0 1 1 0 0", "is gone");
    is_int(purge(q.kmq, "t", KMQ_STATUS_DELAYED), 1, "the delayed one");
    topic_is(q.kmq, "2 1 0 1 0; 6 3 0 1 1 0 0", "is gone");
    is_int(purge(q.kmq, "t", KMQ_STATUS_WAITING), 3, "those that wait");
    topic_is(q.kmq, "0 0 0 1 0; 6 3 0 1 1 0 0", "one that is in flight, too");
    is_int(purge(q.kmq, "t", KMQ_STATUS_ANY), 1, "the rest");
    topic_is(q.kmq, "0 0 0 0 0; 6 3 0 1 1 0 0", "nothing");
    is_int((long long) eu_count(q.kmq).totals.deleted, 6, "all are counted");

    kmq_set_ready(q.kmq, a, 1);
    (void) ec_text(ec_take(q.kmq), "", "nothing is pushed");
    is_int(ec_status(q.kmq, 50), KMQ_STATUS_WAITING, "the other one stays");

    ec_close(&q, "purge");
}


/* What comes while it goes on is not its concern; many slices. */
static void
test_purge_slices(void)
{
    uint64_t     cursor, deleted;
    unsigned     slices;
    ec_queue_t   q;
    kmq_query_t  query;

    ec_open(&q, KMQ_PUSH_ONE);
    ec_publish(q.kmq, q.p, 100, 10000);

    memset(&query, 0, sizeof(query));
    query.status = KMQ_STATUS_ANY;
    query.to = UINT32_MAX;
    cursor = deleted = 0;
    slices = 0;

    do {
        kmq_purge(q.kmq, &query, &cursor, &deleted);
        ec_publish(q.kmq, q.p, 200, 1);
        slices++;
    } while (cursor && slices < 1000);

    is_int((long long) deleted, 10000, "all that were there");
    ok(slices >= 9 && slices < 100, "in %u slices", slices);
    is_int((long long) eu_count(q.kmq).ready, slices, "the others stay");

    ec_close(&q, "slices");
}


int
main(void)
{
    test_topic();
    test_oldest();
    test_walk(1);
    test_walk(64);
    test_growth();
    test_topic_periods();
    test_topic_room();
    test_topic_backlog();
    test_backlog_kept();
    test_topic_busy();
    test_latency(KMQ_PUSH_ONE);
    test_latency(KMQ_PUSH_ALL);
    test_latency_requeued();
    test_due_steady();
    test_message(KMQ_PUSH_ONE);
    test_message(KMQ_PUSH_ALL);
    test_clients();
    test_counts();
    test_purge();
    test_purge_slices();

    return done_testing();
}
