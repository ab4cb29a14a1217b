/* The schedule: what is to happen at a time.  See kmq_schedule.c. */

#ifndef KMQ_TIME_H
#define KMQ_TIME_H

#include "../memory/kmq_memory.h"


/* As many bytes as kmq_timer_t.due has. */
#define KMQ_WHEEL_LEVELS  7
#define KMQ_WHEEL_SIZE    256
#define KMQ_WHEEL_SLICE   1024   /* timers moved under one lock */
typedef struct {
    uint64_t     now;            /* mono: all before it is ready */
    uint64_t     next;           /* mono: what the keeper waits for */
    uint64_t     count;          /* timers on it */
    uint64_t     used[KMQ_WHEEL_LEVELS][KMQ_WHEEL_SIZE / 64];
    kmq_list_t   bucket[KMQ_WHEEL_LEVELS][KMQ_WHEEL_SIZE];
} kmq_wheel_t;


/* Acts on a timer that is due, and off the schedule. */
typedef void (*kmq_due_pt)(kmq_t *kmq, kmq_timer_t *timer);

/* Empties the wheel: at the beginning, and for a repair, which refills it. */
void kmq_schedule_reset(kmq_shard_t *s) KMQ_LOCKED;

/* The time of a timer that is due in ms.  Needs no lock. */
uint64_t kmq_due(const kmq_t *kmq, uint64_t ms);

/* Puts a timer on the schedule; it must be in no list.  1: the timer is due
 * already and was not put there, so the caller has to act on it. */
int kmq_schedule(kmq_t *kmq, kmq_timer_t *timer) KMQ_LOCKED;

/* Takes a timer off the schedule. */
void kmq_unschedule(kmq_shard_t *s, kmq_timer_t *timer) KMQ_LOCKED;

/* Calls due() for a slice of the timers that are due.  1: there are more. */
int kmq_schedule_run(kmq_t *kmq, kmq_due_pt due) KMQ_LOCKED;

/* Is the keeper late with that? */
int kmq_schedule_late(const kmq_t *kmq) KMQ_LOCKED;

#endif /* KMQ_TIME_H */
