/* Workers: their handles come and go, and what the dead ones held. */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "../kmq_block.h"


/* Parts of chains that a look frees: see kmq_trash_free(). */
#define TRASH_MAX  32


/*
 * Takes a worker's place: KMQ_OK, or KMQ_AGAIN while somebody alive has it.
 * *dead: whoever had it before died.
 */
static int
worker_take(kmq_worker_t *worker, int *dead)
{
    int  rc;

    rc = pthread_mutex_trylock(&worker->alive);

    if (rc == EOWNERDEAD) {
        (void) pthread_mutex_consistent(&worker->alive);
        rc = 0;
    }

    *dead = worker->attached != 0;

    return rc == 0 ? KMQ_OK : KMQ_AGAIN;
}


/* Has another handle's worker one that lives? */
int
kmq_worker_lives(kmq_t *kmq, unsigned n)
{
    int            dead;
    kmq_worker_t  *worker = &kmq->block->worker[n];

    if (!worker->attached) {
        return 0;
    }

    if (worker_take(worker, &dead) != KMQ_OK) {
        return 1;
    }

    (void) pthread_mutex_unlock(&worker->alive);

    return 0;
}


/* ------------------------------------------------------------------- reap */

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
 * Lets clients of worker i leave and gives back what it reserved: up to *n of
 * them, which counts down.  All is done where some are left of these.  What its
 * consumers had is then for kmq_leaving(): not before the last of them has
 * gone, so that none is given what another one gives back.
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
        kmq_client_leave(kmq, KMQ_CLIENT_OF(KMQ_AT(b, worker->clients.head),
                                            peers));
    }

    kmq_checkpoint_unpin(b, worker);
    dirty_clear(kmq, worker, n);
    reserved_free(kmq, worker, n);
    kmq_still_end(b, i);
    kmq_keeper_replace(kmq, i);
    worker->signalled = 0;
    kmq->blameless = blameless;
}


/* This worker's own, or its predecessor's; others have the lock between
 * slices. */
static void
reap_all(kmq_t *kmq)
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


/* The same, and all that its clients had is given back.  Not for a worker that
 * has others waiting for it. */
static void
leave_all(kmq_t *kmq)
{
    reap_all(kmq);

    while (kmq_leaving(kmq, KMQ_SLICE) == 0) {
        kmq_unlock(kmq);
        kmq_lock(kmq);
    }
}


/* Gives back what a worker held that died, if it did, up to *n steps. */
static void
reap_dead(kmq_t *kmq, unsigned i, unsigned *n)
{
    int            dead;
    kmq_worker_t  *worker = &kmq->block->worker[i];

    if (i == kmq->worker || !worker->attached
        || worker_take(worker, &dead) != KMQ_OK)
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
 * A slice of what workers held that died.  While there is more,
 * kmq->reaping or kmq->leaving says so, and kmq_take() goes on.
 */
void
kmq_worker_reap_dead(kmq_t *kmq)
{
    unsigned  i, n;

    n = KMQ_SLICE;

    for (i = 0; i < kmq->block->nworkers && n; i++) {
        reap_dead(kmq, i, &n);
    }

    kmq->reaping = n == 0;
    (void) kmq_leaving(kmq, n);
}


/* ---------------------------------------------------------------- handles */

/*
 * Takes the first place from first on, and before end, that can be had: of
 * somebody who died, if possible, so that what he held is given back.
 */
static int
place_take(kmq_t *kmq, unsigned first, unsigned end, int *dead)
{
    unsigned      i, n;
    kmq_block_t  *b = kmq->block;

    for (i = 0; i < 2; i++) {

        for (n = first; n < end; n++) {

            if ((i == 0 && !b->worker[n].attached)
                || worker_take(&b->worker[n], dead) != KMQ_OK)
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
        reap_all(kmq);
        kmq_journal_loss(kmq);
        (void) kmq_leaving(kmq, KMQ_SLICE);
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
    kmq->free_client = KMQ_NOT_READY;
    kmq->free_route = KMQ_NOT_READY;

    /* under the lock: another worker may be trying the place, to reap it */

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


unsigned
kmq_worker(const kmq_t *kmq)
{
    return kmq->worker;
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
    leave_all(kmq);
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

    leave_all(kmq);

    /* the last of what it did is in nobody's journal */

    if (!kmq->journal.on || kmq->journal.buffer.len) {
        kmq_journal_loss(kmq);
    }

    KMQ_SET(worker->attached, 0);

    kmq_unlock(kmq);

    (void) pthread_mutex_unlock(&worker->alive);

    kmq_buffer_free(&kmq->journal.buffer);
    kmq_local_free(kmq);
    free(kmq);
}


unsigned
kmq_tick(kmq_t *kmq)
{
    unsigned      i, n;
    kmq_block_t  *b = kmq->block;

    kmq_lock(kmq);

    kmq_clock_keep(kmq);
    kmq_still_seen(kmq);

    kmq_worker_reap_dead(kmq);
    n = kmq->reaped;
    kmq->reaped = 0;

    kmq->has_work |= kmq_still_find(kmq);
    kmq_clients_look(kmq);
    kmq_closing(kmq);
    kmq_count_backlog(kmq);

    for (i = 0; i < TRASH_MAX && kmq_trash_free(b); i++) { /* void */ }

    /* who was to signal this worker, or to start a batch, may have died */

    if (kmq_keeper_wanted(kmq)) {
        kmq_keeper_set(kmq, kmq->worker);
    }

    b->worker[kmq->worker].signalled = 0;

    if (b->worker[kmq->worker].dirty || b->worker[kmq->worker].overdue.head
        || b->keeper == kmq->worker + 1 || kmq->reaping || kmq->leaving
        || kmq->looking)
    {
        kmq->has_work = 1;
    }

    if (b->settings.batch_interval && b->active
        && kmq->mono >= b->batch_end)
    {
        kmq_pace_window(kmq);
    }

    kmq_unlock(kmq);

    return n;
}


int
kmq_repaired(kmq_t *kmq)
{
    int  repaired;

    repaired = kmq->repaired;
    kmq->repaired = 0;

    return repaired;
}
