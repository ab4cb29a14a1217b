/* Consumers: what they confirm, and when they are ready for more. */

#include "ngx_kapokmq_session_internal.h"


#define NGX_KAPOKMQ_CODES  128    /* MessageCodes confirmed at once */

/* The longest answer to one that is wrong. */
#define NGX_KAPOKMQ_CONSUMER_ERROR  100


static ngx_int_t ngx_kapokmq_consumer_message(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_consumer_flush(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_consumer_check(ngx_kapokmq_session_t *s,
    ngx_uint_t ncodes);
static ngx_int_t ngx_kapokmq_consumer_error(ngx_kapokmq_session_t *s,
    const char *error, const char *code);
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

static ngx_uint_t ngx_kapokmq_consumer_strict(ngx_kapokmq_session_t *s,
    ngx_kapokmq_say_pt say);


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


/* A MessageCode, with a sign or without, bare or as a JSON string.  Anything
 * else is ignored, but where nothing else is expected: in mode ack, and behind
 * a sign. */
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

    if (size && (data[0] == '+' || data[0] == '-')) {
        say = (data[0] == '+') ? kmq_extend_codes : kmq_return_codes;
        data++;
        size--;
    }

    if (size != KMQ_CODE_LEN) {
        return ngx_kapokmq_consumer_strict(s, say)
               ? ngx_kapokmq_consumer_error(s, "a MessageCode is expected",
                                            NULL)
               : NGX_OK;
    }

    if (say != ngx_kapokmq_say) {

        if (ngx_kapokmq_session_flush(s) != NGX_OK) {
            return NGX_ERROR;
        }

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
    ngx_int_t   rc;
    ngx_uint_t  n, ncodes;

    ncodes = ngx_kapokmq_ncodes;
    ngx_kapokmq_ncodes = 0;

    if (ncodes == 0) {
        return NGX_OK;
    }

    rc = NGX_OK;

    /* what is given back is not in flight any more, and may be in flight with
     * others at once */

    if (ngx_kapokmq_say == kmq_return_codes) {
        rc = ngx_kapokmq_consumer_check(s, ncodes);
    }

    n = ngx_kapokmq_say(ngx_kapokmq_worker.kmq, s->client, ngx_kapokmq_codes,
                        ncodes);

    if (n) {
        ngx_kapokmq_room();
    }

    if (ngx_kapokmq_say == kmq_confirm_codes) {
        s->confirmed += n;
    }

    if (n < ncodes && ngx_kapokmq_say != kmq_return_codes
        && ngx_kapokmq_consumer_strict(s, ngx_kapokmq_say))
    {
        rc = ngx_kapokmq_consumer_check(s, ncodes);
    }

    return rc;
}


/* Is what is no code of a message in flight an error?  Clients of the original
 * confirm what a pong has confirmed already, without a sign. */
static ngx_uint_t
ngx_kapokmq_consumer_strict(ngx_kapokmq_session_t *s, ngx_kapokmq_say_pt say)
{
    return s->confirm == KMQ_CONFIRM_ACK || say != kmq_confirm_codes;
}


/* Answers those of the codes that are wrong. */
static ngx_int_t
ngx_kapokmq_consumer_check(ngx_kapokmq_session_t *s, ngx_uint_t ncodes)
{
    char        *code;
    ngx_uint_t   i;

    for (i = 0; i < ncodes; i++) {
        code = ngx_kapokmq_codes + i * KMQ_CODE_LEN;

        if (kmq_code_wrong(ngx_kapokmq_worker.kmq, s->client, code,
                           ngx_kapokmq_say == kmq_confirm_codes)
            && ngx_kapokmq_consumer_error(s, "not in flight with this "
                                          "consumer: ", code)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* The code comes from the client, and need not even be text. */
static ngx_int_t
ngx_kapokmq_consumer_error(ngx_kapokmq_session_t *s, const char *error,
    const char *code)
{
    u_char      *p, text[NGX_KAPOKMQ_CONSUMER_ERROR];
    ngx_uint_t   i;

    p = ngx_sprintf(text, "error: %s", error);

    for (i = 0; code && i < KMQ_CODE_LEN; i++) {
        *p++ = (code[i] >= 0x20 && code[i] < 0x7f) ? code[i] : '?';
    }

    return ngx_kapokmq_output_frame(s, KMQ_WS_TEXT, text, p - text);
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
