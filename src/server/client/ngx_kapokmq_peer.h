/* The machine at the other end of a connection. */

#ifndef NGX_KAPOKMQ_PEER_H
#define NGX_KAPOKMQ_PEER_H

#include "../ngx_kapokmq.h"


/* Has the kernel look after a connection on which nothing passes, so that it is
 * found within two heartbeats if the other machine has vanished. */
void ngx_kapokmq_peer_watch(ngx_connection_t *c, ngx_msec_t heartbeat);

/*
 * Something was sent ms ago, or waits for a machine that has no room for it;
 * has that machine acknowledged anything since?  NGX_OK: it has, or there was
 * nothing to acknowledge; NGX_DONE: it is gone, and the connection is to be
 * reset; NGX_AGAIN: that will be known when something has been sent to it
 * again.  *probed is kept for the next time, 0 at first.
 */
ngx_int_t ngx_kapokmq_peer_check(ngx_connection_t *c, ngx_uint_t *probed,
    ngx_msec_t ms);

/* Has the connection's end reset it. */
void ngx_kapokmq_peer_reset(ngx_connection_t *c);

#endif /* NGX_KAPOKMQ_PEER_H */
