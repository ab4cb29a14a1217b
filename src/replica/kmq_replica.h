/*
 * A worker's part: its journal goes to the stream and to the node's files.
 *
 * All is the thread's that writes the journal.  A batch is begun, which sends
 * what can be sent without waiting; then the thread writes its own file; then
 * it waits for the stream.  What is not acknowledged in time stays on its way:
 * it may come to count, or be void.
 */

#ifndef KMQ_REPLICA_H
#define KMQ_REPLICA_H

#include "../disk/kmq_file.h"
#include "kmq_appends.h"
#include "kmq_shared.h"


/* What all threads of a node need to know; it stays. */
typedef struct {
    kmq_shared_t              *shared;
    const kmq_nats_options_t  *nats;
    const char                *name;       /* of the queue */
    uint32_t                   node;       /* number, from 0 on */
} kmq_replica_options_t;

typedef struct {
    const kmq_replica_options_t  *options;
    uint32_t                      epoch;
    int                           number;      /* of the writer; -1: none yet */
    int                           plain;
    unsigned                      over:1;      /* the epoch is */
    uint64_t                      hurry;       /* atomic: nobody waits for
                                                  longer; 0: as long as told */
    kmq_nats_link_t              *link;
    kmq_appends_t                 appends;

    /* the batch that is being appended */
    kmq_body_t                    body;
    size_t                        left;
    const char                   *reason;
} kmq_replica_t;

/* For an epoch that this node serves.  plain: what it appends is in no journal
 * of this node. */
void kmq_replica_init(kmq_replica_t *replica,
    const kmq_replica_options_t *options, uint32_t epoch, int plain);
void kmq_replica_close(kmq_replica_t *replica);

/* Begins to append a part; the data stays until it is finished. */
void kmq_replica_begin(kmq_replica_t *replica, kmq_part_e part,
    const kmq_journal_info_t *info, const void *data, size_t size);

/* Sends what is left of it, and waits until all is done: 0; -ETIMEDOUT: it is
 * not, by the deadline; -ESHUTDOWN: the epoch is over. */
int kmq_replica_finish(kmq_replica_t *replica, uint64_t deadline);

/*
 * Both, with records between, which are written to a journal behind the record
 * of their place.  As kmq_segment_write(); -ETIMEDOUT, -ESHUTDOWN, and *what is
 * "appending to the stream" then.  Nothing at all: only flushes.
 */
int kmq_replica_write(kmq_replica_t *replica, kmq_segment_t *segment,
    const kmq_journal_info_t *info, const unsigned char *data, size_t size,
    int sync, uint64_t deadline, const char **what);

/* From another thread: whatever waits does not wait beyond that time. */
void kmq_replica_hurry(kmq_replica_t *replica, uint64_t deadline);

/* Why nothing is acknowledged, as far as it is known; else "". */
const char *kmq_replica_reason(const kmq_replica_t *replica);

#endif /* KMQ_REPLICA_H */
