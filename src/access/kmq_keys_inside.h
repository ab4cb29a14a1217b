/* What a set of keys looks like. */

#ifndef KMQ_KEYS_INSIDE_H
#define KMQ_KEYS_INSIDE_H

#include "kmq_keys.h"


/* Behind it: entries, digests of token settings, rights; behind its size:
 * removed keys, the newest first. */
struct kmq_keys_s {
    uint32_t  size;             /* bytes, without what was removed */
    uint32_t  nkeys;
    uint32_t  ntokens;
    uint32_t  nremoved;
};

typedef struct {
    kmq_digest_t  digest;
    uint32_t      rights;       /* where they begin in the block */
    uint32_t      unused;
} kmq_keys_entry_t;

typedef struct {
    kmq_digest_t  digest;
    uint64_t      time;         /* s, when it was removed */
} kmq_keys_removed_t;

_Static_assert(sizeof(kmq_keys_t) % 8 == 0
               && sizeof(kmq_keys_entry_t) % 8 == 0
               && sizeof(kmq_digest_t) % 8 == 0, "rights are aligned to 8");

const kmq_keys_entry_t *kmq_keys_entries(const kmq_keys_t *keys);
const kmq_keys_removed_t *kmq_keys_removals(const kmq_keys_t *keys);

/* All of it, with what was removed. */
size_t kmq_keys_bytes(const kmq_keys_t *keys);

#endif /* KMQ_KEYS_INSIDE_H */
