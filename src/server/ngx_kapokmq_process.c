/* Processes: what the master prepares, how a worker begins and ends, and what
 * it does all the time. */

#include "ngx_kapokmq_process.h"
#include "client/ngx_kapokmq_drain.h"
#include "cluster/ngx_kapokmq_cluster.h"
#include "client/ngx_kapokmq_guest.h"
#include "console/ngx_kapokmq_console.h"
#include "deliver/ngx_kapokmq_deliver.h"
#include "disk/ngx_kapokmq_disk.h"
#include "http/ngx_kapokmq_hop.h"
#include "session/ngx_kapokmq_session.h"
#include "worker/ngx_kapokmq_worker.h"


#define NGX_KAPOKMQ_TICK_FIRST  100    /* ms */
#define NGX_KAPOKMQ_TICK_TIME   500


static int ngx_kapokmq_attach(void *arg);
static void ngx_kapokmq_detach(void);
static void ngx_kapokmq_deliver_leave(ngx_event_t *ev);
static void ngx_kapokmq_tick(ngx_event_t *ev);
static void ngx_kapokmq_orphaned(void);


/* A timer. */
static ngx_event_t  ngx_kapokmq_housekeeping;


/* The configuration, NULL where there is no queue in it. */
static ngx_kapokmq_main_conf_t *
ngx_kapokmq_main_conf(ngx_cycle_t *cycle)
{
    ngx_kapokmq_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_kapokmq_module);

    return (mcf && mcf->zone) ? mcf : NULL;
}


/* In the master, before workers are forked; at each reload again. */
ngx_int_t
ngx_kapokmq_init_module(ngx_cycle_t *cycle)
{
    ngx_kapokmq_main_conf_t  *mcf;

    mcf = ngx_kapokmq_main_conf(cycle);

    if (!ngx_test_config && mcf) {
        /* this configuration cannot be refused any more: from now on workers
         * of the one before know which of their keys are not valid */
        kmq_valid_write(mcf->valid, mcf->config->valid, ngx_time());

        ngx_kapokmq_wake_create(cycle);
#ifdef KMQ_FAULTS
        ngx_kapokmq_fault_init(cycle->log);
#endif
    }

    return NGX_OK;
}


/* A failure only makes this worker refuse requests: one that exits here is
 * not started again. */
ngx_int_t
ngx_kapokmq_init_process(ngx_cycle_t *cycle)
{
    ngx_kapokmq_worker_t         *w;
    ngx_kapokmq_main_conf_t      *mcf;
    ngx_kapokmq_cluster_hooks_t   hooks;

    mcf = ngx_kapokmq_main_conf(cycle);

    if (mcf && mcf->hop) {
        mcf->hop->hops = mcf->hops;
    }

    if (mcf == NULL || (ngx_process != NGX_PROCESS_WORKER
                        && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    w = &ngx_kapokmq_worker;

    ngx_kapokmq_event_init(&w->deliver,
                           mcf->cluster ? ngx_kapokmq_deliver_leave
                                        : ngx_kapokmq_deliver,
                           cycle->log);
    ngx_kapokmq_event_init(&w->producers, ngx_kapokmq_producers_resume,
                           cycle->log);
    ngx_kapokmq_event_init(&ngx_kapokmq_housekeeping, ngx_kapokmq_tick,
                           cycle->log);

    ngx_kapokmq_worker_init(cycle, mcf);

    if (mcf->cluster) {
        hooks.attach = ngx_kapokmq_attach;
        hooks.barrier = ngx_kapokmq_journal_barrier;
        hooks.arg = cycle;
        ngx_kapokmq_cluster_init(cycle, mcf, &hooks);

    } else {
        (void) ngx_kapokmq_attach(cycle);
    }

    return NGX_OK;
}


/* To the block, in which there is a queue. */
static int
ngx_kapokmq_attach(void *arg)
{
    ngx_cycle_t  *cycle = arg;

    ngx_kapokmq_main_conf_t  *mcf;

    mcf = ngx_kapokmq_main_conf(cycle);

    if (ngx_kapokmq_worker_attach(mcf) != NGX_OK) {
        return 0;
    }

    ngx_kapokmq_clock();
    ngx_kapokmq_settings();
    ngx_kapokmq_journal_init(cycle, mcf);

    if (ngx_kapokmq_wake_listen(cycle) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "this worker cannot be woken; it looks for messages "
                      "twice a second");
    }

    ngx_kapokmq_deliver_init();
    ngx_kapokmq_guests_init(cycle->log);
    ngx_kapokmq_drain_listen(cycle);
    ngx_kapokmq_session_init();

    /* a predecessor that died has left work for others */
    ngx_kapokmq_signal();
    ngx_kapokmq_wake();

    ngx_add_timer(&ngx_kapokmq_housekeeping, NGX_KAPOKMQ_TICK_FIRST);

    return 1;
}


/* With a cluster: nothing is pushed that another node might push, too. */
static void
ngx_kapokmq_deliver_leave(ngx_event_t *ev)
{
    if (ngx_kapokmq_worker.kmq && ngx_kapokmq_worker_leave()) {
        ngx_kapokmq_deliver(ev);
    }
}


void
ngx_kapokmq_exit_process(ngx_cycle_t *cycle)
{
    (void) cycle;

    if (ngx_kapokmq_worker.kmq) {
        ngx_kapokmq_detach();
    }

    if (ngx_kapokmq_cluster_on()) {
        ngx_kapokmq_cluster_exit();
    }
}


static void
ngx_kapokmq_detach(void)
{
    /* others get what was in flight here, and are told */

    ngx_kapokmq_journal_exit();
    ngx_kapokmq_signal();

    ngx_kapokmq_worker_detach();

    ngx_kapokmq_deliver_exit();
}


/* Housekeeping, and a look at the queue in case a wake-up was lost. */
static void
ngx_kapokmq_tick(ngx_event_t *ev)
{
    unsigned  dead;

    ngx_kapokmq_orphaned();

    if (ngx_kapokmq_cluster_on() && ngx_kapokmq_drain_over()) {
        ngx_kapokmq_cluster_drained();
    }

    ngx_kapokmq_clock();

    dead = kmq_tick(ngx_kapokmq_worker.kmq);

    if (dead) {
        ngx_log_error(NGX_LOG_NOTICE, ev->log, 0,
                      "%ud worker(s) died; others take over their messages",
                      dead);
    }

    ngx_kapokmq_guests_check();
    ngx_kapokmq_wake_producers();
    ngx_kapokmq_checkpoint_tick();
    ngx_post_event(&ngx_kapokmq_worker.deliver, &ngx_posted_events);

    ngx_kapokmq_wake();

    /* one that is to go serves its clients until then, and does not wait for
     * this */
    ngx_add_timer(ev, NGX_KAPOKMQ_TICK_TIME);
}


/*
 * Without its master a worker would go on for ever, and an nginx that is
 * started anew may stand beside it with a queue of its own, so that clients
 * meet two.  It stops as it does at a reload.
 */
static void
ngx_kapokmq_orphaned(void)
{
    if (ngx_kapokmq_worker_orphan() && !ngx_quit && !ngx_exiting) {
        ngx_log_error(NGX_LOG_WARN, ngx_kapokmq_worker.log, 0,
                      "master process %P is gone; this worker stops",
                      ngx_parent);

        ngx_quit = 1;
    }
}
