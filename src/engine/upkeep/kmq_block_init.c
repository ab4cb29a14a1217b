/* The block: it is made, and recognised. */

#include "../../mutex/kmq_mutex.h"
#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../time/kmq_time.h"
#include "../queue/kmq_queue.h"


#define MIN_PAGES  64

/* A shard takes such a part of the pages that it could have at once. */
#define CHUNK_PART  64


static size_t
align(size_t size, size_t to)
{
    return (size + to - 1) / to * to;
}


/* How many shards a block of so many pages has: a power of two. */
static unsigned
shards_for(uint64_t npages)
{
    unsigned  n;

    for (n = 1; n < KMQ_SHARDS && 2 * n * KMQ_SHARD_PAGES <= npages; n *= 2) {
        /* void */
    }

    return n;
}


/* Shards begin at pages, so that a place tells where in its page it is. */
static size_t
shard_size(unsigned nshards)
{
    return align(sizeof(kmq_shard_t)
                 + KMQ_TOPIC_BUCKETS / nshards * sizeof(kmq_ref_t),
                 KMQ_PAGE_SIZE);
}


static size_t
shards_end(unsigned nshards)
{
    return align(sizeof(kmq_block_t), KMQ_PAGE_SIZE)
           + nshards * shard_size(nshards);
}


/* Whatever is known of pages, numbered from 1. */
static size_t
header_size(uint64_t npages)
{
    return shards_end(shards_for(npages))
           + align((npages + 1) * (sizeof(kmq_page_t) + sizeof(kmq_cells_t)
                                   + sizeof(uint8_t)),
                   KMQ_PAGE_SIZE);
}


static size_t
size_for(uint64_t npages)
{
    return header_size(npages) + npages * KMQ_PAGE_SIZE;
}


/* How many pages fit behind the header that describes them. */
static uint64_t
pages_in(size_t size)
{
    uint64_t  n;

    for (n = size / KMQ_PAGE_SIZE; n && size_for(n) > size;
         n -= (size_for(n) - size) / (2 * KMQ_PAGE_SIZE) + 1)
    {
        /* void */
    }

    return n;
}


size_t
kmq_block_min(void)
{
    return size_for(MIN_PAGES);
}


size_t
kmq_block_max(void)
{
    /* a reference has 32 bits and counts 8 bytes; half of it, since 16 GiB is
     * what has been tried */
    return (size_t) 1 << 34;
}


_Static_assert(sizeof(kmq_periods_t)
               + KMQ_TOPIC_HOURS * sizeof(kmq_topic_period_t) <= KMQ_PAGE_SIZE
               && sizeof(kmq_topic_period_t) * KMQ_TOPIC_HOURS
                  > KMQ_PAGE_SIZE / 2,
               "a topic's hours are a page");


static size_t
periods_size(unsigned class)
{
    return sizeof(kmq_periods_t)
           + kmq_periods_kept(class) * sizeof(kmq_topic_period_t);
}


/* The sizes of the objects that pages of each class are cut into. */
static void
class_sizes(kmq_block_t *b)
{
    unsigned  class;

    b->class_size[KMQ_CLASS_RING] = KMQ_RING_SIZE;
    b->class_size[KMQ_CLASS_TOPIC] = sizeof(kmq_topic_t);
    b->class_size[KMQ_CLASS_CLIENT] = sizeof(kmq_client_t);
    b->class_size[KMQ_CLASS_ROUTE] = sizeof(kmq_route_t);
    b->class_size[KMQ_CLASS_NAME] = sizeof(kmq_name_t);
    b->class_size[KMQ_CLASS_MINUTES] = periods_size(KMQ_CLASS_MINUTES);
    b->class_size[KMQ_CLASS_HOURS] = periods_size(KMQ_CLASS_HOURS);

    for (class = KMQ_CLASS_RING; class < KMQ_CLASSES; class++) {
        b->class_size[class] = (b->class_size[class] + 7) & ~7;
    }
}


