/*
 * The engine through its public header: the block, one message's way, bodies,
 * MessageCodes, prefetch, going back on leave, the registry, counters.
 */

#include "engine_util.h"


#define SIZE  (16 * EU_MB)


static void
test_block_bounds(void)
{
    void           *block;
    size_t          min;
    unsigned char   seed[KMQ_SEED_LEN];

    memset(seed, 1, sizeof(seed));
    min = kmq_block_min();

    ok(min > 0 && min <= 8 * EU_MB, "the smallest block is %zu bytes", min);
    ok(kmq_block_max() > min, "the largest block is larger");

    block = eu_map(min + 2 * 4096);

    is_int(kmq_block_check(block, min), KMQ_ERROR, "zeros are no block");
    ok(kmq_attach(block, min, 0) == NULL, "zeros cannot be attached");
    is_int(kmq_block_init(block, min - 1, seed), KMQ_ERROR, "too small");
    is_int(kmq_block_init(block, 0, seed), KMQ_ERROR, "size 0");
    is_int(kmq_block_init(block, kmq_block_max() + 1, seed), KMQ_ERROR,
           "too large");
    is_int(kmq_block_init((char *) block + 8, min, seed), KMQ_ERROR,
           "not page-aligned");
    is_int(kmq_block_check(block, min), KMQ_ERROR,
           "a refused init leaves no block behind");

    is_int(kmq_block_init(block, min, seed), KMQ_OK, "smallest block");
    is_int(kmq_block_check(block, min), KMQ_OK, "is a block");
    is_int(kmq_block_check(block, min + 4096), KMQ_ERROR, "of another size");

    munmap(block, min + 2 * 4096);
}


static void
test_attach_bounds(void)
{
    kmq_t   *a, *b;
    void    *block;
    size_t   size;

    size = kmq_block_min();
    block = eu_block(size);

    ok(kmq_attach(block, size, KMQ_WORKERS) == NULL, "worker out of bounds");
    ok(kmq_attach(block, size, 0xffffffff) == NULL, "worker far out");
    ok(kmq_attach(block, size + 4096, 0) == NULL, "attach with another size");

    a = eu_attach(block, size, 0);
    ok(kmq_attach(block, size, 0) == NULL, "worker in use");

    b = eu_attach(block, size, KMQ_WORKERS - 1);
    is_int((long long) kmq_tick(a), 0, "no dead workers");
    ok(eu_verify(a, "two handles"), "two handles: sound");

    kmq_detach(b);
    b = eu_attach(block, size, KMQ_WORKERS - 1);
    ok(b != NULL, "a number is free again after kmq_detach");

    kmq_detach(NULL);
    kmq_detach(b);
    eu_close(a, block, size, "attach");
}


/* A message is stored even in the smallest block. */
static void
test_smallest(void)
{
    void       *block;
    kmq_t      *kmq;
    size_t      size;
    kmq_ref_t   p, c;

    size = kmq_block_min();
    kmq = eu_open(&block, size, KMQ_PUSH_ONE);

    p = eu_producer(kmq, "topic");
    c = eu_consumer(kmq, "topic", 10, NULL);

    ok(p && c, "clients in the smallest block");
    ok(kmq_body_max(kmq) > 0, "it can hold a body");
    is_int(eu_publish(kmq, p, "hello", 5), KMQ_OK, "it takes a message");
    is_int(eu_drain(kmq), 1, "and gives it");

    eu_close(kmq, block, size, "smallest");
}


