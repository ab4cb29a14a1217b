/*
 * A stream of events: a request whose answer goes on for as long as the client
 * likes.  nginx's filters write it, so that it is chunked in HTTP/1.1, and
 * frames of DATA in HTTP/2 and 3.
 *
 * The request's pool frees it.  Whoever finds that it has to end notes that,
 * and its write handler ends it.
 */

#ifndef NGX_KAPOKMQ_EVENTS_INSIDE_H
#define NGX_KAPOKMQ_EVENTS_INSIDE_H

#include "../ngx_kapokmq.h"
#include "../client/ngx_kapokmq_drain.h"
#include "../deliver/ngx_kapokmq_chunk.h"
#include "../deliver/ngx_kapokmq_deliver.h"
#include "../http/ngx_kapokmq_http.h"


/* What an EventSource is told to wait, in ms, before it connects again; so much
 * longer its messages are kept for it. */
#define NGX_KAPOKMQ_EVENTS_RETRY   1000
#define NGX_KAPOKMQ_EVENTS_PARKED  (NGX_KAPOKMQ_EVENTS_RETRY + 5000)


/* Bytes on their way. */
typedef struct ngx_kapokmq_events_out_s  ngx_kapokmq_events_out_t;

struct ngx_kapokmq_events_out_s {
    ngx_kapokmq_events_out_t   *next;
    ngx_kapokmq_chunk_t        *chunk;
    ngx_uint_t                  first;     /* of the chunk's frames, that is
                                              the stream's */
    ngx_buf_t                   buf;
};

typedef struct {
    ngx_kapokmq_consumer_t      consumer;
    ngx_kapokmq_stay_t          stay;
    ngx_http_request_t         *request;
    ngx_kapokmq_facts_t        *facts;     /* the request's */
    ngx_kapokmq_events_out_t   *out;
    ngx_kapokmq_events_out_t  **out_last;
    ngx_msec_t                  said;      /* when something was sent last */
    ngx_uint_t                  probed;    /* see ngx_kapokmq_peer_check() */
    unsigned                    over:1;    /* it ends when all is written, */
    unsigned                    failed:1;  /* or at once */
    unsigned                    ours:1;    /* it ends for reasons of ours, */
    unsigned                    unwanted:1;    /* and nothing is kept for it */
} ngx_kapokmq_stream_t;


extern const ngx_kapokmq_transport_t  ngx_kapokmq_events_transport;


/* ----------------------------------------------------------------- request */

/* The head of such an answer; size -1: not known.  NGX_OK, or what a content
 * handler returns. */
ngx_int_t ngx_kapokmq_events_header(ngx_http_request_t *r, off_t size);


/* ------------------------------------------------------------------ output */

/* Each returns NGX_OK: all is written; NGX_AGAIN: the rest follows as soon as
 * the connection takes it; NGX_ERROR. */

/* Sends chunk's bytes [pos, end), which begin with the frame of that number. */
ngx_int_t ngx_kapokmq_events_send(ngx_kapokmq_stream_t *s,
    ngx_kapokmq_chunk_t *chunk, ngx_uint_t first, size_t pos, size_t end);

/* "retry:", which is the first thing, and a comment, which means nothing. */
ngx_int_t ngx_kapokmq_events_send_retry(ngx_kapokmq_stream_t *s);
ngx_int_t ngx_kapokmq_events_send_comment(ngx_kapokmq_stream_t *s);

/* Writes what the connection takes. */
ngx_int_t ngx_kapokmq_events_flush(ngx_kapokmq_stream_t *s);

void ngx_kapokmq_events_free_output(ngx_kapokmq_stream_t *s);


/* ------------------------------------------------------------------ stream */

/* Begins one: joins, or goes on with what was parked.  Returns what a content
 * handler does. */
ngx_int_t ngx_kapokmq_stream_begin(ngx_http_request_t *r,
    const kmq_client_info_t *info, ngx_kapokmq_pass_t *pass);

/* Something has been sent, which has returned rc, but not in the stream's own
 * events: it waits for the connection, or is ended in one. */
void ngx_kapokmq_stream_pushed(ngx_kapokmq_stream_t *s, ngx_int_t rc);

#endif /* NGX_KAPOKMQ_EVENTS_INSIDE_H */
