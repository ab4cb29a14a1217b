/*
 * Tokens that were verified already: kmq_token.h.
 *
 * They are found by the digest of all their bytes, the signature with them, so
 * whoever has not the token itself finds nothing.  Only good ones are kept, so
 * nobody else can drive them out but by having many.
 */

#include <stdlib.h>
#include <string.h>

#include "kmq_token.h"


#define MEMORY_PLACES  256


typedef struct {
    kmq_digest_t         digest;
    uint64_t             from;          /* s: it counts from then, */
    uint64_t             until;         /* and before that */
    kmq_token_t          token;         /* without rights: the place is free */
} memory_place_t;

struct kmq_token_memory_s {
    memory_place_t       place[MEMORY_PLACES];
};


kmq_token_memory_t *
kmq_token_memory(void)
{
    return calloc(1, sizeof(kmq_token_memory_t));
}


void
kmq_token_memory_free(kmq_token_memory_t *memory)
{
    size_t  i;

    for (i = 0; memory && i < MEMORY_PLACES; i++) {
        free(memory->place[i].token.rights);
    }

    free(memory);
}


/* A copy of a token: 0 or -1. */
static int
memory_copy(kmq_token_t *to, const kmq_token_t *from)
{
    size_t  size;

    size = kmq_rights_size(from->rights);
    *to = *from;
    to->rights = malloc(size);

    if (to->rights == NULL) {
        return -1;
    }

    memcpy(to->rights, from->rights, size);

    return 0;
}


/* Without memory it is not kept. */
static void
memory_keep(memory_place_t *place, const kmq_digest_t *digest,
    const kmq_token_t *token, uint64_t now)
{
    kmq_token_t  copy;

    if (memory_copy(&copy, token) != 0) {
        return;
    }

    free(place->token.rights);

    place->digest = *digest;
    place->token = copy;
    place->from = now;
    place->until = now + KMQ_TOKEN_MEMORY_TIME;

    if (place->until > token->expires) {
        place->until = token->expires;
    }
}


kmq_token_e
kmq_token_verify_once(kmq_token_memory_t *memory, const kmq_tokens_t *tokens,
    const char *text, size_t len, uint64_t now, kmq_token_t *token,
    const char **why)
{
    kmq_token_e      rc;
    kmq_digest_t     digest;
    memory_place_t  *place;

    if (memory == NULL || len > KMQ_TOKEN_MAX
        || kmq_digest(&digest, text, len) != 0)
    {
        return kmq_token_verify(tokens, text, len, now, token, why);
    }

    place = &memory->place[digest.bytes[0] % MEMORY_PLACES];

    /* a clock that was set back may be before "nbf" */
    if (place->token.rights && now >= place->from && now < place->until
        && kmq_digest_same(&place->digest, &digest))
    {
        if (memory_copy(token, &place->token) == 0) {
            return KMQ_TOKEN_GOOD;
        }

        *why = "there is no memory";
        return KMQ_TOKEN_FAILED;
    }

    rc = kmq_token_verify(tokens, text, len, now, token, why);

    if (rc == KMQ_TOKEN_GOOD) {
        memory_keep(place, &digest, token, now);
    }

    return rc;
}
