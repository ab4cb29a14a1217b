/* What a session sends. */

#ifndef NGX_KAPOKMQ_OUTPUT_H
#define NGX_KAPOKMQ_OUTPUT_H

#include "../deliver/ngx_kapokmq_chunk.h"


typedef struct ngx_kapokmq_session_s  ngx_kapokmq_session_t;

/* An nginx without TLS may not even have the member. */
#if (NGX_SSL || NGX_COMPAT)
#define ngx_kapokmq_tls(c)  ((c)->ssl != NULL)
#else
#define ngx_kapokmq_tls(c)  0
#endif

/* Bytes that wait until the connection takes them.  They stay where they are,
 * since TLS wants the same address when it tries again. */
typedef struct ngx_kapokmq_out_s  ngx_kapokmq_out_t;

struct ngx_kapokmq_out_s {
    ngx_kapokmq_out_t        *next;
    ngx_kapokmq_chunk_t      *chunk;       /* NULL: "ok" frames */
    ngx_uint_t                first;       /* of the chunk's frames, that is
                                              the session's */
    size_t                    pos;
    size_t                    end;
};


/* Does nothing wait, so that what is sent goes out at once? */
ngx_int_t ngx_kapokmq_output_direct(ngx_kapokmq_session_t *s);

/* Sends chunk's bytes [pos, end), which begin with the frame of that number, as
 * soon as the connection takes them. */
ngx_int_t ngx_kapokmq_output_send(ngx_kapokmq_session_t *s,
    ngx_kapokmq_chunk_t *chunk, ngx_uint_t first, size_t pos, size_t end);

/* The same when they have been sent up to pos, and the connection takes no
 * more, if that is not the end. */
ngx_int_t ngx_kapokmq_output_rest(ngx_kapokmq_session_t *s,
    ngx_kapokmq_chunk_t *chunk, ngx_uint_t first, size_t pos, size_t end);

/* Appends a whole frame, "ok" frames, or Close, and sends nothing yet.  Behind
 * Close there is nothing: what would be is left out. */
ngx_int_t ngx_kapokmq_output_frame(ngx_kapokmq_session_t *s, ngx_uint_t opcode,
    const void *payload, size_t size);
ngx_int_t ngx_kapokmq_output_text(ngx_kapokmq_session_t *s, const char *text);
ngx_int_t ngx_kapokmq_output_oks(ngx_kapokmq_session_t *s, ngx_uint_t n);
ngx_int_t ngx_kapokmq_output_close(ngx_kapokmq_session_t *s, ngx_uint_t code,
    const char *reason);

/* Writes what the connection takes.  NGX_OK: nothing is left. */
ngx_int_t ngx_kapokmq_output_flush(ngx_kapokmq_session_t *s);

void ngx_kapokmq_output_free(ngx_kapokmq_session_t *s);
void ngx_kapokmq_output_init(void);

#endif /* NGX_KAPOKMQ_OUTPUT_H */
