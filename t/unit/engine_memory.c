/*
 * The engine's memory and bounds: fragments, a full block, waiting_max, the
 * history that makes room, many topics.
 */

#include "../../src/engine/delivery/kmq_delivery.h"
#include "../../src/engine/memory/kmq_memory_inside.h"
#include "../../src/engine/upkeep/kmq_upkeep.h"
#include "engine_inside.h"


#define SIZE     (16 * EU_MB)
#define HISTORY  100000          /* more messages than fit into two MiB */


/* Publishes bodies of size bytes until they are refused; returns how many. */
static unsigned
fill_up(kmq_t *kmq, kmq_ref_t p, size_t size, int *why)
{
    char      *data;
    unsigned   n;

    data = malloc(size + 1);
    eu_fill(data, size, size);

    for (n = 0; n < 10000000; n++) {
        *why = eu_publish(kmq, p, data, size);

        if (*why != KMQ_OK) {
            break;
        }
    }

    free(data);

    return n;
}


static void
test_waiting_max(void)
{
    int              why;
    void            *block;
    kmq_t           *kmq;
    unsigned         i;
    kmq_ref_t        p, c;
    kmq_batch_t     *b;
    kmq_message_t    m[16];
    kmq_settings_t   s;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    s = eu_settings(KMQ_PUSH_ONE);
    s.waiting_max = 10;
    kmq_configure(kmq, &s);

    p = eu_producer(kmq, "t");
    memset(m, 0, sizeof(m));

    for (i = 0; i < 16; i++) {
        m[i].size = i;
    }

    why = KMQ_OK;
    is_int(kmq_reserve(kmq, p, m, 16, &why), 10, "10 of 16 may wait");
    is_int(why, KMQ_FULL, "why: KMQ_FULL");
    is_int(kmq_reserve(kmq, p, m + 10, 1, NULL), 0, "reserved ones count");

    kmq_discard(kmq, m + 8, 2);
    kmq_commit(kmq, m, 8);
    is_int((long long) eu_count(kmq).ready, 8, "8 wait");

    memset(m, 0, sizeof(m));
    is_int(kmq_reserve_to(kmq, "u", 1, m), KMQ_OK, "another topic, 9th");
    is_int(kmq_reserve_to(kmq, "u", 1, m + 1), KMQ_OK, "10th");
    is_int(kmq_reserve_to(kmq, "u", 1, m + 2), KMQ_FULL,
           "the bound is over all topics");
    kmq_commit(kmq, m, 2);

    c = eu_consumer(kmq, "t", 5, NULL);
    b = eu_take(kmq);
    ok(b != NULL && b->nmessages == 5, "5 go in flight");
    eu_confirm(kmq, b);
    is_int(eu_publish(kmq, p, "x", 1), KMQ_OK, "there is room again");
    kmq_leave(kmq, c, 0);

    /* a lower bound takes effect, and stores nothing away */

    s.waiting_max = 1;
    kmq_configure(kmq, &s);
    is_int(eu_publish(kmq, p, "x", 1), KMQ_FULL, "a lower bound");
    is_int((long long) eu_count(kmq).ready, 6, "keeps what waits");

    eu_close(kmq, block, SIZE, "waiting_max");
}


static void
test_full_block(void)
{
    int           why;
    void         *block;
    kmq_t        *kmq;
    size_t        size;
    unsigned      i, n, again, sizes;
    kmq_ref_t     p, c;
    kmq_batch_t  *b;

    static const size_t  bodies[] = { 0, 10, 100, 1000, 5000, 9000, 100000 };

    size = 8 * EU_MB > kmq_block_min() ? 8 * EU_MB : kmq_block_min();
    sizes = sizeof(bodies) / sizeof(bodies[0]);

    for (i = 0; i < sizes; i++) {
        kmq = eu_open(&block, size, KMQ_PUSH_ONE);
        p = eu_producer(kmq, "t");

        n = fill_up(kmq, p, bodies[i], &why);
        is_int(why, KMQ_NOMEM, "%u bodies of %zu, then KMQ_NOMEM", n,
               bodies[i]);
        ok((double) n * (double) (bodies[i] + 150) > size * 0.45,
           "at least about half of the block was used");
        n += eu_publish(kmq, p, "x", 1) == KMQ_OK;

        /* consumers join and take when nothing else goes */

        c = eu_consumer(kmq, "t", 10, NULL);
        ok(c != 0, "a consumer still joins");
        b = eu_take(kmq);
        ok(b != NULL && b->nmessages == 10, "and takes");
        is_int(eu_confirm(kmq, b), 10, "and confirms");
        ok(eu_verify(kmq, "full"), "sound when full");

        again = eu_drain(kmq);
        is_int(again + 10, n, "all came out");
        again = fill_up(kmq, p, bodies[i], &why);
        ok(again >= n - n / 50 - 1, "as many go in again: %u", again);

        kmq_leave(kmq, c, 0);
        eu_close(kmq, block, size, "full block");
    }
}


