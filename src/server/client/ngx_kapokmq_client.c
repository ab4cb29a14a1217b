/* Clients join and leave, or have to. */

#include "ngx_kapokmq_client.h"
#include "../http/ngx_kapokmq_http.h"


/* Clients closed in one turn. */
#define NGX_KAPOKMQ_CLOSES  64

/* A query's parameters, and how many of them are a producer's. */
#define NGX_KAPOKMQ_PARAMETERS  3
#define NGX_KAPOKMQ_PRODUCERS   1


static ngx_int_t ngx_kapokmq_client_names(ngx_http_request_t *r,
    ngx_kapokmq_names_t *names, const char **error);
static ngx_kapokmq_by_e ngx_kapokmq_client_by(ngx_http_request_t *r);
static const char *ngx_kapokmq_client_query(ngx_http_request_t *r,
    uint32_t role, ngx_kapokmq_by_e by, kmq_topic_config_t *topic);
static ngx_int_t ngx_kapokmq_client_let_in(ngx_kapokmq_client_t *client,
    ngx_kapokmq_pass_t *pass);


const char *const  ngx_kapokmq_by_names[NGX_KAPOKMQ_BYS] = {
    "websocket", "events", "pull"
};


ngx_int_t
ngx_kapokmq_client_info(ngx_http_request_t *r, uint32_t role,
    kmq_client_info_t *info, const char **error)
{
    ngx_int_t             rc;
    ngx_str_t            *addr;
    ngx_kapokmq_by_e      by;
    kmq_topic_config_t    topic;
    ngx_kapokmq_names_t   names;

    addr = &r->connection->addr_text;

    rc = ngx_kapokmq_client_names(r, &names, error);
    if (rc != NGX_OK) {
        return rc;
    }

    info->topic_len = names.topic.len;
    ngx_memcpy(info->topic, names.topic.data, names.topic.len);
    info->id_len = names.id.len;
    ngx_memcpy(info->id, names.id.data, names.id.len);

    kmq_config_topic(ngx_kapokmq_worker.config, info->topic, info->topic_len,
                     &topic);

    by = ngx_kapokmq_client_by(r);

    *error = ngx_kapokmq_client_query(r, role, by, &topic);
    if (*error) {
        return NGX_HTTP_BAD_REQUEST;
    }

    info->role = role;
    info->mode = ngx_kapokmq_mode(topic.confirm, by, topic.heartbeat);
    info->by_code = (topic.confirm == KMQ_CONFIRM_ACK);
    info->pull = (by == NGX_KAPOKMQ_BY_PULL);
    info->settles = (by == NGX_KAPOKMQ_BY_EVENTS && info->by_code);
    info->prefetch = ngx_max(1, ngx_min(topic.prefetch, KMQ_PREFETCH_MAX));
    info->addr_len = ngx_min(addr->len, KMQ_ADDR_MAX);
    ngx_memcpy(info->addr, addr->data, info->addr_len);

    return NGX_OK;
}


/* Its names, which are those of its line in the access log, too, whatever
 * becomes of variables until then. */
static ngx_int_t
ngx_kapokmq_client_names(ngx_http_request_t *r, ngx_kapokmq_names_t *names,
    const char **error)
{
    ngx_int_t  rc;

    rc = ngx_kapokmq_path_names(r, names, error);

    if (rc != NGX_OK) {
        ngx_kapokmq_path_log(r, rc, *error);
        return rc;
    }

    if (ngx_kapokmq_facts_names(r, names) != NGX_OK) {
        *error = "There is no memory";
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_OK;
}


static ngx_kapokmq_by_e
ngx_kapokmq_client_by(ngx_http_request_t *r)
{
    ngx_kapokmq_loc_conf_t  *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_kapokmq_module);

    switch (lcf->endpoint.kind) {

    case NGX_KAPOKMQ_EVENTS:
        return NGX_KAPOKMQ_BY_EVENTS;

    case NGX_KAPOKMQ_PULL:
        return NGX_KAPOKMQ_BY_PULL;

    default:
        return NGX_KAPOKMQ_BY_WEBSOCKET;
    }
}


/* Changes what holds for the topic into what holds for the client: how it is
 * connected says that, and what its query asks for. */
static const char *
ngx_kapokmq_client_query(ngx_http_request_t *r, uint32_t role,
    ngx_kapokmq_by_e by, kmq_topic_config_t *topic)
{
    ngx_uint_t       n;
    const char      *error;
    kmq_misspelt_t   misspelt;

    kmq_field_t  fields[] = {
        { "heartbeat", NULL, 0 },
        { "confirm", NULL, 0 },
        { "prefetch", NULL, 0 }
    };

    if (by == NGX_KAPOKMQ_BY_PULL) {
        topic->confirm = KMQ_CONFIRM_ACK;
        topic->heartbeat = 0;
        return NULL;
    }

    if (by == NGX_KAPOKMQ_BY_EVENTS) {
        topic->confirm = KMQ_CONFIRM_SOCKET;
    }

    if (r->args.len == 0) {
        return NULL;
    }

    n = (role == KMQ_CONSUMER) ? NGX_KAPOKMQ_PARAMETERS
                               : NGX_KAPOKMQ_PRODUCERS;

    if (ngx_kapokmq_http_query(r, fields, n, &misspelt, &error) != NGX_OK) {
        return "the query could not be read";
    }

    if (error == NULL) {
        error = (by == NGX_KAPOKMQ_BY_EVENTS)
                ? ngx_kapokmq_field_strict(r, fields, n, &misspelt)
                : ngx_kapokmq_field_misspelt(r, fields, n, &misspelt);
    }

    if (error == NULL && fields[0].value) {
        error = kmq_query_heartbeat((char *) fields[0].value, fields[0].len,
                                    &topic->heartbeat);
    }

    if (error == NULL && fields[1].value) {
        error = kmq_query_confirm((char *) fields[1].value, fields[1].len,
                                  &topic->confirm);

        if (by == NGX_KAPOKMQ_BY_EVENTS
            && topic->confirm != KMQ_CONFIRM_SOCKET
            && topic->confirm != KMQ_CONFIRM_ACK)
        {
            error = "confirm must be socket or ack";
        }
    }

    if (error == NULL && fields[2].value) {
        error = kmq_query_prefetch((char *) fields[2].value, fields[2].len,
                                   &topic->prefetch);
    }

    return error;
}


