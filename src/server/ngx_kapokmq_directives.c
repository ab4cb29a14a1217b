/* Directives and contexts. */

#include "ngx_kapokmq_process.h"
#include "cluster/ngx_kapokmq_cluster.h"
#include "http/ngx_kapokmq_hop.h"


/* What nginx's slab allocator takes of a zone for itself, at most, and what is
 * about keys. */
#define NGX_KAPOKMQ_OVERHEAD(size)                                            \
    ((size) / 64 + 10 * ngx_pagesize + kmq_valid_size() + kmq_tries_size()    \
     + kmq_used_size())

/* A header by which a request is handed on, with all that a key may do. */
#define NGX_KAPOKMQ_HOP_BUFFER      65536

#define NGX_KAPOKMQ_FILE_MAX        (1024 * 1024)

/* Topics that have metrics of their own. */
#define NGX_KAPOKMQ_TOPICS_DEFAULT  1000
#define NGX_KAPOKMQ_TOPICS_MAX      10000


static ngx_int_t ngx_kapokmq_conf_size(ngx_str_t *value, size_t *size);
static char *ngx_kapokmq_conf_size_check(ngx_conf_t *cf, size_t size);
static char *ngx_kapokmq_conf_resized(ngx_conf_t *cf, ngx_str_t *name,
    size_t size);
static ngx_int_t ngx_kapokmq_conf_read(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *text);
static ngx_int_t ngx_kapokmq_conf_seal(ngx_conf_t *cf, kmq_config_t *config);
static ngx_int_t ngx_kapokmq_conf_defaults(ngx_conf_t *cf,
    ngx_kapokmq_main_conf_t *mcf);
static const char *ngx_kapokmq_conf_env(const char *name);
static void ngx_kapokmq_conf_log(void *arg, int fatal, const char *file,
    size_t line, size_t column, const char *text);
static void ngx_kapokmq_conf_free(void *data);
static void ngx_kapokmq_conf_path(ngx_http_core_loc_conf_t *clcf,
    ngx_kapokmq_path_t *path);
static char *ngx_kapokmq_conf_name(ngx_conf_t *cf, ngx_str_t *value,
    ngx_kapokmq_path_t *path);
static char *ngx_kapokmq_conf_value(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_complex_value_t **value);
static char *ngx_kapokmq_conf_merge_endpoint(ngx_conf_t *cf,
    ngx_kapokmq_loc_conf_t *prev, ngx_kapokmq_loc_conf_t *conf);
static ngx_int_t ngx_kapokmq_conf_hop(ngx_conf_t *cf,
    ngx_kapokmq_main_conf_t *mcf);
static ngx_uint_t ngx_kapokmq_conf_serves(void);
static ngx_int_t ngx_kapokmq_conf_way(ngx_conf_t *cf,
    ngx_kapokmq_loc_conf_t *conf);
static ngx_int_t ngx_kapokmq_conf_ways(ngx_conf_t *cf,
    ngx_kapokmq_main_conf_t *mcf);
static ngx_uint_t ngx_kapokmq_conf_named(const ngx_kapokmq_way_t *way);
static void ngx_kapokmq_conf_port(ngx_conf_t *cf,
    ngx_kapokmq_main_conf_t *mcf);
static void ngx_kapokmq_conf_several(ngx_conf_t *cf,
    const ngx_kapokmq_main_conf_t *mcf);


/* ------------------------------------------------------------------- zone */

char *
ngx_kapokmq_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_kapokmq_main_conf_t  *mcf = conf;

    char       *error;
    size_t      size;
    ngx_str_t  *value, name;

    if (mcf->zone) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_kapokmq_conf_size(&value[1], &size) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\" of \"%V\", a number with the "
                           "suffix k, m or g is expected", &value[1],
                           &cmd->name);
        return NGX_CONF_ERROR;
    }

    error = ngx_kapokmq_conf_size_check(cf, size);
    if (error != NGX_CONF_OK) {
        return error;
    }

    ngx_str_set(&name, "kapokmq");

    error = ngx_kapokmq_conf_resized(cf, &name, size);
    if (error != NGX_CONF_OK) {
        return error;
    }

    mcf->zone = ngx_shared_memory_add(cf, &name, size, &ngx_kapokmq_module);
    if (mcf->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    mcf->zone->init = ngx_kapokmq_zone_init;
    mcf->zone->data = mcf;

    return NGX_CONF_OK;
}