/* What is too large for ever is refused, and nothing else suffers. */
static void
test_too_large(void)
{
    int              why;
    void            *block;
    kmq_t           *kmq;
    kmq_ref_t        p;
    kmq_message_t    m[3];
    kmq_settings_t   s;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    s = eu_settings(KMQ_PUSH_ONE);
    s.keep_consumed = 1;
    kmq_configure(kmq, &s);

    p = eu_producer(kmq, "t");
    (void) eu_consumer(kmq, "t", 100, NULL);
    eu_publish_numbers(kmq, p, 0, 100);
    is_int(eu_drain(kmq), 100, "100 consumed and kept");

    memset(m, 0, sizeof(m));
    m[0].size = 1;
    m[1].size = (uint32_t) kmq_body_max(kmq) + 1;
    m[2].size = 1;

    why = KMQ_OK;
    is_int(kmq_reserve(kmq, p, m, 3, &why), 1, "the one before it fits");
    is_int(why, KMQ_NOMEM, "the large one does not");
    kmq_discard(kmq, m, 1);

    memset(m, 0, sizeof(m));
    m[0].size = UINT32_MAX;
    is_int(kmq_reserve_to(kmq, "t", 1, m), KMQ_NOMEM, "4 GiB - 1");
    is_int((long long) eu_count(kmq).consumed, 100,
           "no history is dropped for what can never fit");

    eu_close(kmq, block, SIZE, "too large");
}


/*
 * The block is filled with small messages of two topics in turns; one topic
 * is consumed: free memory in pieces.  A large body must still be stored.
 */
static void
fragments(size_t small)
{
    int           why;
    char         *want, *got;
    void         *block;
    kmq_t        *kmq;
    size_t        large, len;
    unsigned      n;
    kmq_ref_t     pa, pb, c;
    kmq_batch_t  *b;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    pa = eu_producer(kmq, "a");
    pb = eu_producer(kmq, "b");
    got = calloc(1, small + 1);

    for (n = 0; n < 10000000; n++) {
        why = eu_publish(kmq, n % 2 ? pb : pa, got, small);

        if (why != KMQ_OK) {
            break;
        }
    }

    is_int(why, KMQ_NOMEM, "%u bodies of %zu fill the block", n, small);

    c = eu_consumer(kmq, "a", 1000, NULL);
    is_int(eu_drain(kmq), (n + 1) / 2, "every second is consumed");

    /* each left a body of small bytes: take three quarters of that */

    large = (size_t) n / 2 * small / 4 * 3;

    if (large > kmq_body_max(kmq)) {
        large = kmq_body_max(kmq);
    }

    free(got);
    want = malloc(large);
    got = malloc(large);
    eu_fill(want, large, 4711);

    is_int(eu_publish(kmq, pa, want, large), KMQ_OK,
           "a body of %zu is stored in the fragments", large);

    b = eu_take(kmq);

    if (ok(b != NULL && b->nmessages == 1, "and delivered")) {
        len = eu_body(kmq, &b->messages[0], got, large);
        is_bytes(got, len, want, large, "and is what it was");
        is_int(eu_confirm(kmq, b), 1, "confirmed");
    }

    kmq_leave(kmq, c, 0);
    (void) eu_consumer(kmq, "b", 1000, NULL);
    is_int(eu_drain(kmq), n / 2, "the others are all there");

    free(want);
    free(got);
    eu_close(kmq, block, SIZE, "fragments");
}


/* Fragmented memory of odd sizes still takes many middling messages. */
static void
test_mixed_sizes(void)
{
    int         why;
    char       *data;
    void       *block;
    kmq_t      *kmq;
    size_t      size, stored;
    uint64_t    r;
    unsigned    round, wrong;
    kmq_ref_t   p[8], c[8];
    char        topic[4];

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    data = calloc(1, 70000);
    wrong = 0;
    r = 99;

    for (round = 0; round < 8; round++) {
        sprintf(topic, "t%u", round);
        p[round] = eu_producer(kmq, topic);
        c[round] = eu_join(kmq, KMQ_CONSUMER, topic, 1000, NULL);
    }

    for (round = 0; round < 40; round++) {
        stored = 0;

        do {
            size = eu_below(&r, 10) ? eu_below(&r, 2000)
                                    : eu_below(&r, 70000);
            why = eu_publish(kmq, p[eu_below(&r, 8)], data, size);
            stored += why == KMQ_OK ? size : 0;
        } while (why == KMQ_OK);

        wrong += why != KMQ_NOMEM || (round == 0 && stored < SIZE / 2);

        /* one topic is emptied, the others stay */

        kmq_set_ready(kmq, c[round % 8], 1);
        (void) eu_drain(kmq);
        kmq_set_ready(kmq, c[round % 8], 0);
        wrong += stored == 0;
    }

    is_int(wrong, 0, "40 rounds of filling up and emptying one topic");

    for (round = 0; round < 8; round++) {
        kmq_set_ready(kmq, c[round], 1);
    }

    (void) eu_drain(kmq);
    is_int((long long) eu_count(kmq).ready, 0, "nothing stays behind");

    free(data);
    eu_close(kmq, block, SIZE, "mixed sizes");
}


