/*
 * Many threads on one block, each with a handle of its own, woken by eventfd
 * as nginx workers are; all of them in one shard, or in several.  Point to
 * point each message comes once, in publish/subscribe once to each consumer;
 * nobody waits for ever.  All keep a journal, which has each message once as
 * published and once as consumed, while checkpoints are begun.  Some
 * confirmations are left to whichever worker comes first.
 */

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine_inside.h"


#define SIZE       (24 * EU_MB)
#define PRODUCERS  3
#define WORKERS    4               /* with consumers; worker 0 to 3 */
#define EACH       3               /* consumers of one worker */
#define PATIENCE   30000           /* ms without a wake-up: it is lost */
#define MAIL       4096            /* codes that others may settle */

typedef struct {
    unsigned     worker;
    pthread_t    thread;
    kmq_t       *kmq;
    uint64_t     random;
    uint64_t     lsn;              /* of the last record */
    kmq_buffer_t buffer;
} thread_t;

typedef struct {
    kmq_ref_t    client;
    unsigned     number;
    unsigned     last[PRODUCERS];  /* order: what came from each producer */
} consumer_t;

static struct {
    void           *block;
    uint32_t        push_type;
    unsigned        messages;      /* of each producer */
    unsigned        topics;        /* in turns, each in another shard */
    char            topic[EACH][EI_NAME_LEN];
    int             fd[WORKERS + PRODUCERS];
    atomic_uint     pushes, expected, duplicates, disorder, lost, ready;
    atomic_uint     confirmed, settled;
    pthread_mutex_t mutex;         /* guards these */
    unsigned        nmail;
    char            mail[MAIL][KMQ_CODE_LEN];
    atomic_uint     published, consumed, unordered;     /* in journals */
    atomic_uint     checkpoints;
    atomic_uchar   *seen;          /* by consumer and message */
} T;


/* Wakes those whom the engine names. */
static void
signal_wakes(kmq_t *kmq)
{
    unsigned  i;
    uint64_t  one, mask[KMQ_WORKERS / 64];

    one = 1;

    if (!kmq_wakes(kmq, mask)) {
        return;
    }

    for (i = 0; i < WORKERS + PRODUCERS; i++) {
        if (mask[0] >> i & 1
            && write(T.fd[i], &one, sizeof(one)) != sizeof(one))
        {
            atomic_fetch_add(&T.lost, 1);
        }
    }
}


static void
wake_all(void)
{
    unsigned  i;
    uint64_t  one;

    one = 1;

    for (i = 0; i < WORKERS; i++) {
        if (write(T.fd[i], &one, sizeof(one)) != sizeof(one)) {
            atomic_fetch_add(&T.lost, 1);
        }
    }
}


/* What a handle has recorded: its numbers grow, also over buffers. */
static void
journal_read(thread_t *t)
{
    long           n;
    size_t         at;
    uint32_t       messages;
    kmq_buffer_t  *buffer = &t->buffer;
    kmq_record_t   r;

    for (at = 0; at < buffer->len; at += (size_t) n) {
        n = kmq_record_read(buffer->data + at, buffer->len - at, &r, NULL);

        if (n <= 0 || r.lsn <= t->lsn) {
            atomic_fetch_add(&T.unordered, 1);
            return;
        }

        messages = r.type == KMQ_RECORD_MESSAGE ? 1
                   : r.type == KMQ_RECORD_MESSAGES ? r.count : 0;

        t->lsn = r.lsn + (messages ? messages - 1 : 0);
        atomic_fetch_add(&T.published, messages);
        atomic_fetch_add(&T.consumed, r.type == KMQ_RECORD_CONSUMED ? r.count
                                                                    : 0);
    }
}


static void
journal_take(thread_t *t)
{
    size_t               len;
    kmq_journal_info_t   info;

    len = kmq_journal_take(t->kmq, &t->buffer, &info);

    if (len) {
        kmq_records_seal(t->buffer.data, len);
        journal_read(t);
        kmq_journal_written(t->kmq, len);
    }
}


