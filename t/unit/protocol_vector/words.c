/* kmq_vector.h in plain words: words.h. */

#undef __SSE2__

#include "../../../src/protocol/kmq_vector.h"
#include "words.h"


const unsigned char *
words_find_special(const unsigned char *p, const unsigned char *end)
{
    return kmq_v16_find_special(p, end);
}


int
words_high(const unsigned char *p)
{
    return kmq_v16_high(kmq_v16_load(p));
}
