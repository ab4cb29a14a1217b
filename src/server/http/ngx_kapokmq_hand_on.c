/*
 * Handing on, on its way out: a location of nginx's proxy takes the request
 * to the primary.
 */

#include "ngx_kapokmq_hop.h"
#include "../worker/ngx_kapokmq_worker.h"


/* How often is looked whether the primary is still the same, in ms. */
#define NGX_KAPOKMQ_HANDED_LOOK  250

struct ngx_kapokmq_handed_s {
    ngx_queue_t              queue;
    ngx_http_request_t      *request;
    ngx_kapokmq_loc_conf_t  *from;
    kmq_hop_t                hop;
    ngx_str_t                address;
};


static ngx_uint_t ngx_kapokmq_hand_socket(
    const ngx_kapokmq_loc_conf_t *lcf);
static ngx_int_t ngx_kapokmq_hand_enter(ngx_http_request_t *r,
    ngx_kapokmq_loc_conf_t *lcf, ngx_kapokmq_pass_t **pass);
static ngx_kapokmq_handed_t *ngx_kapokmq_hand_create(ngx_http_request_t *r);
static ngx_int_t ngx_kapokmq_hand_names(ngx_http_request_t *r,
    ngx_kapokmq_handed_t *h, const char **error);
static void ngx_kapokmq_hand_request(ngx_http_request_t *r,
    ngx_kapokmq_handed_t *h);
static void ngx_kapokmq_hand_client(ngx_http_request_t *r,
    ngx_kapokmq_handed_t *h, const ngx_kapokmq_pass_t *pass);
static void ngx_kapokmq_hand_address(ngx_connection_t *c, kmq_hop_t *hop);
static void ngx_kapokmq_handed_cleanup(void *data);
static void ngx_kapokmq_handed_look(ngx_event_t *ev);
static void ngx_kapokmq_handed_end(ngx_kapokmq_handed_t *h);


/* Those of this worker. */
static ngx_queue_t  ngx_kapokmq_handed;
static ngx_event_t  ngx_kapokmq_handed_timer;


ngx_uint_t
ngx_kapokmq_hands_on(ngx_http_request_t *r, const ngx_kapokmq_loc_conf_t *lcf)
{
    if (ngx_kapokmq_worker.hop == NULL || ngx_kapokmq_worker.hop->serves())
    {
        return 0;
    }

    return lcf->endpoint.kind != NGX_KAPOKMQ_METRICS
           && !ngx_kapokmq_http_local(r);
}


ngx_uint_t
ngx_kapokmq_hop_good(ngx_http_request_t *r)
{
    u_char                   address[NGX_KAPOKMQ_ADDRESS];
    ngx_kapokmq_hop_conf_t  *node;
    ngx_kapokmq_loc_conf_t  *lcf;

    node = ngx_kapokmq_worker.hop;

    if (node == NULL || node->serves()) {
        return ngx_kapokmq_worker.kmq != NULL;
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);

    return lcf->primary.len && node->primary(address) && address[0];
}


/* -------------------------------------------------------------------- out */

