/*
 * Signatures by libjwt.
 *
 * What it does not look at itself, as of 1.10.2, has been looked at before:
 * that the algorithm is one of the configuration's (it takes the token's, and a
 * public key as the secret of an HS256), that there is a signature, critical
 * extensions, names that are there twice, characters that base64 does not have.
 */

#include <errno.h>

#include <jwt.h>
#include <openssl/err.h>

#include "kmq_token_inside.h"


int
kmq_tokens_known(void)
{
    return 1;
}


int
kmq_jwt_verify(const char *token, const char *algorithm,
    const unsigned char *key, size_t len)
{
    int     good;
    jwt_t  *jwt;

    /* without a key it would take any signature for good */
    if (len == 0) {
        return 0;
    }

    jwt = NULL;

    good = jwt_decode(&jwt, token, key, (int) len) == 0 && jwt != NULL
           && jwt_get_alg(jwt) == jwt_str_alg(algorithm)
           && jwt_get_alg(jwt) != JWT_ALG_NONE;

    jwt_free(jwt);

    /* what it leaves there would be taken for an error of a TLS connection */
    ERR_clear_error();

    return good;
}
