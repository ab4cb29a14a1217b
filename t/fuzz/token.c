/*
 * Tokens.  The first byte says what the rest is: any bytes, which are never a
 * good token, since nobody has signed them; header and claims, in two lines,
 * that are signed here; or claims under a good header.
 *
 * What is accepted has been signed here, has an algorithm that is allowed, and
 * has not expired, as jansson alone reads it.
 */

#include <jansson.h>
#include <openssl/err.h>

#include "../../src/access/kmq_token.h"
#include "../unit/access_sign.h"


#define NOW     UINT64_C(1700000000)
#define SECRET  "a secret of thirty-two bytes ...."
#define HEADER  "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
check(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}


/* 1 when the token was accepted. */
static int
verify(const kmq_tokens_t *tokens, const char *text, size_t len,
    uint64_t *expires)
{
    const char   *why = NULL;
    kmq_token_e   rc;
    kmq_token_t   token;

    rc = kmq_token_verify(tokens, text, len, NOW, &token, &why);

    check(ERR_peek_error() == 0, "an error of OpenSSL is left");

    if (rc != KMQ_TOKEN_GOOD) {
        check(why && *why, "nobody says why");
        return 0;
    }

    check(kmq_rights_check(token.rights, kmq_rights_size(token.rights)),
          "rights that are none");
    check(kmq_digest_same(&token.settings, &tokens->settings[0]),
          "settings that are none");

    *expires = token.expires;
    free(token.rights);

    return 1;
}


static void
signed_token(const kmq_tokens_t *tokens, const char *header,
    size_t header_len, const char *claims, size_t claims_len)
{
    char        *text;
    json_t      *h, *c;
    uint64_t     expires;
    const char  *algorithm;

    text = sign_begin(header, header_len, claims, claims_len);
    sign_secret(text, 256, SECRET, strlen(SECRET));

    if (verify(tokens, text, strlen(text), &expires)) {
        h = json_loadb(header, header_len, 0, NULL);
        c = json_loadb(claims, claims_len, 0, NULL);
        algorithm = json_string_value(json_object_get(h, "alg"));

        check(algorithm && strcmp(algorithm, "HS256") == 0,
              "another algorithm");
        check(json_is_number(json_object_get(c, "exp"))
              && json_number_value(json_object_get(c, "exp")) > (double) NOW,
              "it has expired");
        check(expires > NOW, "it says so itself");

        json_decref(h);
        json_decref(c);
    }

    free(text);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                *exact;
    uint64_t             expires;
    const uint8_t       *line;
    static kmq_tokens_t  tokens;

    if (tokens.nsecrets == 0) {
        tokens.algorithms = 1u << KMQ_TOKEN_HS256;
        tokens.nsecrets = 1;
        tokens.secret[0].len = strlen(SECRET);
        memcpy(tokens.secret[0].bytes, SECRET, strlen(SECRET));
        check(kmq_tokens_seal(&tokens) == 0, "no settings");
    }

    if (size == 0) {
        return 0;
    }

    switch (data[0] % 3) {

    case 0:
        exact = malloc(size);
        memcpy(exact, data + 1, size - 1);
        check(!verify(&tokens, exact, size - 1, &expires),
              "nobody has signed it");
        free(exact);
        break;

    case 1:
        line = memchr(data, '\n', size);

        if (line && line > data) {
            signed_token(&tokens, (const char *) data + 1,
                         (size_t) (line - data - 1), (const char *) line + 1,
                         (size_t) (data + size - line - 1));
        }

        break;

    default:
        signed_token(&tokens, HEADER, strlen(HEADER),
                     (const char *) data + 1, size - 1);
    }

    return 0;
}
