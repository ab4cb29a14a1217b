/* POST /Console/...: what the console page and its scripts ask for. */

#include "ngx_kapokmq_console.h"
#include "ngx_kapokmq_console_inside.h"
#include "../worker/ngx_kapokmq_worker.h"


#define NGX_KAPOKMQ_CONSOLE_PATH                                              \
    "One function is expected behind the location: {function}"


/* What a function needs. */
typedef enum {
    NGX_KAPOKMQ_MAY_UNSET = 0,
    NGX_KAPOKMQ_MAY_READ,           /* it tells, or does, what is about topics,
                                       and asks for the right to each; */
    NGX_KAPOKMQ_MAY_READ_ALL,       /* or about the whole queue */
    NGX_KAPOKMQ_MAY_WRITE,
    NGX_KAPOKMQ_MAY_WRITE_ALL
} ngx_kapokmq_may_e;

typedef struct {
    ngx_str_t            name;
    ngx_kapokmq_may_e    may;
    void               (*handler)(ngx_http_request_t *r,
                                  const kmq_rights_t *rights);
} ngx_kapokmq_function_t;


static void ngx_kapokmq_console_body(ngx_http_request_t *r);
static const char *ngx_kapokmq_console_may(ngx_kapokmq_may_e may,
    const kmq_rights_t *rights);
static void ngx_kapokmq_console_ping(ngx_http_request_t *r,
    const kmq_rights_t *rights);
static void ngx_kapokmq_console_count(ngx_http_request_t *r,
    const kmq_rights_t *rights);


