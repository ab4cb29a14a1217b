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

#ifndef NGX_KAPOKMQ_SESSION_H
#define NGX_KAPOKMQ_SESSION_H

#include "../ngx_kapokmq.h"


typedef struct ngx_kapokmq_session_s  ngx_kapokmq_session_t;

/* An nginx without TLS may not even have the member. */
#if (NGX_SSL || NGX_COMPAT)
#define ngx_kapokmq_tls(c)  ((c)->ssl != NULL)
#else
#define ngx_kapokmq_tls(c)  0
#endif


/* ----------------------------------------------------------------- output */

/* One message inside a chunk of pushes. */
typedef struct {
    size_t                    end;         /* offset behind its frame */
    uint32_t                  position;    /* of the message */
} ngx_kapokmq_frame_t;

/* Composed frames, shared by all the connections that they go to. */
typedef struct {
    ngx_uint_t                refs;
    size_t                    size;        /* room in bytes */
    size_t                    used;        /* of answers: bytes there */
    ngx_uint_t                nframes;     /* of pushes */
    ngx_kapokmq_frame_t      *frames;
    u_char                   *bytes;
} ngx_kapokmq_chunk_t;

/* Bytes that wait until the connection takes them.  They stay where they are,
 * since TLS wants the same address when it tries again. */
typedef struct ngx_kapokmq_out_s  ngx_kapokmq_out_t;

struct ngx_kapokmq_out_s {
    ngx_kapokmq_out_t        *next;
    ngx_kapokmq_chunk_t      *chunk;       /* NULL: "ok" frames */
    ngx_uint_t                first;       /* of the chunk's frames, that is
                                              the session's */
    size_t                    pos;
    size_t                    end;
};


/* ---------------------------------------------------------------- session */

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

    /* May this session read now?  NGX_OK or NGX_BUSY. */
    ngx_int_t  (*begin)(ngx_kapokmq_session_t *s);
    /* Takes the message in s->parser. */
    ngx_int_t  (*message)(ngx_kapokmq_session_t *s);
    /* Does what was gathered from messages; NGX_BUSY: not all of it. */
    ngx_int_t  (*flush)(ngx_kapokmq_session_t *s);
    /* Takes the pong in s->parser. */
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

/* Bytes that came in: [keep, used) belongs to messages that are gathered,
 * [used, len) is still to be parsed. */
typedef struct {
    u_char                   *data;
    size_t                    keep;
    size_t                    used;
    size_t                    len;
    size_t                    size;
} ngx_kapokmq_input_t;

struct ngx_kapokmq_session_s {
    ngx_connection_t         *connection;
    ngx_http_request_t       *request;     /* NULL: it was given back */
    const ngx_kapokmq_role_t *role;
    ngx_pool_cleanup_t       *cleanup;

    kmq_ref_t                 client;      /* 0 before login and at the end */
    kmq_client_info_t        *info;        /* until login */
    kmq_ws_parser_t           parser;
    ngx_kapokmq_input_t       input;
    ngx_kapokmq_out_t        *out;
    ngx_kapokmq_out_t       **out_last;
    size_t                    answers;     /* bytes of them in out */

    ngx_queue_t               queue;       /* in worker's waiting or pings */

    ngx_kapokmq_state_e       state;
    uint8_t                   wrong_keys;
    uint16_t                  close_code;  /* of the client's Close */
    unsigned                  greeted:1;
    unsigned                  key_given:1; /* the header held the right key */
    unsigned                  closed:1;    /* the client's Close came, */
    unsigned                  broken:1;    /* or a bad frame, */
    unsigned                  ended:1;     /* or the end of its input */
    unsigned                  failed:1;    /* sending failed */
    unsigned                  linger:1;    /* input is discarded at the end, */
    unsigned                  shut:1;      /* and nothing sent any more */
    unsigned                  paused:1;    /* answers pile up, unread or not
                                              on disk: no reading */
    unsigned                  queued:1;    /* queue is linked */
    unsigned                  turn:1;      /* a producer's turn to go on */
    unsigned                  going:1;     /* to be closed when all that was
                                              sent is answered */
    unsigned                  exiting:1;   /* now, as the worker is to go */

