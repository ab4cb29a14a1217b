/* The bodies of messages that come in. */

#include "ngx_kapokmq_publish.h"


#define NGX_KAPOKMQ_PIECE  2048    /* bytes escaped at once */


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
