/*
 * Retries: what is not confirmed in time is overdue, which is a failure.
 *
 * A delivery has a clock, which begins when it becomes its consumer's oldest,
 * or when one that was pushed behind it is confirmed: what waits inside a busy
 * client is not overdue, and what a client has dropped is not forgotten.  So
 * the first deliveries of a ring have running clocks (client->started), in the
 * order of their times.  When the consumer's timer is due, its own worker looks
 * at these.  Point to point, what is overdue is taken away, and the consumer
 * rests; when it has been late twice without a confirmation in between, all
 * that it has goes back.  In publish/subscribe it is pushed to the same
 * consumer again, and stays where it is in the ring.
 *
 * Extensions and such re-pushes disorder the times; then all of the ring is
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

/* ms: so often it is looked whether a topic is still paused. */
#define PAUSED_TIME  500

#define NEVER       UINT64_MAX


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
    int            begun;          /* a part of it is done */
    unsigned       overdue;        /* deliveries that were, point to point */
    unsigned       released;
    int            disordered;
    int            more;           /* it is to go on, */
    int            again;          /* from the beginning */
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


/* Does the clock of a delivery run, or has it been given back? */
static int
is_started(const look_t *look, const kmq_delivery_t *entry)
{
    return entry->again
           || (int32_t) (entry->position - look->client->started) <= 0;
}


/* Has its clock run out?  If not, it may be next. */
static int
is_overdue(kmq_t *kmq, look_t *look, const kmq_delivery_t *entry)
{
    uint32_t  age, time, retry_time;

    time = kmq_deliveries_time(look->ring, entry);
    look->disordered |= (int32_t) (time - look->last) < 0;
    look->last = time;

    /* another worker, whose clock is ahead, has begun it: what this one begins
     * next is earlier */

    look->disordered |= (int32_t) ((uint32_t) kmq->mono - time) < 0;

    retry_time = look->topic->settings.retry_time;

    if (retry_time == 0) {
        return 0;
    }

    age = kmq_age(kmq, time);

    if (age >= retry_time) {
        return 1;
    }

    look_wait(kmq, look, retry_time - age);

    return 0;
}


/* Takes a message from its consumer; reason: it is charged with that.  1: it
 * was the last one of that part. */
static int
take_away(kmq_t *kmq, kmq_client_t *client, kmq_ring_t *ring,
    kmq_delivery_t *entry, unsigned reason)
{
    int           done;
    kmq_slot_t   *slot, *after;
    kmq_shard_t  *s = kmq->shard;

    slot = KMQ_AT(s, entry->slot);

    KMQ_SET(entry->slot, 0);
    KMQ_POINT("overdue-entry");

    done = kmq_deliveries_end(s, client, ring);

    after = kmq_returned(s, client);
    after = reason ? kmq_message_fail(kmq, slot, after, reason,
                                      KMQ_BACK_OFF)
                   : kmq_message_release(kmq, slot, after);

    kmq_returned_set(s, client, after);

    return done;
}


static void
look_release(kmq_t *kmq, look_t *look, kmq_delivery_t *entry,
    unsigned reason)
{
    look->released++;

    /* when the part is gone, the look goes on in the next one */

    if (take_away(kmq, look->client, look->ring, entry, reason)
        && look->client->look != KMQ_REF(kmq->shard, look->ring))
    {
        look->i = 0;
    }
}


/* One is overdue: is it the second one, with no confirmation in between?  Those
 * of one look are one. */
static void
late(look_t *look)
{
    if (look->overdue++ == 0 && !look->begun
        && look->client->held & KMQ_HELD_LATE)
    {
        look->client->held |= KMQ_HELD_GIVING;
    }
}


/* Point to point: overdue messages are for others, or for the same consumer
 * anew; so is all that it has when it was late twice. */
static void
release_overdue(kmq_t *kmq, look_t *look)
{
    kmq_client_t    *client = look->client;
    kmq_delivery_t  *entry;

    while ((entry = look_next(kmq->shard, look))) {

        if (is_started(look, entry) && is_overdue(kmq, look, entry)) {
            late(look);
            look_release(kmq, look, entry, KMQ_FAILED_OVERDUE);

        } else if (client->held & KMQ_HELD_GIVING) {
            look_release(kmq, look, entry, KMQ_FAILED_NOT);

        } else if (!client->disordered || !is_started(look, entry)) {
            break;
        }
    }

    if (look->overdue) {
        client->held |= KMQ_HELD_LATE;
        kmq_hold_rest(kmq, client);
    }

    /* one that is disordered has been passed over */

    if (client->held & KMQ_HELD_GIVING && client->in_flight && !look->more) {
        look->more = 1;
        look->again = 1;
    }
}


