/*
 * Checkpoints: what is in the block, as records, in slices, while messages
 * come and go.
 *
 * A checkpoint begins a generation: all records up to its number are about
 * changes that it shows, since each slice is taken after it began; those with
 * later numbers are in journals of that generation or of later ones, and are
 * applied to it, whether or not a slice showed them already (they say what
 * becomes of a message, not how it changes).  Counters come last, each at a
 * number of its own: what has a later one is about messages that were there
 * when their slice was taken, or came later, so none is missed.
 */

#include "kmq_block.h"


/* These bound the time under the lock. */
#define SLICE_BYTES     (128 * 1024)
#define SLICE_MESSAGES  512
#define SLICE_TOPICS    32
#define LEAVES_MAX      4096

/* How far ahead messages are asked for that are in no cache. */
#define AHEAD  8


/* ------------------------------------------------------------------ parts */

/* Appends the used ones of n periods behind count numbers; returns how many
 * they are then. */
static unsigned
periods_add(uint64_t *number, unsigned count, const kmq_period_t *period,
    unsigned n)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        if (period[i].number) {
            number[count++] = period[i].number;
            number[count++] = period[i].published;
            number[count++] = period[i].delivered;
            number[count++] = period[i].confirmed;
            number[count++] = period[i].backlog;
        }
    }

    return count;
}


/*
 * A number that no journal's record has: what is counted now is what those
 * below it tell.  None of them grows any more: see last_open().
 */
static uint64_t
number_take(kmq_block_t *b)
{
    return ++b->journals.lsn;
}


_Static_assert(sizeof(kmq_totals_t) == KMQ_QUEUE_TOTALS * sizeof(uint64_t),
               "totals are copied to records as they are");


/* The first record, and, with the counters of the end, the last but one. */
int
kmq_checkpoint_queue(kmq_t *kmq, kmq_buffer_t *out, uint64_t lsn)
{
    unsigned      n;
    uint64_t      number[KMQ_QUEUE_COUNTERS
                         + KMQ_PERIOD_NUMBERS * (KMQ_HOURS + KMQ_MINUTES)];
    kmq_block_t  *b = kmq->block;

    memcpy(number, &b->totals, KMQ_QUEUE_TOTALS * sizeof(uint64_t));
    number[KMQ_QUEUE_TOTALS] = b->sequence;

    n = periods_add(number, KMQ_QUEUE_COUNTERS, b->hour, KMQ_HOURS);
    number[KMQ_QUEUE_TOTALS + 1] = (n - KMQ_QUEUE_COUNTERS)
                                   / KMQ_PERIOD_NUMBERS;
    n = periods_add(number, n, b->minute, KMQ_MINUTES);

    return kmq_record_numbers(out, lsn, KMQ_RECORD_QUEUE,
                              kmq->wall / 1000, NULL, 0, number, n);
}


static int
topic_add(kmq_t *kmq, const kmq_topic_t *topic, kmq_buffer_t *out)
{
    unsigned  n;
    uint64_t  number[KMQ_TOPIC_COUNTERS
                     + KMQ_PERIOD_NUMBERS * (KMQ_DAYS + KMQ_TOPIC_MINUTES)];

    memcpy(number, &topic->totals, KMQ_TOPIC_TOTALS * sizeof(uint64_t));

    n = periods_add(number, KMQ_TOPIC_COUNTERS, topic->day, KMQ_DAYS);
    number[KMQ_TOPIC_TOTALS] = (n - KMQ_TOPIC_COUNTERS)
                               / KMQ_PERIOD_NUMBERS;
    n = periods_add(number, n, topic->minute, KMQ_TOPIC_MINUTES);

    return kmq_record_numbers(out, number_take(kmq->block),
                              KMQ_RECORD_TOPIC, kmq->wall / 1000,
                              topic->name, topic->name_len, number, n);
}


