/* A message is taken, consumed, or leaves its list; kmq_failure.c has what
 * becomes of it when it is not confirmed. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../time/kmq_time.h"
#include "../journal/kmq_journal.h"
#include "kmq_queue_inside.h"


void
kmq_message_fill(kmq_shard_t *s, const kmq_slot_t *slot, kmq_message_t *m)
{
    m->size = slot->size;
    m->attempts = slot->flags & KMQ_PUSHED ? slot->failures + 1 : 0;
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

int
kmq_message_gone(kmq_t *kmq, kmq_slot_t *slot)
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

    if (kmq_message_gone(kmq, slot)) {
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

    case KMQ_RETRYING:
        kmq_unschedule(s, &slot->timer);
        topic->retrying--;
        s->retrying--;
        break;

    case KMQ_ASIDE:
        kmq_suspect_remove(kmq, topic, slot);
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


/* Since when a message grows old, in s. */
uint32_t
kmq_age_start(const kmq_slot_t *slot)
{
    uint32_t  start;

    start = slot->create_time + slot->delay;

    /* its death, or its second life */

    if (slot->state != KMQ_CONSUMED && slot->state_time > start) {
        start = slot->state_time;
    }

    return start;
}


int
kmq_message_old(const kmq_t *kmq, const kmq_topic_t *topic,
    const kmq_slot_t *slot)
{
    return topic->settings.clean_time
           && (uint64_t) kmq_age_start(slot) + topic->settings.clean_time
              <= kmq->wall / 1000;
}


void
kmq_message_expire(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot)
{
    kmq_journal_sequence(kmq, KMQ_RECORD_GONE, KMQ_KIND_EXPIRED,
                         slot->sequence, 0);
    kmq_message_free(kmq, slot);

    topic->totals.expired++;
    kmq->shard->totals.expired++;
}


static inline void
begin(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot)
{
    uint32_t  attempts;

    attempts = slot->failures + 1;

    if (slot->flags & KMQ_PUSHED) {
        attempts |= KMQ_ATTEMPTS_PUSHED;
        kmq_count_redelivered(kmq, topic);

    } else {
        kmq_count_latency(kmq, slot->owner);
    }

    kmq_journal_sequence(kmq, KMQ_RECORD_DELIVERED, 0, slot->sequence,
                         attempts);

    kmq->shard->in_flight++;
    topic->in_flight++;
}


/* Takes the first ready message off its topic's list. */
kmq_slot_t *
kmq_message_take(kmq_t *kmq, kmq_topic_t *topic)
{
    kmq_slot_t  *slot;

    slot = (kmq_slot_t *) kmq_list_shift(kmq->shard, &topic->ready);
    kmq->shard->waiting--;

    begin(kmq, topic, slot);

    return slot;
}


void
kmq_message_begin(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot)
{
    begin(kmq, topic, slot);
}
