/*
 * The journal: each handle gathers what it changes, as records (kmq_record.h),
 * in a buffer of its own.  Their numbers are the block's.
 */

#ifndef KMQ_JOURNAL_H
#define KMQ_JOURNAL_H

#include "../kmq_base.h"
#include "kmq_record.h"


/* What all journals of the block have in common. */
typedef struct {
    uint64_t     lsn;            /* the last record number given out */
    uint64_t     generation;     /* of the files that are written now */
    uint64_t     start;          /* lsn when it began */
    uint64_t     bytes;          /* written to journals since */
    uint64_t     losses;         /* times records were lost on their way */
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
    size_t               last;        /* where that is; it grows as long as
                                         no other handle writes one */
    uint32_t             last_size;   /* 0: it does not */
    uint64_t             sequence;    /* the last one in it */
    kmq_ref_t            topic;       /* whose counts are in it */
} kmq_journal_t;


/* Has so much gathered that no message may come in?  Needs no lock. */
int kmq_journal_full(const kmq_t *kmq);

/* Notes that something changed which no journal tells: only the next checkpoint
 * will be complete again. */
void kmq_journal_loss(kmq_t *kmq) KMQ_LOCKED;

/*
 * Gathers what has become of a message: it was pushed, consumed, requeued, or
 * is dead or gone (type and kind as in kmq_record.h).  attempts: how often it
 * has been pushed.  Without memory it is a loss.
 */
void kmq_journal_sequence(kmq_t *kmq, unsigned type, unsigned kind,
    uint64_t sequence, uint32_t attempts) KMQ_LOCKED;

/* Gathers so many pushes and confirmations of a topic's messages. */
void kmq_journal_counts(kmq_t *kmq, kmq_ref_t topic, const char *name,
    size_t name_len, uint32_t delivered, uint32_t confirmed) KMQ_LOCKED;

/* Appends the queue's counters as the record lsn.  0, or -1: no memory. */
int kmq_queue_record(kmq_t *kmq, kmq_buffer_t *out, uint64_t lsn) KMQ_LOCKED;

/* Appends those of n periods that have a number to an array of count numbers.
 * Returns how many it has then.  Needs no lock. */
unsigned kmq_periods_add(uint64_t *number, unsigned count,
    const kmq_period_t *period, unsigned n);

#endif /* KMQ_JOURNAL_H */
