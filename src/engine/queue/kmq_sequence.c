/*
 * Sequence numbers of messages: the newest message has the largest one.
 *
 * A shard takes as many numbers as it needs, so numbers are given out in the
 * order in which messages come, over all shards.  One that has needed many in
 * this second takes some more, a part of these, so that it need not ask for
 * each message, and the numbers of its messages stand together in its index.
 * What is left of them is given up when the second is over: so messages of
 * different seconds are always in their order.
 */

#include "../kmq_block.h"
#include "kmq_queue.h"


/* For so many numbers taken in a second a shard takes one ahead, at most so
 * many at once. */
#define AHEAD_PART  16
#define AHEAD_MAX   256


static void
numbers_take(kmq_t *kmq, uint64_t time, unsigned n)
{
    unsigned      ahead;
    kmq_block_t  *b = kmq->block;
    kmq_shard_t  *s = kmq->shard;

    if (s->sequence_time != time) {
        s->sequence_time = time;
        s->sequence_taken = 0;
    }

    ahead = s->sequence_taken / AHEAD_PART;
    ahead = ahead < AHEAD_MAX ? ahead : AHEAD_MAX;
    n = n > ahead ? n : ahead;

    s->sequence_taken += n;
    s->sequence_epoch = __atomic_load_n(&b->epoch, __ATOMIC_SEQ_CST);
    s->sequence = __atomic_fetch_add(&b->sequence, n, __ATOMIC_SEQ_CST) - 1;
    s->sequence_end = s->sequence + n;
}


uint64_t
kmq_sequence_take(kmq_t *kmq, unsigned n, unsigned *got)
{
    uint64_t      time;
    kmq_block_t  *b = kmq->block;
    kmq_shard_t  *s = kmq->shard;

    time = kmq->wall / 1000;

    if (s->sequence == s->sequence_end || s->sequence_time != time
        || s->sequence_epoch != KMQ_GET(b->epoch))
    {
        numbers_take(kmq, time, n);
    }

    *got = s->sequence_end - s->sequence < n
           ? (unsigned) (s->sequence_end - s->sequence) : n;

    s->sequence += *got;

    return s->sequence - *got + 1;
}


/* All numbers that are given out from now on are larger than what this
 * returns. */
uint64_t
kmq_sequence_epoch(kmq_t *kmq)
{
    kmq_block_t  *b = kmq->block;

    (void) __atomic_fetch_add(&b->epoch, 1, __ATOMIC_SEQ_CST);

    return __atomic_load_n(&b->sequence, __ATOMIC_SEQ_CST) - 1;
}
