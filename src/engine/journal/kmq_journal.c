/*
 * The journal: each handle gathers, as records, what it changes in the block.
 * Whoever calls the engine takes them and writes them to a file.
 *
 * Records are numbered under the block's lock, over all handles, so that
 * their order is the order of the changes whichever files they are in.  What
 * is large, messages, is written without the lock, before it is numbered.
 *
 * Records that are lost (no memory, a dead worker, a failing disk) are no
 * loss as long as the block is there: they are counted, and a new checkpoint
 * makes up for them.
 */

#include "../kmq_block.h"


/* With so many bytes gathered, messages are taken as if the queue were full:
 * the disk cannot follow. */
#define JOURNAL_MAX  (8 * 1024 * 1024)

/* The most that one sequence number adds to a list, and how many go into
 * one. */
#define ENTRY_MAX    (2 * KMQ_VARINT_MAX + KMQ_RECORD_ALIGN)
#define ENTRIES_MAX  4096

/* Messages share a record until it has so many bytes: what one wrong bit
 * costs. */
#define MESSAGES_SIZE  4096


/* The first journal after recovery says which numbers are not given out, so
 * that they are not given out after the next one either. */
static void
numbers_tell(kmq_t *kmq)
{
    kmq_journals_t  *journals = &kmq->block->journals;

    if (journals->untold
        && kmq_checkpoint_queue(kmq, &kmq->journal.buffer, journals->lsn + 1)
           == 0)
    {
        kmq->journal.lsn = ++journals->lsn;
        journals->untold = 0;
    }
}


void
kmq_journal(kmq_t *kmq, int on)
{
    kmq->journal.on = on;
    kmq->journal.buffer.len = 0;
    kmq->journal.last_size = 0;

    if (on) {
        kmq_lock(kmq);
        numbers_tell(kmq);
        kmq_unlock(kmq);
    }
}


int
kmq_journal_full(const kmq_t *kmq)
{
    return kmq->journal.buffer.len >= JOURNAL_MAX;
}


/* Under the lock: the files do not tell what is in the block any more. */
void
kmq_journal_loss(kmq_t *kmq)
{
    kmq->block->journals.losses++;
}


void
kmq_journal_lost(kmq_t *kmq)
{
    kmq_lock(kmq);
    kmq_journal_loss(kmq);
    kmq_unlock(kmq);
}


size_t
kmq_journal_take(kmq_t *kmq, kmq_buffer_t *spare, kmq_journal_info_t *info)
{
    kmq_buffer_t     full;
    kmq_journals_t  *journals = &kmq->block->journals;

    full = kmq->journal.buffer;

    kmq->journal.buffer = *spare;
    kmq->journal.buffer.len = 0;
    kmq->journal.last_size = 0;

    *spare = full;

    kmq_lock(kmq);

    info->generation = journals->generation;
    info->start = journals->start;
    info->worker = kmq->worker;
    info->key[0] = kmq->block->key[0];
    info->key[1] = kmq->block->key[1];

    kmq_unlock(kmq);

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
    kmq_lock(kmq);
    kmq->block->journals.bytes += bytes;
    kmq_unlock(kmq);
}


void
kmq_journal_flushed(kmq_t *kmq, int error)
{
    kmq_worker_t  *worker = &kmq->block->worker[kmq->worker];

    kmq_lock(kmq);

    worker->disk_error = error;

    if (error == 0) {
        worker->flush_time = kmq->wall / 1000;
    }

    kmq_unlock(kmq);
}


int
kmq_journal_covered(kmq_t *kmq, uint64_t generation)
{
    int  covered;

    kmq_lock(kmq);
    covered = kmq->block->journals.complete > generation;
    kmq_unlock(kmq);

    return covered;
}


/* --------------------------------------------------------------- messages */

static void
body_copy(kmq_t *kmq, const kmq_slot_t *slot, unsigned char *to)
{
    uint32_t     left, n;
    kmq_ref_t    piece;
    const char  *bytes;

    piece = slot->body;
    left = slot->size;

    while ((bytes = kmq_read(kmq, &piece, &left, &n)) != NULL) {
        memcpy(to, bytes, n);
        to += n;
    }
}


/* When a delayed message is due by the wall clock, which is what counts when
 * the other one has begun anew. */
static uint64_t
due_wall(const kmq_t *kmq, const kmq_slot_t *slot)
{
    if (slot->timer.due <= kmq->mono) {
        return kmq->wall;
    }

    return kmq->wall + (slot->timer.due - kmq->mono);
}


/* Writes all of a message's record that is in front of its body, but the sum,
 * and returns how many bytes that are. */