static void
test_history(void)
{
    int              why;
    void            *block;
    kmq_t           *kmq;
    unsigned         n;
    uint64_t         bytes_free;
    kmq_ref_t        p, w, c;
    kmq_counts_t     k;
    kmq_settings_t   s;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    s = eu_settings(KMQ_PUSH_ONE);
    s.keep_consumed = 1;
    kmq_configure(kmq, &s);

    p = eu_producer(kmq, "t");
    w = eu_producer(kmq, "waiting");
    c = eu_consumer(kmq, "t", 1000, NULL);

    is_int(eu_publish_numbers(kmq, w, 0, 1000), 1000, "1000 wait elsewhere");
    bytes_free = eu_count(kmq).bytes_free;

    is_int(eu_publish_numbers(kmq, p, 0, 5000), 5000, "5000 published");
    is_int(eu_drain(kmq), 5000, "and consumed");
    k = eu_count(kmq);
    ok(k.consumed == 5000 && k.totals.dropped == 0, "all are kept as history");

    /* more passes through than the block holds: never a refusal */

    for (n = 0; n < 400; n++) {

        if (eu_publish_numbers(kmq, p, 0, 1000) != 1000
            || eu_drain(kmq) != 1000)
        {
            break;
        }
    }

    is_int(n, 400, "400,000 more pass through without a refusal");
    k = eu_count(kmq);
    ok(k.totals.dropped > 0, "%llu of the history were dropped for room",
       (unsigned long long) k.totals.dropped);
    is_int((long long) (k.consumed + k.totals.dropped), 405000,
           "none is forgotten");
    is_int((long long) k.ready, 1000, "waiting messages are all there");
    ok(eu_verify(kmq, "history"), "sound");

    /* large bodies push out many small ones; waiting ones stay */

    n = fill_up(kmq, p, 200000, &why);
    k = eu_count(kmq);
    is_int(why, KMQ_NOMEM, "%u large ones, then KMQ_NOMEM", n);
    ok(k.bytes_free + k.bytes_history < 200000 + SIZE / 16,
       "not before all history together would not be enough");
    is_int((long long) k.ready, 1000 + n, "no waiting message is dropped");

    is_int(eu_drain(kmq), n, "the large ones come out");
    s.keep_consumed = 0;
    kmq_configure(kmq, &s);
    kmq_leave(kmq, c, 0);

    c = eu_consumer(kmq, "waiting", 1000, NULL);
    is_int(eu_drain(kmq), 1000, "and those that waited all the time");
    is_int((long long) eu_count(kmq).in_flight, 0, "nothing in flight");

    s.keep_consumed = 1;
    kmq_configure(kmq, &s);
    n = fill_up(kmq, p, 100, &why);
    is_int(why, KMQ_NOMEM, "filled up once more (%u)", n);
    is_int((long long) eu_count(kmq).consumed, 0, "again no history is left");

    kmq_leave(kmq, c, 0);
    c = eu_consumer(kmq, "t", 1000, NULL);
    s.keep_consumed = 0;
    kmq_configure(kmq, &s);
    is_int(eu_drain(kmq), n, "all out");
    ok(eu_count(kmq).bytes_free + 16 * 8192 >= bytes_free,
       "and the memory is free again");

    eu_close(kmq, block, SIZE, "history");
}


/* n messages come and are consumed; returns how many of them did not get the
 * slot and the body of the one that has been history for longest. */
static unsigned
pass(kmq_t *kmq, kmq_ref_t p, kmq_message_t *history, unsigned size,
    unsigned n)
{
    unsigned             i, other;
    uint64_t             oldest, dropped;
    kmq_counts_t         k;
    kmq_message_t        m, *old;
    static unsigned      sequence;
    static char          data[20000];

    other = 0;

    for (i = 0; i < n; i++) {
        k = eu_count(kmq);
        dropped = k.totals.dropped;
        oldest = sequence - k.consumed;
        old = &history[oldest % HISTORY];

        memset(&m, 0, sizeof(m));
        m.size = size;

        if (kmq_reserve(kmq, p, &m, 1, NULL) != 1) {
            return n;
        }

        kmq_write(kmq, &m, data, size);
        kmq_commit(kmq, &m, 1);

        other += k.consumed == 0 || m.slot != old->slot
                 || m.body != old->body
                 || eu_count(kmq).totals.dropped != dropped + 1;

        history[sequence++ % HISTORY] = m;

        if (eu_drain(kmq) != 1) {
            return n;
        }
    }

    return other;
}


