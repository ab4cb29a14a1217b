/* The link to NATS servers, with servers that do as they are told. */

#include <errno.h>
#include <openssl/ssl.h>
#include <signal.h>

#include "nats_server.h"
#include "tap.h"


/* How late a deadline may be kept on a busy machine. */
#define LATE  3000

static char  heard[4096];        /* messages, in the order of their coming */


static void
take(void *arg, const kmq_nats_msg_t *msg)
{
    size_t  n;

    n = strlen(heard);
    (void) snprintf(heard + n, sizeof(heard) - n, "%s:%.*s[%.*s];",
                    (const char *) arg, (int) msg->subject.len,
                    (const char *) msg->subject.bytes,
                    (int) msg->payload.len,
                    (const char *) msg->payload.bytes);
}


/* A link that is connected to a server; NULL when that does not work. */
static kmq_nats_link_t *
connected(const kmq_nats_options_t *options)
{
    int               rc;
    kmq_nats_link_t  *link;

    link = kmq_nats_link_open(options);
    rc = kmq_nats_link_connect(link, patience());
    ok(rc == KMQ_NATS_DONE && kmq_nats_link_connected(link), "connected (%s)",
       kmq_nats_link_reason(link));

    return link;
}


/* Runs until so many characters of messages have come. */
static int
run_until_heard(kmq_nats_link_t *link, size_t n)
{
    int       rc = 0;
    uint64_t  end;

    end = patience();

    while (strlen(heard) < n && rc >= 0) {
        rc = kmq_nats_link_run(link, end);
    }

    return rc;
}


/* ------------------------------------------------------------- it all works */

static void
script_talk(server_t *server)
{
    say(server, SERVER_INFO);
    (void) hear(server, "CONNECT");
    (void) snprintf(server->log, sizeof(server->log), "%s", server->line);
    (void) hear(server, "PING");
    say(server, "PONG\r\n");

    (void) hear(server, "SUB a.* 1");
    (void) hear(server, "SUB b 2");
    (void) hear(server, "PUB x 5");
    say_message(server, "a.one", 1, "", "", server->payload);
    say_message(server, "b", 2, "r", "NATS/1.0\r\nA: b\r\n\r\n", "two");
    say(server, "PING\r\n");
    (void) hear(server, "PONG");
    say_message(server, "b", 7, "", "", "for nobody");
    say_message(server, "a.three", 1, "", "", "");

    (void) hear(server, "UNSUB 1");
    say_message(server, "a.four", 1, "", "", "too late");
    say_message(server, "b", 2, "", "", "five");
    stay(server);
}


static void
test_talk(size_t piece)
{
    server_t             server;
    uint64_t             a;
    kmq_nats_link_t     *link;
    kmq_nats_server_t    at[1];
    kmq_nats_options_t   options;

    server_start(&server, piece, script_talk, NULL);
    options = options_for(at, 1, &server);
    options.name = "me";
    options.user = "u";
    options.password = "p";
    heard[0] = '\0';

    link = connected(&options);
    ok(strstr(server.log, "\"name\":\"me\",\"user\":\"u\",\"pass\":\"p\"")
       != NULL, "CONNECT says who it is");
    ok(strcmp(kmq_nats_link_info(link)->server, "n1") == 0
       && kmq_nats_link_info(link)->max_payload == 10000,
       "INFO says who the server is");

    a = kmq_nats_link_subscribe(link, "a.*", take, "A");
    (void) kmq_nats_link_subscribe(link, "b", take, "B");
    is_int(kmq_nats_link_subscribe(link, "c d", take, ""), 0, "no subject");

    is_int(kmq_nats_link_publish(link, "x", NULL, NULL, 0, "hello", 5),
           KMQ_NATS_DONE, "published");
    is_int(kmq_nats_link_publish(link, "x y", NULL, NULL, 0, "", 0),
           KMQ_NATS_INVALID, "not to what is no subject");
    is_int(kmq_nats_link_publish(link, "x", NULL, NULL, 0, heard, 10001),
           KMQ_NATS_INVALID, "no more than the server takes");

    (void) run_until_heard(link, 36);
    is_bytes(heard, strlen(heard), "A:a.one[hello];B:b[two];A:a.three[];", 36,
             "messages, and PING answered");

    kmq_nats_link_unsubscribe(link, a);
    (void) run_until_heard(link, 36 + 10);
    is_bytes(heard + 36, strlen(heard + 36), "B:b[five];", 10,
             "none after UNSUB");

    kmq_nats_link_close(link);
    server_stop(&server);
}


