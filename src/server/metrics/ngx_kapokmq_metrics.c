/*
 * kapokmq_metrics: what is counted, for Prometheus and what reads its format.
 *
 * All samples of a family stand together, so consumers and topics are read
 * first, in slices of time, and written family by family then.
 */

#include "ngx_kapokmq_metrics.h"
#include "ngx_kapokmq_metrics_inside.h"
#include "../cluster/ngx_kapokmq_cluster.h"
#include "../http/ngx_kapokmq_http.h"
#include "../worker/ngx_kapokmq_worker.h"
#include "../../protocol/kmq_media.h"


/* Topics, or consumers, read at once. */
#define NGX_KAPOKMQ_METRICS_SLICE  64

/* What is written at once: the histogram, or a topic's longest name. */
#define NGX_KAPOKMQ_METRICS_ROOM   4096

#define NGX_KAPOKMQ_METRICS_PATH  "Nothing is expected behind the location"

#define NGX_KAPOKMQ_METRICS_TEXT                                              \
    "text/plain; version=0.0.4; charset=utf-8"
#define NGX_KAPOKMQ_METRICS_OPEN                                              \
    "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* The parts of an answer: families of one sample by their numbers, then */
#define NGX_KAPOKMQ_METRICS_INFO     NGX_KAPOKMQ_FAMILIES
#define NGX_KAPOKMQ_METRICS_LATENCY  (NGX_KAPOKMQ_METRICS_INFO + 1)
#define NGX_KAPOKMQ_METRICS_REASONS  (NGX_KAPOKMQ_METRICS_LATENCY + 1)
#define NGX_KAPOKMQ_METRICS_CLUSTER  (NGX_KAPOKMQ_METRICS_REASONS + 1)
#define NGX_KAPOKMQ_METRICS_TOPICS                                            \
    (NGX_KAPOKMQ_METRICS_CLUSTER + NGX_KAPOKMQ_CLUSTER_FAMILIES)
#define NGX_KAPOKMQ_METRICS_EOF                                               \
    (NGX_KAPOKMQ_METRICS_TOPICS + NGX_KAPOKMQ_TOPIC_FAMILIES)
#define NGX_KAPOKMQ_METRICS_END      (NGX_KAPOKMQ_METRICS_EOF + 1)


/* A topic as it is written. */
typedef struct {
    ngx_str_t                      label;  /* {topic="..."} */
    uint64_t                       value[NGX_KAPOKMQ_TOPIC_FAMILIES];
} ngx_kapokmq_series_t;

typedef struct {
    ngx_http_request_t            *request;
    ngx_uint_t                     left;   /* topics may have series still */
    unsigned                       consumers:1;    /* all have been read, */
    unsigned                       gathered:1;     /* and all topics */
    unsigned                       open:1; /* OpenMetrics */
    unsigned                       empty:1;        /* there is no queue */

    ngx_kapokmq_metrics_t           values;
    kmq_latency_t                  latency;
    ngx_kapokmq_metrics_cluster_t *cluster;        /* NULL: there is none */
    ngx_list_t                     series;
    ngx_kapokmq_series_t           rest;   /* the other topics */

    uint64_t                       cursor;
    union {
        kmq_topic_info_t           topics[NGX_KAPOKMQ_METRICS_SLICE];
        kmq_client_info_t          clients[NGX_KAPOKMQ_METRICS_SLICE];
    } slice;

    /* what is written next */
    ngx_uint_t                     at;     /* a part */
    unsigned                       headed:1;
    ngx_list_part_t               *part;
    ngx_uint_t                     next;   /* of part */
} ngx_kapokmq_scrape_t;


static ngx_int_t ngx_kapokmq_metrics_start(ngx_http_request_t *r);
static ngx_uint_t ngx_kapokmq_metrics_open(ngx_http_request_t *r);
static u_char *ngx_kapokmq_metrics_fill(ngx_kapokmq_sliced_t *st, u_char *p,
    u_char *end);
static ngx_int_t ngx_kapokmq_metrics_gather(ngx_kapokmq_scrape_t *scrape);
static void ngx_kapokmq_metrics_consumers(ngx_kapokmq_scrape_t *scrape);
static ngx_int_t ngx_kapokmq_metrics_topic(ngx_kapokmq_scrape_t *scrape,
    kmq_topic_info_t *info);
