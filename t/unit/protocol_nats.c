/* The NATS protocol: what a server sends, however it is cut; what we send. */

#include "nats_util.h"
#include "tap.h"


#define MAX  100           /* of a message, in most tests */


/* ------------------------------------------------------------------ events */

/* The bytes give this log: as a whole, byte by byte, and split at each
 * place. */
static void
log_is_of(const char *bytes, size_t size, const char *want, const char *name)
{
    size_t       split;
    buffer_t     whole, log;
    unsigned     wrong;
    const char  *broken = NULL;

    whole = nats_log_of(bytes, size, size, size, MAX, &broken);
    is_bytes(whole.bytes, whole.size, want, strlen(want), "%s", name);

    wrong = 0;

    for (split = 1; split <= size && size < 5000; split++) {
        log = nats_log_of(bytes, size, split, size, MAX, &broken);
        wrong += !nats_same_log(&whole, &log);
        buffer_free(&log);
    }

    log = nats_log_of(bytes, size, 1, 1, MAX, &broken);
    wrong += !nats_same_log(&whole, &log);
    buffer_free(&log);

    is_int(wrong, 0, "%s: the same in pieces", name);
    ok(broken == NULL, "%s: promises kept (%s)", name,
       broken ? broken : "all");

    buffer_free(&whole);
}


static void
log_is(const char *bytes, const char *want, const char *name)
{
    log_is_of(bytes, strlen(bytes), want, name);
}


static void
test_lines(void)
{
    log_is("INFO {\"a\":1} \r\nPING\r\nPONG\r\n+OK\r\n-ERR 'No Way'\r\n",
           "INFO<{\"a\":1}>\nPING\nPONG\nOK\nERR<No Way>\n",
           "a line of each kind");

    log_is("ping\r\nInfo {}\r\n-err bare\r\n", "PING\nINFO<{}>\nERR<bare>\n",
           "letter case, and an error without quotes");

    log_is("PI", "", "no whole line");
}


static void
test_messages(void)
{
    log_is("MSG a.b 7 5\r\nhello\r\n", "MSG 7<a.b>r<>h<>p<hello>\n",
           "a message");

    log_is("MSG a 1 _INBOX.x 0\r\n\r\nMSG\tb  2\t2 \r\n\r\n\r\nPING\r\n",
           "MSG 1<a>r<_INBOX.x>h<>p<>\nMSG 2<b>r<>h<>p<\r\n>\nPING\n",
           "a reply, nothing in it, blanks, and ends of lines in it");

    log_is("HMSG a 9 r 22 23\r\nNATS/1.0\r\nName: v\r\n\r\nxy\r\n",
           "FAIL wrong headers of a message\n", "a wrong size of headers");

    log_is("HMSG a 9 r 21 23\r\nNATS/1.0\r\nName: v\r\n\r\nxy\r\n",
           "MSG 9<a>r<r>h<NATS/1.0\r\nName: v\r\n\r\n>p<xy>\n",
           "headers and a reply");

    log_is("HMSG a 9 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
           "MSG 9<a>r<>h<NATS/1.0 503\r\n\r\n>p<>\n", "a status");

    log_is_of("MSG a 1 3\r\n\x01\xff\n\r\n", 16,
              "MSG 1<a>r<>h<>p<\x01\xff\n>\n", "bytes of any kind");
}


static void
test_failures(void)
{
    static const struct {
        const char  *bytes;
        const char  *reason;
    } cases[] = {
        { "HELLO\r\n", "a verb that is not known" },
        { "\r\n", "a verb that is not known" },
        { "MSGS a 1 0\r\n", "a verb that is not known" },
        { "PING\n", "a control character in a line" },
        { "\n", "a control character in a line" },
        { "PING\r\r\n", "a control character in a line" },
        { "MSG a 1\r\n", "wrong arguments of a message" },
        { "MSG a 1 b c 2\r\n", "wrong arguments of a message" },
        { "MSG a b c d e f g 2\r\n", "wrong arguments of a message" },
        { "MSG a x 2\r\n", "wrong arguments of a message" },
        { "MSG a 1 -2\r\n", "wrong arguments of a message" },
        { "MSG a 1 99999999999999999999\r\n",
          "wrong arguments of a message" },
        { "HMSG a 1 5\r\n", "wrong arguments of a message" },
        { "HMSG a 1 20 5\r\n", "wrong arguments of a message" },
        { "MSG a 1 101\r\n", "a message is too large" },
        { "MSG a 1 18446744073709551615\r\n", "a message is too large" },
        { "MSG a 1 1\r\nxyz", "a message does not end where it should" },
        { "HMSG a 1 9 9\r\nNATS/1.0\r\r\n",
          "wrong headers of a message" },
        { "HMSG a 1 12 12\r\nNATS/1.1\r\n\r\n\r\n",
          "wrong headers of a message" },
    };

    char    want[100];
    size_t  i;

    for (i = 0; i < elements(cases); i++) {
        (void) snprintf(want, sizeof(want), "FAIL %s\n", cases[i].reason);
        log_is(cases[i].bytes, want, cases[i].reason);
    }
}


