/*
 * MQTT 3.1.1: a shared subscription, or --fanout; QoS 0, where a PINGREQ
 * behind a batch tells that the server has read it, QoS 1, and QoS 0 over
 * WebSocket.
 */

#include <stdio.h>
#include <string.h>

#include "peer.h"


#define MQTT_QOS0   0
#define MQTT_QOS1   1
#define MQTT_WS     2

#define MQTT_CONNACK   0x20
#define MQTT_PUBLISH   0x30
#define MQTT_PUBACK    0x40
#define MQTT_SUBACK    0x90
#define MQTT_PINGRESP  0xd0

#define MQTT_TOPIC   "q"
#define MQTT_SHARED  "$share/g/q"

/* A binary frame of 2 bytes, masked with zeros; PINGREQ */
#define MQTT_WS_PING  "\x82\x82\0\0\0\0\xc0\0"


/* Sends a whole packet. */
static int
mqtt_send(peer_conn_t *p, const unsigned char *packet, size_t size)
{
    uint32_t        mask;
    unsigned char   head[WIRE_HEADER_MAX], *end;

    mask = 0;

    if (p->peer->mode == MQTT_WS) {
        end = wire_header(head, WIRE_BINARY, size, &mask);

        if (peer_send(p, head, (size_t) (end - head)) == -1) {
            return -1;
        }
    }

    return peer_send(p, packet, size);
}


static int
mqtt_connect(peer_conn_t *p)
{
    int             n;
    unsigned char   packet[64];

    p->client->state = CLIENT_LOGIN;
    memcpy(packet, "\x10\0\0\4MQTT\4\2\0\0\0", 13);
    n = snprintf((char *) packet + 14, 32, "%c%u",
                 peer_is_producer(p) ? 'P' : 'C', p->client->number);
    packet[1] = (unsigned char) (12 + n);
    packet[13] = (unsigned char) n;

    return mqtt_send(p, packet, (size_t) (14 + n));
}


static int
mqtt_subscribe(peer_conn_t *p)
{
    size_t          n;
    const char     *topic;
    unsigned char   packet[64];

    topic = p->load->o.fanout || p->load->o.idle ? MQTT_TOPIC : MQTT_SHARED;
    n = strlen(topic);

    memcpy(packet, "\x82\0\0\1\0", 5);
    packet[1] = (unsigned char) (5 + n);
    packet[5] = (unsigned char) n;
    memcpy(packet + 6, topic, n);
    packet[6 + n] = p->peer->mode == MQTT_QOS1;

    return mqtt_send(p, packet, 7 + n);
}


static int
mqtt_open(peer_conn_t *p)
{
    return p->peer->mode == MQTT_WS ? peer_upgrade(p, "/", "mqtt")
                                    : mqtt_connect(p);
}


static int
mqtt_frame(peer_conn_t *p)
{
    size_t          size, length, at;
    uint32_t        mask;
    unsigned char   packet[32], head[64], *to;

    size = 3 + (p->peer->mode == MQTT_QOS1 ? 2 : 0);
    packet[0] = MQTT_PUBLISH | (p->peer->mode == MQTT_QOS1 ? 2 : 0);
    at = 1;

    for (length = size + p->load->o.size; length > 127; length >>= 7) {
        packet[at++] = 0x80 | (length & 0x7f);
    }

    packet[at++] = (unsigned char) length;
    memcpy(packet + at, "\0\1" MQTT_TOPIC "\0\0", 5);
    size += at;

    mask = 0;
    to = head;

    if (p->peer->mode == MQTT_WS) {
        to = wire_header(head, WIRE_BINARY, size + p->load->o.size, &mask);
    }

    memcpy(to, packet, size);
    size += (size_t) (to - head);

    return peer_frame(p, (char *) head, size, "", 0);
}


