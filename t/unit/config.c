/* application.yaml: every key, its bounds, and every error with its place. */

#include "../../src/server/config/kmq_config.h"
#include "tap.h"


#define MESSAGES_MAX  64


static kmq_config_t  config;

/* What the last parse() had to say, "line:column text" each. */
static struct {
    int     fatal;
    char    text[800];
} messages[MESSAGES_MAX];

static size_t  nmessages;


static void
log_message(void *arg, int fatal, const char *file, size_t line,
    size_t column, const char *text)
{
    (void) arg;

    if (strcmp(file, "a.yaml") != 0 || nmessages == MESSAGES_MAX) {
        return;
    }

    messages[nmessages].fatal = fatal;
    snprintf(messages[nmessages].text, sizeof(messages[nmessages].text),
             "%zu:%zu %s", line, column, text);
    nmessages++;
}


static const char *
env(const char *name)
{
    if (strcmp(name, "KEY") == 0) {
        return "from the environment";
    }

    if (strcmp(name, "_k2") == 0) {
        return "two";
    }

    if (strcmp(name, "EMPTY") == 0) {
        return "";
    }

    if (strcmp(name, "NEWLINE") == 0) {
        return "abc\n";
    }

    return NULL;
}


static int
parse_bytes(const char *text, size_t size)
{
    kmq_config_free(&config);
    kmq_config_defaults(&config);
    nmessages = 0;

    return kmq_config_parse(&config, "a.yaml", (const unsigned char *) text,
                            size, env, log_message, NULL);
}


static int
parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}


static int
is_text(const char *got, const char *want, const char *name)
{
    return is_bytes(got, strlen(got), want, strlen(want), "%s", name);
}


static void
show_messages(void)
{
    size_t  i;

    for (i = 0; i < nmessages; i++) {
        diag("%s %s", messages[i].fatal ? "error" : "remark",
             messages[i].text);
    }
}


/* The text is refused with this one error. */
static void
refuses(const char *text, const char *message, const char *name)
{
    int  rc;

    rc = parse(text);

    if (!ok(rc == -1 && nmessages == 1 && messages[0].fatal, "%s: refused "
            "with one error", name))
    {
        show_messages();
    }

    is_text(nmessages ? messages[0].text : "(none)", message, name);
}


/* "mq:\n  key: value" is refused with "2:column "mq.key" must be ...".  The
 * place of a value that is not there is behind the colon. */
static void
refuses_value(const char *key, const char *value, const char *rest)
{
    char  text[400], message[800];

    snprintf(text, sizeof(text), "mq:\n  %s: %s\n", key, value);
    snprintf(message, sizeof(message), "2:%zu \"mq.%s\" %s",
             strlen(key) + (*value ? 5 : 4), key, rest);
    refuses(text, message, key);
}


/* ------------------------------------------------------------------- keys */

/* A number as mq's key gives it, with its bounds. */
typedef struct {
    const char  *key;
    uint32_t    *number;
    uint32_t     by_default;
    const char  *low;
    uint32_t     low_number;
    const char  *high;
    uint32_t     high_number;
    const char  *below;         /* NULL: nothing is */
    const char  *above;
    const char  *wanted;
} number_t;

static const number_t  numbers[] = {
    { "pushType", &config.topic.push_type, 1, "1", 1, "2", 2, "0", "3",
      "1 or 2" },
    { "messageChanBuffer", &config.message_chan_buffer, 1000000, "1", 1,
      "1000000000", 1000000000, "0", "1000000001",
      "a whole number from 1 to 1000000000" },
    { "pushMessagesSpeed", &config.push_messages_speed, 1000, "0", 0,
      "86400", 86400000, "-1", "86400.001",
      "a number of seconds from 0 to 86400 with at most three decimals" },
    { "sendCount", &config.send_count, 100, "1", 1, "1000000", 1000000, "0",
      "1000001", "a whole number from 1 to 1000000" },
    { "pushCount", &config.send_count, 100, "1", 1, "1000000", 1000000, "0",
      "1000001", "a whole number from 1 to 1000000" },
    { "sendRetryCount", &config.send_retry_count, 3, "0", 0, "1000", 1000,
      "-1", "1001", "a whole number from 0 to 1000" },
    { "pushRetryCount", &config.send_retry_count, 3, "0", 0, "1000", 1000,
      "-1", "1001", "a whole number from 0 to 1000" },
    { "isPersistent", &config.is_persistent, 1, "0", 0, "2", 2, "-1", "3",
      "0, 1 or 2" },
    { "recoveryStrategy", &config.recovery_strategy, 1, "0", 0, "1", 1, "-1",
      "2", "0 or 1" },
    { "persistentTime", &config.persistent_time, 5000, "0.1", 100, "3600",
      3600000, "0.099", "3601",
      "a number of seconds from 0.1 to 3600 with at most three decimals" },
    { "isRePush", &config.is_re_push, 1, "0", 0, "1", 1, "-1", "2",
      "0 or 1" },
    { "pushRetryTime", &config.topic.push_retry_time, 300000, "0.1", 100,
      "2592000", 2592000000, "0", "2592000.5",
      "a number of seconds from 0.1 to 2592000 with at most three decimals" },
    { "maxDeliveries", &config.topic.max_deliveries, 0, "0", 0, "65535",
      65535, "-1", "65536", "a whole number from 0 to 65535" },
    { "retryDelay", &config.topic.retry_delay, 1000, "0", 0, "86400",
      86400000, "-1", "86400.001",
      "a number of seconds from 0 to 86400 with at most three decimals" },
    { "retryDelayMax", &config.topic.retry_delay_max, 60000, "0.1", 100,
      "86400", 86400000, "0", "86401",
      "a number of seconds from 0.1 to 86400 with at most three decimals" },
    { "heartbeat", &config.topic.heartbeat, 30000, "0.1", 100, "3600",
      3600000, "0.099", "3600.001", "0, or a number of seconds from 0.1 to "
      "3600 with at most three decimals" },
    { "loginTime", &config.login_time, 60000, "0.1", 100, "3600", 3600000,
      "0", "3601",
      "a number of seconds from 0.1 to 3600 with at most three decimals" },
    { "drainTime", &config.drain_time, 2000, "0", 0, "3600", 3600000, "-1",
      "3600.5",
      "a number of seconds from 0 to 3600 with at most three decimals" },
    { "isClean", &config.is_clean, 1, "0", 0, "1", 1, "-1", "2", "0 or 1" },
    { "cleanTime", &config.topic.clean_time, 259200, "1", 1, "3153600000",
      3153600000, "0", "3153600001", "a whole number from 1 to 3153600000" },
    { "clearTime", &config.topic.clean_time, 259200, "1", 1, "3153600000",
      3153600000, "0", "3153600001", "a whole number from 1 to 3153600000" },
    { "isCleanConsumed", &config.is_clean_consumed, 0, "0", 0, "1", 1, "-1",
      "2", "0 or 1" },
    { "checkSpeed", &config.check_speed, 5000, "0.1", 100, "3600", 3600000,
      "0", "3600.1",
      "a number of seconds from 0.1 to 3600 with at most three decimals" },
    { "rePushSpeed", &config.check_speed, 5000, "0.1", 100, "3600", 3600000,
      "0", "3600.1",
      "a number of seconds from 0.1 to 3600 with at most three decimals" },
    { "prefetch", &config.topic.prefetch, 1000, "1", 1, "65535", 65535, "0",
      "65536", "a whole number from 1 to 65535" },
    { "maxMessageSize", &config.max_message_size, 1048576, "1", 1,
      "536870912", 536870912, "0", "536870913",
      "a size from 1 to 536870912 bytes, as in 65536, 64 KiB or 1 MiB" }
};


