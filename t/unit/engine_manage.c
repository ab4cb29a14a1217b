/*
 * Messages by their codes: found, read and deleted in whatever state they
 * are.  See engine_cases.h for how these tests read.
 */

#include "engine_cases.h"


#define LARGE  100000


/* --------------------------------------------------------- find and copy */

/* Message 1 can be found as it is, and its body read. */
static void
is_found(kmq_t *kmq, int status, unsigned attempts, const char *body,
    size_t size)
{
    int                  n;
    char                *copy;
    size_t               len;
    uint32_t             left;
    kmq_ref_t            piece;
    kmq_message_info_t   info;

    if (!is_int(kmq_find(kmq, ec_code[1], &info), KMQ_OK, "found")) {
        return;
    }

    is_int(info.status, status, "its status");
    is_int(info.attempts, attempts, "how often it was pushed");
    is_bytes(info.topic, info.topic_len, "t", 1, "its topic");
    is_bytes(info.code, KMQ_CODE_LEN, ec_code[1], KMQ_CODE_LEN, "its code");

    copy = malloc(size + KMQ_COPY_MIN);
    piece = info.body;
    left = info.size;
    len = 0;

    while ((n = kmq_copy(kmq, &info, &piece, &left, copy + len,
                         KMQ_COPY_MIN)) > 0)
    {
        len += n;

        if (len > size) {
            break;
        }
    }

    is_int(n, 0, "read to its end");
    is_bytes(copy, len, body, size, "its body");
    free(copy);
}


/* A message's life, looked at all the time. */
static void
test_find(size_t size)
{
    char                 body[LARGE];
    kmq_ref_t            a;
    ec_queue_t           q;
    kmq_message_info_t   info;

    diag("%zu bytes", size);
    ec_open_retry(&q, KMQ_PUSH_ONE, 0, 1);
    eu_fill(body, size, size);

    ec_publish_body(q.kmq, q.p, 1, body, size, 1500);
    is_found(q.kmq, KMQ_STATUS_DELAYED, 0, body, size);
    (void) kmq_find(q.kmq, ec_code[1], &info);
    is_int(info.delay, 2, "delayed, in seconds, rounded up");
    is_int(info.create_time, (EC_WALL + 1000) / 1000, "when it was created");

    ec_clock(q.kmq, 2500);
    ec_takes(q.kmq, "", "due");
    is_found(q.kmq, KMQ_STATUS_WAITING, 0, body, size);

    a = eu_consumer(q.kmq, "t", 10, "a");
    ok(eu_take(q.kmq) != NULL, "in flight");
    is_found(q.kmq, KMQ_STATUS_WAITING, 1, body, size);
    is_int(ec_return(q.kmq, a, "1"), 1, "dead");
    is_found(q.kmq, KMQ_STATUS_DEAD, 1, body, size);
    is_int(kmq_requeue(q.kmq, ec_code[1]), KMQ_OK, "requeued");
    is_found(q.kmq, KMQ_STATUS_WAITING, 0, body, size);

    ok(eu_take(q.kmq) != NULL, "in flight");
    ec_clock(q.kmq, 7000);
    is_int(ec_confirm(q.kmq, a, "1"), 1, "consumed");
    is_found(q.kmq, KMQ_STATUS_CONSUMED, 1, body, size);
    (void) kmq_find(q.kmq, ec_code[1], &info);
    is_int(info.consumed_time, (EC_WALL + 7000) / 1000, "and when");

    is_int(kmq_delete(q.kmq, ec_code[1]), KMQ_OK, "deleted");
    is_int(kmq_find(q.kmq, ec_code[1], &info), KMQ_GONE, "gone");

    ec_close(&q, "find");
}


