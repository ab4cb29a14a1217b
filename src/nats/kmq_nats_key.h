/*
 * NKeys: how a client of NATS proves who it is.  An Ed25519 key, whose private
 * half is written as a seed ("SU...") and whose public one as "U...", both in
 * base32 with a checksum; a file of credentials has a seed and a token (JWT).
 */

#ifndef KMQ_NATS_KEY_H
#define KMQ_NATS_KEY_H

#include <stddef.h>


#define KMQ_NATS_KEY_RAW        32
#define KMQ_NATS_KEY_PUBLIC     56      /* characters of a public key */
#define KMQ_NATS_KEY_SIGNATURE  86      /* characters of a signature */

typedef struct {
    unsigned char  raw[KMQ_NATS_KEY_RAW];     /* the private half */
    char           name[KMQ_NATS_KEY_PUBLIC + 1];  /* the public one */
} kmq_nats_key_t;

/* Reads a seed of a user: 0; -1: it is none. */
int kmq_nats_key_read(kmq_nats_key_t *key, const char *seed, size_t len);

/* Signs what the server gave, as base64url: 0; -1: OpenSSL failed. */
int kmq_nats_key_sign(const kmq_nats_key_t *key, const char *nonce,
    char signature[KMQ_NATS_KEY_SIGNATURE + 1]);

/* Nothing of it is left in memory. */
void kmq_nats_key_forget(kmq_nats_key_t *key);

/*
 * Finds the token and the seed in the text of a file of credentials (what nsc
 * and `nats auth` write): 0, where they begin, and how long they are.  -1: it
 * is none.  *jwt points into the text.
 */
int kmq_nats_key_credentials(const char *text, size_t len, const char **jwt,
    size_t *jwt_len, const char **seed, size_t *seed_len);

#endif /* KMQ_NATS_KEY_H */
