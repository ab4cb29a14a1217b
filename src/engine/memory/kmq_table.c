/*
 * The block's memory: pages of 8 KiB.
 *
 * Pages of messages and of the index are cut into cells (kmq_cell.c); one whose
 * cells are all free goes back to the common stock, as does one whose rings are
 * all free.  The pages of the tables stay what they are, so that a walk over
 * all topics or clients is a walk over their pages.
 */

#include "../kmq_block.h"


/* Pages for consumers to join and to take with when messages fill all others:
 * a 32nd of them, and so many. */
#define SPARE_MIN    24

/* Of these, a 256th of all and so many are for a repair alone, whose index lies
 * in other places than the one before it did. */
#define REPAIR_MIN   2

/* A table's page may cost so many times KMQ_DROP messages of the history. */
#define TABLE_DROPS  16


size_t
kmq_class_size(unsigned class)
{
    size_t  size;

    switch (class) {

    case KMQ_CLASS_TOPIC:
        size = sizeof(kmq_topic_t);
        break;

    case KMQ_CLASS_CLIENT:
        size = sizeof(kmq_client_t);
        break;

    case KMQ_CLASS_ROUTE:
        size = sizeof(kmq_route_t);
        break;

    case KMQ_CLASS_NAME:
        size = sizeof(kmq_name_t);
        break;

    case KMQ_CLASS_MINUTES:
    case KMQ_CLASS_DAYS:
        size = sizeof(kmq_periods_t)
               + kmq_periods_kept(class) * sizeof(kmq_topic_period_t);
        break;

    default: /* KMQ_CLASS_RING */
        size = KMQ_RING_SIZE;
        break;
    }

    return (size + 7) & ~(size_t) 7;
}


static unsigned
class_capacity(unsigned class)
{
    return KMQ_PAGE_SIZE / kmq_class_size(class);
}


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


static void *
object_at(kmq_block_t *b, uint32_t page, unsigned i)
{
    return (unsigned char *) KMQ_AT(b, kmq_page_ref(b, page))
           + i * b->page[page].size;
}


/* The class of the page at a place that nobody vouches for; 0: none. */
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


/* ------------------------------------------------------------------ pages */

/* Keeps some pages from messages, or not. */
void
kmq_memory_spare(kmq_block_t *b, int spare)
{
    b->spare_pages = spare ? b->npages / 32 + SPARE_MIN : 0;
}


void
kmq_memory_init(kmq_block_t *b)
{
    b->fresh_page = 1;
    b->free_page = 0;
    b->free_pages = b->npages;
    kmq_memory_spare(b, 1);
}


/* Bytes that messages may have without dropping history. */
uint64_t
kmq_memory_free(const kmq_block_t *b)
{
    uint64_t  pages;

    pages = b->free_pages > b->spare_pages ? b->free_pages - b->spare_pages
                                           : 0;

    return pages * KMQ_PAGE_SIZE
           + b->heap[KMQ_HEAP_MESSAGES].free_cells * KMQ_CELL;
}

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


/*
 * What is true of a page's objects must read as free before the page becomes
 * one of their class: states of records, places of slots.
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


/* So many pages are not to be had: spare ones, or those for a repair. */
static uint32_t
pages_kept(const kmq_block_t *b, int spare)
{
    uint32_t  n;

    n = b->npages / 256 + REPAIR_MIN;

    return spare && n < b->spare_pages ? n : b->spare_pages;
}


/* A page for class, 0 when there is none, or none but spare ones. */
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

    if (class >= KMQ_CLASS_RING) {
        page->size = kmq_class_size(class);
        page->capacity = class_capacity(class);
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


/* ------------------------------------------------------------------ rings */

/* A ring for deliveries, empty; 0: no memory. */
kmq_ref_t
kmq_ring_alloc(kmq_block_t *b)
{
    uint32_t     n;
    kmq_page_t  *page;
    kmq_ring_t  *ring;

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
        page->free = ring->next;

    } else {
        ring = object_at(b, n, page->fresh++);
    }

    page->used++;

    if (page->free == 0 && page->fresh == page->capacity) {
        partial_remove(b, n);
    }

    ring->next = 0;
    ring->prev = 0;
    ring->first = 0;
    ring->count = 0;
    ring->open = 0;

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

    ((kmq_ring_t *) KMQ_AT(b, ref))->next = page->free;
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
        next = ((kmq_ring_t *) KMQ_AT(b, chain))->next;
        kmq_ring_free(b, chain);
    }
}


/* ----------------------------------------------------------------- tables */

static kmq_table_t *
table_of(kmq_block_t *b, unsigned class)
{
    return &b->table[class - KMQ_CLASS_TOPIC];
}


static void
table_link(kmq_block_t *b, kmq_table_t *table, uint32_t n)
{
    b->page[n].next = 0;

    if (table->last) {
        b->page[table->last].next = n;
    } else {
        table->first = n;
    }

    table->last = n;
}


/*
 * A page for a table, 0: there is none.  Tables use the spare pages, and make
 * them up again out of the history, as far as a bounded part of that goes:
 * else, where history has taken all that was free, few topics and clients could
 * come.  Periods, of which some may get lost, leave half of the spare pages.
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

        if (!kmq_history_drop(kmq, KMQ_DROP)) {
            break;
        }

        n = n ? n : kmq_page_take(b, class, 1);
    }

    return n;
}


/* A record of zeros, NULL when there is no memory. */
void *
kmq_record_alloc(kmq_t *kmq, unsigned class)
{
    void         *record;
    unsigned      i;
    uint32_t      n;
    kmq_block_t  *b = kmq->block;
    kmq_table_t  *table = table_of(b, class);

    if (table->free == 0) {
        n = table_page(kmq, class);
        if (n == 0) {
            return NULL;
        }

        table_link(b, table, n);

        for (i = class_capacity(class); i-- > 0; ) {
            kmq_record_free(b, class, object_at(b, n, i));
        }
    }

    record = KMQ_AT(b, table->free);
    table->free = *(kmq_ref_t *) record;

    memset(record, 0, kmq_class_size(class));

    return record;
}