/* As an offset, since those may have a g. */
static ngx_int_t
ngx_kapokmq_conf_size(ngx_str_t *value, size_t *size)
{
    off_t  n;

    n = ngx_parse_offset(value);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    *size = ngx_align((size_t) n, ngx_pagesize);

    return NGX_OK;
}


static char *
ngx_kapokmq_conf_size_check(ngx_conf_t *cf, size_t size)
{
    size_t      min, max;
    ngx_str_t  *value;

    value = cf->args->elts;

    min = kmq_block_min();
    min += NGX_KAPOKMQ_OVERHEAD(min);

    max = kmq_block_max();
    max += NGX_KAPOKMQ_OVERHEAD(max);

    if (size < min) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone of \"%V\" is too small, at least %uzk are "
                           "needed", &value[1], (min + 1023) / 1024);
        return NGX_CONF_ERROR;
    }

    if (size > max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone of \"%V\" is too large, %uzm can be used at "
                           "most", &value[1], max / (1024 * 1024));
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/*
 * With another size nginx would make a new, empty zone at a reload and drop
 * the one that holds the messages.
 */
static char *
ngx_kapokmq_conf_resized(ngx_conf_t *cf, ngx_str_t *name, size_t size)
{
    ngx_uint_t        i;
    ngx_shm_zone_t   *zone;
    ngx_list_part_t  *part;

    part = &cf->cycle->old_cycle->shared_memory.part;

    for ( /* void */ ; part; part = part->next) {
        zone = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (zone[i].tag != &ngx_kapokmq_module
                || zone[i].shm.name.len != name->len
                || ngx_strncmp(zone[i].shm.name.data, name->data, name->len)
                   != 0
                || zone[i].shm.size == size)
            {
                continue;
            }

            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "the size of the zone cannot change from %uzk "
                               "to %uzk at a reload, since all messages "
                               "would be lost; stop nginx and start it again",
                               zone[i].shm.size / 1024, size / 1024);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* ------------------------------------------------------- application.yaml */

char *
ngx_kapokmq_conf_config(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_kapokmq_main_conf_t  *mcf = conf;

    int         rc;
    ngx_str_t  *value, text;

    (void) cmd;

    if (mcf->config_file.data) {
        return "is duplicate";
    }

    value = cf->args->elts;
    mcf->config_file = value[1];

    if (ngx_conf_full_name(cf->cycle, &mcf->config_file, 1) != NGX_OK
        || ngx_kapokmq_conf_read(cf, &mcf->config_file, &text) != NGX_OK
        || ngx_kapokmq_conf_defaults(cf, mcf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    rc = kmq_config_parse(mcf->config, (char *) mcf->config_file.data,
                          text.data, text.len, ngx_kapokmq_conf_env,
                          ngx_kapokmq_conf_log, cf);

    /* it has keys in it, and the pool's memory will be somebody else's */
    ngx_explicit_memzero(text.data, text.len);

    if (rc != 0 || ngx_kapokmq_conf_seal(cf, mcf->config) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* The public key, where a file has it, and which keys are valid. */
static ngx_int_t
ngx_kapokmq_conf_seal(ngx_conf_t *cf, kmq_config_t *config)
{
    ngx_str_t  name, pem;

    ngx_str_null(&pem);

    name.data = (u_char *) config->token_key_file;
    name.len = ngx_strlen(name.data);

    if (name.len
        && (ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK
            || ngx_kapokmq_conf_read(cf, &name, &pem) != NGX_OK))
    {
        return NGX_ERROR;
    }

    return kmq_config_seal(config, (char *) pem.data, pem.len,
                           ngx_kapokmq_conf_log, cf)
           == 0 ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_kapokmq_conf_read(ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *text)
{
    off_t            size;
    ngx_int_t        rc;
    ngx_file_t       file;
    ngx_file_info_t  fi;

    ngx_memzero(&file, sizeof(ngx_file_t));

    file.name = *name;
    file.log = cf->log;
    file.fd = ngx_open_file(name->data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                            NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", name);
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (ngx_fd_info(file.fd, &fi) == NGX_FILE_ERROR || !ngx_is_file(&fi)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" is not a file", name);
        goto done;
    }

    size = ngx_file_size(&fi);

    if (size > NGX_KAPOKMQ_FILE_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" has %O bytes, more than 1 MiB", name, size);
        goto done;
    }

    text->len = size;
    text->data = ngx_pnalloc(cf->temp_pool, size + 1);

    if (text->data
        && ngx_read_file(&file, text->data, text->len, 0) == (ssize_t) size)
    {
        rc = NGX_OK;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "\"%V\" could not be read", name);
    }

done:

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, cf->log, ngx_errno,
                      ngx_close_file_n " \"%V\" failed", name);
    }

    return rc;
}


static ngx_int_t
ngx_kapokmq_conf_defaults(ngx_conf_t *cf, ngx_kapokmq_main_conf_t *mcf)
{
    ngx_pool_cleanup_t  *cleanup;

    cleanup = ngx_pool_cleanup_add(cf->pool, sizeof(kmq_config_t));
    if (cleanup == NULL) {
        return NGX_ERROR;
    }

    mcf->config = cleanup->data;
    ngx_memzero(mcf->config, sizeof(kmq_config_t));

    kmq_config_defaults(mcf->config);

    cleanup->handler = ngx_kapokmq_conf_free;

    return NGX_OK;
}


static void
ngx_kapokmq_conf_free(void *data)
{
    kmq_config_free(data);
}


static const char *
ngx_kapokmq_conf_env(const char *name)
{
    return getenv(name);
}


static void
ngx_kapokmq_conf_log(void *arg, int fatal, const char *file, size_t line,
    size_t column, const char *text)
{
    ngx_conf_t  *cf = arg;

    if (line == 0) {
        ngx_conf_log_error(fatal ? NGX_LOG_EMERG : NGX_LOG_WARN, cf, 0,
                           "%s: %s", file, text);
        return;
    }

    ngx_conf_log_error(fatal ? NGX_LOG_EMERG : NGX_LOG_WARN, cf, 0,
                       "%s:%uz:%uz: %s", file, line, column, text);
}


/* -------------------------------------------------------------- locations */

char *
ngx_kapokmq_conf_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_kapokmq_loc_conf_t  *lcf = conf;

    ngx_kapokmq_endpoint_t    *endpoint;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_kapokmq_main_conf_t   *mcf;

    endpoint = cmd->post;
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_kapokmq_module);

    if (lcf->endpoint.kind == endpoint->kind) {
        return "is duplicate";
    }

    if (lcf->endpoint.kind) {
        return "is the second kapokmq handler of this location, which can "
               "have only one";
    }

    if (clcf->handler) {
        return "conflicts with another handler of this location";
    }

    lcf->endpoint = *endpoint;
    clcf->handler = ngx_kapokmq_door;
    ngx_kapokmq_conf_path(clcf, &lcf->path);

    if (mcf->user == NULL) {
        mcf->user = &cmd->name;
    }

    return NGX_CONF_OK;
}


