/* Chunks: bytes that many connections share. */

#include "ngx_kapokmq_chunk.h"


/* What usually holds all of a batch; one for large messages is not kept. */
#define NGX_KAPOKMQ_CHUNK_BATCH  (2 * 1024 * 1024)


static ngx_kapokmq_chunk_t  *ngx_kapokmq_chunk;


ngx_kapokmq_chunk_t *
ngx_kapokmq_chunk_create(size_t size, ngx_uint_t nframes)
{
    size_t                head, frames;
    ngx_kapokmq_chunk_t  *chunk;

    head = sizeof(ngx_kapokmq_chunk_t);
    frames = nframes * sizeof(ngx_kapokmq_frame_t);

    chunk = ngx_alloc(head + frames + size, ngx_cycle->log);
    if (chunk == NULL) {
        return NULL;
    }

    ngx_memzero(chunk, head);

    chunk->refs = 1;
    chunk->size = size;
    chunk->frames = (ngx_kapokmq_frame_t *) (chunk + 1);
    chunk->bytes = (u_char *) (chunk + 1) + frames;

    return chunk;
}


void
ngx_kapokmq_chunk_release(ngx_kapokmq_chunk_t *chunk)
{
    if (chunk && --chunk->refs == 0) {
        ngx_free(chunk);
    }
}


ngx_uint_t
ngx_kapokmq_chunk_frames(const ngx_kapokmq_chunk_t *chunk, size_t pos)
{
    ngx_uint_t  low, high, middle;

    low = 0;
    high = chunk->nframes;

    while (low < high) {
        middle = (low + high) / 2;

        if (chunk->frames[middle].end <= pos) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return low;
}


/* ------------------------------------------------------------- for a batch */

ngx_kapokmq_chunk_t *
ngx_kapokmq_chunk_batch(size_t size)
{
    ngx_kapokmq_chunk_t  *chunk;

    chunk = ngx_kapokmq_chunk;

    if (chunk && chunk->refs == 1 && chunk->size >= size) {
        return chunk;
    }

    ngx_kapokmq_chunk_release(chunk);

    size = ngx_max(size, NGX_KAPOKMQ_CHUNK_BATCH);

    ngx_kapokmq_chunk = ngx_kapokmq_chunk_create(size, KMQ_BATCH_MESSAGES);

    return ngx_kapokmq_chunk;
}


void
ngx_kapokmq_chunk_batch_done(void)
{
    if (ngx_kapokmq_chunk
        && ngx_kapokmq_chunk->size > NGX_KAPOKMQ_CHUNK_BATCH)
    {
        ngx_kapokmq_chunk_batch_free();
    }
}


void
ngx_kapokmq_chunk_batch_free(void)
{
    ngx_kapokmq_chunk_release(ngx_kapokmq_chunk);
    ngx_kapokmq_chunk = NULL;
}
