/*
 * Periods: what is counted by minute and hour, for the queue and for each
 * topic.  A topic has room for a few of them, gets room for all that are kept
 * when it needs it, and gives that back when they are over.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "kmq_queue_inside.h"


#define MINUTE  60
#define HOUR    (60 * MINUTE)


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


/* How many periods of that class a topic can have. */
unsigned
kmq_periods_kept(unsigned class)
{
    return class == KMQ_CLASS_MINUTES ? KMQ_TOPIC_MINUTES : KMQ_TOPIC_HOURS;
}


static unsigned
period_length(unsigned class)
{
    return class == KMQ_CLASS_MINUTES ? MINUTE : HOUR;
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
    return (uint32_t) period->number_high << 16 | period->number_low;
}


static void
number_set(kmq_topic_period_t *period, uint32_t number)
{
    period->number_low = number & 0xffff;
    period->number_high = number >> 16;
}


/* A topic's periods of that class, and in *n how many there are. */
static kmq_topic_period_t *
periods_of(kmq_shard_t *s, kmq_topic_t *topic, unsigned class, unsigned *n)
{
    kmq_ref_t       ref = topic->part[class - KMQ_CLASS_NAME];
    kmq_periods_t  *periods;

    if (ref == 0) {
        *n = KMQ_FEW;
        return topic->few[class - KMQ_CLASS_MINUTES];
    }

    periods = KMQ_AT(s, ref);
    *n = kmq_periods_kept(class);

    return periods->period;
}


_Static_assert(KMQ_TOPIC_MINUTES % KMQ_FEW == 0
               && KMQ_TOPIC_HOURS % KMQ_FEW == 0,
               "of a few, no two meet in the room for all");


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

    for (i = 0; i < KMQ_FEW; i++) {
        number = number_of(&few[i]);

        if (number) {
            periods->period[number % n] = few[i];
        }
    }

    KMQ_SET(topic->part[class - KMQ_CLASS_NAME], KMQ_REF(kmq->shard, periods));

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

    period = periods_of(kmq->shard, topic, class, &n);
    period += number % n;
    other = number_of(period);

    if (n == KMQ_FEW && other && both_kept(class, other, number)
        && periods_extend(kmq, topic, class) == KMQ_OK)
    {
        return kmq_topic_period(kmq, topic, class, number);
    }

    memset(period, 0, sizeof(kmq_topic_period_t));
    number_set(period, number);

    return period;
}


/* A topic's period of that number. */
kmq_topic_period_t *
kmq_topic_period(kmq_t *kmq, kmq_topic_t *topic, unsigned class,
    uint32_t number)
{
    unsigned             n;
    kmq_topic_period_t  *period;

    period = periods_of(kmq->shard, topic, class, &n);
    period += number % n;

    return number_of(period) == number
           ? period : period_begin(kmq, topic, class, number);
}


/* All of those that were kept together have room together, also where a clock
 * that was set back has put years between them. */
kmq_topic_period_t *
kmq_topic_period_restore(kmq_t *kmq, kmq_topic_t *topic, unsigned class,
    uint32_t number)
{
    unsigned             n;
    uint32_t             other;
    kmq_topic_period_t  *periods;

    periods = periods_of(kmq->shard, topic, class, &n);
    other = number_of(&periods[number % n]);

    if (n == KMQ_FEW && other && other != number) {
        (void) periods_extend(kmq, topic, class);
    }

    return kmq_topic_period(kmq, topic, class, number);
}


/* Frees a part of a topic. */
static void
part_drop(kmq_shard_t *s, unsigned class, kmq_ref_t *part)
{
    void  *object = KMQ_AT(s, *part);

    KMQ_SET(*part, 0);
    KMQ_POINT("topic-part-drop");

    kmq_table_free(s, class, object);
}


/* Of the current ones of n periods, the last, NULL: there is none; and in
 * *before the number of the one before it, 0: there is none. */
static kmq_topic_period_t *
period_last(kmq_topic_period_t *period, unsigned n, unsigned class,
    uint64_t time, uint32_t *before)
{
    uint32_t             number;
    kmq_topic_period_t  *last;

    *before = 0;

    for (last = NULL; n--; period++) {
        number = number_of(period);

        if (!kmq_period_current(class, number, time)) {
            continue;
        }

        if (last == NULL || number > number_of(last)) {
            *before = last ? number_of(last) : 0;
            last = period;

        } else if (number > *before) {
            *before = number;
        }
    }

    return last;
}


/*
 * As long as two are kept, they may need the room, so it is looked at when the
 * last but one will be over.  Whoever dies before the room is given back leaves
 * a number that is over, so it is looked at again.
 */
static void
periods_trim(kmq_t *kmq, kmq_topic_t *topic, unsigned class)
{
    unsigned             n;
    uint32_t             before;
    uint64_t             time = kmq->wall / 1000;
    kmq_ref_t           *part = &topic->part[class - KMQ_CLASS_NAME];
    kmq_topic_period_t  *few, *periods, *last;

    few = topic->few[class - KMQ_CLASS_MINUTES];

    if (*part == 0 || number_of(few) > time / period_length(class)) {
        return;
    }

    periods = periods_of(kmq->shard, topic, class, &n);
    last = period_last(periods, n, class, time, &before);

    if (before) {
        number_set(few, before + n);
        return;
    }

    memset(few, 0, KMQ_FEW * sizeof(kmq_topic_period_t));

    if (last) {
        few[number_of(last) % KMQ_FEW] = *last;
    }

    part_drop(kmq->shard, class, part);
}


void
kmq_topic_periods_trim(kmq_t *kmq, kmq_topic_t *topic)
{
    periods_trim(kmq, topic, KMQ_CLASS_MINUTES);
    periods_trim(kmq, topic, KMQ_CLASS_HOURS);
}


/* --------------------------------------------------------------- backlogs */

#define MANTISSA  2048

uint64_t
kmq_backlog_read(unsigned kept)
{
    return kept ? ((uint64_t) (kept % MANTISSA) << kept / MANTISSA) - 1
                : KMQ_UNKNOWN;
}


unsigned
kmq_backlog_keep(uint64_t backlog)
{
    unsigned  power;
    uint64_t  n;

    if (backlog >= (uint64_t) MANTISSA << 31) {
        return 0;
    }

    n = backlog + 1;

    for (power = 0; n >= MANTISSA; power++) {
        n >>= 1;
    }

    return power * MANTISSA + (unsigned) n;
}


void
kmq_topic_minute(kmq_t *kmq, kmq_topic_t *topic, uint32_t number)
{
    unsigned             n;
    kmq_topic_period_t  *period;

    period = periods_of(kmq->shard, topic, KMQ_CLASS_MINUTES, &n);
    period += number % n;

    if (number_of(period) != number) {
        period = kmq_topic_period(kmq, topic, KMQ_CLASS_MINUTES, number);
        period->backlog = kmq_backlog_keep(topic->ready.count
                                           + topic->in_flight
                                           + topic->retrying
                                           + topic->delayed);
    }
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

    from = periods_of(kmq->shard, topic, class, &n);

    for (i = 0; i < n; i++) {
        number = number_of(&from[i]);

        if (kmq_period_current(class, number, kmq->wall / 1000)) {
            to = &period[number % kept];
            to->number = number;
            to->published = from[i].published;
            to->delivered = from[i].delivered;
            to->confirmed = from[i].confirmed;
            to->backlog = kmq_backlog_read(from[i].backlog);
        }
    }
}
