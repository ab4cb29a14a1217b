/* Wake-ups: which workers are to be told that there is work for them. */

#include "../kmq_block.h"
#include "kmq_worker.h"


/* Makes sure that a worker calls kmq_take(). */
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
    return kmq->has_work;
}
