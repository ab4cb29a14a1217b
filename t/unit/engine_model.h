/*
 * The model that engine_model.c compares the engine with: every message, and
 * where it must be, in plain arrays and lists.
 *
 * It predicts no choice of the engine; it checks that each was allowed.  What
 * a call must do is done here as well, and compared.  What time does (delayed
 * messages become ready, deliveries are overdue, old messages go) happens in
 * the engine when its workers get round to it: observe() looks how far that
 * has come, checks that none of it was early, and follows.
 */

#ifndef KMQ_ENGINE_MODEL_H
#define KMQ_ENGINE_MODEL_H

#include <pthread.h>
#include <semaphore.h>

#include "../../src/disk/kmq_file.h"
#include "engine_util.h"


#define SIZE      (5 * EU_MB)
#define HANDLES   5
#define TOPICS    6
#define CLIENTS   64
#define MESSAGES  65536            /* more than fit into the block */
#define LIVE      4000             /* of these, not history */
#define HELD      32
#define HELD_MAX  8
#define OLD       64
#define BODY_MAX  60004
#define NOISE     8192
#define NONE      UINT32_MAX
#define BROKEN    127     /* worker that dies inside the lock */
#define UNKNOWN   UINT64_C(1)      /* a time: of a handle without a clock */
#define WALL      UINT64_C(1640975470000)

enum { FREE, RESERVED, READY, IN_FLIGHT, DELAYED, CONSUMED, DEAD };

/* what a run does beside the usual: it paces, it changes the push type, it
 * has bodies that fill the block, it has times, it manages messages, workers
 * die, also inside the lock, all ends and is recovered from disk, most messages
 * pass and a few stay */
enum {
    PACED = 1, MIXED = 2, LARGE = 4, TIMED = 8, MANAGED = 16, KILLS = 32,
    BREAKS = 64, JOURNALED = 128, SIEVES = 256
};

/* which list a message's link is for */
enum { PLACE, ALL, HISTORY, LINKS };

typedef struct {
    int         state;
    unsigned    topic;
    uint32_t    size;
    struct {
        uint32_t  next, prev;
    }           link[LINKS];
    uint64_t    todo;              /* consumers that shall still get it */
    uint64_t    flight;            /* consumers that have it */
    int         confirmed;
    int         doomed;            /* deleted while in flight */
    unsigned    attempts;
    uint32_t    position;
    uint32_t    group;             /* it came back: with which; NONE: fresh */
    uint32_t    stamp;             /* of the batch that it is in, */
    uint32_t    taken;             /* and its position there */
    uint64_t    entered;           /* mono: when it came into its list, */
    uint32_t    tie;               /* in any order with those of the same, but
                                      for 0 */
    int         wanted;            /* the running search has to find it */
    uint64_t    sequence;
    uint64_t    due;               /* ms; 0: it was not delayed */
    uint32_t    create_time;       /* s, like all of these */
    uint32_t    delay;
    uint32_t    consumed_time;
    uint32_t    dead_time;
    uint32_t    first_time;        /* of the first confirmation */
    uint32_t    since;             /* its age counts from here on */
    uint32_t    waits;             /* mono: for its first push, since then */
    kmq_ref_t   slot, body;
    char        code[KMQ_CODE_LEN];
} message_t;

typedef struct {
    uint32_t    head, tail, count;
    int         link;
} list_t;

/* Ready messages that came back together, in their order. */
typedef struct {
    list_t      list;
    uint32_t    epoch;             /* the later, the further in front */
} group_t;

/* Where the next message that comes back goes. */
typedef struct {
    uint32_t    group;             /* NONE: a new one, in front of all */
    uint32_t    after;             /* in the group, NONE: in front */
} place_t;

typedef struct {
    uint32_t    id;
    uint32_t    position;
    uint64_t    time;              /* of the push, or of the extension */
    unsigned    attempts;
    int         returned;          /* publish/subscribe: shall be repeated */
} delivery_t;

typedef struct {
    kmq_ref_t    ref;              /* 0: free */
    unsigned     role, handle, topic, serial, push_type;
    int          ready;
    uint32_t     prefetch;
    uint32_t     last;             /* position; valid when any */
    int          any;
    unsigned     n, pushed;
    uint64_t     oldest;           /* no delivery is older */
    uint64_t     messages, confirmed;
    uint32_t     mode, last_seen;
    int          closing;          /* it was disconnected, */
    int          told;             /* and its worker knows */
    delivery_t  *flight;
} client_t;

