/*
 * Large messages that go to one consumer each are sent from where they lie:
 * copying is what they would cost.  The chunk has what stands around their
 * data.
 */

#include "ngx_kapokmq_push.h"


/* Pieces of messages, and of what stands in between, sent at once. */
#define NGX_KAPOKMQ_IOVS  512


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
ngx_kapokmq_iovs_message(ngx_kapokmq_iovs_t *v, ngx_kapokmq_frames_t *f,
    u_char *p, ngx_uint_t i)
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

    end = ngx_kapokmq_frames_head(f, p, i);
    ngx_kapokmq_iovs_add(v, p, end - p);

    piece = f->batch->messages[i].body;
    left = f->batch->messages[i].size;

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
    end = ngx_kapokmq_frames_tail(f, p, i);
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


ssize_t
ngx_kapokmq_writev_send(ngx_kapokmq_session_t *s, ngx_kapokmq_frames_t *f,
    const kmq_run_t *run)
{
    size_t               pos;
    u_char              *p, *next;
    ngx_uint_t           i;
    ngx_kapokmq_iovs_t  *v;

    v = &ngx_kapokmq_iovs;
    v->n = 0;
    v->size = 0;

    pos = f->start[run->first];
    p = f->chunk->bytes + pos;
    i = run->first;

    /* TLS encrypts what it is given, so that goes the other way */

    while (!ngx_kapokmq_tls(s->connection) && ngx_kapokmq_output_direct(s)) {

        next = i < run->first + run->count
               ? ngx_kapokmq_iovs_message(v, f, p, i) : NULL;

        if (next) {
            p = next;
            i++;
            continue;
        }

        if (v->n == 0) {
            break;
        }

        if (ngx_kapokmq_iovs_send(v, s->connection, &pos) == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    return (ssize_t) pos;
}
