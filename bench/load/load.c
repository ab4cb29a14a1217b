#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load.h"
#include "../common/tls.h"


#define LOAD_EVENTS    512
#define LOAD_ASK       (256 * 1024)    /* bytes of one recv() */
#define LOAD_PUSH_MAX  4096            /* what a push adds to its data */
#define LOAD_OPENING_AT_ONCE  128
#define LOAD_GRACE_NS  UINT64_C(100000000)


static int load_loop(load_t *l);
static int load_step(load_t *l, uint64_t now);
static int load_step_opening(load_t *l);
static void load_start(load_t *l);
static void load_step_idle(load_t *l, uint64_t now);
static void load_step_running(load_t *l, uint64_t now);
static void load_step_draining(load_t *l, uint64_t now);
static int load_spins(const load_t *l);


int
load_run(const load_protocol_t *protocol, int argc, char **argv)
{
    int      rc;
    load_t  *l;

    l = calloc(1, sizeof(load_t));

    if (l == NULL) {
        return 2;
    }

    l->protocol = protocol;

    if (load_options(&l->o, argc, argv) == -1) {
        return 2;
    }

    if ((l->o.rate != 0 && protocol->schedule == NULL)
        || (l->o.depth != 0 && protocol->pong == NULL))
    {
        fprintf(stderr, "kmq-load: --rate and --depth are not for this "
                "protocol\n");
        return 2;
    }

    if (load_spread_init(l) == -1) {
        fprintf(stderr, "kmq-load: no memory\n");
        return 2;
    }

    if (load_spread_fork(l, &rc)) {
        return rc;
    }

    if (protocol->init(l) == -1 || load_check_init(l) == -1
        || load_deep_init(l) == -1 || load_churn_init(l) == -1
        || load_search_init(l) == -1
        || net_input_init(&l->in, l->o.size + LOAD_PUSH_MAX, LOAD_ASK) == -1)
    {
        fprintf(stderr, "kmq-load: no memory\n");
        return 2;
    }

    /* streams that confirm have a connection for that, too */

    if (net_nofile((l->nclients << (l->o.events && l->o.confirm != NULL))
                   + 16) == -1)
    {
        fprintf(stderr, "kmq-load: %u connections are more than the limit of "
                "open files allows\n", l->nclients);
        return 2;
    }

    if (l->o.tls && (l->in.layer = tls_init(NULL)) == NULL) {
        fprintf(stderr, "kmq-load: no TLS\n");
        return 2;
    }

    l->epoll = epoll_create1(EPOLL_CLOEXEC);

    if (l->epoll == -1) {
        perror("kmq-load: epoll_create1");
        return 2;
    }

    l->deadline = net_now() + (uint64_t) (l->o.timeout * 1e9);
    rc = load_loop(l);

    if (rc != 0) {
        return rc;
    }

    if (l->o.idle == 0) {
        return load_report(l);
    }

    return l->o.spread > 1 ? load_spread_failed(l) : load_return_report(l);
}


static int
load_loop(load_t *l)
{
    int                  i, n, timeout;
    uint64_t             now;
    struct epoll_event   events[LOAD_EVENTS];

    for ( ;; ) {
        now = net_now();

        if (now > l->deadline) {
            load_fail(l, "not finished after %g seconds", l->o.timeout);

            if (l->phase == LOAD_OPENING) {
                return 2;
            }

            l->phase = LOAD_DONE;
        }

        if (load_step(l, now) == -1) {
            return 2;
        }

        if (l->phase == LOAD_DONE) {
            load_mark(l, &l->end);

            if (l->stop.time == 0) {
                l->stop = l->end;
            }

            return 0;
        }

        l->spin = (unsigned) load_spins(l);
        l->looked_before = l->looked;
        l->looked = now;
        timeout = l->spin ? 0 : l->meanwhile != NULL ? 1 : 5;
        n = epoll_wait(l->epoll, events, LOAD_EVENTS, timeout);

        for (i = 0; i < n; i++) {
            l->protocol->event(l, events[i].data.ptr, events[i].events);
        }
    }
}


/* An open loop must not oversleep, and what is measured in milliseconds must
 * not wait for this process to wake up. */
static int
load_spins(const load_t *l)
{
    if (l->o.delayed && !l->o.ingest) {
        return l->phase == LOAD_RUNNING || l->phase == LOAD_DRAINING;
    }

    return l->o.rate != 0 && l->phase == LOAD_RUNNING;
}


