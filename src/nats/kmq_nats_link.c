/* Work on a connection: kmq_nats_link.h. */

#include <string.h>

#include "kmq_nats_link_inside.h"


#define LINK_LINE     1024      /* of PUB, two subjects in it */
#define LINK_HEADERS  12        /* NATS/1.0 and the empty line */


/* ------------------------------------------------------------- publishing */

size_t
kmq_nats_link_unsent(const kmq_nats_link_t *link)
{
    return kmq_nats_buffer_size(&link->out);
}


static size_t
link_headers_size(const kmq_nats_header_t *headers, unsigned n)
{
    size_t  size;

    size = n ? LINK_HEADERS : 0;

    while (n--) {
        size += strlen(headers[n].name) + strlen(headers[n].value) + 4;
    }

    return size;
}


int
kmq_nats_link_publish(kmq_nats_link_t *link, const char *subject,
    const char *reply, const kmq_nats_header_t *headers, unsigned n,
    const void *payload, size_t size)
{
    size_t              of_headers, max;
    kmq_nats_buffer_t  *out;

    out = &link->out;
    of_headers = link_headers_size(headers, n);

    if (!link->connected) {
        return KMQ_NATS_DOWN;
    }

    if (of_headers + size > link->info.max_payload) {
        return KMQ_NATS_INVALID;
    }

    if (kmq_nats_buffer_size(out) > link->options.max_unsent) {
        return KMQ_NATS_FULL;
    }

    max = LINK_LINE + of_headers + size;

    if (kmq_nats_buffer_room(out, max) != 0) {
        return KMQ_NATS_NOMEM;
    }

    if (!KMQ_NATS_LINK_WRITE(link, max, kmq_nats_write_pub, subject, reply,
                             headers, n, size))
    {
        return KMQ_NATS_INVALID;
    }

    if (size) {
        memcpy(out->bytes + out->size, payload, size);
    }

    memcpy(out->bytes + out->size + size, "\r\n", 2);
    out->size += size + 2;

    return KMQ_NATS_DONE;
}


/* ---------------------------------------------------------------- waiting */

/* Is the server alive?  Asks when it has been silent; until when to wait, at
 * most, or 0: it is given up. */
static uint64_t
link_watch(kmq_nats_link_t *link, uint64_t now)
{
    uint64_t  since;

    if (link->asked) {

        /* what it has sent meanwhile shows that it lives, too */
        since = link->asked > link->heard ? link->asked : link->heard;

        if (now - since >= link->options.ping_timeout) {
            kmq_nats_link_drop(link, "the server does not answer");
            return 0;
        }

        return since + link->options.ping_timeout;
    }

    if (now - link->heard < link->options.ping_interval) {
        return link->heard + link->options.ping_interval;
    }

    if (!KMQ_NATS_LINK_WRITE(link, LINK_LINE, kmq_nats_write_ping)
        || kmq_nats_link_send(link) != KMQ_NATS_DONE)
    {
        kmq_nats_link_drop(link, "PING could not be sent");
        return 0;
    }

    link->asked = now;

    return now + link->options.ping_timeout;
}


/* Waits for the server, or its end: _DONE, or an error. */
static int
link_wait(kmq_nats_link_t *link, uint64_t deadline)
{
    int       rc;
    uint64_t  now, until;

    now = kmq_nats_now();
    until = link_watch(link, now);

    if (until == 0) {
        return KMQ_NATS_DOWN;
    }

    if (now >= deadline) {
        return KMQ_NATS_LATE;
    }

    rc = kmq_nats_socket_wait(&link->socket,
                              kmq_nats_buffer_size(&link->out) > 0,
                              until < deadline ? until : deadline);

    if (rc < 0) {
        kmq_nats_link_drop(link, strerror(-rc));
        return KMQ_NATS_DOWN;
    }

    return KMQ_NATS_DONE;
}


int
kmq_nats_link_run(kmq_nats_link_t *link, uint64_t deadline)
{
    int  rc;

    /* from inside of a function that takes a message it would not end */

    if (link->socket.fd == -1 || link->running) {
        return KMQ_NATS_DOWN;
    }

    for ( ;; ) {
        rc = kmq_nats_link_send(link);

        if (rc != KMQ_NATS_DONE) {
            return rc;
        }

        /* what has come is looked at before the server is given up */
        rc = kmq_nats_link_receive(link);

        if (rc != 0) {
            return rc < 0 || kmq_nats_link_send(link) == KMQ_NATS_DONE
                   ? rc : KMQ_NATS_DOWN;
        }

        rc = link_wait(link, deadline);

        if (rc != KMQ_NATS_DONE) {
            return rc;
        }
    }
}
