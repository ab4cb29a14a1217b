/* UTF-8 (RFC 3629): shortest forms only, no surrogates, up to U+10FFFF. */

#include <string.h>

#include "kmq_utf8.h"
#include "kmq_vector.h"


/*
 * Takes the first byte of a longer character: how many follow, and the
 * bounds of the first of them, which keep out over-long forms (E0, F0),
 * surrogates (ED) and what is above U+10FFFF (F4).
 */
static int
kmq_utf8_lead(kmq_utf8_t *state, unsigned char c)
{
    state->low = 0x80;
    state->high = 0xbf;

    if (c >= 0xc2 && c <= 0xdf) {
        state->left = 1;

    } else if (c >= 0xe0 && c <= 0xef) {
        state->left = 2;
        state->low = (c == 0xe0) ? 0xa0 : 0x80;
        state->high = (c == 0xed) ? 0x9f : 0xbf;

    } else if (c >= 0xf0 && c <= 0xf4) {
        state->left = 3;
        state->low = (c == 0xf0) ? 0x90 : 0x80;
        state->high = (c == 0xf4) ? 0x8f : 0xbf;

    } else {
        return 0;
    }

    return 1;
}


/* Goes on with an unfinished character; NULL: it is wrong. */
static const unsigned char *
kmq_utf8_rest(kmq_utf8_t *state, const unsigned char *p,
    const unsigned char *end)
{
    while (state->left && p < end) {

        if (*p < state->low || *p > state->high) {
            return NULL;
        }

        state->low = 0x80;
        state->high = 0xbf;
        state->left--;
        p++;
    }

    return p;
}


/* The end of the ASCII run at p. */
static const unsigned char *
kmq_utf8_ascii(const unsigned char *p, const unsigned char *end)
{
    uint64_t  word;

    while ((size_t) (end - p) >= 2 * KMQ_V16_SIZE
           && !kmq_v16_high(kmq_v16_load(p) | kmq_v16_load(p + KMQ_V16_SIZE)))
    {
        p += 2 * KMQ_V16_SIZE;
    }

    while ((size_t) (end - p) >= sizeof(word)) {
        memcpy(&word, p, sizeof(word));

        if (word & UINT64_C(0x8080808080808080)) {
            break;
        }

        p += sizeof(word);
    }

    while (p < end && *p < 0x80) {
        p++;
    }

    return p;
}


/* The end of the run of whole three-byte characters at p; Chinese, Japanese
 * and Korean text is made of them. */
static const unsigned char *
kmq_utf8_threes(const unsigned char *p, const unsigned char *end)
{
    while (end - p >= 3 && (p[0] & 0xf0) == 0xe0
           && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80)
    {
        if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f)) {
            break;
        }

        p += 3;
    }

    return p;
}


int
kmq_utf8_check(kmq_utf8_t *state, const unsigned char *data, size_t size)
{
    const unsigned char  *p, *end;

    p = data;
    end = data + size;

    if (state->left) {
        p = kmq_utf8_rest(state, p, end);
        if (p == NULL) {
            return 0;
        }
    }

    while (p < end) {

        if (*p < 0x80) {
            p = kmq_utf8_ascii(p, end);
            continue;
        }

        p = kmq_utf8_threes(p, end);

        if (p == end || *p < 0x80) {
            continue;
        }

        if (!kmq_utf8_lead(state, *p)) {
            return 0;
        }

        p = kmq_utf8_rest(state, p + 1, end);
        if (p == NULL) {
            return 0;
        }
    }

    return 1;
}


int
kmq_utf8_valid(const unsigned char *data, size_t size)
{
    kmq_utf8_t  state = { 0, 0, 0 };

    return kmq_utf8_check(&state, data, size) && state.left == 0;
}


const char *
kmq_utf8_show(char to[KMQ_UTF8_SHOWN], const unsigned char *bytes, size_t len)
{
    size_t  i, n;

    n = len;

    if (n >= KMQ_UTF8_SHOWN) {
        n = KMQ_UTF8_SHOWN - sizeof("...");

        /* not in the middle of a character */
        while (n && (bytes[n] & 0xc0) == 0x80) {
            n--;
        }
    }

    for (i = 0; i < n; i++) {
        to[i] = (bytes[i] < 0x20 || bytes[i] == 0x7f) ? '?' : (char) bytes[i];
    }

    memcpy(to + n, n < len ? "..." : "", n < len ? 4 : 1);

    return to;
}
