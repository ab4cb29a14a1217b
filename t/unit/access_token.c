/*
 * Tokens: what is good, and the known attacks, each of which is built here and
 * refused.
 */

#include <openssl/err.h>

#include "../../src/access/kmq_token.h"
#include "../../src/protocol/kmq_base64.h"
#include "access_sign.h"
#include "tap.h"


#define NOW     UINT64_C(1700000000)
#define SECRET  "a secret of thirty-two bytes ...."
#define OTHER   "another secret of the same length"

#define HS256   "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define GOOD    "{\"exp\":1700000060,\"sub\":\"anna\"," \
                "\"kapokmq\":{\"consume\":[\"news.{sub}\"]}}"


static kmq_tokens_t  hs, rs, es;
static EVP_PKEY     *rsa, *ec, *stranger;
static const char   *why;


/* ---------------------------------------------------------------- settings */

static void
add_secret(kmq_tokens_t *tokens, const char *secret)
{
    kmq_token_secret_t  *s;

    s = &tokens->secret[tokens->nsecrets++];
    s->len = strlen(secret);
    memcpy(s->bytes, secret, s->len);
}


static void
set_text(kmq_token_secret_t *to, const char *text)
{
    to->len = strlen(text);
    memcpy(to->bytes, text, to->len);
}


static const char *
take_key(kmq_tokens_t *tokens, EVP_PKEY *key)
{
    char        *pem;
    size_t       len;
    const char  *error;

    pem = sign_public(key, &len);
    error = kmq_tokens_public_key(tokens, pem, len);
    free(pem);

    return error;
}


static void
begin(void)
{
    rsa = EVP_RSA_gen(2048);
    ec = EVP_EC_gen("P-256");
    stranger = EVP_EC_gen("P-256");

    hs.algorithms = 1u << KMQ_TOKEN_HS256;
    add_secret(&hs, SECRET);

    rs.algorithms = 1u << KMQ_TOKEN_RS256 | 1u << (KMQ_TOKEN_RS256 + 2);
    es.algorithms = 1u << KMQ_TOKEN_ES256;

    if (kmq_tokens_seal(&hs) != 0
        || take_key(&rs, rsa) || kmq_tokens_seal(&rs) != 0
        || take_key(&es, ec) || kmq_tokens_seal(&es) != 0)
    {
        printf("Bail out! no settings\n");
        exit(1);
    }
}


/* ---------------------------------------------------------------- verifying */

/* What becomes of a token, which is freed. */
static kmq_token_e
verify_at(const kmq_tokens_t *tokens, char *text, uint64_t now)
{
    char         *exact;
    size_t        len;
    kmq_token_e   rc;
    kmq_token_t   token;

    memset(&token, 0, sizeof(token));
    why = "";
    len = strlen(text);

    /* nothing behind its end is read */
    exact = malloc(len ? len : 1);
    memcpy(exact, text, len);
    free(text);

    rc = kmq_token_verify(tokens, exact, len, now, &token, &why);

    if ((rc == KMQ_TOKEN_GOOD) != (token.rights != NULL)
        || ERR_peek_error() != 0)
    {
        printf("Bail out! rights without a good token, or an error is left\n");
        exit(1);
    }

    free(token.rights);
    free(exact);

    return rc;
}


static char *
hs_token(const char *header, const char *claims)
{
    char  *token;

    token = sign_begin(header, strlen(header), claims, strlen(claims));
    sign_secret(token, 256, SECRET, strlen(SECRET));

    return token;
}


/* text is why; NULL: libjwt may have seen it first. */
static void
claims_are(const char *claims, kmq_token_e rc, const char *text,
    const char *name)
{
    is_int(verify_at(&hs, hs_token(HS256, claims), NOW), rc, "%s", name);

    if (text && strcmp(why, text) != 0) {
        ok(0, "%s: \"%s\"", name, why);
    }
}


static void
header_is(const char *header, kmq_token_e rc, const char *name)
{
    is_int(verify_at(&hs, hs_token(header, GOOD), NOW), rc, "%s", name);
}


/* -------------------------------------------------------------------- good */

static void
test_good(void)
{
    char         *text;
    kmq_text_t    topic = { "news.anna", 9 }, other = { "news.otto", 9 };
    kmq_text_t    id = { "1", 1 };
    kmq_token_t   token;

    text = hs_token(HS256, GOOD);
    is_int(kmq_token_verify(&hs, text, strlen(text), NOW, &token, &why),
           KMQ_TOKEN_GOOD, "a good token");
    is_int(kmq_may_consume(token.rights, topic, id), 1, "may what it says");
    is_int(kmq_may_consume(token.rights, other, id), 0, "and not more");
    is_int(kmq_may_produce(token.rights, topic, id), 0, "nor something else");
    is_int((long long) token.expires, NOW + 60, "until it expires");
    is_int(kmq_rights_kind(token.rights), KMQ_WHO_TOKEN, "it is a token");
    ok(kmq_digest_same(&token.settings, &hs.settings[0]), "of these settings");
    free(token.rights);
    free(text);

    claims_are("{\"exp\":1700000060}", KMQ_TOKEN_GOOD, "",
               "without \"kapokmq\" it allows nothing, but is good");
    header_is("{\"alg\":\"HS256\"}", KMQ_TOKEN_GOOD, "without a type");
    header_is("{\"alg\":\"HS256\",\"typ\":\"jwt\"}", KMQ_TOKEN_GOOD,
              "a type in another case");
    header_is("{\"alg\":\"HS256\",\"kid\":\"../../etc/passwd\",\"jku\":"
              "\"http://evil/\",\"x5u\":\"http://evil/\",\"jwk\":{}}",
              KMQ_TOKEN_GOOD, "kid, jku, x5u, jwk are not looked at");
}


