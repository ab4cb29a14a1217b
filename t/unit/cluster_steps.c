/*
 * The lease and its parts, step by step: what is what, without chance.
 * cluster_lease.c has all the rest.
 */

#include "../../src/cluster/kmq_lease.h"
#include "../../src/cluster/kmq_writer.h"
#include "tap.h"


#define TIMEOUT  1000              /* ms */

static uint64_t  last;             /* sequence of the stream */


static kmq_entry_t
entry(kmq_entry_kind_e kind, uint32_t epoch, unsigned writer, uint64_t slot)
{
    kmq_entry_t  e;

    memset(&e, 0, sizeof(e));

    e.seq = ++last;
    e.kind = kind;
    e.epoch = epoch;
    e.writer = writer;
    e.slot = slot;

    return e;
}


static kmq_chain_e
show(kmq_chain_t *chain, kmq_entry_kind_e kind, uint32_t epoch,
    unsigned writer, uint64_t slot)
{
    kmq_entry_t  e;

    e = entry(kind, epoch, writer, slot);
    e.writers = 2;
    e.by = epoch + 1;

    return kmq_chain_read(chain, &e);
}


static void
test_chain(void)
{
    kmq_entry_t  open;
    kmq_chain_t  chain;

    last = 0;
    kmq_chain_init(&chain);

    is_int(show(&chain, KMQ_ENTRY_APPEND, 1, 0, 1), KMQ_CHAIN_VOID,
           "chain: nothing counts before an epoch has begun");
    is_int(show(&chain, KMQ_ENTRY_BEGIN, 1, 0, 0), KMQ_CHAIN_VOID,
           "chain: nor does a beginning that was not claimed");
    is_int(show(&chain, KMQ_ENTRY_CLAIM, 1, 0, 0), KMQ_CHAIN_CLAIMED,
           "chain: a claim");
    is_int(show(&chain, KMQ_ENTRY_CLAIM, 1, 0, 0), KMQ_CHAIN_VOID,
           "chain: another of that epoch");
    is_int(show(&chain, KMQ_ENTRY_BEGIN, 1, 0, 0), KMQ_CHAIN_BEGUN,
           "chain: its beginning");
    is_int(show(&chain, KMQ_ENTRY_APPEND, 1, 0, 1), KMQ_CHAIN_COUNTS,
           "chain: an append");
    is_int(show(&chain, KMQ_ENTRY_APPEND, 1, 0, 3), KMQ_CHAIN_HELD_BACK,
           "chain: one before its turn");
    is_int(show(&chain, KMQ_ENTRY_APPEND, 1, 0, 2), KMQ_CHAIN_COUNTS,
           "chain: the one it waited for");
    is_int(chain.writer[0].last, 3, "chain: and both are there");
    is_int(show(&chain, KMQ_ENTRY_APPEND, 1, 0, 5), KMQ_CHAIN_HELD_BACK,
           "chain: another before its turn");
    is_int(show(&chain, KMQ_ENTRY_CLAIM, 2, 0, 0), KMQ_CHAIN_CLAIMED,
           "chain: the next claim");
    is_int(show(&chain, KMQ_ENTRY_BEGIN, 2, 0, 0), KMQ_CHAIN_VOID,
           "chain: no beginning while the old epoch is open");

    ok(kmq_chain_open(&chain, 0, &open) && open.writer == 0 && open.slot == 4,
       "chain: the writer's next slot is to be closed");
    ok(kmq_chain_open(&chain, 1, &open) && open.writer == 1 && open.slot == 1,
       "chain: the writer that nobody used, too");
    ok(!kmq_chain_open(&chain, 2, &open), "chain: and no more");

    is_int(show(&chain, KMQ_ENTRY_CLOSE, 1, 0, 3), KMQ_CHAIN_VOID,
           "chain: a closing in another slot");
    is_int(show(&chain, KMQ_ENTRY_CLOSE, 1, 0, 4), KMQ_CHAIN_CLOSED,
           "chain: a closing");
    is_int(show(&chain, KMQ_ENTRY_APPEND, 1, 0, 5), KMQ_CHAIN_VOID,
           "chain: what is behind it is void");
    is_int(show(&chain, KMQ_ENTRY_CLOSE, 1, 1, 1), KMQ_CHAIN_CLOSED,
           "chain: the other writer is closed");
    is_int(show(&chain, KMQ_ENTRY_BEGIN, 2, 0, 0), KMQ_CHAIN_BEGUN,
           "chain: the next epoch begins");
    is_int(show(&chain, KMQ_ENTRY_APPEND, 1, 1, 1), KMQ_CHAIN_VOID,
           "chain: appends of the old one are void");

    last++;
    is_int(show(&chain, KMQ_ENTRY_APPEND, 2, 0, 1), KMQ_CHAIN_GAP,
           "chain: a hole is seen");
}


