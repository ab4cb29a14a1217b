/*
 * This worker process: it attaches to the queue, tells it the time and its
 * settings, and is woken, and wakes others, when there is something to do.
 *
 * An event handler that calls the engine begins with ngx_kapokmq_clock() and
 * ends with ngx_kapokmq_wake().
 */

#ifndef NGX_KAPOKMQ_WORKER_H
#define NGX_KAPOKMQ_WORKER_H

#include "../ngx_kapokmq.h"


/* Sets up ngx_kapokmq_worker. */
void ngx_kapokmq_worker_init(ngx_cycle_t *cycle,
    const ngx_kapokmq_main_conf_t *mcf);

/* Attaches it to the queue.  NGX_ERROR: there is no place for it, which has
 * been logged. */
ngx_int_t ngx_kapokmq_worker_attach(const ngx_kapokmq_main_conf_t *mcf);
void ngx_kapokmq_worker_detach(void);

/* With a cluster: may messages be pushed, and be answered "ok" that wait for
 * nothing?  To be asked right before. */
ngx_uint_t ngx_kapokmq_worker_leave(void);

/* Is its master gone? */
ngx_uint_t ngx_kapokmq_worker_orphan(void);

/*
 * The keys that are valid now, of whichever configuration: a worker of an old
 * one learns here that a reload has removed or added some.  Good until the next
 * call, and so are rights in it: who needs them longer copies them, or keeps
 * the key's digest and asks again.
 */
const kmq_keys_t *ngx_kapokmq_keys(void);

/* Gives the engine the settings of application.yaml. */
void ngx_kapokmq_settings(void);


/* ------------------------------------------------------------------- time */

/* Tells the engine the time. */
void ngx_kapokmq_clock(void);

/*
 * The same anew where one of n messages is delayed: nginx's time is that of
 * the beginning of this turn of the event loop, and the message may have been
 * sent since.  Its delay would begin too early; so it begins with the next
 * whole millisecond.
 */
void ngx_kapokmq_clock_delays(const kmq_message_t *m, ngx_uint_t n);

/* Has this process stood still, and may not have read yet what clients have
 * sent meanwhile? */
ngx_uint_t ngx_kapokmq_hears(void);

/*
 * Sets a timer to fire in ms, or sooner where it is set to that already.
 * ngx_add_timer() alone leaves a timer as it is that is less than 300 ms off
 * (NGX_TIMER_LAZY_DELAY): good for timeouts, not for what has to be on time.
 */
void ngx_kapokmq_timer(ngx_event_t *ev, ngx_msec_t ms);


/* --------------------------------------------------------------- wake-ups */

/* Has the workers that have got something to do woken, when this turn of the
 * event loop has handled its events, and posts this worker's deliveries. */
void ngx_kapokmq_wake(void);

/* The half of it that is for others, at once: it also arms the timers of paced
 * batches and of the keeper, has the journal written, and logs a repair. */
void ngx_kapokmq_signal(void);

/* Room may have come: producers that wait for it try again soon. */
void ngx_kapokmq_wake_producers(void);

/* Makes the descriptors by which workers wake each other, once, in the master,
 * before the first of them is forked. */
void ngx_kapokmq_wake_create(ngx_cycle_t *cycle);

/* Listens to this worker's own, and sets up its timers.  NGX_ERROR: there is
 * none to listen to. */
ngx_int_t ngx_kapokmq_wake_listen(ngx_cycle_t *cycle);

/* A descriptor that this worker alone reads; NGX_ERROR has been logged.  The
 * handler calls ngx_kapokmq_notified() first. */
ngx_int_t ngx_kapokmq_notify(ngx_cycle_t *cycle, ngx_event_handler_pt handler,
    int *fd);
void ngx_kapokmq_notified(ngx_event_t *ev);

/* An event of this worker for which an exiting one does not wait. */
void ngx_kapokmq_event_init(ngx_event_t *ev, ngx_event_handler_pt handler,
    ngx_log_t *log);

#endif /* NGX_KAPOKMQ_WORKER_H */
