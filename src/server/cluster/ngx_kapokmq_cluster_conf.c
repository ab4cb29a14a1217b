/* The directive kapokmq_cluster. */

#include "ngx_kapokmq_cluster.h"


#define NGX_KAPOKMQ_NATS_PORT      4222
#define NGX_KAPOKMQ_TIMEOUT        3000       /* ms */
#define NGX_KAPOKMQ_TIMEOUT_MIN    500
#define NGX_KAPOKMQ_TIMEOUT_MAX    60000
#define NGX_KAPOKMQ_SECRET_MIN     16
#define NGX_KAPOKMQ_NAME_MAX       32
#define NGX_KAPOKMQ_CREDS_MAX      16384      /* bytes of a file */


typedef struct {
    ngx_str_t    name;           /* with "=" */
    size_t       offset;         /* of what it sets */
} ngx_kapokmq_cluster_param_t;


static char *ngx_kapokmq_cluster_servers(ngx_conf_t *cf,
    ngx_kapokmq_cluster_conf_t *conf, ngx_str_t *text);
static char *ngx_kapokmq_cluster_server(ngx_conf_t *cf,
    ngx_kapokmq_cluster_conf_t *conf, ngx_str_t *text);
static char *ngx_kapokmq_cluster_login(ngx_conf_t *cf,
    ngx_kapokmq_cluster_conf_t *conf, ngx_str_t *text);
static char *ngx_kapokmq_cluster_param(ngx_conf_t *cf,
    ngx_kapokmq_cluster_conf_t *conf, ngx_str_t *text);
static char *ngx_kapokmq_cluster_complete(ngx_conf_t *cf,
    ngx_kapokmq_cluster_conf_t *conf);
static char *ngx_kapokmq_cluster_creds(ngx_conf_t *cf,
    ngx_kapokmq_cluster_conf_t *conf);
static char *ngx_kapokmq_cluster_tls(ngx_conf_t *cf,
    ngx_kapokmq_cluster_conf_t *conf);


static ngx_kapokmq_cluster_param_t  ngx_kapokmq_cluster_texts[] = {
    { ngx_string("name="), offsetof(ngx_kapokmq_cluster_conf_t, name) },
    { ngx_string("node="), offsetof(ngx_kapokmq_cluster_conf_t, node) },
    { ngx_string("address="), offsetof(ngx_kapokmq_cluster_conf_t, address) },
    { ngx_string("secret="), offsetof(ngx_kapokmq_cluster_conf_t, secret) },
    { ngx_string("ca="), offsetof(ngx_kapokmq_cluster_conf_t, ca) },
    { ngx_string("creds="), offsetof(ngx_kapokmq_cluster_conf_t, creds) },
    { ngx_null_string, 0 }
};

static ngx_kapokmq_cluster_param_t  ngx_kapokmq_cluster_numbers[] = {
    { ngx_string("nodes="), offsetof(ngx_kapokmq_cluster_conf_t, nodes) },
    { ngx_string("replicas="),
      offsetof(ngx_kapokmq_cluster_conf_t, replicas) },
    { ngx_null_string, 0 }
};


char *
ngx_kapokmq_cluster_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_kapokmq_main_conf_t  *mcf = conf;

    char        *error;
    ngx_str_t   *value;
    ngx_uint_t   i;

    (void) cmd;

    if (mcf->cluster) {
        return "is duplicate";
    }

    mcf->cluster = ngx_pcalloc(cf->pool, sizeof(ngx_kapokmq_cluster_conf_t));
    if (mcf->cluster == NULL) {
        return NGX_CONF_ERROR;
    }

    mcf->cluster->nodes = 3;
    mcf->cluster->replicas = 3;
    mcf->cluster->timeout = NGX_KAPOKMQ_TIMEOUT;

    value = cf->args->elts;
    error = ngx_kapokmq_cluster_servers(cf, mcf->cluster, &value[1]);

    for (i = 2; error == NGX_CONF_OK && i < cf->args->nelts; i++) {
        error = ngx_kapokmq_cluster_param(cf, mcf->cluster, &value[i]);
    }

    if (error == NGX_CONF_OK) {
        error = ngx_kapokmq_cluster_complete(cf, mcf->cluster);
    }

    return error;
}


/* ---------------------------------------------------------------- servers */

