/*
 * How a session ends: Close is sent and answered, what was said last is
 * written, the client leaves the engine, the connection goes.
 */

#include "ngx_kapokmq_heartbeat.h"
#include "../client/ngx_kapokmq_peer.h"
#include "../http/ngx_kapokmq_http.h"
#include "../worker/ngx_kapokmq_worker.h"


#define NGX_KAPOKMQ_CLOSE_TIME  2000      /* ms */
#define NGX_KAPOKMQ_HEAR_TIME    500      /* see ngx_kapokmq_hears() */


static void ngx_kapokmq_close_leave(ngx_kapokmq_session_t *s);


ngx_int_t
ngx_kapokmq_close_send(ngx_kapokmq_session_t *s, ngx_uint_t code,
    const char *reason)
{
    if (s->state >= NGX_KAPOKMQ_CLOSING) {
        return NGX_OK;
    }

    s->state = NGX_KAPOKMQ_CLOSING;
    ngx_kapokmq_close_after(s, NGX_KAPOKMQ_CLOSE_TIME);

    return ngx_kapokmq_output_close(s, code, reason);
}


/* The worker is about to exit. */
ngx_int_t
ngx_kapokmq_close_exiting(ngx_kapokmq_session_t *s)
{
    ngx_int_t  rc;

    if (!s->greeted) {
        return NGX_ERROR;
    }

    s->ours = 1;

    rc = (s->state == NGX_KAPOKMQ_OPEN) ? s->role->shutdown(s) : NGX_OK;

    if (rc == NGX_AGAIN) {
        s->going = 1;
        ngx_kapokmq_close_after(s, NGX_KAPOKMQ_CLOSE_TIME);
        return NGX_OK;
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_kapokmq_close_send(s, KMQ_WS_GOING_AWAY,
                                  "the server restarts");
}


ngx_int_t
ngx_kapokmq_close_timeout(ngx_kapokmq_session_t *s)
{
    if (ngx_kapokmq_hears()) {
        ngx_kapokmq_close_after(s, NGX_KAPOKMQ_HEAR_TIME);
        return NGX_OK;
    }

    if (s->guessed && s->state == NGX_KAPOKMQ_LOGIN) {
        s->guessed = 0;

        return ngx_kapokmq_output_text(s, NGX_KAPOKMQ_WRONG_KEY) == NGX_OK
               ? ngx_kapokmq_close_send(s, KMQ_WS_POLICY,
                                        NGX_KAPOKMQ_TOO_MANY_KEYS)
               : NGX_ERROR;
    }

    if (s->state == NGX_KAPOKMQ_LOGIN) {
        return ngx_kapokmq_close_send(s, KMQ_WS_POLICY,
                                      "no secret key came in time");
    }

    /* the client does not answer Close, or does not read what is left */

    return NGX_ERROR;
}


/* The client's Close has come, and all before it is done. */
ngx_int_t
ngx_kapokmq_close_came(ngx_kapokmq_session_t *s)
{
    if (s->state != NGX_KAPOKMQ_CLOSING
        && ngx_kapokmq_output_close(s, s->close_code, NULL) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_kapokmq_close_finish(s);

    return NGX_BUSY;
}


/* The client broke the protocol: what else comes is of no use. */
ngx_int_t
ngx_kapokmq_close_bad(ngx_kapokmq_session_t *s)
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
    ngx_kapokmq_close_finish(s);

    return NGX_BUSY;
}


/* Nothing more is read; what was answered is still written. */
void
ngx_kapokmq_close_finish(ngx_kapokmq_session_t *s)
{
    s->state = NGX_KAPOKMQ_FINISHING;
    ngx_kapokmq_close_leave(s);
    ngx_kapokmq_close_after(s, NGX_KAPOKMQ_CLOSE_TIME);
}


/*
 * All is written.  Where input is still on its way, closing the connection
 * would reset it, and the client might not read the last words: so it is told
 * that there are no more, and what it still sends is read until it ends, or
 * the time is up.
 */
ngx_int_t
ngx_kapokmq_close_finished(ngx_kapokmq_session_t *s)
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


/* The timer of a session's login and end; 0: none.  Not cancelable: a worker
 * waits until its sessions are closed, which takes no longer than the time for
 * that. */
void
ngx_kapokmq_close_after(ngx_kapokmq_session_t *s, ngx_msec_t ms)
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


/* The client leaves the engine.  Unless we wanted that, it has left us. */
static void
ngx_kapokmq_close_leave(ngx_kapokmq_session_t *s)
{
    s->role->leave(s);
    ngx_kapokmq_client_leave(&s->client, !s->ours);
}


void
ngx_kapokmq_close_client(ngx_kapokmq_client_t *client, int why,
    const char *reason)
{
    ngx_kapokmq_session_t  *s;

    s = ngx_kapokmq_session_of(client);

    s->ours = 1;
    ngx_kapokmq_close_leave(s);

    if (ngx_kapokmq_close_send(s, why == KMQ_TOO_SLOW
                                  ? KMQ_WS_TRY_AGAIN_LATER
                                  : KMQ_WS_POLICY, reason)
        != NGX_OK)
    {
        s->failed = 1;
    }

    ngx_kapokmq_session_wake(s);
}


/* What nginx does with the connection from here on is not the session's. */
static void
ngx_kapokmq_close_timers(ngx_kapokmq_session_t *s)
{
    ngx_event_t  *wev;

    ngx_kapokmq_close_after(s, 0);

    wev = s->connection->write;

    if (wev->timer_set) {
        ngx_del_timer(wev);
    }

    wev->cancelable = 0;
}


/* The connection goes, too. */
void
ngx_kapokmq_close_end(ngx_kapokmq_session_t *s, ngx_int_t rc)
{
    ngx_connection_t  *c;

    c = s->connection;

    ngx_kapokmq_close_timers(s);

    if (s->reset) {
        ngx_kapokmq_peer_reset(c);
    }

    if (s->request) {
        s->give_back(s, rc);
        return;
    }

    s->cleanup->handler = NULL;
    ngx_kapokmq_close_free(s);

    ngx_http_close_connection(c);
}


void
ngx_kapokmq_close_login(ngx_kapokmq_session_t *s)
{
    if (s->info) {
        ngx_free(s->info);
        s->info = NULL;
    }

    if (s->pass) {
        free(s->pass->access.rights);
        ngx_free(s->pass);
        s->pass = NULL;
    }
}


void
ngx_kapokmq_close_free(void *data)
{
    ngx_kapokmq_session_t  *s = data;

    ngx_kapokmq_drain_remove(&s->stay);
    ngx_kapokmq_close_leave(s);
    ngx_kapokmq_input_free(s);
    ngx_kapokmq_output_free(s);

    ngx_kapokmq_close_login(s);

    ngx_free(s);
}
