/*
 * Tokens of the application's own server: JSON Web Tokens (RFC 7519), signed
 * (RFC 7515) with what the configuration says and nothing else.
 *
 * libjwt verifies signatures; what a token may look like, and what it says, is
 * looked at here.
 */

#ifndef KMQ_TOKEN_H
#define KMQ_TOKEN_H

#include "kmq_keys.h"


#define KMQ_TOKEN_MAX         8192      /* bytes of a token */
#define KMQ_TOKEN_SECRET_MAX   255      /* of a secret */
#define KMQ_TOKEN_SECRETS        8      /* that are valid at one time */
#define KMQ_TOKEN_ALGORITHMS     9
#define KMQ_TOKEN_SETTINGS  (3 * KMQ_TOKEN_SECRETS)

/* Algorithms are numbers below KMQ_TOKEN_ALGORITHMS. */
#define KMQ_TOKEN_HS256  0              /* and HS384, HS512 */
#define KMQ_TOKEN_RS256  3              /* and RS384, RS512 */
#define KMQ_TOKEN_ES256  6              /* and ES384, ES512 */

typedef struct {
    char    bytes[KMQ_TOKEN_SECRET_MAX + 1];
    size_t  len;
} kmq_token_secret_t;

/* mq.tokens.  Zeroed, there are none. */
typedef struct {
    uint32_t             algorithms;    /* a bit for each that is allowed */
    uint32_t             leeway;        /* s */
    kmq_token_secret_t   secret[KMQ_TOKEN_SECRETS];
    size_t               nsecrets;
    char                *key;           /* the public key, PEM; NULL: none */
    size_t               key_len;
    kmq_token_secret_t   issuer;        /* empty: any */
    kmq_token_secret_t   audience;

    /* of each algorithm with each secret: kmq_tokens_seal() */
    kmq_digest_t         settings[KMQ_TOKEN_SETTINGS];
    size_t               nsettings;
} kmq_tokens_t;

/* 1 when this build has tokens: libjwt is optional. */
int kmq_tokens_known(void);

/* The number of an algorithm by its name; -1: there is none such.  "none" is
 * none. */
int kmq_token_algorithm(const char *name, size_t len);
const char *kmq_token_algorithm_name(unsigned algorithm);

/*
 * Takes a file's public key, whose type must be the one that each allowed
 * algorithm wants.  NULL, or what is wrong with it.
 */
const char *kmq_tokens_public_key(kmq_tokens_t *tokens, const char *pem,
    size_t len);

/* Makes the digests of the settings, once they are complete: 0, or -1. */
int kmq_tokens_seal(kmq_tokens_t *tokens);

/* Frees what belongs to them, and forgets the secrets. */
void kmq_tokens_free(kmq_tokens_t *tokens);


/* ----------------------------------------------------------- verification */

typedef enum {
    KMQ_TOKEN_GOOD = 0,
    KMQ_TOKEN_NONE,                     /* it does not look like a token */
    KMQ_TOKEN_WRONG,                    /* nobody who may has signed it, or
                                           not for this */
    KMQ_TOKEN_EXPIRED,                  /* but its signature is good */
    KMQ_TOKEN_FAILED                    /* there was no memory */
} kmq_token_e;

typedef struct {
    kmq_rights_t  *rights;              /* to be given to free() */
    uint64_t       expires;             /* s, with the leeway: it is valid
                                           before that */
    kmq_digest_t   settings;            /* kmq_keys_token() */
} kmq_token_t;

/*
 * Verifies a token at a time, in seconds of the wall clock.  *why is a text for
 * the log, not for the client; token is filled in when the token is good.
 */
kmq_token_e kmq_token_verify(const kmq_tokens_t *tokens, const char *text,
    size_t len, uint64_t now, kmq_token_t *token, const char **why);



/* ------------------------------------------------------------ once verified */

/*
 * Tokens that this process has verified within a minute.  A client that sends
 * its token with each request has it verified once: with a public key that
 * takes 0.3 to 0.4 ms, to find it here takes less than a microsecond.
 */
typedef struct kmq_token_memory_s  kmq_token_memory_t;

#define KMQ_TOKEN_MEMORY_TIME  60       /* s */

/* Empty; NULL: there is no memory. */
kmq_token_memory_t *kmq_token_memory(void);

/* NULL is nothing to be freed. */
void kmq_token_memory_free(kmq_token_memory_t *memory);

/* The same as kmq_token_verify(), always with the same tokens.  memory may be
 * NULL. */
kmq_token_e kmq_token_verify_once(kmq_token_memory_t *memory,
    const kmq_tokens_t *tokens, const char *text, size_t len, uint64_t now,
    kmq_token_t *token, const char **why);

#endif /* KMQ_TOKEN_H */
