/*
 * Checks the block against itself, for tests and post-mortems: each shard, and
 * what shards have in common.  All locks are held, so nothing else goes on.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../time/kmq_time.h"
#include "../queue/kmq_queue.h"
#include "../delivery/kmq_delivery.h"
#include "../upkeep/kmq_upkeep.h"
#include "kmq_verify_inside.h"


static uint64_t
ring_count(kmq_verify_t *v, kmq_ref_t chain)
{
    uint64_t  n;

    for (n = 0; chain; n++) {
        if (kmq_table_at(v->s, KMQ_CLASS_RING, chain) == NULL) {
            kmq_wrong(v, "a chain leads to %u, which is no ring", chain);
            return n;
        }

        chain = ((kmq_ring_t *) KMQ_AT(v->s, chain))->next;
    }

    return n;
}


static void
verify_slots(kmq_verify_t *v)
{
    kmq_walk_t   walk;
    kmq_slot_t  *slot;

    memset(&walk, 0, sizeof(walk));

    while ((slot = kmq_slot_next(v->s, &walk))) {

        if (slot->state > KMQ_ASIDE) {
            kmq_wrong(v, "a slot is in state %u", slot->state);
            return;
        }

        v->messages++;
        v->state[slot->state]++;
        v->cells += kmq_message_cells(v->s, slot);

        if (slot->state == KMQ_RESERVED
            && !KMQ_GET(KMQ_BLOCK(v->s)->worker[slot->owner].attached))
        {
            kmq_wrong(v, "a message is reserved by nobody");
        }

        if (slot->state == KMQ_CONSUMED) {
            v->history_size += slot->size;
        }

        if (slot->state == KMQ_IN_FLIGHT) {
            v->pending += slot->pending;
            v->doomed += (slot->flags & KMQ_DELETED) != 0;

            if (slot->pending == 0) {
                kmq_wrong(v, "a message is in flight with nobody");
            }
        }
    }
}


static void
verify_list(kmq_verify_t *v, const kmq_list_t *list, uint8_t state,
    const char *name)
{
    uint64_t     n;
    kmq_ref_t    ref, prev;
    kmq_slot_t  *slot;

    prev = 0;

    for (n = 0, ref = list->head; ref; n++, prev = ref, ref = slot->next) {
        slot = kmq_slot_at(v->s, ref);

        if (slot == NULL || slot->state != state || slot->prev != prev
            || n == list->count)
        {
            kmq_wrong(v, "the list %s breaks at %u of %llu", name, ref,
                      (unsigned long long) n);
            return;
        }
    }

    kmq_same(v, name, list->count, n);

    if (list->tail != prev) {
        kmq_wrong(v, "the tail of the list %s is wrong", name);
    }
}


/* A topic's list of messages by their second links. */
static void
verify_kept(kmq_verify_t *v, const kmq_topic_t *topic, const kmq_list_t *list,
    uint8_t state, const char *name)
{
    uint64_t           n;
    kmq_ref_t          ref, prev;
    const kmq_slot_t  *slot;

    n = 0;
    prev = 0;

    for (ref = list->head; ref; prev = ref, ref = slot->kept.next) {
        slot = KMQ_KEPT_SLOT(KMQ_AT(v->s, ref));

        if (slot->state != state || slot->kept.prev != prev
            || slot->topic != KMQ_REF(v->s, topic) || n == list->count)
        {
            kmq_wrong(v, "a topic's %s break", name);
            return;
        }

        n++;
    }

    kmq_same(v, name, list->count, n);
}


static void
verify_resting(kmq_verify_t *v, const kmq_topic_t *topic)
{
    uint32_t             ready;
    uint64_t             n;
    kmq_ref_t            ref;
    const kmq_client_t  *client;

    n = 0;
    ready = 0;

    for (ref = topic->resting.head; ref && n <= topic->resting.count; n++) {
        client = KMQ_CLIENT_OF(KMQ_AT(v->s, ref), rest);
        ref = client->rest.next;
        ready += client->ready;

        if (!(client->held & KMQ_HELD_RESTING)
            || client->topic != KMQ_REF(v->s, topic))
        {
            kmq_wrong(v, "a topic's resting consumers break");
            return;
        }
    }

    kmq_same(v, "a topic's resting consumers", topic->resting.count, n);
    kmq_same(v, "a topic's ready consumers that rest", topic->ready_resting,
             ready);
}