static void
ngx_kapokmq_conf_path(ngx_http_core_loc_conf_t *clcf,
    ngx_kapokmq_path_t *path)
{
    path->prefix = clcf->name;

    if (clcf->exact_match) {
        path->match = NGX_KAPOKMQ_EXACT;
    }

    if (clcf->named) {
        path->match = NGX_KAPOKMQ_PATTERN;
    }

#if (NGX_PCRE)
    if (clcf->regex) {
        path->match = NGX_KAPOKMQ_PATTERN;
    }
#endif
}


/* kapokmq_producer and kapokmq_consumer [topic=VALUE id=VALUE]; */
char *
ngx_kapokmq_conf_client(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_kapokmq_loc_conf_t  *lcf = conf;

    char        *error;
    ngx_str_t   *value;
    ngx_uint_t   i;

    error = ngx_kapokmq_conf_endpoint(cf, cmd, conf);
    if (error != NGX_CONF_OK) {
        return error;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        error = ngx_kapokmq_conf_name(cf, &value[i], &lcf->path);

        if (error != NGX_CONF_OK) {
            return error;
        }
    }

    if ((lcf->path.topic == NULL) != (lcf->path.id == NULL)) {
        return lcf->path.id ? "has \"id=\", but no \"topic=\""
                            : "has \"topic=\", but no \"id=\"";
    }

    if (lcf->path.topic) {
        return NGX_CONF_OK;
    }

    if (lcf->path.match == NGX_KAPOKMQ_PATTERN) {
        return "needs \"topic=\" and \"id=\" in a location that is named, or "
               "given by a regular expression";
    }

    if (lcf->path.match == NGX_KAPOKMQ_EXACT) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" needs \"topic=\" and \"id=\" in an exact "
                           "location, which has no names behind it; each "
                           "request will be answered 404", &cmd->name);
    }

    return NGX_CONF_OK;
}


