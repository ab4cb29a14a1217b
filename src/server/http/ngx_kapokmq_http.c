/*
 * What the HTTP endpoints have in common: methods, the key, the body of a
 * request, JSON answers.
 */

#include "../ngx_kapokmq.h"


/* What JSON may make of a message and of the names around it. */
#define NGX_KAPOKMQ_BODY_GROWTH  6
#define NGX_KAPOKMQ_BODY_EXTRA   65536

#define NGX_KAPOKMQ_UNAVAILABLE  "The queue is not available"
#define NGX_KAPOKMQ_WRONG_KEY    "Secret key matching error"


static ngx_int_t ngx_kapokmq_http_options(ngx_http_request_t *r);
static ngx_uint_t ngx_kapokmq_http_encoded(ngx_http_request_t *r);
static ngx_int_t ngx_kapokmq_http_message(ngx_http_request_t *r,
    ngx_uint_t status, const char *text);
static off_t ngx_kapokmq_http_body_max(void);
static ngx_int_t ngx_kapokmq_http_body(ngx_http_request_t *r,
    ngx_str_t *body);
static u_char *ngx_kapokmq_http_copy(u_char *to, ngx_buf_t *buf);


/* ---------------------------------------------------------------- headers */

ngx_str_t *
ngx_kapokmq_http_find(ngx_http_request_t *r, const char *name, size_t len)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header;

    part = &r->headers_in.headers.part;
    header = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            header = part->elts;
            i = 0;
        }

        if (header[i].hash && header[i].key.len == len
            && ngx_strncasecmp(header[i].key.data, (u_char *) name, len) == 0)
        {
            return &header[i].value;
        }
    }
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


ngx_int_t
ngx_kapokmq_http_unavailable(ngx_http_request_t *r)
{
    return ngx_kapokmq_http_refuse(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                   NGX_KAPOKMQ_UNAVAILABLE);
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
                        fields, n);
    if (err) {
        ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST, err);
        return NGX_ERROR;
    }

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


/* ---------------------------------------------------------------- answers */

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
