/*
 * Messages come in: they are reserved under their shard's lock, their bodies
 * are written without it (kmq_body.c), and a batch is committed under it, one
 * shard after the other.
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
        if (kmq_index_insert(kmq->shard, slot) == KMQ_OK) {
            return KMQ_OK;
        }
    }

    return KMQ_NOMEM;
}


/* Makes a slot for a message and enters it into the index: the oldest of the
 * history with its body, or free memory.  NULL: no memory.  *left as in
 * kmq_message_alloc(). */
static inline __attribute__((always_inline)) kmq_slot_t *
slot_make(kmq_t *kmq, const kmq_message_t *m, uint32_t *left)
{
    kmq_slot_t   *slot;
    kmq_shard_t  *s = kmq->shard;

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

    if (kmq_index_insert(s, slot) != KMQ_OK
        && index_force(kmq, slot) != KMQ_OK)
    {
        kmq_message_memory_free(s, slot);
        return NULL;
    }

    return slot;
}


/* Bytes that messages of this shard could have without any history.  What other
 * shards hold is read without their locks. */
static uint64_t
room_most(const kmq_t *kmq)
{
    unsigned            i;
    uint64_t            most;
    const kmq_shard_t  *s;

    most = kmq_page_room(kmq->shard);

    for (i = 0; i < kmq->block->nshards; i++) {
        s = KMQ_SHARD(kmq->block, i);

        most += KMQ_GET(s->history_size)
                + KMQ_GET(s->history.count) * sizeof(kmq_slot_t);

        if (s != kmq->shard) {
            most += (uint64_t) KMQ_GET(s->free_pages) * KMQ_PAGE_SIZE;
        }
    }

    return most;
}


/* Does the shard seem to have what it could give up? */
static int
has_spare(const kmq_shard_t *s)
{
    return KMQ_GET(s->history.count) || KMQ_GET(s->free_pages)
           || KMQ_GET(s->trash);
}


/* Drops some history, and gives free pages to the block.  0: there is none. */
static int
spare_give(kmq_t *kmq)
{
    int  some;

    some = kmq_trash_free(kmq->shard);
    some |= kmq_history_drop(kmq, ROOM_DROPS_MAX);
    some |= kmq_pages_release(kmq->shard);

    return some;
}


static int
others_drop(kmq_t *kmq)
{
    return kmq_lock_others(kmq, has_spare, spare_give);
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
    uint64_t      need;
    kmq_shard_t  *s = kmq->shard;

    need = (uint64_t) size + size / 64 + sizeof(kmq_slot_t);

    while (kmq_page_room(s) < need) {

        if (room_most(kmq) < need && s->trash == 0) {
            return KMQ_NOMEM;
        }

        for (n = 0; n < ROOM_DROPS_MAX && kmq_page_room(s) < need; n++) {
            if (!kmq_trash_free(s) && !kmq_history_drop(kmq, 1)) {
                break;
            }
        }

        if (n) {
            kmq_lock_pause(kmq);

        } else if (!others_drop(kmq)) {
            return KMQ_NOMEM;
        }
    }

    return KMQ_OK;
}


static void
reserved_discard(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_shard_t  *s = kmq->shard;

    kmq_list_remove(s, &s->duty[kmq->worker].reserved, &slot->link);
    kmq_message_discard(kmq, slot);
}


/* Makes the rest of a large body; lets the lock go after each part. */
static int
body_finish(kmq_t *kmq, kmq_slot_t *slot, uint32_t left)
{
    int  rc;

    do {
        kmq_lock_pause(kmq);

        rc = kmq_message_extend(kmq, slot, &left);

    } while (rc == KMQ_AGAIN);

    if (rc != KMQ_OK) {
        reserved_discard(kmq, slot);
    }

    return rc;
}


/* Counts n messages of a topic as reserved before they are. */
static void
reserved_add(kmq_t *kmq, kmq_topic_t *topic, unsigned n)
{
    kmq_room_add(kmq, n);
    kmq->shard->reserved += n;
    topic->slots += n;

    if (topic->slots == n) {
        kmq_topic_idle(kmq->shard, topic);
    }
}


/* n of them are not there after all. */
static void
reserved_subtract(kmq_t *kmq, kmq_topic_t *topic, unsigned n)
{
    kmq_shard_t  *s = kmq->shard;

    s->waiting -= n;
    s->reserved -= n;
    topic->slots -= n;

    if (topic->slots == 0) {
        kmq_topic_idle(s, topic);
    }
}


