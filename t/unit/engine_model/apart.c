/*
 * Consumers that are set apart, point to point: leased, as the answer to a pull
 * is, or parked, as a stream that may come back.  They are nobody's; whoever
 * takes looks at them.
 */

#include "../../../src/engine/kmq_block.h"
#include "../../../src/engine/queue/kmq_queue.h"

#include "apart.h"
#include "check.h"
#include "client.h"
#include "count.h"
#include "handle.h"
#include "message.h"
#include "observe.h"
#include "peek.h"


#define FLIGHT_MAX  1024
#define TIME_MAX    100000         /* ms */


/* ---------------------------------------------------------------- the block */

static const kmq_client_t *
client_at(const client_t *c)
{
    return KMQ_AT((kmq_block_t *) M.block, c->ref);
}


/* KMQ_APART, KMQ_LEAVING, or 0: it has gone. */
static unsigned
role_of(const client_t *c)
{
    return client_at(c)->number == c->number ? client_at(c)->role : 0;
}


client_t *
some_apart(void)
{
    unsigned   i, k;
    client_t  *c;

    k = below(CLIENTS);

    for (i = 0; i < CLIENTS; i++) {
        c = &M.client[(i + k) % CLIENTS];

        if (c->ref && c->role == SET_APART && !c->leaving) {
            return c;
        }
    }

    return NULL;
}


unsigned
apart_count(unsigned how)
{
    unsigned   n;
    client_t  *c;

    n = 0;

    for (c = M.client; c < M.client + CLIENTS; c++) {
        n += c->ref && c->role == SET_APART && c->apart == how
             && !c->leaving;
    }

    return n;
}


/* What follows a call of worker h. */
static void
follow(unsigned h)
{
    kmq_counts_t  now;

    wakes(h);
    observe(h, &now);
    compare(&now);
}


/* -------------------------------------------------------------------- begin */

static uint64_t
some_time(void)
{
    return one_in(3) ? 1 + below(20) : 1 + below(one_in(3) ? TIME_MAX : 2000);
}


/* One that may be set apart, of a worker that lives. */
static client_t *
some_joined(int settles)
{
    client_t  *c;

    c = some_consumer();

    return c && is_active(c) && M.topic[c->topic].push_type == KMQ_PUSH_ONE
           && c->settles == settles ? c : NULL;
}


/* It is nobody's from now on. */
static void
begin(client_t *c, unsigned how, uint64_t ms)
{
    topic_t  *t = &M.topic[c->topic];

    c->since = M.handle[c->handle].mono;
    c->role = SET_APART;
    c->apart = how;
    c->apart_for = ms;
    c->leaving = 0;
    c->handle = NOBODY;
    c->ready = 0;
    c->closing = c->told = 0;
    c->number = client_at(c)->number;
    M.consumers--;
    t->consumers--;
    t->matching--;
    M.set_apart++;

    if (c->n == 0) {
        c->ref = 0;
    }
}


void
op_lease(void)
{
    unsigned   i, h;
    uint64_t   ms, number;
    client_t  *c;

    c = some_joined(0);

    if (c == NULL) {
        return;
    }

    h = c->handle;
    ms = some_time();
    number = kmq_lease(M.handle[h].kmq, c->ref, ms);

    for (i = 0; i < c->n; i++) {
        c->flight[i].runs = 1;
        c->flight[i].again = 0;
        c->flight[i].time = M.handle[h].mono;
    }

    c->failed = 0;
    begin(c, KMQ_LEASED, ms);
    CHECK(number && (c->ref == 0 || number == c->number), "lease: %llu",
          (unsigned long long) number);
    follow(h);
}


void
op_park(void)
{
    unsigned   h;
    uint64_t   ms;
    client_t  *c;

    c = some_joined(1);

    if (c == NULL) {
        return;
    }

    h = c->handle;
    ms = some_time();
    c->failed = !one_in(3);
    kmq_park(M.handle[h].kmq, c->ref, ms, c->failed);
    begin(c, KMQ_PARKED, ms);
    follow(h);
}


/* ---------------------------------------------------------------------- end */

