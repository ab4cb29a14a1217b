/*
 * Restoring: a fresh block is filled from records, those of a checkpoint
 * first, then those of journals in the order of their numbers.
 *
 * Messages are put into slots with the states that they end up with.
 * kmq_repair() makes all that is derived, lists and most counts, as after the
 * death of a worker.  What was in flight is ready again.
 */

#include <stdlib.h>

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../time/kmq_time.h"
#include "../queue/kmq_queue.h"
#include "../upkeep/kmq_upkeep.h"


/* Numbers that may have been given out, though no disk has them, are not given
 * out again. */
#define NUMBERS_SKIPPED  (UINT64_C(1) << 26)

/* ms, 17 years: longer than any delay, and what the schedule can take. */
#define WAIT_MAX         (UINT64_C(1) << 39)

struct kmq_restore_s {
    kmq_t           *kmq;
    kmq_restored_t   found;
    uint64_t         lsn;            /* the highest seen */
    uint64_t         sequence;
    uint64_t         first;          /* lsn of the checkpoint, 0: none */
    uint64_t         start;          /* of the queue's counters in it */

    int              strained;       /* memory is so short that spare pages
                                        are used */
    uint64_t        *history;        /* sequence numbers, oldest first: a */
    uint64_t         history_first;  /* ring; these count all there ever */
    uint64_t         history_next;   /* were */
};


kmq_restore_t *
kmq_restore_begin(void *block, size_t size, uint64_t mono, uint64_t wall)
{
    kmq_restore_t  *rs;

    rs = calloc(1, sizeof(kmq_restore_t));
    if (rs == NULL) {
        return NULL;
    }

    rs->history = malloc(KMQ_HISTORY_KEPT * sizeof(uint64_t));
    rs->kmq = kmq_attach_any(block, size);

    if (rs->history == NULL || rs->kmq == NULL) {
        kmq_restore_free(rs);
        return NULL;
    }

    kmq_clock(rs->kmq, mono, wall);
    kmq_clock_keep(rs->kmq);

    return rs;
}


void
kmq_restore_free(kmq_restore_t *rs)
{
    if (rs) {
        kmq_detach(rs->kmq);
        free(rs->history);
        free(rs);
    }
}


/* ---------------------------------------------------------------- history */

static void
history_evict(kmq_restore_t *rs)
{
    uint64_t     sequence;
    kmq_slot_t  *slot;

    sequence = rs->history[rs->history_first++ % KMQ_HISTORY_KEPT];
    slot = kmq_index_find(rs->kmq->block, sequence);

    if (slot && slot->state == KMQ_CONSUMED) {
        kmq_message_free(rs->kmq, slot);
        rs->found.consumed--;
    }
}


/* Is memory short?  Then no history is kept: messages that wait come first. */
static int
memory_short(const kmq_restore_t *rs)
{
    const kmq_block_t  *b = rs->kmq->block;

    return kmq_page_room(b) / KMQ_PAGE_SIZE < b->npages / 8;
}


/* A message has been consumed; the oldest consumed ones may have to go. */
static void
history_add(kmq_restore_t *rs, const kmq_slot_t *slot)
{
    unsigned  n;

    if (rs->history_next - rs->history_first == KMQ_HISTORY_KEPT) {
        history_evict(rs);
    }

    rs->history[rs->history_next++ % KMQ_HISTORY_KEPT] = slot->sequence;
    rs->found.consumed++;

    for (n = 0; n < 2 && memory_short(rs)
         && rs->history_first < rs->history_next; n++)
    {
        history_evict(rs);
    }
}


/*
 * Gives memory back; 0: there is none to give.  What was in a block must fit
 * into it again, however it is cut up now: in the end most of the pages for
 * consumers are used.
 */
static int
make_room(kmq_restore_t *rs)
{
    unsigned  n;

    if (rs->history_first == rs->history_next) {

        if (rs->strained) {
            return 0;
        }

        rs->strained = 1;
        rs->kmq->block->spare_pages /= 4;
        return 1;
    }

    for (n = 0; n < 1024 && rs->history_first < rs->history_next; n++) {
        history_evict(rs);
    }

    return 1;
}


/* --------------------------------------------------------------- messages */

