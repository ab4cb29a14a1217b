/*
 * Point to point, deliveries that are not confirmed: overdue, extended, given
 * back, given up.  See engine_cases.h for how these tests read.
 */

#include <sys/wait.h>
#include <unistd.h>

#include "engine_cases.h"


static void
test_time(void)
{
    kmq_ref_t     a;
    ec_queue_t    q;
    kmq_counts_t  n;

    ec_open_retry(&q, KMQ_PUSH_ONE, 1000, 0);
    a = eu_consumer(q.kmq, "t", 10, "a");

    ec_publish(q.kmq, q.p, 1, 3);
    ec_takes(q.kmq, "a1 a2 a3", "pushed at 1000");
    ec_clock(q.kmq, 1999);
    ec_takes(q.kmq, "", "nothing is overdue a millisecond early");
    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "", "the oldest one is at its time, but a rests");
    ec_counts(q.kmq, "1 ready, 2 in flight", "what waits behind it is not");
    is_int(kmq_confirm_upto(q.kmq, a, 0), 0, "a pong, late");
    ec_takes(q.kmq, "a1", "ends the rest");
    ec_counts(q.kmq, "3 in flight", "in flight anew");

    n = eu_count(q.kmq);
    is_int((long long) n.totals.delivered, 4, "one delivered twice");
    is_int((long long) n.totals.redelivered, 1, "redelivered once");
    is_int(ec_attempts(q.kmq, 1), 2, "which the message knows,");
    is_int(ec_attempts(q.kmq, 2), 1, "and the other ones do not");

    ec_clock(q.kmq, 2999);
    ec_takes(q.kmq, "", "the next one's time began when it was the oldest");
    ec_clock(q.kmq, 3000);
    ec_takes(q.kmq, "", "and is over");
    ec_counts(q.kmq, "1 ready, 2 in flight", "it is taken away");
    ec_clock(q.kmq, 1000000);
    ec_takes(q.kmq, "a3", "one look makes up for a late one: all is taken");
    ec_counts(q.kmq, "2 ready, 1 in flight", "who rests has one at a time");

    ec_close(&q, "time");
}


static void
test_front(void)
{
    kmq_ref_t   a, b;
    ec_queue_t  q;

    ec_open_retry(&q, KMQ_PUSH_ONE, 1000, 0);
    a = eu_consumer(q.kmq, "t", 3, "a");

    ec_publish(q.kmq, q.p, 1, 5);
    ec_takes(q.kmq, "a1 a2 a3", "its prefetch is 3");
    kmq_set_ready(q.kmq, a, 0);
    b = eu_consumer(q.kmq, "t", 3, "b");

    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "b1 b4 b5", "before what waits, to who is ready");
    is_int(kmq_in_flight(q.kmq, a), 2, "the first one has it no more");
    ec_counts(q.kmq, "5 in flight", "each is there once");
    is_int(kmq_confirm_upto(q.kmq, b, EC_ALL), 3, "the other one confirms");
    ec_clock(q.kmq, 3000);
    ec_takes(q.kmq, "b2 b3", "then it gets all that the first one has");
    is_int(kmq_in_flight(q.kmq, a), 0, "and that has none");

    ec_close(&q, "front");
}


/* A consumer has one timer, for the oldest delivery that is unconfirmed. */
static void
test_oldest(void)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_retry(&q, KMQ_PUSH_ONE, 1000, 0);
    a = eu_consumer(q.kmq, "t", 10, "a");

    ec_publish(q.kmq, q.p, 1, 1);
    ec_takes(q.kmq, "a1", "pushed at 1000");
    ec_clock(q.kmq, 1500);
    ec_publish(q.kmq, q.p, 2, 2);
    ec_takes(q.kmq, "a2 a3", "pushed at 1500");

    is_int(ec_confirm(q.kmq, a, "3"), 1, "the last one is confirmed");
    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "", "the time of the first one counts");
    ec_counts(q.kmq, "1 ready, 1 in flight, 1 consumed", "it is taken away");
    is_int(ec_confirm(q.kmq, a, "1"), 1, "it is confirmed, late");
    ec_clock(q.kmq, 2499);
    ec_takes(q.kmq, "", "then that of the second, from the confirmation of "
             "the third on,");
    ec_clock(q.kmq, 2500);
    ec_takes(q.kmq, "a2", "counts");
    is_int(ec_confirm(q.kmq, a, "2"), 1, "all are confirmed");
    ec_clock(q.kmq, 10000);
    ec_takes(q.kmq, "", "none is overdue");

    ec_close(&q, "oldest");
}


