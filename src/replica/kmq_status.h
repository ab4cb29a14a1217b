/*
 * What a node tells of the cluster, in memory that its processes share.
 *
 * One thread of the node writes it (kmq_node.h), all others read: each gets a
 * copy that was true at one moment.  Nobody waits for anybody.
 */

#ifndef KMQ_STATUS_H
#define KMQ_STATUS_H

#include <stdint.h>

#include "../cluster/kmq_lease.h"


#define KMQ_STATUS_NAME       64     /* with the zero byte, as all texts here */
#define KMQ_STATUS_ADDRESS   256
#define KMQ_STATUS_REASON    256
#define KMQ_STATUS_DIFFERS   256
#define KMQ_STATUS_TAKEOVERS   8

/* What a node is to those who look at it. */
typedef enum {
    KMQ_ROLE_STARTING,             /* nothing is known yet */
    KMQ_ROLE_STANDBY,
    KMQ_ROLE_TAKING,               /* it wants to be primary, up to its
                                      beginning */
    KMQ_ROLE_PRIMARY,
    KMQ_ROLE_PAUSED,               /* the same, without acknowledgements: no
                                      pushes, clients stay */
    KMQ_ROLE_DEPOSED               /* it lets its clients go */
} kmq_role_e;

/* A node; times are ms since 1970, 0: never. */
typedef struct {
    char         name[KMQ_STATUS_NAME];        /* "": it was never heard */
    char         address[KMQ_STATUS_ADDRESS];  /* for clients' requests */
    kmq_role_e   role;
    uint32_t     epoch;            /* that it serves, or knows of */
    uint64_t     seq;              /* entries of the stream that it has */
    uint64_t     lag;              /* and those that it has not; */
    uint64_t     lag_bytes;        /* about so many bytes */
    uint64_t     heard;
    unsigned     there:1;          /* heard not long ago */
    unsigned     lacks:1;          /* the stream lacks what it had */
    char         differs[KMQ_STATUS_DIFFERS];  /* names of settings that are
                                      not as this node's */
} kmq_status_node_t;

/* A change of primaries that this node has seen. */
typedef struct {
    uint64_t     time;
    uint32_t     epoch;
    uint32_t     node;             /* who took over */
    uint32_t     lasted;           /* ms from silence to service, where it was
                                      this one; 0: not known */
    char         why[KMQ_STATUS_NAME];
} kmq_status_takeover_t;

typedef struct {
    kmq_role_e             role;       /* of this node */
    uint32_t               node;       /* its number, from 0 on */
    uint32_t               nodes;      /* how many there are */
    uint32_t               primary;    /* whom clients are to be handed to, or
                                          KMQ_NOBODY */
    uint32_t               epoch;      /* the last that has begun */
    uint64_t               since;      /* ms since 1970: in that role */
    uint64_t               known;      /* the stream's last entry */
    uint64_t               messages;   /* in the stream */
    uint64_t               bytes;
    char                   leader[KMQ_STATUS_NAME];   /* of the stream; "":
                                                         none */
    unsigned               replicas;   /* that it should have */
    unsigned               current;    /* that have all of it */
    char                   server[KMQ_STATUS_ADDRESS];  /* that we are
                                                           connected to; "" */
    unsigned               blocked:1;  /* nobody becomes primary by itself,
                                          since the stream lacks something */
    uint32_t               furthest;   /* then: whose files reach furthest;
                                          KMQ_NOBODY: not known yet */
    char                   reason[KMQ_STATUS_REASON]; /* why there is no
                                                         primary, or this one
                                                         is paused; "" */
    unsigned               ntakeovers; /* since nginx was started */
    kmq_status_takeover_t  takeover[KMQ_STATUS_TAKEOVERS];   /* the last ones,
                                          the newest first */
    kmq_status_node_t      peer[KMQ_LEASE_NODES];     /* this one as well */
} kmq_status_t;

/* Where it lies. */
typedef struct {
    uint64_t      version;         /* odd while it is written */
    kmq_status_t  status;
} kmq_status_board_t;

/* By the one thread that may. */
void kmq_status_write(kmq_status_board_t *board, const kmq_status_t *status);

/* A copy of what was written last. */
void kmq_status_read(const kmq_status_board_t *board, kmq_status_t *status);

/* The name of a role, as operators read it. */
const char *kmq_status_role(kmq_role_e role);

#endif /* KMQ_STATUS_H */
