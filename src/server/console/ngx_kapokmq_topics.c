/* The console's topics: listed, looked at, purged, paused. */

#include "ngx_kapokmq_console_inside.h"
#include "../worker/ngx_kapokmq_worker.h"


/* Slices of a purge in one turn. */
#define NGX_KAPOKMQ_PURGE_TURN  4

/* A topic at its longest: its name escaped, and the rest. */
#define NGX_KAPOKMQ_TOPIC_MAX   (6 * KMQ_NAME_MAX + 736)

/* The same with its periods. */
#define NGX_KAPOKMQ_DETAIL_MAX                                                \
    (NGX_KAPOKMQ_TOPIC_MAX + 256                                              \
     + (KMQ_TOPIC_MINUTES + KMQ_TOPIC_HOURS) * 160)

#define NGX_KAPOKMQ_NO_TOPIC    "There is no such topic"


typedef struct {
    ngx_kapokmq_pages_t  pages;
    ngx_str_t            search;
    const kmq_rights_t  *rights;
    kmq_topic_info_t     slice[NGX_KAPOKMQ_PAGES_SLICE];
} ngx_kapokmq_topics_t;

/* A topic whose messages are deleted. */
typedef struct {
    kmq_query_t           query;
    uint64_t              cursor;
    ngx_kapokmq_audit_t  *audit;        /* n: deleted */
} ngx_kapokmq_purge_t;


static unsigned ngx_kapokmq_topics_fetch(ngx_kapokmq_pages_t *pages,
    unsigned n);
static ngx_uint_t ngx_kapokmq_topics_fits(ngx_kapokmq_pages_t *pages,
    unsigned i);
static u_char *ngx_kapokmq_topics_element(ngx_kapokmq_pages_t *pages,
    unsigned i, u_char *p);
static u_char *ngx_kapokmq_topics_write(u_char *p,
    const kmq_topic_info_t *topic);
static ngx_int_t ngx_kapokmq_topics_find(ngx_http_request_t *r,
    const kmq_rights_t *rights, ngx_uint_t write, const kmq_field_t *field,
    kmq_topic_detail_t *detail);
static u_char *ngx_kapokmq_topics_settings(u_char *p,
    const kmq_topic_detail_t *detail);
static void ngx_kapokmq_topics_set_paused(ngx_http_request_t *r,
    const kmq_rights_t *rights, ngx_uint_t on);
static u_char *ngx_kapokmq_topics_purge_fill(ngx_kapokmq_sliced_t *st,
    u_char *p, u_char *end);


/* ------------------------------------------------------------------- list */

