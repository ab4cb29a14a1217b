/*
 * The block's memory: pages of 8 KiB, each of one class of objects.
 *
 * A page of slots or of data goes back to the common stock when its last
 * object is freed; the pages of the tables stay what they are, so that a walk
 * over all topics or clients is a walk over their pages.
 *
 * A body is a chain of pieces.  Usually that is one piece of the size class
 * that fits.  When there is no page left for that class, pieces of any class
 * with room are taken instead, so that free memory serves whatever shape it
 * is in.
 */

#include "kmq_block.h"


#define DATA_CLASSES  (sizeof(data_sizes) / sizeof(data_sizes[0]))
#define PIECE_HEAD    sizeof(kmq_piece_t)

/* Steps of at most an eighth; the largest is a page. */
static const uint16_t  data_sizes[] = {
    16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128,
    144, 160, 176, 192, 208, 224, 240, 256,
    288, 320, 352, 384, 416, 448, 480, 512, 528,
    576, 640, 704, 768, 904, 1024,
    1168, 1360, 1632, 2048, 2728, 4096, KMQ_PAGE_SIZE
};

_Static_assert(KMQ_CLASS_DATA + DATA_CLASSES <= KMQ_CLASS_MAX,
               "too many classes");


size_t
kmq_class_size(unsigned class)
{
    switch (class) {

    case KMQ_CLASS_SLOT:
        return sizeof(kmq_slot_t);

    case KMQ_CLASS_TOPIC:
        return (sizeof(kmq_topic_t) + 7) & ~(size_t) 7;

    case KMQ_CLASS_CLIENT:
        return (sizeof(kmq_client_t) + 7) & ~(size_t) 7;

    case KMQ_CLASS_ROUTE:
        return (sizeof(kmq_route_t) + 7) & ~(size_t) 7;

    default:
        return data_sizes[class - KMQ_CLASS_DATA];
    }
}


static unsigned
class_capacity(unsigned class)
{
    return KMQ_PAGE_SIZE / kmq_class_size(class);
}


/* The smallest data class whose objects have at least size bytes, which is at
 * most a page. */
static unsigned
class_search(size_t size)
{
    unsigned  i;

    for (i = 0; data_sizes[i] < size; i++) { /* void */ }

    return KMQ_CLASS_DATA + i;
}


static unsigned
class_fitting(const kmq_block_t *b, size_t size)
{
    return size <= KMQ_SMALL ? b->fitting[(size + 7) / 8]
                             : class_search(size);
}


static uint32_t
page_of(const kmq_block_t *b, kmq_ref_t ref)
{
    return (uint32_t) (((uint64_t) ref * 8 - b->page_zero) / KMQ_PAGE_SIZE);
}


static unsigned char *
page_start(kmq_block_t *b, uint32_t page)
{
    return (unsigned char *) b + b->page_zero
           + (uint64_t) page * KMQ_PAGE_SIZE;
}


static void *
object_at(kmq_block_t *b, uint32_t page, unsigned i)
{
    return page_start(b, page) + i * b->page[page].size;
}


unsigned
kmq_class_of(const kmq_block_t *b, kmq_ref_t ref)
{
    uint32_t  n;

    if ((uint64_t) ref * 8 < b->page_zero + KMQ_PAGE_SIZE) {
        return 0;
    }

    n = page_of(b, ref);

    return n <= b->npages ? b->page[n].class : 0;
}


/* ------------------------------------------------------------------ pages */

/*
 * Keeps some pages from messages, or not.  A restored block has one page more
 * or less begun in each class than the one that it comes from, which three
 * quarters of these are for.
 */
void
kmq_memory_spare(kmq_block_t *b, int spare)
{
    b->spare_pages = spare ? b->npages / 32 + DATA_CLASSES + 8 : 0;
}


void
kmq_memory_init(kmq_block_t *b)
{
    unsigned  i;

    b->fresh_page = 1;
    b->free_page = 0;
    b->free_pages = b->npages;
    kmq_memory_spare(b, 1);

    for (i = 0; i <= KMQ_SMALL / 8; i++) {
        b->fitting[i] = class_search(i * 8);
    }
}


static void
partial_insert(kmq_block_t *b, uint32_t n)
{
    kmq_page_t  *page = &b->page[n];

    page->prev = 0;
    page->next = b->partial[page->class];

    if (page->next) {
        b->page[page->next].prev = n;
    }

    b->partial[page->class] = n;
}


