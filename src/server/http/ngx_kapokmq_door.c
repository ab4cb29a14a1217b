/*
 * Doors: every request to the queue comes in here.
 *
 *   ngx_kapokmq_door()        nobody sent it against its user's will
 *   ngx_kapokmq_door_enter()  its key, or nginx, lets it in
 *   ngx_kapokmq_door_still()  that holds still, now that the body is there
 */

#include "ngx_kapokmq_http_inside.h"
#include "ngx_kapokmq_hop.h"
#include "../worker/ngx_kapokmq_worker.h"
#include "../../protocol/kmq_utf8.h"


#define NGX_KAPOKMQ_WRONG_KEY   "Secret key matching error"
#define NGX_KAPOKMQ_EXPIRED     "The token has expired"
#define NGX_KAPOKMQ_TOO_MANY    "There were too many wrong keys"

/* So long who tries too many keys has to wait for his answer, in ms. */
#define NGX_KAPOKMQ_DOOR_WAIT   1000

static ngx_uint_t ngx_kapokmq_door_foreign(ngx_http_request_t *r,
    const ngx_kapokmq_loc_conf_t *lcf);
static ngx_uint_t ngx_kapokmq_door_named(const ngx_kapokmq_loc_conf_t *lcf,
    const ngx_str_t *origin, ngx_uint_t any);
static ngx_uint_t ngx_kapokmq_door_own(ngx_http_request_t *r,
    const ngx_str_t *origin);
static ngx_int_t ngx_kapokmq_door_open(ngx_http_request_t *r,
    const ngx_kapokmq_loc_conf_t *lcf, ngx_kapokmq_facts_t *facts);
static ngx_int_t ngx_kapokmq_door_says(ngx_http_request_t *r,
    ngx_http_complex_value_t *value, ngx_str_t *user);
static ngx_int_t ngx_kapokmq_door_key(ngx_http_request_t *r,
    ngx_kapokmq_facts_t *facts, const ngx_str_t *key);
static ngx_int_t ngx_kapokmq_door_unauthorized(ngx_http_request_t *r,
    const char *text);
static ngx_int_t ngx_kapokmq_door_user(ngx_http_request_t *r,
    ngx_kapokmq_facts_t *facts);
static const char *ngx_kapokmq_door_right(ngx_http_request_t *r,
    const ngx_kapokmq_pass_t *pass);
static ngx_int_t ngx_kapokmq_door_later(ngx_http_request_t *r,
    uint32_t wait);
static void ngx_kapokmq_door_waited(ngx_http_request_t *r);


ngx_int_t
ngx_kapokmq_door(ngx_http_request_t *r)
{
    ngx_kapokmq_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);

    /* another node has looked at all that */

    if (lcf->endpoint.kind == NGX_KAPOKMQ_HOP) {
        return lcf->endpoint.handler(r);
    }

    if (r == r->main
        && (lcf->auth == NGX_KAPOKMQ_AUTH_OFF || lcf->auth_key)
        && ngx_kapokmq_door_foreign(r, lcf))
    {
        return ngx_kapokmq_http_refuse(r, NGX_HTTP_FORBIDDEN,
                                       NGX_KAPOKMQ_FOREIGN);
    }

    return ngx_kapokmq_hands_on(r, lcf) ? ngx_kapokmq_hand_on(r, lcf)
                                        : lcf->endpoint.handler(r);
}


/* ------------------------------------------------------------------ origin */

/*
 * Is it from another site's page?  A browser tells its origin, except of a GET
 * for which the page gets no answer to read, as that of an image; but such a
 * GET would take messages nevertheless, and there browsers tell where it is
 * from in general.
 */
static ngx_uint_t
ngx_kapokmq_door_foreign(ngx_http_request_t *r,
    const ngx_kapokmq_loc_conf_t *lcf)
{
    ngx_str_t  *origin, *site;

    origin = ngx_kapokmq_http_find(r, "origin", sizeof("origin") - 1);

    if (origin) {
        return !ngx_kapokmq_door_own(r, origin)
               && !ngx_kapokmq_door_named(lcf, origin, 0);
    }

    site = ngx_kapokmq_http_find(r, "sec-fetch-site",
                                 sizeof("sec-fetch-site") - 1);

    return site
           && ((site->len == sizeof("cross-site") - 1
                && ngx_strncmp(site->data, "cross-site", site->len) == 0)
               || (site->len == sizeof("same-site") - 1
                   && ngx_strncmp(site->data, "same-site", site->len) == 0));
}


