/*
 * Point to point over several workers: wake-ups, random choice, order, turns
 * of topics, pacing.
 */

#include "engine_util.h"


#define SIZE     (32 * EU_MB)
#define WORKERS  4


typedef struct {
    void   *block;
    kmq_t  *kmq[WORKERS];
} cluster_t;


static void
cluster_open(cluster_t *cl, const kmq_settings_t *s)
{
    unsigned  i;

    cl->block = eu_block(SIZE);

    for (i = 0; i < WORKERS; i++) {
        cl->kmq[i] = eu_attach(cl->block, SIZE, i);
        kmq_configure(cl->kmq[i], s);
    }
}


static void
cluster_close(cluster_t *cl, const char *what)
{
    unsigned  i;

    for (i = 1; i < WORKERS; i++) {
        kmq_detach(cl->kmq[i]);
    }

    eu_close(cl->kmq[0], cl->block, SIZE, what);
}


/* The set of workers to be woken as a number; WORKERS is below 64. */
static uint64_t
wakes(kmq_t *kmq)
{
    uint64_t  mask[KMQ_WORKERS / 64];

    if (kmq_wakes(kmq, mask) == 0) {
        return 0;
    }

    return mask[0] && !mask[1] ? mask[0] : UINT64_MAX;
}


static void
test_wakes(void)
{
    kmq_ref_t        p, c2, c3;
    cluster_t        cl;
    kmq_batch_t     *b;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    cluster_open(&cl, &s);

    p = eu_producer(cl.kmq[0], "t");
    is_int(eu_publish(cl.kmq[0], p, "1", 1), KMQ_OK, "published to nobody");
    is_int((long long) wakes(cl.kmq[0]), 0, "nobody to wake");

    c2 = eu_join(cl.kmq[2], KMQ_CONSUMER, "t", 2, NULL);
    is_int(kmq_has_work(cl.kmq[2]), 0, "not ready: no work");
    kmq_set_ready(cl.kmq[2], c2, 1);
    is_int(kmq_has_work(cl.kmq[2]), 1, "ready: its worker has work");
    is_int((long long) wakes(cl.kmq[2]), 0, "and does not wake itself");

    b = eu_take(cl.kmq[2]);
    ok(b != NULL && b->nmessages == 1, "takes what waited");
    ok(eu_take(cl.kmq[2]) == NULL, "and nothing more");
    is_int(kmq_has_work(cl.kmq[2]), 0, "no work left");

    (void) eu_publish(cl.kmq[0], p, "2", 1);
    is_int(kmq_has_work(cl.kmq[0]), 0, "the producer's worker has no work");
    is_int((long long) wakes(cl.kmq[0]), 4, "worker 2 is to be woken");
    is_int((long long) wakes(cl.kmq[0]), 0, "the set is handed out once");

    (void) eu_publish(cl.kmq[0], p, "3", 1);
    is_int((long long) wakes(cl.kmq[0]), 0, "not again until it has taken");
    (void) eu_publish(cl.kmq[1], eu_producer(cl.kmq[1], "t"), "4", 1);
    is_int((long long) wakes(cl.kmq[1]), 0, "not by another worker either");

    b = eu_take(cl.kmq[2]);
    ok(b != NULL && b->nmessages == 1, "one: its prefetch is 2");
    ok(eu_take(cl.kmq[2]) == NULL, "no more credit");

    /* what it cannot take goes to whoever gets ready, without a publish */

    c3 = eu_consumer(cl.kmq[3], "t", 100, NULL);
    is_int(kmq_has_work(cl.kmq[3]), 1, "another worker's consumer");
    b = eu_take(cl.kmq[3]);
    ok(b != NULL && b->nmessages == 2, "takes the other two");

    /* a consumer that leaves hands over what it had */

    kmq_leave(cl.kmq[2], c2, 0);
    is_int((long long) wakes(cl.kmq[2]), 8, "worker 3 is to be woken");
    b = eu_take(cl.kmq[3]);
    ok(b != NULL && b->nmessages == 2, "and takes what the other had");

    /* so does a handle that closes, and a consumer that stops reading */

    c2 = eu_consumer(cl.kmq[2], "t", 100, NULL);
    kmq_set_ready(cl.kmq[3], c3, 0);
    (void) eu_publish(cl.kmq[0], p, "5", 1);
    is_int((long long) wakes(cl.kmq[0]), 4, "only worker 2 can take it");
    kmq_set_ready(cl.kmq[3], c3, 1);
    (void) eu_take(cl.kmq[3]);
    kmq_set_ready(cl.kmq[2], c2, 0);
    ok(eu_take(cl.kmq[2]) == NULL, "it stopped before it could take");
    is_int((long long) wakes(cl.kmq[2]), 8, "which worker 3 is told");
    b = eu_take(cl.kmq[3]);
    ok(b != NULL && b->nmessages == 1, "and takes it");

    cluster_close(&cl, "wakes");
}


