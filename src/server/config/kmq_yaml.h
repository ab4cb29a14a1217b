/*
 * What the files that read application.yaml share: libyaml's stream of events
 * with messages and bounds (kmq_yaml.c), the values that keys may have
 * (kmq_config_value.c), and the tables of keys (kmq_config.c).
 */

#ifndef KMQ_YAML_H
#define KMQ_YAML_H

#include <stddef.h>
#include <stdint.h>

#include <yaml.h>

#include "kmq_config.h"
#include "../../protocol/kmq_utf8.h"


#define KMQ_YAML_WHAT    (KMQ_UTF8_SHOWN + 24)
#define KMQ_CONFIG_WHERE (KMQ_UTF8_SHOWN + 16)


/* ----------------------------------------------------------------- events */

/* A file that is being read. */
typedef struct {
    yaml_parser_t          parser;
    yaml_event_t           event;   /* the current one */
    kmq_config_t          *config;
    const char            *file;
    const unsigned char   *text;
    size_t                 size;
    const char          *(*env)(const char *name);
    kmq_config_log_t       log;
    void                  *arg;
    unsigned               depth;
    unsigned               errors;
    int                    stopped;       /* 1: no more events */
    size_t                 secret_line;   /* of secretKey; 0: not given */
    size_t                 secret_column;
} kmq_yaml_t;

/*
 * Goes on to the next event: 1, or 0 when there is none, because the file
 * is not valid, holds what has no place in it, or had too many errors.
 */
int kmq_yaml_next(kmq_yaml_t *y);

/* Passes over the node that the current event begins. */
void kmq_yaml_skip(kmq_yaml_t *y);

/* 1 when the current event is a scalar that says "nothing". */
int kmq_yaml_is_null(const kmq_yaml_t *y);

/* The current event as a plain scalar, NULL when it is something else. */
const char *kmq_yaml_plain(const kmq_yaml_t *y);

/* A message for the one who wrote the file, an error if fatal. */
void kmq_yaml_report(kmq_yaml_t *y, int fatal, size_t line, size_t column,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* The same at the start of the current event. */
#define kmq_yaml_report_here(y, fatal, ...)                                   \
    kmq_yaml_report(y, fatal, (y)->event.start_mark.line + 1,                 \
                    (y)->event.start_mark.column + 1, __VA_ARGS__)

/* What the current event is, for "must be ..., not %s". */
const char *kmq_yaml_what(const kmq_yaml_t *y, char to[KMQ_YAML_WHAT]);


/* ------------------------------------------------------------------- keys */

/* Flags of a key. */
#define KMQ_CONFIG_TOPIC   0x01     /* a topic may have its own; the offset
                                       is one in kmq_topic_config_t */
#define KMQ_CONFIG_ALIAS   0x02     /* another name of the key before it */
#define KMQ_CONFIG_HIDDEN  0x04     /* kmq_config_entry() leaves it out */
#define KMQ_CONFIG_ZERO    0x08     /* 0 is allowed, too */

#define KMQ_HEARTBEAT_MIN      100  /* ms */
#define KMQ_HEARTBEAT_MAX  3600000

typedef struct kmq_map_s  kmq_map_t;
typedef struct kmq_key_s  kmq_key_t;

/* Reads the value that the current event begins, up to its last event. */
typedef void (*kmq_config_read_pt)(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);

struct kmq_key_s {
    const char          *name;
    kmq_config_read_pt   read;
    size_t               offset;
    uint32_t             low;       /* allowed values */
    uint32_t             high;      /* 0: not a number */
    uint32_t             standard;  /* the value where the file has none */
    unsigned             flags;
};

/* A mapping that is being read. */
struct kmq_map_s {
    const kmq_key_t     *keys;      /* up to one without a name */
    kmq_topic_config_t  *topic;     /* where settings of topics go */
    int                  single;    /* 1: only such are allowed */
    void                *to;        /* what else is being made of it */
    char                 where[KMQ_CONFIG_WHERE];     /* "mq.topics.a." */
    size_t               line[KMQ_CONFIG_KEYS];       /* of the keys so far */
};

/* 1 when the current event begins a mapping to be read; 0 when it is empty,
 * or was something else, which has been reported. */
int kmq_enter(kmq_yaml_t *y, const char *where, const char *name);

/* Reads the mapping that the current event begins, up to its end. */
void kmq_read_map(kmq_yaml_t *y, kmq_map_t *map);


/* ------------------------------------------------------- keys and tokens */

void kmq_read_keys(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key);
void kmq_read_tokens(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key);

/* Frees what these two allocated, and forgets the secrets. */
void kmq_config_access_free(kmq_config_t *config);


/* ----------------------------------------------------------------- values */

/* "mq.topics.a.key must be WANTED, not ...", for the current event. */
void kmq_value_wrong(kmq_yaml_t *y, const kmq_map_t *map, const char *name,
    const char *wanted);

/*
 * The current event as a secret, with variables of the environment put in: its
 * length, from 1 on, or 0 when it is none, which has been reported without
 * showing it.
 */
size_t kmq_value_hidden(kmq_yaml_t *y, const kmq_map_t *map, const char *name,
    char secret[KMQ_SECRET_MAX + 1]);

void kmq_value_port(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);
void kmq_value_whole(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);
void kmq_value_seconds(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);
void kmq_value_size(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);
void kmq_value_confirm(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);
void kmq_value_secret(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);
void kmq_value_path(kmq_yaml_t *y, kmq_map_t *map,
    const kmq_key_t *key);

/* The number that a key sets. */
uint32_t *kmq_value_number(kmq_config_t *config, kmq_topic_config_t *topic,
    const kmq_key_t *key);

#endif /* KMQ_YAML_H */