/* It leaves as if it had been somebody's; failed: that is charged. */
static void
leaves(client_t *c, unsigned h, int failed)
{
    M.epoch++;
    left(c, h, failed);
}


void
op_lease_cancel(void)
{
    int        known;
    unsigned   h;
    kmq_ref_t  ref;
    client_t  *c;

    c = some_apart();

    if (c == NULL) {
        return;
    }

    h = some_handle();
    ref = c->ref;
    known = !one_in(4);

    if (known && c->apart == KMQ_LEASED) {
        leaves(c, h, 0);
        M.cancelled++;
    }

    kmq_lease_cancel(M.handle[h].kmq, ref, c->number + !known);
    follow(h);
}


/* The first ones, which it had received, stay with it, the rest goes back. */
static void
resumed(client_t *c, unsigned h, unsigned received)
{
    unsigned   i;
    uint32_t   id;
    place_t    place;
    topic_t   *t = &M.topic[c->topic];

    c->role = KMQ_CONSUMER;
    c->apart = 0;
    c->handle = h;
    c->by_code = 1;
    c->late = c->giving = 0;
    c->resting = c->spoken = c->proving = c->alone = c->paused = 0;
    c->closing = c->told = 0;
    c->mode = 0;
    c->last_seen = seconds(h);

    M.epoch++;
    place.group = place.after = NONE;

    while (c->n > received) {
        id = c->flight[received].id;
        delivery_remove(c, &c->flight[received]);
        let_go(id, bit_of(c), h, (fate_t) { 0, 0, 1 }, &place);
    }

    for (i = 0; i < c->n; i++) {
        c->flight[i].runs = 1;
        c->flight[i].time = M.handle[h].mono;
        c->flight[i].slack = M.mono - M.handle[h].mono;
    }

    M.consumers++;
    t->matching++;

    if (t->consumers++ == 0) {
        t->push_type = c->push_type;
    }
}


/* It comes back to worker h, having received so many of its messages. */
static void
resume(client_t *c, unsigned h, unsigned received)
{
    kmq_ref_t           ref;
    const char         *last;
    kmq_client_info_t   info;
    const topic_t      *t = &M.topic[c->topic];

    memset(&info, 0, sizeof(info));
    info.role = KMQ_CONSUMER;
    info.prefetch = c->prefetch;
    info.by_code = 1;
    info.settles = 1;
    info.topic_len = (uint16_t) strlen(t->name);
    memcpy(info.topic, t->name, info.topic_len);
    info.id_len = (uint16_t) sprintf(info.id, "%u", c->serial);
    info.addr_len = (uint16_t) sprintf(info.addr, "::1");

    last = received ? M.message[c->flight[received - 1].id].code : NULL;
    ref = kmq_resume(M.handle[h].kmq, &info, c, last);

    if (c->apart != KMQ_PARKED || c->closing) {
        CHECK(ref == 0, "resumed, and was not parked");
        return;
    }

    CHECK(ref == c->ref, "not resumed, or another one");
    resumed(c, h, received);
    follow(h);
    M.resumed++;
}


void
op_resume(void)
{
    client_t  *c;

    c = some_apart();

    if (c && c->n) {
        resume(c, some_handle(), below(c->n + 1));
    }
}


/* --------------------------------------------------------------------- time */

/* Is it over for a time that began then, by the clock of h? */
static int
is_over(const client_t *c, unsigned h, uint64_t time)
{
    return time + c->apart_for <= M.handle[h].mono;
}


/* Those whose leases have ended have been taken away, all by one look: the
 * oldest is charged. */
