/*
 * Is the client still there?  It is pinged when nothing has come from it for a
 * heartbeat, so that nobody between the two takes the connection for idle.  A
 * machine that does not even acknowledge is gone (ngx_kapokmq_peer.c).  One
 * that does may be busy: many clients read nothing while they handle a message.
 * Only a consumer that has messages in flight, and others that could have them,
 * has to say something at times.
 *
 * A session has one timer for that, the write event's.  It is not set anew when
 * something passes, but looks at the time of that when it fires.
 */

#include "ngx_kapokmq_heartbeat.h"
#include "ngx_kapokmq_push.h"
#include "../client/ngx_kapokmq_beat.h"
#include "../client/ngx_kapokmq_peer.h"
#include "../worker/ngx_kapokmq_worker.h"


/* A heartbeat may be that part of itself early, so that the answer to the one
 * before, which came a little later, does not cost a timer of its own. */
#define NGX_KAPOKMQ_BEAT_EARLY     32

/* After the process stood still: see ngx_kapokmq_hears(). */
#define NGX_KAPOKMQ_BEAT_HEAR      500


static void ngx_kapokmq_heartbeat_timer(ngx_kapokmq_session_t *s,
    ngx_msec_t ms);
static ngx_msec_t ngx_kapokmq_heartbeat_since(ngx_kapokmq_session_t *s);
static void ngx_kapokmq_heartbeat_missed(ngx_kapokmq_session_t *s);
static ngx_uint_t ngx_kapokmq_heartbeat_reads(ngx_kapokmq_session_t *s);
static ngx_msec_t ngx_kapokmq_heartbeat_silence(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_heartbeat_ask(ngx_kapokmq_session_t *s,
    ngx_msec_t beat, ngx_msec_t next);


/* An empty ping, which all sessions share; it has no room for others. */
static u_char               ngx_kapokmq_beat_frame[] = { 0x89, 0x00 };
static ngx_kapokmq_chunk_t  ngx_kapokmq_beat = {
    1, 0, 0, 0, NULL, ngx_kapokmq_beat_frame
};


void
ngx_kapokmq_heartbeat_begin(ngx_kapokmq_session_t *s)
{
    if (s->client.heartbeat == 0) {
        return;
    }

    s->heard = ngx_current_msec;
    s->said = ngx_current_msec;
    s->empty = ngx_current_msec;

    s->silence_max = ngx_kapokmq_client_silence(s->info);

    ngx_kapokmq_peer_watch(s->connection, s->client.heartbeat);

    /* nobody's exit waits for it */
    s->connection->write->cancelable = 1;

    ngx_kapokmq_heartbeat_timer(s, s->client.heartbeat);
}


ngx_int_t
ngx_kapokmq_heartbeat_due(ngx_kapokmq_session_t *s)
{
    ngx_int_t   rc;
    ngx_msec_t  beat, next, quiet, since, silence;

    if (s->state != NGX_KAPOKMQ_OPEN || s->client.ref == 0) {
        return NGX_OK;
    }

    if (ngx_kapokmq_hears()) {
        ngx_kapokmq_heartbeat_timer(s, NGX_KAPOKMQ_BEAT_HEAR);
        return NGX_OK;
    }

    beat = s->client.heartbeat - s->client.heartbeat / NGX_KAPOKMQ_BEAT_EARLY;
    quiet = ngx_current_msec - s->heard;

    if (quiet < beat) {
        ngx_kapokmq_heartbeat_timer(s, beat - quiet);
        return NGX_OK;
    }

    since = ngx_kapokmq_heartbeat_since(s);

    if (since >= beat) {
        rc = ngx_kapokmq_peer_check(s->connection, &s->probed, since);

        if (rc == NGX_DONE) {
            s->reset = 1;
            ngx_log_error(NGX_LOG_INFO, s->client.log, 0,
                          "client is gone: its machine has acknowledged "
                          "nothing for %M ms", since);
            return NGX_ERROR;
        }

        if (rc == NGX_AGAIN) {
            ngx_kapokmq_heartbeat_timer(s, NGX_KAPOKMQ_BEAT_STEP_MAX);
            return NGX_OK;
        }

        ngx_kapokmq_heartbeat_missed(s);
    }

    silence = ngx_kapokmq_heartbeat_silence(s);

    if (s->silence_max && silence >= s->silence_max) {
        ngx_log_error(NGX_LOG_INFO, s->client.log, 0,
                      "consumer has said nothing for %M ms and is "
                      "disconnected", quiet);
        s->reset = 1;
        return NGX_ERROR;
    }

    next = silence ? ngx_min(beat, s->silence_max - silence) : beat;

    if (!s->asked || since >= beat) {
        return ngx_kapokmq_heartbeat_ask(s, beat, next);
    }

    ngx_kapokmq_heartbeat_timer(s, ngx_min(next, beat - since));

    return NGX_OK;
}


/* At the end of a step that many sessions share. */
static void
ngx_kapokmq_heartbeat_timer(ngx_kapokmq_session_t *s, ngx_msec_t ms)
{
    ngx_add_timer(s->connection->write,
                  ngx_kapokmq_beat_step(s->client.heartbeat, ms));
}


/* Since when an answer is awaited, in ms.  Whatever has been sent is a
 * question, as far as the machine goes.  0: nothing has. */
static ngx_msec_t
ngx_kapokmq_heartbeat_since(ngx_kapokmq_session_t *s)
{
    if (s->asked) {
        return ngx_current_msec - s->asked_at;
    }

    if ((ngx_msec_int_t) (s->said - s->heard) > 0) {
        return ngx_current_msec - s->said;
    }

    return 0;
}


/* It has not answered for a heartbeat. */
static void
ngx_kapokmq_heartbeat_missed(ngx_kapokmq_session_t *s)
{
    if (s->asked && !s->silent && ngx_kapokmq_heartbeat_reads(s)) {
        s->silent = 1;
        kmq_silent(ngx_kapokmq_worker.kmq, s->client.ref, 1);
    }
}


/* Would it be heard? */
static ngx_uint_t
ngx_kapokmq_heartbeat_reads(ngx_kapokmq_session_t *s)
{
    return !s->paused && !s->going && !s->connection->read->ready
           && !(s->role->number == KMQ_PRODUCER && s->producer.queued);
}


/* For how long it has been silent although messages are in flight with it,
 * which have been there at the heartbeat before, too; 0: it is not. */
static ngx_msec_t
ngx_kapokmq_heartbeat_silence(ngx_kapokmq_session_t *s)
{
    if (s->silence_max == 0) {
        return 0;
    }

    if (kmq_in_flight(ngx_kapokmq_worker.kmq, s->client.ref) == 0) {
        s->empty = ngx_current_msec;
        return 0;
    }

    if (!s->asked || !ngx_kapokmq_heartbeat_reads(s)) {
        return 0;
    }

    return ngx_min(ngx_current_msec - s->heard, ngx_current_msec - s->empty);
}


/*
 * Pings the client.  One that has not read what is there for it gets nothing
 * more; and none that was asked, and is sent messages, is asked again.  A
 * client may answer only the last ping of several: so where the position of a
 * consumer is to be confirmed, this one has it, too.
 */
static ngx_int_t
ngx_kapokmq_heartbeat_ask(ngx_kapokmq_session_t *s, ngx_msec_t beat,
    ngx_msec_t next)
{
    ngx_int_t   rc;
    ngx_msec_t  later;

    rc = NGX_OK;

    if (ngx_kapokmq_output_direct(s)
        && (!s->asked || ngx_current_msec - s->said >= beat))
    {
        later = ngx_kapokmq_beat_later();

        if (later) {
            ngx_add_timer(s->connection->write, later);
            return NGX_OK;
        }

        if (s->role->number == KMQ_CONSUMER && s->pinged) {
            rc = ngx_kapokmq_ping_send(s);

            if (rc == NGX_OK) {
                rc = ngx_kapokmq_output_flush(s);
            }

        } else {
            rc = ngx_kapokmq_output_send(s, &ngx_kapokmq_beat, 0, 0,
                                         sizeof(ngx_kapokmq_beat_frame));
        }
    }

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    s->asked = 1;
    s->asked_at = ngx_current_msec;

    ngx_kapokmq_heartbeat_timer(s, next);

    return NGX_OK;
}


void
ngx_kapokmq_heartbeat_answered(ngx_kapokmq_session_t *s)
{
    s->asked = 0;
    s->probed = 0;

    if (s->silent) {
        s->silent = 0;
    } else {
        return;
    }

    /* it may have left, and its session waits for its Close alone */

    if (s->client.ref) {
        kmq_silent(ngx_kapokmq_worker.kmq, s->client.ref, 0);
    }
}
