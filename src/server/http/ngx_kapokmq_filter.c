/*
 * What all answers in the queue's locations have in common, those that nginx
 * makes itself included: pages of other origins may read them, and an error
 * is JSON.
 */

#include "ngx_kapokmq_http_inside.h"
#include "ngx_kapokmq_hop.h"


static ngx_int_t ngx_kapokmq_filter_header(ngx_http_request_t *r);
static ngx_uint_t ngx_kapokmq_filter_shared(ngx_kapokmq_kind_e kind);
static ngx_uint_t ngx_kapokmq_filter_page(ngx_http_request_t *r);
static ngx_int_t ngx_kapokmq_filter_error(ngx_http_request_t *r);
static ngx_uint_t ngx_kapokmq_filter_gone(ngx_http_request_t *r);
static ngx_int_t ngx_kapokmq_filter_later(ngx_http_request_t *r,
    ngx_kapokmq_loc_conf_t *lcf);
static const char *ngx_kapokmq_filter_text(ngx_uint_t status);
static ngx_int_t ngx_kapokmq_filter_cors(ngx_http_request_t *r,
    ngx_kapokmq_kind_e kind, ngx_array_t *allowed);
static const char *ngx_kapokmq_filter_origin(ngx_http_request_t *r,
    ngx_array_t *allowed);


static ngx_http_output_header_filter_pt  ngx_kapokmq_next_header_filter;


void
ngx_kapokmq_filter_init(void)
{
    ngx_kapokmq_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_kapokmq_filter_header;
}


static ngx_int_t
ngx_kapokmq_filter_header(ngx_http_request_t *r)
{
    ngx_kapokmq_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);

    if (r != r->main) {
        return ngx_kapokmq_next_header_filter(r);
    }

    if (lcf->endpoint.kind == NGX_KAPOKMQ_NOTHING) {

        /* what nginx's proxy has got of the primary, or has not */

        lcf = ngx_kapokmq_handed_from(r);

        if (lcf == NULL) {
            return ngx_kapokmq_next_header_filter(r);
        }

        if (lcf->endpoint.later && ngx_kapokmq_filter_gone(r)) {
            return ngx_kapokmq_filter_later(r, lcf);
        }
    }

    if (!lcf->hop && ngx_kapokmq_filter_shared(lcf->endpoint.kind)
        && ngx_kapokmq_filter_cors(r, lcf->endpoint.kind, lcf->cors_origins)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_kapokmq_filter_page(r) ? ngx_kapokmq_filter_error(r)
                                      : ngx_kapokmq_next_header_filter(r);
}


/* Is it of a kind that pages of other origins may use? */
static ngx_uint_t
ngx_kapokmq_filter_shared(ngx_kapokmq_kind_e kind)
{
    switch (kind) {

    case NGX_KAPOKMQ_EVENTS:
    case NGX_KAPOKMQ_PULL:
    case NGX_KAPOKMQ_SETTLE:
    case NGX_KAPOKMQ_SEND:
    case NGX_KAPOKMQ_CONSOLE:
        return 1;

    default:
        return 0;
    }
}


/* ----------------------------------------------------------------- errors */

/* Is it a page by which nginx tells of an error? */
static ngx_uint_t
ngx_kapokmq_filter_page(ngx_http_request_t *r)
{
    ngx_str_t  *type;

    type = &r->headers_out.content_type;

    return r->err_status >= NGX_HTTP_BAD_REQUEST
           && (type->len == 0
               || (type->len == sizeof("text/html") - 1
                   && ngx_strncmp(type->data, "text/html", type->len) == 0));
}


/* JSON takes the page's place, which is not sent any more where there is but
 * a header. */
