/* Pings ask consumers in mode pong how far they have read; pongs confirm it. */

#include "ngx_kapokmq_push.h"


/* A pong that comes later, in ms, is slow. */
#define NGX_KAPOKMQ_PONG_SLOW  1000


ngx_uint_t
ngx_kapokmq_ping_slow(ngx_kapokmq_session_t *s)
{
    return s->slow
           || (s->pinged
               && ngx_current_msec - s->timed_at > NGX_KAPOKMQ_PONG_SLOW);
}


void
ngx_kapokmq_ping_sent(ngx_kapokmq_session_t *s, uint32_t position)
{
    if (!s->pinged) {
        s->pinged = 1;
        s->timed = position;
        s->timed_at = ngx_current_msec;
    }

    s->ping = position;
    s->pinged_at = ngx_current_msec;
}


u_char *
ngx_kapokmq_ping_write(u_char *p, uint32_t position)
{
    p += kmq_ws_header(p, KMQ_WS_PING, NGX_KAPOKMQ_PING_LEN);

    return ngx_sprintf(p, "%08xD", position);
}


ngx_int_t
ngx_kapokmq_ping_send(ngx_kapokmq_session_t *s)
{
    u_char  text[NGX_KAPOKMQ_PING_LEN];

    ngx_kapokmq_ping_sent(s, s->consumer.position);
    s->unpinged = 0;

    ngx_sprintf(text, "%08xD", s->ping);

    return ngx_kapokmq_output_frame(s, KMQ_WS_PING, text, sizeof(text));
}


void
ngx_kapokmq_ping_turn(ngx_kapokmq_consumer_t *c)
{
    ngx_kapokmq_session_t  *s;

    s = ngx_kapokmq_session_of(c);

    if (s->pinged || s->failed || s->state != NGX_KAPOKMQ_OPEN) {
        return;
    }

    if (ngx_kapokmq_ping_send(s) != NGX_OK
        || ngx_kapokmq_output_flush(s) == NGX_ERROR)
    {
        ngx_kapokmq_consumer_ready(c, 0);
        ngx_kapokmq_session_failed(s);
        return;
    }

    s->role->settle(s);
}


/*
 * An answer to a ping says how far the client has read.  Beside the one that
 * is waited for there may be others: of pings inside of a run, or of those
 * that were meant for other consumers, where they share a run.  The last one
 * says it all.
 */
void
ngx_kapokmq_ping_pong(ngx_kapokmq_session_t *s)
{
    uint32_t                 position;
    ngx_int_t                n;
    ngx_kapokmq_consumer_t  *c;

    c = &s->consumer;

    if (c->confirm != KMQ_CONFIRM_PONG
        || s->parser.size != NGX_KAPOKMQ_PING_LEN)
    {
        return;
    }

    n = ngx_hextoi(s->parser.data, s->parser.size);
    if (n == NGX_ERROR) {
        return;
    }

    position = (uint32_t) n;

    if ((int32_t) (position - c->position) > 0
        || (s->ponged && (int32_t) (position - s->pong) < 0))
    {
        return;
    }

    s->ponged = 1;
    s->pong = position;
}


void
ngx_kapokmq_ping_flush(ngx_kapokmq_session_t *s)
{
    ngx_kapokmq_consumer_t  *c;

    if (!s->ponged || s->client.ref == 0) {
        return;
    }

    c = &s->consumer;
    s->ponged = 0;

    ngx_kapokmq_consumer_confirm(c, s->pong);

    if (!s->pinged || (int32_t) (s->pong - s->timed) < 0) {
        return;
    }

    s->slow = (ngx_current_msec - s->timed_at > NGX_KAPOKMQ_PONG_SLOW);

    if (s->pong != s->ping) {
        s->timed = s->ping;
        s->timed_at = s->pinged_at;
        return;
    }

    s->pinged = 0;

    if (s->pong != c->position) {
        ngx_kapokmq_consumer_want_turn(c);
    }
}