/* topic=VALUE or id=VALUE */
static char *
ngx_kapokmq_conf_name(ngx_conf_t *cf, ngx_str_t *value,
    ngx_kapokmq_path_t *path)
{
    size_t                      skip;
    ngx_str_t                   text;
    ngx_http_complex_value_t  **name;

    if (ngx_strncmp(value->data, "topic=", 6) == 0) {
        name = &path->topic;
        skip = 6;

    } else if (ngx_strncmp(value->data, "id=", 3) == 0) {
        name = &path->id;
        skip = 3;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\", \"topic=NAME\" or "
                           "\"id=NAME\" is expected", value);
        return NGX_CONF_ERROR;
    }

    if (*name || value->len == skip) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "parameter \"%V\" is %s",
                           value, *name ? "duplicate" : "empty");
        return NGX_CONF_ERROR;
    }

    text.data = value->data + skip;
    text.len = value->len - skip;

    return ngx_kapokmq_conf_value(cf, &text, name);
}


/* A text with variables. */
static char *
ngx_kapokmq_conf_value(ngx_conf_t *cf, ngx_str_t *text,
    ngx_http_complex_value_t **value)
{
    ngx_http_compile_complex_value_t  ccv;

    *value = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (*value == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = text;
    ccv.complex_value = *value;

    return (ngx_http_compile_complex_value(&ccv) == NGX_OK) ? NGX_CONF_OK
                                                            : NGX_CONF_ERROR;
}


/* kapokmq_console;  In an exact location it has one function, else all. */
char *
ngx_kapokmq_conf_console(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_kapokmq_loc_conf_t  *lcf = conf;

    char  *error;

    error = ngx_kapokmq_conf_endpoint(cf, cmd, conf);

    if (error == NGX_CONF_OK && lcf->path.match == NGX_KAPOKMQ_PATTERN) {
        return "needs a location that is a prefix, or exact, since its "
               "functions are named behind that";
    }

    return error;
}


/* kapokmq_metrics [key] [topics=N]; */
char *
ngx_kapokmq_conf_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_kapokmq_loc_conf_t  *lcf = conf;

    char        *error;
    ngx_int_t    n;
    ngx_str_t   *value;
    ngx_uint_t   i;

    error = ngx_kapokmq_conf_endpoint(cf, cmd, conf);
    if (error != NGX_CONF_OK) {
        return error;
    }

    lcf->metrics_topics = NGX_KAPOKMQ_TOPICS_DEFAULT;
    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "key") == 0) {
            lcf->metrics_key = 1;
            continue;
        }

        n = NGX_ERROR;

        if (ngx_strncmp(value[i].data, "topics=", 7) == 0) {
            n = ngx_atoi(value[i].data + 7, value[i].len - 7);
        }

        if (n == NGX_ERROR || n > NGX_KAPOKMQ_TOPICS_MAX) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of \"%V\", "
                               "\"key\" or \"topics=N\" with N up to %d "
                               "is expected", &value[i], &cmd->name,
                               NGX_KAPOKMQ_TOPICS_MAX);
            return NGX_CONF_ERROR;
        }

        lcf->metrics_topics = n;
    }

    return NGX_CONF_OK;
}


