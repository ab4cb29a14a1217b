/*
 * How long do the other workers stand still when one has been killed inside
 * the lock?  The engine alone, without nginx: a block with messages, workers
 * that use it all the time, and one more that dies in the middle of a commit.
 * The time counts from its death until each of the others has been served
 * again.
 */

#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/engine/kmq.h"
#include "../common/net.h"


#define REPAIR_WORKERS   2
#define REPAIR_BATCH     1000
#define REPAIR_BODY      65536
#define REPAIR_TIMEOUT   300       /* seconds until every process ends */
#define REPAIR_PAUSE     50        /* µs between two calls of a worker */
#define REPAIR_HOUR      3600000   /* ms */
#define REPAIR_DATE      UINT64_C(1640975470000)

typedef struct {
    atomic_uint              attached;
    atomic_uint_least64_t    death;
    atomic_uint_least64_t    served[REPAIR_WORKERS];   /* after it */
} repair_shared_t;

typedef struct {
    uint64_t    ready;
    uint64_t    delayed;
    uint64_t    consumed;
    unsigned    size;
    unsigned    topics;            /* that messages are spread over */
    unsigned    cold:1;
} repair_options_t;

static repair_shared_t   *shared;
static repair_options_t   o;
static void              *block;
static size_t             block_size;


static void *
repair_map(size_t size)
{
    void  *p;

    p = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1,
             0);

    if (p == MAP_FAILED) {
        perror("kmq-repair: mmap");
        exit(2);
    }

    return p;
}


/* ---------------------------------------------------------------- filling */

static kmq_t *
repair_attach(unsigned worker)
{
    kmq_t  *kmq;

    kmq = kmq_attach(block, block_size, worker);

    if (kmq == NULL) {
        fprintf(stderr, "kmq-repair: worker %u cannot attach\n", worker);
        exit(2);
    }

    kmq_clock(kmq, net_now() / 1000000, REPAIR_DATE);

    return kmq;
}


static kmq_ref_t
repair_join(kmq_t *kmq, uint32_t role, const char *topic)
{
    kmq_ref_t          client;
    kmq_client_info_t  info;

    memset(&info, 0, sizeof(kmq_client_info_t));
    info.role = role;
    info.prefetch = role == KMQ_CONSUMER ? KMQ_PREFETCH_MAX : 0;
    info.topic_len = (uint16_t) strlen(topic);
    memcpy(info.topic, topic, info.topic_len);
    info.id_len = 1;
    info.id[0] = 'x';

    client = kmq_join(kmq, &info, NULL);

    if (client == 0) {
        fprintf(stderr, "kmq-repair: a client cannot join\n");
        exit(2);
    }

    return client;
}


static void
repair_publish(kmq_t *kmq, const char *topic, uint64_t n, uint64_t delay)
{
    unsigned               i, batch;
    kmq_ref_t              producer;
    static char            body[REPAIR_BODY];
    static kmq_message_t   m[REPAIR_BATCH];

    memset(body, 'x', sizeof(body));
    producer = repair_join(kmq, KMQ_PRODUCER, topic);

    for ( /* void */ ; n != 0; n -= batch) {
        batch = n < REPAIR_BATCH ? (unsigned) n : REPAIR_BATCH;
        memset(m, 0, sizeof(m));

        for (i = 0; i < batch; i++) {
            m[i].size = o.size;
            m[i].delay_time = delay == 0 ? 0 : delay + (n - i) % delay;
        }

        if (kmq_reserve(kmq, producer, m, batch, NULL) != batch) {
            fprintf(stderr, "kmq-repair: the block is too small\n");
            exit(2);
        }

        for (i = 0; i < batch; i++) {
            kmq_write(kmq, &m[i], body, o.size);
        }

        kmq_commit(kmq, m, batch);
    }

    kmq_leave(kmq, producer, 0);
}


/* Makes history of all that waits in a topic. */
static void
repair_consume(kmq_t *kmq, const char *topic)
{
    unsigned             i;
    kmq_ref_t            consumer;
    const kmq_run_t     *run;
    static kmq_batch_t   batch;

    consumer = repair_join(kmq, KMQ_CONSUMER, topic);
    kmq_set_ready(kmq, consumer, 1);
    batch.bytes_max = 1024 * 1024;

    while (kmq_take(kmq, &batch) != 0) {
        for (i = 0; i < batch.nruns; i++) {
            run = &batch.runs[i];
            (void) kmq_confirm_upto(kmq, run->client,
                       batch.messages[run->first + run->count - 1].position);
        }
    }

    kmq_leave(kmq, consumer, 0);
}


