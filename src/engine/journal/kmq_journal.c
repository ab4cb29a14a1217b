/*
 * The journal: each handle gathers, as records, what it changes in the block.
 * Its caller takes them and writes them to a file.
 *
 * Records are numbered over all handles, each under the lock of the shard that
 * it is about.  So the order of those about a shard is the order of its
 * changes, whichever files they are in; between shards no order matters.
 * Messages are large: they are written without the lock, before they are
 * numbered.
 *
 * Lost records (no memory, a dead worker, a failing disk) do no harm as long
 * as the block is there: they are counted, and a new checkpoint makes up for
 * them.
 */

#include "../kmq_block.h"
#include "../worker/kmq_worker.h"
#include "kmq_journal.h"


/* With so many bytes gathered the disk cannot follow: messages are refused as
 * if the queue were full. */
#define JOURNAL_MAX  (8 * 1024 * 1024)

/* The most bytes that one sequence number adds to a list, and how many numbers
 * a list may have. */
#define ENTRY_MAX    (3 * KMQ_VARINT_MAX + KMQ_RECORD_ALIGN)
#define ENTRIES_MAX  4096


/* ------------------------------------------------------------- numbers */

uint64_t
kmq_lsn_next(kmq_t *kmq, uint64_t n)
{
    uint64_t  last;

    last = __atomic_add_fetch(&kmq->block->lsn, n, __ATOMIC_RELAXED);
    kmq->shard->lsn = last;

    return last - n + 1;
}


uint64_t
kmq_lsn_next_all(kmq_t *kmq)
{
    unsigned  i;
    uint64_t  lsn;

    lsn = kmq_lsn_next(kmq, 1);

    for (i = 0; i < kmq->block->nshards; i++) {
        KMQ_SHARD(kmq->block, i)->lsn = lsn;
    }

    return lsn;
}


_Static_assert(sizeof(kmq_totals_t) == KMQ_QUEUE_TOTALS * sizeof(uint64_t),
               "totals are copied to records as they are");


void
kmq_totals_add(kmq_totals_t *to, const kmq_totals_t *totals)
{
    unsigned  i;
    uint64_t  sum[KMQ_QUEUE_TOTALS], one[KMQ_QUEUE_TOTALS];

    memcpy(sum, to, sizeof(sum));
    memcpy(one, totals, sizeof(one));

    for (i = 0; i < KMQ_QUEUE_TOTALS; i++) {
        sum[i] += one[i];
    }

    memcpy(to, sum, sizeof(sum));
}


/* -------------------------------------------------------- what is gathered */

int
kmq_journal_full(const kmq_t *kmq)
{
    return kmq->journal.buffer.len >= JOURNAL_MAX;
}


/* The files do not tell what is in the block any more.  This is an atomic
 * addition, since those who find it out have the lock of some shard. */
void
kmq_journal_loss(kmq_t *kmq)
{
    (void) __atomic_fetch_add(&kmq->block->journals.losses, 1,
                              __ATOMIC_RELAXED);
}


void
kmq_journal_lost(kmq_t *kmq)
{
    kmq_common_lock(kmq);
    kmq_journal_loss(kmq);
    kmq_common_unlock(kmq);
}


size_t
kmq_journal_take(kmq_t *kmq, kmq_buffer_t *spare, kmq_journal_info_t *info)
{
    kmq_block_t   *b = kmq->block;
    kmq_buffer_t   full;

    full = kmq->journal.buffer;

    kmq->journal.buffer = *spare;
    kmq->journal.buffer.len = 0;
    kmq->journal.last_size = 0;

    *spare = full;

    info->worker = kmq->worker;
    info->key[0] = b->key[0];
    info->key[1] = b->key[1];

    /* a record with a number above start was numbered after the generation had
     * begun, so that is seen here */

    kmq_common_lock(kmq);

    info->generation = b->journals.generation;
    info->start = b->journals.start;

    kmq_common_unlock(kmq);

    return full.len;
}


size_t
kmq_journal_len(const kmq_t *kmq)
{
    return kmq->journal.buffer.len;
}


void
kmq_journal_written(kmq_t *kmq, uint64_t bytes)
{
    kmq_common_lock(kmq);
    kmq->block->journals.bytes += bytes;
    kmq_common_unlock(kmq);
}


void
kmq_journal_flushed(kmq_t *kmq, int error)
{
    kmq_worker_t  *worker = &kmq->block->worker[kmq->worker];

    kmq_common_lock(kmq);

    worker->disk_error = error;

    if (error == 0) {
        worker->flush_time = kmq->wall / 1000;
    }

    kmq_common_unlock(kmq);
}


int
kmq_journal_covered(kmq_t *kmq, uint64_t generation)
{
    int  covered;

    kmq_common_lock(kmq);
    covered = kmq->block->journals.complete > generation;
    kmq_common_unlock(kmq);

    return covered;
}


/* --------------------------------------------------- records that grow */

/* May the last record grow?  Not when any other about that shard was numbered
 * since. */
static unsigned char *
last_open(kmq_t *kmq, unsigned type, unsigned kind)
{
    kmq_shard_t    *s = kmq->shard;
    unsigned char  *p;
    kmq_journal_t  *j = &kmq->journal;

    if (j->last_size == 0 || j->lsn != s->lsn || j->shard != s->number) {
        return NULL;
    }

    p = j->buffer.data + j->last;

    return p[16] == type && p[17] == kind
           && kmq_get32(p + 20) == (uint32_t) (kmq->wall / 1000) ? p : NULL;
}