ngx_int_t
ngx_kapokmq_hand_on(ngx_http_request_t *r, ngx_kapokmq_loc_conf_t *lcf)
{
    ngx_int_t              rc;
    const char            *error;
    ngx_kapokmq_pass_t    *pass;
    ngx_kapokmq_handed_t  *h;

    rc = ngx_kapokmq_hand_enter(r, lcf, &pass);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    h = ngx_kapokmq_hand_create(r);
    if (h == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    h->from = lcf;
    h->hop.epoch = ngx_kapokmq_worker.hop->primary(h->address.data);
    h->hop.node = ngx_kapokmq_worker.hop->number;
    h->address.len = ngx_strlen(h->address.data);

    if (h->hop.epoch == 0 || h->address.len == 0 || lcf->primary.len == 0) {
        return ngx_kapokmq_http_later(r);
    }

    rc = ngx_kapokmq_hand_names(r, h, &error);
    if (rc != NGX_OK) {
        ngx_kapokmq_path_log(r, rc, error);
        return ngx_kapokmq_http_refuse(r, rc, error);
    }

    ngx_kapokmq_hand_request(r, h);
    ngx_kapokmq_hand_client(r, h, pass);

    return ngx_http_named_location(r, &lcf->primary);
}


static ngx_uint_t
ngx_kapokmq_hand_socket(const ngx_kapokmq_loc_conf_t *lcf)
{
    return lcf->endpoint.kind == NGX_KAPOKMQ_PRODUCER
           || lcf->endpoint.kind == NGX_KAPOKMQ_CONSUMER;
}


/* What the location's own handler does first.  NGX_DECLINED: it is in, or will
 * be asked for its key by the primary. */
static ngx_int_t
ngx_kapokmq_hand_enter(ngx_http_request_t *r, ngx_kapokmq_loc_conf_t *lcf,
    ngx_kapokmq_pass_t **pass)
{
    ngx_int_t   rc;
    ngx_uint_t  socket;

    socket = ngx_kapokmq_hand_socket(lcf);

    if (!socket) {
        rc = ngx_kapokmq_http_method(r);
        if (rc != NGX_DECLINED) {
            return rc;
        }

    } else if (r != r->main) {
        return NGX_HTTP_BAD_REQUEST;

    } else if (!ngx_kapokmq_door_origin(r)) {
        return ngx_kapokmq_http_refuse(r, NGX_HTTP_FORBIDDEN,
                                       NGX_KAPOKMQ_FOREIGN);
    }

    rc = ngx_kapokmq_door_enter(r, socket, pass);

    return rc == NGX_BUSY ? ngx_kapokmq_http_later(r) : rc;
}


static ngx_kapokmq_handed_t *
ngx_kapokmq_hand_create(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t    *cln;
    ngx_kapokmq_facts_t   *facts;
    ngx_kapokmq_handed_t  *h;

    facts = ngx_kapokmq_facts(r);
    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_kapokmq_handed_t));

    if (facts == NULL || cln == NULL) {
        return NULL;
    }

    h = cln->data;
    ngx_memzero(h, sizeof(ngx_kapokmq_handed_t));

    h->request = r;
    h->address.data = ngx_pnalloc(r->pool, NGX_KAPOKMQ_ADDRESS);

    if (h->address.data == NULL) {
        return NULL;
    }

    if (ngx_kapokmq_handed.next == NULL) {
        ngx_queue_init(&ngx_kapokmq_handed);
        ngx_kapokmq_event_init(&ngx_kapokmq_handed_timer,
                               ngx_kapokmq_handed_look,
                               ngx_kapokmq_worker.log);
    }

    ngx_queue_insert_tail(&ngx_kapokmq_handed, &h->queue);
    cln->handler = ngx_kapokmq_handed_cleanup;
    facts->handed = h;

    if (!ngx_kapokmq_handed_timer.timer_set) {
        ngx_add_timer(&ngx_kapokmq_handed_timer, NGX_KAPOKMQ_HANDED_LOOK);
    }

    return h;
}


static void
ngx_kapokmq_hand_text(kmq_hop_t *hop, kmq_hop_text_e text,
    const ngx_str_t *value)
{
    hop->text[text].data = value->data;
    hop->text[text].len = value->len;
}


/* A client's names: its location here may make them of what there is not
 * at the primary. */
