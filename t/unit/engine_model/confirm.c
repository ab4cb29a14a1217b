/*
 * Confirming, extending, giving back.
 */

#include "client.h"
#include "confirm.h"
#include "count.h"
#include "handle.h"
#include "hold.h"
#include "message.h"
#include "observe.h"


/* Delivery d of c is confirmed. */
void
confirmed(client_t *c, delivery_t *d)
{
    uint32_t  id;

    id = d->id;
    clock_passed(c, d, M.handle[c->handle].mono);
    delivery_remove(c, d);

    if (!M.message[id].confirmed) {
        M.message[id].first_time = seconds(c->handle);
    }

    M.message[id].confirmed = 1;
    c->confirmed++;
    count(&M.topic[c->topic], c->handle, 0, 0, 1);
    let_go(id, bit_of(c), c->handle, (fate_t) { 0, 0, 0 }, NULL);
}


/* The message of that code in a list, if it was pushed before; or NONE. */
static uint32_t
named_in(const list_t *list, unsigned topic, const char *code)
{
    uint32_t    id;
    message_t  *m;

    for (id = list->head; id != NONE; id = NEXT(list, id)) {
        m = &M.message[id];

        if (m->pushed && m->topic == topic
            && memcmp(m->code, code, KMQ_CODE_LEN) == 0)
        {
            return id;
        }
    }

    return NONE;
}


/* One that c names waits again, after it was pushed to somebody. */
int
confirmed_late(client_t *c, const char *code)
{
    uint32_t   id;
    unsigned   i;
    topic_t   *t = &M.topic[c->topic];

    id = named_in(&M.retrying, c->topic, code);
    id = id == NONE ? named_in(&t->loose, c->topic, code) : id;

    for (i = 0; id == NONE && i < t->ngroups; i++) {
        id = named_in(&t->group[i].list, c->topic, code);
    }

    if (id == NONE && t->mingled) {
        id = named_in(&t->fresh, c->topic, code);
    }

    if (id == NONE) {
        return 0;
    }

    c->confirmed++;
    count(t, c->handle, 0, 0, 1);
    message_consumed_late(id, c->handle);

    return 1;
}


/* So many were confirmed, in one call. */
void
confirmed_all(client_t *c, unsigned n)
{
    if (n) {
        hold_confirmed(c);
        clock_first(c, M.handle[c->handle].mono);
    }
}


void
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
        confirmed(c, &c->flight[0]);
        n++;
    }

    hold_spoken(c);
    confirmed_all(c, n);
    got = kmq_confirm_upto(M.handle[c->handle].kmq, c->ref, position);
    CHECK(got == n, "confirm_upto: %u, want %u", got, n);
    wakes(c->handle);
}


