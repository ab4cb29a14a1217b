/* The life of a stream: its client joins, is pushed to, and leaves. */

#include "ngx_kapokmq_events.h"
#include "ngx_kapokmq_events_inside.h"
#include "../client/ngx_kapokmq_beat.h"
#include "../client/ngx_kapokmq_peer.h"
#include "../worker/ngx_kapokmq_worker.h"


/* What was sent last has to be taken in so many ms. */
#define NGX_KAPOKMQ_STREAM_CLOSE  2000

/* A heartbeat may be that part of itself early. */
#define NGX_KAPOKMQ_STREAM_EARLY  32


static ngx_kapokmq_stream_t *ngx_kapokmq_stream_create(
    ngx_http_request_t *r);
static ngx_int_t ngx_kapokmq_stream_join(ngx_kapokmq_stream_t *s,
    const kmq_client_info_t *info, ngx_kapokmq_pass_t *pass);
static const char *ngx_kapokmq_stream_last(ngx_http_request_t *r);
static void ngx_kapokmq_stream_event(ngx_http_request_t *r);
static ngx_int_t ngx_kapokmq_stream_due(ngx_kapokmq_stream_t *s);
static ngx_int_t ngx_kapokmq_stream_beat(ngx_kapokmq_stream_t *s);
static ngx_connection_t *ngx_kapokmq_stream_peer(ngx_http_request_t *r);
static void ngx_kapokmq_stream_timer(ngx_kapokmq_stream_t *s, ngx_msec_t ms);
static void ngx_kapokmq_stream_timer_off(ngx_kapokmq_stream_t *s);
static void ngx_kapokmq_stream_settle(ngx_kapokmq_stream_t *s, ngx_int_t rc);
static void ngx_kapokmq_stream_told(ngx_kapokmq_stay_t *stay);
static void ngx_kapokmq_stream_close(ngx_kapokmq_client_t *client, int why,
    const char *reason);
static void ngx_kapokmq_stream_leave(ngx_kapokmq_stream_t *s);
static void ngx_kapokmq_stream_end(ngx_kapokmq_stream_t *s, ngx_int_t rc);
static void ngx_kapokmq_stream_gone(void *data);
static void ngx_kapokmq_stream_free(void *data);


/* Has its write handler called soon, for what cannot be done here. */
#define ngx_kapokmq_stream_wake(s)                                            \
    ngx_post_event((s)->request->connection->write, &ngx_posted_events)


/* ------------------------------------------------------------------- begin */

ngx_int_t
ngx_kapokmq_stream_begin(ngx_http_request_t *r, const kmq_client_info_t *info,
    ngx_kapokmq_pass_t *pass)
{
    ngx_int_t              rc;
    ngx_kapokmq_stream_t  *s;

    s = ngx_kapokmq_stream_create(r);
    if (s == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_kapokmq_stream_join(s, info, pass) != NGX_OK) {
        return ngx_kapokmq_events_later(r);
    }

    s->ours = 1;

    rc = ngx_kapokmq_events_header(r, -1);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    if (ngx_kapokmq_events_send_retry(s) == NGX_ERROR) {
        return NGX_ERROR;
    }

    s->ours = 0;

    ngx_http_set_ctx(r, s, ngx_kapokmq_module);
    r->main->count++;
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_kapokmq_stream_event;

    ngx_kapokmq_drain_add(&s->stay);

    if (s->consumer.client.heartbeat) {
        ngx_kapokmq_peer_watch(ngx_kapokmq_stream_peer(r),
                               s->consumer.client.heartbeat);
        ngx_kapokmq_stream_timer(s, s->consumer.client.heartbeat);
    }

    /* the client may have gone already, and there may be room; but not from
     * here, where the request is still in the hands of nginx */

    ngx_post_event(r->connection->read, &ngx_posted_events);
    ngx_kapokmq_stream_wake(s);

    return NGX_DONE;
}


/* Its client leaves before the request is logged; what filters may still read
 * is freed with the request. */
static ngx_kapokmq_stream_t *
ngx_kapokmq_stream_create(ngx_http_request_t *r)
{
    ngx_http_cleanup_t    *gone;
    ngx_pool_cleanup_t    *cln;
    ngx_kapokmq_stream_t  *s;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_kapokmq_stream_t));
    if (cln == NULL) {
        return NULL;
    }

    s = cln->data;
    ngx_memzero(s, sizeof(ngx_kapokmq_stream_t));

    gone = ngx_http_cleanup_add(r, 0);
    s->facts = ngx_kapokmq_facts(r);

    if (gone == NULL || s->facts == NULL) {
        return NULL;
    }

    ngx_kapokmq_drain_init(&s->stay, ngx_kapokmq_stream_told);
    s->request = r;
    s->out_last = &s->out;

    cln->handler = ngx_kapokmq_stream_free;
    gone->handler = ngx_kapokmq_stream_gone;
    gone->data = s;

    return s;
}


