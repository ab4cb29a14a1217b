/*
 * Workers: the locks; who is alive; who has to be woken; and the keeper, the
 * one worker that looks after times for all.
 */

#ifndef KMQ_WORKER_H
#define KMQ_WORKER_H

#include <pthread.h>

#include "../memory/kmq_memory.h"


/* What the block knows of a worker. */
typedef struct {
    pthread_mutex_t  alive;      /* held by the worker while it lives */

    /* the common lock guards these */
    int              pid;
    uint32_t         attached;   /* its handle has not been closed */
    uint32_t         retired;    /* it is about to end */
    int              disk_error; /* errno of its last flush */
    uint64_t         flush_time; /* s: of the last one that did not fail */

    /* atomic; the worker itself writes them, and whoever has work for it */
    uint64_t         work __attribute__((aligned(KMQ_LINE)));   /* shards that
                                    have some, as bits */
    uint64_t         seen;       /* mono: it did something; see kmq_still.c */
    uint32_t         signalled;  /* told to look at its work, and not done
                                    with it */
    uint32_t         still;      /* it has not done anything for long */
    uint32_t         reaped;     /* it is dead, and somebody who gives back what
                                    it had holds alive meanwhile.  The common
                                    lock guards it */
    uint64_t         decided;    /* its batches up to this one are being
                                    committed; 0: none is.  Truth */
} kmq_worker_t;


/* ------------------------------------------------------------------- locks */

/*
 * Takes a shard's lock, which no other lock of this handle precedes, and makes
 * it kmq_t.shard; and gives it back.  When its last holder has died, kmq_lock()
 * has the shard repaired first (kmq_t.repair).  When others have changed which
 * of this handle's consumers are ready, it has the handle's tables made to fit
 * (kmq_t.resync).
 */
void kmq_lock(kmq_t *kmq, kmq_shard_t *shard);
void kmq_unlock(kmq_t *kmq);

/* The same for the lock of the shard that a place as others name it is in. */
void kmq_lock_at(kmq_t *kmq, kmq_ref_t ref);

/* Lets others have the lock for a moment. */
void kmq_lock_pause(kmq_t *kmq) KMQ_LOCKED_GAPS;

/*
 * Tries to take another shard's lock while this handle has one: 1, and that
 * shard is kmq_t.shard; or 0.  kmq_lock_return() gives it back, and makes shard
 * the handle's again.
 */
int kmq_lock_try(kmq_t *kmq, kmq_shard_t *shard) KMQ_LOCKED;
void kmq_lock_return(kmq_t *kmq, kmq_shard_t *shard) KMQ_LOCKED;

/*
 * Lets go of the shard's lock, and has each other shard that seems to have
 * something give it, with that one's lock, whoever is in it.  1: one of them
 * gave something.
 */
int kmq_lock_others(kmq_t *kmq, int (*has)(const kmq_shard_t *s),
    int (*give)(kmq_t *kmq)) KMQ_LOCKED_GAPS;

/* Takes the locks of all shards, and gives them back: for what must hold in all
 * of them at one moment.  kmq_t.shard is the first. */
void kmq_lock_all(kmq_t *kmq);
void kmq_unlock_all(kmq_t *kmq);

/* Takes the common lock, with or without a shard's; a handle may take it
 * again while it has it. */
void kmq_common_lock(kmq_t *kmq);
void kmq_common_unlock(kmq_t *kmq);

/* Notes the time in the block, for handles that have no clock yet.  Takes the
 * common lock. */
void kmq_clock_keep(kmq_t *kmq);

/* Returns 64 random bits, which are not fit for secrets.  Needs no lock. */
uint64_t kmq_random(kmq_t *kmq);


/* ------------------------------------------------------------------- alive */

/*
 * Tries to take a worker's place: KMQ_OK, or KMQ_AGAIN while somebody alive has
 * it.  *dead: its last owner has died.  Unlocking worker->alive gives it back.
 */
int kmq_worker_try(kmq_worker_t *worker, int *dead) KMQ_COMMON;

/* Does that worker, which is another one, live? */
int kmq_worker_lives(kmq_t *kmq, unsigned worker) KMQ_COMMON;


/* -------------------------------------------------------- wake-ups, keeper */

/* Makes sure that a worker, or the keeper, looks at this shard soon. */
void kmq_worker_tell(kmq_t *kmq, unsigned worker) KMQ_LOCKED;
void kmq_keeper_tell(kmq_t *kmq) KMQ_LOCKED;

/* Makes sure that a worker looks at those shards, as bits.  Needs no lock. */
void kmq_worker_tell_all(kmq_t *kmq, unsigned worker, uint64_t shards);

/* This worker looks at what others have found for it.  rest: it has nothing
 * else to do, and is to be woken when there is something again.  Need no
 * lock. */
void kmq_worker_look(kmq_t *kmq);
void kmq_worker_rest(kmq_t *kmq);

/* Wake-ups may have been lost with a worker that died: all are told anew.
 * Needs no lock. */
void kmq_workers_forget(kmq_t *kmq);

/* Should this worker be the keeper?  There is none, or it stands still, or it
 * is about to end while this worker is not.  Needs no lock. */
int kmq_keeper_wanted(const kmq_t *kmq);

/* Is this worker the keeper?  Needs no lock. */
int kmq_is_keeper(const kmq_t *kmq);

/* Makes a worker the keeper, which starts with a look at all schedules.  Takes
 * the common lock. */
void kmq_keeper_set(kmq_t *kmq, unsigned worker);

/* This worker is about to end: another one becomes keeper, if there is one that
 * is not.  Takes the common lock. */
void kmq_keeper_retire(kmq_t *kmq);

/* That worker is keeper no more: another one is, if any lives.  Takes the
 * common lock. */
void kmq_keeper_replace(kmq_t *kmq, unsigned worker);

#endif /* KMQ_WORKER_H */
