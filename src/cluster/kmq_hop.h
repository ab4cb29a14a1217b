/*
 * Handing on: a node that is no primary has a client's request served by the
 * one that is.  It has decided who may come in; the request then carries, in a
 * header, what it is and what its client may do, signed.
 *
 * Why the header is safe.  Nobody without the secret can make one, or change
 * one.  One that was seen on its way is worth nothing:
 *
 *   - it is for the primary of one epoch, who never is primary of that epoch
 *     again once nginx was started anew;
 *   - it has a number, which its sender, since its start, gives out once.  The
 *     primary remembers numbers: each sender has a ring of places, and a number
 *     counts when it is higher than what its place has.  So a number counts
 *     once, and not at all when KMQ_HOP_PLACES later ones have overtaken it;
 *   - a sender that was started anew begins with another start, a random
 *     number; the one before it is remembered, and does not count any more.
 *
 * No clock is compared with another.  What a header is not: it does not cover
 * the request's body, and hides nothing.  Where somebody may listen or change
 * bytes between nodes, there has to be TLS.
 *
 * All texts but the rights are what nginx has made of the request; the primary
 * takes nothing from the request's line.
 */

#ifndef KMQ_HOP_H
#define KMQ_HOP_H

#include <stddef.h>
#include <stdint.h>


#define KMQ_HOP_NODES   16         /* of a cluster, at most */
#define KMQ_HOP_PLACES  4096       /* numbers of a sender that are remembered */
#define KMQ_HOP_GONE    4096       /* senders of an epoch that were started
                                      anew */

typedef enum {
    KMQ_HOP_METHOD,
    KMQ_HOP_URI,                   /* that was matched, without arguments */
    KMQ_HOP_ARGS,
    KMQ_HOP_PREFIX,                /* of the location, or all of an exact one */
    KMQ_HOP_TOPIC,                 /* the client's names */
    KMQ_HOP_ID,
    KMQ_HOP_READS,                 /* how the location has made these, where it
                                      reads arguments for that */
    KMQ_HOP_ADDRESS,               /* the client's: 4 or 16 bytes, or none */
    KMQ_HOP_SHOWN,                 /* the same as a text */
    KMQ_HOP_USER,
    KMQ_HOP_DIGEST,                /* of what it was let in with, */
    KMQ_HOP_RIGHTS,                /* and what it may do: a kmq_rights_t;
                                      empty: it has to log in yet */
    KMQ_HOP_TEXTS
} kmq_hop_text_e;

typedef struct {
    const unsigned char  *data;
    size_t                len;
} kmq_hop_text_t;

typedef struct {
    uint32_t        epoch;         /* of the primary that it is for */
    uint32_t        node;          /* who hands it on */
    uint64_t        start;         /* kmq_hops_number() */
    uint64_t        number;
    uint64_t        expires;       /* of a token: s; 0: never */
    uint32_t        limit;         /* of wrong keys */
    uint8_t         kind;          /* of the location, as the server counts */
    uint8_t         match;
    uint8_t         flags;
    kmq_hop_text_t  text[KMQ_HOP_TEXTS];
} kmq_hop_t;


/* ------------------------------------------------------------- the header */

/* Room for its characters. */
size_t kmq_hop_room(const kmq_hop_t *hop);

/* Writes it.  The characters, 0: OpenSSL failed. */
size_t kmq_hop_write(char *to, const kmq_hop_t *hop, const void *secret,
    size_t secret_len);

/*
 * Reads it; bytes has room for len, and the texts lie there.  1, or 0: nobody
 * who has the secret has made it.
 */
int kmq_hop_read(kmq_hop_t *hop, unsigned char *bytes, const char *text,
    size_t len, const void *secret, size_t secret_len);


/* ------------------------------------------------------------ the numbers */

/* In memory that a node's processes share. */
typedef struct kmq_hops_s  kmq_hops_t;

typedef enum {
    KMQ_HOPS_NEW,
    KMQ_HOPS_SEEN,                 /* or overtaken by too many */
    KMQ_HOPS_GONE,                 /* its sender was started anew since, or it
                                      is for an epoch before this */
    KMQ_HOPS_FULL                  /* too many senders were */
} kmq_hops_e;

/* Bytes for a cluster of so many nodes. */
size_t kmq_hops_size(unsigned nodes);

/* In memory that is zeroed, and aligned to 8.  0, or an errno. */
int kmq_hops_init(kmq_hops_t *hops, unsigned nodes);

/* How many requests have been handed on. */
uint64_t kmq_hops_handed(const kmq_hops_t *hops);

/* Gives a request that is handed on its start and its number. */
void kmq_hops_number(kmq_hops_t *hops, kmq_hop_t *hop);

/* Of one that was read, and is for the epoch of which this node is primary:
 * does it count? */
kmq_hops_e kmq_hops_take(kmq_hops_t *hops, const kmq_hop_t *hop);

#endif /* KMQ_HOP_H */
