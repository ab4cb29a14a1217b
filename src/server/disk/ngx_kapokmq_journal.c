/*
 * A worker's journal: what the engine has gathered is written by a thread,
 * while the next records gather.
 *
 *            events                     thread
 *   +----------------------+     +------------------+
 *   | gathering            | --> | writing          | --> answers
 *   | records (the engine) |     | write, fdatasync |
 *   | messages, answers    |     +------------------+
 *   +----------------------+
 *
 * With isPersistent 2, messages stay reserved until they are on disk (see
 * ngx_kapokmq_pending_writes.c); with 1, they are committed at once, written
 * soon, and flushed every persistentTime.
 */

#include "ngx_kapokmq_disk_inside.h"
#include "../cluster/ngx_kapokmq_cluster.h"
#include "../publish/ngx_kapokmq_publish.h"
#include "../worker/ngx_kapokmq_worker.h"
#include "../../disk/kmq_file.h"
#include "../../nats/kmq_nats_socket.h"
#include "../../disk/kmq_thread.h"


/* Records that nobody waits for are written after this time, so that the death
 * of all processes loses no more... */
#define NGX_KAPOKMQ_FLUSH_TIME   100                /* ms */

/* ...or when there are so many of them. */
#define NGX_KAPOKMQ_FLUSH_SIZE   (512 * 1024)

/* A larger buffer is given back when it is hardly used any more; not sooner,
 * since memory that is new again each time costs more than what is written to
 * it. */
#define NGX_KAPOKMQ_KEEP         (1024 * 1024)

#define NGX_KAPOKMQ_REASON       256

/* After a failure it is not tried again for so long, twice that after the next
 * one, and so on; who waits for an answer gets it after the try. */
#define NGX_KAPOKMQ_BACK_OFF     100                /* ms */
#define NGX_KAPOKMQ_BACK_OFF_MAX 1000

/* Whoever waits for the cluster's stream waits for so long; an exiting
 * worker. */
#define NGX_KAPOKMQ_PATIENCE     10000              /* ms */
#define NGX_KAPOKMQ_HURRY        1000

/* As an outcome: not tried, since the stream does not acknowledge. */
#define NGX_KAPOKMQ_NOT_TRIED    2

/* What journals leave of the disk, for checkpoints: a part of the zone. */
#define NGX_KAPOKMQ_RESERVE(n)   ((n) / 16)


typedef struct {
    kmq_buffer_t             records;   /* being written */
    kmq_journal_info_t       info;
    int                      sync;
    int                      rc;        /* 1: not written yet; 0, a negated
                                           errno, or NGX_KAPOKMQ_NOT_TRIED */
    const char              *what;
    uint32_t                 barrier;   /* that is passed when it is done */
} ngx_kapokmq_batch_t;

typedef struct {
    kmq_segment_t            segment;   /* the thread's while it is busy */
    kmq_replica_t            replica;   /* the same; of a cluster */
    kmq_thread_t             thread;
    int                      fd;
    ngx_kapokmq_batch_t      batch;     /* the thread's, too */
    ngx_event_t              flush;     /* a timer, or posted */
    ngx_msec_t               write_time;    /* of what is not written yet, */
    ngx_msec_t               flush_time;    /* and of what is not flushed */
    ngx_msec_t               retry;         /* failed: not before that; */
    ngx_msec_t               back_off;      /* which was so much later */
    unsigned                 unwritten:1;   /* there is such */
    unsigned                 unflushed:1;
    unsigned                 busy:1;    /* there is a batch */
    unsigned                 failed:1;  /* and that has been logged */
    unsigned                 first:1;   /* messages wait for the disk */
    unsigned                 replicated:1;  /* there is a cluster */
    uint32_t                 barrier;   /* to be passed */
} ngx_kapokmq_journal_t;


static void ngx_kapokmq_journal_wake(void);
static void ngx_kapokmq_journal_flush(ngx_event_t *ev);
static void ngx_kapokmq_journal_done(ngx_event_t *ev);
static void ngx_kapokmq_journal_take(ngx_uint_t sync);
static void ngx_kapokmq_journal_write(void *arg);
static void ngx_kapokmq_journal_complete(void);
static ngx_int_t ngx_kapokmq_journal_result(ngx_kapokmq_batch_t *batch,
    u_char *reason);