static void
test_keys(void)
{
    char  *text;

    text = sign_begin("{\"alg\":\"RS256\"}", 15, GOOD, strlen(GOOD));
    sign_key(text, 256, rsa);
    is_int(verify_at(&rs, text, NOW), KMQ_TOKEN_GOOD, "RS256");

    text = sign_begin("{\"alg\":\"RS512\"}", 15, GOOD, strlen(GOOD));
    sign_key(text, 512, rsa);
    is_int(verify_at(&rs, text, NOW), KMQ_TOKEN_GOOD, "RS512");

    text = sign_begin("{\"alg\":\"RS384\"}", 15, GOOD, strlen(GOOD));
    sign_key(text, 384, rsa);
    is_int(verify_at(&rs, text, NOW), KMQ_TOKEN_WRONG,
           "RS384, which is not configured");

    text = sign_begin("{\"alg\":\"ES256\"}", 15, GOOD, strlen(GOOD));
    sign_key(text, 256, ec);
    is_int(verify_at(&es, text, NOW), KMQ_TOKEN_GOOD, "ES256");

    text = sign_begin("{\"alg\":\"ES256\"}", 15, GOOD, strlen(GOOD));
    sign_key(text, 256, stranger);
    is_int(verify_at(&es, text, NOW), KMQ_TOKEN_WRONG, "a stranger's key");

    text = sign_begin("{\"alg\":\"RS256\"}", 15, GOOD, strlen(GOOD));
    sign_key(text, 512, rsa);
    is_int(verify_at(&rs, text, NOW), KMQ_TOKEN_WRONG,
           "the digest of another algorithm");
}


/* The other algorithms, with keys of their own. */
static void
test_algorithms(void)
{
    char          *text, header[32];
    unsigned       i, bits;
    EVP_PKEY      *key;
    kmq_tokens_t   tokens;

    static const char *const  curves[] = { "P-256", "P-384", "P-521" };

    for (i = 0; i < 3; i++) {
        bits = 256 + 128 * i;
        memset(&tokens, 0, sizeof(tokens));
        tokens.algorithms = 1u << (KMQ_TOKEN_ES256 + i);
        key = EVP_EC_gen(curves[i]);

        ok(take_key(&tokens, key) == NULL && kmq_tokens_seal(&tokens) == 0,
           "a key of %s", curves[i]);

        snprintf(header, sizeof(header), "{\"alg\":\"ES%u\"}", bits);
        text = sign_begin(header, strlen(header), GOOD, strlen(GOOD));
        sign_key(text, bits, key);
        is_int(verify_at(&tokens, text, NOW), KMQ_TOKEN_GOOD, "ES%u", bits);
        EVP_PKEY_free(key);
        kmq_tokens_free(&tokens);

        memset(&tokens, 0, sizeof(tokens));
        tokens.algorithms = 1u << (KMQ_TOKEN_HS256 + i);
        add_secret(&tokens, OTHER);
        add_secret(&tokens, SECRET);
        kmq_tokens_seal(&tokens);

        snprintf(header, sizeof(header), "{\"alg\":\"HS%u\"}", bits);
        text = sign_begin(header, strlen(header), GOOD, strlen(GOOD));
        sign_secret(text, bits, SECRET, strlen(SECRET));
        is_int(verify_at(&tokens, text, NOW), KMQ_TOKEN_GOOD,
               "HS%u, by the second of two secrets", bits);
        kmq_tokens_free(&tokens);
    }
}


/* Which of several settings it was. */
static void
test_settings(void)
{
    char          *text;
    kmq_token_t    token;
    kmq_tokens_t   tokens;

    memset(&tokens, 0, sizeof(tokens));
    tokens.algorithms = 1u << KMQ_TOKEN_HS256 | 1u << (KMQ_TOKEN_HS256 + 2);
    add_secret(&tokens, OTHER);
    add_secret(&tokens, SECRET);
    kmq_tokens_seal(&tokens);
    is_int((long long) tokens.nsettings, 4, "two algorithms, two secrets");

    text = sign_begin("{\"alg\":\"HS512\"}", 15, GOOD, strlen(GOOD));
    sign_secret(text, 512, SECRET, strlen(SECRET));
    is_int(kmq_token_verify(&tokens, text, strlen(text), NOW, &token, &why),
           KMQ_TOKEN_GOOD, "the last of both");
    ok(kmq_digest_same(&token.settings, &tokens.settings[3]),
       "is the last setting");
    free(token.rights);
    free(text);

    text = hs_token(HS256, GOOD);
    is_int(kmq_token_verify(&tokens, text, strlen(text), NOW, &token, &why),
           KMQ_TOKEN_GOOD, "the first algorithm, the second secret");
    ok(kmq_digest_same(&token.settings, &tokens.settings[1]),
       "is the second setting");
    ok(kmq_digest_same(&token.settings, &hs.settings[0]),
       "and the same as without the others: it outlives a change of them");
    free(token.rights);
    free(text);

    set_text(&tokens.audience, "kapokmq");
    kmq_tokens_seal(&tokens);
    ok(!kmq_digest_same(&hs.settings[0], &tokens.settings[1]),
       "another audience is another setting");
    kmq_tokens_free(&tokens);
}


