/* Percent-escapes, of queries and forms. */

#include <string.h>

#include "kmq_ascii.h"
#include "kmq_form.h"


ptrdiff_t
kmq_percent_decode(unsigned char *to, const unsigned char *text, size_t size,
    int plus)
{
    const unsigned char  *p, *end;
    unsigned char        *start;
    int                   high, low;

    /* most have nothing in them that stands for something else */

    if (size != 0 && memchr(text, '%', size) == NULL
        && !(plus && memchr(text, '+', size) != NULL))
    {
        memmove(to, text, size);
        return (ptrdiff_t) size;
    }

    start = to;
    end = text + size;

    for (p = text; p < end; p++) {

        if (*p == '%') {
            if (end - p < 3) {
                return -1;
            }

            high = kmq_hex_digit(p[1]);
            low = kmq_hex_digit(p[2]);

            if (high < 0 || low < 0) {
                return -1;
            }

            *to++ = (unsigned char) (high << 4 | low);
            p += 2;

        } else {
            *to++ = (plus && *p == '+') ? ' ' : *p;
        }
    }

    return to - start;
}
