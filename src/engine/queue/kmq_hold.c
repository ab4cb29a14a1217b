/*
 * Consumers that are held: why one gets nothing new, or one message at a time,
 * although its connection takes bytes.
 *
 *   alone      It has a suspect, and nothing behind it until that is confirmed
 *              or its time is over.
 *   emptying   It runs empty for a suspect.
 *   paused     It gave back what it had not begun.
 *   resting    It let a message become overdue: it gets none while the topic
 *              has another consumer that does not rest, or, once it has
 *              confirmed something, while such a one is ready; else one at a
 *              time.  Its next pong ends that; where it confirms by codes,
 *              time does, and then it has to confirm one first (proving).
 *   giving     It let two become overdue and confirmed none between them: all
 *              that it has goes back.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "kmq_queue_inside.h"


/* Numbers of those with times. */
#define ALONE     0
#define EMPTYING  1
#define PAUSED    2
#define RESTING   3

/* Consumers that rest and are admitted when no other is ready, and after how
 * many ms of that: one with a prefetch of 1 is not ready between any two of its
 * messages. */
#define ADMITTED_MAX   32
#define ADMIT_TIME    100


uint32_t
kmq_hold_limit(const kmq_client_t *client)
{
    return client->held & (KMQ_HELD_RESTING | KMQ_HELD_PROVING)
           ? 1 : client->prefetch;
}


static kmq_topic_t *
topic_of(kmq_t *kmq, const kmq_client_t *client)
{
    return KMQ_AT(kmq->shard, client->topic);
}


static void
hold(kmq_t *kmq, kmq_client_t *client, unsigned i, uint64_t ms)
{
    client->held |= 1 << i;
    client->until[i] = (uint32_t) (kmq->mono + ms);
    kmq_look_in(kmq, client, ms);
}


/* How many consumers are ready that do not rest? */
static uint32_t
others_ready(const kmq_topic_t *topic)
{
    return topic->ready_consumers - topic->ready_resting;
}


/* --------------------------------------------------------------- suspects */

void
kmq_hold_alone(kmq_t *kmq, kmq_client_t *client)
{
    kmq_topic_t  *topic = topic_of(kmq, client);

    if (client->held & KMQ_HELD_EMPTYING) {
        client->held &= ~KMQ_HELD_EMPTYING;

        if (topic->emptying == KMQ_REF(kmq->shard, client)) {
            topic->emptying = 0;
        }
    }

    topic->alone++;
    hold(kmq, client, ALONE, topic->settings.retry_delay_max);
}


static void
alone_end(kmq_t *kmq, kmq_client_t *client)
{
    kmq_topic_t  *topic = topic_of(kmq, client);

    client->held &= ~KMQ_HELD_ALONE;
    topic->alone--;

    if (topic->suspects.head) {
        kmq_routes_tell(kmq, topic, 0);
    }
}


void
kmq_hold_emptying(kmq_t *kmq, kmq_client_t *client, uint64_t ms)
{
    hold(kmq, client, EMPTYING, ms);
}


void
kmq_hold_emptied(kmq_t *kmq, kmq_client_t *client)
{
    if (client->in_flight) {
        return;
    }

    client->held &= ~KMQ_HELD_GIVING;

    if (client->held & KMQ_HELD_ALONE) {
        alone_end(kmq, client);
    }

    if (!(client->held & KMQ_HELD_EMPTYING)) {
        return;
    }

    if (topic_of(kmq, client)->emptying == KMQ_REF(kmq->shard, client)) {
        kmq_route_dirty(kmq, KMQ_AT(kmq->shard, client->route));
    } else {
        client->held &= ~KMQ_HELD_EMPTYING;
    }
}


/* ------------------------------------------------------------------ pauses */

void
kmq_hold_pause(kmq_t *kmq, kmq_client_t *client, uint64_t ms)
{
    if (ms) {
        kmq_suspect_stay(kmq, client);
        hold(kmq, client, PAUSED, ms);
    }
}