static void
test_writer(void)
{
    int           i;
    kmq_writer_t  w;

    kmq_writer_init(&w, 1, 0);

    for (i = 1; i <= KMQ_WRITER_WINDOW; i++) {
        if (kmq_writer_append(&w, 10 * i) != (uint64_t) i) {
            break;
        }
    }

    is_int(i, KMQ_WRITER_WINDOW + 1, "writer: slot after slot");
    is_int(kmq_writer_append(&w, 1), 0, "writer: so many, and no more");

    (void) kmq_writer_answer(&w, 2, KMQ_WRITER_STORED, 102);
    is_int(w.done, 0, "writer: the second is not done before the first");

    is_int(kmq_writer_answer(&w, 1, KMQ_WRITER_SILENT, 0), KMQ_WRITER_SEND,
           "writer: no answer: it is sent again");
    is_int(kmq_writer_answer(&w, 1, KMQ_WRITER_TAKEN, 101), KMQ_WRITER_ASK,
           "writer: the place is taken: by whom?");
    kmq_writer_found(&w, 1, 1, 101);

    is_int(w.done, 2, "writer: by itself: both are done");
    ok(w.seq == 102 && w.sent == 20, "writer: where, and when they were sent");

    (void) kmq_writer_answer(&w, 4, KMQ_WRITER_STORED, 104);
    kmq_writer_again(&w);
    (void) kmq_writer_answer(&w, 3, KMQ_WRITER_STORED, 105);
    is_int(w.done, 3, "writer: after a lost connection answers are forgotten");

    kmq_writer_found(&w, 4, 0, 106);
    ok(w.closed && kmq_writer_append(&w, 1) == 0,
       "writer: another's entry ends it");
    is_int(w.done, 3, "writer: and it was done up to there");
}


/* ---------------------------------------------------------------- the lease */

/* Takes all actions out; the last of a kind, or NULL. */
static const kmq_lease_action_t *
acts(kmq_lease_t *lease, kmq_lease_action_e kind)
{
    int                        found;
    kmq_lease_action_t         action;
    static kmq_lease_action_t  last_one;

    found = 0;

    while (kmq_lease_next(lease, &action)) {
        if (action.kind == kind) {
            last_one = action;
            found = 1;
        }
    }

    return found ? &last_one : NULL;
}


static void
start(kmq_lease_t *lease, uint32_t number, uint64_t reach)
{
    kmq_chain_t         chain;
    kmq_lease_config_t  config;

    memset(&config, 0, sizeof(config));

    config.who.node = number;
    config.who.start = 7;
    config.nodes = 2;
    config.writers = 2;
    config.timeout = TIMEOUT;
    config.rest = 30 * TIMEOUT;
    config.stall = 4 * TIMEOUT;

    kmq_chain_init(&chain);
    kmq_lease_start(lease, &config, &chain, reach, 0, 0, 1);
}


/* News of the other node: it is there, and knows of so much. */
static void
hear(kmq_lease_t *lease, uint64_t seq, uint64_t known, uint32_t active)
{
    kmq_news_t  news;

    memset(&news, 0, sizeof(news));

    news.from.node = 1 - lease->config.who.node;
    news.epoch = active;
    news.active = active != 0;
    news.primary = active != 0;
    news.seq = seq;
    news.known = known;
    news.successor = KMQ_NOBODY;

    kmq_lease_news(lease, &news);
}


