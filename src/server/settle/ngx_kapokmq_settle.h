/* Deliveries are settled by HTTP: confirmed, given back, extended. */

#ifndef NGX_KAPOKMQ_SETTLE_H
#define NGX_KAPOKMQ_SETTLE_H

#include "../ngx_kapokmq.h"


/* The handler of kapokmq_settle. */
ngx_int_t ngx_kapokmq_settle_handler(ngx_http_request_t *r);

#endif /* NGX_KAPOKMQ_SETTLE_H */
