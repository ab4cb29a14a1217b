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


/* Does what is to be done at a timer's time; it is in no list then. */
typedef void (*kmq_due_pt)(kmq_t *kmq, kmq_timer_t *timer);

/* An empty wheel: at first, and for a repair, which puts all on it anew. */
void kmq_schedule_reset(kmq_block_t *b) KMQ_LOCKED;

/* What a timer is set to that is due in ms.  Needs no lock. */
uint64_t kmq_due(const kmq_t *kmq, uint64_t ms);

/* Puts a timer that is in no list on the schedule.  1: it is not there, since
 * it is due already: the caller does what is to be done. */
int kmq_schedule(kmq_t *kmq, kmq_timer_t *timer) KMQ_LOCKED;

/* Takes a timer off the schedule. */
void kmq_unschedule(kmq_block_t *b, kmq_timer_t *timer) KMQ_LOCKED;

/* Calls due() for timers whose time has come, for a slice of them.  1: there is
 * more to do at once. */
int kmq_schedule_run(kmq_t *kmq, kmq_due_pt due) KMQ_LOCKED;

/* Should the keeper have done so some time ago? */
int kmq_schedule_late(const kmq_t *kmq) KMQ_LOCKED;

#endif /* KMQ_TIME_H */
