/*
 * What time has done in the engine: looks how far that has come, checks that
 * none of it was early, and follows.
 */

#include "apart.h"
#include "count.h"
#include "hold.h"
#include "message.h"
#include "observe.h"
#include "peek.h"
#include "shard.h"


static int
is_gone(unsigned h, uint32_t id)
{
    kmq_message_info_t  info;

    return kmq_find(M.handle[h].kmq, M.message[id].code, &info) == KMQ_GONE;
}


/* Is it still delayed? */
static int
is_delayed(unsigned h, uint32_t id)
{
    kmq_message_info_t  info;

    return kmq_find(M.handle[h].kmq, M.message[id].code, &info) == KMQ_OK
           && info.status == KMQ_STATUS_DELAYED;
}


/* Delayed messages that have become ready: the first ones of each shard. */
static void
observe_due(unsigned h, const kmq_counts_t *now)
{
    int        later[SHARDS];
    uint32_t   id, next;
    unsigned   shard;

    CHECK(now->delayed <= M.delayed.count, "%llu delayed, want %u",
          (unsigned long long) now->delayed, M.delayed.count);
    memset(later, 0, sizeof(later));

    for (id = M.delayed.head; M.delayed.count > now->delayed; id = next) {
        CHECK(id != NONE && M.message[id].due <= M.mono, "%llu are ready too "
              "early, or in another order",
              (unsigned long long) (M.delayed.count - now->delayed));
        next = NEXT(&M.delayed, id);
        shard = M.topic[M.message[id].topic].shard;

        if (later[shard] || is_delayed(h, id)) {
            later[shard] = 1;
            continue;
        }

        list_remove(&M.delayed, id);
        M.message[id].waits = (uint32_t) M.message[id].due;
        ready_append(id);
        M.due++;
    }
}


/* ---------------------------------------------------------------- overdue */

#define FLIGHT_MAX  1024

/* One consumer, after its worker has looked. */
typedef struct {
    client_t           *c;
    uint64_t            mono;
    unsigned            n;
    peeked_delivery_t   is[FLIGHT_MAX];
    unsigned char       over[FLIGHT_MAX];  /* by delivery: it was overdue, */
    int                 at[FLIGHT_MAX];    /* where it is in is[], or -1 */
    unsigned            ended;
    place_t             place;
} look_t;


static void
look_begin(look_t *look, client_t *c, unsigned h)
{
    unsigned  i, k;

    look->c = c;
    look->mono = M.handle[h].mono;
    look->n = peek_deliveries(c, look->is, FLIGHT_MAX);
    look->ended = 0;
    look->place.group = look->place.after = NONE;

    for (i = 0, k = 0; i < c->n; i++) {
        look->over[i] = (unsigned char) clock_over(c, &c->flight[i],
                                                   look->mono);
        look->at[i] = -1;

        if (k < look->n && look->is[k].position == c->flight[i].position) {
            CHECK(look->is[k].slot == M.message[c->flight[i].id].slot,
                  "another message is in flight");
            look->at[i] = (int) k++;
        }

        look->ended += look->at[i] < 0;
    }

    /* the others have just been pushed */

    CHECK(look->n - k <= c->pushed, "%u in flight with %u, want %u", look->n,
          (unsigned) (c - M.client), c->n + c->pushed);
}


/* The engine has ended delivery i. */
static void
look_ended(look_t *look, unsigned i, unsigned h, unsigned reason)
{
    uint32_t   id;
    client_t  *c = look->c;

    id = c->flight[i].id;
    delivery_remove(c, &c->flight[i]);
    M.overdue++;

    let_go(id, bit_of(c), h, (fate_t) { reason, KMQ_BACK_OFF, 0 },
           &look->place);
}


/* What follows for a consumer of which deliveries have ended. */
static void
look_settled(look_t *look)
{
    clock_first(look->c, look->mono);
    hold_emptied(look->c);
}


/*
 * Point to point: those that are overdue are taken away, and no others; but all
 * when it was late before, from the first one on that is overdue, and then the
 * rest.
 */
