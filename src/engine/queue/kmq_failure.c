/*
 * What becomes of a message whose delivery ends without a confirmation.
 *
 * Where nobody else has it, it is ready again, in front of its topic.  When it
 * is charged with that, its failures grow, and it waits first, longer with each
 * failure, as KMQ_RETRYING on the schedule; or it is dead.  One that may have
 * ended its consumer is a suspect, and is pushed alone (kmq_suspect.c).
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../time/kmq_time.h"
#include "../journal/kmq_journal.h"
#include "kmq_queue_inside.h"


/* How far from the last one a message that is due is put in order. */
#define AGAIN_STEPS  64

/* Suspects that are put into a queue at once. */
#define QUEUED_MAX   64


/* A delivery of the message has ended.  1: nobody has it any more, and what is
 * next is to be decided. */
static int
let_go(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot)
{
    kmq_shard_t  *s = kmq->shard;

    KMQ_STEP();

    if (--slot->pending) {
        return 0;
    }

    if (slot->flags & KMQ_SHARED) {
        kmq_list_remove(s, &topic->log, &slot->link);

        if (slot->flags & KMQ_CONFIRMED) {
            kmq_message_consumed(kmq, slot);
            return 0;
        }
    }

    return !kmq_message_gone(kmq, slot);
}


static void
flight_end(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot)
{
    slot->flags = (slot->flags & KMQ_LASTING) | KMQ_PUSHED;
    slot->owner = 0;

    kmq->shard->in_flight--;
    topic->in_flight--;
}


static void
die(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot)
{
    kmq_shard_t  *s = kmq->shard;

    flight_end(kmq, topic, slot);
    slot->state_time = kmq->wall / 1000;

    KMQ_SET(slot->state, KMQ_DEAD);
    KMQ_POINT("message-dead");

    kmq_journal_sequence(kmq, KMQ_RECORD_DEAD, 0, slot->sequence, 0);
    kmq_list_append(s, &topic->dead, &slot->link);

    s->dead++;
    s->totals.died++;
    topic->totals.died++;
}


/* Has it failed as often as it may? */
static int
is_spent(const kmq_t *kmq, const kmq_topic_t *topic, const kmq_slot_t *slot)
{
    return topic->settings.max_deliveries && !kmq->blameless
           && slot->failures >= topic->settings.max_deliveries;
}


/* A message that is counted nowhere now is ready, behind after or in front of
 * its topic; a suspect is beside it.  Returns it when it is in the topic. */
static kmq_slot_t *
ready_again(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot,
    kmq_slot_t *after)
{
    kmq_shard_t  *s = kmq->shard;

    if (slot->flags & KMQ_SUSPECT && slot->state != KMQ_ASIDE
        && topic->push_type == KMQ_PUSH_ONE
        && topic->settings.retry_delay_max)
    {
        if (kmq_suspect_add(kmq, topic, slot)) {
            kmq_message_due(kmq, slot);
        }

        return after;
    }

    KMQ_SET(slot->state, KMQ_READY);
    KMQ_POINT("message-release");

    kmq_list_insert(s, &topic->ready, after ? &after->link : NULL,
                    &slot->link);
    kmq_topic_active(s, topic);
    kmq_room_add(kmq, 1);

    return slot;
}


kmq_slot_t *
kmq_message_release(kmq_t *kmq, kmq_slot_t *slot, kmq_slot_t *after)
{
    kmq_topic_t  *topic = KMQ_AT(kmq->shard, slot->topic);

    if (!let_go(kmq, topic, slot)) {
        return after;
    }

    /* publish/subscribe: it has been given up for each of its consumers */

    if (slot->flags & KMQ_SHARED && is_spent(kmq, topic, slot)) {
        die(kmq, topic, slot);
        return after;
    }

    kmq->shard->failures[KMQ_FAILED_NOT]++;
    flight_end(kmq, topic, slot);

    return ready_again(kmq, topic, slot, after);
}


/* ---------------------------------------------------------------- charged */

uint64_t
kmq_back_off(const kmq_topic_t *topic, unsigned failures, unsigned reason)
{
    uint64_t  wait;
    unsigned  doubled;

    if (reason != KMQ_FAILED_OVERDUE) {
        failures--;
    }

    if (failures == 0) {
        return 0;
    }

    doubled = failures - 1 < 32 ? failures - 1 : 32;
    wait = (uint64_t) topic->settings.retry_delay << doubled;

    return wait < topic->settings.retry_delay_max
           ? wait : topic->settings.retry_delay_max;
}


void
kmq_message_charge(kmq_t *kmq, kmq_slot_t *slot, unsigned failures,
    unsigned reason, uint64_t due)
{
    unsigned  flags;

    if (failures > slot->failures) {
        slot->failures = failures < UINT16_MAX ? failures : UINT16_MAX;
    }

    flags = slot->flags & ~(3 * KMQ_REASON);
    flags |= reason * KMQ_REASON;

    if (reason == KMQ_FAILED_END) {
        flags |= KMQ_SUSPECT;
    }

    KMQ_SET(slot->flags, flags);
    KMQ_POINT("message-charge");

    kmq->shard->failures[reason]++;
    kmq_journal_failed(kmq, slot->sequence,
                       kmq_message_attempts(slot) | KMQ_ATTEMPTS_PUSHED,
                       due ? kmq->wall + (due - kmq->mono) : 0);
}


