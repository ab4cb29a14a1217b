/* The state of the queue, for whoever watches it: counts, growth, latency. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../journal/kmq_journal.h"
#include "../queue/kmq_queue.h"


/* About what the history holds: bodies and slots. */
static uint64_t
bytes_history(const kmq_shard_t *s)
{
    return s->history_size + s->history.count * sizeof(kmq_slot_t);
}


/* What the common lock guards: of the disk, of workers. */
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
    unsigned             i, n;
    uint64_t             bit;
    const kmq_worker_t  *worker;

    n = KMQ_GET(b->keeper);
    counts->keeper = n ? n - 1 : KMQ_WORKERS;

    n = KMQ_GET(b->nworkers);

    for (i = 0; i < n; i++) {
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


static void
count_shard(const kmq_shard_t *s, kmq_counts_t *counts)
{
    unsigned  i;

    counts->ready += s->waiting - s->reserved;
    counts->in_flight += s->in_flight - s->doomed;
    counts->retrying += s->retrying;
    counts->resting += s->resting;
    counts->delayed += s->delayed;
    counts->consumed += s->history.count;
    counts->dead += s->dead;
    counts->topics += s->topics;
    counts->producers += s->producers;
    counts->consumers += s->consumers;
    counts->leases += s->leases;
    counts->parked += s->parked;
    counts->repairs += s->repairs;
    counts->lock_waits += s->waits;
    counts->bytes_free += (uint64_t) s->free_pages * KMQ_PAGE_SIZE
                          + (s->heap[KMQ_HEAP_MESSAGES].free_cells
                             + s->heap[KMQ_HEAP_INDEX].free_cells)
                            * KMQ_CELL;
    counts->bytes_history += bytes_history(s);

    for (i = 0; i < KMQ_REASONS; i++) {
        counts->failures[i] += s->failures[i];
    }

    kmq_totals_add(&counts->totals, &s->totals);
}


void
kmq_count(kmq_t *kmq, kmq_counts_t *counts)
{
    unsigned      i;
    kmq_block_t  *b = kmq->block;

    memset(counts, 0, sizeof(kmq_counts_t));

    counts->shards = b->nshards;
    counts->bytes_total = (uint64_t) b->npages * KMQ_PAGE_SIZE;
    counts->bytes_free = (uint64_t) KMQ_GET(b->free_pages) * KMQ_PAGE_SIZE;

    for (i = 0; i < b->nshards; i++) {
        kmq_lock(kmq, KMQ_SHARD(b, i));
        count_shard(kmq->shard, counts);
        kmq_unlock(kmq);
    }

    kmq_common_lock(kmq);

    counts->before = b->before;
    counts->start_time = b->start_time;
    counts->lock_waits += b->waits;
    counts->repairs += b->repairs;

    count_disk(b, counts);
    count_workers(b, counts);

    kmq_common_unlock(kmq);
}


/* Without a lock: kmq_periods_sum() takes what it needs. */
void
kmq_growth(kmq_t *kmq, unsigned unit, kmq_period_t *period, unsigned n)
{
    unsigned      kept;
    uint64_t      number;
    kmq_period_t  from[KMQ_MINUTES];

    number = kmq->wall / 1000 / (unit == KMQ_UNIT_MINUTE ? 60 : 3600) + 1;

    if (unit == KMQ_UNIT_MINUTE) {
        kept = KMQ_MINUTES;
        kmq_periods_sum(kmq, from, NULL);

    } else {
        kept = KMQ_HOURS;
        kmq_periods_sum(kmq, NULL, from);
    }

    while (n--) {
        number--;
        period[n] = from[number % kept];

        if (period[n].number != number) {
            memset(&period[n], 0, sizeof(kmq_period_t));
            period[n].number = number;
            period[n].backlog = KMQ_UNKNOWN;
        }
    }
}


void
kmq_latency(kmq_t *kmq, kmq_latency_t *latency)
{
    unsigned      i, n;
    kmq_block_t  *b = kmq->block;
    kmq_shard_t  *s;

    memset(latency, 0, sizeof(kmq_latency_t));

    for (i = 0; i < b->nshards; i++) {
        s = KMQ_SHARD(b, i);

        kmq_lock(kmq, s);

        for (n = 0; n <= KMQ_LATENCY_BOUNDS; n++) {
            latency->count[n] += s->latency.count[n];
        }

        latency->sum += s->latency.sum;

        kmq_unlock(kmq);
    }
}
