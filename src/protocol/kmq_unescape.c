/* Text on its way out of a JSON string, which the scanner has found valid. */

#include <string.h>

#include "kmq_ascii.h"
#include "kmq_json.h"


#define KMQ_REPLACEMENT  0xfffd


/* What follows a backslash: the character, and the place behind it.  Half of
 * a surrogate pair is a replacement character. */
static const unsigned char *
kmq_unescape_one(const unsigned char *p, const unsigned char *end,
    uint32_t *character)
{
    static const char  from[] = "bfnrt";
    static const char  to[] = "\b\f\n\r\t";

    int          unit, low;
    const char  *found;

    if (*p != 'u') {
        found = strchr(from, *p);
        *character = found ? (unsigned char) to[found - from] : *p;
        return p + 1;
    }

    unit = kmq_hex_unit(p + 1, end);
    p += 5;

    if ((unit & 0xf800) != 0xd800) {
        *character = (uint32_t) unit;
        return p;
    }

    *character = KMQ_REPLACEMENT;

    if (unit < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {

        low = kmq_hex_unit(p + 2, end);

        if (low >= 0xdc00 && low <= 0xdfff) {
            *character = 0x10000 + (((uint32_t) unit & 0x3ff) << 10)
                         + ((uint32_t) low & 0x3ff);
            return p + 6;
        }
    }

    return p;
}


static size_t
kmq_utf8_size(uint32_t character)
{
    return 1 + (character >= 0x80) + (character >= 0x800)
           + (character >= 0x10000);
}


static unsigned char *
kmq_utf8_write(unsigned char *to, uint32_t character)
{
    static const unsigned char  first[] = { 0, 0xc0, 0xe0, 0xf0 };

    size_t  left;

    left = kmq_utf8_size(character) - 1;

    *to++ = (unsigned char) (first[left] | character >> (6 * left));

    while (left--) {
        *to++ = (unsigned char) (0x80 | (character >> (6 * left) & 0x3f));
    }

    return to;
}


/* The next backslash, or end. */
static const unsigned char *
kmq_unescape_next(const unsigned char *p, const unsigned char *end)
{
    const unsigned char  *found;

    found = (p < end) ? memchr(p, '\\', (size_t) (end - p)) : NULL;

    return found ? found : end;
}


size_t
kmq_json_unescape(unsigned char *text, size_t size)
{
    const unsigned char  *p, *next, *end;
    unsigned char        *to;
    uint32_t              character;

    to = text;
    end = text + size;

    for (p = text; p < end; /* void */ ) {

        next = kmq_unescape_next(p, end);

        if (to != p) {
            memmove(to, p, (size_t) (next - p));
        }

        to += next - p;
        p = next;

        if (p < end) {
            p = kmq_unescape_one(p + 1, end, &character);
            to = kmq_utf8_write(to, character);
        }
    }

    return (size_t) (to - text);
}


size_t
kmq_json_unescaped(const unsigned char *text, size_t size)
{
    const unsigned char  *p, *next, *end;
    uint32_t              character;

    end = text + size;

    for (p = kmq_unescape_next(text, end);
         p < end;
         p = kmq_unescape_next(next, end))
    {
        next = kmq_unescape_one(p + 1, end, &character);
        size -= (size_t) (next - p) - kmq_utf8_size(character);
    }

    return size;
}


void
kmq_json_mend(unsigned char *text, size_t size)
{
    const unsigned char  *next, *end;
    unsigned char        *p;
    uint32_t              character;

    end = text + size;

    for (p = text + (kmq_unescape_next(text, end) - text);
         p < end;
         p = text + (kmq_unescape_next(next, end) - text))
    {
        next = kmq_unescape_one(p + 1, end, &character);

        if (character == KMQ_REPLACEMENT) {
            memcpy(p + 1, "ufffd", 5);
        }
    }
}


/* Is it, from p on, all that there is of a pair's second half, and not all of
 * that? */
static int
kmq_unescape_halved(const unsigned char *p, const unsigned char *end)
{
    return end - p < 6 && (p == end || *p == '\\')
           && (end - p < 2 || p[1] == 'u');
}


/* The bytes of the escape at p, with the second half of its pair; 0: it is not
 * all there. */
static size_t
kmq_unescape_size(const unsigned char *p, const unsigned char *end)
{
    int       unit;
    uint32_t  character;

    if (end - p < 2 || (p[1] == 'u' && end - p < 6)) {
        return 0;
    }

    if (p[1] == 'u') {
        unit = kmq_hex_unit(p + 2, end);

        if (unit >= 0xd800 && unit < 0xdc00
            && kmq_unescape_halved(p + 6, end))
        {
            return 0;
        }
    }

    return (size_t) (kmq_unescape_one(p + 1, end, &character) - p);
}


/* How many bytes at the end are a character that is not all there. */
static size_t
kmq_unescape_torn(const unsigned char *text, const unsigned char *end)
{
    size_t                n;
    const unsigned char  *p;

    for (p = end; p > text && end - p < 3 && (p[-1] & 0xc0) == 0x80; p--) {
        /* void */
    }

    if (p == text || p[-1] < 0xc0) {
        return 0;
    }

    n = (size_t) (end - p) + 1;

    return n < 2u + (p[-1] >= 0xe0) + (p[-1] >= 0xf0) ? n : 0;
}


size_t
kmq_json_cut(const unsigned char *text, size_t size)
{
    size_t                n;
    const unsigned char  *p, *end;

    end = text + size;

    for (p = kmq_unescape_next(text, end);
         p < end;
         p = kmq_unescape_next(p + n, end))
    {
        n = kmq_unescape_size(p, end);

        if (n == 0) {
            return (size_t) (p - text);
        }
    }

    return size - kmq_unescape_torn(text, end);
}
