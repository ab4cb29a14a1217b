/* Pulls: consumers that ask for messages, and are answered once. */

#ifndef NGX_KAPOKMQ_PULL_H
#define NGX_KAPOKMQ_PULL_H

#include "../ngx_kapokmq.h"


/* The handler of kapokmq_pull. */
ngx_int_t ngx_kapokmq_pull_handler(ngx_http_request_t *r);

#endif /* NGX_KAPOKMQ_PULL_H */
