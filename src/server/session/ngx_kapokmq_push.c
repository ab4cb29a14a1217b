/*
 * Batches of messages go out to WebSocket consumers: see ngx_kapokmq_push.h.
 */

#include "ngx_kapokmq_push.h"


/* Messages of so many bytes, on the average, are sent from where they lie. */
#define NGX_KAPOKMQ_IN_PLACE    4096


static size_t ngx_kapokmq_push(const kmq_batch_t *batch, const kmq_run_t *run,
    ngx_uint_t n, size_t *sent);
static ngx_uint_t ngx_kapokmq_push_apart(const kmq_batch_t *batch,
    const kmq_run_t *run, ngx_uint_t n);
static size_t ngx_kapokmq_push_runs(ngx_kapokmq_frames_t *f,
    const kmq_run_t *run, ngx_uint_t n, size_t *sent);
static ngx_uint_t ngx_kapokmq_push_gets(ngx_kapokmq_frames_t *f,
    const kmq_run_t *run);
static size_t ngx_kapokmq_push_measure(ngx_kapokmq_frames_t *f,
    const kmq_run_t *run, ngx_uint_t n);
static void ngx_kapokmq_push_pings(ngx_kapokmq_frames_t *f,
    const kmq_run_t *run);
static size_t ngx_kapokmq_push_run(ngx_kapokmq_frames_t *f,
    const kmq_run_t *run);
static ngx_uint_t ngx_kapokmq_push_asks(ngx_kapokmq_frames_t *f,
    const kmq_run_t *run);
static ngx_int_t ngx_kapokmq_push_in_place(ngx_kapokmq_session_t *s,
    ngx_kapokmq_frames_t *f, const kmq_run_t *run, size_t end);
static ngx_int_t ngx_kapokmq_push_refuse(ngx_kapokmq_consumer_t *c,
    const u_char *text, size_t len);
static void ngx_kapokmq_push_drop(ngx_kapokmq_session_t *s);
static void ngx_kapokmq_push_failed(ngx_kapokmq_session_t *s);


const ngx_kapokmq_transport_t  ngx_kapokmq_websocket = {
    ngx_kapokmq_push,
    ngx_kapokmq_ping_turn,
    ngx_kapokmq_push_refuse
};


/* The batch that is being pushed. */
static ngx_kapokmq_frames_t  ngx_kapokmq_frames;

/* Whether consumers share messages of it, and whether its data is sent from
 * where it lies. */
static ngx_uint_t            ngx_kapokmq_shared;
static ngx_uint_t            ngx_kapokmq_in_place;


/* Where consumers share messages, those that are pinged more often are a group
 * of their own: the others would have to answer as many pings. */
static size_t
ngx_kapokmq_push(const kmq_batch_t *batch, const kmq_run_t *run, ngx_uint_t n,
    size_t *sent)
{
    size_t                 size;
    ngx_kapokmq_frames_t  *f;

    f = &ngx_kapokmq_frames;
    f->batch = batch;

    ngx_kapokmq_compose_begin(batch);

    if (!ngx_kapokmq_push_apart(batch, run, n)) {
        f->group = NGX_KAPOKMQ_ALL;

        return ngx_kapokmq_push_runs(f, run, n, sent);
    }

    f->group = NGX_KAPOKMQ_QUICK;
    size = ngx_kapokmq_push_runs(f, run, n, sent);

    f->group = NGX_KAPOKMQ_SLOW;

    return size + ngx_kapokmq_push_runs(f, run, n, sent);
}


static ngx_uint_t
ngx_kapokmq_push_apart(const kmq_batch_t *batch, const kmq_run_t *run,
    ngx_uint_t n)
{
    ngx_uint_t  i, pushes, slow;

    pushes = 0;
    slow = 0;

    for (i = 0; i < n; i++) {
        pushes += run[i].count;
        slow += ngx_kapokmq_ping_slow(ngx_kapokmq_session_of(run[i].user));
    }

    ngx_kapokmq_shared = (pushes != batch->nmessages);

    return ngx_kapokmq_shared && slow && slow != n;
}


