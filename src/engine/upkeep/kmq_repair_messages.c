/*
 * The messages' part of a repair.
 *
 * What takes time is memory: so it is best to meet each message once.  Where
 * messages lie in the order of their numbers, as those of a backlog do that has
 * come into free memory, and nothing is due, one walk over the pages marks
 * them, enters them into the index, and links them; and nothing is written that
 * is there already.  Where they do not, the walk goes on without the links, and
 * another one, along the index, makes them.  Where the index finds no whole
 * pages, all of that is done one after the other.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../time/kmq_time.h"
#include "../queue/kmq_queue.h"
#include "kmq_upkeep_inside.h"


/* Messages are in no cache: they are prefetched so far ahead. */
#define AHEAD  16


static uint64_t
by_position(kmq_shard_t *s, const kmq_link_t *link)
{
    const kmq_slot_t   *slot = (const kmq_slot_t *) link;
    const kmq_topic_t  *topic = KMQ_AT(s, slot->topic);

    /* positions wrap: what counts is the distance to the last one */

    return UINT32_MAX - (topic->position - slot->position);
}


/* ------------------------------------------------------------------- links */

/* It counts as ready from now on. */
static void
ready_anew(const kmq_t *kmq, kmq_slot_t *slot)
{
    KMQ_SET(slot->owner, (uint32_t) kmq->mono);
}


/*
 * Appends a ready message.  Since when it has been ready stands where before
 * its worker stood, and later its consumer does.  So it is believed of those
 * that were linked to the next one as they are now: whoever took a message had
 * cut it off first.
 */
static void
ready_relink(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot)
{
    kmq_slot_t   *last;
    kmq_shard_t  *s = kmq->shard;

    if (slot->flags & ~KMQ_LASTING) {
        slot->flags &= KMQ_LASTING;
    }

    if (slot->owner < KMQ_WORKERS) {
        ready_anew(kmq, slot);
    }

    if (topic->ready.tail) {
        last = KMQ_AT(s, topic->ready.tail);

        if (last->next != KMQ_REF(s, slot)) {
            ready_anew(kmq, last);
        }
    }

    kmq_list_relink(s, &topic->ready, &slot->link);
    s->waiting++;
}


static void
flight_relink(kmq_shard_t *s, kmq_topic_t *topic, kmq_slot_t *slot,
    kmq_list_t *taken)
{
    slot->pending = 0;
    s->in_flight++;
    s->doomed += (slot->flags & KMQ_DELETED) != 0;
    topic->in_flight += !(slot->flags & KMQ_DELETED);

    /* point to point it was there before; a lease may be so old that the
     * distance means nothing */

    if (slot->flags & KMQ_SHARED
        && (int32_t) (slot->position - topic->position) > 0)
    {
        topic->position = slot->position;
    }

    kmq_list_append(s, slot->flags & KMQ_SHARED ? &topic->log : taken,
                    &slot->link);
}


/* Enters a message where its state says, behind those with lower numbers.
 * Point to point, messages in flight go into taken.  1: it is due. */
static int
slot_relink(kmq_t *kmq, kmq_slot_t *slot, kmq_list_t *taken)
{
    kmq_shard_t  *s = kmq->shard;
    kmq_topic_t  *topic = KMQ_AT(s, slot->topic);

    topic->slots++;

    switch (slot->state) {

    case KMQ_RESERVED:
        kmq_list_append(s, &s->duty[slot->owner].reserved, &slot->link);
        s->waiting++;
        s->reserved++;
        return 0;

    case KMQ_DELAYED:
        topic->delayed++;
        s->delayed++;
        return kmq_schedule(kmq, &slot->timer);

    case KMQ_RETRYING:
        topic->retrying++;
        s->retrying++;
        return kmq_schedule(kmq, &slot->timer);

    case KMQ_ASIDE:
        kmq_suspect_link(s, topic, slot);
        return kmq_schedule(kmq, &slot->timer);

    case KMQ_READY:
        ready_relink(kmq, topic, slot);
        return 0;

    case KMQ_IN_FLIGHT:
        flight_relink(s, topic, slot, taken);
        return 0;

    case KMQ_CONSUMED:
        kmq_history_append(s, slot);
        return 0;

    default: /* KMQ_DEAD */
        kmq_list_relink(s, &topic->dead, &slot->link);
        s->dead++;
        return 0;
    }
}


