/* Routes with something to do take turns, and end when nobody is left. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "kmq_queue_inside.h"


/* Frees a route without consumers, unless it is dirty: then it is freed in its
 * turn. */
void
kmq_route_release(kmq_t *kmq, kmq_route_t *route)
{
    kmq_ref_t    *link;
    kmq_shard_t  *s = kmq->shard;
    kmq_topic_t  *topic;

    if (route->consumers || route->dirty) {
        return;
    }

    topic = KMQ_AT(s, route->topic);

    kmq_grant_return(kmq, topic, route);

    for (link = &topic->routes;
         *link != KMQ_REF(s, route);
         link = &((kmq_route_t *) KMQ_AT(s, *link))->topic_next)
    {
        /* void */
    }

    *link = route->topic_next;
    kmq_own_route_remove(kmq, route);

    KMQ_SET(route->used, 0);
    KMQ_POINT("route-release");

    kmq_table_free(s, KMQ_CLASS_ROUTE, route);
    kmq_topic_idle(s, topic);
}


/* Takes the next dirty route of this worker off the list.  NULL: there is
 * none, or none for now, when many have lost their consumers. */
kmq_route_t *
kmq_route_next(kmq_t *kmq)
{
    unsigned       n;
    kmq_shard_t   *s = kmq->shard;
    kmq_route_t   *route;
    kmq_duty_t    *duty = &s->duty[kmq->worker];

    for (n = KMQ_SLICE; n && duty->dirty; n--) {
        KMQ_STEP();

        /* the others follow no further: see kmq_still.c */

        if (duty->dirty == duty->still_last) {
            duty->still_last = 0;
        }

        route = KMQ_AT(s, duty->dirty);
        duty->dirty = route->dirty_next;
        duty->ndirty--;
        route->dirty = 0;

        if (route->consumers) {
            return route;
        }

        kmq_route_release(kmq, route);
    }

    return NULL;
}


/* More messages of a route's topic are there: its worker looks again, at once
 * or with the next batch. */
void
kmq_route_go_on(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route,
    uint64_t more)
{
    if (more == 0 || route->ready == 0) {
        return;
    }

    if (route->unpaced || kmq_pace_open(kmq, topic)) {
        kmq_route_dirty(kmq, route);

    } else {
        kmq->paced = 1;
    }
}
