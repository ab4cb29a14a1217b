/*
 * Memory for rings, which hold a consumer's deliveries: objects of 512 bytes,
 * linked by their first word.  A page of them goes back when all are free.
 */

#include "../kmq_block.h"
#include "kmq_memory_inside.h"


/* Pages of rings that have room. */
static void
partial_insert(kmq_block_t *b, uint32_t n)
{
    kmq_page_t  *page = &b->page[n];

    page->prev = 0;
    page->next = b->ring_page;

    if (page->next) {
        b->page[page->next].prev = n;
    }

    b->ring_page = n;
}


static void
partial_remove(kmq_block_t *b, uint32_t n)
{
    kmq_page_t  *page = &b->page[n];

    if (page->prev) {
        b->page[page->prev].next = page->next;
    } else {
        b->ring_page = page->next;
    }

    if (page->next) {
        b->page[page->next].prev = page->prev;
    }
}


/* A ring for deliveries, empty; 0: no memory. */
kmq_ref_t
kmq_ring_alloc(kmq_block_t *b)
{
    uint32_t     n;
    kmq_page_t  *page;
    kmq_ref_t   *ring;

    n = b->ring_page;

    if (n == 0) {
        n = kmq_page_take(b, KMQ_CLASS_RING, 1);
        if (n == 0) {
            return 0;
        }

        partial_insert(b, n);
    }

    page = &b->page[n];

    if (page->free) {
        ring = KMQ_AT(b, page->free);
        page->free = *ring;

    } else {
        ring = kmq_page_object(b, n, page->fresh++);
    }

    page->used++;

    if (page->free == 0 && page->fresh == page->capacity) {
        partial_remove(b, n);
    }

    memset(ring, 0, KMQ_RING_HEAD);

    return KMQ_REF(b, ring);
}


void
kmq_ring_free(kmq_block_t *b, kmq_ref_t ref)
{
    int          full;
    uint32_t     n;
    kmq_page_t  *page;

    n = kmq_page_of(b, ref);
    page = &b->page[n];
    full = page->free == 0 && page->fresh == page->capacity;

    *(kmq_ref_t *) KMQ_AT(b, ref) = page->free;
    page->free = ref;
    page->used--;

    if (page->used == 0) {
        if (!full) {
            partial_remove(b, n);
        }

        kmq_page_give(b, n);
        return;
    }

    if (full) {
        partial_insert(b, n);
    }
}


/* Frees all rings of a chain. */
void
kmq_rings_free(kmq_block_t *b, kmq_ref_t chain)
{
    kmq_ref_t  next;

    for ( /* void */ ; chain; chain = next) {
        next = *(kmq_ref_t *) KMQ_AT(b, chain);
        kmq_ring_free(b, chain);
    }
}


/* Marks all rings of a chain as in use. */
void
kmq_ring_mark(kmq_block_t *b, kmq_ref_t chain)
{
    while (chain) {
        kmq_cells_mark(b, chain, KMQ_RING_SIZE / KMQ_CELL);
        chain = *(kmq_ref_t *) KMQ_AT(b, chain);
    }
}


/* Only rings that are not in use are touched. */
void
kmq_ring_rebuild(kmq_block_t *b, uint32_t n)
{
    unsigned      i, cell;
    kmq_ref_t    *ring;
    kmq_page_t   *page = &b->page[n];
    kmq_cells_t  *cells = kmq_cells_of(b, n);

    page->free = 0;
    page->used = 0;
    page->size = KMQ_RING_SIZE;
    page->capacity = KMQ_PAGE_SIZE / KMQ_RING_SIZE;
    page->fresh = page->capacity;

    for (i = page->capacity; i-- > 0; ) {
        cell = i * (KMQ_RING_SIZE / KMQ_CELL);

        if (cells->edge[cell / 64] >> cell % 64 & 1) {
            page->used++;
            continue;
        }

        ring = kmq_page_object(b, n, i);
        *ring = page->free;
        page->free = KMQ_REF(b, ring);
    }

    if (page->used == 0) {
        kmq_page_give(b, n);

    } else if (page->free) {
        partial_insert(b, n);
    }
}
