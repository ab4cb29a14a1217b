/*
 * Grants: how many messages each route may take.
 *
 * Point to point, a ready message is granted to a route as soon as any has a
 * ready consumer: a number per route, no message in particular.  Messages that
 * are not granted are the topic's backlog; a route whose consumers become
 * ready draws on it.  In publish/subscribe no lots are drawn: the routes are
 * told, and the quickest consumer pulls.
 *
 * Paced, grants wait for the next batch (kmq_pace_pushes.c), but those of
 * consumers that pull, who have routes of their own: while some wait, they get
 * what there is.
 */

#include "../kmq_block.h"
#include "kmq_queue_inside.h"


/* 1: those that pull get what is ready, since others wait for a batch. */
static int
grant_unpaced(kmq_t *kmq, kmq_topic_t *topic, uint64_t n)
{
    uint64_t  backlog;

    if (kmq->block->settings.batch_interval == 0) {
        return 0;
    }

    backlog = kmq_pace_backlog(kmq->shard, topic);
    n = n < backlog ? n : backlog;

    return n == 0 || kmq_routes_grant(kmq, topic, n, 1) != 0;
}


/* n more messages of topic are ready: grants them, or tells its routes. */
void
kmq_grant(kmq_t *kmq, kmq_topic_t *topic, uint64_t n)
{
    uint64_t  backlog;

    if (topic->ready_consumers == 0 || topic->paused) {
        return;
    }

    if (topic->push_type == KMQ_PUSH_ALL) {
        kmq_routes_tell(kmq, topic, 0);
        return;
    }

    if (KMQ_GET(kmq->block->nstill)) {

        if (kmq_routes_ready(kmq->shard, topic) == 0) {
            kmq_routes_tell(kmq, topic, 0);
            return;
        }

        kmq_routes_tell_still(kmq, topic);
    }

    if (topic->unpaced && grant_unpaced(kmq, topic, n)) {
        return;
    }

    n = kmq_pace(kmq, topic, n);

    /* a window that began just now may have granted them already */

    backlog = kmq_pace_backlog(kmq->shard, topic);

    if (n > backlog) {
        kmq_pace_credit(kmq, n - backlog);
        n = backlog;
    }

    if (n) {
        kmq_pace_credit(kmq, n - kmq_routes_grant(kmq, topic, n, 0));
    }
}


/* Lets a route draw up to n messages of its topic's backlog. */
void
kmq_grant_to(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route, uint64_t n)
{
    uint64_t  backlog;

    backlog = kmq_pace_backlog(kmq->shard, topic);

    if (backlog == 0 || topic->paused) {
        return;
    }

    n = n < backlog ? n : backlog;

    if (!route->unpaced) {
        n = kmq_pace(kmq, topic, n);
        backlog = kmq_pace_backlog(kmq->shard, topic);

        if (n > backlog) {
            kmq_pace_credit(kmq, n - backlog);
            n = backlog;
        }
    }

    route->grant += n;
    topic->granted += n;
}


/* A route gives back n of its grant. */
static void
credit(kmq_t *kmq, const kmq_route_t *route, uint64_t n)
{
    if (!route->unpaced) {
        kmq_pace_credit(kmq, n);
    }
}


/* Takes back what a route could not use, and offers it to others. */
void
kmq_grant_return(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route)
{
    uint64_t  n;

    n = route->grant;

    if (n == 0) {
        return;
    }

    route->grant = 0;
    topic->granted -= n;

    credit(kmq, route, n);
    kmq_grant(kmq, topic, n);
}


/* Ready messages are gone: takes back what is granted beyond those left. */
void
kmq_grant_trim(kmq_t *kmq, kmq_topic_t *topic)
{
    uint64_t      n, less;
    kmq_ref_t     ref;
    kmq_route_t  *route;

    if (topic->granted <= topic->ready.count) {
        return;
    }

    n = topic->granted - topic->ready.count;

    for (ref = topic->routes; ref && n; ref = route->topic_next) {
        route = KMQ_AT(kmq->shard, ref);
        less = n < route->grant ? n : route->grant;

        route->grant -= less;
        topic->granted -= less;
        n -= less;

        credit(kmq, route, less);
    }
}
