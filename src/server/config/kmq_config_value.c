/* What the values of application.yaml's keys may be: kmq_yaml.h. */

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "kmq_yaml.h"


#define KMQ_VARIABLE_MAX  60        /* bytes of a variable's name */
#define KMQ_QUERY_MAX     24        /* bytes of a number in a query */


static const char *const  kmq_confirm_names[] = {
    NULL, "socket", "pong", "ack"
};


uint32_t *
kmq_value_number(kmq_config_t *config, kmq_topic_config_t *topic,
    const kmq_key_t *key)
{
    void  *base;

    base = (key->flags & KMQ_CONFIG_TOPIC) ? (void *) topic : (void *) config;

    return (uint32_t *) (void *) ((char *) base + key->offset);
}


void
kmq_value_wrong(kmq_yaml_t *y, const kmq_map_t *map, const char *name,
    const char *wanted)
{
    char  what[KMQ_YAML_WHAT];

    kmq_yaml_report_here(y, 1, "\"%s%s\" must be %s, not %s", map->where, name,
                         wanted, kmq_yaml_what(y, what));
}


/* ---------------------------------------------------------------- numbers */

/*
 * Reads digits, and behind a point up to places more, as a whole number of
 * the smallest place.  Returns the bytes read, 0 when it is no such number;
 * one that is too large is UINT64_MAX.
 */
static size_t
kmq_decimal(const char *text, unsigned places, uint64_t *value)
{
    size_t    n;
    uint64_t  v;

    v = 0;

    for (n = 0; text[n] >= '0' && text[n] <= '9'; n++) {
        v = v > UINT32_MAX ? v : v * 10 + (uint64_t) (text[n] - '0');
    }

    /* a leading zero means octal to YAML and nothing to the reader */
    if (n == 0 || (n > 1 && text[0] == '0')) {
        return 0;
    }

    if (text[n] == '.' && places) {
        n++;

        if (text[n] < '0' || text[n] > '9') {
            return 0;
        }

        for ( /* void */ ; places && text[n] >= '0' && text[n] <= '9'; n++) {
            v = v * 10 + (uint64_t) (text[n] - '0');
            places--;
        }
    }

    while (places--) {
        v *= 10;
    }

    *value = v > UINT32_MAX ? UINT64_MAX : v;

    return n;
}


static void
kmq_set(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key,
    uint64_t value)
{
    *kmq_value_number(y->config, map->topic, key) = (uint32_t) value;
}


void
kmq_value_whole(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    char         wanted[80];
    size_t       n;
    uint64_t     value;
    const char  *text;

    value = 0;
    text = kmq_yaml_plain(y);
    n = text ? kmq_decimal(text, 0, &value) : 0;

    if (n && text[n] == '\0' && value >= key->low && value <= key->high) {
        kmq_set(y, map, key, value);
        return;
    }

    switch (key->high - key->low) {

    case 1:
        snprintf(wanted, sizeof(wanted), "%u or %u", key->low, key->high);
        break;

    case 2:
        snprintf(wanted, sizeof(wanted), "%u, %u or %u", key->low,
                 key->low + 1, key->high);
        break;

    default:
        snprintf(wanted, sizeof(wanted), "a whole number from %u to %u",
                 key->low, key->high);
    }

    kmq_value_wrong(y, map, key->name, wanted);
    kmq_yaml_skip(y);
}


/* In quotes or without. */
void
kmq_value_port(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    if (y->event.type == YAML_SCALAR_EVENT) {
        y->event.data.scalar.style = YAML_PLAIN_SCALAR_STYLE;
    }

    kmq_value_whole(y, map, key);
}


void
kmq_value_seconds(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    int          zero;
    char         wanted[120];
    size_t       n;
    uint64_t     value;
    const char  *text;

    value = 0;
    text = kmq_yaml_plain(y);
    n = text ? kmq_decimal(text, 3, &value) : 0;
    zero = (key->flags & KMQ_CONFIG_ZERO) != 0;

    if (n && text[n] == '\0' && value <= key->high
        && (value >= key->low || (value == 0 && zero)))
    {
        kmq_set(y, map, key, value);
        return;
    }

    snprintf(wanted, sizeof(wanted), "%sa number of seconds from %g to %.0f "
             "with at most three decimals", zero ? "0, or " : "",
             key->low / 1000.0, key->high / 1000.0);

    kmq_value_wrong(y, map, key->name, wanted);
    kmq_yaml_skip(y);
}


