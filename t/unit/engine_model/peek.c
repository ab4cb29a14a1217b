/*
 * What time has done in the engine is to be seen in the block alone: no call
 * tells of a message whether its next try has become due, or of a consumer why
 * it is held.
 */

#include "../../../src/engine/kmq_block.h"
#include "../../../src/engine/delivery/kmq_delivery.h"

#include "peek.h"


void
peek_message(const message_t *m, peeked_t *is)
{
    const kmq_slot_t  *slot = KMQ_AT((kmq_block_t *) M.block, m->slot);

    static const int  states[] = {
        FREE, RESERVED, READY, IN_FLIGHT, CONSUMED, DELAYED, DEAD, RETRYING,
        ASIDE
    };

    memset(is, 0, sizeof(*is));

    if (slot->sequence != m->sequence
        || slot->state >= sizeof(states) / sizeof(states[0]))
    {
        is->state = FREE;
        return;
    }

    is->state = states[slot->state];
    is->failures = slot->failures;
    is->reason = slot->flags / KMQ_REASON & 3;
    is->suspect = (slot->flags & KMQ_SUSPECT) != 0;
    is->pushed = (slot->flags & KMQ_PUSHED) != 0;

    is->waits = is->state == READY ? slot->owner : 0;
    is->position = is->state == IN_FLIGHT ? slot->position : 0;

    if (is->state == RETRYING || is->state == ASIDE) {
        is->next = slot->timer.due;
    }
}


static const kmq_client_t *
client_at(const client_t *c)
{
    return KMQ_AT((kmq_block_t *) M.block, c->ref);
}


unsigned
peek_held(const client_t *c)
{
    return client_at(c)->held;
}


/* The time of one of KMQ_HELD_... that have one. */
uint32_t
peek_until(const client_t *c, unsigned held)
{
    return client_at(c)->until[__builtin_ctz(held)];
}


/* All that is in flight with a consumer, in order; returns how many. */
unsigned
peek_deliveries(const client_t *c, peeked_delivery_t *is, unsigned max)
{
    unsigned               i, n;
    kmq_ref_t              ref;
    kmq_shard_t           *s;
    kmq_ring_t            *ring;
    const kmq_delivery_t  *entry;

    s = KMQ_SHARD((kmq_block_t *) M.block, M.topic[c->topic].shard);
    n = 0;

    for (ref = client_at(c)->ring; ref; ref = ring->next) {
        ring = KMQ_AT(s, ref);

        for (i = ring->first; i < ring->count; i++) {
            entry = &ring->entry[i];

            if (entry->slot == 0) {
                continue;
            }

            CHECK(n < max, "too many deliveries");
            is[n].slot = KMQ_OUT(s, entry->slot);
            is[n].position = entry->position;
            is[n].time = entry->time;
            is[n].failures = entry->failures;
            is[n++].again = entry->again;
        }
    }

    return n;
}
