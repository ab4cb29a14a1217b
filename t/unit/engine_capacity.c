/*
 * Whatever stays behind in the block, and however it is spread, nearly as much
 * fits as if it had been put there first; what comes large costs no more
 * history than it needs, and no long time under the lock; topics are small.
 */

#include <dlfcn.h>
#include <pthread.h>

#include "engine_capacity.h"


#define SMALL         EU_MB
#define MIDDLE        (8 * EU_MB)
#define TOPICS_SIZE   (8 * EU_MB)
#define TOPICS        4000       /* that have a message each must fit */
#define HELD_STEPS    8192       /* with the lock, in one go */


static double    worst = 1e9;
static char      worst_name[128];


static void
pattern(const ec_pattern_t *p, size_t size, uint64_t limit)
{
    char          name[128];
    ec_result_t   r;

    ec_run(p, size, limit, &r);
    ec_name(p, size, name, sizeof(name));

    if (r.ratio < worst) {
        worst = r.ratio;
        memcpy(worst_name, name, sizeof(worst_name));
    }

    ok(r.ratio >= EC_REQUIRED && !r.refused && r.wrong[0] == '\0',
       "%.3f: %s", r.ratio, name);

    if (r.ratio < EC_REQUIRED || r.refused || r.wrong[0]) {
        diag("%llu of %llu fit beside %llu, after %llu%s; %s",
             (unsigned long long) r.fitted, (unsigned long long) r.expected,
             (unsigned long long) r.survivors, (unsigned long long) r.passed,
             r.refused ? "; the stream was refused" : "", r.wrong);
    }
}


/* Every density, state and size, in waves and as a stream, in a small block. */
static void
test_all(void)
{
    unsigned      i, j;
    ec_pattern_t  p;

    static const unsigned  densities[] = { 2, 8, 64, 128, 1000, 0 };
    static const unsigned  sizes[] = { 16, 100, 1000, 4000, EC_MIXED };
    static const struct { unsigned waves, keep; }  ways[] = {
        { 3, 0 }, { 3, 1 }, { EC_STREAM, 1 }
    };

    for (i = 0; i < 6 * 5 * 3; i++) {
        memset(&p, 0, sizeof(p));
        p.one_in = densities[i % 6];
        p.body = sizes[i / 6 % 5];
        p.next = p.body;
        p.fill = p.body;
        p.waves = ways[i / 30].waves;
        p.keep = ways[i / 30].keep;

        for (j = 0; j < EC_STATES; j++) {
            p.state = j;
            pattern(&p, SMALL, 60000);
        }
    }
}


/* Sizes that are others from wave to wave, and at the end. */
static void
test_changing(void)
{
    unsigned      i, j;
    ec_pattern_t  p;

    static const struct { unsigned body, next, fill; }  sizes[] = {
        { 100, 1000, 100 }, { 1000, 100, 1000 }, { 100, 100, 1000 },
        { 1000, 1000, 100 }, { 16, 16, 4000 }, { 4000, 4000, 16 },
        { 16, 4000, EC_MIXED }, { EC_MIXED, EC_MIXED, 100 },
        { 100, 100, EC_MIXED }, { 100, 100, 9000 }
    };

    for (i = 0; i < 10 * 3 * 2; i++) {
        memset(&p, 0, sizeof(p));
        p.body = sizes[i % 10].body;
        p.next = sizes[i % 10].next;
        p.fill = sizes[i % 10].fill;
        p.one_in = i / 10 % 3 == 0 ? 2 : i / 10 % 3 == 1 ? 8 : 64;
        p.keep = i / 30;
        p.waves = 4;

        for (j = 0; j < EC_STATES; j += 3) {
            p.state = j;
            pattern(&p, SMALL, 0);
        }
    }
}


/* A topic is neglected while others pass: what was seen in nginx, and a block
 * in which pages are many. */
static void
test_middle(void)
{
    unsigned      i;

    static const ec_pattern_t  patterns[] = {
        { EC_WAITING, 65, 1, EC_STREAM, 100, 100, 100 },
        { EC_WAITING, 128, 1, EC_STREAM, 100, 100, 100 },
        { EC_IN_FLIGHT, 64, 1, EC_STREAM, 100, 100, 100 },
        { EC_DEAD, 128, 1, EC_STREAM, 1000, 1000, 1000 },
        { EC_DELAYED, 64, 1, EC_STREAM, EC_MIXED, EC_MIXED, EC_MIXED },
        { EC_WAITING, 64, 0, 4, 100, 100, 100 },
        { EC_WAITING, 0, 0, 4, 100, 100, 100 },
        { EC_DELAYED, 8, 0, 4, 16, 16, 16 },
        { EC_DEAD, 2, 0, 4, 100, 1000, 100 },
        { EC_IN_FLIGHT, 8, 0, 4, 1000, 100, 1000 },
        { EC_ELSEWHERE, 8, 0, 4, EC_MIXED, EC_MIXED, EC_MIXED },
        { EC_WAITING, 1000, 1, EC_STREAM, 1000, 1000, 1000 },
    };

    for (i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        pattern(&patterns[i], MIDDLE, 400000);
    }
}


/* ------------------------------------------------------- large and small */

static uint64_t   steps;         /* since the lock was given back last */
static uint64_t   steps_max;
static uint64_t   cpu;           /* ns, then */
static uint64_t   cpu_max;


