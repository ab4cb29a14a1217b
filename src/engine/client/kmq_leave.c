/*
 * Clients leave.
 *
 * A client that leaves is not its worker's any more and takes part in nothing.
 * What a consumer had is given back in slices, by whichever worker has time:
 * until then it is KMQ_LEAVING and in the shard's list.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../queue/kmq_queue.h"
#include "../delivery/kmq_delivery.h"
#include "kmq_client_inside.h"


/*
 * Publish/subscribe: gives up what the client should still have got, from the
 * newest on, at most *n messages, which counts down.  1: that is all.
 */
static int
leave_backlog(kmq_t *kmq, kmq_client_t *client, unsigned *n)
{
    kmq_ref_t     prev;
    kmq_slot_t   *slot;
    kmq_shard_t  *s = kmq->shard;

    while ((int32_t) (client->last_position - client->next_position) >= 0) {

        if (*n == 0) {
            return 0;
        }

        (*n)--;
        slot = KMQ_AT(s, client->cursor);
        prev = slot->prev;

        KMQ_SET(client->last_position, slot->position - 1);
        KMQ_POINT("leave-backlog");

        client->cursor = prev;
        (void) kmq_message_release(kmq, slot, NULL);
    }

    return 1;
}


/* Is the client's end to be charged to this message of its?  It is the oldest
 * suspect, or where it has none, the oldest. */
static int
is_charged(kmq_client_t *client, const kmq_slot_t *slot)
{
    if (!client->charge
        || (client->suspects && !(slot->flags & KMQ_SUSPECT)))
    {
        return 0;
    }

    /* if this worker dies right here, nothing is charged */

    KMQ_SET(client->charge, 0);
    KMQ_POINT("leave-charge");

    return 1;
}


/* Gives up one message in flight with a client that leaves.  A message that
 * may be tried with others at once has not used up its part of the current
 * batch. */
static int
leave_entry(kmq_t *kmq, kmq_client_t *client, kmq_ring_t *ring,
    kmq_delivery_t *entry)
{
    int           done, charged;
    uint32_t      tries;
    kmq_slot_t   *slot, *after;
    kmq_shard_t  *s = kmq->shard;

    tries = kmq->block->settings.retry_count + 1;
    slot = KMQ_AT(s, entry->slot);
    charged = is_charged(client, slot);

    KMQ_SET(entry->slot, 0);
    KMQ_POINT("leave-ring");

    done = kmq_deliveries_end(s, client, ring);
    after = kmq_returned(s, client);
    after = charged ? kmq_message_fail(kmq, slot, after, KMQ_FAILED_END,
                                       KMQ_BACK_OFF)
                    : kmq_message_release(kmq, slot, after);

    if (after == slot) {
        kmq_returned_set(s, client, slot);

        if (!client->pull && (!charged || slot->failures % tries)) {
            kmq_pace_credit(kmq, 1);
        }
    }

    return done;
}


/* Gives up what is in flight with the client, the oldest in front; *n as
 * above. */
static int
leave_ring(kmq_t *kmq, kmq_client_t *client, unsigned *n)
{
    unsigned      i;
    kmq_ring_t   *ring;
    kmq_shard_t  *s = kmq->shard;

    while (client->in_flight) {
        ring = KMQ_AT(s, client->ring);

        for (i = ring->first; i < ring->count; i++) {

            if (ring->entry[i].slot == 0) {
                continue;
            }

            if (*n == 0) {
                return 0;
            }

            (*n)--;

            if (leave_entry(kmq, client, ring, &ring->entry[i])) {
                break;
            }
        }
    }

    return 1;
}


/* Ends a leave: the client is free afterwards. */
static void
client_free(kmq_t *kmq, kmq_client_t *client)
{
    kmq_ref_t     ring;
    kmq_shard_t  *s = kmq->shard;
    kmq_topic_t  *topic = KMQ_AT(s, client->topic);

    kmq_join_unlink(s, client);

    ring = client->ring;

    KMQ_SET(client->role, 0);
    KMQ_POINT("client-free");

    kmq_rings_free(s, ring);
    kmq_table_free(s, KMQ_CLASS_CLIENT, client);

    kmq_push_type_settle(kmq, topic);

    if (topic->ready.count) {
        kmq_grant(kmq, topic, topic->ready.count);
    }

    kmq_topic_idle(s, topic);
}


