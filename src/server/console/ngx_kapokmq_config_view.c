/* The console's view of application.yaml: values, and where they are set. */

#include "ngx_kapokmq_console_inside.h"


/* GetConfig: room for all keys with their values but names and paths. */
#define NGX_KAPOKMQ_CONFIG_VIEW_ROOM        (64 * KMQ_CONFIG_KEYS)
#define NGX_KAPOKMQ_CONFIG_VIEW_TOPIC_ROOM  (64 * KMQ_CONFIG_OWN)

/* GetSettings: a key with its value, and a topic's name before it. */
#define NGX_KAPOKMQ_ENTRY_ROOM                                                \
    (6 * (KMQ_PATH_MAX + KMQ_NAME_MAX) + 320)


/* Where the answer of GetSettings stands. */
typedef struct {
    kmq_config_t  *config;
    kmq_config_t   defaults;
    unsigned       key;            /* the next one of the current table */
    unsigned       key_default;
    size_t         topic;
    unsigned       opened:1;       /* the answer */
    unsigned       listed:1;       /* there is an element before the next */
    unsigned       topics:1;       /* all keys of the queue are written */
    unsigned       inside:1;       /* the topic's name is written */
} ngx_kapokmq_config_view_t;


static u_char *ngx_kapokmq_config_view_topics(u_char *p, kmq_config_t *config);
static void ngx_kapokmq_config_view_emit(void *arg, const char *key,
    double number, const char *text);
static u_char *ngx_kapokmq_config_view_fill(ngx_kapokmq_sliced_t *st, u_char *p,
    u_char *end);
static u_char *ngx_kapokmq_config_view_key(ngx_kapokmq_config_view_t *v,
    u_char *p);
static u_char *ngx_kapokmq_config_view_own(ngx_kapokmq_config_view_t *v,
    u_char *p);
static u_char *ngx_kapokmq_config_view_value(u_char *p,
    const kmq_config_entry_t *entry);
static u_char *ngx_kapokmq_config_view_place(u_char *p, const char *file,
    uint32_t line);
static u_char *ngx_kapokmq_config_view_comma(ngx_kapokmq_config_view_t *v,
    u_char *p);


/* -------------------------------------------------------------- GetConfig */

