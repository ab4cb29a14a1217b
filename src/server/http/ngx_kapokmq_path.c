/*
 * What of a request's URI is the location's, and what is behind it.
 *
 * Nothing but r->uri is looked at, which nginx has matched: decoded, dots and
 * double slashes resolved, rewrites done.  Whatever took its names from another
 * place, or from another part of it, would serve what an access rule denies.
 */

#include "ngx_kapokmq_http.h"


#define NGX_KAPOKMQ_PATH_NAMES                                                \
    "Exactly two names are expected behind the location: {topic}/{id}"


static ngx_int_t ngx_kapokmq_path_rest(ngx_http_request_t *r,
    ngx_str_t *rest);
static ngx_int_t ngx_kapokmq_path_segments(ngx_http_request_t *r,
    ngx_kapokmq_names_t *names);
static ngx_int_t ngx_kapokmq_path_values(ngx_http_request_t *r,
    ngx_kapokmq_path_t *path, ngx_kapokmq_names_t *names);
static ngx_uint_t ngx_kapokmq_path_of_name(u_char c);
static ngx_uint_t ngx_kapokmq_path_argument(const ngx_str_t *text,
    const u_char *name, size_t len);
static void ngx_kapokmq_path_last(ngx_str_t *segments);
static ngx_int_t ngx_kapokmq_path_handler(ngx_http_request_t *r);
static ngx_uint_t ngx_kapokmq_path_slash(ngx_http_request_t *r);


static ngx_kapokmq_path_t *
ngx_kapokmq_path(ngx_http_request_t *r)
{
    ngx_kapokmq_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);

    return &lcf->path;
}


/*
 * What follows the location's prefix, without the slash between them, nor one
 * at the end.  NGX_DECLINED: the location has no prefix.  NGX_ERROR: the URI is
 * not of that location: no slash follows, or "rewrite ... break" changed it.
 */
static ngx_int_t
ngx_kapokmq_path_rest(ngx_http_request_t *r, ngx_str_t *rest)
{
    ngx_str_t           *prefix;
    ngx_kapokmq_path_t  *path;

    path = ngx_kapokmq_path(r);
    prefix = &path->prefix;

    if (path->match == NGX_KAPOKMQ_PATTERN) {
        return NGX_DECLINED;
    }

    if (r->uri.len < prefix->len
        || ngx_filename_cmp(r->uri.data, prefix->data, prefix->len) != 0)
    {
        return NGX_ERROR;
    }

    rest->data = r->uri.data + prefix->len;
    rest->len = r->uri.len - prefix->len;

    if (rest->len == 0) {
        return NGX_OK;
    }

    if (path->match == NGX_KAPOKMQ_EXACT) {
        return NGX_ERROR;
    }

    if (prefix->len == 0 || prefix->data[prefix->len - 1] != '/') {

        if (rest->data[0] != '/') {
            return NGX_ERROR;
        }

        rest->data++;
        rest->len--;
    }

    if (rest->len > 1 && rest->data[rest->len - 1] == '/') {
        rest->len--;
    }

    return NGX_OK;
}


/* ------------------------------------------------------------------ names */

