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


/* ----------------------------------------------------- forget all derived */

static void
topics_reset(kmq_shard_t *s)
{
    kmq_walk_t    walk;
    kmq_topic_t  *topic;

    memset(s->bucket, 0, s->nbuckets * sizeof(s->bucket[0]));
    memset(&s->idle, 0, sizeof(s->idle));

    s->active = 0;
    s->nactive = 0;
    KMQ_PUT(s->npushing, 0);
    s->sequence = 0;
    s->sequence_end = 0;
    s->window_left = 0;
    s->round_rest = 0;
    s->topics = 0;
    memset(&walk, 0, sizeof(walk));

    while ((topic = kmq_table_scan(s, KMQ_CLASS_TOPIC, &walk))) {

        if (!topic->used) {
            continue;
        }

        memset(&topic->ready, 0, sizeof(kmq_list_t));
        memset(&topic->log, 0, sizeof(kmq_list_t));
        memset(&topic->history, 0, sizeof(kmq_list_t));
        memset(&topic->dead, 0, sizeof(kmq_list_t));
        memset(&topic->suspects, 0, sizeof(kmq_list_t));
        memset(&topic->resting, 0, sizeof(kmq_list_t));

        topic->granted = 0;
        topic->delayed = 0;
        topic->retrying = 0;
        topic->slots = 0;
        topic->allotted = 0;
        topic->consumers = 0;
        topic->matching = 0;
        topic->away = 0;
        topic->producers = 0;
        topic->in_flight = 0;
        topic->ready_consumers = 0;
        topic->unpaced = 0;
        topic->ready_resting = 0;
        topic->alone = 0;
        topic->emptying = 0;
        topic->again = 0;
        topic->routes = 0;
        topic->active = 0;
        topic->pushing = 0;
        topic->idle = 0;

        kmq_topic_link(s, topic);
    }
}


static void
routes_reset(kmq_shard_t *s)
{
    kmq_walk_t    walk;
    kmq_route_t  *route;

    memset(&walk, 0, sizeof(walk));

    while ((route = kmq_table_scan(s, KMQ_CLASS_ROUTE, &walk))) {
        route->consumers = 0;
        route->ready = 0;
        route->grant = 0;
        route->dirty = 0;
    }
}


static void
counts_reset(kmq_shard_t *s)
{
    memset(s->duty, 0,
           KMQ_GET(KMQ_BLOCK(s)->nworkers) * sizeof(kmq_duty_t));
    memset(&s->leaving, 0, sizeof(s->leaving));
    memset(&s->apart, 0, sizeof(s->apart));
    memset(&s->lapsed, 0, sizeof(s->lapsed));
    memset(s->id_bucket, 0, sizeof(s->id_bucket));
    s->leases = 0;
    s->parked = 0;
    s->waiting = 0;
    s->reserved = 0;
    s->delayed = 0;
    s->in_flight = 0;
    s->doomed = 0;
    s->dead = 0;
    s->retrying = 0;
    s->resting = 0;
    s->producers = 0;
    s->consumers = 0;
    memset(&s->history, 0, sizeof(s->history));
    s->history_size = 0;
    s->nrecent = 0;
}


static void
all_reset(kmq_shard_t *s)
{
    topics_reset(s);
    routes_reset(s);
    counts_reset(s);
    kmq_schedule_reset(s);
}


/* --------------------------------------------------------------- rebuild */

static void
ring_relink(kmq_shard_t *s, kmq_client_t *client)
{
    kmq_ref_t    ref, prev;
    kmq_ring_t  *ring;

    prev = 0;

    for (ref = client->ring; ref; prev = ref, ref = ring->next) {
        ring = KMQ_AT(s, ref);
        ring->prev = prev;
        ring->first = 0;
        ring->open = 0;
        client->ring_tail = ref;
    }
}


static void
clients_relink(kmq_shard_t *s)
{
    kmq_walk_t     walk;
    kmq_client_t  *client;

    memset(&walk, 0, sizeof(walk));

    while ((client = kmq_table_scan(s, KMQ_CLASS_CLIENT, &walk))) {

        if (client->role == 0) {
            continue;
        }

        client->in_flight = 0;
        client->suspects = 0;
        client->ready = 0;
        client->cursor = 0;
        client->limit = client->prefetch;
        client->timed = KMQ_IDLE;
        client->disordered = 1;
        client->found = 0;
        client->look = 0;
        client->told = 0;
        kmq_returned_set(s, client, NULL);

        kmq_join_link(s, client);

        if (client->closing && client->closing != KMQ_TOLD
            && client->role != KMQ_LEAVING && client->role != KMQ_APART)
        {
            kmq_list_append(s, &s->duty[client->worker].to_close,
                            &client->to_close);
        }

        ring_relink(s, client);
    }
}


