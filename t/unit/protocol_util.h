/*
 * What the tests and fuzzers of the protocol share: random numbers, UTF-8
 * read by the letter of RFC 3629, and a client and a server on the two ends
 * of the frame parser.
 */

#ifndef KMQ_PROTOCOL_UTIL_H
#define KMQ_PROTOCOL_UTIL_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/protocol/kmq_websocket.h"


#define elements(array)  (sizeof(array) / sizeof((array)[0]))
#define UNUSED           __attribute__((unused))


/* --------------------------------------------------------------- numbers */

static uint64_t  random_state = 88172645463325252;


/* A pseudo-random number below n; the same sequence in each run. */
UNUSED static unsigned
below(unsigned n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;

    return (unsigned) ((random_state >> 32) % n);
}


/* ---------------------------------------------------------------- buffers */

typedef struct {
    unsigned char  *bytes;
    size_t          size;
    size_t          room;
} buffer_t;


UNUSED static void
buffer_add(buffer_t *buffer, const void *bytes, size_t size)
{
    if (buffer->room < buffer->size + size) {
        buffer->room = 2 * (buffer->size + size);
        buffer->bytes = realloc(buffer->bytes, buffer->room);

        if (buffer->bytes == NULL) {
            abort();
        }
    }

    if (size) {
        memcpy(buffer->bytes + buffer->size, bytes, size);
        buffer->size += size;
    }
}


UNUSED static void
buffer_free(buffer_t *buffer)
{
    free(buffer->bytes);
    memset(buffer, 0, sizeof(*buffer));
}


/* Two pieces, one behind the other, in memory of exactly their size, so that
 * a look beyond the end is noticed. */
UNUSED static unsigned char *
exact_join(const void *a, size_t a_size, const void *b, size_t b_size)
{
    unsigned char  *copy;

    copy = malloc(a_size + b_size ? a_size + b_size : 1);

    if (copy == NULL) {
        abort();
    }

    if (a_size) {
        memcpy(copy, a, a_size);
    }

    if (b_size) {
        memcpy(copy + a_size, b, b_size);
    }

    return copy;
}


UNUSED static unsigned char *
exact_copy(const void *bytes, size_t size)
{
    return exact_join(bytes, size, NULL, 0);
}


/* ------------------------------------------------------------------ UTF-8 */

/* Reads one character: its length, or 0 when there is none. */
UNUSED static size_t
plain_utf8_character(const unsigned char *p, size_t size)
{
    static const uint32_t  smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };

    size_t    n, i;
    uint32_t  c;

    if (p[0] < 0x80) {
        return 1;
    }

    n = (p[0] >= 0xf0) ? 4 : (p[0] >= 0xe0) ? 3 : 2;

    if (p[0] < 0xc0 || p[0] > 0xf7 || size < n) {
        return 0;
    }

    c = p[0] & (0x7fu >> n);

    for (i = 1; i < n; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf) {
            return 0;
        }

        c = c << 6 | (p[i] & 0x3f);
    }

    if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return 0;
    }

    return n;
}


UNUSED static int
plain_utf8_valid(const unsigned char *p, size_t size)
{
    size_t  n;

    while (size) {
        n = plain_utf8_character(p, size);

        if (n == 0) {
            return 0;
        }

        p += n;
        size -= n;
    }

    return 1;
}


/* ----------------------------------------------------------------- frames */

/* Appends a client's frame; first is its first byte, flags and opcode. */
UNUSED static void
client_frame(buffer_t *to, unsigned first, const void *payload, size_t size)
{
    unsigned char   header[KMQ_WS_HEADER_MAX], mask[4];
    unsigned char  *masked;
    size_t          len, i;

    len = kmq_ws_header(header, first & 0xf, size);
    header[0] = (unsigned char) first;
    header[1] |= 0x80;
    buffer_add(to, header, len);

    for (i = 0; i < sizeof(mask); i++) {
        mask[i] = (unsigned char) below(256);
    }

    buffer_add(to, mask, sizeof(mask));

    masked = exact_copy(payload, size);
    kmq_ws_unmask_plain(masked, size, mask, 0);
    buffer_add(to, masked, size);
    free(masked);
}


/*
 * The server's end.  log: one line for each event, "opcode/close code/size:"
 * and the payload.
 */
