/* What a NATS server sends, and headers: kmq_nats.h. */

#include <string.h>

#include "kmq_ascii.h"
#include "kmq_nats.h"


#define NATS_ARGUMENTS  5       /* one more than any verb has */
#define NATS_VERSION    "NATS/1.0"
#define NATS_END        2       /* CR LF */


/* A line, without its end. */
typedef struct {
    const unsigned char  *p;
    const unsigned char  *end;
} nats_line_t;

/* A message whose line was read: bytes behind the line. */
typedef struct {
    uint64_t  headers;
    uint64_t  all;
} nats_sizes_t;


void
kmq_nats_init(kmq_nats_parser_t *parser, uint64_t max_message)
{
    memset(parser, 0, sizeof(kmq_nats_parser_t));

    /* sums of lengths must not overflow, whatever was configured */
    parser->max_message = (max_message < SIZE_MAX / 4) ? max_message
                                                       : SIZE_MAX / 4;
    parser->need = 1;
}


static kmq_nats_event_t
nats_fail(kmq_nats_parser_t *parser, const char *reason)
{
    parser->reason = reason;

    return KMQ_NATS_FAIL;
}


/* ------------------------------------------------------------------ lines */

static int
nats_blank(unsigned char c)
{
    return c == ' ' || c == '\t';
}


/* The next word of the line, and moves behind it; an empty one at the end. */
static kmq_nats_text_t
nats_word(nats_line_t *line)
{
    kmq_nats_text_t  word;

    while (line->p < line->end && nats_blank(*line->p)) {
        line->p++;
    }

    word.bytes = line->p;

    while (line->p < line->end && !nats_blank(*line->p)) {
        line->p++;
    }

    word.len = (size_t) (line->p - word.bytes);

    return word;
}


/* The rest of the line, without blanks around it. */
static kmq_nats_text_t
nats_rest(nats_line_t *line)
{
    kmq_nats_text_t  rest;

    while (line->p < line->end && nats_blank(*line->p)) {
        line->p++;
    }

    rest.bytes = line->p;
    rest.len = (size_t) (line->end - line->p);

    while (rest.len && nats_blank(rest.bytes[rest.len - 1])) {
        rest.len--;
    }

    return rest;
}


/* Bytes up to the line's LF, with it; 0: it is not there yet. */
static size_t
nats_line(kmq_nats_parser_t *parser, const unsigned char *p, size_t size)
{
    size_t                max;
    const unsigned char  *lf;

    lf = memchr(p + parser->seen, '\n', size - parser->seen);

    max = (*p == 'I' || *p == 'i') ? KMQ_NATS_INFO_MAX : KMQ_NATS_LINE_MAX;

    if ((lf ? (size_t) (lf - p) + 1 : size) > max) {
        (void) nats_fail(parser, "a line is too long");
        return 0;
    }

    if (lf == NULL) {
        parser->seen = size;
        parser->need = size + 1;
        return 0;
    }

    /* seen stays, for a message whose bytes are not there yet */
    parser->seen = (size_t) (lf - p);

    return parser->seen + 1;
}


/* Takes CR LF off; 0 when there is a control character besides. */
static int
nats_line_read(nats_line_t *line, const unsigned char *p, size_t len)
{
    line->p = p;
    line->end = p + len - NATS_END;

    if (len < NATS_END || *line->end != '\r') {
        return 0;
    }

    for ( /* void */ ; p < line->end; p++) {
        if (*p < ' ' && *p != '\t') {
            return 0;
        }
    }

    return 1;
}


/* --------------------------------------------------------------- messages */

int
kmq_nats_number(const kmq_nats_text_t *text, uint64_t *number)
{
    size_t    i;
    unsigned  digit;

    *number = 0;

    for (i = 0; i < text->len; i++) {
        digit = (unsigned) text->bytes[i] - '0';

        if (digit > 9 || *number > (UINT64_MAX - digit) / 10) {
            return 0;
        }

        *number = *number * 10 + digit;
    }

    return text->len > 0;
}


