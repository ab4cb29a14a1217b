/* The body of an HTTP request. */

#include <string.h>

#include "kmq_ascii.h"
#include "kmq_field.h"
#include "kmq_json.h"
#include "kmq_scan.h"
#include "kmq_utf8.h"


typedef enum {
    KMQ_FORM_ANY = 0,
    KMQ_FORM_URLENCODED,
    KMQ_FORM_MULTIPART,
    KMQ_FORM_JSON,
    KMQ_FORM_LINES
} kmq_form_kind_t;

/* What is looked for in a JSON object, and what is there. */
typedef struct {
    const kmq_wanted_t  *wanted;
    kmq_scan_value_t     values[KMQ_FORM_FIELDS];
} kmq_form_json_t;


static const char  kmq_form_escape[] = "form has a % without two hex digits";


/* ------------------------------------------------------------ urlencoded */

/* Reads "name=value", where equals is the end if there is none; strict: what
 * is not wanted must be valid as well.  NULL or what is wrong. */
static const char *
kmq_form_pair(unsigned char *p, unsigned char *equals, unsigned char *end,
    const kmq_wanted_t *wanted, int strict)
{
    ptrdiff_t     name, value;
    kmq_field_t  *field;

    name = kmq_percent_decode(p, p, (size_t) (equals - p), 1);
    field = (name < 0) ? NULL : kmq_field_find(wanted, p, (size_t) name);

    if (field == NULL && !strict) {
        return NULL;
    }

    /* a name without = has an empty value */
    equals += (equals < end);

    value = kmq_percent_decode(equals, equals, (size_t) (end - equals), 1);

    if (name < 0 || value < 0) {
        return kmq_form_escape;
    }

    if (field) {
        kmq_field_set(wanted, field, equals, (size_t) value);
    }

    return NULL;
}


static const char *
kmq_form_urlencoded(unsigned char *body, size_t size,
    const kmq_wanted_t *wanted, int strict)
{
    const char     *error;
    unsigned char  *p, *end, *next, *equals;

    end = body + size;

    for (p = body; p < end; p = next + 1) {

        next = memchr(p, '&', (size_t) (end - p));
        next = next ? next : end;

        equals = memchr(p, '=', (size_t) (next - p));
        equals = equals ? equals : next;

        error = kmq_form_pair(p, equals, next, wanted, strict);
        if (error) {
            return error;
        }
    }

    return NULL;
}


/* ------------------------------------------------------------------ JSON */

static kmq_scan_value_t *
kmq_form_json_place(void *arg, const kmq_scan_value_t *name)
{
    kmq_form_json_t  *json = arg;

    unsigned      i;
    kmq_field_t  *fields;

    fields = json->wanted->fields;

    for (i = 0; i < json->wanted->n; i++) {
        if (kmq_scan_is(name, fields[i].name)) {

            if (json->values[i].kind != KMQ_SCAN_ABSENT) {
                kmq_field_repeated(json->wanted, i);
            }

            return &json->values[i];
        }
    }

    /* for the names alone that may be slips */
    (void) kmq_field_find(json->wanted, name->start,
                          (size_t) (name->end - name->start));

    return NULL;
}


/* raw: a string stays as it stands. */
static const char *
kmq_form_json_value(kmq_field_t *field, unsigned char *body,
    const kmq_scan_value_t *value, int raw, int list)
{
    switch (value->kind) {

    case KMQ_SCAN_ABSENT:
    case KMQ_SCAN_NULL:
        return NULL;

    case KMQ_SCAN_ARRAY:

        if (list) {
            break;
        }

        /* fall through */

    case KMQ_SCAN_OBJECT:
        return "a parameter in the JSON body is an object or an array";

    default:
        break;
    }

    field->value = body + (value->start - body);
    field->len = (size_t) (value->end - value->start);

    if (value->kind == KMQ_SCAN_STRING && !raw) {
        field->len = kmq_json_unescape(field->value, field->len);

    } else if (value->kind == KMQ_SCAN_STRING && value->broken_pair) {
        kmq_json_mend(field->value, field->len);
    }

    return NULL;
}


static void
kmq_form_json_begin(kmq_form_json_t *json, const kmq_wanted_t *wanted)
{
    unsigned  i;

    json->wanted = wanted;

    for (i = 0; i < wanted->n; i++) {
        json->values[i].kind = KMQ_SCAN_ABSENT;
    }
}


/* raw: the field whose string stays as it stands; as many as there are:
 * none. */
static const char *
kmq_form_json_values(const kmq_form_json_t *json, unsigned char *body,
    unsigned raw)
{
    unsigned             i;
    const char          *error;
    const kmq_wanted_t  *wanted = json->wanted;

    error = NULL;

    for (i = 0; i < wanted->n && error == NULL; i++) {
        error = kmq_form_json_value(&wanted->fields[i], body,
                                    &json->values[i], i == raw,
                                    wanted->lists >> i & 1);
    }

    return error;
}


