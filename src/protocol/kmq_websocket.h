/*
 * WebSocket (RFC 6455), server side, without I/O and without allocation:
 * what its headers list, the frames that come in, the headers of the frames
 * that go out.
 */

#ifndef KMQ_WEBSOCKET_H
#define KMQ_WEBSOCKET_H

#include <stddef.h>
#include <stdint.h>

#include "kmq_utf8.h"


/* ------------------------------------------------------------- handshake */

/*
 * Does a comma-separated header value hold token, in any letter case
 * ("Connection: keep-alive, Upgrade")?  1 or 0.
 */
int kmq_ws_has_token(const char *value, size_t len, const char *token);


/* ---------------------------------------------------------------- frames */

/* Opcodes, section 5.2. */
#define KMQ_WS_CONTINUATION  0x0
#define KMQ_WS_TEXT          0x1
#define KMQ_WS_BINARY        0x2
#define KMQ_WS_CLOSE         0x8
#define KMQ_WS_PING          0x9
#define KMQ_WS_PONG          0xa

/* Close codes, section 7.4.1. */
#define KMQ_WS_NORMAL           1000
#define KMQ_WS_GOING_AWAY       1001
#define KMQ_WS_PROTOCOL_ERROR   1002
#define KMQ_WS_ABNORMAL         1006    /* never sent: no Close came */
#define KMQ_WS_INVALID_DATA     1007
#define KMQ_WS_POLICY           1008
#define KMQ_WS_TOO_BIG          1009
#define KMQ_WS_INTERNAL_ERROR   1011
#define KMQ_WS_TRY_AGAIN_LATER  1013

#define KMQ_WS_CONTROL_MAX  125    /* payload of a control frame, 5.5 */
#define KMQ_WS_HEADER_MAX    10    /* header of an unmasked frame */

/* What one kmq_ws_parse() found. */
typedef enum {
    KMQ_WS_MORE = 0,        /* no complete message left in the input */
    KMQ_WS_MESSAGE,         /* a whole text or binary message */
    KMQ_WS_CONTROL,         /* a whole close, ping or pong */
    KMQ_WS_FAIL             /* close the connection with parser->close_code */
} kmq_ws_event_t;

/*
 * One connection's parser.  Idle it is a few words; it holds no bytes of a
 * message except those of an unfinished fragmented one, which lie in a
 * buffer that the caller provides (see below).
 */
typedef struct {
    uint64_t         max_message;   /* set by kmq_ws_init() */

    /* the unfinished fragmented message */
    kmq_utf8_t       utf8;
    uint8_t          message_opcode;  /* 0: none */

    /* the last event */
    uint8_t          opcode;        /* TEXT, BINARY, CLOSE, PING or PONG */
    uint16_t         close_code;    /* KMQ_WS_FAIL; for a CLOSE frame: the
                                       client's code, 1005 when it has none */
    const char      *reason;        /* KMQ_WS_FAIL: why, a static string;
                                       NULL until then */
    unsigned char   *data;          /* payload, unmasked, inside the input */
    size_t           size;

    /* the caller asks these after KMQ_WS_MORE */
    size_t           need;          /* bytes from the start of the unused
                                       input that the next event takes, as far
                                       as is known (at least 2, and more than
                                       there are); see KMQ_WS_NEED_MAX() */

    /* private */
    size_t           assembled;     /* bytes of the fragmented message that
                                       stand, unmasked, at the input's start */
    size_t           gap;           /* bytes behind them that are used up: the
                                       next frame begins after the gap */
    size_t           checked;       /* bytes of the next frame's payload that
                                       are unmasked and checked already */
} kmq_ws_parser_t;

/*
 * The largest need there can be.  For a message in one frame it is the
 * message and 14 bytes; a fragmented one may have a gap of a quarter of its
 * size in it.  A length in a header is no reason to provide so much at once:
 * the input has to grow only as bytes really arrive.
 */
#define KMQ_WS_NEED_MAX(max_message)  ((max_message) + (max_message) / 4 + 512)

/* max_message: bytes of a message, fragments together; beyond: 1009. */
void kmq_ws_init(kmq_ws_parser_t *parser, uint64_t max_message);

/*
 * Finds the next event in input[*used .. size).  The caller keeps the
 * unconsumed bytes [*used, size) and calls again when more have been
 * appended behind them; they may be moved to another address meanwhile
 * (always starting at the byte at *used), but not changed: payloads are
 * unmasked in place, each byte once.  A fragmented message is put together
 * in place, too: its fragments' payloads are moved next to each other at
 * input[*used], and count as unconsumed until the message is complete;
 * control frames between them are reported when they come.  *used may move
 * with any result, but not behind what is still wanted.
 *
 * On KMQ_WS_MESSAGE and KMQ_WS_CONTROL *used is moved behind the event's
 * bytes (a control frame between fragments excepted: it stays until its
 * message needs the room or is complete); parser->data and parser->size name
 * the payload (of a close frame: with its code), valid until the caller
 * touches the input; a control frame's only until the next call.  Text
 * messages and close reasons are valid UTF-8 then (1007 otherwise, as early
 * as it can be known: an invalid byte in an incomplete frame is found when it
 * arrives); binary ones are not checked.
 *
 * KMQ_WS_FAIL, again at each further call: an unmasked frame, reserved bits
 * or opcodes, a control frame that is fragmented or too long, a continuation
 * without a start or the reverse, a length with its top bit set or not in its
 * shortest form, a bad close payload: 1002; bad UTF-8: 1007; too long: 1009,
 * told from the header, before the payload comes.
 */
kmq_ws_event_t kmq_ws_parse(kmq_ws_parser_t *parser, unsigned char *input,
    size_t size, size_t *used);

/*
 * Writes the header of an unmasked, final frame of size payload bytes; to
 * must have KMQ_WS_HEADER_MAX bytes of room.  Returns the header's length.
 */
size_t kmq_ws_header(unsigned char *to, unsigned opcode, uint64_t size);

/* That length alone (RFC 6455, section 5.2). */
size_t kmq_ws_header_len(uint64_t size);

/*
 * Writes a whole close frame; reason is cut to what fits (123 bytes) at a
 * character's border.  to: KMQ_WS_CONTROL_MAX + 2 bytes of room.  Returns its
 * length.  code 0 or 1005: without a payload.
 */
size_t kmq_ws_close(unsigned char *to, unsigned code, const char *reason);

/* XORs size bytes with the 4 bytes of mask, starting with mask[phase % 4];
 * the fast one, and the plain one that the tests hold against it. */
void kmq_ws_unmask(unsigned char *data, size_t size,
    const unsigned char mask[4], size_t phase);
void kmq_ws_unmask_plain(unsigned char *data, size_t size,
    const unsigned char mask[4], size_t phase);

#endif /* KMQ_WEBSOCKET_H */
