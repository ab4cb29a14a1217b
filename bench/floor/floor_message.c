#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "floor_message.h"
#include "../common/wire.h"


#define HIGHS  UINT64_C(0x8080808080808080)

/* What floor_copy() met. */
#define FLOOR_HIGH     1       /* bytes that are not ASCII */
#define FLOOR_SPECIAL  2       /* ", \ or control characters */


/* Bytes that are worked on at a time. */
typedef unsigned char  floor_bytes_t  __attribute__((vector_size(16)));


/* ----------------------------------------------------------- message data */

static size_t
floor_space(const unsigned char *p, size_t size, size_t i)
{
    while (i < size && (p[i] == ' ' || p[i] == '\t' || p[i] == '\n'
                        || p[i] == '\r'))
    {
        i++;
    }

    return i;
}


/* Passes the string whose first byte is p[i]; returns where its closing
 * quote is, or size. */
static size_t
floor_string(const unsigned char *p, size_t size, size_t i)
{
    const unsigned char  *quote, *back;

    while (i < size) {
        quote = memchr(p + i, '"', size - i);

        if (quote == NULL) {
            return size;
        }

        back = memchr(p + i, '\\', (size_t) (quote - p) - i);

        if (back == NULL) {
            return (size_t) (quote - p);
        }

        i = (size_t) (back - p) + 2;
    }

    return size;
}


/* Passes a value of any kind; returns the first byte behind it, or size. */
static size_t
floor_value(const unsigned char *p, size_t size, size_t i)
{
    unsigned  depth;

    for (depth = 0; i < size; i++) {

        switch (p[i]) {

        case '"':
            i = floor_string(p, size, i + 1);
            break;

        case '{':
        case '[':
            depth++;
            break;

        case '}':
        case ']':
            if (depth == 0) {
                return i;
            }

            depth--;
            break;

        case ',':
            if (depth == 0) {
                return i;
            }

            break;

        default:
            break;
        }
    }

    return size;
}


/* Finds MessageData in an object: 1, 0 when the bytes are no such object, -1
 * when it is neither a string nor null. */
static int
floor_object(floor_data_t *data, unsigned char *p, size_t size)
{
    int     found;
    size_t  i, name, end, value, after;

    found = 0;
    i = floor_space(p, size, 0) + 1;    /* behind the brace */

    for ( ;; ) {
        name = floor_space(p, size, i) + 1;

        if (name >= size || p[name - 1] != '"') {
            return 0;
        }

        end = floor_string(p, size, name);
        value = floor_space(p, size, end + 1);

        if (value >= size || p[value] != ':') {
            return 0;
        }

        value = floor_space(p, size, value + 1);
        after = floor_value(p, size, value);

        if (end - name == sizeof("MessageData") - 1
            && strncasecmp((const char *) p + name, "MessageData",
                           end - name) == 0)
        {
            if (p[value] != '"' && p[value] != 'n') {
                return -1;
            }

            end = p[value] == 'n' ? value + 1
                                  : floor_string(p, size, value + 1);
            data->bytes = p + value + 1;
            data->size = end - value - 1;
            data->json = 1;
            found = 1;
        }

        if (after >= size) {
            return 0;
        }

        if (p[after] == '}') {
            return found;
        }

        i = after + 1;
    }
}


const char *
floor_data(floor_data_t *data, unsigned char *payload, size_t size,
    uint32_t mask)
{
    unsigned char  first;

    first = (unsigned char) mask;
    first = size == 0 ? 0 : (unsigned char) (payload[0] ^ first);

    data->bytes = payload;
    data->size = size;
    data->mask = mask;
    data->json = 0;

    if (first != '{' && first != ' ' && first != '\n' && first != '\t'
        && first != '\r')
    {
        return NULL;
    }

    wire_mask(payload, payload, size, mask);
    data->mask = 0;

    if (floor_space(payload, size, 0) < size
        && payload[floor_space(payload, size, 0)] == '{'
        && floor_object(data, payload, size) == -1)
    {
        return "error: MessageData is not a string";
    }

    return NULL;
}


/* --------------------------------------------------------------- the frame */

/* Takes a step of a copy: unmasks, and gathers what the bytes are. */
static inline void
floor_step(unsigned char *to, const unsigned char *from, floor_bytes_t mask,
    floor_bytes_t *high, floor_bytes_t *special)
{
    floor_bytes_t  x;

    memcpy(&x, from, sizeof(x));
    x ^= mask;
    memcpy(to, &x, sizeof(x));

    *high |= x;
    *special |= (floor_bytes_t) ((x < 0x20) | (x == '"') | (x == '\\'));
}


static int
floor_any(floor_bytes_t x, uint64_t bits)
{
    uint64_t  word[2];

    memcpy(word, &x, sizeof(x));

    return ((word[0] | word[1]) & bits) != 0;
}


