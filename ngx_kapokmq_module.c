/* KapokMQ, a message queue inside nginx: the table of contents. */

#include "src/server/ngx_kapokmq_process.h"
#include "src/server/cluster/ngx_kapokmq_cluster.h"
#include "src/server/console/ngx_kapokmq_console.h"
#include "src/server/events/ngx_kapokmq_events.h"
#include "src/server/http/ngx_kapokmq_hop.h"
#include "src/server/metrics/ngx_kapokmq_metrics.h"
#include "src/server/publish/ngx_kapokmq_publish.h"
#include "src/server/pull/ngx_kapokmq_pull.h"
#include "src/server/session/ngx_kapokmq_session.h"
#include "src/server/settle/ngx_kapokmq_settle.h"


/* What directives of locations stand for. */

static ngx_kapokmq_endpoint_t  ngx_kapokmq_producer = {
    NGX_KAPOKMQ_PRODUCER, NGX_KAPOKMQ_SET(NGX_KAPOKMQ_RIGHT_TOPIC),
    ngx_kapokmq_producer_handler, NULL
};

static ngx_kapokmq_endpoint_t  ngx_kapokmq_consumer = {
    NGX_KAPOKMQ_CONSUMER, NGX_KAPOKMQ_SET(NGX_KAPOKMQ_RIGHT_TOPIC),
    ngx_kapokmq_consumer_handler, NULL
};

static ngx_kapokmq_endpoint_t  ngx_kapokmq_events = {
    NGX_KAPOKMQ_EVENTS, NGX_KAPOKMQ_SET(NGX_KAPOKMQ_RIGHT_TOPIC),
    ngx_kapokmq_events_handler, ngx_kapokmq_events_later
};

static ngx_kapokmq_endpoint_t  ngx_kapokmq_pull = {
    NGX_KAPOKMQ_PULL, NGX_KAPOKMQ_SET(NGX_KAPOKMQ_RIGHT_TOPIC),
    ngx_kapokmq_pull_handler, NULL
};

static ngx_kapokmq_endpoint_t  ngx_kapokmq_settle = {
    NGX_KAPOKMQ_SETTLE, NGX_KAPOKMQ_SET(NGX_KAPOKMQ_RIGHT_TOPIC),
    ngx_kapokmq_settle_handler, NULL
};

static ngx_kapokmq_endpoint_t  ngx_kapokmq_send = {
    NGX_KAPOKMQ_SEND, NGX_KAPOKMQ_SET(NGX_KAPOKMQ_RIGHT_TOPIC),
    ngx_kapokmq_send_handler, NULL
};

static ngx_kapokmq_endpoint_t  ngx_kapokmq_console = {
    NGX_KAPOKMQ_CONSOLE, NGX_KAPOKMQ_SET(NGX_KAPOKMQ_RIGHT_CONSOLE),
    ngx_kapokmq_console_handler, NULL
};

static ngx_kapokmq_endpoint_t  ngx_kapokmq_metrics = {
    NGX_KAPOKMQ_METRICS, NGX_KAPOKMQ_SET(NGX_KAPOKMQ_RIGHT_METRICS),
    ngx_kapokmq_metrics_handler, NULL
};

static ngx_kapokmq_endpoint_t  ngx_kapokmq_hop = {
    NGX_KAPOKMQ_HOP, NGX_KAPOKMQ_SET(NGX_KAPOKMQ_RIGHT_SIGNED),
    ngx_kapokmq_hop_handler, NULL
};

const ngx_kapokmq_endpoint_t *const  ngx_kapokmq_endpoints[] = {
    &ngx_kapokmq_producer, &ngx_kapokmq_consumer, &ngx_kapokmq_events,
    &ngx_kapokmq_pull, &ngx_kapokmq_settle, &ngx_kapokmq_send,
    &ngx_kapokmq_console, NULL
};


static ngx_conf_enum_t  ngx_kapokmq_access_log[] = {
    { ngx_string("upgrade"), NGX_KAPOKMQ_LOG_UPGRADE },
    { ngx_string("end"), NGX_KAPOKMQ_LOG_END },
    { ngx_null_string, 0 }
};


static ngx_conf_num_bounds_t  ngx_kapokmq_auth_limit = {
    ngx_conf_check_num_bounds, 0, KMQ_TRIES_MAX
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

    { ngx_string("kapokmq_cluster"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_2MORE,
      ngx_kapokmq_cluster_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

#ifdef KMQ_FAULTS
    { ngx_string("kapokmq_node"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_kapokmq_conf_node,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },
#endif

    { ngx_string("kapokmq_producer"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE12,
      ngx_kapokmq_conf_client,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_kapokmq_producer },

    { ngx_string("kapokmq_consumer"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE12,
      ngx_kapokmq_conf_client,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_kapokmq_consumer },

    { ngx_string("kapokmq_events"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE12,
      ngx_kapokmq_conf_client,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_kapokmq_events },

    { ngx_string("kapokmq_pull"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE12,
      ngx_kapokmq_conf_client,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_kapokmq_pull },

    { ngx_string("kapokmq_settle"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_kapokmq_conf_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_kapokmq_settle },

    { ngx_string("kapokmq_send"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_kapokmq_conf_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_kapokmq_send },

    { ngx_string("kapokmq_console"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_kapokmq_conf_console,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_kapokmq_console },

    { ngx_string("kapokmq_metrics"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE12,
      ngx_kapokmq_conf_metrics,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_kapokmq_metrics },

    { ngx_string("kapokmq_hop"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_kapokmq_conf_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_kapokmq_hop },

    { ngx_string("kapokmq_primary"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_kapokmq_conf_primary,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("kapokmq_cors_origin"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_kapokmq_conf_cors,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("kapokmq_auth"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_kapokmq_conf_auth,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("kapokmq_auth_limit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_kapokmq_loc_conf_t, auth_limit),
      &ngx_kapokmq_auth_limit },

    { ngx_string("kapokmq_user"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_kapokmq_loc_conf_t, auth_user),
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
