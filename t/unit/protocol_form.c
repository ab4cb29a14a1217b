/* Parameters: names, queries, and bodies in all their forms. */

#include "../../src/protocol/kmq_form.h"
#include "protocol_util.h"
#include "tap.h"


/* ----------------------------------------------------------------- percent */

static void
decoded_is(const char *text, int plus, const char *want, ptrdiff_t len)
{
    ptrdiff_t       n;
    unsigned char  *in, *out;

    in = exact_copy(text, strlen(text));
    out = malloc(strlen(text) + 1);

    n = kmq_percent_decode(out, in, strlen(text), plus);
    is_int(n, len, "\"%s\" decoded", text);
    ok(n < 0 || memcmp(out, want, (size_t) n) == 0, "its bytes");

    n = kmq_percent_decode(in, in, strlen(text), plus);
    ok(n == len && (n < 0 || memcmp(in, want, (size_t) n) == 0), "in place");

    free(in);
    free(out);
}


static void
test_percent(void)
{
    decoded_is("", 0, "", 0);
    decoded_is("abc", 0, "abc", 3);
    decoded_is("a%20b", 0, "a b", 3);
    decoded_is("%e4%B8%aD", 0, "\xe4\xb8\xad", 3);
    decoded_is("%00", 0, "\0", 1);
    decoded_is("%25%32%35", 0, "%25", 3);
    decoded_is("a+b", 0, "a+b", 3);
    decoded_is("a+b%2B", 1, "a b+", 4);
    decoded_is("%", 0, "", -1);
    decoded_is("%4", 0, "", -1);
    decoded_is("abc%4", 0, "", -1);
    decoded_is("%g0", 0, "", -1);
    decoded_is("%0g", 0, "", -1);
    decoded_is("%%41", 0, "", -1);
    decoded_is("% 41", 0, "", -1);
}


/* ------------------------------------------------------------------- names */

static void
name_is(const char *text, size_t size, const char *want)
{
    const char     *topic, *id;
    unsigned char  *name;

    name = exact_copy(text, size);
    topic = kmq_topic_error(name, size);
    id = kmq_id_error(name, size);

    if (want == NULL) {
        ok(topic == NULL && id == NULL, "%.60s: a name", text);

    } else {
        ok(topic && strncmp(topic, "topic ", 6) == 0
           && strcmp(topic + 6, want) == 0, "%.60s: topic %s", text, want);
        ok(id && strncmp(id, "client id ", 10) == 0
           && strcmp(id + 10, want) == 0, "%.60s: client id %s", text, want);
    }

    free(name);
}


static void
test_names(void)
{
    char  name[256];

    name_is("orders", 6, NULL);
    name_is("n", 1, NULL);
    name_is("\xe4\xb8\xad/ ?#%", 8, NULL);

    memset(name, 'n', sizeof(name));
    name_is(name, 255, NULL);
    name_is(name, 256, "is longer than 255 bytes");

    name_is("", 0, "is empty");
    name_is("a\0b", 3, "has a zero byte");
    name_is("a\0", 2, "has a zero byte");
    name_is("\xff", 1, "is not valid UTF-8");
    name_is("a\xed\xa0\x80", 4, "is not valid UTF-8");
    name_is("a\xe4\xb8", 3, "is not valid UTF-8");
}


/* -------------------------------------------------------------------- forms */

/* The fields of the tests: as the last read left them. */
static kmq_field_t     fields[3];
static kmq_misspelt_t  misspelt;
static void           *body_copy;


/* What was there before does not count. */
static void
begin(const char *body, size_t size)
{
    unsigned  i;

    free(body_copy);
    body_copy = exact_copy(body, size);
    memset(&misspelt, 0xff, sizeof(misspelt));

    fields[0].name = "messageData";
    fields[1].name = "topic";
    fields[2].name = "delayTime";

    for (i = 0; i < elements(fields); i++) {
        fields[i].value = (unsigned char *) "stale";
        fields[i].len = 5;
    }
}


