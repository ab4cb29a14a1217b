/* What the files of this room share. */

#ifndef NGX_KAPOKMQ_CLUSTER_INSIDE_H
#define NGX_KAPOKMQ_CLUSTER_INSIDE_H

#include "ngx_kapokmq_cluster.h"
#include "../../access/kmq_keys.h"
#include "../../replica/kmq_node.h"


/* What is to be compared with other nodes; it stays until the next call. */
void ngx_kapokmq_cluster_settings(kmq_node_options_t *options,
    const ngx_kapokmq_main_conf_t *mcf);

#endif /* NGX_KAPOKMQ_CLUSTER_INSIDE_H */
