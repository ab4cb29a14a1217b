/*
 * Messages go out.  A consumer here is what it is to the engine: how much it
 * may have, what is in flight with it, what it confirms.  How bytes reach it is
 * the matter of its transport.
 *
 *   engine --- batch ---> deliver --- runs ---> transport ---> client
 *          <-- confirm --         <-- sent, codes, ready --
 */

#ifndef NGX_KAPOKMQ_DELIVER_H
#define NGX_KAPOKMQ_DELIVER_H

#include "../ngx_kapokmq.h"
#include "../client/ngx_kapokmq_client.h"


/* -------------------------------------------------------------- transport */

typedef struct ngx_kapokmq_consumer_s  ngx_kapokmq_consumer_t;

typedef struct {
    /*
     * Sends n runs of a batch, each to the consumer that is its user, and
     * counts their messages (client.messages); runs may share messages.  What
     * is not sent at once is the transport's to keep: the bodies may be gone
     * afterwards.  A consumer that cannot be sent to ends, but not before this
     * returns.  Returns the bytes composed, and adds those sent to *sent.
     */
    size_t     (*push)(const kmq_batch_t *batch, const kmq_run_t *run,
                       ngx_uint_t n, size_t *sent);

    /* The turn that ngx_kapokmq_consumer_want_turn() asked for. */
    void       (*turn)(ngx_kapokmq_consumer_t *c);

    /* Answers that what the client said is wrong.  NGX_ERROR: it ends.  NULL
     * where a client says nothing on its connection. */
    ngx_int_t  (*refuse)(ngx_kapokmq_consumer_t *c, const u_char *text,
                         size_t len);
} ngx_kapokmq_transport_t;


/* --------------------------------------------------------------- consumer */

/* Part of what a transport knows of a connection, which sets client.log,
 * client.close, transport and confirm; the rest is kept here. */
struct ngx_kapokmq_consumer_s {
    ngx_kapokmq_client_t            client;     /* first: the engine's user */
    const ngx_kapokmq_transport_t  *transport;
    uint32_t                        confirm;    /* KMQ_CONFIRM_... */
    uint32_t                        position;   /* of the last one pushed */
    ngx_uint_t                      confirmed;
    ngx_queue_t                     queue;      /* of those that want a turn */
    unsigned                        queued:1;
};

/* Does its connection take bytes?  It gets messages while it does. */
void ngx_kapokmq_consumer_ready(ngx_kapokmq_consumer_t *c, ngx_uint_t ready);

/* It has read, or done, all up to that position. */
void ngx_kapokmq_consumer_confirm(ngx_kapokmq_consumer_t *c,
    uint32_t position);

/* The kernel has taken all up to that position: confirms it, in mode
 * socket. */
void ngx_kapokmq_consumer_sent(ngx_kapokmq_consumer_t *c, uint32_t position);

/* It has its transport called soon, behind what this turn pushes. */
void ngx_kapokmq_consumer_want_turn(ngx_kapokmq_consumer_t *c);

/* This worker is to exit: no more messages for it.  Returns how many are in
 * flight, which may still be confirmed. */
ngx_uint_t ngx_kapokmq_consumer_retire(ngx_kapokmq_consumer_t *c);

/* Before the client leaves. */
void ngx_kapokmq_consumer_leave(ngx_kapokmq_consumer_t *c);


/* ----------------------------------------------------------- MessageCodes */

/*
 * The client said: a MessageCode, bare or as a JSON string, with + or - or
 * without.  Codes are gathered, and done by the next _flush, which is due
 * before the event ends.  Anything else is refused where nothing else is
 * expected, and ignored where it is.  NGX_ERROR: the consumer ends.
 */
ngx_int_t ngx_kapokmq_codes_add(ngx_kapokmq_consumer_t *c, const u_char *data,
    size_t size);
ngx_int_t ngx_kapokmq_codes_flush(ngx_kapokmq_consumer_t *c);


/* ---------------------------------------------------- messages as clients see
 *                                                      them: JSON */

/* Before those of a batch: they are of its topic. */
void ngx_kapokmq_compose_begin(const kmq_batch_t *batch);

/* The bytes of a message, and it as it is written: all of it, or what stands
 * before and behind its data.  Return the byte behind. */
size_t ngx_kapokmq_compose_len(const kmq_message_t *m);
u_char *ngx_kapokmq_compose(u_char *p, const kmq_message_t *m);
u_char *ngx_kapokmq_compose_head(u_char *p, const kmq_message_t *m);
u_char *ngx_kapokmq_compose_tail(u_char *p, const kmq_message_t *m);


/* ------------------------------------------------------------- the worker */

/* The handler of the worker's event: hands out what there is, some batches in
 * one turn, and closes clients that have to go. */
void ngx_kapokmq_deliver(ngx_event_t *ev);

void ngx_kapokmq_deliver_init(void);

#endif /* NGX_KAPOKMQ_DELIVER_H */
