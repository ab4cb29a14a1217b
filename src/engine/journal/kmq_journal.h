/*
 * The journal: each handle gathers what it changes, as records (kmq_record.h),
 * in a buffer of its own.  Their numbers are the block's.
 */

#ifndef KMQ_JOURNAL_H
#define KMQ_JOURNAL_H

#include "../kmq_base.h"
#include "kmq_record.h"


/* What all journals of the block have in common.  The common lock guards it. */
typedef struct {
    uint64_t     generation;     /* of the files that are written now */
    uint64_t     start;          /* the last record number when it began */
    uint64_t     bytes;          /* written to journals since */
    uint64_t     losses;         /* times records were lost on their way;
                                    atomic: noted under a shard's lock */
    uint64_t     complete;       /* generation of the last checkpoint */
    uint64_t     covered;        /* losses before it, which it made good */
    uint64_t     size;           /* its bytes */
    uint64_t     time;           /* s: when it was complete */
    uint64_t     untold;         /* no journal says which numbers recovery has
                                    passed over */
} kmq_journals_t;

/* The records that this handle has gathered. */
typedef struct {
    int                  on;
    kmq_buffer_t         buffer;
    uint64_t             lsn;         /* of its last record */
    unsigned             shard;       /* which that is about; */
    size_t               last;        /* where it is; it grows as long as
                                         there is no later one about that
                                         shard */
    uint32_t             last_size;   /* 0: it does not */
    uint64_t             sequence;    /* the last one in it */
    kmq_ref_t            topic;       /* whose counts are in it */
} kmq_journal_t;


/* Has so much gathered that no message may come in?  Needs no lock. */
int kmq_journal_full(const kmq_t *kmq);

/* Notes that something changed which no journal tells: only the next checkpoint
 * will be complete again.  Needs no lock. */
void kmq_journal_loss(kmq_t *kmq);

/*
 * Numbers for the next n records, all about kmq_t.shard: returns the first.
 * Records about that shard that have been written do not grow any more.
 */
uint64_t kmq_lsn_next(kmq_t *kmq, uint64_t n) KMQ_LOCKED;

/* The number of a record about all shards, whose locks the caller has: none of
 * any shard grows any more. */
uint64_t kmq_lsn_next_all(kmq_t *kmq) KMQ_LOCKED;

/*
 * Gathers what has become of a message: it was pushed, consumed, requeued, or
 * is dead or gone (type and kind as in kmq_record.h).  attempts: how often it
 * has been pushed.  Without memory it is a loss.
 */
void kmq_journal_sequence(kmq_t *kmq, unsigned type, unsigned kind,
    uint64_t sequence, uint32_t attempts) KMQ_LOCKED;

/* The same: its delivery has failed, with KMQ_ATTEMPTS_..., and its next try is
 * at due, in ms of the wall clock, or 0. */
void kmq_journal_failed(kmq_t *kmq, uint64_t sequence, uint32_t attempts,
    uint64_t due) KMQ_LOCKED;

/* Gathers so many pushes and confirmations of a topic's messages. */
void kmq_journal_counts(kmq_t *kmq, kmq_ref_t topic, const char *name,
    size_t name_len, uint32_t delivered, uint32_t confirmed) KMQ_LOCKED;

/* Gathers that a topic is paused, or resumed: KMQ_KIND_... */
void kmq_journal_paused(kmq_t *kmq, const char *name, size_t name_len,
    unsigned kind) KMQ_LOCKED;

/* Adds totals to others, one by one.  Needs no lock. */
void kmq_totals_add(kmq_totals_t *to, const kmq_totals_t *totals);

#endif /* KMQ_JOURNAL_H */
