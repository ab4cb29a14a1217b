/*
 * Handing on, on its way in: a request that another node has let in is what it
 * was there.  Its location gets a configuration of its own, so that all who
 * serve it see what they would have seen at that node.
 */

#include "ngx_kapokmq_hop.h"
#include "../worker/ngx_kapokmq_worker.h"


#define NGX_KAPOKMQ_HOP_FORGED                                                \
    "Only requests that are handed on by another node are let in here"


/* An address that a connection has for a while. */
typedef struct {
    ngx_connection_t    *connection;
    struct sockaddr     *sockaddr;      /* what it had before */
    socklen_t            socklen;
    ngx_str_t            addr_text;
} ngx_kapokmq_hop_addr_t;


static const char *ngx_kapokmq_hop_read(ngx_http_request_t *r,
    kmq_hop_t *hop);
static ngx_int_t ngx_kapokmq_hop_forged(ngx_http_request_t *r,
    const char *why);
static const ngx_kapokmq_endpoint_t *ngx_kapokmq_hop_endpoint(
    const kmq_hop_t *hop);
static ngx_int_t ngx_kapokmq_hop_become(ngx_http_request_t *r,
    const kmq_hop_t *hop, const ngx_kapokmq_endpoint_t *endpoint);
static ngx_int_t ngx_kapokmq_hop_path(ngx_http_request_t *r,
    ngx_kapokmq_path_t *path, const kmq_hop_t *hop);
static ngx_int_t ngx_kapokmq_hop_pass(ngx_http_request_t *r,
    const kmq_hop_t *hop);
static ngx_int_t ngx_kapokmq_hop_address(ngx_http_request_t *r,
    const kmq_hop_t *hop);
static struct sockaddr *ngx_kapokmq_hop_sockaddr(ngx_pool_t *pool,
    const kmq_hop_text_t *address, socklen_t *len);


ngx_int_t
ngx_kapokmq_hop_handler(ngx_http_request_t *r)
{
    u_char                         address[NGX_KAPOKMQ_ADDRESS];
    kmq_hop_t                      hop;
    const char                    *why;
    ngx_kapokmq_hop_conf_t        *node;
    ngx_kapokmq_loc_conf_t        *lcf;
    const ngx_kapokmq_endpoint_t  *endpoint;

    if (r != r->main) {
        return NGX_HTTP_FORBIDDEN;
    }

    node = ngx_kapokmq_worker.hop;

    if (node == NULL) {
        return ngx_kapokmq_http_unavailable(r);
    }

    why = ngx_kapokmq_hop_read(r, &hop);

    if (why) {
        return ngx_kapokmq_hop_forged(r, why);
    }

    endpoint = ngx_kapokmq_hop_endpoint(&hop);

    if (endpoint == NULL) {
        return ngx_kapokmq_hop_forged(r, "it is of another version");
    }

    if (ngx_kapokmq_hop_become(r, &hop, endpoint) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* it is never handed on again: whoever sent it here believes in a primary
     * that there is not any more, or not yet */

    if (!node->serves() || node->primary(address) != hop.epoch) {
        return ngx_kapokmq_http_later(r);
    }

    if (kmq_hops_take(node->hops, &hop) != KMQ_HOPS_NEW) {
        return ngx_kapokmq_hop_forged(r, "it was handed on before");
    }

    if (ngx_kapokmq_hop_pass(r, &hop) != NGX_OK
        || ngx_kapokmq_hop_address(r, &hop) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);

    return lcf->endpoint.handler(r);
}


/* What is wrong with it; NULL: nothing, and hop is filled in. */
static const char *
ngx_kapokmq_hop_read(ngx_http_request_t *r, kmq_hop_t *hop)
{
    u_char                  *bytes;
    ngx_str_t               *value;
    kmq_hop_text_t          *method;
    ngx_kapokmq_hop_conf_t  *node;

    node = ngx_kapokmq_worker.hop;

    value = ngx_kapokmq_http_find(r, "kapokmq-hop",
                                  sizeof("kapokmq-hop") - 1);
    if (value == NULL) {
        return "it is not signed";
    }

    bytes = ngx_pnalloc(r->pool, value->len + 2);
    if (bytes == NULL) {
        return "there is no memory";
    }

    if (!kmq_hop_read(hop, bytes, (char *) value->data, value->len,
                      node->secret.data, node->secret.len))
    {
        return "its signature is wrong";
    }

    method = &hop->text[KMQ_HOP_METHOD];

    if (method->len != r->method_name.len
        || ngx_memcmp(method->data, r->method_name.data, method->len) != 0)
    {
        return "its method is another one";
    }

    return NULL;
}


static ngx_int_t
ngx_kapokmq_hop_forged(ngx_http_request_t *r, const char *why)
{
    ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                  "no request of another node: %s", why);

    return ngx_kapokmq_http_refuse(r, NGX_HTTP_FORBIDDEN,
                                   NGX_KAPOKMQ_HOP_FORGED);
}


