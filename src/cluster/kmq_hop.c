/* Handing on: kmq_hop.h. */

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "kmq_hop.h"
#include "../mutex/kmq_mutex.h"
#include "../protocol/kmq_base64.h"


/* Of these bytes; what they are, the signature knows as well. */
#define HOP_VERSION  "kapokmq hop 1"
#define HOP_MAC      32
#define HOP_HEAD     (4 + 4 + 8 + 8 + 8 + 4 + 3)

typedef struct {
    uint64_t         start;        /* 0: none */
    uint64_t         place[KMQ_HOP_PLACES];
} hops_from_t;

struct kmq_hops_s {
    pthread_mutex_t  mutex;        /* robust, of all processes */
    uint64_t         start;        /* as a sender */
    uint64_t         number;
    uint32_t         epoch;        /* in which all below was seen */
    uint32_t         nodes;
    uint32_t         ngone;
    uint32_t         unused;
    uint64_t         gone[KMQ_HOP_GONE];
    hops_from_t      from[];
};


/* ------------------------------------------------------------------ bytes */

static unsigned char *
put(unsigned char *to, uint64_t n, unsigned bytes)
{
    while (bytes) {
        *to++ = (unsigned char) (n >> 8 * --bytes);
    }

    return to;
}


static uint64_t
get(const unsigned char **from, unsigned bytes)
{
    uint64_t  n;

    for (n = 0; bytes; bytes--) {
        n = n << 8 | *(*from)++;
    }

    return n;
}


/* A text's length has four bytes. */
static size_t
hop_size(const kmq_hop_t *hop)
{
    size_t    size;
    unsigned  i;

    size = HOP_MAC + HOP_HEAD + 4 * KMQ_HOP_TEXTS;

    for (i = 0; i < KMQ_HOP_TEXTS; i++) {
        size += hop->text[i].len;
    }

    return size;
}


/* 1, or 0: OpenSSL failed. */
static int
sign(unsigned char mac[HOP_MAC], const unsigned char *bytes, size_t size,
    const void *secret, size_t secret_len)
{
    unsigned       len;
    unsigned char  key[EVP_MAX_MD_SIZE];

    /* a key of its own, whatever else the secret is used for */

    if (HMAC(EVP_sha256(), secret, (int) secret_len,
             (const unsigned char *) HOP_VERSION, sizeof(HOP_VERSION) - 1,
             key, &len)
        == NULL)
    {
        return 0;
    }

    return HMAC(EVP_sha256(), key, (int) len, bytes, size, mac, &len) != NULL;
}


/* ------------------------------------------------------------- the header */

size_t
kmq_hop_room(const kmq_hop_t *hop)
{
    return 2 * hop_size(hop) + 4;
}


/* What is signed, behind the room for its signature. */
static void
hop_put(unsigned char *to, const kmq_hop_t *hop)
{
    unsigned  i;

    to = put(to, hop->epoch, 4);
    to = put(to, hop->node, 4);
    to = put(to, hop->start, 8);
    to = put(to, hop->number, 8);
    to = put(to, hop->expires, 8);
    to = put(to, hop->limit, 4);
    to = put(to, hop->kind, 1);
    to = put(to, hop->match, 1);
    to = put(to, hop->flags, 1);

    for (i = 0; i < KMQ_HOP_TEXTS; i++) {
        to = put(to, hop->text[i].len, 4);

        if (hop->text[i].len) {
            memcpy(to, hop->text[i].data, hop->text[i].len);
            to += hop->text[i].len;
        }
    }
}


/* The bytes are made where the characters' second half will be: those of a byte
 * are never written behind it. */
size_t
kmq_hop_write(char *to, const kmq_hop_t *hop, const void *secret,
    size_t secret_len)
{
    size_t          size;
    unsigned char  *bytes;

    size = hop_size(hop);
    bytes = (unsigned char *) to + kmq_hop_room(hop) - size;

    hop_put(bytes + HOP_MAC, hop);

    if (!sign(bytes, bytes + HOP_MAC, size - HOP_MAC, secret, secret_len)) {
        return 0;
    }

    return kmq_base64url_encode(to, bytes, size);
}


/* 1, or 0: it is no such thing. */
static int
hop_get(kmq_hop_t *hop, const unsigned char *from, size_t size)
{
    unsigned              i;
    const unsigned char  *end;

    if (size < HOP_HEAD) {
        return 0;
    }

    end = from + size;

    hop->epoch = (uint32_t) get(&from, 4);
    hop->node = (uint32_t) get(&from, 4);
    hop->start = get(&from, 8);
    hop->number = get(&from, 8);
    hop->expires = get(&from, 8);
    hop->limit = (uint32_t) get(&from, 4);
    hop->kind = (uint8_t) get(&from, 1);
    hop->match = (uint8_t) get(&from, 1);
    hop->flags = (uint8_t) get(&from, 1);

    for (i = 0; i < KMQ_HOP_TEXTS; i++) {

        if (end - from < 4) {
            return 0;
        }

        hop->text[i].len = (size_t) get(&from, 4);
        hop->text[i].data = from;

        if (hop->text[i].len > (size_t) (end - from)) {
            return 0;
        }

        from += hop->text[i].len;
    }

    return from == end;
}


