/*
 * Model-based test: random calls on several handles of one block, and beside
 * it a trivial model (engine_model.h) that says what each call may answer.
 *
 *     KMQ_SEED=n   repeats a run       KMQ_STEPS=n   calls per run
 *     KMQ_RUN=n    only this one       KMQ_JOBS=n    runs at a time
 *
 * Each run is a process of its own.
 */

#include <sys/wait.h>
#include <unistd.h>

#include "engine_model_sieve.h"


#define HANGS  600                 /* s in one run */


/* ----------------------------------------------------------------- checks */

static void
op_count(void)
{
    unsigned      h, keepers;
    kmq_counts_t  now;

    h = some_handle();
    observe(h, &now);
    compare(&now);

    for (h = 0, keepers = 0; h < HANDLES; h++) {
        keepers += !M.handle[h].dead && kmq_next_due(M.handle[h].kmq);
    }

    CHECK(keepers <= 1, "%u keepers", keepers);
}


static void
op_walk(void)
{
    kmq_t              *kmq;
    unsigned            i, k, n, role, found;
    uint64_t            cursor, seen;
    client_t           *c;
    kmq_client_info_t   info[5];

    kmq = M.handle[some_handle()].kmq;
    role = 1 + below(2);
    cursor = 0;
    seen = 0;
    found = 0;

    while ((n = kmq_clients(kmq, role, &cursor, info, 1 + below(5))) != 0) {

        for (i = 0; i < n; i++, found++) {
            info[i].id[info[i].id_len] = '\0';

            for (k = 0; k < CLIENTS; k++) {
                c = &M.client[k];

                if (c->ref && c->serial == strtoul(info[i].id, NULL, 10)) {
                    break;
                }
            }

            CHECK(k < CLIENTS && !(seen >> k & 1), "client not there");
            seen |= UINT64_C(1) << k;
            CHECK(c->role == role && info[i].role == role
                  && info[i].worker == M.handle[c->handle].worker
                  && (role == KMQ_PRODUCER
                      || (info[i].in_flight == c->n
                          && info[i].prefetch == c->prefetch))
                  && topic_by_name(info[i].topic, info[i].topic_len)
                     == &M.topic[c->topic],
                  "client is not as it is");
            check_client(c, &info[i]);
        }
    }

    CHECK(found == (role == KMQ_PRODUCER ? M.producers : M.consumers),
          "%u clients found", found);
}


static void
verify(void)
{
    char  text[512];

    if (kmq_verify(M.handle[some_handle()].kmq, text, sizeof(text)) != KMQ_OK)
    {
        fail("kmq_verify: %s", text);
    }
}


/* A consumer that could be pushed something, NULL: there is none. */
static client_t *
starving(void)
{
    unsigned   i;
    uint32_t   id;
    topic_t   *t;
    client_t  *c;

    for (i = 0; i < CLIENTS; i++) {
        c = &M.client[i];
        t = &M.topic[c->topic];

        if (!is_active(c) || !c->ready || c->n >= c->prefetch) {
            continue;
        }

        if (t->nready) {
            return c;
        }

        for (id = t->log.head; id != NONE; id = NEXT(&t->log, id)) {
            if (M.message[id].todo & bit_of(c) && !M.message[id].doomed) {
                return c;
            }
        }
    }

    return NULL;
}


/* Lets the workers do all they were told to do, and no more. */
static void
work(void)
{
    int       again;
    unsigned  h, calls;

    calls = 0;

    /* of a tick before */

    for (h = 0; h < HANDLES; h++) {
        if (!M.handle[h].dead) {
            clients_close(h);
        }
    }

    do {
        again = 0;

        for (h = 0; h < HANDLES; h++) {

            if (is_told(h)) {
                M.handle[h].woken = 0;
                M.handle[h].timer = 0;
                again = 1;

                while (take(h)) { /* void */ }
                clients_close(h);
                CHECK(++calls < 100000, "work without end");
            }
        }
    } while (again);
}


/* All that was due has been done: nothing is ready too late, no delivery
 * overdue. */
