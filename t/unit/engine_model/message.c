/*
 * What becomes of a message: it is ready, in flight, delayed, consumed, dead,
 * old, gone.  No call of the engine is in here.
 */

#include "count.h"
#include "message.h"


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
    list_remove(m->group == NONE ? &t->fresh : &t->group[m->group].list, id);

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
    m->dead_time = seconds(h) == UNKNOWN ? 0 : seconds(h);
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

    m->attempts = 0;
    m->waits = (uint32_t) M.handle[h].mono;
    m->since = later(m->create_time + m->delay, seconds(h));
    ready_append(id);
}


int
gives_up(const topic_t *t, unsigned attempts)
{
    return t->now.max_deliveries && attempts >= t->now.max_deliveries;
}


/*
 * A message is let go by the consumers in bits.  When it was with no other, it
 * has been consumed, waits again in front, or, where somebody is to blame, may
 * be dead.
 */
void
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


/* May, and should, a delivery have ended, or been repeated, by now? */
int
overdue(const client_t *c, const delivery_t *d)
{
    uint64_t  retry;

    retry = M.topic[c->topic].now.retry_time;

    return d->returned || (retry && d->time + retry <= M.mono);
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
        M.switched++;
    }
}


/* What follows from c's leaving; blame: that was its own doing.  First the
 * newest of what it should still have got goes back. */
void
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
        list_init(&t->dead, PLACE);
        list_init(&t->history, PLACE);
        t->ngroups = 0;
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


/* The message that is first in a topic, where that is certain. */
uint32_t
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
