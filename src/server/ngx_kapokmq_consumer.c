/* Consumers: what they confirm, and when they are ready for more. */

#include "ngx_kapokmq_session.h"


#define NGX_KAPOKMQ_CODES  128    /* MessageCodes confirmed at once */


static ngx_int_t ngx_kapokmq_consumer_message(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_consumer_flush(ngx_kapokmq_session_t *s);
static void ngx_kapokmq_consumer_pong(ngx_kapokmq_session_t *s);
static void ngx_kapokmq_consumer_sent(ngx_kapokmq_session_t *s,
    uint32_t position);
static void ngx_kapokmq_consumer_settle(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_consumer_shutdown(ngx_kapokmq_session_t *s);
static void ngx_kapokmq_consumer_leave(ngx_kapokmq_session_t *s);


static const ngx_kapokmq_role_t  ngx_kapokmq_consumer_role = {
    "serving a consumer",
    KMQ_CONSUMER,
    NULL,                                  /* begin */
    ngx_kapokmq_consumer_message,
    ngx_kapokmq_consumer_flush,
    ngx_kapokmq_consumer_pong,
    ngx_kapokmq_consumer_sent,
    ngx_kapokmq_consumer_settle,
    ngx_kapokmq_consumer_shutdown,
    ngx_kapokmq_consumer_leave
};

/* What a consumer says with a MessageCode: it has consumed the message, needs
 * more time for it ("+" before the code), or gives it back ("-"). */
typedef unsigned (*ngx_kapokmq_say_pt)(kmq_t *kmq, kmq_ref_t client,
    const char *codes, unsigned n);

/* Codes from the session that is read at the moment, and what all of them say;
 * empty between two events. */
static char                ngx_kapokmq_codes[NGX_KAPOKMQ_CODES * KMQ_CODE_LEN];
static ngx_uint_t          ngx_kapokmq_ncodes;
static ngx_kapokmq_say_pt  ngx_kapokmq_say;


ngx_int_t
ngx_kapokmq_consumer_handler(ngx_http_request_t *r)
{
    return ngx_kapokmq_upgrade(r, &ngx_kapokmq_consumer_role);
}


/* A MessageCode, with a sign or without, bare or as a JSON string; anything
 * else is ignored. */
static ngx_int_t
ngx_kapokmq_consumer_message(ngx_kapokmq_session_t *s)
{
    u_char              *data;
    size_t               size;
    ngx_kapokmq_say_pt   say;

    data = s->parser.data;
    size = s->parser.size;
    say = kmq_confirm_codes;

    if (size > 2 && data[0] == '"' && data[size - 1] == '"') {
        data++;
        size -= 2;
    }

    if (size == KMQ_CODE_LEN + 1 && (data[0] == '+' || data[0] == '-')) {
        say = (data[0] == '+') ? kmq_extend_codes : kmq_return_codes;
        data++;
        size--;
    }

    if (size != KMQ_CODE_LEN) {
        return NGX_OK;
    }

    if (say != ngx_kapokmq_say) {
        (void) ngx_kapokmq_session_flush(s);
        ngx_kapokmq_say = say;
    }

    ngx_memcpy(ngx_kapokmq_codes + ngx_kapokmq_ncodes * KMQ_CODE_LEN, data,
               KMQ_CODE_LEN);
    ngx_kapokmq_ncodes++;

    if (ngx_kapokmq_ncodes == NGX_KAPOKMQ_CODES) {
        return ngx_kapokmq_session_flush(s);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_kapokmq_consumer_flush(ngx_kapokmq_session_t *s)
{
    ngx_uint_t  n;

    if (ngx_kapokmq_ncodes) {

        n = ngx_kapokmq_say(ngx_kapokmq_worker.kmq, s->client,
                            ngx_kapokmq_codes, ngx_kapokmq_ncodes);

        if (n) {
            ngx_kapokmq_room();
        }

        if (ngx_kapokmq_say == kmq_confirm_codes) {
            s->confirmed += n;
        }

        ngx_kapokmq_ncodes = 0;
    }

    return NGX_OK;
}


static void
ngx_kapokmq_consumer_confirm(ngx_kapokmq_session_t *s, uint32_t position)
{
    ngx_uint_t  n;

    n = kmq_confirm_upto(ngx_kapokmq_worker.kmq, s->client, position);

    if (n) {
        s->confirmed += n;
        ngx_kapokmq_room();
    }
}


/*
 * An answer to a ping says how far the client has read.  Beside the one that
 * is waited for there may be others: a run of messages that is shared with
 * other consumers brings along the pings that were meant for those.
 */
static void
ngx_kapokmq_consumer_pong(ngx_kapokmq_session_t *s)
{
    uint32_t   position;
    ngx_int_t  n;

    if (s->confirm != KMQ_CONFIRM_PONG
        || s->parser.size != NGX_KAPOKMQ_PING_LEN)
    {
        return;
    }

    n = ngx_hextoi(s->parser.data, s->parser.size);
    if (n == NGX_ERROR) {
        return;
    }

    position = (uint32_t) n;

    if ((int32_t) (position - s->position) > 0) {
        return;
    }

    ngx_kapokmq_consumer_confirm(s, position);

    if (s->pinged && position == s->ping) {
        s->pinged = 0;

        if (position != s->position) {
            ngx_kapokmq_want_ping(s);
        }
    }
}


/* Mode socket: what the kernel has taken is consumed. */
static void
ngx_kapokmq_consumer_sent(ngx_kapokmq_session_t *s, uint32_t position)
{
    if (s->confirm == KMQ_CONFIRM_SOCKET && s->client) {
        ngx_kapokmq_consumer_confirm(s, position);
    }
}


/* A consumer is ready while it reads what it gets. */
static void
ngx_kapokmq_consumer_settle(ngx_kapokmq_session_t *s)
{
    if (s->client) {
        kmq_set_ready(ngx_kapokmq_worker.kmq, s->client,
                      s->state == NGX_KAPOKMQ_OPEN && s->out == NULL);
    }
}


/* No more messages; those on their way can still be confirmed. */
static ngx_int_t
ngx_kapokmq_consumer_shutdown(ngx_kapokmq_session_t *s)
{
    kmq_retire(ngx_kapokmq_worker.kmq);
    kmq_set_ready(ngx_kapokmq_worker.kmq, s->client, 0);

    if (s->confirm != KMQ_CONFIRM_PONG
        || (s->pinged && s->ping == s->position)
        || kmq_in_flight(ngx_kapokmq_worker.kmq, s->client) == 0)
    {
        return NGX_OK;
    }

    return ngx_kapokmq_consumer_ping(s);
}


/* Asks how far the client has read, beside the pushes. */
ngx_int_t
ngx_kapokmq_consumer_ping(ngx_kapokmq_session_t *s)
{
    u_char  text[NGX_KAPOKMQ_PING_LEN];

    s->pinged = 1;
    s->ping = s->position;

    ngx_sprintf(text, "%08xD", s->position);

    return ngx_kapokmq_output_frame(s, KMQ_WS_PING, text, sizeof(text));
}


static void
ngx_kapokmq_consumer_leave(ngx_kapokmq_session_t *s)
{
    (void) s;

    ngx_kapokmq_ncodes = 0;
}
