/*
 * WebSocket frames, RFC 6455 section 5.
 *
 * The unused input, from *used on, looks like this:
 *
 *   | assembled | gap | header | payload .............. | further frames
 *   ^ *used                    | checked |
 *
 * assembled and gap are 0 unless a fragmented message is under way, and a
 * frame that is there as a whole is unmasked, checked and reported in one go.
 */

#include <string.h>

#include "kmq_vector.h"
#include "kmq_websocket.h"
#include "kmq_wide.h"


#define KMQ_WS_FIN          0x80
#define KMQ_WS_RESERVED     0x70
#define KMQ_WS_OPCODE       0x0f
#define KMQ_WS_CONTROL_BIT  0x08
#define KMQ_WS_MASKED       0x80
#define KMQ_WS_LENGTH       0x7f
#define KMQ_WS_LENGTH_16    126
#define KMQ_WS_LENGTH_64    127
#define KMQ_WS_MASK_LEN     4

#define KMQ_WS_NO_CODE      1005

/* Header of a frame that is not longer than a control frame may be. */
#define KMQ_WS_SMALL_HEAD   (2 + KMQ_WS_MASK_LEN)

/* The smallest gap that is worth closing. */
#define KMQ_WS_GAP_MIN      128

/* Beside the public events: a fragment was taken, the next frame may come. */
#define KMQ_WS_NEXT         (KMQ_WS_FAIL + 1)


/* A frame whose header is complete. */
typedef struct {
    unsigned         opcode;
    unsigned         final;
    size_t           header;        /* bytes */
    size_t           size;          /* of the payload */
    size_t           there;         /* bytes of the payload that arrived */
    unsigned char   *payload;
    unsigned char   *mask;
} kmq_ws_frame_t;


/* ------------------------------------------------------------- unmasking */

/* The mask as a word in memory order, turned to start at phase. */
static inline uint32_t
kmq_ws_mask_word(const unsigned char mask[4], size_t phase)
{
    unsigned char  turned[4];
    uint32_t       word;
    unsigned       i;

    phase %= KMQ_WS_MASK_LEN;

    if (phase == 0) {
        memcpy(&word, mask, sizeof(word));
        return word;
    }

    for (i = 0; i < sizeof(turned); i++) {
        turned[i] = mask[(phase + i) % KMQ_WS_MASK_LEN];
    }

    memcpy(&word, turned, sizeof(word));

    return word;
}


/* The last bytes, fewer than sixteen; returns all of them or-ed together, as
 * kmq_ws_xor() does. */
static inline uint64_t
kmq_ws_xor_tail(unsigned char *p, size_t size, uint32_t mask)
{
    uint64_t  word, all;
    uint32_t  half;
    size_t    i;

    all = 0;

    if (size & 8) {
        memcpy(&word, p, sizeof(word));
        word ^= mask | (uint64_t) mask << 32;
        memcpy(p, &word, sizeof(word));
        all |= word;
        p += sizeof(word);
    }

    if (size & 4) {
        memcpy(&half, p, sizeof(half));
        half ^= mask;
        memcpy(p, &half, sizeof(half));
        all |= half;
        p += sizeof(half);
    }

    for (i = 0; i < (size & 3); i++) {
        p[i] ^= ((unsigned char *) &mask)[i];
        all |= p[i];
    }

    return all;
}


/* Unmasks, and tells whether there is anything but ASCII in what comes out:
 * the bytes are looked at once, and plain text needs no further check. */