/* nats://[user:password@]host[:port],...  or tls://... */
static char *
ngx_kapokmq_cluster_servers(ngx_conf_t *cf, ngx_kapokmq_cluster_conf_t *conf,
    ngx_str_t *text)
{
    char       *error;
    u_char     *p, *end;
    ngx_str_t   one;

    conf->nats.servers = conf->server;
    conf->servers = *text;

    end = text->data + text->len;

    for (p = text->data; p <= end; p = one.data + one.len + 1) {

        one.data = p;
        p = ngx_strlchr(p, end, ',');
        one.len = (p ? p : end) - one.data;

        error = ngx_kapokmq_cluster_server(cf, conf, &one);

        if (error != NGX_CONF_OK) {
            return error;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_kapokmq_cluster_server(ngx_conf_t *cf, ngx_kapokmq_cluster_conf_t *conf,
    ngx_str_t *text)
{
    u_char             *at;
    ngx_url_t           u;
    ngx_str_t           login;
    kmq_nats_server_t  *server;

    if (conf->nats.n_servers == KMQ_NATS_SERVERS_MAX) {
        return "has too many servers";
    }

    ngx_memzero(&u, sizeof(ngx_url_t));
    u.url = *text;

    if (u.url.len > 6 && ngx_strncmp(u.url.data, "tls://", 6) == 0) {
        conf->nats.tls_first = 0;
        conf->nats.tls = (SSL_CTX *) -1;        /* made when all is read */
        u.url.data += 6;
        u.url.len -= 6;

    } else if (u.url.len > 7 && ngx_strncmp(u.url.data, "nats://", 7) == 0) {
        u.url.data += 7;
        u.url.len -= 7;
    }

    at = ngx_strlchr(u.url.data, u.url.data + u.url.len, '@');

    if (at) {
        login.data = u.url.data;
        login.len = at - u.url.data;
        u.url.len -= login.len + 1;
        u.url.data = at + 1;

        if (ngx_kapokmq_cluster_login(cf, conf, &login) != NGX_CONF_OK) {
            return NGX_CONF_ERROR;
        }
    }

    u.default_port = NGX_KAPOKMQ_NATS_PORT;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0
        || u.family == AF_UNIX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in server \"%V\" of \"kapokmq_cluster\"",
                           u.err ? u.err : "invalid address", &u.url);
        return NGX_CONF_ERROR;
    }

    server = &conf->server[conf->nats.n_servers++];

    (void) ngx_sock_ntop(u.addrs[0].sockaddr, u.addrs[0].socklen,
                         (u_char *) server->host, sizeof(server->host) - 1,
                         0);

    if (server->host[0] == '[') {
        /* an address of IPv6 is written without its brackets */
        ngx_memmove(server->host, server->host + 1,
                    ngx_strlen(server->host));
        server->host[strcspn(server->host, "]")] = '\0';
    }

    server->port = u.port;
    (void) ngx_snprintf((u_char *) server->name, sizeof(server->name) - 1,
                        "%V%Z", &u.host);

    return NGX_CONF_OK;
}


/* The first one counts for all. */
static char *
ngx_kapokmq_cluster_login(ngx_conf_t *cf, ngx_kapokmq_cluster_conf_t *conf,
    ngx_str_t *text)
{
    u_char  *copy, *colon;

    if (conf->nats.user || conf->nats.token) {
        return NGX_CONF_OK;
    }

    copy = ngx_pnalloc(cf->pool, text->len + 1);
    if (copy == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(copy, text->data, text->len);
    copy[text->len] = '\0';

    colon = (u_char *) ngx_strchr(copy, ':');

    if (colon == NULL) {
        conf->nats.token = (char *) copy;
        return NGX_CONF_OK;
    }

    *colon = '\0';
    conf->nats.user = (char *) copy;
    conf->nats.password = (char *) colon + 1;

    return NGX_CONF_OK;
}


/* ------------------------------------------------------------- parameters */

static ngx_kapokmq_cluster_param_t *
ngx_kapokmq_cluster_find(ngx_kapokmq_cluster_param_t *param, ngx_str_t *text,
    ngx_str_t *value)
{
    for ( /* void */ ; param->name.len; param++) {

        if (text->len > param->name.len
            && ngx_strncmp(text->data, param->name.data, param->name.len)
               == 0)
        {
            value->data = text->data + param->name.len;
            value->len = text->len - param->name.len;
            return param;
        }
    }

    return NULL;
}


static char *
ngx_kapokmq_cluster_param(ngx_conf_t *cf, ngx_kapokmq_cluster_conf_t *conf,
    ngx_str_t *text)
{
    ngx_int_t                     n;
    ngx_str_t                     value;
    ngx_kapokmq_cluster_param_t  *param;

    param = ngx_kapokmq_cluster_find(ngx_kapokmq_cluster_texts, text, &value);

    if (param) {
        *(ngx_str_t *) ((char *) conf + param->offset) = value;
        return NGX_CONF_OK;
    }

    param = ngx_kapokmq_cluster_find(ngx_kapokmq_cluster_numbers, text,
                                     &value);

    if (param) {
        n = ngx_atoi(value.data, value.len);

        if (n > 0 && n <= KMQ_LEASE_NODES) {
            *(ngx_uint_t *) ((char *) conf + param->offset) = n;
            return NGX_CONF_OK;
        }
    }

    if (text->len > 8 && ngx_strncmp(text->data, "timeout=", 8) == 0) {
        value.data = text->data + 8;
        value.len = text->len - 8;
        n = ngx_parse_time(&value, 0);

        if (n >= NGX_KAPOKMQ_TIMEOUT_MIN && n <= NGX_KAPOKMQ_TIMEOUT_MAX) {
            conf->timeout = n;
            return NGX_CONF_OK;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of \"kapokmq_cluster\"",
                       text);

    return NGX_CONF_ERROR;
}


static ngx_uint_t
ngx_kapokmq_cluster_is_name(ngx_str_t *name)
{
    u_char  *p, *end;

    end = name->data + name->len;

    for (p = name->data; p < end; p++) {
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')
              || (*p >= '0' && *p <= '9') || *p == '-' || *p == '_'))
        {
            return 0;
        }
    }

    return name->len > 0 && name->len <= NGX_KAPOKMQ_NAME_MAX;
}


/* The number at the end of a node's name, from 1 on; 0: there is none. */
static ngx_uint_t
ngx_kapokmq_cluster_number(ngx_str_t *node)
{
    size_t     digits;
    ngx_int_t  n;

    for (digits = 0; digits < node->len; digits++) {
        u_char  c = node->data[node->len - digits - 1];

        if (c < '0' || c > '9') {
            break;
        }
    }

    n = ngx_atoi(node->data + node->len - digits, digits);

    return n == NGX_ERROR ? 0 : n;
}


static char *
ngx_kapokmq_cluster_complete(ngx_conf_t *cf,
    ngx_kapokmq_cluster_conf_t *conf)
{
    if (!ngx_kapokmq_cluster_is_name(&conf->name)) {
        return "needs \"name=\" with up to 32 letters, digits, \"-\" and "
               "\"_\", which all nodes have the same";
    }

    conf->number = ngx_kapokmq_cluster_number(&conf->node);

    if (!ngx_kapokmq_cluster_is_name(&conf->node)
        || conf->number == 0 || conf->number > conf->nodes)
    {
        return "needs \"node=\" with a name that ends with its number, from 1 "
               "to \"nodes=\", which no other node has";
    }

    conf->number--;

    if (conf->address.len == 0
        || conf->address.len >= KMQ_STATUS_ADDRESS
        || ngx_strlchr(conf->address.data,
                       conf->address.data + conf->address.len, ':')
           == NULL)
    {
        return "needs \"address=HOST:PORT\", where other nodes hand their "
               "clients to";
    }

    if (conf->secret.len < NGX_KAPOKMQ_SECRET_MIN) {
        return "needs \"secret=\" with at least 16 characters, which all "
               "nodes have the same";
    }

    if (conf->replicas % 2 == 0 || conf->replicas > 5) {
        return "has \"replicas=\" other than 1, 3 or 5";
    }

    conf->nats.name = (char *) conf->node.data;
    conf->nats.learn = 0;

    if (conf->creds.len
        && ngx_kapokmq_cluster_creds(cf, conf) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_kapokmq_cluster_tls(cf, conf);
}


/* Takes the key, and the token, out of the text of a file. */
static ngx_int_t
ngx_kapokmq_cluster_key(ngx_conf_t *cf, ngx_kapokmq_cluster_conf_t *conf,
    const char *text, size_t len)
{
    char        *copy;
    size_t       jwt_len, seed_len;
    const char  *jwt, *seed;

    if (kmq_nats_key_credentials(text, len, &jwt, &jwt_len, &seed, &seed_len)
        == 0)
    {
        copy = ngx_pnalloc(cf->pool, jwt_len + 1);
        if (copy == NULL) {
            return NGX_ERROR;
        }

        (void) ngx_cpystrn((u_char *) copy, (u_char *) jwt, jwt_len + 1);
        conf->nats.jwt = copy;

    } else {
        /* an NKey alone */
        seed = text;
        seed_len = strcspn(text, " \r\n");
    }

    if (kmq_nats_key_read(&conf->key, seed, seed_len) != 0) {
        return NGX_ERROR;
    }

    conf->nats.key = &conf->key;

    return NGX_OK;
}


/* creds=: a file of credentials, or of an NKey's seed. */
static char *
ngx_kapokmq_cluster_creds(ngx_conf_t *cf, ngx_kapokmq_cluster_conf_t *conf)
{
    int        fd;
    char       text[NGX_KAPOKMQ_CREDS_MAX];
    ssize_t    n;
    ngx_int_t  rc;

    if (ngx_conf_full_name(cf->cycle, &conf->creds, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    fd = ngx_open_file(conf->creds.data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", &conf->creds);
        return NGX_CONF_ERROR;
    }

    n = ngx_read_fd(fd, text, sizeof(text) - 1);
    (void) ngx_close_file(fd);

    text[n > 0 ? n : 0] = '\0';
    rc = ngx_kapokmq_cluster_key(cf, conf, text, n > 0 ? n : 0);

    ngx_explicit_memzero(text, sizeof(text));

    if (rc != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no credentials, and no seed of a user, could be "
                           "read from \"%V\"", &conf->creds);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void
ngx_kapokmq_cluster_tls_free(void *data)
{
    SSL_CTX_free(data);
}


static char *
ngx_kapokmq_cluster_tls(ngx_conf_t *cf, ngx_kapokmq_cluster_conf_t *conf)
{
    int                  rc;
    SSL_CTX             *ctx;
    ngx_pool_cleanup_t  *cleanup;

    if (conf->nats.tls == NULL) {
        return conf->ca.len ? "has \"ca=\", but no tls:// server"
                            : NGX_CONF_OK;
    }

    if (conf->ca.len && ngx_conf_full_name(cf->cycle, &conf->ca, 1) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    cleanup = ngx_pool_cleanup_add(cf->pool, 0);
    ctx = cleanup ? SSL_CTX_new(TLS_client_method()) : NULL;

    if (ctx == NULL) {
        return NGX_CONF_ERROR;
    }

    cleanup->handler = ngx_kapokmq_cluster_tls_free;
    cleanup->data = ctx;

    conf->nats.tls = ctx;

    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);

    rc = conf->ca.len
         ? SSL_CTX_load_verify_locations(ctx, (char *) conf->ca.data, NULL)
         : SSL_CTX_set_default_verify_paths(ctx);

    if (rc != 1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no certificates could be read from \"%V\"",
                           &conf->ca);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* --------------------------------------------------------------- contexts */

ngx_int_t
ngx_kapokmq_cluster_check(ngx_conf_t *cf, ngx_kapokmq_main_conf_t *mcf)
{
    ngx_core_conf_t  *ccf;

    if (mcf->zone == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"kapokmq_cluster\" needs \"kapokmq_zone SIZE\"");
        return NGX_ERROR;
    }

    if (mcf->config->is_persistent == NGX_KAPOKMQ_DISK_NONE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"kapokmq_cluster\" needs files: isPersistent "
                           "is to be 1 or 2");
        return NGX_ERROR;
    }

    if (!mcf->config->recovery_strategy) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"kapokmq_cluster\" needs what is in files: "
                           "recoveryStrategy is not to be 0");
        return NGX_ERROR;
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                           ngx_core_module);

    if (ccf->master == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"kapokmq_cluster\" needs \"master_process on\"");
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_kapokmq_cluster_zone(ngx_shm_zone_t *zone, ngx_kapokmq_main_conf_t *mcf)
{
    int               rc;
    ngx_slab_pool_t  *shpool;

    if (mcf->cluster == NULL) {
        return NGX_OK;
    }

    shpool = (ngx_slab_pool_t *) zone->shm.addr;
    mcf->node = ngx_slab_calloc(shpool, sizeof(kmq_shared_t));

    if (mcf->node == NULL) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "no memory in zone \"%V\"", &zone->shm.name);
        return NGX_ERROR;
    }

    rc = kmq_shared_init(mcf->node);

    if (rc != 0) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, rc,
                      "no lock for zone \"%V\"", &zone->shm.name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_kapokmq_cluster_same(ngx_str_t *one, ngx_str_t *two)
{
    return one->len == two->len
           && ngx_strncmp(one->data, two->data, one->len) == 0;
}


/* Who a node is does not change while it lives. */
ngx_int_t
ngx_kapokmq_cluster_reload(ngx_log_t *log, ngx_kapokmq_main_conf_t *mcf,
    ngx_kapokmq_main_conf_t *old)
{
    ngx_kapokmq_cluster_conf_t  *now, *before;

    now = mcf->cluster;
    before = old->cluster;

    if (now == NULL && before == NULL) {
        return NGX_OK;
    }

    if (now && before
        && ngx_kapokmq_cluster_same(&now->name, &before->name)
        && ngx_kapokmq_cluster_same(&now->node, &before->node)
        && now->nodes == before->nodes
        && now->replicas == before->replicas)
    {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, log, 0,
                  "\"kapokmq_cluster\" cannot come, go, or change its name=, "
                  "node=, nodes= or replicas= at a reload; stop nginx and "
                  "start it again");

    return NGX_ERROR;
}
