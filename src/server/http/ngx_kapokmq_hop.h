/*
 * Handing on: a request that only the primary of a cluster can serve.  The node
 * that it came to decides who may come in, and signs that; nginx's proxy takes
 * it to the primary, whose location of kapokmq_hop lets in what is signed, and
 * nothing else.
 */

#ifndef NGX_KAPOKMQ_HOP_H
#define NGX_KAPOKMQ_HOP_H

#include "ngx_kapokmq_http.h"
#include "../../cluster/kmq_hop.h"


#define NGX_KAPOKMQ_ADDRESS  256    /* of a node, with a zero byte */

/* kmq_hop_t.flags */
#define NGX_KAPOKMQ_HOP_OPEN      1     /* kapokmq_auth off */
#define NGX_KAPOKMQ_HOP_PROTOCOL  2     /* it offers our subprotocol */

/* What handing on has to know of the cluster; ngx_kapokmq_worker.hop. */
struct ngx_kapokmq_hop_conf_s {
    kmq_hops_t    *hops;            /* in the zone */
    ngx_str_t      secret;
    uint32_t       number;          /* of this node */

    /* Is this node primary, and serves clients? */
    ngx_uint_t   (*serves)(void);

    /* The primary's epoch, and its address, "" where that is this node.  0:
     * there is none. */
    uint32_t     (*primary)(u_char address[NGX_KAPOKMQ_ADDRESS]);
};


/* Is a request of this location for the primary, and this node is none?  Not
 * where there is no cluster. */
ngx_uint_t ngx_kapokmq_hands_on(ngx_http_request_t *r,
    const ngx_kapokmq_loc_conf_t *lcf);

/* Hands it on, or answers it: to be returned by a content handler. */
ngx_int_t ngx_kapokmq_hand_on(ngx_http_request_t *r,
    ngx_kapokmq_loc_conf_t *lcf);

/* Where it came in; NULL: it was not handed on. */
ngx_kapokmq_loc_conf_t *ngx_kapokmq_handed_from(ngx_http_request_t *r);

/* $kapokmq_hop, the header, and $kapokmq_primary. */
ngx_int_t ngx_kapokmq_handed_header(ngx_http_request_t *r, ngx_str_t *header);
ngx_int_t ngx_kapokmq_handed_to(ngx_http_request_t *r, ngx_str_t *address);

/* Could clients of this location be served, here or by the primary? */
ngx_uint_t ngx_kapokmq_hop_good(ngx_http_request_t *r);

/* The handler of kapokmq_hop. */
ngx_int_t ngx_kapokmq_hop_handler(ngx_http_request_t *r);

/* For a request that came by that: what it was let in with, as
 * ngx_kapokmq_door_enter(). */
ngx_int_t ngx_kapokmq_hop_enter(ngx_kapokmq_facts_t *facts, ngx_uint_t login,
    ngx_kapokmq_pass_t **pass);

/* Its client's address is its connection's as long as the request is there.
 * That is for ever when it ends, and the connection goes on.  _cleanup is the
 * handler by which that is known. */
void ngx_kapokmq_hop_stays(ngx_http_request_t *r);
void ngx_kapokmq_hop_cleanup(void *data);

#endif /* NGX_KAPOKMQ_HOP_H */
