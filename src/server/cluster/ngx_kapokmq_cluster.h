/*
 * One queue on several machines (kapokmq_cluster): this node's part in it.
 *
 * Where there is no kapokmq_cluster, ngx_kapokmq_worker.cluster is NULL, and
 * nothing here is called but ngx_kapokmq_cluster_on().
 */

#ifndef NGX_KAPOKMQ_CLUSTER_H
#define NGX_KAPOKMQ_CLUSTER_H

#include "../ngx_kapokmq.h"
#include "../../nats/kmq_nats_link.h"
#include "../../replica/kmq_replica.h"


/* ---------------------------------------------------------- configuration */

/* What kapokmq_cluster says; texts have a zero byte behind them. */
struct ngx_kapokmq_cluster_conf_s {
    ngx_str_t           servers;    /* as written, but for a password */
    ngx_str_t           name;       /* name=: of the queue */
    ngx_str_t           node;       /* node=: it ends with its number */
    ngx_str_t           address;    /* address=: host:port, where other nodes
                                       hand their clients to */
    ngx_str_t           secret;     /* secret=: all nodes have the same */
    ngx_str_t           ca;         /* ca=: a file */
    ngx_str_t           creds;      /* creds=: a file */
    kmq_nats_key_t      key;        /* that was in it */
    ngx_uint_t          number;     /* of this node, from 0 on */
    ngx_uint_t          nodes;
    ngx_uint_t          replicas;
    ngx_msec_t          timeout;
    kmq_nats_options_t  nats;       /* servers, and how to log in there */
    kmq_nats_server_t   server[KMQ_NATS_SERVERS_MAX];
};

/* kapokmq_cluster SERVERS name=... */
char *ngx_kapokmq_cluster_directive(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* When all is read: does it fit to the other settings? */
ngx_int_t ngx_kapokmq_cluster_check(ngx_conf_t *cf,
    ngx_kapokmq_main_conf_t *mcf);

/* Its memory in a new zone; and at a reload: may it change so? */
ngx_int_t ngx_kapokmq_cluster_zone(ngx_shm_zone_t *zone,
    ngx_kapokmq_main_conf_t *mcf);
ngx_int_t ngx_kapokmq_cluster_reload(ngx_log_t *log,
    ngx_kapokmq_main_conf_t *mcf, ngx_kapokmq_main_conf_t *old);


/* ---------------------------------------------------------------- the node */

/* Is there a cluster in the configuration of this worker? */
static inline ngx_uint_t
ngx_kapokmq_cluster_on(void)
{
    return ngx_kapokmq_worker.cluster != NULL;
}


/*
 * Does this worker serve clients now?  Without a cluster always, if it could
 * attach; with one, when this node is primary, paused or not, and the worker
 * has attached to the block.  A load, no lock.
 */
static inline ngx_uint_t
ngx_kapokmq_cluster_serves(void)
{
    return ngx_kapokmq_worker.kmq != NULL;
}


/* A copy of what the node knows of the cluster: some kilobytes, no lock; for
 * whoever shows it.  No memory is needed. */
void ngx_kapokmq_cluster_status(kmq_status_t *status);

/* The role of this node, and the address of the primary; *address has room for
 * KMQ_STATUS_ADDRESS bytes, and is "" when there is none, or it is this node.
 * Returns the primary's epoch, or 0. */
kmq_role_e ngx_kapokmq_cluster_role(void);
uint32_t ngx_kapokmq_cluster_primary(u_char address[KMQ_STATUS_ADDRESS]);


/* ------------------------------------------------------------- step down */

/* What came of it. */
typedef enum {
    NGX_KAPOKMQ_STEP_WAIT,          /* not known yet: ask again */
    NGX_KAPOKMQ_STEP_DONE,          /* another node is to follow */
    NGX_KAPOKMQ_STEP_NOBODY,        /* no other node has caught up */
    NGX_KAPOKMQ_STEP_NOT_PRIMARY
} ngx_kapokmq_step_e;

/* Asks this node to step down; the number of the question, by which its answer
 * is to be had, some 50 ms later.  successor: the number of the node that is to
 * follow, when it is DONE. */
uint32_t ngx_kapokmq_cluster_step_down(void);
ngx_kapokmq_step_e ngx_kapokmq_cluster_stepped(uint32_t question,
    uint32_t *successor);


/* --------------------------------------------------------------- processes */

/* What the process does for the cluster. */
typedef struct {
    /* attaches to the block, and begins to serve: 1, or 0 */
    int    (*attach)(void *arg);

    /* what was gathered is to be done; ngx_kapokmq_cluster_pass() then */
    void   (*barrier)(uint32_t number);

    void    *arg;
} ngx_kapokmq_cluster_hooks_t;

/* In a worker: it takes part, and attaches when this node is primary. */
void ngx_kapokmq_cluster_init(ngx_cycle_t *cycle,
    ngx_kapokmq_main_conf_t *mcf, const ngx_kapokmq_cluster_hooks_t *hooks);

/* All clients of an exiting worker have gone. */
void ngx_kapokmq_cluster_drained(void);

/* It is about to exit, detached from the block. */
void ngx_kapokmq_cluster_exit(void);

/* What was gathered up to that barrier is done. */
void ngx_kapokmq_cluster_pass(uint32_t number);

/* For the threads that append: what they need to know. */
const kmq_replica_options_t *ngx_kapokmq_cluster_replica(void);

#endif /* NGX_KAPOKMQ_CLUSTER_H */
