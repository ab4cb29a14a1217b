/* The block: its making, its lock, its settings. */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE    /* pthread_mutex_clocklock() */
#endif

#include <errno.h>
#include <time.h>

#include "../kmq_block.h"


#ifdef KMQ_FAULTS
void (*kmq_fault)(const char *point);

_Thread_local uint64_t  kmq_steps;
_Thread_local uint64_t  kmq_steps_max;

unsigned  kmq_slice = 512;
uint32_t  kmq_position;
#endif

#define MIN_PAGES      64
#define LOCK_SPINS    200
#define LOCK_RECHECK   50    /* ms */
#define LOCK_LONG    1000    /* ms: somebody is told of such a wait */
#define LOCK_LOOK     200    /* us */

/* ThreadSanitizer does not know pthread_mutex_clocklock(). */
#if defined(__GLIBC__) && !defined(__SANITIZE_THREAD__)
#define KMQ_CLOCKLOCK  __GLIBC_PREREQ(2, 30)
#endif


static size_t
header_size(uint64_t npages)
{
    return sizeof(kmq_block_t)
           + (npages + 1) * (sizeof(kmq_page_t) + sizeof(kmq_cells_t));
}


/* How many pages fit behind the header that describes them. */
static uint64_t
pages_in(size_t size)
{
    uint64_t  n;

    if (size < sizeof(kmq_block_t) + KMQ_PAGE_SIZE) {
        return 0;
    }

    n = (size - sizeof(kmq_block_t))
        / (KMQ_PAGE_SIZE + sizeof(kmq_page_t) + sizeof(kmq_cells_t));

    while (n && header_size(n) + (n + 1) * KMQ_PAGE_SIZE > size) {
        n--;
    }

    return n;
}


size_t
kmq_block_min(void)
{
    return header_size(MIN_PAGES) + (MIN_PAGES + 2) * KMQ_PAGE_SIZE;
}


size_t
kmq_block_max(void)
{
    /* a reference has 32 bits and counts 8 bytes; half of it, since 16 GiB is
     * what has been tried */
    return (size_t) 1 << 34;
}


static int
mutex_init(pthread_mutex_t *mutex)
{
    int                  rc;
    pthread_mutexattr_t  attr;

    if (pthread_mutexattr_init(&attr) != 0) {
        return KMQ_ERROR;
    }

    rc = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);

    if (rc == 0) {
        rc = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    }

    if (rc == 0) {
        rc = pthread_mutex_init(mutex, &attr);
    }

    (void) pthread_mutexattr_destroy(&attr);

    return rc == 0 ? KMQ_OK : KMQ_ERROR;
}


int
kmq_block_init(void *block, size_t size,
    const unsigned char seed[KMQ_SEED_LEN])
{
    uint64_t      key[KMQ_SEED_LEN / 8];
    unsigned      i;
    kmq_block_t  *b = block;

    if (size < kmq_block_min() || size > kmq_block_max()
        || (uintptr_t) block % 4096 != 0)
    {
        return KMQ_ERROR;
    }

    b->version = KMQ_VERSION;
    b->npages = pages_in(size);
    b->size = size;
    b->page_zero = (header_size(b->npages) / KMQ_PAGE_SIZE) * KMQ_PAGE_SIZE;

    memcpy(key, seed, KMQ_SEED_LEN);
    b->key[0] = key[0] ^ key[2];
    b->key[1] = key[1] ^ key[3];
    kmq_memory_init(b);
    kmq_schedule_reset(b);

    b->settings.waiting_max = 1000000;
    b->settings.batch_count = 100;
    b->settings.keep_consumed = 1;
    b->settings.check_interval = 1000;
    b->settings.topic.push_type = KMQ_PUSH_ONE;

    /* no record has number 0, not even one of a checkpoint before all else */

    b->journals.lsn = 1;

    if (mutex_init(&b->lock) != KMQ_OK) {
        return KMQ_ERROR;
    }

    for (i = 0; i < KMQ_WORKERS; i++) {
        if (mutex_init(&b->worker[i].alive) != KMQ_OK) {
            return KMQ_ERROR;
        }
    }

    KMQ_SET(b->magic, KMQ_MAGIC);

    return KMQ_OK;
}


int
kmq_block_check(const void *block, size_t size)
{
    const kmq_block_t  *b = block;

    if (size < kmq_block_min() || b->magic != KMQ_MAGIC
        || b->version != KMQ_VERSION || b->size != size)
    {
        return KMQ_ERROR;
    }

    return KMQ_OK;
}


/* ------------------------------------------------------------------- lock */

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
 * pthread_mutex_clocklock() gets short looks instead: it could wait only until
 * a time of the wall clock, which may go back for hours.
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
 * Sleeps until the lock is free, but never for ever: when a sleeper is killed
 * that has just been woken, while a third process takes the lock past it, the
 * wake-up is lost to all others who sleep (futex(2) cannot tell).  They look
 * again after a while.
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
        kmq_repair(kmq);
        (void) pthread_mutex_consistent(&b->lock);
    }

    if (kmq->changes != b->changes) {
        kmq->changes = b->changes;
        kmq_local_resync(kmq);
    }
}


