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
 * go after KMQ_CODES_SLICE codes. */
#define MANY  4096


/* ---------------------------------------------------------------- confirm */

/* One consumer has confirmed the message of an entry.  1: nothing else is open
 * in that part of its ring. */
static int
confirm(kmq_t *kmq, kmq_client_t *client, kmq_ring_t *ring,
    kmq_delivery_t *entry)
{
    int           done;
    unsigned      flags;
    kmq_slot_t   *slot;
    kmq_shard_t  *s = kmq->shard;
    kmq_topic_t  *topic;

    KMQ_STEP();

    slot = KMQ_AT(s, entry->slot);
    flags = slot->flags;

    if ((flags & (KMQ_SHARED | KMQ_CONFIRMED | KMQ_DELETED))
        == KMQ_SHARED)
    {
        slot->state_time = kmq->wall / 1000;
        kmq_journal_sequence(kmq, KMQ_RECORD_CONSUMED, 0, slot->sequence, 0);
    }

    KMQ_SET(slot->flags, flags | KMQ_CONFIRMED);
    KMQ_POINT("confirm");
    KMQ_SET(entry->slot, 0);
    KMQ_POINT("confirm-entry");

    done = kmq_deliveries_end(s, client, ring);

    if (--slot->pending) {
        return done;
    }

    if (flags & KMQ_SHARED) {
        topic = KMQ_AT(s, slot->topic);
        kmq_list_remove(s, &topic->log, &slot->link);
    }

    kmq_message_consumed(kmq, slot);

    return done;
}


static void
count(kmq_t *kmq, kmq_client_t *client, unsigned n)
{
    client->confirmed += n;
    kmq_count_confirmed(kmq, KMQ_AT(kmq->shard, client->topic), n);
}


/* Deliveries of client have ended: there may be room for more. */
static void
ended(kmq_t *kmq, kmq_client_t *client)
{
    const kmq_topic_t  *topic = KMQ_AT(kmq->shard, client->topic);

    client->limit = client->held ? kmq_hold_limit(client) : client->prefetch;

    kmq_deliveries_trim(kmq->shard, client);
    kmq_deliveries_start(kmq, client);
    kmq_ready_update(kmq, client);

    /* it is idle now, which others are not; one that is apart, or leaves, has
     * no route any more */

    if (client->role == KMQ_CONSUMER && topic->suspects.head
        && client->in_flight == 0)
    {
        kmq_route_dirty(kmq, KMQ_AT(kmq->shard, client->route));
    }
}


void
kmq_confirm_end(kmq_t *kmq, kmq_client_t *client, unsigned n)
{
    if (n == 0) {
        return;
    }

    count(kmq, client, n);

    if (client->held) {
        kmq_hold_confirmed(kmq, client);
    }

    ended(kmq, client);
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
    unsigned       n, all;
    kmq_client_t  *client = KMQ_AT(kmq->block, ref);

    all = 0;

    do {
        kmq_lock_at(kmq, ref);

        n = confirm_slice(kmq, client, position);
        all += n;

        if (client->held) {
            kmq_hold_spoken(kmq, client);
            kmq_ready_update(kmq, client);
        }

        kmq_confirm_end(kmq, client, n);

        kmq_unlock(kmq);

    } while (n >= KMQ_SLICE);

    return all;
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


/* The same of a message that was taken from a consumer of that topic and waits
 * again, or NULL. */
static kmq_slot_t *
late_find(kmq_shard_t *s, const kmq_client_t *client, const char *code)
{
    kmq_slot_t  *slot;

    slot = kmq_code_find(s, code);

    return slot && slot->topic == client->topic ? slot : NULL;
}


/* Who comes back may name it as the last one that it received. */
static void
newest_note(kmq_shard_t *s, kmq_client_t *client, const kmq_delivery_t *entry)
{
    const kmq_slot_t  *slot = KMQ_AT(s, entry->slot);

    if (client->newest_sequence == 0
        || (int32_t) (entry->position - client->newest_position) > 0)
    {
        client->newest_position = entry->position;
        client->newest_sequence = (uint32_t) slot->sequence;
    }
}


void
kmq_confirm_entry(kmq_t *kmq, kmq_client_t *client, kmq_ring_t *ring,
    kmq_delivery_t *entry)
{
    if ((int32_t) (entry->position - client->started) > 0) {
        kmq_deliveries_pass(kmq, client, ring, entry);
    }

    if (client->settles) {
        newest_note(kmq->shard, client, entry);
    }

    (void) confirm(kmq, client, ring, entry);
}


/* A message that client names is confirmed.  0: it is not its to confirm. */
static int
confirm_code(kmq_t *kmq, kmq_client_t *client, const char *code)
{
    kmq_slot_t      *slot;
    kmq_ring_t      *ring;
    kmq_delivery_t  *entry;

    entry = delivery_find(kmq->shard, client, code, &ring);

    if (entry == NULL) {
        slot = late_find(kmq->shard, client, code);
        return slot && kmq_message_confirm_late(kmq, slot);
    }

    kmq_confirm_entry(kmq, client, ring, entry);

    return 1;
}


/* Should the lock be let go before the i-th code? */
static int
pause_due(const kmq_client_t *client, unsigned i)
{
    return i && i % KMQ_CODES_SLICE == 0 && client->in_flight > MANY;
}


unsigned
kmq_confirm_codes(kmq_t *kmq, kmq_ref_t ref, const char *codes, unsigned n)
{
    unsigned       i, found;
    kmq_client_t  *client = KMQ_AT(kmq->block, ref);

    found = 0;

    kmq_lock_at(kmq, ref);

    for (i = 0; i < n; i++) {

        if (pause_due(client, i)) {
            kmq_lock_pause(kmq);
        }

        found += confirm_code(kmq, client, codes + i * KMQ_CODE_LEN);
    }

    kmq_confirm_end(kmq, client, found);

    kmq_unlock(kmq);

    return found;
}


/* Its clock begins anew, or, where it does not run yet, is left. */
void
kmq_extend_entry(kmq_t *kmq, kmq_client_t *client, kmq_delivery_t *entry)
{
    entry->again = 0;
    entry->time = (uint32_t) kmq->mono;
    client->disordered = 1;
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
            kmq_extend_entry(kmq, client, entry);
            found++;
        }
    }

    kmq_unlock(kmq);

    return found;
}


