/*
 * Records: what journals and checkpoints are made of.  docs/format.md is the
 * written description of the same.
 *
 * A record, all numbers with their least byte first:
 *
 *      0   crc    4   CRC-32C of all that follows, up to size
 *      4   size   4   bytes of the record; the next one begins at the next
 *                     multiple of 8
 *      8   lsn    8   its number, unique among all journals
 *     16   type   1   KMQ_RECORD_...
 *     17   kind   1   a message's state, why a message is gone
 *     18   name   1   bytes of the topic's name
 *     19   zero   1
 *     20   time   4   s: when it happened
 *     24          ..  what the type has; the topic's name; a message's body
 */

#ifndef KMQ_RECORD_H
#define KMQ_RECORD_H

#include <stddef.h>
#include <stdint.h>


/* What is written, and the oldest that is read. */
#define KMQ_FORMAT_VERSION   3u
#define KMQ_FORMAT_OLDEST    1u
#define KMQ_FORMAT_FAILURES  2u  /* the first in which these are counted, */
#define KMQ_FORMAT_HOURS     3u  /* and in which topics have hours */
#define KMQ_RECORD_ALIGN     8
#define KMQ_RECORD_HEAD     24

/* No record's number, and no message's, is higher: whatever is added to it
 * still fits. */
#define KMQ_NUMBER_MAX  (UINT64_C(1) << 60)

#define KMQ_RECORD_MESSAGE   1   /* accepted, or, in a checkpoint, there */
#define KMQ_RECORD_DELIVERED 2   /* pushed: sequences with their attempts: 1
                                    more than their failures */
#define KMQ_RECORD_CONSUMED  3   /* sequences */
#define KMQ_RECORD_DEAD      4   /* sequences: given up */
#define KMQ_RECORD_REQUEUED  5   /* sequences: ready again, as if new */
#define KMQ_RECORD_GONE      6   /* sequences; kind: why */
#define KMQ_RECORD_COUNTS    7   /* so many pushes and confirmations more */
#define KMQ_RECORD_TOPIC     8   /* checkpoint: a topic's counters */
#define KMQ_RECORD_QUEUE     9   /* checkpoint: the first one, the queue's */
#define KMQ_RECORD_END      10   /* checkpoint: the last one */
#define KMQ_RECORD_MESSAGES 11   /* accepted: several of one topic, ready, with
                                    consecutive numbers */
#define KMQ_RECORD_FAILED   12   /* sequences, each with KMQ_ATTEMPTS_..., and
                                    ms, wall clock, of its next try, or 0 */
#define KMQ_RECORD_PLACE    13   /* journal: where the records up to the next
                                    of its kind lie in the stream of a cluster;
                                    it has the number of the first of them */

/* Numbers of KMQ_RECORD_PLACE: the writer and its epoch; the first slot; how
 * many these are, and bytes in each; bytes in all; what was known of the
 * stream; who wrote it. */
#define KMQ_PLACE_WRITER     0   /* epoch << 32 | writer */
#define KMQ_PLACE_SLOT       1
#define KMQ_PLACE_SLOTS      2   /* slots << 32 | bytes */
#define KMQ_PLACE_BYTES      3
#define KMQ_PLACE_KNOWN      4
#define KMQ_PLACE_WHO        5   /* node << 32 | start */
#define KMQ_PLACE_NUMBERS    6

/* What records of messages, and of failures, have as attempts.  Without the
 * last one, in files of version 1, it is how often the message was pushed. */
#define KMQ_ATTEMPTS_FAILURES      0xffff
#define KMQ_ATTEMPTS_PUSHED    0x00010000    /* it was pushed */
#define KMQ_ATTEMPTS_SUSPECT   0x00020000    /* it may have ended a consumer */
#define KMQ_ATTEMPTS_REASON    0x00040000    /* KMQ_FAILED_..., times this */
#define KMQ_ATTEMPTS_NEW       0x80000000

/* kind of KMQ_RECORD_MESSAGE */
#define KMQ_KIND_READY       1
#define KMQ_KIND_DELAYED     2
#define KMQ_KIND_CONSUMED    3
#define KMQ_KIND_DEAD        4

/* kind of KMQ_RECORD_REQUEUED: it was delayed, or waited for its next try,
 * which is over; its failures stay. */
#define KMQ_KIND_DUE         1

/* kind of KMQ_RECORD_COUNTS, which counts nothing then, and of
 * KMQ_RECORD_TOPIC: nothing is pushed any more; or it is, from now on. */