/* What is not published yet is not there. */
static void
test_find_reserved(void)
{
    char                 code[KMQ_CODE_LEN];
    ec_queue_t           q;
    kmq_message_t        m;
    kmq_message_info_t   info;

    ec_open(&q, KMQ_PUSH_ONE);
    memset(&m, 0, sizeof(m));
    is_int(kmq_reserve(q.kmq, q.p, &m, 1, NULL), 1, "reserved");
    kmq_code(q.kmq, &m, code);

    is_int(kmq_find(q.kmq, code, &info), KMQ_GONE, "is not found");
    is_int(kmq_delete(q.kmq, code), KMQ_GONE, "or deleted");
    is_int(kmq_requeue(q.kmq, code), KMQ_GONE, "or requeued");
    kmq_commit(q.kmq, &m, 1);
    is_int(kmq_find(q.kmq, code, &info), KMQ_OK, "committed: found");

    code[20] = code[20] == '0' ? '1' : '0';
    is_int(kmq_find(q.kmq, code, &info), KMQ_GONE, "not by another code");

    ec_close(&q, "find reserved");
}


/* The message goes while it is read; others are there all the time. */
static void
test_copy_gone(const char *state)
{
    int                  n;
    char                 body[LARGE], part[KMQ_COPY_MIN];
    uint32_t             left;
    kmq_ref_t            piece;
    ec_queue_t           q;
    kmq_message_info_t   info;

    diag("%s", state);
    ec_open(&q, KMQ_PUSH_ONE);
    eu_fill(body, LARGE, 1);
    ec_publish(q.kmq, q.p, 1, 1);
    ec_publish_body(q.kmq, q.p, 2, body, LARGE, 0);
    ec_publish(q.kmq, q.p, 3, 1);

    if (strcmp(state, "in flight") == 0) {
        (void) eu_consumer(q.kmq, "t", 10, "a");
        ok(eu_take(q.kmq) != NULL, "pushed");
    }

    is_int(kmq_find(q.kmq, ec_code[2], &info), KMQ_OK, "found");
    piece = info.body;
    left = info.size;
    n = kmq_copy(q.kmq, &info, &piece, &left, part, sizeof(part));
    ok(n > 0 && n < LARGE && memcmp(part, body, n) == 0, "a part is read");
    is_int(kmq_delete(q.kmq, ec_code[2]), KMQ_OK, "then it is deleted");
    is_int(kmq_copy(q.kmq, &info, &piece, &left, part, sizeof(part)),
           KMQ_GONE, "the rest cannot be read");

    ec_publish_body(q.kmq, q.p, 4, body, LARGE, 0);
    is_int(kmq_copy(q.kmq, &info, &piece, &left, part, sizeof(part)),
           KMQ_GONE, "nor when another message has its place");

    ec_close(&q, "copy gone");
}


/* ----------------------------------------------------------------- delete */

/* Makes message 1 of a topic with max_deliveries 1 and consumer a what state
 * says. */
static void
message_make(ec_queue_t *q, kmq_ref_t a, const char *state)
{
    char  body[LARGE];

    eu_fill(body, LARGE, 1);
    ec_publish_body(q->kmq, q->p, 1, body, LARGE,
                    strcmp(state, "1 delayed") == 0 ? 60000 : 0);

    if (strcmp(state, "1 delayed") == 0 || strcmp(state, "1 ready") == 0) {
        return;
    }

    kmq_set_ready(q->kmq, a, 1);
    (void) eu_take(q->kmq);
    kmq_set_ready(q->kmq, a, 0);

    if (strcmp(state, "1 consumed") == 0) {
        (void) ec_confirm(q->kmq, a, "1");

    } else if (strcmp(state, "1 dead") == 0) {
        (void) ec_return(q->kmq, a, "1");
    }
}


