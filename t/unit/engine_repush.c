/*
 * Publish/subscribe, deliveries that are not confirmed: what a consumer owes is
 * pushed to it again, until it is given up.  See engine_cases.h for how these
 * tests read.
 */

#include "engine_cases.h"


/* The next batch is one run for name, of what it has already. */
static void
is_repush(kmq_t *kmq, const char *name, const uint32_t *positions,
    unsigned n)
{
    unsigned      i, same;
    kmq_batch_t  *b;

    b = eu_take(kmq);

    if (!ok(b && b->again == 1 && b->nruns == 1 && b->nmessages == n
            && b->runs[0].first == 0 && b->runs[0].count == n
            && strcmp(b->runs[0].user, name) == 0,
            "a run of its own for %s, of what it has", name))
    {
        return;
    }

    for (i = 0, same = 0; i < n; i++) {
        same += b->messages[i].position == positions[i];
    }

    is_int(same, n, "with the same positions");
}


static void
test_repush(void)
{
    unsigned       i;
    uint32_t       positions[3];
    kmq_ref_t      a, b;
    ec_queue_t     q;
    kmq_batch_t   *batch;

    ec_open_retry(&q, KMQ_PUSH_ALL, 1000, 0);
    a = eu_consumer(q.kmq, "t", 10, "a");
    b = eu_consumer(q.kmq, "t", 10, "b");

    ec_publish(q.kmq, q.p, 1, 3);
    batch = eu_take(q.kmq);
    ok(batch && batch->nmessages == 3 && batch->nruns == 2
       && batch->again == 0, "pushed to both");

    for (i = 0; i < 3 && batch; i++) {
        positions[i] = batch->messages[i].position;
    }

    is_int(kmq_confirm_upto(q.kmq, a, EC_ALL), 3, "one of them confirms");
    ec_clock(q.kmq, 1999);
    ec_takes(q.kmq, "", "nothing is overdue a millisecond early");
    ec_clock(q.kmq, 2000);
    is_repush(q.kmq, "b", positions, 1);
    ec_takes(q.kmq, "", "and nothing for the other one");
    is_int((long long) eu_count(q.kmq).totals.redelivered, 1, "redelivered");
    is_int((long long) eu_count(q.kmq).totals.delivered, 7, "delivered");
    ec_counts(q.kmq, "3 in flight", "each is there once");

    is_int(kmq_confirm_upto(q.kmq, b, positions[1]), 2,
           "a pong for the first push confirms");
    ec_clock(q.kmq, 3000);
    is_repush(q.kmq, "b", positions + 2, 1);
    is_int(ec_confirm(q.kmq, b, "3"), 1, "a code too");
    ec_counts(q.kmq, "3 consumed", "consumed");

    ec_close(&q, "repush");
}


/* What is pushed again does not disturb the order of the rest. */
static void
test_order(void)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_retry(&q, KMQ_PUSH_ALL, 1000, 0);
    a = eu_consumer(q.kmq, "t", 3, "a");

    ec_publish(q.kmq, q.p, 1, 2);
    ec_takes(q.kmq, "a1 a2", "pushed at 1000");
    ec_clock(q.kmq, 1700);
    is_int(ec_extend(q.kmq, a, "2"), 1, "one is extended");
    ec_publish(q.kmq, q.p, 3, 4);
    ec_takes(q.kmq, "a3", "as many as its prefetch lets");

    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "a!1", "what is overdue, though it has no room");
    is_int(ec_return(q.kmq, a, "3 1"), 2, "two are given back");
    ec_takes(q.kmq, "a!1 a!3", "and pushed again at once");
    ec_clock(q.kmq, 2700);
    ec_takes(q.kmq, "", "what was extended is not the oldest");

    is_int(ec_confirm(q.kmq, a, "2"), 1, "one is confirmed");
    ec_takes(q.kmq, "a4", "and the next one comes");
    is_int(ec_confirm(q.kmq, a, "4"), 1, "which is confirmed");
    ec_takes(q.kmq, "a5", "and one more");
    ec_clock(q.kmq, 2999);
    ec_takes(q.kmq, "", "the oldest one's time began anew");
    ec_clock(q.kmq, 3000);
    ec_takes(q.kmq, "a!1", "overdue again");
    ec_clock(q.kmq, 3699);
    ec_takes(q.kmq, "", "the other one's began when it was overtaken");
    ec_clock(q.kmq, 3700);
    ec_takes(q.kmq, "a!3", "overdue");
    is_int(kmq_confirm_upto(q.kmq, a, EC_ALL), 3, "all are confirmed");
    ec_takes(q.kmq, "a6", "the rest comes in its order");

    ec_close(&q, "order");
}


