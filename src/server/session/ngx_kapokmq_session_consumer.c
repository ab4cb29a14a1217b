/* Sessions of consumers: what such a client says, and when it can be pushed
 * to. */

#include "ngx_kapokmq_push.h"
#include "ngx_kapokmq_session.h"


/* What a frame with another token begins with; an answer to it. */
#define NGX_KAPOKMQ_RENEW        "Bearer "
#define NGX_KAPOKMQ_RENEW_ERROR  64


static ngx_int_t ngx_kapokmq_session_consumer_message(
    ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_session_consumer_renew(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_session_consumer_flush(ngx_kapokmq_session_t *s);
static void ngx_kapokmq_session_consumer_sent(ngx_kapokmq_session_t *s,
    uint32_t position);
static void ngx_kapokmq_session_consumer_settle(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_session_consumer_shutdown(
    ngx_kapokmq_session_t *s);
static void ngx_kapokmq_session_consumer_leave(ngx_kapokmq_session_t *s);


static const ngx_kapokmq_role_t  ngx_kapokmq_session_consumer = {
    "serving a consumer",
    KMQ_CONSUMER,
    &ngx_kapokmq_websocket,
    NULL,                                  /* begin */
    ngx_kapokmq_session_consumer_message,
    ngx_kapokmq_session_consumer_flush,
    ngx_kapokmq_ping_pong,
    ngx_kapokmq_session_consumer_sent,
    ngx_kapokmq_session_consumer_settle,
    ngx_kapokmq_session_consumer_shutdown,
    ngx_kapokmq_session_consumer_leave
};


ngx_int_t
ngx_kapokmq_consumer_handler(ngx_http_request_t *r)
{
    return ngx_kapokmq_upgrade(r, &ngx_kapokmq_session_consumer);
}


static ngx_int_t
ngx_kapokmq_session_consumer_message(ngx_kapokmq_session_t *s)
{
    /* what it said before comes first */

    if (s->ponged && ngx_kapokmq_session_consumer_flush(s) != NGX_OK) {
        return NGX_ERROR;
    }

    if (s->parser.size > sizeof(NGX_KAPOKMQ_RENEW) - 1
        && ngx_strncmp(s->parser.data, NGX_KAPOKMQ_RENEW,
                       sizeof(NGX_KAPOKMQ_RENEW) - 1)
           == 0)
    {
        return ngx_kapokmq_session_consumer_renew(s);
    }

    return ngx_kapokmq_codes_add(&s->consumer, s->parser.data, s->parser.size);
}


/* "Bearer TOKEN": it goes on with that.  What goes wrong is told, what goes
 * right is not, as with codes. */
static ngx_int_t
ngx_kapokmq_session_consumer_renew(ngx_kapokmq_session_t *s)
{
    char         text[NGX_KAPOKMQ_RENEW_ERROR];
    const char  *error;

    error = ngx_kapokmq_guest_renew(&s->client.guest, s->connection, s->limit,
                                    s->parser.data
                                    + sizeof(NGX_KAPOKMQ_RENEW) - 1,
                                    s->parser.size
                                    - (sizeof(NGX_KAPOKMQ_RENEW) - 1));
    if (error == NULL) {
        return NGX_OK;
    }

    ngx_snprintf((u_char *) text, sizeof(text), "error: %s%Z", error);

    return ngx_kapokmq_output_text(s, text);
}


static ngx_int_t
ngx_kapokmq_session_consumer_flush(ngx_kapokmq_session_t *s)
{
    ngx_int_t  rc;

    rc = ngx_kapokmq_codes_flush(&s->consumer);
    ngx_kapokmq_ping_flush(s);

    return rc;
}


static void
ngx_kapokmq_session_consumer_sent(ngx_kapokmq_session_t *s, uint32_t position)
{
    ngx_kapokmq_consumer_sent(&s->consumer, position);
}


/* A consumer is ready while it reads what it gets. */
static void
ngx_kapokmq_session_consumer_settle(ngx_kapokmq_session_t *s)
{
    ngx_kapokmq_consumer_ready(&s->consumer, s->state == NGX_KAPOKMQ_OPEN
                                             && s->out == NULL);
}


/* No more messages; those on their way can still be confirmed. */
static ngx_int_t
ngx_kapokmq_session_consumer_shutdown(ngx_kapokmq_session_t *s)
{
    if (ngx_kapokmq_consumer_retire(&s->consumer) == 0
        || s->consumer.confirm != KMQ_CONFIRM_PONG
        || (s->pinged && s->ping == s->consumer.position))
    {
        return NGX_OK;
    }

    return ngx_kapokmq_ping_send(s);
}


static void
ngx_kapokmq_session_consumer_leave(ngx_kapokmq_session_t *s)
{
    ngx_kapokmq_consumer_leave(&s->consumer);
}
