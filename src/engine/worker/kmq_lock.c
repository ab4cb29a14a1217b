/*
 * The block's lock, and a handle's clock and random numbers.
 *
 * The lock is a robust mutex that processes share.  When its last holder has
 * died, the next one repairs the block first.
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
 * Sleeps until the lock is free, but never for ever.  When a sleeper that has
 * just been woken is killed while a third process takes the lock past it, the
 * wake-up is lost to all others (futex(2) cannot tell).  So they look again
 * after a while.
 */
static int
lock_wait(kmq_t *kmq)
{
    int           rc;
    unsigned      n, holder;
    kmq_block_t  *b = kmq->block;

    for (n = 1; /* void */ ; n++) {
        rc = lock_sleep(&b->lock, LOCK_RECHECK);

        if (rc != ETIMEDOUT) {
            return rc;
        }

        if (n == LOCK_LONG / LOCK_RECHECK && kmq->waits) {
            holder = b->holder;
            kmq->waits(kmq->waits_arg, LOCK_LONG, holder,
                       b->worker[holder].pid);
        }
    }
}


void
kmq_lock(kmq_t *kmq)
{
    int           rc;
    unsigned      spins;
    kmq_block_t  *b = kmq->block;

    /* a holder is out again sooner than a sleeper is awake */

    rc = EBUSY;

    for (spins = 0; rc == EBUSY && spins < LOCK_SPINS; spins++) {
        rc = pthread_mutex_trylock(&b->lock);

        if (rc == EBUSY) {
            cpu_relax();
        }
    }

    if (rc == EBUSY) {
        rc = lock_wait(kmq);
    }

    b->holder = kmq->worker;

#ifdef KMQ_FAULTS
    kmq_steps = 0;
#endif

    if (rc == EOWNERDEAD) {
        kmq->repair(kmq);
        (void) pthread_mutex_consistent(&b->lock);
    }

    if (kmq->changes != b->changes) {
        kmq->changes = b->changes;
        kmq->resync(kmq);
    }
}


void
kmq_unlock(kmq_t *kmq)
{
#ifdef KMQ_FAULTS
    if (kmq_steps > kmq_steps_max) {
        kmq_steps_max = kmq_steps;
    }
#endif

    (void) pthread_mutex_unlock(&kmq->block->lock);
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

    b->mono = kmq->mono;
    b->wall = kmq->wall;

    if (b->start_time == 0) {
        b->start_time = kmq->wall / 1000;
    }
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
