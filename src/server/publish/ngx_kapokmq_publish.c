/* Messages that come in: their bodies are written, and they are committed. */

#include "ngx_kapokmq_publish.h"


#define NGX_KAPOKMQ_PIECE   2048   /* bytes escaped at once */
#define NGX_KAPOKMQ_COMMIT  512    /* messages committed under one lock */


void
ngx_kapokmq_publish_write(kmq_message_t *m, const kmq_data_t *data)
{
    u_char  piece[NGX_KAPOKMQ_PIECE];
    size_t  n, used;

    if (data->json || data->escaped == data->size) {
        kmq_write(ngx_kapokmq_worker.kmq, m, data->bytes, data->size);
        return;
    }

    for (used = 0; used < data->size; /* void */ ) {
        n = kmq_json_escape(piece, sizeof(piece), data->bytes, data->size,
                            &used);
        kmq_write(ngx_kapokmq_worker.kmq, m, piece, n);
    }
}


void
ngx_kapokmq_publish_discard(kmq_message_t *m, ngx_uint_t n)
{
    ngx_uint_t  some;

    for ( /* void */ ; n; n -= some, m += some) {
        some = ngx_min(n, NGX_KAPOKMQ_COMMIT);
        kmq_discard(ngx_kapokmq_worker.kmq, m, some);
    }
}


void
ngx_kapokmq_publish_commit(kmq_message_t *m, ngx_uint_t n, uint64_t batch)
{
    kmq_t       *kmq;
    ngx_uint_t   some;

    kmq = ngx_kapokmq_worker.kmq;

    if (batch) {
        kmq_batch_decide(kmq, batch);
    }

    for ( /* void */ ; n; n -= some, m += some) {
        some = ngx_min(n, NGX_KAPOKMQ_COMMIT);
        kmq_commit(kmq, m, some);
    }

    if (batch) {
        kmq_batch_end(kmq);
    }
}
