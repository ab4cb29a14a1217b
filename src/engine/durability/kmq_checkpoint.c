/*
 * Checkpoints: all that is in the block, as records, in slices, while messages
 * come and go.  First come the messages, shard by shard, then the topics.
 *
 * A checkpoint begins a generation.  It shows all changes with numbers up to
 * its own, since each slice is taken after it began.  Records with later
 * numbers are in journals of that generation, or of later ones.  They are
 * applied to it whether or not a slice showed them already: they say what
 * becomes of a message, not how it changes.  Counters come last, each with a
 * number of its own: records with later numbers are about messages that were
 * there when their slice was taken, or that came later, so none is missed.
 */

#include "../kmq_block.h"
#include "../journal/kmq_crc32c.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../journal/kmq_journal.h"
#include "../queue/kmq_queue.h"
#include "kmq_durability_inside.h"


/* These bound the time under the lock. */
#define SLICE_BYTES     KMQ_PART
#define SLICE_MESSAGES  512
#define SLICE_NODE      16       /* a node costs as much as so many */
#define SLICE_TOPICS    32
#define NODES_MAX       2048

/* Messages are in no cache: they are prefetched so far ahead. */
#define AHEAD  8

/* What there is to do. */
#define PHASE_MESSAGES  0
#define PHASE_TOPICS    1
#define PHASE_END       2


/* ------------------------------------------------------------------ parts */

/*
 * The record has a number of its own: what is counted now is what those of the
 * shard below it tell, none of which grows any more.
 */
static int
topic_add(kmq_t *kmq, kmq_topic_t *topic, kmq_buffer_t *out)
{
    unsigned      n;
    uint64_t      number[KMQ_TOPIC_COUNTERS
                         + KMQ_PERIOD_NUMBERS
                           * (KMQ_TOPIC_HOURS + KMQ_TOPIC_MINUTES)];
    kmq_period_t  hour[KMQ_TOPIC_HOURS], minute[KMQ_TOPIC_MINUTES];
    kmq_shard_t  *s = kmq->shard;

    memcpy(number, &topic->totals, sizeof(topic->totals));

    kmq_topic_periods(kmq, topic, KMQ_CLASS_HOURS, hour);
    kmq_topic_periods(kmq, topic, KMQ_CLASS_MINUTES, minute);

    n = kmq_periods_add(number, KMQ_TOPIC_COUNTERS, hour, KMQ_TOPIC_HOURS);
    number[KMQ_TOPIC_TOTALS] = (n - KMQ_TOPIC_COUNTERS)
                               / KMQ_PERIOD_NUMBERS * KMQ_TOPIC_HOUR;
    n = kmq_periods_add(number, n, minute, KMQ_TOPIC_MINUTES);

    return kmq_record_numbers(out, kmq_lsn_next(kmq, 1), KMQ_RECORD_TOPIC,
                              topic->paused ? KMQ_KIND_PAUSED : 0,
                              kmq->wall / 1000, kmq_topic_name(s, topic),
                              topic->name_len, number, n);
}


/* The kind as which a message is kept; 0: it is not. */
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
    case KMQ_RETRYING:
    case KMQ_ASIDE:
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

/* The newest node of a shard that has not been counted yet. */
typedef struct {
    uint64_t             sequence;   /* in it; then, of the next one */
    const kmq_index_t   *node;       /* NULL: there is none */
} newest_t;


static void
newest_find(kmq_shard_t *s, newest_t *newest)
{
    newest->node = kmq_index_older(s, &newest->sequence, 0, UINT32_MAX);
    newest->sequence -= newest->sequence % KMQ_NODE_NUMBERS;
}


/* The number of the shard with the newest of all. */
static unsigned
newest_of(const newest_t *newest, unsigned n)
{
    unsigned  i, best;

    best = 0;

    for (i = 1; i < n; i++) {
        if (newest[i].node
            && (newest[best].node == NULL
                || newest[i].sequence > newest[best].sequence))
        {
            best = i;
        }
    }

    return best;
}


/*
 * Consumed messages up to this sequence number are left out.  Numbers have
 * large gaps, one from each start, so messages are counted, from the last one
 * on: those of all shards, whose locks the caller has.
 */
static uint64_t
history_count(kmq_block_t *b, uint64_t last)
{
    unsigned   i, steps;
    uint64_t   n;
    newest_t   newest[KMQ_SHARDS], *one;

    for (i = 0; i < b->nshards; i++) {
        newest[i].sequence = last;
        newest_find(KMQ_SHARD(b, i), &newest[i]);
    }

    n = 0;

    for (steps = 0; n < KMQ_HISTORY_KEPT && steps < NODES_MAX; steps++) {
        i = newest_of(newest, b->nshards);
        one = &newest[i];

        if (one->node == NULL || one->sequence == 0) {
            return 0;
        }

        n += kmq_index_count(one->node);
        last = --one->sequence;
        newest_find(KMQ_SHARD(b, i), one);
    }

    return last;
}


