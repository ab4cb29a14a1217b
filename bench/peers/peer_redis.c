/*
 * Redis: a list (RPUSH, BLMPOP: who takes messages has them, and that is all),
 * a stream with a consumer group (XADD, XREADGROUP, XACK), and PUBLISH.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"


#define REDIS_LIST    0
#define REDIS_STREAM  1
#define REDIS_PUBSUB  2

static const char  *const  redis_head[] = {
    "*3\r\n$5\r\nRPUSH\r\n$1\r\nq\r\n",
    "*5\r\n$4\r\nXADD\r\n$1\r\nq\r\n$1\r\n*\r\n$1\r\nd\r\n",
    "*3\r\n$7\r\nPUBLISH\r\n$1\r\nq\r\n"
};


static int
redis_open(peer_conn_t *p)
{
    if (peer_is_producer(p) || p->peer->mode == REDIS_LIST) {
        return peer_printf(p, "PING\r\n");
    }

    return peer_printf(p, p->peer->mode == REDIS_STREAM
                          ? "XGROUP CREATE q g 0 MKSTREAM\r\n"
                          : "SUBSCRIBE q\r\n");
}


static int
redis_frame(peer_conn_t *p)
{
    int   n;
    char  head[128];

    n = snprintf(head, sizeof(head), "%s$%u\r\n", redis_head[p->peer->mode],
                 p->load->o.size);

    return peer_frame(p, head, (size_t) n, "\r\n", 2);
}


/* Asks for the next batch. */
static int
redis_ask(peer_conn_t *p)
{
    if (peer_is_producer(p) || p->peer->mode == REDIS_PUBSUB) {
        return 0;
    }

    if (p->peer->mode == REDIS_LIST) {
        return peer_printf(p, "BLMPOP 0 1 q LEFT COUNT %u\r\n",
                           p->load->o.window);
    }

    return peer_printf(p, "XREADGROUP GROUP g c%u COUNT %u BLOCK 0 STREAMS q"
                       " >\r\n", p->client->number, p->load->o.window);
}


/* Keeps the name of the message that came, for redis_acknowledge(). */
static int
redis_note(peer_conn_t *p)
{
    int             n;
    unsigned char  *to;

    to = net_room(&p->ack, PEER_ID + 16);

    if (to == NULL || p->id_len == 0) {
        return -1;
    }

    n = sprintf((char *) to, "$%zu\r\n%.*s\r\n", p->id_len, (int) p->id_len,
                p->id);
    p->ack.to += (size_t) n;
    p->acks++;

    return 0;
}


static int
redis_acknowledge(peer_conn_t *p)
{
    int  rc;

    if (p->acks == 0) {
        return 0;
    }

    rc = peer_printf(p, "*%u\r\n$4\r\nXACK\r\n$1\r\nq\r\n$1\r\ng\r\n",
                     p->acks + 3);
    rc |= peer_send(p, p->ack.data, p->ack.to);
    p->ack.to = 0;
    p->acks = 0;

    return rc;
}


static int
redis_data(peer_conn_t *p, const unsigned char *data, size_t size)
{
    peer_message(p, data, size);

    if (p->peer->mode == REDIS_PUBSUB) {
        return 0;
    }

    if (p->peer->mode == REDIS_STREAM && redis_note(p) == -1) {
        return -1;
    }

    if (--p->left != 0) {
        return 0;
    }

    return redis_acknowledge(p) | redis_ask(p);
}


/* A string: the key, a message's name, its data, a kind of event. */
static int
redis_string(peer_conn_t *p, const unsigned char *data, size_t size)
{
    if (peer_is_producer(p)) {
        peer_answered(p, 1);

    } else if (size >= LOAD_STAMP) {
        return redis_data(p, data, size);

    } else if (size == 1) {
        p->key = *data == 'q';    /* not the field of a stream's entry */

    } else if (size == 9 && memcmp(data, "subscribe", 9) == 0) {
        peer_ready(p);

    } else {
        memcpy(p->id, data, size);
        p->id_len = size;
    }

    return 0;
}


/* A line that is no string. */
static int
redis_line(peer_conn_t *p, const unsigned char *line, size_t len)
{
    switch (*line) {

    case '*':
        if (p->key) {
            p->key = 0;
            p->left = (unsigned) strtoul((char *) line + 1, NULL, 10);
        }

        return 0;

    case ':':
        if (peer_is_producer(p)) {
            peer_answered(p, 1);
        }

        return 0;

    case '-':
        if (len < 10 || memcmp(line, "-BUSYGROUP", 10) != 0) {
            return peer_unexpected(p, line, len);
        }

        /* fall through */

    case '+':
        peer_ready(p);
        return redis_ask(p);

    default:
        return peer_unexpected(p, line, len);
    }
}


/* The first line, or string, of data: its bytes, 0, or NET_CLOSE. */
static size_t
redis_item(peer_conn_t *p, unsigned char *data, size_t size)
{
    int             rc;
    size_t          n, len;
    unsigned char  *end;

    end = memchr(data, '\n', size);

    if (end == NULL) {
        return 0;
    }

    len = (size_t) (end + 1 - data);

    if (*data == '$') {
        n = strtoul((char *) data + 1, NULL, 10);

        if (size - len < n + 2) {
            return 0;
        }

        rc = redis_string(p, end + 1, n);
        len += n + 2;

    } else {
        rc = redis_line(p, data, len - 2);
    }

    return rc != 0 ? NET_CLOSE : len;
}


static size_t
redis_parse(peer_conn_t *p, unsigned char *data, size_t size)
{
    size_t  used, n;

    for (used = 0; used < size; used += n) {
        n = redis_item(p, data + used, size - used);

        if (n == NET_CLOSE) {
            return NET_CLOSE;
        }

        if (n == 0) {
            break;
        }
    }

    return used;
}


const peer_t  peer_redis_list = {
    .name = "redis-list", .mode = REDIS_LIST,
    .help = "Redis: RPUSH, BLMPOP of a window at once",
    .open = redis_open, .frame = redis_frame, .parse = redis_parse
};

const peer_t  peer_redis_stream = {
    .name = "redis-stream", .mode = REDIS_STREAM,
    .help = "Redis: XADD, XREADGROUP of a window at once, XACK",
    .open = redis_open, .frame = redis_frame, .parse = redis_parse
};

const peer_t  peer_redis_pubsub = {
    .name = "redis-pubsub", .mode = REDIS_PUBSUB,
    .help = "Redis: PUBLISH, SUBSCRIBE; --fanout",
    .open = redis_open, .frame = redis_frame, .parse = redis_parse
};
