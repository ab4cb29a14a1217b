/* The elements of a batch's body, however it is cut. */

#include "../../src/protocol/kmq_elements.h"
#include "../../src/protocol/kmq_form.h"
#include "protocol_util.h"
#include "tap.h"


static const char *const  found_name[] = {
    "end", "begin", "end of an element", "other", "scalar", "broken"
};


/* The elements, each with a bar behind it, and in the end what was found. */
static void
split(buffer_t *out, const char *body, size_t size, int lines, size_t part)
{
    int                    inside;
    size_t                 n;
    kmq_elements_t         elements;
    const unsigned char   *p, *q, *end;
    kmq_elements_found_t   found;

    kmq_elements_begin(&elements, lines);
    inside = 0;
    found = KMQ_ELEMENTS_AGAIN;

    for (n = 0; n < size; n += part) {
        part = part < size - n ? part : size - n;
        p = (const unsigned char *) body + n;
        end = p + part;

        for ( ;; ) {
            q = p;
            found = kmq_elements_next(&elements, &p, end);

            if (inside) {
                buffer_add(out, q, (size_t) (p - q));
            }

            if (found == KMQ_ELEMENTS_END) {
                buffer_add(out, "|", 1);
            }

            inside = inside ? found != KMQ_ELEMENTS_END
                            : found == KMQ_ELEMENTS_BEGIN;

            if (found == KMQ_ELEMENTS_AGAIN) {
                break;
            }

            if (found > KMQ_ELEMENTS_END) {
                buffer_add(out, found_name[found], strlen(found_name[found]));
                return;
            }
        }
    }

    found = kmq_elements_end(&elements);

    if (found == KMQ_ELEMENTS_END) {
        buffer_add(out, "|", 1);
        found = KMQ_ELEMENTS_AGAIN;
    }

    buffer_add(out, found_name[found], strlen(found_name[found]));
}


static void
splits(const char *body, int lines, const char *want)
{
    size_t    part, size, wrong;
    buffer_t  out = { NULL, 0, 0 };

    size = strlen(body);
    wrong = 0;

    for (part = 1; part <= size + 1; part++) {
        out.size = 0;
        split(&out, body, size, lines, part);

        if (out.size != strlen(want)
            || memcmp(out.bytes, want, out.size) != 0)
        {
            wrong++;
            diag("parts of %zu: %.*s", part, (int) out.size,
                 (char *) out.bytes);
        }
    }

    is_int((long long) wrong, 0, "\"%.50s\": %s", body, want);
    buffer_free(&out);
}


static void
test_arrays(void)
{
    splits("[]", 0, "end");
    splits(" [ ] ", 0, "end");
    splits("[{}]", 0, "{}|end");
    splits("\xef\xbb\xbf[{}]", 0, "{}|end");
    splits("\n[ {\"a\":1} ,{\"b\":[{}]}\t]\n", 0,
           "{\"a\":1}|{\"b\":[{}]}|end");
    splits("[{\"a\":\"]}\\\"]}\"},{\"\\\\\":2}]", 0,
           "{\"a\":\"]}\\\"]}\"}|{\"\\\\\":2}|end");
    splits("[{\"a long text in which nothing is found\":\"and more\"},{}]", 0,
           "{\"a long text in which nothing is found\":\"and more\"}|{}|end");

    splits("", 0, "other");
    splits(" \n", 0, "other");
    splits("\xef\xbb\xbf", 0, "other");
    splits("{}", 0, "other");
    splits(" \"[\"", 0, "other");
    splits("topic=[", 0, "other");

    splits("\xef[]", 0, "other");
    splits("\xef\xbb []", 0, "other");
    splits("[", 0, "broken");
    splits("[,", 0, "broken");
    splits("[{}", 0, "{}|broken");
    splits("[{}{}]", 0, "{}|broken");
    splits("[{},]", 0, "{}|broken");
    splits("[{},,{}]", 0, "{}|broken");
    splits("[{}] {}", 0, "{}|broken");
    splits("[{}]]", 0, "{}|broken");
    splits("[{\"a\":\"]", 0, "{\"a\":\"]broken");

    splits("[1]", 0, "scalar");
    splits("[{},null]", 0, "{}|scalar");
    splits("[[{}]]", 0, "scalar");
    splits("[\xef\xbb\xbf{}]", 0, "scalar");

    /* not valid, which is seen when it is read */

    splits("[{],{}]", 0, "{]|{}|end");
    splits("[{]]", 0, "{]|end");
}


