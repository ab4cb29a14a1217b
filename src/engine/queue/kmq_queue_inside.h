/* What the files of the queue have for each other alone. */

#ifndef KMQ_QUEUE_INSIDE_H
#define KMQ_QUEUE_INSIDE_H

#include "kmq_queue.h"


/* ------------------------------------------------------------------ topics */

/* The hash of a topic's name, or of a consumer's id.  Needs no lock. */
uint32_t kmq_name_hash(const char *name, size_t len);

/* Returns a part of zeros that names the topic, which does not refer to it yet.
 * NULL: no memory. */
void *kmq_topic_part(kmq_t *kmq, kmq_topic_t *topic, unsigned class)
    KMQ_LOCKED;


/* ---------------------------------------------------------------- messages */

/* Ends a message.  Its slot and its body are left. */
void kmq_message_end(kmq_t *kmq, kmq_slot_t *slot) KMQ_LOCKED;

/* Takes a message out of the history. */
void kmq_history_remove(kmq_shard_t *s, kmq_slot_t *slot) KMQ_LOCKED;

/* A message in flight that is in no list now: 1: it was deleted meanwhile, and
 * is freed. */
int kmq_message_gone(kmq_t *kmq, kmq_slot_t *slot) KMQ_LOCKED;

/* A suspect is off the schedule, and leaves its topic's list of these. */
void kmq_suspect_forget(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot)
    KMQ_LOCKED;

/* A large message goes.  1: it is pinned, and its body has to stay. */
int kmq_pin_keep(kmq_shard_t *s, const kmq_slot_t *slot) KMQ_LOCKED;


/* ------------------------------------------------------- routes and grants */

/* How many consumers can take something now.  Those of a worker that stands
 * still cannot. */
uint32_t kmq_routes_ready(const kmq_shard_t *s, const kmq_topic_t *topic)
    KMQ_LOCKED;

/* Grants n messages to the routes of these consumers, or only of those that
 * pull.  Returns how many: none where nobody is ready any more. */
uint64_t kmq_routes_grant(kmq_t *kmq, kmq_topic_t *topic, uint64_t n,
    int unpaced)
    KMQ_LOCKED;

/* Makes sure that workers that stand still look at a topic when they are
 * back. */
void kmq_routes_tell_still(kmq_t *kmq, kmq_topic_t *topic) KMQ_LOCKED;

/* Ready messages are gone: takes back what is granted beyond those left. */
void kmq_grant_trim(kmq_t *kmq, kmq_topic_t *topic) KMQ_LOCKED;


/* ------------------------------------------------- the handle's own tables */

/* Client number i is ready, or is not any more. */
void kmq_own_ready_add(kmq_t *kmq, uint32_t i) KMQ_LOCKED;
void kmq_own_ready_remove(kmq_t *kmq, uint32_t i) KMQ_LOCKED;

/* A route ends. */
void kmq_own_route_remove(kmq_t *kmq, kmq_route_t *route) KMQ_LOCKED;

#endif /* KMQ_QUEUE_INSIDE_H */
