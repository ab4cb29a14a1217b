/* What consumers say of what they were pushed: it is consumed, it takes
 * longer, it is given back. */

#include "kmq_block.h"


/* Messages whose slots are asked for before they are looked at. */
#define AHEAD  4


/* ---------------------------------------------------------------- confirm */

/* One consumer has confirmed the message of an entry. */
static void
confirm(kmq_t *kmq, kmq_delivery_t *entry)
{
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;
    kmq_topic_t  *topic;

    slot = KMQ_AT(b, entry->slot);
    topic = KMQ_AT(b, slot->topic);

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

    if (--slot->pending) {
        return;
    }

    if (slot->flags & KMQ_SHARED) {
        kmq_list_remove(b, &topic->log, &slot->link);
    }

    kmq_message_consumed(kmq, slot);
}


/* The client has confirmed n messages. */
static void
count(kmq_t *kmq, kmq_client_t *client, unsigned n)
{
    client->confirmed += n;
    kmq_count_confirmed(kmq, KMQ_AT(kmq->block, client->topic), n);
}


/* n deliveries of client have ended: there may be room for more. */
static void
ended(kmq_t *kmq, kmq_client_t *client, unsigned n)
{
    if (n == 0) {
        return;
    }

    client->in_flight -= n;
    client->limit = client->prefetch;

    kmq_ring_trim(kmq->block, client);
    kmq_client_update(kmq, client);
}


unsigned
kmq_confirm_upto(kmq_t *kmq, kmq_ref_t ref, uint32_t position)
{
    unsigned       i, n;
    kmq_ref_t      next;
    kmq_ring_t    *ring;
    kmq_block_t   *b = kmq->block;
    kmq_client_t  *client = KMQ_AT(b, ref);

    n = 0;

    kmq_lock(kmq);

    for (next = client->ring; next; next = ring->next) {
        ring = KMQ_AT(b, next);

        for (i = ring->first; i < ring->count; i++) {
            if ((int32_t) (ring->entry[i].position - position) > 0) {
                goto done;
            }

            /* it has not been read since it was pushed */

            if (i + AHEAD < KMQ_RING_COUNT) {
                __builtin_prefetch(KMQ_AT(b, ring->entry[i + AHEAD].slot), 1);
            }

            if (ring->entry[i].slot) {
                confirm(kmq, &ring->entry[i]);
                n++;
            }
        }
    }

done:

    count(kmq, client, n);
    ended(kmq, client, n);

    kmq_unlock(kmq);

    return n;
}


/* ----------------------------------------------------------------- by code */

/* The delivery to client of the message of that code, NULL: none. */
static kmq_delivery_t *
delivery_find(kmq_block_t *b, kmq_client_t *client, const char *code)
{
    kmq_slot_t  *slot;

    slot = kmq_code_find(b, code);

    if (slot == NULL || slot->state != KMQ_IN_FLIGHT
        || slot->topic != client->topic)
    {
        return NULL;
    }

    return kmq_ring_find(b, client, slot);
}


unsigned
kmq_confirm_codes(kmq_t *kmq, kmq_ref_t ref, const char *codes, unsigned n)
{
    unsigned         i, found;
    kmq_block_t     *b = kmq->block;
    kmq_client_t    *client = KMQ_AT(b, ref);
    kmq_delivery_t  *entry;

    found = 0;

    kmq_lock(kmq);

    for (i = 0; i < n; i++) {
        entry = delivery_find(b, client, codes + i * KMQ_CODE_LEN);

        if (entry) {
            confirm(kmq, entry);
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
    kmq_block_t     *b = kmq->block;
    kmq_client_t    *client = KMQ_AT(b, ref);
    kmq_delivery_t  *entry;

    found = 0;

    kmq_lock(kmq);

    for (i = 0; i < n; i++) {
        entry = delivery_find(b, client, codes + i * KMQ_CODE_LEN);

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


/* Point to point, a message goes back behind after, or in front of its topic;
 * in publish/subscribe it is for the same consumer again.  1: the delivery has
 * ended. */
static unsigned
give_back(kmq_t *kmq, kmq_client_t *client, kmq_delivery_t *entry,
    kmq_slot_t **after)
{
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;

    slot = KMQ_AT(b, entry->slot);

    if (slot->flags & KMQ_SHARED) {
        entry->returned = 1;
        client->disordered = 1;
        kmq_overdue_now(kmq, client);
        return 0;
    }

    KMQ_SET(entry->slot, 0);
    KMQ_POINT("return-entry");

    *after = kmq_message_release(kmq, slot, *after);

    return 1;
}


unsigned
kmq_return_codes(kmq_t *kmq, kmq_ref_t ref, const char *codes, unsigned n)
{
    unsigned         i, found, gone;
    kmq_slot_t      *after;
    kmq_block_t     *b = kmq->block;
    kmq_client_t    *client = KMQ_AT(b, ref);
    kmq_delivery_t  *entry;

    gone = 0;
    found = 0;
    after = NULL;

    kmq_lock(kmq);

    for (i = 0; i < n; i++) {
        entry = delivery_find(b, client, codes + i * KMQ_CODE_LEN);

        if (entry) {
            gone += give_back(kmq, client, entry, &after);
            found++;
        }
    }

    ended(kmq, client, gone);

    if (gone) {
        kmq_grant(kmq, KMQ_AT(b, client->topic), gone);
    }

    kmq_unlock(kmq);

    return found;
}


/* Does a message that is there, and not in flight with client, make its code
 * an error? */
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


int
kmq_code_wrong(kmq_t *kmq, kmq_ref_t ref, const char code[KMQ_CODE_LEN],
    int late)
{
    int            wrong;
    kmq_slot_t    *slot;
    kmq_block_t   *b = kmq->block;
    kmq_client_t  *client = KMQ_AT(b, ref);

    kmq_lock(kmq);

    slot = kmq_code_find(b, code);

    wrong = slot ? delivery_find(b, client, code) == NULL
                   && is_wrong(slot, late)
                 : !kmq_code_genuine(b, code);

    kmq_unlock(kmq);

    return wrong;
}


unsigned
kmq_in_flight(kmq_t *kmq, kmq_ref_t client)
{
    return ((kmq_client_t *) KMQ_AT(kmq->block, client))->in_flight;
}
