/*
 * What engine_model.c does with the disk: journals are written, checkpoints
 * made in slices while everything goes on, and now and then the block is
 * thrown away and another one recovered from the files.  What that one has to
 * be like follows from the model.
 */

#include "count.h"
#include "disk.h"
#include "handle.h"
#include "manage.h"
#include "message.h"
#include "observe.h"
#include "restart.h"
#include "settings.h"
#include "shard.h"


#define OFF_MAX  100000            /* ms between an end and a start */


void
op_flush(void)
{
    unsigned  h;

    h = some_handle();
    journal_take(h);

    if (one_in(2)) {
        pending_write(h);
    }
}


void
op_checkpoint(void)
{
    unsigned  n;

    if (!D.active) {
        if (!one_in(8)) {
            return;
        }

        checkpoint_begin(some_handle());

    } else if (one_in(100)) {
        checkpoint_abandon();
        return;
    }

    for (n = below(one_in(4) ? 60 : 9); n && D.active; n--) {
        checkpoint_slice();
    }
}


/* ---------------------------------------------------------------- the end */

/* Where records were lost, with a worker, the keeper knows; then another
 * checkpoint is all that helps. */
static void
losses_cover(void)
{
    unsigned  h, due;

    for (h = 0, due = 0; h < HANDLES; h++) {
        tick(h);
        due += kmq_checkpoint_due(M.handle[h].kmq, UINT64_MAX);
    }

    CHECK(due || !D.lost, "a loss of records is forgotten");

    if (!due) {
        return;
    }

    checkpoint_abandon();
    checkpoint_begin(some_handle());

    while (D.active) {
        checkpoint_slice();
    }
}


/* All is written and nobody works any more. */
static void
stop(void)
{
    int           clean;
    unsigned      h;
    kmq_counts_t  now;

    clock_all();
    tick(some_handle());
    losses_cover();
    h = some_handle();
    observe(h, &now);
    compare(&now);

    clean = one_in(3);

    for (h = 0; h < HANDLES; h++) {
        if (clean) {
            M.epoch++;
            handle_left(h, h);
            kmq_leave_all(M.handle[h].kmq);
        }

        journal_flush(h);
    }

    checkpoint_abandon();

    for (h = 0; h < HANDLES; h++) {
        handle_close(&M.handle[h], 1);
    }

    D.lost = 0;
    munmap(M.block, SIZE);
}


/* -------------------------------------------------------------- the model */

/* What was accepted is in the queue, other reserved messages are not. */
static void
held_recovered(held_t *held)
{
    unsigned    i;
    message_t  *m;

    for (i = 0; i < held->n; i++) {
        m = &M.message[held->id[i]];

        if (held->accepted) {
            m->state = m->due ? DELAYED : READY;
        } else {
            message_gone(held->id[i]);
        }
    }

    held->n = 0;
}


/* What becomes of a message in another life of its queue; due, next: when it
 * is, by the new clock. */
static void
message_recovered(uint32_t id, uint64_t due, uint64_t next)
{
    message_t  *m = &M.message[id];

    m->todo = 0;
    m->flight = 0;
    m->entered = M.mono;
    m->loose = 0;
    m->aside = 0;

    switch (m->state) {

    case RETRYING:
        m->next = next;

        if ((int64_t) (next - M.mono) <= 0) {
            m->state = READY;
        }

        break;

    case ASIDE:
        m->state = READY;
        break;

    case IN_FLIGHT:

        if (m->doomed) {
            message_gone(id);
            return;
        }

        m->state = READY;
        m->pushed = 1;

        if (m->confirmed) {
            m->state = CONSUMED;
            m->since = m->create_time + m->delay;
            M.ended++;
        }

        break;

    case DELAYED:
        m->due = due;

        if ((int64_t) (due - M.mono) <= 0) {
            m->state = READY;
            M.due++;
        }

        break;

    default:
        break;
    }

    /* a suspect waits for its topic's settings first */

    if (m->state == READY && m->suspect) {
        m->state = RETRYING;
        m->next = M.mono + 1;
    }

    if (m->state == RETRYING) {
        list_append(&M.retrying, id);
    }

    M.ready += m->state == READY;
    M.dead += m->state == DEAD;
    M.consumed += m->state == CONSUMED;
    M.topic[m->topic].nready += m->state == READY;
}


