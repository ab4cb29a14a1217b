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

    /* The turn that ngx_kapokmq_consumer_want_turn() asked for; NULL where it
     * does not.  The consumer may end there. */
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

/* Says whether its connection takes bytes.  It gets messages while it does. */
void ngx_kapokmq_consumer_ready(ngx_kapokmq_consumer_t *c, ngx_uint_t ready);

/* The client has read, or done, all up to that position: confirms it. */
void ngx_kapokmq_consumer_confirm(ngx_kapokmq_consumer_t *c,
    uint32_t position);

/* The kernel has taken all up to that position: confirms it, in mode
 * socket. */
void ngx_kapokmq_consumer_sent(ngx_kapokmq_consumer_t *c, uint32_t position);

/* Asks for a turn: its transport is called when what there is to be pushed has
 * been pushed. */
void ngx_kapokmq_consumer_want_turn(ngx_kapokmq_consumer_t *c);

/* The same, but in another event, after others have had their turn; for a
 * transport in its turn. */
void ngx_kapokmq_consumer_want_later(ngx_kapokmq_consumer_t *c);

/* It is to end: no more messages for it.  Returns how many are in
 * flight, which may still be confirmed. */
ngx_uint_t ngx_kapokmq_consumer_retire(ngx_kapokmq_consumer_t *c);

/* Forgets it; to be called before its client leaves. */
void ngx_kapokmq_consumer_leave(ngx_kapokmq_consumer_t *c);


/* ----------------------------------------------------------- MessageCodes */

/*
 * _add takes what the client said: see kmq_said_read().  Codes are gathered;
 * _flush, which must be called before the event ends, confirms, extends or
 * returns their messages.
 * Other texts are refused in mode ack and behind a sign, and ignored elsewhere.
 * NGX_ERROR: the consumer ends.
 */
ngx_int_t ngx_kapokmq_codes_add(ngx_kapokmq_consumer_t *c, const u_char *data,
    size_t size);
ngx_int_t ngx_kapokmq_codes_flush(ngx_kapokmq_consumer_t *c);


/* ------------------------------------------------------- messages as JSON */

/* Prepares what all messages of a batch share, which is their topic. */
void ngx_kapokmq_compose_begin(const kmq_batch_t *batch);

/* The length of a message as JSON. */
size_t ngx_kapokmq_compose_len(const kmq_message_t *m);

/* Writes a message, or only what stands before its data, or behind it.  Each
 * returns the byte behind what it wrote. */
u_char *ngx_kapokmq_compose(u_char *p, const kmq_message_t *m);
u_char *ngx_kapokmq_compose_head(u_char *p, const kmq_message_t *m);
u_char *ngx_kapokmq_compose_tail(u_char *p, const kmq_message_t *m);


/* ------------------------------------------------------------- the worker */

/* The handler of the worker's event: hands out what there is, some batches in
 * one turn, and closes clients that have to go. */
void ngx_kapokmq_deliver(ngx_event_t *ev);

/* In a worker, before its first consumer, and behind its last. */
void ngx_kapokmq_deliver_init(void);
void ngx_kapokmq_deliver_exit(void);

#endif /* NGX_KAPOKMQ_DELIVER_H */
