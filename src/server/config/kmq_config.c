/*
 * application.yaml, see kmq_config.h.
 *
 * The file is read as a stream of events, so that every message has its line
 * and column, nothing is expanded, and no tree is built: what may stand where
 * is a table of keys for each mapping.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../engine/kmq.h"
#include "kmq_yaml.h"


#define KMQ_CONFIG_FILE_MAX    (1024 * 1024)
#define KMQ_CONFIG_TOPICS_MAX  4096
#define KMQ_CONFIG_PUBLISHED   "test"


static void kmq_read_server(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);
static void kmq_read_mq(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);
static void kmq_read_topics(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);
static void kmq_read_ignored(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);
static void kmq_read_several(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);


/* ----------------------------------------------------------------- tables */

#define KMQ_MEMBER(field)        offsetof(kmq_config_t, field)
#define KMQ_TOPIC_MEMBER(field)  offsetof(kmq_topic_config_t, field)

static const kmq_key_t  kmq_root_keys[] = {
    { "server", kmq_read_server, 0, 0, 0, 0, 0 },
    { "mq", kmq_read_mq, 0, 0, 0, 0, 0 },
    { "cluster", kmq_read_several, 0, 0, 0, 0, 0 },
    { "sync", kmq_read_several, 0, 0, 0, 0, 0 },
    { NULL, NULL, 0, 0, 0, 0, 0 }
};

static const kmq_key_t  kmq_server_keys[] = {
    { "port", kmq_value_port, KMQ_MEMBER(port), 1, 65535, 0, 0 },
    { "addr", kmq_read_ignored, 0, 0, 0, 0, 0 },
    { "ip", kmq_read_ignored, 0, 0, 0, 0, 0 },
    { NULL, NULL, 0, 0, 0, 0, 0 }
};

/*
 * In the order of the specification: each with its bounds and its default.
 * Seconds are kept in milliseconds, and so are these.  Names that only early
 * versions of the original had are aliases of what became of them, or ignored.
 */
