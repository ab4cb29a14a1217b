/*
 * History: consumed messages, of all topics and of each, the oldest first.  It
 * gives way to new ones when memory is short.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "kmq_queue_inside.h"


/* Another shard drops so often KMQ_DROP messages, until a page is free. */
#define OTHER_DROPS  16

/* After so many messages it is looked which shard's history is older. */
#define ELDER_LOOK   64


/*
 * Appends the newest message to both histories, the queue's and its topic's.
 * It is named in the one KMQ_AHEAD before, which is still in the cache.
 */
void
kmq_history_append(kmq_shard_t *s, kmq_slot_t *slot)
{
    kmq_ref_t    *recent;
    kmq_slot_t   *before;
    kmq_topic_t  *topic = KMQ_AT(s, slot->topic);

    recent = &s->recent[s->nrecent % KMQ_AHEAD];

    if (s->nrecent++ >= KMQ_AHEAD) {
        before = KMQ_AT(s, *recent);
        before->owner = KMQ_REF(s, slot);
    }

    slot->owner = 0;
    *recent = KMQ_REF(s, slot);

    kmq_list_append(s, &s->history, &slot->link);
    kmq_list_append(s, &topic->history, &slot->kept);
    s->history_size += slot->size;
}


void
kmq_history_remove(kmq_shard_t *s, kmq_slot_t *slot)
{
    kmq_topic_t  *topic = KMQ_AT(s, slot->topic);

    kmq_list_remove(s, &s->history, &slot->link);
    kmq_list_remove(s, &topic->history, &slot->kept);
    s->history_size -= slot->size;
}


/*
 * Takes the oldest message out of the history.
 *
 * Old messages are in no cache any more, and each names the next ones only
 * when it has been read.  So a slot is prefetched 2 * KMQ_AHEAD messages
 * before it is taken, by way of the one between them, together with that one's
 * body.  Slots, and the bodies behind them, begin anywhere in a cache line.  A
 * slot may have been used anew since it was named; for prefetching, whatever is
 * in it then will do.
 */
static kmq_slot_t *
history_shift(kmq_shard_t *s)
{
    char        *body;
    kmq_slot_t  *slot, *later;

    /* those that are named as recent must still be there */

    if (s->history.count <= KMQ_AHEAD) {
        s->nrecent = 0;
    }

    slot = KMQ_AT(s, s->history.head);
    later = KMQ_AT(s, slot->owner);
    body = KMQ_AT(s, later->body);

    kmq_slot_prefetch(KMQ_AT(s, later->owner));
    __builtin_prefetch(body + KMQ_LINE - KMQ_CELL, 1);
    __builtin_prefetch(body + 2 * KMQ_LINE - KMQ_CELL - 1, 1);

    kmq_history_remove(s, slot);

    return slot;
}


/* Since when the oldest of a shard's history has been there, in s; it may be
 * another shard, which may change meanwhile: then it is about that.
 * UINT64_MAX: there is none. */
KMQ_UNCHECKED static uint64_t
oldest_time(const kmq_shard_t *s)
{
    kmq_ref_t          head;
    const kmq_slot_t  *slot;

    head = *(const volatile kmq_ref_t *) &s->history.head;
    slot = KMQ_AT(s, head);

    return head ? *(const volatile uint32_t *) &slot->state_time : UINT64_MAX;
}


/* The other shard with the oldest history, when that is older than this one's
 * own; NULL: there is none. */
static kmq_shard_t *
elder_find(kmq_t *kmq)
{
    unsigned      i;
    uint64_t      time, oldest;
    kmq_shard_t  *s, *elder;

    elder = NULL;
    oldest = oldest_time(kmq->shard);
    oldest = oldest < kmq->wall / 1000 ? oldest : kmq->wall / 1000;

    for (i = 0; i < kmq->block->nshards; i++) {
        s = KMQ_SHARD(kmq->block, i);
        time = oldest_time(s);

        if (s != kmq->shard && time < oldest) {
            elder = s;
            oldest = time;
        }
    }

    return elder;
}


/* The same, as it was found in this second, as long as it is still older. */
static kmq_shard_t *
elder_of(kmq_t *kmq)
{
    uint64_t      now;
    kmq_shard_t  *s = kmq->shard, *elder;

    now = kmq->wall / 1000;

    if (s->elder_time != now) {
        s->elder_time = now;
        elder = elder_find(kmq);
        s->elder = elder ? elder->number + 1 : 0;
    }

    if (s->elder == 0) {
        return NULL;
    }

    elder = KMQ_SHARD(kmq->block, s->elder - 1);

    if (oldest_time(elder) >= oldest_time(s)
        || oldest_time(elder) >= now)
    {
        s->elder = 0;
        return NULL;
    }

    return elder;
}


static unsigned
own_drop(kmq_t *kmq, unsigned max)
{
    unsigned      n;
    kmq_shard_t  *s = kmq->shard;

    for (n = 0; s->history.head && n < max; n++) {
        kmq_message_free(kmq, history_shift(s));
    }

    s->totals.dropped += n;

    return n;
}


/* Has another shard give free pages to the block, for which it frees what it
 * has left for later, and drops its oldest messages.  0: it has nothing to
 * give, or somebody is in it. */
static int
other_drop(kmq_t *kmq, kmq_shard_t *other)
{
    int           some;
    unsigned      n;
    kmq_shard_t  *s = kmq->shard;

    if (KMQ_GET(other->history.head) == 0 && KMQ_GET(other->free_pages) == 0
        && KMQ_GET(other->trash) == 0)
    {
        return 0;
    }

    if (!kmq_lock_try(kmq, other)) {
        return 0;
    }

    some = kmq_pages_release(other);

    for (n = 0; n < OTHER_DROPS && !some; n++) {
        if (!kmq_trash_free(other) && !own_drop(kmq, KMQ_DROP)) {
            break;
        }

        some = kmq_pages_release(other);
    }

    kmq_lock_return(kmq, s);

    return some || n;
}


/* Drops the oldest consumed messages, at most max; some of another shard's,
 * when these are older, or this one has none.  0 when there are none. */
int
kmq_history_drop(kmq_t *kmq, unsigned max)
{
    unsigned      i, n;
    kmq_block_t  *b = kmq->block;
    kmq_shard_t  *elder, *s = kmq->shard;

    elder = elder_of(kmq);

    if ((elder && other_drop(kmq, elder)) || own_drop(kmq, max)) {
        return 1;
    }

    for (i = 1; i < b->nshards; i++) {
        n = (s->number + i) % b->nshards;

        if (other_drop(kmq, KMQ_SHARD(b, n))) {
            return 1;
        }
    }

    return 0;
}


/*
 * Drops the oldest consumed message and returns its slot with its body, when
 * there is no memory for a message of that size.  NULL: there is memory, or no
 * history, or that body is not as the new one would be.
 */
kmq_slot_t *
kmq_history_reuse(kmq_t *kmq, uint32_t size)
{
    kmq_slot_t   *slot;
    kmq_shard_t  *s = kmq->shard;

    if (s->history.head == 0 || kmq_message_room(s, size)) {
        return NULL;
    }

    /* it is enough to look now and then whether another shard's is older */

    if ((s->elder || s->totals.dropped % ELDER_LOOK == 0) && elder_of(kmq)) {
        return NULL;
    }

    slot = KMQ_AT(s, s->history.head);

    if (!kmq_body_fits(s, slot, size)) {
        return NULL;
    }

    (void) history_shift(s);
    kmq_message_end(kmq, slot);
    s->totals.dropped++;

    return slot;
}
