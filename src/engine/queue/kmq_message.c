/* What becomes of a message: consumed, waiting again, dead, history, gone. */

#include "../kmq_block.h"


/* It is no message any more; its slot and its body are left. */
static void
message_end(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_block_t  *b = kmq->block;
    kmq_topic_t  *topic = KMQ_AT(b, slot->topic);

    KMQ_STEP();

    KMQ_SET(slot->state, KMQ_FREE);
    KMQ_POINT("message-free");

    kmq_index_remove(b, slot);

    if (--topic->held == 0) {
        kmq_topic_idle(b, topic);
    }
}


/* A message that is in no list. */
void
kmq_message_free(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_block_t  *b = kmq->block;

    message_end(kmq, slot);

    if (slot->size > KMQ_PART && kmq_checkpoint_keep(b, slot)) {
        slot->body = 0;
    }

    kmq_message_memory_free(b, slot);
}


/* A reserved message that is in no list, and will never be more than that. */
void
kmq_message_discard(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_block_t  *b = kmq->block;

    if (slot->flags & KMQ_WRITTEN) {
        kmq_count_unpublished(kmq, KMQ_AT(b, slot->topic));
        kmq_journal_sequence(kmq, KMQ_RECORD_GONE, KMQ_KIND_DISCARDED,
                             slot->sequence, 0);
    }

    kmq_message_free(kmq, slot);

    b->reserved--;
    b->waiting--;
}


/* ---------------------------------------------------------------- history */

/*
 * The newest of the history, of all topics' and of its own; leaves word of it
 * with the one KMQ_AHEAD before, which is still in the cache.
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


static void
history_remove(kmq_block_t *b, kmq_slot_t *slot)
{
    kmq_topic_t  *topic = KMQ_AT(b, slot->topic);

    kmq_list_remove(b, &b->history, &slot->link);
    kmq_list_remove(b, &topic->history, &slot->kept);
    b->history_size -= slot->size;
}


/*
 * Takes the oldest one of the history out of it.
 *
 * These are in no cache any more, and each names others only when it has been
 * read.  So a slot is asked for when the one 2 * KMQ_AHEAD before it is taken,
 * by way of the one between them, and the body of that one as well.  A slot and
 * the body behind it begin anywhere in a cache line.  A slot may have been used
 * anew since it was named: what stands in it then is good enough for asking.
 */
static kmq_slot_t *
history_shift(kmq_block_t *b)
{
    char        *body, *next;
    kmq_slot_t  *slot, *later;

    /* those that are named as recent must still be there */

    if (b->history.count <= KMQ_AHEAD) {
        b->nrecent = 0;
    }

    slot = KMQ_AT(b, b->history.head);
    later = KMQ_AT(b, slot->owner);
    body = KMQ_AT(b, later->body);
    next = KMQ_AT(b, later->owner);

    __builtin_prefetch(next, 1);
    __builtin_prefetch(next + sizeof(kmq_slot_t) - 1, 1);
    __builtin_prefetch(body + KMQ_LINE - KMQ_CELL, 1);
    __builtin_prefetch(body + 2 * KMQ_LINE - KMQ_CELL - 1, 1);

    history_remove(b, slot);

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
 * Where there is no memory for a message of that size: drops the oldest
 * consumed one and returns its slot with its body.  NULL when there is memory,
 * or no history, or that body is not as the new one would be.
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
    message_end(kmq, slot);
    b->totals.dropped++;

    return slot;
}


/* ----------------------------------------------------- a delivery's end */

/* A message in flight that was deleted meanwhile; it is in no list now. */
static int
gone(kmq_t *kmq, kmq_slot_t *slot)
{
    if (!(slot->flags & KMQ_DELETED)) {
        return 0;
    }

    kmq->block->in_flight--;
    kmq->block->doomed--;
    kmq_message_free(kmq, slot);

    return 1;
}


