/*
 * Deliveries that fail: what counts as a failure, who is charged, how long a
 * message waits then, and which consumers rest.  Suspects are in
 * engine_isolation.c.  See engine_cases.h for how these tests read.
 */

#include <sys/wait.h>
#include <unistd.h>

#include "engine_cases.h"


#define DELAY      100
#define DELAY_MAX  400


/* ------------------------------------------------------------ when is it */

/* Times out: 1, 2, 4 ... times retry_delay, up to retry_delay_max. */
static void
test_overdue(void)
{
    unsigned    i;
    uint64_t    now;
    ec_queue_t  q;

    static const unsigned  delays[] = { 100, 200, 400, 400, 400 };
    static const char     *texts[] = {
        "1 overdue", "2 overdue", "3 overdue", "4 overdue", "5 overdue"
    };
    static const char     *pushes[] = {
        "a1.2", "a1.3", "a1.4", "a1.5", "a1.6"
    };

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    (void) eu_consumer(q.kmq, "t", 10, "a");
    ec_publish(q.kmq, q.p, 1, 1);
    ec_attempt(q.kmq, "a1", "the first push tells no attempt");
    ec_failure(q.kmq, 1, "", "nor has it failed");
    now = 1000;

    for (i = 0; i < 5; i++) {
        ec_clock(q.kmq, now + 999);
        ec_takes(q.kmq, "", "not overdue a millisecond early");
        now += 1000;
        ec_clock(q.kmq, now);
        ec_takes(q.kmq, "", "overdue");
        ec_counts(q.kmq, "1 retrying", "it waits for its next try");
        is_int(ec_status(q.kmq, 1), KMQ_STATUS_WAITING, "which is no status");
        ec_failure(q.kmq, 1, texts[i], "it knows why");
        ok(kmq_next_due(q.kmq) <= delays[i], "looked for in %u ms, not %llu",
           delays[i], (unsigned long long) kmq_next_due(q.kmq));

        now += delays[i];
        ec_clock(q.kmq, now - 1);
        ec_takes(q.kmq, "", "not tried a millisecond early");
        ec_clock(q.kmq, now);
        ec_attempt(q.kmq, pushes[i], "tried again");
    }

    is_int((long long) eu_count(q.kmq).failures[KMQ_FAILED_OVERDUE], 5,
           "all are counted");
    is_int((long long) eu_count(q.kmq).totals.redelivered, 5, "and pushes");
    ec_close(&q, "overdue");
}


/* Given back: 0, 1, 2, 4 ... times, or as long as the consumer says. */
static void
test_return(void)
{
    unsigned    i;
    uint64_t    now;
    kmq_ref_t   a;
    ec_queue_t  q;

    static const unsigned  delays[] = { 0, 100, 200, 400, 400 };

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    a = eu_consumer(q.kmq, "t", 10, "a");
    ec_publish(q.kmq, q.p, 1, 1);
    ec_takes(q.kmq, "a1", "pushed");
    now = 1000;

    for (i = 0; i < 5; i++) {
        is_int(ec_return(q.kmq, a, "1"), 1, "given back");

        if (delays[i]) {
            ec_counts(q.kmq, "1 retrying", "it waits");
            ec_clock(q.kmq, now + delays[i] - 1);
            ec_takes(q.kmq, "", "not tried a millisecond early");
            now += delays[i];
            ec_clock(q.kmq, now);
        }

        ec_takes(q.kmq, "a1", "tried again");
    }

    ec_failure(q.kmq, 1, "5 return", "five failures");

    is_int(ec_return_in(q.kmq, a, "1", 7000), 1, "not before seven seconds");
    ec_clock(q.kmq, now + 6999);
    ec_takes(q.kmq, "", "not a millisecond early, however long");
    ec_clock(q.kmq, now + 7000);
    ec_attempt(q.kmq, "a1.7", "then it is tried again");
    is_int(ec_return_in(q.kmq, a, "1", 1), 1, "or sooner than its turn");
    ec_clock(q.kmq, now + 7001);
    ec_attempt(q.kmq, "a1.8", "in a millisecond");
    is_int((long long) eu_count(q.kmq).failures[KMQ_FAILED_RETURN], 7,
           "all are counted");

    ec_close(&q, "return");
}