/* Copies and unmasks, and tells what the data has in it. */
static unsigned
floor_copy(unsigned char *to, const floor_data_t *data)
{
    size_t          i, size;
    unsigned char   last[sizeof(floor_bytes_t)];
    floor_bytes_t   mask, fill, high, special;

    size = data->size;

    for (i = 0; i < sizeof(mask); i += 4) {
        memcpy((unsigned char *) &mask + i, &data->mask, 4);
    }

    memset(&high, 0, sizeof(high));
    memset(&special, 0, sizeof(special));

    for (i = 0; i + sizeof(mask) <= size; i += sizeof(mask)) {
        floor_step(to + i, data->bytes + i, mask, &high, &special);
    }

    if (i < size) {
        memset(&fill, 'x', sizeof(fill));
        fill ^= mask;
        memcpy(last, &fill, sizeof(fill));
        memcpy(last, data->bytes + i, size - i);
        floor_step(last, last, mask, &high, &special);
        memcpy(to + i, last, size - i);
    }

    return (floor_any(high, HIGHS) ? FLOOR_HIGH : 0)
           | (floor_any(special, UINT64_MAX) ? FLOOR_SPECIAL : 0);
}


/* The length of the character at p, 0: not valid UTF-8. */
static size_t
floor_char(const unsigned char *p, size_t size)
{
    size_t         n, i;
    unsigned char  low, high;

    if (p[0] < 0x80) {
        return 1;
    }

    if (p[0] < 0xc2 || p[0] > 0xf4) {
        return 0;
    }

    n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;

    if (n > size || p[1] < low || p[1] > high) {
        return 0;
    }

    for (i = 2; i < n; i++) {
        if (p[i] < 0x80 || p[i] > 0xbf) {
            return 0;
        }
    }

    return n;
}


/*
 * The slow way, for data with special bytes: escapes from[0 .. size) into to
 * and returns the bytes written, (size_t) -1 when it cannot be.
 */
static size_t
floor_escape(unsigned char *to, const unsigned char *from, size_t size,
    int json)
{
    size_t          i, n;
    unsigned char  *p;

    p = to;

    for (i = 0; i < size; i += n) {
        n = floor_char(from + i, size - i);

        if (n == 0 || (json && from[i] < 0x20)) {
            return (size_t) -1;
        }

        if (!json && (from[i] == '"' || from[i] == '\\')) {
            *p++ = '\\';

        } else if (from[i] < 0x20) {
            p += sprintf((char *) p, "\\u%04x", from[i]);
            continue;
        }

        memcpy(p, from + i, n);
        p += n;
    }

    return (size_t) (p - to);
}


void
floor_tail(floor_tail_t *tail, const char *topic, size_t len, uint32_t time)
{
    tail->time = time;
    tail->len = (size_t) snprintf((char *) tail->bytes, FLOOR_TAIL_MAX,
                                  "\",\"Topic\":\"%.*s\",\"CreateTime\":%u,"
                                  "\"ConsumedTime\":0,\"DelayTime\":0,"
                                  "\"Status\":-1}", (int) len, topic, time);
}


/* Everything before the data; size: of the data. */
static unsigned char *
floor_head(unsigned char *to, size_t size, const floor_tail_t *tail,
    uint64_t number)
{
    to = wire_header(to, WIRE_TEXT, WIRE_DATA_AT + size + tail->len, NULL);

    memcpy(to, WIRE_HEAD, sizeof(WIRE_HEAD) - 1);
    to += sizeof(WIRE_HEAD) - 1;

    memset(to, '0', WIRE_CODE_LEN - 24);
    to += WIRE_CODE_LEN - 24;
    wire_store(to, wire_hex((uint32_t) (number >> 32)));
    wire_store(to + 8, wire_hex((uint32_t) number));
    wire_store(to + 16, wire_hex(tail->time));
    to += 24;

    memcpy(to, WIRE_HEAD_DATA, sizeof(WIRE_HEAD_DATA) - 1);

    return to + sizeof(WIRE_HEAD_DATA) - 1;
}


size_t
floor_compose(unsigned char *to, floor_data_t *data,
    const floor_tail_t *tail, uint64_t number)
{
    size_t          size;
    unsigned        met;
    unsigned char  *p, *plain;

    p = floor_head(to, data->size, tail, number);
    met = floor_copy(p, data);
    size = data->size;

    if (met != 0) {
        /* unmasked behind the room for it, and from there escaped */

        plain = p + 5 * size + 8;
        memmove(plain, p, size);
        size = floor_escape(p, plain, size, data->json);

        if (size == (size_t) -1) {
            return 0;
        }

        if (size != data->size) {
            memmove(to + WIRE_HEADER_MAX + WIRE_DATA_AT, p, size);
            p = floor_head(to, size, tail, number);
            memmove(p, to + WIRE_HEADER_MAX + WIRE_DATA_AT, size);
        }
    }

    memcpy(p + size, tail->bytes, tail->len);

    return (size_t) (p + size - to) + tail->len;
}


int
floor_check(floor_data_t *data)
{
    size_t    i, n;
    unsigned  met;

    met = floor_copy(data->bytes, data);

    if (!(met & FLOOR_HIGH) && !(met && data->json)) {
        return 1;
    }

    for (i = 0; i < data->size; i += n) {
        n = floor_char(data->bytes + i, data->size - i);

        if (n == 0 || (data->json && data->bytes[i] < 0x20)) {
            return 0;
        }
    }

    return 1;
}
