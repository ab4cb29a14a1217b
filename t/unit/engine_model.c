/*
 * Model-based test: random calls on several handles of one block, and beside
 * it a trivial model in plain arrays that says what each call may answer.
 *
 *     KMQ_SEED=n   repeats a run       KMQ_STEPS=n   calls per run
 *
 * The model knows every message and where it must be: reserved, ready, in
 * flight (and with whom), or gone.  It does not predict choices of the
 * engine; it checks that each was allowed.
 */

#include "engine_util.h"


#define SIZE      (6 * EU_MB)
#define HANDLES   5
#define TOPICS    6
#define CLIENTS   64
#define MESSAGES  8192
#define HELD      32
#define HELD_MAX  8
#define OLD       64
#define NONE      UINT32_MAX

enum { FREE, RESERVED, READY, IN_FLIGHT };

/* what a run does beside the usual: it paces, it changes the push type, it
 * has bodies that fill the block */
enum { PACED = 1, MIXED = 2, LARGE = 4 };

typedef struct {
    int         state;
    unsigned    topic;
    uint32_t    size;
    uint32_t    next, prev;        /* in the topic's fresh or log list */
    uint64_t    todo;              /* consumers that shall still get it */
    uint64_t    flight;            /* consumers that have it */
    int         confirmed;
    uint32_t    deliveries;
    uint32_t    position;
    uint32_t    epoch;             /* returned: by which leave, 0: fresh */
    uint32_t    group;             /* ... of which consumer */
    uint32_t    index;             /* ... its place there */
    char        code[KMQ_CODE_LEN];
} message_t;

typedef struct {
    uint32_t    head, tail, count;
} list_t;

typedef struct {
    uint32_t    id;
    uint32_t    position;
} delivery_t;

typedef struct {
    kmq_ref_t    ref;              /* 0: free */
    unsigned     role, handle, topic, serial;
    int          ready;
    uint32_t     prefetch;
    uint32_t     last;             /* position; valid when any */
    int          any;
    unsigned     n;
    delivery_t  *flight;
} client_t;

typedef struct {
    char        name[32];
    unsigned    push_type;
    unsigned    consumers;
    kmq_ref_t   ref;
    uint32_t    position;
    int         any;
    list_t      fresh;
    list_t      log;
    uint32_t    returned[MESSAGES];
    unsigned    nreturned;
} topic_t;

typedef struct {
    unsigned       handle, topic, n;
    uint32_t       id[HELD_MAX];
    kmq_message_t  m[HELD_MAX];
} held_t;

typedef struct {
    kmq_t      *kmq;
    unsigned    worker;
    int         woken;
} handle_t;

static struct {
    void            *block;
    uint64_t         seed, random, mono, step;
    handle_t         handle[HANDLES];
    topic_t          topic[TOPICS];
    client_t         client[CLIENTS];
    message_t        message[MESSAGES];
    uint32_t         unused[MESSAGES];
    unsigned         nunused;
    held_t           held[HELD];
    char             old[OLD][KMQ_CODE_LEN];
    unsigned         nold, serial;
    uint32_t         epoch, group;
    kmq_settings_t   settings;
    int              lost_wakes, nomems, mood;
    int              pacing, mixed, large;

    /* counts */
    uint64_t         ready, in_flight, reserved, bytes;
    uint64_t         published, delivered, redelivered, confirmed, kept;
    uint64_t         consumers, producers, consumed;
} M;


__attribute__((noreturn, format(printf, 1, 2))) static void
fail(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    printf("not ok %d - ", tap_count + 1);
    vprintf(fmt, args);
    printf("\n# KMQ_SEED=%llu step %llu\n", (unsigned long long) M.seed,
           (unsigned long long) M.step);
    va_end(args);
    fflush(stdout);

    abort();
}


#define CHECK(cond, ...)                                                      \
    do {                                                                      \
        if (!(cond)) {                                                        \
            fail("line " EU_LINE ": " __VA_ARGS__);                           \
        }                                                                     \
    } while (0)

#define EU_TEXT(x)   #x
#define EU_QUOTE(x)  EU_TEXT(x)
#define EU_LINE      EU_QUOTE(__LINE__)


static uint32_t
below(uint32_t n)
{
    return eu_below(&M.random, n);
}


static int
one_in(uint32_t n)
{
    return below(n) == 0;
}


/* ------------------------------------------------------------------ lists */

static void
list_append(list_t *list, uint32_t id)
{
    message_t  *m = &M.message[id];

    m->next = NONE;
    m->prev = list->tail;

    if (list->tail == NONE) {
        list->head = id;
    } else {
        M.message[list->tail].next = id;
    }

    list->tail = id;
    list->count++;
}


static void
list_remove(list_t *list, uint32_t id)
{
    message_t  *m = &M.message[id];

    if (m->prev == NONE) {
        list->head = m->next;
    } else {
        M.message[m->prev].next = m->next;
    }

    if (m->next == NONE) {
        list->tail = m->prev;
    } else {
        M.message[m->next].prev = m->prev;
    }

    list->count--;
}


static unsigned
topic_ready(const topic_t *t)
{
    return t->fresh.count + t->nreturned;
}


/* ----------------------------------------------------------------- bodies */

