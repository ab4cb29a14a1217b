/*
 * Suspects: messages that were charged with the end of a consumer, and may have
 * caused it.
 *
 * Point to point, a suspect that is ready waits beside its topic's queue for a
 * consumer that has nothing else.  One that is empty gets it at once; else one
 * is run empty: it gets nothing new until what it has is confirmed.  Others go
 * on meanwhile, so no more than half of a topic's consumers are alone with one.
 * Where none runs empty in time, the suspect is pushed like any other.
 *
 * In publish/subscribe suspects stay in the queue and in the log, and each
 * consumer runs empty when it comes to one (kmq_publish_subscribe.c).
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../time/kmq_time.h"
#include "kmq_queue_inside.h"


void
kmq_suspect_link(kmq_shard_t *s, kmq_topic_t *topic, kmq_slot_t *slot)
{
    kmq_list_append(s, &topic->suspects, &slot->kept);
    topic->retrying++;
    s->retrying++;
}


int
kmq_suspect_add(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot)
{
    slot->timer.due = kmq_due(kmq, topic->settings.retry_delay_max);

    KMQ_SET(slot->state, KMQ_ASIDE);
    KMQ_POINT("suspect-add");

    kmq_suspect_link(kmq->shard, topic, slot);

    if (kmq_schedule(kmq, &slot->timer)) {
        return 1;
    }

    kmq_routes_tell(kmq, topic, 0);

    return 0;
}


/* The consumer that is run empty goes on as others do.  Returns it. */
static kmq_client_t *
emptying_end(kmq_shard_t *s, kmq_topic_t *topic)
{
    kmq_client_t  *client = KMQ_AT(s, topic->emptying);

    topic->emptying = 0;
    client->held &= ~KMQ_HELD_EMPTYING;

    return client;
}


void
kmq_suspect_forget(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot)
{
    kmq_list_remove(kmq->shard, &topic->suspects, &slot->kept);

    if (topic->suspects.head == 0 && topic->emptying) {
        kmq_look_now(kmq, emptying_end(kmq->shard, topic));
    }
}


void
kmq_suspect_remove(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot)
{
    kmq_unschedule(kmq->shard, &slot->timer);
    kmq_suspect_forget(kmq, topic, slot);

    topic->retrying--;
    kmq->shard->retrying--;
}


void
kmq_suspect_stay(kmq_t *kmq, kmq_client_t *client)
{
    kmq_topic_t  *topic = KMQ_AT(kmq->shard, client->topic);

    if (topic->emptying != KMQ_REF(kmq->shard, client)) {
        return;
    }

    (void) emptying_end(kmq->shard, topic);
    kmq_routes_tell(kmq, topic, 0);
}
