/*
 * When each key was used last: a table of a fixed size in memory that processes
 * share, without a lock.  It is for people, who want to know whether an old key
 * may go; nothing else depends on it.
 */

#ifndef KMQ_USED_H
#define KMQ_USED_H

#include "kmq_keys.h"


#define KMQ_USED_KEYS  680              /* more than a set of keys has room
                                           for */

typedef struct kmq_used_s  kmq_used_t;

/* Bytes of the table. */
size_t kmq_used_size(void);

/* Makes an empty one, in memory aligned to 8. */
void kmq_used_init(kmq_used_t *used);

/*
 * The key with this digest was used at a time, in seconds of the wall clock.
 * When there are too many, the one that was used longest ago is forgotten.
 */
void kmq_used_now(kmq_used_t *used, const kmq_digest_t *digest, uint64_t now);

/* When it was used last, or 0: never, as far as is known. */
uint64_t kmq_used_last(const kmq_used_t *used, const kmq_digest_t *digest);

#endif /* KMQ_USED_H */
