/* The keeper: the one worker that turns the schedules for all. */

#include "../kmq_block.h"
#include "kmq_worker.h"


void
kmq_keeper_tell(kmq_t *kmq)
{
    uint32_t  keeper;

    /* behind what has been noted as due: see kmq_keeper_set() */

    keeper = __atomic_load_n(&kmq->block->keeper, __ATOMIC_SEQ_CST);

    if (keeper) {
        kmq_worker_tell(kmq, keeper - 1);
    }
}


int
kmq_is_keeper(const kmq_t *kmq)
{
    return KMQ_GET(kmq->block->keeper) == kmq->worker + 1;
}


/* Should this worker be the keeper?  There is none, or it stands still, or it
 * is about to end while this worker is not. */
int
kmq_keeper_wanted(const kmq_t *kmq)
{
    uint32_t            keeper;
    const kmq_block_t  *b = kmq->block;

    keeper = KMQ_GET(b->keeper);

    return keeper == 0 || KMQ_GET(b->worker[keeper - 1].still)
           || (KMQ_GET(b->worker[keeper - 1].retired)
               && !KMQ_GET(b->worker[kmq->worker].retired));
}


/* The shards with something on their schedules, as bits. */
static uint64_t
scheduled(const kmq_block_t *b)
{
    unsigned  i;
    uint64_t  shards;

    shards = 0;

    for (i = 0; i < b->nshards; i++) {
        if (__atomic_load_n(&b->due[i], __ATOMIC_SEQ_CST) != UINT64_MAX) {
            shards |= UINT64_C(1) << i;
        }
    }

    return shards;
}


/* Makes n the keeper.  It starts with a look at all schedules.  Who puts
 * something on one of them first notes when it is due, then asks who is keeper:
 * so it tells n, or is seen here. */
void
kmq_keeper_set(kmq_t *kmq, unsigned n)
{
    uint64_t      shards;
    kmq_block_t  *b = kmq->block;

    kmq_common_lock(kmq);

    KMQ_PUT(b->keepers, b->keepers + 1);
    __atomic_store_n(&b->keeper, n + 1, __ATOMIC_SEQ_CST);
    KMQ_POINT("keeper");

    shards = scheduled(b);

    if (shards) {
        kmq_worker_tell_all(kmq, n, shards);
    }

    kmq_common_unlock(kmq);
}


/* A worker other than n that lives, preferably one that will not end soon; or
 * KMQ_WORKERS. */
static unsigned
successor(kmq_t *kmq, unsigned n)
{
    unsigned  i, other;

    other = KMQ_WORKERS;

    for (i = 0; i < kmq->block->nworkers; i++) {

        if (i == n || !kmq_worker_lives(kmq, i)) {
            continue;
        }

        if (!kmq->block->worker[i].retired && !kmq->block->worker[i].still) {
            return i;
        }

        other = i;
    }

    return other;
}


/* This worker is about to end: another one may be keeper meanwhile. */
void
kmq_keeper_retire(kmq_t *kmq)
{
    unsigned      n;
    kmq_block_t  *b = kmq->block;

    kmq_common_lock(kmq);

    KMQ_PUT(b->worker[kmq->worker].retired, 1);

    if (b->keeper == kmq->worker + 1) {
        n = successor(kmq, kmq->worker);

        if (n != KMQ_WORKERS && !b->worker[n].retired) {
            kmq_keeper_set(kmq, n);
        }
    }

    kmq_common_unlock(kmq);
}


/* Worker n is not keeper any more: this one is; or, where that is n itself,
 * another one that lives, if any. */
void
kmq_keeper_replace(kmq_t *kmq, unsigned n)
{
    unsigned      other;
    kmq_block_t  *b = kmq->block;

    if (KMQ_GET(b->keeper) != n + 1) {
        return;
    }

    kmq_common_lock(kmq);

    if (b->keeper == n + 1) {
        KMQ_PUT(b->keeper, 0);

        other = n != kmq->worker ? kmq->worker : successor(kmq, n);

        if (other != KMQ_WORKERS) {
            kmq_keeper_set(kmq, other);
        }
    }

    kmq_common_unlock(kmq);
}
