/* Clients that have to go: their worker is told, and closes them. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../queue/kmq_queue.h"
#include "kmq_client_inside.h"


/* Has a client's worker close it, unless it has been told so already.  One that
 * is apart has none: whoever looks at it lets it leave. */
void
kmq_disconnect_client(kmq_t *kmq, kmq_client_t *client, unsigned why)
{
    kmq_shard_t  *s = kmq->shard;

    if (client->role == KMQ_APART) {
        client->closing = why;
        kmq_look_now(kmq, client);
        return;
    }

    if (client->closing == 0) {
        client->closing = why;
        kmq_list_append(s, &s->duty[client->worker].to_close,
                        &client->to_close);
        kmq_worker_tell(kmq, client->worker);
    }
}


/* It goes. */
void
kmq_disconnect_cancel(kmq_shard_t *s, kmq_client_t *client)
{
    if (client->closing && client->closing != KMQ_TOLD) {
        kmq_list_remove(s, &s->duty[client->worker].to_close,
                        &client->to_close);
    }

    client->closing = KMQ_TOLD;
}


int
kmq_disconnect(kmq_t *kmq, kmq_ref_t ref, uint64_t number)
{
    int            rc;
    kmq_client_t  *client;

    rc = KMQ_GONE;

    /* the reference may be wrong, or void by now */

    kmq_lock_at(kmq, ref);

    client = kmq_table_at(kmq->shard, KMQ_CLASS_CLIENT,
                          KMQ_IN(kmq->shard, ref));

    if (client && client->number == number
        && client->role && client->role != KMQ_LEAVING)
    {
        rc = KMQ_OK;
        kmq_disconnect_client(kmq, client, KMQ_DISCONNECTED);
    }

    kmq_unlock(kmq);

    return rc;
}


/* The user of one client of the shard that has to go; NULL: there is none. */
static void *
close_next(kmq_t *kmq, int *why)
{
    kmq_shard_t   *s = kmq->shard;
    kmq_list_t    *list = &s->duty[kmq->worker].to_close;
    kmq_client_t  *client;

    if (list->head == 0) {
        return NULL;
    }

    client = KMQ_CLIENT_OF(KMQ_AT(s, list->head), to_close);
    *why = client->closing;
    kmq_disconnect_cancel(s, client);

    return kmq->client[client->local].user;
}


void *
kmq_to_close(kmq_t *kmq, int *why)
{
    void  *user;

    user = NULL;

    while (user == NULL && kmq->closing) {
        kmq_lock(kmq, KMQ_SHARD(kmq->block,
                                __builtin_ctzll(kmq->closing)));

        user = close_next(kmq, why);
        kmq_disconnect_check(kmq);

        kmq_unlock(kmq);
    }

    return user;
}


void
kmq_disconnect_check(kmq_t *kmq)
{
    kmq_shard_t  *s = kmq->shard;

    if (s->duty[kmq->worker].to_close.head) {
        kmq->closing |= KMQ_BIT(s);
    } else {
        kmq->closing &= ~KMQ_BIT(s);
    }
}
