#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "load.h"
#include "../common/wire.h"


#define LOAD_OUT_BATCH   (512 * 1024)      /* bytes composed for one send() */
#define LOAD_OUT_MAX     (64 * 1024 * 1024)

static const char  load_welcome[] = "Secret key matching succeeded";
static const unsigned char  load_ok[4] = { 0x81, 0x02, 'o', 'k' };

static int load_clients_init(load_t *l);
static int load_request(load_t *l, client_t *c);
static void load_event(load_t *l, client_t *c, unsigned events);
static void load_fill(load_t *l, client_t *c);
static void load_schedule(load_t *l, uint64_t now);
static void load_pong(load_t *l, client_t *c);
static size_t load_parse(void *arg, unsigned char *data, size_t size);


const load_protocol_t  load_websocket = {
    load_clients_init, load_request, load_event, load_fill, load_schedule,
    load_pong
};


/* ---------------------------------------------------------------- opening */

/*
 * A producer's frame, masked: the mask stays the same for the connection, so
 * that only the stamp, and the delay, is left to be masked for each message.
 */
static int
load_frame_init(load_t *l, client_t *c)
{
    size_t          head, tail, size;
    const char     *end;
    unsigned char  *p, *plain;

    end = l->o.delayed ? WIRE_JSON_DELAY WIRE_DELAY "}"
          : l->o.json ? WIRE_JSON_END : "";

    head = *end != '\0' ? sizeof(WIRE_JSON) - 1 : 0;
    tail = strlen(end);
    size = head + l->o.size + tail;

    plain = malloc(size);
    c->frame = malloc(size + WIRE_HEADER_MAX);

    if (plain == NULL || c->frame == NULL) {
        free(plain);
        return -1;
    }

    memcpy(plain, WIRE_JSON, head);
    memcpy(plain + head, l->data, l->o.size);
    memcpy(plain + head + l->o.size, end, tail);
    wire_store(plain + head, wire_letters(c->number));

    p = wire_masked(c->frame, WIRE_TEXT, plain, size, c->mask);
    free(plain);

    l->frame_size = (size_t) (p - c->frame);
    l->stamp_at = l->frame_size - size + head;
    l->delay_at = l->frame_size - sizeof(WIRE_DELAY "}") + 1;
    l->delay_turn = (size - sizeof(WIRE_DELAY "}") + 1) % 4;

    return 0;
}


static int
load_clients_init(load_t *l)
{
    unsigned   i;
    client_t  *c;

    l->nconsumers = l->o.ingest ? 0 : l->o.consumers * l->o.topics;
    l->nproducers = l->o.producers * l->o.topics;

    if (l->o.idle != 0) {
        l->nconsumers = l->o.idle;
        l->nproducers = l->meanwhile != NULL && l->process == 0;
    }

    l->nclients = l->nconsumers + l->nproducers;
    l->random = UINT64_C(0x2545f4914f6cdd1d);
    l->clients = calloc(l->nclients, sizeof(client_t));

    if (l->clients == NULL || load_data_init(l) == -1) {
        return -1;
    }

    for (i = 0; i < l->nclients; i++) {
        c = &l->clients[i];
        c->fd = -1;
        c->role = i < l->nconsumers ? LOAD_CONSUMER : LOAD_PRODUCER;
        c->number = i < l->nconsumers ? i : i - l->nconsumers;
        c->mask = (uint32_t) rand() * 2654435761u ^ (uint32_t) net_now();

        if (c->role == LOAD_PRODUCER) {
            c->topic = c->number / l->o.producers;

            if (l->o.batch == 0 && load_frame_init(l, c) == -1) {
                return -1;
            }

            if (l->o.answers) {
                c->asked = calloc(l->o.window, sizeof(uint64_t));

                if (c->asked == NULL) {
                    return -1;
                }
            }

        } else if (l->o.idle == 0) {
            c->topic = c->number / l->o.consumers;
        }

        if (load_door_init(l, c) == -1) {
            return -1;
        }
    }

    return 0;
}


