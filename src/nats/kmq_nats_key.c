/* NKeys and files of credentials: kmq_nats_key.h. */

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <string.h>

#include "kmq_nats_key.h"


/* The first bytes, whose base32 begins with the letters that they are known
 * by: that of a user, and two that say "seed of a user". */
#define NKEY_USER        (20 << 3)
#define NKEY_SEED        (18 << 3)
#define NKEY_SEED_FIRST  (NKEY_SEED | NKEY_USER >> 5)
#define NKEY_SEED_NEXT   ((NKEY_USER & 31) << 3)

#define NKEY_CRC         2
#define NKEY_SEED_BYTES  (2 + KMQ_NATS_KEY_RAW + NKEY_CRC)
#define NKEY_SEED_LEN    58     /* characters */
#define NKEY_USER_BYTES  (1 + KMQ_NATS_KEY_RAW + NKEY_CRC)

#define NKEY_SIGNED      64     /* bytes of a signature */


/* ---------------------------------------------------------------- base32 */

static const char  nkey_base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";


/* Decodes into room bytes; how many these are, or -1. */
static long
nkey_decode(unsigned char *to, size_t room, const char *text, size_t len)
{
    size_t       n;
    unsigned     bits, left;
    const char  *at;

    bits = 0;
    left = 0;
    n = 0;

    while (len--) {
        at = memchr(nkey_base32, *text++, sizeof(nkey_base32) - 1);

        if (at == NULL) {
            return -1;
        }

        bits = (bits << 5 | (unsigned) (at - nkey_base32)) & 0xfff;
        left += 5;

        if (left >= 8) {
            if (n == room) {
                return -1;
            }

            left -= 8;
            to[n++] = (unsigned char) (bits >> left);
        }
    }

    return (long) n;
}


/* The characters of that many bytes, without a zero behind them. */
static char *
nkey_encode(char *to, const unsigned char *bytes, size_t n)
{
    unsigned  bits, left;

    bits = 0;
    left = 0;

    while (n--) {
        bits = (bits << 8 | *bytes++) & 0xfff;
        left += 8;

        while (left >= 5) {
            left -= 5;
            *to++ = nkey_base32[bits >> left & 31];
        }
    }

    if (left) {
        *to++ = nkey_base32[bits << (5 - left) & 31];
    }

    return to;
}


/* CRC-16 as XMODEM has it, the low byte first. */
static void
nkey_crc(unsigned char to[NKEY_CRC], const unsigned char *bytes, size_t n)
{
    unsigned  crc, bit;

    crc = 0;

    while (n--) {
        crc ^= (unsigned) *bytes++ << 8;

        for (bit = 0; bit < 8; bit++) {
            crc = crc << 1 ^ (crc & 0x8000 ? 0x1021 : 0);
        }

        crc &= 0xffff;
    }

    to[0] = (unsigned char) crc;
    to[1] = (unsigned char) (crc >> 8);
}


/* ------------------------------------------------------------------- keys */

static EVP_PKEY *
nkey_private(const kmq_nats_key_t *key)
{
    return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key->raw,
                                        sizeof(key->raw));
}


/* Writes the public half into its name. */
static int
nkey_name(kmq_nats_key_t *key)
{
    int             rc;
    size_t          len;
    EVP_PKEY       *pkey;
    unsigned char   bytes[NKEY_USER_BYTES];

    pkey = nkey_private(key);

    if (pkey == NULL) {
        return -1;
    }

    bytes[0] = NKEY_USER;
    len = KMQ_NATS_KEY_RAW;
    rc = EVP_PKEY_get_raw_public_key(pkey, bytes + 1, &len);
    EVP_PKEY_free(pkey);

    if (rc != 1) {
        return -1;
    }

    nkey_crc(bytes + 1 + KMQ_NATS_KEY_RAW, bytes, 1 + KMQ_NATS_KEY_RAW);
    *nkey_encode(key->name, bytes, sizeof(bytes)) = '\0';

    return 0;
}