/* Which consumers of a topic are held for suspects? */
static void
verify_held(kmq_verify_t *v, const kmq_topic_t *topic)
{
    uint32_t             alone;
    kmq_ref_t            emptying;
    kmq_walk_t           walk;
    const kmq_client_t  *client;

    if (topic->alone == 0 && topic->emptying == 0) {
        return;
    }

    alone = 0;
    emptying = 0;
    memset(&walk, 0, sizeof(walk));

    while ((client = kmq_table_scan(v->s, KMQ_CLASS_CLIENT, &walk))) {

        if (client->role == KMQ_CONSUMER
            && client->topic == KMQ_REF(v->s, topic))
        {
            alone += (client->held & KMQ_HELD_ALONE) != 0;

            if (KMQ_REF(v->s, client) == topic->emptying
                && client->held & KMQ_HELD_EMPTYING)
            {
                emptying = topic->emptying;
            }
        }
    }

    kmq_same(v, "a topic's consumers that are alone", topic->alone, alone);
    kmq_same(v, "a topic's consumer that is run empty", topic->emptying,
             emptying);
}


static void
verify_parts(kmq_verify_t *v, const kmq_topic_t *topic)
{
    void      *part;
    unsigned   i;

    for (i = 0; i < KMQ_TOPIC_PARTS; i++) {

        if (topic->part[i] == 0) {
            continue;
        }

        part = kmq_table_at(v->s, KMQ_CLASS_NAME + i, topic->part[i]);

        if (part == NULL || !kmq_object_used(v->s, KMQ_CLASS_NAME + i, part)) {
            kmq_wrong(v, "a topic has %u as a part, which is none of it",
                      topic->part[i]);
        }
    }
}


static void
verify_topic(kmq_verify_t *v, kmq_topic_t *topic)
{
    uint32_t      ready, consumers;
    uint64_t      grant;
    kmq_ref_t     ref;
    kmq_route_t  *route;

    ready = 0;
    consumers = 0;
    grant = 0;

    for (ref = topic->routes; ref; ref = route->topic_next) {
        route = KMQ_AT(v->s, ref);
        ready += route->ready;
        consumers += route->consumers;
        grant += route->grant;
    }

    kmq_same(v, "a topic's ready consumers", topic->ready_consumers, ready);
    kmq_same(v, "a topic's consumers", topic->consumers, consumers);
    kmq_same(v, "what a topic has granted", topic->granted, grant);
    kmq_same(v, "whether a topic can be pushed", topic->pushing,
             topic->ready.count && ready && !topic->paused);
    kmq_same(v, "a topic's place among the active", topic->active,
             topic->ready.count != 0);

    if (topic->granted > topic->ready.count) {
        kmq_wrong(v, "a topic has granted more than is ready");
    }

    verify_parts(v, topic);

    if (topic->paused && topic->granted) {
        kmq_wrong(v, "a topic that is paused has granted something");
    }

    if (topic->idle && (topic->slots || consumers || topic->producers
                        || topic->away || topic->routes || topic->paused))
    {
        kmq_wrong(v, "a topic in use counts as idle");
    }

    verify_list(v, &topic->ready, KMQ_READY, "ready");
    verify_list(v, &topic->log, KMQ_IN_FLIGHT, "log");
    verify_list(v, &topic->dead, KMQ_DEAD, "dead");

    v->ready += topic->ready.count;
    v->log += topic->log.count;
    v->dead += topic->dead.count;
    v->history += topic->history.count;
    v->in_flight += topic->in_flight;
    v->delayed += topic->delayed;
    v->retrying += topic->retrying;
    v->aside += topic->suspects.count;
    v->resting += topic->resting.count;
    v->away += topic->away;
    v->matching += topic->matching;
    v->unpaced += topic->unpaced;

    verify_kept(v, topic, &topic->history, KMQ_CONSUMED, "history");
    verify_kept(v, topic, &topic->suspects, KMQ_ASIDE, "suspects");
    verify_resting(v, topic);
    verify_held(v, topic);
}


static void
verify_topics(kmq_verify_t *v)
{
    kmq_walk_t    walk;
    uint64_t      n, held, delayed;
    kmq_topic_t  *topic;

    n = 0;
    delayed = 0;
    held = 0;
    memset(&walk, 0, sizeof(walk));

    while ((topic = kmq_table_scan(v->s, KMQ_CLASS_TOPIC, &walk))) {

        if (topic->used) {
            n++;
            held += topic->slots;
            delayed += topic->delayed;
            verify_topic(v, topic);
        }
    }

    kmq_same(v, "the number of topics", v->s->topics, n);
    kmq_same(v, "what topics hold", held, v->messages);
    kmq_same(v, "the topics' delayed messages", delayed, v->state[KMQ_DELAYED]);
}


