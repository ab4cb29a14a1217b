/* The block: it is made, and recognised. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../time/kmq_time.h"
#include "../queue/kmq_queue.h"


#define MIN_PAGES  64


static size_t
header_size(uint64_t npages)
{
    return sizeof(kmq_block_t)
           + (npages + 1) * (sizeof(kmq_page_t) + sizeof(kmq_cells_t));
}


/* How many pages fit behind the header that describes them. */
static uint64_t
pages_in(size_t size)
{
    uint64_t  n;

    if (size < sizeof(kmq_block_t) + KMQ_PAGE_SIZE) {
        return 0;
    }

    n = (size - sizeof(kmq_block_t))
        / (KMQ_PAGE_SIZE + sizeof(kmq_page_t) + sizeof(kmq_cells_t));

    while (n && header_size(n) + (n + 1) * KMQ_PAGE_SIZE > size) {
        n--;
    }

    return n;
}


size_t
kmq_block_min(void)
{
    return header_size(MIN_PAGES) + (MIN_PAGES + 2) * KMQ_PAGE_SIZE;
}


size_t
kmq_block_max(void)
{
    /* a reference has 32 bits and counts 8 bytes; half of it, since 16 GiB is
     * what has been tried */
    return (size_t) 1 << 34;
}


static int
mutex_init(pthread_mutex_t *mutex)
{
    int                  rc;
    pthread_mutexattr_t  attr;

    if (pthread_mutexattr_init(&attr) != 0) {
        return KMQ_ERROR;
    }

    rc = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);

    if (rc == 0) {
        rc = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    }

    if (rc == 0) {
        rc = pthread_mutex_init(mutex, &attr);
    }

    (void) pthread_mutexattr_destroy(&attr);

    return rc == 0 ? KMQ_OK : KMQ_ERROR;
}


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
    b->class_size[KMQ_CLASS_DAYS] = periods_size(KMQ_CLASS_DAYS);

    for (class = KMQ_CLASS_RING; class < KMQ_CLASSES; class++) {
        b->class_size[class] = (b->class_size[class] + 7) & ~7;
    }
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
    b->page_zero = (header_size(b->npages) / KMQ_PAGE_SIZE) * KMQ_PAGE_SIZE;

    memcpy(key, seed, KMQ_SEED_LEN);
    b->key[0] = key[0] ^ key[2];
    b->key[1] = key[1] ^ key[3];
    class_sizes(b);
    kmq_page_init(b);
    kmq_schedule_reset(b);

    b->settings.waiting_max = 1000000;
    b->settings.batch_count = 100;
    b->settings.keep_consumed = 1;
    b->settings.check_interval = 1000;
    b->settings.topic.push_type = KMQ_PUSH_ONE;

    /* no record has number 0, not even one of a checkpoint before all else */

    b->journals.lsn = 1;

    if (mutex_init(&b->lock) != KMQ_OK) {
        return KMQ_ERROR;
    }

    for (i = 0; i < KMQ_WORKERS; i++) {
        if (mutex_init(&b->worker[i].alive) != KMQ_OK) {
            return KMQ_ERROR;
        }
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