static void
end(kmq_lease_t *lease, uint64_t now, uint64_t seq)
{
    const kmq_lease_action_t  *ask;

    kmq_lease_time(lease, now);
    ask = acts(lease, KMQ_LEASE_ASK);

    if (ok(ask != NULL, "lease: at %llu it asks for the stream's end",
           (unsigned long long) now))
    {
        kmq_lease_end(lease, ask->ask, seq);
    }
}


static void
feed_from(kmq_lease_t *lease, uint32_t number, kmq_entry_kind_e kind,
    uint32_t epoch, unsigned writer, uint64_t slot)
{
    kmq_entry_t  e;

    e = entry(kind, epoch, writer, slot);
    e.who.node = number;
    e.who.start = lease->config.who.start;
    e.writers = 2;
    e.by = 9;

    (void) kmq_lease_entry(lease, &e);
}


static void
feed(kmq_lease_t *lease, kmq_entry_kind_e kind, uint32_t epoch,
    unsigned writer, uint64_t slot)
{
    feed_from(lease, lease->config.who.node, kind, epoch, writer, slot);
}


/* From a start to the first epoch. */
static void
become_primary(kmq_lease_t *lease)
{
    const kmq_lease_action_t  *action;

    last = 0;
    start(lease, 0, 0);

    end(lease, TIMEOUT + 1, 0);
    ok(acts(lease, KMQ_LEASE_WRITE) == NULL,
       "lease: cold, and the other was not heard: no claim");

    hear(lease, 0, 0, 0);
    end(lease, 2 * TIMEOUT, 0);
    action = acts(lease, KMQ_LEASE_WRITE);
    ok(action && action->entry.kind == KMQ_ENTRY_CLAIM
       && action->entry.epoch == 1, "lease: it was: a claim");

    feed(lease, KMQ_ENTRY_CLAIM, 1, 0, 0);
    ok(acts(lease, KMQ_LEASE_RECOVER) != NULL,
       "lease: nothing is to be closed: it recovers");

    kmq_lease_recovered(lease, 1);
    action = acts(lease, KMQ_LEASE_WRITE);
    ok(action && action->entry.kind == KMQ_ENTRY_BEGIN,
       "lease: it wants to begin");
    is_int(kmq_lease_until(lease, 1), 0, "lease: and may not push yet");

    feed(lease, KMQ_ENTRY_BEGIN, 1, 0, 0);
    action = acts(lease, KMQ_LEASE_SERVE);
    ok(action && action->entry.epoch == 1, "lease: it serves");
}


static void
test_primary(void)
{
    kmq_lease_t  lease;

    become_primary(&lease);

    is_int(kmq_lease_until(&lease, 1), 2 * TIMEOUT + TIMEOUT / 2,
           "primary: for half of the timeout from when it wrote");
    is_int(kmq_lease_until(&lease, 2), 0, "primary: not for another epoch");

    kmq_lease_acked(&lease, 1, 2 * TIMEOUT + 100, 5);
    is_int(kmq_lease_until(&lease, 1), 2 * TIMEOUT + 100 + TIMEOUT / 2,
           "primary: an acknowledgement counts from when it was sent");

    kmq_lease_time(&lease, 3 * TIMEOUT);
    ok(acts(&lease, KMQ_LEASE_PAUSE) && lease.role == KMQ_LEASE_PAUSED,
       "primary: without one it pauses");

    kmq_lease_acked(&lease, 1, 3 * TIMEOUT - 1, 6);
    ok(acts(&lease, KMQ_LEASE_RESUME) && lease.role == KMQ_LEASE_PRIMARY,
       "primary: with one it goes on");

    is_int(kmq_lease_step_down(&lease), KMQ_NOBODY,
           "primary: no step down: nobody is there");

    kmq_lease_time(&lease, 3 * TIMEOUT + TIMEOUT / 4);
    hear(&lease, 4, 4, 0);
    kmq_lease_time(&lease, 3 * TIMEOUT + TIMEOUT / 2 - 2);
    is_int(kmq_lease_step_down(&lease), KMQ_NOBODY,
           "primary: no step down: nobody has caught up");

    hear(&lease, 6, 6, 0);
    is_int(kmq_lease_step_down(&lease), 1, "primary: for whoever has");
    ok(acts(&lease, KMQ_LEASE_DEPOSE) != NULL, "primary: it lets go");

    kmq_lease_let_go(&lease);
    hear(&lease, 6, 6, 0);
    kmq_lease_time(&lease, 5 * TIMEOUT);
    ok(acts(&lease, KMQ_LEASE_ASK) == NULL, "primary: and rests");
    kmq_lease_time(&lease, 7 * TIMEOUT);
    ok(acts(&lease, KMQ_LEASE_ASK) != NULL, "primary: unless it is alone");
}


