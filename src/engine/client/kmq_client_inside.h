/* The inside of clients: what its files have for each other alone. */

#ifndef KMQ_CLIENT_INSIDE_H
#define KMQ_CLIENT_INSIDE_H

#include "kmq_client.h"


/* A consumer that is about to join brings the push type that is set by now. */
void kmq_push_type_join(kmq_t *kmq, kmq_topic_t *topic, kmq_client_t *client)
    KMQ_LOCKED;

/* A client has to go, unless it has been told so already; or it goes. */
void kmq_disconnect_client(kmq_t *kmq, kmq_client_t *client, unsigned why)
    KMQ_LOCKED;
void kmq_disconnect_cancel(kmq_block_t *b, kmq_client_t *client) KMQ_LOCKED;

#endif /* KMQ_CLIENT_INSIDE_H */
