/* Messages are searched for, read, and purged. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../queue/kmq_queue.h"
#include "kmq_manage_inside.h"


/* Messages looked at under one lock; they are in no cache, and prefetched so
 * far ahead. */
#define SEARCH_SLICE  1024
#define SEARCH_AHEAD     8


static int
status_of(const kmq_slot_t *slot)
{
    switch (slot->state) {

    case KMQ_DELAYED:
        return KMQ_STATUS_DELAYED;

    case KMQ_CONSUMED:
        return KMQ_STATUS_CONSUMED;

    case KMQ_DEAD:
        return KMQ_STATUS_DEAD;

    default:
        return KMQ_STATUS_WAITING;
    }
}


/* Is it a message for whoever looks? */
static int
visible(const kmq_slot_t *slot)
{
    return slot->state != KMQ_FREE && slot->state != KMQ_RESERVED
           && !(slot->state == KMQ_IN_FLIGHT && slot->flags & KMQ_DELETED);
}


static uint64_t
due_wall(const kmq_t *kmq, const kmq_slot_t *slot)
{
    uint64_t  wait;

    wait = slot->timer.due > kmq->mono ? slot->timer.due - kmq->mono : 0;

    return (kmq->wall + wait) / 1000;
}


static void
info_fill(kmq_t *kmq, const kmq_slot_t *slot, kmq_message_info_t *info)
{
    kmq_block_t        *b = kmq->block;
    const kmq_topic_t  *topic = KMQ_AT(b, slot->topic);

    info->status = status_of(slot);
    info->size = slot->size;
    info->attempts = slot->attempts;
    info->create_time = slot->create_time;
    info->consumed_time = slot->state == KMQ_CONSUMED ? slot->state_time : 0;
    info->dead_time = slot->state == KMQ_DEAD ? slot->state_time : 0;
    info->delay = slot->delay;
    info->in_flight = slot->state == KMQ_IN_FLIGHT;
    info->due = slot->state == KMQ_DELAYED ? due_wall(kmq, slot) : 0;
    info->sequence = slot->sequence;
    info->slot = KMQ_REF(b, slot);
    info->body = slot->body;
    info->topic_len = topic->name_len;

    memcpy(info->topic, kmq_topic_name(b, topic), topic->name_len);
    kmq_code_of(b, slot->sequence, slot->create_time, info->code);
}


int
kmq_find(kmq_t *kmq, const char code[KMQ_CODE_LEN], kmq_message_info_t *info)
{
    int           rc;
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;

    rc = KMQ_GONE;

    kmq_lock(kmq);

    slot = kmq_code_find(b, code);

    if (slot && visible(slot)) {
        info_fill(kmq, slot, info);
        rc = KMQ_OK;
    }

    kmq_unlock(kmq);

    return rc;
}


int
kmq_copy(kmq_t *kmq, const kmq_message_info_t *m, kmq_ref_t *piece,
    uint32_t *left, char *buf, size_t n)
{
    size_t        copied;
    uint32_t      part;
    const char   *bytes;
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;

    copied = 0;

    kmq_lock(kmq);

    slot = kmq_slot_at(b, m->slot);

    if (slot == NULL || slot->sequence != m->sequence || !visible(slot)) {
        kmq_unlock(kmq);
        return KMQ_GONE;
    }

    while (n - copied >= KMQ_COPY_MIN) {
        bytes = kmq_read(kmq, piece, left, &part);

        if (bytes == NULL) {
            break;
        }

        memcpy(buf + copied, bytes, part);
        copied += part;
    }

    kmq_unlock(kmq);

    return (int) copied;
}


static int
matches(const kmq_slot_t *slot, const kmq_query_t *query, kmq_ref_t topic)
{
    return visible(slot)
           && (query->status == KMQ_STATUS_ANY
               || query->status == status_of(slot))
           && (topic == 0 || slot->topic == topic)
           && slot->create_time >= query->from
           && slot->create_time <= query->to;
}


/* What a slice has found, the newest first, and how many it may. */
typedef struct {
    unsigned      n;
    unsigned      max;
    kmq_slot_t   *slot[SEARCH_SLICE];
} found_t;


/*
 * Looks at the messages of one node of the index, from *sequence on to the
 * older ones.  1: that was all of it; *sequence is the last one's.
 */
