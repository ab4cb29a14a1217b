/*
 * Upkeep: the block is made, workers come and go, what they leave behind is
 * given back, what is too old is deleted, and what a death has left is
 * repaired.
 */

#ifndef KMQ_UPKEEP_H
#define KMQ_UPKEEP_H

#include "../kmq_block.h"


/* Makes everything of a shard that is derived anew, from the truth alone. */
void kmq_repair(kmq_t *kmq) KMQ_LOCKED;

/* The same of what shards have in common. */
void kmq_repair_common(kmq_t *kmq) KMQ_COMMON;

/* Is an object of a table in use?  Goes by the truth alone. */
int kmq_object_used(kmq_shard_t *s, unsigned class, void *object) KMQ_LOCKED;

#endif /* KMQ_UPKEEP_H */