static char *
body_of(uint32_t id)
{
    static char  body[70000];

    memcpy(body, &id, sizeof(id));
    eu_fill(body + sizeof(id), M.message[id].size - sizeof(id), id);

    return body;
}


static uint32_t
body_size(void)
{
    if (one_in(M.large ? 8 : 100)) {
        return 4 + below(60000);
    }

    return 4 + (one_in(10) ? below(3000) : below(120));
}


/* Which message this is; its body must be what was written. */
static uint32_t
body_check(kmq_t *kmq, const kmq_message_t *m)
{
    size_t       len;
    uint32_t     id;
    static char  body[70000];

    len = eu_body(kmq, m, body, sizeof(body));
    CHECK(len == m->size && len >= sizeof(id), "body of %zu", len);

    memcpy(&id, body, sizeof(id));
    CHECK(id < MESSAGES, "body of no message");
    CHECK(M.message[id].state == READY || M.message[id].state == IN_FLIGHT,
          "message %u pushed in state %d", id, M.message[id].state);
    CHECK(m->size == M.message[id].size, "size of %u", id);
    CHECK(memcmp(body, body_of(id), len) == 0, "body of %u", id);

    return id;
}


/* ---------------------------------------------------------------- publish */

static void
wakes(unsigned h)
{
    unsigned  i, w;
    uint64_t  mask[KMQ_WORKERS / 64];

    if (!kmq_wakes(M.handle[h].kmq, mask)) {
        return;
    }

    for (i = 0; i < HANDLES; i++) {
        w = M.handle[i].worker;

        if (mask[w / 64] >> w % 64 & 1) {
            CHECK(i != h, "a worker wakes itself");
            M.handle[i].woken = 1;
            mask[w / 64] &= ~(UINT64_C(1) << w % 64);
        }
    }

    CHECK(!mask[0] && !mask[1], "a worker is to be woken that is not there");
}


/* Checks why not all of n messages got room. */
static void
check_refusal(unsigned h, unsigned n, unsigned got, int why)
{
    kmq_counts_t  c;

    if (got == n) {
        return;
    }

    if (M.ready + M.reserved + got >= M.settings.waiting_max) {
        CHECK(why == KMQ_FULL, "why %d, not KMQ_FULL", why);
        return;
    }

    CHECK(why == KMQ_NOMEM, "why %d, not KMQ_NOMEM", why);
    kmq_count(M.handle[h].kmq, &c);
    CHECK(c.consumed == 0, "KMQ_NOMEM with %llu in the history",
          (unsigned long long) c.consumed);
    CHECK(M.bytes > SIZE / 2, "KMQ_NOMEM with %llu bytes stored",
          (unsigned long long) M.bytes);
    M.nomems++;
}


/* n messages for the client's topic, or by the topic's name; how many. */
static unsigned
reserve(unsigned h, client_t *producer, unsigned topic, held_t *held,
    unsigned n)
{
    int        why;
    unsigned   i, got;
    topic_t   *t = &M.topic[topic];

    memset(held, 0, sizeof(*held));
    held->handle = h;
    held->topic = topic;

    for (i = 0; i < n; i++) {
        held->m[i].size = body_size();
    }

    why = KMQ_OK;

    if (producer) {
        got = kmq_reserve(M.handle[h].kmq, producer->ref, held->m, n, &why);
    } else {
        n = 1;
        why = kmq_reserve_to(M.handle[h].kmq, t->name, strlen(t->name),
                             held->m);
        got = why == KMQ_OK;
    }

    CHECK(got <= n, "%u of %u reserved", got, n);
    CHECK(M.ready + M.reserved + got <= M.settings.waiting_max || got == 0,
          "beyond the bound");
    check_refusal(h, n, got, why);

    for (i = 0; i < got; i++) {
        held->id[i] = M.unused[--M.nunused];
        memset(&M.message[held->id[i]], 0, sizeof(message_t));
        M.message[held->id[i]].state = RESERVED;
        M.message[held->id[i]].topic = topic;
        M.message[held->id[i]].size = held->m[i].size;
        M.reserved++;
        M.bytes += held->m[i].size + 200;
        kmq_code(M.handle[h].kmq, &held->m[i], M.message[held->id[i]].code);
    }

    held->n = got;

    return got;
}


static void
message_gone(uint32_t id)
{
    M.message[id].state = FREE;
    M.bytes -= M.message[id].size + 200;
    M.unused[M.nunused++] = id;
}


static void
write_body(kmq_t *kmq, kmq_message_t *m, uint32_t id)
{
    char      *body;
    uint32_t   n, step;

    body = body_of(id);

    for (n = 0; n < m->size; n += step) {
        step = one_in(4) ? 1 + below(m->size) : m->size;
        step = step < m->size - n ? step : m->size - n;
        kmq_write(kmq, m, body + n, step);
    }
}


