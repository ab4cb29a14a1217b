/*
 * The index: all messages by their sequence numbers, for walks from the
 * newest to the oldest and the other way round.
 *
 * A tree of nodes of 128 references, as high as the largest number needs; a
 * node that has become empty is freed.  Messages mostly come and go in their
 * order, so the two leaves in which that happened last are remembered: a
 * message costs a few bytes and no search.
 *
 * Each node knows between which times the messages below it were created, so
 * that a walk passes over what is out of its range.
 */

#include "kmq_block.h"


/* of kmq_block_t.index_leaf */
#define COMING  0
#define GOING   1

#define DIGIT(sequence, level)                                               \
    ((unsigned) ((sequence) >> (KMQ_INDEX_BITS * (level)))                   \
     & (KMQ_INDEX_SIZE - 1))


static uint64_t
leaf_first(uint64_t sequence)
{
    return sequence & ~(uint64_t) (KMQ_INDEX_SIZE - 1);
}


/* Is there room for that number in a tree of that height? */
static int
fits(uint32_t levels, uint64_t sequence)
{
    return levels >= KMQ_INDEX_LEVELS
           || sequence >> (KMQ_INDEX_BITS * levels) == 0;
}


/* The leaf in which messages come or go at present, if it is the one. */
static kmq_index_t *
leaf_recall(kmq_block_t *b, unsigned which, uint64_t sequence)
{
    return b->index_leaf[which]
           && b->index_first[which] == leaf_first(sequence)
           ? KMQ_AT(b, b->index_leaf[which]) : NULL;
}


static void
leaf_remember(kmq_block_t *b, unsigned which, uint64_t sequence,
    kmq_index_t *leaf)
{
    b->index_leaf[which] = KMQ_REF(b, leaf);
    b->index_first[which] = leaf_first(sequence);
}


static void
node_free(kmq_block_t *b, kmq_ref_t ref)
{
    unsigned  i;

    for (i = COMING; i <= GOING; i++) {
        if (b->index_leaf[i] == ref) {
            b->index_leaf[i] = 0;
        }
    }

    kmq_object_free(b, ref);
}


/* Frees the empty nodes on the way to a number, from below. */
static void
prune(kmq_block_t *b, uint64_t sequence)
{
    unsigned      n, level;
    kmq_ref_t    *link, *way[KMQ_INDEX_LEVELS];
    kmq_index_t  *node;

    n = 0;
    link = &b->index;

    for (level = b->index_levels; level-- > 0 && *link; /* void */) {
        way[n++] = link;
        node = KMQ_AT(b, *link);
        link = &node->child[DIGIT(sequence, level)];
    }

    while (n--) {
        node = KMQ_AT(b, *way[n]);

        if (node->count) {
            return;
        }

        node_free(b, *way[n]);
        *way[n] = 0;

        if (n) {
            ((kmq_index_t *) KMQ_AT(b, *way[n - 1]))->count--;
        }
    }

    b->index_levels = 0;
}


/* Makes the tree high enough for a number. */
static int
grow(kmq_block_t *b, uint64_t sequence)
{
    kmq_index_t  *root, *node;

    while (!fits(b->index_levels, sequence)) {

        if (b->index) {
            node = kmq_index_alloc(b);
            if (node == NULL) {
                return KMQ_NOMEM;
            }

            root = KMQ_AT(b, b->index);

            node->child[0] = b->index;
            node->count = 1;
            node->oldest = root->oldest;
            node->newest = root->newest;

            b->index = KMQ_REF(b, node);
        }

        b->index_levels++;
    }

    return KMQ_OK;
}


static void
times_widen(kmq_index_t *node, uint32_t time)
{
    if (time < node->oldest) {
        node->oldest = time;
    }

    if (time > node->newest) {
        node->newest = time;
    }
}


/* The leaf for a message, made with its way where there is none; NULL: no
 * memory. */
static kmq_index_t *
leaf_make(kmq_block_t *b, const kmq_slot_t *slot)
{
    unsigned      level;
    kmq_ref_t    *link;
    kmq_index_t  *node, *parent;

    if (grow(b, slot->sequence) != KMQ_OK) {
        return NULL;
    }

    parent = NULL;
    link = &b->index;

    for (level = b->index_levels; level-- > 0; /* void */) {

        if (*link == 0) {
            node = kmq_index_alloc(b);
            if (node == NULL) {
                return NULL;
            }

            *link = KMQ_REF(b, node);

            if (parent) {
                parent->count++;
            }
        }

        parent = KMQ_AT(b, *link);
        times_widen(parent, slot->create_time);
        link = &parent->child[DIGIT(slot->sequence, level)];
    }

    return parent;
}


