/*
 * Messages go out.  What the engine hands out is composed once into a chunk;
 * each consumer gets its part of it, which may be the same for a thousand of
 * them, in one write.
 *
 *   | message | message | ping | message | message | message | ping |
 *    \___ run of one consumer _/ \________ of another _____________/
 */

#include "ngx_kapokmq_session.h"


/* Bytes composed in one event, and bytes sent, which are more where many get
 * the same; both are stretched by one batch at most. */
#define NGX_KAPOKMQ_PUSH_BYTES    (1024 * 1024)
#define NGX_KAPOKMQ_PUSH_SENT     (8 * 1024 * 1024)

/* The chunk that usually holds all of a batch. */
#define NGX_KAPOKMQ_PUSH_CHUNK    (2 * NGX_KAPOKMQ_PUSH_BYTES)

/* Batches in one event. */
#define NGX_KAPOKMQ_PUSH_BATCHES  4

#define NGX_KAPOKMQ_PING_FRAME    (2 + NGX_KAPOKMQ_PING_LEN)

/* Bodies are asked for when so many others are to be composed before, and as
 * far as the processor does not see by itself where this is going. */
#define NGX_KAPOKMQ_AHEAD         4
#define NGX_KAPOKMQ_AHEAD_BYTES   256


static size_t ngx_kapokmq_push_measure(void);
static ngx_kapokmq_chunk_t *ngx_kapokmq_push_compose(size_t size);
static ngx_kapokmq_chunk_t *ngx_kapokmq_push_chunk(size_t size);
static u_char *ngx_kapokmq_push_message(u_char *p, const kmq_message_t *m,
    size_t len);
static void ngx_kapokmq_push_deliver(ngx_kapokmq_chunk_t *chunk);
static void ngx_kapokmq_push_run(ngx_kapokmq_chunk_t *chunk,
    const kmq_run_t *run);
static void ngx_kapokmq_push_topic(void);
static void ngx_kapokmq_push_pings(void);
static void ngx_kapokmq_push_close(void);
static void ngx_kapokmq_push_failed(ngx_kapokmq_session_t *s);


/* The batch that is being pushed, and for each message of it: */
static kmq_batch_t           ngx_kapokmq_taken;
static size_t                ngx_kapokmq_len[KMQ_BATCH_MESSAGES];
static size_t                ngx_kapokmq_start[KMQ_BATCH_MESSAGES];
static u_char                ngx_kapokmq_ping[KMQ_BATCH_MESSAGES];

/* What follows the data of messages, and of which topic. */
static kmq_push_tail_t       ngx_kapokmq_tail;
static u_char                ngx_kapokmq_tail_topic[KMQ_NAME_MAX];
static size_t                ngx_kapokmq_tail_topic_len;

/* Bytes sent in this event. */
static size_t                ngx_kapokmq_sent;

/* Used again for the next batch unless a slow consumer still needs it. */
static ngx_kapokmq_chunk_t  *ngx_kapokmq_chunk;


void
ngx_kapokmq_push(ngx_event_t *ev)
{
    size_t      left, size;
    ngx_uint_t  n;

    if (ngx_kapokmq_worker.kmq == NULL) {
        return;
    }

    ngx_kapokmq_clock();

    left = NGX_KAPOKMQ_PUSH_BYTES;
    ngx_kapokmq_sent = 0;

    for (n = 0; n < NGX_KAPOKMQ_PUSH_BATCHES; n++) {

        if (left == 0 || ngx_kapokmq_sent >= NGX_KAPOKMQ_PUSH_SENT) {
            break;
        }

        ngx_kapokmq_taken.bytes_max = left;

        if (kmq_take(ngx_kapokmq_worker.kmq, &ngx_kapokmq_taken) == 0) {
            break;
        }

        size = ngx_kapokmq_push_measure();
        left -= ngx_min(left, size);

        ngx_kapokmq_push_deliver(ngx_kapokmq_push_compose(size));
    }

    ngx_kapokmq_push_close();
    ngx_kapokmq_push_pings();

    /* others have their turn before the next batches */

    if (kmq_has_work(ngx_kapokmq_worker.kmq)) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }

    ngx_kapokmq_signal();
}


void
ngx_kapokmq_push_free(void)
{
    ngx_kapokmq_chunk_release(ngx_kapokmq_chunk);
    ngx_kapokmq_chunk = NULL;
}


/* --------------------------------------------------------------- compose */

static ngx_inline void
ngx_kapokmq_push_ahead(ngx_uint_t i)
{
    size_t          n;
    const u_char   *p;
    kmq_message_t  *m;

    if (i >= ngx_kapokmq_taken.nmessages) {
        return;
    }

    m = &ngx_kapokmq_taken.messages[i];
    p = kmq_body(ngx_kapokmq_worker.kmq, m);

    for (n = 0; n < m->size && n < NGX_KAPOKMQ_AHEAD_BYTES; n += 64) {
        __builtin_prefetch(p + n);
    }
}