#define KMQ_KIND_PAUSED      1
#define KMQ_KIND_RESUMED     2

/* kind of KMQ_RECORD_GONE */
#define KMQ_KIND_DELETED     1
#define KMQ_KIND_EXPIRED     2
#define KMQ_KIND_DISCARDED   3   /* it was never answered "ok" */
#define KMQ_KIND_CLEANED     4   /* consumed, and no history is kept */

/* Counters of a topic, or of the queue; kept in periods of time, too. */
typedef struct {
    uint64_t    number;          /* of the period: its time over its length;
                                    0: none */
    uint64_t    published;
    uint64_t    delivered;
    uint64_t    confirmed;
    uint64_t    backlog;         /* messages that wait, are in flight or
                                    delayed: of the queue, at its end; of a
                                    topic's minute, when it began */
} kmq_period_t;

#define KMQ_UNKNOWN        UINT64_MAX    /* a backlog that nobody has seen */

#define KMQ_MINUTES        1440  /* kept of the queue, and of */
#define KMQ_TOPIC_MINUTES    60  /* a topic */
#define KMQ_HOURS     (14 * 24)  /* of the queue */

/* And of a topic: as many as begin in 14 days of whatever zone, one of which
 * may have 25 hours, made even. */
#define KMQ_TOPIC_HOURS  (14 * 24 + 2)

#define KMQ_PERIOD_NUMBERS    5  /* of a period in a record */

#define KMQ_TOPIC_TOTALS     7   /* of kmq_totals_t, the first ones */
#define KMQ_QUEUE_TOTALS    10   /* all */

#define KMQ_TOPIC_COUNTERS   8   /* totals; how many hours follow, times
                                    KMQ_TOPIC_HOUR, or, up to version 2, days
                                    of UTC; and then minutes */
#define KMQ_TOPIC_HOUR   (UINT64_C(1) << 32)
#define KMQ_QUEUE_COUNTERS  12   /* totals; the last sequence number; how many
                                    hours follow, and then minutes */

/* A buffer of records that grows; zeroed at the start. */
typedef struct {
    unsigned char  *data;
    size_t          len;
    size_t          size;
} kmq_buffer_t;

/* A record that was read; what it points to lies in the bytes read. */
typedef struct {
    uint32_t              size;
    uint64_t              lsn;
    uint8_t               type;
    uint8_t               kind;
    uint8_t               name_len;
    uint32_t              time;
    const char           *name;

    /* KMQ_RECORD_MESSAGE; time: when it was created */
    uint64_t              sequence;
    uint64_t              due;         /* ms, wall clock: of a delayed message,
                                          or of its next try; 0: neither */
    uint32_t              delay;       /* s */
    uint32_t              state_time;  /* s: consumed, dead, requeued; or 0 */
    uint32_t              attempts;    /* KMQ_ATTEMPTS_... */
    const unsigned char  *body;
    uint32_t              body_size;

    /* those of sequences, and KMQ_RECORD_MESSAGES: how many; see
     * kmq_record_sequence() and kmq_record_unpack() */
    uint32_t              count;

    /* KMQ_RECORD_COUNTS */
    uint32_t              delivered;
    uint32_t              confirmed;

    /* the rest: the numbers of _TOPIC, _QUEUE and _END */
    const unsigned char  *data;
    const unsigned char  *end;
} kmq_record_t;


/* ------------------------------------------------------------------ write */

/* A buffer's memory is freed with kmq_buffer_free(). */
void kmq_buffer_free(kmq_buffer_t *buffer);

/* kmq_buffer_room() when there is none yet. */
unsigned char *kmq_buffer_grow(kmq_buffer_t *buffer, size_t n);

/* Inline: a record has a dozen of these, and a call between files of a shared
 * object costs more than they do. */

/* Room for n bytes more at the end, which do not count yet; NULL: no
 * memory. */
static inline unsigned char *
kmq_buffer_room(kmq_buffer_t *buffer, size_t n)
{
    return n > buffer->size - buffer->len ? kmq_buffer_grow(buffer, n)
                                          : buffer->data + buffer->len;
}


static inline void
kmq_put32(unsigned char *p, uint32_t value)
{
    p[0] = (unsigned char) value;
    p[1] = (unsigned char) (value >> 8);
    p[2] = (unsigned char) (value >> 16);
    p[3] = (unsigned char) (value >> 24);
}


static inline void
kmq_put64(unsigned char *p, uint64_t value)
{
    kmq_put32(p, (uint32_t) value);
    kmq_put32(p + 4, (uint32_t) (value >> 32));
}