/*
 * A handle that closes can wake nobody any more, and a worker that dies may
 * die between kmq_commit() and its signal: kmq_tick() is what finds that.
 */
static void
test_lost_wakes(void)
{
    kmq_ref_t        p;
    cluster_t        cl;
    kmq_batch_t     *b;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    cluster_open(&cl, &s);

    p = eu_producer(cl.kmq[0], "t");
    (void) eu_consumer(cl.kmq[1], "t", 10, NULL);
    (void) eu_publish(cl.kmq[0], p, "1", 1);
    is_int((long long) wakes(cl.kmq[0]), 2, "worker 1 is told");
    (void) eu_consumer(cl.kmq[2], "t", 10, NULL);
    (void) eu_take(cl.kmq[2]);

    kmq_detach(cl.kmq[1]);
    cl.kmq[1] = eu_attach(cl.block, SIZE, 1);

    (void) kmq_tick(cl.kmq[2]);
    is_int(kmq_has_work(cl.kmq[2]), 1, "its message falls to worker 2");
    b = eu_take(cl.kmq[2]);
    ok(b != NULL && b->nmessages == 1, "which takes it");

    /* nobody is signalled after this commit */

    (void) eu_publish(cl.kmq[0], p, "2", 1);
    kmq_detach(cl.kmq[0]);
    cl.kmq[0] = eu_attach(cl.block, SIZE, 0);

    (void) kmq_tick(cl.kmq[2]);
    is_int(kmq_has_work(cl.kmq[2]), 1, "a lost signal is made good");
    b = eu_take(cl.kmq[2]);
    ok(b != NULL && b->nmessages == 1, "and the message comes");

    cluster_close(&cl, "lost wakes");
}


/*
 * Publishes n messages in commits of burst and lets all workers that are
 * woken take and confirm; counts in share[] which consumer got how many.
 */
static void
distribute(cluster_t *cl, kmq_ref_t p, unsigned n, unsigned burst,
    unsigned *share)
{
    unsigned       i, k, w;
    uint64_t       mask;
    kmq_batch_t   *b;
    kmq_message_t  m[256];

    for (i = 0; i < n; i += burst) {
        memset(m, 0, sizeof(m));
        k = kmq_reserve(cl->kmq[0], p, m, burst, NULL);
        kmq_commit(cl->kmq[0], m, k);
        mask = wakes(cl->kmq[0]) | 1;

        while (mask) {
            w = (unsigned) __builtin_ctzll(mask);
            mask &= mask - 1;

            while ((b = eu_take(cl->kmq[w])) != NULL) {

                for (k = 0; k < b->nruns; k++) {
                    share[(unsigned *) b->runs[k].user - share]
                        += b->runs[k].count;
                }

                (void) eu_confirm(cl->kmq[w], b);
                mask |= wakes(cl->kmq[w]);
            }

            mask |= wakes(cl->kmq[w]);
        }
    }
}


/*
 * Consumers 1, 2, 3 and 4 on the workers: ten, of equal chances.  The sum of
 * squared deviations over the expectation follows chi-square of 9 degrees of
 * freedom; above 50 it is by chance once in ten million runs.
 */
