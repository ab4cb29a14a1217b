/*
 * Who may take how much: grants to routes, and the pace for all.
 *
 * Point to point, a ready message is granted to a route as soon as any has a
 * ready consumer: a number per route, no message in particular.  What is not
 * granted is the topic's backlog; a route whose consumers become ready draws
 * on it itself.  In publish/subscribe there is nothing to draw lots for: the
 * routes are told, and the quickest consumer pulls.
 *
 * Paced (batch_interval is not 0), a window of that length lets batch_count
 * messages go.  When it begins, all topics that have something to push to
 * somebody get equal parts; what then is left goes to whoever asks first.
 */

#include "../kmq_block.h"


/* Lots drawn at once. */
#define DRAWS_MAX  1024


static void
route_add_grant(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route,
    uint64_t n)
{
    route->grant += n;
    topic->granted += n;
    kmq_route_dirty(kmq, route);
}


/* How many consumers can take something now: not those of a worker that stands
 * still. */
static uint32_t
ready_now(const kmq_block_t *b, const kmq_topic_t *topic)
{
    uint32_t            n;
    kmq_ref_t           ref;
    const kmq_route_t  *route;

    if (b->nstill == 0) {
        return topic->ready_consumers;
    }

    n = 0;

    for (ref = topic->routes; ref; ref = route->topic_next) {
        route = KMQ_AT(b, ref);
        n += b->worker[route->worker].still ? 0 : route->ready;
    }

    return n;
}


/* What others do not take is there for workers that stand still, when they
 * are back. */
static void
still_tell(kmq_t *kmq, kmq_topic_t *topic)
{
    kmq_ref_t     ref;
    kmq_route_t  *route;

    for (ref = topic->routes; ref; ref = route->topic_next) {
        route = KMQ_AT(kmq->block, ref);

        if (route->ready && kmq->block->worker[route->worker].still) {
            kmq_route_dirty(kmq, route);
        }
    }
}


/* A route drawn at random by its ready consumers, of which there are so
 * many. */
static kmq_route_t *
route_draw(kmq_t *kmq, kmq_topic_t *topic, uint32_t ready)
{
    uint32_t      i;
    kmq_ref_t     ref;
    kmq_route_t  *route;

    i = ((kmq_random(kmq) >> 32) * ready) >> 32;

    for (ref = topic->routes; ref; ref = route->topic_next) {
        route = KMQ_AT(kmq->block, ref);

        if (kmq->block->worker[route->worker].still) {
            continue;
        }

        if (i < route->ready) {
            return route;
        }

        i -= route->ready;
    }

    return NULL;
}


/* Gives n messages of a point to point topic to its routes. */
static void
routes_grant(kmq_t *kmq, kmq_topic_t *topic, uint64_t n)
{
    uint32_t      ready;
    uint64_t      each;
    kmq_ref_t     ref;
    kmq_route_t  *route;

    ready = ready_now(kmq->block, topic);
    each = n / ready;
    n -= each * ready;

    for (ref = topic->routes; ref; ref = route->topic_next) {
        route = KMQ_AT(kmq->block, ref);

        if (kmq->block->worker[route->worker].still) {
            continue;
        }

        if (each && route->ready) {
            route_add_grant(kmq, topic, route, each * route->ready);
        }

        if (route->ready == ready) {

            /* the usual case: no lots to draw */

            if (n) {
                route_add_grant(kmq, topic, route, n);
            }

            return;
        }
    }

    /* a draw is for several where there are many */

    for (each = n / DRAWS_MAX + 1; n; n -= each) {
        each = each < n ? each : n;
        route = route_draw(kmq, topic, ready);

        if (route) {
            route_add_grant(kmq, topic, route, each);
        }
    }
}


/* Tells all routes with ready consumers, but one (0: all), to look at their
 * topic. */
void
kmq_routes_tell(kmq_t *kmq, kmq_topic_t *topic, kmq_ref_t except)
{
    kmq_ref_t     ref;
    kmq_route_t  *route;

    for (ref = topic->routes; ref; ref = route->topic_next) {
        route = KMQ_AT(kmq->block, ref);

        if (route->ready && ref != except) {
            kmq_route_dirty(kmq, route);
        }
    }
}


/* n more messages of topic are ready: tells those who can take them. */
void
kmq_grant(kmq_t *kmq, kmq_topic_t *topic, uint64_t n)
{
    uint64_t  backlog;

    if (topic->ready_consumers == 0) {
        return;
    }

    if (topic->push_type == KMQ_PUSH_ALL) {
        kmq_routes_tell(kmq, topic, 0);
        return;
    }

    if (kmq->block->nstill) {
        still_tell(kmq, topic);

        if (ready_now(kmq->block, topic) == 0) {
            return;
        }
    }

    n = kmq_pace(kmq, topic, n);

    /* a window that began just now may have granted them already */

    backlog = kmq_topic_backlog(kmq->block, topic);

    if (n > backlog) {
        kmq->block->batch_left += n - backlog;
        n = backlog;
    }

    if (n) {
        routes_grant(kmq, topic, n);
    }
}


/* Lets a route draw up to n messages of its topic's backlog. */
void
kmq_grant_to(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route, uint64_t n)
{
    uint64_t  backlog;

    backlog = kmq_topic_backlog(kmq->block, topic);

    if (backlog == 0) {
        return;
    }

    n = kmq_pace(kmq, topic, n < backlog ? n : backlog);
    backlog = kmq_topic_backlog(kmq->block, topic);

    if (n > backlog) {
        kmq->block->batch_left += n - backlog;
        n = backlog;
    }

    route->grant += n;
    topic->granted += n;
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

    kmq_pace_credit(kmq, n);
    kmq_grant(kmq, topic, n);
}


