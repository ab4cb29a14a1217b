/* The console's messages: deleted, requeued, made due; one, or several by their
 * codes, or all dead ones of a topic. */

#include "ngx_kapokmq_console_inside.h"
#include "../worker/ngx_kapokmq_worker.h"
#include "../../protocol/kmq_code_list.h"


/* Messages changed in one turn; codes in a request. */
#define NGX_KAPOKMQ_CHANGE_TURN   64
#define NGX_KAPOKMQ_CHANGE_CODES  1000
#define NGX_KAPOKMQ_CHANGE_TOPIC  1024

#define NGX_KAPOKMQ_CHANGE_ROOM   256


/* What is done to a message. */
typedef struct {
    int               (*change)(kmq_t *kmq, const char code[KMQ_CODE_LEN]);
    const char         *done;      /* for the error log, of one */
    const char         *all;       /* and of several */
    const char         *wrong;     /* what it answers to KMQ_ERROR */
} ngx_kapokmq_verb_t;

/* Several messages that are changed. */
typedef struct {
    const ngx_kapokmq_verb_t  *verb;
    const kmq_rights_t        *rights;
    char                      *codes;
    ngx_uint_t                 n;
    ngx_uint_t                 i;          /* the next one */
    ngx_kapokmq_audit_t       *audit;      /* n: changed */
} ngx_kapokmq_several_t;

/* A topic whose dead messages are requeued. */
typedef struct {
    ngx_str_t             topic;
    ngx_kapokmq_audit_t  *audit;        /* n: requeued */
} ngx_kapokmq_requeue_t;


static void ngx_kapokmq_change_one(ngx_http_request_t *r,
    const kmq_rights_t *rights, const ngx_kapokmq_verb_t *verb,
    const kmq_field_t *code);
static ngx_int_t ngx_kapokmq_change_codes(ngx_http_request_t *r,
    ngx_kapokmq_several_t *several, const kmq_field_t *field);
static void ngx_kapokmq_change_several(ngx_http_request_t *r,
    const kmq_rights_t *rights, const ngx_kapokmq_verb_t *verb,
    const kmq_field_t *codes);
static u_char *ngx_kapokmq_change_fill(ngx_kapokmq_sliced_t *st, u_char *p,
    u_char *end);
static ngx_uint_t ngx_kapokmq_change_next(ngx_kapokmq_several_t *several);
static void ngx_kapokmq_change_topic(ngx_http_request_t *r,
    const kmq_rights_t *rights, const kmq_field_t *topic);
static u_char *ngx_kapokmq_change_topic_fill(ngx_kapokmq_sliced_t *st,
    u_char *p, u_char *end);


static const ngx_kapokmq_verb_t  ngx_kapokmq_delete = {
    kmq_delete, "message deleted", "messages deleted", NULL
};

static const ngx_kapokmq_verb_t  ngx_kapokmq_requeue = {
    kmq_requeue, "message requeued", "messages requeued",
    "The message is not dead"
};

static const ngx_kapokmq_verb_t  ngx_kapokmq_release = {
    kmq_make_due, "message released", "messages released",
    "The message is not delayed, and does not wait for its next try"
};


/* ------------------------------------------------------------------- verbs */

/* What is not there, under whatever code, need not be deleted. */
void
ngx_kapokmq_change_delete(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    ngx_str_t           json = ngx_string("{\"code\":0}");
    kmq_message_info_t  info;

    kmq_field_t  fields[] = {
        { "messageCode", NULL, 0 },
        { "messageCodes", NULL, 0 }
    };

    if (ngx_kapokmq_http_fields(r, fields, 2) != NGX_OK) {
        return;
    }

    if (fields[1].len) {
        ngx_kapokmq_change_several(r, rights, &ngx_kapokmq_delete,
                                   &fields[1]);
        return;
    }

    if (ngx_kapokmq_field_required(r, &fields[0]) != NGX_OK) {
        return;
    }

    if (fields[0].len == KMQ_CODE_LEN
        && kmq_find(ngx_kapokmq_worker.kmq, (char *) fields[0].value, &info)
           == KMQ_OK)
    {
        ngx_kapokmq_change_one(r, rights, &ngx_kapokmq_delete, &fields[0]);
        return;
    }

    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}


