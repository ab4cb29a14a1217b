/* What the files of this room have for each other alone. */

#ifndef KMQ_MANAGE_INSIDE_H
#define KMQ_MANAGE_INSIDE_H

#include "../kmq_block.h"


/* Deletes a message that is neither reserved nor deleted. */
void kmq_message_delete(kmq_t *kmq, kmq_slot_t *slot) KMQ_LOCKED;

#endif /* KMQ_MANAGE_INSIDE_H */