    /* for the access log */
    ngx_uint_t                messages;    /* accepted from, or pushed to, it */
    ngx_uint_t                confirmed;
    ngx_uint_t                status;      /* of its end */

    /* consumers */
    unsigned                  pinged:1;    /* a ping is on its way */
    uint32_t                  confirm;     /* KMQ_CONFIRM_... */
    uint32_t                  ping;        /* position in that ping */
    uint32_t                  position;    /* of the last message pushed */

    /* producers */
    void                     *pending;     /* messages that found no room */
    ngx_uint_t                unanswered;  /* answers that wait for the disk, */
    ngx_uint_t                owed;        /* to so many messages */
};

/* Upgrades a request to a session of that role. */
ngx_int_t ngx_kapokmq_upgrade(ngx_http_request_t *r,
    const ngx_kapokmq_role_t *role);

/* Has sessions with a request told when the worker has to go. */
void ngx_kapokmq_upgrade_listen(ngx_cycle_t *cycle);

/* Gives a request that was kept back to nginx, with the connection, which
 * nginx closes; the session is gone. */
void ngx_kapokmq_upgrade_return(ngx_kapokmq_session_t *s, ngx_int_t rc);

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

/* The client leaves the engine. */
void ngx_kapokmq_session_leave(ngx_kapokmq_session_t *s);

/* Sends Close and waits a little for the client's one. */
ngx_int_t ngx_kapokmq_session_close(ngx_kapokmq_session_t *s, ngx_uint_t code,
    const char *reason);

/* So many of a producer's messages are refused for good: counts them. */
void ngx_kapokmq_producer_refused(ngx_kapokmq_session_t *s, ngx_uint_t n);

/* Have its read handler called soon, for what could not be done here. */
void ngx_kapokmq_session_wake(ngx_kapokmq_session_t *s);

/* Frees all but request and connection; a pool's cleanup, too. */
void ngx_kapokmq_session_free(void *data);


/* ------------------------------------------------------------------ input */

/* Makes what came in usable for this event handler, and keeps the rest of it
 * at the end. */
void ngx_kapokmq_input_open(ngx_kapokmq_session_t *s);
ngx_int_t ngx_kapokmq_input_close(ngx_kapokmq_session_t *s);

/* Puts bytes that nginx has read already into an empty input. */
ngx_int_t ngx_kapokmq_input_add(ngx_kapokmq_session_t *s, const u_char *bytes,
    size_t size);

/* Receives once.  NGX_OK, NGX_AGAIN, NGX_DONE at the end, NGX_ERROR. */
ngx_int_t ngx_kapokmq_input_receive(ngx_kapokmq_session_t *s);

/* Receives once what nobody needs; the session is woken for more.  NGX_AGAIN,
 * NGX_DONE at the end, NGX_ERROR. */
ngx_int_t ngx_kapokmq_input_discard(ngx_kapokmq_session_t *s);

void ngx_kapokmq_input_free(ngx_kapokmq_session_t *s);


/* ----------------------------------------------------------------- output */

/* A chunk with one reference, room for size bytes and nframes messages. */
ngx_kapokmq_chunk_t *ngx_kapokmq_chunk_create(size_t size,
    ngx_uint_t nframes);
void ngx_kapokmq_chunk_release(ngx_kapokmq_chunk_t *chunk);
ngx_uint_t ngx_kapokmq_chunk_frames(const ngx_kapokmq_chunk_t *chunk,
    size_t pos);

/* Does nothing wait, so that what is sent goes out at once? */
ngx_int_t ngx_kapokmq_output_direct(ngx_kapokmq_session_t *s);

