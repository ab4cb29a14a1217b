/* Requests: how they begin, what their bodies say. */

#include "ngx_kapokmq_http_inside.h"


/* What JSON may make of a message and of the names around it. */
#define NGX_KAPOKMQ_BODY_GROWTH  6
#define NGX_KAPOKMQ_BODY_EXTRA   65536

/* The 10,000 MessageCodes of a request that settles, however small messages
 * are. */
#define NGX_KAPOKMQ_BODY_LEAST   (512 * 1024)


static ngx_int_t ngx_kapokmq_http_options(ngx_http_request_t *r);
static ngx_uint_t ngx_kapokmq_http_encoded(ngx_http_request_t *r);
static ngx_int_t ngx_kapokmq_http_form_lists(ngx_http_request_t *r,
    kmq_field_t *fields, ngx_uint_t n, ngx_uint_t lists,
    kmq_misspelt_t *misspelt);
static ngx_int_t ngx_kapokmq_http_form_bytes(ngx_http_request_t *r,
    ngx_str_t *body, kmq_field_t *fields, ngx_uint_t n, ngx_uint_t lists,
    kmq_misspelt_t *misspelt);
static const char *ngx_kapokmq_http_strict_query(ngx_http_request_t *r,
    kmq_field_t *fields, ngx_uint_t n);
static ngx_int_t ngx_kapokmq_http_body(ngx_http_request_t *r,
    ngx_str_t *body);
static u_char *ngx_kapokmq_http_copy(u_char *to, ngx_buf_t *buf);


/* ------------------------------------------------------------------ start */

/* What nginx calls a method, what headers do, and what is told of others. */
typedef struct {
    ngx_uint_t   methods;
    const char  *header;
    const char  *error;
} ngx_kapokmq_methods_t;

static const ngx_kapokmq_methods_t  ngx_kapokmq_http_get = {
    NGX_HTTP_GET, "GET, OPTIONS", "The method must be GET"
};

static const ngx_kapokmq_methods_t  ngx_kapokmq_http_post = {
    NGX_HTTP_POST, "POST, OPTIONS", "The method must be POST"
};

static const ngx_kapokmq_methods_t  ngx_kapokmq_http_both = {
    NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST, "GET, HEAD, POST, OPTIONS",
    "The method must be GET or POST"
};


static const ngx_kapokmq_methods_t *
ngx_kapokmq_http_allowed(ngx_http_request_t *r)
{
    ngx_kapokmq_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);

    if (lcf->endpoint.kind == NGX_KAPOKMQ_EVENTS) {
        return &ngx_kapokmq_http_get;
    }

    return ngx_kapokmq_http_health(r) ? &ngx_kapokmq_http_both
                                      : &ngx_kapokmq_http_post;
}


/* Is it that function of the console? */
static ngx_uint_t
ngx_kapokmq_http_function(ngx_http_request_t *r, const char *function)
{
    ngx_str_t                name;
    ngx_kapokmq_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);

    return lcf->endpoint.kind == NGX_KAPOKMQ_CONSOLE
           && ngx_kapokmq_path_function(r, &name) == NGX_OK
           && name.len == ngx_strlen(function)
           && ngx_memcmp(name.data, function, name.len) == 0;
}


ngx_uint_t
ngx_kapokmq_http_health(ngx_http_request_t *r)
{
    return ngx_kapokmq_http_function(r, "Health");
}


ngx_uint_t
ngx_kapokmq_http_local(ngx_http_request_t *r)
{
    return ngx_kapokmq_http_health(r)
           || ngx_kapokmq_http_function(r, "GetNodes")
           || ngx_kapokmq_http_function(r, "GetAccess");
}


ngx_uint_t
ngx_kapokmq_http_gone(ngx_http_request_t *r)
{
    ngx_connection_t  *c;

    c = r->connection;

    return c->error || c->close || c->read->error || c->write->error;
}


const char *
ngx_kapokmq_http_methods(ngx_http_request_t *r)
{
    return ngx_kapokmq_http_allowed(r)->header;
}


