/*
 * A worker that stands still: the others get what was granted to it, and turn
 * the wheel; when it is back it has its part.
 */

#include <sys/wait.h>
#include <unistd.h>

#include "engine_unlock.h"
#include "../../src/engine/upkeep/kmq_upkeep_inside.h"


#define SIZE    (32 * EU_MB)
#define WALL    UINT64_C(1640975470000)
#define ROUTES  600               /* more than are given to others twice */


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
    is_int(eu_drain(one), 0, "but it is after that time");
    is_int(eu_count(one).ready, 1, "the oldest one is ready");

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


/* One finds, at that time, who stands still. */
static void
find(kmq_t *kmq, uint64_t mono)
{
    clocks(kmq, mono);
    kmq_still_seen(kmq);
    kmq_still_find(kmq);
}


static void
two_stops(void)
{
    find(one, 5000);
}


static void
two_stops_at_lots(const char *point)
{
    if (strcmp(point, "lots") == 0) {
        two_stops();
    }
}


static void
two_goes_on_at_lots(const char *point)
{
    if (strcmp(point, "lots") == 0) {
        clocks(two, 5000);
        kmq_still_seen(two);
    }
}


/* The only worker with a consumer begins to stand still while a message is
 * granted to it: the message is there for it when it is back. */
static void
test_stops_last(void)
{
    kmq_ref_t       p;
    kmq_settings_t  s;

    begin();
    s = eu_settings(KMQ_PUSH_ONE);
    s.batch_interval = 60000;
    s.batch_count = 100;
    kmq_configure(one, &s);

    (void) eu_consumer(two, "t", 1000, NULL);
    p = eu_producer(one, "t");
    is_int(eu_publish_numbers(one, p, 0, 1), 1, "one message");
    is_int(eu_drain(two), 1, "goes in this window");

    /* whoever asks for a part of the window takes the common lock */

    eo_when_unlocked(&one->block->lock, two_stops);
    is_int(eu_publish_numbers(one, p, 1, 1), 1, "another one is published");
    ok(eo_unlocked == NULL && one->block->nstill == 1,
       "while the consumer's worker begins to stand still");
    is_int(ei_topic(one, p)->granted, 0, "it is granted to nobody");
    is_int(one->block->pace.left, 99, "and another one may go in its place");

    clocks(two, 5100);
    is_int(eu_drain(two), 1, "the worker has it when it is back");

    end("the last one stops");
}


/* A worker begins to stand still, or is back, while lots are drawn. */
static void
test_while_drawn(void (*then)(const char *), unsigned at_once)
{
    unsigned      i, n, more;
    kmq_ref_t     p;
    kmq_topic_t  *topic;

    begin();

    (void) eu_consumer(one, "t", 10000, NULL);
    (void) eu_consumer(two, "t", 10000, NULL);
    (void) eu_consumer(two, "t", 10000, NULL);
    p = eu_producer(one, "t");
    topic = ei_topic(one, p);
    more = 0;
    n = 0;

    for (i = 0; i < 50; i++) {
        clocks(one, 1000);
        clocks(two, 1000);
        kmq_still_seen(one);
        kmq_still_seen(two);

        if (then == two_goes_on_at_lots) {
            two_stops();
        }

        kmq_fault = then;
        n += eu_publish_numbers(one, p, 0, at_once);
        kmq_fault = NULL;

        more += topic->granted > topic->ready.count;
        more += topic->granted < topic->ready.count;
    }

    is_int(more, 0, "as many are granted as there are");

    clocks(one, 5000);
    clocks(two, 5000);
    kmq_still_seen(two);
    is_int(eu_drain(one) + eu_drain(two), n, "and all of them arrive");

    end("while lots are drawn");
}


/* Its routes are given to others, a part of them, before it takes them. */
static void
others_get_some(void)
{
    find(one, 9000);
    (void) eu_take(one);
    ok(ei_shard(one, 3)->duty[1].still_last, "others have a part of them");
}


/* A worker goes on, and stands still at once again; then others have begun to
 * give its part away when it takes that itself. */
static void
test_goes_on_behind(void)
{
    char          name[EI_NAME_LEN];
    unsigned      i;
    uint64_t      cursor, deleted;
    kmq_ref_t     p;
    kmq_duty_t   *duty;
    kmq_query_t   all;

    begin();

    for (i = 0; i < ROUTES; i++) {
        (void) ei_name(one, 3, i, name);
        (void) eu_consumer(two, name, 10, NULL);
        p = eu_producer(one, name);
        (void) eu_publish(one, p, "x", 1);
    }

    memset(&all, 0, sizeof(all));
    all.to = UINT32_MAX;
    all.status = KMQ_STATUS_ANY;
    cursor = 0;
    deleted = 0;

    do {
        kmq_purge(one, &all, &cursor, &deleted);
    } while (cursor);

    is_int((long long) deleted, ROUTES, "what was granted is gone again");

    duty = &ei_shard(one, 3)->duty[1];
    is_int(duty->ndirty, ROUTES, "but its routes are to be looked at");

    two_stops();
    clocks(two, 5000);

    kmq_slice = 2 * ROUTES;
    eo_when_unlocked(&one->block->lock, others_get_some);
    (void) eu_take(two);
    kmq_slice = 512;

    is_int(duty->ndirty, 0, "the worker looks at all");
    is_int(duty->still_last, 0, "and nothing is left for others");

    if (duty->still_last == 0) {
        is_int(eu_drain(one), 0, "which they find");
    }

    end("goes on behind");
}


/* Whenever the one who gives back what a dead worker had lets the common lock
 * go, another one looks who stands still. */
static void
find_again(void)
{
    kmq_still_find(two);
    eo_when_unlocked(&one->block->lock, find_again);
}


static void
test_dead(void)
{
    int            status;
    pid_t          pid;
    kmq_worker_t  *worker;

    begin();
    fflush(stdout);
    pid = fork();

    if (pid == 0) {
        _exit(kmq_attach(block, SIZE, 5) == NULL);
    }

    ok(waitpid(pid, &status, 0) == pid && status == 0, "a worker dies");

    worker = &one->block->worker[5];
    clocks(one, 9000);
    kmq_still_seen(one);
    find(two, 9000);

    eo_when_unlocked(&one->block->lock, find_again);
    kmq_reap_dead(one);
    eo_unlocked = NULL;

    ok(!worker->attached && !worker->still, "it is gone, and is not still");
    is_int(one->block->nstill, 0, "nobody stands still");

    end("dead");
}


int
main(void)
{
    test_grants();
    test_alone();
    test_back();
    test_wheel();
    test_hear();
    test_stops_last();
    test_while_drawn(two_stops_at_lots, 1);
    test_while_drawn(two_stops_at_lots, 25);
    test_while_drawn(two_goes_on_at_lots, 1);
    test_while_drawn(two_goes_on_at_lots, 25);
    test_goes_on_behind();
    test_dead();

    return done_testing();
}