static void
test_one_message(void)
{
    int             user;
    char            body[16];
    void           *block;
    kmq_t          *kmq;
    size_t          len;
    uint32_t        position;
    kmq_ref_t       p, c;
    kmq_batch_t    *b;
    kmq_counts_t    n;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);

    p = eu_producer(kmq, "test_topic");
    c = eu_consumer(kmq, "test_topic", 10, &user);

    ok(p && c && p != c, "a producer and a consumer");
    ok(eu_take(kmq) == NULL, "nothing to take yet");
    is_int(eu_publish(kmq, p, "hello", 5), KMQ_OK, "published");
    is_int(kmq_has_work(kmq), 1, "there is work");

    b = eu_take(kmq);

    if (!ok(b != NULL && b->nruns == 1 && b->nmessages == 1, "one run")) {
        return;
    }

    is_bytes(b->topic, b->topic_len, "test_topic", 10, "topic");
    ok(b->topic_ref != 0, "topic_ref");
    ok(b->runs[0].client == c, "the run's client");
    ok(b->runs[0].user == &user, "the run's user");
    ok(b->runs[0].first == 0 && b->runs[0].count == 1, "the run's range");
    is_int(b->messages[0].create_time, 1640975470, "create time");
    is_int(b->messages[0].delay, 0, "delay");
    is_int(b->messages[0].size, 5, "size");

    len = eu_body(kmq, &b->messages[0], body, sizeof(body));
    is_bytes(body, len, "hello", 5, "body");

    n = eu_count(kmq);
    ok(n.ready == 0 && n.in_flight == 1, "in flight");
    is_int(kmq_in_flight(kmq, c), 1, "in flight with the consumer");
    position = b->messages[0].position;
    ok(eu_take(kmq) == NULL, "not given twice");

    is_int(kmq_confirm_upto(kmq, c, position - 1), 0, "what is before it");
    is_int(kmq_confirm_upto(kmq, c, position), 1, "confirmed");
    is_int(kmq_confirm_upto(kmq, c, position), 0, "confirmed once only");
    is_int(kmq_in_flight(kmq, c), 0, "nothing in flight");

    n = eu_count(kmq);
    ok(n.ready == 0 && n.in_flight == 0 && n.consumed == 0,
       "consumed and not kept");

    eu_close(kmq, block, SIZE, "one message");
}


/* One body of the given size, written in pieces of step bytes. */
static void
one_body(kmq_t *kmq, kmq_ref_t p, size_t size, size_t step)
{
    char           *want, *got;
    size_t          n, len;
    kmq_batch_t    *b;
    kmq_message_t   m;

    want = malloc(size + step + 1);
    got = malloc(size + 1);
    eu_fill(want, size + step, size);

    memset(&m, 0, sizeof(m));
    m.size = (uint32_t) size;

    if (!is_int(kmq_reserve(kmq, p, &m, 1, NULL), 1, "room for %zu", size)) {
        goto done;
    }

    /* the last piece goes beyond the size and is cut off */

    for (n = 0; n < size; n += step) {
        kmq_write(kmq, &m, want + n, step);
    }

    kmq_write(kmq, &m, "beyond", 6);
    kmq_commit(kmq, &m, 1);

    b = eu_take(kmq);

    if (!ok(b != NULL && b->nmessages == 1, "%zu bytes delivered", size)) {
        goto done;
    }

    is_int(b->messages[0].size, (long long) size, "size %zu", size);
    len = eu_body(kmq, &b->messages[0], got, size);
    is_bytes(got, len, want, size, "%zu bytes in steps of %zu", size, step);
    is_int(eu_confirm(kmq, b), 1, "%zu confirmed", size);

done:

    free(want);
    free(got);
}


static void
test_bodies(void)
{
    void       *block;
    kmq_t      *kmq;
    size_t      i, max;
    uint64_t    bytes_free;
    kmq_ref_t   p;

    static const size_t  sizes[] = {
        0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129,
        255, 256, 257, 500, 511, 512, 513, 1000, 1023, 1024, 1025, 1500,
        2000, 2047, 2048, 2049, 3000, 4000, 4080, 4088, 4095, 4096, 4097,
        5000, 8191, 8192, 8193, 16383, 16384, 16385, 65535, 65536, 65537,
        100000, 1048575, 1048576, 1048577
    };

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    p = eu_producer(kmq, "t");
    (void) eu_consumer(kmq, "t", 10, NULL);

    one_body(kmq, p, 1, 1);
    bytes_free = eu_count(kmq).bytes_free;

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        one_body(kmq, p, sizes[i], 1 + sizes[i] / 3);
    }

    max = kmq_body_max(kmq);
    ok(max >= SIZE / 4, "largest body is %zu of a block of %zu", max, SIZE);
    one_body(kmq, p, max, 1000);
    one_body(kmq, p, 5000, 1);
    one_body(kmq, p, 5000, 4096);

    /* of large ones it comes in parts */

    for (i = 0; i < 100; i++) {
        (void) kmq_tick(kmq);
    }

    ok(eu_count(kmq).bytes_free + 8 * 4096 >= bytes_free,
       "their memory came back: %llu, were %llu",
       (unsigned long long) eu_count(kmq).bytes_free,
       (unsigned long long) bytes_free);

    eu_close(kmq, block, SIZE, "bodies");
}


