/* A pull as a consumer: it joins, waits, gets its messages, or goes. */

#include "ngx_kapokmq_pull_inside.h"
#include "../worker/ngx_kapokmq_worker.h"


/* One that does not wait is answered when the worker has nothing more to hand
 * out, and after so many ms, however busy it is. */
#define NGX_KAPOKMQ_PULL_BUSY  100


static ngx_kapokmq_pull_t *ngx_kapokmq_pull_create(ngx_http_request_t *r);
static size_t ngx_kapokmq_pull_push(const kmq_batch_t *batch,
    const kmq_run_t *run, ngx_uint_t n, size_t *sent);
static size_t ngx_kapokmq_pull_compose(ngx_kapokmq_pull_t *p,
    const kmq_message_t *m, ngx_uint_t n);
static void ngx_kapokmq_pull_turn(ngx_kapokmq_consumer_t *c);
static void ngx_kapokmq_pull_event(ngx_http_request_t *r);
static void ngx_kapokmq_pull_told(ngx_kapokmq_stay_t *stay);
static void ngx_kapokmq_pull_close(ngx_kapokmq_client_t *client, int why,
    const char *reason);
static void ngx_kapokmq_pull_end(void *data);


static const ngx_kapokmq_transport_t  ngx_kapokmq_pull_transport = {
    ngx_kapokmq_pull_push,
    ngx_kapokmq_pull_turn,
    NULL
};


/* Has its write handler called soon. */
#define ngx_kapokmq_pull_wake(p)                                              \
    ngx_post_event((p)->request->connection->write, &ngx_posted_events)


void
ngx_kapokmq_pull_begin(ngx_http_request_t *r, const kmq_client_info_t *info,
    const ngx_kapokmq_asked_t *asked, ngx_kapokmq_pass_t *pass)
{
    ngx_kapokmq_pull_t    *p;
    ngx_kapokmq_client_t  *client;

    p = ngx_kapokmq_pull_create(r);
    if (p == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    p->asked = *asked;
    p->facts->confirm = KMQ_CONFIRM_ACK;
    p->consumer.transport = &ngx_kapokmq_pull_transport;
    p->consumer.confirm = KMQ_CONFIRM_ACK;

    client = &p->consumer.client;
    client->log = r->connection->log;
    client->close = ngx_kapokmq_pull_close;

    if (ngx_kapokmq_client_join(client, info, pass) != NGX_OK) {
        ngx_kapokmq_http_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                               "The queue has no memory left");
        return;
    }

    ngx_http_set_ctx(r, p, ngx_kapokmq_module);
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_kapokmq_pull_event;

    ngx_kapokmq_drain_add(&p->stay);
    ngx_kapokmq_consumer_ready(&p->consumer, 1);

    if (asked->wait) {
        ngx_add_timer(r->connection->write, asked->wait);

    } else {
        ngx_kapokmq_consumer_want_turn(&p->consumer);
    }

    /* the client may have gone while its body was read */
    ngx_post_event(r->connection->read, &ngx_posted_events);
}


static ngx_kapokmq_pull_t *
ngx_kapokmq_pull_create(ngx_http_request_t *r)
{
    ngx_http_cleanup_t  *cln;
    ngx_kapokmq_pull_t  *p;

    cln = ngx_http_cleanup_add(r, sizeof(ngx_kapokmq_pull_t));
    if (cln == NULL) {
        return NULL;
    }

    p = cln->data;
    ngx_memzero(p, sizeof(ngx_kapokmq_pull_t));

    p->facts = ngx_kapokmq_facts(r);
    if (p->facts == NULL) {
        return NULL;
    }

    ngx_kapokmq_drain_init(&p->stay, ngx_kapokmq_pull_told);
    p->request = r;
    p->out_last = &p->out;
    p->since = ngx_current_msec;

    cln->handler = ngx_kapokmq_pull_end;

    return p;
}


/* ---------------------------------------------------------------- messages */

/* They may come in several runs until its turn. */
static size_t
ngx_kapokmq_pull_push(const kmq_batch_t *batch, const kmq_run_t *run,
    ngx_uint_t n, size_t *sent)
{
    size_t               size, total;
    ngx_uint_t           i;
    ngx_kapokmq_pull_t  *p;

    ngx_kapokmq_compose_begin(batch);

    total = 0;

    for (i = 0; i < n; i++) {
        p = run[i].user;
        size = ngx_kapokmq_pull_compose(p, &batch->messages[run[i].first],
                                        run[i].count);

        p->consumer.client.messages += run[i].count;
        total += size;

        ngx_kapokmq_consumer_want_turn(&p->consumer);
    }

    *sent += total;

    return total;
}


