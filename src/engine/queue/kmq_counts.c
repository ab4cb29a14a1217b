/*
 * What is counted: messages published, pushed and confirmed, in all, by minute
 * and hour for the queue, by minute and day for each topic; and how long
 * messages waited for their first push.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../journal/kmq_journal.h"
#include "kmq_queue_inside.h"


#define MINUTE  60
#define HOUR    (60 * MINUTE)
#define DAY     (24 * HOUR)


const uint32_t  kmq_latency_bound[KMQ_LATENCY_BOUNDS] = {
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000,
    60000, 300000
};


/* ---------------------------------------------------------------- periods */

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


/* How many periods of that class a topic can have. */
unsigned
kmq_periods_kept(unsigned class)
{
    return class == KMQ_CLASS_MINUTES ? KMQ_TOPIC_MINUTES : KMQ_DAYS;
}


static unsigned
period_length(unsigned class)
{
    return class == KMQ_CLASS_MINUTES ? MINUTE : DAY;
}


/* Is the period of that number kept at a time, in s? */
int
kmq_period_current(unsigned class, uint64_t number, uint64_t time)
{
    return number
           && number + kmq_periods_kept(class) > time / period_length(class);
}


static uint32_t
number_of(const kmq_topic_period_t *period)
{
    return period->number_high << 16 | period->number_low;
}


/* A topic's periods of that class, and in *n how many there are. */
static kmq_topic_period_t *
periods_of(kmq_block_t *b, kmq_topic_t *topic, unsigned class, unsigned *n)
{
    kmq_ref_t       ref = topic->part[class - KMQ_CLASS_NAME];
    kmq_periods_t  *periods;

    if (ref == 0) {
        *n = KMQ_FEW;
        return topic->few[class - KMQ_CLASS_MINUTES];
    }

    periods = KMQ_AT(b, ref);
    *n = kmq_periods_kept(class);

    return periods->period;
}


/* Gives a topic room for all of its periods; KMQ_NOMEM. */
static int
periods_extend(kmq_t *kmq, kmq_topic_t *topic, unsigned class)
{
    unsigned             i, n;
    uint32_t             number;
    kmq_periods_t       *periods;
    kmq_topic_period_t  *few;

    periods = kmq_topic_part(kmq, topic, class);
    if (periods == NULL) {
        return KMQ_NOMEM;
    }

    n = kmq_periods_kept(class);
    few = topic->few[class - KMQ_CLASS_MINUTES];

    /* two of them cannot meet: KMQ_FEW divides n */

    for (i = 0; i < KMQ_FEW; i++) {
        number = number_of(&few[i]);

        if (number) {
            periods->period[number % n] = few[i];
        }
    }

    KMQ_SET(topic->part[class - KMQ_CLASS_NAME], KMQ_REF(kmq->block, periods));

    return KMQ_OK;
}


/* Will two periods be kept at the same time? */
static int
both_kept(unsigned class, uint32_t one, uint32_t two)
{
    return (one > two ? one - two : two - one) < kmq_periods_kept(class);
}


/*
 * Begins the period of that number.  It replaces an older one that is not kept
 * any more, or, without memory, another one, which is lost.
 */
static kmq_topic_period_t *
period_begin(kmq_t *kmq, kmq_topic_t *topic, unsigned class, uint32_t number)
{
    unsigned             n;
    uint32_t             other;
    kmq_topic_period_t  *period;

    period = periods_of(kmq->block, topic, class, &n);
    period += number % n;
    other = number_of(period);

    if (n == KMQ_FEW && other && both_kept(class, other, number)
        && periods_extend(kmq, topic, class) == KMQ_OK)
    {
        return kmq_topic_period(kmq, topic, class, number);
    }

    memset(period, 0, sizeof(kmq_topic_period_t));
    period->number_low = number & 0xffff;
    period->number_high = number >> 16;

    return period;
}


/* A topic's period of that number. */
kmq_topic_period_t *
kmq_topic_period(kmq_t *kmq, kmq_topic_t *topic, unsigned class,
    uint32_t number)
{
    unsigned             n;
    kmq_topic_period_t  *period;

    period = periods_of(kmq->block, topic, class, &n);
    period += number % n;

    return number_of(period) == number
           ? period : period_begin(kmq, topic, class, number);
}


/* Fills a topic's current periods of that class into period, which has room
 * for all that are kept; the others are zeros. */
void
kmq_topic_periods(kmq_t *kmq, kmq_topic_t *topic, unsigned class,
    kmq_period_t *period)
{
    unsigned             i, n, kept;
    uint32_t             number;
    kmq_period_t        *to;
    kmq_topic_period_t  *from;

    kept = kmq_periods_kept(class);
    memset(period, 0, kept * sizeof(kmq_period_t));

    from = periods_of(kmq->block, topic, class, &n);

    for (i = 0; i < n; i++) {
        number = number_of(&from[i]);

        if (kmq_period_current(class, number, kmq->wall / 1000)) {
            to = &period[number % kept];
            to->number = number;
            to->published = from[i].published;
            to->delivered = from[i].delivered;
            to->confirmed = from[i].confirmed;
            to->backlog = KMQ_UNKNOWN;
        }
    }
}


/* ----------------------------------------------------------------- counts */

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
