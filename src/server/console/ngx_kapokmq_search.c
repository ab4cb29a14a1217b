/* The console's messages: listed, and searched for, in slices. */

#include "ngx_kapokmq_console_inside.h"
#include "../worker/ngx_kapokmq_worker.h"
#include "../../protocol/kmq_json.h"
#include "../../protocol/kmq_needle.h"

#include <time.h>


#define NGX_KAPOKMQ_SEARCH_LIMIT   10000

/* Messages found at once, slices of the engine's search in one turn. */
#define NGX_KAPOKMQ_SEARCH_SLICE   64
#define NGX_KAPOKMQ_SEARCH_TURN    2

/* Who looks for something in data: bytes in one turn and in one request, and
 * what a message costs that has none. */
#define NGX_KAPOKMQ_SEARCH_BYTES   524288
#define NGX_KAPOKMQ_SEARCH_ALL     134217728
#define NGX_KAPOKMQ_SEARCH_BODY    256

#define NGX_KAPOKMQ_SEARCH_MEASURED   4096
#define NGX_KAPOKMQ_SEARCH_PREVIEW 1000

enum {
    NGX_KAPOKMQ_SEARCH_STATUS,
    NGX_KAPOKMQ_SEARCH_TOPIC,
    NGX_KAPOKMQ_SEARCH_FROM,
    NGX_KAPOKMQ_SEARCH_TO,
    NGX_KAPOKMQ_SEARCH_MAX,
    NGX_KAPOKMQ_SEARCH_CURSOR,
    NGX_KAPOKMQ_SEARCH_ORDER,
    NGX_KAPOKMQ_SEARCH_PART,
    NGX_KAPOKMQ_SEARCH_TEXT,
    NGX_KAPOKMQ_SEARCH_HEAD,
    NGX_KAPOKMQ_SEARCH_FIELDS
};


/* A search, and where its answer stands. */
typedef struct {
    kmq_query_t         query;
    const kmq_rights_t *rights;
    uint64_t            cursor;
    uint64_t            last;          /* sequence of the last one listed */
    ngx_uint_t          left;          /* of limit */
    ngx_int_t           preview;       /* bytes of each message's data, -1: a
                                          list like the original's */
    ngx_str_t           part;          /* of a topic's name */
    kmq_needle_t       *needle;        /* NULL: data is not looked at */
    uint64_t            messages;      /* whose data was looked at, */
    uint64_t            bytes;         /* how much that was, */
    uint64_t            cost;          /* and what it cost */
    unsigned            opened:1;
    unsigned            listed:1;
    unsigned            searched:1;    /* there are no more to be found */
    unsigned            next;          /* of the slice */
    unsigned            n;
    kmq_message_info_t  slice[NGX_KAPOKMQ_SEARCH_SLICE];
} ngx_kapokmq_search_t;


static ngx_int_t ngx_kapokmq_search_read(ngx_http_request_t *r,
    ngx_kapokmq_search_t *search, const kmq_field_t *fields);
static ngx_int_t ngx_kapokmq_search_order(ngx_http_request_t *r,
    ngx_kapokmq_search_t *search, const kmq_field_t *field);
static ngx_int_t ngx_kapokmq_search_topics(ngx_http_request_t *r,
    ngx_kapokmq_search_t *search, const kmq_field_t *topic,
    const kmq_field_t *part);
static ngx_int_t ngx_kapokmq_search_text(ngx_http_request_t *r,
    ngx_kapokmq_search_t *search, const kmq_field_t *field);
static ngx_int_t ngx_kapokmq_search_time(ngx_http_request_t *r,
    const kmq_field_t *field, uint32_t *value);
static ngx_int_t ngx_kapokmq_search_local_time(const kmq_field_t *field,
    uint32_t *value);
static int ngx_kapokmq_search_topic_fits(void *arg, const char *name,
    size_t len);
static int ngx_kapokmq_search_data_fits(void *arg, const char *part,
    size_t n);
