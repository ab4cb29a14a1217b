/*
 * Push types: whether a topic is point to point or publish/subscribe.
 *
 * A topic is what its consumers came for.  After the settings have changed,
 * consumers may come that want the other type.  They wait, counted but never
 * ready, until the last of the others and its messages have gone.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../queue/kmq_queue.h"
#include "kmq_client_inside.h"


/* May the topic's type change? */
static int
type_open(const kmq_topic_t *topic)
{
    return topic->matching == 0 && topic->log.count == 0;
}


/* A consumer, about to join, brings the type that is set by now. */
void
kmq_push_type_join(kmq_t *kmq, kmq_topic_t *topic, kmq_client_t *client)
{
    (void) kmq;

    client->push_type = topic->settings.push_type;

    if (topic->consumers == 0 && type_open(topic)) {
        KMQ_SET(topic->push_type, client->push_type);
    }
}


/* The next consumer of a topic, of whatever worker. */
static kmq_client_t *
consumer_next(kmq_shard_t *s, const kmq_topic_t *topic, kmq_walk_t *walk)
{
    kmq_client_t  *client;

    do {
        client = kmq_table_next(s, KMQ_CLASS_CLIENT, walk);
    } while (client && (client->role != KMQ_CONSUMER
                        || client->topic != KMQ_REF(s, topic)));

    return client;
}


/*
 * A consumer has gone: when all that are left wait for the other type, the
 * topic becomes one of that type.  This is rare enough to walk all clients.
 */
void
kmq_push_type_settle(kmq_t *kmq, kmq_topic_t *topic)
{
    kmq_walk_t     walk;
    kmq_shard_t   *s = kmq->shard;
    kmq_client_t  *client;

    if (topic->consumers == 0 || !type_open(topic)) {
        return;
    }

    memset(&walk, 0, sizeof(walk));

    while ((client = consumer_next(s, topic, &walk))) {
        client->cursor = 0;
        KMQ_SET(client->next_position, topic->position + 1);
    }

    KMQ_POINT("type-settle");

    KMQ_SET(topic->push_type, topic->push_type == KMQ_PUSH_ONE
                              ? KMQ_PUSH_ALL : KMQ_PUSH_ONE);

    topic->matching = topic->consumers;
    topic->allotted = 0;

    memset(&walk, 0, sizeof(walk));

    while ((client = consumer_next(s, topic, &walk))) {

        if (kmq_ready(s, client)) {
            client->ready = 1;
            ((kmq_route_t *) KMQ_AT(s, client->route))->ready++;
            topic->ready_consumers++;
            topic->unpaced += client->pull;
        }
    }

    kmq_topic_active(s, topic);

    /* their workers' own tables follow when they look */

    kmq_own_upheave(kmq);

    kmq_grant(kmq, topic, topic->ready.count);
}