ngx_int_t
ngx_kapokmq_http_method(ngx_http_request_t *r)
{
    const ngx_kapokmq_methods_t  *allowed;

    /* answers are written by the request's own connection */
    if (r != r->main) {
        return NGX_HTTP_FORBIDDEN;
    }

    if (r->method == NGX_HTTP_OPTIONS) {
        return ngx_kapokmq_http_options(r);
    }

    allowed = ngx_kapokmq_http_allowed(r);

    if (r->method & allowed->methods) {
        return NGX_DECLINED;
    }

    if (ngx_kapokmq_http_header(r, "Allow", allowed->header) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_kapokmq_http_refuse(r, NGX_HTTP_NOT_ALLOWED, allowed->error);
}


static ngx_int_t
ngx_kapokmq_http_options(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_kapokmq_http_header(r, "Allow", ngx_kapokmq_http_methods(r))
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_NO_CONTENT;
    r->header_only = 1;

    return ngx_http_send_header(r);
}


ngx_int_t
ngx_kapokmq_http_check(ngx_http_request_t *r, ngx_kapokmq_pass_t **pass)
{
    ngx_int_t  rc;

    rc = ngx_kapokmq_http_method(r);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (ngx_kapokmq_worker.kmq == NULL
        && !(ngx_kapokmq_worker.hop && ngx_kapokmq_http_local(r)))
    {
        return ngx_kapokmq_http_unavailable(r);
    }

    rc = ngx_kapokmq_door_enter(r, 0, pass);

    if (rc != NGX_DECLINED) {
        return rc == NGX_BUSY ? ngx_kapokmq_http_unavailable(r) : rc;
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

    return NGX_DECLINED;
}


ngx_int_t
ngx_kapokmq_http_start(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt handler)
{
    ngx_int_t            rc;
    ngx_kapokmq_pass_t  *pass;

    rc = ngx_kapokmq_http_check(r, &pass);

    return rc == NGX_DECLINED ? ngx_kapokmq_http_read(r, handler) : rc;
}


ngx_int_t
ngx_kapokmq_http_read(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt handler)
{
    ngx_int_t  rc;

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

off_t
ngx_kapokmq_http_body_max(void)
{
    off_t  max;

    max = (off_t) ngx_kapokmq_worker.config->max_message_size
          * NGX_KAPOKMQ_BODY_GROWTH + NGX_KAPOKMQ_BODY_EXTRA;

    return ngx_max(max, NGX_KAPOKMQ_BODY_LEAST);
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
    return ngx_kapokmq_http_form_lists(r, fields, n, 0, misspelt);
}


ngx_int_t
ngx_kapokmq_http_strict(ngx_http_request_t *r, kmq_field_t *fields,
    ngx_uint_t n, ngx_uint_t lists)
{
    const char      *error;
    kmq_misspelt_t   misspelt;

    if (ngx_kapokmq_http_form_lists(r, fields, n, lists, &misspelt)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    error = ngx_kapokmq_field_strict(r, fields, n, &misspelt);

    if (error == NULL) {
        error = ngx_kapokmq_http_strict_query(r, fields, n);
    }

    if (error) {
        ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST, error);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* What the body has not said may be in the query. */
static const char *
ngx_kapokmq_http_strict_query(ngx_http_request_t *r, kmq_field_t *fields,
    ngx_uint_t n)
{
    ngx_uint_t       i;
    const char      *error;
    kmq_field_t      query[KMQ_FORM_FIELDS];
    kmq_misspelt_t   misspelt;

    if (r->args.len == 0) {
        return NULL;
    }

    ngx_memcpy(query, fields, n * sizeof(kmq_field_t));

    if (ngx_kapokmq_http_query(r, query, n, &misspelt, &error) != NGX_OK) {
        return "the query could not be read";
    }

    for (i = 0; i < n && error == NULL; i++) {

        if (query[i].value == NULL) {
            continue;
        }

        if (fields[i].value) {
            misspelt.repeated |= 1 << i;
        }

        fields[i] = query[i];
    }

    return error ? error : ngx_kapokmq_field_strict(r, query, n, &misspelt);
}


static ngx_int_t
ngx_kapokmq_http_form_lists(ngx_http_request_t *r, kmq_field_t *fields,
    ngx_uint_t n, ngx_uint_t lists, kmq_misspelt_t *misspelt)
{
    ngx_int_t  rc;
    ngx_str_t  body;

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

    return ngx_kapokmq_http_form_bytes(r, &body, fields, n, lists, misspelt);
}


ngx_int_t
ngx_kapokmq_http_form_of(ngx_http_request_t *r, ngx_str_t *body,
    kmq_field_t *fields, ngx_uint_t n, kmq_misspelt_t *misspelt)
{
    return ngx_kapokmq_http_form_bytes(r, body, fields, n, 0, misspelt);
}


static ngx_int_t
ngx_kapokmq_http_form_bytes(ngx_http_request_t *r, ngx_str_t *body,
    kmq_field_t *fields, ngx_uint_t n, ngx_uint_t lists,
    kmq_misspelt_t *misspelt)
{
    ngx_str_t    type;
    const char  *err;

    ngx_str_null(&type);

    if (r->headers_in.content_type) {
        type = r->headers_in.content_type->value;
    }

    err = kmq_form_lists(body->data, body->len, (char *) type.data, type.len,
                         fields, n, lists, misspelt);
    if (err) {
        ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST, err);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Is an argument, up to its end, for the location alone, and for no field? */
static ngx_uint_t
ngx_kapokmq_http_query_foreign(ngx_http_request_t *r, u_char *arg,
    u_char *end, const kmq_field_t *fields, ngx_uint_t n)
{
    size_t       len;
    u_char      *equal;
    ngx_uint_t   i;

    equal = ngx_strlchr(arg, end, '=');
    len = (equal ? equal : end) - arg;

    for (i = 0; i < n; i++) {
        if (len == ngx_strlen(fields[i].name)
            && ngx_strncasecmp(arg, (u_char *) fields[i].name, len) == 0)
        {
            return 0;
        }
    }

    return ngx_kapokmq_path_reads(r, arg, len);
}


/* Copies the query's arguments, without those; returns the byte behind them. */
static u_char *
ngx_kapokmq_http_query_copy(ngx_http_request_t *r, u_char *to,
    const kmq_field_t *fields, ngx_uint_t n)
{
    u_char  *p, *end, *last;

    last = r->args.data + r->args.len;

    for (p = r->args.data; p < last; p = end) {

        end = ngx_strlchr(p, last, '&');
        end = end ? end + 1 : last;

        if (!ngx_kapokmq_http_query_foreign(r, p, end - (end[-1] == '&'),
                                            fields, n))
        {
            to = ngx_cpymem(to, p, end - p);
        }
    }

    return to;
}


ngx_int_t
ngx_kapokmq_http_query(ngx_http_request_t *r, kmq_field_t *fields,
    ngx_uint_t n, kmq_misspelt_t *misspelt, const char **error)
{
    u_char  *query, *end;

    /* never empty, so that there is an address in any case */
    query = ngx_pnalloc(r->pool, r->args.len + 1);
    if (query == NULL) {
        return NGX_ERROR;
    }

    end = ngx_kapokmq_http_query_copy(r, query, fields, n);

    *error = kmq_form_query(query, end - query, fields, n, misspelt);

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
