/*
 * A worker's turns.  kmq_take() does a slice of each kind of housekeeping that
 * is due, then takes a batch.  kmq_tick() looks, twice a second, for work that
 * nobody announces.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../time/kmq_time.h"
#include "../queue/kmq_queue.h"
#include "../delivery/kmq_delivery.h"
#include "../client/kmq_client.h"
#include "kmq_upkeep_inside.h"


/* kmq_tick() frees a part of so many chains, see kmq_trash_free(). */
#define TRASH_MAX  32


/* A timer is due, and in no list now. */
static void
timer_due(kmq_t *kmq, kmq_timer_t *timer)
{
    void  *object = timer;

    if (kmq_class_of(kmq->block, KMQ_REF(kmq->block, timer))
        == KMQ_CLASS_MESSAGE)
    {
        kmq_message_due(kmq, object);
        return;
    }

    /* a consumer: its own worker looks for what it has not confirmed */

    kmq_retry_add(kmq, object);
}


unsigned
kmq_take(kmq_t *kmq, kmq_batch_t *batch)
{
    int           more;
    kmq_draws_t   draws;
    kmq_block_t  *b = kmq->block;

    more = 0;
    batch->again = 0;
    batch->nmessages = 0;
    batch->nruns = 0;

    kmq_lock(kmq);

    b->worker[kmq->worker].signalled = 0;
    kmq_still_seen(kmq);

    /* one of these in each turn */

    if (kmq->reaping) {
        kmq_reap_dead(kmq);

    } else if (kmq->leaving) {
        (void) kmq_leave_run(kmq, KMQ_SLICE);

    } else if (kmq->looking) {
        kmq_slow_look(kmq);
    }

    kmq_disconnect_check(kmq);

    if (b->nstill) {
        more = kmq_still_run(kmq);
    }

    if (b->keeper == kmq->worker + 1) {
        more |= kmq_schedule_run(kmq, timer_due);
        more |= kmq_expire_run(kmq);

    } else if (kmq_schedule_late(kmq)) {
        more |= kmq_schedule_run(kmq, timer_due);
    }

    if (kmq_retry_wanted(kmq)) {
        kmq_retry_run(kmq, batch);
    }

    if (kmq->paced && kmq->mono >= b->batch_end) {
        kmq->paced = 0;

        if (b->settings.batch_interval) {
            kmq_pace_window(kmq);
        }

    } else if (kmq->pacing) {
        kmq_pace_slice(kmq);
    }

    kmq_take_batch(kmq, batch, &draws);

    kmq->has_work = more || kmq->reaping || kmq->leaving || kmq->pacing
                    || kmq->looking || b->worker[kmq->worker].dirty != 0
                    || kmq_retry_wanted(kmq);

    kmq_unlock(kmq);

    if (draws.n) {
        kmq_take_sort(kmq, &draws, batch);
    }

    return batch->nruns;
}


unsigned
kmq_tick(kmq_t *kmq)
{
    unsigned      i, n;
    kmq_block_t  *b = kmq->block;

    kmq_lock(kmq);

    kmq_clock_keep(kmq);
    kmq_still_seen(kmq);

    kmq_reap_dead(kmq);
    n = kmq->reaped;
    kmq->reaped = 0;

    kmq->has_work |= kmq_still_find(kmq);
    kmq_slow_look(kmq);
    kmq_disconnect_check(kmq);
    kmq_count_backlog(kmq);

    for (i = 0; i < TRASH_MAX && kmq_trash_free(b); i++) { /* void */ }

    /* who was to signal this worker, or to start a batch, may have died */

    if (kmq_keeper_wanted(kmq)) {
        kmq_keeper_set(kmq, kmq->worker);
    }

    b->worker[kmq->worker].signalled = 0;

    if (b->worker[kmq->worker].dirty || b->worker[kmq->worker].overdue.head
        || b->keeper == kmq->worker + 1 || kmq->reaping || kmq->leaving
        || kmq->looking)
    {
        kmq->has_work = 1;
    }

    if (b->settings.batch_interval && b->active
        && kmq->mono >= b->batch_end)
    {
        kmq_pace_window(kmq);
    }

    kmq_unlock(kmq);

    return n;
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
