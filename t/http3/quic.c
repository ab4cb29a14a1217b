/* The connection: UDP, TLS and QUIC. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "client.h"


#define PACKET_MAX  65536
#define VECTORS     16
#define IDLE        (600 * NGTCP2_SECONDS)
#define WINDOW      (64 * 1024 * 1024)

/* as browsers do while they wait: so it learns that the server is gone */
#define KEEP_ALIVE  (500 * NGTCP2_MILLISECONDS)

#define PRIORITY    "NORMAL:-VERS-ALL:+VERS-TLS1.3:%DISABLE_TLS13_COMPAT_MODE"


static int quic_socket(const char *port);
static void quic_tls(void);
static void quic_connect(uint64_t window);
static void quic_callbacks(ngtcp2_callbacks *callbacks);
static ngtcp2_conn *quic_of(ngtcp2_crypto_conn_ref *ref);
static int quic_write_packet(int fd);
static int quic_stuck(int rc, int64_t id, ngtcp2_ssize taken);
static void quic_send(int fd, const uint8_t *packet, size_t len);
static void quic_failed(int rc);

static int on_ready(ngtcp2_conn *quic, void *user);
static int on_bytes(ngtcp2_conn *quic, uint32_t flags, int64_t id,
    uint64_t offset, const uint8_t *data, size_t len, void *user,
    void *stream);
static int on_acked(ngtcp2_conn *quic, int64_t id, uint64_t offset,
    uint64_t len, void *user, void *stream);
static int on_close(ngtcp2_conn *quic, uint32_t flags, int64_t id,
    uint64_t code, void *user, void *stream);
static int on_reset(ngtcp2_conn *quic, int64_t id, uint64_t size,
    uint64_t code, void *user, void *stream);
static int on_stop(ngtcp2_conn *quic, int64_t id, uint64_t code, void *user,
    void *stream);
static int on_room(ngtcp2_conn *quic, int64_t id, uint64_t max, void *user,
    void *stream);
static int on_stateless(ngtcp2_conn *quic,
    const ngtcp2_pkt_stateless_reset *reset, void *user);
static void on_random(uint8_t *to, size_t len, const ngtcp2_rand_ctx *ctx);
static int on_new_id(ngtcp2_conn *quic, ngtcp2_cid *cid, uint8_t *token,
    size_t len, void *user);


static gnutls_session_t        tls;
static struct sockaddr_in      local, remote;
static ngtcp2_path             path;
static ngtcp2_crypto_conn_ref  ref = { quic_of, NULL };


ngtcp2_tstamp
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (ngtcp2_tstamp) ts.tv_sec * NGTCP2_SECONDS
           + (ngtcp2_tstamp) ts.tv_nsec;
}


/* ----------------------------------------------------------------- connect */

/* window: how much a stream may send that has not been read.  Returns the
 * socket. */
int
quic_start(const char *port, uint64_t window)
{
    int  fd;

    fd = quic_socket(port);
    quic_tls();
    quic_connect(window);

    return fd;
}


static int
quic_socket(const char *port)
{
    int        fd, size;
    socklen_t  len;

    fd = socket(AF_INET, SOCK_DGRAM, 0);
    size = 4 * 1024 * 1024;
    len = sizeof(local);

    remote.sin_family = AF_INET;
    remote.sin_port = htons((uint16_t) atoi(port));
    remote.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    if (fd == -1
        || connect(fd, (struct sockaddr *) &remote, sizeof(remote)) == -1
        || getsockname(fd, (struct sockaddr *) &local, &len) == -1
        || fcntl(fd, F_SETFL, O_NONBLOCK) == -1)
    {
        die("the socket", strerror(errno));
    }

    (void) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));

    path.local.addr = (ngtcp2_sockaddr *) &local;
    path.local.addrlen = sizeof(local);
    path.remote.addr = (ngtcp2_sockaddr *) &remote;
    path.remote.addrlen = sizeof(remote);

    return fd;
}


