/* From an HTTP request to a WebSocket session: the handshake. */

#include "ngx_kapokmq_session_inside.h"
#include "../http/ngx_kapokmq_http.h"

#include <ngx_sha1.h>


#define NGX_KAPOKMQ_WS_KEY  24     /* characters */

static ngx_int_t ngx_kapokmq_upgrade_check(ngx_http_request_t *r,
    ngx_str_t **found);
static ngx_int_t ngx_kapokmq_upgrade_enter(ngx_http_request_t *r,
    ngx_kapokmq_session_t *s);
static ngx_uint_t ngx_kapokmq_upgrade_key_valid(ngx_str_t *key);
static ngx_int_t ngx_kapokmq_upgrade_version(ngx_http_request_t *r);
static ngx_uint_t ngx_kapokmq_upgrade_asked(ngx_http_request_t *r);
static ngx_int_t ngx_kapokmq_upgrade_facts(ngx_http_request_t *r,
    ngx_kapokmq_session_t *s);
static ngx_uint_t ngx_kapokmq_upgrade_protocol(ngx_http_request_t *r);
static char *ngx_kapokmq_upgrade_accept(ngx_http_request_t *r,
    ngx_str_t *key);
static ngx_int_t ngx_kapokmq_upgrade_answer(ngx_http_request_t *r,
    ngx_str_t *key);


ngx_int_t
ngx_kapokmq_upgrade(ngx_http_request_t *r, const ngx_kapokmq_role_t *role)
{
    ngx_int_t               rc;
    ngx_str_t              *key;
    const char             *error;
    ngx_kapokmq_session_t  *s;

    key = NULL;

    rc = ngx_kapokmq_upgrade_check(r, &key);
    if (key == NULL) {
        return rc;
    }

    s = ngx_kapokmq_kept_create(r, role);
    if (s == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_kapokmq_client_info(r, role->number, s->info, &error);
    if (rc != NGX_OK) {
        return ngx_kapokmq_http_refuse(r, rc, error);
    }

    if (ngx_kapokmq_upgrade_facts(r, s) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_kapokmq_upgrade_enter(r, s);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_kapokmq_upgrade_answer(r, key);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_kapokmq_kept_begin(s);

    return NGX_DONE;
}


/* What it has for a key is the session's then; without any it will be asked for
 * it.  NGX_DECLINED: it may come in. */
static ngx_int_t
ngx_kapokmq_upgrade_enter(ngx_http_request_t *r, ngx_kapokmq_session_t *s)
{
    ngx_int_t                rc;
    ngx_kapokmq_pass_t      *pass;
    ngx_kapokmq_loc_conf_t  *lcf;

    if (!ngx_kapokmq_door_origin(r)) {
        return ngx_kapokmq_http_refuse(r, NGX_HTTP_FORBIDDEN,
                                       NGX_KAPOKMQ_FOREIGN);
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);
    s->limit = lcf->auth_limit;

    rc = ngx_kapokmq_door_enter(r, 1, &pass);

    if (rc != NGX_DECLINED) {
        return rc == NGX_BUSY ? ngx_kapokmq_http_unavailable(r) : rc;
    }

    if (pass == NULL) {
        return NGX_DECLINED;
    }

    if (!ngx_kapokmq_guest_may(s->info, pass->access.rights)) {
        return ngx_kapokmq_http_refuse(r, NGX_HTTP_FORBIDDEN,
                                       NGX_KAPOKMQ_NO_TOPIC_RIGHT);
    }

    ngx_kapokmq_client_user(s->info, pass);

    *s->pass = *pass;
    pass->access.rights = NULL;
    s->key_given = 1;

    return NGX_DECLINED;
}


/* Is it a WebSocket request that can be served?  Sets the client's key, or
 * answers. */
static ngx_int_t
ngx_kapokmq_upgrade_check(ngx_http_request_t *r, ngx_str_t **found)
{
    ngx_str_t  *value, *key;

    if (r != r->main) {
        return NGX_HTTP_BAD_REQUEST;
    }

    if (r->method != NGX_HTTP_GET) {

        if (ngx_kapokmq_http_header(r, "Allow", "GET") != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_kapokmq_http_refuse(r, NGX_HTTP_NOT_ALLOWED,
                                       "a WebSocket begins with GET");
    }

    /* a worker that drains may have accepted it just before, and serves it */

    if (ngx_kapokmq_worker.kmq == NULL || ngx_kapokmq_drain_over()) {
        return ngx_kapokmq_http_unavailable(r);
    }

    if (r->http_version > NGX_HTTP_VERSION_11) {
        return ngx_kapokmq_http_refuse(r, NGX_HTTP_BAD_REQUEST,
                                       "a WebSocket begins with HTTP/1.1");
    }

    if (r->http_version != NGX_HTTP_VERSION_11
        || r->headers_in.content_length_n > 0 || r->headers_in.chunked
        || !ngx_kapokmq_upgrade_asked(r))
    {
        return ngx_kapokmq_http_refuse(r, NGX_HTTP_BAD_REQUEST,
                                       "a WebSocket upgrade is required");
    }

    value = ngx_kapokmq_http_find(r, "sec-websocket-version",
                                  sizeof("sec-websocket-version") - 1);

    if (value && (value->len != 2 || ngx_strncmp(value->data, "13", 2) != 0)) {
        return ngx_kapokmq_upgrade_version(r);
    }

    key = value ? ngx_kapokmq_http_find(r, "sec-websocket-key",
                                        sizeof("sec-websocket-key") - 1)
                : NULL;

    if (key == NULL || !ngx_kapokmq_upgrade_key_valid(key)) {
        return ngx_kapokmq_http_refuse(r, NGX_HTTP_BAD_REQUEST,
                                       "Sec-WebSocket-Version or "
                                       "Sec-WebSocket-Key is missing or wrong");
    }

    *found = key;

    return NGX_OK;
}


/* Base64 of 16 bytes. */
static ngx_uint_t
ngx_kapokmq_upgrade_key_valid(ngx_str_t *key)
{
    u_char     bytes[ngx_base64_decoded_length(NGX_KAPOKMQ_WS_KEY)];
    ngx_str_t  decoded;

    if (key->len != NGX_KAPOKMQ_WS_KEY || key->data[key->len - 1] != '=') {
        return 0;
    }

    decoded.data = bytes;

    return ngx_decode_base64(&decoded, key) == NGX_OK && decoded.len == 16;
}


static ngx_int_t
ngx_kapokmq_upgrade_version(ngx_http_request_t *r)
{
    if (ngx_kapokmq_http_header(r, "Sec-WebSocket-Version", "13") != NGX_OK
        || ngx_kapokmq_http_header(r, "Upgrade", "websocket") != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* nginx has no text of its own for this one */
    ngx_str_set(&r->headers_out.status_line, "426 Upgrade Required");

    return ngx_kapokmq_http_refuse(r, 426, "Sec-WebSocket-Version must be 13");
}


/* Both headers are lists, and each may be given several times. */
static ngx_uint_t
ngx_kapokmq_upgrade_asked(ngx_http_request_t *r)
{
    ngx_uint_t        i, upgrade, connection;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    upgrade = 0;
    connection = 0;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len == sizeof("Upgrade") - 1
                && ngx_strncasecmp(h[i].key.data, (u_char *) "Upgrade",
                                   h[i].key.len)
                   == 0)
            {
                upgrade |= kmq_ws_has_token((char *) h[i].value.data,
                                            h[i].value.len, "websocket");
            }

            if (h[i].key.len == sizeof("Connection") - 1
                && ngx_strncasecmp(h[i].key.data, (u_char *) "Connection",
                                   h[i].key.len)
                   == 0)
            {
                connection |= kmq_ws_has_token((char *) h[i].value.data,
                                               h[i].value.len, "upgrade");
            }
        }
    }

    return upgrade && connection;
}


/* What holds for it, and what of that the access log may tell. */
static ngx_int_t
ngx_kapokmq_upgrade_facts(ngx_http_request_t *r, ngx_kapokmq_session_t *s)
{
    ngx_kapokmq_facts_t  *facts;

    facts = ngx_kapokmq_facts(r);
    if (facts == NULL) {
        return NGX_ERROR;
    }

    s->client.heartbeat = ngx_kapokmq_mode_heartbeat(s->info->mode);

    if (s->role->number == KMQ_CONSUMER) {
        s->consumer.confirm = ngx_kapokmq_mode_confirm(s->info->mode);
        facts->confirm = s->consumer.confirm;
    }

    return NGX_OK;
}


/* Sec-WebSocket-Accept: RFC 6455, section 4.2.2, item 5.4. */
static char *
ngx_kapokmq_upgrade_accept(ngx_http_request_t *r, ngx_str_t *key)
{
    static const char  guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

    u_char      digest[20];
    ngx_str_t   text, accept;
    ngx_sha1_t  sha1;

    accept.data = ngx_pnalloc(r->pool, ngx_base64_encoded_length(20) + 1);
    if (accept.data == NULL) {
        return NULL;
    }

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, key->data, key->len);
    ngx_sha1_update(&sha1, guid, sizeof(guid) - 1);
    ngx_sha1_final(digest, &sha1);

    text.data = digest;
    text.len = sizeof(digest);

    ngx_encode_base64(&accept, &text);
    accept.data[accept.len] = '\0';

    return (char *) accept.data;
}


