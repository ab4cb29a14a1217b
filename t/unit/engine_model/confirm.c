/*
 * Confirming, extending, giving back.
 */

#include "client.h"
#include "confirm.h"
#include "count.h"
#include "handle.h"
#include "message.h"


/* Delivery d of c is confirmed. */
void
confirmed(client_t *c, delivery_t *d)
{
    uint32_t  id;

    id = d->id;
    delivery_remove(c, d);

    if (!M.message[id].confirmed) {
        M.message[id].first_time = seconds(c->handle);
    }

    M.message[id].confirmed = 1;
    c->confirmed++;
    count(&M.topic[c->topic], c->handle, 0, 0, 1);
    let_go(id, bit_of(c), c->handle, 0, NULL);
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

    switch (below(8)) {

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
        }
    }

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
            d->returned = 0;
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
returned(client_t *c, delivery_t *d, place_t *place)
{
    uint32_t  id;

    id = d->id;

    /* what it was pushed too often ends when the worker looks */

    if (M.topic[c->topic].push_type == KMQ_PUSH_ALL) {
        d->returned = 1;
        return;
    }

    delivery_remove(c, d);
    let_go(id, bit_of(c), c->handle, !M.handle[c->handle].retired, place);
}


void
op_return(void)
{
    char         codes[8][KMQ_CODE_LEN];
    place_t      place;
    unsigned     i, n, got, want;
    client_t    *c;
    delivery_t  *d;

    c = some_consumer();

    if (c == NULL) {
        return;
    }

    n = some_codes(c, codes);
    place.group = place.after = NONE;
    M.epoch++;

    for (i = 0, want = 0; i < n; i++) {
        d = delivery_named(c, codes[i]);

        if (d) {
            returned(c, d, &place);
            want++;
        }
    }

    got = kmq_return_codes(M.handle[c->handle].kmq, c->ref, codes[0], n);
    CHECK(got == want, "return_codes: %u, want %u", got, want);
    CHECK(kmq_in_flight(M.handle[c->handle].kmq, c->ref) == c->n,
          "in flight after return_codes");
    M.returned += got;
    wakes(c->handle);
}
