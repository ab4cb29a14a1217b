/*
 * Messages in memory: a slot and a body, which lies behind the slot when there
 * is room for both, and else anywhere.
 *
 * A body is one piece, if possible, or a chain of pieces, so that whatever
 * fits into the free cells can be stored.  A chain is made from its end.
 */

#include "../kmq_block.h"
#include "kmq_memory_inside.h"


/* How often history is dropped, KMQ_DROP messages at a time, to have a body in
 * one piece, before several pieces are used. */
#define DROPS_ONE    4

/* How often it is dropped under one lock to have room at all. */
#define DROPS_MAX    256

/* Pieces that are made, and that are freed, under one lock. */
#define PIECES_MAX   512
#define FREED_MAX    64

/* The cells of the shortest piece that is used while there is history. */
#define PIECE_CELLS  8

/* The cells of the longest hole without room for a slot, and of the largest
 * body that is cut into pieces when memory is full. */
#define SMALL_CELLS  (KMQ_SLOT_CELLS - 1)
#define PIECED_MAX   KMQ_PAGE_CELLS

/* The lists of such holes, as bits. */
#define SMALL_HOLES  ((1 << SMALL_CELLS) - 1)


/* The cells of a run of so many bytes. */
static unsigned
cells_for(size_t bytes)
{
    return (unsigned) ((bytes + KMQ_CELL - 1) / KMQ_CELL);
}


/* The cells of a body of one piece.  When they are more than a page, it is
 * several. */
static size_t
body_cells(uint32_t size)
{
    return ((size_t) size + KMQ_PIECE_HEAD + KMQ_CELL - 1) / KMQ_CELL;
}


static int
is_single(uint32_t size)
{
    return body_cells(size) <= KMQ_PAGE_CELLS - KMQ_SLOT_CELLS;
}


/* ------------------------------------------------------------------ bytes */

/* The data of a piece.  *n: how much of it is the body's, of which left bytes
 * have not been met yet. */
static unsigned char *
piece_data(kmq_piece_t *piece, uint32_t left, uint32_t *n)
{
    if (piece->next == KMQ_SINGLE) {
        *n = left;
        return (unsigned char *) piece + KMQ_PIECE_HEAD;
    }

    *n = piece->size < left ? piece->size : left;

    return (unsigned char *) piece + KMQ_CHAIN_HEAD;
}


static kmq_ref_t
piece_next(const kmq_piece_t *piece)
{
    return piece->next > KMQ_LAST ? piece->next : 0;
}


/* The piece behind the one at that place, both as others name them. */
static kmq_ref_t
place_next(const kmq_t *kmq, kmq_ref_t place, const kmq_piece_t *piece)
{
    kmq_ref_t  next;

    next = piece_next(piece);

    return next ? KMQ_OUT(kmq_shard_at(kmq, place), next) : 0;
}


const void *
kmq_body(kmq_t *kmq, const kmq_message_t *m)
{
    return KMQ_AT(kmq->block, m->body);
}


const char *
kmq_read(kmq_t *kmq, kmq_ref_t *piece, uint32_t *left, uint32_t *n)
{
    const char   *data;
    kmq_piece_t  *p;

    if (*left == 0 || *piece == 0) {
        return NULL;
    }

    p = KMQ_AT(kmq->block, *piece);

    if (p->next == KMQ_SINGLE) {
        *n = *left;
        *left = 0;
        *piece = 0;
        return (const char *) p + KMQ_PIECE_HEAD;
    }

    data = (const char *) piece_data(p, *left, n);

    *left -= *n;
    *piece = place_next(kmq, *piece, p);

    return data;
}


