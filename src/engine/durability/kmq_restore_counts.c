/* What restoring does with counters: those that records tell, and those of what
 * happened later. */

#include "../kmq_block.h"
#include "../queue/kmq_queue.h"
#include "kmq_restore_inside.h"


#define MINUTE  60
#define HOUR    (60 * MINUTE)


/* published is -1 when a message that was counted had not been stored. */
static void
period_count(kmq_period_t *period, int64_t published, uint64_t delivered,
    uint64_t confirmed)
{
    if (published > 0 || period->published) {
        period->published += published;
    }

    period->delivered += delivered;
    period->confirmed += confirmed;
}


/* So much happened in the queue at that time: the first shard counts it, and
 * the block, since that minute and that hour are over, mostly. */
void
kmq_restore_count(kmq_restore_t *rs, uint64_t time, int64_t published,
    uint64_t delivered, uint64_t confirmed)
{
    kmq_block_t   *b = rs->kmq->block;
    kmq_totals_t  *totals = &kmq_restore_first(rs)->totals;

    totals->published += published;
    totals->delivered += delivered;
    totals->confirmed += confirmed;

    period_count(kmq_period(b->minute, KMQ_MINUTES, time / MINUTE),
                 published, delivered, confirmed);
    period_count(kmq_period(b->hour, KMQ_HOURS, time / HOUR),
                 published, delivered, confirmed);
}


/* The next period, behind *count numbers; 0: there is none. */
static int
period_read(const kmq_record_t *r, unsigned *count, kmq_period_t *period)
{
    period->number = kmq_record_number(r, *count);
    period->published = kmq_record_number(r, *count + 1);
    period->delivered = kmq_record_number(r, *count + 2);
    period->confirmed = kmq_record_number(r, *count + 3);
    period->backlog = kmq_record_number(r, *count + 4);

    *count += KMQ_PERIOD_NUMBERS;

    return period->number != 0;
}


/* Up to max periods of the queue, n of which are kept. */
static void
periods_restore(const kmq_record_t *r, unsigned *count, uint64_t max,
    kmq_period_t *period, unsigned n)
{
    kmq_period_t  one;

    while (max-- && period_read(r, count, &one)) {
        *kmq_period(period, n, one.number) = one;
    }
}


/* The same of a topic, without those that were kept no longer then.  A period
 * is the first of units of those that are kept. */
static void
topic_periods_restore(kmq_restore_t *rs, kmq_topic_t *topic, unsigned class,
    const kmq_record_t *r, unsigned *count, uint64_t max, unsigned units)
{
    uint64_t             number;
    kmq_period_t         one;
    kmq_topic_period_t  *to;

    while (max-- && period_read(r, count, &one)) {
        number = one.number * units;

        if (one.number <= UINT32_MAX / units
            && kmq_period_current(class, number, r->time))
        {
            to = kmq_topic_period_restore(rs->kmq, topic, class, number);
            to->published = one.published;
            to->delivered = one.delivered;
            to->confirmed = one.confirmed;
            to->backlog = one.backlog == KMQ_UNKNOWN
                          ? 0 : kmq_backlog_keep(one.backlog);
        }
    }
}


/* The first n totals. */
static void
totals_read(const kmq_record_t *r, void *totals, unsigned n)
{
    unsigned  i;
    uint64_t  number;

    for (i = 0; i < n; i++) {
        number = kmq_record_number(r, i);
        memcpy((char *) totals + i * sizeof(number), &number, sizeof(number));
    }
}


void
kmq_restore_queue(kmq_restore_t *rs, const kmq_record_t *r)
{
    unsigned      count;
    uint64_t      sequence;
    kmq_block_t  *b = rs->kmq->block;

    totals_read(r, &kmq_restore_first(rs)->totals, KMQ_QUEUE_TOTALS);

    sequence = kmq_record_number(r, KMQ_QUEUE_TOTALS);

    if (sequence > rs->sequence && sequence <= KMQ_NUMBER_MAX) {
        rs->sequence = sequence;
    }

    rs->first = rs->first ? rs->first : r->lsn;
    rs->start = r->lsn;

    count = KMQ_QUEUE_COUNTERS;
    periods_restore(r, &count, kmq_record_number(r, KMQ_QUEUE_TOTALS + 1),
                    b->hour, KMQ_HOURS);
    periods_restore(r, &count, UINT64_MAX, b->minute, KMQ_MINUTES);
}


void
kmq_restore_topic(kmq_restore_t *rs, kmq_topic_t *topic,
    const kmq_record_t *r)
{
    unsigned  count;
    uint64_t  hours;

    totals_read(r, &topic->totals, KMQ_TOPIC_TOTALS);
    topic->restored = r->lsn;
    topic->paused = r->kind == KMQ_KIND_PAUSED;

    count = KMQ_TOPIC_COUNTERS;
    hours = kmq_record_number(r, KMQ_TOPIC_TOTALS);

    /* one of these is none: up to version 2 there were days of UTC, of which is
     * known when they began */

    topic_periods_restore(rs, topic, KMQ_CLASS_HOURS, r, &count,
                          hours % KMQ_TOPIC_HOUR, 24);
    topic_periods_restore(rs, topic, KMQ_CLASS_HOURS, r, &count,
                          hours / KMQ_TOPIC_HOUR, 1);
    topic_periods_restore(rs, topic, KMQ_CLASS_MINUTES, r, &count,
                          UINT64_MAX, 1);
}


void
kmq_restore_counts(kmq_restore_t *rs, kmq_topic_t *topic,
    const kmq_record_t *r)
{
    if (r->kind) {
        topic->paused = r->lsn > topic->restored
                        ? r->kind == KMQ_KIND_PAUSED : topic->paused;
        return;
    }

    if (!kmq_restore_counted(rs, r)) {
        kmq_restore_count(rs, r->time, 0, r->delivered, r->confirmed);
    }

    if (r->lsn > topic->restored) {
        kmq_count_topic(rs->kmq, topic, r->time, 0, r->delivered,
                        r->confirmed);
    }
}