/* As what a message is kept; 0: not at all. */
static unsigned
kind_of(const kmq_checkpoint_t *cp, const kmq_slot_t *slot)
{
    switch (slot->state) {

    case KMQ_RESERVED:

        if (!(slot->flags & KMQ_WRITTEN)) {
            return 0;
        }

        return slot->timer.due ? KMQ_KIND_DELAYED : KMQ_KIND_READY;

    case KMQ_READY:
        return KMQ_KIND_READY;

    case KMQ_IN_FLIGHT:

        if (slot->flags & KMQ_DELETED) {
            return 0;
        }

        /* as if all its consumers had gone */

        return (slot->flags & (KMQ_SHARED | KMQ_CONFIRMED))
               == (KMQ_SHARED | KMQ_CONFIRMED) ? KMQ_KIND_CONSUMED
                                               : KMQ_KIND_READY;

    case KMQ_DELAYED:
        return KMQ_KIND_DELAYED;

    case KMQ_CONSUMED:
        return slot->sequence > cp->history ? KMQ_KIND_CONSUMED : 0;

    default: /* KMQ_DEAD */
        return KMQ_KIND_DEAD;
    }
}


/* ---------------------------------------------------- beginning and end */

/*
 * Consumed messages up to this sequence number are left out.  Numbers have
 * large gaps, one from each start, so messages are counted.
 */
static uint64_t
history_first(kmq_block_t *b)
{
    unsigned            i;
    uint64_t            n, sequence;
    const kmq_index_t  *leaf;

    if (b->history.count <= KMQ_HISTORY_KEPT) {
        return 0;
    }

    sequence = b->sequence;
    n = 0;

    for (i = 0; n < KMQ_HISTORY_KEPT && i < LEAVES_MAX; i++) {
        leaf = kmq_index_older(b, &sequence, 0, UINT32_MAX);

        if (leaf == NULL || sequence < KMQ_INDEX_SIZE) {
            return 0;
        }

        n += leaf->count;
        sequence -= sequence % KMQ_INDEX_SIZE + 1;
    }

    return sequence;
}


/* failed: a generation that is begun again where it is still the last. */
static int
begin(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out, uint64_t failed)
{
    int              rc;
    kmq_block_t     *b = kmq->block;
    kmq_journals_t  *journals = &b->journals;

    memset(cp, 0, sizeof(kmq_checkpoint_t));

    kmq_lock(kmq);

    journals->generation += journals->generation != failed;
    journals->start = number_take(b);
    journals->bytes = 0;

    cp->info.generation = journals->generation;
    cp->info.start = journals->start;
    cp->info.worker = kmq->worker;
    cp->info.key[0] = b->key[0];
    cp->info.key[1] = b->key[1];
    cp->complete = journals->complete;
    cp->losses = journals->losses;
    cp->last = b->sequence;
    cp->history = history_first(b);
    cp->records = 1;

    rc = kmq_checkpoint_queue(kmq, out, cp->info.start);

    kmq_unlock(kmq);

    return rc == 0 ? KMQ_OK : KMQ_NOMEM;
}


int
kmq_checkpoint_begin(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out)
{
    return begin(kmq, cp, out, UINT64_MAX);
}


int
kmq_checkpoint_again(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out,
    int history)
{
    int  rc;

    rc = begin(kmq, cp, out, cp->info.generation);

    if (!history) {
        cp->history = UINT64_MAX;
    }

    return rc;
}


/* All that failed before is made good. */
static void
errors_clear(kmq_block_t *b)
{
    unsigned  i;

    for (i = 0; i < KMQ_WORKERS; i++) {
        b->worker[i].disk_error = 0;
    }
}


void
kmq_checkpoint_end(kmq_t *kmq, const kmq_checkpoint_t *cp, uint64_t size)
{
    kmq_journals_t  *journals = &kmq->block->journals;

    kmq_lock(kmq);

    if (cp->info.generation > journals->complete) {
        journals->complete = cp->info.generation;
        journals->covered = cp->losses;
        journals->size = size;
        journals->time = kmq->wall / 1000;

        if (journals->covered == journals->losses) {
            errors_clear(kmq->block);
        }
    }

    kmq_unlock(kmq);
}


int
kmq_checkpoint_due(kmq_t *kmq, uint64_t journal_min)
{
    uint64_t         max;
    kmq_block_t     *b = kmq->block;
    kmq_journals_t  *journals = &b->journals;

    /* read without the lock: it is looked at again soon */

    if (b->keeper != kmq->worker + 1 || !kmq->journal.on) {
        return 0;
    }

    max = journals->size > journal_min ? journals->size : journal_min;

    return journals->losses != journals->covered || journals->bytes > max;
}


