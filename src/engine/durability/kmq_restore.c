/*
 * Restoring: a fresh block is filled from records, those of a checkpoint
 * first, then those of journals in the order of their numbers.
 *
 * Messages are put into slots with the states that they end up with.
 * kmq_repair() makes all that is derived, lists and most counts, as after the
 * death of a worker.  What was in flight is ready again.
 *
 * A message is in the shard of its topic, but most records name messages by
 * their numbers alone.  So meanwhile all of them are in the index of the first
 * shard; the repairs make each shard's own.  The block is nobody else's yet:
 * the lock of the shard with a topic or message is taken for those who expect
 * it, and the first shard is looked at without.
 */

#include <stdlib.h>

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../time/kmq_time.h"
#include "../journal/kmq_journal.h"
#include "../queue/kmq_queue.h"
#include "../upkeep/kmq_upkeep.h"
#include "kmq_restore_inside.h"


/* Numbers that may have been given out, though no disk has them, are not given
 * out again. */
#define NUMBERS_SKIPPED  (UINT64_C(1) << 26)

/* ms, 17 years: longer than any delay, and what the schedule can take. */
#define WAIT_MAX         (UINT64_C(1) << 39)

/* The same, until a message's next try, even if the wall clock was set back. */
#define RETRY_MAX        (UINT64_C(30) * 24 * 3600 * 1000)


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

    rs->spare_pages = rs->kmq->block->spare_pages;

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


/* ----------------------------------------------------------------- shards */

static kmq_shard_t *
shard_of(const kmq_restore_t *rs, const kmq_slot_t *slot)
{
    return kmq_shard_at(rs->kmq, KMQ_REF(rs->kmq->block, slot));
}


/* Changes over to the lock of another shard. */
static void
shard_enter(kmq_restore_t *rs, kmq_shard_t *s)
{
    if (rs->kmq->shard != s) {
        kmq_unlock(rs->kmq);
        kmq_lock(rs->kmq, s);
    }
}


/* The message of that number, in whatever shard; NULL: there is none. */
static kmq_slot_t *
message_find(const kmq_restore_t *rs, uint64_t sequence)
{
    return kmq_index_find(kmq_restore_first(rs), sequence);
}


/* Frees a message of kmq_t.shard, whose own index does not have it yet. */
static void
message_remove(kmq_restore_t *rs, kmq_slot_t *slot)
{
    kmq_index_remove(kmq_restore_first(rs), slot);
    kmq_message_free(rs->kmq, slot);
}


/* ---------------------------------------------------------------- history */

static void
history_evict(kmq_restore_t *rs)
{
    uint64_t      sequence;
    kmq_slot_t   *slot;
    kmq_shard_t  *s = rs->kmq->shard;

    sequence = rs->history[rs->history_first++ % KMQ_HISTORY_KEPT];
    slot = message_find(rs, sequence);

    if (slot && slot->state == KMQ_CONSUMED) {
        shard_enter(rs, shard_of(rs, slot));
        message_remove(rs, slot);
        shard_enter(rs, s);

        rs->found.consumed--;
    }
}


