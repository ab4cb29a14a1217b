/*
 * The index: all messages by their sequence numbers, for walks from the
 * newest to the oldest and the other way round.
 *
 * It is a tree.  Nodes have 8 references, leaves 16 references to slots, and
 * it is as high as the largest number needs.  A leaf is four cells, like a
 * slot, and a node is three, so they find room where a message does.  A leaf
 * with up to three messages is a single cell, so that numbers may be sparse,
 * like those of a few messages that wait among many that passed.
 *
 * Messages mostly come and go in their order, so the two lowest nodes in which
 * that happened last are remembered: a message costs a few bytes and no search.
 *
 * Each node knows between which times its messages were created, so a walk
 * passes over those out of its range.
 */

#include "../kmq_block.h"
#include "kmq_memory_inside.h"


/* of kmq_shard_t.index_node */
#define COMING  0
#define GOING   1

/* Levels are counted from the leaves, which are 0; the lowest nodes are 1. */
#define LOWEST  1

/* The bits of a number that are told below a level. */
#define BITS(level)                                                          \
    (KMQ_LEAF_BITS + KMQ_INDEX_BITS * ((level) - LOWEST))

#define DIGIT(sequence, level)                                               \
    ((unsigned) ((sequence) >> BITS(level)) & (KMQ_INDEX_SIZE - 1))

#define PLACE(sequence)  ((unsigned) (sequence) & (KMQ_LEAF_SIZE - 1))

#define FULL_CELLS   (KMQ_LEAF_SIZE * sizeof(kmq_ref_t) / KMQ_CELL)
#define NODE_CELLS   (sizeof(kmq_index_t) / KMQ_CELL)

_Static_assert(sizeof(kmq_index_t) % KMQ_CELL == 0
               && NODE_CELLS <= KMQ_SLOT_CELLS && FULL_CELLS <= KMQ_SLOT_CELLS,
               "there is room for them where there is room for a slot");

/* A leaf in one cell; references to such ones are odd.  One becomes small when
 * it has one message less than it could. */
#define SMALL_MAX     3
#define SMALL_NARROW  2

typedef struct {
    uint8_t    place[4];         /* which of the 16 each one is */
    kmq_ref_t  slot[SMALL_MAX];
} small_t;

_Static_assert(sizeof(small_t) == KMQ_CELL, "a small leaf is a cell");


static uint64_t
node_first(uint64_t sequence)
{
    return sequence & ~(uint64_t) (KMQ_NODE_NUMBERS - 1);
}


/* Is there room for that number in a tree of that height? */
static int
fits(uint32_t levels, uint64_t sequence)
{
    return levels >= KMQ_INDEX_LEVELS
           || sequence >> BITS(levels) == 0;
}


/* ----------------------------------------------------------------- leaves */

static int
is_small(kmq_ref_t leaf)
{
    return leaf & 1;
}


static small_t *
small_at(kmq_shard_t *s, kmq_ref_t leaf)
{
    return KMQ_AT(s, leaf & ~(kmq_ref_t) 1);
}


static void
leaf_free(kmq_shard_t *s, kmq_ref_t leaf)
{
    if (is_small(leaf)) {
        kmq_cells_free(s, leaf & ~(kmq_ref_t) 1, 1);

    } else {
        kmq_cells_free(s, leaf, FULL_CELLS);
    }
}


/* The reference to that place in a leaf of n messages; NULL: there is none. */
static kmq_ref_t *
leaf_entry(kmq_shard_t *s, kmq_ref_t leaf, unsigned n, unsigned place)
{
    unsigned   i;
    small_t   *small;

    if (!is_small(leaf)) {
        return &((kmq_ref_t *) KMQ_AT(s, leaf))[place];
    }

    small = small_at(s, leaf);

    for (i = 0; i < n; i++) {
        if (small->place[i] == place) {
            return &small->slot[i];
        }
    }

    return NULL;
}


/* Makes a full leaf of a small one of n, which goes; 0: no memory. */
static kmq_ref_t
leaf_widen(kmq_shard_t *s, kmq_ref_t leaf, unsigned n)
{
    unsigned    i;
    small_t    *small;
    kmq_ref_t   full, *slot;

    full = kmq_cells_alloc_index(s, FULL_CELLS);
    if (full == 0) {
        return 0;
    }

    slot = KMQ_AT(s, full);
    memset(slot, 0, KMQ_LEAF_SIZE * sizeof(kmq_ref_t));

    if (leaf) {
        small = small_at(s, leaf);

        for (i = 0; i < n; i++) {
            slot[small->place[i]] = small->slot[i];
        }

        leaf_free(s, leaf);
    }

    return full;
}


