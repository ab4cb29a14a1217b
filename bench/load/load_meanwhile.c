#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "load.h"


#define MEANWHILE_SETTLE  UINT64_C(1000000000)    /* ns that do not count */


/*
 * --rate with --idle: clients that are sent away get messages meanwhile, one
 * of them each, from one producer, which is sent away, too, and then sends
 * again what was not answered.  How late each came, against its time in the
 * schedule, is told of those before the first client was sent away, and from
 * there until the last one was back.
 */

struct load_meanwhile_s {
    _Atomic uint64_t   start;      /* of the schedule; 0: not yet */
    _Atomic uint64_t   over;       /* when the last answer came; 0: not yet */
    uint64_t           most;       /* ever sent, answered or not */
    _Atomic uint32_t   sent;
    _Atomic uint32_t   unique;
    _Atomic uint32_t   twice;      /* pushes beyond a message's first */
    uint32_t           max;
    _Atomic uint64_t  *came;       /* each message, first; 0: it did not */
};


int
load_meanwhile_share(load_t *l)
{
    load_meanwhile_t  *m;

    if (l->o.rate == 0) {
        return 0;
    }

    m = load_shared(sizeof(load_meanwhile_t));

    if (m == NULL) {
        return -1;
    }

    l->meanwhile = m;
    m->max = (uint32_t) (l->o.rate * l->o.timeout) + 1;
    m->came = load_shared(m->max * sizeof(uint64_t));

    return m->came == NULL ? -1 : 0;
}


/* When that message was to be sent. */
static uint64_t
meanwhile_due(const load_t *l, uint32_t number)
{
    return l->meanwhile->start
           + (uint64_t) ((double) number * 1e9 / l->o.rate);
}


void
load_meanwhile_step(load_t *l, uint64_t now)
{
    load_meanwhile_t  *m;

    m = l->meanwhile;

    if (m == NULL || l->nproducers == 0
        || l->spread->ready != l->spread->clients)
    {
        return;
    }

    if (m->start == 0) {
        l->start.time = now;
        m->start = now;
    }

    if (!load_return_over(l) || l->sent < m->most) {
        l->protocol->schedule(l, now);
        return;
    }

    if (m->over == 0 && l->answered == l->sent) {
        m->sent = (uint32_t) l->sent;
        m->over = now;
    }
}


void
load_meanwhile_again(load_t *l, client_t *c)
{
    load_meanwhile_t  *m;

    m = l->meanwhile;

    if (m != NULL && c->role == LOAD_PRODUCER) {
        m->most = l->sent > m->most ? l->sent : m->most;
        l->sent -= c->sent - c->answered;
        c->sent = c->answered;
    }
}


void
load_meanwhile_message(load_t *l, uint32_t number, uint64_t now)
{
    uint64_t           none;
    load_meanwhile_t  *m;

    m = l->meanwhile;

    if (number >= m->max) {
        l->check.corrupt++;
        load_fail(l, "message %u, which nobody sent", number);
        return;
    }

    none = 0;

    if (atomic_compare_exchange_strong(&m->came[number], &none, now)) {
        m->unique++;

    } else {
        m->twice++;
    }
}


int
load_meanwhile_over(const load_t *l, uint64_t now)
{
    const load_meanwhile_t  *m;

    m = l->meanwhile;

    return m == NULL
           || (m->over != 0
               && (m->unique >= m->sent
                   || now > m->over + (uint64_t) (l->o.drain * 1e9)));
}


static void
meanwhile_late(const load_t *l, const char *name, uint64_t from, uint64_t to)
{
    uint32_t           i;
    uint64_t           due, came;
    histogram_t       *late;
    load_meanwhile_t  *m;

    m = l->meanwhile;
    late = calloc(1, sizeof(histogram_t));

    for (i = 0; late != NULL && i < m->sent; i++) {
        due = meanwhile_due(l, i);
        came = m->came[i];

        if (came != 0 && due >= from && due < to) {
            histogram_add(late, came > due ? came - due : 0);
        }
    }

    if (late != NULL) {
        histogram_print(name, late);
    }

    free(late);
}


int
load_meanwhile_report(load_t *l, uint64_t first, uint64_t last)
{
    uint32_t           lost;
    load_meanwhile_t  *m;

    m = l->meanwhile;

    if (m == NULL) {
        return 0;
    }

    lost = m->sent - m->unique;
    printf(", \"sent\": %u, \"lost\": %u, \"twice\": %u", m->sent, lost,
           m->twice);
    meanwhile_late(l, "late_before", m->start + MEANWHILE_SETTLE, first);
    meanwhile_late(l, "late", first, last);

    return lost != 0 || m->over == 0;
}
