/*
 * A pull is a consumer until it is answered: it waits like others, and holds
 * nothing but its request.  What it gets is leased then, and is nobody's
 * connection's any more.
 */

#ifndef NGX_KAPOKMQ_PULL_INSIDE_H
#define NGX_KAPOKMQ_PULL_INSIDE_H

#include "../ngx_kapokmq.h"
#include "../client/ngx_kapokmq_drain.h"
#include "../deliver/ngx_kapokmq_deliver.h"
#include "../http/ngx_kapokmq_http.h"


/* What a pull asks for, times in ms. */
typedef struct {
    ngx_uint_t                max;
    uint64_t                  wait;
    uint64_t                  lease;
} ngx_kapokmq_asked_t;

typedef struct {
    ngx_kapokmq_consumer_t    consumer;
    ngx_kapokmq_stay_t        stay;
    ngx_http_request_t       *request;
    ngx_kapokmq_facts_t      *facts;       /* the request's */
    ngx_kapokmq_asked_t       asked;
    ngx_msec_t                since;       /* it has been there */

    ngx_chain_t              *out;         /* its messages as JSON */
    ngx_chain_t             **out_last;
    off_t                     size;        /* of that */

    kmq_ref_t                 leased;      /* the client that it was, */
    uint64_t                  number;      /* and its number; 0: it has none
                                              whose answer may still fail */
    ngx_buf_t                *last;        /* of the answer; NULL: it has not
                                              been given to nginx */
    unsigned                  over:1;      /* it is to be answered now */
    unsigned                  failed:1;    /* for want of memory */
} ngx_kapokmq_pull_t;


/* The client has been asked about, and the body read: it begins to wait, or is
 * answered.  Takes over the request. */
void ngx_kapokmq_pull_begin(ngx_http_request_t *r,
    const kmq_client_info_t *info, const ngx_kapokmq_asked_t *asked,
    ngx_kapokmq_pass_t *pass);

/* Answers it with what it has got.  It may be gone afterwards. */
void ngx_kapokmq_pull_answer(ngx_kapokmq_pull_t *p);

/* Notes that all of its answer has been written, if it has. */
void ngx_kapokmq_pull_check(ngx_kapokmq_pull_t *p);

#endif /* NGX_KAPOKMQ_PULL_INSIDE_H */
