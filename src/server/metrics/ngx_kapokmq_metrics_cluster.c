/* What a node tells of its cluster: it alone, whoever is primary. */

#include "ngx_kapokmq_metrics_inside.h"
#include "../cluster/ngx_kapokmq_cluster.h"
#include "../http/ngx_kapokmq_hop.h"


#define ngx_kapokmq_cluster_value(member)                                     \
    offsetof(ngx_kapokmq_metrics_cluster_t, member),                          \
    sizeof(((ngx_kapokmq_metrics_cluster_t *) 0)->member)

/* The last two have a sample for each node. */
#define NGX_KAPOKMQ_CLUSTER_UP   (NGX_KAPOKMQ_CLUSTER_FAMILIES - 2)
#define NGX_KAPOKMQ_CLUSTER_LAG  (NGX_KAPOKMQ_CLUSTER_FAMILIES - 1)


static uint64_t ngx_kapokmq_metrics_node(u_char *p, ngx_uint_t lag,
    const kmq_status_t *status, uint32_t number, ngx_str_t *label);


static const ngx_kapokmq_family_t
    ngx_kapokmq_cluster_families[NGX_KAPOKMQ_CLUSTER_FAMILIES] = {

    { "cluster_primary", NULL, "This node is primary.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_cluster_value(primary) },

    { "cluster_paused", NULL,
      "It is primary, and pushes nothing, for want of acknowledgements.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_cluster_value(paused) },

    { "cluster_has_primary", NULL, "It knows of a primary, or is one.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_cluster_value(known) },

    { "cluster_blocked", NULL,
      "Nobody becomes primary by itself, since the stream lacks something.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_cluster_value(blocked) },

    { "cluster_epoch", NULL, "The last epoch that has begun.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_cluster_value(status.epoch) },

    { "cluster_nodes", NULL, "Nodes of the cluster.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_cluster_value(status.nodes) },

    { "cluster_nodes_heard", NULL, "Of these, those that are there.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_cluster_value(heard) },

    { "cluster_lag_entries", NULL,
      "Entries of the stream that this node does not have yet.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_cluster_value(lag) },

    { "cluster_lag_size_bytes", "bytes", "About so many bytes these are.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_cluster_value(lag_bytes) },

    { "cluster_nodes_differ", NULL,
      "Nodes that have other settings than this one.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_cluster_value(differ) },

    { "cluster_stream_messages", NULL, "Entries in the stream.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_cluster_value(status.messages) },

    { "cluster_stream_size_bytes", "bytes", "Bytes of the stream.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_cluster_value(status.bytes) },

    { "cluster_replicas", NULL, "Replicas that the stream should have.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_cluster_value(status.replicas) },

    { "cluster_replicas_current", NULL, "Those that have all of it.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_cluster_value(status.current) },

    { "cluster_takeovers", NULL,
      "Changes of primaries that this node has seen since its start.",
      NGX_KAPOKMQ_COUNTER, ngx_kapokmq_cluster_value(status.ntakeovers) },

    { "cluster_handed_on", NULL,
      "Requests that this node has handed on to a primary.",
      NGX_KAPOKMQ_COUNTER, ngx_kapokmq_cluster_value(handed) },

    { "cluster_node_up", NULL, "A node was heard not long ago.",
      NGX_KAPOKMQ_GAUGE, 0, 0 },

    { "cluster_node_lag_entries", NULL,
      "Entries of the stream that a node does not have yet.",
      NGX_KAPOKMQ_GAUGE, 0, 0 }
};


void
ngx_kapokmq_metrics_cluster_read(ngx_kapokmq_metrics_cluster_t *cluster)
{
    uint32_t       i;
    kmq_status_t  *status;

    status = &cluster->status;
    ngx_kapokmq_cluster_status(status);

    cluster->primary = (status->role == KMQ_ROLE_PRIMARY
                        || status->role == KMQ_ROLE_PAUSED);
    cluster->paused = (status->role == KMQ_ROLE_PAUSED);
    cluster->known = (status->primary < KMQ_LEASE_NODES);
    cluster->blocked = status->blocked;
    cluster->handed = kmq_hops_handed(ngx_kapokmq_worker.hop->hops);

    cluster->heard = 0;
    cluster->differ = 0;
    cluster->lag = 0;
    cluster->lag_bytes = 0;

    for (i = 0; i < KMQ_LEASE_NODES && i < status->nodes; i++) {
        cluster->heard += (i == status->node || status->peer[i].there);
        cluster->differ += status->peer[i].differs[0] != '\0';
    }

    if (status->node < KMQ_LEASE_NODES) {
        cluster->lag = status->peer[status->node].lag;
        cluster->lag_bytes = status->peer[status->node].lag_bytes;
    }
}


u_char *
ngx_kapokmq_metrics_cluster(u_char *p, ngx_uint_t open, ngx_uint_t n,
    const ngx_kapokmq_metrics_cluster_t *cluster)
{
    u_char                       text[4 * KMQ_STATUS_NAME];
    uint32_t                     i, number;
    uint64_t                     value;
    ngx_str_t                    label;
    const ngx_kapokmq_family_t  *family;

    family = &ngx_kapokmq_cluster_families[n];
    p = ngx_kapokmq_metrics_family(p, open, family);

    if (n >= NGX_KAPOKMQ_CLUSTER_UP) {

        for (i = 0; i < KMQ_LEASE_NODES && i < cluster->status.nodes; i++) {
            value = ngx_kapokmq_metrics_node(text,
                                             n == NGX_KAPOKMQ_CLUSTER_LAG,
                                             &cluster->status, i, &label);
            p = ngx_kapokmq_metrics_sample(p, family, &label, value);
        }

        return p;
    }

    if (family->size == sizeof(uint32_t)) {
        ngx_memcpy(&number, (const u_char *) cluster + family->offset,
                   sizeof(uint32_t));
        value = number;

    } else {
        ngx_memcpy(&value, (const u_char *) cluster + family->offset,
                   sizeof(uint64_t));
    }

    return ngx_kapokmq_metrics_sample(p, family, NULL, value);
}


/* Names of nodes are letters, digits and the like. */
static uint64_t
ngx_kapokmq_metrics_node(u_char *p, ngx_uint_t lag,
    const kmq_status_t *status, uint32_t number, ngx_str_t *label)
{
    const kmq_status_node_t  *node;

    node = &status->peer[number];
    label->data = p;

    if (node->name[0]) {
        p = ngx_sprintf(p, "{node=\"%s\"}", node->name);

    } else {
        p = ngx_sprintf(p, "{node=\"#%uD\"}", number + 1);
    }

    label->len = p - label->data;

    return lag ? node->lag : (uint64_t) (number == status->node
                                         || node->there);
}
