/* The memory's part of a repair, and the index's: whatever is in use is
 * marked, all free memory is found, and the messages are entered into the
 * index. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../queue/kmq_queue.h"
#include "kmq_upkeep_inside.h"


static int
part_used(kmq_block_t *b, unsigned class, const kmq_part_t *part)
{
    const kmq_topic_t  *topic;

    topic = kmq_table_at(b, KMQ_CLASS_TOPIC, part->topic);

    return topic && topic->used
           && topic->part[class - KMQ_CLASS_NAME] == KMQ_REF(b, part);
}


/* Is an object of a table in use?  By the truth alone. */
int
kmq_object_used(kmq_block_t *b, unsigned class, void *object)
{
    switch (class) {

    case KMQ_CLASS_TOPIC:
        return ((kmq_topic_t *) object)->used;

    case KMQ_CLASS_CLIENT:
        return ((kmq_client_t *) object)->role;

    case KMQ_CLASS_ROUTE:
        return ((kmq_route_t *) object)->used;

    default:
        return part_used(b, class, object);
    }
}


/* Marks messages; their bodies are prefetched. */
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


void
kmq_repair_memory(kmq_block_t *b)
{
    kmq_walk_t     walk;
    kmq_client_t  *client;

    kmq_rebuild_begin(b);
    messages_mark(b);

    memset(&walk, 0, sizeof(walk));

    while ((client = kmq_table_scan(b, KMQ_CLASS_CLIENT, &walk))) {

        if (client->role) {
            kmq_ring_mark(b, client->ring);
        }
    }

    kmq_rebuild(b, kmq_object_used);
}


/* Makes the index from whatever messages there are; 0: memory is short. */
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


/* Enters a message.  Consumed ones, from the walk on, give way for it; when
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
 * Messages are not met in the order in which they came, so the index needs
 * more memory on the way than in the end, and in other places than before.
 * When there is too little, each node and each leaf is made once, the large
 * ones first.
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


void
kmq_repair_index(kmq_block_t *b)
{
    kmq_page_spare(b, 0);

    if (!index_rebuild(b)) {
        kmq_index_reset(b);
        kmq_repair_memory(b);
        index_pack(b);
    }

    kmq_page_spare(b, 1);
}
