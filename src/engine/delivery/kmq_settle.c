/*
 * Messages are settled from anywhere: by their codes, whoever's consumer has
 * them.
 *
 * A code does not tell the shard, but those that come together are mostly of
 * one: the shard of the first is looked for, and all others are tried in that,
 * then it begins anew with the first that was not there.  The deliveries of one
 * consumer that follow each other are ended together.
 */

#include "../kmq_block.h"
#include "../worker/kmq_worker.h"
#include "../memory/kmq_memory.h"
#include "../queue/kmq_queue.h"
#include "kmq_delivery_inside.h"


/* Consumers with one id that are looked at for one that has the message. */
#define LOOKS_MAX  1024

/* A result that is not known yet. */
#define OPEN       255

typedef enum {
    CONFIRM,
    EXTEND,
    RETURN
} what_e;

typedef struct {
    const kmq_settle_t  *settle;
    what_e               what;
    int64_t              delay;
    unsigned             done;

    /* under one lock */
    kmq_client_t        *client;     /* whose deliveries these are: */
    unsigned             n;
    unsigned             gone;       /* of those given back */
    kmq_ref_t            asked;      /* the topic that was asked for last, */
    int                  allowed;    /* and whether it may be settled in */

    /* what was given back last in the shard, and its topic */
    kmq_ref_t            topic;
    kmq_ref_t            returned;
    uint64_t             returned_sequence;
} work_t;


/* ------------------------------------------------------------- the consumer */

/* Is it the one that is named, if any has to be? */
static int
is_named(const work_t *work, const kmq_client_t *client)
{
    const kmq_settle_t  *settle = work->settle;

    return settle->id_len == 0
           ? work->what == CONFIRM
           : settle->id_len == client->id_len
             && memcmp(settle->id, client->id, client->id_len) == 0;
}


/* Of publish/subscribe: one of that id that has the message.  Mostly it is the
 * same as before. */
static kmq_delivery_t *
shared_find(kmq_shard_t *s, work_t *work, const kmq_slot_t *slot,
    kmq_client_t **client, kmq_ring_t **ring)
{
    unsigned         left;
    kmq_delivery_t  *entry;

    if (work->settle->id_len == 0) {
        return NULL;
    }

    left = LOOKS_MAX;
    entry = NULL;
    *client = work->client;

    if (*client && (*client)->topic == slot->topic) {
        entry = kmq_deliveries_find(s, *client, slot, ring);
    }

    if (entry == NULL) {
        *client = NULL;
    }

    while (entry == NULL
           && (*client = kmq_id_next(s, slot->topic, work->settle->id,
                                     work->settle->id_len, *client, &left)))
    {
        entry = kmq_deliveries_find(s, *client, slot, ring);
    }

    return entry;
}


/* The delivery that is meant, and whose it is; NULL: there is none. */
static kmq_delivery_t *
delivery_find(kmq_shard_t *s, work_t *work, const kmq_slot_t *slot,
    kmq_client_t **client, kmq_ring_t **ring)
{
    if (slot->flags & KMQ_SHARED) {
        return shared_find(s, work, slot, client, ring);
    }

    *client = KMQ_AT(s, slot->owner);

    /* who leaves is giving it back already */

    if (!is_named(work, *client)
        || ((*client)->role == KMQ_LEAVING && work->what != CONFIRM))
    {
        return NULL;
    }

    return kmq_deliveries_find(s, *client, slot, ring);
}


/* ------------------------------------------------------------------ settle */

/* What comes after some deliveries of a consumer. */
static void
client_end(kmq_t *kmq, work_t *work)
{
    kmq_client_t  *client = work->client;

    if (client == NULL) {
        return;
    }

    if (work->what == CONFIRM) {
        kmq_confirm_end(kmq, client, work->n);

    } else if (work->what == RETURN) {
        work->topic = client->topic;
        work->returned = client->returned;
        work->returned_sequence = client->returned_sequence;
        kmq_return_end(kmq, client, work->gone, work->delay);
    }

    /* clocks that began just now did so by another one than others */

    client->disordered = 1;

    if (client->role == KMQ_APART && client->in_flight == 0) {
        kmq_look_now(kmq, client);
    }

    work->client = NULL;
    work->n = 0;
    work->gone = 0;
}


/* What is given back goes behind what was, whoever had that. */
static void
client_begin(kmq_t *kmq, work_t *work, kmq_client_t *client)
{
    client_end(kmq, work);

    work->client = client;

    if (work->what == RETURN) {
        client->returned = work->topic == client->topic ? work->returned : 0;
        client->returned_sequence = work->returned_sequence;
    }
}


static int
settle_delivery(kmq_t *kmq, work_t *work, const kmq_slot_t *slot)
{
    kmq_ring_t      *ring;
    kmq_client_t    *client;
    kmq_delivery_t  *entry;

    entry = delivery_find(kmq->shard, work, slot, &client, &ring);

    if (entry == NULL) {
        return KMQ_SETTLE_NOT;
    }

    if (client != work->client) {
        client_begin(kmq, work, client);
    }

    work->n++;

    switch (work->what) {

    case CONFIRM:
        kmq_confirm_entry(kmq, client, ring, entry);
        break;

    case EXTEND:
        kmq_extend_entry(kmq, client, entry);
        break;

    default: /* RETURN */
        work->gone += kmq_return_entry(kmq, client, ring, entry, work->delay);
        break;
    }

    return KMQ_SETTLE_DONE;
}


