/*
 * The client's side of the NATS protocol, without I/O and without allocation:
 * what a server sends, what a client sends, headers of messages.
 *
 * A line is a verb and its arguments, apart by blanks, and ends with CR LF.
 * Behind the line of a message come its bytes, and CR LF again:
 *
 *   INFO {"server_id":...}             PING   PONG   +OK   -ERR 'text'
 *   MSG  subject sid [reply] size            payload
 *   HMSG subject sid [reply] headers all     headers, payload
 *
 * Headers are "NATS/1.0[ status[ description]]", a line for each with
 * "Name: value", and an empty line.
 */

#ifndef KMQ_NATS_H
#define KMQ_NATS_H

#include <stddef.h>
#include <stdint.h>


#define KMQ_NATS_LINE_MAX     4096       /* of all lines but INFO's */
#define KMQ_NATS_INFO_MAX     32768
#define KMQ_NATS_SUBJECT_MAX  255        /* of what is written here */

/* Bytes somewhere else; no zero byte behind them. */
typedef struct {
    const unsigned char  *bytes;
    size_t                len;
} kmq_nats_text_t;

/* A text that lasts, made of a string: for calls of the functions below. */
#define KMQ_NATS_TEXT(string)                                                \
    ((kmq_nats_text_t) { (const unsigned char *) (string), strlen(string) })


/* --------------------------------------------------- what the server sends */

/* What one kmq_nats_parse() found. */
typedef enum {
    KMQ_NATS_MORE = 0,      /* nothing whole is left in the input */
    KMQ_NATS_INFO,          /* text: its JSON */
    KMQ_NATS_MSG,           /* MSG or HMSG */
    KMQ_NATS_PING,
    KMQ_NATS_PONG,
    KMQ_NATS_OK,
    KMQ_NATS_ERR,           /* text: what is between the quotes */
    KMQ_NATS_FAIL           /* not to be understood; parser->reason */
} kmq_nats_event_t;

/* A message, inside the input. */
typedef struct {
    uint64_t         sid;          /* the subscription's number */
    kmq_nats_text_t  subject;
    kmq_nats_text_t  reply;        /* empty: no reply is wanted */
    kmq_nats_text_t  headers;      /* as they came; empty: none */
    kmq_nats_text_t  payload;
} kmq_nats_msg_t;

typedef struct {
    uint64_t         max_message;  /* set by kmq_nats_init() */

    /* the last event */
    kmq_nats_msg_t   msg;
    kmq_nats_text_t  text;
    const char      *reason;       /* KMQ_NATS_FAIL: why; NULL until then */

    /* the caller asks this after KMQ_NATS_MORE */
    size_t           need;         /* bytes from the start of the unused input
                                      that the next event takes, as far as is
                                      known; more than there are */

    /* private */
    size_t           seen;         /* bytes without the end of a line */
} kmq_nats_parser_t;

/* No more than that is ever needed. */
#define KMQ_NATS_NEED_MAX(max_message)                                       \
    (KMQ_NATS_INFO_MAX + KMQ_NATS_LINE_MAX + (max_message))

/* max_message: bytes of a message, headers and payload together. */
void kmq_nats_init(kmq_nats_parser_t *parser, uint64_t max_message);

/*
 * Finds the next event in input[*used .. size) and moves *used behind it.  The
 * caller keeps the unused bytes and calls again when more have come behind
 * them; they may have moved to another address.  What an event names lies in
 * the input, which is never changed.
 *
 * KMQ_NATS_FAIL, again at each further call: a verb that is not known, a wrong
 * number of arguments, a size that is none or beyond max_message, a line that
 * is too long or has a control character in it, a message without CR LF behind
 * it, headers that do not begin with "NATS/1.0" or end with an empty line.
 */
kmq_nats_event_t kmq_nats_parse(kmq_nats_parser_t *parser,
    const unsigned char *input, size_t size, size_t *used);


/* ---------------------------------------------------------------- headers */

/* The number behind "NATS/1.0", of three digits (100, 404, 503), or 0; then
 * *description, if that is not NULL, is what is behind it, maybe nothing. */
unsigned kmq_nats_status(const kmq_nats_text_t *headers,
    kmq_nats_text_t *description);

/* 1 and the value, without blanks around it, of the first header of that name,
 * which is to have the same letter case; or 0. */
int kmq_nats_header(const kmq_nats_text_t *headers, const char *name,
    kmq_nats_text_t *value);

/* 1 and the number that the text is, in decimal; 0 when it is none, or too
 * large. */
int kmq_nats_number(const kmq_nats_text_t *text, uint64_t *number);


/* --------------------------------------------------- what the client sends */

/*
 * All writers write into to[0 .. room), and return how many bytes that are; or
 * 0: there is no room, or what is to be written is not valid.  A subject has 1
 * to KMQ_NATS_SUBJECT_MAX bytes, no blank and no control character, and no
 * empty token between two dots; the value of a header has no control
 * character, and its name no colon and no blank either.
 */

/* What CONNECT says of the client; NULL: nothing of that. */
typedef struct {
    const char  *name;
    const char  *user;
    const char  *password;
    const char  *token;
    const char  *jwt;
    const char  *nkey;
    const char  *signature;    /* of the server's nonce, base64url */
    int          tls;
} kmq_nats_connect_t;

size_t kmq_nats_write_connect(unsigned char *to, size_t room,
    const kmq_nats_connect_t *connect);

size_t kmq_nats_write_ping(unsigned char *to, size_t room);
size_t kmq_nats_write_pong(unsigned char *to, size_t room);

size_t kmq_nats_write_sub(unsigned char *to, size_t room, const char *subject,
    uint64_t sid);
size_t kmq_nats_write_unsub(unsigned char *to, size_t room, uint64_t sid);

typedef struct {
    const char  *name;
    const char  *value;
} kmq_nats_header_t;

/*
 * The line of PUB, or with headers (n is not 0) that of HPUB and the headers;
 * size bytes of payload and CR LF are to follow.  reply: NULL, or the subject
 * that is answered at.
 */
size_t kmq_nats_write_pub(unsigned char *to, size_t room, const char *subject,
    const char *reply, const kmq_nats_header_t *headers, unsigned n,
    size_t size);

#endif /* KMQ_NATS_H */