static const kmq_key_t  kmq_mq_keys[] = {
    { "secretKey", kmq_value_secret, KMQ_MEMBER(secret_key),
      1, KMQ_SECRET_MAX, 0, KMQ_CONFIG_HIDDEN },
    { "pushType", kmq_value_whole, KMQ_TOPIC_MEMBER(push_type),
      1, 2, KMQ_PUSH_ONE, KMQ_CONFIG_TOPIC },
    { "messageChanBuffer", kmq_value_whole, KMQ_MEMBER(message_chan_buffer),
      1, 1000000000, 1000000, 0 },
    { "pushMessagesSpeed", kmq_value_seconds, KMQ_MEMBER(push_messages_speed),
      0, 86400000, 1000, 0 },
    { "sendCount", kmq_value_whole, KMQ_MEMBER(send_count),
      1, 1000000, 100, 0 },
    { "pushCount", kmq_value_whole, KMQ_MEMBER(send_count),
      1, 1000000, 100, KMQ_CONFIG_ALIAS },
    { "sendRetryCount", kmq_value_whole, KMQ_MEMBER(send_retry_count),
      0, 1000, 3, 0 },
    { "pushRetryCount", kmq_value_whole, KMQ_MEMBER(send_retry_count),
      0, 1000, 3, KMQ_CONFIG_ALIAS|KMQ_CONFIG_HIDDEN },
    { "persistentFile", kmq_value_path, KMQ_MEMBER(persistent_file),
      1, KMQ_PATH_MAX, 0, 0 },
    { "isPersistent", kmq_value_whole, KMQ_MEMBER(is_persistent),
      0, 2, 1, 0 },
    { "recoveryStrategy", kmq_value_whole, KMQ_MEMBER(recovery_strategy),
      0, 1, 1, 0 },
    { "persistentTime", kmq_value_seconds, KMQ_MEMBER(persistent_time),
      100, 3600000, 5000, 0 },
    { "isRePush", kmq_value_whole, KMQ_MEMBER(is_re_push),
      0, 1, 1, 0 },
    { "pushRetryTime", kmq_value_seconds, KMQ_TOPIC_MEMBER(push_retry_time),
      100, 2592000000, 300000, KMQ_CONFIG_TOPIC },
    { "maxDeliveries", kmq_value_whole, KMQ_TOPIC_MEMBER(max_deliveries),
      0, KMQ_DELIVERIES_MAX, 0, KMQ_CONFIG_TOPIC },
    { "retryDelay", kmq_value_seconds, KMQ_TOPIC_MEMBER(retry_delay),
      0, 86400000, 1000, KMQ_CONFIG_TOPIC },
    { "retryDelayMax", kmq_value_seconds, KMQ_TOPIC_MEMBER(retry_delay_max),
      100, 86400000, 60000, KMQ_CONFIG_TOPIC },
    { "isClean", kmq_value_whole, KMQ_MEMBER(is_clean),
      0, 1, 1, 0 },
    { "cleanTime", kmq_value_whole, KMQ_TOPIC_MEMBER(clean_time),
      1, 3153600000, 259200, KMQ_CONFIG_TOPIC },
    { "clearTime", kmq_value_whole, KMQ_TOPIC_MEMBER(clean_time),
      1, 3153600000, 259200,
      KMQ_CONFIG_TOPIC|KMQ_CONFIG_ALIAS|KMQ_CONFIG_HIDDEN },
    { "isCleanConsumed", kmq_value_whole, KMQ_MEMBER(is_clean_consumed),
      0, 1, 0, 0 },
    { "checkSpeed", kmq_value_seconds, KMQ_MEMBER(check_speed),
      100, 3600000, 5000, 0 },
    { "rePushSpeed", kmq_value_seconds, KMQ_MEMBER(check_speed),
      100, 3600000, 5000, KMQ_CONFIG_ALIAS|KMQ_CONFIG_HIDDEN },
    { "confirm", kmq_value_confirm, KMQ_TOPIC_MEMBER(confirm),
      KMQ_CONFIRM_SOCKET, KMQ_CONFIRM_ACK, KMQ_CONFIRM_PONG, KMQ_CONFIG_TOPIC },
    { "prefetch", kmq_value_whole, KMQ_TOPIC_MEMBER(prefetch),
      1, KMQ_PREFETCH_MAX, 1000, KMQ_CONFIG_TOPIC },
    /* six times as much, once escaped, has to fit into 32 bits */
    { "maxMessageSize", kmq_value_size, KMQ_MEMBER(max_message_size),
      1, 512 * 1024 * 1024, 1024 * 1024, 0 },
    { "heartbeat", kmq_value_seconds, KMQ_TOPIC_MEMBER(heartbeat),
      KMQ_HEARTBEAT_MIN, KMQ_HEARTBEAT_MAX, 30000,
      KMQ_CONFIG_TOPIC|KMQ_CONFIG_ZERO },
    { "loginTime", kmq_value_seconds, KMQ_MEMBER(login_time),
      100, 3600000, 60000, 0 },
    { "drainTime", kmq_value_seconds, KMQ_MEMBER(drain_time),
      0, 3600000, 2000, 0 },
    { "topics", kmq_read_topics, 0, 0, 0, 0, KMQ_CONFIG_HIDDEN },
    { "keys", kmq_read_keys, 0, 0, 0, 0, KMQ_CONFIG_HIDDEN },
    { "tokens", kmq_read_tokens, 0, 0, 0, 0, KMQ_CONFIG_HIDDEN },

    { "persistentPath", kmq_read_ignored, 0, 0, 0, 0, KMQ_CONFIG_HIDDEN },
    { "rePushCount", kmq_read_ignored, 0, 0, 0, 0, KMQ_CONFIG_HIDDEN },
    { "checkCount", kmq_read_ignored, 0, 0, 0, 0, KMQ_CONFIG_HIDDEN },
    { "consumeLogChanBuffer", kmq_read_ignored, 0, 0, 0, 0,
      KMQ_CONFIG_HIDDEN },
    { "unconsumeLogChanBuffer", kmq_read_ignored, 0, 0, 0, 0,
      KMQ_CONFIG_HIDDEN },
    { NULL, NULL, 0, 0, 0, 0, 0 }
};

_Static_assert(sizeof(kmq_mq_keys) / sizeof(kmq_mq_keys[0])
               <= KMQ_CONFIG_KEYS, "more keys than a mapping has lines for");

_Static_assert(KMQ_TOPIC_MEMBER(line)
               == KMQ_TOPIC_MEMBER(push_type)
                  + KMQ_CONFIG_OWN * sizeof(uint32_t),
               "a topic's lines are those of the numbers before them");


