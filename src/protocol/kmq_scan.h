/*
 * Reads a JSON object (RFC 8259) for some of its members, in one pass and
 * without allocation; everything else in it is checked and passed over.
 */

#ifndef KMQ_SCAN_H
#define KMQ_SCAN_H

#include <stddef.h>


/* Objects and arrays inside each other, the outermost counted. */
#define KMQ_SCAN_DEPTH  64

typedef enum {
    KMQ_SCAN_ABSENT = 0,
    KMQ_SCAN_NULL,
    KMQ_SCAN_BOOLEAN,
    KMQ_SCAN_NUMBER,
    KMQ_SCAN_STRING,
    KMQ_SCAN_ARRAY,
    KMQ_SCAN_OBJECT
} kmq_scan_kind_t;

typedef struct {
    kmq_scan_kind_t       kind;
    unsigned              broken_pair;  /* a string: names half of a
                                           surrogate pair */
    const unsigned char  *start;        /* a string: inside its quotes; not of
                                           null and objects */
    const unsigned char  *end;
} kmq_scan_value_t;

typedef struct {
    kmq_scan_value_t      data;         /* MessageData */
    kmq_scan_value_t      delay;        /* DelayTime */
} kmq_scan_object_t;

/* Where the value of the member of that name, an unread string, goes; NULL:
 * nowhere. */
typedef kmq_scan_value_t *(*kmq_scan_place_pt)(void *arg,
    const kmq_scan_value_t *name);

/*
 * 0 when [p, end) is a JSON object as below, whose members' values, those of
 * nested objects excepted, are where place says for each; else -1.
 */
int kmq_scan_members(const unsigned char *p, const unsigned char *end,
    kmq_scan_place_pt place, void *arg);

/* The same for an object that begins at p and ends somewhere before end: the
 * byte behind it, or NULL: it is none, or does not end there. */
const unsigned char *kmq_scan_first(const unsigned char *p,
    const unsigned char *end, kmq_scan_place_pt place, void *arg);

/* Is a member's name, escapes in it read, the ASCII text wanted, in any letter
 * case?  1 or 0. */
int kmq_scan_is(const kmq_scan_value_t *name, const char *wanted);

/*
 * 0 and the two values when [p, end), white space around it allowed, is one
 * JSON object of at most KMQ_SCAN_DEPTH levels, else -1.  The bytes must be
 * valid UTF-8.
 */
int kmq_scan_object(kmq_scan_object_t *object, const unsigned char *p,
    const unsigned char *end);

#endif /* KMQ_SCAN_H */
