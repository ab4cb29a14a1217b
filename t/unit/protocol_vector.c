/* Sixteen bytes at a time, as this machine does it and in plain words, against
 * a byte after the other. */

#include <stdlib.h>
#include <string.h>

#include "../../src/protocol/kmq_vector.h"
#include "protocol_vector/words.h"
#include "tap.h"


#define SIZE_MAX_HERE  70


static const unsigned char *
plain_find_special(const unsigned char *p, const unsigned char *end)
{
    while (p < end && *p >= 0x20 && *p != '"' && *p != '\\') {
        p++;
    }

    return p;
}


/* 1 when they do not agree about these bytes, which end where memory of ours
 * does. */
static unsigned
differs(const unsigned char *p, const unsigned char *end)
{
    const unsigned char  *right;

    right = plain_find_special(p, end);

    return kmq_v16_find_special(p, end) != right
           || words_find_special(p, end) != right;
}


/* Every byte at every place of texts of every size. */
static void
test_one(void)
{
    size_t          size, at;
    unsigned        c, wrong;
    unsigned char  *text;

    for (size = 0, wrong = 0; size <= SIZE_MAX_HERE; size++) {

        text = malloc(size ? size : 1);
        memset(text, 'a', size);
        wrong += differs(text, text + size);

        for (at = 0; at < size; at++) {
            for (c = 0; c < 256; c++) {
                text[at] = (unsigned char) c;
                wrong += differs(text, text + size);
            }

            text[at] = 'a';
        }

        free(text);
    }

    is_int(wrong, 0, "the first byte that is special");
}


/* Two of them, from every place on. */
static void
test_two(void)
{
    size_t         from, first, second;
    unsigned       wrong;
    unsigned char  text[40];

    wrong = 0;

    for (first = 0; first < sizeof(text); first++) {
        for (second = 0; second < sizeof(text); second++) {

            memset(text, 0x80, sizeof(text));
            text[first] = '"';
            text[second] = 0x1f;

            for (from = 0; from <= sizeof(text); from++) {
                wrong += differs(text + from, text + sizeof(text));
            }
        }
    }

    is_int(wrong, 0, "behind another");
}


static void
test_high(void)
{
    size_t         at;
    unsigned       c, wrong;
    unsigned char  text[KMQ_V16_SIZE];

    memset(text, 'a', sizeof(text));
    wrong = 0;

    for (at = 0; at < sizeof(text); at++) {
        for (c = 0; c < 256; c++) {
            text[at] = (unsigned char) c;
            wrong += kmq_v16_high(kmq_v16_load(text)) != (c >= 0x80)
                     || words_high(text) != (c >= 0x80);
        }

        text[at] = 'a';
    }

    is_int(wrong, 0, "anything but ASCII");
}


int
main(void)
{
    test_one();
    test_two();
    test_high();

    return done_testing();
}
