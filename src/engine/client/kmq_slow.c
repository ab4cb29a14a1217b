/* Consumers that are too slow: others wait for them, so they have to go. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../queue/kmq_queue.h"
#include "../delivery/kmq_delivery.h"
#include "kmq_client_inside.h"


/* Milliseconds between two looks at all clients when nothing seems wrong, and
 * how many of them are looked at under one lock. */
#define LOOK_TIME   30000
#define LOOK_SLICE  (4 * KMQ_SLICE)


static int
memory_short(const kmq_t *kmq)
{
    const kmq_block_t  *b = kmq->block;

    return b->nomem_time && kmq->mono <= b->nomem_time + 2000
           && b->free_pages <= 2 * b->spare_pages;
}


/*
 * Is a consumer in the way of the others?  It is when it lags by as many
 * messages as may wait; or when memory is short, most of it is messages that
 * somebody has consumed, and the consumer holds the oldest of them.
 */
static int
too_slow(kmq_t *kmq, kmq_client_t *client)
{
    uint32_t      lag, oldest;
    kmq_ring_t   *ring;
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;
    kmq_topic_t  *topic = KMQ_AT(b, client->topic);

    if (client->role != KMQ_CONSUMER || topic->push_type != KMQ_PUSH_ALL
        || topic->log.count == 0 || !kmq_ready_matches(b, client))
    {
        return 0;
    }

    lag = topic->position - client->next_position + 1;

    if (lag >= b->settings.waiting_max) {
        return 1;
    }

    if (!memory_short(kmq) || topic->log.count <= b->waiting) {
        return 0;
    }

    slot = KMQ_AT(b, topic->log.head);
    ring = KMQ_AT(b, client->ring);

    oldest = ring->first < ring->count ? ring->entry[ring->first].position
                                       : client->next_position;

    return (slot->flags & KMQ_CONFIRMED)
           && (int32_t) (oldest - slot->position) <= 0;
}


/* Might any consumer be in the way of others, or is it time anyway? */
static int
look_due(const kmq_t *kmq)
{
    const kmq_block_t  *b = kmq->block;

    return kmq->mono >= b->look_time
           || b->in_flight >= b->settings.waiting_max || memory_short(kmq);
}


/*
 * Looks at the consumers of all workers, in slices.  Those that are too slow
 * have to go, and deliveries end that too many messages have overtaken.  While
 * there are more, kmq->looking says so, and kmq_take() goes on.
 */
void
kmq_slow_look(kmq_t *kmq)
{
    unsigned       n;
    kmq_walk_t     here;
    kmq_block_t   *b = kmq->block;
    kmq_client_t  *client;

    if (b->look_walk.page == 0 && look_due(kmq)) {
        b->look_walk.page = kmq_table_first(b, KMQ_CLASS_CLIENT);
        b->look_walk.index = 0;
        b->look_time = kmq->mono + LOOK_TIME;
    }

    for (n = LOOK_SLICE; n && b->look_walk.page; n--) {
        here = b->look_walk;
        client = kmq_table_next(b, KMQ_CLASS_CLIENT, &b->look_walk);

        if (client == NULL) {
            b->look_walk.page = 0;
            break;
        }

        if (client->role != KMQ_CONSUMER) {
            continue;
        }

        if (too_slow(kmq, client)) {
            kmq_disconnect_client(kmq, client, KMQ_TOO_SLOW);
        }

        kmq_retry_outrun(kmq, client, &n);

        if (n == 0) {
            b->look_walk = here;
            break;
        }
    }

    kmq->looking = b->look_walk.page != 0;
}
