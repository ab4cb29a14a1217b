/*
 * Workers: the lock, who is alive, who is to be told that there is work, and
 * the keeper, the one worker that looks after times for all.
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
 * Take and release the block's lock.  Where its last holder died, the block is
 * repaired first (kmq_t.repair); where others have changed which of this
 * handle's consumers are ready, its own tables are made to fit (kmq_t.resync).
 */
void kmq_lock(kmq_t *kmq);
void kmq_unlock(kmq_t *kmq);

/* Tells the block what time it is, for handles that have no clock yet. */
void kmq_clock_keep(kmq_t *kmq) KMQ_LOCKED;

/* 64 random bits, of no use for secrets.  Needs no lock. */
uint64_t kmq_random(kmq_t *kmq);


/* ------------------------------------------------------------------- alive */

/*
 * Takes a worker's place: KMQ_OK, or KMQ_AGAIN while somebody alive has it.
 * *dead: whoever had it before died.  Who takes it gives it back by unlocking
 * worker->alive.
 */
int kmq_worker_try(kmq_worker_t *worker, int *dead) KMQ_LOCKED;

/* Has another handle's worker one that lives? */
int kmq_worker_lives(kmq_t *kmq, unsigned worker) KMQ_LOCKED;


/* -------------------------------------------------------- wake-ups, keeper */

/* Sees to it that a worker calls kmq_take(), or that the keeper does. */
void kmq_worker_tell(kmq_t *kmq, unsigned worker) KMQ_LOCKED;
void kmq_keeper_tell(kmq_t *kmq) KMQ_LOCKED;

/* Is there no keeper, or one that stands still, or one that is about to end
 * while this worker is not? */
int kmq_keeper_wanted(const kmq_t *kmq) KMQ_LOCKED;

/* Makes a worker the keeper, which begins with a look at the schedule. */
void kmq_keeper_set(kmq_t *kmq, unsigned worker) KMQ_LOCKED;

/* This worker is about to end: another one is keeper, if there is a better
 * one. */
void kmq_keeper_retire(kmq_t *kmq) KMQ_LOCKED;

/* That worker is keeper no more. */
void kmq_keeper_replace(kmq_t *kmq, unsigned worker) KMQ_LOCKED;

#endif /* KMQ_WORKER_H */
