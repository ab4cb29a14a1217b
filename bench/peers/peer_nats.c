/*
 * NATS: core (a queue group, or each subscriber gets all), and JetStream with
 * a work queue in memory that is acknowledged message by message.  Core NATS
 * confirms nothing: a PING behind a batch tells that the server has read it.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"


#define NATS_CORE    0
#define NATS_STREAM  1

#define NATS_HELLO   "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n"

/* SUB's numbers: messages, and what the server answers to requests */
#define NATS_MESSAGES  "1"
#define NATS_ANSWERS   "2"

static const char  nats_stream[] =
    "{\"name\":\"Q\",\"subjects\":[\"q\"],\"retention\":\"workqueue\","
    "\"storage\":\"memory\",\"num_replicas\":1}";

static const char  nats_consumer[] =
    "{\"stream_name\":\"Q\",\"config\":{\"durable_name\":\"c\","
    "\"deliver_subject\":\"d\",\"deliver_group\":\"g\","
    "\"deliver_policy\":\"all\",\"replay_policy\":\"instant\","
    "\"ack_policy\":\"explicit\",\"max_ack_pending\":100000}}";


/* Where the server sends this connection's answers. */
static const char *
nats_inbox(const peer_conn_t *p)
{
    static char  name[32];

    snprintf(name, sizeof(name), "%c%u", peer_is_producer(p) ? 'P' : 'C',
             p->client->number);

    return name;
}


static int
nats_open(peer_conn_t *p)
{
    int  rc;

    p->awaited = 1;    /* the PONG */
    rc = peer_printf(p, NATS_HELLO);

    if (!peer_is_producer(p)) {
        rc |= peer_printf(p, p->load->o.fanout || p->load->o.idle
                             ? "SUB q " NATS_MESSAGES "\r\n"
                             : "SUB q g " NATS_MESSAGES "\r\n");
    }

    return rc | peer_printf(p, "PING\r\n");
}


/* The stream and its consumer are the same whoever makes them first. */
static int
nats_stream_open(peer_conn_t *p)
{
    int  rc;

    p->awaited = 2;
    rc = peer_printf(p, NATS_HELLO "SUB %s " NATS_ANSWERS "\r\n"
                     "PUB $JS.API.STREAM.CREATE.Q %s %zu\r\n%s\r\n",
                     nats_inbox(p), nats_inbox(p), sizeof(nats_stream) - 1,
                     nats_stream);

    if (!peer_is_producer(p)) {
        p->awaited++;
        rc |= peer_printf(p, "PUB $JS.API.CONSUMER.DURABLE.CREATE.Q.c %s %zu"
                          "\r\n%s\r\nSUB d g " NATS_MESSAGES "\r\n",
                          nats_inbox(p), sizeof(nats_consumer) - 1,
                          nats_consumer);
    }

    return rc | peer_printf(p, "PING\r\n");
}


static int
nats_frame(peer_conn_t *p)
{
    int   n;
    char  head[64];

    n = p->peer->mode == NATS_CORE
        ? snprintf(head, sizeof(head), "PUB q %u\r\n", p->load->o.size)
        : snprintf(head, sizeof(head), "PUB q %s %u\r\n", nats_inbox(p),
                   p->load->o.size);

    return peer_frame(p, head, (size_t) n, "\r\n", 2);
}


static void
nats_login(peer_conn_t *p)
{
    if (--p->awaited == 0) {
        peer_ready(p);
    }
}


/* What answers a request, or a message that was published. */
static int
nats_answer(peer_conn_t *p, const unsigned char *data, size_t size)
{
    if (memmem(data, size, "\"error\"", 7) != NULL) {
        return peer_unexpected(p, data, size);
    }

    if (p->client->state != CLIENT_READY) {
        nats_login(p);

    } else {
        peer_answered(p, 1);
    }

    return 0;
}


static int
nats_ack(peer_conn_t *p, const unsigned char *to, size_t size)
{
    unsigned char  *out;
    net_out_t      *o;

    o = &p->client->out;
    out = net_room(o, size + 16);

    if (out == NULL) {
        return -1;
    }

    memcpy(out, "PUB ", 4);
    memcpy(out + 4, to, size);
    memcpy(out + 4 + size, " 0\r\n\r\n", 6);
    o->to += size + 10;

    return 0;
}


