/*
 * Checkpoints: the keeper has the engine tell what is there, a slice in each
 * turn of the event loop, and a thread of its own write some of them at a time,
 * so that the journal's writes do not wait behind it.
 */

#include "ngx_kapokmq_disk_inside.h"
#include "../cluster/ngx_kapokmq_cluster.h"
#include "../worker/ngx_kapokmq_worker.h"
#include "../../disk/kmq_file.h"
#include "../../disk/kmq_thread.h"
#include "../../nats/kmq_nats_socket.h"


/* Journals smaller than twice the zone, within these bounds, are not worth a
 * checkpoint: where messages go as fast as they come, there is little in one,
 * and it would be made several times a second. */
#define NGX_KAPOKMQ_JOURNAL_LOW   (64 * 1024 * 1024)
#define NGX_KAPOKMQ_JOURNAL_HIGH  (256 * 1024 * 1024)

/* So much of slices is gathered before it is written: the thread's turns cost
 * more than theirs. */
#define NGX_KAPOKMQ_WRITE_SIZE   (512 * 1024)

/* After a failure, and twice that after the next one, and so on. */
#define NGX_KAPOKMQ_RETRY_TIME   2000        /* ms */
#define NGX_KAPOKMQ_RETRY_MAX    8000

/* What the cluster's stream, and its workers, take at most. */
#define NGX_KAPOKMQ_STREAM_TIME  10000       /* ms */
#define NGX_KAPOKMQ_BARRIER_LOOK 20


typedef struct {
    const char              *directory;
    uint64_t                 journal_min;    /* bytes */
    int                      fd;
    kmq_thread_t             thread;
    kmq_checkpoint_t         cp;
    kmq_checkpoint_file_t    file;           /* the thread's while it works */
    ngx_event_t              slice;          /* the next one */
    kmq_buffer_t             records;
    kmq_replica_t            replica;        /* the thread's, of a cluster */
    kmq_chain_t              chain;          /* as it was at the beginning */
    int                      rc;
    int                      more;           /* slices to come */
    ngx_msec_t               start;
    ngx_msec_t               retry;          /* the next one not before */
    ngx_msec_t               wait;           /* after the next failure */
    unsigned                 running:1;
    unsigned                 cleaning:1;
    unsigned                 opened:1;
    unsigned                 failed:1;       /* the last one has */
    unsigned                 told:1;         /* and that has been logged */
    unsigned                 full:1;         /* because there was no room */
    unsigned                 replicated:1;   /* there is a cluster */
} ngx_kapokmq_checkpoint_t;


static void ngx_kapokmq_checkpoint_begin(void);
static void ngx_kapokmq_checkpoint_write(void *arg);
static void ngx_kapokmq_checkpoint_done(ngx_event_t *ev);
static void ngx_kapokmq_checkpoint_slice(ngx_event_t *ev);
static void ngx_kapokmq_checkpoint_finished(void);
static void ngx_kapokmq_checkpoint_failed(int rc);


static ngx_kapokmq_checkpoint_t  ngx_kapokmq_checkpoint;


void
ngx_kapokmq_checkpoint_init(ngx_cycle_t *cycle,
    const ngx_kapokmq_main_conf_t *mcf)
{
    ngx_kapokmq_checkpoint_t  *cp;

    cp = &ngx_kapokmq_checkpoint;

    ngx_memzero(cp, sizeof(ngx_kapokmq_checkpoint_t));

    cp->wait = NGX_KAPOKMQ_RETRY_TIME;
    cp->slice.handler = ngx_kapokmq_checkpoint_slice;
    cp->slice.log = cycle->log;

    if (ngx_kapokmq_worker.cluster) {
        cp->replicated = 1;
        kmq_replica_init(&cp->replica, ngx_kapokmq_cluster_replica(),
                         ngx_kapokmq_worker.epoch, 1);
    }

    cp->journal_min = ngx_max(NGX_KAPOKMQ_JOURNAL_LOW,
                              ngx_min(NGX_KAPOKMQ_JOURNAL_HIGH,
                                      2 * (uint64_t) mcf->block_size));

    if (ngx_kapokmq_notify(cycle, ngx_kapokmq_checkpoint_done, &cp->fd)
        == NGX_OK)
    {
        cp->directory = (char *) mcf->directory.data;
    }
}


/* What is not finished is worth nothing; the journals have it all. */
void
ngx_kapokmq_checkpoint_exit(void)
{
    ngx_kapokmq_checkpoint_t  *cp;

    cp = &ngx_kapokmq_checkpoint;

    if (cp->replicated) {
        kmq_replica_hurry(&cp->replica, kmq_nats_now());
    }

    kmq_thread_stop(&cp->thread);

    if (cp->replicated) {
        kmq_replica_close(&cp->replica);
        cp->replicated = 0;
    }

    if (cp->running && cp->opened) {
        kmq_checkpoint_file_abort(&cp->file);
    }

    kmq_buffer_free(&cp->records);
    cp->directory = NULL;
    cp->running = 0;
}