static void
accepts_number(const number_t *n, const char *value, uint32_t want)
{
    char  text[200];

    snprintf(text, sizeof(text), "mq:\n  %s: %s\n", n->key, value);

    if (!ok(parse(text) == 0, "%s: %s is accepted", n->key, value)) {
        show_messages();
    }

    is_int(*n->number, want, "%s: %s is kept", n->key, value);
}


static void
test_numbers(void)
{
    size_t           i, j;
    char             rest[400];
    const number_t  *n;

    /* none of these is a number, whatever YAML makes of them */
    static const char *const  bad[][2] = {
        { "many", "\"many\"" },
        { "", "empty" },
        { "~", "\"~\"" },
        { "\"7\"", "the quoted text \"7\"" },
        { "1e1", "\"1e1\"" },
        { "01", "\"01\"" },
        { "0x1", "\"0x1\"" },
        { "1_000", "\"1_000\"" },
        { "+1", "\"+1\"" },
        { "1.", "\"1.\"" },
        { ".5", "\".5\"" },
        { "1.2345", "\"1.2345\"" },
        { "yes", "\"yes\"" },
        { "99999999999999999999999", "\"99999999999999999999999\"" },
        { "[1]", "a list" },
        { "{a: 1}", "a mapping" }
    };

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        n = &numbers[i];

        ok(parse("server: {}\nmq: {}\n") == 0, "%s: not given", n->key);
        is_int(*n->number, n->by_default, "%s: its default", n->key);

        accepts_number(n, n->low, n->low_number);
        accepts_number(n, n->high, n->high_number);

        snprintf(rest, sizeof(rest), "must be %s, not \"%s\"", n->wanted,
                 n->below);
        refuses_value(n->key, n->below, rest);

        snprintf(rest, sizeof(rest), "must be %s, not \"%s\"", n->wanted,
                 n->above);
        refuses_value(n->key, n->above, rest);

        for (j = 0; j < sizeof(bad) / sizeof(bad[0]); j++) {
            snprintf(rest, sizeof(rest), "must be %s, not %s", n->wanted,
                     bad[j][1]);
            refuses_value(n->key, bad[j][0], rest);
        }
    }
}


static void
test_seconds(void)
{
    size_t  i;

    static const struct {
        const char  *value;
        uint32_t     ms;
    } good[] = {
        { "0", 0 }, { "0.0", 0 }, { "0.001", 1 }, { "0.5", 500 },
        { "1.25", 1250 }, { "2", 2000 }, { "10.010", 10010 }
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        accepts_number(&numbers[2], good[i].value, good[i].ms);
    }

    ok(parse("mq: {heartbeat: 0}\n") == 0, "heartbeat: 0 is accepted");
    is_int(config.topic.heartbeat, 0, "heartbeat: none");
}


