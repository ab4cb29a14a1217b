/* What becomes of a message: taken, consumed, ready again, dead. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../time/kmq_time.h"
#include "../journal/kmq_journal.h"
#include "kmq_queue_inside.h"


void
kmq_message_fill(kmq_shard_t *s, const kmq_slot_t *slot, kmq_message_t *m)
{
    m->size = slot->size;
    m->delay = slot->delay;
    m->slot = KMQ_OUT(s, KMQ_REF(s, slot));
    m->body = KMQ_OUT(s, slot->body);
    m->piece = m->body;
    m->offset = 0;
    m->position = slot->position;
    m->create_time = slot->create_time;
    m->sequence = slot->sequence;
    m->shard = s->number;
}


/* ----------------------------------------------------- a delivery's end */

/* A message in flight that was deleted meanwhile; it is in no list now. */
static int
gone(kmq_t *kmq, kmq_slot_t *slot)
{
    if (!(slot->flags & KMQ_DELETED)) {
        return 0;
    }

    kmq->shard->in_flight--;
    kmq->shard->doomed--;
    kmq_message_free(kmq, slot);

    return 1;
}


/* A message that was in flight, and is in no list now, has been consumed. */
void
kmq_message_consumed(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_shard_t  *s = kmq->shard;

    if (gone(kmq, slot)) {
        return;
    }

    s->in_flight--;
    ((kmq_topic_t *) KMQ_AT(s, slot->topic))->in_flight--;

    if (!kmq->block->settings.keep_consumed) {
        kmq_journal_sequence(kmq, KMQ_RECORD_GONE, KMQ_KIND_CLEANED,
                             slot->sequence, 0);
        kmq_message_free(kmq, slot);
        return;
    }

    /* a shared one was in the journal at its first confirmation */

    if (!(slot->flags & KMQ_SHARED)) {
        kmq_journal_sequence(kmq, KMQ_RECORD_CONSUMED, 0, slot->sequence, 0);
    }

    slot->state_time = kmq->wall / 1000;

    KMQ_SET(slot->state, KMQ_CONSUMED);
    KMQ_POINT("message-consumed");

    kmq_history_append(s, slot);
}


/* It has been pushed as often as it may. */
static void
die(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot)
{
    kmq_shard_t  *s = kmq->shard;

    slot->state_time = kmq->wall / 1000;

    KMQ_SET(slot->state, KMQ_DEAD);
    KMQ_POINT("message-dead");

    kmq_journal_sequence(kmq, KMQ_RECORD_DEAD, 0, slot->sequence, 0);
    kmq_list_append(s, &topic->dead, &slot->link);

    s->in_flight--;
    topic->in_flight--;
    s->dead++;
    s->totals.died++;
    topic->totals.died++;
}


/*
 * A consumer loses a message that was, or should have come, in flight with it.
 * When no other consumer has it either, it is ready again, behind after or in
 * front of its topic; or it is dead.  Returns it when it is ready, else after.
 */
kmq_slot_t *
kmq_message_release(kmq_t *kmq, kmq_slot_t *slot, kmq_slot_t *after)
{
    uint32_t      max;
    kmq_shard_t  *s = kmq->shard;
    kmq_topic_t  *topic = KMQ_AT(s, slot->topic);

    KMQ_STEP();

    if (--slot->pending) {
        return after;
    }

    if (slot->flags & KMQ_SHARED) {
        kmq_list_remove(s, &topic->log, &slot->link);

        if (slot->flags & KMQ_CONFIRMED) {
            kmq_message_consumed(kmq, slot);
            return after;
        }
    }

    if (gone(kmq, slot)) {
        return after;
    }

    max = topic->settings.max_deliveries;

    if (max && slot->attempts >= max && !kmq->blameless) {
        die(kmq, topic, slot);
        return after;
    }

    slot->flags = 0;
    slot->owner = 0;

    KMQ_SET(slot->state, KMQ_READY);
    KMQ_POINT("message-release");

    kmq_list_insert(s, &topic->ready, after ? &after->link : NULL,
                    &slot->link);
    kmq_topic_active(s, topic);

    s->in_flight--;
    topic->in_flight--;
    kmq_room_add(kmq, 1);

    return slot;
}


/*
 * The lock may be let go between messages that a client gives back.  This is
 * the last of them, if it is still ready: the next one belongs behind it.
 * NULL: the next one belongs in front.
 */
kmq_slot_t *
kmq_returned(kmq_shard_t *s, const kmq_client_t *client)
{
    kmq_slot_t  *slot;

    slot = client->returned ? kmq_slot_at(s, client->returned) : NULL;

    return slot && slot->sequence == client->returned_sequence
           && slot->state == KMQ_READY ? slot : NULL;
}


/* NULL: the next one goes in front. */
void
kmq_returned_set(kmq_shard_t *s, kmq_client_t *client, const kmq_slot_t *slot)
{
    client->returned = slot ? KMQ_REF(s, slot) : 0;
    client->returned_sequence = slot ? slot->sequence : 0;
}


/* Takes a message that is neither reserved nor in flight out of its list and
 * out of the counts. */
void
kmq_message_unlist(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_shard_t  *s = kmq->shard;
    kmq_topic_t  *topic = KMQ_AT(s, slot->topic);

    switch (slot->state) {

    case KMQ_READY:
        kmq_list_remove(s, &topic->ready, &slot->link);
        s->waiting--;
        kmq_topic_active(s, topic);
        kmq_grant_trim(kmq, topic);
        break;

    case KMQ_DELAYED:
        kmq_unschedule(s, &slot->timer);
        topic->delayed--;
        s->delayed--;
        break;

    case KMQ_CONSUMED:
        kmq_history_remove(s, slot);
        s->nrecent = 0;
        break;

    default: /* KMQ_DEAD */
        kmq_list_remove(s, &topic->dead, &slot->link);
        s->dead--;
        break;
    }
}


/* Takes the first ready message off its topic's list. */
kmq_slot_t *
kmq_message_take(kmq_t *kmq, kmq_topic_t *topic)
{
    kmq_slot_t   *slot;
    kmq_shard_t  *s = kmq->shard;

    slot = (kmq_slot_t *) kmq_list_shift(s, &topic->ready);

    if (slot->attempts) {
        kmq_count_redelivered(kmq, topic);

    } else {
        kmq_count_latency(kmq, slot->owner);
    }

    if (slot->attempts < UINT16_MAX) {
        slot->attempts++;
    }

    kmq_journal_sequence(kmq, KMQ_RECORD_DELIVERED, 0, slot->sequence,
                         slot->attempts);

    s->waiting--;
    s->in_flight++;
    topic->in_flight++;

    return slot;
}


/* A delayed message's time has come. */
void
kmq_message_due(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_shard_t  *s = kmq->shard;
    kmq_topic_t  *topic = KMQ_AT(s, slot->topic);

    slot->owner = (uint32_t) slot->timer.due;

    KMQ_SET(slot->state, KMQ_READY);
    KMQ_POINT("schedule-due");

    kmq_list_append(s, &topic->ready, &slot->link);
    kmq_topic_active(s, topic);

    topic->delayed--;
    s->delayed--;
    kmq_room_add(kmq, 1);

    kmq_grant(kmq, topic, 1);
}
