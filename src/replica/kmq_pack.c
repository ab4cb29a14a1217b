/* Packing what entries carry: kmq_pack.h. */

#include <lz4.h>
#include <string.h>

#include "kmq_pack.h"


#define PACK_LEAST  1024             /* bytes; with fewer it costs more than it
                                        saves */


/* Packed data, in no more than the room; 0: it is not worth it. */
static size_t
pack_data(unsigned char *to, size_t room, const kmq_body_t *body)
{
    if (body->size < PACK_LEAST || body->size > KMQ_PACK_MAX
        || (body->part != KMQ_PART_BATCH
            && body->part != KMQ_PART_CHECKPOINT))
    {
        return 0;
    }

    return (size_t) LZ4_compress_default((const char *) body->data,
                                         (char *) to, (int) body->size,
                                         (int) room);
}


size_t
kmq_pack(unsigned char *bytes, const kmq_body_t *body)
{
    size_t      size;
    kmq_body_t  packed;

    packed = *body;
    packed.packed = 0;

    size = pack_data(bytes + KMQ_BODY_HEAD, body->size - body->size / 8, body);

    if (size) {
        packed.packed = (uint32_t) body->size;

    } else {
        size = body->size;

        if (size) {
            memcpy(bytes + KMQ_BODY_HEAD, body->data, size);
        }
    }

    kmq_body_write(bytes, &packed);

    return KMQ_BODY_HEAD + size;
}


int
kmq_unpack(kmq_body_t *body, kmq_buffer_t *buffer)
{
    int             size;
    unsigned char  *plain;

    if (body->packed == 0) {
        return 0;
    }

    if (body->packed > KMQ_PACK_MAX || body->size > KMQ_PACK_MAX) {
        return -1;
    }

    buffer->len = 0;
    plain = kmq_buffer_room(buffer, body->packed);

    if (plain == NULL) {
        return -2;
    }

    size = LZ4_decompress_safe((const char *) body->data, (char *) plain,
                               (int) body->size, (int) body->packed);

    if (size < 0 || (uint32_t) size != body->packed) {
        return -1;
    }

    body->data = plain;
    body->size = body->packed;
    body->packed = 0;

    return 0;
}
