/* Growing pieces of memory: kmq_nats_link_inside.h. */

#include <stdlib.h>
#include <string.h>

#include "kmq_nats_link_inside.h"


#define BUFFER_MIN  65536


int
kmq_nats_buffer_room(kmq_nats_buffer_t *buffer, size_t n)
{
    size_t          room, size;
    unsigned char  *bytes;

    size = kmq_nats_buffer_size(buffer);

    if (buffer->room - buffer->size >= n) {
        return 0;
    }

    /* to its start, if that is cheap beside what follows */

    if (buffer->room - size >= n && size <= buffer->from) {
        memcpy(buffer->bytes, buffer->bytes + buffer->from, size);
        buffer->from = 0;
        buffer->size = size;
        return 0;
    }

    room = 2 * (size + n);
    room = room > BUFFER_MIN ? room : BUFFER_MIN;
    bytes = malloc(room);

    if (bytes == NULL) {
        return -1;
    }

    if (size) {
        memcpy(bytes, buffer->bytes + buffer->from, size);
    }

    free(buffer->bytes);
    buffer->bytes = bytes;
    buffer->from = 0;
    buffer->size = size;
    buffer->room = room;

    return 0;
}


void
kmq_nats_buffer_clear(kmq_nats_buffer_t *buffer)
{
    buffer->from = 0;
    buffer->size = 0;
}


void
kmq_nats_buffer_free(kmq_nats_buffer_t *buffer)
{
    free(buffer->bytes);
    memset(buffer, 0, sizeof(kmq_nats_buffer_t));
}
