/* The workers of the nodes: node.h. */

#include "node_inside.h"


/* An entry, or a question, goes to the stream: it may be lost, or come twice,
 * the second time on another connection. */
void
node_to_stream(const node_t *n, sim_event_t *event)
{
    if (node_cut(node_number(n)) || sim_chance(10)) {
        return;
    }

    sim_later(event, sim_chance(30) ? sim_between(SIM_MS, 500 * SIM_MS)
                                    : sim_between(100, 2 * SIM_MS));

    if (sim_chance(20)) {
        sim_later(event, sim_between(SIM_MS, 5 * SIM_S));
    }
}


/* A worker was thrown off: what it knows to be in the stream has to be there,
 * before it sends more. */
static int
connected(node_t *n, worker_t *worker)
{
    if (!worker->fresh || !KMQ_RULE(SAME)) {
        return 1;
    }

    switch (stream_same(worker->done_seq, worker->done_uid)) {

    case 1:
        worker->fresh = 0;
        return 1;

    case 0:
        kmq_lease_differs(&n->lease);
        return 0;

    default:
        return 0;
    }
}


/* A batch, for the first time or again.  No answer comes to the worker in time:
 * it repeats. */
void
node_send(node_t *n, const own_t *own, int waits)
{
    sim_event_t  event;

    event = node_later(n, SIM_PROPOSE);
    event.worker = own->worker;
    event.job = own->job;
    event.epoch = own->epoch;
    event.slot = own->slot;
    event.op.uid = own->uid;
    event.op.id = own->id;
    event.op.mark = own->mark;
    event.op.entry.kind = KMQ_ENTRY_APPEND;
    event.op.entry.epoch = own->epoch;
    event.op.entry.writer = own->writer;
    event.op.entry.slot = own->slot;

    if (!waits || connected(n, &n->worker[own->worker])) {
        node_to_stream(n, &event);
    }

    if (waits) {
        event.kind = SIM_SILENT;
        event.answer = KMQ_WRITER_SILENT;
        sim_later(&event, sim_between(500 * SIM_MS, 2 * SIM_S));
    }
}


static own_t *
own_of(node_t *n, uint32_t epoch, unsigned writer, uint64_t slot)
{
    unsigned  i;
    own_t    *own;

    for (i = 0; i < n->nown; i++) {
        own = &n->own[i];

        if (own->epoch == epoch && own->writer == writer
            && own->slot == slot)
        {
            return own;
        }
    }

    return NULL;
}


/* What the stream has, or will never count, is no more of interest, once that
 * is on disk. */
int
node_settled(const own_t *own, const kmq_chain_t *chain)
{
    if (own->epoch != chain->begun) {
        return own->epoch < chain->begun;
    }

    return kmq_chain_counts(chain, own->writer, own->slot)
           || chain->writer[own->writer].closed;
}


int
node_has_tail(const node_t *n, const kmq_chain_t *chain)
{
    unsigned  i;

    for (i = 0; i < n->nown; i++) {
        if (!node_settled(&n->own[i], chain)) {
            return 1;
        }
    }

    return 0;
}


void
node_forget(node_t *n)
{
    own_t     *own;
    unsigned   i, k;

    k = 0;

    for (i = 0; i < n->nown; i++) {
        own = &n->own[i];

        if (!node_settled(own, &n->flushed.chain)
            || (own->job && n->worker[own->worker].job == own->job
                && !n->worker[own->worker].writer.closed && !own->done))
        {
            n->own[k++] = *own;
        }
    }

    n->nown = k;
}


int
node_works(const node_t *n, const worker_t *worker)
{
    if (n->epoch == 0 || worker->job == 0) {
        return 0;
    }

    if (!SIM_RULE(CLOCK)) {
        return worker->serves;
    }

    return node_clock(n) < kmq_lease_until(&n->lease, SIM_RULE(EPOCH)
                                                 ? n->epoch : n->lease.epoch);
}


static void
push(const node_t *n)
{
    uint64_t  late;

    node_counts.pushes++;

    if (stream_truth.chain.begun <= n->epoch) {
        return;
    }

    late = sim_now - stream_begun_at;

    if (late > SIM_TIMEOUT * SIM_MS / 2 * 102 / 100 + SIM_MS) {
        sim_trace("node %u pushed, epoch %u, role %u of %u", node_number(n),
                  n->epoch, n->lease.role, n->lease.epoch);
        sim_fail("an old primary pushed for longer than half of the timeout");
    }
}


void
node_append(node_t *n, unsigned w, uint32_t id, int mark)
{
    own_t     *own;
    uint64_t   slot;
    worker_t  *worker;

    worker = &n->worker[w];

    if (n->nown == NODE_OWN) {
        return;
    }

    slot = kmq_writer_append(&worker->writer, node_clock(n));

    if (slot == 0) {
        return;
    }

    own = &n->own[n->nown++];

    *own = (own_t) {
        .uid = ++node_world.uids,
        .slot = slot,
        .known = n->lease.known,
        .id = id,
        .epoch = worker->writer.epoch,
        .job = worker->job,
        .mark = mark,
        .writer = worker->writer.writer,
        .worker = w
    };

    node_send(n, own, 1);
}


