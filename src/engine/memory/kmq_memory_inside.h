/* What the files of memory have for each other alone: pages and cells. */

#ifndef KMQ_MEMORY_INSIDE_H
#define KMQ_MEMORY_INSIDE_H

#include "kmq_memory.h"


/* ------------------------------------------------------------------- pages */

/* The page of a place, and the place of a page.  Need no lock. */
uint32_t kmq_page_of(const kmq_shard_t *s, kmq_ref_t ref);
kmq_ref_t kmq_page_ref(const kmq_shard_t *s, uint32_t page);

/* What is known of a page.  Needs no lock, as long as it is the shard's. */
static inline kmq_page_t *
kmq_page_at(const kmq_shard_t *s, uint32_t page)
{
    return (kmq_page_t *) ((unsigned char *) s + s->page_table) + page;
}


/* Is a page, which may be none, the shard's? */
static inline int kmq_page_owned(const kmq_shard_t *s, uint32_t page)
    KMQ_LOCKED;

static inline int
kmq_page_owned(const kmq_shard_t *s, uint32_t page)
{
    return page && page <= s->npages
           && KMQ_GET(((const uint8_t *) s + s->page_owner)[page])
              == s->number + 1;
}


/* The i-th object of a page.  Needs no lock. */
void *kmq_page_object(kmq_shard_t *s, uint32_t page, unsigned i);

/* Is there no free page for messages? */
static inline int kmq_pages_short(const kmq_shard_t *s) KMQ_LOCKED;

static inline int
kmq_pages_short(const kmq_shard_t *s)
{
    const kmq_block_t  *b = KMQ_BLOCK(s);

    return s->free_pages + KMQ_GET(b->free_pages) <= b->spare_pages
           && !s->all_pages;
}


/* Takes a free page for class; a spare one only where spare is set.  0: there
 * is none. */
uint32_t kmq_page_take(kmq_shard_t *s, unsigned class, int spare) KMQ_LOCKED;
void kmq_page_give(kmq_shard_t *s, uint32_t page) KMQ_LOCKED;

/* The cells of a page.  Needs no lock. */
kmq_cells_t *kmq_cells_of(kmq_shard_t *s, uint32_t page);


/* ------------------------------------------------------------------- cells */

/* Is there a run of n cells, at most a page, for a message? */
int kmq_cells_room(const kmq_shard_t *s, unsigned n) KMQ_LOCKED;

/* Return a run of cells for a message; 0: there is none.  n: at most a page.
 * tight: one that leaves nothing behind it, or room for a slot.  any: the
 * longest there is, up to *n, which becomes its length. */
kmq_ref_t kmq_cells_alloc(kmq_shard_t *s, unsigned n) KMQ_LOCKED;
kmq_ref_t kmq_cells_alloc_tight(kmq_shard_t *s, unsigned n) KMQ_LOCKED;
kmq_ref_t kmq_cells_alloc_any(kmq_shard_t *s, unsigned *n) KMQ_LOCKED;

/* The same for the index, preferably of its own pages.  apart: of a new page,
 * if there is one. */
kmq_ref_t kmq_cells_alloc_index(kmq_shard_t *s, unsigned n) KMQ_LOCKED;
kmq_ref_t kmq_cells_alloc_apart(kmq_shard_t *s, unsigned n) KMQ_LOCKED;

/* Frees a run that nothing refers to. */
void kmq_cells_free(kmq_shard_t *s, kmq_ref_t ref, unsigned n) KMQ_LOCKED;

/* Notes that a slot, whose state reads as free, is at its place, or is gone. */
void kmq_slot_place(kmq_shard_t *s, const kmq_slot_t *slot, int there)
    KMQ_LOCKED;


/* ------------------------------------------------------------------ repair */

/* The parts of a repair: cells in use are marked; then each page of cells, each
 * page of rings, and each table makes its free list.  kmq_cells_rebuild()
 * returns whether some of the page are in use. */
void kmq_cells_mark(kmq_shard_t *s, kmq_ref_t ref, unsigned n) KMQ_LOCKED;
void kmq_cells_reset(kmq_shard_t *s) KMQ_LOCKED;
int kmq_cells_rebuild(kmq_shard_t *s, uint32_t page) KMQ_LOCKED;
void kmq_ring_rebuild(kmq_shard_t *s, uint32_t page) KMQ_LOCKED;
void kmq_table_link(kmq_shard_t *s, uint32_t page) KMQ_LOCKED;
void kmq_table_rebuild(kmq_shard_t *s, unsigned class, kmq_used_pt used)
    KMQ_LOCKED;

#endif /* KMQ_MEMORY_INSIDE_H */
