/*
 * A WebSocket connection, from the upgrade to its end.  What producers and
 * consumers do differently is their role.
 *
 *              right key          Close sent            Close came
 *   LOGIN  ------------->  OPEN  ------------> CLOSING ------------> FINISHING
 *     |                     |                                         ^     |
 *     |  too many wrong     |  Close came, end of input, bad frame    |     v
 *     |  keys, too late     +-----------------------------------------+   freed
 *     +--> CLOSING
 *
 * Functions that work on a session never free it: they return
 *
 *   NGX_OK        all is well
 *   NGX_BUSY      nothing more may be read now
 *   NGX_DONE      the session is over and everything was said
 *   NGX_ERROR     the session is over at once
 *
 * and only the event handlers (session.c) end it.
 */

#ifndef NGX_KAPOKMQ_SESSION_INSIDE_H
#define NGX_KAPOKMQ_SESSION_INSIDE_H

#include "../ngx_kapokmq.h"
#include "../client/ngx_kapokmq_drain.h"
#include "../deliver/ngx_kapokmq_deliver.h"
#include "../../protocol/kmq_websocket.h"
#include "ngx_kapokmq_input.h"
#include "ngx_kapokmq_output.h"


typedef enum {
    NGX_KAPOKMQ_LOGIN = 0,                 /* the key is awaited */
    NGX_KAPOKMQ_OPEN,
    NGX_KAPOKMQ_CLOSING,                   /* Close sent; the client's one is
                                              awaited, and what it confirms */
    NGX_KAPOKMQ_FINISHING                  /* the output is still written */
} ngx_kapokmq_state_e;

typedef struct {
    const char  *action;                   /* for log messages */
    uint32_t     number;                   /* KMQ_PRODUCER or KMQ_CONSUMER */
    const ngx_kapokmq_transport_t  *transport;         /* of consumers */

    /* May this session read now?  NGX_OK or NGX_BUSY. */
    ngx_int_t  (*begin)(ngx_kapokmq_session_t *s);
    /* Takes the message in s->parser. */
    ngx_int_t  (*message)(ngx_kapokmq_session_t *s);
    /* Does what was gathered from messages; NGX_BUSY: not all of it. */
    ngx_int_t  (*flush)(ngx_kapokmq_session_t *s);
    /* Takes the pong in s->parser; flush does what it says. */
    void       (*pong)(ngx_kapokmq_session_t *s);
    /* Its messages have been sent up to that position. */
    void       (*sent)(ngx_kapokmq_session_t *s, uint32_t position);
    /* The state or the output may have changed. */
    void       (*settle)(ngx_kapokmq_session_t *s);
    /* The worker goes: the last words before Close.  NGX_AGAIN: there are
     * answers to wait for. */
    ngx_int_t  (*shutdown)(ngx_kapokmq_session_t *s);
    /* Frees what the role holds; the client leaves the engine after it. */
    void       (*leave)(ngx_kapokmq_session_t *s);
} ngx_kapokmq_role_t;

/* What a producer is beside a client. */
typedef struct ngx_kapokmq_gather_s  ngx_kapokmq_gather_t;
typedef struct ngx_kapokmq_owed_s    ngx_kapokmq_owed_t;

typedef struct {
    ngx_kapokmq_client_t      client;      /* first, as in a consumer */
    ngx_queue_t               queue;       /* in worker's waiting */
    ngx_kapokmq_gather_t     *unstored;    /* messages that found no room */
    ngx_kapokmq_owed_t       *owed;        /* answers that wait for the disk, */
    ngx_kapokmq_owed_t       *owed_last;   /* in their order */
    unsigned                  queued:1;
} ngx_kapokmq_producer_t;

struct ngx_kapokmq_session_s {
    union {
        ngx_kapokmq_client_t      client;
        ngx_kapokmq_producer_t    producer;
        ngx_kapokmq_consumer_t    consumer;
    };

    ngx_kapokmq_stay_t        stay;
    ngx_connection_t         *connection;
    ngx_http_request_t       *request;     /* NULL: it was given back */
    const ngx_kapokmq_role_t *role;
    ngx_pool_cleanup_t       *cleanup;

    /* Frees the session, gives the request that it still has back to nginx,
     * and with it the connection. */
    void                    (*give_back)(ngx_kapokmq_session_t *s,
                                         ngx_int_t rc);