static void
observe_leases(client_t *c, unsigned h)
{
    uint32_t                    id;
    unsigned                    i, k, n, m, ended, reason;
    place_t                     place;
    unsigned char               over[FLIGHT_MAX], there[FLIGHT_MAX];
    static peeked_delivery_t    is[FLIGHT_MAX];

    m = peek_deliveries(c, is, FLIGHT_MAX);

    for (i = 0, k = 0, ended = 0; i < c->n; i++) {
        over[i] = (unsigned char) is_over(c, h, c->flight[i].time);
        there[i] = k < m && is[k].position == c->flight[i].position;
        k += there[i];
        ended += !there[i];
    }

    CHECK(k == m, "%u in flight with one that is leased, want %u", m, c->n);

    reason = KMQ_FAILED_OVERDUE;
    place.group = place.after = NONE;

    for (i = 0, k = 0, n = c->n; ended && k < n; k++) {
        CHECK(there[k] == !over[k], "lease %u of %u: %s, %s", k, n,
              over[k] ? "over" : "not over", there[k] ? "there" : "ended");

        if (there[k]) {
            i++;
            continue;
        }

        id = c->flight[i].id;
        delivery_remove(c, &c->flight[i]);
        let_go(id, bit_of(c), h, (fate_t) { reason, KMQ_BACK_OFF, 0 }, &place);
        M.lapsed++;
        reason = 0;
    }

    c->leaving = role_of(c) != KMQ_APART;
    CHECK(!c->leaving || c->n == 0, "one that is leased goes");
}


/* The time of one that is parked is over, or it was disconnected. */
static void
observe_end(client_t *c, unsigned h)
{
    if (role_of(c) == KMQ_APART) {
        return;
    }

    CHECK(c->closing || c->n == 0 || is_over(c, h, c->since),
          "one that is parked goes");
    c->leaving = 1;
    c->failed = !c->closing && c->failed && is_over(c, h, c->since);
    M.lapsed += !c->closing;
    M.disconnected += c->closing;
}


/* Worker h has looked at those whose time may have come. */
void
observe_apart(unsigned h)
{
    client_t  *c;

    for (c = M.client; c < M.client + CLIENTS; c++) {
        if (c->ref == 0 || c->role != SET_APART || c->leaving) {
            continue;
        }

        M.from = c->serial;

        if (c->closing || c->apart == KMQ_PARKED) {
            observe_end(c, h);
        } else {
            observe_leases(c, h);
        }
    }

    M.from = 0;
    observe_leaving(h);
}


/* Some call of worker h may have given back what those had that leave: whose
 * was first is not to be seen. */
void
observe_leaving(unsigned h)
{
    uint32_t   tie;
    client_t  *c;

    tie = M.tie;
    M.tie = tie ? tie : ++M.ties;

    for (c = M.client; c < M.client + CLIENTS; c++) {
        if (c->ref && c->role == SET_APART && c->leaving
            && role_of(c) != KMQ_LEAVING)
        {
            left(c, h, c->failed);
        }
    }

    M.tie = tie;
}


/* -------------------------------------------------------------------- check */

/* All that was due has been done. */
void
check_apart(void)
{
    unsigned   i;
    client_t  *c;

    for (c = M.client; c < M.client + CLIENTS; c++) {

        if (c->ref == 0 || c->role != SET_APART) {
            continue;
        }

        CHECK(!c->closing && !c->leaving, "one that is apart should have gone");
        CHECK(c->n, "one that is apart has nothing");
        CHECK(c->apart == KMQ_LEASED || c->since + c->apart_for > M.mono,
              "consumer %u is parked for too long", (unsigned) (c - M.client));

        for (i = 0; c->apart == KMQ_LEASED && i < c->n; i++) {
            CHECK(c->flight[i].time + c->apart_for > M.mono,
                  "message %u is leased for too long, %llu ms of %llu",
                  c->flight[i].id,
                  (unsigned long long) (M.mono - c->flight[i].time),
                  (unsigned long long) c->apart_for);
        }
    }
}


void
check_apart_client(const client_t *c, const kmq_client_info_t *info,
    unsigned h)
{
    CHECK(info->leased == (c->apart == KMQ_LEASED)
          && info->parked == (c->apart == KMQ_PARKED)
          && info->number == c->number,
          "one that is apart is not as it is");

    /* a worker whose clock is behind sees more time left than there ever was */

    CHECK(info->left <= c->apart_for + M.mono - M.handle[h].mono,
          "%llu ms are left of %llu", (unsigned long long) info->left,
          (unsigned long long) c->apart_for);
}


/* The run ends: all of them go. */
void
apart_end(void)
{
    if (some_apart()) {
        M.mono += TIME_MAX;
        op_quiesce();
        CHECK(some_apart() == NULL, "one is apart for ever");
    }
}
