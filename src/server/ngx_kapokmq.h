/*
 * What all of src/server knows: the module, its configuration, this worker.
 * All else is offered by rooms, each in the header of its name.
 *
 * "conf" is nginx's configuration, "config" is application.yaml, and "settings"
 * are what the engine has of that.
 */

#ifndef NGX_KAPOKMQ_H
#define NGX_KAPOKMQ_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "../access/kmq_access.h"
#include "../engine/kmq.h"
#include "../replica/kmq_shared.h"
#include "config/kmq_config.h"


#define NGX_KAPOKMQ_VERSION  "0.6.0"

/* of isPersistent */
#define NGX_KAPOKMQ_DISK_NONE   0
#define NGX_KAPOKMQ_DISK_LATER  1
#define NGX_KAPOKMQ_DISK_FIRST  2

/* The same in a cluster (ngx_kapokmq_worker_t.persistent): LATER, and FIRST
 * while this node has no leave for more; FIRST */
#define NGX_KAPOKMQ_DISK_LEAVE  3
#define NGX_KAPOKMQ_DISK_STREAM 4

extern ngx_module_t  ngx_kapokmq_module;


/* ---------------------------------------------------------- configuration */

/* In the zone, beside the engine's block. */
typedef struct {
    ngx_atomic_t     reloads;       /* the master alone writes it */
} ngx_kapokmq_shared_t;

typedef struct ngx_kapokmq_cluster_conf_s  ngx_kapokmq_cluster_conf_t;
/* Of a cluster: server/http/ngx_kapokmq_hop.h. */
typedef struct ngx_kapokmq_hop_conf_s  ngx_kapokmq_hop_conf_t;

typedef struct {
    ngx_shm_zone_t  *zone;          /* kapokmq_zone; NULL: not configured */
    void            *block;         /* the engine's part of it */
    size_t           block_size;
    ngx_kapokmq_shared_t *shared;
    kmq_valid_t     *valid;         /* in the zone, too */
    kmq_tries_t     *tries;
    kmq_used_t      *used;
    ngx_kapokmq_cluster_conf_t *cluster;    /* kapokmq_cluster, or NULL */
    kmq_shared_t    *node;          /* in the zone: this node's part in it */
    ngx_uint_t       reloads;       /* how many came before this one */
    ngx_str_t        config_file;   /* kapokmq_config */
    kmq_config_t    *config;        /* application.yaml, or its defaults */
    ngx_cycle_t     *cycle;         /* of this configuration */
    ngx_str_t        directory;     /* persistentFile, with the prefix */
    ngx_uint_t       begun;         /* persistent since this reload */
    ngx_str_t       *user;          /* the first location directive that
                                       needs the zone, NULL: none */
    ngx_kapokmq_hop_conf_t *hop;    /* of a cluster, or NULL */
    struct kmq_hops_s *hops;        /* in the zone, where there is one */
    ngx_array_t     *ways;          /* ngx_kapokmq_way_t */
} ngx_kapokmq_main_conf_t;

/* How a server hands requests on: by that named location.  Without a name: it
 * lets those in that come. */
typedef struct {
    ngx_http_core_srv_conf_t *server;
    ngx_str_t        location;
} ngx_kapokmq_way_t;

/* What a location serves. */
typedef enum {
    NGX_KAPOKMQ_NOTHING = 0,
    NGX_KAPOKMQ_PRODUCER,           /* kapokmq_producer, and so on */
    NGX_KAPOKMQ_CONSUMER,
    NGX_KAPOKMQ_EVENTS,
    NGX_KAPOKMQ_PULL,
    NGX_KAPOKMQ_SETTLE,
    NGX_KAPOKMQ_SEND,
    NGX_KAPOKMQ_CONSOLE,
    NGX_KAPOKMQ_METRICS,
    NGX_KAPOKMQ_HOP                 /* any of these, from another node */
} ngx_kapokmq_kind_e;

/* What whoever comes in there needs. */
typedef enum {
    NGX_KAPOKMQ_RIGHT_UNSET = 0,
    NGX_KAPOKMQ_RIGHT_TOPIC,        /* for each topic that is named */
    NGX_KAPOKMQ_RIGHT_CONSOLE,      /* to read; a function may need more */
    NGX_KAPOKMQ_RIGHT_METRICS,
    NGX_KAPOKMQ_RIGHT_SIGNED        /* what another node has looked at */
} ngx_kapokmq_right_e;

