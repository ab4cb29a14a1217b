/*
 * The clocks go on.
 */

#include "client.h"
#include "clock.h"
#include "handle.h"
#include "take.h"


/* When something will happen, of some kind: 0, or its time. */
static uint64_t
some_deadline(void)
{
    client_t    *c;
    delivery_t  *d;

    if (one_in(4)) {
        return M.delayed.count ? M.message[M.delayed.head].due : 0;
    }

    if (one_in(3)) {
        return M.retrying.count
               ? M.message[one_in(2) ? M.retrying.head : M.retrying.tail].next
               : 0;
    }

    c = some_consumer();

    if (c == NULL || c->n == 0) {
        return 0;
    }

    if (one_in(3)) {
        return c->alone ? c->alone_until : c->paused ? c->paused_until
               : c->resting && c->by_code ? c->rest_until : 0;
    }

    d = &c->flight[one_in(2) ? 0 : below(c->n)];

    if (d->again) {
        return d->time;
    }

    return M.topic[c->topic].now.retry_time
           ? d->time + M.topic[c->topic].now.retry_time : 0;
}


/* Time jumps, mostly to where something is about to happen. */
static void
clock_jump(void)
{
    uint64_t  to;

    if (one_in(40)) {
        M.mono += 1000 * below(one_in(4) ? 1200 : 20);
        return;
    }

    if (!(M.options & JOURNALED) && one_in(20)) {

        /* somebody sets the wall clock */

        M.offset = 2000 * below(200);
        return;
    }

    to = some_deadline() + below(3) - 1;

    if (to > M.mono && to < M.mono + 40000) {
        M.mono = to;
    }
}


void
op_clock(void)
{
    unsigned  h;

    M.mono += below(20);

    if (M.options & TIMED && one_in(3)) {
        clock_jump();
    }

    h = some_handle();
    clock_set(h);
}


void
op_tick(void)
{
    unsigned  h;

    h = some_handle();
    tick(h);
    clients_close(h);
}
