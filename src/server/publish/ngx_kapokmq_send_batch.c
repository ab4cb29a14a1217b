/*
 * POST /Producer/Send: a batch of messages, all of them or none.
 *
 * The body is read and understood as it comes, so that what is wrong with it is
 * told at once.  Nothing of the zone is taken before it is complete: what has
 * come is kept in pieces, in which the messages stay as they are.  A body that
 * turns out to be a single object is gathered the same way, and sent as that.
 */

#include "ngx_kapokmq_send_inside.h"
#include "../worker/ngx_kapokmq_worker.h"
#include "../../protocol/kmq_elements.h"


#define NGX_KAPOKMQ_BATCH_MAX    1000
#define NGX_KAPOKMQ_BATCH_FIRST  32         /* messages there is room for */
#define NGX_KAPOKMQ_BATCH_ERROR  512        /* bytes of text */

/* A piece; what does not fit in gets one as large as it needs. */
#define NGX_KAPOKMQ_BATCH_PIECE  65536

/* A body that is in a file is read so much at a time. */
#define NGX_KAPOKMQ_BATCH_READ   16384


typedef struct {
    kmq_topic_name_t        topic;
    kmq_data_t              data;
} ngx_kapokmq_batch_message_t;

typedef struct {
    ngx_kapokmq_pending_t   pending;
    ngx_http_request_t     *request;       /* NULL: it was answered */
    ngx_kapokmq_send_pt     one;           /* what sends a single message */
    const ngx_kapokmq_pass_t  *pass;
    kmq_elements_t          elements;
    ngx_array_t             messages;      /* ngx_kapokmq_batch_message_t */

    off_t                   length;        /* of the body, as it was announced;
                                              -1: it was not */
    u_char                 *piece;
    u_char                 *last;
    u_char                 *end;
    u_char                 *element;       /* it begins there; NULL: none */
    u_char                 *kept;          /* messages end there */

    ngx_str_t               json;          /* the answer */
    unsigned                shared:1;      /* others read nginx's buffers */
    unsigned                single:1;      /* it is no batch */
    unsigned                waits:1;       /* for the disk */
} ngx_kapokmq_batch_t;


static ngx_int_t ngx_kapokmq_batch_create(ngx_http_request_t *r,
    ngx_uint_t lines, ngx_kapokmq_send_pt one,
    const ngx_kapokmq_pass_t *pass);
static void ngx_kapokmq_batch_read(ngx_http_request_t *r);
static ngx_int_t ngx_kapokmq_batch_take(ngx_kapokmq_batch_t *batch);
static ngx_int_t ngx_kapokmq_batch_take_file(ngx_kapokmq_batch_t *batch,
    ngx_buf_t *buf);
static ngx_int_t ngx_kapokmq_batch_in_place(ngx_kapokmq_batch_t *batch,
    ngx_buf_t *buf);
static ngx_int_t ngx_kapokmq_batch_feed(ngx_kapokmq_batch_t *batch,
    const u_char *bytes, size_t n);
static ngx_int_t ngx_kapokmq_batch_came(ngx_kapokmq_batch_t *batch,
    const u_char *p);
static ngx_int_t ngx_kapokmq_batch_room(ngx_kapokmq_batch_t *batch, size_t n);
static ngx_int_t ngx_kapokmq_batch_scan(ngx_kapokmq_batch_t *batch,
    const u_char *p);
static ngx_int_t ngx_kapokmq_batch_bounds(ngx_kapokmq_batch_t *batch);
static ngx_int_t ngx_kapokmq_batch_begin(ngx_kapokmq_batch_t *batch,
    const u_char **p);
static ngx_int_t ngx_kapokmq_batch_message(ngx_kapokmq_batch_t *batch,
    u_char *end);
static ngx_int_t ngx_kapokmq_batch_read_as(ngx_kapokmq_batch_t *batch,
    u_char *end, const kmq_field_t *fields, const kmq_misspelt_t *misspelt,
    const char *err);
static ngx_int_t ngx_kapokmq_batch_keep(ngx_kapokmq_batch_t *batch,
    const kmq_field_t *topic, const kmq_data_t *data);
