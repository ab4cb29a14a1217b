/* --events: a consumer's stream, and with confirm=ack the connection by which
 * it confirms. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"


#define EVENT_HEAD  (sizeof("id: \ndata: ") - 1 + WIRE_CODE_LEN)


static int
events_settles(const load_t *l)
{
    return l->o.confirm != NULL && l->o.confirm[0] == 'a';
}


static int
events_settler(load_t *l, client_t *c)
{
    client_t  *settler;

    settler = calloc(1, sizeof(client_t));

    if (settler == NULL) {
        return -1;
    }

    c->http->settler = settler;
    settler->role = LOAD_SETTLER;
    settler->number = c->number;
    settler->door = &load_settler;
    settler->http = calloc(1, sizeof(load_http_t));

    if (settler->http == NULL) {
        return -1;
    }

    settler->http->settler = c;

    return load_connect(l, settler);
}


static int
events_request(load_t *l, client_t *c)
{
    int             n;
    char            topic[LOAD_TOPIC];
    unsigned char  *p;

    p = net_room(&c->out, 1024);

    if (p == NULL) {
        return -1;
    }

    load_topic(l, c, topic);

    n = snprintf((char *) p, 1024,
                 "GET /Consumers/Events/%s/c%u%s%s HTTP/1.1\r\n"
                 "Host: %s:%u\r\n"
                 "secretKey: %s\r\n\r\n",
                 topic, c->number,
                 l->o.confirm == NULL ? "" : "?confirm=",
                 l->o.confirm == NULL ? "" : l->o.confirm,
                 l->o.host, l->o.port, l->o.key);

    if (n < 0 || n >= 1024) {
        return -1;
    }

    c->out.to += (size_t) n;

    return events_settles(l) ? events_settler(l, c) : 0;
}


/* An event with a message: its bytes, 0 while it is not all there. */
static size_t
events_message(load_read_t *r, const unsigned char *data, size_t size)
{
    size_t                length;
    const unsigned char  *json;

    if (size < EVENT_HEAD) {
        return 0;
    }

    json = data + EVENT_HEAD;
    length = load_door_message(r->load, json, size - EVENT_HEAD);

    if (length == 0 || size - EVENT_HEAD - length < 2) {
        return 0;
    }

    if (memcmp(data, "id: ", 4) != 0 || memcmp(json - 7, "\ndata: ", 7) != 0
        || memcmp(data + 4, json + sizeof(WIRE_HEAD) - 1, WIRE_CODE_LEN) != 0
        || memcmp(json + length, "\n\n", 2) != 0)
    {
        r->load->check.corrupt++;
        load_fail(r->load, "not an event: %.200s", data);
    }

    load_message(r, json, length);

    if (events_settles(r->load) && load_settle_keep(r->client, json) == -1) {
        return NET_CLOSE;
    }

    return EVENT_HEAD + length + 2;
}


/* A comment, or the time after which a client comes back. */
static size_t
events_other(load_read_t *r, const unsigned char *data, size_t size)
{
    client_t             *c;
    const unsigned char  *end;

    end = memmem(data, size, "\n\n", 2);

    if (end == NULL) {
        return 0;
    }

    c = r->client;

    if (c->state != CLIENT_READY) {
        c->state = CLIENT_READY;
        r->load->ready++;
    }

    return (size_t) (end - data) + 2;
}


static size_t
events_body(load_read_t *r, const unsigned char *data, size_t size, int whole)
{
    size_t  n, used;

    (void) whole;

    for (used = 0; used < size; used += n) {
        n = data[used] == 'i' ? events_message(r, data + used, size - used)
                              : events_other(r, data + used, size - used);

        if (n == NET_CLOSE) {
            return NET_CLOSE;
        }

        if (n == 0) {
            break;
        }
    }

    return used;
}


/* A stream has no end. */
static int
events_done(load_t *l, client_t *c)
{
    load_fail(l, "the stream of consumer %u ended", c->number);

    return -1;
}


/* Confirms what has come meanwhile, when the settler has its answer. */
static int
events_settle(load_t *l, client_t *c)
{
    client_t  *settler;

    settler = c->http->settler;

    if (c->http->settling != 0 || c->http->ncodes == 0) {
        return 0;
    }

    if (load_settle(l, settler, c) == -1) {
        return -1;
    }

    return net_flush(&l->in, settler->fd, &settler->out) == -1 ? -1 : 0;
}


const load_door_t  load_events = {
    events_request, events_body, events_done, events_settle, 0
};


/* ---------------------------------------------------------------- settler */

static size_t
settler_body(load_read_t *r, const unsigned char *data, size_t size, int whole)
{
    return load_settled(r, r->client->http->settler, data, size, whole);
}


static int
settler_done(load_t *l, client_t *c)
{
    return events_settle(l, c->http->settler);
}


const load_door_t  load_settler = {
    NULL, settler_body, settler_done, NULL, 1
};