void
ngx_kapokmq_checkpoint_tick(void)
{
    ngx_err_t                  err;
    ngx_kapokmq_checkpoint_t  *cp;

    cp = &ngx_kapokmq_checkpoint;

    if (cp->directory == NULL || cp->running || ngx_exiting
        || (ngx_msec_int_t) (ngx_current_msec - cp->retry) < 0
        || !kmq_checkpoint_due(ngx_kapokmq_worker.kmq, cp->journal_min))
    {
        return;
    }

    if (!cp->thread.started) {
        err = kmq_thread_start(&cp->thread, cp->fd);

        if (err) {
            ngx_log_error(NGX_LOG_ALERT, ngx_kapokmq_worker.log, err,
                          "the checkpoint thread cannot be started");
            cp->retry = ngx_current_msec + NGX_KAPOKMQ_RETRY_TIME;
            return;
        }
    }

    ngx_kapokmq_checkpoint_begin();
}


static void
ngx_kapokmq_checkpoint_begin(void)
{
    int                        rc;
    kmq_t                     *kmq;
    ngx_kapokmq_checkpoint_t  *cp;

    cp = &ngx_kapokmq_checkpoint;

    cp->running = 1;
    cp->opened = 0;
    cp->more = 1;
    cp->start = ngx_current_msec;
    cp->records.len = 0;

    kmq = ngx_kapokmq_worker.kmq;

    if (cp->replicated) {
        __atomic_store_n(&ngx_kapokmq_worker.cluster->broken, 0,
                         __ATOMIC_RELEASE);

        if (kmq_shared_chain(ngx_kapokmq_worker.cluster, &cp->chain) != 0) {
            /* whoever keeps the lease has died, and the next one begins */
            ngx_kapokmq_checkpoint_failed(-EAGAIN);
            return;
        }
    }

    /* history is what can be done without where there is no room for it */

    rc = cp->failed ? kmq_checkpoint_again(kmq, &cp->cp, &cp->records,
                                           !cp->full)
                    : kmq_checkpoint_begin(kmq, &cp->cp, &cp->records);

    if (rc != KMQ_OK) {
        ngx_kapokmq_checkpoint_failed(-ENOMEM);
        return;
    }

    kmq_thread_run(&cp->thread, ngx_kapokmq_checkpoint_write, cp);
}


/* In the thread: what is older than the one that is finished. */
static void
ngx_kapokmq_checkpoint_clean(void *arg)
{
    ngx_kapokmq_checkpoint_t  *cp = arg;

    cp->rc = kmq_checkpoint_file_clean(&cp->file);
}


/* In the thread: the stream has it, too. */
static int
ngx_kapokmq_checkpoint_append(ngx_kapokmq_checkpoint_t *cp, kmq_part_e part,
    const void *data, size_t size)
{
    if (!cp->replicated) {
        return 0;
    }

    kmq_replica_begin(&cp->replica, part, &cp->cp.info, data, size);

    return kmq_replica_finish(&cp->replica,
                              kmq_nats_now() + NGX_KAPOKMQ_STREAM_TIME);
}


/* In the thread: all that the checkpoint shows is done, and the mark says
 * so. */
static int
ngx_kapokmq_checkpoint_mark(ngx_kapokmq_checkpoint_t *cp)
{
    uint64_t       until;
    uint32_t       barrier;
    kmq_shared_t  *shared;
    unsigned char  mark[8 + KMQ_CHAIN_BYTES];

    if (!cp->replicated) {
        return 0;
    }

    shared = cp->replica.options->shared;
    barrier = kmq_shared_barrier(shared);
    until = kmq_nats_now() + NGX_KAPOKMQ_STREAM_TIME;

    while (!kmq_shared_passed(shared, barrier)) {

        if (!kmq_shared_serves(shared, cp->replica.epoch)) {
            return -ESHUTDOWN;
        }

        if (kmq_nats_now() >= until) {
            return -ETIMEDOUT;
        }

        kmq_nats_sleep(kmq_nats_now() + NGX_KAPOKMQ_BARRIER_LOOK);
    }

    kmq_put64(mark, cp->file.size);

    return ngx_kapokmq_checkpoint_append(cp, KMQ_PART_MARK, mark,
               8 + kmq_chain_write(mark + 8, &cp->chain));
}


/* In the thread: slices, and all that is to be done once the last is among
 * them. */
static void
ngx_kapokmq_checkpoint_write(void *arg)
{
    ngx_kapokmq_checkpoint_t  *cp = arg;

    cp->rc = 0;

    if (!cp->opened) {
        cp->opened = 1;
        cp->rc = kmq_checkpoint_file_open(&cp->file, &kmq_io_system,
                                          cp->directory, &cp->cp.info,
                                          cp->cp.complete);

        if (cp->rc == 0) {
            cp->rc = ngx_kapokmq_checkpoint_append(cp, KMQ_PART_BEGIN,
                                                   &cp->cp.complete,
                                                   sizeof(uint64_t));
        }
    }

    if (cp->rc == 0) {
        cp->rc = kmq_checkpoint_file_write(&cp->file, cp->records.data,
                                           cp->records.len);
    }

    if (cp->rc == 0) {
        cp->rc = ngx_kapokmq_checkpoint_append(cp, KMQ_PART_CHECKPOINT,
                                               cp->records.data,
                                               cp->records.len);
    }

    if (cp->rc == 0 && !cp->more) {
        cp->rc = kmq_checkpoint_file_finish(&cp->file);
    }

    if (cp->rc == 0 && !cp->more) {
        cp->rc = ngx_kapokmq_checkpoint_mark(cp);
    }
}