static void
topic_recovered(topic_t *t)
{
    list_init(&t->log, PLACE);
    t->consumers = 0;
    t->matching = 0;
    t->ref = 0;
    t->any = 0;
    t->resumed = 0;
    t->nready = 0;
}


/* The clock that never jumps begins anew, the other one goes on. */
static uint64_t
clock_restart(void)
{
    uint64_t  before, wall;

    static const uint64_t  clocks[] = { 1000, 1000, UINT32_MAX - 20000 };

    before = WALL + M.offset;
    wall = before + M.mono + (one_in(2) ? below(100) : below(OFF_MAX));
    M.mono = clocks[below(3)];
    M.offset = wall - WALL - M.mono;

    return before - WALL - M.offset;
}


static void
model_restart(void)
{
    unsigned  i;
    uint32_t  id, next;
    uint64_t  moved;

    for (i = 0; i < CLIENTS; i++) {
        M.client[i].ref = 0;
        M.client[i].n = 0;
    }

    for (i = 0; i < TOPICS; i++) {
        topic_recovered(&M.topic[i]);
    }

    for (i = 0; i < HELD; i++) {
        held_recovered(&M.held[i]);
    }

    M.producers = M.consumers = 0;
    M.ready = M.in_flight = M.dead = M.consumed = M.reserved = 0;
    M.broken = M.broken_reserved = 0;
    M.repairs = 0;
    M.search.active = 0;
    memset(M.failed, 0, sizeof(M.failed));
    list_init(&M.retrying, PLACE);

    /* others that had been given to nobody may be given now */

    M.sequence = M.stored;

    moved = clock_restart();

    for (id = M.all.head; id != NONE; id = next) {
        next = NEXT(&M.all, id);
        message_recovered(id, M.message[id].due + moved,
                          M.message[id].next + moved);
    }

    M.pushed = M.waited = 0;
}


/* -------------------------------------------------------------- the start */

static void
recovery_log(void *arg, int level, const char *text)
{
    (void) arg;

    CHECK(level == KMQ_LOG_INFO, "recovery: %s", text);
}


static void
recover(void)
{
    unsigned        h;
    unsigned char   seed[KMQ_SEED_LEN];
    kmq_recovery_t  rc;

    /* the key is the one in the files */

    memset(seed, (int) below(256), sizeof(seed));
    seed[0] ^= 1;
    shards_again();
    M.block = eu_map(SIZE);
    CHECK(kmq_block_init(M.block, SIZE, seed) == KMQ_OK, "kmq_block_init");

    memset(&rc, 0, sizeof(rc));
    rc.dir = D.dir;
    rc.block = M.block;
    rc.size = SIZE;
    rc.mono = M.mono;
    rc.wall = WALL + M.mono + M.offset;
    rc.log = recovery_log;

    CHECK(kmq_recover(&rc) == 0 && rc.damaged == 0, "kmq_recover");

    for (h = 0; h < HANDLES; h++) {
        attach(h, h);
    }

    shards_learn(0);
}


/* A message that must be there, and how; it may have another place. */
static void
message_find(uint32_t id)
{
    int                  rc;
    message_t           *m = &M.message[id];
    kmq_message_info_t   info;

    rc = kmq_find(M.handle[0].kmq, m->code, &info);

    if (rc != KMQ_OK && m->state == CONSUMED) {

        /* memory was short on the way, on which recovery meets again all that
         * there was since the last checkpoint */

        CHECK(M.peak > SIZE / 4 || M.nforgotten, "%u is not in the history",
              id);
        history_drop(id);
        M.missing++;
        return;
    }

    CHECK(rc == KMQ_OK, "%u in state %d is not recovered", id, m->state);

    if (m->state == CONSUMED && info.consumed_time != m->consumed_time) {
        CHECK(info.consumed_time == m->first_time,
              "%u was consumed at %u, not %u or %u", id, info.consumed_time,
              m->first_time, m->consumed_time);
        m->consumed_time = info.consumed_time;
    }

    m->slot = info.slot;
    m->body = info.body;
    M.of_slot[m->slot] = id;
    check_info(id, &info);
}


