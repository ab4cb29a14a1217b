/* Messages as they go to clients, whatever stands around them on the way. */

#include "ngx_kapokmq_deliver.h"
#include "../../protocol/kmq_json.h"


/* What follows the data of messages, and of which topic. */
static kmq_push_tail_t  ngx_kapokmq_tail;
static u_char           ngx_kapokmq_tail_topic[KMQ_NAME_MAX];
static size_t           ngx_kapokmq_tail_topic_len;


void
ngx_kapokmq_compose_begin(const kmq_batch_t *batch)
{
    if (ngx_kapokmq_tail_topic_len == batch->topic_len
        && ngx_memcmp(ngx_kapokmq_tail_topic, batch->topic, batch->topic_len)
           == 0)
    {
        return;
    }

    ngx_kapokmq_tail_topic_len = batch->topic_len;
    ngx_memcpy(ngx_kapokmq_tail_topic, batch->topic, batch->topic_len);
    kmq_push_topic(&ngx_kapokmq_tail, ngx_kapokmq_tail_topic,
                   batch->topic_len);
}


size_t
ngx_kapokmq_compose_len(const kmq_message_t *m)
{
    size_t  len;

    kmq_push_tail(&ngx_kapokmq_tail, m->create_time, m->delay);

    len = KMQ_PUSH_HEAD_LEN + m->size + ngx_kapokmq_tail.len;

    if (m->attempts) {
        len += kmq_push_attempts_len(m->attempts);
    }

    return len;
}


u_char *
ngx_kapokmq_compose_head(u_char *p, const kmq_message_t *m)
{
    char  code[KMQ_CODE_LEN];

    kmq_code(ngx_kapokmq_worker.kmq, m, code);

    return kmq_push_head(p, code);
}


u_char *
ngx_kapokmq_compose_tail(u_char *p, const kmq_message_t *m)
{
    kmq_push_tail(&ngx_kapokmq_tail, m->create_time, m->delay);

    p = ngx_cpymem(p, ngx_kapokmq_tail.text, ngx_kapokmq_tail.len);

    if (m->attempts) {
        p = kmq_push_attempts(p, m->attempts);
    }

    return p;
}


u_char *
ngx_kapokmq_compose(u_char *p, const kmq_message_t *m)
{
    uint32_t     left, n;
    kmq_ref_t    piece;
    const char  *bytes;

    piece = m->body;
    left = m->size;

    p = ngx_kapokmq_compose_head(p, m);

    for ( ;; ) {
        bytes = kmq_read(ngx_kapokmq_worker.kmq, &piece, &left, &n);

        if (bytes == NULL) {
            break;
        }

        p = ngx_cpymem(p, bytes, n);
    }

    return ngx_kapokmq_compose_tail(p, m);
}
