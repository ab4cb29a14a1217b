/*
 * Messages grow old, and topics have settings of their own.  See
 * engine_cases.h for how these tests read.
 */

#include "engine_cases.h"


/* Messages are deleted when they are 10 s old; a look every second. */
static void
expire_open(ec_queue_t *q)
{
    ec_open_retry(q, KMQ_PUSH_ONE, 0, 1);
    q->s.topic.clean_time = 10;
    q->s.check_interval = 1000;
    kmq_configure(q->kmq, &q->s);
}


/* Both clocks go on by steps of a look, up to that time. */
static void
pass(kmq_t *kmq, uint64_t from, uint64_t to)
{
    for ( /* void */ ; from <= to; from += 1000) {
        ec_clock(kmq, from);
        (void) eu_drain(kmq);
    }
}


/* Ready, consumed and dead ones go at their time, others do not. */
static void
test_states(void)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    expire_open(&q);
    a = eu_consumer(q.kmq, "t", 10, "a");

    ec_publish(q.kmq, q.p, 1, 3);
    ec_takes(q.kmq, "a1 a2 a3", "created at 1000");
    kmq_set_ready(q.kmq, a, 0);
    is_int(ec_confirm(q.kmq, a, "1"), 1, "one is consumed");
    ec_publish(q.kmq, q.p, 4, 1);
    ec_delayed(q.kmq, q.p, 5, 15000);

    ec_clock(q.kmq, 4000);
    is_int(ec_return(q.kmq, a, "2"), 1, "one dies, at 4000");
    ec_counts(q.kmq, "1 ready, 1 in flight, 1 delayed, 1 consumed, 1 dead",
              "one in each state");

    pass(q.kmq, 5000, 10000);
    ec_counts(q.kmq, "1 ready, 1 in flight, 1 delayed, 1 consumed, 1 dead",
              "nothing goes before its time");
    pass(q.kmq, 11000, 12000);
    ec_counts(q.kmq, "1 in flight, 1 delayed, 1 dead", "what is ready or "
              "consumed goes at its time");
    is_int(ec_status(q.kmq, 4), KMQ_GONE, "and is gone");
    is_int(ec_status(q.kmq, 2), KMQ_STATUS_DEAD, "a dead one has its time");
    pass(q.kmq, 13000, 13000);
    ec_counts(q.kmq, "1 in flight, 1 delayed, 1 dead", "from its death on");
    pass(q.kmq, 14000, 15000);
    ec_counts(q.kmq, "1 in flight, 1 delayed", "then it goes, too");

    pass(q.kmq, 16000, 25000);
    ec_counts(q.kmq, "1 ready, 1 in flight", "a delayed one has its time");
    pass(q.kmq, 26000, 27000);
    ec_counts(q.kmq, "1 in flight", "from when it was due on");
    pass(q.kmq, 28000, 100000);
    ec_counts(q.kmq, "1 in flight", "who has it may take long");
    is_int((long long) eu_count(q.kmq).totals.expired, 4,
           "the others are counted");
    is_int(ec_confirm(q.kmq, a, "3"), 1, "it is confirmed");
    pass(q.kmq, 101000, 101000);
    ec_counts(q.kmq, "", "and is old");

    ec_close(&q, "states");
}


/* A requeued message is as if it were new; one that was given back is not. */
static void
test_requeued(void)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    expire_open(&q);
    q.s.topic.max_deliveries = 2;
    kmq_configure(q.kmq, &q.s);
    a = eu_consumer(q.kmq, "t", 10, "a");

    ec_publish(q.kmq, q.p, 1, 2);
    ec_takes(q.kmq, "a1 a2", "created at 1000");
    is_int(ec_return(q.kmq, a, "1"), 1, "one is given back");
    ec_takes(q.kmq, "a1", "and pushed again");
    is_int(ec_return(q.kmq, a, "1"), 1, "it dies");
    kmq_set_ready(q.kmq, a, 0);

    ec_clock(q.kmq, 9000);
    is_int(kmq_requeue(q.kmq, ec_code[1]), KMQ_OK, "requeued at 9000");
    is_int(ec_return(q.kmq, a, "2"), 1, "the other one is given back now");
    ec_counts(q.kmq, "2 ready", "both wait");
    pass(q.kmq, 10000, 12000);
    is_int(ec_status(q.kmq, 2), KMQ_GONE, "that is as old as before");
    pass(q.kmq, 13000, 18000);
    is_int(ec_status(q.kmq, 1), KMQ_STATUS_WAITING, "this one is not");
    pass(q.kmq, 19000, 20000);
    is_int(ec_status(q.kmq, 1), KMQ_GONE, "until its second life ends");

    ec_close(&q, "requeued");
}


