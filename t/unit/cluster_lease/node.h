/*
 * The nodes: each has a lease, two workers that append and push, files, and a
 * clock that goes its own way.
 */

#ifndef KMQ_CLUSTER_NODE_H
#define KMQ_CLUSTER_NODE_H

#include "sim.h"


#define NODE_OWN  1024

/* A batch in a node's own files, that it has appended or wants to. */
typedef struct {
    uint64_t  uid;
    uint64_t  slot;
    uint64_t  known;               /* a sequence that was there before */
    uint32_t  id;
    uint32_t  epoch;
    uint32_t  job;                 /* of the worker that waits; 0: nobody */
    int       mark;
    uint8_t   writer;
    uint8_t   worker;
    uint8_t   flushed;
    uint8_t   done;                /* and answered "ok" */
} own_t;

typedef struct {
    kmq_writer_t  writer;
    uint32_t      job;             /* 0: none */
    uint64_t      paused;          /* until then */
    int           fresh;           /* it has to compare before it sends */
    uint64_t      done_seq;        /* the last that was done, and what it was */
    uint64_t      done_uid;
    int           serves;          /* as it was told, for a broken rule */
} worker_t;

typedef struct {
    int           up;
    uint32_t      start;
    uint32_t      rate;            /* of the clock, in 1/1000 */
    uint64_t      paused;          /* all of it, until then */
    uint64_t      lease_paused;
    uint64_t      cut;             /* from everything */
    uint64_t      deaf;            /* to news, and dumb */
    uint64_t      disk;            /* stalls until then */
    uint64_t      heard;           /* news of another */
    uint64_t      stepped;         /* down; 0: not since the start */
    kmq_lease_t   lease;
    sim_view_t    view;            /* its chain is the lease's */
    sim_view_t    flushed;
    int           differs;         /* a file says that the stream does */
    int           fresh;           /* the reader has to compare */
    unsigned      replica;         /* that it reads from */
    uint32_t      epoch;           /* that workers serve; 0: none */
    uint32_t      recovered_for;
    sim_set_t     recovered;
    unsigned      writers;         /* used in this epoch */
    unsigned      nown;
    own_t         own[NODE_OWN];
    worker_t      worker[SIM_WORKERS];
} node_t;

/* What was counted, in all runs. */
typedef struct {
    unsigned long  oks;
    unsigned long  pushes;
    unsigned long  takeovers;
    unsigned long  pauses;
    unsigned long  deposed;
    unsigned long  tails;
    unsigned long  blocks;
    unsigned long  seeds;
    unsigned long  jumps;
    unsigned long  steps_down;
    unsigned long  looks;
    unsigned long  powers;
} node_counts_t;

extern node_t         node[SIM_NODES];
extern unsigned       node_n;      /* of them there are */
extern node_counts_t  node_counts;

void node_reset(unsigned n);
void node_event(sim_event_t *event);

/* A beginning is committed. */
void node_begun(const kmq_entry_t *entry);

int node_cut(uint32_t number);

/* Faults. */
void node_kill(unsigned number, int power, uint64_t restart);
void node_respawn(unsigned number);
void node_step_down(unsigned number);
void node_checkpoint(unsigned number);

/* All nodes are well from now on. */
void node_heal(void);

/* Messages that were answered "ok" so far. */
unsigned long node_oks(void);

/* An operator looks whether a node asks for help, and gives it. */
void node_operator(void);

/* The power is gone everywhere; or at the stream's servers alone, and all nodes
 * are thrown off.  They have to be well, in agreement, and to hear each other
 * for a while: 0, they are not. */
void node_power(void);
int node_servers_power(void);

#endif /* KMQ_CLUSTER_NODE_H */
