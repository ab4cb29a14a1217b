/*
 * Messages come in: room is reserved under the lock, bodies are written
 * without it, a batch is committed under it.
 */

#include "kmq_block.h"


#define BODY_MAX  (UINT32_MAX - 4096)


size_t
kmq_body_max(kmq_t *kmq)
{
    size_t  half;

    half = (size_t) kmq->block->npages * KMQ_PAGE_SIZE / 2;

    /* a record with it has a size of 32 bits, too */

    return half < BODY_MAX ? half : BODY_MAX;
}


/* A slot with a body of that size: the oldest of the history as it is, or what
 * was free; NULL: no memory. */
static kmq_slot_t *
slot_get(kmq_t *kmq, uint32_t size)
{
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;

    slot = kmq_history_reuse(kmq, size);

    if (slot) {
        ((kmq_piece_t *) KMQ_AT(b, slot->body))->next = 0;
        return slot;
    }

    slot = kmq_slot_alloc(kmq);
    if (slot == NULL) {
        return NULL;
    }

    slot->body = kmq_body_alloc(kmq, size);

    if (slot->body == 0) {
        kmq_slot_free(b, slot);
        return NULL;
    }

    return slot;
}


/*
 * Enters a message for which the index had no node: drops history until it has
 * one, and a page of them besides, if a few more drops free one.  From then on
 * a node goes for each that comes; otherwise what was dropped would come back
 * as messages, and the next leaf would lack its node again.
 */
static int
index_force(kmq_t *kmq, const kmq_slot_t *slot)
{
    unsigned      n;
    kmq_block_t  *b = kmq->block;

    do {
        if (!kmq_history_drop(kmq)) {
            return KMQ_NOMEM;
        }
    } while (kmq_index_insert(b, slot) != KMQ_OK);

    for (n = 0; n < 2 * KMQ_INDEX_SIZE && !kmq_index_stock(b); n += KMQ_DROP) {
        (void) kmq_history_drop(kmq);
    }

    return KMQ_OK;
}


/* The same for a message, by whose number it is entered into the index. */
static kmq_slot_t *
slot_make(kmq_t *kmq, const kmq_message_t *m)
{
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;

    slot = slot_get(kmq, m->size);
    if (slot == NULL) {
        return NULL;
    }

    slot->sequence = m->sequence;
    slot->create_time = m->create_time;

    if (kmq_index_insert(b, slot) != KMQ_OK
        && index_force(kmq, slot) != KMQ_OK)
    {
        kmq_body_free(b, slot->body, m->size);
        kmq_slot_free(b, slot);
        return NULL;
    }

    return slot;
}


static int
reserve(kmq_t *kmq, kmq_topic_t *topic, kmq_message_t *m)
{
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;

    if (b->waiting >= b->settings.waiting_max || kmq_journal_full(kmq)) {
        return KMQ_FULL;
    }

    if (m->size > kmq_body_max(kmq)) {
        return KMQ_NOMEM;
    }

    m->create_time = kmq->wall / 1000;
    m->sequence = ++b->sequence;

    slot = slot_make(kmq, m);
    if (slot == NULL) {
        b->nomem_time = kmq->mono;
        return KMQ_NOMEM;
    }

    m->slot = KMQ_REF(b, slot);
    m->body = slot->body;
    m->piece = m->body;
    m->offset = 0;
    m->delay = (m->delay_time + 999) / 1000;

    slot->topic = KMQ_REF(b, topic);
    slot->size = m->size;
    slot->position = 0;
    slot->owner = kmq->worker;
    slot->pending = 0;
    slot->timer.due = m->delay_time ? kmq_due(kmq, m->delay_time) : 0;
    slot->state_time = 0;
    slot->delay = m->delay;
    slot->attempts = 0;
    slot->flags = 0;

    KMQ_SET(slot->state, KMQ_RESERVED);
    KMQ_POINT("reserve");

    kmq_list_append(b, &b->worker[kmq->worker].reserved, &slot->link);
    b->waiting++;
    b->reserved++;

    if (topic->held++ == 0) {
        kmq_topic_idle(b, topic);
    }

    return KMQ_OK;
}


unsigned
kmq_reserve(kmq_t *kmq, kmq_ref_t producer, kmq_message_t *m, unsigned n,
    int *why)
{
    int            rc;
    unsigned       i;
    kmq_topic_t   *topic;
    kmq_client_t  *client = KMQ_AT(kmq->block, producer);

    rc = KMQ_OK;

    kmq_lock(kmq);

    topic = KMQ_AT(kmq->block, client->topic);

    for (i = 0; i < n; i++) {
        rc = reserve(kmq, topic, &m[i]);
        if (rc != KMQ_OK) {
            break;
        }
    }

    kmq_unlock(kmq);

    if (why) {
        *why = rc;
    }

    return i;
}