typedef struct {
    kmq_ws_parser_t   parser;
    unsigned char    *input;       /* exactly what is unused */
    size_t            size;
    size_t            size_max;    /* the largest it was */
    size_t            need_max;
    int               failed;
    const char       *broken;      /* a promise of the header, not kept */
    buffer_t          log;
} server_t;


UNUSED static void
server_init(server_t *server, uint64_t max_message)
{
    memset(server, 0, sizeof(*server));
    kmq_ws_init(&server->parser, max_message);
    server->input = exact_copy("", 0);
}


UNUSED static void
server_free(server_t *server)
{
    free(server->input);
    buffer_free(&server->log);
}


static void
server_log(server_t *server, kmq_ws_event_t event)
{
    int               n;
    char              text[64];
    kmq_ws_parser_t  *parser = &server->parser;

    if (event == KMQ_WS_FAIL) {
        n = snprintf(text, sizeof(text), "fail/%u\n", parser->close_code);
        buffer_add(&server->log, text, (size_t) n);
        return;
    }

    n = snprintf(text, sizeof(text), "%x/%u/%zu:", parser->opcode,
                 parser->opcode == KMQ_WS_CLOSE ? parser->close_code : 0,
                 parser->size);
    buffer_add(&server->log, text, (size_t) n);
    buffer_add(&server->log, parser->data, parser->size);
    buffer_add(&server->log, "\n", 1);
}


/* What has to hold after each event. */
static void
server_check(server_t *server, kmq_ws_event_t event, size_t used,
    size_t before)
{
    kmq_ws_parser_t  *parser = &server->parser;

    if (used < before || used > server->size) {
        server->broken = "used went back or out of the input";
    }

    if (event == KMQ_WS_MORE && parser->need < 2) {
        server->broken = "need is below 2";
    }

    if (event == KMQ_WS_MORE && parser->need <= server->size - used) {
        server->broken = "need is not more than there is";
    }

    if (event == KMQ_WS_MORE && parser->need > server->need_max) {
        server->need_max = parser->need;
    }

    if (event == KMQ_WS_FAIL && parser->reason == NULL) {
        server->broken = "failed without a reason";
    }

    if ((event == KMQ_WS_MESSAGE || event == KMQ_WS_CONTROL)
        && (parser->data < server->input
            || parser->data + parser->size > server->input + server->size))
    {
        server->broken = "payload is not inside the input";
    }

    if (event == KMQ_WS_MESSAGE && parser->opcode == KMQ_WS_TEXT
        && !plain_utf8_valid(parser->data, parser->size))
    {
        server->broken = "text is not UTF-8";
    }
}


/* A message that was reported stays as it is in the input while the parser
 * goes on. */
typedef struct {
    const unsigned char  *data;
    size_t                size;
    size_t                logged;      /* its copy's place in the log */
} kept_t;


static void
server_check_kept(server_t *server, const kept_t *kept, unsigned n)
{
    while (n--) {
        if (kept[n].size && memcmp(kept[n].data,
                                   server->log.bytes + kept[n].logged,
                                   kept[n].size) != 0)
        {
            server->broken = "a reported message was changed";
        }
    }
}


/* Bytes arrive: the input moves to another place, as buffers do. */
UNUSED static void
server_receive(server_t *server, const unsigned char *bytes, size_t size)
{
    kept_t           kept[32];
    size_t           used, before;
    unsigned         n = 0;
    unsigned char   *input;
    kmq_ws_event_t   event;

    if (server->failed) {
        return;
    }

    input = exact_join(server->input, server->size, bytes, size);
    free(server->input);
    server->input = input;
    server->size += size;

    if (server->size > server->size_max) {
        server->size_max = server->size;
    }

    used = 0;

    do {
        before = used;
        event = kmq_ws_parse(&server->parser, input, server->size, &used);
        server_check(server, event, used, before);

        if (event != KMQ_WS_MORE) {
            server_log(server, event);
        }

        if (event == KMQ_WS_MESSAGE && n < elements(kept)) {
            kept[n].data = server->parser.data;
            kept[n].size = server->parser.size;
            kept[n].logged = server->log.size - server->parser.size - 1;
            n++;
        }

    } while (event == KMQ_WS_MESSAGE || event == KMQ_WS_CONTROL);

    server_check_kept(server, kept, n);
    server->failed = (event == KMQ_WS_FAIL);

    server->input = exact_copy(input + used, server->size - used);
    server->size -= used;
    free(input);
}

#endif /* KMQ_PROTOCOL_UTIL_H */
