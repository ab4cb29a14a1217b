/* Messages, however they go: their data and stamps, and what is made of them
 * when they come. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"


/* Room for the stamp, then text without escapes. */
int
load_data_init(load_t *l)
{
    unsigned  i;

    l->data = malloc(l->o.size);

    if (l->data == NULL) {
        return -1;
    }

    for (i = 0; i < l->o.size; i++) {
        l->data[i] = (unsigned char) ("0123456789abcdefghijklmnopqrstuvwxyz "
                                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i % 63]);
    }

    return 0;
}


void
load_topic(const load_t *l, const client_t *c, char *topic)
{
    if (l->o.topics == 1) {
        snprintf(topic, LOAD_TOPIC, "%s", l->o.topic);

    } else {
        snprintf(topic, LOAD_TOPIC, "%s-%u", l->o.topic, c->topic);
    }
}


load_time_t
load_time(uint64_t time)
{
    load_time_t  t;

    t.high = wire_letters((uint32_t) (time >> 32));
    t.low = wire_letters((uint32_t) time);

    return t;
}


uint64_t
load_credit(const load_t *l, const client_t *c)
{
    uint64_t  n, left;
    uint32_t  open;

    if (l->phase != LOAD_RUNNING || c->state != CLIENT_READY) {
        return 0;
    }

    open = c->sent - c->answered;
    n = l->o.window > open ? l->o.window - open : 0;

    /* a few at a time would measure system calls */

    if (n < l->o.window / 4 && open != 0) {
        return 0;
    }

    if (l->o.messages != 0) {
        left = l->deep != NULL ? load_deep_credit(l)
                               : l->o.messages - l->sent;
        n = n < left ? n : left;
    }

    return n;
}


/* How long a message took that was due at the given time, and so on. */
static void
load_times(load_read_t *r, uint64_t due)
{
    load_t    *l;
    client_t  *c;

    l = r->load;
    c = r->client;

    if (l->o.delayed && r->now < due) {
        l->early++;
        l->earliest = due - r->now > l->earliest ? due - r->now
                                                 : l->earliest;
        load_fail(l, "a message came %llu us before its time",
                  (unsigned long long) (due - r->now) / 1000);
    }

    if (due >= l->measure) {
        histogram_add(&l->latency, r->now > due ? r->now - due : 0);

        /* it was not there when the sockets were looked at before */

        if (l->spin) {
            histogram_add(&l->unread, r->now - l->looked_before);
        }
    }

    if (l->o.rate != 0) {
        if (c->last != 0 && c->last >= l->measure) {
            histogram_add(&l->gap, r->now - c->last);
        }

        c->last = r->now;
    }
}


void
load_answered(load_read_t *r, uint32_t n)
{
    load_t    *l;
    client_t  *c;
    uint64_t   sent;

    l = r->load;
    c = r->client;
    l->progress = r->now;

    for ( /* void */ ; c->asked != NULL && n != 0; n--) {
        sent = c->asked[c->answered++ % l->o.window];
        l->answered++;

        if (sent >= l->measure) {
            histogram_add(&l->answer, r->now - sent);
        }
    }

    c->answered += n;
    l->answered += n;
}


/* What is fixed in it is compared as it comes. */
void
load_message(load_read_t *r, const unsigned char *p, size_t size)
{
    load_t               *l;
    uint64_t              bad, time;
    uint32_t              producer, number;
    const unsigned char  *data;

    l = r->load;
    l->progress = r->now;
    data = p + WIRE_DATA_AT;

    if (size < WIRE_DATA_AT + l->o.size + 1
        || memcmp(p, WIRE_HEAD, sizeof(WIRE_HEAD) - 1) != 0
        || memcmp(data - (sizeof(WIRE_HEAD_DATA) - 1), WIRE_HEAD_DATA,
                  sizeof(WIRE_HEAD_DATA) - 1) != 0
        || data[l->o.size] != '"'
        || memcmp(data + LOAD_STAMP, l->data + LOAD_STAMP,
                  l->o.size - LOAD_STAMP) != 0)
    {
        l->check.corrupt++;
        load_fail(l, "not a pushed message: %.*s",
                  size > 200 ? 200 : (int) size, p);
        return;
    }

    bad = 0;
    producer = wire_number(wire_load(data), &bad);
    number = wire_number(wire_load(data + 8), &bad);
    time = (uint64_t) wire_number(wire_load(data + 16), &bad) << 32;
    time |= wire_number(wire_load(data + 24), &bad);

    if (bad) {
        l->check.corrupt++;
        load_fail(l, "a message's stamp is damaged: %.32s", data);
        return;
    }

    if (r->client->role == LOAD_VISITOR) {
        load_churn_message(l, r->client, producer, number);

    } else if (l->meanwhile != NULL) {
        load_meanwhile_message(l, number, r->now);

    } else {
        l->delivered++;
        load_check_message(l, r->client, producer, number);
        load_times(r, time);
    }
}
