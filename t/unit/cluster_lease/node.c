/* The nodes: what their leases do, and read.  node.h. */

#include "node_inside.h"


node_t         node[SIM_NODES];
unsigned       node_n;
node_counts_t  node_counts;
node_world_t   node_world;


int
node_cut(uint32_t number)
{
    return node[number].cut > sim_now;
}


static void
serve(node_t *n, uint32_t epoch)
{
    unsigned  w;

    node_counts.takeovers++;

    if (epoch < n->lease.epoch && SIM_RULE(EPOCH)) {
        /* told too late */
        return;
    }

    n->epoch = epoch;
    n->writers = 0;

    for (w = 0; w < SIM_WORKERS; w++) {
        node_hire(n, w);
    }
}


static void
stop_serving(node_t *n)
{
    unsigned  w;

    n->epoch = 0;

    for (w = 0; w < SIM_WORKERS; w++) {
        n->worker[w].serves = 0;
    }
}


static void
keep(node_t *n)
{
    unsigned   w;
    worker_t  *worker;

    for (w = 0; w < SIM_WORKERS; w++) {
        worker = &n->worker[w];

        if (n->epoch && worker->job && worker->paused <= sim_now
            && worker->writer.done + 1 == worker->writer.next)
        {
            node_append(n, w, 0, -1);
            return;
        }
    }
}


static void
append_tail(node_t *n)
{
    unsigned  i;

    node_counts.tails++;

    for (i = 0; i < n->nown; i++) {
        if (!node_settled(&n->own[i], &n->lease.chain)
            && n->own[i].epoch == n->lease.chain.begun)
        {
            node_send(n, &n->own[i], 0);
        }
    }
}


static void
tell_news(const node_t *n, const kmq_news_t *news)
{
    unsigned     i;
    sim_event_t  event;

    if (n->cut > sim_now || n->deaf > sim_now) {
        return;
    }

    for (i = 0; i < node_n; i++) {

        if (i == node_number(n) || sim_chance(50)) {
            continue;
        }

        event = sim_event(SIM_NEWS, i);
        event.start = node[i].start;
        event.news = *news;
        sim_later(&event, sim_chance(20) ? sim_between(SIM_MS, 3 * SIM_S)
                                         : sim_between(100, 5 * SIM_MS));
    }
}


static void
write_entry(const node_t *n, const kmq_entry_t *entry)
{
    sim_event_t  event;

    event = node_later(n, SIM_PROPOSE);
    event.op.entry = *entry;
    event.op.uid = ++node_world.uids;

    node_to_stream(n, &event);
}


static void
claims(const node_t *n)
{
    if (n->stepped
        && node_clock(n) - n->stepped < SIM_REST
        && sim_now - n->heard < SIM_TIMEOUT * SIM_MS)
    {
        sim_fail("a node stood right after it had stepped down");
    }
}


static void
deposed(const node_t *n)
{
    node_counts.deposed++;

    if (stream_truth.chain.claimed <= n->lease.epoch
        && n->epoch
        && n->stepped == 0
        && n->writers < SIM_WRITERS
        && !n->lease.differs)
    {
        sim_fail("a primary let go without need");
    }
}


/* A node on its way to be primary is stopped more often than others. */
static void
look_at(node_t *n, const kmq_lease_action_t *action)
{
    switch (action->kind) {

    case KMQ_LEASE_DEPOSE:
        deposed(n);
        break;

    case KMQ_LEASE_WRITE:

        if (action->entry.kind == KMQ_ENTRY_CLAIM) {
            claims(n);
        }

        /* fall through */

    case KMQ_LEASE_RECOVER:
    case KMQ_LEASE_SERVE:

        if (node_world.troubled && sim_chance(40)) {
            n->paused = sim_now + sim_between(SIM_MS, 30 * SIM_S);
        }

        break;

    default:
        break;
    }
}


/* Whatever the lease wants is done a little later, or much later. */
static void
act(node_t *n)
{
    unsigned     late;
    sim_event_t  event;

    event = node_later(n, SIM_ACTION);

    while (kmq_lease_next(&n->lease, &event.action)) {
        look_at(n, &event.action);

        if (event.action.kind >= KMQ_LEASE_TAIL
            && event.action.kind != KMQ_LEASE_KEEP)
        {
            sim_trace("node %u: action %u, epoch %u", node_number(n),
                      event.action.kind, n->lease.epoch);
        }

        late = event.action.kind == KMQ_LEASE_NEWS ? 5 : 30;
        late = node_world.troubled ? late : 0;
        sim_later(&event, sim_chance(late) ? sim_between(SIM_MS, 40 * SIM_S)
                                           : sim_between(10, 2 * SIM_MS));
    }
}


