/* What JetStream is asked, and what it answers. */

#include "../../src/nats/kmq_jetstream.h"
#include "tap.h"


static char  room[2000];


/* What was written is that, into just as much room, and into no less. */
#define WRITES(want, name, write, ...)                                       \
    do {                                                                     \
        size_t  n_;                                                          \
                                                                             \
        n_ = write(room, sizeof(room), __VA_ARGS__);                         \
        is_bytes(room, n_, want, strlen(want), "%s", name);                  \
        is_int(write(room, strlen(want), __VA_ARGS__), strlen(want),         \
               "%s: in no more room", name);                                 \
        is_int(write(room, strlen(want) - 1, __VA_ARGS__), 0,                \
               "%s: not in less", name);                                     \
    } while (0)


static kmq_nats_text_t
text(const char *string)
{
    return KMQ_NATS_TEXT(string);
}


static void
is_text(const kmq_nats_text_t *got, const char *want, const char *name)
{
    is_bytes(got->bytes, got->len, want, strlen(want), "%s", name);
}


/* --------------------------------------------------------------- questions */

static void
test_questions(void)
{
    const char *const   subjects[] = { "q.1.>", "q.\"x" };

    kmq_js_stream_t     stream = { "q", subjects, 2, 3, 0, 0, 0 };
    kmq_js_consumer_t   consumer = { "q", NULL, "_INBOX.x", 7, 1000 };

    WRITES("{\"name\":\"q\",\"subjects\":[\"q.1.>\",\"q.\\\"x\"],"
           "\"retention\":\"limits\",\"storage\":\"file\","
           "\"discard\":\"new\",\"num_replicas\":3,\"max_bytes\":-1,"
           "\"max_msg_size\":-1,\"allow_direct\":false}", "a stream",
           kmq_js_write_stream, &stream);

    stream.n_subjects = 1;
    stream.max_bytes = UINT64_C(1) << 40;
    stream.max_message = 5;
    stream.direct = 1;
    WRITES("{\"name\":\"q\",\"subjects\":[\"q.1.>\"],"
           "\"retention\":\"limits\",\"storage\":\"file\","
           "\"discard\":\"new\",\"num_replicas\":3,"
           "\"max_bytes\":1099511627776,\"max_msg_size\":5,"
           "\"allow_direct\":true}",
           "a stream with limits", kmq_js_write_stream, &stream);

    WRITES("{}", "purge all", kmq_js_write_purge, NULL, 0);
    WRITES("{\"filter\":\"q.1.a\",\"seq\":12}", "purge", kmq_js_write_purge,
           "q.1.a", 12);

    WRITES("{\"seq\":5}", "a message", kmq_js_write_get, NULL, 5);
    WRITES("{\"last_by_subj\":\"a\"}", "the last one", kmq_js_write_get, "a",
           KMQ_JS_NONE);
    WRITES("{\"seq\":5,\"next_by_subj\":\"a\"}", "the next one",
           kmq_js_write_get, "a", 5);

    WRITES("{\"stream_name\":\"q\",\"config\":{"
           "\"deliver_subject\":\"_INBOX.x\","
           "\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":7,"
           "\"ack_policy\":\"none\",\"max_deliver\":1,"
           "\"flow_control\":true,\"idle_heartbeat\":1000000000,"
           "\"inactive_threshold\":10000000000,\"num_replicas\":1,"
           "\"mem_storage\":true,\"replay_policy\":\"instant\"}}",
           "a consumer", kmq_js_write_consumer, &consumer);

    consumer.subject = "q.a";
    is_int(kmq_js_write_consumer(room, sizeof(room), &consumer) > 0, 1,
           "of a subject");
    ok(strstr(room, ",\"filter_subject\":\"q.a\"}}") != NULL, "which it says");
}


static void
test_subjects(void)
{
    char  subject[KMQ_JS_SUBJECT_MAX], name[300];

    is_int(kmq_js_subject(subject, KMQ_JS_GET, "q", NULL), 0, "a subject");
    ok(strcmp(subject, "$JS.API.STREAM.MSG.GET.q") == 0, "which is it");
    is_int(kmq_js_subject(subject, KMQ_JS_DIRECT_GET, "q", "a.b"), 0, "more");
    ok(strcmp(subject, "$JS.API.DIRECT.GET.q.a.b") == 0, "which is it, too");

    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    is_int(kmq_js_subject(subject, KMQ_JS_GET, name, NULL), -1, "too long");
}


static void
test_expect(void)
{
    size_t            n;
    kmq_js_expect_t   expect;

    static const char  want[] =
        "HPUB a 52 52\r\nNATS/1.0\r\n"
        "Nats-Expected-Last-Subject-Sequence: 0\r\n\r\n";

    kmq_js_expect(&expect, 0);
    n = kmq_nats_write_pub((unsigned char *) room, sizeof(room), "a", NULL,
                           &expect.header, 1, 0);
    is_bytes(room, n, want, strlen(want), "a new subject");
}


/* ----------------------------------------------------------------- answers */

