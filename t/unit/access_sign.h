/* Makes tokens, good ones and others, for tests and fuzzers: base64url, and
 * signatures by OpenSSL alone. */

#ifndef KMQ_ACCESS_SIGN_H
#define KMQ_ACCESS_SIGN_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>


#define SIGN_ROOM    (64 * 1024)
#define SIGN_UNUSED  __attribute__((unused))


static void
sign_base64(char *to, const void *bytes, size_t len)
{
    size_t                i, n;
    uint32_t              bits;
    const unsigned char  *from = bytes;

    static const char  letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "abcdefghijklmnopqrstuvwxyz0123456789-_";

    for (i = 0; i < len; i += 3) {
        n = len - i < 3 ? len - i : 3;
        bits = (uint32_t) from[i] << 16;
        bits |= n > 1 ? (uint32_t) from[i + 1] << 8 : 0;
        bits |= n > 2 ? from[i + 2] : 0;

        *to++ = letters[bits >> 18];
        *to++ = letters[bits >> 12 & 63];

        if (n > 1) {
            *to++ = letters[bits >> 6 & 63];
        }

        if (n > 2) {
            *to++ = letters[bits & 63];
        }
    }

    *to = '\0';
}


static const EVP_MD *
sign_md(unsigned bits)
{
    return bits == 256 ? EVP_sha256() : bits == 384 ? EVP_sha384()
                                                    : EVP_sha512();
}


/* Header and claims, joined by a point; behind them there is a point, too. */
static char *
sign_begin(const void *header, size_t header_len, const void *claims,
    size_t claims_len)
{
    char  *token;

    token = malloc(SIGN_ROOM);

    if (token == NULL || (header_len + claims_len) * 2 > SIGN_ROOM / 2) {
        abort();
    }

    sign_base64(token, header, header_len);
    strcat(token, ".");
    sign_base64(token + strlen(token), claims, claims_len);
    strcat(token, ".");

    return token;
}


/* Signs what is before the last point with a secret. */
static void
sign_secret(char *token, unsigned bits, const void *secret, size_t len)
{
    unsigned       n;
    unsigned char  md[EVP_MAX_MD_SIZE];

    if (HMAC(sign_md(bits), secret, (int) len, (unsigned char *) token,
             strlen(token) - 1, md, &n) == NULL)
    {
        abort();
    }

    sign_base64(token + strlen(token), md, n);
}


/* An EC signature as tokens have it: two numbers of a fixed length. */
SIGN_UNUSED static size_t
sign_raw(unsigned char *bytes, size_t len, int bits)
{
    int                   half;
    ECDSA_SIG            *signature;
    const unsigned char  *at = bytes;

    half = (bits + 7) / 8;
    signature = d2i_ECDSA_SIG(NULL, &at, (long) len);

    if (signature == NULL
        || BN_bn2binpad(ECDSA_SIG_get0_r(signature), bytes, half) < 0
        || BN_bn2binpad(ECDSA_SIG_get0_s(signature), bytes + half, half) < 0)
    {
        abort();
    }

    ECDSA_SIG_free(signature);

    return 2 * (size_t) half;
}


/* The same with a private key. */
SIGN_UNUSED static void
sign_key(char *token, unsigned bits, EVP_PKEY *key)
{
    size_t          n;
    EVP_MD_CTX     *ctx;
    unsigned char   bytes[1024];

    n = sizeof(bytes);
    ctx = EVP_MD_CTX_new();

    if (EVP_DigestSignInit(ctx, NULL, sign_md(bits), NULL, key) != 1
        || EVP_DigestSign(ctx, bytes, &n, (unsigned char *) token,
                          strlen(token) - 1)
           != 1)
    {
        abort();
    }

    EVP_MD_CTX_free(ctx);

    if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC) {
        n = sign_raw(bytes, n, EVP_PKEY_get_bits(key));
    }

    sign_base64(token + strlen(token), bytes, n);
}


/* The public key of a pair as PEM, to be freed; its length. */
SIGN_UNUSED static char *
sign_public(EVP_PKEY *key, size_t *len)
{
    BIO   *bio;
    char  *bytes, *copy;

    bio = BIO_new(BIO_s_mem());

    if (PEM_write_bio_PUBKEY(bio, key) != 1) {
        abort();
    }

    *len = (size_t) BIO_get_mem_data(bio, &bytes);
    copy = malloc(*len);
    memcpy(copy, bytes, *len);
    BIO_free(bio);

    return copy;
}

#endif /* KMQ_ACCESS_SIGN_H */
