/*
 * Cells: what messages and the index are made of.
 *
 * A page of messages is 512 cells of 16 bytes.  A slot, a piece of a body and
 * a node of the index are runs of cells, wherever there is one.  So free
 * memory serves all of them, whatever was there before, and whatever stays.
 *
 * A hole is a run of free cells that is as long as it can be.  Holes are in
 * lists by their length.  Their first and last cells are marked in the page's
 * edges, by which a freed run finds the holes beside it.  The idea is that of
 * boundary tags (D. Knuth, The Art of Computer Programming, 2.5) with
 * segregated lists (M. Masmano and others, "TLSF: a new dynamic memory
 * allocator for real-time systems"): nothing is ever searched.
 *
 * While there are whole pages, runs are cut one after the other from one hole,
 * the cursor, which is in no list and has no edges.
 *
 * There are two heaps, one for messages and one for the index, as long as
 * there are pages for it: pages of messages that go together are free
 * together.
 */

#include "../kmq_block.h"
#include "kmq_memory_inside.h"


/* A hole; its last four bytes tell its cells, too. */
typedef struct {
    kmq_ref_t  next;
    kmq_ref_t  prev;
    uint32_t   cells;
} kmq_hole_t;

#define REFS  (KMQ_CELL / 8)     /* of a cell, in units of kmq_ref_t */

/* Holes up to this have lists of their own length. */
#define EXACT_MAX  32


/* The heap of a page's cells. */
static kmq_heap_t *
heap_of(kmq_shard_t *s, uint32_t page)
{
    return &s->heap[kmq_page_at(s, page)->class - KMQ_CLASS_MESSAGE];
}


/* The number of a cell in its page. */
static unsigned
cell_of(kmq_ref_t ref)
{
    /* pages are aligned to their size */

    return ref % (KMQ_PAGE_SIZE / 8) / REFS;
}


static int
bit_is_set(const uint64_t *bits, unsigned i)
{
    return bits[i / 64] >> i % 64 & 1;
}


static void
bit_set(uint64_t *bits, unsigned i)
{
    bits[i / 64] |= UINT64_C(1) << i % 64;
}


static void
bit_clear(uint64_t *bits, unsigned i)
{
    bits[i / 64] &= ~(UINT64_C(1) << i % 64);
}


/* ------------------------------------------------------------------ holes */

/* The list for a hole of n cells: each up to 32 cells has its own, then there
 * are eight between a power of two and the next. */
static unsigned
bin_of(unsigned n)
{
    unsigned  power;

    if (n <= EXACT_MAX) {
        return n - 1;
    }

    power = 31 - __builtin_clz(n);

    return EXACT_MAX + (power - 5) * 8 + (n >> (power - 3)) % 8;
}


/* The first list in which all holes have n cells or more. */
static unsigned
bin_for(unsigned n)
{
    if (n <= EXACT_MAX) {
        return n - 1;
    }

    return bin_of(n + (1 << (31 - __builtin_clz(n) - 3)) - 1);
}


static uint32_t *
hole_end(kmq_shard_t *s, kmq_ref_t ref, unsigned n)
{
    return (uint32_t *) KMQ_AT(s, ref + n * REFS) - 1;
}


static void
hole_insert(kmq_shard_t *s, kmq_heap_t *heap, kmq_ref_t ref, unsigned n)
{
    unsigned      bin, i;
    kmq_hole_t   *hole = KMQ_AT(s, ref);
    kmq_cells_t  *cells = kmq_cells_of(s, kmq_page_of(s, ref));

    bin = bin_of(n);
    i = cell_of(ref);

    hole->next = heap->hole[bin];
    hole->prev = 0;
    hole->cells = n;
    *hole_end(s, ref, n) = n;

    if (hole->next) {
        ((kmq_hole_t *) KMQ_AT(s, hole->next))->prev = ref;
    }

    heap->hole[bin] = ref;
    heap->holes |= UINT64_C(1) << bin;

    bit_set(cells->edge, i);
    bit_set(cells->edge, i + n - 1);
}