/* The caller has made the record's state read as free. */
void
kmq_record_free(kmq_block_t *b, unsigned class, void *record)
{
    kmq_table_t  *table = table_of(b, class);

    *(kmq_ref_t *) record = table->free;
    table->free = KMQ_REF(b, record);
}


/* The object of a class that is none of cells at a place that nobody vouches
 * for; NULL when there is none. */
void *
kmq_record_at(kmq_block_t *b, unsigned class, kmq_ref_t ref)
{
    uint64_t  offset;

    if (kmq_class_of(b, ref) != class) {
        return NULL;
    }

    offset = ((uint64_t) ref * 8 - b->page_zero) % KMQ_PAGE_SIZE;

    return offset % kmq_class_size(class) ? NULL : KMQ_AT(b, ref);
}


/* The first of the free records, linked by their first words. */
kmq_ref_t
kmq_record_free_list(const kmq_block_t *b, unsigned class)
{
    return b->table[class - KMQ_CLASS_TOPIC].free;
}


static int
part_used(kmq_block_t *b, unsigned class, const kmq_part_t *part)
{
    const kmq_topic_t  *topic;

    topic = kmq_record_at(b, KMQ_CLASS_TOPIC, part->topic);

    return topic && topic->used
           && topic->part[class - KMQ_CLASS_NAME] == KMQ_REF(b, part);
}


/* Is a record in use?  By the truth alone. */
int
kmq_record_used(kmq_block_t *b, unsigned class, void *record)
{
    switch (class) {

    case KMQ_CLASS_TOPIC:
        return ((kmq_topic_t *) record)->used;

    case KMQ_CLASS_CLIENT:
        return ((kmq_client_t *) record)->role;

    case KMQ_CLASS_ROUTE:
        return ((kmq_route_t *) record)->used;

    default:
        return part_used(b, class, record);
    }
}


/*
 * The next object of class in a walk, used or free; NULL: the end.  It goes by
 * the pages' classes alone, which are true even in the middle of a repair.
 */
void *
kmq_record_next(kmq_block_t *b, unsigned class, kmq_walk_t *walk)
{
    for ( /* void */ ; walk->page < b->fresh_page;
         walk->page++, walk->index = 0)
    {
        if (b->page[walk->page].class == class
            && walk->index < b->page[walk->page].capacity)
        {
            return object_at(b, walk->page, walk->index++);
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
 * The same for a table, from page 0 or from wherever somebody says that the
 * walk is; it does not pass other classes' pages, of which there are many.  Not
 * for a repair.
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
            return object_at(b, walk->page, walk->index++);
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

/* Nothing is in use; kmq_repair() then marks what is. */
void
kmq_memory_clear_marks(kmq_block_t *b)
{
    uint32_t  n;

    for (n = 1; n < b->fresh_page; n++) {
        memset(kmq_cells_of(b, n)->edge, 0, sizeof(kmq_cells_t) / 2);
    }
}


/* All rings of a chain are in use. */
void
kmq_ring_mark(kmq_block_t *b, kmq_ref_t chain)
{
    while (chain) {
        kmq_cells_mark(b, chain, KMQ_RING_SIZE / KMQ_CELL);
        chain = ((kmq_ring_t *) KMQ_AT(b, chain))->next;
    }
}


/* Only rings that are not in use are touched. */
static void
rings_rebuild(kmq_block_t *b, uint32_t n)
{
    unsigned      i, cell;
    kmq_ring_t   *ring;
    kmq_page_t   *page = &b->page[n];
    kmq_cells_t  *cells = kmq_cells_of(b, n);

    page->free = 0;
    page->used = 0;
    page->size = KMQ_RING_SIZE;
    page->capacity = class_capacity(KMQ_CLASS_RING);
    page->fresh = page->capacity;

    for (i = page->capacity; i-- > 0; ) {
        cell = i * (KMQ_RING_SIZE / KMQ_CELL);

        if (cells->edge[cell / 64] >> cell % 64 & 1) {
            page->used++;
            continue;
        }

        ring = object_at(b, n, i);
        ring->next = page->free;
        page->free = KMQ_REF(b, ring);
    }

    if (page->used == 0) {
        kmq_page_give(b, n);

    } else if (page->free) {
        partial_insert(b, n);
    }
}


static void
table_rebuild(kmq_block_t *b, unsigned class)
{
    void         *record;
    kmq_walk_t    walk;
    kmq_table_t  *table = table_of(b, class);

    memset(&walk, 0, sizeof(walk));
    table->free = 0;

    while ((record = kmq_record_next(b, class, &walk)) != NULL) {
        if (!kmq_record_used(b, class, record)) {
            kmq_record_free(b, class, record);
        }
    }
}


/*
 * Rebuilds all free lists and page lists from the pages' classes, the
 * marks, and the states of records.
 */
void
kmq_memory_rebuild(kmq_block_t *b)
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
            rings_rebuild(b, n);
            break;

        default:
            table_link(b, table_of(b, class), n);
        }
    }

    for (class = KMQ_CLASS_TOPIC; class < KMQ_CLASSES; class++) {
        table_rebuild(b, class);
    }
}