static void
test_extend(void)
{
    kmq_ref_t   a, b;
    ec_queue_t  q;

    ec_open_retry(&q, KMQ_PUSH_ONE, 1000, 0);
    a = eu_consumer(q.kmq, "t", 10, "a");

    ec_publish(q.kmq, q.p, 1, 3);
    ec_takes(q.kmq, "a1 a2 a3", "pushed at 1000");
    kmq_set_ready(q.kmq, a, 0);
    b = eu_consumer(q.kmq, "t", 10, "b");

    ec_clock(q.kmq, 1600);
    is_int(ec_extend(q.kmq, a, "1"), 1, "the oldest one is extended");
    is_int(ec_extend(q.kmq, b, "1"), 0, "but not by another consumer");
    ec_clock(q.kmq, 2599);
    ec_takes(q.kmq, "", "it stays as long as it is extended");
    ec_clock(q.kmq, 2600);
    ec_takes(q.kmq, "b1", "and goes when it is not");
    is_int(ec_confirm(q.kmq, b, "1"), 1, "it is the other one's");
    is_int(ec_extend(q.kmq, a, "1 3"), 1, "what has gone is not extended");
    ec_clock(q.kmq, 3000);
    is_int(ec_extend(q.kmq, a, "2"), 1, "the next one's time begins anew");
    ec_clock(q.kmq, 3999);
    ec_takes(q.kmq, "", "it stays");
    ec_clock(q.kmq, 4000);
    ec_takes(q.kmq, "b2 b3", "it goes, and all that there is");
    is_int(ec_extend(q.kmq, a, "2"), 0, "that is the end");

    ec_close(&q, "extend");
}


static void
test_return(void)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_retry(&q, KMQ_PUSH_ONE, 1000, 0);
    a = eu_consumer(q.kmq, "t", 4, "a");

    ec_publish(q.kmq, q.p, 1, 6);
    ec_takes(q.kmq, "a1 a2 a3 a4", "its prefetch is 4");
    is_int(ec_return(q.kmq, a, "3 1"), 2, "it gives two back");
    ec_counts(q.kmq, "4 ready, 2 in flight", "they are ready at once");
    is_int(kmq_has_work(q.kmq), 1, "which its worker is told");
    ec_takes(q.kmq, "a3 a1", "before what waits, in the order given");
    is_int((long long) eu_count(q.kmq).totals.redelivered, 2, "redelivered");

    is_int(ec_return(q.kmq, a, "2 2"), 1, "not twice");
    is_int(ec_return(q.kmq, a, "5"), 0, "nor what it was not pushed");
    is_int(ec_confirm(q.kmq, a, "2 4"), 2, "what was returned is confirmed");
    is_int(ec_return(q.kmq, a, "4"), 0, "but not the other way round");
    ec_counts(q.kmq, "2 ready, 2 in flight, 2 consumed", "nor is it ready");
    ec_takes(q.kmq, "a5 a6", "it goes on");

    ec_close(&q, "return");
}


/* What was taken away is not the consumer's any more, whatever it says. */
static void
test_late(void)
{
    kmq_ref_t   a, b;
    ec_queue_t  q;

    ec_open_retry(&q, KMQ_PUSH_ONE, 1000, 0);
    a = eu_consumer(q.kmq, "t", 10, "a");

    ec_publish(q.kmq, q.p, 1, 2);
    ec_takes(q.kmq, "a1 a2", "pushed");
    kmq_set_ready(q.kmq, a, 0);
    b = eu_consumer(q.kmq, "t", 10, "b");
    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "b1", "overdue: another one's");
    ec_clock(q.kmq, 2500);
    is_int(ec_extend(q.kmq, b, "1"), 1, "which works on it");
    ec_clock(q.kmq, 3000);
    ec_takes(q.kmq, "b2", "and the next one, too");

    is_int(kmq_confirm_upto(q.kmq, a, EC_ALL), 0, "a pong is too late");
    is_int(ec_confirm(q.kmq, a, "1 2"), 0, "a code too");
    is_int(ec_extend(q.kmq, a, "1 2"), 0, "or an extension");
    is_int(ec_return(q.kmq, a, "1 2"), 0, "or a return");
    ec_counts(q.kmq, "2 in flight", "it is the other one's");
    is_int(kmq_confirm_upto(q.kmq, b, EC_ALL), 2, "to confirm");
    ec_counts(q.kmq, "2 consumed", "consumed");
    is_int((long long) eu_count(q.kmq).totals.confirmed, 2, "and counted once");

    ec_close(&q, "late");
}