#define PASSED    1000
#define FEW         10           /* of these, on average */

/*
 * With memory full of history, a message takes the place of the oldest one,
 * whatever came before, and in however many leaves of the index something
 * waits; but for a few.  Where a leaf begins before the oldest one ends, the
 * first message in it drops one more, and a later one takes what that leaves
 * over.  Returns how many did not.
 */
static unsigned
test_history_reused(unsigned leaves, unsigned *passed)
{
    size_t           size;
    unsigned         i, n, other, all;
    void            *block;
    kmq_t           *kmq;
    kmq_ref_t        p, w;
    kmq_message_t   *history;
    kmq_settings_t   s;

    static const unsigned  sizes[] = { 100, 16000, 100, 1000, 10 };

    size = kmq_block_min() > 2 * EU_MB ? kmq_block_min() : 2 * EU_MB;
    kmq = eu_open(&block, size, KMQ_PUSH_ONE);
    s = eu_settings(KMQ_PUSH_ONE);
    s.keep_consumed = 1;
    kmq_configure(kmq, &s);

    w = eu_producer(kmq, "waiting");
    (void) eu_publish_numbers(kmq, w, 0, leaves * 128);
    p = eu_producer(kmq, "t");
    (void) eu_consumer(kmq, "t", 10, NULL);
    history = calloc(HISTORY, sizeof(kmq_message_t));
    all = 0;

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        n = (unsigned) (2 * size / (sizes[i] + 80));
        (void) pass(kmq, p, history, sizes[i], n);
        ok(eu_verify(kmq, "history of one size"), "sound");

        if (sizes[i] < 8192) {
            other = pass(kmq, p, history, sizes[i], PASSED);
            ok(other <= 2 * PASSED / KMQ_LEAF_SIZE, "%u of %u bytes: all but "
               "%u take the oldest one's place", PASSED, sizes[i], other);
            all += other;
            *passed += PASSED;
        }
    }

    free(history);
    eu_close(kmq, block, size, "history reused");

    return all;
}


/*
 * A topic that nobody uses any more must not hold memory: as many names as
 * one likes may come and go.
 */
static void
test_many_topics(void)
{
    char             name[32];
    void            *block;
    kmq_t           *kmq;
    unsigned         i, k, n, wrong;
    kmq_ref_t       *c;
    kmq_batch_t     *b;
    kmq_message_t    m;

    kmq = eu_open(&block, 64 * EU_MB, KMQ_PUSH_ONE);
    n = 10000;
    c = calloc(n, sizeof(*c));
    wrong = 0;

    for (i = 0; i < n; i++) {
        sprintf(name, "topic number %u", i);
        memset(&m, 0, sizeof(m));
        m.size = (uint32_t) sprintf(name, "topic number %u", i);

        if (kmq_reserve_to(kmq, name, m.size, &m) != KMQ_OK) {
            break;
        }

        kmq_write(kmq, &m, name, m.size);
        kmq_commit(kmq, &m, 1);
    }

    is_int(i, n, "one message in each of %u topics", n);
    is_int((long long) eu_count(kmq).topics, n, "topics");

    for (i = 0; i < n; i++) {
        sprintf(name, "topic number %u", i);
        c[i] = eu_consumer(kmq, name, 1, name);

        if (c[i] == 0) {
            break;
        }
    }

    is_int(i, n, "a consumer for each");
    ok(eu_verify(kmq, "many topics"), "sound");

    for (k = 0; (b = eu_take(kmq)) != NULL; k++) {
        wrong += b->nmessages != 1
                 || eu_body(kmq, &b->messages[0], name, sizeof(name))
                    != b->topic_len
                 || memcmp(name, b->topic, b->topic_len) != 0
                 || eu_confirm(kmq, b) != 1;
    }

    is_int(k, n, "a batch for each");
    is_int(wrong, 0, "each gets its own message");

    for (i = 0; i < n; i++) {
        kmq_leave(kmq, c[i], 0);
    }

    free(c);
    eu_close(kmq, block, 64 * EU_MB, "many topics");
}