ngx_int_t
ngx_kapokmq_path_names(ngx_http_request_t *r, ngx_kapokmq_names_t *names,
    const char **error)
{
    ngx_int_t            rc;
    ngx_kapokmq_path_t  *path;

    path = ngx_kapokmq_path(r);

    if (path->topic) {
        rc = ngx_kapokmq_path_values(r, path, names);

        if (rc != NGX_OK) {
            *error = "topic= and id= have no value";
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

    } else if (ngx_kapokmq_path_segments(r, names) != NGX_OK) {
        *error = NGX_KAPOKMQ_PATH_NAMES;
        return NGX_HTTP_NOT_FOUND;
    }

    *error = kmq_topic_error(names->topic.data, names->topic.len);

    if (*error == NULL) {
        *error = kmq_id_error(names->id.data, names->id.len);
    }

    return *error ? NGX_HTTP_BAD_REQUEST : NGX_OK;
}


static ngx_int_t
ngx_kapokmq_path_segments(ngx_http_request_t *r, ngx_kapokmq_names_t *names)
{
    u_char     *slash, *end;
    ngx_str_t   rest;

    if (ngx_kapokmq_path_rest(r, &rest) != NGX_OK) {
        return NGX_DECLINED;
    }

    end = rest.data + rest.len;
    slash = ngx_strlchr(rest.data, end, '/');

    if (slash == NULL || ngx_strlchr(slash + 1, end, '/')) {
        return NGX_DECLINED;
    }

    names->topic.data = rest.data;
    names->topic.len = slash - rest.data;
    names->id.data = slash + 1;
    names->id.len = end - names->id.data;

    return NGX_OK;
}


/* They may be made of $kapokmq_topic or $kapokmq_id, which would be made of
 * them without an end. */
static ngx_int_t
ngx_kapokmq_path_values(ngx_http_request_t *r, ngx_kapokmq_path_t *path,
    ngx_kapokmq_names_t *names)
{
    ngx_int_t  rc;

    static ngx_uint_t  inside;

    if (inside) {
        return NGX_ERROR;
    }

    inside = 1;

    rc = ngx_http_complex_value(r, path->topic, &names->topic);

    if (rc == NGX_OK) {
        rc = ngx_http_complex_value(r, path->id, &names->id);
    }

    inside = 0;

    return rc;
}


/* May it be part of a variable's name? */
static ngx_uint_t
ngx_kapokmq_path_of_name(u_char c)
{
    return (ngx_tolower(c) >= 'a' && ngx_tolower(c) <= 'z')
           || (c >= '0' && c <= '9') || c == '_';
}


/* Does the text name $arg_NAME, in any case of letters, as nginx does? */
static ngx_uint_t
ngx_kapokmq_path_argument(const ngx_str_t *text, const u_char *name,
    size_t len)
{
    u_char  *p, *end;

    end = text->data + text->len;

    for (p = ngx_strlchr(text->data, end, '$'); p;
         p = ngx_strlchr(p, end, '$'))
    {
        p++;
        p += (p < end && *p == '{');

        if (end - p < 4 || ngx_strncasecmp(p, (u_char *) "arg_", 4) != 0) {
            continue;
        }

        p += 4;

        if ((size_t) (end - p) >= len
            && ngx_strncasecmp(p, (u_char *) name, len) == 0
            && (p + len == end || !ngx_kapokmq_path_of_name(p[len])))
        {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_kapokmq_path_reads(ngx_http_request_t *r, const u_char *name, size_t len)
{
    ngx_kapokmq_path_t  *path;

    path = ngx_kapokmq_path(r);

    if (path->reads.len) {
        return ngx_kapokmq_path_argument(&path->reads, name, len);
    }

    return path->topic
           && (ngx_kapokmq_path_argument(&path->topic->value, name, len)
               || ngx_kapokmq_path_argument(&path->id->value, name, len));
}


/* -------------------------------------------------------------- functions */

ngx_int_t
ngx_kapokmq_path_function(ngx_http_request_t *r, ngx_str_t *name)
{
    ngx_kapokmq_path_t  *path;

    path = ngx_kapokmq_path(r);

    if (ngx_kapokmq_path_rest(r, name) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (path->match == NGX_KAPOKMQ_EXACT) {
        *name = path->prefix;
        ngx_kapokmq_path_last(name);
    }

    if (name->len == 0
        || ngx_strlchr(name->data, name->data + name->len, '/'))
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* Cuts off all but the last segment, and a slash behind that. */
static void
ngx_kapokmq_path_last(ngx_str_t *segments)
{
    u_char  *p, *end;

    end = segments->data + segments->len;

    if (segments->len && end[-1] == '/') {
        end--;
    }

    for (p = end; p > segments->data && p[-1] != '/'; p--) {
        /* void */
    }

    segments->data = p;
    segments->len = end - p;
}


ngx_uint_t
ngx_kapokmq_path_behind(ngx_http_request_t *r, const char *name)
{
    ngx_int_t  rc;
    ngx_str_t  rest;

    rc = ngx_kapokmq_path_rest(r, &rest);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED;
    }

    return rest.len == 0
           || (name && rest.len == ngx_strlen(name)
               && ngx_memcmp(rest.data, name, rest.len) == 0);
}


/* As nginx does: what is not found is noted unless log_not_found is off, and
 * what a client does wrong is information. */
void
ngx_kapokmq_path_log(ngx_http_request_t *r, ngx_uint_t status,
    const char *error)
{
    ngx_uint_t                 level;
    ngx_kapokmq_path_t        *path;
    ngx_http_core_loc_conf_t  *clcf;

    path = ngx_kapokmq_path(r);
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    level = (status == NGX_HTTP_BAD_REQUEST
             || (status == NGX_HTTP_NOT_FOUND && !clcf->log_not_found))
            ? NGX_LOG_INFO : NGX_LOG_ERR;

    ngx_log_error(level, r->connection->log, 0,
                  "%s; the URI is \"%V\", the location \"%V\"", error, &r->uri,
                  &path->prefix);
}


/* ------------------------------------------------------ a slash at the end */

/*
 * A slash may end the path of each endpoint, but what is served with one is
 * what is served without, and a rule for that must hold.  So it is taken off,
 * and nginx begins again with the URI: in the server, as after an internal
 * redirect, but the request is no internal one.
 */
static ngx_int_t
ngx_kapokmq_path_handler(ngx_http_request_t *r)
{
    ngx_http_core_srv_conf_t   *cscf;
    ngx_http_core_main_conf_t  *cmcf;

    if (!ngx_kapokmq_path_slash(r)) {
        return NGX_DECLINED;
    }

    if (--r->uri_changes == 0) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "rewrite or internal redirection cycle while taking "
                      "the slash off the end of \"%V\"", &r->uri);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    r->uri.len--;
    r->valid_unparsed_uri = 0;
    ngx_http_set_exten(r);

    r->loc_conf = cscf->ctx->loc_conf;
    ngx_http_update_location_config(r);

    /* the next handler is the one behind this number */
    r->phase_handler = (ngx_int_t) cmcf->phase_engine.server_rewrite_index - 1;

    return NGX_DECLINED;
}


/* Is there such a slash?  Two of them, where merge_slashes is off, are none. */
static ngx_uint_t
ngx_kapokmq_path_slash(ngx_http_request_t *r)
{
    u_char                  *end;
    ngx_str_t                rest;
    ngx_kapokmq_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);

    if (lcf->endpoint.kind == NGX_KAPOKMQ_NOTHING
        || lcf->endpoint.kind == NGX_KAPOKMQ_HOP
        || lcf->path.topic || r != r->main || r->uri_changed
        || r->uri.len <= lcf->path.prefix.len)
    {
        return 0;
    }

    end = r->uri.data + r->uri.len;

    return end[-1] == '/' && end - r->uri.data > 1 && end[-2] != '/'
           && ngx_kapokmq_path_rest(r, &rest) == NGX_OK;
}


ngx_int_t
ngx_kapokmq_path_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *handler;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    handler = ngx_array_push(
                          &cmcf->phases[NGX_HTTP_REWRITE_PHASE].handlers);
    if (handler == NULL) {
        return NGX_ERROR;
    }

    *handler = ngx_kapokmq_path_handler;

    return NGX_OK;
}
