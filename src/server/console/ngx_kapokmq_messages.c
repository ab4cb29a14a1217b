/* The console's messages: listed, read, deleted, requeued. */

#include "ngx_kapokmq_console_inside.h"
#include "../worker/ngx_kapokmq_worker.h"

#include <time.h>


#define NGX_KAPOKMQ_LIST_LIMIT   10000

/* Messages found at once, slices of the engine's search and of a requeue in
 * one turn. */
#define NGX_KAPOKMQ_LIST_SLICE   64
#define NGX_KAPOKMQ_LIST_TURN    4
#define NGX_KAPOKMQ_REQUEUE      1024

/* A message at its longest: topic and consumer escaped, and the rest. */
#define NGX_KAPOKMQ_MESSAGE_MAX  (2 * 6 * KMQ_NAME_MAX + 640)

#define NGX_KAPOKMQ_NO_MESSAGE   "There is no such message"


/* A search, and where its answer stands. */
typedef struct {
    kmq_query_t         query;
    const kmq_rights_t *rights;
    uint64_t            cursor;
    uint64_t            last;          /* sequence of the last one listed */
    ngx_uint_t          left;          /* of limit */
    unsigned            opened:1;
    unsigned            listed:1;
    unsigned            searched:1;    /* there are no more to be found */
    unsigned            next;          /* of the slice */
    unsigned            n;
    kmq_message_info_t  slice[NGX_KAPOKMQ_LIST_SLICE];
} ngx_kapokmq_search_t;

/* A message that is read. */
typedef struct {
    kmq_message_info_t  info;
    kmq_ref_t           piece;
    uint32_t            left;
    unsigned            opened:1;
} ngx_kapokmq_read_t;

/* A topic whose dead messages are requeued. */
typedef struct {
    ngx_str_t             topic;
    ngx_kapokmq_audit_t  *audit;        /* n: requeued */
} ngx_kapokmq_requeue_t;


static ngx_int_t ngx_kapokmq_messages_query(ngx_http_request_t *r,
    ngx_kapokmq_search_t *search, const kmq_field_t *fields);
static ngx_int_t ngx_kapokmq_messages_time(ngx_http_request_t *r,
    const kmq_field_t *field, uint32_t *value);
static ngx_int_t ngx_kapokmq_messages_local_time(const kmq_field_t *field,
    uint32_t *value);
static u_char *ngx_kapokmq_messages_fill(ngx_kapokmq_sliced_t *st, u_char *p,
    u_char *end);
static u_char *ngx_kapokmq_messages_next(ngx_kapokmq_search_t *search,
    u_char *p);
static u_char *ngx_kapokmq_messages_head(u_char *p,
    const kmq_message_info_t *m);
static u_char *ngx_kapokmq_messages_tail(u_char *p,
    const kmq_message_info_t *m);
static u_char *ngx_kapokmq_messages_failure(u_char *p,
    const kmq_message_info_t *m);
static u_char *ngx_kapokmq_messages_read(ngx_kapokmq_sliced_t *st, u_char *p,
    u_char *end);
static u_char *ngx_kapokmq_messages_whereabouts(u_char *p,
    const kmq_message_info_t *m);
static ngx_int_t ngx_kapokmq_messages_code(ngx_http_request_t *r,
    const kmq_field_t *field);
static void ngx_kapokmq_messages_requeue_one(ngx_http_request_t *r,
    const kmq_rights_t *rights, const kmq_field_t *code);
static u_char *ngx_kapokmq_messages_requeue_fill(ngx_kapokmq_sliced_t *st,
    u_char *p, u_char *end);


/* ------------------------------------------------------------------- list */

