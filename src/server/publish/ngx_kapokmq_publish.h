/*
 * Messages come in, whoever brings them: room is reserved with the engine, the
 * bodies are written into it, and then they are committed; with isPersistent 2
 * that waits for the disk.
 *
 *   kmq_reserve() -> ngx_kapokmq_publish_write() -> kmq_commit() -> answer
 *                                                \
 *                        ngx_kapokmq_pending_hold() .. disk .. -> handler
 */

#ifndef NGX_KAPOKMQ_PUBLISH_H
#define NGX_KAPOKMQ_PUBLISH_H

#include "../ngx_kapokmq.h"
#include "../worker/ngx_kapokmq_worker.h"
#include "../../protocol/kmq_json.h"


/* Writes the body of a message that has been reserved for data. */
void ngx_kapokmq_publish_write(kmq_message_t *m, const kmq_data_t *data);

/* Commits n messages, a part of them under one lock.  batch: those of that
 * batch, and of earlier ones, are all among them; 0: there is none. */
void ngx_kapokmq_publish_commit(kmq_message_t *m, ngx_uint_t n,
    uint64_t batch);

/* Discards them, in such parts. */
void ngx_kapokmq_publish_discard(kmq_message_t *m, ngx_uint_t n);

/* The handler of kapokmq_send: POST /Producer/Send. */
ngx_int_t ngx_kapokmq_send_handler(ngx_http_request_t *r);


/* -------------------------------------------------------- pending answers */

/* An answer that waits for the disk; part of what its owner knows of it. */
typedef struct ngx_kapokmq_pending_s  ngx_kapokmq_pending_t;

/* NGX_OK: all messages that were held before the answer was added are in the
 * queue.  NGX_ERROR: they are nowhere, for that reason.  The answer is the
 * owner's again. */
typedef void (*ngx_kapokmq_pending_pt)(ngx_kapokmq_pending_t *pending,
    ngx_int_t rc, const char *reason);

struct ngx_kapokmq_pending_s {
    ngx_queue_t              queue;
    ngx_kapokmq_pending_pt   handler;
};

/* What becomes of messages that come now. */
typedef enum {
    NGX_KAPOKMQ_PENDING_NOT,           /* they are committed at once */
    NGX_KAPOKMQ_PENDING_HELD,          /* they wait for the disk */
    NGX_KAPOKMQ_PENDING_REFUSED        /* NGX_KAPOKMQ_SILENT */
} ngx_kapokmq_pending_e;

/* Why messages are refused that are in no stream. */
#define NGX_KAPOKMQ_SILENT  "not stored: the stream does not acknowledge"

/* Of a cluster. */
ngx_kapokmq_pending_e ngx_kapokmq_pending_stream(const ngx_uint_t *owed);

/* owed: how many answers to what the same client sent before are pending; NULL:
 * their order does not matter. */
static inline ngx_kapokmq_pending_e
ngx_kapokmq_pending_now(const ngx_uint_t *owed)
{
    ngx_uint_t  persistent;

    persistent = ngx_kapokmq_worker.persistent;

    if (persistent < NGX_KAPOKMQ_DISK_FIRST) {
        return NGX_KAPOKMQ_PENDING_NOT;
    }

    return persistent == NGX_KAPOKMQ_DISK_FIRST
           ? NGX_KAPOKMQ_PENDING_HELD : ngx_kapokmq_pending_stream(owed);
}


/* Has n messages that are reserved and written go to disk, together with what
 * else is pending; they are that batch, or 0.  NGX_ERROR: no memory, and they
 * are discarded. */
ngx_int_t ngx_kapokmq_pending_hold(kmq_message_t *m, ngx_uint_t n,
    uint64_t batch);

/* Adds an answer, behind all others; takes one away that nobody wants any
 * more. */
void ngx_kapokmq_pending_add(ngx_kapokmq_pending_t *pending);
void ngx_kapokmq_pending_remove(ngx_kapokmq_pending_t *pending);

/* The one that was added last, if it goes along with what is held now; else
 * NULL. */
ngx_kapokmq_pending_t *ngx_kapokmq_pending_last(void);


/* ------------------------------------------------------------ for the disk */

/* Is anything pending, apart from what is being written? */
ngx_uint_t ngx_kapokmq_pending_waiting(void);

/* What is pending is being written from now on. */
void ngx_kapokmq_pending_take(void);

/* It has been, or, with NGX_ERROR, has not, for that reason. */
void ngx_kapokmq_pending_settle(ngx_int_t rc, const char *reason);

void ngx_kapokmq_pending_init(ngx_log_t *log);
void ngx_kapokmq_pending_free(void);

#endif /* NGX_KAPOKMQ_PUBLISH_H */
