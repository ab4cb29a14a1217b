/* Clients join and leave, or have to. */

#include "ngx_kapokmq_client.h"
#include "../http/ngx_kapokmq_http.h"


/* Clients closed in one turn. */
#define NGX_KAPOKMQ_CLOSES  64


const char *
ngx_kapokmq_client_info(ngx_http_request_t *r, uint32_t role,
    kmq_client_info_t *info)
{
    size_t               topic_len, id_len;
    ngx_str_t           *addr, value;
    const char          *error;
    kmq_topic_config_t   topic;

    addr = &r->connection->addr_text;

    error = ngx_kapokmq_http_names(r, (u_char *) info->topic, &topic_len,
                                   (u_char *) info->id, &id_len);
    if (error) {
        return error;
    }

    kmq_config_topic(ngx_kapokmq_worker.config, info->topic, topic_len,
                     &topic);

    info->role = role;
    info->mode = topic.confirm;
    info->prefetch = ngx_max(1, ngx_min(topic.prefetch, KMQ_PREFETCH_MAX));
    info->topic_len = topic_len;
    info->id_len = id_len;
    info->addr_len = ngx_min(addr->len, KMQ_ADDR_MAX);
    ngx_memcpy(info->addr, addr->data, info->addr_len);

    if (role == KMQ_CONSUMER
        && ngx_http_arg(r, (u_char *) "confirm", sizeof("confirm") - 1,
                        &value)
           == NGX_OK)
    {
        info->mode = kmq_confirm_value((char *) value.data, value.len);
    }

    return info->mode ? NULL : "confirm must be socket, pong or ack";
}


ngx_int_t
ngx_kapokmq_client_join(ngx_kapokmq_client_t *client,
    const kmq_client_info_t *info)
{
    client->ref = kmq_join(ngx_kapokmq_worker.kmq, info, client);

    return client->ref ? NGX_OK : NGX_ERROR;
}


void
ngx_kapokmq_client_leave(ngx_kapokmq_client_t *client)
{
    if (client->ref && ngx_kapokmq_worker.kmq) {
        kmq_leave(ngx_kapokmq_worker.kmq, client->ref);
        client->ref = 0;
    }
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
