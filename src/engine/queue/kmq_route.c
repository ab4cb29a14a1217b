/*
 * Routes: a topic's consumers of one worker.  A route with something to do
 * is "dirty" and waits in its worker's list, in which routes take turns.
 */

#include "../kmq_block.h"


/* Enters a used route into its topic. */
void
kmq_route_link(kmq_block_t *b, kmq_route_t *route)
{
    kmq_topic_t  *topic = KMQ_AT(b, route->topic);

    route->topic_next = topic->routes;
    topic->routes = KMQ_REF(b, route);
}


/* The route of topic to this worker, made when there is none; NULL: no
 * memory. */
kmq_route_t *
kmq_route_find(kmq_t *kmq, kmq_topic_t *topic)
{
    kmq_ref_t     ref;
    kmq_block_t  *b = kmq->block;
    kmq_route_t  *route;

    for (ref = topic->routes; ref; ref = route->topic_next) {
        route = KMQ_AT(b, ref);

        if (route->worker == kmq->worker) {
            return route;
        }
    }

    route = kmq_record_alloc(kmq, KMQ_CLASS_ROUTE);
    if (route == NULL) {
        return NULL;
    }

    route->topic = KMQ_REF(b, topic);
    route->worker = kmq->worker;
    route->local = KMQ_NOT_READY;

    KMQ_SET(route->used, 1);
    KMQ_POINT("route-create");

    kmq_route_link(b, route);

    return route;
}


/* Frees a route without consumers, unless it is listed as dirty: then it is
 * freed when its turn comes. */
void
kmq_route_release(kmq_t *kmq, kmq_route_t *route)
{
    kmq_ref_t    *link;
    kmq_block_t  *b = kmq->block;
    kmq_topic_t  *topic;

    if (route->consumers || route->dirty) {
        return;
    }

    topic = KMQ_AT(b, route->topic);

    kmq_grant_return(kmq, topic, route);

    for (link = &topic->routes;
         *link != KMQ_REF(b, route);
         link = &((kmq_route_t *) KMQ_AT(b, *link))->topic_next)
    {
        /* void */
    }

    *link = route->topic_next;
    kmq_local_route_remove(kmq, route);

    KMQ_SET(route->used, 0);
    KMQ_POINT("route-release");

    kmq_record_free(b, KMQ_CLASS_ROUTE, route);
    kmq_topic_idle(b, topic);
}


/* Sees to it that the route's worker looks at it. */
void
kmq_route_dirty(kmq_t *kmq, kmq_route_t *route)
{
    kmq_ref_t      ref;
    kmq_block_t   *b = kmq->block;
    kmq_worker_t  *worker = &b->worker[route->worker];

    if (!route->dirty) {
        ref = KMQ_REF(b, route);

        route->dirty = 1;
        route->dirty_next = 0;

        if (worker->dirty) {
            ((kmq_route_t *) KMQ_AT(b, worker->dirty_tail))->dirty_next = ref;
        } else {
            worker->dirty = ref;
        }

        worker->dirty_tail = ref;
    }

    kmq_worker_tell(kmq, route->worker);
}


/* The next dirty route of this worker, off the list; NULL: none, or none for
 * now, when there are many whose consumers have left. */
kmq_route_t *
kmq_route_next(kmq_t *kmq)
{
    unsigned       n;
    kmq_block_t   *b = kmq->block;
    kmq_route_t   *route;
    kmq_worker_t  *worker = &b->worker[kmq->worker];

    for (n = KMQ_SLICE; n && worker->dirty; n--) {
        KMQ_STEP();

        route = KMQ_AT(b, worker->dirty);
        worker->dirty = route->dirty_next;
        route->dirty = 0;

        if (route->consumers) {
            return route;
        }

        kmq_route_release(kmq, route);
    }

    return NULL;
}