static void
action(node_t *n, const kmq_lease_action_t *action)
{
    sim_event_t  event;

    event = node_later(n, SIM_ASK);

    switch (action->kind) {

    case KMQ_LEASE_NEWS:
        tell_news(n, &action->news);
        break;

    case KMQ_LEASE_ASK:
        event.sent = action->ask;
        node_to_stream(n, &event);
        break;

    case KMQ_LEASE_WRITE:
        write_entry(n, &action->entry);
        break;

    case KMQ_LEASE_TAIL:
        append_tail(n);
        break;

    case KMQ_LEASE_RECOVER:
        /* an old one may be carried out late: it is for its epoch */
        event.kind = SIM_RECOVERED;
        event.epoch = n->lease.epoch;
        sim_later(&event, sim_between(10 * SIM_MS, 2 * SIM_S));
        break;

    case KMQ_LEASE_SERVE:
        serve(n, action->entry.epoch);
        break;

    case KMQ_LEASE_KEEP:
        keep(n);
        break;

    case KMQ_LEASE_PAUSE:
        node_counts.pauses++;
        n->worker[0].serves = 0;
        n->worker[1].serves = 0;
        break;

    case KMQ_LEASE_RESUME:
        n->worker[0].serves = 1;
        n->worker[1].serves = 1;
        break;

    case KMQ_LEASE_DEPOSE:
        stop_serving(n);
        event.kind = SIM_LET_GO;
        sim_later(&event, sim_between(SIM_MS, SIM_S));
        break;

    case KMQ_LEASE_BLOCK:
        node_counts.blocks++;
        sim_trace("node %u: node %d has most", node_number(n),
                  (int) action->node);

        if (action->node != KMQ_NOBODY) {
            node_world.asked_for = action->node + 1;
        }

        break;
    }
}


static void
recovered(node_t *n, uint32_t epoch)
{
    n->recovered = n->view.ids;
    n->recovered_for = epoch;

    kmq_lease_recovered(&n->lease, epoch);
}


void
node_begun(const kmq_entry_t *entry)
{
    node_t  *n;

    n = &node[entry->who.node];

    if (n->recovered_for != entry->epoch) {
        sim_fail("an epoch began that was not recovered for");
        return;
    }

    node_world.begun_with = n->recovered;

    if (sim_missing(&node_world.begun_with, &stream_truth.ids)
        || sim_missing(&stream_truth.ids, &node_world.begun_with))
    {
        sim_fail("the next primary has not what others read");
    }

    if (sim_missing(&node_world.oks, &node_world.begun_with)) {
        sim_trace("node %u has not %u", entry->who.node,
                  sim_missing(&node_world.oks, &node_world.begun_with));
        sim_fail("what was answered \"ok\" is missing in the next primary");
    }

    if (node_world.lost_power_at) {
        sim_fail("an epoch began on a stream that had been cut short");
    }
}


void
node_step_down(unsigned number)
{
    node_t  *n;

    n = &node[number];

    if (!n->up || n->paused > sim_now || n->lease_paused > sim_now) {
        return;
    }

    kmq_lease_time(&n->lease, node_clock(n));

    if (kmq_lease_step_down(&n->lease) != KMQ_NOBODY) {
        node_counts.steps_down++;
        n->stepped = node_clock(n);
    }

    act(n);
}


/* ----------------------------------------------------------- the reader */

/* Where it left off there has to be what was there. */
static int
compare(node_t *n)
{
    uint64_t         seq;
    const sim_op_t  *op;

    seq = n->lease.chain.seq;

    if (seq) {
        op = stream_read(n->replica, seq);

        if (op == NULL) {
            return 0;
        }

        if (op->entry.seq == seq && op->stamp != n->view.stamp) {
            kmq_lease_differs(&n->lease);

            if (n->lease.differs) {
                return 0;
            }
        }
    }

    n->fresh = 0;

    return 1;
}


static void
jump(node_t *n)
{
    int  mark;

    mark = stream_mark(n->replica);

    if (mark >= 0 && stream_marks[mark].chain.seq > n->lease.chain.seq) {
        node_counts.jumps++;
        sim_trace("node %u: jumps from %llu to %llu", node_number(n),
                  (unsigned long long) n->lease.chain.seq,
                  (unsigned long long) stream_marks[mark].chain.seq);
        n->view = stream_marks[mark];
        kmq_lease_jump(&n->lease, &n->view.chain);
    }
}