static uint64_t
cpu_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}


static void
step(const char *point)
{
    (void) point;
    steps++;
}


static void
steps_end(void)
{
    uint64_t  now = cpu_now();

    if (steps > steps_max) {
        steps_max = steps;
    }

    if (now - cpu > cpu_max) {
        cpu_max = now - cpu;
    }

    steps = 0;
    cpu = now;
}


static void
steps_begin(void)
{
    steps = 0;
    steps_max = 0;
    cpu = cpu_now();
    cpu_max = 0;
    kmq_fault = step;
}


/* The engine calls this one: the end of what is done under the lock. */
int
pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    static int  (*unlock)(pthread_mutex_t *mutex);

    if (unlock == NULL) {
        *(void **) &unlock = dlsym(RTLD_NEXT, "pthread_mutex_unlock");
    }

    if (kmq_fault == step) {
        steps_end();
    }

    return unlock(mutex);
}


/* A block of which so many eighths wait; the others are history, or would be
 * if that much fitted. */
static void
history_make(ec_t *ec, const ec_pattern_t *p, size_t size, unsigned waiting)
{
    uint64_t  n, fresh;

    fresh = ec_fresh(size, p->body);
    ec_open(ec, p, size, fresh * waiting / 8);
    ec->body = p->body;

    for (n = 0; n < 3 * fresh; n += EC_BATCH) {
        (void) ec_publish(ec, EC_BATCH);
        ec_drain(ec);
    }
}


/* A body of large bytes comes into a block of small messages, waiting of each
 * eight of which wait; the others are history. */
static void
large(size_t size, unsigned small, unsigned waiting, size_t bytes)
{
    int             fits;
    ec_t            ec;
    double          price;
    uint64_t        dropped, history, needed;
    kmq_counts_t    c;
    ec_pattern_t    p;
    kmq_message_t   m;

    memset(&p, 0, sizeof(p));
    p.one_in = 2;
    p.keep = 1;
    p.body = small;

    history_make(&ec, &p, size, waiting);
    c = eu_count(ec.kmq);
    history = c.consumed;
    dropped = c.totals.dropped;

    /* what a message takes, by what there is of them */

    price = (double) c.bytes_total / (double) (c.consumed + c.ready + 1);
    needed = (uint64_t) ((double) bytes / price);

    memset(&m, 0, sizeof(m));
    m.size = (uint32_t) bytes;

    steps_begin();
    fits = kmq_reserve(ec.kmq, ec.filling, &m, 1, NULL) == 1;
    kmq_fault = NULL;

    dropped = eu_count(ec.kmq).totals.dropped - dropped;

    diag("%zu MiB, bodies of %u, %u in 8 wait, %llu history; %zu bytes: %s, "
         "%llu dropped (%llu needed), %llu steps and %.2f ms with the lock",
         size / EU_MB, small, waiting, (unsigned long long) history, bytes,
         fits ? "fits" : "does not", (unsigned long long) dropped,
         (unsigned long long) needed, (unsigned long long) steps_max,
         (double) cpu_max / 1e6);

    ok(steps_max <= HELD_STEPS, "no more than %u steps with the lock",
       HELD_STEPS);

    if (needed > history * 5 / 4) {
        ok(!fits, "it does not fit");
        is_int((long long) dropped, 0, "no history is dropped for that");

    } else if (needed < history * 3 / 4) {
        ok(fits, "it fits");
        ok(dropped <= needed + needed / 2 + 1000,
           "no more history is dropped than that needs");
    }

    if (fits) {
        kmq_discard(ec.kmq, &m, 1);
    }

    ok(eu_verify(ec.kmq, "large and small"), "sound");
    ec_close(&ec);
}


static void
test_large(void)
{
    large(MIDDLE, 100, 0, EU_MB);
    large(MIDDLE, 100, 4, EU_MB);
    large(MIDDLE, 100, 6, EU_MB);
    large(MIDDLE, 100, 7, 3 * EU_MB);
    large(MIDDLE, 1000, 1, 3 * EU_MB);
    large(MIDDLE, 16, 4, 3 * EU_MB);
    large(4 * MIDDLE, 100, 1, 12 * EU_MB);
    large(4 * MIDDLE, 100, 7, 12 * EU_MB);
}


/* ---------------------------------------------------------------- topics */

static void
test_topics(void)
{
    int             rc;
    char            name[32];
    void           *block;
    kmq_t          *kmq;
    size_t          len;
    unsigned        n;
    kmq_message_t   m;

    kmq = eu_open(&block, TOPICS_SIZE, KMQ_PUSH_ONE);

    for (n = 0; n < 10000000; n++) {
        len = (size_t) sprintf(name, "%u", n);
        memset(&m, 0, sizeof(m));
        rc = kmq_reserve_to(kmq, name, len, &m);

        if (rc != KMQ_OK) {
            break;
        }

        kmq_commit(kmq, &m, 1);
    }

    is_int(rc, KMQ_NOMEM, "there is no memory for more of them");
    ok(n >= TOPICS, "%u topics with a message each fit into %zu MiB", n,
       TOPICS_SIZE / EU_MB);
    eu_close(kmq, block, TOPICS_SIZE, "topics");
}


int
main(void)
{
    test_topics();
    test_large();
    test_middle();
    test_changing();
    test_all();

    diag("the worst: %.3f, %s", worst, worst_name);

    return done_testing();
}