/* The same for a body of several pieces. */
static void
chain_write(kmq_t *kmq, kmq_message_t *m, const void *bytes, size_t n)
{
    uint32_t              room;
    kmq_piece_t          *piece;
    unsigned char        *to;
    const unsigned char  *from = bytes;

    while (n && m->piece) {
        piece = KMQ_AT(kmq->block, m->piece);
        to = piece_data(piece, m->size, &room) + m->offset;
        room -= m->offset;
        room = room < n ? room : n;

        memcpy(to, from, room);

        from += room;
        n -= room;
        m->offset += room;

        if (n) {
            m->piece = place_next(kmq, m->piece, piece);
            m->offset = 0;
        }
    }
}


void
kmq_write(kmq_t *kmq, kmq_message_t *m, const void *bytes, size_t n)
{
    unsigned char  *piece = KMQ_AT(kmq->block, m->piece);

    if (((kmq_piece_t *) piece)->next != KMQ_SINGLE) {
        chain_write(kmq, m, bytes, n);
        return;
    }

    n = m->size - m->offset < n ? m->size - m->offset : n;

    memcpy(piece + KMQ_PIECE_HEAD + m->offset, bytes, n);
    m->offset += (uint32_t) n;
}


/* -------------------------------------------------------------------- free */

/* A chain that has not been freed yet: the first cell of its first piece. */
typedef struct {
    kmq_piece_t  piece;
    kmq_ref_t    next;           /* another one */
} trash_t;

_Static_assert(sizeof(trash_t) <= KMQ_CELL, "it fits into each piece");


/* Frees pieces of a chain, at most max; returns the rest. */
static kmq_ref_t
chain_free(kmq_shard_t *s, kmq_ref_t chain, unsigned max)
{
    kmq_ref_t     next;
    kmq_piece_t  *piece;

    for ( /* void */ ; chain && max; chain = next, max--) {
        piece = KMQ_AT(s, chain);
        next = piece_next(piece);
        kmq_cells_free(s, chain, cells_for(piece->size + KMQ_CHAIN_HEAD));
    }

    return chain;
}


static void
trash_add(kmq_shard_t *s, kmq_ref_t chain)
{
    trash_t  *trash;

    if (chain) {
        trash = KMQ_AT(s, chain);
        trash->next = s->trash;
        s->trash = chain;
    }
}


/* Frees a few pieces of a body that had too many of them.  0: there is none. */
int
kmq_trash_free(kmq_shard_t *s)
{
    kmq_ref_t   chain;
    trash_t    *trash;

    chain = s->trash;

    if (chain == 0) {
        return 0;
    }

    trash = KMQ_AT(s, chain);
    s->trash = trash->next;

    trash_add(s, chain_free(s, chain, FREED_MAX));

    return 1;
}


/* Frees a body of several pieces; when they are many, some of them later. */
void
kmq_chain_free(kmq_shard_t *s, kmq_ref_t chain)
{
    trash_add(s, chain_free(s, chain, FREED_MAX));
}


static void
body_free(kmq_shard_t *s, kmq_ref_t body, uint32_t size)
{
    kmq_piece_t  *piece;

    if (body == 0) {
        return;
    }

    piece = KMQ_AT(s, body);

    if (piece->next == KMQ_SINGLE) {
        kmq_cells_free(s, body, body_cells(size));

    } else {
        kmq_chain_free(s, body);
    }
}


/* Are slot and body one run?  They are not when a page begins between them. */
static int
is_behind(kmq_shard_t *s, const kmq_slot_t *slot)
{
    kmq_piece_t  *piece = KMQ_AT(s, slot->body);

    return slot->body == KMQ_REF(s, slot + 1)
           && slot->body % (KMQ_PAGE_SIZE / 8)
           && piece->next == KMQ_SINGLE;
}


/* Frees a slot, whose state is free already, and its body. */
void
kmq_message_memory_free(kmq_shard_t *s, kmq_slot_t *slot)
{
    kmq_slot_place(s, slot, 0);

    if (is_behind(s, slot)) {
        kmq_cells_free(s, KMQ_REF(s, slot),
                       KMQ_SLOT_CELLS + body_cells(slot->size));
        return;
    }

    body_free(s, slot->body, slot->size);
    kmq_cells_free(s, KMQ_REF(s, slot), KMQ_SLOT_CELLS);
}