void
kmq_on_wait(kmq_t *kmq, kmq_waits_pt waits, void *arg)
{
    kmq->waits = waits;
    kmq->waits_arg = arg;
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


/* --------------------------------------------------------------- settings */

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


/* Lets others have the lock after a slice of steps. */
static void
lock_pause(kmq_t *kmq, unsigned *n)
{
    KMQ_STEP();

    if (++*n >= KMQ_SLICE) {
        *n = 0;
        kmq_unlock(kmq);
        kmq_lock(kmq);
    }
}


/* All topics get their new settings, unless somebody has later ones; 1 when a
 * retry_time is another one. */
static int
topics_configure(kmq_t *kmq)
{
    int           changed;
    unsigned      n;
    uint32_t      before;
    kmq_walk_t    walk;
    kmq_topic_t  *topic;

    n = 0;
    changed = 0;
    memset(&walk, 0, sizeof(walk));

    while ((topic = kmq_table_next(kmq->block, KMQ_CLASS_TOPIC, &walk))) {

        if (topic->used && topic->configured < kmq->configured) {
            before = topic->settings.retry_time;
            kmq_topic_configure(kmq, topic);
            changed |= topic->settings.retry_time != before;
        }

        lock_pause(kmq, &n);
    }

    return changed;
}


/* What is in flight has other deadlines now, and what will be must not find
 * a timer that is set to the old ones. */
static void
deadlines_configure(kmq_t *kmq)
{
    unsigned       n;
    kmq_walk_t     walk;
    kmq_client_t  *client;

    n = 0;
    memset(&walk, 0, sizeof(walk));

    while ((client = kmq_table_next(kmq->block, KMQ_CLASS_CLIENT, &walk))) {

        if (client->role == KMQ_CONSUMER
            && (client->in_flight || client->timed != KMQ_IDLE))
        {
            kmq_overdue_now(kmq, client);
        }

        lock_pause(kmq, &n);
    }
}


/* What waited for the old pace goes at the new one. */
static void
pace_configure(kmq_t *kmq)
{
    unsigned      n;
    kmq_walk_t    walk;
    kmq_topic_t  *topic;

    n = 0;
    memset(&walk, 0, sizeof(walk));

    while ((topic = kmq_table_next(kmq->block, KMQ_CLASS_TOPIC, &walk))) {

        if (topic->used && topic->active) {
            kmq_grant(kmq, topic, kmq_topic_backlog(kmq->block, topic));
        }

        lock_pause(kmq, &n);
    }
}


static void
settings_store(kmq_t *kmq, const kmq_settings_t *settings)
{
    kmq_block_t  *b = kmq->block;

    kmq->settings = *settings;

    /* an address means nothing to other processes */

    b->settings = *settings;
    b->settings.topic_own = NULL;
    b->settings.topic_arg = NULL;

    kmq->configured = ++b->configured;
    kmq->paced = 0;
    b->window++;

    if (b->batch_end > kmq->mono + settings->batch_interval) {
        b->batch_end = kmq->mono + settings->batch_interval;
    }

    if (b->check_time > kmq->mono + settings->check_interval) {
        b->check_time = kmq->mono + settings->check_interval;
    }
}


void
kmq_configure(kmq_t *kmq, const kmq_settings_t *settings)
{
    kmq_lock(kmq);

    kmq_clock_keep(kmq);
    settings_store(kmq, settings);

    if (topics_configure(kmq)) {
        deadlines_configure(kmq);
    }

    pace_configure(kmq);

    kmq_unlock(kmq);
}


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


/* --------------------------------------------------------------- wake-ups */

int
kmq_wakes(kmq_t *kmq, uint64_t mask[KMQ_WORKERS / 64])
{
    if (!kmq->has_wakes) {
        return 0;
    }

    memcpy(mask, kmq->wakes, sizeof(kmq->wakes));
    memset(kmq->wakes, 0, sizeof(kmq->wakes));
    kmq->has_wakes = 0;

    return 1;
}


int
kmq_has_work(kmq_t *kmq)
{
    return kmq->has_work;
}


uint64_t
kmq_next_batch(kmq_t *kmq)
{
    uint64_t  end;

    if (!kmq->paced) {
        return 0;
    }

    end = kmq->block->batch_end;

    return end > kmq->mono ? end - kmq->mono : 1;
}


uint64_t
kmq_next_due(kmq_t *kmq)
{
    uint64_t      next;
    kmq_block_t  *b = kmq->block;

    if (b->keeper != kmq->worker + 1) {
        return 0;
    }

    next = b->wheel.count ? b->wheel.next : UINT64_MAX;

    /* does anything grow old? */

    if ((b->waiting || b->history.count || b->dead) && b->check_time < next) {
        next = b->check_time;
    }

    if (next == UINT64_MAX) {
        return 0;
    }

    return next > kmq->mono ? next - kmq->mono : 1;
}
