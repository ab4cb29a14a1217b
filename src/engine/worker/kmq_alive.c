/*
 * Who is alive: each worker holds the mutex of its number for its whole life.
 * It is only ever tried, never waited for.
 */

#include <errno.h>

#include "../kmq_block.h"
#include "kmq_worker.h"


/*
 * Tries to take a worker's place: KMQ_OK, or KMQ_AGAIN while somebody alive
 * has it.  *dead: its last owner has died.
 */
int
kmq_worker_try(kmq_worker_t *worker, int *dead)
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


/* Does that worker, which is another one, live? */
int
kmq_worker_lives(kmq_t *kmq, unsigned n)
{
    int            dead;
    kmq_worker_t  *worker = &kmq->block->worker[n];

    if (!worker->attached) {
        return 0;
    }

    if (kmq_worker_try(worker, &dead) != KMQ_OK) {
        return 1;
    }

    (void) pthread_mutex_unlock(&worker->alive);

    return 0;
}


unsigned
kmq_worker(const kmq_t *kmq)
{
    return kmq->worker;
}
