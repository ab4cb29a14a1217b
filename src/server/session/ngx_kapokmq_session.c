/*
 * The life of a WebSocket session after the upgrade: events, login, control
 * frames, the end.
 */

#include "ngx_kapokmq_session_internal.h"
#include "ngx_kapokmq_session.h"
#include "../http/ngx_kapokmq_http.h"
#include "../worker/ngx_kapokmq_worker.h"


#define NGX_KAPOKMQ_LOGIN_TIME   10000    /* ms */
#define NGX_KAPOKMQ_CLOSE_TIME    2000
#define NGX_KAPOKMQ_HEAR_TIME      500    /* see ngx_kapokmq_hears() */
#define NGX_KAPOKMQ_WRONG_KEYS       5

/* The longest message before login: a key, with something to spare. */
#define NGX_KAPOKMQ_LOGIN_MAX     4096

/* What escapes and an envelope may make of a message that is not too large. */
#define NGX_KAPOKMQ_FRAME_GROWTH     6
#define NGX_KAPOKMQ_FRAME_EXTRA   4096

/* Receives in one event, so that no client keeps others waiting. */
#define NGX_KAPOKMQ_RECEIVES         1

/* Unsent bytes of answers (not "ok") at which reading stops. */
#define NGX_KAPOKMQ_ANSWERS_MAX   4096

/* So does it at so many messages whose answers wait for the disk. */
#define NGX_KAPOKMQ_OWED_MAX     16384

#define NGX_KAPOKMQ_PROMPT     "Please enter the secret key"
#define NGX_KAPOKMQ_RIGHT_KEY  "Secret key matching succeeded"
#define NGX_KAPOKMQ_WRONG_KEY  "Secret key matching error"


