/* What the files of tokens share. */

#ifndef KMQ_TOKEN_INSIDE_H
#define KMQ_TOKEN_INSIDE_H

#include <jansson.h>

#include "kmq_token.h"


/*
 * 1 when the signature of a token, which is terminated, was made with this
 * algorithm and key, as libjwt sees it.  The header has been looked at already:
 * it names this algorithm.
 */
int kmq_jwt_verify(const char *token, const char *algorithm,
    const unsigned char *key, size_t len);

/* One of the parts of a token as a JSON object without a name twice, to be
 * given to json_decref(), or NULL. */
json_t *kmq_token_part(const char *text, size_t len);

/* Looks at the claims of a token whose signature is good; fills in all of token
 * but its settings. */
kmq_token_e kmq_token_claims(const kmq_tokens_t *tokens, json_t *claims,
    uint64_t now, kmq_token_t *token, const char **why);

#endif /* KMQ_TOKEN_INSIDE_H */
