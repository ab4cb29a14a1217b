/*
 * Deliveries: the messages in flight with a consumer, in the order in which
 * they were pushed, in a chain of small rings.
 *
 * Positions grow along the chain.  An entry is void when its slot is 0.  The
 * chain never begins with void entries (kmq_deliveries_trim()), and a part in
 * which all are void is taken out of it, unless it is the last one: so the
 * chain is no longer than the deliveries need.  Each step leaves a chain that
 * kmq_repair() can read: an entry counts when ring->count says so, and a ring
 * when the one before it links it.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../queue/kmq_queue.h"
#include "kmq_delivery_inside.h"


/* Two parts are joined when they have no more deliveries than this. */
#define JOINED_MAX  KMQ_RING_COUNT


/* Takes a part that is not the last one out of the chain. */
void
kmq_deliveries_unlink(kmq_shard_t *s, kmq_client_t *client, kmq_ring_t *ring)
{
    kmq_ref_t  ref = KMQ_REF(s, ring);

    if (ring->prev) {
        KMQ_SET(((kmq_ring_t *) KMQ_AT(s, ring->prev))->next, ring->next);
    } else {
        KMQ_SET(client->ring, ring->next);
    }

    KMQ_POINT("ring-trim");

    ((kmq_ring_t *) KMQ_AT(s, ring->next))->prev = ring->prev;

    if (client->look == ref) {
        client->look = ring->next;
    }

    if (client->found == ref) {
        client->found = ring->next;
    }

    kmq_ring_free(s, ref);
}


/* A new part behind the last one, which is full, or NULL: no memory.  This is
 * seldom needed, so it is not part of what happens each time. */
static kmq_ring_t * __attribute__((noinline))
part_grow(kmq_shard_t *s, kmq_client_t *client, kmq_ring_t *full)
{
    kmq_ref_t    ref;
    kmq_ring_t  *ring;

    ref = kmq_ring_alloc(s);
    if (ref == 0) {
        return NULL;
    }

    ring = KMQ_AT(s, ref);
    ring->prev = client->ring_tail;

    KMQ_SET(full->next, ref);
    KMQ_POINT("ring-grow");
    client->ring_tail = ref;

    if (full->open == 0) {
        kmq_deliveries_unlink(s, client, full);
    }

    return ring;
}


int
kmq_deliveries_append(kmq_shard_t *s, kmq_client_t *client, kmq_slot_t *slot,
    uint32_t time)
{
    kmq_ring_t      *ring;
    kmq_delivery_t  *entry;

    ring = KMQ_AT(s, client->ring_tail);

    if (ring->count == KMQ_RING_COUNT) {
        ring = part_grow(s, client, ring);

        if (ring == NULL) {
            return KMQ_NOMEM;
        }
    }

    entry = &ring->entry[ring->count];
    entry->slot = KMQ_REF(s, slot);
    entry->position = slot->position;
    entry->time = time;
    entry->failures = 0;
    entry->again = 0;

    KMQ_SET(ring->count, ring->count + 1);
    KMQ_POINT("ring-append");

    ring->open++;
    client->messages++;
    client->in_flight++;

    return KMQ_OK;
}


/* Passes over void entries at the beginning of the chain. */
void
kmq_deliveries_trim(kmq_shard_t *s, kmq_client_t *client)
{
    kmq_ring_t  *ring = KMQ_AT(s, client->ring);

    if (ring->open) {
        while (ring->entry[ring->first].slot == 0) {
            ring->first++;
        }

        return;
    }

    /* empty: begin anew in the one ring that always stays */

    KMQ_SET(ring->count, 0);
    ring->first = 0;
    ring->passed = 0;
    client->suspects = 0;
    client->disordered = 0;
}


/* The oldest delivery has become that just now, unless its clock runs. */
void
kmq_deliveries_start(kmq_t *kmq, kmq_client_t *client)
{
    kmq_ring_t      *ring;
    kmq_delivery_t  *entry;

    if (client->in_flight == 0) {
        return;
    }

    ring = KMQ_AT(kmq->shard, client->ring);
    entry = &ring->entry[ring->first];

    if ((int32_t) (entry->position - client->started) > 0) {
        client->started = entry->position;

        if (!entry->again) {
            entry->time = (uint32_t) kmq->mono;
        }
    }
}