static void
test_acks(void)
{
    kmq_js_ack_t     ack;
    kmq_nats_text_t  t;
    kmq_js_error_t   error;

    t = text("{\"stream\":\"q\", \"seq\":18446744073}");
    is_int(kmq_js_read_ack(&t, &ack, &error), 0, "an ack");
    ok(ack.sequence == UINT64_C(18446744073), "its number");

    t = text("{\"stream\":\"q\",\"seq\":3,\"duplicate\": true}");
    is_int(kmq_js_read_ack(&t, &ack, &error), 0, "another one");
    ok(ack.sequence == 3, "its number, too");

    t = text("{\"error\":{\"code\":400,\"err_code\":10071,\"description\":"
             "\"wrong last sequence: 4\"},\"stream\":\"q\",\"seq\":0}");
    is_int(kmq_js_read_ack(&t, &ack, &error), -1, "an error");
    ok(error.code == 400 && error.err_code == KMQ_JS_WRONG_LAST
       && strcmp(error.text, "wrong last sequence: 4") == 0, "which one");

    t = text("{\"error\":{}}");
    is_int(kmq_js_read_ack(&t, &ack, &error), -1, "an error without code");
    is_int(error.code, 500, "has one");
}


static void
test_senseless(void)
{
    static const char *const  answers[] = {
        "", "{", "[]", "5", "{}", "{\"seq\":0}", "{\"seq\":-1}",
        "{\"seq\":\"1\"}", "{\"seq\":1.5}", "\xff", "{\"message\":{}}",
        "{\"message\":5}", "{\"state\":{}}", "{\"success\":false}",
        "{\"name\":5}", "{\"message\":{\"seq\":1,\"subject\":\"a\","
        "\"data\":\"?\"}}", "{\"message\":{\"seq\":1,\"subject\":\"a\","
        "\"hdrs\":5}}", "{\"message\":{\"seq\":1,\"subject\":\"a\","
        "\"data\":\"QUJ\"}}"
    };

    char                   name[KMQ_JS_NAME_MAX];
    size_t                 i;
    uint64_t               purged;
    kmq_js_ack_t           ack;
    kmq_js_error_t         error;
    kmq_nats_text_t        t;
    kmq_js_message_t       message;
    kmq_js_stream_info_t   info;

    for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        t = text(answers[i]);
        ok(kmq_js_read_ack(&t, &ack, &error) == -1
           && kmq_js_read_stream(&t, &info, &error) == -1
           && kmq_js_read_get(&t, &message, &error) == -1
           && kmq_js_read_purge(&t, &purged, &error) == -1
           && kmq_js_read_consumer(&t, name, &error) == -1
           && kmq_js_read_success(&t, &error) == -1
           && error.code == 0 && error.text[0], "no sense: %s", answers[i]);
    }
}


static void
test_stream(void)
{
    kmq_nats_text_t        t;
    kmq_js_error_t         error;
    kmq_js_stream_info_t   info;

    t = text("{\"config\":{\"num_replicas\":3,\"max_bytes\":-1},"
             "\"state\":{\"messages\":5,\"bytes\":900,\"first_seq\":7,"
             "\"last_seq\":11},\"cluster\":{\"leader\":\"n1\",\"replicas\":["
             "{\"name\":\"n2\",\"current\":true,\"active\":1500000000},"
             "{\"name\":\"n3\",\"current\":false,\"offline\":true,"
             "\"lag\":4}]}}");

    is_int(kmq_js_read_stream(&t, &info, &error), 0, "a stream");
    ok(info.messages == 5 && info.bytes == 900 && info.first == 7
       && info.last == 11 && info.max_bytes == 0 && info.replicas == 3,
       "its state");
    ok(strcmp(info.leader, "n1") == 0 && info.n_peers == 2, "its servers");
    ok(strcmp(info.peers[0].name, "n2") == 0 && info.peers[0].current
       && info.peers[0].silent == 1500 && !info.peers[0].offline, "one");
    ok(info.peers[1].offline && info.peers[1].lag == 4, "another");
}


