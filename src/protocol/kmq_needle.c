/*
 * A text is looked for in message data.  The data is read through a window,
 * which begins with as much of what came before as the text may begin in.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE    /* memmem() */
#endif

#include <string.h>

#include "kmq_json.h"
#include "kmq_needle.h"


static void
kmq_needle_fold(unsigned char *text, size_t size)
{
    size_t  i;

    for (i = 0; i < size; i++) {
        text[i] |= (unsigned char) (text[i] - 'A') < 26 ? 0x20 : 0;
    }
}


void
kmq_needle_init(kmq_needle_t *needle, const unsigned char *text, size_t len)
{
    needle->len = len < KMQ_NEEDLE_MAX ? len : KMQ_NEEDLE_MAX;

    memcpy(needle->text, text, needle->len);
    kmq_needle_fold(needle->text, needle->len);
    kmq_needle_begin(needle);
}


void
kmq_needle_begin(kmq_needle_t *needle)
{
    needle->kept = 0;
    needle->raw = 0;
}


/* Looks at the window, behind whose kept bytes size raw ones have come. */
static int
kmq_needle_look(kmq_needle_t *needle, size_t size)
{
    size_t          whole, read, all, keep;
    unsigned char  *raw;

    raw = needle->window + needle->kept;
    whole = kmq_json_cut(raw, size);

    /* the rest of an escape moves down behind what is read */

    needle->raw = size - whole;
    read = kmq_json_unescape(raw, whole);
    kmq_needle_fold(raw, read);

    all = needle->kept + read;

    if (memmem(needle->window, all, needle->text, needle->len)) {
        return 1;
    }

    keep = all < needle->len ? all : needle->len - 1;

    memmove(needle->window, needle->window + all - keep, keep);
    memmove(needle->window + keep, raw + whole, needle->raw);
    needle->kept = keep;

    return 0;
}


int
kmq_needle_next(kmq_needle_t *needle, const unsigned char *part, size_t size)
{
    size_t  room, n;

    while (size) {
        room = KMQ_NEEDLE_PART - needle->raw;
        n = size < room ? size : room;

        memcpy(needle->window + needle->kept + needle->raw, part, n);
        part += n;
        size -= n;

        if (kmq_needle_look(needle, needle->raw + n)) {
            return 1;
        }
    }

    return 0;
}
