/*
 * A replicated stream as nats-server's: three replicas with one log, of which a
 * leader proposes entries.  An entry is committed when two have it, and applied
 * by each of them later; the leader answers when it has applied it.  Whoever
 * becomes leader may have applied less than is committed, and of what was not
 * committed any part may be gone.  Without power, so may what was applied and
 * not flushed.
 */

#ifndef KMQ_CLUSTER_STREAM_H
#define KMQ_CLUSTER_STREAM_H

#include "sim.h"


#define STREAM_REPLICAS  3
#define STREAM_LOG       16384

typedef struct {
    int       up;
    int       cut;                 /* from the other replicas */
    uint32_t  applied;
    uint32_t  flushed;
} stream_replica_t;

extern stream_replica_t  stream_replica[STREAM_REPLICAS];
extern int               stream_leader;          /* or -1 */

/* All that is committed, as every reader has to see it in the end; and the
 * messages that had been recovered for the epoch that has begun last. */
extern sim_view_t  stream_truth;
extern uint64_t    stream_begun_at;
extern uint64_t    stream_last;                  /* sequence */

/* Told of each beginning that counts. */
extern void (*stream_begun)(const kmq_entry_t *entry);

void stream_reset(void);

/* Events. */
void stream_propose(const sim_event_t *event);
void stream_commit(void);
void stream_apply(unsigned replica);
void stream_elect(void);
void stream_look(const sim_event_t *event);
void stream_ask(const sim_event_t *event);

/* There is no leader any more; another is elected after a while. */
void stream_lose_leader(void);

/* A replica goes, or is cut off. */
void stream_down(unsigned replica, int cut, uint64_t time);
void stream_up(unsigned replica);
void stream_heal(void);

/* The power is lost everywhere. */
void stream_power(void);

/* A new stream that has this for its past. */
void stream_seed(const sim_op_t *op, const sim_view_t *view);

/* The first message at a replica with at least that sequence; NULL: none. */
const sim_op_t *stream_read(unsigned replica, uint64_t seq);

/* What lies there is this, as the leader knows it: 1, 0, or -1: it cannot
 * tell. */
int stream_same(uint64_t seq, uint64_t uid);

/* The mark at a replica that covers most, or -1. */
int stream_mark(unsigned replica);

/* Checkpoints. */
extern sim_view_t  stream_marks[SIM_MARKS];
extern int         stream_nmarks;

/* Sends an answer to a node; it may get lost. */
void stream_send(sim_event_t *event);

#endif /* KMQ_CLUSTER_STREAM_H */
