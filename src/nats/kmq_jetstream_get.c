/* One message of a stream: kmq_jetstream.h. */

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "kmq_jetstream_inside.h"


#define JS_NOT_FOUND  404


size_t
kmq_js_write_get(char *to, size_t room, const char *subject,
    uint64_t sequence)
{
    json_t  *json;

    if (subject == NULL) {
        json = json_pack("{s:I}", "seq", (json_int_t) sequence);

    } else if (sequence == KMQ_JS_NONE) {
        json = json_pack("{s:s}", "last_by_subj", subject);

    } else {
        json = json_pack("{s:I, s:s}", "seq", (json_int_t) sequence,
                         "next_by_subj", subject);
    }

    return kmq_js_dump(to, room, json);
}


/* ------------------------------------------------------- from the leader */

/* Decodes a member in base64 to *at, and moves that: 0; -1: it is none. */
static int
js_decode(kmq_nats_text_t *text, unsigned char **at, const json_t *object,
    const char *name)
{
    int            n;
    size_t         len;
    const char    *coded;
    const json_t  *member;

    member = json_object_get(object, name);
    text->bytes = *at;
    text->len = 0;

    if (member == NULL) {
        return 0;
    }

    coded = json_string_value(member);
    len = json_string_length(member);
    n = coded ? EVP_DecodeBlock(*at, (const unsigned char *) coded, (int) len)
              : -1;

    if (n < 0 || len % 4 != 0) {
        return -1;
    }

    /* bytes that the padding stands for */

    while (len && coded[len - 1] == '=' && n > 0) {
        len--;
        n--;
    }

    text->len = (size_t) n;
    *at += n;

    return 0;
}


/* Memory for all that is in it, which is no more once decoded. */
static int
js_message(kmq_js_message_t *message, const json_t *object)
{
    size_t          len;
    const json_t   *subject;
    unsigned char  *at;

    subject = json_object_get(object, "subject");
    len = json_string_length(subject);

    message->sequence = kmq_js_number(object, "seq");
    message->time = kmq_js_time(object, "time");
    message->memory = malloc(len + 3
                    + json_string_length(json_object_get(object, "hdrs"))
                    + json_string_length(json_object_get(object, "data")));

    if (message->memory == NULL) {
        return -1;
    }

    at = message->memory;

    if (len) {
        memcpy(at, json_string_value(subject), len);
    }

    message->subject.bytes = at;
    message->subject.len = len;
    at += len;

    if (js_decode(&message->headers, &at, object, "hdrs") == 0
        && js_decode(&message->payload, &at, object, "data") == 0
        && message->sequence && len)
    {
        return 0;
    }

    kmq_js_message_free(message);

    return -1;
}


int
kmq_js_read_get(const kmq_nats_text_t *payload, kmq_js_message_t *message,
    kmq_js_error_t *error)
{
    int      rc;
    json_t  *json;

    message->memory = NULL;
    json = kmq_js_load(payload, error);

    if (json == NULL) {
        return -1;
    }

    rc = js_message(message, json_object_get(json, "message"));
    json_decref(json);

    return rc == 0 ? 0 : kmq_js_senseless(error, "no message");
}


void
kmq_js_message_free(kmq_js_message_t *message)
{
    free(message->memory);
    message->memory = NULL;
}


/* ------------------------------------------------------ from any replica */

int
kmq_js_read_direct(const kmq_nats_msg_t *msg, kmq_js_message_t *message,
    kmq_js_error_t *error)
{
    kmq_nats_text_t  sequence;

    memset(error, 0, sizeof(kmq_js_error_t));
    message->memory = NULL;
    message->time = 0;
    error->code = kmq_nats_status(&msg->headers, NULL);

    if (error->code) {
        error->err_code = error->code == JS_NOT_FOUND ? KMQ_JS_NO_MESSAGE : 0;
        return -1;
    }

    if (!kmq_nats_header(&msg->headers, "Nats-Sequence", &sequence)
        || !kmq_nats_number(&sequence, &message->sequence)
        || !kmq_nats_header(&msg->headers, "Nats-Subject", &message->subject))
    {
        return kmq_js_senseless(error, "no message");
    }

    message->headers = msg->headers;
    message->payload = msg->payload;

    return 0;
}