static int
load_request(load_t *l, client_t *c)
{
    /* by role */
    static const char  *const  prefix[] = { "p", "c", "v" };

    int             n;
    char            topic[LOAD_TOPIC], query[32];
    unsigned char  *p;

    if (c->door != NULL) {
        return c->door->request(l, c);
    }

    load_topic(l, c, topic);
    query[0] = '\0';

    if (c->role != LOAD_PRODUCER && l->o.confirm != NULL) {
        snprintf(query, sizeof(query), "?confirm=%s", l->o.confirm);
    }

    p = net_room(&c->out, 1024);

    if (p == NULL) {
        return -1;
    }

    n = snprintf((char *) p, 1024,
                 "GET /%s/Conn/%s/%s%u%s HTTP/1.1\r\n"
                 "Host: %s:%u\r\n"
                 "Upgrade: websocket\r\n"
                 "Connection: Upgrade\r\n"
                 "Sec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: " WIRE_WS_KEY "\r\n"
                 "secretKey: %s\r\n\r\n",
                 c->role == LOAD_PRODUCER ? "Producers" : "Consumers", topic,
                 prefix[c->role], c->number, query,
                 l->o.host, l->o.port, l->o.key);

    if (n < 0 || n >= 1024) {
        return -1;
    }

    c->out.to += (size_t) n;

    return 0;
}


/* ----------------------------------------------------------------- events */

static void
load_event(load_t *l, client_t *c, unsigned events)
{
    load_read_t  r;

    if (c->state == CLIENT_CLOSED) {
        return;
    }

    if (c->role == LOAD_SEARCHER) {
        load_search_event(l, c, events);
        return;
    }

    if (c->door != NULL) {
        load_door_event(l, c, events);
        return;
    }

    if (events & (EPOLLIN|EPOLLRDHUP|EPOLLHUP|EPOLLERR)) {
        r.load = l;
        r.client = c;

        if (net_read(&l->in, c->fd, &c->rest, UINT_MAX, load_parse, &r)
            == NET_CLOSED)
        {
            load_close(l, c, "ended by the server");
            return;
        }
    }

    if (net_flush(&l->in, c->fd, &c->out) == -1) {
        load_close(l, c, strerror(errno));
        return;
    }

    if (c->role == LOAD_PRODUCER) {
        load_fill(l, c);
    }
}


/* ---------------------------------------------------------------- reading */

/* Sends a frame's answer with what else this read will have to send. */
static int
load_answer(client_t *c, unsigned opcode, const unsigned char *data,
    size_t size)
{
    unsigned char  *p;

    if (c->out.to - c->out.from > LOAD_OUT_MAX) {
        return -1;
    }

    p = net_room(&c->out, size + WIRE_HEADER_MAX);

    if (p == NULL) {
        return -1;
    }

    c->out.to = (size_t) (wire_masked(p, opcode, data, size, c->mask)
                          - c->out.data);

    return 0;
}


static int
load_text(load_read_t *r, const unsigned char *data, size_t size)
{
    load_t    *l;
    client_t  *c;

    l = r->load;
    c = r->client;

    if (c->state == CLIENT_LOGIN) {
        if (size != sizeof(load_welcome) - 1
            || memcmp(data, load_welcome, size) != 0)
        {
            load_fail(l, "login: %.*s", size > 100 ? 100 : (int) size, data);
            return -1;
        }

        c->state = CLIENT_READY;

        if (c->role == LOAD_VISITOR) {
            load_churn_ready(l, c);

        } else {
            l->ready++;
            load_return_ready(l, c);
        }

        return 0;
    }

    if (c->role != LOAD_PRODUCER) {
        load_message(r, data, size);

        return l->o.confirm != NULL && l->o.confirm[0] == 'a'
               ? load_answer(c, WIRE_TEXT, data + sizeof(WIRE_HEAD) - 1,
                             WIRE_CODE_LEN)
               : 0;
    }

    load_answered(r, 1);

    if (size != 2 || memcmp(data, "ok", 2) != 0) {
        c->errors++;
        l->errors++;
        load_fail(l, "answer: %.*s", size > 200 ? 200 : (int) size, data);
    }

    return 0;
}


