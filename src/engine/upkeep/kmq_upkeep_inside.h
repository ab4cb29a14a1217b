/* The inside of upkeep: what its files have for each other alone. */

#ifndef KMQ_UPKEEP_INSIDE_H
#define KMQ_UPKEEP_INSIDE_H

#include "kmq_upkeep.h"


/* Gives back what this worker has, or its predecessor of the same number had;
 * leave: all that its clients had, too. */
void kmq_reap_own(kmq_t *kmq) KMQ_LOCKED_GAPS;
void kmq_reap_leave(kmq_t *kmq) KMQ_LOCKED_GAPS;

/* A slice of what dead workers had; while there is more, kmq_t.reaping or
 * kmq_t.leaving says so. */
void kmq_reap_dead(kmq_t *kmq) KMQ_LOCKED;

/* A worker stands still no more, or is gone; this one does something. */
void kmq_still_end(kmq_block_t *b, unsigned worker) KMQ_LOCKED;
void kmq_still_seen(kmq_t *kmq) KMQ_LOCKED;

/* Looks for workers that stand still; gives a slice of what they were granted
 * to others.  1: there is more to do. */
int kmq_still_find(kmq_t *kmq) KMQ_LOCKED;
int kmq_still_run(kmq_t *kmq) KMQ_LOCKED;

/* Deletes a slice of what is too old, when it is time.  1: there is more to
 * do. */
int kmq_expire_run(kmq_t *kmq) KMQ_LOCKED;

/* Parts of a repair: memory; then, when topics and clients are linked again,
 * the index, for which messages may give way; then deliveries. */
void kmq_repair_memory(kmq_block_t *b) KMQ_LOCKED;
void kmq_repair_index(kmq_block_t *b) KMQ_LOCKED;
void kmq_repair_deliveries(kmq_block_t *b) KMQ_LOCKED;

#endif /* KMQ_UPKEEP_INSIDE_H */
