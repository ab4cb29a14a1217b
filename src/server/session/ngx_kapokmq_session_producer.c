/*
 * Sessions of producers: each message that comes in is stored and answered.
 * Messages are gathered while there is input and stored together.  Those that
 * find no room wait, and with them their producer
 * (ngx_kapokmq_waiting_producers.c).
 */

#include "ngx_kapokmq_session_inside.h"
#include "ngx_kapokmq_session.h"
#include "../publish/ngx_kapokmq_publish.h"
#include "../worker/ngx_kapokmq_worker.h"


#define NGX_KAPOKMQ_GATHER         64    /* messages stored at once */

#define NGX_KAPOKMQ_FAILED       ((ngx_uint_t) -1)


typedef struct {
    kmq_data_t         data;
    const char        *error;      /* the message's answer, NULL: "ok" */
} ngx_kapokmq_entry_t;

struct ngx_kapokmq_gather_s {
    ngx_uint_t           done;     /* entries stored and answered */
    ngx_uint_t           n;
    ngx_kapokmq_entry_t  entry[NGX_KAPOKMQ_GATHER];
};


static ngx_int_t ngx_kapokmq_producer_message(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_producer_flush(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_producer_store(ngx_kapokmq_session_t *s,
    ngx_kapokmq_gather_t *gather);
static ngx_uint_t ngx_kapokmq_producer_publish(ngx_kapokmq_session_t *s,
    const ngx_kapokmq_entry_t *entry, ngx_uint_t n);
static ngx_int_t ngx_kapokmq_producer_accept(ngx_kapokmq_session_t *s,
    kmq_message_t *m, ngx_uint_t n);
static ngx_int_t ngx_kapokmq_producer_refuse(ngx_kapokmq_session_t *s,
    kmq_message_t *m, ngx_uint_t n);
static ngx_int_t ngx_kapokmq_producer_keep(ngx_kapokmq_session_t *s,
    ngx_kapokmq_gather_t *gather);
static void ngx_kapokmq_producer_settle(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_producer_shutdown(ngx_kapokmq_session_t *s);
static void ngx_kapokmq_producer_leave(ngx_kapokmq_session_t *s);


static const ngx_kapokmq_role_t  ngx_kapokmq_producer_role = {
    "serving a producer",
    KMQ_PRODUCER,
    NULL,                                  /* transport */
    ngx_kapokmq_waiting_begin,
    ngx_kapokmq_producer_message,
    ngx_kapokmq_producer_flush,
    NULL,                                  /* pong */
    NULL,                                  /* sent */
    ngx_kapokmq_producer_settle,
    ngx_kapokmq_producer_shutdown,
    ngx_kapokmq_producer_leave
};

/* What is gathered from the input of the session that is read at the moment;
 * empty between two events. */
static ngx_kapokmq_gather_t  ngx_kapokmq_gather;


ngx_int_t
ngx_kapokmq_producer_handler(ngx_http_request_t *r)
{
    return ngx_kapokmq_upgrade(r, &ngx_kapokmq_producer_role);
}


/* ------------------------------------------------------------ one message */

static ngx_int_t
ngx_kapokmq_producer_message(ngx_kapokmq_session_t *s)
{
    size_t                max;
    ngx_kapokmq_entry_t  *e;

    e = &ngx_kapokmq_gather.entry[ngx_kapokmq_gather.n++];

    e->error = kmq_data_frame(&e->data, s->parser.data, s->parser.size,
                              s->parser.opcode == KMQ_WS_BINARY);

    /* data with escapes counts as what they mean, which takes a look */

    max = ngx_kapokmq_worker.config->max_message_size;

    if (e->error == NULL && e->data.size > max
        && kmq_data_size(&e->data) > max)
    {
        e->error = "the message is larger than maxMessageSize";
    }

    if (e->error == NULL
        && e->data.escaped > kmq_body_max(ngx_kapokmq_worker.kmq))
    {
        e->error = "the message is larger than the queue's memory allows";
    }

    if (ngx_kapokmq_gather.n == NGX_KAPOKMQ_GATHER) {
        return ngx_kapokmq_session_flush(s);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_kapokmq_producer_flush(ngx_kapokmq_session_t *s)
{
    ngx_int_t              rc;
    ngx_kapokmq_gather_t  *gather;

    gather = s->producer.unstored ? s->producer.unstored : &ngx_kapokmq_gather;

    if (gather->n == 0) {
        return NGX_OK;
    }

    rc = ngx_kapokmq_producer_store(s, gather);

    if (rc == NGX_BUSY) {
        ngx_kapokmq_waiting_join(s);

        if (s->producer.unstored
            || ngx_kapokmq_producer_keep(s, gather) == NGX_OK)
        {
            return NGX_BUSY;
        }

        rc = NGX_ERROR;
    }

    if (s->producer.unstored) {
        ngx_free(s->producer.unstored);
        s->producer.unstored = NULL;

    } else {
        gather->done = 0;
        gather->n = 0;
    }

    return rc;
}


/* Stores and answers in order.  NGX_BUSY: there was no room for the rest. */
static ngx_int_t
ngx_kapokmq_producer_store(ngx_kapokmq_session_t *s,
    ngx_kapokmq_gather_t *gather)
{
    ngx_uint_t            n, stored;
    ngx_kapokmq_entry_t  *e;

    while (gather->done < gather->n) {
        e = &gather->entry[gather->done];

        if (e->error) {

            if (ngx_kapokmq_owed_error(s, e->error) != NGX_OK) {
                return NGX_ERROR;
            }

            gather->done++;
            continue;
        }

        for (n = 1; gather->done + n < gather->n; n++) {
            if (e[n].error) {
                break;
            }
        }

        stored = ngx_kapokmq_producer_publish(s, e, n);

        if (stored == NGX_KAPOKMQ_FAILED) {
            return NGX_ERROR;
        }

        gather->done += stored;

        if (stored < n) {
            return NGX_BUSY;
        }
    }

    return NGX_OK;
}


/* Returns how many of the n messages found room, or NGX_KAPOKMQ_FAILED: the
 * session has to end. */
static ngx_uint_t
ngx_kapokmq_producer_publish(ngx_kapokmq_session_t *s,
    const ngx_kapokmq_entry_t *entry, ngx_uint_t n)
{
    kmq_t          *kmq;
    ngx_uint_t      i;
    kmq_message_t   m[NGX_KAPOKMQ_GATHER];

    kmq = ngx_kapokmq_worker.kmq;

    ngx_memzero(m, n * sizeof(kmq_message_t));

    for (i = 0; i < n; i++) {
        m[i].size = entry[i].data.escaped;
        m[i].delay_time = entry[i].data.delay;
    }

    ngx_kapokmq_clock_delays(m, n);

    n = kmq_reserve(kmq, s->client.ref, m, n, NULL);

    for (i = 0; i < n; i++) {
        ngx_kapokmq_publish_write(&m[i], &entry[i].data);
    }

    if (n && ngx_kapokmq_producer_accept(s, m, n) != NGX_OK) {
        return NGX_KAPOKMQ_FAILED;
    }

    return n;
}


/* Answers at once, or when the messages are on disk. */
static ngx_int_t
ngx_kapokmq_producer_accept(ngx_kapokmq_session_t *s, kmq_message_t *m,
    ngx_uint_t n)
{
    switch (ngx_kapokmq_pending_now(&s->unanswered)) {

    case NGX_KAPOKMQ_PENDING_HELD:
        return ngx_kapokmq_owed_hold(s, m, n);

    case NGX_KAPOKMQ_PENDING_REFUSED:
        return ngx_kapokmq_producer_refuse(s, m, n);

    default:
        break;
    }

    kmq_commit(ngx_kapokmq_worker.kmq, m, n);
    kmq_seen(ngx_kapokmq_worker.kmq, s->client.ref, (unsigned) n);
    s->client.messages += n;

    return ngx_kapokmq_output_oks(s, n);
}


static ngx_int_t
ngx_kapokmq_producer_refuse(ngx_kapokmq_session_t *s, kmq_message_t *m,
    ngx_uint_t n)
{
    ngx_uint_t  i;

    kmq_discard(ngx_kapokmq_worker.kmq, m, n);

    for (i = 0; i < n; i++) {
        if (ngx_kapokmq_owed_error(s, NGX_KAPOKMQ_SILENT) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* Keeps what found no room, and the input that it points into. */
static ngx_int_t
ngx_kapokmq_producer_keep(ngx_kapokmq_session_t *s,
    ngx_kapokmq_gather_t *gather)
{
    u_char                *old, *new;
    ngx_uint_t             i;
    kmq_data_t            *data;
    ngx_kapokmq_gather_t  *kept;

    kept = ngx_alloc(sizeof(ngx_kapokmq_gather_t), ngx_cycle->log);
    if (kept == NULL) {
        return NGX_ERROR;
    }

    *kept = *gather;
    gather->done = 0;
    gather->n = 0;
    s->producer.unstored = kept;

    old = s->input.data + s->input.keep;

    if (ngx_kapokmq_input_close(s) != NGX_OK) {
        return NGX_ERROR;
    }

    new = s->input.data + s->input.keep;

    for (i = kept->done; i < kept->n; i++) {
        data = &kept->entry[i].data;

        if (kept->entry[i].error == NULL && data->size) {
            data->bytes = new + (data->bytes - old);
        }
    }

    return NGX_OK;
}


/* -------------------------------------------------------------------- end */

static void
ngx_kapokmq_producer_settle(ngx_kapokmq_session_t *s)
{
    s->turn = 0;
}


/* What was read is answered first.  What comes until the client has seen Close
 * is stored as well, but there are no answers behind Close. */
static ngx_int_t
ngx_kapokmq_producer_shutdown(ngx_kapokmq_session_t *s)
{
    return s->unanswered ? NGX_AGAIN : NGX_OK;
}


static void
ngx_kapokmq_producer_leave(ngx_kapokmq_session_t *s)
{
    ngx_kapokmq_gather.done = 0;
    ngx_kapokmq_gather.n = 0;

    if (s->producer.unstored) {
        ngx_free(s->producer.unstored);
        s->producer.unstored = NULL;
    }

    ngx_kapokmq_owed_forget(s);

    ngx_kapokmq_waiting_leave(s);
}