/* A topic that is not forgotten while this goes on. */
static kmq_topic_t *
topic_of(kmq_restore_t *rs, const kmq_record_t *r)
{
    kmq_topic_t  *topic;

    do {
        topic = kmq_topic_find(rs->kmq, r->name, r->name_len);
    } while (topic == NULL && make_room(rs));

    if (topic && topic->slots == 0) {
        topic->slots = 1;
        kmq_topic_idle(rs->kmq->block, topic);
    }

    return topic;
}


static unsigned
state_of(const kmq_record_t *r)
{
    switch (r->kind) {

    case KMQ_KIND_DELAYED:
        return KMQ_DELAYED;

    case KMQ_KIND_CONSUMED:
        return KMQ_CONSUMED;

    case KMQ_KIND_DEAD:
        return KMQ_DEAD;

    default:
        return KMQ_READY;
    }
}


/* A slot of the message's number with room for its body, or NULL. */
static kmq_slot_t *
slot_make(kmq_restore_t *rs, const kmq_record_t *r)
{
    int           rc;
    uint32_t      left;
    kmq_ref_t     body;
    kmq_slot_t   *slot;
    kmq_block_t  *b = rs->kmq->block;

    slot = kmq_message_alloc(rs->kmq, r->body_size, &left);
    if (slot == NULL) {
        return NULL;
    }

    body = slot->body;
    memset(slot, 0, sizeof(kmq_slot_t));

    slot->body = body;
    slot->size = r->body_size;
    slot->sequence = r->sequence;
    slot->create_time = r->time;

    do {
        rc = kmq_message_extend(rs->kmq, slot, &left);
    } while (rc == KMQ_AGAIN);

    if (rc != KMQ_OK || kmq_index_insert(b, slot) != KMQ_OK) {
        kmq_message_memory_free(b, slot);
        return NULL;
    }

    return slot;
}


/* How long a delayed message still waits: no longer than at first, even if the
 * wall clock was set back or has not been set yet. */
static uint64_t
wait_left(const kmq_restore_t *rs, const kmq_record_t *r)
{
    uint64_t  wait, first;

    wait = r->due > rs->kmq->wall ? r->due - rs->kmq->wall : 0;
    first = (uint64_t) r->delay * 1000;
    wait = wait < first ? wait : first;

    return wait < WAIT_MAX ? wait : WAIT_MAX;
}


static void
slot_fill(kmq_restore_t *rs, kmq_slot_t *slot, const kmq_topic_t *topic,
    const kmq_record_t *r)
{
    kmq_t          *kmq = rs->kmq;
    uint64_t        wait;
    kmq_message_t   m;

    memset(&m, 0, sizeof(m));
    m.size = r->body_size;
    m.piece = slot->body;
    kmq_write(kmq, &m, r->body, r->body_size);

    slot->topic = KMQ_REF(kmq->block, topic);
    slot->delay = r->delay;
    slot->state_time = r->state_time;
    slot->attempts = r->attempts < UINT16_MAX ? r->attempts : UINT16_MAX;

    slot->state = state_of(r);

    if (slot->state == KMQ_DELAYED) {
        wait = wait_left(rs, r);

        if (wait) {
            slot->timer.due = kmq_due(kmq, wait);
        } else {
            slot->state = KMQ_READY;
        }
    }
}


/* Is the change of this record in the checkpoint's counters already? */
static int
counted(const kmq_restore_t *rs, const kmq_record_t *r)
{
    return r->lsn <= rs->start;
}


static void
published_add(kmq_restore_t *rs, kmq_topic_t *topic, const kmq_record_t *r)
{
    if (r->lsn <= rs->first) {
        return;
    }

    if (!counted(rs, r)) {
        kmq_count_queue(rs->kmq->block, r->time, 1, 0, 0);
    }

    if (r->lsn > topic->restored) {
        kmq_count_topic(rs->kmq, topic, r->time, 1, 0, 0);
    }
}