static void
test_topics_reused(void)
{
    char             name[KMQ_NAME_MAX];
    void            *block;
    kmq_t           *kmq;
    unsigned         i, n;
    kmq_ref_t        c;
    kmq_client_info_t  info;

    kmq = eu_open(&block, 8 * EU_MB, KMQ_PUSH_ONE);
    n = 200000;

    for (i = 0; i < n; i++) {
        memset(name, 'n', sizeof(name));
        name[sprintf(name, "%u", i)] = 'x';

        memset(&info, 0, sizeof(info));
        info.role = i % 2 ? KMQ_CONSUMER : KMQ_PRODUCER;
        info.prefetch = 1;
        info.topic_len = sizeof(name);
        memcpy(info.topic, name, sizeof(name));
        info.id_len = sizeof(name);
        memcpy(info.id, name, sizeof(name));

        c = kmq_join(kmq, &info, NULL);

        if (c == 0) {
            break;
        }

        if (i % 4 == 0 && eu_publish(kmq, c, "x", 1) != KMQ_OK) {
            break;
        }

        kmq_leave(kmq, c, 0);

        if (i % 4 == 0) {
            info.role = KMQ_CONSUMER;
            c = kmq_join(kmq, &info, NULL);
            kmq_set_ready(kmq, c, 1);

            if (eu_drain(kmq) != 1) {
                break;
            }

            kmq_leave(kmq, c, 0);
        }
    }

    is_int(i, n, "200,000 topics come and go in 8 MiB");
    eu_close(kmq, block, 8 * EU_MB, "topics reused");
}


/* Puts a message into each of as many topics, with names of len bytes, as there
 * is memory for; returns how many. */
static unsigned
fill_topics(kmq_t *kmq, int len)
{
    int             rc;
    char            name[KMQ_NAME_MAX + 1];
    unsigned        n;
    kmq_message_t   m;

    rc = KMQ_OK;

    for (n = 0; n < 10000000; n++) {
        sprintf(name, "%0*u", len, n);
        memset(&m, 0, sizeof(m));
        rc = kmq_reserve_to(kmq, name, (size_t) len, &m);

        if (rc != KMQ_OK) {
            break;
        }

        kmq_commit(kmq, &m, 1);
    }

    is_int(rc, KMQ_NOMEM, "%u topics with a message each, then KMQ_NOMEM", n);

    return n;
}


/* Topics that hold messages without clients are kept; only memory bounds. */
static void
test_topics_without_clients(int len, unsigned least)
{
    char       name[KMQ_NAME_MAX + 1];
    void      *block;
    kmq_t     *kmq;
    unsigned   n;

    kmq = eu_open(&block, 8 * EU_MB, KMQ_PUSH_ONE);
    n = fill_topics(kmq, len);

    ok(n >= least, "names of %d bytes: at least %u in 8 MiB", len, least);
    is_int((long long) eu_count(kmq).ready, n, "all wait");

    sprintf(name, "%0*u", len, n / 2);
    ok(eu_consumer(kmq, name, 10, NULL) != 0, "a consumer of one joins");
    is_int(eu_drain(kmq), 1, "and gets its message");

    eu_close(kmq, block, 8 * EU_MB, "topics without clients");
}


/* Where history has taken all memory, topics and clients can come all the
 * same. */
static void
test_topics_after_history(void)
{
    void            *block;
    kmq_t           *kmq;
    unsigned         i, n, fresh;
    kmq_ref_t        p;
    kmq_settings_t   s;

    kmq = eu_open(&block, 8 * EU_MB, KMQ_PUSH_ONE);
    fresh = fill_topics(kmq, 10);
    eu_close(kmq, block, 8 * EU_MB, "topics alone");

    kmq = eu_open(&block, 8 * EU_MB, KMQ_PUSH_ONE);
    s = eu_settings(KMQ_PUSH_ONE);
    s.keep_consumed = 1;
    kmq_configure(kmq, &s);
    p = eu_producer(kmq, "t");
    (void) eu_consumer(kmq, "t", 1000, NULL);

    for (i = 0; i < 200; i++) {
        (void) eu_publish_numbers(kmq, p, 0, 1000);
        (void) eu_drain(kmq);
    }

    ok(eu_count(kmq).totals.dropped > 0, "memory is full of history");
    n = fill_topics(kmq, 10);
    ok(n >= fresh / 2, "%u topics, %u without history", n, fresh);
    is_int((long long) eu_count(kmq).consumed, 0, "all of it made room");

    eu_close(kmq, block, 8 * EU_MB, "topics after history");
}


/* Each of n topics pushes its message, which comes back; returns how many. */
static unsigned
push_all(kmq_t *kmq, unsigned n)
{
    char          code[300][KMQ_CODE_LEN];
    unsigned      i, pushed;
    kmq_ref_t     c[300];
    kmq_batch_t  *b;

    for (pushed = 0; pushed < n && (b = eu_take(kmq)) != NULL; pushed++) {
        c[pushed] = b->runs[0].client;
        kmq_code(kmq, &b->messages[0], code[pushed]);
    }

    for (i = 0; i < pushed; i++) {
        (void) kmq_return_codes(kmq, c[i], code[i], 1, KMQ_BACK_OFF);
    }

    return pushed;
}


/* Topics become busy while memory is full of messages that wait: what is
 * counted of them takes little of what is for clients. */
