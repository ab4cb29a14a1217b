/*
 * $kapokmq_...: what access logs and other directives may say of a client.
 *
 * A session is freed before its request is logged, so what it did is noted in
 * the request's own memory.  Where the request is logged already when the
 * client is connected, there is nothing to tell of the session yet.
 */

#include "ngx_kapokmq_hop.h"


static ngx_uint_t ngx_kapokmq_variable_is(const ngx_str_t *name,
    const char *text);
static ngx_kapokmq_facts_t *ngx_kapokmq_facts_done(ngx_http_request_t *r);
static ngx_kapokmq_kind_e ngx_kapokmq_variable_kind(ngx_http_request_t *r);
static ngx_int_t ngx_kapokmq_variable_name(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_kapokmq_variable_user(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_kapokmq_variable_role(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_kapokmq_variable_transport(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_kapokmq_variable_messages(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_kapokmq_variable_confirmed(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_kapokmq_variable_confirm(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_kapokmq_variable_status(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_kapokmq_variable_code(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_kapokmq_variable_node(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_kapokmq_variable_handed(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


#define NGX_KAPOKMQ_TOPIC  0
#define NGX_KAPOKMQ_ID     1


static ngx_http_variable_t  ngx_kapokmq_vars[] = {

    { ngx_string("kapokmq_topic"), NULL, ngx_kapokmq_variable_name,
      NGX_KAPOKMQ_TOPIC, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("kapokmq_id"), NULL, ngx_kapokmq_variable_name,
      NGX_KAPOKMQ_ID, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("kapokmq_user"), NULL, ngx_kapokmq_variable_user,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("kapokmq_role"), NULL, ngx_kapokmq_variable_role,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("kapokmq_transport"), NULL, ngx_kapokmq_variable_transport,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("kapokmq_messages"), NULL, ngx_kapokmq_variable_messages,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("kapokmq_confirmed"), NULL, ngx_kapokmq_variable_confirmed,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("kapokmq_confirm"), NULL, ngx_kapokmq_variable_confirm,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("kapokmq_status"), NULL, ngx_kapokmq_variable_status,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("kapokmq_message_code"), NULL, ngx_kapokmq_variable_code,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("kapokmq_node_role"), NULL, ngx_kapokmq_variable_node,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("kapokmq_primary"), NULL, ngx_kapokmq_variable_handed,
      (uintptr_t) ngx_kapokmq_handed_to, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("kapokmq_hop"), NULL, ngx_kapokmq_variable_handed,
      (uintptr_t) ngx_kapokmq_handed_header, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_kapokmq_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_kapokmq_vars; v->name.len; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


/* Is a variable in use that only means something when a session has ended? */
ngx_uint_t
ngx_kapokmq_variables_of_end(ngx_conf_t *cf)
{
    ngx_uint_t                  i;
    ngx_http_variable_t        *var;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    var = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        if (ngx_kapokmq_variable_is(&var[i].name, "kapokmq_messages")
            || ngx_kapokmq_variable_is(&var[i].name, "kapokmq_confirmed")
            || ngx_kapokmq_variable_is(&var[i].name, "kapokmq_status"))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_kapokmq_variable_is(const ngx_str_t *name, const char *text)
{
    return name->len == ngx_strlen(text)
           && ngx_strncmp(name->data, text, name->len) == 0;
}


/* ------------------------------------------------------------------ facts */

ngx_kapokmq_facts_t *
ngx_kapokmq_facts(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t   *cln;
    ngx_kapokmq_facts_t  *facts;

    facts = ngx_kapokmq_facts_find(r);
    if (facts) {
        return facts;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_kapokmq_facts_t));
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_kapokmq_facts_cleanup;
    ngx_memzero(cln->data, sizeof(ngx_kapokmq_facts_t));

    return cln->data;
}


ngx_int_t
ngx_kapokmq_facts_names(ngx_http_request_t *r,
    const ngx_kapokmq_names_t *names)
{
    ngx_kapokmq_facts_t  *facts;

    facts = ngx_kapokmq_facts(r);
    if (facts == NULL) {
        return NGX_ERROR;
    }

    facts->names = *names;
    facts->location = r->loc_conf;
    facts->served = 1;

    return NGX_OK;
}


/* By its cleanup, since a session, and an internal redirect, leave the request
 * without a context. */
ngx_kapokmq_facts_t *
ngx_kapokmq_facts_find(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_kapokmq_facts_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


/* A session's facts, NULL: there has been none. */
static ngx_kapokmq_facts_t *
ngx_kapokmq_facts_session(ngx_http_request_t *r)
{
    ngx_kapokmq_facts_t  *facts;

    facts = ngx_kapokmq_facts_find(r);

    return (facts && facts->status) ? facts : NULL;
}


/* Those of what has been done: a session's, or an HTTP request's. */
static ngx_kapokmq_facts_t *
ngx_kapokmq_facts_done(ngx_http_request_t *r)
{
    ngx_kapokmq_facts_t  *facts;

    switch (ngx_kapokmq_variable_kind(r)) {

    case NGX_KAPOKMQ_PRODUCER:
    case NGX_KAPOKMQ_CONSUMER:
        return ngx_kapokmq_facts_session(r);

    default:
        facts = ngx_kapokmq_facts_find(r);
        return (facts && facts->served) ? facts : NULL;
    }
}


void
ngx_kapokmq_facts_cleanup(void *data)
{
    ngx_kapokmq_facts_t  *facts = data;

    free(facts->pass.access.rights);
    facts->pass.access.rights = NULL;
}


/* ----------------------------------------------------------------- values */

static ngx_int_t
ngx_kapokmq_variable_set(ngx_http_variable_value_t *v, const void *data,
    size_t len)
{
    v->data = (u_char *) data;
    v->len = (unsigned) len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_kapokmq_variable_none(ngx_http_variable_value_t *v)
{
    v->not_found = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_kapokmq_variable_copy(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    const void *data, size_t len)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, data, len);

    return ngx_kapokmq_variable_set(v, p, len);
}


static ngx_int_t
ngx_kapokmq_variable_number(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, ngx_uint_t n)
{
    u_char  text[NGX_INT_T_LEN];

    return ngx_kapokmq_variable_copy(r, v, text,
                                     ngx_sprintf(text, "%ui", n) - text);
}


static ngx_int_t
ngx_kapokmq_variable_text(ngx_http_variable_value_t *v, const char *text)
{
    return ngx_kapokmq_variable_set(v, text, ngx_strlen(text));
}


/* -------------------------------------------------------------- variables */

static ngx_kapokmq_kind_e
ngx_kapokmq_variable_kind(ngx_http_request_t *r)
{
    ngx_kapokmq_loc_conf_t  *lcf, *from;

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);
    from = ngx_kapokmq_handed_from(r);

    return from ? from->endpoint.kind : lcf->endpoint.kind;
}


/* Is it of a kind whose URI has names? */
static ngx_uint_t
ngx_kapokmq_variable_client(ngx_kapokmq_kind_e kind)
{
    return kind == NGX_KAPOKMQ_PRODUCER || kind == NGX_KAPOKMQ_CONSUMER
           || kind == NGX_KAPOKMQ_EVENTS || kind == NGX_KAPOKMQ_PULL;
}


/* A client's names, which can be asked for before it is served; or the topic of
 * a message, once the body has been read. */
static ngx_int_t
ngx_kapokmq_variable_name(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_str_t            *name;
    const char           *error;
    ngx_kapokmq_kind_e    kind;
    ngx_kapokmq_names_t   names;
    ngx_kapokmq_facts_t  *facts;

    kind = ngx_kapokmq_variable_kind(r);
    facts = ngx_kapokmq_facts_find(r);

    ngx_memzero(&names, sizeof(ngx_kapokmq_names_t));

    if (facts && (facts->location == r->loc_conf || facts->handed)) {
        names = facts->names;

    } else if (!ngx_kapokmq_variable_client(kind)
               || ngx_kapokmq_path_names(r, &names, &error) != NGX_OK)
    {
        return ngx_kapokmq_variable_none(v);
    }

    name = (data == NGX_KAPOKMQ_TOPIC) ? &names.topic : &names.id;

    return name->len ? ngx_kapokmq_variable_set(v, name->data, name->len)
                     : ngx_kapokmq_variable_none(v);
}


/* Whose key let it in. */
static ngx_int_t
ngx_kapokmq_variable_user(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_kapokmq_facts_t  *facts;

    (void) data;

    facts = ngx_kapokmq_facts_find(r);

    return facts && facts->user.len
           ? ngx_kapokmq_variable_set(v, facts->user.data, facts->user.len)
           : ngx_kapokmq_variable_none(v);
}


static ngx_int_t
ngx_kapokmq_variable_role(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    (void) data;

    switch (ngx_kapokmq_variable_kind(r)) {

    case NGX_KAPOKMQ_PRODUCER:
        return ngx_kapokmq_variable_text(v, "producer");

    case NGX_KAPOKMQ_CONSUMER:
    case NGX_KAPOKMQ_EVENTS:
    case NGX_KAPOKMQ_PULL:
        return ngx_kapokmq_variable_text(v, "consumer");

    case NGX_KAPOKMQ_SETTLE:
        return ngx_kapokmq_variable_text(v, "settle");

    case NGX_KAPOKMQ_SEND:
        return ngx_kapokmq_variable_text(v, "send");

    default:
        return ngx_kapokmq_variable_none(v);
    }
}


static ngx_int_t
ngx_kapokmq_variable_transport(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    (void) data;

    switch (ngx_kapokmq_variable_kind(r)) {

    case NGX_KAPOKMQ_PRODUCER:
    case NGX_KAPOKMQ_CONSUMER:
        return ngx_kapokmq_variable_text(v, "websocket");

    case NGX_KAPOKMQ_EVENTS:
        return ngx_kapokmq_variable_text(v, "events");

    case NGX_KAPOKMQ_PULL:
        return ngx_kapokmq_variable_text(v, "pull");

    default:
        return ngx_kapokmq_variable_none(v);
    }
}


static ngx_int_t
ngx_kapokmq_variable_messages(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_kapokmq_facts_t  *facts;

    (void) data;

    facts = (ngx_kapokmq_variable_kind(r) == NGX_KAPOKMQ_SETTLE)
            ? NULL : ngx_kapokmq_facts_done(r);

    return facts ? ngx_kapokmq_variable_number(r, v, facts->messages)
                 : ngx_kapokmq_variable_none(v);
}


static ngx_int_t
ngx_kapokmq_variable_confirmed(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_kapokmq_facts_t  *facts;

    (void) data;

    facts = ngx_kapokmq_facts_done(r);

    switch (ngx_kapokmq_variable_kind(r)) {

    case NGX_KAPOKMQ_CONSUMER:
    case NGX_KAPOKMQ_SETTLE:
        break;

    case NGX_KAPOKMQ_EVENTS:

        /* in mode ack others do it */

        if (facts && facts->confirm == KMQ_CONFIRM_SOCKET) {
            break;
        }

        /* fall through */

    default:
        facts = NULL;
        break;
    }

    return facts ? ngx_kapokmq_variable_number(r, v, facts->confirmed)
                 : ngx_kapokmq_variable_none(v);
}


static ngx_int_t
ngx_kapokmq_variable_confirm(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_kapokmq_facts_t  *facts;

    (void) data;

    facts = ngx_kapokmq_facts_find(r);

    return (facts && facts->confirm)
           ? ngx_kapokmq_variable_text(v, kmq_confirm_name(facts->confirm))
           : ngx_kapokmq_variable_none(v);
}


static ngx_int_t
ngx_kapokmq_variable_status(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_kapokmq_facts_t  *facts;

    (void) data;

    facts = ngx_kapokmq_facts_session(r);

    return facts ? ngx_kapokmq_variable_number(r, v, facts->status)
                 : ngx_kapokmq_variable_none(v);
}


static ngx_int_t
ngx_kapokmq_variable_code(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_kapokmq_facts_t  *facts;

    (void) data;

    facts = ngx_kapokmq_facts_find(r);

    return (facts && facts->code[0])
           ? ngx_kapokmq_variable_set(v, facts->code, KMQ_CODE_LEN)
           : ngx_kapokmq_variable_none(v);
}


static ngx_int_t
ngx_kapokmq_variable_node(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char                   address[NGX_KAPOKMQ_ADDRESS];
    ngx_kapokmq_hop_conf_t  *node;

    (void) r;
    (void) data;

    node = ngx_kapokmq_worker.hop;

    if (node == NULL) {
        return ngx_kapokmq_variable_none(v);
    }

    if (node->serves()) {
        return ngx_kapokmq_variable_text(v, "primary");
    }

    return ngx_kapokmq_variable_text(v, node->primary(address) ? "standby"
                                                               : "waiting");
}


typedef ngx_int_t (*ngx_kapokmq_handed_pt)(ngx_http_request_t *r,
    ngx_str_t *value);

static ngx_int_t
ngx_kapokmq_variable_handed(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    rc = ((ngx_kapokmq_handed_pt) data)(r, &value);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    return (rc == NGX_OK && value.len)
           ? ngx_kapokmq_variable_set(v, value.data, value.len)
           : ngx_kapokmq_variable_none(v);
}
