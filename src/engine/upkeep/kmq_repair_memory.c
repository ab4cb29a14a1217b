/* The memory's part of a repair, and the index's: whatever is in use is
 * marked, all free memory is found, and the messages are entered into the
 * index. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../queue/kmq_queue.h"
#include "kmq_upkeep_inside.h"


static int
part_used(kmq_shard_t *s, unsigned class, const kmq_part_t *part)
{
    const kmq_topic_t  *topic;

    topic = kmq_table_at(s, KMQ_CLASS_TOPIC, part->topic);

    return topic && topic->used
           && topic->part[class - KMQ_CLASS_NAME] == KMQ_REF(s, part);
}


/* Is an object of a table in use?  By the truth alone. */
int
kmq_object_used(kmq_shard_t *s, unsigned class, void *object)
{
    switch (class) {

    case KMQ_CLASS_TOPIC:
        return ((kmq_topic_t *) object)->used;

    case KMQ_CLASS_CLIENT:
        return ((kmq_client_t *) object)->role;

    case KMQ_CLASS_ROUTE:
        return ((kmq_route_t *) object)->used;

    default:
        return part_used(s, class, object);
    }
}


unsigned
kmq_repair_next(kmq_shard_t *s, kmq_walk_t *walk,
    kmq_slot_t *slot[KMQ_WALK_SLOTS])
{
    unsigned  i, n;

    n = kmq_slots_next(s, walk, slot);

    for (i = 0; i < n; i++) {
        __builtin_prefetch(KMQ_AT(s, slot[i]->body));
    }

    return n;
}


static void
messages_mark(kmq_shard_t *s)
{
    unsigned      i, n;
    kmq_walk_t    walk;
    kmq_slot_t   *slot[KMQ_WALK_SLOTS];

    memset(&walk, 0, sizeof(walk));

    while ((n = kmq_repair_next(s, &walk, slot))) {

        for (i = 0; i < n; i++) {
            kmq_message_mark(s, slot[i]);
        }
    }
}


void
kmq_repair_memory_end(kmq_shard_t *s)
{
    kmq_walk_t     walk;
    kmq_client_t  *client;

    memset(&walk, 0, sizeof(walk));

    while ((client = kmq_table_scan(s, KMQ_CLASS_CLIENT, &walk))) {

        if (client->role) {
            kmq_ring_mark(s, client->ring);
        }
    }

    kmq_rebuild(s, kmq_object_used);
}


void
kmq_repair_memory(kmq_shard_t *s)
{
    (void) kmq_rebuild_begin(s, 0);
    messages_mark(s);
    kmq_repair_memory_end(s);
}


/* Makes the index from whatever messages there are; 0: memory is short. */
static int
index_rebuild(kmq_shard_t *s)
{
    unsigned     i, n;
    kmq_walk_t   walk;
    kmq_slot_t  *slot[KMQ_WALK_SLOTS];

    memset(&walk, 0, sizeof(walk));

    while ((n = kmq_slots_next(s, &walk, slot))) {

        for (i = 0; i < n; i++) {
            if (kmq_index_insert(s, slot[i]) != KMQ_OK) {
                return 0;
            }
        }
    }

    return 1;
}


static void
message_drop(kmq_shard_t *s, kmq_slot_t *slot)
{
    KMQ_SET(slot->state, KMQ_FREE);

    kmq_index_remove(s, slot);
    kmq_message_memory_free(s, slot);
    s->totals.dropped++;
}


/* Enters a message.  Consumed ones, from the walk on, give way for it; when
 * there are none any more, it is lost. */
static void
index_force(kmq_shard_t *s, kmq_slot_t *slot, kmq_walk_t *walk)
{
    kmq_slot_t  *other;

    while (kmq_index_insert(s, slot) != KMQ_OK) {

        do {
            other = slot->state == KMQ_CONSUMED ? slot
                                                : kmq_slot_next(s, walk);
        } while (other && other->state != KMQ_CONSUMED);

        message_drop(s, other ? other : slot);

        if (other == NULL || other == slot) {
            return;
        }
    }
}


/*
 * Messages are not met in the order in which they came, so the index needs
 * more memory on the way than in the end, and in other places than before.
 * When there is too little, each node and each leaf is made once, the large
 * ones first.
 */
static void
index_pack(kmq_shard_t *s)
{
    kmq_walk_t   walk, old;
    kmq_slot_t  *slot;

    memset(&walk, 0, sizeof(walk));

    while ((slot = kmq_slot_next(s, &walk))) {
        (void) kmq_index_expect(s, slot);
    }

    kmq_index_pack(s);

    memset(&walk, 0, sizeof(walk));
    memset(&old, 0, sizeof(old));

    while ((slot = kmq_slot_next(s, &walk))) {
        index_force(s, slot, &old);
    }
}


void
kmq_repair_index(kmq_shard_t *s)
{
    kmq_index_reset(s);
    s->all_pages = 1;

    if (!index_rebuild(s)) {
        kmq_index_reset(s);
        kmq_repair_memory(s);
        index_pack(s);
    }

    s->all_pages = 0;
}
