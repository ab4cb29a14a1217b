/*
 * Tables: objects of one size, each in use or in its table's list of free ones.
 * The pages of a table stay its own, so that a walk over all topics or clients
 * is a walk over their pages.  A topic's hours, which nobody walks over, are a
 * page, which goes back with them.
 */

#include "../kmq_block.h"
#include "kmq_memory_inside.h"


/* A table's page may cost so often KMQ_DROP messages of the history. */
#define TABLE_DROPS  16

/* Hours of topics may take such a part of all pages: messages need the rest. */
#define HOURS_PART  8


/* ----------------------------------------------------------------- tables */

static kmq_table_t *
table_of(kmq_shard_t *s, unsigned class)
{
    return &s->table[class - KMQ_CLASS_TOPIC];
}


/* Enters a page into the table of its class. */
void
kmq_table_link(kmq_shard_t *s, uint32_t n)
{
    kmq_table_t  *table = table_of(s, kmq_page_at(s, n)->class);

    kmq_page_at(s, n)->next = 0;
    kmq_page_at(s, n)->prev = table->last;

    if (table->last) {
        kmq_page_at(s, table->last)->next = n;
    } else {
        table->first = n;
    }

    table->last = n;
    table->pages++;
}


static void
table_unlink(kmq_shard_t *s, uint32_t n)
{
    kmq_page_t   *page = kmq_page_at(s, n);
    kmq_table_t  *table = table_of(s, page->class);

    if (page->prev) {
        kmq_page_at(s, page->prev)->next = page->next;
    } else {
        table->first = page->next;
    }

    if (page->next) {
        kmq_page_at(s, page->next)->prev = page->prev;
    } else {
        table->last = page->prev;
    }

    table->pages--;
}


/* May a table have one more page?  Periods, some of which may get lost, leave
 * half of the spare pages, and hours most of all. */
static int
table_may_grow(kmq_shard_t *s, unsigned class)
{
    const kmq_block_t  *b = KMQ_BLOCK(s);

    if (class == KMQ_CLASS_HOURS
        && table_of(s, class)->pages >= b->npages / HOURS_PART / b->nshards)
    {
        return 0;
    }

    return (class != KMQ_CLASS_MINUTES && class != KMQ_CLASS_HOURS)
           || kmq_pages_free(s) > b->spare_pages / 2;
}


/*
 * Takes a page for a table; 0: there is none.  Tables use spare pages, and
 * make up for them out of the history, as far as a bounded part of it goes:
 * otherwise few topics and clients could come once history has taken all that
 * was free.
 */
static uint32_t
table_page(kmq_t *kmq, unsigned class)
{
    unsigned      i;
    uint32_t      n;
    kmq_shard_t  *s = kmq->shard;

    if (!table_may_grow(s, class)) {
        return 0;
    }

    n = kmq_page_take(s, class, 1);

    for (i = 0; i < TABLE_DROPS; i++) {

        if (n && kmq_pages_free(s) >= KMQ_BLOCK(s)->spare_pages) {
            break;
        }

        if (!kmq->drop(kmq, KMQ_DROP)) {
            break;
        }

        n = n ? n : kmq_page_take(s, class, 1);
    }

    return n;
}


static void
object_free(kmq_shard_t *s, unsigned class, void *object)
{
    kmq_table_t  *table = table_of(s, class);

    *(kmq_ref_t *) object = table->free;
    table->free = KMQ_REF(s, object);
}


/* An object of zeros, NULL when there is no memory. */
void *
kmq_table_alloc(kmq_t *kmq, unsigned class)
{
    void         *object;
    unsigned      i;
    uint32_t      n;
    kmq_shard_t  *s = kmq->shard;
    kmq_table_t  *table = table_of(s, class);

    if (table->free == 0) {
        n = table_page(kmq, class);
        if (n == 0) {
            return NULL;
        }

        kmq_table_link(s, n);

        for (i = kmq_page_at(s, n)->capacity; i-- > 0; ) {
            object_free(s, class, kmq_page_object(s, n, i));
        }
    }

    object = KMQ_AT(s, table->free);
    table->free = *(kmq_ref_t *) object;

    memset(object, 0, KMQ_BLOCK(s)->class_size[class]);

    return object;
}


