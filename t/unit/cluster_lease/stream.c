/* A replicated stream: stream.h. */

#include "node.h"
#include "stream.h"


#define HASH  32768

/* Of the log. */
typedef struct {
    sim_event_t  from;             /* who waits for the answer, and the entry */
    uint64_t     seq;              /* committed: of it, or what was there */
    uint8_t      answered;
    uint8_t      taken;
} item_t;

/* Of the stream. */
typedef struct {
    uint32_t     item;
    uint8_t      gone;             /* purged */
} message_t;

stream_replica_t  stream_replica[STREAM_REPLICAS];
int               stream_leader;
sim_view_t        stream_truth;
uint64_t          stream_begun_at;
uint64_t          stream_last;
sim_view_t        stream_marks[SIM_MARKS];
int               stream_nmarks;
void            (*stream_begun)(const kmq_entry_t *entry);

static item_t     items[STREAM_LOG];
static uint32_t   nitems;
static uint32_t   committed;
static message_t  messages[STREAM_LOG + 1];
static uint64_t   hash_key[HASH];
static uint64_t   hash_seq[HASH];
static uint64_t   stamps;
static int        electing;
static unsigned   flushes;         /* of a thousand steps of a replica */
static int        seeded;          /* the first entry has a past */
static sim_view_t past;
static int        committing;
static int        applying[STREAM_REPLICAS];


static uint64_t
key_of(const kmq_entry_t *entry)
{
    if (entry->kind == KMQ_ENTRY_CLAIM) {
        return UINT64_C(1) << 63 | entry->epoch;
    }

    return UINT64_C(1) << 62 | (uint64_t) entry->epoch << 40
           | (uint64_t) entry->writer << 32 | entry->slot;
}


/* Where a place has its sequence; 0 there: it is free. */
static uint64_t *
place_of(const kmq_entry_t *entry)
{
    uint64_t  key, i;

    key = key_of(entry);
    i = key * UINT64_C(0x9e3779b97f4a7c15) >> 40;

    for (i %= HASH; hash_key[i] && hash_key[i] != key; i = (i + 1) % HASH) {
        /* void */
    }

    hash_key[i] = key;

    return &hash_seq[i];
}


static void
purge(uint64_t seq)
{
    uint64_t           i, *place;
    const kmq_entry_t  *entry;

    for (i = 1; i <= seq && i <= stream_last; i++) {
        entry = &items[messages[i].item].from.op.entry;

        if (messages[i].gone
            || (entry->kind != KMQ_ENTRY_APPEND && SIM_RULE(KEEP)))
        {
            continue;
        }

        messages[i].gone = 1;
        place = place_of(entry);

        if (*place == i) {
            *place = 0;
        }
    }
}


/* An entry's turn has come: is its place free? */
static void
commit_item(uint32_t number)
{
    item_t       *item;
    uint64_t     *place;
    sim_op_t      op;
    kmq_chain_e   what;
    kmq_chain_t   before;

    item = &items[number];
    op = item->from.op;

    if (op.purge) {
        sim_trace("purge up to %llu", (unsigned long long) op.purge);
        purge(op.purge);
        return;
    }

    place = place_of(&op.entry);

    if (*place && SIM_RULE(EXPECT) && SIM_RULE(AT_APPLY)) {
        item->taken = 1;
        item->seq = *place;
        return;
    }

    if (op.stamp == 0) {
        op.stamp = ++stamps;
    }

    op.entry.seq = ++stream_last;
    item->from.op = op;
    item->seq = op.entry.seq;
    messages[stream_last].item = number;
    messages[stream_last].gone = 0;
    *place = stream_last;

    before = stream_truth.chain;
    what = kmq_chain_read(&stream_truth.chain, &op.entry);
    sim_view(&stream_truth, &before, &stream_truth.chain, what, &op);

    if (op.entry.kind != KMQ_ENTRY_APPEND || sim_traced > 1) {
        sim_trace("%llu: entry %u of %u.%u.%llu for %u: %u",
                  (unsigned long long) stream_last, op.entry.kind,
                  op.entry.epoch, op.entry.writer,
                  (unsigned long long) op.entry.slot, op.entry.by, what);
    }

    if (what == KMQ_CHAIN_BEGUN && stream_begun) {
        stream_begun_at = sim_now;
        stream_begun(&op.entry);
    }
}


/* Something is to be committed, or applied, in a moment. */
static void
commit_soon(void)
{
    sim_event_t  event;

    if (!committing) {
        committing = 1;
        event = sim_event(SIM_COMMIT, 0);
        sim_later(&event, sim_between(200, 3 * SIM_MS));
    }
}