static uint64_t
history_first(kmq_block_t *b, uint64_t last)
{
    unsigned  i;
    uint64_t  n;

    n = 0;

    for (i = 0; i < b->nshards; i++) {
        n += KMQ_SHARD(b, i)->history.count;
    }

    return n <= KMQ_HISTORY_KEPT ? 0 : history_count(b, last);
}


/* What checkpoints before have pinned.  Another worker's may be under way
 * still, as that stands still or is about to end: it is overtaken. */
static void
pins_end(kmq_t *kmq)
{
    unsigned      i, n;
    kmq_shard_t  *s;

    for (i = 0; i < kmq->block->nshards; i++) {
        s = KMQ_SHARD(kmq->block, i);

        for (n = 0; n < KMQ_GET(kmq->block->nworkers); n++) {
            kmq_pin_end(s, &s->duty[n]);
        }
    }
}


/* The next generation; failed: that one is begun again when it is still the
 * last. */
static void
generation_begin(kmq_t *kmq, kmq_checkpoint_t *cp, uint64_t failed)
{
    kmq_journals_t  *journals = &kmq->block->journals;

    kmq_common_lock(kmq);

    journals->generation += journals->generation != failed;
    journals->start = kmq_lsn_next_all(kmq);
    journals->bytes = 0;

    cp->info.generation = journals->generation;
    cp->info.start = journals->start;
    cp->complete = journals->complete;
    cp->losses = KMQ_GET(journals->losses);

    kmq_common_unlock(kmq);
}