void
kmq_deliveries_begin_all(kmq_t *kmq, kmq_client_t *client)
{
    unsigned     i;
    kmq_ref_t    ref;
    kmq_ring_t  *ring;

    for (ref = client->ring; ref; ref = ring->next) {
        KMQ_STEP();
        ring = KMQ_AT(kmq->shard, ref);
        ring->passed = 0;

        for (i = ring->first; i < ring->count; i++) {
            ring->entry[i].time = (uint32_t) kmq->mono;
        }
    }
}


uint32_t
kmq_deliveries_suspects(kmq_shard_t *s, const kmq_client_t *client)
{
    unsigned           i;
    uint32_t           n;
    kmq_ref_t          ref;
    const kmq_ring_t  *ring;
    const kmq_slot_t  *slot;

    n = 0;

    for (ref = client->ring; ref; ref = ring->next) {
        ring = KMQ_AT(s, ref);

        for (i = ring->first; i < ring->count; i++) {

            if (ring->entry[i].slot) {
                slot = KMQ_AT(s, ring->entry[i].slot);
                n += (slot->flags & KMQ_SUSPECT) != 0;
            }
        }
    }

    return n;
}


uint64_t
kmq_deliveries_oldest(kmq_shard_t *s, const kmq_client_t *client,
    uint64_t mono)
{
    int32_t            ms;
    const kmq_ring_t  *ring;

    if (client->in_flight == 0) {
        return 0;
    }

    ring = KMQ_AT(s, client->ring);
    ms = (int32_t) ((uint32_t) mono
                    - kmq_deliveries_time(ring, &ring->entry[ring->first]));

    return ms > 0 ? ms : 1;
}


/* Starts the clocks in a part, from the i-th delivery back to those that run.
 * 1: such are there. */
static int
part_start(kmq_t *kmq, const kmq_client_t *client, kmq_ring_t *ring,
    unsigned i)
{
    kmq_delivery_t  *entry;

    while (i > ring->first) {
        entry = &ring->entry[--i];
        KMQ_STEP();

        if ((int32_t) (entry->position - client->started) <= 0) {
            return 1;
        }

        if (entry->slot && !entry->again) {
            entry->time = (uint32_t) kmq->mono;
        }
    }

    return 0;
}


/* A delivery behind others is confirmed: the clocks of those in front of it run
 * from now on, unless they do.  Where that is all of a part, the part notes
 * it. */
void
kmq_deliveries_pass(kmq_t *kmq, kmq_client_t *client, kmq_ring_t *ring,
    const kmq_delivery_t *entry)
{
    int       begun;
    uint32_t  position;

    position = entry->position;
    begun = part_start(kmq, client, ring, entry - ring->entry);

    while (!begun && ring->prev) {
        ring = KMQ_AT(kmq->shard, ring->prev);
        KMQ_STEP();

        if ((int32_t) (ring->entry[0].position - client->started) > 0) {
            ring->time = (uint32_t) kmq->mono;
            ring->passed = 1;

        } else {
            begun = part_start(kmq, client, ring, ring->count);
        }
    }

    client->started = position;
}


/* For a repair, which has counted what is open in each part. */
void
kmq_deliveries_settle(kmq_shard_t *s, kmq_client_t *client)
{
    kmq_ref_t    ref;
    kmq_ring_t  *ring;

    for (ref = client->ring; ref; /* void */) {
        ring = KMQ_AT(s, ref);
        ref = ring->next;

        if (ref && ring->open == 0) {
            kmq_deliveries_unlink(s, client, ring);
        }
    }

    kmq_deliveries_trim(s, client);
}