/* The reverse, where there is a cell. */
static kmq_ref_t
leaf_narrow(kmq_shard_t *s, kmq_ref_t leaf)
{
    unsigned    i, n;
    small_t    *small;
    kmq_ref_t   ref, *slot;

    ref = kmq_cells_alloc_index(s, 1);
    if (ref == 0) {
        return leaf;
    }

    n = 0;
    small = KMQ_AT(s, ref);
    slot = KMQ_AT(s, leaf);

    for (i = 0; i < KMQ_LEAF_SIZE; i++) {
        if (slot[i]) {
            small->place[n] = i;
            small->slot[n++] = slot[i];
        }
    }

    leaf_free(s, leaf);

    return ref | 1;
}


/* ------------------------------------------------------------------ nodes */

/* The remembered node, if it is the one with that number. */
static kmq_index_t *
node_recall(kmq_shard_t *s, unsigned which, uint64_t sequence)
{
    return s->index_node[which]
           && s->index_first[which] == node_first(sequence)
           ? KMQ_AT(s, s->index_node[which]) : NULL;
}


static void
node_remember(kmq_shard_t *s, unsigned which, uint64_t sequence,
    kmq_index_t *node)
{
    s->index_node[which] = KMQ_REF(s, node);
    s->index_first[which] = node_first(sequence);
}


/* apart: see kmq_index_expect(). */
static kmq_index_t *
node_alloc(kmq_shard_t *s, int apart)
{
    kmq_ref_t     ref;
    kmq_index_t  *node;

    ref = apart ? kmq_cells_alloc_apart(s, NODE_CELLS)
                : kmq_cells_alloc_index(s, NODE_CELLS);
    if (ref == 0) {
        return NULL;
    }

    node = KMQ_AT(s, ref);
    memset(node, 0, sizeof(kmq_index_t));
    node->oldest = UINT32_MAX;

    return node;
}


static void
node_free(kmq_shard_t *s, kmq_ref_t ref)
{
    unsigned  i;

    for (i = COMING; i <= GOING; i++) {
        if (s->index_node[i] == ref) {
            s->index_node[i] = 0;
        }
    }

    kmq_cells_free(s, ref, NODE_CELLS);
}


static int
node_empty(const kmq_index_t *node)
{
    unsigned  i;

    for (i = 0; i < KMQ_INDEX_SIZE; i++) {
        if (node->child[i]) {
            return 0;
        }
    }

    return 1;
}


/* Frees the nodes without children on the way to a number, from below. */
static void
prune(kmq_shard_t *s, uint64_t sequence)
{
    unsigned      n, level;
    kmq_ref_t    *link, *way[KMQ_INDEX_LEVELS];
    kmq_index_t  *node;

    n = 0;
    link = &s->index;

    for (level = s->index_levels; level-- > LOWEST && *link; /* void */) {
        way[n++] = link;
        node = KMQ_AT(s, *link);
        link = &node->child[DIGIT(sequence, level)];
    }

    while (n--) {
        node = KMQ_AT(s, *way[n]);

        if (!node_empty(node)) {
            return;
        }

        node_free(s, *way[n]);
        *way[n] = 0;
    }

    s->index_levels = 0;
}