/* In any state it is gone at once, for whoever looks. */
static void
test_delete(const char *state)
{
    uint64_t      before;
    kmq_ref_t     a;
    ec_queue_t    q;
    kmq_counts_t  n;

    diag("%s", state);
    ec_open_retry(&q, KMQ_PUSH_ONE, 0, 1);
    a = eu_join(q.kmq, KMQ_CONSUMER, "t", 10, "a");
    before = eu_count(q.kmq).bytes_free;

    message_make(&q, a, state);
    ec_counts(q.kmq, state, "there");
    is_int(kmq_delete(q.kmq, ec_code[1]), KMQ_OK, "deleted");
    ec_counts(q.kmq, "", "gone");
    is_int(ec_status(q.kmq, 1), KMQ_GONE, "and cannot be found");
    is_int(kmq_delete(q.kmq, ec_code[1]), KMQ_GONE, "nor deleted twice");
    is_int(kmq_requeue(q.kmq, ec_code[1]), KMQ_GONE, "nor requeued");
    ok(eu_verify(q.kmq, state), "the block is sound");

    n = eu_count(q.kmq);
    is_int((long long) n.totals.deleted, 1, "counted once");

    if (strcmp(state, "1 in flight") == 0) {
        ok(before - n.bytes_free > LARGE, "a connection may send its bytes");
        is_int(ec_confirm(q.kmq, a, "1"), 1, "until it is confirmed");
    }

    kmq_set_ready(q.kmq, a, 1);
    ec_clock(q.kmq, 100000);
    ec_takes(q.kmq, "", "it is not pushed");
    ec_counts(q.kmq, "", "and no history");
    is_int((long long) eu_count(q.kmq).bytes_free, (long long) before,
           "its memory is free");

    ec_close(&q, state);
}


/* Granted to a worker that has not taken it yet. */
static void
test_delete_granted(uint32_t push_type)
{
    kmq_t       *other;
    kmq_ref_t    a;
    ec_queue_t   q;

    ec_open(&q, push_type);
    other = eu_attach(q.block, EC_SIZE, 1);
    a = eu_consumer(other, "t", 10, "a");

    ec_publish(q.kmq, q.p, 1, 3);
    is_int(kmq_delete(q.kmq, ec_code[1]), KMQ_OK, "the first of three");
    is_int(kmq_delete(q.kmq, ec_code[3]), KMQ_OK, "and the last");
    ok(eu_verify(q.kmq, "granted"), "the block is sound");
    ec_takes(other, "a2", "the other one is pushed");

    ec_publish(q.kmq, q.p, 4, 2);
    is_int(kmq_delete(q.kmq, ec_code[4]), KMQ_OK, "both");
    is_int(kmq_delete(q.kmq, ec_code[5]), KMQ_OK, "of two");
    ec_takes(other, "", "nothing is left");
    ec_publish(q.kmq, q.p, 6, 1);
    ec_takes(other, "a6", "and the next one is pushed");
    is_int(kmq_confirm_upto(other, a, EC_ALL), 2, "confirmed");
    kmq_detach(other);

    ec_close(&q, "delete granted");
}


/* One message a second: what a deleted one did not use is another's. */
static void
test_delete_paced(uint32_t push_type)
{
    kmq_ref_t    p;
    ec_queue_t   q;

    ec_open(&q, push_type);
    q.s.batch_interval = 1000;
    q.s.batch_count = 1;
    kmq_configure(q.kmq, &q.s);
    ec_clock(q.kmq, 5000);
    p = eu_producer(q.kmq, "u");
    (void) eu_consumer(q.kmq, "t", 10, "a");
    (void) eu_consumer(q.kmq, "u", 10, "b");

    ec_publish(q.kmq, q.p, 1, 2);
    is_int(kmq_delete(q.kmq, ec_code[1]), KMQ_OK, "the one that may go now");
    ec_takes(q.kmq, "a2", "the next one goes for it");

    ec_clock(q.kmq, 6000);
    ec_publish(q.kmq, q.p, 3, 1);
    is_int(kmq_delete(q.kmq, ec_code[3]), KMQ_OK, "the only one");
    ec_publish(q.kmq, p, 4, 2);
    ec_takes(q.kmq, "b4", "one of another topic goes for it");
    ec_clock(q.kmq, 7000);
    ec_takes(q.kmq, "b5", "and a second later the next");

    ec_close(&q, "delete paced");
}


