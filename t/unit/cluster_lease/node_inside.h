/* What the files of the nodes share. */

#ifndef KMQ_CLUSTER_NODE_INSIDE_H
#define KMQ_CLUSTER_NODE_INSIDE_H

#include "node.h"
#include "stream.h"


/* What nobody in the world knows. */
typedef struct {
    sim_set_t  oks;                /* messages answered "ok" */
    sim_set_t  begun_with;         /* what the last that begun had */
    uint64_t   uids;
    uint32_t   ids;
    uint32_t   jobs;
    uint64_t   lost_power_at;      /* sequence that files knew; 0: nothing is
                                      missing */
    int        troubled;           /* not all is well */
    int        asked_for;          /* node that an operator shall seed from,
                                      + 1 */
} node_world_t;

extern node_world_t  node_world;


/* ms of the node's own clock */
static inline uint64_t
node_clock(const node_t *n)
{
    return sim_now * n->rate / 1000 / SIM_MS;
}


static inline unsigned
node_number(const node_t *n)
{
    return n - node;
}


/* An event of this start of a node. */
static inline sim_event_t
node_later(const node_t *n, sim_kind_e kind)
{
    sim_event_t  event;

    event = sim_event(kind, node_number(n));
    event.start = n->start;

    return event;
}


/* worker.c */

void node_to_stream(const node_t *n, sim_event_t *event);
void node_send(node_t *n, const own_t *own, int waits);

/* The stream has a batch, or will never count it. */
int node_settled(const own_t *own, const kmq_chain_t *chain);
int node_has_tail(const node_t *n, const kmq_chain_t *chain);
void node_forget(node_t *n);

/* A worker may push. */
int node_works(const node_t *n, const worker_t *worker);
void node_work(node_t *n, unsigned w);
void node_append(node_t *n, unsigned w, uint32_t id, int mark);
void node_answer(node_t *n, const sim_event_t *answer);
void node_answer_done(node_t *n);
void node_hire(node_t *n, unsigned w);

/* files.c */

void node_start(node_t *n);
void node_flush(node_t *n);

#endif /* KMQ_CLUSTER_NODE_INSIDE_H */
