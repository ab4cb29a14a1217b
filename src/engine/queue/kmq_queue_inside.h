/* The inside of the queue: what its files have for each other alone. */

#ifndef KMQ_QUEUE_INSIDE_H
#define KMQ_QUEUE_INSIDE_H

#include "kmq_queue.h"


/* ------------------------------------------------------------------ topics */

/* A part of zeros, to which the topic does not refer yet; NULL: no memory. */
void *kmq_topic_part(kmq_t *kmq, kmq_topic_t *topic, unsigned class)
    KMQ_LOCKED;


/* ---------------------------------------------------------------- messages */

/* It is no message any more; its slot and its body are left. */
void kmq_message_end(kmq_t *kmq, kmq_slot_t *slot) KMQ_LOCKED;

/* Takes a message out of the history. */
void kmq_history_remove(kmq_block_t *b, kmq_slot_t *slot) KMQ_LOCKED;


/* ------------------------------------------------------- routes and grants */

/* Those routes are to look at their topic whose workers stand still. */
void kmq_routes_tell_still(kmq_t *kmq, kmq_topic_t *topic) KMQ_LOCKED;

/* How many consumers can take something now, of workers that do not stand
 * still; gives n messages to their routes, for which there is one at least. */
uint32_t kmq_routes_ready(const kmq_block_t *b, const kmq_topic_t *topic)
    KMQ_LOCKED;
void kmq_routes_grant(kmq_t *kmq, kmq_topic_t *topic, uint64_t n) KMQ_LOCKED;

/* Ready messages are gone: no more are granted than are left. */
void kmq_grant_trim(kmq_t *kmq, kmq_topic_t *topic) KMQ_LOCKED;


/* --------------------------------------------------------- ready consumers */

/* Client number i is ready, or is not any more. */
void kmq_own_ready_add(kmq_t *kmq, uint32_t i) KMQ_LOCKED;
void kmq_own_ready_remove(kmq_t *kmq, uint32_t i) KMQ_LOCKED;

#endif /* KMQ_QUEUE_INSIDE_H */
