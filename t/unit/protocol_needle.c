/*
 * A text that is looked for in message data, however that is escaped and
 * wherever it is cut.
 */

#include "../../src/protocol/kmq_json.h"
#include "../../src/protocol/kmq_needle.h"
#include "protocol_util.h"
#include "tap.h"


/* Is text found in data, the inside of a JSON string, in parts of size? */
static int
found(const char *text, const char *data, size_t len, size_t size)
{
    int            rc;
    size_t         n;
    unsigned char *part;

    static kmq_needle_t  needle;

    kmq_needle_init(&needle, (const unsigned char *) text, strlen(text));
    rc = 0;

    for ( /* void */ ; len && rc == 0; data += n, len -= n) {
        n = len < size ? len : size;
        part = exact_copy(data, n);
        rc = kmq_needle_next(&needle, part, n);
        free(part);
    }

    return rc;
}


/* Is it so in parts of every size? */
static void
found_is(const char *text, const char *data, int want)
{
    size_t    size, len;
    unsigned  wrong;

    wrong = 0;
    len = strlen(data);

    for (size = 1; size <= len + 1; size++) {
        wrong += found(text, data, len, size) != want;
    }

    is_int(wrong, 0, "\"%s\" %s in %s", text, want ? "is" : "is not", data);
}


static void
test_plain(void)
{
    found_is("hello", "hello", 1);
    found_is("hello", "say hello to all", 1);
    found_is("HeLLo", "say hEllo", 1);
    found_is("hello", "hellhello", 1);
    found_is("aab", "aaab", 1);
    found_is("hello", "hell", 0);
    found_is("hello", "hell o", 0);
    found_is("@", "`", 0);
    found_is("[", "{", 0);
    found_is("x", "", 0);
    found_is("\xe4\xb8\xad\xe6\x96\x87", "a\xe4\xb8\xad\xe6\x96\x87z", 1);
}


static void
test_escapes(void)
{
    found_is("{\"order\":17}", "{\\\"order\\\":17}", 1);
    found_is("nabc", "\\nabc", 0);
    found_is("\nabc", "\\nabc", 1);
    found_is("u0041", "\\u0041", 0);
    found_is("A", "\\u0041", 1);
    found_is("a/b", "a\\/b", 1);
    found_is("\\", "\\\\", 1);
    found_is("\\n", "\\\\n", 1);
    found_is("\n", "\\\\n", 0);
    found_is("\xe4\xb8\xad", "\\u4e2d", 1);
    found_is("x\xf0\x9f\x98\x80y", "x\\ud83d\\ude00y", 1);
    found_is("\xef\xbf\xbd", "\\ud83d\\ude00", 0);
    found_is("\xef\xbf\xbdz", "\\ufffdz", 1);
}


/* Data that is larger than the window, and a text at any place of it. */
static void
test_long(void)
{
    char      data[3 * KMQ_NEEDLE_PART];
    unsigned  i, at, wrong;

    wrong = 0;

    for (i = 0; i < 2000; i++) {
        memset(data, 'x', sizeof(data));
        at = below(sizeof(data) - 20);
        memcpy(data + at, "needle\\u0021", 12);

        wrong += !found("NEEDLE!", data, sizeof(data),
                        1 + below(sizeof(data)));
        data[at + below(6)] = '-';
        wrong += found("needle!", data, sizeof(data),
                       1 + below(sizeof(data)));
    }

    is_int(wrong, 0, "found wherever it is");
}


/* The next data has nothing to do with it. */
static void
test_begin(void)
{
    static kmq_needle_t  needle;

    kmq_needle_init(&needle, (const unsigned char *) "ab", 2);
    is_int(kmq_needle_next(&needle, (const unsigned char *) "a", 1), 0,
           "half of it");
    kmq_needle_begin(&needle);
    is_int(kmq_needle_next(&needle, (const unsigned char *) "b", 1), 0,
           "is not joined with other data");
    is_int(kmq_needle_next(&needle, (const unsigned char *) "aB", 2), 1,
           "but the whole is found");
}


static void
cut_is(const char *text, size_t want)
{
    size_t          size;
    unsigned char  *copy;

    size = strlen(text);
    copy = exact_copy(text, size);
    is_int((long long) kmq_json_cut(copy, size), (long long) want,
           "%s: %zu bytes are whole", text, want);
    free(copy);
}


static void
test_cut(void)
{
    cut_is("", 0);
    cut_is("abc", 3);
    cut_is("abc\\", 3);
    cut_is("abc\\n", 5);
    cut_is("\\u", 0);
    cut_is("a\\u004", 1);
    cut_is("a\\u0041", 7);
    cut_is("a\\ud83d", 1);
    cut_is("a\\ud83d\\", 1);
    cut_is("a\\ud83d\\ude0", 1);
    cut_is("a\\ud83d\\ude00", 13);
    cut_is("a\\ud83dx", 8);
    cut_is("a\\ud83d\\n", 9);
    cut_is("a\xc3", 1);
    cut_is("a\xc3\xa4", 3);
    cut_is("a\xe4\xb8", 1);
    cut_is("a\xe4\xb8\xad", 4);
    cut_is("a\xf0\x9f\x98", 1);
    cut_is("\xf0\x9f\x98\x80", 4);
    cut_is("\x98", 1);
}


int
main(void)
{
    test_plain();
    test_escapes();
    test_long();
    test_begin();
    test_cut();

    return done_testing();
}
