/*
 * Messages are searched for, read, and purged.
 *
 * A search walks the numbers of all shards together, from the newest on, one
 * slice in each call.  It looks into one shard after the other, each under its
 * lock, and keeps the newest that it has found.  Where a shard has more than a
 * slice, the search has seen all of it down to some number alone: the others
 * are looked at no further down than that.  Found messages are met again when
 * their shards' locks are taken once more, one by one, to tell or delete them;
 * those that have changed meanwhile are passed over.
 *
 * Where the oldest come first it is the same with keys in the place of numbers:
 * a message's key is the smaller the later it comes in the walk.
 *
 * Who looks at data is given a share of it in each shard, so much in all
 * that it is bounded, but for one message: the one with which a slice begins is
 * always looked at.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../queue/kmq_queue.h"
#include "kmq_manage_inside.h"


/* Messages looked at under one lock, and found at most; they are in no cache,
 * and prefetched so far ahead. */
#define SEARCH_SLICE  1024
#define SEARCH_ALL   16384       /* in a call, in all shards */
#define SEARCH_NODE     16       /* a node costs as much as so many */
#define SEARCH_AHEAD     8

#define KEY_MAX  ((uint64_t) INT64_MAX)

/* Bytes of data looked at in a call, and what a message of none costs. */
#define SEARCH_DATA   524288
#define SEARCH_BODY      256

#define CLOCK_JITTER   100       /* ms: two clocks, read one after the other */


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


/*
 * How far the wall clock is ahead of mono, in ms.  The two are not read at one
 * moment: what they differ by changes by a ms from look to look.  All workers
 * keep to one figure until somebody has set the clock, so that a message is
 * not due now at this second, now at that one.
 */
static int64_t
wall_ahead(const kmq_t *kmq)
{
    int64_t       now, kept;
    kmq_block_t  *b = kmq->block;

    now = (int64_t) (kmq->wall - kmq->mono);
    kept = __atomic_load_n(&b->wall_ahead, __ATOMIC_RELAXED);

    if (now - kept < CLOCK_JITTER && kept - now < CLOCK_JITTER) {
        return kept;
    }

    __atomic_store_n(&b->wall_ahead, now, __ATOMIC_RELAXED);

    return now;
}


/* What is due already is due now. */
static uint64_t
due_wall(const kmq_t *kmq, const kmq_slot_t *slot)
{
    uint64_t  due;

    due = slot->timer.due > kmq->mono ? slot->timer.due : kmq->mono;

    return (due + (uint64_t) wall_ahead(kmq)) / 1000;
}


static void
info_fill(kmq_t *kmq, const kmq_slot_t *slot, kmq_message_info_t *info)
{
    kmq_shard_t        *s = kmq->shard;
    const kmq_topic_t  *topic = KMQ_AT(s, slot->topic);

    info->status = status_of(slot);
    info->size = slot->size;
    info->attempts = slot->failures + (slot->state == KMQ_IN_FLIGHT
                                       || slot->state == KMQ_CONSUMED);
    info->failure = slot->flags / KMQ_REASON & 3;
    info->suspect = slot->flags & KMQ_SUSPECT && info->status < 0;
    info->create_time = slot->create_time;
    info->consumed_time = slot->state == KMQ_CONSUMED ? slot->state_time : 0;
    info->dead_time = slot->state == KMQ_DEAD ? slot->state_time : 0;
    info->delay = slot->delay;
    info->in_flight = slot->state == KMQ_IN_FLIGHT;
    info->due = slot->state == KMQ_DELAYED || slot->state == KMQ_RETRYING
                ? due_wall(kmq, slot) : 0;
    info->sequence = slot->sequence;
    info->slot = KMQ_REF(kmq->block, slot);
    info->body = slot->body ? KMQ_OUT(s, slot->body) : 0;
    info->topic_len = topic->name_len;

    memcpy(info->topic, kmq_topic_name(s, topic), topic->name_len);
    kmq_code_of(s, slot->sequence, slot->create_time, info->code);
}