static ngx_int_t
ngx_kapokmq_filter_error(ngx_http_request_t *r)
{
    ngx_int_t    rc;
    ngx_str_t    json;
    ngx_chain_t  out;

    if (ngx_kapokmq_http_error_json(r, r->headers_out.status,
                              ngx_kapokmq_filter_text(r->headers_out.status),
                                    &json)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    r->headers_out.content_type.len = 0;
    ngx_kapokmq_http_json_type(r, (off_t) json.len);

    rc = ngx_kapokmq_next_header_filter(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    r->header_only = 1;

    if (ngx_kapokmq_http_chain(r, &json, &out) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_output_filter(r, &out);
}


/* Has the proxy found nobody? */
static ngx_uint_t
ngx_kapokmq_filter_gone(ngx_http_request_t *r)
{
    return ngx_kapokmq_filter_page(r)
           && (r->headers_out.status == NGX_HTTP_BAD_GATEWAY
               || r->headers_out.status == NGX_HTTP_SERVICE_UNAVAILABLE
               || r->headers_out.status == NGX_HTTP_GATEWAY_TIME_OUT);
}


/* What the location says then takes the place of nginx's page.  Its own header
 * comes through here as any other. */
static ngx_int_t
ngx_kapokmq_filter_later(ngx_http_request_t *r, ngx_kapokmq_loc_conf_t *lcf)
{
    ngx_int_t  rc;

    r->err_status = 0;
    r->headers_out.content_type.len = 0;

    rc = lcf->endpoint.later(r);

    r->header_only = 1;

    return rc;
}


static const char *
ngx_kapokmq_filter_text(ngx_uint_t status)
{
    switch (status) {

    case NGX_HTTP_UNAUTHORIZED:
        return "The request has no valid credentials";

    case NGX_HTTP_FORBIDDEN:
        return "The request is not allowed here";

    case NGX_HTTP_NOT_FOUND:
        return "There is nothing of that name";

    case NGX_HTTP_REQUEST_TIME_OUT:
        return "The request did not come in time";

    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        return NGX_KAPOKMQ_TOO_LARGE;

    case NGX_HTTP_TOO_MANY_REQUESTS:
        return "There are too many requests";

    case NGX_HTTP_SERVICE_UNAVAILABLE:
        return "The service is not available at the moment";

    case NGX_HTTP_BAD_GATEWAY:
        return "The primary cannot be reached";

    case NGX_HTTP_GATEWAY_TIME_OUT:
        return "The primary has not answered in time";

    default:
        return (status < NGX_HTTP_INTERNAL_SERVER_ERROR)
               ? "The request is not valid"
               : "The server could not answer the request";
    }
}


/* ------------------------------------------------------------------- CORS */

static ngx_int_t
ngx_kapokmq_filter_cors(ngx_http_request_t *r, ngx_kapokmq_kind_e kind,
    ngx_array_t *allowed)
{
    const char  *origin;

    if (allowed && ngx_kapokmq_http_header(r, "Vary", "Origin") != NGX_OK) {
        return NGX_ERROR;
    }

    origin = ngx_kapokmq_filter_origin(r, allowed);

    if (origin == NULL) {
        return NGX_OK;
    }

    if (ngx_kapokmq_http_header(r, "Access-Control-Allow-Origin", origin)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (r->method != NGX_HTTP_OPTIONS) {
        return ngx_kapokmq_http_header(r, "Access-Control-Expose-Headers",
                                       "Content-Length, Content-Type, "
                                       "Retry-After");
    }

    if (ngx_kapokmq_http_header(r, "Access-Control-Allow-Methods",
                                ngx_kapokmq_http_methods(r))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* secretKey, and what pages written for the original may send along; and
     * what an EventSource says that is none of the browser's own */
    if (ngx_kapokmq_http_header(r, "Access-Control-Allow-Headers",
                                kind == NGX_KAPOKMQ_EVENTS
                                ? "secretKey, Last-Event-ID, Authorization"
                                : "secretKey, Content-Type, AccessToken, "
                                  "X-CSRF-Token, Authorization, Token")
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_kapokmq_http_header(r, "Access-Control-Max-Age", "600");
}


/* What Access-Control-Allow-Origin says, NULL: the header is left out. */
static const char *
ngx_kapokmq_filter_origin(ngx_http_request_t *r, ngx_array_t *allowed)
{
    ngx_str_t   *origin, *value;
    ngx_uint_t   i;

    if (allowed == NULL) {
        return "*";
    }

    origin = ngx_kapokmq_http_find(r, "origin", sizeof("origin") - 1);
    value = allowed->elts;

    for (i = 0; i < allowed->nelts; i++) {

        if (value[i].len == 1 && value[i].data[0] == '*') {
            return "*";
        }

        if (origin && origin->len == value[i].len
            && ngx_strncasecmp(origin->data, value[i].data, origin->len) == 0)
        {
            /* values of headers end with a zero byte */
            return (char *) origin->data;
        }
    }

    return NULL;
}