    kmq_client_info_t        *info;        /* until login, */
    ngx_kapokmq_pass_t       *pass;        /* as is what it came with */
    ngx_uint_t                limit;       /* of wrong keys of its address */
    kmq_ws_parser_t           parser;
    ngx_kapokmq_input_t       input;
    ngx_kapokmq_out_t        *out;
    ngx_kapokmq_out_t       **out_last;
    size_t                    answers;     /* bytes of them in out */
    ngx_uint_t                unanswered;  /* answers that wait for the disk, */
    ngx_uint_t                owed;        /* to so many messages */
    ngx_uint_t                status;      /* of its end, for the access log */

    ngx_kapokmq_state_e       state;
    uint8_t                   wrong_keys;
    uint16_t                  close_code;  /* of the client's Close */
    unsigned                  greeted:1;
    unsigned                  key_given:1; /* the request had the right key */
    unsigned                  guessed:1;   /* too many wrong ones: it waits to
                                              be told so */
    unsigned                  closed:1;    /* the client's Close came, */
    unsigned                  broken:1;    /* or a bad frame, */
    unsigned                  ended:1;     /* or the end of its input */
    unsigned                  failed:1;    /* sending failed */
    unsigned                  linger:1;    /* input is discarded at the end, */
    unsigned                  shut:1;      /* and nothing sent any more */
    unsigned                  paused:1;    /* answers pile up, unread or not
                                              on disk: no reading */
    unsigned                  turn:1;      /* one of a producer that waited:
                                              a single receive */
    unsigned                  going:1;     /* to be closed when all that was
                                              sent is answered */
    unsigned                  exiting:1;   /* now, as the worker is to go */
    unsigned                  ours:1;      /* it ends for reasons of ours */
    unsigned                  reset:1;     /* its connection is to be reset */

    /* heartbeat, times in ms */
    unsigned                  asked:1;     /* an answer is awaited */
    unsigned                  silent:1;    /* and has not come in time */
    ngx_uint_t                probed;      /* so does the kernel wait */
    ngx_msec_t                heard;       /* when something came from it, */
    ngx_msec_t                said;        /* and was sent to it */
    ngx_msec_t                asked_at;
    ngx_msec_t                empty;       /* nothing was in flight then */
    ngx_msec_t                silence_max; /* 0: it may be silent for ever */

    /* consumers */
    unsigned                  pinged:1;    /* pings are on their way */
    unsigned                  slow:1;      /* the last pong took long */
    unsigned                  ponged:1;    /* positions came in pongs, */
    uint32_t                  pong;        /* up to this one */
    uint32_t                  ping;        /* position in the last ping, */
    uint32_t                  unpinged;    /* and messages behind it */
    uint32_t                  timed;       /* position in an earlier one */
    ngx_msec_t                pinged_at;   /* when the last one was sent, */
    ngx_msec_t                timed_at;    /* and that earlier one */
};

#define ngx_kapokmq_session_of(c)                                             \
    ngx_queue_data(c, ngx_kapokmq_session_t, client)

/* Has its read handler called soon, for what cannot be done here. */
#define ngx_kapokmq_session_wake(s)                                           \
    ngx_post_event((s)->connection->read, &ngx_posted_next_events)


/* The handlers of a connection that is the session's alone, */
void ngx_kapokmq_session_read(ngx_event_t *rev);
void ngx_kapokmq_session_write(ngx_event_t *wev);

/* and what they do, whosever it is. */
void ngx_kapokmq_session_readable(ngx_kapokmq_session_t *s);
void ngx_kapokmq_session_writable(ngx_kapokmq_session_t *s);

/* Goes on with a session that waited; it may be gone afterwards. */
void ngx_kapokmq_session_continue(ngx_kapokmq_session_t *s);

/* What waited for the disk is in the output; the session may be gone
 * afterwards. */
void ngx_kapokmq_session_answered(ngx_kapokmq_session_t *s);

/* Does what the role has gathered from the input. */
ngx_int_t ngx_kapokmq_session_flush(ngx_kapokmq_session_t *s);

/* The session has to end, but not here: its read handler does it. */
static ngx_inline void
ngx_kapokmq_session_failed(ngx_kapokmq_session_t *s)
{
    s->failed = 1;
    ngx_kapokmq_session_wake(s);
}


