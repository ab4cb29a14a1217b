/*
 * What the tests by example share: messages go by numbers, consumers by
 * letters, and what happens is compared as text.
 *
 *     a = eu_consumer(kmq, "t", 10, "a");
 *     ec_publish(kmq, p, 1, 3);                messages 1, 2 and 3
 *     ec_takes(kmq, "a1 a2 a3", "...");        are pushed to a
 *     ec_confirm(kmq, a, "3 1");               which names two of them
 *     ec_counts(kmq, "1 in flight", "...");
 *     ec_attempt(kmq, "a2.3", "...");          pushed after two failures
 */

#ifndef KMQ_ENGINE_CASES_H
#define KMQ_ENGINE_CASES_H

#include "engine_util.h"


#define EC_SIZE     (32 * EU_MB)
#define EC_NUMBERS  100
#define EC_TEXT     4096
#define EC_WALL     UINT64_C(1640975469000)      /* ms, when mono is 0 */
#define EC_ALL      0x7fffffff                   /* for kmq_confirm_upto() */


/* A block with a handle, worker 0, a producer of topic "t", and a history. */
typedef struct {
    void            *block;
    kmq_t           *kmq;
    kmq_ref_t        p;
    kmq_settings_t   s;
} ec_queue_t;


/* the MessageCodes of messages 0 to EC_NUMBERS - 1 */
static char  ec_code[EC_NUMBERS][KMQ_CODE_LEN];


/* Both clocks go on together. */
EU_UNUSED static void
ec_clock(kmq_t *kmq, uint64_t mono)
{
    kmq_clock(kmq, mono, EC_WALL + mono);
}


EU_UNUSED static void
ec_open(ec_queue_t *q, uint32_t push_type)
{
    q->kmq = eu_open(&q->block, EC_SIZE, push_type);
    q->p = eu_producer(q->kmq, "t");
    q->s = eu_settings(push_type);
    q->s.keep_consumed = 1;
    kmq_configure(q->kmq, &q->s);
}


/* The same, with retry_time and max_deliveries for all topics. */
EU_UNUSED static void
ec_open_retry(ec_queue_t *q, uint32_t push_type, uint32_t retry_time,
    uint32_t max_deliveries)
{
    ec_open(q, push_type);
    q->s.topic.retry_time = retry_time;
    q->s.topic.max_deliveries = max_deliveries;
    kmq_configure(q->kmq, &q->s);
}


/* The same, and a message waits for delay ms after a failure, twice as long
 * with each, at most for delay_max. */
EU_UNUSED static void
ec_open_delay(ec_queue_t *q, uint32_t push_type, uint32_t max_deliveries,
    uint32_t delay, uint32_t delay_max)
{
    ec_open(q, push_type);
    q->s.topic.retry_time = 1000;
    q->s.topic.max_deliveries = max_deliveries;
    q->s.topic.retry_delay = delay;
    q->s.topic.retry_delay_max = delay_max;
    kmq_configure(q->kmq, &q->s);
}


EU_UNUSED static void
ec_close(ec_queue_t *q, const char *what)
{
    eu_close(q->kmq, q->block, EC_SIZE, what);
}


EU_UNUSED static int
ec_text(const char *got, const char *want, const char *what)
{
    return is_bytes(got, strlen(got), want, strlen(want), "%s", what);
}


/* Publishes message number, which becomes ready in delay ms. */
EU_UNUSED static void
ec_publish_body(kmq_t *kmq, kmq_ref_t p, unsigned number, const char *body,
    size_t size, uint64_t delay)
{
    kmq_message_t  m;

    memset(&m, 0, sizeof(m));
    m.size = (uint32_t) size;
    m.delay_time = delay;

    if (kmq_reserve(kmq, p, &m, 1, NULL) != 1) {
        printf("Bail out! no room for message %u\n", number);
        exit(2);
    }

    kmq_write(kmq, &m, body, size);
    kmq_commit(kmq, &m, 1);

    if (number < EC_NUMBERS) {
        kmq_code(kmq, &m, ec_code[number]);
    }
}


/* The same, the number itself as its body. */
EU_UNUSED static void
ec_delayed(kmq_t *kmq, kmq_ref_t p, unsigned number, uint64_t delay)
{
    int   len;
    char  text[16];

    len = sprintf(text, "%u", number);
    ec_publish_body(kmq, p, number, text, (size_t) len, delay);
}