/* What is counted of a topic. */
typedef struct {
    uint64_t      published, delivered, redelivered, confirmed;
    uint64_t      died, expired, refused;
    kmq_period_t  minute[KMQ_TOPIC_MINUTES], day[KMQ_DAYS];
    uint64_t      latest;          /* s: when something was counted last */
} counted_t;

typedef struct {
    char                  name[KMQ_NAME_MAX + 1];
    kmq_topic_settings_t  now;
    kmq_topic_settings_t  own;
    int                   has_own;
    unsigned              push_type;
    unsigned              consumers;
    unsigned              matching;    /* of these, of push_type */
    kmq_ref_t             ref;
    uint32_t              position;
    int                   any;
    list_t                fresh, log, history, dead;
    group_t              *group;
    unsigned              ngroups, allocated;
    unsigned              nready;
    uint64_t              came_back;   /* messages, so far */
    counted_t             count;
} topic_t;

typedef struct {
    unsigned       handle, topic, n;
    int            accepted;       /* written to the journal */
    uint32_t       id[HELD_MAX];
    kmq_message_t  m[HELD_MAX];
} held_t;

typedef struct {
    kmq_t      *kmq;
    unsigned    worker;
    int         woken, dead, retired;
    uint64_t    mono, wall;
    uint64_t    timer;             /* mono; 0: not armed */

    kmq_segment_t       segment;   /* its journal; */
    kmq_buffer_t        pending;   /* taken, not written */
    kmq_journal_info_t  info;      /* of these */

    /* one that can be killed lives in a thread of its own */
    int         threaded, detaches;
    pthread_t   thread;
    sem_t       go, done;
} handle_t;

/* A search that goes on while other things happen. */
typedef struct {
    int            active;
    kmq_query_t    query;
    uint64_t       cursor, top, last;
} search_t;

static struct {
    void            *block;
    uint64_t         seed, random, step;
    uint64_t         mono, offset;     /* wall clock: WALL + mono + offset */
    uint64_t         wall;             /* that the block keeps */
    unsigned         run, options;
    handle_t         handle[HANDLES];
    topic_t          topic[TOPICS];
    client_t         client[CLIENTS];
    message_t        message[MESSAGES];
    uint32_t         unused[MESSAGES];
    unsigned         nunused;
    uint32_t         of_slot[SIZE / 8];
    list_t           all, delayed, history;
    held_t           held[HELD];
    char             old[OLD][KMQ_CODE_LEN];
    unsigned         nold, serial;
    unsigned         broken;           /* worker BROKEN is dead; and had */
    unsigned         broken_reserved;  /* so many messages */
    uint32_t         epoch, stamp, ties;
    uint32_t         tie;              /* for what happens now */
    uint64_t         sequence;
    uint64_t         stored;           /* the last one of a stored message */
    kmq_settings_t   settings;
    search_t         search;
    int              lost_wakes, mood;

    /* sequence numbers of history that was dropped: no file tells that, but
     * the next checkpoint, so these may be there after a recovery */
    uint64_t        *forgotten;
    size_t           nforgotten, forgettable;

    /* pacing: since the last change of settings */
    uint64_t         pace_start, pace_before, pace_back, pace_used;
    unsigned         pace_settings;    /* times they were set */
    unsigned         pace_count;       /* messages in a batch */

    /* counts */
    uint64_t         ready, in_flight, reserved, bytes, dead, consumed;
    uint64_t         published, delivered, redelivered, confirmed;
    uint64_t         dropped, died, requeued, expired, deleted, repairs;
    uint64_t         consumers, producers, refused;
    kmq_period_t     minute[KMQ_MINUTES], hour[KMQ_HOURS];
    uint64_t         pushed, waited;   /* for the first time; ms until then */
    int              vague;            /* whose the expired ones were */

    /* what a run has met */
    uint64_t         ended, nomems, due, overdue, repushed, kills, extended;
    uint64_t         returned, switched, probed, searches, died_leaving;
    uint64_t         purged, disconnected, watched, sieved;
    /* most bytes since the last checkpoint began; since the next one did */
    uint64_t         peak, peak_next;
    uint64_t         repaired, restarts, accepted, remembered, missing;
} M;


__attribute__((noreturn, format(printf, 1, 2))) static void
fail(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    fprintf(stderr, "# ");
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\n# KMQ_SEED=%llu KMQ_RUN=%u step %llu\n",
            (unsigned long long) M.seed, M.run, (unsigned long long) M.step);
    va_end(args);

    abort();
}


