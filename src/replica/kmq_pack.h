/*
 * Packing what entries carry, with LZ4.
 *
 * The servers of NATS copy and write each byte of an entry some ten times on
 * three machines, which costs more than all else that a message needs: records
 * of messages are alike, and packed they are a third and less.
 */

#ifndef KMQ_PACK_H
#define KMQ_PACK_H

#include "../engine/kmq.h"
#include "kmq_place.h"


/*
 * Writes an entry's head and data, packed where that is worth it.  There is
 * room for KMQ_BODY_HEAD + body->size bytes.  How many were written.
 */
size_t kmq_pack(unsigned char *bytes, const kmq_body_t *body);

/*
 * Makes the data of a body that was read plain: it points into the buffer then,
 * which keeps its memory for the next one.  0, also where it was plain; -1: it
 * is damaged; -2: no memory.
 */
int kmq_unpack(kmq_body_t *body, kmq_buffer_t *buffer);

#endif /* KMQ_PACK_H */
