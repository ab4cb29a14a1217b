/* WebSockets: producers and consumers that are connected for as long as they
 * like. */

#ifndef NGX_KAPOKMQ_SESSION_H
#define NGX_KAPOKMQ_SESSION_H

#include "../ngx_kapokmq.h"


/* The handlers of kapokmq_producer and kapokmq_consumer. */
ngx_int_t ngx_kapokmq_producer_handler(ngx_http_request_t *r);
ngx_int_t ngx_kapokmq_consumer_handler(ngx_http_request_t *r);

/* The handler of the worker's event: producers that wait for room try again. */
void ngx_kapokmq_producers_resume(ngx_event_t *ev);

/* In a worker, before its first session. */
void ngx_kapokmq_session_init(void);

#endif /* NGX_KAPOKMQ_SESSION_H */
