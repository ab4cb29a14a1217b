/*
 * What the test and the fuzzer of the NATS protocol share: a client that gets
 * bytes in pieces, and keeps a log of what its parser says of them.
 */

#ifndef KMQ_NATS_UTIL_H
#define KMQ_NATS_UTIL_H

#include "../../src/protocol/kmq_nats.h"
#include "protocol_util.h"


typedef struct {
    kmq_nats_parser_t   parser;
    unsigned char      *input;
    size_t              size;
    buffer_t            log;
    const char         *broken;      /* a promise of the parser's */
} nats_client_t;


static void
nats_log_text(nats_client_t *client, const char *name,
    const kmq_nats_text_t *text)
{
    const unsigned char  *input;

    input = client->input;

    if (text->len && (text->bytes < input
                      || text->bytes + text->len > input + client->size))
    {
        client->broken = "a text is not inside the input";
        return;
    }

    buffer_add(&client->log, name, strlen(name));
    buffer_add(&client->log, "<", 1);
    buffer_add(&client->log, text->bytes, text->len);
    buffer_add(&client->log, ">", 1);
}


static void
nats_log(nats_client_t *client, kmq_nats_event_t event)
{
    static const char *const  names[] = {
        "more", "INFO", "MSG", "PING", "PONG", "OK", "ERR", "FAIL"
    };

    char             sid[32];
    kmq_nats_msg_t  *msg;

    msg = &client->parser.msg;
    buffer_add(&client->log, names[event], strlen(names[event]));

    if (event == KMQ_NATS_INFO || event == KMQ_NATS_ERR) {
        nats_log_text(client, "", &client->parser.text);
    }

    if (event == KMQ_NATS_MSG) {
        (void) snprintf(sid, sizeof(sid), " %llu",
                        (unsigned long long) msg->sid);
        nats_log_text(client, sid, &msg->subject);
        nats_log_text(client, "r", &msg->reply);
        nats_log_text(client, "h", &msg->headers);
        nats_log_text(client, "p", &msg->payload);
    }

    if (event == KMQ_NATS_FAIL) {
        buffer_add(&client->log, " ", 1);
        buffer_add(&client->log, client->parser.reason,
                   strlen(client->parser.reason));
    }

    buffer_add(&client->log, "\n", 1);
}


/* Bytes arrive: the input moves to another place, as buffers do.  The last
 * event. */
static kmq_nats_event_t
nats_receive(nats_client_t *client, const unsigned char *bytes, size_t size)
{
    size_t             used, before;
    unsigned char     *input;
    kmq_nats_event_t   event;

    input = exact_join(client->input, client->size, bytes, size);
    free(client->input);
    client->input = input;
    client->size += size;
    used = 0;

    do {
        before = used;
        event = kmq_nats_parse(&client->parser, input, client->size, &used);

        if (event != KMQ_NATS_MORE) {
            nats_log(client, event);
        }

        if (used < before || used > client->size
            || (used == before) != (event == KMQ_NATS_MORE
                                    || event == KMQ_NATS_FAIL))
        {
            client->broken = "*used is wrong";
        }

    } while (event != KMQ_NATS_MORE && event != KMQ_NATS_FAIL);

    if (event == KMQ_NATS_MORE
        && client->parser.need <= client->size - used)
    {
        client->broken = "need is not more than there is";
    }

    if (client->parser.need
        > KMQ_NATS_NEED_MAX(client->parser.max_message))
    {
        client->broken = "need is beyond its bound";
    }

    client->input = exact_copy(input + used, client->size - used);
    client->size -= used;
    free(input);

    return event;
}


/* The log of a client that gets the bytes in pieces: a first one, and then of
 * step bytes each.  *broken is set where a promise was. */
static buffer_t
nats_log_of(const void *bytes, size_t size, size_t first, size_t step,
    uint64_t max, const char **broken)
{
    size_t         at, n;
    nats_client_t  client;

    memset(&client, 0, sizeof(client));
    kmq_nats_init(&client.parser, max);
    n = first;

    for (at = 0; at < size; at += n, n = step) {
        n = (size - at < n) ? size - at : n;

        if (nats_receive(&client, (const unsigned char *) bytes + at, n)
            == KMQ_NATS_FAIL)
        {
            break;
        }
    }

    if (client.broken) {
        *broken = client.broken;
    }

    free(client.input);

    return client.log;
}


static int
nats_same_log(const buffer_t *a, const buffer_t *b)
{
    return a->size == b->size
           && (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0);
}

#endif /* KMQ_NATS_UTIL_H */
