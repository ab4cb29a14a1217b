/*
 * Model-based test: random calls on several handles of one block, and beside
 * it a trivial model (engine_model/) that says what each call may answer.
 *
 *     KMQ_SEED=n   repeats a run       KMQ_STEPS=n   calls per run
 *     KMQ_RUN=n    only this one       KMQ_JOBS=n    runs at a time
 *     KMQ_SHARDS=n shards of a block
 *
 * Each run is a process of its own.
 */

#include <sys/wait.h>
#include <unistd.h>

#include "engine_model/apart.h"
#include "engine_model/body.h"
#include "engine_model/break.h"
#include "engine_model/check.h"
#include "engine_model/client.h"
#include "engine_model/clock.h"
#include "engine_model/confirm.h"
#include "engine_model/disk.h"
#include "engine_model/handle.h"
#include "engine_model/manage.h"
#include "engine_model/publish.h"
#include "engine_model/reattach.h"
#include "engine_model/restart.h"
#include "engine_model/search.h"
#include "engine_model/settings.h"
#include "engine_model/settle.h"
#include "engine_model/shard.h"
#include "engine_model/sieve.h"
#include "engine_model/take.h"
#include "engine_model/watch.h"


#define HANGS  600                 /* s in one run */


typedef struct {
    void      (*call)(void);
    unsigned    options;           /* in which runs; 0: in all */
    unsigned    weight[4];         /* in each mood */
} op_t;

static const op_t  ops[] = {
    /*                              even  fills  drains  churn */
    { op_publish,       0,       { 3000,  6000,   1000,  2000 } },
    { op_take,          0,       { 2000,  1000,   3000,  2000 } },
    { op_confirm_upto,  0,       { 1200,   200,   2000,   500 } },
    { op_confirm_codes, 0,       { 1200,   200,   2000,   500 } },
    { op_join,          0,       {   60,    20,     60,   400 } },
    { op_leave,         0,       {   30,    20,     10,   400 } },
    { op_set_ready,     0,       {  100,   100,    100,   300 } },
    { op_clock,         0,       {  200,   200,    200,   200 } },
    { op_tick,          0,       {   20,    20,     20,    20 } },
    { op_count,         0,       {   20,    20,     20,    20 } },
    { op_walk,          0,       {    5,     5,      5,    20 } },
    { op_configure,     0,       {    3,     3,      3,     3 } },
    { op_reattach,      0,       {    2,     2,      2,    30 } },
    { verify,           0,       {    3,     3,      3,     3 } },
    { op_quiesce,       0,       {   30,     5,     30,    30 } },
    { op_growth,        0,       {   10,    10,     10,    10 } },
    { op_latency,       0,       {   10,    10,     10,    10 } },
    { op_topics,        0,       {   10,    10,     10,    10 } },
    { op_refused,       0,       {   10,    10,     10,    10 } },
    { op_seen,          0,       {   30,    30,     30,    30 } },
    { op_pause,         0,       {    8,     8,      8,    20 } },
    { op_disconnect,    0,       {    5,     5,      5,    50 } },
    { op_extend,        TIMED,   {  300,   100,    300,   300 } },
    { op_return,        TIMED,   {  200,    50,    200,   200 } },
    { op_settle,        0,       {  200,   100,    300,   200 } },
    { op_lease,         APART,   {  100,    50,    200,   200 } },
    { op_lease_cancel,  APART,   {   10,     5,     20,    20 } },
    { op_park,          APART,   {  100,    50,    200,   200 } },
    { op_resume,        APART,   {   60,    30,    150,   150 } },
    { op_find,          MANAGED, {  200,   200,    200,   200 } },
    { op_copy,          MANAGED, {   40,    40,     40,    40 } },
    { op_delete,        MANAGED, {  100,    50,    100,   100 } },
    { op_requeue,       MANAGED, {  100,    50,    100,   100 } },
    { op_requeue_topic, MANAGED, {   10,     5,     10,    10 } },
    { op_make_due,      MANAGED, {   50,    20,     50,    50 } },
    { op_search,        MANAGED, {    4,     2,      4,     4 } },
    { op_purge,         MANAGED, {    1,     1,      1,     2 } },
    { op_search_on,     MANAGED, {   20,    20,     20,    20 } },
    { op_break,         BREAKS,    {  2,     2,      2,     5 } },
    { op_flush,         JOURNALED, { 40,    40,     40,    40 } },
    { op_checkpoint,    JOURNALED, { 30,    30,     30,    30 } },
    { op_restart,       JOURNALED, {  1,     1,      1,     2 } },
    { op_sieve,         SIEVES,    {  1,     1,      1,     1 } },
};

