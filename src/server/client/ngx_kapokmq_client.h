/*
 * A client as the engine knows it, a producer or a consumer, however it is
 * connected: who it is, that it joins, leaves, or is told to go.
 */

#ifndef NGX_KAPOKMQ_CLIENT_H
#define NGX_KAPOKMQ_CLIENT_H

#include "../ngx_kapokmq.h"


typedef struct ngx_kapokmq_client_s  ngx_kapokmq_client_t;

/* Has the client leave, tells it the reason, and closes its connection.  why
 * is the engine's: KMQ_TOO_SLOW or KMQ_DISCONNECTED. */
typedef void (*ngx_kapokmq_client_close_pt)(ngx_kapokmq_client_t *client,
    int why, const char *reason);

struct ngx_kapokmq_client_s {
    kmq_ref_t                    ref;      /* 0: it has not joined, or left */
    ngx_uint_t                   messages; /* accepted from, or pushed to, it */
    ngx_log_t                   *log;
    ngx_kapokmq_client_close_pt  close;
};

/*
 * Who a request is from, and what it wants: its names, its topic's prefetch,
 * and, as info->mode, its way to confirm, which "?confirm=" may set for a
 * consumer.  role is KMQ_PRODUCER or KMQ_CONSUMER; info is zeroed.
 * NULL, or what is wrong with the request.
 */
const char *ngx_kapokmq_client_info(ngx_http_request_t *r, uint32_t role,
    kmq_client_info_t *info);

/* Joins; log and close are set.  NGX_ERROR: no memory. */
ngx_int_t ngx_kapokmq_client_join(ngx_kapokmq_client_t *client,
    const kmq_client_info_t *info);

/* Leaves, unless it has. */
void ngx_kapokmq_client_leave(ngx_kapokmq_client_t *client);

/* Closes those that the engine wants gone, some in one turn.  1: there may be
 * more. */
ngx_uint_t ngx_kapokmq_client_close(void);

#endif /* NGX_KAPOKMQ_CLIENT_H */