static void
test_shares(unsigned burst)
{
    double           chi, expected;
    unsigned         i, k, n, total, share[10];
    kmq_ref_t        p;
    cluster_t        cl;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    cluster_open(&cl, &s);
    p = eu_producer(cl.kmq[0], "t");
    memset(share, 0, sizeof(share));
    n = 40000;

    for (i = 0, k = 0; i < WORKERS; i++) {
        do {
            (void) eu_consumer(cl.kmq[i], "t", 1000, &share[k++]);
        } while (k < (i + 1) * (i + 2) / 2);
    }

    distribute(&cl, p, n, burst, share);
    expected = (double) n / 10;

    for (i = 0, chi = 0, total = 0; i < 10; i++) {
        total += share[i];
        chi += (share[i] - expected) * (share[i] - expected) / expected;
    }

    is_int(total, n, "all %u delivered", n);

    if (!ok(chi < 50, "bursts of %u: shares of ten are equal, chi-square "
                      "is %.1f", burst, chi))
    {
        for (i = 0; i < 10; i++) {
            diag("consumer %u: %u", i, share[i]);
        }
    }

    cluster_close(&cl, "shares");
}


/* One after the other is no random choice: pairs must occur too. */
static void
test_choice_is_random(void)
{
    unsigned         i, same, share[4], last;
    kmq_ref_t        p;
    cluster_t        cl;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    cluster_open(&cl, &s);
    p = eu_producer(cl.kmq[0], "t");

    for (i = 0; i < 4; i++) {
        (void) eu_consumer(cl.kmq[i], "t", 1000, &share[i]);
    }

    for (i = 0, same = 0, last = 4; i < 10000; i++) {
        memset(share, 0, sizeof(share));
        distribute(&cl, p, 1, 1, share);
        same += last < 4 && share[last] == 1;

        for (last = 0; last < 3 && share[last] == 0; last++) { /* void */ }
    }

    ok(same > 2250 && same < 2750,
       "the same consumer twice in a row: %u of 10000", same);

    cluster_close(&cl, "random choice");
}


/* A consumer that does not read takes nothing from the others' chances. */
static void
test_stalled(void)
{
    unsigned         i, share[4];
    kmq_ref_t        p, c[4];
    cluster_t        cl;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    cluster_open(&cl, &s);
    p = eu_producer(cl.kmq[0], "t");
    memset(share, 0, sizeof(share));

    for (i = 0; i < 4; i++) {
        c[i] = eu_consumer(cl.kmq[i], "t", 100, &share[i]);
    }

    kmq_set_ready(cl.kmq[1], c[1], 0);
    distribute(&cl, p, 9000, 10, share);

    is_int(share[1], 0, "not ready: nothing");
    is_int(share[0] + share[2] + share[3], 9000, "the others get all");
    ok(share[0] > 2700 && share[2] > 2700 && share[3] > 2700,
       "in equal parts: %u, %u, %u", share[0], share[2], share[3]);

    cluster_close(&cl, "stalled");
}


/*
 * Two producers, four consumers on four workers that take in random order and
 * confirm late: each consumer sees each producer's numbers ascending.
 */
static void
test_order(void)
{
    unsigned         i, k, w, value, disorder, got, last[WORKERS][2];
    uint64_t         r;
    kmq_ref_t        p[2], c[WORKERS];
    cluster_t        cl;
    kmq_batch_t     *b;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    cluster_open(&cl, &s);
    memset(last, 0, sizeof(last));
    disorder = got = 0;
    r = 5;

    for (i = 0; i < 2; i++) {
        p[i] = eu_producer(cl.kmq[i], "t");
    }

    for (i = 0; i < WORKERS; i++) {
        c[i] = eu_consumer(cl.kmq[i], "t", 7, last[i]);
    }

    for (i = 1; got < 40000 && i < 4000000; i++) {

        if (i <= 20000) {
            (void) eu_publish_numbers(cl.kmq[0], p[0], 2 * i, 1);
            (void) eu_publish_numbers(cl.kmq[1], p[1], 2 * i + 1, 1);
        }

        w = eu_below(&r, WORKERS);
        b = eu_take(cl.kmq[w]);

        for (k = 0; b && k < b->nmessages; k++, got++) {
            value = eu_number(cl.kmq[w], &b->messages[k]);
            disorder += value <= last[w][value % 2];
            last[w][value % 2] = value;
        }

        if (eu_below(&r, 3) == 0) {
            (void) kmq_confirm_upto(cl.kmq[w], c[w], 0x7fffffff);
        }
    }

    is_int(got, 40000, "all delivered");
    is_int(disorder, 0, "each in its producer's order");

    cluster_close(&cl, "order");
}


