/*
 * The cluster in a worker: it attaches to the block when this node is primary,
 * and ends when it is not any more, so that nginx starts another one in its
 * place; one of the workers has the node's thread.
 */

#include "ngx_kapokmq_cluster_inside.h"
#include "../worker/ngx_kapokmq_worker.h"


#define NGX_KAPOKMQ_CLUSTER_TICK   20          /* ms */

/* What clients have to be gone when this node is not primary any more. */
#define NGX_KAPOKMQ_LET_GO         3000

/* What journals leave of the disk, for checkpoints: a part of the zone. */
#define NGX_KAPOKMQ_RESERVE(n)     ((n) / 16)


typedef struct {
    ngx_event_t                   tick;
    int                           place;       /* in the zone; -1: none */
    kmq_node_t                   *node;        /* if this process has it */
    kmq_node_options_t            options;
    kmq_replica_options_t         replica;
    ngx_kapokmq_cluster_hooks_t   hooks;
    ngx_msec_t                    leave;       /* clients have to be gone */
    uint32_t                      barrier;     /* the last that was seen */
    unsigned                      leaving:1;   /* not primary any more */
    unsigned                      asked:1;     /* the node's thread to end */
} ngx_kapokmq_member_t;


static void ngx_kapokmq_cluster_tick(ngx_event_t *ev);
static void ngx_kapokmq_cluster_log(void *arg, int level, const char *text);


static ngx_kapokmq_member_t  ngx_kapokmq_member;


void
ngx_kapokmq_cluster_init(ngx_cycle_t *cycle, ngx_kapokmq_main_conf_t *mcf,
    const ngx_kapokmq_cluster_hooks_t *hooks)
{
    kmq_node_options_t          *options;
    ngx_kapokmq_member_t        *m;
    ngx_kapokmq_cluster_conf_t  *conf;

    m = &ngx_kapokmq_member;
    conf = mcf->cluster;
    options = &m->options;

    ngx_memzero(m, sizeof(ngx_kapokmq_member_t));

    m->hooks = *hooks;

    options->shared = mcf->node;
    options->nats = &conf->nats;
    options->name = (char *) conf->name.data;
    options->node_name = (char *) conf->node.data;
    options->address = (char *) conf->address.data;
    options->node = conf->number;
    options->nodes = conf->nodes;
    options->replicas = conf->replicas;
    options->timeout = conf->timeout;
    options->dir = (char *) mcf->directory.data;
    options->reserve = NGX_KAPOKMQ_RESERVE(mcf->block_size);
    options->block = mcf->block;
    options->block_size = mcf->block_size;
    ngx_kapokmq_cluster_settings(options, mcf);
    options->log = ngx_kapokmq_cluster_log;
    options->arg = cycle->log;

    m->replica.shared = mcf->node;
    m->replica.nats = &conf->nats;
    m->replica.name = options->name;
    m->replica.node = options->node;

    ngx_kapokmq_event_init(&m->tick, ngx_kapokmq_cluster_tick, cycle->log);

    m->place = kmq_shared_enter(mcf->node);

    if (m->place == -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "there are too many workers: this one takes no part in "
                      "the cluster");
        return;
    }

    ngx_kapokmq_cluster_tick(&m->tick);
}


static void
ngx_kapokmq_cluster_log(void *arg, int level, const char *text)
{
    ngx_log_t  *log = arg;

    static const ngx_uint_t  levels[] = {
        NGX_LOG_NOTICE, NGX_LOG_WARN, NGX_LOG_ERR
    };

    ngx_log_error(levels[level], log, 0, "cluster: %s", text);
}


const kmq_replica_options_t *
ngx_kapokmq_cluster_replica(void)
{
    return &ngx_kapokmq_member.replica;
}


/* -------------------------------------------------------------- the node's */

/* Is nginx to stop, or is another worker to come in this one's place? */
static ngx_uint_t
ngx_kapokmq_cluster_stops(void)
{
    ngx_kapokmq_worker_t  *w;

    w = &ngx_kapokmq_worker;

    return !ngx_kapokmq_member.leaving
           && w->reloads == w->shared->reloads;
}