/* A message that was in flight, and is in no list now, has been consumed. */
void
kmq_message_consumed(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_block_t  *b = kmq->block;

    if (gone(kmq, slot)) {
        return;
    }

    b->in_flight--;
    ((kmq_topic_t *) KMQ_AT(b, slot->topic))->in_flight--;

    if (!b->settings.keep_consumed) {
        kmq_journal_sequence(kmq, KMQ_RECORD_GONE, KMQ_KIND_CLEANED,
                             slot->sequence, 0);
        kmq_message_free(kmq, slot);
        return;
    }

    /* of a shared one the first confirmation tells */

    if (!(slot->flags & KMQ_SHARED)) {
        kmq_journal_sequence(kmq, KMQ_RECORD_CONSUMED, 0, slot->sequence, 0);
    }

    slot->state_time = kmq->wall / 1000;

    KMQ_SET(slot->state, KMQ_CONSUMED);
    KMQ_POINT("message-consumed");

    kmq_history_append(b, slot);
}


/* It has been pushed as often as it may. */
static void
die(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot)
{
    kmq_block_t  *b = kmq->block;

    slot->state_time = kmq->wall / 1000;

    KMQ_SET(slot->state, KMQ_DEAD);
    KMQ_POINT("message-dead");

    kmq_journal_sequence(kmq, KMQ_RECORD_DEAD, 0, slot->sequence, 0);
    kmq_list_append(b, &topic->dead, &slot->link);

    b->in_flight--;
    topic->in_flight--;
    b->dead++;
    b->totals.died++;
    topic->totals.died++;
}


/*
 * A consumer is gone, or gives back, that had, or should have got, a message
 * in flight.  Where that was the last one, the message waits again, behind
 * after or in front of its topic, unless it is given up.  Returns it when it
 * waits, else after.
 */
kmq_slot_t *
kmq_message_release(kmq_t *kmq, kmq_slot_t *slot, kmq_slot_t *after)
{
    uint32_t      max;
    kmq_block_t  *b = kmq->block;
    kmq_topic_t  *topic = KMQ_AT(b, slot->topic);

    KMQ_STEP();

    if (--slot->pending) {
        return after;
    }

    if (slot->flags & KMQ_SHARED) {
        kmq_list_remove(b, &topic->log, &slot->link);

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

    kmq_list_insert(b, &topic->ready, after ? &after->link : NULL,
                    &slot->link);
    kmq_topic_active(b, topic);

    b->in_flight--;
    topic->in_flight--;
    b->waiting++;

    return slot;
}


/*
 * The lock may be let go between messages that a client gives back: the one
 * that was last, if it still waits, behind which the next one belongs; or NULL:
 * in front.
 */
kmq_slot_t *
kmq_returned(kmq_block_t *b, const kmq_client_t *client)
{
    kmq_slot_t  *slot;

    slot = client->returned ? kmq_slot_at(b, client->returned) : NULL;

    return slot && slot->sequence == client->returned_sequence
           && slot->state == KMQ_READY ? slot : NULL;
}


/* NULL: the next one goes in front. */
void
kmq_returned_set(kmq_block_t *b, kmq_client_t *client, const kmq_slot_t *slot)
{
    client->returned = slot ? KMQ_REF(b, slot) : 0;
    client->returned_sequence = slot ? slot->sequence : 0;
}


/* Takes a message that is neither reserved nor in flight out of the list in
 * which it is, and out of the counts. */
void
kmq_message_unlist(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_block_t  *b = kmq->block;
    kmq_topic_t  *topic = KMQ_AT(b, slot->topic);

    switch (slot->state) {

    case KMQ_READY:
        kmq_list_remove(b, &topic->ready, &slot->link);
        b->waiting--;
        kmq_topic_active(b, topic);
        kmq_grant_trim(kmq, topic);
        break;

    case KMQ_DELAYED:
        kmq_unschedule(b, &slot->timer);
        topic->delayed--;
        b->delayed--;
        break;

    case KMQ_CONSUMED:
        history_remove(b, slot);
        b->nrecent = 0;
        break;

    default: /* KMQ_DEAD */
        kmq_list_remove(b, &topic->dead, &slot->link);
        b->dead--;
        break;
    }
}
