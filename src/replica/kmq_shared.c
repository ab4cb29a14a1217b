/* What the processes of a node share: kmq_shared.h. */

#include <errno.h>
#include <string.h>

#include "kmq_shared.h"
#include "../mutex/kmq_mutex.h"


int
kmq_shared_init(kmq_shared_t *shared)
{
    int       rc;
    unsigned  i;

    rc = kmq_mutex_init(&shared->owner);

    if (rc == 0) {
        rc = kmq_mutex_init(&shared->lock);
    }

    for (i = 0; rc == 0 && i < KMQ_SHARED_WORKERS; i++) {
        rc = kmq_mutex_init(&shared->worker[i].alive);
    }

    return rc;
}


/* ------------------------------------------------------------------ locks */

/* Nothing that these locks guard is ever half done: each is one store. */
static int
shared_locked(pthread_mutex_t *mutex, int rc)
{
    if (rc == EOWNERDEAD) {
        (void) pthread_mutex_consistent(mutex);
        rc = 0;
    }

    return rc == 0 ? 0 : -1;
}


int
kmq_shared_try(pthread_mutex_t *mutex)
{
    return shared_locked(mutex, pthread_mutex_trylock(mutex));
}


void
kmq_shared_lock(pthread_mutex_t *mutex)
{
    (void) shared_locked(mutex, pthread_mutex_lock(mutex));
}


/* ---------------------------------------------------------------- workers */

int
kmq_shared_enter(kmq_shared_t *shared)
{
    int  i;

    for (i = 0; i < KMQ_SHARED_WORKERS; i++) {

        if (kmq_shared_try(&shared->worker[i].alive) == 0) {
            __atomic_store_n(&shared->worker[i].epoch, 0, __ATOMIC_RELEASE);
            return i;
        }
    }

    return -1;
}


void
kmq_shared_exit(kmq_shared_t *shared, int place)
{
    kmq_shared_detach(shared, place);
    (void) pthread_mutex_unlock(&shared->worker[place].alive);
}


uint32_t
kmq_shared_attach(kmq_shared_t *shared, int place, int (*attach)(void *arg),
    void *arg)
{
    uint32_t              epoch;
    kmq_shared_worker_t  *worker;

    worker = &shared->worker[place];

    /* whoever has the lock may be filling the block, which takes time */

    if (kmq_shared_try(&shared->lock) != 0) {
        return 0;
    }

    epoch = __atomic_load_n(&shared->epoch, __ATOMIC_ACQUIRE);

    if (epoch) {
        __atomic_store_n(&worker->drained, 0, __ATOMIC_RELEASE);
        kmq_shared_pass(shared, place,
                        __atomic_load_n(&shared->barrier, __ATOMIC_ACQUIRE));
        __atomic_store_n(&worker->epoch, epoch, __ATOMIC_RELEASE);

        if (!attach(arg)) {
            __atomic_store_n(&worker->epoch, 0, __ATOMIC_RELEASE);
            epoch = 0;
        }
    }

    (void) pthread_mutex_unlock(&shared->lock);

    return epoch;
}


void
kmq_shared_detach(kmq_shared_t *shared, int place)
{
    __atomic_store_n(&shared->worker[place].epoch, 0, __ATOMIC_RELEASE);
}


unsigned
kmq_shared_attached(kmq_shared_t *shared, int drained)
{
    unsigned              i, n;
    kmq_shared_worker_t  *worker;

    n = 0;

    for (i = 0; i < KMQ_SHARED_WORKERS; i++) {
        worker = &shared->worker[i];

        if (__atomic_load_n(&worker->epoch, __ATOMIC_ACQUIRE) == 0) {
            continue;
        }

        if (kmq_shared_try(&worker->alive) == 0) {
            __atomic_store_n(&worker->epoch, 0, __ATOMIC_RELEASE);
            (void) pthread_mutex_unlock(&worker->alive);
            continue;
        }

        n += drained || !__atomic_load_n(&worker->drained, __ATOMIC_ACQUIRE);
    }

    return n;
}


uint32_t
kmq_shared_barrier(kmq_shared_t *shared)
{
    return __atomic_add_fetch(&shared->barrier, 1, __ATOMIC_ACQ_REL);
}


void
kmq_shared_pass(kmq_shared_t *shared, int place, uint32_t barrier)
{
    __atomic_store_n(&shared->worker[place].passed, barrier,
                     __ATOMIC_RELEASE);
}


int
kmq_shared_passed(kmq_shared_t *shared, uint32_t barrier)
{
    unsigned              i;
    kmq_shared_worker_t  *worker;

    (void) kmq_shared_attached(shared, 1);

    for (i = 0; i < KMQ_SHARED_WORKERS; i++) {
        worker = &shared->worker[i];

        if (__atomic_load_n(&worker->epoch, __ATOMIC_ACQUIRE)
            && (int32_t) (__atomic_load_n(&worker->passed, __ATOMIC_ACQUIRE)
                          - barrier) < 0)
        {
            return 0;
        }
    }

    return 1;
}


int
kmq_shared_writer(kmq_shared_t *shared, uint32_t epoch, int plain)
{
    int  number;

    kmq_shared_lock(&shared->lock);

    number = -1;

    if (shared->epoch == epoch && shared->writers < KMQ_CHAIN_WRITERS) {
        number = (int) shared->writers;

        memset(&shared->writer[number], 0, sizeof(kmq_shared_writer_t));
        shared->writer[number].plain = plain;
        __atomic_store_n(&shared->writers, number + 1, __ATOMIC_RELEASE);
    }

    (void) pthread_mutex_unlock(&shared->lock);

    return number;
}


/* ------------------------------------------------------- the node's thread */

void
kmq_shared_serve(kmq_shared_t *shared, uint32_t epoch)
{
    kmq_shared_lock(&shared->lock);

    __atomic_store_n(&shared->writers, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&shared->broken, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&shared->epoch, epoch, __ATOMIC_RELEASE);

    (void) pthread_mutex_unlock(&shared->lock);
}


void
kmq_shared_stop(kmq_shared_t *shared)
{
    __atomic_store_n(&shared->until, 0, __ATOMIC_RELEASE);

    /* a worker may have the lock that stands still: what it does may go on,
     * but nobody else attaches any more */

    __atomic_store_n(&shared->epoch, 0, __ATOMIC_RELEASE);
}


void
kmq_shared_keep(kmq_shared_t *shared, const kmq_lease_t *lease)
{
    uint32_t             next;
    kmq_shared_lease_t  *kept;

    next = shared->kept + 1;
    kept = &shared->lease[next & 1];

    kept->lease = *lease;
    kept->used = 1;

    __atomic_store_n(&shared->kept, next, __ATOMIC_RELEASE);
}


/* One of the two is written anew only after the other one was. */
int
kmq_shared_chain(const kmq_shared_t *shared, kmq_chain_t *chain)
{
    uint32_t  kept;

    do {
        kept = __atomic_load_n(&shared->kept, __ATOMIC_ACQUIRE);

        if (!shared->lease[kept & 1].used) {
            return -1;
        }

        *chain = shared->lease[kept & 1].lease.chain;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);

    } while (__atomic_load_n(&shared->kept, __ATOMIC_ACQUIRE) != kept);

    return 0;
}


const kmq_lease_t *
kmq_shared_kept(const kmq_shared_t *shared)
{
    const kmq_shared_lease_t  *kept;

    kept = &shared->lease[__atomic_load_n(&shared->kept, __ATOMIC_ACQUIRE)
                          & 1];

    return kept->used ? &kept->lease : NULL;
}
