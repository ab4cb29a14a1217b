/* Clients that were let in: whether that still holds. */

#include "ngx_kapokmq_client.h"
#include "../worker/ngx_kapokmq_worker.h"


/* Timers go by a clock that nobody sets, and tokens by one that may be: so it
 * is looked at that often, in ms. */
#define NGX_KAPOKMQ_GUEST_LOOK  60000

/* Clients looked at in one turn after a reload: 1 ms with hundreds of keys,
 * when every other one is closed. */
#define NGX_KAPOKMQ_GUESTS_TURN  128


#define ngx_kapokmq_guest_client(g)                                           \
    ngx_queue_data(g, ngx_kapokmq_client_t, guest)


static ngx_int_t ngx_kapokmq_guest_timer(ngx_kapokmq_guest_t *guest);
static void ngx_kapokmq_guest_set(ngx_kapokmq_guest_t *guest);
static void ngx_kapokmq_guest_expired(ngx_event_t *ev);
static void ngx_kapokmq_guests_go_on(ngx_event_t *ev);
static void ngx_kapokmq_guests_turn(void);
static void ngx_kapokmq_guest_look(ngx_kapokmq_guest_t *guest,
    const kmq_keys_t *keys);
static ngx_uint_t ngx_kapokmq_guest_covered(ngx_kapokmq_guest_t *guest,
    const kmq_keys_t *keys);


/* All of this worker: those who are in by the keys of this number, and those of
 * whom that is not known yet. */
static ngx_queue_t  ngx_kapokmq_guests;
static ngx_queue_t  ngx_kapokmq_guests_left;
static uint64_t     ngx_kapokmq_guests_number;
static ngx_event_t  ngx_kapokmq_guests_event;


void
ngx_kapokmq_guests_init(ngx_log_t *log)
{
    ngx_queue_init(&ngx_kapokmq_guests);
    ngx_queue_init(&ngx_kapokmq_guests_left);

    ngx_kapokmq_event_init(&ngx_kapokmq_guests_event,
                           ngx_kapokmq_guests_go_on, log);
}


ngx_uint_t
ngx_kapokmq_guest_may(const kmq_client_info_t *info,
    const kmq_rights_t *rights)
{
    kmq_text_t  id, topic;

    id.data = info->id;
    id.len = info->id_len;
    topic.data = info->topic;
    topic.len = info->topic_len;

    return info->role == KMQ_CONSUMER ? kmq_may_consume(rights, topic, id)
                                      : kmq_may_produce(rights, topic, id);
}


ngx_int_t
ngx_kapokmq_guest_in(ngx_kapokmq_guest_t *guest, ngx_kapokmq_pass_t *pass)
{
    if (pass->open) {
        return NGX_OK;
    }

    guest->access = pass->access;
    guest->access.rights = NULL;

    if (kmq_rights_kind(pass->access.rights) == KMQ_WHO_TOKEN) {

        if (ngx_kapokmq_guest_timer(guest) != NGX_OK) {
            return NGX_ERROR;
        }

        guest->access.rights = pass->access.rights;
        pass->access.rights = NULL;
    }

    ngx_queue_insert_tail(&ngx_kapokmq_guests, &guest->queue);

    return NGX_OK;
}


void
ngx_kapokmq_guest_out(ngx_kapokmq_guest_t *guest)
{
    if (guest->queue.next) {
        ngx_queue_remove(&guest->queue);
        guest->queue.next = NULL;
    }

    if (guest->expiry) {

        if (guest->expiry->timer_set) {
            ngx_del_timer(guest->expiry);
        }

        ngx_free(guest->expiry);
        guest->expiry = NULL;
    }

    free(guest->access.rights);
    guest->access.rights = NULL;
}


/* ------------------------------------------------------------------ tokens */

static ngx_int_t
ngx_kapokmq_guest_timer(ngx_kapokmq_guest_t *guest)
{
    ngx_event_t           *ev;
    ngx_kapokmq_client_t  *client;

    client = ngx_kapokmq_guest_client(guest);

    ev = ngx_calloc(sizeof(ngx_event_t), client->log);
    if (ev == NULL) {
        return NGX_ERROR;
    }

    ngx_kapokmq_event_init(ev, ngx_kapokmq_guest_expired, client->log);
    ev->data = guest;

    guest->expiry = ev;
    ngx_kapokmq_guest_set(guest);

    return NGX_OK;
}


static void
ngx_kapokmq_guest_set(ngx_kapokmq_guest_t *guest)
{
    int64_t      ms;
    ngx_time_t  *tp;

    tp = ngx_timeofday();
    ms = ((int64_t) guest->access.expires - tp->sec) * 1000 - tp->msec;
    ms = ngx_max(ms, 1);

    if (guest->expiry->timer_set) {
        ngx_del_timer(guest->expiry);
    }

    ngx_add_timer(guest->expiry,
                  (ngx_msec_t) ngx_min(ms, NGX_KAPOKMQ_GUEST_LOOK));
}


static void
ngx_kapokmq_guest_expired(ngx_event_t *ev)
{
    ngx_kapokmq_guest_t   *guest;
    ngx_kapokmq_client_t  *client;

    guest = ev->data;

    if ((int64_t) guest->access.expires > ngx_time()) {
        ngx_kapokmq_guest_set(guest);
        return;
    }

    client = ngx_kapokmq_guest_client(guest);

    ngx_log_error(NGX_LOG_INFO, client->log, 0,
                  "client is closed: its token has expired");

    ngx_kapokmq_clock();
    client->close(client, KMQ_DISCONNECTED, "token expired");
    ngx_kapokmq_wake();
}