static int
mqtt_publish(peer_conn_t *p, unsigned char *data, size_t size,
    unsigned first)
{
    size_t          at;
    unsigned char   ack[4];

    at = size < 2 ? size : 2u + data[0] * 256u + data[1];

    if (first & 6) {
        at += 2;
    }

    if (at > size) {
        return peer_unexpected(p, data, size);
    }

    peer_message(p, data + at, size - at);

    if (!(first & 6)) {
        return 0;
    }

    ack[0] = MQTT_PUBACK;
    ack[1] = 2;
    ack[2] = data[at - 2];
    ack[3] = data[at - 1];

    return peer_send(p, ack, 4);
}


/* A whole packet: first byte, the rest. */
static int
mqtt_packet(peer_conn_t *p, unsigned first, unsigned char *data, size_t size)
{
    switch (first & 0xf0) {

    case MQTT_PUBLISH:
        return mqtt_publish(p, data, size, first);

    case MQTT_PUBACK:
        peer_answered(p, 1);
        return 0;

    case MQTT_PINGRESP:
        return peer_passed(p);

    case MQTT_CONNACK:
        if (size != 2 || data[1] != 0) {
            break;
        }

        if (!peer_is_producer(p)) {
            return mqtt_subscribe(p);
        }

        peer_ready(p);
        return 0;

    case MQTT_SUBACK:
        if (size != 3 || data[2] > 2) {
            break;
        }

        peer_ready(p);
        return 0;

    default:
        break;
    }

    load_fail(p->load, "unexpected: a packet of type %02x", first);

    return -1;
}


/* The whole packets of data: their bytes, or NET_CLOSE. */
static size_t
mqtt_packets(peer_conn_t *p, unsigned char *data, size_t size)
{
    size_t    used, at, length;
    unsigned  shift;

    used = 0;

    for ( ;; ) {
        length = 0;
        at = used + 1;
        shift = 0;

        do {
            if (at >= size) {
                return used;
            }

            length |= (size_t) (data[at] & 0x7f) << shift;
            shift += 7;
        } while (data[at++] & 0x80);

        if (size - at < length) {
            return used;
        }

        if (mqtt_packet(p, data[used], data + at, length) == -1) {
            return NET_CLOSE;
        }

        used = at + length;
    }
}


/* Each frame has whole packets. */
static size_t
mqtt_ws_parse(peer_conn_t *p, unsigned char *data, size_t size)
{
    size_t        used;
    wire_frame_t  f;

    used = 0;

    if (p->client->state == CLIENT_UPGRADE) {
        used = peer_upgraded(p, data, size);

        if (used == 0 || used == NET_CLOSE) {
            return used;
        }

        if (mqtt_connect(p) == -1) {
            return NET_CLOSE;
        }
    }

    while (wire_frame(&f, data + used, size - used)) {

        if (f.first != (WIRE_FIN|WIRE_BINARY)
            || mqtt_packets(p, f.data, f.size) != f.size)
        {
            load_fail(p->load, "unexpected: a frame %02x", f.first);
            return NET_CLOSE;
        }

        used += f.length;
    }

    return used;
}


const peer_t  peer_mqtt0 = {
    .name = "mqtt0", .mode = MQTT_QOS0,
    .help = "MQTT, QoS 0: a shared subscription, or --fanout",
    .open = mqtt_open, .frame = mqtt_frame, .parse = mqtt_packets,
    .barrier = "\xc0\0", .barrier_len = 2
};

const peer_t  peer_mqtt1 = {
    .name = "mqtt1", .mode = MQTT_QOS1,
    .help = "the same, QoS 1",
    .open = mqtt_open, .frame = mqtt_frame, .parse = mqtt_packets,
    .numbered = 1
};

const peer_t  peer_mqtt0_ws = {
    .name = "mqtt0-ws", .mode = MQTT_WS,
    .help = "MQTT over WebSocket, QoS 0",
    .open = mqtt_open, .frame = mqtt_frame, .parse = mqtt_ws_parse,
    .barrier = MQTT_WS_PING, .barrier_len = 8
};
