/* What consumers say of messages. */

#include "../../src/protocol/kmq_consumer_message.h"
#include "protocol_util.h"
#include "tap.h"


#define CODE  "0123456789abcdef0123456789abcdef61cf0d2e"


static kmq_said_t      said;
static unsigned char  *copy;


static const char *
read_text(const char *text)
{
    free(copy);
    copy = exact_copy(text, strlen(text));
    memset(&said, 0xff, sizeof(said));

    return kmq_said_read(&said, copy, strlen(text));
}


static void
said_is(const char *text, kmq_said_verb_t verb, int64_t delay)
{
    const char  *error;

    error = read_text(text);

    if (!ok(error == NULL, "'%s' is read", text)) {
        diag("%s", error);
        return;
    }

    is_int(said.verb, verb, "its verb");
    is_int(said.delay, delay, "its delay");
    is_bytes(said.code, KMQ_SAID_CODE_LEN, CODE, KMQ_SAID_CODE_LEN,
             "its code");
}


static void
error_is(const char *text, kmq_said_verb_t verb, const char *want)
{
    const char  *error;

    error = read_text(text);

    if (!ok(error && strstr(error, want), "'%s': %s", text, want)) {
        diag("%s", error ? error : "(read)");
    }

    is_int(said.verb, verb, "its verb all the same");
}


static void
test_codes(void)
{
    said_is(CODE, KMQ_SAID_CONFIRM, -1);
    said_is("\"" CODE "\"", KMQ_SAID_CONFIRM, -1);
    said_is("+" CODE, KMQ_SAID_EXTEND, -1);
    said_is("\"+" CODE "\"", KMQ_SAID_EXTEND, -1);
    said_is("-" CODE, KMQ_SAID_RETURN, -1);
    said_is("\"-" CODE "\"", KMQ_SAID_RETURN, -1);

    error_is("", KMQ_SAID_CONFIRM, "a MessageCode is expected");
    error_is("\"\"", KMQ_SAID_CONFIRM, "a MessageCode is expected");
    error_is("\"", KMQ_SAID_CONFIRM, "a MessageCode is expected");
    error_is("x", KMQ_SAID_CONFIRM, "a MessageCode is expected");
    error_is(CODE "\n", KMQ_SAID_CONFIRM, "a MessageCode is expected");
    error_is(CODE " 5", KMQ_SAID_CONFIRM, "a MessageCode is expected");
    error_is("+", KMQ_SAID_EXTEND, "a MessageCode is expected");
    error_is("-", KMQ_SAID_RETURN, "a MessageCode is expected");
    error_is("- 5", KMQ_SAID_RETURN, "a MessageCode is expected");
    error_is("+" CODE " 5", KMQ_SAID_EXTEND, "a MessageCode is expected");
    error_is("+-" CODE, KMQ_SAID_EXTEND, "a MessageCode is expected");
    error_is("-" CODE "5", KMQ_SAID_RETURN, "a MessageCode is expected");
    error_is("-" CODE "\t5", KMQ_SAID_RETURN, "a MessageCode is expected");
}


static void
test_seconds(void)
{
    unsigned  i;
    char      text[100];

    static const char *const  bad[] = {
        "", " ", " 5", "5 ", "5s", "-5", "+5", "-0", "5.", ".5", ".", "1.2.3",
        "1e3", "0x5", "1,5", "five", "\"5\"", "5\n", "2592000.001", "2592001",
        "99999999999999999999999999", "nan", "inf"
    };

    said_is("-" CODE " 0", KMQ_SAID_RETURN, 0);
    said_is("-" CODE " 0.0", KMQ_SAID_RETURN, 0);
    said_is("-" CODE " 5", KMQ_SAID_RETURN, 5000);
    said_is("-" CODE " 05", KMQ_SAID_RETURN, 5000);
    said_is("-" CODE " 1.5", KMQ_SAID_RETURN, 1500);
    said_is("-" CODE " 0.001", KMQ_SAID_RETURN, 1);
    said_is("-" CODE " 0.0001", KMQ_SAID_RETURN, 1);
    said_is("-" CODE " 2592000", KMQ_SAID_RETURN, KMQ_SAID_DELAY_MAX);
    said_is("\"-" CODE " 2.25\"", KMQ_SAID_RETURN, 2250);

    for (i = 0; i < elements(bad); i++) {
        snprintf(text, sizeof(text), "-" CODE " %s", bad[i]);
        error_is(text, KMQ_SAID_RETURN, "a number of seconds");
    }
}


int
main(void)
{
    test_codes();
    test_seconds();
    free(copy);

    return done_testing();
}