static void
test_bytes_max(void)
{
    char         *data;
    void         *block;
    kmq_t        *kmq;
    unsigned      i, total, over;
    kmq_ref_t     p, c;
    kmq_batch_t  *b;

    static kmq_batch_t  batch;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    p = eu_producer(kmq, "t");
    c = eu_consumer(kmq, "t", 1000, NULL);
    data = calloc(1, 1000);
    b = &batch;

    for (i = 0; i < 600; i++) {
        (void) eu_publish(kmq, p, data, 1000);
    }

    for (total = 0, over = 0; /* void */; total += b->nmessages) {
        memset(b, 0, sizeof(*b));
        b->bytes_max = 4500;

        if (kmq_take(kmq, b) == 0) {
            break;
        }

        over += b->nmessages > 5;
    }

    is_int(total, 600, "all taken");
    is_int(over, 0, "no batch goes on after bytes_max");
    is_int(kmq_confirm_upto(kmq, c, 0x7fffffff), 600, "all confirmed");

    /* the bound of messages holds too */

    for (i = 0; i < 1000; i++) {
        (void) eu_publish(kmq, p, data, 1);
    }

    b = eu_take(kmq);
    ok(b != NULL && b->nmessages <= KMQ_BATCH_MESSAGES,
       "at most KMQ_BATCH_MESSAGES in one batch");

    free(data);
    eu_close(kmq, block, SIZE, "bytes_max");
}


/* A topic with much to send does not keep others waiting. */
static void
test_turns(void)
{
    char          topic[8];
    void         *block;
    kmq_t        *kmq;
    unsigned      i, batches;
    kmq_ref_t     p[10];
    kmq_batch_t  *b;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);

    for (i = 0; i < 10; i++) {
        sprintf(topic, "t%u", i);
        p[i] = eu_producer(kmq, topic);
        (void) eu_consumer(kmq, topic, KMQ_PREFETCH_MAX, &p[i]);
        (void) eu_publish_numbers(kmq, p[i], 0, i == 0 ? 20000 : 10);
    }

    for (i = 0, batches = 0; i < 9 && batches < 100; batches++) {
        b = eu_take(kmq);
        i += b && b->runs[0].user != &p[0];
    }

    ok(batches <= 20, "nine small topics beside a large one: all served "
                      "after %u batches", batches);

    eu_close(kmq, block, SIZE, "turns");
}


/* What is taken now by workers 0 and 1, per topic. */
static unsigned
take_all(cluster_t *cl, unsigned per_topic[2])
{
    unsigned      w, n;
    kmq_batch_t  *b;

    n = 0;

    for (w = 0; w < 2; w++) {
        while ((b = eu_take(cl->kmq[w])) != NULL) {
            n += b->nmessages;
            per_topic[b->topic[0] - 'a'] += b->nmessages;
            (void) eu_confirm(cl->kmq[w], b);
        }
    }

    return n;
}


/*
 * Two topics, consumers on two workers, 100 messages a second: in no second
 * from one batch to the next more than 100, over a minute 6,000, in fair
 * turns.
 */
