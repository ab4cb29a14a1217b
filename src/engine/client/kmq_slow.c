/* Consumers that are too slow: others wait for them, so they have to go. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../queue/kmq_queue.h"
#include "../delivery/kmq_delivery.h"
#include "kmq_client_inside.h"


/* Milliseconds between two looks at all clients of a shard when nothing seems
 * wrong, and how many of them are looked at under one lock. */
#define LOOK_TIME   30000
#define LOOK_SLICE  (4 * KMQ_SLICE)


/* Is memory short?  It may be another shard that has noticed it. */
static int
memory_short(const kmq_t *kmq)
{
    unsigned  i;
    uint64_t  time;

    if (kmq_pages_free(kmq->shard) > 2 * kmq->block->spare_pages) {
        return 0;
    }

    for (i = 0; i < kmq->block->nshards; i++) {
        time = KMQ_GET(KMQ_SHARD(kmq->block, i)->nomem_time);

        if (time && kmq->mono <= time + 2000) {
            return 1;
        }
    }

    return 0;
}


/* How many messages wait, about, in all shards. */
static uint64_t
waiting(const kmq_t *kmq)
{
    unsigned  i;
    uint64_t  n;

    n = 0;

    for (i = 0; i < kmq->block->nshards; i++) {
        n += KMQ_GET(KMQ_SHARD(kmq->block, i)->waiting);
    }

    return n;
}


/*
 * Is a consumer in the way of the others?  It is when it lags by as many
 * messages as may wait; or when memory is short (nomem), most of it is messages
 * that somebody has consumed, and the consumer holds the oldest of them.
 */
static int
too_slow(kmq_t *kmq, kmq_client_t *client, int nomem)
{
    uint32_t      lag, oldest;
    kmq_ring_t   *ring;
    kmq_slot_t   *slot;
    kmq_shard_t  *s = kmq->shard;
    kmq_topic_t  *topic = KMQ_AT(s, client->topic);

    if (topic->push_type != KMQ_PUSH_ALL || topic->log.count == 0
        || !kmq_ready_matches(s, client))
    {
        return 0;
    }

    lag = topic->position - client->next_position + 1;

    if (lag >= kmq->block->settings.waiting_max) {
        return 1;
    }

    if (!nomem) {
        return 0;
    }

    slot = KMQ_AT(s, topic->log.head);
    ring = KMQ_AT(s, client->ring);

    oldest = ring->first < ring->count ? ring->entry[ring->first].position
                                       : client->next_position;

    return (slot->flags & KMQ_CONFIRMED)
           && (int32_t) (oldest - slot->position) <= 0
           && topic->log.count > waiting(kmq);
}


/* Might any consumer be in the way of others, or is it time anyway? */
static int
look_due(const kmq_t *kmq, int nomem)
{
    const kmq_shard_t  *s = kmq->shard;

    return nomem || kmq->mono >= s->look_time
           || s->in_flight >= kmq->block->settings.waiting_max;
}


/*
 * Looks at the shard's consumers, of all workers, in slices.  Those that are
 * too slow have to go, and deliveries end that too many messages have
 * overtaken.  While there are more, kmq->work says so, and kmq_take() goes on.
 */
void
kmq_slow_look(kmq_t *kmq)
{
    int            nomem;
    unsigned       n;
    kmq_walk_t     here;
    kmq_shard_t   *s = kmq->shard;
    kmq_client_t  *client;

    nomem = memory_short(kmq);

    if (s->look_walk.page == 0 && look_due(kmq, nomem)) {
        s->look_walk.page = kmq_table_first(s, KMQ_CLASS_CLIENT);
        s->look_walk.index = 0;
        s->look_time = kmq->mono + LOOK_TIME;
    }

    for (n = LOOK_SLICE; n && s->look_walk.page; n--) {
        here = s->look_walk;
        client = kmq_table_next(s, KMQ_CLASS_CLIENT, &s->look_walk);

        if (client == NULL) {
            s->look_walk.page = 0;
            break;
        }

        if (client->role != KMQ_CONSUMER
            && (client->role != KMQ_APART || !kmq_apart_owed(s, client)))
        {
            continue;
        }

        if (too_slow(kmq, client, nomem)) {
            kmq_disconnect_client(kmq, client, KMQ_TOO_SLOW);
        }

        kmq_retry_outrun(kmq, client, &n);

        if (n == 0) {
            s->look_walk = here;
            break;
        }
    }

    if (s->look_walk.page) {
        kmq->work |= KMQ_BIT(s);
    }
}
