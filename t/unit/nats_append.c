/* Appends, and followers, with a JetStream that does as it is told. */

#include <signal.h>

#include "../../src/nats/kmq_nats_append.h"
#include "../../src/nats/kmq_nats_follow.h"
#include "nats_server.h"
#include "tap.h"


#define APPENDS  4

static kmq_nats_append_t  appends[APPENDS];

static const char *const  ids[APPENDS] = { "i0", "i1", "i2", "i3" };

static char  done[4096];      /* what became of them, in this order */


/* ---------------------------------------------------------------- appending */

static void
append_done(void *arg, kmq_nats_append_t *append)
{
    size_t  n;

    (void) arg;
    n = strlen(done);

    if (append->state == KMQ_NATS_STORED) {
        (void) snprintf(done + n, sizeof(done) - n, "%s=%llu%s ", append->id,
                        (unsigned long long) append->sequence,
                        append->duplicate ? "*" : "");

    } else {
        (void) snprintf(done + n, sizeof(done) - n, "%s!%u ", append->id,
                        append->error.err_code ? append->error.err_code
                                               : append->error.code);
    }
}


/* Has n appends done, with that server; then "done" is as wanted. */
static void
test_appends(script_t first, script_t second, unsigned n, int chained,
    const char *want, const char *name)
{
    int                           rc = 0;
    unsigned                      i;
    server_t                      server;
    uint64_t                      end;
    kmq_nats_link_t              *link;
    kmq_nats_server_t             at[1];
    kmq_nats_options_t            options;
    kmq_nats_appender_t          *appender;
    kmq_nats_appender_options_t   how;

    server_start(&server, 0, first, second, NULL);
    options = options_for(at, 1, &server);
    link = kmq_nats_link_open(&options);

    memset(&how, 0, sizeof(how));
    how.stream = "q";
    how.in_flight = APPENDS;
    how.retry = 100;
    how.chained = chained;
    how.last = 17;
    how.done = append_done;

    appender = kmq_nats_appender_open(link, &how);
    done[0] = '\0';

    for (i = 0; i < n; i++) {
        appends[i].subject = "q.a";
        appends[i].id = ids[i];
        appends[i].expected = chained ? KMQ_JS_NONE : 4;
        appends[i].payload = "data";
        appends[i].size = 4;
        (void) kmq_nats_append(appender, &appends[i]);
    }

    end = patience();

    while (kmq_nats_appender_pending(appender) && rc != KMQ_NATS_LATE) {
        rc = kmq_nats_appender_run(appender, end);
    }

    is_bytes(done, strlen(done), want, strlen(want), "%s", name);
    ok(kmq_nats_now() + 10000 < end, "%s: without waiting for more", name);

    kmq_nats_appender_close(appender);
    kmq_nats_link_close(link);
    server_stop(&server);
}


/* Hears an append of that id; keeps where it is to be answered. */
static void
hear_append(server_t *server, const char *id, char reply[256])
{
    char  header[64];

    (void) snprintf(header, sizeof(header), "\r\nNats-Msg-Id: %s\r\n", id);

    do {
        server->payload[0] = '\0';

    } while (hear(server, "HPUB q.a ")
             && strstr(server->payload, header) == NULL);

    (void) strcpy(reply, server->reply);
}


static void
say_stored(server_t *server, const char *reply, unsigned sequence)
{
    char  payload[100];

    (void) snprintf(payload, sizeof(payload),
                    "{\"stream\":\"q\",\"seq\":%u}", sequence);
    say_message(server, reply, 1, "", "", payload);
}


static void
say_error(server_t *server, const char *reply, unsigned code)
{
    char  payload[200];

    (void) snprintf(payload, sizeof(payload), "{\"error\":{\"code\":400,"
                    "\"err_code\":%u,\"description\":\"x\"}}", code);
    say_message(server, reply, 1, "", "", payload);
}


/* Answers come in another order. */
static void
script_order(server_t *server)
{
    char  a[256], b[256], c[256];

    welcome(server);
    hear_append(server, "i0", a);
    hear_append(server, "i1", b);
    hear_append(server, "i2", c);
    say_stored(server, c, 3);
    say_error(server, b, 10054);
    say_message(server, "_INBOX.x", 1, "", "", "for nobody");
    say_stored(server, a, 1);
    stay(server);
}