/* Whoever the server says it is: it is a test's. */
static void
quic_tls(void)
{
    gnutls_datum_t                    alpn = { (unsigned char *) "h3", 2 };
    gnutls_certificate_credentials_t  cred;

    if (gnutls_certificate_allocate_credentials(&cred)
        || gnutls_init(&tls, GNUTLS_CLIENT)
        || gnutls_priority_set_direct(tls, PRIORITY, NULL)
        || ngtcp2_crypto_gnutls_configure_client_session(tls)
        || gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE, cred)
        || gnutls_alpn_set_protocols(tls, &alpn, 1, 0)
        || gnutls_server_name_set(tls, GNUTLS_NAME_DNS, "localhost", 9))
    {
        die("TLS", "cannot be set up");
    }

    gnutls_session_set_ptr(tls, &ref);
}


static ngtcp2_conn *
quic_of(ngtcp2_crypto_conn_ref *conn_ref)
{
    (void) conn_ref;

    return client.quic;
}


static void
quic_connect(uint64_t window)
{
    ngtcp2_cid               dcid, scid;
    ngtcp2_settings          settings;
    ngtcp2_callbacks         callbacks;
    ngtcp2_transport_params  params;

    quic_callbacks(&callbacks);

    ngtcp2_settings_default(&settings);
    settings.initial_ts = now();

    ngtcp2_transport_params_default(&params);
    params.initial_max_stream_data_bidi_local = window;
    params.initial_max_stream_data_uni = 65536;
    params.initial_max_data = WINDOW;
    params.initial_max_streams_uni = 100;
    params.max_idle_timeout = IDLE;

    dcid.datalen = scid.datalen = 16;
    on_random(dcid.data, dcid.datalen, NULL);
    on_random(scid.data, scid.datalen, NULL);

    if (ngtcp2_conn_client_new(&client.quic, &dcid, &scid, &path,
                               NGTCP2_PROTO_VER_V1, &callbacks, &settings,
                               &params, NULL, NULL))
    {
        die("QUIC", "cannot be set up");
    }

    ngtcp2_conn_set_tls_native_handle(client.quic, tls);
    ngtcp2_conn_set_keep_alive_timeout(client.quic, KEEP_ALIVE);
}


static void
quic_callbacks(ngtcp2_callbacks *callbacks)
{
    memset(callbacks, 0, sizeof(ngtcp2_callbacks));

    callbacks->client_initial = ngtcp2_crypto_client_initial_cb;
    callbacks->recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
    callbacks->encrypt = ngtcp2_crypto_encrypt_cb;
    callbacks->decrypt = ngtcp2_crypto_decrypt_cb;
    callbacks->hp_mask = ngtcp2_crypto_hp_mask_cb;
    callbacks->recv_retry = ngtcp2_crypto_recv_retry_cb;
    callbacks->update_key = ngtcp2_crypto_update_key_cb;
    callbacks->delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
    callbacks->delete_crypto_cipher_ctx =
        ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
    callbacks->get_path_challenge_data =
        ngtcp2_crypto_get_path_challenge_data_cb;
    callbacks->version_negotiation = ngtcp2_crypto_version_negotiation_cb;

    callbacks->handshake_completed = on_ready;
    callbacks->recv_stream_data = on_bytes;
    callbacks->acked_stream_data_offset = on_acked;
    callbacks->stream_close = on_close;
    callbacks->stream_reset = on_reset;
    callbacks->stream_stop_sending = on_stop;
    callbacks->extend_max_stream_data = on_room;
    callbacks->recv_stateless_reset = on_stateless;
    callbacks->rand = on_random;
    callbacks->get_new_connection_id = on_new_id;
}


static void
on_random(uint8_t *to, size_t len, const ngtcp2_rand_ctx *ctx)
{
    (void) ctx;

    if (gnutls_rnd(GNUTLS_RND_RANDOM, to, len)) {
        die("gnutls_rnd", "failed");
    }
}


