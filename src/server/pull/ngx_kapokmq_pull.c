/* POST .../{topic}/{id}: what a pull asks for, and its answer. */

#include "ngx_kapokmq_pull.h"
#include "ngx_kapokmq_pull_inside.h"
#include "../worker/ngx_kapokmq_worker.h"


#define NGX_KAPOKMQ_PULL_FIELDS     3
#define NGX_KAPOKMQ_PULL_MAX        1000
#define NGX_KAPOKMQ_PULL_WAIT_MAX   60000
#define NGX_KAPOKMQ_PULL_LEASE_MIN  100
#define NGX_KAPOKMQ_PULL_LEASE      300000     /* where nothing says more */


static void ngx_kapokmq_pull_body(ngx_http_request_t *r);
static ngx_int_t ngx_kapokmq_pull_asked(ngx_http_request_t *r,
    const kmq_client_info_t *info, ngx_kapokmq_asked_t *asked);
static ngx_uint_t ngx_kapokmq_pull_gone(ngx_http_request_t *r);
static void ngx_kapokmq_pull_send(ngx_kapokmq_pull_t *p);
static ngx_int_t ngx_kapokmq_pull_lease(ngx_kapokmq_pull_t *p);
static ngx_chain_t *ngx_kapokmq_pull_part(ngx_http_request_t *r, u_char *text,
    size_t len);


static u_char  ngx_kapokmq_pull_head[] = "{\"code\":0,\"data\":[";
static u_char  ngx_kapokmq_pull_tail[] = "]}";


ngx_int_t
ngx_kapokmq_pull_handler(ngx_http_request_t *r)
{
    if (ngx_exiting) {
        return ngx_kapokmq_http_unavailable(r);
    }

    return ngx_kapokmq_http_start(r, ngx_kapokmq_pull_body);
}


static void
ngx_kapokmq_pull_body(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    const char           *error;
    kmq_client_info_t     info;
    ngx_kapokmq_pass_t   *pass;
    ngx_kapokmq_asked_t   asked;

    pass = ngx_kapokmq_door_still(r);
    if (pass == NULL) {
        return;
    }

    /* those that wait have been told already, and nobody would tell it */

    if (ngx_exiting) {
        r->keepalive = 0;
        ngx_kapokmq_http_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                               NGX_KAPOKMQ_UNAVAILABLE);
        return;
    }

    ngx_memzero(&info, sizeof(kmq_client_info_t));

    rc = ngx_kapokmq_client_info(r, KMQ_CONSUMER, &info, &error);
    if (rc != NGX_OK) {
        ngx_kapokmq_http_error(r, rc, error);
        return;
    }

    if (!ngx_kapokmq_guest_may(&info, pass->access.rights)) {
        ngx_kapokmq_http_error(r, NGX_HTTP_FORBIDDEN,
                               NGX_KAPOKMQ_NO_TOPIC_RIGHT);
        return;
    }

    ngx_kapokmq_client_user(&info, pass);

    if (ngx_kapokmq_pull_asked(r, &info, &asked) != NGX_OK) {
        return;
    }

    info.prefetch = (uint32_t) ngx_min(asked.max, info.prefetch);

    ngx_kapokmq_clock();
    ngx_kapokmq_pull_begin(r, &info, &asked, pass);
    ngx_kapokmq_wake();
}