static void
check_due(void)
{
    unsigned     i;
    client_t    *c;
    delivery_t  *d;

    CHECK(M.delayed.count == 0 || M.message[M.delayed.head].due > M.mono,
          "%u is delayed, and due since %llu ms", M.delayed.head,
          (unsigned long long) (M.mono - M.message[M.delayed.head].due));

    for (c = M.client; c < M.client + CLIENTS; c++) {
        if (!is_active(c)) {
            continue;
        }

        for (i = 0; i < c->n; i++) {
            d = &c->flight[i];

            CHECK(!overdue(c, d) || (!c->ready
                      && M.topic[c->topic].push_type == KMQ_PUSH_ALL),
                  "%u has been with %u for %llu ms", d->id,
                  (unsigned) (c - M.client),
                  (unsigned long long) (M.mono - d->time));
        }
    }
}


/* The first messages of a topic's lists. */
static void
topic_first(const topic_t *t, uint32_t first[3])
{
    first[0] = ready_first(t);
    first[1] = t->dead.head;
    first[2] = t->history.head;
}


/*
 * Lets a check_interval go by, and all workers look.  Then no list begins with
 * a message that it began with all the time, and that was too old before.
 */
static void
check_age(void)
{
    unsigned  i, k;
    uint32_t  now, first[TOPICS][3], id[3];
    uint64_t  then, back[TOPICS];

    then = M.mono;
    now = seconds(some_handle());

    for (i = 0; i < TOPICS; i++) {
        topic_first(&M.topic[i], first[i]);
        back[i] = M.topic[i].came_back;
    }

    M.mono += M.settings.check_interval;
    clock_all();

    for (i = 0; i < HANDLES; i++) {
        tick(i);
    }

    work();
    check_due();

    for (i = 0; i < TOPICS; i++) {
        topic_first(&M.topic[i], id);

        for (k = 0; k < 3; k++) {
            CHECK(id[k] == NONE || id[k] != first[i][k]
                  || M.message[id[k]].entered > then || M.message[id[k]].tie
                  || (k == 0 && back[i] != M.topic[i].came_back)
                  || !is_old(id[k], now),
                  "%u in state %d is too old", id[k],
                  M.message[id[k]].state);
        }
    }
}


/* The milliseconds until the next batch. */
static uint64_t
next_batch(void)
{
    unsigned  h;
    uint64_t  next, least;

    least = 0;

    for (h = 0; h < HANDLES; h++) {
        if (!M.handle[h].dead) {
            next = kmq_next_batch(M.handle[h].kmq);
            least = next && (least == 0 || next < least) ? next : least;
        }
    }

    return least;
}


/* Lets batches go until nobody waits for one. */
static void
work_paced(void)
{
    unsigned   h, i;
    uint64_t   next, least;
    client_t  *c;

    for (i = 0; (c = starving()) != NULL; i++) {
        least = next_batch();

        CHECK(M.settings.batch_interval && least, "consumer %u of topic %u "
              "waits for ever, %u ready", (unsigned) (c - M.client), c->topic,
              M.topic[c->topic].nready);

        /* what is not confirmed may be overdue sooner than all have gone */

        if (i >= 50 && M.options & TIMED) {
            return;
        }

        CHECK(i < 20000, "batches without end");
        M.mono += least;

        for (h = 0; h < HANDLES; h++) {
            if (!M.handle[h].dead) {
                next = kmq_next_batch(M.handle[h].kmq);
                clock_set(h);
                M.handle[h].woken |= next && next <= least;
            }
        }

        work();
    }
}


/*
 * No wake-up is ever lost: when every worker has done what it was told to,
 * nobody is left that could be pushed something, but for the pace, and nothing
 * is late.
 */
static void
op_quiesce(void)
{
    unsigned  h;

    clock_all();

    if (M.lost_wakes || dead_handles()) {
        M.lost_wakes = 0;
        tick(some_handle());
        clock_all();

        for (h = 0; h < HANDLES; h++) {
            tick(h);
        }
    }

    M.lost_wakes = 0;
    work();
    check_closed();
    check_due();
    work_paced();
    check_due();

    if (M.options & TIMED && one_in(4)) {
        check_age();
    }
}