/* --------------------------------------------------------------- mappings */

int
kmq_enter(kmq_yaml_t *y, const char *where, const char *name)
{
    char  what[KMQ_YAML_WHAT];

    if (y->event.type == YAML_MAPPING_START_EVENT) {
        return 1;
    }

    if (!kmq_yaml_is_null(y)) {
        kmq_yaml_report_here(y, 1, "\"%s%s\" must be a mapping (\"key: "
                             "value\" lines), not %s", where, name,
                             kmq_yaml_what(y, what));
        kmq_yaml_skip(y);
    }

    return 0;
}


static void
kmq_report_unknown(kmq_yaml_t *y, const kmq_map_t *map)
{
    char              shown[KMQ_UTF8_SHOWN];
    const char       *name;
    const kmq_key_t  *key;

    name = (const char *) y->event.data.scalar.value;
    kmq_utf8_show(shown, y->event.data.scalar.value,
                  y->event.data.scalar.length);

    for (key = map->keys; key->name; key++) {
        if (strcasecmp(key->name, name) == 0) {
            kmq_yaml_report_here(y, 1, "unknown key \"%s%s\", did you mean "
                                 "\"%s\"?", map->where, shown, key->name);
            return;
        }
    }

    kmq_yaml_report_here(y, 1, "unknown key \"%s%s\"", map->where, shown);
}


/* The key that the current event names, NULL when it is not allowed. */
static const kmq_key_t *
kmq_find_key(kmq_yaml_t *y, kmq_map_t *map)
{
    const char       *name;
    const kmq_key_t  *key;

    if (y->event.type != YAML_SCALAR_EVENT) {
        kmq_yaml_report_here(y, 1, "a key must be a plain word");
        kmq_yaml_skip(y);
        return NULL;
    }

    name = (const char *) y->event.data.scalar.value;

    for (key = map->keys; key->name; key++) {
        if (strlen(key->name) == y->event.data.scalar.length
            && strcmp(key->name, name) == 0)
        {
            break;
        }
    }

    if (key->name == NULL) {
        kmq_report_unknown(y, map);
        return NULL;
    }

    if (map->single && !(key->flags & KMQ_CONFIG_TOPIC)) {
        kmq_yaml_report_here(y, 1, "\"%s\" cannot be set for a single topic "
                             "(\"%s%s\")", key->name, map->where, key->name);
        return NULL;
    }

    if (map->line[key - map->keys]) {
        kmq_yaml_report_here(y, 1, "\"%s%s\" is given twice, first in line "
                             "%zu", map->where, key->name,
                             map->line[key - map->keys]);
        return NULL;
    }

    return key;
}


/* Another name that the number has got a value by, or NULL. */
static const kmq_key_t *
kmq_other_name(const kmq_map_t *map, const kmq_key_t *key)
{
    const kmq_key_t  *other;

    if (key->flags & KMQ_CONFIG_ALIAS) {
        other = key - 1;

    } else if (key[1].flags & KMQ_CONFIG_ALIAS) {
        other = key + 1;

    } else {
        return NULL;
    }

    return map->line[other - map->keys] ? other : NULL;
}


/* Which of a topic's own numbers a key sets. */
static size_t
kmq_own_index(const kmq_key_t *key)
{
    return (key->offset - KMQ_TOPIC_MEMBER(push_type)) / sizeof(uint32_t);
}


/* Keeps where the file sets a key, for those who ask later. */
static void
kmq_keep_line(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key, size_t line)
{
    if (map->keys != kmq_mq_keys) {
        return;
    }

    if (map->single) {
        map->topic->line[kmq_own_index(key)] = (uint32_t) line;
        return;
    }

    while (key->flags & KMQ_CONFIG_ALIAS) {
        key--;
    }

    y->config->line[key - kmq_mq_keys] = (uint32_t) line;
}


/* Reads the value of a key; one that was given by another name before must
 * be the same. */
