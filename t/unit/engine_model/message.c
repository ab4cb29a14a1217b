/*
 * What becomes of a message: it is ready, in flight, delayed, consumed, dead,
 * old, gone.  No call of the engine is in here.
 */

#include "count.h"
#include "message.h"
#include "peek.h"


uint32_t
later(uint32_t one, uint32_t two)
{
    return one > two ? one : two;
}


/* A message is no more. */
void
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
void
ready_remove(uint32_t id)
{
    topic_t    *t;
    message_t  *m = &M.message[id];

    t = &M.topic[m->topic];
    list_remove(m->loose ? &t->loose : m->group == NONE
                ? &t->fresh : &t->group[m->group].list, id);
    m->loose = 0;
    t->mingled = t->mingled && t->fresh.count;

    while (t->ngroups && t->group[t->ngroups - 1].list.count == 0) {
        t->ngroups--;
    }

    t->nready--;
    M.ready--;
}


void
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


/* A message waits, ASIDE or RETRYING, until then. */
static void
waits_until(uint32_t id, int state, uint64_t until)
{
    message_t  *m = &M.message[id];

    m->state = state;
    m->next = until;
    list_append(&M.retrying, id);
    M.suspects += state == ASIDE;
    M.retried += state == RETRYING;
}


/* It has waited long enough. */
void
retry_over(uint32_t id)
{
    topic_t    *t;
    message_t  *m = &M.message[id];

    t = &M.topic[m->topic];
    list_remove(&M.retrying, id);

    m->state = READY;
    m->entered = M.mono;
    m->tie = 0;
    m->group = NONE;
    m->loose = 1;
    list_append(&t->loose, id);
    t->nready++;
    t->came_back++;
    M.ready++;
}


/* A message waits again, where place says; the next one behind it. */
static void
ready_again(uint32_t id, unsigned h, place_t *place)
{
    topic_t    *t;
    group_t    *g;
    message_t  *m = &M.message[id];

    t = &M.topic[m->topic];

    if (m->suspect && t->push_type == KMQ_PUSH_ONE && t->now.retry_delay_max) {
        waits_until(id, ASIDE, M.handle[h].mono + t->now.retry_delay_max);
        return;
    }

    if (place->group == NONE) {
        if (t->ngroups == t->allocated) {
            t->allocated = t->allocated ? 2 * t->allocated : 16;
            t->group = realloc(t->group, t->allocated * sizeof(group_t));
        }

        place->group = t->ngroups++;
        g = &t->group[place->group];
        list_init(&g->list, PLACE);
        g->epoch = M.epoch;
        g->from = M.from;
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


/* The consumed messages of its shard. */
list_t *
history_of(const message_t *m)
{
    return &M.shard[M.topic[m->topic].shard].history;
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
    list_append(history_of(m), id);
    M.consumed++;
}


void
history_remove(uint32_t id)
{
    list_remove(&M.topic[M.message[id].topic].history, id);
    list_remove(history_of(&M.message[id]), id);
    M.consumed--;
    message_gone(id);
}


/* The same for memory. */
void
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
    m->dead_time = seconds(h);
    m->since = later(m->create_time + m->delay, seconds(h));
    list_append(&M.topic[m->topic].dead, id);
}


void
message_requeued(uint32_t id, unsigned h)
{
    message_t  *m = &M.message[id];

    list_remove(&M.topic[m->topic].dead, id);
    M.dead--;
    M.requeued++;

    m->failures = 0;
    m->reason = 0;
    m->suspect = 0;
    m->pushed = 0;
    m->waits = (uint32_t) M.handle[h].mono;
    m->since = later(m->create_time + m->delay, seconds(h));
    ready_append(id);
}


int
gives_up(const topic_t *t, unsigned failures)
{
    return t->now.max_deliveries && failures >= t->now.max_deliveries;
}


/* How long it waits after so many failures. */
uint64_t
back_off(const topic_t *t, unsigned failures, unsigned reason)
{
    uint64_t  wait;

    failures -= reason != KMQ_FAILED_OVERDUE;

    if (failures == 0) {
        return 0;
    }

    for (wait = t->now.retry_delay; --failures && wait < UINT32_MAX; ) {
        wait *= 2;
    }

    return wait < t->now.retry_delay_max ? wait : t->now.retry_delay_max;
}


void
message_charged(uint32_t id, unsigned failures, unsigned reason)
{
    message_t  *m = &M.message[id];

    m->failures = later(m->failures, failures);
    m->reason = reason;
    m->suspect |= reason == KMQ_FAILED_END;
    M.failed[reason]++;
}


/* Publish/subscribe: it is pushed to the same consumer again, after a while; or
 * is given up when the worker looks. */
void
delivery_failed(client_t *c, delivery_t *d, unsigned reason, int64_t delay)
{
    uint64_t   wait;
    topic_t   *t = &M.topic[c->topic];

    d->failures++;
    message_charged(d->id, d->failures, reason);

    wait = delay < 0 ? back_off(t, d->failures, reason) : (uint64_t) delay;

    if (gives_up(t, d->failures)) {
        wait = 0;
    }

    d->again = 1;
    d->time = M.handle[c->handle].mono + wait;
}


/* It was with no other, and its delivery has failed. */
static void
failed(uint32_t id, unsigned h, fate_t fate, place_t *place)
{
    topic_t    *t;
    uint64_t    wait;
    message_t  *m = &M.message[id];

    t = &M.topic[m->topic];
    message_charged(id, m->failures + 1, fate.reason);
    m->pushed = 1;

    if (gives_up(t, m->failures)) {
        message_dies(id, h);
        return;
    }

    M.in_flight--;
    wait = fate.delay < 0 ? back_off(t, m->failures, fate.reason)
                          : (uint64_t) fate.delay;

    if (wait) {
        waits_until(id, RETRYING, M.handle[h].mono + wait);
    } else {
        ready_again(id, h, place);
    }
}


/*
 * A message is let go by the consumers in bits.  When it was with no other, it
 * has been consumed, waits again in front, or, where somebody is to blame,
 * waits for a while or is dead.
 */
void
let_go(uint32_t id, uint64_t bits, unsigned h, fate_t fate, place_t *place)
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

    } else if (fate.reason) {
        failed(id, h, fate, place);

    } else if (t->push_type == KMQ_PUSH_ALL && !fate.ours
               && gives_up(t, m->failures))
    {
        m->pushed = 1;
        message_dies(id, h);

    } else {
        m->pushed = 1;
        M.failed[0]++;
        M.in_flight--;
        ready_again(id, h, place);
    }
}