/* Makes the tree high enough for a number. */
static int
grow(kmq_shard_t *s, uint64_t sequence, int apart)
{
    kmq_index_t  *root, *node;

    /* a node is there at least */

    if (s->index_levels < LOWEST + 1) {
        s->index_levels = LOWEST + 1;
    }

    while (!fits(s->index_levels, sequence)) {

        if (s->index) {
            node = node_alloc(s, apart);
            if (node == NULL) {
                return KMQ_NOMEM;
            }

            root = KMQ_AT(s, s->index);

            node->child[0] = s->index;
            node->oldest = root->oldest;
            node->newest = root->newest;

            s->index = KMQ_REF(s, node);
        }

        s->index_levels++;
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


/* The lowest node for a message, made with the way to it when there is none.
 * NULL: no memory. */
static kmq_index_t *
node_make(kmq_shard_t *s, const kmq_slot_t *slot, int apart)
{
    unsigned      level;
    kmq_ref_t    *link;
    kmq_index_t  *node, *parent;

    if (grow(s, slot->sequence, apart) != KMQ_OK) {
        return NULL;
    }

    parent = NULL;
    link = &s->index;

    for (level = s->index_levels; level-- > LOWEST; /* void */) {

        if (*link == 0) {
            node = node_alloc(s, apart);
            if (node == NULL) {
                return NULL;
            }

            *link = KMQ_REF(s, node);
        }

        parent = KMQ_AT(s, *link);
        times_widen(parent, slot->create_time);
        link = &parent->child[DIGIT(slot->sequence, level)];
    }

    return parent;
}


/* ---------------------------------------------------------------- messages */

/* A leaf for its first message: a full one when all those before it have come.
 * 0: no memory. */
static kmq_ref_t
leaf_make(kmq_shard_t *s, const kmq_index_t *node, unsigned digit,
    uint64_t sequence)
{
    kmq_ref_t  ref;

    if (PLACE(sequence) == 0
        && (digit == 0 || node->count[digit - 1] > SMALL_MAX))
    {
        return leaf_widen(s, 0, 0);
    }

    ref = kmq_cells_alloc_index(s, 1);

    return ref ? ref | 1 : 0;
}


/* Enters a message into its node. */
static int
node_enter(kmq_shard_t *s, kmq_index_t *node, const kmq_slot_t *slot)
{
    unsigned    n, digit, place;
    small_t    *small;
    kmq_ref_t   leaf;

    digit = DIGIT(slot->sequence, LOWEST);
    place = PLACE(slot->sequence);
    leaf = node->child[digit];
    n = node->count[digit];

    if (leaf == 0) {
        leaf = leaf_make(s, node, digit, slot->sequence);

    } else if (is_small(leaf) && n == SMALL_MAX) {
        leaf = leaf_widen(s, leaf, n);
    }

    if (leaf == 0) {
        return KMQ_NOMEM;
    }

    node->child[digit] = leaf;

    if (is_small(leaf)) {
        small = small_at(s, leaf);
        small->place[n] = place;
        small->slot[n] = KMQ_REF(s, slot);

    } else {
        ((kmq_ref_t *) KMQ_AT(s, leaf))[place] = KMQ_REF(s, slot);
    }

    node->count[digit]++;

    return KMQ_OK;
}


/* Enters a message that may need a node or a leaf: once in 16 times, so it is
 * not part of what happens each time. */
static int __attribute__((noinline))
insert_anywhere(kmq_shard_t *s, const kmq_slot_t *slot)
{
    kmq_index_t  *node;

    node = node_make(s, slot, 0);

    if (node) {
        node_remember(s, COMING, slot->sequence, node);
    }

    if (node == NULL || node_enter(s, node, slot) != KMQ_OK) {
        prune(s, slot->sequence);
        return KMQ_NOMEM;
    }

    return KMQ_OK;
}


/* Enters a message; KMQ_NOMEM when there is no memory for it. */
int
kmq_index_insert(kmq_shard_t *s, const kmq_slot_t *slot)
{
    unsigned      digit;
    kmq_ref_t     leaf;
    kmq_index_t  *node;

    /* mostly it goes into the leaf of the one before */

    node = node_recall(s, COMING, slot->sequence);

    if (node && slot->create_time <= node->newest
        && slot->create_time >= node->oldest)
    {
        digit = DIGIT(slot->sequence, LOWEST);
        leaf = node->child[digit];

        if (leaf && !is_small(leaf)) {
            ((kmq_ref_t *) KMQ_AT(s, leaf))[PLACE(slot->sequence)]
                = KMQ_REF(s, slot);
            node->count[digit]++;
            return KMQ_OK;
        }
    }

    return insert_anywhere(s, slot);
}


/* ----------------------------------------------------------------- packing */

/*
 * Makes an index with as few free cells as there are.  All messages are
 * counted, in nodes that are made first and apart from all else; then come
 * full leaves, in the holes that those of another index left, and then small
 * ones.  Each is as large as it will be, and kmq_index_insert() finds it
 * there.  KMQ_NOMEM: there is no memory for this message's node.
 */
int
kmq_index_expect(kmq_shard_t *s, const kmq_slot_t *slot)
{
    unsigned      digit;
    kmq_index_t  *node;

    node = node_make(s, slot, 1);

    if (node == NULL) {
        return KMQ_NOMEM;
    }

    digit = DIGIT(slot->sequence, LOWEST);
    node->count[digit]++;

    return KMQ_OK;
}


/* The leaves of a lowest node that are full, or those that are not. */
static void
leaves_make(kmq_shard_t *s, kmq_index_t *node, int full)
{
    unsigned   i;
    kmq_ref_t  leaf;

    for (i = 0; i < KMQ_INDEX_SIZE; i++) {

        if (node->count[i] == 0 || (node->count[i] > SMALL_MAX) != full) {
            continue;
        }

        if (full) {
            leaf = leaf_widen(s, 0, 0);

        } else {
            leaf = kmq_cells_alloc_index(s, 1);
            leaf |= leaf != 0;
        }

        node->child[i] = leaf;
        node->count[i] = 0;
    }
}


/* Makes leaves for the messages that were counted.  kmq_index_insert() makes
 * those that there is no memory for now. */
void
kmq_index_pack(kmq_shard_t *s)
{
    int           full;
    uint64_t      sequence;
    kmq_index_t  *node;

    for (full = 1; full >= 0; full--) {
        sequence = 0;

        while ((node = (kmq_index_t *) kmq_index_newer(s, &sequence, 0,
                                                       UINT32_MAX)))
        {
            leaves_make(s, node, full);
            sequence = node_first(sequence) + KMQ_NODE_NUMBERS;
        }
    }
}


/*
 * The lowest node with a number.  NULL: there is none, and *bits is the size
 * of the gap: nothing differs from the number in no more than so many low bits
 * and was created between from and to.
 */
static kmq_index_t *
descend(kmq_shard_t *s, uint64_t sequence, uint32_t from, uint32_t to,
    unsigned *bits)
{
    unsigned      level;
    kmq_ref_t     ref;
    kmq_index_t  *node;

    ref = s->index;
    *bits = 64;

    for (level = s->index_levels; level-- > LOWEST; /* void */) {

        *bits = BITS(level + 1);

        if (ref == 0) {
            return NULL;
        }

        node = KMQ_AT(s, ref);

        if (node->newest < from || node->oldest > to) {
            return NULL;
        }

        if (level == LOWEST) {
            return node;
        }

        ref = node->child[DIGIT(sequence, level)];
    }

    return NULL;
}


/* The node with a number that is looked for, NULL: there is none. */
static kmq_index_t *
node_find(kmq_shard_t *s, uint64_t sequence)
{
    unsigned      bits;
    kmq_index_t  *node;

    node = node_recall(s, GOING, sequence);

    if (node == NULL) {
        node = node_recall(s, COMING, sequence);
    }

    if (node == NULL && fits(s->index_levels, sequence)) {
        node = descend(s, sequence, 0, UINT32_MAX, &bits);

        if (node) {
            node_remember(s, GOING, sequence, node);
        }
    }

    return node;
}


/* The message of that number, NULL: there is none. */
kmq_slot_t *
kmq_index_find(kmq_shard_t *s, uint64_t sequence)
{
    unsigned      digit;
    kmq_ref_t    *entry;
    kmq_index_t  *node;

    node = node_find(s, sequence);

    if (node == NULL) {
        return NULL;
    }

    digit = DIGIT(sequence, LOWEST);
    entry = node->child[digit]
            ? leaf_entry(s, node->child[digit], node->count[digit],
                         PLACE(sequence))
            : NULL;

    return entry && *entry ? KMQ_AT(s, *entry) : NULL;
}


/* Takes a message out of a small leaf of n. */
static void
small_remove(kmq_shard_t *s, kmq_ref_t leaf, unsigned n, kmq_ref_t *entry)
{
    unsigned   i;
    small_t   *small = small_at(s, leaf);

    i = (unsigned) (entry - small->slot);

    small->place[i] = small->place[n - 1];
    small->slot[i] = small->slot[n - 1];
}


/* A leaf has few messages left, or none. */
static void __attribute__((noinline))
leaf_shrink(kmq_shard_t *s, kmq_index_t *node, uint64_t sequence)
{
    unsigned   digit;
    kmq_ref_t  leaf;

    digit = DIGIT(sequence, LOWEST);
    leaf = node->child[digit];

    if (node->count[digit]) {
        node->child[digit] = is_small(leaf) ? leaf : leaf_narrow(s, leaf);
        return;
    }

    leaf_free(s, leaf);
    node->child[digit] = 0;

    if (node_empty(node)) {
        prune(s, sequence);
    }
}


/* Removes a message that is going. */
void
kmq_index_remove(kmq_shard_t *s, const kmq_slot_t *slot)
{
    unsigned      digit;
    kmq_ref_t    *entry, leaf;
    kmq_index_t  *node;

    node = node_recall(s, GOING, slot->sequence);

    if (node == NULL) {
        node = node_find(s, slot->sequence);
    }

    if (node == NULL) {
        return;
    }

    digit = DIGIT(slot->sequence, LOWEST);
    leaf = node->child[digit];
    entry = leaf ? leaf_entry(s, leaf, node->count[digit],
                              PLACE(slot->sequence)) : NULL;

    if (entry == NULL || *entry == 0) {
        return;
    }

    if (is_small(leaf)) {
        small_remove(s, leaf, node->count[digit], entry);

    } else {
        *entry = 0;
    }

    if (--node->count[digit] <= SMALL_NARROW) {
        leaf_shrink(s, node, slot->sequence);
    }
}


/* ------------------------------------------------------------------- walks */

/*
 * The lowest node with the newest message of number *sequence or less that may
 * have been created between from and to; *sequence becomes the number with
 * which to begin in it.  NULL: there is none.
 */
const kmq_index_t *
kmq_index_older(kmq_shard_t *s, uint64_t *sequence, uint32_t from,
    uint32_t to)
{
    unsigned      bits;
    kmq_index_t  *node;

    if (s->index == 0) {
        return NULL;
    }

    if (!fits(s->index_levels, *sequence)) {
        *sequence = (UINT64_C(1) << BITS(s->index_levels)) - 1;
    }

    for ( ;; ) {
        node = descend(s, *sequence, from, to, &bits);

        if (node) {
            return node;
        }

        if (bits >= 64 || *sequence >> bits == 0) {
            return NULL;
        }

        *sequence = (*sequence >> bits << bits) - 1;
    }
}


/* The same for the oldest one of number *sequence or more. */
const kmq_index_t *
kmq_index_newer(kmq_shard_t *s, uint64_t *sequence, uint32_t from,
    uint32_t to)
{
    unsigned      bits;
    kmq_index_t  *node;

    while (s->index && fits(s->index_levels, *sequence)) {
        node = descend(s, *sequence, from, to, &bits);

        if (node) {
            return node;
        }

        *sequence = bits < 64 ? ((*sequence >> bits) + 1) << bits : 0;

        if (*sequence == 0) {
            return NULL;
        }
    }

    return NULL;
}


/* The messages of a lowest node from one place to another, both included, in
 * the order of their numbers; returns how many. */
unsigned
kmq_index_gather(kmq_shard_t *s, const kmq_index_t *node, unsigned first,
    unsigned last, kmq_slot_t *slot[KMQ_NODE_NUMBERS])
{
    unsigned    n, i, digit;
    kmq_ref_t  *entry;

    n = 0;

    for (i = first; i <= last; i++) {
        digit = i / KMQ_LEAF_SIZE;

        if (node->child[digit] == 0) {
            i |= KMQ_LEAF_SIZE - 1;
            continue;
        }

        entry = leaf_entry(s, node->child[digit], node->count[digit],
                           i % KMQ_LEAF_SIZE);

        if (entry && *entry) {
            slot[n++] = KMQ_AT(s, *entry);
        }
    }

    return n;
}


/* How many messages a lowest node has. */
unsigned
kmq_index_count(const kmq_index_t *node)
{
    unsigned  n, i;

    n = 0;

    for (i = 0; i < KMQ_INDEX_SIZE; i++) {
        n += node->count[i];
    }

    return n;
}


/* The cells of all that is below a reference: for kmq_verify(). */
static uint64_t
cells_below(kmq_shard_t *s, kmq_ref_t ref, unsigned level)
{
    unsigned      i;
    uint64_t      n;
    kmq_index_t  *node;

    if (ref == 0) {
        return 0;
    }

    if (level == 0) {
        return is_small(ref) ? 1 : FULL_CELLS;
    }

    n = NODE_CELLS;
    node = KMQ_AT(s, ref);

    for (i = 0; i < KMQ_INDEX_SIZE; i++) {
        n += cells_below(s, node->child[i], level - 1);
    }

    return n;
}


uint64_t
kmq_index_cells(kmq_shard_t *s)
{
    return s->index ? cells_below(s, s->index, s->index_levels - 1) : 0;
}


/* Empties the index, for a repair, which frees the old nodes. */
void
kmq_index_reset(kmq_shard_t *s)
{
    s->index = 0;
    s->index_levels = 0;
    memset(s->index_node, 0, sizeof(s->index_node));
}
