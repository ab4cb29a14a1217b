/* What is counted of messages that come, are pushed and are confirmed: in
 * all, and by hour and day. */

#include "kmq_block.h"


#define HOUR  3600
#define DAY   (24 * HOUR)


/* The period of that number, in a table of the last n ones. */
kmq_period_t *
kmq_period(kmq_period_t *period, unsigned n, uint64_t number)
{
    period += number % n;

    if (period->number != number) {
        memset(period, 0, sizeof(kmq_period_t));
        period->number = number;
    }

    return period;
}


static kmq_period_t *
hour_now(kmq_t *kmq)
{
    return kmq_period(kmq->block->hour, KMQ_HOURS, kmq->wall / 1000 / HOUR);
}


static kmq_period_t *
day_now(kmq_t *kmq, kmq_topic_t *topic)
{
    return kmq_period(topic->day, KMQ_DAYS, kmq->wall / 1000 / DAY);
}


void
kmq_count_published(kmq_t *kmq, kmq_topic_t *topic, uint64_t n)
{
    topic->published += n;
    kmq->block->published += n;

    day_now(kmq, topic)->published += n;
    hour_now(kmq)->published += n;
}


/* One of them could not be stored. */
void
kmq_count_unpublished(kmq_t *kmq, kmq_topic_t *topic)
{
    kmq_period_t  *period;

    topic->published--;
    kmq->block->published--;

    period = day_now(kmq, topic);
    period->published -= period->published != 0;

    period = hour_now(kmq);
    period->published -= period->published != 0;
}


void
kmq_count_delivered(kmq_t *kmq, kmq_topic_t *topic, uint64_t n)
{
    if (n == 0) {
        return;
    }

    topic->delivered += n;
    kmq->block->delivered += n;

    day_now(kmq, topic)->delivered += n;
    hour_now(kmq)->delivered += n;

    kmq_journal_counts(kmq, topic, n, 0);
}


/* A delivery, counted as such, was not its message's first. */
void
kmq_count_redelivered(kmq_t *kmq, kmq_topic_t *topic)
{
    topic->redelivered++;
    kmq->block->redelivered++;
}


void
kmq_count_confirmed(kmq_t *kmq, kmq_topic_t *topic, uint64_t n)
{
    if (n == 0) {
        return;
    }

    topic->confirmed += n;
    kmq->block->confirmed += n;

    day_now(kmq, topic)->confirmed += n;
    hour_now(kmq)->confirmed += n;

    kmq_journal_counts(kmq, topic, 0, n);
}
