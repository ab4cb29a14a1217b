/* Time and chance of the simulated world: sim.h. */

#include "sim.h"


#define EVENTS  16384

uint64_t     sim_now;
uint64_t     sim_steps;
uint32_t     sim_rules_broken;
const char  *sim_wrong;
int          sim_traced;

static uint64_t      random_state;
static uint64_t      order;
static unsigned      nevents;
static unsigned      nspare;
static sim_event_t  *heap[EVENTS];
static sim_event_t  *spare[EVENTS];
static sim_event_t   events[EVENTS];


void
sim_reset(uint64_t seed)
{
    unsigned  i;

    sim_now = SIM_S;
    sim_wrong = NULL;
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    order = 0;
    nevents = 0;
    nspare = EVENTS;

    for (i = 0; i < EVENTS; i++) {
        spare[i] = &events[i];
    }
}


uint64_t
sim_random(uint64_t below)
{
    uint64_t  z;

    z = (random_state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);

    return (z ^ (z >> 31)) % below;
}


int
sim_chance(unsigned per_mille)
{
    return sim_random(1000) < per_mille;
}


uint64_t
sim_between(uint64_t from, uint64_t to)
{
    return from + sim_random(to - from + 1);
}


sim_event_t
sim_event(sim_kind_e kind, uint32_t node)
{
    sim_event_t  event;

    memset(&event, 0, sizeof(event));

    event.kind = kind;
    event.node = node;
    event.op.mark = -1;

    return event;
}


static int
before(const sim_event_t *a, const sim_event_t *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}


static void
heap_up(unsigned i)
{
    sim_event_t  *event;

    for (event = heap[i]; i && before(event, heap[(i - 1) / 2]);
         i = (i - 1) / 2)
    {
        heap[i] = heap[(i - 1) / 2];
    }

    heap[i] = event;
}


static void
heap_down(unsigned i)
{
    unsigned      child;
    sim_event_t  *event;

    event = heap[i];

    for ( ;; ) {
        child = 2 * i + 1;

        if (child >= nevents) {
            break;
        }

        if (child + 1 < nevents && before(heap[child + 1], heap[child])) {
            child++;
        }

        if (!before(heap[child], event)) {
            break;
        }

        heap[i] = heap[child];
        i = child;
    }

    heap[i] = event;
}


void
sim_later(sim_event_t *event, uint64_t delay)
{
    if (nspare == 0) {
        sim_fail("more events than the test has room for");
        return;
    }

    event->at = sim_now + delay;
    event->order = order++;

    heap[nevents] = spare[--nspare];
    *heap[nevents] = *event;
    heap_up(nevents++);
}


int
sim_next(sim_event_t *event, uint64_t end)
{
    if (nevents == 0 || heap[0]->at > end) {
        sim_now = end;
        return 0;
    }

    *event = *heap[0];
    spare[nspare++] = heap[0];
    heap[0] = heap[--nevents];

    if (nevents) {
        heap_down(0);
    }

    sim_now = event->at;
    sim_steps++;

    return 1;
}


static void
forget(int (*forgotten)(sim_kind_e kind))
{
    unsigned  i, n;

    n = 0;

    for (i = 0; i < nevents; i++) {

        if (forgotten(heap[i]->kind)) {
            spare[nspare++] = heap[i];

        } else {
            heap[n] = heap[i];
            heap_up(n++);
        }
    }

    nevents = n;
}


static int
but_faults(sim_kind_e kind)
{
    return kind != SIM_FAULT && kind != SIM_OPERATOR;
}


static int
messages(sim_kind_e kind)
{
    return kind == SIM_ANSWER || kind == SIM_FOUND || kind == SIM_END
           || (kind >= SIM_PROPOSE && kind <= SIM_UP);
}


void
sim_forget(void)
{
    forget(but_faults);
}


void
sim_forget_messages(void)
{
    forget(messages);
}


void
sim_fail(const char *what)
{
    if (sim_wrong == NULL) {
        sim_wrong = what;
        sim_trace("WRONG: %s", what);
    }
}


void
sim_trace(const char *fmt, ...)
{
    va_list  args;

    if (!sim_traced) {
        return;
    }

    printf("# %8.3f ", (double) sim_now / SIM_S);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
}


uint32_t
sim_missing(const sim_set_t *a, const sim_set_t *b)
{
    uint32_t  i;

    for (i = 1; i < SIM_IDS; i++) {
        if (sim_has(a, i) && !sim_has(b, i)) {
            return i;
        }
    }

    return 0;
}


void
sim_view(sim_view_t *view, const kmq_chain_t *before,
    const kmq_chain_t *after, kmq_chain_e what, const sim_op_t *op)
{
    uint64_t   slot, last;
    uint32_t  *held;
    unsigned   w;

    view->stamp = op->stamp;

    if (what == KMQ_CHAIN_BEGUN) {
        memset(view->held, 0, sizeof(view->held));
        return;
    }

    if (what != KMQ_CHAIN_HELD_BACK && what != KMQ_CHAIN_COUNTS) {
        return;
    }

    w = op->entry.writer;
    held = view->held[w];
    held[op->entry.slot % KMQ_CHAIN_HELD] = op->id;

    last = after->writer[w].last;

    for (slot = before->writer[w].last + 1; slot <= last; slot++) {
        sim_add(&view->ids, held[slot % KMQ_CHAIN_HELD]);
    }
}