/* What is to be done at that time, apart from the sockets' events. */
static int
load_step(load_t *l, uint64_t now)
{
    switch (l->phase) {

    case LOAD_OPENING:
        return load_step_opening(l);

    case LOAD_IDLE:
        load_step_idle(l, now);
        break;

    case LOAD_GATHER:
        if (l->closed != 0) {
            return -1;
        }

        if (load_search_gathered(l)) {
            load_start(l);
        }

        break;

    case LOAD_RUNNING:
        load_step_running(l, now);
        break;

    case LOAD_DRAINING:
        load_step_draining(l, now);
        break;

    case LOAD_GRACE:
        if (now > l->progress + LOAD_GRACE_NS) {
            l->phase = LOAD_DONE;
        }

        break;

    default:
        break;
    }

    return 0;
}


/*
 * Consumers log in before the first producer sends: what is published
 * earlier would not be due to them in publish/subscribe.
 */
static int
load_step_opening(load_t *l)
{
    unsigned  last;

    if (l->closed != 0) {
        return -1;
    }

    last = l->ready < l->nconsumers ? l->nconsumers : l->nclients;

    while (l->started < last
           && l->started - l->ready < LOAD_OPENING_AT_ONCE)
    {
        if (load_open_next(l) == -1) {
            return -1;
        }
    }

    if (l->ready < l->nclients) {
        return 0;
    }

    if (l->o.idle != 0) {
        l->phase = LOAD_IDLE;
        load_spread_ready(l);
        return 0;
    }

    if (l->search != NULL) {
        l->phase = LOAD_GATHER;
        return load_search_open(l);
    }

    load_start(l);

    return 0;
}


static void
load_start(load_t *l)
{
    unsigned  i;

    l->phase = LOAD_RUNNING;
    l->measure = l->o.delayed ? 0 : UINT64_MAX;
    load_mark(l, &l->start);
    l->progress = l->start.time;
    load_search_start(l);

    for (i = l->nconsumers; i < l->nclients; i++) {
        l->protocol->fill(l, &l->clients[i]);
    }
}


static void
load_step_idle(load_t *l, uint64_t now)
{
    char           byte[64];
    struct pollfd  in;

    in.fd = STDIN_FILENO;
    in.events = POLLIN;
    load_meanwhile_step(l, now);

    if (load_spread_failed(l)
        || (load_return_over(l) && load_meanwhile_over(l, now))
        || (poll(&in, 1, 0) == 1 && read(STDIN_FILENO, byte, 64) <= 0))
    {
        l->phase = LOAD_DONE;
    }
}


/* Is the part of the run over that does not count? */
static int
load_is_warm(const load_t *l, uint64_t now)
{
    double  elapsed;

    elapsed = (double) (now - l->start.time) / 1e9;

    if (l->o.warmup >= 0) {
        return elapsed >= l->o.warmup;
    }

    if (l->o.messages != 0) {
        return l->sent >= l->o.messages / 5;
    }

    return elapsed >= l->o.seconds / 5;
}


static void
load_step_running(load_t *l, uint64_t now)
{
    int  over;

    if (l->o.rate != 0) {
        l->protocol->schedule(l, now);
    }

    load_churn_step(l, now);
    load_deep_step(l, now);
    load_search_step(l, now);

    if (l->deep == NULL && l->warm.time == 0 && load_is_warm(l, now)) {
        load_mark(l, &l->warm);
        l->measure = l->o.delayed ? 0 : l->warm.time;
    }

    if (l->deep != NULL) {
        over = load_deep_over(l);

    } else if (l->o.messages != 0) {
        over = l->sent == l->o.messages;

    } else {
        over = now - l->start.time >= (uint64_t) (l->o.seconds * 1e9);
    }

    /* a server that stands still ends the run, too */

    if (over || l->closed != 0 || l->sent >= UINT32_MAX
        || now > l->progress + (uint64_t) (l->o.drain * 1e9))
    {
        load_mark(l, &l->stop);
        load_churn_end(l);
        l->phase = LOAD_DRAINING;
    }
}


static void
load_step_draining(load_t *l, uint64_t now)
{
    uint64_t  expected;

    expected = load_expected(l);

    if (l->answered == l->sent && l->check.unique >= expected) {
        l->phase = LOAD_GRACE;
        return;
    }

    if (l->closed != 0
        || now > l->progress + (uint64_t) (l->o.drain * 1e9))
    {
        load_fail(l, "%llu answers and %llu deliveries are missing",
                  (unsigned long long) (l->sent - l->answered),
                  (unsigned long long) (expected > l->check.unique
                                        ? expected - l->check.unique : 0));
        l->phase = LOAD_DONE;
    }
}
