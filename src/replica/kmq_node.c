/* A node of the cluster: its thread.  kmq_node.h. */

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "kmq_node_inside.h"


#define NODE_STALL      4        /* times the timeout */
#define NODE_REST       30000    /* ms */
#define NODE_TURN_MIN   5
#define NODE_TURN_MAX   50
#define NODE_FLUSH      100
#define NODE_HAVE       200
#define NODE_LEAVE      3000     /* for workers to close their clients */
#define NODE_FOLLOW     1000     /* and for a standby to catch up */


void
kmq_node_log(kmq_node_t *n, int level, const char *format, ...)
{
    char     text[KMQ_PATH_SIZE];
    va_list  args;

    va_start(args, format);
    (void) vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    n->options.log(n->options.arg, level, text);
}


int
kmq_node_serves(const kmq_node_t *n)
{
    return n->lease.role == KMQ_LEASE_PRIMARY
           || n->lease.role == KMQ_LEASE_PAUSED;
}


/* ----------------------------------------------------------------- begin */

static void
node_config(const kmq_node_t *n, kmq_lease_config_t *config)
{
    memset(config, 0, sizeof(kmq_lease_config_t));

    config->who.node = n->options.node;
    config->nodes = n->options.nodes;
    config->writers = KMQ_CHAIN_WRITERS;
    config->timeout = n->options.timeout;
    config->rest = NODE_REST;
    config->stall = NODE_STALL * n->options.timeout;

    /* never the same */

    if (getrandom(&config->who.start, sizeof(config->who.start), 0)
        != (ssize_t) sizeof(config->who.start))
    {
        config->who.start = (uint32_t) kmq_nats_now();
    }
}


/* What was heard and known before the files were read anew is still so. */
static void
node_remember(kmq_lease_t *lease, const kmq_lease_t *before)
{
    lease->warm = before->warm;
    lease->told = before->told;
    lease->rests = before->rests;

    memcpy(lease->peer, before->peer, sizeof(lease->peer));
}


void
kmq_node_begin(kmq_node_t *n)
{
    uint64_t              reach;
    kmq_lease_t           before;
    const kmq_chain_t    *chain;
    kmq_lease_config_t    config;

    before = n->lease;

    kmq_files_drop(&n->files);
    node_config(n, &config);

    chain = &n->files.state.chain;
    reach = n->files.reach > before.known ? n->files.reach : before.known;

    kmq_lease_start(&n->lease, &config, chain, reach,
                    chain->begun && chain->primary.node == config.who.node,
                    kmq_files_tail(&n->files, chain), kmq_nats_now());

    if (before.config.timeout) {
        node_remember(&n->lease, &before);
    }

    if (n->files.state.differs) {
        kmq_lease_differs(&n->lease);
    }

    n->time = n->files.state.time;
    n->having = 0;
    n->purge = 0;
    kmq_node_reread(n);
}


/* The process that was the node's has gone: a primary goes on as it was. */
static int
node_inherit(kmq_node_t *n)
{
    kmq_lease_config_t   config;
    const kmq_lease_t   *kept;

    kept = kmq_shared_kept(n->shared);

    if (kept == NULL) {
        return 0;
    }

    n->lease = *kept;
    n->lease.nactions = 0;

    if (!kmq_node_serves(n) || !kmq_shared_serves(n->shared, kept->epoch)) {
        return 0;
    }

    node_config(n, &config);
    config.who = n->lease.config.who;
    n->lease.config = config;
    n->role = n->lease.role;

    return 1;
}


