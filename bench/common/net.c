#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "net.h"


#define NET_BACKLOG  4096


static int net_keep(net_rest_t *rest, const unsigned char *data, size_t len);


uint64_t
net_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000u + (uint64_t) ts.tv_nsec;
}


int
net_nofile(unsigned n)
{
    struct rlimit  rl;

    if (getrlimit(RLIMIT_NOFILE, &rl) == -1) {
        return -1;
    }

    if (rl.rlim_cur >= n) {
        return 0;
    }

    rl.rlim_cur = n;

    if (rl.rlim_max < n) {
        rl.rlim_max = n;    /* only a privileged process may */
    }

    return setrlimit(RLIMIT_NOFILE, &rl);
}


static int
net_address(struct sockaddr_in *sin, const char *host, unsigned port)
{
    memset(sin, 0, sizeof(struct sockaddr_in));
    sin->sin_family = AF_INET;
    sin->sin_port = htons((uint16_t) port);

    if (inet_pton(AF_INET, host, &sin->sin_addr) != 1) {
        errno = EINVAL;
        return -1;
    }

    return 0;
}


int
net_is_loopback(const char *host)
{
    struct sockaddr_in  sin;

    return net_address(&sin, host, 0) == 0
           && ntohl(sin.sin_addr.s_addr) >> 24 == 127;
}


static int
net_socket(struct sockaddr_in *sin, const char *host, unsigned port)
{
    int  fd, on;

    if (net_address(sin, host, port) == -1) {
        return -1;
    }

    fd = socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0);
    on = 1;

    if (fd != -1) {
        (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }

    return fd;
}


int
net_listen(const char *host, unsigned port)
{
    int                 fd, on;
    struct sockaddr_in  sin;

    fd = net_socket(&sin, host, port);
    on = 1;

    if (fd == -1) {
        return -1;
    }

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1
        || bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1
        || listen(fd, NET_BACKLOG) == -1)
    {
        close(fd);
        return -1;
    }

    return fd;
}


/* An address has 28,000 ports, and looking for one that is free takes long
 * when half of them are not: many connections come from several addresses. */
static void
net_from(int fd)
{
    static unsigned  n;

    int                 on;
    struct sockaddr_in  sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK + n++ % 8);
    on = 1;

    (void) setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
                      sizeof(on));
    (void) bind(fd, (struct sockaddr *) &sin, sizeof(sin));
}


int
net_connect(const char *host, unsigned port)
{
    int                 fd;
    struct sockaddr_in  sin;

    fd = net_socket(&sin, host, port);

    if (fd == -1) {
        return -1;
    }

    if (net_is_loopback(host)) {
        net_from(fd);
    }

    if (connect(fd, (struct sockaddr *) &sin, sizeof(sin)) == -1
        && errno != EINPROGRESS)
    {
        close(fd);
        return -1;
    }

    return fd;
}


int
net_accept(int fd)
{
    int  s, on;

    s = accept4(fd, NULL, NULL, SOCK_NONBLOCK|SOCK_CLOEXEC);
    on = 1;

    if (s != -1) {
        (void) setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }

    return s;
}


int
net_input_init(net_input_t *in, size_t size, size_t ask)
{
    memset(in, 0, sizeof(net_input_t));

    in->size = size + ask;
    in->ask = ask;
    in->data = malloc(in->size);

    return in->data == NULL ? -1 : 0;
}


int
net_read(net_input_t *in, int fd, net_rest_t *rest, unsigned times,
    net_parse_pt parse, void *arg)
{
    size_t   have, ask, used;
    ssize_t  n;

    while (times-- != 0) {
        have = rest->len;
        ask = in->size - have < in->ask ? in->size - have : in->ask;

        if (ask == 0) {
            return NET_CLOSED;    /* a frame longer than the buffer */
        }

        n = in->layer == NULL ? recv(fd, in->data + have, ask, 0)
                              : in->layer->recv(fd, in->data + have, ask);
        in->recvs++;

        if (n == -1) {
            return errno == EAGAIN ? NET_DRAINED : NET_CLOSED;
        }

        if (n == 0) {
            return NET_CLOSED;
        }

        if (have != 0) {
            memcpy(in->data, rest->data, have);
        }

        have += (size_t) n;
        used = parse(arg, in->data, have);

        if (used == NET_CLOSE
            || net_keep(rest, in->data + used, have - used) == -1)
        {
            return NET_CLOSED;
        }

        if ((size_t) n < ask) {
            return NET_DRAINED;
        }
    }

    return NET_MORE;
}


static int
net_keep(net_rest_t *rest, const unsigned char *data, size_t len)
{
    unsigned char  *p;

    if (len > rest->size) {
        p = realloc(rest->data, len * 2);

        if (p == NULL) {
            return -1;
        }

        rest->data = p;
        rest->size = len * 2;
    }

    if (len != 0) {
        memcpy(rest->data, data, len);
    }

    rest->len = len;

    return 0;
}


unsigned char *
net_room(net_out_t *out, size_t n)
{
    size_t          size;
    unsigned char  *p;

    if (out->size - out->to >= n) {
        return out->data + out->to;
    }

    if (out->from != 0) {
        memmove(out->data, out->data + out->from, out->to - out->from);
        out->to -= out->from;
        out->from = 0;
    }

    if (out->size - out->to < n) {
        size = (out->to + n) * 2;
        p = realloc(out->data, size);

        if (p == NULL) {
            return NULL;
        }

        out->data = p;
        out->size = size;
    }

    return out->data + out->to;
}


void
net_close(net_input_t *in, int fd)
{
    if (in->layer != NULL) {
        in->layer->close(fd);
    }

    close(fd);
}


int
net_flush(net_input_t *in, int fd, net_out_t *out)
{
    size_t   ask;
    ssize_t  n;

    while (out->from != out->to) {
        ask = out->to - out->from;
        n = in->layer == NULL
            ? send(fd, out->data + out->from, ask, MSG_NOSIGNAL)
            : in->layer->send(fd, out->data + out->from, ask);
        in->sends++;

        if (n == -1) {
            return errno == EAGAIN ? 0 : -1;
        }

        out->from += (size_t) n;

        if ((size_t) n < ask) {
            return 0;    /* epoll tells when there is room again */
        }
    }

    out->from = 0;
    out->to = 0;

    return 1;
}
