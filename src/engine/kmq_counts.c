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

/* The current periods, of the queue and of a topic. */
typedef struct {
    kmq_period_t  *of[4];
} now_t;


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


static kmq_period_t *
minute_now(kmq_t *kmq)
{
    return kmq_period(kmq->block->minute, KMQ_MINUTES,
                      kmq->wall / 1000 / MINUTE);
}


static kmq_period_t *
hour_now(kmq_t *kmq)
{
    return kmq_period(kmq->block->hour, KMQ_HOURS, kmq->wall / 1000 / HOUR);
}


static now_t
now(kmq_t *kmq, kmq_topic_t *topic)
{
    now_t     n;
    uint64_t  time;

    time = kmq->wall / 1000;

    n.of[0] = minute_now(kmq);
    n.of[1] = hour_now(kmq);
    n.of[2] = kmq_period(topic->minute, KMQ_TOPIC_MINUTES, time / MINUTE);
    n.of[3] = kmq_period(topic->day, KMQ_DAYS, time / DAY);

    return n;
}


void
kmq_count_published(kmq_t *kmq, kmq_topic_t *topic, uint64_t n)
{
    now_t     periods;
    unsigned  i;

    topic->published += n;
    kmq->block->published += n;
    periods = now(kmq, topic);

    for (i = 0; i < 4; i++) {
        periods.of[i]->published += n;
    }
}


/* One of them could not be stored. */
void
kmq_count_unpublished(kmq_t *kmq, kmq_topic_t *topic)
{
    now_t     periods;
    unsigned  i;

    topic->published--;
    kmq->block->published--;
    periods = now(kmq, topic);

    for (i = 0; i < 4; i++) {
        periods.of[i]->published -= periods.of[i]->published != 0;
    }
}


void
kmq_count_delivered(kmq_t *kmq, kmq_topic_t *topic, uint64_t n)
{
    now_t     periods;
    unsigned  i;

    if (n == 0) {
        return;
    }

    topic->delivered += n;
    kmq->block->delivered += n;
    periods = now(kmq, topic);

    for (i = 0; i < 4; i++) {
        periods.of[i]->delivered += n;
    }

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
    now_t     periods;
    unsigned  i;

    if (n == 0) {
        return;
    }

    topic->confirmed += n;
    kmq->block->confirmed += n;
    periods = now(kmq, topic);

    for (i = 0; i < 4; i++) {
        periods.of[i]->confirmed += n;
    }

    kmq_journal_counts(kmq, topic, 0, n);
}


/* How much there is to do, now and then. */
void
kmq_count_backlog(kmq_t *kmq)
{
    uint64_t      backlog;
    kmq_block_t  *b = kmq->block;

    backlog = b->waiting - b->reserved + b->in_flight - b->doomed
              + b->delayed;

    minute_now(kmq)->backlog = backlog;
    hour_now(kmq)->backlog = backlog;
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