/* Writes and commits, or discards, what is held; in random parts. */
static void
finish(held_t *held)
{
    int          discard;
    kmq_t       *kmq = M.handle[held->handle].kmq;
    unsigned     i, k, part;
    message_t   *m;

    for (i = 0; i < held->n; i += part) {
        part = 1 + below(held->n - i);
        discard = one_in(8);

        for (k = i; k < i + part; k++) {
            m = &M.message[held->id[k]];

            if (discard) {
                message_gone(held->id[k]);
                continue;
            }

            write_body(kmq, &held->m[k], held->id[k]);
            m->state = READY;
            list_append(&M.topic[held->topic].fresh, held->id[k]);
            M.ready++;
            M.published++;
        }

        M.reserved -= part;

        if (discard) {
            kmq_discard(kmq, held->m + i, part);
        } else {
            kmq_commit(kmq, held->m + i, part);
        }
    }

    held->n = 0;
    wakes(held->handle);
}


static void
op_publish(void)
{
    held_t    *held, now;
    unsigned   h, n;
    client_t  *c;

    n = 1 + (one_in(4) ? below(HELD_MAX) : 0);

    if (M.nunused < n) {
        return;
    }

    memset(&now, 0, sizeof(now));
    held = one_in(10) ? &M.held[below(HELD)] : &now;

    if (held != &now && held->n) {
        finish(held);
        return;
    }

    c = &M.client[below(CLIENTS)];
    h = below(HANDLES);

    if (c->ref && c->role == KMQ_PRODUCER) {
        (void) reserve(c->handle, c, c->topic, held, n);
    } else {
        (void) reserve(h, NULL, below(TOPICS), held, 1);
    }

    if (held == &now) {
        finish(held);
    }
}


/* ------------------------------------------------------------------- take */

/* A ready message is taken: was it its turn? */
static void
take_ready(topic_t *t, uint32_t id)
{
    unsigned    i, at;
    message_t  *r, *m = &M.message[id];

    CHECK(&M.topic[m->topic] == t, "message %u of another topic", id);

    if (m->epoch == 0) {
        CHECK(t->nreturned == 0, "returned messages go first");
        CHECK(t->fresh.head == id, "%u is not the first in its topic", id);
        list_remove(&t->fresh, id);

    } else {
        at = NONE;

        for (i = 0; i < t->nreturned; i++) {
            r = &M.message[t->returned[i]];
            at = r == m ? i : at;
            CHECK(r->epoch <= m->epoch, "what came back last goes first");
            CHECK(r->group != m->group || r->index >= m->index,
                  "what came back goes in its order");
        }

        CHECK(at != NONE, "%u is not ready", id);
        t->returned[at] = t->returned[--t->nreturned];
    }

    m->state = IN_FLIGHT;
    M.ready--;
    M.in_flight++;
}


static uint64_t
topic_consumers(unsigned topic)
{
    unsigned  i;
    uint64_t  mask;

    mask = 0;

    for (i = 0; i < CLIENTS; i++) {
        if (M.client[i].ref && M.client[i].role == KMQ_CONSUMER
            && M.client[i].topic == topic)
        {
            mask |= UINT64_C(1) << i;
        }
    }

    return mask;
}


/*
 * The messages of a batch leave the queue, in the order of positions.  Those
 * that have left it before need not be in a run again.
 */
static void
take_messages(kmq_t *kmq, topic_t *t, kmq_batch_t *b, uint32_t *id,
    unsigned char *covered)
{
    char         code[KMQ_CODE_LEN];
    unsigned     i, k, first, order[KMQ_BATCH_MESSAGES];
    message_t   *m;

    for (i = 0; i < b->nmessages; i++) {
        for (k = i; k > 0
                    && (int32_t) (b->messages[order[k - 1]].position
                                  - b->messages[i].position) > 0; k--)
        {
            order[k] = order[k - 1];
        }

        order[k] = i;
    }

    for (i = 0; i < b->nmessages; i++) {
        first = order[i];
        id[first] = body_check(kmq, &b->messages[first]);
        m = &M.message[id[first]];

        kmq_code(kmq, &b->messages[first], code);
        CHECK(memcmp(code, m->code, KMQ_CODE_LEN) == 0, "code changed");

        if (m->state == IN_FLIGHT) {
            CHECK(t->push_type == KMQ_PUSH_ALL, "%u pushed twice", id[first]);
            CHECK(m->position == b->messages[first].position,
                  "position of a message in flight changed");
            covered[first] = 1;
            continue;
        }

        take_ready(t, id[first]);
        m->position = b->messages[first].position;
        CHECK(!t->any || (int32_t) (m->position - t->position) > 0,
              "position %u after %u", m->position, t->position);
        t->position = m->position;
        t->any = 1;
        m->confirmed = 0;

        if (t->push_type == KMQ_PUSH_ALL) {
            m->todo = topic_consumers(m->topic);
            list_append(&t->log, id[first]);
        }
    }
}


/* One message of one consumer's run. */
static void
take_delivery(topic_t *t, client_t *c, uint32_t id)
{
    uint64_t    bit;
    message_t  *m = &M.message[id];

    bit = UINT64_C(1) << (c - M.client);

    if (t->push_type == KMQ_PUSH_ALL) {
        CHECK(m->todo & bit, "%u is not for this consumer, or was", id);
        m->todo &= ~bit;

    } else {
        CHECK(m->flight == 0, "%u for two consumers", id);
    }

    CHECK(!c->any || (int32_t) (m->position - c->last) > 0,
          "consumer's order");

    M.redelivered += m->deliveries > 0;
    M.delivered++;
    m->deliveries++;
    m->flight |= bit;

    c->flight[c->n].id = id;
    c->flight[c->n++].position = m->position;
    c->last = m->position;
    c->any = 1;
}


