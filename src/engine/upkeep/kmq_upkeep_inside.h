/* What the files of upkeep have for each other alone. */

#ifndef KMQ_UPKEEP_INSIDE_H
#define KMQ_UPKEEP_INSIDE_H

#include "../memory/kmq_memory.h"
#include "kmq_upkeep.h"


/* Lets all clients of this worker, or of its dead predecessor, leave, and frees
 * what it reserved; kmq_leave_run() gives back what those clients had.  Takes
 * the locks of all shards, one after the other. */
void kmq_reap_own(kmq_t *kmq);

/* Does the same, and gives back all that those clients had.  Takes the same
 * locks. */
void kmq_reap_leave(kmq_t *kmq);

/* Does so for dead workers, a slice of it.  While there is more, kmq_t.reaping
 * says so.  Takes the locks of all shards, one after the other. */
void kmq_reap_dead(kmq_t *kmq);

/* This worker does something.  May take the common lock. */
void kmq_still_seen(kmq_t *kmq);

/* A worker is gone, and does not stand still.  Takes the common lock. */
void kmq_still_gone(kmq_t *kmq, unsigned worker);

/* Looks for workers that stand still.  Where it finds one, all shards are to be
 * looked at.  May take the common lock. */
void kmq_still_find(kmq_t *kmq);

/* Gives a slice of what they were granted to others.  1: there is more. */
int kmq_still_run(kmq_t *kmq) KMQ_LOCKED;

/* Deletes, when it is time, a slice of the messages that are too old.  1: there
 * are more. */
int kmq_expire_run(kmq_t *kmq) KMQ_LOCKED;

/*
 * The parts of a repair.  First memory and the index, and, where that is
 * possible on the way, the lists of messages; 1: they are linked.  0: they are
 * to be emptied, and linked when topics and clients are.  Messages in flight,
 * point to point, are put into taken.  Deliveries come last.
 */
int kmq_repair_messages(kmq_t *kmq, kmq_list_t *taken) KMQ_LOCKED;
void kmq_repair_link(kmq_t *kmq, kmq_list_t *taken) KMQ_LOCKED;
void kmq_repair_deliveries(kmq_shard_t *s) KMQ_LOCKED;

/* kmq_slots_next(), and their bodies are prefetched, too. */
unsigned kmq_repair_next(kmq_shard_t *s, kmq_walk_t *walk,
    kmq_slot_t *slot[KMQ_WALK_SLOTS]) KMQ_LOCKED;

/* Memory alone, and what of it comes after the marks of messages; then the
 * index alone. */
void kmq_repair_memory(kmq_shard_t *s) KMQ_LOCKED;
void kmq_repair_memory_end(kmq_shard_t *s) KMQ_LOCKED;
void kmq_repair_index(kmq_shard_t *s) KMQ_LOCKED;

#endif /* KMQ_UPKEEP_INSIDE_H */
