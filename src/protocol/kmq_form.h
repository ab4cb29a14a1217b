/*
 * Parameters of an HTTP request: names, and bodies in the three forms that
 * clients send (application/x-www-form-urlencoded, multipart/form-data, a
 * JSON object).
 */

#ifndef KMQ_FORM_H
#define KMQ_FORM_H

#include <stddef.h>
#include <stdint.h>


/*
 * Decodes %XX (and + to a space where plus is set) from text into to, which
 * may be text itself; to needs size bytes.  Returns the length, or -1 on a %
 * without two hex digits.
 */
ptrdiff_t kmq_percent_decode(unsigned char *to, const unsigned char *text,
    size_t size, int plus);

/*
 * What is wrong with a name, of a topic or a client, decoded: it is empty,
 * longer than 255 bytes, not valid UTF-8, or has a zero byte.  NULL: it is one.
 */
const char *kmq_topic_error(const unsigned char *name, size_t len);
const char *kmq_id_error(const unsigned char *name, size_t len);


/* One parameter that the caller wants, found by name in any letter case. */
typedef struct {
    const char           *name;
    unsigned char        *value;   /* NULL: not there, or JSON null */
    size_t                len;
} kmq_field_t;

/* So many can be wanted at once; that more are is an error of every reader
 * below. */
#define KMQ_FORM_FIELDS  16

/* Other names that came, each of which was likely meant for the field of the
 * same index: see kmq_near().  And what is an error to whoever knows all names:
 * the first one that is none of the fields', and fields that came more than
 * once, as bits. */
typedef struct {
    const unsigned char  *name[KMQ_FORM_FIELDS];   /* NULL: none did */
    size_t                len[KMQ_FORM_FIELDS];
    const unsigned char  *unknown;                 /* NULL: none */
    size_t                unknown_len;
    unsigned              repeated;
} kmq_misspelt_t;

/*
 * Reads a body of the given Content-Type (may be NULL or empty: then a body
 * that begins with { is JSON, anything else urlencoded) into fields[0 .. n).
 * Values point into body, which is changed in place (decoded).  JSON numbers
 * come as their text, true and false too; nested values are an error.  A
 * multipart type without a boundary, and an empty body, have no fields: no
 * error (specification, "HTTP endpoints"); if such a body begins with { it is
 * read as JSON.  Of repeated fields the first counts, of repeated members of
 * JSON the last.  Files in multipart bodies are values like others.  A byte
 * order mark at the beginning is passed over.
 *
 * Other names are passed over; in misspelt, unless that is NULL, is which of
 * them may be slips.
 *
 * NULL, or a static string that says what is wrong.
 */
const char *kmq_form_read(unsigned char *body, size_t size,
    const char *type, size_t type_len, kmq_field_t *fields, unsigned n,
    kmq_misspelt_t *misspelt);

/*
 * The same, where the fields whose bits are in lists may be arrays of JSON:
 * such a value is the array as it stands, from [ to ], and valid.
 */
const char *kmq_form_lists(unsigned char *body, size_t size,
    const char *type, size_t type_len, kmq_field_t *fields, unsigned n,
    unsigned lists, kmq_misspelt_t *misspelt);

/*
 * Whether a body of that type may be a batch of messages: none is; an array is,
 * which the first byte that is not white space opens (kmq_elements.h), even
 * where the type does not say that it is JSON, or where it does; it is one, an
 * object a line.
 */
typedef enum {
    KMQ_FORM_BATCH_NONE,
    KMQ_FORM_BATCH_MAYBE,
    KMQ_FORM_BATCH_ARRAY,
    KMQ_FORM_BATCH_LINES
} kmq_form_batch_t;

kmq_form_batch_t kmq_form_batch(const char *type, size_t type_len);

/* The same for one JSON object of a batch.  A string for the field of index raw
 * stays as it stands, the inside of a JSON string, but half of a surrogate pair
 * is an escaped U+FFFD then. */
const char *kmq_form_object(unsigned char *object, size_t size,
    kmq_field_t *fields, unsigned n, unsigned raw, kmq_misspelt_t *misspelt);

/* The same for one that begins there and ends somewhere in room bytes: *size is
 * what it has of them.  0: it is not all there, or not valid; then nothing has
 * been changed. */
const char *kmq_form_first(unsigned char *object, size_t room, size_t *size,
    kmq_field_t *fields, unsigned n, unsigned raw, kmq_misspelt_t *misspelt);

/*
 * The same for the query of a URI, in place, too.  What is not wanted need not
 * be valid: it may be for others.
 */
const char *kmq_form_query(unsigned char *query, size_t size,
    kmq_field_t *fields, unsigned n, kmq_misspelt_t *misspelt);

/* The index of a field that is not there, but under another name; n: none. */
unsigned kmq_form_misspelt(const kmq_field_t *fields, unsigned n,
    const kmq_misspelt_t *misspelt);

#endif /* KMQ_FORM_H */