/* Marks a message's slot and body as in use. */
void
kmq_message_mark(kmq_shard_t *s, const kmq_slot_t *slot)
{
    kmq_ref_t     ref;
    kmq_piece_t  *piece = KMQ_AT(s, slot->body);

    ref = KMQ_REF(s, slot);

    /* mostly both are one run, which does not reach into another page */

    if (slot->body == KMQ_REF(s, slot + 1) && piece->next == KMQ_SINGLE
        && slot->body % (KMQ_PAGE_SIZE / 8))
    {
        kmq_cells_mark(s, ref, KMQ_SLOT_CELLS + body_cells(slot->size));
        return;
    }

    kmq_cells_mark(s, ref, KMQ_SLOT_CELLS);

    for (ref = slot->body; ref; ref = piece_next(piece)) {
        piece = KMQ_AT(s, ref);

        kmq_cells_mark(s, ref, piece->next == KMQ_SINGLE
                       ? body_cells(slot->size)
                       : cells_for(piece->size + KMQ_CHAIN_HEAD));
    }
}


/* The cells of a body, a message, and all that waits to be freed. */
uint64_t
kmq_chain_cells(kmq_shard_t *s, kmq_ref_t ref, uint32_t size)
{
    uint64_t      n;
    kmq_piece_t  *piece;

    for (n = 0; ref; ref = piece_next(piece)) {
        piece = KMQ_AT(s, ref);

        n += piece->next == KMQ_SINGLE
             ? body_cells(size) : cells_for(piece->size + KMQ_CHAIN_HEAD);
    }

    return n;
}


uint64_t
kmq_message_cells(kmq_shard_t *s, const kmq_slot_t *slot)
{
    return KMQ_SLOT_CELLS + kmq_chain_cells(s, slot->body, slot->size);
}


uint64_t
kmq_trash_cells(kmq_shard_t *s)
{
    uint64_t   n;
    kmq_ref_t  chain;

    n = 0;

    for (chain = s->trash; chain;
         chain = ((trash_t *) KMQ_AT(s, chain))->next)
    {
        n += kmq_chain_cells(s, chain, 0);
    }

    return n;
}


/* ------------------------------------------------------------------- alloc */

/* Gives back memory that nobody needs; 0: there is none. */
static int
room_make(kmq_t *kmq)
{
    return kmq_trash_free(kmq->shard) || kmq->drop(kmq, KMQ_DROP);
}


/* Is all memory used, except for holes between messages? */
static int
is_full(const kmq_shard_t *s)
{
    return s->history.head == 0 && kmq_pages_short(s);
}


/*
 * A full memory has holes without room for a slot.  Bodies take these first,
 * and longer holes only so that nothing is left of them, or room for a slot.
 * *n becomes what the run has.  0: there is no such hole, or the body is too
 * large to look for one.
 */
static kmq_ref_t
piece_alloc_full(kmq_shard_t *s, unsigned *n)
{
    unsigned   cells;
    uint64_t   holes;
    kmq_ref_t  ref;

    if (*n > PIECED_MAX || !is_full(s)) {
        return 0;
    }

    holes = s->heap[KMQ_HEAP_MESSAGES].holes & SMALL_HOLES;

    if (holes) {
        cells = 64 - __builtin_clzll(holes);
        *n = *n < cells ? *n : cells;
        return kmq_cells_alloc(s, *n);
    }

    for (cells = *n; cells && cells + SMALL_CELLS >= *n; cells--) {
        ref = kmq_cells_alloc_tight(s, cells);

        if (ref) {
            *n = cells;
            return ref;
        }
    }

    return 0;
}


