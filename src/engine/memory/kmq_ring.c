/*
 * Memory for rings, which hold a consumer's deliveries: objects of 512 bytes,
 * linked by their first word.  A page of them goes back when all are free.
 */

#include "../kmq_block.h"
#include "kmq_memory_inside.h"


/* Pages of rings that have room. */
static void
partial_insert(kmq_shard_t *s, uint32_t n)
{
    kmq_page_t  *page = kmq_page_at(s, n);

    page->prev = 0;
    page->next = s->ring_page;

    if (page->next) {
        kmq_page_at(s, page->next)->prev = n;
    }

    s->ring_page = n;
}


static void
partial_remove(kmq_shard_t *s, uint32_t n)
{
    kmq_page_t  *page = kmq_page_at(s, n);

    if (page->prev) {
        kmq_page_at(s, page->prev)->next = page->next;
    } else {
        s->ring_page = page->next;
    }

    if (page->next) {
        kmq_page_at(s, page->next)->prev = page->prev;
    }
}


/* A ring for deliveries, empty; 0: no memory. */
kmq_ref_t
kmq_ring_alloc(kmq_shard_t *s)
{
    uint32_t     n;
    kmq_page_t  *page;
    kmq_ref_t   *ring;

    n = s->ring_page;

    if (n == 0) {
        n = kmq_page_take(s, KMQ_CLASS_RING, 1);
        if (n == 0) {
            return 0;
        }

        partial_insert(s, n);
    }

    page = kmq_page_at(s, n);

    if (page->free) {
        ring = KMQ_AT(s, page->free);
        page->free = *ring;

    } else {
        ring = kmq_page_object(s, n, page->fresh++);
    }

    page->used++;

    if (page->free == 0 && page->fresh == page->capacity) {
        partial_remove(s, n);
    }

    memset(ring, 0, KMQ_RING_HEAD);

    return KMQ_REF(s, ring);
}


void
kmq_ring_free(kmq_shard_t *s, kmq_ref_t ref)
{
    int          full;
    uint32_t     n;
    kmq_page_t  *page;

    n = kmq_page_of(s, ref);
    page = kmq_page_at(s, n);
    full = page->free == 0 && page->fresh == page->capacity;

    *(kmq_ref_t *) KMQ_AT(s, ref) = page->free;
    page->free = ref;
    page->used--;

    if (page->used == 0) {
        if (!full) {
            partial_remove(s, n);
        }

        kmq_page_give(s, n);
        return;
    }

    if (full) {
        partial_insert(s, n);
    }
}


/* Frees all rings of a chain. */
void
kmq_rings_free(kmq_shard_t *s, kmq_ref_t chain)
{
    kmq_ref_t  next;

    for ( /* void */ ; chain; chain = next) {
        next = *(kmq_ref_t *) KMQ_AT(s, chain);
        kmq_ring_free(s, chain);
    }
}


/* Marks all rings of a chain as in use. */
void
kmq_ring_mark(kmq_shard_t *s, kmq_ref_t chain)
{
    while (chain) {
        kmq_cells_mark(s, chain, KMQ_RING_SIZE / KMQ_CELL);
        chain = *(kmq_ref_t *) KMQ_AT(s, chain);
    }
}


/* Only rings that are not in use are touched. */
void
kmq_ring_rebuild(kmq_shard_t *s, uint32_t n)
{
    unsigned      i, cell;
    kmq_ref_t    *ring;
    kmq_page_t   *page = kmq_page_at(s, n);
    kmq_cells_t  *cells = kmq_cells_of(s, n);

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

        ring = kmq_page_object(s, n, i);
        *ring = page->free;
        page->free = KMQ_REF(s, ring);
    }

    if (page->used == 0) {
        kmq_page_give(s, n);

    } else if (page->free) {
        partial_insert(s, n);
    }
}