#define CHECK(cond, ...)                                                      \
    do {                                                                      \
        if (!(cond)) {                                                        \
            fail(__FILE__ ":" EU_LINE ": " __VA_ARGS__);                      \
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

#define NEXT(list, id)  M.message[id].link[(list)->link].next
#define PREV(list, id)  M.message[id].link[(list)->link].prev


static void
list_init(list_t *list, int link)
{
    list->head = NONE;
    list->tail = NONE;
    list->count = 0;
    list->link = link;
}


/* Puts a message behind another one, NONE: in front. */
static void
list_insert(list_t *list, uint32_t after, uint32_t id)
{
    uint32_t  next;

    next = after == NONE ? list->head : NEXT(list, after);

    NEXT(list, id) = next;
    PREV(list, id) = after;

    if (after == NONE) {
        list->head = id;
    } else {
        NEXT(list, after) = id;
    }

    if (next == NONE) {
        list->tail = id;
    } else {
        PREV(list, next) = id;
    }

    list->count++;
}


static void
list_append(list_t *list, uint32_t id)
{
    list_insert(list, list->tail, id);
}


static void
list_remove(list_t *list, uint32_t id)
{
    uint32_t  next, prev;

    next = NEXT(list, id);
    prev = PREV(list, id);

    if (prev == NONE) {
        list->head = next;
    } else {
        NEXT(list, prev) = next;
    }

    if (next == NONE) {
        list->tail = prev;
    } else {
        PREV(list, next) = prev;
    }

    list->count--;
}


/* ----------------------------------------------------------------- bodies */

static char  noise[NOISE + BODY_MAX];

static const char *
body_rest(uint32_t id)
{
    return noise + id * 127u % NOISE;
}


static uint32_t
body_size(void)
{
    if (one_in(M.options & LARGE ? 8 : 100)) {
        return 4 + below(BODY_MAX - 4);
    }

    return 4 + (one_in(10) ? below(3000) : below(120));
}


/* Are the bytes from offset on those of the message? */
static int
body_same(uint32_t id, uint32_t offset, const char *p, uint32_t n)
{
    uint32_t  head;

    for (head = 0; head < n && offset + head < sizeof(id); head++) {
        if (p[head] != ((char *) &id)[offset + head]) {
            return 0;
        }
    }

    return memcmp(p + head, body_rest(id) + offset + head - sizeof(id),
                  n - head) == 0;
}


/* The number with which a body begins, in one piece or several. */
static uint32_t
body_id(kmq_t *kmq, const kmq_message_t *m)
{
    uint32_t     left, n, got;
    kmq_ref_t    piece;
    const char  *p;
    char         id[sizeof(uint32_t)];

    piece = m->body;
    left = m->size;

    for (got = 0; got < sizeof(id); got += n) {
        p = kmq_read(kmq, &piece, &left, &n);
        CHECK(p, "body of %u bytes", m->size);

        n = n < sizeof(id) - got ? n : sizeof(id) - got;
        memcpy(id + got, p, n);
    }

    memcpy(&got, id, sizeof(got));

    return got;
}


/* Which message this is; now and then, all of its body must be its own. */
static uint32_t
body_check(kmq_t *kmq, const kmq_message_t *m)
{
    char         code[KMQ_CODE_LEN];
    uint32_t     id, left, n, offset;
    message_t   *of;
    kmq_ref_t    piece;
    const char  *p;

    id = body_id(kmq, m);
    CHECK(id < MESSAGES, "body of no message");

    of = &M.message[id];
    CHECK(m->size == of->size && m->sequence == of->sequence
          && m->slot == of->slot && m->create_time == of->create_time
          && m->delay == of->delay, "%u is not as it was", id);

    if (!one_in(8)) {
        return id;
    }

    piece = m->body;
    left = m->size;

    for (offset = 0; (p = kmq_read(kmq, &piece, &left, &n)); offset += n) {
        CHECK(body_same(id, offset, p, n), "body of %u", id);
    }

    CHECK(offset == m->size, "body of %u ends at %u", id, offset);
    kmq_code(kmq, m, code);
    CHECK(memcmp(code, of->code, KMQ_CODE_LEN) == 0, "code of %u", id);

    return id;
}


/* --------------------------------------------------------------- settings */

/* What the engine asks for a topic's own settings. */
static void
topic_own(void *arg, const char *name, size_t len,
    kmq_topic_settings_t *settings)
{
    unsigned  i;

    CHECK(arg == &M, "topic_arg");

    for (i = 0; i < TOPICS; i++) {
        if (M.topic[i].has_own && strlen(M.topic[i].name) == len
            && memcmp(M.topic[i].name, name, len) == 0)
        {
            *settings = M.topic[i].own;
        }
    }
}


/* ------------------------------------------------------------ transitions */

static uint32_t
seconds(unsigned h)
{
    return (uint32_t) (M.handle[h].wall / 1000);
}


/* s.  One that comes after a dead one has no clock yet, but the block's. */
static uint64_t
time_of(unsigned h)
{
    return (M.handle[h].wall == UNKNOWN * 1000 ? M.wall : M.handle[h].wall)
           / 1000;
}


/* The period of a time, in a table of the last n ones of so many seconds. */
static kmq_period_t *
period_of(kmq_period_t *period, unsigned n, unsigned h, unsigned length)
{
    uint64_t  number;

    number = time_of(h) / length;
    period += number % n;

    if (period->number != number) {
        memset(period, 0, sizeof(kmq_period_t));
        period->number = number;
        period->backlog = KMQ_UNKNOWN;
    }

    return period;
}


/* So many are published, or, not to be, delivered, confirmed. */
static void
count(topic_t *t, unsigned h, int published, unsigned delivered,
    unsigned confirmed)
{
    unsigned       i;
    kmq_period_t  *p[4];

    M.published += published;
    M.delivered += delivered;
    M.confirmed += confirmed;
    t->count.published += published;
    t->count.delivered += delivered;
    t->count.confirmed += confirmed;

    p[0] = period_of(M.minute, KMQ_MINUTES, h, 60);
    p[1] = period_of(M.hour, KMQ_HOURS, h, 3600);
    p[2] = period_of(t->count.minute, KMQ_TOPIC_MINUTES, h, 60);
    p[3] = period_of(t->count.day, KMQ_DAYS, h, 86400);

    if (time_of(h) > t->count.latest) {
        t->count.latest = time_of(h);
    }

    for (i = 0; i < 4; i++) {
        if (published < 0 && p[i]->published < (uint64_t) -published) {
            p[i]->published = 0;
        } else {
            p[i]->published += published;
        }

        p[i]->delivered += delivered;
        p[i]->confirmed += confirmed;
    }
}


/* Is the period of a topic, one of n, told at a time, in s, or kept then? */
static int
is_current(uint64_t number, unsigned n, uint64_t time)
{
    return number && number + n > time / (n == KMQ_DAYS ? 86400 : 60);
}


/* How much there is to do, as h sees when it ticks. */
static void
count_backlog(unsigned h)
{
    uint64_t  backlog;

    backlog = M.ready + M.in_flight + M.delayed.count;
    period_of(M.minute, KMQ_MINUTES, h, 60)->backlog = backlog;
    period_of(M.hour, KMQ_HOURS, h, 3600)->backlog = backlog;
}


static uint32_t
later(uint32_t one, uint32_t two)
{
    return one > two ? one : two;
}


/* A message is no more. */
static void
message_gone(uint32_t id)
{
    message_t  *m = &M.message[id];

    memcpy(M.old[M.nold++ % OLD], m->code, KMQ_CODE_LEN);
    list_remove(&M.all, id);
    m->state = FREE;
    M.bytes -= m->size + 200;
    M.unused[M.nunused++] = id;
}


/* Takes a ready message out of its topic's queue. */
static void
ready_remove(uint32_t id)
{
    topic_t    *t;
    message_t  *m = &M.message[id];

    t = &M.topic[m->topic];
    list_remove(m->group == NONE ? &t->fresh : &t->group[m->group].list, id);

    while (t->ngroups && t->group[t->ngroups - 1].list.count == 0) {
        t->ngroups--;
    }

    t->nready--;
    M.ready--;
}


static void
ready_append(uint32_t id)
{
    message_t  *m = &M.message[id];

    m->state = READY;
    m->entered = M.mono;
    m->tie = M.tie;
    m->group = NONE;
    list_append(&M.topic[m->topic].fresh, id);
    M.topic[m->topic].nready++;
    M.ready++;
}


/* A message waits again, where place says; the next one behind it. */
static void
ready_again(uint32_t id, place_t *place)
{
    topic_t    *t;
    group_t    *g;
    message_t  *m = &M.message[id];

    t = &M.topic[m->topic];

    if (place->group == NONE) {
        if (t->ngroups == t->allocated) {
            t->allocated = t->allocated ? 2 * t->allocated : 16;
            t->group = realloc(t->group, t->allocated * sizeof(group_t));
        }

        place->group = t->ngroups++;
        g = &t->group[place->group];
        list_init(&g->list, PLACE);
        g->epoch = M.epoch;
    }

    m->state = READY;
    m->entered = M.mono;
    m->tie = t->push_type == KMQ_PUSH_ALL ? M.tie : 0;
    m->group = place->group;
    list_insert(&t->group[place->group].list, place->after, id);
    place->after = id;
    t->nready++;
    t->came_back++;
    M.ready++;
    M.pace_back++;
}


static void
message_consumed(uint32_t id, unsigned h)
{
    message_t  *m = &M.message[id];

    M.in_flight--;
    M.ended++;

    if (!M.settings.keep_consumed) {
        message_gone(id);
        return;
    }

    m->state = CONSUMED;
    m->entered = M.mono;
    m->tie = M.tie;
    m->consumed_time = seconds(h);
    m->since = m->create_time + m->delay;
    list_append(&M.topic[m->topic].history, id);
    list_append(&M.history, id);
    M.consumed++;
}


static void
history_remove(uint32_t id)
{
    list_remove(&M.topic[M.message[id].topic].history, id);
    list_remove(&M.history, id);
    M.consumed--;
    message_gone(id);
}


/* The same for memory. */
static void
history_drop(uint32_t id)
{
    if (M.nforgotten == M.forgettable) {
        M.forgettable = 2 * M.forgettable + 1;
        M.forgotten = realloc(M.forgotten, M.forgettable * sizeof(uint64_t));
    }

    M.forgotten[M.nforgotten++] = M.message[id].sequence;
    history_remove(id);
}


static void
message_dies(uint32_t id, unsigned h)
{
    message_t  *m = &M.message[id];

    M.in_flight--;
    M.dead++;
    M.died++;
    M.topic[m->topic].count.died++;

    m->state = DEAD;
    m->entered = M.mono;
    m->tie = M.tie;
    m->dead_time = seconds(h) == UNKNOWN ? 0 : seconds(h);
    m->since = later(m->create_time + m->delay, seconds(h));
    list_append(&M.topic[m->topic].dead, id);
}


static void
message_requeued(uint32_t id, unsigned h)
{
    message_t  *m = &M.message[id];

    list_remove(&M.topic[m->topic].dead, id);
    M.dead--;
    M.requeued++;

    m->attempts = 0;
    m->waits = (uint32_t) M.handle[h].mono;
    m->since = later(m->create_time + m->delay, seconds(h));
    ready_append(id);
}


static int
gives_up(const topic_t *t, unsigned attempts)
{
    return t->now.max_deliveries && attempts >= t->now.max_deliveries;
}


/*
 * A message is let go by the consumers in bits.  When it was with no other, it
 * has been consumed, waits again in front, or, where somebody is to blame, may
 * be dead.
 */
static void
let_go(uint32_t id, uint64_t bits, unsigned h, int blame, place_t *place)
{
    topic_t    *t;
    message_t  *m = &M.message[id];

    t = &M.topic[m->topic];
    m->todo &= ~bits;
    m->flight &= ~bits;

    if (m->todo || m->flight) {
        return;
    }

    if (t->push_type == KMQ_PUSH_ALL) {
        list_remove(&t->log, id);
    }

    if (m->doomed) {
        message_gone(id);

    } else if (m->confirmed) {
        message_consumed(id, h);

    } else if (blame && gives_up(t, m->attempts)) {
        message_dies(id, h);

    } else {
        M.in_flight--;
        ready_again(id, place);
    }
}


static delivery_t *
delivery_of(client_t *c, uint32_t id)
{
    unsigned  i;

    for (i = 0; i < c->n; i++) {
        if (c->flight[i].id == id) {
            return &c->flight[i];
        }
    }

    return NULL;
}


static void
delivery_remove(client_t *c, delivery_t *d)
{
    c->n--;
    memmove(d, d + 1, (c->n - (size_t) (d - c->flight)) * sizeof(*d));
}


static uint64_t
bit_of(const client_t *c)
{
    return UINT64_C(1) << (c - M.client);
}


/* May, and should, a delivery have ended, or been repeated, by now? */
static int
overdue(const client_t *c, const delivery_t *d)
{
    uint64_t  retry;

    retry = M.topic[c->topic].now.retry_time;

    return d->returned || (retry && d->time + retry <= M.mono);
}


static int
is_active(const client_t *c)
{
    return c->ref && c->role == KMQ_CONSUMER
           && c->push_type == M.topic[c->topic].push_type;
}


/* The consumers that a message which leaves the queue now is for. */
static uint64_t
topic_consumers(unsigned topic)
{
    unsigned  i;
    uint64_t  mask;

    mask = 0;

    for (i = 0; i < CLIENTS; i++) {
        if (is_active(&M.client[i]) && M.client[i].topic == topic) {
            mask |= UINT64_C(1) << i;
        }
    }

    return mask;
}


/* The last consumer of a topic's push type may have gone. */
static void
topic_switch(topic_t *t)
{
    if (t->matching == 0 && t->consumers && t->log.count == 0) {
        t->push_type = KMQ_PUSH_ONE + KMQ_PUSH_ALL - t->push_type;
        t->matching = t->consumers;
        M.switched++;
    }
}


/* What follows from c's leaving; blame: that was its own doing.  First the
 * newest of what it should still have got goes back. */
static void
left(client_t *c, unsigned h, int blame)
{
    int        active;
    topic_t   *t = &M.topic[c->topic];
    place_t    place;
    unsigned   i;
    uint32_t   id, next;

    active = is_active(c);
    c->ref = 0;

    if (c->role == KMQ_PRODUCER) {
        M.producers--;
        return;
    }

    M.consumers--;
    t->consumers--;
    t->matching -= active;
    place.group = NONE;

    for (id = t->log.tail; id != NONE; id = next) {
        next = PREV(&t->log, id);
        place.after = NONE;

        if (M.message[id].todo & bit_of(c)) {
            let_go(id, bit_of(c), h, blame, &place);
        }
    }

    place.after = NONE;

    for (i = 0; i < c->n; i++) {
        let_go(c->flight[i].id, bit_of(c), h, blame, &place);
    }

    c->n = 0;
    topic_switch(t);
}


/* Onto the schedule, by its time, behind those of the same. */
static void
delayed_insert(uint32_t id)
{
    uint32_t  after;

    after = M.delayed.tail;

    while (after != NONE && M.message[after].due > M.message[id].due) {
        after = PREV(&M.delayed, after);
    }

    list_insert(&M.delayed, after, id);
}


/* A repair leaves all lists in the order in which the messages came, but for
 * what is in flight. */
static void
lists_sort(void)
{
    topic_t    *t;
    uint32_t    id;
    message_t  *m;

    list_init(&M.history, HISTORY);
    list_init(&M.delayed, PLACE);

    for (t = M.topic; t < M.topic + TOPICS; t++) {
        list_init(&t->fresh, PLACE);
        list_init(&t->dead, PLACE);
        list_init(&t->history, PLACE);
        t->ngroups = 0;
        t->came_back++;
    }

    for (id = M.all.head; id != NONE; id = NEXT(&M.all, id)) {
        m = &M.message[id];
        t = &M.topic[m->topic];
        m->tie = 0;

        if (m->state == READY) {
            m->group = NONE;
            list_append(&t->fresh, id);

        } else if (m->state == DEAD) {
            list_append(&t->dead, id);

        } else if (m->state == CONSUMED) {
            list_append(&t->history, id);
            list_append(&M.history, id);

        } else if (m->state == DELAYED) {
            delayed_insert(id);
        }
    }
}


/* For messages that are ready the wait for the first push begins anew. */
static void
waits_anew(uint64_t mono)
{
    uint32_t  id;

    for (id = M.all.head; id != NONE; id = NEXT(&M.all, id)) {
        if (M.message[id].state == READY) {
            M.message[id].waits = (uint32_t) mono;
        }
    }
}


/* The message that is first in a topic, where that is certain. */
static uint32_t
ready_first(const topic_t *t)
{
    unsigned  n = t->ngroups;

    if (n == 0) {
        return t->fresh.head;
    }

    if (n > 1 && t->group[n - 2].epoch == t->group[n - 1].epoch) {
        return NONE;
    }

    return t->group[n - 1].list.head;
}


/* ---------------------------------------------------------------- observe */

static int
is_gone(unsigned h, uint32_t id)
{
    kmq_message_info_t  info;

    return kmq_find(M.handle[h].kmq, M.message[id].code, &info) == KMQ_GONE;
}


/* Delayed messages that have become ready: the first ones of all. */
static void
observe_due(const kmq_counts_t *now)
{
    uint32_t  id;

    CHECK(now->delayed <= M.delayed.count, "%llu delayed, want %u",
          (unsigned long long) now->delayed, M.delayed.count);

    while (M.delayed.count > now->delayed) {
        id = M.delayed.head;
        CHECK(M.message[id].due <= M.mono, "%u is ready %llu ms too early", id,
              (unsigned long long) (M.message[id].due - M.mono));
        list_remove(&M.delayed, id);
        M.message[id].waits = (uint32_t) M.message[id].due;
        ready_append(id);
        M.due++;
    }
}


/*
 * The engine has ended an overdue delivery: point to point the message waits
 * again; in publish/subscribe the consumer is given up for it.
 */
static void
delivery_ended(client_t *c, delivery_t *d, unsigned h, place_t *place)
{
    int         shared;
    uint32_t    id;
    message_t  *m;

    id = d->id;
    m = &M.message[id];
    shared = M.topic[c->topic].push_type == KMQ_PUSH_ALL;

    CHECK(!shared || m->doomed || gives_up(&M.topic[c->topic], d->attempts),
          "a consumer is given up after %u pushes", d->attempts);

    delivery_remove(c, d);
    M.overdue++;

    if (shared) {
        place->after = NONE;
    }

    let_go(id, bit_of(c), h, !M.handle[h].retired, place);
}


/* Is this overdue delivery still there?  Asks, which extends it. */
static int
delivery_lives(client_t *c, delivery_t *d)
{
    handle_t   *handle = &M.handle[c->handle];
    message_t  *m = &M.message[d->id];

    if (m->stamp == M.stamp && m->taken != d->position) {
        return 0;
    }

    M.probed++;

    if (kmq_extend_codes(handle->kmq, c->ref, m->code, 1) == 0) {
        return 0;
    }

    d->time = handle->mono;
    d->returned = 0;

    return 1;
}


/* Could the engine have ended this delivery? */
static int
may_end(const client_t *c, const delivery_t *d)
{
    topic_t  *t = &M.topic[c->topic];

    return overdue(c, d)
           && (t->push_type == KMQ_PUSH_ONE || M.message[d->id].doomed
               || gives_up(t, d->attempts));
}


/* How many of c's deliveries has the engine ended, and which? */
static void
observe_client(client_t *c, unsigned h)
{
    place_t   place;
    unsigned  i, n, may, done, in_flight;

    in_flight = kmq_in_flight(M.handle[h].kmq, c->ref);
    CHECK(in_flight <= c->n + c->pushed, "%u in flight with %u, want %u",
          in_flight, (unsigned) (c - M.client), c->n + c->pushed);
    n = c->n + c->pushed - in_flight;

    if (n == 0) {
        return;
    }

    for (i = 0, may = 0; i < c->n; i++) {
        may += may_end(c, &c->flight[i]);
    }

    CHECK(n <= may, "%u deliveries have ended, %u are overdue", n, may);
    CHECK(!M.handle[c->handle].dead, "deliveries of the dead have ended");

    place.group = place.after = NONE;

    for (i = 0, done = 0; i < c->n; /* void */) {
        if (may_end(c, &c->flight[i])
            && (n == may || !delivery_lives(c, &c->flight[i])))
        {
            delivery_ended(c, &c->flight[i], h, &place);
            done++;

        } else {
            i++;
        }
    }

    CHECK(done == n, "%u deliveries have ended, found %u", n, done);
}


static void
observe_overdue(unsigned h)
{
    unsigned   i;
    client_t  *c;

    M.epoch++;

    /* which consumer's were first is not to be seen */

    M.tie = ++M.ties;

    for (i = 0; i < CLIENTS; i++) {
        c = &M.client[i];

        if (c->ref && c->n && c->oldest <= M.mono) {
            observe_client(c, h);
        }
    }

    M.tie = 0;
}


static int
is_old(uint32_t id, uint32_t now)
{
    uint32_t    clean;
    message_t  *m = &M.message[id];

    clean = M.topic[m->topic].now.clean_time;

    return clean && m->since <= now && now - m->since >= clean;
}


/* An old message is gone. */
static void
message_expired(uint32_t id, unsigned h)
{
    message_t  *m = &M.message[id];

    CHECK(is_old(id, seconds(h)), "%u is gone in state %d, and not old", id,
          m->state);
    M.topic[m->topic].count.expired++;

    if (m->state == CONSUMED) {
        history_remove(id);
        return;
    }

    if (m->state == DEAD) {
        list_remove(&M.topic[m->topic].dead, id);
        M.dead--;
    } else {
        ready_remove(id);
    }

    message_gone(id);
}


/* Removes the first ones of a list that are gone; what was taken in this call
 * may lie between them.  Returns how many; *left: there are others. */
static unsigned
observe_list(const list_t *list, unsigned h, int *left)
{
    unsigned  n;
    uint32_t  id, next, tie;

    for (id = list->head, n = 0, tie = 0; id != NONE; id = next) {
        next = NEXT(list, id);

        if (M.message[id].stamp == M.stamp) {
            continue;
        }

        if (tie && M.message[id].tie != tie) {
            return n;
        }

        if (is_gone(h, id)) {
            message_expired(id, h);
            n++;
            continue;
        }

        *left = 1;
        tie = M.message[id].tie;

        if (tie == 0) {
            return n;
        }
    }

    return n;
}


/* The groups of one epoch may be in any order; and what this call has brought
 * back may have come after the old ones went. */
static unsigned
observe_topic(topic_t *t, unsigned h)
{
    int       left;
    unsigned  i, n;
    uint32_t  epoch;

    n = observe_list(&t->dead, h, &left) + observe_list(&t->history, h, &left);
    left = 0;

    for (i = t->ngroups, epoch = 0; i-- > 0; ) {
        if (left && t->group[i].epoch != epoch) {
            return n;
        }

        epoch = t->group[i].epoch;
        n += observe_list(&t->group[i].list, h, &left);
        left = epoch == M.epoch ? 0 : left;
    }

    return left ? n : n + observe_list(&t->fresh, h, &left);
}


/* n messages of the history were dropped for memory: the oldest. */
static void
observe_dropped(unsigned h, uint64_t n)
{
    uint32_t  id, next, tie;

    for (id = M.history.head, tie = 0; n; id = next) {
        CHECK(id != NONE, "more dropped than there were");
        next = NEXT(&M.history, id);

        if (M.message[id].tie == 0) {
            CHECK(tie == 0, "dropped is what was not the oldest");

        } else if (!is_gone(h, id)) {
            CHECK(tie == 0 || tie == M.message[id].tie,
                  "dropped is what was not the oldest");
            tie = M.message[id].tie;
            continue;
        }

        history_drop(id);
        n--;
    }
}


/* Messages that are gone because of their age, or history for memory. */
static void
observe_gone(unsigned h, const kmq_counts_t *now)
{
    unsigned  i;
    uint32_t  id, next;
    uint64_t  dropped, expired, found;

    dropped = now->totals.dropped - M.dropped;
    expired = now->totals.expired - M.expired;
    M.dropped = now->totals.dropped;
    M.expired = now->totals.expired;

    if (expired == 0) {
        observe_dropped(h, dropped);
        return;
    }

    found = 0;
    M.vague |= dropped != 0;

    for (id = dropped ? M.history.head : NONE; id != NONE; id = next) {
        next = NEXT(&M.history, id);

        if (is_gone(h, id)) {
            history_drop(id);
            found++;
        }
    }

    for (i = 0; i < TOPICS; i++) {
        found += observe_topic(&M.topic[i], h);
    }

    CHECK(found == expired + dropped, "%llu messages are gone, the counters "
          "say %llu", (unsigned long long) found,
          (unsigned long long) (expired + dropped));
}


/* What has become of time in the engine?  h: whose call it was. */
static void
observe(unsigned h, kmq_counts_t *now)
{
    kmq_count(M.handle[h].kmq, now);

    observe_due(now);

    if (M.options & TIMED) {
        observe_overdue(h);
    }

    observe_gone(h, now);
}


#define SAME(got, want)                                                       \
    CHECK((got) == (want), #got " is %llu, want %llu",                        \
          (unsigned long long) (got), (unsigned long long) (want))

static void
compare(const kmq_counts_t *now)
{
    SAME(now->ready, M.ready);
    SAME(now->in_flight, M.in_flight);
    SAME(now->delayed, M.delayed.count);
    SAME(now->consumed, M.consumed);
    SAME(now->dead, M.dead);
    SAME(now->totals.published, M.published);
    SAME(now->totals.delivered, M.delivered);
    SAME(now->totals.confirmed, M.confirmed);
    SAME(now->consumers, M.consumers);
    SAME(now->producers, M.producers);
    SAME(now->totals.died, M.died);
    SAME(now->totals.requeued, M.requeued);
    SAME(now->totals.expired, M.expired);
    SAME(now->totals.deleted, M.deleted);
    SAME(now->repairs, M.repairs);
    SAME(now->totals.redelivered, M.redelivered);
    SAME(now->totals.refused, M.refused);
}

#endif /* KMQ_ENGINE_MODEL_H */