static void
test_lines(void)
{
    splits("", 1, "end");
    splits("\n \r\n", 1, "end");
    splits("{}", 1, "{}|end");
    splits("\xef\xbb\xbf{}\n", 1, "{}|end");
    splits("{\"a\":\"{\"}\n{}\n", 1, "{\"a\":\"{\"}|{}|end");
    splits("{}\r\n\n  {} ", 1, "{}\r|{} |end");
    splits("\xef{}", 1, "broken");
    splits("[{}]\n1", 1, "[{}]|1|end");
}


static void
test_objects(void)
{
    unsigned        i;
    kmq_field_t     fields[2] = { { "topic", NULL, 0 }, { "data", NULL, 0 } };
    unsigned char  *copy;

    static const char  object[] = "{\"Topic\":\"\\u0074\\n\",\"x\":[1],"
                                  "\"data\":\"a\\u0062\\ud800c\"}";
    static const char *const  bad[] = {
        "", "{", "{]", "1", "[]", "{\"data\":{}}", "{\"data\":\"\x01\"}",
        "{\"data\":\"\xff\"}", "{} {}"
    };

    copy = exact_copy(object, strlen(object));
    ok(kmq_form_object(copy, strlen(object), fields, 2, 1, NULL) == NULL,
       "an object is read");
    is_bytes(fields[0].value, fields[0].len, "t\n", 2, "a field decoded");
    is_bytes(fields[1].value, fields[1].len, "a\\u0062\\ufffdc", 14,
             "the raw one as it stands, but half a pair");
    free(copy);

    for (i = 0; i < elements(bad); i++) {
        copy = exact_copy(bad[i], strlen(bad[i]));
        ok(kmq_form_object(copy, strlen(bad[i]), fields, 2, 1, NULL) != NULL,
           "\"%s\" is refused", bad[i]);
        free(copy);
    }
}


/* An object whose end nobody has looked for: all of it, or nothing. */
static void
test_first(void)
{
    size_t          room, size, len;
    unsigned        i, wrong;
    kmq_field_t     fields[2] = { { "topic", NULL, 0 }, { "data", NULL, 0 } };
    unsigned char  *copy;

    static const char  body[] = "{\"Topic\":\"\\u0074\\n\",\"x\":[1,{}],"
                                "\"data\":\"a}\\u0062\"},{\"topic\":\"u\"}]";
    static const char *const  bad[] = {
        "", "{]", "1}", "[]", "{\"data\":\"\x01\"},",
        "{\"data\":\"\xff\"},"
    };

    len = strlen(body) - strlen(",{\"topic\":\"u\"}]");

    for (room = 0, wrong = 0; room <= strlen(body); room++) {
        copy = exact_copy(body, room);
        wrong += kmq_form_first(copy, room, &size, fields, 2, 1, NULL) != NULL;

        if (room < len) {
            wrong += size != 0 || memcmp(copy, body, room) != 0;

        } else {
            wrong += size != len || fields[0].len != 2
                     || memcmp(fields[0].value, "t\n", 2) != 0
                     || fields[1].len != 8
                     || memcmp(fields[1].value, "a}\\u0062", 8) != 0;
        }

        free(copy);
    }

    is_int(wrong, 0, "the first object of a body, however much there is");

    for (i = 0; i < elements(bad); i++) {
        copy = exact_copy(bad[i], strlen(bad[i]));
        (void) kmq_form_first(copy, strlen(bad[i]), &size, fields, 2, 1, NULL);
        is_int((long long) size, 0, "\"%s\" is none", bad[i]);
        free(copy);
    }

    copy = exact_copy("{\"data\":{}},", 12);
    ok(kmq_form_first(copy, 12, &size, fields, 2, 1, NULL) != NULL,
       "one that is valid, but no message");
    is_int((long long) size, 11, "is passed over all the same");
    free(copy);
}


