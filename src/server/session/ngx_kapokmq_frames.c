/* Messages of a batch as frames. */

#include "ngx_kapokmq_push.h"


/* Bodies are asked for when so many others are to be composed before, and as
 * far as the processor does not see by itself where this is going. */
#define NGX_KAPOKMQ_AHEAD        4
#define NGX_KAPOKMQ_AHEAD_BYTES  256


size_t
ngx_kapokmq_frames_measure(ngx_kapokmq_frames_t *f)
{
    size_t      total;
    ngx_uint_t  i;

    total = 0;

    for (i = 0; i < f->batch->nmessages; i++) {
        f->len[i] = ngx_kapokmq_compose_len(&f->batch->messages[i]);
        total += KMQ_WS_HEADER_MAX + f->len[i] + NGX_KAPOKMQ_PING_FRAME;
    }

    return total;
}


void
ngx_kapokmq_frames_layout(ngx_kapokmq_frames_t *f)
{
    size_t                at;
    ngx_uint_t            i;
    ngx_kapokmq_chunk_t  *chunk;

    at = 0;
    chunk = f->chunk;

    for (i = 0; i < f->batch->nmessages; i++) {

        f->start[i] = at;

        at += kmq_ws_header_len(f->len[i]) + f->len[i];

        chunk->frames[i].end = at;
        chunk->frames[i].position = f->batch->messages[i].position;

        if (f->ping[i]) {
            at += NGX_KAPOKMQ_PING_FRAME;
        }
    }

    chunk->nframes = i;
}


static ngx_inline void
ngx_kapokmq_frames_ahead(const ngx_kapokmq_frames_t *f, ngx_uint_t i)
{
    size_t                n;
    const u_char         *p;
    const kmq_message_t  *m;

    if (i >= f->batch->nmessages) {
        return;
    }

    m = &f->batch->messages[i];
    p = kmq_body(ngx_kapokmq_worker.kmq, m);

    for (n = 0; n < m->size && n < NGX_KAPOKMQ_AHEAD_BYTES; n += 64) {
        __builtin_prefetch(p + n);
    }
}


void
ngx_kapokmq_frames_compose(ngx_kapokmq_frames_t *f, ngx_uint_t first,
    ngx_uint_t n)
{
    u_char               *p;
    ngx_uint_t            i;
    const kmq_message_t  *m;

    for (i = first; i < first + n; i++) {
        ngx_kapokmq_frames_ahead(f, i + NGX_KAPOKMQ_AHEAD);

        m = &f->batch->messages[i];
        p = f->chunk->bytes + f->start[i];
        p += kmq_ws_header(p, KMQ_WS_TEXT, f->len[i]);
        p = ngx_kapokmq_compose(p, m);

        if (f->ping[i]) {
            (void) ngx_kapokmq_ping_write(p, m->position);
        }
    }
}


u_char *
ngx_kapokmq_frames_head(ngx_kapokmq_frames_t *f, u_char *p, ngx_uint_t i)
{
    p += kmq_ws_header(p, KMQ_WS_TEXT, f->len[i]);

    return ngx_kapokmq_compose_head(p, &f->batch->messages[i]);
}


u_char *
ngx_kapokmq_frames_tail(ngx_kapokmq_frames_t *f, u_char *p, ngx_uint_t i)
{
    const kmq_message_t  *m;

    m = &f->batch->messages[i];
    p = ngx_kapokmq_compose_tail(p, m);

    return f->ping[i] ? ngx_kapokmq_ping_write(p, m->position) : p;
}
