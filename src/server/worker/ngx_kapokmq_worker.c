/* This process attaches to the queue, and detaches from it. */

#include "ngx_kapokmq_worker.h"


static void ngx_kapokmq_worker_waits(void *arg, unsigned ms, unsigned worker,
    int pid);
static void ngx_kapokmq_worker_key(ngx_kapokmq_worker_t *w);


ngx_kapokmq_worker_t  ngx_kapokmq_worker;


ngx_int_t
ngx_kapokmq_worker_attach(ngx_cycle_t *cycle,
    const ngx_kapokmq_main_conf_t *mcf)
{
    ngx_kapokmq_worker_t  *w;

    w = &ngx_kapokmq_worker;

    w->config = mcf->config;
    w->shared = mcf->shared;
    w->key_number = mcf->key_number;
    w->reloads = mcf->reloads;
    w->log = cycle->log;

    ngx_queue_init(&w->waiting);

    w->kmq = kmq_attach_any(mcf->block, mcf->block_size);

    if (w->kmq == NULL) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "this worker cannot use the queue, which has no memory "
                      "left or %d workers already; it answers 503",
                      KMQ_WORKERS);
        return NGX_ERROR;
    }

    kmq_on_wait(w->kmq, ngx_kapokmq_worker_waits, w);
    ngx_kapokmq_worker_key(w);

    return NGX_OK;
}


void
ngx_kapokmq_worker_detach(void)
{
    kmq_detach(ngx_kapokmq_worker.kmq);
    ngx_kapokmq_worker.kmq = NULL;
}


ngx_uint_t
ngx_kapokmq_worker_orphan(void)
{
    return ngx_process == NGX_PROCESS_WORKER && getppid() != ngx_parent;
}


/* Something is wrong with a worker that keeps the lock for that long. */
static void
ngx_kapokmq_worker_waits(void *arg, unsigned ms, unsigned worker, int pid)
{
    ngx_kapokmq_worker_t  *w = arg;

    ngx_log_error(NGX_LOG_WARN, w->log, 0,
                  "waiting for the queue's lock for %ud ms; worker %ud, "
                  "pid %d, holds it", ms, worker, pid);
}


/* From now on workers with another key know that it is not valid any more;
 * unless this one, begun late, is such a worker itself. */
static void
ngx_kapokmq_worker_key(ngx_kapokmq_worker_t *w)
{
    ngx_atomic_uint_t  newest;

    do {
        newest = w->shared->key_number;
    } while (newest < w->key_number
             && !ngx_atomic_cmp_set(&w->shared->key_number, newest,
                                    w->key_number));
}
