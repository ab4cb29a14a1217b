/* What POST /Producer/Send has for single messages and for batches. */

#ifndef NGX_KAPOKMQ_SEND_INSIDE_H
#define NGX_KAPOKMQ_SEND_INSIDE_H

#include "ngx_kapokmq_publish.h"
#include "../http/ngx_kapokmq_http.h"


/* What a message has. */
#define NGX_KAPOKMQ_SEND_FIELDS  3
#define NGX_KAPOKMQ_SEND_DATA    1
#define NGX_KAPOKMQ_SEND_NAMES   {                                           \
        { "topic", NULL, 0 },                                                \
        { "messageData", NULL, 0 },                                          \
        { "delayTime", NULL, 0 }                                             \
    }

/*
 * Checks the fields of a message, and that it may be sent by whoever sends it.
 * Returns what is wrong, with the status to answer, or NULL and the data.  raw:
 * messageData is the inside of a valid JSON string.
 */
const char *ngx_kapokmq_send_check(const kmq_rights_t *rights,
    const kmq_field_t fields[], ngx_uint_t raw, kmq_data_t *data,
    ngx_uint_t *status);

/* Sends the message that is the whole body, which is changed in place; answers
 * and finalizes the request. */
typedef void (*ngx_kapokmq_send_pt)(ngx_http_request_t *r, ngx_str_t *body,
    const kmq_rights_t *rights);

/* Reads a body that may be a batch as it comes; lines: it is one, an object a
 * line.  one is for a body that is a single message. */
ngx_int_t ngx_kapokmq_send_parts(ngx_http_request_t *r, ngx_uint_t lines,
    ngx_kapokmq_send_pt one, const ngx_kapokmq_pass_t *pass);

#endif /* NGX_KAPOKMQ_SEND_INSIDE_H */