/* Not begun: no failure, no delay, but a pause of the consumer. */
static void
test_not_begun(void)
{
    unsigned    i;
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 1, DELAY, DELAY_MAX);
    a = eu_consumer(q.kmq, "t", 3, "a");
    ec_publish(q.kmq, q.p, 1, 5);
    ec_takes(q.kmq, "a1 a2 a3", "its prefetch is 3");

    is_int(ec_return_in(q.kmq, a, "2 3", 0), 2, "two are not begun");
    ec_counts(q.kmq, "4 ready, 1 in flight", "they are ready at once");
    ec_failure(q.kmq, 2, "", "nothing has failed");
    ec_takes(q.kmq, "", "nothing new for the consumer");
    ec_clock(q.kmq, 1099);
    ec_takes(q.kmq, "", "for retry_delay");
    is_int(ec_confirm(q.kmq, a, "1"), 1, "whatever it confirms");
    ec_takes(q.kmq, "", "nothing still");
    ec_clock(q.kmq, 1100);
    ec_attempt(q.kmq, "a2.1 a3.1 a4", "in front, in their order; first "
               "attempts, but not first pushes");

    for (i = 0; i < 9; i++) {
        is_int(ec_return_in(q.kmq, a, "2", 0), 1, "not begun again");
        ec_clock(q.kmq, 1200 + 100 * i);
        ec_takes(q.kmq, "a2", "it never dies of that");
    }

    (void) eu_consumer(q.kmq, "t", 10, "b");
    ec_takes(q.kmq, "b5", "another consumer");
    is_int(ec_return_in(q.kmq, a, "2", 0), 1, "not begun");
    ec_takes(q.kmq, "b2", "is not concerned");
    is_int(ec_return(q.kmq, a, "3"), 1, "but given back is a failure");
    ec_counts(q.kmq, "3 in flight, 1 consumed, 1 dead", "of which it dies");
    ok(eu_count(q.kmq).failures[0] > 0, "what was not charged is counted");

    ec_close(&q, "not begun");
}


/* max_deliveries are failures, of whatever kind. */
static void
test_dead(void)
{
    kmq_ref_t            a;
    ec_queue_t           q;
    kmq_message_info_t   info;

    ec_open_delay(&q, KMQ_PUSH_ONE, 3, DELAY, DELAY_MAX);
    a = eu_consumer(q.kmq, "t", 10, "a");
    ec_publish(q.kmq, q.p, 1, 1);
    ec_takes(q.kmq, "a1", "pushed");
    is_int(ec_return(q.kmq, a, "1"), 1, "given back");
    ec_takes(q.kmq, "a1", "pushed");
    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "", "overdue");
    ec_failure(q.kmq, 1, "2 overdue", "the last reason");
    ec_clock(q.kmq, 2200);
    ec_attempt(q.kmq, "a1.3", "pushed, after 200 ms");
    kmq_leave(q.kmq, a, 1);
    ec_counts(q.kmq, "1 dead", "its consumer ends: the third");
    ec_failure(q.kmq, 1, "3 end", "and no suspect any more");

    is_int(kmq_find(q.kmq, ec_code[1], &info), KMQ_OK, "it can be found");
    is_int((long long) info.due, 0, "nothing is due");
    is_int(kmq_requeue(q.kmq, ec_code[1]), KMQ_OK, "requeued");
    ec_failure(q.kmq, 1, "", "as if it were new");
    (void) eu_consumer(q.kmq, "t", 10, "b");
    ec_attempt(q.kmq, "b1", "it is");

    ec_close(&q, "dead");
}


/* When it will be tried is told. */
static void
test_due(void)
{
    kmq_ref_t            a;
    ec_queue_t           q;
    kmq_topic_detail_t   t;
    kmq_message_info_t   info;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    a = eu_consumer(q.kmq, "t", 10, "a");
    ec_publish(q.kmq, q.p, 1, 2);
    ec_takes(q.kmq, "a1 a2", "pushed");
    ec_clock(q.kmq, 1500);
    is_int(ec_return_in(q.kmq, a, "1", 90000), 1, "in a minute and a half");
    is_int(kmq_find(q.kmq, ec_code[1], &info), KMQ_OK, "found");
    ok(info.due >= (EC_WALL + 91500) / 1000
       && info.due <= (EC_WALL + 91500) / 1000 + 1, "due then");
    is_int(info.in_flight, 0, "not in flight");
    is_int(info.attempts, 1, "one attempt");
    is_int(kmq_find(q.kmq, ec_code[2], &info), KMQ_OK, "the other one");
    is_int((long long) info.due, 0, "is in flight");
    is_int(info.attempts, 1, "for the first time");
    is_int(kmq_topic(q.kmq, "t", 1, &t), KMQ_OK, "the topic");
    is_int((long long) t.info.retrying, 1, "tells that one is retrying");
    is_int((long long) t.info.ready, 0, "and not ready");

    ec_close(&q, "due");
}