static void
test_takeover(void)
{
    kmq_lease_t  lease;

    last = 0;
    start(&lease, 1, 0);

    feed_from(&lease, 0, KMQ_ENTRY_CLAIM, 1, 0, 0);
    feed_from(&lease, 0, KMQ_ENTRY_BEGIN, 1, 0, 0);
    feed_from(&lease, 0, KMQ_ENTRY_APPEND, 1, 0, 1);

    kmq_lease_time(&lease, 100);
    hear(&lease, 3, 3, 1);
    kmq_lease_time(&lease, 1000);
    ok(acts(&lease, KMQ_LEASE_ASK) == NULL, "takeover: a beat was heard");

    end(&lease, 1300, 3);
    ok(acts(&lease, KMQ_LEASE_WRITE) != NULL,
       "takeover: then no more, and it claims: it is warm");

    feed(&lease, KMQ_ENTRY_CLAIM, 2, 0, 0);
    ok(acts(&lease, KMQ_LEASE_WRITE) != NULL
       && lease.role == KMQ_LEASE_CLOSING, "takeover: it closes");

    feed(&lease, KMQ_ENTRY_CLOSE, 1, 1, 1);
    is_int(lease.role, KMQ_LEASE_CLOSING, "takeover: one writer is open");
    feed(&lease, KMQ_ENTRY_APPEND, 1, 0, 2);
    ok(acts(&lease, KMQ_LEASE_WRITE) != NULL,
       "takeover: it was faster: the next slot is to be closed");
    feed(&lease, KMQ_ENTRY_CLOSE, 1, 0, 3);
    ok(acts(&lease, KMQ_LEASE_RECOVER) != NULL,
       "takeover: all is closed and read: it recovers");

    feed_from(&lease, 0, KMQ_ENTRY_CLAIM, 3, 0, 0);
    ok(acts(&lease, KMQ_LEASE_DEPOSE) != NULL,
       "takeover: another claims a later epoch");
}


static void
test_short(void)
{
    uint64_t                   i;
    kmq_lease_t                lease;
    const kmq_lease_action_t  *block;

    last = 0;
    start(&lease, 0, 0);

    hear(&lease, 9, 9, 0);
    end(&lease, TIMEOUT + 1, 8);
    hear(&lease, 9, 9, 0);
    ok(acts(&lease, KMQ_LEASE_WRITE) == NULL,
       "short: the other knows more than there is: no claim");

    for (i = 2; i <= 8; i++) {
        end(&lease, i * TIMEOUT, 8);
    }

    block = acts(&lease, KMQ_LEASE_BLOCK);
    ok(block && block->node == 1, "short: it stays so: the other has most");

    hear(&lease, 9, 9, 0);
    end(&lease, 9 * TIMEOUT, 9);
    is_int(lease.blocked, 0, "short: the leader had lagged");
}


int
main(void)
{
    test_chain();
    test_writer();
    test_primary();
    test_takeover();
    test_short();

    return done_testing();
}