static int
on_new_id(ngtcp2_conn *quic, ngtcp2_cid *cid, uint8_t *token, size_t len,
    void *user)
{
    (void) quic;
    (void) user;

    on_random(cid->data, len, NULL);
    cid->datalen = len;
    on_random(token, NGTCP2_STATELESS_RESET_TOKENLEN, NULL);

    return 0;
}


static int
on_ready(ngtcp2_conn *quic, void *user)
{
    (void) quic;
    (void) user;

    http_start();
    return 0;
}


/* -------------------------------------------------------------------- read */

void
quic_read(int fd)
{
    int              rc;
    ssize_t          n;
    uint8_t          packet[PACKET_MAX];
    ngtcp2_pkt_info  info = { 0 };

    while (!client.over) {
        n = recv(fd, packet, sizeof(packet), 0);

        if (n == -1) {
            if (errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED) {
                die("recv", strerror(errno));
            }

            return;
        }

        rc = ngtcp2_conn_read_pkt(client.quic, &path, &info, packet, n, now());

        if (rc) {
            quic_failed(rc);
        }
    }
}


static void
quic_failed(int rc)
{
    char                           why[1100];
    ngtcp2_connection_close_error  error;

    if (client.over) {
        return;
    }

    if (rc != NGTCP2_ERR_DRAINING) {
        tell_closed(0, ngtcp2_strerror(rc));
        return;
    }

    ngtcp2_conn_get_connection_close_error(client.quic, &error);
    snprintf(why, sizeof(why), "%.*s", (int) error.reasonlen, error.reason);
    tell_closed(error.error_code, why);
}


static int
on_stateless(ngtcp2_conn *quic, const ngtcp2_pkt_stateless_reset *reset,
    void *user)
{
    (void) quic;
    (void) reset;
    (void) user;

    tell_closed(0, "stateless reset");
    return 0;
}


