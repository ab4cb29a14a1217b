/*
 * Reserved messages go into the journal.  They are large, so they are written
 * without the lock and without numbers; then they get their numbers under it.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../queue/kmq_queue.h"
#include "kmq_delivery_inside.h"


/* Messages share a record until it has so many bytes: one wrong bit costs no
 * more than these. */
#define MESSAGES_SIZE  4096


/*
 * Appends the first of these messages, which is not delayed, and those behind
 * it that fit in with it, as one record.  Returns how many; 0: no memory.
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
        kmq_message_copy(kmq, slot, end);

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
 * without numbers: see kmq_accept_stamp().  *first: where they begin.
 */
int
kmq_accept_write(kmq_t *kmq, const kmq_message_t *m, unsigned n,
    size_t *first)
{
    unsigned       i, done;
    kmq_slot_t    *slot;
    kmq_buffer_t  *buffer = &kmq->journal.buffer;

    *first = buffer->len;

    for (i = 0; i < n; i += done) {
        slot = KMQ_AT(kmq->block, m[i].slot);

        if (slot->timer.due) {
            done = kmq_message_record(kmq, slot, KMQ_KIND_DELAYED, 0, buffer)
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
kmq_accept_stamp(kmq_t *kmq, const kmq_message_t *m, unsigned n,
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

    if (kmq_accept_write(kmq, m, n, &first) != KMQ_OK) {
        return KMQ_NOMEM;
    }

    kmq_lock(kmq);
    kmq_accept_stamp(kmq, m, n, first);
    kmq_unlock(kmq);

    for (i = 0; i < n; i++) {
        m[i].accepted = 1;
    }

    return KMQ_OK;
}