void
node_work(node_t *n, unsigned w)
{
    sim_event_t  event;

    if (node_works(n, &n->worker[w])) {
        push(n);

        if (node_world.ids + 1 < SIM_IDS) {
            node_append(n, w, ++node_world.ids, -1);
        }
    }

    event = node_later(n, SIM_WORK);
    event.worker = w;
    sim_later(&event, sim_between(5 * SIM_MS, 200 * SIM_MS));
}


static void
answered_ok(const own_t *own)
{
    sim_trace("ok to %u, %u.%u.%llu", own->id, own->epoch, own->writer,
              (unsigned long long) own->slot);

    node_counts.oks++;
    sim_add(&node_world.oks, own->id);

    if (node_world.lost_power_at) {
        /* it is for whoever is seeded from */
        return;
    }

    if (!sim_has(&stream_truth.ids, own->id)) {
        sim_fail("\"ok\" to what does not count");
    }

    if (own->epoch < stream_truth.chain.begun
        && !sim_has(&node_world.begun_with, own->id))
    {
        sim_fail("\"ok\" to what the next primary has not");
    }
}


/* The checkpoint's mark is there: what it covers may go. */
static void
send_purge(const node_t *n, int mark)
{
    sim_event_t  event;

    event = node_later(n, SIM_PROPOSE);
    event.op.purge = stream_marks[mark].chain.seq;

    sim_later(&event, sim_chance(100) ? sim_between(SIM_S, 20 * SIM_S)
                                      : sim_between(SIM_MS, SIM_S));
}


/* Answers what is both in the stream and on disk. */
void
node_answer_done(node_t *n)
{
    own_t     *own;
    worker_t  *worker;
    unsigned   i;

    for (i = 0; i < n->nown; i++) {
        own = &n->own[i];
        worker = &n->worker[own->worker];

        if (own->job == 0
            || own->job != worker->job
            || own->done
            || own->slot > worker->writer.done
            || (!own->flushed && SIM_RULE(FLUSH)))
        {
            continue;
        }

        own->done = 1;

        if (own->mark >= 0) {
            send_purge(n, own->mark);
        }

        if (own->id) {
            answered_ok(own);
        }
    }
}


static void
worker_next(node_t *n, worker_t *worker, const sim_event_t *answer,
    kmq_writer_next_e next)
{
    own_t        *own;
    sim_event_t   event;

    own = own_of(n, worker->writer.epoch, worker->writer.writer,
                 answer->slot);

    if (own == NULL || next == KMQ_WRITER_NOTHING) {
        return;
    }

    if (next == KMQ_WRITER_SEND) {
        node_send(n, own, 1);
        return;
    }

    node_counts.looks++;

    event = *answer;
    event.kind = SIM_LOOK;
    node_to_stream(n, &event);
}


static void
remember(node_t *n, worker_t *worker)
{
    own_t  *own;

    own = own_of(n, worker->writer.epoch, worker->writer.writer,
                 worker->writer.done);

    if (own) {
        worker->done_uid = own->uid;
        worker->done_seq = worker->writer.slot[worker->writer.done
                                               % KMQ_WRITER_WINDOW].seq;
    }
}


void
node_answer(node_t *n, const sim_event_t *answer)
{
    uint64_t      done;
    worker_t     *worker;
    sim_event_t   event;

    worker = &n->worker[answer->worker];

    if (worker->job == 0 || worker->job != answer->job) {
        return;
    }

    done = worker->writer.done;

    if (answer->kind == SIM_FOUND) {
        kmq_writer_found(&worker->writer, answer->slot, answer->answer,
                         answer->seq);
    } else {
        worker_next(n, worker, answer,
                    kmq_writer_answer(&worker->writer, answer->slot,
                                      answer->answer, answer->seq));
    }

    event = node_later(n, SIM_ACKED);
    event.epoch = worker->writer.epoch;

    if (worker->writer.done > done) {
        remember(n, worker);
        event.sent = worker->writer.sent;
        event.seq = worker->writer.seq;
        sim_later(&event, sim_between(10, SIM_MS));
        node_answer_done(n);
    }

    if (worker->writer.closed) {
        event.kind = SIM_CLOSED;
        sim_later(&event, sim_between(10, SIM_MS));
    }
}


/* A worker takes a writer that nobody has used. */
void
node_hire(node_t *n, unsigned w)
{
    worker_t  *worker;

    worker = &n->worker[w];
    worker->job = 0;

    if (n->writers == SIM_WRITERS) {
        return;
    }

    kmq_writer_init(&worker->writer, n->epoch, n->writers++);
    worker->job = ++node_world.jobs;
    worker->fresh = 0;
    worker->done_seq = 0;
    worker->serves = 1;
}


void
node_respawn(unsigned number)
{
    node_t  *n;

    n = &node[number];

    if (n->up && n->epoch) {
        node_hire(n, sim_random(SIM_WORKERS));
    }
}


void
node_checkpoint(unsigned number)
{
    node_t    *n;
    unsigned   w;

    n = &node[number];
    w = sim_random(SIM_WORKERS);

    if (!n->up || n->paused > sim_now || !node_works(n, &n->worker[w])
        || stream_nmarks == SIM_MARKS)
    {
        return;
    }

    stream_marks[stream_nmarks] = n->view;
    stream_marks[stream_nmarks].chain = n->lease.chain;
    node_append(n, w, 0, stream_nmarks++);
}
