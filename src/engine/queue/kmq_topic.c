/*
 * Topics by name.
 *
 * A topic is there as long as something names it: a message in any state, a
 * client, a route; and while it is paused.  Then it is idle: kept for its
 * counters, forgotten oldest first when there are too many of them or memory is
 * short.
 *
 * Most topics have a short name and little to count, and there may be many of
 * them.  What does not fit into a topic is in parts (see kmq_part_t) that it
 * gets when it needs them and keeps until it is forgotten.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "kmq_queue_inside.h"


/* Idle topics: at most so many, and one for so many pages of the block. */
#define IDLE_MAX    1024
#define IDLE_PAGES    16


/* FNV-1a: the names come from holders of the key, and a long chain is slow,
 * not wrong. */
uint32_t
kmq_name_hash(const char *name, size_t len)
{
    size_t    i;
    uint32_t  hash;

    hash = 2166136261U;

    for (i = 0; i < len; i++) {
        hash = (hash ^ (unsigned char) name[i]) * 16777619U;
    }

    return hash;
}


/* The shard of a topic tells in which part of all names it is. */
kmq_shard_t *
kmq_topic_shard(const kmq_t *kmq, const char *name, size_t len)
{
    return KMQ_SHARD(kmq->block,
                     kmq_name_hash(name, len) & (kmq->block->nshards - 1));
}


static kmq_ref_t *
bucket_of(kmq_shard_t *s, uint32_t hash)
{
    /* the shard is what the lowest bits say */

    return &s->bucket[hash / KMQ_BLOCK(s)->nshards & (s->nbuckets - 1)];
}


const char *
kmq_topic_name(kmq_shard_t *s, const kmq_topic_t *topic)
{
    kmq_ref_t  ref = topic->part[0];

    return ref ? ((kmq_name_t *) KMQ_AT(s, ref))->name : topic->name;
}


/* Enters a used topic into the hash table and the count. */
void
kmq_topic_link(kmq_shard_t *s, kmq_topic_t *topic)
{
    kmq_ref_t  *bucket = bucket_of(s, topic->hash);

    topic->next = *bucket;
    *bucket = KMQ_REF(s, topic);
    s->topics++;
}


/* Enters a topic into the idle ones, or removes it, as it should be. */
void
kmq_topic_idle(kmq_shard_t *s, kmq_topic_t *topic)
{
    int  idle;

    idle = topic->slots == 0 && topic->consumers == 0 && topic->producers == 0
           && topic->away == 0 && topic->routes == 0 && !topic->paused;

    if (idle == topic->idle) {
        return;
    }

    topic->idle = idle;

    if (idle) {
        topic->idle_next = 0;
        topic->idle_prev = s->idle.tail;

        if (s->idle.tail) {
            ((kmq_topic_t *) KMQ_AT(s, s->idle.tail))->idle_next
                                                         = KMQ_REF(s, topic);
        } else {
            s->idle.head = KMQ_REF(s, topic);
        }

        s->idle.tail = KMQ_REF(s, topic);
        s->idle.count++;
        return;
    }

    if (topic->idle_prev) {
        ((kmq_topic_t *) KMQ_AT(s, topic->idle_prev))->idle_next
                                                         = topic->idle_next;
    } else {
        s->idle.head = topic->idle_next;
    }

    if (topic->idle_next) {
        ((kmq_topic_t *) KMQ_AT(s, topic->idle_next))->idle_prev
                                                         = topic->idle_prev;
    } else {
        s->idle.tail = topic->idle_prev;
    }

    s->idle.count--;
}


/* Makes a part of zeros for a topic, which does not refer to it yet.  NULL: no
 * memory. */
void *
kmq_topic_part(kmq_t *kmq, kmq_topic_t *topic, unsigned class)
{
    kmq_part_t  *part;

    part = kmq_table_alloc(kmq, class);

    if (part) {
        part->topic = KMQ_REF(kmq->shard, topic);
        KMQ_POINT("topic-part");
    }

    return part;
}


static void
parts_free(kmq_shard_t *s, const kmq_topic_t *topic)
{
    unsigned  i;

    for (i = 0; i < KMQ_TOPIC_PARTS; i++) {
        if (topic->part[i]) {
            kmq_table_free(s, KMQ_CLASS_NAME + i, KMQ_AT(s, topic->part[i]));
        }
    }
}


static void
topic_forget(kmq_shard_t *s, kmq_topic_t *topic)
{
    kmq_ref_t  *link;

    topic->slots = 1;
    kmq_topic_idle(s, topic);

    link = bucket_of(s, topic->hash);

    while (*link != KMQ_REF(s, topic)) {
        link = &((kmq_topic_t *) KMQ_AT(s, *link))->next;
    }

    *link = topic->next;

    KMQ_SET(topic->used, 0);
    KMQ_POINT("topic-forget");

    parts_free(s, topic);
    kmq_table_free(s, KMQ_CLASS_TOPIC, topic);
    s->topics--;
}


/* Forgets the topic that has been idle for longest.  0: there is none. */
static int
idle_forget(kmq_shard_t *s)
{
    if (s->idle.head == 0) {
        return 0;
    }

    topic_forget(s, KMQ_AT(s, s->idle.head));

    return 1;
}


