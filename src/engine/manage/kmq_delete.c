/* Messages are deleted, or, when they are dead, requeued. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../journal/kmq_journal.h"
#include "../queue/kmq_queue.h"
#include "kmq_manage_inside.h"


/* The message of that code, unless it is deleted; NULL: there is none. */
static kmq_slot_t *
message_find(kmq_block_t *b, const char *code)
{
    kmq_slot_t  *slot;

    slot = kmq_code_find(b, code);

    if (slot && slot->state == KMQ_IN_FLIGHT && slot->flags & KMQ_DELETED) {
        return NULL;
    }

    return slot;
}


/* A message that is neither reserved nor deleted. */
void
kmq_message_delete(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_block_t  *b = kmq->block;

    b->totals.deleted++;
    kmq_journal_sequence(kmq, KMQ_RECORD_GONE, KMQ_KIND_DELETED,
                         slot->sequence, 0);

    if (slot->state != KMQ_IN_FLIGHT) {
        kmq_message_unlist(kmq, slot);
        kmq_message_free(kmq, slot);
        return;
    }

    /* its body may be read at this moment */

    KMQ_SET(slot->flags, slot->flags | KMQ_DELETED);
    KMQ_POINT("delete-in-flight");

    b->doomed++;
    ((kmq_topic_t *) KMQ_AT(b, slot->topic))->in_flight--;
}


int
kmq_delete(kmq_t *kmq, const char code[KMQ_CODE_LEN])
{
    kmq_slot_t  *slot;

    kmq_lock(kmq);

    slot = message_find(kmq->block, code);

    if (slot) {
        kmq_message_delete(kmq, slot);
    }

    kmq_unlock(kmq);

    return slot ? KMQ_OK : KMQ_GONE;
}


/* A dead message is ready again, as the newest of its topic. */
static void
requeue(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_block_t  *b = kmq->block;
    kmq_topic_t  *topic = KMQ_AT(b, slot->topic);

    kmq_message_unlist(kmq, slot);

    slot->attempts = 0;
    slot->flags = 0;
    slot->state_time = kmq->wall / 1000;

    slot->owner = (uint32_t) kmq->mono;

    KMQ_SET(slot->state, KMQ_READY);
    KMQ_POINT("requeue");

    kmq_journal_sequence(kmq, KMQ_RECORD_REQUEUED, 0, slot->sequence, 0);

    kmq_list_append(b, &topic->ready, &slot->link);
    kmq_topic_active(b, topic);

    b->waiting++;
    b->totals.requeued++;
}


int
kmq_requeue(kmq_t *kmq, const char code[KMQ_CODE_LEN])
{
    int           rc;
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;

    kmq_lock(kmq);

    slot = message_find(b, code);

    if (slot == NULL) {
        rc = KMQ_GONE;

    } else if (slot->state != KMQ_DEAD) {
        rc = KMQ_ERROR;

    } else {
        rc = KMQ_OK;
        requeue(kmq, slot);
        kmq_grant(kmq, KMQ_AT(b, slot->topic), 1);
    }

    kmq_unlock(kmq);

    return rc;
}


unsigned
kmq_requeue_topic(kmq_t *kmq, const char *name, size_t len, unsigned max)
{
    unsigned      n;
    kmq_block_t  *b = kmq->block;
    kmq_topic_t  *topic;

    n = 0;

    kmq_lock(kmq);

    topic = kmq_topic_get(b, name, len);

    if (topic) {
        for ( /* void */ ; n < max && topic->dead.head; n++) {
            requeue(kmq, KMQ_AT(b, topic->dead.head));
        }

        kmq_grant(kmq, topic, n);
    }

    kmq_unlock(kmq);

    return n;
}
