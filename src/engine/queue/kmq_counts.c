/*
 * What is counted: messages published, pushed and confirmed, in all, by minute
 * and by hour, for the queue and for each topic; and how long messages waited
 * for their first push.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../journal/kmq_journal.h"
#include "kmq_queue.h"


#define MINUTE  60
#define HOUR    (60 * MINUTE)


const uint32_t  kmq_latency_bound[KMQ_LATENCY_BOUNDS] = {
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000,
    60000, 300000
};


/*
 * Adds what a shard counted, or what happened just now.  Fewer than none may
 * have been published, when a message that was counted in an earlier period was
 * not stored in the end; that is told as none.
 */
static void
period_add(kmq_period_t *period, uint64_t published, uint64_t delivered,
    uint64_t confirmed)
{
    period->published += published;
    period->delivered += delivered;
    period->confirmed += confirmed;
}


/*
 * A shard counts in a period of its own, the current one.  When another one
 * begins, what was counted is added to the block's: to which each shard brings
 * its part.
 */
static void
period_flush(kmq_t *kmq, kmq_period_t *table, unsigned n, kmq_period_t *period)
{
    kmq_period_t  *to, counted;

    /* nothing is counted twice when this process dies on the way */

    counted = *period;
    KMQ_SET(period->number, 0);
    memset(period, 0, sizeof(kmq_period_t));

    if (counted.number == 0) {
        return;
    }

    kmq_common_lock(kmq);

    to = &table[counted.number % n];

    /* a newer one may be there already, when a clock was set back */

    if (to->number <= counted.number) {
        to = kmq_period(table, n, counted.number);
        period_add(to, counted.published, counted.delivered,
                   counted.confirmed);
    }

    kmq_common_unlock(kmq);
}


/* So much happened in the queue at that time, in s: counts it in all, and in
 * its minute and hour. */
void
kmq_count_queue(kmq_t *kmq, uint64_t time, int64_t published,
    uint64_t delivered, uint64_t confirmed)
{
    kmq_shard_t  *s = kmq->shard;

    s->totals.published += published;
    s->totals.delivered += delivered;
    s->totals.confirmed += confirmed;

    if (s->minute.number != time / MINUTE) {
        period_flush(kmq, kmq->block->minute, KMQ_MINUTES, &s->minute);
        s->minute.number = time / MINUTE;
    }

    if (s->hour.number != time / HOUR) {
        period_flush(kmq, kmq->block->hour, KMQ_HOURS, &s->hour);
        s->hour.number = time / HOUR;
    }

    period_add(&s->minute, published, delivered, confirmed);
    period_add(&s->hour, published, delivered, confirmed);
}


/* Has none published where fewer than none were. */
static void
periods_tell(kmq_period_t *period, unsigned n)
{
    for ( /* void */ ; n--; period++) {
        if ((int64_t) period->published < 0) {
            period->published = 0;
        }
    }
}


/* Adds what a shard has not told the block yet to a copy of that. */
static void
period_sum(kmq_period_t *table, unsigned n, const kmq_period_t *period)
{
    kmq_period_t  *to;

    to = &table[period->number % n];

    if (period->number && to->number <= period->number) {
        to = kmq_period(table, n, period->number);
        period_add(to, period->published, period->delivered,
                   period->confirmed);
    }
}


void
kmq_periods_sum_locked(kmq_t *kmq, kmq_period_t *minute, kmq_period_t *hour)
{
    unsigned            i;
    kmq_block_t        *b = kmq->block;
    const kmq_shard_t  *s;

    kmq_common_lock(kmq);

    if (minute) {
        memcpy(minute, b->minute, sizeof(b->minute));
    }

    if (hour) {
        memcpy(hour, b->hour, sizeof(b->hour));
    }

    kmq_common_unlock(kmq);

    for (i = 0; i < b->nshards; i++) {
        s = KMQ_SHARD(b, i);

        if (minute) {
            period_sum(minute, KMQ_MINUTES, &s->minute);
        }

        if (hour) {
            period_sum(hour, KMQ_HOURS, &s->hour);
        }
    }

    if (minute) {
        periods_tell(minute, KMQ_MINUTES);
    }

    if (hour) {
        periods_tell(hour, KMQ_HOURS);
    }
}


void
kmq_periods_sum(kmq_t *kmq, kmq_period_t *minute, kmq_period_t *hour)
{
    kmq_lock_all(kmq);
    kmq_periods_sum_locked(kmq, minute, hour);
    kmq_unlock_all(kmq);
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
    topic_period_add(kmq_topic_period(kmq, topic, KMQ_CLASS_HOURS, time / HOUR),
                     published, delivered, confirmed);
}


/* And now in both. */
static void
count_now(kmq_t *kmq, kmq_topic_t *topic, int64_t published,
    uint64_t delivered, uint64_t confirmed)
{
    uint64_t  time;

    time = kmq->wall / 1000;

    kmq_topic_minute(kmq, topic, time / MINUTE);
    kmq_count_queue(kmq, time, published, delivered, confirmed);
    kmq_count_topic(kmq, topic, time, published, delivered, confirmed);
}


static void
journal_now(kmq_t *kmq, kmq_topic_t *topic, uint32_t delivered,
    uint32_t confirmed)
{
    if (kmq->journal.on) {
        kmq_journal_counts(kmq, KMQ_REF(kmq->shard, topic),
                           kmq_topic_name(kmq->shard, topic),
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
    kmq->shard->totals.redelivered++;
}


void
kmq_count_confirmed(kmq_t *kmq, kmq_topic_t *topic, uint64_t n)
{
    if (n) {
        count_now(kmq, topic, 0, 0, n);
        journal_now(kmq, topic, 0, n);
    }
}


/* How many messages of a shard are not history, nor dead. */
uint64_t
kmq_backlog(const kmq_shard_t *s)
{
    return s->waiting - s->reserved + s->in_flight - s->doomed + s->delayed
           + s->retrying;
}


/* Notes how many of all shards there are now. */
void
kmq_count_backlog(kmq_t *kmq, uint64_t n)
{
    uint64_t      time;
    kmq_block_t  *b = kmq->block;

    time = kmq->wall / 1000;

    kmq_common_lock(kmq);

    kmq_period(b->minute, KMQ_MINUTES, time / MINUTE)->backlog = n;
    kmq_period(b->hour, KMQ_HOURS, time / HOUR)->backlog = n;

    kmq_common_unlock(kmq);
}


/* A message is pushed for the first time that has been ready since then. */
void
kmq_count_latency(kmq_t *kmq, uint32_t since)
{
    unsigned        i;
    uint32_t        waited;
    kmq_latency_t  *latency = &kmq->shard->latency;

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