/* What is due together is tried in the order of its numbers, in front. */
static void
test_together(void)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    a = eu_consumer(q.kmq, "t", 4, "a");
    ec_publish(q.kmq, q.p, 1, 6);
    ec_takes(q.kmq, "a1 a2 a3 a4", "pushed");
    is_int(ec_return_in(q.kmq, a, "3 1 4", 500), 3, "three for half a second");
    ec_takes(q.kmq, "a5 a6", "others go on");
    ec_publish(q.kmq, q.p, 7, 1);
    is_int(ec_confirm(q.kmq, a, "2 5 6"), 3, "confirmed");
    kmq_set_ready(q.kmq, a, 0);
    ec_clock(q.kmq, 1500);
    ec_takes(q.kmq, "", "not ready");
    ec_counts(q.kmq, "4 ready, 3 consumed", "all are ready");
    kmq_set_ready(q.kmq, a, 1);
    ec_takes(q.kmq, "a1 a3 a4 a7", "by their numbers, before the others");

    ec_close(&q, "together");
}


/* What waits for its next try takes no room from producers. */
static void
test_room(void)
{
    int         why;
    kmq_ref_t   a;
    ec_queue_t  q;

    kmq_message_t  m;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    q.s.waiting_max = 2;
    kmq_configure(q.kmq, &q.s);
    a = eu_consumer(q.kmq, "t", 10, "a");
    ec_publish(q.kmq, q.p, 1, 2);
    ec_takes(q.kmq, "a1 a2", "pushed");
    kmq_set_ready(q.kmq, a, 0);
    is_int(ec_return_in(q.kmq, a, "1 2", 500), 2, "given back");
    ec_publish(q.kmq, q.p, 3, 2);
    ec_counts(q.kmq, "2 ready, 2 retrying", "there is room for two");

    memset(&m, 0, sizeof(m));
    m.size = 1;
    is_int(kmq_reserve(q.kmq, q.p, &m, 1, &why), 0, "but not for three");
    is_int(why, KMQ_FULL, "because of those that are ready");
    ec_clock(q.kmq, 1500);
    ec_takes(q.kmq, "", "the others are due");
    ec_counts(q.kmq, "4 ready", "and ready");
    kmq_set_ready(q.kmq, a, 1);
    ec_takes(q.kmq, "a1 a2 a3 a4", "all are pushed");

    ec_close(&q, "room");
}


/* Deleted, purged, or confirmed late while they wait. */
static void
test_meanwhile(void)
{
    uint64_t     cursor, deleted;
    kmq_ref_t    a;
    ec_queue_t   q;
    kmq_query_t  query;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    a = eu_consumer(q.kmq, "t", 10, "a");
    ec_publish(q.kmq, q.p, 1, 6);
    ec_takes(q.kmq, "a1 a2 a3 a4 a5 a6", "pushed");
    is_int(ec_return_in(q.kmq, a, "1 2 3", 500), 3, "three wait");
    ec_counts(q.kmq, "3 in flight, 3 retrying", "for their next try");
    is_int(kmq_delete(q.kmq, ec_code[1]), KMQ_OK, "one is deleted");
    is_int(kmq_code_wrong(q.kmq, a, ec_code[2], 1), 0,
           "a late one is no error");
    is_int(ec_confirm(q.kmq, a, "2"), 1, "one is confirmed late");
    ec_counts(q.kmq, "3 in flight, 1 retrying, 1 consumed", "which counts");
    is_int(ec_confirm(q.kmq, a, "2"), 0, "once");
    is_int((long long) eu_count(q.kmq).totals.confirmed, 1, "as confirmed");
    is_int(ec_extend(q.kmq, a, "3"), 0, "it is extended no more");
    is_int(ec_return(q.kmq, a, "3"), 0, "nor given back");
    ec_clock(q.kmq, 1500);
    ec_takes(q.kmq, "a3", "the third is tried");

    ec_publish(q.kmq, q.p, 7, 1);
    kmq_set_ready(q.kmq, a, 0);
    ec_takes(q.kmq, "", "not ready");
    is_int(ec_confirm(q.kmq, a, "7"), 0, "never pushed, never confirmed");
    is_int(ec_return(q.kmq, a, "4"), 1, "given back, and ready at once");
    is_int(ec_confirm(q.kmq, a, "4"), 1, "late: it was pushed");
    ec_counts(q.kmq, "1 ready, 3 in flight, 2 consumed", "consumed");
    is_int(ec_return_in(q.kmq, a, "5", 500), 1, "one waits");

    memset(&query, 0, sizeof(query));
    query.status = KMQ_STATUS_WAITING;
    query.to = UINT32_MAX;
    cursor = deleted = 0;

    do {
        kmq_purge(q.kmq, &query, &cursor, &deleted);
    } while (cursor);

    is_int((long long) deleted, 4, "all that waits is purged");
    ec_clock(q.kmq, 3000);
    kmq_set_ready(q.kmq, a, 1);
    ec_takes(q.kmq, "", "and never tried");
    ec_counts(q.kmq, "2 consumed", "two are left");

    ec_close(&q, "meanwhile");
}