static void
test_sizes(void)
{
    size_t           i;
    const number_t  *n;

    static const struct {
        const char  *value;
        uint32_t     bytes;
    } good[] = {
        { "1k", 1024 }, { "1 k", 1024 }, { "2K", 2048 }, { "64 KiB", 65536 },
        { "3KiB", 3072 }, { "1m", 1048576 }, { "8M", 8388608 },
        { "1 MiB", 1048576 }, { "512 MiB", 536870912 }
    };

    n = &numbers[sizeof(numbers) / sizeof(numbers[0]) - 1];

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        accepts_number(n, good[i].value, good[i].bytes);
    }

    refuses_value(n->key, "513 MiB", "must be a size from 1 to 536870912 "
                  "bytes, as in 65536, 64 KiB or 1 MiB, not \"513 MiB\"");
    refuses_value(n->key, "1 GiB", "must be a size from 1 to 536870912 "
                  "bytes, as in 65536, 64 KiB or 1 MiB, not \"1 GiB\"");
    refuses_value(n->key, "0k", "must be a size from 1 to 536870912 "
                  "bytes, as in 65536, 64 KiB or 1 MiB, not \"0k\"");
    refuses_value(n->key, "1.5m", "must be a size from 1 to 536870912 "
                  "bytes, as in 65536, 64 KiB or 1 MiB, not \"1.5m\"");
}


static void
test_confirm(void)
{
    static const char *const  names[] = { "", "socket", "pong", "ack" };

    char      text[100];
    uint32_t  value;

    ok(parse("mq: {}") == 0, "confirm: not given");
    is_int(config.topic.confirm, KMQ_CONFIRM_PONG, "confirm: its default");

    for (value = KMQ_CONFIRM_SOCKET; value <= KMQ_CONFIRM_ACK; value++) {
        snprintf(text, sizeof(text), "mq:\n  confirm: %s\n", names[value]);
        ok(parse(text) == 0, "confirm: %s is accepted", names[value]);
        is_int(config.topic.confirm, value, "confirm: %s is kept",
               names[value]);
        is_text(kmq_confirm_name(value), names[value], "confirm: its name");
        is_int(kmq_confirm_value(names[value], strlen(names[value])), value,
               "confirm: the value of %s", names[value]);
    }

    is_text(kmq_confirm_name(0), "", "confirm: 0 has no name");
    is_text(kmq_confirm_name(4), "", "confirm: 4 has no name");
    is_int(kmq_confirm_value("acks", 4), 0, "confirm: acks is no mode");
    is_int(kmq_confirm_value("ac", 2), 0, "confirm: ac is no mode");
    is_int(kmq_confirm_value("", 0), 0, "confirm: nothing is no mode");

    refuses_value("confirm", "maybe",
                  "must be socket, pong or ack, not \"maybe\"");
    refuses_value("confirm", "2", "must be socket, pong or ack, not \"2\"");
    refuses_value("confirm", "", "must be socket, pong or ack, not empty");
    refuses_value("confirm", "[ack]",
                  "must be socket, pong or ack, not a list");
}


static void
test_port(void)
{
    ok(parse("server:\n  port: 8011\nmq:\n  secretKey: own\n") == 0,
       "server.port is accepted");
    is_int(config.port, 8011, "server.port is kept");
    is_int(nmessages, 0, "server.port without a remark");

    ok(parse("server: { port: \"8012\" }\nmq:\n  secretKey: own\n") == 0,
       "server.port may be a string");
    is_int(config.port, 8012, "which is a number");
    is_int(nmessages, 0, "without a remark");
    refuses("server: { port: \"http\" }\n", "1:17 \"server.port\" must be a "
            "whole number from 1 to 65535, not \"http\"", "another string");
    refuses("server: { port: \"\" }\n", "1:17 \"server.port\" must be a "
            "whole number from 1 to 65535, not empty", "an empty one");

    ok(parse("mq: {}\n") == 0, "server.port may be left out");
    is_int(config.port, 0, "server.port is 0 then");

    refuses("server:\n  port: 0\n", "2:9 \"server.port\" must be a whole "
            "number from 1 to 65535, not \"0\"", "server.port 0");
    refuses("server:\n  port: 65536\n", "2:9 \"server.port\" must be a whole "
            "number from 1 to 65535, not \"65536\"", "server.port 65536");
}


static void
test_persistent_file(void)
{
    char  text[1200], want[KMQ_PATH_MAX + 1];

    ok(parse("mq: {}") == 0, "persistentFile: not given");
    is_text(config.persistent_file, "MQDATA", "persistentFile: its default");

    ok(parse("mq:\n  persistentFile: /var/lib/mq data\n") == 0,
       "persistentFile is accepted");
    is_text(config.persistent_file, "/var/lib/mq data",
            "persistentFile is kept");

    memset(want, 'a', KMQ_PATH_MAX);
    want[KMQ_PATH_MAX] = '\0';
    snprintf(text, sizeof(text), "mq:\n  persistentFile: %s\n", want);
    ok(parse(text) == 0, "persistentFile of 1023 bytes is accepted");
    is_text(config.persistent_file, want, "persistentFile of 1023 bytes");

    snprintf(text, sizeof(text), "mq:\n  persistentFile: a%s\n", want);
    ok(parse(text) == -1, "persistentFile of 1024 bytes is refused");

    refuses_value("persistentFile", "\"\"", "must be a text, not empty");
    refuses_value("persistentFile", "[a]", "must be a text, not a list");
    refuses_value("persistentFile", "\"a\\0b\"", "must be a path of at most "
                  "1023 bytes without control characters, not the quoted "
                  "text \"a?b\"");
}


/* ---------------------------------------------------------------- queries */

typedef const char *(*query_pt)(const char *text, size_t len,
    uint32_t *number);


/* The text changes number from before to want; KMQ_UNSET: it is refused. */
static void
query_is(query_pt query, const char *text, uint32_t before, uint32_t want)
{
    uint32_t     number;
    const char  *error;

    number = before;
    error = query(text, strlen(text), &number);

    if (want == KMQ_UNSET) {
        ok(error != NULL, "\"%s\" in a query is refused", text);
        return;
    }

    ok(error == NULL, "\"%s\" in a query is accepted", text);
    is_int(number, want, "\"%s\": %u", text, want);
}