/* One that waits again was confirmed. */
void
message_consumed_late(uint32_t id, unsigned h)
{
    message_t  *m = &M.message[id];

    if (m->state == READY) {
        ready_remove(id);
    } else {
        list_remove(&M.retrying, id);
    }

    M.in_flight++;
    message_consumed(id, h);
    M.late++;
}


delivery_t *
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


void
delivery_remove(client_t *c, delivery_t *d)
{
    c->n--;
    memmove(d, d + 1, (c->n - (size_t) (d - c->flight)) * sizeof(*d));
}


uint64_t
bit_of(const client_t *c)
{
    return UINT64_C(1) << (c - M.client);
}


int
is_active(const client_t *c)
{
    return c->ref && c->role == KMQ_CONSUMER
           && c->push_type == M.topic[c->topic].push_type;
}


/* The consumers that a message which leaves the queue now is for. */
uint64_t
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
        t->switched = M.step;
        M.switched++;
    }
}


/* The delivery that c's end is to be charged to: its oldest suspect, or else
 * its oldest. */
static unsigned
charged_of(const client_t *c)
{
    unsigned  i;

    for (i = 0; i < c->n; i++) {
        if (M.message[c->flight[i].id].suspect) {
            return i;
        }
    }

    return 0;
}


/* What follows from c's leaving; failed: that was its own doing.  First the
 * newest of what it should still have got goes back. */
void
left(client_t *c, unsigned h, int failed)
{
    int        active;
    fate_t     ends, released;
    topic_t   *t = &M.topic[c->topic];
    place_t    place;
    unsigned   i, charged;
    uint32_t   id, next;

    active = is_active(c);
    c->ref = 0;

    if (c->role == KMQ_PRODUCER) {
        M.producers--;
        return;
    }

    if (c->role == KMQ_CONSUMER) {
        M.consumers--;
        t->consumers--;
        t->matching -= active;
    }

    place.group = NONE;
    released = (fate_t) { 0, 0, !failed };
    ends = (fate_t) { KMQ_FAILED_END, KMQ_BACK_OFF, 0 };

    for (id = t->log.tail; id != NONE; id = next) {
        next = PREV(&t->log, id);
        place.after = NONE;

        if (M.message[id].todo & bit_of(c)) {
            let_go(id, bit_of(c), h, released, &place);
        }
    }

    place.after = NONE;
    charged = failed ? charged_of(c) : c->n;

    for (i = 0; i < c->n; i++) {
        let_go(c->flight[i].id, bit_of(c), h, i == charged ? ends : released,
               &place);
    }

    c->n = 0;
    topic_switch(t);
}


