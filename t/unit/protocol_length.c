/*
 * How long text is that stands in a JSON string, in parts of any size: as long
 * as it is when its escapes have been read.
 */

#include "../../src/protocol/kmq_json.h"
#include "protocol_util.h"
#include "tap.h"


static uint64_t
length_in_parts(const char *text, size_t len, size_t size)
{
    size_t              n;
    unsigned char      *part;
    kmq_json_length_t   length;

    memset(&length, 0, sizeof(length));

    for ( /* void */ ; len; text += n, len -= n) {
        n = len < size ? len : size;
        part = exact_copy(text, n);
        kmq_json_length(&length, part, n);
        free(part);
    }

    return length.size;
}


static void
length_is(const char *text, uint64_t want)
{
    size_t  size, len;

    len = strlen(text);
    is_int((long long) kmq_json_unescaped((const unsigned char *) text, len),
           (long long) want, "%s: its length", text);

    for (size = 1; size <= len; size++) {
        if (length_in_parts(text, len, size) != want) {
            is_int((long long) length_in_parts(text, len, size),
                   (long long) want, "%s: in parts of %zu", text, size);
            return;
        }
    }

    ok(1, "%s: in parts", text);
}


int
main(void)
{
    length_is("", 0);
    length_is("plain", 5);
    length_is("\\n", 1);
    length_is("a\\\"b\\\\", 4);
    length_is("\\u0041\\u00e4\\u4e2d", 6);
    length_is("x\\ud83d\\ude00y", 6);
    length_is("\\uD83D\\uDE00\\uFFFD", 7);
    length_is("\xe4\xb8\xad\\t\xf0\x9f\x98\x80", 8);
    length_is("\\\\u0041", 6);
    length_is("{\\\"order\\\":[1,2]}", 15);

    return done_testing();
}
