/*
 * What a token says, once its signature is good: kmq_token.h.
 *
 * A claim of a wrong type is refused, and so is a member of "kapokmq" that is
 * not known: one that is misspelt may have been meant to allow less.
 */

#include <stdlib.h>
#include <string.h>

#include "kmq_token_inside.h"


/* Later than any time that counts, and far from where sums overflow. */
#define TOKEN_TIME_MAX  (INT64_C(1) << 53)


/* ------------------------------------------------------------------ times */

/* A decimal, rounded down or up, within the bounds. */
static int64_t
claims_decimal(double real, int up)
{
    int64_t  time;

    if (real >= (double) TOKEN_TIME_MAX) {
        return TOKEN_TIME_MAX;
    }

    time = real > 0 ? (int64_t) real : 0;

    return time + (up && (double) time < real);
}


/* Seconds, within the bounds; 0 when it is no number. */
static int
claims_time(const json_t *value, int up, int64_t *time)
{
    if (json_is_integer(value)) {
        *time = json_integer_value(value);
        *time = *time > TOKEN_TIME_MAX ? TOKEN_TIME_MAX
                : *time < 0 ? 0 : *time;
        return 1;
    }

    if (json_is_real(value)) {
        *time = claims_decimal(json_real_value(value), up);
        return 1;
    }

    return 0;
}


static kmq_token_e
claims_times(const kmq_tokens_t *tokens, const json_t *claims, uint64_t now,
    kmq_token_t *token, const char **why)
{
    int64_t        time;
    const json_t  *value;

    if (!claims_time(json_object_get(claims, "exp"), 0, &time)) {
        *why = "\"exp\" is missing, or no number";
        return KMQ_TOKEN_WRONG;
    }

    token->expires = (uint64_t) time + tokens->leeway;

    if (now >= token->expires) {
        *why = "it has expired";
        return KMQ_TOKEN_EXPIRED;
    }

    value = json_object_get(claims, "iat");

    if (value && !json_is_number(value)) {
        *why = "\"iat\" is no number";
        return KMQ_TOKEN_WRONG;
    }

    value = json_object_get(claims, "nbf");

    if (value && !claims_time(value, 1, &time)) {
        *why = "\"nbf\" is no number";
        return KMQ_TOKEN_WRONG;
    }

    if (value && now + tokens->leeway < (uint64_t) time) {
        *why = "it is not valid yet";
        return KMQ_TOKEN_WRONG;
    }

    return KMQ_TOKEN_GOOD;
}


/* ---------------------------------------------------------------- for whom */

static int
claims_is(const json_t *value, const kmq_token_secret_t *wanted)
{
    return json_is_string(value)
           && json_string_length(value) == wanted->len
           && memcmp(json_string_value(value), wanted->bytes, wanted->len)
              == 0;
}


static const char *
claims_issuer(const kmq_tokens_t *tokens, const json_t *claims)
{
    const json_t  *value;

    value = json_object_get(claims, "iss");

    if (value && !json_is_string(value)) {
        return "\"iss\" is no text";
    }

    if (tokens->issuer.len && !claims_is(value, &tokens->issuer)) {
        return "\"iss\" is not mq.tokens.issuer";
    }

    return NULL;
}


/* A text or a list of texts. */
static const char *
claims_audience(const kmq_tokens_t *tokens, const json_t *claims)
{
    int            found;
    size_t         i;
    const json_t  *value, *one;

    value = json_object_get(claims, "aud");
    found = claims_is(value, &tokens->audience);

    if (value && !json_is_string(value) && !json_is_array(value)) {
        return "\"aud\" is neither a text nor a list";
    }

    for (i = 0; i < json_array_size(value); i++) {
        one = json_array_get(value, i);
        found |= claims_is(one, &tokens->audience);

        if (!json_is_string(one)) {
            return "\"aud\" is a list of something else than texts";
        }
    }

    if (tokens->audience.len && !found) {
        return "\"aud\" is not mq.tokens.audience";
    }

    return NULL;
}


/* ----------------------------------------------------------------- rights */

/* A member that may be missing, as a text: 0 when it is something else. */
static int
claims_text(const json_t *value, kmq_text_t *text)
{
    text->data = json_string_value(value);
    text->len = json_string_length(value);

    return value == NULL || json_is_string(value);
}


