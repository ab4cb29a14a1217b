/* POST: messages in flight with any consumer, named by their codes. */

#include "ngx_kapokmq_settle.h"
#include "../http/ngx_kapokmq_http.h"
#include "../worker/ngx_kapokmq_worker.h"
#include "../../protocol/kmq_code_list.h"
#include "../../protocol/kmq_consumer_message.h"


/* Codes in a request. */
#define NGX_KAPOKMQ_SETTLE_MAX     10000

/* What can be done with them, in this order, and what else is told. */
#define NGX_KAPOKMQ_SETTLE_VERBS   3
#define NGX_KAPOKMQ_SETTLE_DELAY   3
#define NGX_KAPOKMQ_SETTLE_ID      4
#define NGX_KAPOKMQ_SETTLE_FIELDS  5

#define NGX_KAPOKMQ_SETTLE_LISTS   ((1 << NGX_KAPOKMQ_SETTLE_VERBS) - 1)


typedef struct {
    char        *codes;
    uint8_t     *result;
    ngx_uint_t   n;
    ngx_uint_t   done;
} ngx_kapokmq_settle_list_t;

typedef struct {
    ngx_kapokmq_settle_list_t   list[NGX_KAPOKMQ_SETTLE_VERBS];
    const kmq_field_t          *id;
    int64_t                     delay;
} ngx_kapokmq_settle_t;

/* Who does it. */
typedef struct {
    const kmq_rights_t         *rights;
    kmq_text_t                  id;
} ngx_kapokmq_settle_by_t;


static void ngx_kapokmq_settle_body(ngx_http_request_t *r);
static ngx_int_t ngx_kapokmq_settle_read(ngx_http_request_t *r,
    ngx_kapokmq_settle_t *st, kmq_field_t *fields);
static ngx_int_t ngx_kapokmq_settle_list(ngx_http_request_t *r,
    const kmq_field_t *field, ngx_kapokmq_settle_list_t *list,
    ngx_uint_t left);
static ngx_int_t ngx_kapokmq_settle_wrong(ngx_http_request_t *r,
    const kmq_field_t *field, const u_char *wrong, size_t len);
static ngx_int_t ngx_kapokmq_settle_rest(ngx_http_request_t *r,
    ngx_kapokmq_settle_t *st, kmq_field_t *fields);
static void ngx_kapokmq_settle_do(ngx_kapokmq_settle_t *st,
    const kmq_rights_t *rights);
static int ngx_kapokmq_settle_may(void *arg, const char *topic, size_t len);
static void ngx_kapokmq_settle_answer(ngx_http_request_t *r,
    ngx_kapokmq_settle_t *st);
static u_char *ngx_kapokmq_settle_not(u_char *p,
    const ngx_kapokmq_settle_list_t *list);


ngx_int_t
ngx_kapokmq_settle_handler(ngx_http_request_t *r)
{
    return ngx_kapokmq_http_start(r, ngx_kapokmq_settle_body);
}


static void
ngx_kapokmq_settle_body(ngx_http_request_t *r)
{
    ngx_kapokmq_pass_t   *pass;
    ngx_kapokmq_settle_t  st;

    kmq_field_t  fields[NGX_KAPOKMQ_SETTLE_FIELDS] = {
        { "confirm", NULL, 0 },
        { "return", NULL, 0 },
        { "extend", NULL, 0 },
        { "delay", NULL, 0 },
        { "id", NULL, 0 }
    };

    pass = ngx_kapokmq_door_still(r);
    if (pass == NULL) {
        return;
    }

    if (!ngx_kapokmq_path_behind(r, NULL)) {
        ngx_kapokmq_http_error(r, NGX_HTTP_NOT_FOUND,
                               "Nothing is expected behind the location");
        return;
    }

    ngx_memzero(&st, sizeof(ngx_kapokmq_settle_t));

    if (ngx_kapokmq_http_strict(r, fields, NGX_KAPOKMQ_SETTLE_FIELDS,
                                NGX_KAPOKMQ_SETTLE_LISTS)
        != NGX_OK
        || ngx_kapokmq_settle_read(r, &st, fields) != NGX_OK
        || ngx_kapokmq_settle_rest(r, &st, fields) != NGX_OK)
    {
        return;
    }

    ngx_kapokmq_clock();
    ngx_kapokmq_settle_do(&st, pass->access.rights);
    ngx_kapokmq_wake();

    ngx_kapokmq_settle_answer(r, &st);
}


