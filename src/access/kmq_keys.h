/*
 * Which keys are valid, as digests, with their rights; where workers of all
 * generations find that (kmq_valid_t).
 */

#ifndef KMQ_KEYS_H
#define KMQ_KEYS_H

#include "kmq_rights.h"


/* ---------------------------------------------------------------- digests */

#define KMQ_DIGEST_LEN  32              /* SHA-256 */

typedef struct {
    unsigned char  bytes[KMQ_DIGEST_LEN];
} kmq_digest_t;

/* 0, or -1: the library of OpenSSL failed. */
int kmq_digest(kmq_digest_t *digest, const void *bytes, size_t len);

/* 1 when they are the same, in a time that does not depend on where they
 * differ. */
int kmq_digest_same(const kmq_digest_t *a, const kmq_digest_t *b);


/* ------------------------------------------------------------ valid keys */

/* Bytes that keys and their rights, digests of token settings, and what is
 * remembered of removed keys may have. */
#define KMQ_KEYS_MAX     24576
#define KMQ_KEYS_ROOM    32760          /* whole pages with its number */
#define KMQ_REMOVED_TIME 86400          /* s: so long a key is remembered */

/* A set of keys: a block without a pointer, in which nothing changes. */
typedef struct kmq_keys_s  kmq_keys_t;

/* One value of a key.  Those of one name share their rights. */
typedef struct {
    kmq_digest_t         digest;
    const kmq_rights_t  *rights;
} kmq_keys_one_t;

/*
 * Makes a set, to be given to free(), of n values, and of the digests of token
 * settings that are valid.  NULL: there is no memory; or *size, the bytes that
 * it would have, is larger than KMQ_KEYS_MAX.
 */
kmq_keys_t *kmq_keys_make(const kmq_keys_one_t *keys, size_t n,
    const kmq_digest_t *tokens, size_t ntokens, size_t *size);

/* The rights of the key with this digest, or NULL.  All keys are compared,
 * whichever it is. */
const kmq_rights_t *kmq_keys_find(const kmq_keys_t *keys,
    const kmq_digest_t *digest);

/* 1 when tokens are verified with these settings. */
int kmq_keys_token(const kmq_keys_t *keys, const kmq_digest_t *digest);

/* 1 when this is the digest of a key that was removed within a day before now,
 * in seconds of the wall clock. */
int kmq_keys_removed(const kmq_keys_t *keys, const kmq_digest_t *digest,
    uint64_t now);


/* ----------------------------------------------------------------- sharing */

/*
 * The set that is valid now, in memory that processes share.  The master, and
 * nobody else, writes it, once its new configuration can no longer be refused;
 * workers copy it.  It has a number, so that a worker learns by one load that
 * there is another.
 */
typedef struct kmq_valid_s  kmq_valid_t;

/* Bytes of it. */
size_t kmq_valid_size(void);

/* Begins without a set, in memory aligned to 8. */
void kmq_valid_init(kmq_valid_t *valid);

/*
 * Makes keys the set that is valid from now on, in seconds of the wall clock.
 * Keys of the one before that are not in it are remembered as removed.  Nothing
 * happens where nothing has changed.
 */
void kmq_valid_write(kmq_valid_t *valid, const kmq_keys_t *keys, uint64_t now);

/* What number is that of a set which kmq_valid_read() gave; 0 before. */
int kmq_valid_changed(const kmq_valid_t *valid, uint64_t number);

/*
 * A copy of the set, to be given to free(), and its number.  NULL: there is
 * none yet, it is being written, or there is no memory; ask again later.
 */
kmq_keys_t *kmq_valid_read(const kmq_valid_t *valid, uint64_t *number);

#endif /* KMQ_KEYS_H */