static int
by_number(const void *one, const void *two)
{
    const uint64_t  *a = one, *b = two;

    return *a < *b ? -1 : *a > *b;
}


/* That history was dropped is not written: what was may be there again. */
static void
forgotten_delete(const kmq_message_info_t *info)
{
    CHECK(bsearch(&info->sequence, M.forgotten, M.nforgotten,
                  sizeof(uint64_t), by_number),
          "%llu was never dropped", (unsigned long long) info->sequence);
    CHECK(kmq_delete(M.handle[0].kmq, info->code) == KMQ_OK, "delete");
    M.deleted++;
    M.remembered++;
}


static void
forgotten_check(void)
{
    unsigned             i, n;
    message_t           *m;
    uint64_t             cursor;
    kmq_query_t          q;
    kmq_message_info_t   info[64];

    qsort(M.forgotten, M.nforgotten, sizeof(uint64_t), by_number);

    memset(&q, 0, sizeof(q));
    q.status = KMQ_STATUS_ANY;
    q.to = UINT32_MAX;
    cursor = 0;

    do {
        n = kmq_search(M.handle[0].kmq, &q, &cursor, info, 64);

        for (i = 0; i < n; i++) {
            m = &M.message[M.of_slot[info[i].slot]];

            if (m->state == FREE || m->sequence != info[i].sequence) {
                CHECK(info[i].status == KMQ_STATUS_CONSUMED,
                      "%llu is there again",
                      (unsigned long long) info[i].sequence);
                forgotten_delete(&info[i]);
            }
        }
    } while (cursor);
}


/* A table of periods, but for the published ones that a discarded message was
 * one of, or that were held over its end: they count when they came.  How much
 * there was to do is known as of the checkpoint. */
static void
table_recovered(kmq_period_t *kept, const kmq_period_t *got, unsigned n)
{
    unsigned       i;
    kmq_period_t  *p;

    for (i = 0; i < n; i++) {
        p = &kept[got[i].number % n];
        CHECK(got[i].delivered == (p->number == got[i].number ? p->delivered
                                                              : 0)
              && got[i].confirmed == (p->number == got[i].number
                                      ? p->confirmed : 0),
              "period %llu of %u: %llu %llu, want %llu: %llu %llu",
              (unsigned long long) got[i].number, n,
              (unsigned long long) got[i].delivered,
              (unsigned long long) got[i].confirmed,
              (unsigned long long) p->number,
              (unsigned long long) p->delivered,
              (unsigned long long) p->confirmed);

        if (p->number == got[i].number || got[i].published
            || got[i].backlog != KMQ_UNKNOWN)
        {
            *p = got[i];
        }
    }
}


static uint64_t
published_in(const kmq_period_t *p, unsigned n)
{
    uint64_t  sum;

    for (sum = 0; n--; p++) {
        sum += (int64_t) p->published > 0 ? p->published : 0;
    }

    return sum;
}


static void
growth_recovered(void)
{
    uint64_t             before;
    static kmq_period_t  got[KMQ_MINUTES];

    before = published_in(M.hour, KMQ_HOURS);
    kmq_growth(M.handle[0].kmq, KMQ_UNIT_HOUR, got, KMQ_HOURS);
    table_recovered(M.hour, got, KMQ_HOURS);
    CHECK(published_in(got, KMQ_HOURS) >= before, "too few published");

    kmq_growth(M.handle[0].kmq, KMQ_UNIT_MINUTE, got, KMQ_MINUTES);
    table_recovered(M.minute, got, KMQ_MINUTES);
}