/* Takes a hole out of its list; returns its cells. */
static unsigned
hole_remove(kmq_shard_t *s, kmq_heap_t *heap, kmq_ref_t ref)
{
    unsigned      bin, i, n;
    kmq_hole_t   *hole = KMQ_AT(s, ref);
    kmq_cells_t  *cells = kmq_cells_of(s, kmq_page_of(s, ref));

    n = hole->cells;
    i = cell_of(ref);

    bit_clear(cells->edge, i);
    bit_clear(cells->edge, i + n - 1);

    if (hole->next) {
        ((kmq_hole_t *) KMQ_AT(s, hole->next))->prev = hole->prev;
    }

    if (hole->prev) {
        ((kmq_hole_t *) KMQ_AT(s, hole->prev))->next = hole->next;
        return n;
    }

    bin = bin_of(n);
    heap->hole[bin] = hole->next;

    if (hole->next == 0) {
        heap->holes &= ~(UINT64_C(1) << bin);
    }

    return n;
}


/* Makes a hole of a free run and of the holes on both sides of it.  A whole
 * page goes back to the others. */
static void
hole_make(kmq_shard_t *s, kmq_heap_t *heap, kmq_ref_t ref, unsigned n)
{
    unsigned      i, before;
    kmq_ref_t     behind;
    kmq_cells_t  *cells = kmq_cells_of(s, kmq_page_of(s, ref));

    i = cell_of(ref);
    behind = ref + n * REFS;

    if (i + n < KMQ_PAGE_CELLS && bit_is_set(cells->edge, i + n)) {
        n += hole_remove(s, heap, behind);
    }

    if (i && bit_is_set(cells->edge, i - 1)) {
        before = *hole_end(s, ref, 0);
        ref -= before * REFS;
        n += before;
        (void) hole_remove(s, heap, ref);
    }

    if (n == KMQ_PAGE_CELLS) {
        heap->free_cells -= KMQ_PAGE_CELLS;
        kmq_page_give(s, kmq_page_of(s, ref));
        return;
    }

    hole_insert(s, heap, ref, n);
}


/* A hole of n cells or more, taken out of its list; 0: there is none. */
static kmq_ref_t
hole_take(kmq_shard_t *s, kmq_heap_t *heap, unsigned n)
{
    unsigned   bin;
    uint64_t   holes;
    kmq_ref_t  ref;

    if (n == KMQ_PAGE_CELLS) {
        return 0;
    }

    bin = bin_for(n);
    holes = bin < KMQ_BINS ? heap->holes >> bin : 0;

    if (holes) {
        ref = heap->hole[bin + __builtin_ctzll(holes)];

    } else {
        ref = heap->hole[bin_of(n)];

        if (ref == 0 || ((kmq_hole_t *) KMQ_AT(s, ref))->cells < n) {
            return 0;
        }
    }

    (void) hole_remove(s, heap, ref);

    return ref;
}


/* The same, but one that leaves nothing, or room for a slot: shorter holes are
 * for bodies alone. */
static kmq_ref_t
hole_take_tight(kmq_shard_t *s, kmq_heap_t *heap, unsigned n)
{
    if (n > EXACT_MAX || heap->holes >> bin_of(n) & 1) {
        return hole_take(s, heap, n);
    }

    return hole_take(s, heap, n + KMQ_SLOT_CELLS);
}


/* ----------------------------------------------------------------- cursor */

/* What is left of the cursor becomes a hole. */
static void
cursor_drop(kmq_shard_t *s, kmq_heap_t *heap)
{
    unsigned  n;

    n = heap->cursor_cells;

    if (n) {
        heap->cursor_cells = 0;
        hole_make(s, heap, heap->cursor, n);
    }
}


/* Keeps the n cells behind a run that was cut from a hole. */
static void
rest_keep(kmq_shard_t *s, kmq_heap_t *heap, kmq_ref_t ref, unsigned n)
{
    if (n > heap->cursor_cells && !kmq_pages_short(s)) {
        cursor_drop(s, heap);
        heap->cursor = ref;
        heap->cursor_cells = n;
        return;
    }

    if (n) {
        hole_insert(s, heap, ref, n);
    }
}