static int
node_open(kmq_node_t *n)
{
    int   inherited;
    char  subject[KMQ_PLACE_MAX];

    n->keeps = -1;
    kmq_status_read(&n->shared->board, &n->status);
    n->link = kmq_nats_link_open(n->options.nats);

    if (n->link == NULL) {
        return -1;
    }

    kmq_place_beat(subject, n->options.name);
    n->beats = kmq_nats_link_subscribe(n->link, subject, kmq_node_heard, n);

    if (n->beats == 0) {
        return -1;
    }

    inherited = node_inherit(n);

    if (kmq_files_open(&n->files, n->options.dir, n->options.reserve,
                       n->options.node, !inherited, n->options.log,
                       n->options.arg)
        != 0)
    {
        return -1;
    }

    if (inherited) {
        kmq_node_log(n, KMQ_LOG_INFO, "this process goes on as the node's, "
                     "which is primary of epoch %u", n->lease.epoch);
        n->frozen = 1;
        kmq_node_reread(n);
        return 0;
    }

    if (n->files.foreign) {
        kmq_node_log(n, KMQ_LOG_ERROR, "the files in \"%s\" are of a queue "
                     "without a cluster: make a file \"seed\" there to begin "
                     "the cluster with them, or move them away",
                     n->options.dir);
    }

    /* whoever is attached is to let go first */

    kmq_shared_stop(n->shared);
    kmq_node_begin(n);

    if (n->shared->dirty) {
        n->letting = 1;
        n->let = kmq_nats_now();
    }

    return 0;
}


static void
node_close(kmq_node_t *n)
{
    kmq_thread_stop(&n->recovery);

    if (n->follower) {
        kmq_nats_follower_close(n->follower);
    }

    kmq_appends_close(&n->keep);
    kmq_files_close(&n->files);

    if (n->link) {
        kmq_nats_link_close(n->link);
    }
}


/* -------------------------------------------------------------- questions */

static void
node_stepped(kmq_node_t *n, uint32_t successor)
{
    n->shared->successor = successor;
    n->shared->step = successor != KMQ_NOBODY ? KMQ_STEP_DONE
                      : KMQ_STEP_NOBODY;
}


static void
node_questions(kmq_node_t *n)
{
    uint32_t  steps;

    steps = __atomic_load_n(&n->shared->steps, __ATOMIC_ACQUIRE);

    if (steps != n->shared->stepped) {

        if (n->lease.role == KMQ_LEASE_PRIMARY) {
            node_stepped(n, kmq_lease_step_down(&n->lease));
        } else {
            n->shared->step = KMQ_STEP_NOT;
        }

        __atomic_store_n(&n->shared->stepped, steps, __ATOMIC_RELEASE);
    }

    if (__atomic_exchange_n(&n->shared->stands, 0, __ATOMIC_ACQ_REL)) {
        kmq_lease_stand(&n->lease);
    }
}


/* What its writers have been told. */
static void
node_writers(kmq_node_t *n)
{
    unsigned              i, used;
    uint64_t              sent;
    kmq_shared_writer_t  *writer;

    if (!kmq_node_serves(n)
        || !kmq_shared_serves(n->shared, n->lease.epoch))
    {
        return;
    }

    used = __atomic_load_n(&n->shared->writers, __ATOMIC_ACQUIRE);

    for (i = 0; i < used; i++) {
        writer = &n->shared->writer[i];
        sent = __atomic_load_n(&writer->sent, __ATOMIC_ACQUIRE);

        if (sent > n->sent[i]) {
            n->sent[i] = sent;
            kmq_lease_acked(&n->lease, n->lease.epoch, sent,
                            __atomic_load_n(&writer->seq, __ATOMIC_RELAXED));
        }

        if (__atomic_load_n(&writer->closed, __ATOMIC_ACQUIRE)) {
            kmq_lease_closed(&n->lease, n->lease.epoch);
            return;
        }
    }

    if (used == KMQ_CHAIN_WRITERS) {
        kmq_node_log(n, KMQ_LOG_WARN, "all writers of epoch %u are used, this "
                     "node steps down", n->lease.epoch);
        kmq_lease_closed(&n->lease, n->lease.epoch);
    }
}


