/* Sockets and buffers: what the load generator and the floor share. */

#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


/* Bytes on their way out: data[from .. to) wait for the socket. */
typedef struct {
    unsigned char  *data;
    size_t          from;
    size_t          to;
    size_t          size;
} net_out_t;

/*
 * What may lie between connections and their sockets.  As recv() and send():
 * they read until there is nothing more, and send until there is no room, -1
 * and EAGAIN when that was at once.
 */
typedef struct {
    ssize_t       (*recv)(int fd, void *data, size_t size);
    ssize_t       (*send)(int fd, const void *data, size_t size);
    void          (*close)(int fd);    /* before the socket is */
} net_layer_t;

/*
 * Where all connections of the process read: one buffer that stays in the
 * cache.  What a connection leaves unfinished is kept in its net_rest_t.
 */
typedef struct {
    unsigned char  *data;
    size_t          size;        /* of data: the longest frame must fit */
    size_t          ask;         /* bytes of one recv() */
    const net_layer_t  *layer;   /* NULL: plain */
    uint64_t        recvs;       /* counters for the report */
    uint64_t        sends;
} net_input_t;

typedef struct {
    unsigned char  *data;
    size_t          len;
    size_t          size;
} net_rest_t;

#define NET_CLOSE  ((size_t) -1)

/* Takes data[0 .. size), returns how much of it was used, or NET_CLOSE. */
typedef size_t (*net_parse_pt)(void *arg, unsigned char *data, size_t size);

#define NET_DRAINED   1
#define NET_MORE      0
#define NET_CLOSED   -1


/* Nanoseconds of the monotonic clock. */
uint64_t net_now(void);

/* Raises the limit of open files to at least n: 0, or -1. */
int net_nofile(unsigned n);

/* Non-blocking sockets: a descriptor, or -1 and errno. */
int net_listen(const char *host, unsigned port);
int net_connect(const char *host, unsigned port);
int net_accept(int fd);

/* Is host an address of the loopback interface?  1 or 0. */
int net_is_loopback(const char *host);

int net_input_init(net_input_t *in, size_t size, size_t ask);

/*
 * Reads a connection until it is drained (epoll is edge-triggered), but at
 * most times times, and has each piece parsed.  NET_DRAINED, NET_MORE, or
 * NET_CLOSED when the peer or the parser ended the connection.
 */
int net_read(net_input_t *in, int fd, net_rest_t *rest, unsigned times,
    net_parse_pt parse, void *arg);

/* Room for n bytes at out's end, NULL without memory.  The caller writes and
 * moves out->to. */
unsigned char *net_room(net_out_t *out, size_t n);

/* Closes a connection that has been read or sent to. */
void net_close(net_input_t *in, int fd);

/* Sends what waits: 1 all gone, 0 the socket is full, -1 broken. */
int net_flush(net_input_t *in, int fd, net_out_t *out);

#endif /* BENCH_NET_H */
