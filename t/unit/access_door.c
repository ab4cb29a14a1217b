/* What a client gave, before and after reloads: keys, tokens, wrong ones. */

#include "../../src/access/kmq_access.h"
#include "access_sign.h"
#include "tap.h"


#define NOW     UINT64_C(1700000000)
#define SECRET  "a secret of thirty-two bytes ...."
#define OTHER   "another secret of the same length"


static kmq_gate_t        gate;
static kmq_tokens_t      old, new;
static kmq_access_t       access;
static kmq_access_time_t  now = { NOW, 5000 };
static kmq_tries_from_t  from;
static uint32_t          wait_ms;
static const char       *why;


/* A set of keys, each of which is a letter; capital ones may do everything. */
static kmq_keys_t *
set_of(const char *letters, const kmq_tokens_t *tokens)
{
    size_t           n, size;
    kmq_text_t       topic = { "t", 1 };
    kmq_keys_t      *set;
    kmq_claims_t     claims;
    kmq_rights_t    *all, *some;
    kmq_keys_one_t   keys[32];

    memset(&claims, 0, sizeof(claims));
    claims.kind = KMQ_WHO_KEY;
    claims.consume = &topic;
    claims.nconsume = 1;
    all = kmq_rights_all();
    some = kmq_rights_make(&claims);

    for (n = 0; letters[n]; n++) {
        kmq_digest(&keys[n].digest, &letters[n], 1);
        keys[n].rights = letters[n] < 'a' ? all : some;
    }

    set = kmq_keys_make(keys, n, tokens->settings, tokens->nsettings, &size);
    free(all);
    free(some);

    return set;
}


static void
reload(const char *letters, const kmq_tokens_t *tokens)
{
    static kmq_valid_t  *shared;

    uint64_t     number;
    kmq_keys_t  *set;

    if (shared == NULL) {
        shared = malloc(kmq_valid_size());
        kmq_valid_init(shared);
    }

    free((void *) gate.keys);
    gate.keys = NULL;

    if (letters == NULL) {
        free(shared);
        shared = NULL;
        return;
    }

    set = set_of(letters, tokens);
    kmq_valid_write(shared, set, now.wall);
    gate.keys = kmq_valid_read(shared, &number);
    free(set);
}


static kmq_access_e
ask(const char *text)
{
    free(access.rights);
    memset(&access, 0, sizeof(access));
    why = "";

    return kmq_access(&gate, &from, text, strlen(text), &now, &access, &wait_ms,
                     &why);
}


static char *
make_token(const char *secret, const char *claims)
{
    char  *token;

    token = sign_begin("{\"alg\":\"HS256\"}", 15, claims, strlen(claims));
    sign_secret(token, 256, secret, strlen(secret));

    return token;
}


static void
make_tokens(kmq_tokens_t *tokens, const char *secret)
{
    tokens->algorithms = 1u << KMQ_TOKEN_HS256;
    tokens->nsecrets = 1;
    tokens->secret[0].len = strlen(secret);
    memcpy(tokens->secret[0].bytes, secret, strlen(secret));
    kmq_tokens_seal(tokens);
}


static void
test_keys(void)
{
    kmq_text_t  topic = { "t", 1 }, other = { "x", 1 }, id = { "i", 1 };

    reload("Sa", &old);

    is_int(ask("S"), KMQ_ACCESS_GOOD, "the secret key");
    is_int(kmq_may_consume(access.rights, other, id), 1, "does everything");
    is_int(ask("a"), KMQ_ACCESS_GOOD, "a key");
    is_int(kmq_may_consume(access.rights, topic, id), 1, "what it may");
    is_int(kmq_may_consume(access.rights, other, id), 0, "and not more");
    is_int((long long) access.expires, 0, "for ever");

    is_int(kmq_access_again(&access, gate.keys), 1, "it is still valid");

    is_int(ask("b"), KMQ_ACCESS_WRONG, "a wrong one");
    is_int(ask(""), KMQ_ACCESS_WRONG, "an empty one");
}