/* ----------------------------------------------------------------- attacks */

static void
test_none(void)
{
    char        *text, header[64];
    unsigned     i;
    const char  *point;

    static const char *const  names[] = {
        "none", "None", "NONE", "nOnE", "none ", "\\u006eone", "", "hs256",
        "HS256 ", "HS384", "HS512", "RS256", "ES256", "PS256", "EdDSA"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", names[i]);

        header_is(header, KMQ_TOKEN_WRONG, header);

        /* and without a signature */
        text = sign_begin(header, strlen(header), GOOD, strlen(GOOD));
        is_int(verify_at(&hs, text, NOW), KMQ_TOKEN_NONE,
               "%s without a signature", header);

        text = sign_begin(header, strlen(header), GOOD, strlen(GOOD));
        point = strrchr(text, '.');
        text[point - text] = '\0';
        is_int(verify_at(&hs, text, NOW), KMQ_TOKEN_NONE,
               "%s in two parts", header);
    }

    header_is("{\"typ\":\"JWT\"}", KMQ_TOKEN_WRONG, "no algorithm");
    header_is("{\"alg\":null}", KMQ_TOKEN_WRONG, "null");
    header_is("{\"alg\":0}", KMQ_TOKEN_WRONG, "a number");
    header_is("{\"alg\":[\"HS256\"]}", KMQ_TOKEN_WRONG, "a list");
    header_is("{\"ALG\":\"HS256\"}", KMQ_TOKEN_WRONG, "in capitals");
    header_is("{\"alg\":\"HS256\",\"alg\":\"none\"}", KMQ_TOKEN_NONE, "twice");
    header_is("{\"alg\":\"none\",\"alg\":\"HS256\"}", KMQ_TOKEN_NONE,
              "twice, the other way");
    header_is("{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}", KMQ_TOKEN_NONE,
              "twice, one of them escaped");
    header_is("{\"alg\":\"HS256\\u0000\"}", KMQ_TOKEN_NONE, "a zero in it");
}


/* The public key is public: it must never be a secret. */
static void
test_confusion(void)
{
    char    *text, *pem;
    size_t   len;

    pem = sign_public(rsa, &len);

    text = sign_begin(HS256, strlen(HS256), GOOD, strlen(GOOD));
    sign_secret(text, 256, pem, len);
    is_int(verify_at(&rs, text, NOW), KMQ_TOKEN_WRONG,
           "HS256 with the RSA public key as its secret");

    text = sign_begin("{\"alg\":\"RS256\"}", 15, GOOD, strlen(GOOD));
    sign_secret(text, 256, pem, len);
    is_int(verify_at(&rs, text, NOW), KMQ_TOKEN_WRONG,
           "the same that says RS256");
    free(pem);

    pem = sign_public(ec, &len);
    text = sign_begin(HS256, strlen(HS256), GOOD, strlen(GOOD));
    sign_secret(text, 256, pem, len);
    is_int(verify_at(&es, text, NOW), KMQ_TOKEN_WRONG,
           "HS256 with the EC public key as its secret");
    free(pem);

    text = sign_begin("{\"alg\":\"ES256\"}", 15, GOOD, strlen(GOOD));
    sign_key(text, 256, ec);
    is_int(verify_at(&rs, text, NOW), KMQ_TOKEN_WRONG, "ES256 where RS is");

    text = sign_begin("{\"alg\":\"RS256\"}", 15, GOOD, strlen(GOOD));
    sign_key(text, 256, rsa);
    is_int(verify_at(&hs, text, NOW), KMQ_TOKEN_WRONG, "RS256 where HS is");

    text = sign_begin(HS256, strlen(HS256), GOOD, strlen(GOOD));
    sign_secret(text, 256, "", 0);
    is_int(verify_at(&hs, text, NOW), KMQ_TOKEN_WRONG, "an empty secret");

    text = sign_begin(HS256, strlen(HS256), GOOD, strlen(GOOD));
    sign_secret(text, 256, OTHER, strlen(OTHER));
    is_int(verify_at(&hs, text, NOW), KMQ_TOKEN_WRONG, "another secret");
}


/* "Psychic" signatures: numbers that fit any message where nobody looks. */
static void
test_psychic(void)
{
    char           *text;
    unsigned        i;
    unsigned char   raw[72];

    static const char *const  names[] = {
        "zeroes", "ones", "too short", "too long", "the order of the curve"
    };

    static const size_t  lens[] = { 64, 64, 63, 72, 64 };

    static const unsigned char  order[32] = {
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
        0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51
    };

    for (i = 0; i < 5; i++) {
        memset(raw, 0, sizeof(raw));

        if (i == 1) {
            raw[31] = 1;
            raw[63] = 1;

        } else if (i == 4) {
            memcpy(raw, order, 32);
            memcpy(raw + 32, order, 32);
        }

        text = sign_begin("{\"alg\":\"ES256\"}", 15, GOOD, strlen(GOOD));
        sign_base64(text + strlen(text), raw, lens[i]);
        is_int(verify_at(&es, text, NOW), KMQ_TOKEN_WRONG, "%s", names[i]);
    }

    text = sign_begin("{\"alg\":\"RS256\"}", 15, GOOD, strlen(GOOD));
    sign_base64(text + strlen(text), raw, 1);
    is_int(verify_at(&rs, text, NOW), KMQ_TOKEN_WRONG, "RS256 of one byte");
}