static void
take_run(unsigned h, topic_t *t, kmq_batch_t *b, kmq_run_t *run,
    const uint32_t *id, unsigned char *covered)
{
    unsigned   i;
    client_t  *c = run->user;

    CHECK(c >= M.client && c < M.client + CLIENTS && c->ref == run->client,
          "run of no client");
    CHECK(c->role == KMQ_CONSUMER && c->handle == h
          && &M.topic[c->topic] == t, "run of another's client");
    CHECK(c->ready, "run of a client that is not ready");
    CHECK(run->count && run->first < b->nmessages
          && run->count <= b->nmessages - run->first, "range of a run");
    CHECK(c->n + run->count <= c->prefetch, "%u + %u beyond prefetch %u",
          c->n, run->count, c->prefetch);

    for (i = run->first; i < run->first + run->count; i++) {
        CHECK(t->push_type == KMQ_PUSH_ALL || !covered[i], "runs overlap");
        covered[i] = 1;
        take_delivery(t, c, id[i]);
    }

    CHECK(kmq_in_flight(M.handle[h].kmq, c->ref) == c->n, "in flight");
}


static topic_t *
topic_by_name(const char *name, size_t len)
{
    unsigned  i;

    for (i = 0; i < TOPICS; i++) {
        if (strlen(M.topic[i].name) == len
            && memcmp(M.topic[i].name, name, len) == 0)
        {
            return &M.topic[i];
        }
    }

    fail("batch of an unknown topic");
}


static unsigned
take(unsigned h)
{
    size_t               bytes;
    kmq_t               *kmq = M.handle[h].kmq;
    topic_t             *t;
    unsigned             i, n, last;
    uint32_t             id[KMQ_BATCH_MESSAGES];
    unsigned char        covered[KMQ_BATCH_MESSAGES];
    static kmq_batch_t   b;

    b.bytes_max = one_in(4) ? 1 + below(5000) : 1000000;
    n = kmq_take(kmq, &b);
    wakes(h);

    if (n == 0) {
        return 0;
    }

    CHECK(n == b.nruns && n <= KMQ_BATCH_RUNS, "%u runs", n);
    CHECK(b.nmessages && b.nmessages <= KMQ_BATCH_MESSAGES, "%u messages",
          b.nmessages);

    t = topic_by_name(b.topic, b.topic_len);
    CHECK(t->ref == 0 || t->ref == b.topic_ref, "topic_ref changed");
    t->ref = b.topic_ref;

    for (i = 0, last = 0, bytes = 0; i < b.nmessages; i++) {
        bytes += b.messages[i].size;

        if ((int32_t) (b.messages[i].position - b.messages[last].position)
            > 0)
        {
            last = i;
        }
    }

    CHECK(bytes - b.messages[last].size < b.bytes_max, "beyond bytes_max");

    memset(covered, 0, sizeof(covered));
    take_messages(kmq, t, &b, id, covered);

    for (i = 0; i < n; i++) {
        take_run(h, t, &b, &b.runs[i], id, covered);
    }

    CHECK(memchr(covered, 0, b.nmessages) == NULL, "message of no run");

    return n;
}


/* Mostly as a worker would: only when it has been told, or knows. */
static void
op_take(void)
{
    unsigned  h;

    h = below(HANDLES);

    if (M.handle[h].woken || kmq_has_work(M.handle[h].kmq)
        || (M.mood % 2 && one_in(4)))
    {
        M.handle[h].woken = 0;

        if (take(h)) {
            M.handle[h].woken = 1;
        }
    }
}


/* ---------------------------------------------------------------- confirm */

static void
message_done(uint32_t id)
{
    message_t  *m = &M.message[id];

    if (m->todo || m->flight) {
        return;
    }

    if (M.topic[m->topic].push_type == KMQ_PUSH_ALL) {
        list_remove(&M.topic[m->topic].log, id);
    }

    memcpy(M.old[M.nold++ % OLD], m->code, KMQ_CODE_LEN);
    M.in_flight--;
    M.consumed++;
    M.kept += M.settings.keep_consumed;
    message_gone(id);
}


/* Entry i of what is in flight with c is confirmed. */
static void
confirmed(client_t *c, unsigned i)
{
    uint32_t  id;

    id = c->flight[i].id;
    memmove(c->flight + i, c->flight + i + 1,
            (c->n - i - 1) * sizeof(delivery_t));
    c->n--;

    M.message[id].flight &= ~(UINT64_C(1) << (c - M.client));
    M.message[id].confirmed = 1;
    M.confirmed++;
    message_done(id);
}


static client_t *
some_consumer(void)
{
    unsigned   i, k;
    client_t  *c;

    k = below(CLIENTS);

    for (i = 0; i < CLIENTS; i++) {
        c = &M.client[(i + k) % CLIENTS];

        if (c->ref && c->role == KMQ_CONSUMER && (c->n || one_in(20))) {
            return c;
        }
    }

    return NULL;
}


