#include <string.h>

#include "kmq_sha1.h"


static uint32_t
kmq_sha1_rotate(uint32_t word, unsigned bits)
{
    return word << bits | word >> (32 - bits);
}


/* The words of a block and those derived from them. */
static void
kmq_sha1_schedule(uint32_t w[80], const unsigned char *block)
{
    unsigned  i;

    for (i = 0; i < 16; i++, block += 4) {
        w[i] = (uint32_t) block[0] << 24 | (uint32_t) block[1] << 16
               | (uint32_t) block[2] << 8 | block[3];
    }

    for ( /* void */ ; i < 80; i++) {
        w[i] = kmq_sha1_rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    }
}


/* The function and the constant of a round. */
static uint32_t
kmq_sha1_mix(unsigned round, uint32_t b, uint32_t c, uint32_t d)
{
    switch (round / 20) {

    case 0:
        return ((b & c) | (~b & d)) + 0x5a827999;

    case 1:
        return (b ^ c ^ d) + 0x6ed9eba1;

    case 2:
        return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;

    default:
        return (b ^ c ^ d) + 0xca62c1d6;
    }
}


static void
kmq_sha1_block(kmq_sha1_t *sha1, const unsigned char *block)
{
    uint32_t  w[80], v[5], next;
    unsigned  i;

    kmq_sha1_schedule(w, block);
    memcpy(v, sha1->hash, sizeof(v));

    for (i = 0; i < 80; i++) {
        next = kmq_sha1_rotate(v[0], 5) + kmq_sha1_mix(i, v[1], v[2], v[3])
               + v[4] + w[i];
        v[4] = v[3];
        v[3] = v[2];
        v[2] = kmq_sha1_rotate(v[1], 30);
        v[1] = v[0];
        v[0] = next;
    }

    for (i = 0; i < 5; i++) {
        sha1->hash[i] += v[i];
    }
}


void
kmq_sha1_init(kmq_sha1_t *sha1)
{
    static const uint32_t  start[5] = {
        0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0
    };

    memcpy(sha1->hash, start, sizeof(start));
    sha1->total = 0;
}


void
kmq_sha1_add(kmq_sha1_t *sha1, const void *data, size_t size)
{
    const unsigned char  *p = data;
    size_t                have, take;

    while (size) {
        have = (size_t) (sha1->total % sizeof(sha1->block));
        take = sizeof(sha1->block) - have;
        take = (size < take) ? size : take;

        memcpy(sha1->block + have, p, take);

        sha1->total += take;
        p += take;
        size -= take;

        if (have + take == sizeof(sha1->block)) {
            kmq_sha1_block(sha1, sha1->block);
        }
    }
}


void
kmq_sha1_end(kmq_sha1_t *sha1, unsigned char digest[KMQ_SHA1_LEN])
{
    static const unsigned char  padding[64] = { 0x80 };

    unsigned char  length[8];
    uint64_t       bits;
    size_t         have;
    unsigned       i;

    bits = sha1->total * 8;

    for (i = 0; i < 8; i++) {
        length[i] = (unsigned char) (bits >> (56 - 8 * i));
    }

    have = (size_t) (sha1->total % 64);

    kmq_sha1_add(sha1, padding, (have < 56) ? 56 - have : 120 - have);
    kmq_sha1_add(sha1, length, sizeof(length));

    for (i = 0; i < KMQ_SHA1_LEN; i++) {
        digest[i] = (unsigned char) (sha1->hash[i / 4] >> (24 - 8 * (i % 4)));
    }
}
