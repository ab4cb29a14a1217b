/* base64url: kmq_base64.h. */

#include <stdint.h>

#include "kmq_base64.h"


static int
base64url_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }

    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }

    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }

    return c == '-' ? 62 : c == '_' ? 63 : -1;
}


long
kmq_base64url_decode(unsigned char *to, const char *text, size_t len)
{
    int             value;
    size_t          i;
    unsigned        left;
    uint32_t        bits;
    unsigned char  *end;

    bits = 0;
    left = 0;
    end = to;

    for (i = 0; i < len; i++) {
        value = base64url_value(text[i]);

        if (value < 0) {
            return -1;
        }

        bits = bits << 6 | (uint32_t) value;
        left += 6;

        if (left >= 8) {
            left -= 8;
            *end++ = (unsigned char) (bits >> left);
            bits &= (1u << left) - 1;
        }
    }

    /* one character alone, or bits that no byte has */
    if (left == 6 || bits) {
        return -1;
    }

    return end - to;
}


size_t
kmq_base64url_encode(char *to, const unsigned char *bytes, size_t len)
{
    char      *end;
    size_t     i;
    unsigned   left;
    uint32_t   bits;

    static const char  digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789-_";

    bits = 0;
    left = 0;
    end = to;

    for (i = 0; i < len; i++) {
        bits = bits << 8 | bytes[i];
        left += 8;

        while (left >= 6) {
            left -= 6;
            *end++ = digits[bits >> left & 63];
        }

        bits &= (1u << left) - 1;
    }

    if (left) {
        *end++ = digits[bits << (6 - left) & 63];
    }

    return (size_t) (end - to);
}
