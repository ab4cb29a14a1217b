/*
 * Publish/subscribe: one stored copy, consumed after all, joiners, laggards.
 */

#include "engine_util.h"


#define SIZE  (16 * EU_MB)


/* Everything there is to take; how many pushes that were. */
static unsigned
take_pushes(kmq_t *kmq)
{
    unsigned      i, n;
    kmq_batch_t  *b;

    n = 0;

    while ((b = eu_take(kmq)) != NULL) {
        for (i = 0; i < b->nruns; i++) {
            n += b->runs[i].count;
        }
    }

    return n;
}


static void
test_one_copy(void)
{
    char           *data;
    void           *block;
    kmq_t          *kmq;
    unsigned        i, k, n, wrong;
    uint64_t        before;
    kmq_ref_t       p, c[100];
    kmq_batch_t    *b;
    kmq_counts_t    k0, k1;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ALL);
    p = eu_producer(kmq, "t");
    data = malloc(100000);
    eu_fill(data, 100000, 1);

    for (i = 0; i < 100; i++) {
        c[i] = eu_consumer(kmq, "t", 100, &c[i]);
    }

    (void) eu_publish(kmq, p, data, 1);
    (void) eu_drain(kmq);
    k0 = eu_count(kmq);
    before = k0.bytes_free;

    for (i = 0; i < 50; i++) {
        (void) eu_publish(kmq, p, data, 100000);
    }

    is_int((long long) eu_count(kmq).ready, 50, "50 wait");

    for (n = 0, wrong = 0; (b = eu_take(kmq)) != NULL; /* void */) {

        for (i = 0; i < b->nruns; i++) {
            n += b->runs[i].count;

            for (k = 0; k < b->runs[i].count; k++) {
                wrong += b->messages[b->runs[i].first + k].size != 100000;
            }
        }
    }

    is_int(n, 50 * 100, "each of 50 goes to each of 100 consumers");
    is_int(wrong, 0, "in full");

    k1 = eu_count(kmq);
    is_int((long long) k1.in_flight, 50, "50 in flight");
    is_int((long long) k1.ready, 0, "none waits");
    is_int((long long) (k1.totals.delivered - k0.totals.delivered), 5000,
           "5000 deliveries are counted");
    ok(before - k1.bytes_free < 50 * 100000 * 1.3,
       "stored once: %llu bytes for 5,000,000",
       (unsigned long long) (before - k1.bytes_free));

    /* all but the last confirm: still there; then the last: consumed */

    for (i = 0; i < 99; i++) {
        is_int(kmq_confirm_upto(kmq, c[i], 0x7fffffff), 50, "%u confirms", i);
    }

    is_int((long long) eu_count(kmq).in_flight, 50, "the last one has not");
    ok(eu_verify(kmq, "one left"), "sound");
    is_int(kmq_confirm_upto(kmq, c[99], 0x7fffffff), 50, "now it has");
    is_int((long long) eu_count(kmq).in_flight, 0, "consumed");
    ok(eu_count(kmq).bytes_free + 8 * 8192 >= before, "memory is back");

    free(data);
    eu_close(kmq, block, SIZE, "one copy");
}