/* Begins a record of size, for which there is room. */
static unsigned char *
last_begin(kmq_t *kmq, unsigned type, unsigned kind, size_t name_len,
    uint32_t size)
{
    unsigned char  *p;
    kmq_journal_t  *j = &kmq->journal;

    j->lsn = kmq_lsn_next(kmq, 1);
    j->shard = kmq->shard->number;
    j->last = j->buffer.len;
    j->last_size = size;
    j->sequence = 0;
    j->topic = 0;

    p = j->buffer.data + j->last;
    kmq_record_head(p, size, j->lsn, type, kind, name_len, kmq->wall / 1000);
    j->buffer.len += KMQ_RECORD_SPAN(size);

    return p;
}


/* The last record ends at end now.  The room behind it is always enough for
 * the longest filling, so all of that is written: this is faster. */
static void
last_extend(kmq_journal_t *j, unsigned char *p, unsigned char *end)
{
    j->last_size = end - p;
    kmq_put32(p + 4, j->last_size);

    memset(end, 0, KMQ_RECORD_ALIGN);

    j->buffer.len = j->last + KMQ_RECORD_SPAN(j->last_size);
}


/* The last list of that type and kind, or a new one, with room for an entry;
 * NULL: no memory, which is a loss. */
static unsigned char *
list_open(kmq_t *kmq, unsigned type, unsigned kind)
{
    unsigned char  *p;
    kmq_journal_t  *j = &kmq->journal;

    if (kmq_buffer_room(&j->buffer, KMQ_RECORD_LIST_HEAD + ENTRY_MAX)
        == NULL)
    {
        kmq_journal_loss(kmq);
        return NULL;
    }

    p = last_open(kmq, type, kind);

    if (p == NULL || kmq_get32(p + KMQ_RECORD_HEAD) == ENTRIES_MAX) {
        p = last_begin(kmq, type, kind, 0, KMQ_RECORD_LIST_HEAD);
        kmq_put32(p + KMQ_RECORD_HEAD, 0);
    }

    kmq_put32(p + KMQ_RECORD_HEAD, kmq_get32(p + KMQ_RECORD_HEAD) + 1);

    return p;
}


void
kmq_journal_sequence(kmq_t *kmq, unsigned type, unsigned kind,
    uint64_t sequence, uint32_t attempts)
{
    unsigned char  *p, *end;
    kmq_journal_t  *j = &kmq->journal;

    if (!j->on) {
        return;
    }

    p = list_open(kmq, type, kind);
    if (p == NULL) {
        return;
    }

    end = kmq_varint(p + j->last_size, kmq_zigzag(sequence, j->sequence));

    if (type == KMQ_RECORD_DELIVERED) {
        end = kmq_varint(end, attempts);
    }

    j->sequence = sequence;
    last_extend(j, p, end);
}


void
kmq_journal_failed(kmq_t *kmq, uint64_t sequence, uint32_t attempts,
    uint64_t due)
{
    unsigned char  *p, *end;
    kmq_journal_t  *j = &kmq->journal;

    p = j->on ? list_open(kmq, KMQ_RECORD_FAILED, 0) : NULL;
    if (p == NULL) {
        return;
    }

    end = kmq_varint(p + j->last_size, kmq_zigzag(sequence, j->sequence));
    end = kmq_varint(end, attempts);
    end = kmq_varint(end, due);

    j->sequence = sequence;
    last_extend(j, p, end);
}


/* Is there room for a record of a topic with such a name? */
static int
counts_room(kmq_t *kmq, size_t name_len)
{
    size_t  size = KMQ_RECORD_COUNTS_HEAD + name_len;

    if (!kmq->journal.on) {
        return 0;
    }

    if (kmq_buffer_room(&kmq->journal.buffer, KMQ_RECORD_SPAN(size)) == NULL) {
        kmq_journal_loss(kmq);
        return 0;
    }

    return 1;
}


/* Begins such a record, which counts nothing yet. */
static unsigned char *
counts_begin(kmq_t *kmq, unsigned kind, const char *name, size_t name_len)
{
    unsigned char  *p;

    p = last_begin(kmq, KMQ_RECORD_COUNTS, kind, name_len,
                   KMQ_RECORD_COUNTS_HEAD + name_len);

    memcpy(p + KMQ_RECORD_COUNTS_HEAD, name, name_len);
    kmq_put64(p + KMQ_RECORD_HEAD, 0);

    return p;
}


void
kmq_journal_counts(kmq_t *kmq, kmq_ref_t topic, const char *name,
    size_t name_len, uint32_t delivered, uint32_t confirmed)
{
    unsigned char  *p;
    kmq_journal_t  *j = &kmq->journal;

    if (!counts_room(kmq, name_len)) {
        return;
    }

    p = last_open(kmq, KMQ_RECORD_COUNTS, 0);

    if (p == NULL || j->topic != topic) {
        p = counts_begin(kmq, 0, name, name_len);
        j->topic = topic;
    }

    p += KMQ_RECORD_HEAD;
    kmq_put32(p, kmq_get32(p) + delivered);
    kmq_put32(p + 4, kmq_get32(p + 4) + confirmed);
}


void
kmq_journal_paused(kmq_t *kmq, const char *name, size_t name_len,
    unsigned kind)
{
    if (counts_room(kmq, name_len)) {
        (void) counts_begin(kmq, kind, name, name_len);
    }
}