/* Many at one time, in slices. */
static void
test_slices(void)
{
    unsigned       slices, most;
    uint64_t       before, after;
    ec_queue_t     q;

    expire_open(&q);
    (void) eu_publish_numbers(q.kmq, q.p, 0, 5000);
    ec_clock(q.kmq, 5000);
    (void) eu_publish_numbers(q.kmq, q.p, 0, 3);
    ec_clock(q.kmq, 12000);
    slices = most = 0;

    do {
        before = eu_count(q.kmq).ready;
        (void) eu_take(q.kmq);
        after = eu_count(q.kmq).ready;

        most = before - after > most ? (unsigned) (before - after) : most;
        slices++;
    } while (kmq_has_work(q.kmq) && slices < 1000);

    ok(slices > 3 && slices < 1000, "in %u slices", slices);
    ok(most < 5000 / 3, "of at most %u messages", most);
    is_int((long long) eu_count(q.kmq).totals.expired, 5000, "all are deleted");
    ec_counts(q.kmq, "3 ready", "but those that are younger");

    ec_close(&q, "slices");
}


/* A keeper that goes by kmq_next_due() alone finds what is old in time. */
static void
test_next_due(void)
{
    uint64_t    now, next;
    ec_queue_t  q;

    expire_open(&q);
    ec_takes(q.kmq, "", "a look");
    is_int((long long) kmq_next_due(q.kmq), 0, "nothing to wait for");
    ec_clock(q.kmq, 7300);
    ec_publish(q.kmq, q.p, 1, 1);

    for (now = 7300; eu_count(q.kmq).ready && now < 100000; /* void */) {
        next = kmq_next_due(q.kmq);

        if (next == 0) {
            break;
        }

        now += next;
        ec_clock(q.kmq, now);
        (void) eu_take(q.kmq);
    }

    ec_counts(q.kmq, "", "it is gone");
    ok(now >= 7000 + 10000 && now <= 7000 + 10000 + 1000,
       "with the first look after its time: at %llu",
       (unsigned long long) now);
    is_int((long long) kmq_next_due(q.kmq), 0, "nothing to wait for again");

    ec_close(&q, "next due");
}


/* Age goes by the wall clock, whatever somebody does to it. */
static void
test_wall_clock(void)
{
    ec_queue_t  q;

    expire_open(&q);
    ec_publish(q.kmq, q.p, 1, 1);
    kmq_clock(q.kmq, 60000, EC_WALL - 3600000);
    ec_takes(q.kmq, "", "set back by an hour");
    ec_counts(q.kmq, "1 ready", "a message of the future is not old");
    kmq_clock(q.kmq, 61000, EC_WALL + 3600000);
    ec_takes(q.kmq, "", "set ahead by an hour");
    ec_counts(q.kmq, "", "it is an hour old");

    ec_close(&q, "wall clock");
}


/* The list's head stops a pass, so what is behind a younger one waits for
 * it: a message that was consumed late, before older ones. */
static void
test_behind(void)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    expire_open(&q);
    a = eu_consumer(q.kmq, "t", 10, "a");

    ec_publish(q.kmq, q.p, 1, 1);
    ec_clock(q.kmq, 4000);
    ec_publish(q.kmq, q.p, 2, 1);
    ec_takes(q.kmq, "a1 a2", "created at 1000 and 4000");
    is_int(ec_confirm(q.kmq, a, "2 1"), 2, "consumed the other way round");
    pass(q.kmq, 11000, 13000);
    ec_counts(q.kmq, "2 consumed", "the older one is kept");
    pass(q.kmq, 14000, 15000);
    ec_counts(q.kmq, "", "and goes with the other");

    ec_close(&q, "behind");
}