static void
ngx_kapokmq_checkpoint_done(ngx_event_t *ev)
{
    ngx_kapokmq_checkpoint_t  *cp;

    cp = &ngx_kapokmq_checkpoint;

    ngx_kapokmq_notified(ev);

    if (ngx_kapokmq_worker.kmq == NULL || !cp->running
        || kmq_thread_busy(&cp->thread))
    {
        return;
    }

    ngx_kapokmq_clock();

    if (cp->cleaning) {
        cp->cleaning = 0;
        cp->running = 0;
        return;
    }

    if (cp->rc < 0) {
        ngx_kapokmq_checkpoint_failed(cp->rc);
        return;
    }

    if (!cp->more) {
        ngx_kapokmq_checkpoint_finished();
        return;
    }

    cp->records.len = 0;
    ngx_kapokmq_checkpoint_slice(&cp->slice);
}


static void
ngx_kapokmq_checkpoint_slice(ngx_event_t *ev)
{
    ngx_kapokmq_checkpoint_t  *cp;

    cp = &ngx_kapokmq_checkpoint;

    if (ngx_kapokmq_worker.kmq == NULL || !cp->running) {
        return;
    }

    ngx_kapokmq_clock();

    cp->more = kmq_checkpoint_next(ngx_kapokmq_worker.kmq, &cp->cp,
                                   &cp->records);

    if (cp->more < 0) {
        ngx_kapokmq_checkpoint_failed(cp->more == KMQ_NOMEM ? -ENOMEM
                                                            : -EAGAIN);
        return;
    }

    if (cp->more && cp->records.len < NGX_KAPOKMQ_WRITE_SIZE) {
        ngx_post_event(ev, &ngx_posted_next_events);

    } else {
        kmq_thread_run(&cp->thread, ngx_kapokmq_checkpoint_write, cp);
    }

    ngx_kapokmq_wake();
}


static void
ngx_kapokmq_checkpoint_finished(void)
{
    ngx_kapokmq_checkpoint_t  *cp;

    cp = &ngx_kapokmq_checkpoint;

    cp->failed = 0;
    cp->told = 0;
    cp->full = 0;
    cp->wait = NGX_KAPOKMQ_RETRY_TIME;

    /* half of the time at most goes into them, whatever their cause */

    cp->retry = 2 * ngx_current_msec - cp->start;

    kmq_checkpoint_end(ngx_kapokmq_worker.kmq, &cp->cp, cp->file.size);
    kmq_buffer_free(&cp->records);

    ngx_log_error(NGX_LOG_NOTICE, ngx_kapokmq_worker.log, 0,
                  "checkpoint %uL: %uL messages, %uL bytes, %M ms",
                  cp->cp.info.generation, cp->cp.messages, cp->file.size,
                  ngx_current_msec - cp->start);

    cp->cleaning = 1;
    kmq_thread_run(&cp->thread, ngx_kapokmq_checkpoint_clean, cp);
}


/* Why a checkpoint that was given up is no failure; NULL: it is one. */
static const char *
ngx_kapokmq_checkpoint_excuse(ngx_kapokmq_checkpoint_t *cp, int rc)
{
    if (cp->opened
        && kmq_checkpoint_overtaken(ngx_kapokmq_worker.kmq, &cp->cp))
    {
        return "another worker has begun a later one";
    }

    switch (rc) {

    case -EAGAIN:
        return "a worker died; it begins anew";

    case -ESHUTDOWN:
        return "this node is not primary any more";

    default:
        return NULL;
    }
}


static void
ngx_kapokmq_checkpoint_failed(int rc)
{
    const char                *excuse;
    ngx_kapokmq_checkpoint_t  *cp;

    cp = &ngx_kapokmq_checkpoint;

    if (cp->opened) {
        kmq_checkpoint_file_abort(&cp->file);
    }

    cp->running = 0;
    cp->full = (rc == -ENOSPC || rc == -EDQUOT);
    cp->retry = ngx_current_msec + cp->wait;
    cp->wait = ngx_min(2 * cp->wait, NGX_KAPOKMQ_RETRY_MAX);

    cp->failed = 1;

    excuse = ngx_kapokmq_checkpoint_excuse(cp, rc);

    if (excuse) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_kapokmq_worker.log, 0,
                      "a checkpoint is given up: %s", excuse);
        return;
    }

    if (!cp->told) {
        cp->told = 1;
        ngx_log_error(NGX_LOG_ERR, ngx_kapokmq_worker.log, -rc,
                      "writing a checkpoint in \"%s\" failed; it will be "
                      "tried again", cp->directory);
    }
}
