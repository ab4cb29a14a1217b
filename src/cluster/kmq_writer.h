/*
 * The appends of one writer: a worker of a primary, in one epoch.
 *
 * Batch after batch goes into the next slot, several of them in flight.  What
 * was answered to an append may be lost, or come late; then the same append is
 * repeated, to the same slot, as often as it takes.  When something lies there
 * already, the stream's leader is asked what: the append itself, which got
 * there before, or a closing.
 *
 *     sent -> stored                         it is there
 *          -> nothing came    repeat, sent
 *          -> taken           look -> ours   it is there
 *                                  -> not    the writer is closed
 *
 * A batch is done when it and all before it are there: a slot behind a closing
 * may be stored, and is void.
 */

#ifndef KMQ_WRITER_H
#define KMQ_WRITER_H

#include "kmq_entry.h"


#define KMQ_WRITER_WINDOW  16      /* appends in flight */

typedef enum {
    KMQ_WRITER_STORED,             /* with the sequence where it lies now */
    KMQ_WRITER_TAKEN,              /* the slot had something already */
    KMQ_WRITER_SILENT              /* no answer, for long enough */
} kmq_writer_answer_e;

typedef enum {
    KMQ_WRITER_NOTHING,
    KMQ_WRITER_SEND,               /* append to that slot once more */
    KMQ_WRITER_ASK                 /* the leader what lies in that slot */
} kmq_writer_next_e;

typedef struct {
    uint64_t  sent;                /* when it was sent first */
    uint64_t  seq;                 /* of the stream, once it is there */
} kmq_writer_slot_t;

typedef struct {
    uint64_t           next;       /* the slot of the next append */
    uint64_t           done;       /* all up to this one are there */
    uint64_t           seq;        /* the highest sequence of those */
    uint64_t           sent;       /* the latest that one of them was sent */
    uint32_t           epoch;
    uint16_t           writer;
    unsigned           closed:1;   /* nothing counts from here on */
    kmq_writer_slot_t  slot[KMQ_WRITER_WINDOW];
} kmq_writer_t;

/* A writer of an epoch that was never used. */
void kmq_writer_init(kmq_writer_t *writer, uint32_t epoch, unsigned number);

/* The slot for the next batch, which is about to be sent at that time.  0: too
 * many are in flight, or the writer is closed. */
uint64_t kmq_writer_append(kmq_writer_t *writer, uint64_t now);

/* What came of an append to a slot, whichever attempt it belongs to; says what
 * is to be done about it. */
kmq_writer_next_e kmq_writer_answer(kmq_writer_t *writer, uint64_t slot,
    kmq_writer_answer_e answer, uint64_t seq);

/*
 * The connection was lost, and so may the stream's servers have been: whoever
 * has another looks first whether what is done last is still there, with the
 * same header, at writer.seq.  Then it sends all that is not done once more,
 * from done + 1 to next - 1, whatever was answered.
 */
void kmq_writer_again(kmq_writer_t *writer);

/* What lies in a slot: our own batch at that sequence, or another's entry. */
void kmq_writer_found(kmq_writer_t *writer, uint64_t slot, int ours,
    uint64_t seq);

#endif /* KMQ_WRITER_H */
