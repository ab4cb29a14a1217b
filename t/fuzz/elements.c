/*
 * Batches: the elements of a body are the same however it is cut, and they are
 * those that jansson and the scanner see in the whole of it.  The first byte
 * says whether it is lines, and how it is cut.
 */

#include <jansson.h>

#include "../../src/protocol/kmq_elements.h"
#include "../../src/protocol/kmq_form.h"
#include "../../src/protocol/kmq_scan.h"
#include "../unit/protocol_util.h"


#define ELEMENTS_MAX  4096
#define BRACKETS_MAX  60           /* so that nothing is too deep */

/* What a body has. */
typedef struct {
    kmq_elements_found_t  found;   /* in the end */
    unsigned              n;
    unsigned              good;    /* that are objects of JSON */
    size_t                start[ELEMENTS_MAX];
    size_t                end[ELEMENTS_MAX];
} split_t;


static void
check(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}


/* Splits a body that comes in parts of so many bytes. */
static void
split(split_t *s, const unsigned char *body, size_t size, int lines,
    size_t part)
{
    size_t                 n;
    unsigned char         *copy;
    kmq_elements_t         elements;
    const unsigned char   *p;
    kmq_elements_found_t   found;

    memset(s, 0, sizeof(*s));
    kmq_elements_begin(&elements, lines);

    for (n = 0; n < size; n += part) {
        part = part < size - n ? part : size - n;
        copy = exact_copy(body + n, part);
        p = copy;

        while ((found = kmq_elements_next(&elements, &p, copy + part))
               != KMQ_ELEMENTS_AGAIN)
        {
            check(p >= copy && p <= copy + part, "a place from nowhere");

            if (found == KMQ_ELEMENTS_BEGIN) {
                s->start[s->n] = n + (size_t) (p - copy);

            } else if (found == KMQ_ELEMENTS_END) {
                s->end[s->n++] = n + (size_t) (p - copy);

            } else {
                s->found = found;
                free(copy);
                return;
            }
        }

        check(p == copy + part, "not all was read");
        free(copy);
    }

    s->found = kmq_elements_end(&elements);

    if (s->found == KMQ_ELEMENTS_END) {
        s->end[s->n++] = size;
        s->found = KMQ_ELEMENTS_AGAIN;
    }
}


static void
same(const split_t *a, const split_t *b)
{
    check(a->found == b->found && a->n == b->n, "another cut, other elements");
    check(memcmp(a->start, b->start, a->n * sizeof(size_t)) == 0
          && memcmp(a->end, b->end, a->n * sizeof(size_t)) == 0,
          "another cut, another place");
}


/* Reads the elements as messages. */
static void
elements_read(split_t *s, const unsigned char *body)
{
    unsigned        i, k;
    size_t          size;
    kmq_field_t     fields[2] = { { "topic", NULL, 0 },
                                  { "messageData", NULL, 0 } };
    unsigned char  *copy;

    for (i = 0; i < s->n; i++) {
        check(s->start[i] < s->end[i], "an element is empty");
        size = s->end[i] - s->start[i];
        copy = exact_copy(body + s->start[i], size);

        if (kmq_form_object(copy, size, fields, 2, 1, NULL) == NULL) {
            s->good++;

            for (k = 0; k < 2; k++) {
                check(fields[k].value == NULL
                      || (fields[k].value >= copy
                          && fields[k].value + fields[k].len <= copy + size),
                      "a value from nowhere");
            }
        }

        free(copy);
    }
}


static kmq_scan_value_t *
nowhere(void *arg, const kmq_scan_value_t *name)
{
    (void) arg;
    (void) name;

    return NULL;
}


/* Whether the scanner finds the body valid inside an object. */
static int
is_valid(const unsigned char *body, size_t size)
{
    int       rc;
    buffer_t  whole = { NULL, 0, 0 };

    if (size >= 3 && memcmp(body, "\xef\xbb\xbf", 3) == 0) {
        body += 3;
        size -= 3;
    }

    buffer_add(&whole, "{\"x\":", 5);
    buffer_add(&whole, body, size);
    buffer_add(&whole, "}", 1);
    rc = kmq_scan_members(whole.bytes, whole.bytes + whole.size, nowhere,
                          NULL);
    buffer_free(&whole);

    return rc == 0;
}


/* What jansson takes for an array of objects has just these elements. */
static void
compare(const split_t *s, const unsigned char *body, size_t size)
{
    size_t   i, n;
    json_t  *root;

    root = json_loadb((const char *) body, size, JSON_ALLOW_NUL, NULL);

    if (root == NULL || !json_is_array(root)) {
        json_decref(root);
        return;
    }

    n = json_array_size(root);

    for (i = 0; i < n && json_is_object(json_array_get(root, i)); i++) {
        /* void */
    }

    check(i < n ? s->found == KMQ_ELEMENTS_SCALAR && s->n == i
                : s->found == KMQ_ELEMENTS_AGAIN && s->n == n,
          "jansson sees other elements");

    json_decref(root);
}


int  LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int              lines;
    size_t           i, part, brackets;
    static split_t   whole, parts;

    if (size == 0) {
        return 0;
    }

    lines = data[0] & 1;
    part = 1 + data[0] / 2;
    data++;
    size--;

    split(&whole, data, size, lines, size + 1);
    split(&parts, data, size, lines, part);
    same(&whole, &parts);
    elements_read(&whole, data);

    if (lines) {
        return 0;
    }

    for (i = 0, brackets = 0; i < size; i++) {
        brackets += data[i] == '{' || data[i] == '[';
    }

    compare(&whole, data, size);

    if (whole.found == KMQ_ELEMENTS_AGAIN && whole.n == whole.good
        && brackets < BRACKETS_MAX)
    {
        check(is_valid(data, size), "a batch that is not valid JSON");
    }

    return 0;
}