/* A part of the messages, in topics of their own. */
static void
repair_fill_part(kmq_t *kmq, unsigned part)
{
    char  name[32];

    (void) sprintf(name, "consumed-%u", part);
    repair_publish(kmq, name, o.consumed / o.topics, 0);
    repair_consume(kmq, name);

    (void) sprintf(name, "delayed-%u", part);
    repair_publish(kmq, name, o.delayed / o.topics, REPAIR_HOUR);

    (void) sprintf(name, "ready-%u", part);
    repair_publish(kmq, name, o.ready / o.topics, 0);
}


static kmq_t *
repair_fill(void)
{
    kmq_t           *kmq;
    unsigned         i;
    unsigned char    seed[KMQ_SEED_LEN];
    kmq_settings_t   settings;

    memset(seed, 0x5a, sizeof(seed));

    if (kmq_block_init(block, block_size, seed) != KMQ_OK) {
        fprintf(stderr, "kmq-repair: no block of %zu bytes\n", block_size);
        exit(2);
    }

    memset(&settings, 0, sizeof(kmq_settings_t));
    settings.waiting_max = UINT32_MAX;
    settings.batch_count = 1;
    settings.check_interval = 1000;
    settings.keep_consumed = 1;
    settings.topic.push_type = KMQ_PUSH_ONE;

    kmq = repair_attach(0);
    kmq_configure(kmq, &settings);

    for (i = 0; i < o.topics; i++) {
        repair_fill_part(kmq, i);
    }

    return kmq;
}


/* -------------------------------------------------------------- processes */

/* The page table of a process that has been up for a while has all pages. */
static void
repair_touch(void)
{
    size_t                 i;
    const volatile char   *p;

    p = block;

    for (i = 0; !o.cold && i < block_size; i += 4096) {
        (void) p[i];
    }
}


__attribute__((noreturn)) static void
repair_worker(unsigned n)
{
    kmq_t         *kmq;
    kmq_counts_t   counts;

    (void) alarm(REPAIR_TIMEOUT);
    kmq = repair_attach(n + 1);
    repair_touch();
    atomic_fetch_add(&shared->attached, 1);

    do {
        (void) usleep(REPAIR_PAUSE);
        kmq_count(kmq, &counts);
    } while (counts.repairs == 0);

    atomic_store(&shared->served[n], net_now());
    _exit(0);
}


static void
repair_die(const char *point)
{
    (void) point;

    atomic_store(&shared->death, net_now());
    (void) kill(getpid(), SIGKILL);

    for ( ;; ) {
        (void) pause();
    }
}


/* Dies at the first fault point of a commit. */
__attribute__((noreturn)) static void
repair_victim(void)
{
    kmq_t          *kmq;
    kmq_ref_t       producer;
    kmq_message_t   m;

    (void) alarm(REPAIR_TIMEOUT);
    kmq = repair_attach(REPAIR_WORKERS + 1);
    producer = repair_join(kmq, KMQ_PRODUCER, "ready-0");

    memset(&m, 0, sizeof(kmq_message_t));
    m.size = 4;

    if (kmq_reserve(kmq, producer, &m, 1, NULL) == 1) {
        kmq_write(kmq, &m, "dies", 4);
        kmq_fault = repair_die;
        kmq_commit(kmq, &m, 1);
    }

    _exit(1);
}


static pid_t
repair_fork(void)
{
    pid_t  pid;

    pid = fork();

    if (pid == -1) {
        perror("kmq-repair: fork");
        exit(2);
    }

    return pid;
}


static int
repair_ended(pid_t pid, int killed)
{
    int  status;

    if (waitpid(pid, &status, 0) != pid) {
        return 0;
    }

    return killed ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
                  : status == 0;
}


/* 1 when everybody ended as expected. */
static int
repair_run(void)
{
    int       good;
    pid_t     victim, worker[REPAIR_WORKERS];
    unsigned  i;

    for (i = 0; i < REPAIR_WORKERS; i++) {
        worker[i] = repair_fork();

        if (worker[i] == 0) {
            repair_worker(i);
        }
    }

    while (atomic_load(&shared->attached) != REPAIR_WORKERS) {
        (void) usleep(1000);
    }

    victim = repair_fork();

    if (victim == 0) {
        repair_victim();
    }

    good = repair_ended(victim, 1);

    for (i = 0; i < REPAIR_WORKERS; i++) {
        good &= repair_ended(worker[i], 0);
    }

    return good;
}