static void
look_one(look_t *look, unsigned h)
{
    unsigned   i, k, n, first, all;
    client_t  *c = look->c;

    if (look->ended == 0) {
        return;
    }

    for (first = 0; first < c->n && !look->over[first]; first++) {
        /* void */
    }

    CHECK(first < c->n || c->giving, "%u deliveries have ended, none is "
          "overdue", look->ended);

    first = c->giving ? 0 : first;
    all = c->late || c->giving;

    for (i = 0; i < c->n; i++) {
        CHECK((look->at[i] < 0) == (all ? i >= first : look->over[i]),
              "delivery %u of %u, %s: %s (it was %slate)", i, c->n,
              look->over[i] ? "overdue" : "not overdue",
              look->at[i] < 0 ? "ended" : "in flight", all ? "" : "not ");
    }

    M.gave_all += all;
    c->giving |= all && first > 0;

    if (memchr(look->over, 1, c->n)) {
        hold_rest(c, look->mono);
        M.rested++;
    }

    for (i = 0, k = 0, n = c->n; k < n; k++) {
        if (look->at[k] < 0) {
            look_ended(look, i, h,
                       look->over[k] ? KMQ_FAILED_OVERDUE : KMQ_FAILED_NOT);
        } else {
            i++;
        }
    }

    look_settled(look);
}


/* One that was overdue is charged, and will be pushed again. */
static void
look_failed(look_t *look, delivery_t *d)
{
    delivery_failed(look->c, d, KMQ_FAILED_OVERDUE, KMQ_BACK_OFF);
    M.overdue++;
}


/* Publish/subscribe: each that was overdue has failed, where the worker has
 * looked, and is pushed again when its wait is over, or given up. */
static void
look_all(look_t *look, unsigned h)
{
    unsigned                  i, k, n;
    client_t                 *c = look->c;
    const topic_t            *t = &M.topic[c->topic];
    delivery_t               *d;
    const peeked_delivery_t  *is;

    for (i = 0, k = 0, n = c->n; k < n; k++) {
        d = &c->flight[i];
        is = look->at[k] < 0 ? NULL : &look->is[look->at[k]];

        if (look->over[k] && (is == NULL || is->failures != d->failures)) {
            look_failed(look, d);
        }

        if (is == NULL) {
            CHECK(d->again && (M.message[d->id].doomed
                               || gives_up(t, d->failures)),
                  "a consumer is given up after %u failures", d->failures);
            look->place.after = NONE;
            look_ended(look, i, h, KMQ_FAILED_NOT);
            continue;
        }

        CHECK(is->failures == d->failures, "%u failures, want %u",
              is->failures, d->failures);

        if (d->again && is->again) {
            CHECK(is->time == (uint32_t) d->time, "it is pushed again at %u, "
                  "not %u", is->time, (uint32_t) d->time);
        }

        i++;
    }

    if (look->ended) {
        look_settled(look);
    }
}


/* Worker h has looked at its consumers. */
static void
observe_looks(unsigned h)
{
    unsigned       i;
    client_t      *c;
    static look_t  look;

    M.epoch++;

    /* which consumer's were first is not to be seen */

    M.tie = ++M.ties;

    for (i = 0; i < CLIENTS; i++) {
        c = &M.client[i];

        if (c->ref == 0 || c->role != KMQ_CONSUMER || c->handle != h) {
            continue;
        }

        M.from = c->serial;

        if (c->n && M.topic[c->topic].push_type == KMQ_PUSH_ONE) {
            look_begin(&look, c, h);
            look_one(&look, h);

        } else if (c->n) {
            look_begin(&look, c, h);
            look_all(&look, h);
        }

        observe_held(c);
    }

    observe_apart(h);
    M.from = 0;
    M.tie = 0;
}


/* ---------------------------------------------------------------- retries */

/* The earliest time that a worker knows: by that it counts. */
static uint64_t
mono_least(void)
{
    unsigned  h;
    uint64_t  least;

    for (h = 0, least = M.mono; h < HANDLES; h++) {
        if (!M.handle[h].dead && M.handle[h].mono < least) {
            least = M.handle[h].mono;
        }
    }

    return least;
}


/* ms: clocks of workers may have differed by so much more than they do now. */
#define LAG  1000

