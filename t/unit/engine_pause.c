/*
 * Topics that are paused, and resumed.  See engine_cases.h for how these tests
 * read.
 */

#include "engine_cases.h"


static void
pauses(kmq_t *kmq, int on)
{
    is_int(kmq_pause(kmq, "t", 1, on), KMQ_OK, on ? "paused" : "resumed");
}


static int
is_paused(kmq_t *kmq, const char *name)
{
    kmq_topic_detail_t  detail;

    return kmq_topic(kmq, name, strlen(name), &detail) == KMQ_OK
           ? (int) detail.info.paused : -1;
}


static void
test_point_to_point(void)
{
    kmq_ref_t    a, other;
    ec_queue_t   q;

    ec_open(&q, KMQ_PUSH_ONE);
    other = eu_producer(q.kmq, "other");
    (void) eu_consumer(q.kmq, "other", 10, "o");
    a = eu_consumer(q.kmq, "t", 10, "a");

    ec_publish(q.kmq, q.p, 1, 2);
    ec_takes(q.kmq, "a1 a2", "pushed");
    ec_publish(q.kmq, q.p, 3, 2);
    pauses(q.kmq, 1);
    is_int(is_paused(q.kmq, "t"), 1, "which is told");
    ec_takes(q.kmq, "", "what was granted already is not pushed");
    ec_publish(q.kmq, q.p, 5, 1);
    ec_takes(q.kmq, "", "nor is what comes");
    ec_publish(q.kmq, other, 6, 1);
    ec_takes(q.kmq, "o6", "another topic goes on");
    ec_counts(q.kmq, "3 ready, 3 in flight", "all wait");

    is_int(ec_confirm(q.kmq, a, "1"), 1, "what is in flight is confirmed");
    is_int(ec_return(q.kmq, a, "2"), 1, "or given back");
    ec_takes(q.kmq, "", "and waits");
    (void) eu_consumer(q.kmq, "t", 10, "b");
    ec_takes(q.kmq, "", "also for those who come");
    kmq_leave(q.kmq, a, 0);
    ec_takes(q.kmq, "", "or when somebody leaves");

    pauses(q.kmq, 1);
    pauses(q.kmq, 0);
    is_int(is_paused(q.kmq, "t"), 0, "not any more");
    ec_takes(q.kmq, "b2 b3 b4 b5", "all is pushed, in its order");
    pauses(q.kmq, 0);
    ec_takes(q.kmq, "", "once");

    ec_close(&q, "point to point");
}


static void
test_paced(uint32_t push_type)
{
    kmq_ref_t    other;
    ec_queue_t   q;

    ec_open(&q, push_type);
    q.s.batch_interval = 1000;
    q.s.batch_count = 4;
    kmq_configure(q.kmq, &q.s);
    other = eu_producer(q.kmq, "other");
    (void) eu_consumer(q.kmq, "t", 10, "a");
    (void) eu_consumer(q.kmq, "other", 10, "o");

    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "", "a window begins");
    pauses(q.kmq, 1);
    ec_publish(q.kmq, q.p, 1, 8);
    ec_publish(q.kmq, other, 11, 12);
    ec_takes(q.kmq, "o11 o12 o13 o14", "another topic has all of a window");
    ec_clock(q.kmq, 4000);
    (void) kmq_tick(q.kmq);
    ec_takes(q.kmq, "o15 o16 o17 o18", "and of the next one");

    pauses(q.kmq, 0);
    ec_clock(q.kmq, 6000);
    (void) kmq_tick(q.kmq);
    ec_takes(q.kmq, "a1 a2 o19 o20", "and half of it again");

    ec_close(&q, "paced");
}


