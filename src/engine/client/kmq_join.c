/* Clients join, and tell whether they take bytes. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../queue/kmq_queue.h"
#include "../delivery/kmq_delivery.h"
#include "kmq_client_inside.h"


/* -------------------------------------------------------------- readiness */

void
kmq_set_ready(kmq_t *kmq, kmq_ref_t ref, int ready)
{
    kmq_client_t  *client = KMQ_AT(kmq->block, ref);

    /* only this worker writes it */

    if (client->open == (ready != 0)) {
        return;
    }

    kmq_lock_at(kmq, ref);

    client->open = ready != 0;
    kmq_ready_update(kmq, client);

    if (client->open && (client->stalled || client->held)) {
        kmq_look_now(kmq, client);
    }

    kmq_unlock(kmq);
}


/* ------------------------------------------------------------------- join */

/* The list where a client belongs. */
static kmq_list_t *
list_of(kmq_shard_t *s, const kmq_client_t *client)
{
    switch (client->role) {

    case KMQ_LEAVING:
        return &s->leaving;

    case KMQ_APART:
        return &s->apart;

    default:
        return &s->duty[client->worker].clients;
    }
}


/* Counts it, or, where n is -1, does so no more. */
static void
count(kmq_shard_t *s, kmq_client_t *client, int n)
{
    kmq_topic_t  *topic = KMQ_AT(s, client->topic);

    switch (client->role) {

    case KMQ_PRODUCER:
        topic->producers += n;
        s->producers += n;
        break;

    case KMQ_CONSUMER:
        topic->consumers += n;
        topic->matching += kmq_ready_matches(s, client) ? n : 0;
        s->consumers += n;
        ((kmq_route_t *) KMQ_AT(s, client->route))->consumers += n;
        break;

    case KMQ_APART:
        topic->away += n;
        topic->matching += kmq_apart_owed(s, client) ? n : 0;
        *(client->apart == KMQ_LEASED ? &s->leases : &s->parked) += n;
        break;

    default: /* KMQ_LEAVING */
        topic->away += n;
        break;
    }
}


void
kmq_join_link(kmq_shard_t *s, kmq_client_t *client)
{
    kmq_list_append(s, list_of(s, client), &client->peers);
    count(s, client, 1);

    if (client->settles && client->role != KMQ_LEAVING) {
        kmq_id_link(s, client);
    }

    kmq_topic_idle(s, KMQ_AT(s, client->topic));
}


void
kmq_join_unlink(kmq_shard_t *s, kmq_client_t *client)
{
    kmq_list_remove(s, list_of(s, client), &client->peers);
    count(s, client, -1);

    if (client->settles && client->role != KMQ_LEAVING) {
        kmq_id_unlink(s, client);
    }
}


int
kmq_join_route(kmq_t *kmq, kmq_topic_t *topic, kmq_client_t *client)
{
    kmq_route_t  *route;

    route = kmq_route_find(kmq, topic, client->pull);
    if (route == NULL) {
        return KMQ_NOMEM;
    }

    if (kmq_own_route_join(kmq, route, client->local) != KMQ_OK) {
        kmq_route_release(kmq, route);
        return KMQ_NOMEM;
    }

    client->route = KMQ_REF(kmq->shard, route);

    return KMQ_OK;
}


/* Gives a consumer its ring and its route.  When it fails, the caller gives
 * back what there is. */
static int
join_consumer(kmq_t *kmq, kmq_topic_t *topic, kmq_client_t *client)
{
    client->ring = kmq_ring_alloc(kmq->shard);
    client->ring_tail = client->ring;

    return client->ring ? kmq_join_route(kmq, topic, client) : KMQ_NOMEM;
}


