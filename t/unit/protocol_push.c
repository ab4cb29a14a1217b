/* The JSON of a pushed message, as a client's parser sees it. */

#include <jansson.h>

#include "../../src/protocol/kmq_json.h"
#include "protocol_util.h"
#include "tap.h"


static const char  code[] = "0123456789abcdef0123456789abcdef61cf0d2e";


static size_t
compose(unsigned char *to, const char *data, const char *topic, uint32_t time,
    uint32_t delay)
{
    unsigned char   *p;
    kmq_push_tail_t  tail;

    p = kmq_push_head(to, code);
    is_int(p - to, KMQ_PUSH_HEAD_LEN, "length of the head");

    memcpy(p, data, strlen(data));
    p += strlen(data);

    memset(&tail, 0xff, sizeof(tail));
    kmq_push_topic(&tail, (const unsigned char *) topic, strlen(topic));
    ok(tail.topic_len <= KMQ_PUSH_TOPIC_MAX, "the topic's part has room");

    kmq_push_tail(&tail, time, delay ^ 1);
    kmq_push_tail(&tail, time, delay);
    kmq_push_tail(&tail, time, delay);
    ok(tail.len <= sizeof(tail.text), "the tail has room");
    memcpy(p, tail.text, tail.len);

    return (size_t) (p + tail.len - to);
}


static void
test_exact(void)
{
    size_t         len;
    unsigned char  json[4000];

    static const char  want[] =
        "{\"MessageCode\":\"0123456789abcdef0123456789abcdef61cf0d2e\","
        "\"MessageData\":\"hello\",\"Topic\":\"test_topic\","
        "\"CreateTime\":1640975470,\"ConsumedTime\":0,\"DelayTime\":0,"
        "\"Status\":-1}";

    len = compose(json, "hello", "test_topic", 1640975470, 0);
    is_bytes(json, len, want, strlen(want), "a pushed message");
}


static void
test_parsed(const char *topic, uint32_t time, uint32_t delay)
{
    size_t         len;
    json_t        *root;
    unsigned char  json[4000];

    len = compose(json, "x", topic, time, delay);
    root = json_loadb((char *) json, len, 0, NULL);

    is_int((long long) json_object_size(root), 7, "seven members");
    is_bytes(json_string_value(json_object_get(root, "Topic")),
             json_string_length(json_object_get(root, "Topic")),
             topic, strlen(topic), "the topic");
    is_int(json_integer_value(json_object_get(root, "CreateTime")), time,
           "CreateTime");
    is_int(json_integer_value(json_object_get(root, "DelayTime")), delay,
           "DelayTime");
    is_int(json_integer_value(json_object_get(root, "Status")), -1, "Status");
    is_bytes(json_string_value(json_object_get(root, "MessageCode")),
             KMQ_PUSH_CODE_LEN, code, KMQ_PUSH_CODE_LEN, "MessageCode");

    json_decref(root);
}


/* The member of a push that is not the first. */
static void
test_attempts(uint32_t attempts)
{
    size_t         len, more;
    json_t        *root;
    unsigned char  json[4000], *end;

    memset(json, 0xee, sizeof(json));
    len = compose(json, "x", "t", 7, 0);
    end = kmq_push_attempts(json + len, attempts);
    more = kmq_push_attempts_len(attempts);

    is_int(end - json, (long long) (len + more), "its length, %u", attempts);
    ok(more <= KMQ_PUSH_ATTEMPTS_MAX, "which has room");
    is_int(*end, 0xee, "nothing stands behind it");

    root = json_loadb((char *) json, len + more, 0, NULL);
    is_int((long long) json_object_size(root), 8, "eight members");
    is_int(json_integer_value(json_object_get(root, "Attempts")), attempts,
           "Attempts");
    json_decref(root);

    len -= sizeof("\"Status\":-1}") - 1;
    ok(memcmp(json + len, "\"Status\":-1,\"Attempts\":",
              sizeof("\"Status\":-1,\"Attempts\":") - 1) == 0,
       "behind Status");
}


int
main(void)
{
    char  topic[256];

    test_exact();

    test_attempts(1);
    test_attempts(9);
    test_attempts(10);
    test_attempts(65536);
    test_attempts(UINT32_MAX);

    test_parsed("a", 0, 0);
    test_parsed("\"quoted\\ \n\xe4\xb8\xad", 9, 10);
    test_parsed("b", 99, 100);
    test_parsed("c", UINT32_MAX, UINT32_MAX);

    memset(topic, 1, 255);
    topic[255] = '\0';
    test_parsed(topic, UINT32_MAX, UINT32_MAX);

    return done_testing();
}
