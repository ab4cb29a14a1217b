/*
 * Pins: a checkpoint reads a large message in parts, under several locks.  It
 * is pinned meanwhile: when it goes, its body stays until that is done.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "kmq_queue_inside.h"


/* Pins a message for this worker's checkpoint.  KMQ_AGAIN: somebody else's
 * reads the same one. */
int
kmq_pin_begin(kmq_t *kmq, const kmq_slot_t *slot)
{
    unsigned      i;
    kmq_block_t  *b = kmq->block;

    for (i = 0; i < b->nworkers; i++) {
        if (b->worker[i].pinned == KMQ_REF(b, slot)) {
            return KMQ_AGAIN;
        }
    }

    b->worker[kmq->worker].pinned = KMQ_REF(b, slot);

    return KMQ_OK;
}


/* A large message goes.  1: it is pinned, and its body has to stay. */
int
kmq_pin_keep(kmq_block_t *b, const kmq_slot_t *slot)
{
    unsigned       i;
    kmq_worker_t  *worker;

    for (i = 0; i < b->nworkers; i++) {
        worker = &b->worker[i];

        if (worker->pinned == KMQ_REF(b, slot)) {
            worker->pinned = 0;
            worker->kept = slot->body;
            return 1;
        }
    }

    return 0;
}


void
kmq_pin_end(kmq_block_t *b, kmq_worker_t *worker)
{
    worker->pinned = 0;

    if (worker->kept) {
        kmq_chain_free(b, worker->kept);
        worker->kept = 0;
    }
}