/* -------------------------------------------------------- topics' settings */

/* Topics whose names begin with "k" keep messages for ever, those with "s" 3 s;
 * "r" pushes again after a second, "m" once alone; "p" is to all. */
static void
topic_own(void *arg, const char *name, size_t len,
    kmq_topic_settings_t *settings)
{
    ++*(unsigned *) arg;

    if (len == 0) {
        return;
    }

    switch (name[0]) {

    case 'k':
        settings->clean_time = 0;
        break;

    case 's':
        settings->clean_time = 3;
        break;

    case 'r':
        settings->retry_time = 1000;
        break;

    case 'm':
        settings->max_deliveries = 1;
        break;

    case 'p':
        settings->push_type = KMQ_PUSH_ALL;
        break;
    }
}


static void
test_topics_clean(void)
{
    unsigned     calls;
    ec_queue_t   q;

    expire_open(&q);
    calls = 0;
    q.s.topic_own = topic_own;
    q.s.topic_arg = &calls;

    ec_publish(q.kmq, eu_producer(q.kmq, "keep"), 1, 1);
    kmq_configure(q.kmq, &q.s);
    ec_publish(q.kmq, eu_producer(q.kmq, "short"), 2, 1);
    ec_publish(q.kmq, q.p, 3, 1);
    ok(calls != 0, "asked for topics that there are, and for new ones");

    pass(q.kmq, 2000, 3000);
    ec_counts(q.kmq, "3 ready", "three topics");
    pass(q.kmq, 4000, 5000);
    is_int(ec_status(q.kmq, 2), KMQ_GONE, "one of 3 s");
    ec_counts(q.kmq, "2 ready", "two are left");
    pass(q.kmq, 6000, 12000);
    is_int(ec_status(q.kmq, 3), KMQ_GONE, "one of 10 s, as all others");
    pass(q.kmq, 13000, 100000);
    is_int(ec_status(q.kmq, 1), KMQ_STATUS_WAITING, "one that keeps all");

    q.s.topic_own = NULL;
    kmq_configure(q.kmq, &q.s);
    pass(q.kmq, 101000, 102000);
    ec_counts(q.kmq, "", "until that is changed");

    ec_close(&q, "topics, clean_time");
}


static void
test_topics_push(void)
{
    unsigned     calls;
    kmq_ref_t    m, t;
    ec_queue_t   q;

    ec_open_retry(&q, KMQ_PUSH_ONE, 5000, 0);
    calls = 0;
    q.s.topic_own = topic_own;
    q.s.topic_arg = &calls;
    kmq_configure(q.kmq, &q.s);

    (void) eu_consumer(q.kmq, "r", 10, "r");
    m = eu_consumer(q.kmq, "m", 10, "m");
    t = eu_consumer(q.kmq, "t", 10, "t");
    (void) eu_consumer(q.kmq, "p", 10, "p");
    (void) eu_consumer(q.kmq, "p", 10, "q");

    ec_publish(q.kmq, eu_producer(q.kmq, "r"), 1, 1);
    ec_takes(q.kmq, "r1", "one whose time is a second");
    ec_publish(q.kmq, eu_producer(q.kmq, "m"), 2, 1);
    ec_takes(q.kmq, "m2", "one that is pushed once");
    ec_publish(q.kmq, q.p, 3, 1);
    ec_takes(q.kmq, "t3", "one like all others");
    ec_publish(q.kmq, eu_producer(q.kmq, "p"), 4, 1);
    ec_takes(q.kmq, "p4 q4", "one that goes to all");

    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "r1", "overdue");
    is_int(ec_return(q.kmq, m, "2"), 1, "given back");
    is_int(ec_return(q.kmq, t, "3"), 1, "given back");
    ec_takes(q.kmq, "t3", "pushed again");
    ec_counts(q.kmq, "3 in flight, 1 dead", "or dead");

    ec_close(&q, "topics, push");
}


int
main(void)
{
    test_states();
    test_requeued();
    test_slices();
    test_next_due();
    test_wall_clock();
    test_behind();
    test_topics_clean();
    test_topics_push();

    return done_testing();
}