/* Each bit of a good one: none of them may be another. */
static void
test_bits(void)
{
    char      *text, *copy;
    size_t     i, len;
    unsigned   bit, good;

    text = hs_token(HS256, GOOD);
    len = strlen(text);
    good = 0;

    for (i = 0; i < len; i++) {
        for (bit = 0; bit < 8; bit++) {
            copy = strdup(text);
            copy[i] = (char) (copy[i] ^ 1 << bit);
            good += verify_at(&hs, copy, NOW) == KMQ_TOKEN_GOOD;
        }
    }

    is_int(good, 0, "%zu bytes, no bit of which may be another", len);

    good = 0;

    for (i = 0; i < len; i++) {
        copy = strdup(text);
        copy[i] = '\0';
        good += verify_at(&hs, copy, NOW) == KMQ_TOKEN_GOOD;
    }

    is_int(good, 0, "nor may any of its ends be missing");
    free(text);
}


static char *
with(const char *before, const char *behind)
{
    char  *good, *text;

    good = hs_token(HS256, GOOD);
    text = malloc(SIGN_ROOM);
    snprintf(text, SIGN_ROOM, "%s%s%s", before, good, behind);
    free(good);

    return text;
}


static void
test_form(void)
{
    char  *text;

    is_int(verify_at(&hs, strdup(""), NOW), KMQ_TOKEN_NONE, "nothing");
    is_int(verify_at(&hs, strdup("a key"), NOW), KMQ_TOKEN_NONE, "a key");
    is_int(verify_at(&hs, strdup(".."), NOW), KMQ_TOKEN_NONE, "two points");
    is_int(verify_at(&hs, strdup("a.b.c"), NOW), KMQ_TOKEN_NONE, "letters");
    is_int(verify_at(&hs, with("", "."), NOW), KMQ_TOKEN_NONE, "a fourth part");
    is_int(verify_at(&hs, with("", ".e30"), NOW), KMQ_TOKEN_NONE,
           "one that is not empty");
    is_int(verify_at(&hs, with(".", ""), NOW), KMQ_TOKEN_NONE, "one before");
    is_int(verify_at(&hs, with("", "="), NOW), KMQ_TOKEN_WRONG, "padding");
    is_int(verify_at(&hs, with("", " "), NOW), KMQ_TOKEN_WRONG, "a blank");
    is_int(verify_at(&hs, with(" ", ""), NOW), KMQ_TOKEN_NONE,
           "one before it");
    is_int(verify_at(&hs, with("", "A"), NOW), KMQ_TOKEN_WRONG,
           "more of a signature");

    /* any five parts, as an encrypted token has */
    is_int(verify_at(&hs, strdup("e30.e30.e30.e30.e30"), NOW), KMQ_TOKEN_NONE,
           "five parts");

    /* valid for the signature, but not base64url */
    text = malloc(SIGN_ROOM);
    strcpy(text, "eyJhbGciOiJIUzI1NiJ9.e30+.");
    sign_secret(text, 256, SECRET, strlen(SECRET));
    is_int(verify_at(&hs, text, NOW), KMQ_TOKEN_WRONG, "another base64");

    text = malloc(SIGN_ROOM);
    strcpy(text, "eyJhbGciOiJIUzI1NiJ9.e31.");
    sign_secret(text, 256, SECRET, strlen(SECRET));
    is_int(verify_at(&hs, text, NOW), KMQ_TOKEN_WRONG,
           "bits at the end that stand for nothing");
}


static void
test_huge(void)
{
    char    *claims, *text;
    size_t   n;

    claims = malloc(SIGN_ROOM);

    n = (size_t) sprintf(claims, "{\"exp\":1700000060,\"x\":\"");
    memset(claims + n, 'x', 12000);
    strcpy(claims + n + 12000, "\"}");
    text = hs_token(HS256, claims);
    is_int(verify_at(&hs, text, NOW), KMQ_TOKEN_NONE, "a huge one");

    strcpy(claims + n + 5900, "\"}");
    text = hs_token(HS256, claims);
    ok(strlen(text) < KMQ_TOKEN_MAX, "%zu bytes", strlen(text));
    is_int(verify_at(&hs, text, NOW), KMQ_TOKEN_GOOD, "are not huge");

    n = (size_t) sprintf(claims, "{\"exp\":1700000060,\"x\":");
    memset(claims + n, '[', 2900);
    memset(claims + n + 2900, ']', 2900);
    strcpy(claims + n + 5800, "}");
    text = hs_token(HS256, claims);
    is_int(verify_at(&hs, text, NOW), KMQ_TOKEN_WRONG, "a deep one");

    free(claims);
}


static void
test_header(void)
{
    header_is("{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", KMQ_TOKEN_WRONG,
              "critical extensions");
    header_is("{\"alg\":\"HS256\",\"b64\":false,\"crit\":[\"b64\"]}",
              KMQ_TOKEN_WRONG, "claims without base64");
    header_is("{\"alg\":\"HS256\",\"zip\":\"DEF\"}", KMQ_TOKEN_WRONG,
              "compressed");
    header_is("{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", KMQ_TOKEN_WRONG,
              "another type");
    header_is("{\"alg\":\"HS256\",\"typ\":1}", KMQ_TOKEN_WRONG,
              "a type of a wrong type");
    header_is("[\"HS256\"]", KMQ_TOKEN_NONE, "a list");
    header_is("{\"alg\":\"HS256\"} ", KMQ_TOKEN_GOOD, "a blank behind it");
    header_is("{\"alg\":\"HS256\"}x", KMQ_TOKEN_NONE, "a letter behind it");
    header_is("{\"alg\":\"HS256\"", KMQ_TOKEN_NONE, "not closed");
}


