/*
 * Producer frames and escaping against jansson.  The first byte says whether
 * the rest is a whole frame, or goes into one as the value of a member.
 */

#include "../../src/protocol/kmq_consumer_message.h"
#include "../unit/protocol_oracle.h"


static void
check(const char *error)
{
    if (error) {
        fprintf(stderr, "%s\n", error);
        abort();
    }
}


/* The data as DelayTime's text: never more exact than the JSON it came
 * from. */
static void
check_delay(const uint8_t *data, size_t size)
{
    char      *text;
    uint64_t   delay = 0;

    text = (char *) exact_copy(data, size);

    if (kmq_data_delay(text, size, &delay) == 0 && delay > KMQ_DELAY_MAX) {
        check("a delay above the limit");
    }

    free(text);
}


/* The data as what a consumer says, alone and behind a code. */
static void
check_said(const uint8_t *data, size_t size)
{
    unsigned        i;
    kmq_said_t      said;
    unsigned char  *text;

    static const char  code[] = "-0123456789abcdef0123456789abcdef61cf0d2e ";

    for (i = 0; i < 2; i++) {
        text = i ? exact_join(code, sizeof(code) - 1, data, size)
                 : exact_copy(data, size);

        if (kmq_said_read(&said, text, size + (i ? sizeof(code) - 1 : 0))
            == NULL
            && (said.delay < -1
                || said.delay > (int64_t) KMQ_SAID_DELAY_MAX
                || said.code < text || said.code > text + 2))
        {
            check("a consumer said something else");
        }

        free(text);
    }
}


int  LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    buffer_t        json = { NULL, 0, 0 };
    unsigned char  *frame;

    static const char *const  before[] = {
        "", "", "{\"MessageData\":", "{\"MessageData\":\"",
        "{\"messageData\":\"a\",\"DelayTime\":", "{\"MessageData\":null,\"x\":"
    };

    static const char *const  behind[] = { "", "", "}", "\"}", "}", "}" };

    const unsigned  kind = size ? data[0] % elements(before) : 0;

    if (size == 0) {
        return 0;
    }

    data++;
    size--;

    buffer_add(&json, before[kind], strlen(before[kind]));
    buffer_add(&json, data, size);
    buffer_add(&json, behind[kind], strlen(behind[kind]));

    frame = exact_copy(json.bytes, json.size);
    check(frame_error(frame, json.size));
    free(frame);

    if (plain_utf8_valid(data, size)) {
        frame = exact_copy(data, size);
        check(escape_error(frame, size, 6 + kind * 5));
        free(frame);
    }

    check_delay(data, size);
    check_said(data, size);
    buffer_free(&json);

    return 0;
}
