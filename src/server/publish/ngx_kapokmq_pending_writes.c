/*
 * Messages that wait for the disk, and the answers that wait with them
 * (isPersistent 2).
 *
 * What comes while the journal is written is gathered; when it is written in
 * its turn, the messages are committed, or discarded, and the owner of each
 * answer is called, in their order.
 */

#include "ngx_kapokmq_publish.h"


/* Room for more messages than that is given back when they are settled. */
#define NGX_KAPOKMQ_KEPT       16384

/* Bytes of records that gather while a batch goes to the stream. */
#define NGX_KAPOKMQ_BEHIND     (2 * 1024 * 1024)

/* An exiting worker waits for the disk so long. */
#define NGX_KAPOKMQ_HOLD_TIME  60000        /* ms */


typedef struct {
    kmq_message_t           *messages;  /* reserved, and in the journal */
    ngx_uint_t               n;
    ngx_uint_t               allocated;
    uint64_t                 batch;     /* the last one among them, or 0 */
    ngx_queue_t              answers;
} ngx_kapokmq_held_t;


static void ngx_kapokmq_pending_commit(ngx_kapokmq_held_t *held, ngx_int_t rc);
static ngx_int_t ngx_kapokmq_pending_keep(kmq_message_t *m, ngx_uint_t n);
static void ngx_kapokmq_pending_late(ngx_event_t *ev);


static ngx_kapokmq_held_t   ngx_kapokmq_held[2];
static ngx_kapokmq_held_t  *ngx_kapokmq_gathering;
static ngx_kapokmq_held_t  *ngx_kapokmq_writing;

/* A timer: an exiting worker that has nothing else to do waits for answers. */
static ngx_event_t          ngx_kapokmq_hold;


void
ngx_kapokmq_pending_init(ngx_log_t *log)
{
    ngx_uint_t  i;

    for (i = 0; i < 2; i++) {
        ngx_memzero(&ngx_kapokmq_held[i], sizeof(ngx_kapokmq_held_t));
        ngx_queue_init(&ngx_kapokmq_held[i].answers);
    }

    ngx_kapokmq_gathering = &ngx_kapokmq_held[0];
    ngx_kapokmq_writing = &ngx_kapokmq_held[1];

    ngx_memzero(&ngx_kapokmq_hold, sizeof(ngx_event_t));

    ngx_kapokmq_hold.handler = ngx_kapokmq_pending_late;
    ngx_kapokmq_hold.data = &ngx_kapokmq_worker;
    ngx_kapokmq_hold.log = log;
}


void
ngx_kapokmq_pending_free(void)
{
    ngx_uint_t  i;

    for (i = 0; i < 2; i++) {
        free(ngx_kapokmq_held[i].messages);
        ngx_kapokmq_held[i].messages = NULL;
        ngx_kapokmq_held[i].allocated = 0;
    }
}


/* ------------------------------------------------------------- the stream */

/*
 * Nobody is kept waiting for what is not to come soon.  With isPersistent 1
 * messages wait, too, while the stream falls behind, which would grow without
 * an end, until a pause; and behind those of the same client that do, since
 * their order is that in which they are committed.
 */
ngx_kapokmq_pending_e
ngx_kapokmq_pending_stream(const ngx_uint_t *owed)
{
    if (ngx_kapokmq_worker.persistent == NGX_KAPOKMQ_DISK_LEAVE
        && (owed == NULL || *owed == 0)
        && kmq_journal_len(ngx_kapokmq_worker.kmq) <= NGX_KAPOKMQ_BEHIND
        && ngx_kapokmq_worker_leave())
    {
        return NGX_KAPOKMQ_PENDING_NOT;
    }

    return kmq_shared_silent(ngx_kapokmq_worker.cluster)
           ? NGX_KAPOKMQ_PENDING_REFUSED : NGX_KAPOKMQ_PENDING_HELD;
}


/* -------------------------------------------------------------- the disk */

ngx_uint_t
ngx_kapokmq_pending_waiting(void)
{
    return !ngx_queue_empty(&ngx_kapokmq_gathering->answers);
}


