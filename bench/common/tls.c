#include <stdio.h>

#include "tls.h"

#if __has_include(<openssl/ssl.h>)

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>


#define TLS_CIPHER  "TLS_AES_256_GCM_SHA384"    /* what OpenSSL prefers */


/* Of all connections of the process. */
static struct {
    SSL_CTX   *ctx;
    SSL      **ssl;            /* by descriptor */
    int        size;
    unsigned   server:1;
} tls;


static ssize_t tls_recv(int fd, void *data, size_t size);
static ssize_t tls_send(int fd, const void *data, size_t size);
static void tls_close(int fd);


static const net_layer_t  tls_layer = { tls_recv, tls_send, tls_close };


static int
tls_context(const char *file)
{
    SSL_CTX  *ctx;

    ctx = SSL_CTX_new(TLS_method());
    tls.ctx = ctx;
    tls.server = file != NULL;

    if (ctx == NULL
        || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1
        || SSL_CTX_set_ciphersuites(ctx, TLS_CIPHER) != 1)
    {
        return -1;
    }

    /* as nginx does: a record is read by one recv(), and the buffers of those
     * that are idle are given back */

    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE
                          |SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                          |SSL_MODE_RELEASE_BUFFERS);

    if (file != NULL
        && (SSL_CTX_use_certificate_file(ctx, file, SSL_FILETYPE_PEM) != 1
            || SSL_CTX_use_PrivateKey_file(ctx, file, SSL_FILETYPE_PEM) != 1))
    {
        return -1;
    }

    return 0;
}


const net_layer_t *
tls_init(const char *file)
{
    signal(SIGPIPE, SIG_IGN);    /* OpenSSL writes without MSG_NOSIGNAL */

    if (tls_context(file) == -1) {
        ERR_print_errors_fp(stderr);
        return NULL;
    }

    return &tls_layer;
}


/* A connection's state, made when it is first seen. */
static SSL *
tls_of(int fd)
{
    int    size;
    SSL   *ssl, **all;

    if (fd >= tls.size) {
        size = fd * 2 + 64;
        all = realloc(tls.ssl, (size_t) size * sizeof(SSL *));

        if (all == NULL) {
            return NULL;
        }

        memset(all + tls.size, 0,
               (size_t) (size - tls.size) * sizeof(SSL *));
        tls.ssl = all;
        tls.size = size;
    }

    ssl = tls.ssl[fd];

    if (ssl == NULL) {
        ssl = SSL_new(tls.ctx);

        if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
            SSL_free(ssl);
            return NULL;
        }

        if (tls.server) {
            SSL_set_accept_state(ssl);

        } else {
            SSL_set_connect_state(ssl);
        }

        tls.ssl[fd] = ssl;
    }

    return ssl;
}


/* What recv() and send() would return where OpenSSL has returned n < 1; its
 * list of errors is empty afterwards. */
static ssize_t
tls_stopped(SSL *ssl, int n)
{
    switch (SSL_get_error(ssl, n)) {

    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;

    case SSL_ERROR_ZERO_RETURN:
        return 0;

    default:
        ERR_clear_error();
        errno = ECONNRESET;
        return -1;
    }
}


static ssize_t
tls_recv(int fd, void *data, size_t size)
{
    int       n;
    SSL      *ssl;
    size_t    have;
    ssize_t   rc;

    ssl = tls_of(fd);

    if (ssl == NULL) {
        errno = ENOMEM;
        return -1;
    }

    for (have = 0; have < size; have += (size_t) n) {
        n = SSL_read(ssl, (unsigned char *) data + have,
                     size - have > INT_MAX ? INT_MAX : (int) (size - have));

        if (n < 1) {
            rc = tls_stopped(ssl, n);
            return have != 0 ? (ssize_t) have : rc;
        }
    }

    return (ssize_t) have;
}


static ssize_t
tls_send(int fd, const void *data, size_t size)
{
    int       n;
    SSL      *ssl;
    size_t    sent;
    ssize_t   rc;

    ssl = tls_of(fd);

    if (ssl == NULL) {
        errno = ENOMEM;
        return -1;
    }

    for (sent = 0; sent < size; sent += (size_t) n) {
        n = SSL_write(ssl, (const unsigned char *) data + sent,
                      size - sent > INT_MAX ? INT_MAX : (int) (size - sent));

        if (n < 1) {
            rc = tls_stopped(ssl, n);
            return sent != 0 ? (ssize_t) sent : rc;
        }
    }

    return (ssize_t) sent;
}


static void
tls_close(int fd)
{
    if (fd >= 0 && fd < tls.size) {
        SSL_free(tls.ssl[fd]);
        tls.ssl[fd] = NULL;
    }
}

#else

const net_layer_t *
tls_init(const char *file)
{
    (void) file;
    fprintf(stderr, "compiled without OpenSSL\n");

    return NULL;
}

#endif
