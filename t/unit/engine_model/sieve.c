/*
 * Survivors, for engine_model.c: most messages pass, one in so many stays, and
 * after a while as much must still fit as if those that are there had come
 * alone, into a fresh block.
 */

#include "body.h"
#include "client.h"
#include "confirm.h"
#include "handle.h"
#include "observe.h"
#include "publish.h"
#include "settings.h"
#include "shard.h"
#include "sieve.h"
#include "take.h"


#define SIEVE_MOST    12000        /* messages pass in one go */
#define SIEVE_CODES   64
#define SIEVE_TICKS   20
#define SIEVE_FITS    85           /* of 100 that fit into a fresh block */
#define SIEVE_SCATTERED  3         /* of 100 bytes of those that stay */
#define SIEVE_MESSAGE  80          /* bytes of a message beside its body */
#define SIEVE_ENTRY   17           /* of a delivery */
#define SIEVE_HOURS   8192         /* of what is counted of a topic */

/* Of an index of messages by their numbers: so many of these have a leaf, which
 * is a cell, or four where there are more than a few; eight leaves have a node
 * of three cells, and so on, eight nodes and so on. */
#define LEAF_BITS   4
#define NODE_BITS   3
#define LEAF_FEW    2
#define LEAF_CELLS  4
#define NODE_CELLS  3
#define CELL        16             /* bytes */

typedef struct {
    uint64_t    last;              /* number */
    unsigned    leaf;              /* messages in its leaf */
    uint64_t    cells;
} index_t;

/* How much is there, and what its numbers cost. */
typedef struct {
    uint64_t    bytes;
    index_t     index[SHARDS];
    index_t     fresh[SHARDS];     /* the same, where numbers are dense */
} there_t;

typedef struct {
    int         state;             /* of the survivors */
    unsigned    one_in;
    unsigned    passing, staying;  /* topics, */
    unsigned    filling;           /* of the same shard as the first */
    unsigned    burst;             /* messages between two looks of consumers */
    uint32_t    size, fill;        /* bytes, 0: any */
    unsigned    passed;
} sieve_t;


/* One message, without a detour; 0: there is no memory. */
static int
sieve_publish(unsigned topic, uint32_t size, uint64_t delay)
{
    int       why;
    held_t    held;
    topic_t  *t = &M.topic[topic];
    unsigned  h;
    kmq_counts_t  now;

    h = some_handle();
    memset(&held, 0, sizeof(held));
    held.handle = h;
    held.topic = topic;
    held.m[0].size = size ? size : body_size();
    held.m[0].delay_time = delay;

    why = kmq_reserve_to(M.handle[h].kmq, t->name, strlen(t->name), held.m);
    check_refusal(h, topic, 1, why == KMQ_OK, why, held.m[0].size);
    observe(h, &now);

    if (why != KMQ_OK) {
        return 0;
    }

    message_reserved(&held, 0);
    M.reserved--;
    commit(&held, 0, 1);
    wakes(h);

    return 1;
}


/* A consumer confirms what it has, but what is to stay. */
static unsigned
sieve_confirm(const sieve_t *s, client_t *c)
{
    char          codes[SIEVE_CODES][KMQ_CODE_LEN];
    char          back[SIEVE_CODES][KMQ_CODE_LEN];
    place_t       place;
    unsigned      i, n, nback, stays;
    message_t    *m;
    kmq_t        *kmq = M.handle[c->handle].kmq;

    n = 0;
    nback = 0;
    place.group = place.after = NONE;
    M.epoch++;

    for (i = 0; i < c->n && n < SIEVE_CODES && nback < SIEVE_CODES; ) {
        m = &M.message[c->flight[i].id];
        stays = c->topic == s->passing && m->sequence % s->one_in == 0;

        if (stays && s->state == DEAD
            && M.topic[c->topic].push_type == KMQ_PUSH_ONE)
        {
            memcpy(back[nback++], m->code, KMQ_CODE_LEN);
            returned(c, &c->flight[i], KMQ_BACK_OFF, &place);

        } else if (stays && s->state == IN_FLIGHT) {
            i++;

        } else {
            memcpy(codes[n++], m->code, KMQ_CODE_LEN);
            confirmed(c, &c->flight[i]);
        }
    }

    /* in the order of the model: there is none between the two */

    confirmed_all(c, n);
    returned_all(c, nback, KMQ_BACK_OFF);

    CHECK(kmq_confirm_codes(kmq, c->ref, codes[0], n) == n, "confirm %u", n);
    CHECK(kmq_return_codes(kmq, c->ref, back[0], nback, KMQ_BACK_OFF) == nback,
          "return %u", nback);
    M.returned += nback;
    wakes(c->handle);

    return n + nback;
}


