/*
 * Deliveries: which messages are in flight with a consumer, in the order in
 * which they were pushed, in a chain of small rings.
 *
 * Positions grow along the chain.  An entry is void when its slot is 0; the
 * chain never begins with void entries (kmq_ring_trim()).  Each step leaves a
 * chain that kmq_repair() can read: an entry counts when ring->count says so,
 * a ring when its predecessor links it.
 */

#include "kmq_block.h"


int
kmq_ring_append(kmq_block_t *b, kmq_client_t *client, kmq_slot_t *slot,
    uint32_t time)
{
    kmq_ref_t        ref;
    kmq_ring_t      *ring;
    kmq_delivery_t  *entry;

    ring = KMQ_AT(b, client->ring_tail);

    if (ring->count == KMQ_RING_COUNT) {
        ref = kmq_ring_alloc(b);
        if (ref == 0) {
            return KMQ_NOMEM;
        }

        KMQ_SET(ring->next, ref);
        KMQ_POINT("ring-grow");
        client->ring_tail = ref;
        ring = KMQ_AT(b, ref);
    }

    entry = &ring->entry[ring->count];
    entry->slot = KMQ_REF(b, slot);
    entry->position = slot->position;
    entry->time = time;
    entry->attempts = 1;
    entry->returned = 0;

    KMQ_SET(ring->count, ring->count + 1);
    KMQ_POINT("ring-append");

    client->in_flight++;
    client->messages++;

    return KMQ_OK;
}


/* Drops void entries at the beginning of the chain. */
void
kmq_ring_trim(kmq_block_t *b, kmq_client_t *client)
{
    kmq_ref_t    done;
    kmq_ring_t  *ring;

    for ( ;; ) {
        ring = KMQ_AT(b, client->ring);

        while (ring->first < ring->count && ring->entry[ring->first].slot == 0)
        {
            ring->first++;
        }

        if (ring->first < ring->count) {
            return;
        }

        if (client->ring == client->ring_tail) {

            /* empty: begin anew in the one ring that always stays */

            KMQ_SET(ring->count, 0);
            ring->first = 0;
            client->disordered = 0;
            return;
        }

        done = client->ring;
        KMQ_SET(client->ring, ring->next);
        KMQ_POINT("ring-trim");
        kmq_ring_free(b, done);
    }
}


static kmq_delivery_t *
ring_search(kmq_ring_t *ring, uint32_t position)
{
    unsigned  low, high, middle;

    low = ring->first;
    high = ring->count;

    while (low < high) {
        middle = (low + high) / 2;

        if ((int32_t) (ring->entry[middle].position - position) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }

    if (low == ring->count || ring->entry[low].position != position) {
        return NULL;
    }

    return &ring->entry[low];
}


/* The entry of a message in flight with client, NULL when it is not. */
kmq_delivery_t *
kmq_ring_find(kmq_block_t *b, kmq_client_t *client, const kmq_slot_t *slot)
{
    kmq_ref_t        ref;
    kmq_ring_t      *ring;
    kmq_delivery_t  *entry;

    for (ref = client->ring; ref; ref = ring->next) {
        ring = KMQ_AT(b, ref);

        if (ring->first == ring->count
            || (int32_t) (ring->entry[ring->count - 1].position
                          - slot->position) < 0)
        {
            continue;
        }

        entry = ring_search(ring, slot->position);

        return entry && entry->slot == KMQ_REF(b, slot) ? entry : NULL;
    }

    return NULL;
}
