/*
 * Which keys are valid, shared by all processes: kmq_keys.h.
 *
 * There is one writer, and readers never wait for it: the number is odd while
 * it writes, and a copy counts when the number was the same, and even, before
 * and after.  Each word is released and acquired by itself: whoever has seen a
 * new one sees the number that was written before it, too.
 */

#include <stdlib.h>
#include <string.h>

#include "kmq_keys_inside.h"


#define VALID_WORDS   (KMQ_KEYS_ROOM / sizeof(valid_word_t))
#define VALID_TRIES   4


typedef uint64_t  valid_word_t __attribute__((may_alias));

/* A set, with the room that it may have. */
typedef union {
    kmq_keys_t    keys;
    valid_word_t  words[VALID_WORDS];
} valid_set_t;

struct kmq_valid_s {
    uint64_t      number;           /* 0: there is no set yet */
    valid_set_t   set;
};


size_t
kmq_valid_size(void)
{
    return sizeof(kmq_valid_t);
}


void
kmq_valid_init(kmq_valid_t *valid)
{
    memset(valid, 0, sizeof(kmq_valid_t));
}


/* ---------------------------------------------------------------- writing */

static void
valid_remember(kmq_keys_t *set, const kmq_keys_t *keys,
    const kmq_digest_t *digest, uint64_t time)
{
    kmq_keys_removed_t  *removed;

    if (kmq_keys_find(keys, digest)
        || kmq_keys_bytes(set) + sizeof(kmq_keys_removed_t) > KMQ_KEYS_ROOM)
    {
        return;
    }

    removed = (kmq_keys_removed_t *) ((char *) set + set->size);
    removed[set->nremoved].digest = *digest;
    removed[set->nremoved].time = time;
    set->nremoved++;
}


/* The keys, and behind them what was removed now and within a day. */
static void
valid_make(kmq_keys_t *set, const kmq_keys_t *keys, const kmq_keys_t *before,
    uint64_t now)
{
    uint32_t                   i;
    const kmq_keys_entry_t    *entry;
    const kmq_keys_removed_t  *removed;

    memcpy(set, keys, keys->size);
    set->nremoved = 0;

    entry = kmq_keys_entries(before);

    for (i = 0; i < before->nkeys; i++) {
        valid_remember(set, keys, &entry[i].digest, now);
    }

    removed = kmq_keys_removals(before);

    for (i = 0; i < before->nremoved; i++) {
        if (now < removed[i].time + KMQ_REMOVED_TIME) {
            valid_remember(set, keys, &removed[i].digest, removed[i].time);
        }
    }
}


void
kmq_valid_write(kmq_valid_t *valid, const kmq_keys_t *keys, uint64_t now)
{
    size_t             i, n;
    uint64_t           number;
    valid_set_t        set;
    const kmq_keys_t  *before;

    /* nobody else writes */
    before = &valid->set.keys;
    number = valid->number;

    if (number && before->size == keys->size
        && before->nkeys == keys->nkeys && before->ntokens == keys->ntokens
        && memcmp(before + 1, keys + 1, keys->size - sizeof(kmq_keys_t)) == 0)
    {
        return;
    }

    valid_make(&set.keys, keys, before, now);
    n = kmq_keys_bytes(&set.keys) / sizeof(valid_word_t);

    __atomic_store_n(&valid->number, number + 1, __ATOMIC_RELAXED);

    for (i = 0; i < n; i++) {
        __atomic_store_n(&valid->set.words[i], set.words[i],
                         __ATOMIC_RELEASE);
    }

    __atomic_store_n(&valid->number, number + 2, __ATOMIC_RELEASE);
}


/* ---------------------------------------------------------------- reading */

int
kmq_valid_changed(const kmq_valid_t *valid, uint64_t number)
{
    return __atomic_load_n(&valid->number, __ATOMIC_ACQUIRE) != number;
}


/* A copy, of which is not known yet whether it counts. */
static void
valid_copy(const kmq_valid_t *valid, valid_set_t *set)
{
    size_t  i;

    for (i = 0; i < VALID_WORDS; i++) {
        set->words[i] = __atomic_load_n(&valid->set.words[i],
                                        __ATOMIC_ACQUIRE);
    }
}


kmq_keys_t *
kmq_valid_read(const kmq_valid_t *valid, uint64_t *number)
{
    unsigned      tries;
    uint64_t      before;
    valid_set_t  *set;

    set = malloc(sizeof(valid_set_t));
    if (set == NULL) {
        return NULL;
    }

    for (tries = 0; tries < VALID_TRIES; tries++) {

        before = __atomic_load_n(&valid->number, __ATOMIC_ACQUIRE);

        if (before == 0 || before % 2) {
            continue;
        }

        valid_copy(valid, set);

        if (__atomic_load_n(&valid->number, __ATOMIC_RELAXED) == before) {
            *number = before;
            return &set->keys;
        }
    }

    free(set);

    return NULL;
}
