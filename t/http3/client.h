/*
 * A client of HTTP/3 for the suites: one connection, whose streams are told
 * what to do by lines of JSON, and tell what they see in the same way.
 *
 * In:   {"do":"open","id":"a","method":"GET","path":"/","headers":{...},
 *        "body":"...","more":true,"paused":true}
 *       {"do":"body","id":"a","body":"...","more":true}
 *       {"do":"resume","id":"a"}      reads what a paused stream has
 *       {"do":"pause","id":"a"}       gives no more credit
 *       {"do":"stop","id":"a"}        STOP_SENDING: the answer is not wanted
 *       {"do":"cancel","id":"a"}      the same, and RESET_STREAM
 *       {"do":"close"}                CONNECTION_CLOSE
 *
 * Out:  {"on":"connected"}
 *       {"on":"head","id":"a","status":200,"headers":{...}}
 *       {"on":"data","id":"a","data":"..."}       bytes as U+0000 to U+00FF
 *       {"on":"end","id":"a"}                     the answer is whole
 *       {"on":"gone","id":"a","code":N}           the stream is closed
 *       {"on":"goaway"}
 *       {"on":"closed","code":N,"why":"..."}      so is the connection
 */

#ifndef _HTTP3_CLIENT_H_INCLUDED_
#define _HTTP3_CLIENT_H_INCLUDED_

#include <jansson.h>
#include <nghttp3/nghttp3.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>


typedef struct part_s  part_t;

/* of a request's body; it stays until the stream is gone */
struct part_s {
    part_t         *next;
    size_t          len;
    uint8_t         bytes[];
};


typedef struct stream_s  stream_t;

struct stream_s {
    stream_t       *next;
    char           *name;
    json_t         *headers;
    part_t         *parts;
    part_t        **last;
    part_t         *unsent;
    size_t          unread;          /* bytes that it has given no credit for */
    int64_t         id;
    int             status;
    unsigned        whole:1;         /* its body has no more parts */
    unsigned        paused:1;
};


typedef struct {
    ngtcp2_conn    *quic;
    nghttp3_conn   *http;
    stream_t       *streams;
    int             over;
} client_t;


extern client_t  client;


/* Ends the program: something went wrong in it. */
_Noreturn void die(const char *what, const char *why);

/* One event on the standard output; values as in json_pack(). */
void tell(const char *on, const char *format, ...);
void tell_data(const char *name, const uint8_t *data, size_t len);
void tell_closed(uint64_t code, const char *why);

/* quic.c */
ngtcp2_tstamp now(void);
int quic_start(const char *port, uint64_t window);
void quic_read(int fd);
void quic_write(int fd);
void quic_expire(void);
void quic_close(int fd);

/* stream.c */
void http_start(void);
stream_t *stream_find(const char *name);
void stream_open(const json_t *command);
void stream_body(stream_t *s, const json_t *command);
void stream_resume(stream_t *s);
void stream_free_all(void);


#endif /* _HTTP3_CLIENT_H_INCLUDED_ */
