/*
 * From an HTTP request to a WebSocket session.
 *
 * Once the response's header has been written, nothing of the request is
 * needed any more, and nginx gets it back, with its 8 kB: it is logged, and
 * its pool destroyed.  It is kept until the session ends where that is what
 * the access log is to tell of, or where another module waits for its end, as
 * limit_conn does.
 */

#include "ngx_kapokmq_session_internal.h"
#include "../../protocol/kmq_form.h"

#include <ngx_sha1.h>


#define NGX_KAPOKMQ_WS_KEY  24     /* characters */

/* A session that has its request, as the request's pool knows it. */
typedef struct {
    ngx_queue_t             queue;      /* in worker's kept */
    ngx_kapokmq_session_t  *session;
} ngx_kapokmq_kept_t;


static ngx_int_t ngx_kapokmq_upgrade_check(ngx_http_request_t *r,
    ngx_str_t **found);
static ngx_uint_t ngx_kapokmq_upgrade_key_valid(ngx_str_t *key);
static ngx_int_t ngx_kapokmq_upgrade_version(ngx_http_request_t *r);
static ngx_uint_t ngx_kapokmq_upgrade_asked(ngx_http_request_t *r);
static ngx_kapokmq_session_t *ngx_kapokmq_upgrade_session(
    ngx_http_request_t *r, const ngx_kapokmq_role_t *role);
static void ngx_kapokmq_upgrade_free(void *data);
static const char *ngx_kapokmq_upgrade_names(ngx_http_request_t *r,
    ngx_kapokmq_session_t *s);