static void ngx_kapokmq_batch_end(ngx_kapokmq_batch_t *batch);
static ngx_int_t ngx_kapokmq_batch_still(ngx_kapokmq_batch_t *batch);
static const char *ngx_kapokmq_batch_query(ngx_http_request_t *r);
static void ngx_kapokmq_batch_store(ngx_kapokmq_batch_t *batch);
static ngx_int_t ngx_kapokmq_batch_reserve(ngx_kapokmq_batch_t *batch,
    kmq_message_t *m, uint64_t *number);
static void ngx_kapokmq_batch_publish(ngx_kapokmq_batch_t *batch,
    kmq_message_t *m, uint64_t number);
static void ngx_kapokmq_batch_codes(ngx_kapokmq_batch_t *batch,
    const kmq_message_t *m);
static void ngx_kapokmq_batch_settled(ngx_kapokmq_pending_t *pending,
    ngx_int_t rc, const char *reason);
static void ngx_kapokmq_batch_gone(void *data);
static void ngx_kapokmq_batch_answer(ngx_kapokmq_batch_t *batch);
static ngx_int_t ngx_kapokmq_batch_wrong(ngx_kapokmq_batch_t *batch,
    ngx_uint_t status, const char *text);
static ngx_int_t ngx_kapokmq_batch_refuse(ngx_kapokmq_batch_t *batch,
    ngx_uint_t status, const char *text);
static ngx_int_t ngx_kapokmq_batch_fail(ngx_kapokmq_batch_t *batch);
static ngx_uint_t ngx_kapokmq_batch_same(const ngx_kapokmq_batch_t *batch,
    ngx_uint_t i);


/* --------------------------------------------------------------- the body */