/* Pushes a message again to the consumer that has it. */
static void
repush(kmq_t *kmq, look_t *look, kmq_delivery_t *entry, kmq_batch_t *batch)
{
    kmq_slot_t     *slot;
    kmq_shard_t    *s = kmq->shard;
    kmq_message_t  *m;

    slot = KMQ_AT(s, entry->slot);

    entry->time = (uint32_t) kmq->mono;
    entry->again = 0;

    look->disordered = 1;

    if (look->topic->settings.retry_time) {
        look_wait(kmq, look, look->topic->settings.retry_time);
    }

    kmq_count_redelivered(kmq, look->topic);
    kmq_journal_sequence(kmq, KMQ_RECORD_DELIVERED, 0, slot->sequence,
                         (slot->failures + 1) | KMQ_ATTEMPTS_PUSHED);

    m = &batch->messages[batch->nmessages++];
    kmq_message_fill(s, slot, m);
    m->attempts = entry->failures + 1;
}


/* Has it failed with the consumer as often as it may, or is it deleted? */
static int
given_up(kmq_t *kmq, const look_t *look, const kmq_delivery_t *entry)
{
    uint32_t     max;
    kmq_slot_t  *slot;

    slot = KMQ_AT(kmq->shard, entry->slot);
    max = look->topic->settings.max_deliveries;

    return (slot->flags & KMQ_DELETED) || (max && entry->failures >= max);
}


/* Publish/subscribe: is a delivery to be pushed again, after its wait?  One
 * that is overdue by now has failed first. */
static int
is_again(kmq_t *kmq, look_t *look, kmq_delivery_t *entry)
{
    int32_t  left;

    if (!entry->again) {
        if (!is_overdue(kmq, look, entry)) {
            return 0;
        }

        (void) kmq_deliveries_fail(kmq, look->topic, entry,
                                   KMQ_FAILED_OVERDUE, KMQ_BACK_OFF);
    }

    look->disordered = 1;
    left = (int32_t) (entry->time - (uint32_t) kmq->mono);

    if (left <= 0 || given_up(kmq, look, entry)) {
        return 1;
    }

    look_wait(kmq, look, left);

    return 0;
}