static const char *
read_body(const char *type, const char *body, size_t size)
{
    begin(body, size);

    return kmq_form_read(body_copy, size, type, type ? strlen(type) : 0,
                         fields, elements(fields), &misspelt);
}


/* The field's value; NULL: it has none. */
static void
field_is(unsigned i, const char *want)
{
    if (want == NULL || fields[i].value == NULL) {
        ok(want == NULL && fields[i].value == NULL && fields[i].len == 0,
           "%s is %s", fields[i].name, want ? want : "not there");
        return;
    }

    is_bytes(fields[i].value, fields[i].len, want, strlen(want), "%s is %s",
             fields[i].name, want);
}


static void
form_is(const char *type, const char *body, const char *data,
    const char *topic, const char *delay)
{
    const char  *error;

    error = read_body(type, body, strlen(body));

    if (ok(error == NULL, "%s, %.60s: %s", type ? type : "no type", body,
           error ? error : "read"))
    {
        field_is(0, data);
        field_is(1, topic);
        field_is(2, delay);
    }
}


static void
form_error(const char *type, const char *body, const char *want)
{
    const char  *error;

    error = read_body(type, body, strlen(body));

    if (!ok(error && strstr(error, want), "%s, %.60s: %s", type, body, want)) {
        diag("got %s", error ? error : "no error");
    }
}


static void
test_urlencoded(void)
{
    const char *const  type = "application/x-www-form-urlencoded";

    form_is(type, "messageData=hello&topic=t&delayTime=1.5", "hello", "t",
            "1.5");
    form_is(type, "messagedata=a&TOPIC=b", "a", "b", NULL);
    form_is(type, "messageData=a+b%2B%26%3D&topic=%E4%B8%AD", "a b+&=",
            "\xe4\xb8\xad", NULL);
    form_is(type, "messageData=a=b&topic=", "a=b", "", NULL);
    form_is(type, "messageData&topic", "", "", NULL);
    form_is(type, "&&topic=t&", NULL, "t", NULL);
    form_is(type, "topic=1&Topic=2&topic=", NULL, "1", NULL);
    form_is(type, "topic&topic=2", NULL, "", NULL);
    form_is(type, "message%44ata=a", "a", NULL, NULL);
    form_is(type, "xtopic=1&topicx=2&x=3&=4&=", NULL, NULL, NULL);
    form_is(type, "{\"topic\":\"t\"}", NULL, NULL, NULL);
    form_is(type, "", NULL, NULL, NULL);
    form_is("Application/X-WWW-Form-Urlencoded; charset=UTF-8", "topic=t",
            NULL, "t", NULL);
    form_is(" application/x-www-form-urlencoded ;", "topic=t", NULL, "t",
            NULL);

    form_error(type, "topic=%", "a % without two hex digits");
    form_error(type, "topic=%4x", "a % without two hex digits");
    form_error(type, "%zz=1&topic=t", "a % without two hex digits");
}


static void
test_no_type(void)
{
    form_is(NULL, "topic=t", NULL, "t", NULL);
    form_is("", "topic=t", NULL, "t", NULL);
    form_is(NULL, "{\"topic\":\"t\"}", NULL, "t", NULL);
    form_is("", " \r\n{\"topic\":\"t\"}", NULL, "t", NULL);
    form_is("text/plain;charset=UTF-8", "{\"topic\":\"t\"}", NULL, "t", NULL);
    form_is("text/plain", "topic=t", NULL, "t", NULL);
    form_is(NULL, "", NULL, NULL, NULL);
}


