/* Nchan: POST, one connection, many requests; WebSocket subscribers. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"


static int
nchan_open(peer_conn_t *p)
{
    if (!peer_is_producer(p)) {
        return peer_upgrade(p, "/sub", NULL);
    }

    /* asks about the channel */

    return peer_printf(p, "GET /pub HTTP/1.1\r\nHost: %s\r\n\r\n",
                       p->load->o.host);
}


static int
nchan_frame(peer_conn_t *p)
{
    int   n;
    char  head[128];

    n = snprintf(head, sizeof(head), "POST /pub HTTP/1.1\r\nHost: %s\r\n"
                 "Content-Length: %u\r\n\r\n", p->load->o.host,
                 p->load->o.size);

    return peer_frame(p, head, (size_t) n, "", 0);
}


/* An answer to a request: its bytes, 0, or NET_CLOSE. */
static size_t
nchan_answer(peer_conn_t *p, unsigned char *data, size_t size)
{
    static const char  name[] = "Content-Length: ";

    size_t          length;
    unsigned char  *end, *value;

    end = memmem(data, size, "\r\n\r\n", 4);

    if (end == NULL) {
        return 0;
    }

    value = memmem(data, (size_t) (end - data), name, sizeof(name) - 1);
    length = (size_t) (end - data) + 4;

    if (value != NULL) {
        length += strtoul((char *) value + sizeof(name) - 1, NULL, 10);
    }

    if (size < length) {
        return 0;
    }

    if (p->client->state != CLIENT_READY) {
        peer_ready(p);
        return length;
    }

    if (memcmp(data, "HTTP/1.1 20", 11) != 0) {
        (void) peer_unexpected(p, data, size);
        return NET_CLOSE;
    }

    peer_answered(p, 1);

    return length;
}


/* A frame for a subscriber: the same. */
static size_t
nchan_pushed(peer_conn_t *p, unsigned char *data, size_t size)
{
    wire_frame_t  f;

    if (!wire_frame(&f, data, size)) {
        return 0;
    }

    if (f.first != (WIRE_FIN|WIRE_TEXT) && f.first != (WIRE_FIN|WIRE_BINARY)) {
        load_fail(p->load, "unexpected: a frame %02x", f.first);
        return NET_CLOSE;
    }

    peer_message(p, f.data, f.size);

    return f.length;
}


static size_t
nchan_parse(peer_conn_t *p, unsigned char *data, size_t size)
{
    size_t  used, n;

    for (used = 0; used < size; used += n) {

        if (peer_is_producer(p)) {
            n = nchan_answer(p, data + used, size - used);

        } else if (p->client->state == CLIENT_UPGRADE) {
            n = peer_upgraded(p, data + used, size - used);

            if (n != 0 && n != NET_CLOSE) {
                peer_ready(p);
            }

        } else {
            n = nchan_pushed(p, data + used, size - used);
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


const peer_t  peer_nchan = {
    .name = "nchan",
    .help = "Nchan: POST, and --fanout to WebSocket subscribers",
    .open = nchan_open, .frame = nchan_frame, .parse = nchan_parse
};
