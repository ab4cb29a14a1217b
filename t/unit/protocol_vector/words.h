/* kmq_vector.h as it is on machines without SSE2. */

#ifndef WORDS_H
#define WORDS_H

const unsigned char *words_find_special(const unsigned char *p,
    const unsigned char *end);
int words_high(const unsigned char *p);

#endif /* WORDS_H */
