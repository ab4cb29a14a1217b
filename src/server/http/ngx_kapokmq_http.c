/* Requests: where they go, how they begin, what their bodies say. */

#include "ngx_kapokmq_http_inside.h"


/* What JSON may make of a message and of the names around it. */
#define NGX_KAPOKMQ_BODY_GROWTH  6
#define NGX_KAPOKMQ_BODY_EXTRA   65536


static ngx_int_t ngx_kapokmq_http_options(ngx_http_request_t *r);
static ngx_uint_t ngx_kapokmq_http_encoded(ngx_http_request_t *r);
static off_t ngx_kapokmq_http_body_max(void);
static ngx_int_t ngx_kapokmq_http_body(ngx_http_request_t *r,
    ngx_str_t *body);
static u_char *ngx_kapokmq_http_copy(u_char *to, ngx_buf_t *buf);


/* --------------------------------------------------------------- the path */

ngx_int_t
ngx_kapokmq_http_rest(ngx_http_request_t *r, ngx_str_t *rest)
{
    ngx_str_t                 *prefix;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    prefix = &clcf->name;

    if (r->uri.len < prefix->len
        || ngx_strncmp(r->uri.data, prefix->data, prefix->len) != 0)
    {
        return NGX_DECLINED;
    }

    rest->data = r->uri.data + prefix->len;
    rest->len = r->uri.len - prefix->len;

    return NGX_OK;
}


static ngx_uint_t
ngx_kapokmq_http_slashes(const u_char *p, const u_char *end)
{
    ngx_uint_t  n;

    for (n = 0; p < end; p++) {
        n += (*p == '/');
    }

    return n;
}


/* A slash may end the path where both names stand before it. */
const char *
ngx_kapokmq_http_names(ngx_http_request_t *r, u_char topic[KMQ_NAME_MAX],
    size_t *topic_len, u_char id[KMQ_NAME_MAX], size_t *id_len)
{
    u_char      *path, *end;
    ngx_str_t    rest;
    ngx_uint_t   names;

    path = r->unparsed_uri.data;
    end = ngx_strlchr(path, path + r->unparsed_uri.len, '?');

    if (end == NULL) {
        end = path + r->unparsed_uri.len;
    }

    if (end > path && end[-1] == '/'
        && ngx_kapokmq_http_rest(r, &rest) == NGX_OK)
    {
        names = ngx_kapokmq_http_slashes(path, end)
                - ngx_kapokmq_http_slashes(r->uri.data, rest.data);

        if (names == (rest.len && rest.data[0] == '/' ? 3 : 2)) {
            end--;
        }
    }

    return kmq_path_names(path, end - path, topic, topic_len, id, id_len);
}


/* ------------------------------------------------------------------ start */

static ngx_int_t
ngx_kapokmq_http_options(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_kapokmq_http_header(r, "Allow", "POST, OPTIONS") != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_NO_CONTENT;
    r->header_only = 1;

    return ngx_http_send_header(r);
}