/* Ends the lists that may have none. */
static void
topic_end(kmq_t *kmq, kmq_topic_t *topic)
{
    kmq_shard_t  *s = kmq->shard;

    if (topic->ready.tail) {
        ready_anew(kmq, KMQ_AT(s, topic->ready.tail));
    }

    kmq_list_end(s, &topic->ready);
    kmq_list_end(s, &topic->dead);
}


/* All lists have ends, and what is in flight is in order. */
static void
lists_end(kmq_t *kmq)
{
    kmq_walk_t    walk;
    kmq_shard_t  *s = kmq->shard;
    kmq_topic_t  *topic;

    memset(&walk, 0, sizeof(walk));

    while ((topic = kmq_table_scan(s, KMQ_CLASS_TOPIC, &walk))) {

        if (topic->used) {
            topic_end(kmq, topic);
            kmq_list_sort(s, &topic->log, by_position);
        }
    }
}


/* All messages in the order in which they came. */
void
kmq_repair_link(kmq_t *kmq, kmq_list_t *taken)
{
    unsigned            i, n;
    uint64_t            sequence;
    kmq_slot_t         *slot[KMQ_NODE_NUMBERS];
    kmq_shard_t        *s = kmq->shard;
    const kmq_index_t  *node;

    for (sequence = 0; (node = kmq_index_newer(s, &sequence, 0, UINT32_MAX));
         sequence = (sequence / KMQ_NODE_NUMBERS + 1) * KMQ_NODE_NUMBERS)
    {
        n = kmq_index_gather(s, node, 0, KMQ_NODE_NUMBERS - 1, slot);

        for (i = 0; i < n && i < AHEAD; i++) {
            kmq_slot_prefetch(slot[i]);
        }

        for (i = 0; i < n; i++) {
            kmq_slot_prefetch(slot[(i + AHEAD) % n]);

            if (slot_relink(kmq, slot[i], taken)) {
                topic_end(kmq, KMQ_AT(s, slot[i]->topic));
                kmq_message_due(kmq, slot[i]);
            }
        }
    }

    lists_end(kmq);
}


/* -------------------------------------------------------------------- walk */

/* Marks the messages, makes the index, and links them as long as that can be.
 * 0: there is no memory for the index.  *linked: all of them are linked. */
static int
messages_walk(kmq_t *kmq, kmq_list_t *taken, int *linked)
{
    unsigned      i, n;
    uint64_t      last;
    kmq_walk_t    walk;
    kmq_slot_t   *slot[KMQ_WALK_SLOTS];
    kmq_shard_t  *s = kmq->shard;

    last = 0;
    *linked = 1;
    memset(&walk, 0, sizeof(walk));

    while ((n = kmq_repair_next(s, &walk, slot))) {

        for (i = 0; i < n; i++) {
            kmq_message_mark(s, slot[i]);

            if (kmq_index_insert(s, slot[i]) != KMQ_OK) {
                return 0;
            }

            *linked = *linked && slot[i]->sequence > last
                      && !slot_relink(kmq, slot[i], taken);
            last = slot[i]->sequence;
        }
    }

    return 1;
}


int
kmq_repair_messages(kmq_t *kmq, kmq_list_t *taken)
{
    int           good, linked;
    kmq_shard_t  *s = kmq->shard;

    kmq_index_reset(s);

    if (kmq_rebuild_begin(s, 1)) {
        s->all_pages = 1;
        good = messages_walk(kmq, taken, &linked);
        s->all_pages = 0;

        if (good) {
            kmq_repair_memory_end(s);

            if (linked) {
                lists_end(kmq);
            }

            return linked;
        }
    }

    kmq_repair_memory(s);
    kmq_repair_index(s);

    return 0;
}
