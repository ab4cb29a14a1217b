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
    ngx_msec_t                   heartbeat;    /* 0: none */
    ngx_log_t                   *log;
    ngx_kapokmq_client_close_pt  close;
};

/* A client's mode, as the engine keeps it: KMQ_CONFIRM_... and heartbeat. */
#define ngx_kapokmq_mode(confirm, heartbeat)  ((heartbeat) << 8 | (confirm))
#define ngx_kapokmq_mode_confirm(mode)        ((mode) & 0xff)
#define ngx_kapokmq_mode_heartbeat(mode)      ((mode) >> 8)

/*
 * Who a request is from, and what it wants: its names, its topic's prefetch and
 * mode.  A consumer's query may set confirm, prefetch and heartbeat, and a
 * producer's heartbeat.  role is KMQ_PRODUCER or KMQ_CONSUMER; info is zeroed.
 * NULL, or what is wrong with the request.
 */
const char *ngx_kapokmq_client_info(ngx_http_request_t *r, uint32_t role,
    kmq_client_info_t *info);

/* Joins; log and close are set.  NGX_ERROR: no memory. */
ngx_int_t ngx_kapokmq_client_join(ngx_kapokmq_client_t *client,
    const kmq_client_info_t *info);

/* For how many ms one that has messages in flight may say nothing; 0: for
 * ever. */
ngx_msec_t ngx_kapokmq_client_silence(const kmq_client_info_t *info);

/* Leaves, unless it has.  failed: 1, it ended by itself, or for what it did,
 * and a message may be to blame; 0, we ended it. */
void ngx_kapokmq_client_leave(ngx_kapokmq_client_t *client, ngx_uint_t failed);

/* Closes those that the engine wants gone, some in one turn.  1: there may be
 * more. */
ngx_uint_t ngx_kapokmq_client_close(void);

#endif /* NGX_KAPOKMQ_CLIENT_H */