static void
test_shared(void)
{
    kmq_ref_t    a, b;
    ec_queue_t   q;

    ec_open_retry(&q, KMQ_PUSH_ALL, 1000, 0);
    a = eu_consumer(q.kmq, "t", 2, "a");
    b = eu_consumer(q.kmq, "t", 10, "b");

    ec_publish(q.kmq, q.p, 1, 4);
    ec_takes(q.kmq, "a1 a2 b1 b2 b3 b4", "the quicker one is ahead");
    pauses(q.kmq, 1);
    is_int(ec_confirm(q.kmq, a, "1 2"), 2, "the other one has room");
    ec_takes(q.kmq, "", "but gets nothing");
    is_int(ec_confirm(q.kmq, b, "1 2 3"), 3, "one is left");
    ec_publish(q.kmq, q.p, 5, 1);
    ec_clock(q.kmq, 3000);
    ec_takes(q.kmq, "", "what is overdue is not pushed again");
    ec_clock(q.kmq, 9000);
    ec_takes(q.kmq, "", "for as long as that takes");

    pauses(q.kmq, 0);
    ec_takes(q.kmq, "a3 a4 b5", "all go on");
    ec_clock(q.kmq, 9600);
    ec_takes(q.kmq, "b!4", "and what was overdue is pushed again soon");

    ec_close(&q, "publish/subscribe");
}


/* A suspect waits for its consumer, and is pushed to one alone. */
static void
test_suspect(void)
{
    kmq_ref_t    a;
    ec_queue_t   q;

    ec_open_delay(&q, KMQ_PUSH_ONE, 0, 0, 60000);
    a = eu_consumer(q.kmq, "t", 10, "a");
    ec_publish(q.kmq, q.p, 1, 2);
    ec_takes(q.kmq, "a1 a2", "pushed");
    kmq_leave(q.kmq, a, 1);
    pauses(q.kmq, 1);
    (void) eu_consumer(q.kmq, "t", 10, "b");
    ec_takes(q.kmq, "", "a suspect waits, too");
    pauses(q.kmq, 0);
    ec_takes(q.kmq, "b1", "and is pushed alone");

    ec_close(&q, "suspect");
}


/* It is not forgotten, however many topics come and go. */
static void
test_kept(void)
{
    char         name[16];
    unsigned     i;
    kmq_ref_t    p;
    ec_queue_t   q;

    ec_open(&q, KMQ_PUSH_ONE);
    is_int(kmq_pause(q.kmq, "none", 4, 1), KMQ_GONE, "no topic");

    kmq_leave(q.kmq, q.p, 0);
    pauses(q.kmq, 1);

    for (i = 0; i < 3000; i++) {
        sprintf(name, "topic %u", i);
        p = eu_producer(q.kmq, name);
        kmq_leave(q.kmq, p, 0);
    }

    is_int(is_paused(q.kmq, "topic 0"), -1, "others are forgotten");
    is_int(is_paused(q.kmq, "t"), 1, "this one is not");
    pauses(q.kmq, 0);

    for (i = 0; i < 3000; i++) {
        sprintf(name, "topic %u", i);
        p = eu_producer(q.kmq, name);
        kmq_leave(q.kmq, p, 0);
    }

    is_int(is_paused(q.kmq, "t"), -1, "until it is resumed");

    ec_close(&q, "kept");
}


/* Another worker's consumers, too; and those of one that comes later. */
static void
test_workers(void)
{
    kmq_t       *other;
    kmq_ref_t    b;
    ec_queue_t   q;

    ec_open(&q, KMQ_PUSH_ONE);
    other = eu_attach(q.block, EC_SIZE, 1);
    kmq_configure(other, &q.s);
    b = eu_consumer(other, "t", 10, "b");

    ec_publish(q.kmq, q.p, 1, 2);
    pauses(q.kmq, 1);
    ec_takes(other, "", "nothing for another worker");
    is_int(kmq_has_work(other), 0, "which has nothing to do");
    pauses(other, 0);
    ec_takes(other, "b1 b2", "until it is resumed");
    pauses(q.kmq, 1);
    kmq_leave(other, b, 0);
    kmq_detach(other);
    is_int(is_paused(q.kmq, "t"), 1, "it stays so when a worker ends");
    (void) eu_consumer(q.kmq, "t", 10, "a");
    ec_takes(q.kmq, "", "for others");
    pauses(q.kmq, 0);
    ec_takes(q.kmq, "a1 a2", "who get it then");

    ec_close(&q, "workers");
}


int
main(void)
{
    test_point_to_point();
    test_paced(KMQ_PUSH_ONE);
    test_paced(KMQ_PUSH_ALL);
    test_shared();
    test_suspect();
    test_kept();
    test_workers();

    return done_testing();
}
