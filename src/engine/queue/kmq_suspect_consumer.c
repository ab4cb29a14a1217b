/* Which consumer gets a suspect, or is run empty for one. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "kmq_queue_inside.h"


/* Consumers that are looked at for one with little in flight. */
#define LOOKS_MAX  64


/* A ready consumer of the route with as little in flight as possible, among a
 * few, from a random one on.  NULL: none is ready. */
static kmq_client_t *
least_busy(kmq_t *kmq, const kmq_own_route_t *local)
{
    uint32_t       i, n, start;
    kmq_client_t  *client, *best;

    best = NULL;
    start = local->nready
            ? ((kmq_random(kmq) >> 32) * local->nready) >> 32 : 0;
    n = local->nready < LOOKS_MAX ? local->nready : LOOKS_MAX;

    for (i = 0; i < n; i++) {
        KMQ_STEP();
        client = KMQ_AT(kmq->shard,
                        kmq->client[local->ready[(start + i) % local->nready]]
                            .client);

        if (best == NULL || client->in_flight < best->in_flight) {
            best = client;
        }

        if (best->in_flight == 0) {
            break;
        }
    }

    return best;
}


/* One is run empty for a suspect.  Returns it when it is, and of the route; or
 * another one of the route that is empty sooner. */
static kmq_client_t *
emptied(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route)
{
    kmq_client_t  *client, *idle;

    client = KMQ_AT(kmq->shard, topic->emptying);

    if (client->in_flight == 0 && client->open) {
        return client->route == KMQ_REF(kmq->shard, route) ? client : NULL;
    }

    idle = least_busy(kmq, &kmq->route[route->local]);

    if (idle && idle->in_flight) {
        idle = NULL;
    }

    /* an empty one is closed: its connection takes nothing any more */

    if (idle || client->in_flight == 0) {
        kmq_suspect_stay(kmq, client);
        kmq_look_now(kmq, client);
    }

    return idle;
}


kmq_client_t *
kmq_suspect_consumer(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route)
{
    kmq_client_t  *client;

    if (topic->emptying) {
        return emptied(kmq, topic, route);
    }

    if (topic->alone && topic->alone >= topic->matching / 2) {
        return NULL;
    }

    client = least_busy(kmq, &kmq->route[route->local]);

    if (client && client->in_flight) {
        topic->emptying = KMQ_REF(kmq->shard, client);
        client->held |= KMQ_HELD_EMPTYING;
        kmq_ready_update(kmq, client);
        return NULL;
    }

    return client;
}
