/*
 * Follows a stream: all of its messages, each once, in their order, from a
 * sequence on; over connections that are lost, and consumers that are
 * forgotten.
 *
 * What it brings the stream has stored for good.  It does not say whether that
 * is all: where a stream ends its leader is to be asked.
 */

#ifndef KMQ_NATS_FOLLOW_H
#define KMQ_NATS_FOLLOW_H

#include "kmq_jetstream.h"
#include "kmq_nats_link.h"


typedef struct {
    const char  *stream;
    const char  *subject;       /* of messages; NULL: all */
    uint64_t     from;          /* sequence, at least 1 */
    unsigned     heartbeat;     /* ms; twice that in silence, and a new
                                   consumer is made; 0: 1000 */

    /* takes a message, from inside of kmq_nats_follow() */
    void       (*take)(void *arg, uint64_t sequence,
                       const kmq_nats_msg_t *msg);
    void        *arg;
} kmq_nats_follower_options_t;

typedef struct kmq_nats_follower_s  kmq_nats_follower_t;

/* NULL: no memory.  The options are copied, what they point to is not. */
kmq_nats_follower_t *kmq_nats_follower_open(kmq_nats_link_t *link,
    const kmq_nats_follower_options_t *options);

void kmq_nats_follower_close(kmq_nats_follower_t *follower);

/*
 * Goes on until messages were taken, or to the deadline; connects when it has
 * to.  How many; _LATE, and kmq_nats_follower_error() says whether there is
 * more to it than that nothing is new; _NOMEM.
 */
int kmq_nats_follow(kmq_nats_follower_t *follower, uint64_t deadline);

/* The first sequence that was not taken. */
uint64_t kmq_nats_follower_next(const kmq_nats_follower_t *follower);

/* How many messages the stream had, when the last one was sent, behind that
 * one. */
uint64_t kmq_nats_follower_behind(const kmq_nats_follower_t *follower);

/* When the message that is being taken was stored: ns since 1970. */
uint64_t kmq_nats_follower_time(const kmq_nats_follower_t *follower);

/* Why there is no consumer now; "": there is one. */
const char *kmq_nats_follower_error(const kmq_nats_follower_t *follower);

#endif /* KMQ_NATS_FOLLOW_H */