static void
test_reload(void)
{
    kmq_text_t   other = { "x", 1 }, id = { "i", 1 };
    kmq_keys_t  *more;

    reload("Sa", &old);
    ask("a");
    more = set_of("Sab", &old);
    is_int(kmq_access_again(&access, more), 1, "another key beside it");
    free(more);

    reload("S", &old);
    is_int(kmq_access_again(&access, gate.keys), 0, "it was removed");
    is_int(ask("a"), KMQ_ACCESS_WRONG, "and is wrong now");

    reload("A", &old);
    ask("A");
    is_int(kmq_may_consume(access.rights, other, id), 1, "all rights");
    is_int(kmq_access_again(&access, gate.keys), 1, "and again");
}


/* A key whose rights a reload has changed. */
static void
test_rights(void)
{
    size_t           size;
    kmq_text_t       topic = { "t", 1 }, id = { "i", 1 };
    kmq_keys_t      *less;
    kmq_claims_t     claims;
    kmq_rights_t    *none;
    kmq_keys_one_t   key;

    reload("a", &old);
    ask("a");
    is_int(kmq_may_consume(access.rights, topic, id), 1, "before");

    memset(&claims, 0, sizeof(claims));
    claims.kind = KMQ_WHO_KEY;
    none = kmq_rights_make(&claims);
    kmq_digest(&key.digest, "a", 1);
    key.rights = none;
    less = kmq_keys_make(&key, 1, NULL, 0, &size);

    is_int(kmq_access_again(&access, less), 1, "the key is valid");
    is_int(kmq_may_consume(access.rights, topic, id), 0, "its right is gone");

    free(none);
    free(less);
}


static void
test_tries(void)
{
    char      text[16];
    unsigned  i, wrong;

    reload("Sa", &old);
    reload("S", &old);
    kmq_tries_init(gate.tries);
    wrong = 0;

    for (i = 0; i < 20; i++) {
        snprintf(text, sizeof(text), "wrong %u", i);
        wrong += ask(text) == KMQ_ACCESS_WRONG;
    }

    is_int(wrong, 20, "20 wrong ones");
    is_int(ask("wrong 20"), KMQ_ACCESS_LATER, "are all");
    is_int(wait_ms, 60000, "for a minute");
    is_int(ask("wrong 7"), KMQ_ACCESS_WRONG, "the same again does not count");
    is_int(ask("a"), KMQ_ACCESS_WRONG, "nor one that was removed");
    is_int(ask("S"), KMQ_ACCESS_GOOD, "a right one is served");

    now.wall += KMQ_REMOVED_TIME;
    is_int(ask("a"), KMQ_ACCESS_LATER, "a day later it is like any other");
    now.wall = NOW;

    gate.limit = 0;
    is_int(ask("wrong 21"), KMQ_ACCESS_WRONG, "without a limit");
    gate.limit = KMQ_TRIES_LIMIT;
}


/* Who renews has a token: that something is a key is not told. */
static void
test_tokens_only(void)
{
    char  *good;

    reload("S", &old);
    kmq_tries_init(gate.tries);
    good = make_token(SECRET, "{\"exp\":1700000060}");
    gate.tokens_only = 1;

    is_int(ask(good), KMQ_ACCESS_GOOD, "a token alone");
    is_int(ask("S"), KMQ_ACCESS_WRONG, "a key is wrong");
    gate.limit = 1;
    is_int(ask("x"), KMQ_ACCESS_LATER, "and counts");

    gate.limit = KMQ_TRIES_LIMIT;
    gate.tokens_only = 0;
    free(good);
}