/* In each level of the wheel, and on the way down. */
static void
test_delete_delayed(void)
{
    char         text[16];
    unsigned     i;
    uint64_t     due;
    kmq_ref_t    a;
    ec_queue_t   q;

    static const uint64_t  delays[] = {
        5, 300, 70000, 20000000, UINT64_C(5000000000)
    };

    ec_open(&q, KMQ_PUSH_ONE);
    a = eu_consumer(q.kmq, "t", 10, "a");
    ec_takes(q.kmq, "", "the clock is known");

    for (i = 0; i < 5; i++) {
        ec_delayed(q.kmq, q.p, 10 * i, delays[i]);
        ec_delayed(q.kmq, q.p, 10 * i + 1, delays[i]);
        ec_delayed(q.kmq, q.p, 10 * i + 2, delays[i]);
        is_int(kmq_delete(q.kmq, ec_code[10 * i + 1]), KMQ_OK, "one of three "
               "in %llu ms", (unsigned long long) delays[i]);
        ok(eu_verify(q.kmq, "delayed"), "the block is sound");
    }

    ec_counts(q.kmq, "10 delayed", "two of three are left");

    for (i = 0; i < 5; i++) {
        due = 1000 + delays[i];
        ec_clock(q.kmq, due - 2);
        ec_takes(q.kmq, "", "nearly due");
        is_int(kmq_delete(q.kmq, ec_code[10 * i]), KMQ_OK, "another one");
        ec_clock(q.kmq, due);
        sprintf(text, "a%u", 10 * i + 2);
        ec_takes(q.kmq, text, "the third comes at its time");
    }

    is_int(kmq_confirm_upto(q.kmq, a, EC_ALL), 5, "confirmed");
    ec_counts(q.kmq, "5 consumed", "nothing is left");

    ec_close(&q, "delete delayed");
}


/* Point to point, in flight: it goes however its delivery ends, and is not
 * pushed again. */
static void
test_delete_in_flight(const char *how)
{
    kmq_ref_t   a;
    ec_queue_t  q;

    diag("%s", how);
    ec_open_retry(&q, KMQ_PUSH_ONE, 1000, 0);
    a = eu_consumer(q.kmq, "t", 10, "a");

    ec_publish(q.kmq, q.p, 1, 2);
    ec_takes(q.kmq, "a1 a2", "pushed");
    kmq_set_ready(q.kmq, a, 0);
    (void) eu_consumer(q.kmq, "t", 10, "b");
    is_int(kmq_delete(q.kmq, ec_code[1]), KMQ_OK, "one is deleted");
    ec_counts(q.kmq, "1 in flight", "the other one is there");

    if (strcmp(how, "confirm") == 0) {
        is_int(kmq_confirm_upto(q.kmq, a, EC_ALL), 2, "both are confirmed");
        ec_takes(q.kmq, "", "nothing is left to push");
        ec_counts(q.kmq, "1 consumed", "one is history");

    } else {

        if (strcmp(how, "return") == 0) {
            is_int(ec_return(q.kmq, a, "1 2"), 2, "both are given back");

        } else if (strcmp(how, "leave") == 0) {
            kmq_leave(q.kmq, a, 0);

        } else {
            ec_clock(q.kmq, 2000);
            ec_takes(q.kmq, "", "the oldest one is overdue");
            is_int(kmq_in_flight(q.kmq, a), 1, "and taken away");
            ec_clock(q.kmq, 3000);
        }

        ec_takes(q.kmq, "b2", "one is pushed to the other consumer");
        ec_counts(q.kmq, "1 in flight", "it is all there is");
    }

    ec_close(&q, "delete in flight");
}


/* In publish/subscribe those who have it keep it until they have done with it,
 * and those who have not do not get it. */
