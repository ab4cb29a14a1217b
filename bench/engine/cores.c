/*
 * What does another core bring?  The engine alone, without nginx: processes,
 * one on each core and then in turns, publish, take and confirm messages of
 * 100 bytes, and do some other work for each, as nginx does.
 *
 *   kmq-cores [--workers N] [--topics N] [--apart] [--batch N] [--work NS]
 *             [--seconds S]
 *   kmq-cores --lines [--topics N]
 *
 * --topics: worker n uses topic n % N instead of one of its own; --one-topic
 * is --topics 1; --apart: each has a block of its own, which is the most that
 * more cores can bring.  Prints how many messages were confirmed in a second by
 * all of them, and how often they gave up a core, as those do who sleep for a
 * lock, or had it taken from them.
 *
 * --lines: which cache lines of the block two workers write, and which of these
 * are the same (cores_lines.c).
 */

#include <getopt.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cores.h"
#include "../common/cpu.h"
#include "../common/net.h"


#define CORES_WORKERS   64
#define CORES_BLOCK     ((size_t) 64 * 1024 * 1024)
#define CORES_WARM      5          /* a part of the time, before it counts */
#define CORES_MOVES     20000      /* of a line, to see how long one takes; */
#define CORES_TIMED     1000       /* so many at a time */

/* Each process writes a cache line of its own. */
typedef struct {
    _Alignas(64) atomic_uint_least64_t  confirmed;
    long                                sleeps;
    long                                preempted;
} cores_worker_t;

typedef struct {
    atomic_uint        attached;
    atomic_int         stop;
    double             move_ns;
    _Alignas(64) atomic_uint  moved;
    cores_worker_t     worker[CORES_WORKERS];
} cores_shared_t;

typedef struct {
    unsigned  workers;
    unsigned  batch;
    unsigned  work;                /* ns for each message */
    unsigned  topics;              /* 0: one for each worker */
    double    seconds;
    int       apart;
    int       lines;
} cores_options_t;

static cores_shared_t   *shared;
static cores_options_t   o = { 2, 64, 0, 0, 1, 0, 0 };


/* ----------------------------------------------------------------- worker */

static void
publish(cores_client_t *c)
{
    static const char  body[CORES_SIZE];

    cores_reserve(c, o.batch);
    cores_write(c, body);
    kmq_commit(c->kmq, c->messages, c->n);
}


