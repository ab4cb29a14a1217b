/* Sets of keys: kmq_keys.h. */

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "kmq_keys_inside.h"


int
kmq_digest(kmq_digest_t *digest, const void *bytes, size_t len)
{
    return SHA256(bytes, len, digest->bytes) ? 0 : -1;
}


int
kmq_digest_same(const kmq_digest_t *a, const kmq_digest_t *b)
{
    return CRYPTO_memcmp(a->bytes, b->bytes, KMQ_DIGEST_LEN) == 0;
}


/* ----------------------------------------------------------------- making */

/* The first of the keys before this one that has the same rights; its own
 * number where there is none. */
static size_t
keys_first(const kmq_keys_one_t *keys, size_t i)
{
    size_t  first;

    for (first = 0; keys[first].rights != keys[i].rights; first++) {
        /* void */
    }

    return first;
}


static size_t
keys_size(const kmq_keys_one_t *keys, size_t n, size_t ntokens)
{
    size_t  i, size;

    size = sizeof(kmq_keys_t) + n * sizeof(kmq_keys_entry_t)
           + ntokens * sizeof(kmq_digest_t);

    for (i = 0; i < n; i++) {
        if (keys_first(keys, i) == i) {
            size += kmq_rights_size(keys[i].rights);
        }
    }

    return size;
}


kmq_keys_t *
kmq_keys_make(const kmq_keys_one_t *keys, size_t n, const kmq_digest_t *tokens,
    size_t ntokens, size_t *size)
{
    size_t             i, at, first;
    kmq_keys_t        *set;
    kmq_keys_entry_t  *entry;

    *size = keys_size(keys, n, ntokens);

    if (*size > KMQ_KEYS_MAX) {
        return NULL;
    }

    set = calloc(1, *size);
    if (set == NULL) {
        return NULL;
    }

    set->size = (uint32_t) *size;
    set->nkeys = (uint32_t) n;
    set->ntokens = (uint32_t) ntokens;

    entry = (kmq_keys_entry_t *) (set + 1);
    at = sizeof(kmq_keys_t) + n * sizeof(kmq_keys_entry_t);

    if (ntokens) {
        memcpy((char *) set + at, tokens, ntokens * sizeof(kmq_digest_t));
        at += ntokens * sizeof(kmq_digest_t);
    }

    for (i = 0; i < n; i++) {
        entry[i].digest = keys[i].digest;
        first = keys_first(keys, i);

        if (first < i) {
            entry[i].rights = entry[first].rights;
            continue;
        }

        entry[i].rights = (uint32_t) at;
        memcpy((char *) set + at, keys[i].rights,
               kmq_rights_size(keys[i].rights));
        at += kmq_rights_size(keys[i].rights);
    }

    return set;
}


/* ---------------------------------------------------------------- reading */

const kmq_keys_entry_t *
kmq_keys_entries(const kmq_keys_t *keys)
{
    return (const kmq_keys_entry_t *) (keys + 1);
}


static const kmq_digest_t *
keys_tokens(const kmq_keys_t *keys)
{
    return (const kmq_digest_t *) (kmq_keys_entries(keys) + keys->nkeys);
}


const kmq_rights_t *
kmq_keys_find(const kmq_keys_t *keys, const kmq_digest_t *digest)
{
    uint32_t                 i, mask, found;
    const kmq_keys_entry_t  *entry;

    entry = kmq_keys_entries(keys);
    found = 0;

    for (i = 0; i < keys->nkeys; i++) {
        mask = 0 - (uint32_t) kmq_digest_same(&entry[i].digest, digest);
        found |= mask & (0 - (uint32_t) (found == 0)) & entry[i].rights;
    }

    return found ? (const kmq_rights_t *) ((const char *) keys + found) : NULL;
}


int
kmq_keys_token(const kmq_keys_t *keys, const kmq_digest_t *digest)
{
    uint32_t             i;
    const kmq_digest_t  *token;

    token = keys_tokens(keys);

    for (i = 0; i < keys->ntokens; i++) {
        if (kmq_digest_same(&token[i], digest)) {
            return 1;
        }
    }

    return 0;
}


int
kmq_keys_removed(const kmq_keys_t *keys, const kmq_digest_t *digest,
    uint64_t now)
{
    int                        found;
    uint32_t                   i;
    const kmq_keys_removed_t  *removed;

    removed = kmq_keys_removals(keys);
    found = 0;

    for (i = 0; i < keys->nremoved; i++) {
        found |= kmq_digest_same(&removed[i].digest, digest)
                 & (now < removed[i].time + KMQ_REMOVED_TIME);
    }

    return found;
}


const kmq_keys_removed_t *
kmq_keys_removals(const kmq_keys_t *keys)
{
    return (const kmq_keys_removed_t *) ((const char *) keys + keys->size);
}


size_t
kmq_keys_bytes(const kmq_keys_t *keys)
{
    return keys->size + keys->nremoved * sizeof(kmq_keys_removed_t);
}
