/* Consumers: when they are ready for more, and how far they have come. */

#include "ngx_kapokmq_chunk.h"
#include "ngx_kapokmq_deliver_inside.h"
#include "../worker/ngx_kapokmq_worker.h"


/* Those that want a turn. */
static ngx_queue_t  ngx_kapokmq_turns;


void
ngx_kapokmq_deliver_init(void)
{
    ngx_queue_init(&ngx_kapokmq_turns);
}


void
ngx_kapokmq_deliver_exit(void)
{
    ngx_kapokmq_chunk_batch_free();
}


void
ngx_kapokmq_consumer_ready(ngx_kapokmq_consumer_t *c, ngx_uint_t ready)
{
    if (c->client.ref) {
        kmq_set_ready(ngx_kapokmq_worker.kmq, c->client.ref, (int) ready);
    }
}


void
ngx_kapokmq_consumer_confirm(ngx_kapokmq_consumer_t *c, uint32_t position)
{
    ngx_uint_t  n;

    n = kmq_confirm_upto(ngx_kapokmq_worker.kmq, c->client.ref, position);

    if (n) {
        c->confirmed += n;
        ngx_kapokmq_wake_producers();
    }
}


void
ngx_kapokmq_consumer_sent(ngx_kapokmq_consumer_t *c, uint32_t position)
{
    if (c->confirm == KMQ_CONFIRM_SOCKET && c->client.ref) {
        ngx_kapokmq_consumer_confirm(c, position);
    }
}


void
ngx_kapokmq_consumer_want_later(ngx_kapokmq_consumer_t *c)
{
    if (!c->queued) {
        ngx_queue_insert_tail(&ngx_kapokmq_turns, &c->queue);
        c->queued = 1;
    }
}


void
ngx_kapokmq_consumer_want_turn(ngx_kapokmq_consumer_t *c)
{
    ngx_kapokmq_consumer_want_later(c);

    ngx_post_event(&ngx_kapokmq_worker.deliver, &ngx_posted_events);
}


/* Those that want another one wait for the next event. */
ngx_uint_t
ngx_kapokmq_consumer_turns(void)
{
    ngx_queue_t             *q, now;
    ngx_kapokmq_consumer_t  *c;

    ngx_queue_init(&now);

    if (!ngx_queue_empty(&ngx_kapokmq_turns)) {
        ngx_queue_add(&now, &ngx_kapokmq_turns);
        ngx_queue_init(&ngx_kapokmq_turns);
    }

    while (!ngx_queue_empty(&now)) {

        q = ngx_queue_head(&now);
        ngx_queue_remove(q);

        c = ngx_queue_data(q, ngx_kapokmq_consumer_t, queue);
        c->queued = 0;

        c->transport->turn(c);
    }

    return !ngx_queue_empty(&ngx_kapokmq_turns);
}


ngx_uint_t
ngx_kapokmq_consumer_retire(ngx_kapokmq_consumer_t *c)
{
    ngx_kapokmq_consumer_ready(c, 0);

    return kmq_in_flight(ngx_kapokmq_worker.kmq, c->client.ref);
}


void
ngx_kapokmq_consumer_leave(ngx_kapokmq_consumer_t *c)
{
    ngx_kapokmq_codes_drop();

    if (c->queued) {
        ngx_queue_remove(&c->queue);
        c->queued = 0;
    }
}
