/*
 * WebSocket frames (RFC 6455) as both ends of a measurement need them: whole
 * frames in a buffer, cheap enough not to be what is measured.  Lengths and
 * opcodes are trusted no further than the two programs themselves need.
 */

#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>


#define WIRE_TEXT          0x1
#define WIRE_BINARY        0x2
#define WIRE_CLOSE         0x8
#define WIRE_PING          0x9
#define WIRE_PONG          0xa

/* The handshake of RFC 6455, section 1.3; a fixed key does for a test. */
#define WIRE_WS_KEY        "dGhlIHNhbXBsZSBub25jZQ=="
#define WIRE_WS_ACCEPT     "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define WIRE_FIN           0x80
#define WIRE_MASKED        0x80

#define WIRE_HEADER_MAX    14      /* with the mask */
#define WIRE_CONTROL_MAX   125     /* payload of a ping or pong */

/* What stands around the data of a pushed message. */
#define WIRE_HEAD          "{\"MessageCode\":\""
#define WIRE_HEAD_DATA     "\",\"MessageData\":\""
#define WIRE_CODE_LEN      40
#define WIRE_DATA_AT                                                        \
    (sizeof(WIRE_HEAD) - 1 + WIRE_CODE_LEN + sizeof(WIRE_HEAD_DATA) - 1)

/* A producer's frame as a JSON object. */
#define WIRE_JSON          "{\"MessageData\":\""
#define WIRE_JSON_END      "\",\"DelayTime\":0}"

/* The same with a delay, which always takes 8 bytes. */
#define WIRE_JSON_DELAY    "\",\"DelayTime\":"
#define WIRE_DELAY         "   0.000"


typedef struct {
    unsigned char  *data;        /* payload, masked as it came */
    uint64_t        size;
    uint64_t        length;      /* of the whole frame */
    uint32_t        mask;        /* as it lies in memory, 0: none */
    uint8_t         first;       /* FIN, reserved bits, opcode */
    uint8_t         masked;
} wire_frame_t;


static inline uint64_t
wire_load(const unsigned char *p)
{
    uint64_t  word;

    memcpy(&word, p, sizeof(word));

    return word;
}


static inline void
wire_store(unsigned char *p, uint64_t word)
{
    memcpy(p, &word, sizeof(word));
}


/* Finds the frame at p: 1, or 0 while it is not complete in n bytes. */
static inline int
wire_frame(wire_frame_t *f, unsigned char *p, size_t n)
{
    size_t    at;
    unsigned  i;

    if (n < 2) {
        return 0;
    }

    f->first = p[0];
    f->masked = p[1] & WIRE_MASKED;
    f->size = p[1] & 0x7f;
    at = 2;

    if (f->size >= 126) {
        at = f->size == 126 ? 4 : 10;

        if (n < at) {
            return 0;
        }

        for (i = 2, f->size = 0; i < at; i++) {
            f->size = f->size << 8 | p[i];
        }
    }

    f->mask = 0;

    if (f->masked) {
        if (n < at + 4) {
            return 0;
        }

        memcpy(&f->mask, p + at, 4);
        at += 4;
    }

    f->data = p + at;
    f->length = at + f->size;

    return f->size <= n - at;
}


/* Writes the header of a final frame; mask NULL: unmasked.  Returns the byte
 * behind; to: WIRE_HEADER_MAX bytes. */
static inline unsigned char *
wire_header(unsigned char *to, unsigned opcode, uint64_t size,
    const uint32_t *mask)
{
    int            shift;
    unsigned char  bit;

    bit = mask == NULL ? 0 : WIRE_MASKED;
    *to++ = (unsigned char) (WIRE_FIN | opcode);

    if (size < 126) {
        *to++ = (unsigned char) (bit | size);

    } else if (size < 65536) {
        *to++ = bit | 126;
        *to++ = (unsigned char) (size >> 8);
        *to++ = (unsigned char) size;

    } else {
        *to++ = bit | 127;

        for (shift = 56; shift >= 0; shift -= 8) {
            *to++ = (unsigned char) (size >> shift);
        }
    }

    if (mask != NULL) {
        memcpy(to, mask, 4);
        to += 4;
    }

    return to;
}


static inline uint64_t
wire_mask_word(uint32_t mask)
{
    return (uint64_t) mask << 32 | mask;
}


/* Copies size bytes from from to to (the same place, or apart) and masks or
 * unmasks them. */
static inline void
wire_mask(unsigned char *to, const unsigned char *from, size_t size,
    uint32_t mask)
{
    size_t         i;
    uint64_t       word;
    unsigned char  byte[4];

    word = wire_mask_word(mask);
    memcpy(byte, &mask, 4);

    for (i = 0; i + 8 <= size; i += 8) {
        wire_store(to + i, wire_load(from + i) ^ word);
    }

    for ( /* void */ ; i < size; i++) {
        to[i] = from[i] ^ byte[i & 3];
    }
}


/* Writes a whole masked frame; returns the byte behind. */
static inline unsigned char *
wire_masked(unsigned char *to, unsigned opcode, const unsigned char *data,
    size_t size, uint32_t mask)
{
    to = wire_header(to, opcode, size, &mask);
    wire_mask(to, data, size, mask);

    return to + size;
}


/* The 8 digits of x as the letters a to p: a byte for each, lowest first,
 * without a multiplication, a table or a branch. */
static inline uint64_t
wire_letters(uint32_t number)
{
    uint64_t  x;

    x = number;
    x = (x | x << 16) & 0x0000ffff0000ffffu;
    x = (x | x << 8) & 0x00ff00ff00ff00ffu;
    x = (x | x << 4) & 0x0f0f0f0f0f0f0f0fu;

    return x + 0x6161616161616161u;
}


/* The reverse; *bad collects bits of what is no such letter. */
static inline uint32_t
wire_number(uint64_t letters, uint64_t *bad)
{
    uint64_t  x;

    x = letters - 0x6161616161616161u;
    *bad |= x & 0xf0f0f0f0f0f0f0f0u;

    x = (x | x >> 4) & 0x00ff00ff00ff00ffu;
    x = (x | x >> 8) & 0x0000ffff0000ffffu;

    return (uint32_t) (x | x >> 16);
}


/* Milliseconds as seconds with three decimals, blanks in front. */
static inline uint64_t
wire_delay(uint32_t ms)
{
    int            i;
    unsigned char  p[8];

    memcpy(p, WIRE_DELAY, sizeof(p));

    for (i = 7; ms != 0; i--, ms /= 10) {
        i -= i == 4;
        p[i] = (unsigned char) ('0' + ms % 10);
    }

    return wire_load(p);
}


/* The 8 digits of x as lowercase hex, highest first. */
static inline uint64_t
wire_hex(uint32_t number)
{
    uint64_t  x, above;

    x = __builtin_bswap64(wire_letters(number) - 0x6161616161616161u);
    above = (x + 0x0606060606060606u) >> 4 & 0x0101010101010101u;

    return x + 0x3030303030303030u + above * ('a' - '0' - 10);
}

#endif /* BENCH_WIRE_H */
