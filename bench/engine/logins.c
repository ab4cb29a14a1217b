/*
 * How many logins a second a worker's core decides on: by a key, of few and
 * of hundreds, and by tokens of each kind, which are verified the first time
 * that a worker sees them and remembered for a minute.  The CPU's time alone
 * counts.
 *
 *     kmq-logins [SECONDS]
 */

#include <time.h>

#include "../../src/access/kmq_access.h"
#include "../../t/unit/access_sign.h"


#define NOW       UINT64_C(1700000000)
#define SECRET    "a secret of thirty-two bytes ...."
#define CLAIMS                                                                \
    "{\"exp\":%lu,\"sub\":\"user%u\",\"aud\":\"kapokmq\","                    \
    "\"kapokmq\":{\"consume\":[\"news\",\"inbox.{sub}\"]}}"
#define TOKENS    512
#define KEYS_MAX  300


typedef struct {
    const char  *name;
    unsigned     keys;
    int          algorithm;     /* -1: a key */
    int          remembered;
} login_t;

static const login_t  logins[] = {
    { "a key of 5", 5, -1, 0 },
    { "a key of 300", KEYS_MAX, -1, 0 },
    { "a wrong key", 5, -2, 0 },
    { "HS256", 5, KMQ_TOKEN_HS256, 0 },
    { "RS256, 2048 bits", 5, KMQ_TOKEN_RS256, 0 },
    { "ES256", 5, KMQ_TOKEN_ES256, 0 },
    { "ES256, remembered", 5, KMQ_TOKEN_ES256, 1 },
};

static kmq_tokens_t        tokens;
static kmq_gate_t          gate;
static kmq_tries_from_t    from;
static char               *text[TOKENS];


static double
cpu(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


static void
must(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "kmq-logins: %s\n", what);
        exit(1);
    }
}


/* ----------------------------------------------------------------- setting */

static EVP_PKEY *
token_key(int algorithm)
{
    size_t     len;
    char      *pem;
    EVP_PKEY  *key;

    memset(&tokens, 0, sizeof(tokens));
    tokens.algorithms = 1u << algorithm;

    if (algorithm < KMQ_TOKEN_RS256) {
        tokens.nsecrets = 1;
        tokens.secret[0].len = strlen(SECRET);
        memcpy(tokens.secret[0].bytes, SECRET, strlen(SECRET));
        return NULL;
    }

    key = algorithm < KMQ_TOKEN_ES256
          ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t) 2048)
          : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    pem = sign_public(key, &len);
    must(kmq_tokens_public_key(&tokens, pem, len) == NULL, "no public key");
    free(pem);

    return key;
}


static void
make_tokens(int algorithm)
{
    char       header[32], claims[256];
    unsigned   i;
    EVP_PKEY  *key;

    key = token_key(algorithm);
    must(kmq_tokens_seal(&tokens) == 0, "no settings");

    snprintf(header, sizeof(header), "{\"alg\":\"%s\"}",
             kmq_token_algorithm_name((unsigned) algorithm));

    for (i = 0; i < TOKENS; i++) {
        snprintf(claims, sizeof(claims), CLAIMS, (unsigned long) NOW + 600, i);
        text[i] = sign_begin(header, strlen(header), claims, strlen(claims));

        if (key) {
            sign_key(text[i], 256, key);

        } else {
            sign_secret(text[i], 256, SECRET, strlen(SECRET));
        }
    }

    EVP_PKEY_free(key);
}


static void
make_keys(unsigned n)
{
    char              name[32];
    size_t            size;
    unsigned          i;
    kmq_keys_one_t    one[KEYS_MAX];

    for (i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "key %u", i);
        one[i].rights = kmq_rights_all();
        must(kmq_digest(&one[i].digest, name, strlen(name)) == 0, "no digest");
    }

    /* they share their rights, as the values of one key do */

    for (i = 1; i < n; i++) {
        free((void *) one[i].rights);
        one[i].rights = one[0].rights;
    }

    gate.keys = kmq_keys_make(one, n, tokens.settings, tokens.nsettings,
                              &size);
    must(gate.keys != NULL, "too many keys");
}


static void
begin(const login_t *login)
{
    unsigned  i;

    memset(&tokens, 0, sizeof(tokens));

    if (login->algorithm >= 0) {
        make_tokens(login->algorithm);

    } else {
        for (i = 0; i < TOKENS; i++) {
            text[i] = malloc(32);
            snprintf(text[i], 32, login->algorithm == -1 ? "key %u"
                                                         : "wrong %u",
                     login->algorithm == -1 ? i % login->keys : i);
        }
    }

    make_keys(login->keys);

    gate.tokens = &tokens;
    gate.memory = login->remembered ? kmq_token_memory() : NULL;
    gate.tries = malloc(kmq_tries_size());
    gate.used = malloc(kmq_used_size());
    gate.limit = KMQ_TRIES_LIMIT;
    kmq_used_init(gate.used);
    must(kmq_tries_init(gate.tries) == 0, "no table");
    kmq_tries_from(&from, (const unsigned char *) "\12\0\0\1", 4);
}


/* ----------------------------------------------------------------- measure */

static void
one_login(const login_t *login, unsigned n)
{
    uint32_t            wait;
    const char         *why;
    kmq_access_e        rc;
    kmq_access_t        access;
    kmq_access_time_t   now = { NOW, 1000000 };

    access.rights = NULL;
    n = login->remembered ? n % 16 : n % TOKENS;

    rc = kmq_access(&gate, &from, text[n], strlen(text[n]), &now, &access,
                    &wait, &why);

    must((rc == KMQ_ACCESS_GOOD) == (login->algorithm != -2), "not let in");
    free(access.rights);
}


static void
measure(const login_t *login, double seconds)
{
    double    start, took;
    unsigned  n;

    begin(login);

    for (n = 0; n < TOKENS; n++) {
        one_login(login, n);
    }

    start = cpu();
    n = 0;

    do {
        one_login(login, n++);
        took = n % 64 ? 0 : cpu() - start;
    } while (took < seconds);

    printf("%-18s %10.0f a second, %6.1f us\n", login->name, n / took,
           1e6 * took / n);
}


int
main(int argc, char **argv)
{
    size_t  i;
    double  seconds;

    seconds = argc > 1 ? atof(argv[1]) : 1;

    for (i = 0; i < sizeof(logins) / sizeof(logins[0]); i++) {
        measure(&logins[i], seconds);
    }

    return 0;
}
