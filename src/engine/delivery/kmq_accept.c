/*
 * Reserved messages go into the journal.  They are large, so they are written
 * without a lock and without numbers; then they get their numbers under their
 * shard's lock.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../queue/kmq_queue.h"
#include "kmq_delivery_inside.h"


/* Messages share a record until it has so many bytes: one wrong bit costs no
 * more than these. */
#define MESSAGES_SIZE  4096


/* How many of these messages, from the first on, are in the same shard. */
unsigned
kmq_same_shard(const kmq_message_t *m, unsigned n)
{
    unsigned  i;

    for (i = 1; i < n && m[i].shard == m[0].shard; i++) {
        /* void */
    }

    return i;
}


/*
 * Appends the first of these messages of kmq_t.shard, which is not delayed, and
 * those behind it that fit in with it, as one record.  Returns how many; 0: no
 * memory.
 */
static unsigned
ready_append(kmq_t *kmq, const kmq_message_t *m, unsigned n)
{
    size_t              size;
    unsigned            i;
    uint64_t            before;
    kmq_shard_t        *s = kmq->shard;
    kmq_buffer_t       *buffer = &kmq->journal.buffer;
    unsigned char      *p, *end;
    const kmq_slot_t   *slot, *first;
    const kmq_topic_t  *topic;

    first = KMQ_AT(kmq->block, m[0].slot);
    topic = KMQ_AT(s, first->topic);
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
        kmq_message_copy(kmq, slot, end);

        before = slot->sequence;
        size = end + slot->size - p;
        slot = ++i < n ? KMQ_AT(kmq->block, m[i].slot) : NULL;

    } while (slot && size < MESSAGES_SIZE && slot->timer.due == 0
             && slot->topic == first->topic
             && slot->create_time == first->create_time);

    kmq_record_head(p, size, 0, KMQ_RECORD_MESSAGES, KMQ_KIND_READY,
                    topic->name_len, first->create_time);
    kmq_put32(p + KMQ_RECORD_HEAD, i);
    memcpy(p + KMQ_RECORD_MESSAGES_HEAD, kmq_topic_name(s, topic),
           topic->name_len);

    buffer->len += KMQ_RECORD_SPAN(size);

    return i;
}


/* Writes messages of kmq_t.shard. */
static int
same_write(kmq_t *kmq, const kmq_message_t *m, unsigned n)
{
    unsigned       i, done;
    kmq_slot_t    *slot;
    kmq_buffer_t  *buffer = &kmq->journal.buffer;

    for (i = 0; i < n; i += done) {
        slot = KMQ_AT(kmq->block, m[i].slot);

        if (slot->timer.due) {
            done = kmq_message_record(kmq, slot, KMQ_KIND_DELAYED, 0, buffer)
                   == KMQ_OK;
        } else {
            done = ready_append(kmq, &m[i], n - i);
        }

        if (done == 0) {
            return KMQ_NOMEM;
        }
    }

    return KMQ_OK;
}


/* A record has messages of one topic, and so of one shard.  The handle needs
 * no shard's lock for those that it has reserved itself. */
int
kmq_accept_write(kmq_t *kmq, const kmq_message_t *m, unsigned n,
    size_t *first)
{
    unsigned       i, same;
    kmq_buffer_t  *buffer = &kmq->journal.buffer;

    *first = buffer->len;

    /* no record before these may grow any more, into which a repair would write
     * before they have their numbers */

    kmq->journal.last_size = 0;

    for (i = 0; i < n; i += same) {
        same = kmq_same_shard(&m[i], n - i);
        kmq->shard = KMQ_SHARD(kmq->block, m[i].shard);

        if (same_write(kmq, &m[i], same) != KMQ_OK) {
            buffer->len = *first;
            return KMQ_NOMEM;
        }
    }

    return KMQ_OK;
}


/* Each message takes one number, whether it shares its record or not. */
void
kmq_accept_stamp(kmq_t *kmq, const kmq_message_t *m, unsigned n,
    size_t *first)
{
    unsigned        i, begin, record;
    uint64_t        lsn;
    kmq_slot_t     *slot, *next;
    kmq_shard_t    *s = kmq->shard;
    kmq_journal_t  *j = &kmq->journal;
    unsigned char  *p;

    p = j->buffer.data + *first;
    lsn = kmq_lsn_next(kmq, n);
    begin = 0;
    record = 0;

    for (i = 0; i < n; i++) {

        if (i == record) {
            kmq_put64(p + 8, lsn + i);
            record += kmq_record_numbered(p);
            p += KMQ_RECORD_SPAN(kmq_get32(p + 4));
        }

        slot = KMQ_AT(kmq->block, m[i].slot);
        next = i + 1 < n ? KMQ_AT(kmq->block, m[i + 1].slot) : NULL;

        KMQ_SET(slot->flags, KMQ_WRITTEN);
        KMQ_POINT("journal-stamp");

        /* counted together with others of its topic */

        if (next == NULL || next->topic != slot->topic) {
            kmq_count_published(kmq, KMQ_AT(s, slot->topic), i + 1 - begin);
            begin = i + 1;
        }
    }

    j->lsn = s->lsn;
    j->last_size = 0;

    *first = p - j->buffer.data;
}


int
kmq_accept(kmq_t *kmq, kmq_message_t *m, unsigned n)
{
    size_t    first;
    unsigned  i, same;

    if (kmq_accept_write(kmq, m, n, &first) != KMQ_OK) {
        return KMQ_NOMEM;
    }

    for (i = 0; i < n; i += same) {
        same = kmq_same_shard(&m[i], n - i);

        kmq_lock(kmq, KMQ_SHARD(kmq->block, m[i].shard));
        kmq_accept_stamp(kmq, &m[i], same, &first);
        kmq_unlock(kmq);
    }

    for (i = 0; i < n; i++) {
        m[i].accepted = 1;
    }

    return KMQ_OK;
}