static void
op_confirm_upto(void)
{
    unsigned   n, got;
    uint32_t   position;
    client_t  *c;

    c = some_consumer();

    if (c == NULL) {
        return;
    }

    if (c->n && !one_in(20)) {
        position = c->flight[one_in(3) ? c->n - 1 : below(c->n)].position;
    } else {
        position = c->last + below(20) - 10;
    }

    n = 0;

    while (c->n && (int32_t) (c->flight[0].position - position) <= 0) {
        confirmed(c, 0);
        n++;
    }

    got = kmq_confirm_upto(M.handle[c->handle].kmq, c->ref, position);
    CHECK(got == n, "confirm_upto: %u, want %u", got, n);
    wakes(c->handle);
}


/* A code for the consumer to send; 1 and *at when it is right. */
static void
some_code(client_t *c, char *code)
{
    unsigned   i;
    message_t  *m;

    switch (below(8)) {

    case 0:
        memcpy(code, M.old[below(OLD)], KMQ_CODE_LEN);
        return;

    case 1:
        m = &M.message[below(MESSAGES)];
        memcpy(code, m->code, KMQ_CODE_LEN);
        return;

    case 2:
        for (i = 0; i < KMQ_CODE_LEN; i++) {
            code[i] = "0123456789abcdef"[below(16)];
        }

        return;

    default:
        break;
    }

    if (c->n == 0) {
        memset(code, '0', KMQ_CODE_LEN);
        return;
    }

    m = &M.message[c->flight[below(c->n)].id];
    memcpy(code, m->code, KMQ_CODE_LEN);

    if (one_in(6)) {
        code[below(KMQ_CODE_LEN)] ^= (char) (1 << below(7));
    }
}


static void
op_confirm_codes(void)
{
    char       codes[8][KMQ_CODE_LEN];
    unsigned   i, k, n, got, want;
    client_t  *c;

    c = some_consumer();

    if (c == NULL) {
        return;
    }

    n = below(9);
    want = 0;

    for (i = 0; i < n; i++) {
        some_code(c, codes[i]);
    }

    for (i = 0; i < n; i++) {
        for (k = 0; k < c->n; k++) {
            if (memcmp(M.message[c->flight[k].id].code, codes[i],
                       KMQ_CODE_LEN) == 0)
            {
                confirmed(c, k);
                want++;
                break;
            }
        }
    }

    got = kmq_confirm_codes(M.handle[c->handle].kmq, c->ref, codes[0], n);
    CHECK(got == want, "confirm_codes: %u, want %u", got, want);
    CHECK(kmq_in_flight(M.handle[c->handle].kmq, c->ref) == c->n,
          "in flight after confirm_codes");
    wakes(c->handle);
}


/* ---------------------------------------------------------------- clients */

static void
op_join(void)
{
    unsigned            i;
    topic_t            *t;
    client_t           *c;
    kmq_client_info_t   info;

    c = &M.client[below(CLIENTS)];

    if (c->ref) {
        return;
    }

    c->role = one_in(4) ? KMQ_PRODUCER : KMQ_CONSUMER;
    c->handle = below(HANDLES);
    c->topic = below(TOPICS);
    c->prefetch = one_in(4) ? 1 + below(300) : 1 + below(20);
    c->serial = ++M.serial;
    c->ready = 0;
    c->any = 0;
    c->n = 0;
    c->flight = realloc(c->flight, c->prefetch * sizeof(delivery_t));
    t = &M.topic[c->topic];

    memset(&info, 0, sizeof(info));
    info.role = c->role;
    info.prefetch = c->prefetch;
    info.topic_len = (uint16_t) strlen(t->name);
    memcpy(info.topic, t->name, info.topic_len);
    info.id_len = (uint16_t) sprintf(info.id, "%u", c->serial);
    info.addr_len = (uint16_t) sprintf(info.addr, "::1");

    c->ref = kmq_join(M.handle[c->handle].kmq, &info, c);
    CHECK(c->ref, "no memory for a client");

    for (i = 0; i < CLIENTS; i++) {
        CHECK(&M.client[i] == c || M.client[i].ref != c->ref,
              "two clients in one place");
    }

    if (c->role == KMQ_PRODUCER) {
        M.producers++;
        return;
    }

    M.consumers++;

    if (t->consumers++ == 0) {
        t->push_type = M.settings.push_type;
        t->ref = 0;
    }

    if (!one_in(10)) {
        c->ready = 1;
        kmq_set_ready(M.handle[c->handle].kmq, c->ref, 1);
        wakes(c->handle);
    }
}


/* A message is let go by a consumer that leaves. */
static void
let_go(uint32_t id, uint64_t bit, uint32_t *index)
{
    topic_t    *t;
    message_t  *m = &M.message[id];

    t = &M.topic[m->topic];
    m->todo &= ~bit;
    m->flight &= ~bit;

    if (m->todo || m->flight) {
        return;
    }

    if (m->confirmed) {
        message_done(id);
        return;
    }

    if (t->push_type == KMQ_PUSH_ALL) {
        list_remove(&t->log, id);
    }

    m->state = READY;
    m->epoch = M.epoch;
    m->group = M.group;
    m->index = (*index)++;
    t->returned[t->nreturned++] = id;
    M.ready++;
    M.in_flight--;
}


