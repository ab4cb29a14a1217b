/*
 * A worker that stands still: the others get what was granted to it, and turn
 * the wheel; when it is back it has its part.
 */

#include "engine_util.h"


#define SIZE   (32 * EU_MB)
#define WALL   UINT64_C(1640975470000)


static void   *block;
static kmq_t  *one, *two;


static void
clocks(kmq_t *kmq, uint64_t mono)
{
    kmq_clock(kmq, mono, WALL);
}


static void
begin(void)
{
    one = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    two = eu_attach(block, SIZE, 1);

    clocks(one, 1000);
    clocks(two, 1000);
    (void) kmq_tick(one);
    (void) kmq_tick(two);
    (void) eu_drain(one);
    (void) eu_drain(two);
}


static void
end(const char *name)
{
    kmq_detach(two);
    eu_close(one, block, SIZE, name);
}


static void
test_grants(void)
{
    unsigned   n;
    kmq_ref_t  p;

    begin();

    (void) eu_consumer(one, "t", 1000, NULL);
    (void) eu_consumer(two, "t", 1000, NULL);
    p = eu_producer(one, "t");

    is_int(eu_publish_numbers(one, p, 0, 100), 100, "published");
    n = eu_drain(one);
    ok(n && n < 100, "one worker gets its part, %u", n);

    clocks(one, 1900);
    (void) kmq_tick(one);
    is_int(eu_drain(one), 0, "the other one may come still");

    clocks(one, 2100);
    (void) kmq_tick(one);
    is_int(n + eu_drain(one), 100, "it gets all, since the other does not");
    ok(eu_verify(one, "grants"), "sound");

    is_int(eu_publish_numbers(one, p, 0, 100), 100, "more");
    is_int(eu_drain(one), 100, "is its own from the beginning");

    /* the other one comes back */

    clocks(two, 2200);
    is_int(eu_publish_numbers(one, p, 0, 100), 100, "and more");
    (void) kmq_tick(two);
    is_int(eu_drain(one), 100, "what was granted before stays so");
    is_int(eu_publish_numbers(one, p, 0, 100), 100, "then the other is back");
    n = eu_drain(two);
    ok(n && n < 100, "and has its part, %u", n);
    is_int(n + eu_drain(one), 100, "of all");

    end("grants");
}


/* Nobody else is there: it finds what came meanwhile. */
static void
test_back(void)
{
    kmq_ref_t  p;

    begin();

    (void) eu_consumer(two, "t", 1000, NULL);
    p = eu_producer(one, "t");

    clocks(one, 5000);
    (void) kmq_tick(one);
    is_int(eu_publish_numbers(one, p, 0, 100), 100, "published");
    is_int(eu_drain(one), 0, "not for this worker");

    clocks(two, 5000);
    is_int(eu_drain(two), 100, "the other one has them when it is back");
    ok(eu_verify(one, "back"), "sound");

    end("back");
}


static void
test_wheel(void)
{
    kmq_ref_t      p;
    kmq_message_t  m;
    kmq_counts_t   n;

    begin();

    (void) eu_consumer(two, "t", 1000, NULL);
    p = eu_producer(two, "t");

    memset(&m, 0, sizeof(m));
    m.size = 1;
    m.delay_time = 100;
    is_int(kmq_reserve(two, p, &m, 1, NULL), 1, "a delayed message");
    kmq_write(two, &m, "x", 1);
    kmq_commit(two, &m, 1);

    n = eu_count(two);
    is_int(n.keeper, 0, "the keeper is the other one");

    clocks(two, 1150);
    is_int(eu_drain(two), 0, "which is waited for");

    clocks(two, 1400);
    is_int(eu_drain(two), 1, "but not for long");

    clocks(two, 2500);
    (void) kmq_tick(two);
    n = eu_count(two);
    is_int(n.keeper, 1, "in the end there is another keeper");

    end("wheel");
}


/* After a stop, what consumers have said meanwhile is heard first. */
static void
test_hear(void)
{
    kmq_settings_t  s;
    kmq_batch_t    *batch;
    kmq_ref_t       p;

    begin();

    s = eu_settings(KMQ_PUSH_ONE);
    s.topic.retry_time = 1000;
    kmq_configure(one, &s);

    (void) eu_consumer(one, "t", 1000, NULL);
    p = eu_producer(one, "t");
    is_int(eu_publish_numbers(one, p, 0, 10), 10, "published");
    batch = eu_take(one);
    ok(batch && batch->nmessages == 10, "pushed");

    clocks(one, 9000);
    kmq_hear(one, 1000);
    ok(eu_take(one) == NULL && !kmq_has_work(one), "nothing is overdue yet");
    is_int(eu_count(one).totals.redelivered, 0, "nor pushed again");
    ok(kmq_next_due(one) != 1, "nor is it waited for at once");

    clocks(one, 10000);
    is_int(eu_drain(one), 10, "but it is after that time");

    end("hear");
}


/* Others find it, and take its part, also where nothing else makes them look:
 * the look for old messages is far away. */
static void
test_alone(void)
{
    unsigned        n;
    uint64_t        mono;
    kmq_ref_t       p;
    kmq_settings_t  s;

    begin();
    s = eu_settings(KMQ_PUSH_ONE);
    s.check_interval = 3600000;
    kmq_configure(one, &s);

    (void) eu_consumer(one, "t", 1000, NULL);
    (void) eu_consumer(two, "t", 1000, NULL);
    p = eu_producer(one, "t");

    is_int(eu_publish_numbers(one, p, 0, 100), 100, "published");
    n = eu_drain(one);
    ok(n && n < 100, "one has a part of them");

    /* two does nothing from here on */

    for (mono = 1500; mono <= 3000; mono += 500) {
        clocks(one, mono);
        (void) kmq_tick(one);

        while (kmq_has_work(one)) {
            n += eu_drain(one);
        }
    }

    is_int(n, 100, "and soon the other part, too");
    end("alone");
}


int
main(void)
{
    test_grants();
    test_alone();
    test_back();
    test_wheel();
    test_hear();

    return done_testing();
}
