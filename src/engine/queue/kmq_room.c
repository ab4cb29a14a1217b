/*
 * Room for messages that wait: no more than waiting_max, over all shards.
 *
 * Each shard has some room of its own, which it fills and empties as it likes.
 * The rest is the block's.  A shard that needs more takes some of that; one
 * that has too much gives it back; and where the block has none left, whoever
 * needs some takes it from the others: of those that nobody is in with its own
 * lock held, and, before a message is refused, of all others without it.  So
 * whether one more message may wait is exact, but for what others take at that
 * moment; and it costs no more than a look at the shard's own room.
 *
 * What the block has is the difference between waiting_max and the shards'
 * rooms.  Room is nobody's while it changes hands, so a death may leave less of
 * it than there is, never more; it is counted again then.
 */

#include "../kmq_block.h"
#include "../worker/kmq_worker.h"
#include "kmq_queue.h"


/* A shard takes no more at once than this, or its share of that part of all. */
#define CHUNK_MAX   256
#define CHUNK_PART   16


static uint64_t
chunk_of(const kmq_block_t *b)
{
    uint64_t  n;

    n = b->settings.waiting_max / (CHUNK_PART * b->nshards);

    return n < CHUNK_MAX ? n : CHUNK_MAX;
}


/* Gives n of a shard's room to the block. */
static void
room_give(kmq_shard_t *s, uint64_t n)
{
    KMQ_SET(s->room, s->room - n);
    KMQ_POINT("room-give");
    (void) __atomic_fetch_add(&KMQ_BLOCK(s)->room, (int64_t) n,
                              __ATOMIC_RELAXED);
}


/* Gives all that the shard does not use.  1: that is something. */
static int
room_empty(kmq_shard_t *s)
{
    if (s->room <= s->waiting) {
        return 0;
    }

    room_give(s, s->room - s->waiting);

    return 1;
}


/* n more messages wait, whether there is room for them or not. */
void
kmq_room_add(kmq_t *kmq, uint64_t n)
{
    kmq_shard_t  *s = kmq->shard;

    s->waiting += n;

    if (s->waiting > s->room) {

        /* the block may owe it */

        (void) __atomic_fetch_sub(&kmq->block->room,
                                  (int64_t) (s->waiting - s->room),
                                  __ATOMIC_RELAXED);
        KMQ_POINT("room-add");
        KMQ_SET(s->room, s->waiting);
    }
}


/* Fewer wait: the shard keeps no more room than it may use soon. */
void
kmq_room_settle(kmq_t *kmq)
{
    uint64_t      n, chunk;
    kmq_shard_t  *s = kmq->shard;

    n = s->room - s->waiting;

    if (n == 0) {
        return;
    }

    chunk = chunk_of(kmq->block);

    if (n > 2 * chunk) {
        room_give(s, n - chunk);
    }
}


/* Does the shard seem to have room that it does not use? */
static int
has_unused(const kmq_shard_t *s)
{
    return kmq_peek(&s->room) > kmq_peek(&s->waiting);
}


/* Takes what other shards do not use, and nobody is in. */
static void
room_collect(kmq_t *kmq)
{
    unsigned      i;
    kmq_shard_t  *other, *s = kmq->shard;

    for (i = 0; i < kmq->block->nshards; i++) {
        other = KMQ_SHARD(kmq->block, i);

        if (other != s && has_unused(other) && kmq_lock_try(kmq, other)) {
            (void) room_empty(other);
            kmq_lock_return(kmq, s);
        }
    }
}


static int
unused_give(kmq_t *kmq)
{
    return room_empty(kmq->shard);
}


int
kmq_room_gather(kmq_t *kmq)
{
    return kmq_lock_others(kmq, has_unused, unused_give);
}


/* Takes up to n from the block. */
static void
room_take(kmq_shard_t *s, uint64_t n)
{
    int64_t   room;
    uint64_t  take;

    room = KMQ_GET(KMQ_BLOCK(s)->room);

    do {
        if (room <= 0) {
            return;
        }

        take = (uint64_t) room < n ? (uint64_t) room : n;

    } while (!__atomic_compare_exchange_n(&KMQ_BLOCK(s)->room, &room,
                                          room - (int64_t) take, 0,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));

    KMQ_POINT("room-take");
    KMQ_SET(s->room, s->room + take);
}


/* How many of n more messages may wait? */
uint64_t
kmq_room_wanted(kmq_t *kmq, uint64_t n)
{
    uint64_t      have;
    kmq_shard_t  *s = kmq->shard;

    if (KMQ_GET(kmq->block->room) < 0) {

        /* more wait than may: nobody's room is free */

        (void) room_empty(s);
    }

    have = s->room - s->waiting;

    if (have < n) {
        room_take(s, n - have + chunk_of(kmq->block));
        have = s->room - s->waiting;
    }

    if (have < n && kmq->block->nshards > 1) {
        room_collect(kmq);
        room_take(s, n - have);
        have = s->room - s->waiting;
    }

    return have < n ? have : n;
}


/* Counts what the block has. */
void
kmq_room_sum(kmq_block_t *b)
{
    unsigned  i;
    int64_t   room;

    room = b->settings.waiting_max;

    for (i = 0; i < b->nshards; i++) {
        room -= (int64_t) KMQ_GET(KMQ_SHARD(b, i)->room);
    }

    if (room != KMQ_GET(b->room)) {
        KMQ_PUT(b->room, room);
    }
}
