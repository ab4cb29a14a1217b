/* The list of all clients, for whoever watches the queue. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../queue/kmq_queue.h"


/* Clients looked at under one lock. */
#define WALK_SLICE   256


static void
info_fill(kmq_block_t *b, const kmq_client_t *client, kmq_client_info_t *info)
{
    kmq_topic_t  *topic = KMQ_AT(b, client->topic);

    info->role = client->role;
    info->mode = client->mode;
    info->ref = KMQ_REF(b, client);
    info->last_seen = __atomic_load_n(&client->last_seen, __ATOMIC_RELAXED);
    info->messages = __atomic_load_n(&client->messages, __ATOMIC_RELAXED);
    info->confirmed = client->confirmed;
    info->prefetch = client->prefetch;
    info->join_time = client->join_time;
    info->number = client->number;
    info->worker = client->worker;
    info->in_flight = client->in_flight;
    info->id_len = client->id_len;
    info->topic_len = topic->name_len;
    info->addr_len = client->addr_len;

    memcpy(info->id, client->id, client->id_len);
    memcpy(info->topic, kmq_topic_name(b, topic), topic->name_len);
    memcpy(info->addr, client->addr, client->addr_len);
}


/* Looks at the next WALK_SLICE records; 0 at the end of the table. */
static int
walk_slice(kmq_block_t *b, uint32_t role, uint64_t *cursor,
    kmq_client_info_t *info, unsigned n, unsigned *filled)
{
    unsigned       i;
    kmq_walk_t     walk;
    kmq_client_t  *client;

    walk.page = *cursor >> 32;
    walk.index = (uint32_t) *cursor;
    client = NULL;

    for (i = 0; i < WALK_SLICE && *filled < n; i++) {
        client = kmq_table_next(b, KMQ_CLASS_CLIENT, &walk);
        if (client == NULL) {
            break;
        }

        if (client->role == role) {
            info_fill(b, client, &info[(*filled)++]);
        }
    }

    *cursor = (uint64_t) walk.page << 32 | walk.index;

    return client != NULL;
}


unsigned
kmq_clients(kmq_t *kmq, uint32_t role, uint64_t *cursor,
    kmq_client_info_t *info, unsigned n)
{
    int       more;
    unsigned  filled;

    filled = 0;

    do {
        kmq_lock(kmq);
        more = walk_slice(kmq->block, role, cursor, info, n, &filled);
        kmq_unlock(kmq);
    } while (more && filled < n);

    return filled;
}