static void
test_queries(void)
{
    size_t  i;

    static const char *const  bad[] = {
        "", "x", "-1", "+1", " 1", "1 ", "1x", "1e1", "01", "0x1", "1.", ".1",
        "1.0000", "yes", "1,5", "123456789012345678901234567890"
    };

    query_is(kmq_query_prefetch, "1", 1000, 1);
    query_is(kmq_query_prefetch, "1000", 1000, 1000);
    query_is(kmq_query_prefetch, "1001", 1000, 1000);
    query_is(kmq_query_prefetch, "99999999999", 7, 7);
    query_is(kmq_query_prefetch, "0", 7, KMQ_UNSET);
    query_is(kmq_query_prefetch, "1.5", 7, KMQ_UNSET);

    query_is(kmq_query_heartbeat, "0", 30000, 0);
    query_is(kmq_query_heartbeat, "0.1", 30000, 100);
    query_is(kmq_query_heartbeat, "2.5", 0, 2500);
    query_is(kmq_query_heartbeat, "3600", 1, 3600000);
    query_is(kmq_query_heartbeat, "0.099", 1, KMQ_UNSET);
    query_is(kmq_query_heartbeat, "3600.001", 1, KMQ_UNSET);
    query_is(kmq_query_heartbeat, "99999999999", 1, KMQ_UNSET);

    query_is(kmq_query_confirm, "ack", KMQ_CONFIRM_PONG, KMQ_CONFIRM_ACK);
    query_is(kmq_query_confirm, "Ack", KMQ_CONFIRM_PONG, KMQ_UNSET);

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        query_is(kmq_query_prefetch, bad[i], 1000, KMQ_UNSET);
        query_is(kmq_query_heartbeat, bad[i], 1000, KMQ_UNSET);
        query_is(kmq_query_confirm, bad[i], 1, KMQ_UNSET);
    }
}


/* ----------------------------------------------------------------- secret */

static void
accepts_secret(const char *value, const char *want)
{
    char  text[600];

    snprintf(text, sizeof(text), "mq:\n  secretKey: %s\n", value);

    if (!ok(parse(text) == 0, "secretKey: %.60s is accepted", value)) {
        show_messages();
    }

    is_text(config.secret_key, want, "secretKey is kept");
    is_int(config.secret_key_len, strlen(want), "secretKey's length");
    is_int(nmessages, 0, "secretKey without a remark");
}


static void
test_secret(void)
{
    char  secret[300];

    accepts_secret("own", "own");
    accepts_secret("12345", "12345");
    accepts_secret("\"a: b # c\"", "a: b # c");
    accepts_secret("p\xc3\xa4ss", "p\xc3\xa4ss");
    accepts_secret("${KEY}", "from the environment");
    accepts_secret("'a-${_k2}-b'", "a-two-b");
    accepts_secret("${_k2}${_k2}", "twotwo");
    accepts_secret("a$b$", "a$b$");
    accepts_secret("x${EMPTY}", "x");

    memset(secret, 's', KMQ_SECRET_MAX);
    secret[KMQ_SECRET_MAX] = '\0';
    accepts_secret(secret, secret);

    strcat(secret, "s");
    refuses_value("secretKey", secret, "must have 1 to 255 bytes, not 256");

    refuses_value("secretKey", "", "must be a text, not empty");
    refuses_value("secretKey", "\"\"", "must be a text, not empty");
    refuses_value("secretKey", "null", "must be a text, not \"null\"");
    refuses_value("secretKey", "{a: b}", "must be a text, not a mapping");
    refuses_value("secretKey", "${EMPTY}",
                  "must have 1 to 255 bytes, not 0");
    refuses_value("secretKey", "x${NOT_SET}", "names the environment "
                  "variable \"NOT_SET\", which has no value");
    refuses_value("secretKey", "${KEY", "has a \"${\" without the name of a "
                  "variable and a \"}\" behind it");
    refuses_value("secretKey", "${}", "has a \"${\" without the name of a "
                  "variable and a \"}\" behind it");
    refuses_value("secretKey", "${1A}", "has a \"${\" without the name of a "
                  "variable and a \"}\" behind it");
    refuses_value("secretKey", "${A-B}", "has a \"${\" without the name of a "
                  "variable and a \"}\" behind it");
    refuses_value("secretKey", "${NEWLINE}", "must not have control "
                  "characters, nor a space at its beginning or end");
    refuses_value("secretKey", "\" a\"", "must not have control "
                  "characters, nor a space at its beginning or end");
    refuses_value("secretKey", "\"a \"", "must not have control "
                  "characters, nor a space at its beginning or end");
    refuses_value("secretKey", "\"a\\0b\"", "must not have control "
                  "characters, nor a space at its beginning or end");
}


/* What is accepted, but not without a word. */
static void
remarks(const char *text, const char *message)
{
    if (!ok(parse(text) == 0 && nmessages == 1 && !messages[0].fatal,
            "accepted with one remark: %s", message))
    {
        show_messages();
    }

    is_text(nmessages ? messages[0].text : "(none)", message, "the remark");
}


