/* The registry: clients come, are ready or not, go, are listed. */

#include "../kmq_block.h"


#define WALK_SLICE   256


/* -------------------------------------------------------------- readiness */

static int
consumer_has_work(const kmq_client_t *client, const kmq_topic_t *topic)
{
    return topic->ready.count
           || (topic->push_type == KMQ_PUSH_ALL
               && (int32_t) (topic->position - client->next_position) >= 0);
}


/* Can a consumer be pushed something? */
int
kmq_client_ready(kmq_block_t *b, const kmq_client_t *client)
{
    return client->role == KMQ_CONSUMER && client->open
           && client->in_flight < client->limit
           && kmq_type_matches(b, client);
}


/* Counts a consumer as ready, or not, as it should be now. */
void
kmq_client_update(kmq_t *kmq, kmq_client_t *client)
{
    int           ready;
    kmq_block_t  *b = kmq->block;
    kmq_route_t  *route;
    kmq_topic_t  *topic;

    ready = kmq_client_ready(b, client);

    if (ready == client->ready) {
        return;
    }

    client->ready = ready;
    route = KMQ_AT(b, client->route);
    topic = KMQ_AT(b, client->topic);

    if (ready) {
        route->ready++;
        topic->ready_consumers++;

        if (consumer_has_work(client, topic)) {
            kmq_route_dirty(kmq, route);
        }

    } else {
        route->ready--;
        topic->ready_consumers--;
    }

    if (kmq_local_has(kmq, client)) {
        if (ready) {
            kmq_local_ready_add(kmq, client->local);
        } else {
            kmq_local_ready_remove(kmq, client->local);
        }
    }

    if (route->ready == 0) {
        kmq_grant_return(kmq, topic, route);
    }
}


void
kmq_set_ready(kmq_t *kmq, kmq_ref_t ref, int ready)
{
    kmq_client_t  *client = KMQ_AT(kmq->block, ref);

    /* only this worker writes it */

    if (client->open == (ready != 0)) {
        return;
    }

    kmq_lock(kmq);

    client->open = ready != 0;
    kmq_client_update(kmq, client);

    if (client->open && client->stalled) {
        kmq_overdue_now(kmq, client);
    }

    kmq_unlock(kmq);
}


/* ------------------------------------------------------------------- join */

/* Enters a client into the list where it belongs and into all counts. */
void
kmq_client_link(kmq_block_t *b, kmq_client_t *client)
{
    kmq_topic_t  *topic = KMQ_AT(b, client->topic);

    kmq_list_append(b, client->role == KMQ_LEAVING
                       ? &b->leaving : &b->worker[client->worker].clients,
                    &client->peers);

    if (client->role == KMQ_PRODUCER) {
        topic->producers++;
        b->producers++;

    } else if (client->role == KMQ_CONSUMER) {
        topic->consumers++;
        topic->matching += kmq_type_matches(b, client);
        b->consumers++;
        ((kmq_route_t *) KMQ_AT(b, client->route))->consumers++;
    }

    kmq_topic_idle(b, topic);
}


/* A consumer's route and ring; what it got when it fails is for the caller to
 * give back. */
static int
join_route(kmq_t *kmq, kmq_topic_t *topic, kmq_client_t *client)
{
    kmq_block_t  *b = kmq->block;
    kmq_route_t  *route;

    client->ring = kmq_ring_alloc(b);
    client->ring_tail = client->ring;

    if (client->ring == 0) {
        return KMQ_NOMEM;
    }

    route = kmq_route_find(kmq, topic);
    if (route == NULL) {
        return KMQ_NOMEM;
    }

    if (kmq_local_route_join(kmq, route, client->local) != KMQ_OK) {
        kmq_route_release(kmq, route);
        return KMQ_NOMEM;
    }

    client->route = KMQ_REF(b, route);

    return KMQ_OK;
}


