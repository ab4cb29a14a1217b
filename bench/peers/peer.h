/*
 * Load for other servers, in the shape that kmq-load gives ours: its options,
 * phases, checks and report (../load/load.h), with another protocol.
 *
 *   peer_load.c       main, and the protocols' names
 *   peer_client.c     connections, windows, what comes
 *   peer_nats.c, peer_redis.c, peer_beanstalk.c, peer_mqtt.c, peer_nchan.c
 *
 * A message is the same to every server: a stamp, then text.
 */

#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include "../load/load.h"


#define PEER_MARKS  64     /* batches of a producer on their way */
#define PEER_ID     48     /* bytes of a message's name on the server */

typedef struct peer_s  peer_t;

/* A connection, beside what is in its client_t. */
typedef struct {
    load_t        *load;
    client_t      *client;
    const peer_t  *peer;
    uint64_t       now;        /* of the read whose bytes are parsed */

    /* without confirmations: what was sent before each barrier */
    uint32_t       mark[PEER_MARKS];
    unsigned       marked;
    unsigned       passed;

    unsigned       awaited;    /* answers until it is ready */
    unsigned       left;       /* messages to come of a batch */
    unsigned       acks;       /* messages to be acknowledged together */
    net_out_t      ack;
    char           id[PEER_ID];
    size_t         id_len;
    unsigned       key:1;      /* a batch's number of messages comes next */
} peer_conn_t;

struct peer_s {
    const char  *name;
    const char  *help;
    unsigned     mode;         /* of those that the protocol's file knows */

    /* Sends what opens a connection: 0, or -1. */
    int        (*open)(peer_conn_t *p);

    /* Composes a producer's frame, with peer_frame(). */
    int        (*frame)(peer_conn_t *p);

    /* Takes what came, as net_parse_pt does. */
    size_t     (*parse)(peer_conn_t *p, unsigned char *data, size_t size);

    /* What the server answers when it has read all before it; NULL: it
     * answers each message. */
    const char  *barrier;
    size_t       barrier_len;

    /* The two bytes before the data are the message's number. */
    unsigned     numbered:1;
};

extern const peer_t  peer_nats;
extern const peer_t  peer_jetstream;
extern const peer_t  peer_redis_list;
extern const peer_t  peer_redis_stream;
extern const peer_t  peer_redis_pubsub;
extern const peer_t  peer_beanstalk;
extern const peer_t  peer_mqtt0;
extern const peer_t  peer_mqtt1;
extern const peer_t  peer_mqtt0_ws;
extern const peer_t  peer_nchan;


/* peer_client.c */
extern const load_protocol_t  peer_protocol;

/* Which of them all connections speak; before they are made. */
void peer_choose(const peer_t *peer);

/* These return 0, or -1 when the connection cannot go on. */

int peer_is_producer(const peer_conn_t *p);

/* The frame of a producer: head, a message's data, tail. */
int peer_frame(peer_conn_t *p, const char *head, size_t head_len,
    const char *tail, size_t tail_len);

int peer_send(peer_conn_t *p, const void *data, size_t size);
int peer_printf(peer_conn_t *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

void peer_ready(peer_conn_t *p);

/* So many messages were answered; a barrier was. */
void peer_answered(peer_conn_t *p, uint32_t n);
int peer_passed(peer_conn_t *p);

/* A message came. */
void peer_message(peer_conn_t *p, const unsigned char *data, size_t size);

/* What came makes no sense, or is the server's complaint. */
int peer_unexpected(peer_conn_t *p, const unsigned char *data, size_t size);

/* Asks for a WebSocket, with a subprotocol or NULL; takes the answer: bytes,
 * 0 for not complete, or NET_CLOSE. */
int peer_upgrade(peer_conn_t *p, const char *path, const char *protocol);
size_t peer_upgraded(peer_conn_t *p, unsigned char *data, size_t size);

#endif /* BENCH_PEER_H */
