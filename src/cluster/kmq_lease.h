/*
 * Who is primary: what a node does about it, as a machine without a clock, a
 * socket or a file.  Times, messages and entries of the stream go in, actions
 * come out.  docs/cluster-protocol.md tells why it is right, and what it takes
 * for granted.
 *
 *            silence of a primary             its claim was first
 *   STANDBY ----------------------> CANDIDATE -------------------> CLOSING
 *    ^   ^   <--------------------                                    |
 *    |   |      a primary is heard        all of the old epoch closed |
 *    |   |                                and read                    v
 *    |   +--------------------------------------------------- RECOVERING
 *    |            another claims a later epoch                        |
 *    |                                           its beginning is read|
 *    |  let go                                                        v
 *   DEPOSED <-------------- PAUSED <---------------------------> PRIMARY
 *            a later claim,          half of the timeout without
 *            a step down             an acknowledgement, or with
 *
 * A node is one such machine, in one process; its writers (kmq_writer.h) may be
 * in others.  No action has to be carried out at once, or at all, but for
 * liveness: what is late meets a place that is taken.
 *
 * The caller tells the time first, with kmq_lease_time(), and takes all actions
 * out after each call.
 */

#ifndef KMQ_LEASE_H
#define KMQ_LEASE_H

#include "kmq_chain.h"


#define KMQ_LEASE_NODES    16

typedef enum {
    KMQ_LEASE_STANDBY,
    KMQ_LEASE_CANDIDATE,
    KMQ_LEASE_CLOSING,
    KMQ_LEASE_RECOVERING,
    KMQ_LEASE_PRIMARY,
    KMQ_LEASE_PAUSED,
    KMQ_LEASE_DEPOSED
} kmq_lease_role_e;

typedef struct {
    kmq_who_t  who;                /* node from 0 on; start: never the same */
    uint32_t   nodes;              /* of the cluster, up to
                                      KMQ_LEASE_NODES */
    uint32_t   writers;            /* that an epoch has, workers that are
                                      respawned included, up to
                                      KMQ_CHAIN_WRITERS */
    uint32_t   timeout;            /* ms, as all below */
    uint32_t   rest;               /* after a step down */
    uint32_t   stall;              /* without acknowledgements, until others
                                      may try; longer than elections of the
                                      stream's leader take */
} kmq_lease_config_t;

/* What every node tells all others, an eighth of the timeout apart, and what
 * keeps standbys from standing: the beat. */
typedef struct {
    kmq_who_t  from;
    uint32_t   epoch;              /* that it is primary of, or about to be;
                                      else the last that its files know */
    uint64_t   seq;                /* of the stream, read up to */
    uint64_t   known;              /* of an entry that was there */
    uint32_t   successor;          /* it steps down for this node */
    unsigned   active:1;           /* it is primary, or about to be */
    unsigned   primary:1;
    unsigned   owner:1;            /* it was primary of that epoch */
    unsigned   tail:1;             /* its files have what the stream lacks */
    unsigned   lacks:1;            /* the stream lacks what it had */
    unsigned   seeds:1;            /* a stream is to be made from its files,
                                      or was and has nothing yet; the lease
                                      does not mind */
} kmq_news_t;

#define KMQ_NOBODY  UINT32_MAX

typedef enum {
    KMQ_LEASE_NEWS,                /* send news to all others */
    KMQ_LEASE_ASK,                 /* the stream's leader for its last
                                      sequence: kmq_lease_end() */
    KMQ_LEASE_WRITE,               /* write the entry, if its place is free */
    KMQ_LEASE_TAIL,                /* append what the files have and the
                                      stream lacks, to the slots it was for */
    KMQ_LEASE_RECOVER,             /* fill the block from files and stream, as
                                      far as they were read:
                                      kmq_lease_recovered() */
    KMQ_LEASE_SERVE,               /* let clients in, as entry's epoch */
    KMQ_LEASE_KEEP,                /* append an empty batch, if nothing is in
                                      flight */
    KMQ_LEASE_PAUSE,               /* for the log: see kmq_lease_until() */
    KMQ_LEASE_RESUME,
    KMQ_LEASE_DEPOSE,              /* close clients with 1001, let the block
                                      go: kmq_lease_let_go().  Files that are
                                      no prefix of the stream are set aside
                                      once the epoch's closings were read */
    KMQ_LEASE_BLOCK                /* for the operator: the stream has lost
                                      something; that node's files reach
                                      furthest, or KMQ_NOBODY: not all nodes
                                      have been heard yet */
} kmq_lease_action_e;

typedef struct {
    kmq_lease_action_e  kind;
    kmq_entry_t         entry;     /* WRITE; SERVE and DEPOSE: its epoch */
    kmq_news_t          news;      /* NEWS */
    uint64_t            ask;       /* ASK: a number, to be given back */
    uint32_t            node;      /* BLOCK */
} kmq_lease_action_t;

/* What is known of a node, this one included. */
typedef struct {
    kmq_news_t  news;
    uint64_t    at;                /* heard then; 0: never */
} kmq_lease_peer_t;

