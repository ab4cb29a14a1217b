/* Producer messages. */

#include <string.h>

#include "kmq_json.h"
#include "kmq_scan.h"
#include "kmq_utf8.h"


static const char  kmq_data_not_utf8[] = "message is not valid UTF-8";
static const char  kmq_data_delay_max[] =
    "DelayTime is more than ten years";


/* ----------------------------------------------------------------- delay */

/* A decimal number as text: its digits, perhaps with a point between them,
 * mean 0.DIGITS times ten to the power of point. */
typedef struct {
    const unsigned char  *digits;
    const unsigned char  *end;
    int64_t               point;
    int                   negative;
} kmq_decimal_t;

/* Larger exponents are as good as this one: no message has so many digits. */
#define KMQ_DECIMAL_EXPONENT_MAX  INT64_C(1000000000000)


static int
kmq_is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}


static int
kmq_decimal_exponent(kmq_decimal_t *decimal, const unsigned char *p,
    const unsigned char *end)
{
    int64_t  exponent;
    int      negative;

    negative = (p < end && *p == '-');

    if (p < end && (*p == '-' || *p == '+')) {
        p++;
    }

    if (p == end) {
        return -1;
    }

    for (exponent = 0; p < end; p++) {

        if (!kmq_is_digit(*p)) {
            return -1;
        }

        if (exponent < KMQ_DECIMAL_EXPONENT_MAX) {
            exponent = exponent * 10 + (*p - '0');
        }
    }

    decimal->point += negative ? -exponent : exponent;

    return 0;
}


/* 0, or -1 when the text is not a number.  What JSON allows, and a plus sign
 * or a point at either end. */
static int
kmq_decimal_read(kmq_decimal_t *decimal, const unsigned char *p,
    const unsigned char *end)
{
    const unsigned char  *point;

    decimal->negative = (p < end && *p == '-');

    if (p < end && (*p == '-' || *p == '+')) {
        p++;
    }

    decimal->digits = p;
    point = NULL;

    while (p < end && (kmq_is_digit(*p) || (*p == '.' && point == NULL))) {
        point = (*p == '.') ? p : point;
        p++;
    }

    if (p - decimal->digits == (point ? 1 : 0)) {
        return -1;
    }

    decimal->end = p;
    decimal->point = (point ? point : p) - decimal->digits;

    if (p == end) {
        return 0;
    }

    if (*p != 'e' && *p != 'E') {
        return -1;
    }

    return kmq_decimal_exponent(decimal, p + 1, end);
}


/* Milliseconds of a number of seconds, rounded up without going through
 * binary fractions; KMQ_DELAY_MAX + 1 for all that is more. */
static uint64_t
kmq_decimal_ms(const kmq_decimal_t *decimal)
{
    const unsigned char  *p;
    uint64_t              ms;
    int64_t               places;

    if (decimal->negative) {
        return 0;
    }

    ms = 0;
    places = decimal->point + 3;

    for (p = decimal->digits; p < decimal->end; p++) {

        if (*p == '.') {
            continue;
        }

        if (places <= 0) {
            if (*p == '0') {
                continue;
            }

            return ms + 1;
        }

        ms = ms * 10 + (uint64_t) (*p - '0');
        places--;

        if (ms > KMQ_DELAY_MAX) {
            return KMQ_DELAY_MAX + 1;
        }
    }

    while (places > 0 && ms > 0 && ms <= KMQ_DELAY_MAX) {
        ms *= 10;
        places--;
    }

    return (ms <= KMQ_DELAY_MAX) ? ms : KMQ_DELAY_MAX + 1;
}


int
kmq_data_delay(const char *text, size_t size, uint64_t *delay)
{
    const unsigned char  *p, *end;
    kmq_decimal_t         decimal;

    p = (const unsigned char *) text;
    end = p + size;

    if (size == 0) {
        *delay = 0;
        return 0;
    }

    if (kmq_decimal_read(&decimal, p, end) != 0) {
        return -1;
    }

    *delay = kmq_decimal_ms(&decimal);

    return (*delay <= KMQ_DELAY_MAX) ? 0 : -1;
}


