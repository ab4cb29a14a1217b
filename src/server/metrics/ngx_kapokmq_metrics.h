/* What is counted, for Prometheus and what reads its format. */

#ifndef NGX_KAPOKMQ_METRICS_H
#define NGX_KAPOKMQ_METRICS_H

#include "../ngx_kapokmq.h"


/* The handler of kapokmq_metrics: GET /metrics. */
ngx_int_t ngx_kapokmq_metrics_handler(ngx_http_request_t *r);

#endif /* NGX_KAPOKMQ_METRICS_H */