/* Now and then a whole one, while the others go on. */
static void
checkpoint(thread_t *t)
{
    int                more;
    kmq_buffer_t       out;
    kmq_checkpoint_t   cp;

    memset(&out, 0, sizeof(out));
    more = kmq_checkpoint_begin(t->kmq, &cp, &out) == KMQ_OK;

    while (more == 1) {
        out.len = 0;
        more = kmq_checkpoint_next(t->kmq, &cp, &out);
        sched_yield();
    }

    if (more == 0) {
        kmq_checkpoint_end(t->kmq, &cp, 1);
        atomic_fetch_add(&T.checkpoints, 1);
    }

    kmq_buffer_free(&out);
}


/* Half of the messages are recorded before they are there. */
static void
commit(thread_t *t, kmq_message_t *m, unsigned n)
{
    if (n && eu_below(&t->random, 2)) {
        if (kmq_accept(t->kmq, m, n) != KMQ_OK) {
            atomic_fetch_add(&T.lost, 1);
        }

        journal_take(t);
    }

    kmq_commit(t->kmq, m, n);
}


/* Looks at what the others change at this moment. */
static void
watch(thread_t *t)
{
    uint64_t            cursor;
    kmq_counts_t        counts;
    kmq_period_t        period[60];
    kmq_latency_t       latency;
    kmq_query_t         query;
    kmq_topic_info_t    topic;
    kmq_client_info_t   client[4];
    kmq_message_info_t  message[4];

    kmq_count(t->kmq, &counts);
    kmq_growth(t->kmq, KMQ_UNIT_MINUTE, period, 60);
    kmq_latency(t->kmq, &latency);

    cursor = 0;

    while (kmq_topics(t->kmq, &cursor, &topic, 1)) {
        if (topic.name_len >= EI_NAME_LEN || topic.name[0] != 't'
            || topic.consumers > WORKERS * EACH)
        {
            atomic_fetch_add(&T.lost, 1);
        }
    }

    cursor = 0;

    while (kmq_clients(t->kmq, KMQ_PRODUCER, &cursor, client, 4)) {
        /* void */
    }

    memset(&query, 0, sizeof(query));
    query.status = KMQ_STATUS_ANY;
    query.to = UINT32_MAX;
    cursor = 0;
    (void) kmq_search(t->kmq, &query, &cursor, message, 4);

    if (kmq_tick(t->kmq)) {
        atomic_fetch_add(&T.lost, 1);     /* nobody has died */
    }
}


/* Of message number i of each producer. */
static unsigned
topic_of(unsigned i)
{
    return i % T.topics;
}


/* Reserves messages until one has no room; returns how many. */
static unsigned
reserve(thread_t *t, kmq_ref_t p, kmq_message_t *m, unsigned n, unsigned first)
{
    unsigned     i;
    const char  *topic;

    if (T.topics == 1) {
        return kmq_reserve(t->kmq, p, m, n, NULL);
    }

    for (i = 0; i < n; i++) {
        topic = T.topic[topic_of(first + i)];

        if (kmq_reserve_to(t->kmq, topic, strlen(topic), &m[i]) != KMQ_OK) {
            break;
        }
    }

    return i;
}


static void *
producer_main(void *data)
{
    int             len;
    char            text[32];
    thread_t       *t = data;
    unsigned        i, k, n, got;
    kmq_ref_t       p;
    kmq_message_t   m[16];

    p = eu_producer(t->kmq, T.topic[t->worker % T.topics]);

    while (atomic_load(&T.ready) < WORKERS) {
        sched_yield();
    }

    for (i = 0; i < T.messages; i += got) {
        n = 1 + eu_below(&t->random, 16);
        n = n < T.messages - i ? n : T.messages - i;
        memset(m, 0, sizeof(m));

        for (k = 0; k < n; k++) {
            m[k].size = (uint32_t) sprintf(text, "%u",
                                 (i + k) * PRODUCERS + t->worker - WORKERS);
        }

        got = reserve(t, p, m, n, i);

        for (k = 0; k < got; k++) {
            len = sprintf(text, "%u",
                          (i + k) * PRODUCERS + t->worker - WORKERS);
            kmq_write(t->kmq, &m[k], text, (size_t) len);
        }

        commit(t, m, got);
        signal_wakes(t->kmq);
        kmq_seen(t->kmq, p, got);

        if (eu_below(&t->random, 50) == 0) {
            watch(t);
        }

        if (got == 0) {
            if (atomic_load(&T.lost)) {
                break;
            }

            sched_yield();
        }
    }

    kmq_leave(t->kmq, p, 0);
    signal_wakes(t->kmq);
    journal_take(t);

    return NULL;
}