/* Messages first to first + n - 1, ready at once. */
EU_UNUSED static void
ec_publish(kmq_t *kmq, kmq_ref_t p, unsigned first, unsigned n)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        ec_delayed(kmq, p, first + i, 0);
    }
}


/* One push. */
typedef struct {
    const char  *name;
    unsigned     number;
    unsigned     again;
    unsigned     attempts;
} ec_push_t;


/* Behind what the same consumer, or one of a smaller name, was pushed. */
EU_UNUSED static void
ec_push_insert(ec_push_t *pushes, unsigned n, const ec_push_t *push)
{
    for ( /* void */ ; n && strcmp(pushes[n - 1].name, push->name) > 0; n--) {
        pushes[n] = pushes[n - 1];
    }

    pushes[n] = *push;
}


/* Takes until nothing comes; at most max pushes, one consumer's after the
 * other's, each in its order. */
EU_UNUSED static unsigned
ec_pushes(kmq_t *kmq, ec_push_t *pushes, unsigned max)
{
    unsigned      i, k, n, calls;
    ec_push_t     push;
    kmq_run_t    *run;
    kmq_batch_t  *b;

    n = calls = 0;

    do {
        b = eu_take(kmq);

        for (i = 0; b && i < b->nruns; i++) {
            run = &b->runs[i];
            push.name = run->user;
            push.again = b->again;

            for (k = run->first; k < run->first + run->count && n < max; k++) {
                push.number = eu_number(kmq, &b->messages[k]);
                push.attempts = b->messages[k].attempts;
                ec_push_insert(pushes, n++, &push);
            }
        }
    } while ((b || kmq_has_work(kmq)) && ++calls < 1000);

    return n;
}


/* The same as text: "a1 a!2" when a is pushed 1, and 2, which it has; with
 * attempts "a1.3" when it is told that this is the third. */
EU_UNUSED static const char *
ec_take_text(kmq_t *kmq, int attempts)
{
    size_t      len;
    unsigned    i, n;
    ec_push_t   pushes[EC_NUMBERS];

    static char  text[EC_TEXT];

    n = ec_pushes(kmq, pushes, EC_NUMBERS);
    len = 0;
    text[0] = '\0';

    for (i = 0; i < n && len < EC_TEXT - 50; i++) {
        len += sprintf(text + len, "%s%.20s%s%u", len ? " " : "",
                       pushes[i].name, pushes[i].again ? "!" : "",
                       pushes[i].number);

        if (attempts && pushes[i].attempts) {
            len += sprintf(text + len, ".%u", pushes[i].attempts);
        }
    }

    return text;
}


EU_UNUSED static const char *
ec_take(kmq_t *kmq)
{
    return ec_take_text(kmq, 0);
}


EU_UNUSED static void
ec_takes(kmq_t *kmq, const char *want, const char *what)
{
    ec_text(ec_take(kmq), want, what);
}


EU_UNUSED static void
ec_attempt(kmq_t *kmq, const char *want, const char *what)
{
    ec_text(ec_take_text(kmq, 1), want, what);
}


/* How many messages there are, by their states; "" when there are none. */
EU_UNUSED static void
ec_counts(kmq_t *kmq, const char *want, const char *what)
{
    char          text[256];
    size_t        len;
    unsigned      i;
    uint64_t      counts[6];
    kmq_counts_t  n;

    static const char  *names[] = {
        "ready", "in flight", "retrying", "delayed", "consumed", "dead"
    };

    n = eu_count(kmq);

    counts[0] = n.ready;
    counts[1] = n.in_flight;
    counts[2] = n.retrying;
    counts[3] = n.delayed;
    counts[4] = n.consumed;
    counts[5] = n.dead;

    len = 0;
    text[0] = '\0';

    for (i = 0; i < 6; i++) {
        if (counts[i]) {
            len += sprintf(text + len, "%s%llu %s", len ? ", " : "",
                           (unsigned long long) counts[i], names[i]);
        }
    }

    ec_text(text, want, what);
}