/* A change of settings is for failures from then on. */
static void
test_configure(void)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, DELAY_MAX);
    a = eu_consumer(q.kmq, "t", 10, "a");
    ec_publish(q.kmq, q.p, 1, 2);
    ec_takes(q.kmq, "a1 a2", "pushed");
    is_int(ec_return(q.kmq, a, "1 2"), 2, "a first failure");
    ec_takes(q.kmq, "a1 a2", "without a delay");
    is_int(ec_return(q.kmq, a, "1"), 1, "a second one");
    q.s.topic.retry_delay = 300;
    kmq_configure(q.kmq, &q.s);
    is_int(ec_return(q.kmq, a, "2"), 1, "after a change");
    ec_clock(q.kmq, 1100);
    ec_takes(q.kmq, "a1", "100 ms, as they were");
    ec_clock(q.kmq, 1299);
    ec_takes(q.kmq, "", "not yet");
    ec_clock(q.kmq, 1300);
    ec_takes(q.kmq, "a2", "300 ms, as they are");
    q.s.topic.retry_delay = 0;
    kmq_configure(q.kmq, &q.s);
    is_int(ec_return(q.kmq, a, "1 2"), 2, "without a delay");
    ec_takes(q.kmq, "a1 a2", "at once, however often");
    is_int(ec_confirm(q.kmq, a, "2"), 1, "one is confirmed");
    ec_clock(q.kmq, 2300);
    ec_takes(q.kmq, "a1", "overdue as well");

    ec_close(&q, "configure");
}


/* ------------------------------------------------------------- the clocks */

/* What waits inside a busy client is not overdue. */
static void
test_progress(unsigned prefetch)
{
    char        text[8];
    unsigned    i, n;
    kmq_ref_t   a;
    ec_queue_t  q;
    ec_push_t   pushes[EC_NUMBERS];

    ec_open_delay(&q, KMQ_PUSH_ONE, 3, DELAY, DELAY_MAX);
    a = ec_by_code(q.kmq, "t", prefetch, "a");
    ec_publish(q.kmq, q.p, 1, 50);
    n = ec_pushes(q.kmq, pushes, EC_NUMBERS);

    for (i = 1; i <= 50; i++) {
        ec_clock(q.kmq, 1000 + 900 * i);
        n += ec_pushes(q.kmq, pushes, EC_NUMBERS);
        sprintf(text, "%u", i);

        if (ec_confirm(q.kmq, a, text) != 1) {
            break;
        }

        n += ec_pushes(q.kmq, pushes, EC_NUMBERS);
    }

    is_int(i, 51, "900 ms a message, prefetch %u: each is confirmed",
           prefetch);
    is_int(n, 50, "and pushed once");
    ec_counts(q.kmq, "50 consumed", "none has failed");
    is_int((long long) eu_count(q.kmq).failures[KMQ_FAILED_OVERDUE], 0,
           "nor was overdue");

    ec_close(&q, "progress");
}


/* A clock starts when it is the oldest, or one behind it is confirmed. */
static void
test_clocks(void)
{
    kmq_ref_t   a, b;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, 0, 0);
    a = eu_consumer(q.kmq, "t", 10, "a");
    ec_publish(q.kmq, q.p, 1, 6);
    ec_takes(q.kmq, "a1 a2 a3 a4 a5 a6", "pushed at 1000");
    kmq_set_ready(q.kmq, a, 0);
    b = eu_consumer(q.kmq, "t", 10, "b");

    ec_clock(q.kmq, 1300);
    is_int(ec_confirm(q.kmq, a, "4"), 1, "the fourth is confirmed");
    ec_clock(q.kmq, 1500);
    is_int(ec_confirm(q.kmq, a, "6"), 1, "and the sixth");
    ec_clock(q.kmq, 1999);
    ec_takes(q.kmq, "", "not yet");
    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "b1", "the first was the oldest from 1000 on");
    is_int(ec_confirm(q.kmq, b, "1"), 1, "another one confirms it");
    is_int(ec_confirm(q.kmq, a, "5"), 1, "a confirmation in between");
    ec_clock(q.kmq, 2299);
    ec_takes(q.kmq, "", "not yet");
    ec_clock(q.kmq, 2300);
    ec_takes(q.kmq, "b2 b3", "these were passed over at 1300");
    is_int(kmq_in_flight(q.kmq, a), 0, "nothing is left");

    ec_close(&q, "clocks");
}


