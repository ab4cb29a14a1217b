/*
 * How many different wrong keys an address has tried within a minute.  A table
 * of a fixed size in memory that processes share.
 *
 * Who has the right key is never asked about here, so nobody can be shut out
 * by what others do.
 */

#ifndef KMQ_TRIES_H
#define KMQ_TRIES_H

#include <stddef.h>
#include <stdint.h>

#include "kmq_keys.h"


#define KMQ_TRIES_LIMIT     20          /* kapokmq_auth_limit by default */
#define KMQ_TRIES_MAX       32          /* and at most */
#define KMQ_TRIES_TIME   60000          /* ms */

typedef struct kmq_tries_s  kmq_tries_t;

/* Whoever tries: an IPv4 address, the network of an IPv6 one. */
typedef struct {
    unsigned char  bytes[9];            /* the last one: what the others are */
} kmq_tries_from_t;

/*
 * From an address of 4 or 16 bytes, in network order; any other length (a
 * socket of the file system) is one and the same client.  An IPv6 host has a
 * network of 64 bits to itself, so that is what counts; an IPv4 address in
 * IPv6's notation is the same as in its own.
 */
void kmq_tries_from(kmq_tries_from_t *from, const unsigned char *address,
    size_t len);

/* Bytes of the table. */
size_t kmq_tries_size(void);

/* Makes an empty one, in memory aligned to 8.  0, or an error number, EIO when
 * OpenSSL has no random bytes. */
int kmq_tries_init(kmq_tries_t *tries);

/*
 * A wrong key came: its digest, the time in ms of a clock that all processes
 * share and nobody sets (they may know it a little late), and how many
 * different ones within a minute are allowed, from 1 to KMQ_TRIES_MAX.
 *
 * 0: it is one of those, or was tried within this minute already.  Else it was
 * one too many, and in so many ms another will be allowed.
 *
 * When more addresses try than the table has room for, the one that tried least
 * gives its place, with all it did, to the next: so what all of them may try
 * is bounded, too.
 */
uint32_t kmq_tries_wrong(kmq_tries_t *tries, const kmq_tries_from_t *from,
    const kmq_digest_t *digest, uint64_t now, unsigned limit);

#endif /* KMQ_TRIES_H */
