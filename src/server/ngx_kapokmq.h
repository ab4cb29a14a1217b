/*
 * What the files of src/server share: the configuration, the worker's state,
 * the WebSocket session, the HTTP answers.
 */

#ifndef NGX_KAPOKMQ_H
#define NGX_KAPOKMQ_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "../engine/kmq.h"
#include "../protocol/kmq_form.h"
#include "../protocol/kmq_json.h"
#include "../protocol/kmq_websocket.h"
#include "config/kmq_config.h"


#define NGX_KAPOKMQ_VERSION  "0.5.0"


/* ---------------------------------------------------------- configuration */

/* In the zone, beside the engine's block. */
typedef struct {
    ngx_atomic_t     key_number;    /* of the newest workers' configuration */
} ngx_kapokmq_shared_t;

typedef struct {
    ngx_shm_zone_t  *zone;          /* kapokmq_zone; NULL: not configured */
    void            *block;         /* the engine's part of it */
    size_t           block_size;
    ngx_kapokmq_shared_t *shared;
    ngx_uint_t       key_number;    /* how often secretKey has changed */
    ngx_str_t        config_file;   /* kapokmq_config */
    kmq_config_t    *config;        /* application.yaml, or its defaults */
    ngx_cycle_t     *cycle;         /* of this configuration */
    ngx_str_t        directory;     /* persistentFile, with the prefix */
    ngx_uint_t       begun;         /* persistent since this reload */
    ngx_str_t       *user;          /* the first location directive that
                                       needs the zone, NULL: none */
} ngx_kapokmq_main_conf_t;

/* kapokmq_access_log: a session's request is logged when it begins, and its
 * memory given back, or when it ends */
#define NGX_KAPOKMQ_LOG_UPGRADE  0
#define NGX_KAPOKMQ_LOG_END      1

typedef struct {
    ngx_http_handler_pt  handler;   /* of this location, NULL: none */
    ngx_uint_t           access_log;        /* NGX_KAPOKMQ_LOG_... */
    ngx_array_t         *cors_origins;  /* kapokmq_cors_origin, ngx_str_t;
                                           NULL: any origin */
    ngx_uint_t           metrics_topics;    /* with series of their own */
    ngx_uint_t           metrics_key;       /* is asked for */
} ngx_kapokmq_loc_conf_t;

extern ngx_module_t  ngx_kapokmq_module;


/* ----------------------------------------------------------------- worker */

/* This process: set up by init_process, one for all servers. */
typedef struct {
    kmq_t               *kmq;       /* NULL: the worker could not attach, and
                                       every request gets a 503 */
    kmq_config_t        *config;
    ngx_kapokmq_shared_t *shared;
    ngx_uint_t           key_number;
    ngx_log_t           *log;
    ngx_event_t          push;      /* posted: ngx_kapokmq_push() */
    ngx_event_t          batch;     /* timer: paced messages are due */
    ngx_event_t          due;       /* timer: the keeper has to look */
    ngx_event_t          tick;      /* timer: housekeeping */
    ngx_event_t          resume;    /* timer, posted: is there room again? */
    ngx_event_t          flush;     /* timer, posted: the journal is to be
                                       written */
    ngx_msec_t           heard;     /* until then, what came while this process
                                       stood still is read */
    ngx_uint_t           persistent;    /* isPersistent */
    ngx_queue_t          waiting;   /* producers that wait for room */
    ngx_queue_t          pings;     /* consumers that want a ping */
    ngx_queue_t          kept;      /* sessions that have their request */
} ngx_kapokmq_worker_t;

extern ngx_kapokmq_worker_t  ngx_kapokmq_worker;

/* Tells the engine the time: once at the start of each event handler. */
void ngx_kapokmq_clock(void);

/* Has this process stood still, and may not have read yet what clients have
 * sent meanwhile? */
ngx_uint_t ngx_kapokmq_hears(void);

/*
 * ngx_kapokmq_clock() anew where one of n messages is delayed: nginx's time is
 * that of the beginning of this turn of the event loop, and the message may
 * have been sent since.  Its delay would begin too early; so it begins with
 * the next whole millisecond.
 */
void ngx_kapokmq_clock_delays(const kmq_message_t *m, ngx_uint_t n);

