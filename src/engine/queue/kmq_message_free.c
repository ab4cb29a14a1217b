/* Messages end: their slots and bodies are free then. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../journal/kmq_journal.h"
#include "kmq_queue_inside.h"


/* Ends a message.  Its slot and its body are left. */
void
kmq_message_end(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_shard_t  *s = kmq->shard;
    kmq_topic_t  *topic = KMQ_AT(s, slot->topic);

    KMQ_STEP();

    KMQ_SET(slot->state, KMQ_FREE);
    KMQ_POINT("message-free");

    kmq_index_remove(s, slot);

    if (--topic->slots == 0) {
        kmq_topic_idle(s, topic);
    }
}


/* Frees a message that is in no list. */
void
kmq_message_free(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_shard_t  *s = kmq->shard;

    kmq_message_end(kmq, slot);

    if (slot->size > KMQ_PART && kmq_pin_keep(s, slot)) {
        slot->body = 0;
    }

    kmq_message_memory_free(s, slot);
}


/* Frees a reserved message that is in no list, and will never be committed. */
void
kmq_message_discard(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_shard_t  *s = kmq->shard;

    if (slot->flags & KMQ_WRITTEN) {
        kmq_count_unpublished(kmq, KMQ_AT(s, slot->topic));
        kmq_journal_sequence(kmq, KMQ_RECORD_GONE, KMQ_KIND_DISCARDED,
                             slot->sequence, 0);
    }

    kmq_message_free(kmq, slot);

    s->reserved--;
    s->waiting--;
}