/* ------------------------------------------------------------------- rests */

static void
rest_link(kmq_shard_t *s, kmq_client_t *client)
{
    kmq_topic_t  *topic = KMQ_AT(s, client->topic);

    kmq_list_append(s, &topic->resting, &client->rest);
    topic->ready_resting += client->ready;
    s->resting++;
}


static void
rest_unlink(kmq_shard_t *s, kmq_client_t *client)
{
    kmq_topic_t  *topic = KMQ_AT(s, client->topic);

    kmq_list_remove(s, &topic->resting, &client->rest);
    topic->ready_resting -= client->ready;
    s->resting--;

    client->held &= ~(KMQ_HELD_RESTING | KMQ_HELD_ADMITTED
                      | KMQ_HELD_SPOKEN);
}


static void
rest_end(kmq_t *kmq, kmq_client_t *client)
{
    rest_unlink(kmq->shard, client);

    client->limit = kmq_hold_limit(client);

    if (client->ready && others_ready(topic_of(kmq, client)) == 1) {
        kmq_hold_review(kmq, topic_of(kmq, client));
    }
}


/* Its time is over: it has to prove itself, unless it has done so. */
static void
rest_over(kmq_t *kmq, kmq_client_t *client)
{
    if (!(client->held & KMQ_HELD_SPOKEN)) {
        client->held |= KMQ_HELD_PROVING;
    }

    rest_end(kmq, client);
}


/* May a consumer that rests have a message?  No other is ready; and it was not
 * late just now, or all others are late, too: those that are busy at the moment
 * do what this one did not do. */
static void
admit(kmq_t *kmq, kmq_client_t *client)
{
    kmq_topic_t  *topic = topic_of(kmq, client);

    if (others_ready(topic)
        || (client->held & KMQ_HELD_LATE
            && topic->resting.count < topic->matching))
    {
        client->held &= ~KMQ_HELD_ADMITTED;
    } else {
        client->held |= KMQ_HELD_ADMITTED;
    }
}


void
kmq_hold_review(kmq_t *kmq, kmq_topic_t *topic)
{
    unsigned       n, steps;
    uint32_t       others;
    kmq_ref_t      ref;
    kmq_shard_t   *s = kmq->shard;
    kmq_client_t  *client;

    n = 0;
    steps = KMQ_SLICE;
    others = others_ready(topic);

    for (ref = topic->resting.head; ref && n < ADMITTED_MAX && steps; steps--) {
        client = KMQ_CLIENT_OF(KMQ_AT(s, ref), rest);
        ref = client->rest.next;

        KMQ_STEP();

        /* it is admitted, or not, as it should be; or it would not be ready */

        if (!(client->held & KMQ_HELD_ADMITTED) == (others != 0)
            || !client->open)
        {
            continue;
        }

        n++;

        if (others || topic->resting.count == topic->matching) {
            kmq_look_now(kmq, client);
        } else {
            kmq_look_in(kmq, client, ADMIT_TIME);
        }
    }
}


void
kmq_hold_fewer(kmq_t *kmq, kmq_topic_t *topic)
{
    if (topic->resting.count && topic->resting.count == topic->matching) {
        kmq_hold_review(kmq, topic);
    }
}


void
kmq_hold_rest(kmq_t *kmq, kmq_client_t *client)
{
    kmq_topic_t  *topic = topic_of(kmq, client);

    kmq_suspect_stay(kmq, client);

    client->held &= ~KMQ_HELD_SPOKEN;

    if (!(client->held & KMQ_HELD_RESTING)) {
        client->held |= KMQ_HELD_RESTING;
        rest_link(kmq->shard, client);

        /* it may have been the last one that others saw ready */

        if ((client->ready && others_ready(topic) == 0)
            || topic->resting.count == topic->matching)
        {
            kmq_hold_review(kmq, topic);
        }
    }

    client->held &= ~KMQ_HELD_PROVING;

    if (client->by_code) {
        hold(kmq, client, RESTING, topic->settings.retry_delay_max);
    }
}