/* An extension starts a clock anew, and none that does not run yet. */
static void
test_extend(void)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, 0, 0);
    a = eu_consumer(q.kmq, "t", 10, "a");
    ec_publish(q.kmq, q.p, 1, 3);
    ec_takes(q.kmq, "a1 a2 a3", "pushed at 1000");
    kmq_set_ready(q.kmq, a, 0);
    (void) eu_consumer(q.kmq, "t", 10, "b");

    ec_clock(q.kmq, 1900);
    is_int(ec_extend(q.kmq, a, "1"), 1, "the oldest is extended");
    ec_clock(q.kmq, 2899);
    ec_takes(q.kmq, "", "it has its time");
    is_int(ec_extend(q.kmq, a, "1 2"), 2, "and again, another one too");
    ec_clock(q.kmq, 3000);
    is_int(ec_confirm(q.kmq, a, "1"), 1, "it is confirmed");
    ec_clock(q.kmq, 3999);
    ec_takes(q.kmq, "", "the other one's time began when it was the oldest");
    ec_clock(q.kmq, 4000);
    ec_takes(q.kmq, "b2", "and is over");
    is_int(kmq_in_flight(q.kmq, a), 1, "one is left");
    ec_clock(q.kmq, 4999);
    ec_takes(q.kmq, "", "its time began when it was the oldest");
    ec_clock(q.kmq, 5000);
    ec_takes(q.kmq, "b2", "and is over, as b's is, which gets one now");

    ec_close(&q, "extend");
}


/* The second overdue one without a confirmation: all goes back. */
static void
test_all_back(int confirms)
{
    kmq_ref_t   a, b;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, 0, 0);
    a = eu_consumer(q.kmq, "t", 10, "a");
    ec_publish(q.kmq, q.p, 1, 6);
    ec_takes(q.kmq, "a1 a2 a3 a4 a5 a6", "pushed at 1000");
    kmq_set_ready(q.kmq, a, 0);
    b = eu_consumer(q.kmq, "t", 10, "b");
    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "b1", "the first is overdue");
    is_int(ec_confirm(q.kmq, b, "1"), 1, "b confirms it");
    ec_clock(q.kmq, 2500);

    if (confirms) {
        is_int(ec_confirm(q.kmq, a, "6"), 1, "and a one of its own");
    }

    ec_clock(q.kmq, 2999);
    ec_takes(q.kmq, "", "not yet");
    ec_clock(q.kmq, 3000);

    if (confirms) {
        ec_takes(q.kmq, "b2", "the second alone");
        is_int(kmq_in_flight(q.kmq, a), 3, "others stay");
        ec_clock(q.kmq, 3500);
        is_int(ec_confirm(q.kmq, b, "2"), 1, "confirmed");
        ec_takes(q.kmq, "b3 b4 b5", "which were passed over at 2500");
        ec_failure(q.kmq, 3, "1 overdue", "one event: all are charged");
        ec_failure(q.kmq, 5, "1 overdue", "the last one too");

    } else {
        ec_takes(q.kmq, "b2 b3 b4 b5 b6", "all, in their order");
        is_int(kmq_in_flight(q.kmq, a), 0, "nothing stays");
        ec_failure(q.kmq, 2, "1 overdue", "the overdue one is charged");
        ec_failure(q.kmq, 3, "", "others are not");
        ec_failure(q.kmq, 6, "", "none of them");
        is_int((long long) eu_count(q.kmq).failures[0], 4, "all are counted");
    }

    ec_close(&q, confirms ? "one by one" : "all back");
}


/* --------------------------------------------------------- who is charged */

/* A consumer's end charges one message; others go back as they were. */
static void
test_end(unsigned prefetch)
{
    kmq_ref_t   a, b;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 1, DELAY, DELAY_MAX);
    a = eu_consumer(q.kmq, "t", prefetch, "a");
    ec_publish(q.kmq, q.p, 1, 5);
    (void) ec_take(q.kmq);

    if (prefetch == 1) {
        kmq_leave(q.kmq, a, 1);
        ec_counts(q.kmq, "4 ready, 1 dead", "the one that it had");
        is_int(ec_status(q.kmq, 1), KMQ_STATUS_DEAD, "is the first");
        ec_close(&q, "end, prefetch 1");
        return;
    }

    is_int(ec_confirm(q.kmq, a, "1 3"), 2, "two are confirmed");
    ec_publish(q.kmq, q.p, 6, 1);
    kmq_leave(q.kmq, a, 1);
    ec_counts(q.kmq, "3 ready, 2 consumed, 1 dead", "one dies");
    is_int(ec_status(q.kmq, 2), KMQ_STATUS_DEAD, "the oldest unconfirmed");
    b = eu_consumer(q.kmq, "t", 10, "b");
    ec_attempt(q.kmq, "b4.1 b5.1 b6", "others in front, in their order");
    is_int((long long) eu_count(q.kmq).failures[KMQ_FAILED_END], 1, "one end");

    kmq_leave(q.kmq, b, 0);
    ec_counts(q.kmq, "3 ready, 2 consumed, 1 dead", "what we end is none");
    ec_failure(q.kmq, 4, "", "nobody is charged");
    b = eu_consumer(q.kmq, "t", 10, "b");
    ec_attempt(q.kmq, "b4.1 b5.1 b6.1", "all are as they were");
    ec_clock(q.kmq, 1500);
    is_int(ec_return_in(q.kmq, b, "4 5 6", 0), 3, "it has nothing");
    kmq_leave(q.kmq, b, 1);
    ec_counts(q.kmq, "3 ready, 2 consumed, 1 dead", "nothing to charge");

    ec_close(&q, "end");
}


