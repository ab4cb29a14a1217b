/*
 * The pace for all workers: a window of batch_interval lets batch_count
 * messages go.  When it begins, all topics that have something to push to
 * somebody get equal parts.  What is left then goes to whoever asks first.
 *
 * Who begins a window divides it among the shards, by how many topics with
 * messages each has.  A shard takes its part when it is looked at next, and
 * gives it to its topics in rounds.  What they do not want is the block's, and
 * goes to shards that want more, or to whoever asks first.
 */

#include "../kmq_block.h"
#include "../worker/kmq_worker.h"
#include "kmq_queue_inside.h"


static int
is_paced(const kmq_t *kmq)
{
    return kmq->block->settings.batch_interval != 0;
}


/* May the next window begin? */
static int
window_over(const kmq_t *kmq)
{
    return kmq->mono >= KMQ_GET(kmq->block->pace.end);
}


/* How much the current window lets go of a topic, besides what is for all. */
static uint32_t
allotted_now(const kmq_shard_t *s, const kmq_topic_t *topic)
{
    return topic->window == KMQ_GET(KMQ_BLOCK(s)->pace.window)
           ? topic->allotted : 0;
}


/* Ready messages that are neither granted nor allotted. */
uint64_t
kmq_pace_backlog(const kmq_shard_t *s, const kmq_topic_t *topic)
{
    uint64_t  decided;

    decided = topic->push_type == KMQ_PUSH_ONE ? topic->granted
                                               : allotted_now(s, topic);

    return topic->ready.count > decided ? topic->ready.count - decided : 0;
}


/* n messages that could go were not pushed: others may. */
void
kmq_pace_credit(kmq_t *kmq, uint64_t n)
{
    if (n == 0 || !is_paced(kmq) || window_over(kmq)) {
        return;
    }

    kmq_common_lock(kmq);
    KMQ_PUT(kmq->block->pace.left, kmq->block->pace.left + (uint32_t) n);
    kmq_common_unlock(kmq);
}


/* The same, but they stay the topic's. */
void
kmq_pace_allot(const kmq_shard_t *s, kmq_topic_t *topic, uint32_t n)
{
    topic->allotted = allotted_now(s, topic) + n;
    topic->window = KMQ_GET(KMQ_BLOCK(s)->pace.window);
}


/* ----------------------------------------------------------------- windows */

/*
 * Divides a window among the shards: what each gets is in proportion to its
 * topics, and all of it together is what there is.  What does not come out even
 * moves on by one topic with each window, so that after as many windows as
 * there are topics each has had the same.
 */
static void
window_divide(kmq_t *kmq, uint32_t count)
{
    unsigned      i;
    uint32_t      n;
    uint64_t      all, sum, given, work;
    kmq_block_t  *b = kmq->block;
    kmq_pace_t   *pace = &b->pace;
    kmq_shard_t  *s;

    all = 0;

    for (i = 0; i < b->nshards; i++) {
        s = KMQ_SHARD(b, i);
        pace->part[i] = KMQ_GET(s->npushing);
        all += pace->part[i];
    }

    sum = 0;
    given = 0;
    work = 0;

    for (i = 0; i < b->nshards; i++) {
        n = pace->part[i];
        pace->part[i] = 0;

        if (n) {
            sum += n;
            pace->part[i] = (uint32_t) ((sum * count + pace->window % all)
                                        / all - given);
            given += pace->part[i];
            work |= UINT64_C(1) << i;
        }
    }

    pace->wanting = 0;
    KMQ_PUT(pace->left, count - (uint32_t) given);
    kmq->work |= work;
}


/* Begins the next window, unless another one has. */
void
kmq_pace_window(kmq_t *kmq)
{
    kmq_block_t  *b = kmq->block;

    kmq_common_lock(kmq);

    if (window_over(kmq)) {
        KMQ_PUT(b->pace.window, b->pace.window + 1);
        KMQ_PUT(b->pace.end, kmq->mono + b->settings.batch_interval);
        window_divide(kmq, b->settings.batch_count);
        kmq->paced = 0;
    }

    kmq_common_unlock(kmq);
}


/* ------------------------------------------------------------------ rounds */

static int
topic_wants(const kmq_shard_t *s, const kmq_topic_t *topic)
{
    return !topic->paused && kmq_routes_ready(s, topic) != 0
           && kmq_pace_backlog(s, topic) != 0;
}


static uint32_t
topic_allot(kmq_t *kmq, kmq_topic_t *topic, uint32_t n)
{
    uint64_t  backlog;

    backlog = kmq_pace_backlog(kmq->shard, topic);
    n = n < backlog ? n : backlog;

    if (topic->push_type == KMQ_PUSH_ALL) {
        kmq_pace_allot(kmq->shard, topic, n);
        kmq_routes_tell(kmq, topic, 0);

    } else {
        n = (uint32_t) kmq_routes_grant(kmq, topic, n, 0);
    }

    return n;
}


/* Equal parts of what is left for each of n topics. */
static void
round_begin(kmq_shard_t *s, uint32_t n)
{
    s->round_rest = s->nactive;
    s->round_part = n && s->window_left / n ? s->window_left / n : 1;
    s->round_wanting = 0;
}


/* The shard takes its part of the current window, whatever it has left of an
 * earlier one; or, when it had that and wanted more, a part of what others have
 * left. */
