/*
 * Clients join, leave, and are ready.
 */

#include "client.h"
#include "count.h"
#include "handle.h"
#include "message.h"
#include "observe.h"


client_t *
some_consumer(void)
{
    unsigned   i, k;
    client_t  *c;

    k = below(CLIENTS);

    for (i = 0; i < CLIENTS; i++) {
        c = &M.client[(i + k) % CLIENTS];

        if (c->ref && c->role == KMQ_CONSUMER && !M.handle[c->handle].dead
            && (c->n || one_in(20)))
        {
            return c;
        }
    }

    return NULL;
}


static void
join_consumer(client_t *c)
{
    topic_t  *t = &M.topic[c->topic];

    c->push_type = t->now.push_type;
    M.consumers++;

    if (t->consumers++ == 0) {
        t->push_type = c->push_type;
        t->ref = 0;
    }

    t->matching += c->push_type == t->push_type;

    if (!one_in(10)) {
        c->ready = 1;
        kmq_set_ready(M.handle[c->handle].kmq, c->ref, 1);
        wakes(c->handle);
    }
}


/* Leaves ref 0 where it gets no memory. */
void
join(client_t *c, unsigned role, unsigned topic)
{
    unsigned            i;
    topic_t            *t = &M.topic[topic];
    kmq_counts_t        now;
    kmq_client_info_t   info;

    c->role = role;
    c->handle = some_handle();
    c->topic = topic;
    c->prefetch = one_in(4) ? 1 + below(300) : 1 + below(20);
    c->prefetch = one_in(20) ? 256 : c->prefetch;
    c->serial = ++M.serial;
    c->ready = 0;
    c->any = 0;
    c->n = 0;
    c->by_code = one_in(2);
    c->late = c->giving = 0;
    c->resting = c->spoken = c->proving = c->alone = c->paused = 0;
    c->messages = 0;
    c->confirmed = 0;
    c->closing = 0;
    c->told = 0;
    c->apart = 0;
    c->leaving = 0;
    c->mode = below(3);
    c->last_seen = seconds(c->handle);
    c->flight = realloc(c->flight, c->prefetch * sizeof(delivery_t));

    memset(&info, 0, sizeof(info));
    info.role = c->role;
    info.prefetch = c->prefetch;
    info.mode = c->mode;
    info.by_code = (uint32_t) c->by_code;
    c->settles = !(M.options & APART) || one_in(2);
    info.settles = (uint32_t) c->settles;
    info.pull = !c->settles;
    info.topic_len = (uint16_t) strlen(t->name);
    memcpy(info.topic, t->name, info.topic_len);
    info.id_len = (uint16_t) sprintf(info.id, "%u", c->serial);
    info.addr_len = (uint16_t) sprintf(info.addr, "::1");

    c->ref = kmq_join(M.handle[c->handle].kmq, &info, c);
    observe(c->handle, &now);

    if (c->ref == 0) {
        CHECK(M.strained && M.consumed == 0, "no memory for a client");
        return;
    }

    for (i = 0; i < CLIENTS; i++) {
        CHECK(&M.client[i] == c || M.client[i].ref != c->ref,
              "two clients in one place");
    }

    if (c->role == KMQ_PRODUCER) {
        M.producers++;
    } else {
        join_consumer(c);
    }
}


void
op_join(void)
{
    client_t  *c;

    c = &M.client[below(CLIENTS)];

    if (c->ref == 0) {
        join(c, one_in(4) ? KMQ_PRODUCER : KMQ_CONSUMER, below(TOPICS));
    }
}


void
leave(client_t *c)
{
    int        failed;
    uint64_t   died;
    kmq_ref_t  ref;

    failed = !one_in(3);
    ref = c->ref;
    died = M.died;
    M.epoch++;
    left(c, c->handle, failed);
    M.died_leaving += M.died - died;
    kmq_leave(M.handle[c->handle].kmq, ref, failed);
    wakes(c->handle);
    observe_failed(c->handle);
}


void
op_leave(void)
{
    client_t  *c;

    c = &M.client[below(CLIENTS)];

    if (c->ref && !M.handle[c->handle].dead) {
        leave(c);
    }
}


void
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
