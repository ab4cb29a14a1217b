/*
 * Bodies and names.  The first byte says what the rest is: a body of
 * some type as it is, or values that are put into a well-formed body and have
 * to come out again.
 */

#include <jansson.h>

#include "../../src/protocol/kmq_form.h"
#include "../unit/protocol_util.h"


#define NFIELDS   2
#define BOUNDARY  "------------------------d74496d66958873e"


static void
check(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}


static int
is_inside(const kmq_field_t *field, const unsigned char *block, size_t size)
{
    return field->value >= block && field->value + field->len <= block + size;
}


/* ------------------------------------------------------------------ bodies */

/* What is read of any body, or query (no type), lies inside it. */
static void
read_any(const char *type, size_t type_len, const unsigned char *bytes,
    size_t size)
{
    unsigned        i;
    const char     *error;
    kmq_field_t     fields[NFIELDS] = { { .name = "a" }, { .name = "topic" } };
    unsigned char  *body;
    kmq_misspelt_t  misspelt;

    body = exact_copy(bytes, size);

    error = type ? kmq_form_read(body, size, type, type_len, fields, NFIELDS,
                                 &misspelt)
                 : kmq_form_query(body, size, fields, NFIELDS, &misspelt);

    for (i = 0; i < NFIELDS && error == NULL; i++) {
        check(fields[i].value == NULL || is_inside(&fields[i], body, size),
              "a value from nowhere");
    }

    i = kmq_form_misspelt(fields, NFIELDS, &misspelt);
    check(i == NFIELDS || (misspelt.name[i] >= body
                           && misspelt.name[i] + misspelt.len[i]
                              <= body + size), "a name from nowhere");

    free(body);
}


/* The body of that type holds these two values. */
static void
read_values(const char *type, const buffer_t *body, const buffer_t *values)
{
    unsigned        i;
    const char     *error;
    kmq_field_t     fields[NFIELDS] = { { .name = "A" }, { .name = "TOPIC" } };
    unsigned char  *copy;

    copy = exact_copy(body->bytes, body->size);

    error = kmq_form_read(copy, body->size, type, strlen(type), fields,
                          NFIELDS, NULL);
    check(error == NULL, error ? error : "");

    for (i = 0; i < NFIELDS; i++) {
        check(fields[i].value && fields[i].len == values[i].size
              && (values[i].size == 0
                  || memcmp(fields[i].value, values[i].bytes,
                            values[i].size) == 0),
              "a value does not come out as it went in");
    }

    free(copy);
}


static void
add_text(buffer_t *to, const char *text)
{
    buffer_add(to, text, strlen(text));
}


static void
add_percent(buffer_t *to, const buffer_t *value)
{
    char    text[4];
    size_t  i;

    for (i = 0; i < value->size; i++) {
        if (strchr("abcxyzABC019-_.", value->bytes[i]) && value->bytes[i]) {
            buffer_add(to, value->bytes + i, 1);

        } else if (value->bytes[i] == ' ') {
            add_text(to, "+");

        } else {
            snprintf(text, sizeof(text), "%%%02x", value->bytes[i]);
            add_text(to, text);
        }
    }
}


static void
round_urlencoded(const buffer_t *values)
{
    buffer_t  body = { NULL, 0, 0 };

    add_text(&body, "x=%20&a=");
    add_percent(&body, &values[0]);
    add_text(&body, "&topic=");
    add_percent(&body, &values[1]);

    read_values("application/x-www-form-urlencoded", &body, values);
    buffer_free(&body);
}


static void
round_multipart(const buffer_t *values)
{
    unsigned  i;
    buffer_t  body = { NULL, 0, 0 };

    static const char *const  names[] = { "a", "topic" };

    for (i = 0; i < NFIELDS; i++) {
        add_text(&body, "--" BOUNDARY "\r\n"
                        "Content-Disposition: form-data; name=\"");
        add_text(&body, names[i]);
        add_text(&body, "\"; filename=\"x;y\"\r\n\r\n");
        buffer_add(&body, values[i].bytes, values[i].size);
        add_text(&body, "\r\n");
    }

    add_text(&body, "--" BOUNDARY "--\r\n");

    read_values("multipart/form-data; boundary=" BOUNDARY, &body, values);
    buffer_free(&body);
}


static void
round_json(const buffer_t *values)
{
    char      *text;
    json_t    *root;
    buffer_t   body = { NULL, 0, 0 };

    if (!plain_utf8_valid(values[0].bytes, values[0].size)
        || !plain_utf8_valid(values[1].bytes, values[1].size))
    {
        return;
    }

    root = json_pack("{s:[{}], s:s%, s:s%, s:[]}", "x",
                     "a", values[0].bytes, values[0].size,
                     "topic", values[1].bytes, values[1].size, "other");
    text = json_dumps(root, values[0].size % 2 ? JSON_ENSURE_ASCII : 0);
    add_text(&body, "\xef\xbb\xbf");
    add_text(&body, text);
    free(text);
    json_decref(root);

    read_values("application/json", &body, values);
    buffer_free(&body);
}


/* The data, cut in two at the first 0xff byte. */
static void
round_trip(const unsigned char *data, size_t size)
{
    buffer_t              values[NFIELDS] = { { NULL, 0, 0 }, { NULL, 0, 0 } };
    const unsigned char  *cut;

    cut = size ? memchr(data, 0xff, size) : NULL;

    /* never NULL */
    buffer_add(&values[0], "", 1);
    buffer_add(&values[1], "", 1);
    values[0].size = 0;
    values[1].size = 0;

    buffer_add(&values[0], data, cut ? (size_t) (cut - data) : size);

    if (cut) {
        buffer_add(&values[1], cut + 1, size - (size_t) (cut - data) - 1);
    }

    round_urlencoded(values);
    round_json(values);

    if (memmem(data, size, "--" BOUNDARY, strlen("--" BOUNDARY)) == NULL) {
        round_multipart(values);
    }

    buffer_free(&values[0]);
    buffer_free(&values[1]);
}


/* -------------------------------------------------------------------- names */

static void
read_name(const unsigned char *bytes, size_t size)
{
    int             good;
    unsigned char  *name;

    name = exact_copy(bytes, size);
    good = size && size <= 255 && !memchr(name, 0, size)
           && plain_utf8_valid(name, size);

    check((kmq_topic_error(name, size) == NULL) == good, "a topic");
    check((kmq_id_error(name, size) == NULL) == good, "a client's id");

    check(kmq_percent_decode(name, name, size, 1) <= (ptrdiff_t) size,
          "decoding does not lengthen");
    free(name);
}


int  LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t  n;

    static const char *const  types[] = {
        "", "application/json", "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=B", "multipart/form-data"
    };

    if (size == 0) {
        return 0;
    }

    n = data[0] % (elements(types) + 3);
    data++;
    size--;

    if (n < elements(types)) {
        read_any(types[n], strlen(types[n]), data, size);

    } else if (n == elements(types)) {
        round_trip(data, size);

    } else if (n == elements(types) + 1) {
        read_name(data, size);
        read_any(NULL, 0, data, size);

    } else {
        /* the type is arbitrary, too */
        n = size / 3;
        read_any((const char *) data, n, data + n, size - n);
    }

    return 0;
}