typedef struct {
    kmq_lease_config_t  config;
    kmq_lease_role_e    role;
    kmq_chain_t         chain;
    uint64_t            now;
    uint64_t            heard;     /* a primary */
    uint64_t            worked;    /* an append of its epoch was read */
    uint64_t            since;     /* the role, or progress in it */
    uint64_t            tried;     /* asked, or written what the role asks */
    uint64_t            beat;      /* news were sent */
    uint64_t            kept;
    uint64_t            until;     /* pushes and answers are allowed */
    uint64_t            acked;     /* when what was acknowledged was sent */
    uint64_t            began;     /* the beginning was written first */
    uint64_t            rests;     /* until then */
    uint64_t            known;     /* a sequence that was there */
    uint64_t            before[2]; /* the same when the last news were sent,
                                      and those before them */
    uint64_t            ask;       /* number of the last question */
    uint64_t            needed;    /* what the answer has to reach */
    uint64_t            short_at;  /* since then it did not; 0: it does */
    unsigned            shorts;    /* answers since then */
    uint32_t            epoch;     /* ours, from the claim on */
    uint32_t            furthest;  /* named, when the stream lacks something */
    unsigned            warm:1;    /* a primary was heard since the start */
    unsigned            told:1;    /* an operator does without the others */
    unsigned            called:1;  /* by whoever steps down */
    unsigned            tail:1;
    unsigned            owner:1;
    unsigned            differs:1; /* the stream is another one */
    unsigned            lost:1;    /* or too short, for long enough */
    unsigned            blocked:1; /* for that, or for another's sake: said */
    unsigned            recovered:1;
    uint64_t            closing[KMQ_CHAIN_WRITERS];
    kmq_lease_peer_t    peer[KMQ_LEASE_NODES];
    unsigned            nactions;
    kmq_lease_action_t  action[KMQ_CHAIN_WRITERS + 8];
} kmq_lease_t;

/*
 * A node starts.  chain is what its files have read of the stream; reach the
 * highest sequence they know to have been there, those in its own appends
 * included.  owner: they have appends of its own in the last epoch they know;
 * tail: some of these do not count in that chain, and are not void either.
 */
void kmq_lease_start(kmq_lease_t *lease, const kmq_lease_config_t *config,
    const kmq_chain_t *chain, uint64_t reach, int owner, int tail,
    uint64_t now);

/* Now it is so late, by a clock of this machine that nobody sets.  Also to be
 * called when nothing happens, some ten times in a timeout. */
void kmq_lease_time(kmq_lease_t *lease, uint64_t now);

/*
 * The next entry of the stream; kmq_chain_read() has the answer.  A reader that
 * connects begins with the entry at chain.seq, and compares it, by the time
 * when it was stored: when it is another one, or the stream is one that was
 * made later, the stream differs, and nothing of it is to be read.  The caller
 * keeps that in a file, and says it again after a start, until the node is
 * seeded.
 */
kmq_chain_e kmq_lease_entry(kmq_lease_t *lease, const kmq_entry_t *entry);
void kmq_lease_differs(kmq_lease_t *lease);

/* After KMQ_CHAIN_GAP: this chain came with the last mark. */
void kmq_lease_jump(kmq_lease_t *lease, const kmq_chain_t *chain);

/* The answer to KMQ_LEASE_ASK. */
void kmq_lease_end(kmq_lease_t *lease, uint64_t ask, uint64_t seq);

/* News of another node. */
void kmq_lease_news(kmq_lease_t *lease, const kmq_news_t *news);

/* Of a writer of this epoch: something is done that was sent then, and lies at
 * that sequence; it found something of another's. */
void kmq_lease_acked(kmq_lease_t *lease, uint32_t epoch, uint64_t sent,
    uint64_t seq);
void kmq_lease_closed(kmq_lease_t *lease, uint32_t epoch);

/* What belongs to KMQ_LEASE_RECOVER and KMQ_LEASE_DEPOSE is done. */
void kmq_lease_recovered(kmq_lease_t *lease, uint32_t epoch);
void kmq_lease_let_go(kmq_lease_t *lease);

/* The files' appends that the stream lacked: all of them are there, or void. */
void kmq_lease_no_tail(kmq_lease_t *lease);

/* Asks a primary to step down.  The node that is to follow, or KMQ_NOBODY: no
 * other has caught up, or this is not a primary. */
uint32_t kmq_lease_step_down(kmq_lease_t *lease);

/* An operator says that nodes which are not heard will not come back. */
void kmq_lease_stand(kmq_lease_t *lease);

/* The node whose files reach furthest, as far as is known; KMQ_NOBODY: not all
 * were heard. */
uint32_t kmq_lease_furthest(const kmq_lease_t *lease);

/* The highest sequence that anybody knows of. */
uint64_t kmq_lease_known(const kmq_lease_t *lease);

/*
 * Whoever serves that epoch may push, and say "ok" to what nobody waits for,
 * before this time, and looks at the clock right before; 0: not at all.  "ok"
 * to what is in the stream (kmq_writer.h) needs no leave.
 */
uint64_t kmq_lease_until(const kmq_lease_t *lease, uint32_t epoch);

/* Has nothing been acknowledged for a whole timeout, as primary?  What comes
 * then is better refused than kept waiting; the epoch goes on. */
int kmq_lease_silent(const kmq_lease_t *lease);

/* Takes the next action out; 0: there is none. */
int kmq_lease_next(kmq_lease_t *lease, kmq_lease_action_t *action);

#endif /* KMQ_LEASE_H */
