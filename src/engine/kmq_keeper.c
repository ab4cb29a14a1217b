/*
 * Who is told to look: workers with something to do, and the keeper, the one
 * worker that turns the schedule for all.
 */

#include "kmq_block.h"


/* Sees to it that a worker calls kmq_take(). */
void
kmq_worker_tell(kmq_t *kmq, unsigned n)
{
    kmq_worker_t  *worker = &kmq->block->worker[n];

    if (n == kmq->worker) {
        kmq->has_work = 1;
        return;
    }

    if (!worker->signalled) {
        worker->signalled = 1;
        kmq->wakes[n / 64] |= UINT64_C(1) << n % 64;
        kmq->has_wakes = 1;
    }
}


void
kmq_keeper_tell(kmq_t *kmq)
{
    if (kmq->block->keeper) {
        kmq_worker_tell(kmq, kmq->block->keeper - 1);
    }
}


/* Makes n the keeper.  It starts with a look at the schedule. */
void
kmq_keeper_set(kmq_t *kmq, unsigned n)
{
    KMQ_SET(kmq->block->keeper, n + 1);
    KMQ_POINT("keeper");

    if (kmq->block->wheel.count) {
        kmq_worker_tell(kmq, n);
    }
}


/* Worker n is no keeper any more: this one is, or, where that is n itself,
 * another one that lives, if any. */
void
kmq_keeper_replace(kmq_t *kmq, unsigned n)
{
    unsigned      i;
    kmq_block_t  *b = kmq->block;

    if (b->keeper != n + 1) {
        return;
    }

    KMQ_SET(b->keeper, 0);

    if (n != kmq->worker) {
        kmq_keeper_set(kmq, kmq->worker);
        return;
    }

    for (i = 0; i < KMQ_WORKERS; i++) {
        if (i != n && b->worker[i].attached) {
            kmq_keeper_set(kmq, i);
            return;
        }
    }
}