/* kapokmq_cors_origin has it; any: "*" counts, too. */
static ngx_uint_t
ngx_kapokmq_door_named(const ngx_kapokmq_loc_conf_t *lcf,
    const ngx_str_t *origin, ngx_uint_t any)
{
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (lcf->cors_origins == NULL) {
        return any;
    }

    value = lcf->cors_origins->elts;

    for (i = 0; i < lcf->cors_origins->nelts; i++) {

        if (any && value[i].len == 1 && value[i].data[0] == '*') {
            return 1;
        }

        if (value[i].len == origin->len
            && ngx_strncasecmp(value[i].data, origin->data, origin->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* Scheme and host are those of the request. */
static ngx_uint_t
ngx_kapokmq_door_own(ngx_http_request_t *r, const ngx_str_t *origin)
{
    ngx_str_t         scheme;
    ngx_table_elt_t  *host;

    ngx_str_set(&scheme, "http://");

#if (NGX_HTTP_SSL)
    if (r->connection->ssl) {
        ngx_str_set(&scheme, "https://");
    }
#endif

    host = r->headers_in.host;

    return host && origin->len == scheme.len + host->value.len
           && ngx_strncasecmp(origin->data, scheme.data, scheme.len) == 0
           && ngx_strncasecmp(origin->data + scheme.len, host->value.data,
                              host->value.len)
              == 0;
}


ngx_uint_t
ngx_kapokmq_door_origin(ngx_http_request_t *r)
{
    ngx_str_t               *origin;
    ngx_kapokmq_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);
    origin = ngx_kapokmq_http_find(r, "origin", sizeof("origin") - 1);

    return origin == NULL || ngx_kapokmq_door_named(lcf, origin, 1);
}


/* ------------------------------------------------------------------- enter */

ngx_int_t
ngx_kapokmq_door_enter(ngx_http_request_t *r, ngx_uint_t login,
    ngx_kapokmq_pass_t **pass)
{
    ngx_int_t                rc;
    ngx_str_t                key;
    const char              *error;
    ngx_kapokmq_facts_t     *facts;
    ngx_kapokmq_loc_conf_t  *lcf;

    *pass = NULL;

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);
    facts = ngx_kapokmq_facts(r);

    if (facts == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (lcf->hop) {
        return ngx_kapokmq_hop_enter(facts, login, pass);
    }

    if (lcf->auth == NGX_KAPOKMQ_AUTH_OFF) {
        rc = ngx_kapokmq_door_open(r, lcf, facts);

    } else {
        rc = ngx_kapokmq_key_given(r, &key);

        if (rc == NGX_DECLINED && login) {
            return NGX_DECLINED;
        }

        if (rc == NGX_OK) {
            rc = ngx_kapokmq_door_key(r, facts, &key);

        } else if (rc == NGX_DECLINED) {
            return ngx_kapokmq_door_unauthorized(r, NGX_KAPOKMQ_WRONG_KEY);

        } else {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (ngx_kapokmq_door_user(r, facts) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    error = ngx_kapokmq_door_right(r, &facts->pass);
    if (error) {
        return ngx_kapokmq_http_refuse(r, NGX_HTTP_FORBIDDEN, error);
    }

    *pass = &facts->pass;

    return NGX_DECLINED;
}


/* These return NGX_DECLINED where somebody is in. */

/* kapokmq_auth off: whoever nginx has let in may do everything here. */
static ngx_int_t
ngx_kapokmq_door_open(ngx_http_request_t *r,
    const ngx_kapokmq_loc_conf_t *lcf, ngx_kapokmq_facts_t *facts)
{
    ngx_kapokmq_pass_t  *pass;

    pass = &facts->pass;

    if (pass->access.rights == NULL) {
        pass->access.rights = kmq_rights_all();
        pass->open = 1;
    }

    if (pass->access.rights == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (lcf->auth_user
        && ngx_kapokmq_door_says(r, lcf->auth_user, &pass->user) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


/* kapokmq_user: what is no text, as a header may be, is shown as one. */
static ngx_int_t
ngx_kapokmq_door_says(ngx_http_request_t *r, ngx_http_complex_value_t *value,
    ngx_str_t *user)
{
    size_t   i;
    u_char  *copy;

    if (ngx_http_complex_value(r, value, user) != NGX_OK) {
        return NGX_ERROR;
    }

    if (kmq_utf8_valid(user->data, user->len)) {
        return NGX_OK;
    }

    copy = ngx_pnalloc(r->pool, user->len);
    if (copy == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < user->len; i++) {
        copy[i] = user->data[i] < 0x80 ? user->data[i] : '?';
    }

    user->data = copy;

    return NGX_OK;
}


static ngx_int_t
ngx_kapokmq_door_key(ngx_http_request_t *r, ngx_kapokmq_facts_t *facts,
    const ngx_str_t *key)
{
    uint32_t                 wait;
    ngx_kapokmq_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);

    /* an internal redirect may have brought it here from another door */

    free(facts->pass.access.rights);
    ngx_memzero(&facts->pass, sizeof(ngx_kapokmq_pass_t));

    switch (ngx_kapokmq_key_ask(r->connection, lcf->auth_limit, key->data,
                                key->len, &facts->pass, &wait))
    {
    case KMQ_ACCESS_GOOD:
        return NGX_DECLINED;

    case KMQ_ACCESS_WRONG:
        return ngx_kapokmq_door_unauthorized(r, NGX_KAPOKMQ_WRONG_KEY);

    case KMQ_ACCESS_EXPIRED:
        return ngx_kapokmq_door_unauthorized(r, NGX_KAPOKMQ_EXPIRED);

    case KMQ_ACCESS_LATER:
        return ngx_kapokmq_door_later(r, wait);

    default:
        r->keepalive = 0;
        return NGX_BUSY;
    }
}


static ngx_int_t
ngx_kapokmq_door_unauthorized(ngx_http_request_t *r, const char *text)
{
    /* a worker that is to go has nothing to wait for */

    if (ngx_kapokmq_worker.reloads != ngx_kapokmq_worker.shared->reloads) {
        r->keepalive = 0;
    }

    if (ngx_kapokmq_http_header(r, "WWW-Authenticate", "Bearer") != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_kapokmq_http_refuse(r, NGX_HTTP_UNAUTHORIZED, text);
}


/* For the access log, where it stays when the pass is somebody else's. */
static ngx_int_t
ngx_kapokmq_door_user(ngx_http_request_t *r, ngx_kapokmq_facts_t *facts)
{
    facts->user.len = 0;

    if (facts->pass.user.len == 0) {
        return NGX_OK;
    }

    facts->user.data = ngx_pstrdup(r->pool, &facts->pass.user);
    if (facts->user.data == NULL) {
        return NGX_ERROR;
    }

    facts->user.len = facts->pass.user.len;

    return NGX_OK;
}


/* What is missing of the right that the endpoint wants; NULL: nothing. */
static const char *
ngx_kapokmq_door_right(ngx_http_request_t *r, const ngx_kapokmq_pass_t *pass)
{
    ngx_kapokmq_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);

    switch (lcf->endpoint.right) {

    case NGX_KAPOKMQ_RIGHT_TOPIC:
        return NULL;

    case NGX_KAPOKMQ_RIGHT_CONSOLE:
        return kmq_rights_console(pass->access.rights) == KMQ_CONSOLE_NONE
               ? "The key has no right to the console" : NULL;

    case NGX_KAPOKMQ_RIGHT_METRICS:
        return kmq_may_metrics(pass->access.rights)
               ? NULL : "The key has no right to metrics";

    default:
        return "Nobody has a right to this";
    }
}


/* ------------------------------------------------------------------- still */

ngx_kapokmq_pass_t *
ngx_kapokmq_door_still(ngx_http_request_t *r)
{
    const char           *error;
    ngx_uint_t            status;
    ngx_kapokmq_pass_t   *pass;
    ngx_kapokmq_facts_t  *facts;

    facts = ngx_kapokmq_facts(r);
    pass = facts ? &facts->pass : NULL;

    if (pass == NULL || pass->access.rights == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return NULL;
    }

    error = NULL;
    status = NGX_HTTP_UNAUTHORIZED;

    if (pass->access.expires && pass->access.expires <= (uint64_t) ngx_time())
    {
        error = NGX_KAPOKMQ_EXPIRED;

    } else if (!ngx_kapokmq_pass_still(pass)) {
        error = NGX_KAPOKMQ_WRONG_KEY;

    } else if (pass->fewer) {
        status = NGX_HTTP_FORBIDDEN;
        error = ngx_kapokmq_door_right(r, pass);
    }

    if (error == NULL) {
        return pass;
    }

    r->keepalive = 0;
    ngx_kapokmq_http_error(r, status, error);

    return NULL;
}


ngx_uint_t
ngx_kapokmq_pass_still(ngx_kapokmq_pass_t *pass)
{
    kmq_text_t         name;
    const kmq_keys_t  *keys;

    keys = ngx_kapokmq_keys();

    if (pass->open || pass->number == ngx_kapokmq_worker.keys_number) {
        return 1;
    }

    if (!kmq_access_again(&pass->access, keys)) {
        return 0;
    }

    pass->fewer = 1;
    pass->number = ngx_kapokmq_worker.keys_number;

    name = kmq_rights_name(pass->access.rights);
    pass->user.data = (u_char *) name.data;
    pass->user.len = name.len;

    return 1;
}


/* ------------------------------------------------------------------- later */

/* Who tries many keys is answered slowly. */
static ngx_int_t
ngx_kapokmq_door_later(ngx_http_request_t *r, uint32_t wait)
{
    char  *seconds;

    seconds = ngx_pnalloc(r->pool, NGX_INT32_LEN + 1);

    if (seconds == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    *ngx_sprintf((u_char *) seconds, "%uD", (wait + 999) / 1000) = '\0';

    if (ngx_kapokmq_http_header(r, "Retry-After", seconds) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->main->count++;
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_kapokmq_door_waited;

    r->connection->write->delayed = 1;
    ngx_add_timer(r->connection->write, NGX_KAPOKMQ_DOOR_WAIT);

    return NGX_DONE;
}


static void
ngx_kapokmq_door_waited(ngx_http_request_t *r)
{
    if (r->connection->write->delayed) {
        return;
    }

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_finalize_request(r,
                              ngx_kapokmq_http_refuse(r,
                                                   NGX_HTTP_TOO_MANY_REQUESTS,
                                                      NGX_KAPOKMQ_TOO_MANY));
}
