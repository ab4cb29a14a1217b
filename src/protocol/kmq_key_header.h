/* Keys and tokens in the headers of a request. */

#ifndef KMQ_KEY_HEADER_H
#define KMQ_KEY_HEADER_H

#include <stddef.h>


/* A part of a header's value. */
typedef struct {
    const char  *data;
    size_t       len;
} kmq_key_header_t;

/* "Authorization: Bearer KEY", which may be empty.  1, or 0: it is of another
 * scheme, which is for others. */
int kmq_key_bearer(const char *value, size_t len, kmq_key_header_t *key);

/* The first of a list of subprotocols that is a key, "kapokmq.key.TEXT": its
 * text, which is base64url.  1 or 0. */
int kmq_key_protocol(const char *value, size_t len, kmq_key_header_t *text);

#endif /* KMQ_KEY_HEADER_H */