/* The whole batch, which was measured, as frames; NULL: no memory. */
static ngx_kapokmq_chunk_t *
ngx_kapokmq_push_compose(size_t size)
{
    u_char               *p;
    ngx_uint_t            i;
    kmq_message_t        *m;
    ngx_kapokmq_chunk_t  *chunk;

    chunk = ngx_kapokmq_push_chunk(size);
    if (chunk == NULL) {
        return NULL;
    }

    m = ngx_kapokmq_taken.messages;
    p = chunk->bytes;

    for (i = 0; i < ngx_kapokmq_taken.nmessages; i++) {

        ngx_kapokmq_push_ahead(i + NGX_KAPOKMQ_AHEAD);

        ngx_kapokmq_start[i] = p - chunk->bytes;

        p = ngx_kapokmq_push_message(p, &m[i], ngx_kapokmq_len[i]);

        chunk->frames[i].end = p - chunk->bytes;
        chunk->frames[i].position = m[i].position;

        if (ngx_kapokmq_ping[i]) {
            p += kmq_ws_header(p, KMQ_WS_PING, NGX_KAPOKMQ_PING_LEN);
            p = ngx_sprintf(p, "%08xD", m[i].position);
        }
    }

    chunk->nframes = i;

    return chunk;
}


static void
ngx_kapokmq_push_topic(void)
{
    size_t  len;

    len = ngx_kapokmq_taken.topic_len;

    if (ngx_kapokmq_tail_topic_len == len
        && ngx_memcmp(ngx_kapokmq_tail_topic, ngx_kapokmq_taken.topic, len)
           == 0)
    {
        return;
    }

    ngx_kapokmq_tail_topic_len = len;
    ngx_memcpy(ngx_kapokmq_tail_topic, ngx_kapokmq_taken.topic, len);
    kmq_push_topic(&ngx_kapokmq_tail, ngx_kapokmq_tail_topic, len);
}


/* How long each message's payload is, and where a ping follows: behind a
 * run whose consumer waits for none.  Returns the bytes of it all. */
static size_t
ngx_kapokmq_push_measure(void)
{
    size_t                  total;
    ngx_uint_t              i;
    kmq_run_t              *run;
    kmq_message_t          *m;
    ngx_kapokmq_session_t  *s;

    ngx_kapokmq_push_topic();

    ngx_memzero(ngx_kapokmq_ping, ngx_kapokmq_taken.nmessages);

    total = 0;
    run = ngx_kapokmq_taken.runs;

    for (i = 0; i < ngx_kapokmq_taken.nruns; i++) {
        s = run[i].user;

        if (s->confirm == KMQ_CONFIRM_PONG && !s->pinged) {
            ngx_kapokmq_ping[run[i].first + run[i].count - 1] = 1;
        }
    }

    m = ngx_kapokmq_taken.messages;

    for (i = 0; i < ngx_kapokmq_taken.nmessages; i++) {

        kmq_push_tail(&ngx_kapokmq_tail, m[i].create_time, m[i].delay);

        ngx_kapokmq_len[i] = KMQ_PUSH_HEAD_LEN + m[i].size
                             + ngx_kapokmq_tail.len;

        total += KMQ_WS_HEADER_MAX + ngx_kapokmq_len[i]
                 + NGX_KAPOKMQ_PING_FRAME;
    }

    return total;
}


static ngx_kapokmq_chunk_t *
ngx_kapokmq_push_chunk(size_t size)
{
    ngx_kapokmq_chunk_t  *chunk;

    chunk = ngx_kapokmq_chunk;

    if (chunk && chunk->refs == 1 && chunk->size >= size) {
        return chunk;
    }

    ngx_kapokmq_chunk_release(chunk);

    size = ngx_max(size, NGX_KAPOKMQ_PUSH_CHUNK);

    ngx_kapokmq_chunk = ngx_kapokmq_chunk_create(size, KMQ_BATCH_MESSAGES);

    return ngx_kapokmq_chunk;
}


static u_char *
ngx_kapokmq_push_message(u_char *p, const kmq_message_t *m, size_t len)
{
    char         code[KMQ_CODE_LEN];
    uint32_t     left, n;
    kmq_ref_t    piece;
    const char  *bytes;

    kmq_code(ngx_kapokmq_worker.kmq, m, code);

    p += kmq_ws_header(p, KMQ_WS_TEXT, len);
    p = kmq_push_head(p, code);

    piece = m->body;
    left = m->size;

    for ( ;; ) {
        bytes = kmq_read(ngx_kapokmq_worker.kmq, &piece, &left, &n);

        if (bytes == NULL) {
            break;
        }

        p = ngx_cpymem(p, bytes, n);
    }

    kmq_push_tail(&ngx_kapokmq_tail, m->create_time, m->delay);

    return ngx_cpymem(p, ngx_kapokmq_tail.text, ngx_kapokmq_tail.len);
}