#define OPS  (sizeof(ops) / sizeof(ops[0]))


static unsigned
weight(const op_t *op)
{
    return op->options && !(M.options & op->options) ? 0
                                                     : op->weight[M.mood];
}


static void
start(uint64_t seed, unsigned n, unsigned push_type, unsigned options)
{
    unsigned  i;

    /* the last one: times of 32 bits overflow on the way */

    static const uint64_t  clocks[] = { 1000, 1000, UINT32_MAX - 20000 };

    memset(&M, 0, sizeof(M));
    M.seed = seed;
    M.run = n;
    M.random = seed + n;
    M.options = options;
    M.mono = clocks[below(3)];
    M.handle[NOBODY].dead = 1;
    shards_begin();
    M.block = eu_block(SIZE);
    M.settings = eu_settings(push_type);
    M.settings.waiting_max = 3000;
    M.settings.topic_own = topic_own;
    M.settings.topic_arg = &M;

    bodies_init();

    for (i = 0; i < MESSAGES; i++) {
        M.unused[M.nunused++] = i;
    }

    list_init(&M.all, ALL);

    for (i = 0; i < SHARDS; i++) {
        list_init(&M.shard[i].history, HISTORY);
    }

    list_init(&M.delayed, PLACE);
    list_init(&M.retrying, PLACE);

    for (i = 0; i < TOPICS; i++) {
        sprintf(M.topic[i].name, "topic %*u", i % 2 ? 100 : 1, i);
        list_init(&M.topic[i].fresh, PLACE);
        list_init(&M.topic[i].loose, PLACE);
        list_init(&M.topic[i].log, PLACE);
        list_init(&M.topic[i].dead, PLACE);
        list_init(&M.topic[i].history, PLACE);
        M.topic[i].now = M.settings.topic;
    }

    if (options & JOURNALED) {
        disk_open();
    }

    for (i = 0; i < HANDLES; i++) {
        attach(i, i);
    }

    shards_learn(0);
    configure();
}


/* Time goes on, and what is dead lives again, until all is consumed. */
static void
drain(void)
{
    unsigned   i, k;
    uint64_t   due;
    client_t  *c;

    for (i = 0; i < 2 * TOPICS; i++) {
        join(&M.client[i], KMQ_CONSUMER, i % TOPICS);
        CHECK(M.client[i].ref, "no memory for a client");
    }

    for (i = 0; M.all.count > M.consumed && i < 200000; i++) {
        c = &M.client[below(2 * TOPICS)];
        c->ready = 1;
        kmq_set_ready(M.handle[c->handle].kmq, c->ref, 1);
        wakes(c->handle);
        op_quiesce();
        op_confirm_upto();

        if (i % 100 == 0) {
            if (M.delayed.count) {
                due = M.message[M.delayed.tail].due;
                M.mono = due > M.mono ? due : M.mono;
            }

            for (k = 0; M.dead && k < 100; k++) {
                op_requeue_topic();
            }
        }
    }

    CHECK(M.all.count == M.consumed, "%u messages stay",
          (unsigned) (M.all.count - M.consumed));
}


/* Everybody leaves, all is consumed; nothing may stay behind. */
static void
finish_run(void)
{
    unsigned       i;
    kmq_counts_t   k;

    tick(some_handle());
    apart_end();

    for (i = 0; i < HELD; i++) {
        finish(&M.held[i]);
    }

    for (i = 0; i < CLIENTS; i++) {
        if (M.client[i].ref) {
            leave(&M.client[i]);
        }
    }

    M.settings.batch_interval = 0;
    M.settings.keep_consumed = 0;
    memset(&M.settings.topic, 0, sizeof(M.settings.topic));
    M.settings.topic.push_type = KMQ_PUSH_ONE;

    for (i = 0; i < TOPICS; i++) {
        M.topic[i].has_own = 0;
    }

    configure();
    resume_all();
    M.mono += 1000000;
    drain();
    op_count();

    for (i = 0; i < CLIENTS; i++) {
        if (M.client[i].ref) {
            leave(&M.client[i]);
        }
    }

    for (i = 0; i < SHARDS; i++) {
        while (M.shard[i].history.count) {
            delete(0, M.shard[i].history.head);
        }
    }

    verify();

    /* the bodies of many pieces go a few at a time */

    for (i = 0; i < 1000; i++) {
        k = eu_count(M.handle[0].kmq);

        if (k.bytes_free > k.bytes_total / 8 * 7) {
            break;
        }

        tick(0);
    }

    CHECK(k.ready + k.in_flight + k.delayed + k.retrying + k.dead + k.consumed
          == 0,
          "messages stay");
    CHECK(k.bytes_free > k.bytes_total / 8 * 7, "%llu bytes of %llu are free",
          (unsigned long long) k.bytes_free,
          (unsigned long long) k.bytes_total);
}