/* -------------------------------------------------------------- parameters */

static ngx_int_t
ngx_kapokmq_settle_read(ngx_http_request_t *r, ngx_kapokmq_settle_t *st,
    kmq_field_t *fields)
{
    ngx_uint_t  i, left;

    left = NGX_KAPOKMQ_SETTLE_MAX;

    for (i = 0; i < NGX_KAPOKMQ_SETTLE_VERBS; i++) {

        if (ngx_kapokmq_settle_list(r, &fields[i], &st->list[i], left)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        left -= st->list[i].n;
    }

    if (left == NGX_KAPOKMQ_SETTLE_MAX) {
        ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST,
                               "confirm, return or extend is required");
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_kapokmq_settle_list(ngx_http_request_t *r, const kmq_field_t *field,
    ngx_kapokmq_settle_list_t *list, ngx_uint_t left)
{
    size_t         len, max;
    ptrdiff_t      n;
    const u_char  *wrong;

    if (field->len == 0) {
        return NGX_OK;
    }

    /* more than these there cannot be in it */

    max = ngx_min(left, field->len / KMQ_CODE_LEN);

    list->codes = ngx_palloc(r->pool, max * (KMQ_CODE_LEN + 1) + 1);
    if (list->codes == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return NGX_ERROR;
    }

    list->result = (uint8_t *) list->codes + max * KMQ_CODE_LEN;

    n = kmq_code_list(field->value, field->len, list->codes, max, &wrong,
                      &len);

    if (n >= 0) {
        list->n = n;
        return NGX_OK;
    }

    if (n == -1) {
        return ngx_kapokmq_settle_wrong(r, field, wrong, len);
    }

    ngx_kapokmq_http_error(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                           "There are more than 10000 MessageCodes");
    return NGX_ERROR;
}


static ngx_int_t
ngx_kapokmq_settle_wrong(ngx_http_request_t *r, const kmq_field_t *field,
    const u_char *wrong, size_t len)
{
    kmq_field_t  shown;

    shown.name = field->name;
    shown.value = (u_char *) wrong;
    shown.len = len;

    ngx_kapokmq_field_error(r, &shown, "MessageCodes of 40 hex digits");

    return NGX_ERROR;
}


static ngx_int_t
ngx_kapokmq_settle_rest(ngx_http_request_t *r, ngx_kapokmq_settle_t *st,
    kmq_field_t *fields)
{
    uint64_t            delay;
    const kmq_field_t  *field, *id;

    field = &fields[NGX_KAPOKMQ_SETTLE_DELAY];
    delay = 0;

    if (ngx_kapokmq_field_seconds(r, field, 0, KMQ_SAID_DELAY_MAX, &delay)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (field->len && st->list[1].n == 0) {
        ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST,
                               "delay is for what is returned");
        return NGX_ERROR;
    }

    st->delay = field->len ? (int64_t) delay : KMQ_BACK_OFF;

    id = &fields[NGX_KAPOKMQ_SETTLE_ID];
    st->id = id;

    if (ngx_kapokmq_field_name(r, id) != NGX_OK) {
        return NGX_ERROR;
    }

    if (id->len == 0 && (st->list[1].n || st->list[2].n)) {
        ngx_kapokmq_http_error(r, NGX_HTTP_BAD_REQUEST,
                               "return and extend need the id of the consumer "
                               "that has the messages");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* ------------------------------------------------------------------ answer */

static void
ngx_kapokmq_settle_do(ngx_kapokmq_settle_t *st, const kmq_rights_t *rights)
{
    kmq_t                      *kmq;
    unsigned                    done;
    ngx_uint_t                  i;
    kmq_settle_t                settle;
    ngx_kapokmq_settle_by_t     by;
    ngx_kapokmq_settle_list_t  *list;

    kmq = ngx_kapokmq_worker.kmq;

    by.rights = rights;
    by.id.data = st->id->len ? (char *) st->id->value : NULL;
    by.id.len = st->id->len;

    ngx_memzero(&settle, sizeof(kmq_settle_t));
    settle.id = (char *) st->id->value;
    settle.id_len = st->id->len;
    settle.allow = ngx_kapokmq_settle_may;
    settle.arg = &by;

    done = 0;

    for (i = 0; i < NGX_KAPOKMQ_SETTLE_VERBS; i++) {
        list = &st->list[i];

        if (list->n == 0) {
            continue;
        }

        settle.codes = list->codes;
        settle.n = (unsigned) list->n;
        settle.result = list->result;

        switch (i) {

        case 0:
            list->done = kmq_settle_confirm(kmq, &settle);
            break;

        case 1:
            list->done = kmq_settle_return(kmq, &settle, st->delay);
            break;

        default:
            list->done = kmq_settle_extend(kmq, &settle);
            break;
        }

        done |= list->done;
    }

    if (done) {
        ngx_kapokmq_wake_producers();
    }
}


static int
ngx_kapokmq_settle_may(void *arg, const char *topic, size_t len)
{
    ngx_kapokmq_settle_by_t  *by = arg;

    kmq_text_t  name;

    name.data = topic;
    name.len = len;

    return kmq_may_consume(by->rights, name, by->id);
}


static void
ngx_kapokmq_settle_answer(ngx_http_request_t *r, ngx_kapokmq_settle_t *st)
{
    u_char                     *p;
    ngx_str_t                   json;
    ngx_uint_t                  i, wrong;
    ngx_kapokmq_facts_t        *facts;

    facts = ngx_kapokmq_facts(r);
    wrong = 0;

    for (i = 0; i < NGX_KAPOKMQ_SETTLE_VERBS; i++) {
        wrong += st->list[i].n - st->list[i].done;
    }

    json.data = ngx_pnalloc(r->pool,
                            sizeof("{\"code\":0,\"data\":{\"confirmed\":,"
                                   "\"returned\":,\"extended\":,"
                                   "\"notInFlight\":[]}}")
                            + 3 * NGX_INT_T_LEN + wrong * (KMQ_CODE_LEN + 3));

    if (json.data == NULL || facts == NULL) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    facts->confirmed = st->list[0].done;
    facts->served = 1;

    p = ngx_sprintf(json.data, "{\"code\":0,\"data\":{\"confirmed\":%ui,"
                    "\"returned\":%ui,\"extended\":%ui,\"notInFlight\":[",
                    st->list[0].done, st->list[1].done, st->list[2].done);

    for (i = 0; i < NGX_KAPOKMQ_SETTLE_VERBS; i++) {
        p = ngx_kapokmq_settle_not(p, &st->list[i]);
    }

    if (p[-1] == ',') {
        p--;
    }

    *p++ = ']';
    *p++ = '}';
    *p++ = '}';

    json.len = p - json.data;

    ngx_kapokmq_http_json(r, NGX_HTTP_OK, &json);
}


/* What was not done, with a comma behind each. */
static u_char *
ngx_kapokmq_settle_not(u_char *p, const ngx_kapokmq_settle_list_t *list)
{
    ngx_uint_t  i;

    for (i = 0; i < list->n; i++) {

        if (list->result[i] != KMQ_SETTLE_DONE) {
            *p++ = '"';
            p = ngx_cpymem(p, list->codes + i * KMQ_CODE_LEN, KMQ_CODE_LEN);
            *p++ = '"';
            *p++ = ',';
        }
    }

    return p;
}