/* ------------------------------------------------------------------- runs */

/* Is there a run of n cells, at most a page, for a message? */
int
kmq_cells_room(const kmq_shard_t *s, unsigned n)
{
    unsigned           bin;
    const kmq_heap_t  *heap = &s->heap[KMQ_HEAP_MESSAGES];

    if (n <= heap->cursor_cells || !kmq_pages_short(s)) {
        return 1;
    }

    bin = bin_for(n);

    return bin < KMQ_BINS && heap->holes >> bin;
}


/* A new page as a hole that is in no list; 0: there is none. */
static kmq_ref_t
page_cut(kmq_shard_t *s, kmq_heap_t *heap)
{
    uint32_t     page;
    kmq_ref_t    ref;
    kmq_hole_t  *hole;

    page = kmq_page_take(s, KMQ_CLASS_MESSAGE + (heap - s->heap), 0);
    if (page == 0) {
        return 0;
    }

    ref = kmq_page_ref(s, page);
    hole = KMQ_AT(s, ref);
    hole->cells = KMQ_PAGE_CELLS;
    heap->free_cells += KMQ_PAGE_CELLS;

    return ref;
}


/* A run of n cells, at most a page; 0: there is none.  tight: one that leaves
 * nothing, or room for a slot. */
static kmq_ref_t
run_alloc(kmq_shard_t *s, kmq_heap_t *heap, unsigned n, int tight)
{
    unsigned   have;
    kmq_ref_t  ref;

    if (n <= heap->cursor_cells) {
        ref = heap->cursor;
        heap->cursor += n * REFS;
        heap->cursor_cells -= n;
        heap->free_cells -= n;
        return ref;
    }

    ref = hole_take_tight(s, heap, n);

    if (ref == 0) {
        ref = page_cut(s, heap);
    }

    if (ref == 0 && !tight) {
        ref = hole_take(s, heap, n);
    }

    if (ref == 0) {
        return 0;
    }

    have = ((kmq_hole_t *) KMQ_AT(s, ref))->cells;
    heap->free_cells -= n;
    rest_keep(s, heap, ref + n * REFS, have - n);

    return ref;
}


/* The same for a message. */
kmq_ref_t
kmq_cells_alloc(kmq_shard_t *s, unsigned n)
{
    return run_alloc(s, &s->heap[KMQ_HEAP_MESSAGES], n, 0);
}


/* The same, tight. */
kmq_ref_t
kmq_cells_alloc_tight(kmq_shard_t *s, unsigned n)
{
    return run_alloc(s, &s->heap[KMQ_HEAP_MESSAGES], n, 1);
}


/* The same for the index: of its own pages, if it can be.  While cells are
 * marked there are no others. */
kmq_ref_t
kmq_cells_alloc_index(kmq_shard_t *s, unsigned n)
{
    kmq_ref_t  ref;

    ref = run_alloc(s, &s->heap[KMQ_HEAP_INDEX], n, 0);

    return ref || s->marking ? ref : kmq_cells_alloc(s, n);
}


/* The same, of a new page while there is one: larger runs then have the holes
 * to themselves. */
kmq_ref_t
kmq_cells_alloc_apart(kmq_shard_t *s, unsigned n)
{
    kmq_ref_t    ref;
    kmq_heap_t  *heap = &s->heap[KMQ_HEAP_INDEX];

    ref = n > heap->cursor_cells ? page_cut(s, heap) : 0;

    if (ref == 0) {
        return kmq_cells_alloc_index(s, n);
    }

    heap->free_cells -= n;
    rest_keep(s, heap, ref + n * REFS, KMQ_PAGE_CELLS - n);

    return ref;
}


/* The longest run of a heap, up to *n cells, which becomes what it has; 0:
 * there is none. */
static kmq_ref_t
run_alloc_any(kmq_shard_t *s, kmq_heap_t *heap, unsigned *n)
{
    unsigned   have;
    kmq_ref_t  ref;

    cursor_drop(s, heap);

    if (heap->holes == 0) {
        return 0;
    }

    ref = heap->hole[63 - __builtin_clzll(heap->holes)];
    have = hole_remove(s, heap, ref);

    if (have > *n) {
        hole_insert(s, heap, ref + *n * REFS, have - *n);

    } else {
        *n = have;
    }

    heap->free_cells -= *n;

    return ref;
}


