/* Health and GetNodes: can this nginx serve, and which others are there? */

#include "ngx_kapokmq_console_inside.h"
#include "../http/ngx_kapokmq_hop.h"


static ngx_uint_t ngx_kapokmq_health_good(ngx_http_request_t *r);


/* ------------------------------------------------------------------ Health */

ngx_int_t
ngx_kapokmq_health(ngx_http_request_t *r)
{
    ngx_int_t  rc;
    ngx_str_t  json = ngx_string("{\"code\":0}");

    rc = ngx_kapokmq_http_method(r);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (!ngx_kapokmq_health_good(r)) {
        return ngx_kapokmq_http_unavailable(r);
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_kapokmq_http_answer(r, NGX_HTTP_OK, &json);
}


/* A worker that is exiting after a reload has successors: that is no stop. */
static ngx_uint_t
ngx_kapokmq_health_good(ngx_http_request_t *r)
{
    ngx_kapokmq_worker_t  *w;

    w = &ngx_kapokmq_worker;

    return ngx_kapokmq_hop_good(r)
           && !(ngx_exiting && w->reloads == w->shared->reloads);
}


/* ---------------------------------------------------------------- GetNodes */

void
ngx_kapokmq_nodes_get(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    ngx_str_t  json = ngx_string("{\"code\":0,\"data\":[]}");

    (void) rights;

    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}
