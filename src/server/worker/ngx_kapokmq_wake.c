/*
 * Wake-ups.  A worker that has made work for another one writes to that one's
 * eventfd.  The master makes them all before it forks the first worker, and
 * keeps them over reloads: so workers of all generations reach each other.
 * Every process has all of them open, so there are fewer than there may be
 * workers.  Workers beyond that share one, and are woken for nothing at times.
 */

#include "ngx_kapokmq_worker.h"

#include <ngx_channel.h>
#include <sys/eventfd.h>
#include <sys/resource.h>


/* Eventfds: so many at least, and for so many generations of workers. */
#define NGX_KAPOKMQ_EVENTFDS    128
#define NGX_KAPOKMQ_GENERATIONS 4

/* The longest wait of the keeper: an nginx timer does not span more
 * than 24 days on all machines. */
#define NGX_KAPOKMQ_DUE        (24 * 3600 * 1000)


static void ngx_kapokmq_woken(ngx_event_t *ev);
static void ngx_kapokmq_turn_end(ngx_event_t *ev);
static void ngx_kapokmq_due(ngx_event_t *ev);


static int         ngx_kapokmq_eventfd[KMQ_WORKERS];
static ngx_uint_t  ngx_kapokmq_neventfds;

static ngx_event_t  ngx_kapokmq_others;    /* they may have to be woken */
static ngx_event_t  ngx_kapokmq_batch;     /* paced messages are due */
static ngx_event_t  ngx_kapokmq_keeper;    /* the keeper has to look */


/* How many there should be; most of what a process may open is for others. */
static ngx_uint_t
ngx_kapokmq_wake_wanted(ngx_cycle_t *cycle)
{
    ngx_uint_t        n;
    struct rlimit     rlmt;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    n = NGX_KAPOKMQ_GENERATIONS * ngx_max(ccf->worker_processes, 1);
    n = ngx_max(n, NGX_KAPOKMQ_EVENTFDS);

    if (getrlimit(RLIMIT_NOFILE, &rlmt) == 0 && n > rlmt.rlim_cur / 8) {
        n = ngx_max(rlmt.rlim_cur / 8, 1);
    }

    return ngx_min(n, KMQ_WORKERS);
}


void
ngx_kapokmq_wake_create(ngx_cycle_t *cycle)
{
    int         fd;
    ngx_uint_t  wanted;

    if (ngx_kapokmq_neventfds) {
        return;
    }

    wanted = ngx_kapokmq_wake_wanted(cycle);

    while (ngx_kapokmq_neventfds < wanted) {

        fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

        if (fd == -1) {
            ngx_log_error(NGX_LOG_ALERT, cycle->log, ngx_errno,
                          "eventfd() failed, %ui of %ui wake-ups exist",
                          ngx_kapokmq_neventfds, wanted);
            return;
        }

        ngx_kapokmq_eventfd[ngx_kapokmq_neventfds++] = fd;
    }
}


/*
 * As ngx_add_channel_event(), so that an exit does not wait for it, but with
 * edges where there are such: each write is an event then for all who listen,
 * and nobody has to read, which would take it from the others.
 */
