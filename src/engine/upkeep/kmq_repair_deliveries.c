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
delivery_valid(kmq_block_t *b, const kmq_client_t *client,
    const kmq_delivery_t *entry)
{
    kmq_slot_t  *slot;

    slot = kmq_slot_at(b, entry->slot);

    if (slot == NULL || slot->state != KMQ_IN_FLIGHT
        || slot->position != entry->position
        || slot->topic != client->topic)
    {
        return 0;
    }

    if (slot->flags & KMQ_SHARED) {
        return (int32_t) (client->next_position - entry->position) > 0;
    }

    return slot->owner == KMQ_REF(b, client);
}


static void
ring_count(kmq_block_t *b, kmq_client_t *client)
{
    unsigned         i;
    kmq_ref_t        ref;
    kmq_ring_t      *ring;
    kmq_delivery_t  *entry;

    for (ref = client->ring; ref; ref = ring->next) {
        ring = KMQ_AT(b, ref);

        for (i = 0; i < ring->count; i++) {
            entry = &ring->entry[i];

            if (entry->slot == 0) {
                continue;
            }

            if (!delivery_valid(b, client, entry)) {
                entry->slot = 0;
                continue;
            }

            ((kmq_slot_t *) KMQ_AT(b, entry->slot))->pending++;
            ring->open++;
            client->in_flight++;
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
place(kmq_block_t *b, const kmq_client_t *client, uint32_t position)
{
    const kmq_topic_t  *topic = KMQ_AT(b, client->topic);

    return (uint64_t) client->topic << 32
           | (UINT32_MAX - (topic->position + 1 - position));
}


/* The lists are linked by the timers, which are armed later. */
static uint64_t
by_begin(kmq_block_t *b, const kmq_link_t *link)
{
    const kmq_client_t  *client = (const kmq_client_t *) link;

    return place(b, client, client->next_position);
}


/* And these by the links for closing: who leaves is not closed any more. */
static uint64_t
by_end(kmq_block_t *b, const kmq_link_t *link)
{
    const kmq_client_t  *client = KMQ_CLIENT_OF(link, to_close);

    return place(b, client, client->last_position);
}


/* The parts of a log that begin and end, and how many are open where the walk
 * is. */
typedef struct {
    kmq_list_t    begin;
    kmq_list_t    end;
    uint32_t      open;
} backlog_t;


static void
backlog_add(kmq_block_t *b, kmq_client_t *client, backlog_t *backlog)
{
    if (!kmq_ready_matches(b, client)
        || ((kmq_topic_t *) KMQ_AT(b, client->topic))->push_type
           != KMQ_PUSH_ALL)
    {
        return;
    }

    if (client->role == KMQ_LEAVING) {

        if ((int32_t) (client->last_position - client->next_position) < 0) {
            return;
        }

        kmq_list_append(b, &backlog->end, &client->to_close);
    }

    kmq_list_append(b, &backlog->begin, &client->timer.link);
}


/* Ends the parts that do not reach up to a place: they end at last, or, where
 * that is 0, in front of the log. */
static void
parts_end(kmq_block_t *b, backlog_t *backlog, uint64_t to, kmq_ref_t last)
{
    kmq_link_t    *link;
    kmq_slot_t    *slot;
    kmq_client_t  *client;

    slot = last ? KMQ_AT(b, last) : NULL;

    while (backlog->end.head) {
        link = KMQ_AT(b, backlog->end.head);

        if (by_end(b, link) >= to) {
            return;
        }

        (void) kmq_list_shift(b, &backlog->end);
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
parts_begin(kmq_block_t *b, backlog_t *backlog, uint64_t at)
{
    kmq_link_t  *link;

    while (backlog->begin.head) {
        link = KMQ_AT(b, backlog->begin.head);

        if (by_begin(b, link) > at) {
            return;
        }

        (void) kmq_list_shift(b, &backlog->begin);
        backlog->open++;
    }
}


/* Walks the log of the topic of the first part, and is done with its parts
 * then. */
static void
log_count(kmq_block_t *b, kmq_topic_t *topic, backlog_t *backlog)
{
    uint64_t     at;
    kmq_ref_t    ref, last;
    kmq_slot_t  *slot;

    last = 0;
    backlog->open = 0;
    at = (uint64_t) KMQ_REF(b, topic) << 32;

    for (ref = topic->log.head; ref; last = ref, ref = slot->next) {
        slot = KMQ_AT(b, ref);
        at = (uint64_t) slot->topic << 32
             | (UINT32_MAX - (topic->position + 1 - slot->position));

        parts_end(b, backlog, at, last);
        parts_begin(b, backlog, at);
        slot->pending += backlog->open;
        KMQ_STEP();
    }

    /* what begins behind the log is nothing */

    at = (uint64_t) KMQ_REF(b, topic) << 32 | UINT32_MAX;

    parts_begin(b, backlog, at);
    parts_end(b, backlog, at, last);
}


void
kmq_repair_deliveries(kmq_block_t *b)
{
    backlog_t      backlog;
    kmq_walk_t     walk;
    kmq_client_t  *client;

    memset(&backlog, 0, sizeof(backlog));
    memset(&walk, 0, sizeof(walk));

    while ((client = kmq_table_scan(b, KMQ_CLASS_CLIENT, &walk))) {

        if (client->ring == 0 || client->role == 0
            || client->role == KMQ_PRODUCER)
        {
            continue;
        }

        ring_count(b, client);
        kmq_deliveries_settle(b, client);
        backlog_add(b, client, &backlog);
    }

    kmq_list_sort(b, &backlog.begin, by_begin);
    kmq_list_sort(b, &backlog.end, by_end);

    while (backlog.begin.head) {
        client = KMQ_AT(b, backlog.begin.head);
        log_count(b, KMQ_AT(b, client->topic), &backlog);
    }
}
