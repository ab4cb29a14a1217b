/* What the files of restoring have for each other alone. */

#ifndef KMQ_RESTORE_INSIDE_H
#define KMQ_RESTORE_INSIDE_H

#include "../queue/kmq_queue.h"


struct kmq_restore_s {
    kmq_t           *kmq;
    kmq_restored_t   found;
    uint64_t         lsn;            /* the highest seen */
    uint64_t         sequence;
    uint64_t         first;          /* lsn of the checkpoint, 0: none */
    uint64_t         start;          /* of the queue's counters in it */

    int              returned;       /* shards have just returned their free
                                        pages */
    int              strained;       /* memory is so short that spare pages
                                        are used, */
    uint32_t         spare_pages;    /* of which there will be so many again */
    uint64_t        *history;        /* sequence numbers, oldest first: a */
    uint64_t         history_first;  /* ring; these count all there ever */
    uint64_t         history_next;   /* were */
};


/* The first shard, whose index has all messages meanwhile.  Needs no lock. */
static inline kmq_shard_t *
kmq_restore_first(const kmq_restore_t *rs)
{
    return KMQ_SHARD(rs->kmq->block, 0);
}


/* Is the change of this record in the checkpoint's counters already?  Needs no
 * lock. */
static inline int
kmq_restore_counted(const kmq_restore_t *rs, const kmq_record_t *r)
{
    return r->lsn <= rs->start;
}


/* So much happened in the queue at that time, in s. */
void kmq_restore_count(kmq_restore_t *rs, uint64_t time, int64_t published,
    uint64_t delivered, uint64_t confirmed) KMQ_LOCKED;

/* Apply records of counters: the queue's, a topic's, and of what was pushed and
 * confirmed of a topic. */
void kmq_restore_queue(kmq_restore_t *rs, const kmq_record_t *r) KMQ_LOCKED;
void kmq_restore_topic(kmq_restore_t *rs, kmq_topic_t *topic,
    const kmq_record_t *r) KMQ_LOCKED;
void kmq_restore_counts(kmq_restore_t *rs, kmq_topic_t *topic,
    const kmq_record_t *r) KMQ_LOCKED;

#endif /* KMQ_RESTORE_INSIDE_H */
