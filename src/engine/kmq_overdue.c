/*
 * Confirmations that do not come.
 *
 * A consumer's deliveries lie in its ring in the order of their times, so the
 * consumer as a whole has one timer, for the oldest of them; it is armed when
 * something is pushed and not touched for each message.  When it is due, the
 * consumer's own worker looks into the ring: point to point, what is overdue
 * goes to whoever is ready; in publish/subscribe it is pushed again to that
 * consumer, and stays where it is in the ring.
 *
 * Extensions and such re-pushes disorder the times; then the look is at the
 * whole ring.
 */

#include "kmq_block.h"


/* It bounds the time under the lock.  (What goes to others goes at once, as
 * when a consumer leaves: in parts it would come in front in another order.) */
#define REPUSH_MAX  256


/* ------------------------------------------------------------- the timer */

/* Something is in flight with a client whose timer is idle. */
void
kmq_overdue_arm(kmq_t *kmq, kmq_client_t *client)
{
    kmq_topic_t  *topic = KMQ_AT(kmq->block, client->topic);

    if (topic->settings.retry_time == 0) {
        return;
    }

    client->timed = KMQ_SCHEDULED;
    client->timer.due = kmq_due(kmq, topic->settings.retry_time);
    kmq_schedule(kmq, &client->timer);
}


void
kmq_overdue_cancel(kmq_block_t *b, kmq_client_t *client)
{
    if (client->timed == KMQ_SCHEDULED) {
        kmq_unschedule(b, &client->timer);

    } else if (client->timed == KMQ_OVERDUE) {
        kmq_list_remove(b, &b->worker[client->worker].overdue,
                        &client->timer.link);
    }

    client->timed = KMQ_IDLE;
}


/* The client's worker is to look at it; its timer is in no list. */
void
kmq_overdue_add(kmq_t *kmq, kmq_client_t *client)
{
    kmq_block_t  *b = kmq->block;

    client->timed = KMQ_OVERDUE;
    kmq_list_append(b, &b->worker[client->worker].overdue,
                    &client->timer.link);
    kmq_worker_tell(kmq, client->worker);
}


/* The same, wherever its timer is. */
void
kmq_overdue_now(kmq_t *kmq, kmq_client_t *client)
{
    kmq_overdue_cancel(kmq->block, client);
    kmq_overdue_add(kmq, client);
}


/* --------------------------------------------------------------- the look */

#define NEVER  UINT32_MAX

/* What a look at a consumer's ring finds. */
typedef struct {
    kmq_client_t  *client;
    kmq_topic_t   *topic;
    kmq_ref_t      ring;           /* where it is */
    unsigned       i;
    uint32_t       last;           /* time of the delivery before */
    uint32_t       wait;           /* ms until the next one is overdue */
    unsigned       released;
    int            disordered;
} look_t;


/* The next delivery that is not ended, NULL: that was all. */
static kmq_delivery_t *
look_next(kmq_block_t *b, look_t *look)
{
    kmq_ring_t      *ring;
    kmq_delivery_t  *entry;

    while (look->ring) {
        ring = KMQ_AT(b, look->ring);

        if (look->i < ring->first) {
            look->i = ring->first;
        }

        while (look->i < ring->count) {
            entry = &ring->entry[look->i++];

            if (entry->slot) {
                return entry;
            }
        }

        look->ring = ring->next;
        look->i = 0;
    }

    return NULL;
}