static void
retry_later(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot)
{
    kmq_shard_t  *s = kmq->shard;

    KMQ_SET(slot->state, KMQ_RETRYING);
    KMQ_POINT("retry-later");

    topic->retrying++;
    s->retrying++;

    if (kmq_schedule(kmq, &slot->timer)) {
        kmq_message_due(kmq, slot);
    }
}


kmq_slot_t *
kmq_message_fail(kmq_t *kmq, kmq_slot_t *slot, kmq_slot_t *after,
    unsigned reason, int64_t delay)
{
    unsigned      failures;
    uint64_t      wait, due;
    kmq_topic_t  *topic = KMQ_AT(kmq->shard, slot->topic);

    if (kmq->blameless) {
        return kmq_message_release(kmq, slot, after);
    }

    if (!let_go(kmq, topic, slot)) {
        return after;
    }

    failures = slot->failures + 1;
    wait = delay < 0 ? kmq_back_off(topic, failures, reason)
                     : (uint64_t) delay;
    due = wait ? kmq_due(kmq, wait) : 0;

    kmq_message_charge(kmq, slot, failures, reason, due);

    if (is_spent(kmq, topic, slot)) {
        die(kmq, topic, slot);
        return after;
    }

    flight_end(kmq, topic, slot);

    if (wait == 0) {
        return ready_again(kmq, topic, slot, after);
    }

    slot->timer.due = due;
    retry_later(kmq, topic, slot);

    return after;
}


/* ------------------------------------------------------------ its next try */

/* The one that became ready again last after a wait, if it still is. */
static kmq_slot_t *
again_last(kmq_shard_t *s, const kmq_topic_t *topic, const kmq_slot_t *slot)
{
    kmq_slot_t  *last;

    last = topic->again ? kmq_slot_at(s, topic->again) : NULL;

    return last && last->state == KMQ_READY && last->flags & KMQ_PUSHED
           && last->topic == slot->topic
           && (uint32_t) last->sequence == topic->again_sequence ? last : NULL;
}


/* A neighbour in the queue, if it was pushed before. */
static kmq_slot_t *
again_neighbour(kmq_shard_t *s, kmq_ref_t ref)
{
    kmq_slot_t  *slot;

    KMQ_STEP();

    slot = ref ? KMQ_AT(s, ref) : NULL;

    return slot && slot->flags & KMQ_PUSHED ? slot : NULL;
}


/* Those that are due together come in the order of their numbers: the one that
 * slot belongs behind, not far from the last one.  NULL: it belongs in
 * front. */
static kmq_slot_t *
again_place(kmq_shard_t *s, const kmq_topic_t *topic, const kmq_slot_t *slot)
{
    unsigned     n;
    kmq_slot_t  *at, *next;

    n = AGAIN_STEPS;

    for (at = again_last(s, topic, slot);
         at && at->sequence > slot->sequence;
         at = again_neighbour(s, at->prev))
    {
        if (n-- == 0) {
            return NULL;
        }
    }

    while (at && n--) {
        next = again_neighbour(s, at->next);

        if (next == NULL || next->sequence > slot->sequence) {
            break;
        }

        at = next;
    }

    return at;
}


/* Its wait is over, or nobody has run empty for it. */
static void
retry_due(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot)
{
    kmq_shard_t  *s = kmq->shard;

    topic->retrying--;
    s->retrying--;

    /* one that fails for ever is hardly ever ready when the old are looked
     * for */

    if (kmq_message_old(kmq, topic, slot)) {
        kmq_message_expire(kmq, topic, slot);
        return;
    }

    if (ready_again(kmq, topic, slot, again_place(s, topic, slot)) != slot) {
        return;
    }

    topic->again = KMQ_REF(s, slot);
    topic->again_sequence = (uint32_t) slot->sequence;

    kmq_grant(kmq, topic, 1);
}


static void
delay_over(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot)
{
    kmq_shard_t  *s = kmq->shard;

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


void
kmq_message_due(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_topic_t  *topic = KMQ_AT(kmq->shard, slot->topic);

    switch (slot->state) {

    case KMQ_DELAYED:
        delay_over(kmq, topic, slot);
        break;

    case KMQ_RETRYING:
        retry_due(kmq, topic, slot);
        break;

    default: /* KMQ_ASIDE */
        kmq_suspect_forget(kmq, topic, slot);
        retry_due(kmq, topic, slot);
        break;
    }
}


void
kmq_suspects_queue(kmq_t *kmq, kmq_topic_t *topic)
{
    unsigned     n;
    kmq_slot_t  *slot;

    for (n = 0; topic->suspects.head && n < QUEUED_MAX; n++) {
        KMQ_STEP();

        slot = KMQ_KEPT_SLOT(KMQ_AT(kmq->shard, topic->suspects.head));

        kmq_unschedule(kmq->shard, &slot->timer);
        kmq_message_due(kmq, slot);
    }
}


/* -------------------------------------------------------------- confirmed */

int
kmq_message_confirm_late(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_topic_t  *topic = KMQ_AT(kmq->shard, slot->topic);

    if (!kmq_message_waits_again(slot)) {
        return 0;
    }

    kmq_message_unlist(kmq, slot);
    kmq_room_settle(kmq);

    kmq->shard->in_flight++;
    topic->in_flight++;

    kmq_message_consumed(kmq, slot);

    return 1;
}
