/* This process attaches to the queue, and detaches from it. */

#include "ngx_kapokmq_worker.h"
#include "../../nats/kmq_nats_socket.h"


static void ngx_kapokmq_worker_waits(void *arg, unsigned ms, unsigned worker,
    int pid);


ngx_kapokmq_worker_t  ngx_kapokmq_worker;


void
ngx_kapokmq_worker_init(ngx_cycle_t *cycle,
    const ngx_kapokmq_main_conf_t *mcf)
{
    ngx_kapokmq_worker_t  *w;

    w = &ngx_kapokmq_worker;

    w->config = mcf->config;
    w->shared = mcf->shared;
    w->valid = mcf->valid;
    w->tries = mcf->tries;
    w->used = mcf->used;
    w->cluster = mcf->node;
    w->cluster_conf = mcf->cluster;
    w->hop = mcf->hops ? mcf->hop : NULL;
    w->reloads = mcf->reloads;
    w->log = cycle->log;

    ngx_queue_init(&w->waiting);

    if (w->config->tokens.nsettings) {
        /* without it, each is verified each time */
        w->tokens = kmq_token_memory();
    }
}


ngx_int_t
ngx_kapokmq_worker_attach(const ngx_kapokmq_main_conf_t *mcf)
{
    ngx_kapokmq_worker_t  *w;

    w = &ngx_kapokmq_worker;

    w->kmq = kmq_attach_any(mcf->block, mcf->block_size);

    if (w->kmq == NULL) {
        ngx_log_error(NGX_LOG_ALERT, w->log, 0,
                      "this worker cannot use the queue, which has no memory "
                      "left or %d workers already; it answers 503",
                      KMQ_WORKERS);
        return NGX_ERROR;
    }

    kmq_on_wait(w->kmq, ngx_kapokmq_worker_waits, w);

    return NGX_OK;
}


void
ngx_kapokmq_worker_detach(void)
{
    kmq_detach(ngx_kapokmq_worker.kmq);
    ngx_kapokmq_worker.kmq = NULL;

    free(ngx_kapokmq_worker.keys);
    ngx_kapokmq_worker.keys = NULL;
    ngx_kapokmq_worker.keys_number = 0;

    kmq_token_memory_free(ngx_kapokmq_worker.tokens);
    ngx_kapokmq_worker.tokens = NULL;
}


const kmq_keys_t *
ngx_kapokmq_keys(void)
{
    uint64_t               number;
    kmq_keys_t            *keys;
    ngx_kapokmq_worker_t  *w;

    w = &ngx_kapokmq_worker;

    if (kmq_valid_changed(w->valid, w->keys_number)) {
        keys = kmq_valid_read(w->valid, &number);

        if (keys) {
            free(w->keys);
            w->keys = keys;
            w->keys_number = number;
        }
    }

    return w->keys ? w->keys : w->config->valid;
}


ngx_uint_t
ngx_kapokmq_worker_orphan(void)
{
    return ngx_process == NGX_PROCESS_WORKER && getppid() != ngx_parent;
}


ngx_uint_t
ngx_kapokmq_worker_leave(void)
{
    return kmq_shared_leave(ngx_kapokmq_worker.cluster,
                            ngx_kapokmq_worker.epoch, kmq_nats_now());
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