static int
message_restore(kmq_restore_t *rs, const kmq_record_t *r)
{
    kmq_slot_t   *slot;
    kmq_topic_t  *topic;

    if (r->kind == KMQ_KIND_CONSUMED && memory_short(rs)) {
        return KMQ_OK;
    }

    if (kmq_index_find(rs->kmq->block, r->sequence)
        || r->body_size > kmq_body_max(rs->kmq))
    {
        return KMQ_ERROR;
    }

    topic = topic_of(rs, r);
    if (topic == NULL) {
        return KMQ_NOMEM;
    }

    do {
        slot = slot_make(rs, r);
    } while (slot == NULL && make_room(rs));

    if (slot == NULL) {
        return KMQ_NOMEM;
    }

    slot_fill(rs, slot, topic, r);
    published_add(rs, topic, r);

    topic->slots++;
    rs->found.messages++;

    if (slot->state == KMQ_CONSUMED) {
        history_add(rs, slot);
    }

    return KMQ_OK;
}


/* ---------------------------------------------------------------- changes */

static void
consumed_apply(kmq_restore_t *rs, kmq_slot_t *slot, const kmq_record_t *r)
{
    if (slot->state != KMQ_CONSUMED) {
        slot->state = KMQ_CONSUMED;
        slot->state_time = r->time;
        history_add(rs, slot);
    }
}


static void
dead_apply(kmq_restore_t *rs, kmq_slot_t *slot, const kmq_record_t *r)
{
    kmq_block_t  *b = rs->kmq->block;
    kmq_topic_t  *topic = KMQ_AT(b, slot->topic);

    slot->state = KMQ_DEAD;
    slot->state_time = r->time;

    b->totals.died += !counted(rs, r);
    topic->totals.died += r->lsn > topic->restored;
}


static void
requeued_apply(kmq_restore_t *rs, kmq_slot_t *slot, const kmq_record_t *r)
{
    slot->state = KMQ_READY;
    slot->state_time = r->time;
    slot->attempts = 0;

    rs->kmq->block->totals.requeued += !counted(rs, r);
}


/* One more of the queue is gone. */
static void
gone_count(kmq_restore_t *rs, const kmq_record_t *r)
{
    kmq_block_t  *b = rs->kmq->block;

    if (counted(rs, r)) {
        return;
    }

    switch (r->kind) {

    case KMQ_KIND_DELETED:
        b->totals.deleted++;
        break;

    case KMQ_KIND_EXPIRED:
        b->totals.expired++;
        break;

    case KMQ_KIND_DISCARDED:
        kmq_count_queue(b, r->time, -1, 0, 0);
        break;
    }
}


static void
topic_gone_count(kmq_restore_t *rs, kmq_topic_t *topic, const kmq_record_t *r)
{
    if (r->kind == KMQ_KIND_EXPIRED) {
        topic->totals.expired++;

    } else if (r->kind == KMQ_KIND_DISCARDED) {
        kmq_count_topic(rs->kmq, topic, r->time, -1, 0, 0);
    }
}


static void
gone_apply(kmq_restore_t *rs, kmq_slot_t *slot, const kmq_record_t *r)
{
    kmq_topic_t  *topic = KMQ_AT(rs->kmq->block, slot->topic);

    gone_count(rs, r);

    if (r->lsn > topic->restored) {
        topic_gone_count(rs, topic, r);
    }

    if (slot->state == KMQ_CONSUMED) {
        rs->found.consumed--;
    }

    kmq_message_free(rs->kmq, slot);
}


static void
delivered_apply(kmq_restore_t *rs, kmq_slot_t *slot, const kmq_record_t *r,
    uint32_t attempts)
{
    kmq_block_t  *b = rs->kmq->block;
    kmq_topic_t  *topic = KMQ_AT(b, slot->topic);

    if (attempts > slot->attempts) {
        slot->attempts = attempts < UINT16_MAX ? attempts : UINT16_MAX;
    }

    if (attempts > 1) {
        b->totals.redelivered += !counted(rs, r);
        topic->totals.redelivered += r->lsn > topic->restored;
    }
}


static void
change_apply(kmq_restore_t *rs, kmq_slot_t *slot, const kmq_record_t *r,
    uint32_t attempts)
{
    switch (r->type) {

    case KMQ_RECORD_DELIVERED:
        delivered_apply(rs, slot, r, attempts);
        break;

    case KMQ_RECORD_CONSUMED:
        consumed_apply(rs, slot, r);
        break;

    case KMQ_RECORD_DEAD:
        dead_apply(rs, slot, r);
        break;

    case KMQ_RECORD_REQUEUED:
        requeued_apply(rs, slot, r);
        break;

    default: /* KMQ_RECORD_GONE */
        gone_apply(rs, slot, r);
        break;
    }
}