static inline int
kmq_ws_xor(unsigned char *data, size_t size, uint32_t mask)
{
    typedef uint32_t  words_t __attribute__((vector_size(KMQ_V16_SIZE)));

    unsigned char  *p, *end;
    kmq_v16_t       mask16, v, w, all;
    uint64_t        tail;

    mask16 = (kmq_v16_t) (words_t) { mask, mask, mask, mask };
    all = (kmq_v16_t) { 0 };
    p = data;
    end = data + size / KMQ_V16_SIZE * KMQ_V16_SIZE;

    for ( /* void */ ; end - p >= 2 * KMQ_V16_SIZE; p += 2 * KMQ_V16_SIZE) {
        v = kmq_v16_load(p) ^ mask16;
        w = kmq_v16_load(p + KMQ_V16_SIZE) ^ mask16;
        kmq_v16_store(p, v);
        kmq_v16_store(p + KMQ_V16_SIZE, w);
        all |= v | w;
    }

    if (p < end) {
        v = kmq_v16_load(p) ^ mask16;
        kmq_v16_store(p, v);
        all |= v;
        p += KMQ_V16_SIZE;
    }

    tail = kmq_ws_xor_tail(p, size % KMQ_V16_SIZE, mask);

    return kmq_v16_high(all) || (tail & UINT64_C(0x8080808080808080)) != 0;
}


/* The same for what may be long; apart, so that what is short stays inline. */
static __attribute__((noinline)) int
kmq_ws_xor_long(unsigned char *data, size_t size, uint32_t mask)
{
    int     high;
    size_t  done;

    high = 0;
    done = size < KMQ_WIDE_MIN ? 0 : kmq_wide_xor(data, size, mask, &high);

    return kmq_ws_xor(data + done, size - done, mask) || high;
}


void
kmq_ws_unmask(unsigned char *data, size_t size, const unsigned char mask[4],
    size_t phase)
{
    (void) kmq_ws_xor_long(data, size, kmq_ws_mask_word(mask, phase));
}


void
kmq_ws_unmask_plain(unsigned char *data, size_t size,
    const unsigned char mask[4], size_t phase)
{
    size_t  i;

    for (i = 0; i < size; i++) {
        data[i] ^= mask[(phase + i) % KMQ_WS_MASK_LEN];
    }
}


/* --------------------------------------------------------------- parsing */

void
kmq_ws_init(kmq_ws_parser_t *parser, uint64_t max_message)
{
    memset(parser, 0, sizeof(*parser));

    /* sums of lengths must not overflow, whatever was configured */
    parser->max_message = (max_message < SIZE_MAX / 4) ? max_message
                                                       : SIZE_MAX / 4;
}


static int
kmq_ws_fail(kmq_ws_parser_t *parser, unsigned code, const char *reason)
{
    parser->close_code = (uint16_t) code;
    parser->reason = reason;

    return KMQ_WS_FAIL;
}


/* size: bytes wanted from the frame's first one on. */
static int
kmq_ws_more(kmq_ws_parser_t *parser, size_t size)
{
    parser->need = parser->assembled + parser->gap + size;

    return KMQ_WS_MORE;
}


/* What is wrong with the first two bytes of a frame, or NULL. */
static const char *
kmq_ws_head_error(const kmq_ws_parser_t *parser, unsigned first,
    unsigned second)
{
    unsigned  opcode;

    opcode = first & KMQ_WS_OPCODE;

    if (first & KMQ_WS_RESERVED) {
        return "reserved bit set";
    }

    if (!(second & KMQ_WS_MASKED)) {
        return "frame not masked";
    }

    if (opcode & KMQ_WS_CONTROL_BIT) {

        if (opcode > KMQ_WS_PONG) {
            return "reserved opcode";
        }

        if (!(first & KMQ_WS_FIN)) {
            return "fragmented control frame";
        }

        if ((second & KMQ_WS_LENGTH) > KMQ_WS_CONTROL_MAX) {
            return "control frame of more than 125 bytes";
        }

        return NULL;
    }

    if (opcode > KMQ_WS_BINARY) {
        return "reserved opcode";
    }

    if (opcode == KMQ_WS_CONTINUATION && parser->message_opcode == 0) {
        return "continuation frame without a message";
    }

    if (opcode != KMQ_WS_CONTINUATION && parser->message_opcode != 0) {
        return "new message inside a fragmented one";
    }

    return NULL;
}


/* Reads a length of n bytes at p into frame; what is wrong with it, or
 * NULL. */