/* What workers may do. */
static void
node_publish(kmq_node_t *n)
{
    uint32_t       silent;
    uint64_t       until, known;
    kmq_shared_t  *shared;

    shared = n->shared;
    until = kmq_lease_until(&n->lease, n->lease.epoch);

    if (!kmq_shared_serves(shared, n->lease.epoch)) {
        until = 0;
    }

    __atomic_store_n(&shared->until, until, __ATOMIC_RELEASE);

    silent = (uint32_t) kmq_lease_silent(&n->lease);

    if (silent != shared->silent) {
        __atomic_store_n(&shared->silent, silent, __ATOMIC_RELEASE);

        if (silent) {
            kmq_node_log(n, KMQ_LOG_WARN, "the stream has acknowledged nothing "
                         "for %u ms: messages are refused until it does",
                         n->options.timeout);
        }
    }

    known = __atomic_load_n(&shared->known, __ATOMIC_RELAXED);

    if (n->lease.known > known) {
        (void) __atomic_compare_exchange_n(&shared->known, &known,
                                           n->lease.known, 0,
                                           __ATOMIC_RELAXED,
                                           __ATOMIC_RELAXED);
    }

    kmq_shared_keep(shared, &n->lease);
    kmq_node_status(n);
}


/* ------------------------------------------------------------------ files */

/* The workers' files have all that was read up to a moment, once they have
 * flushed it, or a checkpoint covers it. */
static int
node_has(kmq_node_t *n)
{
    unsigned              i;
    const kmq_chain_t    *chain;
    kmq_shared_writer_t  *writer;

    chain = &n->have.chain;

    if (chain->begun != n->lease.epoch) {
        return 0;
    }

    for (i = 0; i < chain->writers; i++) {
        writer = &n->shared->writer[i];

        if (chain->writer[i].held) {
            n->having = 0;
            return 0;
        }

        if (chain->writer[i].last
            && !writer->plain
            && __atomic_load_n(&writer->flushed, __ATOMIC_ACQUIRE)
               < chain->writer[i].last
            && (n->covered.begun != chain->begun
                || n->covered.writer[i].last < chain->writer[i].last))
        {
            return 0;
        }
    }

    return 1;
}


static void
node_have(kmq_node_t *n)
{
    if (__atomic_load_n(&n->shared->broken, __ATOMIC_ACQUIRE)) {
        n->frozen = 1;
        n->having = 0;
    }

    if (n->frozen) {
        return;
    }

    if (!n->having) {
        n->have = n->files.clean;
        n->have.chain = n->lease.chain;
        n->have.time = n->time;
        n->having = 1;
    }

    if (node_has(n)) {
        (void) kmq_files_have(&n->files, &n->have, n->lease.known);
        n->files.clean.chain = n->have.chain;
        n->files.clean.time = n->have.time;
        n->having = 0;
    }
}


static void
node_flush(kmq_node_t *n, uint64_t now)
{
    if (now - n->flushed < (kmq_node_serves(n) ? NODE_HAVE : NODE_FLUSH)) {
        return;
    }

    n->flushed = now;

    if (kmq_node_serves(n)) {
        node_have(n);
        return;
    }

    if (n->lease.role == KMQ_LEASE_DEPOSED) {
        return;
    }

    if (kmq_files_flush(&n->files, n->lease.known) != 0) {
        /* again from what is safe, a little later */
        kmq_node_begin(n);
        n->check = now + 10 * NODE_FLUSH;
        return;
    }

    if (n->files.own_void && n->recovering == 0) {
        kmq_node_log(n, KMQ_LOG_WARN, "the files of this node have what the "
                     "stream does not count");

        if (kmq_files_aside(&n->files) == 0) {
            kmq_node_begin(n);
        }
    }

    if (n->lease.tail && !kmq_files_tail(&n->files, &n->lease.chain)) {
        kmq_lease_no_tail(&n->lease);
    }
}


/* ------------------------------------------------------------------- loop */

static uint64_t
node_turn(const kmq_node_t *n)
{
    uint64_t  turn;

    turn = n->options.timeout / 64;

    return turn < NODE_TURN_MIN ? NODE_TURN_MIN
           : turn > NODE_TURN_MAX ? NODE_TURN_MAX : turn;
}


