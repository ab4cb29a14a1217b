/*
 * Confirming, extending and giving back from anywhere: a handle settles what
 * others' consumers have.  Ids are unique here.
 */

#include "apart.h"
#include "client.h"
#include "confirm.h"
#include "count.h"
#include "handle.h"
#include "hold.h"
#include "message.h"
#include "observe.h"
#include "settle.h"


enum { CONFIRM, EXTEND, RETURN };

typedef struct {
    int        what;
    unsigned   handle;
    client_t  *named;              /* NULL: no id is told */
    int64_t    delay;
    place_t    place;
    client_t  *client;             /* whose deliveries these are, */
    unsigned   n;                  /* so many */
} settle_t;


/* Some code of a consumer of that topic, mostly of c. */
static void
some_code(client_t *c, char *code)
{
    unsigned   i;
    client_t  *k;

    i = below(12);
    k = i < 3 ? &M.client[below(CLIENTS)] : c;

    if (i == 11) {
        memcpy(code, M.old[below(OLD)], KMQ_CODE_LEN);

    } else if (i == 10 && M.retrying.count) {
        memcpy(code, M.message[M.retrying.head].code, KMQ_CODE_LEN);

    } else if (k->ref && k->role != KMQ_PRODUCER && k->topic == c->topic
               && k->n)
    {
        memcpy(code, M.message[k->flight[below(k->n)].id].code, KMQ_CODE_LEN);

    } else {
        memset(code, 'f', KMQ_CODE_LEN);
    }
}


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


/* The delivery that is meant, and whose it is. */
static delivery_t *
delivery_meant(const settle_t *s, const char *code, client_t **client)
{
    unsigned     i;
    delivery_t  *d;

    for (i = 0; i < CLIENTS; i++) {
        *client = &M.client[i];

        if ((*client)->ref == 0 || (*client)->role == KMQ_PRODUCER
            || ((*client)->leaving && s->what != CONFIRM)
            || (s->named ? s->named != *client
                : s->what != CONFIRM
                  || M.topic[(*client)->topic].push_type != KMQ_PUSH_ONE))
        {
            continue;
        }

        d = delivery_named(*client, code);

        if (d) {
            return d;
        }
    }

    return NULL;
}


/* What comes after some deliveries of a consumer. */
static void
client_end(settle_t *s)
{
    unsigned   handle;
    client_t  *c = s->client;

    if (c == NULL || s->n == 0) {
        return;
    }

    /* it is done by the clock of who settles */

    handle = c->handle;
    c->handle = s->handle;

    if (s->what == CONFIRM) {
        confirmed_all(c, s->n);

    } else if (s->what == RETURN) {
        returned_all(c, s->n, s->delay);
    }

    c->handle = handle;
    s->n = 0;
}


static void
delivery_settled(settle_t *s, client_t *c, delivery_t *d)
{
    unsigned  handle;

    if (c != s->client) {
        client_end(s);
        s->client = c;
    }

    s->n++;
    handle = c->handle;
    c->handle = s->handle;

    if (s->what == CONFIRM) {
        confirmed(c, d);

    } else if (s->what == RETURN) {
        returned(c, d, s->delay, &s->place);

    } else {
        d->time = M.handle[s->handle].mono;
        d->slack = M.mono - d->time;
        d->again = 0;
    }

    c->handle = handle;
}


/* One that waits again is confirmed, whoever had it. */
static int
settled_late(const settle_t *s, const char *code)
{
    unsigned  i;
    client_t  nobody;

    for (i = 0; i < TOPICS && s->what == CONFIRM; i++) {
        memset(&nobody, 0, sizeof(nobody));
        nobody.topic = i;
        nobody.handle = s->handle;

        if (confirmed_late(&nobody, code)) {
            return 1;
        }
    }

    return 0;
}


static int
settled(settle_t *s, const char *code)
{
    client_t    *c;
    delivery_t  *d;

    d = delivery_meant(s, code, &c);

    if (d) {
        delivery_settled(s, c, d);
        return 1;
    }

    return settled_late(s, code);
}


/* What the engine says. */
static unsigned
settle_call(const settle_t *s, const char *codes, unsigned n, uint8_t *result)
{
    char           id[16];
    kmq_t         *kmq = M.handle[s->handle].kmq;
    kmq_settle_t   settle;

    memset(&settle, 0, sizeof(settle));
    settle.codes = codes;
    settle.n = n;
    settle.result = result;
    settle.id = id;
    settle.id_len = s->named ? (size_t) sprintf(id, "%u", s->named->serial)
                             : 0;

    return s->what == CONFIRM ? kmq_settle_confirm(kmq, &settle)
           : s->what == EXTEND ? kmq_settle_extend(kmq, &settle)
           : kmq_settle_return(kmq, &settle, s->delay);
}


void
op_settle(void)
{
    int        want[8];
    char       codes[8][KMQ_CODE_LEN];
    uint8_t    result[8];
    unsigned   i, n, got, sum;
    client_t  *c;
    settle_t   s;

    c = one_in(3) ? some_apart() : NULL;
    c = c ? c : some_consumer();

    if (c == NULL) {
        return;
    }

    /* workers' clocks are not minutes apart, as handles' are here */

    clock_all();

    memset(&s, 0, sizeof(s));
    s.what = M.options & TIMED ? (int) below(3) : CONFIRM;
    s.handle = some_handle();
    s.named = one_in(s.what == CONFIRM ? 2 : 10) ? NULL : c;
    s.delay = one_in(3) ? 0 : one_in(2) ? (int64_t) below(50) : KMQ_BACK_OFF;
    s.place.group = s.place.after = NONE;
    M.epoch++;
    n = below(9);

    for (i = 0, sum = 0; i < n; i++) {
        some_code(c, codes[i]);
        want[i] = settled(&s, codes[i]);
        sum += (unsigned) want[i];
    }

    client_end(&s);
    got = settle_call(&s, codes[0], n, result);
    CHECK(got == sum, "settle %d: %u, want %u", s.what, got, sum);

    for (i = 0; i < n; i++) {
        CHECK((result[i] == KMQ_SETTLE_DONE) == want[i], "result %u of %u", i,
              n);
    }

    M.extended += s.what == EXTEND ? got : 0;
    M.returned += s.what == RETURN ? got : 0;
    wakes(s.handle);
    observe_failed(s.handle);
}
