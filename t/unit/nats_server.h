/*
 * A server that does as a test's script says: it listens on a loopback port,
 * and in a thread of its own a function for each connection, one after the
 * other, says and hears lines.
 */

#ifndef KMQ_NATS_SERVER_H
#define KMQ_NATS_SERVER_H

#include <arpa/inet.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../src/nats/kmq_nats_link.h"
#include "../../src/nats/kmq_nats_socket.h"


#define SERVER_INFO  "INFO {\"server_name\":\"n1\",\"headers\":true,"         \
                     "\"max_payload\":10000}\r\n"
#define SERVER_MAX   8

#define S_UNUSED     __attribute__((unused))

typedef struct server_s  server_t;

typedef void (*script_t)(server_t *server);

struct server_s {
    script_t    scripts[SERVER_MAX];    /* of its connections */
    unsigned    n;
    int         listens;
    int         fd;                     /* the connection */
    size_t      piece;                  /* bytes sent at once; 0: all */
    uint16_t    port;
    pthread_t   thread;
    char        line[8192];             /* heard last */
    char        reply[256];             /* where it is to be answered */
    char        payload[8192];          /* of a message that was heard */
    char        log[8192];              /* a script's */
};


/* ---------------------------------------------------------------- scripts */

/* Sends it, in pieces where they are wanted; to a client that is gone, too. */
S_UNUSED static void
say_bytes(server_t *server, const char *bytes, size_t len)
{
    size_t   piece;
    ssize_t  n;

    while (len) {
        piece = server->piece && server->piece < len ? server->piece : len;
        n = send(server->fd, bytes, piece, MSG_NOSIGNAL);

        if (n <= 0) {
            return;
        }

        bytes += n;
        len -= (size_t) n;

        if (server->piece) {
            usleep(50);
        }
    }
}


__attribute__((unused, format(printf, 2, 3))) static void
say(server_t *server, const char *fmt, ...)
{
    int      n;
    char     text[8192];
    va_list  args;

    va_start(args, fmt);
    n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    say_bytes(server, text, (size_t) n);
}


/* A message for a subscription, with headers if they are not "". */
S_UNUSED static void
say_message(server_t *server, const char *subject, unsigned sid,
    const char *reply, const char *headers, const char *payload)
{
    if (headers[0]) {
        say(server, "HMSG %s %u %s %zu %zu\r\n%s%s\r\n", subject, sid, reply,
            strlen(headers), strlen(headers) + strlen(payload), headers,
            payload);

    } else {
        say(server, "MSG %s %u %s %zu\r\n%s\r\n", subject, sid, reply,
            strlen(payload), payload);
    }
}


/* Reads n bytes, no more: 1, or 0 when the client is gone. */
static int
hear_bytes(server_t *server, char *to, size_t n)
{
    return n == 0 || recv(server->fd, to, n, MSG_WAITALL) == (ssize_t) n;
}


/* The next line, without its end: 1, or 0 when the client is gone. */
static int
hear_line(server_t *server)
{
    size_t  n;

    for (n = 0; n < sizeof(server->line) - 1; n++) {
        if (!hear_bytes(server, &server->line[n], 1)) {
            return 0;
        }

        if (n && server->line[n] == '\n') {
            server->line[n - 1] = '\0';
            return 1;
        }
    }

    return 0;
}


/* What a line of PUB or HPUB announces: reply and payload, headers with it. */
static int
hear_payload(server_t *server)
{
    char      copy[8192], *words[6], *left = NULL;
    size_t    n, size;
    unsigned  with_reply;

    (void) snprintf(copy, sizeof(copy), "%s", server->line);

    for (n = 0; n < 6; n++) {
        words[n] = strtok_r(n ? NULL : copy, " ", &left);

        if (words[n] == NULL) {
            break;
        }
    }

    with_reply = (n == (strcmp(words[0], "HPUB") == 0 ? 5 : 4));
    (void) snprintf(server->reply, sizeof(server->reply), "%s",
                    with_reply ? words[2] : "");
    size = strtoul(words[n - 1], NULL, 10);

    if (size >= sizeof(server->payload)
        || !hear_bytes(server, server->payload, size)
        || !hear_bytes(server, copy, 2))
    {
        return 0;
    }

    server->payload[size] = '\0';

    return 1;
}


/* Hears until a line begins like that; PING is answered meanwhile, unless that
 * is it.  1, or 0 when the client is gone. */
S_UNUSED static int
hear(server_t *server, const char *start)
{
    while (hear_line(server)) {

        if ((strncmp(server->line, "PUB", 3) == 0
             || strncmp(server->line, "HPUB", 4) == 0)
            && !hear_payload(server))
        {
            return 0;
        }

        if (strncmp(server->line, start, strlen(start)) == 0) {
            return 1;
        }

        if (strcmp(server->line, "PING") == 0) {
            say(server, "PONG\r\n");
        }
    }

    return 0;
}


/* Lets the client in. */
S_UNUSED static void
welcome(server_t *server)
{
    say(server, SERVER_INFO);
    (void) hear(server, "CONNECT");
    (void) hear(server, "PING");
    say(server, "PONG\r\n");
}


/* Until the client leaves. */
S_UNUSED static void
stay(server_t *server)
{
    (void) hear(server, "nothing of that kind");
}


/* ------------------------------------------------------------------ server */

static void *
server_main(void *arg)
{
    unsigned   i;
    server_t  *server = arg;

    for (i = 0; i < server->n; i++) {
        server->fd = accept(server->listens, NULL, NULL);

        if (server->fd == -1) {
            break;
        }

        server->scripts[i](server);
        (void) close(server->fd);
    }

    return NULL;
}


/* Starts one with scripts for its connections, the last of which is NULL. */
S_UNUSED static void
server_start(server_t *server, size_t piece, ...)
{
    va_list             args;
    socklen_t           len;
    struct sockaddr_in  address;

    memset(server, 0, sizeof(server_t));
    server->piece = piece;
    va_start(args, piece);

    while ((server->scripts[server->n] = va_arg(args, script_t)) != NULL) {
        server->n++;
    }

    va_end(args);

    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    len = sizeof(address);
    server->listens = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(server->listens, (struct sockaddr *) &address, len) != 0
        || listen(server->listens, 16) != 0
        || getsockname(server->listens, (struct sockaddr *) &address, &len)
           != 0
        || pthread_create(&server->thread, NULL, server_main, server) != 0)
    {
        abort();
    }

    server->port = ntohs(address.sin_port);
}


/* All its connections are over, or will not come. */
S_UNUSED static void
server_stop(server_t *server)
{
    (void) shutdown(server->listens, SHUT_RDWR);
    (void) pthread_join(server->thread, NULL);
    (void) close(server->listens);
}


/* Options for a link to these servers; with times for a test. */
S_UNUSED static kmq_nats_options_t
options_for(kmq_nats_server_t *to, unsigned n, ...)
{
    va_list              args;
    unsigned             i;
    kmq_nats_options_t   options;

    memset(to, 0, n * sizeof(kmq_nats_server_t));
    memset(&options, 0, sizeof(options));
    va_start(args, n);

    for (i = 0; i < n; i++) {
        (void) strcpy(to[i].host, "127.0.0.1");
        to[i].port = va_arg(args, server_t *)->port;
    }

    va_end(args);

    options.servers = to;
    options.n_servers = n;
    options.retry_min = 10;

    return options;
}


/* A time that is far enough. */
static inline uint64_t
patience(void)
{
    return kmq_nats_now() + 20000;
}

#endif /* KMQ_NATS_SERVER_H */