static void
consumer_got(thread_t *t, consumer_t *c, const kmq_message_t *m)
{
    unsigned  value, producer;
    size_t    at;

    value = eu_number(t->kmq, m);
    producer = value % PRODUCERS;
    at = value;

    if (T.push_type == KMQ_PUSH_ALL) {
        at += (size_t) c->number * T.messages * PRODUCERS;
    }

    if (value >= T.messages * PRODUCERS
        || atomic_fetch_add(&T.seen[at], 1) != 0)
    {
        atomic_fetch_add(&T.duplicates, 1);
        return;
    }

    if (value / PRODUCERS + 1 <= c->last[producer]) {
        atomic_fetch_add(&T.disorder, 1);
    }

    c->last[producer] = value / PRODUCERS + 1;
}


/* Leaves codes to others, and wakes one.  0: there is no room. */
static int
mail_send(thread_t *t, char (*codes)[KMQ_CODE_LEN], unsigned n)
{
    int       sent;
    unsigned  other;
    uint64_t  one;

    one = 1;
    other = (t->worker + 1 + eu_below(&t->random, WORKERS - 1)) % WORKERS;

    pthread_mutex_lock(&T.mutex);

    sent = T.nmail + n <= MAIL;

    if (sent) {
        memcpy(T.mail[T.nmail], codes, n * KMQ_CODE_LEN);
        T.nmail += n;
    }

    pthread_mutex_unlock(&T.mutex);

    if (sent && write(T.fd[other], &one, sizeof(one)) != sizeof(one)) {
        atomic_fetch_add(&T.lost, 1);
    }

    return sent;
}


/* Settles what others have left. */
static void
mail_settle(thread_t *t)
{
    char           codes[MAIL][KMQ_CODE_LEN];
    uint8_t        result[MAIL];
    unsigned       n;
    kmq_settle_t   settle;

    pthread_mutex_lock(&T.mutex);

    n = T.nmail;
    memcpy(codes, T.mail, n * KMQ_CODE_LEN);
    T.nmail = 0;

    pthread_mutex_unlock(&T.mutex);

    if (n == 0) {
        return;
    }

    memset(&settle, 0, sizeof(settle));
    settle.codes = codes[0];
    settle.n = n;
    settle.result = result;

    if (kmq_settle_confirm(t->kmq, &settle) != n) {
        atomic_fetch_add(&T.lost, 1);
    }

    signal_wakes(t->kmq);
    atomic_fetch_add(&T.settled, n);
    atomic_fetch_add(&T.confirmed, n);
}


static void
confirm(thread_t *t, consumer_t *c, kmq_batch_t *b, kmq_run_t *run)
{
    char      codes[KMQ_BATCH_MESSAGES][KMQ_CODE_LEN];
    unsigned  i, how;

    /* a position would be for those, too, that are left to others */

    how = eu_below(&t->random, 2);
    how += T.push_type == KMQ_PUSH_ONE && c->number % 2;

    for (i = 0; i < run->count; i++) {
        kmq_code(t->kmq, &b->messages[run->first + i], codes[i]);
    }

    if (how == 2 && mail_send(t, codes, run->count)) {
        return;
    }

    atomic_fetch_add(&T.confirmed, run->count);

    if (how == 0) {
        (void) kmq_confirm_upto(t->kmq, c->client,
                        b->messages[run->first + run->count - 1].position);
        return;
    }

    if (kmq_confirm_codes(t->kmq, c->client, codes[0], run->count)
        != run->count)
    {
        atomic_fetch_add(&T.lost, 1);
    }
}


