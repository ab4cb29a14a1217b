/* What the readers of the different bodies share; see kmq_form.h. */

#ifndef KMQ_FIELD_H
#define KMQ_FIELD_H

#include <stddef.h>

#include "kmq_form.h"


/* What the caller wants. */
typedef struct {
    kmq_field_t     *fields;
    unsigned         n;
    unsigned         lists;        /* bits: may be arrays of JSON */
    kmq_misspelt_t  *misspelt;     /* or NULL */
} kmq_wanted_t;

/* The field that the caller wants under that name, or NULL: then the name, if
 * it may be a slip, is kept. */
kmq_field_t *kmq_field_find(const kmq_wanted_t *wanted,
    const unsigned char *name, size_t len);

/* The field, found, has a value.  Only its first one counts. */
void kmq_field_set(const kmq_wanted_t *wanted, kmq_field_t *field,
    unsigned char *value, size_t len);

/* Notes that the field of that index came again. */
void kmq_field_repeated(const kmq_wanted_t *wanted, unsigned i);

/*
 * Finds a parameter of a header value ("form-data; name=x; filename="y"")
 * behind its first semicolon; param is what stands inside the quotes.  1 or 0.
 */
int kmq_field_param(const unsigned char *value, size_t size, const char *name,
    const unsigned char **param, size_t *len);

/* A multipart body (RFC 7578) into fields; NULL or what is wrong. */
const char *kmq_multipart_read(unsigned char *body, size_t size,
    const unsigned char *boundary, size_t boundary_len,
    const kmq_wanted_t *wanted);

#endif /* KMQ_FIELD_H */