static void
test_reserve_to(void)
{
    char            name[KMQ_NAME_MAX];
    void           *block;
    kmq_t          *kmq;
    kmq_ref_t       c;
    kmq_batch_t    *b;
    kmq_message_t   m;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    memset(name, 'x', sizeof(name));
    name[100] = '\0';

    memset(&m, 0, sizeof(m));
    m.size = 2;

    is_int(kmq_reserve_to(kmq, name, sizeof(name), &m), KMQ_OK,
           "a topic that nobody knows, 255 bytes, a zero among them");
    kmq_write(kmq, &m, "hi", 2);
    kmq_commit(kmq, &m, 1);
    is_int((long long) eu_count(kmq).ready, 1, "waits without a consumer");

    c = eu_consumer(kmq, "x", 10, NULL);
    ok(eu_take(kmq) == NULL, "not for the topic \"x\"");
    kmq_leave(kmq, c, 0);

    {
        kmq_client_info_t  info;

        memset(&info, 0, sizeof(info));
        info.role = KMQ_CONSUMER;
        info.prefetch = 1;
        info.topic_len = sizeof(name);
        memcpy(info.topic, name, sizeof(name));
        info.id_len = 1;
        info.id[0] = 'c';
        c = kmq_join(kmq, &info, &info);
        kmq_set_ready(kmq, c, 1);
    }

    b = eu_take(kmq);

    if (ok(b != NULL, "delivered to a consumer that came later")) {
        is_bytes(b->topic, b->topic_len, name, sizeof(name), "its topic");
        is_int(eu_confirm(kmq, b), 1, "confirmed");
    }

    eu_close(kmq, block, SIZE, "reserve_to");
}


/* Some of a reservation are committed, some given back. */
static void
test_discard(void)
{
    int             why;
    void           *block;
    kmq_t          *kmq;
    unsigned        i;
    kmq_ref_t       p;
    kmq_batch_t    *b;
    kmq_message_t   m[6];

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    p = eu_producer(kmq, "t");
    (void) eu_consumer(kmq, "t", 10, NULL);

    memset(m, 0, sizeof(m));

    for (i = 0; i < 6; i++) {
        m[i].size = 1;
    }

    is_int(kmq_reserve(kmq, p, m, 6, &why), 6, "six reserved");
    ok(eu_verify(kmq, "reserved"), "sound with reserved messages");
    is_int((long long) eu_count(kmq).ready, 0, "reserved is not ready");
    ok(eu_take(kmq) == NULL, "reserved is not taken");

    for (i = 0; i < 6; i++) {
        kmq_write(kmq, &m[i], &"012345"[i], 1);
    }

    kmq_discard(kmq, &m[0], 1);
    kmq_commit(kmq, &m[3], 2);
    kmq_discard(kmq, &m[1], 2);
    kmq_commit(kmq, &m[5], 1);

    b = eu_take(kmq);

    if (ok(b != NULL && b->nmessages == 3, "three of six delivered")) {
        for (i = 0; i < 3; i++) {
            is_int(eu_number(kmq, &b->messages[i]), 3 + i, "order kept");
        }

        is_int(eu_confirm(kmq, b), 3, "confirmed");
    }

    is_int((long long) eu_count(kmq).totals.published, 3,
           "published counts three");

    /* what a handle reserved goes with it */

    memset(m, 0, sizeof(m));
    m[0].size = 100000;
    is_int(kmq_reserve(kmq, p, m, 6, &why), 6, "six more reserved");
    kmq_detach(kmq);

    kmq = eu_attach(block, SIZE, 0);
    is_int((long long) eu_count(kmq).ready, 0, "none of them is stored");
    eu_close(kmq, block, SIZE, "discard");
}


/* n messages are published and taken; their codes are in codes. */
static unsigned
codes_of(kmq_t *kmq, kmq_ref_t p, unsigned n, char (*codes)[KMQ_CODE_LEN])
{
    unsigned      i, k;
    kmq_batch_t  *b;

    eu_publish_numbers(kmq, p, 0, n);
    k = 0;

    while ((b = eu_take(kmq)) != NULL) {

        for (i = 0; i < b->nmessages && k < n; i++) {
            kmq_code(kmq, &b->messages[i], codes[k++]);
        }
    }

    return k;
}


static int
compare_codes(const void *a, const void *b)
{
    return memcmp(a, b, KMQ_CODE_LEN);
}


