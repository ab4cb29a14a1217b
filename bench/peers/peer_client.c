#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "peer.h"


#define PEER_TEXT_MAX  2048    /* bytes of one peer_printf() */


static const peer_t  *peer_chosen;
static peer_conn_t   *peer_conns;   /* of each client */


static void peer_fill(load_t *l, client_t *c);


void
peer_choose(const peer_t *peer)
{
    peer_chosen = peer;
}


static peer_conn_t *
peer_conn(const load_t *l, const client_t *c)
{
    return &peer_conns[c - l->clients];
}


int
peer_is_producer(const peer_conn_t *p)
{
    return p->client->role == LOAD_PRODUCER;
}


/* ---------------------------------------------------------------- opening */

static int
peer_data_init(load_t *l)
{
    unsigned  i;

    l->data = malloc(l->o.size);

    for (i = 0; l->data != NULL && i < l->o.size; i++) {
        l->data[i] = (unsigned char) ('a' + i % 26);
    }

    return l->data == NULL ? -1 : 0;
}


static int
peer_init(load_t *l)
{
    unsigned      i;
    client_t     *c;
    peer_conn_t  *p;

    l->nconsumers = l->o.idle != 0 ? l->o.idle
                    : l->o.ingest ? 0 : l->o.consumers;
    l->nproducers = l->o.idle != 0 ? 0 : l->o.producers;
    l->nclients = l->nconsumers + l->nproducers;
    l->clients = calloc(l->nclients, sizeof(client_t));
    peer_conns = calloc(l->nclients, sizeof(peer_conn_t));

    if (l->clients == NULL || peer_conns == NULL || peer_data_init(l) == -1) {
        return -1;
    }

    for (i = 0; i < l->nclients; i++) {
        c = &l->clients[i];
        c->fd = -1;
        c->role = i < l->nconsumers ? LOAD_CONSUMER : LOAD_PRODUCER;
        c->number = i < l->nconsumers ? i : i - l->nconsumers;

        p = &peer_conns[i];
        p->load = l;
        p->client = c;
        p->peer = peer_chosen;

        if (c->role == LOAD_PRODUCER && p->peer->frame(p) == -1) {
            return -1;
        }
    }

    return 0;
}


int
peer_frame(peer_conn_t *p, const char *head, size_t head_len,
    const char *tail, size_t tail_len)
{
    load_t         *l;
    client_t       *c;
    unsigned char  *data;

    l = p->load;
    c = p->client;
    l->stamp_at = head_len;
    l->frame_size = head_len + l->o.size + tail_len;
    c->frame = malloc(l->frame_size);

    if (c->frame == NULL) {
        return -1;
    }

    data = c->frame + head_len;
    memcpy(c->frame, head, head_len);
    memcpy(data, l->data, l->o.size);
    memcpy(data + l->o.size, tail, tail_len);
    wire_store(data, wire_letters(c->number));

    return 0;
}


static int
peer_request(load_t *l, client_t *c)
{
    peer_conn_t  *p;

    p = peer_conn(l, c);

    return p->peer->open(p);
}


void
peer_ready(peer_conn_t *p)
{
    if (p->client->state != CLIENT_READY) {
        p->client->state = CLIENT_READY;
        p->load->ready++;
    }
}


int
peer_upgrade(peer_conn_t *p, const char *path, const char *protocol)
{
    return peer_printf(p, "GET %s HTTP/1.1\r\n"
                       "Host: %s\r\n"
                       "Upgrade: websocket\r\n"
                       "Connection: Upgrade\r\n"
                       "Sec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: " WIRE_WS_KEY "\r\n"
                       "%s%s%s\r\n",
                       path, p->load->o.host,
                       protocol == NULL ? "" : "Sec-WebSocket-Protocol: ",
                       protocol == NULL ? "" : protocol,
                       protocol == NULL ? "" : "\r\n");
}


size_t
peer_upgraded(peer_conn_t *p, unsigned char *data, size_t size)
{
    size_t  used;

    used = load_upgraded(p->client, data, size);

    if (used == NET_CLOSE) {
        (void) peer_unexpected(p, data, size);
    }

    return used;
}


/* ----------------------------------------------------------------- events */

static size_t
peer_parse(void *arg, unsigned char *data, size_t size)
{
    peer_conn_t  *p;

    p = arg;
    p->now = net_now();
    p->load->progress = p->now;

    return p->peer->parse(p, data, size);
}


static void
peer_event(load_t *l, client_t *c, unsigned events)
{
    if (c->state == CLIENT_CLOSED) {
        return;
    }

    if ((events & (EPOLLIN|EPOLLRDHUP|EPOLLHUP|EPOLLERR))
        && net_read(&l->in, c->fd, &c->rest, UINT_MAX, peer_parse,
                    peer_conn(l, c)) == NET_CLOSED)
    {
        load_close(l, c, "ended by the server");
        return;
    }

    if (net_flush(&l->in, c->fd, &c->out) == -1) {
        load_close(l, c, strerror(errno));
        return;
    }

    if (c->role == LOAD_PRODUCER) {
        peer_fill(l, c);
    }
}