static void
kmq_read_value(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key,
    const yaml_mark_t *mark)
{
    uint32_t          before, *number;
    unsigned          errors;
    const kmq_key_t  *other;

    other = kmq_other_name(map, key);
    number = other ? kmq_value_number(y->config, map->topic, key) : NULL;
    before = number ? *number : 0;
    errors = y->errors;

    map->line[key - map->keys] = mark->line + 1;
    kmq_keep_line(y, map, key, mark->line + 1);
    key->read(y, map, key);

    if (number && errors == y->errors && *number != before) {
        kmq_yaml_report(y, 1, mark->line + 1, mark->column + 1,
                        "\"%s%s\" differs from \"%s\" in line %zu, which is "
                        "another name of the same", map->where, key->name,
                        other->name, map->line[other - map->keys]);
    }
}


void
kmq_read_map(kmq_yaml_t *y, kmq_map_t *map)
{
    yaml_mark_t       mark;
    const kmq_key_t  *key;

    while (kmq_yaml_next(y) && y->event.type != YAML_MAPPING_END_EVENT) {

        mark = y->event.start_mark;
        key = kmq_find_key(y, map);

        if (!kmq_yaml_next(y)) {
            return;
        }

        if (key == NULL) {
            kmq_yaml_skip(y);
            continue;
        }

        if (key->read == kmq_value_secret) {
            y->secret_line = y->event.start_mark.line + 1;
            y->secret_column = y->event.start_mark.column + 1;
        }

        kmq_read_value(y, map, key, &mark);
    }
}


static void
kmq_read_section(kmq_yaml_t *y, const char *name, const kmq_key_t *keys)
{
    kmq_map_t  map;

    if (!kmq_enter(y, "", name)) {
        return;
    }

    memset(&map, 0, sizeof(kmq_map_t));
    map.keys = keys;
    map.topic = &y->config->topic;
    snprintf(map.where, sizeof(map.where), "%s.", name);

    kmq_read_map(y, &map);
}


static void
kmq_read_server(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    (void) map;

    kmq_read_section(y, key->name, kmq_server_keys);
}


static void
kmq_read_mq(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    (void) map;

    kmq_read_section(y, key->name, kmq_mq_keys);
}


static void
kmq_report_ignored(kmq_yaml_t *y, const kmq_map_t *map, const kmq_key_t *key)
{
    kmq_yaml_report_here(y, 0, "\"%s%s\" has no meaning here and is ignored",
                         map->where, key->name);
}


/* The original's keys that say nothing to this server. */
static void
kmq_read_ignored(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    kmq_report_ignored(y, map, key);
    kmq_yaml_skip(y);
}


/* The original's sections for several machines say nothing to this server but
 * that somebody counts on them: that is kept. */
static void
kmq_read_several(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    uint32_t    *promise;
    const char  *text;

    kmq_report_ignored(y, map, key);

    if (y->event.type != YAML_MAPPING_START_EVENT) {
        kmq_yaml_skip(y);
        return;
    }

    while (kmq_yaml_next(y) && y->event.type != YAML_MAPPING_END_EVENT) {

        text = kmq_yaml_plain(y);
        promise = text == NULL ? NULL
                  : strcmp(text, "isCluster") == 0 ? &y->config->is_cluster
                  : strcmp(text, "isSync") == 0 ? &y->config->is_sync : NULL;

        kmq_yaml_skip(y);

        if (!kmq_yaml_next(y)) {
            return;
        }

        text = kmq_yaml_plain(y);

        if (promise && text) {
            *promise = strcmp(text, "1") == 0;
        }

        kmq_yaml_skip(y);
    }
}


/* ----------------------------------------------------------------- topics */

static int
kmq_topic_compare(const kmq_topic_config_t *topic, const char *name,
    size_t len)
{
    int  rc;

    rc = memcmp(topic->name, name,
                topic->name_len < len ? topic->name_len : len);

    if (rc == 0 && topic->name_len != len) {
        rc = topic->name_len < len ? -1 : 1;
    }

    return rc;
}


