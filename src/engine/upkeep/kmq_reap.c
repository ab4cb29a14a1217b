/* Reaping: what workers leave behind when they end or die is given back. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../journal/kmq_journal.h"
#include "../queue/kmq_queue.h"
#include "../delivery/kmq_delivery.h"
#include "../client/kmq_client.h"
#include "kmq_upkeep_inside.h"


/* A dead worker's routes take part in nothing any more. */
static void
dirty_clear(kmq_t *kmq, kmq_duty_t *duty, unsigned *n)
{
    kmq_shard_t  *s = kmq->shard;
    kmq_route_t  *route;

    for ( /* void */ ; duty->dirty && *n; (*n)--) {
        KMQ_STEP();
        route = KMQ_AT(s, duty->dirty);
        duty->dirty = route->dirty_next;
        duty->ndirty--;
        route->dirty = 0;
        kmq_route_release(kmq, route);
    }
}


/* What worker i has reserved goes; but of its batches, those that it has
 * decided to commit, and did not get to, are committed. */
static void
reserved_settle(kmq_t *kmq, unsigned i, unsigned *n)
{
    uint64_t      decided;
    kmq_list_t   *reserved;
    kmq_slot_t   *slot;
    kmq_shard_t  *s = kmq->shard;

    reserved = &s->duty[i].reserved;
    decided = KMQ_GET(kmq->block->worker[i].decided);

    for ( /* void */ ; reserved->head && *n; (*n)--) {
        slot = KMQ_AT(s, reserved->head);

        if (slot->batch && slot->batch <= decided) {
            kmq_reserved_commit(kmq, slot);
            KMQ_POINT("batch-reap");
            continue;
        }

        kmq_list_remove(s, reserved, &slot->link);
        kmq_message_discard(kmq, slot);
    }
}


/*
 * Lets the clients that worker i has in the shard leave, and settles what it
 * reserved there: at most *n of them, which counts down; if some are left of
 * these, all is done.  kmq_leave_run() gives back what its consumers had, but
 * not before the last of them has left, so that none gets what another one
 * gives back.
 */
static void
reap_slice(kmq_t *kmq, unsigned i, unsigned *n)
{
    int           blameless;
    kmq_shard_t  *s = kmq->shard;
    kmq_duty_t   *duty = &s->duty[i];

    /* the messages' consumers did not fail: the worker ends, or has died */

    blameless = kmq->blameless;
    kmq->blameless = 1;

    for ( /* void */ ; duty->clients.head && *n; (*n)--) {
        kmq_leave_begin(kmq, KMQ_CLIENT_OF(KMQ_AT(s, duty->clients.head),
                                           peers), 0);
    }

    kmq_pin_end(s, duty);
    dirty_clear(kmq, duty, n);
    reserved_settle(kmq, i, n);
    duty->still_last = 0;
    kmq->blameless = blameless;

    if (s->leaving.head) {
        kmq->work |= KMQ_BIT(s);
    }
}


/* Does so with all that a worker has in a shard; others have the lock between
 * slices. */
static void
reap_shard(kmq_t *kmq, kmq_shard_t *shard, unsigned i)
{
    unsigned  n;

    do {
        n = KMQ_SLICE;

        kmq_lock(kmq, shard);
        reap_slice(kmq, i, &n);
        kmq_unlock(kmq);
    } while (n == 0);
}


/* Worker i is gone from all shards. */
static void
reap_end(kmq_t *kmq, unsigned i)
{
    kmq_keeper_replace(kmq, i);
    KMQ_PUT(kmq->block->worker[i].signalled, 0);
    KMQ_PUT(kmq->block->worker[i].decided, 0);
}


/*
 * The same for this worker, or for its predecessor.  What the clients had is
 * not given back yet: a worker that has just attached knows only when another
 * one ticked last, and what waits again would wait from then on.
 */
void
kmq_reap_own(kmq_t *kmq)
{
    unsigned  i;

    for (i = 0; i < kmq->block->nshards; i++) {
        reap_shard(kmq, KMQ_SHARD(kmq->block, i), kmq->worker);
    }

    reap_end(kmq, kmq->worker);
}


/* The same, and gives back all that its clients had.  Not for a worker that
 * others wait for. */
void
kmq_reap_leave(kmq_t *kmq)
{
    int       more;
    unsigned  i;

    kmq_reap_own(kmq);

    for (i = 0; i < kmq->block->nshards; i++) {

        do {
            kmq_lock(kmq, KMQ_SHARD(kmq->block, i));
            more = kmq_leave_run(kmq, KMQ_SLICE) == 0;
            kmq_unlock(kmq);
        } while (more);
    }
}


/* Holds the place of a worker that has died: who comes to take it waits. */
static int
place_hold(kmq_t *kmq, kmq_worker_t *worker, int *dead)
{
    int  rc;

    kmq_common_lock(kmq);

    rc = kmq_worker_try(worker, dead);

    if (rc == KMQ_OK) {
        worker->reaped = 1;
    }

    kmq_common_unlock(kmq);

    return rc == KMQ_OK;
}


static void
place_return(kmq_t *kmq, kmq_worker_t *worker)
{
    kmq_common_lock(kmq);

    worker->reaped = 0;
    (void) pthread_mutex_unlock(&worker->alive);

    kmq_common_unlock(kmq);
}


/*
 * Gives back what a worker held, if it has died: at most *n steps.  Its place
 * is taken meanwhile, so that nobody else does the same.
 */
static void
reap_dead(kmq_t *kmq, unsigned i, unsigned *n)
{
    int            dead;
    unsigned       shard;
    kmq_worker_t  *worker = &kmq->block->worker[i];

    if (i == kmq->worker || !KMQ_GET(worker->attached)
        || !place_hold(kmq, worker, &dead))
    {
        return;
    }

    for (shard = 0; dead && *n && shard < kmq->block->nshards; shard++) {
        kmq_lock(kmq, KMQ_SHARD(kmq->block, shard));
        reap_slice(kmq, i, n);
        kmq_unlock(kmq);
    }

    if (dead && *n) {
        reap_end(kmq, i);
        kmq_journal_lost(kmq);
        kmq_still_gone(kmq, i);
        kmq->reaped++;
    }

    place_return(kmq, worker);
}


/*
 * Gives back a slice of what dead workers held.  While there is more,
 * kmq->reaping says so, and kmq_take() goes on.
 */
void
kmq_reap_dead(kmq_t *kmq)
{
    unsigned  i, n, nworkers;

    n = KMQ_SLICE;
    nworkers = KMQ_GET(kmq->block->nworkers);

    for (i = 0; i < nworkers && n; i++) {
        reap_dead(kmq, i, &n);
    }

    kmq->reaping = n == 0;
}