/* Consumed: all have confirmed or gone, and at least one has confirmed. */
static void
test_consumed_when(void)
{
    char             code[KMQ_CODE_LEN];
    void            *block;
    kmq_t           *kmq;
    kmq_ref_t        p, a, b, c;
    kmq_batch_t     *batch;
    kmq_settings_t   s;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ALL);
    s = eu_settings(KMQ_PUSH_ALL);
    s.keep_consumed = 1;
    kmq_configure(kmq, &s);
    p = eu_producer(kmq, "t");

    /* one confirmed, one gone */

    a = eu_consumer(kmq, "t", 10, NULL);
    b = eu_consumer(kmq, "t", 10, NULL);
    (void) eu_publish(kmq, p, "1", 1);
    is_int(take_pushes(kmq), 2, "pushed to two");
    is_int(kmq_confirm_upto(kmq, a, 0x7fffffff), 1, "one confirms");
    is_int((long long) eu_count(kmq).consumed, 0, "not consumed yet");
    kmq_leave(kmq, b, 0);
    is_int((long long) eu_count(kmq).consumed, 1, "the other goes: consumed");
    kmq_leave(kmq, a, 0);
    is_int((long long) eu_count(kmq).consumed, 1, "and stays so");

    /* all gone, none confirmed */

    a = eu_consumer(kmq, "t", 10, NULL);
    b = eu_consumer(kmq, "t", 10, NULL);
    (void) eu_publish(kmq, p, "2", 1);
    is_int(take_pushes(kmq), 2, "pushed to two");
    kmq_leave(kmq, a, 0);
    is_int((long long) eu_count(kmq).in_flight, 1, "one goes: in flight");
    kmq_leave(kmq, b, 0);
    is_int((long long) eu_count(kmq).ready, 1, "both gone: it waits again");
    is_int((long long) eu_count(kmq).in_flight, 0, "not in flight");

    c = eu_consumer(kmq, "t", 10, NULL);
    batch = eu_take(kmq);
    ok(batch != NULL && batch->nmessages == 1
       && eu_number(kmq, &batch->messages[0]) == 2,
       "the next consumer gets it");
    kmq_code(kmq, &batch->messages[0], code);
    is_int(kmq_confirm_codes(kmq, c, code, 1), 1, "and confirms by code");
    is_int(kmq_confirm_codes(kmq, c, code, 1), 0, "once");
    is_int((long long) eu_count(kmq).consumed, 2, "consumed");

    /* the last of two goes without having confirmed, the first had, but the
     * other order */

    a = eu_consumer(kmq, "t", 10, NULL);
    (void) eu_publish(kmq, p, "3", 1);
    is_int(take_pushes(kmq), 2, "pushed to two");
    kmq_leave(kmq, a, 0);
    is_int(kmq_confirm_upto(kmq, c, 0x7fffffff), 1, "gone first, confirmed");
    is_int((long long) eu_count(kmq).consumed, 3, "consumed");

    eu_close(kmq, block, SIZE, "consumed when");
}


/* Waits for its first consumer as point to point does. */
static void
test_joiners(void)
{
    void         *block;
    kmq_t        *kmq;
    unsigned      i, k, n, wrong;
    kmq_ref_t     p, c[3];
    kmq_batch_t  *b;
    unsigned      next[3];

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ALL);
    p = eu_producer(kmq, "t");
    (void) eu_publish_numbers(kmq, p, 0, 1000);
    is_int((long long) eu_count(kmq).ready, 1000, "1000 wait for somebody");

    c[0] = eu_consumer(kmq, "t", KMQ_PREFETCH_MAX, &next[0]);
    next[0] = next[1] = next[2] = 0;
    wrong = n = 0;

    for (i = 0; (b = eu_take(kmq)) != NULL; i++) {

        for (k = 0; k < b->nruns * b->runs[0].count; k++) {
            wrong += eu_number(kmq, &b->messages[k % b->nmessages])
                     != next[0]++;
        }
    }

    is_int(next[0], 1000, "the first consumer gets them all");
    is_int(wrong, 0, "in order");

    /* a second one in the middle gets what is published from now on */

    c[1] = eu_consumer(kmq, "t", KMQ_PREFETCH_MAX, &next[1]);
    next[1] = 1000;
    (void) take_pushes(kmq);
    (void) kmq_confirm_upto(kmq, c[1], 0x7fffffff);
    (void) eu_publish_numbers(kmq, p, 1000, 500);

    while ((b = eu_take(kmq)) != NULL) {

        for (i = 0; i < b->nruns; i++) {
            unsigned  *to = b->runs[i].user;

            for (k = 0; k < b->runs[i].count; k++) {
                wrong += eu_number(kmq, &b->messages[b->runs[i].first + k])
                         != (*to)++;
            }
        }
    }

    is_int(next[0], 1500, "the first one goes on");
    is_int(next[1], 1500, "the second one has all since it joined");
    is_int(wrong, 0, "in order");

    is_int(kmq_confirm_upto(kmq, c[1], 0x7fffffff), 500, "it confirms them");
    is_int((long long) eu_count(kmq).in_flight, 1500, "the first has not");
    kmq_leave(kmq, c[0], 0);

    /* 500 were confirmed by somebody; 1000 by nobody: those wait again */

    n = take_pushes(kmq);
    is_int(n, 1000, "what nobody confirmed goes to who is left");
    is_int(kmq_confirm_upto(kmq, c[1], 0x7fffffff), 1000, "confirmed");
    is_int((long long) (eu_count(kmq).in_flight + eu_count(kmq).ready), 0,
           "all consumed");

    eu_close(kmq, block, SIZE, "joiners");
}


