/*
 * For the build that is fuzzed (make SANITIZE=1), included before all else:
 * what the module asks of a pool is an allocation of its own, so that the
 * sanitizer knows where it ends, and that it is over with its pool.  None of it
 * goes through nginx's functions, whose own leaks are thus told apart.
 */

#if defined(__has_include)
#if __has_include("ngx_auto_config.h")

#include <ngx_config.h>
#include <ngx_core.h>


/* as many as ngx_palloc_large() looks at */
#define POOL_LOOK  4


static inline void *
kmq_live_palloc(ngx_pool_t *pool, size_t size)
{
    void              *p;
    ngx_uint_t         n;
    ngx_pool_large_t  *large;

    p = malloc(size);
    if (p == NULL) {
        return NULL;
    }

    for (n = 0, large = pool->large; large && n < POOL_LOOK; n++) {

        if (large->alloc == NULL) {
            large->alloc = p;
            return p;
        }

        large = large->next;
    }

    large = ngx_palloc(pool, sizeof(ngx_pool_large_t));
    if (large == NULL) {
        ngx_free(p);
        return NULL;
    }

    large->alloc = p;
    large->next = pool->large;
    pool->large = large;

    return p;
}


static inline void *
kmq_live_pcalloc(ngx_pool_t *pool, size_t size)
{
    void  *p;

    p = kmq_live_palloc(pool, size);
    if (p) {
        ngx_memzero(p, size);
    }

    return p;
}


static inline void *
kmq_live_alloc(size_t size, ngx_log_t *log)
{
    (void) log;

    return malloc(size);
}


static inline void *
kmq_live_calloc(size_t size, ngx_log_t *log)
{
    (void) log;

    return calloc(1, size);
}


#define ngx_alloc    kmq_live_alloc
#define ngx_calloc   kmq_live_calloc
#define ngx_palloc   kmq_live_palloc
#define ngx_pnalloc  kmq_live_palloc
#define ngx_pcalloc  kmq_live_pcalloc

#endif
#endif