/* Where a shard finds what is known of pages. */
static void
shard_places(const kmq_block_t *b, kmq_shard_t *s, size_t offset)
{
    s->page_table = shards_end(b->nshards) - offset;
    s->page_cells = s->page_table
                    + (size_t) (b->npages + 1) * sizeof(kmq_page_t);
    s->page_owner = s->page_cells
                    + (size_t) (b->npages + 1) * sizeof(kmq_cells_t);
    s->page_zero = header_size(b->npages) - KMQ_PAGE_SIZE - offset;
}


static int
shard_init(kmq_block_t *b, unsigned n)
{
    size_t        offset;
    kmq_shard_t  *s = KMQ_SHARD(b, n);

    offset = (unsigned char *) s - (unsigned char *) b;

    s->number = n;
    s->place = (kmq_ref_t) (offset / 8);
    s->npages = b->npages;
    s->nbuckets = KMQ_TOPIC_BUCKETS / b->nshards;
    shard_places(b, s, offset);

    kmq_schedule_reset(s);

    return kmq_mutex_init(&s->lock) == 0 ? KMQ_OK : KMQ_ERROR;
}


static void
settings_init(kmq_block_t *b)
{
    b->settings.waiting_max = 1000000;
    b->settings.batch_count = 100;
    b->settings.keep_consumed = 1;
    b->settings.check_interval = 1000;
    b->settings.topic.push_type = KMQ_PUSH_ONE;
    b->room = b->settings.waiting_max;
}


static int
locks_init(kmq_block_t *b)
{
    unsigned  i;

    if (kmq_mutex_init(&b->lock) != 0) {
        return KMQ_ERROR;
    }

    for (i = 0; i < KMQ_WORKERS; i++) {
        if (kmq_mutex_init(&b->worker[i].alive) != 0) {
            return KMQ_ERROR;
        }
    }

    return KMQ_OK;
}


int
kmq_block_init(void *block, size_t size,
    const unsigned char seed[KMQ_SEED_LEN])
{
    uint64_t      key[KMQ_SEED_LEN / 8];
    unsigned      i;
    kmq_block_t  *b = block;

    if (size < kmq_block_min() || size > kmq_block_max()
        || (uintptr_t) block % 4096 != 0)
    {
        return KMQ_ERROR;
    }

    b->version = KMQ_VERSION;
    b->npages = pages_in(size);
    b->size = size;
    b->nshards = shards_for(b->npages);
    b->shard_zero = align(sizeof(kmq_block_t), KMQ_PAGE_SIZE);
    b->shard_size = shard_size(b->nshards);

    b->chunk = b->npages / (CHUNK_PART * b->nshards) + 1;
    b->chunk = b->chunk < KMQ_CHUNK_MAX ? b->chunk : KMQ_CHUNK_MAX;

    memcpy(key, seed, KMQ_SEED_LEN);
    b->key[0] = key[0] ^ key[2];
    b->key[1] = key[1] ^ key[3];
    class_sizes(b);
    kmq_page_init(b);
    settings_init(b);

    /* no record has number 0, not even one of a checkpoint before all else; nor
     * has a message */

    b->lsn = 1;
    b->sequence = 1;

    for (i = 0; i < b->nshards; i++) {
        if (shard_init(b, i) != KMQ_OK) {
            return KMQ_ERROR;
        }
    }

    if (locks_init(b) != KMQ_OK) {
        return KMQ_ERROR;
    }

    KMQ_SET(b->magic, KMQ_MAGIC);

    return KMQ_OK;
}


int
kmq_block_check(const void *block, size_t size)
{
    const kmq_block_t  *b = block;

    if (size < kmq_block_min() || b->magic != KMQ_MAGIC
        || b->version != KMQ_VERSION || b->size != size)
    {
        return KMQ_ERROR;
    }

    return KMQ_OK;
}