static void
test_not_ready(void)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    ec_open_retry(&q, KMQ_PUSH_ALL, 1000, 0);
    a = eu_consumer(q.kmq, "t", 10, "a");

    ec_publish(q.kmq, q.p, 1, 2);
    ec_takes(q.kmq, "a1 a2", "pushed");
    kmq_set_ready(q.kmq, a, 0);
    ec_clock(q.kmq, 3000);
    ec_takes(q.kmq, "", "its connection takes no bytes");
    is_int((long long) kmq_next_due(q.kmq), 0, "nobody waits for a time");

    ec_clock(q.kmq, 3001);
    kmq_set_ready(q.kmq, a, 1);
    is_int(kmq_has_work(q.kmq), 1, "as soon as it does");
    ec_takes(q.kmq, "a!1", "it gets the oldest one");
    ec_clock(q.kmq, 4000);
    ec_takes(q.kmq, "", "and has its time");
    ec_clock(q.kmq, 4001);
    ec_takes(q.kmq, "a!1", "from then on");

    ec_close(&q, "not ready");
}


/* More than is looked at under one lock, and than goes into a batch. */
static void
test_many(void)
{
    unsigned       i, n, wrong, batches;
    kmq_ref_t      a;
    ec_queue_t     q;
    kmq_batch_t   *b;

    ec_open_retry(&q, KMQ_PUSH_ALL, 1000, 0);
    a = eu_consumer(q.kmq, "t", KMQ_PREFETCH_MAX, "a");
    (void) eu_publish_numbers(q.kmq, q.p, 0, 3000);

    ec_publish(q.kmq, q.p, 99, 1);

    while (eu_take(q.kmq)) { /* void */ }

    is_int(ec_confirm(q.kmq, a, "99"), 1, "all have been overtaken");
    is_int(kmq_in_flight(q.kmq, a), 3000, "3,000 in flight");
    ec_clock(q.kmq, 2000);
    batches = n = wrong = 0;

    while ((b = eu_take(q.kmq)) != NULL) {
        batches++;

        for (i = 0; i < b->nmessages; i++, n++) {
            wrong += eu_number(q.kmq, &b->messages[i]) != n || !b->again;
        }
    }

    is_int(n, 3000, "all are pushed again, once");
    is_int(wrong, 0, "in their order");
    ok(batches > 3, "in %u batches", batches);
    is_int(kmq_confirm_upto(q.kmq, a, EC_ALL), 3000, "confirmed");

    ec_close(&q, "many");
}


/* A consumer is given up for a message that has failed often enough with it:
 * that message is not for it any more.  What becomes of it depends on the
 * others. */
