/* Lists of MessageCodes, and the forms that bring them. */

#include "../../src/protocol/kmq_code_list.h"
#include "../../src/protocol/kmq_form.h"
#include "protocol_util.h"
#include "tap.h"


#define A  "0000000000000001fe206459e20388f96b0d4587"
#define B  "00000000000000026afe1f3bc2bbdb9a6b0d4587"


/* The list has these codes, n of them; -1: wrong is what is wrong. */
static void
list_is(const char *text, ptrdiff_t n, const char *want)
{
    char                  codes[8 * KMQ_CODE_LIST_LEN];
    size_t                len;
    ptrdiff_t             got;
    unsigned char        *copy;
    const unsigned char  *wrong;

    copy = exact_copy(text, strlen(text));
    got = kmq_code_list(copy, strlen(text), codes, 3, &wrong, &len);

    is_int(got, n, "\"%.*s\"", (int) strcspn(text, "\n"), text);

    if (n > 0) {
        ok(memcmp(codes, want, (size_t) n * KMQ_CODE_LIST_LEN) == 0,
           "its codes");
    }

    if (n == -1) {
        ok(len == strlen(want) && memcmp(wrong, want, len) == 0,
           "what is wrong: %s", want);
    }

    free(copy);
}


static void
test_lists(void)
{
    list_is("", 0, "");
    list_is(" ,\n", 0, "");
    list_is("[]", 0, "");
    list_is("[ ]", 0, "");
    list_is(A, 1, A);
    list_is(" " A "\n", 1, A);
    list_is(A "," B, 2, A B);
    list_is(A B, -1, A B);
    list_is(A ",\t" B "," A, 3, A B A);
    list_is(A "," B "," A "," B, -2, "");
    list_is("[\"" A "\"]", 1, A);
    list_is("[\"" A "\", \"" B "\"\n]", 2, A B);
    list_is("\"" A "\"", -1, "\"" A "\"");
    list_is("x", -1, "x");
    list_is(A ",x", -1, "x");
    list_is(A "0", -1, A "0");
    list_is(A ",000000000000000000000000000000000000000", -1,
            "000000000000000000000000000000000000000");
    list_is("[5]", -1, "5");
    list_is("[\"\\u0030" B "\"]", -1, "\\u0030" B);
    list_is("[\"00000000000000000000000000000000000000\\n\"]", -1,
            "00000000000000000000000000000000000000\\n");
    list_is("00000000000000000000000000000000000000\xc3\xa4", -1,
            "00000000000000000000000000000000000000\xc3\xa4");
}


/* What a strict reader is told of a body. */
static void
form_is(const char *type, const char *text, const char *value,
    const char *unknown, unsigned repeated)
{
    const char      *error;
    kmq_field_t      fields[] = { { "list", NULL, 0 }, { "one", NULL, 0 } };
    unsigned char   *copy;
    kmq_misspelt_t   misspelt;

    copy = exact_copy(text, strlen(text));
    error = kmq_form_lists(copy, strlen(text), type, strlen(type), fields, 2,
                           1, &misspelt);

    ok((error == NULL) == (value != NULL), "%.*s: %s",
       (int) strcspn(text, "\r\n"), text,
       error ? error : "is read");

    if (value && error == NULL) {
        ok(fields[0].len == strlen(value)
           && memcmp(fields[0].value, value, fields[0].len) == 0,
           "the list as it stands");
        is_int(misspelt.repeated, repeated, "repeated fields");
        ok(unknown ? misspelt.unknown_len == strlen(unknown)
                     && memcmp(misspelt.unknown, unknown, strlen(unknown)) == 0
                   : misspelt.unknown == NULL, "the unknown name");
    }

    free(copy);
}


static void
test_forms(void)
{
    static const char  json[] = "application/json";
    static const char  form[] = "application/x-www-form-urlencoded";
    static const char  parts[] = "multipart/form-data; boundary=b";

    form_is(json, "{\"list\":[\"a\", \"b\" ]}", "[\"a\", \"b\" ]", NULL, 0);
    form_is(json, "{\"list\":[], \"one\":1}", "[]", NULL, 0);
    form_is(json, "{\"list\":\"a\",\"x\":[1]}", "a", "x", 0);
    form_is(json, "{\"list\":[1],\"list\":[2]}", "[2]", NULL, 1);
    form_is(json, "{\"list\":{\"a\":1}}", NULL, NULL, 0);
    form_is(json, "{\"list\":[1],\"one\":[2]}", NULL, NULL, 0);
    form_is(json, "{\"list\":[1}", NULL, NULL, 0);
    form_is(form, "list=a,b&one=1&one=2&y=&x=", "a,b", "y", 2);
    form_is(parts, "--b\r\nContent-Disposition: form-data; name=\"list\"\r\n"
            "\r\na\r\n--b\r\nContent-Disposition: form-data; name=list\r\n\r\n"
            "b\r\n--b--\r\n", "a", NULL, 1);
}


int
main(void)
{
    test_lists();
    test_forms();

    return done_testing();
}