ngx_int_t
ngx_kapokmq_wake_listen(ngx_cycle_t *cycle)
{
    int                fd;
    ngx_connection_t  *c;

    ngx_kapokmq_event_init(&ngx_kapokmq_others, ngx_kapokmq_turn_end,
                           cycle->log);
    ngx_kapokmq_event_init(&ngx_kapokmq_batch, ngx_kapokmq_due, cycle->log);
    ngx_kapokmq_event_init(&ngx_kapokmq_keeper, ngx_kapokmq_due, cycle->log);

    if (ngx_kapokmq_neventfds == 0) {
        return NGX_ERROR;
    }

    fd = ngx_kapokmq_eventfd[kmq_worker(ngx_kapokmq_worker.kmq)
                             % ngx_kapokmq_neventfds];

    c = ngx_get_connection(fd, cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->pool = cycle->pool;
    c->read->log = cycle->log;
    c->write->log = cycle->log;
    c->read->channel = 1;
    c->write->channel = 1;
    c->read->handler = ngx_kapokmq_woken;

    if (ngx_add_event(c->read, NGX_READ_EVENT,
                      ngx_event_flags & NGX_USE_CLEAR_EVENT
                      ? NGX_CLEAR_EVENT : 0)
        != NGX_OK)
    {
        ngx_free_connection(c);
        return NGX_ERROR;
    }

    return NGX_OK;
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
    if (!(ngx_event_flags & NGX_USE_CLEAR_EVENT)) {
        ngx_kapokmq_notified(ev);
    }

    ngx_post_event(&ngx_kapokmq_worker.deliver, &ngx_posted_events);
}


/* Wakes those workers. */
static void
ngx_kapokmq_wake_write(const uint64_t mask[KMQ_WORKERS / 64])
{
    uint64_t    bits, one;
    ngx_uint_t  i, n;

    one = 1;

    for (i = 0; i < KMQ_WORKERS / 64; i++) {

        for (bits = mask[i]; bits; bits &= bits - 1) {
            n = i * 64 + __builtin_ctzll(bits);

            (void) ngx_write_fd(ngx_kapokmq_eventfd[n % ngx_kapokmq_neventfds],
                                &one, sizeof(one));
        }
    }
}


/* Others are woken once for all that this turn of the event loop has brought,
 * but before this worker pushes what is its own. */
void
ngx_kapokmq_wake(void)
{
    if (ngx_kapokmq_worker.kmq == NULL) {
        return;
    }

    ngx_post_event(&ngx_kapokmq_others, &ngx_posted_events);

    if (kmq_has_work(ngx_kapokmq_worker.kmq)) {
        ngx_post_event(&ngx_kapokmq_worker.deliver, &ngx_posted_events);
    }
}


static void
ngx_kapokmq_turn_end(ngx_event_t *ev)
{
    (void) ev;

    if (ngx_kapokmq_worker.kmq) {
        ngx_kapokmq_signal();
    }
}


void
ngx_kapokmq_signal(void)
{
    uint64_t    mask[KMQ_WORKERS / 64];
    ngx_msec_t  ms;

    if (ngx_kapokmq_worker.journal) {
        ngx_kapokmq_worker.journal();
    }

    if (kmq_repaired(ngx_kapokmq_worker.kmq)) {
        ngx_log_error(NGX_LOG_WARN, ngx_kapokmq_worker.log, 0,
                      "a worker died while it changed the queue; the queue "
                      "has been repaired");
    }

    if (kmq_wakes(ngx_kapokmq_worker.kmq, mask) && ngx_kapokmq_neventfds) {
        ngx_kapokmq_wake_write(mask);
    }

    ms = kmq_next_batch(ngx_kapokmq_worker.kmq);

    if (ms) {
        ngx_kapokmq_timer(&ngx_kapokmq_batch, ms);
    }

    ms = kmq_next_due(ngx_kapokmq_worker.kmq);

    if (ms) {
        ngx_kapokmq_timer(&ngx_kapokmq_keeper, ngx_min(ms, NGX_KAPOKMQ_DUE));
    }
}


/* The time has come for paced messages, or for what the keeper looks after. */
static void
ngx_kapokmq_due(ngx_event_t *ev)
{
    (void) ev;

    ngx_post_event(&ngx_kapokmq_worker.deliver, &ngx_posted_events);
}


void
ngx_kapokmq_wake_producers(void)
{
    if (!ngx_queue_empty(&ngx_kapokmq_worker.waiting)) {
        ngx_post_event(&ngx_kapokmq_worker.producers,
                       &ngx_posted_next_events);
    }
}


void
ngx_kapokmq_event_init(ngx_event_t *ev, ngx_event_handler_pt handler,
    ngx_log_t *log)
{
    ngx_memzero(ev, sizeof(ngx_event_t));

    ev->handler = handler;
    ev->data = &ngx_kapokmq_worker;
    ev->log = log;
    ev->cancelable = 1;
}
