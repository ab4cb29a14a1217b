/* Followers, with a JetStream that does as it is told. */

#include <signal.h>

#include "../../src/nats/kmq_nats_follow.h"
#include "nats_server.h"
#include "tap.h"


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


static void
say_made(server_t *server)
{
    say_message(server, server->reply, 2, "", "", "{\"name\":\"c\"}");
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
        sid = 1;
    }

    (void) hear(server, "PUB $JS.API.CONSUMER.CREATE.q ");
    (void) snprintf(start, sizeof(start), "\"opt_start_seq\":%u,", from);

    if (strstr(server->payload, start) == NULL) {
        say(server, "NONSENSE\r\n");
    }

    say_made(server);

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


/* All from one up to the last one, 5, which the connection outlives. */
static void
say_rest(server_t *server, unsigned sid, unsigned sequence, unsigned pushed)
{
    while (sequence <= 5) {
        say_push(server, sid, sequence++, pushed++);
    }

    stay(server);
}


/* The first message is pushed; the sid. */
static unsigned
say_first(server_t *server)
{
    unsigned  sid;

    sid = hear_consumer(server, 3);
    say_push(server, sid, 3, 1);

    return sid;
}


static void
script_push(server_t *server)
{
    unsigned  sid;

    welcome(server);
    sid = say_first(server);
    say_message(server, "_INBOX.d", sid, "$JS.FC.x",
                "NATS/1.0 100 FlowControl Request\r\n\r\n", "");

    if (hear(server, "PUB $JS.FC.x 0")) {
        say_rest(server, sid, 4, 2);
    }
}


/* A push is missed: another consumer, from there on; what the first one pushes
 * then is for nobody. */
static void
script_gap(server_t *server)
{
    unsigned  sid, next;

    welcome(server);
    sid = say_first(server);
    say_push(server, sid, 5, 3);
    next = hear_consumer(server, 4);
    say_push(server, sid, 6, 4);
    say_rest(server, next, 4, 1);
}


/* No heartbeat comes. */
static void
script_forgotten(server_t *server)
{
    welcome(server);
    (void) say_first(server);
    say_rest(server, hear_consumer(server, 4), 4, 1);
}


static void
script_push_and_leave(server_t *server)
{
    welcome(server);
    say_push(server, say_first(server), 4, 2);
}


static void
script_push_rest(server_t *server)
{
    welcome(server);
    (void) hear(server, "PUB $JS.API.CONSUMER.CREATE.q ");
    say_made(server);
    say_rest(server, 3, 5, 1);
}


/* First there is no consumer to be had. */
static void
script_refuses_first(server_t *server)
{
    welcome(server);
    (void) hear(server, "PUB $JS.API.CONSUMER.CREATE.q ");
    say_message(server, server->reply, 2, "", "", "{\"error\":{\"code\":503,"
                "\"err_code\":10008,\"description\":\"unavailable\"}}");
    say_rest(server, hear_consumer(server, 3), 3, 1);
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

    test_all_follow();

    return done_testing();
}
