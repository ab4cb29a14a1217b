/*
 * Delivery: messages are published, taken for consumers, confirmed, or pushed
 * again.
 */

#ifndef KMQ_DELIVERY_H
#define KMQ_DELIVERY_H

#include "../queue/kmq_queue.h"


/* One message in flight with one consumer. */
typedef struct {
    kmq_ref_t    slot;           /* 0: confirmed.  Truth */
    uint32_t     position;
    uint32_t     time;           /* ms, mono: when its clock began, where it
                                    runs; or when it is to be pushed again */
    uint16_t     failures;       /* publish/subscribe: with this consumer */
    uint16_t     again;          /* it is to be pushed to it again */
} kmq_delivery_t;

#define KMQ_RING_COUNT                                                       \
    ((KMQ_RING_SIZE - KMQ_RING_HEAD) / sizeof(kmq_delivery_t))

/* A consumer's deliveries, oldest first, in a chain of these. */
typedef struct {
    kmq_ref_t       next;        /* Truth */
    kmq_ref_t       prev;
    uint16_t        first;       /* entries before it are done */
    uint16_t        count;       /* entries that were ever used.  Truth */
    uint16_t        open;        /* entries that are not confirmed */
    uint16_t        passed;      /* all clocks of the part began at time, if */
    uint32_t        time;        /* not later; see kmq_deliveries_time() */
    kmq_delivery_t  entry[KMQ_RING_COUNT];
} kmq_ring_t;

_Static_assert(sizeof(kmq_ring_t) <= KMQ_RING_SIZE, "a part of a ring");

_Static_assert(offsetof(kmq_ring_t, entry) == KMQ_RING_HEAD,
               "memory clears what is before");

/* Point to point: messages of kmq_t.shard that were drawn, each with the number
 * of the handle's client that it goes to. */
typedef struct {
    unsigned     n;
    size_t       bytes;
    kmq_ref_t    slot[KMQ_BATCH_MESSAGES];
    uint32_t     client[KMQ_BATCH_MESSAGES];
} kmq_draws_t;


/* ---------------------------------------------------------------- publish */

/* Commits a message that its worker has reserved, and died.  No journal has
 * it, if its worker's has not. */
void kmq_reserved_commit(kmq_t *kmq, kmq_slot_t *slot) KMQ_LOCKED;


/* ------------------------------------------------------------------- take */

/* Takes the next batch for this worker's consumers in the shard.
 * Publish/subscribe: batch has it; point to point: draws has it, from which
 * kmq_take_sort() makes the batch.  That needs no lock, as long as kmq_t.shard
 * is the same. */
void kmq_take_batch(kmq_t *kmq, kmq_batch_t *batch, kmq_draws_t *draws)
    KMQ_LOCKED_GAPS;
void kmq_take_sort(kmq_t *kmq, const kmq_draws_t *draws, kmq_batch_t *batch);


/* ------------------------------------------------------------- deliveries */

/* All clocks of a client begin now. */
void kmq_deliveries_begin_all(kmq_t *kmq, kmq_client_t *client) KMQ_LOCKED;

/* The position of a message in flight with client.  KMQ_GONE: it is not. */
int kmq_deliveries_position(kmq_shard_t *s, kmq_client_t *client,
    const kmq_slot_t *slot, uint32_t *position) KMQ_LOCKED;

/* Takes a part out of the chain; not the last one. */
void kmq_deliveries_unlink(kmq_shard_t *s, kmq_client_t *client,
    kmq_ring_t *ring) KMQ_LOCKED;

/* Tidies a chain after a repair has counted what is open in each part. */
void kmq_deliveries_settle(kmq_shard_t *s, kmq_client_t *client) KMQ_LOCKED;

/* How many of a client's deliveries are of suspects? */
uint32_t kmq_deliveries_suspects(kmq_shard_t *s, const kmq_client_t *client)
    KMQ_LOCKED;

/* For how many ms, at least 1, the client's oldest delivery has been that; 0:
 * it has none. */
uint64_t kmq_deliveries_oldest(kmq_shard_t *s, const kmq_client_t *client,
    uint64_t mono) KMQ_LOCKED;

/* Ends a delivery in that part, whose slot has been set to 0.
 * 1: nothing is open in the part any more, which may be gone. */
static inline int kmq_deliveries_end(kmq_shard_t *s, kmq_client_t *client,
    kmq_ring_t *ring) KMQ_LOCKED;

static inline int
kmq_deliveries_end(kmq_shard_t *s, kmq_client_t *client, kmq_ring_t *ring)
{
    client->in_flight--;

    if (--ring->open) {
        return 0;
    }

    if (ring->next) {
        kmq_deliveries_unlink(s, client, ring);
    }

    return 1;
}


/* ------------------------------------------------------------------ retry */

/* Are there consumers of this worker to look at in the shard? */
int kmq_retry_wanted(const kmq_t *kmq) KMQ_LOCKED;

/* Looks at them, up to the first that has to be pushed something again; batch
 * has it then. */
void kmq_retry_run(kmq_t *kmq, kmq_batch_t *batch) KMQ_LOCKED;

/* Ends the leases whose time has come of a client that is apart: at most *n
 * steps, which counts down.  1: there is more to do.  0: its timer is armed for
 * the next one, if it still has something. */
int kmq_retry_leases(kmq_t *kmq, kmq_client_t *client, unsigned *n)
    KMQ_LOCKED;

/* How far a client that was parked has received what it was pushed. */
typedef struct {
    uint32_t     position;
    uint64_t     sequence;       /* in that order, where it is not 0 */
} kmq_received_t;

/* What it has not received is taken from it, or is to be pushed to it again; of
 * the rest the clocks begin anew.  As above. */
int kmq_retry_resume(kmq_t *kmq, kmq_client_t *client,
    const kmq_received_t *received, unsigned *n) KMQ_LOCKED;

/* Ends the deliveries of a consumer, of any worker, that far too many messages
 * have overtaken: at most *n, which counts down. */
void kmq_retry_outrun(kmq_t *kmq, kmq_client_t *client, unsigned *n)
    KMQ_LOCKED;

#endif /* KMQ_DELIVERY_H */