static ngx_int_t
ngx_kapokmq_stream_join(ngx_kapokmq_stream_t *s, const kmq_client_info_t *info,
    ngx_kapokmq_pass_t *pass)
{
    ngx_kapokmq_consumer_t  *c;

    c = &s->consumer;
    c->transport = &ngx_kapokmq_events_transport;
    c->confirm = ngx_kapokmq_mode_confirm(info->mode);
    c->client.heartbeat = ngx_kapokmq_mode_heartbeat(info->mode);
    c->client.log = s->request->connection->log;
    c->client.close = ngx_kapokmq_stream_close;

    s->facts->confirm = c->confirm;

    if (info->settles
        && ngx_kapokmq_client_resume(&c->client, info,
                                     ngx_kapokmq_stream_last(s->request),
                                     pass)
           == NGX_OK)
    {
        return NGX_OK;
    }

    return ngx_kapokmq_client_join(&c->client, info, pass);
}


/* The code of the last message that an EventSource has received, if it says
 * so. */
static const char *
ngx_kapokmq_stream_last(ngx_http_request_t *r)
{
    ngx_str_t  *last;

    last = ngx_kapokmq_http_find(r, "last-event-id",
                                 sizeof("last-event-id") - 1);

    return (last && last->len == KMQ_CODE_LEN) ? (char *) last->data : NULL;
}


/* ------------------------------------------------------------------ events */

static void
ngx_kapokmq_stream_event(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_event_t           *wev;
    ngx_kapokmq_stream_t  *s;

    wev = r->connection->write;
    s = ngx_http_get_module_ctx(r, ngx_kapokmq_module);
    rc = NGX_OK;

    ngx_kapokmq_clock();

    if (wev->timedout) {
        wev->timedout = 0;
        rc = ngx_kapokmq_stream_due(s);
    }

    if (ngx_kapokmq_http_gone(r)) {
        rc = NGX_ERROR;
    }

    if (rc != NGX_ERROR) {
        rc = ngx_kapokmq_events_flush(s);
    }

    ngx_kapokmq_stream_settle(s, rc);

    ngx_kapokmq_wake();
}


/* After each event: either the stream ends here, or it is ready when all is
 * written. */
static void
ngx_kapokmq_stream_settle(ngx_kapokmq_stream_t *s, ngx_int_t rc)
{
    if (rc == NGX_ERROR || s->failed) {
        ngx_kapokmq_stream_end(s, NGX_ERROR);
        return;
    }

    if (rc == NGX_OK && s->over) {
        ngx_kapokmq_stream_end(s, NGX_OK);
        return;
    }

    ngx_kapokmq_consumer_ready(&s->consumer, rc == NGX_OK);

    if (rc == NGX_AGAIN
        && ngx_handle_write_event(s->request->connection->write, 0) != NGX_OK)
    {
        ngx_kapokmq_stream_end(s, NGX_ERROR);
    }
}


void
ngx_kapokmq_stream_pushed(ngx_kapokmq_stream_t *s, ngx_int_t rc)
{
    if (rc == NGX_OK) {
        return;
    }

    ngx_kapokmq_consumer_ready(&s->consumer, 0);

    if (rc == NGX_ERROR
        || ngx_handle_write_event(s->request->connection->write, 0) != NGX_OK)
    {
        s->failed = 1;
        ngx_kapokmq_stream_wake(s);
    }
}


/* --------------------------------------------------------------- heartbeat */

/* The write event's timer has fired. */
static ngx_int_t
ngx_kapokmq_stream_due(ngx_kapokmq_stream_t *s)
{
    ngx_msec_t  beat, since;

    if (s->over) {
        return NGX_ERROR;
    }

    beat = s->consumer.client.heartbeat;
    beat -= beat / NGX_KAPOKMQ_STREAM_EARLY;
    since = ngx_current_msec - s->said;

    if (since < beat) {
        ngx_kapokmq_stream_timer(s, beat - since);
        return NGX_OK;
    }

    switch (ngx_kapokmq_peer_check(ngx_kapokmq_stream_peer(s->request),
                                   &s->probed, since))
    {
    case NGX_DONE:
        ngx_log_error(NGX_LOG_INFO, s->consumer.client.log, 0,
                      "client is gone: its machine has acknowledged nothing "
                      "for %M ms", since);

        ngx_kapokmq_peer_reset(ngx_kapokmq_stream_peer(s->request));
        return NGX_ERROR;

    case NGX_AGAIN:
        ngx_kapokmq_stream_timer(s, NGX_KAPOKMQ_BEAT_STEP_MAX);
        return NGX_OK;

    default:
        return ngx_kapokmq_stream_beat(s);
    }
}