static void
test_json(void)
{
    const char *const  type = "application/json";

    form_is(type, "{\"messageData\":\"hello\",\"topic\":\"t\","
                  "\"delayTime\":5}", "hello", "t", "5");
    form_is("application/json; charset=utf-8", " {\"TOPIC\":\"t\"}\n", NULL,
            "t", NULL);
    form_is(type, "{\"messageData\":\"\\u4e2d\\n\\\"\",\"topic\":\"\"}",
            "\xe4\xb8\xad\n\"", "", NULL);
    form_is(type, "{\"messageData\":null,\"topic\":true,\"delayTime\":false}",
            NULL, "true", "false");
    form_is(type, "{\"delayTime\":0.1}", NULL, NULL, "0.1");
    form_is(type, "{\"delayTime\":1.005}", NULL, NULL, "1.005");
    form_is(type, "{\"delayTime\":-3}", NULL, NULL, "-3");
    form_is(type, "{\"delayTime\":9007199254740993}", NULL, NULL,
            "9007199254740993");
    form_is(type, "{\"topic\":\"a\",\"topic\":\"b\"}", NULL, "b", NULL);
    form_is(type, "{\"topic\":\"a\",\"Topic\":null}", NULL, NULL, NULL);
    form_is(type, "{\"x\":{\"topic\":\"a\"},\"y\":[1]}", NULL, NULL, NULL);
    form_is(type, "{}", NULL, NULL, NULL);
    form_is(type, "", NULL, NULL, NULL);

    form_error(type, "{", "not valid JSON");
    form_error(type, "{\"topic\":\"\xff\"}", "not valid JSON");
    form_error(type, "{\"topic\":\"a\"} x", "not valid JSON");
    form_error(type, "topic=t", "not valid JSON");
    form_error(type, "[]", "not valid JSON, an object");
    form_error(type, "{\"topic\":{}}", "is an object or an array");
    form_error(type, "{\"topic\":[\"a\"]}", "is an object or an array");
    form_is(type, "{\"delayTime\":1e999}", NULL, NULL, "1e999");
    form_is(type, "{\"topic\":{},\"topic\":\"b\"}", NULL, "b", NULL);
    form_is(type, "{\"t\\u006fp\\u0069c\":\"\\ud83d\\ude00\\ud83d\"}", NULL,
            "\xf0\x9f\x98\x80\xef\xbf\xbd", NULL);

    read_body(type, "{\"topic\":\"a\\u0000b\"}", 20);
    is_bytes(fields[1].value, fields[1].len, "a\0b", 3,
             "a zero byte in a JSON string");
}


/* A mark of the byte order stands before what is there. */
static void
test_mark(void)
{
    form_is("application/json", "\xef\xbb\xbf{\"topic\":\"t\"}", NULL, "t",
            NULL);
    form_is(NULL, "\xef\xbb\xbf {\"topic\":\"t\"}", NULL, "t", NULL);
    form_is(NULL, "\xef\xbb\xbftopic=t", NULL, "t", NULL);
    form_is("application/x-www-form-urlencoded", "\xef\xbb\xbftopic=t",
            NULL, "t", NULL);
    form_is("multipart/form-data; boundary=XX",
            "\xef\xbb\xbf--XX\r\nContent-Disposition: form-data;"
            " name=\"topic\"\r\n\r\nt\r\n--XX--", NULL, "t", NULL);
    form_is("application/json", "\xef\xbb\xbf", NULL, NULL, NULL);
    form_is("application/json", "{\"topic\":\"\xef\xbb\xbf\"}", NULL,
            "\xef\xbb\xbf", NULL);

    form_error("application/json", "\xef\xbb{}", "not valid JSON");
    form_error("application/json", "\xef\xbb\xbf\xef\xbb\xbf{}",
               "not valid JSON");
}


