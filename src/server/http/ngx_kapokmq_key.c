/* The secret key: where a request has it, and whether it is right. */

#include "ngx_kapokmq_http.h"


#define NGX_KAPOKMQ_WRONG_KEY  "Secret key matching error"


ngx_str_t *
ngx_kapokmq_key_header(ngx_http_request_t *r)
{
    return ngx_kapokmq_http_find(r, "secretkey", sizeof("secretkey") - 1);
}


ngx_uint_t
ngx_kapokmq_key_stale(void)
{
    ngx_kapokmq_worker_t  *w;

    w = &ngx_kapokmq_worker;

    return w->key_number != w->shared->key_number;
}


ngx_uint_t
ngx_kapokmq_key_may_produce(ngx_http_request_t *r, const u_char *topic,
    size_t len)
{
    (void) r;
    (void) topic;
    (void) len;

    return 1;
}


/* Takes a time that depends on the length of the given key alone. */
ngx_uint_t
ngx_kapokmq_key_matches(const u_char *key, size_t len)
{
    size_t               i, secret_len;
    const u_char        *secret;
    volatile ngx_uint_t  difference;

    secret = (u_char *) ngx_kapokmq_worker.config->secret_key;
    secret_len = ngx_kapokmq_worker.config->secret_key_len;

    if (secret_len == 0) {
        return 0;
    }

    difference = len ^ secret_len;

    for (i = 0; i < len; i++) {
        difference |= key[i] ^ secret[i % secret_len];
    }

    return difference == 0;
}


/* A worker whose key was changed can only say that a key was right once; any
 * other may be the new one, and the next try comes to another worker. */
ngx_int_t
ngx_kapokmq_http_key(ngx_http_request_t *r, ngx_uint_t right)
{
    if (ngx_kapokmq_key_stale()) {
        r->keepalive = 0;

        if (!right) {
            return ngx_kapokmq_http_unavailable(r);
        }

    } else if (right) {
        return NGX_DECLINED;
    }

    return ngx_kapokmq_http_refuse(r, NGX_HTTP_UNAUTHORIZED,
                                   NGX_KAPOKMQ_WRONG_KEY);
}


ngx_int_t
ngx_kapokmq_http_still(ngx_http_request_t *r)
{
    if (!ngx_kapokmq_key_stale()) {
        return NGX_OK;
    }

    r->keepalive = 0;
    ngx_kapokmq_http_error(r, NGX_HTTP_UNAUTHORIZED, NGX_KAPOKMQ_WRONG_KEY);

    return NGX_ERROR;
}
