/* Thirty-two bytes at a time. */

#include <string.h>

#include "kmq_wide.h"


#if defined(__x86_64__)

#define STEP  64

typedef uint8_t   bytes_t __attribute__((vector_size(32)));
typedef uint32_t  words_t __attribute__((vector_size(32)));


/* Is the top bit of any byte set? */
#define HIGH(v, part)                                                        \
    (memcpy(part, &(v), sizeof(part)),                                       \
     ((part[0] | part[1] | part[2] | part[3])                                \
      & UINT64_C(0x8080808080808080)) != 0)


__attribute__((target("avx2")))
static size_t
xor_avx2(unsigned char *data, size_t size, uint32_t mask, int *high)
{
    size_t    i;
    bytes_t   mask32, all, v, w;
    uint64_t  part[4];

    mask32 = (bytes_t) (words_t) { mask, mask, mask, mask,
                                   mask, mask, mask, mask };
    all = (bytes_t) { 0 };

    for (i = 0; size - i >= STEP; i += STEP) {
        memcpy(&v, data + i, sizeof(v));
        memcpy(&w, data + i + sizeof(v), sizeof(w));

        v ^= mask32;
        w ^= mask32;
        all |= v | w;

        memcpy(data + i, &v, sizeof(v));
        memcpy(data + i + sizeof(v), &w, sizeof(w));
    }

    *high |= HIGH(all, part);

    return i;
}


__attribute__((target("avx2")))
static size_t
special_avx2(const unsigned char *text, size_t size, int *special)
{
    size_t    i;
    bytes_t   all, v, w;
    uint64_t  part[4];

    all = (bytes_t) { 0 };

    for (i = 0; size - i >= STEP; i += STEP) {
        memcpy(&v, text + i, sizeof(v));
        memcpy(&w, text + i + sizeof(v), sizeof(w));

        all |= (bytes_t) ((v & 0xe0) == 0) | (bytes_t) (v == '"')
               | (bytes_t) (v == '\\');
        all |= (bytes_t) ((w & 0xe0) == 0) | (bytes_t) (w == '"')
               | (bytes_t) (w == '\\');
    }

    *special |= HIGH(all, part);

    return i;
}


size_t
kmq_wide_xor(unsigned char *data, size_t size, uint32_t mask, int *high)
{
    return __builtin_cpu_supports("avx2") ? xor_avx2(data, size, mask, high)
                                          : 0;
}


size_t
kmq_wide_special(const unsigned char *text, size_t size, int *special)
{
    return __builtin_cpu_supports("avx2") ? special_avx2(text, size, special)
                                          : 0;
}

#else

size_t
kmq_wide_xor(unsigned char *data, size_t size, uint32_t mask, int *high)
{
    (void) data;
    (void) size;
    (void) mask;
    (void) high;

    return 0;
}


size_t
kmq_wide_special(const unsigned char *text, size_t size, int *special)
{
    (void) text;
    (void) size;
    (void) special;

    return 0;
}

#endif