static const char *
kmq_ws_length(kmq_ws_frame_t *frame, const unsigned char *p, unsigned n)
{
    uint64_t  length;
    unsigned  i;

    length = 0;

    for (i = 0; i < n; i++) {
        length = length << 8 | p[i];
    }

    if (length >> 63) {
        return "frame length with its top bit set";
    }

    if (length <= ((n == 2) ? 125 : 0xffff)) {
        return "frame length not in its shortest form";
    }

    /* too large for the machine is too large for any max_message */
    frame->size = (length < SIZE_MAX) ? (size_t) length : SIZE_MAX;

    return NULL;
}


/* Reads the header of the frame at p, KMQ_WS_NEXT when it is complete. */
static inline int
kmq_ws_head(kmq_ws_parser_t *parser, kmq_ws_frame_t *frame, unsigned char *p,
    size_t size)
{
    const char  *error;
    unsigned     extended;

    if (size < 2) {
        return kmq_ws_more(parser, 2);
    }

    error = kmq_ws_head_error(parser, p[0], p[1]);
    if (error) {
        return kmq_ws_fail(parser, KMQ_WS_PROTOCOL_ERROR, error);
    }

    frame->opcode = p[0] & KMQ_WS_OPCODE;
    frame->final = p[0] & KMQ_WS_FIN;
    frame->size = p[1] & KMQ_WS_LENGTH;

    extended = 0;

    if (frame->size >= KMQ_WS_LENGTH_16) {

        extended = (frame->size == KMQ_WS_LENGTH_16) ? 2 : 8;

        if (size < 2 + extended) {
            return kmq_ws_more(parser, 2 + extended + KMQ_WS_MASK_LEN);
        }

        error = kmq_ws_length(frame, p + 2, extended);
        if (error) {
            return kmq_ws_fail(parser, KMQ_WS_PROTOCOL_ERROR, error);
        }
    }

    if (!(frame->opcode & KMQ_WS_CONTROL_BIT)
        && frame->size > parser->max_message - parser->assembled)
    {
        return kmq_ws_fail(parser, KMQ_WS_TOO_BIG, "message too long");
    }

    frame->header = 2 + extended + KMQ_WS_MASK_LEN;

    if (size < frame->header) {
        return kmq_ws_more(parser, frame->header + frame->size);
    }

    frame->mask = p + 2 + extended;
    frame->payload = p + frame->header;
    frame->there = size - frame->header;

    if (frame->there > frame->size) {
        frame->there = frame->size;
    }

    return KMQ_WS_NEXT;
}


/* Unmasks what has arrived of a data frame and was not yet, and checks it
 * where it is text. */
static inline int
kmq_ws_uncover(kmq_ws_parser_t *parser, const kmq_ws_frame_t *frame)
{
    unsigned char  *p;
    unsigned        opcode;
    size_t          n;
    int             high;

    p = frame->payload + parser->checked;
    n = frame->there - parser->checked;

    high = kmq_ws_xor_long(p, n,
                           kmq_ws_mask_word(frame->mask, parser->checked));

    parser->checked = frame->there;

    opcode = frame->opcode ? frame->opcode : parser->message_opcode;

    if (opcode != KMQ_WS_TEXT) {
        return KMQ_WS_NEXT;
    }

    if ((high || parser->utf8.left)
        && !kmq_utf8_check(&parser->utf8, p, n))
    {
        return kmq_ws_fail(parser, KMQ_WS_INVALID_DATA,
                           "text message is not valid UTF-8");
    }

    return KMQ_WS_NEXT;
}


/* Puts a complete fragment's payload next to what is assembled already, by
 * moving the shorter of the two. */
static void
kmq_ws_join(kmq_ws_parser_t *parser, const kmq_ws_frame_t *frame,
    unsigned char *input, size_t *used)
{
    unsigned char  *assembled;
    size_t          between;

    assembled = input + *used;
    between = parser->gap + frame->header;

    if (parser->assembled <= frame->size) {
        memmove(assembled + between, assembled, parser->assembled);
        *used += between;
        parser->gap = 0;

    } else {
        memmove(assembled + parser->assembled, frame->payload, frame->size);
        parser->gap = between;
    }

    parser->assembled += frame->size;
}


