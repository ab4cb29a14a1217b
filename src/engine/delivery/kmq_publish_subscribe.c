/*
 * Publish/subscribe: the topic has a log of the messages in flight, in the
 * order of their positions, and each consumer has a place in it.  The consumer
 * that is furthest moves ready messages into the log.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../queue/kmq_queue.h"
#include "kmq_delivery_inside.h"


/* These bound the time under the lock: messages of a batch, deliveries when
 * many consumers share them, and consumers that are looked at in vain. */
#define SHARED_MAX       256
#define DELIVERIES_MAX  8192
#define LOOKS_MAX       (4 * KMQ_SLICE)

/* This bounds what is sent: bytes of a batch, over all consumers. */
#define SHARED_BYTES    (8 * 1024 * 1024)


/* Moves up to n ready messages into the log; all consumers owe them. */
static unsigned
log_extend(kmq_t *kmq, kmq_topic_t *topic, unsigned n, size_t bytes_max)
{
    size_t        bytes;
    unsigned      moved;
    kmq_slot_t   *slot;
    kmq_shard_t  *s = kmq->shard;

    n = kmq_pace(kmq, topic, n < topic->ready.count ? n : topic->ready.count);
    bytes = 0;

    for (moved = 0; moved < n && bytes < bytes_max; moved++) {
        slot = kmq_message_take(kmq, topic);

        slot->position = topic->position + 1;
        slot->owner = 0;
        slot->pending = topic->matching;
        slot->flags = (slot->flags & KMQ_LASTING) | KMQ_SHARED;

        KMQ_SET(slot->state, KMQ_IN_FLIGHT);
        KMQ_POINT("log-extend");

        topic->position++;
        kmq_list_append(s, &topic->log, &slot->link);
        bytes += slot->size;
    }

    if (n != moved) {
        kmq_pace_allot(s, topic, n - moved);
    }

    kmq_topic_active(s, topic);

    return moved;
}


static int
lags(const kmq_topic_t *topic, const kmq_client_t *client)
{
    return (int32_t) (topic->position - client->next_position) >= 0;
}


/* How many messages the quickest of the route's ready consumers can take; of
 * many consumers, only the first ones count. */
static unsigned
credit(kmq_t *kmq, const kmq_own_route_t *local)
{
    uint32_t       i, n, most;
    kmq_client_t  *client;

    most = 0;

    for (i = 0; i < local->nready && i < LOOKS_MAX && most < SHARED_MAX; i++) {
        KMQ_STEP();
        client = KMQ_AT(kmq->shard, kmq->client[local->ready[i]].client);
        n = client->limit - client->in_flight;
        most = n > most ? n : most;
    }

    return most < SHARED_MAX ? most : SHARED_MAX;
}


/* New messages have been pushed to nobody yet. */
static void
served_check(const kmq_topic_t *topic, kmq_own_route_t *local)
{
    if (local->position != topic->position) {
        local->position = topic->position;
        local->served = 0;
    }
}


/* The consumer at that place has been pushed all; mostly it is the next one. */
static inline void
served_add(kmq_t *kmq, kmq_own_route_t *local, uint32_t place)
{
    if (place == local->served) {
        local->served++;
    } else {
        kmq_own_served(kmq, local, place);
    }
}


/* A ready consumer of the route that has not been pushed all of the log.
 * NULL: there is none, or, unless all are served, none has been found yet. */
static kmq_client_t *
lagging(kmq_t *kmq, const kmq_topic_t *topic, kmq_own_route_t *local)
{
    uint32_t       n;
    kmq_client_t  *client;

    served_check(topic, local);

    for (n = LOOKS_MAX; n && local->served < local->nready; n--) {
        KMQ_STEP();
        client = KMQ_AT(kmq->shard,
                        kmq->client[local->ready[local->served]].client);

        if (lags(topic, client)) {
            return client;
        }

        local->served++;
    }

    return NULL;
}


/* The message in the log that client gets next. */
static kmq_slot_t *
log_at(kmq_shard_t *s, const kmq_topic_t *topic, const kmq_client_t *client)
{
    kmq_slot_t  *slot;

    if (client->cursor) {
        return KMQ_AT(s, client->cursor);
    }

    /* it had got all, so everything behind is new to it */

    slot = KMQ_AT(s, topic->log.tail);

    while (slot->position != client->next_position) {
        slot = KMQ_AT(s, slot->prev);
    }

    return slot;
}