/* Where a topic is in the sorted array, or would have to be put. */
static size_t
kmq_topic_place(const kmq_config_t *config, const char *name, size_t len,
    int *found)
{
    int     rc;
    size_t  low, high, middle;

    low = 0;
    high = config->ntopics;
    *found = 0;

    while (low < high) {
        middle = (low + high) / 2;
        rc = kmq_topic_compare(&config->topics[middle], name, len);

        if (rc == 0) {
            *found = 1;
            return middle;
        }

        if (rc < 0) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return low;
}


/* Puts a topic without values of its own at its place.  The array grows by
 * doubling: whenever the number of topics is a power of two, it is full. */
static kmq_topic_config_t *
kmq_topic_insert(kmq_config_t *config, size_t place, const char *name,
    size_t len)
{
    char                *copy;
    size_t               n;
    const kmq_key_t     *key;
    kmq_topic_config_t  *topic;

    n = config->ntopics;

    if ((n & (n - 1)) == 0) {
        topic = realloc(config->topics,
                        (n ? 2 * n : 1) * sizeof(kmq_topic_config_t));
        if (topic == NULL) {
            return NULL;
        }

        config->topics = topic;
    }

    copy = malloc(len + 1);
    if (copy == NULL) {
        return NULL;
    }

    memcpy(copy, name, len);
    copy[len] = '\0';

    topic = &config->topics[place];
    memmove(topic + 1, topic, (n - place) * sizeof(kmq_topic_config_t));
    config->ntopics = n + 1;

    topic->name = copy;
    topic->name_len = len;
    memset(topic->line, 0, sizeof(topic->line));

    for (key = kmq_mq_keys; key->name; key++) {
        if (key->flags & KMQ_CONFIG_TOPIC) {
            *kmq_value_number(NULL, topic, key) = KMQ_UNSET;
        }
    }

    return topic;
}


/* Adds the topic that the current event names, NULL when that cannot be. */
static kmq_topic_config_t *
kmq_add_topic(kmq_yaml_t *y)
{
    int                  found;
    char                 shown[KMQ_UTF8_SHOWN];
    size_t               len, place;
    const char          *name;
    kmq_topic_config_t  *topic;

    if (y->event.type != YAML_SCALAR_EVENT) {
        kmq_yaml_report_here(y, 1, "the name of a topic must be a text");
        kmq_yaml_skip(y);
        return NULL;
    }

    name = (const char *) y->event.data.scalar.value;
    len = y->event.data.scalar.length;
    kmq_utf8_show(shown, y->event.data.scalar.value, len);

    if (len == 0 || len > KMQ_NAME_MAX || memchr(name, '\0', len)) {
        kmq_yaml_report_here(y, 1, "the name of a topic must have 1 to %d "
                             "bytes, none of them zero: \"%s\"", KMQ_NAME_MAX,
                             shown);
        return NULL;
    }

    place = kmq_topic_place(y->config, name, len, &found);

    if (found) {
        kmq_yaml_report_here(y, 1, "the topic \"%s\" is given twice", shown);
        return NULL;
    }

    if (y->config->ntopics == KMQ_CONFIG_TOPICS_MAX) {
        kmq_yaml_report_here(y, 1, "more than %d topics, from \"%s\" on",
                             KMQ_CONFIG_TOPICS_MAX, shown);
        y->stopped = 1;
        return NULL;
    }

    topic = kmq_topic_insert(y->config, place, name, len);

    if (topic == NULL) {
        kmq_yaml_report(y, 1, 0, 0, "not enough memory for the topics");
        y->stopped = 1;
    }

    return topic;
}


static void
kmq_read_topic(kmq_yaml_t *y, kmq_topic_config_t *topic)
{
    char       shown[KMQ_UTF8_SHOWN];
    kmq_map_t  map;

    kmq_utf8_show(shown, (unsigned char *) topic->name, topic->name_len);

    if (!kmq_enter(y, "mq.topics.", shown)) {
        return;
    }

    memset(&map, 0, sizeof(kmq_map_t));
    map.keys = kmq_mq_keys;
    map.topic = topic;
    map.single = 1;
    snprintf(map.where, sizeof(map.where), "mq.topics.%s.", shown);

    kmq_read_map(y, &map);
}


static void
kmq_read_topics(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    kmq_topic_config_t  *topic;

    if (!kmq_enter(y, map->where, key->name)) {
        return;
    }

    while (kmq_yaml_next(y) && y->event.type != YAML_MAPPING_END_EVENT) {

        topic = kmq_add_topic(y);

        if (!kmq_yaml_next(y)) {
            return;
        }

        if (topic) {
            kmq_read_topic(y, topic);

        } else {
            kmq_yaml_skip(y);
        }
    }
}


/* --------------------------------------------------------------- the file */

/* Reads the one document of the file. */
static void
kmq_read_document(kmq_yaml_t *y)
{
    char       what[KMQ_YAML_WHAT];
    kmq_map_t  map;

    if (!kmq_yaml_next(y)) {
        return;
    }

    if (y->event.type != YAML_MAPPING_START_EVENT) {
        kmq_yaml_report_here(y, 1, "the file must be a mapping with the keys "
                             "\"server\" and \"mq\", not %s",
                             kmq_yaml_what(y, what));
        kmq_yaml_skip(y);
        return;
    }

    memset(&map, 0, sizeof(kmq_map_t));
    map.keys = kmq_root_keys;

    kmq_read_map(y, &map);
}


static void
kmq_read_stream(kmq_yaml_t *y)
{
    /* the stream's beginning, then the document's */
    if (!kmq_yaml_next(y) || !kmq_yaml_next(y)) {
        return;
    }

    if (y->event.type == YAML_STREAM_END_EVENT) {
        kmq_yaml_report(y, 1, 0, 0, "the file must be a mapping with the keys "
                        "\"server\" and \"mq\", not empty");
        return;
    }

    kmq_read_document(y);

    /* the document's end, then the stream's */
    if (!kmq_yaml_next(y) || !kmq_yaml_next(y)) {
        return;
    }

    if (y->event.type != YAML_STREAM_END_EVENT) {
        kmq_yaml_report_here(y, 1, "a second document begins here; only one "
                             "is allowed");
    }
}


int
kmq_config_parse(kmq_config_t *config, const char *file,
    const unsigned char *text, size_t size,
    const char *(*env)(const char *name), kmq_config_log_t log, void *arg)
{
    kmq_yaml_t  y;

    memset(&y, 0, sizeof(kmq_yaml_t));

    config->file = file;

    y.config = config;
    y.file = file;
    y.text = text;
    y.size = size;
    y.env = env;
    y.log = log;
    y.arg = arg;

    if (size > KMQ_CONFIG_FILE_MAX) {
        kmq_yaml_report(&y, 1, 0, 0, "the file has %zu bytes, more than %d",
                        size, KMQ_CONFIG_FILE_MAX);
        return -1;
    }

    if (!yaml_parser_initialize(&y.parser)) {
        kmq_yaml_report(&y, 1, 0, 0, "not enough memory to read the file");
        return -1;
    }

    yaml_parser_set_input_string(&y.parser, text, size);

    kmq_read_stream(&y);

    yaml_event_delete(&y.event);
    yaml_parser_delete(&y.parser);

    if (y.errors) {
        return -1;
    }

    if (strcmp(config->secret_key, KMQ_CONFIG_PUBLISHED) == 0) {
        kmq_yaml_report(&y, 0, y.secret_line, y.secret_column,
                        "set your own \"mq.secretKey\": \"%s\" is published "
                        "and everybody knows it", KMQ_CONFIG_PUBLISHED);
    }

    return 0;
}


/* ---------------------------------------------------------------- results */

void
kmq_config_defaults(kmq_config_t *config)
{
    const kmq_key_t  *key;

    memset(config, 0, sizeof(kmq_config_t));

    memcpy(config->secret_key, KMQ_CONFIG_PUBLISHED,
           sizeof(KMQ_CONFIG_PUBLISHED));
    config->secret_key_len = sizeof(KMQ_CONFIG_PUBLISHED) - 1;
    memcpy(config->persistent_file, "MQDATA", sizeof("MQDATA"));

    for (key = kmq_mq_keys; key->name; key++) {
        if (key->high && key->read != kmq_value_secret
            && key->read != kmq_value_path)
        {
            *kmq_value_number(config, &config->topic, key) = key->standard;
        }
    }
}


void
kmq_config_free(kmq_config_t *config)
{
    size_t  i;

    for (i = 0; i < config->ntopics; i++) {
        free(config->topics[i].name);
    }

    free(config->topics);

    config->topics = NULL;
    config->ntopics = 0;

    kmq_config_access_free(config);
}


static uint32_t
kmq_topic_number(const kmq_topic_config_t *topic, const kmq_key_t *key)
{
    uint32_t  number;

    memcpy(&number, (const char *) topic + key->offset, sizeof(uint32_t));

    return number;
}


void
kmq_config_topic(const kmq_config_t *config, const char *name, size_t len,
    kmq_topic_config_t *topic)
{
    int                        found;
    size_t                     place;
    uint32_t                   own;
    const kmq_key_t           *key;
    const kmq_topic_config_t  *special;

    *topic = config->topic;

    place = kmq_topic_place(config, name, len, &found);

    if (!found) {
        return;
    }

    special = &config->topics[place];
    topic->name = special->name;
    topic->name_len = special->name_len;

    for (key = kmq_mq_keys; key->name; key++) {
        if (!(key->flags & KMQ_CONFIG_TOPIC)) {
            continue;
        }

        own = kmq_topic_number(special, key);

        if (own != KMQ_UNSET) {
            *kmq_value_number(NULL, topic, key) = own;
        }
    }
}


/* The value of a number as the file writes it. */
static void
kmq_entry_number(kmq_config_entry_t *entry, const kmq_key_t *key,
    uint32_t number)
{
    if (key->read == kmq_value_confirm) {
        entry->text = kmq_confirm_name(number);

    } else if (key->read == kmq_value_seconds) {
        entry->number = number / 1000.0;

    } else {
        entry->number = number;
    }
}


/* The value of a key that is not a single topic's. */
static void
kmq_entry_value(kmq_config_entry_t *entry, const kmq_config_t *config,
    const kmq_key_t *key)
{
    uint32_t     number;
    const char  *at;

    at = (const char *) config + key->offset;

    if (key->read == kmq_value_secret) {
        entry->secret = 1;
        entry->text = strcmp(at, KMQ_CONFIG_PUBLISHED) ? "set" : "default";

    } else if (key->read == kmq_value_path) {
        entry->text = at;

    } else if (key->flags & KMQ_CONFIG_TOPIC) {
        number = kmq_topic_number(&config->topic, key);
        kmq_entry_number(entry, key, number);

    } else {
        memcpy(&number, at, sizeof(uint32_t));
        kmq_entry_number(entry, key, number);
    }
}


int
kmq_config_entry(const kmq_config_t *config, unsigned *n,
    kmq_config_entry_t *entry)
{
    const kmq_key_t  *key;

    for (key = &kmq_mq_keys[*n]; key->name; key++) {
        if (!(key->flags & KMQ_CONFIG_HIDDEN) || key->read == kmq_value_secret)
        {
            break;
        }
    }

    if (key->name == NULL) {
        return 0;
    }

    memset(entry, 0, sizeof(kmq_config_entry_t));

    entry->key = key->name;
    entry->line = config->line[key - kmq_mq_keys];
    entry->alias = (key->flags & KMQ_CONFIG_ALIAS) != 0;
    kmq_entry_value(entry, config, key);

    *n = (unsigned) (key - kmq_mq_keys) + 1;

    return 1;
}


int
kmq_config_own(const kmq_topic_config_t *topic, unsigned *n,
    kmq_config_entry_t *entry)
{
    const kmq_key_t  *key;

    for (key = &kmq_mq_keys[*n]; key->name; key++) {
        if ((key->flags & KMQ_CONFIG_TOPIC)
            && !(key->flags & KMQ_CONFIG_HIDDEN)
            && kmq_topic_number(topic, key) != KMQ_UNSET)
        {
            break;
        }
    }

    if (key->name == NULL) {
        return 0;
    }

    memset(entry, 0, sizeof(kmq_config_entry_t));

    entry->key = key->name;
    entry->line = topic->line[kmq_own_index(key)];
    kmq_entry_number(entry, key, kmq_topic_number(topic, key));

    *n = (unsigned) (key - kmq_mq_keys) + 1;

    return 1;
}


void
kmq_config_each(const kmq_config_t *config, kmq_config_emit_t emit, void *arg)
{
    unsigned            n;
    kmq_config_entry_t  entry;

    for (n = 0; kmq_config_entry(config, &n, &entry); /* void */ ) {
        if (!entry.secret) {
            emit(arg, entry.key, entry.number, entry.text);
        }
    }
}


void
kmq_config_each_own(const kmq_topic_config_t *topic, kmq_config_emit_t emit,
    void *arg)
{
    unsigned            n;
    kmq_config_entry_t  entry;

    for (n = 0; kmq_config_own(topic, &n, &entry); /* void */ ) {
        emit(arg, entry.key, entry.number, entry.text);
    }
}
