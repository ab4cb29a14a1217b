/*
 * Messages come in: they are reserved under the lock, their bodies are written
 * without it (kmq_body.c), and a batch is committed under it.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../time/kmq_time.h"
#include "../journal/kmq_journal.h"
#include "../queue/kmq_queue.h"
#include "kmq_delivery_inside.h"


#define BODY_MAX   (UINT32_MAX - 4096)

/* A body of more bytes is made in parts, as is the room for it. */
#define LARGE      (64 * 1024)

/* History that is dropped under one lock: for the index, which wants a few
 * cells, and for a large message, which may replace others with as many
 * pieces. */
#define INDEX_DROPS_MAX  1024
#define ROOM_DROPS_MAX    128


size_t
kmq_body_max(kmq_t *kmq)
{
    size_t  half;

    half = (size_t) kmq->block->npages * KMQ_PAGE_SIZE / 2;

    /* a record with it has a size of 32 bits, too */

    return half < BODY_MAX ? half : BODY_MAX;
}


/* Enters a message that the index had no memory for.  It drops no more history
 * than that takes, since the next messages do not use the rest. */
static int
index_force(kmq_t *kmq, const kmq_slot_t *slot)
{
    unsigned  n;

    for (n = 0; n < INDEX_DROPS_MAX && kmq_history_drop(kmq, 1); n++) {
        if (kmq_index_insert(kmq->block, slot) == KMQ_OK) {
            return KMQ_OK;
        }
    }

    return KMQ_NOMEM;
}


/* Makes a slot for a message and enters it into the index: the oldest of the
 * history with its body, or free memory.  NULL: no memory.  *left as in
 * kmq_message_alloc(). */
static kmq_slot_t *
slot_make(kmq_t *kmq, const kmq_message_t *m, uint32_t *left)
{
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;

    *left = 0;
    slot = kmq_history_reuse(kmq, m->size);

    if (slot == NULL) {
        slot = kmq_message_alloc(kmq, m->size, left);
    }

    if (slot == NULL) {
        return NULL;
    }

    slot->size = m->size;
    slot->sequence = m->sequence;
    slot->create_time = m->create_time;

    if (kmq_index_insert(b, slot) != KMQ_OK
        && index_force(kmq, slot) != KMQ_OK)
    {
        kmq_message_memory_free(b, slot);
        return NULL;
    }

    return slot;
}


/*
 * Makes room for a large message.  This may take long, so the lock is let go
 * now and then; and nothing is dropped for a message that would not fit
 * anyway.
 */
static int
room_make(kmq_t *kmq, uint32_t size)
{
    unsigned      n;
    uint64_t      need, free;
    kmq_block_t  *b = kmq->block;

    need = (uint64_t) size + size / 64 + sizeof(kmq_slot_t);

    for ( ;; ) {
        free = kmq_page_room(b);

        if (free >= need) {
            return KMQ_OK;
        }

        free += b->history_size + b->history.count * sizeof(kmq_slot_t);

        if (free < need && b->trash == 0) {
            return KMQ_NOMEM;
        }

        for (n = 0; n < ROOM_DROPS_MAX && kmq_page_room(b) < need; n++) {
            if (!kmq_trash_free(b) && !kmq_history_drop(kmq, 1)) {
                break;
            }
        }

        kmq_unlock(kmq);
        kmq_lock(kmq);
    }
}


static void
reserved_discard(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_block_t  *b = kmq->block;

    kmq_list_remove(b, &b->worker[kmq->worker].reserved, &slot->link);
    kmq_message_discard(kmq, slot);
}


/* Makes the rest of a large body; lets the lock go after each part. */
static int
body_finish(kmq_t *kmq, kmq_slot_t *slot, uint32_t left)
{
    int  rc;

    do {
        kmq_unlock(kmq);
        kmq_lock(kmq);

        rc = kmq_message_extend(kmq, slot, &left);

    } while (rc == KMQ_AGAIN);

    if (rc != KMQ_OK) {
        reserved_discard(kmq, slot);
    }

    return rc;
}


static void
slot_reserve(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot,
    const kmq_message_t *m)
{
    kmq_block_t  *b = kmq->block;

    slot->topic = KMQ_REF(b, topic);
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

    if (topic->slots++ == 0) {
        kmq_topic_idle(b, topic);
    }
}


/* May a message come in?  The lock may have been let go meanwhile. */
static int
may_reserve(kmq_t *kmq, const kmq_message_t *m)
{
    kmq_block_t  *b = kmq->block;

    if (b->waiting >= b->settings.waiting_max || kmq_journal_full(kmq)) {
        return KMQ_FULL;
    }

    if (m->size > kmq_body_max(kmq)
        || (m->size > LARGE && room_make(kmq, m->size) != KMQ_OK))
    {
        b->nomem_time = kmq->mono;
        return KMQ_NOMEM;
    }

    return KMQ_OK;
}


static int
reserve(kmq_t *kmq, kmq_topic_t *topic, kmq_message_t *m)
{
    uint32_t      left;
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;

    m->create_time = kmq->wall / 1000;
    m->sequence = ++b->sequence;
    m->delay = (m->delay_time + 999) / 1000;

    slot = slot_make(kmq, m, &left);

    if (slot) {
        slot_reserve(kmq, topic, slot, m);
    }

    if (slot == NULL || (left && body_finish(kmq, slot, left) != KMQ_OK)) {
        b->nomem_time = kmq->mono;
        return KMQ_NOMEM;
    }

    m->slot = KMQ_REF(b, slot);
    m->body = slot->body;
    m->piece = m->body;
    m->offset = 0;

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
        rc = may_reserve(kmq, &m[i]);

        if (rc == KMQ_OK) {
            rc = reserve(kmq, topic, &m[i]);
        }

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

    rc = may_reserve(kmq, m);

    if (rc == KMQ_OK) {
        topic = kmq_topic_find(kmq, name, len);
        rc = topic ? reserve(kmq, topic, m) : KMQ_NOMEM;
    }

    kmq_unlock(kmq);

    return rc;
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

    if (kmq_schedule(kmq, &slot->timer)) {
        kmq_message_due(kmq, slot);
    }
}


/*
 * Commits the first of these messages and those linked behind it, as all are
 * that were reserved together, unless they are delayed or of another topic.
 * Returns how many, and adds to *fresh those that are not counted as published
 * yet.
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
        written = kmq_accept_write(kmq, m, n, &begin);
    }

    kmq_lock(kmq);

    if (written == KMQ_OK) {
        kmq_accept_stamp(kmq, m, n, begin);

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
    unsigned  i;

    kmq_lock(kmq);

    for (i = 0; i < n; i++) {
        reserved_discard(kmq, KMQ_AT(kmq->block, m[i].slot));
    }

    kmq_unlock(kmq);
}


void
kmq_count_refused(kmq_t *kmq, const char *name, size_t len, unsigned n)
{
    kmq_topic_t  *topic;

    kmq_lock(kmq);

    kmq->block->totals.refused += n;
    topic = kmq_topic_get(kmq->block, name, len);

    if (topic) {
        topic->totals.refused += n;
    }

    kmq_unlock(kmq);
}


void
kmq_count_refused_by(kmq_t *kmq, kmq_ref_t producer, unsigned n)
{
    kmq_client_t  *client = KMQ_AT(kmq->block, producer);

    kmq_lock(kmq);

    kmq->block->totals.refused += n;
    ((kmq_topic_t *) KMQ_AT(kmq->block, client->topic))->totals.refused += n;

    kmq_unlock(kmq);
}