/* The first answer is lost; then all are sent again, and known already. */
static void
script_lost_answer(server_t *server)
{
    char  a[256], b[256];

    welcome(server);
    hear_append(server, "i0", a);
    hear_append(server, "i1", b);
    say_stored(server, b, 2);
    hear_append(server, "i0", a);
    say_stored(server, a, 1);
    stay(server);
}


/* Nobody takes it for a while. */
static void
script_no_leader(server_t *server)
{
    char  a[256];

    welcome(server);
    hear_append(server, "i0", a);
    say_message(server, a, 1, "", "NATS/1.0 503\r\n\r\n", "");
    hear_append(server, "i0", a);
    say_error(server, a, KMQ_JS_UNAVAILABLE);
    hear_append(server, "i0", a);
    say_stored(server, a, 1);
    stay(server);
}


/* Servers of later versions have not forgotten the one before yet. */
static void
script_in_process(server_t *server)
{
    char  a[256];

    welcome(server);
    hear_append(server, "i0", a);
    say_error(server, a, KMQ_JS_IN_PROCESS);
    hear_append(server, "i0", a);
    say_stored(server, a, 1);
    stay(server);
}


static void
script_leaves(server_t *server)
{
    char  a[256], b[256];

    welcome(server);
    hear_append(server, "i0", a);
    hear_append(server, "i1", b);
    say_stored(server, a, 1);
}

static void
script_goes_on(server_t *server)
{
    char  b[256];

    welcome(server);
    hear_append(server, "i1", b);
    say_stored(server, b, 2);
    stay(server);
}


/* It was stored, the answer was lost, and then it is refused. */
static void
script_doubt(server_t *server, const char *last)
{
    char  a[256], payload[300], header[64], coded[100];

    welcome(server);
    hear_append(server, "i0", a);
    hear_append(server, "i0", a);
    say_error(server, a, KMQ_JS_WRONG_LAST);
    (void) hear(server, "PUB $JS.API.STREAM.MSG.GET.q ");
    (void) snprintf(header, sizeof(header),
                    "NATS/1.0\r\nNats-Msg-Id: %s\r\n\r\n", last);
    (void) EVP_EncodeBlock((unsigned char *) coded,
                           (unsigned char *) header, (int) strlen(header));
    (void) snprintf(payload, sizeof(payload), "{\"message\":{\"subject\":"
                    "\"q.a\",\"seq\":5,\"hdrs\":\"%s\"}}", coded);
    say_message(server, server->reply, 2, "", "", payload);
    stay(server);
}

static void
script_own(server_t *server)
{
    script_doubt(server, "i0");
}

static void
script_other(server_t *server)
{
    script_doubt(server, "i00");
}


/* Refused at once: somebody else has written. */
static void
script_fenced(server_t *server)
{
    char  a[256];

    welcome(server);
    hear_append(server, "i0", a);
    say_error(server, a, KMQ_JS_WRONG_LAST);
    stay(server);
}


/* The first of a chain is lost: those behind it are refused, sent again behind
 * it, and taken.  Each says what it expects. */
static void
script_chain(server_t *server)
{
    char  a[256], b[256], c[256];

    welcome(server);
    hear_append(server, "i0", a);
    (void) strncat(server->log,
                   strstr(server->payload, "Last-Sequence: ") + 15, 2);
    hear_append(server, "i1", b);
    (void) strncat(server->log,
                   strstr(server->payload, "Last-Sequence: ") + 15, 2);
    hear_append(server, "i2", c);

    if (strcmp(server->log, "1718") != 0) {
        return;
    }

    say_error(server, b, KMQ_JS_WRONG_LAST);
    say_error(server, c, KMQ_JS_WRONG_LAST);
    hear_append(server, "i0", a);
    hear_append(server, "i1", b);
    hear_append(server, "i2", c);
    say_stored(server, a, 18);
    say_stored(server, b, 19);
    say_stored(server, c, 20);

    stay(server);
}


/* A refusal of the first try comes when the second one is on its way. */
static void
script_late_refusal(server_t *server)
{
    char  a[256], again[256];

    welcome(server);
    hear_append(server, "i0", a);
    hear_append(server, "i0", again);
    say_error(server, a, KMQ_JS_STORE_FAILED);
    say_stored(server, again, 5);
    stay(server);
}