/* Frees an object, whose own state reads as free already. */
void
kmq_table_free(kmq_shard_t *s, unsigned class, void *object)
{
    uint32_t  n;

    if (class != KMQ_CLASS_HOURS) {
        object_free(s, class, object);
        return;
    }

    n = kmq_page_of(s, KMQ_REF(s, object));

    table_unlink(s, n);
    kmq_page_give(s, n);
}


/* The object at a place that may be wrong; NULL: there is none. */
void *
kmq_table_at(kmq_shard_t *s, unsigned class, kmq_ref_t ref)
{
    uint64_t  offset;

    if (kmq_class_of(s, ref) != class) {
        return NULL;
    }

    offset = ((uint64_t) ref * 8 - s->page_zero) % KMQ_PAGE_SIZE;

    if (offset % KMQ_BLOCK(s)->class_size[class]
        || offset / KMQ_BLOCK(s)->class_size[class]
           >= kmq_page_at(s, kmq_page_of(s, ref))->capacity)
    {
        return NULL;
    }

    return KMQ_AT(s, ref);
}


/* The first of the free objects, linked by their first words. */
kmq_ref_t
kmq_table_free_list(const kmq_shard_t *s, unsigned class)
{
    return s->table[class - KMQ_CLASS_TOPIC].free;
}


/*
 * The next object of a walk, used or free; NULL: the end.  It looks at the
 * classes of all pages, which are right even in the middle of a repair.
 */
void *
kmq_table_scan(kmq_shard_t *s, unsigned class, kmq_walk_t *walk)
{
    uint32_t  page;

    for ( /* void */ ; (page = kmq_page_next(s, walk->page));
         walk->page = page + 1, walk->index = 0)
    {
        walk->page = page;

        if (kmq_page_at(s, walk->page)->class == class
            && walk->index < kmq_page_at(s, walk->page)->capacity)
        {
            return kmq_page_object(s, walk->page, walk->index++);
        }
    }

    return NULL;
}


/* The first page of a table, 0: it has none. */
uint32_t
kmq_table_first(kmq_shard_t *s, unsigned class)
{
    return table_of(s, class)->first;
}


/*
 * The same, by the table's own pages, from page 0 or wherever the walk is.
 * Not for a repair.
 */
void *
kmq_table_next(kmq_shard_t *s, unsigned class, kmq_walk_t *walk)
{
    KMQ_STEP();

    if (walk->page == 0) {
        walk->page = kmq_table_first(s, class);
        walk->index = 0;
    }

    while (walk->page <= s->npages
           && kmq_class_of(s, kmq_page_ref(s, walk->page)) == class)
    {

        if (walk->index < kmq_page_at(s, walk->page)->capacity) {
            return kmq_page_object(s, walk->page, walk->index++);
        }

        if (kmq_page_at(s, walk->page)->next == 0) {
            break;
        }

        walk->page = kmq_page_at(s, walk->page)->next;
        walk->index = 0;
    }

    return NULL;
}


/* The n-th object of a table, used or free, from 0 on; NULL: it has fewer.  It
 * takes a step for each page before. */
void *
kmq_table_nth(kmq_shard_t *s, unsigned class, uint32_t n)
{
    uint32_t  page, capacity;

    capacity = KMQ_PAGE_SIZE / KMQ_BLOCK(s)->class_size[class];

    for (page = kmq_table_first(s, class); page && n >= capacity;
         page = kmq_page_at(s, page)->next)
    {
        KMQ_STEP();
        n -= capacity;
    }

    return page ? kmq_page_object(s, page, n) : NULL;
}


/* ----------------------------------------------------------------- repair */

/* Makes the list of free objects, by the truth alone. */
void
kmq_table_rebuild(kmq_shard_t *s, unsigned class, kmq_used_pt used)
{
    void         *object;
    kmq_walk_t    walk;
    kmq_table_t  *table = table_of(s, class);

    memset(&walk, 0, sizeof(walk));
    table->free = 0;

    while ((object = kmq_table_scan(s, class, &walk)) != NULL) {
        if (!used(s, class, object)) {
            kmq_table_free(s, class, object);
        }
    }
}