static inline uint32_t
kmq_get32(const unsigned char *p)
{
    return p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16
           | (uint32_t) p[3] << 24;
}


static inline uint64_t
kmq_get64(const unsigned char *p)
{
    return kmq_get32(p) | (uint64_t) kmq_get32(p + 4) << 32;
}


/* Bytes that a record of size takes, with what comes behind it. */
#define KMQ_RECORD_SPAN(size)                                                \
    (((size_t) (size) + KMQ_RECORD_ALIGN - 1)                                \
     & ~(size_t) (KMQ_RECORD_ALIGN - 1))

/* Writes a record's head but its sum. */
void kmq_record_begin(unsigned char *p, uint32_t size, uint64_t lsn,
    unsigned type, unsigned kind, size_t name_len, uint32_t time);

/* The same, and what is behind its end. */
void kmq_record_head(unsigned char *p, uint32_t size, uint64_t lsn,
    unsigned type, unsigned kind, size_t name_len, uint32_t time);

/* Fixed part of KMQ_RECORD_MESSAGE, behind the head; then name and body. */
#define KMQ_RECORD_MESSAGE_HEAD  (KMQ_RECORD_HEAD + 28)

void kmq_record_message(unsigned char *p, const kmq_record_t *r);

/* Length of KMQ_RECORD_COUNTS but for the name. */
#define KMQ_RECORD_COUNTS_HEAD   (KMQ_RECORD_HEAD + 8)

/* Length of KMQ_RECORD_MESSAGES but for the name and the messages, each of
 * which has so many bytes, at most, before its body. */
#define KMQ_RECORD_MESSAGES_HEAD (KMQ_RECORD_HEAD + 4)
#define KMQ_RECORD_MESSAGES_MORE (2 * KMQ_VARINT_MAX)

/* Length of those of sequences but for these. */
#define KMQ_RECORD_LIST_HEAD     (KMQ_RECORD_HEAD + 4)

/* A record of 64-bit numbers is appended whole: 0, or -1: no memory. */
int kmq_record_numbers(kmq_buffer_t *buffer, uint64_t lsn, unsigned type,
    unsigned kind, uint32_t time, const char *name, size_t name_len,
    const uint64_t *number, unsigned n);

/* A number in as few bytes as it needs; returns the byte behind it. */
#define KMQ_VARINT_MAX  10
unsigned char *kmq_varint(unsigned char *p, uint64_t value);

/* Of a sequence number, as the distance from the one before. */
uint64_t kmq_zigzag(uint64_t value, uint64_t before);

/* Writes the sums of all records in a buffer: the last thing before it goes
 * to disk, so it need not be done where time matters. */
void kmq_records_seal(unsigned char *data, size_t len);


/* ------------------------------------------------------------------- read */

/*
 * Reads the record at p, of which n bytes are there.  Returns the bytes that
 * it takes (with what is behind its end), 0: not all of it is there, *need (may
 * be NULL) tells how much, or -1: no record of this format.
 */
long kmq_record_read(const unsigned char *p, size_t n, kmq_record_t *r,
    size_t *need);

/* One of a list. */
typedef struct {
    uint64_t    sequence;
    uint32_t    attempts;        /* KMQ_RECORD_DELIVERED and _FAILED */
    uint64_t    due;             /* KMQ_RECORD_FAILED */
} kmq_record_entry_t;

/* The next one.  *p starts as r->data, *entry as zeros.  1, 0: the end, -1: a
 * bad record. */
int kmq_record_sequence(const kmq_record_t *r, const unsigned char **p,
    kmq_record_entry_t *entry);

/*
 * The next message of a KMQ_RECORD_MESSAGES, as the KMQ_RECORD_MESSAGE that it
 * stands for, with a number of its own.  *p starts as r->data; *m is what it
 * was after the call before.  1, 0: the end, -1: a bad record.
 */
int kmq_record_unpack(const kmq_record_t *r, const unsigned char **p,
    kmq_record_t *m);

/* How many numbers the record at p takes, which is the next that is written:
 * one, or as many as it has messages. */
static inline uint32_t
kmq_record_numbered(const unsigned char *p)
{
    return p[16] == KMQ_RECORD_MESSAGES ? kmq_get32(p + KMQ_RECORD_HEAD) : 1;
}


/* The i-th 64-bit number behind the head, 0 when there is none. */
uint64_t kmq_record_number(const kmq_record_t *r, unsigned i);

#endif /* KMQ_RECORD_H */
