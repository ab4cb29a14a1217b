/* The engine's time, which is nginx's own, and timers that are on time. */

#include "ngx_kapokmq_worker.h"


/* A worker that has done nothing for so long was stopped, or kept busy by
 * another module; then it has so much time to hear what clients have said. */
#define NGX_KAPOKMQ_STOPPED    1000    /* ms */
#define NGX_KAPOKMQ_HEAR       1000


/* Until then, what came while this process stood still is read. */
static ngx_msec_t  ngx_kapokmq_heard;


/* nginx's own time, so that its timers and the engine agree. */
static void
ngx_kapokmq_clock_tell(ngx_msec_t later)
{
    ngx_time_t         *tp;
    static ngx_msec_t   last;

    tp = ngx_timeofday();

    kmq_clock(ngx_kapokmq_worker.kmq, ngx_current_msec + later,
              (uint64_t) tp->sec * 1000 + tp->msec);

    /* after a stop timers may be seen before the sockets are read */

    if (last && ngx_current_msec - last > NGX_KAPOKMQ_STOPPED) {
        kmq_hear(ngx_kapokmq_worker.kmq, NGX_KAPOKMQ_HEAR);
        ngx_kapokmq_heard = ngx_current_msec + NGX_KAPOKMQ_HEAR;
    }

    last = ngx_current_msec;
}


void
ngx_kapokmq_clock(void)
{
    if (ngx_kapokmq_worker.kmq) {
        ngx_kapokmq_clock_tell(0);
    }
}


ngx_uint_t
ngx_kapokmq_hears(void)
{
    return (ngx_msec_int_t) (ngx_kapokmq_heard - ngx_current_msec) > 0;
}


void
ngx_kapokmq_clock_delays(const kmq_message_t *m, ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {

        if (m[i].delay_time) {
            ngx_time_update();
            ngx_kapokmq_clock_tell(1);
            return;
        }
    }
}


void
ngx_kapokmq_timer(ngx_event_t *ev, ngx_msec_t ms)
{
    if (ev->timer_set) {

        if ((ngx_msec_int_t) (ev->timer.key - ngx_current_msec - ms) <= 0) {
            return;
        }

        ngx_del_timer(ev);
    }

    ngx_add_timer(ev, ms);
}