/* Sends chunk's bytes [pos, end), which begin with the frame of that number, as
 * soon as the connection takes them. */
ngx_int_t ngx_kapokmq_output_send(ngx_kapokmq_session_t *s,
    ngx_kapokmq_chunk_t *chunk, ngx_uint_t first, size_t pos, size_t end);

/* The same when they have been sent up to pos, and the connection takes no
 * more, if that is not the end. */
ngx_int_t ngx_kapokmq_output_rest(ngx_kapokmq_session_t *s,
    ngx_kapokmq_chunk_t *chunk, ngx_uint_t first, size_t pos, size_t end);

/* Appends a whole frame, "ok" frames, or Close, and sends nothing yet.  Behind
 * Close there is nothing: what would be is left out. */
ngx_int_t ngx_kapokmq_output_frame(ngx_kapokmq_session_t *s, ngx_uint_t opcode,
    const void *payload, size_t size);
ngx_int_t ngx_kapokmq_output_text(ngx_kapokmq_session_t *s, const char *text);
ngx_int_t ngx_kapokmq_output_oks(ngx_kapokmq_session_t *s, ngx_uint_t n);
ngx_int_t ngx_kapokmq_output_close(ngx_kapokmq_session_t *s, ngx_uint_t code,
    const char *reason);

/* Writes what the connection takes.  NGX_OK: nothing is left. */
ngx_int_t ngx_kapokmq_output_flush(ngx_kapokmq_session_t *s);

void ngx_kapokmq_output_free(ngx_kapokmq_session_t *s);
void ngx_kapokmq_output_init(void);


/* ------------------------------------------------------------------ pings */

/* A ping carries the position of the last message before it. */
#define NGX_KAPOKMQ_PING_LEN  8            /* hex digits */

/* Asks how far the client has read. */
ngx_int_t ngx_kapokmq_consumer_ping(ngx_kapokmq_session_t *s);

/* The consumer gets a ping soon: with its next batch, or alone. */
void ngx_kapokmq_want_ping(ngx_kapokmq_session_t *s);


/* ------------------------------------------------------------- the worker */

/* Handlers of the worker's events. */
void ngx_kapokmq_push(ngx_event_t *ev);
void ngx_kapokmq_push_free(void);
void ngx_kapokmq_due(ngx_event_t *ev);
void ngx_kapokmq_tick(ngx_event_t *ev);
void ngx_kapokmq_resume(ngx_event_t *ev);
void ngx_kapokmq_disk_flush(ngx_event_t *ev);

/* kmq_on_wait(): logs it. */
void ngx_kapokmq_waits(void *arg, unsigned ms, unsigned worker, int pid);

/* The half of ngx_kapokmq_wake() that is for others: signals workers, arms the
 * timers of paced batches and of the keeper, logs a repair. */
void ngx_kapokmq_signal(void);

/* Makes the descriptors by which workers wake each other, once, before the
 * first of them is forked. */
void ngx_kapokmq_wake_create(ngx_cycle_t *cycle);

/* Listens to this worker's own. */
ngx_int_t ngx_kapokmq_wake_listen(ngx_cycle_t *cycle);


/* ---------------------------------------------------------- configuration */

/* Functions of directives and contexts; see ngx_kapokmq_module.c. */
char *ngx_kapokmq_conf_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_kapokmq_conf_config(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_kapokmq_conf_handler(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_kapokmq_conf_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_kapokmq_conf_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
void *ngx_kapokmq_conf_create_main(ngx_conf_t *cf);
char *ngx_kapokmq_conf_init_main(ngx_conf_t *cf, void *conf);
void *ngx_kapokmq_conf_create_loc(ngx_conf_t *cf);
char *ngx_kapokmq_conf_merge_loc(ngx_conf_t *cf, void *parent, void *child);
ngx_int_t ngx_kapokmq_conf_check(ngx_conf_t *cf);

#endif /* NGX_KAPOKMQ_SESSION_H */