static ngx_kapokmq_journal_t  ngx_kapokmq_journal;


/* -------------------------------------------------------- beginning, end */

void
ngx_kapokmq_journal_init(ngx_cycle_t *cycle, ngx_kapokmq_main_conf_t *mcf)
{
    ngx_err_t              err;
    ngx_kapokmq_journal_t    *d;
    ngx_kapokmq_worker_t  *w;

    w = &ngx_kapokmq_worker;
    d = &ngx_kapokmq_journal;

    w->persistent = mcf->config->is_persistent;

    if (w->persistent == NGX_KAPOKMQ_DISK_NONE) {
        return;
    }

    ngx_memzero(d, sizeof(ngx_kapokmq_journal_t));

    ngx_kapokmq_event_init(&d->flush, ngx_kapokmq_journal_flush, cycle->log);
    w->journal = ngx_kapokmq_journal_wake;

    ngx_kapokmq_pending_init(cycle->log);
    kmq_segment_init(&d->segment, &kmq_io_system,
                     (char *) mcf->directory.data,
                     NGX_KAPOKMQ_RESERVE(mcf->block_size));

    d->first = w->persistent == NGX_KAPOKMQ_DISK_FIRST;

    if (w->cluster) {
        d->replicated = 1;
        kmq_replica_init(&d->replica, ngx_kapokmq_cluster_replica(), w->epoch,
                         0);

        w->persistent = d->first ? NGX_KAPOKMQ_DISK_STREAM
                                 : NGX_KAPOKMQ_DISK_LEAVE;
    }

    if (ngx_kapokmq_notify(cycle, ngx_kapokmq_journal_done, &d->fd) != NGX_OK) {
        d->fd = -1;
    }

    err = kmq_thread_start(&d->thread, d->fd);

    if (err) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, err,
                      "the journal thread cannot be started; this worker "
                      "writes its journal itself");
    }

    kmq_journal(w->kmq, 1);

    if (mcf->begun || (w->cluster && w->cluster->renew)) {
        kmq_journal_lost(w->kmq);
    }

    ngx_kapokmq_checkpoint_init(cycle, mcf);
}


/* Nothing is read or answered any more; the thread's work is waited for. */
void
ngx_kapokmq_journal_exit(void)
{
    ngx_uint_t           i;
    ngx_kapokmq_journal_t  *d;

    d = &ngx_kapokmq_journal;

    if (ngx_kapokmq_worker.persistent == NGX_KAPOKMQ_DISK_NONE) {
        kmq_leave_all(ngx_kapokmq_worker.kmq);
        return;
    }

    if (d->replicated) {
        kmq_replica_hurry(&d->replica, kmq_nats_now() + NGX_KAPOKMQ_HURRY);
    }

    ngx_kapokmq_checkpoint_exit();
    kmq_thread_stop(&d->thread);

    /* what the thread has written, what has gathered since, and what becomes
     * of all that this worker's clients had */

    for (i = 0; i < 3; i++) {

        if (i == 2) {
            kmq_leave_all(ngx_kapokmq_worker.kmq);
        }

        if (!d->busy) {
            ngx_kapokmq_journal_take(1);
        }

        ngx_kapokmq_journal_complete();
    }

    kmq_segment_close(&d->segment);

    if (d->replicated) {
        kmq_replica_close(&d->replica);
    }

    kmq_buffer_free(&d->batch.records);
    ngx_kapokmq_pending_free();
}


/* --------------------------------------------------------------- writing */

/* Is that time over? */
static ngx_uint_t
ngx_kapokmq_journal_passed(ngx_msec_t time)
{
    return (ngx_msec_int_t) (ngx_current_msec - time) >= 0;
}


/* The timer is to expire then, or sooner.  nginx leaves one that is set as it
 * is when the difference is small. */
