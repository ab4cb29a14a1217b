/* Fields of a body by their names, and parameters of header values. */

#include <string.h>

#include "kmq_ascii.h"
#include "kmq_field.h"
#include "kmq_near.h"


/* Keeps a name that was likely meant for one of the fields. */
static void
kmq_field_misspelt(const kmq_wanted_t *wanted, const unsigned char *name,
    size_t len)
{
    unsigned  i;

    if (wanted->misspelt->unknown == NULL) {
        wanted->misspelt->unknown = name;
        wanted->misspelt->unknown_len = len;
    }

    for (i = 0; i < wanted->n; i++) {
        if (kmq_near(wanted->fields[i].name, name, len)) {
            wanted->misspelt->name[i] = name;
            wanted->misspelt->len[i] = len;
        }
    }
}


kmq_field_t *
kmq_field_find(const kmq_wanted_t *wanted, const unsigned char *name,
    size_t len)
{
    unsigned  i;

    for (i = 0; i < wanted->n; i++) {
        if (kmq_same_name(name, len, wanted->fields[i].name)) {
            return &wanted->fields[i];
        }
    }

    if (wanted->misspelt) {
        kmq_field_misspelt(wanted, name, len);
    }

    return NULL;
}


void
kmq_field_set(const kmq_wanted_t *wanted, kmq_field_t *field,
    unsigned char *value, size_t len)
{
    if (field->value) {
        kmq_field_repeated(wanted, (unsigned) (field - wanted->fields));
        return;
    }

    field->value = value;
    field->len = len;
}


void
kmq_field_repeated(const kmq_wanted_t *wanted, unsigned i)
{
    if (wanted->misspelt) {
        wanted->misspelt->repeated |= 1U << i;
    }
}


unsigned
kmq_form_misspelt(const kmq_field_t *fields, unsigned n,
    const kmq_misspelt_t *misspelt)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        if (fields[i].value == NULL && misspelt->name[i]) {
            return i;
        }
    }

    return n;
}


/* The end of a parameter's value at p, a quoted one's quotes included. */
static const unsigned char *
kmq_field_value_end(const unsigned char *p, const unsigned char *end)
{
    if (p == end || *p != '"') {
        while (p < end && *p != ';' && *p != '\r' && *p != '\n'
               && *p != ' ' && *p != '\t')
        {
            p++;
        }

        return p;
    }

    for (p++; p < end && *p != '"'; p++) {
        if (*p == '\\' && end - p > 1) {
            p++;
        }
    }

    return (p < end) ? p + 1 : end;
}


int
kmq_field_param(const unsigned char *value, size_t size, const char *name,
    const unsigned char **param, size_t *len)
{
    const unsigned char  *p, *end, *start, *stop;

    end = value + size;
    p = size ? memchr(value, ';', size) : NULL;

    while (p && p < end) {

        /* p: at a semicolon; the newline of a folded line is white space */
        for (p++; p < end && *p <= ' '; p++) { /* void */ }

        for (start = p; p < end && *p != '=' && *p != ';'; p++) { /* void */ }

        if (p == end || *p == ';') {
            continue;
        }

        stop = kmq_field_value_end(p + 1, end);

        if (kmq_same_name(start, (size_t) (p - start), name)) {
            *param = p + 1;
            *len = (size_t) (stop - p - 1);

            if (*len >= 2 && p[1] == '"' && stop[-1] == '"') {
                *param += 1;
                *len -= 2;
            }

            return 1;
        }

        p = memchr(stop, ';', (size_t) (end - stop));
    }

    return 0;
}