static const char *
ngx_kapokmq_guest_take(ngx_kapokmq_guest_t *guest, ngx_kapokmq_pass_t *pass)
{
    kmq_text_t             old, new;
    kmq_client_info_t      info;
    ngx_kapokmq_client_t  *client;

    old = kmq_rights_name(guest->access.rights);
    new = kmq_rights_name(pass->access.rights);

    if (old.len != new.len || ngx_memcmp(old.data, new.data, old.len) != 0) {
        return "the token is of another subject";
    }

    client = ngx_kapokmq_guest_client(guest);

    if (kmq_client(ngx_kapokmq_worker.kmq, client->ref, 0, &info) != KMQ_OK
        || !ngx_kapokmq_guest_may(&info, pass->access.rights))
    {
        return "the token has no right to this topic";
    }

    free(guest->access.rights);
    guest->access = pass->access;
    pass->access.rights = NULL;

    ngx_kapokmq_guest_set(guest);

    return NULL;
}


const char *
ngx_kapokmq_guest_renew(ngx_kapokmq_guest_t *guest, ngx_connection_t *c,
    ngx_uint_t limit, const u_char *token, size_t len)
{
    const char          *error;
    ngx_kapokmq_pass_t   pass;

    if (guest->expiry == NULL) {
        return "there is no token to renew";
    }

    ngx_memzero(&pass, sizeof(ngx_kapokmq_pass_t));

    switch (ngx_kapokmq_key_renew(c, limit, token, len, &pass)) {

    case KMQ_ACCESS_GOOD:
        error = ngx_kapokmq_guest_take(guest, &pass);
        free(pass.access.rights);
        return error;

    case KMQ_ACCESS_EXPIRED:
        return "the token has expired";

    case KMQ_ACCESS_ELSEWHERE:
    case KMQ_ACCESS_FAILED:
        return "the token cannot be verified now";

    default:
        return "the token is wrong";
    }
}


/* ------------------------------------------------------------------ reload */

void
ngx_kapokmq_guests_check(void)
{
    (void) ngx_kapokmq_keys();

    if (ngx_kapokmq_guests_number == ngx_kapokmq_worker.keys_number) {
        return;
    }

    ngx_kapokmq_guests_number = ngx_kapokmq_worker.keys_number;

    if (!ngx_queue_empty(&ngx_kapokmq_guests)) {
        ngx_queue_add(&ngx_kapokmq_guests_left, &ngx_kapokmq_guests);
        ngx_queue_init(&ngx_kapokmq_guests);
    }

    ngx_kapokmq_guests_turn();
}


ngx_uint_t
ngx_kapokmq_guests_checked(void)
{
    return ngx_queue_empty(&ngx_kapokmq_guests_left);
}


static void
ngx_kapokmq_guests_go_on(ngx_event_t *ev)
{
    (void) ev;

    ngx_kapokmq_clock();
    ngx_kapokmq_guests_turn();
    ngx_kapokmq_wake();
}


/* There may be tens of thousands, and others wait for their turn. */
static void
ngx_kapokmq_guests_turn(void)
{
    ngx_uint_t         n;
    ngx_queue_t       *q;
    const kmq_keys_t  *keys;

    keys = ngx_kapokmq_keys();

    for (n = 0; n < NGX_KAPOKMQ_GUESTS_TURN; n++) {

        if (ngx_queue_empty(&ngx_kapokmq_guests_left)) {
            return;
        }

        q = ngx_queue_head(&ngx_kapokmq_guests_left);
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&ngx_kapokmq_guests, q);

        ngx_kapokmq_guest_look(ngx_queue_data(q, ngx_kapokmq_guest_t, queue),
                               keys);
    }

    ngx_post_event(&ngx_kapokmq_guests_event, &ngx_posted_next_events);
}


static void
ngx_kapokmq_guest_look(ngx_kapokmq_guest_t *guest, const kmq_keys_t *keys)
{
    ngx_kapokmq_client_t  *client;

    if (ngx_kapokmq_guest_covered(guest, keys)) {
        return;
    }

    client = ngx_kapokmq_guest_client(guest);

    ngx_log_error(NGX_LOG_INFO, client->log, 0,
                  "client is closed: its key is not valid any more");

    client->close(client, KMQ_DISCONNECTED, "the key is not valid any more");
}


/* What a token says does not change; a key's rights may. */
static ngx_uint_t
ngx_kapokmq_guest_covered(ngx_kapokmq_guest_t *guest, const kmq_keys_t *keys)
{
    kmq_client_info_t      info;
    const kmq_rights_t    *rights;
    ngx_kapokmq_client_t  *client;

    if (guest->access.rights) {
        return kmq_keys_token(keys, &guest->access.digest);
    }

    rights = kmq_keys_find(keys, &guest->access.digest);

    if (rights == NULL) {
        return 0;
    }

    if (kmq_rights_kind(rights) == KMQ_WHO_SECRET) {
        return 1;
    }

    client = ngx_kapokmq_guest_client(guest);

    /* one that has left already does nothing */

    return client->ref == 0
           || kmq_client(ngx_kapokmq_worker.kmq, client->ref, 0, &info)
              != KMQ_OK
           || ngx_kapokmq_guest_may(&info, rights);
}