static void
test_topics_busy(void)
{
    int                  why;
    void                *block;
    kmq_t               *kmq;
    char                 name[16];
    unsigned             i, minute, n, all;
    kmq_topic_detail_t   t;

    kmq = eu_open(&block, 8 * EU_MB, KMQ_PUSH_ONE);

    for (i = 0; i < 300; i++) {
        sprintf(name, "%u", i);
        (void) eu_publish(kmq, eu_producer(kmq, name), "x", 1);
        (void) eu_consumer(kmq, name, 1, NULL);
    }

    (void) fill_up(kmq, eu_producer(kmq, "waiting"), 1000, &why);
    is_int(why, KMQ_NOMEM, "memory is full");

    for (minute = 0, n = 0; minute < 70; minute++) {
        kmq_clock(kmq, 1000 + minute * 60000,
                  UINT64_C(1640975470000) + minute * 60000);
        n += push_all(kmq, 300);
    }

    is_int(n, 300 * 70, "300 topics push a message in each of 70 minutes");

    for (i = 0, all = 0; i < 300; i++) {
        sprintf(name, "%u", i);
        (void) kmq_topic(kmq, name, strlen(name), &t);

        for (minute = 0, n = 0; minute < KMQ_TOPIC_MINUTES; minute++) {
            n += t.minute[minute].delivered == 1;
        }

        all += n == KMQ_TOPIC_MINUTES;

        if ((n != KMQ_TOPIC_MINUTES && n != 2) || t.info.totals.delivered != 70)
        {
            break;
        }
    }

    is_int(i, 300, "each tells the last two minutes, or all of them");
    ok(all > 50 && all < 300, "all of them: %u topics", all);
    ok(eu_verify(kmq, "busy"), "sound");

    for (i = 0; i < 150; i++) {
        if (eu_consumer(kmq, "another", 1, NULL) == 0) {
            break;
        }
    }

    is_int(i, 150, "150 more consumers can join");

    eu_close(kmq, block, 8 * EU_MB, "busy topics");
}


/* Publishes a message to each of n topics in that hour. */
static void
busy_hour(kmq_t *kmq, unsigned n, unsigned hour)
{
    char            name[16];
    unsigned        i;
    kmq_message_t   m;

    kmq_clock(kmq, 1000 + hour * UINT64_C(3600000),
              UINT64_C(1640975470000) + hour * UINT64_C(3600000));

    for (i = 0; i < n; i++) {
        sprintf(name, "%u", i);
        memset(&m, 0, sizeof(m));
        m.size = 1;

        if (kmq_reserve_to(kmq, name, strlen(name), &m) == KMQ_OK) {
            kmq_commit(kmq, &m, 1);
        }
    }
}


/* What is counted by hour of many topics takes a part of the memory; the rest
 * is for messages. */
static void
test_topics_hours(void)
{
    int                  why;
    void                *block;
    kmq_t               *kmq;
    char                 name[16];
    unsigned             i, k, n, all, few, pages, fresh;
    kmq_topic_detail_t   t;

    kmq = eu_open(&block, 8 * EU_MB, KMQ_PUSH_ONE);

    for (i = 0; i < 5; i++) {
        busy_hour(kmq, 600, 0);
    }

    fresh = fill_up(kmq, eu_producer(kmq, "waiting"), 1000, &why);
    eu_close(kmq, block, 8 * EU_MB, "topics of one hour");

    kmq = eu_open(&block, 8 * EU_MB, KMQ_PUSH_ONE);

    for (i = 0; i < 5; i++) {
        busy_hour(kmq, 600, i);
    }

    for (i = 0, all = 0, few = 0; i < 600; i++) {
        sprintf(name, "%u", i);
        (void) kmq_topic(kmq, name, strlen(name), &t);

        for (k = 0, n = 0; k < KMQ_TOPIC_HOURS; k++) {
            n += t.hour[k].published == 1;
        }

        all += n == 5;
        few += n == 2;
    }

    is_int(all + few, 600, "each tells the last two hours, or all of them");

    for (i = 0, pages = 0; i < kmq->block->nshards; i++) {
        pages += KMQ_SHARD(kmq->block, i)
                 ->table[KMQ_CLASS_HOURS - KMQ_CLASS_TOPIC].pages;
    }

    is_int(pages, all, "all of them are a page");
    ok(all > 100 && all <= kmq->block->npages / 8,
       "of %u topics, in %u pages", all, (unsigned) kmq->block->npages);
    n = fill_up(kmq, eu_producer(kmq, "waiting"), 1000, &why);
    ok(n > fresh * 4 / 5, "%u more messages fit, %u before", n, fresh);

    eu_close(kmq, block, 8 * EU_MB, "topics' hours");
}