/*
 * Small fragments and control frames between fragments widen the gap.  Once
 * it is a good part of what would have to be moved, it is closed, so that
 * neither the input nor the work grows beyond a multiple of what arrives.
 */
static void
kmq_ws_close_gap(kmq_ws_parser_t *parser, unsigned char *input, size_t *used)
{
    if (parser->gap < KMQ_WS_GAP_MIN + parser->assembled / 4) {
        return;
    }

    memmove(input + *used + parser->gap, input + *used, parser->assembled);
    *used += parser->gap;
    parser->gap = 0;
}


static inline int
kmq_ws_data_frame(kmq_ws_parser_t *parser, const kmq_ws_frame_t *frame,
    unsigned char *input, size_t *used)
{
    int  rc;

    rc = kmq_ws_uncover(parser, frame);
    if (rc != KMQ_WS_NEXT) {
        return rc;
    }

    if (frame->there < frame->size) {
        return kmq_ws_more(parser, frame->header + frame->size);
    }

    parser->checked = 0;

    if (frame->opcode) {
        parser->opcode = (uint8_t) frame->opcode;

    } else {
        parser->opcode = parser->message_opcode;
    }

    if (!frame->final) {
        parser->message_opcode = parser->opcode;
        kmq_ws_join(parser, frame, input, used);
        return KMQ_WS_NEXT;
    }

    if (parser->utf8.left) {
        return kmq_ws_fail(parser, KMQ_WS_INVALID_DATA,
                           "text message ends inside a UTF-8 character");
    }

    if (parser->message_opcode) {
        kmq_ws_join(parser, frame, input, used);
        parser->data = input + *used;
        parser->size = parser->assembled;
        *used += parser->assembled + parser->gap;
        parser->assembled = 0;
        parser->gap = 0;
        parser->message_opcode = 0;

    } else {
        parser->data = frame->payload;
        parser->size = frame->size;
        *used += frame->header + frame->size;
    }

    return KMQ_WS_MESSAGE;
}


/* May a client send this code in a close frame (section 7.4)? */
static int
kmq_ws_close_code_valid(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014)
           || (code >= 3000 && code <= 4999);
}


static int
kmq_ws_close_frame(kmq_ws_parser_t *parser)
{
    unsigned  code;

    if (parser->size == 0) {
        parser->close_code = KMQ_WS_NO_CODE;
        return KMQ_WS_CONTROL;
    }

    if (parser->size == 1) {
        return kmq_ws_fail(parser, KMQ_WS_PROTOCOL_ERROR,
                           "close frame with half a code");
    }

    code = (unsigned) parser->data[0] << 8 | parser->data[1];

    if (!kmq_ws_close_code_valid(code)) {
        return kmq_ws_fail(parser, KMQ_WS_PROTOCOL_ERROR,
                           "close frame with a code that is not allowed");
    }

    if (!kmq_utf8_valid(parser->data + 2, parser->size - 2)) {
        return kmq_ws_fail(parser, KMQ_WS_INVALID_DATA,
                           "close reason is not valid UTF-8");
    }

    parser->close_code = (uint16_t) code;

    return KMQ_WS_CONTROL;
}


static int
kmq_ws_control_frame(kmq_ws_parser_t *parser, const kmq_ws_frame_t *frame,
    size_t *used)
{
    size_t  all;

    all = frame->header + frame->size;

    if (frame->there < frame->size) {
        return kmq_ws_more(parser, all);
    }

    kmq_ws_unmask(frame->payload, frame->size, frame->mask, 0);

    parser->opcode = (uint8_t) frame->opcode;
    parser->data = frame->payload;
    parser->size = frame->size;

    if (parser->assembled) {
        /* closing the gap now would overwrite the payload */
        parser->gap += all;

    } else {
        *used += all;
    }

    if (frame->opcode == KMQ_WS_CLOSE) {
        return kmq_ws_close_frame(parser);
    }

    return KMQ_WS_CONTROL;
}


/*
 * The usual frame: a whole text message of at most 125 bytes, all of it there,
 * and nothing before it that is not done.  1: it is one, and the message is in
 * parser; 0: it is not, or is wrong, and has not been touched.  It is
 * for kmq_ws_head() and those behind it then, which would say the same of it.
 */