/* Whoever knows where an element ends goes on there, and finds the same. */
static void
test_pass(void)
{
    kmq_elements_t        elements;
    const unsigned char  *p, *end;

    static const char  array[] = "[ {\"a\":1} , {}]";
    static const char  lines[] = "{\"a\":1}\n{} \n{}";

    p = (const unsigned char *) array;
    end = p + strlen(array);
    kmq_elements_begin(&elements, 0);
    is_int(kmq_elements_next(&elements, &p, end), KMQ_ELEMENTS_BEGIN, "array");
    p += strlen("{\"a\":1}");
    is_int(kmq_elements_pass(&elements, p, end), 1, "is passed");
    is_int(kmq_elements_next(&elements, &p, end), KMQ_ELEMENTS_BEGIN, "next");
    is_int(kmq_elements_next(&elements, &p, end), KMQ_ELEMENTS_END, "its end");
    is_int(kmq_elements_next(&elements, &p, end), KMQ_ELEMENTS_AGAIN, "none");
    is_int(kmq_elements_end(&elements), KMQ_ELEMENTS_AGAIN, "all is there");

    p = (const unsigned char *) lines;
    end = p + strlen(lines);
    kmq_elements_begin(&elements, 1);
    is_int(kmq_elements_next(&elements, &p, end), KMQ_ELEMENTS_BEGIN, "a line");
    p += strlen("{\"a\":1}");
    is_int(kmq_elements_pass(&elements, p, end), 1, "is passed");
    is_int(kmq_elements_next(&elements, &p, end), KMQ_ELEMENTS_BEGIN, "next");
    is_int(kmq_elements_pass(&elements, p + 2, end), 0, "it goes on");
    is_int(kmq_elements_next(&elements, &p, end), KMQ_ELEMENTS_END, "its end");
    is_int(kmq_elements_next(&elements, &p, end), KMQ_ELEMENTS_BEGIN, "last");
    is_int(kmq_elements_pass(&elements, end, end), 0, "more may come");
    is_int(kmq_elements_next(&elements, &p, end), KMQ_ELEMENTS_AGAIN, "none");
    is_int(kmq_elements_end(&elements), KMQ_ELEMENTS_END, "it ends there");
}


static void
test_types(void)
{
    unsigned  i;

    static const struct {
        const char        *type;
        kmq_form_batch_t   batch;
    } types[] = {
        { NULL, KMQ_FORM_BATCH_MAYBE },
        { "", KMQ_FORM_BATCH_MAYBE },
        { "application/json; charset=utf-8", KMQ_FORM_BATCH_ARRAY },
        { "text/plain", KMQ_FORM_BATCH_MAYBE },
        { "multipart/form-data", KMQ_FORM_BATCH_MAYBE },
        { "multipart/form-data; boundary=x", KMQ_FORM_BATCH_NONE },
        { "application/x-www-form-urlencoded", KMQ_FORM_BATCH_NONE },
        { "Application/X-NDJSON ; charset=utf-8", KMQ_FORM_BATCH_LINES }
    };

    for (i = 0; i < elements(types); i++) {
        is_int(kmq_form_batch(types[i].type, types[i].type
                                             ? strlen(types[i].type) : 0),
               types[i].batch, "type %s", types[i].type ? types[i].type : "-");
    }
}


int
main(void)
{
    test_arrays();
    test_lines();
    test_objects();
    test_first();
    test_pass();
    test_types();

    return done_testing();
}
