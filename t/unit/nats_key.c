/* NKeys: seeds, names, signatures, files of credentials. */

#include <openssl/evp.h>

#include "../../src/nats/kmq_nats_key.h"
#include "../../src/protocol/kmq_base64.h"
#include "tap.h"


/* From the documentation of NATS. */
#define SEED  "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
#define NAME  "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"


static void
test_seed(void)
{
    char            text[64];
    size_t          i, wrong;
    kmq_nats_key_t  key;

    is_int(kmq_nats_key_read(&key, SEED, strlen(SEED)), 0, "a seed");
    is_bytes(key.name, strlen(key.name), NAME, strlen(NAME), "its public key");

    for (wrong = 0, i = 0; i < strlen(SEED); i++) {
        (void) strcpy(text, SEED);
        text[i] = text[i] == 'A' ? 'B' : 'A';
        wrong += kmq_nats_key_read(&key, text, strlen(text)) == 0;
    }

    is_int(wrong, 0, "none with a letter changed");
    is_int(kmq_nats_key_read(&key, SEED, strlen(SEED) - 1), -1, "nor shorter");
    is_int(kmq_nats_key_read(&key, SEED "A", strlen(SEED) + 1), -1,
           "nor longer");
    is_int(kmq_nats_key_read(&key, NAME, strlen(NAME)), -1,
           "nor a public key");
    (void) strcpy(text, SEED);
    text[5] = '1';
    is_int(kmq_nats_key_read(&key, text, strlen(text)), -1,
           "nor other characters");
    is_int(kmq_nats_key_read(&key, "", 0), -1, "nor nothing");
}


static int
verified(const kmq_nats_key_t *key, const char *nonce, const char *signature)
{
    int             rc;
    size_t          len;
    EVP_PKEY       *private, *public;
    EVP_MD_CTX     *ctx;
    unsigned char   raw[32], bytes[KMQ_BASE64_ROOM(
                                       KMQ_NATS_KEY_SIGNATURE)];

    len = sizeof(raw);
    private = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key->raw,
                                           32);
    (void) EVP_PKEY_get_raw_public_key(private, raw, &len);
    public = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, len);
    ctx = EVP_MD_CTX_new();

    rc = kmq_base64url_decode(bytes, signature, strlen(signature)) == 64
         && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, public) == 1
         && EVP_DigestVerify(ctx, bytes, 64, (const unsigned char *) nonce,
                             strlen(nonce)) == 1;

    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(private);
    EVP_PKEY_free(public);

    return rc;
}


static void
test_signature(void)
{
    char            signature[KMQ_NATS_KEY_SIGNATURE + 1];
    kmq_nats_key_t  key;

    (void) kmq_nats_key_read(&key, SEED, strlen(SEED));
    is_int(kmq_nats_key_sign(&key, "a nonce", signature), 0, "it signs");
    ok(verified(&key, "a nonce", signature), "which can be verified");
    ok(!verified(&key, "a nonsense", signature), "for this alone");

    kmq_nats_key_forget(&key);
    is_int(key.raw[0] | key.raw[31] | key.name[0], 0, "it can be forgotten");
}


static void
test_credentials(void)
{
    static const char  file[] =
        "-----BEGIN NATS USER JWT-----\r\n"
        "eyJ0eXAiOiJKV1QifQ.e30.sig-_\r\n"
        "------END NATS USER JWT------\r\n\r\n"
        "******* IMPORTANT *******\n\n"
        "-----BEGIN USER NKEY SEED-----\n"
        SEED "\n"
        "------END USER NKEY SEED------\n";

    size_t       jwt_len, seed_len, n, found;
    const char  *jwt, *seed;

    is_int(kmq_nats_key_credentials(file, strlen(file), &jwt, &jwt_len, &seed,
                                    &seed_len), 0, "a file of credentials");
    is_bytes(jwt, jwt_len, "eyJ0eXAiOiJKV1QifQ.e30.sig-_", 28, "its token");
    is_bytes(seed, seed_len, SEED, strlen(SEED), "its seed");

    /* in memory of just that size, so that a look beyond the end is seen */

    for (found = 0, n = 0; n < strlen(file); n++) {
        char  *copy = malloc(n + 1);

        memcpy(copy, file, n);
        found += kmq_nats_key_credentials(copy, n, &jwt, &jwt_len, &seed,
                                          &seed_len) == 0
                 && seed_len == strlen(SEED);
        free(copy);
    }

    is_int(found, 2 + strlen("------END USER NKEY SEED------"),
           "no whole seed in a part of it");
}


int
main(void)
{
    test_seed();
    test_signature();
    test_credentials();

    return done_testing();
}