/* Upgrades a request to a session of that role. */
ngx_int_t ngx_kapokmq_upgrade(ngx_http_request_t *r,
    const ngx_kapokmq_role_t *role);


/* ------------------------------------------------- producers without room */

/* May this producer be read from?  NGX_OK, or NGX_BUSY: others wait for room
 * and go first, and it waits behind them. */
ngx_int_t ngx_kapokmq_waiting_begin(ngx_kapokmq_session_t *s);

/* It waits in the line, or, where its turn was not enough, in front of it. */
void ngx_kapokmq_waiting_join(ngx_kapokmq_session_t *s);

/* It does not, if it did. */
void ngx_kapokmq_waiting_leave(ngx_kapokmq_session_t *s);


/* -------------------------------------------------------- what it is owed */

/* n of its messages, reserved and written, go to disk; then they are answered.
 * NGX_ERROR: no memory, and they are discarded. */
ngx_int_t ngx_kapokmq_owed_hold(ngx_kapokmq_session_t *s, kmq_message_t *m,
    ngx_uint_t n);

/* Answers a message with an error when those before it are answered. */
ngx_int_t ngx_kapokmq_owed_error(ngx_kapokmq_session_t *s, const char *error);

/* The session is about to go: it gets no answers. */
void ngx_kapokmq_owed_forget(ngx_kapokmq_session_t *s);


/* ------------------------------------------------------------------ login */

#define NGX_KAPOKMQ_WRONG_KEY      "Secret key matching error"
#define NGX_KAPOKMQ_TOO_MANY_KEYS  "too many wrong secret keys"

/* The first words. */
ngx_int_t ngx_kapokmq_login_begin(ngx_kapokmq_session_t *s);

/* The message in s->parser is a key. */
ngx_int_t ngx_kapokmq_login_key(ngx_kapokmq_session_t *s);


/* -------------------------------------------------------------------- end */

/* Sends Close and waits a little for the client's one.  s->ours is set before
 * where that is not what the client has done. */
ngx_int_t ngx_kapokmq_close_send(ngx_kapokmq_session_t *s, ngx_uint_t code,
    const char *reason);

/* What ends a session: the client's Close, a bad frame, the end of its input
 * (each once all before it is done), its timer, the worker's exit. */
ngx_int_t ngx_kapokmq_close_came(ngx_kapokmq_session_t *s);
ngx_int_t ngx_kapokmq_close_bad(ngx_kapokmq_session_t *s);
void ngx_kapokmq_close_finish(ngx_kapokmq_session_t *s);
ngx_int_t ngx_kapokmq_close_timeout(ngx_kapokmq_session_t *s);
ngx_int_t ngx_kapokmq_close_exiting(ngx_kapokmq_session_t *s);

/* That one is about to come: see ngx_kapokmq_drain.h. */
void ngx_kapokmq_session_told(ngx_kapokmq_stay_t *stay);

/* A client's close: see ngx_kapokmq_client.h. */
void ngx_kapokmq_close_client(ngx_kapokmq_client_t *client, int why,
    const char *reason);

/* Sets the timer; 0: none. */
void ngx_kapokmq_close_after(ngx_kapokmq_session_t *s, ngx_msec_t ms);

/* All is written.  NGX_OK: input is still to be read, and thrown away. */
ngx_int_t ngx_kapokmq_close_finished(ngx_kapokmq_session_t *s);

/* The end: the connection goes, too. */
void ngx_kapokmq_close_end(ngx_kapokmq_session_t *s, ngx_int_t rc);

/* Frees what is there until login. */
void ngx_kapokmq_close_login(ngx_kapokmq_session_t *s);

/* Frees all but request and connection; a pool's cleanup, too. */
void ngx_kapokmq_close_free(void *data);


/* ----------------------------------------------------- the request, if kept */

/* A session that the request's pool frees; NULL: no memory. */
ngx_kapokmq_session_t *ngx_kapokmq_kept_create(ngx_http_request_t *r,
    const ngx_kapokmq_role_t *role);

/* The response's header has been sent: the request's events are the session's
 * from now on. */
void ngx_kapokmq_kept_begin(ngx_kapokmq_session_t *s);

#endif /* NGX_KAPOKMQ_SESSION_INSIDE_H */