/* Pushed again to the same one: a pong for the first push says nothing about
 * the second, a code does. */
static void
test_late_pong(void)
{
    uint32_t      position;
    kmq_ref_t     a;
    ec_queue_t    q;
    kmq_batch_t  *batch;

    ec_open_retry(&q, KMQ_PUSH_ONE, 1000, 0);
    a = eu_consumer(q.kmq, "t", 10, "a");

    ec_publish(q.kmq, q.p, 1, 1);
    batch = eu_take(q.kmq);
    position = batch ? batch->messages[0].position : 0;
    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "a1", "pushed again");
    is_int(kmq_confirm_upto(q.kmq, a, position), 0, "the pong came late");
    is_int(ec_confirm(q.kmq, a, "1"), 1, "the code did not");

    ec_close(&q, "late pong");
}


static void
test_never(void)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_retry(&q, KMQ_PUSH_ONE, 0, 0);
    a = eu_consumer(q.kmq, "t", 10, "a");

    ec_publish(q.kmq, q.p, 1, 2);
    ec_takes(q.kmq, "a1 a2", "pushed");
    is_int((long long) kmq_next_due(q.kmq), 0, "nothing to wait for");
    ec_clock(q.kmq, UINT64_C(365) * 86400 * 1000);
    ec_takes(q.kmq, "", "not in a year");
    is_int(ec_extend(q.kmq, a, "1"), 1, "an extension changes nothing");
    is_int(ec_return(q.kmq, a, "2"), 1, "a return does");
    ec_takes(q.kmq, "a2", "and is pushed again");

    ec_close(&q, "never");
}


/* A change of retry_time holds for what is in flight, and for what will be. */
static void
test_configure(void)
{
    kmq_ref_t   a, b;
    ec_queue_t  q;

    ec_open_retry(&q, KMQ_PUSH_ONE, 600000, 0);
    b = eu_consumer(q.kmq, "t", 10, "b");
    ec_publish(q.kmq, q.p, 1, 1);
    ec_takes(q.kmq, "b1", "arms a timer for ten minutes");
    is_int(ec_confirm(q.kmq, b, "1"), 1, "and has nothing in flight now");
    kmq_set_ready(q.kmq, b, 0);

    a = eu_consumer(q.kmq, "t", 10, "a");
    ec_publish(q.kmq, q.p, 2, 1);
    ec_takes(q.kmq, "a2", "pushed at 1000");

    ec_clock(q.kmq, 1500);
    q.s.topic.retry_time = 1000;
    kmq_configure(q.kmq, &q.s);
    ec_takes(q.kmq, "", "sooner now, but not at once");
    ec_clock(q.kmq, 2000);
    kmq_set_ready(q.kmq, a, 0);
    kmq_set_ready(q.kmq, b, 1);
    ec_takes(q.kmq, "b2", "overdue, and pushed to the one with the timer");
    ec_clock(q.kmq, 3000);
    ec_takes(q.kmq, "b2", "overdue again by the new time");

    q.s.topic.retry_time = 0;
    kmq_configure(q.kmq, &q.s);
    ec_clock(q.kmq, 100000);
    ec_takes(q.kmq, "", "never now");
    q.s.topic.retry_time = 5000;
    kmq_configure(q.kmq, &q.s);
    ec_takes(q.kmq, "b2", "long overdue with the next change");

    ec_close(&q, "configure");
}