/* A topic's table; where one of a longer time ago has taken the place of one
 * that is kept, there is nothing to compare. */
static void
topic_table_recovered(const kmq_period_t *kept, const kmq_period_t *got,
    unsigned n)
{
    unsigned  i;

    for (i = 0; i < n; i++, kept++, got++) {
        CHECK(got->number || !(kept->delivered || kept->confirmed)
              || !is_current(kept->number, n, seconds(0)),
              "period %llu of %u is not recovered",
              (unsigned long long) kept->number, n);
        CHECK(got->number != kept->number
              || (got->delivered == kept->delivered
                  && got->confirmed == kept->confirmed),
              "period %llu of %u: %llu %llu, want %llu %llu",
              (unsigned long long) kept->number, n,
              (unsigned long long) got->delivered,
              (unsigned long long) got->confirmed,
              (unsigned long long) kept->delivered,
              (unsigned long long) kept->confirmed);
    }
}


/* Refused messages are known as of the checkpoint; what else was counted of a
 * topic is in the journals, but for what became of history that was given up
 * on the way. */
static void
topic_counts_recovered(topic_t *t)
{
    counted_t                  *c = &t->count;
    static kmq_topic_detail_t   d;

    if (kmq_topic(M.handle[0].kmq, t->name, strlen(t->name), &d) != KMQ_OK) {
        CHECK(c->published == 0 || M.options & (LARGE|BREAKS),
              "%s is forgotten", t->name);
        memset(c, 0, sizeof(*c));
        return;
    }

    CHECK(d.info.totals.refused <= c->refused || M.options & (LARGE|BREAKS),
          "refused: %llu", (unsigned long long) d.info.totals.refused);
    c->refused = d.info.totals.refused;

    if (!(M.options & (LARGE|BREAKS))) {
        SAME(d.info.totals.delivered, c->delivered);
        SAME(d.info.totals.confirmed, c->confirmed);
        SAME(d.info.totals.published, c->published);
        SAME(d.info.totals.died, c->died);
        topic_table_recovered(c->minute, d.minute, KMQ_TOPIC_MINUTES);
        topic_table_recovered(c->hour, d.hour, KMQ_TOPIC_HOURS);
    }

    if (M.missing == 0 && M.nforgotten == 0 && M.peak <= SIZE / 5
        && !(M.options & (LARGE|BREAKS)) && !M.vague)
    {
        SAME(d.info.totals.redelivered, c->redelivered);
        SAME(d.info.totals.expired, c->expired);
    }

    c->published = d.info.totals.published;
    c->delivered = d.info.totals.delivered;
    c->redelivered = d.info.totals.redelivered;
    c->confirmed = d.info.totals.confirmed;
    c->died = d.info.totals.died;
    c->expired = d.info.totals.expired;
    memcpy(c->minute, d.minute, sizeof(d.minute));
    memcpy(c->hour, d.hour, sizeof(d.hour));
}


static void
topics_recovered(void)
{
    unsigned  i;

    for (i = 0; i < TOPICS; i++) {
        topic_counts_recovered(&M.topic[i]);
    }
}


void
op_restart(void)
{
    uint32_t      id, next;
    kmq_counts_t  now;

    stop();
    model_restart();
    recover();
    M.strained = shards_strained();
    lists_sort(ANY_SHARD);
    waits_anew(ANY_SHARD, M.mono);

    for (id = M.all.head; id != NONE; id = next) {
        next = NEXT(&M.all, id);
        message_find(id);
    }

    forgotten_check();

    kmq_count(M.handle[0].kmq, &now);
    M.dropped = now.totals.dropped;
    CHECK(now.totals.refused <= M.refused && now.totals.refused >= D.refused,
          "refused: %llu", (unsigned long long) now.totals.refused);
    M.refused = now.totals.refused;
    growth_recovered();
    topics_recovered();
    compare(&now);
    configure();
    M.restarts++;
}
