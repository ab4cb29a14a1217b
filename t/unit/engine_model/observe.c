/*
 * What time has done in the engine: looks how far that has come, checks that
 * none of it was early, and follows.
 */

#include "count.h"
#include "message.h"
#include "observe.h"


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
    M.from = c->serial;

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

    M.from = 0;
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


int
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

    for (i = 0; i < TOPICS; i++) {
        found += observe_topic(&M.topic[i], h);
    }

    CHECK(found == expired + dropped, "%llu messages are gone, the counters "
          "say %llu", (unsigned long long) found,
          (unsigned long long) (expired + dropped));
}


/* What has become of time in the engine?  h: whose call it was. */
void
observe(unsigned h, kmq_counts_t *now)
{
    kmq_count(M.handle[h].kmq, now);

    observe_due(h, now);

    if (M.options & TIMED) {
        observe_overdue(h);
    }

    observe_gone(h, now);
}


void
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
