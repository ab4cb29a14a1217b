/*
 * After the death of a process inside the lock: everything that is derived
 * is made anew from the truth (see kmq_block.h).  Runs under the lock; may
 * itself be ended at any point and begun again.
 *
 * Nobody's local tables are touched: each handle sees by the count of repairs
 * that it has to make its own fit (kmq_local_resync()).
 */

#include "../kmq_block.h"


/* How far ahead messages are asked for that are in no cache. */
#define AHEAD  16


static uint64_t
by_position(kmq_block_t *b, const kmq_link_t *link)
{
    const kmq_slot_t   *slot = (const kmq_slot_t *) link;
    const kmq_topic_t  *topic = KMQ_AT(b, slot->topic);

    /* positions wrap: what counts is the distance to the last one */

    return UINT32_MAX - (topic->position - slot->position);
}


/* ----------------------------------------------------- forget all derived */

static void
topics_reset(kmq_block_t *b)
{
    kmq_walk_t    walk;
    kmq_topic_t  *topic;

    memset(b->bucket, 0, sizeof(b->bucket));
    memset(&b->idle, 0, sizeof(b->idle));

    b->active = 0;
    b->nactive = 0;
    b->round_rest = 0;
    b->topics = 0;
    memset(&walk, 0, sizeof(walk));

    while ((topic = kmq_record_next(b, KMQ_CLASS_TOPIC, &walk))) {

        if (!topic->used) {
            continue;
        }

        memset(&topic->ready, 0, sizeof(kmq_list_t));
        memset(&topic->log, 0, sizeof(kmq_list_t));
        memset(&topic->history, 0, sizeof(kmq_list_t));
        memset(&topic->dead, 0, sizeof(kmq_list_t));

        topic->granted = 0;
        topic->delayed = 0;
        topic->held = 0;
        topic->allotted = 0;
        topic->consumers = 0;
        topic->matching = 0;
        topic->producers = 0;
        topic->in_flight = 0;
        topic->ready_consumers = 0;
        topic->routes = 0;
        topic->active = 0;
        topic->idle = 0;

        kmq_topic_link(b, topic);
    }
}


static void
routes_reset(kmq_block_t *b)
{
    kmq_walk_t    walk;
    kmq_route_t  *route;

    memset(&walk, 0, sizeof(walk));

    while ((route = kmq_record_next(b, KMQ_CLASS_ROUTE, &walk))) {
        route->consumers = 0;
        route->ready = 0;
        route->grant = 0;
        route->dirty = 0;
    }
}


static void
workers_reset(kmq_block_t *b)
{
    unsigned       i;
    kmq_worker_t  *worker;

    for (i = 0; i < b->nworkers; i++) {
        worker = &b->worker[i];

        worker->signalled = 0;
        worker->still = 0;
        worker->still_last = 0;
        worker->dirty = 0;
        worker->dirty_tail = 0;
        memset(&worker->clients, 0, sizeof(kmq_list_t));
        memset(&worker->to_close, 0, sizeof(kmq_list_t));
        memset(&worker->reserved, 0, sizeof(kmq_list_t));
        memset(&worker->overdue, 0, sizeof(kmq_list_t));
        worker->pinned = 0;
        worker->kept = 0;
    }

    b->nstill = 0;
    memset(&b->leaving, 0, sizeof(b->leaving));
    b->waiting = 0;
    b->reserved = 0;
    b->in_flight = 0;
    b->doomed = 0;
    b->dead = 0;
    b->producers = 0;
    b->consumers = 0;
    memset(&b->history, 0, sizeof(b->history));
    b->history_size = 0;
    b->nrecent = 0;
}


/* --------------------------------------------------------------- rebuild */

static void
ring_relink(kmq_block_t *b, kmq_client_t *client)
{
    kmq_ref_t    ref, prev;
    kmq_ring_t  *ring;

    prev = 0;

    for (ref = client->ring; ref; prev = ref, ref = ring->next) {
        ring = KMQ_AT(b, ref);
        ring->prev = prev;
        ring->first = 0;
        ring->open = 0;
        client->ring_tail = ref;
    }
}