/* What follows from c's leaving, in the model. */
static void
left(client_t *c)
{
    topic_t   *t = &M.topic[c->topic];
    unsigned   i;
    uint32_t   id, next, index;
    uint64_t   bit;

    c->ref = 0;

    if (c->role == KMQ_PRODUCER) {
        M.producers--;
        return;
    }

    M.consumers--;
    t->consumers--;
    M.group++;
    bit = UINT64_C(1) << (c - M.client);
    index = 0;

    for (i = 0; i < c->n; i++) {
        let_go(c->flight[i].id, bit, &index);
    }

    c->n = 0;

    for (id = t->log.head; id != NONE; id = next) {
        next = M.message[id].next;

        if (M.message[id].todo & bit) {
            let_go(id, bit, &index);
        }
    }
}


static void
leave(client_t *c)
{
    kmq_ref_t  ref;

    ref = c->ref;
    M.epoch++;
    left(c);
    kmq_leave(M.handle[c->handle].kmq, ref);
    wakes(c->handle);
}


static void
op_leave(void)
{
    client_t  *c;

    c = &M.client[below(CLIENTS)];

    if (c->ref) {
        leave(c);
    }
}


static void
op_set_ready(void)
{
    client_t  *c;

    c = some_consumer();

    if (c) {
        c->ready = !one_in(3);
        kmq_set_ready(M.handle[c->handle].kmq, c->ref, c->ready);
        wakes(c->handle);
    }
}


/* ---------------------------------------------------------------- handles */

static void
attach(unsigned h)
{
    unsigned   i, w;
    handle_t  *handle = &M.handle[h];

    do {
        w = one_in(2) ? below(KMQ_WORKERS) : below(8);

        for (i = 0; i < HANDLES && !(M.handle[i].kmq
                                     && M.handle[i].worker == w); i++)
        {
            /* void */
        }
    } while (i < HANDLES);

    handle->kmq = kmq_attach(M.block, SIZE, w);
    CHECK(handle->kmq, "attach as worker %u", w);
    handle->worker = w;
    handle->woken = 0;
    kmq_clock(handle->kmq, M.mono, 1640975470000 + M.mono);
}


static void
op_reattach(void)
{
    unsigned  h, i, k;

    h = below(HANDLES);
    M.epoch++;

    for (i = 0; i < CLIENTS; i++) {
        if (M.client[i].ref && M.client[i].handle == h) {
            left(&M.client[i]);
        }
    }

    for (i = 0; i < HELD; i++) {
        if (M.held[i].n && M.held[i].handle == h) {
            for (k = 0; k < M.held[i].n; k++) {
                message_gone(M.held[i].id[k]);
            }

            M.reserved -= M.held[i].n;
            M.held[i].n = 0;
        }
    }

    kmq_detach(M.handle[h].kmq);
    M.handle[h].kmq = NULL;
    M.lost_wakes = 1;
    attach(h);
}


static void
op_configure(void)
{
    unsigned  h;

    static const uint32_t  bounds[] = { 40, 300, 3000, 100000, 100000 };

    M.settings.waiting_max = bounds[below(5)];
    M.settings.keep_consumed = !one_in(3);

    if (M.pacing) {
        M.settings.batch_interval = one_in(3) ? 0 : 1 + below(100);
        M.settings.batch_count = 1 + below(200);
    }

    if (M.mixed) {
        M.settings.push_type = 1 + below(2);
    }

    h = below(HANDLES);
    kmq_configure(M.handle[h].kmq, &M.settings);
    wakes(h);
    M.lost_wakes = 1;
}


static void
op_clock(void)
{
    unsigned  h;

    M.mono += below(20);
    h = below(HANDLES);
    kmq_clock(M.handle[h].kmq, M.mono, 1640975470000 + M.mono);
}


static void
op_tick(void)
{
    unsigned   h;
    client_t  *c;

    h = below(HANDLES);
    CHECK(kmq_tick(M.handle[h].kmq) == 0, "nobody is dead");
    wakes(h);

    while ((c = kmq_too_slow(M.handle[h].kmq)) != NULL) {
        CHECK(c >= M.client && c < M.client + CLIENTS && c->ref
              && c->handle == h && c->role == KMQ_CONSUMER
              && M.topic[c->topic].push_type == KMQ_PUSH_ALL,
              "too slow: not a consumer of this worker");
        leave(c);
    }
}


/* ----------------------------------------------------------------- checks */

static void
op_count(void)
{
    kmq_counts_t  c;

    kmq_count(M.handle[below(HANDLES)].kmq, &c);

#define SAME(got, want)                                                       \
    CHECK((got) == (want), #got " is %llu, want %llu",                        \
          (unsigned long long) (got), (unsigned long long) (want))

    SAME(c.ready, M.ready);
    SAME(c.in_flight, M.in_flight);
    SAME(c.published, M.published);
    SAME(c.delivered, M.delivered);
    SAME(c.confirmed, M.confirmed);
    SAME(c.consumers, M.consumers);
    SAME(c.producers, M.producers);
    SAME(c.consumed + c.dropped, M.kept);
    SAME(c.delayed + c.dead + c.repairs, 0u);

    if (!M.mixed && M.settings.push_type == KMQ_PUSH_ONE) {
        SAME(c.redelivered, M.redelivered);
    }
}


