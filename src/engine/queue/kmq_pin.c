/*
 * Pins: a checkpoint reads a large message in parts, under several locks.  It
 * is pinned meanwhile: when it goes, its body stays until that is done.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "kmq_queue_inside.h"


void
kmq_pin_begin(kmq_t *kmq, const kmq_slot_t *slot)
{
    kmq->shard->duty[kmq->worker].pinned = KMQ_REF(kmq->shard, slot);
}


/* A large message goes.  1: it is pinned, and its body has to stay. */
int
kmq_pin_keep(kmq_shard_t *s, const kmq_slot_t *slot)
{
    unsigned     i, n;
    kmq_duty_t  *duty;

    n = KMQ_GET(KMQ_BLOCK(s)->nworkers);

    for (i = 0; i < n; i++) {
        duty = &s->duty[i];

        if (duty->pinned == KMQ_REF(s, slot)) {
            duty->pinned = 0;
            duty->kept = slot->body;
            return 1;
        }
    }

    return 0;
}


void
kmq_pin_end(kmq_shard_t *s, kmq_duty_t *duty)
{
    duty->pinned = 0;

    if (duty->kept) {
        kmq_chain_free(s, duty->kept);
        duty->kept = 0;
    }
}
