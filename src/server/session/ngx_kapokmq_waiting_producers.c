/*
 * Producers wait for room in a line: who came first goes on first.  A producer
 * that waits is not told so; nothing more is read from it.
 */

#include "ngx_kapokmq_session_inside.h"
#include "ngx_kapokmq_session.h"
#include "../worker/ngx_kapokmq_worker.h"


#define NGX_KAPOKMQ_RESUME_TIME    10    /* ms between two looks for room */
#define NGX_KAPOKMQ_RESUME_TURNS    8

/* How long a producer that is gone may wait for room. */
#define NGX_KAPOKMQ_GONE_TIME    5000


ngx_int_t
ngx_kapokmq_waiting_begin(ngx_kapokmq_session_t *s)
{
    if (s->going) {
        return NGX_BUSY;
    }

    if (s->turn) {
        return NGX_OK;
    }

    if (!s->producer.queued && ngx_queue_empty(&ngx_kapokmq_worker.waiting)) {
        return NGX_OK;
    }

    ngx_kapokmq_waiting_join(s);

    return NGX_BUSY;
}


void
ngx_kapokmq_waiting_join(ngx_kapokmq_session_t *s)
{
    ngx_event_t  *rev, *resume;
    ngx_queue_t  *waiting;

    rev = s->connection->read;
    resume = &ngx_kapokmq_worker.producers;
    waiting = &ngx_kapokmq_worker.waiting;

    if (!s->producer.queued) {

        if (s->turn || s->producer.unstored) {
            /* it was first, and stays so */
            ngx_queue_insert_head(waiting, &s->producer.queue);

        } else {
            ngx_queue_insert_tail(waiting, &s->producer.queue);
        }

        s->producer.queued = 1;
    }

    /* one that has gone and left messages behind does not wait for ever */

    if (rev->pending_eof && !rev->timer_set) {
        ngx_add_timer(rev, NGX_KAPOKMQ_GONE_TIME);
    }

    if (!resume->timer_set) {
        ngx_add_timer(resume, NGX_KAPOKMQ_RESUME_TIME);
    }
}


/* Each in the line gets a turn, until there is no room for one. */
void
ngx_kapokmq_producers_resume(ngx_event_t *ev)
{
    ngx_uint_t              n;
    ngx_queue_t            *q, *waiting;
    ngx_kapokmq_session_t  *s;

    ngx_kapokmq_clock();

    waiting = &ngx_kapokmq_worker.waiting;

    for (n = 0; n < NGX_KAPOKMQ_RESUME_TURNS; n++) {

        if (ngx_queue_empty(waiting)) {
            break;
        }

        q = ngx_queue_head(waiting);
        ngx_queue_remove(q);

        s = ngx_queue_data(q, ngx_kapokmq_session_t, producer.queue);
        s->producer.queued = 0;
        s->turn = 1;

        ngx_kapokmq_session_continue(s);

        if (!ngx_queue_empty(waiting) && ngx_queue_head(waiting) == q) {
            break;
        }
    }

    if (n == NGX_KAPOKMQ_RESUME_TURNS) {
        ngx_kapokmq_wake_producers();
    }

    if (!ngx_queue_empty(waiting) && !ev->timer_set) {
        ngx_add_timer(ev, NGX_KAPOKMQ_RESUME_TIME);
    }

    ngx_kapokmq_wake();
}


void
ngx_kapokmq_waiting_leave(ngx_kapokmq_session_t *s)
{
    if (s->producer.queued) {
        ngx_queue_remove(&s->producer.queue);
        s->producer.queued = 0;
    }
}
