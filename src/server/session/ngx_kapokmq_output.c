/*
 * What a session sends: pushes, from chunks that any number of sessions
 * share, and answers, which are gathered and written once for each event.
 * Accepted messages are answered from a buffer of "ok" frames, so that those
 * which a producer does not read are but a number.
 */

#include "ngx_kapokmq_session_inside.h"


/* Answers other than "ok" share chunks of this size. */
#define NGX_KAPOKMQ_ANSWERS  512

/* So many connections that wait for the same chunk do not copy from it. */
#define NGX_KAPOKMQ_SHARED   8

#define NGX_KAPOKMQ_OK_LEN   4
#define NGX_KAPOKMQ_OKS      4096


static ngx_int_t ngx_kapokmq_output_header(ngx_kapokmq_session_t *s);
static ngx_int_t ngx_kapokmq_output_keep(ngx_kapokmq_session_t *s,
    ngx_kapokmq_chunk_t *chunk, ngx_uint_t first, size_t pos, size_t end);
static ngx_int_t ngx_kapokmq_output_append(ngx_kapokmq_session_t *s,
    ngx_kapokmq_chunk_t *chunk, ngx_uint_t first, size_t pos, size_t end);
static void ngx_kapokmq_output_shift(ngx_kapokmq_session_t *s);
static void ngx_kapokmq_output_sent(ngx_kapokmq_session_t *s,
    ngx_kapokmq_chunk_t *chunk, ngx_uint_t first, size_t pos);
static u_char *ngx_kapokmq_output_room(ngx_kapokmq_session_t *s, size_t size);


static u_char  ngx_kapokmq_oks[NGX_KAPOKMQ_OKS * NGX_KAPOKMQ_OK_LEN];


void
ngx_kapokmq_output_init(void)
{
    u_char  *p, *last;

    last = ngx_kapokmq_oks + sizeof(ngx_kapokmq_oks);

    for (p = ngx_kapokmq_oks; p < last; p += NGX_KAPOKMQ_OK_LEN) {
        kmq_ws_header(p, KMQ_WS_TEXT, 2);
        p[2] = 'o';
        p[3] = 'k';
    }
}


/* ---------------------------------------------------------------- sending */

ngx_int_t
ngx_kapokmq_output_direct(ngx_kapokmq_session_t *s)
{
    ngx_connection_t  *c;

    c = s->connection;

    return s->out == NULL && c->write->ready && !c->buffered
           && !(s->request && s->request->buffered);
}


ngx_int_t
ngx_kapokmq_output_send(ngx_kapokmq_session_t *s, ngx_kapokmq_chunk_t *chunk,
    ngx_uint_t first, size_t pos, size_t end)
{
    ssize_t            n;
    ngx_connection_t  *c;

    /* mostly nothing waits, and the connection takes all of it */

    if (ngx_kapokmq_output_direct(s)) {

        c = s->connection;
        n = c->send(c, chunk->bytes + pos, end - pos);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        pos += ngx_max(n, 0);
        s->said = ngx_current_msec;
    }

    return ngx_kapokmq_output_rest(s, chunk, first, pos, end);
}


ngx_int_t
ngx_kapokmq_output_rest(ngx_kapokmq_session_t *s, ngx_kapokmq_chunk_t *chunk,
    ngx_uint_t first, size_t pos, size_t end)
{
    ngx_kapokmq_output_sent(s, chunk, first, pos);

    if (pos == end) {
        return NGX_OK;
    }

    if (ngx_kapokmq_output_keep(s, chunk, first, pos, end) != NGX_OK) {
        return NGX_ERROR;
    }

    return (ngx_handle_write_event(s->connection->write, 0) == NGX_OK)
           ? NGX_AGAIN : NGX_ERROR;
}


/* Queues what a connection has not taken of a chunk: a little of a large one
 * as a copy, so that slow clients do not hold more than they wait for. */
