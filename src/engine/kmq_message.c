/* What becomes of a message: consumed, waiting again, history, gone. */

#include "kmq_block.h"



void
kmq_message_free(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_ref_t     body;
    kmq_block_t  *b = kmq->block;
    kmq_topic_t  *topic;

    topic = KMQ_AT(b, slot->topic);
    body = slot->body;

    KMQ_SET(slot->state, KMQ_FREE);
    KMQ_POINT("message-free");

    kmq_body_free(b, body);
    kmq_slot_free(b, slot);

    if (--topic->held == 0) {
        kmq_topic_idle(b, topic);
    }
}

/* The newest of the history; leaves word of it with the one KMQ_AHEAD before,
 * which is still in the cache. */
static void
history_append(kmq_block_t *b, kmq_slot_t *slot)
{
    kmq_ref_t   *recent;
    kmq_slot_t  *before;

    recent = &b->recent[b->recent_next++ % KMQ_AHEAD];

    if (b->history.count >= KMQ_AHEAD) {
        before = kmq_slot_at(b, *recent);

        if (before && before->state == KMQ_CONSUMED) {
            before->owner = KMQ_REF(b, slot);
        }
    }

    *recent = KMQ_REF(b, slot);

    kmq_list_append(b, &b->history, slot);
}


/*
 * Drops the oldest consumed messages, KMQ_AHEAD at a time; 0 when there are
 * none.  They are in no cache any more, and each names the next only when it
 * has been read: so the slots of the next drop are asked for now, and the
 * bodies of this one before the first is touched.
 */
int
kmq_history_drop(kmq_t *kmq)
{
    unsigned      i, n;
    kmq_ref_t     ref;
    kmq_slot_t   *slot, *oldest[KMQ_AHEAD];
    kmq_block_t  *b = kmq->block;

    ref = b->history.head;

    for (n = 0; ref && n < KMQ_AHEAD; n++) {
        slot = KMQ_AT(b, ref);
        __builtin_prefetch(KMQ_AT(b, slot->owner), 1);
        __builtin_prefetch(KMQ_AT(b, slot->body), 1);
        __builtin_prefetch((char *) KMQ_AT(b, slot->body) + 64, 1);
        oldest[n] = slot;
        ref = slot->next;
    }

    for (i = 0; i < n; i++) {
        kmq_list_remove(b, &b->history, oldest[i]);
        kmq_message_free(kmq, oldest[i]);
    }

    b->dropped += n;

    return n != 0;
}


/* A message that was in flight, and is in no list now, has been consumed. */
void
kmq_message_consumed(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_block_t  *b = kmq->block;

    b->in_flight--;

    if (!b->settings.keep_consumed) {
        kmq_message_free(kmq, slot);
        return;
    }

    slot->consumed_time = kmq->wall / 1000;

    KMQ_SET(slot->state, KMQ_CONSUMED);
    KMQ_POINT("message-consumed");

    history_append(b, slot);
}


/*
 * A consumer is gone that had, or should have got, a message in flight.
 * Where that was the last one, the message waits again: behind after, or in
 * front of its topic.  Returns it then, else after.
 */
kmq_slot_t *
kmq_message_release(kmq_t *kmq, kmq_slot_t *slot, kmq_slot_t *after)
{
    kmq_block_t  *b = kmq->block;
    kmq_topic_t  *topic = KMQ_AT(b, slot->topic);

    if (--slot->pending) {
        return after;
    }

    if (slot->flags & KMQ_SHARED) {
        kmq_list_remove(b, &topic->log, slot);

        if (slot->flags & KMQ_CONFIRMED) {
            kmq_message_consumed(kmq, slot);
            return after;
        }
    }

    slot->flags = 0;
    slot->owner = 0;

    KMQ_SET(slot->state, KMQ_READY);
    KMQ_POINT("message-release");

    kmq_list_insert(b, &topic->ready, after, slot);
    kmq_topic_active(b, topic);

    b->in_flight--;
    b->waiting++;

    return slot;
}