/* The same for a part of a body, which may lie in a page of the index. */
kmq_ref_t
kmq_cells_alloc_any(kmq_shard_t *s, unsigned *n)
{
    kmq_ref_t  ref;

    ref = run_alloc_any(s, &s->heap[KMQ_HEAP_MESSAGES], n);

    if (ref == 0) {
        KMQ_SET(s->strayed, 1);
        ref = run_alloc_any(s, &s->heap[KMQ_HEAP_INDEX], n);
    }

    return ref;
}


/* Frees a run that nothing refers to. */
void
kmq_cells_free(kmq_shard_t *s, kmq_ref_t ref, unsigned n)
{
    kmq_heap_t  *heap = heap_of(s, kmq_page_of(s, ref));

    heap->free_cells += n;
    hole_make(s, heap, ref, n);
}


/* ------------------------------------------------------------------ slots */

/* Notes that a slot, whose state reads as free, is at its place, or is gone. */
void
kmq_slot_place(kmq_shard_t *s, const kmq_slot_t *slot, int there)
{
    uint64_t   *word, bit;
    kmq_ref_t   ref;

    ref = KMQ_REF(s, slot);
    word = &kmq_cells_of(s, kmq_page_of(s, ref))->slot[cell_of(ref) / 64];
    bit = UINT64_C(1) << cell_of(ref) % 64;

    KMQ_SET(*word, there ? *word | bit : *word & ~bit);
    KMQ_POINT("slot-place");
}


/* The slot at a place that may be wrong; NULL: there is none. */
kmq_slot_t *
kmq_slot_at(kmq_shard_t *s, kmq_ref_t ref)
{
    if (kmq_class_of(s, ref) != KMQ_CLASS_MESSAGE || ref % REFS
        || !bit_is_set(kmq_cells_of(s, kmq_page_of(s, ref))->slot,
                       cell_of(ref)))
    {
        return NULL;
    }

    return KMQ_AT(s, ref);
}


/* The place of the next slot of a walk, whether that is free or not; 0: the
 * end. */
static kmq_ref_t
slot_place_next(kmq_shard_t *s, kmq_walk_t *walk)
{
    uint32_t            page;
    uint64_t            bits;
    const kmq_cells_t  *cells;

    for ( ;; ) {

        if (!kmq_page_owned(s, walk->page)) {
            page = kmq_page_next(s, walk->page);
            if (page == 0) {
                return 0;
            }

            walk->page = page;
            walk->index = 0;
        }

        cells = kmq_cells_of(s, walk->page);

        while (walk->index < KMQ_PAGE_CELLS
               && kmq_page_at(s, walk->page)->class == KMQ_CLASS_MESSAGE)
        {
            bits = cells->slot[walk->index / 64] >> walk->index % 64;

            if (bits) {
                walk->index += __builtin_ctzll(bits);
                return kmq_page_ref(s, walk->page) + walk->index++ * REFS;
            }

            walk->index = (walk->index | 63) + 1;
        }

        walk->page++;
        walk->index = 0;
    }
}


kmq_slot_t *
kmq_slot_next(kmq_shard_t *s, kmq_walk_t *walk)
{
    kmq_ref_t    ref;
    kmq_slot_t  *slot;

    while ((ref = slot_place_next(s, walk))) {
        slot = KMQ_AT(s, ref);

        if (slot->state != KMQ_FREE) {
            return slot;
        }
    }

    return NULL;
}


unsigned
kmq_slots_next(kmq_shard_t *s, kmq_walk_t *walk,
    kmq_slot_t *slot[KMQ_WALK_SLOTS])
{
    unsigned   i, n, places;
    kmq_ref_t  ref;

    do {
        places = 0;

        while (places < KMQ_WALK_SLOTS && (ref = slot_place_next(s, walk))) {
            slot[places] = KMQ_AT(s, ref);
            kmq_slot_prefetch(slot[places++]);
        }

        for (i = 0, n = 0; i < places; i++) {
            if (slot[i]->state != KMQ_FREE) {
                slot[n++] = slot[i];
            }
        }
    } while (n == 0 && places);

    return n;
}


