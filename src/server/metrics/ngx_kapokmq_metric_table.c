/* The metrics: what each is called, what it means, and where its value is. */

#include "ngx_kapokmq_metrics_inside.h"


#define ngx_kapokmq_value(member)                                             \
    offsetof(ngx_kapokmq_metrics_t, member),                                   \
    sizeof(((ngx_kapokmq_metrics_t *) NULL)->member)

#define ngx_kapokmq_topic_value(member)                                       \
    offsetof(kmq_topic_info_t, member),                                       \
    sizeof(((kmq_topic_info_t *) NULL)->member)


const ngx_kapokmq_family_t
    ngx_kapokmq_families[NGX_KAPOKMQ_FAMILIES] = {

    { "messages_published", NULL, "Messages accepted from producers.",
      NGX_KAPOKMQ_COUNTER, ngx_kapokmq_value(counts.totals.published) },

    { "messages_delivered", NULL, "Pushes to consumers.",
      NGX_KAPOKMQ_COUNTER, ngx_kapokmq_value(counts.totals.delivered) },

    { "messages_redelivered", NULL,
      "Pushes that were not the message's first.",
      NGX_KAPOKMQ_COUNTER, ngx_kapokmq_value(counts.totals.redelivered) },

    { "messages_confirmed", NULL, "Messages confirmed by consumers.",
      NGX_KAPOKMQ_COUNTER, ngx_kapokmq_value(counts.totals.confirmed) },

    { "messages_died", NULL,
      "Messages that became dead after maxDeliveries failures.",
      NGX_KAPOKMQ_COUNTER, ngx_kapokmq_value(counts.totals.died) },

    { "messages_expired", NULL, "Messages deleted for their age.",
      NGX_KAPOKMQ_COUNTER, ngx_kapokmq_value(counts.totals.expired) },

    { "messages_refused", NULL, "Messages refused for good.",
      NGX_KAPOKMQ_COUNTER, ngx_kapokmq_value(counts.totals.refused) },

    { "messages_deleted", NULL, "Messages deleted by an operator.",
      NGX_KAPOKMQ_COUNTER, ngx_kapokmq_value(counts.totals.deleted) },

    { "messages_requeued", NULL,
      "Messages that an operator had wait again.",
      NGX_KAPOKMQ_COUNTER, ngx_kapokmq_value(counts.totals.requeued) },

    { "history_dropped", NULL,
      "Consumed messages given up for the memory that they held.",
      NGX_KAPOKMQ_COUNTER, ngx_kapokmq_value(counts.totals.dropped) },

    { "messages_waiting", NULL, "Messages that wait for a consumer.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(counts.ready) },

    { "messages_waiting_max", NULL,
      "Messages that may wait before producers have to (messageChanBuffer).",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(waiting_max) },

    { "messages_in_flight", NULL, "Messages pushed and not yet confirmed.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(counts.in_flight) },

    { "messages_retrying", NULL,
      "Messages that failed and wait for their next try.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(counts.retrying) },

    { "messages_delayed", NULL, "Messages whose time has not yet come.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(counts.delayed) },

    { "messages_consumed", NULL, "Consumed messages kept as history.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(counts.consumed) },

    { "messages_dead", NULL, "Dead messages.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(counts.dead) },

    { "oldest_waiting_age_seconds", "seconds",
      "For how long the oldest waiting message could have been pushed.",
      NGX_KAPOKMQ_AGE, ngx_kapokmq_value(oldest) },

    { "oldest_in_flight_age_seconds", "seconds",
      "For how long a consumer has had its oldest unconfirmed message.",
      NGX_KAPOKMQ_AGE, ngx_kapokmq_value(oldest_in_flight) },

    { "topics", NULL, "Topics.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(counts.topics) },

    { "topics_summed", NULL,
      "Topics without series of their own, summed up as one without a name.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(summed) },

    { "producers", NULL, "Producers that are connected.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(counts.producers) },

    { "consumers", NULL, "Consumers that are connected.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(counts.consumers) },

    { "consumers_websocket", NULL, "Of these, those with a WebSocket.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(by[NGX_KAPOKMQ_BY_WEBSOCKET]) },

    { "consumers_events", NULL, "Of these, streams of events.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(by[NGX_KAPOKMQ_BY_EVENTS]) },

    { "consumers_pull", NULL, "Of these, pulls that wait.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(by[NGX_KAPOKMQ_BY_PULL]) },

    { "consumers_parked", NULL,
      "Streams of events that have ended and may come back.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(counts.parked) },

    { "leases", NULL, "Answers to pulls whose messages are leased.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(counts.leases) },

    { "consumers_resting", NULL,
      "Of these, those that let a message become overdue.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(counts.resting) },

    { "workers", NULL, "Worker processes that use the queue.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(workers) },

    { "workers_retiring", NULL, "Of these, those about to end.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(retiring) },

    { "zone_size_bytes", "bytes", "Memory for messages.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(counts.bytes_total) },

    { "zone_free_bytes", "bytes", "Of it, what is in no use.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(counts.bytes_free) },

    { "zone_history_bytes", "bytes",
      "Of it, about what the history holds and gives back when needed.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(counts.bytes_history) },

    { "persistence_mode", NULL,
      "isPersistent: 0 none, 1 later, 2 before the answer.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(persistence) },

    { "disk_failing", NULL, "1 while a worker cannot write its journal.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(failing) },

    { "journal_bytes", "bytes", "Journals written since the last checkpoint.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(counts.journal_bytes) },

    { "checkpoint_bytes", "bytes", "The last checkpoint.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(counts.checkpoint_bytes) },

    { "last_flush_timestamp_seconds", "seconds",
      "When a journal was last flushed.",
      NGX_KAPOKMQ_TIME, ngx_kapokmq_value(counts.flush_time) },

    { "last_checkpoint_timestamp_seconds", "seconds",
      "When the last checkpoint was complete.",
      NGX_KAPOKMQ_TIME, ngx_kapokmq_value(counts.checkpoint_time) },

    { "start_timestamp_seconds", "seconds",
      "Since when the queue has been in memory.",
      NGX_KAPOKMQ_TIME, ngx_kapokmq_value(counts.start_time) },

    { "repairs", NULL,
      "Times that the queue was rebuilt after a worker had died inside.",
      NGX_KAPOKMQ_COUNTER, ngx_kapokmq_value(counts.repairs) },

    { "shards", NULL, "Parts of the zone, each with a lock of its own.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_value(counts.shards) },

    { "lock_waits", NULL,
      "Times that a worker had to wait for a lock that another one held.",
      NGX_KAPOKMQ_COUNTER, ngx_kapokmq_value(counts.lock_waits) }
};


const ngx_kapokmq_family_t
    ngx_kapokmq_topic_families[NGX_KAPOKMQ_TOPIC_FAMILIES] = {

    { "topic_messages_published", NULL, "Messages accepted.",
      NGX_KAPOKMQ_COUNTER, ngx_kapokmq_topic_value(totals.published) },

    { "topic_messages_delivered", NULL, "Pushes to consumers.",
      NGX_KAPOKMQ_COUNTER, ngx_kapokmq_topic_value(totals.delivered) },

    { "topic_messages_redelivered", NULL,
      "Pushes that were not the message's first.",
      NGX_KAPOKMQ_COUNTER, ngx_kapokmq_topic_value(totals.redelivered) },

    { "topic_messages_confirmed", NULL, "Messages confirmed by consumers.",
      NGX_KAPOKMQ_COUNTER, ngx_kapokmq_topic_value(totals.confirmed) },

    { "topic_messages_died", NULL,
      "Messages that became dead after maxDeliveries failures.",
      NGX_KAPOKMQ_COUNTER, ngx_kapokmq_topic_value(totals.died) },

    { "topic_messages_expired", NULL, "Messages deleted for their age.",
      NGX_KAPOKMQ_COUNTER, ngx_kapokmq_topic_value(totals.expired) },

    { "topic_messages_refused", NULL, "Messages refused for good.",
      NGX_KAPOKMQ_COUNTER, ngx_kapokmq_topic_value(totals.refused) },

    { "topic_messages_waiting", NULL, "Messages that wait for a consumer.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_topic_value(ready) },

    { "topic_messages_in_flight", NULL,
      "Messages pushed and not yet confirmed.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_topic_value(in_flight) },

    { "topic_messages_retrying", NULL,
      "Messages that failed and wait for their next try.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_topic_value(retrying) },

    { "topic_messages_delayed", NULL, "Messages whose time has not yet come.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_topic_value(delayed) },

    { "topic_messages_consumed", NULL, "Consumed messages kept as history.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_topic_value(consumed) },

    { "topic_messages_dead", NULL, "Dead messages.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_topic_value(dead) },

    /* of a topic that has been read, an age */
    { "topic_oldest_waiting_age_seconds", "seconds",
      "For how long the oldest waiting message could have been pushed.",
      NGX_KAPOKMQ_AGE, ngx_kapokmq_topic_value(oldest) },

    { "topic_producers", NULL, "Producers that are connected.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_topic_value(producers) },

    { "topic_consumers", NULL, "Consumers that are connected.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_topic_value(consumers) },

    { "topic_consumers_resting", NULL,
      "Of these, those that let a message become overdue.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_topic_value(resting) },

    { "topic_paused", NULL, "1: an operator has paused its delivery.",
      NGX_KAPOKMQ_GAUGE, ngx_kapokmq_topic_value(paused) }
};


const ngx_kapokmq_totals_t  ngx_kapokmq_totals = {
    offsetof(ngx_kapokmq_metrics_t, counts.totals),
    ngx_kapokmq_value(counts.before)
};

const ngx_kapokmq_totals_t  ngx_kapokmq_topic_totals = {
    offsetof(kmq_topic_info_t, totals),
    ngx_kapokmq_topic_value(before)
};