static void
read_some(node_t *n)
{
    unsigned         i;
    kmq_chain_e      what;
    kmq_chain_t      before;
    const sim_op_t  *op;

    if (n->lease.differs || (n->fresh && !compare(n))) {
        return;
    }

    for (i = sim_random(20); i; i--) {
        op = stream_read(n->replica, n->lease.chain.seq + 1);

        if (op == NULL) {
            break;
        }

        before = n->lease.chain;
        what = kmq_lease_entry(&n->lease, &op->entry);

        if (what == KMQ_CHAIN_GAP) {
            jump(n);
            break;
        }

        sim_view(&n->view, &before, &n->lease.chain, what, op);
    }

    if (n->lease.tail && !node_has_tail(n, &n->lease.chain)) {
        kmq_lease_no_tail(&n->lease);
    }
}


static void
reader(node_t *n)
{
    sim_event_t  event;

    if (stream_replica[n->replica].up && n->cut <= sim_now) {
        read_some(n);
    }

    if (!stream_replica[n->replica].up || n->cut > sim_now || sim_chance(2)) {
        n->replica = sim_random(STREAM_REPLICAS);
        n->fresh = 1;
    }

    event = node_later(n, SIM_READ);
    sim_later(&event, sim_between(SIM_MS, 60 * SIM_MS));
}


/* ---------------------------------------------------------------- events */

/* Whoever is stopped gets to it later. */
static uint64_t
stopped(const node_t *n, const sim_event_t *event)
{
    uint64_t  until;

    until = n->paused;

    switch (event->kind) {

    case SIM_WORK:
    case SIM_ANSWER:
    case SIM_FOUND:
    case SIM_SILENT:

        if (n->worker[event->worker].paused > until) {
            until = n->worker[event->worker].paused;
        }

        break;

    case SIM_FLUSH_DISK:
    case SIM_RESTART:
        break;

    default:

        if (n->lease_paused > until) {
            until = n->lease_paused;
        }
    }

    return until > sim_now ? until - sim_now + 1 : 0;
}


static void
tick(node_t *n)
{
    sim_event_t  event;

    if (n->epoch && n->writers == SIM_WRITERS
        && (n->worker[0].job == 0 || n->worker[1].job == 0))
    {
        /* no writer is left for a worker that was respawned */
        kmq_lease_closed(&n->lease, n->epoch);
    }

    event = node_later(n, SIM_TICK);
    sim_later(&event, sim_between(20 * SIM_MS, 250 * SIM_MS));
}


static void
lease_event(node_t *n, sim_event_t *event)
{
    kmq_lease_time(&n->lease, node_clock(n));

    switch (event->kind) {

    case SIM_TICK:
        tick(n);
        break;

    case SIM_READ:
        reader(n);
        break;

    case SIM_ACTION:
        action(n, &event->action);
        break;

    case SIM_NEWS:

        if (n->cut <= sim_now && n->deaf <= sim_now) {
            n->heard = sim_now;
            kmq_lease_news(&n->lease, &event->news);
        }

        break;

    case SIM_END:
        sim_trace("node %u: the stream ends at %llu, %llu are needed",
                  node_number(n), (unsigned long long) event->seq,
                  (unsigned long long) n->lease.needed);
        kmq_lease_end(&n->lease, event->sent, event->seq);
        break;

    case SIM_RECOVERED:
        recovered(n, event->epoch);
        break;

    case SIM_LET_GO:
        kmq_lease_let_go(&n->lease);
        break;

    case SIM_ACKED:
        kmq_lease_acked(&n->lease, event->epoch, event->sent, event->seq);
        break;

    case SIM_CLOSED:
        kmq_lease_closed(&n->lease, event->epoch);
        break;

    default:
        break;
    }

    act(n);
}


void
node_event(sim_event_t *event)
{
    node_t    *n;
    uint64_t   wait;

    n = &node[event->node];

    if (event->start != n->start
        || (!n->up && event->kind != SIM_RESTART))
    {
        return;
    }

    wait = stopped(n, event);

    if (wait) {
        sim_later(event, wait);
        return;
    }

    switch (event->kind) {

    case SIM_RESTART:
        node_start(n);
        break;

    case SIM_FLUSH_DISK:
        node_flush(n);
        break;

    case SIM_WORK:
        node_work(n, event->worker);
        break;

    case SIM_ANSWER:
    case SIM_FOUND:
    case SIM_SILENT:
        node_answer(n, event);
        break;

    default:
        lease_event(n, event);
    }
}