/* A large message takes the place of a few of its kind. */
static void
test_history_large(size_t size)
{
    char            *data;
    void            *block;
    kmq_t           *kmq;
    unsigned         i;
    uint64_t         least, most, n;
    kmq_ref_t        p;
    kmq_settings_t   s;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    s = eu_settings(KMQ_PUSH_ONE);
    s.keep_consumed = 1;
    kmq_configure(kmq, &s);

    p = eu_producer(kmq, "t");
    (void) eu_consumer(kmq, "t", 5, NULL);

    most = 0;
    least = UINT64_MAX;
    data = malloc(size);
    eu_fill(data, size, size);

    for (i = 0; i < 4 * SIZE / size; i++) {

        if (eu_publish(kmq, p, data, size) != KMQ_OK) {
            break;
        }

        (void) eu_drain(kmq);

        if (i > 2 * SIZE / size) {
            n = ei_shard_of(kmq, "t")->history.count;
            least = n < least ? n : least;
            most = n > most ? n : most;
        }
    }

    free(data);

    ok(i == 4 * SIZE / size && least + KMQ_DROP >= most && most,
       "a history of messages of %zu bytes: %llu to %llu of them stay", size,
       (unsigned long long) least, (unsigned long long) most);

    eu_close(kmq, block, SIZE, "a history of large messages");
}


#define SCATTERED_TOPICS  64

static kmq_ref_t
scattered_consumer(kmq_t *kmq, unsigned topic)
{
    char  name[16];

    (void) sprintf(name, "t%u", topic);

    return eu_consumer(kmq, name, 1000, NULL);
}


/* Messages of any topic until none fits. */
static void
scattered_fill(kmq_t *kmq, const kmq_ref_t *p, uint64_t *seed, size_t max)
{
    char      data[64];
    unsigned  refused;

    memset(data, 'x', sizeof(data));

    for (refused = 0; refused < 50; /* void */) {
        refused += eu_publish(kmq, p[eu_below(seed, SCATTERED_TOPICS)], data,
                              max ? eu_below(seed, max + 1) : 0)
                   != KMQ_OK;
    }
}


/*
 * A block that is full, spare pages as well, and whose messages lie in any
 * order: a repair meets them in that of their places, and has to make the
 * index in what the old one leaves.
 */
static void
test_repair_full(uint64_t seed, size_t max)
{
    void          *block;
    kmq_t         *kmq;
    unsigned       i, topic;
    kmq_ref_t      p[SCATTERED_TOPICS], c;
    kmq_counts_t   before, after;

    kmq = eu_open(&block, 4 * EU_MB, KMQ_PUSH_ONE);

    for (i = 0; i < SCATTERED_TOPICS; i++) {
        char  name[16];

        (void) sprintf(name, "t%u", i);
        p[i] = eu_producer(kmq, name);
    }

    for (i = 0; i < 40; i++) {
        scattered_fill(kmq, p, &seed, max);

        topic = eu_below(&seed, SCATTERED_TOPICS);
        c = scattered_consumer(kmq, topic);
        (void) eu_drain(kmq);
        kmq_leave(kmq, c, 0);
    }

    /* what is in flight takes the spare pages */

    for (i = 0; i < SCATTERED_TOPICS; i++) {
        if (scattered_consumer(kmq, i) == 0) {
            break;
        }

        while (eu_take(kmq)) { /* void */ }
    }

    scattered_fill(kmq, p, &seed, max);
    while (eu_take(kmq)) { /* void */ }

    ok(i < SCATTERED_TOPICS, "no more consumer finds memory");

    before = eu_count(kmq);

    for (i = 0; i < kmq->block->nshards; i++) {
        kmq_lock(kmq, ei_shard(kmq, i));
        kmq_repair(kmq);
        kmq_unlock(kmq);
    }

    after = eu_count(kmq);

    is_int((long long) after.ready, (long long) before.ready,
           "a full block is repaired: all wait that waited");
    is_int((long long) after.in_flight, (long long) before.in_flight,
           "and all are in flight that were");

    eu_close(kmq, block, 4 * EU_MB, "a full block repaired");
}


/* Since when a message has waited is believed where it is linked to the next
 * one as it should be: so of all but the last one of each topic. */
static void
test_repair_waits(void)
{
    void            *block;
    kmq_t           *kmq;
    unsigned         i;
    kmq_ref_t        p[2];
    kmq_latency_t    waits;

    kmq = eu_open(&block, 4 * EU_MB, KMQ_PUSH_ONE);
    kmq_clock(kmq, 5000, 1640975470000);
    p[0] = eu_producer(kmq, "a");
    p[1] = eu_producer(kmq, "b");

    for (i = 0; i < 200; i++) {
        (void) eu_publish(kmq, p[i % 2], "waits", 5);
    }

    kmq_clock(kmq, 65000, 1640975470000 + 60000);
    kmq_lock(kmq, ei_shard(kmq, 0));
    kmq_repair(kmq);
    kmq_unlock(kmq);

    (void) eu_consumer(kmq, "a", 10, NULL);
    (void) eu_consumer(kmq, "b", 10, NULL);
    is_int(eu_drain(kmq), 200, "all are pushed after a repair");

    kmq_latency(kmq, &waits);
    is_int((long long) waits.sum, 198 * 60000, "they have waited for a minute");

    eu_close(kmq, block, 4 * EU_MB, "waits over a repair");
}


