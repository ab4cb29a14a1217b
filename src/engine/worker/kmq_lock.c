/*
 * The locks of shards, the common lock, and a handle's clock and random
 * numbers.
 *
 * The locks are robust mutexes that processes share.  When the last holder of a
 * shard's has died, the next one repairs the shard first.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE    /* pthread_mutex_clocklock() */
#endif

#include <errno.h>
#include <time.h>

#include "../kmq_block.h"
#include "kmq_worker.h"


#define LOCK_SPINS    200
#define LOCK_RECHECK   50    /* ms */
#define LOCK_LONG    1000    /* ms: somebody is told of such a wait */
#define LOCK_LOOK     200    /* us */

/* In holder: nobody has the lock now. */
#define HOLDER_FREE  (UINT32_C(1) << 31)

/* ThreadSanitizer does not know pthread_mutex_clocklock(). */
#if defined(__GLIBC__) && !defined(__SANITIZE_THREAD__)
#define KMQ_CLOCKLOCK  __GLIBC_PREREQ(2, 30)
#endif


static void
cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__ ("yield");
#endif
}


/*
 * Waits for a while, by a clock that nobody sets.  A C library without
 * pthread_mutex_clocklock() gets short looks instead: it could only wait until
 * a time of the wall clock, which may go back by hours.
 */
static int
lock_sleep(pthread_mutex_t *mutex, unsigned ms)
{
    struct timespec  until;

#if KMQ_CLOCKLOCK

    (void) clock_gettime(CLOCK_MONOTONIC, &until);

    until.tv_nsec += ms * 1000000;

    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }

    return pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until);

#else

    int  rc;

    until.tv_sec = 0;
    until.tv_nsec = LOCK_LOOK * 1000;

    ms = ms * 1000 / LOCK_LOOK;

    do {
        (void) nanosleep(&until, NULL);
        rc = pthread_mutex_trylock(mutex);
    } while (rc == EBUSY && --ms);

    return rc == EBUSY ? ETIMEDOUT : rc;

#endif
}


/*
 * Sleeps until a lock is free, but never for ever.  When a sleeper that has
 * just been woken is killed while a third process takes the lock past it, the
 * wake-up is lost to all others (futex(2) cannot tell).  So they look again
 * after a while.
 */
static int
lock_wait(kmq_t *kmq, pthread_mutex_t *mutex, const uint32_t *holder)
{
    int       rc;
    uint32_t  other;
    unsigned  n;

    for (n = 1; /* void */ ; n++) {
        rc = lock_sleep(mutex, LOCK_RECHECK);

        if (rc != ETIMEDOUT) {
            return rc;
        }

        if (n == LOCK_LONG / LOCK_RECHECK && kmq->waits) {
            other = KMQ_GET(*holder) % HOLDER_FREE;
            kmq->waits(kmq->waits_arg, LOCK_LONG, other,
                       kmq->block->worker[other].pid);
        }
    }
}


/*
 * Takes a lock: 0 or EOWNERDEAD.  A holder is out again sooner than a sleeper
 * is awake, so this looks for a while.  It looks at what the holder notes, and
 * not at the mutex, since each try at that takes its line from the holder.
 */
static int
lock_take(kmq_t *kmq, pthread_mutex_t *mutex, uint32_t *holder,
    uint64_t *waits)
{
    int       rc;
    unsigned  spins;

    rc = pthread_mutex_trylock(mutex);

    if (rc == EBUSY) {

        for (spins = 0; rc == EBUSY && spins < LOCK_SPINS; spins++) {
            cpu_relax();

            if (KMQ_GET(*holder) & HOLDER_FREE) {
                rc = pthread_mutex_trylock(mutex);
            }
        }

        if (rc == EBUSY) {
            rc = lock_wait(kmq, mutex, holder);
        }

        ++*waits;
    }

    KMQ_PUT(*holder, kmq->worker);

    return rc;
}


static void
lock_give(pthread_mutex_t *mutex, uint32_t *holder)
{
    KMQ_PUT(*holder, *holder | HOLDER_FREE);

    (void) pthread_mutex_unlock(mutex);
}


/* The handle has that shard's lock now. */
static void
lock_taken(kmq_t *kmq, kmq_shard_t *shard, int rc)
{
    kmq->shard = shard;

#ifdef KMQ_FAULTS
    kmq_steps = 0;
#endif

    if (rc == EOWNERDEAD) {
        kmq->repair(kmq);
        (void) pthread_mutex_consistent(&shard->lock);
    }

    if (kmq->changes[shard->number] != shard->changes) {
        kmq->changes[shard->number] = shard->changes;
        kmq->resync(kmq);
    }
}


