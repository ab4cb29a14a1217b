/*
 * The schedule: timers by the times when they are due.  Each delayed message
 * has one, and each consumer that confirmations are awaited from.
 *
 * It is a hierarchical timing wheel (G. Varghese, A. Lauck, "Hashed and
 * hierarchical timing wheels") with a level of 256 lists for each byte of a
 * time; level 0 counts milliseconds.  A timer lies in the level of the highest
 * byte in which its time differs from the wheel's.  So it is found again
 * without a search, and moves down once a level at most: its cost does not
 * depend on how many others there are.
 *
 * Times are those of the clock that never jumps: setting the wall clock moves
 * no message.
 *
 * One worker, the keeper, turns the wheel.  The others tell it when they bring
 * something that is due before it would look.  When the keeper stands still,
 * whoever sees that turns the wheel.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "kmq_time.h"


#define NEVER  UINT64_MAX
#define LATE   200    /* ms */

/* The latest time of a timer: two million years. */
#define LAST   ((UINT64_C(1) << 8 * KMQ_WHEEL_LEVELS) - 1)

#define BYTE(time, level)  ((unsigned) ((time) >> (8 * (level))) & 0xff)


static void
bucket_append(kmq_shard_t *s, unsigned level, kmq_timer_t *timer)
{
    unsigned      i;
    kmq_wheel_t  *wheel = &s->wheel;

    i = BYTE(timer->due, level);
    timer->level = level;

    kmq_list_append(s, &wheel->bucket[level][i], &timer->link);
    wheel->used[level][i / 64] |= UINT64_C(1) << i % 64;
}


static void
bucket_remove(kmq_shard_t *s, kmq_timer_t *timer)
{
    unsigned      i;
    kmq_list_t   *list;
    kmq_wheel_t  *wheel = &s->wheel;

    i = BYTE(timer->due, timer->level);
    list = &wheel->bucket[timer->level][i];

    kmq_list_remove(s, list, &timer->link);

    if (list->head == 0) {
        wheel->used[timer->level][i / 64] &= ~(UINT64_C(1) << i % 64);
    }
}


/* The level in which a timer of that time belongs now. */
static unsigned
level_of(const kmq_wheel_t *wheel, uint64_t due)
{
    uint64_t  differs;

    differs = due ^ wheel->now;

    return differs ? (63 - (unsigned) __builtin_clzll(differs)) / 8 : 0;
}


/* The first used list of a level behind i, or -1. */
static int
bucket_next(const kmq_wheel_t *wheel, unsigned level, unsigned i)
{
    uint64_t  word;
    unsigned  n;

    for (n = (i + 1) / 64, i = (i + 1) % 64; n < KMQ_WHEEL_SIZE / 64; n++) {
        word = wheel->used[level][n] >> i << i;

        if (word) {
            return n * 64 + __builtin_ctzll(word);
        }

        i = 0;
    }

    return -1;
}


/* When the wheel has something to do next, and in which level. */
static uint64_t
wheel_next(const kmq_wheel_t *wheel, unsigned *level)
{
    int       i;
    uint64_t  unit;

    for (*level = 0; *level < KMQ_WHEEL_LEVELS; (*level)++) {
        i = bucket_next(wheel, *level, BYTE(wheel->now, *level));

        if (i >= 0) {
            unit = UINT64_C(1) << (8 * *level);

            return (wheel->now & ~(unit * KMQ_WHEEL_SIZE - 1))
                   + (uint64_t) i * unit;
        }
    }

    return NEVER;
}


/* Tells when the shard's wheel has something to do. */
static void
due_tell(kmq_shard_t *s)
{
    uint64_t   next;
    uint64_t  *due = &KMQ_BLOCK(s)->due[s->number];

    next = s->wheel.count ? s->wheel.next : NEVER;

    if (next != KMQ_GET(*due)) {
        __atomic_store_n(due, next, __ATOMIC_SEQ_CST);
    }
}


/*
 * Brings down the timers in the lists that the wheel's time has reached, from
 * the highest level on: at most *n of them, which counts down.
 */
static void
wheel_settle(kmq_t *kmq, kmq_due_pt due, unsigned *n)
{
    unsigned      level;
    kmq_list_t   *list;
    kmq_shard_t  *s = kmq->shard;
    kmq_wheel_t  *wheel = &s->wheel;
    kmq_timer_t  *timer;

    for (level = KMQ_WHEEL_LEVELS; level-- > 0; ) {
        list = &wheel->bucket[level][BYTE(wheel->now, level)];

        while (list->head && *n) {
            (*n)--;
            timer = KMQ_AT(s, list->head);
            bucket_remove(s, timer);

            if (timer->due <= wheel->now) {
                wheel->count--;
                due(kmq, timer);

            } else {
                bucket_append(s, level_of(wheel, timer->due), timer);
            }
        }
    }
}


/*
 * Turns the wheel to the present; moves at most KMQ_WHEEL_SLICE timers.
 * Returns 1 when there is more to do at once.
 */
int
kmq_schedule_run(kmq_t *kmq, kmq_due_pt due)
{
    unsigned      n, level;
    uint64_t      next;
    kmq_wheel_t  *wheel = &kmq->shard->wheel;

    n = KMQ_WHEEL_SLICE;

    for ( ;; ) {
        wheel_settle(kmq, due, &n);

        if (n == 0) {
            return 1;
        }

        next = wheel_next(wheel, &level);

        if (next > kmq->mono) {
            break;
        }

        wheel->now = next;
    }

    /* nothing lies in between, so that all stays where it belongs */

    if (wheel->now < kmq->mono) {
        wheel->now = kmq->mono;
    }

    wheel->next = next;
    due_tell(kmq->shard);

    return 0;
}


/* The time of a timer that is due in ms. */
uint64_t
kmq_due(const kmq_t *kmq, uint64_t ms)
{
    return kmq->mono < LAST && ms < LAST - kmq->mono ? kmq->mono + ms : LAST;
}


/* Should the keeper have turned the wheel some time ago? */
int
kmq_schedule_late(const kmq_t *kmq)
{
    const kmq_wheel_t  *wheel = &kmq->shard->wheel;

    return wheel->count && wheel->next < kmq->mono
           && kmq->mono - wheel->next > LATE;
}


/* Puts a timer that is in no list on the schedule.  1: it is due already, and
 * the caller has to act on it. */
int
kmq_schedule(kmq_t *kmq, kmq_timer_t *timer)
{
    kmq_shard_t  *s = kmq->shard;
    kmq_wheel_t  *wheel = &s->wheel;

    if (timer->due <= wheel->now) {
        return 1;
    }

    bucket_append(s, level_of(wheel, timer->due), timer);
    wheel->count++;

    if (timer->due < wheel->next) {
        wheel->next = timer->due;
        due_tell(s);
        kmq_keeper_tell(kmq);
    }

    return 0;
}


/* Takes a timer off the schedule. */
void
kmq_unschedule(kmq_shard_t *s, kmq_timer_t *timer)
{
    bucket_remove(s, timer);

    if (--s->wheel.count == 0) {
        s->wheel.next = NEVER;
        due_tell(s);
    }
}


/* Empties the wheel: at the beginning, and for a repair, which refills it. */
void
kmq_schedule_reset(kmq_shard_t *s)
{
    memset(s->wheel.bucket, 0, sizeof(s->wheel.bucket));
    memset(s->wheel.used, 0, sizeof(s->wheel.used));

    s->wheel.next = NEVER;
    s->wheel.count = 0;
    due_tell(s);
}