static void
steps(uint64_t n)
{
    uint64_t  i;
    unsigned  k, sum, x;

    for (i = 0; i < n; i++) {
        M.step = i;

        if (i % 5000 == 0) {
            M.mood = (int) below(4);
        }

        for (k = 0, sum = 0; k < OPS; k++) {
            sum += weight(&ops[k]);
        }

        x = below(sum);

        for (k = 0; x >= weight(&ops[k]); k++) {
            x -= weight(&ops[k]);
        }

        ops[k].call();
    }
}


typedef struct {
    const char  *name;
    unsigned     push_type, options;
} run_t;

#define ONE  KMQ_PUSH_ONE
#define PUB KMQ_PUSH_ALL

static const run_t  runs[] = {
    { "point to point",                    ONE, 0 },
    { "publish/subscribe",                 PUB, 0 },
    { "point to point, paced",             ONE, PACED },
    { "publish/subscribe, paced",          PUB, PACED },
    { "both, large",                       ONE, MIXED|LARGE|JOURNALED },
    { "both, large, paced",                PUB, MIXED|LARGE|PACED },
    { "point to point, timed",             ONE, TIMED },
    { "publish/subscribe, timed",          PUB, TIMED },
    { "point to point, timed, managed",    ONE, TIMED|MANAGED|JOURNALED },
    { "publish/subscribe, timed, managed", PUB, TIMED|MANAGED|KILLS|JOURNALED },
    { "both, timed, managed, repaired",    ONE,
      TIMED|MANAGED|KILLS|MIXED|BREAKS|JOURNALED },
    { "both, all there is",                ONE,
      TIMED|MANAGED|KILLS|MIXED|PACED|JOURNALED },
    { "both, all there is, large",         PUB,
      TIMED|MANAGED|KILLS|MIXED|PACED|LARGE|BREAKS|JOURNALED },
    { "point to point, set apart",         ONE, TIMED|MANAGED|APART },
    { "point to point, set apart, repaired", ONE,
      TIMED|KILLS|BREAKS|JOURNALED|APART },
    { "point to point, survivors",         ONE, SIEVES },
    { "both, timed, repaired, survivors",  ONE,
      TIMED|MIXED|KILLS|BREAKS|SIEVES },
};

#define RUNS  (sizeof(runs) / sizeof(runs[0]))


/* What a run says to the parent. */
typedef struct {
    char    text[1000];
    int     shared;                /* publish/subscribe alone */
    int     met;                   /* all that it was made for has happened */
    pid_t   pid;
} result_t;


