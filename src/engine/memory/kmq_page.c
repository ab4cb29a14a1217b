/*
 * Pages of 8 KiB: what all memory of the block is taken from.
 *
 * A page is a shard's or nobody's: a byte for each says whose.  A shard takes
 * free ones by changing that byte, a few at once, and gives them back when it
 * has more free ones than that.  This needs no lock and leaves nothing to be
 * repaired: whoever dies has the page or has it not.
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
kmq_page_of(const kmq_shard_t *s, kmq_ref_t ref)
{
    return (uint32_t) (((uint64_t) ref * 8 - s->page_zero) / KMQ_PAGE_SIZE);
}


kmq_ref_t
kmq_page_ref(const kmq_shard_t *s, uint32_t page)
{
    return (kmq_ref_t) ((s->page_zero + (uint64_t) page * KMQ_PAGE_SIZE) / 8);
}


/* Where in a page of objects the i-th one is. */
void *
kmq_page_object(kmq_shard_t *s, uint32_t page, unsigned i)
{
    return (unsigned char *) KMQ_AT(s, kmq_page_ref(s, page))
           + i * kmq_page_at(s, page)->size;
}


kmq_cells_t *
kmq_cells_of(kmq_shard_t *s, uint32_t page)
{
    return (kmq_cells_t *) ((unsigned char *) s + s->page_cells) + page;
}


/* Whose page is it?  0, or a shard's number plus 1. */
static uint8_t *
owner_of(const kmq_shard_t *s, uint32_t n)
{
    return (uint8_t *) s + s->page_owner + n;
}


static uint8_t
owner(const kmq_shard_t *s)
{
    return s->number + 1;
}


/* The class of the page at a place that may be wrong; 0: none of the shard. */
unsigned
kmq_class_of(const kmq_shard_t *s, kmq_ref_t ref)
{
    uint32_t  n;

    if ((uint64_t) ref * 8 < s->page_zero + KMQ_PAGE_SIZE) {
        return 0;
    }

    n = kmq_page_of(s, ref);

    return n <= s->npages && KMQ_GET(*owner_of(s, n)) == owner(s)
           ? kmq_page_at(s, n)->class : 0;
}


kmq_shard_t *
kmq_shard_at(const kmq_t *kmq, kmq_ref_t ref)
{
    uint32_t      n;
    uint64_t      offset;
    kmq_block_t  *b = kmq->block;
    kmq_shard_t  *first = KMQ_SHARD(b, 0);

    if (b->nshards == 1) {
        return first;
    }

    offset = (uint64_t) KMQ_IN(first, ref) * 8;

    if (offset < first->page_zero + KMQ_PAGE_SIZE
        || offset >= first->page_zero
                     + (uint64_t) (b->npages + 1) * KMQ_PAGE_SIZE)
    {
        return first;
    }

    n = KMQ_GET(*owner_of(first, kmq_page_of(first, KMQ_IN(first, ref))));

    return n ? KMQ_SHARD(b, n - 1) : first;
}


/* The next page of the shard, from n on.  Others' bytes may change meanwhile,
 * its own do not. */
uint32_t
kmq_page_next(const kmq_shard_t *s, uint32_t n)
{
    const uint8_t  *found;

    if (n == 0) {
        n = 1;
    }

    if (n > s->npages) {
        return 0;
    }

    found = memchr(owner_of(s, n), owner(s), s->npages + 1 - n);

    return found ? (uint32_t) (found - owner_of(s, 0)) : 0;
}


void
kmq_page_init(kmq_block_t *b)
{
    b->free_pages = b->npages;
    b->next_page = 1;
    b->spare_pages = b->npages / 32 + SPARE_MIN;
}


void
kmq_page_sum(kmq_block_t *b)
{
    unsigned  i;
    uint32_t  free;

    free = b->npages;

    for (i = 0; i < b->nshards; i++) {
        free -= KMQ_GET(KMQ_SHARD(b, i)->pages);
    }

    if (free != KMQ_GET(b->free_pages)) {
        KMQ_PUT(b->free_pages, free);
    }
}


uint32_t
kmq_pages_free(const kmq_shard_t *s)
{
    return s->free_pages + KMQ_GET(KMQ_BLOCK(s)->free_pages);
}


/* Bytes that messages may have without dropping history. */
uint64_t
kmq_page_room(const kmq_shard_t *s)
{
    uint32_t  free, spare;

    free = kmq_pages_free(s);
    spare = s->all_pages ? 0 : KMQ_BLOCK(s)->spare_pages;

    return (uint64_t) (free > spare ? free - spare : 0) * KMQ_PAGE_SIZE
           + s->heap[KMQ_HEAP_MESSAGES].free_cells * KMQ_CELL;
}


/* --------------------------------------------------- of no shard, or of one */

/* A free page is the shard's now. */
static void
page_add(kmq_shard_t *s, uint32_t n)
{
    kmq_page_at(s, n)->next = s->free_page;
    s->free_page = n;
    s->free_pages++;
}