/* A run for the rest of a body, as long as it can be: *n cells. */
static kmq_ref_t
piece_alloc(kmq_t *kmq, unsigned *n, unsigned *drops)
{
    kmq_ref_t     ref;
    kmq_shard_t  *s = kmq->shard;

    ref = piece_alloc_full(s, n);

    if (ref) {
        return ref;
    }

    for ( ;; ) {
        ref = kmq_cells_alloc(s, *n);

        if (ref) {
            return ref;
        }

        /* short pieces are slow to read: only when there is nothing else */

        if (s->history.head == 0
            || s->heap[KMQ_HEAP_MESSAGES].holes >> (PIECE_CELLS - 1))
        {
            ref = kmq_cells_alloc_any(s, n);
        }

        if (ref || *drops == 0 || !room_make(kmq)) {
            return ref ? ref : kmq_cells_alloc_any(s, n);
        }

        (*drops)--;
    }
}


/* Puts pieces in front of a body's chain until it has room for the message
 * (KMQ_OK), or there were PIECES_MAX (KMQ_AGAIN).  KMQ_NOMEM. */
static int
chain_extend(kmq_t *kmq, kmq_slot_t *slot, uint32_t *left)
{
    size_t        bytes;
    unsigned      n, cells, drops;
    kmq_ref_t     ref;
    kmq_piece_t  *piece;

    drops = DROPS_MAX;

    for (n = 0; n < PIECES_MAX; n++) {
        bytes = (size_t) *left + KMQ_CHAIN_HEAD;
        cells = bytes < KMQ_PAGE_SIZE ? cells_for(bytes) : KMQ_PAGE_CELLS;

        ref = piece_alloc(kmq, &cells, &drops);
        if (ref == 0) {
            return KMQ_NOMEM;
        }

        bytes = cells * KMQ_CELL - KMQ_CHAIN_HEAD;

        piece = KMQ_AT(kmq->shard, ref);
        piece->size = *left < bytes ? *left : bytes;
        piece->next = slot->body ? slot->body : KMQ_LAST;

        KMQ_SET(slot->body, ref);
        KMQ_POINT("chain-extend");

        *left -= piece->size;

        if (*left == 0) {
            return KMQ_OK;
        }
    }

    return KMQ_AGAIN;
}


static kmq_slot_t *
slot_begin(kmq_shard_t *s, kmq_ref_t ref)
{
    kmq_slot_t  *slot = KMQ_AT(s, ref);

    slot->state = KMQ_FREE;
    slot->body = 0;

    return slot;
}


/* A slot with its body behind it. */
static kmq_slot_t *
whole_begin(kmq_shard_t *s, kmq_ref_t ref)
{
    kmq_slot_t  *slot;

    slot = slot_begin(s, ref);
    slot->body = ref + KMQ_SLOT_CELLS * (KMQ_CELL / 8);
    ((kmq_piece_t *) KMQ_AT(s, slot->body))->next = KMQ_SINGLE;

    kmq_slot_place(s, slot, 1);

    return slot;
}


/* Slot and body in one run; drops history for it when that may help. */
static kmq_slot_t *
alloc_whole(kmq_t *kmq, uint32_t size)
{
    unsigned      n, drops;
    kmq_ref_t     ref;
    kmq_shard_t  *s = kmq->shard;

    n = KMQ_SLOT_CELLS + body_cells(size);

    for (drops = 0; /* void */ ; drops++) {
        ref = kmq_cells_alloc(s, n);

        if (ref) {
            break;
        }

        if (drops == DROPS_ONE || !room_make(kmq)) {
            return NULL;
        }
    }

    return whole_begin(s, ref);
}


/* The same in a full memory.  It leaves holes for bodies that are wanted for
 * bodies alone, and never leaves a hole without room for a slot. */