/* A consumer that does not read is passed by; it gets all later. */
static void
test_laggard(void)
{
    void         *block;
    kmq_t        *kmq;
    unsigned      i, k, wrong, next;
    kmq_ref_t     p, fast, slow;
    kmq_batch_t  *b;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ALL);
    p = eu_producer(kmq, "t");
    fast = eu_consumer(kmq, "t", 10, NULL);
    slow = eu_consumer(kmq, "t", 10, &next);
    kmq_set_ready(kmq, slow, 0);

    for (i = 0; i < 100; i++) {
        (void) eu_publish_numbers(kmq, p, 10 * i, 10);
        wrong = take_pushes(kmq);

        if (wrong != 10 || kmq_confirm_upto(kmq, fast, 0x7fffffff) != 10) {
            break;
        }
    }

    is_int(i, 100, "the fast one is not held up");
    is_int(kmq_in_flight(kmq, slow), 0, "the slow one has nothing");
    is_int((long long) (eu_count(kmq).in_flight + eu_count(kmq).ready), 1000,
           "1000 are kept for it");

    kmq_set_ready(kmq, slow, 1);
    next = wrong = 0;

    while ((b = eu_take(kmq)) != NULL) {

        for (i = 0; i < b->nruns; i++) {
            wrong += b->runs[i].client != slow;

            for (k = 0; k < b->runs[i].count; k++) {
                wrong += eu_number(kmq, &b->messages[b->runs[i].first + k])
                         != next++;
            }
        }

        wrong += kmq_in_flight(kmq, slow) > 10;
        (void) eu_confirm(kmq, b);
    }

    is_int(next, 1000, "then it gets them all");
    is_int(wrong, 0, "in order, at most 10 at a time");
    is_int((long long) (eu_count(kmq).in_flight + eu_count(kmq).ready), 0,
           "and they are gone");

    /* one that lags and goes: nothing stays */

    kmq_set_ready(kmq, slow, 0);

    for (i = 0; i < 50; i++) {
        (void) eu_publish_numbers(kmq, p, 10 * i, 10);
        (void) take_pushes(kmq);
        (void) kmq_confirm_upto(kmq, fast, 0x7fffffff);
    }

    kmq_leave(kmq, slow, 0);

    for (i = 0; i < 1000 && kmq_has_work(kmq); i++) {
        (void) take_pushes(kmq);
    }

    is_int((long long) (eu_count(kmq).in_flight + eu_count(kmq).ready), 0,
           "a laggard leaves: its backlog is consumed");

    eu_close(kmq, block, SIZE, "laggard");
}


/*
 * A consumer that never reads must not stop the producers of those who do:
 * kmq_to_close() names it in time, for both bounds.
 */
static void
too_slow(uint32_t waiting_max, size_t size, unsigned n)
{
    int              user, why;
    char            *data;
    void            *block, *found;
    kmq_t           *kmq;
    unsigned         i, lost, refused, expelled;
    kmq_ref_t        p, fast, slow;
    kmq_settings_t   s;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ALL);
    s = eu_settings(KMQ_PUSH_ALL);
    s.waiting_max = waiting_max;
    kmq_configure(kmq, &s);

    p = eu_producer(kmq, "t");
    fast = eu_consumer(kmq, "t", 1000, NULL);
    slow = eu_consumer(kmq, "t", 1000, &user);
    kmq_set_ready(kmq, slow, 0);
    data = calloc(1, size);
    refused = expelled = lost = 0;

    for (i = 0; i < n; i++) {
        refused += eu_publish(kmq, p, data, size) != KMQ_OK;
        (void) take_pushes(kmq);
        lost += kmq_confirm_upto(kmq, fast, 0x7fffffff) != 1;

        kmq_clock(kmq, 1000 + i, 1640975470000 + i);

        if (i % 100 == 0) {
            (void) kmq_tick(kmq);
        }

        while ((found = kmq_to_close(kmq, &why)) != NULL) {
            expelled++;

            if (found != &user) {
                break;
            }

            kmq_leave(kmq, slow, 0);
        }
    }

    is_int(expelled, 1, "bound %u, %zu bytes: the slow one must go",
           waiting_max, size);
    ok(refused <= 200, "the producer was refused %u times of %u", refused, n);
    is_int(lost, refused, "the fast one got all that were accepted");

    free(data);
    eu_close(kmq, block, SIZE, "too slow");
}


