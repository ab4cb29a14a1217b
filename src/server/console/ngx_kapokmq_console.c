/* POST /Console/...: what the console page and its scripts ask for. */

#include "ngx_kapokmq_console.h"
#include "ngx_kapokmq_console_inside.h"
#include "../worker/ngx_kapokmq_worker.h"


#define NGX_KAPOKMQ_CONSOLE_PATH                                              \
    "One function is expected behind the location: {function}"


typedef struct {
    ngx_str_t      name;
    void         (*handler)(ngx_http_request_t *r);
} ngx_kapokmq_function_t;


static void ngx_kapokmq_console_body(ngx_http_request_t *r);
static void ngx_kapokmq_console_ping(ngx_http_request_t *r);
static void ngx_kapokmq_console_count(ngx_http_request_t *r);


static const ngx_kapokmq_function_t  ngx_kapokmq_functions[] = {
    { ngx_string("Ping"), ngx_kapokmq_console_ping },
    { ngx_string("GetProducers"), ngx_kapokmq_clients_producers },
    { ngx_string("GetConsumers"), ngx_kapokmq_clients_consumers },
    { ngx_string("GetClients"), ngx_kapokmq_clients_both },
    { ngx_string("GetConfig"), ngx_kapokmq_config_view_get },
    { ngx_string("CountMessage"), ngx_kapokmq_console_count },
    { ngx_string("GetMessageList"), ngx_kapokmq_messages_list },
    { ngx_string("GetMessage"), ngx_kapokmq_messages_get },
    { ngx_string("DelMessage"), ngx_kapokmq_messages_delete },
    { ngx_string("RequeueMessage"), ngx_kapokmq_messages_requeue },
    { ngx_string("GetOverview"), ngx_kapokmq_overview_get },
    { ngx_string("GetGrowth"), ngx_kapokmq_growth_get },
    { ngx_string("GetTopics"), ngx_kapokmq_topics_list },
    { ngx_string("GetTopic"), ngx_kapokmq_topics_get },
    { ngx_string("PurgeTopic"), ngx_kapokmq_topics_purge },
    { ngx_string("GetClientList"), ngx_kapokmq_clients_list },
    { ngx_string("Disconnect"), ngx_kapokmq_clients_disconnect },
    { ngx_string("GetSettings"), ngx_kapokmq_config_view_list },
#ifdef KMQ_FAULTS
    { ngx_string("Fault"), ngx_kapokmq_fault },
#endif
    { ngx_null_string, NULL }
};


ngx_int_t
ngx_kapokmq_console_handler(ngx_http_request_t *r)
{
    return ngx_kapokmq_http_start(r, ngx_kapokmq_console_body);
}


static void
ngx_kapokmq_console_body(ngx_http_request_t *r)
{
    ngx_str_t                      name;
    const ngx_kapokmq_function_t  *function;

    if (ngx_kapokmq_http_still(r) != NGX_OK) {
        return;
    }

    if (ngx_kapokmq_path_function(r, &name) != NGX_OK) {
        ngx_kapokmq_path_log(r, NGX_HTTP_NOT_FOUND, NGX_KAPOKMQ_CONSOLE_PATH);
        ngx_kapokmq_http_error(r, NGX_HTTP_NOT_FOUND,
                               NGX_KAPOKMQ_CONSOLE_PATH);
        return;
    }

    for (function = ngx_kapokmq_functions; function->handler; function++) {
        if (function->name.len == name.len
            && ngx_memcmp(function->name.data, name.data, name.len) == 0)
        {
            ngx_kapokmq_clock();
            function->handler(r);

            /* any look at the queue may have found that a worker has died */
            ngx_kapokmq_wake();
            return;
        }
    }

    ngx_kapokmq_http_error(r, NGX_HTTP_NOT_FOUND,
                           "There is no such console function");
}


static void
ngx_kapokmq_console_ping(ngx_http_request_t *r)
{
    ngx_str_t  json = ngx_string("{\"code\":0}");

    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}


/* The last two members are names that two others had in an early version. */
static void
ngx_kapokmq_console_count(ngx_http_request_t *r)
{
    uint64_t      waiting;
    ngx_str_t     json;
    kmq_counts_t  n;

    kmq_count(ngx_kapokmq_worker.kmq, &n);

    waiting = n.ready + n.in_flight + n.retrying;

    json.data = ngx_pnalloc(r->pool, 150 + 7 * NGX_INT64_LEN);
    if (json.data == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    json.len = ngx_sprintf(json.data,
                           "{\"code\":0,\"data\":{\"all\":%uL,"
                           "\"consumed\":%uL,\"delay\":%uL,"
                           "\"unconsumed\":%uL,\"dead\":%uL,"
                           "\"notConsumed\":%uL,\"stateless\":%uL}}",
                           waiting + n.delayed + n.consumed + n.dead,
                           n.consumed, n.delayed, waiting, n.dead, n.delayed,
                           waiting)
               - json.data;

    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}
