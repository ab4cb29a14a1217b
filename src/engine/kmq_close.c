/* Clients that have to go: consumers that are too slow for the others, and
 * whom an operator wants to be gone. */

#include "kmq_block.h"


/*
 * Is a consumer in the way of the others?  It is when as many messages as may
 * wait lie behind for it, or when memory is short, most of it is messages
 * that somebody has consumed, and it holds the oldest of these.
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
        || topic->log.count == 0 || !kmq_type_matches(b, client))
    {
        return 0;
    }

    lag = topic->position - client->next_position + 1;

    if (lag >= b->settings.waiting_max) {
        return 1;
    }

    if (b->nomem_time == 0 || kmq->mono > b->nomem_time + 2000
        || kmq_memory_free(b) > (uint64_t) b->spare_pages * KMQ_PAGE_SIZE
        || topic->log.count <= b->waiting)
    {
        return 0;
    }

    slot = KMQ_AT(b, topic->log.head);
    ring = KMQ_AT(b, client->ring);

    oldest = ring->first < ring->count ? ring->entry[ring->first].position
                                       : client->next_position;

    return (slot->flags & KMQ_CONFIRMED)
           && (int32_t) (oldest - slot->position) <= 0;
}


/* Marks those of this worker's consumers that have to go. */
void
kmq_mark_too_slow(kmq_t *kmq)
{
    uint32_t       i;
    kmq_client_t  *client;

    for (i = 0; i < kmq->nclients; i++) {
        if (kmq->client[i].client == 0) {
            continue;
        }

        client = KMQ_AT(kmq->block, kmq->client[i].client);

        if (client->closing == 0 && too_slow(kmq, client)) {
            client->closing = KMQ_TOO_SLOW;
            kmq->closing = 1;
        }
    }
}


int
kmq_disconnect(kmq_t *kmq, kmq_ref_t ref, uint64_t number)
{
    int            rc;
    kmq_block_t   *b = kmq->block;
    kmq_client_t  *client;

    rc = KMQ_GONE;

    kmq_lock(kmq);

    client = kmq_record_at(b, KMQ_CLASS_CLIENT, ref);

    if (client && client->number == number
        && (client->role == KMQ_PRODUCER || client->role == KMQ_CONSUMER))
    {
        rc = KMQ_OK;

        if (client->closing == 0) {
            client->closing = KMQ_DISCONNECTED;
            b->worker[client->worker].closing = 1;
            kmq_worker_tell(kmq, client->worker);
        }
    }

    kmq_unlock(kmq);

    return rc;
}


void *
kmq_to_close(kmq_t *kmq, int *why)
{
    void          *user;
    uint32_t       i;
    kmq_client_t  *client;

    if (!kmq->closing) {
        return NULL;
    }

    user = NULL;

    kmq_lock(kmq);

    for (i = 0; i < kmq->nclients && user == NULL; i++) {
        if (kmq->client[i].client == 0) {
            continue;
        }

        client = KMQ_AT(kmq->block, kmq->client[i].client);

        if (client->closing && client->closing != KMQ_TOLD) {
            *why = client->closing;
            client->closing = KMQ_TOLD;
            user = kmq->client[i].user;
        }
    }

    kmq->closing = user != NULL;

    kmq_unlock(kmq);

    return user;
}


/* Under the lock: has this worker been told of such ones? */
void
kmq_closing(kmq_t *kmq)
{
    kmq_worker_t  *worker = &kmq->block->worker[kmq->worker];

    if (worker->closing) {
        worker->closing = 0;
        kmq->closing = 1;
    }
}
