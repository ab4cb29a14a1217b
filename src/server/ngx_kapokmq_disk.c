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
 * With isPersistent 2, messages stay reserved until they are on disk; with 1,
 * they are committed at once, written soon, and flushed every persistentTime.
 */

#include "ngx_kapokmq_session.h"
#include "../disk/kmq_file.h"
#include "../disk/kmq_thread.h"


/* Records that nobody waits for are written after this time, so that the death
 * of all processes loses no more... */
#define NGX_KAPOKMQ_FLUSH_TIME   100                /* ms */

/* ...or when there are so many of them. */
#define NGX_KAPOKMQ_FLUSH_SIZE   (512 * 1024)

/* A larger buffer is given back after use. */
#define NGX_KAPOKMQ_KEEP         (1024 * 1024)

/* Messages committed under one lock. */
#define NGX_KAPOKMQ_COMMIT       512

/* An exiting worker waits for the disk so long. */
#define NGX_KAPOKMQ_HOLD_TIME    60000              /* ms */

#define NGX_KAPOKMQ_REASON       256


/* Who waits for the disk: a session or a request. */
typedef struct {
    ngx_queue_t              queue;
    ngx_kapokmq_session_t   *session;
    ngx_http_request_t      *request;
    ngx_uint_t               n;         /* messages */
    const char              *error;     /* what else the answer is */
    char                     code[KMQ_CODE_LEN];
} ngx_kapokmq_answer_t;

typedef struct {
    kmq_buffer_t             records;   /* being written */
    kmq_journal_info_t       info;
    int                      sync;
    int                      rc;        /* 0 or a negated errno */
    const char              *what;

    kmq_message_t           *messages;  /* reserved */
    ngx_uint_t               nmessages;
    ngx_uint_t               allocated;
    ngx_queue_t              answers;
} ngx_kapokmq_batch_t;

typedef struct {
    kmq_segment_t            segment;   /* the thread's while it is busy */
    kmq_thread_t             thread;
    int                      fd;
    ngx_kapokmq_batch_t      batch[2];
    ngx_kapokmq_batch_t     *gathering;
    ngx_kapokmq_batch_t     *writing;
    ngx_event_t              hold;      /* timer: an exiting worker waits
                                           for answers */
    ngx_msec_t               flush_time;    /* of what is not flushed yet; */
    unsigned                 unflushed:1;   /* there is such */
    unsigned                 busy:1;    /* writing is the thread's */
    unsigned                 due:1;     /* to be written as soon as possible */
    unsigned                 failed:1;  /* and that has been logged */
} ngx_kapokmq_disk_t;


static void ngx_kapokmq_disk_done(ngx_event_t *ev);
static void ngx_kapokmq_disk_take(ngx_uint_t sync);
static void ngx_kapokmq_disk_write(void *arg);
static void ngx_kapokmq_disk_complete(void);
static ngx_int_t ngx_kapokmq_disk_result(ngx_kapokmq_batch_t *batch,
    u_char *reason);
static void ngx_kapokmq_disk_settle(ngx_kapokmq_batch_t *batch, ngx_int_t rc);
static void ngx_kapokmq_disk_answer(ngx_kapokmq_answer_t *answer, ngx_int_t rc,
    const u_char *reason);
static ngx_int_t ngx_kapokmq_disk_accept(kmq_message_t *m, ngx_uint_t n);
static ngx_kapokmq_answer_t *ngx_kapokmq_disk_add(ngx_kapokmq_session_t *s);
static void ngx_kapokmq_disk_append(ngx_kapokmq_answer_t *answer);
static void ngx_kapokmq_disk_held(ngx_event_t *ev);


static ngx_kapokmq_disk_t  ngx_kapokmq_disk;


/* -------------------------------------------------------- beginning, end */