void
ngx_kapokmq_messages_list(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    ngx_kapokmq_search_t  *search;

    kmq_field_t  fields[] = {
        { "status", NULL, 0 },
        { "topic", NULL, 0 },
        { "startTime", NULL, 0 },
        { "endTime", NULL, 0 },
        { "limit", NULL, 0 },
        { "cursor", NULL, 0 }
    };

    if (ngx_kapokmq_http_fields(r, fields, 6) != NGX_OK) {
        return;
    }

    search = ngx_pcalloc(r->pool, sizeof(ngx_kapokmq_search_t));
    if (search == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    if (ngx_kapokmq_messages_query(r, search, fields) != NGX_OK
        || (fields[1].len
            && ngx_kapokmq_access_topic(r, rights, 0,
                                         (char *) fields[1].value,
                                         fields[1].len)
               != NGX_OK))
    {
        return;
    }

    search->rights = rights;

    ngx_kapokmq_sliced(r, ngx_kapokmq_messages_fill, search,
                       NGX_KAPOKMQ_MESSAGE_MAX);
}


static ngx_int_t
ngx_kapokmq_messages_query(ngx_http_request_t *r,
    ngx_kapokmq_search_t *search, const kmq_field_t *fields)
{
    ngx_int_t  status, limit;

    status = KMQ_STATUS_ANY;
    limit = NGX_KAPOKMQ_LIST_LIMIT;

    search->query.to = UINT32_MAX;

    if (ngx_kapokmq_field_number(r, &fields[0], KMQ_STATUS_WAITING,
                                 KMQ_STATUS_ANY, &status)
           != NGX_OK
        || ngx_kapokmq_field_name(r, &fields[1]) != NGX_OK
        || ngx_kapokmq_messages_time(r, &fields[2], &search->query.from)
           != NGX_OK
        || ngx_kapokmq_messages_time(r, &fields[3], &search->query.to)
           != NGX_OK
        || ngx_kapokmq_field_number(r, &fields[4], 1, NGX_KAPOKMQ_LIST_LIMIT,
                                    &limit)
           != NGX_OK
        || ngx_kapokmq_field_cursor(r, &fields[5], &search->cursor) != NGX_OK)
    {
        return NGX_ERROR;
    }

    search->query.status = (int) status;
    search->query.topic = (char *) fields[1].value;
    search->query.topic_len = fields[1].len;
    search->left = limit;

    return NGX_OK;
}


/* An absent or empty field leaves *value as it is. */
static ngx_int_t
ngx_kapokmq_messages_time(ngx_http_request_t *r, const kmq_field_t *field,
    uint32_t *value)
{
    ngx_int_t  n;

    if (field->len == 0) {
        return NGX_OK;
    }

    n = ngx_atoi(field->value, field->len);

    if (n >= 0 && n <= (ngx_int_t) UINT32_MAX) {
        *value = (uint32_t) n;
        return NGX_OK;
    }

    if (ngx_kapokmq_messages_local_time(field, value) == NGX_OK) {
        return NGX_OK;
    }

    ngx_kapokmq_field_error(r, field, "a time like 2006-01-02 15:04:05, or "
                            "Unix seconds");

    return NGX_ERROR;
}


/* The server's local time. */
static ngx_int_t
ngx_kapokmq_messages_local_time(const kmq_field_t *field, uint32_t *value)
{
    int         day;
    char        text[32], *end;
    time_t      sec;
    struct tm   tm;

    if (field->len >= sizeof(text)) {
        return NGX_ERROR;
    }

    ngx_memcpy(text, field->value, field->len);
    text[field->len] = '\0';

    ngx_memzero(&tm, sizeof(struct tm));
    tm.tm_isdst = -1;

    end = strptime(text, "%Y-%m-%d %H:%M:%S", &tm);

    if (end == NULL || *end != '\0') {
        return NGX_ERROR;
    }

    /* it makes the 1st of March of a 29th of February that is none */

    day = tm.tm_mday;
    sec = mktime(&tm);

    if (tm.tm_mday != day || sec < 0 || sec > (time_t) UINT32_MAX) {
        return NGX_ERROR;
    }

    *value = (uint32_t) sec;

    return NGX_OK;
}


static u_char *
ngx_kapokmq_messages_fill(ngx_kapokmq_sliced_t *st, u_char *p, u_char *end)
{
    ngx_uint_t             turn;
    kmq_message_info_t    *m;
    ngx_kapokmq_search_t  *search;

    turn = 0;
    search = st->data;

    if (!search->opened) {
        search->opened = 1;
        p = ngx_sprintf(p, "{\"code\":0,\"data\":[");
    }

    while (p < end) {

        if (search->next == search->n && !search->searched) {

            if (turn++ == NGX_KAPOKMQ_LIST_TURN) {
                return p;
            }

            search->next = 0;
            search->n = kmq_search(ngx_kapokmq_worker.kmq, &search->query,
                                   &search->cursor, search->slice,
                                   NGX_KAPOKMQ_LIST_SLICE);
            search->searched = (search->cursor == 0);
            continue;
        }

        if (search->next == search->n || search->left == 0) {
            st->done = 1;
            return ngx_kapokmq_messages_next(search, p);
        }

        m = &search->slice[search->next++];

        if (!ngx_kapokmq_access_sees(search->rights, 0, m->topic,
                                      m->topic_len))
        {
            continue;
        }

        search->left--;
        search->last = m->sequence;

        if (search->listed) {
            *p++ = ',';
        }

        search->listed = 1;

        p = ngx_kapokmq_messages_head(p, m);
        p = ngx_kapokmq_messages_tail(p, m);
        *p++ = '}';
    }

    return p;
}


/* The end of the list: is there more of it? */
static u_char *
ngx_kapokmq_messages_next(ngx_kapokmq_search_t *search, u_char *p)
{
    if (search->next == search->n) {
        return ngx_sprintf(p, "],\"next\":null}");
    }

    return ngx_sprintf(p, "],\"next\":\"%uL\"}", search->last);
}


/* ---------------------------------------------------------------- message */

static u_char *
ngx_kapokmq_messages_head(u_char *p, const kmq_message_info_t *m)
{
    p = ngx_sprintf(p, "{\"MessageCode\":\"");
    p = ngx_cpymem(p, m->code, KMQ_CODE_LEN);
    *p++ = '"';
    *p++ = ',';

    return p;
}


/* Without the brace at the end. */
static u_char *
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
            p = ngx_sprintf(p, "}}");
            st->done = 1;
            return p;
        }

        p += n;
    }

    return p;
}


