/*
 * Retries: what is not confirmed in time is pushed again.
 *
 * A consumer's deliveries lie in its ring in the order of their times.  So the
 * consumer has one timer, for the oldest of them; it is armed when something
 * is pushed, and not touched for each message.  When it is due, the consumer's
 * own worker looks into the ring.  Point to point, overdue messages go to
 * whoever is ready; in publish/subscribe they are pushed to the same consumer
 * again, and stay where they are in the ring.
 *
 * Extensions and such re-pushes disorder the times; then the whole ring is
 * looked at.  That is done in slices: client->look is where it goes on.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../time/kmq_time.h"
#include "../journal/kmq_journal.h"
#include "../queue/kmq_queue.h"
#include "kmq_delivery_inside.h"


/* It bounds the time under the lock, as KMQ_SLICE does. */
#define REPUSH_MAX  256

/* A delivery ends when so many messages of its topic have overtaken it:
 * positions have 32 bits and are compared by their distance. */
#define OUTRUN      (UINT32_C(1) << 30)

#define NEVER       UINT64_MAX


/* ------------------------------------------------------------- the timer */

/* Waits for confirmations of a client whose timer is idle and whose topic has
 * a retry_time. */
void
kmq_retry_arm(kmq_t *kmq, kmq_client_t *client)
{
    kmq_topic_t  *topic = KMQ_AT(kmq->shard, client->topic);

    client->timed = KMQ_SCHEDULED;
    client->timer.due = kmq_due(kmq, topic->settings.retry_time);

    if (kmq_schedule(kmq, &client->timer)) {
        kmq_retry_add(kmq, client);
    }
}


void
kmq_retry_cancel(kmq_shard_t *s, kmq_client_t *client)
{
    if (client->timed == KMQ_SCHEDULED) {
        kmq_unschedule(s, &client->timer);

    } else if (client->timed == KMQ_OVERDUE) {
        kmq_list_remove(s, &s->duty[client->worker].overdue,
                        &client->timer.link);
    }

    client->timed = KMQ_IDLE;
}


/* Has the client's worker look at it; its timer is in no list. */
void
kmq_retry_add(kmq_t *kmq, kmq_client_t *client)
{
    kmq_shard_t  *s = kmq->shard;

    client->timed = KMQ_OVERDUE;
    kmq_list_append(s, &s->duty[client->worker].overdue,
                    &client->timer.link);
    kmq_worker_tell(kmq, client->worker);
}


/* The same, wherever its timer is.  If a look is going on, it may have passed
 * over the delivery that is meant, so another look follows. */
void
kmq_retry_now(kmq_t *kmq, kmq_client_t *client)
{
    client->look_due = 0;

    kmq_retry_cancel(kmq->shard, client);
    kmq_retry_add(kmq, client);
}


/* --------------------------------------------------------------- the look */

/* A look at a consumer's ring. */
typedef struct {
    kmq_client_t  *client;
    kmq_topic_t   *topic;
    kmq_ring_t    *ring;           /* where it is */
    unsigned       i;
    unsigned       left;           /* so many deliveries at most */
    uint32_t       last;           /* time of the delivery before */
    uint64_t       due;            /* mono: when the next one is overdue */
    unsigned       released;
    int            disordered;
    int            more;           /* it is to go on */
} look_t;


/* The next delivery that has not ended; NULL: that was all, or all for now. */
static kmq_delivery_t *
look_next(kmq_shard_t *s, look_t *look)
{
    kmq_delivery_t  *entry;

    while (look->client->look) {
        look->ring = KMQ_AT(s, look->client->look);

        if (look->i < look->ring->first) {
            look->i = look->ring->first;
        }

        while (look->i < look->ring->count) {
            entry = &look->ring->entry[look->i];

            if (entry->slot && look->left == 0) {
                look->more = 1;
                return NULL;
            }

            look->i++;

            if (entry->slot) {
                KMQ_STEP();
                look->left--;
                return entry;
            }
        }

        look->client->look = look->ring->next;
        look->i = 0;
    }

    return NULL;
}


static void
look_wait(kmq_t *kmq, look_t *look, uint32_t ms)
{
    if (kmq->mono + ms < look->due) {
        look->due = kmq->mono + ms;
    }
}


