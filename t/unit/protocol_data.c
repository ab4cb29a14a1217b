/* Producer frames: what is a message, what is an error, what is as it is. */

#include "protocol_oracle.h"
#include "tap.h"


/* The frame that was read last, which data points into. */
static unsigned char  *frame_copy;


static const char *
read_frame(kmq_data_t *data, const char *frame, size_t size)
{
    free(frame_copy);
    frame_copy = exact_copy(frame, size);

    return kmq_data_frame(data, frame_copy, size, 1);
}


/* The frame is an object with this inside of MessageData and this delay. */
static void
json_is(const char *frame, const char *inside, unsigned long long delay)
{
    kmq_data_t   data;
    const char  *error;

    error = read_frame(&data, frame, strlen(frame));

    if (!ok(error == NULL && data.json, "read as an object: %s", frame)) {
        diag("%s", error ? error : "plain data");
        return;
    }

    is_bytes(data.bytes, data.size, inside, strlen(inside), "its data");
    is_int((long long) data.escaped, (long long) data.size, "as they are");
    is_int((long long) data.delay, (long long) delay, "its delay");
}


static void
plain_is(const char *frame)
{
    kmq_data_t   data;
    const char  *error;

    error = read_frame(&data, frame, strlen(frame));

    ok(error == NULL && !data.json && data.size == strlen(frame)
       && data.bytes == frame_copy && data.delay == 0,
       "plain data: %s", frame);
}


static void
error_is(const char *frame, const char *want)
{
    kmq_data_t   data;
    const char  *error;

    error = read_frame(&data, frame, strlen(frame));

    if (!ok(error && strstr(error, want), "%s: %s", want, frame)) {
        diag("got %s", error ? error : "no error");
    }
}


static void
test_objects(void)
{
    /* as the Go and the Java client write it */
    json_is("{\"MessageData\":\"hello\",\"DelayTime\":0}\n", "hello", 0);
    json_is("{\"delayTime\":0,\"messageData\":\"hi\"}", "hi", 0);

    json_is("{\"MessageData\":\"a\"}", "a", 0);
    json_is("{\"MessageData\":\"\"}", "", 0);
    json_is("{\"MessageData\":null}", "", 0);
    json_is("{\"MessageData\":null,\"DelayTime\":2}", "", 2000);
    json_is("{\"MESSAGEDATA\":\"a\",\"delaytime\":1}", "a", 1000);
    json_is("{\"Message\\u0044ata\":\"a\"}", "a", 0);
    json_is(" \t\r\n{ \"MessageData\" :\t\"a\" ,\r\n\"DelayTime\" : 1 } \n",
            "a", 1000);

    json_is("{\"x\":{\"MessageData\":1},\"MessageData\":\"a\",\"y\":[[],{},"
            "[1,{\"z\":null}],true,false,-0.5e+7,\"\\n\"]}", "a", 0);
    json_is("{\"MessageData\":\"a\",\"x\":\"\\ud800\"}", "a", 0);

    json_is("{\"MessageData\":\"a\",\"MessageData\":\"b\"}", "b", 0);
    json_is("{\"MessageData\":5,\"messagedata\":\"b\"}", "b", 0);
    json_is("{\"MessageData\":\"a\",\"DelayTime\":\"\",\"DelayTime\":3}", "a",
            3000);

    json_is("{\"MessageData\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\"}",
            "\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000", 0);
    json_is("{\"MessageData\":\"\\uD83D\\uDE00\\ud83d\\ude00\"}",
            "\\uD83D\\uDE00\\ud83d\\ude00", 0);
    json_is("{\"MessageData\":\"\xe4\xb8\xad\x7f\"}", "\xe4\xb8\xad\x7f", 0);
}