/* All that belongs to one moment is done with the locks of all shards. */
static int
begin(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out, uint64_t failed)
{
    int           rc;
    kmq_block_t  *b = kmq->block;

    memset(cp, 0, sizeof(kmq_checkpoint_t));

    cp->info.worker = kmq->worker;
    cp->info.key[0] = b->key[0];
    cp->info.key[1] = b->key[1];
    cp->records = 1;

    kmq_lock_all(kmq);

    generation_begin(kmq, cp, failed);

    cp->last = kmq_sequence_epoch(kmq);
    cp->history = history_first(b, cp->last);

    pins_end(kmq);

    rc = kmq_queue_record(kmq, out, cp->info.start);

    kmq_unlock_all(kmq);

    if (rc != 0) {
        return KMQ_NOMEM;
    }

    kmq_records_seal(out->data, out->len);

    return KMQ_OK;
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


int
kmq_checkpoint_overtaken(const kmq_t *kmq, const kmq_checkpoint_t *cp)
{
    return KMQ_GET(kmq->block->journals.generation) > cp->info.generation;
}


/* All that failed before has been made good. */
static void
errors_clear(kmq_block_t *b)
{
    unsigned  i, n;

    n = KMQ_GET(b->nworkers);

    for (i = 0; i < n; i++) {
        b->worker[i].disk_error = 0;
    }
}


void
kmq_checkpoint_end(kmq_t *kmq, const kmq_checkpoint_t *cp, uint64_t size)
{
    kmq_journals_t  *journals = &kmq->block->journals;

    kmq_common_lock(kmq);

    if (cp->info.generation > journals->complete) {
        journals->complete = cp->info.generation;
        journals->covered = cp->losses;
        journals->size = size;
        journals->time = kmq->wall / 1000;

        if (journals->covered == KMQ_GET(journals->losses)) {
            errors_clear(kmq->block);
        }
    }

    kmq_common_unlock(kmq);
}


int
kmq_checkpoint_due(kmq_t *kmq, uint64_t journal_min)
{
    uint64_t               max, size;
    const kmq_journals_t  *journals = &kmq->block->journals;

    /* read without the lock: it is looked at again soon */

    if (!kmq_is_keeper(kmq) || !kmq->journal.on) {
        return 0;
    }

    size = KMQ_GET(journals->size);
    max = size > journal_min ? size : journal_min;

    return KMQ_GET(journals->losses) != KMQ_GET(journals->covered)
           || KMQ_GET(journals->bytes) > max;
}


/* --------------------------------------------------------- large messages */

/*
 * Their parts are read under several locks, first for the record's sum, then
 * for the record.  Meanwhile the message is pinned: when it goes, its body
 * stays until that is done.
 */
#define PART_SUM   1
#define PART_COPY  2


/* The lock has to be held for a look that nobody overtakes. */
static int
part_begin(kmq_t *kmq, kmq_checkpoint_t *cp, const kmq_slot_t *slot,
    unsigned kind)
{
    if (kmq_checkpoint_overtaken(kmq, cp)) {
        return KMQ_AGAIN;
    }

    kmq_pin_begin(kmq, slot);

    cp->part = PART_SUM;
    cp->size = slot->size;
    cp->left = slot->size;
    cp->piece = KMQ_OUT(kmq->shard, slot->body);
    cp->head_len = kmq_message_record_head(kmq, slot, kind, cp->info.start,
                                           cp->head);
    cp->sum = kmq_crc32c(0, cp->head + 4, cp->head_len - 4);

    return KMQ_OK;
}


/* The sum is complete: the record begins. */
static int
part_head(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out)
{
    kmq_ref_t       body;
    kmq_duty_t     *duty;
    kmq_shard_t    *s = kmq->shard;
    unsigned char  *p;

    p = kmq_buffer_room(out, cp->head_len);
    if (p == NULL) {
        return KMQ_NOMEM;
    }

    kmq_put32(cp->head, cp->sum);
    memcpy(p, cp->head, cp->head_len);
    out->len += cp->head_len;

    duty = &s->duty[kmq->worker];
    body = duty->kept ? duty->kept
                      : ((kmq_slot_t *) KMQ_AT(s, duty->pinned))->body;

    cp->part = PART_COPY;
    cp->left = cp->size;
    cp->piece = KMQ_OUT(s, body);

    return KMQ_OK;
}


/* And ends. */
static int
part_end(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out)
{
    size_t          n;
    unsigned char  *p;

    n = cp->head_len + (size_t) cp->size;
    n = KMQ_RECORD_SPAN(n) - n;

    p = kmq_buffer_room(out, KMQ_RECORD_ALIGN);
    if (p == NULL) {
        return KMQ_NOMEM;
    }

    memset(p, 0, n);
    out->len += n;

    kmq_pin_end(kmq->shard, &kmq->shard->duty[kmq->worker]);

    cp->part = 0;
    cp->records++;
    cp->messages++;

    return KMQ_OK;
}


static int
part_slice(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out)
{
    size_t             done;
    uint32_t           n;
    const char        *bytes;
    unsigned char     *p;
    const kmq_duty_t  *duty = &kmq->shard->duty[kmq->worker];

    /* a repair knows of no pins, and a later checkpoint ends them */

    if (duty->pinned == 0 && duty->kept == 0) {
        return KMQ_AGAIN;
    }

    p = NULL;

    if (cp->part == PART_COPY) {
        p = kmq_buffer_room(out, KMQ_PART + KMQ_PAGE_SIZE);

        if (p == NULL) {
            return KMQ_NOMEM;
        }
    }

    for (done = 0; done < KMQ_PART; done += n) {
        bytes = kmq_read(kmq, &cp->piece, &cp->left, &n);

        if (bytes == NULL) {
            return p ? part_end(kmq, cp, out) : part_head(kmq, cp, out);
        }

        KMQ_STEP();

        if (p) {
            memcpy(p + done, bytes, n);
            out->len += n;
        } else {
            cp->sum = kmq_crc32c(cp->sum, bytes, n);
        }
    }

    return KMQ_OK;
}


/* ----------------------------------------------------------------- slices */

/* A shard's topics from the walk on; 1 when all have been met. */
static int
topics_slice(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out)
{
    unsigned      n;
    kmq_walk_t    walk;
    kmq_topic_t  *topic;

    walk.page = cp->page;
    walk.index = cp->index;

    for (n = 0; n < SLICE_TOPICS && out->len < cp->full; n++) {
        topic = kmq_table_next(kmq->shard, KMQ_CLASS_TOPIC, &walk);

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
slot_ahead(kmq_shard_t *s, kmq_slot_t **slot, unsigned left)
{
    if (left > 2 * AHEAD) {
        __builtin_prefetch(slot[2 * AHEAD]);
    }

    if (left > AHEAD) {
        __builtin_prefetch(KMQ_AT(s, slot[AHEAD]->body));
        __builtin_prefetch((char *) KMQ_AT(s, slot[AHEAD]->body) + 64);
    }
}


/* Messages of a node from cp->next on, as long as there is room. */
static int
node_slice(kmq_t *kmq, kmq_checkpoint_t *cp, const kmq_index_t *node,
    kmq_buffer_t *out)
{
    unsigned      i, n, kind;
    kmq_slot_t   *slot[KMQ_NODE_NUMBERS];
    kmq_shard_t  *s = kmq->shard;

    n = kmq_index_gather(s, node, cp->next % KMQ_NODE_NUMBERS,
                         KMQ_NODE_NUMBERS - 1, slot);

    for (i = 0; i < n; i++) {
        slot_ahead(s, &slot[i], n - i);

        if (out->len >= cp->full) {
            cp->next = slot[i]->sequence;
            return KMQ_OK;
        }

        kind = kind_of(cp, slot[i]);

        if (kind == 0) {
            continue;
        }

        if (slot[i]->size > KMQ_PART) {
            cp->next = slot[i]->sequence
                       + (part_begin(kmq, cp, slot[i], kind) == KMQ_OK);
            return KMQ_OK;
        }

        if (kmq_message_record(kmq, slot[i], kind, cp->info.start, out)
            != KMQ_OK)
        {
            return KMQ_NOMEM;
        }

        cp->records++;
        cp->messages++;
    }

    cp->next += KMQ_NODE_NUMBERS - cp->next % KMQ_NODE_NUMBERS;

    return KMQ_OK;
}


/* A shard's messages; 1 when all have been met. */
static int
messages_slice(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out)
{
    unsigned            n;
    const kmq_index_t  *node;

    n = 0;

    while (n < SLICE_MESSAGES && out->len < cp->full && !cp->part) {
        node = kmq_index_newer(kmq->shard, &cp->next, 0, UINT32_MAX);

        if (node == NULL || cp->next > cp->last) {
            return 1;
        }

        n += kmq_index_count(node) + SLICE_NODE;

        if (node_slice(kmq, cp, node, out) != KMQ_OK) {
            return KMQ_NOMEM;
        }
    }

    return 0;
}


/* The counters of the queue come with the locks of all shards. */
static int
end_add(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out)
{
    int       rc;
    uint64_t  number[2];

    kmq_lock_all(kmq);
    rc = kmq_queue_record(kmq, out, kmq_lsn_next_all(kmq));
    kmq_unlock_all(kmq);

    if (rc != 0) {
        return KMQ_NOMEM;
    }

    number[0] = ++cp->records;
    number[1] = cp->messages;

    return kmq_record_numbers(out, cp->info.start, KMQ_RECORD_END, 0,
                              kmq->wall / 1000, NULL, 0, number, 2) == 0
           ? KMQ_OK : KMQ_NOMEM;
}


static int
part_next(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out)
{
    int  rc;

    kmq_lock(kmq, KMQ_SHARD(kmq->block, cp->shard));
    rc = part_slice(kmq, cp, out);
    kmq_unlock(kmq);

    return rc == KMQ_OK ? 1 : rc;
}


/* All of a shard has been met: the next one, or, for what comes next, the
 * first. */
static void
shard_next(const kmq_t *kmq, kmq_checkpoint_t *cp)
{
    cp->next = 0;
    cp->page = 0;
    cp->index = 0;

    if (++cp->shard == kmq->block->nshards) {
        cp->shard = 0;
        cp->phase++;
    }
}


/* A slice of messages or topics. */
static int
shard_slice(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out)
{
    int  done;

    kmq_lock(kmq, KMQ_SHARD(kmq->block, cp->shard));

    done = cp->phase == PHASE_MESSAGES ? messages_slice(kmq, cp, out)
                                       : topics_slice(kmq, cp, out);

    kmq_unlock(kmq);

    if (done == 1) {
        shard_next(kmq, cp);
        done = 0;
    }

    return done;
}


int
kmq_checkpoint_next(kmq_t *kmq, kmq_checkpoint_t *cp, kmq_buffer_t *out)
{
    int       rc;
    size_t    first;
    unsigned  i, shard;

    if (kmq_checkpoint_overtaken(kmq, cp)) {
        return KMQ_AGAIN;
    }

    first = out->len;
    cp->full = out->len + SLICE_BYTES;

    if (cp->part) {
        return part_next(kmq, cp, out);
    }

    if (cp->phase == PHASE_END) {
        rc = end_add(kmq, cp, out);

        if (rc != KMQ_OK) {
            return rc;
        }

        kmq_records_seal(out->data + first, out->len - first);

        return 0;
    }

    /* shards that have nothing take no slice of their own */

    for (i = 0; i < kmq->block->nshards; i++) {
        shard = cp->shard;
        rc = shard_slice(kmq, cp, out);

        if (rc != KMQ_OK) {
            return rc;
        }

        if (cp->phase == PHASE_END || cp->shard == shard || out->len != first)
        {
            break;
        }
    }

    kmq_records_seal(out->data + first, out->len - first);

    return 1;
}