/* The same. */
static const char *
kmq_form_json(unsigned char *body, size_t size, const kmq_wanted_t *wanted,
    unsigned raw)
{
    kmq_form_json_t  json;

    kmq_form_json_begin(&json, wanted);

    if (!kmq_utf8_valid(body, size)
        || kmq_scan_members(body, body + size, kmq_form_json_place, &json)
           != 0)
    {
        return "body is not valid JSON, an object of at most 64 levels";
    }

    return kmq_form_json_values(&json, body, raw);
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

    if (kmq_same_name(type, len, "application/x-ndjson")) {
        return KMQ_FORM_LINES;
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


/* Nothing has come yet. */
static const char *
kmq_form_begin(kmq_wanted_t *wanted, kmq_field_t *fields, unsigned n,
    kmq_misspelt_t *misspelt)
{
    unsigned  i;

    if (n > KMQ_FORM_FIELDS) {
        return "more fields are wanted than a form may have";
    }

    for (i = 0; i < n; i++) {
        fields[i].value = NULL;
        fields[i].len = 0;
    }

    /* nobody looks at the others' names, nor at lengths without a name */

    if (misspelt) {
        memset(misspelt->name, 0, n * sizeof(misspelt->name[0]));
        misspelt->unknown = NULL;
        misspelt->repeated = 0;
    }

    wanted->fields = fields;
    wanted->n = n;
    wanted->lists = 0;
    wanted->misspelt = misspelt;

    return NULL;
}


const char *
kmq_form_read(unsigned char *body, size_t size, const char *type,
    size_t type_len, kmq_field_t *fields, unsigned n,
    kmq_misspelt_t *misspelt)
{
    return kmq_form_lists(body, size, type, type_len, fields, n, 0, misspelt);
}


const char *
kmq_form_lists(unsigned char *body, size_t size, const char *type,
    size_t type_len, kmq_field_t *fields, unsigned n, unsigned lists,
    kmq_misspelt_t *misspelt)
{
    const unsigned char  *content_type, *boundary;
    size_t                boundary_len;
    const char           *error;
    kmq_wanted_t          wanted;
    kmq_form_kind_t       kind;

    error = kmq_form_begin(&wanted, fields, n, misspelt);
    if (error) {
        return error;
    }

    wanted.lists = lists;

    if (size >= 3 && memcmp(body, "\xef\xbb\xbf", 3) == 0) {
        /* some editors and languages put a mark there */
        body += 3;
        size -= 3;
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
        return kmq_multipart_read(body, size, boundary, boundary_len, &wanted);
    }

    if (kind == KMQ_FORM_JSON
        || (kind != KMQ_FORM_URLENCODED
            && kmq_form_looks_like_json(body, size)))
    {
        return kmq_form_json(body, size, &wanted, n);
    }

    if (kind == KMQ_FORM_MULTIPART) {
        return NULL;
    }

    return kmq_form_urlencoded(body, size, &wanted, 1);
}


const char *
kmq_form_object(unsigned char *object, size_t size, kmq_field_t *fields,
    unsigned n, unsigned raw, kmq_misspelt_t *misspelt)
{
    const char    *error;
    kmq_wanted_t   wanted;

    error = kmq_form_begin(&wanted, fields, n, misspelt);

    return error ? error : kmq_form_json(object, size, &wanted, raw);
}


const char *
kmq_form_first(unsigned char *object, size_t room, size_t *size,
    kmq_field_t *fields, unsigned n, unsigned raw, kmq_misspelt_t *misspelt)
{
    const char           *error;
    kmq_wanted_t          wanted;
    kmq_form_json_t       json;
    const unsigned char  *end;

    *size = 0;

    error = kmq_form_begin(&wanted, fields, n, misspelt);
    if (error) {
        return error;
    }

    kmq_form_json_begin(&json, &wanted);

    end = kmq_scan_first(object, object + room, kmq_form_json_place, &json);
    *size = end ? (size_t) (end - object) : 0;

    if (!kmq_utf8_valid(object, *size)) {
        *size = 0;
    }

    return *size ? kmq_form_json_values(&json, object, raw) : NULL;
}


kmq_form_batch_t
kmq_form_batch(const char *type, size_t len)
{
    const unsigned char  *content_type, *boundary;
    size_t                boundary_len;

    content_type = (const unsigned char *) (type ? type : "");
    len = type ? len : 0;

    switch (kmq_form_kind(content_type, len)) {

    case KMQ_FORM_LINES:
        return KMQ_FORM_BATCH_LINES;

    case KMQ_FORM_URLENCODED:
        return KMQ_FORM_BATCH_NONE;

    case KMQ_FORM_MULTIPART:
        return kmq_field_param(content_type, len, "boundary", &boundary,
                               &boundary_len) && boundary_len
               ? KMQ_FORM_BATCH_NONE : KMQ_FORM_BATCH_MAYBE;

    case KMQ_FORM_JSON:
        return KMQ_FORM_BATCH_ARRAY;

    default:
        return KMQ_FORM_BATCH_MAYBE;
    }
}


const char *
kmq_form_query(unsigned char *query, size_t size, kmq_field_t *fields,
    unsigned n, kmq_misspelt_t *misspelt)
{
    const char    *error;
    kmq_wanted_t   wanted;

    error = kmq_form_begin(&wanted, fields, n, misspelt);

    return error ? error : kmq_form_urlencoded(query, size, &wanted, 0);
}
