/* The list of all topics, and one topic in detail, for whoever watches the
 * queue. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../queue/kmq_queue.h"


static void
info_fill(kmq_shard_t *s, const kmq_topic_t *topic, kmq_topic_info_t *info)
{
    info->push_type = topic->push_type;
    info->producers = topic->producers;
    info->consumers = topic->consumers;
    info->ready = topic->ready.count;
    info->resting = topic->resting.count;
    info->paused = topic->paused;
    info->in_flight = topic->in_flight;
    info->retrying = topic->retrying;
    info->delayed = topic->delayed;
    info->consumed = topic->history.count;
    info->dead = topic->dead.count;
    info->oldest = topic->ready.head
                   ? kmq_age_start(KMQ_AT(s, topic->ready.head)) : 0;
    info->name_len = topic->name_len;

    memset(&info->totals, 0, sizeof(info->totals));
    memset(&info->before, 0, sizeof(info->before));
    memcpy(&info->totals, &topic->totals, sizeof(topic->totals));
    memcpy(&info->before, &topic->before, sizeof(topic->before));
    memcpy(info->name, kmq_topic_name(s, topic), topic->name_len);
}


/*
 * The list begins with the first topic of each shard, then come their second
 * ones, and so on: so topics that come later are mostly at its end, as if there
 * were one table.  A cursor has the number in the tables, whether any shard had
 * a topic of that number, and the shard.
 */
typedef struct {
    uint32_t      number;
    unsigned      some;
    unsigned      shard;
} place_t;


static place_t
place_of(uint64_t cursor)
{
    place_t  place;

    place.number = (uint32_t) (cursor >> 16);
    place.some = cursor >> 8 & 1;
    place.shard = cursor & 0xff;

    return place;
}


static uint64_t
cursor_of(const place_t *place)
{
    return (uint64_t) place->number << 16 | place->some << 8 | place->shard;
}


unsigned
kmq_topics(kmq_t *kmq, uint64_t *cursor, kmq_topic_info_t *info, unsigned n)
{
    place_t        place;
    unsigned       filled;
    kmq_block_t   *b = kmq->block;
    kmq_topic_t   *topic;

    filled = 0;
    place = place_of(*cursor);

    /* whoever asks may have changed the cursor */

    while (filled < n && place.shard <= b->nshards) {

        if (place.shard == b->nshards) {

            if (!place.some) {
                break;
            }

            place = (place_t) { .number = place.number + 1 };
        }

        kmq_lock(kmq, KMQ_SHARD(b, place.shard));

        topic = kmq_table_nth(kmq->shard, KMQ_CLASS_TOPIC, place.number);

        if (topic && topic->used) {
            info_fill(kmq->shard, topic, &info[filled++]);
        }

        kmq_unlock(kmq);

        place.some |= topic != NULL;
        place.shard++;
    }

    *cursor = cursor_of(&place);

    return filled;
}


int
kmq_topic(kmq_t *kmq, const char *name, size_t len,
    kmq_topic_detail_t *detail)
{
    kmq_shard_t  *s;
    kmq_topic_t  *topic;

    kmq_lock(kmq, kmq_topic_shard(kmq, name, len));

    s = kmq->shard;
    topic = kmq_topic_get(s, name, len);

    if (topic) {
        info_fill(s, topic, &detail->info);
        detail->settings = topic->settings;
        kmq_topic_periods(kmq, topic, KMQ_CLASS_MINUTES, detail->minute);
        kmq_topic_periods(kmq, topic, KMQ_CLASS_HOURS, detail->hour);
    }

    kmq_unlock(kmq);

    return topic ? KMQ_OK : KMQ_GONE;
}
