/* Clients that have to go: consumers that are too slow for the others, and
 * whom an operator wants to be gone. */

#include "../kmq_block.h"


/* Between two looks at all clients, ms, where nothing seems wrong; and how many
 * of them are looked at under one lock. */
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
 * Looks at the consumers of all workers, in slices: who has to go, and who has
 * something in flight since too many messages.  While there is more,
 * kmq->looking says so, and kmq_take() goes on.
 */
void
kmq_clients_look(kmq_t *kmq)
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
            kmq_client_close(kmq, client, KMQ_TOO_SLOW);
        }

        kmq_overdue_outrun(kmq, client, &n);

        if (n == 0) {
            b->look_walk = here;
            break;
        }
    }

    kmq->looking = b->look_walk.page != 0;
}


/* A client has to go, unless it has been told so already. */
void
kmq_client_close(kmq_t *kmq, kmq_client_t *client, unsigned why)
{
    kmq_block_t  *b = kmq->block;

    if (client->closing == 0) {
        client->closing = why;
        kmq_list_append(b, &b->worker[client->worker].to_close,
                        &client->to_close);
        kmq_worker_tell(kmq, client->worker);
    }
}


/* It goes. */
void
kmq_client_close_cancel(kmq_block_t *b, kmq_client_t *client)
{
    if (client->closing && client->closing != KMQ_TOLD) {
        kmq_list_remove(b, &b->worker[client->worker].to_close,
                        &client->to_close);
    }

    client->closing = KMQ_TOLD;
}


int
kmq_disconnect(kmq_t *kmq, kmq_ref_t ref, uint64_t number)
{
    int            rc;
    kmq_client_t  *client;

    rc = KMQ_GONE;

    kmq_lock(kmq);

    client = kmq_record_at(kmq->block, KMQ_CLASS_CLIENT, ref);

    if (client && client->number == number
        && (client->role == KMQ_PRODUCER || client->role == KMQ_CONSUMER))
    {
        rc = KMQ_OK;
        kmq_client_close(kmq, client, KMQ_DISCONNECTED);
    }

    kmq_unlock(kmq);

    return rc;
}


void *
kmq_to_close(kmq_t *kmq, int *why)
{
    void          *user;
    kmq_list_t    *list = &kmq->block->worker[kmq->worker].to_close;
    kmq_client_t  *client;

    if (!kmq->closing) {
        return NULL;
    }

    user = NULL;

    kmq_lock(kmq);

    if (list->head) {
        client = KMQ_CLIENT_OF(KMQ_AT(kmq->block, list->head), to_close);
        *why = client->closing;
        user = kmq->client[client->local].user;
        kmq_client_close_cancel(kmq->block, client);
    }

    kmq->closing = list->head != 0;

    kmq_unlock(kmq);

    return user;
}


/* Under the lock: has this worker been told of such ones? */
void
kmq_closing(kmq_t *kmq)
{
    kmq->closing = kmq->block->worker[kmq->worker].to_close.head != 0;
}
