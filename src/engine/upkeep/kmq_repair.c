/*
 * Repair: after a process has died with the lock, everything that is derived
 * is made anew from the truth (see kmq_block.h).  It runs under the lock, and
 * may itself be ended at any point and begun again.
 *
 * It does not touch the handles' own tables: each handle sees by the count of
 * repairs that it has to make them fit (kmq_own_resync()).
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../time/kmq_time.h"
#include "../journal/kmq_journal.h"
#include "../queue/kmq_queue.h"
#include "../delivery/kmq_delivery.h"
#include "../client/kmq_client.h"
#include "kmq_upkeep_inside.h"


/* Messages are in no cache: they are prefetched so far ahead. */
#define AHEAD  16


static uint64_t
by_position(kmq_block_t *b, const kmq_link_t *link)
{
    const kmq_slot_t   *slot = (const kmq_slot_t *) link;
    const kmq_topic_t  *topic = KMQ_AT(b, slot->topic);

    /* positions wrap: what counts is the distance to the last one */

    return UINT32_MAX - (topic->position - slot->position);
}


/* ----------------------------------------------------- forget all derived */

static void
topics_reset(kmq_block_t *b)
{
    kmq_walk_t    walk;
    kmq_topic_t  *topic;

    memset(b->bucket, 0, sizeof(b->bucket));
    memset(&b->idle, 0, sizeof(b->idle));

    b->active = 0;
    b->nactive = 0;
    b->round_rest = 0;
    b->topics = 0;
    memset(&walk, 0, sizeof(walk));

    while ((topic = kmq_table_scan(b, KMQ_CLASS_TOPIC, &walk))) {

        if (!topic->used) {
            continue;
        }

        memset(&topic->ready, 0, sizeof(kmq_list_t));
        memset(&topic->log, 0, sizeof(kmq_list_t));
        memset(&topic->history, 0, sizeof(kmq_list_t));
        memset(&topic->dead, 0, sizeof(kmq_list_t));

        topic->granted = 0;
        topic->delayed = 0;
        topic->slots = 0;
        topic->allotted = 0;
        topic->consumers = 0;
        topic->matching = 0;
        topic->producers = 0;
        topic->in_flight = 0;
        topic->ready_consumers = 0;
        topic->routes = 0;
        topic->active = 0;
        topic->idle = 0;

        kmq_topic_link(b, topic);
    }
}


static void
routes_reset(kmq_block_t *b)
{
    kmq_walk_t    walk;
    kmq_route_t  *route;

    memset(&walk, 0, sizeof(walk));

    while ((route = kmq_table_scan(b, KMQ_CLASS_ROUTE, &walk))) {
        route->consumers = 0;
        route->ready = 0;
        route->grant = 0;
        route->dirty = 0;
    }
}


static void
workers_reset(kmq_block_t *b)
{
    unsigned       i;
    kmq_worker_t  *worker;

    for (i = 0; i < b->nworkers; i++) {
        worker = &b->worker[i];

        worker->signalled = 0;
        worker->still = 0;
        worker->still_last = 0;
        worker->dirty = 0;
        worker->dirty_tail = 0;
        memset(&worker->clients, 0, sizeof(kmq_list_t));
        memset(&worker->to_close, 0, sizeof(kmq_list_t));
        memset(&worker->reserved, 0, sizeof(kmq_list_t));
        memset(&worker->overdue, 0, sizeof(kmq_list_t));
        worker->pinned = 0;
        worker->kept = 0;
    }

    b->nstill = 0;
    memset(&b->leaving, 0, sizeof(b->leaving));
    b->waiting = 0;
    b->reserved = 0;
    b->in_flight = 0;
    b->doomed = 0;
    b->dead = 0;
    b->producers = 0;
    b->consumers = 0;
    memset(&b->history, 0, sizeof(b->history));
    b->history_size = 0;
    b->nrecent = 0;
}


/* --------------------------------------------------------------- rebuild */

static void
ring_relink(kmq_block_t *b, kmq_client_t *client)
{
    kmq_ref_t    ref, prev;
    kmq_ring_t  *ring;

    prev = 0;

    for (ref = client->ring; ref; prev = ref, ref = ring->next) {
        ring = KMQ_AT(b, ref);
        ring->prev = prev;
        ring->first = 0;
        ring->open = 0;
        client->ring_tail = ref;
    }
}