/* --------------------------------------------------------------------- all */

void
kmq_hold_confirmed(kmq_t *kmq, kmq_client_t *client)
{
    client->held &= ~(KMQ_HELD_LATE | KMQ_HELD_PROVING);

    if (client->held & KMQ_HELD_RESTING) {

        if (client->by_code) {
            client->held |= KMQ_HELD_SPOKEN;
            kmq_look_in(kmq, client, ADMIT_TIME);
        } else {
            rest_end(kmq, client);
        }
    }

    kmq_hold_emptied(kmq, client);
}


void
kmq_hold_spoken(kmq_t *kmq, kmq_client_t *client)
{
    if (client->by_code) {
        return;
    }

    client->held &= ~KMQ_HELD_LATE;

    if (client->held & KMQ_HELD_RESTING) {
        rest_end(kmq, client);
    }
}


/* Does hold number i end by time? */
static int
has_time(kmq_t *kmq, const kmq_client_t *client, unsigned i)
{
    switch (i) {

    case EMPTYING:
        return topic_of(kmq, client)->push_type == KMQ_PUSH_ALL;

    case RESTING:
        return client->by_code;

    default:
        return 1;
    }
}


static void
hold_over(kmq_t *kmq, kmq_client_t *client, unsigned i)
{
    switch (i) {

    case ALONE:
        alone_end(kmq, client);
        break;

    case EMPTYING:
        client->held &= ~KMQ_HELD_EMPTYING;
        client->past = client->next_position;
        break;

    case PAUSED:
        client->held &= ~KMQ_HELD_PAUSED;
        break;

    default: /* RESTING */
        rest_over(kmq, client);
        break;
    }
}


uint32_t
kmq_hold_look(kmq_t *kmq, kmq_client_t *client)
{
    int32_t   left;
    uint32_t  next;
    unsigned  i;

    next = 0;

    for (i = 0; i < KMQ_HELD_TIMES; i++) {

        if (!(client->held >> i & 1) || !has_time(kmq, client, i)) {
            continue;
        }

        left = (int32_t) (client->until[i] - (uint32_t) kmq->mono);

        if (left <= 0) {
            hold_over(kmq, client, i);

        } else if (next == 0 || (uint32_t) left < next) {
            next = left;
        }
    }

    if (client->held & KMQ_HELD_RESTING) {
        admit(kmq, client);
    }

    return next;
}


void
kmq_hold_leave(kmq_t *kmq, kmq_client_t *client)
{
    kmq_topic_t  *topic = topic_of(kmq, client);

    if (client->held & KMQ_HELD_ALONE) {
        alone_end(kmq, client);
    }

    if (client->held & KMQ_HELD_RESTING) {
        rest_unlink(kmq->shard, client);
    }

    if (topic->emptying == KMQ_REF(kmq->shard, client)) {
        topic->emptying = 0;
        kmq_routes_tell(kmq, topic, 0);
    }

    client->held = 0;
}


void
kmq_hold_link(kmq_shard_t *s, kmq_client_t *client)
{
    kmq_topic_t  *topic = KMQ_AT(s, client->topic);

    client->held &= KMQ_HELD_ALONE | KMQ_HELD_PAUSED | KMQ_HELD_RESTING
                    | KMQ_HELD_PROVING | KMQ_HELD_LATE | KMQ_HELD_SPOKEN;

    if (client->role != KMQ_CONSUMER) {
        client->held = 0;
    }

    if (client->held & KMQ_HELD_ALONE) {

        if (client->in_flight == 1 && client->suspects) {
            topic->alone++;
        } else {
            client->held &= ~KMQ_HELD_ALONE;
        }
    }

    if (client->held & KMQ_HELD_RESTING) {
        rest_link(s, client);
    }

    client->limit = kmq_hold_limit(client);
}
