/* What the files of this room have for each other alone. */

#ifndef KMQ_MANAGE_INSIDE_H
#define KMQ_MANAGE_INSIDE_H

#include "../kmq_block.h"


/*
 * A cursor of a walk over the objects of a table in all shards, one after the
 * other: the shard's number, and where in its table the walk is.  Need no lock.
 */
static inline unsigned
kmq_cursor_shard(uint64_t cursor)
{
    return cursor >> 56;
}


static inline uint64_t
kmq_cursor(unsigned shard, kmq_walk_t walk)
{
    return (uint64_t) shard << 56 | (uint64_t) walk.page << 24 | walk.index;
}


static inline kmq_walk_t
kmq_cursor_walk(uint64_t cursor)
{
    kmq_walk_t  walk;

    walk.page = (uint32_t) (cursor >> 24);
    walk.index = cursor & 0xffffff;

    return walk;
}


/* Where the walk begins in the next shard. */
static inline uint64_t
kmq_cursor_next(uint64_t cursor)
{
    return (uint64_t) (kmq_cursor_shard(cursor) + 1) << 56;
}


/* Deletes a message that is neither reserved nor deleted. */
void kmq_message_delete(kmq_t *kmq, kmq_slot_t *slot) KMQ_LOCKED;

#endif /* KMQ_MANAGE_INSIDE_H */
