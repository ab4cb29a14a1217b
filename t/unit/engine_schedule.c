/*
 * Delayed messages: each comes once, never early, in the order of its time;
 * whoever turns the wheel, however it is asked, and whoever dies.
 */

#include <time.h>

#include "engine_util.h"


#define SIZE      (64 * EU_MB)
#define MESSAGES  20000
#define WALL      UINT64_C(1640975470000)
#define YEAR      (UINT64_C(365) * 86400 * 1000)


static uint64_t  mono;


static void
clock_set(kmq_t *kmq, uint64_t now)
{
    mono = now;
    kmq_clock(kmq, now, WALL);
}


static int
publish(kmq_t *kmq, kmq_ref_t p, uint32_t number, uint64_t delay)
{
    kmq_message_t  m;

    memset(&m, 0, sizeof(m));
    m.size = sizeof(number);
    m.delay_time = delay;

    if (kmq_reserve(kmq, p, &m, 1, NULL) != 1) {
        return 0;
    }

    kmq_write(kmq, &m, &number, sizeof(number));
    kmq_commit(kmq, &m, 1);

    return 1;
}


static uint32_t
number_of(kmq_t *kmq, const kmq_message_t *m)
{
    uint32_t  number, left, n;
    kmq_ref_t piece;

    piece = m->body;
    left = m->size;
    memcpy(&number, kmq_read(kmq, &piece, &left, &n), sizeof(number));

    return number;
}


static uint64_t
random_next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005)
             + UINT64_C(1442695040888963407);

    return *state >> 33;
}


/* Delays of all magnitudes, up to ten years, some of them the same. */
static uint64_t
random_delay(uint64_t *state)
{
    static const uint64_t  spans[] = {
        1, 10, 255, 256, 257, 1000, 65535, 65536, 70000, 1 << 24, YEAR,
        10 * YEAR
    };

    return 1 + random_next(state)
               * random_next(state)
               % spans[random_next(state) % (sizeof(spans)
                                             / sizeof(spans[0]))];
}


/* Takes all there is, confirms it, and checks each against its due time. */
static unsigned
take_due(kmq_t *kmq, uint64_t *due, uint64_t *last, unsigned *early,
    unsigned *disorder)
{
    unsigned             i, n;
    uint32_t             number;
    static kmq_batch_t   batch;

    n = 0;
    batch.bytes_max = 1 << 20;

    do {
        if (kmq_take(kmq, &batch) == 0) {
            continue;
        }

        for (i = 0; i < batch.nmessages; i++) {
            number = number_of(kmq, &batch.messages[i]);

            *early += due[number] == 0 || due[number] > mono;
            *disorder += due[number] < *last;
            *last = due[number];
            due[number] = 0;
        }

        n += batch.nmessages;
        kmq_confirm_upto(kmq, batch.runs[0].client,
                         batch.messages[batch.nmessages - 1].position);
    } while (kmq_has_work(kmq));

    return n;
}


static void
test_one(void)
{
    void          *block;
    kmq_t         *kmq;
    kmq_ref_t      p;
    kmq_batch_t   *b;
    kmq_counts_t   n;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    p = eu_producer(kmq, "t");
    (void) eu_consumer(kmq, "t", 100, NULL);

    clock_set(kmq, 5000);
    is_int((long long) kmq_next_due(kmq), 0, "nothing to wait for");
    ok(publish(kmq, p, 1, 1500), "published");

    n = eu_count(kmq);
    ok(n.delayed == 1 && n.ready == 0 && n.totals.published == 1, "delayed");
    ok(eu_take(kmq) == NULL, "not now");
    ok(kmq_next_due(kmq) && kmq_next_due(kmq) <= 1500,
       "the keeper waits for it");

    clock_set(kmq, 6499);
    ok(eu_take(kmq) == NULL, "not a millisecond early");

    /* somebody sets the wall clock */

    kmq_clock(kmq, 6499, WALL + YEAR);
    ok(eu_take(kmq) == NULL, "nor when the wall clock jumps ahead");
    kmq_clock(kmq, 6499, WALL - YEAR);
    ok(eu_take(kmq) == NULL, "or back");
    ok(kmq_next_due(kmq) == 1, "nor is it put off");

    while (kmq_next_due(kmq) && mono < 10000) {
        clock_set(kmq, mono + kmq_next_due(kmq));
        b = eu_take(kmq);

        if (b) {
            break;
        }
    }

    is_int((long long) mono, 6500, "at its time");
    ok(b && b->nmessages == 1, "delivered");
    is_int(b ? b->messages[0].delay : 0, 2, "in seconds, rounded up");
    is_int(eu_confirm(kmq, b), 1, "confirmed");

    n = eu_count(kmq);
    ok(n.delayed == 0 && n.in_flight == 0, "nothing left");
    is_int((long long) kmq_next_due(kmq), 0, "nothing to wait for again");

    eu_close(kmq, block, SIZE, "one");
}