/* ------------------------------------------------------------------- main */

/* 0 when the block holds what it held before. */
static int
repair_report(kmq_t *kmq)
{
    int            bad;
    char           text[512];
    double         ms, first, last, messages;
    unsigned       i;
    kmq_counts_t   c;

    memset(&c, 0, sizeof(kmq_counts_t));
    kmq_count(kmq, &c);
    text[0] = '\0';

    /* the message that was being committed is there or not */

    bad = c.repairs != 1 || c.consumed != o.consumed || c.delayed != o.delayed
          || (c.ready != o.ready && c.ready != o.ready + 1)
          || kmq_verify(kmq, text, sizeof(text)) != KMQ_OK;

    for (i = 0, first = 0, last = 0; i < REPAIR_WORKERS; i++) {
        ms = (double) (shared->served[i] - shared->death) / 1e6;
        first = i == 0 || ms < first ? ms : first;
        last = ms > last ? ms : last;
    }

    messages = (double) (o.ready + o.delayed + o.consumed);

    printf("{\"messages\": %.0f, \"ready\": %llu, \"delayed\": %llu, "
           "\"consumed\": %llu, \"first_ms\": %.2f, \"last_ms\": %.2f, "
           "\"ms_per_million\": %.2f, \"failed\": %s}\n", messages,
           (unsigned long long) c.ready, (unsigned long long) c.delayed,
           (unsigned long long) c.consumed, first, last,
           last * 1e6 / messages, bad ? "true" : "false");

    if (bad) {
        fprintf(stderr, "kmq-repair: the block is not what it was, %llu "
                "repairs: %s\n", (unsigned long long) c.repairs, text);
    }

    return bad;
}


static int
repair_options(int argc, char **argv)
{
    static const struct option  names[] = {
        { "messages", 1, NULL, 'm' },
        { "delayed", 1, NULL, 'd' },
        { "consumed", 1, NULL, 'c' },
        { "size", 1, NULL, 's' },
        { "topics", 1, NULL, 't' },
        { "cold", 0, NULL, 'C' },
        { NULL, 0, NULL, 0 }
    };

    int  opt;

    o.ready = 1000000;
    o.size = 100;
    o.topics = 1;

    while ((opt = getopt_long(argc, argv, "", names, NULL)) != -1) {

        switch (opt) {
        case 'm': o.ready = strtoull(optarg, NULL, 10); break;
        case 'd': o.delayed = strtoull(optarg, NULL, 10); break;
        case 'c': o.consumed = strtoull(optarg, NULL, 10); break;
        case 's': o.size = (unsigned) strtoul(optarg, NULL, 10); break;
        case 't': o.topics = (unsigned) strtoul(optarg, NULL, 10); break;
        case 'C': o.cold = 1; break;
        default: o.size = 0;
        }
    }

    return optind != argc || o.size < 1 || o.size > REPAIR_BODY
           || o.topics < 1
           || o.ready + o.delayed + o.consumed == 0 ? -1 : 0;
}


int
main(int argc, char **argv)
{
    kmq_t     *kmq;
    uint64_t   n;

    if (repair_options(argc, argv) == -1) {
        fprintf(stderr, "kmq-repair: how long workers stand still after a "
                "death inside the lock\n"
                "  --messages N  that wait (1000000)\n"
                "  --delayed N --consumed N  further ones (0)\n"
                "  --size N  bytes of each (100)\n"
                "  --topics N  over which they are spread (1)\n"
                "  --cold  the others have new page tables\n");
        return 2;
    }

    (void) alarm(REPAIR_TIMEOUT);

    n = (o.ready + o.delayed + o.consumed) * (o.size + o.size / 4 + 128)
        + 32 * 1024 * 1024;
    block_size = n < kmq_block_max() ? (size_t) n & ~(size_t) 65535
                                     : kmq_block_max();

    block = repair_map(block_size);
    shared = repair_map(sizeof(repair_shared_t));
    kmq = repair_fill();

    if (!repair_run()) {
        fprintf(stderr, "kmq-repair: a process did not end as it should\n");
        return 1;
    }

    return repair_report(kmq);
}
