/* CRC-32C, by the processor's instruction where it has one. */

#include <pthread.h>
#include <string.h>

#include "kmq_crc32c.h"


#define POLYNOMIAL  0x82f63b78U    /* 0x1edc6f41, least bit first */

/* Bytes of a lane.  The instruction takes three cycles, and one can begin in
 * each: so three sums are made side by side, and put together. */
#define LANE  256


static uint32_t        table[8][256];
static uint32_t        lane[4][256];   /* what a byte of a sum becomes when LANE
                                          zeros follow */
static pthread_once_t  once = PTHREAD_ONCE_INIT;
static int             hardware;


static void
lane_make(void)
{
    unsigned  i, k, n;
    uint32_t  crc;

    for (k = 0; k < 4; k++) {
        for (i = 0; i < 256; i++) {
            crc = (uint32_t) i << 8 * k;

            for (n = 0; n < LANE; n++) {
                crc = crc >> 8 ^ table[0][crc & 0xff];
            }

            lane[k][i] = crc;
        }
    }
}


static void
tables_make(void)
{
    unsigned  i, k;
    uint32_t  crc;

    for (i = 0; i < 256; i++) {
        crc = i;

        for (k = 0; k < 8; k++) {
            crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
        }

        table[0][i] = crc;
    }

    for (i = 0; i < 256; i++) {
        for (k = 1; k < 8; k++) {
            table[k][i] = table[k - 1][i] >> 8
                          ^ table[0][table[k - 1][i] & 0xff];
        }
    }

#if defined(__x86_64__)
    hardware = __builtin_cpu_supports("sse4.2");
#endif

    if (hardware) {
        lane_make();
    }
}


/* Eight bytes at a time, by eight tables ("slicing by 8"). */
uint32_t
kmq_crc32c_plain(uint32_t crc, const void *bytes, size_t n)
{
    const unsigned char  *p = bytes;

    (void) pthread_once(&once, tables_make);

    crc = ~crc;

    for ( /* void */ ; n >= 8; n -= 8, p += 8) {
        crc ^= p[0] | p[1] << 8 | p[2] << 16 | (uint32_t) p[3] << 24;

        crc = table[7][crc & 0xff] ^ table[6][crc >> 8 & 0xff]
              ^ table[5][crc >> 16 & 0xff] ^ table[4][crc >> 24]
              ^ table[3][p[4]] ^ table[2][p[5]]
              ^ table[1][p[6]] ^ table[0][p[7]];
    }

    while (n--) {
        crc = crc >> 8 ^ table[0][(crc ^ *p++) & 0xff];
    }

    return ~crc;
}


#if defined(__x86_64__)

static uint64_t
lane_shift(uint64_t crc)
{
    return lane[0][crc & 0xff] ^ lane[1][crc >> 8 & 0xff]
           ^ lane[2][crc >> 16 & 0xff] ^ lane[3][crc >> 24];
}


/* Of three lanes, behind what c is the sum of. */
__attribute__((target("sse4.2")))
static uint64_t
lanes_sum(uint64_t c, const unsigned char *p)
{
    unsigned  i;
    uint64_t  c1, c2, word[3];

    c1 = 0;
    c2 = 0;

    for (i = 0; i < LANE; i += 8, p += 8) {
        memcpy(&word[0], p, 8);
        memcpy(&word[1], p + LANE, 8);
        memcpy(&word[2], p + 2 * LANE, 8);

        c = __builtin_ia32_crc32di(c, word[0]);
        c1 = __builtin_ia32_crc32di(c1, word[1]);
        c2 = __builtin_ia32_crc32di(c2, word[2]);
    }

    return lane_shift(lane_shift(c) ^ c1) ^ c2;
}


__attribute__((target("sse4.2")))
static uint32_t
crc32c_hardware(uint32_t crc, const void *bytes, size_t n)
{
    uint64_t              c, word;
    const unsigned char  *p = bytes;

    c = (uint32_t) ~crc;

    for ( /* void */ ; n >= 3 * LANE; n -= 3 * LANE, p += 3 * LANE) {
        c = lanes_sum(c, p);
    }

    for ( /* void */ ; n >= 8; n -= 8, p += 8) {
        memcpy(&word, p, 8);
        c = __builtin_ia32_crc32di(c, word);
    }

    while (n--) {
        c = __builtin_ia32_crc32qi((uint32_t) c, *p++);
    }

    return ~(uint32_t) c;
}

#else

#define crc32c_hardware  kmq_crc32c_plain

#endif


uint32_t
kmq_crc32c(uint32_t crc, const void *bytes, size_t n)
{
    (void) pthread_once(&once, tables_make);

    return hardware ? crc32c_hardware(crc, bytes, n)
                    : kmq_crc32c_plain(crc, bytes, n);
}