static void
worker_die(ec_queue_t *q, const char *want)
{
    int     status;
    pid_t   pid;
    kmq_t  *kmq;

    pid = fork();

    if (pid == 0) {
        kmq = eu_attach(q->block, EC_SIZE, 1);
        ec_clock(kmq, 1500);
        (void) eu_consumer(kmq, "t", 10, "x");
        _exit(strcmp(ec_take(kmq), want) != 0);
    }

    ok(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0,
       "a worker dies that has taken them");
    is_int(kmq_tick(q->kmq), 1, "which is noticed");
    ec_takes(q->kmq, "", "nobody is there");
}


/* What we end charges nothing, and delays nothing. */
static void
test_ours(uint32_t push_type)
{
    unsigned    i;
    kmq_t      *other;
    kmq_ref_t   x;
    ec_queue_t  q;

    ec_open_delay(&q, push_type, 1, DELAY, DELAY_MAX);
    ec_clock(q.kmq, 1500);
    ec_publish(q.kmq, q.p, 1, 3);
    worker_die(&q, "x1 x2 x3");
    ec_counts(q.kmq, "3 ready", "a worker's death");

    for (i = 0; i < 4; i++) {
        other = eu_attach(q.block, EC_SIZE, 1);
        ec_clock(other, 1500);
        x = eu_consumer(other, "t", 10, "x");
        ec_attempt(other, "x1.1 x2.1 x3.1", "taken by another");

        switch (i) {

        case 0:
            kmq_retire(other);
            kmq_leave(other, x, 0);
            break;

        case 1:
            kmq_leave_all(other);
            break;

        case 2:
            kmq_leave(other, x, 0);
            break;

        default:
            break;
        }

        kmq_detach(other);
        ec_takes(q.kmq, "", "nobody is there");
        ec_counts(q.kmq, "3 ready", "nor its end");
    }

    ec_failure(q.kmq, 1, "", "nothing has failed");
    is_int((long long) eu_count(q.kmq).failures[KMQ_FAILED_END], 0, "nothing");

    ec_close(&q, "ours");
}


/* ------------------------------------------------------------- who rests */

static void
test_rest(void)
{
    kmq_ref_t     a, b;
    ec_queue_t    q;
    kmq_counts_t  n;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, 60000);
    a = eu_consumer(q.kmq, "t", 1, "a");
    ec_publish(q.kmq, q.p, 1, 1);
    ec_takes(q.kmq, "a1", "pushed");
    b = eu_consumer(q.kmq, "t", 3, "b");
    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "", "overdue");
    is_int(ec_rests(q.kmq, a), 1, "it rests");
    is_int(ec_rests(q.kmq, b), 0, "the other one does not");
    n = eu_count(q.kmq);
    is_int((long long) n.resting, 1, "which is counted");

    ec_publish(q.kmq, q.p, 2, 6);
    ec_takes(q.kmq, "b2 b3 b4", "all to the other one while it is ready");
    ec_clock(q.kmq, 2500);
    ec_takes(q.kmq, "", "nor while that is busy");
    kmq_leave(q.kmq, b, 0);
    ec_takes(q.kmq, "a2", "one, since no other is there");
    is_int(kmq_confirm_upto(q.kmq, a, EC_ALL), 1, "a pong");
    is_int(ec_rests(q.kmq, a), 0, "ends its rest");
    is_int((long long) eu_count(q.kmq).resting, 0, "which is counted");
    ec_takes(q.kmq, "a3", "it gets something again");

    ec_close(&q, "rest");
}


