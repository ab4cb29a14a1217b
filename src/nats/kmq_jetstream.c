/* Subjects, errors, and publishing: kmq_jetstream.h. */

#include <stdio.h>
#include <string.h>

#include "kmq_jetstream_inside.h"


/* ------------------------------------------------------------------- JSON */

size_t
kmq_js_dump(char *to, size_t room, json_t *json)
{
    size_t  n;

    n = json ? json_dumpb(json, to, room, JSON_COMPACT) : 0;
    json_decref(json);

    return n <= room ? n : 0;
}


int
kmq_js_senseless(kmq_js_error_t *error, const char *why)
{
    error->code = 0;
    error->err_code = 0;
    (void) snprintf(error->text, sizeof(error->text), "%s", why);

    return -1;
}


uint64_t
kmq_js_number(const json_t *object, const char *name)
{
    json_int_t  number;

    number = json_integer_value(json_object_get(object, name));

    return number > 0 ? (uint64_t) number : 0;
}


/* Days since 1970 of a date of the Gregorian calendar. */
static uint64_t
js_days(unsigned year, unsigned month, unsigned day)
{
    unsigned  era;

    /* years begin in March, so that the day that may be missing is the last */

    year -= month <= 2;
    month = month > 2 ? month - 3 : month + 9;
    era = year / 400;
    year %= 400;

    return (uint64_t) era * 146097 + year * 365 + year / 4 - year / 100
           + (153 * month + 2) / 5 + day - 1 - 719468;
}


/* "2026-11-30T15:04:05.123456789Z" */
uint64_t
kmq_js_time(const json_t *object, const char *name)
{
    int          end;
    unsigned     year, month, day, hour, minute, second, digits;
    uint64_t     ns;
    const char  *text;

    text = json_string_value(json_object_get(object, name));

    if (text == NULL
        || sscanf(text, "%4u-%2u-%2uT%2u:%2u:%2u%n", &year, &month, &day,
                  &hour, &minute, &second, &end) != 6
        || year < 1970 || month < 1 || month > 12)
    {
        return 0;
    }

    ns = 0;
    digits = 0;
    text += end;

    if (*text == '.') {
        for (text++; digits < 9 && *text >= '0' && *text <= '9'; digits++) {
            ns = ns * 10 + (uint64_t) (*text++ - '0');
        }
    }

    for ( /* void */ ; digits < 9; digits++) {
        ns *= 10;
    }

    return ((js_days(year, month, day) * 24 + hour) * 3600 + minute * 60
            + second) * UINT64_C(1000000000) + ns;
}


void
kmq_js_copy(char *to, size_t room, const json_t *object, const char *name)
{
    const char  *text;

    text = json_string_value(json_object_get(object, name));
    (void) snprintf(to, room, "%s", text ? text : "");
}


json_t *
kmq_js_load(const kmq_nats_text_t *payload, kmq_js_error_t *error)
{
    json_t  *json, *said;

    memset(error, 0, sizeof(kmq_js_error_t));
    json = json_loadb((const char *) payload->bytes, payload->len, 0, NULL);

    if (!json_is_object(json)) {
        (void) kmq_js_senseless(error, "an answer that is no JSON object");
        json_decref(json);
        return NULL;
    }

    said = json_object_get(json, "error");

    if (said == NULL) {
        return json;
    }

    error->code = (unsigned) kmq_js_number(said, "code");
    error->err_code = (unsigned) kmq_js_number(said, "err_code");
    kmq_js_copy(error->text, sizeof(error->text), said, "description");

    /* 0 means something else */
    error->code = error->code ? error->code : 500;
    json_decref(json);

    return NULL;
}


int
kmq_js_read_success(const kmq_nats_text_t *payload, kmq_js_error_t *error)
{
    int      success;
    json_t  *json;

    json = kmq_js_load(payload, error);

    if (json == NULL) {
        return -1;
    }

    success = json_is_true(json_object_get(json, "success"));
    json_decref(json);

    return success ? 0 : kmq_js_senseless(error, "no success");
}


/* --------------------------------------------------------------- subjects */

int
kmq_js_subject(char to[KMQ_JS_SUBJECT_MAX], const char *verb,
    const char *stream, const char *more)
{
    int  n;

    n = snprintf(to, KMQ_JS_SUBJECT_MAX, "$JS.API.%s.%s%s%s", verb, stream,
                 more ? "." : "", more ? more : "");

    return n < KMQ_JS_SUBJECT_MAX ? 0 : -1;
}


/* -------------------------------------------------------------- publishing */

void
kmq_js_expect(kmq_js_expect_t *expect, uint64_t last)
{
    (void) snprintf(expect->last, sizeof(expect->last), "%llu",
                    (unsigned long long) last);

    expect->header.name = "Nats-Expected-Last-Subject-Sequence";
    expect->header.value = expect->last;
}


int
kmq_js_read_ack(const kmq_nats_text_t *payload, kmq_js_ack_t *ack,
    kmq_js_error_t *error)
{
    json_t  *json;

    json = kmq_js_load(payload, error);

    if (json == NULL) {
        return -1;
    }

    ack->sequence = kmq_js_number(json, "seq");
    json_decref(json);

    return ack->sequence ? 0 : kmq_js_senseless(error,
                                                "an ack without sequence");
}