static void
test_remarks(void)
{
    remarks("mq:\n  secretKey: test\n", "2:14 set your own "
            "\"mq.secretKey\": \"test\" is published and everybody knows it");
    remarks("mq: {}\n", "0:0 set your own \"mq.secretKey\": \"test\" is "
            "published and everybody knows it");
    remarks("mq:\n  secretKey: a\nserver:\n  addr: 127.0.0.1\n",
            "4:9 \"server.addr\" has no meaning here and is ignored");
    remarks("mq:\n  secretKey: a\n\ncluster:\n  isCluster: 0\n  x: [1, 2]\n",
            "5:3 \"cluster\" has no meaning here and is ignored");
    remarks("sync: {isSync: 0}\nmq:\n  secretKey: a\n",
            "1:7 \"sync\" has no meaning here and is ignored");
    is_int(config.is_sync, 0, "isSync is 0");
    remarks("mq:\n  secretKey: a\nsync:\n  [a, b]: {isSync: 1}\n"
            "  list: [isSync, 1]\n  isSync: 1\n  peers: {isSync: 0}\n",
            "4:3 \"sync\" has no meaning here and is ignored");
    is_int(config.is_sync, 1, "isSync is 1");
    is_int(config.is_cluster, 0, "isCluster is not there");
    remarks("mq:\n  secretKey: a\ncluster: {isCluster: 1, isSync: 0}\n",
            "3:10 \"cluster\" has no meaning here and is ignored");
    is_int(config.is_cluster, 1, "isCluster is 1");
    remarks("mq:\n  secretKey: a\ncluster: 1\n",
            "3:10 \"cluster\" has no meaning here and is ignored");
    is_int(config.is_cluster, 0, "there is none in it");
    remarks("mq:\n  persistentPath: ./data.csv\n  secretKey: a\n",
            "2:19 \"mq.persistentPath\" has no meaning here and is ignored");
    ok(parse("mq:\n  secretKey: a\n  isPersistent: 2\n") == 0
       && nmessages == 0, "what is as it should be needs no remark");
}


/* ----------------------------------------------------------------- topics */

static void
test_topics(void)
{
    kmq_topic_config_t  t;

    if (!ok(parse("mq:\n"
                  "  secretKey: a\n"
                  "  prefetch: 7\n"
                  "  topics:\n"
                  "    orders:\n"
                  "      pushType: 2\n"
                  "      confirm: ack\n"
                  "      prefetch: 50\n"
                  "    \"a b\": {pushRetryTime: 1.5, maxDeliveries: 3,\n"
                  "            cleanTime: 60, retryDelay: 0.5,\n"
                  "            retryDelayMax: 7, heartbeat: 0}\n"
                  "    none:\n"
                  "    123: {}\n") == 0, "topics are accepted"))
    {
        show_messages();
    }

    is_int(config.ntopics, 4, "four topics");

    kmq_config_topic(&config, "orders", 6, &t);
    is_int(t.push_type, 2, "orders: its own pushType");
    is_int(t.confirm, KMQ_CONFIRM_ACK, "orders: its own confirm");
    is_int(t.prefetch, 50, "orders: its own prefetch");
    is_int(t.push_retry_time, 300000, "orders: the queue's pushRetryTime");
    is_int(t.max_deliveries, 0, "orders: the queue's maxDeliveries");
    is_int(t.clean_time, 259200, "orders: the queue's cleanTime");
    is_int(t.retry_delay, 1000, "orders: the queue's retryDelay");
    is_int(t.retry_delay_max, 60000, "orders: the queue's retryDelayMax");
    is_int(t.heartbeat, 30000, "orders: the queue's heartbeat");

    kmq_config_topic(&config, "a b", 3, &t);
    is_int(t.push_type, 1, "a b: the queue's pushType");
    is_int(t.confirm, KMQ_CONFIRM_PONG, "a b: the queue's confirm");
    is_int(t.prefetch, 7, "a b: the queue's prefetch");
    is_int(t.push_retry_time, 1500, "a b: its own pushRetryTime");
    is_int(t.max_deliveries, 3, "a b: its own maxDeliveries");
    is_int(t.clean_time, 60, "a b: its own cleanTime");
    is_int(t.retry_delay, 500, "a b: its own retryDelay");
    is_int(t.retry_delay_max, 7000, "a b: its own retryDelayMax");
    is_int(t.heartbeat, 0, "a b: its own heartbeat");

    kmq_config_topic(&config, "123", 3, &t);
    is_int(t.prefetch, 7, "123: the queue's prefetch");
    is_text(t.name, "123", "123: its name");

    kmq_config_topic(&config, "order", 5, &t);
    is_int(t.prefetch, 7, "an unknown topic: the queue's prefetch");
    ok(t.name == NULL, "an unknown topic: no name");

    kmq_config_topic(&config, "orders2", 7, &t);
    is_int(t.prefetch, 7, "a longer name is another topic");

    ok(parse("mq:\n  topics:\n") == 0 && config.ntopics == 0,
       "topics may be empty");
}