char *
ngx_kapokmq_conf_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_kapokmq_loc_conf_t  *lcf = conf;

    ngx_str_t   *value, *origin;
    ngx_uint_t   i;

    value = cf->args->elts;

    if (lcf->cors_origins) {
        return "is duplicate";
    }

    lcf->cors_origins = ngx_array_create(cf->pool, cf->args->nelts,
                                         sizeof(ngx_str_t));
    if (lcf->cors_origins == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "*") != 0
            && (ngx_strstr(value[i].data, "://") == NULL
                || value[i].data[value[i].len - 1] == '/'))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid origin \"%V\" in \"%V\", \"*\" or "
                               "scheme://host[:port] is expected", &value[i],
                               &cmd->name);
            return NGX_CONF_ERROR;
        }

        origin = ngx_array_push(lcf->cors_origins);
        if (origin == NULL) {
            return NGX_CONF_ERROR;
        }

        *origin = value[i];
    }

    return NGX_CONF_OK;
}


/* kapokmq_primary @LOCATION; */
char *
ngx_kapokmq_conf_primary(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_kapokmq_loc_conf_t  *lcf = conf;

    ngx_str_t  *value;

    (void) cmd;

    value = cf->args->elts;

    if (lcf->primary.data) {
        return "is duplicate";
    }

    if (value[1].len < 2 || value[1].data[0] != '@') {
        return "must be a named location, as \"@primary\"";
    }

    lcf->primary = value[1];

    return NGX_CONF_OK;
}


/* kapokmq_auth off; kapokmq_auth key [$VARIABLE]; */
char *
ngx_kapokmq_conf_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_kapokmq_loc_conf_t  *lcf = conf;

    ngx_str_t  *value;

    (void) cmd;

    value = cf->args->elts;

    if (lcf->auth != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    if (ngx_strcmp(value[1].data, "key") == 0) {
        lcf->auth = NGX_KAPOKMQ_AUTH_KEY;

        return cf->args->nelts == 3
               ? ngx_kapokmq_conf_value(cf, &value[2], &lcf->auth_key)
               : NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "off") != 0 || cf->args->nelts == 3) {
        return "must be \"off\", \"key\" or \"key $VARIABLE\"";
    }

    /* a whole server that is open may be so by mistake */

    if (!(cf->cmd_type & NGX_HTTP_LOC_CONF)) {
        return "can be \"off\" in a location only";
    }

    lcf->auth = NGX_KAPOKMQ_AUTH_OFF;

    return NGX_CONF_OK;
}


/* --------------------------------------------------------------- contexts */

void *
ngx_kapokmq_conf_create_main(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_kapokmq_main_conf_t));
}


/* Where persistentFile is. */
static char *
ngx_kapokmq_conf_directory(ngx_conf_t *cf, ngx_kapokmq_main_conf_t *mcf)
{
    ngx_str_t  *dir;

    mcf->cycle = cf->cycle;

    dir = &mcf->directory;
    dir->data = (u_char *) mcf->config->persistent_file;
    dir->len = ngx_strlen(dir->data);

    while (dir->len > 1 && dir->data[dir->len - 1] == '/') {
        dir->data[--dir->len] = '\0';
    }

    return (ngx_conf_full_name(cf->cycle, dir, 0) == NGX_OK) ? NGX_CONF_OK
                                                             : NGX_CONF_ERROR;
}


char *
ngx_kapokmq_conf_init_main(ngx_conf_t *cf, void *conf)
{
    ngx_kapokmq_main_conf_t  *mcf = conf;

    if (mcf->config) {
        return ngx_kapokmq_conf_directory(cf, mcf);
    }

    if (ngx_kapokmq_conf_defaults(cf, mcf) != NGX_OK
        || ngx_kapokmq_conf_seal(cf, mcf->config) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (mcf->zone) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "no \"kapokmq_config\": the queue has its default "
                      "settings, and its secretKey is the published \"%s\"",
                      mcf->config->secret_key);
    }

    return ngx_kapokmq_conf_directory(cf, mcf);
}