static void
look_wait(look_t *look, uint32_t ms)
{
    if (ms < look->wait) {
        look->wait = ms;
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

    look_wait(look, retry_time - age);

    return 0;
}


/* The consumer has this message no more. */
static kmq_slot_t *
take_away(kmq_t *kmq, look_t *look, kmq_delivery_t *entry, kmq_slot_t *after)
{
    kmq_slot_t  *slot;

    slot = KMQ_AT(kmq->block, entry->slot);

    KMQ_SET(entry->slot, 0);
    KMQ_POINT("overdue-entry");

    look->released++;

    return kmq_message_release(kmq, slot, after);
}


/* Point to point: what is overdue is for others, or for the same one anew. */
static void
release_overdue(kmq_t *kmq, look_t *look)
{
    kmq_slot_t      *after;
    kmq_delivery_t  *entry;

    after = NULL;

    while ((entry = look_next(kmq->block, look))) {

        if (!overdue(kmq, look, entry)) {
            if (look->client->disordered) {
                continue;
            }

            return;
        }

        after = take_away(kmq, look, entry, after);
    }

    look->client->disordered = look->disordered;
}


/* Pushes a message to the consumer again that it has already. */
static void
repush(kmq_t *kmq, look_t *look, kmq_delivery_t *entry, kmq_batch_t *batch)
{
    kmq_slot_t   *slot;
    kmq_block_t  *b = kmq->block;

    slot = KMQ_AT(b, entry->slot);

    entry->time = (uint32_t) kmq->mono;
    entry->returned = 0;
    entry->attempts += entry->attempts < UINT16_MAX;

    if (slot->attempts < entry->attempts) {
        slot->attempts = entry->attempts;
    }

    look->disordered = 1;

    if (look->topic->settings.retry_time) {
        look_wait(look, look->topic->settings.retry_time);
    }

    kmq_count_redelivered(kmq, look->topic);
    kmq_journal_sequence(kmq, KMQ_RECORD_DELIVERED, 0, slot->sequence,
                         entry->attempts);

    kmq_message_fill(b, slot, &batch->messages[batch->nmessages++]);
}


/* Has the consumer been pushed it as often as it may, or is it deleted? */
static int
given_up(kmq_t *kmq, const look_t *look, const kmq_delivery_t *entry)
{
    uint32_t     max;
    kmq_slot_t  *slot;

    slot = KMQ_AT(kmq->block, entry->slot);
    max = look->topic->settings.max_deliveries;

    return (slot->flags & KMQ_DELETED) || (max && entry->attempts >= max);
}


/* Publish/subscribe: what is overdue goes to the same consumer again. */
static void
repush_overdue(kmq_t *kmq, look_t *look, kmq_batch_t *batch)
{
    size_t           bytes;
    kmq_slot_t      *after;
    kmq_delivery_t  *entry;

    bytes = 0;
    after = NULL;

    while ((entry = look_next(kmq->block, look))) {

        if (!overdue(kmq, look, entry)) {
            if (look->client->disordered) {
                continue;
            }

            break;
        }

        if (given_up(kmq, look, entry)) {
            after = take_away(kmq, look, entry, after);
            continue;
        }

        if (!look->client->open) {
            look->client->stalled = 1;
            look->disordered = 1;
            continue;
        }

        if (batch->nmessages == REPUSH_MAX || bytes >= batch->bytes_max) {
            look->wait = 0;
            look->disordered = 1;
            break;
        }

        repush(kmq, look, entry, batch);
        bytes += batch->messages[batch->nmessages - 1].size;
    }

    look->client->disordered = look->disordered;
}


/* Makes the batch of what was found to be pushed again. */
static void
batch_make(kmq_t *kmq, look_t *look, kmq_batch_t *batch)
{
    kmq_run_t  *run;

    if (batch->nmessages == 0) {
        return;
    }

    batch->again = 1;
    batch->topic = kmq_topic_name(kmq->block, look->topic);
    batch->topic_len = look->topic->name_len;
    batch->topic_ref = look->client->topic;

    run = &batch->runs[batch->nruns++];
    run->client = KMQ_REF(kmq->block, look->client);
    run->user = kmq->client[look->client->local].user;
    run->first = 0;
    run->count = batch->nmessages;

    kmq_count_delivered(kmq, look->topic, batch->nmessages);
}


static void
look_at(kmq_t *kmq, kmq_client_t *client, kmq_batch_t *batch)
{
    look_t        look;
    kmq_block_t  *b = kmq->block;

    memset(&look, 0, sizeof(look));
    look.client = client;
    look.topic = KMQ_AT(b, client->topic);
    look.ring = client->ring;
    look.wait = NEVER;
    look.last = (uint32_t) kmq->mono - INT32_MAX;

    client->stalled = 0;

    if (look.topic->push_type == KMQ_PUSH_ONE) {
        release_overdue(kmq, &look);
    } else {
        repush_overdue(kmq, &look, batch);
        batch_make(kmq, &look, batch);
    }

    if (look.released) {
        client->in_flight -= look.released;
        client->limit = client->prefetch;

        kmq_ring_trim(b, client);
        kmq_client_update(kmq, client);
        kmq_grant(kmq, look.topic, look.topic->ready.count);
    }

    if (look.wait == 0) {
        kmq_overdue_add(kmq, client);

    } else if (look.wait != NEVER && !client->stalled) {
        client->timed = KMQ_SCHEDULED;
        client->timer.due = kmq_due(kmq, look.wait);
        kmq_schedule(kmq, &client->timer);
    }
}


/* Have consumers of this worker to be looked at, now that all they have said
 * has been heard? */
int
kmq_overdue_wanted(const kmq_t *kmq)
{
    return kmq->block->worker[kmq->worker].overdue.head
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
kmq_overdue_run(kmq_t *kmq, kmq_batch_t *batch)
{
    uint64_t       n;
    kmq_list_t    *list;
    kmq_client_t  *client;

    list = &kmq->block->worker[kmq->worker].overdue;

    for (n = list->count; n && batch->nruns == 0; n--) {
        client = KMQ_AT(kmq->block, list->head);

        kmq_overdue_cancel(kmq->block, client);
        look_at(kmq, client, batch);
    }
}
