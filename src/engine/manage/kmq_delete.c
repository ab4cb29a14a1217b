/* Messages are deleted; when they are dead, requeued; when they wait for a
 * time, made due. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../time/kmq_time.h"
#include "../journal/kmq_journal.h"
#include "../queue/kmq_queue.h"
#include "kmq_manage_inside.h"


/* The message of that code, unless it is deleted; NULL: there is none. */
static kmq_slot_t *
message_find(kmq_shard_t *s, const char *code)
{
    kmq_slot_t  *slot;

    slot = kmq_code_find(s, code);

    if (slot && slot->state == KMQ_IN_FLIGHT && slot->flags & KMQ_DELETED) {
        return NULL;
    }

    return slot;
}


/* A message that is neither reserved nor deleted. */
void
kmq_message_delete(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_shard_t  *s = kmq->shard;

    s->totals.deleted++;
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

    s->doomed++;
    ((kmq_topic_t *) KMQ_AT(s, slot->topic))->in_flight--;
}


/* Finds the message of that code and changes it, under its shard's lock: a code
 * does not tell the shard. */
static int
change_code(kmq_t *kmq, const char *code,
    int (*change)(kmq_t *kmq, kmq_slot_t *slot))
{
    int           rc;
    unsigned      i;
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;

    rc = KMQ_GONE;

    for (i = 0; rc == KMQ_GONE && i < b->nshards; i++) {
        kmq_lock(kmq, KMQ_SHARD(b, i));

        slot = message_find(kmq->shard, code);

        if (slot) {
            rc = change(kmq, slot);
        }

        kmq_unlock(kmq);
    }

    return rc;
}


static int
delete_slot(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_message_delete(kmq, slot);

    return KMQ_OK;
}


int
kmq_delete(kmq_t *kmq, const char code[KMQ_CODE_LEN])
{
    return change_code(kmq, code, delete_slot);
}


/* A dead message is ready again, as the newest of its topic. */
static void
requeue(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_shard_t  *s = kmq->shard;
    kmq_topic_t  *topic = KMQ_AT(s, slot->topic);

    kmq_message_unlist(kmq, slot);

    slot->failures = 0;
    slot->flags = 0;
    slot->state_time = kmq->wall / 1000;

    slot->owner = (uint32_t) kmq->mono;

    KMQ_SET(slot->state, KMQ_READY);
    KMQ_POINT("requeue");

    kmq_journal_sequence(kmq, KMQ_RECORD_REQUEUED, 0, slot->sequence, 0);

    kmq_list_append(s, &topic->ready, &slot->link);
    kmq_topic_active(s, topic);

    kmq_room_add(kmq, 1);
    s->totals.requeued++;
}


static int
requeue_slot(kmq_t *kmq, kmq_slot_t *slot)
{
    if (slot->state != KMQ_DEAD) {
        return KMQ_ERROR;
    }

    requeue(kmq, slot);
    kmq_grant(kmq, KMQ_AT(kmq->shard, slot->topic), 1);

    return KMQ_OK;
}


int
kmq_requeue(kmq_t *kmq, const char code[KMQ_CODE_LEN])
{
    return change_code(kmq, code, requeue_slot);
}


unsigned
kmq_requeue_topic(kmq_t *kmq, const char *name, size_t len, unsigned max)
{
    unsigned      n;
    kmq_shard_t  *s;
    kmq_topic_t  *topic;

    n = 0;

    kmq_lock(kmq, kmq_topic_shard(kmq, name, len));

    s = kmq->shard;
    topic = kmq_topic_get(s, name, len);

    if (topic) {
        for ( /* void */ ; n < max && topic->dead.head; n++) {
            requeue(kmq, KMQ_AT(s, topic->dead.head));
        }

        kmq_grant(kmq, topic, n);
    }

    kmq_unlock(kmq);

    return n;
}


/* --------------------------------------------------------------------- due */

static int
due_slot(kmq_t *kmq, kmq_slot_t *slot)
{
    if (slot->state != KMQ_DELAYED && slot->state != KMQ_RETRYING) {
        return KMQ_ERROR;
    }

    kmq_unschedule(kmq->shard, &slot->timer);
    slot->timer.due = kmq->mono;

    kmq_journal_sequence(kmq, KMQ_RECORD_REQUEUED, KMQ_KIND_DUE,
                         slot->sequence, 0);
    kmq_message_due(kmq, slot);

    return KMQ_OK;
}


int
kmq_make_due(kmq_t *kmq, const char code[KMQ_CODE_LEN])
{
    return change_code(kmq, code, due_slot);
}