static void
test_pacing(void)
{
    unsigned         i, n, burst, total, last, per_topic[2];
    uint64_t         now, next, other;
    kmq_ref_t        p[2];
    cluster_t        cl;
    kmq_settings_t   s;

    s = eu_settings(KMQ_PUSH_ONE);
    s.batch_interval = 1000;
    s.batch_count = 100;
    cluster_open(&cl, &s);
    memset(per_topic, 0, sizeof(per_topic));

    for (i = 0; i < 2; i++) {
        p[i] = eu_producer(cl.kmq[3], i ? "b" : "a");
        (void) eu_consumer(cl.kmq[0], i ? "b" : "a", 1000, NULL);
        (void) eu_consumer(cl.kmq[1], i ? "b" : "a", 1000, NULL);
    }

    for (i = 0; i < 20; i++) {
        (void) eu_publish_numbers(cl.kmq[3], p[0], 0, 500);
        (void) eu_publish_numbers(cl.kmq[3], p[1], 0, 500);
    }

    total = burst = last = 0;
    now = 1000;

    for (i = 0; i < 60000 && now < 61000; i++) {
        kmq_clock(cl.kmq[0], now, 1640975470000 + now);
        kmq_clock(cl.kmq[1], now, 1640975470000 + now);

        n = take_all(&cl, per_topic);
        total += n;
        last = n;
        burst = n > burst ? n : burst;

        next = kmq_next_batch(cl.kmq[0]);
        other = kmq_next_batch(cl.kmq[1]);

        if (next == 0 || (other && other < next)) {
            next = other;
        }

        if (next == 0 || next > 1000) {
            break;
        }

        now += next;
    }

    ok(now >= 61000, "the next batch is always announced (%llu, last %u)",
       (unsigned long long) now, last);
    ok(burst <= 100, "no batch is larger than 100: %u", burst);
    ok(total >= 5900 && total <= 6100, "in a minute 6,000: %u", total);
    ok(per_topic[0] >= total / 2 - 100 && per_topic[0] <= total / 2 + 100,
       "the topics took fair turns: %u and %u", per_topic[0], per_topic[1]);

    cluster_close(&cl, "pacing");
}


/* A message alone goes at once; then nothing has to be waited for. */
static void
test_pacing_idle(void)
{
    void            *block;
    kmq_t           *kmq;
    unsigned         n;
    kmq_ref_t        p;
    kmq_batch_t     *b;
    kmq_settings_t   s;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    s = eu_settings(KMQ_PUSH_ONE);
    s.batch_interval = 1000;
    s.batch_count = 3;
    kmq_configure(kmq, &s);

    p = eu_producer(kmq, "t");
    (void) eu_consumer(kmq, "t", 100, NULL);
    is_int((long long) kmq_next_batch(kmq), 0, "idle: nothing to wait for");

    (void) eu_publish(kmq, p, "x", 1);
    n = eu_drain(kmq);

    if (n == 0) {
        kmq_clock(kmq, 1000 + kmq_next_batch(kmq), 1640975470000);
        n = eu_drain(kmq);
    }

    is_int(n, 1, "delivered by the next batch at the latest");
    is_int((long long) kmq_next_batch(kmq), 0, "nothing to wait for again");

    kmq_clock(kmq, 10000, 1640975480000);
    (void) eu_publish_numbers(kmq, p, 0, 10);
    n = eu_drain(kmq);
    is_int(n, 3, "three of ten");
    ok(kmq_next_batch(kmq) >= 1 && kmq_next_batch(kmq) <= 1000,
       "and the next batch is announced");

    kmq_clock(kmq, 10000 + kmq_next_batch(kmq) - 1, 1640975480999);
    ok(kmq_next_batch(kmq) != 1 || eu_take(kmq) == NULL,
       "a millisecond earlier: nothing");
    kmq_clock(kmq, 11000, 1640975481000);
    is_int(eu_drain(kmq), 3, "three more");

    /* the pace can be changed while messages wait */

    s.batch_interval = 100;
    kmq_configure(kmq, &s);
    ok(kmq_next_batch(kmq) >= 1 && kmq_next_batch(kmq) <= 100,
       "a shorter interval counts at once");

    s.batch_interval = 0;
    kmq_configure(kmq, &s);
    is_int(kmq_has_work(kmq), 1, "without pacing there is work at once");
    b = eu_take(kmq);
    ok(b != NULL && b->nmessages == 4, "and the rest goes");
    is_int((long long) kmq_next_batch(kmq), 0, "nothing to wait for");

    eu_close(kmq, block, SIZE, "pacing idle");
}


int
main(void)
{
    test_wakes();
    test_lost_wakes();
    test_shares(1);
    test_shares(50);
    test_choice_is_random();
    test_stalled();
    test_order();
    test_bytes_max();
    test_turns();
    test_pacing();
    test_pacing_idle();

    return done_testing();
}
