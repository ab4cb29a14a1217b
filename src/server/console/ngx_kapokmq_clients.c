/* The console's clients: listed page by page, or all at once as the original
 * does, and disconnected. */

#include "ngx_kapokmq_console_inside.h"
#include "../client/ngx_kapokmq_client.h"


/* A client at its longest: names and address escaped, and the rest. */
#define NGX_KAPOKMQ_CLIENT_MAX                                                \
    (6 * (2 * KMQ_NAME_MAX + KMQ_ADDR_MAX + KMQ_USER_MAX) + 528)


/* Producers first, then consumers; or those of one role alone. */
typedef struct {
    ngx_kapokmq_pages_t  pages;
    uint32_t             role;         /* that is walked now */
    unsigned             both:1;
    ngx_str_t            topic;
    ngx_str_t            search;
    const kmq_rights_t  *rights;
    kmq_client_info_t    slice[NGX_KAPOKMQ_PAGES_SLICE];
} ngx_kapokmq_clients_page_t;

/* One list of an answer. */
typedef struct {
    const char                    *open;
    uint32_t                       role;
    const char                    *prefix;     /* of "Id" and "Ip" */
} ngx_kapokmq_list_t;

/* Where the answer stands. */
typedef struct {
    const ngx_kapokmq_list_t      *list;       /* the current one */
    unsigned                       opened:1;
    unsigned                       listed:1;   /* the list has a client */
    uint64_t                       cursor;
    unsigned                       next;       /* of the slice */
    unsigned                       n;
    kmq_client_info_t              slice[NGX_KAPOKMQ_PAGES_SLICE];
} ngx_kapokmq_clients_whole_t;


static ngx_int_t ngx_kapokmq_clients_page_role(ngx_http_request_t *r,
    ngx_kapokmq_clients_page_t *cs, const kmq_field_t *role,
    const kmq_field_t *cursor);
static unsigned ngx_kapokmq_clients_page_fetch(ngx_kapokmq_pages_t *pages,
    unsigned n);
static ngx_uint_t ngx_kapokmq_clients_page_fits(ngx_kapokmq_pages_t *pages,
    unsigned i);
static u_char *ngx_kapokmq_clients_page_write(ngx_kapokmq_pages_t *pages,
    unsigned i, u_char *p);
static u_char *ngx_kapokmq_clients_page_consumer(u_char *p,
    const kmq_client_info_t *client);
static u_char *ngx_kapokmq_clients_page_left(u_char *p, uint32_t has,
    uint64_t left);
static u_char *ngx_kapokmq_clients_page_oldest(u_char *p,
    const kmq_client_info_t *client);
static ngx_int_t ngx_kapokmq_clients_page_name(const kmq_field_t *field,
    uint64_t *number, kmq_ref_t *ref);
static void ngx_kapokmq_clients_whole(ngx_http_request_t *r,
    const ngx_kapokmq_list_t *list);
static u_char *ngx_kapokmq_clients_whole_fill(ngx_kapokmq_sliced_t *st,
    u_char *p, u_char *end);
static u_char *ngx_kapokmq_clients_whole_list(ngx_kapokmq_clients_whole_t *cs,
    u_char *p, u_char *end);
static u_char *ngx_kapokmq_clients_whole_write(u_char *p, const char *prefix,
    const kmq_client_info_t *client);


static const char *const  ngx_kapokmq_role_names[] = {
    "producer", "consumer", NULL
};

/* Each answer's lists, up to one without a beginning. */
static const ngx_kapokmq_list_t  ngx_kapokmq_producers[] = {
    { "{\"code\":0,\"data\":[", KMQ_PRODUCER, "Producer" },
    { NULL, 0, NULL }
};

static const ngx_kapokmq_list_t  ngx_kapokmq_consumers[] = {
    { "{\"code\":0,\"data\":[", KMQ_CONSUMER, "Consumer" },
    { NULL, 0, NULL }
};

static const ngx_kapokmq_list_t  ngx_kapokmq_both[] = {
    { "{\"code\":0,\"producers\":[", KMQ_PRODUCER, "Producer" },
    { ",\"consumers\":[", KMQ_CONSUMER, "Consumer" },
    { NULL, 0, NULL }
};


/* ------------------------------------------------------------------- list */

