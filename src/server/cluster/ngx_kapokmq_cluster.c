/* What the rest of the server asks about the cluster. */

#include "ngx_kapokmq_cluster.h"


void
ngx_kapokmq_cluster_status(kmq_status_t *status)
{
    kmq_status_read(&ngx_kapokmq_worker.cluster->board, status);
}


kmq_role_e
ngx_kapokmq_cluster_role(void)
{
    const kmq_status_t  *status;

    status = &ngx_kapokmq_worker.cluster->board.status;

    return *(volatile kmq_role_e *) &status->role;
}


uint32_t
ngx_kapokmq_cluster_primary(u_char address[KMQ_STATUS_ADDRESS])
{
    kmq_status_t  status;

    ngx_kapokmq_cluster_status(&status);
    address[0] = '\0';

    if (status.primary >= KMQ_LEASE_NODES) {
        return 0;
    }

    if (status.primary != status.node) {
        ngx_memcpy(address, status.peer[status.primary].address,
                   KMQ_STATUS_ADDRESS);
    }

    return status.peer[status.primary].epoch;
}


uint32_t
ngx_kapokmq_cluster_step_down(void)
{
    return __atomic_add_fetch(&ngx_kapokmq_worker.cluster->steps, 1,
                              __ATOMIC_ACQ_REL);
}


ngx_kapokmq_step_e
ngx_kapokmq_cluster_stepped(uint32_t question, uint32_t *successor)
{
    kmq_shared_t  *shared;

    shared = ngx_kapokmq_worker.cluster;

    if ((int32_t) (__atomic_load_n(&shared->stepped, __ATOMIC_ACQUIRE)
                   - question)
        < 0)
    {
        return NGX_KAPOKMQ_STEP_WAIT;
    }

    *successor = shared->successor;

    switch (shared->step) {

    case KMQ_STEP_DONE:
        return NGX_KAPOKMQ_STEP_DONE;

    case KMQ_STEP_NOBODY:
        return NGX_KAPOKMQ_STEP_NOBODY;

    default:
        return NGX_KAPOKMQ_STEP_NOT_PRIMARY;
    }
}