static void
clients_relink(kmq_block_t *b)
{
    kmq_walk_t     walk;
    kmq_client_t  *client;

    memset(&walk, 0, sizeof(walk));

    while ((client = kmq_record_next(b, KMQ_CLASS_CLIENT, &walk))) {

        if (client->role == 0) {
            continue;
        }

        client->in_flight = 0;
        client->ready = 0;
        client->cursor = 0;
        client->limit = client->prefetch;
        client->timed = KMQ_IDLE;
        client->disordered = 1;
        client->found = 0;
        client->look = 0;
        kmq_returned_set(b, client, NULL);

        kmq_client_link(b, client);

        if (client->closing && client->closing != KMQ_TOLD
            && client->role != KMQ_LEAVING)
        {
            kmq_list_append(b, &b->worker[client->worker].to_close,
                            &client->to_close);
        }

        ring_relink(b, client);
    }
}


/* Routes with consumers enter their topics, the others go. */
static void
routes_relink(kmq_block_t *b)
{
    kmq_walk_t    walk;
    kmq_route_t  *route;

    memset(&walk, 0, sizeof(walk));

    while ((route = kmq_record_next(b, KMQ_CLASS_ROUTE, &walk))) {

        if (route->used && route->consumers) {
            kmq_route_link(b, route);

        } else if (route->used) {
            KMQ_SET(route->used, 0);
            kmq_record_free(b, KMQ_CLASS_ROUTE, route);
        }
    }
}


/* Enters a message where its state says, behind those with lower numbers;
 * point to point, what is in flight goes into taken. */
static void
slot_relink(kmq_t *kmq, kmq_slot_t *slot, kmq_list_t *taken)
{
    kmq_block_t  *b = kmq->block;
    kmq_topic_t  *topic = KMQ_AT(b, slot->topic);

    topic->held++;

    switch (slot->state) {

    case KMQ_RESERVED:
        kmq_list_append(b, &b->worker[slot->owner].reserved, &slot->link);
        b->waiting++;
        b->reserved++;
        break;

    case KMQ_DELAYED:
        topic->delayed++;
        b->delayed++;
        kmq_schedule(kmq, &slot->timer);
        break;

    case KMQ_READY:
        slot->flags = 0;
        slot->owner = (uint32_t) kmq->mono;
        kmq_list_append(b, &topic->ready, &slot->link);
        b->waiting++;
        break;

    case KMQ_IN_FLIGHT:
        slot->pending = 0;
        b->in_flight++;
        b->doomed += (slot->flags & KMQ_DELETED) != 0;
        topic->in_flight += !(slot->flags & KMQ_DELETED);

        if ((int32_t) (slot->position - topic->position) > 0) {
            topic->position = slot->position;
        }

        kmq_list_append(b, slot->flags & KMQ_SHARED ? &topic->log : taken,
                        &slot->link);
        break;

    case KMQ_CONSUMED:
        kmq_history_append(b, slot);
        break;

    default: /* KMQ_DEAD */
        kmq_list_append(b, &topic->dead, &slot->link);
        b->dead++;
        break;
    }
}


/* All messages in the order in which they came. */
static void
slots_relink(kmq_t *kmq, kmq_list_t *taken)
{
    unsigned            i, n;
    uint64_t            sequence;
    kmq_walk_t          walk;
    kmq_slot_t         *slot[KMQ_NODE_NUMBERS];
    kmq_block_t        *b = kmq->block;
    kmq_topic_t        *topic;
    const kmq_index_t  *node;

    kmq_schedule_reset(b);

    for (sequence = 0; (node = kmq_index_newer(b, &sequence));
         sequence = (sequence / KMQ_NODE_NUMBERS + 1) * KMQ_NODE_NUMBERS)
    {
        n = kmq_index_gather(b, node, 0, KMQ_NODE_NUMBERS - 1, slot);

        for (i = 0; i < n && i < AHEAD; i++) {
            kmq_slot_ahead(slot[i]);
        }

        for (i = 0; i < n; i++) {
            kmq_slot_ahead(slot[(i + AHEAD) % n]);
            slot_relink(kmq, slot[i], taken);
        }
    }

    memset(&walk, 0, sizeof(walk));

    while ((topic = kmq_record_next(b, KMQ_CLASS_TOPIC, &walk))) {

        if (topic->used) {
            kmq_list_sort(b, &topic->log, by_position);
        }
    }
}


/* ------------------------------------------------------------ deliveries */

/* Does an entry stand for a delivery that was begun and not ended? */
static int
delivery_valid(kmq_block_t *b, const kmq_client_t *client,
    const kmq_delivery_t *entry)
{
    kmq_slot_t  *slot;

    slot = kmq_slot_at(b, entry->slot);

    if (slot == NULL || slot->state != KMQ_IN_FLIGHT
        || slot->position != entry->position
        || slot->topic != client->topic)
    {
        return 0;
    }

    if (slot->flags & KMQ_SHARED) {
        return (int32_t) (client->next_position - entry->position) > 0;
    }

    return slot->owner == KMQ_REF(b, client);
}