static void
ngx_kapokmq_journal_arm(ngx_msec_t time)
{
    ngx_event_t     *ev;
    ngx_msec_int_t   ms;

    ev = &ngx_kapokmq_journal.flush;

    if (ev->timer_set) {

        if ((ngx_msec_int_t) (ev->timer.key - time) <= 0) {
            return;
        }

        ngx_del_timer(ev);
    }

    ms = time - ngx_current_msec;

    ngx_add_timer(ev, ngx_max(ms, 1));
}


/* It has failed, and is not tried yet.  Where nobody waits for that, what
 * gathers meanwhile is in memory alone. */
static void
ngx_kapokmq_journal_back_off(size_t len)
{
    ngx_kapokmq_journal_t  *d;

    d = &ngx_kapokmq_journal;

    if (len > NGX_KAPOKMQ_FLUSH_SIZE && !d->first
        && !ngx_kapokmq_pending_waiting())
    {
        (void) kmq_journal_take(ngx_kapokmq_worker.kmq, &d->batch.records,
                                &d->batch.info);
        kmq_journal_lost(ngx_kapokmq_worker.kmq);
    }

    if (len || ngx_kapokmq_pending_waiting()) {
        ngx_kapokmq_journal_arm(d->retry);
    }
}


/* When has something to be done next?  There is something. */
static ngx_msec_t
ngx_kapokmq_journal_next(void)
{
    ngx_kapokmq_journal_t  *d;

    d = &ngx_kapokmq_journal;

    if (d->unwritten
        && (!d->unflushed
            || (ngx_msec_int_t) (d->flush_time - d->write_time) > 0))
    {
        return d->write_time;
    }

    return d->flush_time;
}


static ngx_uint_t
ngx_kapokmq_journal_due(void)
{
    ngx_kapokmq_journal_t  *d;

    d = &ngx_kapokmq_journal;

    return ngx_kapokmq_pending_waiting()
           || d->barrier
           || ((d->unwritten || d->unflushed)
               && ngx_kapokmq_journal_passed(ngx_kapokmq_journal_next()));
}


/* After engine calls: what they have changed is to be written in time. */
static void
ngx_kapokmq_journal_wake(void)
{
    size_t                 len;
    ngx_kapokmq_journal_t    *d;
    ngx_kapokmq_worker_t  *w;

    w = &ngx_kapokmq_worker;
    d = &ngx_kapokmq_journal;

    if (w->persistent == NGX_KAPOKMQ_DISK_NONE) {
        return;
    }

    len = kmq_journal_len(w->kmq);

    if (len && !d->unwritten) {
        d->unwritten = 1;
        d->write_time = ngx_current_msec + NGX_KAPOKMQ_FLUSH_TIME;
    }

    if (len && !d->unflushed) {
        d->unflushed = 1;
        d->flush_time = ngx_current_msec + w->config->persistent_time;
    }

    if (d->busy) {
        return;
    }

    if (d->back_off && !ngx_kapokmq_journal_passed(d->retry)) {
        ngx_kapokmq_journal_back_off(len);
        return;
    }

    if (len > NGX_KAPOKMQ_FLUSH_SIZE || ngx_kapokmq_pending_waiting()) {
        ngx_post_event(&d->flush, &ngx_posted_events);
        return;
    }

    if (d->unwritten || d->unflushed) {
        ngx_kapokmq_journal_arm(ngx_kapokmq_journal_next());
    }
}


void
ngx_kapokmq_journal_barrier(uint32_t number)
{
    ngx_kapokmq_journal_t  *d;

    d = &ngx_kapokmq_journal;

    if (!d->busy && kmq_journal_len(ngx_kapokmq_worker.kmq) == 0) {
        ngx_kapokmq_cluster_pass(number);
        return;
    }

    d->barrier = number;

    if (!d->busy) {
        ngx_post_event(&d->flush, &ngx_posted_events);
    }
}


/* It has failed: is it not to be tried yet?  While the stream does not
 * acknowledge nothing more is sent than what is on its way; who waits is
 * refused then, and all else stays gathered. */