/* Makes a client that nobody sees yet.  NULL: no memory. */
static kmq_client_t *
join(kmq_t *kmq, const kmq_client_info_t *info, kmq_topic_t *topic,
    void *user)
{
    kmq_shard_t   *s = kmq->shard;
    kmq_client_t  *client;

    client = kmq_table_alloc(kmq, KMQ_CLASS_CLIENT);
    if (client == NULL) {
        return NULL;
    }

    client->worker = kmq->worker;
    client->topic = KMQ_REF(s, topic);
    client->mode = info->mode;
    client->by_code = info->by_code != 0;
    client->pull = info->pull != 0;
    client->settles = info->role == KMQ_CONSUMER && info->settles;
    client->last_seen = kmq->wall / 1000;
    client->prefetch = info->prefetch;
    client->limit = info->prefetch;
    client->join_time = kmq->wall;
    client->number = __atomic_add_fetch(&kmq->block->clients, 1,
                                        __ATOMIC_RELAXED);
    client->id_len = info->id_len;
    client->addr_len = info->addr_len;
    client->user_len = info->user_len;
    memcpy(client->id, info->id, info->id_len);
    memcpy(client->addr, info->addr, info->addr_len);
    memcpy(client->user, info->user, info->user_len);

    if (kmq_own_client_add(kmq, client, user) != KMQ_OK) {
        kmq_table_free(s, KMQ_CLASS_CLIENT, client);
        return NULL;
    }

    if (info->role == KMQ_CONSUMER
        && join_consumer(kmq, topic, client) != KMQ_OK)
    {
        kmq_rings_free(s, client->ring);
        kmq_own_client_remove(kmq, client);
        kmq_table_free(s, KMQ_CLASS_CLIENT, client);
        return NULL;
    }

    return client;
}


int
kmq_join_valid(const kmq_client_info_t *info)
{
    if (info->topic_len == 0 || info->topic_len > KMQ_NAME_MAX
        || info->id_len > KMQ_NAME_MAX || info->addr_len > KMQ_ADDR_MAX
        || info->user_len > KMQ_USER_MAX)
    {
        return 0;
    }

    return info->role == KMQ_PRODUCER
           || (info->role == KMQ_CONSUMER && info->prefetch
               && info->prefetch <= KMQ_PREFETCH_MAX);
}


kmq_ref_t
kmq_join(kmq_t *kmq, const kmq_client_info_t *info, void *user)
{
    kmq_ref_t      ref;
    kmq_topic_t   *topic;
    kmq_client_t  *client;

    if (!kmq_join_valid(info)) {
        return 0;
    }

    ref = 0;

    kmq_lock(kmq, kmq_topic_shard(kmq, info->topic, info->topic_len));

    topic = kmq_topic_find(kmq, info->topic, info->topic_len);
    client = topic ? join(kmq, info, topic, user) : NULL;

    if (client) {
        if (info->role == KMQ_CONSUMER) {
            kmq_push_type_join(kmq, topic, client);
        }

        client->next_position = topic->position + 1;
        client->past = topic->position;

        KMQ_SET(client->role, info->role);
        KMQ_POINT("join");

        kmq_join_link(kmq->shard, client);
        ref = KMQ_REF(kmq->block, client);
    }

    kmq_unlock(kmq);

    return ref;
}


/* --------------------------------------------------------------- registry */

void
kmq_silent(kmq_t *kmq, kmq_ref_t ref, int silent)
{
    kmq_client_t  *client = KMQ_AT(kmq->block, ref);

    __atomic_store_n(&client->silent, silent != 0, __ATOMIC_RELAXED);
}


void
kmq_seen(kmq_t *kmq, kmq_ref_t ref, unsigned accepted)
{
    kmq_client_t  *client = KMQ_AT(kmq->block, ref);

    /* nobody else writes them, but others read */

    __atomic_store_n(&client->last_seen, (uint32_t) (kmq->wall / 1000),
                     __ATOMIC_RELAXED);

    if (accepted) {
        __atomic_store_n(&client->messages, client->messages + accepted,
                         __ATOMIC_RELAXED);
    }
}