/* ---------------------------------------------------------------- reading */

void
peer_answered(peer_conn_t *p, uint32_t n)
{
    p->client->answered += n;
    p->load->answered += n;
}


int
peer_passed(peer_conn_t *p)
{
    if (p->passed == p->marked) {
        load_fail(p->load, "an answer without a question");
        return -1;
    }

    peer_answered(p, p->mark[p->passed++ % PEER_MARKS] - p->client->answered);

    return 0;
}


void
peer_message(peer_conn_t *p, const unsigned char *data, size_t size)
{
    load_t    *l;
    uint64_t   bad, time;
    uint32_t   producer, number;

    l = p->load;
    bad = size != l->o.size
          || memcmp(data + LOAD_STAMP, l->data + LOAD_STAMP,
                    size - LOAD_STAMP) != 0;

    if (!bad) {
        producer = wire_number(wire_load(data), &bad);
        number = wire_number(wire_load(data + 8), &bad);
        time = (uint64_t) wire_number(wire_load(data + 16), &bad) << 32;
        time |= wire_number(wire_load(data + 24), &bad);
    }

    if (bad) {
        l->check.corrupt++;
        load_fail(l, "a message is damaged: %.*s",
                  size > 200 ? 200 : (int) size, data);
        return;
    }

    l->delivered++;
    load_check_message(l, p->client, producer, number);

    if (time >= l->measure) {
        histogram_add(&l->latency, p->now - time);
    }
}


int
peer_unexpected(peer_conn_t *p, const unsigned char *data, size_t size)
{
    const unsigned char  *end;

    end = memchr(data, '\r', size);

    if (end != NULL) {
        size = (size_t) (end - data);
    }

    load_fail(p->load, "unexpected: %.*s", size > 200 ? 200 : (int) size,
              data);

    return -1;
}


/* ---------------------------------------------------------------- sending */

int
peer_send(peer_conn_t *p, const void *data, size_t size)
{
    unsigned char  *to;

    to = net_room(&p->client->out, size);

    if (to == NULL) {
        load_fail(p->load, "no memory");
        return -1;
    }

    memcpy(to, data, size);
    p->client->out.to += size;

    return 0;
}


int
peer_printf(peer_conn_t *p, const char *fmt, ...)
{
    int      n;
    char     text[PEER_TEXT_MAX];
    va_list  args;

    va_start(args, fmt);
    n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    return n < 0 || n >= PEER_TEXT_MAX ? -1 : peer_send(p, text, (size_t) n);
}


/* How many messages a producer may send now; not a few at a time, which would
 * measure system calls. */
static uint64_t
peer_credit(const peer_conn_t *p)
{
    uint64_t         n, left;
    uint32_t         open;
    const load_t    *l;
    const client_t  *c;

    l = p->load;
    c = p->client;

    if (l->phase != LOAD_RUNNING || c->state != CLIENT_READY
        || p->marked - p->passed == PEER_MARKS)
    {
        return 0;
    }

    open = c->sent - c->answered;
    n = l->o.window > open ? l->o.window - open : 0;

    if (n < l->o.window / 4 && open != 0) {
        return 0;
    }

    left = l->o.messages != 0 ? l->o.messages - l->sent : n;

    return n < left ? n : left;
}


/* Appends n messages, and the barrier behind them. */
static int
peer_append(peer_conn_t *p, uint64_t n)
{
    load_t         *l;
    uint64_t        now, high, low;
    client_t       *c;
    unsigned char  *to;

    l = p->load;
    c = p->client;
    now = net_now();
    high = wire_letters((uint32_t) (now >> 32));
    low = wire_letters((uint32_t) now);

    for ( /* void */ ; n != 0; n--) {
        if (peer_send(p, c->frame, l->frame_size) == -1) {
            return -1;
        }

        to = c->out.data + c->out.to - l->frame_size + l->stamp_at;
        wire_store(to + 8, wire_letters(c->sent));
        wire_store(to + 16, high);
        wire_store(to + 24, low);

        if (p->peer->numbered) {
            to[-2] = (unsigned char) ((c->sent % 65535 + 1) >> 8);
            to[-1] = (unsigned char) (c->sent % 65535 + 1);
        }

        c->sent++;
        l->sent++;
    }

    if (p->peer->barrier == NULL) {
        return 0;
    }

    p->mark[p->marked++ % PEER_MARKS] = c->sent;

    return peer_send(p, p->peer->barrier, p->peer->barrier_len);
}


static void
peer_fill(load_t *l, client_t *c)
{
    int           rc;
    uint64_t      n;
    peer_conn_t  *p;

    p = peer_conn(l, c);

    while (c->out.from == c->out.to) {
        n = peer_credit(p);

        if (n == 0 || peer_append(p, n) == -1) {
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


const load_protocol_t  peer_protocol = {
    peer_init, peer_request, peer_event, peer_fill, NULL, NULL
};