/* Consumers take and confirm until nothing moves; all topics but the one in
 * which messages stay. */
static void
sieve_drain(const sieve_t *s)
{
    unsigned   h, moved;
    client_t  *c;

    do {
        moved = 0;

        for (h = 0; h < HANDLES; h++) {
            while (!M.handle[h].dead && take(h)) {
                moved++;
            }

            if (!M.handle[h].dead) {
                clients_close(h);
            }
        }

        for (c = M.client; c < M.client + CLIENTS; c++) {
            if (c->ref && c->role == KMQ_CONSUMER && c->n
                && !M.handle[c->handle].dead)
            {
                moved += sieve_confirm(s, c);
            }
        }
    } while (moved);
}


/* A consumer of a topic that takes all it can get. */
static void
sieve_consumer(unsigned topic)
{
    client_t  *c;

    for (c = M.client; c < M.client + CLIENTS && c->ref; c++) { /* void */ }

    if (c == M.client + CLIENTS) {
        return;
    }

    join(c, KMQ_CONSUMER, topic);
    c->ready = 1;
    kmq_set_ready(M.handle[c->handle].kmq, c->ref, 1);
    wakes(c->handle);
}


/* Nobody consumes a topic any more. */
static void
sieve_neglect(unsigned topic)
{
    client_t  *c;

    for (c = M.client; c < M.client + CLIENTS; c++) {
        if (c->ref && c->role == KMQ_CONSUMER && c->topic == topic
            && !M.handle[c->handle].dead)
        {
            leave(c);
        }
    }
}


static void
sieve_pass(sieve_t *s)
{
    int       there;
    unsigned  i;
    uint64_t  delay;

    static const unsigned  most[] = { 300, 3000, SIEVE_MOST };

    for (s->passed = 0; s->passed < PICK(most) && M.nunused > s->burst; ) {
        there = 1;

        for (i = 0; i < s->burst && there; i++) {
            s->passed++;
            delay = 0;

            if (s->passed % s->one_in == 0 && s->state == DELAYED) {
                delay = 400000 + s->passed;
            }

            there = sieve_publish(s->passed % s->one_in == 0
                                  && s->state == READY ? s->staying
                                                       : s->passing,
                                  s->size, delay);
        }

        sieve_drain(s);

        if (!there && s->burst < 100) {
            return;
        }
    }
}


/* The index has a message of this number, too, the largest one. */
static void
index_add(index_t *index, uint64_t number)
{
    unsigned  bits;

    if (number >> LEAF_BITS != index->last >> LEAF_BITS) {
        index->leaf = 0;
    }

    index->leaf++;
    index->cells += index->leaf == 1;

    if (index->leaf == LEAF_FEW + 1) {
        index->cells += LEAF_CELLS - 1;
    }

    for (bits = LEAF_BITS + NODE_BITS;
         bits < 64 && number >> bits != index->last >> bits;
         bits += NODE_BITS)
    {
        index->cells += NODE_CELLS;
    }

    index->last = number;
}


/* Bytes that the numbers cost more here than in a fresh block. */
static uint64_t
index_more(const there_t *there)
{
    unsigned  i;
    uint64_t  here, fresh;

    here = 0;
    fresh = 0;

    for (i = 0; i < SHARDS; i++) {
        here += there->index[i].cells;
        fresh += there->fresh[i].cells;
    }

    return here > fresh ? (here - fresh) * CELL : 0;
}


/* How many messages would fit into a fresh block with all that is there? */
static unsigned
sieve_expected(const sieve_t *s, there_t *there)
{
    void           *block;
    kmq_t          *kmq;
    topic_t        *t;
    uint32_t        id;
    unsigned        n;
    uint64_t        owed;
    client_t       *c;
    kmq_message_t   m;

    kmq = eu_open(&block, SIZE, KMQ_PUSH_ONE);
    owed = 0;
    memset(there, 0, sizeof(*there));

    for (c = M.client; c < M.client + CLIENTS; c++) {
        if (c->ref) {
            (void) eu_join(kmq, c->role, M.topic[c->topic].name,
                           c->role == KMQ_CONSUMER ? c->prefetch : 0, NULL);
            owed += c->n;
        }
    }

    for (id = M.all.head; id != NONE; id = NEXT(&M.all, id)) {
        if (M.message[id].state == CONSUMED) {
            continue;
        }

        t = &M.topic[M.message[id].topic];
        memset(&m, 0, sizeof(m));
        m.size = M.message[id].size;

        if (kmq_reserve_to(kmq, t->name, strlen(t->name), &m) != KMQ_OK) {
            break;
        }

        kmq_commit(kmq, &m, 1);
        there->bytes += m.size + SIEVE_MESSAGE;
        index_add(&there->index[t->shard], M.message[id].sequence);
        index_add(&there->fresh[t->shard], m.sequence);
    }

    for (n = 0; id == NONE; n++) {
        memset(&m, 0, sizeof(m));
        m.size = s->fill;
        t = &M.topic[s->filling];

        if (kmq_reserve_to(kmq, t->name, strlen(t->name), &m) != KMQ_OK) {
            break;
        }

        kmq_commit(kmq, &m, 1);
    }

    kmq_detach(kmq);
    munmap(block, SIZE);

    owed = owed * SIEVE_ENTRY / (s->fill + SIEVE_MESSAGE);

    return n > owed ? n - (unsigned) owed : 0;
}