/* When all are slow nobody is: producers wait. */
static void
test_all_slow(void)
{
    int              why;
    void            *block;
    kmq_t           *kmq;
    unsigned         i, n;
    kmq_ref_t        p;
    kmq_settings_t   s;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ALL);
    s = eu_settings(KMQ_PUSH_ALL);
    s.waiting_max = 1000;
    kmq_configure(kmq, &s);

    p = eu_producer(kmq, "t");

    for (i = 0; i < 3; i++) {
        (void) eu_join(kmq, KMQ_CONSUMER, "t", 10, &s);
    }

    for (n = 0, why = KMQ_OK; why == KMQ_OK && n < 100000; n++) {
        why = eu_publish(kmq, p, "x", 1);
        (void) kmq_tick(kmq);
        (void) take_pushes(kmq);
    }

    is_int(why, KMQ_FULL, "nobody reads: full after %u", n - 1);
    is_int(n - 1, 1000, "at the bound");
    ok(kmq_to_close(kmq, &why) == NULL, "nobody lags behind the others");

    eu_close(kmq, block, SIZE, "all slow");
}


/* More consumers than one batch has runs. */
static void
test_fan_out(void)
{
    void         *block;
    kmq_t        *kmq[2];
    unsigned      i, k, w, n, wrong, *got;
    kmq_ref_t     p;
    kmq_batch_t  *b;
    kmq_settings_t  s;

    block = eu_block(64 * EU_MB);
    s = eu_settings(KMQ_PUSH_ALL);
    kmq[0] = eu_attach(block, 64 * EU_MB, 5);
    kmq[1] = eu_attach(block, 64 * EU_MB, 77);
    kmq_configure(kmq[0], &s);

    n = 5000;
    got = calloc(n, sizeof(*got));
    p = eu_producer(kmq[0], "t");

    for (i = 0; i < n; i++) {
        if (eu_consumer(kmq[i % 2], "t", 100, &got[i]) == 0) {
            break;
        }
    }

    is_int(i, n, "5000 consumers on two workers");
    (void) eu_publish_numbers(kmq[0], p, 0, 20);
    wrong = 0;

    for (w = 0; w < 2; w++) {
        while ((b = eu_take(kmq[w])) != NULL || kmq_has_work(kmq[w])) {

            for (i = 0; b && i < b->nruns; i++) {
                unsigned  *to = b->runs[i].user;

                wrong += (unsigned) (to - got) % 2 != w;

                for (k = 0; k < b->runs[i].count; k++) {
                    wrong += eu_number(kmq[w],
                                      &b->messages[b->runs[i].first + k])
                             != (*to)++;
                }
            }

            if (b) {
                (void) eu_confirm(kmq[w], b);
            }
        }
    }

    for (i = 0, k = 0; i < n; i++) {
        k += got[i] == 20;
    }

    is_int(k, n, "each has all 20");
    is_int(wrong, 0, "once, in order, on its own worker");
    is_int((long long) (eu_count(kmq[0]).in_flight
                        + eu_count(kmq[0]).ready), 0, "all consumed");

    free(got);
    kmq_detach(kmq[1]);
    eu_close(kmq[0], block, 64 * EU_MB, "fan-out");
}


/* Pacing counts messages, not pushes. */
static void
test_pacing(void)
{
    void            *block;
    kmq_t           *kmq;
    unsigned         i, n, total, burst;
    uint64_t         now, next;
    kmq_ref_t        p, c[3];
    kmq_settings_t   s;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ALL);
    s = eu_settings(KMQ_PUSH_ALL);
    s.batch_interval = 500;
    s.batch_count = 10;
    kmq_configure(kmq, &s);
    p = eu_producer(kmq, "t");

    for (i = 0; i < 3; i++) {
        c[i] = eu_consumer(kmq, "t", 1000, NULL);
    }

    (void) eu_publish_numbers(kmq, p, 0, 1000);
    total = burst = 0;

    for (now = 1000; now < 21000; now += next) {
        kmq_clock(kmq, now, 1640975470000);
        n = take_pushes(kmq);
        total += n;
        burst = n > burst ? n : burst;

        for (i = 0; i < 3; i++) {
            (void) kmq_confirm_upto(kmq, c[i], 0x7fffffff);
        }

        next = kmq_next_batch(kmq);

        if (next == 0 || next > 500) {
            break;
        }
    }

    ok(now >= 21000, "the next batch is always announced");
    is_int(burst, 30, "10 messages to 3 consumers at a time");
    ok(total >= 1170 && total <= 1230, "in 20 seconds: %u pushes", total);

    eu_close(kmq, block, SIZE, "pacing");
}


