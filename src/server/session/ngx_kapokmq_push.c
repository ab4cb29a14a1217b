/*
 * Messages go out.  What the engine hands out is composed once into a chunk;
 * each consumer gets its part of it, which may be the same for a thousand of
 * them, in one write.
 *
 *   | message | message | ping | message | message | message | ping |
 *    \___ run of one consumer _/ \________ of another _____________/
 *
 * Large messages that go to one consumer each are gathered from where they
 * lie instead; the chunk then has what stands around their data.
 */

#include "ngx_kapokmq_session_internal.h"


/* Bytes composed in one event, and bytes sent, which are more where many get
 * the same; both are stretched by one batch at most. */
#define NGX_KAPOKMQ_PUSH_BYTES    (1024 * 1024)
#define NGX_KAPOKMQ_PUSH_SENT     (8 * 1024 * 1024)

/* The chunk that usually holds all of a batch. */
#define NGX_KAPOKMQ_PUSH_CHUNK    (2 * NGX_KAPOKMQ_PUSH_BYTES)

/* Batches in one event. */
#define NGX_KAPOKMQ_PUSH_BATCHES  4

/* Clients closed in one event. */
#define NGX_KAPOKMQ_PUSH_CLOSES   64

#define NGX_KAPOKMQ_PING_FRAME    (2 + NGX_KAPOKMQ_PING_LEN)

/* Bodies are asked for when so many others are to be composed before, and as
 * far as the processor does not see by itself where this is going. */
#define NGX_KAPOKMQ_AHEAD         4
#define NGX_KAPOKMQ_AHEAD_BYTES   256

/* Messages of so many bytes, on the average, are sent from where they lie, so
 * many pieces of them, and of what stands in between, at once. */
#define NGX_KAPOKMQ_GATHERED      4096
#define NGX_KAPOKMQ_IOVS          512


static size_t ngx_kapokmq_push_measure(void);
static ngx_kapokmq_chunk_t *ngx_kapokmq_push_layout(size_t size);
static void ngx_kapokmq_push_compose(ngx_kapokmq_chunk_t *chunk,
    ngx_uint_t first, ngx_uint_t n);
static u_char *ngx_kapokmq_push_begin(u_char *p, ngx_uint_t i);
static u_char *ngx_kapokmq_push_end(u_char *p, ngx_uint_t i);
static ngx_kapokmq_chunk_t *ngx_kapokmq_push_chunk(size_t size);
static u_char *ngx_kapokmq_push_message(u_char *p, ngx_uint_t i);
static ngx_int_t ngx_kapokmq_push_gather(ngx_kapokmq_session_t *s,
    ngx_kapokmq_chunk_t *chunk, const kmq_run_t *run, size_t end);
static void ngx_kapokmq_push_deliver(ngx_kapokmq_chunk_t *chunk);
static void ngx_kapokmq_push_run(ngx_kapokmq_chunk_t *chunk,
    const kmq_run_t *run);
static void ngx_kapokmq_push_topic(void);
static void ngx_kapokmq_push_pings(void);
static ngx_uint_t ngx_kapokmq_push_close(void);
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

/* Whether the batch's data is sent from where it lies: each message goes to
 * one consumer, and copying is what costs. */
static ngx_uint_t            ngx_kapokmq_gathers;

/* Bytes sent in this event. */
static size_t                ngx_kapokmq_sent;

/* Used again for the next batch unless a slow consumer still needs it. */
static ngx_kapokmq_chunk_t  *ngx_kapokmq_chunk;


