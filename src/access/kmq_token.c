/*
 * A token from its first byte to its signature: kmq_token.h.
 *
 * Nothing that a token says decides how it is verified.  Its header must name
 * an algorithm of the configuration, to which one kind of key belongs; kid,
 * jku, jwk and x5c are not looked at.  Claims are read once the signature is
 * good.
 */

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kmq_token_inside.h"
#include "../protocol/kmq_base64.h"


/* A token, in pieces of the text. */
typedef struct {
    const char  *header;
    size_t       header_len;
    const char  *claims;
    size_t       claims_len;
    const char  *signature;
    size_t       signature_len;
} token_parts_t;


/* ------------------------------------------------------------------- form */

/* Finds the end of a part, which is not empty; NULL: there is none. */
static const char *
token_dot(const char *at, const char *end)
{
    const char  *dot;

    dot = memchr(at, '.', (size_t) (end - at));

    return dot == at ? NULL : dot;
}


/* Three parts that are not empty: a token without a signature is none. */
static int
token_split(token_parts_t *parts, const char *text, size_t len)
{
    const char  *dot, *second, *end;

    end = text + len;
    dot = token_dot(text, end);
    second = dot ? token_dot(dot + 1, end) : NULL;

    if (second == NULL || second + 1 == end
        || memchr(second + 1, '.', (size_t) (end - second - 1)))
    {
        return 0;
    }

    parts->header = text;
    parts->header_len = (size_t) (dot - text);
    parts->claims = dot + 1;
    parts->claims_len = (size_t) (second - dot - 1);
    parts->signature = second + 1;
    parts->signature_len = (size_t) (end - second - 1);

    return 1;
}


json_t *
kmq_token_part(const char *text, size_t len)
{
    long           n;
    json_t        *json;
    unsigned char  bytes[KMQ_BASE64_ROOM(KMQ_TOKEN_MAX)];

    if (len > KMQ_TOKEN_MAX) {
        return NULL;
    }

    n = kmq_base64url_decode(bytes, text, len);

    if (n < 0) {
        return NULL;
    }

    json = json_loadb((const char *) bytes, (size_t) n, JSON_REJECT_DUPLICATES,
                      NULL);

    if (json && !json_is_object(json)) {
        json_decref(json);
        return NULL;
    }

    return json;
}


/* What libjwt is to decode is base64url: it takes other letters, too. */
static int
token_base64(const token_parts_t *parts)
{
    unsigned char  bytes[KMQ_BASE64_ROOM(KMQ_TOKEN_MAX)];

    return kmq_base64url_decode(bytes, parts->claims, parts->claims_len) >= 0
           && kmq_base64url_decode(bytes, parts->signature,
                                   parts->signature_len)
              >= 0;
}


/* ----------------------------------------------------------------- header */

/* A text of an object, or NULL. */
static const char *
token_text(const json_t *object, const char *name, size_t *len)
{
    const json_t  *value;

    value = json_object_get(object, name);

    if (!json_is_string(value)) {
        return NULL;
    }

    *len = json_string_length(value);

    return json_string_value(value);
}


/* The algorithm that the header names, -1 when it is not allowed. */
static int
token_header(const kmq_tokens_t *tokens, const json_t *header,
    const char **why)
{
    int          algorithm;
    size_t       len;
    const char  *text;

    text = token_text(header, "alg", &len);
    algorithm = text ? kmq_token_algorithm(text, len) : -1;

    if (algorithm < 0 || !(tokens->algorithms >> algorithm & 1)) {
        *why = "its algorithm is none of mq.tokens.algorithms";
        return -1;
    }

    /* what is critical has to be understood, and nothing is */
    if (json_object_get(header, "crit") || json_object_get(header, "b64")
        || json_object_get(header, "zip"))
    {
        *why = "its header has \"crit\", \"b64\" or \"zip\"";
        return -1;
    }

    if (json_object_get(header, "typ")) {
        text = token_text(header, "typ", &len);

        if (text == NULL || strcasecmp(text, "JWT") != 0) {
            *why = "its header has a \"typ\" other than \"JWT\"";
            return -1;
        }
    }

    return algorithm;
}


/* -------------------------------------------------------------- signature */

/* Which of the settings has verified the signature, NULL: none.  The text is
 * terminated. */
static const kmq_digest_t *
token_signature(const kmq_tokens_t *tokens, const char *text,
    unsigned algorithm)
{
    size_t                     i, setting;
    unsigned                   before;
    const char                *name;
    const kmq_token_secret_t  *secret;

    name = kmq_token_algorithm_name(algorithm);
    setting = 0;

    /* settings are in the order of the algorithms */
    for (before = 0; before < algorithm; before++) {
        if (tokens->algorithms >> before & 1) {
            setting += before < KMQ_TOKEN_RS256 ? tokens->nsecrets : 1;
        }
    }

    if (algorithm >= KMQ_TOKEN_RS256) {
        return tokens->key
               && kmq_jwt_verify(text, name, (unsigned char *) tokens->key,
                                 tokens->key_len)
               ? &tokens->settings[setting] : NULL;
    }

    for (i = 0; i < tokens->nsecrets; i++) {
        secret = &tokens->secret[i];

        if (kmq_jwt_verify(text, name, (unsigned char *) secret->bytes,
                           secret->len))
        {
            return &tokens->settings[setting + i];
        }
    }

    return NULL;
}


/* ----------------------------------------------------------------- tokens */

/* A token whose parts are known, in a terminated copy. */
static kmq_token_e
token_parts(const kmq_tokens_t *tokens, const char *text,
    const token_parts_t *parts, uint64_t now, kmq_token_t *token,
    const char **why)
{
    int                  algorithm;
    json_t              *json;
    kmq_token_e          rc;
    const kmq_digest_t  *settings;

    json = kmq_token_part(parts->header, parts->header_len);

    if (json == NULL) {
        *why = "its header is no JSON object";
        return KMQ_TOKEN_NONE;
    }

    algorithm = token_header(tokens, json, why);
    json_decref(json);

    if (algorithm < 0) {
        return KMQ_TOKEN_WRONG;
    }

    if (!token_base64(parts)) {
        *why = "its claims or its signature are not base64url";
        return KMQ_TOKEN_WRONG;
    }

    settings = token_signature(tokens, text, (unsigned) algorithm);

    if (settings == NULL) {
        *why = "its signature is wrong";
        return KMQ_TOKEN_WRONG;
    }

    json = kmq_token_part(parts->claims, parts->claims_len);

    if (json == NULL) {
        *why = "its claims are no JSON object, or have a name twice";
        return KMQ_TOKEN_WRONG;
    }

    token->settings = *settings;
    rc = kmq_token_claims(tokens, json, now, token, why);
    json_decref(json);

    return rc;
}


kmq_token_e
kmq_token_verify(const kmq_tokens_t *tokens, const char *text, size_t len,
    uint64_t now, kmq_token_t *token, const char **why)
{
    char           copy[KMQ_TOKEN_MAX + 1];
    token_parts_t  parts;

    if (tokens->nsettings == 0) {
        *why = "there are no tokens";
        return KMQ_TOKEN_NONE;
    }

    if (len > KMQ_TOKEN_MAX) {
        *why = "it is longer than 8192 bytes";
        return KMQ_TOKEN_NONE;
    }

    memcpy(copy, text, len);
    copy[len] = '\0';

    if (!token_split(&parts, copy, len)) {
        *why = "it has not three parts";
        return KMQ_TOKEN_NONE;
    }

    return token_parts(tokens, copy, &parts, now, token, why);
}