/* A pong ends it even where nothing is in flight any more. */
static void
test_rest_pong(void)
{
    kmq_ref_t   a, b;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, 60000);
    a = eu_consumer(q.kmq, "t", 10, "a");
    ec_publish(q.kmq, q.p, 1, 1);
    ec_takes(q.kmq, "a1", "pushed");
    b = eu_consumer(q.kmq, "t", 10, "b");
    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "", "overdue");
    ec_clock(q.kmq, 2100);
    ec_takes(q.kmq, "b1", "it goes to the other one");
    ec_clock(q.kmq, 70000);
    is_int(ec_confirm(q.kmq, b, "1"), 1, "confirmed");
    is_int(ec_rests(q.kmq, a), 1, "time does not end it");
    is_int(kmq_confirm_upto(q.kmq, a, EC_ALL), 0, "a pong confirms nothing");
    is_int(ec_rests(q.kmq, a), 0, "but does");
    kmq_leave(q.kmq, b, 0);
    kmq_leave(q.kmq, a, 0);
    is_int((long long) eu_count(q.kmq).resting, 0, "nobody rests");

    ec_close(&q, "rest, pong");
}


/* Who confirms by codes rests for a time, and then shows what it can do. */
static void
test_rest_code(int confirms)
{
    kmq_ref_t   a, b;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, DELAY, 5000);
    a = ec_by_code(q.kmq, "t", 10, "a");
    ec_publish(q.kmq, q.p, 1, 2);
    ec_takes(q.kmq, "a1 a2", "pushed");
    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "", "overdue");
    is_int(ec_rests(q.kmq, a), 1, "it rests");
    b = ec_by_code(q.kmq, "t", 10, "b");

    if (confirms) {
        is_int(ec_confirm(q.kmq, a, "2"), 1, "it confirms one meanwhile");

    } else {
        is_int(ec_return_in(q.kmq, a, "2", 20000), 1, "one is given back");
    }

    ec_publish(q.kmq, q.p, 3, 1);
    ec_clock(q.kmq, 2100);
    ec_takes(q.kmq, "b1 b3", "to the other one");
    ec_clock(q.kmq, 2900);
    is_int(ec_confirm(q.kmq, b, "1 3"), 2, "confirmed");
    ec_clock(q.kmq, 6999);
    ec_takes(q.kmq, "", "nothing");
    is_int(ec_rests(q.kmq, a), 1, "it rests still");
    ec_clock(q.kmq, 7000);
    ec_takes(q.kmq, "", "nothing");
    is_int(ec_rests(q.kmq, a), 0, "its rest is over");
    kmq_leave(q.kmq, b, 0);
    ec_publish(q.kmq, q.p, 4, 4);

    if (confirms) {
        ec_takes(q.kmq, "a4 a5 a6 a7", "it has shown what it can do");

    } else {
        ec_takes(q.kmq, "a4", "one at a time");
        is_int(ec_confirm(q.kmq, a, "4"), 1, "until it confirms one");
        ec_takes(q.kmq, "a5 a6 a7", "all then");
    }

    ec_close(&q, "rest, codes");
}


/* ---------------------------------------------------- publish/subscribe */

static void
test_all_overdue(void)
{
    kmq_ref_t   a, b;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ALL, 3, DELAY, DELAY_MAX);
    a = eu_consumer(q.kmq, "t", 10, "a");
    b = eu_consumer(q.kmq, "t", 10, "b");
    ec_publish(q.kmq, q.p, 1, 3);
    ec_takes(q.kmq, "a1 a2 a3 b1 b2 b3", "pushed");
    is_int(kmq_confirm_upto(q.kmq, b, EC_ALL), 3, "one confirms all");

    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "", "the first is overdue, and waits");
    is_int(kmq_in_flight(q.kmq, a), 3, "it stays where it is");
    ec_counts(q.kmq, "3 in flight", "in flight");
    ec_failure(q.kmq, 1, "1 overdue", "it knows why");
    is_int(ec_rests(q.kmq, a), 0, "nobody rests");
    ec_publish(q.kmq, q.p, 4, 1);
    ec_takes(q.kmq, "a4 b4", "and all get what is new");
    ec_clock(q.kmq, 2099);
    ec_takes(q.kmq, "", "not a millisecond early");
    ec_clock(q.kmq, 2100);
    ec_attempt(q.kmq, "a!1.2", "pushed again after its back-off");
    is_int(ec_confirm(q.kmq, a, "1"), 1, "confirmed");
    ec_failure(q.kmq, 2, "", "the second has not failed");

    ec_close(&q, "all, overdue");
}