static void
op_walk(void)
{
    kmq_t              *kmq;
    unsigned            i, k, n, role, found;
    uint64_t            cursor, seen;
    client_t           *c;
    kmq_client_info_t   info[5];

    kmq = M.handle[below(HANDLES)].kmq;
    role = 1 + below(2);
    cursor = 0;
    seen = 0;
    found = 0;

    while ((n = kmq_clients(kmq, role, &cursor, info, 1 + below(5))) != 0) {

        for (i = 0; i < n; i++, found++) {
            info[i].id[info[i].id_len] = '\0';

            for (k = 0; k < CLIENTS; k++) {
                c = &M.client[k];

                if (c->ref && c->serial == strtoul(info[i].id, NULL, 10)) {
                    break;
                }
            }

            CHECK(k < CLIENTS && !(seen >> k & 1), "client not there");
            seen |= UINT64_C(1) << k;
            CHECK(c->role == role && info[i].role == role
                  && info[i].worker == M.handle[c->handle].worker
                  && (role == KMQ_PRODUCER
                      || (info[i].in_flight == c->n
                          && info[i].prefetch == c->prefetch))
                  && topic_by_name(info[i].topic, info[i].topic_len)
                     == &M.topic[c->topic],
                  "client is not as it is");
        }
    }

    CHECK(found == (role == KMQ_PRODUCER ? M.producers : M.consumers),
          "%u clients found", found);
}


static void
verify(void)
{
    char  text[512];

    if (kmq_verify(M.handle[0].kmq, text, sizeof(text)) != KMQ_OK) {
        fail("kmq_verify: %s", text);
    }
}


/* A consumer that could be pushed something, NULL: there is none. */
static client_t *
starving(void)
{
    unsigned   i;
    uint32_t   id;
    topic_t   *t;
    client_t  *c;

    for (i = 0; i < CLIENTS; i++) {
        c = &M.client[i];
        t = &M.topic[c->topic];

        if (!c->ref || c->role != KMQ_CONSUMER || !c->ready
            || c->n >= c->prefetch)
        {
            continue;
        }

        if (topic_ready(t)) {
            return c;
        }

        for (id = t->log.head; id != NONE; id = M.message[id].next) {
            if (M.message[id].todo >> i & 1) {
                return c;
            }
        }
    }

    return NULL;
}


/* Lets the workers do all they were told to do, and no more. */
static void
work(void)
{
    int       again;
    unsigned  h;

    do {
        again = 0;

        for (h = 0; h < HANDLES; h++) {

            if (M.handle[h].woken || kmq_has_work(M.handle[h].kmq)) {
                M.handle[h].woken = 0;
                again = 1;

                while (take(h)) { /* void */ }
            }
        }
    } while (again);
}


/*
 * No wake-up is ever lost: when every worker has done what it was told to,
 * nobody is left that could be pushed something, but for the pace.
 */
static void
op_quiesce(void)
{
    unsigned   h, i;
    uint64_t   next, least;
    client_t  *c;

    for (h = 0; h < HANDLES; h++) {
        kmq_clock(M.handle[h].kmq, M.mono, 1640975470000 + M.mono);

        if (M.lost_wakes) {
            (void) kmq_tick(M.handle[h].kmq);
            wakes(h);
        }
    }

    M.lost_wakes = 0;
    work();

    for (i = 0; (c = starving()) != NULL; i++) {
        least = 0;

        for (h = 0; h < HANDLES; h++) {
            next = kmq_next_batch(M.handle[h].kmq);

            if (next && (least == 0 || next < least)) {
                least = next;
            }
        }

        CHECK(M.settings.batch_interval && least, "consumer %u of topic %u "
              "waits for ever, %u ready", (unsigned) (c - M.client), c->topic,
              topic_ready(&M.topic[c->topic]));
        CHECK(i < 20000, "batches without end");
        M.mono += least;

        for (h = 0; h < HANDLES; h++) {
            next = kmq_next_batch(M.handle[h].kmq);
            kmq_clock(M.handle[h].kmq, M.mono, 1640975470000 + M.mono);
            M.handle[h].woken |= next && next <= least;
        }

        work();
    }
}


/* ------------------------------------------------------------------- runs */

typedef struct {
    void      (*call)(void);
    unsigned    weight[4];         /* in each mood */
} op_t;

static const op_t  ops[] = {
    /*                    even  fills  drains  churn */
    { op_publish,       { 3000,  6000,   1000,  2000 } },
    { op_take,          { 2000,  1000,   3000,  2000 } },
    { op_confirm_upto,  { 1200,   200,   2000,   500 } },
    { op_confirm_codes, { 1200,   200,   2000,   500 } },
    { op_join,          {   60,    20,     60,   400 } },
    { op_leave,         {   30,    20,     10,   400 } },
    { op_set_ready,     {  100,   100,    100,   300 } },
    { op_clock,         {  200,   200,    200,   200 } },
    { op_tick,          {   20,    20,     20,    20 } },
    { op_count,         {   20,    20,     20,    20 } },
    { op_walk,          {    5,     5,      5,    20 } },
    { op_configure,     {    3,     3,      3,     3 } },
    { op_reattach,      {    1,     1,      1,    30 } },
    { verify,           {    6,     6,      6,     6 } },
    { op_quiesce,       {   30,     5,     30,    30 } },
};