/*
 * Passes over deleted messages that client would get next.  Returns the one it
 * does get; NULL: it has got all.
 */
static kmq_slot_t *
log_skip(kmq_t *kmq, kmq_client_t *client)
{
    kmq_slot_t   *slot;
    kmq_shard_t  *s = kmq->shard;
    kmq_topic_t  *topic = KMQ_AT(s, client->topic);

    while (lags(topic, client)) {
        slot = log_at(s, topic, client);

        if (!(slot->flags & KMQ_DELETED)) {
            return slot;
        }

        client->cursor = slot->next;

        KMQ_SET(client->next_position, slot->position + 1);
        KMQ_POINT("log-skip");

        (void) kmq_message_release(kmq, slot, NULL);
    }

    return NULL;
}


/* Fills the batch with the log from slot on, up to a deleted message, or to a
 * suspect; one that is the first is alone. */
static void
log_read(kmq_shard_t *s, kmq_slot_t *slot, kmq_batch_t *batch)
{
    size_t    bytes;
    unsigned  max;

    bytes = 0;
    max = slot->flags & KMQ_SUSPECT ? 1 : SHARED_MAX;

    while (batch->nmessages < max && bytes < batch->bytes_max
           && !(slot->flags & KMQ_DELETED)
           && (max == 1 || !(slot->flags & KMQ_SUSPECT)))
    {
        kmq_message_fill(s, slot, &batch->messages[batch->nmessages++]);
        bytes += slot->size;

        if (slot->next == 0) {
            return;
        }

        slot = KMQ_AT(s, slot->next);
    }
}


/* Puts the batch's messages from first on in flight with client; returns how
 * many it takes. */
static unsigned
deliver_run(kmq_t *kmq, kmq_client_t *client, const kmq_batch_t *batch,
    unsigned first)
{
    unsigned      i, n;
    kmq_ref_t     next;
    kmq_slot_t   *slot;
    kmq_shard_t  *s = kmq->shard;
    kmq_topic_t  *topic;

    slot = NULL;
    n = batch->nmessages - first;

    if (n > client->limit - client->in_flight) {
        n = client->limit - client->in_flight;
    }

    for (i = 0; i < n; i++) {
        slot = KMQ_AT(kmq->block, batch->messages[first + i].slot);

        if (kmq_deliveries_append(s, client, slot, (uint32_t) kmq->mono)
            != KMQ_OK)
        {
            client->limit = client->in_flight;
            break;
        }
    }

    if (i == 0) {
        return 0;
    }

    kmq_deliveries_begin(client, KMQ_AT(kmq->block,
                                        batch->messages[first].slot), i);

    topic = KMQ_AT(s, client->topic);

    if (client->timed == KMQ_IDLE && topic->settings.retry_time) {
        kmq_look_in(kmq, client, topic->settings.retry_time);
    }

    slot = KMQ_AT(kmq->block, batch->messages[first + i - 1].slot);
    next = slot->next;

    KMQ_SET(client->next_position,
            batch->messages[first + i - 1].position + 1);
    KMQ_POINT("deliver-run");

    client->cursor = next;

    return i;
}


/*
 * Does the consumer, whose next message is a suspect, have to run empty before
 * it gets that?  Not when it has waited long enough for that one.
 */
static int
must_empty(kmq_t *kmq, kmq_client_t *client)
{
    uint32_t            max;
    const kmq_topic_t  *topic = KMQ_AT(kmq->shard, client->topic);

    max = topic->settings.retry_delay_max;

    if (client->in_flight == 0 || max == 0
        || client->past == client->next_position)
    {
        return 0;
    }

    kmq_hold_emptying(kmq, client, max);
    kmq_ready_update(kmq, client);

    return 1;
}


/* It has got a suspect: where it has nothing else, nothing follows for a
 * while. */
static void
leave_alone(kmq_t *kmq, kmq_client_t *client)
{
    const kmq_topic_t  *topic = KMQ_AT(kmq->shard, client->topic);

    if (client->in_flight == 1 && topic->settings.retry_delay_max) {
        kmq_hold_alone(kmq, client);
        kmq_ready_update(kmq, client);
    }
}


