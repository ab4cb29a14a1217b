/*
 * What a session has received.  One buffer of the process serves all of them:
 * a session owns memory only between two events, for the beginning of a
 * frame, and while a message is large, which is received in place.
 */

#include "ngx_kapokmq_session_inside.h"


#define NGX_KAPOKMQ_INPUT    (128 * 1024)

/* Messages beyond get a buffer of their own as soon as they are known. */
#define NGX_KAPOKMQ_LARGE    (16 * 1024)


static u_char  ngx_kapokmq_shared_input[NGX_KAPOKMQ_INPUT];


void
ngx_kapokmq_input_open(ngx_kapokmq_session_t *s)
{
    ngx_kapokmq_input_t  *in;

    in = &s->input;

    if (in->data == NULL) {
        in->data = ngx_kapokmq_shared_input;
        in->size = sizeof(ngx_kapokmq_shared_input);
    }
}


/* Moves what is in use, from keep on, to memory of its own. */
static ngx_int_t
ngx_kapokmq_input_move(ngx_kapokmq_session_t *s, u_char *to, size_t size)
{
    ngx_kapokmq_input_t  *in;

    in = &s->input;

    if (to == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(to, in->data + in->keep, in->len - in->keep);

    ngx_kapokmq_input_free(s);

    in->len -= in->keep;
    in->used -= in->keep;
    in->keep = 0;
    in->data = to;
    in->size = size;

    return NGX_OK;
}


ngx_int_t
ngx_kapokmq_input_close(ngx_kapokmq_session_t *s)
{
    size_t                left;
    ngx_kapokmq_input_t  *in;

    in = &s->input;
    left = in->len - in->keep;

    if (left == 0) {
        ngx_kapokmq_input_free(s);
        ngx_memzero(in, sizeof(ngx_kapokmq_input_t));
        return NGX_OK;
    }

    if (in->data != ngx_kapokmq_shared_input) {
        return NGX_OK;
    }

    return ngx_kapokmq_input_move(s, ngx_alloc(left, ngx_cycle->log), left);
}


ngx_int_t
ngx_kapokmq_input_add(ngx_kapokmq_session_t *s, const u_char *bytes,
    size_t size)
{
    ngx_kapokmq_input_t  *in;

    in = &s->input;

    if (size == 0) {
        return NGX_OK;
    }

    in->data = ngx_alloc(size, s->connection->log);
    if (in->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(in->data, bytes, size);
    in->size = size;
    in->len = size;

    return NGX_OK;
}


/*
 * Room for the next bytes.  All that was gathered has been flushed, so keep is
 * where parsing goes on, and where the parser's need counts from.  The length
 * that a frame's header claims makes the buffer no larger than twice of what
 * has really come.
 */
static ngx_int_t
ngx_kapokmq_input_room(ngx_kapokmq_session_t *s)
{
    size_t                size;
    ngx_kapokmq_input_t  *in;

    in = &s->input;

    if (s->parser.need <= NGX_KAPOKMQ_LARGE) {

        if (in->data != ngx_kapokmq_shared_input) {
            return ngx_kapokmq_input_move(s, ngx_kapokmq_shared_input,
                                          sizeof(ngx_kapokmq_shared_input));
        }

    } else if (in->data == ngx_kapokmq_shared_input || in->len == in->size) {

        size = 2 * (in->len - in->keep) + NGX_KAPOKMQ_LARGE;
        size = ngx_min(size, s->parser.need);

        if (in->data == ngx_kapokmq_shared_input || size > in->size) {
            return ngx_kapokmq_input_move(s, ngx_alloc(size, ngx_cycle->log),
                                          size);
        }
    }

    if (in->keep) {
        in->len -= in->keep;
        in->used -= in->keep;
        ngx_memmove(in->data, in->data + in->keep, in->len);
        in->keep = 0;
    }

    return NGX_OK;
}


ngx_int_t
ngx_kapokmq_input_receive(ngx_kapokmq_session_t *s)
{
    ssize_t               n;
    ngx_connection_t     *c;
    ngx_kapokmq_input_t  *in;

    in = &s->input;
    c = s->connection;

    if (ngx_kapokmq_input_room(s) != NGX_OK) {
        return NGX_ERROR;
    }

    n = c->recv(c, in->data + in->len, in->size - in->len);

    if (n > 0) {
        in->len += n;
        return NGX_OK;
    }

    if (n == 0) {
        return NGX_DONE;
    }

    return (n == NGX_AGAIN) ? NGX_AGAIN : NGX_ERROR;
}


void
ngx_kapokmq_input_free(ngx_kapokmq_session_t *s)
{
    if (s->input.data && s->input.data != ngx_kapokmq_shared_input) {
        ngx_free(s->input.data);
    }

    s->input.data = NULL;
}


/* NGX_AGAIN: more may come. */
ngx_int_t
ngx_kapokmq_input_discard(ngx_kapokmq_session_t *s)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = s->connection;

    n = c->read->ready ? c->recv(c, ngx_kapokmq_shared_input,
                                 sizeof(ngx_kapokmq_shared_input))
                       : NGX_AGAIN;

    if (n > 0) {
        ngx_kapokmq_session_wake(s);
        return NGX_AGAIN;
    }

    return (n == 0) ? NGX_DONE : n;
}