static ngx_int_t ngx_kapokmq_session_run(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_session_greet(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_session_input(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_session_parse(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_session_over(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_session_pause(ngx_kapokmq_session_t *s);
static void ngx_kapokmq_session_unpause(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_session_login(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_session_open(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_session_control(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_session_closed(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_session_bad(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_session_close(ngx_kapokmq_session_t *s,
    ngx_uint_t code, const char *reason);
static ngx_int_t ngx_kapokmq_session_timeout(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_session_shutdown(ngx_kapokmq_session_t *s);
static void ngx_kapokmq_session_finish(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_session_finished(ngx_kapokmq_session_t *s);
static void ngx_kapokmq_session_leave(ngx_kapokmq_session_t *s);
static void ngx_kapokmq_session_timer(ngx_kapokmq_session_t *s,
    ngx_msec_t ms);
static void ngx_kapokmq_session_settle(ngx_kapokmq_session_t *s,
    ngx_int_t rc);
static void ngx_kapokmq_session_end(ngx_kapokmq_session_t *s, ngx_int_t rc);


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
        rc = NGX_ERROR;

    } else if (c->close || s->exiting) {
        c->close = 0;
        s->exiting = 0;
        rc = ngx_kapokmq_session_shutdown(s);

    } else if (rev->timedout) {
        rev->timedout = 0;
        rc = ngx_kapokmq_session_timeout(s);
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
    ngx_int_t  rc;

    ngx_kapokmq_clock();

    rc = ngx_kapokmq_output_flush(s);

    if (rc == NGX_OK) {
        ngx_kapokmq_session_unpause(s);
    }

    if (rc == NGX_OK && s->state == NGX_KAPOKMQ_FINISHING) {
        rc = ngx_kapokmq_session_finished(s);
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


void
ngx_kapokmq_session_failed(ngx_kapokmq_session_t *s)
{
    s->failed = 1;
    ngx_kapokmq_session_wake(s);
}


/* After each event: either the session ends here, or its role adapts. */
static void
ngx_kapokmq_session_settle(ngx_kapokmq_session_t *s, ngx_int_t rc)
{
    switch (rc) {

    case NGX_DONE:
        ngx_kapokmq_session_end(s, NGX_OK);
        return;

    case NGX_ERROR:
        ngx_kapokmq_session_end(s, NGX_HTTP_CLIENT_CLOSED_REQUEST);
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

    if (!s->greeted && ngx_kapokmq_session_greet(s) != NGX_OK) {
        return NGX_ERROR;
    }

    if (s->state != NGX_KAPOKMQ_FINISHING && !s->paused) {
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
        return ngx_kapokmq_session_finished(s);
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
                rc = ngx_kapokmq_session_login(s);

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
        return ngx_kapokmq_session_closed(s);
    }

    if (s->broken) {
        return ngx_kapokmq_session_bad(s);
    }

    ngx_kapokmq_session_finish(s);

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


/* ------------------------------------------------------------------ login */

static ngx_int_t
ngx_kapokmq_session_greet(ngx_kapokmq_session_t *s)
{
    s->greeted = 1;

    kmq_ws_init(&s->parser, NGX_KAPOKMQ_LOGIN_MAX);

    if (s->key_given) {
        return ngx_kapokmq_session_open(s);
    }

    ngx_kapokmq_session_timer(s, NGX_KAPOKMQ_LOGIN_TIME);

    return ngx_kapokmq_output_text(s, NGX_KAPOKMQ_PROMPT);
}


static ngx_int_t
ngx_kapokmq_session_login(ngx_kapokmq_session_t *s)
{
    if (ngx_kapokmq_key_stale()) {
        return ngx_kapokmq_session_close(s, KMQ_WS_GOING_AWAY,
                                         "the server restarts");
    }

    if (ngx_kapokmq_key_matches(s->parser.data, s->parser.size)) {
        return ngx_kapokmq_session_open(s);
    }

    if (ngx_kapokmq_output_text(s, NGX_KAPOKMQ_WRONG_KEY) != NGX_OK) {
        return NGX_ERROR;
    }

    s->wrong_keys++;

    if (s->wrong_keys == NGX_KAPOKMQ_WRONG_KEYS) {
        return ngx_kapokmq_session_close(s, KMQ_WS_POLICY,
                                         "too many wrong secret keys");
    }

    return ngx_kapokmq_output_text(s, NGX_KAPOKMQ_PROMPT);
}


static ngx_int_t
ngx_kapokmq_session_open(ngx_kapokmq_session_t *s)
{
    ngx_kapokmq_session_timer(s, 0);

    if (ngx_kapokmq_client_join(&s->client, s->info) != NGX_OK) {
        return ngx_kapokmq_session_close(s, KMQ_WS_TRY_AGAIN_LATER,
                                         "no memory for another client");
    }

    ngx_free(s->info);
    s->info = NULL;

    s->state = NGX_KAPOKMQ_OPEN;
    s->parser.max_message = (uint64_t) NGX_KAPOKMQ_FRAME_GROWTH
                            * ngx_kapokmq_worker.config->max_message_size
                            + NGX_KAPOKMQ_FRAME_EXTRA;

    return ngx_kapokmq_output_text(s, NGX_KAPOKMQ_RIGHT_KEY);
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


/* The client's Close has come, and all before it is done. */
static ngx_int_t
ngx_kapokmq_session_closed(ngx_kapokmq_session_t *s)
{
    if (s->state != NGX_KAPOKMQ_CLOSING
        && ngx_kapokmq_output_close(s, s->close_code, NULL) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_kapokmq_session_finish(s);

    return NGX_BUSY;
}


/* The client broke the protocol: what else comes is of no use. */
static ngx_int_t
ngx_kapokmq_session_bad(ngx_kapokmq_session_t *s)
{
    ngx_log_error(NGX_LOG_INFO, s->connection->log, 0,
                  "client sent a bad frame: %s", s->parser.reason);

    if (s->state != NGX_KAPOKMQ_CLOSING
        && ngx_kapokmq_output_close(s, s->parser.close_code,
                                    s->parser.reason)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    s->linger = 1;
    ngx_kapokmq_session_finish(s);

    return NGX_BUSY;
}


/* -------------------------------------------------------------------- end */

/* Sends Close and waits a little for the client's one. */
static ngx_int_t
ngx_kapokmq_session_close(ngx_kapokmq_session_t *s, ngx_uint_t code,
    const char *reason)
{
    if (s->state >= NGX_KAPOKMQ_CLOSING) {
        return NGX_OK;
    }

    s->state = NGX_KAPOKMQ_CLOSING;
    ngx_kapokmq_session_timer(s, NGX_KAPOKMQ_CLOSE_TIME);

    return ngx_kapokmq_output_close(s, code, reason);
}


/* nginx wants the connection gone: the worker is about to exit. */
static ngx_int_t
ngx_kapokmq_session_shutdown(ngx_kapokmq_session_t *s)
{
    ngx_int_t  rc;

    if (!s->greeted) {
        return NGX_ERROR;
    }

    rc = (s->state == NGX_KAPOKMQ_OPEN) ? s->role->shutdown(s) : NGX_OK;

    if (rc == NGX_AGAIN) {
        s->going = 1;
        ngx_kapokmq_session_timer(s, NGX_KAPOKMQ_CLOSE_TIME);
        return NGX_OK;
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (s->client.ref && ngx_kapokmq_key_stale()) {
        ngx_kapokmq_session_leave(s);
        return ngx_kapokmq_session_close(s, KMQ_WS_POLICY,
                                         "the secret key has changed");
    }

    return ngx_kapokmq_session_close(s, KMQ_WS_GOING_AWAY,
                                     "the server restarts");
}


static ngx_int_t
ngx_kapokmq_session_timeout(ngx_kapokmq_session_t *s)
{
    if (ngx_kapokmq_hears()) {
        ngx_kapokmq_session_timer(s, NGX_KAPOKMQ_HEAR_TIME);
        return NGX_OK;
    }

    if (s->state == NGX_KAPOKMQ_LOGIN) {
        return ngx_kapokmq_session_close(s, KMQ_WS_POLICY,
                                         "no secret key came in time");
    }

    /* the client does not answer Close, or does not read what is left */

    return NGX_ERROR;
}


/* Nothing more is read; what was answered is still written. */
static void
ngx_kapokmq_session_finish(ngx_kapokmq_session_t *s)
{
    s->state = NGX_KAPOKMQ_FINISHING;
    ngx_kapokmq_session_leave(s);
    ngx_kapokmq_session_timer(s, NGX_KAPOKMQ_CLOSE_TIME);
}


/*
 * All is written.  Where input is still on its way, closing the connection
 * would reset it, and the client might not read the last words: so it is told
 * that there are no more, and what it still sends is read until it ends, or
 * the time is up.
 */
static ngx_int_t
ngx_kapokmq_session_finished(ngx_kapokmq_session_t *s)
{
    ngx_connection_t  *c;

    c = s->connection;

    if (!s->linger || ngx_exiting) {
        return NGX_DONE;
    }

    if (!s->shut && !ngx_kapokmq_tls(c)
        && ngx_shutdown_socket(c->fd, NGX_WRITE_SHUTDOWN) == -1)
    {
        return NGX_DONE;
    }

    s->shut = 1;

    if (ngx_kapokmq_input_discard(s) != NGX_AGAIN
        || ngx_handle_read_event(c->read, 0) != NGX_OK)
    {
        return NGX_DONE;
    }

    return NGX_OK;
}


/* The session's only timer; 0: none.  Not cancelable: a worker waits until its
 * sessions are closed, which takes no longer than the time for that. */
static void
ngx_kapokmq_session_timer(ngx_kapokmq_session_t *s, ngx_msec_t ms)
{
    ngx_event_t  *rev;

    rev = s->connection->read;

    if (rev->timer_set) {
        ngx_del_timer(rev);
    }

    if (ms) {
        ngx_add_timer(rev, ms);
    }
}


/* The client leaves the engine. */
static void
ngx_kapokmq_session_leave(ngx_kapokmq_session_t *s)
{
    s->role->leave(s);
    ngx_kapokmq_client_leave(&s->client);
}


void
ngx_kapokmq_session_dismiss(ngx_kapokmq_client_t *client, int why,
    const char *reason)
{
    ngx_kapokmq_session_t  *s;

    s = ngx_kapokmq_session_of(client);

    ngx_kapokmq_session_leave(s);

    if (ngx_kapokmq_session_close(s, why == KMQ_TOO_SLOW
                                     ? KMQ_WS_TRY_AGAIN_LATER
                                     : KMQ_WS_POLICY, reason)
        != NGX_OK)
    {
        s->failed = 1;
    }

    ngx_kapokmq_session_wake(s);
}


/* The connection goes, too. */
static void
ngx_kapokmq_session_end(ngx_kapokmq_session_t *s, ngx_int_t rc)
{
    ngx_connection_t  *c;

    c = s->connection;

    ngx_kapokmq_session_timer(s, 0);

    c->idle = 0;

    if (s->request) {
        s->give_back(s, rc);
        return;
    }

    s->cleanup->handler = NULL;
    ngx_kapokmq_session_free(s);

    ngx_http_close_connection(c);
}


void
ngx_kapokmq_session_free(void *data)
{
    ngx_kapokmq_session_t  *s = data;

    ngx_kapokmq_session_leave(s);
    ngx_kapokmq_input_free(s);
    ngx_kapokmq_output_free(s);

    if (s->info) {
        ngx_free(s->info);
    }

    ngx_free(s);
}