/* More than goes into one batch; nobody is ready when they are overdue. */
static void
test_many(void)
{
    unsigned       i, n, want, wrong;
    kmq_ref_t      a;
    ec_queue_t     q;
    kmq_batch_t   *b;

    ec_open_retry(&q, KMQ_PUSH_ONE, 1000, 0);
    a = eu_consumer(q.kmq, "t", KMQ_PREFETCH_MAX, "a");
    (void) eu_publish_numbers(q.kmq, q.p, 0, 10000);

    while (eu_take(q.kmq)) { /* void */ }

    is_int(kmq_in_flight(q.kmq, a), 10000, "10,000 in flight");
    kmq_set_ready(q.kmq, a, 0);
    (void) eu_publish_numbers(q.kmq, q.p, 10000, 10);
    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "", "nobody is ready");
    ec_counts(q.kmq, "11 ready, 9999 in flight", "one is taken away");
    ec_clock(q.kmq, 3000);
    ec_takes(q.kmq, "", "nobody is ready");
    ec_counts(q.kmq, "10010 ready", "all are taken away");
    kmq_set_ready(q.kmq, a, 1);
    is_int(kmq_confirm_upto(q.kmq, a, 0), 0, "its rest is over");

    for (n = 0, wrong = 0; (b = eu_take(q.kmq)) != NULL; /* void */) {
        for (i = 0; i < b->nmessages; i++, n++) {

            /* the first one was in front already */

            want = n < 9999 ? n + 1 : n == 9999 ? 0 : n;
            wrong += eu_number(q.kmq, &b->messages[i]) != want;
        }
    }

    is_int(n, 10010, "and pushed again, before what waits");
    is_int(wrong, 0, "in their order");

    ec_close(&q, "many");
}


/* --------------------------------------------------------------- given up */

/* Ends the only consumer's delivery of message 1, without confirmation. */
static void
delivery_end(ec_queue_t *q, kmq_ref_t *a, const char *how, uint64_t *now)
{
    *now += 1000;
    ec_clock(q->kmq, *now);

    if (strcmp(how, "time") == 0) {
        kmq_set_ready(q->kmq, *a, 0);
        ec_takes(q->kmq, "", "overdue while nobody is ready");
        kmq_set_ready(q->kmq, *a, 1);

    } else if (strcmp(how, "return") == 0) {
        is_int(ec_return(q->kmq, *a, "1"), 1, "given back");

    } else {
        kmq_leave(q->kmq, *a, 1);
        *a = eu_consumer(q->kmq, "t", 10, "a");
    }
}


/* max_deliveries failures, of whatever kind; and as many after a requeue. */
static void
test_dead(const char *how)
{
    uint64_t             now;
    kmq_ref_t            a;
    ec_queue_t           q;
    kmq_message_info_t   info;

    diag("dead by %s", how);
    ec_open_retry(&q, KMQ_PUSH_ONE, 1000, 2);
    a = eu_consumer(q.kmq, "t", 10, "a");
    now = 1000;

    ec_publish(q.kmq, q.p, 1, 1);
    ec_takes(q.kmq, "a1", "pushed");
    delivery_end(&q, &a, how, &now);
    ec_takes(q.kmq, "a1", "pushed again, for the last time");
    delivery_end(&q, &a, how, &now);
    ec_counts(q.kmq, "1 dead", "it is dead");
    ec_takes(q.kmq, "", "and stays so");

    is_int(kmq_find(q.kmq, ec_code[1], &info), KMQ_OK, "it can be found");
    is_int(info.status, KMQ_STATUS_DEAD, "dead");
    is_int(info.attempts, 2, "after two failures");
    is_int((long long) eu_count(q.kmq).totals.died, 1, "which is counted");

    is_int(kmq_requeue(q.kmq, ec_code[1]), KMQ_OK, "requeued");
    is_int(ec_attempts(q.kmq, 1), 0, "as if it were new");
    ec_takes(q.kmq, "a1", "pushed");
    delivery_end(&q, &a, how, &now);
    ec_takes(q.kmq, "a1", "and again");
    delivery_end(&q, &a, how, &now);
    ec_counts(q.kmq, "1 dead", "then it is dead again");

    ec_close(&q, how);
}


/* A worker that dies with message 1 in flight, seen by q's. */
static void
worker_die(ec_queue_t *q)
{
    int     status;
    pid_t   pid;
    kmq_t  *kmq;

    pid = fork();

    if (pid == 0) {
        kmq = eu_attach(q->block, EC_SIZE, 1);
        (void) eu_consumer(kmq, "t", 10, "x");
        _exit(eu_take(kmq) ? 0 : 1);
    }

    ok(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0,
       "a worker dies that has taken it");
    is_int(kmq_tick(q->kmq), 1, "which is noticed");
}


