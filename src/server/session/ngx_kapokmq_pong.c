/* Pings ask consumers in mode pong how far they have read; pongs confirm it. */

#include "ngx_kapokmq_push.h"


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

    s->pinged = 1;
    s->ping = s->consumer.position;

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
 * is waited for there may be others: a run of messages that is shared with
 * other consumers brings along the pings that were meant for those.
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

    if ((int32_t) (position - c->position) > 0) {
        return;
    }

    ngx_kapokmq_consumer_confirm(c, position);

    if (s->pinged && position == s->ping) {
        s->pinged = 0;

        if (position != c->position) {
            ngx_kapokmq_consumer_want_turn(c);
        }
    }
}