/* Those of the runs that are of the group. */
static size_t
ngx_kapokmq_push_runs(ngx_kapokmq_frames_t *f, const kmq_run_t *run,
    ngx_uint_t n, size_t *sent)
{
    size_t      size;
    ngx_uint_t  i;

    size = ngx_kapokmq_push_measure(f, run, n);
    f->chunk = ngx_kapokmq_chunk_batch(size);

    if (f->chunk) {
        ngx_kapokmq_frames_layout(f);

        if (!ngx_kapokmq_in_place) {
            ngx_kapokmq_frames_compose(f, 0, f->batch->nmessages);
        }
    }

    for (i = 0; i < n; i++) {

        if (!ngx_kapokmq_push_gets(f, &run[i])) {
            continue;
        }

        if (f->chunk) {
            *sent += ngx_kapokmq_push_run(f, &run[i]);

        } else {
            ngx_kapokmq_push_drop(ngx_kapokmq_session_of(run[i].user));
        }
    }

    ngx_kapokmq_chunk_batch_done();

    return size;
}


static ngx_uint_t
ngx_kapokmq_push_gets(ngx_kapokmq_frames_t *f, const kmq_run_t *run)
{
    return f->group == NGX_KAPOKMQ_ALL
           || f->group
              == ngx_kapokmq_ping_slow(ngx_kapokmq_session_of(run->user));
}


/* What each message needs, and where pings follow. */
static size_t
ngx_kapokmq_push_measure(ngx_kapokmq_frames_t *f, const kmq_run_t *run,
    ngx_uint_t n)
{
    size_t      total;
    ngx_uint_t  i;

    ngx_memzero(f->ping, f->batch->nmessages);

    for (i = 0; i < n; i++) {
        if (ngx_kapokmq_push_gets(f, &run[i])) {
            ngx_kapokmq_push_pings(f, &run[i]);
        }
    }

    total = ngx_kapokmq_frames_measure(f);

    ngx_kapokmq_in_place = !ngx_kapokmq_shared
                           && total / f->batch->nmessages
                              >= NGX_KAPOKMQ_IN_PLACE;

    return total;
}


/* Behind the run, if its consumer waits for no pong; and inside of it, so that
 * there are never many messages without one. */
static void
ngx_kapokmq_push_pings(ngx_kapokmq_frames_t *f, const kmq_run_t *run)
{
    ngx_uint_t              i, end, step;
    ngx_kapokmq_session_t  *s;

    s = ngx_kapokmq_session_of(run->user);

    if (s->consumer.confirm != KMQ_CONFIRM_PONG) {
        return;
    }

    end = run->first + run->count;
    step = ngx_kapokmq_ping_step(s);

    i = run->first + step - 1 - ngx_min(s->unpinged, step - 1);

    for ( /* void */ ; i < end; i += step) {
        f->ping[i] = 1;
    }

    if (!s->pinged) {
        f->ping[end - 1] = 1;
    }
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

    if (s->consumer.confirm == KMQ_CONFIRM_PONG
        && ngx_kapokmq_push_asks(f, run))
    {
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


/* Notes the last of the pings that the consumer gets.  1: that is the one
 * behind the run. */
static ngx_uint_t
ngx_kapokmq_push_asks(ngx_kapokmq_frames_t *f, const kmq_run_t *run)
{
    ngx_uint_t              i, last, behind;
    ngx_kapokmq_session_t  *s;

    s = ngx_kapokmq_session_of(run->user);
    last = run->first + run->count - 1;

    /* it may be there for another one that shares the run */

    behind = f->ping[last]
             && (!s->pinged || (s->unpinged + run->count)
                               % ngx_kapokmq_ping_step(s) == 0);

    for (i = last + behind; i > run->first; i--) {

        if (f->ping[i - 1]) {
            ngx_kapokmq_ping_sent(s, f->chunk->frames[i - 1].position);
            s->unpinged = last + 1 - i;

            return behind;
        }
    }

    s->unpinged += run->count;

    return 0;
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


/* No memory: it leaves, and its messages go to others. */
static void
ngx_kapokmq_push_drop(ngx_kapokmq_session_t *s)
{
    s->ours = 1;
    ngx_kapokmq_push_failed(s);
}


static void
ngx_kapokmq_push_failed(ngx_kapokmq_session_t *s)
{
    ngx_kapokmq_consumer_ready(&s->consumer, 0);
    ngx_kapokmq_session_failed(s);
}
