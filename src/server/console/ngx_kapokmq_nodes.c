/* Health, GetNodes and StepDown: can this nginx serve, which others are there,
 * and shall one of them do it? */

#include "ngx_kapokmq_console_inside.h"
#include "../cluster/ngx_kapokmq_cluster.h"
#include "../http/ngx_kapokmq_hop.h"
#include "../worker/ngx_kapokmq_worker.h"


/* An answer at its longest: the texts, escaped, and what is around them. */
#define NGX_KAPOKMQ_NODES_TEXT                                                \
    (6 * (2 * KMQ_STATUS_NAME + KMQ_STATUS_ADDRESS + KMQ_STATUS_REASON)       \
     + KMQ_STATUS_DIFFERS + 512)
#define NGX_KAPOKMQ_NODES_MAX                                                 \
    ((1 + KMQ_LEASE_NODES + KMQ_STATUS_TAKEOVERS) * NGX_KAPOKMQ_NODES_TEXT)

/* The answer to a step down is looked for every so many ms, and so often. */
#define NGX_KAPOKMQ_STEP_LOOK   25
#define NGX_KAPOKMQ_STEP_LOOKS  200


/* A node steps down. */
typedef struct {
    ngx_event_t          timer;
    ngx_http_request_t  *request;
    uint32_t             question;
    uint32_t             epoch;
    ngx_uint_t           looks;
} ngx_kapokmq_step_t;


static ngx_uint_t ngx_kapokmq_health_good(ngx_http_request_t *r);
static u_char *ngx_kapokmq_nodes_write(u_char *p, const kmq_status_t *status);
static u_char *ngx_kapokmq_nodes_one(u_char *p, const kmq_status_t *status,
    uint32_t number);
static u_char *ngx_kapokmq_nodes_cluster(u_char *p,
    const kmq_status_t *status);
static u_char *ngx_kapokmq_nodes_takeovers(u_char *p,
    const kmq_status_t *status);
static u_char *ngx_kapokmq_nodes_text(u_char *p, const char *text);
static u_char *ngx_kapokmq_nodes_time(u_char *p, uint64_t ms);
static u_char *ngx_kapokmq_nodes_name(u_char *p, const kmq_status_t *status,
    uint32_t number);
static void ngx_kapokmq_step_gone(void *data);
static void ngx_kapokmq_step_look(ngx_event_t *ev);
static void ngx_kapokmq_step_done(ngx_kapokmq_step_t *step,
    uint32_t successor);


/* ------------------------------------------------------------------ Health */

