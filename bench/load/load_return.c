#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "load.h"


#define RETURN_BIN      100000000u    /* ns; connections are counted in these */
#define RETURN_GOING    1001


/*
 * --return: idle consumers that the server sends away, as it does at a reload,
 * connect again at once.  They should be sent one after the other, evenly over
 * the time that is the option's value.  One that comes to an old worker again,
 * which is rare, is sent away twice.
 */

struct load_move_s {
    uint64_t     at;               /* when a client was sent away */
    uint64_t     again;            /* ns from there to the login */
};

struct load_return_s {
    _Atomic unsigned  away;        /* moves */
    _Atomic unsigned  back;
    _Atomic unsigned  moved;       /* clients */
    unsigned          max;
    load_move_t      *moves;
};


int
load_return_share(load_t *l)
{
    load_return_t  *back;

    if (l->o.back == 0) {
        return 0;
    }

    back = load_shared(sizeof(load_return_t));

    if (back == NULL) {
        return -1;
    }

    l->back = back;
    back->max = l->spread->clients + l->spread->clients / 10 + 10;
    back->moves = load_shared(back->max * sizeof(load_move_t));

    return back->moves == NULL ? -1 : 0;
}


int
load_return_away(load_t *l, client_t *c, unsigned code)
{
    unsigned        n;
    load_return_t  *back;

    back = l->back;

    if (back == NULL || l->phase != LOAD_IDLE || code != RETURN_GOING) {
        return 0;
    }

    n = back->away++;

    if (n >= back->max) {
        back->away--;
        return 0;
    }

    back->moved += !c->moved;
    c->moved = 1;
    c->move = &back->moves[n];
    c->move->at = net_now();

    return 1;
}


int
load_return_again(load_t *l, client_t *c)
{
    /* with a reset: ports that wait would be too few for all */
    static const struct linger  reset = { 1, 0 };

    if (c->move == NULL || c->state != CLIENT_READY) {
        return 0;
    }

    (void) net_flush(&l->in, c->fd, &c->out);
    (void) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    net_close(&l->in, c->fd);

    c->state = CLIENT_UPGRADE;
    c->rest.len = 0;
    c->out.from = 0;
    c->out.to = 0;
    load_meanwhile_again(l, c);

    if (load_connect(l, c) == -1 || l->protocol->request(l, c) == -1) {
        l->closed++;
    }

    return 1;
}


void
load_return_ready(load_t *l, client_t *c)
{
    if (c->move != NULL) {
        c->move->again = net_now() - c->move->at;
        c->move = NULL;
        l->back->back++;
    }
}


int
load_return_over(const load_t *l)
{
    const load_return_t  *back;

    back = l->back;

    return back != NULL && back->moved == l->spread->clients
           && back->back == back->away;
}


static int
return_earlier(const void *one, const void *two)
{
    const load_move_t  *a, *b;

    a = one;
    b = two;

    return (a->at > b->at) - (a->at < b->at);
}


/* The most of them within a tenth of a second. */
static unsigned
return_most(const load_return_t *back)
{
    unsigned  first, i, most;

    first = 0;
    most = 0;

    for (i = 0; i < back->away; i++) {
        while (back->moves[i].at - back->moves[first].at >= RETURN_BIN) {
            first++;
        }

        most = i + 1 - first > most ? i + 1 - first : most;
    }

    return most;
}


/* How far each was from its place in an even row that begins with the first. */
static void
return_off(const load_t *l, histogram_t *off)
{
    double                due, at;
    unsigned              i;
    const load_return_t  *back;

    back = l->back;

    for (i = 0; i < back->away; i++) {
        due = l->o.back * 1e9 * i / back->away;
        at = (double) (back->moves[i].at - back->moves[0].at);
        histogram_add(off, (uint64_t) (at > due ? at - due : due - at));
    }
}


/* Returns when the last one was back. */
static uint64_t
return_again(const load_return_t *back, histogram_t *again)
{
    unsigned      i;
    uint64_t      last;
    load_move_t  *move;

    last = 0;

    for (i = 0; i < back->away; i++) {
        move = &back->moves[i];
        histogram_add(again, move->again);
        last = move->at + move->again > last ? move->at + move->again : last;
    }

    return last;
}


int
load_return_report(load_t *l)
{
    int             bad;
    uint64_t        last;
    histogram_t    *times;
    load_return_t  *back;

    back = l->back;

    if (back == NULL) {
        return 0;
    }

    times = calloc(2, sizeof(histogram_t));

    if (times == NULL || back->away == 0) {
        fprintf(stderr, "kmq-load: nobody was sent away\n");
        free(times);
        return 1;
    }

    qsort(back->moves, back->away, sizeof(load_move_t), return_earlier);
    return_off(l, &times[0]);
    last = return_again(back, &times[1]);
    bad = l->spread->failed || !load_return_over(l);

    printf("{\"clients\": %u, \"away\": %u, \"back\": %u, "
           "\"seconds\": %.3f, \"most\": %u",
           back->moved, back->away, back->back,
           (double) (back->moves[back->away - 1].at - back->moves[0].at) / 1e9,
           return_most(back));
    histogram_print("off", &times[0]);
    histogram_print("again", &times[1]);
    bad |= load_meanwhile_report(l, back->moves[0].at, last);
    printf(", \"failed\": %s}\n", bad ? "true" : "false");
    free(times);

    return bad;
}