static u_char *ngx_kapokmq_search_fill(ngx_kapokmq_sliced_t *st, u_char *p,
    u_char *end);
static void ngx_kapokmq_search_slice(ngx_kapokmq_search_t *search);
static u_char *ngx_kapokmq_search_message(ngx_kapokmq_search_t *search,
    u_char *p, const kmq_message_info_t *m);
static u_char *ngx_kapokmq_search_head(ngx_kapokmq_search_t *search,
    u_char *p, const kmq_message_info_t *m);
static u_char *ngx_kapokmq_search_size(u_char *p,
    const kmq_message_info_t *m);
static u_char *ngx_kapokmq_search_end(ngx_kapokmq_search_t *search,
    u_char *p);


void
ngx_kapokmq_search_list(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    ngx_kapokmq_search_t  *search;

    kmq_field_t  fields[NGX_KAPOKMQ_SEARCH_FIELDS] = {
        { "status", NULL, 0 },
        { "topic", NULL, 0 },
        { "startTime", NULL, 0 },
        { "endTime", NULL, 0 },
        { "limit", NULL, 0 },
        { "cursor", NULL, 0 },
        { "order", NULL, 0 },
        { "topicPart", NULL, 0 },
        { "search", NULL, 0 },
        { "preview", NULL, 0 }
    };

    if (ngx_kapokmq_http_fields(r, fields, NGX_KAPOKMQ_SEARCH_FIELDS)
        != NGX_OK)
    {
        return;
    }

    search = ngx_pcalloc(r->pool, sizeof(ngx_kapokmq_search_t));
    if (search == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    search->rights = rights;
    search->query.arg = search;

    if (ngx_kapokmq_search_read(r, search, fields) != NGX_OK) {
        return;
    }

    ngx_kapokmq_sliced(r, ngx_kapokmq_search_fill, search,
                       NGX_KAPOKMQ_MESSAGE_MAX + NGX_KAPOKMQ_SEARCH_PREVIEW);
}


/* -------------------------------------------------------------- parameters */

static ngx_int_t
ngx_kapokmq_search_read(ngx_http_request_t *r, ngx_kapokmq_search_t *search,
    const kmq_field_t *fields)
{
    ngx_int_t  status, limit, preview;

    status = KMQ_STATUS_ANY;
    limit = NGX_KAPOKMQ_SEARCH_LIMIT;
    preview = -1;

    search->query.to = UINT32_MAX;

    if (ngx_kapokmq_field_number(r, &fields[NGX_KAPOKMQ_SEARCH_STATUS],
                                 KMQ_STATUS_WAITING, KMQ_STATUS_RETRYING,
                                 &status)
           != NGX_OK
        || ngx_kapokmq_search_time(r, &fields[NGX_KAPOKMQ_SEARCH_FROM],
                                   &search->query.from)
           != NGX_OK
        || ngx_kapokmq_search_time(r, &fields[NGX_KAPOKMQ_SEARCH_TO],
                                   &search->query.to)
           != NGX_OK
        || ngx_kapokmq_field_number(r, &fields[NGX_KAPOKMQ_SEARCH_MAX], 1,
                                    NGX_KAPOKMQ_SEARCH_LIMIT, &limit)
           != NGX_OK
        || ngx_kapokmq_field_number(r, &fields[NGX_KAPOKMQ_SEARCH_HEAD], 0,
                                    NGX_KAPOKMQ_SEARCH_PREVIEW, &preview)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    search->query.status = (int) status;
    search->left = limit;
    search->preview = preview;

    if (ngx_kapokmq_field_cursor(r, &fields[NGX_KAPOKMQ_SEARCH_CURSOR],
                                 &search->cursor)
           != NGX_OK
        || ngx_kapokmq_search_order(r, search,
                                    &fields[NGX_KAPOKMQ_SEARCH_ORDER])
           != NGX_OK
        || ngx_kapokmq_search_topics(r, search,
                                     &fields[NGX_KAPOKMQ_SEARCH_TOPIC],
                                     &fields[NGX_KAPOKMQ_SEARCH_PART])
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_kapokmq_search_text(r, search,
                                   &fields[NGX_KAPOKMQ_SEARCH_TEXT]);
}


static ngx_int_t
ngx_kapokmq_search_order(ngx_http_request_t *r, ngx_kapokmq_search_t *search,
    const kmq_field_t *field)
{
    ngx_uint_t  oldest;

    static const char *const  names[] = { "newest", "oldest", NULL };

    oldest = 0;

    if (ngx_kapokmq_field_choice(r, field, names, "newest or oldest", &oldest)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    search->query.oldest = (int) oldest;

    return NGX_OK;
}


/* One topic, or those that the key may see, and that have a part in their
 * names. */
static ngx_int_t
ngx_kapokmq_search_topics(ngx_http_request_t *r, ngx_kapokmq_search_t *search,
    const kmq_field_t *topic, const kmq_field_t *part)
{
    if (ngx_kapokmq_field_name(r, topic) != NGX_OK
        || (topic->len
            && ngx_kapokmq_access_topic(r, search->rights, 0,
                                        (char *) topic->value, topic->len)
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    search->query.topic = (char *) topic->value;
    search->query.topic_len = topic->len;

    search->part.data = part->value;
    search->part.len = part->len;

    if (part->len || !kmq_may_console_all(search->rights, 0)) {
        search->query.topic_fits = ngx_kapokmq_search_topic_fits;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_kapokmq_search_text(ngx_http_request_t *r, ngx_kapokmq_search_t *search,
    const kmq_field_t *field)
{
    if (field->len == 0) {
        return NGX_OK;
    }

    if (field->len > KMQ_NEEDLE_MAX) {
        ngx_kapokmq_field_error(r, field, "of at most 255 bytes");
        return NGX_ERROR;
    }

    search->needle = ngx_palloc(r->pool, sizeof(kmq_needle_t));
    if (search->needle == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return NGX_ERROR;
    }

    kmq_needle_init(search->needle, field->value, field->len);
    search->query.data_fits = ngx_kapokmq_search_data_fits;

    return NGX_OK;
}


/* An absent or empty field leaves *value as it is. */
static ngx_int_t
ngx_kapokmq_search_time(ngx_http_request_t *r, const kmq_field_t *field,
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

    if (ngx_kapokmq_search_local_time(field, value) == NGX_OK) {
        return NGX_OK;
    }

    ngx_kapokmq_field_error(r, field, "a time like 2006-01-02 15:04:05, or "
                            "Unix seconds");

    return NGX_ERROR;
}


/* The server's local time. */
static ngx_int_t
ngx_kapokmq_search_local_time(const kmq_field_t *field, uint32_t *value)
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


/* ------------------------------------------------------------------ search */

static int
ngx_kapokmq_search_topic_fits(void *arg, const char *name, size_t len)
{
    ngx_kapokmq_search_t  *search = arg;

    return ngx_kapokmq_access_sees(search->rights, 0, name, len)
           && ngx_kapokmq_field_found(&search->part, name, len);
}


static int
ngx_kapokmq_search_data_fits(void *arg, const char *part, size_t n)
{
    ngx_kapokmq_search_t  *search = arg;

    if (part == NULL) {
        search->messages++;
        search->cost += NGX_KAPOKMQ_SEARCH_BODY;
        kmq_needle_begin(search->needle);
        return 0;
    }

    search->bytes += n;
    search->cost += n;

    return kmq_needle_next(search->needle, (const u_char *) part, n);
}


static u_char *
ngx_kapokmq_search_fill(ngx_kapokmq_sliced_t *st, u_char *p, u_char *end)
{
    uint64_t               cost;
    ngx_uint_t             turn;
    ngx_kapokmq_search_t  *search;

    turn = 0;
    search = st->data;
    cost = search->cost;

    if (!search->opened) {
        search->opened = 1;
        p = ngx_sprintf(p, "{\"code\":0,\"data\":[");
    }

    while (p < end) {

        if (search->next < search->n && search->left) {
            p = ngx_kapokmq_search_message(search, p,
                                           &search->slice[search->next++]);
            continue;
        }

        if (search->next < search->n || search->searched
            || search->cost >= NGX_KAPOKMQ_SEARCH_ALL)
        {
            st->done = 1;
            return ngx_kapokmq_search_end(search, p);
        }

        if (turn++ == NGX_KAPOKMQ_SEARCH_TURN
            || search->cost - cost >= NGX_KAPOKMQ_SEARCH_BYTES)
        {
            return p;
        }

        ngx_kapokmq_search_slice(search);
    }

    return p;
}


static void
ngx_kapokmq_search_slice(ngx_kapokmq_search_t *search)
{
    search->next = 0;
    search->n = kmq_search(ngx_kapokmq_worker.kmq, &search->query,
                           &search->cursor, search->slice,
                           NGX_KAPOKMQ_SEARCH_SLICE);
    search->searched = (search->cursor == 0);
}


static u_char *
ngx_kapokmq_search_message(ngx_kapokmq_search_t *search, u_char *p,
    const kmq_message_info_t *m)
{
    search->left--;
    search->last = m->sequence;

    if (search->listed) {
        *p++ = ',';
    }

    search->listed = 1;

    p = ngx_kapokmq_messages_head(p, m);
    p = ngx_kapokmq_messages_tail(p, m);

    if (search->preview >= 0) {
        p = ngx_kapokmq_messages_whereabouts(p, m);
        p = ngx_kapokmq_search_head(search, p, m);
        p = ngx_kapokmq_search_size(p, m);
    }

    *p++ = '}';

    return p;
}


/* The beginning of its data; none, when it is gone by now. */
static u_char *
ngx_kapokmq_search_head(ngx_kapokmq_search_t *search, u_char *p,
    const kmq_message_info_t *m)
{
    int  n;

    p = ngx_sprintf(p, ",\"Preview\":\"");
    n = kmq_copy_head(ngx_kapokmq_worker.kmq, m, (char *) p, search->preview);

    if (n > 0) {
        p += kmq_json_cut(p, n);
    }

    *p++ = '"';

    return p;
}


/* How large its data is; of what is longer than its escaped beginning here as
 * that says. */
static u_char *
ngx_kapokmq_search_size(u_char *p, const kmq_message_info_t *m)
{
    int                n;
    uint64_t           size;
    kmq_json_length_t  length;

    static u_char  head[NGX_KAPOKMQ_SEARCH_MEASURED];

    size = m->size;
    n = kmq_copy_head(ngx_kapokmq_worker.kmq, m, (char *) head, sizeof(head));

    if (n > 0) {
        ngx_memzero(&length, sizeof(kmq_json_length_t));
        kmq_json_length(&length, head, n);
        size = length.size + (m->size - n) * length.size / n;
    }

    return ngx_sprintf(p, ",\"DataSize\":%uL", size);
}


/* The end of the list: is there more of it? */
static u_char *
ngx_kapokmq_search_end(ngx_kapokmq_search_t *search, u_char *p)
{
    uint64_t  next;

    /* where a page is full, it may be in the middle of a slice */

    next = search->next < search->n ? kmq_search_cursor(&search->query,
                                                        search->last)
                                    : search->cursor;

    p = next ? ngx_sprintf(p, "],\"next\":\"%uL\"", next)
             : ngx_sprintf(p, "],\"next\":null");

    if (search->needle) {
        p = ngx_sprintf(p, ",\"looked\":{\"Messages\":%uL,\"Bytes\":%uL}",
                        search->messages, search->bytes);
    }

    *p++ = '}';

    return p;
}