static void ngx_kapokmq_metrics_values(ngx_kapokmq_scrape_t *scrape);
static void ngx_kapokmq_metrics_type(ngx_kapokmq_scrape_t *scrape);
static ngx_int_t ngx_kapokmq_metrics_label(ngx_pool_t *pool,
    const kmq_topic_info_t *info, ngx_str_t *label);
static uint64_t ngx_kapokmq_metrics_value(const void *data,
    const ngx_kapokmq_family_t *family, const ngx_kapokmq_totals_t *totals);
static u_char *ngx_kapokmq_metrics_part(ngx_kapokmq_scrape_t *scrape,
    u_char *p);
static u_char *ngx_kapokmq_metrics_nodes(ngx_kapokmq_scrape_t *scrape,
    u_char *p);
static u_char *ngx_kapokmq_metrics_series(ngx_kapokmq_scrape_t *scrape,
    u_char *p, ngx_uint_t n);
static u_char *ngx_kapokmq_metrics_info(ngx_kapokmq_scrape_t *scrape,
    u_char *p);
static u_char *ngx_kapokmq_metrics_latency(ngx_kapokmq_scrape_t *scrape,
    u_char *p);
static u_char *ngx_kapokmq_metrics_reasons(ngx_kapokmq_scrape_t *scrape,
    u_char *p);
static u_char *ngx_kapokmq_metrics_seconds(u_char *p, uint64_t ms);


/* ---------------------------------------------------------------- request */