/* One wake-up's work: takes until nothing comes. */
static void
consume(thread_t *t, kmq_batch_t *b)
{
    unsigned     i, k;
    consumer_t  *c;

    b->bytes_max = 100000;
    mail_settle(t);

    while (kmq_take(t->kmq, b)) {
        signal_wakes(t->kmq);

        for (i = 0; i < b->nruns; i++) {
            c = b->runs[i].user;

            for (k = 0; k < b->runs[i].count; k++) {
                consumer_got(t, c, &b->messages[b->runs[i].first + k]);
            }

            confirm(t, c, b, &b->runs[i]);
            signal_wakes(t->kmq);

            if (atomic_fetch_add(&T.pushes, b->runs[i].count)
                + b->runs[i].count >= atomic_load(&T.expected))
            {
                wake_all();
            }
        }
    }

    signal_wakes(t->kmq);
}


static void *
consumer_main(void *data)
{
    thread_t       *t = data;
    unsigned        i, wakes;
    uint64_t        drop;
    consumer_t      c[EACH];
    kmq_batch_t    *b;
    struct pollfd   pfd;

    b = malloc(sizeof(*b));
    memset(c, 0, sizeof(c));
    wakes = 0;

    for (i = 0; i < EACH; i++) {
        c[i].number = t->worker * EACH + i;
        c[i].client = eu_consumer(t->kmq, T.topic[i % T.topics], 1 + 30 * i,
                                  &c[i]);
    }

    signal_wakes(t->kmq);
    atomic_fetch_add(&T.ready, 1);

    while (atomic_load(&T.pushes) < atomic_load(&T.expected)) {

        if (!kmq_has_work(t->kmq)) {
            pfd.fd = T.fd[t->worker];
            pfd.events = POLLIN;

            if (poll(&pfd, 1, PATIENCE) == 0) {
                atomic_fetch_add(&T.lost, 1);
                break;
            }

            if (read(pfd.fd, &drop, sizeof(drop)) != sizeof(drop)) {
                break;
            }
        }

        consume(t, b);
        journal_take(t);

        if (t->worker == 0 && wakes++ % 20 == 0) {
            checkpoint(t);
        }
    }

    /* until all of it is settled, nobody leaves */

    while (atomic_load(&T.confirmed) < atomic_load(&T.expected)
           && atomic_load(&T.lost) == 0)
    {
        mail_settle(t);
        sched_yield();
    }

    for (i = 0; i < EACH; i++) {
        kmq_leave(t->kmq, c[i].client, 0);
        signal_wakes(t->kmq);
    }

    journal_take(t);

    if (t->worker == 0) {
        checkpoint(t);
    }

    free(b);

    return NULL;
}


static void
test_journals(unsigned messages)
{
    is_int(T.unordered, 0, "journals: the numbers of each grow");
    is_int(T.published, messages * PRODUCERS, "each message is recorded once");
    is_int(T.consumed, messages * PRODUCERS, "as consumed, too");
    ok(T.checkpoints, "%u checkpoints were made", T.checkpoints);
}


/* How many were not seen: by anybody, or by each consumer of their topic. */
static unsigned
not_seen(unsigned copies)
{
    unsigned  i, k, missing, all;

    missing = 0;
    all = T.messages * PRODUCERS;

    for (k = 0; k < copies; k++) {
        for (i = 0; i < all; i++) {
            if (copies == 1
                || k % EACH % T.topics == topic_of(i / PRODUCERS))
            {
                missing += T.seen[(size_t) k * all + i] == 0;
            }
        }
    }

    return missing;
}


