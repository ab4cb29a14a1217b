/*
 * History: consumed messages, of all topics and of each, the oldest first.  It
 * gives way to new ones when memory is short.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "kmq_queue_inside.h"


/*
 * Appends the newest message to both histories, the queue's and its topic's.
 * It is named in the one KMQ_AHEAD before, which is still in the cache.
 */
void
kmq_history_append(kmq_block_t *b, kmq_slot_t *slot)
{
    kmq_ref_t    *recent;
    kmq_slot_t   *before;
    kmq_topic_t  *topic = KMQ_AT(b, slot->topic);

    recent = &b->recent[b->nrecent % KMQ_AHEAD];

    if (b->nrecent++ >= KMQ_AHEAD) {
        before = KMQ_AT(b, *recent);
        before->owner = KMQ_REF(b, slot);
    }

    slot->owner = 0;
    *recent = KMQ_REF(b, slot);

    kmq_list_append(b, &b->history, &slot->link);
    kmq_list_append(b, &topic->history, &slot->kept);
    b->history_size += slot->size;
}


void
kmq_history_remove(kmq_block_t *b, kmq_slot_t *slot)
{
    kmq_topic_t  *topic = KMQ_AT(b, slot->topic);

    kmq_list_remove(b, &b->history, &slot->link);
    kmq_list_remove(b, &topic->history, &slot->kept);
    b->history_size -= slot->size;
}


/*
 * Takes the oldest message out of the history.
 *
 * Old messages are in no cache any more, and each names the next ones only
 * when it has been read.  So a slot is prefetched 2 * KMQ_AHEAD messages
 * before it is taken, by way of the one between them, together with that one's
 * body.  Slots, and the bodies behind them, begin anywhere in a cache line.  A
 * slot may have been used anew since it was named; for prefetching, whatever is
 * in it then will do.
 */
static kmq_slot_t *
history_shift(kmq_block_t *b)
{
    char        *body;
    kmq_slot_t  *slot, *later;

    /* those that are named as recent must still be there */

    if (b->history.count <= KMQ_AHEAD) {
        b->nrecent = 0;
    }

    slot = KMQ_AT(b, b->history.head);
    later = KMQ_AT(b, slot->owner);
    body = KMQ_AT(b, later->body);

    kmq_slot_prefetch(KMQ_AT(b, later->owner));
    __builtin_prefetch(body + KMQ_LINE - KMQ_CELL, 1);
    __builtin_prefetch(body + 2 * KMQ_LINE - KMQ_CELL - 1, 1);

    kmq_history_remove(b, slot);

    return slot;
}


/* Drops the oldest consumed messages, at most max; 0 when there are none. */
int
kmq_history_drop(kmq_t *kmq, unsigned max)
{
    unsigned      n;
    kmq_block_t  *b = kmq->block;

    for (n = 0; b->history.head && n < max; n++) {
        kmq_message_free(kmq, history_shift(b));
    }

    b->totals.dropped += n;

    return n != 0;
}


/*
 * Drops the oldest consumed message and returns its slot with its body, when
 * there is no memory for a message of that size.  NULL: there is memory, or no
 * history, or that body is not as the new one would be.
 */
kmq_slot_t *
kmq_history_reuse(kmq_t *kmq, uint32_t size)
{
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;

    if (b->history.head == 0 || kmq_message_room(b, size)) {
        return NULL;
    }

    slot = KMQ_AT(b, b->history.head);

    if (!kmq_body_fits(b, slot, size)) {
        return NULL;
    }

    (void) history_shift(b);
    kmq_message_end(kmq, slot);
    b->totals.dropped++;

    return slot;
}