/* -------------------------------------------------------- servers that fail */

static void
script_silent(server_t *server)
{
    stay(server);
}

static void
script_garbage(server_t *server)
{
    say(server, "HTTP/1.1 400 Bad Request\r\n\r\n");
    stay(server);
}

static void
script_no_json(server_t *server)
{
    say(server, "INFO {\"max_payload\":}\r\n");
    stay(server);
}

static void
script_half(server_t *server)
{
    say(server, "INFO {\"server_na");
}

static void
script_gone(server_t *server)
{
    (void) server;
}

static void
script_refuse(server_t *server)
{
    say(server, SERVER_INFO);
    (void) hear(server, "CONNECT");
    say(server, "-ERR 'Authorization Violation'\r\n");
    (void) shutdown(server->fd, SHUT_WR);
    stay(server);
}

static void
script_wants_tls(server_t *server)
{
    say(server, "INFO {\"max_payload\":1,\"tls_required\":true}\r\n");
    stay(server);
}

static void
script_old(server_t *server)
{
    say(server, "INFO {\"max_payload\":1000}\r\n");
    (void) hear(server, "PING");
    say(server, "PONG\r\n");
    stay(server);
}

static void
script_good(server_t *server)
{
    welcome(server);
    stay(server);
}


/* One server does that, and it is said why; the next one is used. */
static void
test_failing(script_t script, const char *reason, SSL_CTX *tls,
    const char *name)
{
    int                  rc;
    server_t             bad, good;
    kmq_nats_link_t     *link;
    kmq_nats_server_t    at[2];
    kmq_nats_options_t   options;

    server_start(&bad, 0, script, script, NULL);
    server_start(&good, 1, script_good, NULL);

    options = options_for(at, 1, &bad);
    options.connect_timeout = 200;
    options.retry_min = 60000;
    options.tls = tls;
    link = kmq_nats_link_open(&options);
    rc = kmq_nats_link_connect(link, kmq_nats_now() + 400);
    is_int(rc, KMQ_NATS_LATE, "%s: no connection", name);
    is_bytes(kmq_nats_link_reason(link), strlen(kmq_nats_link_reason(link)),
             reason, strlen(reason), "%s: and why", name);
    kmq_nats_link_close(link);

    options = options_for(at, 2, &bad, &good);
    options.connect_timeout = 2000;
    link = connected(&options);
    is_int(kmq_nats_link_place(link), 1, "%s: the next server is used", name);
    kmq_nats_link_close(link);

    server_stop(&bad);
    server_stop(&good);
}


static void
test_failures(void)
{
    test_failing(script_silent, "no INFO in time", NULL, "silence");
    test_failing(script_garbage, "a verb that is not known", NULL,
                 "another protocol");
    test_failing(script_no_json, "an INFO that is no JSON", NULL, "no JSON");
    test_failing(script_half, "Connection reset by peer", NULL,
                 "half an INFO");
    test_failing(script_gone, "Connection reset by peer", NULL,
                 "a closed connection");
    test_failing(script_refuse, "Authorization Violation", NULL,
                 "no permission");
    test_failing(script_wants_tls, "the server asks for TLS", NULL,
                 "TLS is wanted");
    test_failing(script_old, "the server knows no headers", NULL,
                 "an old server");
}


/* Nothing is said in the clear to a server that should have TLS. */
static void
script_no_tls(server_t *server)
{
    say(server, SERVER_INFO);

    if (hear_line(server)) {
        (void) snprintf(server->log, sizeof(server->log), "%s",
                        server->line);
    }
}


/* Whoever is between us and the server puts a line behind INFO. */
static void
script_injected(server_t *server)
{
    say(server, "INFO {\"max_payload\":1,\"tls_required\":true}\r\n"
                "MSG a");
    stay(server);
}


