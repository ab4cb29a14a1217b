/*
 * The appends of one writer on their way to the stream (kmq_writer.h decides):
 * over a link that may be lost, to a stream whose leader may die.  For one
 * thread, which may have others of the same link.
 */

#ifndef KMQ_APPENDS_H
#define KMQ_APPENDS_H

#include "../cluster/kmq_writer.h"
#include "../nats/kmq_nats_link.h"
#include "kmq_place.h"


/* Bytes of an entry's data: less than the default of max_payload, 1 MiB. */
#define KMQ_APPENDS_DATA    (768 * 1024)

#define KMQ_APPENDS_REASON  128

/* An append that is not done. */
typedef struct {
    unsigned char    *bytes;
    size_t            size;
    size_t            room;
    uint64_t          sent;        /* last; 0: not yet */
    unsigned          look:1;      /* its slot has something */
} kmq_appends_slot_t;

typedef struct {
    kmq_nats_link_t     *link;
    const char          *name;     /* of queue and stream */
    kmq_writer_t         writer;
    uint64_t             sid;
    uint64_t             times;    /* of the link's connections */
    unsigned             fresh:1;  /* what is done has to be looked for */
    unsigned             lost:1;   /* it is not there any more */
    uint64_t             pause;    /* nothing is sent again before */
    char                 inbox[KMQ_NATS_INBOX_MAX];
    char                 reason[KMQ_APPENDS_REASON];   /* of the last refusal;
                                                          "": none */
    kmq_appends_slot_t   slot[KMQ_WRITER_WINDOW];
} kmq_appends_t;

/* A writer that nobody has used; the name has to stay.  0; -1: no memory. */
int kmq_appends_open(kmq_appends_t *appends, kmq_nats_link_t *link,
    const char *name, uint32_t epoch, unsigned writer);
void kmq_appends_close(kmq_appends_t *appends);

/*
 * Appends, as the next slot's entry; sends it when there is a connection.  Its
 * place is set.  1; 0: too many are in flight, or the writer is closed; -1: no
 * memory.
 */
int kmq_appends_add(kmq_appends_t *appends, kmq_body_t *body);

/* Those that are not done. */
static inline unsigned
kmq_appends_pending(const kmq_appends_t *appends)
{
    return (unsigned) (appends->writer.next - 1 - appends->writer.done);
}


/*
 * What is due: repeats, and looks for what was refused.  Connects when there is
 * no connection.  Waits up to the deadline for answers, or not at all when it
 * is past.  KMQ_NATS_DONE; _DOWN; _NOMEM.
 */
int kmq_appends_run(kmq_appends_t *appends, uint64_t deadline);

/* The same without connecting and waiting: for whoever runs the link. */
int kmq_appends_tend(kmq_appends_t *appends);

#endif /* KMQ_APPENDS_H */