static const char *
claims_topics(const json_t *list, kmq_text_t *topics)
{
    size_t  i;

    if (!json_is_array(list) || json_array_size(list) > KMQ_RIGHTS_TOPICS_MAX)
    {
        return "\"produce\" or \"consume\" is no list of at most 1000 topics";
    }

    for (i = 0; i < json_array_size(list); i++) {
        if (!json_is_string(json_array_get(list, i))) {
            return "a topic is no text";
        }

        (void) claims_text(json_array_get(list, i), &topics[i]);
    }

    return NULL;
}


static const char *
claims_console(const json_t *value, unsigned *console)
{
    unsigned     i;
    const char  *text;

    static const char *const  names[] = { "none", "read", "write" };

    text = json_string_value(value);

    for (i = KMQ_CONSOLE_NONE; i <= KMQ_CONSOLE_WRITE; i++) {
        if (text && strcmp(text, names[i]) == 0) {
            *console = i;
            return NULL;
        }
    }

    return "\"console\" is not \"none\", \"read\" or \"write\"";
}


/* One member of "kapokmq"; topics has room for both lists. */
static const char *
claims_member(const char *name, const json_t *value, kmq_claims_t *rights,
    kmq_text_t *topics)
{
    if (strcmp(name, "produce") == 0) {
        rights->produce = topics;
        rights->nproduce = json_array_size(value);
        return claims_topics(value, topics);
    }

    if (strcmp(name, "consume") == 0) {
        rights->consume = topics + KMQ_RIGHTS_TOPICS_MAX;
        rights->nconsume = json_array_size(value);
        return claims_topics(value, topics + KMQ_RIGHTS_TOPICS_MAX);
    }

    if (strcmp(name, "console") == 0) {
        return claims_console(value, &rights->console);
    }

    if (strcmp(name, "metrics") == 0) {
        rights->metrics = json_is_true(value);
        return json_is_boolean(value) ? NULL
                                      : "\"metrics\" is not true or false";
    }

    if (strcmp(name, "id") == 0) {
        return json_is_string(value) && claims_text(value, &rights->id)
               ? NULL : "\"id\" is no text";
    }

    return "\"kapokmq\" has a member that is not known";
}


/* Reads "kapokmq"; without it a token allows nothing. */
static const char *
claims_members(json_t *object, kmq_claims_t *rights, kmq_text_t *topics)
{
    json_t      *value;
    const char  *name, *error;

    if (object && !json_is_object(object)) {
        return "\"kapokmq\" is no object";
    }

    json_object_foreach(object, name, value) {
        error = claims_member(name, value, rights, topics);

        if (error) {
            return error;
        }
    }

    return NULL;
}


static kmq_token_e
claims_rights(json_t *claims, kmq_token_t *token, const char **why)
{
    const char    *error;
    kmq_text_t    *topics;
    kmq_claims_t   rights;

    memset(&rights, 0, sizeof(kmq_claims_t));
    rights.kind = KMQ_WHO_TOKEN;

    if (!claims_text(json_object_get(claims, "sub"), &rights.name)
        || rights.name.len > KMQ_RIGHTS_NAME_MAX)
    {
        *why = "\"sub\" is no text of at most 255 bytes";
        return KMQ_TOKEN_WRONG;
    }

    topics = malloc(2 * KMQ_RIGHTS_TOPICS_MAX * sizeof(kmq_text_t));

    if (topics == NULL) {
        *why = "there is no memory";
        return KMQ_TOKEN_FAILED;
    }

    error = claims_members(json_object_get(claims, "kapokmq"), &rights,
                           topics);

    if (error == NULL) {
        token->rights = kmq_rights_make(&rights);
    }

    free(topics);

    if (error) {
        *why = error;
        return KMQ_TOKEN_WRONG;
    }

    if (token->rights == NULL) {
        *why = "there is no memory";
        return KMQ_TOKEN_FAILED;
    }

    return KMQ_TOKEN_GOOD;
}


kmq_token_e
kmq_token_claims(const kmq_tokens_t *tokens, json_t *claims, uint64_t now,
    kmq_token_t *token, const char **why)
{
    kmq_token_e  rc;
    const char  *error;

    rc = claims_times(tokens, claims, now, token, why);

    if (rc != KMQ_TOKEN_GOOD) {
        return rc;
    }

    error = claims_issuer(tokens, claims);

    if (error == NULL) {
        error = claims_audience(tokens, claims);
    }

    if (error) {
        *why = error;
        return KMQ_TOKEN_WRONG;
    }

    return claims_rights(claims, token, why);
}