/* Random delays, and a clock that jumps from one wake-up to the next. */
static void
test_random(uint64_t start)
{
    void             *block;
    kmq_t            *kmq;
    uint64_t          last, wait, state;
    kmq_ref_t         p;
    unsigned          i, n, early, disorder, idle, rounds;
    static uint64_t   due[MESSAGES];

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    p = eu_producer(kmq, "t");
    (void) eu_consumer(kmq, "t", 10000, NULL);

    state = getenv("KMQ_SEED") ? strtoull(getenv("KMQ_SEED"), NULL, 10)
                               : (uint64_t) time(NULL);
    diag("KMQ_SEED=%llu", (unsigned long long) state);
    last = 0;
    early = 0;
    disorder = 0;
    idle = 0;
    rounds = 0;
    n = 0;

    clock_set(kmq, start);

    for (i = 0; i < MESSAGES; i++) {
        wait = random_delay(&state) % (10 * YEAR);
        wait = wait ? wait : 1;
        due[i] = mono + wait;

        if (!publish(kmq, p, i, wait)) {
            break;
        }

        if (i % 100 == 0) {
            clock_set(kmq, mono + 1);
            last = 0;
            n += take_due(kmq, due, &last, &early, &disorder);
        }
    }

    is_int(i, MESSAGES, "clock %#llx: all published",
           (unsigned long long) start);
    ok(eu_verify(kmq, "full wheel"), "sound");

    last = 0;

    while ((wait = kmq_next_due(kmq)) != 0) {
        clock_set(kmq, mono + wait);
        i = take_due(kmq, due, &last, &early, &disorder);
        idle += i == 0;
        n += i;
        rounds++;
    }

    is_int(n, MESSAGES, "all delivered");
    is_int(early, 0, "none early, none twice");
    is_int(disorder, 0, "in the order of their times");
    ok(idle <= 6 * MESSAGES, "%u of %u wake-ups found nothing due", idle,
       rounds);

    eu_close(kmq, block, SIZE, "random");
}


/* No clock is beyond the wheel: it may count from the epoch, or be at the end
 * of what a timer can tell. */
static void
test_clocks(void)
{
    unsigned               i, n;
    void                  *block;
    kmq_t                 *kmq;
    kmq_ref_t              p;
    static const unsigned  bits[] = { 31, 32, 39, 40, 41, 48, 55, 56, 63 };

    for (i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {

        for (n = 0; n < 3; n++) {
            kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
            p = eu_producer(kmq, "t");
            (void) eu_consumer(kmq, "t", 10, NULL);

            clock_set(kmq, (UINT64_C(1) << bits[i]) + n * 1000 - 1000);
            ok(publish(kmq, p, 1, 1500), "2^%u, %u: published", bits[i], n);
            is_int(eu_drain(kmq), mono >= (UINT64_C(1) << 56) - 1,
                   "it waits where there is time left");
            ok(eu_verify(kmq, "clocks"), "sound");

            clock_set(kmq, mono + 1501);
            (void) eu_drain(kmq);
            is_int((long long) eu_count(kmq).totals.confirmed, 1, "it comes");

            eu_close(kmq, block, SIZE, "clocks");
        }
    }
}


/* Many at one time are moved in slices. */
static void
test_slices(void)
{
    void           *block;
    kmq_t          *kmq;
    unsigned        i, calls;
    kmq_ref_t       p;
    kmq_counts_t    n;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    p = eu_producer(kmq, "t");
    clock_set(kmq, 1000);

    for (i = 0; i < MESSAGES; i++) {
        (void) publish(kmq, p, i, 100000);
    }

    clock_set(kmq, 1000 + 100000);
    calls = 0;

    do {
        (void) eu_take(kmq);
        calls++;
    } while (kmq_has_work(kmq) && calls < 1000);

    n = eu_count(kmq);
    is_int((long long) n.ready, MESSAGES, "all are ready");
    ok(calls > 10 && calls < 1000, "in %u slices", calls);

    eu_close(kmq, block, SIZE, "slices");
}


/* The keeper goes; another worker takes over, and is told what is earlier. */
static void
test_keeper(void)
{
    void       *block;
    kmq_t      *one, *two;
    uint64_t    mask[KMQ_WORKERS / 64];
    kmq_ref_t   p;

    one = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    two = eu_attach(block, SIZE, 7);

    clock_set(one, 1000);
    clock_set(two, 1000);

    p = eu_producer(two, "t");
    ok(publish(two, p, 1, 5000), "published by another worker");
    ok(kmq_wakes(two, mask) && (mask[0] & 1), "the keeper is told");
    (void) eu_take(one);
    ok(kmq_next_due(one) && kmq_next_due(one) <= 5000, "and waits");
    is_int((long long) kmq_next_due(two), 0, "it alone");

    ok(publish(two, p, 2, 9000), "a later one");
    ok(!kmq_wakes(two, mask), "is no news");
    ok(publish(two, p, 3, 10), "an earlier one");
    ok(kmq_wakes(two, mask) && (mask[0] & 1), "is");

    kmq_leave_all(one);
    ok(kmq_wakes(one, mask) && (mask[0] & 1 << 7), "a keeper that leaves "
       "tells the next");

    (void) eu_consumer(two, "t", 10, NULL);
    clock_set(two, 20000);
    is_int(eu_drain(two), 3, "which delivers");

    kmq_detach(one);
    eu_close(two, block, SIZE, "keeper");
}


int
main(void)
{
    test_one();
    test_random(UINT64_C(0xfffffff0));
    test_random((UINT64_C(1) << 40) - 5 * YEAR);
    test_random(UINT64_C(0x1c9a87a3e00));
    test_random((UINT64_C(1) << 48) - 1000);
    test_random((UINT64_C(1) << 56) - 20 * YEAR);
    test_clocks();
    test_slices();
    test_keeper();

    return done_testing();
}
