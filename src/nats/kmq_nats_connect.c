/* A link's life: servers, connecting, logging in: kmq_nats_link.h. */

#include <errno.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kmq_nats_link_inside.h"


#define LINK_CONNECT  16384     /* CONNECT, a token in it */
#define LINK_ESCAPED  6


static int  link_random(void *bytes, size_t n);


/* ------------------------------------------------------------------- life */

static void
link_default(unsigned *option, unsigned value)
{
    *option = *option ? *option : value;
}


static void
link_defaults(kmq_nats_options_t *options)
{
    link_default(&options->connect_timeout, 2000);
    link_default(&options->retry_min, 50);
    link_default(&options->retry_max, 2000);
    link_default(&options->ping_interval, 1000);
    link_default(&options->ping_timeout, 1000);

    if (options->max_message == 0) {
        options->max_message = 8 << 20;
    }

    if (options->max_unsent == 0) {
        options->max_unsent = 16 << 20;
    }
}


kmq_nats_link_t *
kmq_nats_link_open(const kmq_nats_options_t *options)
{
    unsigned char     random[8];
    kmq_nats_link_t  *link;

    if (options->n_servers == 0 || options->n_servers > KMQ_NATS_SERVERS_MAX
        || link_random(random, sizeof(random)) != 0)
    {
        return NULL;
    }

    link = calloc(1, sizeof(kmq_nats_link_t));

    if (link == NULL) {
        return NULL;
    }

    link->options = *options;
    link_defaults(&link->options);
    memcpy(link->servers, options->servers,
           options->n_servers * sizeof(kmq_nats_server_t));
    link->n_servers = options->n_servers;
    link->place = options->n_servers - 1;      /* before the first */
    link->wait = link->options.retry_min;
    link->socket.fd = -1;

    (void) snprintf(link->inbox, sizeof(link->inbox),
                    "_INBOX.%02x%02x%02x%02x%02x%02x%02x%02x",
                    random[0], random[1], random[2], random[3],
                    random[4], random[5], random[6], random[7]);

    return link;
}


void
kmq_nats_link_close(kmq_nats_link_t *link)
{
    unsigned  i;

    kmq_nats_socket_close(&link->socket);

    for (i = 0; i < link->n_subscriptions; i++) {
        free(link->subscriptions[i].subject);
    }

    free(link->subscriptions);
    kmq_nats_buffer_free(&link->in);
    kmq_nats_buffer_free(&link->out);
    kmq_nats_buffer_free(&link->request.copy);
    free(link);
}


int
kmq_nats_link_connected(const kmq_nats_link_t *link)
{
    return link->connected;
}


uint64_t
kmq_nats_link_times(const kmq_nats_link_t *link)
{
    return link->times;
}


unsigned
kmq_nats_link_place(const kmq_nats_link_t *link)
{
    return link->place;
}


const kmq_nats_server_t *
kmq_nats_link_server(const kmq_nats_link_t *link)
{
    return &link->servers[link->place];
}


const kmq_nats_info_t *
kmq_nats_link_info(const kmq_nats_link_t *link)
{
    return &link->info;
}


const char *
kmq_nats_link_reason(const kmq_nats_link_t *link)
{
    return link->reason;
}


static int
link_random(void *bytes, size_t n)
{
    return RAND_bytes(bytes, (int) n) == 1 ? 0 : -1;
}


/* -------------------------------------------------------------- logging in */

/* Runs until a condition holds: what the server sent first, or the answer to
 * CONNECT. */
static int
link_await(kmq_nats_link_t *link, int pong, uint64_t deadline)
{
    int  rc;

    for ( ;; ) {
        if (pong ? link->logged_in : link->info.max_payload != 0) {
            return KMQ_NATS_DONE;
        }

        rc = kmq_nats_link_send(link);

        if (rc == KMQ_NATS_DONE) {
            rc = kmq_nats_link_receive(link);
        }

        if (rc < 0) {
            return rc;
        }

        if (rc > 0 || (pong ? link->logged_in : link->info.max_payload != 0)) {
            continue;
        }

        rc = kmq_nats_socket_wait(&link->socket,
                                  kmq_nats_buffer_size(&link->out) > 0,
                                  deadline);

        if (rc <= 0) {
            kmq_nats_link_drop(link, rc ? strerror(-rc)
                                     : pong ? "no answer to CONNECT in time"
                                     : "no INFO in time");
            return KMQ_NATS_DOWN;
        }
    }
}


/* Drops the connection, since TLS failed. */
static int
link_tls_failed(kmq_nats_link_t *link, int rc)
{
    long           verified;
    char           reason[KMQ_NATS_REASON_MAX];
    unsigned long  error;

    verified = link->socket.ssl ? SSL_get_verify_result(link->socket.ssl)
                                : X509_V_OK;
    error = ERR_get_error();

    (void) snprintf(reason, sizeof(reason), "TLS: %s",
                    verified != X509_V_OK
                    ? X509_verify_cert_error_string(verified)
                    : rc != -EPROTO ? strerror(-rc)
                    : error ? ERR_reason_error_string(error)
                    : "the handshake failed");

    kmq_nats_link_drop(link, reason);

    return KMQ_NATS_DOWN;
}


static int
link_tls(kmq_nats_link_t *link, uint64_t deadline)
{
    int                       rc;
    const kmq_nats_server_t  *server;

    server = kmq_nats_link_server(link);

    /* what came in the clear behind INFO could have been anybody's */

    if (kmq_nats_buffer_size(&link->in)) {
        kmq_nats_link_drop(link, "more than INFO came before TLS");
        return KMQ_NATS_DOWN;
    }

    rc = kmq_nats_socket_tls(&link->socket, link->options.tls,
                             server->name[0] ? server->name : server->host,
                             deadline);

    return rc == 0 ? KMQ_NATS_DONE : link_tls_failed(link, rc);
}


