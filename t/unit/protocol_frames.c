/* WebSocket frames, each rule of RFC 6455 that a server has to keep. */

#include "protocol_util.h"
#include "tap.h"


#define FIN   0x80
#define MAX   70000      /* of a message, in most tests */


/* ---------------------------------------------------------------- helpers */

/* The log of a server that gets the bytes in pieces of at most step. */
static buffer_t
log_of(const buffer_t *bytes, size_t step, uint64_t max, const char **broken)
{
    size_t    at, n;
    server_t  server;
    buffer_t  log;

    server_init(&server, max);

    for (at = 0; at < bytes->size; at += n) {
        n = bytes->size - at;
        n = (n < step) ? n : step;
        server_receive(&server, bytes->bytes + at, n);
    }

    if (server.broken) {
        *broken = server.broken;
    }

    log = server.log;
    memset(&server.log, 0, sizeof(server.log));
    server_free(&server);

    return log;
}


/* The log of a server that gets the bytes in two pieces. */
static buffer_t
log_of_split(const buffer_t *bytes, size_t split, uint64_t max,
    const char **broken)
{
    server_t  server;
    buffer_t  log;

    server_init(&server, max);
    server_receive(&server, bytes->bytes, split);
    server_receive(&server, bytes->bytes + split, bytes->size - split);

    if (server.broken) {
        *broken = server.broken;
    }

    log = server.log;
    memset(&server.log, 0, sizeof(server.log));
    server_free(&server);

    return log;
}


static int
same(const buffer_t *a, const buffer_t *b)
{
    return a->size == b->size
           && (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0);
}


/* The bytes give these events: as a whole, byte by byte, and split at each
 * place.  Frees the bytes. */
static void
events_are(buffer_t *bytes, uint64_t max, const char *want, const char *name)
{
    size_t       split;
    buffer_t     whole, log;
    unsigned     wrong;
    const char  *broken = NULL;

    whole = log_of(bytes, SIZE_MAX, max, &broken);
    is_bytes(whole.bytes, whole.size, want, strlen(want), "%s", name);

    wrong = 0;

    log = log_of(bytes, 1, max, &broken);
    wrong += !same(&whole, &log);
    buffer_free(&log);

    for (split = 1; split < bytes->size && bytes->size < 2000; split++) {
        log = log_of_split(bytes, split, max, &broken);
        wrong += !same(&whole, &log);
        buffer_free(&log);
    }

    is_int(wrong, 0, "%s: the same in pieces", name);
    ok(broken == NULL, "%s: promises kept (%s)", name,
       broken ? broken : "all");

    buffer_free(&whole);
    buffer_free(bytes);
}


static void
text_frame(buffer_t *bytes, unsigned first, const char *payload)
{
    client_frame(bytes, first, payload, strlen(payload));
}


/* ------------------------------------------------------------------ tests */

static void
test_single(void)
{
    buffer_t  bytes = { NULL, 0, 0 };

    text_frame(&bytes, FIN | KMQ_WS_TEXT, "hello");
    events_are(&bytes, MAX, "1/0/5:hello\n", "a text frame");

    text_frame(&bytes, FIN | KMQ_WS_TEXT, "");
    events_are(&bytes, MAX, "1/0/0:\n", "an empty text frame");

    text_frame(&bytes, FIN | KMQ_WS_BINARY, "\xff\xfe");
    events_are(&bytes, MAX, "2/0/2:\xff\xfe\n", "a binary frame is not UTF-8");

    text_frame(&bytes, FIN | KMQ_WS_TEXT, "one");
    text_frame(&bytes, FIN | KMQ_WS_BINARY, "two");
    text_frame(&bytes, FIN | KMQ_WS_TEXT, "\xe4\xb8\xad\xf0\x9f\x98\x80");
    events_are(&bytes, MAX,
               "1/0/3:one\n2/0/3:two\n1/0/7:\xe4\xb8\xad\xf0\x9f\x98\x80\n",
               "frames in a row");

    text_frame(&bytes, FIN | KMQ_WS_PING, "are you there");
    text_frame(&bytes, FIN | KMQ_WS_PONG, "");
    events_are(&bytes, MAX, "9/0/13:are you there\na/0/0:\n",
               "ping and pong");
}


