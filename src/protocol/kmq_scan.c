/*
 * The scanner's functions take the place p where something begins and return
 * the place behind it, or NULL where it is not what it has to be.
 */

#include <string.h>

#include "kmq_ascii.h"
#include "kmq_scan.h"
#include "kmq_vector.h"


static inline const unsigned char *
kmq_scan_space(const unsigned char *p, const unsigned char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) {
        p++;
    }

    return p;
}


/* What follows \u: four hex digits, and the second half of a pair. */
static const unsigned char *
kmq_scan_unicode(kmq_scan_value_t *value, const unsigned char *p,
    const unsigned char *end)
{
    int  unit;

    unit = kmq_hex_unit(p, end);
    if (unit < 0) {
        return NULL;
    }

    p += 4;

    if ((unit & 0xf800) != 0xd800) {
        return p;
    }

    if (unit < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {

        unit = kmq_hex_unit(p + 2, end);

        if (unit >= 0xdc00 && unit <= 0xdfff) {
            return p + 6;
        }
    }

    value->broken_pair = 1;

    return p;
}


/* What follows a backslash. */
static const unsigned char *
kmq_scan_escape(kmq_scan_value_t *value, const unsigned char *p,
    const unsigned char *end)
{
    if (p == end) {
        return NULL;
    }

    switch (*p) {

    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return p + 1;

    case 'u':
        return kmq_scan_unicode(value, p + 1, end);

    default:
        return NULL;
    }
}


/* A string; p is behind its first quote. */
static inline const unsigned char *
kmq_scan_string(kmq_scan_value_t *value, const unsigned char *p,
    const unsigned char *end)
{
    value->kind = KMQ_SCAN_STRING;
    value->broken_pair = 0;
    value->start = p;

    for ( ;; ) {
        p = kmq_v16_find_special(p, end);

        if (p == end || *p < 0x20) {
            return NULL;
        }

        if (*p == '"') {
            value->end = p;
            return p + 1;
        }

        p = kmq_scan_escape(value, p + 1, end);
        if (p == NULL) {
            return NULL;
        }
    }
}


/* At least one digit. */
static const unsigned char *
kmq_scan_digits(const unsigned char *p, const unsigned char *end)
{
    const unsigned char  *start;

    for (start = p; p < end && *p >= '0' && *p <= '9'; p++) { /* void */ }

    return (p > start) ? p : NULL;
}


static const unsigned char *
kmq_scan_number(const unsigned char *p, const unsigned char *end)
{
    if (p < end && *p == '-') {
        p++;
    }

    if (p < end && *p == '0') {
        p++;

    } else {
        p = kmq_scan_digits(p, end);
    }

    if (p && p < end && *p == '.') {
        p = kmq_scan_digits(p + 1, end);
    }

    if (p && p < end && (*p == 'e' || *p == 'E')) {
        p++;

        if (p < end && (*p == '+' || *p == '-')) {
            p++;
        }

        p = kmq_scan_digits(p, end);
    }

    return p;
}


static const unsigned char *
kmq_scan_word(const unsigned char *p, const unsigned char *end,
    const char *word)
{
    size_t  len;

    len = strlen(word);

    return ((size_t) (end - p) >= len && memcmp(p, word, len) == 0) ? p + len
                                                                    : NULL;
}


/* A value that is not an object nor an array. */
static inline const unsigned char *
kmq_scan_scalar(kmq_scan_value_t *value, const unsigned char *p,
    const unsigned char *end)
{
    switch (*p) {

    case '"':
        return kmq_scan_string(value, p + 1, end);

    case 'n':
        value->kind = KMQ_SCAN_NULL;
        return kmq_scan_word(p, end, "null");

    case 't':
    case 'f':
        value->kind = KMQ_SCAN_BOOLEAN;
        value->start = p;
        value->end = kmq_scan_word(p, end, *p == 't' ? "true" : "false");
        return value->end;

    default:
        value->kind = KMQ_SCAN_NUMBER;
        value->start = p;
        value->end = kmq_scan_number(p, end);
        return value->end;
    }
}


/* A member's name and the colon, with the space around them; in the end at
 * the value's first byte. */
static inline const unsigned char *
kmq_scan_name(kmq_scan_value_t *name, const unsigned char *p,
    const unsigned char *end)
{
    p = kmq_scan_space(p, end);

    if (p == end || *p != '"') {
        return NULL;
    }

    p = kmq_scan_string(name, p + 1, end);
    if (p == NULL) {
        return NULL;
    }

    p = kmq_scan_space(p, end);

    if (p == end || *p != ':') {
        return NULL;
    }

    p = kmq_scan_space(p + 1, end);

    return (p < end) ? p : NULL;
}


/* An open object or array on the way through a nested value; the innermost
 * is the lowest bit: 1 for an object. */
typedef struct {
    uint64_t  objects;
    unsigned  depth;
} kmq_scan_stack_t;


/* Behind a value: leaves what is closed here; at the next value's first byte,
 * or, when all is closed, behind it. */
static const unsigned char *
kmq_scan_leave(kmq_scan_stack_t *stack, const unsigned char *p,
    const unsigned char *end)
{
    kmq_scan_value_t  name;
    unsigned          object;

    while (stack->depth) {

        object = stack->objects & 1;
        p = kmq_scan_space(p, end);

        if (p == end) {
            return NULL;
        }

        if (*p == ',') {
            p = object ? kmq_scan_name(&name, p + 1, end)
                       : kmq_scan_space(p + 1, end);

            return (p && p < end) ? p : NULL;
        }

        if (*p != (object ? '}' : ']')) {
            return NULL;
        }

        p++;
        stack->objects >>= 1;
        stack->depth--;
    }

    return p;
}


/* An object or array that is only passed over. */
static const unsigned char *
kmq_scan_nested(const unsigned char *p, const unsigned char *end)
{
    kmq_scan_stack_t  stack = { 0, 0 };
    kmq_scan_value_t  ignored;
    unsigned          object;

    do {
        if (*p != '{' && *p != '[') {
            p = kmq_scan_scalar(&ignored, p, end);

        } else if (stack.depth == KMQ_SCAN_DEPTH - 1) {
            return NULL;

        } else {
            object = (*p == '{');
            stack.objects = stack.objects << 1 | object;
            stack.depth++;

            p = kmq_scan_space(p + 1, end);

            if (p == end) {
                return NULL;
            }

            if (*p != (object ? '}' : ']')) {
                p = object ? kmq_scan_name(&ignored, p, end) : p;
                continue;
            }
        }

        p = p ? kmq_scan_leave(&stack, p, end) : NULL;

    } while (p && stack.depth);

    return p;
}


static inline const unsigned char *
kmq_scan_value(kmq_scan_value_t *value, const unsigned char *p,
    const unsigned char *end)
{
    if (*p == '{') {
        value->kind = KMQ_SCAN_OBJECT;
        return kmq_scan_nested(p, end);
    }

    if (*p == '[') {
        value->kind = KMQ_SCAN_ARRAY;
        value->start = p;
        value->end = kmq_scan_nested(p, end);
        return value->end;
    }

    return kmq_scan_scalar(value, p, end);
}


int
kmq_scan_is(const kmq_scan_value_t *name, const char *wanted)
{
    const unsigned char  *p;
    unsigned char         c;
    size_t                len;
    int                   unit;

    p = name->start;
    len = (size_t) (name->end - p);

    /* mostly it is quite another, or spelt as it is here */

    if (len && *p != '\\'
        && kmq_lower(*p) != kmq_lower((unsigned char) *wanted))
    {
        return 0;
    }

    if (strncmp((const char *) p, wanted, len) == 0 && wanted[len] == '\0') {
        return 1;
    }

    for ( ; p < name->end; wanted++) {

        c = *p++;

        if (c == '\\') {
            if (*p != 'u') {
                return 0;
            }

            unit = kmq_hex_unit(p + 1, name->end);
            c = (unit < 0x80) ? (unsigned char) unit : 0;
            p += 5;
        }

        if (c == '\0' || kmq_lower(c) != kmq_lower((unsigned char) *wanted)) {
            return 0;
        }
    }

    return *wanted == '\0';
}


/* The members and the closing brace; p is behind the opening one. */
static inline const unsigned char *
kmq_scan_body(const unsigned char *p, const unsigned char *end,
    kmq_scan_place_pt place, void *arg)
{
    kmq_scan_value_t  name, ignored, *value;

    p = kmq_scan_space(p, end);

    if (p < end && *p == '}') {
        return p + 1;
    }

    for ( ;; ) {
        p = kmq_scan_name(&name, p, end);
        if (p == NULL) {
            return NULL;
        }

        value = place(arg, &name);

        p = kmq_scan_value(value ? value : &ignored, p, end);
        if (p == NULL) {
            return NULL;
        }

        p = kmq_scan_space(p, end);

        if (p == end || (*p != ',' && *p != '}')) {
            return NULL;
        }

        if (*p++ == '}') {
            return p;
        }
    }
}


/* An object; p is at its opening brace, if that is one. */
static inline const unsigned char *
kmq_scan_braces(const unsigned char *p, const unsigned char *end,
    kmq_scan_place_pt place, void *arg)
{
    if (p == end || *p != '{') {
        return NULL;
    }

    return kmq_scan_body(p + 1, end, place, arg);
}


static inline int
kmq_scan_whole(const unsigned char *p, const unsigned char *end,
    kmq_scan_place_pt place, void *arg)
{
    p = kmq_scan_braces(kmq_scan_space(p, end), end, place, arg);

    return (p && kmq_scan_space(p, end) == end) ? 0 : -1;
}


int
kmq_scan_members(const unsigned char *p, const unsigned char *end,
    kmq_scan_place_pt place, void *arg)
{
    return kmq_scan_whole(p, end, place, arg);
}


const unsigned char *
kmq_scan_first(const unsigned char *p, const unsigned char *end,
    kmq_scan_place_pt place, void *arg)
{
    return kmq_scan_braces(p, end, place, arg);
}


/* The place for the value of the member so named. */
static inline kmq_scan_value_t *
kmq_scan_place(void *arg, const kmq_scan_value_t *name)
{
    kmq_scan_object_t  *object = arg;

    size_t  len;

    len = (size_t) (name->end - name->start);

    /* as they are spelt mostly, which takes less to see */

    if (len == 11 && memcmp(name->start, "MessageData", 11) == 0) {
        return &object->data;
    }

    if (len == 9 && memcmp(name->start, "DelayTime", 9) == 0) {
        return &object->delay;
    }

    if (kmq_scan_is(name, "messagedata")) {
        return &object->data;
    }

    if (kmq_scan_is(name, "delaytime")) {
        return &object->delay;
    }

    return NULL;
}


int
kmq_scan_object(kmq_scan_object_t *object, const unsigned char *p,
    const unsigned char *end)
{
    object->data.kind = KMQ_SCAN_ABSENT;
    object->delay.kind = KMQ_SCAN_ABSENT;

    return kmq_scan_whole(p, end, kmq_scan_place, object);
}