/* Publish/subscribe: overdue messages go to the same consumer again. */
static void
repush_overdue(kmq_t *kmq, look_t *look, kmq_batch_t *batch)
{
    size_t           bytes;
    kmq_delivery_t  *entry;

    bytes = 0;

    while ((entry = look_next(kmq->shard, look))) {

        if (!is_started(look, entry) || !is_again(kmq, look, entry)) {
            if (look->client->disordered || look->disordered) {
                continue;
            }

            break;
        }

        if (given_up(kmq, look, entry)) {
            look_release(kmq, look, entry, KMQ_FAILED_NOT);
            continue;
        }

        if (look->topic->paused) {
            look_wait(kmq, look, PAUSED_TIME);
            continue;
        }

        if (!look->client->open) {
            look->client->stalled = 1;
            continue;
        }

        if (batch->nmessages == REPUSH_MAX || bytes >= batch->bytes_max) {
            look->more = 1;
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

    if (look->again) {
        client->look = 0;
    }

    if (!look->more) {
        client->look = 0;
    }

    /* its rest may have armed the timer, and the first parts of a look may have
     * found what is overdue by now */

    if (look->more || look->due <= kmq->mono) {
        kmq_look_cancel(kmq->shard, client);
        kmq_look_add(kmq, client);

    } else if (look->due != NEVER && (!client->stalled || client->held)) {
        kmq_look_in(kmq, client, look->due - kmq->mono);
    }
}


static void
look_begin(kmq_t *kmq, kmq_client_t *client)
{
    client->look = client->ring;
    client->look_due = NEVER;
    client->stalled = 0;
    kmq_returned_set(kmq->shard, client, NULL);
    kmq_deliveries_start(kmq, client);
}


/* It has been looked at: what follows for the consumer. */
static void
look_settle(kmq_t *kmq, look_t *look)
{
    uint32_t       ms;
    kmq_client_t  *client = look->client;

    if (look->released) {
        kmq_deliveries_trim(kmq->shard, client);
        kmq_deliveries_start(kmq, client);
        kmq_grant(kmq, look->topic, look->topic->ready.count);
    }

    if (client->held) {
        kmq_hold_emptied(kmq, client);
        ms = kmq_hold_look(kmq, client);

        if (ms) {
            look_wait(kmq, look, ms);
        }
    }

    if (look->released || client->held) {
        client->limit = kmq_hold_limit(client);
    }

    kmq_ready_update(kmq, client);

    /* the clock of what is the oldest now began just now */

    if (look->released && client->in_flight
        && look->topic->settings.retry_time)
    {
        look_wait(kmq, look, look->topic->settings.retry_time);
    }
}


/* Looks at *left deliveries at most, which counts down. */
static void
look_at(kmq_t *kmq, kmq_client_t *client, kmq_batch_t *batch, unsigned *left)
{
    look_t        look;
    kmq_shard_t  *s = kmq->shard;

    memset(&look, 0, sizeof(look));
    look.client = client;
    look.topic = KMQ_AT(s, client->topic);
    look.left = *left;
    look.last = (uint32_t) kmq->mono - INT32_MAX;

    look.begun = client->look != 0;

    if (!look.begun) {
        look_begin(kmq, client);
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
                         | ((look.begun | look.more) & client->disordered);

    look_settle(kmq, &look);
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

        kmq_look_cancel(kmq->shard, client);
        look_at(kmq, client, batch, &left);
    }
}


/* ------------------------------------------------------------------ leases */

/* The first of those that have ended is charged, once in a look: also when a
 * worker dies in between. */
static unsigned
lease_reason(kmq_client_t *client)
{
    if (!client->charge) {
        return KMQ_FAILED_NOT;
    }

    KMQ_SET(client->charge, 0);
    KMQ_POINT("lease-charge");

    return KMQ_FAILED_OVERDUE;
}


static void
release_ended(kmq_t *kmq, look_t *look)
{
    int              blameless;
    uint32_t         left;
    kmq_delivery_t  *entry;

    /* whoever looks may be about to end itself, which is no excuse */

    blameless = kmq->blameless;
    kmq->blameless = 0;

    while ((entry = look_next(kmq->shard, look))) {
        left = kmq_apart_left(kmq, look->client, entry->time);

        if (left) {
            look_wait(kmq, look, left);
        } else {
            look_release(kmq, look, entry, lease_reason(look->client));
        }
    }

    kmq->blameless = blameless;
}


/* Something was taken away: others get it. */
static void
released(kmq_t *kmq, const look_t *look)
{
    if (look->released) {
        kmq_deliveries_trim(kmq->shard, look->client);
        kmq_grant(kmq, look->topic, look->topic->ready.count);
    }
}


/* A slice of n steps, or of one part: where the next one begins. */
static void
look_init(kmq_t *kmq, look_t *look, kmq_client_t *client, unsigned n)
{
    memset(look, 0, sizeof(look_t));
    look->client = client;
    look->topic = KMQ_AT(kmq->shard, client->topic);
    look->left = n > KMQ_RING_COUNT ? n : KMQ_RING_COUNT;

    if (client->look == 0) {
        client->look = client->ring;
        client->look_due = NEVER;
        kmq_returned_set(kmq->shard, client, NULL);
    }

    look->due = client->look_due;
}


/* How many of n steps are left. */
static unsigned
steps_left(const look_t *look, unsigned n)
{
    return n > KMQ_RING_COUNT ? look->left : 0;
}


int
kmq_retry_leases(kmq_t *kmq, kmq_client_t *client, unsigned *n)
{
    look_t  look;

    look_init(kmq, &look, client, *n);
    release_ended(kmq, &look);
    released(kmq, &look);

    *n = steps_left(&look, *n);
    client->look_due = look.due;

    /* a look may take long: what was passed over may have ended meanwhile */

    if (look.more || look.due <= kmq->mono) {
        client->look = look.more ? client->look : 0;
        kmq_look_add(kmq, client);
        return 1;
    }

    client->look = 0;
    KMQ_SET(client->charge, 1);
    KMQ_POINT("lease-look");

    if (client->in_flight) {
        kmq_look_in(kmq, client, look.due - kmq->mono);
    }

    return 0;
}


/* ------------------------------------------------------------------ parked */

static int
is_received(kmq_shard_t *s, const kmq_received_t *received,
    const kmq_delivery_t *entry)
{
    const kmq_slot_t  *slot = KMQ_AT(s, entry->slot);

    return received->sequence
           ? slot->sequence <= received->sequence
           : (int32_t) (entry->position - received->position) <= 0;
}


int
kmq_retry_resume(kmq_t *kmq, kmq_client_t *client,
    const kmq_received_t *received, unsigned *n)
{
    look_t           look;
    kmq_delivery_t  *entry;

    look_init(kmq, &look, client, *n);

    while ((entry = look_next(kmq->shard, &look))) {

        /* no clock of before counts, which may be ahead of this worker's */

        look.ring->passed = 0;

        if (is_received(kmq->shard, received, entry)) {
            entry->time = entry->again ? entry->time : (uint32_t) kmq->mono;

        } else if (client->push_type == KMQ_PUSH_ALL) {
            entry->again = 1;
            entry->time = (uint32_t) kmq->mono;

        } else {
            look_release(kmq, &look, entry, KMQ_FAILED_NOT);
        }
    }

    released(kmq, &look);

    *n = steps_left(&look, *n);
    client->disordered = 1;
    client->look = look.more ? client->look : 0;

    return look.more;
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

        (void) take_away(kmq, client, ring, entry, KMQ_FAILED_NOT);
        kmq_deliveries_trim(s, client);
    }

    if (ended) {

        /* its worker sees whether it can take more now */

        kmq_deliveries_start(kmq, client);
        kmq_look_now(kmq, client);
        kmq_grant(kmq, KMQ_AT(s, client->topic), topic->ready.count);
    }
}