int
kmq_hop_read(kmq_hop_t *hop, unsigned char *bytes, const char *text,
    size_t len, const void *secret, size_t secret_len)
{
    long           size;
    unsigned char  mac[HOP_MAC];

    size = kmq_base64url_decode(bytes, text, len);

    if (size < HOP_MAC
        || !sign(mac, bytes + HOP_MAC, (size_t) size - HOP_MAC, secret,
                 secret_len)
        || CRYPTO_memcmp(mac, bytes, HOP_MAC) != 0)
    {
        return 0;
    }

    return hop_get(hop, bytes + HOP_MAC, (size_t) size - HOP_MAC);
}


/* ------------------------------------------------------------ the numbers */

size_t
kmq_hops_size(unsigned nodes)
{
    return sizeof(kmq_hops_t) + nodes * sizeof(hops_from_t);
}


int
kmq_hops_init(kmq_hops_t *hops, unsigned nodes)
{
    do {
        if (RAND_bytes((unsigned char *) &hops->start, sizeof(hops->start))
            != 1)
        {
            return EIO;
        }
    } while (hops->start == 0);

    hops->nodes = nodes;

    return kmq_mutex_init(&hops->mutex);
}


void
kmq_hops_number(kmq_hops_t *hops, kmq_hop_t *hop)
{
    hop->start = hops->start;
    hop->number = __atomic_add_fetch(&hops->number, 1, __ATOMIC_RELAXED);
}


uint64_t
kmq_hops_handed(const kmq_hops_t *hops)
{
    return __atomic_load_n(&hops->number, __ATOMIC_RELAXED);
}


/* Whoever dies in here leaves a state that is good: what is not in place yet is
 * done again by the next. */
static void
hops_epoch(kmq_hops_t *hops, uint32_t epoch)
{
    uint32_t  i;

    for (i = 0; i < hops->nodes; i++) {
        __atomic_store_n(&hops->from[i].start, 0, __ATOMIC_RELEASE);
    }

    __atomic_store_n(&hops->ngone, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&hops->epoch, epoch, __ATOMIC_RELEASE);
}


/* The one that was there before does not count any more. */
static kmq_hops_e
hops_start(kmq_hops_t *hops, hops_from_t *from, uint64_t start)
{
    uint32_t  i;

    for (i = 0; i < hops->ngone; i++) {
        if (hops->gone[i] == start) {
            return KMQ_HOPS_GONE;
        }
    }

    if (from->start) {
        if (hops->ngone == KMQ_HOP_GONE) {
            return KMQ_HOPS_FULL;
        }

        hops->gone[hops->ngone] = from->start;
        __atomic_store_n(&hops->ngone, hops->ngone + 1, __ATOMIC_RELEASE);
        __atomic_store_n(&from->start, 0, __ATOMIC_RELEASE);
    }

    memset(from->place, 0, sizeof(from->place));
    __atomic_store_n(&from->start, start, __ATOMIC_RELEASE);

    return KMQ_HOPS_NEW;
}


static kmq_hops_e
hops_look(kmq_hops_t *hops, const kmq_hop_t *hop)
{
    uint64_t     *place;
    kmq_hops_e    rc;
    hops_from_t  *from;

    if (hop->node >= hops->nodes || hop->epoch < hops->epoch
        || hop->start == 0)
    {
        return KMQ_HOPS_GONE;
    }

    if (hop->epoch > hops->epoch) {
        hops_epoch(hops, hop->epoch);
    }

    from = &hops->from[hop->node];

    if (from->start != hop->start) {
        rc = hops_start(hops, from, hop->start);

        if (rc != KMQ_HOPS_NEW) {
            return rc;
        }
    }

    place = &from->place[hop->number % KMQ_HOP_PLACES];

    if (hop->number <= *place) {
        return KMQ_HOPS_SEEN;
    }

    *place = hop->number;

    return KMQ_HOPS_NEW;
}


kmq_hops_e
kmq_hops_take(kmq_hops_t *hops, const kmq_hop_t *hop)
{
    int         rc;
    kmq_hops_e  result;

    rc = pthread_mutex_lock(&hops->mutex);

    if (rc == EOWNERDEAD) {
        rc = pthread_mutex_consistent(&hops->mutex);
    }

    if (rc) {
        return KMQ_HOPS_FULL;
    }

    result = hops_look(hops, hop);

    (void) pthread_mutex_unlock(&hops->mutex);

    return result;
}
