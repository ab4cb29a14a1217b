/* The list of all topics, and one topic in detail, for whoever watches the
 * queue. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../queue/kmq_queue.h"
#include "../upkeep/kmq_upkeep.h"


/* Topics looked at under one lock. */
#define TOPICS_SLICE  64


static void
info_fill(kmq_block_t *b, const kmq_topic_t *topic, kmq_topic_info_t *info)
{
    info->push_type = topic->push_type;
    info->producers = topic->producers;
    info->consumers = topic->consumers;
    info->ready = topic->ready.count;
    info->in_flight = topic->in_flight;
    info->delayed = topic->delayed;
    info->consumed = topic->history.count;
    info->dead = topic->dead.count;
    info->oldest = topic->ready.head
                   ? kmq_age_start(KMQ_AT(b, topic->ready.head)) : 0;
    info->name_len = topic->name_len;

    memset(&info->totals, 0, sizeof(info->totals));
    memset(&info->before, 0, sizeof(info->before));
    memcpy(&info->totals, &topic->totals, sizeof(topic->totals));
    memcpy(&info->before, &topic->before, sizeof(topic->before));
    memcpy(info->name, kmq_topic_name(b, topic), topic->name_len);
}


/* Looks at the next TOPICS_SLICE records; 0 at the end of the table. */
static int
topics_slice(kmq_block_t *b, uint64_t *cursor, kmq_topic_info_t *info,
    unsigned n, unsigned *filled)
{
    unsigned      i;
    kmq_walk_t    walk;
    kmq_topic_t  *topic;

    walk.page = *cursor >> 32;
    walk.index = (uint32_t) *cursor;
    topic = NULL;

    for (i = 0; i < TOPICS_SLICE && *filled < n; i++) {
        topic = kmq_table_next(b, KMQ_CLASS_TOPIC, &walk);
        if (topic == NULL) {
            break;
        }

        if (topic->used) {
            info_fill(b, topic, &info[(*filled)++]);
        }
    }

    *cursor = (uint64_t) walk.page << 32 | walk.index;

    return topic != NULL;
}


unsigned
kmq_topics(kmq_t *kmq, uint64_t *cursor, kmq_topic_info_t *info, unsigned n)
{
    int       more;
    unsigned  filled;

    filled = 0;

    do {
        kmq_lock(kmq);
        more = topics_slice(kmq->block, cursor, info, n, &filled);
        kmq_unlock(kmq);
    } while (more && filled < n);

    return filled;
}


int
kmq_topic(kmq_t *kmq, const char *name, size_t len,
    kmq_topic_detail_t *detail)
{
    kmq_block_t  *b = kmq->block;
    kmq_topic_t  *topic;

    kmq_lock(kmq);

    topic = kmq_topic_get(b, name, len);

    if (topic) {
        info_fill(b, topic, &detail->info);
        detail->settings = topic->settings;
        kmq_topic_periods(kmq, topic, KMQ_CLASS_MINUTES, detail->minute);
        kmq_topic_periods(kmq, topic, KMQ_CLASS_DAYS, detail->day);
    }

    kmq_unlock(kmq);

    return topic ? KMQ_OK : KMQ_GONE;
}
