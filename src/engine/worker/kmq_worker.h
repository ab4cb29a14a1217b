/*
 * Workers: the lock; who is alive; who has to be woken; and the keeper, the one
 * worker that looks after times for all.
 */

#ifndef KMQ_WORKER_H
#define KMQ_WORKER_H

#include <pthread.h>

#include "../memory/kmq_memory.h"


/* What the block knows of a worker.  The block's lock guards it, but for
 * alive. */
typedef struct {
    pthread_mutex_t  alive;      /* held by the worker while it lives */
    int              pid;
    uint32_t         attached;   /* its handle has not been closed */
    uint32_t         retired;    /* it is about to end */
    uint32_t         signalled;  /* told to look at its dirty routes */
    uint64_t     seen;           /* mono: it did something; see kmq_still.c */
    uint32_t     still;          /* it has not since */
    kmq_ref_t    still_last;     /* up to this dirty route, others get what
                                    was granted to it; 0: they have it */
    int              disk_error; /* errno of its last flush */
    uint64_t         flush_time; /* s: of the last one that did not fail */
    kmq_ref_t        dirty;      /* routes with work, in turns */
    kmq_ref_t        dirty_tail;
    kmq_list_t       clients;    /* by client->peers */
    kmq_list_t       to_close;   /* of these, by client->to_close */
    kmq_list_t       overdue;    /* consumers whose time has come */
    kmq_list_t       reserved;   /* its slots between reserve and commit */
    kmq_ref_t        pinned;     /* a large message that its checkpoint reads in
                                    parts, or, when it is gone already, */
    kmq_ref_t        kept;       /* its body */
} kmq_worker_t;


/* -------------------------------------------------------------------- lock */

/*
 * Take and release the block's lock.  When its last holder has died, kmq_lock()
 * has the block repaired first (kmq_t.repair).  When others have changed which
 * of this handle's consumers are ready, it has the handle's tables made to fit
 * (kmq_t.resync).
 */
void kmq_lock(kmq_t *kmq);
void kmq_unlock(kmq_t *kmq);

/* Notes the time in the block, for handles that have no clock yet. */
void kmq_clock_keep(kmq_t *kmq) KMQ_LOCKED;

/* Returns 64 random bits, which are not fit for secrets.  Needs no lock. */
uint64_t kmq_random(kmq_t *kmq);


/* ------------------------------------------------------------------- alive */

/*
 * Tries to take a worker's place: KMQ_OK, or KMQ_AGAIN while somebody alive has
 * it.  *dead: its last owner has died.  Unlocking worker->alive gives it back.
 */
int kmq_worker_try(kmq_worker_t *worker, int *dead) KMQ_LOCKED;

/* Does that worker, which is another one, live? */
int kmq_worker_lives(kmq_t *kmq, unsigned worker) KMQ_LOCKED;


/* -------------------------------------------------------- wake-ups, keeper */

/* Makes sure that a worker, or the keeper, calls kmq_take() soon. */
void kmq_worker_tell(kmq_t *kmq, unsigned worker) KMQ_LOCKED;
void kmq_keeper_tell(kmq_t *kmq) KMQ_LOCKED;

/* Should this worker be the keeper?  There is none, or it stands still, or it
 * is about to end while this worker is not. */
int kmq_keeper_wanted(const kmq_t *kmq) KMQ_LOCKED;

/* Makes a worker the keeper, which starts with a look at the schedule. */
void kmq_keeper_set(kmq_t *kmq, unsigned worker) KMQ_LOCKED;

/* This worker is about to end: another one becomes keeper, if there is one that
 * is not. */
void kmq_keeper_retire(kmq_t *kmq) KMQ_LOCKED;

/* That worker is keeper no more: another one is, if any lives. */
void kmq_keeper_replace(kmq_t *kmq, unsigned worker) KMQ_LOCKED;

#endif /* KMQ_WORKER_H */
