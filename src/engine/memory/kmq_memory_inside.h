/* The inside of memory: pages and cells, which its other files build on. */

#ifndef KMQ_MEMORY_INSIDE_H
#define KMQ_MEMORY_INSIDE_H

#include "kmq_memory.h"


/* ------------------------------------------------------------------- pages */

/* The page of a place, and the place of a page; need no lock. */
uint32_t kmq_page_of(const kmq_block_t *b, kmq_ref_t ref);
kmq_ref_t kmq_page_ref(const kmq_block_t *b, uint32_t page);

/* The i-th object of a page that is cut into such. */
void *kmq_page_object(kmq_block_t *b, uint32_t page, unsigned i);

/* A page for class; 0: there is none, or, unless spare is set, none but spare
 * ones. */
uint32_t kmq_page_take(kmq_block_t *b, unsigned class, int spare) KMQ_LOCKED;
void kmq_page_give(kmq_block_t *b, uint32_t page) KMQ_LOCKED;

/* The cells of a page; needs no lock. */
kmq_cells_t *kmq_cells_of(kmq_block_t *b, uint32_t page);


/* ------------------------------------------------------------------- cells */

/* Is there a run of n cells, at most a page, for a message? */
int kmq_cells_room(const kmq_block_t *b, unsigned n) KMQ_LOCKED;

/* A run of n cells for a message, at most a page; 0: there is none.  Tight: it
 * leaves nothing, or room for a slot.  Any: the longest there is, up to *n,
 * which becomes what it has. */
kmq_ref_t kmq_cells_alloc(kmq_block_t *b, unsigned n) KMQ_LOCKED;
kmq_ref_t kmq_cells_alloc_tight(kmq_block_t *b, unsigned n) KMQ_LOCKED;
kmq_ref_t kmq_cells_alloc_any(kmq_block_t *b, unsigned *n) KMQ_LOCKED;

/* The same for the index: of its own pages, if it can be; apart: of whole pages
 * while there are such. */
kmq_ref_t kmq_cells_alloc_index(kmq_block_t *b, unsigned n) KMQ_LOCKED;
kmq_ref_t kmq_cells_alloc_apart(kmq_block_t *b, unsigned n) KMQ_LOCKED;

/* Frees a run to which nothing refers. */
void kmq_cells_free(kmq_block_t *b, kmq_ref_t ref, unsigned n) KMQ_LOCKED;

/* A slot, whose state reads as free, is at that place from now on, or not. */
void kmq_slot_place(kmq_block_t *b, const kmq_slot_t *slot, int there)
    KMQ_LOCKED;


/* ------------------------------------------------------------------ repair */

/* Its parts: cells that are in use are marked, then each page of cells, of
 * rings, and each table makes its own. */
void kmq_cells_mark(kmq_block_t *b, kmq_ref_t ref, unsigned n) KMQ_LOCKED;
void kmq_cells_reset(kmq_block_t *b) KMQ_LOCKED;
void kmq_cells_rebuild(kmq_block_t *b, uint32_t page) KMQ_LOCKED;
void kmq_ring_rebuild(kmq_block_t *b, uint32_t page) KMQ_LOCKED;
void kmq_table_link(kmq_block_t *b, uint32_t page) KMQ_LOCKED;
void kmq_table_rebuild(kmq_block_t *b, unsigned class, kmq_used_pt used)
    KMQ_LOCKED;

#endif /* KMQ_MEMORY_INSIDE_H */