static void
apply_soon(unsigned replica)
{
    sim_event_t  event;

    if (!applying[replica]) {
        applying[replica] = 1;
        event = sim_event(SIM_APPLY, replica);
        sim_later(&event, sim_chance(10) ? sim_between(SIM_MS, 2 * SIM_S)
                                         : sim_between(200, 3 * SIM_MS));
    }
}


static void
all_apply_soon(void)
{
    unsigned  i;

    for (i = 0; i < STREAM_REPLICAS; i++) {
        apply_soon(i);
    }
}


static int
reachable(unsigned replica)
{
    return stream_replica[replica].up && !stream_replica[replica].cut;
}


static int
quorum(void)
{
    return reachable(0) + reachable(1) + reachable(2) >= 2;
}


/* Committed items from a number on are not what was thought: all that follows
 * from them is made once more. */
static void
truncate_log(uint32_t n)
{
    uint32_t  i;

    nitems = n;
    committed = n;
    stream_last = 0;
    memset(hash_key, 0, sizeof(hash_key));
    memset(hash_seq, 0, sizeof(hash_seq));
    memset(&stream_truth, 0, sizeof(stream_truth));

    for (i = 0; i < n; i++) {
        items[i].taken = 0;
        commit_item(i);

        if (i == 0 && seeded) {
            stream_truth = past;
        }
    }
}


void
stream_reset(void)
{
    unsigned  i;

    memset(stream_replica, 0, sizeof(stream_replica));

    stream_begun = node_begun;
    stream_leader = 0;
    stream_nmarks = 0;
    stream_begun_at = 0;
    electing = 0;
    seeded = 0;
    flushes = sim_chance(500) ? 5 : sim_chance(500) ? 100 : 800;
    committing = 0;
    memset(applying, 0, sizeof(applying));
    truncate_log(0);

    for (i = 0; i < STREAM_REPLICAS; i++) {
        stream_replica[i].up = 1;
    }
}


void
stream_send(sim_event_t *event)
{
    if (sim_chance(10) || node_cut(event->node)) {
        return;
    }

    sim_later(event, sim_chance(30) ? sim_between(SIM_MS, SIM_S)
                                    : sim_between(100, 2 * SIM_MS));
}


static void
answer(const item_t *item)
{
    sim_event_t  event;

    event = item->from;

    if (event.op.purge || event.op.entry.kind != KMQ_ENTRY_APPEND) {
        return;
    }

    event.kind = SIM_ANSWER;
    event.slot = event.op.entry.slot;
    event.answer = item->taken ? KMQ_WRITER_TAKEN : KMQ_WRITER_STORED;
    event.seq = item->seq;

    stream_send(&event);
}


void
stream_propose(const sim_event_t *event)
{
    item_t     item;
    uint64_t  *place;

    if (stream_leader < 0
        || !stream_replica[stream_leader].up
        || nitems == STREAM_LOG)
    {
        return;
    }

    memset(&item, 0, sizeof(item));
    item.from = *event;

    if (SIM_RULE(EXPECT) && !event->op.purge) {
        place = place_of(&event->op.entry);

        /* the leader knows what it has applied */
        if (*place && messages[*place].item
                      < stream_replica[stream_leader].applied)
        {
            item.taken = 1;
            item.seq = *place;
            answer(&item);
            return;
        }
    }

    if (stream_replica[stream_leader].cut) {
        /* nobody will ever hear of it */
        return;
    }

    items[nitems++] = item;
    commit_soon();
}


void
stream_commit(void)
{
    uint32_t  n;

    committing = 0;

    if (stream_leader < 0 || !reachable(stream_leader) || !quorum()) {
        return;
    }

    for (n = sim_random(nitems - committed + 1); n; n--) {
        commit_item(committed++);
    }

    all_apply_soon();

    if (committed < nitems) {
        commit_soon();
    }
}


void
stream_apply(unsigned replica)
{
    uint32_t           i;
    stream_replica_t  *r;

    applying[replica] = 0;
    r = &stream_replica[replica];

    if (!reachable(replica) || r->applied == committed) {
        return;
    }

    r->applied += sim_random(committed - r->applied) + 1;

    if (sim_chance(flushes)) {
        r->flushed = r->applied;
    }

    if (stream_leader == (int) replica) {

        for (i = r->applied; i && !items[i - 1].answered; i--) {
            items[i - 1].answered = 1;
            answer(&items[i - 1]);
        }
    }

    apply_soon(replica);
}


void
stream_lose_leader(void)
{
    sim_event_t  event;

    stream_leader = -1;

    if (!electing) {
        electing = 1;
        event = sim_event(SIM_ELECT, 0);
        sim_later(&event, sim_chance(500) ? sim_between(100 * SIM_MS, SIM_S)
                                          : sim_between(4 * SIM_S, 9 * SIM_S));
    }
}