static int
node_search(kmq_block_t *b, const kmq_index_t *node, const kmq_query_t *query,
    kmq_ref_t topic, uint64_t *sequence, found_t *found)
{
    unsigned     n;
    kmq_slot_t  *slot[KMQ_NODE_NUMBERS];

    n = kmq_index_gather(b, node, 0, *sequence % KMQ_NODE_NUMBERS, slot);
    *sequence -= *sequence % KMQ_NODE_NUMBERS;

    while (n--) {

        if (n >= SEARCH_AHEAD) {
            __builtin_prefetch(slot[n - SEARCH_AHEAD]);
        }

        if (matches(slot[n], query, topic)) {
            found->slot[found->n++] = slot[n];

            if (found->n == found->max) {
                *sequence = slot[n]->sequence;
                return 0;
            }
        }
    }

    return 1;
}


/* The topic that a search is limited to; 0: none; -1: there is no such topic,
 * so nothing to be found. */
static int
query_topic(kmq_block_t *b, const kmq_query_t *query, kmq_ref_t *ref)
{
    kmq_topic_t  *topic;

    *ref = 0;

    if (query->topic_len == 0) {
        return 0;
    }

    topic = kmq_topic_get(b, query->topic, query->topic_len);

    if (topic == NULL) {
        return -1;
    }

    *ref = KMQ_REF(b, topic);

    return 0;
}


/* Searches a slice, from *sequence on, which becomes where the next one
 * begins, if there is one. */
static int
slice_search(kmq_block_t *b, const kmq_query_t *query, uint64_t *sequence,
    found_t *found)
{
    unsigned            slice;
    kmq_ref_t           topic;
    const kmq_index_t  *node;

    if (query_topic(b, query, &topic) != 0) {
        return 0;
    }

    for (slice = 0; slice < SEARCH_SLICE; slice += KMQ_NODE_NUMBERS) {
        node = kmq_index_older(b, sequence, query->from, query->to);

        if (node == NULL) {
            return 0;
        }

        if (!node_search(b, node, query, topic, sequence, found)) {
            return *sequence != 0;
        }

        if (*sequence == 0) {
            return 0;
        }

        (*sequence)--;
    }

    /* the cursor names what was seen last */

    (*sequence)++;

    return 1;
}


/* The same from a cursor, which moves on. */
static void
search(kmq_block_t *b, const kmq_query_t *query, uint64_t *cursor,
    found_t *found)
{
    uint64_t  sequence;

    found->n = 0;
    sequence = *cursor ? *cursor - 1 : b->sequence;

    *cursor = slice_search(b, query, &sequence, found) ? sequence : 0;
}


unsigned
kmq_search(kmq_t *kmq, const kmq_query_t *query, uint64_t *cursor,
    kmq_message_info_t *info, unsigned n)
{
    found_t   found;
    unsigned  i;

    found.max = n < SEARCH_SLICE ? n : SEARCH_SLICE;

    kmq_lock(kmq);

    search(kmq->block, query, cursor, &found);

    for (i = 0; i < found.n; i++) {
        info_fill(kmq, found.slot[i], &info[i]);
    }

    kmq_unlock(kmq);

    return found.n;
}


void
kmq_purge(kmq_t *kmq, const kmq_query_t *query, uint64_t *cursor,
    uint64_t *deleted)
{
    found_t   found;
    unsigned  i;

    found.max = SEARCH_SLICE;

    kmq_lock(kmq);

    search(kmq->block, query, cursor, &found);

    for (i = 0; i < found.n; i++) {
        kmq_message_delete(kmq, found.slot[i]);
    }

    kmq_unlock(kmq);

    *deleted += found.n;
}


size_t
kmq_consumer_of(kmq_t *kmq, const kmq_message_info_t *m,
    char id[KMQ_NAME_MAX])
{
    size_t         len;
    kmq_slot_t    *slot;
    kmq_block_t   *b = kmq->block;
    kmq_client_t  *client;

    len = 0;

    kmq_lock(kmq);

    slot = kmq_slot_at(b, m->slot);

    if (slot && slot->sequence == m->sequence && visible(slot)
        && slot->state == KMQ_IN_FLIGHT && !(slot->flags & KMQ_SHARED))
    {
        client = KMQ_AT(b, slot->owner);
        len = client->id_len;
        memcpy(id, client->id, len);
    }

    kmq_unlock(kmq);

    return len;
}