/* What a number is multiplied by where text follows it; 0: no such unit. */
static uint64_t
kmq_unit(const char *text)
{
    while (*text == ' ') {
        text++;
    }

    if (*text == '\0') {
        return 1;
    }

    if (strcasecmp(text, "k") == 0 || strcasecmp(text, "KiB") == 0) {
        return 1024;
    }

    if (strcasecmp(text, "m") == 0 || strcasecmp(text, "MiB") == 0) {
        return 1024 * 1024;
    }

    return 0;
}


void
kmq_value_size(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    char         wanted[120];
    size_t       n;
    uint64_t     value, unit;
    const char  *text;

    value = 0;
    text = kmq_yaml_plain(y);
    n = text ? kmq_decimal(text, 0, &value) : 0;
    unit = n ? kmq_unit(text + n) : 0;

    if (unit && value >= key->low && value <= key->high / unit) {
        kmq_set(y, map, key, value * unit);
        return;
    }

    snprintf(wanted, sizeof(wanted), "a size from %u to %u bytes, "
             "as in 65536, 64 KiB or 1 MiB", key->low, key->high);

    kmq_value_wrong(y, map, key->name, wanted);
    kmq_yaml_skip(y);
}


/* ---------------------------------------------------------------- queries */

/* All of a text that is not terminated, as kmq_decimal() reads it: 1 or 0. */
static int
kmq_query_number(const char *text, size_t len, unsigned places,
    uint64_t *value)
{
    char  copy[KMQ_QUERY_MAX];

    if (len >= sizeof(copy)) {
        return 0;
    }

    memcpy(copy, text, len);
    copy[len] = '\0';

    return len && kmq_decimal(copy, places, value) == len;
}


const char *
kmq_query_confirm(const char *text, size_t len, uint32_t *confirm)
{
    *confirm = kmq_confirm_value(text, len);

    return *confirm ? NULL : "confirm must be socket, pong or ack";
}


const char *
kmq_query_prefetch(const char *text, size_t len, uint32_t *prefetch)
{
    uint64_t  value;

    if (!kmq_query_number(text, len, 0, &value) || value == 0) {
        return "prefetch must be a whole number from 1 on";
    }

    *prefetch = value < *prefetch ? (uint32_t) value : *prefetch;

    return NULL;
}


const char *
kmq_query_heartbeat(const char *text, size_t len, uint32_t *heartbeat)
{
    uint64_t  value;

    if (!kmq_query_number(text, len, 3, &value) || value > KMQ_HEARTBEAT_MAX
        || (value && value < KMQ_HEARTBEAT_MIN))
    {
        return "heartbeat must be 0, or a number of seconds from 0.1 to 3600 "
               "with at most three decimals";
    }

    *heartbeat = (uint32_t) value;

    return NULL;
}


/* ------------------------------------------------------------------ texts */

const char *
kmq_confirm_name(uint32_t confirm)
{
    return (confirm >= KMQ_CONFIRM_SOCKET && confirm <= KMQ_CONFIRM_ACK)
           ? kmq_confirm_names[confirm] : "";
}


uint32_t
kmq_confirm_value(const char *name, size_t len)
{
    uint32_t  value;

    for (value = KMQ_CONFIRM_SOCKET; value <= KMQ_CONFIRM_ACK; value++) {
        if (strlen(kmq_confirm_names[value]) == len
            && memcmp(kmq_confirm_names[value], name, len) == 0)
        {
            return value;
        }
    }

    return 0;
}


void
kmq_value_confirm(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    uint32_t  value;

    value = 0;

    if (y->event.type == YAML_SCALAR_EVENT) {
        value = kmq_confirm_value((char *) y->event.data.scalar.value,
                                  y->event.data.scalar.length);
    }

    if (value == 0) {
        kmq_value_wrong(y, map, key->name, "socket, pong or ack");
        kmq_yaml_skip(y);
        return;
    }

    kmq_set(y, map, key, value);
}


/* The current event as a text that is there; else reports and returns 0. */
static int
kmq_text(kmq_yaml_t *y, const kmq_map_t *map, const char *name)
{
    if (y->event.type == YAML_SCALAR_EVENT && !kmq_yaml_is_null(y)
        && y->event.data.scalar.length)
    {
        return 1;
    }

    kmq_value_wrong(y, map, name, "a text");
    kmq_yaml_skip(y);

    return 0;
}


