/*
 * Consumers that are set apart: nobody's connection has them, and what is in
 * flight with them stays so for a while.
 *
 *   leased     A pull has been answered.  Each of its deliveries has a lease,
 *              and it goes with the last of them.
 *   parked     A stream has ended, and may come back, to any worker.  Point to
 *              point it has what it had; in publish/subscribe it also keeps its
 *              place in the log, as one whose connection takes no bytes.
 *
 * They are in no worker's lists, so a worker's end is nothing to them.  Their
 * timers lead to a list of the shard (lapsed), from which whoever has time
 * works them off, in slices.
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "../worker/kmq_worker.h"
#include "../queue/kmq_queue.h"
#include "../delivery/kmq_delivery.h"
#include "kmq_client_inside.h"


/* Consumers with one id that are looked at for one that is parked. */
#define LOOKS_MAX  1024


/* Has it nothing any more? */
static int
is_empty(kmq_shard_t *s, const kmq_client_t *client)
{
    return client->in_flight == 0 && !kmq_apart_owed(s, client);
}


/* It goes, or its timer is armed. */
static void
apart_wait(kmq_t *kmq, kmq_client_t *client, uint64_t ms)
{
    if (is_empty(kmq->shard, client)) {
        kmq_leave_begin(kmq, client, 0);
        (void) kmq_leave_run(kmq, 1);

    } else {
        kmq_look_in(kmq, client, ms);
    }
}


/* A consumer of this worker is apart from now on, for so many ms. */
static void
apart_begin(kmq_t *kmq, kmq_client_t *client, unsigned how, uint64_t ms)
{
    kmq_shard_t  *s = kmq->shard;
    kmq_route_t  *route = KMQ_AT(s, client->route);
    kmq_topic_t  *topic = KMQ_AT(s, client->topic);

    ms = ms < KMQ_LEASE_MAX ? ms : KMQ_LEASE_MAX;

    kmq_disconnect_cancel(s, client);
    kmq_leave_stop(kmq, client);
    kmq_join_unlink(s, client);

    if (how == KMQ_LEASED) {
        kmq_deliveries_begin_all(kmq, client);
    }

    /* no confirmation begins a clock */

    client->started = topic->position;
    client->look = 0;
    client->charge = 1;
    client->apart = how;
    client->lease = (uint32_t) ms;
    client->since = (uint32_t) kmq->mono;

    kmq_hold_fewer(kmq, topic);

    KMQ_SET(client->role, KMQ_APART);
    KMQ_POINT("apart");

    kmq_join_link(s, client);
    kmq_own_client_remove(kmq, client);
    kmq_route_release(kmq, route);
    kmq_push_type_settle(kmq, topic);

    apart_wait(kmq, client, ms);
}


/* ------------------------------------------------------------------ leased */

uint64_t
kmq_lease(kmq_t *kmq, kmq_ref_t ref, uint64_t ms)
{
    uint64_t       number;
    kmq_client_t  *client = KMQ_AT(kmq->block, ref);

    number = 0;

    kmq_lock_at(kmq, ref);

    if (client->push_type == KMQ_PUSH_ONE) {
        number = client->number;
        apart_begin(kmq, client, KMQ_LEASED, ms);
    }

    kmq_unlock(kmq);

    return number;
}


void
kmq_lease_cancel(kmq_t *kmq, kmq_ref_t ref, uint64_t number)
{
    kmq_client_t  *client;

    kmq_lock_at(kmq, ref);

    client = kmq_table_at(kmq->shard, KMQ_CLASS_CLIENT,
                          KMQ_IN(kmq->shard, ref));

    if (client && client->role == KMQ_APART && client->apart == KMQ_LEASED
        && client->number == number)
    {
        kmq_leave_begin(kmq, client, 0);
        (void) kmq_leave_run(kmq, KMQ_SLICE);
    }

    kmq_unlock(kmq);
}


/* ------------------------------------------------------------------ parked */

