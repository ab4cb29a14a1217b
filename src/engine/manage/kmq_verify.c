/* Checks the block against itself, for tests and post-mortems. */

#include <stdarg.h>
#include <stdio.h>

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../time/kmq_time.h"
#include "../queue/kmq_queue.h"
#include "../delivery/kmq_delivery.h"
#include "../upkeep/kmq_upkeep.h"


typedef struct {
    kmq_block_t  *b;
    char         *text;
    size_t        size;
    int           rc;

    /* counted from the slots, and from the lists and clients */
    uint64_t      state[8];
    uint64_t      messages;
    uint64_t      doomed;
    uint64_t      pending;
    uint64_t      cells;
    uint64_t      rings;
    uint64_t      history_size;
    uint64_t      ready;
    uint64_t      log;
    uint64_t      dead;
    uint64_t      history;
    uint64_t      in_flight;
    uint64_t      delayed;
    uint64_t      timers;
    uint64_t      overdue;
    uint64_t      granted;
    uint64_t      owed;
} verify_t;


static void
wrong(verify_t *v, const char *format, ...)
{
    va_list  args;

    if (v->rc != KMQ_OK) {
        return;
    }

    v->rc = KMQ_ERROR;

    va_start(args, format);
    (void) vsnprintf(v->text, v->size, format, args);
    va_end(args);
}


static void
same(verify_t *v, const char *what, uint64_t is, uint64_t should)
{
    if (is != should) {
        wrong(v, "%s is %llu, should be %llu", what, (unsigned long long) is,
              (unsigned long long) should);
    }
}


static uint64_t
ring_count(verify_t *v, kmq_ref_t chain)
{
    uint64_t  n;

    for (n = 0; chain; n++) {
        if (kmq_table_at(v->b, KMQ_CLASS_RING, chain) == NULL) {
            wrong(v, "a chain leads to %u, which is no ring", chain);
            return n;
        }

        chain = ((kmq_ring_t *) KMQ_AT(v->b, chain))->next;
    }

    return n;
}


static void
verify_slots(verify_t *v)
{
    kmq_walk_t   walk;
    kmq_slot_t  *slot;

    memset(&walk, 0, sizeof(walk));

    while ((slot = kmq_slot_next(v->b, &walk))) {

        if (slot->state > KMQ_DEAD) {
            wrong(v, "a slot is in state %u", slot->state);
            return;
        }

        v->messages++;
        v->state[slot->state]++;
        v->cells += kmq_message_cells(v->b, slot);

        if (slot->state == KMQ_CONSUMED) {
            v->history_size += slot->size;
        }

        if (slot->state == KMQ_IN_FLIGHT) {
            v->pending += slot->pending;
            v->doomed += (slot->flags & KMQ_DELETED) != 0;

            if (slot->pending == 0) {
                wrong(v, "a message is in flight with nobody");
            }
        }
    }
}


static void
verify_list(verify_t *v, const kmq_list_t *list, uint8_t state,
    const char *name)
{
    uint64_t     n;
    kmq_ref_t    ref, prev;
    kmq_slot_t  *slot;

    prev = 0;

    for (n = 0, ref = list->head; ref; n++, prev = ref, ref = slot->next) {
        slot = kmq_slot_at(v->b, ref);

        if (slot == NULL || slot->state != state || slot->prev != prev
            || n == list->count)
        {
            wrong(v, "the list %s breaks at %u of %llu", name, ref,
                  (unsigned long long) n);
            return;
        }
    }

    same(v, name, list->count, n);

    if (list->tail != prev) {
        wrong(v, "the tail of the list %s is wrong", name);
    }
}


static void
verify_history(verify_t *v, const kmq_topic_t *topic)
{
    uint64_t           n;
    kmq_ref_t          ref, prev;
    const kmq_slot_t  *slot;

    n = 0;
    prev = 0;

    for (ref = topic->history.head; ref; prev = ref, ref = slot->kept.next) {
        slot = KMQ_KEPT_SLOT(KMQ_AT(v->b, ref));

        if (slot->state != KMQ_CONSUMED || slot->kept.prev != prev
            || slot->topic != KMQ_REF(v->b, topic))
        {
            wrong(v, "a topic's history breaks");
            return;
        }

        n++;
    }

    same(v, "the length of a topic's history", topic->history.count, n);
}


