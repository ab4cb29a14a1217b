/*
 * application.yaml: every key of the specification, read with libyaml and
 * checked.  No nginx in here, so that it can be tested and fuzzed alone.
 */

#ifndef KMQ_CONFIG_H
#define KMQ_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "../../access/kmq_keys.h"
#include "../../access/kmq_token.h"


#define KMQ_CONFIRM_SOCKET  1
#define KMQ_CONFIRM_PONG    2
#define KMQ_CONFIRM_ACK     3

#define KMQ_SECRET_MAX      255    /* bytes of secretKey */
#define KMQ_PATH_MAX       1023    /* bytes of persistentFile */

#define KMQ_CONFIG_KEYS      48    /* in one mapping, at most */
#define KMQ_CONFIG_OWN        9    /* that a topic may have of its own */


/* Keys that a topic may have of its own; UNSET ones are the queue's. */
#define KMQ_UNSET  UINT32_MAX

typedef struct {
    char       *name;              /* NULL in kmq_config_t.topic */
    size_t      name_len;
    uint32_t    push_type;         /* 1 or 2 */
    uint32_t    push_retry_time;   /* ms */
    uint32_t    max_deliveries;
    uint32_t    retry_delay;       /* ms */
    uint32_t    retry_delay_max;   /* ms */
    uint32_t    clean_time;        /* seconds */
    uint32_t    confirm;           /* KMQ_CONFIRM_... */
    uint32_t    prefetch;
    uint32_t    heartbeat;         /* ms; 0: none */

    /* where the file sets these for a single topic, in this order */
    uint32_t    line[KMQ_CONFIG_OWN];
} kmq_topic_config_t;

/* One value of a key, and where it stands. */
typedef struct {
    kmq_digest_t   digest;
    uint32_t       line;
    uint32_t       column;
} kmq_key_value_t;

#define KMQ_KEY_VALUES  8

/* One of mq.keys.  Of its values there is nothing but digests. */
typedef struct {
    char             *name;
    size_t            name_len;
    kmq_rights_t     *rights;
    kmq_key_value_t   value[KMQ_KEY_VALUES];
    size_t            nvalues;
    uint32_t          line;
} kmq_key_config_t;

typedef struct {
    uint32_t    port;              /* server.port, 0: not given */
    char        secret_key[KMQ_SECRET_MAX + 1];
    size_t      secret_key_len;
    char        persistent_file[KMQ_PATH_MAX + 1];

    uint32_t    message_chan_buffer;
    uint32_t    push_messages_speed;   /* ms */
    uint32_t    send_count;
    uint32_t    send_retry_count;
    uint32_t    is_persistent;         /* 0, 1, 2 */
    uint32_t    recovery_strategy;     /* 0, 1 */
    uint32_t    persistent_time;       /* ms */
    uint32_t    is_re_push;            /* 0, 1 */
    uint32_t    is_clean;              /* 0, 1 */
    uint32_t    is_clean_consumed;     /* 0, 1 */
    uint32_t    check_speed;           /* ms */
    uint32_t    max_message_size;      /* bytes */
    uint32_t    login_time;            /* ms */
    uint32_t    drain_time;            /* ms */

    /* the original's, for several machines: 1, somebody counts on it */
    uint32_t    is_cluster;            /* cluster.isCluster */
    uint32_t    is_sync;               /* sync.isSync */

    kmq_topic_config_t   topic;        /* what holds for every topic */
    kmq_topic_config_t  *topics;       /* those that differ */
    size_t               ntopics;

    kmq_key_config_t    *keys;         /* in the order of the file */
    size_t               nkeys;

    kmq_tokens_t         tokens;       /* without the public key at first */
    char                 token_key_file[KMQ_PATH_MAX + 1];    /* its file */
    uint32_t             token_line;   /* where that is named */
    uint32_t             token_column;

    kmq_keys_t          *valid;        /* kmq_config_seal() */

    const char          *file;         /* that was read, NULL: none */
    uint32_t             line[KMQ_CONFIG_KEYS];    /* where it sets what */
} kmq_config_t;