/* Has a consumer a time that it waits for? */
static int
is_timed(const kmq_client_t *client, const kmq_topic_t *topic)
{
    unsigned  held;

    held = KMQ_HELD_ALONE | KMQ_HELD_PAUSED;

    if (topic->push_type == KMQ_PUSH_ALL) {
        held |= KMQ_HELD_EMPTYING;
    }

    if (client->by_code) {
        held |= KMQ_HELD_RESTING;
    }

    return client->held & held
           || (client->in_flight && !client->stalled
               && topic->settings.retry_time);
}


static void
verify_consumer(kmq_verify_t *v, kmq_client_t *client)
{
    uint32_t      n, i, last, suspects;
    kmq_ref_t     ref;
    kmq_ring_t   *ring;
    kmq_slot_t   *slot;
    kmq_topic_t  *topic = KMQ_AT(v->s, client->topic);

    n = 0;
    suspects = 0;

    for (ref = client->ring; ref; ref = ring->next) {
        ring = KMQ_AT(v->s, ref);

        for (i = ring->first; i < ring->count; i++) {
            if (ring->entry[i].slot == 0) {
                continue;
            }

            n++;
            slot = kmq_slot_at(v->s, ring->entry[i].slot);

            if (slot == NULL || slot->state != KMQ_IN_FLIGHT
                || slot->position != ring->entry[i].position)
            {
                kmq_wrong(v, "a ring names a message that is not in flight");
                return;
            }

            suspects += (slot->flags & KMQ_SUSPECT) != 0;
        }
    }

    v->owed += n;
    v->rings += ring_count(v, client->ring);

    last = client->role == KMQ_LEAVING ? client->last_position
                                       : topic->position;

    if (topic->push_type == KMQ_PUSH_ALL && kmq_ready_matches(v->s, client)
        && (int32_t) (last - client->next_position) >= 0)
    {
        v->owed += last - client->next_position + 1;
    }

    kmq_same(v, "what is in flight with a consumer", client->in_flight, n);

    if (suspects > client->suspects) {
        kmq_wrong(v, "a consumer has a suspect that it does not know of");
    }

    /* one that was run empty, and is not any more, is ready after a look */

    if (client->ready || client->timed != KMQ_OVERDUE) {
        kmq_same(v, "a consumer's readiness", client->ready,
                 kmq_ready(v->s, client));
    }

    v->timers += client->timed == KMQ_SCHEDULED;
    v->overdue += client->timed == KMQ_OVERDUE && client->role != KMQ_APART;
    v->lapsed += client->timed == KMQ_OVERDUE && client->role == KMQ_APART;

    if (client->timed == KMQ_IDLE
        && (client->role == KMQ_APART
            || (client->role == KMQ_CONSUMER && is_timed(client, topic))))
    {
        kmq_wrong(v, "nobody looks at a consumer in time");
    }
}


/* How many consumers are in the lists by ids? */
static uint64_t
ids_count(kmq_shard_t *s)
{
    unsigned             i;
    uint64_t             n;
    kmq_ref_t            ref, prev;
    const kmq_client_t  *client;

    n = 0;

    for (i = 0; i < KMQ_ID_BUCKETS; i++) {
        prev = 0;

        for (ref = s->id_bucket[i]; ref; ref = client->same_id.next) {
            client = KMQ_AT(s, ref);
            n += client->settles && client->same_id.prev == prev;
            prev = ref;
        }
    }

    return n;
}


static void
verify_clients(kmq_verify_t *v)
{
    kmq_walk_t     walk;
    uint64_t       role[KMQ_APART + 1], leases, matching, pulls;
    kmq_shard_t   *s = v->s;
    kmq_client_t  *client;

    memset(&walk, 0, sizeof(walk));
    memset(role, 0, sizeof(role));
    leases = 0;
    matching = 0;
    pulls = 0;

    while ((client = kmq_table_scan(s, KMQ_CLASS_CLIENT, &walk))) {

        if (client->role > KMQ_APART) {
            kmq_wrong(v, "a client has role %u", client->role);
            return;
        }

        role[client->role]++;

        if (client->role == 0 || client->role == KMQ_PRODUCER) {
            continue;
        }

        verify_consumer(v, client);

        leases += client->role == KMQ_APART && client->apart == KMQ_LEASED;
        pulls += client->pull && client->ready;
        v->told += client->told;
        v->ids += client->settles && client->role != KMQ_LEAVING;
        matching += client->role == KMQ_CONSUMER
                    ? kmq_ready_matches(s, client)
                    : client->role == KMQ_APART && kmq_apart_owed(s, client);
    }

    kmq_same(v, "the number of consumers", s->consumers, role[KMQ_CONSUMER]);
    kmq_same(v, "the number of producers", s->producers, role[KMQ_PRODUCER]);
    kmq_same(v, "the number of leases", s->leases, leases);
    kmq_same(v, "the number of parked consumers", s->parked,
             role[KMQ_APART] - leases);
    kmq_same(v, "the list of those that are apart", s->apart.count,
             role[KMQ_APART]);
    kmq_same(v, "the list of those that leave", s->leaving.count,
             role[KMQ_LEAVING]);
    kmq_same(v, "the topics' consumers that are away", v->away,
             role[KMQ_APART] + role[KMQ_LEAVING]);
    kmq_same(v, "the topics' consumers of their types", v->matching,
             matching);
    kmq_same(v, "the topics' ready consumers that pull", v->unpaced, pulls);
    kmq_same(v, "the lists by ids", ids_count(s), v->ids);
}


