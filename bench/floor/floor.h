/*
 * The floor: a relay that speaks KapokMQ's protocol and keeps nothing, in one
 * thread with one epoll.  What it needs for a message is what any server of
 * this protocol needs; the queue is measured against it.
 *
 * Per read of a producer all complete frames are unmasked, checked and
 * composed into the buffers of their consumers; at the end of each turn of
 * the loop every consumer that got something, and every producer that is to
 * be answered, gets one send().
 *
 * A consumer that reads too slowly stops all producers until it has caught
 * up (nothing is dropped, and no memory is used for it); a message for a
 * topic without consumers is answered and gone.  The console finds nothing,
 * whatever it is asked for.
 *
 *   floor.c          main, and the turns of the loop
 *   floor_conn.c     connections: opening, closing, sending, topics
 *   floor_client.c   what clients send: the upgrade, and messages
 *   floor_message.c  from a producer's payload to a consumer's frame
 */

#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <stddef.h>
#include <stdint.h>

#include "floor_message.h"
#include "../common/net.h"


#define FLOOR_ASK        (64 * 1024)      /* bytes of one recv() */

#define FLOOR_LISTENER   0
#define FLOOR_NEW        1
#define FLOOR_PRODUCER   2
#define FLOOR_CONSUMER   3


typedef struct floor_conn_s   floor_conn_t;
typedef struct floor_topic_s  floor_topic_t;

struct floor_conn_s {
    int              fd;
    uint8_t          role;
    uint8_t          closed;
    uint8_t          dirty;        /* in the list of those with bytes to send */
    uint8_t          behind;       /* counted in floor_t.behind */
    uint8_t          unread;       /* in the list of those to be read */
    uint32_t         number;       /* index in topic->consumers */
    floor_topic_t   *topic;
    net_rest_t       rest;
    net_out_t        out;
};

/* A growing list of connections. */
typedef struct {
    floor_conn_t   **at;
    size_t           n;
    size_t           size;
} floor_list_t;

struct floor_topic_s {
    char             name[FLOOR_TOPIC_MAX + 1];
    floor_list_t     consumers;
    floor_tail_t     tail;
    net_out_t        block;        /* fan-out: frames for all consumers */
    floor_topic_t   *next;
};

/* --fault: what the check of the load generator must find. */
typedef enum {
    FAULT_NONE = 0,
    FAULT_LOSE,
    FAULT_TWICE,
    FAULT_LATE,
    FAULT_STALL,
    FAULT_DAMAGE
} floor_fault_t;

typedef struct {
    int              epoll;
    unsigned         fanout:1;
    floor_fault_t    fault;
    net_out_t        late;         /* the frame that FAULT_LATE holds back */
    const char      *key;
    net_input_t      in;
    floor_topic_t   *topics;
    floor_list_t     dirty;
    floor_list_t     unread;
    floor_list_t     closed;       /* to be freed at the end of the turn */
    unsigned         behind;       /* consumers that are */
    uint32_t         time;
    uint64_t         number;       /* messages so far */
    uint64_t         random;
} floor_t;

/* What net_read() hands to floor_parse(). */
typedef struct {
    floor_t         *floor;
    floor_conn_t    *conn;
} floor_read_t;


/* floor_conn.c */
int floor_push(floor_list_t *list, floor_conn_t *conn);
void floor_mark_dirty(floor_t *f, floor_conn_t *conn);
floor_topic_t *floor_topic(floor_t *f, const char *name, size_t len);
void floor_open(floor_t *f, int listener);
void floor_close(floor_t *f, floor_conn_t *conn);

/* Sends what waits for a connection, and counts consumers that lag behind. */
void floor_flush(floor_t *f, floor_conn_t *conn);

/* Frees what nothing refers to any more. */
void floor_sweep(floor_t *f);

/* floor_client.c */
size_t floor_parse(void *arg, unsigned char *data, size_t size);

#endif /* BENCH_FLOOR_H */