static void
test_tokens(void)
{
    char      *good, *expired, *text;
    unsigned   i, n;

    reload("S", &old);
    kmq_tries_init(gate.tries);
    good = make_token(SECRET, "{\"exp\":1700000060,\"sub\":\"anna\"}");
    expired = make_token(SECRET, "{\"exp\":1700000000}");

    is_int(ask(good), KMQ_ACCESS_GOOD, "a token");
    is_int((long long) access.expires, NOW + 60, "until it expires");
    is_int(kmq_used_last(gate.used, &old.settings[0]), NOW,
           "its settings were used now");
    is_int(kmq_access_again(&access, gate.keys), 1, "it is still valid");
    is_int(ask(expired), KMQ_ACCESS_EXPIRED, "one that has expired");

    for (i = 0, n = 0; i < 30; i++) {
        char  claims[64];

        snprintf(claims, sizeof(claims), "{\"exp\":%u}", 1600000000 + i);
        text = make_token(SECRET, claims);
        n += ask(text) == KMQ_ACCESS_EXPIRED;
        free(text);
    }

    is_int(n, 30, "30 of them");
    is_int(ask("wrong"), KMQ_ACCESS_WRONG, "do not count");

    for (i = 0, n = 0; i < 30; i++) {
        char  claims[64];

        snprintf(claims, sizeof(claims), "{\"exp\":%u}", 1800000000 + i);
        text = make_token(OTHER, claims);
        n += ask(text) == KMQ_ACCESS_WRONG;
        free(text);
    }

    is_int(n, 19, "forged ones do");
    is_int(ask(good), KMQ_ACCESS_GOOD, "and hinder nobody");

    free(good);
    free(expired);
}


/* Settings that a reload has changed, seen by a worker of before. */
static void
test_settings(void)
{
    char          *good, *next, *forged;
    kmq_tokens_t   none;

    good = make_token(SECRET, "{\"exp\":1700000060}");
    next = make_token(OTHER, "{\"exp\":1700000060}");
    forged = make_token("not a secret", "{\"exp\":1700000060}");

    reload("S", &old);
    kmq_tries_init(gate.tries);
    is_int(ask(good), KMQ_ACCESS_GOOD, "before");
    is_int(ask(next), KMQ_ACCESS_WRONG, "one of the next secret");

    reload("S", &new);
    is_int(ask(good), KMQ_ACCESS_ELSEWHERE, "a token of before");
    is_int(ask(next), KMQ_ACCESS_ELSEWHERE, "one that is good elsewhere");
    is_int(ask(forged), KMQ_ACCESS_ELSEWHERE, "what nobody can tell here");
    is_int(ask("S"), KMQ_ACCESS_GOOD, "a key is known everywhere");

    gate.tokens = &new;
    is_int(ask(next), KMQ_ACCESS_GOOD, "in a new worker");
    is_int(ask(good), KMQ_ACCESS_WRONG, "where the old ones are wrong");
    gate.tokens = &old;

    reload("S", &old);
    ask(good);
    reload("S", &new);
    is_int(kmq_access_again(&access, gate.keys), 0, "a connection of before");

    memset(&none, 0, sizeof(none));
    gate.tokens = &none;
    reload("S", &none);
    is_int(ask(good), KMQ_ACCESS_WRONG, "without tokens");
    gate.tokens = &old;

    free(good);
    free(next);
    free(forged);
}


int
main(void)
{
    static const unsigned char  address[4] = { 10, 0, 0, 1 };

    make_tokens(&old, SECRET);
    make_tokens(&new, OTHER);
    kmq_tries_from(&from, address, 4);

    gate.tokens = &old;
    gate.tries = malloc(kmq_tries_size());
    gate.used = malloc(kmq_used_size());
    kmq_used_init(gate.used);
    gate.limit = KMQ_TRIES_LIMIT;
    kmq_tries_init(gate.tries);

    test_keys();
    test_reload();
    test_rights();
    test_tries();
    test_tokens_only();
    test_tokens();
    test_settings();

    reload(NULL, NULL);
    free(access.rights);
    free(gate.tries);
    free(gate.used);
    kmq_tokens_free(&old);
    kmq_tokens_free(&new);

    return done_testing();
}