/* Some code, and mostly a right one. */
static void
some_code(client_t *c, char *code)
{
    unsigned   i;
    message_t  *m;

    switch (below(10)) {

    case 8:
    case 9:

        /* it may have failed */

        if (M.retrying.count) {
            m = &M.message[one_in(2) ? M.retrying.head : M.retrying.tail];
            memcpy(code, m->code, KMQ_CODE_LEN);
            return;
        }

        break;

    case 0:
        memcpy(code, M.old[below(OLD)], KMQ_CODE_LEN);
        return;

    case 1:
        m = &M.message[MESSAGES - 1 - below(MESSAGES - M.nunused + 1)];
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


/* Fills in up to 8 codes for c; returns how many. */
static unsigned
some_codes(client_t *c, char codes[8][KMQ_CODE_LEN])
{
    unsigned  i, n;

    n = below(9);

    for (i = 0; i < n; i++) {
        some_code(c, codes[i]);
    }

    return n;
}


/* The delivery of c that a code names. */
static delivery_t *
delivery_named(client_t *c, const char *code)
{
    unsigned  i;

    for (i = 0; i < c->n; i++) {
        if (memcmp(M.message[c->flight[i].id].code, code, KMQ_CODE_LEN) == 0) {
            return &c->flight[i];
        }
    }

    return NULL;
}


void
op_confirm_codes(void)
{
    char         codes[8][KMQ_CODE_LEN];
    unsigned     i, n, got, want;
    client_t    *c;
    delivery_t  *d;

    c = some_consumer();

    if (c == NULL) {
        return;
    }

    n = some_codes(c, codes);

    for (i = 0, want = 0; i < n; i++) {
        d = delivery_named(c, codes[i]);

        if (d) {
            confirmed(c, d);
            want++;

        } else {
            want += confirmed_late(c, codes[i]);
        }
    }

    confirmed_all(c, want);
    got = kmq_confirm_codes(M.handle[c->handle].kmq, c->ref, codes[0], n);
    CHECK(got == want, "confirm_codes: %u, want %u", got, want);
    CHECK(kmq_in_flight(M.handle[c->handle].kmq, c->ref) == c->n,
          "in flight after confirm_codes");
    wakes(c->handle);
}


void
op_extend(void)
{
    char         codes[8][KMQ_CODE_LEN];
    unsigned     i, n, got, want;
    client_t    *c;
    delivery_t  *d;

    c = some_consumer();

    if (c == NULL) {
        return;
    }

    n = some_codes(c, codes);

    for (i = 0, want = 0; i < n; i++) {
        d = delivery_named(c, codes[i]);

        if (d) {
            d->time = M.handle[c->handle].mono;
            d->slack = M.mono - d->time;
            d->again = 0;
            want++;
        }
    }

    got = kmq_extend_codes(M.handle[c->handle].kmq, c->ref, codes[0], n);
    CHECK(got == want, "extend_codes: %u, want %u", got, want);
    M.extended += got;
    wakes(c->handle);
}


/* A consumer gives delivery d back. */
void
returned(client_t *c, delivery_t *d, int64_t delay, place_t *place)
{
    uint32_t   id;
    topic_t   *t = &M.topic[c->topic];
    uint64_t   mono = M.handle[c->handle].mono;

    id = d->id;

    if (t->push_type == KMQ_PUSH_ONE) {
        delivery_remove(c, d);
        let_go(id, bit_of(c), c->handle,
               (fate_t) { delay ? KMQ_FAILED_RETURN : 0, delay, 0 }, place);
        return;
    }

    if (d->again) {
        return;
    }

    /* what has failed too often ends when the worker looks */

    d->again = 1;

    if (delay == 0) {
        d->time = mono + t->now.retry_delay;
        return;
    }

    delivery_failed(c, d, KMQ_FAILED_RETURN, delay);
}


/* It gave back so many, in one call. */
void
returned_all(client_t *c, unsigned n, int64_t delay)
{
    uint64_t  mono = M.handle[c->handle].mono;

    if (n == 0) {
        return;
    }

    if (delay == 0) {
        hold_pause(c, mono);
    }

    hold_emptied(c);
    clock_first(c, mono);
}


static int64_t
some_delay(void)
{
    switch (below(4)) {

    case 0:
        return 0;

    case 1:
        return 1 + below(one_in(4) ? 100000 : 50);

    default:
        return KMQ_BACK_OFF;
    }
}


void
op_return(void)
{
    char         codes[8][KMQ_CODE_LEN];
    place_t      place;
    int64_t      delay;
    unsigned     i, n, got, want;
    client_t    *c;
    delivery_t  *d;

    c = some_consumer();

    if (c == NULL) {
        return;
    }

    delay = some_delay();
    n = some_codes(c, codes);
    place.group = place.after = NONE;
    M.epoch++;

    for (i = 0, want = 0; i < n; i++) {
        d = delivery_named(c, codes[i]);

        if (d) {
            returned(c, d, delay, &place);
            want++;
        }
    }

    returned_all(c, want, delay);
    got = kmq_return_codes(M.handle[c->handle].kmq, c->ref, codes[0], n,
                           delay);
    CHECK(got == want, "return_codes: %u, want %u", got, want);
    CHECK(kmq_in_flight(M.handle[c->handle].kmq, c->ref) == c->n,
          "in flight after return_codes");
    M.returned += got;
    wakes(c->handle);
    observe_failed(c->handle);
}
