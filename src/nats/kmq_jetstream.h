/*
 * What JetStream is asked, and what it answers, as JSON and headers: without
 * I/O.  All of it is in nats-server 2.9.10.
 *
 * What is asked is written into to[0 .. room): the bytes, or 0: no room, or no
 * memory.  What is answered is read from the payload of a message: 0; or -1,
 * and *error says what JetStream objects to; its code is 0 when the answer was
 * not to be understood.
 */

#ifndef KMQ_JETSTREAM_H
#define KMQ_JETSTREAM_H

#include <stddef.h>
#include <stdint.h>

#include "../protocol/kmq_nats.h"


#define KMQ_JS_SUBJECT_MAX   (KMQ_NATS_SUBJECT_MAX + 1)
#define KMQ_JS_NAME_MAX      128
#define KMQ_JS_PEERS_MAX     7
#define KMQ_JS_NONE          UINT64_MAX      /* instead of a sequence */

typedef struct {
    unsigned  code;            /* as HTTP's; 0: the answer made no sense */
    unsigned  err_code;        /* one of these, or another, or 0 */
    char      text[KMQ_JS_NAME_MAX];
} kmq_js_error_t;

enum {
    KMQ_JS_UNAVAILABLE     = 10008,    /* no leader yet, maybe */
    KMQ_JS_NO_MESSAGE      = 10037,
    KMQ_JS_NAME_IN_USE     = 10058,    /* a stream of another configuration */
    KMQ_JS_NO_STREAM       = 10059,
    KMQ_JS_WRONG_LAST      = 10071,    /* sequence, of stream or subject */
    KMQ_JS_STORE_FAILED    = 10077,    /* max_bytes is reached, or the disk
                                          fails */
    KMQ_JS_IN_PROCESS      = 10164     /* another one on that subject is just
                                          being stored, or was a moment ago
                                          (2.12) */
};


/* --------------------------------------------------------------- subjects */

/* "$JS.API.VERB.STREAM", and ".MORE" if that is not NULL.  0; -1: too long. */
int kmq_js_subject(char to[KMQ_JS_SUBJECT_MAX], const char *verb,
    const char *stream, const char *more);

/* Their verbs. */
#define KMQ_JS_CREATE        "STREAM.CREATE"
#define KMQ_JS_UPDATE        "STREAM.UPDATE"
#define KMQ_JS_INFO          "STREAM.INFO"
#define KMQ_JS_DELETE        "STREAM.DELETE"
#define KMQ_JS_PURGE         "STREAM.PURGE"
#define KMQ_JS_STEP_DOWN     "STREAM.LEADER.STEPDOWN"
#define KMQ_JS_GET           "STREAM.MSG.GET"         /* from the leader */
#define KMQ_JS_DIRECT_GET    "DIRECT.GET"             /* from any replica */
#define KMQ_JS_CONSUMER      "CONSUMER.CREATE"
#define KMQ_JS_NO_CONSUMER   "CONSUMER.DELETE"        /* more: its name */


/* ----------------------------------------------------------------- streams */

/* On files, kept until limits are reached; what is new is refused then. */
typedef struct {
    const char          *name;
    const char *const   *subjects;
    unsigned             n_subjects;
    unsigned             replicas;      /* 1, 3, 5 */
    uint64_t             max_bytes;     /* 0: none */
    uint64_t             max_message;   /* bytes, 0: none */
    int                  direct;        /* direct gets are allowed */
} kmq_js_stream_t;

/* For KMQ_JS_CREATE and KMQ_JS_UPDATE. */
size_t kmq_js_write_stream(char *to, size_t room,
    const kmq_js_stream_t *stream);

typedef struct {
    char      name[KMQ_JS_NAME_MAX];    /* of the server */
    uint64_t  lag;                      /* messages that it is behind */
    uint64_t  silent;                   /* ms since it was heard */
    unsigned  current:1;
    unsigned  offline:1;
} kmq_js_peer_t;

/* What CREATE, UPDATE and INFO are answered with. */
typedef struct {
    uint64_t       messages;
    uint64_t       bytes;
    uint64_t       first;               /* sequences; last + 1 when empty */
    uint64_t       last;
    uint64_t       max_bytes;           /* 0: none */
    uint64_t       created;             /* ns since 1970 */
    unsigned       replicas;            /* that there should be */
    char           leader[KMQ_JS_NAME_MAX];    /* "": none */
    unsigned       n_peers;             /* but the leader */
    kmq_js_peer_t  peers[KMQ_JS_PEERS_MAX];
} kmq_js_stream_info_t;

