/* Clients: they join, leave, are set apart, or have to go; the push type is the
 * one they want. */

#ifndef KMQ_CLIENT_H
#define KMQ_CLIENT_H

#include "../queue/kmq_queue.h"


/* Enters a client, by its role, into the list where it belongs and into all
 * counts. */
void kmq_join_link(kmq_shard_t *s, kmq_client_t *client) KMQ_LOCKED;

/* A producer leaves, and is gone; a consumer, or one that is apart, begins to
 * leave.  failed: its end is charged to one of its messages. */
void kmq_leave_begin(kmq_t *kmq, kmq_client_t *client, int failed)
    KMQ_LOCKED;

/* Goes on with those of the shard that leave, at most n steps.  Returns how
 * many steps are left.  While there are more, kmq_t.work says so. */
unsigned kmq_leave_run(kmq_t *kmq, unsigned n) KMQ_LOCKED;

/* Works off those of the shard that are apart and whose time has come, at most
 * n steps.  While there are more, kmq_t.work says so. */
void kmq_lapse_run(kmq_t *kmq, unsigned n) KMQ_LOCKED;

/* A consumer has gone: when all that are left wait for the other type, the
 * topic becomes one of that type. */
void kmq_push_type_settle(kmq_t *kmq, kmq_topic_t *topic) KMQ_LOCKED;

/* Notes in kmq_t.closing whether clients of this worker in the shard have to
 * go. */
void kmq_disconnect_check(kmq_t *kmq) KMQ_LOCKED;

/* Looks, when it is time, at a slice of the shard's consumers: those that are
 * too slow have to go.  While there are more, kmq_t.work says so. */
void kmq_slow_look(kmq_t *kmq) KMQ_LOCKED;

#endif /* KMQ_CLIENT_H */