/* ----------------------------------------------------------------- slices */

/* Topics from the walk on; 1 when all have been met. */
static int
topics_slice(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out)
{
    unsigned      n;
    kmq_walk_t    walk;
    kmq_topic_t  *topic;

    walk.page = cp->page;
    walk.index = cp->index;

    for (n = 0; n < SLICE_TOPICS; n++) {
        topic = kmq_table_next(kmq->block, KMQ_CLASS_TOPIC, &walk);

        if (topic == NULL) {
            return 1;
        }

        if (topic->used) {
            if (topic_add(kmq, topic, out) != 0) {
                return KMQ_NOMEM;
            }

            cp->records++;
        }
    }

    cp->page = walk.page;
    cp->index = walk.index;

    return 0;
}


static void
slot_ahead(kmq_block_t *b, const kmq_index_t *leaf, unsigned i)
{
    kmq_slot_t  *slot;

    if (i + 2 * AHEAD < KMQ_INDEX_SIZE) {
        __builtin_prefetch(KMQ_AT(b, leaf->child[i + 2 * AHEAD]));
    }

    if (i + AHEAD < KMQ_INDEX_SIZE && leaf->child[i + AHEAD]) {
        slot = KMQ_AT(b, leaf->child[i + AHEAD]);
        __builtin_prefetch(KMQ_AT(b, slot->body));
        __builtin_prefetch((char *) KMQ_AT(b, slot->body) + 64);
    }
}


/* Messages of a leaf from cp->next on, as long as there is room. */
static int
leaf_slice(kmq_t *kmq, kmq_checkpoint_t *cp, const kmq_index_t *leaf,
    kmq_buffer_t *out)
{
    unsigned           i, kind;
    kmq_block_t       *b = kmq->block;
    const kmq_slot_t  *slot;

    for (i = cp->next % KMQ_INDEX_SIZE; i < KMQ_INDEX_SIZE; i++) {
        slot_ahead(b, leaf, i);

        if (out->len >= cp->full) {
            break;
        }

        if (leaf->child[i] == 0) {
            continue;
        }

        slot = KMQ_AT(b, leaf->child[i]);
        kind = kind_of(cp, slot);

        if (kind == 0) {
            continue;
        }

        if (kmq_journal_slot(kmq, slot, kind, cp->info.start, out)
            != KMQ_OK)
        {
            return KMQ_NOMEM;
        }

        cp->records++;
        cp->messages++;
    }

    cp->next = cp->next - cp->next % KMQ_INDEX_SIZE + i;

    return KMQ_OK;
}


/* 1 when all have been met. */
static int
messages_slice(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out)
{
    unsigned            n;
    const kmq_index_t  *leaf;

    for (n = 0; n < SLICE_MESSAGES && out->len < cp->full;
         n += KMQ_INDEX_SIZE)
    {
        leaf = kmq_index_newer(kmq->block, &cp->next);

        if (leaf == NULL || cp->next > cp->last) {
            return 1;
        }

        if (leaf_slice(kmq, cp, leaf, out) != KMQ_OK) {
            return KMQ_NOMEM;
        }
    }

    return 0;
}


static int
end_add(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out)
{
    uint64_t  number[2];

    if (kmq_checkpoint_queue(kmq, out, number_take(kmq->block)) != 0) {
        return -1;
    }

    number[0] = ++cp->records;
    number[1] = cp->messages;

    return kmq_record_numbers(out, cp->info.start, KMQ_RECORD_END,
                              kmq->wall / 1000, NULL, 0, number, 2);
}


int
kmq_checkpoint_next(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out)
{
    int  done;

    done = 0;
    cp->full = out->len + SLICE_BYTES;

    kmq_lock(kmq);

    switch (cp->phase) {

    case 0:
        done = messages_slice(kmq, cp, out);
        break;

    case 1:
        done = topics_slice(kmq, cp, out);
        break;

    default:
        done = end_add(kmq, cp, out) == 0 ? 1 : KMQ_NOMEM;
        break;
    }

    kmq_unlock(kmq);

    if (done == 1) {
        cp->phase++;
    }

    return done == KMQ_NOMEM ? KMQ_NOMEM
                             : cp->phase < 3;
}
