/*
 * A node of the cluster: the thread that decides for it (kmq_lease.h), follows
 * the stream, and keeps its files.
 *
 * One process of the node has it; when that one ends, or dies, another one
 * begins where it was.  What is decided stands in kmq_shared_t.
 */

#ifndef KMQ_NODE_H
#define KMQ_NODE_H

#include "../disk/kmq_file.h"
#include "../nats/kmq_nats_link.h"
#include "kmq_shared.h"


#define KMQ_NODE_SETTINGS  64

/* A setting that all nodes should have alike: its name, and a sum of what it is
 * set to. */
typedef struct {
    const char  *name;
    uint32_t     sum;
} kmq_node_setting_t;

/* It stays, and so does what it points to. */
typedef struct {
    kmq_shared_t              *shared;
    const kmq_nats_options_t  *nats;
    const char                *name;       /* of the queue, and its stream */
    const char                *node_name;
    const char                *address;
    uint32_t                   node;       /* from 0 on */
    uint32_t                   nodes;
    uint32_t                   replicas;   /* of the stream */
    uint32_t                   timeout;    /* ms */
    const kmq_node_setting_t  *settings;   /* of which others are told; the
                                              first one is the secret that is
                                              in all sums */
    uint32_t                   nsettings;
    const char                *dir;
    uint64_t                   reserve;    /* see kmq_segment_init() */
    void                      *block;
    size_t                     block_size;
    kmq_log_t                  log;        /* called by the thread */
    void                      *arg;
} kmq_node_options_t;

typedef struct kmq_node_s  kmq_node_t;

/* Becomes the node's, unless another process is.  NULL: it is, or there is no
 * thread or memory for it. */
kmq_node_t *kmq_node_start(const kmq_node_options_t *options);

/* Another process is to go on; with leave, this node stops: a primary steps
 * down first, when its workers have no clients any more. */
void kmq_node_ask(kmq_node_t *node, int leave);

/* The thread has not ended, by itself or since it was asked to. */
int kmq_node_works(const kmq_node_t *node);

/* Waits until it has, and frees it. */
void kmq_node_end(kmq_node_t *node);

#endif /* KMQ_NODE_H */
