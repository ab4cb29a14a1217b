/*
 * A consumer's only timer: when its worker has to look at it, for what is
 * overdue, or because it is held no more.  It is armed for the earliest of
 * these, and not touched for each message: nothing whose clock begins later is
 * overdue before it, since it is never later than retry_time from now.  Whoever
 * has time looks at one that is apart.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../time/kmq_time.h"
#include "kmq_queue_inside.h"


/* The list where it waits for the look. */
static kmq_list_t *
list_of(kmq_shard_t *s, const kmq_client_t *client)
{
    return client->role == KMQ_APART ? &s->lapsed
                                     : &s->duty[client->worker].overdue;
}


void
kmq_look_in(kmq_t *kmq, kmq_client_t *client, uint64_t ms)
{
    uint32_t            retry_time;
    uint64_t            due;
    const kmq_topic_t  *topic = KMQ_AT(kmq->shard, client->topic);

    retry_time = topic->settings.retry_time;

    if (retry_time && ms > retry_time && client->role != KMQ_APART) {
        ms = retry_time;
    }

    due = kmq_due(kmq, ms);

    if (client->timed == KMQ_OVERDUE
        || (client->timed == KMQ_SCHEDULED && client->timer.due <= due))
    {
        return;
    }

    kmq_look_cancel(kmq->shard, client);

    client->timed = KMQ_SCHEDULED;
    client->timer.due = due;

    if (kmq_schedule(kmq, &client->timer)) {
        kmq_look_add(kmq, client);
    }
}


void
kmq_look_cancel(kmq_shard_t *s, kmq_client_t *client)
{
    if (client->timed == KMQ_SCHEDULED) {
        kmq_unschedule(s, &client->timer);

    } else if (client->timed == KMQ_OVERDUE) {
        kmq_list_remove(s, list_of(s, client), &client->timer.link);
    }

    client->timed = KMQ_IDLE;
}


void
kmq_look_add(kmq_t *kmq, kmq_client_t *client)
{
    kmq_shard_t  *s = kmq->shard;

    client->timed = KMQ_OVERDUE;
    kmq_list_append(s, list_of(s, client), &client->timer.link);

    if (client->role == KMQ_APART) {
        kmq->work |= KMQ_BIT(s);
    } else {
        kmq_worker_tell(kmq, client->worker);
    }
}


/* If a look is going on, it may have passed over the delivery that is meant, so
 * another look follows. */
void
kmq_look_now(kmq_t *kmq, kmq_client_t *client)
{
    client->look_due = 0;

    kmq_look_cancel(kmq->shard, client);
    kmq_look_add(kmq, client);
}