/* How many deliveries of the batch's messages are enough for now. */
static unsigned
deliveries_max(const kmq_batch_t *batch)
{
    size_t    bytes;
    unsigned  i;

    bytes = 1;

    for (i = 0; i < batch->nmessages; i++) {
        bytes += batch->messages[i].size;
    }

    bytes = SHARED_BYTES / (bytes / batch->nmessages + 1);

    return bytes < DELIVERIES_MAX ? bytes : DELIVERIES_MAX;
}


/* Gives a consumer, of that user, its part of the batch, which begins there.
 * Returns how many messages. */
static unsigned
run_make(kmq_t *kmq, kmq_client_t *client, void *user, uint32_t first,
    kmq_batch_t *batch)
{
    kmq_run_t  *run;

    run = &batch->runs[batch->nruns];
    run->client = KMQ_REF(kmq->block, client);
    run->user = user;
    run->first = first;
    run->count = deliver_run(kmq, client, batch, first);

    batch->nruns += run->count != 0;

    return run->count;
}


/* Is the batch a suspect alone? */
static int
is_suspect(kmq_t *kmq, const kmq_batch_t *batch)
{
    const kmq_slot_t  *slot = KMQ_AT(kmq->block, batch->messages[0].slot);

    return slot->flags & KMQ_SUSPECT;
}


/* Gives every ready consumer whose place is in the batch its part; 0 when
 * some had to be left for the next one. */
static int
runs_make(kmq_t *kmq, kmq_topic_t *topic, kmq_own_route_t *local,
    kmq_batch_t *batch)
{
    int            suspect;
    unsigned       n, deliveries, max, used, looks;
    uint32_t       i, first, start;
    kmq_client_t  *client;

    used = 0;
    looks = 0;
    deliveries = 0;
    max = deliveries_max(batch);
    start = batch->messages[0].position;
    suspect = is_suspect(kmq, batch);

    for (i = local->served; i < local->nready; /* void */) {

        if (batch->nruns == KMQ_BATCH_RUNS || deliveries >= max
            || looks == LOOKS_MAX)
        {
            break;
        }

        KMQ_STEP();
        client = KMQ_AT(kmq->shard, kmq->client[local->ready[i]].client);
        first = client->next_position - start;

        if (first >= batch->nmessages) {
            looks++;

            if (!lags(topic, client)) {
                served_add(kmq, local, i);
            }

            i++;
            continue;
        }

        if (suspect && must_empty(kmq, client)) {
            looks++;
            continue;
        }

        n = run_make(kmq, client, kmq->client[local->ready[i]].user, first,
                     batch);
        used = first + n > used ? first + n : used;
        deliveries += n;

        if (suspect && n) {
            leave_alone(kmq, client);
        }

        if (client->in_flight >= client->limit) {
            kmq_ready_update(kmq, client);
        }

        if (!client->ready) {
            continue;
        }

        if (!lags(topic, client)) {
            served_add(kmq, local, i);
        }

        i++;
    }

    batch->nmessages = used;
    kmq_count_delivered(kmq, topic, deliveries);

    return local->served == local->nready;
}


/* Takes a batch for a route's consumers.  0: no other route should be looked
 * at under this lock. */
int
kmq_take_all(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route,
    kmq_batch_t *batch)
{
    kmq_slot_t       *slot;
    kmq_client_t     *client;
    kmq_own_route_t  *local;

    local = &kmq->route[route->local];

    if (local->nready == 0) {
        return 1;
    }

    if (topic->suspects.head) {
        kmq_suspects_queue(kmq, topic);
    }

    client = lagging(kmq, topic, local);

    if (client == NULL && local->served < local->nready) {
        kmq_route_dirty(kmq, route);
        return 0;
    }

    if (client == NULL) {
        if (log_extend(kmq, topic, credit(kmq, local), batch->bytes_max)
            == 0)
        {
            return 1;
        }

        served_check(topic, local);
        kmq_routes_tell(kmq, topic, KMQ_REF(kmq->shard, route));
        client = KMQ_AT(kmq->shard, kmq->client[local->ready[0]].client);
    }

    slot = log_skip(kmq, client);

    if (slot == NULL) {
        kmq_route_dirty(kmq, route);
        return 1;
    }

    log_read(kmq->shard, slot, batch);

    if (!runs_make(kmq, topic, local, batch) && local->nready) {
        kmq_route_dirty(kmq, route);
        return local->nready < LOOKS_MAX;
    }

    kmq_route_go_on(kmq, topic, route, topic->ready.count);

    return 1;
}