static kmq_slot_t *
alloc_whole_full(kmq_shard_t *s, uint32_t size)
{
    uint64_t   holes;
    kmq_ref_t  ref;

    holes = s->heap[KMQ_HEAP_MESSAGES].holes & SMALL_HOLES;

    if (body_cells(size) <= SMALL_CELLS && holes >> (body_cells(size) - 1)) {
        return NULL;
    }

    ref = kmq_cells_alloc_tight(s, KMQ_SLOT_CELLS + body_cells(size));

    return ref ? whole_begin(s, ref) : NULL;
}


/* A slot alone. */
static kmq_slot_t *
alloc_slot(kmq_t *kmq)
{
    unsigned      drops;
    kmq_ref_t     ref;
    kmq_slot_t   *slot;
    kmq_shard_t  *s = kmq->shard;

    for (drops = 0; /* void */ ; drops++) {
        ref = kmq_cells_alloc(s, KMQ_SLOT_CELLS);

        if (ref) {
            break;
        }

        if (drops == DROPS_MAX || !room_make(kmq)) {
            return NULL;
        }
    }

    slot = slot_begin(s, ref);
    kmq_slot_place(s, slot, 1);

    return slot;
}


/* A body of one piece.  0: there is none, or small pieces should be used
 * instead. */
static kmq_ref_t
alloc_single(kmq_shard_t *s, uint32_t size)
{
    size_t     cells;
    kmq_ref_t  ref;

    cells = body_cells(size);

    if (cells > KMQ_PAGE_CELLS
        || (cells > SMALL_CELLS && is_full(s)
            && s->heap[KMQ_HEAP_MESSAGES].holes & SMALL_HOLES))
    {
        return 0;
    }

    ref = is_full(s) ? kmq_cells_alloc_tight(s, cells)
                     : kmq_cells_alloc(s, cells);

    if (ref) {
        ((kmq_piece_t *) KMQ_AT(s, ref))->next = KMQ_SINGLE;
    }

    return ref;
}


/*
 * A slot with room for a body of that size, or for its end:
 * kmq_message_extend() makes the *left bytes that are missing.  NULL: no
 * memory.
 */
kmq_slot_t *
kmq_message_alloc(kmq_t *kmq, uint32_t size, uint32_t *left)
{
    kmq_slot_t   *slot;
    kmq_shard_t  *s = kmq->shard;

    *left = 0;
    slot = NULL;

    if (is_full(s) && !kmq_message_room(s, size)) {

        /* other shards may have some history */

        (void) kmq->drop(kmq, KMQ_DROP);
    }

    if (is_single(size)) {
        slot = is_full(s) ? alloc_whole_full(s, size)
                          : alloc_whole(kmq, size);
    }

    if (slot) {
        return slot;
    }

    slot = alloc_slot(kmq);
    if (slot == NULL) {
        return NULL;
    }

    slot->size = size;
    slot->body = alloc_single(s, size);

    if (slot->body) {
        return slot;
    }

    *left = size;

    if (chain_extend(kmq, slot, left) == KMQ_NOMEM) {
        kmq_message_memory_free(s, slot);
        return NULL;
    }

    return slot;
}


/* Makes more of the room that is missing: KMQ_OK, KMQ_AGAIN, KMQ_NOMEM. */
int
kmq_message_extend(kmq_t *kmq, kmq_slot_t *slot, uint32_t *left)
{
    return *left ? chain_extend(kmq, slot, left) : KMQ_OK;
}


/* Is there memory for a message, without dropping history?  A body of several
 * pieces always says yes. */
int
kmq_message_room(const kmq_shard_t *s, uint32_t size)
{
    return !is_single(size)
           || kmq_cells_room(s, KMQ_SLOT_CELLS + body_cells(size));
}


/* Does the body of a message have just the room that one of that size needs? */
int
kmq_body_fits(kmq_shard_t *s, const kmq_slot_t *slot, uint32_t size)
{
    const kmq_piece_t  *piece = KMQ_AT(s, slot->body);

    return body_cells(slot->size) == body_cells(size)
           && piece->next == KMQ_SINGLE;
}
