/* POST /Console/...: what the console page and its scripts ask for. */

#include "ngx_kapokmq.h"


/* Room for all keys with their values but names and paths. */
#define NGX_KAPOKMQ_CONFIG_ROOM        2048
#define NGX_KAPOKMQ_CONFIG_TOPIC_ROOM  320


typedef struct {
    ngx_str_t      name;           /* the last segment of the path */
    void         (*handler)(ngx_http_request_t *r);
} ngx_kapokmq_route_t;


static void ngx_kapokmq_console_body(ngx_http_request_t *r);
static void ngx_kapokmq_console_ping(ngx_http_request_t *r);
static void ngx_kapokmq_console_config(ngx_http_request_t *r);
static u_char *ngx_kapokmq_console_topics(u_char *p, kmq_config_t *config);
static void ngx_kapokmq_console_emit(void *arg, const char *key,
    double number, const char *text);
static u_char *ngx_kapokmq_console_number(u_char *p, double number);
static void ngx_kapokmq_console_count(ngx_http_request_t *r);


static const ngx_kapokmq_route_t  ngx_kapokmq_routes[] = {
    { ngx_string("Ping"), ngx_kapokmq_console_ping },
    { ngx_string("GetProducers"), ngx_kapokmq_clients_producers },
    { ngx_string("GetConsumers"), ngx_kapokmq_clients_consumers },
    { ngx_string("GetClients"), ngx_kapokmq_clients_all },
    { ngx_string("GetConfig"), ngx_kapokmq_console_config },
    { ngx_string("CountMessage"), ngx_kapokmq_console_count },
    { ngx_string("GetMessageList"), ngx_kapokmq_messages_list },
    { ngx_string("GetMessage"), ngx_kapokmq_messages_get },
    { ngx_string("DelMessage"), ngx_kapokmq_messages_delete },
    { ngx_string("RequeueMessage"), ngx_kapokmq_messages_requeue },
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
    u_char                     *name, *end;
    const ngx_kapokmq_route_t  *route;

    end = r->uri.data + r->uri.len;

    for (name = end; name > r->uri.data && name[-1] != '/'; name--) {
        /* void */
    }

    for (route = ngx_kapokmq_routes; route->handler; route++) {
        if (route->name.len == (size_t) (end - name)
            && ngx_memcmp(route->name.data, name, route->name.len) == 0)
        {
            ngx_kapokmq_clock();
            route->handler(r);

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


static void
ngx_kapokmq_console_config(ngx_http_request_t *r)
{
    u_char        *p;
    size_t         i, size;
    ngx_str_t      json;
    kmq_config_t  *config;

    config = ngx_kapokmq_worker.config;

    size = NGX_KAPOKMQ_CONFIG_ROOM + 6 * ngx_strlen(config->persistent_file);

    for (i = 0; i < config->ntopics; i++) {
        size += NGX_KAPOKMQ_CONFIG_TOPIC_ROOM
                + 6 * config->topics[i].name_len;
    }

    json.data = ngx_pnalloc(r->pool, size);
    if (json.data == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    p = ngx_cpymem(json.data, "{\"code\":0,\"data\":{",
                   sizeof("{\"code\":0,\"data\":{") - 1);

    kmq_config_each(config, ngx_kapokmq_console_emit, &p);

    p = ngx_kapokmq_console_topics(p, config);
    *p++ = '}';
    *p++ = '}';

    json.len = p - json.data;

    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}


static u_char *
ngx_kapokmq_console_topics(u_char *p, kmq_config_t *config)
{
    size_t               i;
    kmq_topic_config_t  *topic;

    p = ngx_cpymem(p, "\"topics\":{", sizeof("\"topics\":{") - 1);

    for (i = 0; i < config->ntopics; i++) {
        topic = &config->topics[i];

        p = ngx_kapokmq_http_quote(p, topic->name, topic->name_len);
        *p++ = ':';
        *p++ = '{';

        kmq_config_each_own(topic, ngx_kapokmq_console_emit, &p);

        /* each member ends with a comma */
        p -= (p[-1] == ',');
        *p++ = '}';
        *p++ = ',';
    }

    p -= (p[-1] == ',');
    *p++ = '}';

    return p;
}


/* Appends "key":value, at the u_char pointer that arg points to. */
static void
ngx_kapokmq_console_emit(void *arg, const char *key, double number,
    const char *text)
{
    u_char  *p, **end;

    end = arg;
    p = ngx_sprintf(*end, "\"%s\":", key);

    p = text ? ngx_kapokmq_http_quote(p, text, ngx_strlen(text))
             : ngx_kapokmq_console_number(p, number);

    *p++ = ',';
    *end = p;
}


/* Three decimals at most, and none that says nothing. */
static u_char *
ngx_kapokmq_console_number(u_char *p, double number)
{
    uint64_t  n;

    n = (uint64_t) (number * 1000 + 0.5);

    if (n % 1000 == 0) {
        return ngx_sprintf(p, "%uL", n / 1000);
    }

    p = ngx_sprintf(p, "%uL.%03uL", n / 1000, n % 1000);

    while (p[-1] == '0') {
        p--;
    }

    return p;
}


static void
ngx_kapokmq_console_count(ngx_http_request_t *r)
{
    ngx_str_t     json;
    kmq_counts_t  n;

    kmq_count(ngx_kapokmq_worker.kmq, &n);

    json.data = ngx_pnalloc(r->pool, 100 + 5 * NGX_INT64_LEN);
    if (json.data == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    json.len = ngx_sprintf(json.data,
                           "{\"code\":0,\"data\":{\"all\":%uL,"
                           "\"consumed\":%uL,\"delay\":%uL,"
                           "\"unconsumed\":%uL,\"dead\":%uL}}",
                           n.ready + n.in_flight + n.delayed + n.consumed
                           + n.dead,
                           n.consumed, n.delayed, n.ready + n.in_flight,
                           n.dead)
               - json.data;

    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}