static ngx_int_t
ngx_kapokmq_hand_names(ngx_http_request_t *r, ngx_kapokmq_handed_t *h,
    const char **error)
{
    ngx_int_t             rc;
    ngx_str_t             reads;
    ngx_kapokmq_path_t   *path;
    ngx_kapokmq_names_t   names;

    *error = "There is no memory";
    path = &h->from->path;

    switch (h->from->endpoint.kind) {

    case NGX_KAPOKMQ_PRODUCER:
    case NGX_KAPOKMQ_CONSUMER:
    case NGX_KAPOKMQ_EVENTS:
    case NGX_KAPOKMQ_PULL:
        break;

    default:
        return NGX_OK;
    }

    rc = ngx_kapokmq_path_names(r, &names, error);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_kapokmq_facts_names(r, &names) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_kapokmq_hand_text(&h->hop, KMQ_HOP_TOPIC, &names.topic);
    ngx_kapokmq_hand_text(&h->hop, KMQ_HOP_ID, &names.id);

    if (path->topic == NULL) {
        return NGX_OK;
    }

    reads.len = path->topic->value.len + path->id->value.len + 1;
    reads.data = ngx_pnalloc(r->pool, reads.len);

    if (reads.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_sprintf(reads.data, "%V %V", &path->topic->value, &path->id->value);
    ngx_kapokmq_hand_text(&h->hop, KMQ_HOP_READS, &reads);

    return NGX_OK;
}


static void
ngx_kapokmq_hand_request(ngx_http_request_t *r, ngx_kapokmq_handed_t *h)
{
    kmq_hop_t  *hop;

    hop = &h->hop;

    hop->kind = (uint8_t) h->from->endpoint.kind;
    hop->match = (uint8_t) h->from->path.match;
    hop->limit = (uint32_t) h->from->auth_limit;

    /* the key that may be beside it stays here */

    if (ngx_kapokmq_hand_socket(h->from) && ngx_kapokmq_http_offers(r)) {
        hop->flags |= NGX_KAPOKMQ_HOP_PROTOCOL;
    }

    ngx_kapokmq_hand_text(hop, KMQ_HOP_METHOD, &r->method_name);
    ngx_kapokmq_hand_text(hop, KMQ_HOP_URI, &r->uri);
    ngx_kapokmq_hand_text(hop, KMQ_HOP_ARGS, &r->args);
    ngx_kapokmq_hand_text(hop, KMQ_HOP_PREFIX, &h->from->path.prefix);
}


static void
ngx_kapokmq_hand_client(ngx_http_request_t *r, ngx_kapokmq_handed_t *h,
    const ngx_kapokmq_pass_t *pass)
{
    kmq_hop_t  *hop;

    hop = &h->hop;

    ngx_kapokmq_hand_address(r->connection, hop);
    ngx_kapokmq_hand_text(hop, KMQ_HOP_SHOWN, &r->connection->addr_text);

    if (pass == NULL) {
        return;
    }

    if (pass->open) {
        hop->flags |= NGX_KAPOKMQ_HOP_OPEN;
    }

    hop->expires = pass->access.expires;
    hop->text[KMQ_HOP_DIGEST].data = pass->access.digest.bytes;
    hop->text[KMQ_HOP_DIGEST].len = KMQ_DIGEST_LEN;
    hop->text[KMQ_HOP_RIGHTS].data = (u_char *) pass->access.rights;
    hop->text[KMQ_HOP_RIGHTS].len = kmq_rights_size(pass->access.rights);
    ngx_kapokmq_hand_text(hop, KMQ_HOP_USER, &pass->user);
}


static void
ngx_kapokmq_hand_address(ngx_connection_t *c, kmq_hop_t *hop)
{
    kmq_hop_text_t  *to;

    to = &hop->text[KMQ_HOP_ADDRESS];

    switch (c->sockaddr->sa_family) {

#if (NGX_HAVE_INET6)
    case AF_INET6:
        to->data = (u_char *)
                   &((struct sockaddr_in6 *) c->sockaddr)->sin6_addr;
        to->len = 16;
        return;
#endif

    case AF_INET:
        to->data = (u_char *) &((struct sockaddr_in *) c->sockaddr)->sin_addr;
        to->len = 4;
        return;

    default:
        return;
    }
}


/* --------------------------------------------------------- what it is then */

static ngx_kapokmq_handed_t *
ngx_kapokmq_handed_find(ngx_http_request_t *r)
{
    ngx_kapokmq_facts_t  *facts;

    if (ngx_kapokmq_worker.hop == NULL) {
        return NULL;
    }

    facts = ngx_kapokmq_facts_find(r->main);

    return facts ? facts->handed : NULL;
}


ngx_kapokmq_loc_conf_t *
ngx_kapokmq_handed_from(ngx_http_request_t *r)
{
    ngx_kapokmq_handed_t  *h;

    h = ngx_kapokmq_handed_find(r);

    return h ? h->from : NULL;
}


/* It gets its number here, when the proxy begins: a body may have come slowly
 * before that. */
ngx_int_t
ngx_kapokmq_handed_header(ngx_http_request_t *r, ngx_str_t *header)
{
    ngx_kapokmq_handed_t    *h;
    ngx_kapokmq_hop_conf_t  *node;

    h = ngx_kapokmq_handed_find(r);
    if (h == NULL) {
        return NGX_DECLINED;
    }

    node = ngx_kapokmq_worker.hop;
    kmq_hops_number(node->hops, &h->hop);

    header->data = ngx_pnalloc(r->pool, kmq_hop_room(&h->hop));
    if (header->data == NULL) {
        return NGX_ERROR;
    }

    header->len = kmq_hop_write((char *) header->data, &h->hop,
                                node->secret.data, node->secret.len);

    return header->len ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_kapokmq_handed_to(ngx_http_request_t *r, ngx_str_t *address)
{
    ngx_kapokmq_handed_t  *h;

    h = ngx_kapokmq_handed_find(r);

    if (h) {
        *address = h->address;
        return NGX_OK;
    }

    if (ngx_kapokmq_worker.hop == NULL) {
        return NGX_DECLINED;
    }

    address->data = ngx_pnalloc(r->pool, NGX_KAPOKMQ_ADDRESS);
    if (address->data == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_kapokmq_worker.hop->primary(address->data);
    address->len = ngx_strlen(address->data);

    return NGX_OK;
}


static void
ngx_kapokmq_handed_cleanup(void *data)
{
    ngx_kapokmq_handed_t  *h = data;

    ngx_queue_remove(&h->queue);
}


/* ------------------------------------------------------- another primary */

/*
 * A primary whose machine is gone says nothing, and clients would wait for it
 * until some timeout.  So when another one is known, what was handed to the one
 * before ends.
 */
static void
ngx_kapokmq_handed_look(ngx_event_t *ev)
{
    u_char                 address[NGX_KAPOKMQ_ADDRESS];
    uint32_t               epoch;
    ngx_queue_t           *q;
    ngx_kapokmq_handed_t  *h;

    if (ngx_queue_empty(&ngx_kapokmq_handed)) {
        return;
    }

    epoch = ngx_kapokmq_worker.hop->primary(address);

    for (q = ngx_queue_head(&ngx_kapokmq_handed);
         q != ngx_queue_sentinel(&ngx_kapokmq_handed) && epoch;
         q = ngx_queue_next(q))
    {
        h = ngx_queue_data(q, ngx_kapokmq_handed_t, queue);

        if (h->hop.epoch != epoch) {
            ngx_kapokmq_handed_end(h);
        }
    }

    ngx_add_timer(ev, NGX_KAPOKMQ_HANDED_LOOK);
}


/* The proxy sees the end of its connection, and does all else. */
static void
ngx_kapokmq_handed_end(ngx_kapokmq_handed_t *h)
{
    ngx_http_upstream_t  *u;

    u = h->request->upstream;

    if (u && u->peer.connection
        && u->peer.connection->fd != (ngx_socket_t) -1)
    {
        (void) shutdown(u->peer.connection->fd, SHUT_RDWR);
    }
}
