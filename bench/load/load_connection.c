/* Connections, of whichever clients: their protocol says what each begins
 * with. */

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "load.h"


int
load_connect(load_t *l, client_t *c)
{
    struct epoll_event  ev;

    c->fd = net_connect(l->o.host, l->o.port);

    if (c->fd == -1) {
        load_fail(l, "connection to %s:%u: %s", l->o.host, l->o.port,
                  strerror(errno));
        return -1;
    }

    ev.events = EPOLLIN|EPOLLOUT|EPOLLRDHUP|EPOLLET;
    ev.data.ptr = c;

    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &ev) == -1) {
        load_fail(l, "epoll_ctl: %s", strerror(errno));
        return -1;
    }

    return 0;
}


int
load_open_next(load_t *l)
{
    client_t  *c;

    c = &l->clients[l->started++];

    if (load_connect(l, c) == -1) {
        return -1;
    }

    if (l->protocol->request(l, c) == -1) {
        load_fail(l, "no memory");
        return -1;
    }

    return 0;
}


size_t
load_upgraded(client_t *c, unsigned char *data, size_t size)
{
    static const char  ok[] = "HTTP/1.1 101 ";

    unsigned char  *end;

    end = memmem(data, size, "\r\n\r\n", 4);

    if (end == NULL) {
        return 0;
    }

    if (size < sizeof(ok) - 1 || memcmp(data, ok, sizeof(ok) - 1) != 0
        || memmem(data, (size_t) (end - data), WIRE_WS_ACCEPT,
                  sizeof(WIRE_WS_ACCEPT) - 1) == NULL)
    {
        return NET_CLOSE;
    }

    c->state = CLIENT_LOGIN;

    return (size_t) (end - data) + 4;
}


void
load_close(load_t *l, client_t *c, const char *why)
{
    /* by role */
    static const char  *const  name[] = {
        "producer", "consumer", "visitor", "searcher", "settler"
    };

    if (load_return_again(l, c)) {
        return;
    }

    load_fail(l, "connection of %s %u: %s", name[c->role], c->number, why);

    if (c->lost != NULL) {
        c->lost(l, c);
    }

    net_close(&l->in, c->fd);
    c->fd = -1;
    c->state = CLIENT_CLOSED;
    l->closed++;
}