static void
verify_parts(verify_t *v, const kmq_topic_t *topic)
{
    void      *part;
    unsigned   i;

    for (i = 0; i < KMQ_TOPIC_PARTS; i++) {

        if (topic->part[i] == 0) {
            continue;
        }

        part = kmq_table_at(v->b, KMQ_CLASS_NAME + i, topic->part[i]);

        if (part == NULL || !kmq_object_used(v->b, KMQ_CLASS_NAME + i, part)) {
            wrong(v, "a topic has %u as a part, which is none of it",
                  topic->part[i]);
        }
    }
}


static void
verify_topic(verify_t *v, kmq_topic_t *topic)
{
    uint32_t      ready, consumers;
    uint64_t      grant;
    kmq_ref_t     ref;
    kmq_route_t  *route;

    ready = 0;
    consumers = 0;
    grant = 0;

    for (ref = topic->routes; ref; ref = route->topic_next) {
        route = KMQ_AT(v->b, ref);
        ready += route->ready;
        consumers += route->consumers;
        grant += route->grant;
    }

    same(v, "a topic's ready consumers", topic->ready_consumers, ready);
    same(v, "a topic's consumers", topic->consumers, consumers);
    same(v, "what a topic has granted", topic->granted, grant);
    same(v, "a topic's place among the active", topic->active,
         topic->ready.count != 0);

    if (topic->granted > topic->ready.count) {
        wrong(v, "a topic has granted more than is ready");
    }

    verify_parts(v, topic);

    if (topic->idle && (topic->slots || consumers || topic->producers
                        || topic->routes))
    {
        wrong(v, "a topic in use counts as idle");
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

    verify_history(v, topic);
}


static void
verify_topics(verify_t *v)
{
    kmq_walk_t    walk;
    uint64_t      n, held, delayed;
    kmq_topic_t  *topic;

    n = 0;
    delayed = 0;
    held = 0;
    memset(&walk, 0, sizeof(walk));

    while ((topic = kmq_table_scan(v->b, KMQ_CLASS_TOPIC, &walk))) {

        if (topic->used) {
            n++;
            held += topic->slots;
            delayed += topic->delayed;
            verify_topic(v, topic);
        }
    }

    same(v, "the number of topics", v->b->topics, n);
    same(v, "what topics hold", held, v->messages);
    same(v, "the topics' delayed messages", delayed, v->state[KMQ_DELAYED]);
}


static void
verify_consumer(verify_t *v, kmq_client_t *client)
{
    uint32_t      n, i, last;
    kmq_ref_t     ref;
    kmq_ring_t   *ring;
    kmq_slot_t   *slot;
    kmq_topic_t  *topic = KMQ_AT(v->b, client->topic);

    n = 0;

    for (ref = client->ring; ref; ref = ring->next) {
        ring = KMQ_AT(v->b, ref);

        for (i = ring->first; i < ring->count; i++) {
            if (ring->entry[i].slot == 0) {
                continue;
            }

            n++;
            slot = kmq_slot_at(v->b, ring->entry[i].slot);

            if (slot == NULL || slot->state != KMQ_IN_FLIGHT
                || slot->position != ring->entry[i].position)
            {
                wrong(v, "a ring names a message that is not in flight");
                return;
            }
        }
    }

    v->owed += n;
    v->rings += ring_count(v, client->ring);

    last = client->role == KMQ_LEAVING ? client->last_position
                                       : topic->position;

    if (topic->push_type == KMQ_PUSH_ALL && kmq_ready_matches(v->b, client)
        && (int32_t) (last - client->next_position) >= 0)
    {
        v->owed += last - client->next_position + 1;
    }

    same(v, "what is in flight with a consumer", client->in_flight, n);

    same(v, "a consumer's readiness", client->ready,
         kmq_ready(v->b, client));

    v->timers += client->timed == KMQ_SCHEDULED;
    v->overdue += client->timed == KMQ_OVERDUE;

    if (client->timed == KMQ_IDLE && client->in_flight && !client->stalled
        && client->role == KMQ_CONSUMER && topic->settings.retry_time)
    {
        wrong(v, "nobody looks for a consumer's confirmations");
    }
}


static void
verify_clients(verify_t *v)
{
    kmq_walk_t     walk;
    uint64_t       consumers, producers;
    kmq_client_t  *client;

    memset(&walk, 0, sizeof(walk));
    consumers = 0;
    producers = 0;

    while ((client = kmq_table_scan(v->b, KMQ_CLASS_CLIENT, &walk)))
    {
        consumers += client->role == KMQ_CONSUMER;
        producers += client->role == KMQ_PRODUCER;

        if (client->role == KMQ_CONSUMER || client->role == KMQ_LEAVING) {
            verify_consumer(v, client);
        }
    }

    same(v, "the number of consumers", v->b->consumers, consumers);
    same(v, "the number of producers", v->b->producers, producers);
}


/* Each record of a table is in use or in the list of free ones. */
static void
verify_table(verify_t *v, unsigned class)
{
    void        *record;
    uint64_t     all, used, unused;
    kmq_ref_t    ref;
    kmq_walk_t   walk;

    all = 0;
    used = 0;
    unused = 0;
    memset(&walk, 0, sizeof(walk));

    while ((record = kmq_table_scan(v->b, class, &walk))) {
        all++;
        used += kmq_object_used(v->b, class, record) != 0;
    }

    for (ref = kmq_table_free_list(v->b, class); ref && unused <= all;
         ref = *(kmq_ref_t *) record)
    {
        record = kmq_table_at(v->b, class, ref);

        if (record == NULL || kmq_object_used(v->b, class, record)) {
            wrong(v, "record %u of table %u is not free", ref, class);
            return;
        }

        unused++;
    }

    same(v, "what a table has, used and free", used + unused, all);
}


static void
verify_memory(verify_t *v)
{
    uint32_t     n;
    unsigned     class;
    uint64_t     cells, rings, pages;
    const char  *text;

    rings = 0;
    cells = -v->b->heap[KMQ_HEAP_MESSAGES].free_cells
            - v->b->heap[KMQ_HEAP_INDEX].free_cells;
    pages = v->b->npages - (v->b->fresh_page - 1);

    for (n = 1; n < v->b->fresh_page; n++) {

        switch (v->b->page[n].class) {

        case 0:
            pages++;
            break;

        case KMQ_CLASS_MESSAGE:
        case KMQ_CLASS_INDEX:
            cells += KMQ_PAGE_CELLS;
            break;

        case KMQ_CLASS_RING:
            rings += v->b->page[n].used;
            break;
        }
    }

    same(v, "the number of free pages", v->b->free_pages, pages);
    same(v, "the rings in use", rings, v->rings);
    same(v, "the cells in use", cells,
         v->cells + kmq_trash_cells(v->b) + kmq_index_cells(v->b));

    for (n = 0; n < KMQ_HEAPS; n++) {
        text = kmq_heap_verify(v->b, &v->b->heap[n]);

        if (text) {
            wrong(v, "%s", text);
        }
    }

    for (class = KMQ_CLASS_TOPIC; class < KMQ_CLASSES; class++) {
        verify_table(v, class);
    }
}


static void
verify_counts(verify_t *v)
{
    unsigned      i;
    uint64_t      reserved, overdue;
    kmq_block_t  *b = v->b;

    overdue = 0;
    reserved = 0;

    for (i = 0; i < b->nworkers; i++) {
        verify_list(v, &b->worker[i].reserved, KMQ_RESERVED, "reserved");
        reserved += b->worker[i].reserved.count;
        overdue += b->worker[i].overdue.count;
    }

    verify_list(v, &b->history, KMQ_CONSUMED, "history");

    same(v, "the workers' reserved messages", reserved,
         v->state[KMQ_RESERVED]);
    same(v, "the number reserved", b->reserved, reserved);
    same(v, "the number waiting", b->waiting,
         v->state[KMQ_READY] + v->state[KMQ_RESERVED]);
    same(v, "the topics' ready messages", v->ready, v->state[KMQ_READY]);
    same(v, "the number in flight", b->in_flight, v->state[KMQ_IN_FLIGHT]);
    same(v, "the number delayed", b->delayed, v->state[KMQ_DELAYED]);
    same(v, "the number consumed", b->history.count,
         v->state[KMQ_CONSUMED]);
    same(v, "the size of the history", b->history_size, v->history_size);
    same(v, "the number dead", b->dead, v->state[KMQ_DEAD]);
    same(v, "the topics' dead messages", v->dead, v->state[KMQ_DEAD]);
    same(v, "the topics' histories", v->history, v->state[KMQ_CONSUMED]);
    same(v, "the topics' messages in flight", v->in_flight,
         v->state[KMQ_IN_FLIGHT] - v->doomed);
    same(v, "the topics' delayed messages", v->delayed,
         v->state[KMQ_DELAYED]);
    same(v, "what is deleted in flight", b->doomed, v->doomed);
    same(v, "the overdue consumers", overdue, v->overdue);
    same(v, "what consumers owe", v->owed, v->pending);
}


/* Every message is in the index. */
static void
verify_index(verify_t *v)
{
    unsigned            i, found;
    uint64_t            n, sequence;
    kmq_slot_t         *slot[KMQ_NODE_NUMBERS];
    const kmq_index_t  *node;

    n = 0;

    for (sequence = 0; (node = kmq_index_newer(v->b, &sequence));
         sequence = (sequence / KMQ_NODE_NUMBERS + 1) * KMQ_NODE_NUMBERS)
    {
        found = kmq_index_gather(v->b, node, 0, KMQ_NODE_NUMBERS - 1, slot);
        n += found;

        same(v, "a node's count", kmq_index_count(node), found);

        for (i = 0; i < found; i++) {

            if (kmq_slot_at(v->b, KMQ_REF(v->b, slot[i])) == NULL
                || slot[i]->state == KMQ_FREE
                || kmq_index_find(v->b, slot[i]->sequence) != slot[i]
                || slot[i]->sequence / KMQ_NODE_NUMBERS
                   != sequence / KMQ_NODE_NUMBERS)
            {
                wrong(v, "the index names a wrong message");
                return;
            }
        }
    }

    same(v, "what is in the index", n, v->messages);
}


/* Every timer is in the list where its time is looked for. */
static void
verify_schedule(verify_t *v)
{
    unsigned      level, i;
    uint64_t      n;
    kmq_ref_t     ref;
    kmq_list_t   *list;
    kmq_timer_t  *timer;
    kmq_wheel_t  *wheel = &v->b->wheel;

    n = 0;

    for (level = 0; level < KMQ_WHEEL_LEVELS; level++) {
        for (i = 0; i < KMQ_WHEEL_SIZE; i++) {
            list = &wheel->bucket[level][i];

            same(v, "the mark of a list of the schedule",
                 wheel->used[level][i / 64] >> i % 64 & 1, list->head != 0);

            for (ref = list->head; ref; ref = timer->link.next) {
                timer = KMQ_AT(v->b, ref);

                if (timer->level != level
                    || (timer->due >> (8 * level) & 0xff) != i)
                {
                    wrong(v, "a list of the schedule breaks");
                    return;
                }

                n++;
            }
        }
    }

    same(v, "what is on the schedule", n, wheel->count);
    same(v, "the number of timers", n, v->state[KMQ_DELAYED] + v->timers);
}


int
kmq_verify(kmq_t *kmq, char *text, size_t size)
{
    verify_t  v;
    unsigned  i;

    memset(&v, 0, sizeof(v));

    v.b = kmq->block;
    v.text = text;
    v.size = size;
    v.rc = KMQ_OK;

    kmq_lock(kmq);

    for (i = 0; i < v.b->nworkers; i++) {
        v.cells += kmq_chain_cells(v.b, v.b->worker[i].kept, 0);
    }

    verify_slots(&v);
    verify_topics(&v);
    verify_clients(&v);
    verify_memory(&v);
    verify_counts(&v);
    verify_index(&v);
    verify_schedule(&v);

    kmq_unlock(kmq);

    return v.rc;
}