static void
test_topic_errors(void)
{
    char  text[400], name[300], message[400];

    refuses("mq:\n  topics:\n    a: {prefetch: 0}\n",
            "3:19 \"mq.topics.a.prefetch\" must be a whole number from 1 to "
            "65535, not \"0\"", "a topic's value");
    refuses("mq:\n  topics:\n    a: {sendCount: 5}\n",
            "3:9 \"sendCount\" cannot be set for a single topic "
            "(\"mq.topics.a.sendCount\")", "a key that topics do not have");
    refuses("mq:\n  topics:\n    a: {foo: 5}\n",
            "3:9 unknown key \"mq.topics.a.foo\"", "a topic's unknown key");
    refuses("mq:\n  topics:\n    a: {prefetch: 5}\n    a: {}\n",
            "4:5 the topic \"a\" is given twice", "a topic twice");
    refuses("mq:\n  topics:\n    a: 5\n",
            "3:8 \"mq.topics.a\" must be a mapping (\"key: value\" lines), "
            "not \"5\"", "a topic that is no mapping");
    refuses("mq:\n  topics: [a]\n",
            "2:11 \"mq.topics\" must be a mapping (\"key: value\" lines), "
            "not a list", "topics as a list");
    refuses("mq:\n  topics:\n    \"\": {}\n",
            "3:5 the name of a topic must have 1 to 255 bytes, none of them "
            "zero: \"\"", "a topic without a name");
    refuses("mq:\n  topics:\n    \"a\\0b\": {}\n",
            "3:5 the name of a topic must have 1 to 255 bytes, none of them "
            "zero: \"a?b\"", "a topic's name with a zero byte");
    refuses("mq:\n  topics:\n    ? [a]\n    : {}\n",
            "3:7 the name of a topic must be a text",
            "a topic's name that is a list");

    memset(name, 'n', 256);
    name[255] = '\0';
    snprintf(text, sizeof(text), "mq:\n  topics:\n    %s: {}\n", name);
    ok(parse(text) == 0 && config.topics[0].name_len == 255,
       "a topic's name of 255 bytes");

    name[255] = 'n';
    name[256] = '\0';
    snprintf(text, sizeof(text), "mq:\n  topics:\n    ? %s\n    : {}\n",
             name);
    name[60] = '\0';
    snprintf(message, sizeof(message), "3:7 the name of a topic must have 1 "
             "to 255 bytes, none of them zero: \"%s...\"", name);
    refuses(text, message, "a topic's name of 256 bytes");
}


/* Thousands of topics, given in no order, are found. */
static void
test_many_topics(void)
{
    int                  i, j, missing;
    char                *text, name[20];
    size_t               len;
    kmq_topic_config_t   t;

    text = malloc(4200 * 40);
    if (text == NULL) {
        ok(0, "memory for a long file");
        return;
    }

    for (i = 4096; i <= 4097; i++) {
        len = (size_t) sprintf(text, "mq:\n  topics:\n");

        for (j = 0; j < i; j++) {
            len += (size_t) sprintf(text + len, "    t%d: {prefetch: %d}\n",
                                    j * 2617 % 8191, j + 1);
        }

        if (i == 4096) {
            ok(parse(text) == 0, "4096 topics are accepted");
            is_int(config.ntopics, 4096, "4096 topics are kept");

            for (missing = 0, j = 0; j < i; j++) {
                sprintf(name, "t%d", j * 2617 % 8191);
                kmq_config_topic(&config, name, strlen(name), &t);
                missing += (t.prefetch != (uint32_t) j + 1);
            }

            is_int(missing, 0, "each of 4096 topics is found");

        } else {
            ok(parse(text) == -1, "4097 topics are refused");
            ok(nmessages == 1 && strstr(messages[0].text, "4099:5 more than "
                                        "4096 topics, from \"t"),
               "4097 topics: the error");
        }
    }

    free(text);
}


/* ------------------------------------------------------------- structure */

static void
test_aliases(void)
{
    static const char *const  text = "mq:\n  sendCount: 5\n  pushCount: %s\n";

    char  buffer[100];

    snprintf(buffer, sizeof(buffer), text, "5");
    ok(parse(buffer) == 0, "two names of one setting may agree");
    is_int(config.send_count, 5, "the agreed value");

    refuses("mq:\n  sendCount: 5\n  pushCount: 6\n",
            "3:3 \"mq.pushCount\" differs from \"sendCount\" in line 2, "
            "which is another name of the same", "two names that differ");
    refuses("mq:\n  pushCount: 6\n  sendCount: 5\n",
            "3:3 \"mq.sendCount\" differs from \"pushCount\" in line 2, "
            "which is another name of the same", "the same, reversed");
    refuses("mq:\n  sendRetryCount: 6\n  pushRetryCount: 7\n",
            "3:3 \"mq.pushRetryCount\" differs from \"sendRetryCount\" in "
            "line 2, which is another name of the same", "an early name");
}


static void
test_structure(void)
{
    refuses("", "0:0 the file must be a mapping with the keys \"server\" and "
            "\"mq\", not empty", "an empty file");
    refuses("# nothing\n", "0:0 the file must be a mapping with the keys "
            "\"server\" and \"mq\", not empty", "comments alone");
    refuses("---\n...\n", "2:1 the file must be a mapping with the keys "
            "\"server\" and \"mq\", not empty", "an empty document");
    refuses("- a\n", "1:1 the file must be a mapping with the keys "
            "\"server\" and \"mq\", not a list", "a list");
    refuses("hello", "1:1 the file must be a mapping with the keys "
            "\"server\" and \"mq\", not \"hello\"", "a word");
    refuses("mq: 5\n", "1:5 \"mq\" must be a mapping (\"key: value\" lines), "
            "not \"5\"", "mq as a number");
    refuses("server: [a]\n", "1:9 \"server\" must be a mapping "
            "(\"key: value\" lines), not a list", "server as a list");
    refuses("mq: {}\n---\nmq: {}\n", "2:1 a second document begins here; "
            "only one is allowed", "two documents");
    refuses("mq: {}\n...\n---\n", "3:1 a second document begins here; "
            "only one is allowed", "a second document that is empty");

    refuses("foo: 1\n", "1:1 unknown key \"foo\"", "an unknown section");
    refuses("mq:\n  foo: 1\n", "2:3 unknown key \"mq.foo\"",
            "an unknown key");
    refuses("mq:\n  foo: {a: [b, {c: d}]}\n", "2:3 unknown key \"mq.foo\"",
            "an unknown key with a large value");
    refuses("mq:\n  sendcount: 1\n", "2:3 unknown key \"mq.sendcount\", did "
            "you mean \"sendCount\"?", "a key in the wrong letters");
    refuses("mq:\n  <<: {}\n", "2:3 unknown key \"mq.<<\"", "a merge");
    refuses("mq:\n  \"sendCount\\0\": 1\n", "2:3 unknown key "
            "\"mq.sendCount?\", did you mean \"sendCount\"?",
            "a key with a zero byte");
    refuses("mq:\n  ? [a, b]\n  : 1\n", "2:5 a key must be a plain word",
            "a list as a key");
    refuses("server:\n  prot: 1\n", "2:3 unknown key \"server.prot\"",
            "an unknown key of server");

    refuses("mq:\n  sendCount: 1\n  isClean: 1\n  sendCount: 1\n",
            "4:3 \"mq.sendCount\" is given twice, first in line 2",
            "a key twice");
    refuses("mq: {}\nmq: {}\n", "2:1 \"mq\" is given twice, first in line 1",
            "a section twice");
}


