/*
 * Workers that stand still: stopped, in a slow module, on a slow disk.  They
 * live and will go on, but until then others get what was granted to them, and
 * nothing more is granted to them.  Their lists stay, so that they find their
 * work when they are back.
 */

#include "../kmq_block.h"
#include "../worker/kmq_worker.h"
#include "../queue/kmq_queue.h"
#include "kmq_upkeep_inside.h"


/* A worker looks twice a second, if it can. */
#define STILL_TIME   1000    /* ms */

/* Routes under one lock. */
#define ROUTES_SLICE  256


/* Worker n does not stand still any more. */
static void
still_end(kmq_t *kmq, unsigned n)
{
    kmq_block_t   *b = kmq->block;
    kmq_worker_t  *worker = &b->worker[n];

    if (!KMQ_GET(worker->still)) {
        return;
    }

    kmq_common_lock(kmq);

    if (worker->still) {
        KMQ_PUT(worker->still, 0);
        KMQ_PUT(b->nstill, b->nstill - 1);
    }

    kmq_common_unlock(kmq);
}


/* This worker does something. */
void
kmq_still_seen(kmq_t *kmq)
{
    kmq_worker_t  *worker = &kmq->block->worker[kmq->worker];

    if (KMQ_GET(worker->seen) != kmq->mono) {
        KMQ_PUT(worker->seen, kmq->mono);
    }

    still_end(kmq, kmq->worker);
}


/* Worker n is gone: nobody is to find it standing still from here on. */
void
kmq_still_gone(kmq_t *kmq, unsigned n)
{
    kmq_common_lock(kmq);

    KMQ_SET(kmq->block->worker[n].attached, 0);
    still_end(kmq, n);

    kmq_common_unlock(kmq);
}


/* Looks for workers that have done nothing for long.  All shards are looked at
 * then, for what was granted to them. */
void
kmq_still_find(kmq_t *kmq)
{
    unsigned       i, n;
    kmq_block_t   *b = kmq->block;
    kmq_worker_t  *worker;

    n = KMQ_GET(b->nworkers);

    for (i = 0; i < n; i++) {
        worker = &b->worker[i];

        if (!KMQ_GET(worker->attached) || KMQ_GET(worker->still)
            || (int64_t) (kmq->mono - KMQ_GET(worker->seen)) <= STILL_TIME)
        {
            continue;
        }

        kmq_common_lock(kmq);

        if (worker->attached && !worker->still) {
            b->stills += b->stills + 1 == 0 ? 2 : 1;
            KMQ_PUT(worker->still, b->stills);
            KMQ_PUT(b->nstill, b->nstill + 1);
        }

        kmq_common_unlock(kmq);
        kmq->work |= KMQ_ALL(b);
    }
}


/* Gives what was granted to a worker to others: at most *n routes' part, which
 * counts down. */
static void
regrant(kmq_t *kmq, kmq_duty_t *duty, unsigned *n)
{
    kmq_ref_t     ref;
    kmq_shard_t  *s = kmq->shard;
    kmq_route_t  *route;

    while (duty->still_last && *n) {
        (*n)--;

        ref = duty->dirty;
        route = KMQ_AT(s, ref);

        if (ref == duty->still_last) {
            duty->still_last = 0;
        }

        if (route->dirty_next) {
            duty->dirty = route->dirty_next;
            route->dirty_next = 0;
            ((kmq_route_t *) KMQ_AT(s, duty->dirty_tail))->dirty_next = ref;
            duty->dirty_tail = ref;
        }

        kmq_grant_return(kmq, KMQ_AT(s, route->topic), route);
    }
}


/* Does a slice of that in the shard, for all who stand still.  1: there is more
 * to do. */
int
kmq_still_run(kmq_t *kmq)
{
    unsigned      i, n, nworkers;
    uint32_t      still;
    kmq_duty_t   *duty;
    kmq_block_t  *b = kmq->block;

    n = ROUTES_SLICE;
    nworkers = KMQ_GET(b->nworkers);

    for (i = 0; n && i < nworkers; i++) {

        still = KMQ_GET(b->worker[i].still);

        if (still == 0) {
            continue;
        }

        duty = &kmq->shard->duty[i];

        if (duty->still != still) {
            duty->still = still;
            duty->still_last = duty->dirty ? duty->dirty_tail : 0;
        }

        regrant(kmq, duty, &n);
    }

    return n == 0;
}
