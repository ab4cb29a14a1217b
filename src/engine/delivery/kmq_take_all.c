/*
 * Messages go out: kmq_take() puts the next batch in flight.
 *
 * Point to point, each message is drawn for one of the route's ready
 * consumers.  In publish/subscribe the topic has a log of what is in flight,
 * in the order of positions, and each consumer has a place in it; the
 * consumer that is furthest moves messages from the ready ones into the log.
 */

#include "../kmq_block.h"


/* These bound the time under the lock: messages drawn at once, and deliveries
 * where many consumers share messages. */
#define DRAWS_MAX        256
#define SHARED_MAX       256
#define DELIVERIES_MAX  8192

/* And consumers that are looked at in vain. */
#define LOOKS_MAX  (4 * KMQ_SLICE)

/* This bounds what they are to be sent: bytes of a batch, over all of them. */
#define SHARED_BYTES    (8 * 1024 * 1024)


void
kmq_message_fill(kmq_block_t *b, const kmq_slot_t *slot, kmq_message_t *m)
{
    m->size = slot->size;
    m->delay = slot->delay;
    m->slot = KMQ_REF(b, slot);
    m->body = slot->body;
    m->piece = slot->body;
    m->offset = 0;
    m->position = slot->position;
    m->create_time = slot->create_time;
    m->sequence = slot->sequence;
}


/* Takes the first ready message off its topic's list. */
static kmq_slot_t *
ready_shift(kmq_t *kmq, kmq_topic_t *topic)
{
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;

    slot = (kmq_slot_t *) kmq_list_shift(b, &topic->ready);

    if (slot->attempts) {
        kmq_count_redelivered(kmq, topic);

    } else {
        kmq_count_latency(kmq, slot->owner);
    }

    if (slot->attempts < UINT16_MAX) {
        slot->attempts++;
    }

    kmq_journal_sequence(kmq, KMQ_RECORD_DELIVERED, 0, slot->sequence,
                         slot->attempts);

    b->waiting--;
    b->in_flight++;
    topic->in_flight++;

    return slot;
}


/* More messages of a route's topic are there: for it at once, or for the next
 * batch. */
static void
go_on(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route, uint64_t more)
{
    if (more == 0 || route->ready == 0) {
        return;
    }

    if (kmq_pace_open(kmq, topic)) {
        kmq_route_dirty(kmq, route);

    } else {
        kmq->paced = 1;
    }
}


/* --------------------------------------------------------- point to point */

/* Which message went to which of the handle's clients. */
typedef struct {
    unsigned     n;
    size_t       bytes;
    kmq_ref_t    slot[KMQ_BATCH_MESSAGES];
    uint32_t     client[KMQ_BATCH_MESSAGES];
} draws_t;


/* A ready consumer of the route at random, as an index in kmq->client. */
static uint32_t
consumer_draw(kmq_t *kmq, const kmq_local_route_t *local)
{
    if (local->nready == 1) {
        return local->ready[0];
    }

    return local->ready[((kmq_random(kmq) >> 32) * local->nready) >> 32];
}


/* Puts the first ready message in flight with client; KMQ_NOMEM when its ring
 * cannot grow. */
static int
deliver_one(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route,
    kmq_client_t *client, kmq_slot_t *slot)
{
    kmq_block_t  *b = kmq->block;

    /* a position is never given twice, even where this ends half-way */

    KMQ_SET(topic->position, topic->position + 1);
    KMQ_POINT("deliver-position");

    slot->position = topic->position;
    slot->pending = 1;
    slot->flags = 0;

    if (kmq_ring_append(b, client, slot, (uint32_t) kmq->mono) != KMQ_OK) {
        client->limit = client->in_flight;
        return KMQ_NOMEM;
    }

    if (client->timed == KMQ_IDLE) {
        kmq_overdue_arm(kmq, client);
    }

    (void) ready_shift(kmq, topic);

    slot->owner = KMQ_REF(b, client);
    route->grant--;
    topic->granted--;

    KMQ_SET(slot->state, KMQ_IN_FLIGHT);
    KMQ_POINT("deliver-one");

    return KMQ_OK;
}


