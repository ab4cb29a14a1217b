/* Answers to HTTP requests: JSON, and errors as JSON. */

#include "ngx_kapokmq_http_inside.h"
#include "../../protocol/kmq_json.h"


void
ngx_kapokmq_http_json_type(ngx_http_request_t *r, off_t size)
{
    r->headers_out.content_length_n = size;

    if (r->headers_out.content_type.len == 0) {
        ngx_str_set(&r->headers_out.content_type, "application/json");
        r->headers_out.content_type_len = r->headers_out.content_type.len;
        r->headers_out.content_type_lowcase = NULL;
    }

    ngx_str_set(&r->headers_out.charset, "utf-8");
}


ngx_int_t
ngx_kapokmq_http_json_header(ngx_http_request_t *r, ngx_uint_t status,
    off_t size)
{
    r->headers_out.status = status;
    ngx_kapokmq_http_json_type(r, size);

    return ngx_http_send_header(r);
}


ngx_int_t
ngx_kapokmq_http_chain(ngx_http_request_t *r, ngx_str_t *json,
    ngx_chain_t *out)
{
    ngx_buf_t  *b;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = json->data;
    b->last = json->data + json->len;
    b->memory = 1;
    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    out->buf = b;
    out->next = NULL;

    return NGX_OK;
}


ngx_int_t
ngx_kapokmq_http_answer(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *json)
{
    ngx_int_t    rc;
    ngx_chain_t  out;

    rc = ngx_kapokmq_http_json_header(r, status, (off_t) json->len);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    if (ngx_kapokmq_http_chain(r, json, &out) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_output_filter(r, &out);
}


u_char *
ngx_kapokmq_http_quote(u_char *p, const char *text, size_t len)
{
    size_t  used;

    used = 0;

    *p++ = '"';
    p += kmq_json_escape(p, 6 * len + 6, (u_char *) text, len, &used);
    *p++ = '"';

    return p;
}


u_char *
ngx_kapokmq_http_decimal(u_char *p, double number)
{
    uint64_t  n;

    n = (uint64_t) (number * 1000 + 0.5);

    if (n % 1000 == 0) {
        return ngx_sprintf(p, "%uL", n / 1000);
    }

    p = ngx_sprintf(p, "%uL.%03uL", n / 1000, n % 1000);

    while (p[-1] == '0') {
        p--;
    }

    return p;
}


u_char *
ngx_kapokmq_http_or_null(u_char *p, uint64_t n)
{
    return n ? ngx_sprintf(p, "%uL", n) : ngx_sprintf(p, "null");
}


ngx_int_t
ngx_kapokmq_http_error_json(ngx_http_request_t *r, ngx_uint_t status,
    const char *text, ngx_str_t *json)
{
    u_char  *p;
    size_t   len, room, used;

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE
        && ngx_kapokmq_http_header(r, "Retry-After", "1") != NGX_OK)
    {
        return NGX_ERROR;
    }

    len = ngx_strlen(text);
    room = kmq_json_escaped((u_char *) text, len) + 6;

    json->data = ngx_pnalloc(r->pool, sizeof("{\"code\":-1,\"msg\":\"\"}")
                                      + room);
    if (json->data == NULL) {
        return NGX_ERROR;
    }

    used = 0;
    p = ngx_cpymem(json->data, "{\"code\":-1,\"msg\":\"",
                   sizeof("{\"code\":-1,\"msg\":\"") - 1);
    p += kmq_json_escape(p, room, (u_char *) text, len, &used);
    *p++ = '"';
    *p++ = '}';

    json->len = p - json->data;

    return NGX_OK;
}


static ngx_int_t
ngx_kapokmq_http_message(ngx_http_request_t *r, ngx_uint_t status,
    const char *text)
{
    ngx_str_t  json;

    if (ngx_kapokmq_http_error_json(r, status, text, &json) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_kapokmq_http_answer(r, status, &json);
}


ngx_int_t
ngx_kapokmq_http_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *text)
{
    ngx_int_t  rc;

    /* nobody is asked for a body that is not wanted, nor waited for where it
     * is known to be too long */

    r->expect_tested = 1;

    if (status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        r->keepalive = 0;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_kapokmq_http_message(r, status, text);
}


void
ngx_kapokmq_http_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *text)
{
    ngx_http_finalize_request(r, ngx_kapokmq_http_message(r, status, text));
}


void
ngx_kapokmq_http_json(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *json)
{
    ngx_http_finalize_request(r, ngx_kapokmq_http_answer(r, status, json));
}


ngx_int_t
ngx_kapokmq_http_later(ngx_http_request_t *r)
{
    ngx_kapokmq_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);

    if (lcf->endpoint.later) {
        return lcf->endpoint.later(r);
    }

    return ngx_kapokmq_http_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                   "There is no primary at the moment");
}


ngx_int_t
ngx_kapokmq_http_unavailable(ngx_http_request_t *r)
{
    return ngx_kapokmq_http_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                   NGX_KAPOKMQ_UNAVAILABLE);
}