static void
test_plain(void)
{
    unsigned  i;

    static const char *const  frames[] = {
        "", " ", "hello", "null", "5", "\"MessageData\"",
        "[{\"MessageData\":\"a\"}]", "{}", "{", "}", "{\"a\":1}",
        "{\"x\":{\"MessageData\":\"a\"}}",
        "{\"MessageDat\":\"a\"}", "{\"MessageDataX\":\"a\"}",
        "{\"MessageData\\u0000\":\"a\"}", "{\"Message\\nData\":\"a\"}",
        "{\"MessageData \":\"a\"}", "{\"DelayTime\":\"x\"}",
        "{\"MessageData\":\"a\"", "{\"MessageData\":\"a\"}}",
        "{\"MessageData\":\"a\"} x", "{\"MessageData\":\"a\",}",
        "{,\"MessageData\":\"a\"}", "{\"MessageData\"}",
        "{\"MessageData\":}", "{\"MessageData\" \"a\"}",
        "{\"MessageData\":\"a\" \"b\":1}", "{MessageData:\"a\"}",
        "{'MessageData':'a'}", "{\"MessageData\":\"a\n\"}",
        "{\"MessageData\":\"\\x\"}", "{\"MessageData\":\"\\u12g4\"}",
        "{\"MessageData\":\"\\u123\"}", "{\"MessageData\":\"a\\\"}",
        "{\"MessageData\":\"a\",\"x\":01}", "{\"MessageData\":\"a\",\"x\":1.}",
        "{\"MessageData\":\"a\",\"x\":.5}", "{\"MessageData\":\"a\",\"x\":+1}",
        "{\"MessageData\":\"a\",\"x\":-}", "{\"MessageData\":\"a\",\"x\":1e}",
        "{\"MessageData\":\"a\",\"x\":nul}",
        "{\"MessageData\":\"a\",\"x\":NaN}",
        "{\"MessageData\":\"a\",\"x\":truee}",
        "{\"MessageData\":\"a\",\"x\":[1,]}",
        "{\"MessageData\":\"a\",\"x\":[1}",
        "{\"MessageData\":\"a\",\"x\":[1}}",
        "{\"MessageData\":\"a\",\"x\":{\"y\":1]}",
        "{\"MessageData\":\"a\",\"x\":{\"y\"}}",
        "{\"MessageData\":\"a\",\"x\":{1:2}}",
        "{\"MessageData\":\"a\",\"x\":[,1]}",
        "{\"MessageData\":\"a\",\"x\":[1 2]}",
        "{\"MessageData\":\"a\",\"x\":[",
        "{\"MessageData\":\"a\",\"x\":{",
        "{\"MessageData\":5", "{\"MessageData\":\"\\ud800\""
    };

    for (i = 0; i < elements(frames); i++) {
        plain_is(frames[i]);
    }
}


static void
test_errors(void)
{
    kmq_data_t  data;

    error_is("{\"MessageData\":5}", "MessageData is a number");
    error_is("{\"MessageData\":true}", "MessageData is true or false");
    error_is("{\"MessageData\":[]}", "MessageData is an array");
    error_is("{\"MessageData\":{}}", "MessageData is an object");
    error_is("{\"MessageData\":\"a\",\"MessageData\":1}",
             "MessageData is a number");

    error_is("{\"MessageData\":\"a\",\"DelayTime\":\"5\"}",
             "DelayTime is a string");
    error_is("{\"MessageData\":\"a\",\"DelayTime\":true}",
             "DelayTime is true or false");
    error_is("{\"MessageData\":\"a\",\"DelayTime\":[]}",
             "DelayTime is an array");
    error_is("{\"DelayTime\":{},\"MessageData\":\"a\"}",
             "DelayTime is an object");
    error_is("{\"MessageData\":\"a\",\"DelayTime\":1e99}",
             "more than ten years");

    /* half of a surrogate pair */
    json_is("{\"MessageData\":\"\\ud800\"}", "\\ufffd", 0);
    json_is("{\"MessageData\":\"\\uDC00\"}", "\\ufffd", 0);
    json_is("{\"MessageData\":\"\\ud800\\ud800\"}", "\\ufffd\\ufffd", 0);
    json_is("{\"MessageData\":\"\\ud800x\"}", "\\ufffdx", 0);
    json_is("{\"MessageData\":\"\\ud800\\n\"}", "\\ufffd\\n", 0);
    json_is("{\"MessageData\":\"\\ud800\\\\u\"}", "\\ufffd\\\\u", 0);
    json_is("{\"MessageData\":\"\\ud800\\u0041\"}", "\\ufffd\\u0041", 0);
    json_is("{\"MessageData\":\"\\ude00\\ud83d\"}", "\\ufffd\\ufffd", 0);
    json_is("{\"MessageData\":\"\\ude00\\ude00\"}", "\\ufffd\\ufffd", 0);
    json_is("{\"MessageData\":\"\\ud83d\\ud83d\\ude00\"}",
            "\\ufffd\\ud83d\\ude00", 0);

    error_is("\xff", "not valid UTF-8");
    error_is("{\"MessageData\":\"\xed\xa0\x80\"}", "not valid UTF-8");

    ok(kmq_data_text(&data, (const unsigned char *) "\xc3", 1) != NULL,
       "a form's text is checked");
    ok(kmq_data_text(&data, (const unsigned char *) "{\"", 2) == NULL
       && !data.json && data.size == 2 && data.escaped == 3,
       "a form's text is never read as JSON");
}


