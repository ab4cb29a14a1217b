/*
 * Routes: a topic's consumers of one worker.  A route with something to do
 * is "dirty" and waits in its worker's list, in which routes take turns.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "kmq_queue_inside.h"


/* Lots drawn at once. */
#define DRAWS_MAX  1024


/* Enters a used route into its topic. */
void
kmq_route_link(kmq_shard_t *s, kmq_route_t *route)
{
    kmq_topic_t  *topic = KMQ_AT(s, route->topic);

    route->topic_next = topic->routes;
    topic->routes = KMQ_REF(s, route);
}


kmq_route_t *
kmq_route_find(kmq_t *kmq, kmq_topic_t *topic, int unpaced)
{
    kmq_ref_t     ref;
    kmq_shard_t  *s = kmq->shard;
    kmq_route_t  *route;

    for (ref = topic->routes; ref; ref = route->topic_next) {
        route = KMQ_AT(s, ref);

        if (route->worker == kmq->worker && route->unpaced == unpaced) {
            return route;
        }
    }

    route = kmq_table_alloc(kmq, KMQ_CLASS_ROUTE);
    if (route == NULL) {
        return NULL;
    }

    route->topic = KMQ_REF(s, topic);
    route->worker = kmq->worker;
    route->local = KMQ_NOT_READY;
    route->unpaced = unpaced;

    KMQ_SET(route->used, 1);
    KMQ_POINT("route-create");

    kmq_route_link(s, route);

    return route;
}


/* Makes sure that the route's worker looks at it. */
void
kmq_route_dirty(kmq_t *kmq, kmq_route_t *route)
{
    kmq_ref_t      ref;
    kmq_shard_t   *s = kmq->shard;
    kmq_duty_t    *duty = &s->duty[route->worker];

    if (!route->dirty) {
        ref = KMQ_REF(s, route);

        route->dirty = 1;
        route->dirty_next = 0;

        if (duty->dirty) {
            ((kmq_route_t *) KMQ_AT(s, duty->dirty_tail))->dirty_next = ref;
        } else {
            duty->dirty = ref;
        }

        duty->dirty_tail = ref;
        duty->ndirty++;
    }

    kmq_worker_tell(kmq, route->worker);
}


static void
route_add_grant(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route,
    uint64_t n)
{
    route->grant += n;
    topic->granted += n;
    kmq_route_dirty(kmq, route);
}


/* Does its worker stand still? */
static int
is_still(const kmq_shard_t *s, const kmq_route_t *route)
{
    return KMQ_GET(KMQ_BLOCK(s)->worker[route->worker].still);
}


/* How many consumers can take something now. */
uint32_t
kmq_routes_ready(const kmq_shard_t *s, const kmq_topic_t *topic)
{
    uint32_t            n;
    kmq_ref_t           ref;
    const kmq_route_t  *route;

    if (KMQ_GET(KMQ_BLOCK(s)->nstill) == 0) {
        return topic->ready_consumers;
    }

    n = 0;

    for (ref = topic->routes; ref; ref = route->topic_next) {
        route = KMQ_AT(s, ref);
        n += is_still(s, route) ? 0 : route->ready;
    }

    return n;
}


/* Tells workers that stand still: what others have not taken by then is for
 * them when they are back. */
void
kmq_routes_tell_still(kmq_t *kmq, kmq_topic_t *topic)
{
    kmq_ref_t     ref;
    kmq_route_t  *route;

    for (ref = topic->routes; ref; ref = route->topic_next) {
        route = KMQ_AT(kmq->shard, ref);

        if (route->ready && is_still(kmq->shard, route)) {
            kmq_route_dirty(kmq, route);
        }
    }
}


/*
 * Gives each route lots, as many as it has ready consumers; all have so many of
 * them as it returns.  Whether a worker stands still may change at any time, so
 * it is asked once for each.
 */
static uint32_t
lots_give(const kmq_shard_t *s, const kmq_topic_t *topic, int unpaced)
{
    int           still;
    uint32_t      n;
    kmq_ref_t     ref;
    kmq_route_t  *route;

    n = 0;
    still = KMQ_GET(KMQ_BLOCK(s)->nstill) != 0;

    for (ref = topic->routes; ref; ref = route->topic_next) {
        route = KMQ_AT(s, ref);
        route->lots = (still && is_still(s, route))
                      || (unpaced && !route->unpaced) ? 0 : route->ready;
        n += route->lots;
    }

    return n;
}


/* Draws a route at random by its lots; all have so many of them. */
static kmq_route_t *
route_draw(kmq_t *kmq, kmq_topic_t *topic, uint32_t lots)
{
    uint32_t      i;
    kmq_ref_t     ref;
    kmq_route_t  *route;

    i = ((kmq_random(kmq) >> 32) * lots) >> 32;
    ref = topic->routes;

    for ( ;; ) {
        route = KMQ_AT(kmq->shard, ref);

        if (i < route->lots) {
            return route;
        }

        i -= route->lots;
        ref = route->topic_next;
    }
}


/* Gives n messages of a point to point topic to its routes, or only to those of
 * consumers that pull.  Returns how many: all, or none. */
uint64_t
kmq_routes_grant(kmq_t *kmq, kmq_topic_t *topic, uint64_t n, int unpaced)
{
    uint32_t      lots;
    uint64_t      each, left;
    kmq_ref_t     ref;
    kmq_route_t  *route;

    lots = lots_give(kmq->shard, topic, unpaced);

    if (lots == 0) {

        /* the last worker has begun to stand still just now */

        kmq_routes_tell(kmq, topic, 0);
        return 0;
    }

    KMQ_POINT("lots");

    each = n / lots;
    left = n - each * lots;

    for (ref = topic->routes; ref; ref = route->topic_next) {
        route = KMQ_AT(kmq->shard, ref);

        if (each && route->lots) {
            route_add_grant(kmq, topic, route, each * route->lots);
        }

        if (route->lots == lots) {

            /* the usual case: no lots to draw */

            if (left) {
                route_add_grant(kmq, topic, route, left);
            }

            return n;
        }
    }

    /* when there are many, a draw is for several */

    for (each = left / DRAWS_MAX + 1; left; left -= each) {
        each = each < left ? each : left;
        route_add_grant(kmq, topic, route_draw(kmq, topic, lots), each);
    }

    return n;
}


/* Has all routes with ready consumers look at their topic, except one (0:
 * none). */
void
kmq_routes_tell(kmq_t *kmq, kmq_topic_t *topic, kmq_ref_t except)
{
    kmq_ref_t     ref;
    kmq_route_t  *route;

    for (ref = topic->routes; ref; ref = route->topic_next) {
        route = KMQ_AT(kmq->shard, ref);

        if (route->ready && ref != except) {
            kmq_route_dirty(kmq, route);
        }
    }
}