/* What only the one message tells: who has it, and its times. */
static u_char *
ngx_kapokmq_messages_whereabouts(u_char *p, const kmq_message_info_t *m)
{
    char    id[KMQ_NAME_MAX];
    size_t  len;

    len = kmq_consumer_of(ngx_kapokmq_worker.kmq, m, id);

    p = ngx_sprintf(p, ",\"InFlight\":%s,\"Consumer\":",
                    m->in_flight ? "true" : "false");

    p = len ? ngx_kapokmq_http_quote(p, id, len) : ngx_sprintf(p, "null");

    p = ngx_sprintf(p, ",\"DueTime\":");
    p = ngx_kapokmq_http_or_null(p, m->status == KMQ_STATUS_DELAYED ? m->due
                                                                    : 0);
    p = ngx_sprintf(p, ",\"DeadTime\":");

    return ngx_kapokmq_http_or_null(p, m->dead_time);
}


/* Reads a field that must hold a MessageCode; NGX_ERROR: it has been
 * answered that it does not. */
static ngx_int_t
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


/* --------------------------------------------------------- delete, requeue */

/* What is not there, under whatever code, need not be deleted. */
void
ngx_kapokmq_messages_delete(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    ngx_str_t           json = ngx_string("{\"code\":0}");
    kmq_message_info_t  info;

    kmq_field_t  code = { "messageCode", NULL, 0 };

    if (ngx_kapokmq_http_fields(r, &code, 1) != NGX_OK
        || ngx_kapokmq_field_required(r, &code) != NGX_OK)
    {
        return;
    }

    if (code.len == KMQ_CODE_LEN
        && kmq_find(ngx_kapokmq_worker.kmq, (char *) code.value, &info)
           == KMQ_OK)
    {
        if (ngx_kapokmq_access_topic(r, rights, 1, info.topic,
                                      info.topic_len)
            != NGX_OK)
        {
            return;
        }

        if (kmq_delete(ngx_kapokmq_worker.kmq, (char *) code.value) == KMQ_OK)
        {
            ngx_kapokmq_audit(r, "message deleted", code.value, code.len, 1);
            ngx_kapokmq_wake_producers();
        }
    }

    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}