/*
 * After engine calls, once at the end of each event handler: signals the
 * workers that have got something to do, posts this worker's push.
 */
void ngx_kapokmq_wake(void);

/*
 * Sets a timer to fire in ms, or sooner where it is set to that already.
 * ngx_add_timer() alone leaves a timer as it is that is less than 300 ms off
 * (NGX_TIMER_LAZY_DELAY): good for timeouts, not for what has to be on time.
 */
void ngx_kapokmq_timer(ngx_event_t *ev, ngx_msec_t ms);

/* Room may have come: waiting producers try again soon. */
void ngx_kapokmq_room(void);

/* Gives the engine the settings of application.yaml. */
void ngx_kapokmq_settings(void);

/* Answers a message sent by HTTP: it has that code. */
void ngx_kapokmq_send_answer(ngx_http_request_t *r,
    const char code[KMQ_CODE_LEN]);

/* Refuses a message sent by HTTP, and counts that where its topic is one. */
void ngx_kapokmq_send_refuse(ngx_http_request_t *r, const kmq_field_t *topic,
    ngx_uint_t status, const char *text);

/* Writes the body of a message that has been reserved for data. */
void ngx_kapokmq_write_body(kmq_message_t *m, const kmq_data_t *data);


/* ------------------------------------------------------------------- disk */

/* of isPersistent */
#define NGX_KAPOKMQ_DISK_NONE   0
#define NGX_KAPOKMQ_DISK_LATER  1
#define NGX_KAPOKMQ_DISK_FIRST  2

/* In the master: makes and locks the directory, and fills a fresh block from
 * it.  At a reload: only what has become necessary.  _check: would it do?
 * Nothing is changed.  NGX_ERROR has been logged. */
ngx_int_t ngx_kapokmq_recovery_check(ngx_log_t *log,
    ngx_kapokmq_main_conf_t *mcf);
ngx_int_t ngx_kapokmq_recovery(ngx_log_t *log, ngx_kapokmq_main_conf_t *mcf);
ngx_int_t ngx_kapokmq_recovery_reload(ngx_log_t *log,
    ngx_kapokmq_main_conf_t *mcf, ngx_kapokmq_main_conf_t *old);

/* In a worker: its journal, from its beginning to its end, with which all
 * clients leave. */
void ngx_kapokmq_disk_init(ngx_cycle_t *cycle, ngx_kapokmq_main_conf_t *mcf);
void ngx_kapokmq_disk_exit(void);

/* After engine calls: what they have changed is to be written in time.  Part
 * of ngx_kapokmq_wake(). */
void ngx_kapokmq_disk_wake(void);

/*
 * For isPersistent 2: n messages that are reserved and written go to disk;
 * then they are committed and answered: by n "ok" to a session, or to a
 * request.  NGX_ERROR: no memory, and they are discarded.
 */
struct ngx_kapokmq_session_s;

ngx_int_t ngx_kapokmq_held_session(struct ngx_kapokmq_session_s *s,
    kmq_message_t *m, ngx_uint_t n);
ngx_int_t ngx_kapokmq_held_request(ngx_http_request_t *r,
    const kmq_field_t *topic, kmq_message_t *m);

/* Answers a session with an error when those before it are answered. */
ngx_int_t ngx_kapokmq_held_error(struct ngx_kapokmq_session_s *s,
    const char *error);

/* The session is about to go: it gets no answers. */
void ngx_kapokmq_held_forget(struct ngx_kapokmq_session_s *s);

/* For the journal's writing: is anybody waiting, apart from those whose
 * messages are being written?  Now theirs are.  They have been, or, with
 * NGX_ERROR, have not, for that reason. */
ngx_uint_t ngx_kapokmq_held_waiting(void);
void ngx_kapokmq_held_take(void);
void ngx_kapokmq_held_settle(ngx_int_t rc, const char *reason);

void ngx_kapokmq_held_init(ngx_log_t *log);
void ngx_kapokmq_held_free(void);

/* The keeper's checkpoints: is it time to begin one?  Part of the tick. */
void ngx_kapokmq_checkpoint_tick(void);
void ngx_kapokmq_checkpoint_init(ngx_cycle_t *cycle,
    const ngx_kapokmq_main_conf_t *mcf);