void
ngx_kapokmq_push(ngx_event_t *ev)
{
    size_t      left, size;
    ngx_uint_t  n, more;

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

        ngx_kapokmq_push_deliver(ngx_kapokmq_push_layout(size));
    }

    more = ngx_kapokmq_push_close();
    ngx_kapokmq_push_pings();

    /* others have their turn before the next batches */

    if (more || kmq_has_work(ngx_kapokmq_worker.kmq)) {
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


/* A chunk with a place for each frame of the batch, which was measured; NULL:
 * no memory. */
static ngx_kapokmq_chunk_t *
ngx_kapokmq_push_layout(size_t size)
{
    size_t                at;
    ngx_uint_t            i;
    ngx_kapokmq_chunk_t  *chunk;

    chunk = ngx_kapokmq_push_chunk(size);
    if (chunk == NULL) {
        return NULL;
    }

    at = 0;

    for (i = 0; i < ngx_kapokmq_taken.nmessages; i++) {

        ngx_kapokmq_start[i] = at;

        at += kmq_ws_header_len(ngx_kapokmq_len[i]) + ngx_kapokmq_len[i];

        chunk->frames[i].end = at;
        chunk->frames[i].position = ngx_kapokmq_taken.messages[i].position;

        if (ngx_kapokmq_ping[i]) {
            at += NGX_KAPOKMQ_PING_FRAME;
        }
    }

    chunk->nframes = i;

    return chunk;
}


/* Writes n frames to their places. */
static void
ngx_kapokmq_push_compose(ngx_kapokmq_chunk_t *chunk, ngx_uint_t first,
    ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = first; i < first + n; i++) {
        ngx_kapokmq_push_ahead(i + NGX_KAPOKMQ_AHEAD);
        (void) ngx_kapokmq_push_message(chunk->bytes + ngx_kapokmq_start[i],
                                        i);
    }
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
    ngx_uint_t              i, pushes;
    kmq_run_t              *run;
    kmq_message_t          *m;
    ngx_kapokmq_session_t  *s;

    ngx_kapokmq_push_topic();

    ngx_memzero(ngx_kapokmq_ping, ngx_kapokmq_taken.nmessages);

    total = 0;
    pushes = 0;
    run = ngx_kapokmq_taken.runs;

    for (i = 0; i < ngx_kapokmq_taken.nruns; i++) {
        s = run[i].user;
        pushes += run[i].count;

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

    ngx_kapokmq_gathers = pushes == i && total / i >= NGX_KAPOKMQ_GATHERED;

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


/* What stands before a message's data, */
static u_char *
ngx_kapokmq_push_begin(u_char *p, ngx_uint_t i)
{
    char  code[KMQ_CODE_LEN];

    kmq_code(ngx_kapokmq_worker.kmq, &ngx_kapokmq_taken.messages[i], code);

    p += kmq_ws_header(p, KMQ_WS_TEXT, ngx_kapokmq_len[i]);

    return kmq_push_head(p, code);
}


/* and what stands behind it. */
static u_char *
ngx_kapokmq_push_end(u_char *p, ngx_uint_t i)
{
    kmq_message_t  *m;

    m = &ngx_kapokmq_taken.messages[i];

    kmq_push_tail(&ngx_kapokmq_tail, m->create_time, m->delay);

    p = ngx_cpymem(p, ngx_kapokmq_tail.text, ngx_kapokmq_tail.len);

    if (ngx_kapokmq_ping[i]) {
        p += kmq_ws_header(p, KMQ_WS_PING, NGX_KAPOKMQ_PING_LEN);
        p = ngx_sprintf(p, "%08xD", m->position);
    }

    return p;
}


static u_char *
ngx_kapokmq_push_message(u_char *p, ngx_uint_t i)
{
    uint32_t        left, n;
    kmq_ref_t       piece;
    const char     *bytes;
    kmq_message_t  *m;

    m = &ngx_kapokmq_taken.messages[i];
    piece = m->body;
    left = m->size;

    p = ngx_kapokmq_push_begin(p, i);

    for ( ;; ) {
        bytes = kmq_read(ngx_kapokmq_worker.kmq, &piece, &left, &n);

        if (bytes == NULL) {
            break;
        }

        p = ngx_cpymem(p, bytes, n);
    }

    return ngx_kapokmq_push_end(p, i);
}


/* ---------------------------------------------------------------- gather */

typedef struct {
    ngx_uint_t     n;
    size_t         size;
    struct iovec   iov[NGX_KAPOKMQ_IOVS];
} ngx_kapokmq_iovs_t;

static ngx_kapokmq_iovs_t  ngx_kapokmq_iovs;


/* Adds bytes, which may be next to those before. */
static void
ngx_kapokmq_iovs_add(ngx_kapokmq_iovs_t *v, const void *bytes, size_t size)
{
    struct iovec  *last;

    last = v->n ? &v->iov[v->n - 1] : NULL;
    v->size += size;

    if (last && (u_char *) last->iov_base + last->iov_len == bytes) {
        last->iov_len += size;
        return;
    }

    v->iov[v->n].iov_base = (void *) bytes;
    v->iov[v->n].iov_len = size;
    v->n++;
}


/* Adds a message, all but its data written at p, or returns NULL: no room for
 * as many pieces. */
static u_char *
ngx_kapokmq_iovs_message(ngx_kapokmq_iovs_t *v, u_char *p, ngx_uint_t i)
{
    size_t          size, len;
    u_char         *end;
    uint32_t        left, n;
    kmq_ref_t       piece;
    ngx_uint_t      before;
    const char     *bytes;

    before = v->n;
    size = v->size;
    len = before ? v->iov[before - 1].iov_len : 0;

    if (before + 3 > NGX_KAPOKMQ_IOVS) {
        return NULL;
    }

    end = ngx_kapokmq_push_begin(p, i);
    ngx_kapokmq_iovs_add(v, p, end - p);

    piece = ngx_kapokmq_taken.messages[i].body;
    left = ngx_kapokmq_taken.messages[i].size;

    while ((bytes = kmq_read(ngx_kapokmq_worker.kmq, &piece, &left, &n))) {

        if (v->n + 1 == NGX_KAPOKMQ_IOVS) {
            v->n = before;
            v->size = size;

            if (before) {
                v->iov[before - 1].iov_len = len;
            }

            return NULL;
        }

        ngx_kapokmq_iovs_add(v, bytes, n);
    }

    p = end;
    end = ngx_kapokmq_push_end(p, i);
    ngx_kapokmq_iovs_add(v, p, end - p);

    return end;
}


/* Sends what was added; NGX_AGAIN: not all of it. */
static ngx_int_t
ngx_kapokmq_iovs_send(ngx_kapokmq_iovs_t *v, ngx_connection_t *c, size_t *sent)
{
    ssize_t      n;
    ngx_iovec_t  vec;

    vec.iovs = v->iov;
    vec.count = v->n;
    vec.size = v->size;
    vec.nalloc = NGX_KAPOKMQ_IOVS;

    n = ngx_writev(c, &vec);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    n = ngx_max(n, 0);

    c->sent += n;
    *sent += n;

    if ((size_t) n < v->size) {
        c->write->ready = 0;
        return NGX_AGAIN;
    }

    v->n = 0;
    v->size = 0;

    return NGX_OK;
}


/* The same as composing a run and sending it, without copying its data as long
 * as the connection takes it. */
static ngx_int_t
ngx_kapokmq_push_gather(ngx_kapokmq_session_t *s, ngx_kapokmq_chunk_t *chunk,
    const kmq_run_t *run, size_t end)
{
    size_t               pos;
    u_char              *p, *next;
    ngx_int_t            rc;
    ngx_uint_t           i;
    ngx_kapokmq_iovs_t  *v;

    v = &ngx_kapokmq_iovs;
    v->n = 0;
    v->size = 0;

    pos = ngx_kapokmq_start[run->first];
    p = chunk->bytes + pos;
    i = run->first;
    rc = NGX_AGAIN;

    /* TLS encrypts what it is given, so that goes the other way */

    while (!ngx_kapokmq_tls(s->connection) && ngx_kapokmq_output_direct(s)) {

        next = i < run->first + run->count ? ngx_kapokmq_iovs_message(v, p, i)
                                           : NULL;
        if (next) {
            p = next;
            i++;
            continue;
        }

        if (v->n == 0) {
            break;
        }

        rc = ngx_kapokmq_iovs_send(v, s->connection, &pos);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    if (pos < end) {
        /* before anything is confirmed, and its memory used anew */
        ngx_kapokmq_push_compose(chunk, run->first, run->count);

        if (ngx_kapokmq_output_direct(s)) {
            return ngx_kapokmq_output_send(s, chunk, run->first, pos, end);
        }
    }

    return ngx_kapokmq_output_rest(s, chunk, run->first, pos, end);
}


/* --------------------------------------------------------------- deliver */

static void
ngx_kapokmq_push_deliver(ngx_kapokmq_chunk_t *chunk)
{
    ngx_uint_t  i;
    kmq_run_t  *run;

    run = ngx_kapokmq_taken.runs;

    if (chunk && !ngx_kapokmq_gathers) {
        ngx_kapokmq_push_compose(chunk, 0, ngx_kapokmq_taken.nmessages);
    }

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

    rc = ngx_kapokmq_gathers ? ngx_kapokmq_push_gather(s, chunk, run, end)
                             : ngx_kapokmq_output_send(s, chunk, run->first,
                                                       start, end);

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


/* Clients that have to go get a close frame that says why.  1 when there may be
 * more of them than in one turn. */
static ngx_uint_t
ngx_kapokmq_push_close(void)
{
    int                     why;
    ngx_int_t               rc;
    ngx_uint_t              n;
    ngx_kapokmq_session_t  *s;

    for (n = 0; n < NGX_KAPOKMQ_PUSH_CLOSES; n++) {
        s = kmq_to_close(ngx_kapokmq_worker.kmq, &why);

        if (s == NULL) {
            return 0;
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

    return 1;
}
