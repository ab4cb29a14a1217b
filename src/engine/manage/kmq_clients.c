/* The list of all clients, for whoever watches the queue. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../queue/kmq_queue.h"
#include "../delivery/kmq_delivery.h"
#include "kmq_manage_inside.h"


/* Clients looked at under one lock. */
#define WALK_SLICE   256


/* For how many ms it stays apart as it is. */
static uint64_t
left(const kmq_t *kmq, const kmq_client_t *client)
{
    if (client->apart == KMQ_PARKED) {
        return kmq_apart_left(kmq, client, client->since);
    }

    return client->timed == KMQ_SCHEDULED && client->timer.due > kmq->mono
           ? client->timer.due - kmq->mono : 0;
}


static void
info_fill(const kmq_t *kmq, kmq_client_t *client, kmq_client_info_t *info)
{
    int           apart;
    kmq_shard_t  *s = kmq->shard;
    kmq_topic_t  *topic = KMQ_AT(s, client->topic);

    apart = client->role == KMQ_APART;

    info->role = apart ? KMQ_CONSUMER : client->role;
    info->mode = client->mode;
    info->ref = KMQ_REF(KMQ_BLOCK(s), client);
    info->last_seen = __atomic_load_n(&client->last_seen, __ATOMIC_RELAXED);
    info->messages = __atomic_load_n(&client->messages, __ATOMIC_RELAXED);
    info->confirmed = client->confirmed;
    info->prefetch = client->prefetch;
    info->join_time = client->join_time;
    info->number = client->number;
    info->worker = client->worker;
    info->in_flight = client->in_flight;
    info->by_code = client->by_code;
    info->pull = client->pull;
    info->settles = client->settles;
    info->leased = apart && client->apart == KMQ_LEASED;
    info->parked = apart && client->apart == KMQ_PARKED;
    info->left = apart ? left(kmq, client) : 0;
    info->resting = (client->held & KMQ_HELD_RESTING) != 0;
    info->silent = __atomic_load_n(&client->silent, __ATOMIC_RELAXED);
    info->oldest = kmq_deliveries_oldest(s, client, kmq->mono);
    info->id_len = client->id_len;
    info->topic_len = topic->name_len;
    info->addr_len = client->addr_len;
    info->user_len = client->user_len;

    memcpy(info->id, client->id, client->id_len);
    memcpy(info->topic, kmq_topic_name(s, topic), topic->name_len);
    memcpy(info->addr, client->addr, client->addr_len);
    memcpy(info->user, client->user, client->user_len);
}


/* Looks at the next WALK_SLICE records of a shard; at the end of its table,
 * goes on to the next shard. */
static void
walk_slice(kmq_t *kmq, uint32_t role, uint64_t *cursor,
    kmq_client_info_t *info, unsigned n, unsigned *filled)
{
    unsigned       i;
    kmq_walk_t     walk;
    kmq_client_t  *client;

    walk = kmq_cursor_walk(*cursor);

    for (i = 0; i < WALK_SLICE && *filled < n; i++) {
        client = kmq_table_next(kmq->shard, KMQ_CLASS_CLIENT, &walk);

        if (client == NULL) {
            *cursor = kmq_cursor_next(*cursor);
            return;
        }

        if (client->role == role
            || (client->role == KMQ_APART && role == KMQ_CONSUMER))
        {
            info_fill(kmq, client, &info[(*filled)++]);
        }
    }

    *cursor = kmq_cursor(kmq->shard->number, walk);
}


unsigned
kmq_clients(kmq_t *kmq, uint32_t role, uint64_t *cursor,
    kmq_client_info_t *info, unsigned n)
{
    unsigned      filled, shard;
    kmq_block_t  *b = kmq->block;

    filled = 0;

    while (filled < n) {
        shard = kmq_cursor_shard(*cursor);

        if (shard >= b->nshards) {
            break;
        }

        kmq_lock(kmq, KMQ_SHARD(b, shard));
        walk_slice(kmq, role, cursor, info, n, &filled);
        kmq_unlock(kmq);
    }

    return filled;
}


int
kmq_client(kmq_t *kmq, kmq_ref_t ref, uint64_t number,
    kmq_client_info_t *info)
{
    int            rc;
    kmq_client_t  *client;

    rc = KMQ_GONE;

    /* the reference may be wrong, or void by now */

    kmq_lock_at(kmq, ref);

    client = kmq_table_at(kmq->shard, KMQ_CLASS_CLIENT,
                          KMQ_IN(kmq->shard, ref));

    if (client && (number == 0 || client->number == number)
        && client->role && client->role != KMQ_LEAVING)
    {
        info_fill(kmq, client, info);
        rc = KMQ_OK;
    }

    kmq_unlock(kmq);

    return rc;
}
