/*
 * multipart/form-data, RFC 7578.  Lines may end with LF alone; text before
 * the first boundary and behind the last one is passed over.
 */

#include <string.h>

#include "kmq_ascii.h"
#include "kmq_field.h"


/* A body on the way through it. */
typedef struct {
    unsigned char        *end;
    const unsigned char  *boundary;
    size_t                boundary_len;

    /* the last delimiter found */
    unsigned char        *next;        /* the line behind it */
    int                   last;        /* it closes the body */
} kmq_multipart_t;


static int
kmq_multipart_is_blank(unsigned char c)
{
    return c == ' ' || c == '\t';
}


/* The beginning of the next line, or end. */
static unsigned char *
kmq_multipart_next_line(unsigned char *p, unsigned char *end)
{
    unsigned char  *newline;

    newline = memchr(p, '\n', (size_t) (end - p));

    return newline ? newline + 1 : end;
}


/* Is the line at p a delimiter?  Then next and last are set. */
static int
kmq_multipart_delimiter(kmq_multipart_t *multipart, unsigned char *p)
{
    size_t  left;

    left = (size_t) (multipart->end - p);

    if (left < 2 + multipart->boundary_len || p[0] != '-' || p[1] != '-'
        || memcmp(p + 2, multipart->boundary, multipart->boundary_len) != 0)
    {
        return 0;
    }

    p += 2 + multipart->boundary_len;
    left = (size_t) (multipart->end - p);

    multipart->last = (left >= 2 && p[0] == '-' && p[1] == '-');
    p += multipart->last ? 2 : 0;

    while (p < multipart->end && kmq_multipart_is_blank(*p)) {
        p++;
    }

    if (p < multipart->end && *p == '\r') {
        p++;
    }

    if (p < multipart->end && *p != '\n') {
        /* a line that only begins like one */
        return 0;
    }

    multipart->next = (p < multipart->end) ? p + 1 : p;

    return 1;
}


/* The next delimiter from the line at p on, NULL: there is none. */
static unsigned char *
kmq_multipart_find(kmq_multipart_t *multipart, unsigned char *p)
{
    while (p < multipart->end) {

        if (kmq_multipart_delimiter(multipart, p)) {
            return p;
        }

        p = kmq_multipart_next_line(p, multipart->end);
    }

    return NULL;
}


/* The end of the header line at p, its continuation lines (they begin with a
 * blank) included. */
static unsigned char *
kmq_multipart_header_end(unsigned char *p, unsigned char *end)
{
    do {
        p = kmq_multipart_next_line(p, end);
    } while (p < end && kmq_multipart_is_blank(*p));

    return p;
}


/* Finds the part's name in one of its header lines; 1 or 0. */
static int
kmq_multipart_name(const unsigned char *line, const unsigned char *end,
    const unsigned char **name, size_t *len)
{
    static const char  header[] = "Content-Disposition";

    const unsigned char  *colon;

    colon = memchr(line, ':', (size_t) (end - line));

    if (colon == NULL || !kmq_same_name(line, (size_t) (colon - line), header))
    {
        return 0;
    }

    return kmq_field_param(colon + 1, (size_t) (end - colon - 1), "name", name,
                           len);
}


/* Reads the headers of the part at p, up to the empty line; the place behind
 * it, or NULL.  *field: where its value goes, NULL: nowhere. */
static unsigned char *
kmq_multipart_headers(kmq_multipart_t *multipart, unsigned char *p,
    const kmq_wanted_t *wanted, kmq_field_t **field)
{
    const unsigned char  *name;
    unsigned char        *line;
    size_t                len;

    *field = NULL;

    while (p < multipart->end) {

        line = p;

        if (*line == '\n') {
            return line + 1;
        }

        if (*line == '\r' && multipart->end - line > 1 && line[1] == '\n') {
            return line + 2;
        }

        p = kmq_multipart_header_end(line, multipart->end);

        if (kmq_multipart_name(line, p, &name, &len)) {
            *field = kmq_field_find(wanted, name, len);
        }
    }

    return NULL;
}


/* The length of a value that ends before the delimiter's line: the newline
 * between them belongs to the delimiter. */
static size_t
kmq_multipart_value_len(const unsigned char *value,
    const unsigned char *delimiter)
{
    if (delimiter > value && delimiter[-1] == '\n') {
        delimiter--;
    }

    if (delimiter > value && delimiter[-1] == '\r') {
        delimiter--;
    }

    return (size_t) (delimiter - value);
}


const char *
kmq_multipart_read(unsigned char *body, size_t size,
    const unsigned char *boundary, size_t boundary_len,
    const kmq_wanted_t *wanted)
{
    unsigned char    *value, *delimiter;
    kmq_field_t      *field;
    kmq_multipart_t   multipart;

    memset(&multipart, 0, sizeof(multipart));

    multipart.end = body + size;
    multipart.boundary = boundary;
    multipart.boundary_len = boundary_len;

    if (kmq_multipart_find(&multipart, body) == NULL) {
        return "multipart body does not have its boundary";
    }

    while (!multipart.last) {

        value = kmq_multipart_headers(&multipart, multipart.next, wanted,
                                      &field);
        if (value == NULL) {
            return "multipart body ends inside a part's headers";
        }

        delimiter = kmq_multipart_find(&multipart, value);

        if (delimiter == NULL) {
            return "multipart body ends without its closing boundary";
        }

        if (field) {
            kmq_field_set(wanted, field, value,
                          kmq_multipart_value_len(value, delimiter));
        }
    }

    return NULL;
}