/* The process that has the node's thread may end, or have ended. */
static void
ngx_kapokmq_cluster_node(void)
{
    ngx_kapokmq_member_t  *m;

    m = &ngx_kapokmq_member;

    if (m->node && !kmq_node_works(m->node)) {
        kmq_node_end(m->node);
        m->node = NULL;
    }

    if (m->node == NULL) {

        if (!ngx_exiting && !ngx_quit && !ngx_terminate) {
            m->node = kmq_node_start(&m->options);
            m->asked = 0;
        }

        return;
    }

    if (ngx_exiting && !m->asked) {
        m->asked = 1;
        kmq_node_ask(m->node, ngx_kapokmq_cluster_stops());
    }
}


/* ------------------------------------------------------------ the block's */

/* nginx starts another worker when this one has ended as at a reload: all of
 * its clients are told, and nothing of what they had is left. */
static void
ngx_kapokmq_cluster_leave(void)
{
    ngx_kapokmq_member_t  *m;

    m = &ngx_kapokmq_member;

    if (!m->leaving) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_kapokmq_worker.log, 0,
                      "this node is not primary any more, a new worker takes "
                      "the place of this one");
        m->leaving = 1;
        m->leave = ngx_current_msec + NGX_KAPOKMQ_LET_GO;

        if (!ngx_exiting) {
            ngx_quit = 1;
        }

    } else if ((ngx_msec_int_t) (ngx_current_msec - m->leave) >= 0) {
        ngx_terminate = 1;
    }
}


static void
ngx_kapokmq_cluster_block(void)
{
    uint32_t               barrier;
    kmq_shared_t          *shared;
    ngx_kapokmq_worker_t  *w;
    ngx_kapokmq_member_t  *m;

    w = &ngx_kapokmq_worker;
    m = &ngx_kapokmq_member;
    shared = w->cluster;

    if (w->kmq == NULL) {

        if (!ngx_exiting && !ngx_quit) {
            w->epoch = __atomic_load_n(&shared->epoch, __ATOMIC_ACQUIRE);

            if (w->epoch) {
                (void) kmq_shared_attach(shared, m->place, m->hooks.attach,
                                         m->hooks.arg);
            }
        }

        return;
    }

    if (!kmq_shared_serves(shared, w->epoch)) {
        ngx_kapokmq_cluster_leave();
        return;
    }

    barrier = __atomic_load_n(&shared->barrier, __ATOMIC_ACQUIRE);

    if (barrier != m->barrier) {
        m->barrier = barrier;
        m->hooks.barrier(barrier);
    }
}


static void
ngx_kapokmq_cluster_tick(ngx_event_t *ev)
{
    ngx_uint_t  leave;

    leave = ngx_kapokmq_worker.kmq && ngx_kapokmq_worker_leave();

    ngx_kapokmq_cluster_node();
    ngx_kapokmq_cluster_block();

    if (leave && ngx_kapokmq_worker.kmq) {
        /* what a pause has kept back */
        ngx_kapokmq_clock();
        ngx_kapokmq_wake();
    }

    ngx_add_timer(ev, NGX_KAPOKMQ_CLUSTER_TICK);
}


void
ngx_kapokmq_cluster_pass(uint32_t number)
{
    kmq_shared_pass(ngx_kapokmq_worker.cluster, ngx_kapokmq_member.place,
                    number);
}


void
ngx_kapokmq_cluster_drained(void)
{
    kmq_shared_worker_t  *worker;

    worker = &ngx_kapokmq_worker.cluster->worker[ngx_kapokmq_member.place];

    __atomic_store_n(&worker->drained, 1, __ATOMIC_RELEASE);
}


void
ngx_kapokmq_cluster_exit(void)
{
    ngx_kapokmq_member_t  *m;

    m = &ngx_kapokmq_member;

    if (m->place == -1) {
        return;
    }

    kmq_shared_detach(ngx_kapokmq_worker.cluster, m->place);

    if (m->node) {

        if (!m->asked) {
            kmq_node_ask(m->node, ngx_kapokmq_cluster_stops());
        }

        kmq_node_end(m->node);
        m->node = NULL;
    }

    kmq_shared_exit(ngx_kapokmq_worker.cluster, m->place);
}
