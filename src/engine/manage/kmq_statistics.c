/* The state of the queue, for whoever watches it: counts, growth, latency. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"


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