static void
node_step(kmq_node_t *n)
{
    uint64_t  now;

    now = kmq_nats_now();

    kmq_node_wait_for_seed(n);
    kmq_lease_time(&n->lease, now);
    node_writers(n);
    node_questions(n);
    kmq_node_act(n);
    kmq_node_go_on(n);
    node_publish(n);

    kmq_node_read(n, now + node_turn(n));

    kmq_lease_time(&n->lease, kmq_nats_now());
    node_flush(n, kmq_nats_now());
    kmq_node_seed(n);
    kmq_node_act(n);
    node_publish(n);
}


/* This node stops: another is to be primary, if there is one. */
static void
node_leave(kmq_node_t *n)
{
    uint64_t  now, until;

    now = kmq_nats_now();
    until = now + NODE_LEAVE;

    while (kmq_node_serves(n) && now < until
           && kmq_shared_attached(n->shared, 0))
    {
        node_step(n);
        now = kmq_nats_now();
    }

    until = now + NODE_FOLLOW;

    while (n->lease.role == KMQ_LEASE_PRIMARY && now < until) {
        node_step(n);
        now = kmq_nats_now();

        if (kmq_lease_step_down(&n->lease) != KMQ_NOBODY) {
            kmq_node_log(n, KMQ_LOG_INFO, "this node stops, and has stepped "
                         "down");
        }
    }

    kmq_node_act(n);
    (void) kmq_nats_link_run(n->link, kmq_nats_now() + NODE_TURN_MAX);
    node_publish(n);
}


static void *
node_main(void *arg)
{
    kmq_node_t  *n = arg;

    if (kmq_shared_try(&n->shared->owner) != 0) {
        __atomic_store_n(&n->works, 0, __ATOMIC_RELEASE);
        return NULL;
    }

    if (node_open(n) == 0) {

        while (!__atomic_load_n(&n->stop, __ATOMIC_ACQUIRE)) {
            node_step(n);
        }

        if (__atomic_load_n(&n->leave, __ATOMIC_ACQUIRE)) {
            node_leave(n);
        }

    } else {
        kmq_node_log(n, KMQ_LOG_ERROR, "this node cannot take part in the "
                     "cluster now");
        kmq_nats_sleep(kmq_nats_now() + NODE_FOLLOW);
    }

    node_close(n);

    (void) pthread_mutex_unlock(&n->shared->owner);
    __atomic_store_n(&n->works, 0, __ATOMIC_RELEASE);

    return NULL;
}


kmq_node_t *
kmq_node_start(const kmq_node_options_t *options)
{
    int          rc;
    sigset_t     all, before;
    kmq_node_t  *n;

    /* as far as can be seen without waiting */

    if (kmq_shared_try(&options->shared->owner) != 0) {
        return NULL;
    }

    (void) pthread_mutex_unlock(&options->shared->owner);

    n = calloc(1, sizeof(kmq_node_t));

    if (n == NULL) {
        return NULL;
    }

    n->options = *options;
    n->shared = options->shared;
    n->works = 1;

    (void) sigfillset(&all);
    (void) pthread_sigmask(SIG_BLOCK, &all, &before);

    rc = pthread_create(&n->thread, NULL, node_main, n);

    (void) pthread_sigmask(SIG_SETMASK, &before, NULL);

    if (rc != 0) {
        free(n);
        return NULL;
    }

    return n;
}


int
kmq_node_works(const kmq_node_t *n)
{
    return __atomic_load_n(&n->works, __ATOMIC_ACQUIRE);
}


void
kmq_node_ask(kmq_node_t *n, int leave)
{
    __atomic_store_n(&n->leave, leave, __ATOMIC_RELEASE);
    __atomic_store_n(&n->stop, 1, __ATOMIC_RELEASE);
}


void
kmq_node_end(kmq_node_t *n)
{
    (void) pthread_join(n->thread, NULL);
    free(n);
}
