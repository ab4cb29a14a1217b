/* Settings: a worker brings new ones, and what has to change with them does. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../queue/kmq_queue.h"
#include "../delivery/kmq_delivery.h"


/* Lets others have the lock after a slice of steps. */
static void
slice_pause(kmq_t *kmq, unsigned *n)
{
    KMQ_STEP();

    if (++*n >= KMQ_SLICE) {
        *n = 0;
        kmq_lock_pause(kmq);
    }
}


/* Gives all topics their new settings, unless somebody has later ones.  1: a
 * retry_time has changed. */
static int
topics_configure(kmq_t *kmq)
{
    int           changed;
    unsigned      n;
    uint32_t      before;
    kmq_walk_t    walk;
    kmq_topic_t  *topic;

    n = 0;
    changed = 0;
    memset(&walk, 0, sizeof(walk));

    while ((topic = kmq_table_next(kmq->shard, KMQ_CLASS_TOPIC, &walk))) {

        if (topic->used && topic->configured < kmq->configured) {
            before = topic->settings.retry_time;
            kmq_topic_configure(kmq, topic);
            changed |= topic->settings.retry_time != before;
        }

        slice_pause(kmq, &n);
    }

    return changed;
}


/* Messages in flight have other deadlines now, and new ones must not find a
 * timer that is set to the old deadlines. */
static void
deadlines_configure(kmq_t *kmq)
{
    unsigned       n;
    kmq_walk_t     walk;
    kmq_client_t  *client;

    n = 0;
    memset(&walk, 0, sizeof(walk));

    while ((client = kmq_table_next(kmq->shard, KMQ_CLASS_CLIENT, &walk))) {

        if (client->role == KMQ_CONSUMER
            && (client->in_flight || client->timed != KMQ_IDLE))
        {
            kmq_look_now(kmq, client);
        }

        slice_pause(kmq, &n);
    }
}


/* Messages that waited for the old pace go at the new one. */
static void
pace_configure(kmq_t *kmq)
{
    unsigned      n;
    kmq_walk_t    walk;
    kmq_topic_t  *topic;

    n = 0;
    memset(&walk, 0, sizeof(walk));

    while ((topic = kmq_table_next(kmq->shard, KMQ_CLASS_TOPIC, &walk))) {

        if (topic->used && topic->active) {
            kmq_grant(kmq, topic, kmq_pace_backlog(kmq->shard, topic));
        }

        slice_pause(kmq, &n);
    }
}


/* For all workers, and all shards. */
static void
settings_store(kmq_t *kmq, const kmq_settings_t *settings)
{
    kmq_block_t  *b = kmq->block;

    kmq->settings = *settings;

    kmq_common_lock(kmq);

    /* an address means nothing to other processes */

    (void) __atomic_fetch_add(&b->room, (int64_t) settings->waiting_max
                                        - b->settings.waiting_max,
                              __ATOMIC_RELAXED);
    b->settings = *settings;
    b->settings.topic_own = NULL;
    b->settings.topic_arg = NULL;

    kmq->configured = ++b->configured;
    kmq->paced = 0;
    KMQ_PUT(b->pace.window, b->pace.window + 1);
    memset(b->pace.part, 0, sizeof(b->pace.part));
    b->pace.wanting = 0;

    if (b->pace.end > kmq->mono + settings->batch_interval) {
        KMQ_PUT(b->pace.end, kmq->mono + settings->batch_interval);
    }

    kmq_common_unlock(kmq);

    if (kmq->check_time > kmq->mono + settings->check_interval) {
        kmq->check_time = kmq->mono + settings->check_interval;
    }
}


static void
shard_configure(kmq_t *kmq)
{
    if (topics_configure(kmq)) {
        deadlines_configure(kmq);
    }

    pace_configure(kmq);
}


void
kmq_configure(kmq_t *kmq, const kmq_settings_t *settings)
{
    unsigned  i;

    kmq_clock_keep(kmq);
    settings_store(kmq, settings);

    for (i = 0; i < kmq->block->nshards; i++) {
        kmq_lock(kmq, KMQ_SHARD(kmq->block, i));
        shard_configure(kmq);
        kmq_unlock(kmq);
    }
}
