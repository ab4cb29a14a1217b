#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "floor.h"
#include "../common/wire.h"


#define FLOOR_FAULT_AT  1000          /* the message that --fault harms */
#define FLOOR_STALL     200000        /* us */


/* ---------------------------------------------------------------- upgrade */

/* Finds a header of the request; its value's length in *len. */
static const char *
floor_header(const char *request, const char *end, const char *name,
    size_t *len)
{
    size_t       n;
    const char  *line, *eol;

    n = strlen(name);

    for (line = request; line < end; line = eol + 2) {
        eol = memmem(line, (size_t) (end - line), "\r\n", 2);

        if (eol == NULL) {
            eol = end;
        }

        if ((size_t) (eol - line) > n && line[n] == ':'
            && strncasecmp(line, name, n) == 0)
        {
            for (line += n + 1; line < eol && *line == ' '; line++) {
                /* void */
            }

            *len = (size_t) (eol - line);
            return line;
        }
    }

    return NULL;
}


/* Reads "GET /Producers/Conn/TOPIC/ID": 0, or -1. */
static int
floor_path(floor_t *f, floor_conn_t *conn, const char *p, const char *end)
{
    size_t       len;
    uint8_t      role;
    const char  *slash;

    if (strncmp(p, "GET /Producers/Conn/", 20) == 0) {
        role = FLOOR_PRODUCER;

    } else if (strncmp(p, "GET /Consumers/Conn/", 20) == 0) {
        role = FLOOR_CONSUMER;

    } else {
        return -1;
    }

    p += 20;
    slash = memchr(p, '/', (size_t) (end - p));
    len = slash == NULL ? 0 : (size_t) (slash - p);

    /* names that would have to be decoded or escaped are not for here */

    if (len == 0 || len > FLOOR_TOPIC_MAX || memchr(p, '%', len) != NULL
        || memchr(p, '"', len) != NULL || memchr(p, '\\', len) != NULL)
    {
        return -1;
    }

    conn->topic = floor_topic(f, p, len);

    if (conn->topic == NULL) {
        return -1;
    }

    if (role == FLOOR_CONSUMER) {
        conn->number = (uint32_t) conn->topic->consumers.n;

        if (floor_push(&conn->topic->consumers, conn) == -1) {
            return -1;
        }
    }

    conn->role = role;

    return 0;
}


static int
floor_upgrade(floor_t *f, floor_conn_t *conn, const char *request,
    const char *end)
{
    static const char  welcome[] = "Secret key matching succeeded";

    size_t          n, len, key_len;
    const char     *ws_key, *key;
    unsigned char  *p;

    ws_key = floor_header(request, end, "Sec-WebSocket-Key", &len);
    key = floor_header(request, end, "secretKey", &key_len);
    p = net_room(&conn->out, 512);

    if (p == NULL || ws_key == NULL || len != sizeof(WIRE_WS_KEY) - 1
        || memcmp(ws_key, WIRE_WS_KEY, len) != 0 || key == NULL
        || key_len != strlen(f->key) || memcmp(key, f->key, key_len) != 0
        || floor_path(f, conn, request, end) == -1)
    {
        return -1;
    }

    n = (size_t) sprintf((char *) p,
                         "HTTP/1.1 101 Switching Protocols\r\n"
                         "Upgrade: websocket\r\n"
                         "Connection: Upgrade\r\n"
                         "Sec-WebSocket-Accept: " WIRE_WS_ACCEPT
                         "\r\n\r\n");
    conn->out.to += n;

    p = wire_header(p + n, WIRE_TEXT, sizeof(welcome) - 1, NULL);
    memcpy(p, welcome, sizeof(welcome) - 1);
    conn->out.to = (size_t) (p - conn->out.data) + sizeof(welcome) - 1;

    floor_mark_dirty(f, conn);

    return 0;
}


/* The console: returns the bytes of the question, 0: not complete, or
 * NET_CLOSE. */
static size_t
floor_console(floor_t *f, floor_conn_t *conn, const char *request,
    const char *end, size_t size)
{
    size_t          head, len, body;
    const char     *value, *text;
    unsigned char  *p;

    value = floor_header(request, end, "Content-Length", &len);
    body = value == NULL ? 0 : strtoul(value, NULL, 10);
    head = (size_t) (end - request) + 4;
    p = net_room(&conn->out, 512);

    if (p == NULL || body > FLOOR_ASK) {
        return NET_CLOSE;
    }

    if (size - head < body) {
        return 0;
    }

    text = f->fault == FAULT_DAMAGE ? "{\"code\":-1}"
           : "{\"code\":0,\"data\":[],\"next\":null}";

    /* in two chunks, as a long answer would come */

    conn->out.to += (size_t) sprintf((char *) p,
                         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                         "\r\n5\r\n%.5s\r\n%zx\r\n%s\r\n0\r\n\r\n",
                         text, strlen(text) - 5,
                         text + 5);
    floor_mark_dirty(f, conn);

    return head + body;
}


/* --------------------------------------------------------------- messages */

static int
floor_answer(floor_t *f, floor_conn_t *conn, const char *text)
{
    size_t          len;
    unsigned char  *p;

    len = strlen(text);
    p = net_room(&conn->out, len + WIRE_HEADER_MAX);

    if (p == NULL) {
        return -1;
    }

    p = wire_header(p, WIRE_TEXT, len, NULL);
    memcpy(p, text, len);
    conn->out.to = (size_t) (p - conn->out.data) + len;
    floor_mark_dirty(f, conn);

    return 0;
}


