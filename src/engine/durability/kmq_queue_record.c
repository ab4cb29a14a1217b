/* The record of the queue: its counters, and which numbers were given out.
 * Checkpoints have it, and the first journal after recovery. */

#include "../kmq_block.h"
#include "../worker/kmq_worker.h"
#include "../journal/kmq_journal.h"
#include "../queue/kmq_queue.h"
#include "kmq_durability_inside.h"


unsigned
kmq_periods_add(uint64_t *number, unsigned count, const kmq_period_t *period,
    unsigned n)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        if (period[i].number) {
            number[count++] = period[i].number;
            number[count++] = period[i].published;
            number[count++] = period[i].delivered;
            number[count++] = period[i].confirmed;
            number[count++] = period[i].backlog;
        }
    }

    return count;
}


_Static_assert(KMQ_HOURS <= KMQ_MINUTES, "an array has room for either");


/* This is the first record of a checkpoint, and, with the counters of the end,
 * the last but one.  Minutes and hours take turns in an array, which is large
 * for a stack. */
int
kmq_queue_record(kmq_t *kmq, kmq_buffer_t *out, uint64_t lsn)
{
    unsigned      n, i;
    uint64_t      number[KMQ_QUEUE_COUNTERS
                         + KMQ_PERIOD_NUMBERS * (KMQ_HOURS + KMQ_MINUTES)];
    kmq_block_t  *b = kmq->block;
    kmq_period_t  period[KMQ_MINUTES];
    kmq_totals_t  totals;

    memset(&totals, 0, sizeof(totals));

    for (i = 0; i < b->nshards; i++) {
        kmq_totals_add(&totals, &KMQ_SHARD(b, i)->totals);
    }

    memcpy(number, &totals, sizeof(totals));
    number[KMQ_QUEUE_TOTALS] = KMQ_GET(b->sequence) - 1;

    kmq_periods_sum_locked(kmq, NULL, period);

    n = kmq_periods_add(number, KMQ_QUEUE_COUNTERS, period, KMQ_HOURS);
    number[KMQ_QUEUE_TOTALS + 1] = (n - KMQ_QUEUE_COUNTERS)
                                   / KMQ_PERIOD_NUMBERS;

    kmq_periods_sum_locked(kmq, period, NULL);

    n = kmq_periods_add(number, n, period, KMQ_MINUTES);

    return kmq_record_numbers(out, lsn, KMQ_RECORD_QUEUE, 0,
                              kmq->wall / 1000, NULL, 0, number, n);
}


/* The first journal after recovery says which numbers must not be given out,
 * so that a second recovery does not give them out either. */
static void
numbers_tell(kmq_t *kmq)
{
    kmq_journals_t  *journals = &kmq->block->journals;

    kmq_lock_all(kmq);
    kmq_common_lock(kmq);

    if (journals->untold
        && kmq_queue_record(kmq, &kmq->journal.buffer, kmq_lsn_next_all(kmq))
           == 0)
    {
        journals->untold = 0;
    }

    kmq_common_unlock(kmq);
    kmq_unlock_all(kmq);
}


void
kmq_journal(kmq_t *kmq, int on)
{
    kmq->journal.on = on;
    kmq->journal.buffer.len = 0;
    kmq->journal.last_size = 0;

    if (on) {
        numbers_tell(kmq);
    }
}
