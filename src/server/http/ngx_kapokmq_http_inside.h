/* What answers are made of, inside this room. */

#ifndef NGX_KAPOKMQ_HTTP_INSIDE_H
#define NGX_KAPOKMQ_HTTP_INSIDE_H

#include "ngx_kapokmq_http.h"


/* The headers of type and size; a body as a chain of one buffer; the body of
 * an error, with the header that its status needs. */
void ngx_kapokmq_http_json_type(ngx_http_request_t *r, off_t size);
ngx_int_t ngx_kapokmq_http_chain(ngx_http_request_t *r, ngx_str_t *json,
    ngx_chain_t *out);
ngx_int_t ngx_kapokmq_http_error_json(ngx_http_request_t *r,
    ngx_uint_t status, const char *text, ngx_str_t *json);

#endif /* NGX_KAPOKMQ_HTTP_INSIDE_H */
