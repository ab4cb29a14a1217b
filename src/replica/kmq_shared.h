/*
 * What the processes of one node share of the cluster, in the zone beside the
 * engine's block.
 *
 * One thread of one process, the node's (kmq_node.h), decides; it has the lock
 * `owner` as long as it lives.  Workers attach to the block while it serves an
 * epoch, and have a place here.  Words that have no lock named are atomic.
 */

#ifndef KMQ_SHARED_H
#define KMQ_SHARED_H

#include <pthread.h>
#include <stdint.h>

#include "../cluster/kmq_lease.h"
#include "kmq_status.h"


#define KMQ_SHARED_WORKERS  256

/* A worker process; what is in it is its own to write, but for a dead one's. */
typedef struct {
    pthread_mutex_t   alive;       /* held for its whole life: who can take it
                                      knows that it is dead, or nobody's */
    uint32_t          epoch;       /* whose block it is attached to; 0: none */
    uint32_t          drained;     /* it has no clients any more */
    uint32_t          passed;      /* the last barrier that it has passed */
} kmq_shared_worker_t;

/* A writer of the epoch that is served. */
typedef struct {
    uint64_t          sent;        /* of what is acknowledged: when it was sent
                                      last, */
    uint64_t          seq;         /* and where it lies */
    uint64_t          written;     /* slots that are in this node's files, */
    uint64_t          flushed;     /* and safe there */
    uint32_t          closed;      /* by another epoch */
    uint32_t          plain;       /* its slots are in no journal */
} kmq_shared_writer_t;

/* How the lease was when it was kept last. */
typedef struct {
    kmq_lease_t       lease;
    uint32_t          used;
} kmq_shared_lease_t;

typedef struct {
    pthread_mutex_t      owner;    /* of the node's thread */
    pthread_mutex_t      lock;     /* guards attaching, and what comes to the
                                      block from empty to served */

    uint32_t             epoch;    /* that the block serves; 0: none */
    uint32_t             dirty;    /* something has been in the block */
    uint32_t             writers;  /* of the epoch: so many are used */
    uint32_t             broken;   /* a write to a file failed in it */
    uint32_t             renew;    /* it begins with a checkpoint */
    uint64_t             until;    /* pushes, and "ok" in mode 1, are allowed:
                                      ms of kmq_nats_now() */
    uint32_t             silent;   /* nothing is acknowledged, not for a moment
                                      only: what comes now is refused */
    uint64_t             known;    /* the stream's last entry, as known here */
    uint32_t             steps;    /* questions to step down, */
    uint32_t             stepped;  /* the last that was answered, */
    uint32_t             step;     /* how, */
    uint32_t             successor;
    uint32_t             stands;   /* an operator does without the others */
    uint32_t             barrier;  /* the last that was put up */

    kmq_status_board_t   board;
    kmq_shared_writer_t  writer[KMQ_CHAIN_WRITERS];
    kmq_shared_worker_t  worker[KMQ_SHARED_WORKERS];

    /* the node's thread's, for whoever comes after it */
    uint32_t             kept;     /* how often; its last bit is which */
    kmq_shared_lease_t   lease[2];
} kmq_shared_t;

/* What stands in kmq_shared_t.step. */
#define KMQ_STEP_DONE     1
#define KMQ_STEP_NOBODY   2
#define KMQ_STEP_NOT      3

/* Of new memory, which is zero: 0 or an errno. */
int kmq_shared_init(kmq_shared_t *shared);


/* ---------------------------------------------------------------- workers */

/* This thread's place from now on, to its end: its number; -1: there is
 * none. */
int kmq_shared_enter(kmq_shared_t *shared);
void kmq_shared_exit(kmq_shared_t *shared, int place);

/*
 * Attaches to the epoch that is served: attach() is called when there is one,
 * and nobody empties the block meanwhile.  The epoch, or 0: there is none, or
 * attach() has returned 0.
 */
uint32_t kmq_shared_attach(kmq_shared_t *shared, int place,
    int (*attach)(void *arg), void *arg);
void kmq_shared_detach(kmq_shared_t *shared, int place);

/* How many living workers are attached, but for those without clients. */
unsigned kmq_shared_attached(kmq_shared_t *shared, int drained);

/* A number that no writer of that epoch has had; -1: there is none, or the
 * epoch is over.  plain: what it appends is in no journal. */
int kmq_shared_writer(kmq_shared_t *shared, uint32_t epoch, int plain);


/*
 * A barrier: what workers have gathered up to now is done.  Its number, which
 * they pass one by one; 1: all living ones have.
 */
uint32_t kmq_shared_barrier(kmq_shared_t *shared);
void kmq_shared_pass(kmq_shared_t *shared, int place, uint32_t barrier);
int kmq_shared_passed(kmq_shared_t *shared, uint32_t barrier);

/* The chain as far as it was read: 0; -1: there is none. */
int kmq_shared_chain(const kmq_shared_t *shared, kmq_chain_t *chain);


static inline int
kmq_shared_serves(const kmq_shared_t *shared, uint32_t epoch)
{
    return __atomic_load_n(&shared->epoch, __ATOMIC_ACQUIRE) == epoch;
}


/* May be pushed, and answered "ok" by who waits for nothing? */
static inline int
kmq_shared_leave(const kmq_shared_t *shared, uint32_t epoch, uint64_t now)
{
    return now < __atomic_load_n(&shared->until, __ATOMIC_ACQUIRE)
           && kmq_shared_serves(shared, epoch);
}


/* Is what is appended now not acknowledged, as far as the node knows? */
static inline int
kmq_shared_silent(const kmq_shared_t *shared)
{
    return __atomic_load_n(&shared->silent, __ATOMIC_ACQUIRE) != 0;
}


/* ------------------------------------------------------- the node's thread */

/* Locks a robust mutex, whoever died with it: 0, or -1: another has it. */
int kmq_shared_try(pthread_mutex_t *mutex);
void kmq_shared_lock(pthread_mutex_t *mutex);

/* The block serves an epoch from now on; none. */
void kmq_shared_serve(kmq_shared_t *shared, uint32_t epoch);
void kmq_shared_stop(kmq_shared_t *shared);

/* Keeps the lease as it is; the one that was kept last, NULL: none. */
void kmq_shared_keep(kmq_shared_t *shared, const kmq_lease_t *lease);
const kmq_lease_t *kmq_shared_kept(const kmq_shared_t *shared);

#endif /* KMQ_SHARED_H */