/* --depth: a consumer that answers no ping has its prefetch, and no more. */
static int
load_ping(load_t *l, client_t *c, const wire_frame_t *f)
{
    if (!load_deep_paused(l)) {
        return load_answer(c, WIRE_PONG, f->data, f->size);
    }

    if (f->size > WIRE_CONTROL_MAX) {
        return -1;
    }

    memcpy(c->ping, f->data, f->size);
    c->ping_size = (uint8_t) f->size;
    c->pinged = 1;

    return 0;
}


static void
load_pong(load_t *l, client_t *c)
{
    if (!c->pinged || c->state != CLIENT_READY) {
        return;
    }

    c->pinged = 0;

    if (load_answer(c, WIRE_PONG, c->ping, c->ping_size) == -1
        || net_flush(&l->in, c->fd, &c->out) == -1)
    {
        load_close(l, c, strerror(errno));
    }
}


static int
load_close_came(load_read_t *r, const wire_frame_t *f)
{
    unsigned  code;

    code = f->size < 2 ? 1005u : f->data[0] * 256u + f->data[1];

    if (load_return_away(r->load, r->client, code)) {
        (void) load_answer(r->client, WIRE_CLOSE, f->data, f->size);

    } else {
        load_fail(r->load, "close frame %u", code);
    }

    return -1;
}


static int
load_frame(load_read_t *r, const wire_frame_t *f)
{
    switch (f->first) {

    case WIRE_FIN|WIRE_TEXT:
        return load_text(r, f->data, f->size);

    case WIRE_FIN|WIRE_PING:
        return load_ping(r->load, r->client, f);

    case WIRE_FIN|WIRE_PONG:
        return 0;

    case WIRE_FIN|WIRE_CLOSE:
        return load_close_came(r, f);

    default:
        load_fail(r->load, "a frame that begins with %02x", f->first);
        return -1;
    }
}


/* Counts the "ok" frames at the front of data; most of what producers read. */
static size_t
load_oks(load_read_t *r, const unsigned char *data, size_t size)
{
    size_t  n;

    for (n = 0; n + 4 <= size && memcmp(data + n, load_ok, 4) == 0; n += 4) {
        /* void */
    }

    load_answered(r, (uint32_t) (n / 4));

    return n;
}


static size_t
load_parse(void *arg, unsigned char *data, size_t size)
{
    size_t         used;
    client_t      *c;
    load_read_t   *r;
    wire_frame_t   f;

    r = arg;
    c = r->client;
    used = 0;

    if (c->state == CLIENT_UPGRADE) {
        used = load_upgraded(c, data, size);

        if (used == NET_CLOSE) {
            load_fail(r->load, "no upgrade: %.*s",
                      (int) ((unsigned char *) memchr(data, '\r', size) - data),
                      data);
        }

        if (used == 0 || used == NET_CLOSE) {
            return used;
        }
    }

    r->now = net_now();
    r->load->progress = r->now;

    for ( ;; ) {
        if (c->role == LOAD_PRODUCER && c->state == CLIENT_READY) {
            used += load_oks(r, data + used, size - used);
        }

        if (!wire_frame(&f, data + used, size - used)) {
            return used;
        }

        if (load_frame(r, &f) == -1) {
            return NET_CLOSE;
        }

        used += f.length;
    }
}


/* ---------------------------------------------------------------- sending */

