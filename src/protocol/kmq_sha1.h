/*
 * SHA-1 (FIPS 180-4), for the WebSocket handshake, which is all that it is
 * still good for.
 */

#ifndef KMQ_SHA1_H
#define KMQ_SHA1_H

#include <stddef.h>
#include <stdint.h>


#define KMQ_SHA1_LEN  20

typedef struct {
    uint32_t       hash[5];
    uint64_t       total;          /* bytes so far */
    unsigned char  block[64];
} kmq_sha1_t;

void kmq_sha1_init(kmq_sha1_t *sha1);
void kmq_sha1_add(kmq_sha1_t *sha1, const void *data, size_t size);
void kmq_sha1_end(kmq_sha1_t *sha1, unsigned char digest[KMQ_SHA1_LEN]);

#endif /* KMQ_SHA1_H */