/* ------------------------------------------------------------------- runs */

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
    { op_disconnect,    0,       {    5,     5,      5,    50 } },
    { op_extend,        TIMED,   {  300,   100,    300,   300 } },
    { op_return,        TIMED,   {  200,    50,    200,   200 } },
    { op_find,          MANAGED, {  200,   200,    200,   200 } },
    { op_copy,          MANAGED, {   40,    40,     40,    40 } },
    { op_delete,        MANAGED, {  100,    50,    100,   100 } },
    { op_requeue,       MANAGED, {  100,    50,    100,   100 } },
    { op_requeue_topic, MANAGED, {   10,     5,     10,    10 } },
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
    uint64_t  fill;

    /* the last one: times of 32 bits overflow on the way */

    static const uint64_t  clocks[] = { 1000, 1000, UINT32_MAX - 20000 };

    memset(&M, 0, sizeof(M));
    M.seed = seed;
    M.run = n;
    M.random = seed + n;
    M.options = options;
    M.mono = clocks[below(3)];
    M.block = eu_block(SIZE);
    M.settings = eu_settings(push_type);
    M.settings.waiting_max = 3000;
    M.settings.topic_own = topic_own;
    M.settings.topic_arg = &M;

    fill = 1;
    eu_fill(noise, sizeof(noise), fill);

    for (i = 0; i < MESSAGES; i++) {
        M.unused[M.nunused++] = i;
    }

    list_init(&M.all, ALL);
    list_init(&M.history, HISTORY);
    list_init(&M.delayed, PLACE);

    for (i = 0; i < TOPICS; i++) {
        sprintf(M.topic[i].name, "topic %*u", i % 2 ? 100 : 1, i);
        list_init(&M.topic[i].fresh, PLACE);
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
    M.mono += 1000000;
    drain();
    op_count();

    for (i = 0; i < CLIENTS; i++) {
        if (M.client[i].ref) {
            leave(&M.client[i]);
        }
    }

    while (M.history.count) {
        delete(0, M.history.head);
    }

    verify();
    k = eu_count(M.handle[0].kmq);
    CHECK(k.ready + k.in_flight + k.delayed + k.dead + k.consumed == 0,
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
    { "point to point, survivors",         ONE, SIEVES },
    { "both, timed, repaired, survivors",  ONE,
      TIMED|MIXED|KILLS|BREAKS|SIEVES },
};

#define RUNS  (sizeof(runs) / sizeof(runs[0]))


/* What a run says to the parent. */
typedef struct {
    char    text[500];
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
             && M.disconnected && M.watched
             && (!(M.options & MANAGED)
                 || (M.deleted && M.purged && M.searches))
             && (!(M.options & TIMED)
                 || (M.due && M.overdue && M.died && M.expired && M.extended
                     && M.returned && M.died_leaving));

    snprintf(r->text, sizeof(r->text), "%llu published, %llu delivered, "
             "%llu consumed; %llu times out of memory, %llu due, %llu overdue, "
             "%llu pushed again, %llu dead, %llu expired, %llu deleted, "
             "%llu requeued, %llu searches, %llu kills, %llu repairs, "
             "%llu probes, %llu restarts, %llu checkpoints, "
             "%llu consumed missing, %llu there again, "
             "%llu purged, %llu disconnected, %llu times sieved",
             (unsigned long long) M.published,
             (unsigned long long) M.delivered, (unsigned long long) M.ended,
             (unsigned long long) M.nomems, (unsigned long long) M.due,
             (unsigned long long) M.overdue, (unsigned long long) M.repushed,
             (unsigned long long) M.died, (unsigned long long) M.expired,
             (unsigned long long) M.deleted, (unsigned long long) M.requeued,
             (unsigned long long) M.searches, (unsigned long long) M.kills,
             (unsigned long long) M.repaired,
             (unsigned long long) M.probed, (unsigned long long) M.restarts,
             (unsigned long long) D.checkpoints,
             (unsigned long long) M.missing,
             (unsigned long long) M.remembered,
             (unsigned long long) M.purged,
             (unsigned long long) M.disconnected,
             (unsigned long long) M.sieved);
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

    seed = eu_env("KMQ_SEED", (uint64_t) time(NULL));
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