/* What the server ends, no message is given up for. */
static void
test_blameless(void)
{
    kmq_t       *other;
    kmq_ref_t    a;
    ec_queue_t   q;

    ec_open_retry(&q, KMQ_PUSH_ONE, 1000, 1);
    ec_publish(q.kmq, q.p, 1, 1);

    other = eu_attach(q.block, EC_SIZE, 1);
    a = eu_consumer(other, "t", 10, "x");
    ec_takes(other, "x1", "pushed by a worker");
    kmq_retire(other);
    kmq_leave(other, a, 0);
    ec_counts(q.kmq, "1 ready", "that retires: its consumer leaves");

    (void) eu_consumer(other, "t", 10, "x");
    ec_takes(other, "x1", "pushed by it again");
    kmq_leave_all(other);
    ec_counts(q.kmq, "1 ready", "all its consumers leave");
    kmq_detach(other);

    other = eu_attach(q.block, EC_SIZE, 1);
    (void) eu_consumer(other, "t", 10, "x");
    ec_takes(other, "x1", "pushed by a worker");
    kmq_detach(other);
    ec_counts(q.kmq, "1 ready", "that detaches");

    worker_die(&q);
    ec_counts(q.kmq, "1 ready", "nor for a death");
    is_int(ec_attempts(q.kmq, 1), 0, "none of which is a failure");

    a = eu_consumer(q.kmq, "t", 10, "a");
    ec_takes(q.kmq, "a1", "pushed to a consumer");
    kmq_leave(q.kmq, a, 1);
    ec_counts(q.kmq, "1 dead", "that leaves of its own accord");

    ec_close(&q, "blameless");
}


static void
test_requeue(void)
{
    kmq_ref_t    a, b, p;
    ec_queue_t   q;

    ec_open_retry(&q, KMQ_PUSH_ONE, 1000, 1);
    a = eu_consumer(q.kmq, "t", 10, "a");
    b = eu_consumer(q.kmq, "u", 10, "b");
    p = eu_producer(q.kmq, "u");

    ec_publish(q.kmq, q.p, 1, 9);
    ec_publish(q.kmq, p, 10, 1);
    ec_takes(q.kmq, "a1 a2 a3 a4 a5 a6 a7 a8 a9 b10", "pushed");
    is_int(ec_return(q.kmq, a, "1 2 3 4 5 6 7 8 9"), 9, "all are given back");
    is_int(ec_return(q.kmq, b, "10"), 1, "by both");
    ec_counts(q.kmq, "10 dead", "and dead, in two topics");

    kmq_set_ready(q.kmq, a, 0);
    ec_publish(q.kmq, q.p, 11, 1);
    is_int(kmq_requeue(q.kmq, ec_code[5]), KMQ_OK, "one by its code");
    is_int(kmq_requeue(q.kmq, ec_code[5]), KMQ_ERROR, "it is not dead now");
    is_int(kmq_requeue(q.kmq, ec_code[11]), KMQ_ERROR, "nor is a new one");
    kmq_set_ready(q.kmq, a, 1);
    ec_takes(q.kmq, "a11 a5", "it goes to the end of its topic");
    is_int(kmq_confirm_upto(q.kmq, a, EC_ALL), 2, "confirmed");
    is_int(kmq_delete(q.kmq, ec_code[6]), KMQ_OK, "one is deleted");
    is_int(kmq_requeue(q.kmq, ec_code[6]), KMQ_GONE, "and gone");

    is_int(kmq_requeue_topic(q.kmq, "t", 1, 3), 3, "the topic's first slice");
    is_int(kmq_requeue_topic(q.kmq, "t", 1, 3), 3, "its second");
    is_int(kmq_requeue_topic(q.kmq, "t", 1, 3), 1, "its last");
    is_int(kmq_requeue_topic(q.kmq, "v", 1, 3), 0, "no such topic");
    ec_takes(q.kmq, "a1 a2 a3 a4 a7 a8 a9", "the oldest first");
    ec_counts(q.kmq, "7 in flight, 2 consumed, 1 dead", "the other topic's "
              "stays");
    is_int((long long) eu_count(q.kmq).totals.requeued, 8, "all are counted");

    ec_close(&q, "requeue");
}


