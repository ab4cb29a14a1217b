/* The console's keys: what the one may do that asks, and what all may; their
 * values are nowhere. */

#include "ngx_kapokmq_console_inside.h"
#include "../cluster/ngx_kapokmq_cluster.h"


/* What is around both lists, with name and id at their longest; and when the
 * values of a key were used. */
#define NGX_KAPOKMQ_ACCESS_REST                                               \
    (2 * 6 * KMQ_RIGHTS_NAME_MAX + 256                                        \
     + KMQ_KEY_VALUES * (NGX_INT64_LEN + 1))


static size_t ngx_kapokmq_access_room(const kmq_rights_t *rights);
static u_char *ngx_kapokmq_access_write(u_char *p, const kmq_rights_t *rights);
static u_char *ngx_kapokmq_access_topics(u_char *p,
    const kmq_rights_t *rights, int consume);
static u_char *ngx_kapokmq_access_uses(u_char *p,
    const kmq_key_config_t *key);
static u_char *ngx_kapokmq_access_others(u_char *p,
    const kmq_config_t *config);
static u_char *ngx_kapokmq_access_use(u_char *p, uint64_t last);


static const char *const  ngx_kapokmq_access_kinds[] = {
    "", "secretKey", "key", "token"
};

static const char *const  ngx_kapokmq_access_console[] = {
    "none", "read", "write"
};


/* ------------------------------------------------------------------- topics */

ngx_int_t
ngx_kapokmq_access_topic(ngx_http_request_t *r, const kmq_rights_t *rights,
    ngx_uint_t write, const char *topic, size_t len)
{
    if (ngx_kapokmq_access_sees(rights, write, topic, len)) {
        return NGX_OK;
    }

    ngx_kapokmq_http_error(r, NGX_HTTP_FORBIDDEN, NGX_KAPOKMQ_NO_TOPIC_RIGHT);

    return NGX_ERROR;
}


ngx_uint_t
ngx_kapokmq_access_sees(const kmq_rights_t *rights, ngx_uint_t write,
    const char *topic, size_t len)
{
    kmq_text_t  name;

    name.data = topic;
    name.len = len;

    return kmq_may_console(rights, (int) write, name);
}


/* ------------------------------------------------------------------- one's */

