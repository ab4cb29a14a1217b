#include <stdio.h>

#include "histogram.h"


double
histogram_quantile(const histogram_t *h, double q)
{
    double    middle;
    uint64_t  rank, seen;
    unsigned  i, shift;

    if (h->count == 0) {
        return 0;
    }

    rank = (uint64_t) (q * (double) h->count);

    if (rank >= h->count) {
        rank = h->count - 1;
    }

    for (i = 0, seen = 0; i < HISTOGRAM_SIZE; i++) {
        seen += h->slot[i];

        if (seen > rank) {
            break;
        }
    }

    /* the first 2 * HISTOGRAM_STEP slots hold one value each */

    shift = i < 2 * HISTOGRAM_STEP ? 0 : i / HISTOGRAM_STEP - 1;
    middle = (double) ((uint64_t) (i - shift * HISTOGRAM_STEP) << shift)
             + (double) (UINT64_C(1) << shift) / 2.0 - 0.5;

    return middle < (double) h->max ? middle : (double) h->max;
}


void
histogram_print(const char *name, const histogram_t *h)
{
    printf(", \"%s\": {\"count\": %llu, \"p50\": %.1f, \"p90\": %.1f, "
           "\"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}", name,
           (unsigned long long) h->count,
           histogram_quantile(h, 0.5) / 1e3, histogram_quantile(h, 0.9) / 1e3,
           histogram_quantile(h, 0.99) / 1e3,
           histogram_quantile(h, 0.999) / 1e3, (double) h->max / 1e3);
}
