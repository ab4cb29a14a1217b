/* What the files of delivery have for each other alone. */

#ifndef KMQ_DELIVERY_INSIDE_H
#define KMQ_DELIVERY_INSIDE_H

#include "kmq_delivery.h"


/* ---------------------------------------------------------------- reserve */

/* Reserves messages of a topic of kmq_t.shard, from the first on.  Returns how
 * many; *why as in kmq_reserve(). */
unsigned kmq_reserve_named(kmq_t *kmq, const char *name, size_t len,
    kmq_message_t *m, unsigned n, int *why) KMQ_LOCKED_GAPS;


/* ----------------------------------------------------------------- accept */

/* How many of these messages, from the first on, are in the same shard.  Needs
 * no lock while they are reserved by this handle. */
unsigned kmq_same_shard(const kmq_message_t *m, unsigned n);

/*
 * Put messages that this handle has reserved into its journal.  First all are
 * written, of whatever shards, without a lock, from *first on: KMQ_OK or
 * KMQ_NOMEM.  Then those of each shard, under its lock, get their numbers and
 * are counted, and *first becomes where the next ones are.
 */
int kmq_accept_write(kmq_t *kmq, const kmq_message_t *m, unsigned n,
    size_t *first);
void kmq_accept_stamp(kmq_t *kmq, const kmq_message_t *m, unsigned n,
    size_t *first) KMQ_LOCKED;


/* ------------------------------------------------------------------- take */

/* Take what a route's consumers get.  one: point to point, up to bytes_max.
 * all: publish/subscribe; 0: no other route should be looked at under this
 * lock. */
void kmq_take_one(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route,
    size_t bytes_max, kmq_draws_t *draws) KMQ_LOCKED_GAPS;
int kmq_take_all(kmq_t *kmq, kmq_topic_t *topic, kmq_route_t *route,
    kmq_batch_t *batch) KMQ_LOCKED;


/* ---------------------------------------------------------------- confirm */

/* What is said of a consumer's delivery, which kmq_deliveries_find() has found:
 * consumed; still worked on; given back, and 1: it has ended. */
void kmq_confirm_entry(kmq_t *kmq, kmq_client_t *client, kmq_ring_t *ring,
    kmq_delivery_t *entry) KMQ_LOCKED;
void kmq_extend_entry(kmq_t *kmq, kmq_client_t *client,
    kmq_delivery_t *entry) KMQ_LOCKED;
unsigned kmq_return_entry(kmq_t *kmq, kmq_client_t *client, kmq_ring_t *ring,
    kmq_delivery_t *entry, int64_t delay) KMQ_LOCKED;

/* n were confirmed; some were given back, of which so many have ended.  There
 * may be room for more. */
void kmq_confirm_end(kmq_t *kmq, kmq_client_t *client, unsigned n)
    KMQ_LOCKED;
void kmq_return_end(kmq_t *kmq, kmq_client_t *client, unsigned gone,
    int64_t delay) KMQ_LOCKED;

/* Finding one takes a while where many are in flight: so many codes under one
 * lock. */
#define KMQ_CODES_SLICE  16


/* ------------------------------------------------------------- deliveries */

/* Puts a message in flight with client: KMQ_OK or KMQ_NOMEM. */
int kmq_deliveries_append(kmq_shard_t *s, kmq_client_t *client,
    kmq_slot_t *slot, uint32_t time) KMQ_LOCKED;

/* n deliveries were appended, from that message on: if that is the oldest, its
 * clock runs.  A suspect is the only one. */
static inline void
kmq_deliveries_begin(kmq_client_t *client, const kmq_slot_t *slot,
    uint32_t n)
{
    if (client->in_flight == n) {
        client->started = slot->position;
    }

    if (slot->flags & KMQ_SUSPECT) {
        client->suspects++;
    }
}

/* When the clock of a delivery in that part began; or when it is to be pushed
 * again. */
static inline uint32_t
kmq_deliveries_time(const kmq_ring_t *ring, const kmq_delivery_t *entry)
{
    return ring->passed && !entry->again
           && (int32_t) (ring->time - entry->time) > 0
           ? ring->time : entry->time;
}

/* Finds the delivery of a message to client, and its part of the chain.  NULL:
 * it is not in flight with it. */
kmq_delivery_t *kmq_deliveries_find(kmq_shard_t *s, kmq_client_t *client,
    const kmq_slot_t *slot, kmq_ring_t **part) KMQ_LOCKED;

/* Makes the chain begin with a delivery that has not ended. */
void kmq_deliveries_trim(kmq_shard_t *s, kmq_client_t *client) KMQ_LOCKED;

/* Starts the clocks of deliveries: of the oldest, where that is another one
 * now; of those in front of one that is about to be confirmed. */
void kmq_deliveries_start(kmq_t *kmq, kmq_client_t *client) KMQ_LOCKED;
void kmq_deliveries_pass(kmq_t *kmq, kmq_client_t *client, kmq_ring_t *ring,
    const kmq_delivery_t *entry) KMQ_LOCKED;

/* Publish/subscribe: a delivery has failed, for a reason; it is to be pushed to
 * the same consumer again in delay ms; KMQ_BACK_OFF: as long as its failures
 * say.  Returns how long, in ms. */
uint64_t kmq_deliveries_fail(kmq_t *kmq, const kmq_topic_t *topic,
    kmq_delivery_t *entry, unsigned reason, int64_t delay) KMQ_LOCKED;

#endif /* KMQ_DELIVERY_INSIDE_H */
