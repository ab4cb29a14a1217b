/*
 * The frame parser.  The first byte says how to build the input: as it is, or
 * as well-formed frames; the second, into how many bytes it is cut when it
 * arrives in pieces.  Whole or in pieces, the events have to be the same.
 */

#include "../unit/protocol_util.h"


#define MAX_MESSAGE  1000


static server_t
served(const unsigned char *bytes, size_t size, size_t step)
{
    size_t    at, n;
    server_t  server;

    server_init(&server, MAX_MESSAGE);

    for (at = 0; at < size; at += n) {
        n = (size - at < step) ? size - at : step;
        server_receive(&server, bytes + at, n);
    }

    if (server.broken) {
        fprintf(stderr, "%s\n", server.broken);
        abort();
    }

    if (server.need_max > KMQ_WS_NEED_MAX(MAX_MESSAGE)) {
        fprintf(stderr, "need is beyond its bound\n");
        abort();
    }

    return server;
}


/* Frames with the data's bytes as first byte, length and payload. */
static void
make_frames(buffer_t *to, const unsigned char *data, size_t size)
{
    size_t  n;

    while (size >= 2) {
        n = data[1];
        n = (n < size - 2) ? n : size - 2;

        client_frame(to, data[0], data + 2, n);

        data += 2 + n;
        size -= 2 + n;
    }
}


int  LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t    step;
    buffer_t  input = { NULL, 0, 0 };
    server_t  whole, pieces;

    if (size < 2) {
        return 0;
    }

    random_state = 1;      /* the same masks for the same input */
    step = 1 + data[1] % 64;

    if (data[0] & 1) {
        make_frames(&input, data + 2, size - 2);

    } else {
        buffer_add(&input, data + 2, size - 2);
    }

    whole = served(input.bytes, input.size, input.size + 1);
    pieces = served(input.bytes, input.size, step);

    if (whole.log.size != pieces.log.size
        || (whole.log.size && memcmp(whole.log.bytes, pieces.log.bytes,
                                     whole.log.size) != 0))
    {
        fprintf(stderr, "in pieces of %zu other events\n", step);
        abort();
    }

    server_free(&whole);
    server_free(&pieces);
    buffer_free(&input);

    return 0;
}
