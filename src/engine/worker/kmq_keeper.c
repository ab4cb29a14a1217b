/* The keeper: the one worker that turns the schedule for all. */

#include "../kmq_block.h"
#include "kmq_worker.h"


void
kmq_keeper_tell(kmq_t *kmq)
{
    if (kmq->block->keeper) {
        kmq_worker_tell(kmq, kmq->block->keeper - 1);
    }
}


/* Should this worker be the keeper?  There is none, or it stands still, or it
 * is about to end while this worker is not. */
int
kmq_keeper_wanted(const kmq_t *kmq)
{
    const kmq_block_t  *b = kmq->block;

    return b->keeper == 0 || b->worker[b->keeper - 1].still
           || (b->worker[b->keeper - 1].retired
               && !b->worker[kmq->worker].retired);
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


/* A worker other than n that lives, preferably one that will not end soon; or
 * KMQ_WORKERS. */
static unsigned
successor(kmq_t *kmq, unsigned n)
{
    unsigned  i, other;

    other = KMQ_WORKERS;

    for (i = 0; i < kmq->block->nworkers; i++) {

        if (i == n || !kmq_worker_lives(kmq, i)) {
            continue;
        }

        if (!kmq->block->worker[i].retired && !kmq->block->worker[i].still) {
            return i;
        }

        other = i;
    }

    return other;
}


/* This worker is about to end: another one may be keeper meanwhile. */
void
kmq_keeper_retire(kmq_t *kmq)
{
    unsigned      n;
    kmq_block_t  *b = kmq->block;

    b->worker[kmq->worker].retired = 1;

    if (b->keeper != kmq->worker + 1) {
        return;
    }

    n = successor(kmq, kmq->worker);

    if (n != KMQ_WORKERS && !b->worker[n].retired) {
        kmq_keeper_set(kmq, n);
    }
}


/* Worker n is not keeper any more: this one is; or, where that is n itself,
 * another one that lives, if any. */
void
kmq_keeper_replace(kmq_t *kmq, unsigned n)
{
    unsigned      other;
    kmq_block_t  *b = kmq->block;

    if (b->keeper != n + 1) {
        return;
    }

    KMQ_SET(b->keeper, 0);

    other = n != kmq->worker ? kmq->worker : successor(kmq, n);

    if (other != KMQ_WORKERS) {
        kmq_keeper_set(kmq, other);
    }
}