size_t
kmq_journal_head(kmq_t *kmq, const kmq_slot_t *slot, unsigned kind,
    uint64_t lsn, unsigned char *p)
{
    size_t              len;
    kmq_record_t        r;
    const kmq_topic_t  *topic = KMQ_AT(kmq->block, slot->topic);

    len = KMQ_RECORD_MESSAGE_HEAD + topic->name_len;

    r.name = kmq_topic_name(kmq->block, topic);
    r.name_len = topic->name_len;
    r.sequence = slot->sequence;
    r.due = kind == KMQ_KIND_DELAYED ? due_wall(kmq, slot) : 0;
    r.delay = slot->delay;
    r.state_time = slot->state_time;
    r.attempts = slot->attempts;

    kmq_record_begin(p, len + slot->size, lsn, KMQ_RECORD_MESSAGE, kind,
                     topic->name_len, slot->create_time);
    kmq_record_message(p, &r);

    return len;
}


/* Appends a message as a record of that kind; KMQ_NOMEM. */
int
kmq_journal_slot(kmq_t *kmq, const kmq_slot_t *slot, unsigned kind,
    uint64_t lsn, kmq_buffer_t *buffer)
{
    size_t              size;
    kmq_block_t        *b = kmq->block;
    unsigned char      *p;
    const kmq_topic_t  *topic = KMQ_AT(b, slot->topic);

    size = KMQ_RECORD_MESSAGE_HEAD + topic->name_len + slot->size;

    p = kmq_buffer_room(buffer, KMQ_RECORD_SPAN(size));
    if (p == NULL) {
        return KMQ_NOMEM;
    }

    body_copy(kmq, slot, p + kmq_journal_head(kmq, slot, kind, lsn, p));
    memset(p + size, 0, KMQ_RECORD_SPAN(size) - size);

    buffer->len += KMQ_RECORD_SPAN(size);

    return KMQ_OK;
}


/*
 * Appends the first of these messages, which is not delayed, and those behind
 * it that fit to it, as one record.  Returns how many, 0: no memory.
 */
static unsigned
ready_append(kmq_t *kmq, const kmq_message_t *m, unsigned n)
{
    size_t              size;
    unsigned            i;
    uint64_t            before;
    kmq_block_t        *b = kmq->block;
    kmq_buffer_t       *buffer = &kmq->journal.buffer;
    unsigned char      *p, *end;
    const kmq_slot_t   *slot, *first;
    const kmq_topic_t  *topic;

    first = KMQ_AT(b, m[0].slot);
    topic = KMQ_AT(b, first->topic);
    size = KMQ_RECORD_MESSAGES_HEAD + topic->name_len;
    slot = first;
    before = 0;
    i = 0;

    do {
        p = kmq_buffer_room(buffer, size + KMQ_RECORD_MESSAGES_MORE
                                    + slot->size + KMQ_RECORD_ALIGN);
        if (p == NULL) {
            return 0;
        }

        end = kmq_varint(p + size, kmq_zigzag(slot->sequence, before));
        end = kmq_varint(end, slot->size);
        body_copy(kmq, slot, end);

        before = slot->sequence;
        size = end + slot->size - p;
        slot = ++i < n ? KMQ_AT(b, m[i].slot) : NULL;

    } while (slot && size < MESSAGES_SIZE && slot->timer.due == 0
             && slot->topic == first->topic
             && slot->create_time == first->create_time);

    kmq_record_head(p, size, 0, KMQ_RECORD_MESSAGES, KMQ_KIND_READY,
                    topic->name_len, first->create_time);
    kmq_put32(p + KMQ_RECORD_HEAD, i);
    memcpy(p + KMQ_RECORD_MESSAGES_HEAD, kmq_topic_name(b, topic),
           topic->name_len);

    buffer->len += KMQ_RECORD_SPAN(size);

    return i;
}


/*
 * Writes this handle's reserved messages to the journal, without the lock and
 * without numbers: see kmq_journal_stamp().  *first: where they begin.
 */
int
kmq_journal_messages(kmq_t *kmq, const kmq_message_t *m, unsigned n,
    size_t *first)
{
    unsigned       i, done;
    kmq_slot_t    *slot;
    kmq_buffer_t  *buffer = &kmq->journal.buffer;

    *first = buffer->len;

    for (i = 0; i < n; i += done) {
        slot = KMQ_AT(kmq->block, m[i].slot);

        if (slot->timer.due) {
            done = kmq_journal_slot(kmq, slot, KMQ_KIND_DELAYED, 0, buffer)
                   == KMQ_OK;
        } else {
            done = ready_append(kmq, &m[i], n - i);
        }

        if (done == 0) {
            buffer->len = *first;
            return KMQ_NOMEM;
        }
    }

    return KMQ_OK;
}