static void
test_yaml(void)
{
    refuses("mq:\n  sendCount: &n 5\n  prefetch: *n\n",
            "2:14 an anchor (&) or alias (*) is not allowed here: \"n\"",
            "an anchor");
    refuses("mq: &m\n  sendCount: 5\n",
            "1:5 an anchor (&) or alias (*) is not allowed here: \"m\"",
            "an anchor of a mapping");
    refuses("mq: *m\n",
            "1:5 an anchor (&) or alias (*) is not allowed here: \"m\"",
            "an alias");
    refuses("mq:\n  sendCount: !!int 5\n", "2:14 a tag (!) is not allowed "
            "here: \"tag:yaml.org,2002:int\"", "a tag");
    refuses("mq: {isClean: 1\n", "2:1 did not find expected ',' or '}' "
            "(while parsing a flow mapping)", "a mapping without its end");
    refuses("mq:\n\tsendCount: 5\n", "2:1 found character that cannot start "
            "any token (while scanning for the next token)", "a tab");
    refuses("mq:\n  isClean: 1: 2\n", "2:13 mapping values are not allowed "
            "in this context", "a colon too many");
    refuses("mq:\n  a\xff: 1\n", "2:4 invalid leading UTF-8 octet",
            "a byte that is not UTF-8");
    refuses("mq:\n  a\x01: 1\n", "2:4 control characters are not allowed",
            "a control character");
}


static void
test_many_errors(void)
{
    int     i;
    char    text[2000];
    size_t  len;

    len = (size_t) sprintf(text, "mq:\n  prefetch: 0\n  sendCount: x\n"
                           "  foo: 1\n  topics: 3\n");

    ok(parse(text) == -1, "several errors in one file");
    is_int(nmessages, 4, "each of them is told");

    for (i = 0; i < 40; i++) {
        len += (size_t) sprintf(text + len, "  foo%d: 1\n", i);
    }

    ok(parse(text) == -1, "many errors in one file");
    is_int(nmessages, 21, "there is an end to telling them");
    is_text(messages[20].text, "21:3 too many errors, the rest of the file "
            "was not read", "the last message");
}


static void
test_bounds(void)
{
    char    *text;
    size_t   size;

    size = 1024 * 1024;
    text = malloc(size + 1);
    if (text == NULL) {
        ok(0, "memory for a long file");
        return;
    }

    memset(text, '#', size + 1);
    memcpy(text, "mq: {}\n", 7);

    ok(parse_bytes(text, size) == 0, "a file of 1 MiB is read");
    ok(parse_bytes(text, size + 1) == -1, "a larger one is refused");
    is_text(messages[0].text, "0:0 the file has 1048577 bytes, more than "
            "1048576", "a larger one: the error");

    memset(text, '[', size);
    ok(parse_bytes(text, size) == -1, "a million brackets are refused");
    is_int(nmessages, 2, "a million brackets: two errors");
    is_text(messages[1].text, "1:17 nested more than 16 levels deep",
            "a million brackets: the error");

    free(text);
}


/* ---------------------------------------------------------------- listing */

static char  listed[2000];


static void
list_key(void *arg, const char *key, double number, const char *text)
{
    size_t  len;

    (void) arg;
    len = strlen(listed);

    if (text) {
        snprintf(listed + len, sizeof(listed) - len, "%s=%s ", key, text);

    } else {
        snprintf(listed + len, sizeof(listed) - len, "%s=%.10g ", key,
                 number);
    }
}


static void
test_each(void)
{
    ok(parse("mq:\n"
             "  pushMessagesSpeed: 0.25\n"
             "  pushCount: 9\n"
             "  persistentFile: data\n"
             "  topics:\n"
             "    a: {confirm: ack, pushRetryTime: 2.5}\n") == 0,
       "a file to list");

    listed[0] = '\0';
    kmq_config_each(&config, list_key, NULL);
    is_text(listed, "pushType=1 messageChanBuffer=1000000 "
            "pushMessagesSpeed=0.25 sendCount=9 pushCount=9 "
            "sendRetryCount=3 persistentFile=data isPersistent=1 "
            "recoveryStrategy=1 persistentTime=5 isRePush=1 "
            "pushRetryTime=300 maxDeliveries=0 retryDelay=1 "
            "retryDelayMax=60 isClean=1 cleanTime=259200 "
            "isCleanConsumed=0 checkSpeed=5 confirm=pong prefetch=1000 "
            "maxMessageSize=1048576 heartbeat=30 loginTime=60 drainTime=2 ",
            "all keys are listed");

    listed[0] = '\0';
    kmq_config_each_own(&config.topics[0], list_key, NULL);
    is_text(listed, "pushRetryTime=2.5 confirm=ack ",
            "a topic's own keys are listed");
}