static void
verify_counts(kmq_verify_t *v)
{
    unsigned      i, workers;
    uint64_t      reserved, overdue, told;
    kmq_shard_t  *s = v->s;

    told = 0;
    overdue = 0;
    reserved = 0;
    workers = KMQ_GET(KMQ_BLOCK(s)->nworkers);

    for (i = 0; i < workers; i++) {
        verify_list(v, &s->duty[i].reserved, KMQ_RESERVED, "reserved");
        reserved += s->duty[i].reserved.count;
        overdue += s->duty[i].overdue.count;
        told += s->duty[i].changed.count;
    }

    verify_list(v, &s->history, KMQ_CONSUMED, "history");

    kmq_same(v, "the workers' reserved messages", reserved,
             v->state[KMQ_RESERVED]);
    kmq_same(v, "the number reserved", s->reserved, reserved);
    kmq_same(v, "the number waiting", s->waiting,
             v->state[KMQ_READY] + v->state[KMQ_RESERVED]);

    if (s->waiting > s->room) {
        kmq_wrong(v, "more messages wait in a shard than it has room for");
    }

    kmq_same(v, "the topics' ready messages", v->ready, v->state[KMQ_READY]);
    kmq_same(v, "the number in flight", s->in_flight, v->state[KMQ_IN_FLIGHT]);
    kmq_same(v, "the number delayed", s->delayed, v->state[KMQ_DELAYED]);
    kmq_same(v, "the number of those to be pushed again later", s->retrying,
             v->state[KMQ_RETRYING] + v->state[KMQ_ASIDE]);
    kmq_same(v, "the topics' messages to be pushed again later", v->retrying,
             s->retrying);
    kmq_same(v, "the topics' suspects", v->aside, v->state[KMQ_ASIDE]);
    kmq_same(v, "the number of resting consumers", s->resting, v->resting);
    kmq_same(v, "the number consumed", s->history.count,
             v->state[KMQ_CONSUMED]);
    kmq_same(v, "the size of the history", s->history_size, v->history_size);
    kmq_same(v, "the number dead", s->dead, v->state[KMQ_DEAD]);
    kmq_same(v, "the topics' dead messages", v->dead, v->state[KMQ_DEAD]);
    kmq_same(v, "the topics' histories", v->history, v->state[KMQ_CONSUMED]);
    kmq_same(v, "the topics' messages in flight", v->in_flight,
             v->state[KMQ_IN_FLIGHT] - v->doomed);
    kmq_same(v, "the topics' delayed messages", v->delayed,
             v->state[KMQ_DELAYED]);
    kmq_same(v, "what is deleted in flight", s->doomed, v->doomed);
    kmq_same(v, "the overdue consumers", overdue, v->overdue);
    kmq_same(v, "those whose time apart is over", s->lapsed.count, v->lapsed);
    kmq_same(v, "consumers whose workers are told", told, v->told);
    kmq_same(v, "what consumers owe", v->owed, v->pending);
}


/* Every message is in the index. */
static void
verify_index(kmq_verify_t *v)
{
    unsigned            i, found;
    uint64_t            n, sequence;
    kmq_slot_t         *slot[KMQ_NODE_NUMBERS];
    const kmq_index_t  *node;

    n = 0;

    for (sequence = 0; (node = kmq_index_newer(v->s, &sequence, 0, UINT32_MAX));
         sequence = (sequence / KMQ_NODE_NUMBERS + 1) * KMQ_NODE_NUMBERS)
    {
        found = kmq_index_gather(v->s, node, 0, KMQ_NODE_NUMBERS - 1, slot);
        n += found;

        kmq_same(v, "a node's count", kmq_index_count(node), found);

        for (i = 0; i < found; i++) {

            if (kmq_slot_at(v->s, KMQ_REF(v->s, slot[i])) == NULL
                || slot[i]->state == KMQ_FREE
                || kmq_index_find(v->s, slot[i]->sequence) != slot[i]
                || slot[i]->sequence / KMQ_NODE_NUMBERS
                   != sequence / KMQ_NODE_NUMBERS)
            {
                kmq_wrong(v, "the index names a wrong message");
                return;
            }
        }
    }

    kmq_same(v, "what is in the index", n, v->messages);
}


