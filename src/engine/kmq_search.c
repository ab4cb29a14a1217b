/* Whoever manages the queue looks for messages and reads them. */

#include "kmq_block.h"


/* Messages looked at under one lock, and how far ahead of that they are asked
 * for: they are in no cache. */
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


/* Is it there for whoever looks? */
static int
visible(const kmq_slot_t *slot)
{
    return slot->state != KMQ_FREE && slot->state != KMQ_RESERVED
           && !(slot->state == KMQ_IN_FLIGHT && slot->flags & KMQ_DELETED);
}


static void
info_fill(kmq_block_t *b, const kmq_slot_t *slot, kmq_message_info_t *info)
{
    const kmq_topic_t  *topic = KMQ_AT(b, slot->topic);

    info->status = status_of(slot);
    info->size = slot->size;
    info->attempts = slot->attempts;
    info->create_time = slot->create_time;
    info->consumed_time = slot->state == KMQ_CONSUMED ? slot->state_time : 0;
    info->delay = slot->delay;
    info->sequence = slot->sequence;
    info->slot = KMQ_REF(b, slot);
    info->body = slot->body;
    info->topic_len = topic->name_len;

    memcpy(info->topic, topic->name, topic->name_len);
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
        info_fill(b, slot, info);
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


/*
 * Looks at the messages of one leaf, from *sequence on to the older ones; 1
 * when that was all of it, and *sequence is that of the last one.
 */
static int
leaf_search(kmq_block_t *b, const kmq_index_t *leaf, const kmq_query_t *query,
    kmq_ref_t topic, uint64_t *sequence, kmq_message_info_t *info, unsigned n,
    unsigned *found)
{
    int          i;
    kmq_ref_t    ref;
    kmq_slot_t  *slot;

    i = *sequence % KMQ_INDEX_SIZE;
    *sequence -= i;

    for ( /* void */ ; i >= 0; i--) {

        if (i >= SEARCH_AHEAD) {
            __builtin_prefetch(KMQ_AT(b, leaf->child[i - SEARCH_AHEAD]));
        }

        ref = leaf->child[i];
        slot = KMQ_AT(b, ref);

        if (ref && matches(slot, query, topic)) {
            info_fill(b, slot, &info[(*found)++]);

            if (*found == n) {
                *sequence += i;
                return 0;
            }
        }
    }

    return 1;
}


/* The topic to which a search is limited, 0: none; -1 when there is no such
 * topic, and so nothing to be found. */
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


/* One slice: *sequence is where to begin, and where the next one does. */
static int
search(kmq_t *kmq, const kmq_query_t *query, uint64_t *sequence,
    kmq_message_info_t *info, unsigned n, unsigned *found)
{
    unsigned            slice;
    kmq_ref_t           topic;
    kmq_block_t        *b = kmq->block;
    const kmq_index_t  *leaf;

    if (query_topic(b, query, &topic) != 0) {
        return 0;
    }

    for (slice = 0; slice < SEARCH_SLICE; slice += KMQ_INDEX_SIZE) {
        leaf = kmq_index_older(b, sequence, query->from, query->to);

        if (leaf == NULL) {
            return 0;
        }

        if (!leaf_search(b, leaf, query, topic, sequence, info, n, found)) {
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


unsigned
kmq_search(kmq_t *kmq, const kmq_query_t *query, uint64_t *cursor,
    kmq_message_info_t *info, unsigned n)
{
    int       more;
    unsigned  found;
    uint64_t  sequence;

    found = 0;

    kmq_lock(kmq);

    sequence = *cursor ? *cursor - 1 : kmq->block->sequence;
    more = search(kmq, query, &sequence, info, n, &found);

    kmq_unlock(kmq);

    *cursor = more ? sequence : 0;

    return found;
}