static void
test_depth(void)
{
    char      frame[400];
    unsigned  levels, i, n;

    for (levels = JSON_LEVELS; levels <= JSON_LEVELS + 1; levels++) {

        n = (unsigned) sprintf(frame, "{\"MessageData\":\"a\",\"x\":");

        for (i = 1; i < levels; i++) {
            n += (unsigned) sprintf(frame + n, "[");
        }

        for (i = 1; i < levels; i++) {
            n += (unsigned) sprintf(frame + n, "]");
        }

        sprintf(frame + n, "}");

        if (levels == JSON_LEVELS) {
            json_is(frame, "a", 0);

        } else {
            plain_is(frame);
        }
    }
}


/* -------------------------------------------------------------- DelayTime */

static void
test_delay(void)
{
    char          frame[200];
    unsigned      i;
    uint64_t      delay;
    kmq_data_t    data;
    const char   *error;

    static const struct {
        const char  *text;
        long long    ms;            /* -1: an error */
    } delays[] = {
        { "0", 0 }, { "-0", 0 }, { "-5", 0 }, { "-1e300", 0 }, { "1", 1000 },
        { "1.5", 1500 }, { "0.1", 100 }, { "0.001", 1 }, { "0.0001", 1 },
        { "0.0000", 0 }, { "1.0001", 1001 }, { "1.0010", 1001 },
        { "2.999", 2999 }, { "2.9990", 2999 }, { "2.9991", 3000 },
        { "1e3", 1000000 }, { "1E+3", 1000000 }, { "15e-1", 1500 },
        { "1.25e2", 125000 }, { "12345e-7", 2 }, { "1e-400", 1 },
        { "0e99999999999999999999", 0 }, { "0e-99999999999999999999", 0 },
        { "0.00000000000000000001e20", 1000 },
        { "100000000000000000000e-20", 1000 },
        { "316224000", 316224000000 }, { "316224000.000", 316224000000 },
        { "316224000.0001", -1 }, { "316224001", -1 },
        { "99999999999999999999999999", -1 },
        { "1e400", -1 }, { "1e99999999999999999999", -1 }
    };

    static const char *const  wrong[] = {
        "x", "-", "+", ".", "-.", "1.2.3", "1e", "1e+", "1ex", "e5", "1 ",
        " 1", "0x10", "1,5", "inf", "nan", "--1", "1e5.0", "1-"
    };

    for (i = 0; i < elements(delays); i++) {
        snprintf(frame, sizeof(frame),
                 "{\"MessageData\":\"\",\"DelayTime\":%s}", delays[i].text);
        error = read_frame(&data, frame, strlen(frame));
        is_int(error ? -1 : (long long) data.delay, delays[i].ms,
               "DelayTime %s", delays[i].text);

        is_int(kmq_data_delay(delays[i].text, strlen(delays[i].text), &delay),
               delays[i].ms < 0 ? -1 : 0, "delayTime %s", delays[i].text);
        ok(delays[i].ms < 0 || (long long) delay == delays[i].ms,
           "its value");
    }

    for (i = 0; i < elements(wrong); i++) {
        is_int(kmq_data_delay(wrong[i], strlen(wrong[i]), &delay), -1,
               "delayTime \"%s\" is refused", wrong[i]);
    }

    ok(kmq_data_delay("", 0, &delay) == 0 && delay == 0, "delayTime \"\"");
    ok(kmq_data_delay("+.5", 3, &delay) == 0 && delay == 500,
       "delayTime \"+.5\"");
    ok(kmq_data_delay("5.", 2, &delay) == 0 && delay == 5000,
       "delayTime \"5.\"");
}


/* --------------------------------------------------------------- escaping */