void *
ngx_kapokmq_conf_create_loc(ngx_conf_t *cf)
{
    ngx_kapokmq_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_kapokmq_loc_conf_t));

    if (conf) {
        conf->access_log = NGX_CONF_UNSET_UINT;
        conf->auth = NGX_CONF_UNSET_UINT;
        conf->auth_limit = NGX_CONF_UNSET_UINT;
    }

    return conf;
}


char *
ngx_kapokmq_conf_merge_loc(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_kapokmq_loc_conf_t  *prev = parent;
    ngx_kapokmq_loc_conf_t  *conf = child;

    if (conf->cors_origins == NULL) {
        conf->cors_origins = prev->cors_origins;
    }

    if (conf->primary.data == NULL) {
        conf->primary = prev->primary;
    }

    /* one directive says both */

    if (conf->auth == NGX_CONF_UNSET_UINT) {
        conf->auth_key = prev->auth_key;
    }

    if (conf->auth_user == NULL) {
        conf->auth_user = prev->auth_user;
    }

    ngx_conf_merge_uint_value(conf->auth, prev->auth, NGX_KAPOKMQ_AUTH_KEY);
    ngx_conf_merge_uint_value(conf->auth_limit, prev->auth_limit,
                              KMQ_TRIES_LIMIT);

    ngx_conf_merge_uint_value(conf->access_log, prev->access_log,
                              ngx_kapokmq_variables_of_end(cf)
                              ? NGX_KAPOKMQ_LOG_END
                              : NGX_KAPOKMQ_LOG_UPGRADE);

    if (ngx_kapokmq_conf_way(cf, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_kapokmq_conf_merge_endpoint(cf, prev, conf);
}


/* Inside "if" and "limit_except" the handler is that around them, as with
 * proxy_pass, unless there is another one. */
static char *
ngx_kapokmq_conf_merge_endpoint(ngx_conf_t *cf, ngx_kapokmq_loc_conf_t *prev,
    ngx_kapokmq_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname && clcf->handler == NULL) {
        conf->endpoint = prev->endpoint;
        conf->path = prev->path;
        conf->metrics_topics = prev->metrics_topics;
        conf->metrics_key = prev->metrics_key;

        if (clcf->lmt_excpt) {
            clcf->handler = prev->endpoint.kind ? ngx_kapokmq_door : NULL;
        }

        return NGX_CONF_OK;
    }

    /* a later proxy_pass, for example, would have taken its place */

    if (conf->endpoint.kind && clcf->handler != ngx_kapokmq_door) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "location \"%V\" has a kapokmq handler and another "
                           "handler", &clcf->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* ---------------------------------------------------------- handing on */

/* What requests are handed on by, of what kapokmq_cluster says. */
static ngx_int_t
ngx_kapokmq_conf_hop(ngx_conf_t *cf, ngx_kapokmq_main_conf_t *mcf)
{
    mcf->hop = ngx_pcalloc(cf->pool, sizeof(ngx_kapokmq_hop_conf_t));
    if (mcf->hop == NULL) {
        return NGX_ERROR;
    }

    mcf->hop->secret = mcf->cluster->secret;
    mcf->hop->number = (uint32_t) mcf->cluster->number;
    mcf->hop->serves = ngx_kapokmq_conf_serves;
    mcf->hop->primary = ngx_kapokmq_cluster_primary;

    return NGX_OK;
}


static ngx_uint_t
ngx_kapokmq_conf_serves(void)
{
    return ngx_kapokmq_cluster_serves();
}


/* What it hands requests on by, or in by, is looked at when all servers are
 * known. */
static ngx_int_t
ngx_kapokmq_conf_way(ngx_conf_t *cf, ngx_kapokmq_loc_conf_t *conf)
{
    ngx_kapokmq_way_t        *way;
    ngx_kapokmq_main_conf_t  *mcf;

    if (conf->endpoint.kind == NGX_KAPOKMQ_NOTHING
        || (conf->endpoint.kind != NGX_KAPOKMQ_HOP
            && conf->primary.len == 0))
    {
        return NGX_OK;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_kapokmq_module);

    if (mcf->ways == NULL) {
        mcf->ways = ngx_array_create(cf->pool, 16, sizeof(ngx_kapokmq_way_t));
        if (mcf->ways == NULL) {
            return NGX_ERROR;
        }
    }

    way = ngx_array_push(mcf->ways);
    if (way == NULL) {
        return NGX_ERROR;
    }

    way->server = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    ngx_str_null(&way->location);

    if (conf->endpoint.kind != NGX_KAPOKMQ_HOP) {
        way->location = conf->primary;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_kapokmq_conf_ways(ngx_conf_t *cf, ngx_kapokmq_main_conf_t *mcf)
{
    ngx_uint_t          i;
    ngx_kapokmq_way_t  *way;

    way = mcf->ways ? mcf->ways->elts : NULL;

    for (i = 0; way && i < mcf->ways->nelts; i++) {

        if (way[i].location.len) {

            if (!ngx_kapokmq_conf_named(&way[i])) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "there is no \"location %V\" in the server "
                                   "of \"kapokmq_primary\"",
                                   &way[i].location);
                return NGX_ERROR;
            }

        } else if (mcf->hop == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"kapokmq_hop\" needs \"kapokmq_cluster\"");
            return NGX_ERROR;

        } else if (way[i].server->large_client_header_buffers.size
                   < NGX_KAPOKMQ_HOP_BUFFER)
        {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "a server with \"kapokmq_hop\" should have "
                               "\"large_client_header_buffers 4 64k\": what a "
                               "key may do comes in one header");
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_kapokmq_conf_named(const ngx_kapokmq_way_t *way)
{
    ngx_http_core_loc_conf_t  **named;

    for (named = way->server->named_locations; named && *named; named++) {

        if ((*named)->name.len == way->location.len
            && ngx_strncmp((*named)->name.data, way->location.data,
                           way->location.len)
               == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* When all has been read: does it fit together? */
ngx_int_t
ngx_kapokmq_conf_check(ngx_conf_t *cf)
{
    ngx_kapokmq_main_conf_t  *mcf;

    ngx_kapokmq_filter_init();

    if (ngx_kapokmq_path_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_kapokmq_module);

    if (mcf->user && mcf->zone == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in a location needs \"kapokmq_zone SIZE\" "
                           "in \"http\"", mcf->user);
        return NGX_ERROR;
    }

    if (mcf->user && mcf->config->port) {
        ngx_kapokmq_conf_port(cf, mcf);
    }

    if (mcf->user && mcf->cluster == NULL) {
        ngx_kapokmq_conf_several(cf, mcf);
    }

    if (mcf->cluster
        && (ngx_kapokmq_cluster_check(cf, mcf) != NGX_OK
            || ngx_kapokmq_conf_hop(cf, mcf) != NGX_OK))
    {
        return NGX_ERROR;
    }

    return ngx_kapokmq_conf_ways(cf, mcf);
}


/* A warning unless some server listens on the port of application.yaml. */
static void
ngx_kapokmq_conf_port(ngx_conf_t *cf, ngx_kapokmq_main_conf_t *mcf)
{
    ngx_uint_t                  i;
    ngx_http_conf_port_t       *listen;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    if (cmcf->ports) {
        listen = cmcf->ports->elts;

        for (i = 0; i < cmcf->ports->nelts; i++) {
            if (listen[i].port == mcf->config->port) {
                return;
            }
        }
    }

    ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                  "server.port is %uD in \"%V\", but no server listens on it: "
                  "it opens no port, \"listen\" does, and may be left out",
                  mcf->config->port, &mcf->config_file);
}


/* A warning where application.yaml counts on several machines. */
static void
ngx_kapokmq_conf_several(ngx_conf_t *cf, const ngx_kapokmq_main_conf_t *mcf)
{
    const kmq_config_t  *config;

    config = mcf->config;

    if (config->is_cluster || config->is_sync) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "%s%s%s in \"%V\", but this queue is on one machine: "
                      "\"kapokmq_cluster\" in nginx.conf makes it one of "
                      "several", config->is_cluster ? "isCluster is 1" : "",
                      config->is_cluster && config->is_sync ? ", " : "",
                      config->is_sync ? "isSync is 1" : "",
                      &mcf->config_file);
    }
}