static inline void
slot_reserve(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot,
    const kmq_message_t *m)
{
    kmq_shard_t  *s = kmq->shard;

    slot->timer = (kmq_timer_t) {
        .due = m->delay_time ? kmq_due(kmq, m->delay_time) : 0
    };

    slot->topic = KMQ_REF(s, topic);
    slot->batch = 0;
    slot->owner = kmq->worker;
    slot->state_time = 0;
    slot->delay = m->delay;
    slot->failures = 0;
    slot->flags = 0;

    KMQ_SET(slot->state, KMQ_RESERVED);
    KMQ_POINT("reserve");

    kmq_list_append(s, &s->duty[kmq->worker].reserved, &slot->link);
}


/* Reserves a message of that number, which is counted already. */
static inline __attribute__((always_inline)) int
reserve(kmq_t *kmq, kmq_topic_t *topic, kmq_message_t *m, uint64_t sequence)
{
    uint32_t      left;
    kmq_slot_t   *slot;
    kmq_shard_t  *s = kmq->shard;

    m->create_time = kmq->wall / 1000;
    m->sequence = sequence;
    m->delay = m->delay_time ? (m->delay_time + 999) / 1000 : 0;
    m->shard = s->number;

    slot = slot_make(kmq, m, &left);

    if (slot == NULL) {
        return KMQ_NOMEM;
    }

    slot_reserve(kmq, topic, slot, m);

    if (left && body_finish(kmq, slot, left) != KMQ_OK) {
        return KMQ_GONE;
    }

    m->slot = KMQ_REF(kmq->block, slot);
    m->body = KMQ_OUT(s, slot->body);
    m->piece = m->body;
    m->offset = 0;

    return KMQ_OK;
}


/* A message for which the lock is let go now and then. */
static int
reserve_large(kmq_t *kmq, kmq_topic_t *topic, kmq_message_t *m)
{
    int       rc;
    unsigned  got;

    reserved_add(kmq, topic, 1);
    rc = reserve(kmq, topic, m, kmq_sequence_take(kmq, 1, &got));

    if (rc == KMQ_NOMEM) {
        reserved_subtract(kmq, topic, 1);
    }

    /* what is gone has been discarded, and so counted */

    return rc == KMQ_OK ? KMQ_OK : KMQ_NOMEM;
}


/* Messages that are not large: n of them that may wait.  Returns how many have
 * room. */
static unsigned
reserve_small(kmq_t *kmq, kmq_topic_t *topic, kmq_message_t *m, unsigned n)
{
    int       rc;
    unsigned  i, numbers;
    uint64_t  sequence;

    numbers = 0;
    sequence = 0;
    reserved_add(kmq, topic, n);

    for (i = 0; i < n; i++) {

        if (numbers == 0) {
            sequence = kmq_sequence_take(kmq, n - i, &numbers);
        }

        rc = reserve(kmq, topic, &m[i], sequence);

        if (rc != KMQ_OK) {

            /* what is gone has been discarded, and so counted */

            reserved_subtract(kmq, topic, n - i - (rc == KMQ_GONE));
            break;
        }

        sequence++;
        numbers--;
    }

    return i;
}


/* Makes room for the first of these messages, if it is a large one.  Others
 * have the lock meanwhile. */
static int
large_room(kmq_t *kmq, const kmq_message_t *m)
{
    if (m->size <= LARGE) {
        return KMQ_OK;
    }

    if (kmq_journal_full(kmq) || !kmq_room_wanted(kmq, 1)) {
        return KMQ_FULL;
    }

    return m->size <= kmq_body_max(kmq) ? room_make(kmq, m->size) : KMQ_NOMEM;
}


/* There was no memory, or no room, for a message: what others have may only
 * have been out of reach, since somebody was there.  1: some of it is free
 * now. */
static int
others_give(kmq_t *kmq, const kmq_message_t *m, int why)
{
    switch (why) {

    case KMQ_NOMEM:
        return m->size <= LARGE && others_drop(kmq);

    case KMQ_FULL:
        return !kmq_journal_full(kmq) && kmq_room_gather(kmq);

    default:
        return 0;
    }
}


/* Reserves the first of these messages, and those behind it that can be with
 * it.  Returns how many; *why tells why no more can. */
