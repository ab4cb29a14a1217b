/*
 * Time and wake-ups.  A worker that has made work for another one writes to
 * that one's eventfd.  All of these exist before the first worker is forked
 * and are kept over reloads, so that workers of any generation reach each
 * other.
 */

#include "ngx_kapokmq_session.h"

#include <ngx_channel.h>
#include <sys/eventfd.h>


#define NGX_KAPOKMQ_TICK_TIME  500     /* ms */

/* The longest wait of the keeper: an nginx timer does not span more
 * than 24 days on all machines. */
#define NGX_KAPOKMQ_DUE        (24 * 3600 * 1000)


static void ngx_kapokmq_woken(ngx_event_t *ev);


static int         ngx_kapokmq_eventfd[KMQ_WORKERS];
static ngx_uint_t  ngx_kapokmq_neventfds;


void
ngx_kapokmq_wake_create(ngx_log_t *log)
{
    int  fd;

    while (ngx_kapokmq_neventfds < KMQ_WORKERS) {

        fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

        if (fd == -1) {
            ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                          "eventfd() failed, some workers will only look for "
                          "messages twice a second");
            return;
        }

        ngx_kapokmq_eventfd[ngx_kapokmq_neventfds++] = fd;
    }
}


ngx_int_t
ngx_kapokmq_wake_listen(ngx_cycle_t *cycle)
{
    if ((ngx_uint_t) ngx_process_slot >= ngx_kapokmq_neventfds) {
        return NGX_OK;
    }

    /* as the channel to the master: an exit does not wait for it */

    return ngx_add_channel_event(cycle, ngx_kapokmq_eventfd[ngx_process_slot],
                                 NGX_READ_EVENT, ngx_kapokmq_woken);
}


/* One of this worker's own, for what its threads have done. */
ngx_int_t
ngx_kapokmq_notify(ngx_cycle_t *cycle, ngx_event_handler_pt handler, int *fd)
{
    *fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

    if (*fd == -1) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                      "eventfd() failed");
        return NGX_ERROR;
    }

    return ngx_add_channel_event(cycle, *fd, NGX_READ_EVENT, handler);
}


void
ngx_kapokmq_notified(ngx_event_t *ev)
{
    uint64_t           count;
    ngx_connection_t  *c;

    c = ev->data;

    (void) ngx_read_fd(c->fd, &count, sizeof(count));
}


static void
ngx_kapokmq_woken(ngx_event_t *ev)
{
    ngx_kapokmq_notified(ev);

    ngx_post_event(&ngx_kapokmq_worker.push, &ngx_posted_events);
}


/* nginx's own time, so that its timers and the engine agree. */
static void
ngx_kapokmq_clock_tell(ngx_msec_t later)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    kmq_clock(ngx_kapokmq_worker.kmq, ngx_current_msec + later,
              (uint64_t) tp->sec * 1000 + tp->msec);
}


void
ngx_kapokmq_clock(void)
{
    if (ngx_kapokmq_worker.kmq) {
        ngx_kapokmq_clock_tell(0);
    }
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
ngx_kapokmq_wake(void)
{
    if (ngx_kapokmq_worker.kmq == NULL) {
        return;
    }

    ngx_kapokmq_signal();

    if (kmq_has_work(ngx_kapokmq_worker.kmq)) {
        ngx_post_event(&ngx_kapokmq_worker.push, &ngx_posted_events);
    }
}


void
ngx_kapokmq_signal(void)
{
    uint64_t    mask[KMQ_WORKERS / 64], one;
    ngx_msec_t  ms;
    ngx_uint_t  i;

    one = 1;

    ngx_kapokmq_disk_wake();

    if (kmq_repaired(ngx_kapokmq_worker.kmq)) {
        ngx_log_error(NGX_LOG_WARN, ngx_kapokmq_worker.log, 0,
                      "a worker died while it changed the queue, which has "
                      "been repaired");
    }

    if (kmq_wakes(ngx_kapokmq_worker.kmq, mask)) {

        for (i = 0; i < ngx_kapokmq_neventfds; i++) {

            if (mask[i / 64] & ((uint64_t) 1 << (i % 64))) {
                (void) ngx_write_fd(ngx_kapokmq_eventfd[i], &one,
                                    sizeof(one));
            }
        }
    }

    ms = kmq_next_batch(ngx_kapokmq_worker.kmq);

    if (ms) {
        ngx_kapokmq_timer(&ngx_kapokmq_worker.batch, ms);
    }

    ms = kmq_next_due(ngx_kapokmq_worker.kmq);

    if (ms) {
        ngx_kapokmq_timer(&ngx_kapokmq_worker.due,
                          ngx_min(ms, NGX_KAPOKMQ_DUE));
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


/* Something is wrong with a worker that keeps the lock for that long. */
void
ngx_kapokmq_waits(void *arg, unsigned ms, unsigned worker, int pid)
{
    ngx_kapokmq_worker_t  *w = arg;

    ngx_log_error(NGX_LOG_WARN, w->log, 0,
                  "waiting for the queue's lock for %ud ms, worker %ud with "
                  "pid %d has it", ms, worker, pid);
}


/* The time has come for paced messages, or for what the keeper looks after. */
void
ngx_kapokmq_due(ngx_event_t *ev)
{
    (void) ev;

    ngx_post_event(&ngx_kapokmq_worker.push, &ngx_posted_events);
}


/*
 * Without its master a worker would go on for ever, and an nginx that is
 * started anew may stand beside it with a queue of its own, so that clients
 * meet two.  It stops as it does at a reload.
 */
static void
ngx_kapokmq_orphaned(void)
{
    if (ngx_process == NGX_PROCESS_WORKER && getppid() != ngx_parent
        && !ngx_quit && !ngx_exiting)
    {
        ngx_log_error(NGX_LOG_WARN, ngx_kapokmq_worker.log, 0,
                      "master process %P is gone, this worker stops",
                      ngx_parent);

        ngx_quit = 1;
    }
}


/* Housekeeping, and a look at the queue in case a wake-up was lost. */
void
ngx_kapokmq_tick(ngx_event_t *ev)
{
    unsigned  dead;

    ngx_kapokmq_orphaned();
    ngx_kapokmq_clock();

    if (ngx_exiting) {
        kmq_retire(ngx_kapokmq_worker.kmq);
    }

    dead = kmq_tick(ngx_kapokmq_worker.kmq);

    if (dead) {
        ngx_log_error(NGX_LOG_NOTICE, ev->log, 0,
                      "%ud worker(s) died, their messages go to others", dead);
    }

    ngx_kapokmq_room();
    ngx_kapokmq_checkpoint_tick();
    ngx_post_event(&ngx_kapokmq_worker.push, &ngx_posted_events);

    ngx_kapokmq_wake();

    if (!ngx_exiting) {
        ngx_add_timer(ev, NGX_KAPOKMQ_TICK_TIME);
    }
}