static void
clients_relink(kmq_block_t *b)
{
    kmq_walk_t     walk;
    kmq_client_t  *client;

    memset(&walk, 0, sizeof(walk));

    while ((client = kmq_table_scan(b, KMQ_CLASS_CLIENT, &walk))) {

        if (client->role == 0) {
            continue;
        }

        client->in_flight = 0;
        client->ready = 0;
        client->cursor = 0;
        client->limit = client->prefetch;
        client->timed = KMQ_IDLE;
        client->disordered = 1;
        client->found = 0;
        client->look = 0;
        kmq_returned_set(b, client, NULL);

        kmq_join_link(b, client);

        if (client->closing && client->closing != KMQ_TOLD
            && client->role != KMQ_LEAVING)
        {
            kmq_list_append(b, &b->worker[client->worker].to_close,
                            &client->to_close);
        }

        ring_relink(b, client);
    }
}


/* Routes with consumers enter their topics, the others go. */
static void
routes_relink(kmq_block_t *b)
{
    kmq_walk_t    walk;
    kmq_route_t  *route;

    memset(&walk, 0, sizeof(walk));

    while ((route = kmq_table_scan(b, KMQ_CLASS_ROUTE, &walk))) {

        if (route->used && route->consumers) {
            kmq_route_link(b, route);

        } else if (route->used) {
            KMQ_SET(route->used, 0);
            kmq_table_free(b, KMQ_CLASS_ROUTE, route);
        }
    }
}


/* Enters a message where its state says, behind those with lower numbers.
 * Point to point, messages in flight go into taken. */
static void
slot_relink(kmq_t *kmq, kmq_slot_t *slot, kmq_list_t *taken)
{
    kmq_block_t  *b = kmq->block;
    kmq_topic_t  *topic = KMQ_AT(b, slot->topic);

    topic->slots++;

    switch (slot->state) {

    case KMQ_RESERVED:
        kmq_list_append(b, &b->worker[slot->owner].reserved, &slot->link);
        b->waiting++;
        b->reserved++;
        break;

    case KMQ_DELAYED:
        topic->delayed++;
        b->delayed++;

        if (kmq_schedule(kmq, &slot->timer)) {
            kmq_message_due(kmq, slot);
        }

        break;

    case KMQ_READY:
        slot->flags = 0;
        slot->owner = (uint32_t) kmq->mono;
        kmq_list_append(b, &topic->ready, &slot->link);
        b->waiting++;
        break;

    case KMQ_IN_FLIGHT:
        slot->pending = 0;
        b->in_flight++;
        b->doomed += (slot->flags & KMQ_DELETED) != 0;
        topic->in_flight += !(slot->flags & KMQ_DELETED);

        if ((int32_t) (slot->position - topic->position) > 0) {
            topic->position = slot->position;
        }

        kmq_list_append(b, slot->flags & KMQ_SHARED ? &topic->log : taken,
                        &slot->link);
        break;

    case KMQ_CONSUMED:
        kmq_history_append(b, slot);
        break;

    default: /* KMQ_DEAD */
        kmq_list_append(b, &topic->dead, &slot->link);
        b->dead++;
        break;
    }
}


/* All messages in the order in which they came. */
static void
slots_relink(kmq_t *kmq, kmq_list_t *taken)
{
    unsigned            i, n;
    uint64_t            sequence;
    kmq_walk_t          walk;
    kmq_slot_t         *slot[KMQ_NODE_NUMBERS];
    kmq_block_t        *b = kmq->block;
    kmq_topic_t        *topic;
    const kmq_index_t  *node;

    kmq_schedule_reset(b);
    b->delayed = 0;

    for (sequence = 0; (node = kmq_index_newer(b, &sequence));
         sequence = (sequence / KMQ_NODE_NUMBERS + 1) * KMQ_NODE_NUMBERS)
    {
        n = kmq_index_gather(b, node, 0, KMQ_NODE_NUMBERS - 1, slot);

        for (i = 0; i < n && i < AHEAD; i++) {
            kmq_slot_prefetch(slot[i]);
        }

        for (i = 0; i < n; i++) {
            kmq_slot_prefetch(slot[(i + AHEAD) % n]);
            slot_relink(kmq, slot[i], taken);
        }
    }

    memset(&walk, 0, sizeof(walk));

    while ((topic = kmq_table_scan(b, KMQ_CLASS_TOPIC, &walk))) {

        if (topic->used) {
            kmq_list_sort(b, &topic->log, by_position);
        }
    }
}


