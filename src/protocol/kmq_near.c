/* Misspelt names: see kmq_near.h. */

#include <string.h>

#include "kmq_ascii.h"
#include "kmq_near.h"


#define KMQ_NEAR_MAX    32        /* letters: a longer name is no slip */
#define KMQ_NEAR_BEGIN   4        /* fewer begin too much else */


/* The letters of a name that count; returns how many, KMQ_NEAR_MAX at most, or
 * 0 when there are more. */
static size_t
kmq_near_fold(char to[KMQ_NEAR_MAX], const unsigned char *name, size_t len)
{
    size_t  i, n;

    n = 0;

    for (i = 0; i < len; i++) {

        if (name[i] == '_' || name[i] == '-' || name[i] == '.') {
            continue;
        }

        if (n == KMQ_NEAR_MAX) {
            return 0;
        }

        to[n++] = (char) kmq_lower(name[i]);
    }

    return n;
}


/* Does a, the longer one or as long, become b by one edit, or none? */
static int
kmq_near_edit(const char *a, size_t alen, const char *b, size_t blen)
{
    size_t  i;

    for (i = 0; i < blen && a[i] == b[i]; i++) { /* void */ }

    if (alen == blen + 1) {
        return memcmp(a + i + 1, b + i, blen - i) == 0;
    }

    if (alen != blen) {
        return 0;
    }

    if (i == blen || memcmp(a + i + 1, b + i + 1, blen - i - 1) == 0) {
        return 1;
    }

    return i + 1 < blen && a[i] == b[i + 1] && a[i + 1] == b[i]
           && memcmp(a + i + 2, b + i + 2, blen - i - 2) == 0;
}


int
kmq_near(const char *known, const unsigned char *name, size_t len)
{
    char    a[KMQ_NEAR_MAX], b[KMQ_NEAR_MAX];
    size_t  alen, blen, least;

    alen = kmq_near_fold(a, name, len);
    blen = kmq_near_fold(b, (const unsigned char *) known, strlen(known));
    least = alen < blen ? alen : blen;

    if (least < KMQ_NEAR_BEGIN) {
        return 0;
    }

    if (memcmp(a, b, least) == 0) {
        return 1;
    }

    if (strcmp(known, "delayTime") == 0 && alen >= 5
        && memcmp(a, "delay", 5) == 0)
    {
        return 1;
    }

    return alen < blen ? kmq_near_edit(b, blen, a, alen)
                       : kmq_near_edit(a, alen, b, blen);
}