/* Bodies of many pieces that are gone are freed, a few pieces at a time. */
static void
sieve_wait(void)
{
    unsigned  h, i;

    for (i = 0; i < SIEVE_TICKS; i++) {
        for (h = 0; M.handle[h].dead; h++) { /* void */ }
        tick(h);
    }
}


/* What the block must hold, it holds.  Those that stay may lie in several
 * pieces each, and have pages of the index to themselves, in which there is no
 * room for a slot, which takes a little more than where they come one after the
 * other.  What is free between messages of other shards is theirs, and topics
 * may have room for their hours. */
static void
sieve_check(const sieve_t *s)
{
    unsigned  n, expected, more;
    there_t   there;

    sieve_wait();
    expected = sieve_expected(s, &there);
    more = there.bytes * SIEVE_SCATTERED / 100 + index_more(&there)
           + TOPICS * SIEVE_HOURS;

    for (n = 0; M.nunused && sieve_publish(s->filling, s->fill, 0); n++) {
        /* void */
    }

    more += shards_holes(M.topic[s->filling].shard);
    more /= s->fill + SIEVE_MESSAGE;

    CHECK(n + 4 + more >= expected / 100 * SIEVE_FITS,
          "%u of %u messages of %u bytes fit, after %u of %u bytes of which "
          "one in %u stayed in state %d", n, expected, s->fill, s->passed,
          s->size, s->one_in, s->state);
}


static void
sieve_configure(const sieve_t *s)
{
    topic_t  *t;

    M.settings.waiting_max = 1000000;
    M.settings.batch_interval = 0;
    M.settings.keep_consumed = one_in(2);
    M.settings.topic.retry_time = 0;
    M.settings.topic.retry_delay = 0;
    M.settings.topic.retry_delay_max = 0;
    M.settings.topic.clean_time = 0;
    M.settings.topic.max_deliveries = s->state == DEAD;

    for (t = M.topic; t < M.topic + TOPICS; t++) {
        t->has_own = 0;
    }

    configure();
}


/* Other topics; where the shard has none for that, it is filled by the same. */
static void
sieve_topics(sieve_t *s)
{
    unsigned  i, topic;

    s->staying = (s->passing + 1) % TOPICS;
    s->filling = s->passing;

    for (i = 1; i < TOPICS; i++) {
        topic = (s->passing + i) % TOPICS;

        if (M.topic[topic].shard == M.topic[s->passing].shard) {
            s->staying = topic;
            s->filling = topic;
            return;
        }
    }
}


void
op_sieve(void)
{
    sieve_t   s;
    unsigned  i;

    static const unsigned  densities[] = { 2, 3, 8, 64, 128, 1000 };
    static const uint32_t  sizes[] = { 0, 16, 100, 100, 1000, 4000 };
    static const uint32_t  fills[] = { 100, 1000, 4000 };
    static const int       states[] = { READY, DELAYED, IN_FLIGHT, DEAD };

    s.state = PICK(states);
    s.one_in = PICK(densities);
    s.passing = below(TOPICS);
    sieve_topics(&s);
    s.size = PICK(sizes);
    s.fill = PICK(fills);
    s.burst = one_in(2) ? 16 : 4000;

    clock_all();

    for (i = 0; i < HANDLES; i++) {
        if (!M.handle[i].dead) {
            tick(i);
        }
    }

    for (i = 0; i < HELD; i++) {
        if (!M.handle[M.held[i].handle].dead) {
            finish(&M.held[i]);
        }
    }

    sieve_configure(&s);
    sieve_neglect(s.staying);
    sieve_consumer(s.passing);
    sieve_consumer(s.passing);
    sieve_pass(&s);
    sieve_check(&s);
    M.sieved++;

    /* and what filled it goes */

    s.one_in = UINT32_MAX;
    sieve_consumer(s.staying);
    sieve_drain(&s);
    op_configure();
}