/* A message of the history has been given up; what else became of it is
 * counted all the same. */
static void
missing_apply(kmq_restore_t *rs, const kmq_record_t *r, uint32_t attempts)
{
    switch (r->type) {

    case KMQ_RECORD_DELIVERED:
        rs->kmq->block->totals.redelivered += attempts > 1 && !counted(rs, r);
        break;

    case KMQ_RECORD_GONE:
        gone_count(rs, r);
        break;
    }
}


/* What becomes of messages. */
static int
changes_restore(kmq_restore_t *rs, const kmq_record_t *r)
{
    int                   rc;
    uint32_t              attempts;
    uint64_t              sequence;
    kmq_slot_t           *slot;
    const unsigned char  *p;

    p = r->data;
    sequence = 0;
    attempts = 0;

    while ((rc = kmq_record_sequence(r, &p, &sequence, &attempts)) == 1) {

        if (sequence > rs->sequence) {
            rs->sequence = sequence;
        }

        slot = kmq_index_find(rs->kmq->block, sequence);

        if (slot) {
            change_apply(rs, slot, r, attempts);

        } else {
            missing_apply(rs, r, attempts);
        }
    }

    return rc == 0 ? KMQ_OK : KMQ_ERROR;
}


/* --------------------------------------------------------------- counters */

/* The next period, behind *count numbers; 0: there is none. */
static int
period_read(const kmq_record_t *r, unsigned *count, kmq_period_t *period)
{
    period->number = kmq_record_number(r, *count);
    period->published = kmq_record_number(r, *count + 1);
    period->delivered = kmq_record_number(r, *count + 2);
    period->confirmed = kmq_record_number(r, *count + 3);
    period->backlog = kmq_record_number(r, *count + 4);

    *count += KMQ_PERIOD_NUMBERS;

    return period->number != 0;
}


/* Up to max periods of the queue, n of which are kept. */
static void
periods_restore(const kmq_record_t *r, unsigned *count, uint64_t max,
    kmq_period_t *period, unsigned n)
{
    kmq_period_t  one;

    while (max-- && period_read(r, count, &one)) {
        *kmq_period(period, n, one.number) = one;
    }
}


/* The same of a topic, without those that were kept no longer then. */
static void
topic_periods_restore(kmq_restore_t *rs, kmq_topic_t *topic, unsigned class,
    const kmq_record_t *r, unsigned *count, uint64_t max)
{
    kmq_period_t         one;
    kmq_topic_period_t  *to;

    while (max-- && period_read(r, count, &one)) {

        if (one.number <= UINT32_MAX
            && kmq_period_current(class, one.number, r->time))
        {
            to = kmq_topic_period(rs->kmq, topic, class, one.number);
            to->published = one.published;
            to->delivered = one.delivered;
            to->confirmed = one.confirmed;
        }
    }
}


/* The first n totals. */
static void
totals_read(const kmq_record_t *r, void *totals, unsigned n)
{
    unsigned  i;
    uint64_t  number;

    for (i = 0; i < n; i++) {
        number = kmq_record_number(r, i);
        memcpy((char *) totals + i * sizeof(number), &number, sizeof(number));
    }
}


static int
queue_restore(kmq_restore_t *rs, const kmq_record_t *r)
{
    unsigned      count;
    uint64_t      sequence;
    kmq_block_t  *b = rs->kmq->block;

    totals_read(r, &b->totals, KMQ_QUEUE_TOTALS);

    sequence = kmq_record_number(r, KMQ_QUEUE_TOTALS);

    if (sequence > rs->sequence && sequence <= KMQ_NUMBER_MAX) {
        rs->sequence = sequence;
    }

    rs->first = rs->first ? rs->first : r->lsn;
    rs->start = r->lsn;

    count = KMQ_QUEUE_COUNTERS;
    periods_restore(r, &count, kmq_record_number(r, KMQ_QUEUE_TOTALS + 1),
                    b->hour, KMQ_HOURS);
    periods_restore(r, &count, UINT64_MAX, b->minute, KMQ_MINUTES);

    return KMQ_OK;
}