ngx_int_t
ngx_kapokmq_send_parts(ngx_http_request_t *r, ngx_uint_t lines,
    ngx_kapokmq_send_pt one, const ngx_kapokmq_pass_t *pass)
{
    ngx_int_t  rc;

    if (ngx_kapokmq_batch_create(r, lines, one, pass) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r, ngx_kapokmq_batch_read);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


static ngx_int_t
ngx_kapokmq_batch_create(ngx_http_request_t *r, ngx_uint_t lines,
    ngx_kapokmq_send_pt one, const ngx_kapokmq_pass_t *pass)
{
    ngx_pool_cleanup_t   *cln;
    ngx_kapokmq_batch_t  *batch;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_kapokmq_batch_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    batch = cln->data;
    ngx_memzero(batch, sizeof(ngx_kapokmq_batch_t));

    batch->request = r;
    batch->one = one;
    batch->pass = pass;
    batch->shared = (r->request_body != NULL);
    /* nginx counts what has come of one that is in chunks */
    batch->length = r->headers_in.chunked ? -1
                                          : r->headers_in.content_length_n;
    kmq_elements_begin(&batch->elements, (int) lines);

    cln->handler = ngx_kapokmq_batch_gone;
    ngx_http_set_ctx(r, batch, ngx_kapokmq_module);

    return NGX_OK;
}


/* Reads what there is; it is called again when there is more. */
static void
ngx_kapokmq_batch_read(ngx_http_request_t *r)
{
    ngx_int_t             rc;
    ngx_kapokmq_batch_t  *batch;

    batch = ngx_http_get_module_ctx(r, ngx_kapokmq_module);

    for ( ;; ) {

        if (ngx_kapokmq_batch_take(batch) != NGX_OK) {
            return;
        }

        if (!r->reading_body) {
            break;
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            /* a page of an error may begin anew, without the context */
            r->read_event_handler = ngx_http_block_reading;
            ngx_http_finalize_request(r, rc);
            return;
        }

        if (r->reading_body && r->request_body->bufs == NULL) {
            r->read_event_handler = ngx_kapokmq_batch_read;
            return;
        }
    }

    r->read_event_handler = ngx_http_block_reading;
    ngx_kapokmq_batch_end(batch);
}


/* Takes what nginx has read.  Here and below, NGX_ERROR: the request has been
 * answered and finalized. */
static ngx_int_t
ngx_kapokmq_batch_take(ngx_kapokmq_batch_t *batch)
{
    ngx_int_t            rc;
    ngx_buf_t           *buf;
    ngx_chain_t         *cl, *next;
    ngx_http_request_t  *r;

    r = batch->request;
    rc = NGX_OK;

    for (cl = r->request_body->bufs; cl && rc == NGX_OK; cl = next) {
        next = cl->next;
        buf = cl->buf;

        if (ngx_buf_in_memory(buf) && !batch->shared
            && batch->length == buf->last - buf->pos)
        {
            rc = ngx_kapokmq_batch_in_place(batch, buf);

        } else if (ngx_buf_in_memory(buf)) {
            rc = ngx_kapokmq_batch_feed(batch, buf->pos,
                                        (size_t) (buf->last - buf->pos));

        } else if (buf->in_file) {
            rc = ngx_kapokmq_batch_take_file(batch, buf);
        }

        if (rc == NGX_OK && !batch->shared) {
            buf->pos = buf->last;
            ngx_free_chain(r->pool, cl);
        }
    }

    if (rc == NGX_OK && !batch->shared) {
        r->request_body->bufs = NULL;
    }

    return rc;
}


/* Somebody else had nginx read the body before. */
static ngx_int_t
ngx_kapokmq_batch_take_file(ngx_kapokmq_batch_t *batch, ngx_buf_t *buf)
{
    off_t    at;
    size_t   size;
    ssize_t  n;
    u_char   bytes[NGX_KAPOKMQ_BATCH_READ];

    for (at = buf->file_pos; at < buf->file_last; at += n) {
        size = (size_t) ngx_min(buf->file_last - at,
                                NGX_KAPOKMQ_BATCH_READ);
        n = ngx_read_file(buf->file, bytes, size, at);

        if (n != (ssize_t) size) {
            return ngx_kapokmq_batch_fail(batch);
        }

        if (ngx_kapokmq_batch_feed(batch, bytes, size) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* All of the body came at once.  nginx reads nothing more to there as long as
 * the request lives, so it stays where it is. */
static ngx_int_t
ngx_kapokmq_batch_in_place(ngx_kapokmq_batch_t *batch, ngx_buf_t *buf)
{
    batch->piece = buf->pos;
    batch->element = buf->pos;
    batch->kept = buf->pos;
    batch->last = buf->last;
    batch->end = buf->last;

    return ngx_kapokmq_batch_came(batch, buf->pos);
}


static ngx_int_t
ngx_kapokmq_batch_feed(ngx_kapokmq_batch_t *batch, const u_char *bytes,
    size_t n)
{
    u_char  *p;

    if ((size_t) (batch->end - batch->last) < n
        && ngx_kapokmq_batch_room(batch, n) != NGX_OK)
    {
        return ngx_kapokmq_batch_fail(batch);
    }

    p = batch->last;
    batch->last = ngx_cpymem(p, bytes, n);

    return ngx_kapokmq_batch_came(batch, p);
}


/* What is from p on is new. */
static ngx_int_t
ngx_kapokmq_batch_came(ngx_kapokmq_batch_t *batch, const u_char *p)
{
    if (!batch->single && ngx_kapokmq_batch_scan(batch, p) != NGX_OK) {
        return NGX_ERROR;
    }

    if (batch->element == NULL) {
        /* nobody needs what stands between messages */
        batch->last = batch->kept;
    }

    return ngx_kapokmq_batch_bounds(batch);
}


/* Another piece, for n more bytes; the element that has begun goes there. */
static ngx_int_t
ngx_kapokmq_batch_room(ngx_kapokmq_batch_t *batch, size_t n)
{
    off_t    size;
    size_t   len;
    u_char  *piece;

    len = batch->element ? (size_t) (batch->last - batch->element) : 0;
    size = batch->request->headers_in.content_length_n;

    if (batch->piece || size < 0 || size > NGX_KAPOKMQ_BATCH_PIECE) {
        size = NGX_KAPOKMQ_BATCH_PIECE;
    }

    size = ngx_max(size, (off_t) (len ? 2 * (len + n) : n));

    piece = ngx_palloc(batch->request->pool, (size_t) size);
    if (piece == NULL) {
        return NGX_ERROR;
    }

    if (len) {
        ngx_memcpy(piece, batch->element, len);
    }

    if (batch->piece && batch->kept == batch->piece) {
        (void) ngx_pfree(batch->request->pool, batch->piece);
    }

    /* as long as it is not known what the body is, all of it may be wanted */

    if (batch->piece == NULL || batch->element) {
        batch->element = piece;
    }

    batch->piece = piece;
    batch->kept = piece;
    batch->last = piece + len;
    batch->end = piece + size;

    return NGX_OK;
}


/* Looks for messages from p on, where what is there is new. */
static ngx_int_t
ngx_kapokmq_batch_scan(ngx_kapokmq_batch_t *batch, const u_char *p)
{
    for ( ;; ) {

        switch (kmq_elements_next(&batch->elements, &p, batch->last)) {

        case KMQ_ELEMENTS_BEGIN:
            if (ngx_kapokmq_batch_begin(batch, &p) != NGX_OK) {
                return NGX_ERROR;
            }

            break;

        case KMQ_ELEMENTS_END:
            if (ngx_kapokmq_batch_message(batch,
                                          batch->piece + (p - batch->piece))
                != NGX_OK)
            {
                return NGX_ERROR;
            }

            break;

        case KMQ_ELEMENTS_OTHER:
            batch->single = 1;
            return NGX_OK;

        case KMQ_ELEMENTS_SCALAR:
            return ngx_kapokmq_batch_wrong(batch, NGX_HTTP_BAD_REQUEST,
                                           "it is not a JSON object");

        case KMQ_ELEMENTS_BROKEN:
            return ngx_kapokmq_batch_refuse(batch, NGX_HTTP_BAD_REQUEST,
                                            "body is not valid JSON");

        default:
            return NGX_OK;
        }
    }
}


/* What is being gathered must not be longer than a message can be. */
static ngx_int_t
ngx_kapokmq_batch_bounds(ngx_kapokmq_batch_t *batch)
{
    off_t  max;

    max = ngx_kapokmq_http_body_max();

    if (batch->single && (batch->last - batch->element > max
                          || batch->request->headers_in.content_length_n
                             > max))
    {
        return ngx_kapokmq_batch_refuse(batch,
                                        NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                        NGX_KAPOKMQ_TOO_LARGE);
    }

    if (batch->element && batch->last - batch->element > max) {
        return ngx_kapokmq_batch_wrong(batch,
                                       NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                       "messageData is larger than "
                                       "maxMessageSize");
    }

    return NGX_OK;
}


/* An element begins.  Mostly all of it is there, and is read without looking
 * for its end before. */
static ngx_int_t
ngx_kapokmq_batch_begin(ngx_kapokmq_batch_t *batch, const u_char **p)
{
    size_t           size;
    u_char          *end;
    const char      *err;
    kmq_misspelt_t   misspelt;

    kmq_field_t  fields[NGX_KAPOKMQ_SEND_FIELDS] = NGX_KAPOKMQ_SEND_NAMES;

    batch->element = batch->piece + (*p - batch->piece);

    if (batch->messages.nelts == NGX_KAPOKMQ_BATCH_MAX) {
        return ngx_kapokmq_batch_refuse(batch,
                                        NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                        "a batch has at most 1000 messages");
    }

    err = kmq_form_first(batch->element,
                         (size_t) (batch->last - batch->element), &size,
                         fields, NGX_KAPOKMQ_SEND_FIELDS,
                         NGX_KAPOKMQ_SEND_DATA, &misspelt);
    end = batch->element + size;

    if (size == 0 || !kmq_elements_pass(&batch->elements, end, batch->last)) {
        return NGX_OK;
    }

    *p = end;

    return ngx_kapokmq_batch_read_as(batch, end, fields, &misspelt, err);
}


/* An element is complete. */
static ngx_int_t
ngx_kapokmq_batch_message(ngx_kapokmq_batch_t *batch, u_char *end)
{
    const char      *err;
    kmq_misspelt_t   misspelt;

    kmq_field_t  fields[NGX_KAPOKMQ_SEND_FIELDS] = NGX_KAPOKMQ_SEND_NAMES;

    err = kmq_form_object(batch->element, (size_t) (end - batch->element),
                          fields, NGX_KAPOKMQ_SEND_FIELDS,
                          NGX_KAPOKMQ_SEND_DATA, &misspelt);

    return ngx_kapokmq_batch_read_as(batch, end, fields, &misspelt, err);
}


/* It has been read as these fields; err: it could not be. */
static ngx_int_t
ngx_kapokmq_batch_read_as(ngx_kapokmq_batch_t *batch, u_char *end,
    const kmq_field_t *fields, const kmq_misspelt_t *misspelt,
    const char *err)
{
    kmq_data_t  data;
    ngx_uint_t  status;

    status = NGX_HTTP_BAD_REQUEST;

    if (err == NULL) {
        err = ngx_kapokmq_field_misspelt(batch->request, fields,
                                         NGX_KAPOKMQ_SEND_FIELDS, misspelt);
    }

    if (err == NULL) {
        err = ngx_kapokmq_send_check(batch->pass->access.rights, fields, 1,
                                     &data, &status);
    }

    if (err) {
        return ngx_kapokmq_batch_wrong(batch, status, err);
    }

    batch->element = NULL;
    batch->kept = end;

    return ngx_kapokmq_batch_keep(batch, &fields[0], &data);
}


static ngx_int_t
ngx_kapokmq_batch_keep(ngx_kapokmq_batch_t *batch, const kmq_field_t *topic,
    const kmq_data_t *data)
{
    ngx_kapokmq_batch_message_t  *message;

    if (batch->messages.elts == NULL
        && ngx_array_init(&batch->messages, batch->request->pool,
                          NGX_KAPOKMQ_BATCH_FIRST,
                          sizeof(ngx_kapokmq_batch_message_t))
           != NGX_OK)
    {
        return ngx_kapokmq_batch_fail(batch);
    }

    message = ngx_array_push(&batch->messages);
    if (message == NULL) {
        return ngx_kapokmq_batch_fail(batch);
    }

    message->topic.bytes = (char *) topic->value;
    message->topic.len = topic->len;
    message->data = *data;

    return NGX_OK;
}


/* The body is complete. */
static void
ngx_kapokmq_batch_end(ngx_kapokmq_batch_t *batch)
{
    ngx_str_t             body;
    const char           *err;
    kmq_elements_found_t  found;

    if (ngx_kapokmq_door_still(batch->request) == NULL
        || ngx_kapokmq_batch_still(batch) != NGX_OK)
    {
        return;
    }

    found = batch->single ? KMQ_ELEMENTS_OTHER
                          : kmq_elements_end(&batch->elements);

    if (found == KMQ_ELEMENTS_OTHER) {
        body.data = batch->element ? batch->element : (u_char *) "";
        body.len = (size_t) (batch->last - batch->element);
        batch->one(batch->request, &body, batch->pass->access.rights);
        return;
    }

    if (found == KMQ_ELEMENTS_END
        && ngx_kapokmq_batch_message(batch, batch->last) != NGX_OK)
    {
        return;
    }

    err = ngx_kapokmq_batch_query(batch->request);

    if (found == KMQ_ELEMENTS_BROKEN) {
        err = "body is not valid JSON";

    } else if (batch->messages.nelts == 0) {
        err = "a batch has at least one message";
    }

    if (err) {
        (void) ngx_kapokmq_batch_refuse(batch, NGX_HTTP_BAD_REQUEST, err);
        return;
    }

    ngx_kapokmq_batch_store(batch);
}


/* What the key may do has changed while the body was read. */
static ngx_int_t
ngx_kapokmq_batch_still(ngx_kapokmq_batch_t *batch)
{
    ngx_uint_t                    i;
    kmq_text_t                    topic;
    ngx_kapokmq_batch_message_t  *message;

    static const kmq_text_t  nobody = { NULL, 0 };

    if (!batch->pass->fewer) {
        return NGX_OK;
    }

    message = batch->messages.elts;

    for (i = 0; i < batch->messages.nelts; i++) {
        topic.data = message[i].topic.bytes;
        topic.len = message[i].topic.len;

        if (!kmq_may_produce(batch->pass->access.rights, topic, nobody)) {
            return ngx_kapokmq_batch_refuse(batch, NGX_HTTP_FORBIDDEN,
                                            NGX_KAPOKMQ_NO_TOPIC_RIGHT);
        }
    }

    return NGX_OK;
}


/* A delay in the query would be passed over. */
static const char *
ngx_kapokmq_batch_query(ngx_http_request_t *r)
{
    const char      *err;
    kmq_misspelt_t   misspelt;

    kmq_field_t  delay = { "delayTime", NULL, 0 };

    if (r->args.len == 0) {
        return NULL;
    }

    if (ngx_kapokmq_http_query(r, &delay, 1, &misspelt, &err) != NGX_OK) {
        return "the query could not be read";
    }

    return err || delay.value || misspelt.name[0]
           ? "delayTime must be in the body, not in the query" : NULL;
}


/* --------------------------------------------------------------- the queue */

static void
ngx_kapokmq_batch_store(ngx_kapokmq_batch_t *batch)
{
    uint64_t             number;
    ngx_uint_t           n;
    kmq_message_t       *m;
    ngx_http_request_t  *r;

    r = batch->request;
    n = batch->messages.nelts;

    m = ngx_pcalloc(r->pool, n * sizeof(kmq_message_t));
    batch->json.data = ngx_pnalloc(r->pool, sizeof("{\"code\":0,\"data\":[]}")
                                            + n * (KMQ_CODE_LEN + 3));

    if (m == NULL || batch->json.data == NULL) {
        (void) ngx_kapokmq_batch_fail(batch);
        return;
    }

    if (ngx_kapokmq_batch_reserve(batch, m, &number) == NGX_OK) {
        ngx_kapokmq_batch_codes(batch, m);
        ngx_kapokmq_batch_publish(batch, m, number);
    }
}


/* Reserves and writes all messages. */
static ngx_int_t
ngx_kapokmq_batch_reserve(ngx_kapokmq_batch_t *batch, kmq_message_t *m,
    uint64_t *number)
{
    ngx_uint_t                    i, n;
    kmq_topic_name_t             *topics;
    ngx_kapokmq_batch_message_t  *message;

    n = batch->messages.nelts;
    message = batch->messages.elts;

    topics = ngx_palloc(batch->request->pool, n * sizeof(kmq_topic_name_t));
    if (topics == NULL) {
        return ngx_kapokmq_batch_fail(batch);
    }

    for (i = 0; i < n; i++) {
        topics[i] = message[i].topic;
        m[i].size = (uint32_t) message[i].data.escaped;
        m[i].delay_time = message[i].data.delay;
    }

    ngx_kapokmq_clock();
    ngx_kapokmq_clock_delays(m, n);

    switch (kmq_reserve_batch(ngx_kapokmq_worker.kmq, topics, m, n, number)) {

    case KMQ_OK:
        break;

    case KMQ_FULL:
        return ngx_kapokmq_batch_refuse(batch, NGX_HTTP_SERVICE_UNAVAILABLE,
                                        "The queue is full");

    case KMQ_NOMEM:
        return ngx_kapokmq_batch_refuse(batch, NGX_HTTP_SERVICE_UNAVAILABLE,
                                        "The queue has no memory left");

    default:
        return ngx_kapokmq_batch_refuse(batch,
                                        NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                        "The batch is too large for the "
                                        "queue");
    }

    for (i = 0; i < n; i++) {
        ngx_kapokmq_publish_write(&m[i], &message[i].data);
    }

    return NGX_OK;
}


static void
ngx_kapokmq_batch_publish(ngx_kapokmq_batch_t *batch, kmq_message_t *m,
    uint64_t number)
{
    ngx_uint_t  n;

    n = batch->messages.nelts;

    switch (ngx_kapokmq_pending_now(NULL)) {

    case NGX_KAPOKMQ_PENDING_NOT:
        ngx_kapokmq_publish_commit(m, n, number);
        ngx_kapokmq_wake();
        ngx_kapokmq_batch_answer(batch);
        return;

    case NGX_KAPOKMQ_PENDING_REFUSED:
        ngx_kapokmq_publish_discard(m, n);
        (void) ngx_kapokmq_batch_refuse(batch, NGX_HTTP_SERVICE_UNAVAILABLE,
                                        NGX_KAPOKMQ_SILENT);
        return;

    default:
        break;
    }

    if (ngx_kapokmq_pending_hold(m, n, number) != NGX_OK) {
        (void) ngx_kapokmq_batch_fail(batch);
        return;
    }

    batch->waits = 1;
    batch->pending.handler = ngx_kapokmq_batch_settled;
    ngx_kapokmq_pending_add(&batch->pending);
    ngx_kapokmq_wake();
}


/* Makes the answer. */
static void
ngx_kapokmq_batch_codes(ngx_kapokmq_batch_t *batch, const kmq_message_t *m)
{
    u_char      *p;
    ngx_uint_t   i;

    p = ngx_cpymem(batch->json.data, "{\"code\":0,\"data\":[",
                   sizeof("{\"code\":0,\"data\":[") - 1);

    for (i = 0; i < batch->messages.nelts; i++) {

        if (i) {
            *p++ = ',';
        }

        *p++ = '"';
        kmq_code(ngx_kapokmq_worker.kmq, &m[i], (char *) p);
        p += KMQ_CODE_LEN;
        *p++ = '"';
    }

    *p++ = ']';
    *p++ = '}';

    batch->json.len = p - batch->json.data;
}


static void
ngx_kapokmq_batch_settled(ngx_kapokmq_pending_t *pending, ngx_int_t rc,
    const char *reason)
{
    ngx_kapokmq_batch_t  *batch = (ngx_kapokmq_batch_t *) pending;

    ngx_connection_t  *c;

    c = batch->request->connection;
    batch->waits = 0;

    if (rc == NGX_OK) {
        ngx_kapokmq_batch_answer(batch);

    } else {
        (void) ngx_kapokmq_batch_refuse(batch, NGX_HTTP_SERVICE_UNAVAILABLE,
                                        reason);
    }

    ngx_http_run_posted_requests(c);
}


/* The request goes before it is answered. */
static void
ngx_kapokmq_batch_gone(void *data)
{
    ngx_kapokmq_batch_t  *batch = data;

    if (batch->waits) {
        ngx_kapokmq_pending_remove(&batch->pending);
    }
}


/* ---------------------------------------------------------------- answers */

static void
ngx_kapokmq_batch_answer(ngx_kapokmq_batch_t *batch)
{
    ngx_kapokmq_names_t           names;
    ngx_kapokmq_facts_t          *facts;
    ngx_kapokmq_batch_message_t  *message;

    facts = ngx_kapokmq_facts(batch->request);

    if (facts) {
        facts->messages = batch->messages.nelts;
    }

    if (ngx_kapokmq_batch_same(batch, 0) == batch->messages.nelts) {
        message = batch->messages.elts;

        ngx_memzero(&names, sizeof(names));
        names.topic.data = (u_char *) message->topic.bytes;
        names.topic.len = message->topic.len;

        /* without memory the line is without a topic */
        (void) ngx_kapokmq_facts_names(batch->request, &names);
    }

    ngx_kapokmq_http_json(batch->request, NGX_HTTP_OK, &batch->json);
}


/* Refuses the batch for the message that comes next. */
static ngx_int_t
ngx_kapokmq_batch_wrong(ngx_kapokmq_batch_t *batch, ngx_uint_t status,
    const char *text)
{
    u_char  *wrong;

    wrong = ngx_pnalloc(batch->request->pool, NGX_KAPOKMQ_BATCH_ERROR);
    if (wrong == NULL) {
        return ngx_kapokmq_batch_fail(batch);
    }

    ngx_snprintf(wrong, NGX_KAPOKMQ_BATCH_ERROR, "message %ui: %s%Z",
                 batch->messages.nelts, text);

    return ngx_kapokmq_batch_refuse(batch, status, (char *) wrong);
}


/* Refuses all messages, and counts those that were understood. */
static ngx_int_t
ngx_kapokmq_batch_refuse(ngx_kapokmq_batch_t *batch, ngx_uint_t status,
    const char *text)
{
    ngx_uint_t                    i, n;
    ngx_kapokmq_batch_message_t  *message;

    message = batch->messages.elts;

    for (i = 0; i < batch->messages.nelts; i += n) {
        n = ngx_kapokmq_batch_same(batch, i);
        kmq_count_refused(ngx_kapokmq_worker.kmq, message[i].topic.bytes,
                          message[i].topic.len, n);
    }

    /* what is still to come is not read as the next request */

    if (batch->request->reading_body) {
        batch->request->keepalive = 0;
    }

    ngx_kapokmq_http_error(batch->request, status, text);

    return NGX_ERROR;
}


/* No memory, or the body cannot be read. */
static ngx_int_t
ngx_kapokmq_batch_fail(ngx_kapokmq_batch_t *batch)
{
    ngx_http_finalize_request(batch->request, NGX_HTTP_INTERNAL_SERVER_ERROR);

    return NGX_ERROR;
}


/* How many messages have the topic of message i, that one and those behind
 * it. */
static ngx_uint_t
ngx_kapokmq_batch_same(const ngx_kapokmq_batch_t *batch, ngx_uint_t i)
{
    ngx_uint_t                          n;
    const ngx_kapokmq_batch_message_t  *message;

    message = batch->messages.elts;

    for (n = 1; i + n < batch->messages.nelts
                && message[i].topic.len == message[i + n].topic.len
                && ngx_memcmp(message[i].topic.bytes,
                              message[i + n].topic.bytes,
                              message[i].topic.len)
                   == 0;
         n++)
    {
        /* void */
    }

    return n;
}