void
ngx_kapokmq_pending_take(void)
{
    ngx_kapokmq_held_t  *held;

    held = ngx_kapokmq_gathering;
    ngx_kapokmq_gathering = ngx_kapokmq_writing;
    ngx_kapokmq_writing = held;
}


void
ngx_kapokmq_pending_settle(ngx_int_t rc, const char *reason)
{
    ngx_queue_t            *q, *answers;
    ngx_kapokmq_pending_t  *pending;

    ngx_kapokmq_pending_commit(ngx_kapokmq_writing, rc);

    answers = &ngx_kapokmq_writing->answers;

    while (!ngx_queue_empty(answers)) {
        q = ngx_queue_head(answers);
        ngx_queue_remove(q);

        pending = ngx_queue_data(q, ngx_kapokmq_pending_t, queue);
        pending->handler(pending, rc, reason);
    }

    if (ngx_kapokmq_hold.timer_set && !ngx_kapokmq_pending_waiting()) {
        ngx_del_timer(&ngx_kapokmq_hold);
    }
}


/* Now the messages are in the queue, or nowhere. */
static void
ngx_kapokmq_pending_commit(ngx_kapokmq_held_t *held, ngx_int_t rc)
{
    if (rc == NGX_OK) {
        ngx_kapokmq_publish_commit(held->messages, held->n, held->batch);

    } else {
        ngx_kapokmq_publish_discard(held->messages, held->n);
    }

    held->n = 0;
    held->batch = 0;

    if (held->allocated > NGX_KAPOKMQ_KEPT) {
        free(held->messages);
        held->messages = NULL;
        held->allocated = 0;
    }
}


/* The disk takes too long for a worker that is to exit. */
static void
ngx_kapokmq_pending_late(ngx_event_t *ev)
{
    (void) ev;
}


/* --------------------------------------------------------------- waiting */

ngx_int_t
ngx_kapokmq_pending_hold(kmq_message_t *m, ngx_uint_t n, uint64_t batch)
{
    if (ngx_kapokmq_pending_keep(m, n) != NGX_OK) {
        kmq_discard(ngx_kapokmq_worker.kmq, m, n);
        return NGX_ERROR;
    }

    if (batch) {
        ngx_kapokmq_gathering->batch = batch;
    }

    return NGX_OK;
}


/* The messages' records are gathered, and they themselves. */
static ngx_int_t
ngx_kapokmq_pending_keep(kmq_message_t *m, ngx_uint_t n)
{
    ngx_uint_t           wanted;
    kmq_message_t       *messages;
    ngx_kapokmq_held_t  *held;

    held = ngx_kapokmq_gathering;

    if (held->n + n > held->allocated) {
        wanted = ngx_max(2 * held->allocated, held->n + n);

        messages = realloc(held->messages, wanted * sizeof(kmq_message_t));
        if (messages == NULL) {
            return NGX_ERROR;
        }

        held->messages = messages;
        held->allocated = wanted;
    }

    if (kmq_accept(ngx_kapokmq_worker.kmq, m, n) != KMQ_OK) {
        return NGX_ERROR;
    }

    ngx_memcpy(held->messages + held->n, m, n * sizeof(kmq_message_t));
    held->n += n;

    return NGX_OK;
}


/* The worker, if it is exiting, has something to wait for. */
void
ngx_kapokmq_pending_add(ngx_kapokmq_pending_t *pending)
{
    ngx_queue_insert_tail(&ngx_kapokmq_gathering->answers, &pending->queue);

    if (!ngx_kapokmq_hold.timer_set) {
        ngx_add_timer(&ngx_kapokmq_hold, NGX_KAPOKMQ_HOLD_TIME);
    }
}


void
ngx_kapokmq_pending_remove(ngx_kapokmq_pending_t *pending)
{
    ngx_queue_remove(&pending->queue);
}


ngx_kapokmq_pending_t *
ngx_kapokmq_pending_last(void)
{
    ngx_queue_t  *answers;

    answers = &ngx_kapokmq_gathering->answers;

    if (ngx_queue_empty(answers)) {
        return NULL;
    }

    return ngx_queue_data(ngx_queue_last(answers), ngx_kapokmq_pending_t,
                          queue);
}