void
ngx_kapokmq_access_get(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    u_char     *p;
    ngx_str_t   json;

    json.data = ngx_pnalloc(r->pool, ngx_kapokmq_access_room(rights)
                                     + sizeof(",\"Cluster\":true"));
    if (json.data == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    p = ngx_sprintf(json.data, "{\"code\":0,\"data\":");
    p = ngx_kapokmq_access_write(p, rights);

    if (ngx_kapokmq_cluster_on()) {
        p = ngx_sprintf(p - 1, ",\"Cluster\":true}");
    }

    *p++ = '}';

    json.len = p - json.data;

    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}


/* -------------------------------------------------------------------- all */

/* Of application.yaml, in its order.  They and their topics are bounded by the
 * room for them in the zone. */
void
ngx_kapokmq_access_keys(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    size_t                   i, room;
    u_char                  *p;
    ngx_str_t                json;
    const kmq_config_t      *config;
    const kmq_key_config_t  *key;

    (void) rights;

    config = ngx_kapokmq_worker.config;
    room = NGX_KAPOKMQ_ACCESS_REST;

    for (i = 0; i < config->nkeys; i++) {
        room += ngx_kapokmq_access_room(config->keys[i].rights);
    }

    json.data = ngx_pnalloc(r->pool, room);
    if (json.data == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    p = ngx_sprintf(json.data, "{\"code\":0,\"data\":[");

    for (i = 0; i < config->nkeys; i++) {
        key = &config->keys[i];

        if (i) {
            *p++ = ',';
        }

        p = ngx_kapokmq_access_write(p, key->rights) - 1;
        p = ngx_kapokmq_access_uses(p, key);
    }

    *p++ = ']';
    p = ngx_kapokmq_access_others(p, config);

    json.len = p - json.data;

    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}


/* ------------------------------------------------------------------ writing */

static size_t
ngx_kapokmq_access_room(const kmq_rights_t *rights)
{
    int         any, consume;
    size_t      at, room;
    kmq_text_t  topic;

    room = NGX_KAPOKMQ_ACCESS_REST;

    for (consume = 0; consume < 2; consume++) {
        at = 0;

        while (kmq_rights_topic(rights, consume, &at, &topic, &any)) {
            room += 6 * topic.len + 16;
        }
    }

    return room;
}


static u_char *
ngx_kapokmq_access_write(u_char *p, const kmq_rights_t *rights)
{
    kmq_text_t  name, id;

    name = kmq_rights_name(rights);
    id = kmq_rights_id(rights);

    p = ngx_sprintf(p, "{\"Kind\":\"%s\",\"Name\":",
                    ngx_kapokmq_access_kinds[kmq_rights_kind(rights)]);
    p = ngx_kapokmq_http_quote(p, name.data, name.len);
    p = ngx_sprintf(p, ",\"Id\":");
    p = id.data ? ngx_kapokmq_http_quote(p, id.data, id.len)
                : ngx_sprintf(p, "null");
    p = ngx_sprintf(p, ",\"Console\":\"%s\",\"All\":%s,\"Metrics\":%s,"
                    "\"Produce\":[",
                    ngx_kapokmq_access_console[kmq_rights_console(rights)],
                    kmq_may_console_all(rights, 0) ? "true" : "false",
                    kmq_may_metrics(rights) ? "true" : "false");
    p = ngx_kapokmq_access_topics(p, rights, 0);
    p = ngx_sprintf(p, "],\"Consume\":[");
    p = ngx_kapokmq_access_topics(p, rights, 1);

    return ngx_sprintf(p, "]}");
}


static u_char *
ngx_kapokmq_access_topics(u_char *p, const kmq_rights_t *rights, int consume)
{
    int         any;
    u_char     *first;
    size_t      at;
    kmq_text_t  topic;

    at = 0;
    first = p;

    while (kmq_rights_topic(rights, consume, &at, &topic, &any)) {

        if (p != first) {
            *p++ = ',';
        }

        p = ngx_kapokmq_http_quote(p, topic.data, topic.len);

        if (any) {
            p[-1] = '*';
            *p++ = '"';
        }
    }

    return p;
}


/* -------------------------------------------------------------------- uses */

/* When each value was used last, in their order. */
static u_char *
ngx_kapokmq_access_uses(u_char *p, const kmq_key_config_t *key)
{
    size_t    i;
    uint64_t  last;

    p = ngx_sprintf(p, ",\"Values\":%uz,\"LastUse\":[", key->nvalues);

    for (i = 0; i < key->nvalues; i++) {
        last = kmq_used_last(ngx_kapokmq_worker.used, &key->value[i].digest);

        if (i) {
            *p++ = ',';
        }

        p = ngx_kapokmq_access_use(p, last);
    }

    return ngx_sprintf(p, "]}");
}


/* What is in none of mq.keys: the secret key, and tokens. */
static u_char *
ngx_kapokmq_access_others(u_char *p, const kmq_config_t *config)
{
    size_t        i;
    uint64_t      last, one;
    kmq_digest_t  digest;

    last = 0;

    if (kmq_digest(&digest, config->secret_key, config->secret_key_len) == 0) {
        last = kmq_used_last(ngx_kapokmq_worker.used, &digest);
    }

    p = ngx_sprintf(p, ",\"secretKey\":{\"LastUse\":");
    p = ngx_kapokmq_access_use(p, last);
    p = ngx_sprintf(p, "},\"tokens\":");

    if (config->tokens.nsettings == 0) {
        return ngx_sprintf(p, "null}");
    }

    last = 0;

    for (i = 0; i < config->tokens.nsettings; i++) {
        one = kmq_used_last(ngx_kapokmq_worker.used,
                            &config->tokens.settings[i]);
        last = ngx_max(last, one);
    }

    p = ngx_sprintf(p, "{\"LastUse\":");
    p = ngx_kapokmq_access_use(p, last);

    return ngx_sprintf(p, "}}");
}


static u_char *
ngx_kapokmq_access_use(u_char *p, uint64_t last)
{
    return last ? ngx_sprintf(p, "%uL", last) : ngx_sprintf(p, "null");
}
