/* What a session has received. */

#ifndef NGX_KAPOKMQ_INPUT_H
#define NGX_KAPOKMQ_INPUT_H

#include "../ngx_kapokmq.h"


typedef struct ngx_kapokmq_session_s  ngx_kapokmq_session_t;

/* Bytes that came in: [keep, used) belongs to messages that are gathered,
 * [used, len) is still to be parsed. */
typedef struct {
    u_char                   *data;
    size_t                    keep;
    size_t                    used;
    size_t                    len;
    size_t                    size;
} ngx_kapokmq_input_t;


/* Makes what came in usable for this event handler, and keeps the rest of it
 * at the end. */
void ngx_kapokmq_input_open(ngx_kapokmq_session_t *s);
ngx_int_t ngx_kapokmq_input_close(ngx_kapokmq_session_t *s);

/* Puts bytes that nginx has read already into an empty input. */
ngx_int_t ngx_kapokmq_input_add(ngx_kapokmq_session_t *s, const u_char *bytes,
    size_t size);

/* Receives once.  NGX_OK, NGX_AGAIN, NGX_DONE at the end, NGX_ERROR. */
ngx_int_t ngx_kapokmq_input_receive(ngx_kapokmq_session_t *s);

/* Receives once what nobody needs; the session is woken for more.  NGX_AGAIN,
 * NGX_DONE at the end, NGX_ERROR. */
ngx_int_t ngx_kapokmq_input_discard(ngx_kapokmq_session_t *s);

void ngx_kapokmq_input_free(ngx_kapokmq_session_t *s);

#endif /* NGX_KAPOKMQ_INPUT_H */