static void
test_no_tls(script_t script, const char *reason)
{
    SSL_CTX             *tls;
    server_t             server;
    kmq_nats_link_t     *link;
    kmq_nats_server_t    at[1];
    kmq_nats_options_t   options;

    tls = SSL_CTX_new(TLS_client_method());
    server_start(&server, 0, script, NULL);
    options = options_for(at, 1, &server);
    options.tls = tls;
    options.retry_min = 60000;
    options.password = "secret";
    link = kmq_nats_link_open(&options);

    is_int(kmq_nats_link_connect(link, kmq_nats_now() + 300), KMQ_NATS_LATE,
           "no connection: %s", reason);
    is_bytes(kmq_nats_link_reason(link), strlen(kmq_nats_link_reason(link)),
             reason, strlen(reason), "and why");

    kmq_nats_link_close(link);
    server_stop(&server);
    is_int(server.log[0], 0, "and nothing was said");
    SSL_CTX_free(tls);
}


static void
test_nobody(void)
{
    server_t             server;
    uint64_t             start;
    kmq_nats_link_t     *link;
    kmq_nats_server_t    at[1];
    kmq_nats_options_t   options;

    server_start(&server, 0, NULL);
    options = options_for(at, 1, &server);
    server_stop(&server);
    link = kmq_nats_link_open(&options);

    is_int(kmq_nats_link_publish(link, "a", NULL, NULL, 0, "", 0),
           KMQ_NATS_DOWN, "no connection yet");
    is_int(kmq_nats_link_run(link, patience()), KMQ_NATS_DOWN, "none to run");

    start = kmq_nats_now();
    is_int(kmq_nats_link_connect(link, start + 300), KMQ_NATS_LATE,
           "nobody listens");
    ok(kmq_nats_now() - start >= 300, "it was tried to the end");
    ok(kmq_nats_now() - start < 300 + LATE, "and no longer");
    is_int(kmq_nats_link_connect(link, 0), KMQ_NATS_LATE, "not to wait");
    kmq_nats_link_close(link);

    (void) strcpy(at[0].host, "localhost");
    link = kmq_nats_link_open(&options);
    (void) kmq_nats_link_connect(link, kmq_nats_now() + 20);
    ok(strcmp(kmq_nats_link_reason(link), strerror(EINVAL)) == 0,
       "a name is no address");
    kmq_nats_link_close(link);
}


/* ----------------------------------------------------- connections are lost */

static void
script_half_message(server_t *server)
{
    welcome(server);
    (void) hear(server, "SUB a 1");
    say(server, "MSG a 1 5\r\nhel");
}

static void
script_after(server_t *server)
{
    welcome(server);
    (void) hear(server, "SUB a 1");
    say_message(server, "a", 1, "", "", "again");
    stay(server);
}


static void
test_lost(void)
{
    int                  rc;
    server_t             server;
    kmq_nats_link_t     *link;
    kmq_nats_server_t    at[1];
    kmq_nats_options_t   options;

    server_start(&server, 0, script_half_message, script_after, NULL);
    options = options_for(at, 1, &server);
    heard[0] = '\0';
    link = connected(&options);
    (void) kmq_nats_link_subscribe(link, "a", take, "A");

    do {
        rc = kmq_nats_link_run(link, patience());
    } while (rc >= 0);

    is_int(rc, KMQ_NATS_DOWN, "lost in the middle of a message");
    ok(!kmq_nats_link_connected(link) && heard[0] == '\0', "which is gone");
    is_int(kmq_nats_link_run(link, 0), KMQ_NATS_DOWN, "it stays so");
    is_int(kmq_nats_link_times(link), 1, "connected once");

    is_int(kmq_nats_link_connect(link, patience()), KMQ_NATS_DONE, "again");
    is_int(kmq_nats_link_times(link), 2, "connected twice");
    (void) run_until_heard(link, 11);
    is_bytes(heard, strlen(heard), "A:a[again];", 11, "subscribed again");

    kmq_nats_link_close(link);
    server_stop(&server);
}