#define NGX_KAPOKMQ_FUNCTION(name, may, handler)                              \
    { ngx_string(name), NGX_KAPOKMQ_SET(NGX_KAPOKMQ_MAY_##may), handler }

static const ngx_kapokmq_function_t  ngx_kapokmq_functions[] = {
    NGX_KAPOKMQ_FUNCTION("Ping", READ, ngx_kapokmq_console_ping),
    NGX_KAPOKMQ_FUNCTION("GetAccess", READ, ngx_kapokmq_access_get),
    NGX_KAPOKMQ_FUNCTION("GetKeys", READ_ALL, ngx_kapokmq_access_keys),
    NGX_KAPOKMQ_FUNCTION("GetProducers", READ_ALL,
                         ngx_kapokmq_clients_producers),
    NGX_KAPOKMQ_FUNCTION("GetConsumers", READ_ALL,
                         ngx_kapokmq_clients_consumers),
    NGX_KAPOKMQ_FUNCTION("GetClients", READ_ALL, ngx_kapokmq_clients_both),
    NGX_KAPOKMQ_FUNCTION("GetConfig", READ_ALL, ngx_kapokmq_config_view_get),
    NGX_KAPOKMQ_FUNCTION("CountMessage", READ_ALL, ngx_kapokmq_console_count),
    NGX_KAPOKMQ_FUNCTION("GetMessageList", READ, ngx_kapokmq_search_list),
    NGX_KAPOKMQ_FUNCTION("GetMessage", READ, ngx_kapokmq_messages_get),
    NGX_KAPOKMQ_FUNCTION("DelMessage", WRITE, ngx_kapokmq_change_delete),
    NGX_KAPOKMQ_FUNCTION("RequeueMessage", WRITE, ngx_kapokmq_change_requeue),
    NGX_KAPOKMQ_FUNCTION("ReleaseMessage", WRITE, ngx_kapokmq_change_release),
    NGX_KAPOKMQ_FUNCTION("GetOverview", READ_ALL, ngx_kapokmq_overview_get),
    NGX_KAPOKMQ_FUNCTION("GetHealth", READ_ALL, ngx_kapokmq_health_get),
    NGX_KAPOKMQ_FUNCTION("GetGrowth", READ_ALL, ngx_kapokmq_growth_get),
    NGX_KAPOKMQ_FUNCTION("GetTopics", READ, ngx_kapokmq_topics_list),
    NGX_KAPOKMQ_FUNCTION("GetTopic", READ, ngx_kapokmq_topics_get),
    NGX_KAPOKMQ_FUNCTION("PurgeTopic", WRITE, ngx_kapokmq_topics_purge),
    NGX_KAPOKMQ_FUNCTION("PauseTopic", WRITE, ngx_kapokmq_topics_pause),
    NGX_KAPOKMQ_FUNCTION("ResumeTopic", WRITE, ngx_kapokmq_topics_resume),
    NGX_KAPOKMQ_FUNCTION("GetClientList", READ, ngx_kapokmq_clients_list),
    NGX_KAPOKMQ_FUNCTION("Disconnect", WRITE, ngx_kapokmq_clients_disconnect),
    NGX_KAPOKMQ_FUNCTION("GetSettings", READ_ALL,
                         ngx_kapokmq_config_view_list),
    NGX_KAPOKMQ_FUNCTION("GetNodes", READ_ALL, ngx_kapokmq_nodes_get),
    NGX_KAPOKMQ_FUNCTION("StepDown", WRITE_ALL, ngx_kapokmq_nodes_step),
#ifdef KMQ_FAULTS
    NGX_KAPOKMQ_FUNCTION("Fault", WRITE, ngx_kapokmq_fault),
#endif
    { ngx_null_string, NGX_KAPOKMQ_MAY_UNSET, NULL }
};


ngx_int_t
ngx_kapokmq_console_handler(ngx_http_request_t *r)
{
    return ngx_kapokmq_http_health(r)
           ? ngx_kapokmq_health(r)
           : ngx_kapokmq_http_start(r, ngx_kapokmq_console_body);
}


static void
ngx_kapokmq_console_body(ngx_http_request_t *r)
{
    ngx_str_t                      name;
    const char                    *error;
    ngx_kapokmq_pass_t            *pass;
    const ngx_kapokmq_function_t  *function;

    pass = ngx_kapokmq_door_still(r);
    if (pass == NULL) {
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
            error = ngx_kapokmq_console_may(function->may,
                                            pass->access.rights);
            if (error) {
                ngx_kapokmq_http_error(r, NGX_HTTP_FORBIDDEN, error);
                return;
            }

            ngx_kapokmq_clock();
            function->handler(r, pass->access.rights);

            /* any look at the queue may have found that a worker has died */
            ngx_kapokmq_wake();
            return;
        }
    }

    ngx_kapokmq_http_error(r, NGX_HTTP_NOT_FOUND,
                           "There is no such console function");
}


/* What is missing; NULL: nothing, but the right to what the function is about,
 * for which it asks. */
static const char *
ngx_kapokmq_console_may(ngx_kapokmq_may_e may, const kmq_rights_t *rights)
{
    switch (may) {

    case NGX_KAPOKMQ_MAY_READ:
        return NULL;

    case NGX_KAPOKMQ_MAY_READ_ALL:
        return kmq_may_console_all(rights, 0)
               ? NULL : "The key has no right to what concerns all topics";

    case NGX_KAPOKMQ_MAY_WRITE:
        return kmq_rights_console(rights) == KMQ_CONSOLE_WRITE
               ? NULL : "The key has no right to change anything";

    case NGX_KAPOKMQ_MAY_WRITE_ALL:
        return kmq_may_console_all(rights, 1)
               ? NULL : "The key has no right to change what concerns all "
                        "topics";

    default:
        return "Nobody has a right to this";
    }
}


static void
ngx_kapokmq_console_ping(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    ngx_str_t  json = ngx_string("{\"code\":0}");

    (void) rights;

    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}


/* The last two members are names that two others had in an early version. */
static void
ngx_kapokmq_console_count(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    uint64_t      waiting;
    ngx_str_t     json;
    kmq_counts_t  n;

    (void) rights;

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
