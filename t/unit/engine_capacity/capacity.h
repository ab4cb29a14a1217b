/*
 * How much fits beside survivors: messages pass through a block, a few of them
 * stay, and then it is filled.  Shared by the unit test and by the bench.
 *
 * What is measured is a ratio.  Above it: the messages that fit after all that.
 * Below it: those that fit into a fresh block that was given the same survivors
 * first, one behind the other, in the same states.
 */

#ifndef KMQ_ENGINE_CAPACITY_H
#define KMQ_ENGINE_CAPACITY_H

#include "../engine_util.h"


#define EC_REQUIRED   0.85
#define EC_MIXED      0          /* bodies of many sizes */
#define EC_STREAM     0          /* waves: everything is consumed as it comes */
#define EC_BATCH      256
#define EC_HOUR       3600000    /* ms */
#define EC_PAGE       8192
#define EC_PREFETCH   65535

/* what becomes of the survivors */
typedef enum {
    EC_WAITING,                  /* in a topic that nobody consumes */
    EC_DELAYED,
    EC_DEAD,
    EC_IN_FLIGHT,                /* with whoever confirms the others */
    EC_ELSEWHERE,                /* in flight with consumers of their own */
    EC_STATES
} ec_state_t;

typedef struct {
    ec_state_t   state;
    unsigned     one_in;         /* so many messages stays one; 0: at random,
                                    one in 2 to 1000 */
    unsigned     keep;           /* keep_consumed */
    unsigned     waves;          /* the block is filled and drained so often, or
                                    EC_STREAM */
    unsigned     body;           /* bytes, or EC_MIXED */
    unsigned     next;           /* the same in every other wave */
    unsigned     fill;           /* the same of the messages that are counted */
} ec_pattern_t;

typedef struct {
    uint64_t     passed;
    uint64_t     survivors;
    uint64_t     expected;       /* messages */
    uint64_t     fitted;
    double       ratio;
    int          refused;        /* a message of a stream was */
    char         wrong[256];     /* what is wrong with the block, or "" */
} ec_result_t;

/* One run. */
typedef struct {
    const ec_pattern_t  *pattern;
    void                *block;
    size_t               size;
    kmq_t               *kmq;
    kmq_ref_t            passing;     /* producers */
    kmq_ref_t            staying;
    kmq_ref_t            filling;
    unsigned             body;        /* of the messages that pass now */
    uint64_t             published;
    uint64_t             taken;
    uint64_t             due;         /* number of the next survivor */
    uint64_t             seed;
    uint32_t            *survivor;    /* their sizes */
    uint64_t             survivors;
    uint64_t             max;         /* allocated */
} ec_t;

typedef struct {
    uint64_t    history;         /* messages before */
    uint64_t    needed;          /* of these, as many as the large one has
                                    bytes */
    uint64_t    dropped;
    uint64_t    steps;           /* the most under one lock */
    double      ms;              /* and CPU time */
    int         fits;
    char        wrong[256];
} ec_large_t;


/* Runs a pattern in a block of so many bytes, with at most so many messages
 * that pass. */
void ec_run(const ec_pattern_t *pattern, size_t size, uint64_t limit,
    ec_result_t *r);

/* Says in words what a pattern is. */
void ec_name(const ec_pattern_t *p, size_t size, char *text, size_t max);

/* How many topics with a message each fit; wrong: what is wrong then, or "". */
unsigned ec_topics(size_t size, char *wrong, size_t max);

/* A body of large bytes comes into a block of small ones, waiting of each
 * eight of which wait and the others are history. */
void ec_large(size_t size, unsigned small, unsigned waiting, size_t bytes,
    ec_large_t *r);


/* The steps of a run. */
void ec_open(ec_t *ec, const ec_pattern_t *pattern, size_t size, uint64_t max);
unsigned ec_publish(ec_t *ec, unsigned n);
void ec_drain(ec_t *ec);
void ec_close(ec_t *ec);

/* Messages that fit into a fresh block. */
uint64_t ec_fresh(size_t size, unsigned body);

#endif /* KMQ_ENGINE_CAPACITY_H */
