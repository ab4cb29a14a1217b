/*
 * Clients without a WebSocket: HTTP/1.1 as nginx speaks it, on connections
 * that stay.  Requests may follow each other without waiting for answers.
 */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "load.h"


#define DOOR_HEAD_MAX  1024    /* bytes of a request, without its body */


static size_t door_parse(void *arg, unsigned char *data, size_t size);


int
load_door_init(load_t *l, client_t *c)
{
    if (c->role == LOAD_PRODUCER) {
        c->door = l->o.batch != 0 ? &load_batch : NULL;

    } else {
        c->door = l->o.events ? &load_events
                  : l->o.pull != 0 ? &load_pull : NULL;
    }

    if (c->door == NULL) {
        return 0;
    }

    c->http = calloc(1, sizeof(load_http_t));

    return c->http == NULL ? -1 : 0;
}


int
load_post(load_t *l, client_t *c, const char *path, const char *type,
    const void *body, size_t size)
{
    int             n;
    unsigned char  *p;

    p = net_room(&c->out, DOOR_HEAD_MAX + size);

    if (p == NULL) {
        return -1;
    }

    n = snprintf((char *) p, DOOR_HEAD_MAX,
                 "POST %s HTTP/1.1\r\n"
                 "Host: %s:%u\r\n"
                 "secretKey: %s\r\n"
                 "Content-Type: application/%s\r\n"
                 "Content-Length: %zu\r\n\r\n",
                 path, l->o.host, l->o.port, l->o.key, type, size);

    if (n < 0 || n >= DOOR_HEAD_MAX) {
        return -1;
    }

    memcpy(p + n, body, size);
    c->out.to += (size_t) n + size;

    return 0;
}


/* The data has no brace in it. */
size_t
load_door_message(const load_t *l, const unsigned char *p, size_t size)
{
    size_t                at;
    const unsigned char  *end;

    at = WIRE_DATA_AT + l->o.size;
    end = size > at ? memchr(p + at, '}', size - at) : NULL;

    return end == NULL ? 0 : (size_t) (end - p) + 1;
}


/* ----------------------------------------------------------------- events */

void
load_door_event(load_t *l, client_t *c, unsigned events)
{
    int          rc;
    load_read_t  r;

    if (events & (EPOLLIN|EPOLLRDHUP|EPOLLHUP|EPOLLERR)) {
        r.load = l;
        r.client = c;

        if (net_read(&l->in, c->fd, &c->rest, UINT_MAX, door_parse, &r)
            == NET_CLOSED
            || (c->door->rest != NULL && c->door->rest(l, c) == -1))
        {
            load_close(l, c, "ended by the server");
            return;
        }
    }

    rc = net_flush(&l->in, c->fd, &c->out);

    if (rc == -1) {
        load_close(l, c, strerror(errno));
        return;
    }

    if (rc == 1 && c->door->writes && c->state != CLIENT_READY) {
        c->state = CLIENT_READY;
        l->ready += c->role != LOAD_SETTLER;
    }

    if (c->role == LOAD_PRODUCER) {
        load_batch_fill(l, c);
    }
}


/* ---------------------------------------------------------------- reading */

/* Something came that should not have. */
static size_t
door_wrong(load_read_t *r, const char *what, const unsigned char *data,
    size_t size)
{
    load_fail(r->load, "%s: %.*s", what, size > 200 ? 200 : (int) size, data);

    return NET_CLOSE;
}


static size_t
door_head(load_read_t *r, const unsigned char *data, size_t size)
{
    static const char  ok[] = "HTTP/1.1 200 ";
    static const char  length[] = "\r\nContent-Length: ";
    static const char  chunked[] = "\r\nTransfer-Encoding: chunked\r\n";

    size_t                n;
    load_http_t          *h;
    const unsigned char  *end, *p;

    end = memmem(data, size, "\r\n\r\n", 4);

    if (end == NULL) {
        return 0;
    }

    h = r->client->http;
    n = (size_t) (end - data) + 4;
    p = memmem(data, n, length, sizeof(length) - 1);
    h->chunked = memmem(data, n, chunked, sizeof(chunked) - 1) != NULL;

    if (memcmp(data, ok, sizeof(ok) - 1) != 0 || (p == NULL && !h->chunked)) {
        return door_wrong(r, "answer", data, size);
    }

    h->state = h->chunked ? HTTP_CHUNK : HTTP_BODY;
    h->left = h->chunked ? 0
              : strtoull((const char *) p + sizeof(length) - 1, NULL, 10);

    return n;
}


static size_t
door_chunk(load_read_t *r, const unsigned char *data, size_t size)
{
    load_http_t          *h;
    const unsigned char  *end;

    end = memchr(data, '\n', size);

    if (end == NULL) {
        return 0;
    }

    h = r->client->http;
    h->left = strtoull((const char *) data, NULL, 16);
    h->state = HTTP_BODY;

    if (h->left == 0) {
        return door_wrong(r, "the stream ended", data, 0);
    }

    return (size_t) (end - data) + 1;
}


static size_t
door_body(load_read_t *r, const unsigned char *data, size_t size)
{
    int           whole;
    size_t        used;
    client_t     *c;
    load_http_t  *h;

    c = r->client;
    h = c->http;
    whole = size >= h->left;
    size = whole ? h->left : size;
    used = c->door->body(r, data, size, whole);

    if (used == NET_CLOSE || (whole && used != size)) {
        return door_wrong(r, "body", data, size);
    }

    h->left -= used;

    if (h->left != 0) {
        return used;
    }

    h->state = h->chunked ? HTTP_CHUNK_END : HTTP_HEAD;

    if (!h->chunked && c->door->done(r->load, c) == -1) {
        return NET_CLOSE;
    }

    return used;
}


static size_t
door_parse(void *arg, unsigned char *data, size_t size)
{
    size_t        n, used;
    load_read_t  *r;

    r = arg;
    r->now = net_now();

    for (used = 0; used < size; used += n) {

        switch (r->client->http->state) {

        case HTTP_HEAD:
            n = door_head(r, data + used, size - used);
            break;

        case HTTP_BODY:
            n = door_body(r, data + used, size - used);
            break;

        case HTTP_CHUNK:
            n = door_chunk(r, data + used, size - used);
            break;

        default:
            n = size - used < 2 ? 0 : 2;
            r->client->http->state = n == 0 ? HTTP_CHUNK_END : HTTP_CHUNK;
            break;
        }

        if (n == NET_CLOSE) {
            return NET_CLOSE;
        }

        if (n == 0) {
            break;
        }
    }

    return used;
}
