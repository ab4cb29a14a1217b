/*
 * The pace for all workers: a window of batch_interval lets batch_count
 * messages go.  When it begins, all topics that have something to push to
 * somebody get equal parts.  What is left then goes to whoever asks first.
 */

#include "../kmq_block.h"
#include "kmq_queue_inside.h"


/* How much the current window lets go of a topic, besides what is for all. */
static uint32_t
allotted_now(const kmq_block_t *b, const kmq_topic_t *topic)
{
    return topic->window == b->window ? topic->allotted : 0;
}


/* Ready messages that are neither granted nor allotted. */
uint64_t
kmq_pace_backlog(const kmq_block_t *b, const kmq_topic_t *topic)
{
    uint64_t  decided;

    decided = topic->push_type == KMQ_PUSH_ONE ? topic->granted
                                               : allotted_now(b, topic);

    return topic->ready.count > decided ? topic->ready.count - decided : 0;
}


/* n messages that could go were not pushed: others may. */
void
kmq_pace_credit(kmq_t *kmq, uint64_t n)
{
    kmq_block_t  *b = kmq->block;

    if (b->settings.batch_interval && kmq->mono < b->batch_end) {
        b->batch_left += n;
    }
}


void
kmq_pace_allot(const kmq_block_t *b, kmq_topic_t *topic, uint32_t n)
{
    topic->allotted = allotted_now(b, topic) + n;
    topic->window = b->window;
}


static int
topic_wants(const kmq_block_t *b, const kmq_topic_t *topic)
{
    return kmq_routes_ready(b, topic) != 0 && kmq_pace_backlog(b, topic) != 0;
}


static uint32_t
topic_allot(kmq_t *kmq, kmq_topic_t *topic, uint32_t n)
{
    uint64_t  backlog;

    backlog = kmq_pace_backlog(kmq->block, topic);
    n = n < backlog ? n : backlog;

    if (topic->push_type == KMQ_PUSH_ALL) {
        kmq_pace_allot(kmq->block, topic, n);
        kmq_routes_tell(kmq, topic, 0);

    } else {
        kmq_routes_grant(kmq, topic, n);
    }

    return n;
}


/* Equal parts of what is left for each of n topics. */
static void
round_begin(kmq_block_t *b, uint32_t n)
{
    b->round_rest = b->nactive;
    b->round_part = n && b->window_left / n ? b->window_left / n : 1;
    b->round_wanting = 0;
}


/*
 * Gives a slice of the window to topics, in rounds; the next window begins
 * where this one ends.  While there is more, kmq->pacing says so, and
 * kmq_take() goes on.  What is left then goes to whoever asks first.
 */
void
kmq_pace_slice(kmq_t *kmq)
{
    uint32_t      n;
    unsigned      steps;
    kmq_block_t  *b = kmq->block;
    kmq_topic_t  *topic;

    for (steps = 0; b->active && b->round_rest && b->window_left; steps++) {

        if (steps == KMQ_SLICE) {
            kmq->pacing = 1;
            kmq->has_work = 1;
            return;
        }

        KMQ_STEP();

        topic = KMQ_AT(b, b->active);
        b->active = topic->active_next;
        b->round_rest--;

        if (topic_wants(b, topic)) {
            n = b->round_part < b->window_left ? b->round_part
                                               : b->window_left;
            b->window_left -= topic_allot(kmq, topic, n);
            b->round_wanting += topic_wants(b, topic);
        }

        if (b->round_rest == 0 && b->round_wanting) {
            round_begin(b, b->round_wanting);
        }
    }

    kmq->pacing = 0;

    if (b->active && b->round_rest) {
        kmq->paced = 1;

    } else if (b->active) {

        /* another topic is the first one in the next window */

        b->active = ((kmq_topic_t *) KMQ_AT(b, b->active))->active_next;
    }

    b->batch_left += b->window_left;
    b->window_left = 0;
    b->round_rest = 0;
}


/* Begins the next window: equal parts for all topics that want some. */
void
kmq_pace_window(kmq_t *kmq)
{
    kmq_block_t  *b = kmq->block;

    b->batch_end = kmq->mono + b->settings.batch_interval;
    b->batch_left = 0;
    b->window++;
    b->window_left = b->settings.batch_count;
    kmq->paced = 0;

    round_begin(b, b->nactive);
    kmq_pace_slice(kmq);
}


/* May a message of topic go now? */
int
kmq_pace_open(const kmq_t *kmq, const kmq_topic_t *topic)
{
    const kmq_block_t  *b = kmq->block;

    return b->settings.batch_interval == 0 || kmq->mono >= b->batch_end
           || allotted_now(b, topic) || b->batch_left;
}


/* How many of n messages of topic may go now. */
uint64_t
kmq_pace(kmq_t *kmq, kmq_topic_t *topic, uint64_t n)
{
    uint64_t      allowed, allotted, more;
    kmq_block_t  *b = kmq->block;

    if (b->settings.batch_interval == 0) {
        return n;
    }

    if (kmq->mono >= b->batch_end) {
        kmq_pace_window(kmq);
    }

    allotted = allotted_now(b, topic);
    allowed = n < allotted ? n : allotted;
    topic->allotted -= allowed;

    more = n - allowed < b->batch_left ? n - allowed : b->batch_left;
    b->batch_left -= more;
    allowed += more;

    if (allowed < n) {
        kmq->paced = 1;
    }

    return allowed;
}
