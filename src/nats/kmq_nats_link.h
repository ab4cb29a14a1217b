/*
 * A connection to one of several NATS servers, for one thread, which waits
 * here and nowhere else.
 *
 * Nothing waits beyond its deadline, a time of kmq_nats_now()
 * (kmq_nats_socket.h); a deadline that is past means not to wait.  A server
 * that says nothing is sent PING, and is given up when nothing comes.  What is
 * published goes into a buffer, and leaves with the next kmq_nats_link_run();
 * what comes is handed to functions, from inside of that.  They may publish,
 * subscribe and unsubscribe; they must not wait.
 *
 * When the connection is lost, all functions say so until
 * kmq_nats_link_connect() has made another one, to the next server.  What was
 * published may have arrived or not; subscriptions are made again.
 */

#ifndef KMQ_NATS_LINK_H
#define KMQ_NATS_LINK_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

#include "../protocol/kmq_nats.h"
#include "kmq_nats_key.h"


/* What functions return; those that count return that, if not one of these. */
enum {
    KMQ_NATS_DONE    =  0,
    KMQ_NATS_LATE    = -1,     /* the deadline has come */
    KMQ_NATS_DOWN    = -2,     /* there is no connection, or no more */
    KMQ_NATS_FULL    = -3,     /* too much waits to be sent */
    KMQ_NATS_INVALID = -4,     /* no subject, no header, or too large */
    KMQ_NATS_NOBODY  = -5,     /* nobody listens there */
    KMQ_NATS_NOMEM   = -6
};

#define KMQ_NATS_SERVERS_MAX    32
#define KMQ_NATS_NONCE_MAX      128
#define KMQ_NATS_NAME_MAX       128
#define KMQ_NATS_REASON_MAX     256
#define KMQ_NATS_INBOX_MAX      48

typedef struct {
    char         host[64];     /* a numeric address: names are for whoever
                                  reads the settings to look up */
    char         name[256];    /* what its certificate is for; empty: host */
    uint16_t     port;
} kmq_nats_server_t;

/* Copied by kmq_nats_link_open(), but not what it points to; times in ms; 0
 * and NULL: as said here. */
typedef struct {
    const kmq_nats_server_t  *servers;
    unsigned                  n_servers;
    int                       learn;     /* use servers that a server names,
                                            too */

    const char               *name;      /* the client's, for its operators */
    const char               *user;
    const char               *password;
    const char               *token;
    const kmq_nats_key_t     *key;       /* an NKey */
    const char               *jwt;       /* and the token beside it */

    SSL_CTX                  *tls;       /* TLS is used, or nothing; NULL: a
                                            server that asks for it fails */
    int                       tls_first; /* before the server's first line */

    unsigned                  connect_timeout;   /* for one server, 2000 */
    unsigned                  retry_min;    /* from one round of servers to the
                                               next, 50; doubled each time */
    unsigned                  retry_max;         /* 2000 */
    unsigned                  ping_interval;     /* of silence, 1000 */
    unsigned                  ping_timeout;      /* and then, 1000 */
    size_t                    max_message;  /* that may come in, 8 MiB */
    size_t                    max_unsent;   /* 16 MiB */
} kmq_nats_options_t;

/* What the server said of itself. */
typedef struct {
    char       server[KMQ_NATS_NAME_MAX];
    char       version[KMQ_NATS_NAME_MAX];
    char       nonce[KMQ_NATS_NONCE_MAX];
    uint64_t   max_payload;
    unsigned   headers:1;
    unsigned   jetstream:1;
    unsigned   tls_required:1;
    unsigned   tls_available:1;
    unsigned   leaving:1;        /* it is about to shut down */
} kmq_nats_info_t;

typedef struct kmq_nats_link_s  kmq_nats_link_t;

/* Takes a message; it is valid until the function returns. */
typedef void (*kmq_nats_take_pt)(void *arg, const kmq_nats_msg_t *msg);


/* --------------------------------------------------------------- its life */

/* A link that has no connection yet; NULL: no memory, or no server. */
kmq_nats_link_t *kmq_nats_link_open(const kmq_nats_options_t *options);

void kmq_nats_link_close(kmq_nats_link_t *link);

/*
 * Connects, if it is not connected: tries one server after the other, and
 * between rounds waits.  KMQ_NATS_DONE; _LATE: none of them could be had, and
 * kmq_nats_link_reason() tells about the last.  _NOMEM.
 */
int kmq_nats_link_connect(kmq_nats_link_t *link, uint64_t deadline);

/* Gives the connection up, if there is one: the next is to the next server. */
void kmq_nats_link_drop(kmq_nats_link_t *link, const char *reason);

int kmq_nats_link_connected(const kmq_nats_link_t *link);

/* How often it was connected: whoever remembers it sees that it is another
 * connection. */
uint64_t kmq_nats_link_times(const kmq_nats_link_t *link);

/* The server that it is or was connected to last, by its place among those of
 * the options and those learned; its address; and what it says of itself. */
unsigned kmq_nats_link_place(const kmq_nats_link_t *link);
const kmq_nats_server_t *kmq_nats_link_server(const kmq_nats_link_t *link);
const kmq_nats_info_t *kmq_nats_link_info(const kmq_nats_link_t *link);

/* Is that server's version before major.minor.patch?  0 if it names none. */
int kmq_nats_info_before(const kmq_nats_info_t *info, unsigned major,
    unsigned minor, unsigned patch);

/* Why there is no connection, or what the server complained of last; "" at
 * first. */
const char *kmq_nats_link_reason(const kmq_nats_link_t *link);


/* ---------------------------------------------------------------- its work */

/*
 * Sends what waits to be sent, and hands out what has come; waits, if nothing
 * has, until the deadline.  How many messages were handed out; _LATE; _DOWN;
 * _NOMEM (the connection is lost then, too).
 */
int kmq_nats_link_run(kmq_nats_link_t *link, uint64_t deadline);

/* Publishes; reply: NULL, or where an answer is to go.  Does not wait.  _DONE;
 * _DOWN; _FULL; _INVALID; _NOMEM. */
int kmq_nats_link_publish(kmq_nats_link_t *link, const char *subject,
    const char *reply, const kmq_nats_header_t *headers, unsigned n,
    const void *payload, size_t size);

/* Bytes that wait to be sent. */
size_t kmq_nats_link_unsent(const kmq_nats_link_t *link);

/* Has take() called with what comes to a subject.  The subscription's number,
 * which stays over connections; 0: no memory, or no subject. */
uint64_t kmq_nats_link_subscribe(kmq_nats_link_t *link, const char *subject,
    kmq_nats_take_pt take, void *arg);

void kmq_nats_link_unsubscribe(kmq_nats_link_t *link, uint64_t sid);

/* Writes a subject that nobody else has, to which ".something" may be added. */
void kmq_nats_link_inbox(kmq_nats_link_t *link,
    char inbox[KMQ_NATS_INBOX_MAX]);

/*
 * Asks, and waits for the answer, which is valid until the next request.
 * _DONE; _LATE; _NOBODY; _DOWN, _FULL, _INVALID, _NOMEM.
 */
int kmq_nats_link_request(kmq_nats_link_t *link, const char *subject,
    const kmq_nats_header_t *headers, unsigned n, const void *payload,
    size_t size, kmq_nats_msg_t *answer, uint64_t deadline);

#endif /* KMQ_NATS_LINK_H */