void
kmq_park(kmq_t *kmq, kmq_ref_t ref, uint64_t ms, int failed)
{
    kmq_client_t  *client = KMQ_AT(kmq->block, ref);

    kmq_lock_at(kmq, ref);

    client->failed = failed != 0;
    apart_begin(kmq, client, KMQ_PARKED, ms);

    kmq_unlock(kmq);
}


/* The last message that who comes back has received, if it says so. */
typedef struct {
    int           known;
    uint64_t      sequence;
    kmq_slot_t   *slot;          /* NULL: it is not there any more */
} last_t;


static void
last_read(kmq_shard_t *s, const char *code, last_t *last)
{
    memset(last, 0, sizeof(last_t));

    if (code && kmq_code_sequence(s, code, &last->sequence) == KMQ_OK) {
        last->known = 1;
        last->slot = kmq_code_find(s, code);
    }
}


/* Where that message is among those that a client has, or has confirmed last:
 * KMQ_OK; KMQ_GONE: it is none of them. */
static int
last_position(kmq_shard_t *s, kmq_client_t *client, const last_t *last,
    uint32_t *position)
{
    if (last->slot
        && kmq_deliveries_position(s, client, last->slot, position) == KMQ_OK)
    {
        return KMQ_OK;
    }

    if (last->known && client->newest_sequence
        && client->newest_sequence == (uint32_t) last->sequence)
    {
        *position = client->newest_position;
        return KMQ_OK;
    }

    return KMQ_GONE;
}


static int
is_parked(kmq_shard_t *s, const kmq_client_t *client)
{
    return client->role == KMQ_APART && client->closing == KMQ_TOLD
           && kmq_ready_matches(s, client);
}


/* The one of that topic and id that had the last message, since others of that
 * id have received what is theirs; else the one that was parked first.  NULL:
 * there is none. */
static kmq_client_t *
parked_find(kmq_t *kmq, const kmq_topic_t *topic,
    const kmq_client_info_t *info, const last_t *last)
{
    int            had, best;
    unsigned       left;
    uint32_t       position;
    kmq_ref_t      ref;
    kmq_shard_t   *s = kmq->shard;
    kmq_client_t  *client, *first;

    best = 0;
    first = NULL;
    client = NULL;
    left = LOOKS_MAX;
    ref = KMQ_REF(s, topic);

    while ((client = kmq_id_next(s, ref, info->id, info->id_len, client,
                                 &left)))
    {
        if (!is_parked(s, client)) {
            continue;
        }

        had = last_position(s, client, last, &position) == KMQ_OK;

        if (first == NULL || had > best
            || (had == best && kmq_age(kmq, client->since)
                               > kmq_age(kmq, first->since)))
        {
            first = client;
            best = had;
        }
    }

    return first;
}


/* How far has it received what it was pushed? */
static kmq_received_t
received_upto(kmq_shard_t *s, kmq_client_t *client, const last_t *last)
{
    kmq_received_t  received;

    memset(&received, 0, sizeof(received));
    received.position = client->started - INT32_MAX;

    if (last_position(s, client, last, &received.position) != KMQ_OK) {
        received.sequence = last->known ? last->sequence : 0;
    }

    return received;
}


/* Takes over what is new of a client that has come back. */
static void
info_take(kmq_t *kmq, kmq_client_t *client, const kmq_client_info_t *info)
{
    client->mode = info->mode;
    client->by_code = info->by_code != 0;
    client->prefetch = info->prefetch;
    client->limit = info->prefetch;
    client->join_time = kmq->wall;
    client->addr_len = info->addr_len;
    client->user_len = info->user_len;
    memcpy(client->addr, info->addr, info->addr_len);
    memcpy(client->user, info->user, info->user_len);

    client->closing = 0;
    client->failed = 0;
    client->charge = 0;
    KMQ_PUT(client->silent, 0);
    KMQ_PUT(client->last_seen, (uint32_t) (kmq->wall / 1000));
}