static unsigned
reserve_some(kmq_t *kmq, kmq_topic_t *topic, kmq_message_t *m, unsigned n,
    int *why)
{
    unsigned  i, small;

    *why = KMQ_FULL;

    if (kmq_journal_full(kmq)) {
        return 0;
    }

    for (small = 0; small < n && m[small].size <= LARGE; small++) {
        /* void */
    }

    n = kmq_room_wanted(kmq, small ? small : 1);

    if (n == 0) {
        return 0;
    }

    if (small) {
        i = reserve_small(kmq, topic, m, n);
        *why = i < n ? KMQ_NOMEM : i < small ? KMQ_FULL : KMQ_OK;

    } else {
        *why = reserve_large(kmq, topic, m);
        i = *why == KMQ_OK;
    }

    if (*why == KMQ_NOMEM) {
        KMQ_PUT(kmq->shard->nomem_time, kmq->mono);
    }

    return i;
}


unsigned
kmq_reserve(kmq_t *kmq, kmq_ref_t producer, kmq_message_t *m, unsigned n,
    int *why)
{
    int            rc, again;
    unsigned       i;
    kmq_topic_t   *topic;
    kmq_client_t  *client = KMQ_AT(kmq->block, producer);

    rc = KMQ_OK;
    again = 2;

    kmq_lock_at(kmq, producer);

    topic = KMQ_AT(kmq->shard, client->topic);

    for (i = 0; i < n && rc == KMQ_OK; /* void */) {
        rc = large_room(kmq, &m[i]);

        if (rc == KMQ_OK) {
            i += reserve_some(kmq, topic, &m[i], n - i, &rc);
        }

        if (rc != KMQ_OK && again && others_give(kmq, &m[i], rc)) {
            again--;
            rc = KMQ_OK;
        }
    }

    kmq_unlock(kmq);

    if (why) {
        *why = rc;
    }

    return i;
}


static unsigned
reserve_named(kmq_t *kmq, const char *name, size_t len, kmq_message_t *m,
    unsigned n, int *why)
{
    kmq_topic_t  *topic;

    topic = kmq_topic_find(kmq, name, len);
    *why = KMQ_NOMEM;

    return topic ? reserve_some(kmq, topic, m, n, why) : 0;
}


unsigned
kmq_reserve_named(kmq_t *kmq, const char *name, size_t len, kmq_message_t *m,
    unsigned n, int *why)
{
    int       again;
    unsigned  i, some;

    *why = KMQ_OK;
    again = 2;

    for (i = 0; i < n && *why == KMQ_OK; i += some) {
        some = 0;
        *why = large_room(kmq, &m[i]);

        /* nothing keeps the topic before it has the first message: from here on
         * the lock must not be let go */

        if (*why == KMQ_OK) {
            some = reserve_named(kmq, name, len, &m[i], n - i, why);
        }

        if (*why != KMQ_OK && (again || some) && i + some < n
            && others_give(kmq, &m[i + some], *why))
        {
            again -= again != 0;
            *why = KMQ_OK;
        }
    }

    return i;
}


int
kmq_reserve_to(kmq_t *kmq, const char *name, size_t len, kmq_message_t *m)
{
    int  rc;

    if (len == 0 || len > KMQ_NAME_MAX) {
        return KMQ_ERROR;
    }

    kmq_lock(kmq, kmq_topic_shard(kmq, name, len));
    (void) kmq_reserve_named(kmq, name, len, m, 1, &rc);
    kmq_unlock(kmq);

    return rc;
}


static void
commit_delayed(kmq_t *kmq, kmq_topic_t *topic, kmq_slot_t *slot,
    unsigned *fresh)
{
    kmq_shard_t  *s = kmq->shard;

    kmq_list_remove(s, &s->duty[slot->owner].reserved, &slot->link);

    *fresh += !(slot->flags & KMQ_WRITTEN);
    slot->flags = 0;

    KMQ_SET(slot->state, KMQ_DELAYED);
    KMQ_POINT("commit-delayed");

    s->waiting--;
    s->delayed++;
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
    kmq_ref_t     ref;
    kmq_list_t   *reserved;
    kmq_slot_t   *slot, *last, *next;
    kmq_shard_t  *s = kmq->shard;

    i = 0;
    ref = KMQ_REF(s, topic);
    slot = KMQ_AT(kmq->block, m[0].slot);
    reserved = &s->duty[slot->owner].reserved;

    do {
        next = KMQ_AT(s, slot->next);
        *fresh += !(slot->flags & KMQ_WRITTEN);
        slot->flags = 0;

        KMQ_SET(slot->state, KMQ_READY);
        KMQ_POINT("commit");

        slot->owner = (uint32_t) kmq->mono;

        last = slot;
        slot = next;

    } while (++i < n && KMQ_AT(kmq->block, m[i].slot) == next
             && slot->timer.due == 0 && slot->topic == ref);

    kmq_list_move(s, reserved, &topic->ready,
                  KMQ_AT(kmq->block, m[0].slot), &last->link, i);

    return i;
}