/* A message that waits again after it was pushed. */
static int
settle_late(kmq_t *kmq, const work_t *work, kmq_slot_t *slot)
{
    kmq_topic_t  *topic = KMQ_AT(kmq->shard, slot->topic);

    if (work->what != CONFIRM || !kmq_message_confirm_late(kmq, slot)) {
        return KMQ_SETTLE_NOT;
    }

    kmq_count_confirmed(kmq, topic, 1);

    return KMQ_SETTLE_DONE;
}


static int
is_allowed(kmq_t *kmq, work_t *work, const kmq_slot_t *slot)
{
    const kmq_topic_t   *topic;
    const kmq_settle_t  *settle = work->settle;

    if (settle->allow == NULL) {
        return 1;
    }

    if (work->asked != slot->topic) {
        topic = KMQ_AT(kmq->shard, slot->topic);
        work->asked = slot->topic;
        work->allowed = settle->allow(settle->arg,
                                      kmq_topic_name(kmq->shard, topic),
                                      topic->name_len);
    }

    return work->allowed;
}


/* The result for a code; OPEN: its message is not in the shard. */
static int
settle_code(kmq_t *kmq, work_t *work, const char *code)
{
    kmq_slot_t  *slot;

    KMQ_STEP();

    slot = kmq_code_find(kmq->shard, code);

    if (slot == NULL) {
        return OPEN;
    }

    if (!is_allowed(kmq, work, slot)) {
        return KMQ_SETTLE_DENIED;
    }

    return slot->state == KMQ_IN_FLIGHT ? settle_delivery(kmq, work, slot)
                                        : settle_late(kmq, work, slot);
}


/* All that is known ends with the lock. */
static void
lock_end(kmq_t *kmq, work_t *work)
{
    client_end(kmq, work);
    work->asked = 0;
}


/* Settles those of the codes from the i-th on whose messages are in the shard.
 * The lock is let go now and then. */
static void
settle_shard(kmq_t *kmq, work_t *work, unsigned i)
{
    int            result;
    unsigned       n;
    kmq_settle_t   settle;

    settle = *work->settle;
    work->topic = 0;

    for (n = 0; i < settle.n; i++) {

        if (settle.result[i] != OPEN) {
            continue;
        }

        if (n++ == KMQ_CODES_SLICE) {
            n = 1;
            lock_end(kmq, work);
            kmq_lock_pause(kmq);
        }

        result = settle_code(kmq, work, settle.codes + i * KMQ_CODE_LEN);
        settle.result[i] = (uint8_t) result;
        work->done += result == KMQ_SETTLE_DONE;
    }

    lock_end(kmq, work);
}


/* Settles all whose messages are where that of the i-th code is; 0: it is
 * nowhere. */
static int
settle_where(kmq_t *kmq, work_t *work, unsigned i)
{
    int           found;
    unsigned      k, n;
    kmq_block_t  *b = kmq->block;

    found = 0;

    for (k = 0; k < b->nshards && !found; k++) {
        n = (kmq->settled + k) % b->nshards;

        kmq_lock(kmq, KMQ_SHARD(b, n));

        found = kmq_code_find(kmq->shard, work->settle->codes
                                          + i * KMQ_CODE_LEN) != NULL;

        if (found) {
            settle_shard(kmq, work, i);
        }

        kmq_unlock(kmq);

        if (found) {
            kmq->settled = n;
        }
    }

    return found;
}


static unsigned
settle_all(kmq_t *kmq, const kmq_settle_t *settle, what_e what, int64_t delay)
{
    work_t     work;
    unsigned   i;
    uint64_t   sequence;

    memset(&work, 0, sizeof(work));
    work.settle = settle;
    work.what = what;
    work.delay = delay;

    memset(settle->result, OPEN, settle->n);

    for (i = 0; i < settle->n; i++) {

        if (settle->result[i] != OPEN) {
            continue;
        }

        if (kmq_code_sequence(kmq->shard, settle->codes + i * KMQ_CODE_LEN,
                              &sequence) != KMQ_OK
            || !settle_where(kmq, &work, i))
        {
            settle->result[i] = KMQ_SETTLE_NOT;
        }
    }

    return work.done;
}


unsigned
kmq_settle_confirm(kmq_t *kmq, const kmq_settle_t *settle)
{
    return settle_all(kmq, settle, CONFIRM, 0);
}


unsigned
kmq_settle_extend(kmq_t *kmq, const kmq_settle_t *settle)
{
    return settle_all(kmq, settle, EXTEND, 0);
}


unsigned
kmq_settle_return(kmq_t *kmq, const kmq_settle_t *settle, int64_t delay)
{
    return settle_all(kmq, settle, RETURN, delay);
}
