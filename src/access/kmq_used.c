/*
 * When each key was used last: kmq_used.h.
 *
 * A key's search begins at a place that its digest says, and ends at one that
 * is free.  None becomes free again; what is forgotten gives its place to
 * another one.  Whoever looks at that moment may see the other one's time.
 */

#include <string.h>

#include "kmq_used.h"


#define USED_NONE  KMQ_USED_KEYS


struct kmq_used_s {
    uint64_t  name[KMQ_USED_KEYS];      /* the digest's beginning; 0: free */
    uint32_t  time[KMQ_USED_KEYS];      /* s */
};


size_t
kmq_used_size(void)
{
    return sizeof(kmq_used_t);
}


void
kmq_used_init(kmq_used_t *used)
{
    memset(used, 0, sizeof(kmq_used_t));
}


static uint64_t
used_name(const kmq_digest_t *digest)
{
    uint64_t  name;

    memcpy(&name, digest->bytes, sizeof(name));

    return name ? name : 1;
}


static uint64_t
used_at(const kmq_used_t *used, size_t i)
{
    return __atomic_load_n(&used->name[i], __ATOMIC_RELAXED);
}


/* Its place, or the free one where it would be, or USED_NONE: there is no
 * free one. */
static size_t
used_find(const kmq_used_t *used, uint64_t name)
{
    size_t    i, n;
    uint64_t  there;

    i = name % KMQ_USED_KEYS;

    for (n = 0; n < KMQ_USED_KEYS; n++) {
        there = used_at(used, i);

        if (there == name || there == 0) {
            return i;
        }

        i = (i + 1) % KMQ_USED_KEYS;
    }

    return USED_NONE;
}


static size_t
used_oldest(const kmq_used_t *used)
{
    size_t    i, oldest;
    uint32_t  time, least;

    oldest = 0;
    least = UINT32_MAX;

    for (i = 0; i < KMQ_USED_KEYS; i++) {
        time = __atomic_load_n(&used->time[i], __ATOMIC_RELAXED);

        if (time < least) {
            least = time;
            oldest = i;
        }
    }

    return oldest;
}


/* A place for a name that has none: 1, or 0 when another process was
 * faster. */
static int
used_take(kmq_used_t *used, uint64_t name, size_t *i)
{
    uint64_t  there;

    if (*i == USED_NONE) {
        *i = used_oldest(used);
    }

    there = used_at(used, *i);

    return there == name
           || __atomic_compare_exchange_n(&used->name[*i], &there, name, 0,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}


void
kmq_used_now(kmq_used_t *used, const kmq_digest_t *digest, uint64_t now)
{
    size_t    i;
    uint64_t  name;

    name = used_name(digest);
    i = used_find(used, name);

    if (i == USED_NONE || used_at(used, i) != name) {
        if (!used_take(used, name, &i)) {
            /* the next time will do */
            return;
        }
    }

    /* a line of memory that all processes have is written once a second */

    if (__atomic_load_n(&used->time[i], __ATOMIC_RELAXED) != (uint32_t) now) {
        __atomic_store_n(&used->time[i], (uint32_t) now, __ATOMIC_RELAXED);
    }
}


uint64_t
kmq_used_last(const kmq_used_t *used, const kmq_digest_t *digest)
{
    size_t    i;
    uint64_t  name;

    name = used_name(digest);
    i = used_find(used, name);

    return i == USED_NONE || used_at(used, i) != name
           ? 0 : __atomic_load_n(&used->time[i], __ATOMIC_RELAXED);
}