/* --------------------------------------------------------------- deliver */

static void
ngx_kapokmq_push_deliver(ngx_kapokmq_chunk_t *chunk)
{
    ngx_uint_t  i;
    kmq_run_t  *run;

    run = ngx_kapokmq_taken.runs;

    for (i = 0; i < ngx_kapokmq_taken.nruns; i++) {

        if (chunk) {
            ngx_kapokmq_push_run(chunk, &run[i]);

        } else {
            /* they leave, and their messages go to others */
            ngx_kapokmq_push_failed(run[i].user);
        }
    }

    /* a chunk for large messages is not kept */

    if (chunk && chunk->size > NGX_KAPOKMQ_PUSH_CHUNK) {
        ngx_kapokmq_chunk_release(chunk);
        ngx_kapokmq_chunk = NULL;
    }
}


static void
ngx_kapokmq_push_run(ngx_kapokmq_chunk_t *chunk, const kmq_run_t *run)
{
    size_t                  start, end;
    ngx_int_t               rc;
    ngx_uint_t              last;
    ngx_kapokmq_session_t  *s;

    s = run->user;
    last = run->first + run->count - 1;
    end = chunk->frames[last].end;

    if (!ngx_kapokmq_taken.again) {
        s->position = chunk->frames[last].position;
    }

    if (ngx_kapokmq_ping[last] && s->confirm == KMQ_CONFIRM_PONG
        && !s->pinged)
    {
        s->pinged = 1;
        s->ping = chunk->frames[last].position;
        end += NGX_KAPOKMQ_PING_FRAME;
    }

    start = ngx_kapokmq_start[run->first];
    ngx_kapokmq_sent += end - start;

    rc = ngx_kapokmq_output_send(s, chunk, start, end);

    if (rc == NGX_ERROR) {
        ngx_kapokmq_push_failed(s);
        return;
    }

    s->messages += run->count;

    if (rc == NGX_AGAIN) {
        s->role->settle(s);
    }
}


/* Not here, where the batch still refers to it: the session's own handler
 * ends it. */
static void
ngx_kapokmq_push_failed(ngx_kapokmq_session_t *s)
{
    if (s->client) {
        kmq_set_ready(ngx_kapokmq_worker.kmq, s->client, 0);
    }

    s->failed = 1;
    ngx_kapokmq_session_wake(s);
}


/* ---------------------------------------------------------- besides that */

void
ngx_kapokmq_want_ping(ngx_kapokmq_session_t *s)
{
    if (!s->queued) {
        ngx_queue_insert_tail(&ngx_kapokmq_worker.pings, &s->queue);
        s->queued = 1;
    }

    ngx_post_event(&ngx_kapokmq_worker.push, &ngx_posted_events);
}


/* Those that no batch has brought a ping. */
static void
ngx_kapokmq_push_pings(void)
{
    ngx_queue_t            *q;
    ngx_kapokmq_session_t  *s;

    while (!ngx_queue_empty(&ngx_kapokmq_worker.pings)) {

        q = ngx_queue_head(&ngx_kapokmq_worker.pings);
        ngx_queue_remove(q);

        s = ngx_queue_data(q, ngx_kapokmq_session_t, queue);
        s->queued = 0;

        if (s->pinged || s->failed || s->state != NGX_KAPOKMQ_OPEN) {
            continue;
        }

        if (ngx_kapokmq_consumer_ping(s) != NGX_OK
            || ngx_kapokmq_output_flush(s) == NGX_ERROR)
        {
            ngx_kapokmq_push_failed(s);
            continue;
        }

        s->role->settle(s);
    }
}


/* Clients that have to go get a close frame that says why. */
static void
ngx_kapokmq_push_close(void)
{
    int                     why;
    ngx_int_t               rc;
    ngx_kapokmq_session_t  *s;

    for ( ;; ) {
        s = kmq_to_close(ngx_kapokmq_worker.kmq, &why);

        if (s == NULL) {
            return;
        }

        ngx_kapokmq_session_leave(s);

        if (why == KMQ_TOO_SLOW) {
            ngx_log_error(NGX_LOG_INFO, s->connection->log, 0,
                          "consumer is too slow and is disconnected");

            rc = ngx_kapokmq_session_close(s, KMQ_WS_TRY_AGAIN_LATER,
                                           "too slow for the other consumers");

        } else {
            ngx_log_error(NGX_LOG_NOTICE, s->connection->log, 0,
                          "client is disconnected by an operator");

            rc = ngx_kapokmq_session_close(s, KMQ_WS_POLICY,
                                           "disconnected by an operator");
        }

        if (rc != NGX_OK) {
            s->failed = 1;
        }

        ngx_kapokmq_session_wake(s);
    }
}