static void
test_codes(void)
{
    char      (*codes)[KMQ_CODE_LEN];
    void       *block;
    char        tail[9];
    kmq_t      *kmq;
    unsigned    i, k, n, hex, times, same, digits[16];
    kmq_ref_t   p, c;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    p = eu_producer(kmq, "t");
    c = eu_consumer(kmq, "t", KMQ_PREFETCH_MAX, NULL);
    n = 20000;
    codes = calloc((size_t) n + 1, KMQ_CODE_LEN);

    /* twice over the same slots: the second half must not repeat */

    is_int(codes_of(kmq, p, n / 2, codes), n / 2, "messages taken");
    is_int(kmq_confirm_codes(kmq, c, codes[0], n / 2), n / 2,
           "all confirmed by their codes");
    is_int(kmq_confirm_codes(kmq, c, codes[0], n / 2), 0,
           "none of them again");
    is_int(codes_of(kmq, p, n / 2, codes + n / 2), n / 2, "and once more");
    is_int(kmq_confirm_codes(kmq, c, codes[0], n / 2), 0,
           "old codes are not those of new messages in the same place");

    sprintf(tail, "%08x", 1640975470u);
    hex = times = same = 0;
    memset(digits, 0, sizeof(digits));

    for (i = 0; i < n; i++) {
        hex += strspn(codes[i], "0123456789abcdef") >= KMQ_CODE_LEN;
        times += memcmp(codes[i] + 32, tail, 8) == 0;

        for (k = 16; k < 32; k++) {
            digits[strchr("0123456789abcdef", codes[i][k])
                   - "0123456789abcdef"]++;
        }
    }

    is_int(times, n, "the last 8 digits are the create time");
    is_int(hex, n, "40 lowercase hex digits");

    /* what is secret in it looks random: each digit about as often */

    for (i = 0, k = 0; i < 16; i++) {
        k += digits[i] > n * 9 / 10
             && digits[i] < n * 11 / 10;
    }

    is_int(k, 16, "digits are spread evenly");

    qsort(codes, n, KMQ_CODE_LEN, compare_codes);

    for (i = 1; i < n; i++) {
        same += memcmp(codes[i - 1], codes[i], KMQ_CODE_LEN) == 0;
    }

    is_int(same, 0, "no code twice among %u", n);
    is_int(kmq_confirm_codes(kmq, c, codes[0], n), n / 2,
           "the second half is confirmed among the first");

    free(codes);
    eu_close(kmq, block, SIZE, "codes");
}


static void
test_wrong_codes(void)
{
    char        codes[4][KMQ_CODE_LEN], bad[KMQ_CODE_LEN];
    void       *block;
    kmq_t      *kmq;
    unsigned    i, d, hits;
    kmq_ref_t   p, c, other;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    p = eu_producer(kmq, "t");
    c = eu_consumer(kmq, "t", 100, NULL);
    codes_of(kmq, p, 4, codes);
    other = eu_consumer(kmq, "t", 100, NULL);

    is_int(kmq_confirm_codes(kmq, other, codes[0], 4), 0,
           "another consumer cannot confirm them");

    hits = 0;

    for (i = 0; i < KMQ_CODE_LEN; i++) {
        for (d = 0; d < 16; d++) {
            memcpy(bad, codes[0], KMQ_CODE_LEN);

            if (bad[i] != "0123456789abcdef"[d]) {
                bad[i] = "0123456789abcdef"[d];
                hits += kmq_confirm_codes(kmq, c, bad, 1);
            }
        }
    }

    is_int(hits, 0, "no code with one digit changed is taken");

    for (i = 0; i < 256; i++) {
        memset(bad, (int) i, KMQ_CODE_LEN);
        hits += kmq_confirm_codes(kmq, c, bad, 1);
        memcpy(bad, codes[0], KMQ_CODE_LEN);
        bad[i % KMQ_CODE_LEN] = i < 128 ? "gG:/@`xX"[i % 8] : (char) i;
        hits += kmq_confirm_codes(kmq, c, bad, 1);
    }

    is_int(hits, 0, "no garbage is taken");
    is_int(kmq_confirm_codes(kmq, c, codes[0], 0), 0, "no codes at all");
    is_int(kmq_in_flight(kmq, c), 4, "all are still in flight");

    memcpy(codes[2], codes[1], KMQ_CODE_LEN);
    is_int(kmq_confirm_codes(kmq, c, codes[0], 4), 3,
           "in a list with one twice, the others count, it counts once");
    is_int(kmq_in_flight(kmq, c), 1, "one is left");

    /* codes[2] was lost above: it is the message that is left */

    memcpy(bad, codes[3], KMQ_CODE_LEN);
    bad[20] = bad[20] == '0' ? '1' : '0';

    is_int(kmq_code_wrong(kmq, c, bad, 1), 1, "a changed code is wrong");
    is_int(kmq_code_wrong(kmq, c, codes[3], 0), 0, "a consumed one is not");
    is_int(kmq_code_wrong(kmq, other, codes[3], 0), 0, "for whomsoever");

    codes_of(kmq, p, 1, codes);
    is_int(kmq_code_wrong(kmq, c, codes[0], 0)
           + kmq_code_wrong(kmq, other, codes[0], 0), 1,
           "one in flight is wrong for the other consumer");

    kmq_leave(kmq, c, 0);
    kmq_leave(kmq, other, 0);
    c = eu_consumer(kmq, "u", 100, NULL);
    is_int(kmq_code_wrong(kmq, c, codes[0], 0), 1, "one that waits is wrong");
    is_int(kmq_code_wrong(kmq, c, codes[0], 1), 0,
           "unless it comes late, and was pushed");

    is_int(kmq_delete(kmq, codes[0]), KMQ_OK, "it is deleted");
    is_int(kmq_code_wrong(kmq, c, codes[0], 0), 0, "then it is not, either");

    eu_close(kmq, block, SIZE, "wrong codes");
}