ngx_int_t
ngx_kapokmq_metrics_handler(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_kapokmq_pass_t      *pass;
    ngx_kapokmq_loc_conf_t  *lcf;

    /* the answer is written by the request's own connection */
    if (r != r->main) {
        return NGX_HTTP_FORBIDDEN;
    }

    if (!ngx_kapokmq_path_behind(r, NULL)) {
        ngx_kapokmq_path_log(r, NGX_HTTP_NOT_FOUND, NGX_KAPOKMQ_METRICS_PATH);

        return ngx_kapokmq_http_refuse(r, NGX_HTTP_NOT_FOUND,
                                       NGX_KAPOKMQ_METRICS_PATH);
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {

        if (ngx_kapokmq_http_header(r, "Allow", "GET, HEAD") != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_kapokmq_http_refuse(r, NGX_HTTP_NOT_ALLOWED,
                                       "The method must be GET or HEAD");
    }

    if (ngx_kapokmq_worker.kmq == NULL && !ngx_kapokmq_cluster_on()) {
        return ngx_kapokmq_http_unavailable(r);
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);

    if (lcf->metrics_key) {
        rc = ngx_kapokmq_door_enter(r, 0, &pass);

        if (rc != NGX_DECLINED) {
            return rc == NGX_BUSY ? ngx_kapokmq_http_unavailable(r) : rc;
        }
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_kapokmq_metrics_start(r);
}


static ngx_int_t
ngx_kapokmq_metrics_start(ngx_http_request_t *r)
{
    ngx_kapokmq_scrape_t    *scrape;
    ngx_kapokmq_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);

    scrape = ngx_pcalloc(r->pool, sizeof(ngx_kapokmq_scrape_t));

    if (scrape == NULL
        || ngx_list_init(&scrape->series, r->pool, NGX_KAPOKMQ_METRICS_SLICE,
                         sizeof(ngx_kapokmq_series_t))
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    scrape->request = r;
    scrape->left = lcf->metrics_topics;
    scrape->open = ngx_kapokmq_metrics_open(r);
    scrape->part = &scrape->series.part;
    ngx_str_set(&scrape->rest.label, "{topic=\"\"}");

    if (ngx_kapokmq_cluster_on()) {
        scrape->cluster = ngx_palloc(r->pool,
                                     sizeof(ngx_kapokmq_metrics_cluster_t));
        if (scrape->cluster == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_kapokmq_metrics_cluster_read(scrape->cluster);
    }

    ngx_kapokmq_clock();

    r->main->count++;
    ngx_kapokmq_sliced(r, ngx_kapokmq_metrics_fill, scrape,
                       NGX_KAPOKMQ_METRICS_ROOM);

    return NGX_DONE;
}


static ngx_uint_t
ngx_kapokmq_metrics_open(ngx_http_request_t *r)
{
    ngx_str_t  *accept;

    static const kmq_media_t  text = { "text", "plain", "0.0.4" };
    static const kmq_media_t  open = {
        "application", "openmetrics-text", "1.0.0"
    };

    accept = ngx_kapokmq_http_find(r, "accept", sizeof("accept") - 1);

    return accept && kmq_media_prefers((char *) accept->data, accept->len,
                                       &open, &text);
}


static u_char *
ngx_kapokmq_metrics_fill(ngx_kapokmq_sliced_t *st, u_char *p, u_char *end)
{
    ngx_int_t              rc;
    ngx_kapokmq_scrape_t  *scrape;

    scrape = st->data;

    /* a standby has no queue, and may become one meanwhile */

    if (!scrape->gathered && ngx_kapokmq_worker.kmq == NULL) {
        scrape->gathered = 1;
        scrape->empty = 1;
        scrape->at = NGX_KAPOKMQ_METRICS_CLUSTER;
        ngx_kapokmq_metrics_type(scrape);
    }

    if (!scrape->gathered) {
        rc = ngx_kapokmq_metrics_gather(scrape);

        if (rc == NGX_ERROR) {
            st->error = "There is no memory for the answer";
            st->status = NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (rc != NGX_OK) {
            return p;
        }

        scrape->gathered = 1;
        ngx_kapokmq_metrics_values(scrape);
        ngx_kapokmq_metrics_type(scrape);
    }

    while (p < end && !st->done) {
        p = ngx_kapokmq_metrics_part(scrape, p);
        st->done = (scrape->at == NGX_KAPOKMQ_METRICS_END);
    }

    return p;
}


static void
ngx_kapokmq_metrics_type(ngx_kapokmq_scrape_t *scrape)
{
    ngx_http_headers_out_t  *out;

    out = &scrape->request->headers_out;

    /* the length is that of the type alone, for gzip_types */

    if (scrape->open) {
        ngx_str_set(&out->content_type, NGX_KAPOKMQ_METRICS_OPEN);
        out->content_type_len = sizeof("application/openmetrics-text") - 1;

    } else {
        ngx_str_set(&out->content_type, NGX_KAPOKMQ_METRICS_TEXT);
        out->content_type_len = sizeof("text/plain") - 1;
    }

    out->content_type_lowcase = NULL;
}


/* ----------------------------------------------------------------- figures */

/* Reads the next consumers, or topics.  NGX_OK: those were all, NGX_AGAIN,
 * NGX_ERROR. */
static ngx_int_t
ngx_kapokmq_metrics_gather(ngx_kapokmq_scrape_t *scrape)
{
    unsigned  i, n;

    if (!scrape->consumers) {
        ngx_kapokmq_metrics_consumers(scrape);
        return NGX_AGAIN;
    }

    n = kmq_topics(ngx_kapokmq_worker.kmq, &scrape->cursor,
                   scrape->slice.topics, NGX_KAPOKMQ_METRICS_SLICE);

    for (i = 0; i < n; i++) {
        if (ngx_kapokmq_metrics_topic(scrape, &scrape->slice.topics[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return (n < NGX_KAPOKMQ_METRICS_SLICE) ? NGX_OK : NGX_AGAIN;
}


static void
ngx_kapokmq_metrics_consumers(ngx_kapokmq_scrape_t *scrape)
{
    uint64_t                  oldest;
    unsigned                  i, n;
    const kmq_client_info_t  *client;

    n = kmq_clients(ngx_kapokmq_worker.kmq, KMQ_CONSUMER, &scrape->cursor,
                    scrape->slice.clients, NGX_KAPOKMQ_METRICS_SLICE);

    for (i = 0; i < n; i++) {
        client = &scrape->slice.clients[i];
        oldest = client->oldest / 1000;

        if (!client->leased && !client->parked) {
            scrape->values.by[ngx_kapokmq_mode_by(client->mode)]++;
        }

        scrape->values.oldest_in_flight =
            ngx_max(scrape->values.oldest_in_flight, oldest);
    }

    if (n == 0) {
        scrape->consumers = 1;
        scrape->cursor = 0;
    }
}


static ngx_int_t
ngx_kapokmq_metrics_topic(ngx_kapokmq_scrape_t *scrape,
    kmq_topic_info_t *info)
{
    uint64_t               now, value;
    ngx_uint_t             i;
    ngx_kapokmq_series_t  *series;

    now = (uint64_t) ngx_time();

    info->oldest = (info->oldest && info->oldest < now) ? now - info->oldest
                                                        : 0;

    scrape->values.oldest = ngx_max(scrape->values.oldest, info->oldest);

    if (scrape->left) {
        series = ngx_list_push(&scrape->series);
        if (series == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(series, sizeof(ngx_kapokmq_series_t));

        if (ngx_kapokmq_metrics_label(scrape->request->pool, info,
                                      &series->label)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        scrape->left--;

    } else {
        series = &scrape->rest;
        scrape->values.summed++;
    }

    for (i = 0; i < NGX_KAPOKMQ_TOPIC_FAMILIES; i++) {
        value = ngx_kapokmq_metrics_value(info,
                                          &ngx_kapokmq_topic_families[i],
                                          &ngx_kapokmq_topic_totals);

        if (ngx_kapokmq_topic_families[i].kind == NGX_KAPOKMQ_AGE) {
            series->value[i] = ngx_max(series->value[i], value);

        } else {
            series->value[i] += value;
        }
    }

    return NGX_OK;
}


/* {topic="NAME"}: a name is valid UTF-8, of which both formats want three
 * characters escaped. */
static ngx_int_t
ngx_kapokmq_metrics_label(ngx_pool_t *pool, const kmq_topic_info_t *info,
    ngx_str_t *label)
{
    u_char  *p, text[2 * KMQ_NAME_MAX + sizeof("{topic=\"\"}")];
    size_t   i;

    p = ngx_cpymem(text, "{topic=\"", sizeof("{topic=\"") - 1);

    for (i = 0; i < info->name_len; i++) {

        switch (info->name[i]) {

        case '\n':
            *p++ = '\\';
            *p++ = 'n';
            break;

        case '"':
        case '\\':
            *p++ = '\\';
            /* fall through */

        default:
            *p++ = (u_char) info->name[i];
            break;
        }
    }

    *p++ = '"';
    *p++ = '}';

    label->len = p - text;
    label->data = ngx_pnalloc(pool, label->len);
    if (label->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(label->data, text, label->len);

    return NGX_OK;
}


/* What there is beside the topics; of one moment. */
static void
ngx_kapokmq_metrics_values(ngx_kapokmq_scrape_t *scrape)
{
    uint64_t               bits;
    ngx_uint_t             i;
    ngx_kapokmq_metrics_t  *v;

    v = &scrape->values;

    kmq_count(ngx_kapokmq_worker.kmq, &v->counts);
    kmq_latency(ngx_kapokmq_worker.kmq, &scrape->latency);

    v->waiting_max = ngx_kapokmq_worker.config->message_chan_buffer;
    v->persistence = ngx_kapokmq_worker.config->is_persistent;
    v->failing = (v->counts.disk_error != 0);

    for (i = 0; i < KMQ_WORKERS / 64; i++) {

        for (bits = v->counts.workers[i]; bits; bits &= bits - 1) {
            v->workers++;
        }

        for (bits = v->counts.retiring[i]; bits; bits &= bits - 1) {
            v->retiring++;
        }
    }
}


/* Counters begin with this start: after a crash the restored ones may be less
 * than they were, and Prometheus would count all of them once more. */
static uint64_t
ngx_kapokmq_metrics_value(const void *data,
    const ngx_kapokmq_family_t *family, const ngx_kapokmq_totals_t *totals)
{
    size_t         place;
    uint32_t       number;
    uint64_t       value, before;
    const u_char  *p;

    p = (const u_char *) data + family->offset;

    if (family->size == sizeof(uint32_t)) {
        ngx_memcpy(&number, p, sizeof(uint32_t));
        return number;
    }

    ngx_memcpy(&value, p, sizeof(uint64_t));

    place = family->offset - totals->first;

    if (family->kind != NGX_KAPOKMQ_COUNTER || place >= totals->size) {
        return value;
    }

    ngx_memcpy(&before, (const u_char *) data + totals->before + place,
               sizeof(uint64_t));

    return value - ngx_min(value, before);
}


/* ------------------------------------------------------------------ answer */

/* Appends the next part of the answer, or of topics one sample of it. */
static u_char *
ngx_kapokmq_metrics_part(ngx_kapokmq_scrape_t *scrape, u_char *p)
{
    uint64_t                     value;
    const ngx_kapokmq_family_t  *family;

    if (scrape->at >= NGX_KAPOKMQ_METRICS_CLUSTER
        && scrape->at < NGX_KAPOKMQ_METRICS_TOPICS)
    {
        return ngx_kapokmq_metrics_nodes(scrape, p);
    }

    if (scrape->at >= NGX_KAPOKMQ_METRICS_TOPICS
        && scrape->at < NGX_KAPOKMQ_METRICS_EOF)
    {
        return ngx_kapokmq_metrics_series(scrape, p,
                                  scrape->at - NGX_KAPOKMQ_METRICS_TOPICS);
    }

    switch (scrape->at++) {

    case NGX_KAPOKMQ_METRICS_INFO:
        return ngx_kapokmq_metrics_info(scrape, p);

    case NGX_KAPOKMQ_METRICS_LATENCY:
        return ngx_kapokmq_metrics_latency(scrape, p);

    case NGX_KAPOKMQ_METRICS_REASONS:
        return ngx_kapokmq_metrics_reasons(scrape, p);

    case NGX_KAPOKMQ_METRICS_EOF:
        return scrape->open ? ngx_sprintf(p, "# EOF\n") : p;

    default:
        family = &ngx_kapokmq_families[scrape->at - 1];
        value = ngx_kapokmq_metrics_value(&scrape->values, family,
                                          &ngx_kapokmq_totals);

        if (family->kind == NGX_KAPOKMQ_TIME && value == 0) {
            return p;
        }

        p = ngx_kapokmq_metrics_family(p, scrape->open, family);

        return ngx_kapokmq_metrics_sample(p, family, NULL, value);
    }
}


static u_char *
ngx_kapokmq_metrics_nodes(ngx_kapokmq_scrape_t *scrape, u_char *p)
{
    ngx_uint_t  n;

    n = scrape->at++ - NGX_KAPOKMQ_METRICS_CLUSTER;

    if (scrape->at == NGX_KAPOKMQ_METRICS_TOPICS && scrape->empty) {
        scrape->at = NGX_KAPOKMQ_METRICS_EOF;
    }

    return scrape->cluster
           ? ngx_kapokmq_metrics_cluster(p, scrape->open, n, scrape->cluster)
           : p;
}


/* Appends the head of a family of topics, or its next sample. */
static u_char *
ngx_kapokmq_metrics_series(ngx_kapokmq_scrape_t *scrape, u_char *p,
    ngx_uint_t n)
{
    ngx_kapokmq_series_t        *series;
    const ngx_kapokmq_family_t  *family;

    family = &ngx_kapokmq_topic_families[n];

    if (!scrape->headed) {
        scrape->headed = 1;
        return ngx_kapokmq_metrics_family(p, scrape->open, family);
    }

    if (scrape->next == scrape->part->nelts && scrape->part->next) {
        scrape->part = scrape->part->next;
        scrape->next = 0;
    }

    if (scrape->next < scrape->part->nelts) {
        series = scrape->part->elts;
        series += scrape->next++;

        return ngx_kapokmq_metrics_sample(p, family, &series->label,
                                          series->value[n]);
    }

    if (scrape->values.summed) {
        p = ngx_kapokmq_metrics_sample(p, family, &scrape->rest.label,
                                       scrape->rest.value[n]);
    }

    scrape->at++;
    scrape->headed = 0;
    scrape->part = &scrape->series.part;
    scrape->next = 0;

    return p;
}


/* Samples that are always 1: their labels tell. */
static u_char *
ngx_kapokmq_metrics_info(ngx_kapokmq_scrape_t *scrape, u_char *p)
{
    kmq_config_t  *config;

    static const ngx_kapokmq_family_t  build = {
        "build", NULL, "What is running.", NGX_KAPOKMQ_GAUGE, 0, 0
    };

    static const ngx_kapokmq_family_t  settings = {
        "config", NULL, "What application.yaml says for all topics.",
        NGX_KAPOKMQ_GAUGE, 0, 0
    };

    config = ngx_kapokmq_worker.config;

    p = ngx_kapokmq_metrics_head(p, scrape->open, &build, "info");
    p = ngx_sprintf(p, "kapokmq_build_info{version=\"%s\","
                    "nginx_version=\"%s\"} 1\n",
                    NGX_KAPOKMQ_VERSION, NGINX_VERSION);

    p = ngx_kapokmq_metrics_head(p, scrape->open, &settings, "info");

    return ngx_sprintf(p, "kapokmq_config_info{push_type=\"%uD\","
                       "persistence=\"%uD\",confirm=\"%s\","
                       "prefetch=\"%uD\",max_deliveries=\"%uD\"} 1\n",
                       config->topic.push_type, config->is_persistent,
                       kmq_confirm_name(config->topic.confirm),
                       config->topic.prefetch, config->topic.max_deliveries);
}


/* Bounds are written as OpenMetrics wants numbers, in either format: a label
 * that differs would be another series. */
static u_char *
ngx_kapokmq_metrics_latency(ngx_kapokmq_scrape_t *scrape, u_char *p)
{
    uint64_t        n;
    ngx_uint_t      i;
    kmq_latency_t  *latency;

    static const ngx_kapokmq_family_t  family = {
        "push_latency_seconds", "seconds",
        "From a message's acceptance, or the end of its delay, to its first "
        "push.", NGX_KAPOKMQ_GAUGE, 0, 0
    };

    latency = &scrape->latency;
    n = 0;

    p = ngx_kapokmq_metrics_head(p, scrape->open, &family, "histogram");

    for (i = 0; i < KMQ_LATENCY_BOUNDS; i++) {
        n += latency->count[i];

        p = ngx_sprintf(p, "kapokmq_push_latency_seconds_bucket{le=\"");
        p = ngx_kapokmq_metrics_seconds(p, kmq_latency_bound[i]);
        p = ngx_sprintf(p, "\"} %uL\n", n);
    }

    n += latency->count[i];

    p = ngx_sprintf(p, "kapokmq_push_latency_seconds_bucket{le=\"+Inf\"} %uL"
                    "\nkapokmq_push_latency_seconds_sum ", n);
    p = ngx_kapokmq_metrics_seconds(p, latency->sum);

    return ngx_sprintf(p, "\nkapokmq_push_latency_seconds_count %uL\n", n);
}


/* Why deliveries came to nothing. */
static u_char *
ngx_kapokmq_metrics_reasons(ngx_kapokmq_scrape_t *scrape, u_char *p)
{
    ngx_uint_t  i;

    static const ngx_kapokmq_family_t  family = {
        "redeliveries", NULL,
        "Deliveries that ended without a confirmation, by the reason.",
        NGX_KAPOKMQ_COUNTER, 0, 0
    };

    static const char *const  reasons[KMQ_REASONS] = {
        "uncharged", "end", "return", "overdue"
    };

    p = ngx_kapokmq_metrics_family(p, scrape->open, &family);

    for (i = 0; i < KMQ_REASONS; i++) {
        p = ngx_sprintf(p, "kapokmq_redeliveries_total{reason=\"%s\"} %uL\n",
                        reasons[i], scrape->values.counts.failures[i]);
    }

    return p;
}


/* Seconds with one decimal at least. */
static u_char *
ngx_kapokmq_metrics_seconds(u_char *p, uint64_t ms)
{
    p = ngx_sprintf(p, "%uL.%03uL", ms / 1000, ms % 1000);

    while (p[-1] == '0' && p[-2] != '.') {
        p--;
    }

    return p;
}