/* Is it overdue?  If not, it may be next. */
static int
overdue(kmq_t *kmq, look_t *look, const kmq_delivery_t *entry)
{
    uint32_t  age, retry_time;

    if (entry->returned) {
        look->disordered = 1;
        return 1;
    }

    look->disordered |= (int32_t) (entry->time - look->last) < 0;
    look->last = entry->time;

    retry_time = look->topic->settings.retry_time;

    if (retry_time == 0) {
        return 0;
    }

    age = (uint32_t) kmq->mono - entry->time;

    if (age >= retry_time) {
        return 1;
    }

    look_wait(kmq, look, retry_time - age);

    return 0;
}


/* Takes a message from its consumer.  1: it was the last one of that part. */
static int
take_away(kmq_t *kmq, kmq_client_t *client, kmq_ring_t *ring,
    kmq_delivery_t *entry)
{
    int           done;
    kmq_slot_t   *slot;
    kmq_shard_t  *s = kmq->shard;

    slot = KMQ_AT(s, entry->slot);

    KMQ_SET(entry->slot, 0);
    KMQ_POINT("overdue-entry");

    done = kmq_deliveries_end(s, client, ring);
    kmq_returned_set(s, client,
                     kmq_message_release(kmq, slot,
                                         kmq_returned(s, client)));

    return done;
}


static void
look_release(kmq_t *kmq, look_t *look, kmq_delivery_t *entry)
{
    look->released++;

    /* when the part is gone, the look goes on in the next one */

    if (take_away(kmq, look->client, look->ring, entry)
        && look->client->look != KMQ_REF(kmq->shard, look->ring))
    {
        look->i = 0;
    }
}


/* Point to point: overdue messages are for others, or for the same consumer
 * anew. */
static void
release_overdue(kmq_t *kmq, look_t *look)
{
    kmq_delivery_t  *entry;

    while ((entry = look_next(kmq->shard, look))) {

        if (overdue(kmq, look, entry)) {
            look_release(kmq, look, entry);

        } else if (!look->client->disordered) {
            return;
        }
    }
}


/* Pushes a message again to the consumer that has it. */
static void
repush(kmq_t *kmq, look_t *look, kmq_delivery_t *entry, kmq_batch_t *batch)
{
    kmq_slot_t   *slot;
    kmq_shard_t  *s = kmq->shard;

    slot = KMQ_AT(s, entry->slot);

    entry->time = (uint32_t) kmq->mono;
    entry->returned = 0;
    entry->attempts += entry->attempts < UINT16_MAX;

    if (slot->attempts < entry->attempts) {
        slot->attempts = entry->attempts;
    }

    look->disordered = 1;

    if (look->topic->settings.retry_time) {
        look_wait(kmq, look, look->topic->settings.retry_time);
    }

    kmq_count_redelivered(kmq, look->topic);
    kmq_journal_sequence(kmq, KMQ_RECORD_DELIVERED, 0, slot->sequence,
                         entry->attempts);

    kmq_message_fill(s, slot, &batch->messages[batch->nmessages++]);
}


/* Has it been pushed to the consumer as often as it may, or is it deleted? */
static int
given_up(kmq_t *kmq, const look_t *look, const kmq_delivery_t *entry)
{
    uint32_t     max;
    kmq_slot_t  *slot;

    slot = KMQ_AT(kmq->shard, entry->slot);
    max = look->topic->settings.max_deliveries;

    return (slot->flags & KMQ_DELETED) || (max && entry->attempts >= max);
}


/* Publish/subscribe: overdue messages go to the same consumer again. */
static void
repush_overdue(kmq_t *kmq, look_t *look, kmq_batch_t *batch)
{
    size_t           bytes;
    kmq_delivery_t  *entry;

    bytes = 0;

    while ((entry = look_next(kmq->shard, look))) {

        if (!overdue(kmq, look, entry)) {
            if (look->client->disordered) {
                continue;
            }

            break;
        }

        if (given_up(kmq, look, entry)) {
            look_release(kmq, look, entry);
            continue;
        }

        if (!look->client->open) {
            look->client->stalled = 1;
            look->disordered = 1;
            continue;
        }

        if (batch->nmessages == REPUSH_MAX || bytes >= batch->bytes_max) {
            look->more = 1;
            look->disordered = 1;
            break;
        }

        repush(kmq, look, entry, batch);
        bytes += batch->messages[batch->nmessages - 1].size;
    }

}