/* Draws at most DRAWS_MAX messages more. */
static void
draw(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route, size_t bytes_max,
    draws_t *draws)
{
    unsigned            max;
    uint32_t            i;
    kmq_slot_t         *slot;
    kmq_client_t       *client;
    kmq_local_route_t  *local;

    local = &kmq->route[route->local];
    max = draws->n + DRAWS_MAX;

    if (local->nready && route->grant < DRAWS_MAX) {
        kmq_grant_to(kmq, topic, route, DRAWS_MAX - route->grant);
    }

    while (draws->n < max && route->grant && local->nready
           && topic->ready.head && draws->bytes < bytes_max)
    {
        slot = KMQ_AT(kmq->block, topic->ready.head);
        i = consumer_draw(kmq, local);
        client = KMQ_AT(kmq->block, kmq->client[i].client);

        if (deliver_one(kmq, topic, route, client, slot) == KMQ_OK) {
            draws->slot[draws->n] = KMQ_REF(kmq->block, slot);
            draws->client[draws->n] = i;
            draws->n++;
            draws->bytes += slot->size;
        }

        if (client->in_flight >= client->limit) {
            kmq_client_update(kmq, client);
        }
    }
}


/* Makes runs of the draws: each consumer's messages next to each other.  Takes
 * no lock: what is in flight with this handle's clients stays as it is. */
static void
draws_sort(kmq_t *kmq, const draws_t *draws, kmq_batch_t *batch)
{
    unsigned             i;
    uint32_t             first, stamp;
    kmq_run_t           *run;
    kmq_local_client_t  *local;

    stamp = ++kmq->run_stamp;

    for (i = 0; i < draws->n; i++) {
        local = &kmq->client[draws->client[i]];

        if (local->run_stamp != stamp) {
            local->run_stamp = stamp;
            local->run = batch->nruns;

            run = &batch->runs[batch->nruns++];
            run->client = local->client;
            run->user = local->user;
            run->count = 0;
        }

        batch->runs[local->run].count++;
    }

    for (first = 0, i = 0; i < batch->nruns; i++) {
        batch->runs[i].first = first;
        first += batch->runs[i].count;
        batch->runs[i].count = 0;
    }

    for (i = 0; i < draws->n; i++) {
        run = &batch->runs[kmq->client[draws->client[i]].run];

        kmq_message_fill(kmq->block, KMQ_AT(kmq->block, draws->slot[i]),
                     &batch->messages[run->first + run->count++]);
    }

    batch->nmessages = draws->n;
}


/*
 * Draws for as many as go into a batch.  The lock is let go now and then; the
 * route stays, since its consumers are this handle's.
 */
static void
take_one(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route,
    size_t bytes_max, draws_t *draws)
{
    unsigned            n;
    kmq_local_route_t  *local;

    local = &kmq->route[route->local];

    if (local->nready == 0) {
        return;
    }

    for ( ;; ) {
        n = draws->n;
        draw(kmq, topic, route, bytes_max, draws);

        kmq_topic_active(kmq->block, topic);
        kmq_count_delivered(kmq, topic, draws->n - n);

        if (draws->n - n < DRAWS_MAX
            || draws->n + DRAWS_MAX > KMQ_BATCH_MESSAGES)
        {
            break;
        }

        kmq_unlock(kmq);
        kmq_lock(kmq);
    }

    if (local->nready && route->grant) {
        kmq_route_dirty(kmq, route);
        return;
    }

    go_on(kmq, topic, route, kmq_topic_backlog(kmq->block, topic));
}


/* ------------------------------------------------------ publish/subscribe */

/* Moves up to n ready messages into the log; all consumers owe them. */
static unsigned
log_extend(kmq_t *kmq, kmq_topic_t *topic, unsigned n, size_t bytes_max)
{
    size_t        bytes;
    unsigned      moved;
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;

    n = kmq_pace(kmq, topic, n < topic->ready.count ? n : topic->ready.count);
    bytes = 0;

    for (moved = 0; moved < n && bytes < bytes_max; moved++) {
        slot = ready_shift(kmq, topic);

        slot->position = topic->position + 1;
        slot->owner = 0;
        slot->pending = topic->matching;
        slot->flags = KMQ_SHARED;

        KMQ_SET(slot->state, KMQ_IN_FLIGHT);
        KMQ_POINT("log-extend");

        topic->position++;
        kmq_list_append(b, &topic->log, &slot->link);
        bytes += slot->size;
    }

    if (n != moved) {
        kmq_pace_allot(b, topic, n - moved);
    }

    kmq_topic_active(b, topic);

    return moved;
}


static int
lags(const kmq_topic_t *topic, const kmq_client_t *client)
{
    return (int32_t) (topic->position - client->next_position) >= 0;
}


/* How many messages the quickest of the route's ready consumers, or of the
 * first ones where there are many, can take. */
