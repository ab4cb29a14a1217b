#ifndef KMQ_MODEL_PEEK_H
#define KMQ_MODEL_PEEK_H

#include "model.h"


/* A message as it is in the block. */
typedef struct {
    int         state;             /* FREE: it is gone */
    uint64_t    next;              /* of its next try */
    unsigned    failures, reason;
    int         suspect, pushed;
    uint32_t    position;
    uint32_t    waits;             /* ready: since then */
} peeked_t;

/* A delivery, the same. */
typedef struct {
    kmq_ref_t   slot;
    uint32_t    position, time;
    unsigned    failures;
    int         again;
} peeked_delivery_t;


void peek_message(const message_t *m, peeked_t *is);
unsigned peek_held(const client_t *c);
uint32_t peek_until(const client_t *c, unsigned held);
unsigned peek_deliveries(const client_t *c, peeked_delivery_t *is,
    unsigned max);

#endif /* KMQ_MODEL_PEEK_H */
