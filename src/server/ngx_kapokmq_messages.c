/* The console's messages: listed, read, deleted, requeued. */

#include "ngx_kapokmq.h"

#include <time.h>


#define NGX_KAPOKMQ_LIST_LIMIT   10000

/* Messages found at once, slices of the engine's search and of a requeue in
 * one turn. */
#define NGX_KAPOKMQ_LIST_SLICE   64
#define NGX_KAPOKMQ_LIST_TURN    4
#define NGX_KAPOKMQ_REQUEUE      1024

/* A listed message at its longest: the topic escaped, and the rest. */
#define NGX_KAPOKMQ_MESSAGE_MAX  (6 * KMQ_NAME_MAX + 320)

#define NGX_KAPOKMQ_NO_MESSAGE   "There is no such message"


/* A search, and where its answer stands. */
typedef struct {
    kmq_query_t         query;
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
    ngx_str_t           topic;
    uint64_t            n;
} ngx_kapokmq_requeue_t;


static const char *ngx_kapokmq_messages_query(ngx_kapokmq_search_t *search,
    const kmq_field_t *fields);
static ngx_int_t ngx_kapokmq_messages_number(const kmq_field_t *field,
    ngx_int_t min, ngx_int_t max, ngx_int_t *value);
static ngx_int_t ngx_kapokmq_messages_time(const kmq_field_t *field,
    uint32_t *value);
static u_char *ngx_kapokmq_messages_fill(ngx_kapokmq_stream_t *st, u_char *p,
    u_char *end);
static u_char *ngx_kapokmq_messages_next(ngx_kapokmq_search_t *search,
    u_char *p);
static u_char *ngx_kapokmq_messages_head(u_char *p,
    const kmq_message_info_t *m);
static u_char *ngx_kapokmq_messages_tail(u_char *p,
    const kmq_message_info_t *m);
static u_char *ngx_kapokmq_messages_read(ngx_kapokmq_stream_t *st, u_char *p,
    u_char *end);
static ngx_int_t ngx_kapokmq_messages_code(ngx_http_request_t *r,
    const kmq_field_t *field);
static void ngx_kapokmq_messages_requeue_one(ngx_http_request_t *r,
    const kmq_field_t *code);
static u_char *ngx_kapokmq_messages_requeue_fill(ngx_kapokmq_stream_t *st,
    u_char *p, u_char *end);


/* ------------------------------------------------------------------- list */

void
ngx_kapokmq_messages_list(ngx_http_request_t *r)
{
    const char            *err;
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

    err = ngx_kapokmq_messages_query(search, fields);
    if (err) {
        ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST, err);
        return;
    }

    ngx_kapokmq_stream(r, ngx_kapokmq_messages_fill, search,
                       NGX_KAPOKMQ_MESSAGE_MAX);
}


/* Returns what is wrong, or NULL. */
static const char *
ngx_kapokmq_messages_query(ngx_kapokmq_search_t *search,
    const kmq_field_t *fields)
{
    ngx_int_t  n;

    n = KMQ_STATUS_ANY;

    if (ngx_kapokmq_messages_number(&fields[0], KMQ_STATUS_WAITING,
                                    KMQ_STATUS_ANY, &n) != NGX_OK)
    {
        return "status is not -1, 0, 1, 2 or 3";
    }

    search->query.status = (int) n;

    if (fields[1].len > KMQ_NAME_MAX) {
        return "topic is longer than 255 bytes";
    }

    search->query.topic = (char *) fields[1].value;
    search->query.topic_len = fields[1].len;

    search->query.from = 0;
    search->query.to = UINT32_MAX;

    if (ngx_kapokmq_messages_time(&fields[2], &search->query.from) != NGX_OK) {
        return "startTime is neither \"2006-01-02 15:04:05\" nor Unix seconds";
    }

    if (ngx_kapokmq_messages_time(&fields[3], &search->query.to) != NGX_OK) {
        return "endTime is neither \"2006-01-02 15:04:05\" nor Unix seconds";
    }

    n = NGX_KAPOKMQ_LIST_LIMIT;

    if (ngx_kapokmq_messages_number(&fields[4], 1, NGX_KAPOKMQ_LIST_LIMIT, &n)
        != NGX_OK)
    {
        return "limit is not a number from 1 to 10000";
    }

    search->left = n;
    n = 0;

    if (ngx_kapokmq_messages_number(&fields[5], 1, NGX_MAX_INT_T_VALUE, &n)
        != NGX_OK)
    {
        return "cursor is not one of an earlier answer";
    }

    search->cursor = n;

    return NULL;
}


/* An absent or empty field leaves *value as it is. */
static ngx_int_t
ngx_kapokmq_messages_number(const kmq_field_t *field, ngx_int_t min,
    ngx_int_t max, ngx_int_t *value)
{
    ngx_int_t   n;
    ngx_uint_t  negative;

    if (field->len == 0) {
        return NGX_OK;
    }

    negative = (field->value[0] == '-');
    n = ngx_atoi(field->value + negative, field->len - negative);

    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }

    n = negative ? -n : n;

    if (n < min || n > max) {
        return NGX_ERROR;
    }

    *value = n;

    return NGX_OK;
}