/* subject sid [reply] [headers] all; 0 when that is not what there is. */
static int
nats_arguments(kmq_nats_msg_t *msg, nats_line_t *line, int headers,
    nats_sizes_t *sizes)
{
    unsigned         n, last;
    kmq_nats_text_t  word, argument[NATS_ARGUMENTS + 1];

    for (n = 0; n <= NATS_ARGUMENTS; n++) {
        word = nats_word(line);

        if (word.len == 0) {
            break;
        }

        argument[n] = word;
    }

    last = headers ? 4 : 3;

    if (n != last && n != last + 1) {
        return 0;
    }

    msg->subject = argument[0];
    msg->reply.bytes = NULL;
    msg->reply.len = 0;

    if (n > last) {
        msg->reply = argument[2];
    }

    sizes->headers = 0;

    return kmq_nats_number(&argument[1], &msg->sid)
           && kmq_nats_number(&argument[n - 1], &sizes->all)
           && (!headers || kmq_nats_number(&argument[n - 2], &sizes->headers))
           && sizes->headers <= sizes->all;
}


/* Are these headers, as far as their ends tell? */
static int
nats_headers_good(const kmq_nats_text_t *headers)
{
    static const char  version[] = NATS_VERSION;

    const size_t  len = sizeof(version) - 1;

    return headers->len >= len + 2 * NATS_END
           && memcmp(headers->bytes, version, len) == 0
           && (headers->bytes[len] == ' ' || headers->bytes[len] == '\r')
           && memcmp(headers->bytes + headers->len - 4, "\r\n\r\n", 4) == 0;
}


/* A message behind its line of that length, if all of it is there. */
static kmq_nats_event_t
nats_message(kmq_nats_parser_t *parser, nats_line_t *line, size_t len,
    int headers, const unsigned char *p, size_t size)
{
    nats_sizes_t     sizes;
    kmq_nats_msg_t  *msg;

    msg = &parser->msg;

    if (!nats_arguments(msg, line, headers, &sizes)) {
        return nats_fail(parser, "wrong arguments of a message");
    }

    if (sizes.all > parser->max_message) {
        return nats_fail(parser, "a message is too large");
    }

    parser->need = len + (size_t) sizes.all + NATS_END;

    if (size < parser->need) {
        return KMQ_NATS_MORE;
    }

    msg->headers.bytes = p + len;
    msg->headers.len = (size_t) sizes.headers;
    msg->payload.bytes = p + len + sizes.headers;
    msg->payload.len = (size_t) (sizes.all - sizes.headers);

    if (memcmp(p + parser->need - NATS_END, "\r\n", NATS_END) != 0) {
        return nats_fail(parser, "a message does not end where it should");
    }

    if (headers && !nats_headers_good(&msg->headers)) {
        return nats_fail(parser, "wrong headers of a message");
    }

    return KMQ_NATS_MSG;
}


/* ---------------------------------------------------------------- parsing */

/* What is between the quotes of -ERR 'text'. */
static kmq_nats_text_t
nats_quoted(kmq_nats_text_t text)
{
    if (text.len >= 2 && text.bytes[0] == '\''
        && text.bytes[text.len - 1] == '\'')
    {
        text.bytes++;
        text.len -= 2;
    }

    return text;
}


static kmq_nats_event_t
nats_event(const kmq_nats_text_t *verb)
{
    static const struct {
        const char        *name;
        kmq_nats_event_t   event;
    } verbs[] = {
        { "MSG",  KMQ_NATS_MSG },
        { "HMSG", KMQ_NATS_MSG },
        { "PING", KMQ_NATS_PING },
        { "PONG", KMQ_NATS_PONG },
        { "+OK",  KMQ_NATS_OK },
        { "-ERR", KMQ_NATS_ERR },
        { "INFO", KMQ_NATS_INFO }
    };

    size_t  i;

    for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (kmq_same_name(verb->bytes, verb->len, verbs[i].name)) {
            return verbs[i].event;
        }
    }

    return KMQ_NATS_FAIL;
}