static void
script_falls_silent(server_t *server)
{
    welcome(server);
    (void) hear(server, "PING");
    (void) strcpy(server->log, "asked");
    (void) hear_line(server);
}


/* Says something all the time, but does not answer PING. */
static void
script_talkative(server_t *server)
{
    unsigned  i;

    welcome(server);
    (void) hear(server, "PING");

    for (i = 0; i < 10; i++) {
        say(server, "+OK\r\n");
        usleep(50000);
    }

    say(server, "PONG\r\n");
    stay(server);
}


static void
test_ping(void)
{
    uint64_t             start;
    server_t             server;
    kmq_nats_link_t     *link;
    kmq_nats_server_t    at[1];
    kmq_nats_options_t   options;

    server_start(&server, 0, script_falls_silent, NULL);
    options = options_for(at, 1, &server);
    options.ping_interval = 100;
    options.ping_timeout = 200;
    link = connected(&options);
    start = kmq_nats_now();
    is_int(kmq_nats_link_run(link, patience()), KMQ_NATS_DOWN,
           "a server that does not answer is given up");
    ok(kmq_nats_now() - start >= 290 && kmq_nats_now() - start < 290 + LATE,
       "in its time (%llu ms)",
       (unsigned long long) (kmq_nats_now() - start));
    kmq_nats_link_close(link);
    server_stop(&server);
    is_bytes(server.log, strlen(server.log), "asked", 5, "it was asked");

    server_start(&server, 0, script_talkative, NULL);
    options = options_for(at, 1, &server);
    options.ping_interval = 100;
    options.ping_timeout = 400;
    link = connected(&options);
    is_int(kmq_nats_link_run(link, kmq_nats_now() + 1500), KMQ_NATS_LATE,
           "one that says something lives");
    kmq_nats_link_close(link);
    server_stop(&server);
}


/* ----------------------------------------------------------------- requests */

static void
script_answers(server_t *server)
{
    char  first[256];

    welcome(server);

    (void) hear(server, "PUB q");
    say_message(server, server->reply, 1, "", "", server->payload);

    (void) hear(server, "PUB q");
    say_message(server, server->reply, 1, "", "NATS/1.0 503\r\n\r\n", "");

    (void) hear(server, "PUB q");            /* which is not answered */
    (void) strcpy(first, server->reply);
    (void) hear(server, "PUB q");
    say_message(server, first, 1, "", "", "too late");
    say_message(server, server->reply, 1, "", "NATS/1.0\r\nA: b\r\n\r\n",
                "in time");
    say_message(server, server->reply, 1, "", "", "twice");
    (void) hear(server, "PUB q");
}


static int
ask(kmq_nats_link_t *link, const char *question, kmq_nats_msg_t *answer,
    uint64_t deadline)
{
    return kmq_nats_link_request(link, "q", NULL, 0, question,
                                 strlen(question), answer, deadline);
}


static void
test_requests(size_t piece)
{
    server_t             server;
    kmq_nats_msg_t       answer;
    kmq_nats_text_t      value;
    kmq_nats_link_t     *link;
    kmq_nats_server_t    at[1];
    kmq_nats_options_t   options;

    server_start(&server, piece, script_answers, NULL);
    options = options_for(at, 1, &server);
    link = connected(&options);

    is_int(ask(link, "one", &answer, patience()), KMQ_NATS_DONE, "answered");
    is_bytes(answer.payload.bytes, answer.payload.len, "one", 3, "with this");
    is_int(ask(link, "two", &answer, patience()), KMQ_NATS_NOBODY,
           "nobody is there");
    is_int(ask(link, "three", &answer, kmq_nats_now() + 50), KMQ_NATS_LATE,
           "no answer");

    is_int(ask(link, "four", &answer, patience()), KMQ_NATS_DONE, "an answer");
    is_bytes(answer.payload.bytes, answer.payload.len, "in time", 7,
             "not that of the request before");
    ok(kmq_nats_header(&answer.headers, "A", &value) && value.len == 1,
       "with its headers");

    is_int(ask(link, "five", &answer, patience()), KMQ_NATS_DOWN,
           "the server leaves instead");

    kmq_nats_link_close(link);
    server_stop(&server);
}


/* --------------------------------------------------------- it does not read */

