/* --batch: a producer sends many messages in a request, as an array or as
 * lines. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"


#define BATCH_HEAD    "{\"topic\":\""
#define BATCH_DATA    "\",\"messageData\":\""
#define BATCH_TAIL    "\"},"
#define BATCH_BEGIN   "{\"code\":0,\"data\":["
#define BATCH_END     "]}"
#define BATCH_EACH    (WIRE_CODE_LEN + sizeof("\"\",") - 1)


static unsigned char *
batch_put(unsigned char *p, const void *bytes, size_t size)
{
    memcpy(p, bytes, size);

    return p + size;
}


/* A message as each is, but for the stamp, and what stands behind it. */
static int
batch_request(load_t *l, client_t *c)
{
    char            topic[LOAD_TOPIC];
    unsigned char  *p;

    load_topic(l, c, topic);
    c->frame = malloc(sizeof(BATCH_HEAD BATCH_DATA BATCH_TAIL)
                      + strlen(topic) + l->o.size);

    if (c->frame == NULL) {
        return -1;
    }

    p = batch_put(c->frame, BATCH_HEAD, sizeof(BATCH_HEAD) - 1);
    p = batch_put(p, topic, strlen(topic));
    p = batch_put(p, BATCH_DATA, sizeof(BATCH_DATA) - 1);
    c->stamp_at = (size_t) (p - c->frame);
    p = batch_put(p, l->data, l->o.size);
    p = batch_put(p, BATCH_TAIL, sizeof(BATCH_TAIL) - 1);
    p[-1] = l->o.ndjson ? '\n' : ',';

    c->frame_size = (size_t) (p - c->frame);
    wire_store(c->frame + c->stamp_at, wire_letters(c->number));

    return 0;
}


/* The body of a request with n messages; returns its end. */
static unsigned char *
batch_compose(load_t *l, client_t *c, unsigned char *p, uint32_t n)
{
    uint64_t        now;
    load_time_t     time;
    unsigned char  *stamp;

    now = net_now();
    time = load_time(now);

    for (l->sent += n; n != 0; n--) {
        stamp = p + c->stamp_at;
        p = batch_put(p, c->frame, c->frame_size);

        wire_store(stamp + 8, wire_letters(c->sent));
        wire_store(stamp + 16, time.high);
        wire_store(stamp + 24, time.low);

        if (c->asked != NULL) {
            c->asked[c->sent % l->o.window] = now;
        }

        c->sent++;
    }

    return p;
}


static int
batch_send(load_t *l, client_t *c, uint32_t n)
{
    int             rc;
    unsigned char  *body, *p;

    body = malloc(n * c->frame_size + 1);

    if (body == NULL) {
        return -1;
    }

    if (l->o.ndjson) {
        p = batch_compose(l, c, body, n);

    } else {
        *body = '[';
        p = batch_compose(l, c, body + 1, n);
        p[-1] = ']';
    }

    rc = load_post(l, c, "/Producer/Send",
                   l->o.ndjson ? "x-ndjson" : "json", body,
                   (size_t) (p - body));
    free(body);

    return rc;
}


void
load_batch_fill(load_t *l, client_t *c)
{
    int       rc;
    uint64_t  n;

    while (c->out.from == c->out.to) {
        n = load_credit(l, c);

        /* the last one of a run may have less */

        if (n == 0
            || (n < l->o.batch
                && (l->o.messages == 0 || n < l->o.messages - l->sent)))
        {
            return;
        }

        n = n < l->o.batch ? n : l->o.batch;

        if (batch_send(l, c, (uint32_t) n) == -1) {
            load_fail(l, "no memory");
            return;
        }

        rc = net_flush(&l->in, c->fd, &c->out);

        if (rc == -1) {
            load_close(l, c, strerror(errno));
        }

        if (rc != 1) {
            return;
        }
    }
}


static size_t
batch_body(load_read_t *r, const unsigned char *data, size_t size, int whole)
{
    size_t  around;

    around = sizeof(BATCH_BEGIN BATCH_END) - 1;

    if (!whole) {
        return 0;
    }

    if (size < around || memcmp(data, BATCH_BEGIN, sizeof(BATCH_BEGIN) - 1)
        || (size - around + 1) % BATCH_EACH != 0)
    {
        return NET_CLOSE;
    }

    load_answered(r, (uint32_t) ((size - around + 1) / BATCH_EACH));

    return size;
}


static int
batch_done(load_t *l, client_t *c)
{
    if (c->answered > c->sent) {
        load_fail(l, "more was answered than was sent");
        return -1;
    }

    return 0;
}


const load_door_t  load_batch = {
    batch_request, batch_body, batch_done, NULL, 1
};