/* Keys come from the seed: another block has other codes. */
static void
test_code_keys(void)
{
    char           code[2][KMQ_CODE_LEN];
    void          *block;
    kmq_t         *kmq;
    unsigned       i;
    kmq_ref_t      p;
    unsigned char  seed[KMQ_SEED_LEN];

    for (i = 0; i < 2; i++) {
        memset(seed, 7, sizeof(seed));
        seed[0] = (unsigned char) i;

        block = eu_map(SIZE);
        (void) kmq_block_init(block, SIZE, seed);
        kmq = eu_attach(block, SIZE, 0);
        p = eu_producer(kmq, "t");
        (void) eu_consumer(kmq, "t", 1, NULL);
        codes_of(kmq, p, 1, &code[i]);
        kmq_detach(kmq);
        munmap(block, SIZE);
    }

    ok(memcmp(code[0], code[1], 32) != 0, "another seed, other codes");
}


static void
test_prefetch(void)
{
    void         *block;
    kmq_t        *kmq;
    unsigned      i;
    kmq_ref_t     p, c[3];
    kmq_batch_t  *b;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    p = eu_producer(kmq, "t");
    c[0] = eu_consumer(kmq, "t", 1, NULL);
    c[1] = eu_consumer(kmq, "t", 10, NULL);
    c[2] = eu_join(kmq, KMQ_CONSUMER, "t", 10, NULL);

    is_int(eu_publish_numbers(kmq, p, 0, 100), 100, "100 published");

    while (eu_take(kmq) != NULL) { /* void */ }

    is_int(kmq_in_flight(kmq, c[0]), 1, "prefetch 1");
    is_int(kmq_in_flight(kmq, c[1]), 10, "prefetch 10");
    is_int(kmq_in_flight(kmq, c[2]), 0, "not ready: none");

    kmq_set_ready(kmq, c[2], 1);
    kmq_set_ready(kmq, c[2], 1);
    b = eu_take(kmq);
    ok(b != NULL && b->nruns == 1 && b->runs[0].client == c[2],
       "ready now: gets some");

    while (eu_take(kmq) != NULL) { /* void */ }

    is_int(kmq_in_flight(kmq, c[2]), 10, "prefetch 10 again");
    is_int(kmq_has_work(kmq), 0, "nothing to do without credit");

    kmq_set_ready(kmq, c[2], 0);

    for (i = 0; i < 3; i++) {
        kmq_confirm_upto(kmq, c[i], 0x7fffffff);
    }

    is_int(kmq_has_work(kmq), 1, "credit is back");

    while (eu_take(kmq) != NULL) { /* void */ }

    is_int(kmq_in_flight(kmq, c[2]), 0, "not ready again: none");
    is_int(kmq_in_flight(kmq, c[1]), 10, "prefetch 10 full again");
    is_int((long long) eu_count(kmq).totals.confirmed, 21, "21 confirmed");
    is_int((long long) eu_count(kmq).ready, 100 - 32, "the rest waits");

    eu_close(kmq, block, SIZE, "prefetch");
}


