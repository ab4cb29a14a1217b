/* Text on its way into a JSON string. */

#include <string.h>

#include "kmq_json.h"
#include "kmq_vector.h"
#include "kmq_wide.h"


/* kmq_escape_extra() yields at most 5 a byte: after so many vectors a byte of
 * their sum could overflow. */
#define KMQ_ESCAPE_SUMS  51


/*
 * How many bytes each byte grows by: 1 for ", \ and the control characters
 * with a short form (8 to 13 but 11), 5 for the others (\u00XX).
 */
static inline kmq_v16_t
kmq_escape_extra(kmq_v16_t v)
{
    kmq_v16_t  control, brief, quoted;

    control = (kmq_v16_t) ((v & 0xe0) == 0);
    brief = (kmq_v16_t) ((v & 0xf8) == 8) & (kmq_v16_t) (v != 11)
            & (kmq_v16_t) ((v & 0xfe) != 14);
    quoted = (kmq_v16_t) (v == '"') | (kmq_v16_t) (v == '\\');

    return (control & 5) - (brief & 4) + (quoted & 1);
}


/* The same for one byte. */
static inline unsigned
kmq_escape_extra_byte(unsigned char c)
{
    if (c >= 0x20) {
        return c == '"' || c == '\\';
    }

    return (c >= 8 && c <= 13 && c != 11) ? 1 : 5;
}


/* How much size bytes, a vector or more, grow by when they are escaped. */
static size_t
kmq_escape_growth(const unsigned char *text, size_t size)
{
    /* from byte n on: n zeros, then ones */
    static const unsigned char  last[2 * KMQ_V16_SIZE] = {
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        255, 255, 255, 255, 255, 255, 255, 255,
        255, 255, 255, 255, 255, 255, 255, 255
    };

    const unsigned char  *p, *end;
    kmq_v16_t             sum;
    unsigned              n;
    size_t                growth;

    growth = 0;
    p = text;
    end = text + size;

    /* the vector at the very end overlaps the one before it */
    sum = kmq_escape_extra(kmq_v16_load(end - KMQ_V16_SIZE))
          & kmq_v16_load(last + size % KMQ_V16_SIZE);
    n = 1;

    for ( /* void */ ; (size_t) (end - p) >= KMQ_V16_SIZE; p += KMQ_V16_SIZE) {

        if (n == KMQ_ESCAPE_SUMS) {
            growth += kmq_v16_sum(sum);
            sum = (kmq_v16_t) { 0 };
            n = 0;
        }

        sum += kmq_escape_extra(kmq_v16_load(p));
        n++;
    }

    return growth + kmq_v16_sum(sum);
}


/* Is there anything to escape in size bytes, a vector or more? */
static inline int
kmq_escape_needed(const unsigned char *text, size_t size)
{
    size_t     i;
    kmq_v16_t  special;

    special = kmq_v16_special(kmq_v16_load(text + size - KMQ_V16_SIZE));

    for (i = 0; size - i >= KMQ_V16_SIZE; i += KMQ_V16_SIZE) {
        special |= kmq_v16_special(kmq_v16_load(text + i));
    }

    return kmq_v16_high(special);
}


/* The same for what is long; apart, so that what is short stays inline. */
static __attribute__((noinline)) int
kmq_escape_needed_long(const unsigned char *text, size_t size)
{
    int     found;
    size_t  done;

    found = 0;
    done = kmq_wide_special(text, size, &found);

    if (size - done < KMQ_V16_SIZE) {
        done = size - KMQ_V16_SIZE;
    }

    return found || kmq_escape_needed(text + done, size - done);
}


size_t
kmq_json_escaped(const unsigned char *text, size_t size)
{
    int     needed;
    size_t  i, escaped;

    if (size < KMQ_V16_SIZE) {
        for (escaped = size, i = 0; i < size; i++) {
            escaped += kmq_escape_extra_byte(text[i]);
        }

        return escaped;
    }

    /* mostly there is nothing to escape, and to know that takes less */

    needed = size < KMQ_WIDE_MIN ? kmq_escape_needed(text, size)
                                 : kmq_escape_needed_long(text, size);

    return needed ? size + kmq_escape_growth(text, size) : size;
}


/* Copies what needs no escape from text to to, at most n bytes; returns how
 * many. */
static inline size_t
kmq_escape_run(unsigned char *to, const unsigned char *text, size_t n)
{
    kmq_v16_t  v;
    unsigned   first;
    size_t     i;

    for (i = 0; n - i >= KMQ_V16_SIZE; i += KMQ_V16_SIZE) {

        v = kmq_v16_load(text + i);
        kmq_v16_store(to + i, v);

        first = kmq_v16_first(kmq_v16_special(v));

        if (first < KMQ_V16_SIZE) {
            return i + first;
        }
    }

    for ( /* void */ ; i < n && !kmq_escape_extra_byte(text[i]); i++) {
        to[i] = text[i];
    }

    return i;
}


/* Writes the escape of a byte that needs one. */
static unsigned char *
kmq_escape_byte(unsigned char *to, unsigned char c)
{
    static const char  brief[] = "btn.fr";    /* 8 to 13 */
    static const char  hex[] = "0123456789abcdef";

    *to++ = '\\';

    if (c >= 0x20) {
        *to++ = c;

    } else if (kmq_escape_extra_byte(c) == 1) {
        *to++ = (unsigned char) brief[c - 8];

    } else {
        memcpy(to, "u00", 3);
        to[3] = (unsigned char) hex[c >> 4];
        to[4] = (unsigned char) hex[c & 0xf];
        to += 5;
    }

    return to;
}


size_t
kmq_json_escape(unsigned char *to, size_t room, const unsigned char *text,
    size_t size, size_t *used)
{
    const unsigned char  *p, *first, *end;
    unsigned char        *out;
    size_t                n, left;

    first = text + *used;
    end = text + size;
    p = first;
    out = to;

    for ( ;; ) {
        left = room - (size_t) (out - to);
        n = (size_t) (end - p);
        n = kmq_escape_run(out, p, (n < left) ? n : left);

        out += n;
        p += n;
        left -= n;

        if (p == end || left < 1 + kmq_escape_extra_byte(*p)
            || !kmq_escape_extra_byte(*p))
        {
            break;
        }

        out = kmq_escape_byte(out, *p++);
    }

    /* a character is not cut: back to its first byte */
    while (p < end && p > first && (*p & 0xc0) == 0x80) {
        p--;
        out--;
    }

    *used = (size_t) (p - text);

    return (size_t) (out - to);
}