/*
 * One message a second: one that comes back because its consumer left is
 * tried with retry_count others at once.
 */
static void
test_retry_count(void)
{
    unsigned    i;
    kmq_ref_t   c[5];
    ec_queue_t  q;

    static char        *names[] = { "a", "b", "c", "d", "e" };
    static const char  *pushes[] = { "a1", "b1", "c1" };

    ec_open_retry(&q, KMQ_PUSH_ONE, 60000, 0);
    q.s.batch_interval = 1000;
    q.s.batch_count = 1;
    q.s.retry_count = 2;
    kmq_configure(q.kmq, &q.s);
    ec_clock(q.kmq, 5000);

    for (i = 0; i < 5; i++) {
        c[i] = eu_join(q.kmq, KMQ_CONSUMER, "t", 1, names[i]);
    }

    kmq_set_ready(q.kmq, c[0], 1);
    ec_publish(q.kmq, q.p, 1, 2);

    for (i = 0; i < 3; i++) {
        ec_takes(q.kmq, pushes[i], "pushed, and the other one waits");
        kmq_set_ready(q.kmq, c[i + 1], 1);
        ec_takes(q.kmq, "", "it still does");
        kmq_leave(q.kmq, c[i], 1);
    }

    ec_takes(q.kmq, "", "two further consumers were tried");
    ok(kmq_next_batch(q.kmq) >= 1 && kmq_next_batch(q.kmq) <= 1000,
       "the next batch is waited for");
    ec_clock(q.kmq, 6000);
    ec_takes(q.kmq, "d1", "which begins with it");
    kmq_set_ready(q.kmq, c[4], 1);
    ec_clock(q.kmq, 7000);
    ec_takes(q.kmq, "e2", "and the next one goes on");

    ec_close(&q, "retry_count");
}


/* ------------------------------------------------------------------ wakes */

/* Worker 0 keeps the time for worker 1, which has the consumer. */
static void
test_wakes(uint32_t push_type)
{
    kmq_t       *one, *two;
    uint64_t     mask[KMQ_WORKERS / 64];
    kmq_ref_t    a;
    ec_queue_t   q;

    ec_open_retry(&q, push_type, 1000, 0);
    one = q.kmq;
    two = eu_attach(q.block, EC_SIZE, 1);
    ec_clock(two, 1000);

    a = eu_consumer(two, "t", 10, "a");
    ec_publish(two, q.p, 1, 1);
    ec_takes(two, "a1", "pushed by the second worker");
    ok(kmq_wakes(two, mask) && mask[0] == 1, "the keeper is told");
    ec_takes(one, "", "it looks");
    ok(kmq_next_due(one) >= 1 && kmq_next_due(one) <= 1000, "and waits");
    is_int((long long) kmq_next_due(two), 0, "it alone");

    ec_clock(one, 1999);
    ec_takes(one, "", "not a millisecond early");
    ok(!kmq_wakes(one, mask), "so nobody is told");
    is_int((long long) kmq_next_due(one), 1, "it counts down");
    ec_clock(one, 2000);
    ec_takes(one, "", "the consumer is not the keeper's");
    ok(kmq_wakes(one, mask) && mask[0] == 2, "whose it is, is told");

    ec_clock(two, 2000);
    ec_takes(two, push_type == KMQ_PUSH_ONE ? "a1" : "a!1", "and pushes");
    ok(kmq_wakes(two, mask) && mask[0] == 1, "the keeper is told again");
    is_int(ec_confirm(two, a, "1"), 1, "confirmed");

    kmq_leave(two, a, 0);
    ec_takes(one, "", "its consumer leaves");
    is_int((long long) kmq_next_due(one), 1000, "only age is waited for");
    kmq_detach(two);

    ec_close(&q, "wakes");
}


int
main(void)
{
    test_time();
    test_front();
    test_oldest();
    test_extend();
    test_return();
    test_late();
    test_late_pong();
    test_never();
    test_configure();
    test_many();
    test_dead("time");
    test_dead("return");
    test_dead("leave");
    test_blameless();
    test_requeue();
    test_retry_count();
    test_wakes(KMQ_PUSH_ONE);
    test_wakes(KMQ_PUSH_ALL);

    return done_testing();
}
