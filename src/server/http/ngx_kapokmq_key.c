/* Keys: where a request may have one, and what one is good for. */

#include "ngx_kapokmq_http.h"
#include "../worker/ngx_kapokmq_worker.h"
#include "../../protocol/kmq_base64.h"
#include "../../protocol/kmq_key_header.h"


static ngx_uint_t ngx_kapokmq_key_bearer(ngx_http_request_t *r,
    ngx_str_t *key);
static ngx_int_t ngx_kapokmq_key_protocol(ngx_http_request_t *r,
    ngx_str_t *key);
static ngx_int_t ngx_kapokmq_key_decode(ngx_http_request_t *r,
    const kmq_key_header_t *text, ngx_str_t *key);
static ngx_int_t ngx_kapokmq_key_variable(ngx_http_request_t *r,
    ngx_str_t *key);
static kmq_access_e ngx_kapokmq_key_look(ngx_connection_t *c,
    ngx_uint_t limit, int tokens_only, const u_char *key, size_t len,
    ngx_kapokmq_pass_t *pass, uint32_t *wait);
static void ngx_kapokmq_key_from(ngx_connection_t *c, kmq_tries_from_t *from);


/* ------------------------------------------------------------------- where */

ngx_int_t
ngx_kapokmq_key_given(ngx_http_request_t *r, ngx_str_t *key)
{
    ngx_int_t   rc;
    ngx_str_t  *value;

    value = ngx_kapokmq_http_find(r, "secretkey", sizeof("secretkey") - 1);

    if (value) {
        *key = *value;
        return NGX_OK;
    }

    if (ngx_kapokmq_key_bearer(r, key)) {
        return NGX_OK;
    }

    rc = ngx_kapokmq_key_protocol(r, key);

    return rc == NGX_DECLINED ? ngx_kapokmq_key_variable(r, key) : rc;
}


/* "Authorization: Bearer KEY".  Other schemes are nginx's. */
static ngx_uint_t
ngx_kapokmq_key_bearer(ngx_http_request_t *r, ngx_str_t *key)
{
    ngx_str_t         *value;
    kmq_key_header_t   found;

    value = ngx_kapokmq_http_find(r, "authorization",
                                  sizeof("authorization") - 1);

    if (value == NULL
        || !kmq_key_bearer((char *) value->data, value->len, &found))
    {
        return 0;
    }

    key->data = (u_char *) found.data;
    key->len = found.len;

    return 1;
}


/* Of a WebSocket alone, since nobody else can have one. */
static ngx_int_t
ngx_kapokmq_key_protocol(ngx_http_request_t *r, ngx_str_t *key)
{
    ngx_str_t               *value;
    ngx_uint_t               i;
    ngx_list_part_t         *part;
    kmq_key_header_t         text;
    ngx_kapokmq_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);

    if (lcf->endpoint.kind != NGX_KAPOKMQ_PRODUCER
        && lcf->endpoint.kind != NGX_KAPOKMQ_CONSUMER)
    {
        return NGX_DECLINED;
    }

    part = NULL;
    i = 0;

    for ( ;; ) {
        value = ngx_kapokmq_http_each(r, "sec-websocket-protocol",
                                      sizeof("sec-websocket-protocol") - 1,
                                      &part, &i);
        if (value == NULL) {
            return NGX_DECLINED;
        }

        if (kmq_key_protocol((char *) value->data, value->len, &text)) {
            return ngx_kapokmq_key_decode(r, &text, key);
        }
    }
}


/* What cannot be decoded is a key, too: a wrong one. */
static ngx_int_t
ngx_kapokmq_key_decode(ngx_http_request_t *r, const kmq_key_header_t *text,
    ngx_str_t *key)
{
    long  n;

    key->data = ngx_pnalloc(r->pool, KMQ_BASE64_ROOM(text->len));
    if (key->data == NULL) {
        return NGX_ERROR;
    }

    n = kmq_base64url_decode(key->data, text->data, text->len);
    key->len = n < 0 ? 0 : (size_t) n;

    return NGX_OK;
}


/* kapokmq_auth key $VARIABLE; */
static ngx_int_t
ngx_kapokmq_key_variable(ngx_http_request_t *r, ngx_str_t *key)
{
    ngx_kapokmq_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);

    if (lcf->auth_key == NULL) {
        return NGX_DECLINED;
    }

    if (ngx_http_complex_value(r, lcf->auth_key, key) != NGX_OK) {
        return NGX_ERROR;
    }

    return key->len ? NGX_OK : NGX_DECLINED;
}


/* -------------------------------------------------------------------- what */

kmq_access_e
ngx_kapokmq_key_ask(ngx_connection_t *c, ngx_uint_t limit, const u_char *key,
    size_t len, ngx_kapokmq_pass_t *pass, uint32_t *wait)
{
    return ngx_kapokmq_key_look(c, limit, 0, key, len, pass, wait);
}


kmq_access_e
ngx_kapokmq_key_renew(ngx_connection_t *c, ngx_uint_t limit,
    const u_char *token, size_t len, ngx_kapokmq_pass_t *pass)
{
    uint32_t  wait;

    return ngx_kapokmq_key_look(c, limit, 1, token, len, pass, &wait);
}


static kmq_access_e
ngx_kapokmq_key_look(ngx_connection_t *c, ngx_uint_t limit, int tokens_only,
    const u_char *key, size_t len, ngx_kapokmq_pass_t *pass, uint32_t *wait)
{
    kmq_text_t             name;
    kmq_gate_t             gate;
    const char            *why;
    kmq_access_e           rc;
    kmq_tries_from_t       from;
    kmq_access_time_t      now;
    ngx_kapokmq_worker_t  *w;

    w = &ngx_kapokmq_worker;

    gate.keys = ngx_kapokmq_keys();
    gate.tokens = &w->config->tokens;
    gate.memory = w->tokens;
    gate.tries = w->tries;
    gate.used = w->used;
    gate.limit = (unsigned) limit;
    gate.tokens_only = tokens_only;

    now.wall = ngx_time();
    now.ms = ngx_current_msec;

    ngx_kapokmq_key_from(c, &from);

    *wait = 0;
    why = "it is no key";

    rc = kmq_access(&gate, &from, (char *) key, len, &now, &pass->access,
                    wait, &why);

    if (rc != KMQ_ACCESS_GOOD) {
        pass->access.rights = NULL;
        ngx_log_error(NGX_LOG_INFO, c->log, 0, "key refused: %s", why);
        return rc;
    }

    pass->number = w->keys_number;

    name = kmq_rights_name(pass->access.rights);
    pass->user.data = (u_char *) name.data;
    pass->user.len = name.len;

    return rc;
}


static void
ngx_kapokmq_key_from(ngx_connection_t *c, kmq_tries_from_t *from)
{
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    switch (c->sockaddr->sa_family) {

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) c->sockaddr;
        kmq_tries_from(from, sin6->sin6_addr.s6_addr, 16);
        return;
#endif

    case AF_INET:
        sin = (struct sockaddr_in *) c->sockaddr;
        kmq_tries_from(from, (u_char *) &sin->sin_addr, 4);
        return;

    default:
        kmq_tries_from(from, (u_char *) "", 0);
        return;
    }
}