void
ngx_kapokmq_change_requeue(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    kmq_field_t  fields[] = {
        { "messageCode", NULL, 0 },
        { "messageCodes", NULL, 0 },
        { "topic", NULL, 0 }
    };

    if (ngx_kapokmq_http_fields(r, fields, 3) != NGX_OK) {
        return;
    }

    if (fields[0].len) {
        ngx_kapokmq_change_one(r, rights, &ngx_kapokmq_requeue, &fields[0]);

    } else if (fields[1].len) {
        ngx_kapokmq_change_several(r, rights, &ngx_kapokmq_requeue,
                                   &fields[1]);

    } else if (fields[2].len) {
        ngx_kapokmq_change_topic(r, rights, &fields[2]);

    } else {
        ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST,
                               "messageCode or topic is required");
    }
}


void
ngx_kapokmq_change_release(ngx_http_request_t *r, const kmq_rights_t *rights)
{
    kmq_field_t  fields[] = {
        { "messageCode", NULL, 0 },
        { "messageCodes", NULL, 0 }
    };

    if (ngx_kapokmq_http_strict(r, fields, 2, 2) != NGX_OK) {
        return;
    }

    if (fields[1].len) {
        ngx_kapokmq_change_several(r, rights, &ngx_kapokmq_release,
                                   &fields[1]);

    } else {
        ngx_kapokmq_change_one(r, rights, &ngx_kapokmq_release, &fields[0]);
    }
}


/* --------------------------------------------------------------------- one */

static void
ngx_kapokmq_change_one(ngx_http_request_t *r, const kmq_rights_t *rights,
    const ngx_kapokmq_verb_t *verb, const kmq_field_t *code)
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

        rc = verb->change(ngx_kapokmq_worker.kmq, (char *) code->value);
    }

    if (verb == &ngx_kapokmq_delete) {
        ngx_str_set(&json, "{\"code\":0}");

    } else if (rc == KMQ_GONE) {
        ngx_kapokmq_http_error(r, NGX_HTTP_NOT_FOUND, NGX_KAPOKMQ_NO_MESSAGE);
        return;
    }

    if (rc == KMQ_ERROR) {
        ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST, verb->wrong);
        return;
    }

    if (rc == KMQ_OK) {
        ngx_kapokmq_audit(r, verb->done, code->value, code->len, 1);
        ngx_kapokmq_wake_producers();
        ngx_kapokmq_wake();
    }

    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}


/* ----------------------------------------------------------------- several */

static ngx_int_t
ngx_kapokmq_change_codes(ngx_http_request_t *r,
    ngx_kapokmq_several_t *several, const kmq_field_t *field)
{
    size_t         len;
    ptrdiff_t      n;
    kmq_field_t    shown;
    const u_char  *wrong;

    several->codes = ngx_palloc(r->pool,
                                NGX_KAPOKMQ_CHANGE_CODES * KMQ_CODE_LEN);
    if (several->codes == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return NGX_ERROR;
    }

    n = kmq_code_list(field->value, field->len, several->codes,
                      NGX_KAPOKMQ_CHANGE_CODES, &wrong, &len);

    if (n >= 0) {
        several->n = n;
        return NGX_OK;
    }

    if (n == -1) {
        shown.name = field->name;
        shown.value = (u_char *) wrong;
        shown.len = len;

        ngx_kapokmq_field_error(r, &shown, "MessageCodes of 40 hex digits");
        return NGX_ERROR;
    }

    ngx_kapokmq_http_error(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                           "There are more than 1000 MessageCodes");
    return NGX_ERROR;
}


/* Those that are not there any more, not in a state for it, or of topics that
 * the key has no right to, are passed over. */
