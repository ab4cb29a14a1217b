/* The console's endpoints. */

#ifndef NGX_KAPOKMQ_CONSOLE_H
#define NGX_KAPOKMQ_CONSOLE_H

#include "../ngx_kapokmq.h"


/* The handler of kapokmq_console: POST /Console/... */
ngx_int_t ngx_kapokmq_console_handler(ngx_http_request_t *r);

#ifdef KMQ_FAULTS
/* In the master of a build for tests: see ngx_kapokmq_fault.c. */
void ngx_kapokmq_fault_init(ngx_log_t *log);
#endif

#endif /* NGX_KAPOKMQ_CONSOLE_H */
