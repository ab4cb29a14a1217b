/*
 * What does another core bring?  The engine alone, without nginx: processes,
 * each on a core of its own, publish, take and confirm messages of 100 bytes,
 * and do some other work for each, as nginx does.
 *
 *   kmq-cores [--workers N] [--one-topic] [--apart] [--batch N] [--work NS]
 *             [--seconds S]
 *
 * --one-topic: all use the same topic instead of one each; --apart: each has a
 * block of its own, which is the most that more cores can bring.  Prints how
 * many messages were confirmed in a second by all of them.
 */

#include <getopt.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/engine/kmq.h"
#include "../common/net.h"


#define CORES_WORKERS   64
#define CORES_BLOCK     ((size_t) 64 * 1024 * 1024)
#define CORES_BATCH     256
#define CORES_SIZE      100
#define CORES_PREFETCH  1000
#define CORES_DATE      UINT64_C(1640975470000)
#define CORES_WARM      5          /* a part of the time, before it counts */

/* Each process writes a cache line of its own. */
typedef struct {
    _Alignas(64) atomic_uint_least64_t  confirmed;
} cores_worker_t;

typedef struct {
    atomic_uint        attached;
    atomic_int         stop;
    cores_worker_t     worker[CORES_WORKERS];
} cores_shared_t;

typedef struct {
    unsigned  workers;
    unsigned  batch;
    unsigned  work;                /* ns for each message */
    double    seconds;
    int       one_topic;
    int       apart;
} cores_options_t;

static cores_shared_t   *shared;
static cores_options_t   o = { 2, 64, 0, 1, 0, 0 };


static void
die(const char *what)
{
    fprintf(stderr, "kmq-cores: %s\n", what);
    exit(1);
}


static void *
map(size_t size)
{
    void  *p;

    p = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1,
             0);

    if (p == MAP_FAILED) {
        die("no memory");
    }

    return p;
}


static void *
block_create(void)
{
    void           *block;
    unsigned char   seed[KMQ_SEED_LEN];

    memset(seed, 7, sizeof(seed));
    block = map(CORES_BLOCK);

    if (kmq_block_init(block, CORES_BLOCK, seed) != KMQ_OK) {
        die("the block is too small");
    }

    return block;
}


/* ----------------------------------------------------------------- worker */

static kmq_t *
attach(void *block, unsigned n)
{
    kmq_t           *kmq;
    kmq_settings_t   s;

    kmq = kmq_attach(block, CORES_BLOCK, o.apart ? 0 : n);
    if (kmq == NULL) {
        die("cannot attach");
    }

    kmq_clock(kmq, 1000, CORES_DATE);

    memset(&s, 0, sizeof(s));
    s.topic.push_type = KMQ_PUSH_ONE;
    s.waiting_max = 100000000;
    s.batch_count = 1;
    s.retry_count = 3;
    s.check_interval = 1000;
    s.keep_consumed = 1;
    kmq_configure(kmq, &s);

    return kmq;
}


static kmq_ref_t
join(kmq_t *kmq, uint32_t role, unsigned n)
{
    kmq_ref_t           client;
    kmq_client_info_t   info;

    memset(&info, 0, sizeof(info));
    info.role = role;
    info.prefetch = role == KMQ_CONSUMER ? CORES_PREFETCH : 0;
    info.topic_len = (uint16_t) sprintf(info.topic, "topic-%u",
                                        o.one_topic ? 0 : n);
    info.id_len = (uint16_t) sprintf(info.id, "id-%u", n);
    info.addr_len = (uint16_t) sprintf(info.addr, "127.0.0.1");

    client = kmq_join(kmq, &info, NULL);
    if (client == 0) {
        die("cannot join");
    }

    if (role == KMQ_CONSUMER) {
        kmq_set_ready(kmq, client, 1);
    }

    return client;
}


static void
publish(kmq_t *kmq, kmq_ref_t producer)
{
    unsigned       i, n;
    kmq_message_t  m[CORES_BATCH];

    static const char  body[CORES_SIZE];

    for (i = 0; i < o.batch; i++) {
        memset(&m[i], 0, sizeof(m[i]));
        m[i].size = CORES_SIZE;
    }

    n = kmq_reserve(kmq, producer, m, o.batch, NULL);

    for (i = 0; i < n; i++) {
        kmq_write(kmq, &m[i], body, CORES_SIZE);
    }

    kmq_commit(kmq, m, n);
}


