/* Letters whose case does not matter: header tokens, field names. */

#ifndef KMQ_ASCII_H
#define KMQ_ASCII_H

#include <stddef.h>


static inline unsigned char
kmq_lower(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') ? c | 0x20 : c;
}


/* 1 when the len bytes are name in any letter case. */
static inline int
kmq_same_name(const unsigned char *bytes, size_t len, const char *name)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (name[i] == '\0'
            || kmq_lower(bytes[i]) != kmq_lower((unsigned char) name[i]))
        {
            return 0;
        }
    }

    return name[len] == '\0';
}


/* The value of a hex digit, or -1. */
static inline int
kmq_hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c = kmq_lower(c);

    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}


/* The value of the four hex digits at p, or -1. */
static inline int
kmq_hex_unit(const unsigned char *p, const unsigned char *end)
{
    int  value, digit, i;

    if (end - p < 4) {
        return -1;
    }

    value = 0;

    for (i = 0; i < 4; i++) {
        digit = kmq_hex_digit(p[i]);

        if (digit < 0) {
            return -1;
        }

        value = value << 4 | digit;
    }

    return value;
}

#endif /* KMQ_ASCII_H */