static void
report(result_t *r)
{
    r->met = (!(M.options & LARGE) || M.nomems)
             && (!(M.options & MIXED) || M.switched)
             && (!(M.options & KILLS) || M.kills)
             && (!(M.options & BREAKS) || M.repaired || !CAN_BREAK)
             && (!(M.options & JOURNALED)
                 || (M.restarts && M.accepted && D.checkpoints
                     && D.abandoned))
             && (!(M.options & SIEVES) || M.sieved)
             && (!(M.options & APART)
                 || (M.set_apart && M.lapsed && M.cancelled && M.resumed))
             && M.disconnected && M.watched && M.paused
             && (!(M.options & MANAGED)
                 || (M.deleted && M.purged && M.searches))
             && (!(M.options & TIMED)
                 || (M.due && M.overdue && M.died && M.expired && M.extended
                     && M.returned && M.died_leaving && M.isolated
                     && (r->shared || (M.retried && M.rested && M.gave_all
                                       && M.late))));

    snprintf(r->text, sizeof(r->text), "%u shards: %llu published, "
             "%llu delivered, %llu consumed; %llu times out of memory, "
             "%llu due, %llu overdue, "
             "%llu pushed again, %llu dead, %llu expired, %llu deleted, "
             "%llu requeued, %llu searches, %llu kills, %llu repairs, "
             "%llu retried, %llu suspects, %llu isolated, %llu rests, "
             "%llu times all back, %llu confirmed late, "
             "%llu restarts, %llu checkpoints, "
             "%llu consumed missing, %llu there again, "
             "%llu purged, %llu disconnected, %llu times paused, "
             "%llu times sieved; "
             "%llu set apart, %llu lapsed, %llu cancelled, %llu resumed",
             M.shards, (unsigned long long) M.published,
             (unsigned long long) M.delivered, (unsigned long long) M.ended,
             (unsigned long long) M.nomems, (unsigned long long) M.due,
             (unsigned long long) M.overdue, (unsigned long long) M.repushed,
             (unsigned long long) M.died, (unsigned long long) M.expired,
             (unsigned long long) M.deleted, (unsigned long long) M.requeued,
             (unsigned long long) M.searches, (unsigned long long) M.kills,
             (unsigned long long) M.repaired,
             (unsigned long long) M.retried,
             (unsigned long long) M.suspects,
             (unsigned long long) M.isolated, (unsigned long long) M.rested,
             (unsigned long long) M.gave_all, (unsigned long long) M.late,
             (unsigned long long) M.restarts,
             (unsigned long long) D.checkpoints,
             (unsigned long long) M.missing,
             (unsigned long long) M.remembered,
             (unsigned long long) M.purged,
             (unsigned long long) M.disconnected,
             (unsigned long long) M.paused,
             (unsigned long long) M.sieved,
             (unsigned long long) M.set_apart,
             (unsigned long long) M.lapsed,
             (unsigned long long) M.cancelled,
             (unsigned long long) M.resumed);
}


/* The life of a child. */
static void
run(unsigned n, uint64_t seed, uint64_t nsteps, result_t *r)
{
    unsigned  i;

    (void) alarm(HANGS);
    start(seed, n, runs[n].push_type, runs[n].options);
    steps(nsteps);
    finish_run();
    r->shared = runs[n].push_type == PUB && !(runs[n].options & MIXED);
    report(r);

    for (i = 0; i < HANDLES; i++) {
        handle_close(&M.handle[i], 1);
    }

    for (i = 0; i < CLIENTS; i++) {
        free(M.client[i].flight);
    }

    for (i = 0; i < TOPICS; i++) {
        free(M.topic[i].group);
    }

    if (M.options & JOURNALED) {
        checkpoint_abandon();
        disk_close();
    }

    free(M.forgotten);
    munmap(M.block, SIZE);
}


/* Waits for one child; 0 when there is none. */
static int
reap(result_t *r, uint64_t nsteps)
{
    int       status;
    pid_t     pid;
    unsigned  n;

    pid = wait(&status);

    for (n = 0; n < RUNS && pid > 0; n++) {
        if (r[n].pid != pid) {
            continue;
        }

        if (ok(status == 0, "%s", runs[n].name)) {
            diag("%s", r[n].text);
            ok(r[n].met || nsteps < 500000, "%s: that was all it is for",
               runs[n].name);
        } else {
            diag("status %x", (unsigned) status);
        }
    }

    return pid > 0;
}


int
main(void)
{
    uint64_t   seed, nsteps, only;
    result_t  *r;
    pid_t      pid;
    unsigned   n, jobs, running;

    /* the model does all at once */

    kmq_slice = 1 << 20;

    /* positions go round soon */

    kmq_position = UINT32_MAX - 2000;

    /* the same steps each time; whoever looks for more gives other seeds */

    seed = eu_env("KMQ_SEED", 42);
    nsteps = eu_env("KMQ_STEPS", 900000);
    only = eu_env("KMQ_RUN", RUNS);
    jobs = (unsigned) eu_env("KMQ_JOBS",
                             (uint64_t) sysconf(_SC_NPROCESSORS_ONLN));
    diag("KMQ_SEED=%llu KMQ_STEPS=%llu", (unsigned long long) seed,
         (unsigned long long) nsteps);

    r = eu_map(RUNS * sizeof(result_t));
    running = 0;

    for (n = 0; n < RUNS; n++) {
        if (only != RUNS && only != n) {
            continue;
        }

        if (running == jobs) {
            (void) reap(r, nsteps);
            running--;
        }

        fflush(stdout);
        pid = fork();

        if (pid == 0) {
            run(n, seed, nsteps, &r[n]);
            exit(0);
        }

        r[n].pid = pid;
        running++;
    }

    while (reap(r, nsteps)) { /* void */ }

    return done_testing();
}