static void
test_multipart(void)
{
    const char *const  type = "multipart/form-data; boundary=XX";

    form_is(type, "--XX\r\nContent-Disposition: form-data; name=\"topic\"\r\n"
                  "\r\nt\r\n--XX\r\n"
                  "Content-Disposition: form-data; name=\"messageData\"\r\n"
                  "\r\nhello\r\nworld\r\n--XX--\r\n",
            "hello\r\nworld", "t", NULL);
    form_is("Multipart/Form-Data; charset=x; Boundary=\"XX\"; y=z",
            "--XX\r\ncontent-disposition:form-data;NAME=topic\r\n\r\nt\r\n"
            "--XX--", NULL, "t", NULL);
    form_is(type, "preamble\r\n--XX  \r\n"
                  "Content-Type: text/plain\r\n"
                  "Content-Disposition: form-data; name=\"topic\"\r\n\r\n"
                  "t\r\n--XX--\r\nepilogue\r\n--XX\r\n", NULL, "t", NULL);
    form_is(type, "--XX\nContent-Disposition: form-data; name=\"topic\"\n"
                  "\nt\n--XX--\n", NULL, "t", NULL);
    form_is(type, "--XX\r\nContent-Disposition: form-data;\r\n"
                  " name=\"topic\"\r\n\r\nt\r\n--XX--", NULL, "t", NULL);
    form_is(type, "--XX\r\nContent-Disposition: form-data; filename=\"a;"
                  " name=\\\"no\\\"\"; name=\"topic\"\r\n"
                  "Content-Type: application/octet-stream\r\n\r\n"
                  "file\r\n--XX--", NULL, "file", NULL);
    form_is(type, "--XX\r\nContent-Disposition: form-data; name=\"topic\"\r\n"
                  "\r\n\r\n--XX--", NULL, "", NULL);
    form_is(type, "--XX\r\nContent-Disposition: form-data; name=\"topic\"\r\n"
                  "\r\n--XX--", NULL, "", NULL);
    form_is(type, "--XX\r\nContent-Disposition: form-data; name=\"topic\"\r\n"
                  "\r\n--XXX\r\n--X\r\n --XX\r\n-XX\r\n--XX--", NULL,
            "--XXX\r\n--X\r\n --XX\r\n-XX", NULL);
    form_is(type, "--XX\r\nContent-Disposition: form-data; name=\"topic\"\r\n"
                  "\r\n1\r\n--XX\r\n"
                  "Content-Disposition: form-data; name=\"Topic\"\r\n"
                  "\r\n2\r\n--XX--", NULL, "1", NULL);
    form_is(type, "--XX\r\n\r\nno headers\r\n--XX\r\nX: y; name=topic\r\n"
                  "\r\nno name\r\n--XX\r\nContent-Disposition: form-data\r\n"
                  "\r\nnor here\r\n--XX--", NULL, NULL, NULL);
    form_is(type, "--XX--\r\n", NULL, NULL, NULL);
    form_is(type, "", NULL, NULL, NULL);
}


static void
test_multipart_without_boundary(void)
{
    static const char *const  types[] = {
        "multipart/form-data", "multipart/form-data;",
        "multipart/form-data; boundary", "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"", "multipart/form-data; x=boundary"
    };

    unsigned  i;

    for (i = 0; i < elements(types); i++) {
        form_is(types[i], "{}", NULL, NULL, NULL);
        form_is(types[i], "", NULL, NULL, NULL);
        form_is(types[i], "{\"topic\":\"t\"}", NULL, "t", NULL);
        form_is(types[i], "topic=t", NULL, NULL, NULL);
    }
}


static void
test_multipart_errors(void)
{
    const char *const  type = "multipart/form-data; boundary=XX";

    form_error(type, "topic=t", "does not have its boundary");
    form_error(type, "--XXX\r\n", "does not have its boundary");
    form_error(type, "--XX", "ends inside a part's headers");
    form_error(type, "--XX\r\nContent-Disposition: form-data; name=topic\r\n",
               "ends inside a part's headers");
    form_error(type, "--XX\r\nContent-Disposition: form-data; name=topic\r\n"
                     "\r\nvalue", "without its closing boundary");
    form_error(type, "--XX\r\nContent-Disposition: form-data; name=topic\r\n"
                     "\r\nvalue\r\n--X", "without its closing boundary");
    form_error(type, "--XX\r\nContent-Disposition: form-data; name=topic\r\n"
                     "\r\nvalue\r\n--XX\r\n", "ends inside a part's headers");
}


