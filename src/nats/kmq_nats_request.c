/* Requests: kmq_nats_link.h. */

#include <stdio.h>
#include <string.h>

#include "kmq_nats_link_inside.h"


#define REQUEST_NOBODY  503      /* the status of an answer */


/* Copies a text behind what is in a buffer with room for it. */
static void
request_copy(kmq_nats_buffer_t *copy, kmq_nats_text_t *to,
    const kmq_nats_text_t *from)
{
    to->bytes = copy->bytes + copy->size;
    to->len = from->len;

    if (from->len) {
        memcpy(copy->bytes + copy->size, from->bytes, from->len);
        copy->size += from->len;
    }
}


/* Does the message answer the request that waits?  Others come too late. */
static int
request_answered_by(const kmq_nats_request_t *request,
    const kmq_nats_msg_t *msg)
{
    size_t           prefix;
    uint64_t         number;
    kmq_nats_text_t  token;

    prefix = strlen(request->inbox) + 1;

    if (msg->subject.len <= prefix) {
        return 0;
    }

    token.bytes = msg->subject.bytes + prefix;
    token.len = msg->subject.len - prefix;

    return kmq_nats_number(&token, &number) && number == request->number;
}


static void
request_take(void *arg, const kmq_nats_msg_t *msg)
{
    kmq_nats_request_t  *request = arg;

    if (request->answered || !request_answered_by(request, msg)) {
        return;
    }

    request->answered = 1;
    kmq_nats_buffer_clear(&request->copy);

    if (kmq_nats_buffer_room(&request->copy,
                             msg->subject.len + msg->reply.len
                             + msg->headers.len + msg->payload.len + 1) != 0)
    {
        request->nomem = 1;
        return;
    }

    request_copy(&request->copy, &request->msg.subject, &msg->subject);
    request_copy(&request->copy, &request->msg.reply, &msg->reply);
    request_copy(&request->copy, &request->msg.headers, &msg->headers);
    request_copy(&request->copy, &request->msg.payload, &msg->payload);
}


/* The inbox of all requests, made with the first. */
static int
request_inbox(kmq_nats_link_t *link)
{
    char                 subject[KMQ_NATS_INBOX_MAX + 2];
    kmq_nats_request_t  *request;

    request = &link->request;

    if (request->sid == 0) {
        kmq_nats_link_inbox(link, request->inbox);
        (void) snprintf(subject, sizeof(subject), "%s.*", request->inbox);
        request->sid = kmq_nats_link_subscribe(link, subject, request_take,
                                               request);
    }

    return request->sid ? 0 : -1;
}


int
kmq_nats_link_request(kmq_nats_link_t *link, const char *subject,
    const kmq_nats_header_t *headers, unsigned n, const void *payload,
    size_t size, kmq_nats_msg_t *answer, uint64_t deadline)
{
    int                  rc;
    char                 reply[KMQ_NATS_INBOX_MAX + 24];
    kmq_nats_request_t  *request;

    request = &link->request;

    if (request_inbox(link) != 0) {
        return KMQ_NATS_NOMEM;
    }

    request->answered = 0;
    request->nomem = 0;
    (void) snprintf(reply, sizeof(reply), "%s.%llu", request->inbox,
                    (unsigned long long) ++request->number);

    rc = kmq_nats_link_publish(link, subject, reply, headers, n, payload,
                               size);

    while (rc >= 0 && !request->answered) {
        rc = kmq_nats_link_run(link, deadline);
    }

    if (!request->answered) {
        return rc;
    }

    *answer = request->msg;

    return request->nomem ? KMQ_NATS_NOMEM
           : kmq_nats_status(&answer->headers, NULL) == REQUEST_NOBODY
           ? KMQ_NATS_NOBODY : KMQ_NATS_DONE;
}