static void
ring_count(kmq_block_t *b, kmq_client_t *client)
{
    unsigned         i;
    kmq_ref_t        ref;
    kmq_ring_t      *ring;
    kmq_delivery_t  *entry;

    for (ref = client->ring; ref; ref = ring->next) {
        ring = KMQ_AT(b, ref);

        for (i = 0; i < ring->count; i++) {
            entry = &ring->entry[i];

            if (entry->slot == 0) {
                continue;
            }

            if (!delivery_valid(b, client, entry)) {
                entry->slot = 0;
                continue;
            }

            ((kmq_slot_t *) KMQ_AT(b, entry->slot))->pending++;
            ring->open++;
            client->in_flight++;
        }
    }
}


/*
 * What consumers have not been pushed of their topics' logs is counted in one
 * walk over these: they are sorted by where that begins, and, those that leave,
 * by where it ends.
 */

/* As by_position(), for all topics. */
static uint64_t
place(kmq_block_t *b, const kmq_client_t *client, uint32_t position)
{
    const kmq_topic_t  *topic = KMQ_AT(b, client->topic);

    return (uint64_t) client->topic << 32
           | (UINT32_MAX - (topic->position + 1 - position));
}


/* The lists are linked by the timers, which are armed later. */
static uint64_t
by_begin(kmq_block_t *b, const kmq_link_t *link)
{
    const kmq_client_t  *client = (const kmq_client_t *) link;

    return place(b, client, client->next_position);
}


/* And by the links of those that are to be closed, which leave no more. */
static uint64_t
by_end(kmq_block_t *b, const kmq_link_t *link)
{
    const kmq_client_t  *client = KMQ_CLIENT_OF(link, to_close);

    return place(b, client, client->last_position);
}


/* The parts that begin and end, and how many there are where the walk is. */
typedef struct {
    kmq_list_t    begin;
    kmq_list_t    end;
    uint32_t      open;
} backlog_t;


static void
backlog_add(kmq_block_t *b, kmq_client_t *client, backlog_t *backlog)
{
    if (!kmq_type_matches(b, client)
        || ((kmq_topic_t *) KMQ_AT(b, client->topic))->push_type
           != KMQ_PUSH_ALL)
    {
        return;
    }

    if (client->role == KMQ_LEAVING) {

        if ((int32_t) (client->last_position - client->next_position) < 0) {
            return;
        }

        kmq_list_append(b, &backlog->end, &client->to_close);
    }

    kmq_list_append(b, &backlog->begin, &client->timer.link);
}


/* Those parts have ended that do not reach up to a place: they end at last, 0:
 * in front of the log. */
static void
parts_end(kmq_block_t *b, backlog_t *backlog, uint64_t to, kmq_ref_t last)
{
    kmq_link_t    *link;
    kmq_slot_t    *slot;
    kmq_client_t  *client;

    slot = last ? KMQ_AT(b, last) : NULL;

    while (backlog->end.head) {
        link = KMQ_AT(b, backlog->end.head);

        if (by_end(b, link) >= to) {
            return;
        }

        (void) kmq_list_shift(b, &backlog->end);
        client = KMQ_CLIENT_OF(link, to_close);
        client->cursor = last;
        backlog->open--;

        if (slot == NULL
            || (int32_t) (slot->position - client->next_position) < 0)
        {
            KMQ_SET(client->last_position, client->next_position - 1);
        }
    }
}


static void
parts_begin(kmq_block_t *b, backlog_t *backlog, uint64_t at)
{
    kmq_link_t  *link;

    while (backlog->begin.head) {
        link = KMQ_AT(b, backlog->begin.head);

        if (by_begin(b, link) > at) {
            return;
        }

        (void) kmq_list_shift(b, &backlog->begin);
        backlog->open++;
    }
}


/* The log of the topic of the first of the parts; these are done then. */
static void
log_count(kmq_block_t *b, kmq_topic_t *topic, backlog_t *backlog)
{
    uint64_t     at;
    kmq_ref_t    ref, last;
    kmq_slot_t  *slot;

    last = 0;
    backlog->open = 0;
    at = (uint64_t) KMQ_REF(b, topic) << 32;

    for (ref = topic->log.head; ref; last = ref, ref = slot->next) {
        slot = KMQ_AT(b, ref);
        at = (uint64_t) slot->topic << 32
             | (UINT32_MAX - (topic->position + 1 - slot->position));

        parts_end(b, backlog, at, last);
        parts_begin(b, backlog, at);
        slot->pending += backlog->open;
        KMQ_STEP();
    }

    /* what begins behind the log is nothing */

    at = (uint64_t) KMQ_REF(b, topic) << 32 | UINT32_MAX;

    parts_begin(b, backlog, at);
    parts_end(b, backlog, at, last);
}


