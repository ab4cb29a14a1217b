/* Clients that are silent, and machines that have vanished. */

#ifndef NGX_KAPOKMQ_HEARTBEAT_H
#define NGX_KAPOKMQ_HEARTBEAT_H

#include "ngx_kapokmq_session_inside.h"


/* The client has joined, and s->info is still there. */
void ngx_kapokmq_heartbeat_begin(ngx_kapokmq_session_t *s);

/* The write event's timer has fired.  NGX_ERROR: the session is over. */
ngx_int_t ngx_kapokmq_heartbeat_due(ngx_kapokmq_session_t *s);

/* Something has come from a client that was asked. */
void ngx_kapokmq_heartbeat_answered(ngx_kapokmq_session_t *s);


/* Has the kernel look after a connection on which nothing passes, so that it is
 * found within two heartbeats if the other machine has vanished. */
void ngx_kapokmq_peer_watch(ngx_connection_t *c, ngx_msec_t heartbeat);

/*
 * Something was sent ms ago, or waits for a machine that has no room for it;
 * has that machine acknowledged anything since?  NGX_OK: it has, or there was
 * nothing to acknowledge; NGX_DONE: it is gone, and the session is to be reset;
 * NGX_AGAIN: that will be known when something has been sent to it again.
 */
ngx_int_t ngx_kapokmq_peer_check(ngx_kapokmq_session_t *s, ngx_msec_t ms);

/* Has the connection's end reset it. */
void ngx_kapokmq_peer_reset(ngx_connection_t *c);

#endif /* NGX_KAPOKMQ_HEARTBEAT_H */