/* What was not committed may be known to the next leader, or not. */
void
stream_elect(void)
{
    unsigned     i;
    sim_event_t  event;

    if (!quorum()) {
        event = sim_event(SIM_ELECT, 0);
        sim_later(&event, 500 * SIM_MS);
        return;
    }

    electing = 0;
    nitems = committed + sim_random(nitems - committed + 1);

    do {
        i = sim_random(STREAM_REPLICAS);
    } while (!reachable(i));

    stream_leader = i;
    sim_trace("replica %u leads, %u of %u applied", i,
              stream_replica[i].applied, committed);
    commit_soon();
}


void
stream_down(unsigned replica, int cut, uint64_t time)
{
    sim_event_t  event;

    if (cut) {
        stream_replica[replica].cut = 1;
    } else {
        stream_replica[replica].up = 0;
    }

    if (stream_leader == (int) replica) {
        stream_lose_leader();
    }

    event = sim_event(SIM_UP, replica);
    sim_later(&event, time);
}


void
stream_up(unsigned replica)
{
    stream_replica[replica].up = 1;
    stream_replica[replica].cut = 0;
    apply_soon(replica);
    commit_soon();
}


void
stream_heal(void)
{
    unsigned  i;

    for (i = 0; i < STREAM_REPLICAS; i++) {
        stream_up(i);
    }
}


static void
stream_restart(void)
{
    unsigned  i;

    committing = 0;
    memset(applying, 0, sizeof(applying));

    for (i = 0; i < STREAM_REPLICAS; i++) {
        stream_up(i);
        stream_replica[i].applied = committed;
        stream_replica[i].flushed = committed;
    }

    electing = 0;
    stream_lose_leader();
}


/* The longest log of a majority is what is left. */
void
stream_power(void)
{
    uint32_t  n, a, b, c, keep;

    a = stream_replica[0].flushed;
    b = stream_replica[1].flushed;
    c = stream_replica[2].flushed;

    n = a > b ? a : b;
    n = n > c ? n : c;

    if (sim_chance(300)) {
        /* that one comes too late */
        n = a + b + c - n - (a < b ? (a < c ? a : c) : (b < c ? b : c));
    }

    if (sim_chance(500)) {
        /* most of the tail was flushed after all */
        keep = committed - (committed < 8 ? 0 : sim_random(8));
        n = n > keep ? n : keep;
    }

    sim_trace("power lost: %u of %u are left", n, committed);

    stream_begun = NULL;
    truncate_log(n);
    stream_begun = node_begun;
    stream_restart();
}


void
stream_seed(const sim_op_t *op, const sim_view_t *view)
{
    memset(&items[0], 0, sizeof(items[0]));

    items[0].from.op = *op;
    items[0].answered = 1;

    past = *view;
    seeded = 1;
    truncate_log(1);
    stream_restart();
}


const sim_op_t *
stream_read(unsigned replica, uint64_t seq)
{
    for ( ; seq <= stream_last; seq++) {

        if (messages[seq].item >= stream_replica[replica].applied) {
            break;
        }

        if (!messages[seq].gone) {
            return &items[messages[seq].item].from.op;
        }
    }

    return NULL;
}


int
stream_same(uint64_t seq, uint64_t uid)
{
    const sim_op_t  *op;

    if (stream_leader < 0) {
        return -1;
    }

    op = stream_read(stream_leader, seq);

    if (op == NULL) {
        return -1;
    }

    /* it may have been purged: a purge is behind a mark, which was compared */
    return op->entry.seq != seq || op->uid == uid;
}


int
stream_mark(unsigned replica)
{
    int              best;
    uint64_t         seq;
    const sim_op_t  *op;

    best = -1;

    for (seq = 1; (op = stream_read(replica, seq)); seq = op->entry.seq + 1) {

        if (op->mark >= 0
            && (best < 0 || stream_marks[op->mark].chain.seq
                            > stream_marks[best].chain.seq))
        {
            best = op->mark;
        }
    }

    return best;
}


void
stream_look(const sim_event_t *event)
{
    uint64_t     seq;
    sim_event_t  found;

    if (stream_leader < 0 || !stream_replica[stream_leader].up) {
        return;
    }

    seq = *place_of(&event->op.entry);

    if (seq == 0
        || messages[seq].item >= stream_replica[stream_leader].applied)
    {
        return;
    }

    found = *event;
    found.kind = SIM_FOUND;
    found.answer = items[messages[seq].item].from.op.uid == event->op.uid;
    found.seq = seq;

    stream_send(&found);
}


void
stream_ask(const sim_event_t *event)
{
    sim_event_t  end;

    if (stream_leader < 0 || !reachable(stream_leader)) {
        return;
    }

    end = *event;
    end.kind = SIM_END;
    end.seq = stream_last;

    while (end.seq && messages[end.seq].item
                      >= stream_replica[stream_leader].applied)
    {
        end.seq--;
    }

    stream_send(&end);
}