/* Publish/subscribe: a message is for the same consumer again, at once or after
 * a while. */
static void
give_back_shared(kmq_t *kmq, kmq_client_t *client, kmq_delivery_t *entry,
    int64_t delay)
{
    uint64_t            wait;
    const kmq_topic_t  *topic = KMQ_AT(kmq->shard, client->topic);

    /* it has been given back, or was overdue, already */

    if (entry->again) {
        return;
    }

    if (delay == 0) {
        wait = topic->settings.retry_delay;
        entry->again = 1;
        entry->time = (uint32_t) (kmq->mono + wait);

    } else {
        wait = kmq_deliveries_fail(kmq, topic, entry, KMQ_FAILED_RETURN,
                                   delay);
    }

    client->disordered = 1;

    if (client->role != KMQ_CONSUMER) {
        return;
    }

    if (wait) {
        kmq_look_in(kmq, client, wait);
    } else {
        kmq_look_now(kmq, client);
    }
}


/* Point to point, a message goes back behind the one before, or in front of
 * its topic.  1: the delivery has ended. */
unsigned
kmq_return_entry(kmq_t *kmq, kmq_client_t *client, kmq_ring_t *ring,
    kmq_delivery_t *entry, int64_t delay)
{
    kmq_slot_t   *slot, *after;
    kmq_shard_t  *s = kmq->shard;

    slot = KMQ_AT(s, entry->slot);

    if (slot->flags & KMQ_SHARED) {
        give_back_shared(kmq, client, entry, delay);
        return 0;
    }

    KMQ_SET(entry->slot, 0);
    KMQ_POINT("return-entry");

    (void) kmq_deliveries_end(s, client, ring);

    after = kmq_returned(s, client);
    after = delay ? kmq_message_fail(kmq, slot, after, KMQ_FAILED_RETURN,
                                     delay)
                  : kmq_message_release(kmq, slot, after);

    kmq_returned_set(s, client, after);

    return 1;
}


void
kmq_return_end(kmq_t *kmq, kmq_client_t *client, unsigned gone, int64_t delay)
{
    kmq_topic_t  *topic = KMQ_AT(kmq->shard, client->topic);

    if (delay == 0 && client->role == KMQ_CONSUMER) {
        kmq_hold_pause(kmq, client, topic->settings.retry_delay);
    }

    if (client->held) {
        kmq_hold_emptied(kmq, client);
    }

    ended(kmq, client);

    if (gone) {
        kmq_grant(kmq, topic, gone);
    }
}


unsigned
kmq_return_codes(kmq_t *kmq, kmq_ref_t ref, const char *codes, unsigned n,
    int64_t delay)
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
            gone += kmq_return_entry(kmq, client, ring, entry, delay);
            found++;
        }
    }

    if (found) {
        kmq_return_end(kmq, client, gone, delay);
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
    case KMQ_RETRYING:
    case KMQ_ASIDE:
        return !late || !kmq_message_waits_again(slot);

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


/* Others may settle some at this moment. */
KMQ_UNCHECKED unsigned
kmq_in_flight(kmq_t *kmq, kmq_ref_t ref)
{
    const kmq_client_t  *client = KMQ_AT(kmq->block, ref);

    return *(const volatile uint32_t *) &client->in_flight;
}
