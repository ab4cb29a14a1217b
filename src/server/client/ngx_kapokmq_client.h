/*
 * A client as the engine knows it, a producer or a consumer, however it is
 * connected: who it is, that it joins, leaves, or is told to go.
 */

#ifndef NGX_KAPOKMQ_CLIENT_H
#define NGX_KAPOKMQ_CLIENT_H

#include "../ngx_kapokmq.h"
#include "../http/ngx_kapokmq_http.h"
#include "ngx_kapokmq_guest.h"


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
    ngx_kapokmq_guest_t          guest;    /* by what it was let in */
};

/* How a client is connected. */
typedef enum {
    NGX_KAPOKMQ_BY_WEBSOCKET = 0,
    NGX_KAPOKMQ_BY_EVENTS,
    NGX_KAPOKMQ_BY_PULL
} ngx_kapokmq_by_e;

#define NGX_KAPOKMQ_BYS  3

/* "websocket", and so on. */
extern const char *const  ngx_kapokmq_by_names[NGX_KAPOKMQ_BYS];

/* A client's mode, as the engine keeps it: KMQ_CONFIRM_..., how it is
 * connected, and heartbeat. */
#define ngx_kapokmq_mode(confirm, by, heartbeat)                              \
    ((heartbeat) << 8 | (uint32_t) (by) << 4 | (confirm))
#define ngx_kapokmq_mode_confirm(mode)        ((mode) & 0xf)
#define ngx_kapokmq_mode_by(mode)             ((mode) >> 4 & 0xf)
#define ngx_kapokmq_mode_heartbeat(mode)      ((mode) >> 8)

/*
 * Who a request is from, and what it wants: its names, its topic's prefetch and
 * mode.  A consumer's query may set confirm, prefetch and heartbeat, and a
 * producer's heartbeat; that of a pull is not looked at.  role is KMQ_PRODUCER
 * or KMQ_CONSUMER; info is zeroed.
 * NGX_OK, or a status and an error to answer with.
 */
ngx_int_t ngx_kapokmq_client_info(ngx_http_request_t *r, uint32_t role,
    kmq_client_info_t *info, const char **error);

/* Notes whose key it has. */
void ngx_kapokmq_client_user(kmq_client_info_t *info,
    const ngx_kapokmq_pass_t *pass);

/*
 * Joins; log and close are set.  NGX_ERROR: no memory; NGX_DECLINED: it may
 * not.  It is closed when what it was let in with does not hold any more, and
 * has taken from pass what is needed for that.
 */
ngx_int_t ngx_kapokmq_client_join(ngx_kapokmq_client_t *client,
    const kmq_client_info_t *info, ngx_kapokmq_pass_t *pass);

/* For how many ms one that has messages in flight may say nothing; 0: for
 * ever. */
ngx_msec_t ngx_kapokmq_client_silence(const kmq_client_info_t *info);

/* The same for one whose stream has ended, where it is parked; last as in
 * kmq_resume().  NGX_DECLINED: there is none to go on with. */
ngx_int_t ngx_kapokmq_client_resume(ngx_kapokmq_client_t *client,
    const kmq_client_info_t *info, const char *last,
    ngx_kapokmq_pass_t *pass);

/* Leaves, unless it has.  failed: 1, it ended by itself, or for what it did,
 * and a message may be to blame; 0, we ended it. */
void ngx_kapokmq_client_leave(ngx_kapokmq_client_t *client, ngx_uint_t failed);

/* Closes those that the engine wants gone, some in one turn.  1: there may be
 * more. */
ngx_uint_t ngx_kapokmq_client_close(void);

#endif /* NGX_KAPOKMQ_CLIENT_H */
