/* Point to point: each message is drawn for one of its route's ready
 * consumers. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../queue/kmq_queue.h"
#include "kmq_delivery_inside.h"


/* Messages drawn at once: this bounds the time under the lock. */
#define DRAWS_MAX  256


/* A ready consumer of the route at random, as an index in kmq->client. */
static uint32_t
consumer_draw(kmq_t *kmq, const kmq_own_route_t *local)
{
    if (local->nready == 1) {
        return local->ready[0];
    }

    return local->ready[((kmq_random(kmq) >> 32) * local->nready) >> 32];
}


/* Gives client a message, which is still where it was; KMQ_NOMEM when its ring
 * cannot grow. */
static inline int __attribute__((always_inline))
deliver_to(kmq_t *kmq, kmq_topic_t *topic, kmq_client_t *client,
    kmq_slot_t *slot)
{
    kmq_shard_t  *s = kmq->shard;

    /* a position is never given twice, even where this ends half-way */

    KMQ_SET(topic->position, topic->position + 1);
    KMQ_POINT("deliver-position");

    slot->position = topic->position;
    slot->pending = 1;

    if (kmq_deliveries_append(s, client, slot, (uint32_t) kmq->mono)
        != KMQ_OK)
    {
        client->limit = client->in_flight;
        return KMQ_NOMEM;
    }

    kmq_deliveries_begin(client, slot, 1);

    if (client->timed == KMQ_IDLE && topic->settings.retry_time) {
        kmq_look_in(kmq, client, topic->settings.retry_time);
    }

    return KMQ_OK;
}


/* The message is in flight with client. */
static void
delivered(kmq_shard_t *s, const kmq_client_t *client, kmq_slot_t *slot)
{
    /* not before it is cut off from the next one: see kmq_repair_messages.c */

    KMQ_SET(slot->owner, KMQ_REF(s, client));
    KMQ_SET(slot->state, KMQ_IN_FLIGHT);
    KMQ_POINT("deliver-one");
}


/* Puts the first ready message in flight with client; KMQ_NOMEM. */
static int
deliver_one(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route,
    kmq_client_t *client, kmq_slot_t *slot)
{
    if (deliver_to(kmq, topic, client, slot) != KMQ_OK) {
        return KMQ_NOMEM;
    }

    (void) kmq_message_take(kmq, topic);

    route->grant--;
    topic->granted--;

    delivered(kmq->shard, client, slot);

    return KMQ_OK;
}


static void
draw_add(kmq_t *kmq, kmq_draws_t *draws, const kmq_slot_t *slot, uint32_t i)
{
    draws->slot[draws->n] = KMQ_REF(kmq->shard, slot);
    draws->client[draws->n] = i;
    draws->n++;
    draws->bytes += slot->size;
}


/* Puts the topic's first suspect in flight with a consumer that has nothing
 * else, if one of the route's is to get it. */
static void __attribute__((noinline))
draw_suspect(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route,
    kmq_draws_t *draws)
{
    kmq_slot_t    *slot;
    kmq_client_t  *client;

    client = kmq_suspect_consumer(kmq, topic, route);
    if (client == NULL) {
        return;
    }

    slot = KMQ_KEPT_SLOT(KMQ_AT(kmq->shard, topic->suspects.head));

    /* its position lies where the links of suspects are */

    kmq_suspect_remove(kmq, topic, slot);

    if (deliver_to(kmq, topic, client, slot) != KMQ_OK) {
        slot->pending = 0;

        if (kmq_suspect_add(kmq, topic, slot)) {
            kmq_message_due(kmq, slot);
        }

        return;
    }

    kmq_message_begin(kmq, topic, slot);
    delivered(kmq->shard, client, slot);

    kmq_hold_alone(kmq, client);
    kmq_ready_update(kmq, client);
    kmq_count_delivered(kmq, topic, 1);

    draw_add(kmq, draws, slot, client->local);
}


/* Draws at most DRAWS_MAX messages more. */
static void
draw(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route, size_t bytes_max,
    kmq_draws_t *draws)
{
    unsigned          max;
    uint32_t          i;
    kmq_slot_t       *slot;
    kmq_client_t     *client;
    kmq_own_route_t  *local;

    local = &kmq->route[route->local];
    max = draws->n + DRAWS_MAX;

    if (local->nready && route->grant < DRAWS_MAX) {
        kmq_grant_to(kmq, topic, route, DRAWS_MAX - route->grant);
    }

    while (draws->n < max && route->grant && local->nready
           && topic->ready.head && draws->bytes < bytes_max)
    {
        slot = KMQ_AT(kmq->shard, topic->ready.head);
        i = consumer_draw(kmq, local);
        client = KMQ_AT(kmq->shard, kmq->client[i].client);

        if (deliver_one(kmq, topic, route, client, slot) == KMQ_OK) {
            draw_add(kmq, draws, slot, i);
        }

        if (client->in_flight >= client->limit) {
            kmq_ready_update(kmq, client);
        }
    }
}


/*
 * Draws as many messages as go into a batch.  The lock is let go now and then;
 * the route stays, since its consumers are this handle's.
 */
void
kmq_take_one(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route,
    size_t bytes_max, kmq_draws_t *draws)
{
    unsigned          n;
    kmq_own_route_t  *local;

    local = &kmq->route[route->local];

    if (topic->suspects.head) {
        draw_suspect(kmq, topic, route, draws);

        /* others may have looked while one was run empty for it */

        if (draws->n && topic->suspects.head) {
            kmq_routes_tell(kmq, topic, 0);
        }
    }

    if (local->nready == 0) {
        return;
    }

    for ( ;; ) {
        n = draws->n;
        draw(kmq, topic, route, bytes_max, draws);

        kmq_topic_active(kmq->shard, topic);
        kmq_count_delivered(kmq, topic, draws->n - n);

        if (draws->n - n < DRAWS_MAX
            || draws->n + DRAWS_MAX > KMQ_BATCH_MESSAGES)
        {
            break;
        }

        kmq_lock_pause(kmq);
    }

    if (local->nready && route->grant) {
        kmq_route_dirty(kmq, route);
        return;
    }

    kmq_route_go_on(kmq, topic, route, kmq_pace_backlog(kmq->shard, topic));
}


/* Makes runs of the draws, which are of the shard whose lock the handle had
 * last: the messages of each consumer stand next to each other.  Takes no lock:
 * messages in flight with this handle's clients stay as they are. */
void
kmq_take_sort(kmq_t *kmq, const kmq_draws_t *draws, kmq_batch_t *batch)
{
    unsigned           i;
    uint32_t           first, stamp;
    kmq_run_t         *run;
    kmq_own_client_t  *local;

    stamp = ++kmq->run_stamp;

    for (i = 0; i < draws->n; i++) {
        local = &kmq->client[draws->client[i]];

        if (local->run_stamp != stamp) {
            local->run_stamp = stamp;
            local->run = batch->nruns;

            run = &batch->runs[batch->nruns++];
            run->client = KMQ_OUT(kmq->shard, local->client);
            run->user = local->user;
            run->count = 0;
        }

        batch->runs[local->run].count++;
    }

    for (first = 0, i = 0; i < batch->nruns; i++) {
        batch->runs[i].first = first;
        first += batch->runs[i].count;
        batch->runs[i].count = 0;
    }

    for (i = 0; i < draws->n; i++) {
        run = &batch->runs[kmq->client[draws->client[i]].run];

        kmq_message_fill(kmq->shard, KMQ_AT(kmq->shard, draws->slot[i]),
                         &batch->messages[run->first + run->count++]);
    }

    batch->nmessages = draws->n;
}