/* The codes of the messages in a list like "3 1"; returns how many. */
EU_UNUSED static unsigned
ec_codes(const char *numbers, char *codes)
{
    char      *end;
    unsigned   n, number;

    for (n = 0; *numbers; n++, numbers = end) {
        number = (unsigned) strtoul(numbers, &end, 10);
        memcpy(codes + n * KMQ_CODE_LEN, ec_code[number], KMQ_CODE_LEN);
    }

    return n;
}


EU_UNUSED static unsigned
ec_confirm(kmq_t *kmq, kmq_ref_t client, const char *numbers)
{
    char      codes[sizeof(ec_code)];
    unsigned  n;

    n = ec_codes(numbers, codes);

    return kmq_confirm_codes(kmq, client, codes, n);
}


EU_UNUSED static unsigned
ec_extend(kmq_t *kmq, kmq_ref_t client, const char *numbers)
{
    char      codes[sizeof(ec_code)];
    unsigned  n;

    n = ec_codes(numbers, codes);

    return kmq_extend_codes(kmq, client, codes, n);
}


EU_UNUSED static unsigned
ec_return_in(kmq_t *kmq, kmq_ref_t client, const char *numbers, int64_t delay)
{
    char      codes[sizeof(ec_code)];
    unsigned  n;

    n = ec_codes(numbers, codes);

    return kmq_return_codes(kmq, client, codes, n, delay);
}


EU_UNUSED static unsigned
ec_return(kmq_t *kmq, kmq_ref_t client, const char *numbers)
{
    return ec_return_in(kmq, client, numbers, KMQ_BACK_OFF);
}


/* A message's status, or KMQ_GONE. */
EU_UNUSED static int
ec_status(kmq_t *kmq, unsigned number)
{
    kmq_message_info_t  info;

    if (kmq_find(kmq, ec_code[number], &info) != KMQ_OK) {
        return KMQ_GONE;
    }

    return info.status;
}


/* How often it failed, and the delivery that goes on; EC_NUMBERS: it is
 * gone. */
EU_UNUSED static unsigned
ec_attempts(kmq_t *kmq, unsigned number)
{
    kmq_message_info_t  info;

    if (kmq_find(kmq, ec_code[number], &info) != KMQ_OK) {
        return EC_NUMBERS;
    }

    return info.attempts;
}


/* What is known of a message's failures, as text: "2 overdue", "1 end
 * suspect", "" when there are none. */
EU_UNUSED static void
ec_failure(kmq_t *kmq, unsigned number, const char *want, const char *what)
{
    char                text[64];
    kmq_message_info_t  info;

    static const char  *names[] = { "none", "end", "return", "overdue" };

    text[0] = '\0';

    if (kmq_find(kmq, ec_code[number], &info) != KMQ_OK) {
        strcpy(text, "gone");

    } else if (info.failure || info.suspect || info.attempts > info.in_flight)
    {
        sprintf(text, "%u %s%s", info.attempts - info.in_flight,
                names[info.failure], info.suspect ? " suspect" : "");
    }

    ec_text(text, want, what);
}


/* 1: the consumer rests; -1: it is not there. */
EU_UNUSED static int
ec_rests(kmq_t *kmq, kmq_ref_t client)
{
    uint64_t            cursor;
    kmq_client_info_t   info;

    cursor = 0;

    while (kmq_clients(kmq, KMQ_CONSUMER, &cursor, &info, 1)) {
        if (info.ref == client) {
            return (int) info.resting;
        }
    }

    return -1;
}


/* A consumer that confirms by codes alone. */
EU_UNUSED static kmq_ref_t
ec_by_code(kmq_t *kmq, const char *topic, uint32_t prefetch, void *user)
{
    kmq_ref_t           client;
    kmq_client_info_t   info;

    memset(&info, 0, sizeof(info));
    info.role = KMQ_CONSUMER;
    info.prefetch = prefetch;
    info.by_code = 1;
    info.topic_len = (uint16_t) strlen(topic);
    memcpy(info.topic, topic, info.topic_len);
    info.id_len = (uint16_t) sprintf(info.id, "by code");

    client = kmq_join(kmq, &info, user);

    if (client) {
        kmq_set_ready(kmq, client, 1);
    }

    return client;
}

#endif /* KMQ_ENGINE_CASES_H */
