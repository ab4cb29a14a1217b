#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"


#define CHURN_VISITORS  4096   /* at a time */


/*
 * --churn: visitors, consumers of their own that join at a fixed rate, get
 * messages for a while, and leave; every other one says goodbye, the rest
 * just close the connection.  What a visitor gets must be without a gap.
 */

struct load_churn_s {
    client_t    visitors[CHURN_VISITORS];
    uint32_t    free[CHURN_VISITORS];      /* indices of closed visitors */
    unsigned    nfree;
    unsigned    most;                      /* at a time */
    uint64_t    begun;
    uint64_t    joined;
    uint64_t    left;
    uint64_t    missed;                    /* none was free */
    uint64_t    messages;
    uint64_t    gaps;                      /* or repetitions */
    uint64_t    end;
};


static void
churn_free(load_churn_t *churn, client_t *v)
{
    churn->free[churn->nfree++] = (uint32_t) (v - churn->visitors);
}


/* The server has ended a visitor's connection; the caller closes it. */
static void
churn_lost(load_t *l, client_t *visitor)
{
    churn_free(l->churn, visitor);
}


int
load_churn_init(load_t *l)
{
    unsigned       i;
    client_t      *v;
    load_churn_t  *churn;

    if (l->o.churn == 0) {
        return 0;
    }

    churn = calloc(1, sizeof(load_churn_t));

    if (churn == NULL) {
        return -1;
    }

    l->churn = churn;

    for (i = 0; i < CHURN_VISITORS; i++) {
        v = &churn->visitors[i];
        v->fd = -1;
        v->role = LOAD_VISITOR;
        v->state = CLIENT_CLOSED;
        v->lost = churn_lost;
        v->mask = (uint32_t) rand() * 2654435761u;
        v->next = calloc(l->nproducers, sizeof(uint32_t));

        if (v->next == NULL) {
            return -1;
        }

        churn->free[churn->nfree++] = CHURN_VISITORS - 1 - i;
    }

    return 0;
}


/* A visitor on average stays l->o.stay seconds, at most twice as long. */
static uint64_t
churn_stay(load_t *l)
{
    l->random ^= l->random << 13;
    l->random ^= l->random >> 7;
    l->random ^= l->random << 17;

    return (uint64_t) ((double) (l->random >> 32) / 4294967296.0
                       * l->o.stay * 2e9);
}


static void
churn_join(load_t *l)
{
    client_t      *v;
    load_churn_t  *churn;

    churn = l->churn;
    churn->begun++;

    if (churn->nfree == 0) {
        churn->missed++;
        return;
    }

    v = &churn->visitors[churn->free[--churn->nfree]];
    v->number = (uint32_t) churn->begun;
    v->state = CLIENT_UPGRADE;
    v->leave = UINT64_MAX;
    v->rest.len = 0;
    v->out.from = 0;
    v->out.to = 0;
    v->topic = v->number % l->o.topics;
    memset(v->next, 0, l->nproducers * sizeof(uint32_t));

    if (load_connect(l, v) == -1 || l->protocol->request(l, v) == -1) {
        l->closed++;
    }

    if (CHURN_VISITORS - churn->nfree > churn->most) {
        churn->most = CHURN_VISITORS - churn->nfree;
    }
}


static void
churn_leave(load_t *l, client_t *v)
{
    static const unsigned char  normal[2] = { 1000 / 256, 1000 % 256 };

    unsigned char  *p;

    if (v->number % 2) {
        p = net_room(&v->out, WIRE_HEADER_MAX + sizeof(normal));

        if (p != NULL) {
            v->out.to = (size_t) (wire_masked(p, WIRE_CLOSE, normal,
                                              sizeof(normal), v->mask)
                                  - v->out.data);
            (void) net_flush(&l->in, v->fd, &v->out);
        }
    }

    net_close(&l->in, v->fd);
    v->fd = -1;
    v->state = CLIENT_CLOSED;
    l->churn->left++;
    churn_free(l->churn, v);
}


/* Lets those join, and leave, whose time has come. */
void
load_churn_step(load_t *l, uint64_t now)
{
    unsigned       i;
    uint64_t       due;
    client_t      *v;
    load_churn_t  *churn;

    churn = l->churn;

    if (churn == NULL) {
        return;
    }

    due = (uint64_t) ((double) (now - l->start.time) * l->o.churn / 1e9);

    for (i = 0; i < churn->most; i++) {
        v = &churn->visitors[i];

        if (v->state == CLIENT_READY && now >= v->leave) {
            churn_leave(l, v);
        }
    }

    if (churn->begun < due) {
        churn_join(l);
    }
}


void
load_churn_ready(load_t *l, client_t *visitor)
{
    l->churn->joined++;
    visitor->leave = net_now() + churn_stay(l);
}


void
load_churn_message(load_t *l, client_t *visitor, uint32_t producer,
    uint32_t number)
{
    uint32_t  *next;

    l->churn->messages++;

    if (producer >= l->nproducers) {
        l->check.corrupt++;
        return;
    }

    next = &visitor->next[producer];

    if (*next != 0 && *next != number + 1) {
        l->churn->gaps++;
        load_fail(l, "message %u of producer %u came to visitor %u, which "
                  "waited for message %u", number, producer, visitor->number,
                  *next - 1);
    }

    *next = number + 2;
}


void
load_churn_end(load_t *l)
{
    unsigned       i;
    client_t      *v;
    load_churn_t  *churn;

    churn = l->churn;

    if (churn == NULL) {
        return;
    }

    for (i = 0; i < CHURN_VISITORS; i++) {
        v = &churn->visitors[i];

        if (v->state == CLIENT_READY) {
            churn_leave(l, v);

        } else if (v->state != CLIENT_CLOSED) {
            net_close(&l->in, v->fd);
            v->state = CLIENT_CLOSED;
        }
    }

    churn->end = net_now();
}


int
load_churn_report(const load_t *l)
{
    double               seconds;
    const load_churn_t  *churn;

    churn = l->churn;

    if (churn == NULL) {
        return 0;
    }

    seconds = (double) (churn->end - l->start.time) / 1e9;

    printf(", \"churn\": {\"joined\": %llu, \"left\": %llu, "
           "\"missed\": %llu, \"joins_per_s\": %.0f, \"most\": %u, "
           "\"messages\": %llu, \"gaps\": %llu}",
           (unsigned long long) churn->joined,
           (unsigned long long) churn->left,
           (unsigned long long) churn->missed,
           (double) churn->joined / seconds, churn->most,
           (unsigned long long) churn->messages,
           (unsigned long long) churn->gaps);

    return churn->gaps != 0 || churn->missed != 0;
}
