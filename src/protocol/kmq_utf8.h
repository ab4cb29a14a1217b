/* UTF-8 (RFC 3629), checked whole or piece by piece. */

#ifndef KMQ_UTF8_H
#define KMQ_UTF8_H

#include <stddef.h>
#include <stdint.h>


/* The state between two pieces; zeroed: at the start of a character. */
typedef struct {
    uint8_t    left;        /* continuation bytes still to come */
    uint8_t    low;         /* bounds of the next one */
    uint8_t    high;
} kmq_utf8_t;

/*
 * Checks the next size bytes.  1 while all is valid so far (a character may
 * be unfinished: state->left is not 0 then), 0 when it is not.  Runs of ASCII
 * are passed many bytes at a time.
 */
int kmq_utf8_check(kmq_utf8_t *state, const unsigned char *data, size_t size);

/* 1 when the size bytes are whole, valid UTF-8. */
int kmq_utf8_valid(const unsigned char *data, size_t size);

#define KMQ_UTF8_SHOWN  64      /* room for a piece of text in a message */

/* Makes text fit to be shown: short, without control characters.  Returns
 * to. */
const char *kmq_utf8_show(char to[KMQ_UTF8_SHOWN], const unsigned char *bytes,
    size_t len);

#endif /* KMQ_UTF8_H */
