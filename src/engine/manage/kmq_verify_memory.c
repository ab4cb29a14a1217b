/* Checks the memory: pages, whose they are, and what they are cut into. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../upkeep/kmq_upkeep.h"
#include "kmq_verify_inside.h"


/* Each record of a table is in use or in the list of free ones. */
static void
verify_table(kmq_verify_t *v, unsigned class)
{
    void        *record;
    uint64_t     all, used, unused;
    kmq_ref_t    ref;
    kmq_walk_t   walk;

    all = 0;
    used = 0;
    unused = 0;
    memset(&walk, 0, sizeof(walk));

    while ((record = kmq_table_scan(v->s, class, &walk))) {
        all++;
        used += kmq_object_used(v->s, class, record) != 0;
    }

    for (ref = kmq_table_free_list(v->s, class); ref && unused <= all;
         ref = *(kmq_ref_t *) record)
    {
        record = kmq_table_at(v->s, class, ref);

        if (record == NULL || kmq_object_used(v->s, class, record)) {
            kmq_wrong(v, "record %u of table %u is not free", ref, class);
            return;
        }

        unused++;
    }

    kmq_same(v, "what a table has, used and free", used + unused, all);
}


/* What is known of a page. */
static const kmq_page_t *
page_at(const kmq_shard_t *s, uint32_t n)
{
    return (kmq_page_t *) ((unsigned char *) s + s->page_table) + n;
}


/* The pages of the shard; *cells becomes those of pages of cells, and *rings
 * how many are in use. */
static void
verify_pages(kmq_verify_t *v, uint64_t *cells, uint64_t *rings)
{
    uint32_t  n;
    uint64_t  pages, free;

    pages = 0;
    free = 0;
    *cells = 0;
    *rings = 0;

    for (n = kmq_page_next(v->s, 1); n; n = kmq_page_next(v->s, n + 1)) {
        pages++;

        switch (page_at(v->s, n)->class) {

        case 0:
            free++;
            break;

        case KMQ_CLASS_MESSAGE:
        case KMQ_CLASS_INDEX:
            *cells += KMQ_PAGE_CELLS;
            break;

        case KMQ_CLASS_RING:
            *rings += page_at(v->s, n)->used;
            break;
        }
    }

    kmq_same(v, "the number of a shard's pages", v->s->pages, pages);
    kmq_same(v, "the number of a shard's free pages", v->s->free_pages, free);

    pages = 0;

    for (n = v->s->free_page; n && pages <= free; n = page_at(v->s, n)->next) {
        pages++;
    }

    kmq_same(v, "the list of a shard's free pages", pages, free);
}


void
kmq_verify_memory(kmq_verify_t *v)
{
    unsigned     i, class;
    uint64_t     cells, rings;
    const char  *text;

    verify_pages(v, &cells, &rings);

    cells -= v->s->heap[KMQ_HEAP_MESSAGES].free_cells
             + v->s->heap[KMQ_HEAP_INDEX].free_cells;

    kmq_same(v, "the rings in use", rings, v->rings);
    kmq_same(v, "the cells in use", cells,
             v->cells + kmq_trash_cells(v->s) + kmq_index_cells(v->s));

    for (i = 0; i < KMQ_HEAPS; i++) {
        text = kmq_heap_verify(v->s, &v->s->heap[i]);

        if (text) {
            kmq_wrong(v, "%s", text);
        }
    }

    for (class = KMQ_CLASS_TOPIC; class < KMQ_CLASSES; class++) {
        verify_table(v, class);
    }
}


/* Whose each page is. */
void
kmq_verify_owners(kmq_verify_t *v, const kmq_block_t *b)
{
    uint32_t        n;
    uint64_t        pages;
    const uint8_t  *owner;

    owner = (const uint8_t *) v->s + v->s->page_owner;
    pages = 0;

    for (n = 1; n <= b->npages; n++) {
        pages += owner[n] == 0;

        if (owner[n] > b->nshards) {
            kmq_wrong(v, "page %u is of no shard that there is", n);
        }
    }

    if (v->exact) {
        kmq_same(v, "the number of free pages", KMQ_GET(b->free_pages), pages);
    }

    for (n = 0; n < b->nshards; n++) {
        pages += KMQ_SHARD(b, n)->pages;
    }

    kmq_same(v, "the number of pages, of shards and free", pages, b->npages);
}
