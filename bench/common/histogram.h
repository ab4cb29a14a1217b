/*
 * Counts of times on a log-linear scale: 64 steps for each power of two, so
 * that a value is known to 1.6 % or better, from 1 ns to hours.
 */

#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>


#define HISTOGRAM_BITS  6
#define HISTOGRAM_STEP  (1u << HISTOGRAM_BITS)
#define HISTOGRAM_SIZE  ((64 - HISTOGRAM_BITS + 1) * HISTOGRAM_STEP)

typedef struct {
    uint64_t  count;
    uint64_t  max;
    uint64_t  slot[HISTOGRAM_SIZE];
} histogram_t;


static inline void
histogram_add(histogram_t *h, uint64_t value)
{
    unsigned  shift;

    /* the value's highest HISTOGRAM_BITS + 1 bits choose the slot */
    shift = 63u - (unsigned) __builtin_clzll(value | HISTOGRAM_STEP)
            - HISTOGRAM_BITS;

    h->slot[shift * HISTOGRAM_STEP + (value >> shift)]++;
    h->count++;

    if (value > h->max) {
        h->max = value;
    }
}


/* The middle of the slot where the quantile q (0 to 1) lies; 0 when empty. */
double histogram_quantile(const histogram_t *h, double q);

/* Prints what it holds as a member of a JSON object, behind others: how many
 * times, and quantiles of them in microseconds. */
void histogram_print(const char *name, const histogram_t *h);

#endif /* BENCH_HISTOGRAM_H */
