/* The life of a session between its login and its end: events, frames. */

#include "ngx_kapokmq_heartbeat.h"
#include "../worker/ngx_kapokmq_worker.h"


/* Receives in one event, so that no client keeps others waiting. */
#define NGX_KAPOKMQ_RECEIVES         1

/* Unsent bytes of answers (not "ok") at which reading stops. */
#define NGX_KAPOKMQ_ANSWERS_MAX   4096

/* So does it at so many messages whose answers wait for the disk. */
#define NGX_KAPOKMQ_OWED_MAX     16384


static ngx_int_t ngx_kapokmq_session_run(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_session_input(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_session_parse(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_session_over(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_session_pause(ngx_kapokmq_session_t *s);
static void ngx_kapokmq_session_unpause(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_session_control(ngx_kapokmq_session_t *s);
static void ngx_kapokmq_session_settle(ngx_kapokmq_session_t *s,
    ngx_int_t rc);


/* ----------------------------------------------------------------- events */

void
ngx_kapokmq_session_read(ngx_event_t *rev)
{
    ngx_connection_t  *c;

    c = rev->data;

    ngx_kapokmq_session_readable(c->data);
}


void
ngx_kapokmq_session_write(ngx_event_t *wev)
{
    ngx_connection_t  *c;

    c = wev->data;

    ngx_kapokmq_session_writable(c->data);
}


void
ngx_kapokmq_session_readable(ngx_kapokmq_session_t *s)
{
    ngx_int_t          rc;
    ngx_event_t       *rev;
    ngx_connection_t  *c;

    c = s->connection;
    rev = c->read;
    rc = NGX_OK;

    ngx_kapokmq_clock();

    if (c->error || s->failed) {
        /* both: nginx has waited long enough */
        s->ours |= c->close;
        rc = NGX_ERROR;

    } else if (s->exiting) {
        s->exiting = 0;
        rc = ngx_kapokmq_close_exiting(s);

    } else if (rev->timedout) {
        rev->timedout = 0;
        rc = ngx_kapokmq_close_timeout(s);
    }

    if (rc == NGX_OK) {
        rc = ngx_kapokmq_session_run(s);
    }

    ngx_kapokmq_session_settle(s, rc);

    ngx_kapokmq_wake();
}


void
ngx_kapokmq_session_writable(ngx_kapokmq_session_t *s)
{
    ngx_int_t     rc;
    ngx_event_t  *wev;

    wev = s->connection->write;
    rc = NGX_OK;

    ngx_kapokmq_clock();

    if (wev->timedout) {
        wev->timedout = 0;
        rc = ngx_kapokmq_heartbeat_due(s);
    }

    if (rc == NGX_OK) {
        rc = ngx_kapokmq_output_flush(s);
    }

    if (rc == NGX_OK) {
        ngx_kapokmq_session_unpause(s);
    }

    if (rc == NGX_OK && s->state == NGX_KAPOKMQ_FINISHING) {
        rc = ngx_kapokmq_close_finished(s);
    }

    ngx_kapokmq_session_settle(s, rc);

    ngx_kapokmq_wake();
}


void
ngx_kapokmq_session_continue(ngx_kapokmq_session_t *s)
{
    ngx_kapokmq_session_settle(s, ngx_kapokmq_session_run(s));
}


void
ngx_kapokmq_session_answered(ngx_kapokmq_session_t *s)
{
    ngx_int_t  rc;

    rc = ngx_kapokmq_output_flush(s);

    if (s->unanswered == 0
        && (s->going || s->closed || s->broken || s->ended))
    {
        s->exiting = s->going;
        s->going = 0;
        ngx_kapokmq_session_wake(s);
    }

    if (rc == NGX_OK) {
        ngx_kapokmq_session_unpause(s);
    }

    ngx_kapokmq_session_settle(s, rc == NGX_ERROR ? NGX_ERROR : NGX_OK);
}


/* After each event: either the session ends here, or its role adapts. */
static void
ngx_kapokmq_session_settle(ngx_kapokmq_session_t *s, ngx_int_t rc)
{
    switch (rc) {

    case NGX_DONE:
        ngx_kapokmq_close_end(s, NGX_OK);
        return;

    case NGX_ERROR:
        ngx_kapokmq_close_end(s, NGX_HTTP_CLIENT_CLOSED_REQUEST);
        return;

    default:
        s->role->settle(s);
        return;
    }
}


/* Reads and answers what there is. */
static ngx_int_t
ngx_kapokmq_session_run(ngx_kapokmq_session_t *s)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = s->connection;

    if (!s->greeted && ngx_kapokmq_login_begin(s) != NGX_OK) {
        return NGX_ERROR;
    }

    if (s->state != NGX_KAPOKMQ_FINISHING && !s->paused && !s->guessed) {
        rc = ngx_kapokmq_session_input(s);
        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    rc = ngx_kapokmq_output_flush(s);
    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (s->state == NGX_KAPOKMQ_FINISHING && rc == NGX_OK) {
        return ngx_kapokmq_close_finished(s);
    }

    if (rc == NGX_OK) {
        ngx_kapokmq_session_unpause(s);
    }

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* ------------------------------------------------------------------ input */

static ngx_int_t
ngx_kapokmq_session_input(ngx_kapokmq_session_t *s)
{
    ngx_int_t          rc;
    ngx_uint_t         n, max;
    ngx_connection_t  *c;

    c = s->connection;

    if (s->client.ref && s->role->begin && s->role->begin(s) != NGX_OK) {
        return NGX_BUSY;
    }

    max = s->turn ? 1 : NGX_KAPOKMQ_RECEIVES;

    ngx_kapokmq_input_open(s);

    for (n = 0; /* void */ ; n++) {

        rc = ngx_kapokmq_session_parse(s);

        if (rc != NGX_OK || !c->read->ready) {
            break;
        }

        if (n == max) {
            ngx_kapokmq_session_wake(s);
            break;
        }

        rc = ngx_kapokmq_input_receive(s);

        if (rc == NGX_DONE) {
            s->ended = 1;
            (void) ngx_kapokmq_session_over(s);
        }

        if (rc != NGX_OK) {
            break;
        }

        s->heard = ngx_current_msec;

        if (s->asked) {
            ngx_kapokmq_heartbeat_answered(s);
        }

        if (s->client.ref) {
            kmq_seen(ngx_kapokmq_worker.kmq, s->client.ref, 0);
        }
    }

    if (ngx_kapokmq_input_close(s) != NGX_OK) {
        return NGX_ERROR;
    }

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_OK;
}


/* Takes all complete messages.  NGX_OK: more can be received. */
static ngx_int_t
ngx_kapokmq_session_parse(ngx_kapokmq_session_t *s)
{
    ngx_int_t             rc;
    kmq_ws_event_t        event;
    ngx_kapokmq_input_t  *in;

    in = &s->input;

    /* what found no room before comes first */

    rc = ngx_kapokmq_session_flush(s);

    while (rc == NGX_OK) {

        if (s->closed || s->broken || s->ended) {
            return ngx_kapokmq_session_over(s);
        }

        event = kmq_ws_parse(&s->parser, in->data, in->len, &in->used);

        switch (event) {

        case KMQ_WS_MESSAGE:

            if (s->state == NGX_KAPOKMQ_LOGIN) {
                rc = ngx_kapokmq_login_key(s);

            } else if (s->client.ref) {
                rc = s->role->message(s);
            }

            break;

        case KMQ_WS_CONTROL:
            rc = ngx_kapokmq_session_control(s);
            break;

        case KMQ_WS_MORE:
            return ngx_kapokmq_session_flush(s);

        default: /* KMQ_WS_FAIL */
            rc = ngx_kapokmq_session_flush(s);
            s->broken = (rc == NGX_OK);
            break;
        }

        if (rc == NGX_OK && (s->answers > NGX_KAPOKMQ_ANSWERS_MAX
                             || s->owed > NGX_KAPOKMQ_OWED_MAX))
        {
            rc = ngx_kapokmq_session_pause(s);
        }
    }

    return rc;
}


/* No more is to come; all that came is answered first. */
static ngx_int_t
ngx_kapokmq_session_over(ngx_kapokmq_session_t *s)
{
    if (s->unanswered) {
        return NGX_BUSY;
    }

    if (s->closed) {
        return ngx_kapokmq_close_came(s);
    }

    if (s->broken) {
        return ngx_kapokmq_close_bad(s);
    }

    ngx_kapokmq_close_finish(s);

    return NGX_BUSY;
}


ngx_int_t
ngx_kapokmq_session_flush(ngx_kapokmq_session_t *s)
{
    ngx_int_t  rc;

    rc = s->role->flush(s);

    if (rc == NGX_OK) {
        s->input.keep = s->input.used;
    }

    return rc;
}


/* A client that asks more than it reads answers of has to read first. */
static ngx_int_t
ngx_kapokmq_session_pause(ngx_kapokmq_session_t *s)
{
    ngx_int_t  rc;

    rc = ngx_kapokmq_output_flush(s);

    if (rc == NGX_ERROR
        || (rc == NGX_OK && s->owed <= NGX_KAPOKMQ_OWED_MAX))
    {
        return rc;
    }

    rc = ngx_kapokmq_session_flush(s);

    s->paused = 1;

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_BUSY;
}


/* All has been sent: does it go on? */
static void
ngx_kapokmq_session_unpause(ngx_kapokmq_session_t *s)
{
    if (s->paused && s->owed <= NGX_KAPOKMQ_OWED_MAX) {
        s->paused = 0;
        ngx_kapokmq_session_wake(s);
    }
}


/* --------------------------------------------------------- control frames */

static ngx_int_t
ngx_kapokmq_session_control(ngx_kapokmq_session_t *s)
{
    switch (s->parser.opcode) {

    case KMQ_WS_CLOSE:
        s->closed = 1;
        s->close_code = s->parser.close_code;
        return ngx_kapokmq_session_flush(s);

    case KMQ_WS_PONG:

        if (s->client.ref && s->role->pong) {
            s->role->pong(s);
        }

        return NGX_OK;

    default: /* KMQ_WS_PING */

        if (s->state == NGX_KAPOKMQ_CLOSING) {
            return NGX_OK;
        }

        return ngx_kapokmq_output_frame(s, KMQ_WS_PONG, s->parser.data,
                                        s->parser.size);
    }
}


void
ngx_kapokmq_session_told(ngx_kapokmq_stay_t *stay)
{
    ngx_kapokmq_session_t  *s;

    s = ngx_queue_data(stay, ngx_kapokmq_session_t, stay);

    s->exiting = 1;
    ngx_kapokmq_session_readable(s);
}