/* What one topic has of its own. */
static void
own_settings(void *arg, const char *name, size_t len,
    kmq_topic_settings_t *settings)
{
    if (len == 3 && memcmp(name, "own", 3) == 0) {
        settings->push_type = *(uint32_t *) arg;
    }
}


static void
test_push_type(void)
{
    void            *block;
    kmq_t           *kmq;
    uint32_t         own;
    kmq_settings_t   s;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);

    own = KMQ_PUSH_ALL;
    s = eu_settings(KMQ_PUSH_ONE);
    s.topic_own = own_settings;
    s.topic_arg = &own;
    kmq_configure(kmq, &s);

    (void) eu_consumer(kmq, "own", 10, NULL);
    (void) eu_consumer(kmq, "own", 10, NULL);
    (void) eu_consumer(kmq, "other", 10, NULL);
    (void) eu_consumer(kmq, "other", 10, NULL);

    (void) eu_publish(kmq, eu_producer(kmq, "own"), "1", 1);
    is_int(eu_drain(kmq), 2, "to all, as the topic has it");

    (void) eu_publish(kmq, eu_producer(kmq, "other"), "2", 1);
    is_int(eu_drain(kmq), 1, "to one, as all others have it");

    eu_close(kmq, block, SIZE, "push type of a topic");
}


/* From one type to the other while there are always consumers. */
static void
test_type_change(uint32_t from, uint32_t to)
{
    void            *block;
    kmq_t           *kmq;
    unsigned         all[3];
    kmq_ref_t        p, old[2];
    kmq_batch_t     *batch;
    kmq_settings_t   s;

    all[KMQ_PUSH_ONE] = 1;
    all[KMQ_PUSH_ALL] = 2;

    kmq = eu_open(&block, SIZE, from);
    p = eu_producer(kmq, "t");
    old[0] = eu_consumer(kmq, "t", 10, NULL);
    old[1] = eu_consumer(kmq, "t", 10, NULL);

    s = eu_settings(to);
    kmq_configure(kmq, &s);

    (void) eu_consumer(kmq, "t", 10, NULL);
    (void) eu_consumer(kmq, "t", 10, NULL);
    ok(eu_verify(kmq, "two wait"), "two of the new type wait");

    (void) eu_publish(kmq, p, "1", 1);
    is_int(eu_drain(kmq), all[from], "the old type as long as it is there");

    kmq_leave(kmq, old[0], 0);
    (void) eu_publish(kmq, p, "2", 1);
    batch = eu_take(kmq);
    ok(batch && batch->nruns == 1 && batch->runs[0].client == old[1],
       "to the last of the old ones");
    ok(eu_take(kmq) == NULL, "to nobody else");

    kmq_leave(kmq, old[1], 0);
    ok(eu_verify(kmq, "the type has changed"), "then the type changes");

    is_int(eu_drain(kmq), all[to], "what it had not confirmed goes the new "
           "way");
    (void) eu_publish(kmq, p, "3", 1);
    is_int(eu_drain(kmq), all[to], "and all that comes after it");

    eu_close(kmq, block, SIZE, "change of the push type");
}


int
main(void)
{
    test_one_copy();
    test_consumed_when();
    test_joiners();
    test_laggard();
    too_slow(2000, 10, 20000);
    too_slow(100000000, 10000, 20000);
    test_all_slow();
    test_fan_out();
    test_pacing();
    test_push_type();
    test_type_change(KMQ_PUSH_ONE, KMQ_PUSH_ALL);
    test_type_change(KMQ_PUSH_ALL, KMQ_PUSH_ONE);

    return done_testing();
}