static void
test_all_appends(void)
{
    test_appends(script_order, NULL, 3, 0, "i0=1 i1!10054 i2=3 ",
                 "done in the order of their beginning");
    test_appends(script_lost_answer, NULL, 2, 0, "i0=1* i1=2 ",
                 "a lost answer");
    test_appends(script_no_leader, NULL, 1, 0, "i0=1* ", "no leader");
    test_appends(script_in_process, NULL, 1, 0, "i0=1* ",
                 "one before it is just being stored");
    test_appends(script_leaves, script_goes_on, 2, 0, "i0=1 i1=2* ",
                 "a lost connection");
    test_appends(script_own, NULL, 1, 0, "i0=5* ",
                 "refused, but the last one is it");
    test_appends(script_other, NULL, 1, 0, "i0!10071 ",
                 "refused, and the last one is another's");
    test_appends(script_fenced, NULL, 1, 0, "i0!10071 ", "refused at once");
    test_appends(script_chain, NULL, 3, 1, "i0=18* i1=19* i2=20* ", "a chain");
    test_appends(script_late_refusal, NULL, 1, 0, "i0=5* ",
                 "an old refusal does not count");
}


static void
test_bounds(void)
{
    char                          long_id[KMQ_NATS_ID_MAX + 1];
    server_t                      server;
    kmq_nats_link_t              *link;
    kmq_nats_append_t             append;
    kmq_nats_server_t             at[1];
    kmq_nats_options_t            options;
    kmq_nats_appender_t          *appender;
    kmq_nats_appender_options_t   how;

    server_start(&server, 0, NULL);
    options = options_for(at, 1, &server);
    server_stop(&server);
    link = kmq_nats_link_open(&options);
    memset(&how, 0, sizeof(how));
    memset(&append, 0, sizeof(append));
    how.stream = "q";
    how.in_flight = 1;
    how.done = append_done;
    appender = kmq_nats_appender_open(link, &how);

    memset(long_id, 'x', sizeof(long_id));
    long_id[KMQ_NATS_ID_MAX] = '\0';
    append.id = long_id;
    is_int(kmq_nats_append(appender, &append), KMQ_NATS_INVALID,
           "too long an id");
    append.id = "i";
    append.subject = "q.a";
    is_int(kmq_nats_append(appender, &append), KMQ_NATS_DONE, "one");
    is_int(kmq_nats_append(appender, &append), KMQ_NATS_FULL, "no more");
    is_int(kmq_nats_appender_run(appender, kmq_nats_now() + 50),
           KMQ_NATS_LATE, "no server, and a deadline");
    is_int(kmq_nats_appender_pending(appender), 1, "it waits");

    kmq_nats_appender_close(appender);
    kmq_nats_link_close(link);
}


/* ---------------------------------------------------------------- following */

static char  taken[4096];


static void
follow_take(void *arg, uint64_t sequence, const kmq_nats_msg_t *msg)
{
    size_t  n;

    (void) arg;
    n = strlen(taken);
    (void) snprintf(taken + n, sizeof(taken) - n, "%llu:%.*s ",
                    (unsigned long long) sequence, (int) msg->payload.len,
                    (const char *) msg->payload.bytes);
}


/* Follows until n messages were taken: they are as wanted. */
static void
test_follow(script_t first, script_t second, const char *want,
    const char *name)
{
    int                           rc = 0;
    server_t                      server;
    uint64_t                      end;
    kmq_nats_link_t              *link;
    kmq_nats_server_t             at[1];
    kmq_nats_options_t            options;
    kmq_nats_follower_t          *follower;
    kmq_nats_follower_options_t   how;

    server_start(&server, 0, first, second, NULL);
    options = options_for(at, 1, &server);
    link = kmq_nats_link_open(&options);

    memset(&how, 0, sizeof(how));
    how.stream = "q";
    how.from = 3;
    how.heartbeat = 100;
    how.take = follow_take;
    follower = kmq_nats_follower_open(link, &how);

    taken[0] = '\0';
    end = patience();

    while (strlen(taken) < strlen(want) && rc != KMQ_NATS_LATE) {
        rc = kmq_nats_follow(follower, end);
    }

    is_bytes(taken, strlen(taken), want, strlen(want), "%s", name);
    ok(kmq_nats_now() + 10000 < end, "%s: without waiting for more", name);
    is_int(kmq_nats_follower_next(follower), 6, "%s: what is next", name);

    kmq_nats_follower_close(follower);
    kmq_nats_link_close(link);
    server_stop(&server);
}