static void
partial_remove(kmq_block_t *b, uint32_t n)
{
    kmq_page_t  *page = &b->page[n];

    if (page->prev) {
        b->page[page->prev].next = page->next;
    } else {
        b->partial[page->class] = page->next;
    }

    if (page->next) {
        b->page[page->next].prev = page->prev;
    }
}


/*
 * The states of a page's objects are truth: they must read as free before the
 * page becomes one of slots or of records.
 */
static void
page_clear(kmq_block_t *b, uint32_t n, unsigned class)
{
    if (class < KMQ_CLASS_DATA) {
        memset(page_start(b, n), 0, KMQ_PAGE_SIZE);
    }
}


/* A page for class, 0 when there is none, or none but spare ones. */
static uint32_t
page_take(kmq_block_t *b, unsigned class, int spare)
{
    uint32_t     n;
    kmq_page_t  *page;

    if (b->free_pages == 0 || (!spare && b->free_pages <= b->spare_pages)) {
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
    page->size = kmq_class_size(class);
    page->capacity = class_capacity(class);
    page->used = 0;
    page->fresh = 0;
    page->free = 0;
    page->next = 0;
    page->prev = 0;

    KMQ_SET(page->class, class);
    KMQ_POINT("page-take");

    if (n == b->fresh_page) {
        KMQ_SET(b->fresh_page, n + 1);
    }

    b->free_pages--;

    return n;
}


static void
page_give(kmq_block_t *b, uint32_t n)
{
    kmq_page_t  *page = &b->page[n];

    KMQ_SET(page->class, 0);
    KMQ_POINT("page-give");

    page->next = b->free_page;
    b->free_page = n;
    b->free_pages++;
}


/* ---------------------------------------------------------------- objects */

static void *
object_alloc(kmq_block_t *b, unsigned class, int spare)
{
    void        *object;
    uint32_t     n;
    kmq_page_t  *page;

    n = b->partial[class];

    if (n == 0) {
        n = page_take(b, class, spare);
        if (n == 0) {
            return NULL;
        }

        partial_insert(b, n);
    }

    page = &b->page[n];

    if (page->free) {
        object = KMQ_AT(b, page->free);
        page->free = *(kmq_ref_t *) object;

    } else {
        object = object_at(b, n, page->fresh++);
    }

    page->used++;

    if (page->free == 0 && page->fresh == page->capacity) {
        partial_remove(b, n);
    }

    return object;
}


void
kmq_object_free(kmq_block_t *b, kmq_ref_t ref)
{
    int          full;
    uint32_t     n;
    kmq_page_t  *page;

    n = page_of(b, ref);
    page = &b->page[n];
    full = page->free == 0 && page->fresh == page->capacity;

    *(kmq_ref_t *) KMQ_AT(b, ref) = page->free;
    page->free = ref;
    page->used--;

    if (page->used == 0) {
        if (!full) {
            partial_remove(b, n);
        }

        page_give(b, n);
        return;
    }

    if (full) {
        partial_insert(b, n);
    }
}


kmq_ref_t
kmq_ring_alloc(kmq_block_t *b)
{
    kmq_ring_t  *ring;

    ring = object_alloc(b, class_fitting(b, KMQ_RING_SIZE), 1);
    if (ring == NULL) {
        return 0;
    }

    ring->next = 0;
    ring->prev = 0;
    ring->first = 0;
    ring->count = 0;
    ring->open = 0;

    return KMQ_REF(b, ring);
}


/* A node of the index, empty; NULL: no memory. */
kmq_index_t *
kmq_index_alloc(kmq_block_t *b)
{
    kmq_index_t  *node;

    node = object_alloc(b, class_fitting(b, sizeof(kmq_index_t)), 0);

    if (node) {
        memset(node, 0, sizeof(kmq_index_t));
        node->oldest = UINT32_MAX;
    }

    return node;
}


/* Makes a free page one of nodes, ahead of the need; 0: there is no page. */
int
kmq_index_stock(kmq_block_t *b)
{
    uint32_t  n;

    n = page_take(b, class_fitting(b, sizeof(kmq_index_t)), 0);

    if (n) {
        partial_insert(b, n);
    }

    return n != 0;
}


/* ------------------------------------------------------------------ slots */

kmq_slot_t *
kmq_slot_alloc(kmq_t *kmq)
{
    kmq_slot_t  *slot;

    do {
        slot = object_alloc(kmq->block, KMQ_CLASS_SLOT, 0);
    } while (slot == NULL && kmq_history_drop(kmq));

    return slot;
}


void
kmq_slot_free(kmq_block_t *b, kmq_slot_t *slot)
{
    kmq_object_free(b, KMQ_REF(b, slot));
}


/* The slot at a place that nobody vouches for; NULL when there is none. */
kmq_slot_t *
kmq_slot_at(kmq_block_t *b, kmq_ref_t ref)
{
    return kmq_record_at(b, KMQ_CLASS_SLOT, ref);
}


/* The same for other classes that are no data. */
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


/* ----------------------------------------------------------------- bodies */

uint32_t
kmq_piece_room(const kmq_block_t *b, kmq_ref_t piece)
{
    return b->page[page_of(b, piece)].size - PIECE_HEAD;
}


/* Any free object, of the class that fits best: larger first. */
static kmq_piece_t *
piece_any(kmq_block_t *b, unsigned fitting)
{
    unsigned      class;

    for (class = fitting; class < KMQ_CLASS_DATA + DATA_CLASSES; class++) {
        if (b->partial[class]) {
            return object_alloc(b, class, 0);
        }
    }

    for (class = fitting; class-- > KMQ_CLASS_DATA; ) {
        if (b->partial[class]) {
            return object_alloc(b, class, 0);
        }
    }

    return NULL;
}


static kmq_piece_t *
piece_alloc(kmq_t *kmq, size_t size)
{
    int           dropped;
    size_t        want;
    unsigned      class, tries;
    kmq_piece_t  *piece;

    want = size + PIECE_HEAD;
    class = class_fitting(kmq->block,
                          want < KMQ_PAGE_SIZE ? want : KMQ_PAGE_SIZE);

    /* history first: what it frees is often just what is needed */

    for (tries = 0; tries < 32; tries++) {
        piece = object_alloc(kmq->block, class, 0);
        if (piece) {
            return piece;
        }

        if (!kmq_history_drop(kmq)) {
            break;
        }
    }

    do {
        piece = piece_any(kmq->block, class);
        dropped = piece ? 0 : kmq_history_drop(kmq);
    } while (dropped);

    return piece;
}


kmq_ref_t
kmq_body_alloc(kmq_t *kmq, uint32_t size)
{
    size_t        left, room;
    kmq_ref_t     head, *link;
    kmq_piece_t  *piece;

    head = 0;
    link = &head;
    left = size;

    do {
        piece = piece_alloc(kmq, left);
        if (piece == NULL) {
            kmq_chain_free(kmq->block, head);
            return 0;
        }

        piece->next = 0;
        *link = KMQ_REF(kmq->block, piece);
        link = &piece->next;

        room = kmq_piece_room(kmq->block, KMQ_REF(kmq->block, piece));
        left = left > room ? left - room : 0;

    } while (left);

    return head;
}


/* Frees all pieces of a chain: of a body, or of a consumer's deliveries. */
void
kmq_chain_free(kmq_block_t *b, kmq_ref_t chain)
{
    kmq_ref_t     next;
    kmq_piece_t  *piece;

    while (chain) {
        piece = KMQ_AT(b, chain);
        next = piece->next;
        kmq_object_free(b, chain);
        chain = next;
    }
}


/* The same for a body of that size.  One that is a single piece is not read:
 * it would be the first time for long. */
void
kmq_body_free(kmq_block_t *b, kmq_ref_t body, uint32_t size)
{
    if (size <= kmq_piece_room(b, body)) {
        kmq_object_free(b, body);

    } else {
        kmq_chain_free(b, body);
    }
}


/* The class of a body that is one piece; 0: one of that size is several. */
static unsigned
body_class(const kmq_block_t *b, size_t size)
{
    size += PIECE_HEAD;

    return size <= KMQ_PAGE_SIZE ? class_fitting(b, size) : 0;
}


/* Is there memory for a message whose body is one piece, without dropping
 * history? */
int
kmq_message_room(const kmq_block_t *b, uint32_t size)
{
    return b->free_pages > b->spare_pages
           || (b->partial[KMQ_CLASS_SLOT] && b->partial[body_class(b, size)]);
}


/* Is a message's body the one piece that another of that size would get? */
int
kmq_body_fits(const kmq_block_t *b, const kmq_slot_t *slot, uint32_t size)
{
    const kmq_page_t  *page = &b->page[page_of(b, slot->body)];

    return page->class == body_class(b, size)
           && slot->size + PIECE_HEAD <= page->size;
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


/* A record of zeros, NULL when there is no memory. */
void *
kmq_record_alloc(kmq_block_t *b, unsigned class)
{
    void         *record;
    unsigned      i;
    uint32_t      n;
    kmq_table_t  *table = table_of(b, class);

    if (table->free == 0) {
        n = page_take(b, class, 1);
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

static kmq_marks_t *
marks_of(kmq_block_t *b, uint32_t page)
{
    return (kmq_marks_t *) &b->page[b->npages + 1] + page;
}


/* The bit of the object that begins at an offset in its page. */
static int
mark_is_set(const kmq_marks_t *marks, uint64_t offset)
{
    offset /= KMQ_OBJECT_MIN;

    return marks->in_use[offset / 64] >> offset % 64 & 1;
}


/* Nothing is in use; kmq_repair() then marks what is. */
void
kmq_memory_clear_marks(kmq_block_t *b)
{
    memset(marks_of(b, 0), 0, b->fresh_page * sizeof(kmq_marks_t));
}


void
kmq_memory_mark(kmq_block_t *b, kmq_ref_t object)
{
    uint64_t      offset;
    kmq_marks_t  *marks;

    marks = marks_of(b, page_of(b, object));
    offset = ((uint64_t) object * 8 - b->page_zero) % KMQ_PAGE_SIZE
             / KMQ_OBJECT_MIN;

    marks->in_use[offset / 64] |= UINT64_C(1) << offset % 64;
}


/* Marks all pieces of a chain. */
void
kmq_memory_mark_chain(kmq_block_t *b, kmq_ref_t chain)
{
    while (chain) {
        kmq_memory_mark(b, chain);
        chain = ((kmq_piece_t *) KMQ_AT(b, chain))->next;
    }
}


/* The same as kmq_record_next() for the slots that are not free. */
kmq_slot_t *
kmq_slot_next(kmq_block_t *b, kmq_walk_t *walk)
{
    kmq_slot_t  *slot;

    do {
        slot = kmq_record_next(b, KMQ_CLASS_SLOT, walk);
    } while (slot && slot->state == KMQ_FREE);

    return slot;
}


/* Only objects that are not in use are touched. */
static void
page_rebuild(kmq_block_t *b, uint32_t n)
{
    void         *object;
    unsigned      i, class;
    kmq_page_t   *page = &b->page[n];
    kmq_marks_t  *marks = marks_of(b, n);

    class = page->class;
    page->free = 0;
    page->used = 0;
    page->size = kmq_class_size(class);
    page->capacity = class_capacity(class);
    page->fresh = page->capacity;

    for (i = page->capacity; i-- > 0; ) {

        if (mark_is_set(marks, i * page->size)) {
            page->used++;
            continue;
        }

        object = object_at(b, n, i);
        *(kmq_ref_t *) object = page->free;
        page->free = KMQ_REF(b, object);
    }

    if (page->used == 0) {
        page_give(b, n);

    } else if (page->free) {
        partial_insert(b, n);
    }
}


static int
record_in_use(unsigned class, const void *record)
{
    switch (class) {

    case KMQ_CLASS_TOPIC:
        return ((const kmq_topic_t *) record)->used;

    case KMQ_CLASS_CLIENT:
        return ((const kmq_client_t *) record)->role;

    default:
        return ((const kmq_route_t *) record)->used;
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
        if (!record_in_use(class, record)) {
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
    memset(b->partial, 0, sizeof(b->partial));
    memset(b->table, 0, sizeof(b->table));

    for (n = 1; n < b->fresh_page; n++) {
        class = b->page[n].class;

        if (class == 0) {
            page_give(b, n);

        } else if (class == KMQ_CLASS_SLOT || class >= KMQ_CLASS_DATA) {
            page_rebuild(b, n);

        } else {
            table_link(b, table_of(b, class), n);
        }
    }

    for (class = KMQ_CLASS_TOPIC; class <= KMQ_CLASS_ROUTE; class++) {
        table_rebuild(b, class);
    }
}
