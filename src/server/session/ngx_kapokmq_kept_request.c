/*
 * A session and its HTTP request.
 *
 * Once the response's header has been written, nothing of the request is
 * needed any more, and nginx gets it back, with its 8 kB: it is logged, and
 * its pool destroyed.  It is kept until the session ends where that is what
 * the access log is to tell of, or where another module waits for its end, as
 * limit_conn does.
 */

#include "ngx_kapokmq_session_inside.h"
#include "../http/ngx_kapokmq_hop.h"


static void ngx_kapokmq_kept_first(ngx_http_request_t *r);
static void ngx_kapokmq_kept_read(ngx_http_request_t *r);
static void ngx_kapokmq_kept_write(ngx_http_request_t *r);
static ngx_int_t ngx_kapokmq_kept_rest(ngx_kapokmq_session_t *s);
static ngx_uint_t ngx_kapokmq_kept_wanted(ngx_http_request_t *r);
static void ngx_kapokmq_kept_give_back(ngx_kapokmq_session_t *s);
static void ngx_kapokmq_kept_buffers(ngx_http_connection_t *hc,
    ngx_connection_t *c);
static void ngx_kapokmq_kept_chain(ngx_connection_t *c, ngx_chain_t **chain);
static void ngx_kapokmq_kept_return(ngx_kapokmq_session_t *s, ngx_int_t rc);


/* From here on the request's pool frees the session. */
ngx_kapokmq_session_t *
ngx_kapokmq_kept_create(ngx_http_request_t *r, const ngx_kapokmq_role_t *role)
{
    ngx_log_t              *log;
    ngx_pool_cleanup_t     *cleanup;
    ngx_kapokmq_session_t  *s;

    log = r->connection->log;

    cleanup = ngx_pool_cleanup_add(r->pool, 0);
    if (cleanup == NULL) {
        return NULL;
    }

    s = ngx_calloc(sizeof(ngx_kapokmq_session_t), log);
    if (s == NULL) {
        return NULL;
    }

    ngx_kapokmq_drain_init(&s->stay, ngx_kapokmq_session_told);

    cleanup->handler = ngx_kapokmq_close_free;
    cleanup->data = s;

    s->connection = r->connection;
    s->request = r;
    s->role = role;
    s->cleanup = cleanup;
    s->give_back = ngx_kapokmq_kept_return;

    s->client.log = log;
    s->client.close = ngx_kapokmq_close_client;

    if (role->number == KMQ_CONSUMER) {
        s->consumer.transport = role->transport;
    }

    s->info = ngx_calloc(sizeof(kmq_client_info_t), log);
    s->pass = ngx_calloc(sizeof(ngx_kapokmq_pass_t), log);

    if (s->info == NULL || s->pass == NULL) {
        return NULL;
    }

    return s;
}


/*
 * The request's events are the session's from now on, and not yet the
 * connection's: while there is a request, nginx may put its own handlers of the
 * connection back, when a subrequest in the background fails for example.
 */
void
ngx_kapokmq_kept_begin(ngx_kapokmq_session_t *s)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = s->request;
    c = s->connection;

    ngx_http_set_ctx(r, s, ngx_kapokmq_module);

    s->status = KMQ_WS_ABNORMAL;

    r->main->count++;
    r->read_event_handler = ngx_kapokmq_kept_first;
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_kapokmq_drain_add(&s->stay);

    if (c->sockaddr->sa_family != AF_UNIX) {
        (void) ngx_tcp_nodelay(c);
    }

    /* not from here: the session may end at once, and the request is still
     * in the hands of nginx */
    ngx_post_event(c->read, &ngx_posted_events);
}