static void
test_escape(void)
{
    size_t         used, n, room;
    unsigned       c;
    const char    *error;
    unsigned char  text[256], out[8 * 256];

    used = 0;
    n = kmq_json_escape(out, sizeof(out),
                        (const unsigned char *) "a\"b\\\b\t\n\f\r\x01\x1f\x7f/",
                        13, &used);
    is_bytes(out, n, "a\\\"b\\\\\\b\\t\\n\\f\\r\\u0001\\u001f\x7f/", 30,
             "what is escaped, and how");

    for (c = 0; c < 128; c++) {
        text[c] = (unsigned char) c;
        text[128 + c] = (unsigned char) (127 - c);
    }

    for (room = 6, error = NULL; room < 200 && error == NULL; room++) {
        error = escape_error(text, sizeof(text), room);
    }

    ok(error == NULL, "ASCII through windows of all sizes (%s)",
       error ? error : "reads back");

    for (c = 0; c < 128 && error == NULL; c++) {
        memset(text, (int) c, 40);
        error = escape_error(text, 40, sizeof(out));
    }

    ok(error == NULL, "each byte for itself (%s)",
       error ? error : "reads back");

    memset(text, 1, sizeof(text));
    is_int((long long) kmq_json_escaped(text, sizeof(text)), 6 * 256,
           "the most that escaping can take");

    used = 0;
    n = kmq_json_escape(out, 6, (const unsigned char *) "12345\xe4\xb8\xad", 8,
                        &used);
    ok(n == 5 && used == 5, "a character is not cut");
}


/* Many vectors in a row, to see their sums overflow if they could. */
static void
test_escaped_long(void)
{
    size_t          size;
    unsigned        wrong;
    unsigned char  *text;

    text = malloc(20000);
    memset(text, 1, 20000);
    wrong = 0;

    for (size = 0; size < 20000; size += 1 + size / 50) {
        wrong += kmq_json_escaped(text, size) != 6 * size;
    }

    is_int(wrong, 0, "escaped sizes of long texts");
    free(text);
}


/* ---------------------------------------------------------------- random */

static void
add_text(buffer_t *json, const char *text)
{
    buffer_add(json, text, strlen(text));
}


static void
add_space(buffer_t *json)
{
    static const char *const  spaces[] = { "", "", "", " ", "\n\t", "\r\n " };

    add_text(json, spaces[below(elements(spaces))]);
}


static void
add_string(buffer_t *json)
{
    unsigned  n;

    static const char *const  pieces[] = {
        "a", "plain text", "\\n", "\\\"", "\\\\", "\\u0041", "\xe4\xb8\xad",
        "\\ud83d\\ude00", "\xf0\x9f\x98\x80", "\\u0000", "{", "]", ":"
    };

    add_text(json, "\"");

    for (n = below(8); n; n--) {
        add_text(json, pieces[below(elements(pieces))]);
    }

    add_text(json, "\"");
}


static void
add_number(buffer_t *json)
{
    char  text[64];

    static const char *const  exponents[] = { "", "", "e3", "E-5", "e+9" };

    snprintf(text, sizeof(text), "%s%u%s%s", below(4) ? "" : "-",
             below(1u << below(30)), below(2) ? "" : ".0625",
             exponents[below(elements(exponents))]);
    add_text(json, text);
}


static void  add_value(buffer_t *json, unsigned depth);


static void
add_members(buffer_t *json, unsigned depth)
{
    unsigned  n;

    for (n = below(4); n; n--) {
        add_space(json);
        add_string(json);
        add_space(json);
        add_text(json, ":");
        add_space(json);
        add_value(json, depth + 1);
        add_space(json);
        add_text(json, n > 1 ? "," : "");
    }
}


static void
add_items(buffer_t *json, unsigned depth)
{
    unsigned  n;

    for (n = below(4); n; n--) {
        add_space(json);
        add_value(json, depth + 1);
        add_space(json);
        add_text(json, n > 1 ? "," : "");
    }
}


static void
add_value(buffer_t *json, unsigned depth)
{
    static const char *const  words[] = { "true", "false", "null" };

    switch (below(depth > 5 ? 6 : 8)) {

    case 0:
    case 1:
    case 2:
        add_string(json);
        return;

    case 3:
    case 4:
        add_number(json);
        return;

    case 5:
        add_text(json, words[below(elements(words))]);
        return;

    case 6:
        add_text(json, "[");
        add_items(json, depth);
        add_text(json, "]");
        return;

    default:
        add_text(json, "{");
        add_members(json, depth);
        add_text(json, "}");
    }
}