static void
test_long(void)
{
    char        *line;
    size_t       n;
    buffer_t     log;
    const char  *broken = NULL;

    line = malloc(KMQ_NATS_INFO_MAX + 10);
    memset(line, 'x', KMQ_NATS_INFO_MAX + 10);

    log_is_of(line, KMQ_NATS_LINE_MAX, "", "a line that may end");
    log_is_of(line, KMQ_NATS_LINE_MAX + 1, "FAIL a line is too long\n",
              "a line that is too long without its end");

    memcpy(line, "INFO ", 5);
    n = KMQ_NATS_INFO_MAX;
    memcpy(line + n - 2, "\r\n", 2);

    log = nats_log_of(line, n, 100, 1000, MAX, &broken);
    ok(log.size == n && !broken, "the longest INFO");
    buffer_free(&log);

    memcpy(line + n - 2, "xx\r\n", 4);
    log_is_of(line, n + 2, "FAIL a line is too long\n", "a longer INFO");

    free(line);
}


/* The parser reads a message in the input again only when all is there. */
static void
test_need(void)
{
    size_t             used = 0;
    kmq_nats_parser_t  parser;

    static const unsigned char  input[] = "MSG a 1 90\r\nxxx";

    kmq_nats_init(&parser, MAX);
    is_int(kmq_nats_parse(&parser, input, 4, &used), KMQ_NATS_MORE, "a start");
    is_int(parser.need, 5, "needs a byte more");
    is_int(kmq_nats_parse(&parser, input, 13, &used), KMQ_NATS_MORE,
           "the line");
    is_int(parser.need, 12 + 90 + 2, "needs all of the message");
}


/* ---------------------------------------------------------------- headers */

static void
header_is(const char *headers, const char *name, const char *want)
{
    int              found;
    kmq_nats_text_t  text, value = { NULL, 0 };

    text = KMQ_NATS_TEXT(headers);
    found = kmq_nats_header(&text, name, &value);

    if (want == NULL) {
        ok(!found, "no %s", name);
        return;
    }

    if (ok(found, "%s is there", name)) {
        is_bytes(value.bytes, value.len, want, strlen(want), "%s", name);
    }
}


static void
test_headers(void)
{
    kmq_nats_text_t  text, description;

    static const char  headers[] = "NATS/1.0\r\nA: 1\r\nAb:two  \r\n"
                                   "Empty:\r\nA: second\r\n\r\n";

    header_is(headers, "A", "1");
    header_is(headers, "Ab", "two");
    header_is(headers, "Empty", "");
    header_is(headers, "a", NULL);
    header_is(headers, "NATS/1.0", NULL);
    header_is(headers, "two", NULL);
    header_is("", "A", NULL);
    header_is("NATS/1.0", "A", NULL);
    header_is("NATS/1.0\r\nA", "A", NULL);

    text = KMQ_NATS_TEXT("NATS/1.0 404 No Messages \r\nA: b\r\n\r\n");
    is_int(kmq_nats_status(&text, &description), 404, "a status");
    is_bytes(description.bytes, description.len, "No Messages", 11,
             "and what it means");

    text = KMQ_NATS_TEXT("NATS/1.0 503\r\n\r\n");
    is_int(kmq_nats_status(&text, &description), 503, "a status alone");
    is_int(description.len, 0, "means nothing more");

    text = KMQ_NATS_TEXT(headers);
    is_int(kmq_nats_status(&text, NULL), 0, "no status");
    text = KMQ_NATS_TEXT("");
    is_int(kmq_nats_status(&text, NULL), 0, "no headers");
    text = KMQ_NATS_TEXT("NATS/1.0 5o3\r\n\r\n");
    is_int(kmq_nats_status(&text, NULL), 0, "no number");
}


/* ----------------------------------------------------------------- writers */

static unsigned char  room[1000];


/* What was written is that, into just as much room, and into no less. */
#define WRITES(want, name, write, ...)                                       \
    do {                                                                     \
        size_t  len_ = strlen(want), n_;                                     \
                                                                             \
        n_ = write(room, sizeof(room), __VA_ARGS__);                         \
        is_bytes(room, n_, want, len_, "%s", name);                          \
        n_ = write(room, len_, __VA_ARGS__);                                 \
        is_int(n_, len_, "%s: in no more room", name);                       \
        n_ = write(room, len_ - 1, __VA_ARGS__);                             \
        is_int(n_, 0, "%s: not in less", name);                              \
    } while (0)


