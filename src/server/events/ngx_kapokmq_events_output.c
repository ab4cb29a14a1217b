/*
 * What a stream sends.  nginx's filters are given buffers, and read them when
 * the connection has room; so a buffer, and what it points to, stays until it
 * has been read.
 */

#include "ngx_kapokmq_events_inside.h"


#define NGX_KAPOKMQ_EVENTS_WORD  32


static ngx_int_t ngx_kapokmq_events_sent(ngx_kapokmq_stream_t *s);
static ngx_uint_t ngx_kapokmq_events_exact(ngx_http_request_t *r);
static void ngx_kapokmq_events_note(ngx_kapokmq_stream_t *s,
    const ngx_kapokmq_events_out_t *out);


/* What all streams share; they have no room for others. */
static u_char               ngx_kapokmq_events_retry[NGX_KAPOKMQ_EVENTS_WORD];
static ngx_kapokmq_chunk_t  ngx_kapokmq_events_first = {
    1, 0, 0, 0, NULL, ngx_kapokmq_events_retry
};

static u_char               ngx_kapokmq_events_beat[] = ":\n\n";
static ngx_kapokmq_chunk_t  ngx_kapokmq_events_comment = {
    1, 0, 0, 0, NULL, ngx_kapokmq_events_beat
};


ngx_int_t
ngx_kapokmq_events_send(ngx_kapokmq_stream_t *s, ngx_kapokmq_chunk_t *chunk,
    ngx_uint_t first, size_t pos, size_t end)
{
    ngx_chain_t                cl;
    ngx_kapokmq_events_out_t  *out;

    out = ngx_calloc(sizeof(ngx_kapokmq_events_out_t), s->consumer.client.log);
    if (out == NULL) {
        return NGX_ERROR;
    }

    chunk->refs++;

    out->chunk = chunk;
    out->first = first;
    out->buf.start = chunk->bytes + pos;
    out->buf.end = chunk->bytes + end;
    out->buf.pos = out->buf.start;
    out->buf.last = out->buf.end;
    out->buf.memory = 1;
    out->buf.flush = 1;

    *s->out_last = out;
    s->out_last = &out->next;

    s->said = ngx_current_msec;

    cl.buf = &out->buf;
    cl.next = NULL;

    if (ngx_http_output_filter(s->request, &cl) == NGX_ERROR) {
        return NGX_ERROR;
    }

    return ngx_kapokmq_events_sent(s);
}


ngx_int_t
ngx_kapokmq_events_send_retry(ngx_kapokmq_stream_t *s)
{
    u_char  *p;

    p = ngx_sprintf(ngx_kapokmq_events_retry, "retry: %d\n\n",
                    NGX_KAPOKMQ_EVENTS_RETRY);

    return ngx_kapokmq_events_send(s, &ngx_kapokmq_events_first, 0, 0,
                                   p - ngx_kapokmq_events_retry);
}


ngx_int_t
ngx_kapokmq_events_send_comment(ngx_kapokmq_stream_t *s)
{
    return ngx_kapokmq_events_send(s, &ngx_kapokmq_events_comment, 0, 0,
                                   sizeof(ngx_kapokmq_events_beat) - 1);
}


ngx_int_t
ngx_kapokmq_events_flush(ngx_kapokmq_stream_t *s)
{
    if (s->out == NULL) {
        return NGX_OK;
    }

    if (ngx_http_output_filter(s->request, NULL) == NGX_ERROR) {
        return NGX_ERROR;
    }

    return ngx_kapokmq_events_sent(s);
}


/* Gives up what has been read, and notes what has left nginx. */
static ngx_int_t
ngx_kapokmq_events_sent(ngx_kapokmq_stream_t *s)
{
    ngx_http_request_t        *r;
    ngx_kapokmq_events_out_t  *out;

    r = s->request;

    if ((r->buffered || r->connection->buffered)
        && !ngx_kapokmq_events_exact(r))
    {
        return NGX_AGAIN;
    }

    while (s->out) {
        out = s->out;

        ngx_kapokmq_events_note(s, out);

        if (ngx_buf_size(&out->buf)) {
            return NGX_AGAIN;
        }

        s->out = out->next;
        ngx_kapokmq_chunk_release(out->chunk);
        ngx_free(out);
    }

    s->out_last = &s->out;

    return (r->buffered || r->connection->buffered) ? NGX_AGAIN : NGX_OK;
}


/* Is what has been read of a buffer what the kernel has taken, and no more?
 * TLS and HTTP/2 take more than they have written. */
static ngx_uint_t
ngx_kapokmq_events_exact(ngx_http_request_t *r)
{
    return r->http_version <= NGX_HTTP_VERSION_11 && r->buffered == 0
           && (r->connection->buffered & ~NGX_HTTP_WRITE_BUFFERED) == 0;
}


static void
ngx_kapokmq_events_note(ngx_kapokmq_stream_t *s,
    const ngx_kapokmq_events_out_t *out)
{
    ngx_uint_t                  n;
    const ngx_kapokmq_chunk_t  *chunk;

    chunk = out->chunk;
    n = ngx_kapokmq_chunk_frames(chunk, out->buf.pos - chunk->bytes);

    if (n > out->first) {
        ngx_kapokmq_consumer_sent(&s->consumer, chunk->frames[n - 1].position);
    }
}


void
ngx_kapokmq_events_free_output(ngx_kapokmq_stream_t *s)
{
    ngx_kapokmq_events_out_t  *out;

    while (s->out) {
        out = s->out;
        s->out = out->next;

        ngx_kapokmq_chunk_release(out->chunk);
        ngx_free(out);
    }

    s->out_last = &s->out;
}