static void
test_delete_shared(void)
{
    uint64_t      before;
    kmq_ref_t     a, b, c, d;
    ec_queue_t    q;

    ec_open_retry(&q, KMQ_PUSH_ALL, 1000, 0);
    q.s.keep_consumed = 0;
    kmq_configure(q.kmq, &q.s);
    a = eu_consumer(q.kmq, "t", 10, "a");
    b = eu_consumer(q.kmq, "t", 10, "b");
    c = eu_join(q.kmq, KMQ_CONSUMER, "t", 10, "c");
    d = eu_join(q.kmq, KMQ_CONSUMER, "t", 10, "d");
    before = eu_count(q.kmq).bytes_free;

    ec_publish(q.kmq, q.p, 1, 4);
    ec_takes(q.kmq, "a1 a2 a3 a4 b1 b2 b3 b4", "pushed to two of four");
    is_int(kmq_delete(q.kmq, ec_code[2]), KMQ_OK, "one of the middle");
    is_int(kmq_delete(q.kmq, ec_code[4]), KMQ_OK, "and the last one");
    ec_counts(q.kmq, "2 in flight", "two are left");

    kmq_set_ready(q.kmq, c, 1);
    ec_takes(q.kmq, "c1 c3", "the third consumer gets them alone");
    ec_publish(q.kmq, q.p, 5, 1);
    ec_takes(q.kmq, "a5 b5 c5", "all of them get the next one");
    kmq_leave(q.kmq, d, 0);
    ec_counts(q.kmq, "3 in flight", "the fourth one leaves");

    ec_clock(q.kmq, 1500);
    is_int(ec_confirm(q.kmq, a, "1 2 3 4"), 4, "those who have it confirm");
    is_int(ec_return(q.kmq, b, "4"), 1, "or give it back");
    ec_takes(q.kmq, "", "which does not push it again");
    is_int(kmq_in_flight(q.kmq, b), 4, "but ends the delivery");
    is_int(ec_confirm(q.kmq, c, "1 2 3"), 2, "only what was pushed counts");

    kmq_leave(q.kmq, a, 0);
    ec_clock(q.kmq, 2000);
    is_int(kmq_confirm_upto(q.kmq, c, EC_ALL), 1, "one has all");
    ec_takes(q.kmq, "b!1", "what is overdue is pushed");
    is_int(ec_confirm(q.kmq, b, "1"), 1, "and confirmed");
    ec_clock(q.kmq, 3000);
    ec_takes(q.kmq, "", "but not what was deleted");
    is_int(kmq_in_flight(q.kmq, b), 2, "nor is it waited for");
    ec_clock(q.kmq, 4000);
    ec_takes(q.kmq, "b!3", "the next one is");
    is_int(kmq_confirm_upto(q.kmq, b, EC_ALL), 2, "the last one confirms");
    ec_counts(q.kmq, "", "nothing is left");
    is_int((long long) eu_count(q.kmq).bytes_free, (long long) before,
           "all memory is free");

    ec_close(&q, "delete shared");
}


/* -------------------------------------------------------------------- due */

static void
test_make_due(void)
{
    kmq_ref_t            a;
    ec_queue_t           q;
    kmq_message_info_t   info;

    ec_open_delay(&q, KMQ_PUSH_ONE, 3, 60000, 60000);
    ec_delayed(q.kmq, q.p, 1, 60000);
    ec_publish(q.kmq, q.p, 2, 1);
    is_int(kmq_make_due(q.kmq, ec_code[2]), KMQ_ERROR, "it is ready");

    ec_clock(q.kmq, 3000);
    is_int(kmq_make_due(q.kmq, ec_code[1]), KMQ_OK, "it was delayed");
    is_int(kmq_make_due(q.kmq, ec_code[1]), KMQ_ERROR, "not any more");
    ec_counts(q.kmq, "2 ready", "both are ready");

    a = eu_consumer(q.kmq, "t", 10, "a");
    ec_takes(q.kmq, "a2 a1", "and pushed");
    is_int(kmq_make_due(q.kmq, ec_code[1]), KMQ_ERROR, "it is in flight");
    is_int(ec_return(q.kmq, a, "1 2"), 2, "they are given back");
    is_int(ec_return(q.kmq, a, "1 2"), 0, "once");
    ec_takes(q.kmq, "a1 a2", "at once, the first time");
    is_int(ec_return(q.kmq, a, "1 2"), 2, "and once more");
    ec_takes(q.kmq, "", "they wait now");
    ec_counts(q.kmq, "2 retrying", "for a minute");

    is_int(kmq_make_due(q.kmq, ec_code[1]), KMQ_OK, "one is tried again now");
    ec_takes(q.kmq, "a1", "before its time");
    is_int(kmq_find(q.kmq, ec_code[1], &info), KMQ_OK, "it is there");
    is_int(info.attempts, 3, "with its failures");
    ec_clock(q.kmq, 63000);
    ec_takes(q.kmq, "a2", "the other one at its time");

    is_int(kmq_delete(q.kmq, ec_code[1]), KMQ_OK, "deleted");
    is_int(kmq_make_due(q.kmq, ec_code[1]), KMQ_GONE, "it is gone");

    ec_close(&q, "made due");
}


