/* Which consumers can be pushed something, and how many of a route can. */

#include "../kmq_block.h"
#include "kmq_queue_inside.h"


int
kmq_ready_matches(kmq_shard_t *s, const kmq_client_t *client)
{
    return client->push_type
           == ((kmq_topic_t *) KMQ_AT(s, client->topic))->push_type;
}


static int
consumer_has_work(const kmq_client_t *client, const kmq_topic_t *topic)
{
    return topic->ready.count || topic->suspects.head
           || (topic->push_type == KMQ_PUSH_ALL
               && (int32_t) (topic->position - client->next_position) >= 0);
}


/* Is it held so that it gets nothing new? */
static int
is_held(const kmq_client_t *client)
{
    return client->held & (KMQ_HELD_ALONE | KMQ_HELD_EMPTYING
                           | KMQ_HELD_PAUSED | KMQ_HELD_GIVING)
           || (client->held & (KMQ_HELD_RESTING | KMQ_HELD_ADMITTED))
              == KMQ_HELD_RESTING;
}


/* Can a consumer be pushed something? */
int
kmq_ready(kmq_shard_t *s, const kmq_client_t *client)
{
    return client->role == KMQ_CONSUMER && client->open
           && client->in_flight < client->limit
           && (client->held == 0 || !is_held(client))
           && kmq_ready_matches(s, client);
}


/* Some consumers of the topic rest, and this one has become ready, or not. */
static void
resting_count(kmq_t *kmq, kmq_topic_t *topic, const kmq_client_t *client)
{
    if (client->held & KMQ_HELD_RESTING) {
        topic->ready_resting += client->ready ? 1 : -1;

    } else if (topic->ready_consumers - topic->ready_resting
               == client->ready)
    {
        kmq_hold_review(kmq, topic);
    }
}


/* Counts a consumer as ready, or not, as it should be now. */
void
kmq_ready_update(kmq_t *kmq, kmq_client_t *client)
{
    int           ready;
    kmq_shard_t  *s = kmq->shard;
    kmq_route_t  *route;
    kmq_topic_t  *topic;

    ready = kmq_ready(s, client);

    if (ready == client->ready) {
        return;
    }

    client->ready = ready;
    route = KMQ_AT(s, client->route);
    topic = KMQ_AT(s, client->topic);

    if (ready) {
        route->ready++;
        topic->ready_consumers++;
        topic->unpaced += client->pull;

        if (consumer_has_work(client, topic)) {
            kmq_route_dirty(kmq, route);
        }

    } else {
        route->ready--;
        topic->ready_consumers--;
        topic->unpaced -= client->pull;
    }

    if (topic->ready_consumers <= 1) {
        kmq_topic_active(s, topic);
    }

    if (topic->resting.head) {
        resting_count(kmq, topic, client);
    }

    if (kmq_own_has(kmq, client)) {
        if (ready) {
            kmq_own_ready_add(kmq, client->local);
        } else {
            kmq_own_ready_remove(kmq, client->local);
        }

    } else {
        kmq_own_tell(kmq, client);
    }

    if (route->ready == 0) {
        kmq_grant_return(kmq, topic, route);
    }
}
