/* How long text is that stands escaped in a JSON string, part by part. */

#include <string.h>

#include "kmq_ascii.h"
#include "kmq_json.h"


/* What is to come of an escape: its letter, behind which may be digits. */
#define KMQ_DIGITS  4
#define KMQ_LETTER  (KMQ_DIGITS + 1)


/* Bytes of the character in UTF-8; a pair's second half is in those of the
 * first. */
static unsigned
kmq_length_of(unsigned unit)
{
    if (unit >= 0xd800 && unit < 0xdc00) {
        return 4;
    }

    if (unit >= 0xdc00 && unit < 0xe000) {
        return 0;
    }

    return 1 + (unit >= 0x80) + (unit >= 0x800);
}


static void
kmq_length_escape(kmq_json_length_t *length, unsigned char c)
{
    if (length->left == KMQ_LETTER) {
        length->left = (c == 'u') ? KMQ_DIGITS : 0;
        length->size += (c != 'u');
        length->unit = 0;
        return;
    }

    length->unit = length->unit * 16 + (unsigned) kmq_hex_digit(c);

    if (--length->left == 0) {
        length->size += kmq_length_of(length->unit);
    }
}


void
kmq_json_length(kmq_json_length_t *length, const unsigned char *text,
    size_t size)
{
    const unsigned char  *p, *end, *next;

    p = text;
    end = text + size;

    while (p < end) {

        if (length->left) {
            kmq_length_escape(length, *p++);
            continue;
        }

        next = memchr(p, '\\', (size_t) (end - p));

        if (next == NULL) {
            length->size += (size_t) (end - p);
            return;
        }

        length->size += (size_t) (next - p);
        length->left = KMQ_LETTER;
        p = next + 1;
    }
}