void
kmq_lock(kmq_t *kmq, kmq_shard_t *shard)
{
    lock_taken(kmq, shard, lock_take(kmq, &shard->lock, &shard->holder,
                                     &shard->waits));
}


void
kmq_unlock(kmq_t *kmq)
{
#ifdef KMQ_FAULTS
    if (kmq_steps > kmq_steps_max) {
        kmq_steps_max = kmq_steps;
    }
#endif

    lock_give(&kmq->shard->lock, &kmq->shard->holder);
}


void
kmq_lock_at(kmq_t *kmq, kmq_ref_t ref)
{
    kmq_lock(kmq, kmq_shard_at(kmq, ref));
}


void
kmq_lock_pause(kmq_t *kmq)
{
    kmq_unlock(kmq);
    kmq_lock(kmq, kmq->shard);
}


int
kmq_lock_try(kmq_t *kmq, kmq_shard_t *shard)
{
    int  rc;

    rc = pthread_mutex_trylock(&shard->lock);

    if (rc == EBUSY) {
        return 0;
    }

    KMQ_PUT(shard->holder, kmq->worker);
    lock_taken(kmq, shard, rc);

    return 1;
}


void
kmq_lock_return(kmq_t *kmq, kmq_shard_t *shard)
{
    kmq_unlock(kmq);
    kmq->shard = shard;
}


int
kmq_lock_others(kmq_t *kmq, int (*has)(const kmq_shard_t *s),
    int (*give)(kmq_t *kmq))
{
    int           some;
    unsigned      i;
    kmq_shard_t  *other, *s = kmq->shard;

    some = 0;

    kmq_unlock(kmq);

    for (i = 0; i < kmq->block->nshards; i++) {
        other = KMQ_SHARD(kmq->block, i);

        if (other != s && has(other)) {
            kmq_lock(kmq, other);
            some |= give(kmq);
            kmq_unlock(kmq);
        }
    }

    kmq_lock(kmq, s);

    return some;
}


void
kmq_lock_all(kmq_t *kmq)
{
    unsigned  i;

    for (i = 0; i < kmq->block->nshards; i++) {
        kmq_lock(kmq, KMQ_SHARD(kmq->block, i));
    }

    kmq->shard = KMQ_SHARD(kmq->block, 0);
}


void
kmq_unlock_all(kmq_t *kmq)
{
    unsigned  i;

    for (i = kmq->block->nshards; i-- > 0; ) {
        kmq->shard = KMQ_SHARD(kmq->block, i);
        kmq_unlock(kmq);
    }
}


void
kmq_common_lock(kmq_t *kmq)
{
    int           rc;
    kmq_block_t  *b = kmq->block;

    if (kmq->in_common++) {
        return;
    }

    rc = lock_take(kmq, &b->lock, &b->holder, &b->waits);

    if (rc == EOWNERDEAD) {
        kmq->repair_common(kmq);
        (void) pthread_mutex_consistent(&b->lock);
    }
}


void
kmq_common_unlock(kmq_t *kmq)
{
    if (--kmq->in_common == 0) {
        lock_give(&kmq->block->lock, &kmq->block->holder);
    }
}


void
kmq_on_wait(kmq_t *kmq, kmq_waits_pt waits, void *arg)
{
    kmq->waits = waits;
    kmq->waits_arg = arg;
}


int
kmq_repaired(kmq_t *kmq)
{
    int  repaired;

    repaired = kmq->repaired;
    kmq->repaired = 0;

    return repaired;
}


/* ------------------------------------------------------ clock and chance */

void
kmq_clock(kmq_t *kmq, uint64_t mono, uint64_t wall)
{
    kmq->mono = mono;
    kmq->wall = wall;
}


/* For workers that attach and have no clock yet. */
void
kmq_clock_keep(kmq_t *kmq)
{
    kmq_block_t  *b = kmq->block;

    kmq_common_lock(kmq);

    b->mono = kmq->mono;
    b->wall = kmq->wall;

    if (b->start_time == 0) {
        b->start_time = kmq->wall / 1000;
    }

    kmq_common_unlock(kmq);
}


/* xorshift64*: S. Vigna, "An experimental exploration of Marsaglia's xorshift
 * generators, scrambled". */
uint64_t
kmq_random(kmq_t *kmq)
{
    uint64_t  x = kmq->random;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    kmq->random = x;

    return x * UINT64_C(2685821657736338717);
}
