/* What a link reads and sends: kmq_nats_link_inside.h. */

#include <stdio.h>
#include <string.h>

#include "kmq_nats_link_inside.h"


#define LINK_READ  65536     /* bytes that are read at once, at least */
#define LINK_PONG  64


void
kmq_nats_link_drop(kmq_nats_link_t *link, const char *reason)
{
    kmq_nats_socket_close(&link->socket);
    link->connected = 0;

    if (reason != link->reason) {
        (void) snprintf(link->reason, sizeof(link->reason), "%s", reason);
    }
}


/* ---------------------------------------------------------------- reading */

/* What the server complains of; it closes the connection itself when it is
 * serious, and the reason is known then. */
static void
link_complaint(kmq_nats_link_t *link)
{
    (void) snprintf(link->reason, sizeof(link->reason), "%.*s",
                    (int) link->parser.text.len,
                    (const char *) link->parser.text.bytes);
}


/* Answers, or takes note of, what is no message: _DONE, or an error. */
static int
link_event(kmq_nats_link_t *link, kmq_nats_event_t event)
{
    switch (event) {

    case KMQ_NATS_PING:
        return KMQ_NATS_LINK_WRITE(link, LINK_PONG, kmq_nats_write_pong)
               ? KMQ_NATS_DONE : KMQ_NATS_NOMEM;

    case KMQ_NATS_PONG:
        link->asked = 0;
        link->logged_in = 1;
        return KMQ_NATS_DONE;

    case KMQ_NATS_ERR:
        link_complaint(link);
        return KMQ_NATS_DONE;

    case KMQ_NATS_INFO:
        if (kmq_nats_link_read_info(link, &link->parser.text) == 0) {
            return KMQ_NATS_DONE;
        }

        kmq_nats_link_drop(link, "an INFO that is no JSON");
        return KMQ_NATS_DOWN;

    case KMQ_NATS_FAIL:
        kmq_nats_link_drop(link, link->parser.reason);
        return KMQ_NATS_DOWN;

    default:
        return KMQ_NATS_DONE;
    }
}


/* Hands out what is in the buffer: how many messages, or an error. */
static int
link_parse(kmq_nats_link_t *link)
{
    int                 rc, n;
    kmq_nats_event_t    event;
    kmq_nats_buffer_t  *in;

    in = &link->in;
    n = 0;

    while (link->socket.fd != -1) {
        event = kmq_nats_parse(&link->parser, in->bytes, in->size, &in->from);

        if (event == KMQ_NATS_MORE) {
            return n;
        }

        if (event == KMQ_NATS_MSG) {
            kmq_nats_link_hand_out(link, &link->parser.msg);
            n++;
            continue;
        }

        rc = link_event(link, event);

        if (rc != KMQ_NATS_DONE) {
            return rc;
        }
    }

    return KMQ_NATS_DOWN;
}


int
kmq_nats_link_receive(kmq_nats_link_t *link)
{
    int                 rc;
    size_t              room;
    ssize_t             n;
    kmq_nats_buffer_t  *in;

    in = &link->in;
    room = link->parser.need > kmq_nats_buffer_size(in)
           ? link->parser.need - kmq_nats_buffer_size(in) : 1;

    /* a length in a line is no reason to provide so much at once */
    room = room < LINK_READ ? LINK_READ
           : room < kmq_nats_buffer_size(in) + LINK_READ
           ? room : kmq_nats_buffer_size(in) + LINK_READ;

    if (kmq_nats_buffer_room(in, room) != 0) {
        kmq_nats_link_drop(link, "no memory");
        return KMQ_NATS_NOMEM;
    }

    n = kmq_nats_socket_read(&link->socket, in->bytes + in->size,
                             in->room - in->size);

    if (n < 0) {
        kmq_nats_link_drop(link, link->reason[0] ? link->reason
                                                 : strerror((int) -n));
        return KMQ_NATS_DOWN;
    }

    if (n == 0) {
        return 0;
    }

    in->size += (size_t) n;
    link->heard = kmq_nats_now();

    link->running = 1;
    rc = link_parse(link);
    link->running = 0;

    return rc;
}


/* ---------------------------------------------------------------- writing */

int
kmq_nats_link_send(kmq_nats_link_t *link)
{
    ssize_t             n;
    kmq_nats_buffer_t  *out;

    out = &link->out;

    while (kmq_nats_buffer_size(out)) {
        n = kmq_nats_socket_write(&link->socket, out->bytes + out->from,
                                  kmq_nats_buffer_size(out));

        if (n < 0) {
            kmq_nats_link_drop(link, strerror((int) -n));
            return KMQ_NATS_DOWN;
        }

        if (n == 0) {
            return KMQ_NATS_DONE;
        }

        out->from += (size_t) n;
    }

    kmq_nats_buffer_clear(out);

    return KMQ_NATS_DONE;
}
