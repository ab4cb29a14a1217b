/*
 * The console's lists of clients.  There may be very many: a list is made in
 * buffers of one size, each when the one before is on its way, and other
 * events have their turn in between.
 */

#include "ngx_kapokmq.h"


#define NGX_KAPOKMQ_CLIENTS_SLICE  64
#define NGX_KAPOKMQ_CLIENTS_CHUNK  65536

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
    unsigned                       done:1;     /* all is in the buffer */
    uint64_t                       cursor;
    unsigned                       next;       /* of the slice */
    unsigned                       n;
    ngx_buf_t                     *buf;        /* empty: sent */
    kmq_client_info_t              slice[NGX_KAPOKMQ_CLIENTS_SLICE];
} ngx_kapokmq_clients_t;


static void ngx_kapokmq_clients_start(ngx_http_request_t *r,
    const ngx_kapokmq_list_t *list);
static void ngx_kapokmq_clients_fill(ngx_kapokmq_clients_t *cs);
static u_char *ngx_kapokmq_clients_list(ngx_kapokmq_clients_t *cs, u_char *p,
    u_char *end);
static u_char *ngx_kapokmq_clients_write(u_char *p, const char *prefix,
    const kmq_client_info_t *client);
static u_char *ngx_kapokmq_clients_text(u_char *p, const char *text,
    size_t len);
static void ngx_kapokmq_clients_send(ngx_http_request_t *r,
    ngx_kapokmq_clients_t *cs);
static void ngx_kapokmq_clients_wait(ngx_http_request_t *r);
static void ngx_kapokmq_clients_writer(ngx_http_request_t *r);


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
    ngx_int_t               rc;
    ngx_str_t               json;
    ngx_kapokmq_clients_t  *cs;

    cs = ngx_pcalloc(r->pool, sizeof(ngx_kapokmq_clients_t));
    if (cs == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    cs->list = list;
    cs->buf = ngx_create_temp_buf(r->pool, NGX_KAPOKMQ_CLIENTS_CHUNK);
    if (cs->buf == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    ngx_kapokmq_clients_fill(cs);

    if (cs->done) {
        json.data = cs->buf->pos;
        json.len = cs->buf->last - cs->buf->pos;

        ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
        return;
    }

    rc = ngx_kapokmq_http_json_header(r, NGX_HTTP_OK, -1);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        ngx_http_finalize_request(r, rc);
        return;
    }

    ngx_http_set_ctx(r, cs, ngx_kapokmq_module);

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_kapokmq_clients_writer;

    ngx_kapokmq_clients_send(r, cs);
}


/* ------------------------------------------------------------------- text */

/* Fills the buffer with what comes next of the answer. */
static void
ngx_kapokmq_clients_fill(ngx_kapokmq_clients_t *cs)
{
    u_char  *p, *end;
    size_t   len;

    p = cs->buf->start;
    end = cs->buf->end - NGX_KAPOKMQ_CLIENT_MAX;

    while (p < end) {

        if (cs->list->open == NULL) {
            *p++ = '}';
            cs->done = 1;
            break;
        }

        if (!cs->opened) {
            len = ngx_strlen(cs->list->open);
            p = ngx_cpymem(p, cs->list->open, len);
            cs->opened = 1;
        }

        p = ngx_kapokmq_clients_list(cs, p, end);
    }

    cs->buf->pos = cs->buf->start;
    cs->buf->last = p;
    cs->buf->flush = 1;
    cs->buf->last_buf = cs->done;
    cs->buf->last_in_chain = cs->done;
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
    p = ngx_kapokmq_clients_text(p, client->id, client->id_len);
    p = ngx_sprintf(p, ",\"Topic\":");
    p = ngx_kapokmq_clients_text(p, client->topic, client->topic_len);
    p = ngx_sprintf(p, ",\"%sIp\":", prefix);
    p = ngx_kapokmq_clients_text(p, client->addr, client->addr_len);

    /* seconds, as the original's page expects */
    return ngx_sprintf(p, ",\"JoinTime\":%uL}", client->join_time / 1000);
}


static u_char *
ngx_kapokmq_clients_text(u_char *p, const char *text, size_t len)
{
    size_t  used;

    used = 0;

    *p++ = '"';
    p += kmq_json_escape(p, 6 * len + 6, (u_char *) text, len, &used);
    *p++ = '"';

    return p;
}


/* ----------------------------------------------------------------- output */

/* Sends the buffer, and arranges for the next one. */
static void
ngx_kapokmq_clients_send(ngx_http_request_t *r, ngx_kapokmq_clients_t *cs)
{
    ngx_int_t    rc;
    ngx_chain_t  out;

    out.buf = cs->buf;
    out.next = NULL;

    rc = ngx_http_output_filter(r, &out);

    if (rc == NGX_ERROR || cs->done) {
        ngx_http_finalize_request(r, rc);
        return;
    }

    if (ngx_buf_size(cs->buf)) {
        ngx_kapokmq_clients_wait(r);
        return;
    }

    /* there is room in the socket, but it is others' turn */
    ngx_post_event(r->connection->write, &ngx_posted_next_events);
}


/* Until the client has taken more. */
static void
ngx_kapokmq_clients_wait(ngx_http_request_t *r)
{
    ngx_event_t               *wev;
    ngx_http_core_loc_conf_t  *clcf;

    wev = r->connection->write;
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_ERROR);
    }
}


static void
ngx_kapokmq_clients_writer(ngx_http_request_t *r)
{
    ngx_event_t            *wev;
    ngx_kapokmq_clients_t  *cs;

    wev = r->connection->write;
    cs = ngx_http_get_module_ctx(r, ngx_kapokmq_module);

    if (wev->timedout) {
        ngx_connection_error(r->connection, NGX_ETIMEDOUT,
                             "client timed out");
        r->connection->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (ngx_buf_size(cs->buf) && !wev->delayed
        && ngx_http_output_filter(r, NULL) == NGX_ERROR)
    {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    if (ngx_buf_size(cs->buf) || wev->delayed) {
        ngx_kapokmq_clients_wait(r);
        return;
    }

    if (wev->timer_set) {
        ngx_del_timer(wev);
    }

    ngx_kapokmq_clients_fill(cs);
    ngx_kapokmq_clients_send(r, cs);
}