static const char *ngx_kapokmq_upgrade_confirm(ngx_http_request_t *r,
    ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_upgrade_facts(ngx_http_request_t *r,
    ngx_kapokmq_session_t *s);
static char *ngx_kapokmq_upgrade_accept(ngx_http_request_t *r,
    ngx_str_t *key);
static ngx_int_t ngx_kapokmq_upgrade_answer(ngx_http_request_t *r,
    ngx_str_t *key);
static void ngx_kapokmq_upgrade_hand_over(ngx_http_request_t *r,
    ngx_kapokmq_session_t *s);
static void ngx_kapokmq_upgrade_begin(ngx_http_request_t *r);
static void ngx_kapokmq_upgrade_read(ngx_http_request_t *r);
static void ngx_kapokmq_upgrade_write(ngx_http_request_t *r);
static void ngx_kapokmq_upgrade_exiting(ngx_event_t *ev);
static ngx_int_t ngx_kapokmq_upgrade_rest(ngx_kapokmq_session_t *s);
static ngx_uint_t ngx_kapokmq_upgrade_kept(ngx_http_request_t *r);
static void ngx_kapokmq_upgrade_give_back(ngx_kapokmq_session_t *s);
static void ngx_kapokmq_upgrade_buffers(ngx_http_connection_t *hc,
    ngx_connection_t *c);
static void ngx_kapokmq_upgrade_chain(ngx_connection_t *c, ngx_chain_t **chain);


ngx_int_t
ngx_kapokmq_upgrade(ngx_http_request_t *r, const ngx_kapokmq_role_t *role)
{
    ngx_int_t               rc;
    ngx_str_t              *key, *secret;
    const char             *error;
    ngx_kapokmq_session_t  *s;

    key = NULL;

    rc = ngx_kapokmq_upgrade_check(r, &key);
    if (key == NULL) {
        return rc;
    }

    s = ngx_kapokmq_upgrade_session(r, role);
    if (s == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    error = ngx_kapokmq_upgrade_names(r, s);
    if (error == NULL) {
        error = ngx_kapokmq_upgrade_confirm(r, s);
    }

    if (error) {
        return ngx_kapokmq_http_refuse(r, NGX_HTTP_BAD_REQUEST, error);
    }

    if (ngx_kapokmq_upgrade_facts(r, s) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    secret = ngx_kapokmq_key_header(r);

    if (secret) {

        rc = ngx_kapokmq_http_key(r, ngx_kapokmq_key_matches(secret->data,
                                                             secret->len));
        if (rc != NGX_DECLINED) {
            return rc;
        }

        s->key_given = 1;
    }

    rc = ngx_kapokmq_upgrade_answer(r, key);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_kapokmq_upgrade_hand_over(r, s);

    return NGX_DONE;
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

    if (ngx_kapokmq_worker.kmq == NULL || ngx_exiting) {
        return ngx_kapokmq_http_unavailable(r);
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


/* From here on the request's pool frees the session. */
static ngx_kapokmq_session_t *
ngx_kapokmq_upgrade_session(ngx_http_request_t *r,
    const ngx_kapokmq_role_t *role)
{
    ngx_log_t              *log;
    ngx_pool_cleanup_t     *cleanup;
    ngx_kapokmq_kept_t     *kept;
    ngx_kapokmq_session_t  *s;

    log = r->connection->log;

    cleanup = ngx_pool_cleanup_add(r->pool, sizeof(ngx_kapokmq_kept_t));
    if (cleanup == NULL) {
        return NULL;
    }

    s = ngx_calloc(sizeof(ngx_kapokmq_session_t), log);
    if (s == NULL) {
        return NULL;
    }

    kept = cleanup->data;
    kept->session = s;
    ngx_queue_init(&kept->queue);

    cleanup->handler = ngx_kapokmq_upgrade_free;

    s->connection = r->connection;
    s->request = r;
    s->role = role;
    s->cleanup = cleanup;

    s->info = ngx_calloc(sizeof(kmq_client_info_t), log);
    if (s->info == NULL) {
        return NULL;
    }

    return s;
}


static void
ngx_kapokmq_upgrade_free(void *data)
{
    ngx_kapokmq_kept_t  *kept = data;

    ngx_queue_remove(&kept->queue);
    ngx_kapokmq_session_free(kept->session);
}


static const char *
ngx_kapokmq_upgrade_names(ngx_http_request_t *r, ngx_kapokmq_session_t *s)
{
    size_t              topic_len, id_len;
    ngx_str_t          *addr;
    const char         *error;
    kmq_client_info_t  *info;
    kmq_topic_config_t  topic;

    info = s->info;
    addr = &r->connection->addr_text;

    error = ngx_kapokmq_http_names(r, (u_char *) info->topic, &topic_len,
                                   (u_char *) info->id, &id_len);
    if (error) {
        return error;
    }

    kmq_config_topic(ngx_kapokmq_worker.config, info->topic, topic_len,
                     &topic);

    s->confirm = topic.confirm;

    info->role = s->role->number;
    info->prefetch = ngx_max(1, ngx_min(topic.prefetch, KMQ_PREFETCH_MAX));
    info->topic_len = topic_len;
    info->id_len = id_len;
    info->addr_len = ngx_min(addr->len, KMQ_ADDR_MAX);
    ngx_memcpy(info->addr, addr->data, info->addr_len);

    return NULL;
}


/* What the access log may tell. */
static ngx_int_t
ngx_kapokmq_upgrade_facts(ngx_http_request_t *r, ngx_kapokmq_session_t *s)
{
    ngx_kapokmq_facts_t  *facts;

    facts = ngx_kapokmq_facts(r);
    if (facts == NULL) {
        return NGX_ERROR;
    }

    if (s->role->number == KMQ_CONSUMER) {
        facts->confirm = s->confirm;
    }

    return NGX_OK;
}


/* "?confirm=" in a consumer's URL. */
static const char *
ngx_kapokmq_upgrade_confirm(ngx_http_request_t *r, ngx_kapokmq_session_t *s)
{
    ngx_str_t  value;

    if (s->role->number != KMQ_CONSUMER
        || ngx_http_arg(r, (u_char *) "confirm", sizeof("confirm") - 1,
                        &value)
           != NGX_OK)
    {
        return NULL;
    }

    s->confirm = kmq_confirm_value((char *) value.data, value.len);

    return s->confirm ? NULL : "confirm must be socket, pong or ack";
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


/*
 * The request's events are the session's from now on, and not yet the
 * connection's: while there is a request, nginx may put its own handlers of the
 * connection back, when a subrequest in the background fails for example.
 * nginx would end an idle connection that has them at once, when the worker has
 * to go; so the session is told of that otherwise.
 */
static void
ngx_kapokmq_upgrade_hand_over(ngx_http_request_t *r, ngx_kapokmq_session_t *s)
{
    ngx_connection_t    *c;
    ngx_kapokmq_kept_t  *kept;

    c = r->connection;
    kept = s->cleanup->data;

    ngx_http_set_ctx(r, s, ngx_kapokmq_module);

    s->status = KMQ_WS_ABNORMAL;

    r->main->count++;
    r->read_event_handler = ngx_kapokmq_upgrade_begin;
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_queue_insert_tail(&ngx_kapokmq_worker.kept, &kept->queue);

    if (c->sockaddr->sa_family != AF_UNIX) {
        (void) ngx_tcp_nodelay(c);
    }

    /* not from here: the session may end at once, and the request is still
     * in the hands of nginx */
    ngx_post_event(c->read, &ngx_posted_events);
}


/* The first event. */
static void
ngx_kapokmq_upgrade_begin(ngx_http_request_t *r)
{
    ngx_kapokmq_session_t  *s;

    s = ngx_http_get_module_ctx(r, ngx_kapokmq_module);

    r->read_event_handler = ngx_kapokmq_upgrade_read;
    r->write_event_handler = ngx_kapokmq_upgrade_write;

    s->connection->log->action = (char *) s->role->action;

    if (ngx_kapokmq_upgrade_rest(s) != NGX_OK) {
        s->failed = 1;

    } else if (!ngx_kapokmq_upgrade_kept(r)) {
        ngx_kapokmq_upgrade_give_back(s);
    }

    ngx_kapokmq_session_readable(s);
}


static void
ngx_kapokmq_upgrade_read(ngx_http_request_t *r)
{
    ngx_kapokmq_session_readable(ngx_http_get_module_ctx(r,
                                                         ngx_kapokmq_module));
}


static void
ngx_kapokmq_upgrade_write(ngx_http_request_t *r)
{
    ngx_kapokmq_session_writable(ngx_http_get_module_ctx(r,
                                                         ngx_kapokmq_module));
}


/* A connection that is idle for ever has its handler called when the worker
 * has to go. */
void
ngx_kapokmq_upgrade_listen(ngx_cycle_t *cycle)
{
    int                fd;
    ngx_uint_t         i;
    ngx_connection_t  *c;

    if (ngx_kapokmq_notify(cycle, ngx_kapokmq_upgrade_exiting, &fd) != NGX_OK)
    {
        return;
    }

    c = cycle->connections;

    for (i = 0; i < cycle->connection_n; i++) {
        if (c[i].fd == fd) {
            c[i].idle = 1;
            return;
        }
    }
}


static void
ngx_kapokmq_upgrade_exiting(ngx_event_t *ev)
{
    ngx_queue_t         *q, *next, *all;
    ngx_kapokmq_kept_t  *kept;

    (void) ev;

    all = &ngx_kapokmq_worker.kept;

    for (q = ngx_queue_head(all); q != ngx_queue_sentinel(all); q = next) {
        next = ngx_queue_next(q);
        kept = ngx_queue_data(q, ngx_kapokmq_kept_t, queue);

        kept->session->exiting = 1;
        ngx_kapokmq_session_readable(kept->session);
    }
}


/* Frames that came right behind the request. */
static ngx_int_t
ngx_kapokmq_upgrade_rest(ngx_kapokmq_session_t *s)
{
    ngx_int_t   rc;
    ngx_buf_t  *b;

    b = s->request->header_in;
    rc = ngx_kapokmq_input_add(s, b->pos, b->last - b->pos);
    b->pos = b->last;

    return rc;
}


/* Does anybody wait for the request's end, or is it not done? */
static ngx_uint_t
ngx_kapokmq_upgrade_kept(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t      *cleanup;
    ngx_http_cleanup_t      *cln;
    ngx_kapokmq_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);

    if (lcf->access_log == NGX_KAPOKMQ_LOG_END || r->count != 1 || r->blocked
        || r->buffered || r->connection->buffered)
    {
        return 1;
    }

    /* one whose work is done, as auth_request's, stays without a handler */

    for (cln = r->cleanup; cln; cln = cln->next) {

        if (cln->handler) {
            return 1;
        }
    }

    for (cleanup = r->pool->cleanup; cleanup; cleanup = cleanup->next) {

        if (cleanup->handler && cleanup->handler != ngx_kapokmq_upgrade_free
            && cleanup->handler != ngx_kapokmq_facts_cleanup)
        {
            return 1;
        }
    }

    return 0;
}


/* As nginx does when a connection waits for its next request:
 * ngx_http_set_keepalive(). */
static void
ngx_kapokmq_upgrade_give_back(ngx_kapokmq_session_t *s)
{
    ngx_connection_t       *c;
    ngx_pool_cleanup_t     *cleanup;
    ngx_kapokmq_kept_t     *kept;
    ngx_http_request_t     *r;
    ngx_http_connection_t  *hc;

    r = s->request;
    c = s->connection;
    hc = r->http_connection;

    cleanup = ngx_pool_cleanup_add(c->pool, 0);
    if (cleanup == NULL) {
        return;
    }

    kept = s->cleanup->data;
    ngx_queue_remove(&kept->queue);

    s->cleanup->handler = NULL;
    s->cleanup = cleanup;
    cleanup->handler = ngx_kapokmq_session_free;
    cleanup->data = s;

    /* it marks the connection as destroyed: nginx, which is still in a handler
     * of the request, looks for no further requests then */

    s->request = NULL;
    ngx_http_free_request(r, 0);

    c->data = s;
    c->read->handler = ngx_kapokmq_session_read;
    c->write->handler = ngx_kapokmq_session_write;

    /* so that nginx calls the read handler when the worker has to go */
    c->idle = 1;

    ngx_kapokmq_upgrade_buffers(hc, c);
}


static void
ngx_kapokmq_upgrade_buffers(ngx_http_connection_t *hc, ngx_connection_t *c)
{
    (void) ngx_pfree(c->pool, c->buffer->start);
    c->buffer = NULL;

    ngx_kapokmq_upgrade_chain(c, &hc->free);
    ngx_kapokmq_upgrade_chain(c, &hc->busy);
    hc->nbusy = 0;

#if (NGX_HTTP_SSL)

    /* ngx_ssl_free_buffer(), which an nginx without TLS does not have */

    if (c->ssl && c->ssl->buf && c->ssl->buf->start
        && ngx_pfree(c->pool, c->ssl->buf->start) == NGX_OK)
    {
        c->ssl->buf->start = NULL;
    }

#endif
}


static void
ngx_kapokmq_upgrade_chain(ngx_connection_t *c, ngx_chain_t **chain)
{
    ngx_chain_t  *cl;

    while (*chain) {
        cl = *chain;
        *chain = cl->next;

        (void) ngx_pfree(c->pool, cl->buf->start);
        ngx_free_chain(c->pool, cl);
    }
}


void
ngx_kapokmq_upgrade_return(ngx_kapokmq_session_t *s, ngx_int_t rc)
{
    ngx_connection_t     *c;
    ngx_http_request_t   *r;
    ngx_kapokmq_facts_t  *facts;

    r = s->request;
    c = s->connection;

    /* they were made with the session */
    facts = ngx_kapokmq_facts(r);

    facts->messages = s->messages;
    facts->confirmed = s->confirmed;
    facts->status = s->status;

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_set_ctx(r, NULL, ngx_kapokmq_module);
    s->cleanup->handler = NULL;
    ngx_kapokmq_upgrade_free(s->cleanup->data);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}
