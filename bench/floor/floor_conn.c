#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "floor.h"


#define FLOOR_BEHIND  (256 * 1024)    /* bytes unsent that stop producers */


/* ------------------------------------------------------------------ lists */

int
floor_push(floor_list_t *list, floor_conn_t *conn)
{
    size_t          size;
    floor_conn_t  **at;

    if (list->n == list->size) {
        size = list->size * 2 + 16;
        at = realloc(list->at, size * sizeof(floor_conn_t *));

        if (at == NULL) {
            return -1;
        }

        list->at = at;
        list->size = size;
    }

    list->at[list->n++] = conn;

    return 0;
}


void
floor_mark_dirty(floor_t *f, floor_conn_t *conn)
{
    if (!conn->dirty && floor_push(&f->dirty, conn) == 0) {
        conn->dirty = 1;
    }
}


floor_topic_t *
floor_topic(floor_t *f, const char *name, size_t len)
{
    floor_topic_t  *t;

    for (t = f->topics; t != NULL; t = t->next) {
        if (strlen(t->name) == len && memcmp(t->name, name, len) == 0) {
            return t;
        }
    }

    t = calloc(1, sizeof(floor_topic_t));

    if (t != NULL) {
        memcpy(t->name, name, len);
        t->next = f->topics;
        f->topics = t;
    }

    return t;
}


/* ------------------------------------------------------------ connections */

void
floor_open(floor_t *f, int listener)
{
    int                  fd;
    floor_conn_t        *conn;
    struct epoll_event   ev;

    while ((fd = net_accept(listener)) != -1) {
        conn = calloc(1, sizeof(floor_conn_t));

        if (conn == NULL) {
            close(fd);
            continue;
        }

        conn->fd = fd;
        conn->role = FLOOR_NEW;
        ev.events = EPOLLIN|EPOLLOUT|EPOLLRDHUP|EPOLLET;
        ev.data.ptr = conn;

        if (epoll_ctl(f->epoll, EPOLL_CTL_ADD, fd, &ev) == -1) {
            close(fd);
            free(conn);
        }
    }
}


void
floor_close(floor_t *f, floor_conn_t *conn)
{
    floor_list_t  *list;

    if (conn->closed) {
        return;
    }

    conn->closed = 1;
    net_close(&f->in, conn->fd);
    f->behind -= conn->behind;

    if (conn->role == FLOOR_CONSUMER) {
        list = &conn->topic->consumers;
        list->at[conn->number] = list->at[--list->n];
        list->at[conn->number]->number = conn->number;
    }

    (void) floor_push(&f->closed, conn);
}


void
floor_sweep(floor_t *f)
{
    size_t         i, kept;
    floor_conn_t  *conn;

    for (i = 0, kept = 0; i < f->closed.n; i++) {
        conn = f->closed.at[i];

        if (conn->dirty || conn->unread) {
            f->closed.at[kept++] = conn;
            continue;
        }

        free(conn->rest.data);
        free(conn->out.data);
        free(conn);
    }

    f->closed.n = kept;
}


void
floor_flush(floor_t *f, floor_conn_t *conn)
{
    uint8_t  behind;
    size_t   waits;

    if (net_flush(&f->in, conn->fd, &conn->out) == -1) {
        floor_close(f, conn);
        return;
    }

    waits = conn->out.to - conn->out.from;

    /* half of it has to go before producers are read again */
    behind = waits > (conn->behind ? FLOOR_BEHIND / 2 : FLOOR_BEHIND);

    if (conn->role == FLOOR_CONSUMER) {
        f->behind += behind;
        f->behind -= conn->behind;
        conn->behind = behind;
    }
}
