/* What must hold for a message that comes by HTTP. */

#include "ngx_kapokmq_send_inside.h"


/* The data of a string in JSON that has been found valid, as it stands. */
static void
ngx_kapokmq_send_raw(kmq_data_t *data, const kmq_field_t *text)
{
    data->bytes = text->value;
    data->size = text->len;
    data->escaped = text->len;
    data->json = 1;
}


/* Is the data too large?  What can be so is rarely looked at as a whole. */
static const char *
ngx_kapokmq_send_size(const kmq_data_t *data)
{
    if (data->size > ngx_kapokmq_worker.config->max_message_size
        && kmq_data_size(data) > ngx_kapokmq_worker.config->max_message_size)
    {
        return "messageData is larger than maxMessageSize";
    }

    return data->escaped > kmq_body_max(ngx_kapokmq_worker.kmq)
           ? "messageData is too large for the zone" : NULL;
}


const char *
ngx_kapokmq_send_check(const kmq_rights_t *rights, const kmq_field_t fields[],
    ngx_uint_t raw, kmq_data_t *data, ngx_uint_t *status)
{
    kmq_text_t          name;
    const char         *err;
    const kmq_field_t  *topic, *text, *delay;

    static const kmq_text_t  nobody = { NULL, 0 };

    topic = &fields[0];
    text = &fields[1];
    delay = &fields[2];
    *status = NGX_HTTP_BAD_REQUEST;

    if (topic->len == 0 || text->len == 0) {
        return "Required data cannot be empty";
    }

    err = kmq_topic_error(topic->value, topic->len);

    if (err == NULL && raw) {
        ngx_kapokmq_send_raw(data, text);

    } else if (err == NULL) {
        err = kmq_data_text(data, text->value, text->len);
    }

    if (err) {
        return err;
    }

    data->delay = 0;

    if (delay->value
        && kmq_data_delay((char *) delay->value, delay->len, &data->delay)
           != 0)
    {
        return "delayTime is not a number of seconds up to ten years";
    }

    name.data = (char *) topic->value;
    name.len = topic->len;

    if (!kmq_may_produce(rights, name, nobody)) {
        *status = NGX_HTTP_FORBIDDEN;
        return NGX_KAPOKMQ_NO_TOPIC_RIGHT;
    }

    *status = NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;

    return ngx_kapokmq_send_size(data);
}