/* A code does not tell the shard. */
int
kmq_find(kmq_t *kmq, const char code[KMQ_CODE_LEN], kmq_message_info_t *info)
{
    int           rc;
    unsigned      i;
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;

    rc = KMQ_GONE;

    for (i = 0; rc == KMQ_GONE && i < b->nshards; i++) {
        kmq_lock(kmq, KMQ_SHARD(b, i));

        slot = kmq_code_find(kmq->shard, code);

        if (slot && visible(slot)) {
            info_fill(kmq, slot, info);
            rc = KMQ_OK;
        }

        kmq_unlock(kmq);
    }

    return rc;
}


/* The message that is named from the block on; NULL: it is not there any
 * more. */
static kmq_slot_t *
message_at(kmq_shard_t *s, kmq_ref_t ref, uint64_t sequence)
{
    kmq_slot_t  *slot;

    slot = kmq_slot_at(s, KMQ_IN(s, ref));

    return slot && slot->sequence == sequence && visible(slot) ? slot : NULL;
}


int
kmq_copy(kmq_t *kmq, const kmq_message_info_t *m, kmq_ref_t *piece,
    uint32_t *left, char *buf, size_t n)
{
    size_t       copied;
    uint32_t     part;
    const char  *bytes;

    copied = 0;

    kmq_lock_at(kmq, m->slot);

    if (message_at(kmq->shard, m->slot, m->sequence) == NULL) {
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


int
kmq_copy_head(kmq_t *kmq, const kmq_message_info_t *m, char *buf, size_t n)
{
    size_t       copied;
    uint32_t     part, left;
    kmq_ref_t    piece;
    const char  *bytes;

    copied = 0;
    piece = m->body;
    left = m->size;

    kmq_lock_at(kmq, m->slot);

    if (message_at(kmq->shard, m->slot, m->sequence) == NULL) {
        kmq_unlock(kmq);
        return KMQ_GONE;
    }

    while (copied < n && (bytes = kmq_read(kmq, &piece, &left, &part))) {
        part = part < n - copied ? part : (uint32_t) (n - copied);
        memcpy(buf + copied, bytes, part);
        copied += part;
    }

    kmq_unlock(kmq);

    return (int) copied;
}


static int
status_fits(const kmq_slot_t *slot, int status)
{
    switch (status) {

    case KMQ_STATUS_ANY:
        return 1;

    case KMQ_STATUS_READY:
        return slot->state == KMQ_READY;

    case KMQ_STATUS_IN_FLIGHT:
        return slot->state == KMQ_IN_FLIGHT;

    case KMQ_STATUS_RETRYING:
        return slot->state == KMQ_RETRYING || slot->state == KMQ_ASIDE;

    default:
        return status == status_of(slot);
    }
}


static int
matches(const kmq_slot_t *slot, const kmq_query_t *query, kmq_ref_t topic)
{
    return visible(slot)
           && status_fits(slot, query->status)
           && (topic == 0 || slot->topic == topic)
           && slot->create_time >= query->from
           && slot->create_time <= query->to;
}


/* ------------------------------------------------------------------ search */

/* The other way round it is the same. */
static uint64_t
key_of(const kmq_query_t *query, uint64_t sequence)
{
    return query->oldest ? KEY_MAX - sequence : sequence;
}


uint64_t
kmq_search_cursor(const kmq_query_t *query, uint64_t sequence)
{
    return key_of(query, sequence);
}


/* Messages that were found, in the order of the walk, and how many may be. */
typedef struct {
    unsigned      n;
    unsigned      max;

    struct {
        uint64_t     key;
        kmq_ref_t    slot;       /* from the block on */
        uint32_t     shard;
    } message[SEARCH_SLICE];
} found_t;

/* A slice of a shard: keys from high on down to low. */
typedef struct {
    kmq_t              *kmq;
    const kmq_query_t  *query;
    uint64_t            high;
    uint64_t            low;
    found_t            *found;
    unsigned            steps;    /* messages that are looked at, about; */
    uint64_t            data;     /* bytes of data that may be */
    kmq_ref_t           topic;    /* it is limited to; 0: none */
    kmq_ref_t           last;     /* topic that was asked for last, */
    int                 fits;     /* and whether it fits */
    int                 full;     /* no more may be found, or looked at */
} slice_t;


static void
found_add(slice_t *slice, const kmq_slot_t *slot)
{
    found_t      *found = slice->found;
    kmq_shard_t  *s = slice->kmq->shard;

    found->message[found->n].key = key_of(slice->query, slot->sequence);
    found->message[found->n].slot = KMQ_REF(KMQ_BLOCK(s), slot);
    found->message[found->n].shard = s->number;

    slice->full = ++found->n == found->max;
}


/* The first of both are in found then, as many as may be. */
static void
found_merge(found_t *found, const found_t *other)
{
    unsigned  i, j, n;
    found_t   both;

    if (other->n == 0) {
        return;
    }

    i = 0;
    j = 0;

    for (n = 0; n < found->max && (i < found->n || j < other->n); n++) {

        if (j == other->n
            || (i < found->n && found->message[i].key
                                > other->message[j].key))
        {
            both.message[n] = found->message[i++];
        } else {
            both.message[n] = other->message[j++];
        }
    }

    memcpy(found->message, both.message, n * sizeof(found->message[0]));
    found->n = n;
}


/* Drops what comes behind low. */
static void
found_cut(found_t *found, uint64_t low)
{
    while (found->n && found->message[found->n - 1].key < low) {
        found->n--;
    }
}


/* The topic that a search is limited to; 0: none; -1: there is no such topic,
 * so nothing to be found. */
static int
query_topic(kmq_shard_t *s, const kmq_query_t *query, kmq_ref_t *ref)
{
    kmq_topic_t  *topic;

    *ref = 0;

    if (query->topic_len == 0) {
        return 0;
    }

    topic = kmq_topic_get(s, query->topic, query->topic_len);

    if (topic == NULL) {
        return -1;
    }

    *ref = KMQ_REF(s, topic);

    return 0;
}


/* Messages of a topic often come together. */
static int
topic_fits(slice_t *slice, kmq_ref_t ref)
{
    kmq_shard_t        *s = slice->kmq->shard;
    const kmq_topic_t  *topic;
    const kmq_query_t  *query = slice->query;

    if (ref != slice->last) {
        topic = KMQ_AT(s, ref);
        slice->last = ref;
        slice->fits = query->topic_fits(query->arg, kmq_topic_name(s, topic),
                                        topic->name_len);
    }

    return slice->fits;
}


static int
data_fits(slice_t *slice, const kmq_slot_t *slot)
{
    uint32_t            n, left;
    uint64_t            cost;
    kmq_ref_t           piece;
    const char         *part;
    const kmq_query_t  *query = slice->query;

    left = slot->size < KMQ_SEARCH_DATA ? slot->size : KMQ_SEARCH_DATA;
    cost = left > SEARCH_BODY ? left : SEARCH_BODY;

    /* another slice begins with it */

    if (cost > slice->data
        && key_of(query, slot->sequence) != slice->high)
    {
        slice->full = 1;
        return 0;
    }

    slice->data -= cost < slice->data ? cost : slice->data;

    piece = slot->body ? KMQ_OUT(slice->kmq->shard, slot->body) : 0;
    (void) query->data_fits(query->arg, NULL, 0);

    while ((part = kmq_read(slice->kmq, &piece, &left, &n))) {
        if (query->data_fits(query->arg, part, n)) {
            return 1;
        }
    }

    return 0;
}


/* Looks at a message.  0: that was not possible, the slice ends before it. */
static int
slot_search(slice_t *slice, const kmq_slot_t *slot)
{
    const kmq_query_t  *query = slice->query;

    if (!matches(slot, query, slice->topic)
        || (query->topic_fits && !topic_fits(slice, slot->topic)))
    {
        return 1;
    }

    if (query->data_fits && !data_fits(slice, slot)) {
        return !slice->full;
    }

    found_add(slice, slot);

    return 1;
}


/*
 * Looks at the messages of one node of the index, from a number on.  Returns
 * the key down to which all have been seen: the last one of the node, or, where
 * the slice is full, that of the last one that was looked at.
 */
static uint64_t
node_search(slice_t *slice, const kmq_index_t *node, uint64_t sequence)
{
    unsigned            i, n, place;
    kmq_slot_t         *slot[KMQ_NODE_NUMBERS], **p;
    kmq_shard_t        *s = slice->kmq->shard;
    const kmq_query_t  *query = slice->query;

    place = sequence % KMQ_NODE_NUMBERS;

    n = query->oldest
        ? kmq_index_gather(s, node, place, KMQ_NODE_NUMBERS - 1, slot)
        : kmq_index_gather(s, node, 0, place, slot);

    for (i = 0; i < n; i++) {
        p = query->oldest ? &slot[i] : &slot[n - 1 - i];

        if (i + SEARCH_AHEAD < n) {
            __builtin_prefetch(query->oldest ? p[SEARCH_AHEAD]
                                             : p[-SEARCH_AHEAD]);
        }

        if (!slot_search(slice, *p)) {
            return key_of(query, (*p)->sequence) + 1;
        }

        if (slice->full) {
            return key_of(query, (*p)->sequence);
        }
    }

    return key_of(query, query->oldest ? sequence | (KMQ_NODE_NUMBERS - 1)
                                       : sequence - place);
}


/* Searches a slice of a shard.  Returns the key down to which all have been
 * seen; low: there is no more to see. */
static uint64_t
slice_search(slice_t *slice)
{
    unsigned            n;
    uint64_t            sequence, seen;
    kmq_shard_t        *s = slice->kmq->shard;
    const kmq_index_t  *node;
    const kmq_query_t  *query = slice->query;

    slice->last = 0;
    slice->fits = 0;
    slice->full = 0;

    if (query_topic(s, query, &slice->topic) != 0) {
        return slice->low;
    }

    seen = slice->high + 1;

    for (n = 0; n < slice->steps && !slice->full;
         n += kmq_index_count(node) + SEARCH_NODE)
    {
        sequence = key_of(query, seen - 1);

        node = query->oldest
               ? kmq_index_newer(s, &sequence, query->from, query->to)
               : kmq_index_older(s, &sequence, query->from, query->to);

        if (node == NULL || key_of(query, sequence) < slice->low) {
            return slice->low;
        }

        seen = node_search(slice, node, sequence);

        if (seen <= slice->low) {
            return slice->low;
        }
    }

    return seen;
}


/* The shards with what a query looks for: *first to *last. */
static void
query_shards(const kmq_t *kmq, const kmq_query_t *query, unsigned *first,
    unsigned *last)
{
    if (query->topic_len) {
        *first = kmq_topic_shard(kmq, query->topic, query->topic_len)->number;
        *last = *first;

    } else {
        *first = 0;
        *last = kmq->block->nshards - 1;
    }
}


/* The key with which a walk goes on. */
static uint64_t
query_begin(kmq_t *kmq, const kmq_query_t *query, uint64_t cursor)
{
    if (cursor) {
        return cursor - 1;
    }

    return query->oldest ? KEY_MAX : kmq_sequence_epoch(kmq);
}


/* Searches a slice of all shards, from a cursor on, which moves: it names the
 * key down to which all have been seen. */
static void
search(kmq_t *kmq, const kmq_query_t *query, uint64_t *cursor, found_t *found)
{
    found_t   one;
    slice_t   slice;
    unsigned  i, last;
    uint64_t  data, part;

    one.max = found->max;
    found->n = 0;
    data = SEARCH_DATA;

    slice.kmq = kmq;
    slice.query = query;
    slice.high = query_begin(kmq, query, *cursor);
    slice.low = 0;
    slice.found = &one;

    query_shards(kmq, query, &i, &last);

    slice.steps = SEARCH_ALL / (last - i + 1);
    slice.steps = slice.steps < SEARCH_SLICE ? slice.steps : SEARCH_SLICE;

    for ( /* void */ ; i <= last; i++) {
        one.n = 0;
        part = data / (last - i + 1);
        slice.data = part;

        kmq_lock(kmq, KMQ_SHARD(kmq->block, i));
        slice.low = slice_search(&slice);
        kmq_unlock(kmq);

        data -= part - slice.data;
        found_merge(found, &one);

        if (found->n == found->max
            && found->message[found->n - 1].key > slice.low)
        {
            slice.low = found->message[found->n - 1].key;
        }
    }

    found_cut(found, slice.low);

    *cursor = slice.low;
}


/* --------------------------------------------------- what becomes of it */

typedef void (*each_pt)(kmq_t *kmq, kmq_slot_t *slot, void *arg, unsigned i);


/* Calls each() for those of a shard that still are what was looked for; i is
 * the message's place among all that were found. */
static void
shard_each(kmq_t *kmq, const kmq_query_t *query, found_t *found,
    each_pt each, void *arg)
{
    unsigned      i;
    kmq_ref_t     topic;
    kmq_slot_t   *slot;
    kmq_shard_t  *s = kmq->shard;

    if (query_topic(s, query, &topic) != 0) {
        return;
    }

    for (i = 0; i < found->n; i++) {

        if (found->message[i].shard != s->number) {
            continue;
        }

        slot = message_at(s, found->message[i].slot,
                          key_of(query, found->message[i].key));

        if (slot && matches(slot, query, topic)) {
            found->message[i].slot = 0;
            each(kmq, slot, arg, i);
        }
    }
}


/* The same for all shards.  The slot of each message that was still there is 0
 * then. */
static void
found_each(kmq_t *kmq, const kmq_query_t *query, found_t *found, each_pt each,
    void *arg)
{
    unsigned  i;
    uint64_t  shards;

    shards = 0;

    for (i = 0; i < found->n; i++) {
        shards |= UINT64_C(1) << found->message[i].shard;
    }

    for (i = 0; i < kmq->block->nshards; i++) {

        if (shards >> i & 1) {
            kmq_lock(kmq, KMQ_SHARD(kmq->block, i));
            shard_each(kmq, query, found, each, arg);
            kmq_unlock(kmq);
        }
    }
}


static void
found_tell(kmq_t *kmq, kmq_slot_t *slot, void *arg, unsigned i)
{
    kmq_message_info_t  *info = arg;

    info_fill(kmq, slot, &info[i]);
}


unsigned
kmq_search(kmq_t *kmq, const kmq_query_t *query, uint64_t *cursor,
    kmq_message_info_t *info, unsigned n)
{
    found_t   found;
    unsigned  i, told;

    if (n == 0) {
        return 0;
    }

    found.max = n < SEARCH_SLICE ? n : SEARCH_SLICE;

    search(kmq, query, cursor, &found);
    found_each(kmq, query, &found, found_tell, info);

    told = 0;

    for (i = 0; i < found.n; i++) {

        if (found.message[i].slot) {
            continue;
        }

        if (told != i) {
            info[told] = info[i];
        }

        told++;
    }

    return told;
}


static void
found_delete(kmq_t *kmq, kmq_slot_t *slot, void *arg, unsigned i)
{
    uint64_t  *deleted = arg;

    (void) i;

    kmq_message_delete(kmq, slot);
    ++*deleted;
}


void
kmq_purge(kmq_t *kmq, const kmq_query_t *query, uint64_t *cursor,
    uint64_t *deleted)
{
    found_t  found;

    found.max = SEARCH_SLICE;

    search(kmq, query, cursor, &found);
    found_each(kmq, query, &found, found_delete, deleted);
}


size_t
kmq_consumer_of(kmq_t *kmq, const kmq_message_info_t *m,
    char id[KMQ_NAME_MAX])
{
    size_t         len;
    kmq_slot_t    *slot;
    kmq_client_t  *client;

    len = 0;

    kmq_lock_at(kmq, m->slot);

    slot = message_at(kmq->shard, m->slot, m->sequence);

    if (slot && slot->state == KMQ_IN_FLIGHT && !(slot->flags & KMQ_SHARED)) {
        client = KMQ_AT(kmq->shard, slot->owner);
        len = client->id_len;
        memcpy(id, client->id, len);
    }

    kmq_unlock(kmq);

    return len;
}
