/*
 * Pages of 8 KiB: what all memory of the block is taken from.
 *
 * Pages of messages and of the index are cut into cells (kmq_cell.c), those of
 * rings into rings (kmq_ring.c); they come back when all in them is free.
 * Pages of tables (kmq_table.c) stay what they are.
 */

#include "../kmq_block.h"
#include "kmq_memory_inside.h"


/* Messages leave some pages free, with which consumers can join and take: a
 * 32nd of all, and so many. */
#define SPARE_MIN    24

/* Of these, a 256th of all and so many are for repairs alone, which need more
 * memory for the index than it had before. */
#define REPAIR_MIN   2


uint32_t
kmq_page_of(const kmq_block_t *b, kmq_ref_t ref)
{
    return (uint32_t) (((uint64_t) ref * 8 - b->page_zero) / KMQ_PAGE_SIZE);
}


kmq_ref_t
kmq_page_ref(const kmq_block_t *b, uint32_t page)
{
    return (kmq_ref_t) ((b->page_zero + (uint64_t) page * KMQ_PAGE_SIZE) / 8);
}


/* Where in a page of objects the i-th one is. */
void *
kmq_page_object(kmq_block_t *b, uint32_t page, unsigned i)
{
    return (unsigned char *) KMQ_AT(b, kmq_page_ref(b, page))
           + i * b->page[page].size;
}


kmq_cells_t *
kmq_cells_of(kmq_block_t *b, uint32_t page)
{
    return (kmq_cells_t *) &b->page[b->npages + 1] + page;
}


/* The class of the page at a place that may be wrong; 0: none. */
unsigned
kmq_class_of(const kmq_block_t *b, kmq_ref_t ref)
{
    uint32_t  n;

    if ((uint64_t) ref * 8 < b->page_zero + KMQ_PAGE_SIZE) {
        return 0;
    }

    n = kmq_page_of(b, ref);

    return n <= b->npages ? b->page[n].class : 0;
}


/* Whether messages leave some pages free. */
void
kmq_page_spare(kmq_block_t *b, int spare)
{
    b->spare_pages = spare ? b->npages / 32 + SPARE_MIN : 0;
}


void
kmq_page_init(kmq_block_t *b)
{
    b->fresh_page = 1;
    b->free_page = 0;
    b->free_pages = b->npages;
    kmq_page_spare(b, 1);
}


/* Bytes that messages may have without dropping history. */
uint64_t
kmq_page_room(const kmq_block_t *b)
{
    uint64_t  pages;

    pages = b->free_pages > b->spare_pages ? b->free_pages - b->spare_pages
                                           : 0;

    return pages * KMQ_PAGE_SIZE
           + b->heap[KMQ_HEAP_MESSAGES].free_cells * KMQ_CELL;
}


/*
 * The truth about a page's objects must read as free before the page becomes
 * one of their class: states of objects, places of slots.
 */
static void
page_clear(kmq_block_t *b, uint32_t n, unsigned class)
{
    if (class == KMQ_CLASS_MESSAGE || class == KMQ_CLASS_INDEX) {
        memset(kmq_cells_of(b, n), 0, sizeof(kmq_cells_t));

    } else if (class != KMQ_CLASS_RING) {
        memset(KMQ_AT(b, kmq_page_ref(b, n)), 0, KMQ_PAGE_SIZE);
    }
}


/* So many free pages must stay: spare ones, or those for repairs. */
static uint32_t
pages_kept(const kmq_block_t *b, int spare)
{
    uint32_t  n;

    n = b->npages / 256 + REPAIR_MIN;

    return spare && n < b->spare_pages ? n : b->spare_pages;
}


/* Takes a page for class, a spare one only where spare is set.  0: there is
 * none. */
uint32_t
kmq_page_take(kmq_block_t *b, unsigned class, int spare)
{
    uint32_t     n;
    kmq_page_t  *page;

    if (b->free_pages <= pages_kept(b, spare)) {
        return 0;
    }

    n = b->free_page;

    if (n) {
        b->free_page = b->page[n].next;
    } else {
        n = b->fresh_page;
    }

    page_clear(b, n, class);

    page = &b->page[n];
    page->next = 0;
    page->prev = 0;

    if (class != KMQ_CLASS_MESSAGE && class != KMQ_CLASS_INDEX) {
        page->size = b->class_size[class];
        page->capacity = KMQ_PAGE_SIZE / page->size;
        page->used = 0;
        page->fresh = 0;
        page->free = 0;
    }

    KMQ_SET(page->class, class);
    KMQ_POINT("page-take");

    if (n == b->fresh_page) {
        KMQ_SET(b->fresh_page, n + 1);
    }

    b->free_pages--;

    return n;
}


void
kmq_page_give(kmq_block_t *b, uint32_t n)
{
    kmq_page_t  *page = &b->page[n];

    KMQ_SET(page->class, 0);
    KMQ_POINT("page-give");

    page->next = b->free_page;
    b->free_page = n;
    b->free_pages++;
}