static unsigned
credit(kmq_t *kmq, const kmq_local_route_t *local)
{
    uint32_t       i, n, most;
    kmq_client_t  *client;

    most = 0;

    for (i = 0; i < local->nready && i < LOOKS_MAX && most < SHARED_MAX; i++) {
        KMQ_STEP();
        client = KMQ_AT(kmq->block, kmq->client[local->ready[i]].client);
        n = client->limit - client->in_flight;
        most = n > most ? n : most;
    }

    return most < SHARED_MAX ? most : SHARED_MAX;
}


/* What comes now has been pushed to nobody yet. */
static void
served_check(const kmq_topic_t *topic, kmq_local_route_t *local)
{
    if (local->position != topic->position) {
        local->position = topic->position;
        local->served = 0;
    }
}


/* The one at that place has been pushed all; mostly it is the next one. */
static inline void
served_add(kmq_t *kmq, kmq_local_route_t *local, uint32_t place)
{
    if (place == local->served) {
        local->served++;
    } else {
        kmq_local_served(kmq, local, place);
    }
}


/* A ready consumer of the route that has not been pushed all of the log; NULL:
 * there is none, or, unless all are served, none has been found yet. */
static kmq_client_t *
lagging(kmq_t *kmq, const kmq_topic_t *topic, kmq_local_route_t *local)
{
    uint32_t       n;
    kmq_client_t  *client;

    served_check(topic, local);

    for (n = LOOKS_MAX; n && local->served < local->nready; n--) {
        KMQ_STEP();
        client = KMQ_AT(kmq->block,
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
log_at(kmq_block_t *b, const kmq_topic_t *topic, const kmq_client_t *client)
{
    kmq_slot_t  *slot;

    if (client->cursor) {
        return KMQ_AT(b, client->cursor);
    }

    /* it had got all, so what is behind has come since and is new to it */

    slot = KMQ_AT(b, topic->log.tail);

    while (slot->position != client->next_position) {
        slot = KMQ_AT(b, slot->prev);
    }

    return slot;
}


/*
 * Deleted messages that client would get next are not for it.  Returns the
 * one that is, or NULL: it has got all.
 */
static kmq_slot_t *
log_skip(kmq_t *kmq, kmq_client_t *client)
{
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;
    kmq_topic_t  *topic = KMQ_AT(b, client->topic);

    while (lags(topic, client)) {
        slot = log_at(b, topic, client);

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


/* Fills the batch with the log from slot on, up to a deleted message. */
static void
log_read(kmq_block_t *b, kmq_slot_t *slot, kmq_batch_t *batch)
{
    size_t  bytes;

    bytes = 0;

    while (batch->nmessages < SHARED_MAX && bytes < batch->bytes_max
           && !(slot->flags & KMQ_DELETED))
    {
        kmq_message_fill(b, slot, &batch->messages[batch->nmessages++]);
        bytes += slot->size;

        if (slot->next == 0) {
            return;
        }

        slot = KMQ_AT(b, slot->next);
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
    kmq_block_t  *b = kmq->block;

    slot = NULL;
    n = batch->nmessages - first;

    if (n > client->limit - client->in_flight) {
        n = client->limit - client->in_flight;
    }

    for (i = 0; i < n; i++) {
        slot = KMQ_AT(b, batch->messages[first + i].slot);

        if (kmq_ring_append(b, client, slot, (uint32_t) kmq->mono)
            != KMQ_OK)
        {
            client->limit = client->in_flight;
            break;
        }
    }

    if (i == 0) {
        return 0;
    }

    if (client->timed == KMQ_IDLE) {
        kmq_overdue_arm(kmq, client);
    }

    next = ((kmq_slot_t *) KMQ_AT(b, batch->messages[first + i - 1].slot))
           ->next;

    KMQ_SET(client->next_position,
            batch->messages[first + i - 1].position + 1);
    KMQ_POINT("deliver-run");

    client->cursor = next;

    return i;
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


/* Gives every ready consumer whose place is in the batch its part; 0 when
 * some had to be left for the next one. */
static int
runs_make(kmq_t *kmq, kmq_topic_t *topic, kmq_local_route_t *local,
    kmq_batch_t *batch)
{
    unsigned       n, deliveries, max, used, looks;
    uint32_t       i, first, start;
    kmq_run_t     *run;
    kmq_client_t  *client;

    used = 0;
    looks = 0;
    deliveries = 0;
    max = deliveries_max(batch);
    start = batch->messages[0].position;

    for (i = local->served; i < local->nready; /* void */) {

        if (batch->nruns == KMQ_BATCH_RUNS || deliveries >= max
            || looks == LOOKS_MAX)
        {
            break;
        }

        KMQ_STEP();
        client = KMQ_AT(kmq->block, kmq->client[local->ready[i]].client);
        first = client->next_position - start;

        if (first >= batch->nmessages) {
            looks++;

            if (!lags(topic, client)) {
                served_add(kmq, local, i);
            }

            i++;
            continue;
        }

        run = &batch->runs[batch->nruns];
        run->client = KMQ_REF(kmq->block, client);
        run->user = kmq->client[local->ready[i]].user;
        run->first = first;
        run->count = deliver_run(kmq, client, batch, first);

        n = run->first + run->count;
        used = n > used ? n : used;
        deliveries += run->count;
        batch->nruns += run->count != 0;

        if (client->in_flight >= client->limit) {
            kmq_client_update(kmq, client);
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


/* Makes a batch of what a route's consumers get; 0 when no other route should
 * be looked at under this lock. */
static int
take_all(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route,
    kmq_batch_t *batch)
{
    kmq_slot_t         *slot;
    kmq_client_t       *client;
    kmq_local_route_t  *local;

    local = &kmq->route[route->local];

    if (local->nready == 0) {
        return 1;
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
        kmq_routes_tell(kmq, topic, KMQ_REF(kmq->block, route));
        client = KMQ_AT(kmq->block, kmq->client[local->ready[0]].client);
    }

    slot = log_skip(kmq, client);

    if (slot == NULL) {
        kmq_route_dirty(kmq, route);
        return 1;
    }

    log_read(kmq->block, slot, batch);

    if (!runs_make(kmq, topic, local, batch) && local->nready) {
        kmq_route_dirty(kmq, route);
        return local->nready < LOOKS_MAX;
    }

    go_on(kmq, topic, route, topic->ready.count);

    return 1;
}


/* ------------------------------------------------------------------- take */

/* The next batch, as draws or, in publish/subscribe, as runs. */
static void
take(kmq_t *kmq, kmq_batch_t *batch, draws_t *draws)
{
    unsigned      n;
    kmq_route_t  *route;
    kmq_topic_t  *topic;

    for (n = KMQ_SLICE; n && draws->n == 0 && batch->nruns == 0; n--) {
        KMQ_STEP();

        route = kmq_route_next(kmq);
        if (route == NULL) {
            return;
        }

        topic = KMQ_AT(kmq->block, route->topic);

        batch->topic = kmq_topic_name(kmq->block, topic);
        batch->topic_len = topic->name_len;
        batch->topic_ref = route->topic;

        if (topic->push_type == KMQ_PUSH_ONE) {
            take_one(kmq, topic, route, batch->bytes_max, draws);
        } else if (!take_all(kmq, topic, route, batch)) {
            return;
        }
    }
}


unsigned
kmq_take(kmq_t *kmq, kmq_batch_t *batch)
{
    int           more;
    draws_t       draws;
    kmq_block_t  *b = kmq->block;

    more = 0;
    draws.n = 0;
    draws.bytes = 0;
    batch->again = 0;
    batch->nmessages = 0;
    batch->nruns = 0;

    kmq_lock(kmq);

    b->worker[kmq->worker].signalled = 0;
    kmq_still_seen(kmq);

    /* one of these in each turn */

    if (kmq->reaping) {
        kmq_worker_reap_dead(kmq);

    } else if (kmq->leaving) {
        (void) kmq_leaving(kmq, KMQ_SLICE);

    } else if (kmq->looking) {
        kmq_clients_look(kmq);
    }

    kmq_closing(kmq);

    if (b->nstill) {
        more = kmq_still_run(kmq);
    }

    if (b->keeper == kmq->worker + 1) {
        more |= kmq_schedule_run(kmq);
        more |= kmq_expire_run(kmq);

    } else if (kmq_schedule_late(kmq)) {
        more |= kmq_schedule_run(kmq);
    }

    if (kmq_overdue_wanted(kmq)) {
        kmq_overdue_run(kmq, batch);
    }

    if (kmq->paced && kmq->mono >= b->batch_end) {
        kmq->paced = 0;

        if (b->settings.batch_interval) {
            kmq_pace_window(kmq);
        }

    } else if (kmq->pacing) {
        kmq_pace_slice(kmq);
    }

    take(kmq, batch, &draws);

    kmq->has_work = more || kmq->reaping || kmq->leaving || kmq->pacing
                    || kmq->looking || b->worker[kmq->worker].dirty != 0
                    || kmq_overdue_wanted(kmq);

    kmq_unlock(kmq);

    if (draws.n) {
        draws_sort(kmq, &draws, batch);
    }

    return batch->nruns;
}