/* The first event. */
static void
ngx_kapokmq_kept_first(ngx_http_request_t *r)
{
    ngx_kapokmq_session_t  *s;

    s = ngx_http_get_module_ctx(r, ngx_kapokmq_module);

    r->read_event_handler = ngx_kapokmq_kept_read;
    r->write_event_handler = ngx_kapokmq_kept_write;

    s->connection->log->action = (char *) s->role->action;

    if (ngx_kapokmq_kept_rest(s) != NGX_OK) {
        s->failed = 1;

    } else if (!ngx_kapokmq_kept_wanted(r)) {
        ngx_kapokmq_kept_give_back(s);
    }

    ngx_kapokmq_session_readable(s);
}


static void
ngx_kapokmq_kept_read(ngx_http_request_t *r)
{
    ngx_kapokmq_session_readable(ngx_http_get_module_ctx(r,
                                                         ngx_kapokmq_module));
}


static void
ngx_kapokmq_kept_write(ngx_http_request_t *r)
{
    ngx_kapokmq_session_writable(ngx_http_get_module_ctx(r,
                                                         ngx_kapokmq_module));
}


/* Frames that came right behind the request. */
static ngx_int_t
ngx_kapokmq_kept_rest(ngx_kapokmq_session_t *s)
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
ngx_kapokmq_kept_wanted(ngx_http_request_t *r)
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

        if (cleanup->handler && cleanup->handler != ngx_kapokmq_close_free
            && cleanup->handler != ngx_kapokmq_facts_cleanup
            && cleanup->handler != ngx_kapokmq_hop_cleanup)
        {
            return 1;
        }
    }

    return 0;
}


/* As nginx does when a connection waits for its next request:
 * ngx_http_set_keepalive(). */
static void
ngx_kapokmq_kept_give_back(ngx_kapokmq_session_t *s)
{
    ngx_connection_t       *c;
    ngx_pool_cleanup_t     *cleanup;
    ngx_http_request_t     *r;
    ngx_http_connection_t  *hc;

    r = s->request;
    c = s->connection;
    hc = r->http_connection;

    cleanup = ngx_pool_cleanup_add(c->pool, 0);
    if (cleanup == NULL) {
        return;
    }

    s->cleanup->handler = NULL;
    s->cleanup = cleanup;
    cleanup->handler = ngx_kapokmq_close_free;
    cleanup->data = s;

    /* it marks the connection as destroyed: nginx, which is still in a handler
     * of the request, looks for no further requests then */

    s->request = NULL;
    ngx_kapokmq_hop_stays(r);
    ngx_http_free_request(r, 0);

    c->data = s;
    c->read->handler = ngx_kapokmq_session_read;
    c->write->handler = ngx_kapokmq_session_write;

    ngx_kapokmq_kept_buffers(hc, c);
}


static void
ngx_kapokmq_kept_buffers(ngx_http_connection_t *hc, ngx_connection_t *c)
{
    (void) ngx_pfree(c->pool, c->buffer->start);
    c->buffer = NULL;

    ngx_kapokmq_kept_chain(c, &hc->free);
    ngx_kapokmq_kept_chain(c, &hc->busy);
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
ngx_kapokmq_kept_chain(ngx_connection_t *c, ngx_chain_t **chain)
{
    ngx_chain_t  *cl;

    while (*chain) {
        cl = *chain;
        *chain = cl->next;

        (void) ngx_pfree(c->pool, cl->buf->start);
        ngx_free_chain(c->pool, cl);
    }
}


/* Gives the request back, with the connection, which nginx closes. */
static void
ngx_kapokmq_kept_return(ngx_kapokmq_session_t *s, ngx_int_t rc)
{
    ngx_connection_t     *c;
    ngx_http_request_t   *r;
    ngx_kapokmq_facts_t  *facts;

    r = s->request;
    c = s->connection;

    /* they were made with the session */
    facts = ngx_kapokmq_facts(r);

    facts->messages = s->client.messages;
    facts->confirmed = facts->confirm ? s->consumer.confirmed : 0;
    facts->status = s->status;

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_set_ctx(r, NULL, ngx_kapokmq_module);
    s->cleanup->handler = NULL;
    ngx_kapokmq_close_free(s);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}