/* Gives a topic the settings that this worker has for it. */
void
kmq_topic_configure(kmq_t *kmq, kmq_topic_t *topic)
{
    kmq_settings_t  *settings = &kmq->settings;

    topic->configured = kmq->configured;
    topic->settings = settings->topic;

    if (settings->topic_own) {
        settings->topic_own(settings->topic_arg,
                            kmq_topic_name(kmq->shard, topic),
                            topic->name_len, &topic->settings);
    }
}


/* Gives a topic its name; KMQ_NOMEM: it is a long one. */
static int
name_set(kmq_t *kmq, kmq_topic_t *topic, const char *name, size_t len)
{
    kmq_name_t  *part;

    topic->name_len = len;

    if (len <= KMQ_NAME_SHORT) {
        memcpy(topic->name, name, len);
        return KMQ_OK;
    }

    part = kmq_topic_part(kmq, topic, KMQ_CLASS_NAME);
    if (part == NULL) {
        return KMQ_NOMEM;
    }

    memcpy(part->name, name, len);
    topic->part[0] = KMQ_REF(kmq->shard, part);

    return KMQ_OK;
}


/* A topic that nobody sees yet; NULL: no memory. */
static kmq_topic_t *
topic_make(kmq_t *kmq, const char *name, size_t len)
{
    kmq_topic_t  *topic;

    topic = kmq_table_alloc(kmq, KMQ_CLASS_TOPIC);

    if (topic && name_set(kmq, topic, name, len) != KMQ_OK) {
        kmq_table_free(kmq->shard, KMQ_CLASS_TOPIC, topic);
        return NULL;
    }

    return topic;
}


static kmq_topic_t *
topic_create(kmq_t *kmq, const char *name, size_t len, uint32_t hash)
{
    kmq_block_t  *b = kmq->block;
    kmq_shard_t  *s = kmq->shard;
    kmq_topic_t  *topic;

    if (s->idle.count >= IDLE_MAX / b->nshards
        || s->idle.count > b->npages / IDLE_PAGES / b->nshards)
    {
        (void) idle_forget(s);
    }

    do {
        topic = topic_make(kmq, name, len);
    } while (topic == NULL && idle_forget(s));

    if (topic == NULL) {
        return NULL;
    }

    topic->hash = hash;

#ifdef KMQ_FAULTS
    topic->position = kmq_position;
#endif

    kmq_topic_configure(kmq, topic);
    topic->push_type = topic->settings.push_type;

    KMQ_SET(topic->used, 1);
    KMQ_POINT("topic-create");

    kmq_topic_link(s, topic);
    kmq_topic_idle(s, topic);

    return topic;
}


static kmq_topic_t *
topic_search(kmq_shard_t *s, const char *name, size_t len, uint32_t hash)
{
    kmq_ref_t     ref;
    kmq_topic_t  *topic;

    for (ref = *bucket_of(s, hash); ref; ref = topic->next) {
        topic = KMQ_AT(s, ref);

        if (topic->hash == hash && topic->name_len == len
            && memcmp(kmq_topic_name(s, topic), name, len) == 0)
        {
            return topic;
        }
    }

    return NULL;
}


/* The topic of that name, NULL: there is none. */
kmq_topic_t *
kmq_topic_get(kmq_shard_t *s, const char *name, size_t len)
{
    return topic_search(s, name, len, kmq_name_hash(name, len));
}


/* The same; it is made when there is none, NULL: no memory. */
kmq_topic_t *
kmq_topic_find(kmq_t *kmq, const char *name, size_t len)
{
    uint32_t      hash;
    kmq_topic_t  *topic;

    hash = kmq_name_hash(name, len);
    topic = topic_search(kmq->shard, name, len, hash);

    if (topic == NULL) {
        return topic_create(kmq, name, len, hash);
    }

    /* a worker of an older configuration may have made it */

    if (topic->configured < kmq->configured) {
        kmq_topic_configure(kmq, topic);
    }

    return topic;
}


/*
 * Enters a topic into the circle of those with ready messages, or removes it,
 * as it should be.
 */
void
kmq_topic_active(kmq_shard_t *s, kmq_topic_t *topic)
{
    int           active, pushing;
    kmq_ref_t     ref;
    kmq_topic_t  *next, *prev;

    active = topic->ready.count != 0;
    pushing = active && topic->ready_consumers && !topic->paused;

    if (pushing != topic->pushing) {
        topic->pushing = pushing;
        KMQ_PUT(s->npushing, pushing ? s->npushing + 1 : s->npushing - 1);
    }

    if (active == topic->active) {
        return;
    }

    topic->active = active;
    ref = KMQ_REF(s, topic);

    if (!active) {
        s->nactive--;
        topic->allotted = 0;

        next = KMQ_AT(s, topic->active_next);
        prev = KMQ_AT(s, topic->active_prev);
        prev->active_next = topic->active_next;
        next->active_prev = topic->active_prev;

        if (s->active == ref) {
            s->active = topic->active_next == ref ? 0 : topic->active_next;
        }

        return;
    }

    s->nactive++;

    if (s->active == 0) {
        topic->active_next = ref;
        topic->active_prev = ref;
        s->active = ref;
        return;
    }

    next = KMQ_AT(s, s->active);
    prev = KMQ_AT(s, next->active_prev);

    topic->active_next = s->active;
    topic->active_prev = next->active_prev;
    prev->active_next = ref;
    next->active_prev = ref;
}