static int
floor_answer_ok(floor_t *f, floor_conn_t *conn)
{
    unsigned char  *p;

    p = net_room(&conn->out, 4);

    if (p == NULL) {
        return -1;
    }

    memcpy(p, "\x81\x02" "ok", 4);
    conn->out.to += 4;
    floor_mark_dirty(f, conn);

    return 0;
}


/* The one consumer of a topic that is to get the next message. */
static floor_conn_t *
floor_draw(floor_t *f, floor_topic_t *t)
{
    uint64_t  x;

    x = f->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    f->random = x;

    return t->consumers.at[(x >> 32) * t->consumers.n >> 32];
}


/* Does to the frame of n bytes at out's end what --fault says. */
static int
floor_harm(floor_t *f, net_out_t *out, size_t n)
{
    unsigned char  *p, *frame;

    if (f->fault == FAULT_LATE && f->number == FLOOR_FAULT_AT + 1) {
        n = f->late.to;
        p = net_room(out, n);

        if (p == NULL) {
            return -1;
        }

        memcpy(p, f->late.data, n);
        out->to += n;
        return 0;
    }

    if (f->number != FLOOR_FAULT_AT) {
        return 0;
    }

    if (f->fault == FAULT_STALL) {
        (void) usleep(FLOOR_STALL);
        return 0;
    }

    p = net_room(f->fault == FAULT_LATE ? &f->late : out, n);

    if (p == NULL) {
        return -1;
    }

    frame = out->data + out->to - n;

    switch (f->fault) {

    case FAULT_LATE:
        memcpy(p, frame, n);
        f->late.to = n;
        out->to -= n;
        break;

    case FAULT_LOSE:
        out->to -= n;
        break;

    case FAULT_TWICE:
        memcpy(p, frame, n);
        out->to += n;
        break;

    default:
        frame[n / 2] ^= 1;
        break;
    }

    return 0;
}


/* Passes a message on: 1, 0 when its data is not valid, -1 without memory. */
static int
floor_relay(floor_t *f, floor_topic_t *t, floor_data_t *data)
{
    size_t          n;
    net_out_t      *out;
    floor_conn_t   *consumer;
    unsigned char  *p;

    if (t->consumers.n == 0) {
        return floor_check(data);
    }

    consumer = f->fanout ? NULL : floor_draw(f, t);
    out = f->fanout ? &t->block : &consumer->out;

    if (t->tail.time != f->time) {
        floor_tail(&t->tail, t->name, strlen(t->name), f->time);
    }

    p = net_room(out, floor_room(data->size, &t->tail));

    if (p == NULL) {
        return -1;
    }

    n = floor_compose(p, data, &t->tail, ++f->number);
    out->to += n;

    if (f->fault != FAULT_NONE && floor_harm(f, out, n) == -1) {
        return -1;
    }

    if (consumer != NULL) {
        floor_mark_dirty(f, consumer);
    }

    return n != 0;
}


static int
floor_message(floor_t *f, floor_conn_t *conn, const wire_frame_t *frame)
{
    int            rc;
    const char    *error;
    floor_data_t   data;

    error = floor_data(&data, frame->data, frame->size, frame->mask);

    if (error != NULL) {
        return floor_answer(f, conn, error);
    }

    rc = floor_relay(f, conn->topic, &data);

    if (rc == 1) {
        return floor_answer_ok(f, conn);
    }

    return rc == 0 ? floor_answer(f, conn, "error: the data is not valid "
                                  "UTF-8")
                   : -1;
}


static int
floor_frame(floor_t *f, floor_conn_t *conn, const wire_frame_t *frame)
{
    unsigned char  *p;

    if (!frame->masked) {
        return -1;
    }

    switch (frame->first) {

    case WIRE_FIN|WIRE_TEXT:
    case WIRE_FIN|WIRE_BINARY:
        /* a consumer's is an acknowledgement: read, and that is all */
        return conn->role == FLOOR_CONSUMER ? 0
                                            : floor_message(f, conn, frame);

    case WIRE_FIN|WIRE_PING:
        p = net_room(&conn->out, frame->size + WIRE_HEADER_MAX);

        if (p == NULL) {
            return -1;
        }

        p = wire_header(p, WIRE_PONG, frame->size, NULL);
        wire_mask(p, frame->data, frame->size, frame->mask);
        conn->out.to = (size_t) (p - conn->out.data) + frame->size;
        floor_mark_dirty(f, conn);
        return 0;

    case WIRE_FIN|WIRE_PONG:
        return 0;

    default:
        return -1;    /* a close, and what this relay does not do */
    }
}


size_t
floor_parse(void *arg, unsigned char *data, size_t size)
{
    size_t         used;
    char          *end;
    floor_read_t  *r;
    wire_frame_t   frame;

    r = arg;
    used = 0;

    if (r->conn->role == FLOOR_NEW) {
        end = memmem(data, size, "\r\n\r\n", 4);

        if (end == NULL) {
            return size < FLOOR_ASK ? 0 : NET_CLOSE;
        }

        if (memcmp(data, "POST /Console/", 14) == 0) {
            return floor_console(r->floor, r->conn, (char *) data, end, size);
        }

        if (floor_upgrade(r->floor, r->conn, (char *) data, end) == -1) {
            return NET_CLOSE;
        }

        used = (size_t) (end + 4 - (char *) data);
    }

    while (wire_frame(&frame, data + used, size - used)) {

        if (floor_frame(r->floor, r->conn, &frame) == -1) {
            return NET_CLOSE;
        }

        used += frame.length;
    }

    return used;
}
