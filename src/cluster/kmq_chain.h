/*
 * What of the stream counts.
 *
 * A reader, who may be anybody, shows all entries in the order of the stream,
 * and is told about each whether it counts.  The answer depends on nothing but
 * the entries before it, so all readers come to the same.
 *
 *   - a claim counts when its epoch is a later one than all before
 *   - an epoch begins when all writers of the one that began before it are
 *     closed, and not after a later one
 *   - an append counts when its epoch has begun, its writer is not closed, and
 *     the slots before it are all there.  One that comes before its turn is
 *     held until then
 *   - a closing counts in the slot behind those that are there
 *
 * All else is void.
 */

#ifndef KMQ_CHAIN_H
#define KMQ_CHAIN_H

#include "kmq_entry.h"


#define KMQ_CHAIN_WRITERS  64
#define KMQ_CHAIN_HELD     64      /* slots before their turn, of a writer */

typedef enum {
    KMQ_CHAIN_VOID,
    KMQ_CHAIN_KNOWN,               /* it was shown before, or is covered */
    KMQ_CHAIN_CLAIMED,
    KMQ_CHAIN_BEGUN,
    KMQ_CHAIN_HELD_BACK,           /* it may count later */
    KMQ_CHAIN_COUNTS,              /* and so do those up to writer.last */
    KMQ_CHAIN_CLOSED,              /* those that were held are void */
    KMQ_CHAIN_GAP                  /* entries before it are gone: see below */
} kmq_chain_e;

typedef struct {
    uint64_t  last;                /* slots up to this one are all there */
    uint64_t  held;                /* bit i: so is the slot last + 2 + i */
    unsigned  closed:1;
} kmq_chain_writer_t;

/* Plain data: a checkpoint's mark carries it, and whoever begins there starts
 * from a copy. */
typedef struct {
    uint64_t            seq;       /* all up to here were shown */
    uint32_t            claimed;   /* the last epoch, or 0 */
    uint32_t            begun;     /* the last that has begun, or 0 */
    uint16_t            writers;   /* of begun */
    kmq_who_t           claimer;
    kmq_who_t           primary;
    kmq_chain_writer_t  writer[KMQ_CHAIN_WRITERS];
} kmq_chain_t;

/* Nothing has been shown yet. */
void kmq_chain_init(kmq_chain_t *chain);

/*
 * Shows the next entry.
 *
 * KMQ_CHAIN_GAP: the stream was purged up to behind what was shown.  Nothing
 * has changed; the reader takes the chain of the mark that covers most instead
 * of this, with the state that belongs to it, and goes on behind that.
 */
kmq_chain_e kmq_chain_read(kmq_chain_t *chain, const kmq_entry_t *entry);

/*
 * What is to be closed before another epoch may begin: 1 with an entry for it,
 * for each n from 0 on; 0: no more.
 */
int kmq_chain_open(const kmq_chain_t *chain, unsigned n, kmq_entry_t *entry);

/* The slot is one of those that count. */
int kmq_chain_counts(const kmq_chain_t *chain, unsigned writer,
    uint64_t slot);

#endif /* KMQ_CHAIN_H */