/* Under the lock: gives them their numbers, and counts them. */
void
kmq_journal_stamp(kmq_t *kmq, const kmq_message_t *m, unsigned n,
    size_t first)
{
    unsigned        i, begin, record;
    kmq_slot_t     *slot;
    kmq_block_t    *b = kmq->block;
    unsigned char  *p;

    p = kmq->journal.buffer.data + first;
    begin = 0;
    record = 0;

    for (i = 0; i < n; i++) {

        if (i == record) {
            kmq_put64(p + 8, b->journals.lsn + 1);
            b->journals.lsn += kmq_record_numbered(p);
            record += kmq_record_numbered(p);
            p += KMQ_RECORD_SPAN(kmq_get32(p + 4));
        }

        slot = KMQ_AT(b, m[i].slot);

        KMQ_SET(slot->flags, KMQ_WRITTEN);
        KMQ_POINT("journal-stamp");

        /* counted together with others of its topic */

        if (i + 1 == n || ((kmq_slot_t *) KMQ_AT(b, m[i + 1].slot))->topic
                          != slot->topic)
        {
            kmq_count_published(kmq, KMQ_AT(b, slot->topic), i + 1 - begin);
            begin = i + 1;
        }
    }

    kmq->journal.lsn = b->journals.lsn;
    kmq->journal.last_size = 0;
}


int
kmq_accept(kmq_t *kmq, kmq_message_t *m, unsigned n)
{
    size_t    first;
    unsigned  i;

    if (kmq_journal_messages(kmq, m, n, &first) != KMQ_OK) {
        return KMQ_NOMEM;
    }

    kmq_lock(kmq);
    kmq_journal_stamp(kmq, m, n, first);
    kmq_unlock(kmq);

    for (i = 0; i < n; i++) {
        m[i].accepted = 1;
    }

    return KMQ_OK;
}


/* --------------------------------------------------- records that grow */

/* May the last record grow?  Not when any other was numbered since. */
static unsigned char *
last_open(kmq_t *kmq, unsigned type, unsigned kind)
{
    unsigned char  *p;
    kmq_journal_t  *j = &kmq->journal;

    if (j->last_size == 0 || j->lsn != kmq->block->journals.lsn) {
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

    j->lsn = ++kmq->block->journals.lsn;
    j->last = j->buffer.len;
    j->last_size = size;
    j->sequence = 0;
    j->topic = 0;

    p = j->buffer.data + j->last;
    kmq_record_head(p, size, j->lsn, type, kind, name_len, kmq->wall / 1000);
    j->buffer.len += KMQ_RECORD_SPAN(size);

    return p;
}


/* The last record ends at end now.  There is room for as much as may have to be
 * filled in behind it, so all of that is written, which is faster. */
static void
last_extend(kmq_journal_t *j, unsigned char *p, unsigned char *end)
{
    j->last_size = end - p;
    kmq_put32(p + 4, j->last_size);

    memset(end, 0, KMQ_RECORD_ALIGN);

    j->buffer.len = j->last + KMQ_RECORD_SPAN(j->last_size);
}


void
kmq_journal_sequence(kmq_t *kmq, unsigned type, unsigned kind,
    uint64_t sequence, uint32_t attempts)
{
    uint32_t        n;
    unsigned char  *p, *end;
    kmq_journal_t  *j = &kmq->journal;

    if (!j->on) {
        return;
    }

    if (kmq_buffer_room(&j->buffer, KMQ_RECORD_LIST_HEAD + ENTRY_MAX)
        == NULL)
    {
        kmq_journal_loss(kmq);
        return;
    }

    p = last_open(kmq, type, kind);

    if (p == NULL || kmq_get32(p + KMQ_RECORD_HEAD) == ENTRIES_MAX) {
        p = last_begin(kmq, type, kind, 0, KMQ_RECORD_LIST_HEAD);
        kmq_put32(p + KMQ_RECORD_HEAD, 0);
    }

    n = kmq_get32(p + KMQ_RECORD_HEAD);
    kmq_put32(p + KMQ_RECORD_HEAD, n + 1);

    end = kmq_varint(p + j->last_size, kmq_zigzag(sequence, j->sequence));

    if (type == KMQ_RECORD_DELIVERED) {
        end = kmq_varint(end, attempts);
    }

    j->sequence = sequence;
    last_extend(j, p, end);
}


void
kmq_journal_counts(kmq_t *kmq, const kmq_topic_t *topic, uint32_t delivered,
    uint32_t confirmed)
{
    size_t          size;
    unsigned char  *p;
    kmq_journal_t  *j = &kmq->journal;

    if (!j->on) {
        return;
    }

    size = KMQ_RECORD_COUNTS_HEAD + topic->name_len;

    if (kmq_buffer_room(&j->buffer, KMQ_RECORD_SPAN(size)) == NULL) {
        kmq_journal_loss(kmq);
        return;
    }

    p = last_open(kmq, KMQ_RECORD_COUNTS, 0);

    if (p == NULL || j->topic != KMQ_REF(kmq->block, topic)) {
        p = last_begin(kmq, KMQ_RECORD_COUNTS, 0, topic->name_len, size);
        j->topic = KMQ_REF(kmq->block, topic);

        memcpy(p + KMQ_RECORD_COUNTS_HEAD,
               kmq_topic_name(kmq->block, topic), topic->name_len);
        kmq_put64(p + KMQ_RECORD_HEAD, 0);
    }

    p += KMQ_RECORD_HEAD;
    kmq_put32(p, kmq_get32(p) + delivered);
    kmq_put32(p + 4, kmq_get32(p + 4) + confirmed);
}
