/*
 * What is counted of messages that come, are pushed and are confirmed: in all,
 * by minute and hour for the queue, by minute and day for each topic; and how
 * long messages waited for their first push.
 */

#include "kmq_block.h"


#define MINUTE  60
#define HOUR    (60 * MINUTE)
#define DAY     (24 * HOUR)


const uint32_t  kmq_latency_bound[KMQ_LATENCY_BOUNDS] = {
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000,
    60000, 300000
};

/* The period of that number, in a table of the last n ones. */
kmq_period_t *
kmq_period(kmq_period_t *period, unsigned n, uint64_t number)
{
    period += number % n;

    if (period->number != number) {
        memset(period, 0, sizeof(kmq_period_t));
        period->number = number;
        period->backlog = KMQ_UNKNOWN;
    }

    return period;
}


/* published -1: one that was counted has not been stored after all. */
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


/* So much happened in the queue then, in s: in all, and in those periods. */
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


/* The same in a topic. */
void
kmq_count_topic(kmq_topic_t *topic, uint64_t time, int64_t published,
    uint64_t delivered, uint64_t confirmed)
{
    topic->totals.published += published;
    topic->totals.delivered += delivered;
    topic->totals.confirmed += confirmed;

    period_add(kmq_period(topic->minute, KMQ_TOPIC_MINUTES, time / MINUTE),
               published, delivered, confirmed);
    period_add(kmq_period(topic->day, KMQ_DAYS, time / DAY), published,
               delivered, confirmed);
}


/* And now in both. */
static void
count_now(kmq_t *kmq, kmq_topic_t *topic, int64_t published,
    uint64_t delivered, uint64_t confirmed)
{
    uint64_t  time;

    time = kmq->wall / 1000;

    kmq_count_queue(kmq->block, time, published, delivered, confirmed);
    kmq_count_topic(topic, time, published, delivered, confirmed);
}


void
kmq_count_published(kmq_t *kmq, kmq_topic_t *topic, uint64_t n)
{
    count_now(kmq, topic, (int64_t) n, 0, 0);
}


/* One of them could not be stored. */
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
        kmq_journal_counts(kmq, topic, n, 0);
    }
}


/* A delivery, counted as such, was not its message's first. */
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
        kmq_journal_counts(kmq, topic, 0, n);
    }
}


/* How much there is to do, now and then. */
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