static inline int
kmq_ws_small_text(kmq_ws_parser_t *parser, unsigned char *p, size_t size)
{
    size_t          n;
    uint32_t        mask;
    unsigned char  *data;

    if (size < KMQ_WS_SMALL_HEAD || p[0] != (KMQ_WS_FIN | KMQ_WS_TEXT)) {
        return 0;
    }

    n = p[1] ^ KMQ_WS_MASKED;

    if (n > KMQ_WS_CONTROL_MAX || size - KMQ_WS_SMALL_HEAD < n
        || n > parser->max_message
        || (parser->assembled | parser->gap | parser->checked
            | parser->message_opcode) != 0)
    {
        return 0;
    }

    memcpy(&mask, p + 2, sizeof(mask));
    data = p + KMQ_WS_SMALL_HEAD;

    if (kmq_ws_xor(data, n, mask) && !kmq_utf8_valid(data, n)) {
        (void) kmq_ws_xor(data, n, mask);
        return 0;
    }

    parser->opcode = KMQ_WS_TEXT;
    parser->data = data;
    parser->size = n;

    return 1;
}


kmq_ws_event_t
kmq_ws_parse(kmq_ws_parser_t *parser, unsigned char *input, size_t size,
    size_t *used)
{
    kmq_ws_frame_t  frame;
    size_t          start;
    int             rc;

    if (parser->reason) {
        return KMQ_WS_FAIL;
    }

    if (kmq_ws_small_text(parser, input + *used, size - *used)) {
        *used += KMQ_WS_SMALL_HEAD + parser->size;
        return KMQ_WS_MESSAGE;
    }

    do {
        kmq_ws_close_gap(parser, input, used);

        start = *used + parser->assembled + parser->gap;

        rc = kmq_ws_head(parser, &frame, input + start, size - start);
        if (rc != KMQ_WS_NEXT) {
            break;
        }

        if (frame.opcode & KMQ_WS_CONTROL_BIT) {
            rc = kmq_ws_control_frame(parser, &frame, used);

        } else {
            rc = kmq_ws_data_frame(parser, &frame, input, used);
        }

    } while (rc == KMQ_WS_NEXT);

    return (kmq_ws_event_t) rc;
}


/* --------------------------------------------------------------- writing */

size_t
kmq_ws_header_len(uint64_t size)
{
    return size < KMQ_WS_LENGTH_16 ? 2 : size <= 0xffff ? 4 : 10;
}


size_t
kmq_ws_header(unsigned char *to, unsigned opcode, uint64_t size)
{
    unsigned  i, extended;

    to[0] = (unsigned char) (KMQ_WS_FIN | opcode);
    extended = (unsigned) kmq_ws_header_len(size) - 2;

    if (extended == 0) {
        to[1] = (unsigned char) size;
        return 2;
    }

    to[1] = (extended == 2) ? KMQ_WS_LENGTH_16 : KMQ_WS_LENGTH_64;

    for (i = 0; i < extended; i++) {
        to[2 + i] = (unsigned char) (size >> (8 * (extended - 1 - i)));
    }

    return 2 + extended;
}


size_t
kmq_ws_close(unsigned char *to, unsigned code, const char *reason)
{
    size_t  len;

    if (code == 0 || code == KMQ_WS_NO_CODE) {
        return kmq_ws_header(to, KMQ_WS_CLOSE, 0);
    }

    len = reason ? strlen(reason) : 0;

    if (len > KMQ_WS_CONTROL_MAX - 2) {
        len = KMQ_WS_CONTROL_MAX - 2;

        while (len && ((unsigned char) reason[len] & 0xc0) == 0x80) {
            len--;
        }
    }

    kmq_ws_header(to, KMQ_WS_CLOSE, 2 + len);

    to[2] = (unsigned char) (code >> 8);
    to[3] = (unsigned char) code;

    if (len) {
        memcpy(to + 4, reason, len);
    }

    return 4 + len;
}
