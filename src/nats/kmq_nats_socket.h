/*
 * A connection to a server, in the clear or with TLS, that never waits beyond
 * a deadline.  Deadlines are times of kmq_nats_now(); 0 is past.
 *
 * Functions return a negated errno when the connection is of no use any more.
 * Whoever uses TLS ignores SIGPIPE, as nginx does.
 */

#ifndef KMQ_NATS_SOCKET_H
#define KMQ_NATS_SOCKET_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>


typedef struct {
    int      fd;           /* -1: none */
    SSL     *ssl;          /* NULL: in the clear */
    short    wants;        /* POLLOUT: TLS has to write before it can read */
} kmq_nats_socket_t;

/* Milliseconds of a clock that is never set, and goes on in sleep. */
uint64_t kmq_nats_now(void);

/* Returns at that time. */
void kmq_nats_sleep(uint64_t deadline);

/*
 * Connects to a numeric address, IPv4 or IPv6: a name would be looked up
 * without a deadline.  0; -ETIMEDOUT; -EINVAL: it is no address.
 */
int kmq_nats_socket_connect(kmq_nats_socket_t *s, const char *host,
    uint16_t port, uint64_t deadline);

/* Goes on with TLS; name: what the certificate has to be for, a name or an
 * address, NULL: not looked at.  0; -EPROTO: OpenSSL's error queue, or
 * SSL_get_verify_result(), knows why. */
int kmq_nats_socket_tls(kmq_nats_socket_t *s, SSL_CTX *ctx, const char *name,
    uint64_t deadline);

/* How many bytes were read, or written; 0: none can be right now.  -ECONNRESET
 * at the end of the connection, too. */
ssize_t kmq_nats_socket_read(kmq_nats_socket_t *s, void *to, size_t size);
ssize_t kmq_nats_socket_write(kmq_nats_socket_t *s, const void *bytes,
    size_t size);

/* Waits until something may be read or, if out is not 0, written: 1; 0: the
 * deadline has come. */
int kmq_nats_socket_wait(kmq_nats_socket_t *s, int out, uint64_t deadline);

/* Also of one that has no connection. */
void kmq_nats_socket_close(kmq_nats_socket_t *s);

#endif /* KMQ_NATS_SOCKET_H */
