/* The console's messages: what is told of one. */

#include "ngx_kapokmq_console_inside.h"
#include "../worker/ngx_kapokmq_worker.h"
#include "../../protocol/kmq_json.h"


/* A message that is read. */
typedef struct {
    kmq_message_info_t  info;
    kmq_ref_t           piece;
    uint32_t            left;
    kmq_json_length_t   length;
    unsigned            opened:1;
} ngx_kapokmq_read_t;


static u_char *ngx_kapokmq_messages_failure(u_char *p,
    const kmq_message_info_t *m);
static u_char *ngx_kapokmq_messages_read(ngx_kapokmq_sliced_t *st, u_char *p,
    u_char *end);


u_char *
ngx_kapokmq_messages_head(u_char *p, const kmq_message_info_t *m)
{
    p = ngx_sprintf(p, "{\"MessageCode\":\"");
    p = ngx_cpymem(p, m->code, KMQ_CODE_LEN);
    *p++ = '"';
    *p++ = ',';

    return p;
}


u_char *
ngx_kapokmq_messages_tail(u_char *p, const kmq_message_info_t *m)
{
    p = ngx_sprintf(p, "\"Topic\":");
    p = ngx_kapokmq_http_quote(p, m->topic, m->topic_len);

    p = ngx_sprintf(p, ",\"CreateTime\":%uD,\"ConsumedTime\":%uD,"
                    "\"DelayTime\":%uD,\"Status\":%d,\"Size\":%uD,"
                    "\"Attempts\":%uD",
                    m->create_time, m->consumed_time, m->delay, m->status,
                    m->size, m->attempts);

    return ngx_kapokmq_messages_failure(p, m);
}


/* What went wrong with it last, and when it is tried again. */
static u_char *
ngx_kapokmq_messages_failure(u_char *p, const kmq_message_info_t *m)
{
    static const char *const  words[KMQ_REASONS] = {
        "null,\"LastErrorCode\":null",
        "\"consumer gone\",\"LastErrorCode\":\"end\"",
        "\"given back\",\"LastErrorCode\":\"return\"",
        "\"overdue\",\"LastErrorCode\":\"overdue\""
    };

    p = ngx_sprintf(p, ",\"LastError\":%s,\"Suspect\":%s,\"NextTry\":",
                    words[m->failure < KMQ_REASONS ? m->failure : 0],
                    m->suspect ? "true" : "false");

    return ngx_kapokmq_http_or_null(p, m->status == KMQ_STATUS_WAITING
                                       ? m->due : 0);
}


u_char *
ngx_kapokmq_messages_whereabouts(u_char *p, const kmq_message_info_t *m)
{
    char    id[KMQ_NAME_MAX];
    size_t  len;

    len = m->in_flight ? kmq_consumer_of(ngx_kapokmq_worker.kmq, m, id) : 0;

    p = ngx_sprintf(p, ",\"InFlight\":%s,\"Consumer\":",
                    m->in_flight ? "true" : "false");

    p = len ? ngx_kapokmq_http_quote(p, id, len) : ngx_sprintf(p, "null");

    p = ngx_sprintf(p, ",\"DueTime\":");
    p = ngx_kapokmq_http_or_null(p, m->status == KMQ_STATUS_DELAYED ? m->due
                                                                    : 0);
    p = ngx_sprintf(p, ",\"DeadTime\":");

    return ngx_kapokmq_http_or_null(p, m->dead_time);
}


void
ngx_kapokmq_messages_get(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    ngx_kapokmq_read_t  *read;

    kmq_field_t  code = { "messageCode", NULL, 0 };

    if (ngx_kapokmq_http_fields(r, &code, 1) != NGX_OK
        || ngx_kapokmq_messages_code(r, &code) != NGX_OK)
    {
        return;
    }

    read = ngx_pcalloc(r->pool, sizeof(ngx_kapokmq_read_t));
    if (read == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    if (kmq_find(ngx_kapokmq_worker.kmq, (char *) code.value, &read->info)
        != KMQ_OK)
    {
        ngx_kapokmq_http_error(r, NGX_HTTP_NOT_FOUND, NGX_KAPOKMQ_NO_MESSAGE);
        return;
    }

    if (ngx_kapokmq_access_topic(r, rights, 0, read->info.topic,
                                  read->info.topic_len)
        != NGX_OK)
    {
        return;
    }

    read->piece = read->info.body;
    read->left = read->info.size;

    ngx_kapokmq_sliced(r, ngx_kapokmq_messages_read, read,
                       KMQ_COPY_MIN + NGX_KAPOKMQ_MESSAGE_MAX);
}


static u_char *
ngx_kapokmq_messages_read(ngx_kapokmq_sliced_t *st, u_char *p, u_char *end)
{
    int                  n;
    ngx_kapokmq_read_t  *read;

    read = st->data;

    if (!read->opened) {
        read->opened = 1;
        p = ngx_sprintf(p, "{\"code\":0,\"data\":");
        p = ngx_kapokmq_messages_head(p, &read->info);
        p = ngx_sprintf(p, "\"MessageData\":\"");
    }

    while (p < end) {
        n = kmq_copy(ngx_kapokmq_worker.kmq, &read->info, &read->piece,
                     &read->left, (char *) p, end - p + KMQ_COPY_MIN);

        if (n == KMQ_GONE) {
            st->status = NGX_HTTP_NOT_FOUND;
            st->error = NGX_KAPOKMQ_NO_MESSAGE;
            return p;
        }

        if (n == 0) {
            p = ngx_sprintf(p, "\",");
            p = ngx_kapokmq_messages_tail(p, &read->info);
            p = ngx_kapokmq_messages_whereabouts(p, &read->info);
            p = ngx_sprintf(p, ",\"DataSize\":%uL}}", read->length.size);
            st->done = 1;
            return p;
        }

        kmq_json_length(&read->length, p, n);
        p += n;
    }

    return p;
}


ngx_int_t
ngx_kapokmq_messages_code(ngx_http_request_t *r, const kmq_field_t *field)
{
    size_t  i;

    if (ngx_kapokmq_field_required(r, field) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < field->len; i++) {
        if (!(field->value[i] >= '0' && field->value[i] <= '9')
            && !(field->value[i] >= 'a' && field->value[i] <= 'f'))
        {
            break;
        }
    }

    if (i < field->len || i != KMQ_CODE_LEN) {
        ngx_kapokmq_field_error(r, field, "40 lowercase hex digits");
        return NGX_ERROR;
    }

    return NGX_OK;
}