/* Draws a delay and writes it: milliseconds. */
static uint32_t
load_delay(load_t *l, client_t *c, unsigned char *frame)
{
    uint32_t  ms, most;
    uint64_t  mask;

    l->random ^= l->random << 13;
    l->random ^= l->random >> 7;
    l->random ^= l->random << 17;

    most = (uint32_t) (l->o.delay * 1000) + 1;
    ms = (uint32_t) ((l->random >> 32) * most >> 32);

    mask = wire_mask_word(c->mask);
    mask = mask >> 8 * l->delay_turn | mask << (32 - 8 * l->delay_turn);
    wire_store(frame + l->delay_at, wire_delay(ms) ^ mask);

    return ms;
}


static int
load_append(load_t *l, client_t *c, uint64_t now, load_time_t time)
{
    uint64_t        mask;
    unsigned char  *p;

    p = net_room(&c->out, l->frame_size);

    if (p == NULL) {
        load_fail(l, "no memory");
        return -1;
    }

    memcpy(p, c->frame, l->frame_size);

    if (l->o.delayed) {
        time = load_time(now + load_delay(l, c, p) * UINT64_C(1000000));
    }

    p += l->stamp_at;
    mask = wire_mask_word(c->mask);

    wire_store(p + 8, wire_letters(c->sent) ^ mask);
    wire_store(p + 16, time.high ^ mask);
    wire_store(p + 24, time.low ^ mask);

    if (c->asked != NULL) {
        c->asked[c->sent % l->o.window] = now;
    }

    c->out.to += l->frame_size;
    c->sent++;
    l->sent++;

    return 0;
}


/* Sends what a producer's window allows. */
static void
load_fill(load_t *l, client_t *c)
{
    int          rc;
    uint64_t     n, most, now;
    load_time_t  time;

    if (c->door != NULL) {
        load_batch_fill(l, c);
        return;
    }

    if (l->o.rate != 0) {
        return;
    }

    most = LOAD_OUT_BATCH / l->frame_size + 1;

    while (c->out.from == c->out.to) {
        n = load_credit(l, c);

        if (n == 0) {
            return;
        }

        n = n < most ? n : most;
        now = net_now();
        time = load_time(now);

        while (n-- != 0) {
            if (load_append(l, c, now, time) == -1) {
                return;
            }
        }

        rc = net_flush(&l->in, c->fd, &c->out);

        if (rc == -1) {
            load_close(l, c, strerror(errno));
        }

        if (rc != 1) {
            return;
        }
    }
}


/*
 * --rate: appends the messages whose time has come, to the producers in
 * turn.  A stamp is the time of the schedule, so that a wait in here, in the
 * socket or in the server is part of the latency that is measured.
 */
static void
load_schedule(load_t *l, uint64_t now)
{
    uint64_t   due, intended, first, i;
    client_t  *c;

    due = 1 + (uint64_t) ((double) (now - l->start.time) * l->o.rate / 1e9);

    if (l->o.messages != 0 && due > l->o.messages) {
        due = l->o.messages;
    }

    first = l->sent;

    while (l->sent < due) {
        c = &l->clients[l->nconsumers + l->sent % l->nproducers];

        if (c->state != CLIENT_READY
            || c->out.to - c->out.from > LOAD_OUT_MAX)
        {
            break;    /* it stays due */
        }

        intended = l->start.time
                   + (uint64_t) ((double) l->sent * 1e9 / l->o.rate);

        if (load_append(l, c, intended, load_time(intended)) == -1) {
            break;
        }

        if (intended >= l->measure) {
            histogram_add(&l->lag, now > intended ? now - intended : 0);
        }
    }

    for (i = first; i < l->sent && i - first < l->nproducers; i++) {
        c = &l->clients[l->nconsumers + i % l->nproducers];

        if (c->state == CLIENT_READY
            && net_flush(&l->in, c->fd, &c->out) == -1)
        {
            load_close(l, c, strerror(errno));
        }
    }
}