void ngx_kapokmq_checkpoint_exit(void);

/* A descriptor that this worker alone reads; NGX_ERROR has been logged.  The
 * handler calls ngx_kapokmq_notified() first. */
ngx_int_t ngx_kapokmq_notify(ngx_cycle_t *cycle, ngx_event_handler_pt handler,
    int *fd);
void ngx_kapokmq_notified(ngx_event_t *ev);


/* ------------------------------------------------------------------- HTTP */

/*
 * Starts an HTTP request of the send and console handlers: OPTIONS, method,
 * key, what the body is; reads the body and calls handler when it is there.
 */
ngx_int_t ngx_kapokmq_http_start(ngx_http_request_t *r,
    ngx_http_client_body_handler_pt handler);

#define NGX_KAPOKMQ_TOO_LARGE  "The request is too large"

/* Puts the filter of all answers in place; a postconfiguration. */
void ngx_kapokmq_filter_init(void);

/*
 * Answers {"code":-1,"msg":"text"} with that status.  _refuse is for content
 * handlers, before the body was read: "return ngx_kapokmq_http_refuse(...)".
 * _error is for what is called later (body handlers, which own a reference
 * of the request): it finalizes the request.
 */
ngx_int_t ngx_kapokmq_http_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *text);
void ngx_kapokmq_http_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *text);

/*
 * Reads the body, which must be there, as a form: see kmq_form_read().
 * NGX_ERROR: it could not be, the request has been answered and finalized.
 */
ngx_int_t ngx_kapokmq_http_fields(ngx_http_request_t *r, kmq_field_t *fields,
    ngx_uint_t n);

/* Refuses, before the body was read, what cannot be served here. */
ngx_int_t ngx_kapokmq_http_unavailable(ngx_http_request_t *r);

/*
 * Refuses, before the body was read, a request whose key is not the right one
 * of this worker, or not valid any more; NGX_DECLINED: it is.  _still is for
 * when the body is there, which may have taken long: NGX_ERROR, the request has
 * been answered and finalized.
 */
ngx_int_t ngx_kapokmq_http_key(ngx_http_request_t *r, ngx_uint_t right);
ngx_int_t ngx_kapokmq_http_still(ngx_http_request_t *r);

/* A JSON body of the request's pool with that status: the same two ways. */
ngx_int_t ngx_kapokmq_http_answer(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *json);
void ngx_kapokmq_http_json(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *json);

/* The head of a JSON answer whose body follows; size -1: not known.  It is of
 * another type where the request has got one. */
ngx_int_t ngx_kapokmq_http_json_header(ngx_http_request_t *r,
    ngx_uint_t status, off_t size);

/* Parts of these: the headers of type and size; a body as a chain of one
 * buffer; the body of an error, with the header that its status needs. */
void ngx_kapokmq_http_json_type(ngx_http_request_t *r, off_t size);
ngx_int_t ngx_kapokmq_http_chain(ngx_http_request_t *r, ngx_str_t *json,
    ngx_chain_t *out);
ngx_int_t ngx_kapokmq_http_error_json(ngx_http_request_t *r,
    ngx_uint_t status, const char *text, ngx_str_t *json);

/*
 * What of the request's URI follows the prefix of its location, and NGX_OK;
 * NGX_DECLINED: the location has none, as one with a regular expression.
 */
ngx_int_t ngx_kapokmq_http_rest(ngx_http_request_t *r, ngx_str_t *rest);

/* The names in a WebSocket's path: see kmq_path_names(). */
const char *ngx_kapokmq_http_names(ngx_http_request_t *r,
    u_char topic[KMQ_NAME_MAX], size_t *topic_len, u_char id[KMQ_NAME_MAX],
    size_t *id_len);

/* Adds a header to the answer; name and value must stay. */
ngx_int_t ngx_kapokmq_http_header(ngx_http_request_t *r, const char *name,
    const char *value);

/* A request's header by its name in lower case, NULL when there is none. */
ngx_str_t *ngx_kapokmq_http_find(ngx_http_request_t *r, const char *name,
    size_t len);

/* Appends text as a JSON string; p has room for 6 * len + 8 bytes. */
u_char *ngx_kapokmq_http_quote(u_char *p, const char *text, size_t len);