int
kmq_reserve_to(kmq_t *kmq, const char *name, size_t len, kmq_message_t *m)
{
    int           rc;
    kmq_topic_t  *topic;

    if (len == 0 || len > KMQ_NAME_MAX) {
        return KMQ_ERROR;
    }

    kmq_lock(kmq);

    topic = kmq_topic_find(kmq, name, len);
    rc = topic ? reserve(kmq, topic, m) : KMQ_NOMEM;

    kmq_unlock(kmq);

    return rc;
}


void
kmq_write(kmq_t *kmq, kmq_message_t *m, const void *bytes, size_t n)
{
    size_t                room;
    kmq_piece_t          *piece;
    const unsigned char  *from = bytes;

    while (n && m->piece) {
        piece = KMQ_AT(kmq->block, m->piece);
        room = kmq_piece_room(kmq->block, m->piece) - m->offset;
        room = room < n ? room : n;

        memcpy(piece->data + m->offset, from, room);

        from += room;
        n -= room;
        m->offset += room;

        if (n) {
            m->piece = piece->next;
            m->offset = 0;
        }
    }
}


static void
commit_delayed(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot,
    unsigned *fresh)
{
    kmq_block_t  *b = kmq->block;

    kmq_list_remove(b, &b->worker[kmq->worker].reserved, &slot->link);

    *fresh += !(slot->flags & KMQ_WRITTEN);
    slot->flags = 0;

    KMQ_SET(slot->state, KMQ_DELAYED);
    KMQ_POINT("commit-delayed");

    b->waiting--;
    b->delayed++;
    topic->delayed++;
    kmq_schedule(kmq, &slot->timer);
}


/*
 * Commits the first of these messages and those behind it that are linked as
 * its neighbours, as all are that were reserved together, unless they are
 * delayed or of another topic.  Returns how many these are, and adds to
 * *fresh those of them that are not counted as published yet.
 */
static unsigned
commit_ready(kmq_t *kmq, kmq_topic_t *topic, const kmq_message_t *m,
    unsigned n, unsigned *fresh)
{
    unsigned      i;
    kmq_ref_t     next, ref;
    kmq_slot_t   *slot, *last;
    kmq_block_t  *b = kmq->block;

    i = 0;
    ref = KMQ_REF(b, topic);
    slot = KMQ_AT(b, m[0].slot);

    do {
        next = slot->next;
        *fresh += !(slot->flags & KMQ_WRITTEN);
        slot->flags = 0;

        KMQ_SET(slot->state, KMQ_READY);
        KMQ_POINT("commit");

        slot->owner = (uint32_t) kmq->mono;

        last = slot;
        slot = KMQ_AT(b, next);

    } while (++i < n && m[i].slot == next && slot->timer.due == 0
             && slot->topic == ref);

    kmq_list_move(b, &b->worker[kmq->worker].reserved, &topic->ready,
                  KMQ_AT(b, m[0].slot), &last->link, i);

    return i;
}


void
kmq_commit(kmq_t *kmq, kmq_message_t *m, unsigned n)
{
    int           written;
    size_t        begin;
    unsigned      i, ready, done, fresh;
    kmq_ref_t     ref;
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;
    kmq_topic_t  *topic;

    begin = 0;
    written = KMQ_ERROR;

    if (kmq->journal.on && !m[0].accepted) {
        written = kmq_journal_messages(kmq, m, n, &begin);
    }

    kmq_lock(kmq);

    if (written == KMQ_OK) {
        kmq_journal_stamp(kmq, m, n, begin);

    } else if (written == KMQ_NOMEM) {
        kmq_journal_loss(kmq);
    }

    for (i = 0; i < n; /* void */) {
        ready = 0;
        fresh = 0;
        slot = KMQ_AT(b, m[i].slot);
        ref = slot->topic;
        topic = KMQ_AT(b, ref);

        do {
            if (slot->timer.due) {
                commit_delayed(kmq, topic, slot, &fresh);
                i++;

            } else {
                done = commit_ready(kmq, topic, &m[i], n - i, &fresh);
                ready += done;
                i += done;
            }

            slot = i < n ? KMQ_AT(b, m[i].slot) : NULL;

        } while (slot && slot->topic == ref);

        if (fresh) {
            kmq_count_published(kmq, topic, fresh);
        }

        kmq_topic_active(b, topic);
        kmq_grant(kmq, topic, ready);
    }

    b->reserved -= n;

    kmq_unlock(kmq);
}


void
kmq_discard(kmq_t *kmq, kmq_message_t *m, unsigned n)
{
    unsigned      i;
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;

    kmq_lock(kmq);

    for (i = 0; i < n; i++) {
        slot = KMQ_AT(b, m[i].slot);
        kmq_list_remove(b, &b->worker[kmq->worker].reserved, &slot->link);
        kmq_message_discard(kmq, slot);
    }

    kmq_unlock(kmq);
}