int kmq_js_read_stream(const kmq_nats_text_t *payload,
    kmq_js_stream_info_t *info, kmq_js_error_t *error);

/* For KMQ_JS_PURGE: of a subject, NULL: of all, what is before a sequence, 0:
 * everything. */
size_t kmq_js_write_purge(char *to, size_t room, const char *subject,
    uint64_t before);

int kmq_js_read_purge(const kmq_nats_text_t *payload, uint64_t *purged,
    kmq_js_error_t *error);

/* What only succeeds or fails: DELETE, STEP_DOWN, NO_CONSUMER. */
int kmq_js_read_success(const kmq_nats_text_t *payload,
    kmq_js_error_t *error);


/* -------------------------------------------------------------- publishing */

/* The header by which a message is stored only when its subject's last one has
 * that sequence, 0: it has none; and the memory of it: not to be copied.  All
 * replicas look at 0 alone: of two that expect another one at one moment, both
 * may be stored (2.9). */
typedef struct {
    kmq_nats_header_t  header;
    char               last[24];
} kmq_js_expect_t;

void kmq_js_expect(kmq_js_expect_t *expect, uint64_t last);

typedef struct {
    uint64_t  sequence;
} kmq_js_ack_t;

/* Reads the answer to a message that was published. */
int kmq_js_read_ack(const kmq_nats_text_t *payload, kmq_js_ack_t *ack,
    kmq_js_error_t *error);


/* ------------------------------------------------------------ one message */

/* For KMQ_JS_GET and KMQ_JS_DIRECT_GET: by its sequence; or, with a subject,
 * that subject's first one from there on, and of sequence KMQ_JS_NONE its last
 * one. */
size_t kmq_js_write_get(char *to, size_t room, const char *subject,
    uint64_t sequence);

typedef struct {
    uint64_t          sequence;
    uint64_t          time;      /* ns since 1970: when it was stored; 0: not
                                    told */
    kmq_nats_text_t   subject;
    kmq_nats_text_t   headers;
    kmq_nats_text_t   payload;
    void             *memory;    /* of all that */
} kmq_js_message_t;

/* Reads the answer to KMQ_JS_GET; if 0, kmq_js_message_free() is due. */
int kmq_js_read_get(const kmq_nats_text_t *payload, kmq_js_message_t *message,
    kmq_js_error_t *error);

void kmq_js_message_free(kmq_js_message_t *message);

/* The answer to KMQ_JS_DIRECT_GET has all that in its headers; what is read
 * points into it, and has no memory of its own. */
int kmq_js_read_direct(const kmq_nats_msg_t *msg, kmq_js_message_t *message,
    kmq_js_error_t *error);


/* --------------------------------------------------------------- consumers */

/* One that is pushed all messages in their order, confirms none, and is
 * forgotten when nobody listens: made anew when something was missed. */
typedef struct {
    const char  *stream;
    const char  *subject;        /* of messages; NULL: all */
    const char  *deliver;        /* where they are pushed */
    uint64_t     from;           /* sequence, at least 1 */
    uint64_t     heartbeat;      /* ms of silence, then it says that it is
                                    there */
} kmq_js_consumer_t;

size_t kmq_js_write_consumer(char *to, size_t room,
    const kmq_js_consumer_t *consumer);

int kmq_js_read_consumer(const kmq_nats_text_t *payload,
    char name[KMQ_JS_NAME_MAX], kmq_js_error_t *error);

/* What such a consumer has been pushed. */
typedef struct {
    uint64_t  next;              /* the first sequence that was not seen */
    uint64_t  pushed;            /* number of its last push */
    uint64_t  pending;           /* messages that it has not pushed yet */
    uint64_t  time;              /* ns since 1970: when the last message was
                                    stored */
} kmq_js_ordered_t;

typedef enum {
    KMQ_JS_MESSAGE = 0,          /* the next one; *sequence */
    KMQ_JS_IDLE,                 /* there is nothing new */
    KMQ_JS_FLOW,                 /* publish an empty message to *answer */
    KMQ_JS_GAP,                  /* something was missed */
    KMQ_JS_OTHER                 /* nothing of its kind */
} kmq_js_pushed_e;

void kmq_js_ordered_begin(kmq_js_ordered_t *ordered, uint64_t from);

/* Looks at what came to its subject. */
kmq_js_pushed_e kmq_js_ordered_see(kmq_js_ordered_t *ordered,
    const kmq_nats_msg_t *msg, uint64_t *sequence, kmq_nats_text_t *answer);

#endif /* KMQ_JETSTREAM_H */