/* Up to want of the block's free pages are not any more, as long as so many are
 * kept.  Returns how many. */
static uint32_t
pages_count(kmq_block_t *b, uint32_t want, uint32_t kept)
{
    uint32_t  n, free;

    free = KMQ_GET(b->free_pages);

    do {
        if (free <= kept) {
            return 0;
        }

        n = free - kept < want ? free - kept : want;

    } while (!__atomic_compare_exchange_n(&b->free_pages, &free, free - n, 0,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));

    return n;
}


/*
 * Takes up to want free pages from the block, the first of which is used first.
 * It counts them before it takes them, so that others who do the same leave as
 * many as are kept.  0: there are none.
 */
static unsigned
pages_claim(kmq_shard_t *s, unsigned want, uint32_t kept)
{
    uint8_t       none;
    uint32_t      n, steps, got, claimed[KMQ_CHUNK_MAX];
    kmq_block_t  *b = KMQ_BLOCK(s);

    want = pages_count(b, want, kept);

    got = 0;
    n = KMQ_GET(b->next_page);

    for (steps = s->npages; steps && got < want; steps--, n++) {

        if (n == 0 || n > s->npages) {
            n = 1;
        }

        none = 0;

        if (KMQ_GET(*owner_of(s, n)) == 0
            && __atomic_compare_exchange_n(owner_of(s, n), &none, owner(s), 0,
                                           __ATOMIC_ACQ_REL,
                                           __ATOMIC_RELAXED))
        {
            claimed[got++] = n;
        }
    }

    KMQ_POINT("pages-claim");

    KMQ_PUT(s->pages, s->pages + got);
    KMQ_PUT(b->next_page, n);

    if (got < want) {

        /* somebody was quicker, and has given others back behind this one */

        (void) __atomic_fetch_add(&b->free_pages, want - got,
                                  __ATOMIC_RELAXED);
    }

    for (n = got; n; n--) {
        page_add(s, claimed[n - 1]);
    }

    return got;
}


/* Gives a free page of the shard back. */
static void
page_release(kmq_shard_t *s)
{
    uint32_t      n;
    kmq_block_t  *b = KMQ_BLOCK(s);

    n = s->free_page;
    s->free_page = kmq_page_at(s, n)->next;
    s->free_pages--;

    __atomic_store_n(owner_of(s, n), 0, __ATOMIC_RELEASE);
    KMQ_POINT("page-release");

    KMQ_PUT(s->pages, s->pages - 1);
    KMQ_PUT(b->next_page, n);
    (void) __atomic_fetch_add(&b->free_pages, 1, __ATOMIC_RELAXED);
}


int
kmq_pages_release(kmq_shard_t *s)
{
    if (s->free_pages == 0) {
        return 0;
    }

    while (s->free_pages) {
        page_release(s);
    }

    return 1;
}


/* ----------------------------------------------------------- of some class */

/*
 * The truth about a page's objects must read as free before the page becomes
 * one of their class: states of objects, places of slots.
 */
static void
page_clear(kmq_shard_t *s, uint32_t n, unsigned class)
{
    if (class == KMQ_CLASS_MESSAGE || class == KMQ_CLASS_INDEX) {
        memset(kmq_cells_of(s, n), 0, sizeof(kmq_cells_t));

    } else if (class != KMQ_CLASS_RING) {
        memset(KMQ_AT(s, kmq_page_ref(s, n)), 0, KMQ_PAGE_SIZE);
    }
}


/* So many free pages must stay: spare ones, or those for repairs. */
static uint32_t
pages_kept(const kmq_shard_t *s, int spare)
{
    uint32_t            n;
    const kmq_block_t  *b = KMQ_BLOCK(s);

    if (s->all_pages) {
        return 0;
    }

    n = b->npages / 256 + REPAIR_MIN;

    return spare && n < b->spare_pages ? n : b->spare_pages;
}


/* Takes a page for class, a spare one only where spare is set.  0: there is
 * none. */
uint32_t
kmq_page_take(kmq_shard_t *s, unsigned class, int spare)
{
    uint32_t      n, kept;
    kmq_page_t   *page;
    kmq_block_t  *b = KMQ_BLOCK(s);

    kept = pages_kept(s, spare);

    if (kmq_pages_free(s) <= kept) {
        return 0;
    }

    if (s->free_pages == 0 && pages_claim(s, b->chunk, b->spare_pages) == 0
        && pages_claim(s, 1, kept) == 0)
    {
        return 0;
    }

    n = s->free_page;
    page = kmq_page_at(s, n);
    s->free_page = page->next;

    page_clear(s, n, class);

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

    s->free_pages--;

    return n;
}


void
kmq_page_give(kmq_shard_t *s, uint32_t n)
{
    KMQ_SET(kmq_page_at(s, n)->class, 0);
    KMQ_POINT("page-give");

    page_add(s, n);

    if (s->free_pages > 2 * KMQ_BLOCK(s)->chunk) {
        page_release(s);
    }
}
