/* All free lists anew, from the classes of pages and from marks on whatever is
 * in use: the memory's part of a repair. */

#include "../kmq_block.h"
#include "kmq_memory_inside.h"


/* Unmarks everything, and finds the free pages; kmq_repair() then marks what is
 * in use, and may make the index meanwhile. */
int
kmq_rebuild_begin(kmq_shard_t *s, int index)
{
    unsigned  class;
    uint32_t  n;

    s->marking = index && !s->strayed;
    s->pages = 0;
    s->free_page = 0;
    s->free_pages = 0;
    s->ring_page = 0;
    kmq_cells_reset(s);

    for (n = kmq_page_next(s, 1); n; n = kmq_page_next(s, n + 1)) {
        class = kmq_page_at(s, n)->class;
        s->pages++;

        memset(kmq_cells_of(s, n)->edge, 0, sizeof(kmq_cells_t) / 2);

        if (class == 0 || (class == KMQ_CLASS_INDEX && s->marking)) {
            kmq_page_give(s, n);
        }
    }

    return s->marking;
}


/*
 * Rebuilds all other free lists and page lists from the pages' classes, the
 * marks, and what used says of the objects of tables.
 */
void
kmq_rebuild(kmq_shard_t *s, kmq_used_pt used)
{
    int       strayed;
    unsigned  class;
    uint32_t  n;

    strayed = 0;
    memset(s->table, 0, sizeof(s->table));

    for (n = kmq_page_next(s, 1); n; n = kmq_page_next(s, n + 1)) {
        class = kmq_page_at(s, n)->class;

        switch (class) {

        case 0:
            break;

        case KMQ_CLASS_MESSAGE:
            (void) kmq_cells_rebuild(s, n);
            break;

        case KMQ_CLASS_INDEX:

            /* what was made meanwhile is as it should be */

            if (!s->marking) {
                strayed |= kmq_cells_rebuild(s, n);
            }

            break;

        case KMQ_CLASS_RING:
            kmq_ring_rebuild(s, n);
            break;

        default:
            kmq_table_link(s, n);
        }
    }

    for (class = KMQ_CLASS_TOPIC; class < KMQ_CLASSES; class++) {
        kmq_table_rebuild(s, class, used);
    }

    s->strayed = strayed;
    s->marking = 0;
}