/* ------------------------------------------------------------------ data */

static void
kmq_data_plain(kmq_data_t *data, const unsigned char *text, size_t size)
{
    data->bytes = text;
    data->size = size;
    data->escaped = kmq_json_escaped(text, size);
    data->delay = 0;
    data->json = 0;
}


/* The error for a value that is not of a kind that its member takes. */
static const char *
kmq_data_kind_error(int delay, kmq_scan_kind_t kind)
{
    static const char *const  errors[2][KMQ_SCAN_OBJECT + 1] = {
        {
            [KMQ_SCAN_BOOLEAN] = "MessageData is true or false, not a string",
            [KMQ_SCAN_NUMBER] = "MessageData is a number, not a string",
            [KMQ_SCAN_ARRAY] = "MessageData is an array, not a string",
            [KMQ_SCAN_OBJECT] = "MessageData is an object, not a string"
        },
        {
            [KMQ_SCAN_BOOLEAN] = "DelayTime is true or false, not a number",
            [KMQ_SCAN_STRING] = "DelayTime is a string, not a number",
            [KMQ_SCAN_ARRAY] = "DelayTime is an array, not a number",
            [KMQ_SCAN_OBJECT] = "DelayTime is an object, not a number"
        }
    };

    return errors[delay][kind];
}


static const char *
kmq_data_object_delay(kmq_data_t *data, const kmq_scan_value_t *value)
{
    kmq_decimal_t  decimal;

    data->delay = 0;

    if (value->kind == KMQ_SCAN_ABSENT || value->kind == KMQ_SCAN_NULL) {
        return NULL;
    }

    if (value->kind != KMQ_SCAN_NUMBER) {
        return kmq_data_kind_error(1, value->kind);
    }

    if (value->end - value->start == 1 && *value->start == '0') {
        return NULL;
    }

    if (kmq_decimal_read(&decimal, value->start, value->end) != 0) {
        return "DelayTime is not a number";
    }

    data->delay = kmq_decimal_ms(&decimal);

    return (data->delay <= KMQ_DELAY_MAX) ? NULL : kmq_data_delay_max;
}


static const char *
kmq_data_object(kmq_data_t *data, const kmq_scan_object_t *object,
    unsigned char *frame)
{
    const kmq_scan_value_t  *value;

    value = &object->data;

    if (value->kind == KMQ_SCAN_STRING) {

        data->bytes = value->start;
        data->size = (size_t) (value->end - value->start);

        if (value->broken_pair) {
            kmq_json_mend(frame + (value->start - frame), data->size);
        }

    } else if (value->kind == KMQ_SCAN_NULL) {
        data->bytes = frame;
        data->size = 0;

    } else {
        return kmq_data_kind_error(0, value->kind);
    }

    data->escaped = data->size;
    data->json = 1;

    return kmq_data_object_delay(data, &object->delay);
}


const char *
kmq_data_frame(kmq_data_t *data, unsigned char *frame, size_t size,
    int binary)
{
    kmq_scan_object_t  object;

    if (binary && !kmq_utf8_valid(frame, size)) {
        return kmq_data_not_utf8;
    }

    if (kmq_scan_object(&object, frame, frame + size) == 0
        && object.data.kind != KMQ_SCAN_ABSENT)
    {
        return kmq_data_object(data, &object, frame);
    }

    kmq_data_plain(data, frame, size);

    return NULL;
}


size_t
kmq_data_size(const kmq_data_t *data)
{
    return data->json ? kmq_json_unescaped(data->bytes, data->size)
                      : data->size;
}


const char *
kmq_data_text(kmq_data_t *data, const unsigned char *text, size_t size)
{
    if (!kmq_utf8_valid(text, size)) {
        return kmq_data_not_utf8;
    }

    kmq_data_plain(data, text, size);

    return NULL;
}
