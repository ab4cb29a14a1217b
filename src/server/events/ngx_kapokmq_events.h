/* Server-sent events: consumers that only listen. */

#ifndef NGX_KAPOKMQ_EVENTS_H
#define NGX_KAPOKMQ_EVENTS_H

#include "../ngx_kapokmq.h"


/* The handler of kapokmq_events. */
ngx_int_t ngx_kapokmq_events_handler(ngx_http_request_t *r);

/* Answers a request that cannot be served now: it may come again. */
ngx_int_t ngx_kapokmq_events_later(ngx_http_request_t *r);

#endif /* NGX_KAPOKMQ_EVENTS_H */