/* Every timer is in the list where its time is looked for. */
static void
verify_schedule(kmq_verify_t *v)
{
    unsigned      level, i;
    uint64_t      n;
    kmq_ref_t     ref;
    kmq_list_t   *list;
    kmq_timer_t  *timer;
    kmq_wheel_t  *wheel = &v->s->wheel;

    n = 0;

    for (level = 0; level < KMQ_WHEEL_LEVELS; level++) {
        for (i = 0; i < KMQ_WHEEL_SIZE; i++) {
            list = &wheel->bucket[level][i];

            kmq_same(v, "the mark of a list of the schedule",
                     wheel->used[level][i / 64] >> i % 64 & 1, list->head != 0);

            for (ref = list->head; ref; ref = timer->link.next) {
                timer = KMQ_AT(v->s, ref);

                if (timer->level != level
                    || (timer->due >> (8 * level) & 0xff) != i)
                {
                    kmq_wrong(v, "a list of the schedule breaks");
                    return;
                }

                n++;
            }
        }
    }

    kmq_same(v, "what is on the schedule", n, wheel->count);
    kmq_same(v, "the number of timers", n,
             v->state[KMQ_DELAYED] + v->state[KMQ_RETRYING]
             + v->state[KMQ_ASIDE] + v->timers);
}


/* ---------------------------------------------------------------- the whole */

static int
verify_shard(kmq_t *kmq, char *text, size_t size)
{
    unsigned      i, workers;
    kmq_verify_t  v;

    memset(&v, 0, sizeof(v));

    v.s = kmq->shard;
    v.text = text;
    v.size = size;
    v.rc = KMQ_OK;

    workers = KMQ_GET(kmq->block->nworkers);

    for (i = 0; i < workers; i++) {
        v.cells += kmq_chain_cells(v.s, v.s->duty[i].kept, 0);
    }

    verify_slots(&v);
    verify_topics(&v);
    verify_clients(&v);
    kmq_verify_memory(&v);
    verify_counts(&v);
    verify_index(&v);
    verify_schedule(&v);

    return v.rc;
}


/* How many more messages may wait. */
static void
verify_room(kmq_verify_t *v, const kmq_block_t *b)
{
    int64_t   room;
    unsigned  i;

    room = KMQ_GET(b->room);

    for (i = 0; i < b->nshards; i++) {
        room += (int64_t) KMQ_SHARD(b, i)->room;
    }

    if (v->exact) {
        kmq_same(v, "the room for messages that wait", (uint64_t) room,
                 b->settings.waiting_max);
    }
}


/* Only who is there, or has died and is given back, commits batches. */
static void
verify_batches(kmq_verify_t *v, const kmq_block_t *b)
{
    unsigned  i, workers;

    workers = KMQ_GET(b->nworkers);

    for (i = 0; i < workers; i++) {
        if (KMQ_GET(b->worker[i].decided) && !KMQ_GET(b->worker[i].attached)) {
            kmq_wrong(v, "a worker that is gone commits a batch");
        }
    }
}


static int
verify_block(kmq_t *kmq, char *text, size_t size)
{
    kmq_verify_t  v;

    memset(&v, 0, sizeof(v));

    v.s = kmq->shard;
    v.text = text;
    v.size = size;
    v.rc = KMQ_OK;

    kmq_common_lock(kmq);

    /* what shards have in common may be wrong from somebody's death on until
     * the keeper has counted it again */

    v.exact = !KMQ_GET(kmq->block->uncounted);

    kmq_verify_owners(&v, kmq->block);
    verify_room(&v, kmq->block);
    verify_batches(&v, kmq->block);

    kmq_common_unlock(kmq);

    return v.rc;
}


int
kmq_verify(kmq_t *kmq, char *text, size_t size)
{
    int           rc;
    unsigned      i;
    kmq_block_t  *b = kmq->block;

    kmq_lock_all(kmq);

    rc = verify_block(kmq, text, size);

    for (i = 0; rc == KMQ_OK && i < b->nshards; i++) {
        kmq->shard = KMQ_SHARD(b, i);
        rc = verify_shard(kmq, text, size);
    }

    kmq_unlock_all(kmq);

    return rc;
}