/* Takes what there is for this process, and confirms it. */
static unsigned
consume(cores_client_t *c)
{
    unsigned  n;

    n = 0;

    while (kmq_take(c->kmq, &c->batch)) {
        n += cores_confirm(c);
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


/* How often this process has given up its core, and was made to. */
static void
count_switches(cores_worker_t *worker, long sign)
{
    struct rusage  ru;

    getrusage(RUSAGE_SELF, &ru);
    worker->sleeps += sign * ru.ru_nvcsw;
    worker->preempted += sign * ru.ru_nivcsw;
}


/* Two workers send a cache line to and fro.  The shortest of some times is
 * kept: in others they may not have had the cores for themselves. */
static void
move_line(unsigned n)
{
    double    ns;
    unsigned  moved;
    uint64_t  now, before;

    before = net_now();

    do {
        moved = atomic_load(&shared->moved);

        if (moved == CORES_MOVES || moved % 2 != n) {
            continue;
        }

        if (n == 0 && moved % CORES_TIMED == 0 && moved != 0) {
            now = net_now();
            ns = (double) (now - before) / CORES_TIMED;
            before = now;

            if (shared->move_ns == 0 || ns < shared->move_ns) {
                shared->move_ns = ns;
            }
        }

        atomic_store(&shared->moved, moved + 1);

    } while (moved < CORES_MOVES && !atomic_load(&shared->stop));
}


static void
run_worker(void *block, unsigned n)
{
    uint64_t               start, mask[KMQ_WORKERS / 64];
    unsigned               confirmed;
    cpu_set_t              cpus;
    cores_worker_t        *worker;
    static cores_client_t  c;

    CPU_ZERO(&cpus);
    CPU_SET(n % (unsigned) sysconf(_SC_NPROCESSORS_ONLN), &cpus);
    (void) sched_setaffinity(0, sizeof(cpus), &cpus);

    cores_open(&c, block, CORES_BLOCK, o.apart ? 0 : n,
               o.topics ? n % o.topics : n);
    worker = &shared->worker[n];

    atomic_fetch_add(&shared->attached, 1);

    while (atomic_load(&shared->attached) < o.workers
           && !atomic_load(&shared->stop))
    {
        sched_yield();
    }

    if (o.workers == 2) {
        move_line(n);
    }

    start = net_now();
    count_switches(worker, -1);

    while (!atomic_load_explicit(&shared->stop, memory_order_relaxed)) {
        cores_clock(&c, (net_now() - start) / 1000000);

        publish(&c);
        confirmed = consume(&c);
        (void) kmq_wakes(c.kmq, mask);
        work(o.batch);

        atomic_fetch_add_explicit(&worker->confirmed, confirmed,
                                  memory_order_relaxed);
    }

    count_switches(worker, 1);

    _exit(0);
}


/* ------------------------------------------------------------------- main */

static void
options(int argc, char **argv)
{
    int  c;

    static const struct option  longs[] = {
        { "workers", required_argument, NULL, 'w' },
        { "topics", required_argument, NULL, 't' },
        { "one-topic", no_argument, NULL, 'o' },
        { "apart", no_argument, NULL, 'a' },
        { "batch", required_argument, NULL, 'b' },
        { "work", required_argument, NULL, 'n' },
        { "seconds", required_argument, NULL, 's' },
        { "lines", no_argument, NULL, 'l' },
        { NULL, 0, NULL, 0 }
    };

    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {

        switch (c) {
        case 'w':
            o.workers = (unsigned) atoi(optarg);
            break;
        case 't':
            o.topics = (unsigned) atoi(optarg);
            break;
        case 'o':
            o.topics = 1;
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
        case 'l':
            o.lines = 1;
            break;
        default:
            exit(2);
        }
    }

    if (o.workers == 0 || o.workers > CORES_WORKERS || o.batch == 0
        || o.batch > CORES_BATCH || o.seconds <= 0)
    {
        cores_die("1 to 64 workers, batches of 1 to 256, some seconds");
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


/* The share of a core that neither these processes nor their parent had. */
static double
others(uint64_t spent, uint64_t time)
{
    uint64_t  own;

    own = cpu_of(RUSAGE_CHILDREN) + cpu_of(RUSAGE_SELF);

    return spent > own ? (double) (spent - own) / (double) time : 0;
}


static void
report(double confirmed_per_s, double others_cpu, int failed)
{
    long      sleeps, preempted;
    double    millions;
    unsigned  n;

    sleeps = 0;
    preempted = 0;
    millions = (double) confirmed() / 1e6;

    for (n = 0; n < o.workers; n++) {
        sleeps += shared->worker[n].sleeps;
        preempted += shared->worker[n].preempted;
    }

    printf("{\"workers\": %u, \"batch\": %u, \"work_ns\": %u, "
           "\"topics\": %u, \"apart\": %s, \"confirmed_per_s\": %.0f",
           o.workers, o.batch, o.work, o.topics ? o.topics : o.workers,
           o.apart ? "true" : "false", confirmed_per_s);
    printf(", \"move_ns\": %.1f, \"sleeps_per_million\": %.1f, "
           "\"preempted_per_million\": %.1f, "
           "\"whole\": {\"others_cpu\": %.3f}, \"failed\": %s}\n",
           shared->move_ns,
           millions > 0 ? (double) sleeps / millions : 0,
           millions > 0 ? (double) preempted / millions : 0,
           others_cpu, failed ? "true" : "false");
}


/* Starts the workers; each has the block, or one of its own. */
static void
start(void)
{
    void     *block;
    pid_t     pid;
    unsigned  n;

    block = cores_block(CORES_BLOCK);

    for (n = 0; n < o.workers; n++) {
        if (o.apart && n) {
            block = cores_block(CORES_BLOCK);
        }

        pid = fork();

        if (pid == -1) {
            atomic_store(&shared->stop, 1);
            cores_die("cannot fork");
        }

        if (pid == 0) {
            run_worker(block, n);
        }
    }
}


int
main(int argc, char **argv)
{
    int       failed, status;
    unsigned  n;
    uint64_t  before, after, from, to, begin, spent;

    options(argc, argv);

    if (o.lines) {
        return cores_lines(o.topics);
    }

    shared = cores_map(sizeof(cores_shared_t));
    begin = net_now();
    spent = cpu_all();
    start();

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

    spent = cpu_all() - spent;
    report((double) (after - before) * 1e9 / (double) (to - from),
           others(spent, net_now() - begin), failed);

    return failed;
}
