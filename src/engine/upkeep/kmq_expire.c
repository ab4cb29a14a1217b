/*
 * Messages grow old: ready, consumed and dead ones are deleted when they are
 * older than clean_time.
 *
 * Each of a topic's lists has its oldest messages in front, so a look at a
 * topic costs its old messages and one more for each list.  The keeper passes
 * over all topics every check_interval, in slices.  (A message that was
 * consumed long after it came may lie in front of older ones in the history,
 * and keeps them until it goes.)  What is counted of a topic grows old, too,
 * and gives back its room then.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../journal/kmq_journal.h"
#include "../queue/kmq_queue.h"
#include "kmq_upkeep_inside.h"


/* These bound the time under the lock. */
#define MESSAGES_SLICE  (2 * KMQ_SLICE)
#define TOPICS_SLICE    (KMQ_SLICE / 2)


/* A message of the topic that is too old, the oldest of its list; or NULL. */
static kmq_slot_t *
topic_oldest(kmq_t *kmq, const kmq_topic_t *topic)
{
    unsigned      i;
    kmq_slot_t   *slot, *first[3];
    kmq_shard_t  *s = kmq->shard;

    first[0] = topic->ready.head ? KMQ_AT(s, topic->ready.head) : NULL;
    first[1] = topic->dead.head ? KMQ_AT(s, topic->dead.head) : NULL;
    first[2] = topic->history.head
               ? KMQ_KEPT_SLOT(KMQ_AT(s, topic->history.head)) : NULL;

    for (i = 0; i < 3; i++) {
        slot = first[i];

        if (slot && kmq_message_old(kmq, topic, slot)) {
            return slot;
        }
    }

    return NULL;
}


/* Deletes messages of a topic that are too old: at most *n, which counts
 * down. */
static void
topic_expire(kmq_t *kmq, kmq_topic_t *topic, unsigned *n)
{
    kmq_slot_t  *slot;

    if (topic->slots == 0) {
        return;
    }

    while (*n) {
        slot = topic_oldest(kmq, topic);
        if (slot == NULL) {
            return;
        }

        (*n)--;
        kmq_message_unlist(kmq, slot);
        kmq_message_expire(kmq, topic, slot);
    }
}


/* Does a slice of the current pass over the shard's topics, if there is one, or
 * begins the next one when it is time.  Returns 1 when there is more to do. */
int
kmq_expire_run(kmq_t *kmq)
{
    unsigned      topics, messages;
    kmq_walk_t    here;
    kmq_shard_t  *s = kmq->shard;
    kmq_topic_t  *topic;

    if (s->check_walk.page == 0) {

        if (!(kmq->check & KMQ_BIT(s))) {
            return 0;
        }

        s->check_walk.page = kmq_table_first(s, KMQ_CLASS_TOPIC);
        s->check_walk.index = 0;
    }

    kmq->check &= ~KMQ_BIT(s);
    messages = MESSAGES_SLICE;

    for (topics = 0; s->check_walk.page && topics < TOPICS_SLICE; topics++) {
        here = s->check_walk;
        topic = kmq_table_next(s, KMQ_CLASS_TOPIC, &s->check_walk);

        if (topic == NULL) {
            s->check_walk.page = 0;
            break;
        }

        if (topic->used) {
            kmq_topic_periods_trim(kmq, topic);
            topic_expire(kmq, topic, &messages);
        }

        if (messages == 0) {
            s->check_walk = here;
            break;
        }
    }

    return s->check_walk.page != 0;
}