/* The event of a line of len bytes at p. */
static kmq_nats_event_t
nats_parse_line(kmq_nats_parser_t *parser, const unsigned char *p, size_t len,
    size_t size)
{
    nats_line_t       line;
    kmq_nats_text_t   verb;
    kmq_nats_event_t  event;

    if (!nats_line_read(&line, p, len)) {
        return nats_fail(parser, "a control character in a line");
    }

    verb = nats_word(&line);
    event = nats_event(&verb);

    switch (event) {

    case KMQ_NATS_MSG:
        return nats_message(parser, &line, len, verb.len == 4, p, size);

    case KMQ_NATS_FAIL:
        return nats_fail(parser, "a verb that is not known");

    default:
        parser->need = len;
        parser->text = nats_rest(&line);

        if (event == KMQ_NATS_ERR) {
            parser->text = nats_quoted(parser->text);
        }

        return event;
    }
}


kmq_nats_event_t
kmq_nats_parse(kmq_nats_parser_t *parser, const unsigned char *input,
    size_t size, size_t *used)
{
    size_t                len;
    kmq_nats_event_t      event;
    const unsigned char  *p;

    p = input + *used;
    size -= *used;

    if (parser->reason) {
        return KMQ_NATS_FAIL;
    }

    if (size < parser->need) {
        return KMQ_NATS_MORE;
    }

    len = nats_line(parser, p, size);

    if (len == 0) {
        return parser->reason ? KMQ_NATS_FAIL : KMQ_NATS_MORE;
    }

    event = nats_parse_line(parser, p, len, size);

    if (event != KMQ_NATS_MORE && event != KMQ_NATS_FAIL) {
        *used += parser->need;
        parser->need = 1;
        parser->seen = 0;
    }

    return event;
}


/* ---------------------------------------------------------------- headers */

/* The next line of headers, without its end, and moves behind it; 0: none. */
static int
nats_header_line(kmq_nats_text_t *headers, nats_line_t *line)
{
    const unsigned char  *lf;

    if (headers->len == 0) {
        return 0;
    }

    lf = memchr(headers->bytes, '\n', headers->len);

    if (lf == NULL) {
        return 0;
    }

    line->p = headers->bytes;
    line->end = lf;

    if (line->end > line->p && line->end[-1] == '\r') {
        line->end--;
    }

    headers->len -= (size_t) (lf + 1 - headers->bytes);
    headers->bytes = lf + 1;

    return 1;
}


unsigned
kmq_nats_status(const kmq_nats_text_t *headers, kmq_nats_text_t *description)
{
    uint64_t         status;
    nats_line_t      line;
    kmq_nats_text_t  left, word;

    left = *headers;

    if (!nats_header_line(&left, &line)) {
        return 0;
    }

    (void) nats_word(&line);       /* the version */
    word = nats_word(&line);

    if (word.len != 3 || !kmq_nats_number(&word, &status)) {
        return 0;
    }

    if (description) {
        *description = nats_rest(&line);
    }

    return (unsigned) status;
}


int
kmq_nats_header(const kmq_nats_text_t *headers, const char *name,
    kmq_nats_text_t *value)
{
    size_t           len;
    nats_line_t      line;
    kmq_nats_text_t  left;

    left = *headers;
    len = strlen(name);

    if (!nats_header_line(&left, &line)) {
        return 0;
    }

    while (nats_header_line(&left, &line)) {
        if ((size_t) (line.end - line.p) > len && line.p[len] == ':'
            && memcmp(line.p, name, len) == 0)
        {
            line.p += len + 1;
            *value = nats_rest(&line);
            return 1;
        }
    }

    return 0;
}