void
kmq_value_path(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    size_t          i, len;
    unsigned char  *text;

    if (!kmq_text(y, map, key->name)) {
        return;
    }

    text = y->event.data.scalar.value;
    len = y->event.data.scalar.length;

    for (i = 0; i < len && text[i] >= 0x20 && text[i] != 0x7f; i++) {
        /* void */
    }

    if (i < len || len > key->high) {
        kmq_value_wrong(y, map, key->name, "a path of at most 1023 bytes "
                        "without control characters");
        return;
    }

    memcpy((char *) y->config + key->offset, text, len + 1);
}


/* The length of a variable's name at text, 0 when there is none. */
static size_t
kmq_variable(const char *text)
{
    static const char  allowed[] = "0123456789_"
                                   "abcdefghijklmnopqrstuvwxyz"
                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    /* a digit is no beginning */
    return strspn(text, "0123456789") ? 0 : strspn(text, allowed);
}


/*
 * The value of the variable in ${NAME} at *text, which is moved behind it:
 * 1, or 0 when there is none, which has been reported.
 */
static int
kmq_environment(kmq_yaml_t *y, const kmq_map_t *map, const char *key,
    const char **text, const char **value)
{
    char    name[KMQ_VARIABLE_MAX + 1];
    size_t  n;

    n = kmq_variable(*text + 2);

    if (n == 0 || n > KMQ_VARIABLE_MAX || (*text)[2 + n] != '}') {
        kmq_yaml_report_here(y, 1, "\"%s%s\" has a \"${\" without the name of "
                             "a variable and a \"}\" behind it", map->where,
                             key);
        return 0;
    }

    memcpy(name, *text + 2, n);
    name[n] = '\0';
    *text += n + 3;

    *value = y->env(name);

    if (*value == NULL) {
        kmq_yaml_report_here(y, 1, "\"%s%s\" names the environment variable "
                             "\"%s\", which has no value", map->where, key,
                             name);
    }

    return *value != NULL;
}


/* Copies the key, with variables put in, to to[KMQ_SECRET_MAX + 1]: its full
 * length, of which no more than fits is copied; -1 after an error. */
static ptrdiff_t
kmq_expand(kmq_yaml_t *y, const kmq_map_t *map, const char *key, char *to)
{
    size_t       n, len;
    const char  *text, *value;

    len = 0;
    text = (const char *) y->event.data.scalar.value;

    while (*text) {

        if (text[0] == '$' && text[1] == '{') {
            if (!kmq_environment(y, map, key, &text, &value)) {
                return -1;
            }

            n = strlen(value);

        } else {
            value = text++;
            n = 1;
        }

        if (len + n <= KMQ_SECRET_MAX) {
            memcpy(to + len, value, n);
            to[len + n] = '\0';
        }

        len += n;
    }

    return (ptrdiff_t) len;
}


/* The messages do not show the key: they end in a log. */
size_t
kmq_value_hidden(kmq_yaml_t *y, const kmq_map_t *map, const char *name,
    char secret[KMQ_SECRET_MAX + 1])
{
    size_t     i;
    ptrdiff_t  len;

    if (!kmq_text(y, map, name)) {
        return 0;
    }

    secret[0] = '\0';
    len = kmq_expand(y, map, name, secret);

    if (len < 0) {
        return 0;
    }

    if (len == 0 || len > KMQ_SECRET_MAX) {
        kmq_yaml_report_here(y, 1, "\"%s%s\" must have 1 to %d bytes, not %td",
                             map->where, name, KMQ_SECRET_MAX, len);
        return 0;
    }

    for (i = 0; i < (size_t) len; i++) {
        if ((unsigned char) secret[i] < 0x20 || secret[i] == 0x7f) {
            break;
        }
    }

    /* it has to fit into an HTTP header */
    if (i < (size_t) len || strlen((char *) y->event.data.scalar.value)
                            != y->event.data.scalar.length
        || secret[0] == ' ' || secret[len - 1] == ' ')
    {
        kmq_yaml_report_here(y, 1, "\"%s%s\" must not have control "
                             "characters, nor a space at its beginning or end",
                             map->where, name);
        return 0;
    }

    return (size_t) len;
}


void
kmq_value_secret(kmq_yaml_t *y, kmq_map_t *map, const kmq_key_t *key)
{
    char    secret[KMQ_SECRET_MAX + 1];
    size_t  len;

    len = kmq_value_hidden(y, map, key->name, secret);

    if (len) {
        memcpy(y->config->secret_key, secret, len + 1);
        y->config->secret_key_len = len;
    }
}
