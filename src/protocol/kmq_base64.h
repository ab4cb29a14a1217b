/* base64url (RFC 4648, 5), as tokens and subprotocols have it. */

#ifndef KMQ_BASE64_H
#define KMQ_BASE64_H

#include <stddef.h>


/* Bytes that so many characters stand for, at most. */
#define KMQ_BASE64_ROOM(len)  ((len) / 4 * 3 + 2)

/*
 * Decodes len characters without padding into to[KMQ_BASE64_ROOM(len)].  There
 * is one spelling for each text: any other character, and bits at the end that
 * stand for nothing, are refused.  The bytes, or -1.
 */
long kmq_base64url_decode(unsigned char *to, const char *text, size_t len);

/* Encodes len bytes into to[2 * len], where they may stand at the end.  The
 * characters. */
size_t kmq_base64url_encode(char *to, const unsigned char *bytes, size_t len);

#endif /* KMQ_BASE64_H */
