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
