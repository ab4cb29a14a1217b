/* Handles come and go: a worker takes its place in the block, and leaves it. */

#include <stdlib.h>
#include <unistd.h>

#include "../kmq_block.h"
#include "../worker/kmq_worker.h"
#include "../journal/kmq_journal.h"
#include "../queue/kmq_queue.h"
#include "../client/kmq_client.h"
#include "kmq_upkeep_inside.h"


/* ---------------------------------------------------------------- handles */

/*
 * Takes the first place from first to end that can be had; preferably of a
 * worker that died, so that what it held is given back.
 */
static int
place_take(kmq_t *kmq, unsigned first, unsigned end, int *dead)
{
    unsigned      i, n;
    kmq_block_t  *b = kmq->block;

    for (i = 0; i < 2; i++) {

        for (n = first; n < end; n++) {

            if ((i == 0 && !b->worker[n].attached)
                || kmq_worker_try(&b->worker[n], dead) != KMQ_OK)
            {
                continue;
            }

            kmq->worker = n;

            if (n >= b->nworkers) {
                KMQ_SET(b->nworkers, n + 1);
            }

            return KMQ_OK;
        }
    }

    return KMQ_AGAIN;
}


/* A new handle has its place. */
static void
worker_begin(kmq_t *kmq, int dead)
{
    kmq_block_t   *b = kmq->block;
    kmq_worker_t  *worker = &b->worker[kmq->worker];

    kmq->settings = b->settings;
    kmq->mono = b->mono;
    kmq->wall = b->wall;
    kmq->random = (b->key[0] ^ ++b->clients * UINT64_C(0x9e3779b97f4a7c15))
                  | 1;

    if (dead) {
        kmq_reap_own(kmq);
        kmq_journal_loss(kmq);
        (void) kmq_leave_run(kmq, KMQ_SLICE);
    }

    worker->pid = getpid();
    worker->signalled = 0;
    worker->retired = 0;
    worker->disk_error = 0;
    kmq_still_seen(kmq);
    KMQ_SET(worker->attached, 1);

    if (b->keeper == 0) {
        kmq_keeper_set(kmq, kmq->worker);
    }
}


static kmq_t *
attach(void *block, size_t size, unsigned first, unsigned end)
{
    int     dead, rc;
    kmq_t  *kmq;

    if (kmq_block_check(block, size) != KMQ_OK) {
        return NULL;
    }

    kmq = calloc(1, sizeof(kmq_t));
    if (kmq == NULL) {
        return NULL;
    }

    kmq->block = block;
    kmq->worker = first;
    kmq->repair = kmq_repair;
    kmq->resync = kmq_own_resync;
    kmq->drop = kmq_history_drop;
    kmq->free_client = KMQ_NOT_READY;
    kmq->free_route = KMQ_NOT_READY;

    /* under the lock, since another worker may be trying the place, to reap
     * it */

    kmq_lock(kmq);

    rc = place_take(kmq, first, end, &dead);

    if (rc == KMQ_OK) {
        worker_begin(kmq, dead);
    }

    kmq_unlock(kmq);

    if (rc != KMQ_OK) {
        free(kmq);
        return NULL;
    }

    return kmq;
}


kmq_t *
kmq_attach(void *block, size_t size, unsigned worker)
{
    if (worker >= KMQ_WORKERS) {
        return NULL;
    }

    return attach(block, size, worker, worker + 1);
}


kmq_t *
kmq_attach_any(void *block, size_t size)
{
    return attach(block, size, 0, KMQ_WORKERS);
}


void
kmq_retire(kmq_t *kmq)
{
    kmq->blameless = 1;

    kmq_lock(kmq);

    kmq_keeper_retire(kmq);

    kmq_unlock(kmq);
}


void
kmq_leave_all(kmq_t *kmq)
{
    kmq_lock(kmq);
    kmq_reap_leave(kmq);
    kmq_unlock(kmq);
}


void
kmq_detach(kmq_t *kmq)
{
    kmq_worker_t  *worker;

    if (kmq == NULL) {
        return;
    }

    worker = &kmq->block->worker[kmq->worker];

    kmq_lock(kmq);

    kmq_reap_leave(kmq);

    /* the last of what it did is in nobody's journal */

    if (!kmq->journal.on || kmq->journal.buffer.len) {
        kmq_journal_loss(kmq);
    }

    KMQ_SET(worker->attached, 0);

    kmq_unlock(kmq);

    (void) pthread_mutex_unlock(&worker->alive);

    kmq_buffer_free(&kmq->journal.buffer);
    kmq_own_free(kmq);
    free(kmq);
}
