/*
 * Batches: messages of any topics that come in all or none, even if the worker
 * dies on the way.
 *
 * They are in several shards, which are committed one after the other, so there
 * is no moment at which all of them are.  But there is one at which that is
 * decided: each reserved message has the number of its batch, and a single
 * store in what the block knows of the worker says up to which one its batches
 * are being committed.  Whoever gives back what a dead worker had reserved
 * commits those instead (kmq_reap.c).
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../queue/kmq_queue.h"
#include "kmq_delivery_inside.h"


/* Messages that are reserved under one lock. */
#define LOCK_MESSAGES  256


/* Could these messages be in the queue if nothing else were?  What they need
 * beside their bodies is counted roughly, and so is the block: half of it is
 * what a single body may have, too. */
static int
may_fit(kmq_t *kmq, const kmq_message_t *m, unsigned n)
{
    unsigned  i;
    uint64_t  size;

    size = 0;

    for (i = 0; i < n; i++) {
        size += (uint64_t) m[i].size + sizeof(kmq_slot_t);
    }

    return size <= kmq_body_max(kmq)
           && n <= KMQ_GET(kmq->block->settings.waiting_max);
}


/* How many of these, from the first on, have the same topic. */
static unsigned
same_topic(const kmq_topic_name_t *topic, unsigned n)
{
    unsigned  i;

    for (i = 1; i < n && i < LOCK_MESSAGES && topic[i].len == topic[0].len
                && memcmp(topic[i].bytes, topic[0].bytes, topic[0].len) == 0;
         i++)
    {
        /* void */
    }

    return i;
}


/* Reserves messages of one topic for a batch.  Returns how many; *why tells why
 * not all. */
static unsigned
reserve_same(kmq_t *kmq, const kmq_topic_name_t *topic, kmq_message_t *m,
    unsigned n, uint64_t batch, int *why)
{
    unsigned     i;
    kmq_slot_t  *slot;

    kmq_lock(kmq, kmq_topic_shard(kmq, topic->bytes, topic->len));

    n = kmq_reserve_named(kmq, topic->bytes, topic->len, m, n, why);

    for (i = 0; i < n; i++) {
        slot = KMQ_AT(kmq->block, m[i].slot);
        KMQ_SET(slot->batch, batch);
        KMQ_POINT("batch-reserve");
    }

    kmq_unlock(kmq);

    return n;
}


int
kmq_reserve_batch(kmq_t *kmq, const kmq_topic_name_t *topics, kmq_message_t *m,
    unsigned n, uint64_t *batch)
{
    int       why;
    unsigned  i;

    if (!may_fit(kmq, m, n)) {
        return KMQ_ERROR;
    }

    *batch = ++kmq->batch;
    why = KMQ_OK;

    for (i = 0; i < n && why == KMQ_OK; /* void */) {
        i += reserve_same(kmq, &topics[i], &m[i],
                          same_topic(&topics[i], n - i), *batch, &why);
    }

    if (why != KMQ_OK) {
        kmq_discard(kmq, m, i);
    }

    return why;
}


void
kmq_batch_decide(kmq_t *kmq, uint64_t batch)
{
    KMQ_POINT("batch-decide");

    __atomic_store_n(&kmq->block->worker[kmq->worker].decided, batch,
                     __ATOMIC_SEQ_CST);

    KMQ_POINT("batch-decided");
}


void
kmq_batch_end(kmq_t *kmq)
{
    KMQ_POINT("batch-end");

    __atomic_store_n(&kmq->block->worker[kmq->worker].decided, 0,
                     __ATOMIC_SEQ_CST);
}