void
ngx_kapokmq_disk_init(ngx_cycle_t *cycle, ngx_kapokmq_main_conf_t *mcf)
{
    ngx_int_t              i;
    ngx_err_t              err;
    ngx_kapokmq_disk_t    *d;
    ngx_kapokmq_worker_t  *w;

    w = &ngx_kapokmq_worker;
    d = &ngx_kapokmq_disk;

    w->persistent = mcf->config->is_persistent;

    if (w->persistent == NGX_KAPOKMQ_DISK_NONE) {
        return;
    }

    ngx_kapokmq_recovery_holder(ngx_process == NGX_PROCESS_SINGLE
                                ? ngx_pid : ngx_parent);

    ngx_memzero(d, sizeof(ngx_kapokmq_disk_t));

    for (i = 0; i < 2; i++) {
        ngx_queue_init(&d->batch[i].answers);
    }

    d->gathering = &d->batch[0];
    d->writing = &d->batch[1];

    d->hold.handler = ngx_kapokmq_disk_held;
    d->hold.data = d;
    d->hold.log = cycle->log;

    kmq_segment_init(&d->segment, &kmq_io_system,
                     (char *) mcf->directory.data);

    if (ngx_kapokmq_notify(cycle, ngx_kapokmq_disk_done, &d->fd) != NGX_OK) {
        d->fd = -1;
    }

    err = kmq_thread_start(&d->thread, d->fd);

    if (err) {
        ngx_log_error(NGX_LOG_ALERT, cycle->log, err,
                      "the journal's thread cannot be started, this worker "
                      "writes it itself");
    }

    kmq_journal(w->kmq, 1);

    if (mcf->begun) {
        kmq_journal_lost(w->kmq);
    }

    ngx_kapokmq_checkpoint_init(cycle, (char *) mcf->directory.data);
}


/* Nothing is read or answered any more; the thread's work is waited for. */
void
ngx_kapokmq_disk_exit(void)
{
    ngx_uint_t           i;
    ngx_kapokmq_disk_t  *d;

    d = &ngx_kapokmq_disk;

    if (ngx_kapokmq_worker.persistent == NGX_KAPOKMQ_DISK_NONE) {
        kmq_leave_all(ngx_kapokmq_worker.kmq);
        return;
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
            ngx_kapokmq_disk_take(1);
        }

        ngx_kapokmq_disk_complete();
    }

    kmq_segment_close(&d->segment);

    for (i = 0; i < 2; i++) {
        kmq_buffer_free(&d->batch[i].records);

        if (d->batch[i].messages) {
            ngx_free(d->batch[i].messages);
        }
    }
}


/* --------------------------------------------------------------- writing */

void
ngx_kapokmq_disk_wake(void)
{
    size_t                 len;
    ngx_msec_int_t         ms;
    ngx_kapokmq_disk_t    *d;
    ngx_kapokmq_worker_t  *w;

    w = &ngx_kapokmq_worker;
    d = &ngx_kapokmq_disk;

    if (w->persistent == NGX_KAPOKMQ_DISK_NONE) {
        return;
    }

    len = kmq_journal_len(w->kmq);

    if (len && !d->unflushed) {
        d->unflushed = 1;
        d->flush_time = ngx_current_msec + w->config->persistent_time;
    }

    if (len > NGX_KAPOKMQ_FLUSH_SIZE || d->due
        || !ngx_queue_empty(&d->gathering->answers))
    {
        if (!d->busy) {
            ngx_post_event(&w->flush, &ngx_posted_events);
        }

        return;
    }

    if (d->unflushed && !w->flush.timer_set) {
        ms = d->flush_time - ngx_current_msec;

        if (len && ms > NGX_KAPOKMQ_FLUSH_TIME) {
            ms = NGX_KAPOKMQ_FLUSH_TIME;
        }

        ngx_add_timer(&w->flush, ngx_max(ms, 1));
    }
}


void
ngx_kapokmq_disk_flush(ngx_event_t *ev)
{
    ngx_kapokmq_disk_t  *d;

    d = &ngx_kapokmq_disk;

    if (ngx_kapokmq_worker.kmq == NULL) {
        return;
    }

    if (ev->timedout) {
        ev->timedout = 0;
        d->due = 1;
    }

    if (d->busy) {
        return;
    }

    ngx_kapokmq_clock();
    ngx_kapokmq_disk_take(ngx_kapokmq_worker.persistent
                          == NGX_KAPOKMQ_DISK_FIRST
                          || (ngx_msec_int_t) (ngx_current_msec
                                               - d->flush_time) >= 0);

    if (d->thread.started && d->fd != -1) {
        kmq_thread_run(&d->thread, ngx_kapokmq_disk_write, d);
        return;
    }

    ngx_kapokmq_disk_complete();
    ngx_kapokmq_wake();
}