void
ngx_kapokmq_clients_list(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    ngx_kapokmq_clients_page_t  *cs;

    kmq_field_t  fields[] = {
        { "role", NULL, 0 },
        { "topic", NULL, 0 },
        { "search", NULL, 0 },
        { "limit", NULL, 0 },
        { "cursor", NULL, 0 }
    };

    cs = ngx_pcalloc(r->pool, sizeof(ngx_kapokmq_clients_page_t));
    if (cs == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    if (ngx_kapokmq_http_fields(r, fields, 5) != NGX_OK
        || ngx_kapokmq_field_name(r, &fields[1]) != NGX_OK
        || ngx_kapokmq_pages_bounds(r, &cs->pages, &fields[3], &fields[4])
           != NGX_OK
        || ngx_kapokmq_clients_page_role(r, cs, &fields[0], &fields[4])
           != NGX_OK)
    {
        return;
    }

    cs->topic.data = fields[1].value;
    cs->topic.len = fields[1].len;
    cs->search.data = fields[2].value;
    cs->search.len = fields[2].len;
    cs->rights = rights;

    cs->pages.fetch = ngx_kapokmq_clients_page_fetch;
    cs->pages.fits = ngx_kapokmq_clients_page_fits;
    cs->pages.write = ngx_kapokmq_clients_page_write;

    ngx_kapokmq_pages(r, &cs->pages, NGX_KAPOKMQ_CLIENT_MAX);
}


/* Where to begin: a cursor is the engine's, times two, and odd where it is in
 * the consumers. */
static ngx_int_t
ngx_kapokmq_clients_page_role(ngx_http_request_t *r,
    ngx_kapokmq_clients_page_t *cs, const kmq_field_t *role,
    const kmq_field_t *cursor)
{
    uint32_t    at;
    ngx_uint_t  choice;

    choice = 2;

    if (ngx_kapokmq_field_choice(r, role, ngx_kapokmq_role_names,
                                 "producer or consumer", &choice)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cs->both = (choice == 2);
    cs->role = (choice == 1) ? KMQ_CONSUMER : KMQ_PRODUCER;

    if (cs->pages.cursor == 0) {
        return NGX_OK;
    }

    at = (cs->pages.cursor & 1) ? KMQ_CONSUMER : KMQ_PRODUCER;

    if (at != cs->role && !cs->both) {
        ngx_kapokmq_field_error(r, cursor, "\"next\" of an answer for that "
                                "role");
        return NGX_ERROR;
    }

    cs->role = at;

    return NGX_OK;
}


static unsigned
ngx_kapokmq_clients_page_fetch(ngx_kapokmq_pages_t *pages, unsigned n)
{
    ngx_kapokmq_clients_page_t  *cs = (ngx_kapokmq_clients_page_t *) pages;

    uint64_t  cursor;
    unsigned  found;

    for ( ;; ) {
        cursor = pages->cursor / 2;
        found = kmq_clients(ngx_kapokmq_worker.kmq, cs->role, &cursor,
                            cs->slice, n);

        if (found || !cs->both || cs->role == KMQ_CONSUMER) {
            pages->cursor = 2 * cursor + (cs->role == KMQ_CONSUMER);
            return found;
        }

        cs->role = KMQ_CONSUMER;
        pages->cursor = 0;
    }
}


static ngx_uint_t
ngx_kapokmq_clients_page_fits(ngx_kapokmq_pages_t *pages, unsigned i)
{
    ngx_kapokmq_clients_page_t  *cs = (ngx_kapokmq_clients_page_t *) pages;

    kmq_client_info_t  *client;

    client = &cs->slice[i];

    if (cs->topic.len
        && (cs->topic.len != client->topic_len
            || ngx_memcmp(cs->topic.data, client->topic, cs->topic.len) != 0))
    {
        return 0;
    }

    if (!ngx_kapokmq_access_sees(cs->rights, 0, client->topic,
                                  client->topic_len))
    {
        return 0;
    }

    return ngx_kapokmq_field_found(&cs->search, client->id, client->id_len)
           || ngx_kapokmq_field_found(&cs->search, client->user,
                                      client->user_len)
           || ngx_kapokmq_field_found(&cs->search, client->topic,
                                      client->topic_len)
           || ngx_kapokmq_field_found(&cs->search, client->addr,
                                      client->addr_len);
}


static u_char *
ngx_kapokmq_clients_page_write(ngx_kapokmq_pages_t *pages, unsigned i,
    u_char *p)
{
    ngx_kapokmq_clients_page_t  *cs = (ngx_kapokmq_clients_page_t *) pages;

    const kmq_client_info_t  *client;

    client = &cs->slice[i];

    p = ngx_sprintf(p, "{\"Connection\":\"%uL-%uD\",\"Role\":\"%s\",\"Id\":",
                    client->number, client->ref,
                    client->role == KMQ_CONSUMER ? "consumer" : "producer");
    p = ngx_kapokmq_http_quote(p, client->id, client->id_len);
    p = ngx_sprintf(p, ",\"Topic\":");
    p = ngx_kapokmq_http_quote(p, client->topic, client->topic_len);
    p = ngx_sprintf(p, ",\"Ip\":");
    p = ngx_kapokmq_http_quote(p, client->addr, client->addr_len);
    p = ngx_sprintf(p, ",\"User\":");
    p = client->user_len ? ngx_kapokmq_http_quote(p, client->user,
                                                  client->user_len)
                         : ngx_sprintf(p, "null");

    p = ngx_sprintf(p, ",\"JoinTime\":%uL,\"LastSeen\":%uD,\"Worker\":%uD,"
                    "\"Messages\":%uL,\"Silent\":%s,\"Heartbeat\":",
                    client->join_time / 1000, client->last_seen,
                    client->worker, client->messages,
                    client->silent ? "true" : "false");
    p = ngx_kapokmq_http_decimal(p, ngx_kapokmq_mode_heartbeat(client->mode)
                                    / 1000.0);
    p = ngx_sprintf(p, ",\"Transport\":\"%s\"",
                    ngx_kapokmq_by_names[ngx_kapokmq_mode_by(client->mode)]);

    if (client->role == KMQ_CONSUMER) {
        return ngx_kapokmq_clients_page_consumer(p, client);
    }

    return ngx_sprintf(p, ",\"Confirmed\":null,\"InFlight\":null,"
                       "\"OldestInFlight\":null,\"Prefetch\":null,"
                       "\"Confirm\":null,\"Resting\":null,\"Lease\":null,"
                       "\"Parked\":null}");
}


static u_char *
ngx_kapokmq_clients_page_consumer(u_char *p, const kmq_client_info_t *client)
{
    p = ngx_sprintf(p, ",\"Confirmed\":%uL,\"InFlight\":%uD,"
                    "\"OldestInFlight\":", client->confirmed,
                    client->in_flight);
    p = ngx_kapokmq_clients_page_oldest(p, client);

    p = ngx_sprintf(p, ",\"Prefetch\":%uD,\"Confirm\":\"%s\","
                    "\"Resting\":%s,\"Lease\":", client->prefetch,
                    kmq_confirm_name(ngx_kapokmq_mode_confirm(client->mode)),
                    client->resting ? "true" : "false");
    p = ngx_kapokmq_clients_page_left(p, client->leased, client->left);
    p = ngx_sprintf(p, ",\"Parked\":");
    p = ngx_kapokmq_clients_page_left(p, client->parked, client->left);
    *p++ = '}';

    return p;
}


/* The seconds that are left of its lease, or until it is given up. */
static u_char *
ngx_kapokmq_clients_page_left(u_char *p, uint32_t has, uint64_t left)
{
    return has ? ngx_kapokmq_http_decimal(p, left / 1000.0)
               : ngx_sprintf(p, "null");
}


/* For how many seconds it has worked on its oldest message. */
static u_char *
ngx_kapokmq_clients_page_oldest(u_char *p, const kmq_client_info_t *client)
{
    return client->in_flight
           ? ngx_kapokmq_http_decimal(p, client->oldest / 1000.0)
           : ngx_sprintf(p, "null");
}


/* ------------------------------------------------------------- disconnect */

void
ngx_kapokmq_clients_disconnect(ngx_http_request_t *r,
    const kmq_rights_t *rights)
{
    uint64_t           number;
    kmq_ref_t          ref;
    ngx_str_t          json = ngx_string("{\"code\":0}");
    kmq_client_info_t  info;

    kmq_field_t  connection = { "connection", NULL, 0 };

    if (ngx_kapokmq_http_fields(r, &connection, 1) != NGX_OK
        || ngx_kapokmq_field_required(r, &connection) != NGX_OK)
    {
        return;
    }

    if (ngx_kapokmq_clients_page_name(&connection, &number, &ref) != NGX_OK) {
        ngx_kapokmq_field_error(r, &connection, "a \"Connection\" of "
                                "GetClientList");
        return;
    }

    if (number == 0
        || kmq_client(ngx_kapokmq_worker.kmq, ref, number, &info) != KMQ_OK)
    {
        ngx_kapokmq_http_error(r, NGX_HTTP_NOT_FOUND,
                               "There is no such connection");
        return;
    }

    if (ngx_kapokmq_access_topic(r, rights, 1, info.topic, info.topic_len)
        != NGX_OK)
    {
        return;
    }

    if (kmq_disconnect(ngx_kapokmq_worker.kmq, ref, number) != KMQ_OK) {
        ngx_kapokmq_http_error(r, NGX_HTTP_NOT_FOUND,
                               "There is no such connection");
        return;
    }

    ngx_kapokmq_audit(r, info.role == KMQ_CONSUMER ? "consumer disconnected"
                                                   : "producer disconnected",
                      (u_char *) info.id, info.id_len, 1);
    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}


/* A connection's name is its client's number and reference. */
static ngx_int_t
ngx_kapokmq_clients_page_name(const kmq_field_t *field, uint64_t *number,
    kmq_ref_t *ref)
{
    u_char     *minus, *end;
    ngx_int_t   n, at;

    end = field->value + field->len;
    minus = ngx_strlchr(field->value, end, '-');

    if (minus == NULL) {
        return NGX_ERROR;
    }

    n = ngx_atoi(field->value, minus - field->value);
    at = ngx_atoi(minus + 1, end - minus - 1);

    if (n == NGX_ERROR || at == NGX_ERROR || at > (ngx_int_t) UINT32_MAX) {
        return NGX_ERROR;
    }

    *number = (uint64_t) n;
    *ref = (kmq_ref_t) at;

    return NGX_OK;
}


/* ------------------------------------------------------------- all at once */

void
ngx_kapokmq_clients_producers(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    (void) rights;

    ngx_kapokmq_clients_whole(r, ngx_kapokmq_producers);
}


void
ngx_kapokmq_clients_consumers(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    (void) rights;

    ngx_kapokmq_clients_whole(r, ngx_kapokmq_consumers);
}


void
ngx_kapokmq_clients_both(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    (void) rights;

    ngx_kapokmq_clients_whole(r, ngx_kapokmq_both);
}


static void
ngx_kapokmq_clients_whole(ngx_http_request_t *r,
    const ngx_kapokmq_list_t *list)
{
    ngx_kapokmq_clients_whole_t  *cs;

    cs = ngx_pcalloc(r->pool, sizeof(ngx_kapokmq_clients_whole_t));
    if (cs == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    cs->list = list;

    ngx_kapokmq_sliced(r, ngx_kapokmq_clients_whole_fill, cs,
                       NGX_KAPOKMQ_CLIENT_MAX);
}


static u_char *
ngx_kapokmq_clients_whole_fill(ngx_kapokmq_sliced_t *st, u_char *p, u_char *end)
{
    size_t                  len;
    ngx_kapokmq_clients_whole_t  *cs;

    cs = st->data;

    while (p < end) {

        if (cs->list->open == NULL) {
            *p++ = '}';
            st->done = 1;
            break;
        }

        if (!cs->opened) {
            len = ngx_strlen(cs->list->open);
            p = ngx_cpymem(p, cs->list->open, len);
            cs->opened = 1;
        }

        p = ngx_kapokmq_clients_whole_list(cs, p, end);
    }

    return p;
}


/* Appends clients of the current list while there is room, and its end. */
static u_char *
ngx_kapokmq_clients_whole_list(ngx_kapokmq_clients_whole_t *cs, u_char *p,
    u_char *end)
{
    while (p < end) {

        if (cs->next == cs->n) {
            cs->next = 0;
            cs->n = kmq_clients(ngx_kapokmq_worker.kmq, cs->list->role,
                                &cs->cursor, cs->slice,
                                NGX_KAPOKMQ_PAGES_SLICE);
        }

        if (cs->n == 0) {
            *p++ = ']';

            cs->list++;
            cs->opened = 0;
            cs->listed = 0;
            cs->cursor = 0;
            break;
        }

        if (cs->listed) {
            *p++ = ',';
        }

        cs->listed = 1;
        p = ngx_kapokmq_clients_whole_write(p, cs->list->prefix,
                                            &cs->slice[cs->next++]);
    }

    return p;
}


static u_char *
ngx_kapokmq_clients_whole_write(u_char *p, const char *prefix,
    const kmq_client_info_t *client)
{
    p = ngx_sprintf(p, "{\"%sId\":", prefix);
    p = ngx_kapokmq_http_quote(p, client->id, client->id_len);
    p = ngx_sprintf(p, ",\"Topic\":");
    p = ngx_kapokmq_http_quote(p, client->topic, client->topic_len);
    p = ngx_sprintf(p, ",\"%sIp\":", prefix);
    p = ngx_kapokmq_http_quote(p, client->addr, client->addr_len);

    /* seconds, as the original's page expects */
    p = ngx_sprintf(p, ",\"JoinTime\":%uL,\"Silent\":%s",
                    client->join_time / 1000,
                    client->silent ? "true" : "false");

    if (client->role == KMQ_CONSUMER) {
        p = ngx_sprintf(p, ",\"Resting\":%s",
                        client->resting ? "true" : "false");
    }

    *p++ = '}';

    return p;
}
