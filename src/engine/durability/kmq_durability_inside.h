/* What the files of this room have for each other alone. */

#ifndef KMQ_DURABILITY_INSIDE_H
#define KMQ_DURABILITY_INSIDE_H

#include "../kmq_block.h"


/* Appends the queue's counters as the record lsn.  The caller has the locks of
 * all shards.  0, or -1: no memory. */
int kmq_queue_record(kmq_t *kmq, kmq_buffer_t *out, uint64_t lsn) KMQ_LOCKED;

/* Appends those of n periods that have a number to an array of count numbers.
 * Returns how many it has then.  Needs no lock. */
unsigned kmq_periods_add(uint64_t *number, unsigned count,
    const kmq_period_t *period, unsigned n);

#endif /* KMQ_DURABILITY_INSIDE_H */