typedef struct {
    ngx_kapokmq_kind_e   kind;
    ngx_kapokmq_right_e  right;
    ngx_http_handler_pt  handler;   /* called by ngx_kapokmq_door() */
    ngx_http_handler_pt  later;     /* it cannot be served now; NULL: 503 */
} ngx_kapokmq_endpoint_t;

/* All that can be handed on, up to a NULL: in ngx_kapokmq_module.c. */
extern const ngx_kapokmq_endpoint_t *const  ngx_kapokmq_endpoints[];

/* A right that was not thought of does not compile: 0, but an array of -1
 * elements where there is none. */
#define NGX_KAPOKMQ_SET(right)                                                \
    ((right) + 0 * sizeof(char [(right) ? 1 : -1]))

/* How nginx finds a location. */
typedef enum {
    NGX_KAPOKMQ_PREFIX = 0,
    NGX_KAPOKMQ_EXACT,
    NGX_KAPOKMQ_PATTERN             /* no part of it stands for the location:
                                       a regular expression, a named one */
} ngx_kapokmq_match_e;

/* What a location's URI is made of; see server/http/ngx_kapokmq_path.c.  In
 * "if" and "limit_except" it is that of the location around them. */
typedef struct {
    ngx_kapokmq_match_e        match;
    ngx_str_t                  prefix;      /* or the whole, of an exact one */
    ngx_http_complex_value_t  *topic;       /* topic= and id=; NULL: both are */
    ngx_http_complex_value_t  *id;          /* in the URI */
    ngx_str_t                  reads;       /* what another node has made
                                               them of */
} ngx_kapokmq_path_t;

/* kapokmq_auth: what decides who may come in. */
#define NGX_KAPOKMQ_AUTH_KEY  0     /* a key or token, wherever it may be */
#define NGX_KAPOKMQ_AUTH_OFF  1     /* nginx has done that already */

/* kapokmq_access_log: a session's request is logged when it begins, and its
 * memory given back, or when it ends */
#define NGX_KAPOKMQ_LOG_UPGRADE  0
#define NGX_KAPOKMQ_LOG_END      1

typedef struct {
    ngx_kapokmq_endpoint_t  endpoint;       /* of this location */
    ngx_kapokmq_path_t      path;           /* where there is one */
    ngx_uint_t              access_log;     /* NGX_KAPOKMQ_LOG_... */
    ngx_array_t            *cors_origins;   /* kapokmq_cors_origin, ngx_str_t;
                                               NULL: any origin */
    ngx_uint_t              metrics_topics; /* with series of their own */
    ngx_uint_t              metrics_key;    /* is asked for */
    ngx_uint_t              auth;           /* NGX_KAPOKMQ_AUTH_... */
    ngx_http_complex_value_t *auth_key;     /* a key may be there, too */
    ngx_http_complex_value_t *auth_user;    /* kapokmq_user */
    ngx_uint_t              auth_limit;     /* of different wrong keys */
    ngx_str_t               primary;        /* kapokmq_primary, with its @ */
    ngx_uint_t              hop;            /* it came from another node */
} ngx_kapokmq_loc_conf_t;


/* ----------------------------------------------------------------- worker */

/* This process: one for all servers. */
typedef struct {
    kmq_t                *kmq;      /* NULL: the worker could not attach, and
                                       every request gets a 503 */
    kmq_config_t         *config;
    ngx_kapokmq_shared_t *shared;
    const kmq_valid_t    *valid;
    kmq_tries_t          *tries;
    kmq_used_t           *used;
    kmq_keys_t           *keys;     /* ngx_kapokmq_keys(); NULL: none yet */
    uint64_t              keys_number;
    kmq_token_memory_t   *tokens;       /* verified ones; NULL: none */
    ngx_uint_t            reloads;
    ngx_uint_t            persistent;       /* isPersistent */
    kmq_shared_t         *cluster;  /* NULL: there is none */
    uint32_t              epoch;    /* that it is attached for */
    const ngx_kapokmq_cluster_conf_t *cluster_conf;
    ngx_kapokmq_hop_conf_t *hop;    /* NULL: there is no cluster */
    ngx_log_t            *log;

    /* posted by ngx_kapokmq_wake() and others; their handlers belong to the
     * rooms that do it */
    ngx_event_t           deliver;          /* consumers may get messages */
    ngx_event_t           producers;        /* those that wait try again; a
                                               timer, too */
    ngx_queue_t           waiting;          /* producers that wait for room */

    /* What the engine was told may have to be written; NULL: nothing is. */
    void                (*journal)(void);
} ngx_kapokmq_worker_t;

extern ngx_kapokmq_worker_t  ngx_kapokmq_worker;

#endif /* NGX_KAPOKMQ_H */
