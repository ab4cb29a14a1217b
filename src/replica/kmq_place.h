/*
 * Entries of the stream as messages: the subject is the place, the body says
 * the rest.
 *
 *     kapokmq.NAME.claim.E          kapokmq.NAME.begin.E
 *     kapokmq.NAME.E.W.S            slot S of writer W of epoch E
 *
 * A body, all numbers with their least byte first:
 *
 *      0   "KMQE"     4
 *      4   version    1   1; 2: its data is packed (LZ4, one block)
 *      5   kind       1   KMQ_ENTRY_...
 *      6   part       1   KMQ_PART_..., of an append
 *      7   flags      1   1: the part begins here, 2: it ends here
 *      8   epoch      4
 *     12   by         4   of a closing
 *     16   slot       8
 *     24   writer     2
 *     26   writers    2   of a beginning
 *     28   node       4   who wrote a claim or a beginning
 *     32   start      4
 *     36   fragment   4   bytes of a part that go into one entry
 *     40   known      8   the stream's last entry that the writer knew of
 *     48   generation 8   of the records, as those below
 *     56   first      8
 *     64   key       16
 *     80   worker     4
 *     84   plain      4   bytes of the data before it was packed, or 0
 *     88              ..  what the part has
 *
 * A batch of records may be larger than a message: then it is in several
 * entries, one behind the other.
 */

#ifndef KMQ_PLACE_H
#define KMQ_PLACE_H

#include "../cluster/kmq_chain.h"
#include "../engine/kmq.h"
#include "../protocol/kmq_nats.h"


#define KMQ_PLACE_MAX     128          /* of a subject, with the zero byte */
#define KMQ_PLACE_NAME     33          /* of a queue, with the zero byte */
#define KMQ_BODY_HEAD      88
#define KMQ_PACK_MAX       (64u << 20) /* bytes of packed data, and plain */

typedef enum {
    KMQ_PART_NONE,                     /* it is there to be acknowledged */
    KMQ_PART_BATCH,                    /* records of a journal */
    KMQ_PART_BEGIN,                    /* a checkpoint's file begins, */
    KMQ_PART_CHECKPOINT,               /* goes on, */
    KMQ_PART_MARK                      /* and is complete: its bytes, 8, and
                                          the chain as it was when it began */
} kmq_part_e;

/* kmq_entry_t.by of a claim: the stream was made from that node's files. */
#define KMQ_CLAIM_SEEDS  1

typedef struct {
    kmq_entry_t           entry;
    kmq_part_e            part;
    unsigned              first:1;     /* of a part */
    unsigned              last:1;
    uint32_t              fragment;
    uint64_t              known;
    kmq_journal_info_t    info;
    const unsigned char  *data;        /* behind the head */
    size_t                size;
    uint32_t              packed;      /* bytes that it has when it is unpacked;
                                          0: it is plain */
} kmq_body_t;

/* The subject of a place. */
void kmq_place_subject(char subject[KMQ_PLACE_MAX], const char *name,
    const kmq_entry_t *entry);

/* Subjects of the stream, of all slots of an epoch, and of beats. */
void kmq_place_all(char subject[KMQ_PLACE_MAX], const char *name);
void kmq_place_epoch(char subject[KMQ_PLACE_MAX], const char *name,
    uint32_t epoch);
void kmq_place_beat(char subject[KMQ_PLACE_MAX], const char *name);

/* Writes a body's head; its data is to follow. */
void kmq_body_write(unsigned char head[KMQ_BODY_HEAD], const kmq_body_t *body);

/*
 * Reads a message of the stream, whose bytes body->data points into.  What is
 * none of ours, or has the body of another place, is an entry of no kind,
 * which counts nowhere; it has its sequence.
 */
void kmq_body_read(kmq_body_t *body, const char *name, uint64_t sequence,
    const kmq_nats_text_t *subject, const kmq_nats_text_t *payload);


/* ------------------------------------------------------------------ chains */

#define KMQ_CHAIN_BYTES  (40 + KMQ_CHAIN_WRITERS * 17)

/* As bytes: how many; and back: 0; -1: they are none. */
size_t kmq_chain_write(unsigned char bytes[KMQ_CHAIN_BYTES],
    const kmq_chain_t *chain);
int kmq_chain_load(kmq_chain_t *chain, const unsigned char *bytes,
    size_t size);

#endif /* KMQ_PLACE_H */
