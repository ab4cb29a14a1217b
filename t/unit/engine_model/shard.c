/*
 * Shards: how many the block has, which topics are whose, and the numbers that
 * each of them gives to messages.
 */

#include "../../../src/engine/kmq_block.h"
#include "../../../src/engine/queue/kmq_queue.h"

#include "shard.h"


/* A block has that many shards for so many pages in each. */
#define PAGES  400


static void
shards_set(unsigned n)
{
    M.shards = n;
    kmq_shard_pages = PAGES / n;
}


/* Half of the runs have one shard alone. */
void
shards_begin(void)
{
    uint64_t  n;

    static const unsigned  several[] = { 2, 4, 8 };

    n = one_in(2) ? 1 : PICK(several);
    shards_set((unsigned) eu_env("KMQ_SHARDS", n));
    CHECK(M.shards && M.shards <= SHARDS, "%u shards", M.shards);
    M.sharded = M.shards > 1;
}


/* A block that is recovered may have another number of them.  More of them
 * leave less memory for messages, which matters where there are many, or where
 * there have been since the last checkpoint. */
void
shards_again(void)
{
    unsigned  n;

    static const unsigned  any[] = { 1, 2, 4, 8 };

    if (M.sharded && !(M.options & LARGE) && one_in(2)) {
        n = PICK(any);

        if (n <= M.shards || M.peak <= SIZE / 4) {
            shards_set(n);
        }
    }
}


/* The number of the shard whose topics may have that name. */
unsigned
shard_of(unsigned h, const char *name)
{
    return kmq_topic_shard(M.handle[h].kmq, name, strlen(name))->number;
}


/* A block is new. */
void
shards_learn(unsigned h)
{
    unsigned      i;
    kmq_counts_t  now;

    kmq_count(M.handle[h].kmq, &now);
    SAME(now.shards, M.shards);

    for (i = 0; i < TOPICS; i++) {
        M.topic[i].shard = shard_of(h, M.topic[i].name);
    }

    for (i = 0; i < SHARDS; i++) {
        M.shard[i].last = M.sequence;
        M.shard[i].floor = M.sequence;
    }

    numbers_anew_all();
}


/* Bytes that are free between what lies in all shards but one. */
uint64_t
shards_holes(unsigned but)
{
    unsigned            i;
    uint64_t            cells;
    kmq_block_t        *b = M.block;
    const kmq_shard_t  *s;

    cells = 0;

    for (i = 0; i < b->nshards; i++) {
        s = KMQ_SHARD(b, i);

        if (i != but) {
            cells += s->heap[KMQ_HEAP_MESSAGES].free_cells
                     + s->heap[KMQ_HEAP_INDEX].free_cells;
        }
    }

    return cells * KMQ_CELL;
}


/* Are fewer pages free than messages must leave? */
int
shards_strained(void)
{
    unsigned      i, free;
    kmq_block_t  *b = M.block;

    free = b->free_pages;

    for (i = 0; i < b->nshards; i++) {
        free += KMQ_SHARD(b, i)->free_pages;
    }

    return free < b->spare_pages;
}


/* ---------------------------------------------------------------- numbers */

/*
 * A shard may have taken some numbers ahead, which it uses in one second only.
 * So a number is larger than all that the shard has given out, and, in another
 * second, than all there are.
 */
void
number_given(unsigned shard, uint64_t time, uint64_t number)
{
    shard_t  *s = &M.shard[shard];

    if (s->time != time && !s->vague) {
        s->floor = M.sequence;
    }

    CHECK(number > s->floor && number > s->last
          && (M.shards > 1 || number > M.sequence),
          "sequence %llu in shard %u, after %llu, and %llu of all",
          (unsigned long long) number, shard, (unsigned long long) s->last,
          (unsigned long long) s->floor);

    s->last = number;
    s->time = time;
    s->vague = 0;
    M.sequence = number > M.sequence ? number : M.sequence;
}


/* A message may have had a number, or not. */
void
number_maybe(unsigned shard, uint64_t time)
{
    shard_t  *s = &M.shard[shard];

    if (s->time == NEVER && !s->vague) {
        s->floor = M.sequence;
    }

    s->vague |= s->time != time;
}


/* The shard's next number is larger than all there are. */
void
numbers_anew(unsigned shard)
{
    M.shard[shard].time = NEVER;
    M.shard[shard].vague = 0;
}


void
numbers_anew_all(void)
{
    unsigned  i;

    for (i = 0; i < SHARDS; i++) {
        numbers_anew(i);
    }
}