/* Ready messages are gone: no more may be granted than are left. */
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
        route = KMQ_AT(kmq->block, ref);
        less = n < route->grant ? n : route->grant;

        route->grant -= less;
        topic->granted -= less;
        n -= less;

        kmq_pace_credit(kmq, less);
    }
}


/* ------------------------------------------------------------------- pace */

/* n messages that the current batch had let go have not been pushed. */
void
kmq_pace_credit(kmq_t *kmq, uint64_t n)
{
    kmq_block_t  *b = kmq->block;

    if (b->settings.batch_interval && kmq->mono < b->batch_end) {
        b->batch_left += n;
    }
}


static int
topic_wants(const kmq_block_t *b, const kmq_topic_t *topic)
{
    return ready_now(b, topic) != 0 && kmq_topic_backlog(b, topic) != 0;
}


/* What the current window lets go of a topic beside all others' messages. */
uint32_t
kmq_pace_allotted(const kmq_block_t *b, const kmq_topic_t *topic)
{
    return topic->window == b->window ? topic->allotted : 0;
}


void
kmq_pace_allot(const kmq_block_t *b, kmq_topic_t *topic, uint32_t n)
{
    topic->allotted = kmq_pace_allotted(b, topic) + n;
    topic->window = b->window;
}


static uint32_t
topic_allot(kmq_t *kmq, kmq_topic_t *topic, uint32_t n)
{
    uint64_t  backlog;

    backlog = kmq_topic_backlog(kmq->block, topic);
    n = n < backlog ? n : backlog;

    if (topic->push_type == KMQ_PUSH_ALL) {
        kmq_pace_allot(kmq->block, topic, n);
        kmq_routes_tell(kmq, topic, 0);

    } else {
        routes_grant(kmq, topic, n);
    }

    return n;
}


/* Equal parts of what is left for each of n topics. */
static void
round_begin(kmq_block_t *b, uint32_t n)
{
    b->round_rest = b->nactive;
    b->round_part = n && b->window_left / n ? b->window_left / n : 1;
    b->round_wanting = 0;
}


/*
 * A slice of the rounds in which a window is given to the topics; the next one
 * begins where it ends.  While there is more, kmq->pacing says so, and
 * kmq_take() goes on.  What then is left goes to whoever asks first.
 */
void
kmq_pace_slice(kmq_t *kmq)
{
    uint32_t      n;
    unsigned      steps;
    kmq_block_t  *b = kmq->block;
    kmq_topic_t  *topic;

    for (steps = 0; b->active && b->round_rest && b->window_left; steps++) {

        if (steps == KMQ_SLICE) {
            kmq->pacing = 1;
            kmq->has_work = 1;
            return;
        }

        KMQ_STEP();

        topic = KMQ_AT(b, b->active);
        b->active = topic->active_next;
        b->round_rest--;

        if (topic_wants(b, topic)) {
            n = b->round_part < b->window_left ? b->round_part
                                               : b->window_left;
            b->window_left -= topic_allot(kmq, topic, n);
            b->round_wanting += topic_wants(b, topic);
        }

        if (b->round_rest == 0 && b->round_wanting) {
            round_begin(b, b->round_wanting);
        }
    }

    kmq->pacing = 0;

    if (b->active && b->round_rest) {
        kmq->paced = 1;

    } else if (b->active) {

        /* another topic is the first one in the next window */

        b->active = ((kmq_topic_t *) KMQ_AT(b, b->active))->active_next;
    }

    b->batch_left += b->window_left;
    b->window_left = 0;
    b->round_rest = 0;
}


/* Begins the next window: equal parts for all topics that want some. */
void
kmq_pace_window(kmq_t *kmq)
{
    kmq_block_t  *b = kmq->block;

    b->batch_end = kmq->mono + b->settings.batch_interval;
    b->batch_left = 0;
    b->window++;
    b->window_left = b->settings.batch_count;
    kmq->paced = 0;

    round_begin(b, b->nactive);
    kmq_pace_slice(kmq);
}


/* May a message of topic go now? */
int
kmq_pace_open(const kmq_t *kmq, const kmq_topic_t *topic)
{
    const kmq_block_t  *b = kmq->block;

    return b->settings.batch_interval == 0 || kmq->mono >= b->batch_end
           || kmq_pace_allotted(b, topic) || b->batch_left;
}


/* How many of n messages of topic may go now. */
uint64_t
kmq_pace(kmq_t *kmq, kmq_topic_t *topic, uint64_t n)
{
    uint64_t      allowed, allotted, more;
    kmq_block_t  *b = kmq->block;

    if (b->settings.batch_interval == 0) {
        return n;
    }

    if (kmq->mono >= b->batch_end) {
        kmq_pace_window(kmq);
    }

    allotted = kmq_pace_allotted(b, topic);
    allowed = n < allotted ? n : allotted;
    topic->allotted -= allowed;

    more = n - allowed < b->batch_left ? n - allowed : b->batch_left;
    b->batch_left -= more;
    allowed += more;

    if (allowed < n) {
        kmq->paced = 1;
    }

    return allowed;
}
