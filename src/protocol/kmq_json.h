/*
 * The JSON that crosses the wire with each message: producer frames in,
 * pushed messages out.  (Everything that is not per message uses jansson.)
 */

#ifndef KMQ_JSON_H
#define KMQ_JSON_H

#include <stddef.h>
#include <stdint.h>


/* ---------------------------------------------------------- message data */

/*
 * Message data on its way into the engine, where it is kept as the inside of
 * a JSON string.  bytes points into the caller's input.
 */
typedef struct {
    const unsigned char  *bytes;
    size_t                size;
    size_t                escaped;    /* bytes once escaped; equal to size when
                                         nothing has to be */
    uint64_t              delay;      /* milliseconds, rounded up */
    unsigned              json:1;     /* bytes are the inside of a JSON string
                                         already: escaped as they are */
} kmq_data_t;

#define KMQ_DELAY_MAX  (UINT64_C(3660) * 86400 * 1000)   /* ms: 10 years */

/*
 * Reads a producer's frame (specification, "Producer frames"): a JSON object
 * with a MessageData member in any letter case, or anything else as it is.
 * binary: the frame was binary, so its UTF-8 is not checked yet (a text frame's
 * is).  The last of several members of one name counts.
 *
 * NULL and data filled in, or what the answer says behind "error: " (a static
 * string): MessageData is neither a string nor null, DelayTime is neither a
 * number nor null or is above ten years, the data is not valid UTF-8.  An
 * object without MessageData, or whose JSON is broken, is plain data.  An
 * escape that names half of a surrogate pair is changed, in place, into U+FFFD.
 */
const char *kmq_data_frame(kmq_data_t *data, unsigned char *frame,
    size_t size, int binary);

/* The bytes of the data alone, without escapes; at most data->size. */
size_t kmq_data_size(const kmq_data_t *data);

/*
 * Takes plain text, as it comes from a form.  NULL, or the error: not valid
 * UTF-8.
 */
const char *kmq_data_text(kmq_data_t *data, const unsigned char *text,
    size_t size);

/*
 * Reads a DelayTime written as decimal text: "1.5", "0", "-3" (0), "" (0).
 * 0 and *delay in ms, or -1.
 */
int kmq_data_delay(const char *text, size_t size, uint64_t *delay);


/* -------------------------------------------------------------- escaping */

/* Bytes that the size bytes of valid UTF-8 take inside a JSON string: ", \
 * and control characters are escaped (short forms where JSON has them). */
size_t kmq_json_escaped(const unsigned char *text, size_t size);

/*
 * Escapes text[*used ..) into to[0 .. room) as far as whole characters fit,
 * moves *used, returns the bytes written.  room is at least 6.
 */
size_t kmq_json_escape(unsigned char *to, size_t room,
    const unsigned char *text, size_t size, size_t *used);


/* The other way, for the inside of a valid JSON string: reads the escapes in
 * it, in place, and returns how long it is then (half of a surrogate pair is
 * U+FFFD). */
size_t kmq_json_unescape(unsigned char *text, size_t size);

/* That length alone. */
size_t kmq_json_unescaped(const unsigned char *text, size_t size);

/*
 * The same of a string that comes part by part, whose pairs are whole: size,
 * with what is at the end of the parts until now.  It begins zeroed.
 */
typedef struct {
    uint64_t    size;
    unsigned    left;              /* of an escape */
    unsigned    unit;              /* its digits until now */
} kmq_json_length_t;

void kmq_json_length(kmq_json_length_t *length, const unsigned char *text,
    size_t size);

/* Changes each escape of half a surrogate pair into one of U+FFFD. */
void kmq_json_mend(unsigned char *text, size_t size);

/* How many of the first size bytes of such a string are whole characters and
 * whole escapes; the rest, up to 11 bytes, is half of one. */
size_t kmq_json_cut(const unsigned char *text, size_t size);


/* --------------------------------------------------------- pushed message */

/*
 * A pushed message around its data:
 *
 *   {"MessageCode":"<40>","MessageData":"  DATA  ","Topic":"<topic>",
 *   "CreateTime":N,"ConsumedTime":0,"DelayTime":N,"Status":-1}
 *   \___________ head ___________________/  \______________ tail ______/
 *
 * (one line).  The tail is the same for all messages of a topic that came in
 * the same second, so it is kept as text.  A push that is not the first has
 * ,"Attempts":N before the last brace.
 */
#define KMQ_PUSH_CODE_LEN  40
#define KMQ_PUSH_CODE_AT   16                 /* of the head */
#define KMQ_PUSH_HEAD_LEN  73                 /* with the quote before DATA */
#define KMQ_PUSH_TOPIC_MAX (6 * 255 + 26)     /* up to "CreateTime": */
#define KMQ_PUSH_TIMES_MAX (10 + 30 + 10 + 13)    /* the rest of the tail */
#define KMQ_PUSH_ATTEMPTS_MAX  (12 + 10)

/* A topic's tail, as a message had it last; the caller's, zeroed at first. */
typedef struct {
    size_t         len;
    size_t         topic_len;      /* of it, up to "CreateTime": */
    uint32_t       create_time;
    uint32_t       delay;
    unsigned char  text[KMQ_PUSH_TOPIC_MAX + KMQ_PUSH_TIMES_MAX];
} kmq_push_tail_t;

/* Begins a topic's tail; topic: valid UTF-8, 1 to 255 bytes. */
void kmq_push_topic(kmq_push_tail_t *tail, const unsigned char *topic,
    size_t len);

/* Makes it a message's: times in seconds. */
void kmq_push_times(kmq_push_tail_t *tail, uint32_t create_time,
    uint32_t delay);

/* The same, for nothing where the message before had the same times. */
static inline void
kmq_push_tail(kmq_push_tail_t *tail, uint32_t create_time, uint32_t delay)
{
    if (tail->create_time != create_time || tail->delay != delay) {
        kmq_push_times(tail, create_time, delay);
    }
}

/* Puts attempts, which is not 0, in at the end of a tail that was written: end
 * is the byte behind it, where there are KMQ_PUSH_ATTEMPTS_MAX bytes more.
 * Returns the new end. */
unsigned char *kmq_push_attempts(unsigned char *end, uint32_t attempts);

/* How many bytes that adds. */
size_t kmq_push_attempts_len(uint32_t attempts);

/* Writes the head; to: KMQ_PUSH_HEAD_LEN bytes.  Returns the byte behind. */
unsigned char *kmq_push_head(unsigned char *to,
    const char code[KMQ_PUSH_CODE_LEN]);

#endif /* KMQ_JSON_H */