/* Does a slice for a client that is KMQ_LEAVING, at most *n messages, which
 * counts down. */
static void
leave_slice(kmq_t *kmq, kmq_client_t *client, unsigned *n)
{
    int           done, blameless;
    kmq_topic_t  *topic = KMQ_AT(kmq->shard, client->topic);

    blameless = kmq->blameless;
    kmq->blameless = !client->failed;

    done = leave_backlog(kmq, client, n) && leave_ring(kmq, client, n);

    kmq->blameless = blameless;

    if (done) {
        client_free(kmq, client);

    } else if (topic->ready.count) {
        kmq_grant(kmq, topic, topic->ready.count);
    }
}


void
kmq_leave_stop(kmq_t *kmq, kmq_client_t *client)
{
    client->open = 0;
    kmq_ready_update(kmq, client);
    kmq_own_tell_cancel(kmq->shard, client);

    if (client->held) {
        kmq_hold_leave(kmq, client);
    }

    kmq_returned_set(kmq->shard, client, NULL);
    kmq_look_cancel(kmq->shard, client);
}


/* A consumer, or one that is apart, leaves. */
static void
leave_consumer(kmq_t *kmq, kmq_client_t *client, int failed)
{
    unsigned      role;
    kmq_shard_t  *s = kmq->shard;
    kmq_route_t  *route = KMQ_AT(s, client->route);
    kmq_topic_t  *topic = KMQ_AT(s, client->topic);

    role = client->role;
    kmq_leave_stop(kmq, client);

    client->last_position = topic->position;
    client->cursor = topic->log.tail;
    client->failed = failed;
    client->charge = failed;

    if (client->suspects) {
        client->suspects = kmq_deliveries_suspects(s, client);
    }

    if (topic->push_type == KMQ_PUSH_ONE || !kmq_ready_matches(s, client)) {
        client->last_position = client->next_position - 1;
    }

    kmq_join_unlink(s, client);

    KMQ_SET(client->role, KMQ_LEAVING);
    KMQ_POINT("leave");

    kmq_join_link(s, client);

    kmq_hold_fewer(kmq, topic);

    if (role == KMQ_CONSUMER) {
        kmq_route_release(kmq, route);
    }
}


/* A producer is gone after this; a consumer begins to leave, and
 * kmq_leave_run() goes on. */
void
kmq_leave_begin(kmq_t *kmq, kmq_client_t *client, int failed)
{
    KMQ_STEP();

    kmq_disconnect_cancel(kmq->shard, client);

    if (client->role != KMQ_PRODUCER) {
        leave_consumer(kmq, client, failed);
    }

    if (kmq_own_has(kmq, client)) {
        kmq_own_client_remove(kmq, client);
    }

    if (client->role == KMQ_PRODUCER) {
        client_free(kmq, client);
    }
}


void
kmq_leave(kmq_t *kmq, kmq_ref_t ref, int failed)
{
    unsigned       n, role;
    kmq_client_t  *client = KMQ_AT(kmq->block, ref);

    n = KMQ_SLICE;

    kmq_lock_at(kmq, ref);

    role = client->role;
    kmq_leave_begin(kmq, client, failed);

    if (role == KMQ_CONSUMER) {
        leave_slice(kmq, client, &n);
    }

    if (kmq->shard->leaving.head) {
        kmq->work |= KMQ_BIT(kmq->shard);
    }

    kmq_unlock(kmq);
}


/* Goes on with those that leave, at most n steps.  Returns how many steps are
 * left. */
unsigned
kmq_leave_run(kmq_t *kmq, unsigned n)
{
    kmq_shard_t   *s = kmq->shard;
    kmq_client_t  *client;

    while (n && s->leaving.head) {
        n--;
        client = KMQ_CLIENT_OF(KMQ_AT(s, s->leaving.head), peers);
        leave_slice(kmq, client, &n);
    }

    if (s->leaving.head) {
        kmq->work |= KMQ_BIT(s);
    }

    return n;
}