static void
test_messages(void)
{
    kmq_nats_msg_t     msg;
    kmq_nats_text_t    t;
    kmq_js_error_t     error;
    kmq_js_message_t   message;

    t = text("{\"message\":{\"subject\":\"a.b\",\"seq\":9,"
             "\"hdrs\":\"TkFUUy8xLjANCg0K\",\"data\":\"aGVsbG8=\","
             "\"time\":\"2026-01-01T00:00:00Z\"}}");
    is_int(kmq_js_read_get(&t, &message, &error), 0, "a message");
    is_int(message.sequence, 9, "its sequence");
    is_text(&message.subject, "a.b", "its subject");
    is_text(&message.headers, "NATS/1.0\r\n\r\n", "its headers");
    is_text(&message.payload, "hello", "its payload");
    kmq_js_message_free(&message);

    t = text("{\"message\":{\"subject\":\"a\",\"seq\":1}}");
    is_int(kmq_js_read_get(&t, &message, &error), 0, "an empty one");
    is_int(message.payload.len + message.headers.len, 0, "has nothing");
    kmq_js_message_free(&message);

    t = text("{\"error\":{\"code\":404,\"err_code\":10037}}");
    is_int(kmq_js_read_get(&t, &message, &error), -1, "none");
    is_int(error.err_code, KMQ_JS_NO_MESSAGE, "which is said");

    memset(&msg, 0, sizeof(msg));
    msg.headers = text("NATS/1.0\r\nNats-Stream: q\r\nNats-Subject: a.b\r\n"
                       "Nats-Sequence: 12\r\n\r\n");
    msg.payload = text("hello");
    is_int(kmq_js_read_direct(&msg, &message, &error), 0, "from a replica");
    is_int(message.sequence, 12, "its sequence");
    is_text(&message.subject, "a.b", "its subject");
    is_text(&message.payload, "hello", "its payload");

    msg.headers = text("NATS/1.0 404 Message Not Found\r\n\r\n");
    is_int(kmq_js_read_direct(&msg, &message, &error), -1, "none");
    is_int(error.err_code, KMQ_JS_NO_MESSAGE, "which is said");
    msg.headers = text("NATS/1.0\r\n\r\n");
    is_int(kmq_js_read_direct(&msg, &message, &error), -1, "no sense");
}


/* ---------------------------------------------------------------- consumers */

static kmq_js_pushed_e
see(kmq_js_ordered_t *ordered, const char *reply, const char *headers,
    uint64_t *sequence, kmq_nats_text_t *answer)
{
    kmq_nats_msg_t  msg;

    memset(&msg, 0, sizeof(msg));
    msg.reply = text(reply);
    msg.headers = text(headers);

    return kmq_js_ordered_see(ordered, &msg, sequence, answer);
}


static void
test_ordered(void)
{
    uint64_t           sequence = 0;
    kmq_nats_text_t    answer;
    kmq_js_ordered_t   o;

    kmq_js_ordered_begin(&o, 7);
    is_int(see(&o, "$JS.ACK.q.c.1.7.1.99.3", "", &sequence, &answer),
           KMQ_JS_MESSAGE, "the first");
    ok(sequence == 7 && o.next == 8 && o.pending == 3, "its numbers");
    is_int(see(&o, "$JS.ACK.dom.acc.q.c.1.9.2.99.2", "", &sequence, &answer),
           KMQ_JS_MESSAGE, "the next, where 8 was deleted; with a domain");
    ok(sequence == 9 && o.next == 10 && o.pending == 2, "its numbers");

    is_int(see(&o, "$JS.ACK.q.c.1.12.4.99.0", "", &sequence, &answer),
           KMQ_JS_GAP, "one was missed");
    is_int(see(&o, "$JS.ACK.q.c.1.9.3.99.0", "", &sequence, &answer),
           KMQ_JS_GAP, "one again");
    is_int(o.next, 10, "which change nothing");

    is_int(see(&o, "", "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 2"
               "\r\nNats-Last-Stream: 9\r\n\r\n", &sequence, &answer),
           KMQ_JS_IDLE, "nothing new");
    is_int(see(&o, "", "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 3"
               "\r\n\r\n", &sequence, &answer), KMQ_JS_GAP,
           "the last is missing");
    is_int(see(&o, "$JS.FC.q.c.x", "NATS/1.0 100 FlowControl Request\r\n\r\n",
               &sequence, &answer), KMQ_JS_FLOW, "a question");
    is_text(&answer, "$JS.FC.q.c.x", "where to answer");
    is_int(see(&o, "", "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 2"
               "\r\nNats-Consumer-Stalled: $JS.FC.y\r\n\r\n", &sequence,
               &answer), KMQ_JS_FLOW, "it has asked before");
    is_text(&answer, "$JS.FC.y", "where");
}


static void
test_ordered_other(void)
{
    static const char *const  replies[] = {
        "", "x", "$JS.ACK.", "$JS.ACK.q.c.1.7.1.99", "$JS.ACK.q.c.1.x.1.99.0",
        "$JS.ACK.q.c.1.7.x.99.0", "$JS.ACK.q.c.1.7.1.99.x",
        "$JS.ACK.d.q.c.1.7.1.99.0", "$JS.ACKS.q.c.1.7.1.99.0"
    };

    size_t             i;
    uint64_t           sequence;
    kmq_nats_text_t    answer;
    kmq_js_ordered_t   o;

    kmq_js_ordered_begin(&o, 7);

    for (i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        is_int(see(&o, replies[i], "", &sequence, &answer), KMQ_JS_OTHER,
               "no push: %s", replies[i]);
    }

    is_int(see(&o, "", "NATS/1.0 409 Consumer Deleted\r\n\r\n", &sequence,
               &answer), KMQ_JS_OTHER, "another status");
    is_int(see(&o, "", "NATS/1.0 100\r\n\r\n", &sequence, &answer),
           KMQ_JS_OTHER, "a heartbeat that says nothing");
}


int
main(void)
{
    test_questions();
    test_subjects();
    test_expect();
    test_acks();
    test_senseless();
    test_stream();
    test_messages();
    test_ordered();
    test_ordered_other();

    return done_testing();
}