/* ------------------------------------------------------------------ claims */

static void
test_times(void)
{
    static const char  missing[] = "\"exp\" is missing, or no number";
    static const char  expired[] = "it has expired";
    static const char  early[] = "it is not valid yet";

    claims_are("{\"exp\":1700000001}", KMQ_TOKEN_GOOD, "", "a second left");
    claims_are("{\"exp\":1700000000}", KMQ_TOKEN_EXPIRED, expired, "none left");
    claims_are("{\"exp\":1700000000.9}", KMQ_TOKEN_EXPIRED, expired,
               "a decimal is rounded down");
    claims_are("{\"exp\":1700000001.9}", KMQ_TOKEN_GOOD, "", "and is a number");
    claims_are("{\"exp\":1.7e9}", KMQ_TOKEN_EXPIRED, expired, "an exponent");
    claims_are("{\"exp\":1e300}", KMQ_TOKEN_GOOD, "", "for ever");
    claims_are("{\"exp\":9223372036854775807}", KMQ_TOKEN_GOOD, "",
               "the last number there is");
    claims_are("{\"exp\":-1}", KMQ_TOKEN_EXPIRED, expired, "long ago");
    claims_are("{\"exp\":-1e300}", KMQ_TOKEN_EXPIRED, expired, "longer ago");
    claims_are("{\"exp\":0}", KMQ_TOKEN_EXPIRED, expired, "zero");
    claims_are("{}", KMQ_TOKEN_WRONG, missing, "no exp");
    claims_are("{\"exp\":\"1700000060\"}", KMQ_TOKEN_WRONG, missing,
               "exp as a text");
    claims_are("{\"exp\":null}", KMQ_TOKEN_WRONG, missing, "exp null");
    claims_are("{\"exp\":true}", KMQ_TOKEN_WRONG, missing, "exp true");
    claims_are("{\"exp\":[1700000060]}", KMQ_TOKEN_WRONG, missing,
               "exp a list");
    claims_are("{\"Exp\":1700000060}", KMQ_TOKEN_WRONG, missing,
               "in another case");

    claims_are("{\"exp\":1700000060,\"nbf\":1700000000}", KMQ_TOKEN_GOOD, "",
               "from now on");
    claims_are("{\"exp\":1700000060,\"nbf\":1700000001}", KMQ_TOKEN_WRONG,
               early, "from the next second on");
    claims_are("{\"exp\":1700000060,\"nbf\":1700000000.1}", KMQ_TOKEN_WRONG,
               early, "a decimal is rounded up");
    claims_are("{\"exp\":1700000060,\"nbf\":\"0\"}", KMQ_TOKEN_WRONG,
               "\"nbf\" is no number", "nbf as a text");
    claims_are("{\"exp\":1700000060,\"iat\":1800000000}", KMQ_TOKEN_GOOD, "",
               "iat does not count");
    claims_are("{\"exp\":1700000060,\"iat\":\"x\"}", KMQ_TOKEN_WRONG,
               "\"iat\" is no number", "but is a number");

    hs.leeway = 10;
    kmq_tokens_seal(&hs);
    claims_are("{\"exp\":1699999991}", KMQ_TOKEN_GOOD, "", "within the leeway");
    claims_are("{\"exp\":1699999990}", KMQ_TOKEN_EXPIRED, expired,
               "at its end");
    claims_are("{\"exp\":1700000060,\"nbf\":1700000010}", KMQ_TOKEN_GOOD, "",
               "a clock that is late");
    claims_are("{\"exp\":1700000060,\"nbf\":1700000011}", KMQ_TOKEN_WRONG,
               early, "too late");
    hs.leeway = 0;
    kmq_tokens_seal(&hs);
}


static void
test_twice(void)
{
    static const char  twice[]
        = "its claims are no JSON object, or have a name twice";

    claims_are("{\"exp\":1,\"exp\":1700000060}", KMQ_TOKEN_WRONG, twice,
               "exp twice");
    claims_are("{\"exp\":1700000060,\"kapokmq\":{\"id\":\"a\",\"id\":\"b\"}}",
               KMQ_TOKEN_WRONG, twice, "id twice");
    claims_are("{\"exp\":1700000060,\"sub\":\"a\",\"s\\u0075b\":\"b\"}",
               KMQ_TOKEN_WRONG, twice, "sub twice, once escaped");
    claims_are("[]", KMQ_TOKEN_WRONG, twice, "a list");
    claims_are("1", KMQ_TOKEN_WRONG, NULL, "a number");
    claims_are("{\"exp\":1700000060}{}", KMQ_TOKEN_WRONG, NULL, "two");
    claims_are("{\"exp\":1700000060,\"sub\":\"a\\u0000b\"}", KMQ_TOKEN_WRONG,
               NULL, "a zero in a text");
    claims_are("{\"exp\":1700000060,\"sub\":\"\xff\"}", KMQ_TOKEN_WRONG,
               NULL, "a text that is not UTF-8");
    claims_are("{\"exp\":123456789012345678901234567890}", KMQ_TOKEN_WRONG,
               NULL, "a number beyond all bounds");
    claims_are("{\"exp\":1e999}", KMQ_TOKEN_WRONG, NULL, "a larger one");
    claims_are("{\"exp\":NaN}", KMQ_TOKEN_WRONG, NULL, "none at all");
}