/* Routes with consumers enter their topics, the others go. */
static void
routes_relink(kmq_shard_t *s)
{
    kmq_walk_t    walk;
    kmq_route_t  *route;

    memset(&walk, 0, sizeof(walk));

    while ((route = kmq_table_scan(s, KMQ_CLASS_ROUTE, &walk))) {

        if (route->used && route->consumers) {
            kmq_route_link(s, route);

        } else if (route->used) {
            KMQ_SET(route->used, 0);
            kmq_table_free(s, KMQ_CLASS_ROUTE, route);
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
        slot = KMQ_AT(kmq->shard, ref);
        ref = slot->prev;
        slot_settle(kmq, slot);
    }
}


static void
slots_settle(kmq_t *kmq, const kmq_list_t *taken)
{
    kmq_walk_t    walk;
    kmq_shard_t  *s = kmq->shard;
    kmq_topic_t  *topic;

    list_settle(kmq, taken);

    memset(&walk, 0, sizeof(walk));

    while ((topic = kmq_table_scan(s, KMQ_CLASS_TOPIC, &walk))) {

        if (topic->used) {
            list_settle(kmq, &topic->log);
            kmq_topic_active(s, topic);
            kmq_topic_idle(s, topic);
        }
    }
}


/* ------------------------------------------------------------- set going */

static void
consumers_ready(kmq_t *kmq)
{
    kmq_walk_t     walk;
    kmq_topic_t   *topic;
    kmq_shard_t   *s = kmq->shard;
    kmq_client_t  *client;

    memset(&walk, 0, sizeof(walk));

    while ((client = kmq_table_scan(s, KMQ_CLASS_CLIENT, &walk))) {

        /* the timers of confirmations are armed anew by a look */

        if (client->role == KMQ_CONSUMER
            && (client->in_flight || client->held))
        {
            kmq_look_add(kmq, client);
        }

        if (client->role == KMQ_APART) {
            kmq_look_add(kmq, client);
        }

        if (client->role == KMQ_CONSUMER && kmq_ready(s, client)) {
            client->ready = 1;
            ((kmq_route_t *) KMQ_AT(s, client->route))->ready++;
            topic = KMQ_AT(s, client->topic);
            topic->ready_consumers++;
            topic->unpaced += client->pull;
            kmq_topic_active(s, topic);
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

    while ((topic = kmq_table_scan(kmq->shard, KMQ_CLASS_TOPIC, &walk))) {

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

    while ((route = kmq_table_scan(kmq->shard, KMQ_CLASS_ROUTE, &walk)))
    {
        if (route->used) {
            kmq_route_dirty(kmq, route);
        }
    }
}


/*
 * The common lock's holder has died.  What it guards are numbers, and each of
 * them may be what it was before or what it was to be; those that belong
 * together are made to.
 */
void
kmq_repair_common(kmq_t *kmq)
{
    unsigned      i;
    kmq_block_t  *b = kmq->block;

    KMQ_SET(b->repairs, b->repairs + 1);
    kmq->repaired = 1;
    KMQ_PUT(b->uncounted, 1);
    KMQ_PUT(b->nstill, 0);

    for (i = 0; i < b->nworkers; i++) {

        if (!b->worker[i].attached) {
            KMQ_PUT(b->worker[i].still, 0);
        }

        KMQ_PUT(b->nstill, b->nstill + (b->worker[i].still != 0));
    }

    kmq_journal_loss(kmq);
}


void
kmq_repair(kmq_t *kmq)
{
    int           linked, blameless;
    kmq_list_t    taken;
    kmq_shard_t  *s = kmq->shard;

    KMQ_SET(s->repairs, s->repairs + 1);
    s->changes++;
    s->upheavals++;
    kmq->repaired = 1;
    kmq_journal_loss(kmq);

    /* what a dead worker had begun is no message's fault */

    blameless = kmq->blameless;
    kmq->blameless = 1;
    memset(&taken, 0, sizeof(taken));

    KMQ_POINT("repair-reset");

    all_reset(s);

    KMQ_POINT("repair-memory");

    /* what follows takes memory and frees it: its lists first */

    linked = kmq_repair_messages(kmq, &taken);

    if (!linked) {
        all_reset(s);
        memset(&taken, 0, sizeof(taken));
    }

    KMQ_POINT("repair-relink");

    clients_relink(s);
    routes_relink(s);

    if (!linked) {
        kmq_repair_link(kmq, &taken);
    }

    KMQ_POINT("repair-settle");

    kmq_repair_deliveries(s);
    slots_settle(kmq, &taken);

    KMQ_POINT("repair-wake");

    /* whoever was to wake others may be the one that died */

    kmq_workers_forget(kmq);
    kmq_room_add(kmq, 0);
    KMQ_PUT(kmq->block->uncounted, 1);

    consumers_ready(kmq);
    types_settle(kmq);
    routes_wake(kmq);

    kmq->blameless = blameless;
}