static void
test_write(void)
{
    size_t              n;
    kmq_nats_header_t   two[] = { { "A", "1" }, { "Nats-Msg-Id", "x y" } };

    WRITES("SUB a.* 3\r\n", "SUB", kmq_nats_write_sub, "a.*", 3);
    WRITES("UNSUB 18446744073709551615\r\n", "UNSUB", kmq_nats_write_unsub,
           UINT64_MAX);
    WRITES("PUB a 10\r\n", "PUB", kmq_nats_write_pub, "a", NULL, NULL, 0,
           (size_t) 10);
    WRITES("PUB a r.1 0\r\n", "PUB with a reply", kmq_nats_write_pub, "a",
           "r.1", NULL, 0, (size_t) 0);
    WRITES("HPUB a r 36 41\r\nNATS/1.0\r\nA: 1\r\nNats-Msg-Id: x y\r\n\r\n",
           "HPUB", kmq_nats_write_pub, "a", "r", two, 2, (size_t) 5);

    n = kmq_nats_write_ping(room, sizeof(room));
    is_bytes(room, n, "PING\r\n", 6, "PING");
    n = kmq_nats_write_pong(room, sizeof(room));
    is_bytes(room, n, "PONG\r\n", 6, "PONG");
    is_int(kmq_nats_write_ping(room, 5), 0, "PING needs room");
}


/* A size of headers that we write is the one that is read. */
static void
test_round(void)
{
    size_t             n;
    buffer_t           bytes = { NULL, 0, 0 };
    kmq_nats_header_t  one = { "Nats-Msg-Id", "id" };

    n = kmq_nats_write_pub(room, sizeof(room), "a", "r", &one, 1, 3);
    buffer_add(&bytes, "HMSG a 1 r", 10);
    buffer_add(&bytes, room + 8, n - 8);
    buffer_add(&bytes, "xyz\r\n", 5);

    log_is_of((char *) bytes.bytes, bytes.size,
              "MSG 1<a>r<r>h<NATS/1.0\r\nNats-Msg-Id: id\r\n\r\n>p<xyz>\n",
              "what is written is read");
    buffer_free(&bytes);
}


static void
test_refused(void)
{
    size_t              i, n;
    char                long_one[KMQ_NATS_SUBJECT_MAX + 2];

    static const char *const  subjects[] = {
        "", "a b", "a\r\nPING", ".a", "a.", "a..b", "a\tb", "a\x7f", "."
    };

    static const kmq_nats_header_t  headers[] = {
        { "", "x" }, { "A:", "x" }, { "A b", "x" }, { "A", "x\r\nB: y" },
        { "A\n", "x" }, { "A", "\x01" }
    };

    for (i = 0; i < elements(subjects); i++) {
        n = kmq_nats_write_pub(room, sizeof(room), subjects[i], NULL, NULL, 0,
                               0)
            + kmq_nats_write_pub(room, sizeof(room), "a", subjects[i], NULL,
                                 0, 0)
            + kmq_nats_write_sub(room, sizeof(room), subjects[i], 1);
        is_int(n, 0, "no subject: %zu", i);
    }

    memset(long_one, 'x', sizeof(long_one));
    long_one[sizeof(long_one) - 1] = '\0';
    is_int(kmq_nats_write_sub(room, sizeof(room), long_one, 1), 0,
           "too long a subject");
    long_one[sizeof(long_one) - 2] = '\0';
    is_int(kmq_nats_write_sub(room, sizeof(room), long_one, 1),
           4 + KMQ_NATS_SUBJECT_MAX + 4, "the longest");

    for (i = 0; i < elements(headers); i++) {
        is_int(kmq_nats_write_pub(room, sizeof(room), "a", NULL, &headers[i],
                                  1, 0), 0, "no header: %zu", i);
    }
}


static void
test_connect(void)
{
    size_t              n, len;
    const char         *want;
    kmq_nats_connect_t  connect;

    memset(&connect, 0, sizeof(connect));
    connect.name = "n1";
    connect.user = "a\"b";
    connect.password = "\xe4\xb8\xad\n";
    connect.tls = 1;

    want = "\"tls_required\":true,\"name\":\"n1\",\"user\":\"a\\\"b\","
           "\"pass\":\"\xe4\xb8\xad\\n\"}\r\n";
    len = strlen(want);

    n = kmq_nats_write_connect(room, sizeof(room), &connect);
    ok(n > len && memcmp(room, "CONNECT {\"", 10) == 0, "CONNECT");
    is_bytes(room + n - len, len, want, len, "what it says of us");

    memset(&connect, 0, sizeof(connect));
    connect.token = "t";
    connect.jwt = "j";
    connect.nkey = "k";
    connect.signature = "s";
    want = "\"tls_required\":false,\"auth_token\":\"t\",\"jwt\":\"j\","
           "\"nkey\":\"k\",\"sig\":\"s\"}\r\n";
    len = strlen(want);

    n = kmq_nats_write_connect(room, sizeof(room), &connect);
    is_bytes(room + n - len, len, want, len, "other credentials");
    is_int(kmq_nats_write_connect(room, n - 1, &connect), 0,
           "CONNECT needs room");
}


int
main(void)
{
    test_lines();
    test_messages();
    test_failures();
    test_long();
    test_need();
    test_headers();
    test_write();
    test_round();
    test_refused();
    test_connect();

    return done_testing();
}
