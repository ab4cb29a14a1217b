/*
 * The machine at the other end, as the kernel knows it.  TCP_USER_TIMEOUT is
 * not for this: it also resets the connection of a client that lives, but does
 * not read.
 */

#include "ngx_kapokmq_peer.h"


/* Probes of keep-alive, and what comes before them, in quarters of a heartbeat:
 * data that a ping brings is there sooner, so that a client which answers is
 * never probed. */
#define NGX_KAPOKMQ_PROBES        3
#define NGX_KAPOKMQ_PROBES_AFTER  5

/* A machine that lives leaves probes unanswered that come within half a second
 * of an answer (tcp_invalid_ratelimit), in ms, with something to spare. */
#define NGX_KAPOKMQ_PROBE_ACK  2000


/* All connections of QUIC share a socket, and QUIC looks after them itself. */
static ngx_uint_t
ngx_kapokmq_peer_tcp(ngx_connection_t *c)
{
    return c->listening && c->listening->type == SOCK_STREAM
           && c->listening->sockaddr->sa_family != AF_UNIX;
}


static ngx_int_t
ngx_kapokmq_peer_option(ngx_connection_t *c, int level, int name, int value)
{
    if (setsockopt(c->fd, level, name, &value, sizeof(int)) == 0) {
        return NGX_OK;
    }

    ngx_connection_error(c, ngx_socket_errno,
                         "setsockopt() for keep-alive failed");
    return NGX_ERROR;
}


void
ngx_kapokmq_peer_watch(ngx_connection_t *c, ngx_msec_t heartbeat)
{
    int  idle, left, probes;

    if (!ngx_kapokmq_peer_tcp(c)) {
        return;
    }

    /* the kernel counts seconds */

    idle = (int) ((heartbeat * NGX_KAPOKMQ_PROBES_AFTER / 4 + 999) / 1000);
    left = (int) (2 * heartbeat / 1000) - idle;
    left = ngx_max(left, 1);
    probes = ngx_min(left, NGX_KAPOKMQ_PROBES);

    (void) (ngx_kapokmq_peer_option(c, SOL_SOCKET, SO_KEEPALIVE, 1) == NGX_OK
            && ngx_kapokmq_peer_option(c, IPPROTO_TCP, TCP_KEEPIDLE, idle)
               == NGX_OK
            && ngx_kapokmq_peer_option(c, IPPROTO_TCP, TCP_KEEPINTVL,
                                       left / probes)
               == NGX_OK
            && ngx_kapokmq_peer_option(c, IPPROTO_TCP, TCP_KEEPCNT, probes)
               == NGX_OK);
}


/*
 * Where data is on its way, each retransmission is acknowledged by a machine
 * that lives, even if it has no room for the data; so the last acknowledgement
 * is older than the time between two of them only when it does not.  Where all
 * is acknowledged and there is no room, the kernel probes for it, and counts
 * the probes since the last answer: some now, and some a heartbeat before.
 */
ngx_int_t
ngx_kapokmq_peer_check(ngx_connection_t *c, ngx_uint_t *probed,
    ngx_msec_t ms)
{
    socklen_t        len;
    ngx_uint_t       before;
    struct tcp_info  ti;

    len = sizeof(struct tcp_info);

    if (!ngx_kapokmq_peer_tcp(c)
        || getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &ti, &len) == -1)
    {
        return NGX_OK;
    }

    before = *probed;
    *probed = (ti.tcpi_probes != 0);

    if (ti.tcpi_last_ack_recv < ms) {
        return NGX_OK;
    }

    if (ti.tcpi_unacked == 0) {
        return before && *probed
               && ti.tcpi_last_ack_recv >= NGX_KAPOKMQ_PROBE_ACK
               ? NGX_DONE : NGX_OK;
    }

    return ti.tcpi_retransmits < 2
           || ti.tcpi_last_ack_recv < ti.tcpi_rto / 1000
           ? NGX_AGAIN : NGX_DONE;
}


/* A connection that timed out is closed without the last words of TLS. */
void
ngx_kapokmq_peer_reset(ngx_connection_t *c)
{
    struct linger  linger;

    linger.l_onoff = 1;
    linger.l_linger = 0;

    if (setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger,
                   sizeof(struct linger))
        == -1)
    {
        ngx_connection_error(c, ngx_socket_errno,
                             "setsockopt(SO_LINGER) failed");
    }

    c->timedout = 1;
}