/* Is ours among the subprotocols that are offered? */
static ngx_uint_t
ngx_kapokmq_upgrade_protocol(ngx_http_request_t *r)
{
    ngx_kapokmq_facts_t  *facts;

    facts = ngx_kapokmq_facts_find(r);

    return facts && facts->hop ? facts->protocol : ngx_kapokmq_http_offers(r);
}


/* 101, on its way through nginx's header filters. */
static ngx_int_t
ngx_kapokmq_upgrade_answer(ngx_http_request_t *r, ngx_str_t *key)
{
    char       *accept;
    ngx_int_t   rc;

    accept = ngx_kapokmq_upgrade_accept(r, key);

    if (accept == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_kapokmq_http_header(r, "Upgrade", "websocket") != NGX_OK
        || ngx_kapokmq_http_header(r, "Sec-WebSocket-Accept", accept)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_kapokmq_upgrade_protocol(r)
        && ngx_kapokmq_http_header(r, "Sec-WebSocket-Protocol", "kapokmq")
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    ngx_str_set(&r->headers_out.status_line, "101 Switching Protocols");
    r->headers_out.content_length_n = -1;
    r->keepalive = 0;

    /* a limit for downloads would only delay the header */
    r->limit_rate = 0;
    r->limit_rate_set = 1;

    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    return (ngx_http_send_special(r, NGX_HTTP_FLUSH) == NGX_ERROR) ? NGX_ERROR
                                                                   : NGX_OK;
}
