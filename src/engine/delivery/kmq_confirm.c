/* What consumers say of messages in flight: consumed, still worked on, given
 * back. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../journal/kmq_journal.h"
#include "../queue/kmq_queue.h"
#include "kmq_delivery_inside.h"


/* Slots are prefetched so many messages ahead. */
#define AHEAD  4

/* With so many messages in flight, finding one takes a while: the lock is let
 * go after so many codes. */
#define MANY          4096
#define CODES_SLICE     16


/* ---------------------------------------------------------------- confirm */

/* One consumer has confirmed the message of an entry.  1: nothing else is open
 * in that part of its ring. */
static int
confirm(kmq_t *kmq, kmq_client_t *client, kmq_ring_t *ring,
    kmq_delivery_t *entry)
{
    int           done;
    kmq_slot_t   *slot;
    kmq_shard_t  *s = kmq->shard;
    kmq_topic_t  *topic;

    KMQ_STEP();

    slot = KMQ_AT(s, entry->slot);
    topic = KMQ_AT(s, slot->topic);

    if ((slot->flags & (KMQ_SHARED | KMQ_CONFIRMED | KMQ_DELETED))
        == KMQ_SHARED)
    {
        slot->state_time = kmq->wall / 1000;
        kmq_journal_sequence(kmq, KMQ_RECORD_CONSUMED, 0, slot->sequence, 0);
    }

    KMQ_SET(slot->flags, slot->flags | KMQ_CONFIRMED);
    KMQ_POINT("confirm");
    KMQ_SET(entry->slot, 0);
    KMQ_POINT("confirm-entry");

    done = kmq_deliveries_end(s, client, ring);

    if (--slot->pending) {
        return done;
    }

    if (slot->flags & KMQ_SHARED) {
        kmq_list_remove(s, &topic->log, &slot->link);
    }

    kmq_message_consumed(kmq, slot);

    return done;
}


/* The client has confirmed n messages. */
static void
count(kmq_t *kmq, kmq_client_t *client, unsigned n)
{
    client->confirmed += n;
    kmq_count_confirmed(kmq, KMQ_AT(kmq->shard, client->topic), n);
}


/* Deliveries of client have ended: there may be room for more. */
static void
ended(kmq_t *kmq, kmq_client_t *client, unsigned n)
{
    if (n == 0) {
        return;
    }

    client->limit = client->prefetch;

    kmq_deliveries_trim(kmq->shard, client);
    kmq_ready_update(kmq, client);
}


/* Confirms up to KMQ_SLICE messages, or a few more; returns how many. */
static unsigned
confirm_slice(kmq_t *kmq, kmq_client_t *client, uint32_t position)
{
    unsigned      i, n;
    kmq_ref_t     next;
    kmq_ring_t   *ring;
    kmq_shard_t  *s = kmq->shard;

    n = 0;

    for (ring = KMQ_AT(s, client->ring); n < KMQ_SLICE;
         ring = KMQ_AT(s, next))
    {
        next = ring->next;

        for (i = ring->first; i < ring->count; i++) {
            if ((int32_t) (ring->entry[i].position - position) > 0) {
                return n;
            }

            /* it has not been read since it was pushed */

            if (i + AHEAD < KMQ_RING_COUNT) {
                __builtin_prefetch(KMQ_AT(s, ring->entry[i + AHEAD].slot), 1);
            }

            if (ring->entry[i].slot == 0) {
                continue;
            }

            n++;

            if (confirm(kmq, client, ring, &ring->entry[i])) {
                break;
            }
        }

        if (next == 0) {
            return n;
        }
    }

    return n;
}


unsigned
kmq_confirm_upto(kmq_t *kmq, kmq_ref_t ref, uint32_t position)
{
    unsigned       n, confirmed;
    kmq_client_t  *client = KMQ_AT(kmq->block, ref);

    confirmed = 0;

    do {
        kmq_lock_at(kmq, ref);

        n = confirm_slice(kmq, client, position);
        confirmed += n;

        count(kmq, client, n);
        ended(kmq, client, n);

        kmq_unlock(kmq);

    } while (n >= KMQ_SLICE);

    return confirmed;
}


/* ----------------------------------------------------------------- by code */

/* The delivery to client of the message of that code, and its part of the
 * ring; NULL: none. */
static kmq_delivery_t *
delivery_find(kmq_shard_t *s, kmq_client_t *client, const char *code,
    kmq_ring_t **ring)
{
    kmq_slot_t  *slot;

    slot = kmq_code_find(s, code);

    if (slot == NULL || slot->state != KMQ_IN_FLIGHT
        || slot->topic != client->topic)
    {
        return NULL;
    }

    return kmq_deliveries_find(s, client, slot, ring);
}


/* Should the lock be let go before the i-th code? */
static int
pause_due(const kmq_client_t *client, unsigned i)
{
    return i && i % CODES_SLICE == 0 && client->in_flight > MANY;
}