static const ngx_kapokmq_endpoint_t *
ngx_kapokmq_hop_endpoint(const kmq_hop_t *hop)
{
    ngx_uint_t  i;

    for (i = 0; ngx_kapokmq_endpoints[i]; i++) {
        if (ngx_kapokmq_endpoints[i]->kind == hop->kind) {
            return ngx_kapokmq_endpoints[i];
        }
    }

    return NULL;
}


/* ------------------------------------------------------------- the request */

static void
ngx_kapokmq_hop_text(ngx_str_t *to, const kmq_hop_t *hop,
    kmq_hop_text_e text)
{
    to->data = (u_char *) hop->text[text].data;
    to->len = hop->text[text].len;
}


/* From here on it is a request of that endpoint, in a location as there. */
static ngx_int_t
ngx_kapokmq_hop_become(ngx_http_request_t *r, const kmq_hop_t *hop,
    const ngx_kapokmq_endpoint_t *endpoint)
{
    void                    **conf;
    ngx_kapokmq_loc_conf_t   *lcf, *own;

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);

    conf = ngx_palloc(r->pool, ngx_http_max_module * sizeof(void *));
    own = ngx_palloc(r->pool, sizeof(ngx_kapokmq_loc_conf_t));

    if (conf == NULL || own == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(conf, r->loc_conf, ngx_http_max_module * sizeof(void *));
    conf[ngx_kapokmq_module.ctx_index] = own;

    *own = *lcf;

    own->endpoint = *endpoint;
    own->hop = 1;
    own->cors_origins = NULL;
    own->auth = NGX_KAPOKMQ_AUTH_KEY;
    own->auth_key = NULL;
    own->auth_user = NULL;
    own->auth_limit = hop->limit;

    if (ngx_kapokmq_hop_path(r, &own->path, hop) != NGX_OK) {
        return NGX_ERROR;
    }

    r->loc_conf = conf;
    r->valid_unparsed_uri = 0;
    ngx_kapokmq_hop_text(&r->uri, hop, KMQ_HOP_URI);
    ngx_kapokmq_hop_text(&r->args, hop, KMQ_HOP_ARGS);

    return NGX_OK;
}


static ngx_int_t
ngx_kapokmq_hop_path(ngx_http_request_t *r, ngx_kapokmq_path_t *path,
    const kmq_hop_t *hop)
{
    ngx_http_complex_value_t  *names;

    ngx_memzero(path, sizeof(ngx_kapokmq_path_t));

    path->match = hop->match;
    ngx_kapokmq_hop_text(&path->prefix, hop, KMQ_HOP_PREFIX);
    ngx_kapokmq_hop_text(&path->reads, hop, KMQ_HOP_READS);

    if (hop->text[KMQ_HOP_TOPIC].len == 0) {
        return NGX_OK;
    }

    names = ngx_pcalloc(r->pool, 2 * sizeof(ngx_http_complex_value_t));
    if (names == NULL) {
        return NGX_ERROR;
    }

    /* texts without variables */

    ngx_kapokmq_hop_text(&names[0].value, hop, KMQ_HOP_TOPIC);
    ngx_kapokmq_hop_text(&names[1].value, hop, KMQ_HOP_ID);

    path->topic = &names[0];
    path->id = &names[1];

    return NGX_OK;
}


/* -------------------------------------------------------------- the client */

