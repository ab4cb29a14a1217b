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


/* Worker n does not stand still any more, or it is gone. */
void
kmq_still_end(kmq_block_t *b, unsigned n)
{
    kmq_worker_t  *worker = &b->worker[n];

    if (worker->still) {
        worker->still = 0;
        worker->still_last = 0;
        b->nstill--;
    }
}


/* This worker does something. */
void
kmq_still_seen(kmq_t *kmq)
{
    kmq->block->worker[kmq->worker].seen = kmq->mono;

    kmq_still_end(kmq->block, kmq->worker);
}


/* Looks for workers that have done nothing for long.  1 when there is
 * something to do for kmq_still_run(). */
int
kmq_still_find(kmq_t *kmq)
{
    unsigned       i;
    kmq_block_t   *b = kmq->block;
    kmq_worker_t  *worker;

    for (i = 0; i < b->nworkers; i++) {
        worker = &b->worker[i];

        if (worker->attached && !worker->still
            && (int64_t) (kmq->mono - worker->seen) > STILL_TIME)
        {
            worker->still = 1;
            worker->still_last = worker->dirty ? worker->dirty_tail : 0;
            b->nstill++;
        }
    }

    return b->nstill != 0;
}


/* Gives what was granted to a worker to others: at most *n routes' part, which
 * counts down. */
static void
regrant(kmq_t *kmq, kmq_worker_t *worker, unsigned *n)
{
    kmq_ref_t     ref;
    kmq_block_t  *b = kmq->block;
    kmq_route_t  *route;

    while (worker->still_last && *n) {
        (*n)--;

        ref = worker->dirty;
        route = KMQ_AT(b, ref);

        if (ref == worker->still_last) {
            worker->still_last = 0;
        }

        if (route->dirty_next) {
            worker->dirty = route->dirty_next;
            route->dirty_next = 0;
            ((kmq_route_t *) KMQ_AT(b, worker->dirty_tail))->dirty_next = ref;
            worker->dirty_tail = ref;
        }

        kmq_grant_return(kmq, KMQ_AT(b, route->topic), route);
    }
}


/* Does a slice of that for all who stand still.  1: there is more to do. */
int
kmq_still_run(kmq_t *kmq)
{
    unsigned      i, n;
    kmq_block_t  *b = kmq->block;

    n = ROUTES_SLICE;

    for (i = 0; n && i < b->nworkers; i++) {
        regrant(kmq, &b->worker[i], &n);
    }

    return n == 0;
}