ngx_int_t
ngx_kapokmq_health(ngx_http_request_t *r)
{
    ngx_int_t  rc;
    ngx_str_t  json = ngx_string("{\"code\":0}");

    rc = ngx_kapokmq_http_method(r);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (!ngx_kapokmq_health_good(r)) {
        return ngx_kapokmq_http_unavailable(r);
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_kapokmq_http_answer(r, NGX_HTTP_OK, &json);
}


/* A worker that is exiting after a reload has successors: that is no stop. */
static ngx_uint_t
ngx_kapokmq_health_good(ngx_http_request_t *r)
{
    ngx_kapokmq_worker_t  *w;

    w = &ngx_kapokmq_worker;

    return ngx_kapokmq_hop_good(r)
           && !(ngx_exiting && w->reloads == w->shared->reloads);
}


/* ---------------------------------------------------------------- GetNodes */

/* The nodes, and beside them what they are together, as this one knows it. */
void
ngx_kapokmq_nodes_get(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    u_char        *p;
    ngx_str_t      json = ngx_string("{\"code\":0,\"data\":[]}");
    kmq_status_t   status;

    (void) rights;

    if (!ngx_kapokmq_cluster_on()) {
        ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
        return;
    }

    p = ngx_pnalloc(r->pool, NGX_KAPOKMQ_NODES_MAX);
    if (p == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    ngx_kapokmq_cluster_status(&status);

    json.data = p;
    json.len = ngx_kapokmq_nodes_write(p, &status) - p;

    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}


static u_char *
ngx_kapokmq_nodes_write(u_char *p, const kmq_status_t *status)
{
    uint32_t  i, n;

    p = ngx_sprintf(p, "{\"code\":0,\"data\":[");
    n = ngx_min(status->nodes, KMQ_LEASE_NODES);

    for (i = 0; i < n; i++) {

        if (i) {
            *p++ = ',';
        }

        p = ngx_kapokmq_nodes_one(p, status, i);
    }

    p = ngx_sprintf(p, "],\"cluster\":");
    p = ngx_kapokmq_nodes_cluster(p, status);
    *p++ = '}';

    return p;
}


static u_char *
ngx_kapokmq_nodes_one(u_char *p, const kmq_status_t *status, uint32_t number)
{
    const kmq_status_node_t  *node;

    node = &status->peer[number];

    p = ngx_sprintf(p, "{\"Node\":");
    p = ngx_kapokmq_nodes_name(p, status, number);
    p = ngx_sprintf(p, ",\"Address\":");
    p = ngx_kapokmq_nodes_text(p, node->address);
    p = ngx_sprintf(p, ",\"Role\":");
    p = ngx_kapokmq_nodes_text(p, kmq_status_role(node->role));

    p = ngx_sprintf(p, ",\"Self\":%s,\"There\":%s,\"Heard\":",
                    number == status->node ? "true" : "false",
                    node->there ? "true" : "false");
    p = ngx_kapokmq_nodes_time(p, node->heard);

    p = ngx_sprintf(p, ",\"Epoch\":%uD,\"Entries\":%uL,\"Lag\":%uL,"
                    "\"LagBytes\":%uL,\"Lacks\":%s,\"Differs\":",
                    node->epoch, node->seq, node->lag, node->lag_bytes,
                    node->lacks ? "true" : "false");
    p = ngx_kapokmq_nodes_text(p, node->differs);
    *p++ = '}';

    return p;
}


static u_char *
ngx_kapokmq_nodes_cluster(u_char *p, const kmq_status_t *status)
{
    p = ngx_sprintf(p, "{\"Node\":");
    p = ngx_kapokmq_nodes_name(p, status, status->node);
    p = ngx_sprintf(p, ",\"Role\":");
    p = ngx_kapokmq_nodes_text(p, kmq_status_role(status->role));
    p = ngx_sprintf(p, ",\"Since\":");
    p = ngx_kapokmq_nodes_time(p, status->since);

    p = ngx_sprintf(p, ",\"Primary\":");
    p = ngx_kapokmq_nodes_name(p, status, status->primary);
    p = ngx_sprintf(p, ",\"Epoch\":%uD,\"Blocked\":%s,\"Furthest\":",
                    status->epoch, status->blocked ? "true" : "false");
    p = ngx_kapokmq_nodes_name(p, status, status->blocked ? status->furthest
                                                          : KMQ_NOBODY);
    p = ngx_sprintf(p, ",\"Reason\":");
    p = ngx_kapokmq_nodes_text(p, status->reason);

    p = ngx_sprintf(p, ",\"Stream\":{\"Server\":");
    p = ngx_kapokmq_nodes_text(p, status->server);
    p = ngx_sprintf(p, ",\"Leader\":");
    p = ngx_kapokmq_nodes_text(p, status->leader);
    p = ngx_sprintf(p, ",\"Replicas\":%ud,\"Current\":%ud,\"Last\":%uL,"
                    "\"Messages\":%uL,\"Bytes\":%uL},",
                    status->replicas, status->current, status->known,
                    status->messages, status->bytes);

    p = ngx_kapokmq_nodes_takeovers(p, status);
    *p++ = '}';

    return p;
}


static u_char *
ngx_kapokmq_nodes_takeovers(u_char *p, const kmq_status_t *status)
{
    unsigned                      i, n;
    const kmq_status_takeover_t  *t;

    p = ngx_sprintf(p, "\"Takeovers\":%ud,\"LastTakeovers\":[",
                    status->ntakeovers);
    n = ngx_min(status->ntakeovers, KMQ_STATUS_TAKEOVERS);

    for (i = 0; i < n; i++) {
        t = &status->takeover[i];

        p = ngx_sprintf(p, "%s{\"Time\":", i ? "," : "");
        p = ngx_kapokmq_nodes_time(p, t->time);
        p = ngx_sprintf(p, ",\"Epoch\":%uD,\"Node\":", t->epoch);
        p = ngx_kapokmq_nodes_name(p, status, t->node);
        p = ngx_sprintf(p, ",\"Lasted\":");
        p = ngx_kapokmq_http_decimal(p, t->lasted / 1000.0);
        p = ngx_sprintf(p, ",\"Why\":");
        p = ngx_kapokmq_nodes_text(p, t->why);
        *p++ = '}';
    }

    *p++ = ']';

    return p;
}


/* Null for an empty one. */
static u_char *
ngx_kapokmq_nodes_text(u_char *p, const char *text)
{
    return text[0] ? ngx_kapokmq_http_quote(p, text, ngx_strlen(text))
                   : ngx_sprintf(p, "null");
}


/* Seconds; null for never. */
static u_char *
ngx_kapokmq_nodes_time(u_char *p, uint64_t ms)
{
    return ngx_kapokmq_http_or_null(p, ms / 1000);
}


/* Who was never heard has a number alone. */
static u_char *
ngx_kapokmq_nodes_name(u_char *p, const kmq_status_t *status, uint32_t number)
{
    if (number >= KMQ_LEASE_NODES) {
        return ngx_sprintf(p, "null");
    }

    if (status->peer[number].name[0] == '\0') {
        return ngx_sprintf(p, "\"#%uD\"", number + 1);
    }

    return ngx_kapokmq_nodes_text(p, status->peer[number].name);
}


/* ---------------------------------------------------------------- StepDown */

void
ngx_kapokmq_nodes_step(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    u_char               address[NGX_KAPOKMQ_ADDRESS];
    ngx_pool_cleanup_t  *cln;
    ngx_kapokmq_step_t  *step;

    (void) rights;

    if (!ngx_kapokmq_cluster_on()) {
        ngx_kapokmq_http_error(r, NGX_HTTP_CONFLICT, "There is no cluster");
        return;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_kapokmq_step_t));
    if (cln == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    step = cln->data;
    ngx_memzero(step, sizeof(ngx_kapokmq_step_t));

    ngx_kapokmq_event_init(&step->timer, ngx_kapokmq_step_look,
                           ngx_kapokmq_worker.log);
    step->timer.data = step;

    /* a worker that ends with its epoch waits for this answer */
    step->timer.cancelable = 0;

    step->request = r;
    step->epoch = ngx_kapokmq_cluster_primary(address);
    step->question = ngx_kapokmq_cluster_step_down();

    cln->handler = ngx_kapokmq_step_gone;
    r->read_event_handler = ngx_http_test_reading;

    ngx_add_timer(&step->timer, NGX_KAPOKMQ_STEP_LOOK);
}


static void
ngx_kapokmq_step_gone(void *data)
{
    ngx_kapokmq_step_t  *step = data;

    if (step->timer.timer_set) {
        ngx_del_timer(&step->timer);
    }
}


static void
ngx_kapokmq_step_look(ngx_event_t *ev)
{
    uint32_t             successor;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;
    ngx_kapokmq_step_t  *step;

    step = ev->data;
    r = step->request;
    c = r->connection;

    switch (ngx_kapokmq_cluster_stepped(step->question, &successor)) {

    case NGX_KAPOKMQ_STEP_WAIT:

        if (++step->looks < NGX_KAPOKMQ_STEP_LOOKS) {
            ngx_add_timer(ev, NGX_KAPOKMQ_STEP_LOOK);
            return;
        }

        ngx_kapokmq_http_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                               "The node has not answered");
        break;

    case NGX_KAPOKMQ_STEP_DONE:
        ngx_kapokmq_step_done(step, successor);
        break;

    case NGX_KAPOKMQ_STEP_NOBODY:
        ngx_kapokmq_http_error(r, NGX_HTTP_CONFLICT,
                               "No other node has all that this one has");
        break;

    default:
        ngx_kapokmq_http_error(r, NGX_HTTP_CONFLICT,
                               "This node is not primary");
        break;
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_kapokmq_step_done(ngx_kapokmq_step_t *step, uint32_t successor)
{
    u_char              *p, name[6 * KMQ_STATUS_NAME];
    ngx_str_t            json;
    kmq_status_t         status;
    ngx_http_request_t  *r;

    r = step->request;

    ngx_kapokmq_cluster_status(&status);

    /* quoted, and for the log without the quotes */

    p = ngx_kapokmq_nodes_name(name, &status, successor);
    ngx_kapokmq_audit(r, "stepped down, in favour of", name + 1,
                      p - name > 2 ? p - name - 2 : 0, step->epoch);

    json.data = ngx_pnalloc(r->pool, sizeof(name) + 64);
    if (json.data == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    json.len = ngx_sprintf(json.data, "{\"code\":0,\"data\":{\"Node\":%*s}}",
                           (size_t) (p - name), name)
               - json.data;

    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}
