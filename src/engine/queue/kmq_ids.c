/*
 * Consumers by their ids: those that others may settle for, or that may come
 * back.  Ids are not unique.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "kmq_queue_inside.h"


static kmq_ref_t *
bucket_of(kmq_shard_t *s, kmq_ref_t topic, const char *id, size_t len)
{
    uint32_t  hash;

    hash = kmq_name_hash(id, len) ^ (topic * UINT32_C(0x9e3779b1) >> 16);

    return &s->id_bucket[hash & (KMQ_ID_BUCKETS - 1)];
}


static kmq_ref_t *
bucket_of_client(kmq_shard_t *s, const kmq_client_t *client)
{
    return bucket_of(s, client->topic, client->id, client->id_len);
}


void
kmq_id_link(kmq_shard_t *s, kmq_client_t *client)
{
    kmq_ref_t  *bucket = bucket_of_client(s, client);

    client->same_id.next = *bucket;
    client->same_id.prev = 0;

    if (*bucket) {
        ((kmq_client_t *) KMQ_AT(s, *bucket))->same_id.prev
                                                     = KMQ_REF(s, client);
    }

    *bucket = KMQ_REF(s, client);
}


void
kmq_id_unlink(kmq_shard_t *s, kmq_client_t *client)
{
    const kmq_link_t  *link = &client->same_id;

    if (link->prev) {
        ((kmq_client_t *) KMQ_AT(s, link->prev))->same_id.next = link->next;
    } else {
        *bucket_of_client(s, client) = link->next;
    }

    if (link->next) {
        ((kmq_client_t *) KMQ_AT(s, link->next))->same_id.prev = link->prev;
    }
}


kmq_client_t *
kmq_id_next(kmq_shard_t *s, kmq_ref_t topic, const char *id, size_t len,
    const kmq_client_t *before, unsigned *left)
{
    kmq_ref_t      ref;
    kmq_client_t  *client;

    ref = before ? before->same_id.next : *bucket_of(s, topic, id, len);

    for ( /* void */ ; ref && *left; ref = client->same_id.next) {
        KMQ_STEP();
        --*left;
        client = KMQ_AT(s, ref);

        if (client->topic == topic && client->id_len == len
            && memcmp(client->id, id, len) == 0)
        {
            return client;
        }
    }

    return NULL;
}
