#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "floor.h"
#include "../common/tls.h"


#define FLOOR_EVENTS     512
#define FLOOR_FRAME_MAX  (1024 * 1024 + 64)


static volatile sig_atomic_t  floor_stop;


/* ------------------------------------------------------------------- turns */

/* Reads a connection once; one that has more, or that must wait for slow
 * consumers, is read in a later turn. */
static void
floor_read(floor_t *f, floor_conn_t *conn)
{
    int           rc;
    floor_read_t  r;

    r.floor = f;
    r.conn = conn;
    rc = NET_MORE;

    if (conn->role != FLOOR_PRODUCER || f->behind == 0) {
        rc = net_read(&f->in, conn->fd, &conn->rest, 1, floor_parse, &r);
    }

    if (rc == NET_CLOSED) {
        floor_close(f, conn);
    }

    if (rc == NET_MORE && !conn->unread && floor_push(&f->unread, conn) == 0) {
        conn->unread = 1;
    }
}


/* Sends a topic's new frames to all its consumers. */
static void
floor_spread(floor_t *f, floor_topic_t *t)
{
    size_t          i, n;
    net_out_t       part;
    floor_conn_t   *conn;
    unsigned char  *p;

    for (i = t->consumers.n; i-- != 0; /* void */ ) {
        conn = t->consumers.at[i];
        part = t->block;

        if (conn->out.from == conn->out.to
            && net_flush(&f->in, conn->fd, &part) == -1)
        {
            floor_close(f, conn);
            continue;
        }

        n = part.to - part.from;

        if (n == 0) {
            continue;
        }

        p = net_room(&conn->out, n);

        if (p == NULL) {
            floor_close(f, conn);
            continue;
        }

        memcpy(p, part.data + part.from, n);
        conn->out.to += n;
        floor_flush(f, conn);
    }

    t->block.to = 0;
}


/* Sends what this turn has composed. */
static void
floor_send(floor_t *f)
{
    size_t          i;
    floor_conn_t   *conn;
    floor_topic_t  *t;

    for (t = f->topics; t != NULL; t = t->next) {
        if (t->block.to != 0) {
            floor_spread(f, t);
        }
    }

    for (i = 0; i < f->dirty.n; i++) {
        conn = f->dirty.at[i];
        conn->dirty = 0;

        if (!conn->closed) {
            floor_flush(f, conn);
        }
    }

    f->dirty.n = 0;
}


/* Goes on with the connections that have more to read. */
static void
floor_resume(floor_t *f)
{
    size_t         i, n;
    floor_conn_t  *conn;

    n = f->unread.n;

    if (n == 0) {
        return;
    }

    for (i = 0; i < n; i++) {
        conn = f->unread.at[i];
        conn->unread = 0;

        if (!conn->closed) {
            floor_read(f, conn);
        }
    }

    f->unread.n -= n;
    memmove(f->unread.at, f->unread.at + n,
            f->unread.n * sizeof(floor_conn_t *));
}


static void
floor_event(floor_t *f, floor_conn_t *conn, unsigned events)
{
    if (conn->role == FLOOR_LISTENER) {
        floor_open(f, conn->fd);
        return;
    }

    if (conn->closed) {
        return;
    }

    if (events & (EPOLLIN|EPOLLRDHUP|EPOLLHUP|EPOLLERR)) {
        floor_read(f, conn);
    }

    if (!conn->closed && conn->out.from != conn->out.to) {
        floor_mark_dirty(f, conn);
    }
}


static void
floor_run(floor_t *f, double seconds)
{
    int                  i, n, timeout;
    uint64_t             end;
    struct epoll_event   events[FLOOR_EVENTS];

    end = net_now() + (uint64_t) (seconds * 1e9);

    while (!floor_stop && net_now() < end) {
        timeout = f->unread.n != 0 && f->behind == 0 ? 0 : 500;
        n = epoll_wait(f->epoll, events, FLOOR_EVENTS, timeout);
        f->time = (uint32_t) time(NULL);

        if (f->behind == 0) {
            floor_resume(f);
        }

        for (i = 0; i < n; i++) {
            floor_event(f, events[i].data.ptr, events[i].events);
        }

        floor_send(f);
        floor_sweep(f);
    }
}


/* ------------------------------------------------------------------- start */

static void
floor_signal(int signo)
{
    (void) signo;
    floor_stop = 1;
}


static floor_fault_t
floor_fault(const char *name)
{
    return strcmp(name, "lose") == 0 ? FAULT_LOSE
           : strcmp(name, "twice") == 0 ? FAULT_TWICE
           : strcmp(name, "late") == 0 ? FAULT_LATE
           : strcmp(name, "stall") == 0 ? FAULT_STALL : FAULT_DAMAGE;
}


static int
floor_listen(floor_t *f, floor_conn_t *listener, unsigned port)
{
    struct epoll_event  ev;

    listener->role = FLOOR_LISTENER;
    listener->fd = net_listen("127.0.0.1", port);

    if (listener->fd == -1) {
        return -1;
    }

    ev.events = EPOLLIN|EPOLLET;
    ev.data.ptr = listener;

    return epoll_ctl(f->epoll, EPOLL_CTL_ADD, listener->fd, &ev);
}


int
main(int argc, char **argv)
{
    static const struct option  names[] = {
        { "port", 1, NULL, 'p' },
        { "key", 1, NULL, 'k' },
        { "seconds", 1, NULL, 's' },
        { "connections", 1, NULL, 'c' },
        { "fanout", 0, NULL, 'f' },
        { "fault", 1, NULL, 'x' },
        { "tls", 1, NULL, 't' },
        { NULL, 0, NULL, 0 }
    };

    int            opt;
    double         seconds;
    floor_t        f;
    unsigned       port, connections;
    const char    *file;
    floor_conn_t   listener;

    memset(&f, 0, sizeof(floor_t));
    memset(&listener, 0, sizeof(floor_conn_t));

    f.key = "test";
    f.random = net_now() | 1;
    port = 8012;
    connections = 4096;
    seconds = 600;
    file = NULL;

    while ((opt = getopt_long(argc, argv, "", names, NULL)) != -1) {

        switch (opt) {
        case 'p': port = (unsigned) atoi(optarg); break;
        case 'k': f.key = optarg; break;
        case 's': seconds = atof(optarg); break;
        case 'c': connections = (unsigned) atoi(optarg); break;
        case 'f': f.fanout = 1; break;
        case 't': file = optarg; break;
        case 'x': f.fault = floor_fault(optarg); break;
        default:
            fprintf(stderr, "kmq-floor: relay on 127.0.0.1 that keeps "
                    "nothing\n  --port N  --key KEY  --fanout  "
                    "--connections N  --seconds N (it ends then)  "
                    "--tls FILE (certificate and key)\n");
            return 2;
        }
    }

    signal(SIGTERM, floor_signal);
    signal(SIGINT, floor_signal);

    f.epoll = epoll_create1(EPOLL_CLOEXEC);

    if (f.epoll == -1 || net_nofile(connections) == -1
        || net_input_init(&f.in, FLOOR_FRAME_MAX, FLOOR_ASK) == -1
        || floor_listen(&f, &listener, port) == -1)
    {
        perror("kmq-floor");
        return 1;
    }

    if (file != NULL && (f.in.layer = tls_init(file)) == NULL) {
        return 1;
    }

    floor_run(&f, seconds);

    return 0;
}