#define NEXT_PAGE   (KMQ_PAGE_SIZE / 8)
#define BODY_4      60             /* bytes of a body of 4 cells, */
#define BODY_8      124            /* of 8 */
#define BODY_12     188            /* and of 12 */

/* A slot with a body, with no message in it; NULL: no memory. */
static kmq_slot_t *
slot_alloc(kmq_t *kmq, uint32_t size)
{
    uint32_t     left;
    kmq_slot_t  *slot;

    slot = kmq_message_alloc(kmq, size, &left);

    if (slot) {
        slot->size = size;
    }

    return slot;
}


/* Fills all pages with messages, of which each 63rd has 16 cells and ends with
 * its page; returns one of these that has a full page behind it. */
static kmq_slot_t *
pages_fill(kmq_t *kmq)
{
    unsigned     n;
    kmq_slot_t  *slot, *last, *before;

    last = before = NULL;

    for (n = 1; (slot = slot_alloc(kmq, n % 63 ? BODY_4 : BODY_12)); n++) {
        if (n % 63 == 0) {
            before = last;
            last = slot;
        }
    }

    return before;
}


/*
 * A slot at the end of a page and a body, of its own, at the beginning of the
 * next one lie beside each other, and are two runs all the same.
 */
static void
test_page_between(void)
{
    void         *block;
    kmq_t        *kmq;
    kmq_ref_t     end;
    kmq_slot_t   *last, *slot;
    kmq_shard_t  *s;
    kmq_cells_t  *cells, before[2];

    kmq = eu_open(&block, 2 * EU_MB, KMQ_PUSH_ONE);
    s = ei_shard(kmq, 0);
    kmq_lock(kmq, s);

    last = pages_fill(kmq);
    end = KMQ_REF(s, last + 4);
    is_int(end % NEXT_PAGE, 0, "a message ends with its page");

    /* room for a slot at the end, and for a body behind it */

    kmq_message_memory_free(s, last);
    slot = slot_alloc(kmq, BODY_8);
    ok(slot == last, "a smaller one takes its place");
    kmq_message_memory_free(s, KMQ_AT(s, end));

    slot = slot_alloc(kmq, BODY_8);
    ok(slot == last + 3 && slot->body == end,
       "a slot at the end of a page, its body behind it");

    cells = kmq_cells_of(s, kmq_page_of(s, KMQ_REF(s, slot)));
    memcpy(before, cells, sizeof(before));
    kmq_message_mark(s, slot);
    ok(memcmp(cells[0].slot, before[0].slot, sizeof(cells[0].slot)) == 0
       && memcmp(cells[1].slot, before[1].slot, sizeof(cells[1].slot)) == 0
       && cells[0].edge[7] >> 60 == 15 && (cells[1].edge[0] & 255) == 255,
       "a repair marks them as two");
    memcpy(cells, before, sizeof(before));

    kmq_message_memory_free(s, slot);
    ok(kmq_heap_verify(s, &s->heap[KMQ_HEAP_MESSAGES]) == NULL,
       "they are freed as two");

    slot = slot_alloc(kmq, BODY_4);
    is_int(KMQ_REF(s, slot), end, "the next page has its room again");

    kmq_unlock(kmq);
    kmq_detach(kmq);
    munmap(block, 2 * EU_MB);
}


int
main(void)
{
    unsigned  leaves, other, passed;

    test_waiting_max();
    test_full_block();
    test_too_large();
    fragments(8);
    fragments(60);
    fragments(100);
    fragments(1000);
    fragments(3000);
    test_mixed_sizes();
    test_history();

    other = 0;
    passed = 0;

    for (leaves = 0; leaves < 15; leaves++) {
        other += test_history_reused(leaves, &passed);
    }

    ok(other <= passed / PASSED * FEW, "of %u, all but %u", passed, other);

    test_many_topics();
    test_topics_reused();
    test_topics_without_clients(5, 12000);
    test_topics_without_clients(KMQ_NAME_MAX, 8500);
    test_topics_after_history();
    test_topics_busy();
    test_topics_hours();
    test_history_large(60000);
    test_history_large(70000);
    test_history_large(1000000);
    test_page_between();
    test_repair_full(1, 0);
    test_repair_full(2, 10);
    test_repair_full(3, 60);
    test_repair_waits();

    return done_testing();
}
