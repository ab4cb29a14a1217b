/*
 * What the model counts, as the engine must.
 */

#include "count.h"


uint32_t
seconds(unsigned h)
{
    return (uint32_t) (M.handle[h].wall / 1000);
}


/* The period of a time, in a table of the last n ones of so many seconds. */
static kmq_period_t *
period_of(kmq_period_t *period, unsigned n, unsigned h, unsigned length)
{
    uint64_t  number;

    number = seconds(h) / length;
    period += number % n;

    if (period->number != number) {
        memset(period, 0, sizeof(kmq_period_t));
        period->number = number;
        period->backlog = KMQ_UNKNOWN;
    }

    return period;
}


/* So many are published, or, not to be, delivered, confirmed. */
void
count(topic_t *t, unsigned h, int published, unsigned delivered,
    unsigned confirmed)
{
    unsigned       i;
    kmq_period_t  *p[4];

    M.published += published;
    M.delivered += delivered;
    M.confirmed += confirmed;
    t->count.published += published;
    t->count.delivered += delivered;
    t->count.confirmed += confirmed;

    p[0] = period_of(M.minute, KMQ_MINUTES, h, 60);
    p[1] = period_of(M.hour, KMQ_HOURS, h, 3600);
    p[2] = period_of(t->count.minute, KMQ_TOPIC_MINUTES, h, 60);
    p[3] = period_of(t->count.hour, KMQ_TOPIC_HOURS, h, 3600);

    if (seconds(h) > t->count.latest) {
        t->count.latest = seconds(h);
    }

    for (i = 0; i < 4; i++) {

        /* of the queue, fewer than none are told as none */

        if (i > 1 && published < 0 && p[i]->published < (uint64_t) -published) {
            p[i]->published = 0;
        } else {
            p[i]->published += published;
        }

        p[i]->delivered += delivered;
        p[i]->confirmed += confirmed;
    }
}


/* Is the period of a topic, one of n, told at a time, in s, or kept then? */
int
is_current(uint64_t number, unsigned n, uint64_t time)
{
    return number && number + n > time / (n == KMQ_TOPIC_HOURS ? 3600 : 60);
}


/* How much there is to do, as h sees when it ticks. */
void
count_backlog(unsigned h)
{
    uint64_t  backlog;

    backlog = M.ready + M.in_flight + M.delayed.count + M.retrying.count;
    period_of(M.minute, KMQ_MINUTES, h, 60)->backlog = backlog;
    period_of(M.hour, KMQ_HOURS, h, 3600)->backlog = backlog;
}