static void
part_take(kmq_t *kmq)
{
    uint64_t      wanting;
    kmq_pace_t   *pace = &kmq->block->pace;
    kmq_shard_t  *s = kmq->shard;

    if (s->window == KMQ_GET(pace->window)
        && (s->window_left || !(KMQ_GET(pace->wanting) & KMQ_BIT(s)
                                && KMQ_GET(pace->left))))
    {
        return;
    }

    kmq_common_lock(kmq);

    if (s->window != pace->window) {
        s->window = pace->window;
        s->window_left = pace->part[s->number];
        pace->part[s->number] = 0;

        /* who gets none wants what others leave */

        wanting = pace->wanting & ~KMQ_BIT(s);
        wanting |= s->window_left == 0 && s->active ? KMQ_BIT(s) : 0;
        KMQ_PUT(pace->wanting, wanting);
    }

    if (s->window_left == 0 && pace->wanting & KMQ_BIT(s)) {
        s->window_left = pace->left / __builtin_popcountll(pace->wanting);
        s->window_left += s->window_left == 0 && pace->left;
        KMQ_PUT(pace->left, pace->left - s->window_left);

        if (s->window_left) {
            KMQ_PUT(pace->wanting, pace->wanting & ~KMQ_BIT(s));
        } else {
            kmq->paced = 1;
        }
    }

    kmq_common_unlock(kmq);

    round_begin(s, s->nactive);
}


/* The shard's part is used up, or its topics want no more of it. */
static void
part_end(kmq_t *kmq)
{
    kmq_pace_t   *pace = &kmq->block->pace;
    kmq_shard_t  *s = kmq->shard;

    kmq_common_lock(kmq);

    if (s->window != pace->window) {

        /* the window is over, and what is left with it */

        s->window_left = 0;
    }

    if (s->active && s->round_rest) {

        /* some have not been asked */

        kmq->paced = 1;
        KMQ_PUT(pace->wanting, pace->wanting | KMQ_BIT(s));

    } else if (s->active) {

        /* another topic is the first one in the next window */

        s->active = ((kmq_topic_t *) KMQ_AT(s, s->active))->active_next;
    }

    if (s->window_left || pace->left) {
        KMQ_PUT(pace->left, pace->left + s->window_left);
        kmq->work |= pace->wanting;
    }

    kmq_common_unlock(kmq);

    s->window_left = 0;
    s->round_rest = 0;
}


/*
 * Gives a slice of the shard's part to topics, in rounds; the next window
 * begins where this one ends.  1: there is more.
 */
int
kmq_pace_slice(kmq_t *kmq)
{
    uint32_t      n;
    unsigned      steps;
    kmq_shard_t  *s = kmq->shard;
    kmq_topic_t  *topic;

    part_take(kmq);

    if (s->window_left == 0) {
        return 0;
    }

    for (steps = 0; s->active && s->round_rest && s->window_left; steps++) {

        if (steps == KMQ_SLICE) {
            return 1;
        }

        KMQ_STEP();

        topic = KMQ_AT(s, s->active);
        s->active = topic->active_next;
        s->round_rest--;

        if (topic_wants(s, topic)) {
            n = s->round_part < s->window_left ? s->round_part
                                               : s->window_left;
            s->window_left -= topic_allot(kmq, topic, n);
            s->round_wanting += topic_wants(s, topic);

        } else if (!topic->paused && kmq_pace_backlog(s, topic)) {

            /* those who stand still ask when they are back */

            kmq_routes_tell(kmq, topic, 0);
        }

        if (s->round_rest == 0 && s->round_wanting) {
            round_begin(s, s->round_wanting);
        }
    }

    part_end(kmq);

    return KMQ_GET(kmq->block->pace.wanting) & KMQ_BIT(s)
           && KMQ_GET(kmq->block->pace.left);
}


/* ------------------------------------------------------------------ asking */

/* May a message of topic go now? */
int
kmq_pace_open(const kmq_t *kmq, const kmq_topic_t *topic)
{
    return !is_paced(kmq) || window_over(kmq)
           || allotted_now(kmq->shard, topic)
           || KMQ_GET(kmq->block->pace.left);
}


/* How many of n may go that are for whoever asks first. */
static uint64_t
left_take(kmq_t *kmq, uint64_t n)
{
    uint64_t     most, others;
    kmq_pace_t  *pace = &kmq->block->pace;

    if (n == 0 || KMQ_GET(pace->left) == 0) {
        return 0;
    }

    kmq_common_lock(kmq);

    /* shards that want more have a part of it, too */

    others = __builtin_popcountll(pace->wanting & ~KMQ_BIT(kmq->shard));
    most = (pace->left + others) / (others + 1);
    n = n < most ? n : most;
    KMQ_PUT(pace->left, pace->left - (uint32_t) n);

    kmq_common_unlock(kmq);

    return n;
}


/* How many of n messages of topic may go now. */
uint64_t
kmq_pace(kmq_t *kmq, kmq_topic_t *topic, uint64_t n)
{
    uint64_t  allowed, allotted;

    if (!is_paced(kmq)) {
        return n;
    }

    if (window_over(kmq)) {
        kmq_pace_window(kmq);
    }

    (void) kmq_pace_slice(kmq);

    allotted = allotted_now(kmq->shard, topic);
    allowed = n < allotted ? n : allotted;
    topic->allotted -= allowed;

    allowed += left_take(kmq, n - allowed);

    if (allowed < n) {
        kmq->paced = 1;
    }

    return allowed;
}
