/*
 * Batches: each goes to the transports of the consumers that it is for.  A
 * transport gets all of its runs at once, so that they can share bytes.
 */

#include "ngx_kapokmq_deliver_inside.h"
#include "../worker/ngx_kapokmq_worker.h"


/* Bytes composed in one event, and bytes sent, which are more where many get
 * the same; both are stretched by one batch at most. */
#define NGX_KAPOKMQ_DELIVER_BYTES    (1024 * 1024)
#define NGX_KAPOKMQ_DELIVER_SENT     (8 * 1024 * 1024)

/* Batches in one event. */
#define NGX_KAPOKMQ_DELIVER_BATCHES  4


static size_t ngx_kapokmq_deliver_batch(kmq_batch_t *batch, size_t *sent);
static void ngx_kapokmq_deliver_positions(const kmq_batch_t *batch);
static ngx_uint_t ngx_kapokmq_deliver_group(kmq_run_t *run, ngx_uint_t n);


/* The batch that is being pushed. */
static kmq_batch_t  ngx_kapokmq_batch;


void
ngx_kapokmq_deliver(ngx_event_t *ev)
{
    size_t      left, size, sent;
    ngx_uint_t  n, more;

    if (ngx_kapokmq_worker.kmq == NULL) {
        return;
    }

    ngx_kapokmq_clock();

    left = NGX_KAPOKMQ_DELIVER_BYTES;
    sent = 0;
    more = 1;

    for (n = 0; n < NGX_KAPOKMQ_DELIVER_BATCHES; n++) {

        if (left == 0 || sent >= NGX_KAPOKMQ_DELIVER_SENT) {
            break;
        }

        ngx_kapokmq_batch.bytes_max = left;

        if (kmq_take(ngx_kapokmq_worker.kmq, &ngx_kapokmq_batch) == 0) {
            more = 0;
            break;
        }

        size = ngx_kapokmq_deliver_batch(&ngx_kapokmq_batch, &sent);
        left -= ngx_min(left, size);
    }

    more |= ngx_kapokmq_client_close();
    more |= ngx_kapokmq_consumer_turns();

    /* others have their turn before the next batches; and until the engine has
     * said that there are none, nobody else wakes this worker */

    if (more || kmq_has_work(ngx_kapokmq_worker.kmq)) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }

    ngx_kapokmq_signal();
}


static size_t
ngx_kapokmq_deliver_batch(kmq_batch_t *batch, size_t *sent)
{
    size_t                   size;
    kmq_run_t               *run, *last;
    ngx_uint_t               n;
    ngx_kapokmq_consumer_t  *c;

    if (!batch->again) {
        ngx_kapokmq_deliver_positions(batch);
    }

    size = 0;
    last = batch->runs + batch->nruns;

    for (run = batch->runs; run < last; run += n) {
        c = run->user;
        n = ngx_kapokmq_deliver_group(run, last - run);
        size += c->transport->push(batch, run, n, sent);
    }

    return size;
}


static void
ngx_kapokmq_deliver_positions(const kmq_batch_t *batch)
{
    ngx_uint_t               i;
    const kmq_run_t         *run;
    ngx_kapokmq_consumer_t  *c;

    for (i = 0; i < batch->nruns; i++) {
        run = &batch->runs[i];
        c = run->user;
        c->position = batch->messages[run->first + run->count - 1].position;
    }
}


/* Moves the runs that go the same way as the first to the front, and returns
 * how many they are. */
static ngx_uint_t
ngx_kapokmq_deliver_group(kmq_run_t *run, ngx_uint_t n)
{
    kmq_run_t                       other;
    ngx_uint_t                      i, group;
    const ngx_kapokmq_transport_t  *transport;

    transport = ((ngx_kapokmq_consumer_t *) run->user)->transport;
    group = 1;

    for (i = 1; i < n; i++) {

        if (((ngx_kapokmq_consumer_t *) run[i].user)->transport != transport) {
            continue;
        }

        if (i != group) {
            other = run[group];
            run[group] = run[i];
            run[i] = other;
        }

        group++;
    }

    return group;
}
