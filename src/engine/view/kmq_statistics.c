/* What there is to watch: counts, growth, topics. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../queue/kmq_queue.h"
#include "../upkeep/kmq_upkeep.h"


/* Topics looked at under one lock. */
#define TOPICS_SLICE  64


/* ------------------------------------------------------------------ queue */

/* About what the history holds: bodies and slots. */
static uint64_t
bytes_history(const kmq_block_t *b)
{
    return b->history_size + b->history.count * sizeof(kmq_slot_t);
}


static void
count_disk(const kmq_block_t *b, kmq_counts_t *counts)
{
    counts->checkpoint_time = b->journals.time;
    counts->checkpoint_bytes = b->journals.size;
    counts->journal_bytes = b->journals.bytes;
}


static void
count_workers(const kmq_block_t *b, kmq_counts_t *counts)
{
    unsigned             i;
    uint64_t             bit;
    const kmq_worker_t  *worker;

    counts->keeper = b->keeper ? b->keeper - 1 : KMQ_WORKERS;

    for (i = 0; i < b->nworkers; i++) {
        worker = &b->worker[i];

        if (worker->flush_time > counts->flush_time) {
            counts->flush_time = worker->flush_time;
        }

        if (!worker->attached) {
            continue;
        }

        bit = UINT64_C(1) << i % 64;
        counts->workers[i / 64] |= bit;
        counts->retiring[i / 64] |= worker->retired ? bit : 0;

        if (worker->disk_error) {
            counts->disk_error = worker->disk_error;
        }
    }
}


void
kmq_count(kmq_t *kmq, kmq_counts_t *counts)
{
    kmq_block_t  *b = kmq->block;

    memset(counts, 0, sizeof(kmq_counts_t));

    kmq_lock(kmq);

    counts->ready = b->waiting - b->reserved;
    counts->in_flight = b->in_flight - b->doomed;
    counts->delayed = b->delayed;
    counts->consumed = b->history.count;
    counts->dead = b->dead;
    counts->totals = b->totals;
    counts->before = b->before;
    counts->topics = b->topics;
    counts->producers = b->producers;
    counts->consumers = b->consumers;
    counts->repairs = b->repairs;
    counts->start_time = b->start_time;
    counts->bytes_total = (uint64_t) b->npages * KMQ_PAGE_SIZE;
    counts->bytes_free = (uint64_t) b->free_pages * KMQ_PAGE_SIZE
                         + (b->heap[KMQ_HEAP_MESSAGES].free_cells
                            + b->heap[KMQ_HEAP_INDEX].free_cells) * KMQ_CELL;
    counts->bytes_history = bytes_history(b);

    count_disk(b, counts);
    count_workers(b, counts);

    kmq_unlock(kmq);
}


void
kmq_growth(kmq_t *kmq, unsigned unit, kmq_period_t *period, unsigned n)
{
    unsigned             kept;
    uint64_t             number;
    kmq_block_t         *b = kmq->block;
    const kmq_period_t  *from;

    from = unit == KMQ_UNIT_MINUTE ? b->minute : b->hour;
    kept = unit == KMQ_UNIT_MINUTE ? KMQ_MINUTES : KMQ_HOURS;
    number = kmq->wall / 1000 / (unit == KMQ_UNIT_MINUTE ? 60 : 3600) + 1;

    kmq_lock(kmq);

    while (n--) {
        number--;
        period[n] = from[number % kept];

        if (period[n].number != number) {
            memset(&period[n], 0, sizeof(kmq_period_t));
            period[n].number = number;
            period[n].backlog = KMQ_UNKNOWN;
        }
    }

    kmq_unlock(kmq);
}


void
kmq_latency(kmq_t *kmq, kmq_latency_t *latency)
{
    kmq_lock(kmq);
    *latency = kmq->block->latency;
    kmq_unlock(kmq);
}


/* ----------------------------------------------------------------- topics */

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