/* ----------------------------------------------------------------- queries */

static void
query_is(const char *query, const char *data, const char *topic,
    const char *delay)
{
    const char  *error;

    begin(query, strlen(query));
    error = kmq_form_query(body_copy, strlen(query), fields, elements(fields),
                           &misspelt);

    if (ok(error == NULL, "query %s: %s", query, error ? error : "read")) {
        field_is(0, data);
        field_is(1, topic);
        field_is(2, delay);
    }
}


static void
query_error(const char *query)
{
    begin(query, strlen(query));
    ok(kmq_form_query(body_copy, strlen(query), fields, elements(fields),
                      &misspelt)
       != NULL, "query %s is refused", query);
}


static void
test_query(void)
{
    query_is("", NULL, NULL, NULL);
    query_is("topic=t&delayTime=1%2E5", NULL, "t", "1.5");
    query_is("TOPIC=a+b&messageData", "", "a b", NULL);
    query_is("x=1&topic=1&topic=2&", NULL, "1", NULL);
    query_is("{\"topic\":\"t\"}", NULL, NULL, NULL);

    /* what is not wanted is not looked at */
    query_is("x=%&%=1&%zz&=%4&topic=t&100%", NULL, "t", NULL);

    query_error("topic=%");
    query_error("delayTime=%4");
    query_error("a=b&top%69c=%zz");
}


/* ---------------------------------------------------------------- misspelt */

/* The field that came under that name alone; NULL: none did. */
static void
slip_is(const char *type, const char *body, const char *name,
    const char *field)
{
    unsigned     i;
    const char  *error;

    error = read_body(type, body, strlen(body));
    ok(error == NULL, "%.60s: %s", body, error ? error : "read");

    i = kmq_form_misspelt(fields, elements(fields), &misspelt);

    if (name == NULL) {
        is_int(i, elements(fields), "nothing is misspelt");
        return;
    }

    if (ok(i < elements(fields), "something is misspelt")) {
        is_bytes(misspelt.name[i], misspelt.len[i], name, strlen(name),
                 "it is %s", name);
        is_bytes(fields[i].name, strlen(fields[i].name), field, strlen(field),
                 "for %s", field);
    }
}


static void
test_misspelt(void)
{
    const char *const  form = "application/x-www-form-urlencoded";
    const char *const  json = "application/json";

    slip_is(form, "topic=t&messageData=m&delay=5", "delay", "delayTime");
    slip_is(form, "topic=t&messageData=m&del%61y=5", "delay", "delayTime");
    slip_is(form, "topic=t&messageData=m&Delay_Time", "Delay_Time",
            "delayTime");
    slip_is(form, "topik=t&messageData=m", "topik", "topic");
    slip_is(form, "topic=t&message=m", "message", "messageData");
    slip_is(json, "{\"topic\":\"t\",\"messageData\":\"m\",\"delay\":5}",
            "delay", "delayTime");
    slip_is(NULL, "{\"dealyTime\":[{\"x\":5}]}", "dealyTime", "delayTime");
    slip_is("multipart/form-data; boundary=XX",
            "--XX\r\nContent-Disposition: form-data; name=\"delay\"\r\n"
            "\r\n5\r\n--XX--", "delay", "delayTime");

    /* the right one is there, too */
    slip_is(form, "delayTime=1&delay=5", NULL, NULL);
    slip_is(form, "delay=5&DELAYTIME=", NULL, NULL);
    slip_is(json, "{\"topics\":[],\"topic\":\"t\"}", NULL, NULL);

    /* others' */
    slip_is(form, "md5=a&expires=b&_=1&t=2&key=k&token=x&id=i", NULL, NULL);
    slip_is(json, "{\"x\":{\"delay\":5}}", NULL, NULL);
    slip_is(form, "", NULL, NULL);

    begin("delay=1", 7);
    ok(kmq_form_read(body_copy, 7, NULL, 0, fields, elements(fields), NULL)
       == NULL, "nobody has to ask for it");
}


