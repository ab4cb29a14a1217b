/* All free lists anew, from the classes of pages and from marks on whatever is
 * in use: the memory's part of a repair. */

#include "../kmq_block.h"
#include "kmq_memory_inside.h"


/* Unmarks everything; kmq_repair() then marks what is in use. */
void
kmq_rebuild_begin(kmq_block_t *b)
{
    uint32_t  n;

    for (n = 1; n < b->fresh_page; n++) {
        memset(kmq_cells_of(b, n)->edge, 0, sizeof(kmq_cells_t) / 2);
    }
}


/*
 * Rebuilds all free lists and page lists from the pages' classes, the
 * marks, and what used says of the objects of tables.
 */
void
kmq_rebuild(kmq_block_t *b, kmq_used_pt used)
{
    unsigned  class;
    uint32_t  n;

    b->free_page = 0;
    b->free_pages = b->npages - (b->fresh_page - 1);
    b->ring_page = 0;
    kmq_cells_reset(b);
    memset(b->table, 0, sizeof(b->table));

    for (n = 1; n < b->fresh_page; n++) {
        class = b->page[n].class;

        switch (class) {

        case 0:
            kmq_page_give(b, n);
            break;

        case KMQ_CLASS_MESSAGE:
        case KMQ_CLASS_INDEX:
            kmq_cells_rebuild(b, n);
            break;

        case KMQ_CLASS_RING:
            kmq_ring_rebuild(b, n);
            break;

        default:
            kmq_table_link(b, n);
        }
    }

    for (class = KMQ_CLASS_TOPIC; class < KMQ_CLASSES; class++) {
        kmq_table_rebuild(b, class, used);
    }
}
