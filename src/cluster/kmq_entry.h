/*
 * An entry of the stream, without its body: what the lease has to know of it.
 * docs/cluster-protocol.md has the whole picture.
 *
 * An entry lies in a place of its own, which is its subject, and the first that
 * gets there keeps it: each is written with "this subject has no message yet".
 * The places are
 *
 *     the claim of an epoch        epoch
 *     its beginning                epoch
 *     a slot of one of its writers epoch, writer, slot; slots count from 1
 */

#ifndef KMQ_ENTRY_H
#define KMQ_ENTRY_H

#include <stdint.h>


typedef enum {
    KMQ_ENTRY_CLAIM,               /* a node wants to be primary */
    KMQ_ENTRY_BEGIN,               /* it has all of the past, and is */
    KMQ_ENTRY_APPEND,              /* a batch of records, or none */
    KMQ_ENTRY_CLOSE                /* nothing behind it counts */
} kmq_entry_kind_e;

/* A node since its last start: the same node later is somebody else. */
typedef struct {
    uint32_t  node;
    uint32_t  start;
} kmq_who_t;

typedef struct {
    uint64_t  seq;                 /* of the stream; 0: not there yet */
    uint64_t  slot;
    uint32_t  epoch;               /* its place */
    uint32_t  by;                  /* CLOSE: the epoch that it is for */
    uint16_t  writer;
    uint16_t  writers;             /* BEGIN: so many there may be */
    uint8_t   kind;
    kmq_who_t who;                 /* CLAIM and BEGIN: who wrote it */
} kmq_entry_t;


/*
 * Builds for tests can break a rule at a time, to see that it is missed: a bit
 * of this (1 << KMQ_RULE_...) takes it away.
 */
#ifdef KMQ_FAULTS

typedef enum {
    KMQ_RULE_CLOSE,                /* the old epoch is closed */
    KMQ_RULE_READ,                 /* and read up to its closings */
    KMQ_RULE_UNUSED,               /* writers that nobody used, too */
    KMQ_RULE_VOID,                 /* what is behind a closing is void */
    KMQ_RULE_NEXT,                 /* so are closings of who is not next */
    KMQ_RULE_JUMP,                 /* claims that were jumped over count */
    KMQ_RULE_BEGIN,                /* nobody serves before its beginning */
    KMQ_RULE_ORDER,                /* slots are done in their order */
    KMQ_RULE_LOOK,                 /* a refused slot is looked at */
    KMQ_RULE_REPEAT,               /* no answer is no refusal */
    KMQ_RULE_PAUSE,                /* no standing without acknowledgements */
    KMQ_RULE_SENT,                 /* which count from when they were asked */
    KMQ_RULE_REST,                 /* who steps down does not stand at once */
    KMQ_RULE_SHORT,                /* a stream has all that files know of */
    KMQ_RULE_SAME,                 /* and it is the same */
    KMQ_RULE_OTHERS,               /* for all nodes, at a cold start */
    KMQ_RULE_TAIL,                 /* what may have been lost comes back */
    KMQ_RULES
} kmq_rule_e;

extern uint32_t  kmq_rules_broken;

#define KMQ_RULE(name)  (!(kmq_rules_broken & (1u << KMQ_RULE_##name)))

#else

#define KMQ_RULE(name)  1

#endif

#endif /* KMQ_ENTRY_H */