/* Mostly what a producer would send. */
static void
add_frame(buffer_t *json)
{
    unsigned  i, n;

    static const char *const  names[] = {
        "\"MessageData\"", "\"messageData\"", "\"DelayTime\"", "\"delayTime\"",
        "\"Topic\"", "\"M\\u0065ssageData\""
    };

    add_space(json);
    add_text(json, "{");

    for (i = 0, n = below(5); i < n; i++) {
        add_space(json);
        add_text(json, names[below(elements(names))]);
        add_space(json);
        add_text(json, ":");
        add_space(json);
        add_value(json, 0);
        add_space(json);
        add_text(json, i + 1 < n ? "," : "");
    }

    add_text(json, "}");
    add_space(json);
}


static void
mutate(buffer_t *json)
{
    size_t    at;
    unsigned  n;

    static const char  bytes[] = "{}[]:,\"\\u09-+.eE tn\n\x01\x7f\xe4\xb8";

    for (n = below(4); n && json->size; n--) {
        at = below((unsigned) json->size);

        if (below(3)) {
            json->bytes[at] = (unsigned char) bytes[below(sizeof(bytes))];

        } else {
            memmove(json->bytes + at, json->bytes + at + 1,
                    json->size - at - 1);
            json->size--;
        }
    }
}


static void
test_random(void)
{
    unsigned        i, wrong, objects;
    buffer_t        json;
    kmq_data_t      data;
    const char     *error;
    unsigned char  *frame;

    wrong = 0;
    objects = 0;

    for (i = 0; i < 60000 && wrong < 5; i++) {
        memset(&json, 0, sizeof(json));
        add_frame(&json);

        if (i % 2) {
            mutate(&json);
        }

        frame = exact_copy(json.bytes, json.size);
        error = frame_error(frame, json.size);

        if (error) {
            wrong++;
            diag("%s: %.*s", error, (int) json.size, json.bytes);
        }

        objects += kmq_data_frame(&data, frame, json.size, 1) == NULL
                   && data.json;
        free(frame);
        buffer_free(&json);
    }

    is_int(wrong, 0, "random frames are read as jansson reads them");
    ok(objects > 5000, "with MessageData in many of them (%u)", objects);
}


/* What data counts as, and what its escapes mean. */
static void
size_is(const char *frame, const char *text)
{
    kmq_data_t      data;
    const char     *error;
    unsigned char  *copy;

    error = read_frame(&data, frame, strlen(frame));

    if (!ok(error == NULL, "%s is read", frame)) {
        return;
    }

    is_int((long long) kmq_data_size(&data), (long long) strlen(text),
           "its size");

    if (data.json) {
        copy = exact_copy(data.bytes, data.size);
        is_bytes(copy, kmq_json_unescape(copy, data.size), text,
                 strlen(text), "its text");
        free(copy);
    }
}


static void
test_size(void)
{
    size_is("", "");
    size_is("abc\"\n", "abc\"\n");
    size_is("{\"MessageData\":null}", "");
    size_is("{\"MessageData\":\"\"}", "");
    size_is("{\"MessageData\":\"abc\"}", "abc");
    size_is("{\"MessageData\":\"\xe4\xb8\xad\"}", "\xe4\xb8\xad");
    size_is("{\"MessageData\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}",
            "\"\\/\b\f\n\r\t");
    size_is("{\"MessageData\":\"a\\u0041\\u00e4\\u4e2D!\"}",
            "aA\xc3\xa4\xe4\xb8\xad!");
    size_is("{\"MessageData\":\"\\u007f\\u0080\\u07ff\\u0800\\uffff\"}",
            "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf");
    size_is("{\"MessageData\":\"\\ud83d\\ude00\\ud800\\udc00\"}",
            "\xf0\x9f\x98\x80\xf0\x90\x80\x80");
    size_is("{\"MessageData\":\"\\udbff\\udfff\\ud83d\"}",
            "\xf4\x8f\xbf\xbf\xef\xbf\xbd");
}


int
main(void)
{
    test_size();
    test_objects();
    test_plain();
    test_errors();
    test_depth();
    test_delay();
    test_escape();
    test_escaped_long();
    test_random();

    free(frame_copy);

    return done_testing();
}