static ngx_uint_t
ngx_kapokmq_journal_rests(void)
{
    ngx_kapokmq_journal_t  *d;

    d = &ngx_kapokmq_journal;

    if (!ngx_kapokmq_journal_passed(d->retry)) {
        return 1;
    }

    if (!d->replicated || !kmq_shared_silent(ngx_kapokmq_worker.cluster)) {
        return 0;
    }

    if (ngx_kapokmq_pending_waiting()) {
        ngx_kapokmq_journal_take(0);
        d->batch.rc = NGX_KAPOKMQ_NOT_TRIED;
        d->batch.what = "appending to the stream";
        ngx_kapokmq_journal_complete();
        ngx_kapokmq_wake();

    } else {
        d->retry = ngx_current_msec + d->back_off;
    }

    return 1;
}


/* A timer, or posted: those who wait do not wait for that. */
static void
ngx_kapokmq_journal_flush(ngx_event_t *ev)
{
    ngx_uint_t           sync, timedout;
    ngx_kapokmq_journal_t  *d;

    d = &ngx_kapokmq_journal;

    timedout = ev->timedout;
    ev->timedout = 0;

    if (ngx_kapokmq_worker.kmq == NULL || d->busy) {
        return;
    }

    ngx_kapokmq_clock();

    /* what it was armed for may have been done meanwhile */

    if ((timedout && !ngx_kapokmq_journal_due())
        || (d->back_off && ngx_kapokmq_journal_rests()))
    {
        ngx_kapokmq_journal_wake();
        return;
    }

    sync = d->first
           || (d->unflushed && ngx_kapokmq_journal_passed(d->flush_time));

    ngx_kapokmq_journal_take(sync);

    if (d->thread.started && d->fd != -1) {
        kmq_thread_run(&d->thread, ngx_kapokmq_journal_write, d);
        return;
    }

    ngx_kapokmq_journal_complete();
    ngx_kapokmq_wake();
}


/* What has gathered is to be written. */
static void
ngx_kapokmq_journal_take(ngx_uint_t sync)
{
    ngx_kapokmq_journal_t   *d;
    ngx_kapokmq_batch_t  *batch;

    d = &ngx_kapokmq_journal;

    batch = &d->batch;

    d->busy = 1;
    d->unwritten = 0;

    if (sync) {
        d->unflushed = 0;
    }

    ngx_kapokmq_pending_take();
    (void) kmq_journal_take(ngx_kapokmq_worker.kmq, &batch->records,
                            &batch->info);

    batch->barrier = d->barrier;
    d->barrier = 0;

    batch->sync = sync;
    batch->rc = 1;
    batch->what = "";
}


/* In the thread. */
static void
ngx_kapokmq_journal_write(void *arg)
{
    ngx_kapokmq_journal_t   *d = arg;

    ngx_kapokmq_batch_t  *batch;

    batch = &d->batch;

    kmq_records_seal(batch->records.data, batch->records.len);

    if (d->replicated) {
        batch->rc = kmq_replica_write(&d->replica, &d->segment, &batch->info,
                                      batch->records.data,
                                      batch->records.len, batch->sync,
                                      kmq_nats_now() + NGX_KAPOKMQ_PATIENCE,
                                      &batch->what);
        return;
    }

    batch->rc = kmq_segment_write(&d->segment, &batch->info,
                                  batch->records.data, batch->records.len,
                                  batch->sync, &batch->what);
}


static void
ngx_kapokmq_journal_done(ngx_event_t *ev)
{
    ngx_kapokmq_journal_t  *d;

    d = &ngx_kapokmq_journal;

    ngx_kapokmq_notified(ev);

    if (ngx_kapokmq_worker.kmq == NULL || !d->busy
        || kmq_thread_busy(&d->thread))
    {
        return;
    }

    ngx_kapokmq_clock();
    ngx_kapokmq_journal_complete();
    ngx_kapokmq_wake_producers();
    ngx_kapokmq_wake();
}


/* ---------------------------------------------------------------- results */