static void
test_whom(void)
{
    static const char  iss[] = "\"iss\" is not mq.tokens.issuer";
    static const char  aud[] = "\"aud\" is not mq.tokens.audience";
    static const char  list[]
        = "\"aud\" is a list of something else than texts";

    claims_are("{\"exp\":1700000060,\"iss\":\"x\",\"aud\":[\"y\"]}",
               KMQ_TOKEN_GOOD, "", "where nothing is wanted, anything goes");
    claims_are("{\"exp\":1700000060,\"iss\":1}", KMQ_TOKEN_WRONG,
               "\"iss\" is no text", "but not a number");
    claims_are("{\"exp\":1700000060,\"aud\":1}", KMQ_TOKEN_WRONG,
               "\"aud\" is neither a text nor a list", "here neither");
    claims_are("{\"exp\":1700000060,\"aud\":[1]}", KMQ_TOKEN_WRONG, list,
               "nor in a list");

    set_text(&hs.issuer, "app");
    set_text(&hs.audience, "mq");
    kmq_tokens_seal(&hs);

    claims_are("{\"exp\":1700000060,\"iss\":\"app\",\"aud\":\"mq\"}",
               KMQ_TOKEN_GOOD, "", "both are right");
    claims_are("{\"exp\":1700000060,\"iss\":\"app\",\"aud\":[\"x\",\"mq\"]}",
               KMQ_TOKEN_GOOD, "", "one of a list");
    claims_are("{\"exp\":1700000060,\"aud\":\"mq\"}", KMQ_TOKEN_WRONG, iss,
               "no issuer");
    claims_are("{\"exp\":1700000060,\"iss\":\"ap\",\"aud\":\"mq\"}",
               KMQ_TOKEN_WRONG, iss, "another issuer");
    claims_are("{\"exp\":1700000060,\"iss\":\"App\",\"aud\":\"mq\"}",
               KMQ_TOKEN_WRONG, iss, "in another case");
    claims_are("{\"exp\":1700000060,\"iss\":[\"app\"],\"aud\":\"mq\"}",
               KMQ_TOKEN_WRONG, "\"iss\" is no text", "a list of issuers");
    claims_are("{\"exp\":1700000060,\"iss\":\"app\"}", KMQ_TOKEN_WRONG, aud,
               "no audience");
    claims_are("{\"exp\":1700000060,\"iss\":\"app\",\"aud\":[]}",
               KMQ_TOKEN_WRONG, aud, "an empty list");
    claims_are("{\"exp\":1700000060,\"iss\":\"app\",\"aud\":\"mqx\"}",
               KMQ_TOKEN_WRONG, aud, "another audience");
    claims_are("{\"exp\":1700000060,\"iss\":\"app\",\"aud\":[\"mq\",null]}",
               KMQ_TOKEN_WRONG, list, "null in the list");

    hs.issuer.len = 0;
    hs.audience.len = 0;
    kmq_tokens_seal(&hs);
}


static void
member_is(const char *member, kmq_token_e rc, const char *text,
    const char *name)
{
    char  claims[512];

    snprintf(claims, sizeof(claims), "{\"exp\":1700000060,\"kapokmq\":%s}",
             member);
    claims_are(claims, rc, text, name);
}


static void
test_members(void)
{
    static const char  list[]
        = "\"produce\" or \"consume\" is no list of at most 1000 topics";
    static const char  console[]
        = "\"console\" is not \"none\", \"read\" or \"write\"";

    member_is("{}", KMQ_TOKEN_GOOD, "", "no rights");
    member_is("null", KMQ_TOKEN_WRONG, "\"kapokmq\" is no object", "null");
    member_is("\"x\"", KMQ_TOKEN_WRONG, "\"kapokmq\" is no object", "a text");
    member_is("{\"produce\":\"x\"}", KMQ_TOKEN_WRONG, list, "no list");
    member_is("{\"consume\":{}}", KMQ_TOKEN_WRONG, list, "an object");
    member_is("{\"consume\":[1]}", KMQ_TOKEN_WRONG, "a topic is no text",
              "a number as topic");
    member_is("{\"consume\":[null]}", KMQ_TOKEN_WRONG, "a topic is no text",
              "null as topic");
    member_is("{\"console\":\"write\"}", KMQ_TOKEN_GOOD, "", "write");
    member_is("{\"console\":\"Write\"}", KMQ_TOKEN_WRONG, console, "Write");
    member_is("{\"console\":true}", KMQ_TOKEN_WRONG, console, "true");
    member_is("{\"console\":2}", KMQ_TOKEN_WRONG, console, "2");
    member_is("{\"metrics\":true}", KMQ_TOKEN_GOOD, "", "metrics");
    member_is("{\"metrics\":1}", KMQ_TOKEN_WRONG,
              "\"metrics\" is not true or false", "metrics as a number");
    member_is("{\"id\":\"x\"}", KMQ_TOKEN_GOOD, "", "an id");
    member_is("{\"id\":null}", KMQ_TOKEN_WRONG, "\"id\" is no text", "null");
    member_is("{\"id\":7}", KMQ_TOKEN_WRONG, "\"id\" is no text", "a number");
    member_is("{\"Id\":\"x\"}", KMQ_TOKEN_WRONG,
              "\"kapokmq\" has a member that is not known", "a misspelt one");
    claims_are("{\"exp\":1700000060,\"sub\":7}", KMQ_TOKEN_WRONG,
               "\"sub\" is no text of at most 255 bytes", "sub as a number");
    claims_are("{\"exp\":1700000060,\"sub\":null}", KMQ_TOKEN_WRONG,
               "\"sub\" is no text of at most 255 bytes", "sub as null");
}