/* A client that nobody sees yet; NULL: no memory. */
static kmq_client_t *
join(kmq_t *kmq, const kmq_client_info_t *info, kmq_topic_t *topic,
    void *user)
{
    kmq_block_t   *b = kmq->block;
    kmq_client_t  *client;

    client = kmq_record_alloc(kmq, KMQ_CLASS_CLIENT);
    if (client == NULL) {
        return NULL;
    }

    client->worker = kmq->worker;
    client->topic = KMQ_REF(b, topic);
    client->mode = info->mode;
    client->last_seen = kmq->wall / 1000;
    client->prefetch = info->prefetch;
    client->limit = info->prefetch;
    client->join_time = kmq->wall;
    client->number = ++b->clients;
    client->id_len = info->id_len;
    client->addr_len = info->addr_len;
    memcpy(client->id, info->id, info->id_len);
    memcpy(client->addr, info->addr, info->addr_len);

    if (kmq_local_client_add(kmq, client, user) != KMQ_OK) {
        kmq_record_free(b, KMQ_CLASS_CLIENT, client);
        return NULL;
    }

    if (info->role == KMQ_CONSUMER
        && join_route(kmq, topic, client) != KMQ_OK)
    {
        kmq_rings_free(b, client->ring);
        kmq_local_client_remove(kmq, client);
        kmq_record_free(b, KMQ_CLASS_CLIENT, client);
        return NULL;
    }

    return client;
}


static int
info_valid(const kmq_client_info_t *info)
{
    if (info->topic_len == 0 || info->topic_len > KMQ_NAME_MAX
        || info->id_len > KMQ_NAME_MAX || info->addr_len > KMQ_ADDR_MAX)
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
    kmq_block_t   *b = kmq->block;
    kmq_topic_t   *topic;
    kmq_client_t  *client;

    if (!info_valid(info)) {
        return 0;
    }

    ref = 0;

    kmq_lock(kmq);

    topic = kmq_topic_find(kmq, info->topic, info->topic_len);
    client = topic ? join(kmq, info, topic, user) : NULL;

    if (client) {
        if (info->role == KMQ_CONSUMER) {
            kmq_type_join(kmq, topic, client);
        }

        client->next_position = topic->position + 1;

        KMQ_SET(client->role, info->role);
        KMQ_POINT("join");

        kmq_client_link(b, client);
        ref = KMQ_REF(b, client);
    }

    kmq_unlock(kmq);

    return ref;
}


/* ------------------------------------------------------------------ leave */

/*
 * Whoever leaves is its worker's no more, and takes part in nothing.  What a
 * consumer had is given back in slices, by whichever worker has time for it:
 * until then it is KMQ_LEAVING and in the block's list of such.
 *
 * Publish/subscribe: lets go of what the client should still have got, from
 * the newest on, at most *n messages, which counts down.  1 when that is done.
 */
static int
leave_backlog(kmq_t *kmq, kmq_client_t *client, unsigned *n)
{
    kmq_ref_t     prev;
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;

    while ((int32_t) (client->last_position - client->next_position) >= 0) {

        if (*n == 0) {
            return 0;
        }

        (*n)--;
        slot = KMQ_AT(b, client->cursor);
        prev = slot->prev;

        KMQ_SET(client->last_position, slot->position - 1);
        KMQ_POINT("leave-backlog");

        client->cursor = prev;
        (void) kmq_message_release(kmq, slot, NULL);
    }

    return 1;
}


/* Lets go of one message in flight with a client that leaves.  What others may
 * be tried with at once has not used up its part of the current batch. */
static int
leave_entry(kmq_t *kmq, kmq_client_t *client, kmq_ring_t *ring,
    kmq_delivery_t *entry)
{
    int           done;
    uint32_t      tries;
    kmq_slot_t   *slot, *after;
    kmq_block_t  *b = kmq->block;

    tries = b->settings.retry_count + 1;
    slot = KMQ_AT(b, entry->slot);

    KMQ_SET(entry->slot, 0);
    KMQ_POINT("leave-ring");

    done = kmq_ring_end(b, client, ring);
    after = kmq_message_release(kmq, slot, kmq_returned(b, client));

    if (after == slot) {
        kmq_returned_set(b, client, slot);

        if (slot->attempts % tries) {
            kmq_pace_credit(kmq, 1);
        }
    }

    return done;
}


/* Lets go of what is in flight with the client, oldest in front, as
 * above. */
static int
leave_ring(kmq_t *kmq, kmq_client_t *client, unsigned *n)
{
    unsigned      i;
    kmq_ring_t   *ring;
    kmq_block_t  *b = kmq->block;

    while (client->in_flight) {
        ring = KMQ_AT(b, client->ring);

        for (i = ring->first; i < ring->count; i++) {

            if (ring->entry[i].slot == 0) {
                continue;
            }

            if (*n == 0) {
                return 0;
            }

            (*n)--;

            if (leave_entry(kmq, client, ring, &ring->entry[i])) {
                break;
            }
        }
    }

    return 1;
}