static void
deliveries_count(kmq_block_t *b)
{
    backlog_t      backlog;
    kmq_walk_t     walk;
    kmq_client_t  *client;

    memset(&backlog, 0, sizeof(backlog));
    memset(&walk, 0, sizeof(walk));

    while ((client = kmq_record_next(b, KMQ_CLASS_CLIENT, &walk))) {

        if (client->ring == 0 || client->role == 0
            || client->role == KMQ_PRODUCER)
        {
            continue;
        }

        ring_count(b, client);
        kmq_ring_settle(b, client);
        backlog_add(b, client, &backlog);
    }

    kmq_list_sort(b, &backlog.begin, by_begin);
    kmq_list_sort(b, &backlog.end, by_end);

    while (backlog.begin.head) {
        client = KMQ_AT(b, backlog.begin.head);
        log_count(b, KMQ_AT(b, client->topic), &backlog);
    }
}


/* A message that nobody holds any more has been consumed, or waits again in
 * front of its topic. */
static void
slot_settle(kmq_t *kmq, kmq_slot_t *slot)
{
    if (slot->pending) {
        return;
    }

    if (!(slot->flags & KMQ_SHARED) && slot->flags & KMQ_CONFIRMED) {
        kmq_message_consumed(kmq, slot);
        return;
    }

    slot->pending = 1;
    (void) kmq_message_release(kmq, slot, NULL);
}


/* The newest first, so that the oldest is in front at the end. */
static void
list_settle(kmq_t *kmq, const kmq_list_t *list)
{
    kmq_ref_t    ref;
    kmq_slot_t  *slot;

    for (ref = list->tail; ref; /* void */) {
        slot = KMQ_AT(kmq->block, ref);
        ref = slot->prev;
        slot_settle(kmq, slot);
    }
}


static void
slots_settle(kmq_t *kmq, const kmq_list_t *taken)
{
    kmq_walk_t    walk;
    kmq_block_t  *b = kmq->block;
    kmq_topic_t  *topic;

    list_settle(kmq, taken);

    memset(&walk, 0, sizeof(walk));

    while ((topic = kmq_record_next(b, KMQ_CLASS_TOPIC, &walk))) {

        if (topic->used) {
            list_settle(kmq, &topic->log);
            kmq_topic_active(b, topic);
            kmq_topic_idle(b, topic);
        }
    }
}


/* ---------------------------------------------------------------- memory */

static void
messages_mark(kmq_block_t *b)
{
    unsigned      i, n;
    kmq_walk_t    walk;
    kmq_slot_t   *slot[KMQ_WALK_SLOTS];

    memset(&walk, 0, sizeof(walk));

    while ((n = kmq_slots_next(b, &walk, slot))) {

        for (i = 0; i < n; i++) {
            __builtin_prefetch(KMQ_AT(b, slot[i]->body));
        }

        for (i = 0; i < n; i++) {
            kmq_message_mark(b, slot[i]);
        }
    }
}


static void
memory_repair(kmq_block_t *b)
{
    kmq_walk_t     walk;
    kmq_client_t  *client;

    kmq_memory_clear_marks(b);
    messages_mark(b);

    memset(&walk, 0, sizeof(walk));

    while ((client = kmq_record_next(b, KMQ_CLASS_CLIENT, &walk))) {

        if (client->role) {
            kmq_ring_mark(b, client->ring);
        }
    }

    kmq_memory_rebuild(b);
}


/* ----------------------------------------------------------------- index */

/* The index anew, from whatever messages there are; 0 when memory is short. */
static int
index_rebuild(kmq_block_t *b)
{
    unsigned     i, n;
    kmq_walk_t   walk;
    kmq_slot_t  *slot[KMQ_WALK_SLOTS];

    memset(&walk, 0, sizeof(walk));

    while ((n = kmq_slots_next(b, &walk, slot))) {

        for (i = 0; i < n; i++) {
            if (kmq_index_insert(b, slot[i]) != KMQ_OK) {
                return 0;
            }
        }
    }

    return 1;
}


static void
message_drop(kmq_block_t *b, kmq_slot_t *slot)
{
    KMQ_SET(slot->state, KMQ_FREE);

    kmq_index_remove(b, slot);
    kmq_message_memory_free(b, slot);
    b->totals.dropped++;
}


