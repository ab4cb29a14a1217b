/* The body of an HTTP request. */

#include <string.h>

#include <jansson.h>

#include "kmq_ascii.h"
#include "kmq_field.h"


/* Decimal digits that every double keeps: 0.1 stays 0.1 */
#define KMQ_FORM_DIGITS  15

/* A number as text: 15 digits, sign, point, exponent; or an integer. */
#define KMQ_FORM_NUMBER_MAX  32


typedef enum {
    KMQ_FORM_ANY = 0,
    KMQ_FORM_URLENCODED,
    KMQ_FORM_MULTIPART,
    KMQ_FORM_JSON
} kmq_form_kind_t;

/* Where values that are not part of the body are kept. */
typedef struct {
    void  *(*alloc)(void *arg, size_t size);
    void  *arg;
} kmq_form_memory_t;


kmq_field_t *
kmq_field_find(kmq_field_t *fields, unsigned n, const unsigned char *name,
    size_t len)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        if (kmq_same_name(name, len, fields[i].name)) {
            return &fields[i];
        }
    }

    return NULL;
}


static const char *
kmq_form_urlencoded(unsigned char *body, size_t size, kmq_field_t *fields,
    unsigned n)
{
    unsigned char  *p, *end, *next, *equals;
    ptrdiff_t       name, value;
    kmq_field_t    *field;

    end = body + size;

    for (p = body; p < end; p = next + 1) {

        next = memchr(p, '&', (size_t) (end - p));
        next = next ? next : end;

        equals = memchr(p, '=', (size_t) (next - p));
        equals = equals ? equals : next;

        name = kmq_percent_decode(p, p, (size_t) (equals - p), 1);

        /* a name without = has an empty value */
        equals += (equals < next);

        value = kmq_percent_decode(equals, equals, (size_t) (next - equals),
                                   1);

        if (name < 0 || value < 0) {
            return "form has a % without two hex digits";
        }

        field = kmq_field_find(fields, n, p, (size_t) name);

        if (field) {
            field->value = equals;
            field->len = (size_t) value;
        }
    }

    return NULL;
}


/* ------------------------------------------------------------------ JSON */

static const char *
kmq_form_keep(kmq_form_memory_t *memory, kmq_field_t *field, const char *text,
    size_t len)
{
    /* one byte more: alloc() may have no answer for 0 */
    field->value = memory->alloc(memory->arg, len + 1);

    if (field->value == NULL) {
        return "no memory for the parameters";
    }

    memcpy(field->value, text, len);
    field->len = len;

    return NULL;
}


/* A number or a boolean, as text. */
static const char *
kmq_form_json_text(kmq_form_memory_t *memory, kmq_field_t *field,
    const json_t *value)
{
    char    text[KMQ_FORM_NUMBER_MAX];
    size_t  len;

    len = json_dumpb(value, text, sizeof(text),
                     JSON_ENCODE_ANY | JSON_REAL_PRECISION(KMQ_FORM_DIGITS));

    if (len == 0 || len > sizeof(text)) {
        return "a number in the JSON body is too long";
    }

    return kmq_form_keep(memory, field, text, len);
}


static const char *
kmq_form_json_value(kmq_form_memory_t *memory, kmq_field_t *field,
    const json_t *value)
{
    switch (json_typeof(value)) {

    case JSON_NULL:
        field->value = NULL;
        field->len = 0;
        return NULL;

    case JSON_STRING:
        return kmq_form_keep(memory, field, json_string_value(value),
                             json_string_length(value));

    case JSON_OBJECT:
    case JSON_ARRAY:
        return "a parameter in the JSON body is an object or an array";

    default:
        return kmq_form_json_text(memory, field, value);
    }
}


static const char *
kmq_form_json(const unsigned char *body, size_t size, kmq_field_t *fields,
    unsigned n, kmq_form_memory_t *memory)
{
    json_t       *root, *value;
    const char   *key, *error;
    kmq_field_t  *field;

    root = json_loadb((const char *) body, size, JSON_ALLOW_NUL, NULL);

    if (root == NULL) {
        return "body is not valid JSON";
    }

    error = json_is_object(root) ? NULL : "body is not a JSON object";

    if (error == NULL) {
        json_object_foreach(root, key, value) {

            field = kmq_field_find(fields, n, (const unsigned char *) key,
                                   strlen(key));
            if (field == NULL) {
                continue;
            }

            error = kmq_form_json_value(memory, field, value);
            if (error) {
                break;
            }
        }
    }

    json_decref(root);

    return error;
}


/* ------------------------------------------------------------------ type */

static int
kmq_form_is_space(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}


static kmq_form_kind_t
kmq_form_kind(const unsigned char *type, size_t len)
{
    const unsigned char  *end;

    end = len ? memchr(type, ';', len) : NULL;
    end = end ? end : type + len;

    while (type < end && kmq_form_is_space(*type)) {
        type++;
    }

    while (type < end && kmq_form_is_space(end[-1])) {
        end--;
    }

    len = (size_t) (end - type);

    if (kmq_same_name(type, len, "application/x-www-form-urlencoded")) {
        return KMQ_FORM_URLENCODED;
    }

    if (kmq_same_name(type, len, "multipart/form-data")) {
        return KMQ_FORM_MULTIPART;
    }

    if (kmq_same_name(type, len, "application/json")) {
        return KMQ_FORM_JSON;
    }

    return KMQ_FORM_ANY;
}


/* Does the first byte that is not white space open an object? */
static int
kmq_form_looks_like_json(const unsigned char *body, size_t size)
{
    size_t  i;

    for (i = 0; i < size && kmq_form_is_space(body[i]); i++) { /* void */ }

    return i < size && body[i] == '{';
}


const char *
kmq_form_read(unsigned char *body, size_t size, const char *type,
    size_t type_len, kmq_field_t *fields, unsigned n,
    void *(*alloc)(void *arg, size_t size), void *arg)
{
    const unsigned char  *content_type, *boundary;
    size_t                boundary_len;
    kmq_form_kind_t       kind;
    kmq_form_memory_t     memory = { alloc, arg };
    unsigned              i;

    for (i = 0; i < n; i++) {
        fields[i].value = NULL;
        fields[i].len = 0;
    }

    if (size == 0) {
        return NULL;
    }

    content_type = (const unsigned char *) (type ? type : "");
    type_len = type ? type_len : 0;
    kind = kmq_form_kind(content_type, type_len);

    if (kind == KMQ_FORM_MULTIPART
        && kmq_field_param(content_type, type_len, "boundary", &boundary,
                           &boundary_len)
        && boundary_len)
    {
        return kmq_multipart_read(body, size, boundary, boundary_len, fields,
                                  n);
    }

    if (kind == KMQ_FORM_JSON
        || (kind != KMQ_FORM_URLENCODED
            && kmq_form_looks_like_json(body, size)))
    {
        return kmq_form_json(body, size, fields, n, &memory);
    }

    if (kind == KMQ_FORM_MULTIPART) {
        return NULL;
    }

    return kmq_form_urlencoded(body, size, fields, n);
}