/* The server's local time, or Unix seconds. */
static ngx_int_t
ngx_kapokmq_messages_time(const kmq_field_t *field, uint32_t *value)
{
    int         day;
    char        text[32], *end;
    time_t      sec;
    ngx_int_t   n;
    struct tm   tm;

    n = *value;

    if (ngx_kapokmq_messages_number(field, 0, UINT32_MAX, &n) == NGX_OK) {
        *value = (uint32_t) n;
        return NGX_OK;
    }

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
ngx_kapokmq_messages_fill(ngx_kapokmq_stream_t *st, u_char *p, u_char *end)
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
        search->left--;
        search->last = m->sequence;

        if (search->listed) {
            *p++ = ',';
        }

        search->listed = 1;

        p = ngx_kapokmq_messages_head(p, m);
        p = ngx_kapokmq_messages_tail(p, m);
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


static u_char *
ngx_kapokmq_messages_tail(u_char *p, const kmq_message_info_t *m)
{
    p = ngx_sprintf(p, "\"Topic\":");
    p = ngx_kapokmq_http_quote(p, m->topic, m->topic_len);

    return ngx_sprintf(p, ",\"CreateTime\":%uD,\"ConsumedTime\":%uD,"
                       "\"DelayTime\":%uD,\"Status\":%d,\"Size\":%uD,"
                       "\"Attempts\":%uD}",
                       m->create_time, m->consumed_time, m->delay, m->status,
                       m->size, m->attempts);
}


void
ngx_kapokmq_messages_get(ngx_http_request_t *r)
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

    read->piece = read->info.body;
    read->left = read->info.size;

    ngx_kapokmq_stream(r, ngx_kapokmq_messages_read, read,
                       KMQ_COPY_MIN + NGX_KAPOKMQ_MESSAGE_MAX);
}


static u_char *
ngx_kapokmq_messages_read(ngx_kapokmq_stream_t *st, u_char *p, u_char *end)
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
            *p++ = '}';
            st->done = 1;
            return p;
        }

        p += n;
    }

    return p;
}


/* Reads a field that must hold a MessageCode; NGX_ERROR: it has been
 * answered that it does not. */
static ngx_int_t
ngx_kapokmq_messages_code(ngx_http_request_t *r, const kmq_field_t *field)
{
    size_t  i;

    if (field->len == 0) {
        ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST,
                               "messageCode is required");
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
        ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST,
                               "messageCode is not 40 lowercase hex digits");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* --------------------------------------------------------- delete, requeue */

void
ngx_kapokmq_messages_delete(ngx_http_request_t *r)
{
    ngx_str_t  json = ngx_string("{\"code\":0}");

    kmq_field_t  code = { "messageCode", NULL, 0 };

    if (ngx_kapokmq_http_fields(r, &code, 1) != NGX_OK
        || ngx_kapokmq_messages_code(r, &code) != NGX_OK)
    {
        return;
    }

    if (kmq_delete(ngx_kapokmq_worker.kmq, (char *) code.value) != KMQ_OK) {
        ngx_kapokmq_http_error(r, NGX_HTTP_NOT_FOUND, NGX_KAPOKMQ_NO_MESSAGE);
        return;
    }

    ngx_kapokmq_room();
    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}


/* By code, or all dead messages of a topic. */
void
ngx_kapokmq_messages_requeue(ngx_http_request_t *r)
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
        ngx_kapokmq_messages_requeue_one(r, &fields[0]);
        return;
    }

    if (fields[1].len == 0) {
        ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST,
                               "messageCode or topic is required");
        return;
    }

    requeue = ngx_pcalloc(r->pool, sizeof(ngx_kapokmq_requeue_t));
    if (requeue == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    requeue->topic.data = fields[1].value;
    requeue->topic.len = fields[1].len;

    ngx_kapokmq_stream(r, ngx_kapokmq_messages_requeue_fill, requeue,
                       NGX_KAPOKMQ_MESSAGE_MAX);
}


static void
ngx_kapokmq_messages_requeue_one(ngx_http_request_t *r,
    const kmq_field_t *code)
{
    int        rc;
    ngx_str_t  json = ngx_string("{\"code\":0,\"data\":1}");

    if (ngx_kapokmq_messages_code(r, code) != NGX_OK) {
        return;
    }

    rc = kmq_requeue(ngx_kapokmq_worker.kmq, (char *) code->value);

    if (rc == KMQ_GONE) {
        ngx_kapokmq_http_error(r, NGX_HTTP_NOT_FOUND, NGX_KAPOKMQ_NO_MESSAGE);
        return;
    }

    if (rc != KMQ_OK) {
        ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST,
                               "The message is not dead");
        return;
    }

    ngx_kapokmq_wake();
    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}


static u_char *
ngx_kapokmq_messages_requeue_fill(ngx_kapokmq_stream_t *st, u_char *p,
    u_char *end)
{
    unsigned                n;
    ngx_kapokmq_requeue_t  *requeue;

    (void) end;

    requeue = st->data;

    n = kmq_requeue_topic(ngx_kapokmq_worker.kmq,
                          (char *) requeue->topic.data, requeue->topic.len,
                          NGX_KAPOKMQ_REQUEUE);
    requeue->n += n;

    if (n == NGX_KAPOKMQ_REQUEUE) {
        return p;
    }

    st->done = 1;

    return ngx_sprintf(p, "{\"code\":0,\"data\":%uL}", requeue->n);
}
