/*
 * Answers that may be long, or take long to make: they are made in buffers of
 * one size, each when the one before is on its way, and in slices of time
 * between which other events have their turn.
 */

#include "ngx_kapokmq_http.h"
#include "../worker/ngx_kapokmq_worker.h"


#define NGX_KAPOKMQ_SLICED_SIZE  65536


static void ngx_kapokmq_sliced_run(ngx_http_request_t *r,
    ngx_kapokmq_sliced_t *st);
static void ngx_kapokmq_sliced_end(ngx_http_request_t *r,
    ngx_kapokmq_sliced_t *st);
static ngx_int_t ngx_kapokmq_sliced_start(ngx_http_request_t *r,
    ngx_kapokmq_sliced_t *st);
static void ngx_kapokmq_sliced_send(ngx_http_request_t *r,
    ngx_kapokmq_sliced_t *st);
static void ngx_kapokmq_sliced_turn(ngx_http_request_t *r);
static void ngx_kapokmq_sliced_wait(ngx_http_request_t *r);
static void ngx_kapokmq_sliced_writer(ngx_http_request_t *r);
static ngx_int_t ngx_kapokmq_sliced_sent(ngx_http_request_t *r,
    ngx_kapokmq_sliced_t *st);


void
ngx_kapokmq_sliced(ngx_http_request_t *r, ngx_kapokmq_fill_pt fill,
    void *data, size_t room)
{
    ngx_kapokmq_sliced_t  *st;

    st = ngx_pcalloc(r->pool, sizeof(ngx_kapokmq_sliced_t));

    if (st) {
        st->buf = ngx_create_temp_buf(r->pool, NGX_KAPOKMQ_SLICED_SIZE + room);
    }

    if (st == NULL || st->buf == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    st->fill = fill;
    st->data = data;
    st->end = st->buf->end - room;

    ngx_http_set_ctx(r, st, ngx_kapokmq_module);

    /* unless nginx is still reading a body that nobody wants */

    if (!r->discard_body) {
        r->read_event_handler = ngx_http_test_reading;
    }

    r->write_event_handler = ngx_kapokmq_sliced_writer;

    ngx_kapokmq_sliced_run(r, st);
}


/* Makes more of the answer, and sends what fills a buffer. */
static void
ngx_kapokmq_sliced_run(ngx_http_request_t *r, ngx_kapokmq_sliced_t *st)
{
    st->buf->last = st->fill(st, st->buf->last, st->end);

    ngx_kapokmq_wake();

    if (st->error || (st->done && !st->started)) {
        ngx_kapokmq_sliced_end(r, st);
        return;
    }

    if (!st->done && st->buf->last < st->end) {

        /* it takes long: others have their turn */
        ngx_kapokmq_sliced_turn(r);
        return;
    }

    if (!st->started && ngx_kapokmq_sliced_start(r, st) != NGX_OK) {
        return;
    }

    ngx_kapokmq_sliced_send(r, st);
}


/* There will be no more: an error, or all of it is in the first buffer. */
static void
ngx_kapokmq_sliced_end(ngx_http_request_t *r, ngx_kapokmq_sliced_t *st)
{
    ngx_str_t  json;

    if (st->error == NULL) {
        json.data = st->buf->pos;
        json.len = st->buf->last - st->buf->pos;

        ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
        return;
    }

    if (!st->started) {
        ngx_kapokmq_http_error(r, st->status, st->error);
        return;
    }

    /* the answer breaks off */

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "the answer could not be completed: %s", st->error);
    ngx_http_finalize_request(r, NGX_ERROR);
}


/* The head of an answer that does not fit into one buffer. */
static ngx_int_t
ngx_kapokmq_sliced_start(ngx_http_request_t *r, ngx_kapokmq_sliced_t *st)
{
    ngx_int_t  rc;

    st->started = 1;

    rc = ngx_kapokmq_http_json_header(r, NGX_HTTP_OK, -1);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        ngx_http_finalize_request(r, rc);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Sends the buffer, and arranges for the next one. */
static void
ngx_kapokmq_sliced_send(ngx_http_request_t *r, ngx_kapokmq_sliced_t *st)
{
    ngx_int_t    rc;
    ngx_chain_t  out;

    st->sending = 1;
    st->buf->flush = 1;
    st->buf->last_buf = st->done;
    st->buf->last_in_chain = st->done;

    out.buf = st->buf;
    out.next = NULL;

    rc = ngx_http_output_filter(r, &out);

    if (rc == NGX_ERROR || st->done) {
        ngx_http_finalize_request(r, rc);
        return;
    }

    if (ngx_buf_size(st->buf)) {
        ngx_kapokmq_sliced_wait(r);
        return;
    }

    /* there is room in the socket, but it is others' turn */
    ngx_kapokmq_sliced_turn(r);
}


/* Goes on after others.  A worker that is about to exit waits for timers, not
 * for posted events: so there is one. */
static void
ngx_kapokmq_sliced_turn(ngx_http_request_t *r)
{
    ngx_event_t               *wev;
    ngx_http_core_loc_conf_t  *clcf;

    wev = r->connection->write;
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (!wev->timer_set) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    ngx_post_event(wev, &ngx_posted_next_events);
}


/* Until the client has taken more. */
static void
ngx_kapokmq_sliced_wait(ngx_http_request_t *r)
{
    ngx_event_t               *wev;
    ngx_http_core_loc_conf_t  *clcf;

    wev = r->connection->write;
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_ERROR);
    }
}


static void
ngx_kapokmq_sliced_writer(ngx_http_request_t *r)
{
    ngx_event_t           *wev;
    ngx_kapokmq_sliced_t  *st;

    wev = r->connection->write;
    st = ngx_http_get_module_ctx(r, ngx_kapokmq_module);

    if (wev->timedout) {
        ngx_connection_error(r->connection, NGX_ETIMEDOUT,
                             "client timed out");
        r->connection->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (ngx_kapokmq_http_gone(r)) {
        ngx_http_finalize_request(r, NGX_HTTP_CLIENT_CLOSED_REQUEST);
        return;
    }

    if (st->sending && ngx_kapokmq_sliced_sent(r, st) != NGX_OK) {
        return;
    }

    if (wev->timer_set) {
        ngx_del_timer(wev);
    }

    ngx_kapokmq_clock();
    ngx_kapokmq_sliced_run(r, st);
}


/* NGX_OK when the buffer is on its way and can be filled again. */
static ngx_int_t
ngx_kapokmq_sliced_sent(ngx_http_request_t *r, ngx_kapokmq_sliced_t *st)
{
    ngx_event_t  *wev;

    wev = r->connection->write;

    if (ngx_buf_size(st->buf) && !wev->delayed
        && ngx_http_output_filter(r, NULL) == NGX_ERROR)
    {
        ngx_http_finalize_request(r, NGX_ERROR);
        return NGX_ERROR;
    }

    if (ngx_buf_size(st->buf) || wev->delayed) {
        ngx_kapokmq_sliced_wait(r);
        return NGX_AGAIN;
    }

    st->sending = 0;
    st->buf->pos = st->buf->start;
    st->buf->last = st->buf->start;

    return NGX_OK;
}
