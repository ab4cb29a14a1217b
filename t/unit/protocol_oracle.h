/*
 * Producer frames and escaping, held against jansson.  The functions return
 * NULL, or what is wrong.
 */

#ifndef KMQ_PROTOCOL_ORACLE_H
#define KMQ_PROTOCOL_ORACLE_H

#include <jansson.h>
#include <math.h>
#include <strings.h>

#include "../../src/protocol/kmq_json.h"
#include "protocol_util.h"


#define JSON_LEVELS  64      /* that a producer frame may have */


/* Is inside, between two quotes, JSON for text? */
static int
means(const unsigned char *inside, size_t size, const char *text, size_t len)
{
    int       same;
    json_t   *string;
    buffer_t  json = { NULL, 0, 0 };

    buffer_add(&json, "\"", 1);
    buffer_add(&json, inside, size);
    buffer_add(&json, "\"", 1);

    string = json_loadb((char *) json.bytes, json.size,
                        JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

    same = json_is_string(string) && json_string_length(string) == len
           && memcmp(json_string_value(string), text, len) == 0;

    json_decref(string);
    buffer_free(&json);

    return same;
}


/* Escapes valid UTF-8 through a window of room bytes, and reads it back. */
UNUSED static const char *
escape_error(const unsigned char *text, size_t size, size_t room)
{
    size_t          used, before, n;
    buffer_t        escaped = { NULL, 0, 0 };
    const char     *error = NULL;
    unsigned char  *window;

    used = 0;

    while (used < size && error == NULL) {
        window = malloc(room);

        before = used;
        n = kmq_json_escape(window, room, text, size, &used);
        buffer_add(&escaped, window, n);

        if (n > room || used <= before || used > size) {
            error = "escaping does not go on";

        } else if (!plain_utf8_valid(window, n)) {
            error = "a piece of escaped text is cut inside a character";

        } else if (used < size && n + 6 < room) {
            error = "a piece of escaped text does not use its room";
        }

        free(window);
    }

    if (error == NULL && escaped.size != kmq_json_escaped(text, size)) {
        error = "kmq_json_escaped() is not what kmq_json_escape() writes";
    }

    if (error == NULL
        && !means(escaped.bytes, escaped.size, (const char *) text, size))
    {
        error = "escaped text does not read back";
    }

    buffer_free(&escaped);

    return error;
}


/* ---------------------------------------------------------------- frames */

static unsigned
json_levels(const json_t *value)
{
    size_t       i;
    json_t      *inner;
    unsigned     n, levels = 0;
    const char  *key;

    if (json_is_object(value)) {
        json_object_foreach((json_t *) value, key, inner) {
            n = json_levels(inner);
            levels = n > levels ? n : levels;
        }

        return levels + 1;
    }

    if (json_is_array(value)) {
        json_array_foreach(value, i, inner) {
            n = json_levels(inner);
            levels = n > levels ? n : levels;
        }

        return levels + 1;
    }

    return 0;
}


/* The member of that name in any letter case; *n: how many spellings. */
static json_t *
member(json_t *object, const char *name, unsigned *n)
{
    json_t      *value, *found = NULL;
    const char  *key;

    *n = 0;

    json_object_foreach(object, key, value) {
        if (strcasecmp(key, name) == 0) {
            found = value;
            *n += 1;
        }
    }

    return found;
}


/* Refused by jansson for a reason of its own, not for its grammar? */
static int
json_not_judged(const json_error_t *error)
{
    switch (json_error_code(error)) {

    case json_error_numeric_overflow:
    case json_error_null_byte_in_key:
    case json_error_stack_overflow:
        return 1;

    default:
        return strstr(error->text, "Unicode") != NULL;
    }
}


static const char *
plain_error(const kmq_data_t *data, const char *error,
    const unsigned char *frame, size_t size)
{
    if (error) {
        return "plain data gives an error";
    }

    if (data->json || data->bytes != frame || data->size != size
        || data->delay != 0)
    {
        return "plain data is not taken as it is";
    }

    if (data->escaped != kmq_json_escaped(frame, size)) {
        return "the escaped size is wrong";
    }

    return NULL;
}


static const char *
delay_error(const kmq_data_t *data, const char *error, const json_t *value)
{
    double  ms;

    if (value == NULL || json_is_null(value)) {
        return (error || data->delay) ? "no DelayTime is not 0" : NULL;
    }

    if (!json_is_number(value)) {
        return (error && strncmp(error, "DelayTime is ", 13) == 0)
               ? NULL : "DelayTime of a wrong type gives no error";
    }

    ms = json_number_value(value) * 1000;

    if (ms <= 0) {
        /* a number too small for a double may stand for a millisecond */
        return (error || data->delay > (ms == 0)) ? "DelayTime is not 0"
                                                  : NULL;
    }

    if (ms > (double) KMQ_DELAY_MAX + 0.5) {
        return error ? NULL : "DelayTime above the limit is taken";
    }

    if (error) {
        return (ms < (double) KMQ_DELAY_MAX - 0.5)
               ? "DelayTime below the limit is refused" : NULL;
    }

    return ((double) data->delay < ms - 0.001
            || (double) data->delay > ms + 1.001)
           ? "DelayTime is rounded wrongly" : NULL;
}


static const char *
object_error(const kmq_data_t *data, const char *error, json_t *object,
    const unsigned char *frame, size_t size)
{
    json_t    *text, *delay;
    unsigned   texts, delays;

    text = member(object, "MessageData", &texts);
    delay = member(object, "DelayTime", &delays);

    if (texts > 1 || delays > 1) {
        /* which came last is not known here */
        return NULL;
    }

    if (text == NULL || json_levels(object) > JSON_LEVELS) {
        return plain_error(data, error, frame, size);
    }

    if (!json_is_string(text) && !json_is_null(text)) {
        return (error && strncmp(error, "MessageData is ", 15) == 0)
               ? NULL : "MessageData of a wrong type gives no error";
    }

    if (error) {
        return delay_error(data, error, delay);
    }

    if (!data->json || data->escaped != data->size || data->bytes < frame
        || data->bytes + data->size > frame + size)
    {
        return "MessageData is not the inside of the frame's string";
    }

    if (json_is_null(text) ? data->size != 0
        : !means(data->bytes, data->size, json_string_value(text),
                 json_string_length(text)))
    {
        return "MessageData is another text";
    }

    if (kmq_data_size(data)
        != (json_is_null(text) ? 0 : json_string_length(text)))
    {
        return "MessageData counts as another size";
    }

    return delay_error(data, error, delay);
}


/* Reads a producer's frame, which need not be valid UTF-8, both ways. */
UNUSED static const char *
frame_error(unsigned char *frame, size_t size)
{
    json_t        *root;
    const char    *wrong, *error;
    kmq_data_t     data;
    json_error_t   json_error;

    memset(&data, 0xff, sizeof(data));
    error = kmq_data_frame(&data, frame, size, 1);

    if (!plain_utf8_valid(frame, size)) {
        return (error && strstr(error, "UTF-8"))
               ? NULL : "a binary frame that is not UTF-8 is taken";
    }

    root = json_loadb((const char *) frame, size,
                      JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &json_error);

    if (size && memchr(frame, '\0', size)) {
        /* jansson passes over a zero byte behind a number or a word */
        wrong = plain_error(&data, error, frame, size);

    } else if (root && json_is_object(root)) {
        wrong = object_error(&data, error, root, frame, size);

    } else if (root == NULL && json_not_judged(&json_error)) {
        wrong = NULL;

    } else {
        wrong = plain_error(&data, error, frame, size);
    }

    json_decref(root);

    if (wrong == NULL && error == NULL && !data.json) {
        wrong = escape_error(data.bytes, data.size, 6 + size % 50);
    }

    return wrong;
}

#endif /* KMQ_PROTOCOL_ORACLE_H */