void
ngx_kapokmq_topics_list(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    ngx_kapokmq_topics_t  *topics;

    kmq_field_t  fields[] = {
        { "search", NULL, 0 },
        { "limit", NULL, 0 },
        { "cursor", NULL, 0 }
    };

    topics = ngx_pcalloc(r->pool, sizeof(ngx_kapokmq_topics_t));
    if (topics == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    if (ngx_kapokmq_http_fields(r, fields, 3) != NGX_OK
        || ngx_kapokmq_pages_bounds(r, &topics->pages, &fields[1], &fields[2])
           != NGX_OK)
    {
        return;
    }

    topics->search.data = fields[0].value;
    topics->search.len = fields[0].len;
    topics->rights = rights;

    topics->pages.fetch = ngx_kapokmq_topics_fetch;
    topics->pages.fits = ngx_kapokmq_topics_fits;
    topics->pages.write = ngx_kapokmq_topics_element;

    ngx_kapokmq_pages(r, &topics->pages, NGX_KAPOKMQ_TOPIC_MAX);
}


static unsigned
ngx_kapokmq_topics_fetch(ngx_kapokmq_pages_t *pages, unsigned n)
{
    ngx_kapokmq_topics_t  *topics = (ngx_kapokmq_topics_t *) pages;

    return kmq_topics(ngx_kapokmq_worker.kmq, &pages->cursor, topics->slice,
                      n);
}


static ngx_uint_t
ngx_kapokmq_topics_fits(ngx_kapokmq_pages_t *pages, unsigned i)
{
    ngx_kapokmq_topics_t  *topics = (ngx_kapokmq_topics_t *) pages;

    kmq_topic_info_t  *topic;

    topic = &topics->slice[i];

    return ngx_kapokmq_access_sees(topics->rights, 0, topic->name,
                                    topic->name_len)
           && ngx_kapokmq_field_found(&topics->search, topic->name,
                                      topic->name_len);
}


static u_char *
ngx_kapokmq_topics_element(ngx_kapokmq_pages_t *pages, unsigned i, u_char *p)
{
    ngx_kapokmq_topics_t  *topics = (ngx_kapokmq_topics_t *) pages;

    p = ngx_kapokmq_topics_write(p, &topics->slice[i]);
    *p++ = '}';

    return p;
}


/* A topic, without the brace at its end. */
static u_char *
ngx_kapokmq_topics_write(u_char *p, const kmq_topic_info_t *topic)
{
    const kmq_totals_t  *t = &topic->totals;

    p = ngx_sprintf(p, "{\"Topic\":");
    p = ngx_kapokmq_http_quote(p, topic->name, topic->name_len);

    p = ngx_sprintf(p, ",\"PushType\":%uD,\"Waiting\":%uL,\"InFlight\":%uL,"
                    "\"Retrying\":%uL,\"Delayed\":%uL,\"Consumed\":%uL,"
                    "\"Dead\":%uL,",
                    topic->push_type, topic->ready, topic->in_flight,
                    topic->retrying, topic->delayed, topic->consumed,
                    topic->dead);

    p = ngx_sprintf(p, "\"Producers\":%uD,\"Consumers\":%uD,"
                    "\"Resting\":%uD,\"OldestWaiting\":", topic->producers,
                    topic->consumers, topic->resting);

    /* the time of one that was made due would have come later */

    p = ngx_kapokmq_http_or_null(p, ngx_min(topic->oldest,
                                            (uint64_t) ngx_time()));

    p = ngx_sprintf(p, ",\"Published\":%uL,\"Delivered\":%uL,"
                    "\"Redelivered\":%uL,\"Confirmed\":%uL,",
                    t->published, t->delivered, t->redelivered, t->confirmed);

    return ngx_sprintf(p, "\"Died\":%uL,\"Expired\":%uL,\"Refused\":%uL,"
                       "\"Paused\":%s",
                       t->died, t->expired, t->refused,
                       topic->paused ? "true" : "false");
}


/* -------------------------------------------------------------- one topic */

void
ngx_kapokmq_topics_get(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    u_char              *p;
    ngx_str_t            json;
    kmq_topic_detail_t  *detail;

    kmq_field_t  topic = { "topic", NULL, 0 };

    json.data = ngx_palloc(r->pool, NGX_KAPOKMQ_DETAIL_MAX);
    detail = ngx_palloc(r->pool, sizeof(kmq_topic_detail_t));

    if (json.data == NULL || detail == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    if (ngx_kapokmq_http_fields(r, &topic, 1) != NGX_OK
        || ngx_kapokmq_topics_find(r, rights, 0, &topic, detail) != NGX_OK)
    {
        return;
    }

    p = ngx_sprintf(json.data, "{\"code\":0,\"data\":");
    p = ngx_kapokmq_topics_write(p, &detail->info);
    p = ngx_kapokmq_growth_topic(p, detail);
    p = ngx_kapokmq_topics_settings(p, detail);
    p = ngx_sprintf(p, "}}");

    json.len = p - json.data;

    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}


/* NGX_ERROR: there is none, which has been answered. */
static ngx_int_t
ngx_kapokmq_topics_find(ngx_http_request_t *r, const kmq_rights_t *rights,
    ngx_uint_t write, const kmq_field_t *field, kmq_topic_detail_t *detail)
{
    if (ngx_kapokmq_field_required(r, field) != NGX_OK
        || ngx_kapokmq_field_name(r, field) != NGX_OK
        || ngx_kapokmq_access_topic(r, rights, write, (char *) field->value,
                                     field->len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (kmq_topic(ngx_kapokmq_worker.kmq, (char *) field->value, field->len,
                  detail)
        != KMQ_OK)
    {
        ngx_kapokmq_http_error(r, NGX_HTTP_NOT_FOUND, NGX_KAPOKMQ_NO_TOPIC);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static u_char *
ngx_kapokmq_topics_settings(u_char *p, const kmq_topic_detail_t *detail)
{
    kmq_topic_config_t  config;

    kmq_config_topic(ngx_kapokmq_worker.config, detail->info.name,
                     detail->info.name_len, &config);

    p = ngx_sprintf(p, ",\"PushRetryTime\":");
    p = ngx_kapokmq_http_decimal(p, detail->settings.retry_time / 1000.0);
    p = ngx_sprintf(p, ",\"RetryDelay\":");
    p = ngx_kapokmq_http_decimal(p, detail->settings.retry_delay / 1000.0);
    p = ngx_sprintf(p, ",\"RetryDelayMax\":");
    p = ngx_kapokmq_http_decimal(p, detail->settings.retry_delay_max / 1000.0);
    p = ngx_sprintf(p, ",\"Heartbeat\":");
    p = ngx_kapokmq_http_decimal(p, config.heartbeat / 1000.0);

    return ngx_sprintf(p, ",\"MaxDeliveries\":%uD,\"CleanTime\":%uD,"
                       "\"Confirm\":\"%s\",\"Prefetch\":%uD",
                       detail->settings.max_deliveries,
                       detail->settings.clean_time,
                       kmq_confirm_name(config.confirm), config.prefetch);
}


/* ------------------------------------------------------------------ pause */

void
ngx_kapokmq_topics_pause(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    ngx_kapokmq_topics_set_paused(r, rights, 1);
}


void
ngx_kapokmq_topics_resume(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    ngx_kapokmq_topics_set_paused(r, rights, 0);
}


/* It is noted also where it was so before. */
static void
ngx_kapokmq_topics_set_paused(ngx_http_request_t *r,
    const kmq_rights_t *rights, ngx_uint_t on)
{
    ngx_str_t            json = ngx_string("{\"code\":0}");
    kmq_topic_detail_t  *detail;

    kmq_field_t  topic = { "topic", NULL, 0 };

    detail = ngx_palloc(r->pool, sizeof(kmq_topic_detail_t));
    if (detail == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    if (ngx_kapokmq_http_strict(r, &topic, 1, 0) != NGX_OK
        || ngx_kapokmq_topics_find(r, rights, 1, &topic, detail) != NGX_OK)
    {
        return;
    }

    if (kmq_pause(ngx_kapokmq_worker.kmq, (char *) topic.value, topic.len,
                  (int) on)
        != KMQ_OK)
    {
        ngx_kapokmq_http_error(r, NGX_HTTP_NOT_FOUND, NGX_KAPOKMQ_NO_TOPIC);
        return;
    }

    ngx_kapokmq_audit(r, on ? "delivery paused of topic"
                            : "delivery resumed of topic",
                      topic.value, topic.len, 1);
    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}


/* ------------------------------------------------------------------ purge */

void
ngx_kapokmq_topics_purge(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    ngx_int_t             status;
    kmq_topic_detail_t   *detail;
    ngx_kapokmq_purge_t  *purge;

    kmq_field_t  fields[] = {
        { "topic", NULL, 0 },
        { "status", NULL, 0 }
    };

    purge = ngx_pcalloc(r->pool, sizeof(ngx_kapokmq_purge_t));
    detail = ngx_palloc(r->pool, sizeof(kmq_topic_detail_t));

    if (purge == NULL || detail == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    status = KMQ_STATUS_WAITING;

    if (ngx_kapokmq_http_fields(r, fields, 2) != NGX_OK
        || ngx_kapokmq_field_number(r, &fields[1], KMQ_STATUS_WAITING,
                                    KMQ_STATUS_ANY, &status)
           != NGX_OK
        || ngx_kapokmq_topics_find(r, rights, 1, &fields[0], detail)
           != NGX_OK)
    {
        return;
    }

    purge->query.status = (int) status;
    purge->query.topic = (char *) fields[0].value;
    purge->query.topic_len = fields[0].len;
    purge->query.to = UINT32_MAX;
    purge->audit = ngx_kapokmq_audit_begin(r, "messages purged of topic",
                                           fields[0].value, fields[0].len);

    if (purge->audit == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    ngx_kapokmq_sliced(r, ngx_kapokmq_topics_purge_fill, purge,
                       NGX_KAPOKMQ_TOPIC_MAX);
}


static u_char *
ngx_kapokmq_topics_purge_fill(ngx_kapokmq_sliced_t *st, u_char *p,
    u_char *end)
{
    ngx_uint_t            turn;
    ngx_kapokmq_purge_t  *purge;

    (void) end;

    purge = st->data;

    for (turn = 0; turn < NGX_KAPOKMQ_PURGE_TURN; turn++) {

        kmq_purge(ngx_kapokmq_worker.kmq, &purge->query, &purge->cursor,
                  &purge->audit->n);

        if (purge->cursor == 0) {
            st->done = 1;
            p = ngx_sprintf(p, "{\"code\":0,\"data\":%uL}", purge->audit->n);
            ngx_kapokmq_audit_end(purge->audit);
            break;
        }
    }

    ngx_kapokmq_wake_producers();

    return p;
}
