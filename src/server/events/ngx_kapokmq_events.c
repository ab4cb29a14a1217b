/* GET .../{topic}/{id}: who is it, may it, and how does its answer begin? */

#include "ngx_kapokmq_events.h"
#include "ngx_kapokmq_events_inside.h"
#include "../worker/ngx_kapokmq_worker.h"


static ngx_int_t ngx_kapokmq_events_check(ngx_http_request_t *r,
    ngx_kapokmq_pass_t **pass);


ngx_int_t
ngx_kapokmq_events_handler(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    const char          *error;
    kmq_client_info_t    info;
    ngx_kapokmq_pass_t  *pass;

    rc = ngx_kapokmq_events_check(r, &pass);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    ngx_memzero(&info, sizeof(kmq_client_info_t));

    rc = ngx_kapokmq_client_info(r, KMQ_CONSUMER, &info, &error);
    if (rc != NGX_OK) {
        return ngx_kapokmq_http_refuse(r, rc, error);
    }

    if (!ngx_kapokmq_guest_may(&info, pass->access.rights)) {
        return ngx_kapokmq_http_refuse(r, NGX_HTTP_FORBIDDEN,
                                       NGX_KAPOKMQ_NO_TOPIC_RIGHT);
    }

    ngx_kapokmq_client_user(&info, pass);

    ngx_kapokmq_clock();

    rc = ngx_kapokmq_stream_begin(r, &info, pass);

    ngx_kapokmq_wake();

    return rc;
}


/* An EventSource that gets anything but 200 gives up for ever: that is for who
 * will never be served. */
static ngx_int_t
ngx_kapokmq_events_check(ngx_http_request_t *r, ngx_kapokmq_pass_t **pass)
{
    ngx_int_t  rc;

    rc = ngx_kapokmq_http_method(r);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
        return ngx_kapokmq_http_refuse(r, NGX_HTTP_BAD_REQUEST,
                                       "The request must have no body");
    }

    if (ngx_kapokmq_worker.kmq == NULL || ngx_exiting) {
        return ngx_kapokmq_events_later(r);
    }

    rc = ngx_kapokmq_door_enter(r, 0, pass);

    return rc == NGX_BUSY ? ngx_kapokmq_events_later(r) : rc;
}


/* Nobody on the way is to keep, compress or gather it. */
ngx_int_t
ngx_kapokmq_events_header(ngx_http_request_t *r, off_t size)
{
    if (ngx_kapokmq_http_header(r, "Cache-Control", "no-store, no-transform")
        != NGX_OK
        || ngx_kapokmq_http_header(r, "X-Accel-Buffering", "no") != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = size;
    ngx_str_set(&r->headers_out.content_type, "text/event-stream");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    ngx_str_set(&r->headers_out.charset, "utf-8");

    /* a limit for downloads would only delay it */
    r->limit_rate = 0;
    r->limit_rate_set = 1;

#if (NGX_HTTP_GZIP)

    /* 256 kB a stream */
    r->gzip_tested = 1;
    r->gzip_ok = 0;

#endif

    return ngx_http_send_header(r);
}


ngx_int_t
ngx_kapokmq_events_later(ngx_http_request_t *r)
{
    u_char       *p;
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    b = ngx_create_temp_buf(r->pool, sizeof("retry: \n\n") + NGX_INT_T_LEN);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_sprintf(b->last, "retry: %d\n\n", NGX_KAPOKMQ_EVENTS_RETRY);

    b->last = p;
    b->last_buf = 1;
    b->last_in_chain = 1;

    rc = ngx_kapokmq_events_header(r, b->last - b->pos);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}
