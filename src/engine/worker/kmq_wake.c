/*
 * Wake-ups: which workers are to be told that there is work for them.
 *
 * Whoever finds work for a worker first sets the bit of the shard in its word
 * of work, then signals it, unless it has been signalled already.  A worker
 * that has no work left first takes its signal back, then reads the word once
 * more.  So no work is overlooked, and a worker is signalled once until it has
 * nothing left to do.
 */

#include "../kmq_block.h"
#include "kmq_worker.h"


static void
worker_signal(kmq_t *kmq, unsigned n)
{
    kmq_worker_t  *worker = &kmq->block->worker[n];

    if (!__atomic_load_n(&worker->signalled, __ATOMIC_SEQ_CST)
        && !__atomic_exchange_n(&worker->signalled, 1, __ATOMIC_SEQ_CST))
    {
        kmq->wakes[n / 64] |= UINT64_C(1) << n % 64;
        kmq->has_wakes = 1;
    }
}


/* Makes sure that a worker looks at those shards, as bits. */
void
kmq_worker_tell_all(kmq_t *kmq, unsigned n, uint64_t work)
{
    uint64_t  *word = &kmq->block->worker[n].work;

    if (n == kmq->worker) {
        kmq->work |= work;
        return;
    }

    if (work & ~__atomic_load_n(word, __ATOMIC_SEQ_CST)) {
        (void) __atomic_fetch_or(word, work, __ATOMIC_SEQ_CST);
    }

    worker_signal(kmq, n);
}


/* Makes sure that a worker looks at this shard. */
void
kmq_worker_tell(kmq_t *kmq, unsigned n)
{
    kmq_worker_tell_all(kmq, n, KMQ_BIT(kmq->shard));
}


void
kmq_worker_look(kmq_t *kmq)
{
    kmq_worker_t  *worker = &kmq->block->worker[kmq->worker];

    if (__atomic_load_n(&worker->work, __ATOMIC_SEQ_CST)) {
        kmq->work |= __atomic_exchange_n(&worker->work, 0, __ATOMIC_SEQ_CST);
    }
}


/* This worker has nothing left to do, unless somebody has just found some. */
void
kmq_worker_rest(kmq_t *kmq)
{
    kmq_worker_t  *worker = &kmq->block->worker[kmq->worker];

    if (__atomic_load_n(&worker->signalled, __ATOMIC_SEQ_CST)) {
        __atomic_store_n(&worker->signalled, 0, __ATOMIC_SEQ_CST);
    }

    kmq_worker_look(kmq);
}


/* Whoever was to wake the others may have died. */
void
kmq_workers_forget(kmq_t *kmq)
{
    unsigned  i, n;

    n = KMQ_GET(kmq->block->nworkers);

    for (i = 0; i < n; i++) {
        __atomic_store_n(&kmq->block->worker[i].signalled, 0,
                         __ATOMIC_SEQ_CST);

        if (i != kmq->worker && KMQ_GET(kmq->block->worker[i].attached)
            && __atomic_load_n(&kmq->block->worker[i].work, __ATOMIC_SEQ_CST))
        {
            worker_signal(kmq, i);
        }
    }
}


int
kmq_wakes(kmq_t *kmq, uint64_t mask[KMQ_WORKERS / 64])
{
    if (!kmq->has_wakes) {
        return 0;
    }

    memcpy(mask, kmq->wakes, sizeof(kmq->wakes));
    memset(kmq->wakes, 0, sizeof(kmq->wakes));
    kmq->has_wakes = 0;

    return 1;
}


int
kmq_has_work(kmq_t *kmq)
{
    return kmq->work != 0 || kmq->reaping;
}
