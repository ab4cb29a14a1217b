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

#endif /* NGX_KAPOKMQ_HEARTBEAT_H */
