/* The zone of shared memory: a queue is made in it, or found there. */

#include "ngx_kapokmq_process.h"
#include "cluster/ngx_kapokmq_cluster.h"
#include "disk/ngx_kapokmq_disk.h"
#include "../cluster/kmq_hop.h"

#include <sys/mman.h>
#include <sys/random.h>


static ngx_int_t ngx_kapokmq_zone_access(ngx_shm_zone_t *zone,
    ngx_kapokmq_main_conf_t *mcf);
static ngx_int_t ngx_kapokmq_zone_hops(ngx_shm_zone_t *zone,
    ngx_kapokmq_main_conf_t *mcf);
static ngx_int_t ngx_kapokmq_zone_format(ngx_shm_zone_t *zone,
    ngx_kapokmq_main_conf_t *mcf);


/*
 * Runs in the master, at a reload while the old workers are busy with the
 * zone: what is there is only taken over.
 */
ngx_int_t
ngx_kapokmq_zone_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_kapokmq_main_conf_t  *omcf = data;

    ngx_kapokmq_main_conf_t  *mcf;

    mcf = zone->data;

    if (omcf == NULL) {
        /* a test of the configuration leaves no trace, and needs no queue */
        return ngx_test_config
               ? ngx_kapokmq_recovery_check(zone->shm.log, mcf)
               : ngx_kapokmq_zone_format(zone, mcf);
    }

    mcf->block = omcf->block;
    mcf->block_size = omcf->block_size;
    mcf->shared = omcf->shared;
    mcf->reloads = ++mcf->shared->reloads;
    mcf->valid = omcf->valid;
    mcf->tries = omcf->tries;
    mcf->used = omcf->used;
    mcf->node = omcf->node;
    mcf->hops = omcf->hops;

    if (ngx_kapokmq_cluster_reload(zone->shm.log, mcf, omcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!ngx_test_config
        && ngx_kapokmq_recovery_reload(zone->shm.log, mcf, omcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (kmq_block_check(mcf->block, mcf->block_size) != KMQ_OK) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "zone \"%V\" does not hold a queue of this version",
                      &zone->shm.name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Which keys are valid, when each was used, and who tries wrong ones: beside
 * the block. */
static ngx_int_t
ngx_kapokmq_zone_access(ngx_shm_zone_t *zone, ngx_kapokmq_main_conf_t *mcf)
{
    int               rc;
    ngx_slab_pool_t  *shpool;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    mcf->valid = ngx_slab_alloc(shpool, kmq_valid_size());
    mcf->tries = ngx_slab_alloc(shpool, kmq_tries_size());

    mcf->used = ngx_slab_alloc(shpool, kmq_used_size());

    if (mcf->valid == NULL || mcf->tries == NULL || mcf->used == NULL) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "no memory in zone \"%V\"", &zone->shm.name);
        return NGX_ERROR;
    }

    kmq_valid_init(mcf->valid);
    kmq_used_init(mcf->used);
    rc = kmq_tries_init(mcf->tries);

    if (rc != 0) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, rc,
                      "no lock for zone \"%V\"", &zone->shm.name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* What a node of a cluster knows of requests that are handed on. */
static ngx_int_t
ngx_kapokmq_zone_hops(ngx_shm_zone_t *zone, ngx_kapokmq_main_conf_t *mcf)
{
    int               rc;
    ngx_slab_pool_t  *shpool;

    if (mcf->hop == NULL) {
        return NGX_OK;
    }

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    mcf->hops = ngx_slab_calloc(shpool, kmq_hops_size(KMQ_HOP_NODES));

    if (mcf->hops == NULL) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "no memory in zone \"%V\"", &zone->shm.name);
        return NGX_ERROR;
    }

    rc = kmq_hops_init(mcf->hops, KMQ_HOP_NODES);

    if (rc != 0) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, rc,
                      "no lock for zone \"%V\"", &zone->shm.name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* The engine's block is all of a new zone that its allocator can give. */
static ngx_int_t
ngx_kapokmq_zone_format(ngx_shm_zone_t *zone, ngx_kapokmq_main_conf_t *mcf)
{
    u_char            seed[KMQ_SEED_LEN];
    ngx_slab_pool_t  *shpool;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;
    shpool->log_nomem = 0;

    mcf->shared = ngx_slab_calloc(shpool, sizeof(ngx_kapokmq_shared_t));

    if (mcf->shared == NULL) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "no memory in zone \"%V\"", &zone->shm.name);
        return NGX_ERROR;
    }

    if (ngx_kapokmq_zone_access(zone, mcf) != NGX_OK
        || ngx_kapokmq_cluster_zone(zone, mcf) != NGX_OK
        || ngx_kapokmq_zone_hops(zone, mcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    mcf->block_size = ngx_min(shpool->pfree * ngx_pagesize, kmq_block_max());
    mcf->block = ngx_slab_alloc(shpool, mcf->block_size);

    if (mcf->block == NULL) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "no %uz bytes in zone \"%V\"", mcf->block_size,
                      &zone->shm.name);
        return NGX_ERROR;
    }

    /* where the administrator lets shared memory have them, which the kernel
     * does not tell; one that does not know them refuses, which is as well */

    (void) madvise(zone->shm.addr, zone->shm.size, MADV_HUGEPAGE);

    if (getrandom(seed, sizeof(seed), 0) != (ssize_t) sizeof(seed)) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, ngx_errno,
                      "getrandom() failed");
        return NGX_ERROR;
    }

    if (kmq_block_init(mcf->block, mcf->block_size, seed) != KMQ_OK) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "the queue cannot be made of %uz bytes in zone \"%V\"",
                      mcf->block_size, &zone->shm.name);
        return NGX_ERROR;
    }

    ngx_explicit_memzero(seed, sizeof(seed));

    shpool->data = mcf->block;

    return ngx_kapokmq_recovery(zone->shm.log, mcf);
}