int
kmq_nats_key_read(kmq_nats_key_t *key, const char *seed, size_t len)
{
    int            good;
    unsigned char  bytes[NKEY_SEED_BYTES], crc[NKEY_CRC];

    if (len != NKEY_SEED_LEN
        || nkey_decode(bytes, sizeof(bytes), seed, len)
           != NKEY_SEED_BYTES)
    {
        return -1;
    }

    nkey_crc(crc, bytes, NKEY_SEED_BYTES - NKEY_CRC);

    good = bytes[0] == NKEY_SEED_FIRST && bytes[1] == NKEY_SEED_NEXT
           && memcmp(crc, bytes + sizeof(bytes) - NKEY_CRC, NKEY_CRC) == 0;

    memcpy(key->raw, bytes + 2, KMQ_NATS_KEY_RAW);
    OPENSSL_cleanse(bytes, sizeof(bytes));

    if (good && nkey_name(key) == 0) {
        return 0;
    }

    kmq_nats_key_forget(key);

    return -1;
}


void
kmq_nats_key_forget(kmq_nats_key_t *key)
{
    OPENSSL_cleanse(key, sizeof(kmq_nats_key_t));
}


/* base64url of a signature. */
static void
nkey_base64url(char to[KMQ_NATS_KEY_SIGNATURE + 1],
    const unsigned char signature[NKEY_SIGNED])
{
    size_t         i;
    unsigned char  text[(NKEY_SIGNED + 2) / 3 * 4 + 1];

    (void) EVP_EncodeBlock(text, signature, NKEY_SIGNED);

    for (i = 0; i < KMQ_NATS_KEY_SIGNATURE; i++) {
        to[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : (char) text[i];
    }

    to[i] = '\0';
}


int
kmq_nats_key_sign(const kmq_nats_key_t *key, const char *nonce,
    char signature[KMQ_NATS_KEY_SIGNATURE + 1])
{
    int             rc;
    size_t          len;
    EVP_PKEY       *pkey;
    EVP_MD_CTX     *ctx;
    unsigned char   bytes[NKEY_SIGNED];

    pkey = nkey_private(key);
    ctx = EVP_MD_CTX_new();
    len = sizeof(bytes);

    rc = pkey && ctx
         && EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) == 1
         && EVP_DigestSign(ctx, bytes, &len, (const unsigned char *) nonce,
                           strlen(nonce)) == 1
         && len == sizeof(bytes);

    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);

    if (!rc) {
        return -1;
    }

    nkey_base64url(signature, bytes);

    return 0;
}


/* ------------------------------------------------------------ credentials */

/* Where a title is in a text, or NULL. */
static const char *
nkey_title(const char *text, size_t len, const char *title)
{
    size_t       n;
    const char  *p, *end;

    n = strlen(title);
    end = text + len;

    for (p = text; (size_t) (end - p) >= n; p++) {

        if (memcmp(p, title, n) == 0) {
            return p;
        }
    }

    return NULL;
}


/* The line behind the one that has this title in it, without blanks around it;
 * 0: there is none. */
static size_t
nkey_section(const char *text, size_t len, const char *title,
    const char **section)
{
    const char  *p, *end;

    end = text + len;
    p = nkey_title(text, len, title);

    if (p == NULL) {
        return 0;
    }

    p = memchr(p, '\n', (size_t) (end - p));

    if (p == NULL) {
        return 0;
    }

    while (p < end && (*p == '\n' || *p == '\r' || *p == ' ')) {
        p++;
    }

    *section = p;

    while (p < end && *p > ' ') {
        p++;
    }

    return (size_t) (p - *section);
}


int
kmq_nats_key_credentials(const char *text, size_t len, const char **jwt,
    size_t *jwt_len, const char **seed, size_t *seed_len)
{
    *jwt_len = nkey_section(text, len, "-BEGIN NATS USER JWT-", jwt);
    *seed_len = nkey_section(text, len, "-BEGIN USER NKEY SEED-", seed);

    return *jwt_len && *seed_len ? 0 : -1;
}
