/*
 * What a NATS server may send, and what we write.  The first byte says into
 * how many bytes the input is cut when it arrives in pieces; whole or in
 * pieces, the events have to be the same.  Headers are looked up in whatever
 * there is, and a message whose subject and header come from the input is
 * read back as it was written, or was refused.
 */

#include "../unit/nats_util.h"


#define MAX_MESSAGE  1000


static void
fail(const char *why)
{
    fprintf(stderr, "%s\n", why);
    abort();
}


static void
pieces(const uint8_t *data, size_t size, size_t step)
{
    buffer_t     whole, cut;
    const char  *broken = NULL;

    whole = nats_log_of(data, size, size, size, MAX_MESSAGE, &broken);
    cut = nats_log_of(data, size, step, step, MAX_MESSAGE, &broken);

    if (broken) {
        fail(broken);
    }

    if (!nats_same_log(&whole, &cut)) {
        fail("in pieces other events");
    }

    buffer_free(&whole);
    buffer_free(&cut);
}


static void
lookup(const uint8_t *data, size_t size)
{
    unsigned char    *copy;
    kmq_nats_text_t   headers, value;

    copy = exact_copy(data, size);
    headers = (kmq_nats_text_t) { copy, size };

    if (kmq_nats_header(&headers, "Nats-Sequence", &value)
        && (value.bytes < copy || value.bytes + value.len > copy + size))
    {
        fail("a value outside of the headers");
    }

    if (kmq_nats_status(&headers, &value) > 999) {
        fail("a status of four digits");
    }

    free(copy);
}


/* HPUB SUBJECT SIZES as a server hands it on: HMSG SUBJECT 1 SIZES. */
static buffer_t
handed_on(const unsigned char *written, size_t n, size_t subject)
{
    buffer_t  message = { NULL, 0, 0 };

    buffer_add(&message, "HMSG ", 5);
    buffer_add(&message, written + 5, subject);
    buffer_add(&message, " 1", 2);
    buffer_add(&message, written + 5 + subject, n - 5 - subject);
    buffer_add(&message, "\r\n", 2);

    return message;
}


static void
round_trip(const char *subject, const char *value)
{
    size_t             n, used;
    buffer_t           message;
    unsigned char      room[6000];
    kmq_nats_text_t    text;
    kmq_nats_parser_t  parser;
    kmq_nats_header_t  header = { "Name", value };

    n = kmq_nats_write_pub(room, sizeof(room), subject, NULL, &header, 1, 0);

    if (n == 0) {
        return;
    }

    message = handed_on(room, n, strlen(subject));
    kmq_nats_init(&parser, sizeof(room));
    used = 0;

    if (kmq_nats_parse(&parser, message.bytes, message.size, &used)
        != KMQ_NATS_MSG || used != message.size
        || parser.msg.subject.len != strlen(subject)
        || !kmq_nats_header(&parser.msg.headers, "Name", &text)
        || text.len > strlen(value))
    {
        fail("not read as it was written");
    }

    buffer_free(&message);
}


int  LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char   *text;
    size_t  subject;

    if (size < 2) {
        return 0;
    }

    pieces(data + 1, size - 1, 1 + data[0] % 64);
    lookup(data + 1, size - 1);

    text = (char *) exact_join(data, size, "", 1);
    subject = strlen(text);
    round_trip(text, subject < size ? text + subject + 1 : text);
    free(text);

    return 0;
}
