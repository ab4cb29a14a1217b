/* Clients: they join, leave, or have to go; and what type of push they want. */

#ifndef KMQ_CLIENT_H
#define KMQ_CLIENT_H

#include "../queue/kmq_queue.h"


/* Enters a client into the list where it belongs and into all counts. */
void kmq_join_link(kmq_block_t *b, kmq_client_t *client) KMQ_LOCKED;

/* A producer is gone after this; a consumer begins to leave. */
void kmq_leave_begin(kmq_t *kmq, kmq_client_t *client) KMQ_LOCKED;

/* Goes on with those that leave, up to n steps; returns how many are left of
 * these. */
unsigned kmq_leave_run(kmq_t *kmq, unsigned n) KMQ_LOCKED;

/* A consumer has gone: where those that are left wait for the other type, the
 * topic gets it. */
void kmq_push_type_settle(kmq_t *kmq, kmq_topic_t *topic) KMQ_LOCKED;

/* Have clients of this worker to go?  kmq_t.closing says so then. */
void kmq_disconnect_check(kmq_t *kmq) KMQ_LOCKED;

/* A slice of a look at all consumers, when it is time: the slow ones have to
 * go.  While there is more, kmq_t.looking says so. */
void kmq_slow_look(kmq_t *kmq) KMQ_LOCKED;

#endif /* KMQ_CLIENT_H */