/* "MSG subject number [reply] size", then the data: bytes, 0, or
 * NET_CLOSE. */
static size_t
nats_message(peer_conn_t *p, unsigned char *line, size_t len, size_t size)
{
    int             rc;
    size_t          n;
    unsigned        answer;
    unsigned char  *at, *end, *word[3];

    end = line + len;
    at = line + 4;

    for (n = 0; n < 3 && (at = memchr(at, ' ', (size_t) (end - at))) != NULL;
         n++)
    {
        word[n] = ++at;
    }

    if (n < 2) {
        (void) peer_unexpected(p, line, size);
        return NET_CLOSE;
    }

    answer = word[0][0] == NATS_ANSWERS[0];
    at = word[n - 1];
    len += 2;
    n = n == 3 ? (size_t) (word[2] - word[1]) - 1 : 0;
    size -= len;
    len += strtoul((char *) at, NULL, 10) + 2;

    if (size < len - (size_t) (end + 2 - line)) {
        return 0;
    }

    at = end + 2;
    size = len - (size_t) (at - line) - 2;

    if (answer) {
        rc = nats_answer(p, at, size);

    } else {
        peer_message(p, at, size);
        rc = n != 0 ? nats_ack(p, word[1], n) : 0;
    }

    return rc == -1 ? NET_CLOSE : len;
}


/* A line that is no message. */
static int
nats_line(peer_conn_t *p, const unsigned char *line, size_t len)
{
    if (len == 4 && memcmp(line, "PONG", 4) == 0) {

        if (p->client->state == CLIENT_READY) {
            return peer_passed(p);
        }

        nats_login(p);
        return 0;
    }

    if (len == 4 && memcmp(line, "PING", 4) == 0) {
        return peer_send(p, "PONG\r\n", 6);
    }

    if (len > 4 && memcmp(line, "INFO", 4) == 0) {
        return 0;
    }

    return peer_unexpected(p, line, len);
}


/* Takes the messages at the front of data: most of what core NATS sends. */
static size_t
nats_messages(peer_conn_t *p, const unsigned char *data, size_t size)
{
    static char    head[40];
    static size_t  len;

    size_t  used, n;

    if (len == 0) {
        len = (size_t) snprintf(head, sizeof(head), "MSG q " NATS_MESSAGES
                                " %u\r\n", p->load->o.size);
    }

    n = p->load->o.size;

    for (used = 0;
         size - used >= len + n + 2 && memcmp(data + used, head, len) == 0;
         used += len + n + 2)
    {
        peer_message(p, data + used + len, n);
    }

    return used;
}


static size_t
nats_parse(peer_conn_t *p, unsigned char *data, size_t size)
{
    size_t          used, n;
    unsigned char  *line, *end;

    used = 0;

    for ( ;; ) {
        used += nats_messages(p, data + used, size - used);
        line = data + used;
        end = memchr(line, '\n', size - used);

        if (end == NULL) {
            return used;
        }

        n = (size_t) (end - line) - 1;

        if (n > 4 && memcmp(line, "MSG ", 4) == 0) {
            n = nats_message(p, line, n, size - used);

            if (n == 0 || n == NET_CLOSE) {
                return n == 0 ? used : NET_CLOSE;
            }

            used += n;
            continue;
        }

        if (nats_line(p, line, n) == -1) {
            return NET_CLOSE;
        }

        used += n + 2;
    }
}


const peer_t  peer_nats = {
    .name = "nats", .mode = NATS_CORE,
    .help = "core NATS: a queue group, or --fanout",
    .open = nats_open, .frame = nats_frame, .parse = nats_parse,
    .barrier = "PING\r\n", .barrier_len = 6
};

const peer_t  peer_jetstream = {
    .name = "jetstream", .mode = NATS_STREAM,
    .help = "NATS JetStream: a work queue in memory, all acknowledged",
    .open = nats_stream_open, .frame = nats_frame, .parse = nats_parse
};
