/* Handles come and go: a worker takes its place in the block, and leaves it. */

#include <sched.h>
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
 * worker that died, so that what it held is given back.  Needs the common lock.
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
                KMQ_PUT(b->nworkers, n + 1);
            }

            return KMQ_OK;
        }
    }

    return KMQ_AGAIN;
}


/* A new handle has its place.  Needs the common lock. */
static void
worker_begin(kmq_t *kmq)
{
    kmq_block_t  *b = kmq->block;

    kmq->settings = b->settings;
    kmq->mono = b->mono;
    kmq->wall = b->wall;
    kmq->random = (b->key[0] ^ __atomic_add_fetch(&b->clients, 1,
                                                  __ATOMIC_RELAXED)
                               * UINT64_C(0x9e3779b97f4a7c15))
                  | 1;
}


/* A dead predecessor has nothing here any more. */
static void
worker_ready(kmq_t *kmq)
{
    kmq_block_t   *b = kmq->block;
    kmq_worker_t  *worker = &b->worker[kmq->worker];

    kmq_common_lock(kmq);

    worker->pid = getpid();
    KMQ_PUT(worker->retired, 0);
    worker->disk_error = 0;
    worker->reaped = 0;

    kmq_worker_rest(kmq);
    kmq_still_seen(kmq);
    KMQ_SET(worker->attached, 1);

    if (b->keeper == 0) {
        kmq_keeper_set(kmq, kmq->worker);
    }

    kmq_common_unlock(kmq);
}


static kmq_t *
handle_make(void *block)
{
    kmq_t  *kmq;

    kmq = calloc(1, sizeof(kmq_t));

    if (kmq) {
        kmq->block = block;
        kmq->shard = KMQ_SHARD(kmq->block, 0);
        kmq->repair = kmq_repair;
        kmq->repair_common = kmq_repair_common;
        kmq->resync = kmq_own_resync;
        kmq->drop = kmq_history_drop;
        kmq->free_client = KMQ_NOT_READY;
        kmq->free_route = KMQ_NOT_READY;
    }

    return kmq;
}


static kmq_t *
attach(void *block, size_t size, unsigned first, unsigned end)
{
    int     dead, rc, wait;
    kmq_t  *kmq;

    if (kmq_block_check(block, size) != KMQ_OK) {
        return NULL;
    }

    kmq = handle_make(block);
    if (kmq == NULL) {
        return NULL;
    }

    kmq->worker = first;

    do {
        kmq_common_lock(kmq);

        rc = place_take(kmq, first, end, &dead);

        if (rc == KMQ_OK) {
            worker_begin(kmq);
        }

        /* somebody may just be giving back what a dead one had there */

        wait = rc != KMQ_OK && end == first + 1
               && kmq->block->worker[first].reaped;

        kmq_common_unlock(kmq);

    } while (wait && sched_yield() == 0);

    if (rc != KMQ_OK) {
        free(kmq);
        return NULL;
    }

    if (dead) {
        kmq_reap_own(kmq);
        kmq_journal_lost(kmq);
    }

    worker_ready(kmq);

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
    kmq_keeper_retire(kmq);
}


void
kmq_leave_all(kmq_t *kmq)
{
    kmq_reap_leave(kmq);
}


void
kmq_detach(kmq_t *kmq)
{
    kmq_worker_t  *worker;

    if (kmq == NULL) {
        return;
    }

    worker = &kmq->block->worker[kmq->worker];

    kmq_reap_leave(kmq);

    /* the last of what it did is in nobody's journal */

    if (!kmq->journal.on || kmq->journal.buffer.len) {
        kmq_journal_lost(kmq);
    }

    kmq_common_lock(kmq);

    kmq_still_gone(kmq, kmq->worker);
    (void) pthread_mutex_unlock(&worker->alive);

    kmq_common_unlock(kmq);

    kmq_buffer_free(&kmq->journal.buffer);
    kmq_own_free(kmq);
    free(kmq);
}
