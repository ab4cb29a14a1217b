/* What the files of the link share: kmq_nats_link.h. */

#ifndef KMQ_NATS_LINK_INSIDE_H
#define KMQ_NATS_LINK_INSIDE_H

#include "kmq_nats_link.h"
#include "kmq_nats_socket.h"


/* Bytes [from, size) of a growing piece of memory. */
typedef struct {
    unsigned char  *bytes;
    size_t          from;
    size_t          size;
    size_t          room;
} kmq_nats_buffer_t;

typedef struct {
    uint64_t          sid;
    char             *subject;
    void             *arg;
    kmq_nats_take_pt  take;
} kmq_nats_subscription_t;

/* A request that waits for its answer. */
typedef struct {
    uint64_t           number;     /* 0: none has been made */
    uint64_t           sid;        /* of the inbox; 0: not made yet */
    char               inbox[KMQ_NATS_INBOX_MAX];
    int                answered;
    int                nomem;
    kmq_nats_buffer_t  copy;       /* of the answer */
    kmq_nats_msg_t     msg;
} kmq_nats_request_t;

struct kmq_nats_link_s {
    kmq_nats_options_t        options;
    kmq_nats_server_t         servers[KMQ_NATS_SERVERS_MAX];
    unsigned                  n_servers;
    unsigned                  place;        /* of the server that is used */
    unsigned                  wait;         /* before the next round */

    kmq_nats_socket_t         socket;
    kmq_nats_parser_t         parser;
    kmq_nats_buffer_t         in;
    kmq_nats_buffer_t         out;
    kmq_nats_info_t           info;

    unsigned                  connected:1;
    unsigned                  running:1;    /* a function has a message */
    unsigned                  logged_in:1;  /* the first PONG has come */
    uint64_t                  times;
    uint64_t                  heard;        /* when something came */
    uint64_t                  asked;        /* when PING was sent; 0: no PONG
                                               is owed */

    kmq_nats_subscription_t  *subscriptions;
    unsigned                  n_subscriptions;
    uint64_t                  last_sid;
    unsigned                  inboxes;
    char                      inbox[KMQ_NATS_INBOX_MAX / 2];

    kmq_nats_request_t        request;
    char                      reason[KMQ_NATS_REASON_MAX];
};


/* ----------------------------------------------------------------- buffer */

/* Makes room for n bytes more: 0, or -1: no memory.  What is in it may
 * move. */
int kmq_nats_buffer_room(kmq_nats_buffer_t *buffer, size_t n);

static inline size_t
kmq_nats_buffer_size(const kmq_nats_buffer_t *buffer)
{
    return buffer->size - buffer->from;
}

void kmq_nats_buffer_clear(kmq_nats_buffer_t *buffer);
void kmq_nats_buffer_free(kmq_nats_buffer_t *buffer);


/* ------------------------------------------------------------------- INFO */

/* Reads what a server says of itself, and learns of others: 0; -1: it is no
 * such thing. */
int kmq_nats_link_read_info(kmq_nats_link_t *link,
    const kmq_nats_text_t *text);


/* ------------------------------------------------------- reading, writing */

/* What one read brings: how many messages were handed out, or an error. */
int kmq_nats_link_receive(kmq_nats_link_t *link);

/* Sends as much as can be, without waiting: _DONE or _DOWN. */
int kmq_nats_link_send(kmq_nats_link_t *link);

/* Has one of the writers of kmq_nats.h write at most max bytes into what is to
 * be sent: 1; 0: no memory, or what is to be written is not valid. */
#define KMQ_NATS_LINK_WRITE(link, max, write, ...)                           \
    (kmq_nats_buffer_room(&(link)->out, max) == 0                            \
     && kmq_nats_link_wrote(link,                                            \
            write((link)->out.bytes + (link)->out.size,                      \
                  (link)->out.room - (link)->out.size, ##__VA_ARGS__)))

static inline int
kmq_nats_link_wrote(kmq_nats_link_t *link, size_t n)
{
    link->out.size += n;

    return n != 0;
}


/* ----------------------------------------------------------- subscriptions */

/* Tells the server of all of them: 0; -1: no memory. */
int kmq_nats_link_resubscribe(kmq_nats_link_t *link);

/* Hands a message to whom it is for. */
void kmq_nats_link_hand_out(kmq_nats_link_t *link, const kmq_nats_msg_t *msg);

#endif /* KMQ_NATS_LINK_INSIDE_H */