static int
topic_restore(kmq_restore_t *rs, const kmq_record_t *r)
{
    unsigned      count;
    kmq_topic_t  *topic;

    topic = topic_of(rs, r);
    if (topic == NULL) {
        return KMQ_NOMEM;
    }

    totals_read(r, &topic->totals, KMQ_TOPIC_TOTALS);
    topic->restored = r->lsn;

    count = KMQ_TOPIC_COUNTERS;
    topic_periods_restore(rs, topic, KMQ_CLASS_DAYS, r, &count,
                          kmq_record_number(r, KMQ_TOPIC_TOTALS));
    topic_periods_restore(rs, topic, KMQ_CLASS_MINUTES, r, &count,
                          UINT64_MAX);

    return KMQ_OK;
}


static int
counts_restore(kmq_restore_t *rs, const kmq_record_t *r)
{
    kmq_topic_t  *topic;

    topic = topic_of(rs, r);
    if (topic == NULL) {
        return KMQ_NOMEM;
    }

    if (!counted(rs, r)) {
        kmq_count_queue(rs->kmq->block, r->time, 0, r->delivered,
                        r->confirmed);
    }

    if (r->lsn > topic->restored) {
        kmq_count_topic(rs->kmq, topic, r->time, 0, r->delivered,
                        r->confirmed);
    }

    return KMQ_OK;
}


/* -------------------------------------------------------------------- all */

static int
record_restore(kmq_restore_t *rs, const kmq_record_t *r)
{
    switch (r->type) {

    case KMQ_RECORD_MESSAGE:

        if (r->sequence > rs->sequence) {
            rs->sequence = r->sequence;
        }

        return message_restore(rs, r);

    case KMQ_RECORD_COUNTS:
        return counts_restore(rs, r);

    case KMQ_RECORD_TOPIC:
        return topic_restore(rs, r);

    case KMQ_RECORD_QUEUE:
        return queue_restore(rs, r);

    case KMQ_RECORD_END:
        return KMQ_OK;

    default:
        return changes_restore(rs, r);
    }
}


int
kmq_restore_record(kmq_restore_t *rs, const kmq_record_t *r)
{
    int  rc;

    if (r->lsn > rs->lsn) {
        rs->lsn = r->lsn;
    }

    kmq_lock(rs->kmq);
    rc = record_restore(rs, r);
    kmq_unlock(rs->kmq);

    return rc;
}


/* Sets what the block knows of files and numbers. */
static void
journals_restore(kmq_restore_t *rs, const kmq_restore_files_t *files)
{
    kmq_block_t  *b = rs->kmq->block;

    if (rs->lsn) {
        b->sequence = rs->sequence + NUMBERS_SKIPPED;
        b->journals.untold = 1;
        b->journals.lsn = rs->lsn + NUMBERS_SKIPPED;
    }

    b->journals.generation = files->generation;
    b->journals.start = b->journals.lsn;
    b->journals.bytes = files->journals;
    b->journals.size = files->checkpoint;

    if (files->key) {
        b->key[0] = files->key[0];
        b->key[1] = files->key[1];
    }
}


/* Keeps what was restored apart from what is counted from now on. */
static void
totals_restore(kmq_block_t *b)
{
    kmq_walk_t    walk;
    kmq_topic_t  *topic;

    b->before = b->totals;

    memset(&walk, 0, sizeof(walk));

    while ((topic = kmq_table_scan(b, KMQ_CLASS_TOPIC, &walk))) {
        topic->before = topic->totals;
    }
}


void
kmq_restore_end(kmq_restore_t *rs, const kmq_restore_files_t *files,
    kmq_restored_t *found)
{
    uint64_t      repairs;
    kmq_block_t  *b = rs->kmq->block;

    kmq_lock(rs->kmq);

    journals_restore(rs, files);

    repairs = b->repairs;
    kmq_repair(rs->kmq);
    b->repairs = repairs;

    /* consumers need those pages to join */

    while (b->free_pages < b->spare_pages
           && kmq_history_drop(rs->kmq, KMQ_DROP))
    {
        /* void */
    }

    totals_restore(b);

    rs->found.ready = b->waiting;
    rs->found.delayed = b->delayed;
    rs->found.dead = b->dead;
    rs->found.consumed = b->history.count;

    kmq_unlock(rs->kmq);

    *found = rs->found;
    kmq_restore_free(rs);

    b->journals.losses = files->renew != 0;
}
