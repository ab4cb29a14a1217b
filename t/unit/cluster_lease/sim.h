/*
 * A simulated world for the lease: its time, its chance, and what is to happen
 * when.  All times are µs of a clock that no node has.
 */

#ifndef KMQ_CLUSTER_SIM_H
#define KMQ_CLUSTER_SIM_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../src/cluster/kmq_lease.h"
#include "../../../src/cluster/kmq_writer.h"


#define SIM_MS       UINT64_C(1000)
#define SIM_S        UINT64_C(1000000)

#define SIM_IDS      8192          /* messages of a run */
#define SIM_NODES    3
#define SIM_WRITERS  6             /* of an epoch */
#define SIM_WORKERS  2
#define SIM_MARKS    64

#define SIM_TIMEOUT  3000          /* ms */
#define SIM_STALL    12000
#define SIM_REST     30000

/* Rules that are not the lease's own. */
typedef enum {
    SIM_EXPECT,                    /* places are taken once */
    SIM_AT_APPLY,                  /* and that is found out when an entry is
                                      applied, not when it is proposed */
    SIM_KEEP,                      /* a purge leaves closings there */
    SIM_CLOCK,                     /* workers look at the clock themselves */
    SIM_EPOCH,                     /* and serve the lease's epoch alone */
    SIM_FLUSH,                     /* "ok" waits for the disk, too */
    SIM_RULES
} sim_rule_e;

extern uint32_t  sim_rules_broken;

#define SIM_RULE(name)  (!(sim_rules_broken & (1u << SIM_##name)))

typedef struct {
    uint64_t  word[SIM_IDS / 64];
} sim_set_t;

/* What a reader has made of the stream. */
typedef struct {
    kmq_chain_t  chain;
    uint64_t     stamp;            /* of the last entry */
    sim_set_t    ids;              /* messages that count */
    uint32_t     held[SIM_WRITERS][KMQ_CHAIN_HELD];
} sim_view_t;

/* An entry with its body, or a purge. */
typedef struct {
    kmq_entry_t  entry;
    uint64_t     uid;              /* the same for a repetition */
    uint64_t     stamp;            /* the time when it was stored */
    uint64_t     purge;            /* all up to this sequence; 0: an entry */
    uint32_t     id;               /* its message, or 0 */
    int          mark;             /* its checkpoint, or -1 */
} sim_op_t;

typedef enum {
    SIM_TICK, SIM_READ, SIM_FLUSH_DISK, SIM_WORK, SIM_RESTART, SIM_ACTION,
    SIM_NEWS, SIM_END, SIM_RECOVERED, SIM_LET_GO, SIM_ACKED, SIM_CLOSED,
    SIM_ANSWER, SIM_FOUND, SIM_SILENT,     /* of a worker */
    SIM_PROPOSE, SIM_LOOK, SIM_ASK,        /* at the stream */
    SIM_COMMIT, SIM_APPLY, SIM_ELECT, SIM_UP,
    SIM_FAULT, SIM_OPERATOR
} sim_kind_e;

typedef struct {
    uint64_t            at;
    uint64_t            order;
    sim_kind_e          kind;
    uint32_t            node;      /* or replica */
    uint32_t            start;     /* for this start of the node alone */
    uint32_t            worker;
    uint32_t            job;       /* the worker since it was respawned */
    uint64_t            slot;
    uint64_t            seq;
    uint64_t            sent;
    uint32_t            epoch;
    int                 answer;
    sim_op_t            op;
    kmq_news_t          news;
    kmq_lease_action_t  action;
} sim_event_t;

extern uint64_t  sim_now;
extern uint64_t  sim_steps;

/* What was found to be wrong first, or NULL. */
extern const char  *sim_wrong;

void sim_reset(uint64_t seed);

uint64_t sim_random(uint64_t below);
int sim_chance(unsigned per_mille);
uint64_t sim_between(uint64_t from, uint64_t to);

/* An event with all else 0. */
sim_event_t sim_event(sim_kind_e kind, uint32_t node);

/* It happens after that time. */
void sim_later(sim_event_t *event, uint64_t delay);

/* The next one; 0: none before that time. */
int sim_next(sim_event_t *event, uint64_t end);

/* Forgets all events but faults and what the operator does: they were
 * messages. */
void sim_forget(void);

/* Forgets what is on the way to the stream or from there, and what goes on
 * inside it. */
void sim_forget_messages(void);

void sim_fail(const char *what);

/* A line for whoever wants to know how it came to that. */
extern int  sim_traced;

void sim_trace(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static inline int
sim_has(const sim_set_t *set, uint32_t id)
{
    return set->word[id / 64] >> (id % 64) & 1;
}

static inline void
sim_add(sim_set_t *set, uint32_t id)
{
    set->word[id / 64] |= UINT64_C(1) << (id % 64);
}

/* One of a that b has not, or 0. */
uint32_t sim_missing(const sim_set_t *a, const sim_set_t *b);

/* Shows an entry to a view; the chain may be elsewhere, too. */
void sim_view(sim_view_t *view, const kmq_chain_t *before,
    const kmq_chain_t *after, kmq_chain_e what, const sim_op_t *op);

#endif /* KMQ_CLUSTER_SIM_H */
