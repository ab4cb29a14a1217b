#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "load.h"


#define RETURN_BIN      100000000u    /* ns; connections are counted in these */
#define RETURN_GOING    1001


/*
 * --return: idle consumers that the server sends away, as it does at a reload,
 * connect again at once.  They should be sent one after the other, evenly over
 * the time that is the option's value.
 */

struct load_return_s {
    uint64_t    *at;               /* when each was sent away, in that order */
    unsigned     away;
    unsigned     back;
    histogram_t  again;            /* from the close frame to the login */
};


int
load_return_init(load_t *l)
{
    load_return_t  *back;

    if (l->o.back == 0) {
        return 0;
    }

    back = calloc(1, sizeof(load_return_t));

    if (back == NULL) {
        return -1;
    }

    l->back = back;
    back->at = calloc(l->nclients, sizeof(uint64_t));

    return back->at == NULL ? -1 : 0;
}


int
load_return_away(load_t *l, client_t *c, unsigned code)
{
    load_return_t  *back;

    back = l->back;

    if (back == NULL || l->phase != LOAD_IDLE || code != RETURN_GOING
        || back->away == l->nclients)
    {
        return 0;
    }

    c->away = net_now();
    back->at[back->away++] = c->away;

    return 1;
}


int
load_return_again(load_t *l, client_t *c)
{
    /* with a reset: ports that wait would be too few for all */
    static const struct linger  reset = { 1, 0 };

    if (c->away == 0 || c->state != CLIENT_READY) {
        return 0;
    }

    (void) net_flush(&l->in, c->fd, &c->out);
    (void) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    net_close(&l->in, c->fd);

    c->state = CLIENT_UPGRADE;
    c->rest.len = 0;
    c->out.from = 0;
    c->out.to = 0;

    if (load_connect(l, c) == -1 || l->protocol->request(l, c) == -1) {
        l->closed++;
    }

    return 1;
}


void
load_return_ready(load_t *l, client_t *c)
{
    if (l->back != NULL && c->away != 0) {
        histogram_add(&l->back->again, net_now() - c->away);
        l->back->back++;
        c->away = 0;
    }
}


int
load_return_over(const load_t *l)
{
    return l->back != NULL && l->back->back == l->nclients;
}


/* The most of them within a tenth of a second. */
static unsigned
return_most(const load_return_t *back)
{
    unsigned  first, i, most;

    first = 0;
    most = 0;

    for (i = 0; i < back->away; i++) {
        while (back->at[i] - back->at[first] >= RETURN_BIN) {
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
        at = (double) (back->at[i] - back->at[0]);
        histogram_add(off, (uint64_t) (at > due ? at - due : due - at));
    }
}


int
load_return_report(load_t *l)
{
    histogram_t          *off;
    const load_return_t  *back;

    back = l->back;

    if (back == NULL) {
        return 0;
    }

    off = calloc(1, sizeof(histogram_t));

    if (off == NULL || back->away == 0) {
        fprintf(stderr, "kmq-load: nobody was sent away\n");
        free(off);
        return 1;
    }

    return_off(l, off);

    printf("{\"away\": %u, \"back\": %u, \"seconds\": %.3f, \"most\": %u",
           back->away, back->back,
           (double) (back->at[back->away - 1] - back->at[0]) / 1e9,
           return_most(back));
    histogram_print("off", off);
    histogram_print("again", &back->again);
    printf(", \"failed\": %s}\n", l->closed ? "true" : "false");
    free(off);

    return l->closed != 0 || back->back != l->nclients;
}
