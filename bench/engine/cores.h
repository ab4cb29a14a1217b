/* A queue of kmq-cores, and what a worker does with it. */

#ifndef BENCH_CORES_H
#define BENCH_CORES_H

#include <stddef.h>
#include <stdint.h>

#include "../../src/engine/kmq.h"


#define CORES_BATCH  256       /* messages published at a time, at most */
#define CORES_SIZE   100       /* bytes of a message */

typedef struct {
    kmq_t           *kmq;
    kmq_ref_t        producer;
    kmq_ref_t        consumer;
    unsigned         n;        /* of messages[] */
    kmq_message_t    messages[CORES_BATCH];
    kmq_batch_t      batch;
} cores_client_t;


/* Says what went wrong, and ends the program. */
void cores_die(const char *what);

/* Memory that processes share, all zeros; or dies. */
void *cores_map(size_t size);

/* A new block of so many bytes; or dies. */
void *cores_block(size_t size);

/* Opens the block as that worker, with a producer and a consumer of the topic
 * of that number; or dies. */
void cores_open(cores_client_t *c, void *block, size_t size, unsigned worker,
    unsigned topic);

/* Tells the time: so many ms after the start. */
void cores_clock(cores_client_t *c, uint64_t ms);

/* Publishing is reserving, writing and kmq_commit().  It reserves n messages,
 * or as many as there is room for. */
void cores_reserve(cores_client_t *c, unsigned n);
void cores_write(cores_client_t *c, const char body[CORES_SIZE]);

/* Confirms the batch that was taken last.  Returns how many messages that
 * were. */
unsigned cores_confirm(cores_client_t *c);

/*
 * Prints which lines of the block each operation writes, and how many of them
 * are written by both of two workers, who use topics 0 and 1 % topics.
 * Returns the exit status: not 0 when messages were lost.
 */
int cores_lines(unsigned topics);

#endif /* BENCH_CORES_H */
