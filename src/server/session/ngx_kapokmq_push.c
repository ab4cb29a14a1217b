/*
 * Batches of messages go out to WebSocket consumers: see ngx_kapokmq_push.h.
 */

#include "ngx_kapokmq_push.h"


/* The chunk that usually holds all of a batch; one for large messages is not
 * kept. */
#define NGX_KAPOKMQ_PUSH_CHUNK  (2 * 1024 * 1024)

/* Messages of so many bytes, on the average, are sent from where they lie. */
#define NGX_KAPOKMQ_IN_PLACE    4096


static size_t ngx_kapokmq_push(const kmq_batch_t *batch, const kmq_run_t *run,
    ngx_uint_t n, size_t *sent);
static size_t ngx_kapokmq_push_measure(ngx_kapokmq_frames_t *f,
    const kmq_run_t *run, ngx_uint_t n);
static ngx_kapokmq_chunk_t *ngx_kapokmq_push_chunk(size_t size);
static size_t ngx_kapokmq_push_run(ngx_kapokmq_frames_t *f,
    const kmq_run_t *run);
static ngx_int_t ngx_kapokmq_push_in_place(ngx_kapokmq_session_t *s,
    ngx_kapokmq_frames_t *f, const kmq_run_t *run, size_t end);
static ngx_int_t ngx_kapokmq_push_refuse(ngx_kapokmq_consumer_t *c,
    const u_char *text, size_t len);
static void ngx_kapokmq_push_failed(ngx_kapokmq_session_t *s);


const ngx_kapokmq_transport_t  ngx_kapokmq_websocket = {
    ngx_kapokmq_push,
    ngx_kapokmq_ping_turn,
    ngx_kapokmq_push_refuse
};


/* The batch that is being pushed. */
static ngx_kapokmq_frames_t  ngx_kapokmq_frames;

/* Whether its data is sent from where it lies. */
static ngx_uint_t            ngx_kapokmq_in_place;

/* Used again for the next batch unless a slow consumer still needs it. */
static ngx_kapokmq_chunk_t  *ngx_kapokmq_chunk;


static size_t
ngx_kapokmq_push(const kmq_batch_t *batch, const kmq_run_t *run, ngx_uint_t n,
    size_t *sent)
{
    size_t                 size;
    ngx_uint_t             i;
    ngx_kapokmq_frames_t  *f;

    f = &ngx_kapokmq_frames;
    f->batch = batch;

    size = ngx_kapokmq_push_measure(f, run, n);
    f->chunk = ngx_kapokmq_push_chunk(size);

    if (f->chunk == NULL) {

        /* they leave, and their messages go to others */

        for (i = 0; i < n; i++) {
            ngx_kapokmq_push_failed(ngx_kapokmq_session_of(run[i].user));
        }

        return size;
    }

    ngx_kapokmq_frames_layout(f);

    if (!ngx_kapokmq_in_place) {
        ngx_kapokmq_frames_compose(f, 0, batch->nmessages);
    }

    for (i = 0; i < n; i++) {
        *sent += ngx_kapokmq_push_run(f, &run[i]);
    }

    if (f->chunk->size > NGX_KAPOKMQ_PUSH_CHUNK) {
        ngx_kapokmq_push_free();
    }

    return size;
}


/* What each message needs, and where a ping follows: behind a run whose
 * consumer waits for none. */
static size_t
ngx_kapokmq_push_measure(ngx_kapokmq_frames_t *f, const kmq_run_t *run,
    ngx_uint_t n)
{
    size_t                  total;
    ngx_uint_t              i, pushes;
    ngx_kapokmq_session_t  *s;

    ngx_kapokmq_compose_begin(f->batch);

    ngx_memzero(f->ping, f->batch->nmessages);

    pushes = 0;

    for (i = 0; i < n; i++) {
        s = ngx_kapokmq_session_of(run[i].user);
        pushes += run[i].count;

        if (s->consumer.confirm == KMQ_CONFIRM_PONG && !s->pinged) {
            f->ping[run[i].first + run[i].count - 1] = 1;
        }
    }

    total = ngx_kapokmq_frames_measure(f);
    n = f->batch->nmessages;

    ngx_kapokmq_in_place = pushes == n && total / n >= NGX_KAPOKMQ_IN_PLACE;

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


void
ngx_kapokmq_push_free(void)
{
    ngx_kapokmq_chunk_release(ngx_kapokmq_chunk);
    ngx_kapokmq_chunk = NULL;
}


/* Returns the bytes that the consumer gets. */
static size_t
ngx_kapokmq_push_run(ngx_kapokmq_frames_t *f, const kmq_run_t *run)
{
    size_t                  start, end;
    ngx_int_t               rc;
    ngx_uint_t              last;
    ngx_kapokmq_frame_t    *frame;
    ngx_kapokmq_session_t  *s;

    s = ngx_kapokmq_session_of(run->user);
    last = run->first + run->count - 1;
    frame = &f->chunk->frames[last];
    end = frame->end;

    if (f->ping[last] && s->consumer.confirm == KMQ_CONFIRM_PONG
        && !s->pinged)
    {
        s->pinged = 1;
        s->ping = frame->position;
        end += NGX_KAPOKMQ_PING_FRAME;
    }

    start = f->start[run->first];

    rc = ngx_kapokmq_in_place
         ? ngx_kapokmq_push_in_place(s, f, run, end)
         : ngx_kapokmq_output_send(s, f->chunk, run->first, start, end);

    if (rc == NGX_ERROR) {
        ngx_kapokmq_push_failed(s);
        return end - start;
    }

    s->client.messages += run->count;

    if (rc == NGX_AGAIN) {
        s->role->settle(s);
    }

    return end - start;
}


static ngx_int_t
ngx_kapokmq_push_in_place(ngx_kapokmq_session_t *s, ngx_kapokmq_frames_t *f,
    const kmq_run_t *run, size_t end)
{
    ssize_t  pos;

    pos = ngx_kapokmq_writev_send(s, f, run);

    if (pos == NGX_ERROR) {
        return NGX_ERROR;
    }

    if ((size_t) pos < end) {
        /* before anything is confirmed, and its memory used anew */
        ngx_kapokmq_frames_compose(f, run->first, run->count);

        if (ngx_kapokmq_output_direct(s)) {
            return ngx_kapokmq_output_send(s, f->chunk, run->first, pos, end);
        }
    }

    return ngx_kapokmq_output_rest(s, f->chunk, run->first, pos, end);
}


static ngx_int_t
ngx_kapokmq_push_refuse(ngx_kapokmq_consumer_t *c, const u_char *text,
    size_t len)
{
    return ngx_kapokmq_output_frame(ngx_kapokmq_session_of(c), KMQ_WS_TEXT,
                                    text, len);
}


static void
ngx_kapokmq_push_failed(ngx_kapokmq_session_t *s)
{
    ngx_kapokmq_consumer_ready(&s->consumer, 0);
    ngx_kapokmq_session_failed(s);
}
