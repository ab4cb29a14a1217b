/* Reaping: what workers leave behind when they end or die is given back. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../journal/kmq_journal.h"
#include "../queue/kmq_queue.h"
#include "../client/kmq_client.h"
#include "kmq_upkeep_inside.h"


/* A dead worker's routes take part in nothing any more. */
static void
dirty_clear(kmq_t *kmq, kmq_worker_t *worker, unsigned *n)
{
    kmq_block_t  *b = kmq->block;
    kmq_route_t  *route;

    for ( /* void */ ; worker->dirty && *n; (*n)--) {
        KMQ_STEP();
        route = KMQ_AT(b, worker->dirty);
        worker->dirty = route->dirty_next;
        route->dirty = 0;
        kmq_route_release(kmq, route);
    }
}


static void
reserved_free(kmq_t *kmq, kmq_worker_t *worker, unsigned *n)
{
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;

    for ( /* void */ ; worker->reserved.head && *n; (*n)--) {
        slot = KMQ_AT(b, worker->reserved.head);
        kmq_list_remove(b, &worker->reserved, &slot->link);
        kmq_message_discard(kmq, slot);
    }
}


/*
 * Lets the clients of worker i leave and frees what it reserved: at most *n of
 * them, which counts down; if some are left of these, all is done.
 * kmq_leave_run() gives back what its consumers had, but not before the last
 * of them has left, so that none gets what another one gives back.
 */
static void
reap_slice(kmq_t *kmq, unsigned i, unsigned *n)
{
    int            blameless;
    kmq_block_t   *b = kmq->block;
    kmq_worker_t  *worker = &b->worker[i];

    /* the messages' consumers did not fail: the worker ends, or has died */

    blameless = kmq->blameless;
    kmq->blameless = 1;

    for ( /* void */ ; worker->clients.head && *n; (*n)--) {
        kmq_leave_begin(kmq, KMQ_CLIENT_OF(KMQ_AT(b, worker->clients.head),
                                           peers));
    }

    kmq_pin_end(b, worker);
    dirty_clear(kmq, worker, n);
    reserved_free(kmq, worker, n);
    kmq_still_end(b, i);
    kmq_keeper_replace(kmq, i);
    worker->signalled = 0;
    kmq->blameless = blameless;
}


/* The same for this worker, or for its predecessor; others have the lock
 * between slices. */
void
kmq_reap_own(kmq_t *kmq)
{
    unsigned  n;

    for ( ;; ) {
        n = KMQ_SLICE;
        reap_slice(kmq, kmq->worker, &n);

        if (n) {
            return;
        }

        kmq_unlock(kmq);
        kmq_lock(kmq);
    }
}


/* The same, and gives back all that its clients had.  Not for a worker that
 * others wait for. */
void
kmq_reap_leave(kmq_t *kmq)
{
    kmq_reap_own(kmq);

    while (kmq_leave_run(kmq, KMQ_SLICE) == 0) {
        kmq_unlock(kmq);
        kmq_lock(kmq);
    }
}


/* Gives back what a worker held, if it has died: at most *n steps. */
static void
reap_dead(kmq_t *kmq, unsigned i, unsigned *n)
{
    int            dead;
    kmq_worker_t  *worker = &kmq->block->worker[i];

    if (i == kmq->worker || !worker->attached
        || kmq_worker_try(worker, &dead) != KMQ_OK)
    {
        return;
    }

    if (dead) {
        reap_slice(kmq, i, n);
    }

    if (dead && *n) {
        kmq_journal_loss(kmq);
        KMQ_SET(worker->attached, 0);
        kmq->reaped++;
    }

    (void) pthread_mutex_unlock(&worker->alive);
}


/*
 * Gives back a slice of what dead workers held.  While there is more,
 * kmq->reaping or kmq->leaving says so, and kmq_take() goes on.
 */
void
kmq_reap_dead(kmq_t *kmq)
{
    unsigned  i, n;

    n = KMQ_SLICE;

    for (i = 0; i < kmq->block->nworkers && n; i++) {
        reap_dead(kmq, i, &n);
    }

    kmq->reaping = n == 0;
    (void) kmq_leave_run(kmq, n);
}
