/* Headers of requests and of answers. */

#include "ngx_kapokmq_http.h"
#include "../../protocol/kmq_websocket.h"


ngx_str_t *
ngx_kapokmq_http_find(ngx_http_request_t *r, const char *name, size_t len)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;

    part = NULL;
    i = 0;

    return ngx_kapokmq_http_each(r, name, len, &part, &i);
}


ngx_str_t *
ngx_kapokmq_http_each(ngx_http_request_t *r, const char *name, size_t len,
    ngx_list_part_t **part, ngx_uint_t *i)
{
    ngx_table_elt_t  *header;

    if (*part == NULL) {
        *part = &r->headers_in.headers.part;
    }

    for ( ;; ) {

        if (*i >= (*part)->nelts) {
            if ((*part)->next == NULL) {
                return NULL;
            }

            *part = (*part)->next;
            *i = 0;
            continue;
        }

        header = (ngx_table_elt_t *) (*part)->elts + (*i)++;

        if (header->hash && header->key.len == len
            && ngx_strncasecmp(header->key.data, (u_char *) name, len) == 0)
        {
            return &header->value;
        }
    }
}


ngx_uint_t
ngx_kapokmq_http_offers(ngx_http_request_t *r)
{
    ngx_str_t        *value;
    ngx_uint_t        i;
    ngx_list_part_t  *part;

    part = NULL;
    i = 0;

    do {
        value = ngx_kapokmq_http_each(r, "sec-websocket-protocol",
                                      sizeof("sec-websocket-protocol") - 1,
                                      &part, &i);
    } while (value && !kmq_ws_has_token((char *) value->data, value->len,
                                        "kapokmq"));

    return value != NULL;
}


ngx_int_t
ngx_kapokmq_http_header(ngx_http_request_t *r, const char *name,
    const char *value)
{
    ngx_table_elt_t  *header;

    header = ngx_list_push(&r->headers_out.headers);
    if (header == NULL) {
        return NGX_ERROR;
    }

    header->hash = 1;
#if (nginx_version >= 1023000)
    header->next = NULL;
#endif
    header->key.data = (u_char *) name;
    header->key.len = ngx_strlen(name);
    header->value.data = (u_char *) value;
    header->value.len = ngx_strlen(value);

    return NGX_OK;
}
