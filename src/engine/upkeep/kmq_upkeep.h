/*
 * Upkeep: the block is made, workers come and go, what they leave behind is
 * given back, what is too old is deleted, and what a death has left is
 * repaired.
 */

#ifndef KMQ_UPKEEP_H
#define KMQ_UPKEEP_H

#include "../kmq_block.h"


/* Since when a message grows old, in s. */
uint32_t kmq_age_start(const kmq_slot_t *slot) KMQ_LOCKED;

/* Makes everything that is derived anew, from the truth alone. */
void kmq_repair(kmq_t *kmq) KMQ_LOCKED;

/* Is an object of a table in use?  Goes by the truth alone. */
int kmq_object_used(kmq_block_t *b, unsigned class, void *object) KMQ_LOCKED;

#endif /* KMQ_UPKEEP_H */