/* Rights that a token with these claims has for a topic and an id. */
static int
token_may(const char *sub, const char *member, const char *topic,
    const char *id)
{
    int           may;
    char         *text, claims[512];
    kmq_text_t    t = { topic, strlen(topic) }, i = { id, strlen(id) };
    kmq_token_t   token;

    snprintf(claims, sizeof(claims), "{\"exp\":1700000060,%s\"kapokmq\":%s}",
             sub, member);
    text = hs_token(HS256, claims);

    if (kmq_token_verify(&hs, text, strlen(text), NOW, &token, &why)
        != KMQ_TOKEN_GOOD)
    {
        diag("%s", why);
        free(text);
        return -1;
    }

    may = kmq_may_consume(token.rights, t, i);
    free(token.rights);
    free(text);

    return may;
}


static void
test_templates(void)
{
    is_int(token_may("\"sub\":\"*\",", "{\"consume\":[\"{sub}\"]}", "x", "1"),
           0, "a subject \"*\"");
    is_int(token_may("", "{\"consume\":[\"{sub}\",\"a.{sub}\"]}", "a.", "1"),
           0, "no subject");
    is_int(token_may("\"sub\":\"\",", "{\"consume\":[\"{sub}*\"]}", "x", "1"),
           0, "an empty one");
    is_int(token_may("\"sub\":\"a\",", "{\"consume\":[\"in.{id}\"]}", "in.1",
                     "1"), 0, "{id} without the claim");
    is_int(token_may("\"sub\":\"a\",", "{\"id\":\"{sub}\",\"consume\":"
                     "[\"in.{id}\"]}", "in.a", "a"), 1, "{id} with it");
    is_int(token_may("\"sub\":\"a\",", "{\"id\":\"{sub}\",\"consume\":"
                     "[\"in.{id}\"]}", "in.b", "b"), 0, "another one's");
    is_int(token_may("\"sub\":\"a\",", "{\"id\":\"{sub}\",\"consume\":"
                     "[\"*\"]}", "x", "b"), 0, "another id");
    is_int(token_may("", "{\"id\":\"{sub}\",\"consume\":[\"*\"]}", "x", ""),
           0, "an id without a subject");
    is_int(token_may("\"sub\":\"\\u002a\",", "{\"consume\":[\"n.{sub}\"]}",
                     "n.x", "1"), 0, "a \"*\" that is escaped");
    is_int(token_may("", "{\"consume\":[\"*\"],\"produce\":[]}", "x", "1"), 1,
           "every topic");
}


/* ------------------------------------------------------------------ memory */

/* Whether such a token is good at that time; how is told by its rights. */
static kmq_token_e
once(kmq_token_memory_t *memory, const kmq_tokens_t *tokens, const char *text,
    uint64_t now, uint64_t *expires)
{
    kmq_token_e  rc;
    kmq_token_t  token;

    rc = kmq_token_verify_once(memory, tokens, text, strlen(text), now,
                               &token, &why);

    if (rc == KMQ_TOKEN_GOOD) {
        *expires = token.expires;
        free(token.rights);
    }

    return rc;
}


static void
test_memory(void)
{
    char                *text, *late, *bad;
    uint64_t             expires;
    kmq_tokens_t         none;
    kmq_token_memory_t  *memory;

    /* what is known needs no settings any more: so it is told from the rest */
    none = hs;
    none.nsecrets = 0;

    memory = kmq_token_memory();
    text = hs_token(HS256, "{\"exp\":1700001000}");
    late = hs_token(HS256, "{\"exp\":1700000030,\"nbf\":1700000000}");
    bad = strdup(text);
    bad[strlen(bad) - 2] ^= 1;

    is_int(once(memory, &none, text, NOW, &expires), KMQ_TOKEN_WRONG,
           "nothing is known at first, and no wrong one is kept");
    is_int(once(memory, &hs, text, NOW, &expires), KMQ_TOKEN_GOOD,
           "it is verified");
    is_int(once(memory, &none, text, NOW + 59, &expires), KMQ_TOKEN_GOOD,
           "and known for a minute");
    is_int((long long) expires, NOW + 1000, "with all it says");
    is_int(once(memory, &none, bad, NOW, &expires), KMQ_TOKEN_WRONG,
           "another signature is another token");
    is_int(once(memory, &none, text, NOW + 60, &expires), KMQ_TOKEN_WRONG,
           "not for longer");
    is_int(once(memory, &hs, text, NOW + 60, &expires), KMQ_TOKEN_GOOD,
           "then it is verified again");
    is_int(once(memory, &none, text, NOW + 1, &expires), KMQ_TOKEN_WRONG,
           "a clock that goes back is not trusted");

    is_int(once(memory, &hs, late, NOW, &expires), KMQ_TOKEN_GOOD,
           "one that expires sooner");
    is_int(once(memory, &none, late, NOW + 29, &expires), KMQ_TOKEN_GOOD,
           "is known until then");
    is_int(once(memory, &hs, late, NOW + 30, &expires), KMQ_TOKEN_EXPIRED,
           "and has expired in time");
    is_int(once(NULL, &hs, text, NOW, &expires), KMQ_TOKEN_GOOD,
           "without a memory it is verified");

    free(text);
    free(late);
    free(bad);
    kmq_token_memory_free(memory);
    kmq_token_memory_free(NULL);
}