static int
on_bytes(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t offset,
    const uint8_t *data, size_t len, void *user, void *stream)
{
    nghttp3_ssize  n;

    (void) offset;
    (void) user;
    (void) stream;

    n = nghttp3_conn_read_stream(client.http, id, data, len,
                                 (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0);
    if (n < 0) {
        tell_closed(nghttp3_err_infer_quic_app_error_code((int) n),
                    nghttp3_strerror((int) n));
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }

    ngtcp2_conn_extend_max_stream_offset(quic, id, n);
    ngtcp2_conn_extend_max_offset(quic, n);

    return 0;
}


static int
on_close(ngtcp2_conn *quic, uint32_t flags, int64_t id, uint64_t code,
    void *user, void *stream)
{
    (void) quic;
    (void) user;
    (void) stream;

    if (!(flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET)) {
        code = NGHTTP3_H3_NO_ERROR;
    }

    (void) nghttp3_conn_close_stream(client.http, id, code);
    return 0;
}


static int
on_reset(ngtcp2_conn *quic, int64_t id, uint64_t size, uint64_t code,
    void *user, void *stream)
{
    (void) quic;
    (void) size;
    (void) code;
    (void) user;
    (void) stream;

    (void) nghttp3_conn_shutdown_stream_read(client.http, id);
    return 0;
}


/* The server wants no more of a body. */
static int
on_stop(ngtcp2_conn *quic, int64_t id, uint64_t code, void *user,
    void *stream)
{
    (void) quic;
    (void) code;
    (void) user;
    (void) stream;

    nghttp3_conn_shutdown_stream_write(client.http, id);
    return 0;
}


/* ------------------------------------------------------------------- write */

void
quic_write(int fd)
{
    while (!client.over && quic_write_packet(fd)) {
        /* void */
    }

    ngtcp2_conn_update_pkt_tx_time(client.quic, now());
}


/* Returns whether there may be more. */
static int
quic_write_packet(int fd)
{
    int              fin;
    int64_t          id;
    uint8_t          packet[PACKET_MAX];
    uint32_t         flags;
    nghttp3_vec      vec[VECTORS];
    ngtcp2_ssize     n, taken;
    nghttp3_ssize    nvec;
    ngtcp2_pkt_info  info;

    id = -1;
    fin = 0;
    nvec = 0;

    if (client.http && ngtcp2_conn_get_max_data_left(client.quic)) {
        nvec = nghttp3_conn_writev_stream(client.http, &id, &fin, vec,
                                          VECTORS);
        if (nvec < 0) {
            die("nghttp3_conn_writev_stream", nghttp3_strerror((int) nvec));
        }
    }

    flags = NGTCP2_WRITE_STREAM_FLAG_MORE
            | (fin ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0);

    n = ngtcp2_conn_writev_stream(client.quic, NULL, &info, packet,
                                  NGTCP2_MAX_UDP_PAYLOAD_SIZE, &taken, flags,
                                  id, (ngtcp2_vec *) vec, nvec, now());
    if (n < 0) {
        return quic_stuck((int) n, id, taken);
    }

    if (taken >= 0) {
        nghttp3_conn_add_write_offset(client.http, id, taken);
    }

    if (n > 0) {
        quic_send(fd, packet, n);
    }

    return n > 0;
}


static int
quic_stuck(int rc, int64_t id, ngtcp2_ssize taken)
{
    switch (rc) {

    case NGTCP2_ERR_WRITE_MORE:
        nghttp3_conn_add_write_offset(client.http, id, taken);
        return 1;

    case NGTCP2_ERR_STREAM_DATA_BLOCKED:
        nghttp3_conn_block_stream(client.http, id);
        return 1;

    case NGTCP2_ERR_STREAM_SHUT_WR:
    case NGTCP2_ERR_STREAM_NOT_FOUND:
        nghttp3_conn_shutdown_stream_write(client.http, id);
        return 1;

    default:
        quic_failed(rc);
        return 0;
    }
}


/* What does not go is lost, and sent again. */
static void
quic_send(int fd, const uint8_t *packet, size_t len)
{
    if (send(fd, packet, len, 0) == -1 && errno != EAGAIN && errno != EINTR
        && errno != ECONNREFUSED && errno != ENOBUFS)
    {
        die("send", strerror(errno));
    }
}


static int
on_acked(ngtcp2_conn *quic, int64_t id, uint64_t offset, uint64_t len,
    void *user, void *stream)
{
    (void) quic;
    (void) offset;
    (void) user;
    (void) stream;

    (void) nghttp3_conn_add_ack_offset(client.http, id, len);
    return 0;
}


static int
on_room(ngtcp2_conn *quic, int64_t id, uint64_t max, void *user, void *stream)
{
    (void) quic;
    (void) max;
    (void) user;
    (void) stream;

    (void) nghttp3_conn_unblock_stream(client.http, id);
    return 0;
}


void
quic_expire(void)
{
    int            rc;
    ngtcp2_tstamp  ts;

    ts = now();

    if (client.over || ngtcp2_conn_get_expiry(client.quic) > ts) {
        return;
    }

    rc = ngtcp2_conn_handle_expiry(client.quic, ts);
    if (rc) {
        quic_failed(rc);
    }
}


/* Says goodbye. */
void
quic_close(int fd)
{
    uint8_t                        packet[NGTCP2_MAX_UDP_PAYLOAD_SIZE];
    ngtcp2_ssize                   n;
    ngtcp2_pkt_info                info;
    ngtcp2_connection_close_error  error;

    ngtcp2_connection_close_error_default(&error);
    ngtcp2_connection_close_error_set_application_error(
        &error, NGHTTP3_H3_NO_ERROR, NULL, 0);

    n = ngtcp2_conn_write_connection_close(client.quic, NULL, &info, packet,
                                           sizeof(packet), &error, now());
    if (n > 0) {
        quic_send(fd, packet, n);
    }

    client.over = 1;
}