/* Commits those of the messages that are of the shard, from the first on to the
 * next one of another.  Returns how many. */
static unsigned
commit(kmq_t *kmq, const kmq_message_t *m, unsigned n)
{
    unsigned      i, ready, done, fresh;
    kmq_ref_t     ref;
    kmq_slot_t   *slot;
    kmq_shard_t  *s = kmq->shard;
    kmq_topic_t  *topic;

    for (i = 0; i < n && m[i].shard == s->number; /* void */) {
        ready = 0;
        fresh = 0;
        slot = KMQ_AT(kmq->block, m[i].slot);
        ref = slot->topic;
        topic = KMQ_AT(s, ref);

        do {
            if (slot->timer.due) {
                commit_delayed(kmq, topic, slot, &fresh);
                i++;

            } else {
                done = commit_ready(kmq, topic, &m[i], n - i, &fresh);
                ready += done;
                i += done;
            }

            slot = i < n ? KMQ_AT(kmq->block, m[i].slot) : NULL;

        } while (slot && slot->topic == ref && m[i].shard == s->number);

        if (fresh) {
            kmq_count_published(kmq, topic, fresh);
        }

        kmq_topic_active(s, topic);
        kmq_grant(kmq, topic, ready);
    }

    s->reserved -= i;

    return i;
}


void
kmq_commit(kmq_t *kmq, kmq_message_t *m, unsigned n)
{
    int       written;
    size_t    first;
    unsigned  i;

    first = 0;
    written = KMQ_ERROR;

    if (kmq->journal.on && !m[0].accepted) {
        written = kmq_accept_write(kmq, m, n, &first);
    }

    for (i = 0; i < n; /* void */) {
        kmq_lock(kmq, KMQ_SHARD(kmq->block, m[i].shard));

        if (written == KMQ_OK) {
            kmq_accept_stamp(kmq, &m[i], kmq_same_shard(&m[i], n - i),
                             &first);

        } else if (written == KMQ_NOMEM) {
            kmq_journal_loss(kmq);
        }

        i += commit(kmq, &m[i], n - i);

        kmq_unlock(kmq);
    }
}


void
kmq_reserved_commit(kmq_t *kmq, kmq_slot_t *slot)
{
    kmq_message_t  m;

    kmq_message_fill(kmq->shard, slot, &m);
    (void) commit(kmq, &m, 1);
}


void
kmq_discard(kmq_t *kmq, kmq_message_t *m, unsigned n)
{
    unsigned  i, k, same;

    for (i = 0; i < n; i += same) {
        same = kmq_same_shard(&m[i], n - i);

        kmq_lock(kmq, KMQ_SHARD(kmq->block, m[i].shard));

        for (k = i; k < i + same; k++) {
            reserved_discard(kmq, KMQ_AT(kmq->block, m[k].slot));
        }

        kmq_unlock(kmq);
    }
}


/* ---------------------------------------------------------------- refused */

static void
refused(kmq_t *kmq, kmq_topic_t *topic, unsigned n)
{
    kmq->shard->totals.refused += n;

    if (topic) {
        topic->totals.refused += n;
    }
}


void
kmq_count_refused(kmq_t *kmq, const char *name, size_t len, unsigned n)
{
    kmq_lock(kmq, kmq_topic_shard(kmq, name, len));
    refused(kmq, kmq_topic_get(kmq->shard, name, len), n);
    kmq_unlock(kmq);
}


void
kmq_count_refused_by(kmq_t *kmq, kmq_ref_t producer, unsigned n)
{
    kmq_client_t  *client = KMQ_AT(kmq->block, producer);

    kmq_lock_at(kmq, producer);
    refused(kmq, KMQ_AT(kmq->shard, client->topic), n);
    kmq_unlock(kmq);
}