/* The end of a leave: the record is free afterwards. */
static void
client_free(kmq_t *kmq, kmq_client_t *client)
{
    kmq_ref_t     ring;
    kmq_block_t  *b = kmq->block;
    kmq_topic_t  *topic = KMQ_AT(b, client->topic);

    kmq_list_remove(b, client->role == KMQ_LEAVING
                       ? &b->leaving : &b->worker[client->worker].clients,
                    &client->peers);

    ring = client->ring;

    KMQ_SET(client->role, 0);
    KMQ_POINT("client-free");

    kmq_rings_free(b, ring);
    kmq_record_free(b, KMQ_CLASS_CLIENT, client);

    kmq_type_settle(kmq, topic);

    if (topic->ready.count) {
        kmq_grant(kmq, topic, topic->ready.count);
    }

    kmq_topic_idle(b, topic);
}


/* A slice for one that is KMQ_LEAVING: at most *n messages, which counts
 * down. */
static void
leave_slice(kmq_t *kmq, kmq_client_t *client, unsigned *n)
{
    int           done, blameless;
    kmq_topic_t  *topic = KMQ_AT(kmq->block, client->topic);

    blameless = kmq->blameless;
    kmq->blameless = client->blameless;

    done = leave_backlog(kmq, client, n) && leave_ring(kmq, client, n);

    kmq->blameless = blameless;

    if (done) {
        client_free(kmq, client);

    } else if (topic->ready.count) {
        kmq_grant(kmq, topic, topic->ready.count);
    }
}


static void
leave_consumer(kmq_t *kmq, kmq_client_t *client)
{
    kmq_block_t  *b = kmq->block;
    kmq_route_t  *route = KMQ_AT(b, client->route);
    kmq_topic_t  *topic = KMQ_AT(b, client->topic);

    client->open = 0;
    kmq_client_update(kmq, client);

    client->last_position = topic->position;
    client->cursor = topic->log.tail;
    client->blameless = kmq->blameless;
    kmq_returned_set(b, client, NULL);

    if (topic->push_type == KMQ_PUSH_ONE || !kmq_type_matches(b, client)) {
        client->last_position = client->next_position - 1;
    }

    kmq_overdue_cancel(b, client);

    kmq_list_remove(b, &b->worker[client->worker].clients, &client->peers);

    KMQ_SET(client->role, KMQ_LEAVING);
    KMQ_POINT("leave");

    kmq_list_append(b, &b->leaving, &client->peers);

    topic->consumers--;
    topic->matching -= kmq_type_matches(b, client);
    route->consumers--;
    b->consumers--;

    kmq_route_release(kmq, route);
}


/* A producer is gone after this; a consumer begins to leave, for
 * kmq_leaving(). */
void
kmq_client_leave(kmq_t *kmq, kmq_client_t *client)
{
    kmq_block_t  *b = kmq->block;

    KMQ_STEP();

    kmq_client_close_cancel(b, client);

    if (client->role == KMQ_PRODUCER) {
        ((kmq_topic_t *) KMQ_AT(b, client->topic))->producers--;
        b->producers--;

    } else {
        leave_consumer(kmq, client);
    }

    if (kmq_local_has(kmq, client)) {
        kmq_local_client_remove(kmq, client);
    }

    if (client->role == KMQ_PRODUCER) {
        client_free(kmq, client);
    }
}


void
kmq_leave(kmq_t *kmq, kmq_ref_t ref)
{
    unsigned       n, role;
    kmq_block_t   *b = kmq->block;
    kmq_client_t  *client = KMQ_AT(b, ref);

    n = KMQ_SLICE;

    kmq_lock(kmq);

    role = client->role;
    kmq_client_leave(kmq, client);

    if (role == KMQ_CONSUMER) {
        leave_slice(kmq, client, &n);
    }

    if (b->leaving.head) {
        kmq->leaving = 1;
        kmq->has_work = 1;
    }

    kmq_unlock(kmq);
}


/* Goes on with those that leave, up to n steps; returns how many are left of
 * these. */
unsigned
kmq_leaving(kmq_t *kmq, unsigned n)
{
    kmq_block_t   *b = kmq->block;
    kmq_client_t  *client;

    while (n && b->leaving.head) {
        n--;
        client = KMQ_CLIENT_OF(KMQ_AT(b, b->leaving.head), peers);
        leave_slice(kmq, client, &n);
    }

    kmq->leaving = b->leaving.head != 0;
    kmq->has_work |= kmq->leaving;

    return n;
}


/* --------------------------------------------------------------- registry */

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
