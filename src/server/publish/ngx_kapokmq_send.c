/* POST /Producer/Send: one message by HTTP. */

#include "ngx_kapokmq_publish.h"
#include "../http/ngx_kapokmq_http.h"
#include "../worker/ngx_kapokmq_worker.h"
#include "../../protocol/kmq_utf8.h"


#define NGX_KAPOKMQ_SEND_FIELDS  3


/* A message that waits for the disk, and its request with it. */
typedef struct {
    ngx_kapokmq_pending_t   pending;
    ngx_http_request_t     *request;       /* NULL: it was answered */
    kmq_field_t             topic;
    char                    code[KMQ_CODE_LEN];
} ngx_kapokmq_sent_t;


static ngx_uint_t ngx_kapokmq_send_named(ngx_http_request_t *r);
static void ngx_kapokmq_send_body(ngx_http_request_t *r);
static const char *ngx_kapokmq_send_names(ngx_http_request_t *r,
    const kmq_field_t fields[], const kmq_misspelt_t *misspelt);
static void ngx_kapokmq_send_fact(ngx_http_request_t *r,
    const kmq_field_t *topic);
static const char *ngx_kapokmq_send_check(const kmq_field_t *topic,
    const kmq_field_t *text, const kmq_field_t *delay, kmq_data_t *data);
static void ngx_kapokmq_send_store(ngx_http_request_t *r,
    const kmq_field_t *topic, const kmq_data_t *data);
static ngx_int_t ngx_kapokmq_send_hold(ngx_http_request_t *r,
    const kmq_field_t *topic, kmq_message_t *m);
static void ngx_kapokmq_send_settled(ngx_kapokmq_pending_t *pending,
    ngx_int_t rc, const char *reason);
static void ngx_kapokmq_send_gone(void *data);
static void ngx_kapokmq_send_refuse(ngx_http_request_t *r,
    const kmq_field_t *topic, ngx_uint_t status, const char *text);
static void ngx_kapokmq_send_answer(ngx_http_request_t *r,
    const char code[KMQ_CODE_LEN]);


ngx_int_t
ngx_kapokmq_send_handler(ngx_http_request_t *r)
{
    return ngx_kapokmq_http_start(r, ngx_kapokmq_send_body);
}


/* Is it this function that the URI names?  Behind the location's prefix there
 * is nothing, or its name. */
static ngx_uint_t
ngx_kapokmq_send_named(ngx_http_request_t *r)
{
    ngx_str_t  rest;

    if (ngx_kapokmq_http_rest(r, &rest) != NGX_OK) {
        return 1;
    }

    if (rest.len && rest.data[0] == '/') {
        rest.data++;
        rest.len--;
    }

    if (rest.len && rest.data[rest.len - 1] == '/') {
        rest.len--;
    }

    return rest.len == 0
           || (rest.len == sizeof("Send") - 1
               && ngx_strncmp(rest.data, "Send", rest.len) == 0);
}


static void
ngx_kapokmq_send_body(ngx_http_request_t *r)
{
    kmq_data_t       data;
    const char      *err;
    kmq_misspelt_t   misspelt;

    kmq_field_t  fields[NGX_KAPOKMQ_SEND_FIELDS] = {
        { "topic", NULL, 0 },
        { "messageData", NULL, 0 },
        { "delayTime", NULL, 0 }
    };

    if (ngx_kapokmq_http_still(r) != NGX_OK) {
        return;
    }

    if (!ngx_kapokmq_send_named(r)) {
        ngx_kapokmq_http_error(r, NGX_HTTP_NOT_FOUND,
                               "There is no such function");
        return;
    }

    if (ngx_kapokmq_http_form(r, fields, NGX_KAPOKMQ_SEND_FIELDS, &misspelt)
        != NGX_OK)
    {
        return;
    }

    ngx_kapokmq_send_fact(r, &fields[0]);

    err = ngx_kapokmq_send_names(r, fields, &misspelt);

    if (err == NULL) {
        err = ngx_kapokmq_send_check(&fields[0], &fields[1], &fields[2],
                                     &data);
    }

    if (err) {
        ngx_kapokmq_send_refuse(r, &fields[0], NGX_HTTP_BAD_REQUEST, err);
        return;
    }

    if (data.size > ngx_kapokmq_worker.config->max_message_size) {
        ngx_kapokmq_send_refuse(r, &fields[0],
                                NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                "messageData is larger than maxMessageSize");
        return;
    }

    if (data.escaped > kmq_body_max(ngx_kapokmq_worker.kmq)) {
        ngx_kapokmq_send_refuse(r, &fields[0],
                                NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                "messageData is too large for the zone");
        return;
    }

    ngx_kapokmq_send_store(r, &fields[0], &data);
}