/* Enters a message, for which consumed ones from the walk on give way; where
 * there are none any more, it is lost. */
static void
index_force(kmq_block_t *b, kmq_slot_t *slot, kmq_walk_t *walk)
{
    kmq_slot_t  *other;

    while (kmq_index_insert(b, slot) != KMQ_OK) {

        do {
            other = slot->state == KMQ_CONSUMED ? slot
                                                : kmq_slot_next(b, walk);
        } while (other && other->state != KMQ_CONSUMED);

        message_drop(b, other ? other : slot);

        if (other == NULL || other == slot) {
            return;
        }
    }
}


/*
 * Messages that are not met in the order in which they came want more memory
 * for a while than they do in the end, and in other places than the index had
 * that was there before.  Where there is not as much, each node and each leaf
 * is made once, the large ones first.
 */
static void
index_pack(kmq_block_t *b)
{
    kmq_walk_t   walk, old;
    kmq_slot_t  *slot;

    memset(&walk, 0, sizeof(walk));

    while ((slot = kmq_slot_next(b, &walk))) {
        (void) kmq_index_expect(b, slot);
    }

    kmq_index_pack(b);

    memset(&walk, 0, sizeof(walk));
    memset(&old, 0, sizeof(old));

    while ((slot = kmq_slot_next(b, &walk))) {
        index_force(b, slot, &old);
    }
}


static void
index_repair(kmq_block_t *b)
{
    kmq_memory_spare(b, 0);

    if (!index_rebuild(b)) {
        kmq_index_reset(b);
        memory_repair(b);
        index_pack(b);
    }

    kmq_memory_spare(b, 1);
}


/* ------------------------------------------------------------- set going */

static void
consumers_ready(kmq_t *kmq)
{
    kmq_walk_t     walk;
    kmq_block_t   *b = kmq->block;
    kmq_client_t  *client;

    memset(&walk, 0, sizeof(walk));

    while ((client = kmq_record_next(b, KMQ_CLASS_CLIENT, &walk))) {

        /* the timers of confirmations are armed anew by a look */

        if (client->role == KMQ_CONSUMER && client->in_flight) {
            kmq_overdue_add(kmq, client);
        }

        if (kmq_client_ready(b, client)) {
            client->ready = 1;
            ((kmq_route_t *) KMQ_AT(b, client->route))->ready++;
            ((kmq_topic_t *) KMQ_AT(b, client->topic))->ready_consumers++;
        }
    }
}


/* The last consumers of a topic's type may have died while others wait for
 * another type. */
static void
types_settle(kmq_t *kmq)
{
    kmq_walk_t    walk;
    kmq_topic_t  *topic;

    memset(&walk, 0, sizeof(walk));

    while ((topic = kmq_record_next(kmq->block, KMQ_CLASS_TOPIC, &walk))) {

        if (topic->used && topic->consumers) {
            kmq_type_settle(kmq, topic);
        }
    }
}


static void
routes_wake(kmq_t *kmq)
{
    kmq_walk_t    walk;
    kmq_route_t  *route;

    memset(&walk, 0, sizeof(walk));

    while ((route = kmq_record_next(kmq->block, KMQ_CLASS_ROUTE, &walk)))
    {
        if (route->used) {
            kmq_route_dirty(kmq, route);
        }
    }
}


void
kmq_repair(kmq_t *kmq)
{
    int           blameless;
    kmq_list_t    taken;
    kmq_block_t  *b = kmq->block;

    KMQ_SET(b->repairs, b->repairs + 1);
    b->changes++;
    kmq->repaired = 1;
    kmq_journal_loss(kmq);

    /* what a dead worker had begun is no message's fault */

    blameless = kmq->blameless;
    kmq->blameless = 1;
    memset(&taken, 0, sizeof(taken));

    KMQ_POINT("repair-reset");

    topics_reset(b);
    routes_reset(b);
    workers_reset(b);
    kmq_index_reset(b);

    KMQ_POINT("repair-memory");

    /* what follows takes memory and frees it: its lists first */

    memory_repair(b);

    KMQ_POINT("repair-relink");

    clients_relink(b);
    routes_relink(b);

    index_repair(b);
    slots_relink(kmq, &taken);

    KMQ_POINT("repair-settle");

    deliveries_count(b);
    slots_settle(kmq, &taken);

    KMQ_POINT("repair-wake");

    consumers_ready(kmq);
    types_settle(kmq);
    routes_wake(kmq);

    kmq->blameless = blameless;
}
