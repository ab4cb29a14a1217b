/*
 * What those tests share that look inside a block: which shard a topic belongs
 * to, names of topics in a shard, and what a public reference stands for.
 */

#ifndef KMQ_ENGINE_INSIDE_H
#define KMQ_ENGINE_INSIDE_H

#include "../../src/engine/queue/kmq_queue.h"
#include "engine_util.h"


#define EI_NAME_LEN  16


EU_UNUSED static kmq_shard_t *
ei_shard(kmq_t *kmq, unsigned n)
{
    return KMQ_SHARD(kmq->block, n);
}


EU_UNUSED static kmq_shard_t *
ei_shard_of(kmq_t *kmq, const char *topic)
{
    return kmq_topic_shard(kmq, topic, strlen(topic));
}


/* The i-th name, from 0 on, of those that shard n is for. */
EU_UNUSED static const char *
ei_name(kmq_t *kmq, unsigned n, unsigned i, char name[EI_NAME_LEN])
{
    unsigned  k;

    for (k = 0; /* void */ ; k++) {
        (void) snprintf(name, EI_NAME_LEN, "t%u", k);

        if (ei_shard_of(kmq, name)->number == n && i-- == 0) {
            return name;
        }
    }
}


EU_UNUSED static kmq_client_t *
ei_client(kmq_t *kmq, kmq_ref_t client)
{
    return KMQ_AT(kmq->block, client);
}


EU_UNUSED static kmq_topic_t *
ei_topic(kmq_t *kmq, kmq_ref_t client)
{
    return KMQ_AT(kmq_shard_at(kmq, client), ei_client(kmq, client)->topic);
}

#endif /* KMQ_ENGINE_INSIDE_H */
