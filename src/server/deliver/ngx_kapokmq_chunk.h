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

/* The worker's own chunk for a batch, of size bytes at least, and with room for
 * all its messages.  It is used again for the next one unless a slow consumer
 * still needs it; the caller has no reference.  _batch_done: the batch is on
 * its way; _batch_free: nothing is to be kept. */
ngx_kapokmq_chunk_t *ngx_kapokmq_chunk_batch(size_t size);
void ngx_kapokmq_chunk_batch_done(void);
void ngx_kapokmq_chunk_batch_free(void);

/* Gives a reference back; chunk may be NULL. */
void ngx_kapokmq_chunk_release(ngx_kapokmq_chunk_t *chunk);

/* How many frames of the chunk end at or before pos. */
ngx_uint_t ngx_kapokmq_chunk_frames(const ngx_kapokmq_chunk_t *chunk,
    size_t pos);

#endif /* NGX_KAPOKMQ_CHUNK_H */