static ngx_int_t
ngx_kapokmq_output_keep(ngx_kapokmq_session_t *s, ngx_kapokmq_chunk_t *chunk,
    ngx_uint_t first, size_t pos, size_t end)
{
    ngx_int_t             rc;
    ngx_uint_t            i, last;
    ngx_kapokmq_chunk_t  *cut;

    i = ngx_kapokmq_chunk_frames(chunk, pos);
    last = ngx_kapokmq_chunk_frames(chunk, end);

    /* TLS wants the same address again; many share better than they copy */

    if (ngx_kapokmq_tls(s->connection) || chunk->refs > NGX_KAPOKMQ_SHARED
        || (end - pos) * 4 > chunk->size || i == last)
    {
        return ngx_kapokmq_output_append(s, chunk, first, pos, end);
    }

    cut = ngx_kapokmq_chunk_create(end - pos, last - i);
    if (cut == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(cut->bytes, chunk->bytes + pos, end - pos);

    for ( /* void */ ; i < last; i++) {
        cut->frames[cut->nframes] = chunk->frames[i];
        cut->frames[cut->nframes++].end -= pos;
    }

    rc = ngx_kapokmq_output_append(s, cut, 0, 0, end - pos);

    /* the queue holds it now */
    ngx_kapokmq_chunk_release(cut);

    return rc;
}


ngx_int_t
ngx_kapokmq_output_flush(ngx_kapokmq_session_t *s)
{
    size_t              size, at;
    u_char             *p;
    ssize_t             n;
    ngx_int_t           rc;
    ngx_connection_t   *c;
    ngx_kapokmq_out_t  *out;

    c = s->connection;

    rc = ngx_kapokmq_output_header(s);
    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    while (rc == NGX_OK && s->out && c->write->ready) {
        out = s->out;
        size = out->end - out->pos;

        if (out->chunk) {
            p = out->chunk->bytes + out->pos;

        } else {
            at = out->pos % NGX_KAPOKMQ_OK_LEN;
            p = ngx_kapokmq_oks + at;
            size = ngx_min(size, sizeof(ngx_kapokmq_oks) - at);
        }

        n = c->send(c, p, size);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (n <= 0) {
            break;
        }

        out->pos += n;
        s->said = ngx_current_msec;

        if (out->chunk) {
            ngx_kapokmq_output_sent(s, out->chunk, out->first, out->pos);
        }

        if (out->pos == out->end) {
            ngx_kapokmq_output_shift(s);
        }
    }

    if (rc == NGX_OK && s->out == NULL) {
        return NGX_OK;
    }

    return (ngx_handle_write_event(c->write, 0) == NGX_OK) ? NGX_AGAIN
                                                           : NGX_ERROR;
}


/* What nginx has not yet written of the response's header. */
static ngx_int_t
ngx_kapokmq_output_header(ngx_kapokmq_session_t *s)
{
    ngx_http_request_t  *r;

    r = s->request;

    /* one that was given back had written it */

    if (r && (r->buffered || r->connection->buffered)) {

        if (ngx_http_output_filter(r, NULL) == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (r->buffered || r->connection->buffered) {
            return NGX_AGAIN;
        }
    }

    return NGX_OK;
}


static void
ngx_kapokmq_output_sent(ngx_kapokmq_session_t *s, ngx_kapokmq_chunk_t *chunk,
    ngx_uint_t first, size_t pos)
{
    ngx_uint_t  n;

    if (chunk->nframes == 0 || s->role->sent == NULL) {
        return;
    }

    n = ngx_kapokmq_chunk_frames(chunk, pos);

    /* what stands before first is others' */

    if (n > first) {
        s->role->sent(s, chunk->frames[n - 1].position);
    }
}


/* ------------------------------------------------------------------ queue */

static ngx_int_t
ngx_kapokmq_output_append(ngx_kapokmq_session_t *s,
    ngx_kapokmq_chunk_t *chunk, ngx_uint_t first, size_t pos, size_t end)
{
    ngx_kapokmq_out_t  *out;

    out = ngx_alloc(sizeof(ngx_kapokmq_out_t), s->connection->log);
    if (out == NULL) {
        return NGX_ERROR;
    }

    out->next = NULL;
    out->chunk = chunk;
    out->first = first;
    out->pos = pos;
    out->end = end;

    if (chunk) {
        chunk->refs++;
    }

    if (s->out == NULL) {
        s->out_last = &s->out;
    }

    *s->out_last = out;
    s->out_last = &out->next;

    return NGX_OK;
}


static void
ngx_kapokmq_output_shift(ngx_kapokmq_session_t *s)
{
    ngx_kapokmq_out_t  *out;

    out = s->out;
    s->out = out->next;

    if (out->chunk) {

        if (out->chunk->nframes == 0) {
            s->answers -= out->chunk->used;
        }

        ngx_kapokmq_chunk_release(out->chunk);
    }

    ngx_free(out);
}


void
ngx_kapokmq_output_free(ngx_kapokmq_session_t *s)
{
    while (s->out) {
        ngx_kapokmq_output_shift(s);
    }
}


/* ---------------------------------------------------------------- answers */

/* The queue's last element, NULL when it is empty. */
static ngx_kapokmq_out_t *
ngx_kapokmq_output_tail(ngx_kapokmq_session_t *s)
{
    if (s->out == NULL) {
        return NULL;
    }

    return (ngx_kapokmq_out_t *) ((u_char *) s->out_last
                                  - offsetof(ngx_kapokmq_out_t, next));
}


ngx_int_t
ngx_kapokmq_output_oks(ngx_kapokmq_session_t *s, ngx_uint_t n)
{
    ngx_kapokmq_out_t  *out;

    if (s->state >= NGX_KAPOKMQ_CLOSING) {
        return NGX_OK;
    }

    out = ngx_kapokmq_output_tail(s);

    if (out && out->chunk == NULL) {
        out->end += n * NGX_KAPOKMQ_OK_LEN;
        return NGX_OK;
    }

    return ngx_kapokmq_output_append(s, NULL, 0, 0, n * NGX_KAPOKMQ_OK_LEN);
}


/* Room for size bytes of answers at the end of the queue, NULL: no memory. */
static u_char *
ngx_kapokmq_output_room(ngx_kapokmq_session_t *s, size_t size)
{
    u_char               *p;
    ngx_int_t             rc;
    ngx_kapokmq_out_t    *out;
    ngx_kapokmq_chunk_t  *chunk;

    out = ngx_kapokmq_output_tail(s);

    if (out == NULL || out->chunk == NULL || out->chunk->nframes
        || out->chunk->size - out->chunk->used < size)
    {
        chunk = ngx_kapokmq_chunk_create(ngx_max(size, NGX_KAPOKMQ_ANSWERS),
                                         0);
        if (chunk == NULL) {
            return NULL;
        }

        rc = ngx_kapokmq_output_append(s, chunk, 0, 0, 0);

        /* the queue holds it now */
        ngx_kapokmq_chunk_release(chunk);

        if (rc != NGX_OK) {
            return NULL;
        }

        out = ngx_kapokmq_output_tail(s);
    }

    p = out->chunk->bytes + out->chunk->used;

    out->chunk->used += size;
    out->end += size;
    s->answers += size;

    return p;
}


ngx_int_t
ngx_kapokmq_output_frame(ngx_kapokmq_session_t *s, ngx_uint_t opcode,
    const void *payload, size_t size)
{
    u_char         *p;
    size_t          len;
    unsigned char   header[KMQ_WS_HEADER_MAX];

    if (s->state >= NGX_KAPOKMQ_CLOSING) {
        return NGX_OK;
    }

    len = kmq_ws_header(header, opcode, size);

    p = ngx_kapokmq_output_room(s, len + size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(p, header, len);
    ngx_memcpy(p, payload, size);

    return NGX_OK;
}


ngx_int_t
ngx_kapokmq_output_text(ngx_kapokmq_session_t *s, const char *text)
{
    return ngx_kapokmq_output_frame(s, KMQ_WS_TEXT, text, ngx_strlen(text));
}


ngx_int_t
ngx_kapokmq_output_close(ngx_kapokmq_session_t *s, ngx_uint_t code,
    const char *reason)
{
    u_char         *p;
    size_t          len;
    unsigned char   frame[KMQ_WS_CONTROL_MAX + 2];

    s->status = code;

    len = kmq_ws_close(frame, code, reason);

    p = ngx_kapokmq_output_room(s, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, frame, len);

    return NGX_OK;
}