/* A message that waited is ready: was it time? */
static void
retry_ready(uint32_t id)
{
    uint64_t    until, lag;
    message_t  *m = &M.message[id];
    topic_t    *t = &M.topic[m->topic];

    until = m->next;

    if (m->state == RETRYING && m->suspect && t->push_type == KMQ_PUSH_ONE
        && t->switched != M.step)
    {
        until = mono_least() + t->max_least;
        until = until > m->next ? until : m->next;
    }

    /* nor does a suspect wait where it is for all by now; a worker whose clock
     * is behind may have put it aside */

    if (m->state == ASIDE) {
        lag = t->push_type == KMQ_PUSH_ALL ? until
                                           : M.mono - mono_least() + LAG;
        until -= lag < until ? lag : until;
    }

    CHECK(until <= M.mono, "%u in state %d is ready %llu ms too early", id,
          m->state, (unsigned long long) (until - M.mono));
    retry_over(id);
}


/* It is in the batch. */
static void
retry_taken(uint32_t id, unsigned h)
{
    message_t  *m = &M.message[id];
    topic_t    *t = &M.topic[m->topic];

    if (t->push_type == KMQ_PUSH_ALL) {
        retry_ready(id);
        return;
    }

    if (m->state == RETRYING) {
        CHECK(m->next <= M.mono, "%u is tried %llu ms too early", id,
              (unsigned long long) (m->next - M.mono));

        if (!m->suspect || t->now.retry_delay_max == 0) {
            retry_over(id);
            return;
        }

        m->state = ASIDE;
        m->next = M.handle[h].mono + t->now.retry_delay_max;
    }
}


static void
observe_retry(uint32_t id, unsigned h)
{
    peeked_t    is;
    message_t  *m = &M.message[id];

    peek_message(m, &is);

    switch (is.state) {

    case RETRYING:
        CHECK(m->state == RETRYING && is.next == m->next,
              "%u in state %d: its next try is at %llu, not %llu", id,
              m->state, (unsigned long long) is.next,
              (unsigned long long) m->next);
        break;

    case ASIDE:
        if (m->state == RETRYING) {
            CHECK(m->next <= M.mono && m->suspect, "%u is no suspect, or too "
                  "early", id);
            m->state = ASIDE;
            m->next = is.next;
            M.suspects++;
        }

        /* a worker whose clock is another may have given it back */

        CHECK(is.next + LAG >= m->next && is.next <= m->next + LAG,
              "%u is aside until %llu, not %llu", id,
              (unsigned long long) is.next, (unsigned long long) m->next);
        m->next = is.next;
        break;

    case READY:
        retry_ready(id);
        break;

    case IN_FLIGHT:
        CHECK(m->stamp == M.stamp
              || M.topic[m->topic].push_type == KMQ_PUSH_ALL,
              "%u is in flight", id);
        retry_taken(id, h);
        break;

    case FREE:
        break;                     /* see observe_gone() */

    default:
        fail("%u waited, and is in state %d", id, is.state);
    }
}


static void
observe_retries(unsigned h)
{
    uint32_t  id, next;

    for (id = M.retrying.head; id != NONE; id = next) {
        next = NEXT(&M.retrying, id);
        observe_retry(id, h);
    }
}


/* -------------------------------------------------------------------- age */

int
is_old(uint32_t id, uint32_t now)
{
    uint32_t    clean;
    message_t  *m = &M.message[id];

    clean = M.topic[m->topic].now.clean_time;

    return clean && m->since <= now && now - m->since >= clean;
}


/* The latest time that a worker knows. */
static uint32_t
latest(void)
{
    unsigned  h;
    uint32_t  last;

    for (h = 0, last = 0; h < HANDLES; h++) {
        last = M.handle[h].dead ? last : later(last, seconds(h));
    }

    return last;
}


