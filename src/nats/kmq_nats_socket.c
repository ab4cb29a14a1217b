/* A connection to a server: kmq_nats_socket.h. */

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "kmq_nats_socket.h"


/* An address of either family. */
typedef union {
    struct sockaddr      any;
    struct sockaddr_in   v4;
    struct sockaddr_in6  v6;
} nats_address_t;


uint64_t
kmq_nats_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_BOOTTIME, &ts);

    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}


/* ---------------------------------------------------------------- waiting */

/* Waits for these events: 1, 0 at the deadline, or a negated errno. */
static int
nats_socket_poll(int fd, short events, uint64_t deadline)
{
    int            n, timeout;
    uint64_t       now, left;
    struct pollfd  pfd = { .fd = fd, .events = events };

    do {
        now = kmq_nats_now();
        left = deadline > now ? deadline - now : 0;
        timeout = left < INT_MAX ? (int) left : INT_MAX;

        n = poll(&pfd, 1, timeout);

    } while (n == -1 && errno == EINTR);

    return n == -1 ? -errno : n;
}


void
kmq_nats_sleep(uint64_t deadline)
{
    (void) nats_socket_poll(-1, 0, deadline);
}


int
kmq_nats_socket_wait(kmq_nats_socket_t *s, int out, uint64_t deadline)
{
    if (s->ssl && SSL_pending(s->ssl) > 0) {
        return 1;
    }

    return nats_socket_poll(s->fd,
                            (short) (POLLIN | s->wants | (out ? POLLOUT : 0)),
                            deadline);
}


/* ------------------------------------------------------------- connecting */

/* The length of what it is; 0: neither. */
static socklen_t
nats_socket_address(nats_address_t *address, const char *host, uint16_t port)
{
    memset(address, 0, sizeof(nats_address_t));

    if (inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(port);
        return sizeof(address->v4);
    }

    if (inet_pton(AF_INET6, host, &address->v6.sin6_addr) == 1) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons(port);
        return sizeof(address->v6);
    }

    return 0;
}


/* Connects s->fd: 0 or a negated errno. */
static int
nats_socket_connect(int fd, const nats_address_t *address, socklen_t len,
    uint64_t deadline)
{
    int        n, error;
    socklen_t  size;

    if (connect(fd, &address->any, len) == 0) {
        return 0;
    }

    if (errno != EINPROGRESS) {
        return -errno;
    }

    n = nats_socket_poll(fd, POLLOUT, deadline);

    if (n <= 0) {
        return n ? n : -ETIMEDOUT;
    }

    size = sizeof(error);

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == -1) {
        return -errno;
    }

    return -error;
}


int
kmq_nats_socket_connect(kmq_nats_socket_t *s, const char *host, uint16_t port,
    uint64_t deadline)
{
    int             rc, on;
    socklen_t       len;
    nats_address_t  address;

    memset(s, 0, sizeof(kmq_nats_socket_t));
    s->fd = -1;

    len = nats_socket_address(&address, host, port);

    if (len == 0) {
        return -EINVAL;
    }

    s->fd = socket(address.any.sa_family,
                   SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (s->fd == -1) {
        return -errno;
    }

    rc = nats_socket_connect(s->fd, &address, len, deadline);

    if (rc != 0) {
        kmq_nats_socket_close(s);
        return rc;
    }

    on = 1;      /* without it, a small request may wait for 40 ms */
    (void) setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    return 0;
}


void
kmq_nats_socket_close(kmq_nats_socket_t *s)
{
    if (s->ssl) {
        SSL_free(s->ssl);
        s->ssl = NULL;
    }

    if (s->fd != -1) {
        (void) close(s->fd);
        s->fd = -1;
    }
}


/* -------------------------------------------------------------------- TLS */

/* What a call of OpenSSL's that returned n means: 0: later; or a negated
 * errno. */
static int
nats_socket_tls_error(kmq_nats_socket_t *s, int n)
{
    int  error;

    error = errno;
    s->wants = 0;

    switch (SSL_get_error(s->ssl, n)) {

    case SSL_ERROR_WANT_WRITE:
        s->wants = POLLOUT;
        return 0;

    case SSL_ERROR_WANT_READ:
        return 0;

    case SSL_ERROR_ZERO_RETURN:
        return -ECONNRESET;

    case SSL_ERROR_SYSCALL:
        return error ? -error : -ECONNRESET;

    default:
        return -EPROTO;
    }
}


/* Is the certificate for this name, or address?  Asked in the handshake. */
static int
nats_socket_tls_name(SSL *ssl, const char *name)
{
    unsigned char  address[sizeof(struct in6_addr)];

    if (inet_pton(AF_INET, name, address) == 1
        || inet_pton(AF_INET6, name, address) == 1)
    {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name);
    }

    return SSL_set_tlsext_host_name(ssl, name) && SSL_set1_host(ssl, name);
}


int
kmq_nats_socket_tls(kmq_nats_socket_t *s, SSL_CTX *ctx, const char *name,
    uint64_t deadline)
{
    int  n, rc;

    ERR_clear_error();
    s->ssl = SSL_new(ctx);

    if (s->ssl == NULL || SSL_set_fd(s->ssl, s->fd) != 1
        || (name && !nats_socket_tls_name(s->ssl, name)))
    {
        return -EPROTO;
    }

    (void) SSL_set_mode(s->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE
                                | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);

    for ( ;; ) {
        errno = 0;
        ERR_clear_error();
        n = SSL_connect(s->ssl);

        if (n == 1) {
            s->wants = 0;
            return 0;
        }

        rc = nats_socket_tls_error(s, n);

        if (rc != 0) {
            return rc;
        }

        n = nats_socket_poll(s->fd, s->wants ? POLLOUT : POLLIN, deadline);

        if (n <= 0) {
            return n ? n : -ETIMEDOUT;
        }
    }
}


/* ------------------------------------------------------- reading, writing */

static ssize_t
nats_socket_result(ssize_t n)
{
    if (n >= 0) {
        return n;
    }

    return (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
           ? 0 : -errno;
}


static int
nats_socket_int(size_t size)
{
    return size < INT_MAX ? (int) size : INT_MAX;
}


ssize_t
kmq_nats_socket_read(kmq_nats_socket_t *s, void *to, size_t size)
{
    int      n;
    ssize_t  got;

    if (s->ssl) {
        errno = 0;
        ERR_clear_error();
        n = SSL_read(s->ssl, to, nats_socket_int(size));

        return n > 0 ? n : nats_socket_tls_error(s, n);
    }

    got = recv(s->fd, to, size, 0);

    return got == 0 ? -ECONNRESET : nats_socket_result(got);
}


ssize_t
kmq_nats_socket_write(kmq_nats_socket_t *s, const void *bytes, size_t size)
{
    int  n;

    if (s->ssl) {
        errno = 0;
        ERR_clear_error();
        n = SSL_write(s->ssl, bytes, nats_socket_int(size));

        return n > 0 ? n : nats_socket_tls_error(s, n);
    }

    return nats_socket_result(send(s->fd, bytes, size, MSG_NOSIGNAL));
}
