/* Starts, files, power, and who brings it back: node.h. */

#include "node_inside.h"


void
node_flush(node_t *n)
{
    unsigned     i;
    sim_event_t  event;

    if (n->disk <= sim_now) {
        n->flushed = n->view;
        n->flushed.chain = n->lease.chain;

        for (i = 0; i < n->nown; i++) {
            n->own[i].flushed = 1;
        }

        node_answer_done(n);
        node_forget(n);
    }

    event = node_later(n, SIM_FLUSH_DISK);
    sim_later(&event, sim_between(SIM_MS, 30 * SIM_MS));
}


static int
is_owner(const node_t *n)
{
    return n->view.chain.begun
           && n->view.chain.primary.node == node_number(n);
}


static uint64_t
reach_of(const node_t *n)
{
    unsigned  i;
    uint64_t  reach;

    reach = n->view.chain.seq;

    for (i = 0; i < n->nown; i++) {
        reach = n->own[i].known > reach ? n->own[i].known : reach;
    }

    return reach;
}


void
node_start(node_t *n)
{
    unsigned            i;
    sim_event_t         event;
    kmq_lease_config_t  config;

    n->up = 1;
    n->start++;

    sim_trace("node %u starts, at %llu%s", node_number(n),
              (unsigned long long) reach_of(n),
              node_has_tail(n, &n->view.chain) ? ", with a tail" : "");
    n->paused = 0;
    n->lease_paused = 0;
    n->stepped = 0;
    n->epoch = 0;
    n->fresh = 1;
    n->replica = sim_random(STREAM_REPLICAS);
    memset(n->worker, 0, sizeof(n->worker));

    for (i = 0; i < n->nown; i++) {
        n->own[i].job = 0;
    }

    memset(&config, 0, sizeof(config));
    config.who.node = node_number(n);
    config.who.start = n->start;
    config.nodes = node_n;
    config.writers = SIM_WRITERS;
    config.timeout = SIM_TIMEOUT;
    config.stall = SIM_STALL;
    config.rest = SIM_REST;

    kmq_lease_start(&n->lease, &config, &n->view.chain, reach_of(n),
                    is_owner(n), node_has_tail(n, &n->view.chain),
                    node_clock(n));

    if (n->differs) {
        kmq_lease_differs(&n->lease);
    }

    event = node_later(n, SIM_TICK);
    sim_later(&event, SIM_MS);
    event.kind = SIM_READ;
    sim_later(&event, SIM_MS);
    event.kind = SIM_FLUSH_DISK;
    sim_later(&event, SIM_MS);
    event.kind = SIM_WORK;

    for (event.worker = 0; event.worker < SIM_WORKERS; event.worker++) {
        sim_later(&event, SIM_MS);
    }
}


/* The files survive; without power, what was flushed of them. */
void
node_kill(unsigned number, int power, uint64_t restart)
{
    node_t       *n;
    unsigned      i, k;
    sim_event_t   event;

    n = &node[number];

    if (n->up) {
        n->view.chain = n->lease.chain;
        n->differs |= n->lease.differs;
    }

    n->up = 0;
    n->start++;

    sim_trace("node %u killed, at %llu", number,
              (unsigned long long) reach_of(n));

    if (power) {
        n->view = n->flushed;
        k = 0;

        for (i = 0; i < n->nown; i++) {
            if (n->own[i].flushed) {
                n->own[k++] = n->own[i];
            }
        }

        n->nown = k;
    }

    event = sim_event(SIM_RESTART, number);
    event.start = n->start;
    sim_later(&event, restart);
}


void
node_reset(unsigned count)
{
    unsigned  i;

    memset(node, 0, sizeof(node));
    memset(&node_world.oks, 0, sizeof(node_world.oks));
    memset(&node_world.begun_with, 0, sizeof(node_world.begun_with));

    node_n = count;
    node_world.ids = 0;
    node_world.uids = 0;
    node_world.lost_power_at = 0;
    node_world.asked_for = 0;
    node_world.troubled = 1;

    for (i = 0; i < count; i++) {
        node[i].rate = sim_between(990, 1010);
        node_start(&node[i]);
    }
}


void
node_heal(void)
{
    unsigned  i;

    node_world.troubled = 0;

    for (i = 0; i < node_n; i++) {
        node[i].cut = 0;
        node[i].deaf = 0;
        node[i].disk = 0;
        node[i].lease_paused = 0;

        if (node[i].paused > sim_now) {
            node[i].paused = sim_now;
        }
    }
}