/* ------------------------------------------------------------ deliveries */

/* A message that nobody holds any more has been consumed, or is ready again in
 * front of its topic. */
static void
slot_settle(kmq_t *kmq, kmq_slot_t *slot)
{
    if (slot->pending) {
        return;
    }

    if (!(slot->flags & KMQ_SHARED) && slot->flags & KMQ_CONFIRMED) {
        kmq_message_consumed(kmq, slot);
        return;
    }

    slot->pending = 1;
    (void) kmq_message_release(kmq, slot, NULL);
}


/* The newest first, so that the oldest is in front at the end. */
static void
list_settle(kmq_t *kmq, const kmq_list_t *list)
{
    kmq_ref_t    ref;
    kmq_slot_t  *slot;

    for (ref = list->tail; ref; /* void */) {
        slot = KMQ_AT(kmq->block, ref);
        ref = slot->prev;
        slot_settle(kmq, slot);
    }
}


static void
slots_settle(kmq_t *kmq, const kmq_list_t *taken)
{
    kmq_walk_t    walk;
    kmq_block_t  *b = kmq->block;
    kmq_topic_t  *topic;

    list_settle(kmq, taken);

    memset(&walk, 0, sizeof(walk));

    while ((topic = kmq_table_scan(b, KMQ_CLASS_TOPIC, &walk))) {

        if (topic->used) {
            list_settle(kmq, &topic->log);
            kmq_topic_active(b, topic);
            kmq_topic_idle(b, topic);
        }
    }
}


/* ------------------------------------------------------------- set going */

static void
consumers_ready(kmq_t *kmq)
{
    kmq_walk_t     walk;
    kmq_block_t   *b = kmq->block;
    kmq_client_t  *client;

    memset(&walk, 0, sizeof(walk));

    while ((client = kmq_table_scan(b, KMQ_CLASS_CLIENT, &walk))) {

        /* the timers of confirmations are armed anew by a look */

        if (client->role == KMQ_CONSUMER && client->in_flight) {
            kmq_retry_add(kmq, client);
        }

        if (kmq_ready(b, client)) {
            client->ready = 1;
            ((kmq_route_t *) KMQ_AT(b, client->route))->ready++;
            ((kmq_topic_t *) KMQ_AT(b, client->topic))->ready_consumers++;
        }
    }
}


/* The last consumers of a topic's type may have died while others wait for
 * another type. */
static void
types_settle(kmq_t *kmq)
{
    kmq_walk_t    walk;
    kmq_topic_t  *topic;

    memset(&walk, 0, sizeof(walk));

    while ((topic = kmq_table_scan(kmq->block, KMQ_CLASS_TOPIC, &walk))) {

        if (topic->used && topic->consumers) {
            kmq_push_type_settle(kmq, topic);
        }
    }
}


static void
routes_wake(kmq_t *kmq)
{
    kmq_walk_t    walk;
    kmq_route_t  *route;

    memset(&walk, 0, sizeof(walk));

    while ((route = kmq_table_scan(kmq->block, KMQ_CLASS_ROUTE, &walk)))
    {
        if (route->used) {
            kmq_route_dirty(kmq, route);
        }
    }
}


void
kmq_repair(kmq_t *kmq)
{
    int           blameless;
    kmq_list_t    taken;
    kmq_block_t  *b = kmq->block;

    KMQ_SET(b->repairs, b->repairs + 1);
    b->changes++;
    kmq->repaired = 1;
    kmq_journal_loss(kmq);

    /* what a dead worker had begun is no message's fault */

    blameless = kmq->blameless;
    kmq->blameless = 1;
    memset(&taken, 0, sizeof(taken));

    KMQ_POINT("repair-reset");

    topics_reset(b);
    routes_reset(b);
    workers_reset(b);
    kmq_index_reset(b);

    KMQ_POINT("repair-memory");

    /* what follows takes memory and frees it: its lists first */

    kmq_repair_memory(b);

    KMQ_POINT("repair-relink");

    clients_relink(b);
    routes_relink(b);

    kmq_repair_index(b);
    slots_relink(kmq, &taken);

    KMQ_POINT("repair-settle");

    kmq_repair_deliveries(b);
    slots_settle(kmq, &taken);

    KMQ_POINT("repair-wake");

    consumers_ready(kmq);
    types_settle(kmq);
    routes_wake(kmq);

    kmq->blameless = blameless;
}