/* From the server's first line to TLS, if that is wanted. */
static int
link_greet(kmq_nats_link_t *link, uint64_t deadline)
{
    int  rc;

    if (link->options.tls && link->options.tls_first) {
        rc = link_tls(link, deadline);

        return rc == KMQ_NATS_DONE ? link_await(link, 0, deadline) : rc;
    }

    rc = link_await(link, 0, deadline);

    if (rc != KMQ_NATS_DONE) {
        return rc;
    }

    if (link->options.tls == NULL) {
        if (link->info.tls_required) {
            kmq_nats_link_drop(link, "the server asks for TLS");
            return KMQ_NATS_DOWN;
        }

        return KMQ_NATS_DONE;
    }

    if (!link->info.tls_required && !link->info.tls_available) {
        kmq_nats_link_drop(link, "the server has no TLS");
        return KMQ_NATS_DOWN;
    }

    return link_tls(link, deadline);
}


/* Writes CONNECT and PING. */
static int
link_write_connect(kmq_nats_link_t *link)
{
    size_t               max;
    char                 signature[KMQ_NATS_KEY_SIGNATURE + 1];
    kmq_nats_connect_t   connect;
    kmq_nats_options_t  *options;

    options = &link->options;
    memset(&connect, 0, sizeof(connect));

    connect.name = options->name;
    connect.user = options->user;
    connect.password = options->password;
    connect.token = options->token;
    connect.tls = options->tls != NULL;
    max = LINK_CONNECT;

    if (options->key && link->info.nonce[0]) {

        if (kmq_nats_key_sign(options->key, link->info.nonce, signature)
            != 0)
        {
            return -1;
        }

        connect.signature = signature;
        connect.jwt = options->jwt;
        connect.nkey = options->jwt ? NULL : options->key->name;
        max += options->jwt ? LINK_ESCAPED * strlen(options->jwt) : 0;
    }

    return KMQ_NATS_LINK_WRITE(link, max, kmq_nats_write_connect, &connect)
           && KMQ_NATS_LINK_WRITE(link, max, kmq_nats_write_ping) ? 0 : -1;
}


static int
link_log_in(kmq_nats_link_t *link, uint64_t deadline)
{
    int  rc;

    if (link_write_connect(link) != 0) {
        kmq_nats_link_drop(link, "CONNECT could not be written");
        return KMQ_NATS_DOWN;
    }

    rc = link_await(link, 1, deadline);

    if (rc != KMQ_NATS_DONE) {
        return rc;
    }

    if (!link->info.headers) {
        kmq_nats_link_drop(link, "the server knows no headers");
        return KMQ_NATS_DOWN;
    }

    return KMQ_NATS_DONE;
}


/* -------------------------------------------------------------- connecting */

/* Of the connection before, nothing is left but what is to last. */
static void
link_reset(kmq_nats_link_t *link)
{
    kmq_nats_buffer_clear(&link->in);
    kmq_nats_buffer_clear(&link->out);
    kmq_nats_init(&link->parser, link->options.max_message);
    memset(&link->info, 0, sizeof(link->info));
    link->logged_in = 0;
    link->asked = 0;
    link->reason[0] = '\0';
}


/* Tries the next server. */
static int
link_try(kmq_nats_link_t *link, uint64_t deadline)
{
    int                       rc;
    uint64_t                  until;
    const kmq_nats_server_t  *server;

    link->place = (link->place + 1) % link->n_servers;
    server = kmq_nats_link_server(link);

    link_reset(link);

    until = kmq_nats_now() + link->options.connect_timeout;
    until = until < deadline ? until : deadline;

    rc = kmq_nats_socket_connect(&link->socket, server->host, server->port,
                                 until);

    if (rc != 0) {
        kmq_nats_link_drop(link, strerror(-rc));
        return KMQ_NATS_DOWN;
    }

    rc = link_greet(link, until);

    if (rc == KMQ_NATS_DONE) {
        rc = link_log_in(link, until);
    }

    if (rc != KMQ_NATS_DONE) {
        return rc;
    }

    if (kmq_nats_link_resubscribe(link) != 0) {
        kmq_nats_link_drop(link, "no memory");
        return KMQ_NATS_NOMEM;
    }

    link->connected = 1;
    link->heard = kmq_nats_now();
    link->times++;

    return KMQ_NATS_DONE;
}


/* Waits from one round to the next, a little longer each time; not all clients
 * of a server that is gone come back at the same moment. */
static void
link_rest(kmq_nats_link_t *link, uint64_t deadline)
{
    uint32_t  random;
    uint64_t  now, until;

    (void) link_random(&random, sizeof(random));

    now = kmq_nats_now();
    until = now + link->wait / 2 + random % (link->wait / 2 + 1);

    link->wait = 2 * link->wait < link->options.retry_max
                 ? 2 * link->wait : link->options.retry_max;

    kmq_nats_sleep(until < deadline ? until : deadline);
}


int
kmq_nats_link_connect(kmq_nats_link_t *link, uint64_t deadline)
{
    int       rc;
    unsigned  tried;

    for (tried = 0; !link->connected; tried++) {

        if (tried >= link->n_servers) {
            link_rest(link, deadline);
            tried = 0;
        }

        if (kmq_nats_now() >= deadline) {
            return KMQ_NATS_LATE;
        }

        rc = link_try(link, deadline);

        if (rc == KMQ_NATS_NOMEM) {
            return rc;
        }
    }

    link->wait = link->options.retry_min;

    return KMQ_NATS_DONE;
}