/* -1: a message of that position belongs in front of the part; 1: behind it. */
static int
part_compare(const kmq_ring_t *ring, uint32_t position)
{
    if (ring->count == 0
        || (int32_t) (ring->entry[ring->count - 1].position - position) < 0)
    {
        return 1;
    }

    return (int32_t) (ring->entry[0].position - position) > 0 ? -1 : 0;
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


/* Appends the open entries of a part to another one. */
static void
part_copy(const kmq_ring_t *from, kmq_ring_t *to)
{
    unsigned         i;
    kmq_delivery_t  *entry;

    for (i = from->first; i < from->count; i++) {
        if (from->entry[i].slot) {
            entry = &to->entry[to->count++];
            *entry = from->entry[i];
            entry->time = kmq_deliveries_time(from, entry);
        }
    }

    to->open = to->count;
}


/*
 * Joins a part with the one before it, where a few messages stay open among
 * many that are confirmed, so that the chain is no longer than the deliveries
 * need.  Not when the one before has to be kept, nor the last part, which
 * grows.
 */
static void
part_join(kmq_shard_t *s, kmq_client_t *client, kmq_ring_t *ring,
    kmq_ref_t keep)
{
    kmq_ref_t    ref, prev;
    kmq_ring_t  *before, *joined;

    prev = ring->prev;

    if (prev == 0 || prev == keep || ring->next == 0) {
        return;
    }

    before = KMQ_AT(s, prev);

    if (before->open + ring->open > JOINED_MAX) {
        return;
    }

    ref = kmq_ring_alloc(s);
    if (ref == 0) {
        return;
    }

    joined = KMQ_AT(s, ref);
    part_copy(before, joined);
    part_copy(ring, joined);
    joined->prev = before->prev;
    joined->next = ring->next;

    if (before->prev) {
        KMQ_SET(((kmq_ring_t *) KMQ_AT(s, before->prev))->next, ref);
    } else {
        KMQ_SET(client->ring, ref);
    }

    KMQ_POINT("ring-join");

    ((kmq_ring_t *) KMQ_AT(s, ring->next))->prev = ref;

    if (client->look == prev || client->look == KMQ_REF(s, ring)) {
        client->look = ref;
    }

    kmq_ring_free(s, prev);
    kmq_ring_free(s, KMQ_REF(s, ring));
}


/*
 * Finds the entry of a message in flight with client, and its part of the
 * ring; NULL: there is none.  The search starts where the last one ended:
 * mostly the next message is near.
 */
kmq_delivery_t *
kmq_deliveries_find(kmq_shard_t *s, kmq_client_t *client,
    const kmq_slot_t *slot, kmq_ring_t **part)
{
    int              side, before;
    kmq_ref_t        ref;
    kmq_ring_t      *ring;
    kmq_delivery_t  *entry;

    before = 0;
    ring = NULL;

    for (ref = client->found ? client->found : client->ring; ref;
         ref = side < 0 ? ring->prev : ring->next)
    {
        KMQ_STEP();

        ring = KMQ_AT(s, ref);
        side = part_compare(ring, slot->position);

        if (side == 0) {
            break;
        }

        if (side == -before) {

            /* it would be between two parts */

            return NULL;
        }

        before = side;
    }

    if (ref == 0) {
        return NULL;
    }

    if (client->found && client->found != ref) {
        part_join(s, client, KMQ_AT(s, client->found), ref);
    }

    client->found = ref;
    *part = ring;
    entry = ring_search(ring, slot->position);

    return entry && entry->slot == KMQ_REF(s, slot) ? entry : NULL;
}


int
kmq_deliveries_position(kmq_shard_t *s, kmq_client_t *client,
    const kmq_slot_t *slot, uint32_t *position)
{
    kmq_ring_t            *ring;
    const kmq_delivery_t  *entry;

    entry = slot->state == KMQ_IN_FLIGHT && slot->topic == client->topic
            ? kmq_deliveries_find(s, client, slot, &ring) : NULL;

    if (entry == NULL) {
        return KMQ_GONE;
    }

    *position = entry->position;

    return KMQ_OK;
}


/* Publish/subscribe: the delivery of a message has failed, and it is to be
 * pushed to the same consumer again, after ms, which are returned; or, at once,
 * given up for that one. */
uint64_t
kmq_deliveries_fail(kmq_t *kmq, const kmq_topic_t *topic,
    kmq_delivery_t *entry, unsigned reason, int64_t delay)
{
    uint32_t  max;
    uint64_t  wait;

    max = topic->settings.max_deliveries;
    entry->failures += entry->failures < UINT16_MAX;
    wait = delay < 0 ? kmq_back_off(topic, entry->failures, reason)
                     : (uint64_t) delay;

    if (max && entry->failures >= max) {
        wait = 0;
    }

    /* times are compared by their distance */

    if (wait > INT32_MAX) {
        wait = INT32_MAX;
    }

    entry->again = 1;
    entry->time = (uint32_t) (kmq->mono + wait);

    kmq_message_charge(kmq, KMQ_AT(kmq->shard, entry->slot), entry->failures,
                       reason, 0);

    return wait;
}
