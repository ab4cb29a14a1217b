/*
 * Tables: objects of one size, each in use or in its table's list of free ones.
 * The pages of a table stay its own, so that a walk over all topics or clients
 * is a walk over their pages.
 */

#include "../kmq_block.h"
#include "kmq_memory_inside.h"


/* A table's page may cost so often KMQ_DROP messages of the history. */
#define TABLE_DROPS  16


/* ----------------------------------------------------------------- tables */

static kmq_table_t *
table_of(kmq_block_t *b, unsigned class)
{
    return &b->table[class - KMQ_CLASS_TOPIC];
}


/* Enters a page into the table of its class. */
void
kmq_table_link(kmq_block_t *b, uint32_t n)
{
    kmq_table_t  *table = table_of(b, b->page[n].class);

    b->page[n].next = 0;

    if (table->last) {
        b->page[table->last].next = n;
    } else {
        table->first = n;
    }

    table->last = n;
}


/*
 * Takes a page for a table; 0: there is none.  Tables use spare pages, and
 * make up for them out of the history, as far as a bounded part of it goes:
 * otherwise few topics and clients could come once history has taken all that
 * was free.  Periods, some of which may get lost, leave half of the spare
 * pages.
 */
static uint32_t
table_page(kmq_t *kmq, unsigned class)
{
    unsigned      i;
    uint32_t      n;
    kmq_block_t  *b = kmq->block;

    if ((class == KMQ_CLASS_MINUTES || class == KMQ_CLASS_DAYS)
        && b->free_pages <= b->spare_pages / 2)
    {
        return 0;
    }

    n = kmq_page_take(b, class, 1);

    for (i = 0; i < TABLE_DROPS; i++) {

        if (n && b->free_pages >= b->spare_pages) {
            break;
        }

        if (!kmq->drop(kmq, KMQ_DROP)) {
            break;
        }

        n = n ? n : kmq_page_take(b, class, 1);
    }

    return n;
}


/* An object of zeros, NULL when there is no memory. */
void *
kmq_table_alloc(kmq_t *kmq, unsigned class)
{
    void         *object;
    unsigned      i;
    uint32_t      n;
    kmq_block_t  *b = kmq->block;
    kmq_table_t  *table = table_of(b, class);

    if (table->free == 0) {
        n = table_page(kmq, class);
        if (n == 0) {
            return NULL;
        }

        kmq_table_link(b, n);

        for (i = b->page[n].capacity; i-- > 0; ) {
            kmq_table_free(b, class, kmq_page_object(b, n, i));
        }
    }

    object = KMQ_AT(b, table->free);
    table->free = *(kmq_ref_t *) object;

    memset(object, 0, b->class_size[class]);

    return object;
}


/* Frees an object, whose own state reads as free already. */
void
kmq_table_free(kmq_block_t *b, unsigned class, void *object)
{
    kmq_table_t  *table = table_of(b, class);

    *(kmq_ref_t *) object = table->free;
    table->free = KMQ_REF(b, object);
}


/* The object at a place that may be wrong; NULL: there is none. */
void *
kmq_table_at(kmq_block_t *b, unsigned class, kmq_ref_t ref)
{
    uint64_t  offset;

    if (kmq_class_of(b, ref) != class) {
        return NULL;
    }

    offset = ((uint64_t) ref * 8 - b->page_zero) % KMQ_PAGE_SIZE;

    return offset % b->class_size[class] ? NULL : KMQ_AT(b, ref);
}


/* The first of the free objects, linked by their first words. */
kmq_ref_t
kmq_table_free_list(const kmq_block_t *b, unsigned class)
{
    return b->table[class - KMQ_CLASS_TOPIC].free;
}


/*
 * The next object of a walk, used or free; NULL: the end.  It looks at the
 * classes of all pages, which are right even in the middle of a repair.
 */
void *
kmq_table_scan(kmq_block_t *b, unsigned class, kmq_walk_t *walk)
{
    for ( /* void */ ; walk->page < b->fresh_page;
         walk->page++, walk->index = 0)
    {
        if (b->page[walk->page].class == class
            && walk->index < b->page[walk->page].capacity)
        {
            return kmq_page_object(b, walk->page, walk->index++);
        }
    }

    return NULL;
}


/* The first page of a table, 0: it has none. */
uint32_t
kmq_table_first(kmq_block_t *b, unsigned class)
{
    return table_of(b, class)->first;
}


/*
 * The same, by the table's own pages, from page 0 or wherever the walk is.
 * Not for a repair.
 */
void *
kmq_table_next(kmq_block_t *b, unsigned class, kmq_walk_t *walk)
{
    KMQ_STEP();

    if (walk->page == 0) {
        walk->page = kmq_table_first(b, class);
        walk->index = 0;
    }

    while (walk->page < b->fresh_page && b->page[walk->page].class == class) {

        if (walk->index < b->page[walk->page].capacity) {
            return kmq_page_object(b, walk->page, walk->index++);
        }

        if (b->page[walk->page].next == 0) {
            break;
        }

        walk->page = b->page[walk->page].next;
        walk->index = 0;
    }

    return NULL;
}


/* ----------------------------------------------------------------- repair */

/* Makes the list of free objects, by the truth alone. */
void
kmq_table_rebuild(kmq_block_t *b, unsigned class, kmq_used_pt used)
{
    void         *object;
    kmq_walk_t    walk;
    kmq_table_t  *table = table_of(b, class);

    memset(&walk, 0, sizeof(walk));
    table->free = 0;

    while ((object = kmq_table_scan(b, class, &walk)) != NULL) {
        if (!used(b, class, object)) {
            kmq_table_free(b, class, object);
        }
    }
}
