/*
 * The lease in a simulated world: two or three nodes, a replicated stream, a
 * network that loses, repeats and reorders, clocks that differ by 1 %, and
 * pauses, partitions, deaths and losses of power at random.
 *
 * What has to hold is looked at all the time:
 *
 *   - whatever was answered "ok" is in what the next primary recovers
 *   - nobody answers "ok" to what another primary has not
 *   - an old primary pushes for half of the timeout at most
 *   - a primary lets go only when another has claimed, or it was asked to
 *   - who steps down does not stand at once
 *   - on a stream that was cut short nobody becomes primary; the node that is
 *     named then has all that was answered "ok"
 *   - when all is well for long enough, there is a primary, and it answers
 *
 * Then each rule is broken in turn, and that has to be found.
 *
 *     KMQ_SEED=N          begin with that seed, else with 1, and for a broken
 *                         rule with one that finds it soon
 *     KMQ_STEPS=3000000   with all rules
 *     KMQ_BREAK=N         with that line of the table alone, from 0; 99: none
 *     KMQ_TRACE=1         tells what happens
 */

#include "cluster_lease/node.h"
#include "cluster_lease/stream.h"
#include "tap.h"


#define TROUBLE   (90 * SIM_S)     /* a run, and then */
#define QUIET     (80 * SIM_S)     /* all is well */
#define LIMIT     50000000         /* steps until a broken rule is found */

typedef struct {
    const char  *name;
    uint64_t     seed;             /* with which it is soon found */
    uint32_t     rules;            /* of the lease */
    uint32_t     world;
} broken_t;

#define RULE(name)   .rules = 1u << KMQ_RULE_##name
#define WORLD(name)  .world = 1u << SIM_##name

static const broken_t  broken[] = {
    { "the old epoch is not closed", 2, RULE(CLOSE) },
    { "it is closed, but not read up to there", 9, RULE(READ) },
    { "writers that nobody has used are not closed", 9, RULE(UNUSED) },
    { "what is behind a closing counts", 580, RULE(VOID) },
    { "claims that were jumped over are not seen, and closings count in any "
      "slot, whoever they are for", 38,
      .rules = 1u << KMQ_RULE_JUMP | 1u << KMQ_RULE_NEXT },
    { "a primary serves before its beginning is there", 1, RULE(BEGIN) },
    { "a slot is done before those in front of it", 1, RULE(ORDER) },
    { "a slot that is taken is taken for one's own", 6, RULE(LOOK) },
    { "no answer is taken for a refusal", 1, RULE(REPEAT) },
    { "no pause without acknowledgements", 1, RULE(PAUSE) },
    { "time counts from an acknowledgement, not from what it is for", 50,
      RULE(SENT) },
    { "who steps down stands at once", 9, RULE(REST) },
    { "nobody looks how long the stream is", 24, RULE(SHORT) },
    { "nobody looks whether it is the same", 125, RULE(SAME) },
    { "nobody waits for the other nodes at a cold start", 5, RULE(OTHERS) },
    { "what only the files have is left there", 184, RULE(TAIL) },
    { "entries are appended wherever the place is", 3, WORLD(EXPECT) },
    { "places are looked at by the stream's leader alone", 74,
      WORLD(AT_APPLY) },
    { "a purge takes closings along", 21, WORLD(KEEP) },
    { "workers wait to be told of a pause", 10, WORLD(CLOCK) },
    { "workers serve whatever they were told last", 365, WORLD(EPOCH) },
    { "\"ok\" does not wait for the disk", 15, WORLD(FLUSH) }
};

#define BROKEN  (sizeof(broken) / sizeof(broken[0]))


static uint64_t
some_time(void)
{
    return sim_between(SIM_S, 20 * SIM_S);
}


/* Something happens; how long there is to be peace after it. */
static uint64_t
trouble(void)
{
    unsigned   i, kind;
    node_t    *n;

    i = sim_random(node_n);
    n = &node[i];
    kind = sim_random(18);

    sim_trace("node %u: trouble %u", i, kind);

    switch (kind) {

    case 0:
        node_kill(i, 0, sim_between(SIM_S / 2, 10 * SIM_S));
        break;

    case 1:
    case 2:
        n->paused = sim_now + some_time();
        break;

    case 3:
    case 4:
        n->worker[sim_random(SIM_WORKERS)].paused = sim_now + some_time();
        break;

    case 5:
        n->lease_paused = sim_now + some_time();
        break;

    case 6:
        n->cut = sim_now + some_time();
        break;

    case 7:
    case 8:
        n->deaf = sim_now + some_time();
        break;

    case 9:
        n->disk = sim_now + sim_between(SIM_S, 5 * SIM_S);
        break;

    case 10:
        stream_down(sim_random(STREAM_REPLICAS), sim_chance(500),
                    some_time());
        break;

    case 11:
        stream_lose_leader();
        break;

    case 12:
    case 13:
        for (i = 0; i < node_n; i++) {
            node_step_down(i);
        }

        break;

    case 14:
    case 15:
        for (i = 0; i < node_n; i++) {
            node_respawn(i);
        }

        break;

    case 16:
        node_checkpoint(i);
        break;

    case 17:

        if (sim_chance(300)) {
            node_power();

        } else if (sim_chance(200)) {
            return node_servers_power() ? 20 * SIM_S : 0;
        }

        break;
    }

    return 0;
}