/* What a consumer leaves behind comes back first and in its order. */
static void
test_leave(void)
{
    void         *block;
    kmq_t        *kmq;
    unsigned      i, k, wrong;
    kmq_ref_t     p, c;
    kmq_batch_t  *b;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    p = eu_producer(kmq, "t");
    c = eu_consumer(kmq, "t", 50, NULL);
    eu_publish_numbers(kmq, p, 0, 100);

    b = eu_take(kmq);
    ok(b != NULL && b->nmessages == 50, "50 taken");
    kmq_confirm_upto(kmq, c, b->messages[9].position);
    kmq_leave(kmq, c, 0);

    is_int((long long) eu_count(kmq).ready, 90, "the unconfirmed wait again");
    is_int((long long) eu_count(kmq).in_flight, 0, "nothing in flight");

    c = eu_consumer(kmq, "t", 1000, NULL);
    wrong = 0;
    k = 10;

    while ((b = eu_take(kmq)) != NULL) {

        for (i = 0; i < b->nmessages; i++) {
            wrong += eu_number(kmq, &b->messages[i]) != k++;
        }
    }

    is_int(k, 100, "all of them come to the next consumer");
    is_int(wrong, 0, "in their order");
    is_int((long long) eu_count(kmq).totals.redelivered, 40, "40 redelivered");
    is_int((long long) eu_count(kmq).totals.delivered, 140, "140 delivered");

    eu_close(kmq, block, SIZE, "leave");
}


static void
test_registry(void)
{
    char                topic[16];
    void               *block;
    kmq_t              *kmq;
    unsigned            i, k, n, total, odd;
    uint64_t            cursor, last;
    kmq_ref_t           c[100], p[50];
    kmq_client_info_t   info[7];

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);

    for (i = 0; i < 100; i++) {
        sprintf(topic, "t%u", i % 10);
        c[i] = eu_join(kmq, KMQ_CONSUMER, topic, i + 1, NULL);

        if (i % 2) {
            p[i / 2] = eu_producer(kmq, topic);
        }
    }

    is_int((long long) eu_count(kmq).consumers, 100, "100 consumers");
    is_int((long long) eu_count(kmq).producers, 50, "50 producers");
    is_int((long long) eu_count(kmq).topics, 10, "10 topics");

    cursor = 0;
    total = odd = 0;
    last = 0;

    while ((n = kmq_clients(kmq, KMQ_CONSUMER, &cursor, info, 7)) != 0) {

        for (k = 0; k < n; k++) {
            odd += info[k].role != KMQ_CONSUMER || info[k].worker != 0
                   || info[k].prefetch < 1 || info[k].prefetch > 100
                   || info[k].join_time != 1640975470000
                   || info[k].id_len != 13 || info[k].topic_len != 2
                   || info[k].addr_len != 9
                   || memcmp(info[k].addr, "127.0.0.1", 9) != 0
                   || memcmp(info[k].id, "id of someone", 13) != 0
                   || info[k].number == last;
            last = info[k].number;
        }

        total += n;

        if (total > 1000) {
            break;
        }
    }

    is_int(total, 100, "the walk finds 100 consumers");
    is_int(odd, 0, "each as it joined");

    /* half of them leave in the middle of a walk: none is seen twice */

    cursor = 0;
    n = kmq_clients(kmq, KMQ_PRODUCER, &cursor, info, 5);
    is_int(n, 5, "five producers");

    for (i = 0; i < 50; i += 2) {
        kmq_leave(kmq, p[i], 0);
    }

    for (total = 0; n != 0 && total < 1000; total += n) {
        n = kmq_clients(kmq, KMQ_PRODUCER, &cursor, info, 5);
    }

    ok(total >= 20 && total <= 45, "%u more after 25 of 50 left", total);

    for (i = 0; i < 100; i++) {
        kmq_leave(kmq, c[i], 0);
    }

    is_int((long long) eu_count(kmq).consumers, 0, "no consumers");
    is_int((long long) eu_count(kmq).producers, 25, "25 producers");

    cursor = 0;
    is_int(kmq_clients(kmq, KMQ_CONSUMER, &cursor, info, 7), 0, "none found");

    eu_close(kmq, block, SIZE, "registry");
}


int
main(void)
{
    test_block_bounds();
    test_attach_bounds();
    test_smallest();
    test_one_message();
    test_bodies();
    test_reserve_to();
    test_discard();
    test_codes();
    test_wrong_codes();
    test_code_keys();
    test_prefetch();
    test_leave();
    test_registry();

    return done_testing();
}