/* RFC 6455, section 5.7: a masked "Hello". */
static void
test_example(void)
{
    buffer_t  bytes = { NULL, 0, 0 };

    buffer_add(&bytes, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    events_are(&bytes, MAX, "1/0/5:Hello\n", "the example of the RFC");
}


static void
test_fragments(void)
{
    buffer_t  bytes = { NULL, 0, 0 };

    text_frame(&bytes, KMQ_WS_TEXT, "Hel");
    text_frame(&bytes, FIN | KMQ_WS_CONTINUATION, "lo");
    text_frame(&bytes, FIN | KMQ_WS_TEXT, "next");
    events_are(&bytes, MAX, "1/0/5:Hello\n1/0/4:next\n", "two fragments");

    text_frame(&bytes, KMQ_WS_BINARY, "a");
    text_frame(&bytes, KMQ_WS_CONTINUATION, "");
    text_frame(&bytes, KMQ_WS_CONTINUATION, "bc");
    text_frame(&bytes, KMQ_WS_CONTINUATION, "defghij");
    text_frame(&bytes, KMQ_WS_CONTINUATION, "k");
    text_frame(&bytes, FIN | KMQ_WS_CONTINUATION, "");
    events_are(&bytes, MAX, "2/0/11:abcdefghijk\n",
               "fragments of all sizes");

    text_frame(&bytes, KMQ_WS_TEXT, "");
    text_frame(&bytes, FIN | KMQ_WS_CONTINUATION, "");
    events_are(&bytes, MAX, "1/0/0:\n", "empty fragments");

    text_frame(&bytes, KMQ_WS_TEXT, "\xe4");
    text_frame(&bytes, KMQ_WS_CONTINUATION, "\xb8");
    text_frame(&bytes, FIN | KMQ_WS_CONTINUATION, "\xad");
    events_are(&bytes, MAX, "1/0/3:\xe4\xb8\xad\n",
               "a character over three fragments");

    text_frame(&bytes, KMQ_WS_TEXT, "ab");
    text_frame(&bytes, FIN | KMQ_WS_PING, "1");
    text_frame(&bytes, KMQ_WS_CONTINUATION, "cd");
    text_frame(&bytes, FIN | KMQ_WS_PONG, "\xff");
    text_frame(&bytes, FIN | KMQ_WS_PING, "3");
    text_frame(&bytes, FIN | KMQ_WS_CONTINUATION, "ef");
    text_frame(&bytes, FIN | KMQ_WS_PING, "4");
    events_are(&bytes, MAX,
               "9/0/1:1\na/0/1:\xff\n9/0/1:3\n1/0/6:abcdef\n9/0/1:4\n",
               "control frames between fragments");

    text_frame(&bytes, KMQ_WS_TEXT, "\xe4\xb8");
    client_frame(&bytes, FIN | KMQ_WS_CLOSE, "\x03\xe8", 2);
    events_are(&bytes, MAX, "8/1000/2:\x03\xe8\n",
               "a close inside a message and a character");
}


/* Random messages in random fragments with control frames between them. */
static void
test_random_fragments(void)
{
    char           line[64];
    size_t         n, size, at;
    unsigned       round, wrong, i;
    buffer_t       bytes, want, log;
    const char    *broken = NULL;
    unsigned char  payload[2000];

    wrong = 0;

    for (round = 0; round < 300; round++) {
        memset(&bytes, 0, sizeof(bytes));
        memset(&want, 0, sizeof(want));

        size = below(sizeof(payload));

        for (i = 0; i < size; i++) {
            payload[i] = (unsigned char) below(256);
        }

        for (at = 0; at < size; at += n) {
            n = 1 + below(1u << below(11));
            n = (n < size - at) ? n : size - at;

            client_frame(&bytes, (at ? 0 : KMQ_WS_BINARY)
                                 | (at + n == size ? FIN : 0),
                         payload + at, n);

            for (i = below(3); i && at + n < size; i--) {
                client_frame(&bytes, FIN | KMQ_WS_PING, payload, 100);
                buffer_add(&want, "9/0/100:", 8);
                buffer_add(&want, payload, 100);
                buffer_add(&want, "\n", 1);
            }
        }

        if (size) {
            snprintf(line, sizeof(line), "2/0/%zu:", size);
            buffer_add(&want, line, strlen(line));
            buffer_add(&want, payload, size);
            buffer_add(&want, "\n", 1);
        }

        log = log_of(&bytes, 1 + below(500), MAX, &broken);
        wrong += !same(&log, &want);

        buffer_free(&log);
        buffer_free(&want);
        buffer_free(&bytes);
    }

    is_int(wrong, 0, "random messages in random fragments");
    ok(broken == NULL, "promises kept (%s)", broken ? broken : "all");
}


static void
test_lengths(void)
{
    char            want[64];
    buffer_t        bytes = { NULL, 0, 0 }, log;
    unsigned        i;
    const char     *broken = NULL;
    unsigned char  *payload;

    static const size_t  sizes[] = {
        124, 125, 126, 127, 128, 255, 256, 65535, 65536, MAX
    };

    payload = malloc(MAX + 1);
    memset(payload, 'x', MAX + 1);

    for (i = 0; i < elements(sizes); i++) {
        client_frame(&bytes, FIN | KMQ_WS_TEXT, payload, sizes[i]);
        log = log_of(&bytes, 1000, MAX, &broken);

        snprintf(want, sizeof(want), "1/0/%zu:", sizes[i]);
        ok(log.size == sizes[i] + strlen(want) + 1
           && memcmp(log.bytes, want, strlen(want)) == 0
           && memcmp(log.bytes + strlen(want), payload, sizes[i]) == 0,
           "a frame of %zu bytes", sizes[i]);

        buffer_free(&log);
        buffer_free(&bytes);
    }

    ok(broken == NULL, "promises kept (%s)", broken ? broken : "all");
    free(payload);
}


static void
test_bad_headers(void)
{
    unsigned  i;
    buffer_t  bytes = { NULL, 0, 0 };

    static const struct {
        const char  *header;
        size_t       size;
        const char  *want;
        const char  *name;
    } frames[] = {
        { "\x81\x00", 2, "fail/1002\n", "an unmasked frame" },
        { "\x81\x05hello", 7, "fail/1002\n", "an unmasked frame with data" },
        { "\xc1\x80", 2, "fail/1002\n", "reserved bit 1" },
        { "\xa1\x80", 2, "fail/1002\n", "reserved bit 2" },
        { "\x91\x80", 2, "fail/1002\n", "reserved bit 3" },
        { "\xc9\x80", 2, "fail/1002\n", "reserved bit in a ping" },
        { "\x83\x80", 2, "fail/1002\n", "reserved opcode 3" },
        { "\x84\x80", 2, "fail/1002\n", "reserved opcode 4" },
        { "\x85\x80", 2, "fail/1002\n", "reserved opcode 5" },
        { "\x86\x80", 2, "fail/1002\n", "reserved opcode 6" },
        { "\x87\x80", 2, "fail/1002\n", "reserved opcode 7" },
        { "\x8b\x80", 2, "fail/1002\n", "reserved opcode 11" },
        { "\x8c\x80", 2, "fail/1002\n", "reserved opcode 12" },
        { "\x8d\x80", 2, "fail/1002\n", "reserved opcode 13" },
        { "\x8e\x80", 2, "fail/1002\n", "reserved opcode 14" },
        { "\x8f\x80", 2, "fail/1002\n", "reserved opcode 15" },
        { "\x08\x80", 2, "fail/1002\n", "a fragmented close" },
        { "\x09\x80", 2, "fail/1002\n", "a fragmented ping" },
        { "\x0a\x80", 2, "fail/1002\n", "a fragmented pong" },
        { "\x89\xfe", 2, "fail/1002\n", "a ping with a 16-bit length" },
        { "\x88\xff", 2, "fail/1002\n", "a close with a 64-bit length" },
        { "\x80\x80", 2, "fail/1002\n", "a last continuation of nothing" },
        { "\x00\x80", 2, "fail/1002\n", "a continuation of nothing" },
        { "\x81\xfe\x00\x7d", 4, "fail/1002\n", "125 in 16 bits" },
        { "\x81\xfe\x00\x00", 4, "fail/1002\n", "0 in 16 bits" },
        { "\x81\xff\0\0\0\0\0\0\xff\xff", 10, "fail/1002\n",
          "65535 in 64 bits" },
        { "\x81\xff\0\0\0\0\0\0\0\x01", 10, "fail/1002\n", "1 in 64 bits" },
        { "\x81\xff\x80\0\0\0\0\x01\0\0", 10, "fail/1002\n",
          "a length with its top bit set" },
        { "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 10, "fail/1009\n",
          "the largest length" },
        { "\x82\xff\0\0\0\0\0\x01\x11\x71", 10, "fail/1009\n",
          "one byte too long, told from the header" },
        { "\x02\xff\0\0\0\0\0\x01\x11\x71", 10, "fail/1009\n",
          "a first fragment too long" }
    };

    for (i = 0; i < elements(frames); i++) {
        buffer_add(&bytes, frames[i].header, frames[i].size);
        events_are(&bytes, MAX, frames[i].want, frames[i].name);
    }
}


static void
test_bad_order(void)
{
    buffer_t  bytes = { NULL, 0, 0 };

    text_frame(&bytes, KMQ_WS_TEXT, "a");
    text_frame(&bytes, FIN | KMQ_WS_TEXT, "b");
    events_are(&bytes, MAX, "fail/1002\n", "a message inside a message");

    text_frame(&bytes, KMQ_WS_TEXT, "a");
    text_frame(&bytes, KMQ_WS_BINARY, "b");
    events_are(&bytes, MAX, "fail/1002\n", "another start inside a message");

    text_frame(&bytes, KMQ_WS_TEXT, "a");
    text_frame(&bytes, FIN | KMQ_WS_CONTINUATION, "b");
    text_frame(&bytes, FIN | KMQ_WS_CONTINUATION, "c");
    events_are(&bytes, MAX, "1/0/2:ab\nfail/1002\n",
               "a continuation behind the end");

    text_frame(&bytes, FIN | KMQ_WS_TEXT, "good");
    buffer_add(&bytes, "\x81\x00", 2);
    text_frame(&bytes, FIN | KMQ_WS_TEXT, "lost");
    events_are(&bytes, MAX, "1/0/4:good\nfail/1002\n",
               "what came before a bad frame counts");
}


static void
test_too_big(void)
{
    buffer_t  bytes = { NULL, 0, 0 };

    text_frame(&bytes, FIN | KMQ_WS_TEXT, "12345");
    events_are(&bytes, 5, "1/0/5:12345\n", "a message at the limit");

    text_frame(&bytes, FIN | KMQ_WS_TEXT, "123456");
    events_are(&bytes, 5, "fail/1009\n", "a message beyond the limit");

    text_frame(&bytes, KMQ_WS_TEXT, "123");
    text_frame(&bytes, FIN | KMQ_WS_CONTINUATION, "45");
    events_are(&bytes, 5, "1/0/5:12345\n", "fragments at the limit");

    text_frame(&bytes, KMQ_WS_TEXT, "123");
    text_frame(&bytes, FIN | KMQ_WS_CONTINUATION, "456");
    events_are(&bytes, 5, "fail/1009\n", "fragments beyond the limit");

    text_frame(&bytes, FIN | KMQ_WS_PING, "123456");
    events_are(&bytes, 5, "9/0/6:123456\n", "a ping knows no such limit");
}


static void
test_utf8(void)
{
    unsigned  i;
    buffer_t  bytes = { NULL, 0, 0 };

    static const struct {
        const char  *text;
        const char  *name;
    } texts[] = {
        { "a\xff", "a byte that UTF-8 does not have" },
        { "\x80", "a continuation alone" },
        { "\xc0\xaf", "an over-long slash" },
        { "\xed\xa0\x80", "a surrogate" },
        { "\xf4\x90\x80\x80", "beyond U+10FFFF" },
        { "abc\xe4\xb8", "an unfinished character at the end" },
        { "0123456789012345678901234567890123456789\xe4(\xad", "deep inside" }
    };

    for (i = 0; i < elements(texts); i++) {
        text_frame(&bytes, FIN | KMQ_WS_TEXT, texts[i].text);
        events_are(&bytes, MAX, "fail/1007\n", texts[i].name);

        text_frame(&bytes, KMQ_WS_TEXT, texts[i].text);
        text_frame(&bytes, FIN | KMQ_WS_CONTINUATION, "");
        events_are(&bytes, MAX, "fail/1007\n", texts[i].name);
    }

    text_frame(&bytes, KMQ_WS_TEXT, "\xe4");
    text_frame(&bytes, FIN | KMQ_WS_CONTINUATION, "abc");
    events_are(&bytes, MAX, "fail/1007\n",
               "ASCII where a character goes on");

    text_frame(&bytes, KMQ_WS_TEXT, "\xe4");
    text_frame(&bytes, KMQ_WS_CONTINUATION, "abc");
    text_frame(&bytes, FIN | KMQ_WS_CONTINUATION, "\xb8\xad");
    events_are(&bytes, MAX, "fail/1007\n", "ASCII inside a character");
}


/* A bad byte in a frame that will take long is found when it arrives. */
static void
test_utf8_early(void)
{
    size_t         at;
    buffer_t       bytes = { NULL, 0, 0 };
    server_t       server;
    unsigned char  payload[1000];

    memset(payload, 'x', sizeof(payload));
    payload[500] = 0xc1;
    client_frame(&bytes, FIN | KMQ_WS_TEXT, payload, sizeof(payload));

    server_init(&server, MAX);

    for (at = 0; at < bytes.size && !server.failed; at++) {
        server_receive(&server, bytes.bytes + at, 1);
    }

    is_int((long long) at, 8 + 500 + 1, "bad UTF-8 is found at its byte");

    server_free(&server);
    buffer_free(&bytes);
}


static void
test_close(void)
{
    unsigned       code, valid, wrong;
    buffer_t       bytes = { NULL, 0, 0 }, log;
    const char    *broken = NULL;
    unsigned char  payload[125];

    text_frame(&bytes, FIN | KMQ_WS_CLOSE, "");
    events_are(&bytes, MAX, "8/1005/0:\n", "a close without a code");

    text_frame(&bytes, FIN | KMQ_WS_CLOSE, "\x03");
    events_are(&bytes, MAX, "fail/1002\n", "a close with half a code");

    text_frame(&bytes, FIN | KMQ_WS_CLOSE, "\x03\xe9" "bye \xe4\xb8\xad");
    events_are(&bytes, MAX, "8/1001/9:\x03\xe9" "bye \xe4\xb8\xad\n",
               "a close with code and reason");

    text_frame(&bytes, FIN | KMQ_WS_CLOSE, "\x03\xe9" "bye \xe4\xb8");
    events_are(&bytes, MAX, "fail/1007\n", "a close reason that is no UTF-8");

    memset(payload, 'r', sizeof(payload));
    memcpy(payload, "\x0f\xa0", 2);
    client_frame(&bytes, FIN | KMQ_WS_CLOSE, payload, sizeof(payload));
    log = log_of(&bytes, 7, MAX, &broken);
    is_int((long long) log.size, (long long) strlen("8/4000/125:\n") + 125,
           "the longest close reason");
    buffer_free(&log);
    buffer_free(&bytes);

    for (code = 0, wrong = 0; code < 0x10000; code++) {
        valid = (code >= 1000 && code < 5000)
                && !(code >= 1004 && code <= 1006)
                && !(code >= 1015 && code <= 2999);

        payload[0] = (unsigned char) (code >> 8);
        payload[1] = (unsigned char) code;
        client_frame(&bytes, FIN | KMQ_WS_CLOSE, payload, 2);
        log = log_of(&bytes, SIZE_MAX, MAX, &broken);
        wrong += (log.bytes[0] == '8') != valid;
        buffer_free(&log);
        buffer_free(&bytes);
    }

    is_int(wrong, 0, "all close codes");
}


/* After a failure nothing is parsed any more. */
static void
test_failed(void)
{
    size_t           used = 0;
    buffer_t         bytes = { NULL, 0, 0 };
    kmq_ws_parser_t  parser;

    buffer_add(&bytes, "\x81\x00", 2);
    text_frame(&bytes, FIN | KMQ_WS_TEXT, "a");

    kmq_ws_init(&parser, MAX);
    is_int(kmq_ws_parse(&parser, bytes.bytes, bytes.size, &used), KMQ_WS_FAIL,
           "a bad frame fails");
    used = 2;
    is_int(kmq_ws_parse(&parser, bytes.bytes, bytes.size, &used), KMQ_WS_FAIL,
           "and so does what follows");
    is_int(parser.close_code, KMQ_WS_PROTOCOL_ERROR, "with the same code");

    buffer_free(&bytes);
}


static void
need_is(const char *bytes, size_t size, size_t need, const char *name)
{
    size_t           used = 0;
    unsigned char   *input;
    kmq_ws_parser_t  parser;

    input = exact_copy(bytes, size);
    kmq_ws_init(&parser, MAX);

    is_int(kmq_ws_parse(&parser, input, size, &used), KMQ_WS_MORE,
           "%s: more is wanted", name);
    is_int((long long) parser.need, (long long) need, "%s: how much", name);

    free(input);
}


static void
test_need(void)
{
    need_is("", 0, 2, "nothing");
    need_is("\x81", 1, 2, "one byte");
    need_is("\x81\x80", 2, 6, "an empty frame");
    need_is("\x81\x85", 2, 11, "a frame of 5 bytes");
    need_is("\x81\x85" "mask" "1234", 10, 11, "all but one byte");
    need_is("\x81\xfe", 2, 8, "a 16-bit length to come");
    need_is("\x81\xfe\x01\x00", 4, 264, "a frame of 256 bytes");
    need_is("\x81\xff\0\0\0\0\0\x01\0\0", 10, 65550, "a frame of 65536 bytes");
}


/* What a client can make the server keep is bounded, whatever it sends
 * between the fragments. */
static void
test_bounds(void)
{
    unsigned       i;
    buffer_t       bytes = { NULL, 0, 0 };
    server_t       server;
    unsigned char  payload[3000];

    const size_t   max = sizeof(payload);

    memset(payload, 'x', sizeof(payload));
    server_init(&server, max);

    for (i = 0; i < max; i++) {
        client_frame(&bytes, i ? KMQ_WS_CONTINUATION : KMQ_WS_TEXT, "x", 1);
        client_frame(&bytes, FIN | KMQ_WS_PING, payload, i % 126);
        client_frame(&bytes, KMQ_WS_CONTINUATION, "", 0);
        server_receive(&server, bytes.bytes, bytes.size);
        buffer_free(&bytes);
    }

    ok(server.size <= KMQ_WS_NEED_MAX(max), "%zu bytes kept of %zu",
       server.size, max);
    ok(server.need_max <= KMQ_WS_NEED_MAX(max), "%zu bytes needed for %zu",
       server.need_max, max);
    ok(!server.failed && server.broken == NULL, "all was taken");

    client_frame(&bytes, FIN | KMQ_WS_CONTINUATION, "", 0);
    buffer_free(&server.log);
    server_receive(&server, bytes.bytes, bytes.size);

    is_int((long long) server.log.size,
           (long long) (strlen("1/0/3000:\n") + max), "the message is whole");
    is_int((long long) server.size, 0, "and nothing is kept");

    buffer_free(&bytes);
    server_free(&server);
}


static void
test_unmask(void)
{
    size_t          start, size;
    unsigned        i, phase, wrong;
    unsigned char  *fast, plain[400], mask[4], source[400];

    for (i = 0; i < sizeof(source); i++) {
        source[i] = (unsigned char) below(256);
    }

    memcpy(mask, "\x12\xa4\x56\xf8", 4);
    wrong = 0;

    for (start = 0; start < 33; start++) {
        for (size = 0; size < 150; size++) {
            for (phase = 0; phase < 6; phase++) {
                fast = exact_copy(source, start + size);
                memcpy(plain, source, sizeof(plain));

                kmq_ws_unmask(fast + start, size, mask, phase);
                kmq_ws_unmask_plain(plain + start, size, mask, phase);

                wrong += (memcmp(fast, plain, start + size) != 0);
                free(fast);
            }
        }
    }

    is_int(wrong, 0, "unmasking at all alignments, sizes and phases");

    memcpy(plain, source, sizeof(plain));
    kmq_ws_unmask_plain(plain, sizeof(plain), mask, 0);
    ok(plain[0] == (source[0] ^ 0x12) && plain[5] == (source[5] ^ 0xa4),
       "the plain one does what the RFC says");
}


static void
test_header(void)
{
    unsigned       i;
    unsigned char  header[KMQ_WS_HEADER_MAX];

    static const struct {
        uint64_t     size;
        const char  *bytes;
        size_t       len;
    } headers[] = {
        { 0, "\x81\x00", 2 },
        { 125, "\x81\x7d", 2 },
        { 126, "\x81\x7e\x00\x7e", 4 },
        { 65535, "\x81\x7e\xff\xff", 4 },
        { 65536, "\x81\x7f\0\0\0\0\0\x01\0\0", 10 },
        { UINT64_C(0x123456789a), "\x81\x7f\0\0\0\x12\x34\x56\x78\x9a", 10 }
    };

    for (i = 0; i < elements(headers); i++) {
        is_bytes(header, kmq_ws_header(header, KMQ_WS_TEXT, headers[i].size),
                 headers[i].bytes, headers[i].len, "header for %llu bytes",
                 (unsigned long long) headers[i].size);
    }
}


static void
test_write_close(void)
{
    size_t         len;
    char           reason[200];
    unsigned char  frame[KMQ_WS_CONTROL_MAX + 2];

    len = kmq_ws_close(frame, 1001, "bye");
    is_bytes(frame, len, "\x88\x05\x03\xe9" "bye", 7, "close with a reason");

    len = kmq_ws_close(frame, 1000, NULL);
    is_bytes(frame, len, "\x88\x02\x03\xe8", 4, "close without a reason");

    len = kmq_ws_close(frame, 0, "ignored");
    is_bytes(frame, len, "\x88\x00", 2, "close without a code");

    len = kmq_ws_close(frame, 1005, NULL);
    is_bytes(frame, len, "\x88\x00", 2, "1005 is never sent");

    memset(reason, 'r', sizeof(reason));
    reason[sizeof(reason) - 1] = '\0';
    len = kmq_ws_close(frame, 1002, reason);
    is_int((long long) len, KMQ_WS_CONTROL_MAX + 2, "a long reason is cut");
    is_int(frame[1], KMQ_WS_CONTROL_MAX, "to what a control frame holds");

    memcpy(reason + 121, "\xe4\xb8\xad", 3);
    len = kmq_ws_close(frame, 1002, reason);
    is_int((long long) len, 4 + 121, "not inside a character");
}


int
main(void)
{
    test_single();
    test_example();
    test_fragments();
    test_random_fragments();
    test_lengths();
    test_bad_headers();
    test_bad_order();
    test_too_big();
    test_utf8();
    test_utf8_early();
    test_close();
    test_failed();
    test_need();
    test_bounds();
    test_unmask();
    test_header();
    test_write_close();

    return done_testing();
}