ngx_msec_t
ngx_kapokmq_client_silence(const kmq_client_info_t *info)
{
    kmq_config_t        *config;
    kmq_topic_config_t   topic;

    config = ngx_kapokmq_worker.config;

    if (info->role != KMQ_CONSUMER || !config->is_re_push
        || ngx_kapokmq_mode_heartbeat(info->mode) == 0
        || ngx_kapokmq_mode_confirm(info->mode) == KMQ_CONFIRM_SOCKET)
    {
        return 0;
    }

    kmq_config_topic(config, info->topic, info->topic_len, &topic);

    if (topic.push_retry_time == 0) {
        return 0;
    }

    return ngx_max(topic.push_retry_time,
                   2 * ngx_kapokmq_mode_heartbeat(info->mode));
}


void
ngx_kapokmq_client_user(kmq_client_info_t *info,
    const ngx_kapokmq_pass_t *pass)
{
    size_t  len;

    len = ngx_min(pass->user.len, KMQ_USER_MAX);

    /* of a character that is cut nothing is left */

    while (len < pass->user.len && len
           && (pass->user.data[len] & 0xc0) == 0x80)
    {
        len--;
    }

    info->user_len = (uint16_t) len;

    if (len) {
        ngx_memcpy(info->user, pass->user.data, len);
    }
}


/* Since it was let in, a reload may have come: those who have joined have been
 * looked at then. */
static ngx_uint_t
ngx_kapokmq_client_may(const kmq_client_info_t *info, ngx_kapokmq_pass_t *pass)
{
    return ngx_kapokmq_pass_still(pass)
           && ngx_kapokmq_guest_may(info, pass->access.rights);
}


ngx_int_t
ngx_kapokmq_client_join(ngx_kapokmq_client_t *client,
    const kmq_client_info_t *info, ngx_kapokmq_pass_t *pass)
{
    if (!ngx_kapokmq_client_may(info, pass)) {
        return NGX_DECLINED;
    }

    client->ref = kmq_join(ngx_kapokmq_worker.kmq, info, client);

    if (client->ref == 0) {
        return NGX_ERROR;
    }

    return ngx_kapokmq_client_let_in(client, pass);
}


ngx_int_t
ngx_kapokmq_client_resume(ngx_kapokmq_client_t *client,
    const kmq_client_info_t *info, const char *last,
    ngx_kapokmq_pass_t *pass)
{
    if (!ngx_kapokmq_client_may(info, pass)) {
        return NGX_DECLINED;
    }

    client->ref = kmq_resume(ngx_kapokmq_worker.kmq, info, client, last);

    if (client->ref == 0) {
        return NGX_DECLINED;
    }

    return ngx_kapokmq_client_let_in(client, pass);
}


static ngx_int_t
ngx_kapokmq_client_let_in(ngx_kapokmq_client_t *client,
    ngx_kapokmq_pass_t *pass)
{
    if (ngx_kapokmq_guest_in(&client->guest, pass) == NGX_OK) {
        return NGX_OK;
    }

    ngx_kapokmq_client_leave(client, 0);

    return NGX_ERROR;
}


void
ngx_kapokmq_client_leave(ngx_kapokmq_client_t *client, ngx_uint_t failed)
{
    if (client->ref && ngx_kapokmq_worker.kmq) {
        kmq_leave(ngx_kapokmq_worker.kmq, client->ref, (int) failed);
        client->ref = 0;
    }

    ngx_kapokmq_guest_out(&client->guest);
}


ngx_uint_t
ngx_kapokmq_client_close(void)
{
    int                    why;
    ngx_uint_t             n;
    ngx_kapokmq_client_t  *client;

    for (n = 0; n < NGX_KAPOKMQ_CLOSES; n++) {
        client = kmq_to_close(ngx_kapokmq_worker.kmq, &why);

        if (client == NULL) {
            return 0;
        }

        if (why == KMQ_TOO_SLOW) {
            ngx_log_error(NGX_LOG_INFO, client->log, 0,
                          "consumer is too slow and is disconnected");

            client->close(client, why, "too slow for the other consumers");

        } else {
            ngx_log_error(NGX_LOG_NOTICE, client->log, 0,
                          "client is disconnected by an operator");

            client->close(client, why, "disconnected by an operator");
        }
    }

    return 1;
}
