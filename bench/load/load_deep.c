#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"


#define DEEP_QUIET_NS  UINT64_C(20000000)


/*
 * --depth: publishes until so many messages wait, pushes and publishes some
 * there, empties the queue, and does the same from there.  One process does
 * all of it, so that each message is still known when it comes.
 *
 * While nothing is to be pushed the consumers answer no ping: what they had
 * stays in flight, and they get no more than their prefetch.
 */

typedef enum {
    DEEP_FILL = 0,
    DEEP_PUSH,
    DEEP_PUBLISH,
    DEEP_EMPTY,
    SHALLOW_PUBLISH,
    SHALLOW_PUSH,
    DEEP_KINDS
} deep_kind_t;

typedef struct {
    deep_kind_t   kind;
    uint64_t      n;           /* UINT64_MAX: all */
    load_mark_t   from;
    load_mark_t   to;
} deep_step_t;

struct load_deep_s {
    deep_step_t  *steps;
    unsigned      n;
    unsigned      at;
    unsigned      running:1;   /* else: waits until nothing moves any more */
    uint64_t      target;      /* what sent, or delivered, is to become */
    uint64_t      zone;        /* bytes that waiting messages take */
    uint64_t      own;
};


static void
deep_add(load_deep_t *d, deep_kind_t kind, uint64_t n)
{
    d->steps[d->n].kind = kind;
    d->steps[d->n].n = n;
    d->n++;
}


int
load_deep_init(load_t *l)
{
    unsigned      i;
    load_deep_t  *d;

    if (l->o.depth == 0) {
        return 0;
    }

    d = calloc(1, sizeof(load_deep_t));

    if (d == NULL) {
        return -1;
    }

    l->deep = d;
    d->steps = calloc(2 + 4 * l->o.rounds, sizeof(deep_step_t));

    if (d->steps == NULL) {
        return -1;
    }

    deep_add(d, DEEP_FILL, l->o.depth);

    for (i = 0; i < l->o.rounds; i++) {
        deep_add(d, DEEP_PUSH, l->o.messages);
        deep_add(d, DEEP_PUBLISH, l->o.messages);
    }

    deep_add(d, DEEP_EMPTY, UINT64_MAX);

    for (i = 0; i < l->o.rounds; i++) {
        deep_add(d, SHALLOW_PUBLISH, l->o.messages);
        deep_add(d, SHALLOW_PUSH, UINT64_MAX);
    }

    return 0;
}


static int
deep_pushes(const deep_step_t *step)
{
    return step->kind == DEEP_PUSH || step->kind == DEEP_EMPTY
           || step->kind == SHALLOW_PUSH;
}


static void
deep_begin(load_t *l, deep_step_t *step)
{
    unsigned      i;
    load_deep_t  *d;

    d = l->deep;
    d->running = 1;

    if (step->kind == DEEP_FILL) {
        d->zone = load_memory(l, "RssShmem:");
        d->own = load_memory(l, "RssAnon:");
    }

    load_mark(l, &step->from);

    if (deep_pushes(step)) {
        d->target = step->n == UINT64_MAX ? UINT64_MAX
                                          : l->delivered + step->n;

        for (i = 0; i < l->nconsumers; i++) {
            l->protocol->pong(l, &l->clients[i]);
        }

        return;
    }

    d->target = l->sent + step->n;

    for (i = l->nconsumers; i < l->nclients; i++) {
        l->protocol->fill(l, &l->clients[i]);
    }
}


static int
deep_done(const load_t *l, const deep_step_t *step)
{
    if (deep_pushes(step)) {
        return l->delivered >= l->deep->target
               || l->check.unique >= l->answered;
    }

    return l->sent == l->deep->target && l->answered == l->sent;
}


void
load_deep_step(load_t *l, uint64_t now)
{
    deep_step_t  *step;
    load_deep_t  *d;

    d = l->deep;

    if (d == NULL || load_deep_over(l)) {
        return;
    }

    step = &d->steps[d->at];

    if (!d->running) {
        if (now > l->progress + DEEP_QUIET_NS) {
            deep_begin(l, step);
        }

        return;
    }

    if (!deep_done(l, step)) {
        return;
    }

    load_mark(l, &step->to);
    d->running = 0;
    d->at++;

    if (step->kind == DEEP_FILL) {
        d->zone = load_memory(l, "RssShmem:") - d->zone;
        d->own = load_memory(l, "RssAnon:") - d->own;
    }
}


int
load_deep_over(const load_t *l)
{
    return l->deep->at == l->deep->n;
}


/* How many messages producers may still send in this step. */
uint64_t
load_deep_credit(const load_t *l)
{
    const load_deep_t  *d;

    d = l->deep;

    if (!d->running || deep_pushes(&d->steps[d->at])) {
        return 0;
    }

    return d->target - l->sent;
}


int
load_deep_paused(const load_t *l)
{
    const load_deep_t  *d;

    d = l->deep;

    return d != NULL && !load_deep_over(l)
           && !(d->running && deep_pushes(&d->steps[d->at]));
}


/* ----------------------------------------------------------------- report */

/* What a step did: messages a second, or the server's CPU time for each. */
static double
deep_value(const deep_step_t *step, int cpu)
{
    double  n, seconds;

    n = deep_pushes(step) ? (double) (step->to.delivered
                                      - step->from.delivered)
                          : (double) (step->to.accepted
                                      - step->from.accepted);

    if (n < 1 || step->to.time == 0) {
        return 0;
    }

    if (cpu) {
        return (double) (step->to.server_cpu - step->from.server_cpu) / n;
    }

    seconds = (double) (step->to.time - step->from.time) / 1e9;

    return n / seconds;
}


static void
deep_report_list(const load_deep_t *d, deep_kind_t kind, const char *name,
    int cpu)
{
    unsigned     i;
    const char  *comma;

    printf("%s\"%s\": [", cpu ? ", " : "", name);
    comma = "";

    for (i = 0; i < d->n; i++) {
        if (d->steps[i].kind == kind) {
            printf("%s%.1f", comma, deep_value(&d->steps[i], cpu));
            comma = ", ";
        }
    }

    printf("]");
}


void
load_deep_report(const load_t *l)
{
    static const char  *const  name[DEEP_KINDS] = {
        "fill", "deep_push", "deep_publish", "empty", "shallow_publish",
        "shallow_push"
    };

    unsigned            i;
    const load_deep_t  *d;

    d = l->deep;

    if (d == NULL) {
        return;
    }

    printf(", \"deep\": {\"depth\": %llu, \"messages\": %llu, "
           "\"zone\": %llu, \"own\": %llu",
           (unsigned long long) l->o.depth,
           (unsigned long long) l->o.messages,
           (unsigned long long) d->zone, (unsigned long long) d->own);

    for (i = 0; i < DEEP_KINDS; i++) {
        printf(", \"%s\": {", name[i]);
        deep_report_list(d, i, "per_s", 0);
        deep_report_list(d, i, "server_ns", 1);
        printf("}");
    }

    printf("}");
}