/* A consumer is made that begins there; the sid to which it pushes. */
static unsigned
hear_consumer(server_t *server, unsigned from)
{
    char      start[64];
    unsigned  sid;

    (void) hear(server, "SUB ");
    sid = (unsigned) strtoul(strrchr(server->line, ' ') + 1, NULL, 10);

    if (sid == 2) {                     /* the inbox of requests */
        (void) hear(server, "PUB $JS.API.CONSUMER.CREATE.q ");
        sid = 1;

    } else {
        (void) hear(server, "PUB $JS.API.CONSUMER.CREATE.q ");
    }

    (void) snprintf(start, sizeof(start), "\"opt_start_seq\":%u,", from);

    if (strstr(server->payload, start) == NULL) {
        say(server, "NONSENSE\r\n");
    }

    say_message(server, server->reply, 2, "", "", "{\"name\":\"c\"}");

    return sid;
}


static void
say_push(server_t *server, unsigned sid, unsigned sequence, unsigned pushed)
{
    char  reply[100], payload[20];

    (void) snprintf(reply, sizeof(reply), "$JS.ACK.q.c.1.%u.%u.9.0", sequence,
                    pushed);
    (void) snprintf(payload, sizeof(payload), "m%u", sequence);
    say_message(server, "q.a", sid, reply, "", payload);
}


static void
script_push(server_t *server)
{
    unsigned  sid;

    welcome(server);
    sid = hear_consumer(server, 3);
    say_push(server, sid, 3, 1);
    say_message(server, "_INBOX.d", sid, "$JS.FC.x",
                "NATS/1.0 100 FlowControl Request\r\n\r\n", "");

    if (hear(server, "PUB $JS.FC.x 0")) {
        say_push(server, sid, 4, 2);
        say_push(server, sid, 5, 3);
    }

    stay(server);
}


/* A push is missed: another consumer, from there on; what the first one pushes
 * then is for nobody. */
static void
script_gap(server_t *server)
{
    unsigned  sid, next;

    welcome(server);
    sid = hear_consumer(server, 3);
    say_push(server, sid, 3, 1);
    say_push(server, sid, 5, 3);
    next = hear_consumer(server, 4);
    say_push(server, sid, 6, 4);
    say_push(server, next, 4, 1);
    say_push(server, next, 5, 2);
    stay(server);
}


/* No heartbeat comes. */
static void
script_forgotten(server_t *server)
{
    unsigned  sid;

    welcome(server);
    sid = hear_consumer(server, 3);
    say_push(server, sid, 3, 1);
    sid = hear_consumer(server, 4);
    say_push(server, sid, 4, 1);
    say_push(server, sid, 5, 2);
    stay(server);
}


static void
script_push_and_leave(server_t *server)
{
    unsigned  sid;

    welcome(server);
    sid = hear_consumer(server, 3);
    say_push(server, sid, 3, 1);
    say_push(server, sid, 4, 2);
}

static void
script_push_rest(server_t *server)
{
    welcome(server);
    (void) hear(server, "PUB $JS.API.CONSUMER.CREATE.q ");
    say_message(server, server->reply, 2, "", "", "{\"name\":\"c\"}");
    say_push(server, 3, 5, 1);
    stay(server);
}


/* First there is no consumer to be had. */
static void
script_refuses_first(server_t *server)
{
    unsigned  sid;

    welcome(server);
    (void) hear(server, "PUB $JS.API.CONSUMER.CREATE.q ");
    say_message(server, server->reply, 2, "", "", "{\"error\":{\"code\":503,"
                "\"err_code\":10008,\"description\":\"unavailable\"}}");
    sid = hear_consumer(server, 3);
    say_push(server, sid, 3, 1);
    say_push(server, sid, 4, 2);
    say_push(server, sid, 5, 3);
    stay(server);
}


static void
test_all_follow(void)
{
    static const char  all[] = "3:m3 4:m4 5:m5 ";

    test_follow(script_push, NULL, all, "messages, and flow control");
    test_follow(script_gap, NULL, all, "a gap");
    test_follow(script_forgotten, NULL, all, "no heartbeats");
    test_follow(script_push_and_leave, script_push_rest, all,
                "a lost connection");
    test_follow(script_refuses_first, NULL, all, "no consumer at first");
}


int
main(void)
{
    (void) signal(SIGPIPE, SIG_IGN);

    test_all_appends();
    test_bounds();
    test_all_follow();

    return done_testing();
}
