/*
 * Appends to a stream of JetStream, several of them on their way at once, over
 * a link that may be lost, to a stream whose leader may die.
 *
 * An append is sent again, under the same Msg-Id, until an answer to it has
 * come; how long that may go on the caller decides, and the stream's window
 * for duplicates has to be longer.  Appends are done in the order in which
 * they were begun: one that the stream has taken waits for those before it.
 *
 * What keeps the order in the stream, too, and others away:
 *
 *   chained    each append expects the stream's last sequence to be that of the
 *              append before it (Nats-Expected-Last-Sequence), which all
 *              replicas look at when they store it.  Nobody else may write to
 *              the stream: whoever does ends the chain.
 *   expected   an append expects the last sequence of its subject.  The leader
 *              looks at that when it gets the append, before those on their
 *              way are stored: so there can be one on its way; and with 2.9 two
 *              writers that expect the same at one moment may both be told
 *              that theirs is stored.  Only 0, a new subject, is looked at by
 *              all replicas.
 *   neither    when the leader dies, or the link is lost, an append may be
 *              stored behind those after it.
 *
 * Nats-Expected-Last-Msg-Id would name the append before it, too; but a replica
 * that was away does not know that id when it has caught up, and refuses from
 * there on what the others store (2.9.10 to 2.15.1, tried): it stays different.
 */

#ifndef KMQ_NATS_APPEND_H
#define KMQ_NATS_APPEND_H

#include "kmq_jetstream.h"
#include "kmq_nats_link.h"


#define KMQ_NATS_ID_MAX  64

typedef enum {
    KMQ_NATS_PENDING = 0,
    KMQ_NATS_STORED,       /* sequence */
    KMQ_NATS_REFUSED       /* error; it is not in the stream, unless what was
                              sent before was stored later */
} kmq_nats_appended_e;

typedef struct kmq_nats_append_s  kmq_nats_append_t;

/* The caller's, and so is what it points to, until it is done. */
struct kmq_nats_append_s {
    const char           *subject;
    const char           *id;          /* Msg-Id, shorter than
                                          KMQ_NATS_ID_MAX */
    uint64_t              expected;    /* KMQ_JS_NONE: nothing */
    const void           *payload;
    size_t                size;

    kmq_nats_appended_e   state;
    uint64_t              sequence;
    unsigned              duplicate:1; /* it took more than one try */
    kmq_js_error_t        error;
};

typedef struct {
    const char  *stream;
    unsigned     in_flight;    /* at most */
    unsigned     retry;        /* ms without an answer, or after a failure,
                                  until it is sent again; 0: 500 */
    int          chained;
    uint64_t     last;         /* the stream's last sequence, then */

    /* called with each append that is done, from inside of
       kmq_nats_appender_run(); it may begin others, and must not run */
    void       (*done)(void *arg, kmq_nats_append_t *append);
    void        *arg;
} kmq_nats_appender_options_t;

typedef struct kmq_nats_appender_s  kmq_nats_appender_t;

/* On a link that it shares with others of the same thread; NULL: no memory.
 * The options are copied, what they point to is not. */
kmq_nats_appender_t *kmq_nats_appender_open(kmq_nats_link_t *link,
    const kmq_nats_appender_options_t *options);

/* What is not done will not be. */
void kmq_nats_appender_close(kmq_nats_appender_t *appender);

/* Begins an append: _DONE; _FULL: so many are on their way already; _INVALID:
 * its id is too long.  It is sent with the next run. */
int kmq_nats_append(kmq_nats_appender_t *appender, kmq_nats_append_t *append);

/* Appends that are not done. */
unsigned kmq_nats_appender_pending(const kmq_nats_appender_t *appender);

/*
 * Sends, receives, connects again when the link was lost, until an append is
 * done, or the deadline.  How many were done; _LATE; _NOMEM.
 */
int kmq_nats_appender_run(kmq_nats_appender_t *appender, uint64_t deadline);

#endif /* KMQ_NATS_APPEND_H */
