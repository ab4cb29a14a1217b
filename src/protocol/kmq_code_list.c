/* Lists of MessageCodes; see kmq_code_list.h. */

#include <string.h>

#include "kmq_code_list.h"
#include "kmq_vector.h"


/* What stands between two codes; brackets and quotes are only there where the
 * list is an array, which is valid. */
static int
kmq_code_list_between(unsigned char c, int array)
{
    return c == ',' || c == ' ' || c == '\t' || c == '\r' || c == '\n'
           || (array && (c == '[' || c == ']' || c == '"'));
}


/* The bytes that cannot be in a code: what would have to be escaped, a part of
 * a longer character, and what stands between codes. */
static inline kmq_v16_t
kmq_code_list_odd(const unsigned char *p)
{
    kmq_v16_t  v;

    v = kmq_v16_load(p);

    return (kmq_v16_t) (v <= ' ') | (kmq_v16_t) (v >= 0x7f)
           | (kmq_v16_t) (v == '"') | (kmq_v16_t) (v == '\\')
           | (kmq_v16_t) (v == ',') | (kmq_v16_t) (v == '[')
           | (kmq_v16_t) (v == ']');
}


/* Three times sixteen cover the forty, some of them twice. */
static int
kmq_code_list_plain(const unsigned char *p)
{
    kmq_v16_t  odd;

    odd = kmq_code_list_odd(p) | kmq_code_list_odd(p + KMQ_V16_SIZE)
          | kmq_code_list_odd(p + KMQ_CODE_LIST_LEN - KMQ_V16_SIZE);

    return kmq_v16_first(odd) == KMQ_V16_SIZE;
}


/* What there is instead of a code. */
static size_t
kmq_code_list_wrong(const unsigned char *p, const unsigned char *end,
    int array)
{
    const unsigned char  *start;

    for (start = p; p < end && !kmq_code_list_between(*p, array); p++) {
        /* void */
    }

    return (size_t) (p - start);
}


ptrdiff_t
kmq_code_list(const unsigned char *text, size_t size, char *codes, size_t max,
    const unsigned char **wrong, size_t *wrong_len)
{
    const unsigned char  *p, *end;
    size_t                n;
    int                   array;

    array = size && *text == '[';
    end = text + size;
    p = text;

    for (n = 0; ; n++) {

        while (p < end && kmq_code_list_between(*p, array)) {
            p++;
        }

        if (p == end) {
            return (ptrdiff_t) n;
        }

        if (end - p < KMQ_CODE_LIST_LEN || !kmq_code_list_plain(p)
            || (end - p > KMQ_CODE_LIST_LEN
                && !kmq_code_list_between(p[KMQ_CODE_LIST_LEN], array)))
        {
            *wrong = p;
            *wrong_len = kmq_code_list_wrong(p, end, array);
            return -1;
        }

        if (n == max) {
            return -2;
        }

        memcpy(codes + n * KMQ_CODE_LIST_LEN, p, KMQ_CODE_LIST_LEN);
        p += KMQ_CODE_LIST_LEN;
    }
}
