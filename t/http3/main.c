/* http3-client PORT [WINDOW]: commands come in, events go out. */

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"


#define READ_SIZE  65536


static void obey(const char *line, size_t len);
static void obey_stream(const char *what, const json_t *command);
static int read_commands(void);
static int wait_ms(void);


client_t  client;

static int  udp;

/* what has come of a command */
static struct {
    char       *start;
    size_t      len;
    size_t      size;
} input;


int
main(int argc, char *argv[])
{
    struct pollfd  polled[2];

    if (argc < 2) {
        die("usage", "http3-client PORT [WINDOW]");
    }

    udp = quic_start(argv[1], argc > 2 ? strtoull(argv[2], NULL, 10) : 262144);

    polled[0].fd = udp;
    polled[0].events = POLLIN;
    polled[1].fd = STDIN_FILENO;
    polled[1].events = POLLIN;

    while (!client.over) {
        quic_write(udp);
        fflush(stdout);

        if (client.over) {
            break;
        }

        /* commands wait until there is something to obey them */

        if (poll(polled, client.http ? 2 : 1, wait_ms()) == -1) {
            die("poll", "failed");
        }

        if (polled[0].revents) {
            quic_read(udp);
        }

        quic_expire();

        if (client.http && polled[1].revents && !read_commands()) {
            quic_close(udp);
        }
    }

    fflush(stdout);

    stream_free_all();
    nghttp3_conn_del(client.http);
    ngtcp2_conn_del(client.quic);
    free(input.start);

    return 0;
}


_Noreturn void
die(const char *what, const char *why)
{
    fflush(stdout);
    fprintf(stderr, "http3-client: %s: %s\n", what, why);
    exit(1);
}


static int
wait_ms(void)
{
    ngtcp2_tstamp  at, ts;

    at = ngtcp2_conn_get_expiry(client.quic);
    ts = now();

    if (at <= ts) {
        return 0;
    }

    at = (at - ts) / NGTCP2_MILLISECONDS + 1;

    return at > 10000 ? 10000 : (int) at;
}


/* Returns whether more may come. */
static int
read_commands(void)
{
    char     *end, *line;
    ssize_t   n;

    if (input.size - input.len < READ_SIZE) {
        input.size = 2 * input.size + READ_SIZE;
        input.start = realloc(input.start, input.size);
        if (input.start == NULL) {
            die("realloc", "no memory");
        }
    }

    n = read(STDIN_FILENO, input.start + input.len, READ_SIZE);
    if (n <= 0) {
        return 0;
    }

    input.len += n;
    line = input.start;

    while ((end = memchr(line, '\n', input.start + input.len - line))) {
        obey(line, end - line);
        line = end + 1;
    }

    input.len -= line - input.start;
    memmove(input.start, line, input.len);

    return 1;
}


static void
obey(const char *line, size_t len)
{
    json_t       *command;
    const char   *what;
    json_error_t  error;

    command = json_loadb(line, len, 0, &error);
    if (command == NULL) {
        die("a command", error.text);
    }

    what = json_string_value(json_object_get(command, "do"));

    if (what == NULL) {
        die("a command", "it says not what to do");
    }

    if (strcmp(what, "open") == 0) {
        stream_open(command);

    } else if (strcmp(what, "close") == 0) {
        quic_close(udp);

    } else {
        obey_stream(what, command);
    }

    json_decref(command);
}


/* One that is gone meanwhile has nothing to do any more. */
static void
obey_stream(const char *what, const json_t *command)
{
    stream_t  *s;

    s = stream_find(json_string_value(json_object_get(command, "id")));
    if (s == NULL) {
        return;
    }

    if (strcmp(what, "body") == 0) {
        stream_body(s, command);
        nghttp3_conn_resume_stream(client.http, s->id);

    } else if (strcmp(what, "pause") == 0) {
        s->paused = 1;

    } else if (strcmp(what, "resume") == 0) {
        stream_resume(s);

    } else if (strcmp(what, "stop") == 0) {
        ngtcp2_conn_shutdown_stream_read(client.quic, s->id,
                                         NGHTTP3_H3_REQUEST_CANCELLED);

    } else if (strcmp(what, "cancel") == 0) {
        ngtcp2_conn_shutdown_stream(client.quic, s->id,
                                    NGHTTP3_H3_REQUEST_CANCELLED);

    } else {
        die("not a command", what);
    }
}