/* One problem, or remark, found in a file.  line and column count from 1; 0:
 * the whole file. */
typedef void (*kmq_config_log_t)(void *arg, int fatal, const char *file,
    size_t line, size_t column, const char *text);

/* Fills in the defaults of the specification. */
void kmq_config_defaults(kmq_config_t *config);

/*
 * Reads size bytes of YAML into config, which holds the defaults.  file is
 * kept for messages, and must stay as long as config.  log is called with
 * fatal 1 for each error and with 0 for remarks (a key without a meaning here,
 * the published secret key).  env gives the value of an environment variable
 * for ${NAME}, or NULL.  0, or -1 when there was an error.
 */
int kmq_config_parse(kmq_config_t *config, const char *file,
    const unsigned char *text, size_t size,
    const char *(*env)(const char *name), kmq_config_log_t log, void *arg);

/*
 * Makes config->valid of the secret key, the keys and the tokens; to be called
 * once, after kmq_config_defaults() and, where there is a file,
 * kmq_config_parse().  pem is what token_key_file has in it, NULL where none is
 * named.  log is called as above.  0 or -1.
 */
int kmq_config_seal(kmq_config_t *config, const char *pem, size_t len,
    kmq_config_log_t log, void *arg);

/* Frees what kmq_config_parse() and kmq_config_seal() allocated. */
void kmq_config_free(kmq_config_t *config);

/* The values for a topic by name: config->topic with the topic's own. */
void kmq_config_topic(const kmq_config_t *config, const char *name,
    size_t len, kmq_topic_config_t *topic);

/* A key, in the file's spelling, and what it is set to. */
typedef struct {
    const char  *key;
    const char  *text;             /* NULL: it is a number, */
    double       number;           /* at most three decimals of which count */
    uint32_t     line;             /* where the file sets it, 0: it does not */
    unsigned     alias:1;          /* another name of the key before it */
    unsigned     secret:1;         /* secretKey: text only tells whether it is
                                      the "default" one or was "set" */
} kmq_config_entry_t;

/*
 * All mq keys with their current values, in the specification's order, one a
 * call; *n is 0 at first.  pushCount follows sendCount; topics is left out.
 * 0: that was all.
 */
int kmq_config_entry(const kmq_config_t *config, unsigned *n,
    kmq_config_entry_t *entry);

/* The same for those that an element of config->topics has of its own. */
int kmq_config_own(const kmq_topic_config_t *topic, unsigned *n,
    kmq_config_entry_t *entry);

/* Takes a key, in the file's spelling, and its value: a number (text NULL), at
 * most three decimals of which count, or a text. */
typedef void (*kmq_config_emit_t)(void *arg, const char *key, double number,
    const char *text);

/* All of kmq_config_entry() but secretKey. */
void kmq_config_each(const kmq_config_t *config, kmq_config_emit_t emit,
    void *arg);

/* All of kmq_config_own(). */
void kmq_config_each_own(const kmq_topic_config_t *topic,
    kmq_config_emit_t emit, void *arg);

const char *kmq_confirm_name(uint32_t confirm);

/* KMQ_CONFIRM_... of a name, 0 when there is none such. */
uint32_t kmq_confirm_value(const char *name, size_t len);

/*
 * What a client asks for in the query of its URL.  Each takes what holds
 * without that, and changes it; prefetch only to less.  NULL, or what is wrong
 * with the text.
 */
const char *kmq_query_confirm(const char *text, size_t len, uint32_t *confirm);
const char *kmq_query_prefetch(const char *text, size_t len,
    uint32_t *prefetch);
const char *kmq_query_heartbeat(const char *text, size_t len,
    uint32_t *heartbeat);

#endif /* KMQ_CONFIG_H */
