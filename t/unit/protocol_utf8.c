/* UTF-8 against a plain reading of RFC 3629. */

#include "protocol_util.h"
#include "tap.h"


/* 1 when kmq_utf8_valid() and the plain reader disagree. */
static int
differs(const unsigned char *text, size_t size)
{
    return kmq_utf8_valid(text, size) != plain_utf8_valid(text, size);
}


static void
test_exhaustive(void)
{
    unsigned       c, wrong;
    unsigned char  text[3];

    for (c = 0, wrong = 0; c < 0x100; c++) {
        text[0] = (unsigned char) c;
        wrong += differs(text, 1);
    }

    is_int(wrong, 0, "all texts of one byte");

    for (c = 0, wrong = 0; c < 0x10000; c++) {
        text[0] = (unsigned char) (c >> 8);
        text[1] = (unsigned char) c;
        wrong += differs(text, 2);
    }

    is_int(wrong, 0, "all texts of two bytes");

    for (c = 0, wrong = 0; c < 0x1000000; c++) {
        text[0] = (unsigned char) (c >> 16);
        text[1] = (unsigned char) (c >> 8);
        text[2] = (unsigned char) c;
        wrong += differs(text, 3);
    }

    is_int(wrong, 0, "all texts of three bytes");
}


/* All lead bytes, and behind them the bytes at which something changes. */
static void
test_boundaries(void)
{
    unsigned       lead, i, j, k, wrong;
    unsigned char  text[4];

    static const unsigned char  bytes[] = {
        0x00, 0x22, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2,
        0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xf7, 0xf8, 0xfe, 0xff
    };

    const unsigned  n = elements(bytes);

    wrong = 0;

    for (lead = 0; lead < 0x100; lead++) {
        for (i = 0; i < n * n * n; i++) {
            j = i / n;
            k = j / n;

            text[0] = (unsigned char) lead;
            text[1] = bytes[i % n];
            text[2] = bytes[j % n];
            text[3] = bytes[k];

            wrong += differs(text, 4);
        }
    }

    is_int(wrong, 0, "texts of four bytes at all boundaries");
}


/* Random text of whole characters, often with one byte wrong. */
static size_t
random_text(unsigned char *text, size_t room)
{
    size_t    n;
    unsigned  kind;

    static const char *const  characters[] = {
        "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xe4\xb8\xad",
        "\xed\x9f\xbf", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"
    };

    n = 0;
    kind = below(elements(characters));

    while (n + 4 <= room) {
        memcpy(text + n, characters[kind], strlen(characters[kind]));
        n += strlen(characters[kind]);
        kind = below(6) ? kind : below(elements(characters));
    }

    if (below(2)) {
        text[below((unsigned) n)] = (unsigned char) below(256);
    }

    return n - below(4);
}


/* Long texts, at each alignment, whole and in two or three pieces. */
static void
test_random(void)
{
    unsigned        i, wrong, wrong_pieces, valid;
    size_t          size, a, b, start;
    kmq_utf8_t      state;
    unsigned char  *copy, text[16 + 200];

    wrong = 0;
    wrong_pieces = 0;
    valid = 0;

    for (i = 0; i < 200000; i++) {
        start = i % 16;
        size = random_text(text + start, 8 + below(180));
        copy = exact_copy(text, start + size);

        wrong += differs(copy + start, size);
        valid += plain_utf8_valid(copy + start, size);

        a = below((unsigned) size + 1);
        b = a + below((unsigned) (size - a) + 1);
        memset(&state, 0, sizeof(state));

        wrong_pieces += (kmq_utf8_check(&state, copy + start, a)
                         && kmq_utf8_check(&state, copy + start + a, b - a)
                         && kmq_utf8_check(&state, copy + start + b, size - b)
                         && state.left == 0)
                        != plain_utf8_valid(copy + start, size);
        free(copy);
    }

    is_int(wrong, 0, "random texts");
    is_int(wrong_pieces, 0, "random texts in pieces");
    ok(valid > 10000 && valid < 190000, "both kinds occurred (%u valid)",
       valid);
}


/* A wrong byte is found with the byte itself, not later. */
static void
test_early(void)
{
    kmq_utf8_t  state;

    memset(&state, 0, sizeof(state));
    is_int(kmq_utf8_check(&state, (const unsigned char *) "ab\xed", 3), 1,
           "a character may be unfinished");
    is_int(state.left, 2, "two bytes of it are missing");
    is_int(kmq_utf8_check(&state, (const unsigned char *) "\xa0", 1), 0,
           "a surrogate is refused at its second byte");
    is_int(kmq_utf8_valid((const unsigned char *) "ab\xed", 3), 0,
           "a whole text does not end inside a character");
    is_int(kmq_utf8_valid(NULL, 0), 1, "an empty text is valid");
}


int
main(void)
{
    test_exhaustive();
    test_boundaries();
    test_random();
    test_early();

    return done_testing();
}