/* Enters a message; KMQ_NOMEM when there is no memory for it. */
int
kmq_index_insert(kmq_block_t *b, const kmq_slot_t *slot)
{
    kmq_index_t  *leaf;

    leaf = leaf_recall(b, COMING, slot->sequence);

    if (leaf == NULL || slot->create_time > leaf->newest
        || slot->create_time < leaf->oldest)
    {
        leaf = leaf_make(b, slot);

        if (leaf == NULL) {
            prune(b, slot->sequence);
            return KMQ_NOMEM;
        }

        leaf_remember(b, COMING, slot->sequence, leaf);
    }

    leaf->child[DIGIT(slot->sequence, 0)] = KMQ_REF(b, slot);
    leaf->count++;

    return KMQ_OK;
}


/*
 * The leaf with a number, or NULL and in *bits the size of the gap around it:
 * there is nothing with a number that differs in no more than that many low
 * bits, and nothing created between from and to.
 */
static kmq_index_t *
descend(kmq_block_t *b, uint64_t sequence, uint32_t from, uint32_t to,
    unsigned *bits)
{
    unsigned      level;
    kmq_ref_t     ref;
    kmq_index_t  *node;

    ref = b->index;

    for (level = b->index_levels; level-- > 0; /* void */) {

        *bits = KMQ_INDEX_BITS * (level + 1);

        if (ref == 0) {
            return NULL;
        }

        node = KMQ_AT(b, ref);

        if (node->newest < from || node->oldest > to) {
            return NULL;
        }

        if (level == 0) {
            return node;
        }

        ref = node->child[DIGIT(sequence, level)];
    }

    return NULL;
}


/* The message of that number, NULL: there is none. */
kmq_slot_t *
kmq_index_find(kmq_block_t *b, uint64_t sequence)
{
    unsigned      bits;
    kmq_ref_t     ref;
    kmq_index_t  *leaf;

    leaf = leaf_recall(b, GOING, sequence);

    if (leaf == NULL) {
        leaf = leaf_recall(b, COMING, sequence);
    }

    if (leaf == NULL && fits(b->index_levels, sequence)) {
        leaf = descend(b, sequence, 0, UINT32_MAX, &bits);

        if (leaf) {
            leaf_remember(b, GOING, sequence, leaf);
        }
    }

    ref = leaf ? leaf->child[DIGIT(sequence, 0)] : 0;

    return ref ? KMQ_AT(b, ref) : NULL;
}


/* Removes a message that is going. */
void
kmq_index_remove(kmq_block_t *b, const kmq_slot_t *slot)
{
    unsigned      bits;
    kmq_ref_t    *entry;
    kmq_index_t  *leaf;

    leaf = leaf_recall(b, GOING, slot->sequence);

    if (leaf == NULL) {
        leaf = descend(b, slot->sequence, 0, UINT32_MAX, &bits);

        if (leaf == NULL) {
            return;
        }

        leaf_remember(b, GOING, slot->sequence, leaf);
    }

    entry = &leaf->child[DIGIT(slot->sequence, 0)];

    if (*entry == 0) {
        return;
    }

    *entry = 0;

    if (--leaf->count == 0) {
        prune(b, slot->sequence);
    }
}


/*
 * The leaf with the newest message of number *sequence or less that may have
 * been created between from and to; *sequence becomes the number with which to
 * begin in it.  NULL: there is none.
 */
const kmq_index_t *
kmq_index_older(kmq_block_t *b, uint64_t *sequence, uint32_t from,
    uint32_t to)
{
    unsigned      bits;
    kmq_index_t  *leaf;

    if (b->index == 0) {
        return NULL;
    }

    if (!fits(b->index_levels, *sequence)) {
        *sequence = (UINT64_C(1) << (KMQ_INDEX_BITS * b->index_levels)) - 1;
    }

    for ( ;; ) {
        leaf = descend(b, *sequence, from, to, &bits);

        if (leaf) {
            return leaf;
        }

        if (bits >= 64 || *sequence >> bits == 0) {
            return NULL;
        }

        *sequence = (*sequence >> bits << bits) - 1;
    }
}


/* The same for the oldest one of number *sequence or more, of any time. */
const kmq_index_t *
kmq_index_newer(kmq_block_t *b, uint64_t *sequence)
{
    unsigned      bits;
    kmq_index_t  *leaf;

    while (b->index && fits(b->index_levels, *sequence)) {
        leaf = descend(b, *sequence, 0, UINT32_MAX, &bits);

        if (leaf) {
            return leaf;
        }

        if (bits >= 64) {
            return NULL;
        }

        *sequence = ((*sequence >> bits) + 1) << bits;
    }

    return NULL;
}


/* An empty index: for a repair, which frees the nodes of the old one. */
void
kmq_index_reset(kmq_block_t *b)
{
    b->index = 0;
    b->index_levels = 0;
    memset(b->index_leaf, 0, sizeof(b->index_leaf));
}