/* By code, or all dead messages of a topic. */
void
ngx_kapokmq_messages_requeue(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    ngx_kapokmq_requeue_t  *requeue;

    kmq_field_t  fields[] = {
        { "messageCode", NULL, 0 },
        { "topic", NULL, 0 }
    };

    if (ngx_kapokmq_http_fields(r, fields, 2) != NGX_OK) {
        return;
    }

    if (fields[0].len) {
        ngx_kapokmq_messages_requeue_one(r, rights, &fields[0]);
        return;
    }

    if (fields[1].len == 0) {
        ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST,
                               "messageCode or topic is required");
        return;
    }

    if (ngx_kapokmq_access_topic(r, rights, 1, (char *) fields[1].value,
                                  fields[1].len)
        != NGX_OK)
    {
        return;
    }

    requeue = ngx_pcalloc(r->pool, sizeof(ngx_kapokmq_requeue_t));
    if (requeue == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    requeue->topic.data = fields[1].value;
    requeue->topic.len = fields[1].len;
    requeue->audit = ngx_kapokmq_audit_begin(r, "messages requeued of topic",
                                             fields[1].value, fields[1].len);

    if (requeue->audit == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    ngx_kapokmq_sliced(r, ngx_kapokmq_messages_requeue_fill, requeue,
                       NGX_KAPOKMQ_MESSAGE_MAX);
}


static void
ngx_kapokmq_messages_requeue_one(ngx_http_request_t *r,
    const kmq_rights_t *rights, const kmq_field_t *code)
{
    int                 rc;
    ngx_str_t           json = ngx_string("{\"code\":0,\"data\":1}");
    kmq_message_info_t  info;

    if (ngx_kapokmq_messages_code(r, code) != NGX_OK) {
        return;
    }

    rc = kmq_find(ngx_kapokmq_worker.kmq, (char *) code->value, &info);

    if (rc == KMQ_OK) {

        if (ngx_kapokmq_access_topic(r, rights, 1, info.topic,
                                      info.topic_len)
            != NGX_OK)
        {
            return;
        }

        rc = kmq_requeue(ngx_kapokmq_worker.kmq, (char *) code->value);
    }

    if (rc == KMQ_GONE) {
        ngx_kapokmq_http_error(r, NGX_HTTP_NOT_FOUND, NGX_KAPOKMQ_NO_MESSAGE);
        return;
    }

    if (rc != KMQ_OK) {
        ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST,
                               "The message is not dead");
        return;
    }

    ngx_kapokmq_audit(r, "message requeued", code->value, code->len, 1);
    ngx_kapokmq_wake();
    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}


static u_char *
ngx_kapokmq_messages_requeue_fill(ngx_kapokmq_sliced_t *st, u_char *p,
    u_char *end)
{
    unsigned                n;
    ngx_kapokmq_requeue_t  *requeue;

    (void) end;

    requeue = st->data;

    n = kmq_requeue_topic(ngx_kapokmq_worker.kmq,
                          (char *) requeue->topic.data, requeue->topic.len,
                          NGX_KAPOKMQ_REQUEUE);
    requeue->audit->n += n;

    if (n == NGX_KAPOKMQ_REQUEUE) {
        return p;
    }

    st->done = 1;

    ngx_kapokmq_audit_end(requeue->audit);

    return ngx_sprintf(p, "{\"code\":0,\"data\":%uL}", requeue->audit->n);
}