static ngx_int_t
ngx_kapokmq_hop_pass(ngx_http_request_t *r, const kmq_hop_t *hop)
{
    ngx_kapokmq_pass_t    *pass;
    ngx_kapokmq_facts_t   *facts;
    const kmq_hop_text_t  *rights, *digest;

    facts = ngx_kapokmq_facts(r);
    if (facts == NULL) {
        return NGX_ERROR;
    }

    pass = &facts->pass;
    rights = &hop->text[KMQ_HOP_RIGHTS];
    digest = &hop->text[KMQ_HOP_DIGEST];

    facts->hop = 1;
    facts->protocol = (hop->flags & NGX_KAPOKMQ_HOP_PROTOCOL) != 0;

    if (rights->len == 0) {
        return NGX_OK;
    }

    pass->access.rights = malloc(rights->len);

    if (pass->access.rights == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(pass->access.rights, rights->data, rights->len);

    if (!kmq_rights_check(pass->access.rights, rights->len)
        || digest->len != KMQ_DIGEST_LEN)
    {
        free(pass->access.rights);
        pass->access.rights = NULL;
        return NGX_ERROR;
    }

    ngx_memcpy(pass->access.digest.bytes, digest->data, KMQ_DIGEST_LEN);
    pass->access.expires = hop->expires;
    pass->open = (hop->flags & NGX_KAPOKMQ_HOP_OPEN) != 0;

    /* what another node has let in stays until keys change here */

    (void) ngx_kapokmq_keys();
    pass->number = ngx_kapokmq_worker.keys_number;

    ngx_kapokmq_hop_text(&pass->user, hop, KMQ_HOP_USER);
    facts->user = pass->user;

    return NGX_OK;
}


ngx_int_t
ngx_kapokmq_hop_enter(ngx_kapokmq_facts_t *facts, ngx_uint_t login,
    ngx_kapokmq_pass_t **pass)
{
    if (facts->pass.access.rights) {
        *pass = &facts->pass;
        return NGX_DECLINED;
    }

    *pass = NULL;

    return login ? NGX_DECLINED : NGX_HTTP_FORBIDDEN;
}


/* As realip does it. */
static ngx_int_t
ngx_kapokmq_hop_address(ngx_http_request_t *r, const kmq_hop_t *hop)
{
    u_char                  *shown;
    socklen_t                len;
    struct sockaddr         *sockaddr;
    ngx_connection_t        *c;
    ngx_pool_cleanup_t      *cln;
    const kmq_hop_text_t    *text;
    ngx_kapokmq_hop_addr_t  *before;

    c = r->connection;
    text = &hop->text[KMQ_HOP_SHOWN];

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_kapokmq_hop_addr_t));
    sockaddr = ngx_kapokmq_hop_sockaddr(c->pool, &hop->text[KMQ_HOP_ADDRESS],
                                        &len);
    shown = ngx_pnalloc(c->pool, text->len + 1);

    if (cln == NULL || sockaddr == NULL || shown == NULL) {
        return NGX_ERROR;
    }

    before = cln->data;
    before->connection = c;
    before->sockaddr = c->sockaddr;
    before->socklen = c->socklen;
    before->addr_text = c->addr_text;

    cln->handler = ngx_kapokmq_hop_cleanup;

    ngx_memcpy(shown, text->data, text->len);

    c->sockaddr = sockaddr;
    c->socklen = len;
    c->addr_text.data = shown;
    c->addr_text.len = text->len;

    return NGX_OK;
}


static struct sockaddr *
ngx_kapokmq_hop_sockaddr(ngx_pool_t *pool, const kmq_hop_text_t *address,
    socklen_t *len)
{
    ngx_sockaddr_t  *sa;

    sa = ngx_pcalloc(pool, sizeof(ngx_sockaddr_t));
    if (sa == NULL) {
        return NULL;
    }

    switch (address->len) {

#if (NGX_HAVE_INET6)
    case 16:
        sa->sockaddr_in6.sin6_family = AF_INET6;
        ngx_memcpy(&sa->sockaddr_in6.sin6_addr, address->data, 16);
        *len = sizeof(struct sockaddr_in6);
        break;
#endif

    case 4:
        sa->sockaddr_in.sin_family = AF_INET;
        ngx_memcpy(&sa->sockaddr_in.sin_addr, address->data, 4);
        *len = sizeof(struct sockaddr_in);
        break;

    default:
        sa->sockaddr.sa_family = AF_UNIX;
        *len = sizeof(struct sockaddr);
        break;
    }

    return &sa->sockaddr;
}


void
ngx_kapokmq_hop_cleanup(void *data)
{
    ngx_kapokmq_hop_addr_t  *before = data;

    before->connection->sockaddr = before->sockaddr;
    before->connection->socklen = before->socklen;
    before->connection->addr_text = before->addr_text;
}


void
ngx_kapokmq_hop_stays(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_kapokmq_hop_cleanup) {
            cln->handler = NULL;
        }
    }
}