/* Takes what there is for this process, and confirms it. */
static unsigned
consume(kmq_t *kmq, kmq_ref_t consumer)
{
    unsigned            n;
    kmq_run_t          *last;
    static kmq_batch_t  batch;

    batch.bytes_max = 1024 * 1024;
    n = 0;

    while (kmq_take(kmq, &batch)) {
        last = &batch.runs[batch.nruns - 1];
        n += kmq_confirm_upto(kmq, consumer,
                              batch.messages[last->first + last->count - 1]
                              .position);
    }

    return n;
}


/* What else there is to do for n messages. */
static void
work(unsigned n)
{
    uint64_t  until;

    if (o.work) {
        until = net_now() + (uint64_t) n * o.work;

        while (net_now() < until) { /* void */ }
    }
}


static void
run_worker(void *block, unsigned n)
{
    kmq_t      *kmq;
    unsigned    confirmed;
    uint64_t    start, now, mask[KMQ_WORKERS / 64];
    cpu_set_t   cpus;
    kmq_ref_t   producer, consumer;

    CPU_ZERO(&cpus);
    CPU_SET(n % (unsigned) sysconf(_SC_NPROCESSORS_ONLN), &cpus);
    (void) sched_setaffinity(0, sizeof(cpus), &cpus);

    kmq = attach(block, n);
    producer = join(kmq, KMQ_PRODUCER, n);
    consumer = join(kmq, KMQ_CONSUMER, n);

    atomic_fetch_add(&shared->attached, 1);
    while (atomic_load(&shared->attached) < o.workers) { sched_yield(); }

    start = net_now();

    while (!atomic_load_explicit(&shared->stop, memory_order_relaxed)) {
        now = 1000 + (net_now() - start) / 1000000;
        kmq_clock(kmq, now, CORES_DATE + now);

        publish(kmq, producer);
        confirmed = consume(kmq, consumer);
        (void) kmq_wakes(kmq, mask);
        work(o.batch);

        atomic_fetch_add_explicit(&shared->worker[n].confirmed, confirmed,
                                  memory_order_relaxed);
    }

    _exit(0);
}


/* ------------------------------------------------------------------- main */

static void
options(int argc, char **argv)
{
    int  c;

    static const struct option  longs[] = {
        { "workers", required_argument, NULL, 'w' },
        { "one-topic", no_argument, NULL, 'o' },
        { "apart", no_argument, NULL, 'a' },
        { "batch", required_argument, NULL, 'b' },
        { "work", required_argument, NULL, 'n' },
        { "seconds", required_argument, NULL, 's' },
        { NULL, 0, NULL, 0 }
    };

    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {

        switch (c) {
        case 'w':
            o.workers = (unsigned) atoi(optarg);
            break;
        case 'o':
            o.one_topic = 1;
            break;
        case 'a':
            o.apart = 1;
            break;
        case 'b':
            o.batch = (unsigned) atoi(optarg);
            break;
        case 'n':
            o.work = (unsigned) atoi(optarg);
            break;
        case 's':
            o.seconds = atof(optarg);
            break;
        default:
            exit(2);
        }
    }

    if (o.workers == 0 || o.workers > CORES_WORKERS || o.batch == 0
        || o.batch > CORES_BATCH || o.seconds <= 0)
    {
        die("1 to 64 workers, batches of 1 to 256, some seconds");
    }
}


static uint64_t
confirmed(void)
{
    unsigned  n;
    uint64_t  all;

    for (all = 0, n = 0; n < o.workers; n++) {
        all += atomic_load(&shared->worker[n].confirmed);
    }

    return all;
}


static void
pause_for(double seconds)
{
    usleep((useconds_t) (seconds * 1e6));
}


int
main(int argc, char **argv)
{
    int       failed, status;
    void     *block;
    unsigned  n;
    uint64_t  before, after, from, to;

    options(argc, argv);
    shared = map(sizeof(cores_shared_t));
    block = block_create();

    for (n = 0; n < o.workers; n++) {
        void  *own = o.apart && n ? block_create() : block;

        if (fork() == 0) {
            run_worker(own, n);
        }
    }

    pause_for(o.seconds / CORES_WARM);
    from = net_now();
    before = confirmed();
    pause_for(o.seconds);
    to = net_now();
    after = confirmed();

    atomic_store(&shared->stop, 1);
    failed = 0;

    for (n = 0; n < o.workers; n++) {
        failed |= wait(&status) < 0 || status != 0;
    }

    printf("{\"workers\": %u, \"batch\": %u, \"work_ns\": %u, "
           "\"one_topic\": %s, \"apart\": %s, \"confirmed_per_s\": %.0f, "
           "\"failed\": %s}\n", o.workers, o.batch, o.work,
           o.one_topic ? "true" : "false", o.apart ? "true" : "false",
           (double) (after - before) * 1e9 / (double) (to - from),
           failed ? "true" : "false");

    return failed;
}
