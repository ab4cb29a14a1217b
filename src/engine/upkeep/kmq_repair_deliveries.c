/*
 * The deliveries' part of a repair: how many consumers still owe a confirmation
 * of each message in flight.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../queue/kmq_queue.h"
#include "../delivery/kmq_delivery.h"
#include "kmq_upkeep_inside.h"


/* Does an entry stand for a delivery that was begun and not ended? */
static int
delivery_valid(kmq_shard_t *s, const kmq_client_t *client,
    const kmq_delivery_t *entry)
{
    kmq_slot_t  *slot;

    slot = kmq_slot_at(s, entry->slot);

    if (slot == NULL || slot->state != KMQ_IN_FLIGHT
        || slot->position != entry->position
        || slot->topic != client->topic)
    {
        return 0;
    }

    if (slot->flags & KMQ_SHARED) {
        return (int32_t) (client->next_position - entry->position) > 0;
    }

    return slot->owner == KMQ_REF(s, client);
}


static void
ring_count(kmq_shard_t *s, kmq_client_t *client)
{
    unsigned         i;
    kmq_ref_t        ref;
    kmq_ring_t      *ring;
    kmq_slot_t      *slot;
    kmq_delivery_t  *entry;

    for (ref = client->ring; ref; ref = ring->next) {
        ring = KMQ_AT(s, ref);

        for (i = 0; i < ring->count; i++) {
            entry = &ring->entry[i];

            if (entry->slot == 0) {
                continue;
            }

            if (!delivery_valid(s, client, entry)) {
                entry->slot = 0;
                continue;
            }

            slot = KMQ_AT(s, entry->slot);
            slot->pending++;
            ring->open++;
            client->in_flight++;
            client->suspects += (slot->flags & KMQ_SUSPECT) != 0;
        }
    }
}


/*
 * Messages of a log that consumers have not been pushed yet are counted in one
 * walk over the log.  Consumers are sorted by where these messages begin, and,
 * those that leave, by where they end.
 */

/* As by_position(), for all topics. */
static uint64_t
place(kmq_shard_t *s, const kmq_client_t *client, uint32_t position)
{
    const kmq_topic_t  *topic = KMQ_AT(s, client->topic);

    return (uint64_t) client->topic << 32
           | (UINT32_MAX - (topic->position + 1 - position));
}


/* The lists are linked by the timers, which are armed later. */
static uint64_t
by_begin(kmq_shard_t *s, const kmq_link_t *link)
{
    const kmq_client_t  *client = (const kmq_client_t *) link;

    return place(s, client, client->next_position);
}


/* And these by the links for closing: who leaves is not closed any more. */
static uint64_t
by_end(kmq_shard_t *s, const kmq_link_t *link)
{
    const kmq_client_t  *client = KMQ_CLIENT_OF(link, to_close);

    return place(s, client, client->last_position);
}


/* The parts of a log that begin and end, and how many are open where the walk
 * is. */
typedef struct {
    kmq_list_t    begin;
    kmq_list_t    end;
    uint32_t      open;
} backlog_t;


static void
backlog_add(kmq_shard_t *s, kmq_client_t *client, backlog_t *backlog)
{
    if (!kmq_ready_matches(s, client)
        || ((kmq_topic_t *) KMQ_AT(s, client->topic))->push_type
           != KMQ_PUSH_ALL)
    {
        return;
    }

    if (client->role == KMQ_LEAVING) {

        if ((int32_t) (client->last_position - client->next_position) < 0) {
            return;
        }

        kmq_list_append(s, &backlog->end, &client->to_close);
    }

    kmq_list_append(s, &backlog->begin, &client->timer.link);
}


/* Ends the parts that do not reach up to a place: they end at last, or, where
 * that is 0, in front of the log. */
static void
parts_end(kmq_shard_t *s, backlog_t *backlog, uint64_t to, kmq_ref_t last)
{
    kmq_link_t    *link;
    kmq_slot_t    *slot;
    kmq_client_t  *client;

    slot = last ? KMQ_AT(s, last) : NULL;

    while (backlog->end.head) {
        link = KMQ_AT(s, backlog->end.head);

        if (by_end(s, link) >= to) {
            return;
        }

        (void) kmq_list_shift(s, &backlog->end);
        client = KMQ_CLIENT_OF(link, to_close);
        client->cursor = last;
        backlog->open--;

        if (slot == NULL
            || (int32_t) (slot->position - client->next_position) < 0)
        {
            KMQ_SET(client->last_position, client->next_position - 1);
        }
    }
}


static void
parts_begin(kmq_shard_t *s, backlog_t *backlog, uint64_t at)
{
    kmq_link_t  *link;

    while (backlog->begin.head) {
        link = KMQ_AT(s, backlog->begin.head);

        if (by_begin(s, link) > at) {
            return;
        }

        (void) kmq_list_shift(s, &backlog->begin);
        backlog->open++;
    }
}


/* Walks the log of the topic of the first part, and is done with its parts
 * then. */
static void
log_count(kmq_shard_t *s, kmq_topic_t *topic, backlog_t *backlog)
{
    uint64_t     at;
    kmq_ref_t    ref, last;
    kmq_slot_t  *slot;

    last = 0;
    backlog->open = 0;
    at = (uint64_t) KMQ_REF(s, topic) << 32;

    for (ref = topic->log.head; ref; last = ref, ref = slot->next) {
        slot = KMQ_AT(s, ref);
        at = (uint64_t) slot->topic << 32
             | (UINT32_MAX - (topic->position + 1 - slot->position));

        parts_end(s, backlog, at, last);
        parts_begin(s, backlog, at);
        slot->pending += backlog->open;
        KMQ_STEP();
    }

    /* what begins behind the log is nothing */

    at = (uint64_t) KMQ_REF(s, topic) << 32 | UINT32_MAX;

    parts_begin(s, backlog, at);
    parts_end(s, backlog, at, last);
}


void
kmq_repair_deliveries(kmq_shard_t *s)
{
    backlog_t      backlog;
    kmq_walk_t     walk;
    kmq_client_t  *client;

    memset(&backlog, 0, sizeof(backlog));
    memset(&walk, 0, sizeof(walk));

    while ((client = kmq_table_scan(s, KMQ_CLASS_CLIENT, &walk))) {

        if (client->ring == 0 || client->role == 0
            || client->role == KMQ_PRODUCER)
        {
            continue;
        }

        ring_count(s, client);
        kmq_deliveries_settle(s, client);
        kmq_hold_link(s, client);
        backlog_add(s, client, &backlog);
    }

    kmq_list_sort(s, &backlog.begin, by_begin);
    kmq_list_sort(s, &backlog.end, by_end);

    while (backlog.begin.head) {
        client = KMQ_AT(s, backlog.begin.head);
        log_count(s, KMQ_AT(s, client->topic), &backlog);
    }
}
