/*
 * Sixteen bytes at a time, in the vector notation that gcc and clang share:
 * SSE2, NEON or plain words, whatever the machine has.
 *
 * A comparison of vectors yields 0xff in each byte where it holds, else 0.
 */

#ifndef KMQ_VECTOR_H
#define KMQ_VECTOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>


#define KMQ_V16_SIZE  16

typedef uint8_t  kmq_v16_t __attribute__((vector_size(KMQ_V16_SIZE)));


static inline kmq_v16_t
kmq_v16_load(const unsigned char *from)
{
    kmq_v16_t  v;

    memcpy(&v, from, sizeof(v));

    return v;
}


static inline void
kmq_v16_store(unsigned char *to, kmq_v16_t v)
{
    memcpy(to, &v, sizeof(v));
}


/* The bytes that cannot stand in a JSON string as they are. */
static inline kmq_v16_t
kmq_v16_special(kmq_v16_t v)
{
    return (kmq_v16_t) ((v & 0xe0) == 0) | (kmq_v16_t) (v == '"')
           | (kmq_v16_t) (v == '\\');
}


#ifdef __SSE2__

/* One bit of each byte, its top one: it takes an instruction here. */
static inline unsigned
kmq_v16_bits(kmq_v16_t v)
{
    typedef char  chars_t __attribute__((vector_size(KMQ_V16_SIZE)));

    return (unsigned) __builtin_ia32_pmovmskb128((chars_t) v);
}

#endif


/* The index of the first byte whose comparison held, 16 when none did. */
static inline unsigned
kmq_v16_first(kmq_v16_t truth)
{
#ifdef __SSE2__

    return (unsigned) __builtin_ctz(kmq_v16_bits(truth) | 1U << KMQ_V16_SIZE);

#else

    uint64_t  half[2];

    memcpy(half, &truth, sizeof(half));

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    half[0] = __builtin_bswap64(half[0]);
    half[1] = __builtin_bswap64(half[1]);
#endif

    if (half[0]) {
        return (unsigned) __builtin_ctzll(half[0]) / 8;
    }

    return half[1] ? 8 + (unsigned) __builtin_ctzll(half[1]) / 8
                   : KMQ_V16_SIZE;

#endif
}


/* The first byte at or behind p that is a quote, a backslash or a control
 * character; or end. */
static inline const unsigned char *
kmq_v16_find_special(const unsigned char *p, const unsigned char *end)
{
    unsigned              first;
    const unsigned char  *start;

    start = p;

    while ((size_t) (end - p) >= KMQ_V16_SIZE) {

        first = kmq_v16_first(kmq_v16_special(kmq_v16_load(p)));

        if (first < KMQ_V16_SIZE) {
            return p + first;
        }

        p += KMQ_V16_SIZE;
    }

    if (p > start && p < end) {

        /* the last ones, with some before them that are none */

        end -= KMQ_V16_SIZE;

        return end + kmq_v16_first(kmq_v16_special(kmq_v16_load(end)));
    }

    while (p < end && *p >= 0x20 && *p != '"' && *p != '\\') {
        p++;
    }

    return p;
}


/* Is the top bit of any byte set: is there anything but ASCII? */
static inline int
kmq_v16_high(kmq_v16_t v)
{
#ifdef __SSE2__

    return kmq_v16_bits(v) != 0;

#else

    uint64_t  half[2];

    memcpy(half, &v, sizeof(half));

    return ((half[0] | half[1]) & UINT64_C(0x8080808080808080)) != 0;

#endif
}


/* The sum of the sixteen bytes. */
static inline unsigned
kmq_v16_sum(kmq_v16_t v)
{
    uint64_t  half[2], pairs;

    const uint64_t  even = UINT64_C(0x00ff00ff00ff00ff);

    memcpy(half, &v, sizeof(half));

    pairs = (half[0] & even) + (half[0] >> 8 & even)
            + (half[1] & even) + (half[1] >> 8 & even);

    return (unsigned) ((pairs * UINT64_C(0x0001000100010001)) >> 48);
}

#endif /* KMQ_VECTOR_H */
