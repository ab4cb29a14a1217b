/* Heartbeats of all clients of this worker, so that they cost it little. */

#include "ngx_kapokmq_beat.h"


/* Timers are set to multiples of that part of a heartbeat, and of so many ms at
 * most: a worker wakes up once for all of them. */
#define NGX_KAPOKMQ_BEAT_STEP    64

/* Beats in one turn of the event loop; those beyond come so many ms later. */
#define NGX_KAPOKMQ_BEATS        256
#define NGX_KAPOKMQ_BEATS_LATER  10


ngx_msec_t
ngx_kapokmq_beat_step(ngx_msec_t heartbeat, ngx_msec_t ms)
{
    ngx_msec_t  step;

    step = ngx_min(heartbeat / NGX_KAPOKMQ_BEAT_STEP,
                   NGX_KAPOKMQ_BEAT_STEP_MAX);

    if (step > 1) {
        ms += step - 1;
        ms -= (ngx_current_msec + ms) % step;
    }

    return ms;
}


ngx_msec_t
ngx_kapokmq_beat_later(void)
{
    ngx_msec_int_t     left;
    static ngx_msec_t  turn, later;
    static ngx_uint_t  n, nlater;

    if (turn != ngx_current_msec) {
        turn = ngx_current_msec;
        n = 0;
    }

    if (n < NGX_KAPOKMQ_BEATS) {
        n++;
        return 0;
    }

    left = (ngx_msec_int_t) (later - turn);

    if (left <= 0 || nlater == NGX_KAPOKMQ_BEATS) {
        later = turn + ngx_max(left, 0) + NGX_KAPOKMQ_BEATS_LATER;
        nlater = 0;
    }

    nlater++;

    return later - turn;
}