/* ------------------------------------------------------------ public keys */

static void
key_is(uint32_t algorithms, EVP_PKEY *key, const char *error,
    const char *name)
{
    const char    *got;
    kmq_tokens_t   tokens;

    memset(&tokens, 0, sizeof(tokens));
    tokens.algorithms = algorithms;

    got = take_key(&tokens, key);
    ok(error ? got && strstr(got, error) != NULL : got == NULL, "%s: %s",
       name, got ? got : "good");
    ok((got == NULL) == (tokens.key != NULL), "%s: kept or not", name);
    kmq_tokens_free(&tokens);
}


static void
text_is(const char *pem, const char *error, const char *name)
{
    const char  *got;

    got = kmq_tokens_public_key(&rs, pem, strlen(pem));
    ok(got && strstr(got, error) && ERR_peek_error() == 0, "%s: %s", name,
       got ? got : "good");
}


static void
test_public_keys(void)
{
    BIO       *bio;
    char      *bytes, copy[4096];
    long       len;
    EVP_PKEY  *key;

    key = EVP_RSA_gen(1024);
    key_is(1u << KMQ_TOKEN_RS256, key, "less than 2048", "a small RSA key");
    EVP_PKEY_free(key);

    key = EVP_EC_gen("secp256k1");
    key_is(1u << KMQ_TOKEN_ES256, key, "not of the curve", "another curve");
    EVP_PKEY_free(key);

    key = EVP_EC_gen("P-384");
    key_is(1u << KMQ_TOKEN_ES256, key, "not of the curve", "a larger curve");
    EVP_PKEY_free(key);

    key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    key_is(1u << KMQ_TOKEN_ES256, key, "neither an RSA", "another kind");
    EVP_PKEY_free(key);

    key_is(3u << KMQ_TOKEN_ES256, ec, "one algorithm", "two curves");
    key_is(1u << KMQ_TOKEN_HS256 | 1u << KMQ_TOKEN_RS256, rsa, "not all",
           "a secret's algorithm beside RSA");
    key_is(7u << KMQ_TOKEN_RS256, rsa, NULL, "all that RSA has");

    text_is("", "no public key", "nothing");
    text_is("hello", "no public key", "no PEM");
    text_is("-----BEGIN PUBLIC KEY-----\nProc-Type: 4,ENCRYPTED\n"
            "DEK-Info: AES-128-CBC,0123456789ABCDEF0123456789ABCDEF\n\nAAAA\n"
            "-----END PUBLIC KEY-----\n", "no public key",
            "one with a password, for which nobody is asked");
    text_is("-----BEGIN CERTIFICATE-----\n", "is a certificate",
            "a certificate");

    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, rsa, NULL, NULL, 0, NULL, NULL);
    len = BIO_get_mem_data(bio, &bytes);
    memcpy(copy, bytes, (size_t) len);
    copy[len] = '\0';
    BIO_free(bio);
    text_is(copy, "private key", "a private key");
}


/* ----------------------------------------------------------------- base64 */

static void
test_base64(void)
{
    char           text[512];
    size_t         len, i;
    unsigned       same;
    unsigned char  bytes[256], back[KMQ_BASE64_ROOM(512)];

    same = 0;

    for (i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char) (i * 167 + 13);
    }

    for (len = 0; len < sizeof(bytes); len++) {
        sign_base64(text, bytes, len);
        same += kmq_base64url_decode(back, text, strlen(text)) == (long) len
                && memcmp(back, bytes, len) == 0;
    }

    is_int(same, sizeof(bytes), "all lengths there and back");
    is_int(kmq_base64url_decode(back, "-_-_", 4), 3, "the two special ones");
    is_int(kmq_base64url_decode(back, "+/+/", 4), -1, "those of base64");
    is_int(kmq_base64url_decode(back, "AA==", 4), -1, "padding");
    is_int(kmq_base64url_decode(back, "A", 1), -1, "one character");
    is_int(kmq_base64url_decode(back, "AB", 2), -1, "bits too many, of four");
    is_int(kmq_base64url_decode(back, "AAB", 3), -1, "and of two");
    is_int(kmq_base64url_decode(back, "A A", 3), -1, "a blank");
    is_int(kmq_base64url_decode(back, "AA\0A", 4), -1, "a zero");
}


int
main(void)
{
    begin();

    test_good();
    test_keys();
    test_algorithms();
    test_settings();
    test_none();
    test_confusion();
    test_psychic();
    test_bits();
    test_form();
    test_huge();
    test_header();
    test_times();
    test_twice();
    test_whom();
    test_members();
    test_templates();
    test_memory();
    test_public_keys();
    test_base64();

    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(stranger);
    kmq_tokens_free(&hs);
    kmq_tokens_free(&rs);
    kmq_tokens_free(&es);

    return done_testing();
}