void
ngx_kapokmq_config_view_get(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    u_char        *p;
    size_t         i, size;
    ngx_str_t      json;
    kmq_config_t  *config;

    (void) rights;

    config = ngx_kapokmq_worker.config;

    size = NGX_KAPOKMQ_CONFIG_VIEW_ROOM
           + 6 * ngx_strlen(config->persistent_file);

    for (i = 0; i < config->ntopics; i++) {
        size += NGX_KAPOKMQ_CONFIG_VIEW_TOPIC_ROOM
                + 6 * config->topics[i].name_len;
    }

    json.data = ngx_pnalloc(r->pool, size);
    if (json.data == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    p = ngx_cpymem(json.data, "{\"code\":0,\"data\":{",
                   sizeof("{\"code\":0,\"data\":{") - 1);

    kmq_config_each(config, ngx_kapokmq_config_view_emit, &p);

    p = ngx_kapokmq_config_view_topics(p, config);
    *p++ = '}';
    *p++ = '}';

    json.len = p - json.data;

    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}


static u_char *
ngx_kapokmq_config_view_topics(u_char *p, kmq_config_t *config)
{
    size_t               i;
    kmq_topic_config_t  *topic;

    p = ngx_cpymem(p, "\"topics\":{", sizeof("\"topics\":{") - 1);

    for (i = 0; i < config->ntopics; i++) {
        topic = &config->topics[i];

        p = ngx_kapokmq_http_quote(p, topic->name, topic->name_len);
        *p++ = ':';
        *p++ = '{';

        kmq_config_each_own(topic, ngx_kapokmq_config_view_emit, &p);

        /* each member ends with a comma */
        p -= (p[-1] == ',');
        *p++ = '}';
        *p++ = ',';
    }

    p -= (p[-1] == ',');
    *p++ = '}';

    return p;
}


/* Appends "key":value, at the u_char pointer that arg points to. */
static void
ngx_kapokmq_config_view_emit(void *arg, const char *key, double number,
    const char *text)
{
    u_char  *p, **end;

    end = arg;
    p = ngx_sprintf(*end, "\"%s\":", key);

    p = text ? ngx_kapokmq_http_quote(p, text, ngx_strlen(text))
             : ngx_kapokmq_http_decimal(p, number);

    *p++ = ',';
    *end = p;
}


/* ------------------------------------------------------------ GetSettings */

void
ngx_kapokmq_config_view_list(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    size_t                 room;
    ngx_kapokmq_config_view_t  *v;

    (void) rights;

    v = ngx_pcalloc(r->pool, sizeof(ngx_kapokmq_config_view_t));
    if (v == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    v->config = ngx_kapokmq_worker.config;
    kmq_config_defaults(&v->defaults);

    room = NGX_KAPOKMQ_ENTRY_ROOM;

    if (v->config->file) {
        room += 6 * ngx_strlen(v->config->file);
    }

    ngx_kapokmq_sliced(r, ngx_kapokmq_config_view_fill, v, room);
}


static u_char *
ngx_kapokmq_config_view_fill(ngx_kapokmq_sliced_t *st, u_char *p, u_char *end)
{
    ngx_kapokmq_config_view_t  *v;

    v = st->data;

    if (!v->opened) {
        v->opened = 1;
        p = ngx_sprintf(p, "{\"code\":0,\"data\":[");
    }

    while (p < end) {

        if (!v->topics) {
            p = ngx_kapokmq_config_view_key(v, p);
            continue;
        }

        if (v->topic == v->config->ntopics) {
            st->done = 1;
            return ngx_sprintf(p, "]}");
        }

        p = ngx_kapokmq_config_view_own(v, p);
    }

    return p;
}


/* The next key of the queue, or what follows the last one. */
static u_char *
ngx_kapokmq_config_view_key(ngx_kapokmq_config_view_t *v, u_char *p)
{
    kmq_config_entry_t  entry, standard;

    if (!kmq_config_entry(v->config, &v->key, &entry)) {
        v->topics = 1;
        v->listed = 0;
        v->key = 0;
        return ngx_sprintf(p, "],\"topics\":[");
    }

    (void) kmq_config_entry(&v->defaults, &v->key_default, &standard);

    if (entry.alias) {
        return p;
    }

    p = ngx_kapokmq_config_view_comma(v, p);
    p = ngx_kapokmq_config_view_value(p, &entry);
    p = ngx_sprintf(p, ",\"Default\":");

    if (entry.secret) {
        p = ngx_sprintf(p, "null,\"Secret\":\"%s\"", entry.text);

    } else if (standard.text) {
        p = ngx_kapokmq_http_quote(p, standard.text,
                                   ngx_strlen(standard.text));

    } else {
        p = ngx_kapokmq_http_decimal(p, standard.number);
    }

    return ngx_kapokmq_config_view_place(p, v->config->file, entry.line);
}


/* The current topic's next key, its name before, or what follows its last. */
static u_char *
ngx_kapokmq_config_view_own(ngx_kapokmq_config_view_t *v, u_char *p)
{
    kmq_config_entry_t   entry;
    kmq_topic_config_t  *topic;

    topic = &v->config->topics[v->topic];

    if (!v->inside) {
        p = ngx_kapokmq_config_view_comma(v, p);
        p = ngx_sprintf(p, "{\"Topic\":");
        p = ngx_kapokmq_http_quote(p, topic->name, topic->name_len);
        p = ngx_sprintf(p, ",\"Settings\":[");

        v->inside = 1;
        v->listed = 0;
        v->key = 0;
    }

    if (!kmq_config_own(topic, &v->key, &entry)) {
        v->topic++;
        v->inside = 0;
        v->listed = 1;
        return ngx_sprintf(p, "]}");
    }

    p = ngx_kapokmq_config_view_comma(v, p);
    p = ngx_kapokmq_config_view_value(p, &entry);

    return ngx_kapokmq_config_view_place(p, v->config->file, entry.line);
}


static u_char *
ngx_kapokmq_config_view_value(u_char *p, const kmq_config_entry_t *entry)
{
    p = ngx_sprintf(p, "{\"Key\":\"%s\",\"Value\":", entry->key);

    if (entry->secret) {
        return ngx_sprintf(p, "null");
    }

    if (entry->text) {
        return ngx_kapokmq_http_quote(p, entry->text,
                                      ngx_strlen(entry->text));
    }

    return ngx_kapokmq_http_decimal(p, entry->number);
}


static u_char *
ngx_kapokmq_config_view_place(u_char *p, const char *file, uint32_t line)
{
    if (line == 0) {
        return ngx_sprintf(p, ",\"File\":null,\"Line\":null}");
    }

    p = ngx_sprintf(p, ",\"File\":");
    p = ngx_kapokmq_http_quote(p, file, ngx_strlen(file));

    return ngx_sprintf(p, ",\"Line\":%uD}", line);
}


static u_char *
ngx_kapokmq_config_view_comma(ngx_kapokmq_config_view_t *v, u_char *p)
{
    if (v->listed) {
        *p++ = ',';
    }

    v->listed = 1;

    return p;
}