/* A parameter that came under a misspelt name, or in the query, would be
 * passed over, and the message sent without its delay. */
static const char *
ngx_kapokmq_send_names(ngx_http_request_t *r, const kmq_field_t fields[],
    const kmq_misspelt_t *misspelt)
{
    const char      *err;
    kmq_misspelt_t   other;

    kmq_field_t  delay = { "delayTime", NULL, 0 };

    err = ngx_kapokmq_field_misspelt(r, fields, NGX_KAPOKMQ_SEND_FIELDS,
                                     misspelt);

    if (err || r->args.len == 0 || fields[2].value) {
        return err;
    }

    if (ngx_kapokmq_http_query(r, &delay, 1, &other, &err) != NGX_OK) {
        return "the query could not be read";
    }

    return (err || delay.value || other.name[0])
           ? "delayTime must be in the body, not in the query" : NULL;
}


/* Keeps the topic for the access log. */
static void
ngx_kapokmq_send_fact(ngx_http_request_t *r, const kmq_field_t *topic)
{
    ngx_kapokmq_facts_t  *facts;

    facts = ngx_kapokmq_facts(r);

    if (facts) {
        facts->topic.data = topic->value;
        facts->topic.len = topic->len;
    }
}


/* Returns what is wrong, or NULL and the data. */
static const char *
ngx_kapokmq_send_check(const kmq_field_t *topic, const kmq_field_t *text,
    const kmq_field_t *delay, kmq_data_t *data)
{
    const char  *err;

    if (topic->value == NULL || topic->len == 0
        || text->value == NULL || text->len == 0)
    {
        return "Required data cannot be empty";
    }

    if (topic->len > KMQ_NAME_MAX) {
        return "topic is longer than 255 bytes";
    }

    if (memchr(topic->value, '\0', topic->len)) {
        return "topic has a zero byte";
    }

    if (!kmq_utf8_valid(topic->value, topic->len)) {
        return "topic is not valid UTF-8";
    }

    err = kmq_data_text(data, text->value, text->len);
    if (err) {
        return err;
    }

    data->delay = 0;

    if (delay->value
        && kmq_data_delay((char *) delay->value, delay->len, &data->delay)
           != 0)
    {
        return "delayTime is not a number of seconds up to ten years";
    }

    return NULL;
}


static void
ngx_kapokmq_send_store(ngx_http_request_t *r, const kmq_field_t *topic,
    const kmq_data_t *data)
{
    int             rc;
    char            code[KMQ_CODE_LEN];
    kmq_t          *kmq;
    kmq_message_t   m;

    kmq = ngx_kapokmq_worker.kmq;

    ngx_memzero(&m, sizeof(kmq_message_t));
    m.size = (uint32_t) data->escaped;
    m.delay_time = data->delay;

    ngx_kapokmq_clock();
    ngx_kapokmq_clock_delays(&m, 1);

    rc = kmq_reserve_to(kmq, (char *) topic->value, topic->len, &m);

    if (rc != KMQ_OK) {
        ngx_kapokmq_send_refuse(r, topic, NGX_HTTP_SERVICE_UNAVAILABLE,
                                rc == KMQ_FULL
                                ? "The queue is full"
                                : "The queue has no memory left");
        return;
    }

    ngx_kapokmq_publish_write(&m, data);

    if (ngx_kapokmq_worker.persistent == NGX_KAPOKMQ_DISK_FIRST) {

        if (ngx_kapokmq_send_hold(r, topic, &m) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_ERROR);
        }

        ngx_kapokmq_wake();
        return;
    }

    kmq_code(kmq, &m, code);
    kmq_commit(kmq, &m, 1);

    ngx_kapokmq_wake();

    ngx_kapokmq_send_answer(r, code);
}


