/* What the files of clients have for each other alone. */

#ifndef KMQ_CLIENT_INSIDE_H
#define KMQ_CLIENT_INSIDE_H

#include "kmq_client.h"


/* A consumer, about to join, brings the push type that its topic has by now. */
void kmq_push_type_join(kmq_t *kmq, kmq_topic_t *topic, kmq_client_t *client)
    KMQ_LOCKED;

/* Has a client's worker close it, unless it has been told so already. */
void kmq_disconnect_client(kmq_t *kmq, kmq_client_t *client, unsigned why)
    KMQ_LOCKED;

/* The client goes: nobody has to close it any more. */
void kmq_disconnect_cancel(kmq_shard_t *s, kmq_client_t *client) KMQ_LOCKED;

#endif /* KMQ_CLIENT_INSIDE_H */
