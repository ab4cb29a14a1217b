/*
 * The worker is to go, and its clients come back at once.  So they are told one
 * after the other, within drainTime, and served until then: the rest of all is
 * as large as what is left of the time.
 *
 * Those whose key is not valid any more have no time; nor has anybody where the
 * master is gone, or nginx stops, and nobody is to come back.
 */

#include "ngx_kapokmq_drain.h"
#include "ngx_kapokmq_guest.h"
#include "../worker/ngx_kapokmq_worker.h"


/* Between two looks, in ms; and what clients have to end before nginx cuts
 * them, at worker_shutdown_timeout. */
#define NGX_KAPOKMQ_DRAIN_TICK      10
#define NGX_KAPOKMQ_DRAIN_TICK_MAX  100
#define NGX_KAPOKMQ_DRAIN_REST      2000


static void ngx_kapokmq_drain_begin(ngx_event_t *ev);
static ngx_msec_t ngx_kapokmq_drain_time(void);
static void ngx_kapokmq_drain_turn(ngx_event_t *ev);
static ngx_uint_t ngx_kapokmq_drain_rest(ngx_msec_t *left);
static void ngx_kapokmq_drain_tell(ngx_uint_t rest);


/* Those that have not been told, the oldest first. */
static ngx_queue_t  ngx_kapokmq_staying;
static ngx_uint_t   ngx_kapokmq_nstaying;

/* How many they were, when all have to be told, and how long that takes. */
static ngx_uint_t   ngx_kapokmq_drained;
static ngx_msec_t   ngx_kapokmq_drain_end;
static ngx_msec_t   ngx_kapokmq_drain_span;

static ngx_uint_t   ngx_kapokmq_drain_ended;

/* Not cancelable: the worker waits for it. */
static ngx_event_t  ngx_kapokmq_drain_timer;


void
ngx_kapokmq_drain_init(ngx_kapokmq_stay_t *stay, ngx_kapokmq_tell_pt tell)
{
    ngx_queue_init(&stay->queue);
    stay->tell = tell;
}


void
ngx_kapokmq_drain_add(ngx_kapokmq_stay_t *stay)
{
    ngx_queue_insert_tail(&ngx_kapokmq_staying, &stay->queue);
    ngx_kapokmq_nstaying++;
}


void
ngx_kapokmq_drain_remove(ngx_kapokmq_stay_t *stay)
{
    if (!ngx_queue_empty(&stay->queue)) {
        ngx_queue_remove(&stay->queue);
        ngx_queue_init(&stay->queue);
        ngx_kapokmq_nstaying--;
    }
}


ngx_uint_t
ngx_kapokmq_drain_over(void)
{
    return ngx_kapokmq_drain_ended;
}


/* A connection that is idle for ever has its handler called when the worker
 * has to go. */
void
ngx_kapokmq_drain_listen(ngx_cycle_t *cycle)
{
    int                fd;
    ngx_uint_t         i;
    ngx_connection_t  *c;

    ngx_queue_init(&ngx_kapokmq_staying);

    ngx_kapokmq_event_init(&ngx_kapokmq_drain_timer, ngx_kapokmq_drain_turn,
                           cycle->log);
    ngx_kapokmq_drain_timer.cancelable = 0;

    if (ngx_kapokmq_notify(cycle, ngx_kapokmq_drain_begin, &fd) != NGX_OK) {
        return;
    }

    c = cycle->connections;

    for (i = 0; i < cycle->connection_n; i++) {
        if (c[i].fd == fd) {
            c[i].idle = 1;
            return;
        }
    }
}


static void
ngx_kapokmq_drain_begin(ngx_event_t *ev)
{
    (void) ev;

    ngx_kapokmq_clock();
    ngx_kapokmq_guests_check();

    ngx_kapokmq_drained = ngx_kapokmq_nstaying;
    ngx_kapokmq_drain_span = ngx_kapokmq_drain_time();
    ngx_kapokmq_drain_end = ngx_current_msec + ngx_kapokmq_drain_span;

    ngx_kapokmq_drain_turn(&ngx_kapokmq_drain_timer);
}


/* drainTime, unless nginx waits for less, or stops: no other configuration has
 * taken this one's place. */
static ngx_msec_t
ngx_kapokmq_drain_time(void)
{
    ngx_msec_t             max, rest;
    ngx_core_conf_t       *ccf;
    ngx_kapokmq_worker_t  *w;

    w = &ngx_kapokmq_worker;

    if (w->reloads == w->shared->reloads) {
        return 0;
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);
    max = ccf->shutdown_timeout;

    if (max == 0) {
        return w->config->drain_time;
    }

    rest = ngx_min(max / 2, NGX_KAPOKMQ_DRAIN_REST);

    return ngx_min(w->config->drain_time, max - rest);
}


static void
ngx_kapokmq_drain_turn(ngx_event_t *ev)
{
    ngx_uint_t  rest;
    ngx_msec_t  left, tick;

    ngx_kapokmq_clock();

    /* those who are not covered any more are not to come back */

    if (!ngx_kapokmq_guests_checked()) {
        ngx_add_timer(ev, 1);
        ngx_kapokmq_wake();
        return;
    }

    rest = ngx_kapokmq_drain_rest(&left);
    ngx_kapokmq_drain_tell(rest);

    if (ngx_kapokmq_nstaying == 0) {
        ngx_kapokmq_drain_ended = 1;
        kmq_retire(ngx_kapokmq_worker.kmq);
        ngx_kapokmq_wake();
        return;
    }

    tick = ngx_kapokmq_drain_span / ngx_kapokmq_drained;
    tick = ngx_max(tick, NGX_KAPOKMQ_DRAIN_TICK);
    tick = ngx_min(tick, NGX_KAPOKMQ_DRAIN_TICK_MAX);

    ngx_add_timer(ev, ngx_max(ngx_min(tick, left), 1));

    ngx_kapokmq_wake();
}


/* How many may stay, and for how many ms at most. */
static ngx_uint_t
ngx_kapokmq_drain_rest(ngx_msec_t *left)
{
    ngx_msec_int_t  ms;

    ms = (ngx_msec_int_t) (ngx_kapokmq_drain_end - ngx_current_msec);

    if (ms <= 0 || ngx_kapokmq_worker_orphan()) {
        *left = 0;
        return 0;
    }

    *left = ms;

    return (ngx_uint_t) ((uint64_t) ngx_kapokmq_drained * *left
                         / (ngx_kapokmq_drain_span + 1));
}


static void
ngx_kapokmq_drain_tell(ngx_uint_t rest)
{
    ngx_queue_t         *q;
    ngx_kapokmq_stay_t  *stay;

    while (ngx_kapokmq_nstaying > rest) {

        q = ngx_queue_head(&ngx_kapokmq_staying);
        stay = ngx_queue_data(q, ngx_kapokmq_stay_t, queue);

        ngx_kapokmq_drain_remove(stay);
        stay->tell(stay);
    }
}