/* ---------------------------------------------------------------- the disk */

static ngx_int_t
ngx_kapokmq_send_hold(ngx_http_request_t *r, const kmq_field_t *topic,
    kmq_message_t *m)
{
    ngx_pool_cleanup_t  *cln;
    ngx_kapokmq_sent_t  *sent;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_kapokmq_sent_t));

    if (cln == NULL) {
        kmq_discard(ngx_kapokmq_worker.kmq, m, 1);
        return NGX_ERROR;
    }

    sent = cln->data;

    sent->pending.handler = ngx_kapokmq_send_settled;
    sent->request = r;
    sent->topic = *topic;

    if (ngx_kapokmq_pending_hold(m, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    kmq_code(ngx_kapokmq_worker.kmq, m, sent->code);

    cln->handler = ngx_kapokmq_send_gone;
    ngx_kapokmq_pending_add(&sent->pending);

    return NGX_OK;
}


static void
ngx_kapokmq_send_settled(ngx_kapokmq_pending_t *pending, ngx_int_t rc,
    const char *reason)
{
    ngx_kapokmq_sent_t  *sent = (ngx_kapokmq_sent_t *) pending;

    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = sent->request;
    c = r->connection;
    sent->request = NULL;

    if (rc == NGX_OK) {
        ngx_kapokmq_send_answer(r, sent->code);

    } else {
        ngx_kapokmq_send_refuse(r, &sent->topic,
                                NGX_HTTP_SERVICE_UNAVAILABLE, reason);
    }

    ngx_http_run_posted_requests(c);
}


/* The request goes before it is answered. */
static void
ngx_kapokmq_send_gone(void *data)
{
    ngx_kapokmq_sent_t  *sent = data;

    if (sent->request) {
        ngx_kapokmq_pending_remove(&sent->pending);
    }
}


/* ---------------------------------------------------------------- answers */

/* Refuses the message, and counts that where its topic is one. */
static void
ngx_kapokmq_send_refuse(ngx_http_request_t *r, const kmq_field_t *topic,
    ngx_uint_t status, const char *text)
{
    if (topic->len && topic->len <= KMQ_NAME_MAX) {
        kmq_count_refused(ngx_kapokmq_worker.kmq, (char *) topic->value,
                          topic->len, 1);
    }

    ngx_kapokmq_http_error(r, status, text);
}


/* The message has that code. */
static void
ngx_kapokmq_send_answer(ngx_http_request_t *r, const char code[KMQ_CODE_LEN])
{
    u_char               *p;
    ngx_str_t             json;
    ngx_kapokmq_facts_t  *facts;

    facts = ngx_kapokmq_facts(r);

    if (facts) {
        facts->messages = 1;
        ngx_memcpy(facts->code, code, KMQ_CODE_LEN);
    }

    json.data = ngx_pnalloc(r->pool, sizeof("{\"code\":0,\"msg\":\"\"}") - 1
                                     + KMQ_CODE_LEN);
    if (json.data == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    p = ngx_cpymem(json.data, "{\"code\":0,\"msg\":\"",
                   sizeof("{\"code\":0,\"msg\":\"") - 1);
    p = ngx_cpymem(p, code, KMQ_CODE_LEN);
    *p++ = '"';
    *p++ = '}';

    json.len = p - json.data;

    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}