/* Given up for a consumer when it has failed often enough there. */
static void
test_all_given_up(void)
{
    kmq_ref_t   a, b;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ALL, 2, DELAY, DELAY_MAX);
    a = eu_consumer(q.kmq, "t", 10, "a");
    b = eu_consumer(q.kmq, "t", 10, "b");
    ec_publish(q.kmq, q.p, 1, 2);
    ec_takes(q.kmq, "a1 a2 b1 b2", "pushed");
    is_int(ec_return(q.kmq, a, "1 2"), 2, "one gives both back");
    ec_attempt(q.kmq, "a!1.2 a!2.2", "and gets them again, at once");
    is_int(ec_confirm(q.kmq, b, "1"), 1, "the other one confirms one");
    is_int(ec_return(q.kmq, a, "1 2"), 2, "both are given back");
    ec_takes(q.kmq, "", "given up for it");
    is_int(kmq_in_flight(q.kmq, a), 0, "it has none");
    is_int(ec_status(q.kmq, 1), KMQ_STATUS_CONSUMED, "one is consumed");
    is_int(ec_status(q.kmq, 2), KMQ_STATUS_WAITING, "one in flight");
    is_int(ec_return(q.kmq, b, "2"), 1, "and given back");
    ec_takes(q.kmq, "b!2", "pushed again");
    is_int(ec_return(q.kmq, b, "2"), 1, "given back");
    ec_takes(q.kmq, "", "given up");
    ec_counts(q.kmq, "1 consumed, 1 dead", "nobody has confirmed: dead");

    ec_close(&q, "all, given up");
}


/* An end charges when nobody has the message any more, nor had confirmed it;
 * a thousand closing tabs are one failure. */
static void
test_all_end(void)
{
    unsigned    i;
    kmq_ref_t   c[5], last;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ALL, 2, DELAY, DELAY_MAX);

    for (i = 0; i < 5; i++) {
        c[i] = eu_consumer(q.kmq, "t", 10, "c");
    }

    ec_publish(q.kmq, q.p, 1, 4);
    (void) ec_take(q.kmq);

    for (i = 0; i < 4; i++) {
        is_int(ec_confirm(q.kmq, c[i], "2"), 1, "all confirm the second");
    }

    for (i = 0; i < 5; i++) {
        kmq_leave(q.kmq, c[i], 1);
    }

    ec_failure(q.kmq, 1, "1 end suspect", "the first is charged, once");
    ec_failure(q.kmq, 3, "", "the third is not");
    ec_failure(q.kmq, 4, "", "nor the fourth");
    is_int(ec_status(q.kmq, 2), KMQ_STATUS_CONSUMED,
           "nor what somebody has confirmed");

    last = eu_consumer(q.kmq, "t", 10, "a");
    ec_attempt(q.kmq, "a1.2", "a suspect alone");
    is_int(ec_confirm(q.kmq, last, "1"), 1, "confirmed");
    ec_attempt(q.kmq, "a3.1 a4.1", "and the rest");

    ec_close(&q, "all, end");
}


/* Who owes it still keeps it from being charged. */
static void
test_all_holders(void)
{
    kmq_ref_t   a, b;
    ec_queue_t  q;

    ec_open_delay(&q, KMQ_PUSH_ALL, 1, DELAY, DELAY_MAX);
    a = eu_consumer(q.kmq, "t", 10, "a");
    b = eu_consumer(q.kmq, "t", 10, "b");
    kmq_set_ready(q.kmq, b, 0);
    ec_publish(q.kmq, q.p, 1, 1);
    ec_takes(q.kmq, "a1", "pushed to one of two");
    kmq_leave(q.kmq, a, 1);
    ec_counts(q.kmq, "1 in flight", "the other one is to get it");
    kmq_set_ready(q.kmq, b, 1);
    ec_takes(q.kmq, "b1", "it does");
    kmq_leave(q.kmq, b, 0);
    ec_counts(q.kmq, "1 ready", "we end it");
    b = eu_consumer(q.kmq, "t", 10, "b");
    ec_takes(q.kmq, "b1", "pushed");
    kmq_leave(q.kmq, b, 1);
    ec_counts(q.kmq, "1 dead", "it ends itself, the last one");

    ec_close(&q, "all, holders");
}


int
main(void)
{
    test_overdue();
    test_return();
    test_not_begun();
    test_dead();
    test_due();
    test_together();
    test_room();
    test_meanwhile();
    test_configure();
    test_progress(1);
    test_progress(1000);
    test_clocks();
    test_extend();
    test_all_back(0);
    test_all_back(1);
    test_end(1);
    test_end(1000);
    test_ours(KMQ_PUSH_ONE);
    test_ours(KMQ_PUSH_ALL);
    test_rest();
    test_rest_pong();
    test_rest_code(0);
    test_rest_code(1);
    test_all_overdue();
    test_all_given_up();
    test_all_end();
    test_all_holders();

    return done_testing();
}