/* What has gathered is to be written. */
static void
ngx_kapokmq_disk_take(ngx_uint_t sync)
{
    ngx_kapokmq_disk_t   *d;
    ngx_kapokmq_batch_t  *batch;

    d = &ngx_kapokmq_disk;

    batch = d->gathering;
    d->gathering = d->writing;
    d->writing = batch;

    d->busy = 1;
    d->due = 0;

    if (sync) {
        d->unflushed = 0;
    }

    (void) kmq_journal_take(ngx_kapokmq_worker.kmq, &batch->records,
                            &batch->info);

    batch->sync = sync;
    batch->rc = 1;
    batch->what = "";
}


/* In the thread. */
static void
ngx_kapokmq_disk_write(void *arg)
{
    ngx_kapokmq_disk_t   *d = arg;

    ngx_kapokmq_batch_t  *batch;

    batch = d->writing;

    kmq_records_seal(batch->records.data, batch->records.len);

    batch->rc = kmq_segment_write(&d->segment, &batch->info,
                                  batch->records.data, batch->records.len,
                                  batch->sync, &batch->what);
}


static void
ngx_kapokmq_disk_done(ngx_event_t *ev)
{
    ngx_kapokmq_disk_t  *d;

    d = &ngx_kapokmq_disk;

    ngx_kapokmq_notified(ev);

    if (ngx_kapokmq_worker.kmq == NULL || !d->busy
        || kmq_thread_busy(&d->thread))
    {
        return;
    }

    ngx_kapokmq_clock();
    ngx_kapokmq_disk_complete();
    ngx_kapokmq_room();
    ngx_kapokmq_wake();
}


/* ---------------------------------------------------------------- results */

/* The batch has been written, or is now. */
static void
ngx_kapokmq_disk_complete(void)
{
    u_char                 reason[NGX_KAPOKMQ_REASON];
    ngx_int_t              rc;
    ngx_queue_t           *q;
    ngx_kapokmq_disk_t    *d;
    ngx_kapokmq_batch_t   *batch;
    ngx_kapokmq_answer_t  *answer;

    d = &ngx_kapokmq_disk;
    batch = d->writing;

    if (batch->rc == 1) {
        ngx_kapokmq_disk_write(d);
    }

    rc = ngx_kapokmq_disk_result(batch, reason);

    ngx_kapokmq_disk_settle(batch, rc);

    while (!ngx_queue_empty(&batch->answers)) {
        q = ngx_queue_head(&batch->answers);
        ngx_queue_remove(q);

        answer = ngx_queue_data(q, ngx_kapokmq_answer_t, queue);
        ngx_kapokmq_disk_answer(answer, rc, reason);
    }

    d->busy = 0;

    if (batch->records.size > NGX_KAPOKMQ_KEEP) {
        kmq_buffer_free(&batch->records);
    }

    if (d->hold.timer_set && ngx_queue_empty(&d->gathering->answers)) {
        ngx_del_timer(&d->hold);
    }
}


/* NGX_OK, or NGX_ERROR and the reason as text. */
static ngx_int_t
ngx_kapokmq_disk_result(ngx_kapokmq_batch_t *batch, u_char *reason)
{
    kmq_t               *kmq;
    ngx_kapokmq_disk_t  *d;

    d = &ngx_kapokmq_disk;
    kmq = ngx_kapokmq_worker.kmq;

    /* its file may be gone because a checkpoint has what it had */

    if (batch->rc < 0 && kmq_journal_covered(kmq, batch->info.generation)) {
        batch->rc = 0;
    }

    if (batch->rc == 0) {

        if (batch->records.len) {
            kmq_journal_written(kmq, batch->records.len);
        }

        if (d->failed && batch->records.len) {
            d->failed = 0;
            ngx_log_error(NGX_LOG_NOTICE, ngx_kapokmq_worker.log, 0,
                          "the journal is written again");
        }

        return NGX_OK;
    }

    kmq_journal_lost(kmq);

    *ngx_snprintf(reason, NGX_KAPOKMQ_REASON - 1, "not stored: %s failed: %s",
                  batch->what, strerror(-batch->rc)) = '\0';

    if (!d->failed) {
        d->failed = 1;
        ngx_log_error(NGX_LOG_ERR, ngx_kapokmq_worker.log, -batch->rc,
                      "%s failed in \"%s\", %s", batch->what, d->segment.dir,
                      ngx_kapokmq_worker.persistent == NGX_KAPOKMQ_DISK_FIRST
                      ? "messages are refused until it works again"
                      : "messages are in memory alone until it works again");
    }

    return NGX_ERROR;
}