/* Onto the schedule, by its time, behind those of the same. */
void
delayed_insert(uint32_t id)
{
    uint32_t  after;

    after = M.delayed.tail;

    while (after != NONE && M.message[after].due > M.message[id].due) {
        after = PREV(&M.delayed, after);
    }

    list_insert(&M.delayed, after, id);
}


static int
is_in(unsigned shard, const topic_t *t)
{
    return shard == ANY_SHARD || t->shard == shard;
}


/* Empties all lists of a shard. */
static void
lists_clear(unsigned shard)
{
    topic_t   *t;
    unsigned   i;
    uint32_t   id, next;

    for (i = 0; i < SHARDS; i++) {
        if (shard == ANY_SHARD || shard == i) {
            list_init(&M.shard[i].history, HISTORY);
        }
    }

    for (id = M.delayed.head; id != NONE; id = next) {
        next = NEXT(&M.delayed, id);

        if (is_in(shard, &M.topic[M.message[id].topic])) {
            list_remove(&M.delayed, id);
        }
    }

    for (t = M.topic; t < M.topic + TOPICS; t++) {
        if (!is_in(shard, t)) {
            continue;
        }

        list_init(&t->fresh, PLACE);
        list_init(&t->loose, PLACE);
        list_init(&t->dead, PLACE);
        list_init(&t->history, PLACE);
        t->ngroups = 0;
        t->mingled = 1;
        t->came_back++;
    }
}


/* A repair leaves all lists of its shard in the order in which the messages
 * came, but for what is in flight. */
void
lists_sort(unsigned shard)
{
    topic_t    *t;
    uint32_t    id;
    message_t  *m;

    lists_clear(shard);

    for (id = M.all.head; id != NONE; id = NEXT(&M.all, id)) {
        m = &M.message[id];
        t = &M.topic[m->topic];

        if (!is_in(shard, t)) {
            continue;
        }

        m->tie = 0;

        if (m->state == READY) {
            m->group = NONE;
            m->loose = 0;
            list_append(&t->fresh, id);

        } else if (m->state == DEAD) {
            list_append(&t->dead, id);

        } else if (m->state == CONSUMED) {
            list_append(&t->history, id);
            list_append(history_of(m), id);

        } else if (m->state == DELAYED) {
            delayed_insert(id);
        }
    }
}


/* For ready messages of a shard the wait for the first push begins anew. */
void
waits_anew(unsigned shard, uint64_t mono)
{
    uint32_t  id;

    for (id = M.all.head; id != NONE; id = NEXT(&M.all, id)) {
        if (M.message[id].state == READY
            && is_in(shard, &M.topic[M.message[id].topic]))
        {
            M.message[id].waits = (uint32_t) mono;
        }
    }
}


/* After a repair at that time some do, whose neighbours are others now. */
void
waits_repaired(unsigned shard, uint64_t mono)
{
    uint32_t    id;
    peeked_t    is;
    message_t  *m;

    for (id = M.all.head; id != NONE; id = NEXT(&M.all, id)) {
        m = &M.message[id];

        if (m->state != READY || !is_in(shard, &M.topic[m->topic])) {
            continue;
        }

        peek_message(m, &is);

        CHECK(is.pushed || is.waits == m->waits || is.waits == (uint32_t) mono,
              "%u waits since %u, not %u, after a repair at %u", id, is.waits,
              m->waits, (uint32_t) mono);
        m->waits = is.waits;
    }
}


/* The message that is first in a topic, where that is certain. */
uint32_t
ready_first(const topic_t *t)
{
    unsigned  n = t->ngroups;

    if (t->loose.count) {
        return NONE;
    }

    if (n == 0) {
        return t->fresh.head;
    }

    if (n > 1 && t->group[n - 2].epoch == t->group[n - 1].epoch) {
        return NONE;
    }

    return t->group[n - 1].list.head;
}
