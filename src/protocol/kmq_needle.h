/*
 * A text that is looked for inside message data, which comes as the inside of a
 * JSON string, in parts of any size.  ASCII letters match in either case.
 */

#ifndef KMQ_NEEDLE_H
#define KMQ_NEEDLE_H

#include <stddef.h>


#define KMQ_NEEDLE_MAX   255       /* bytes */
#define KMQ_NEEDLE_PART  4096

typedef struct {
    size_t         len;
    size_t         kept;           /* of the window: read, and looked at, */
    size_t         raw;            /* and behind it half an escape */
    unsigned char  text[KMQ_NEEDLE_MAX];
    unsigned char  window[KMQ_NEEDLE_MAX + KMQ_NEEDLE_PART];
} kmq_needle_t;

/* text: valid UTF-8, 1 to KMQ_NEEDLE_MAX bytes. */
void kmq_needle_init(kmq_needle_t *needle, const unsigned char *text,
    size_t len);

/* Other data begins. */
void kmq_needle_begin(kmq_needle_t *needle);

/* Its next part.  1: the text is in what has come so far. */
int kmq_needle_next(kmq_needle_t *needle, const unsigned char *part,
    size_t size);

#endif /* KMQ_NEEDLE_H */