/* Makes a batch of the messages that are pushed again. */
static void
batch_make(kmq_t *kmq, look_t *look, kmq_batch_t *batch)
{
    kmq_run_t  *run;

    if (batch->nmessages == 0) {
        return;
    }

    batch->again = 1;
    batch->topic = kmq_topic_name(kmq->shard, look->topic);
    batch->topic_len = look->topic->name_len;
    batch->topic_ref = KMQ_OUT(kmq->shard, look->client->topic);

    run = &batch->runs[batch->nruns++];
    run->client = KMQ_REF(kmq->block, look->client);
    run->user = kmq->client[look->client->local].user;
    run->first = 0;
    run->count = batch->nmessages;

    kmq_count_delivered(kmq, look->topic, batch->nmessages);
}


/* Decides what comes after a look, or after a part of one. */
static void
look_end(kmq_t *kmq, look_t *look)
{
    kmq_client_t  *client = look->client;

    client->look_due = look->due;

    if (look->more) {
        kmq_retry_add(kmq, client);
        return;
    }

    client->look = 0;

    if (look->due == 0) {
        kmq_retry_add(kmq, client);

    } else if (look->due != NEVER && !client->stalled) {
        client->timed = KMQ_SCHEDULED;
        client->timer.due = look->due;

        if (kmq_schedule(kmq, &client->timer)) {
            kmq_retry_add(kmq, client);
        }
    }
}


/* Looks at *left deliveries at most, which counts down. */
static void
look_at(kmq_t *kmq, kmq_client_t *client, kmq_batch_t *batch, unsigned *left)
{
    int           begun;
    look_t        look;
    kmq_shard_t  *s = kmq->shard;

    memset(&look, 0, sizeof(look));
    look.client = client;
    look.topic = KMQ_AT(s, client->topic);
    look.left = *left;
    look.last = (uint32_t) kmq->mono - INT32_MAX;

    begun = client->look != 0;

    if (!begun) {
        client->look = client->ring;
        client->look_due = NEVER;
        client->stalled = 0;
        kmq_returned_set(s, client, NULL);
    }

    look.due = client->look_due;

    if (look.topic->push_type == KMQ_PUSH_ONE) {
        release_overdue(kmq, &look);
    } else {
        repush_overdue(kmq, &look, batch);
        batch_make(kmq, &look, batch);
    }

    /* only who has seen all of it knows that it is in order */

    client->disordered = look.disordered
                         | ((begun | look.more) & client->disordered);

    if (look.released) {
        client->limit = client->prefetch;
        kmq_deliveries_trim(s, client);
        kmq_grant(kmq, look.topic, look.topic->ready.count);
    }

    kmq_ready_update(kmq, client);
    look_end(kmq, &look);
    *left = look.left;
}


/* Are there consumers of this worker to look at, and has it heard all that
 * they have said? */
int
kmq_retry_wanted(const kmq_t *kmq)
{
    return kmq->shard->duty[kmq->worker].overdue.head
           && kmq->mono >= kmq->heard;
}


void
kmq_hear(kmq_t *kmq, uint64_t ms)
{
    kmq->heard = kmq->mono + ms;
}


/* Looks at this worker's consumers whose time has come, up to the first that
 * is pushed something. */
void
kmq_retry_run(kmq_t *kmq, kmq_batch_t *batch)
{
    unsigned       left;
    uint64_t       n;
    kmq_list_t    *list;
    kmq_client_t  *client;

    list = &kmq->shard->duty[kmq->worker].overdue;
    left = KMQ_SLICE;

    for (n = list->count; n && left && batch->nruns == 0; n--) {
        left--;
        client = KMQ_AT(kmq->shard, list->head);

        kmq_retry_cancel(kmq->shard, client);
        look_at(kmq, client, batch, &left);
    }
}


/*
 * Ends the deliveries of a consumer, of any worker, that far too many messages
 * have overtaken: at most *n, which counts down.
 */
void
kmq_retry_outrun(kmq_t *kmq, kmq_client_t *client, unsigned *n)
{
    int                 ended;
    kmq_ring_t         *ring;
    kmq_shard_t        *s = kmq->shard;
    kmq_delivery_t     *entry;
    const kmq_topic_t  *topic = KMQ_AT(s, client->topic);

    kmq_returned_set(s, client, NULL);

    for (ended = 0; client->in_flight && *n; (*n)--, ended = 1) {
        ring = KMQ_AT(s, client->ring);
        entry = &ring->entry[ring->first];

        if (topic->position - entry->position < OUTRUN) {
            break;
        }

        (void) take_away(kmq, client, ring, entry);
        kmq_deliveries_trim(s, client);
    }

    if (ended) {

        /* its worker sees whether it can take more now */

        kmq_retry_now(kmq, client);
        kmq_grant(kmq, KMQ_AT(s, client->topic), topic->ready.count);
    }
}