/* Returns the bytes. */
static size_t
ngx_kapokmq_pull_compose(ngx_kapokmq_pull_t *p, const kmq_message_t *m,
    ngx_uint_t n)
{
    size_t        size;
    ngx_buf_t    *b;
    ngx_uint_t    i;
    ngx_chain_t  *cl;

    size = 0;

    for (i = 0; i < n; i++) {
        size += ngx_kapokmq_compose_len(&m[i]) + 1;
    }

    b = ngx_create_temp_buf(p->request->pool, size);
    cl = ngx_alloc_chain_link(p->request->pool);

    if (b == NULL || cl == NULL) {
        p->failed = 1;
        return 0;
    }

    for (i = 0; i < n; i++) {

        if (p->size || i) {
            *b->last++ = ',';
        }

        b->last = ngx_kapokmq_compose(b->last, &m[i]);
    }

    cl->buf = b;
    cl->next = NULL;
    *p->out_last = cl;
    p->out_last = &cl->next;
    p->size += ngx_buf_size(b);

    return size;
}


/* What there was for it has been pushed. */
static void
ngx_kapokmq_pull_turn(ngx_kapokmq_consumer_t *c)
{
    ngx_kapokmq_pull_t  *p = (ngx_kapokmq_pull_t *) c;

    if (p->out == NULL && !p->failed && !p->over
        && kmq_has_work(ngx_kapokmq_worker.kmq)
        && ngx_current_msec - p->since < NGX_KAPOKMQ_PULL_BUSY)
    {
        ngx_kapokmq_consumer_want_later(c);
        return;
    }

    ngx_kapokmq_pull_answer(p);
}


/* ------------------------------------------------------------------ events */

/* Its time is over, or it is to go, or its client is gone. */
static void
ngx_kapokmq_pull_event(ngx_http_request_t *r)
{
    ngx_event_t         *wev;
    ngx_kapokmq_pull_t  *p;

    wev = r->connection->write;
    p = ngx_http_get_module_ctx(r, ngx_kapokmq_module);

    if (ngx_kapokmq_http_gone(r)) {
        ngx_http_finalize_request(r, NGX_HTTP_CLIENT_CLOSED_REQUEST);
        return;
    }

    if (!wev->timedout && !p->over) {
        return;
    }

    wev->timedout = 0;

    ngx_kapokmq_clock();
    ngx_kapokmq_pull_answer(p);
    ngx_kapokmq_wake();
}


/* The worker is to go. */
static void
ngx_kapokmq_pull_told(ngx_kapokmq_stay_t *stay)
{
    ngx_kapokmq_pull_t  *p;

    p = ngx_queue_data(stay, ngx_kapokmq_pull_t, stay);

    p->over = 1;
    ngx_kapokmq_pull_wake(p);
}


static void
ngx_kapokmq_pull_close(ngx_kapokmq_client_t *client, int why,
    const char *reason)
{
    ngx_kapokmq_pull_t  *p = (ngx_kapokmq_pull_t *) client;

    (void) why;
    (void) reason;

    ngx_kapokmq_consumer_leave(&p->consumer);
    ngx_kapokmq_client_leave(client, 0);

    p->over = 1;
    ngx_kapokmq_pull_wake(p);
}


/* The request goes, answered or not. */
static void
ngx_kapokmq_pull_end(void *data)
{
    ngx_kapokmq_pull_t  *p = data;

    ngx_kapokmq_drain_remove(&p->stay);
    ngx_kapokmq_pull_check(p);

    if (ngx_kapokmq_worker.kmq == NULL) {
        return;
    }

    ngx_kapokmq_clock();

    ngx_kapokmq_consumer_leave(&p->consumer);
    ngx_kapokmq_client_leave(&p->consumer.client, 0);

    if (p->number) {
        kmq_lease_cancel(ngx_kapokmq_worker.kmq, p->leased, p->number);
        p->number = 0;
    }

    ngx_kapokmq_wake();
}