unsigned
kmq_confirm_codes(kmq_t *kmq, kmq_ref_t ref, const char *codes, unsigned n)
{
    unsigned         i, found;
    kmq_ring_t      *ring;
    kmq_client_t    *client = KMQ_AT(kmq->block, ref);
    kmq_delivery_t  *entry;

    found = 0;

    kmq_lock_at(kmq, ref);

    for (i = 0; i < n; i++) {

        if (pause_due(client, i)) {
            kmq_lock_pause(kmq);
        }

        entry = delivery_find(kmq->shard, client, codes + i * KMQ_CODE_LEN,
                              &ring);

        if (entry) {
            (void) confirm(kmq, client, ring, entry);
            found++;
        }
    }

    count(kmq, client, found);
    ended(kmq, client, found);

    kmq_unlock(kmq);

    return found;
}


unsigned
kmq_extend_codes(kmq_t *kmq, kmq_ref_t ref, const char *codes, unsigned n)
{
    unsigned         i, found;
    kmq_ring_t      *ring;
    kmq_client_t    *client = KMQ_AT(kmq->block, ref);
    kmq_delivery_t  *entry;

    found = 0;

    kmq_lock_at(kmq, ref);

    for (i = 0; i < n; i++) {

        if (pause_due(client, i)) {
            kmq_lock_pause(kmq);
        }

        entry = delivery_find(kmq->shard, client, codes + i * KMQ_CODE_LEN,
                              &ring);

        if (entry) {
            entry->time = (uint32_t) kmq->mono;
            entry->returned = 0;
            client->disordered = 1;
            found++;
        }
    }

    kmq_unlock(kmq);

    return found;
}


/* Point to point, a message goes back behind the one before, or in front of
 * its topic; in publish/subscribe it is for the same consumer again.  1: the
 * delivery has ended. */
static unsigned
give_back(kmq_t *kmq, kmq_client_t *client, kmq_ring_t *ring,
    kmq_delivery_t *entry)
{
    kmq_slot_t   *slot;
    kmq_shard_t  *s = kmq->shard;

    slot = KMQ_AT(s, entry->slot);

    if (slot->flags & KMQ_SHARED) {
        entry->returned = 1;
        client->disordered = 1;
        kmq_retry_now(kmq, client);
        return 0;
    }

    KMQ_SET(entry->slot, 0);
    KMQ_POINT("return-entry");

    (void) kmq_deliveries_end(s, client, ring);
    kmq_returned_set(s, client,
                     kmq_message_release(kmq, slot,
                                         kmq_returned(s, client)));

    return 1;
}


unsigned
kmq_return_codes(kmq_t *kmq, kmq_ref_t ref, const char *codes, unsigned n)
{
    unsigned         i, found, gone;
    kmq_ring_t      *ring;
    kmq_client_t    *client = KMQ_AT(kmq->block, ref);
    kmq_delivery_t  *entry;

    gone = 0;
    found = 0;

    kmq_lock_at(kmq, ref);

    kmq_returned_set(kmq->shard, client, NULL);

    for (i = 0; i < n; i++) {

        if (pause_due(client, i)) {
            kmq_lock_pause(kmq);
        }

        entry = delivery_find(kmq->shard, client, codes + i * KMQ_CODE_LEN,
                              &ring);

        if (entry) {
            gone += give_back(kmq, client, ring, entry);
            found++;
        }
    }

    ended(kmq, client, gone);

    if (gone) {
        kmq_grant(kmq, KMQ_AT(kmq->shard, client->topic), gone);
    }

    kmq_unlock(kmq);

    return found;
}


/* Is it an error to name a message that is there, but not in flight with
 * client? */
static int
is_wrong(const kmq_slot_t *slot, int late)
{
    switch (slot->state) {

    case KMQ_IN_FLIGHT:
        return !(slot->flags & (KMQ_CONFIRMED | KMQ_DELETED));

    case KMQ_READY:
        return !late || slot->attempts == 0;

    case KMQ_CONSUMED:
        return 0;

    default:
        return 1;
    }
}


/* The same of a message that is in another shard than here, if anywhere. */
static int
is_wrong_elsewhere(kmq_t *kmq, const kmq_shard_t *here, const char *code,
    int late)
{
    int           wrong;
    unsigned      i;
    kmq_slot_t   *slot;

    wrong = 0;
    slot = NULL;

    for (i = 0; i < kmq->block->nshards && slot == NULL; i++) {

        if (i == here->number) {
            continue;
        }

        kmq_lock(kmq, KMQ_SHARD(kmq->block, i));

        slot = kmq_code_find(kmq->shard, code);
        wrong = slot && is_wrong(slot, late);

        kmq_unlock(kmq);
    }

    return wrong;
}


int
kmq_code_wrong(kmq_t *kmq, kmq_ref_t ref, const char code[KMQ_CODE_LEN],
    int late)
{
    int            wrong;
    kmq_ring_t    *ring;
    kmq_slot_t    *slot;
    kmq_client_t  *client = KMQ_AT(kmq->block, ref);

    kmq_lock_at(kmq, ref);

    slot = kmq_code_find(kmq->shard, code);

    wrong = slot ? delivery_find(kmq->shard, client, code, &ring) == NULL
                   && is_wrong(slot, late)
                 : !kmq_code_genuine(kmq->shard, code);

    kmq_unlock(kmq);

    if (slot == NULL && !wrong) {
        return is_wrong_elsewhere(kmq, kmq->shard, code, late);
    }

    return wrong;
}


unsigned
kmq_in_flight(kmq_t *kmq, kmq_ref_t client)
{
    return ((kmq_client_t *) KMQ_AT(kmq->block, client))->in_flight;
}
