/* KapokMQ, a message queue inside nginx: directives, contexts, processes. */

#include "src/server/session/ngx_kapokmq_session_internal.h"


#define NGX_KAPOKMQ_TICK_FIRST  100    /* ms */


static ngx_int_t ngx_kapokmq_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_kapokmq_init_process(ngx_cycle_t *cycle);
static void ngx_kapokmq_exit_process(ngx_cycle_t *cycle);


ngx_kapokmq_worker_t  ngx_kapokmq_worker;


static ngx_http_handler_pt  ngx_kapokmq_producer =
    ngx_kapokmq_producer_handler;
static ngx_http_handler_pt  ngx_kapokmq_consumer =
    ngx_kapokmq_consumer_handler;
static ngx_http_handler_pt  ngx_kapokmq_send = ngx_kapokmq_send_handler;
static ngx_http_handler_pt  ngx_kapokmq_console = ngx_kapokmq_console_handler;
static ngx_http_handler_pt  ngx_kapokmq_metrics = ngx_kapokmq_metrics_handler;


static ngx_conf_enum_t  ngx_kapokmq_access_log[] = {
    { ngx_string("upgrade"), NGX_KAPOKMQ_LOG_UPGRADE },
    { ngx_string("end"), NGX_KAPOKMQ_LOG_END },
    { ngx_null_string, 0 }
};


static ngx_command_t  ngx_kapokmq_commands[] = {

    { ngx_string("kapokmq_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_kapokmq_conf_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("kapokmq_config"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_kapokmq_conf_config,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("kapokmq_producer"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_kapokmq_conf_handler,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_kapokmq_producer },

    { ngx_string("kapokmq_consumer"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_kapokmq_conf_handler,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_kapokmq_consumer },

    { ngx_string("kapokmq_send"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_kapokmq_conf_handler,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_kapokmq_send },

    { ngx_string("kapokmq_console"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_kapokmq_conf_handler,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_kapokmq_console },

    { ngx_string("kapokmq_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE12,
      ngx_kapokmq_conf_metrics,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_kapokmq_metrics },

    { ngx_string("kapokmq_cors_origin"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_kapokmq_conf_cors,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("kapokmq_access_log"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_kapokmq_loc_conf_t, access_log),
      &ngx_kapokmq_access_log },

      ngx_null_command
};


static ngx_http_module_t  ngx_kapokmq_module_ctx = {
    ngx_kapokmq_variables,                 /* preconfiguration */
    ngx_kapokmq_conf_check,                /* postconfiguration */

    ngx_kapokmq_conf_create_main,          /* create main configuration */
    ngx_kapokmq_conf_init_main,            /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_kapokmq_conf_create_loc,           /* create location configuration */
    ngx_kapokmq_conf_merge_loc             /* merge location configuration */
};


ngx_module_t  ngx_kapokmq_module = {
    NGX_MODULE_V1,
    &ngx_kapokmq_module_ctx,               /* module context */
    ngx_kapokmq_commands,                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_kapokmq_init_module,               /* init module */
    ngx_kapokmq_init_process,              /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_kapokmq_exit_process,              /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* The configuration, NULL where there is no queue in it. */
static ngx_kapokmq_main_conf_t *
ngx_kapokmq_main_conf(ngx_cycle_t *cycle)
{
    ngx_kapokmq_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_kapokmq_module);

    return (mcf && mcf->zone) ? mcf : NULL;
}


/* In the master, before workers are forked; at each reload again. */
static ngx_int_t
ngx_kapokmq_init_module(ngx_cycle_t *cycle)
{
    if (!ngx_test_config && ngx_kapokmq_main_conf(cycle)) {
        ngx_kapokmq_wake_create(cycle);
#ifdef KMQ_FAULTS
        ngx_kapokmq_fault_init(cycle->log);
#endif
    }

    return NGX_OK;
}


static void
ngx_kapokmq_init_event(ngx_cycle_t *cycle, ngx_event_t *ev,
    ngx_event_handler_pt handler)
{
    ngx_memzero(ev, sizeof(ngx_event_t));

    ev->handler = handler;
    ev->data = &ngx_kapokmq_worker;
    ev->log = cycle->log;

    /* an exiting worker does not wait for it */
    ev->cancelable = 1;
}


/* From now on workers with another key know that it is not valid any more;
 * unless this one, begun late, is such a worker itself. */
static void
ngx_kapokmq_init_key(ngx_kapokmq_worker_t *w)
{
    ngx_atomic_uint_t  newest;

    do {
        newest = w->shared->key_number;
    } while (newest < w->key_number
             && !ngx_atomic_cmp_set(&w->shared->key_number, newest,
                                    w->key_number));
}


/* A failure only makes this worker refuse requests: one that exits here is
 * not started again. */
static ngx_int_t
ngx_kapokmq_init_process(ngx_cycle_t *cycle)
{
    ngx_kapokmq_worker_t     *w;
    ngx_kapokmq_main_conf_t  *mcf;

    mcf = ngx_kapokmq_main_conf(cycle);

    if (mcf == NULL || (ngx_process != NGX_PROCESS_WORKER
                        && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    w = &ngx_kapokmq_worker;

    w->config = mcf->config;
    w->shared = mcf->shared;
    w->key_number = mcf->key_number;
    w->log = cycle->log;

    ngx_queue_init(&w->waiting);
    ngx_queue_init(&w->pings);
    ngx_queue_init(&w->kept);

    ngx_kapokmq_init_event(cycle, &w->push, ngx_kapokmq_push);
    ngx_kapokmq_init_event(cycle, &w->batch, ngx_kapokmq_due);
    ngx_kapokmq_init_event(cycle, &w->due, ngx_kapokmq_due);
    ngx_kapokmq_init_event(cycle, &w->tick, ngx_kapokmq_tick);
    ngx_kapokmq_init_event(cycle, &w->resume, ngx_kapokmq_resume);
    ngx_kapokmq_init_event(cycle, &w->flush, ngx_kapokmq_disk_flush);

    ngx_kapokmq_output_init();

    w->kmq = kmq_attach_any(mcf->block, mcf->block_size);

    if (w->kmq == NULL) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "worker cannot use the queue, which has no memory for "
                      "it or %d others, it answers 503", KMQ_WORKERS);
        return NGX_OK;
    }

    kmq_on_wait(w->kmq, ngx_kapokmq_waits, w);
    ngx_kapokmq_init_key(w);

    ngx_kapokmq_clock();
    ngx_kapokmq_settings();
    ngx_kapokmq_disk_init(cycle, mcf);

    if (ngx_kapokmq_wake_listen(cycle) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, 0,
                      "this worker looks for messages only twice a second");
    }

    ngx_kapokmq_upgrade_listen(cycle);

    /* a predecessor that died has left work for others */
    ngx_kapokmq_wake();

    ngx_add_timer(&w->tick, NGX_KAPOKMQ_TICK_FIRST);

    return NGX_OK;
}


static void
ngx_kapokmq_exit_process(ngx_cycle_t *cycle)
{
    (void) cycle;

    if (ngx_kapokmq_worker.kmq == NULL) {
        return;
    }

    /* others get what was in flight here, and are told */

    ngx_kapokmq_disk_exit();
    ngx_kapokmq_signal();

    kmq_detach(ngx_kapokmq_worker.kmq);
    ngx_kapokmq_worker.kmq = NULL;

    ngx_kapokmq_push_free();
}