/* Each beginning of a good body is read without harm. */
static void
test_cut(void)
{
    unsigned  i, n, errors;

    static const char *const  types[] = {
        "multipart/form-data; boundary=XX",
        "application/json",
        "application/x-www-form-urlencoded"
    };

    static const char *const  bodies[] = {
        "--XX\r\nContent-Disposition: form-data; name=\"topic\"\r\n\r\nt\r\n"
        "--XX\r\nContent-Disposition: form-data; name=\"messageData\"; "
        "filename=\"x\\\"y\"\r\n\r\nhello\r\n--XX--",
        "{\"topic\":\"t\",\"messageData\":\"\\u4e2d\",\"delayTime\":1.5}",
        "topic=%E4%B8%AD"
    };

    for (i = 0; i < elements(bodies); i++) {
        for (n = 1, errors = 0; n < strlen(bodies[i]); n++) {
            errors += read_body(types[i], bodies[i], n) != NULL;
        }

        is_int(errors, i == 2 ? 6 : (long long) strlen(bodies[i]) - 1,
               "%s: errors of all bodies cut short", types[i]);
    }
}


/* As many fields as can be wanted, and one more: each reader has room. */
static void
test_fields(void)
{
    char            names[KMQ_FORM_FIELDS + 1][4], body[1024];
    size_t          i, len, size;
    unsigned        n;
    kmq_field_t     many[KMQ_FORM_FIELDS + 1];
    kmq_misspelt_t  misspelt;

    len = 1;
    body[0] = '{';

    for (i = 0; i <= KMQ_FORM_FIELDS; i++) {
        (void) snprintf(names[i], sizeof(names[i]), "f%02d", (int) i);
        many[i].name = names[i];
        len += (size_t) snprintf(body + len, sizeof(body) - len,
                                 "%s\"f%02d\":%d", i ? "," : "", (int) i,
                                 (int) i % 10);
    }

    body[len++] = '}';

    for (n = KMQ_FORM_FIELDS; n <= KMQ_FORM_FIELDS + 1; n++) {
        begin(body, len);
        ok((kmq_form_read(body_copy, len, NULL, 0, many, n, &misspelt) == NULL)
           == (n == KMQ_FORM_FIELDS), "a body, %u fields", n);

        begin(body, len);
        ok((kmq_form_object(body_copy, len, many, n, n, &misspelt) == NULL)
           == (n == KMQ_FORM_FIELDS), "an object, %u fields", n);

        begin(body, len);
        ok((kmq_form_first(body_copy, len, &size, many, n, n, &misspelt)
            == NULL) == (n == KMQ_FORM_FIELDS), "the first, %u fields", n);

        begin("f15=5", 5);
        ok((kmq_form_query(body_copy, 5, many, n, &misspelt) == NULL)
           == (n == KMQ_FORM_FIELDS), "a query, %u fields", n);
    }

    begin(body, len);
    ok(kmq_form_read(body_copy, len, NULL, 0, many, KMQ_FORM_FIELDS, &misspelt)
       == NULL && many[KMQ_FORM_FIELDS - 1].len == 1
       && many[KMQ_FORM_FIELDS - 1].value[0] == '5', "the last has its value");
}


int
main(void)
{
    test_percent();
    test_names();
    test_urlencoded();
    test_no_type();
    test_json();
    test_mark();
    test_multipart();
    test_multipart_without_boundary();
    test_multipart_errors();
    test_query();
    test_misspelt();
    test_cut();
    test_fields();

    read_body(NULL, "", 0);
    free(body_copy);

    return done_testing();
}
