/*
 * What a producer is owed while the disk is busy.  Clients tell answers by
 * their order alone, so one that could be given at once waits behind those that
 * cannot.
 */

#include "ngx_kapokmq_session_inside.h"
#include "../publish/ngx_kapokmq_publish.h"


/* Room for the text of a refusal. */
#define NGX_KAPOKMQ_REFUSAL  300


/* What the session is owed when the disk has what stands before. */
struct ngx_kapokmq_owed_s {
    ngx_kapokmq_pending_t   pending;
    ngx_kapokmq_session_t  *session;
    ngx_kapokmq_owed_t     *next;      /* of the session */
    ngx_uint_t              n;         /* "ok" for messages, and then */
    const char             *error;     /* that, unless it is NULL */
};


static ngx_int_t ngx_kapokmq_owed_refuse(ngx_kapokmq_session_t *s,
    ngx_uint_t n, const char *error);
static void ngx_kapokmq_owed_count(ngx_kapokmq_session_t *s, ngx_uint_t n);
static ngx_kapokmq_owed_t *ngx_kapokmq_owed_next(ngx_kapokmq_session_t *s);
static void ngx_kapokmq_owed_settled(ngx_kapokmq_pending_t *pending,
    ngx_int_t rc, const char *reason);


ngx_int_t
ngx_kapokmq_owed_error(ngx_kapokmq_session_t *s, const char *error)
{
    ngx_kapokmq_owed_t  *owed;

    ngx_kapokmq_owed_count(s, 1);

    if (s->unanswered == 0) {
        return ngx_kapokmq_owed_refuse(s, 1, error);
    }

    owed = ngx_kapokmq_owed_next(s);
    if (owed == NULL) {
        return NGX_ERROR;
    }

    owed->error = error;
    s->owed++;

    return NGX_OK;
}


static ngx_int_t
ngx_kapokmq_owed_refuse(ngx_kapokmq_session_t *s, ngx_uint_t n,
    const char *error)
{
    u_char  *p, text[NGX_KAPOKMQ_REFUSAL];

    p = ngx_snprintf(text, sizeof(text), "error: %s", error);

    while (n--) {
        if (ngx_kapokmq_output_frame(s, KMQ_WS_TEXT, text, p - text)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* So many messages are refused for good: counts them. */
static void
ngx_kapokmq_owed_count(ngx_kapokmq_session_t *s, ngx_uint_t n)
{
    if (n && s->client.ref) {
        kmq_count_refused_by(ngx_kapokmq_worker.kmq, s->client.ref,
                             (unsigned) n);
    }
}


ngx_int_t
ngx_kapokmq_owed_hold(ngx_kapokmq_session_t *s, kmq_message_t *m,
    ngx_uint_t n)
{
    ngx_kapokmq_owed_t  *owed;

    owed = ngx_kapokmq_owed_next(s);

    if (owed == NULL) {
        kmq_discard(ngx_kapokmq_worker.kmq, m, n);
        return NGX_ERROR;
    }

    if (ngx_kapokmq_pending_hold(m, n, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    owed->n += n;
    s->owed += n;

    return NGX_OK;
}


/* The session's next answer that waits, which may be the last one; NULL: no
 * memory. */
static ngx_kapokmq_owed_t *
ngx_kapokmq_owed_next(ngx_kapokmq_session_t *s)
{
    ngx_kapokmq_owed_t  *owed, *last;

    last = s->producer.owed ? s->producer.owed_last : NULL;

    if (last && last->error == NULL
        && ngx_kapokmq_pending_last() == &last->pending)
    {
        return last;
    }

    owed = ngx_calloc(sizeof(ngx_kapokmq_owed_t), ngx_kapokmq_worker.log);

    if (owed) {
        owed->pending.handler = ngx_kapokmq_owed_settled;
        owed->session = s;

        if (last) {
            last->next = owed;

        } else {
            s->producer.owed = owed;
        }

        s->producer.owed_last = owed;
        s->unanswered++;
        ngx_kapokmq_pending_add(&owed->pending);
    }

    return owed;
}


static void
ngx_kapokmq_owed_settled(ngx_kapokmq_pending_t *pending, ngx_int_t rc,
    const char *reason)
{
    ngx_kapokmq_owed_t  *owed = (ngx_kapokmq_owed_t *) pending;

    ngx_kapokmq_session_t  *s;

    s = owed->session;
    s->producer.owed = owed->next;
    s->unanswered--;
    s->owed -= owed->n + (owed->error != NULL);

    if (rc != NGX_OK) {
        ngx_kapokmq_owed_count(s, owed->n);
        rc = ngx_kapokmq_owed_refuse(s, owed->n, reason);

    } else if (owed->n) {
        kmq_seen(ngx_kapokmq_worker.kmq, s->client.ref, (unsigned) owed->n);
        s->client.messages += owed->n;
        rc = ngx_kapokmq_output_oks(s, owed->n);
    }

    if (rc == NGX_OK && owed->error) {
        rc = ngx_kapokmq_owed_refuse(s, 1, owed->error);
    }

    if (rc != NGX_OK) {
        ngx_kapokmq_session_failed(s);
    }

    ngx_free(owed);
    ngx_kapokmq_session_answered(s);
}


void
ngx_kapokmq_owed_forget(ngx_kapokmq_session_t *s)
{
    ngx_kapokmq_owed_t  *owed;

    while (s->producer.owed) {
        owed = s->producer.owed;
        s->producer.owed = owed->next;

        ngx_kapokmq_pending_remove(&owed->pending);
        ngx_free(owed);
    }

    s->unanswered = 0;
    s->owed = 0;
}