/* The primary has bad luck more often than others. */
static void
fault(void)
{
    unsigned     i;
    uint64_t     peace;
    sim_event_t  event;

    peace = trouble();

    for (i = 0; i < node_n && peace == 0; i++) {
        if (node[i].epoch && sim_chance(70)) {
            node[i].deaf = sim_now + some_time();
        }

        if (node[i].epoch && sim_chance(300)) {
            node_checkpoint(i);
        }
    }

    event = sim_event(SIM_FAULT, 0);
    sim_later(&event, peace + sim_between(SIM_S / 5, 4 * SIM_S));
}


static void
handle(sim_event_t *event, int quiet)
{
    sim_event_t  again;

    switch (event->kind) {

    case SIM_PROPOSE:
        stream_propose(event);
        break;

    case SIM_LOOK:
        stream_look(event);
        break;

    case SIM_ASK:
        stream_ask(event);
        break;

    case SIM_COMMIT:
        stream_commit();
        break;

    case SIM_APPLY:
        stream_apply(event->node);
        break;

    case SIM_ELECT:
        stream_elect();
        break;

    case SIM_UP:
        stream_up(event->node);
        break;

    case SIM_FAULT:

        if (!quiet) {
            fault();
        }

        break;

    case SIM_OPERATOR:
        node_operator();
        again = *event;
        sim_later(&again, 10 * SIM_S);
        break;

    default:
        node_event(event);
    }
}


static void
go_on(uint64_t end, int quiet)
{
    sim_event_t  event;

    while (sim_wrong == NULL && sim_next(&event, end)) {
        handle(&event, quiet);
    }
}


/* A run: trouble, and then quiet. */
static void
run(uint64_t seed)
{
    sim_event_t    event;
    unsigned long  oks;

    sim_trace("seed %llu", (unsigned long long) seed);
    sim_reset(seed);
    stream_reset();
    node_reset(2 + (seed & 1));

    event = sim_event(SIM_FAULT, 0);
    sim_later(&event, 5 * SIM_S);
    event = sim_event(SIM_OPERATOR, 0);
    sim_later(&event, 10 * SIM_S);

    go_on(sim_now + TROUBLE, 0);

    node_heal();
    stream_heal();
    go_on(sim_now + QUIET, 1);

    oks = node_oks();
    go_on(sim_now + 10 * SIM_S, 1);

    if (oks == node_oks()) {
        sim_fail("all is well, and nobody answers");
    }
}


static uint64_t
number(const char *name, uint64_t otherwise)
{
    const char  *value;

    value = getenv(name);

    return value ? strtoull(value, NULL, 10) : otherwise;
}


/* Runs until something is wrong, or so many steps; the seed of the last. */
static uint64_t
run_all(uint64_t seed, uint64_t steps)
{
    sim_steps = 0;

    for ( ;; seed++) {
        run(seed);

        if (sim_wrong || sim_steps >= steps) {
            return seed;
        }
    }
}


static void
with_all_rules(uint64_t seed)
{
    uint64_t              last;
    const node_counts_t  *c;

    last = run_all(seed, number("KMQ_STEPS", 3000000));

    if (!ok(sim_wrong == NULL, "all rules: nothing is wrong")) {
        diag("seed %llu, %.3f s: %s", (unsigned long long) last,
             (double) sim_now / SIM_S, sim_wrong);
    }

    c = &node_counts;

    diag("%llu steps, %llu runs: %lu ok, %lu pushes, %lu takeovers, "
         "%lu deposed, %lu pauses", (unsigned long long) sim_steps,
         (unsigned long long) (last - seed + 1), c->oks, c->pushes,
         c->takeovers, c->deposed, c->pauses);
    diag("%lu steps down, %lu losses of power, %lu tails, %lu blocked, "
         "%lu seeded, %lu jumps, %lu looks", c->steps_down, c->powers,
         c->tails, c->blocks, c->seeds, c->jumps, c->looks);
}


static void
with_a_broken_one(uint64_t seed, const broken_t *b)
{
    uint64_t  last;

    kmq_rules_broken = b->rules;
    sim_rules_broken = b->world;

    last = run_all(seed, LIMIT);

    if (ok(sim_wrong != NULL, "found: %s", b->name)) {
        diag("after %llu steps, seed %llu: %s",
             (unsigned long long) sim_steps, (unsigned long long) last,
             sim_wrong);
    }

    kmq_rules_broken = 0;
    sim_rules_broken = 0;
}


int
main(void)
{
    uint64_t  seed, one;
    unsigned  i;

    seed = number("KMQ_SEED", 0);
    sim_traced = number("KMQ_TRACE", 0);
    one = number("KMQ_BREAK", BROKEN);

    if (one >= BROKEN) {
        with_all_rules(seed ? seed : 1);
    }

    for (i = 0; i < BROKEN; i++) {
        if (one == BROKEN || one == i) {
            with_a_broken_one(seed ? seed : broken[i].seed, &broken[i]);
        }
    }

    return done_testing();
}