/* Is memory short?  Then no history is kept: messages that wait come first. */
static int
memory_short(const kmq_restore_t *rs)
{
    unsigned            i;
    uint64_t            room, want;
    kmq_block_t        *b = rs->kmq->block;
    const kmq_shard_t  *s;

    want = (uint64_t) (b->npages / 8 + b->spare_pages) * KMQ_PAGE_SIZE;
    room = (uint64_t) KMQ_GET(b->free_pages) * KMQ_PAGE_SIZE;

    for (i = 0; room < want && i < b->nshards; i++) {
        s = KMQ_SHARD(b, i);
        room += (uint64_t) s->free_pages * KMQ_PAGE_SIZE
                + s->heap[KMQ_HEAP_MESSAGES].free_cells * KMQ_CELL;
    }

    return room < want;
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


/* Has the shards return their free pages, except the one at work.  0: there
 * were none. */
static int
pages_return(kmq_restore_t *rs)
{
    int           some;
    unsigned      i;
    kmq_shard_t  *s;

    some = 0;

    for (i = 0; i < rs->kmq->block->nshards; i++) {
        s = KMQ_SHARD(rs->kmq->block, i);

        if (s != rs->kmq->shard) {
            some |= kmq_pages_release(s);
        }
    }

    return some;
}


/* Gives up some history; 0: there is none. */
static int
history_give(kmq_restore_t *rs)
{
    unsigned  n;

    for (n = 0; n < 1024 && rs->history_first < rs->history_next; n++) {
        history_evict(rs);
    }

    (void) pages_return(rs);

    return n != 0;
}


/*
 * Gives memory back; 0: there is none to give.  What was in a block must fit
 * into it again, however it is cut up now: in the end most of the pages for
 * consumers are used.
 */
static int
make_room(kmq_restore_t *rs)
{
    /* what is returned may not do, and be taken and returned again */

    if (!rs->returned && pages_return(rs)) {
        rs->returned = 1;
        return 1;
    }

    rs->returned = 0;

    if (history_give(rs)) {
        return 1;
    }

    if (rs->strained) {
        return 0;
    }

    rs->strained = 1;
    rs->kmq->block->spare_pages /= 4;

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
        kmq_topic_idle(rs->kmq->shard, topic);
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


/* Enters a message of kmq_t.shard into the index of the first one. */
static int
index_enter(kmq_restore_t *rs, const kmq_slot_t *slot)
{
    int  rc;

    rc = kmq_index_insert(kmq_restore_first(rs), slot);

    if (rc != KMQ_OK && kmq_pages_release(rs->kmq->shard)) {
        rc = kmq_index_insert(kmq_restore_first(rs), slot);
    }

    return rc;
}


/* A slot of the message's number with room for its body, or NULL. */
static kmq_slot_t *
slot_make(kmq_restore_t *rs, const kmq_record_t *r)
{
    int           rc;
    uint32_t      left;
    kmq_ref_t     body;
    kmq_slot_t   *slot;
    kmq_shard_t  *s = rs->kmq->shard;

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

    if (rc != KMQ_OK || index_enter(rs, slot) != KMQ_OK) {
        kmq_message_memory_free(s, slot);
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


/* What a record says of a message's failures. */
static void
attempts_set(kmq_slot_t *slot, uint32_t attempts)
{
    if (!(attempts & KMQ_ATTEMPTS_NEW)) {

        /* how often it was pushed; the last one need not have failed */

        slot->flags = attempts ? KMQ_PUSHED : 0;
        attempts -= attempts && slot->state != KMQ_DEAD;
        slot->failures = attempts < UINT16_MAX ? attempts : UINT16_MAX;
        return;
    }

    slot->failures = attempts & KMQ_ATTEMPTS_FAILURES;
    slot->flags = attempts & KMQ_ATTEMPTS_PUSHED ? KMQ_PUSHED : 0;
    slot->flags |= attempts & KMQ_ATTEMPTS_SUSPECT ? KMQ_SUSPECT : 0;
    slot->flags |= (attempts / KMQ_ATTEMPTS_REASON & 3) * KMQ_REASON;
}


/*
 * A message that waits is tried again at that time, of the wall clock; 0: when
 * it can be.  A suspect waits until the topics' settings are there, which tell
 * whether it is pushed alone.
 */
static void
retry_at(kmq_restore_t *rs, kmq_slot_t *slot, uint64_t due)
{
    uint64_t  wait;

    slot->state = KMQ_READY;
    wait = due > rs->kmq->wall ? due - rs->kmq->wall : 0;

    if (wait == 0 && slot->flags & KMQ_SUSPECT) {
        wait = 1;
    }

    if (wait) {
        slot->timer.due = kmq_due(rs->kmq, wait < RETRY_MAX ? wait : RETRY_MAX);
        slot->state = KMQ_RETRYING;
    }
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
    m.piece = slot->body ? KMQ_OUT(kmq->shard, slot->body) : 0;
    kmq_write(kmq, &m, r->body, r->body_size);

    slot->topic = KMQ_REF(kmq->shard, topic);
    slot->delay = r->delay;
    slot->state_time = r->state_time;
    slot->state = state_of(r);
    attempts_set(slot, r->attempts);

    if (slot->state == KMQ_DELAYED) {
        wait = wait_left(rs, r);

        if (wait) {
            slot->timer.due = kmq_due(kmq, wait);
        } else {
            retry_at(rs, slot, 0);
        }

    } else if (slot->state == KMQ_READY) {
        retry_at(rs, slot, r->due);
    }
}


static void
published_add(kmq_restore_t *rs, kmq_topic_t *topic, const kmq_record_t *r)
{
    if (r->lsn <= rs->first) {
        return;
    }

    if (!kmq_restore_counted(rs, r)) {
        kmq_restore_count(rs, r->time, 1, 0, 0);
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

    if (message_find(rs, r->sequence)
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
    kmq_topic_t  *topic = KMQ_AT(rs->kmq->shard, slot->topic);

    /* in files of version 1 nothing else tells that its last push failed */

    if (slot->state != KMQ_DEAD && slot->failures < UINT16_MAX
        && !(slot->flags & 3 * KMQ_REASON))
    {
        slot->failures++;
    }

    slot->state = KMQ_DEAD;
    slot->state_time = r->time;

    kmq_restore_first(rs)->totals.died += !kmq_restore_counted(rs, r);
    topic->totals.died += r->lsn > topic->restored;
}


static void
requeued_apply(kmq_restore_t *rs, kmq_slot_t *slot, const kmq_record_t *r)
{
    if (r->kind == KMQ_KIND_DUE) {

        if (slot->state == KMQ_DELAYED || slot->state == KMQ_RETRYING) {
            retry_at(rs, slot, 0);
        }

        return;
    }

    slot->state = KMQ_READY;
    slot->state_time = r->time;
    slot->failures = 0;
    slot->flags = 0;

    kmq_restore_first(rs)->totals.requeued += !kmq_restore_counted(rs, r);
}


/* One more of the queue is gone. */
static void
gone_count(kmq_restore_t *rs, const kmq_record_t *r)
{
    kmq_totals_t  *totals = &kmq_restore_first(rs)->totals;

    if (kmq_restore_counted(rs, r)) {
        return;
    }

    switch (r->kind) {

    case KMQ_KIND_DELETED:
        totals->deleted++;
        break;

    case KMQ_KIND_EXPIRED:
        totals->expired++;
        break;

    case KMQ_KIND_DISCARDED:
        kmq_restore_count(rs, r->time, -1, 0, 0);
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
    kmq_topic_t  *topic = KMQ_AT(rs->kmq->shard, slot->topic);

    gone_count(rs, r);

    if (r->lsn > topic->restored) {
        topic_gone_count(rs, topic, r);
    }

    if (slot->state == KMQ_CONSUMED) {
        rs->found.consumed--;
    }

    message_remove(rs, slot);
}


static void
delivered_apply(kmq_restore_t *rs, kmq_slot_t *slot, const kmq_record_t *r,
    uint32_t attempts)
{
    kmq_topic_t  *topic = KMQ_AT(rs->kmq->shard, slot->topic);

    attempts &= KMQ_ATTEMPTS_FAILURES;

    if (attempts > slot->failures + 1u) {
        slot->failures = attempts < UINT16_MAX ? attempts - 1 : UINT16_MAX;
    }

    if (slot->state == KMQ_RETRYING) {
        retry_at(rs, slot, 0);
    }

    if (slot->flags & KMQ_PUSHED) {
        kmq_restore_first(rs)->totals.redelivered
            += !kmq_restore_counted(rs, r);
        topic->totals.redelivered += r->lsn > topic->restored;
    }

    slot->flags |= KMQ_PUSHED;
}


/* Its delivery has failed. */
static void
failed_apply(kmq_restore_t *rs, kmq_slot_t *slot,
    const kmq_record_entry_t *entry)
{
    if (slot->state == KMQ_DEAD) {
        return;
    }

    attempts_set(slot, entry->attempts | KMQ_ATTEMPTS_NEW
                       | KMQ_ATTEMPTS_PUSHED);

    if (slot->state == KMQ_READY || slot->state == KMQ_RETRYING) {
        retry_at(rs, slot, entry->due);
    }
}


static void
change_apply(kmq_restore_t *rs, kmq_slot_t *slot, const kmq_record_t *r,
    const kmq_record_entry_t *entry)
{
    switch (r->type) {

    case KMQ_RECORD_DELIVERED:
        delivered_apply(rs, slot, r, entry->attempts);
        break;

    case KMQ_RECORD_FAILED:
        failed_apply(rs, slot, entry);
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

        /* it had failed, or had been pushed: KMQ_ATTEMPTS_PUSHED is more */

        kmq_restore_first(rs)->totals.redelivered += attempts > 1
                                               && !kmq_restore_counted(rs, r);
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
    kmq_slot_t           *slot;
    kmq_record_entry_t    entry;
    const unsigned char  *p;

    p = r->data;
    memset(&entry, 0, sizeof(entry));

    while ((rc = kmq_record_sequence(r, &p, &entry)) == 1) {

        if (entry.sequence > rs->sequence) {
            rs->sequence = entry.sequence;
        }

        slot = message_find(rs, entry.sequence);

        if (slot) {
            shard_enter(rs, shard_of(rs, slot));
            change_apply(rs, slot, r, &entry);

        } else {
            missing_apply(rs, r, entry.attempts);
        }
    }

    return rc == 0 ? KMQ_OK : KMQ_ERROR;
}


/* -------------------------------------------------------------------- all */

/* Counters of a topic, which is made when there is none. */
static int
topic_restore(kmq_restore_t *rs, const kmq_record_t *r)
{
    kmq_topic_t  *topic;

    topic = topic_of(rs, r);
    if (topic == NULL) {
        return KMQ_NOMEM;
    }

    if (r->type == KMQ_RECORD_TOPIC) {
        kmq_restore_topic(rs, topic, r);
    } else {
        kmq_restore_counts(rs, topic, r);
    }

    return KMQ_OK;
}


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
    case KMQ_RECORD_TOPIC:
        return topic_restore(rs, r);

    case KMQ_RECORD_QUEUE:
        kmq_restore_queue(rs, r);
        return KMQ_OK;

    case KMQ_RECORD_END:
        return KMQ_OK;

    default:
        return changes_restore(rs, r);
    }
}


int
kmq_restore_record(kmq_restore_t *rs, const kmq_record_t *r)
{
    int     rc;
    kmq_t  *kmq = rs->kmq;

    if (r->lsn > rs->lsn) {
        rs->lsn = r->lsn;
    }

    rs->returned = 0;

    kmq_lock(kmq, r->name_len && r->name
                  ? kmq_topic_shard(kmq, r->name, r->name_len)
                  : kmq_restore_first(rs));

    rc = record_restore(rs, r);

    kmq_unlock(kmq);

    return rc;
}


/* -------------------------------------------------------------------- end */

/* Sets which numbers come next: shards take theirs from the block's. */
static void
numbers_restore(kmq_restore_t *rs)
{
    unsigned      i;
    kmq_block_t  *b = rs->kmq->block;

    if (rs->lsn == 0) {
        return;
    }

    b->sequence = rs->sequence + NUMBERS_SKIPPED + 1;
    b->lsn = rs->lsn + NUMBERS_SKIPPED;
    b->journals.untold = 1;

    for (i = 0; i < b->nshards; i++) {
        KMQ_SHARD(b, i)->lsn = b->lsn;
    }
}


/* Sets what the block knows of files. */
static void
journals_restore(kmq_restore_t *rs, const kmq_restore_files_t *files)
{
    kmq_block_t  *b = rs->kmq->block;

    b->journals.generation = files->generation;
    b->journals.start = b->lsn;
    b->journals.bytes = files->journals;
    b->journals.size = files->checkpoint;

    if (files->key) {
        b->key[0] = files->key[0];
        b->key[1] = files->key[1];
    }
}


/* Are as many pages free as there should be?  Shards have returned theirs. */
static int
pages_spare(const kmq_block_t *b)
{
    return KMQ_GET(b->free_pages) >= b->spare_pages;
}


/*
 * Repairs need pages for the indexes, and cannot take them from the histories
 * of other shards, so those give way before.
 */
static void
spare_restore(kmq_restore_t *rs)
{
    kmq_block_t  *b = rs->kmq->block;

    b->spare_pages = rs->spare_pages;

    kmq_lock(rs->kmq, kmq_restore_first(rs));

    (void) pages_return(rs);
    (void) kmq_pages_release(kmq_restore_first(rs));

    while (!pages_spare(b) && history_give(rs)) {
        (void) kmq_pages_release(kmq_restore_first(rs));
    }

    kmq_unlock(rs->kmq);
}


/* The first shard's comes first: the others need the memory that the index of
 * all messages had. */
static void
shards_repair(kmq_t *kmq)
{
    unsigned      i;
    uint64_t      repairs;
    kmq_shard_t  *s;

    for (i = 0; i < kmq->block->nshards; i++) {
        s = KMQ_SHARD(kmq->block, i);

        kmq_lock(kmq, s);

        repairs = s->repairs;
        kmq_repair(kmq);
        s->repairs = repairs;

        (void) kmq_pages_release(s);

        kmq_unlock(kmq);
    }
}


/* Drops some of each shard's history; 0: there is none. */
static int
histories_drop(kmq_t *kmq)
{
    int       some;
    unsigned  i;

    some = 0;

    for (i = 0; i < kmq->block->nshards; i++) {
        kmq_lock(kmq, KMQ_SHARD(kmq->block, i));

        some |= kmq_history_drop(kmq, KMQ_DROP);
        (void) kmq_pages_release(kmq->shard);

        kmq_unlock(kmq);
    }

    return some;
}


/* Keeps what was restored of a shard apart from what is counted from now on,
 * and tells it. */
static void
totals_restore(kmq_restore_t *rs, kmq_shard_t *s)
{
    kmq_walk_t    walk;
    kmq_topic_t  *topic;

    kmq_totals_add(&rs->kmq->block->before, &s->totals);

    memset(&walk, 0, sizeof(walk));

    while ((topic = kmq_table_scan(s, KMQ_CLASS_TOPIC, &walk))) {
        topic->before = topic->totals;
    }

    rs->found.ready += s->waiting;
    rs->found.delayed += s->delayed;
    rs->found.dead += s->dead;
    rs->found.consumed += s->history.count;
}


void
kmq_restore_end(kmq_restore_t *rs, const kmq_restore_files_t *files,
    kmq_restored_t *found)
{
    unsigned      i;
    kmq_t        *kmq = rs->kmq;
    kmq_block_t  *b = kmq->block;

    numbers_restore(rs);
    journals_restore(rs, files);

    spare_restore(rs);
    shards_repair(kmq);

    /* consumers need those pages to join */

    while (!pages_spare(b) && histories_drop(kmq)) {
        /* void */
    }

    rs->found.consumed = 0;

    for (i = 0; i < b->nshards; i++) {
        kmq_lock(kmq, KMQ_SHARD(b, i));
        totals_restore(rs, kmq->shard);
        kmq_unlock(kmq);
    }

    *found = rs->found;
    kmq_restore_free(rs);

    b->journals.losses = files->renew != 0;
}
