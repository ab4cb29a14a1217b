/* Wrong keys by address: kmq_tries.h. */

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <openssl/rand.h>

#include "kmq_tries.h"
#include "../mutex/kmq_mutex.h"


#define TRIES_FROM  112                 /* addresses, in 32 KiB */


/* What an address has tried.  Times are the low bits of the clock's, since none
 * is older than two minutes when it is looked at. */
typedef struct {
    uint64_t          last;             /* ms, when it tried last */
    uint32_t          n;
    uint32_t          at[KMQ_TRIES_MAX];
    uint32_t          key[KMQ_TRIES_MAX];   /* tries_key() */
} tries_t;

struct kmq_tries_s {
    pthread_mutex_t   mutex;            /* robust, of all processes */
    unsigned char     salt[KMQ_DIGEST_LEN];
    kmq_tries_from_t  from[TRIES_FROM];
    tries_t           tries[TRIES_FROM];
};

_Static_assert(sizeof(kmq_tries_t) <= 32768, "the zone's pages are few");


size_t
kmq_tries_size(void)
{
    return sizeof(kmq_tries_t);
}


int
kmq_tries_init(kmq_tries_t *tries)
{
    memset(tries, 0, sizeof(kmq_tries_t));

    if (RAND_bytes(tries->salt, sizeof(tries->salt)) != 1) {
        return EIO;
    }

    return kmq_mutex_init(&tries->mutex);
}


void
kmq_tries_from(kmq_tries_from_t *from, const unsigned char *address,
    size_t len)
{
    static const unsigned char  mapped[12] = { [10] = 0xff, [11] = 0xff };

    memset(from, 0, sizeof(kmq_tries_from_t));

    if (len == 16 && memcmp(address, mapped, sizeof(mapped)) == 0) {
        address += sizeof(mapped);
        len = 4;
    }

    if (len == 4) {
        memcpy(from->bytes, address, 4);
        from->bytes[8] = 4;

    } else if (len == 16) {
        memcpy(from->bytes, address, 8);
        from->bytes[8] = 6;
    }
}


/*
 * A key in few bytes.  Nobody knows the salt, so nobody can look beforehand
 * for keys that are the same in these, of which one alone would count.  1, or
 * 0 when OpenSSL fails.
 */
static int
tries_key(const kmq_tries_t *tries, const kmq_digest_t *digest, uint32_t *key)
{
    kmq_digest_t   salted;
    unsigned char  both[2 * KMQ_DIGEST_LEN];

    memcpy(both, tries->salt, KMQ_DIGEST_LEN);
    memcpy(both + KMQ_DIGEST_LEN, digest->bytes, KMQ_DIGEST_LEN);

    if (kmq_digest(&salted, both, sizeof(both)) != 0) {
        return 0;
    }

    memcpy(key, salted.bytes, sizeof(*key));

    return 1;
}


/* Another process may have known a later time.  One that goes back would make
 * what was tried just now very old. */
static uint64_t
tries_now(const tries_t *t, uint64_t now)
{
    return now < t->last ? t->last : now;
}


/* What was tried a minute ago is forgotten. */
static void
tries_forget(tries_t *t, uint64_t now)
{
    uint32_t  i, n;

    now = tries_now(t, now);

    if (t->n > KMQ_TRIES_MAX || now - t->last >= KMQ_TRIES_TIME) {
        t->n = 0;
        return;
    }

    n = 0;

    for (i = 0; i < t->n; i++) {
        if ((uint32_t) now - t->at[i] < KMQ_TRIES_TIME) {
            t->at[n] = t->at[i];
            t->key[n] = t->key[i];
            n++;
        }
    }

    t->n = n;
}


/*
 * The place of an address.  A new one gets a place that nobody has used for a
 * minute, or that of whoever tried least, as it is.
 */
static tries_t *
tries_find(kmq_tries_t *tries, const kmq_tries_from_t *from, uint64_t now)
{
    unsigned  i, least;

    for (i = 0; i < TRIES_FROM; i++) {
        if (memcmp(&tries->from[i], from, sizeof(*from)) == 0) {
            tries_forget(&tries->tries[i], now);
            return &tries->tries[i];
        }
    }

    least = 0;

    for (i = 0; i < TRIES_FROM; i++) {
        tries_forget(&tries->tries[i], now);

        if (tries->tries[i].n < tries->tries[least].n) {
            least = i;
        }
    }

    tries->from[least] = *from;

    return &tries->tries[least];
}


static uint32_t
tries_add(tries_t *t, uint32_t key, uint64_t now, unsigned limit)
{
    uint32_t  i, age, allowed;

    now = tries_now(t, now);

    for (i = 0; i < t->n; i++) {
        if (t->key[i] == key) {
            return 0;
        }
    }

    if (t->n >= limit) {
        /* they stand in the order of time */
        allowed = t->at[t->n - limit];
        age = (uint32_t) now - allowed;

        return KMQ_TRIES_TIME - age;
    }

    t->last = now;
    t->at[t->n] = (uint32_t) now;
    t->key[t->n] = key;
    t->n++;

    return 0;
}


uint32_t
kmq_tries_wrong(kmq_tries_t *tries, const kmq_tries_from_t *from,
    const kmq_digest_t *digest, uint64_t now, unsigned limit)
{
    int       rc;
    tries_t  *t;
    uint32_t  key, wait;

    if (!tries_key(tries, digest, &key)) {
        return KMQ_TRIES_TIME;
    }

    rc = pthread_mutex_lock(&tries->mutex);

    if (rc == EOWNERDEAD) {
        /* whoever died may have been in the middle of something */
        memset(tries->from, 0, sizeof(tries->from));
        memset(tries->tries, 0, sizeof(tries->tries));
        (void) pthread_mutex_consistent(&tries->mutex);

    } else if (rc) {
        return KMQ_TRIES_TIME;
    }

    t = tries_find(tries, from, now);
    wait = tries_add(t, key, now, limit);

    (void) pthread_mutex_unlock(&tries->mutex);

    return wait;
}