/* An old message is gone. */
static void
message_expired(uint32_t id, unsigned h)
{
    message_t  *m = &M.message[id];

    /* one that waited may have been due in another worker's call */

    CHECK(is_old(id, m->state == RETRYING || m->state == ASIDE
                     ? latest() : seconds(h)),
          "%u is gone in state %d, and not old", id, m->state);
    M.topic[m->topic].count.expired++;

    if (m->state == CONSUMED) {
        history_remove(id);
        return;
    }

    if (m->state == DEAD) {
        list_remove(&M.topic[m->topic].dead, id);
        M.dead--;

    } else if (m->state == RETRYING || m->state == ASIDE) {
        CHECK(m->next <= M.mono
              || (m->state == ASIDE
                  && M.topic[m->topic].push_type == KMQ_PUSH_ALL),
              "%u is gone before its next try", id);
        list_remove(&M.retrying, id);

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


/* Those that are gone of a list in no order; returns how many. */
static unsigned
observe_any(const list_t *list, unsigned h)
{
    unsigned  n;
    uint32_t  id, next;

    for (id = list->head, n = 0; id != NONE; id = next) {
        next = NEXT(list, id);

        if (is_gone(h, id)) {
            message_expired(id, h);
            n++;
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
    n += observe_any(&t->loose, h);
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


/* Removes what was dropped of a shard's history for memory, the oldest: returns
 * how many. */
static uint64_t
observe_history(const list_t *history, unsigned h)
{
    uint32_t  id, next, tie;
    uint64_t  n;

    n = 0;
    tie = 0;

    for (id = history->head; id != NONE; id = next) {
        next = NEXT(history, id);

        if (tie && M.message[id].tie != tie) {
            break;
        }

        if (is_gone(h, id)) {
            history_drop(id);
            n++;
            continue;
        }

        tie = M.message[id].tie;

        if (tie == 0) {
            break;
        }
    }

    return n;
}


/* n messages of the history were dropped for memory. */
static void
observe_dropped(unsigned h, uint64_t n)
{
    unsigned  i;
    uint64_t  found;

    found = 0;

    for (i = 0; n && i < M.shards; i++) {
        found += observe_history(&M.shard[i].history, h);
    }

    CHECK(found == n, "%llu of %llu that were dropped are the oldest",
          (unsigned long long) found, (unsigned long long) n);
}


/* The same where others have grown old, so that any may be gone. */
static uint64_t
observe_both(unsigned h)
{
    unsigned       i;
    uint32_t       id, next;
    uint64_t       found;
    const list_t  *history;

    found = 0;

    for (i = 0; i < M.shards; i++) {
        history = &M.shard[i].history;

        for (id = history->head; id != NONE; id = next) {
            next = NEXT(history, id);

            if (is_gone(h, id)) {
                history_drop(id);
                found++;
            }
        }
    }

    return found;
}


/* Messages that are gone because of their age, or history for memory. */
static void
observe_gone(unsigned h, const kmq_counts_t *now)
{
    unsigned  i;
    uint64_t  dropped, expired, found;

    dropped = now->totals.dropped - M.dropped;
    expired = now->totals.expired - M.expired;
    M.dropped = now->totals.dropped;
    M.expired = now->totals.expired;

    if (expired == 0) {
        observe_dropped(h, dropped);
        return;
    }

    found = dropped ? observe_both(h) : 0;
    M.vague |= dropped != 0;

    found += observe_any(&M.retrying, h);

    for (i = 0; i < TOPICS; i++) {
        found += observe_topic(&M.topic[i], h);
    }

    CHECK(found == expired + dropped, "%llu messages are gone, the counters "
          "say %llu", (unsigned long long) found,
          (unsigned long long) (expired + dropped));
}


static void
observe_counts(unsigned h, kmq_counts_t *now)
{
    kmq_count(M.handle[h].kmq, now);
    M.strained = M.strained && shards_strained();
}


/* What has become of time in the engine?  h: whose call it was. */
void
observe(unsigned h, kmq_counts_t *now)
{
    observe_counts(h, now);
    observe_due(h, now);
    observe_retries(h);
    observe_gone(h, now);
}


/* Something has failed: its next try may be due at once, by another worker's
 * clock. */
void
observe_failed(unsigned h)
{
    kmq_counts_t  now;

    if (M.retrying.count) {
        observe(h, &now);
    }
}


/* The same, of kmq_take(): it has looked at its consumers as well. */
void
observe_take(unsigned h, kmq_counts_t *now)
{
    observe_counts(h, now);
    observe_due(h, now);

    if (M.options & TIMED) {
        observe_looks(h);
    }

    observe_retries(h);
    observe_gone(h, now);
}


void
compare(const kmq_counts_t *now)
{
    SAME(now->ready, M.ready);
    SAME(now->in_flight, M.in_flight);
    SAME(now->delayed, M.delayed.count);
    SAME(now->retrying, M.retrying.count);
    SAME(now->failures[KMQ_FAILED_END], M.failed[KMQ_FAILED_END]);
    SAME(now->failures[KMQ_FAILED_RETURN], M.failed[KMQ_FAILED_RETURN]);
    SAME(now->failures[KMQ_FAILED_OVERDUE], M.failed[KMQ_FAILED_OVERDUE]);
    SAME(now->failures[KMQ_FAILED_NOT], M.failed[KMQ_FAILED_NOT]);
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