/* The batch has been written, or is now. */
static void
ngx_kapokmq_journal_complete(void)
{
    u_char                reason[NGX_KAPOKMQ_REASON];
    ngx_int_t             rc;
    ngx_kapokmq_journal_t   *d;
    ngx_kapokmq_batch_t  *batch;

    d = &ngx_kapokmq_journal;
    batch = &d->batch;

    if (batch->rc == 1) {
        ngx_kapokmq_journal_write(d);
    }

    rc = ngx_kapokmq_journal_result(batch, reason);

    if (batch->records.size > NGX_KAPOKMQ_KEEP
        && batch->records.len < batch->records.size / 8)
    {
        kmq_buffer_free(&batch->records);
    }

    d->busy = 0;

    if (batch->barrier) {

        if (rc == NGX_OK) {
            ngx_kapokmq_cluster_pass(batch->barrier);

        } else if (d->barrier == 0) {
            d->barrier = batch->barrier;
        }
    }

    ngx_kapokmq_pending_settle(rc, (char *) reason);
}


/* It may be in the stream, or come there. */
static ngx_uint_t
ngx_kapokmq_journal_unconfirmed(const ngx_kapokmq_batch_t *batch)
{
    return ngx_kapokmq_journal.replicated
           && (batch->rc == -ETIMEDOUT || batch->rc == -ESHUTDOWN);
}


/* Why, as text. */
static void
ngx_kapokmq_journal_reason(const ngx_kapokmq_batch_t *batch, u_char *reason)
{
    const char  *why;

    if (batch->rc == NGX_KAPOKMQ_NOT_TRIED) {
        *ngx_snprintf(reason, NGX_KAPOKMQ_REASON - 1, NGX_KAPOKMQ_SILENT)
            = '\0';
        return;
    }

    if (ngx_kapokmq_journal_unconfirmed(batch)) {
        why = kmq_replica_reason(&ngx_kapokmq_journal.replica);

        *ngx_snprintf(reason, NGX_KAPOKMQ_REASON - 1,
                      "not confirmed as stored: %s",
                      why[0] ? why : "the stream does not acknowledge")
            = '\0';
        return;
    }

    *ngx_snprintf(reason, NGX_KAPOKMQ_REASON - 1, "not stored: %s failed: %s",
                  batch->what, strerror(-batch->rc)) = '\0';
}


/* NGX_OK, or NGX_ERROR and the reason as text. */
static ngx_int_t
ngx_kapokmq_journal_result(ngx_kapokmq_batch_t *batch, u_char *reason)
{
    int                  err;
    kmq_t               *kmq;
    ngx_kapokmq_journal_t  *d;

    d = &ngx_kapokmq_journal;
    kmq = ngx_kapokmq_worker.kmq;

    /* its file may be gone because a checkpoint has what it had */

    if (batch->rc < 0 && !ngx_kapokmq_journal_unconfirmed(batch)
        && kmq_journal_covered(kmq, batch->info.generation))
    {
        batch->rc = 0;
    }

    if (batch->rc == 0) {

        if (d->segment.fd != -1
            && kmq_journal_covered(kmq, d->segment.generation))
        {
            kmq_segment_drop(&d->segment);
        }

        if (batch->records.len) {
            kmq_journal_written(kmq, batch->records.len);
            d->back_off = 0;
        }

        if (d->failed && batch->records.len) {
            d->failed = 0;
            ngx_log_error(NGX_LOG_NOTICE, ngx_kapokmq_worker.log, 0,
                          "the journal is written again");
        }

        if (batch->sync && !d->failed) {
            kmq_journal_flushed(kmq, 0);
        }

        return NGX_OK;
    }

    err = batch->rc == NGX_KAPOKMQ_NOT_TRIED ? ETIMEDOUT : -batch->rc;

    kmq_journal_lost(kmq);
    kmq_journal_flushed(kmq, err);

    d->back_off = d->back_off ? ngx_min(2 * d->back_off,
                                        NGX_KAPOKMQ_BACK_OFF_MAX)
                              : NGX_KAPOKMQ_BACK_OFF;
    d->retry = ngx_current_msec + d->back_off;

    ngx_kapokmq_journal_reason(batch, reason);

    if (!d->failed) {
        d->failed = 1;
        ngx_log_error(NGX_LOG_ERR, ngx_kapokmq_worker.log, err,
                      "%s failed in \"%s\", %s", batch->what, d->segment.dir,
                      d->first
                      ? "messages are refused until it works again"
                      : "messages are kept in memory only until it works "
                        "again");
    }

    return NGX_ERROR;
}