/* Each of so many topics is in another shard. */
static void
topics_choose(kmq_t *kmq, unsigned n)
{
    unsigned  i;

    T.topics = n;

    for (i = 0; i < n; i++) {
        (void) ei_name(kmq, i * (kmq->block->nshards - 1) / EACH, 0,
                       T.topic[i]);
    }
}


static void
test(uint32_t push_type, unsigned topics, unsigned messages, uint64_t seed)
{
    thread_t        t[WORKERS + PRODUCERS];
    unsigned        i, copies, expected;
    kmq_settings_t  s;

    memset(&T, 0, sizeof(T));
    T.block = eu_block(SIZE);
    T.push_type = push_type;
    T.messages = messages;
    (void) pthread_mutex_init(&T.mutex, NULL);
    copies = push_type == KMQ_PUSH_ALL ? WORKERS * EACH : 1;
    expected = (copies == 1 ? 1 : copies / topics) * messages * PRODUCERS;
    T.seen = calloc((size_t) copies * messages, PRODUCERS);
    atomic_store(&T.expected, expected);

    for (i = 0; i < WORKERS + PRODUCERS; i++) {
        T.fd[i] = eventfd(0, EFD_CLOEXEC);
    }

    /* handles belong to their threads, the robust lock in them too */

    for (i = 0; i < WORKERS + PRODUCERS; i++) {
        t[i].worker = i;
        t[i].random = seed + i;
        t[i].lsn = 0;
        t[i].kmq = eu_attach(T.block, SIZE, i);
        memset(&t[i].buffer, 0, sizeof(kmq_buffer_t));
        kmq_journal(t[i].kmq, 1);

        if (i == 0) {
            s = eu_settings(push_type);
            s.waiting_max = 2000;
            s.keep_consumed = 1;
            kmq_configure(t[i].kmq, &s);
            topics_choose(t[i].kmq, topics);
        }
    }

    for (i = 0; i < WORKERS + PRODUCERS; i++) {
        (void) pthread_create(&t[i].thread, NULL,
                              i < WORKERS ? consumer_main : producer_main,
                              &t[i]);
    }

    for (i = 0; i < WORKERS + PRODUCERS; i++) {
        (void) pthread_join(t[i].thread, NULL);
    }

    is_int(T.duplicates, 0, "%s: none twice", copies > 1 ? "all" : "one");
    is_int(not_seen(copies), 0, "none missing of %u", expected);
    is_int(T.pushes, expected, "and none too many");
    is_int(T.disorder, 0, "each in its producer's order");
    is_int(T.lost, 0, "no wake-up and no confirmation lost");
    ok(T.settled != 0 || copies > 1, "%u were settled by others", T.settled);
    is_int((long long) (eu_count(t[0].kmq).ready
                        + eu_count(t[0].kmq).in_flight), 0, "all consumed");
    is_int((long long) eu_count(t[0].kmq).repairs, 0, "no repair");
    test_journals(messages);

    for (i = 1; i < WORKERS + PRODUCERS; i++) {
        kmq_detach(t[i].kmq);
        kmq_buffer_free(&t[i].buffer);
    }

    eu_close(t[0].kmq, T.block, SIZE, "threads");
    kmq_buffer_free(&t[0].buffer);

    for (i = 0; i < WORKERS + PRODUCERS; i++) {
        close(T.fd[i]);
    }

    free(T.seen);
}


int
main(void)
{
    uint64_t  seed;
    unsigned  messages;

    seed = eu_env("KMQ_SEED", (uint64_t) time(NULL));
    messages = (unsigned) eu_env("KMQ_MESSAGES", 20000);
    diag("KMQ_SEED=%llu KMQ_MESSAGES=%u", (unsigned long long) seed,
         messages);

    kmq_shard_pages = 64;

    test(KMQ_PUSH_ONE, 1, messages, seed);
    test(KMQ_PUSH_ONE, EACH, messages, seed);
    test(KMQ_PUSH_ALL, 1, messages / 4, seed);
    test(KMQ_PUSH_ALL, EACH, messages / 4, seed);

    return done_testing();
}
