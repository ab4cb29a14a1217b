/* What the files of clients have for each other alone. */

#ifndef KMQ_CLIENT_INSIDE_H
#define KMQ_CLIENT_INSIDE_H

#include "kmq_client.h"


/* Takes a client out of the list and of the counts where its role has put it;
 * that changes next, and kmq_join_link() follows, or it is free. */
void kmq_join_unlink(kmq_shard_t *s, kmq_client_t *client) KMQ_LOCKED;

/* Is what a client is asked to be possible? */
int kmq_join_valid(const kmq_client_info_t *info);

/* Gives a consumer its route: KMQ_OK or KMQ_NOMEM. */
int kmq_join_route(kmq_t *kmq, kmq_topic_t *topic, kmq_client_t *client)
    KMQ_LOCKED;

/* A consumer is about to be its worker's no more: it gets nothing, and nothing
 * is awaited from it. */
void kmq_leave_stop(kmq_t *kmq, kmq_client_t *client) KMQ_LOCKED;

/* A consumer, about to join, brings the push type that its topic has by now. */
void kmq_push_type_join(kmq_t *kmq, kmq_topic_t *topic, kmq_client_t *client)
    KMQ_LOCKED;

/* Has a client's worker close it, unless it has been told so already; one that
 * is apart leaves when somebody looks at it. */
void kmq_disconnect_client(kmq_t *kmq, kmq_client_t *client, unsigned why)
    KMQ_LOCKED;

/* The client goes: nobody has to close it any more. */
void kmq_disconnect_cancel(kmq_shard_t *s, kmq_client_t *client) KMQ_LOCKED;

#endif /* KMQ_CLIENT_INSIDE_H */
