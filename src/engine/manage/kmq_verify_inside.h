/* What the files of the verification have for each other alone. */

#ifndef KMQ_VERIFY_INSIDE_H
#define KMQ_VERIFY_INSIDE_H

#include "../kmq_block.h"


typedef struct {
    kmq_shard_t  *s;
    char         *text;
    size_t        size;
    int           rc;
    int           exact;         /* what shards have in common: in memory, and
                                    in what may wait */

    /* counted from the slots, and from the lists and clients */
    uint64_t      state[KMQ_ASIDE + 1];
    uint64_t      messages;
    uint64_t      doomed;
    uint64_t      pending;
    uint64_t      cells;
    uint64_t      rings;
    uint64_t      history_size;
    uint64_t      ready;
    uint64_t      log;
    uint64_t      dead;
    uint64_t      history;
    uint64_t      in_flight;
    uint64_t      delayed;
    uint64_t      retrying;
    uint64_t      aside;
    uint64_t      resting;
    uint64_t      timers;
    uint64_t      overdue;
    uint64_t      lapsed;
    uint64_t      told;
    uint64_t      ids;
    uint64_t      away;
    uint64_t      matching;
    uint64_t      unpaced;
    uint64_t      granted;
    uint64_t      owed;
} kmq_verify_t;


/* Notes what is wrong, if it is the first thing. */
void kmq_wrong(kmq_verify_t *v, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Notes it when a number is not what it should be. */
void kmq_same(kmq_verify_t *v, const char *what, uint64_t is, uint64_t should);

/* Checks a shard's memory against what was counted in it. */
void kmq_verify_memory(kmq_verify_t *v) KMQ_LOCKED;

/* Checks the pages of the block.  The caller has all locks. */
void kmq_verify_owners(kmq_verify_t *v, const kmq_block_t *b) KMQ_LOCKED;

#endif /* KMQ_VERIFY_INSIDE_H */
