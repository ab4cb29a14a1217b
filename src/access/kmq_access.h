/*
 * What a client gave as its key, and what it may do with that: the one place
 * where keys, tokens and the bound on wrong ones come together.
 */

#ifndef KMQ_ACCESS_H
#define KMQ_ACCESS_H

#include "kmq_token.h"
#include "kmq_tries.h"
#include "kmq_used.h"


/* What is asked, by one process. */
typedef struct {
    const kmq_keys_t     *keys;         /* that are valid now */
    const kmq_tokens_t   *tokens;       /* of this process's configuration */
    kmq_token_memory_t   *memory;       /* NULL: none */
    kmq_tries_t          *tries;
    kmq_used_t           *used;
    unsigned              limit;        /* of different wrong ones; 0: none */
    int                   tokens_only;  /* a key is as wrong as anything else:
                                           nobody learns here that it is one */
} kmq_gate_t;

typedef struct {
    kmq_rights_t         *rights;       /* to be given to free() */
    kmq_digest_t          digest;       /* of the key, or of the settings that
                                           have verified the token */
    uint64_t              expires;      /* s of the wall clock; 0: never */
} kmq_access_t;

typedef enum {
    KMQ_ACCESS_GOOD = 0,
    KMQ_ACCESS_WRONG,                   /* 401 */
    KMQ_ACCESS_EXPIRED,                 /* 401: a token that was good */
    KMQ_ACCESS_LATER,                   /* 429: too many wrong ones */
    KMQ_ACCESS_ELSEWHERE,               /* 503: this process has old settings
                                           of tokens; another one knows */
    KMQ_ACCESS_FAILED                   /* 503: there was no memory */
} kmq_access_e;

/* The times that it is. */
typedef struct {
    uint64_t              wall;         /* s */
    uint64_t              ms;           /* of kmq_tries_wrong()'s clock */
} kmq_access_time_t;

/*
 * Looks at what a client at an address gave.  When it is good, access is filled
 * in, and its digest noted as used; when there were too many wrong ones, *wait
 * is set, in ms; when it is not good, *why, for the log.
 */
kmq_access_e kmq_access(const kmq_gate_t *gate, const kmq_tries_from_t *from,
    const char *text, size_t len, const kmq_access_time_t *now,
    kmq_access_t *access, uint32_t *wait, const char **why);

/*
 * The keys are others now: takes the rights that the same key has by these.
 * 1, or 0 when it is not valid any more, or there is no memory.  Whether the
 * rights still cover what the client does has to be asked again.
 */
int kmq_access_again(kmq_access_t *access, const kmq_keys_t *keys);

#endif /* KMQ_ACCESS_H */