static void
script_deaf(server_t *server)
{
    welcome(server);
    (void) sleep(2);
    stay(server);
}


static void
test_deaf(void)
{
    int                  rc;
    char                *bytes;
    size_t               unsent;
    server_t             server;
    uint64_t             start;
    kmq_nats_link_t     *link;
    kmq_nats_server_t    at[1];
    kmq_nats_options_t   options;

    bytes = calloc(1, 8000);
    server_start(&server, 0, script_deaf, NULL);
    options = options_for(at, 1, &server);
    options.max_unsent = 1 << 20;
    options.ping_interval = 60000;
    link = connected(&options);

    start = kmq_nats_now();

    do {
        rc = kmq_nats_link_publish(link, "a", NULL, NULL, 0, bytes, 8000);

        if (rc == KMQ_NATS_FULL) {
            unsent = kmq_nats_link_unsent(link);
            rc = kmq_nats_link_run(link, kmq_nats_now() + 20);
            rc = kmq_nats_link_unsent(link) < unsent ? KMQ_NATS_DONE : rc;
        }

    } while (rc == KMQ_NATS_DONE);

    is_int(rc, KMQ_NATS_LATE, "nothing more is taken, and nobody waits");
    ok(kmq_nats_now() - start < 2000 + LATE, "for it");
    ok(kmq_nats_link_unsent(link) < (1 << 20) + 9000, "what waits is bounded");

    kmq_nats_link_close(link);
    server_stop(&server);
    free(bytes);
}


/* ------------------------------------------------------------ other servers */

static void
script_names_others(server_t *server)
{
    say(server, "INFO {\"max_payload\":1000,\"headers\":true,\"connect_urls\":"
        "[\"127.0.0.1:%s\",\"localhost:1\",\"[::1]:2\",\"127.0.0.1\",5,"
        "\"127.0.0.1:70000\"]}\r\n", server->log);
    (void) hear(server, "PING");
    say(server, "PONG\r\n");
}


static void
test_learn(int learn)
{
    int                  rc;
    server_t             first, second;
    kmq_nats_link_t     *link;
    kmq_nats_server_t    at[1];
    kmq_nats_options_t   options;

    server_start(&second, 0, script_good, NULL);
    server_start(&first, 0, script_names_others, NULL);
    (void) sprintf(first.log, "%u", second.port);
    options = options_for(at, 1, &first);
    options.learn = learn;
    link = connected(&options);

    do {
        rc = kmq_nats_link_run(link, patience());
    } while (rc >= 0);

    server_stop(&first);
    rc = kmq_nats_link_connect(link, kmq_nats_now() + (learn ? 20000 : 300));

    if (learn) {
        ok(rc == KMQ_NATS_DONE
           && kmq_nats_link_server(link)->port == second.port,
           "a server that was named is used");

    } else {
        is_int(rc, KMQ_NATS_LATE, "none is, unless told");
    }

    kmq_nats_link_close(link);
    server_stop(&second);
}


static int
before(const char *version)
{
    kmq_nats_info_t  info;

    (void) snprintf(info.version, sizeof(info.version), "%s", version);

    return kmq_nats_info_before(&info, 2, 9, 15);
}


static void
test_versions(void)
{
    ok(before("1.99.99") && before("2.8.20") && before("2.9.10")
       && before("2.9.14-RC.2"), "servers before 2.9.15");
    ok(!before("2.9.15") && !before("2.9.15-beta") && !before("2.9.25")
       && !before("2.10.0") && !before("2.15.1") && !before("3.0.0"),
       "and others");
    ok(!before("") && !before("main") && !before("2.9"), "that name none");
}


int
main(void)
{
    (void) signal(SIGPIPE, SIG_IGN);

    test_talk(0);
    test_talk(1);
    test_talk(7);
    test_failures();
    test_no_tls(script_no_tls, "the server has no TLS");
    test_no_tls(script_injected, "more than INFO came before TLS");
    test_nobody();
    test_lost();
    test_ping();
    test_requests(0);
    test_requests(1);
    test_deaf();
    test_learn(1);
    test_learn(0);
    test_versions();

    return done_testing();
}
