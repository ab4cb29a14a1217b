/*
 * What is counted: messages published, pushed and confirmed, in all, by minute
 * and hour for the queue, by minute and day for each topic; and how long
 * messages waited for their first push.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../journal/kmq_journal.h"
#include "kmq_queue.h"


#define MINUTE  60
#define HOUR    (60 * MINUTE)
#define DAY     (24 * HOUR)


const uint32_t  kmq_latency_bound[KMQ_LATENCY_BOUNDS] = {
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000,
    60000, 300000
};


/* published is -1 when a message that was counted has not been stored. */
static void
period_add(kmq_period_t *period, int64_t published, uint64_t delivered,
    uint64_t confirmed)
{
    if (published > 0 || period->published) {
        period->published += published;
    }

    period->delivered += delivered;
    period->confirmed += confirmed;
}


/* So much happened in the queue at that time, in s: counts it in all, and in
 * its minute and hour. */
void
kmq_count_queue(kmq_block_t *b, uint64_t time, int64_t published,
    uint64_t delivered, uint64_t confirmed)
{
    b->totals.published += published;
    b->totals.delivered += delivered;
    b->totals.confirmed += confirmed;

    period_add(kmq_period(b->minute, KMQ_MINUTES, time / MINUTE), published,
               delivered, confirmed);
    period_add(kmq_period(b->hour, KMQ_HOURS, time / HOUR), published,
               delivered, confirmed);
}


static void
topic_period_add(kmq_topic_period_t *period, int64_t published,
    uint64_t delivered, uint64_t confirmed)
{
    /* it is one of them, mostly */

    if (published > 0 || (published < 0 && period->published)) {
        period->published += published;
    }

    if (delivered) {
        period->delivered += delivered;
    }

    if (confirmed) {
        period->confirmed += confirmed;
    }
}


/* The same in a topic. */
void
kmq_count_topic(kmq_t *kmq, kmq_topic_t *topic, uint64_t time,
    int64_t published, uint64_t delivered, uint64_t confirmed)
{
    topic->totals.published += published;
    topic->totals.delivered += delivered;
    topic->totals.confirmed += confirmed;

    topic_period_add(kmq_topic_period(kmq, topic, KMQ_CLASS_MINUTES,
                                      time / MINUTE),
                     published, delivered, confirmed);
    topic_period_add(kmq_topic_period(kmq, topic, KMQ_CLASS_DAYS, time / DAY),
                     published, delivered, confirmed);
}


/* And now in both. */
static void
count_now(kmq_t *kmq, kmq_topic_t *topic, int64_t published,
    uint64_t delivered, uint64_t confirmed)
{
    uint64_t  time;

    time = kmq->wall / 1000;

    kmq_count_queue(kmq->block, time, published, delivered, confirmed);
    kmq_count_topic(kmq, topic, time, published, delivered, confirmed);
}


static void
journal_now(kmq_t *kmq, kmq_topic_t *topic, uint32_t delivered,
    uint32_t confirmed)
{
    if (kmq->journal.on) {
        kmq_journal_counts(kmq, KMQ_REF(kmq->block, topic),
                           kmq_topic_name(kmq->block, topic),
                           topic->name_len, delivered, confirmed);
    }
}


void
kmq_count_published(kmq_t *kmq, kmq_topic_t *topic, uint64_t n)
{
    count_now(kmq, topic, (int64_t) n, 0, 0);
}


/* A message that was counted as published has not been stored. */
void
kmq_count_unpublished(kmq_t *kmq, kmq_topic_t *topic)
{
    count_now(kmq, topic, -1, 0, 0);
}


void
kmq_count_delivered(kmq_t *kmq, kmq_topic_t *topic, uint64_t n)
{
    if (n) {
        count_now(kmq, topic, 0, n, 0);
        journal_now(kmq, topic, n, 0);
    }
}


/* A delivery that is counted was not its message's first. */
void
kmq_count_redelivered(kmq_t *kmq, kmq_topic_t *topic)
{
    topic->totals.redelivered++;
    kmq->block->totals.redelivered++;
}


void
kmq_count_confirmed(kmq_t *kmq, kmq_topic_t *topic, uint64_t n)
{
    if (n) {
        count_now(kmq, topic, 0, 0, n);
        journal_now(kmq, topic, 0, n);
    }
}


/* Notes how many messages there are now. */
void
kmq_count_backlog(kmq_t *kmq)
{
    uint64_t      backlog, time;
    kmq_block_t  *b = kmq->block;

    backlog = b->waiting - b->reserved + b->in_flight - b->doomed
              + b->delayed;

    time = kmq->wall / 1000;

    kmq_period(b->minute, KMQ_MINUTES, time / MINUTE)->backlog = backlog;
    kmq_period(b->hour, KMQ_HOURS, time / HOUR)->backlog = backlog;
}


/* A message is pushed for the first time that has been ready since then. */
void
kmq_count_latency(kmq_t *kmq, uint32_t since)
{
    unsigned        i;
    uint32_t        waited;
    kmq_latency_t  *latency = &kmq->block->latency;

    waited = (uint32_t) kmq->mono - since;

    /* the other worker's clock may be ahead of this one's */

    if ((int32_t) waited < 0) {
        waited = 0;
    }

    for (i = 0; i < KMQ_LATENCY_BOUNDS; i++) {
        if (waited <= kmq_latency_bound[i]) {
            break;
        }
    }

    latency->count[i]++;
    latency->sum += waited;
}