/* "key@line " of an entry, with what is special about it. */
static void
list_entry(const kmq_config_entry_t *entry)
{
    size_t  len;

    len = strlen(listed);

    snprintf(listed + len, sizeof(listed) - len, "%s%s%s%s@%u ",
             entry->key, entry->alias ? "(alias)" : "",
             entry->secret ? "=" : "",
             entry->secret ? entry->text : "", entry->line);
}


/* Where the parsed file sets what, from the first of both lists on. */
static void
list_places(void)
{
    size_t         i;
    unsigned       n;
    kmq_config_entry_t  entry;

    listed[0] = '\0';

    for (n = 0; kmq_config_entry(&config, &n, &entry); /* void */ ) {
        if (entry.line || entry.secret || entry.alias) {
            list_entry(&entry);
        }
    }

    for (i = 0; i < config.ntopics; i++) {
        for (n = 0; kmq_config_own(&config.topics[i], &n, &entry); ) {
            list_entry(&entry);
        }
    }
}


static void
test_places(void)
{
    kmq_config_free(&config);
    kmq_config_defaults(&config);
    ok(config.file == NULL, "defaults come from no file");

    list_places();
    is_text(listed, "secretKey=default@0 pushCount(alias)@0 ",
            "nor from any line");

    ok(parse("server: {port: 8011}\n"
             "# a comment\n"
             "mq:\n"
             "\n"
             "  prefetch: 5\n"
             "  topics:\n"
             "    b:\n"
             "      # another\n"
             "      prefetch: 6\n"
             "      clearTime: 7\n"
             "    a: {pushType: 2, pushRetryTime: 1,\n"
             "        maxDeliveries: 3, confirm: ack}\n"
             "  secretKey:\n"
             "    own\n"
             "  rePushSpeed: 2\n"
             "  pushCount: 7\n"
             "  persistentFile: data\n") == 0, "a file with places");

    is_text(config.file, "a.yaml", "its name is kept");

    list_places();
    is_text(listed, "secretKey=set@13 sendCount@16 pushCount(alias)@0 "
            "persistentFile@17 checkSpeed@15 prefetch@5 "
            "pushType@11 pushRetryTime@11 maxDeliveries@12 confirm@12 "
            "cleanTime@10 prefetch@9 ", "the line of each key that it sets");

    ok(parse("mq: {secretKey: test}\n") == 0, "another file");

    list_places();
    is_text(listed, "secretKey=default@1 pushCount(alias)@0 ",
            "nothing is left of the one before");
}


/* The file of the original, with its comments and sections. */
static void
test_original(void)
{
    int  rc;

    rc = parse("server:\n"
               "  # \xe8\xbf\x90\xe8\xa1\x8c\xe7\xab\xaf\xe5\x8f\xa3\n"
               "  addr: 127.0.0.1\n"
               "  port: 8011\n"
               "\n"
               "mq:\r\n"
               "  secretKey: test\r\n"
               "  pushType: 1\r\n"
               "  messageChanBuffer: 10000000\n"
               "  pushMessagesSpeed: 1\n"
               "  pushCount: 1000\n"
               "  pushRetryTime: 300\n"
               "  persistentFile: MQDATA\n"
               "  isPersistent: 0\n"
               "  recoveryStrategy: 1\n"
               "  persistentTime: 5\n"
               "  isCleanConsumed: 0\n"
               "  isRePush: 1\n"
               "  isClean: 1\n"
               "  checkSpeed: 5\n"
               "  cleanTime: 259200\n"
               "cluster:\n"
               "  isCluster: 0\n"
               "  gossipPort: 8021\n"
               "  registryAddr: 127.0.0.1\n"
               "  registryGossipPort: 8041\n");

    if (!ok(rc == 0, "the original's file is accepted")) {
        show_messages();
    }

    is_int(nmessages, 3, "with three remarks: addr, cluster, the key");
    is_int(config.port, 8011, "its port");
    is_int(config.message_chan_buffer, 10000000, "its messageChanBuffer");
    is_int(config.send_count, 1000, "its pushCount");
}


/* The file that is shipped says what the defaults are. */
static void
test_shipped(const char *name)
{
    FILE          *f;
    char           text[65536];
    size_t         size;
    kmq_config_t   defaults;

    f = fopen(name, "rb");
    if (!ok(f != NULL, "%s is there", name)) {
        return;
    }

    size = fread(text, 1, sizeof(text), f);
    fclose(f);

    if (!ok(parse_bytes(text, size) == 0, "%s is accepted", name)) {
        show_messages();
    }

    is_int(nmessages, 1, "%s: the key is the one remark", name);
    is_int(config.port, 0, "%s: no port, which listen opens", name);

    kmq_config_defaults(&defaults);

    listed[0] = '\0';
    kmq_config_each(&config, list_key, NULL);
    size = strlen(listed);
    kmq_config_each(&defaults, list_key, NULL);
    is_bytes(listed, size, listed + size, strlen(listed) - size,
             "%s: every value is its default", name);
}


int
main(void)
{
    test_numbers();
    test_seconds();
    test_queries();
    test_sizes();
    test_confirm();
    test_port();
    test_persistent_file();
    test_secret();
    test_remarks();
    test_topics();
    test_topic_errors();
    test_many_topics();
    test_aliases();
    test_structure();
    test_yaml();
    test_many_errors();
    test_bounds();
    test_each();
    test_places();
    test_original();
    test_shipped("conf/application.yaml");

    kmq_config_free(&config);

    return done_testing();
}