static ngx_int_t
ngx_kapokmq_pull_asked(ngx_http_request_t *r, const kmq_client_info_t *info,
    ngx_kapokmq_asked_t *asked)
{
    ngx_int_t            max;
    kmq_topic_config_t   topic;

    kmq_field_t  fields[NGX_KAPOKMQ_PULL_FIELDS] = {
        { "max", NULL, 0 },
        { "wait", NULL, 0 },
        { "lease", NULL, 0 }
    };

    kmq_config_topic(ngx_kapokmq_worker.config, info->topic, info->topic_len,
                     &topic);

    max = 1;
    asked->wait = 0;
    asked->lease = ngx_kapokmq_worker.config->is_re_push
                   ? topic.push_retry_time : 0;

    if (asked->lease == 0) {
        asked->lease = NGX_KAPOKMQ_PULL_LEASE;
    }

    asked->lease = ngx_max(asked->lease, NGX_KAPOKMQ_PULL_LEASE_MIN);
    asked->lease = ngx_min(asked->lease, KMQ_LEASE_MAX);

    if (ngx_kapokmq_http_strict(r, fields, NGX_KAPOKMQ_PULL_FIELDS, 0)
        != NGX_OK
        || ngx_kapokmq_field_number(r, &fields[0], 1, NGX_KAPOKMQ_PULL_MAX,
                                    &max)
           != NGX_OK
        || ngx_kapokmq_field_seconds(r, &fields[1], 0,
                                     NGX_KAPOKMQ_PULL_WAIT_MAX, &asked->wait)
           != NGX_OK
        || ngx_kapokmq_field_seconds(r, &fields[2], NGX_KAPOKMQ_PULL_LEASE_MIN,
                                     KMQ_LEASE_MAX, &asked->lease)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    asked->max = max;

    if (topic.push_type != KMQ_PUSH_ONE) {
        ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST,
                               "A topic in publish/subscribe mode cannot be "
                               "pulled");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* ------------------------------------------------------------------ answer */

void
ngx_kapokmq_pull_answer(ngx_kapokmq_pull_t *p)
{
    ngx_int_t              rc;
    ngx_connection_t      *c;
    ngx_http_request_t    *r;
    ngx_kapokmq_client_t  *client;

    r = p->request;
    c = r->connection;
    client = &p->consumer.client;

    ngx_kapokmq_drain_remove(&p->stay);
    ngx_kapokmq_consumer_leave(&p->consumer);

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    if (p->failed || (p->out && ngx_kapokmq_pull_gone(r))) {
        rc = p->failed ? NGX_ERROR : NGX_HTTP_CLIENT_CLOSED_REQUEST;
        ngx_kapokmq_client_leave(client, 0);
        ngx_http_finalize_request(r, rc);

    } else if (p->out && ngx_kapokmq_pull_lease(p) != NGX_OK) {
        ngx_kapokmq_client_leave(client, 0);
        ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST,
                               "A topic in publish/subscribe mode cannot be "
                               "pulled");

    } else {
        ngx_kapokmq_client_leave(client, 0);
        ngx_kapokmq_pull_send(p);
    }

    ngx_http_run_posted_requests(c);
}


/* A client that has gone takes nothing; what its socket tells may not have been
 * looked at yet. */
static ngx_uint_t
ngx_kapokmq_pull_gone(ngx_http_request_t *r)
{
    u_char             byte[1];
    ssize_t            n;
    ngx_connection_t  *c;

    c = r->connection;

    if (ngx_kapokmq_http_gone(r)) {
        return 1;
    }

    if (r->http_version > NGX_HTTP_VERSION_11) {
        return 0;
    }

    n = recv(c->fd, byte, 1, MSG_PEEK);

    return n == 0 || (n == -1 && ngx_socket_errno != NGX_EAGAIN);
}


static ngx_int_t
ngx_kapokmq_pull_lease(ngx_kapokmq_pull_t *p)
{
    ngx_kapokmq_client_t  *client;

    client = &p->consumer.client;

    if (client->ref == 0) {
        return NGX_ERROR;
    }

    p->leased = client->ref;
    p->number = kmq_lease(ngx_kapokmq_worker.kmq, client->ref,
                          p->asked.lease);

    if (p->number == 0) {
        return NGX_ERROR;
    }

    client->ref = 0;

    return NGX_OK;
}


static void
ngx_kapokmq_pull_send(ngx_kapokmq_pull_t *p)
{
    ngx_int_t            rc;
    ngx_chain_t         *head, *tail;
    ngx_http_request_t  *r;

    r = p->request;

    head = ngx_kapokmq_pull_part(r, ngx_kapokmq_pull_head,
                                 sizeof(ngx_kapokmq_pull_head) - 1);
    tail = ngx_kapokmq_pull_part(r, ngx_kapokmq_pull_tail,
                                 sizeof(ngx_kapokmq_pull_tail) - 1);

    if (head == NULL || tail == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    tail->buf->last_buf = 1;
    tail->buf->last_in_chain = 1;

    *p->out_last = tail;
    head->next = p->out;

    rc = ngx_kapokmq_http_json_header(r, NGX_HTTP_OK,
                                      ngx_buf_size(head->buf) + p->size
                                      + ngx_buf_size(tail->buf));

    if (rc == NGX_OK && !r->header_only) {
        rc = ngx_http_output_filter(r, head);

        if (rc == NGX_OK || rc == NGX_AGAIN) {
            p->last = tail->buf;
        }
    }

    ngx_kapokmq_pull_check(p);

    ngx_http_finalize_request(r, rc);
}


static ngx_chain_t *
ngx_kapokmq_pull_part(ngx_http_request_t *r, u_char *text, size_t len)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    b = ngx_calloc_buf(r->pool);
    cl = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL) {
        return NULL;
    }

    b->pos = text;
    b->last = text + len;
    b->memory = 1;

    cl->buf = b;
    cl->next = NULL;

    return cl;
}


void
ngx_kapokmq_pull_check(ngx_kapokmq_pull_t *p)
{
    ngx_connection_t  *c;

    c = p->request->connection;

    if (p->number && p->last && ngx_buf_size(p->last) == 0
        && !p->request->buffered && !c->buffered && !c->error && !c->timedout)
    {
        p->facts->messages = p->consumer.client.messages;
        p->number = 0;
    }
}
