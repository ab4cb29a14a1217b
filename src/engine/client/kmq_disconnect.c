/* Clients that have to go: their worker is told, and closes them. */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../queue/kmq_queue.h"
#include "kmq_client_inside.h"


/* Has a client's worker close it, unless it has been told so already. */
void
kmq_disconnect_client(kmq_t *kmq, kmq_client_t *client, unsigned why)
{
    kmq_block_t  *b = kmq->block;

    if (client->closing == 0) {
        client->closing = why;
        kmq_list_append(b, &b->worker[client->worker].to_close,
                        &client->to_close);
        kmq_worker_tell(kmq, client->worker);
    }
}


/* It goes. */
void
kmq_disconnect_cancel(kmq_block_t *b, kmq_client_t *client)
{
    if (client->closing && client->closing != KMQ_TOLD) {
        kmq_list_remove(b, &b->worker[client->worker].to_close,
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

    kmq_lock(kmq);

    client = kmq_table_at(kmq->block, KMQ_CLASS_CLIENT, ref);

    if (client && client->number == number
        && (client->role == KMQ_PRODUCER || client->role == KMQ_CONSUMER))
    {
        rc = KMQ_OK;
        kmq_disconnect_client(kmq, client, KMQ_DISCONNECTED);
    }

    kmq_unlock(kmq);

    return rc;
}


void *
kmq_to_close(kmq_t *kmq, int *why)
{
    void          *user;
    kmq_list_t    *list = &kmq->block->worker[kmq->worker].to_close;
    kmq_client_t  *client;

    if (!kmq->closing) {
        return NULL;
    }

    user = NULL;

    kmq_lock(kmq);

    if (list->head) {
        client = KMQ_CLIENT_OF(KMQ_AT(kmq->block, list->head), to_close);
        *why = client->closing;
        user = kmq->client[client->local].user;
        kmq_disconnect_cancel(kmq->block, client);
    }

    kmq->closing = list->head != 0;

    kmq_unlock(kmq);

    return user;
}


/* Notes whether clients of this worker have to go. */
void
kmq_disconnect_check(kmq_t *kmq)
{
    kmq->closing = kmq->block->worker[kmq->worker].to_close.head != 0;
}