/* It is this worker's now: KMQ_OK or KMQ_NOMEM. */
static int
take_over(kmq_t *kmq, kmq_client_t *client, const kmq_client_info_t *info,
    void *user)
{
    kmq_shard_t  *s = kmq->shard;

    client->worker = kmq->worker;

    if (kmq_own_client_add(kmq, client, user) != KMQ_OK) {
        return KMQ_NOMEM;
    }

    if (kmq_join_route(kmq, KMQ_AT(s, client->topic), client) != KMQ_OK) {
        kmq_own_client_remove(kmq, client);
        return KMQ_NOMEM;
    }

    kmq_look_cancel(s, client);
    kmq_join_unlink(s, client);
    info_take(kmq, client, info);

    KMQ_SET(client->role, KMQ_CONSUMER);
    KMQ_POINT("resume");

    kmq_join_link(s, client);

    if (client->in_flight) {
        kmq_look_now(kmq, client);
    }

    return KMQ_OK;
}


/* Lets others have the lock.  Is the client still parked, and nobody else has
 * begun to take it over? */
static int
pause_parked(kmq_t *kmq, const kmq_client_t *client, uint64_t number)
{
    kmq_lock_pause(kmq);

    return client->role == KMQ_APART && client->number == number;
}


kmq_ref_t
kmq_resume(kmq_t *kmq, const kmq_client_info_t *info, void *user,
    const char *last)
{
    int              rc;
    last_t           message;
    unsigned         n;
    uint64_t         number;
    kmq_topic_t     *topic;
    kmq_client_t    *client;
    kmq_received_t   received;

    if (!kmq_join_valid(info)) {
        return 0;
    }

    kmq_lock(kmq, kmq_topic_shard(kmq, info->topic, info->topic_len));

    last_read(kmq->shard, last, &message);

    topic = kmq_topic_get(kmq->shard, info->topic, info->topic_len);
    client = topic ? parked_find(kmq, topic, info, &message) : NULL;

    if (client == NULL) {
        kmq_unlock(kmq);
        return 0;
    }

    number = __atomic_add_fetch(&kmq->block->clients, 1, __ATOMIC_RELAXED);
    client->number = number;
    client->look = 0;
    received = received_upto(kmq->shard, client, &message);
    rc = KMQ_AGAIN;

    while (rc == KMQ_AGAIN) {
        n = KMQ_SLICE;

        if (!kmq_retry_resume(kmq, client, &received, &n)) {
            rc = take_over(kmq, client, info, user);

        } else if (!pause_parked(kmq, client, number)) {
            rc = KMQ_GONE;
        }
    }

    kmq_unlock(kmq);

    return rc == KMQ_OK ? KMQ_REF(kmq->block, client) : 0;
}


/* -------------------------------------------------------------------- time */

/* Looks at one whose time may have come: at most *n steps, which counts
 * down. */
static void
lapse(kmq_t *kmq, kmq_client_t *client, unsigned *n)
{
    uint32_t  left;

    if (client->closing != KMQ_TOLD) {
        client->closing = KMQ_TOLD;
        kmq_leave_begin(kmq, client, 0);
        return;
    }

    if (client->apart == KMQ_LEASED) {

        if (!kmq_retry_leases(kmq, client, n) && client->in_flight == 0) {
            kmq_leave_begin(kmq, client, 0);
        }

        return;
    }

    left = kmq_apart_left(kmq, client, client->since);

    if (left == 0 || is_empty(kmq->shard, client)) {
        kmq_leave_begin(kmq, client, left == 0 && client->failed);
    } else {
        kmq_look_in(kmq, client, left);
    }
}


void
kmq_lapse_run(kmq_t *kmq, unsigned n)
{
    unsigned       count;
    kmq_shard_t   *s = kmq->shard;
    kmq_client_t  *client;

    /* each once: one whose time has come by a clock that is ahead of this one
     * stays in the list */

    for (count = s->lapsed.count; n && count && s->lapsed.head; count--) {
        KMQ_STEP();
        n--;
        client = KMQ_AT(s, s->lapsed.head);

        kmq_look_cancel(s, client);
        lapse(kmq, client, &n);
    }

    if (s->lapsed.head || s->leaving.head) {
        kmq->work |= KMQ_BIT(s);
    }
}