/* Appends a number, with three decimals at most and none that says nothing. */
u_char *ngx_kapokmq_http_decimal(u_char *p, double number);

/* Appends a number, and null for 0. */
u_char *ngx_kapokmq_http_or_null(u_char *p, uint64_t n);

/*
 * An answer that is made piece by piece: a JSON body.  fill appends at p what
 * comes next and returns the byte behind it.  Before each element it checks
 * that it is below end, behind which there is room for one element.  It returns
 * when it is not, when it has worked long enough to let others have their
 * turn, or with done (that was all) or error (with status) set.
 */
typedef struct ngx_kapokmq_stream_s  ngx_kapokmq_stream_t;

typedef u_char *(*ngx_kapokmq_fill_pt)(ngx_kapokmq_stream_t *st, u_char *p,
    u_char *end);

struct ngx_kapokmq_stream_s {
    ngx_kapokmq_fill_pt  fill;
    void                *data;      /* fill's own */
    const char          *error;
    ngx_uint_t           status;

    ngx_buf_t           *buf;
    u_char              *end;
    unsigned             done:1;
    unsigned             started:1; /* the answer's head has been sent */
    unsigned             sending:1; /* buf is on its way */
};

/* Starts such an answer, with room bytes for an element; finalizes the request
 * when it has been sent. */
void ngx_kapokmq_stream(ngx_http_request_t *r, ngx_kapokmq_fill_pt fill,
    void *data, size_t room);

/*
 * Parameters.  An absent or empty one leaves its value as it is.  NGX_ERROR:
 * it is wrong, the request has been answered with 400 and finalized.
 */
ngx_int_t ngx_kapokmq_field_number(ngx_http_request_t *r,
    const kmq_field_t *field, ngx_int_t min, ngx_int_t max, ngx_int_t *value);
ngx_int_t ngx_kapokmq_field_cursor(ngx_http_request_t *r,
    const kmq_field_t *field, uint64_t *cursor);

/* Which of names, up to a NULL, it is; wanted says that in a message. */
ngx_int_t ngx_kapokmq_field_choice(ngx_http_request_t *r,
    const kmq_field_t *field, const char *const *names, const char *wanted,
    ngx_uint_t *choice);

/* It is short enough for a name; it is there at all. */
ngx_int_t ngx_kapokmq_field_name(ngx_http_request_t *r,
    const kmq_field_t *field);
ngx_int_t ngx_kapokmq_field_required(ngx_http_request_t *r,
    const kmq_field_t *field);

/* Answers that the field must be what is wanted, not what it is. */
void ngx_kapokmq_field_error(ngx_http_request_t *r, const kmq_field_t *field,
    const char *wanted);

/* Is part, which may be empty, somewhere in text, in any case of letters? */
ngx_uint_t ngx_kapokmq_field_found(const ngx_str_t *part, const char *text,
    size_t len);

/*
 * A list that is answered page by page.  Its owner begins with one of these,
 * zeroed, and has room for a slice of elements.
 */
#define NGX_KAPOKMQ_PAGES_SLICE    64
#define NGX_KAPOKMQ_PAGES_DEFAULT  1000
#define NGX_KAPOKMQ_PAGES_MAX      10000

typedef struct ngx_kapokmq_pages_s  ngx_kapokmq_pages_t;

struct ngx_kapokmq_pages_s {
    /* Gets at most n elements from cursor on, and moves that; 0: the end. */
    unsigned   (*fetch)(ngx_kapokmq_pages_t *pages, unsigned n);
    /* Is element i of the slice asked for? */
    ngx_uint_t (*fits)(ngx_kapokmq_pages_t *pages, unsigned i);
    /* Appends it. */
    u_char    *(*write)(ngx_kapokmq_pages_t *pages, unsigned i, u_char *p);

    uint64_t     cursor;
    uint64_t     next;          /* where the next page begins, if there is */
    ngx_uint_t   left;          /* of limit */
    unsigned     i;             /* the next one of the slice */
    unsigned     n;
    unsigned     opened:1;
    unsigned     listed:1;
};

/* Reads limit and cursor: as the functions above. */
ngx_int_t ngx_kapokmq_pages_bounds(ngx_http_request_t *r,
    ngx_kapokmq_pages_t *pages, const kmq_field_t *limit,
    const kmq_field_t *cursor);