ngx_int_t
ngx_kapokmq_http_start(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt handler)
{
    ngx_int_t   rc;
    ngx_str_t  *key;

    /* answers are written by the request's own connection */
    if (r != r->main) {
        return NGX_HTTP_FORBIDDEN;
    }

    if (r->method == NGX_HTTP_OPTIONS) {
        return ngx_kapokmq_http_options(r);
    }

    if (r->method != NGX_HTTP_POST) {
        if (ngx_kapokmq_http_header(r, "Allow", "POST, OPTIONS") != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_kapokmq_http_refuse(r, NGX_HTTP_NOT_ALLOWED,
                                       "The method must be POST");
    }

    if (ngx_kapokmq_worker.kmq == NULL) {
        return ngx_kapokmq_http_unavailable(r);
    }

    key = ngx_kapokmq_key_header(r);

    rc = ngx_kapokmq_http_key(r, key && ngx_kapokmq_key_matches(key->data,
                                                                key->len));
    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (ngx_kapokmq_http_encoded(r)) {

        if (ngx_kapokmq_http_header(r, "Accept-Encoding", "identity")
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_kapokmq_http_refuse(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                       "The body must have no "
                                       "Content-Encoding");
    }

    if (r->headers_in.content_length_n > ngx_kapokmq_http_body_max()) {
        return ngx_kapokmq_http_refuse(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                       NGX_KAPOKMQ_TOO_LARGE);
    }

    /* a body that breaks off is nginx's to refuse, with the connection: it is
     * not known where the next request begins */

    rc = ngx_http_read_client_request_body(r, handler);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


/* Is the body compressed, or the like? */
static ngx_uint_t
ngx_kapokmq_http_encoded(ngx_http_request_t *r)
{
    ngx_str_t  *coding;

    coding = ngx_kapokmq_http_find(r, "content-encoding",
                                   sizeof("content-encoding") - 1);

    return coding && coding->len
           && (coding->len != sizeof("identity") - 1
               || ngx_strncasecmp(coding->data, (u_char *) "identity",
                                  coding->len)
                  != 0);
}


/* --------------------------------------------------------------- the body */

static off_t
ngx_kapokmq_http_body_max(void)
{
    return (off_t) ngx_kapokmq_worker.config->max_message_size
           * NGX_KAPOKMQ_BODY_GROWTH + NGX_KAPOKMQ_BODY_EXTRA;
}


ngx_int_t
ngx_kapokmq_http_fields(ngx_http_request_t *r, kmq_field_t *fields,
    ngx_uint_t n)
{
    return ngx_kapokmq_http_form(r, fields, n, NULL);
}


ngx_int_t
ngx_kapokmq_http_form(ngx_http_request_t *r, kmq_field_t *fields,
    ngx_uint_t n, kmq_misspelt_t *misspelt)
{
    ngx_int_t    rc;
    ngx_str_t    body, type;
    const char  *err;

    rc = ngx_kapokmq_http_body(r, &body);

    if (rc == NGX_DECLINED) {
        ngx_kapokmq_http_error(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                               NGX_KAPOKMQ_TOO_LARGE);
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        ngx_kapokmq_http_error(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                               "The request could not be read");
        return NGX_ERROR;
    }

    ngx_str_null(&type);

    if (r->headers_in.content_type) {
        type = r->headers_in.content_type->value;
    }

    err = kmq_form_read(body.data, body.len, (char *) type.data, type.len,
                        fields, n, misspelt);
    if (err) {
        ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST, err);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_kapokmq_http_query(ngx_http_request_t *r, kmq_field_t *fields,
    ngx_uint_t n, kmq_misspelt_t *misspelt, const char **error)
{
    u_char  *query;

    /* never empty, so that there is an address in any case */
    query = ngx_pnalloc(r->pool, r->args.len + 1);
    if (query == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(query, r->args.data, r->args.len);

    *error = kmq_form_query(query, r->args.len, fields, n, misspelt);

    return NGX_OK;
}


/*
 * The body in one piece, which is the caller's own: others, a mirror for
 * one, may still read nginx's buffers.  NGX_DECLINED: it is too large.
 */
static ngx_int_t
ngx_kapokmq_http_body(ngx_http_request_t *r, ngx_str_t *body)
{
    off_t         size;
    u_char       *p;
    ngx_chain_t  *cl, *bufs;

    bufs = r->request_body ? r->request_body->bufs : NULL;
    size = 0;

    for (cl = bufs; cl; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    if (size > ngx_kapokmq_http_body_max()) {
        return NGX_DECLINED;
    }

    /* never empty, so that there is an address in any case */
    body->len = (size_t) size;
    body->data = ngx_pnalloc(r->pool, body->len + 1);
    if (body->data == NULL) {
        return NGX_ERROR;
    }

    p = body->data;

    for (cl = bufs; cl; cl = cl->next) {
        p = ngx_kapokmq_http_copy(p, cl->buf);
        if (p == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* Copies a buffer, which may be a part of a file.  Returns the byte behind,
 * or NULL. */
static u_char *
ngx_kapokmq_http_copy(u_char *to, ngx_buf_t *buf)
{
    size_t   size;
    ssize_t  n;

    if (ngx_buf_in_memory(buf)) {
        return ngx_cpymem(to, buf->pos, buf->last - buf->pos);
    }

    if (!buf->in_file) {
        return to;
    }

    size = (size_t) (buf->file_last - buf->file_pos);
    n = ngx_read_file(buf->file, to, size, buf->file_pos);

    return n == (ssize_t) size ? to + size : NULL;
}
