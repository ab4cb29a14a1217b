/* Sessions that have not been told to go: those that a worker which has to go
 * tells it (ngx_kapokmq_drain.c). */

#include "ngx_kapokmq_session_inside.h"


/* The oldest first. */
static ngx_queue_t  ngx_kapokmq_stays;
static ngx_uint_t   ngx_kapokmq_nstays;


void
ngx_kapokmq_staying_init(void)
{
    ngx_queue_init(&ngx_kapokmq_stays);
}


void
ngx_kapokmq_staying_join(ngx_kapokmq_session_t *s)
{
    ngx_queue_insert_tail(&ngx_kapokmq_stays, &s->queue);
    ngx_kapokmq_nstays++;
}


void
ngx_kapokmq_staying_leave(ngx_kapokmq_session_t *s)
{
    if (!ngx_queue_empty(&s->queue)) {
        ngx_queue_remove(&s->queue);
        ngx_queue_init(&s->queue);
        ngx_kapokmq_nstays--;
    }
}


ngx_uint_t
ngx_kapokmq_staying(void)
{
    return ngx_kapokmq_nstays;
}


ngx_kapokmq_session_t *
ngx_kapokmq_staying_oldest(void)
{
    return ngx_queue_data(ngx_queue_head(&ngx_kapokmq_stays),
                          ngx_kapokmq_session_t, queue);
}