static void
test_given_up(void)
{
    kmq_ref_t   a, b;
    ec_queue_t  q;

    ec_open_retry(&q, KMQ_PUSH_ALL, 1000, 2);
    a = eu_consumer(q.kmq, "t", 10, "a");
    b = eu_consumer(q.kmq, "t", 10, "b");

    ec_publish(q.kmq, q.p, 1, 4);
    ec_takes(q.kmq, "a1 a2 a3 a4 b1 b2 b3 b4", "pushed to both");
    is_int(ec_confirm(q.kmq, a, "4") + ec_confirm(q.kmq, b, "4"), 2,
           "the last one has overtaken all");
    is_int(ec_confirm(q.kmq, a, "1"), 1, "one confirms the first message");
    ec_clock(q.kmq, 1500);
    is_int(ec_extend(q.kmq, b, "3"), 1, "the other works on the third");
    ec_clock(q.kmq, 2000);
    ec_takes(q.kmq, "a!2 a!3 b!1 b!2", "pushed again, for the last time");
    is_int(ec_attempts(q.kmq, 2), 2, "which counts as one failure, not two");
    ec_clock(q.kmq, 2500);
    ec_takes(q.kmq, "b!3", "at its own time");
    ec_clock(q.kmq, 3000);
    ec_takes(q.kmq, "", "given up");

    is_int(ec_status(q.kmq, 1), KMQ_STATUS_CONSUMED,
           "somebody has confirmed: consumed");
    is_int(ec_status(q.kmq, 2), KMQ_STATUS_DEAD, "nobody has: dead");
    is_int(ec_status(q.kmq, 3), KMQ_STATUS_WAITING,
           "somebody still may: in flight");
    is_int(ec_confirm(q.kmq, a, "2 3"), 0, "too late for that one");
    is_int(ec_confirm(q.kmq, b, "3"), 1, "but not for this one");
    ec_counts(q.kmq, "3 consumed, 1 dead", "the end");

    ec_close(&q, "given up");
}


/* Who has given up leaves nothing; who leaves later decides. */
static void
test_leave(void)
{
    kmq_ref_t   a, b;
    ec_queue_t  q;

    ec_open_retry(&q, KMQ_PUSH_ALL, 1000, 1);
    a = eu_consumer(q.kmq, "t", 10, "a");
    b = eu_consumer(q.kmq, "t", 10, "b");
    kmq_set_ready(q.kmq, b, 0);

    ec_publish(q.kmq, q.p, 1, 1);
    ec_takes(q.kmq, "a1", "pushed to one of two");
    is_int(ec_return(q.kmq, a, "1"), 1, "which gives it back");
    ec_takes(q.kmq, "", "and is given up");
    kmq_leave(q.kmq, a, 1);
    ec_counts(q.kmq, "1 in flight", "the other one has not got it yet");
    kmq_leave(q.kmq, b, 0);
    ec_counts(q.kmq, "1 ready", "we end that one: nothing is given up");

    a = eu_consumer(q.kmq, "t", 10, "a");
    b = eu_consumer(q.kmq, "t", 10, "b");
    ec_takes(q.kmq, "a1 b1", "it is there for others");
    is_int(ec_return(q.kmq, a, "1"), 1, "one of them gives it back");
    ec_takes(q.kmq, "", "and is given up");
    kmq_leave(q.kmq, a, 1);
    ec_counts(q.kmq, "1 in flight", "the other one has it");
    kmq_leave(q.kmq, b, 1);
    ec_counts(q.kmq, "1 dead", "and leaves, too");

    a = eu_consumer(q.kmq, "t", 10, "a");
    b = eu_consumer(q.kmq, "t", 10, "b");
    ec_publish(q.kmq, q.p, 2, 1);
    ec_takes(q.kmq, "a2 b2", "pushed to both");
    is_int(ec_confirm(q.kmq, b, "2"), 1, "one confirms");
    kmq_leave(q.kmq, a, 1);
    ec_counts(q.kmq, "1 consumed, 1 dead", "the other one leaves: consumed");

    ec_publish(q.kmq, q.p, 3, 1);
    ec_takes(q.kmq, "b3", "pushed to one");
    kmq_leave(q.kmq, b, 0);
    ec_counts(q.kmq, "1 ready, 1 consumed, 1 dead", "that we end");

    ec_close(&q, "leave");
}


int
main(void)
{
    test_repush();
    test_order();
    test_not_ready();
    test_many();
    test_given_up();
    test_leave();

    return done_testing();
}