/* ----------------------------------------------------------------- repair */

/* Marks a run as in use, in the edges, between kmq_rebuild_begin() and
 * kmq_cells_rebuild(). */
void
kmq_cells_mark(kmq_shard_t *s, kmq_ref_t ref, unsigned n)
{
    unsigned   i, bits;
    uint64_t  *edge = kmq_cells_of(s, kmq_page_of(s, ref))->edge;

    for (i = cell_of(ref); n; i += bits, n -= bits) {
        bits = 64 - i % 64;
        bits = bits < n ? bits : n;

        edge[i / 64] |= (bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1)
                        << i % 64;
    }
}


/* Forgets all holes; each page then tells its own. */
void
kmq_cells_reset(kmq_shard_t *s)
{
    memset(s->heap, 0, sizeof(s->heap));
    s->trash = 0;
}


/* The first cell from i on that is in use, or free. */
static unsigned
cell_find(const uint64_t *used, unsigned i, int in_use)
{
    uint64_t  bits;

    while (i < KMQ_PAGE_CELLS) {
        bits = (in_use ? used[i / 64] : ~used[i / 64]) >> i % 64;

        if (bits) {
            return i + __builtin_ctzll(bits);
        }

        i = (i | 63) + 1;
    }

    return KMQ_PAGE_CELLS;
}


/* Finds the holes of a page in which the cells in use have been marked.
 * Touches no others.  0: all of them are free. */
int
kmq_cells_rebuild(kmq_shard_t *s, uint32_t page)
{
    unsigned      i, end;
    uint64_t      used[KMQ_PAGE_CELLS / 64];
    kmq_heap_t   *heap = heap_of(s, page);
    kmq_cells_t  *cells = kmq_cells_of(s, page);

    memcpy(used, cells->edge, sizeof(used));
    memset(cells->edge, 0, sizeof(cells->edge));

    for (i = 0; i < KMQ_PAGE_CELLS / 64; i++) {
        cells->slot[i] &= used[i];
    }

    for (i = cell_find(used, 0, 0); i < KMQ_PAGE_CELLS;
         i = cell_find(used, end, 0))
    {
        end = cell_find(used, i, 1);
        heap->free_cells += end - i;
        hole_make(s, heap, kmq_page_ref(s, page) + i * REFS, end - i);
    }

    return cell_find(used, 0, 1) < KMQ_PAGE_CELLS;
}


/* ----------------------------------------------------------------- verify */

/* Checks the lists of holes against the edges and the count of free cells.
 * NULL, or what is wrong. */
const char *
kmq_heap_verify(kmq_shard_t *s, const kmq_heap_t *heap)
{
    unsigned           bin;
    uint64_t           free;
    kmq_ref_t          ref, prev;
    const uint64_t    *edge;
    const kmq_hole_t  *hole;

    free = heap->cursor_cells;

    for (bin = 0; bin < KMQ_BINS; bin++) {

        if ((heap->hole[bin] != 0) != (heap->holes >> bin & 1)) {
            return "the mark of a list of holes is wrong";
        }

        for (prev = 0, ref = heap->hole[bin]; ref;
             prev = ref, ref = hole->next)
        {
            hole = KMQ_AT(s, ref);
            edge = kmq_cells_of(s, kmq_page_of(s, ref))->edge;

            if (hole->prev != prev || hole->cells == 0
                || cell_of(ref) + hole->cells > KMQ_PAGE_CELLS
                || bin_of(hole->cells) != bin
                || *hole_end(s, ref, hole->cells) != hole->cells
                || !bit_is_set(edge, cell_of(ref))
                || !bit_is_set(edge, cell_of(ref) + hole->cells - 1))
            {
                return "a list of holes breaks";
            }

            free += hole->cells;

            if (free > heap->free_cells) {
                return "there are more free cells than are counted";
            }
        }
    }

    return free == heap->free_cells ? NULL : "free cells are missing";
}
