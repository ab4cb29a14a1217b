/* Messages as records, for journals and checkpoints. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "kmq_queue.h"


void
kmq_message_copy(kmq_t *kmq, const kmq_slot_t *slot, unsigned char *to)
{
    uint32_t     left, n;
    kmq_ref_t    piece;
    const char  *bytes;

    piece = KMQ_OUT(kmq->shard, slot->body);
    left = slot->size;

    while ((bytes = kmq_read(kmq, &piece, &left, &n)) != NULL) {
        memcpy(to, bytes, n);
        to += n;
    }
}


/* When a message on the schedule is due by the wall clock, which counts once
 * the other clock has begun anew. */
static uint64_t
due_wall(const kmq_t *kmq, const kmq_slot_t *slot)
{
    if (slot->timer.due <= kmq->mono) {
        return kmq->wall;
    }

    return kmq->wall + (slot->timer.due - kmq->mono);
}


/* Writes all of a message's record in front of its body, except the sum.
 * Returns how many bytes. */
size_t
kmq_message_record_head(kmq_t *kmq, const kmq_slot_t *slot, unsigned kind,
    uint64_t lsn, unsigned char *p)
{
    size_t              len;
    kmq_record_t        r;
    const kmq_topic_t  *topic = KMQ_AT(kmq->shard, slot->topic);

    len = KMQ_RECORD_MESSAGE_HEAD + topic->name_len;

    r.name = kmq_topic_name(kmq->shard, topic);
    r.name_len = topic->name_len;
    r.sequence = slot->sequence;
    r.due = kind == KMQ_KIND_DELAYED || slot->state == KMQ_RETRYING
            ? due_wall(kmq, slot) : 0;
    r.delay = slot->delay;
    r.state_time = slot->state_time;
    r.attempts = kmq_message_attempts(slot);

    /* it is kept as if it had come back; and what is consumed was pushed */

    if (slot->state == KMQ_IN_FLIGHT || slot->state == KMQ_CONSUMED) {
        r.attempts |= KMQ_ATTEMPTS_PUSHED;
    }

    kmq_record_begin(p, len + slot->size, lsn, KMQ_RECORD_MESSAGE, kind,
                     topic->name_len, slot->create_time);
    kmq_record_message(p, &r);

    return len;
}


/* Appends a message as a record of that kind; KMQ_NOMEM. */
int
kmq_message_record(kmq_t *kmq, const kmq_slot_t *slot, unsigned kind,
    uint64_t lsn, kmq_buffer_t *buffer)
{
    size_t              size, head;
    kmq_shard_t        *s = kmq->shard;
    unsigned char      *p;
    const kmq_topic_t  *topic = KMQ_AT(s, slot->topic);

    size = KMQ_RECORD_MESSAGE_HEAD + topic->name_len + slot->size;

    p = kmq_buffer_room(buffer, KMQ_RECORD_SPAN(size));
    if (p == NULL) {
        return KMQ_NOMEM;
    }

    head = kmq_message_record_head(kmq, slot, kind, lsn, p);
    kmq_message_copy(kmq, slot, p + head);
    memset(p + size, 0, KMQ_RECORD_SPAN(size) - size);

    buffer->len += KMQ_RECORD_SPAN(size);

    return KMQ_OK;
}