/* Answers with the page: elements need room bytes at most.  Finalizes. */
void ngx_kapokmq_pages(ngx_http_request_t *r, ngx_kapokmq_pages_t *pages,
    size_t room);

/* The console's lists of clients: finalize the request when they are sent. */
void ngx_kapokmq_clients_producers(ngx_http_request_t *r);
void ngx_kapokmq_clients_consumers(ngx_http_request_t *r);
void ngx_kapokmq_clients_all(ngx_http_request_t *r);

/* The console's messages; the same. */
void ngx_kapokmq_messages_list(ngx_http_request_t *r);
void ngx_kapokmq_messages_get(ngx_http_request_t *r);
void ngx_kapokmq_messages_delete(ngx_http_request_t *r);
void ngx_kapokmq_messages_requeue(ngx_http_request_t *r);

/* And all the rest; the same. */
void ngx_kapokmq_overview_get(ngx_http_request_t *r);
void ngx_kapokmq_growth_get(ngx_http_request_t *r);
void ngx_kapokmq_topics_list(ngx_http_request_t *r);
void ngx_kapokmq_topics_get(ngx_http_request_t *r);
void ngx_kapokmq_topics_purge(ngx_http_request_t *r);
void ngx_kapokmq_connections_list(ngx_http_request_t *r);
void ngx_kapokmq_connections_close(ngx_http_request_t *r);
void ngx_kapokmq_values_config(ngx_http_request_t *r);
void ngx_kapokmq_values_settings(ngx_http_request_t *r);

/* Appends a topic's last minutes and days, after other members. */
u_char *ngx_kapokmq_growth_topic(u_char *p,
    const kmq_topic_detail_t *detail);

#ifdef KMQ_FAULTS
/* Builds for tests: see ngx_kapokmq_fault.c. */
void ngx_kapokmq_fault_init(ngx_log_t *log);
void ngx_kapokmq_fault(ngx_http_request_t *r);
#endif

/* Has the secret key been changed by a reload that this worker does not belong
 * to? */
ngx_uint_t ngx_kapokmq_key_stale(void);

/* Compares the key a client gave in constant time: 1 when it is right. */
ngx_uint_t ngx_kapokmq_key_matches(const u_char *key, size_t len);

/* The request's header "secretKey", NULL when there is none. */
ngx_str_t *ngx_kapokmq_key_header(ngx_http_request_t *r);


/* -------------------------------------------------------------- variables */

/* What a request's access log line tells of it, beside its URI. */
typedef struct {
    ngx_str_t            topic;     /* of a message sent by HTTP */
    ngx_uint_t           messages;  /* accepted from, or pushed to, it */
    ngx_uint_t           confirmed;
    ngx_uint_t           confirm;   /* KMQ_CONFIRM_...; 0: no consumer */
    ngx_uint_t           status;    /* of the session's end; 0: no session */
    char                 code[KMQ_CODE_LEN];    /* sent by HTTP */
} ngx_kapokmq_facts_t;

/* The request's facts, which are made when there are none yet; NULL: no
 * memory.  They stay until it has been logged. */
ngx_kapokmq_facts_t *ngx_kapokmq_facts(ngx_http_request_t *r);

/* The handler of the facts' cleanup in the request's pool; it does nothing. */
void ngx_kapokmq_facts_cleanup(void *data);

/* $kapokmq_...; a preconfiguration. */
ngx_int_t ngx_kapokmq_variables(ngx_conf_t *cf);

/* Does the configuration, as far as it has been read, use one of those that
 * only mean something when a session has ended? */
ngx_uint_t ngx_kapokmq_variables_of_end(ngx_conf_t *cf);


/* --------------------------------------------------------------- handlers */

ngx_int_t ngx_kapokmq_producer_handler(ngx_http_request_t *r);
ngx_int_t ngx_kapokmq_consumer_handler(ngx_http_request_t *r);
ngx_int_t ngx_kapokmq_send_handler(ngx_http_request_t *r);
ngx_int_t ngx_kapokmq_console_handler(ngx_http_request_t *r);
ngx_int_t ngx_kapokmq_metrics_handler(ngx_http_request_t *r);

#endif /* NGX_KAPOKMQ_H */
