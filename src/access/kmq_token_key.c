/* What tokens are verified with: kmq_token.h. */

#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "kmq_token.h"


#define TOKEN_RSA_BITS  2048            /* RFC 7518, 3.3 */
#define TOKEN_GROUP       64


static const char *const  token_algorithms[KMQ_TOKEN_ALGORITHMS] = {
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512",
    "ES256", "ES384", "ES512"
};

/* What OpenSSL calls the curves of ES256, ES384 and ES512. */
static const char *const  token_curves[] = {
    "prime256v1", "secp384r1", "secp521r1"
};


int
kmq_token_algorithm(const char *name, size_t len)
{
    int  i;

    for (i = 0; i < KMQ_TOKEN_ALGORITHMS; i++) {
        if (strlen(token_algorithms[i]) == len
            && memcmp(token_algorithms[i], name, len) == 0)
        {
            return i;
        }
    }

    return -1;
}


const char *
kmq_token_algorithm_name(unsigned algorithm)
{
    return algorithm < KMQ_TOKEN_ALGORITHMS ? token_algorithms[algorithm] : "";
}


/* ------------------------------------------------------------- public key */

/* A password is never asked for. */
static int
token_no_password(char *to, int size, int writing, void *arg)
{
    (void) to;
    (void) size;
    (void) writing;
    (void) arg;

    return -1;
}


static const char *
token_check_rsa(const kmq_tokens_t *tokens, const EVP_PKEY *key)
{
    if (tokens->algorithms & ~(7u << KMQ_TOKEN_RS256)) {
        return "is an RSA key, but not all algorithms are RS256, RS384 or "
               "RS512";
    }

    if (EVP_PKEY_get_bits(key) < TOKEN_RSA_BITS) {
        return "is an RSA key of less than 2048 bits";
    }

    return NULL;
}


static const char *
token_check_ec(const kmq_tokens_t *tokens, const EVP_PKEY *key)
{
    char      group[TOKEN_GROUP];
    unsigned  i;

    if (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1) {
        return "is an EC key of an unknown curve";
    }

    for (i = 0; i < sizeof(token_curves) / sizeof(token_curves[0]); i++) {
        if (strcmp(group, token_curves[i]) == 0
            && tokens->algorithms == 1u << (KMQ_TOKEN_ES256 + i))
        {
            return NULL;
        }
    }

    return "is an EC key, and not of the curve that the one algorithm must "
           "have (ES256: P-256, ES384: P-384, ES512: P-521)";
}


static const char *
token_check_key(const kmq_tokens_t *tokens, const EVP_PKEY *key)
{
    switch (EVP_PKEY_get_base_id(key)) {

    case EVP_PKEY_RSA:
        return token_check_rsa(tokens, key);

    case EVP_PKEY_EC:
        return token_check_ec(tokens, key);

    default:
        return "is neither an RSA nor an EC key";
    }
}


/* The key alone, as OpenSSL writes it: 0 or -1. */
static int
token_keep_key(kmq_tokens_t *tokens, EVP_PKEY *key)
{
    int    rc;
    BIO   *bio;
    long   len;
    char  *bytes, *copy;

    bio = BIO_new(BIO_s_mem());
    rc = -1;

    if (bio && PEM_write_bio_PUBKEY(bio, key) == 1) {
        len = BIO_get_mem_data(bio, &bytes);
        copy = len > 0 ? malloc((size_t) len) : NULL;

        if (copy) {
            memcpy(copy, bytes, (size_t) len);
            free(tokens->key);
            tokens->key = copy;
            tokens->key_len = (size_t) len;
            rc = 0;
        }
    }

    BIO_free(bio);

    return rc;
}


/* Whether the file has such words in it. */
static int
token_has(const char *pem, size_t len, const char *words)
{
    size_t  i, n;

    n = strlen(words);

    for (i = 0; i + n <= len; i++) {
        if (memcmp(pem + i, words, n) == 0) {
            return 1;
        }
    }

    return 0;
}


const char *
kmq_tokens_public_key(kmq_tokens_t *tokens, const char *pem, size_t len)
{
    BIO         *bio;
    EVP_PKEY    *key;
    const char  *error;

    if (token_has(pem, len, "PRIVATE KEY-----")) {
        return "has a private key in it, which must not leave its server";
    }

    if (token_has(pem, len, "-----BEGIN CERTIFICATE-----")) {
        return "is a certificate (\"openssl x509 -pubkey -noout\" gives its "
               "public key)";
    }

    bio = len <= INT32_MAX ? BIO_new_mem_buf(pem, (int) len) : NULL;
    key = bio ? PEM_read_bio_PUBKEY(bio, NULL, token_no_password, NULL) : NULL;

    if (key == NULL) {
        error = "is no public key (\"-----BEGIN PUBLIC KEY-----\")";

    } else {
        error = token_check_key(tokens, key);
    }

    if (error == NULL && token_keep_key(tokens, key) != 0) {
        error = "cannot be kept: there is no memory";
    }

    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error();

    return error;
}


/* --------------------------------------------------------------- settings */

/* What makes one setting differ from another, with lengths, so that nothing
 * else looks the same. */
typedef struct {
    uint32_t       algorithm;
    uint32_t       leeway;
    kmq_digest_t   key;
    kmq_digest_t   issuer;
    kmq_digest_t   audience;
} token_setting_t;


static int
token_seal_one(kmq_tokens_t *tokens, unsigned algorithm, const void *key,
    size_t len)
{
    token_setting_t  setting;

    if (tokens->nsettings == KMQ_TOKEN_SETTINGS) {
        return -1;
    }

    memset(&setting, 0, sizeof(setting));
    setting.algorithm = algorithm;
    setting.leeway = tokens->leeway;

    if (kmq_digest(&setting.key, key, len) != 0
        || kmq_digest(&setting.issuer, tokens->issuer.bytes,
                      tokens->issuer.len) != 0
        || kmq_digest(&setting.audience, tokens->audience.bytes,
                      tokens->audience.len) != 0)
    {
        return -1;
    }

    return kmq_digest(&tokens->settings[tokens->nsettings++], &setting,
                      sizeof(setting));
}


int
kmq_tokens_seal(kmq_tokens_t *tokens)
{
    size_t    i;
    unsigned  algorithm;

    tokens->nsettings = 0;

    for (algorithm = 0; algorithm < KMQ_TOKEN_ALGORITHMS; algorithm++) {

        if (!(tokens->algorithms >> algorithm & 1)) {
            continue;
        }

        if (algorithm >= KMQ_TOKEN_RS256) {
            if (tokens->key == NULL
                || token_seal_one(tokens, algorithm, tokens->key,
                                  tokens->key_len)
                   != 0)
            {
                return -1;
            }

            continue;
        }

        for (i = 0; i < tokens->nsecrets; i++) {
            if (token_seal_one(tokens, algorithm, tokens->secret[i].bytes,
                               tokens->secret[i].len)
                != 0)
            {
                return -1;
            }
        }
    }

    return 0;
}


void
kmq_tokens_free(kmq_tokens_t *tokens)
{
    free(tokens->key);
    OPENSSL_cleanse(tokens, sizeof(kmq_tokens_t));
}
