/* The record of the queue: its counters, and which numbers were given out. */

#include "../kmq_block.h"
#include "kmq_journal.h"


/* Appends those of n periods that have a number to an array of count numbers.
 * Returns how many it has then. */
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


_Static_assert(sizeof(kmq_totals_t) == KMQ_QUEUE_TOTALS * sizeof(uint64_t),
               "totals are copied to records as they are");


/* This is the first record of a checkpoint, and, with the counters of the end,
 * the last but one. */
int
kmq_queue_record(kmq_t *kmq, kmq_buffer_t *out, uint64_t lsn)
{
    unsigned      n;
    uint64_t      number[KMQ_QUEUE_COUNTERS
                         + KMQ_PERIOD_NUMBERS * (KMQ_HOURS + KMQ_MINUTES)];
    kmq_block_t  *b = kmq->block;

    memcpy(number, &b->totals, KMQ_QUEUE_TOTALS * sizeof(uint64_t));
    number[KMQ_QUEUE_TOTALS] = b->sequence;

    n = kmq_periods_add(number, KMQ_QUEUE_COUNTERS, b->hour, KMQ_HOURS);
    number[KMQ_QUEUE_TOTALS + 1] = (n - KMQ_QUEUE_COUNTERS)
                                   / KMQ_PERIOD_NUMBERS;
    n = kmq_periods_add(number, n, b->minute, KMQ_MINUTES);

    return kmq_record_numbers(out, lsn, KMQ_RECORD_QUEUE,
                              kmq->wall / 1000, NULL, 0, number, n);
}
