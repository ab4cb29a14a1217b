/* What the files of the node share: kmq_node.h. */

#ifndef KMQ_NODE_INSIDE_H
#define KMQ_NODE_INSIDE_H

#include "../disk/kmq_thread.h"
#include "../nats/kmq_nats_follow.h"
#include "../nats/kmq_nats_socket.h"
#include "kmq_appends.h"
#include "kmq_files.h"
#include "kmq_node.h"


/* What a beat says beside the news. */
typedef struct {
    kmq_news_t   news;
    kmq_role_e   role;
    char         name[KMQ_STATUS_NAME];
    char         address[KMQ_STATUS_ADDRESS];

    const unsigned char  *settings;    /* as they came */
} kmq_beat_t;

struct kmq_node_s {
    kmq_node_options_t    options;
    kmq_shared_t         *shared;
    pthread_t             thread;
    int                   started;
    int                   stop;        /* atomic, as those two */
    int                   leave;
    int                   works;

    kmq_lease_t           lease;
    kmq_lease_role_e      role;        /* as it was told last */
    kmq_files_t           files;
    kmq_nats_link_t      *link;
    uint64_t              beats;       /* their subscription */

    /* reading */
    kmq_nats_follower_t  *follower;
    uint64_t              linked;      /* there is a connection since then; */
    uint64_t              link_times;  /* which one */
    uint64_t              times;       /* of the connection that was checked */
    uint64_t              check;       /* not before */
    unsigned              old_told:1;  /* a server is an old one */
    uint64_t              time;        /* of the last entry */
    unsigned              lagging:1;   /* the stream ends before what was
                                          read */
    unsigned              gap:1;
    unsigned              scanning:1;  /* for the mark that covers most */
    unsigned              marked:1;
    uint64_t              scanned;
    uint64_t              scan_end;    /* UINT64_MAX: not known */
    kmq_chain_t           mark;

    /* as primary */
    uint64_t              sent[KMQ_CHAIN_WRITERS];
    kmq_appends_t         keep;
    int                   keeps;       /* number of its writer; -1: none */
    kmq_files_state_t     have;        /* to be flushed by the workers */
    unsigned              having:1;
    unsigned              frozen:1;    /* a file lacks something, until the
                                          next mark */
    kmq_chain_t           covered;     /* by the last mark */
    uint64_t              purge;       /* up to the mark's sequence; 0: done */

    /* taking over, and letting go */
    kmq_thread_t          recovery;
    uint32_t              recovering;  /* epoch, 0: none */
    int                   recovered;   /* 1, or -1: it failed */
    uint32_t              claims;      /* epoch, as logged */
    unsigned              letting:1;
    uint64_t              let;         /* since then */
    unsigned              called:1;
    uint64_t              silent;      /* a primary was heard last */

    uint64_t              seeded;      /* looked whether somebody wants it */
    uint32_t              seed_epoch;
    unsigned              seed_told:1;
    uint64_t              flushed;
    uint64_t              told;        /* status */
    kmq_status_t          status;
    uint64_t              looked;      /* at the stream's state */
    char                  reason[KMQ_STATUS_REASON];
};


__attribute__((format(printf, 3, 4)))
void kmq_node_log(kmq_node_t *node, int level, const char *format, ...);

/* Is this node's epoch the one that has begun, and does it serve? */
int kmq_node_serves(const kmq_node_t *node);

/* Begins as a standby with what the files have. */
void kmq_node_begin(kmq_node_t *node);


/* reading: kmq_node_read.c */

/* Connects and checks, and reads up to the deadline. */
void kmq_node_read(kmq_node_t *node, uint64_t deadline);

/* What was read since is to be read again, from chain.seq on. */
void kmq_node_reread(kmq_node_t *node);

/* The stream's last sequence, from its leader; UINT64_MAX: no answer.  Its
 * state goes into the status. */
uint64_t kmq_node_look(kmq_node_t *node, uint64_t deadline);

/* Makes the stream: 0 and when, or -1. */
int kmq_node_make(kmq_node_t *node, uint64_t *created);

/* Purges what the last mark covers. */
void kmq_node_purge(kmq_node_t *node);


/* telling: kmq_node_tell.c */

void kmq_node_beat(kmq_node_t *node, const kmq_news_t *news);
void kmq_node_heard(void *arg, const kmq_nats_msg_t *msg);
void kmq_node_begun(kmq_node_t *node, const kmq_entry_t *entry);
void kmq_node_status(kmq_node_t *node);


/* seeding: kmq_node_seed.c */

/* Makes a new stream from this node's files, if somebody wants that. */
void kmq_node_seed(kmq_node_t *node);

/* Is one to be made from them, or has nothing yet that was? */
unsigned kmq_node_seeds(const kmq_node_t *node);

/* Another node has; its first entry says so. */
void kmq_node_seeded(kmq_node_t *node, uint64_t created,
    const kmq_body_t *first);

/* Does not stand as long as that is not done. */
void kmq_node_wait_for_seed(kmq_node_t *node);


/* acting: kmq_node_act.c */

/* Does what the lease wants. */
void kmq_node_act(kmq_node_t *node);

/* What goes on for a while: recovering, letting go, keeping. */
void kmq_node_go_on(kmq_node_t *node);

#endif /* KMQ_NODE_INSIDE_H */