/* Now its messages are in the queue, or nowhere. */
static void
ngx_kapokmq_disk_settle(ngx_kapokmq_batch_t *batch, ngx_int_t rc)
{
    ngx_uint_t      n;
    kmq_message_t  *m;

    for (m = batch->messages; batch->nmessages; m += n) {
        n = ngx_min(batch->nmessages, NGX_KAPOKMQ_COMMIT);
        batch->nmessages -= n;

        if (rc == NGX_OK) {
            kmq_commit(ngx_kapokmq_worker.kmq, m, n);

        } else {
            kmq_discard(ngx_kapokmq_worker.kmq, m, n);
        }
    }
}


/* -------------------------------------------------------------- answers */

static ngx_int_t
ngx_kapokmq_disk_refuse(ngx_kapokmq_session_t *s, ngx_uint_t n,
    const char *error)
{
    u_char  *p, text[NGX_KAPOKMQ_REASON + sizeof("error: ")];

    p = ngx_snprintf(text, sizeof(text), "error: %s", error);

    while (n--) {
        if (ngx_kapokmq_output_frame(s, KMQ_WS_TEXT, text, p - text)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_kapokmq_disk_answer_session(ngx_kapokmq_answer_t *answer, ngx_int_t rc,
    const u_char *reason)
{
    ngx_kapokmq_session_t  *s;

    s = answer->session;
    s->unanswered--;

    if (rc != NGX_OK) {
        rc = ngx_kapokmq_disk_refuse(s, answer->n, (char *) reason);

    } else if (answer->n) {
        rc = ngx_kapokmq_output_oks(s, answer->n);
    }

    if (rc == NGX_OK && answer->error) {
        rc = ngx_kapokmq_disk_refuse(s, 1, answer->error);
    }

    if (rc != NGX_OK) {
        s->failed = 1;
        ngx_kapokmq_session_wake(s);
    }

    ngx_free(answer);
    ngx_kapokmq_session_answered(s);
}


static void
ngx_kapokmq_disk_answer(ngx_kapokmq_answer_t *answer, ngx_int_t rc,
    const u_char *reason)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    if (answer->session) {
        ngx_kapokmq_disk_answer_session(answer, rc, reason);
        return;
    }

    r = answer->request;
    c = r->connection;
    answer->request = NULL;

    if (rc == NGX_OK) {
        ngx_kapokmq_send_answer(r, answer->code);

    } else {
        ngx_kapokmq_http_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                               (char *) reason);
    }

    ngx_http_run_posted_requests(c);
}


/* ---------------------------------------------------------------- waiting */

/* The disk takes too long for a worker that is to exit. */
static void
ngx_kapokmq_disk_held(ngx_event_t *ev)
{
    (void) ev;
}


/* An answer is added: the worker, if it is exiting, has something to wait
 * for. */
static void
ngx_kapokmq_disk_append(ngx_kapokmq_answer_t *answer)
{
    ngx_kapokmq_disk_t  *d;

    d = &ngx_kapokmq_disk;

    ngx_queue_insert_tail(&d->gathering->answers, &answer->queue);

    if (!d->hold.timer_set) {
        ngx_add_timer(&d->hold, NGX_KAPOKMQ_HOLD_TIME);
    }
}


/* The messages' records are gathered, and they themselves. */
static ngx_int_t
ngx_kapokmq_disk_accept(kmq_message_t *m, ngx_uint_t n)
{
    ngx_uint_t            wanted;
    kmq_message_t        *messages;
    ngx_kapokmq_batch_t  *batch;

    batch = ngx_kapokmq_disk.gathering;

    if (batch->nmessages + n > batch->allocated) {
        wanted = ngx_max(2 * batch->allocated, batch->nmessages + n);

        messages = realloc(batch->messages, wanted * sizeof(kmq_message_t));
        if (messages == NULL) {
            return NGX_ERROR;
        }

        batch->messages = messages;
        batch->allocated = wanted;
    }

    if (kmq_accept(ngx_kapokmq_worker.kmq, m, n) != KMQ_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(batch->messages + batch->nmessages, m,
               n * sizeof(kmq_message_t));
    batch->nmessages += n;

    return NGX_OK;
}


/* The session's next answer; NULL: no memory. */
static ngx_kapokmq_answer_t *
ngx_kapokmq_disk_add(ngx_kapokmq_session_t *s)
{
    ngx_queue_t           *answers;
    ngx_kapokmq_answer_t  *answer;

    answers = &ngx_kapokmq_disk.gathering->answers;

    if (!ngx_queue_empty(answers)) {
        answer = ngx_queue_data(ngx_queue_last(answers), ngx_kapokmq_answer_t,
                                queue);

        if (answer->session == s && answer->error == NULL) {
            return answer;
        }
    }

    answer = ngx_calloc(sizeof(ngx_kapokmq_answer_t), ngx_kapokmq_worker.log);

    if (answer) {
        answer->session = s;
        s->unanswered++;
        ngx_kapokmq_disk_append(answer);
    }

    return answer;
}


ngx_int_t
ngx_kapokmq_disk_session(ngx_kapokmq_session_t *s, kmq_message_t *m,
    ngx_uint_t n)
{
    ngx_kapokmq_answer_t  *answer;

    answer = ngx_kapokmq_disk_add(s);

    if (answer == NULL || ngx_kapokmq_disk_accept(m, n) != NGX_OK) {
        kmq_discard(ngx_kapokmq_worker.kmq, m, n);
        return NGX_ERROR;
    }

    answer->n += n;

    return NGX_OK;
}


ngx_int_t
ngx_kapokmq_disk_error(ngx_kapokmq_session_t *s, const char *error)
{
    ngx_kapokmq_answer_t  *answer;

    answer = ngx_kapokmq_disk_add(s);
    if (answer == NULL) {
        return NGX_ERROR;
    }

    answer->error = error;

    return NGX_OK;
}


void
ngx_kapokmq_disk_forget(ngx_kapokmq_session_t *s)
{
    ngx_uint_t             i;
    ngx_queue_t           *q, *next, *answers;
    ngx_kapokmq_answer_t  *answer;

    for (i = 0; i < 2; i++) {
        answers = &ngx_kapokmq_disk.batch[i].answers;

        for (q = ngx_queue_head(answers);
             q != ngx_queue_sentinel(answers);
             q = next)
        {
            next = ngx_queue_next(q);
            answer = ngx_queue_data(q, ngx_kapokmq_answer_t, queue);

            if (answer->session == s) {
                ngx_queue_remove(q);
                ngx_free(answer);
            }
        }
    }

    s->unanswered = 0;
}


/* The request goes before it is answered. */
static void
ngx_kapokmq_disk_cleanup(void *data)
{
    ngx_kapokmq_answer_t  *answer = data;

    if (answer->request) {
        ngx_queue_remove(&answer->queue);
    }
}


ngx_int_t
ngx_kapokmq_disk_request(ngx_http_request_t *r, kmq_message_t *m)
{
    ngx_pool_cleanup_t    *cln;
    ngx_kapokmq_answer_t  *answer;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_kapokmq_answer_t));

    if (cln == NULL || ngx_kapokmq_disk_accept(m, 1) != NGX_OK) {
        kmq_discard(ngx_kapokmq_worker.kmq, m, 1);
        return NGX_ERROR;
    }

    answer = cln->data;
    ngx_memzero(answer, sizeof(ngx_kapokmq_answer_t));

    answer->request = r;
    kmq_code(ngx_kapokmq_worker.kmq, m, answer->code);

    cln->handler = ngx_kapokmq_disk_cleanup;
    ngx_kapokmq_disk_append(answer);

    return NGX_OK;
}