unsigned long
node_oks(void)
{
    return node_counts.oks;
}


/* ------------------------------------------------- power, and who brings it */

void
node_power(void)
{
    unsigned  i;
    uint64_t  reach;

    node_counts.powers++;
    node_world.asked_for = 0;
    sim_forget();
    stream_power();

    node_world.lost_power_at = 0;

    for (i = 0; i < node_n; i++) {
        node_kill(i, 1, sim_between(SIM_S, 20 * SIM_S));
        reach = reach_of(&node[i]);

        if (reach > stream_last && reach > node_world.lost_power_at) {
            node_world.lost_power_at = reach;
        }
    }
}


static void
thrown_off(node_t *n, worker_t *worker)
{
    unsigned      i;
    const own_t  *own;

    if (worker->job == 0) {
        return;
    }

    worker->fresh = 1;
    kmq_writer_again(&worker->writer);

    for (i = 0; i < n->nown; i++) {
        own = &n->own[i];

        if (own->job == worker->job && own->slot > worker->writer.done) {
            node_send(n, own, 1);
        }
    }
}


static int
is_well(const node_t *n)
{
    return n->up
           && n->paused <= sim_now
           && n->lease_paused <= sim_now
           && n->cut <= sim_now
           && n->deaf <= sim_now
           && n->worker[0].paused <= sim_now
           && n->worker[1].paused <= sim_now;
}


int
node_servers_power(void)
{
    unsigned   i, w, serve;
    node_t    *n;

    serve = 0;

    for (i = 0; i < node_n; i++) {

        if (!is_well(&node[i])) {
            return 0;
        }

        serve += node[i].epoch == stream_truth.chain.claimed;
    }

    if (serve != 1) {
        return 0;
    }

    node_counts.powers++;
    sim_forget_messages();
    stream_power();

    for (i = 0; i < node_n; i++) {
        n = &node[i];
        n->fresh = 1;

        if (n->lease.known > stream_last) {
            node_world.lost_power_at = n->lease.known;
        }

        for (w = 0; w < SIM_WORKERS; w++) {
            thrown_off(n, &n->worker[w]);
        }
    }

    return 1;
}


/* What that node's files have, own appends included, becomes the past of a new
 * stream. */
static void
seed_from(const node_t *n)
{
    unsigned     i;
    uint32_t     claimed;
    sim_op_t     op;
    sim_view_t  *view;

    view = &stream_marks[0];
    *view = n->view;
    claimed = 0;

    for (i = 0; i < n->nown; i++) {
        if (!node_settled(&n->own[i], &n->view.chain)) {
            sim_add(&view->ids, n->own[i].id);
        }
    }

    for (i = 0; i < node_n; i++) {
        if (node[i].lease.chain.claimed > claimed) {
            claimed = node[i].lease.chain.claimed;
        }
    }

    kmq_chain_init(&view->chain);
    view->chain.seq = 1;
    view->chain.claimed = claimed + 1;
    view->chain.begun = claimed + 1;
    view->stamp = SIM_IDS * UINT64_C(1000) + ++node_world.uids;
    stream_nmarks = 1;

    memset(&op, 0, sizeof(op));
    op.uid = ++node_world.uids;
    op.stamp = view->stamp;
    op.entry.kind = KMQ_ENTRY_APPEND;
    op.entry.epoch = claimed + 1;
    op.entry.seq = 1;

    if (sim_missing(&node_world.oks, &view->ids)) {
        sim_fail("what was answered \"ok\" is not in the node that was named");
    }

    stream_seed(&op, view);
}


void
node_operator(void)
{
    unsigned  i, from, blocked;

    if (node_world.asked_for == 0) {
        return;
    }

    blocked = 0;

    for (i = 0; i < node_n; i++) {

        if (!node[i].up || node[i].lease.role == KMQ_LEASE_PRIMARY) {
            return;
        }

        blocked += node[i].lease.blocked;
    }

    if (!blocked) {
        return;
    }

    node_counts.seeds++;
    from = node_world.asked_for - 1;
    node_world.asked_for = 0;
    node_world.lost_power_at = 0;

    for (i = 0; i < node_n; i++) {
        node[i].view.chain = node[i].lease.chain;
    }

    sim_forget();
    seed_from(&node[from]);

    for (i = 0; i < node_n; i++) {
        node_kill(i, 0, SIM_S);
        node[i].differs = 0;
        node[i].view = stream_marks[0];
        node[i].flushed = stream_marks[0];
        node[i].nown = 0;
    }
}