#define OPS  (sizeof(ops) / sizeof(ops[0]))


static void
start(uint64_t seed)
{
    unsigned  i;

    M.seed = seed;
    M.random = seed;
    M.mono = 1000;
    M.block = eu_block(SIZE);
    M.settings = eu_settings(KMQ_PUSH_ONE);
    M.settings.waiting_max = 3000;

    for (i = 0; i < MESSAGES; i++) {
        M.unused[M.nunused++] = i;
    }

    for (i = 0; i < TOPICS; i++) {
        sprintf(M.topic[i].name, "topic %u", i);
        M.topic[i].fresh.head = M.topic[i].fresh.tail = NONE;
        M.topic[i].log.head = M.topic[i].log.tail = NONE;
    }

    for (i = 0; i < HANDLES; i++) {
        attach(i);
    }
}


/* Everybody leaves, all is consumed; nothing may stay behind. */
static void
finish_run(void)
{
    unsigned      i;
    client_t     *c;
    kmq_counts_t  k;

    for (i = 0; i < HELD; i++) {
        finish(&M.held[i]);
    }

    for (i = 0; i < CLIENTS; i++) {
        if (M.client[i].ref) {
            leave(&M.client[i]);
        }
    }

    M.settings.batch_interval = 0;
    M.settings.keep_consumed = 0;
    kmq_configure(M.handle[0].kmq, &M.settings);
    wakes(0);
    M.mono += 1000000;
    M.lost_wakes = 1;

    while (M.consumers < TOPICS) {
        op_join();
    }

    for (i = 0; M.ready + M.in_flight && i < 100000; i++) {

        while ((c = some_consumer()) == NULL) {
            op_join();
        }

        c->ready = 1;
        kmq_set_ready(M.handle[c->handle].kmq, c->ref, 1);
        wakes(c->handle);
        op_quiesce();
        op_confirm_upto();

        if (i % 100 == 0) {
            op_join();
        }
    }

    CHECK(M.ready + M.in_flight == 0, "%llu messages stay",
          (unsigned long long) (M.ready + M.in_flight));
    op_count();

    for (i = 0; i < CLIENTS; i++) {
        if (M.client[i].ref) {
            leave(&M.client[i]);
        }
    }

    verify();
    k = eu_count(M.handle[0].kmq);
    CHECK(k.ready + k.in_flight == 0, "messages stay");
}


static void
run(uint64_t seed, uint64_t steps, unsigned push_type, unsigned options)
{
    uint64_t  i;
    unsigned  k, sum, x;

    memset(&M, 0, sizeof(M));
    M.mixed = options & MIXED;
    M.pacing = options & PACED;
    M.large = options & LARGE;
    start(seed);
    M.settings.push_type = push_type;
    kmq_configure(M.handle[0].kmq, &M.settings);

    for (i = 0; i < steps; i++) {
        M.step = i;

        if (i % 5000 == 0) {
            M.mood = (int) below(4);
        }

        for (k = 0, sum = 0; k < OPS; k++) {
            sum += ops[k].weight[M.mood];
        }

        x = below(sum);

        for (k = 0; x >= ops[k].weight[M.mood]; k++) {
            x -= ops[k].weight[M.mood];
        }

        ops[k].call();
    }

    finish_run();

    ok(!M.large || M.nomems > 0 || steps < 100000,
       "%s%s, seed %llu: %llu published, %llu delivered, %llu consumed, "
       "%d times out of memory",
       M.mixed ? "both push types" : push_type == KMQ_PUSH_ONE
               ? "point to point" : "publish/subscribe",
       M.pacing ? ", paced" : "", (unsigned long long) seed,
       (unsigned long long) M.published, (unsigned long long) M.delivered,
       (unsigned long long) M.consumed, M.nomems);

    for (i = 0; i < HANDLES; i++) {
        kmq_detach(M.handle[i].kmq);
    }

    for (i = 0; i < CLIENTS; i++) {
        free(M.client[i].flight);
    }

    munmap(M.block, SIZE);
}


int
main(void)
{
    uint64_t  seed, steps;

    seed = eu_env("KMQ_SEED", (uint64_t) time(NULL));
    steps = eu_env("KMQ_STEPS", 200000);
    diag("KMQ_SEED=%llu KMQ_STEPS=%llu", (unsigned long long) seed,
         (unsigned long long) steps);

    run(seed, steps, KMQ_PUSH_ONE, 0);
    run(seed, steps, KMQ_PUSH_ALL, 0);
    run(seed, steps, KMQ_PUSH_ONE, PACED);
    run(seed, steps, KMQ_PUSH_ALL, PACED);
    run(seed, steps, KMQ_PUSH_ONE, MIXED|LARGE);
    run(seed, steps, KMQ_PUSH_ALL, MIXED|LARGE|PACED);

    return done_testing();
}
