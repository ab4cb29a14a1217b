/* What a client may do with what it gave: kmq_access.h. */

#include <stdlib.h>
#include <string.h>

#include "kmq_access.h"
#include "kmq_keys_inside.h"


/* ------------------------------------------------------------------- keys */

static kmq_rights_t *
access_copy(const kmq_rights_t *rights)
{
    size_t         size;
    kmq_rights_t  *copy;

    size = kmq_rights_size(rights);
    copy = malloc(size);

    if (copy) {
        memcpy(copy, rights, size);
    }

    return copy;
}


static kmq_access_e
access_key(kmq_access_t *access, const kmq_rights_t *rights,
    const kmq_digest_t *digest, const char **why)
{
    access->rights = access_copy(rights);
    access->digest = *digest;
    access->expires = 0;

    if (access->rights == NULL) {
        *why = "there is no memory";
        return KMQ_ACCESS_FAILED;
    }

    return KMQ_ACCESS_GOOD;
}


/* ----------------------------------------------------------------- tokens */

/* Whether this process verifies tokens as the newest configuration says. */
static int
access_current(const kmq_gate_t *gate)
{
    size_t  i;

    if (gate->keys->ntokens != gate->tokens->nsettings) {
        return 0;
    }

    for (i = 0; i < gate->tokens->nsettings; i++) {
        if (!kmq_keys_token(gate->keys, &gate->tokens->settings[i])) {
            return 0;
        }
    }

    return 1;
}


static kmq_access_e
access_token(const kmq_gate_t *gate, const char *text, size_t len,
    uint64_t now, kmq_access_t *access, const char **why)
{
    kmq_token_e  rc;
    kmq_token_t  token;

    rc = kmq_token_verify_once(gate->memory, gate->tokens, text, len, now,
                               &token, why);

    switch (rc) {

    case KMQ_TOKEN_GOOD:
        break;

    case KMQ_TOKEN_FAILED:
        return KMQ_ACCESS_FAILED;

    case KMQ_TOKEN_EXPIRED:
        return KMQ_ACCESS_EXPIRED;

    default:
        /* what is wrong by old settings may be good by new ones */
        return access_current(gate) ? KMQ_ACCESS_WRONG : KMQ_ACCESS_ELSEWHERE;
    }

    if (!kmq_keys_token(gate->keys, &token.settings)) {
        free(token.rights);
        *why = "it was good before the last reload";
        return KMQ_ACCESS_ELSEWHERE;
    }

    access->rights = token.rights;
    access->digest = token.settings;
    access->expires = token.expires;

    return KMQ_ACCESS_GOOD;
}


/* ------------------------------------------------------------ all of them */

static kmq_access_e
access_any(const kmq_gate_t *gate, const kmq_tries_from_t *from,
    const char *text, size_t len, const kmq_access_time_t *now,
    kmq_access_t *access, uint32_t *wait, const char **why)
{
    kmq_access_e         rc;
    kmq_digest_t         digest;
    const kmq_rights_t  *rights;

    if (kmq_digest(&digest, text, len) != 0) {
        *why = "OpenSSL cannot make a digest";
        return KMQ_ACCESS_FAILED;
    }

    rights = gate->tokens_only ? NULL : kmq_keys_find(gate->keys, &digest);

    if (rights) {
        return access_key(access, rights, &digest, why);
    }

    rc = access_token(gate, text, len, now->wall, access, why);

    if (rc != KMQ_ACCESS_WRONG || gate->limit == 0
        || kmq_keys_removed(gate->keys, &digest, now->wall))
    {
        return rc;
    }

    *wait = kmq_tries_wrong(gate->tries, from, &digest, now->ms, gate->limit);

    return *wait ? KMQ_ACCESS_LATER : KMQ_ACCESS_WRONG;
}


kmq_access_e
kmq_access(const kmq_gate_t *gate, const kmq_tries_from_t *from,
    const char *text, size_t len, const kmq_access_time_t *now,
    kmq_access_t *access, uint32_t *wait, const char **why)
{
    kmq_access_e  rc;

    rc = access_any(gate, from, text, len, now, access, wait, why);

    if (rc == KMQ_ACCESS_GOOD) {
        kmq_used_now(gate->used, &access->digest, now->wall);
    }

    return rc;
}


int
kmq_access_again(kmq_access_t *access, const kmq_keys_t *keys)
{
    kmq_rights_t        *copy;
    const kmq_rights_t  *rights;

    if (kmq_rights_kind(access->rights) == KMQ_WHO_TOKEN) {
        return kmq_keys_token(keys, &access->digest);
    }

    rights = kmq_keys_find(keys, &access->digest);
    copy = rights ? access_copy(rights) : NULL;

    if (copy == NULL) {
        return 0;
    }

    free(access->rights);
    access->rights = copy;

    return 1;
}