/* One that has not read what is there for it gets nothing more. */
static ngx_int_t
ngx_kapokmq_stream_beat(ngx_kapokmq_stream_t *s)
{
    ngx_int_t   rc;
    ngx_msec_t  later;

    rc = NGX_OK;

    if (s->out == NULL) {
        later = ngx_kapokmq_beat_later();

        if (later) {
            ngx_add_timer(s->request->connection->write, later);
            return NGX_OK;
        }

        rc = ngx_kapokmq_events_send_comment(s);
    }

    ngx_kapokmq_stream_timer(s, s->consumer.client.heartbeat);

    return rc;
}


/* The connection to the client's machine: in HTTP/2 many streams share it. */
static ngx_connection_t *
ngx_kapokmq_stream_peer(ngx_http_request_t *r)
{
#if (NGX_HTTP_V2)
    if (r->stream) {
        return r->stream->connection->connection;
    }
#endif

    return r->connection;
}


/* Nobody's exit waits for it. */
static void
ngx_kapokmq_stream_timer(ngx_kapokmq_stream_t *s, ngx_msec_t ms)
{
    ngx_event_t  *wev;

    wev = s->request->connection->write;
    wev->cancelable = 1;

    ngx_add_timer(wev, ngx_kapokmq_beat_step(s->consumer.client.heartbeat,
                                             ms));
}


static void
ngx_kapokmq_stream_timer_off(ngx_kapokmq_stream_t *s)
{
    ngx_event_t  *wev;

    wev = s->request->connection->write;

    if (wev->timer_set) {
        ngx_del_timer(wev);
    }

    wev->cancelable = 0;
}


/* --------------------------------------------------------------------- end */

/* The worker is to go: what is on its way may still arrive.  The worker waits
 * for this timer. */
static void
ngx_kapokmq_stream_told(ngx_kapokmq_stay_t *stay)
{
    ngx_kapokmq_stream_t  *s;

    s = ngx_queue_data(stay, ngx_kapokmq_stream_t, stay);

    s->ours = 1;
    s->over = 1;

    ngx_kapokmq_consumer_ready(&s->consumer, 0);

    ngx_kapokmq_stream_timer_off(s);
    ngx_add_timer(s->request->connection->write, NGX_KAPOKMQ_STREAM_CLOSE);

    ngx_kapokmq_stream_wake(s);
}


/* It is not wanted here; what it has not been sent yet, it need not get. */
static void
ngx_kapokmq_stream_close(ngx_kapokmq_client_t *client, int why,
    const char *reason)
{
    ngx_kapokmq_stream_t  *s;

    (void) why;
    (void) reason;

    s = ngx_queue_data(client, ngx_kapokmq_stream_t, consumer.client);

    s->ours = 1;
    s->unwanted = 1;
    s->over = 1;
    s->failed = (s->out != NULL);

    ngx_kapokmq_stream_leave(s);
    ngx_kapokmq_stream_wake(s);
}


/* The client leaves the engine; unless it can come back for what it has. */
static void
ngx_kapokmq_stream_leave(ngx_kapokmq_stream_t *s)
{
    ngx_kapokmq_client_t  *client;

    client = &s->consumer.client;

    ngx_kapokmq_consumer_leave(&s->consumer);

    if (client->ref && ngx_kapokmq_worker.kmq && !s->unwanted
        && s->consumer.confirm == KMQ_CONFIRM_ACK)
    {
        kmq_park(ngx_kapokmq_worker.kmq, client->ref,
                 NGX_KAPOKMQ_EVENTS_PARKED, !s->ours);
        client->ref = 0;
    }

    ngx_kapokmq_client_leave(client, !s->ours);
}


/* In the stream's own event. */
static void
ngx_kapokmq_stream_end(ngx_kapokmq_stream_t *s, ngx_int_t rc)
{
    ngx_http_request_t  *r;

    r = s->request;

    ngx_kapokmq_drain_remove(&s->stay);
    ngx_kapokmq_stream_timer_off(s);
    ngx_kapokmq_stream_leave(s);

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    if (rc == NGX_OK) {
        rc = ngx_http_send_special(r, NGX_HTTP_LAST);
    }

    ngx_http_finalize_request(r, rc);
}


/* The request goes, for whatever reason, and is logged.  That its connection
 * is being closed says nothing: QUIC does that whoever has ended it. */
static void
ngx_kapokmq_stream_gone(void *data)
{
    ngx_kapokmq_stream_t  *s = data;

    s->ours |= (ngx_exiting != 0);

    ngx_kapokmq_drain_remove(&s->stay);
    ngx_kapokmq_stream_timer_off(s);

    if (ngx_kapokmq_worker.kmq) {
        ngx_kapokmq_clock();
        ngx_kapokmq_stream_leave(s);
        ngx_kapokmq_wake();
    }

    s->facts->messages = s->consumer.client.messages;
    s->facts->confirmed = s->consumer.confirmed;
}


static void
ngx_kapokmq_stream_free(void *data)
{
    ngx_kapokmq_events_free_output(data);
}
