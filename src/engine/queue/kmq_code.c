/*
 * MessageCodes: 20 bytes as 40 hex digits,
 *
 *     sequence (8)   tag (8)   create time (4)
 *
 * The tag is SipHash-1-3 of the message's sequence number and time, least
 * significant byte first, under the block's secret key: it cannot be guessed
 * from other codes.
 * A message is found by its sequence number, which it keeps for ever; the key
 * is kept with it on disk.
 *
 * SipHash: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF".
 */

#include "../kmq_block.h"
#include "../memory/kmq_memory.h"
#include "kmq_queue.h"


typedef struct {
    uint64_t  v0, v1, v2, v3;
} sip_t;

typedef uint8_t  bytes_t __attribute__((vector_size(16)));


static uint64_t
rotate(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}


static inline void
sip_round(sip_t *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}


static inline void
sip_word(sip_t *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    s->v0 ^= word;
}


/* SipHash-1-3 of these twelve bytes; their number is in the last word. */
static inline uint64_t
siphash(const uint64_t key[2], uint64_t sequence, uint32_t time)
{
    sip_t  s;

    s.v0 = UINT64_C(0x736f6d6570736575) ^ key[0];
    s.v1 = UINT64_C(0x646f72616e646f6d) ^ key[1];
    s.v2 = UINT64_C(0x6c7967656e657261) ^ key[0];
    s.v3 = UINT64_C(0x7465646279746573) ^ key[1];

    sip_word(&s, sequence);
    sip_word(&s, time | UINT64_C(12) << 56);

    s.v2 ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);

    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}


/* Eight hex digits, most significant first, without a branch or a table. */
static void
hex_write(char *to, uint32_t value)
{
    uint64_t  x, letters;

    x = value;
    x = ((x & 0xffff0000) << 16) | (x & 0xffff);
    x = ((x & UINT64_C(0x0000ff000000ff00)) << 8)
        | (x & UINT64_C(0x000000ff000000ff));
    x = ((x & UINT64_C(0x00f000f000f000f0)) << 4)
        | (x & UINT64_C(0x000f000f000f000f));

    /* each byte is a digit now; 1 where it is above 9 */

    letters = ((x + UINT64_C(0x0606060606060606)) >> 4)
              & UINT64_C(0x0101010101010101);

    x += UINT64_C(0x3030303030303030) + letters * ('a' - '0' - 10);
    x = __builtin_bswap64(x);

    memcpy(to, &x, 8);
}


/* The same for four values, sixteen bytes at once. */
static void
hex_write_4(char *to, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    bytes_t   v, high, low, pairs[2];
    uint32_t  value[4] = {
        __builtin_bswap32(a), __builtin_bswap32(b), __builtin_bswap32(c),
        __builtin_bswap32(d)
    };

    memcpy(&v, value, sizeof(v));
    high = v >> 4;
    low = v & 15;

    /* '0' to '9' lie 39 before 'a' less 10 */

    high += '0' + ((bytes_t) (high > 9) & ('a' - '0' - 10));
    low += '0' + ((bytes_t) (low > 9) & ('a' - '0' - 10));

    pairs[0] = __builtin_shufflevector(high, low, 0, 16, 1, 17, 2, 18, 3, 19,
                                       4, 20, 5, 21, 6, 22, 7, 23);
    pairs[1] = __builtin_shufflevector(high, low, 8, 24, 9, 25, 10, 26, 11,
                                       27, 12, 28, 13, 29, 14, 30, 15, 31);

    memcpy(to, pairs, sizeof(pairs));
}


/* The value of eight hex digits; of other bytes, any: whoever asks writes the
 * code that it would be, and compares. */
static uint32_t
hex_guess(const char *text)
{
    uint64_t  x;

    memcpy(&x, text, 8);
    x = __builtin_bswap64(x);

    /* the low half of each digit; letters have a bit more, and mean 9 more */

    x = (x & UINT64_C(0x0f0f0f0f0f0f0f0f))
        + (x >> 6 & UINT64_C(0x0101010101010101)) * 9;

    x = (x | x >> 4) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x | x >> 8) & UINT64_C(0x0000ffff0000ffff);

    return (uint32_t) (x | x >> 16);
}


/* The sequence number that a code begins with, if it is one. */
static uint64_t
sequence_guess(const char *code)
{
    return (uint64_t) hex_guess(code) << 32 | hex_guess(code + 8);
}


void
kmq_code_write(const uint64_t key[2], uint64_t sequence, uint32_t create_time,
    char code[KMQ_CODE_LEN])
{
    uint64_t  tag;

    tag = siphash(key, sequence, create_time);

    hex_write_4(code, sequence >> 32, (uint32_t) sequence, tag >> 32,
                (uint32_t) tag);
    hex_write(code + 32, create_time);
}


void
kmq_code_of(const kmq_shard_t *s, uint64_t sequence, uint32_t create_time,
    char code[KMQ_CODE_LEN])
{
    kmq_code_write(KMQ_BLOCK(s)->key, sequence, create_time, code);
}


int
kmq_code_sequence(const kmq_shard_t *s, const char *code, uint64_t *sequence)
{
    char  right[KMQ_CODE_LEN];

    *sequence = sequence_guess(code);
    kmq_code_of(s, *sequence, hex_guess(code + 32), right);

    return memcmp(right, code, KMQ_CODE_LEN) == 0 ? KMQ_OK : KMQ_ERROR;
}


/* Is it the code of a message that there is, or has been? */
int
kmq_code_genuine(const kmq_shard_t *s, const char *code)
{
    uint64_t  sequence;

    return kmq_code_sequence(s, code, &sequence) == KMQ_OK;
}


/* The message that a code names, NULL when there is none. */
kmq_slot_t *
kmq_code_find(kmq_shard_t *s, const char *code)
{
    char         right[KMQ_CODE_LEN];
    kmq_slot_t  *slot;

    slot = kmq_index_find(s, sequence_guess(code));

    if (slot == NULL || slot->state == KMQ_RESERVED) {
        return NULL;
    }

    kmq_code_of(s, slot->sequence, slot->create_time, right);

    return memcmp(right, code, KMQ_CODE_LEN) == 0 ? slot : NULL;
}


void
kmq_code(kmq_t *kmq, const kmq_message_t *m, char code[KMQ_CODE_LEN])
{
    kmq_code_write(kmq->block->key, m->sequence, m->create_time, code);
}
