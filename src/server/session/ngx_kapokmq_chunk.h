/* Bytes that are composed once and may be sent to many. */

#ifndef NGX_KAPOKMQ_CHUNK_H
#define NGX_KAPOKMQ_CHUNK_H

#include "../ngx_kapokmq.h"


/* One message inside a chunk of pushes. */
typedef struct {
    size_t                    end;         /* offset behind its frame */
    uint32_t                  position;    /* of the message */
} ngx_kapokmq_frame_t;

/* Composed frames, shared by all the connections that they go to. */
typedef struct {
    ngx_uint_t                refs;
    size_t                    size;        /* room in bytes */
    size_t                    used;        /* of answers: bytes there */
    ngx_uint_t                nframes;     /* of pushes */
    ngx_kapokmq_frame_t      *frames;
    u_char                   *bytes;
} ngx_kapokmq_chunk_t;


/* One reference, room for size bytes and nframes messages; NULL: no memory. */
ngx_kapokmq_chunk_t *ngx_kapokmq_chunk_create(size_t size,
    ngx_uint_t nframes);

/* Gives a reference back; chunk may be NULL. */
void ngx_kapokmq_chunk_release(ngx_kapokmq_chunk_t *chunk);

/* How many frames of the chunk end at or before pos. */
ngx_uint_t ngx_kapokmq_chunk_frames(const ngx_kapokmq_chunk_t *chunk,
    size_t pos);

#endif /* NGX_KAPOKMQ_CHUNK_H */