static void
ngx_kapokmq_change_several(ngx_http_request_t *r, const kmq_rights_t *rights,
    const ngx_kapokmq_verb_t *verb, const kmq_field_t *codes)
{
    u_char                 *last, name[NGX_INT_T_LEN + sizeof(" by codes")];
    ngx_str_t               of;
    ngx_kapokmq_several_t  *several;

    several = ngx_pcalloc(r->pool, sizeof(ngx_kapokmq_several_t));
    if (several == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    several->verb = verb;
    several->rights = rights;

    if (ngx_kapokmq_change_codes(r, several, codes) != NGX_OK) {
        return;
    }

    last = ngx_sprintf(name, "%ui by codes", several->n);
    of.len = last - name;
    of.data = ngx_pnalloc(r->pool, of.len);

    if (of.data) {
        ngx_memcpy(of.data, name, of.len);
        several->audit = ngx_kapokmq_audit_begin(r, verb->all, of.data,
                                                 of.len);
    }

    if (several->audit == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    ngx_kapokmq_sliced(r, ngx_kapokmq_change_fill, several,
                       NGX_KAPOKMQ_CHANGE_ROOM);
}


static u_char *
ngx_kapokmq_change_fill(ngx_kapokmq_sliced_t *st, u_char *p, u_char *end)
{
    ngx_uint_t              turn;
    ngx_kapokmq_several_t  *several;

    (void) end;

    several = st->data;

    for (turn = 0;
         turn < NGX_KAPOKMQ_CHANGE_TURN && several->i < several->n;
         turn++)
    {
        several->audit->n += ngx_kapokmq_change_next(several);
    }

    ngx_kapokmq_wake_producers();

    if (several->i < several->n) {
        return p;
    }

    st->done = 1;

    p = ngx_sprintf(p, "{\"code\":0,\"data\":%uL}", several->audit->n);
    ngx_kapokmq_audit_end(several->audit);

    return p;
}


/* 1: the next one has been changed. */
static ngx_uint_t
ngx_kapokmq_change_next(ngx_kapokmq_several_t *several)
{
    const char          *code;
    kmq_message_info_t   info;

    code = several->codes + several->i++ * KMQ_CODE_LEN;

    return kmq_find(ngx_kapokmq_worker.kmq, code, &info) == KMQ_OK
           && ngx_kapokmq_access_sees(several->rights, 1, info.topic,
                                      info.topic_len)
           && several->verb->change(ngx_kapokmq_worker.kmq, code) == KMQ_OK;
}


/* ---------------------------------------------------------- a topic's dead */

static void
ngx_kapokmq_change_topic(ngx_http_request_t *r, const kmq_rights_t *rights,
    const kmq_field_t *topic)
{
    ngx_kapokmq_requeue_t  *requeue;

    if (ngx_kapokmq_access_topic(r, rights, 1, (char *) topic->value,
                                  topic->len)
        != NGX_OK)
    {
        return;
    }

    requeue = ngx_pcalloc(r->pool, sizeof(ngx_kapokmq_requeue_t));
    if (requeue == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    requeue->topic.data = topic->value;
    requeue->topic.len = topic->len;
    requeue->audit = ngx_kapokmq_audit_begin(r, "messages requeued of topic",
                                             topic->value, topic->len);

    if (requeue->audit == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    ngx_kapokmq_sliced(r, ngx_kapokmq_change_topic_fill, requeue,
                       NGX_KAPOKMQ_CHANGE_ROOM);
}


static u_char *
ngx_kapokmq_change_topic_fill(ngx_kapokmq_sliced_t *st, u_char *p,
    u_char *end)
{
    unsigned                n;
    ngx_kapokmq_requeue_t  *requeue;

    (void) end;

    requeue = st->data;

    n = kmq_requeue_topic(ngx_kapokmq_worker.kmq,
                          (char *) requeue->topic.data, requeue->topic.len,
                          NGX_KAPOKMQ_CHANGE_TOPIC);
    requeue->audit->n += n;

    if (n == NGX_KAPOKMQ_CHANGE_TOPIC) {
        return p;
    }

    st->done = 1;

    ngx_kapokmq_audit_end(requeue->audit);

    return ngx_sprintf(p, "{\"code\":0,\"data\":%uL}", requeue->audit->n);
}
