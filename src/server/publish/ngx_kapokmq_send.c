/* POST /Producer/Send: one message by HTTP; ngx_kapokmq_send_batch.c has
 * batches. */

#include "ngx_kapokmq_send_inside.h"
#include "../http/ngx_kapokmq_http.h"
#include "../worker/ngx_kapokmq_worker.h"


#define NGX_KAPOKMQ_SEND_PATH                                                 \
    "Nothing, or \"Send\", is expected behind the location"


/* A message that waits for the disk, and its request with it. */
typedef struct {
    ngx_kapokmq_pending_t   pending;
    ngx_http_request_t     *request;       /* NULL: it was answered */
    kmq_field_t             topic;
    char                    code[KMQ_CODE_LEN];
} ngx_kapokmq_sent_t;


static void ngx_kapokmq_send_body(ngx_http_request_t *r);
static void ngx_kapokmq_send_one(ngx_http_request_t *r, ngx_str_t *body,
    const kmq_rights_t *rights);
static const char *ngx_kapokmq_send_names(ngx_http_request_t *r,
    const kmq_field_t fields[], const kmq_misspelt_t *misspelt);
static void ngx_kapokmq_send_fact(ngx_http_request_t *r,
    const kmq_field_t *topic);
static void ngx_kapokmq_send_message(ngx_http_request_t *r,
    const kmq_rights_t *rights, kmq_field_t fields[],
    const kmq_misspelt_t *misspelt);
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
    ngx_int_t            rc;
    ngx_str_t            type;
    kmq_form_batch_t     batch;
    ngx_kapokmq_pass_t  *pass;

    rc = ngx_kapokmq_http_check(r, &pass);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (!ngx_kapokmq_path_behind(r, "Send")) {
        ngx_kapokmq_path_log(r, NGX_HTTP_NOT_FOUND, NGX_KAPOKMQ_SEND_PATH);
        return ngx_kapokmq_http_refuse(r, NGX_HTTP_NOT_FOUND,
                                       NGX_KAPOKMQ_SEND_PATH);
    }

    ngx_str_null(&type);

    if (r->headers_in.content_type) {
        type = r->headers_in.content_type->value;
    }

    batch = kmq_form_batch((char *) type.data, type.len);

    /* what says that it is JSON may be a batch of any size; else a body that
     * is too long for a message is not even asked for */

    if (batch == KMQ_FORM_BATCH_NONE
        || (batch == KMQ_FORM_BATCH_MAYBE
            && r->headers_in.content_length_n > ngx_kapokmq_http_body_max()))
    {
        return ngx_kapokmq_http_read(r, ngx_kapokmq_send_body);
    }

    return ngx_kapokmq_send_parts(r, batch == KMQ_FORM_BATCH_LINES,
                                  ngx_kapokmq_send_one, pass);
}


static void
ngx_kapokmq_send_body(ngx_http_request_t *r)
{
    kmq_misspelt_t       misspelt;
    ngx_kapokmq_pass_t  *pass;

    kmq_field_t  fields[NGX_KAPOKMQ_SEND_FIELDS] = NGX_KAPOKMQ_SEND_NAMES;

    pass = ngx_kapokmq_door_still(r);

    if (pass
        && ngx_kapokmq_http_form(r, fields, NGX_KAPOKMQ_SEND_FIELDS,
                                 &misspelt)
           == NGX_OK)
    {
        ngx_kapokmq_send_message(r, pass->access.rights, fields, &misspelt);
    }
}


/* Sends the message that is the whole body. */
static void
ngx_kapokmq_send_one(ngx_http_request_t *r, ngx_str_t *body,
    const kmq_rights_t *rights)
{
    kmq_misspelt_t  misspelt;

    kmq_field_t  fields[NGX_KAPOKMQ_SEND_FIELDS] = NGX_KAPOKMQ_SEND_NAMES;

    if (ngx_kapokmq_http_form_of(r, body, fields, NGX_KAPOKMQ_SEND_FIELDS,
                                 &misspelt)
        == NGX_OK)
    {
        ngx_kapokmq_send_message(r, rights, fields, &misspelt);
    }
}


/* Sends the message of these fields. */
static void
ngx_kapokmq_send_message(ngx_http_request_t *r, const kmq_rights_t *rights,
    kmq_field_t fields[], const kmq_misspelt_t *misspelt)
{
    kmq_data_t   data;
    ngx_uint_t   status;
    const char  *err;

    ngx_kapokmq_send_fact(r, &fields[0]);

    status = NGX_HTTP_BAD_REQUEST;
    err = ngx_kapokmq_send_names(r, fields, misspelt);

    if (err == NULL) {
        err = ngx_kapokmq_send_check(rights, fields, 0, &data, &status);
    }

    if (err) {
        ngx_kapokmq_send_refuse(r, &fields[0], status, err);
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
    ngx_kapokmq_names_t  names;

    ngx_str_null(&names.id);
    names.topic.data = topic->value;
    names.topic.len = topic->len;

    /* without memory the line is without a topic */
    (void) ngx_kapokmq_facts_names(r, &names);
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

    switch (ngx_kapokmq_pending_now(NULL)) {

    case NGX_KAPOKMQ_PENDING_NOT:
        kmq_code(kmq, &m, code);
        kmq_commit(kmq, &m, 1);

        ngx_kapokmq_wake();

        ngx_kapokmq_send_answer(r, code);
        break;

    case NGX_KAPOKMQ_PENDING_HELD:

        if (ngx_kapokmq_send_hold(r, topic, &m) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_ERROR);
        }

        ngx_kapokmq_wake();
        break;

    case NGX_KAPOKMQ_PENDING_REFUSED:
        kmq_discard(kmq, &m, 1);
        ngx_kapokmq_send_refuse(r, topic, NGX_HTTP_SERVICE_UNAVAILABLE,
                                NGX_KAPOKMQ_SILENT);
        break;
    }
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

    if (ngx_kapokmq_pending_hold(m, 1, 0) != NGX_OK) {
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
