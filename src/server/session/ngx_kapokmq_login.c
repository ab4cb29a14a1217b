/* Login: a session begins when its client has given the secret key. */

#include "ngx_kapokmq_heartbeat.h"
#include "../http/ngx_kapokmq_http.h"


#define NGX_KAPOKMQ_WRONG_KEYS       5

/* The longest message before login: a key, with something to spare. */
#define NGX_KAPOKMQ_LOGIN_MAX     4096

/* What escapes and an envelope may make of a message that is not too large. */
#define NGX_KAPOKMQ_FRAME_GROWTH     6
#define NGX_KAPOKMQ_FRAME_EXTRA   4096

#define NGX_KAPOKMQ_PROMPT     "Please enter the secret key"
#define NGX_KAPOKMQ_RIGHT_KEY  "Secret key matching succeeded"

/* So long, in ms, who tries too many has to wait to be told. */
#define NGX_KAPOKMQ_GUESSED_TIME   1000


static ngx_int_t ngx_kapokmq_login_open(ngx_kapokmq_session_t *s);


ngx_int_t
ngx_kapokmq_login_begin(ngx_kapokmq_session_t *s)
{
    s->greeted = 1;

    kmq_ws_init(&s->parser, NGX_KAPOKMQ_LOGIN_MAX);

    if (s->key_given) {
        return ngx_kapokmq_login_open(s);
    }

    ngx_kapokmq_close_after(s, ngx_kapokmq_worker.config->login_time);

    return ngx_kapokmq_output_text(s, NGX_KAPOKMQ_PROMPT);
}


ngx_int_t
ngx_kapokmq_login_key(ngx_kapokmq_session_t *s)
{
    uint32_t      wait;
    kmq_access_e  rc;

    rc = ngx_kapokmq_key_ask(s->connection, s->limit, s->parser.data,
                             s->parser.size, s->pass, &wait);

    if (rc == KMQ_ACCESS_GOOD) {
        ngx_kapokmq_client_user(s->info, s->pass);
        return ngx_kapokmq_login_open(s);
    }

    if (rc == KMQ_ACCESS_LATER) {
        s->guessed = 1;
        ngx_kapokmq_close_after(s, NGX_KAPOKMQ_GUESSED_TIME);
        return NGX_BUSY;
    }

    /* it may have been told of a new one, and this worker is to go anyhow */

    if (rc == KMQ_ACCESS_ELSEWHERE || rc == KMQ_ACCESS_FAILED
        || ngx_kapokmq_worker.reloads != ngx_kapokmq_worker.shared->reloads)
    {
        return ngx_kapokmq_close_send(s, KMQ_WS_GOING_AWAY,
                                      "the server restarts");
    }

    if (ngx_kapokmq_output_text(s, NGX_KAPOKMQ_WRONG_KEY) != NGX_OK) {
        return NGX_ERROR;
    }

    s->wrong_keys++;

    if (s->wrong_keys == NGX_KAPOKMQ_WRONG_KEYS) {
        return ngx_kapokmq_close_send(s, KMQ_WS_POLICY,
                                      NGX_KAPOKMQ_TOO_MANY_KEYS);
    }

    return ngx_kapokmq_output_text(s, NGX_KAPOKMQ_PROMPT);
}


static ngx_int_t
ngx_kapokmq_login_open(ngx_kapokmq_session_t *s)
{
    ngx_int_t  rc;

    ngx_kapokmq_close_after(s, 0);

    rc = ngx_kapokmq_client_join(&s->client, s->info, s->pass);

    if (rc == NGX_DECLINED) {
        return ngx_kapokmq_close_send(s, KMQ_WS_POLICY,
                                      NGX_KAPOKMQ_NO_TOPIC_RIGHT);
    }

    if (rc != NGX_OK) {
        return ngx_kapokmq_close_send(s, KMQ_WS_TRY_AGAIN_LATER,
                                      "no memory for another client");
    }

    ngx_kapokmq_heartbeat_begin(s);
    ngx_kapokmq_close_login(s);

    s->state = NGX_KAPOKMQ_OPEN;
    s->parser.max_message = (uint64_t) NGX_KAPOKMQ_FRAME_GROWTH
                            * ngx_kapokmq_worker.config->max_message_size
                            + NGX_KAPOKMQ_FRAME_EXTRA;

    return ngx_kapokmq_output_text(s, NGX_KAPOKMQ_RIGHT_KEY);
}