/* ----------------------------------------------------------------- memory */

/* 20,000 messages of 0 to 2,000 bytes come and go in one way or another; what
 * there was before is free again, the index included. */
static void
test_memory(void)
{
    char                 body[2000];
    unsigned             i, n;
    uint64_t             before, cursor;
    kmq_ref_t            a;
    ec_queue_t           q;
    kmq_query_t          any;
    kmq_message_info_t   info;

    ec_open(&q, KMQ_PUSH_ONE);
    a = eu_consumer(q.kmq, "t", KMQ_PREFETCH_MAX, "a");
    before = eu_count(q.kmq).bytes_free;
    eu_fill(body, sizeof(body), 1);
    memset(&any, 0, sizeof(any));
    any.status = KMQ_STATUS_ANY;
    any.to = UINT32_MAX;

    for (i = 0; i < 20000; i++) {
        ec_publish_body(q.kmq, q.p, EC_NUMBERS, body, i % sizeof(body),
                        i % 5 == 0 ? 1 + i * 37 : 0);

        if (i == 10000) {
            while (eu_take(q.kmq)) { /* void */ }
            kmq_set_ready(q.kmq, a, 0);
            (void) kmq_confirm_upto(q.kmq, a, 4000);
        }
    }

    ec_counts(q.kmq, "8000 ready, 4000 in flight, 4000 delayed, 4000 consumed",
              "in all states");

    for (i = 0; i < 20000; i++) {
        cursor = 0;

        do {
            n = kmq_search(q.kmq, &any, &cursor, &info, 1);
        } while (n == 0 && cursor);

        if (n == 0 || kmq_delete(q.kmq, info.code) != KMQ_OK) {
            break;
        }
    }

    is_int(i, 20000, "the newest first, all are deleted");
    ec_counts(q.kmq, "", "nothing is left");
    kmq_leave(q.kmq, a, 0);

    while (kmq_has_work(q.kmq)) {
        (void) eu_take(q.kmq);
    }

    (void) eu_consumer(q.kmq, "t", KMQ_PREFETCH_MAX, "a");
    is_int((long long) eu_count(q.kmq).bytes_free, (long long) before,
           "all memory is free");

    ec_close(&q, "memory");
}


int
main(void)
{
    test_find(0);
    test_find(1);
    test_find(KMQ_COPY_MIN);
    test_find(LARGE);
    test_find_reserved();
    test_copy_gone("ready");
    test_copy_gone("in flight");
    test_delete("1 ready");
    test_delete("1 in flight");
    test_delete("1 delayed");
    test_delete("1 consumed");
    test_delete("1 dead");
    test_delete_granted(KMQ_PUSH_ONE);
    test_delete_granted(KMQ_PUSH_ALL);
    test_delete_paced(KMQ_PUSH_ONE);
    test_delete_paced(KMQ_PUSH_ALL);
    test_delete_delayed();
    test_delete_in_flight("confirm");
    test_delete_in_flight("return");
    test_delete_in_flight("leave");
    test_delete_in_flight("overdue");
    test_delete_shared();
    test_make_due();
    test_memory();

    return done_testing();
}
