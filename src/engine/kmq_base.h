/*
 * What all of the engine's inside builds on: how places in the block are named,
 * how the truth is stored, and how headers say who has the lock.
 */

#ifndef KMQ_BASE_H
#define KMQ_BASE_H

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "kmq.h"


/*
 * Marks behind the prototypes of functions.
 *
 * KMQ_LOCKED: the caller holds the lock of kmq_t.shard, or of the shard that it
 * names.  KMQ_LOCKED_GAPS: it does, but the function lets the lock go now and
 * then and takes it again: what the caller knew of the shard may have changed.
 * KMQ_ALONE: nobody else knows the block yet, so there is no lock to hold.
 * KMQ_COMMON: the caller holds the common lock.  A function without a mark
 * takes the lock itself, or needs none, and says so.  `make lint` checks all
 * this.
 */
#define KMQ_LOCKED
#define KMQ_LOCKED_GAPS
#define KMQ_COMMON

/* A store on which others rely when this process dies right before or behind
 * it. */
#define KMQ_SET(member, value)                                               \
    do {                                                                     \
        atomic_signal_fence(memory_order_seq_cst);                           \
        (member) = (value);                                                  \
        atomic_signal_fence(memory_order_seq_cst);                           \
    } while (0)

/* KMQ_POINT: a test may end the process here.  KMQ_STEP: one step of a loop
 * under the lock, which tests count.  KMQ_SLICE: whatever depends on how many
 * messages, clients or topics there are goes on in slices of about so many
 * steps, some hundred nanoseconds each, so that nobody waits for long. */
#ifdef KMQ_FAULTS
#define KMQ_POINT(name)  do { if (kmq_fault) { kmq_fault(name); } } while (0)
#define KMQ_STEP()       ((void) kmq_steps++)
#define KMQ_SLICE        kmq_slice
#else
#define KMQ_POINT(name)
#define KMQ_STEP()       ((void) 0)
#define KMQ_SLICE        512
#endif

/* The block, and its shards: kmq_block.h. */
typedef struct kmq_block_s  kmq_block_t;
typedef struct kmq_shard_s  kmq_shard_t;

/*
 * A place as an address, and an address as a place.  Inside a shard, places are
 * counted from that shard on; others, who see kmq.h alone, count from the block
 * on: KMQ_OUT and KMQ_IN make the one of the other.
 */
#define KMQ_AT(shard, ref)                                                   \
    ((void *) ((unsigned char *) (shard) + (size_t) (ref) * 8))
#define KMQ_REF(shard, p)                                                    \
    ((kmq_ref_t) (((unsigned char *) (p) - (unsigned char *) (shard)) / 8))
#define KMQ_OUT(shard, ref)  ((kmq_ref_t) ((ref) + (shard)->place))
#define KMQ_IN(shard, ref)   ((kmq_ref_t) ((ref) - (shard)->place))

#endif /* KMQ_BASE_H */
