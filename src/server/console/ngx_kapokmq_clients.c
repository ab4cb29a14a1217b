/* The console's lists of clients. */

#include "../ngx_kapokmq.h"


#define NGX_KAPOKMQ_CLIENTS_SLICE  64

/* One client at its longest: names and address escaped, and the rest. */
#define NGX_KAPOKMQ_CLIENT_MAX                                                \
    (6 * (2 * KMQ_NAME_MAX + KMQ_ADDR_MAX) + 128)


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
    kmq_client_info_t              slice[NGX_KAPOKMQ_CLIENTS_SLICE];
} ngx_kapokmq_clients_t;


static void ngx_kapokmq_clients_start(ngx_http_request_t *r,
    const ngx_kapokmq_list_t *list);
static u_char *ngx_kapokmq_clients_fill(ngx_kapokmq_stream_t *st, u_char *p,
    u_char *end);
static u_char *ngx_kapokmq_clients_list(ngx_kapokmq_clients_t *cs, u_char *p,
    u_char *end);
static u_char *ngx_kapokmq_clients_write(u_char *p, const char *prefix,
    const kmq_client_info_t *client);


/* Each answer's lists, up to one without a beginning. */
static const ngx_kapokmq_list_t  ngx_kapokmq_producers[] = {
    { "{\"code\":0,\"data\":[", KMQ_PRODUCER, "Producer" },
    { NULL, 0, NULL }
};

static const ngx_kapokmq_list_t  ngx_kapokmq_consumers[] = {
    { "{\"code\":0,\"data\":[", KMQ_CONSUMER, "Consumer" },
    { NULL, 0, NULL }
};

static const ngx_kapokmq_list_t  ngx_kapokmq_all[] = {
    { "{\"code\":0,\"producers\":[", KMQ_PRODUCER, "Producer" },
    { ",\"consumers\":[", KMQ_CONSUMER, "Consumer" },
    { NULL, 0, NULL }
};


void
ngx_kapokmq_clients_producers(ngx_http_request_t *r)
{
    ngx_kapokmq_clients_start(r, ngx_kapokmq_producers);
}


void
ngx_kapokmq_clients_consumers(ngx_http_request_t *r)
{
    ngx_kapokmq_clients_start(r, ngx_kapokmq_consumers);
}


void
ngx_kapokmq_clients_all(ngx_http_request_t *r)
{
    ngx_kapokmq_clients_start(r, ngx_kapokmq_all);
}


static void
ngx_kapokmq_clients_start(ngx_http_request_t *r,
    const ngx_kapokmq_list_t *list)
{
    ngx_kapokmq_clients_t  *cs;

    cs = ngx_pcalloc(r->pool, sizeof(ngx_kapokmq_clients_t));
    if (cs == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    cs->list = list;

    ngx_kapokmq_stream(r, ngx_kapokmq_clients_fill, cs,
                       NGX_KAPOKMQ_CLIENT_MAX);
}


static u_char *
ngx_kapokmq_clients_fill(ngx_kapokmq_stream_t *st, u_char *p, u_char *end)
{
    size_t                  len;
    ngx_kapokmq_clients_t  *cs;

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

        p = ngx_kapokmq_clients_list(cs, p, end);
    }

    return p;
}


/* Appends clients of the current list while there is room, and its end. */
static u_char *
ngx_kapokmq_clients_list(ngx_kapokmq_clients_t *cs, u_char *p, u_char *end)
{
    while (p < end) {

        if (cs->next == cs->n) {
            cs->next = 0;
            cs->n = kmq_clients(ngx_kapokmq_worker.kmq, cs->list->role,
                                &cs->cursor, cs->slice,
                                NGX_KAPOKMQ_CLIENTS_SLICE);
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
        p = ngx_kapokmq_clients_write(p, cs->list->prefix,
                                      &cs->slice[cs->next++]);
    }

    return p;
}


static u_char *
ngx_kapokmq_clients_write(u_char *p, const char *prefix,
    const kmq_client_info_t *client)
{
    p = ngx_sprintf(p, "{\"%sId\":", prefix);
    p = ngx_kapokmq_http_quote(p, client->id, client->id_len);
    p = ngx_sprintf(p, ",\"Topic\":");
    p = ngx_kapokmq_http_quote(p, client->topic, client->topic_len);
    p = ngx_sprintf(p, ",\"%sIp\":", prefix);
    p = ngx_kapokmq_http_quote(p, client->addr, client->addr_len);

    /* seconds, as the original's page expects */
    return ngx_sprintf(p, ",\"JoinTime\":%uL}", client->join_time / 1000);
}
