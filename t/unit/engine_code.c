/*
 * MessageCodes: the tag against what CPython 3.11 and newer compute, whose
 * hash() of bytes is SipHash-1-3, of an all-zero key with PYTHONHASHSEED=0:
 *
 *   hash(sequence.to_bytes(8, 'little') + time.to_bytes(4, 'little'))
 */

#include "engine_util.h"


static void
test_code(uint64_t sequence, uint32_t time, const char *expected)
{
    char      code[KMQ_CODE_LEN];
    uint64_t  key[2] = { 0, 0 };

    kmq_code_write(key, sequence, time, code);

    is_int((long long) sizeof(code), (long long) strlen(expected), "length");
    ok(memcmp(code, expected, sizeof(code)) == 0, "%.40s is %s", code,
       expected);
}


/* Each bit of the key, the number and the time changes the tag. */
static void
test_bits(void)
{
    char      code[KMQ_CODE_LEN], other[KMQ_CODE_LEN];
    unsigned  i, same;
    uint64_t  key[2] = { 1, 2 };

    same = 0;
    kmq_code_write(key, 3, 4, code);

    for (i = 0; i < 64 + 32 + 128; i++) {
        uint64_t  changed[2] = { 1, 2 };

        if (i >= 96) {
            changed[(i - 96) / 64] ^= UINT64_C(1) << i % 32
                                      << ((i - 96) % 64 >= 32 ? 32 : 0);
        }

        kmq_code_write(changed, i < 64 ? 3 ^ UINT64_C(1) << i : 3,
                       i >= 64 && i < 96 ? 4 ^ UINT32_C(1) << (i - 64) : 4,
                       other);
        same += memcmp(code + 16, other + 16, 16) == 0;
    }

    is_int(same, 0, "no other bit gives the same tag");
}


/* A message is found by its code alone, as it was told: no other byte at any
 * place of it finds one. */
static void
test_find(void)
{
    char                 code[KMQ_CODE_LEN];
    void                *block;
    kmq_t               *kmq;
    size_t               i;
    unsigned             c, found;
    kmq_ref_t            p;
    kmq_message_t        m;
    kmq_message_info_t   info;

    kmq = eu_open(&block, 4 * EU_MB, KMQ_PUSH_ONE);
    p = eu_producer(kmq, "t");

    memset(&m, 0, sizeof(m));
    m.size = 1;
    is_int(kmq_reserve(kmq, p, &m, 1, NULL), 1, "room for a message");
    kmq_write(kmq, &m, "x", 1);
    kmq_commit(kmq, &m, 1);
    kmq_code(kmq, &m, code);
    is_int(kmq_find(kmq, code, &info), KMQ_OK, "it is found");

    found = 0;

    for (i = 0; i < sizeof(code); i++) {
        char  right = code[i];

        for (c = 0; c < 256; c++) {
            code[i] = (char) c;
            found += code[i] != right && kmq_find(kmq, code, &info) == KMQ_OK;
        }

        code[i] = right;
    }

    is_int(found, 0, "by no other code");
    eu_close(kmq, block, 4 * EU_MB, "a code");
}


int
main(void)
{
    test_code(0, 0, "000000000000000021ce683a865794df00000000");
    test_code(1, 1640975470,
              "000000000000000193e769dea413e72b61cf4c6e");
    test_code(UINT64_C(0x0123456789abcdef), 0xfedcba98,
              "0123456789abcdef4b0e87be00b7ec37fedcba98");
    test_bits();
    test_find();

    return done_testing();
}
