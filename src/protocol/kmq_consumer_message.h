/* What a consumer says of a message that it was pushed. */

#ifndef KMQ_CONSUMER_MESSAGE_H
#define KMQ_CONSUMER_MESSAGE_H

#include <stddef.h>
#include <stdint.h>


#define KMQ_SAID_CODE_LEN   40
#define KMQ_SAID_DELAY_MAX  (UINT64_C(30) * 86400 * 1000)      /* ms */

typedef enum {
    KMQ_SAID_CONFIRM = 0,          /* CODE: it has consumed it */
    KMQ_SAID_EXTEND,               /* +CODE: it needs more time */
    KMQ_SAID_RETURN                /* -CODE, -CODE SECONDS: it gives it back */
} kmq_said_verb_t;

typedef struct {
    kmq_said_verb_t       verb;
    const unsigned char  *code;    /* KMQ_SAID_CODE_LEN bytes of the text; they
                                      may be no MessageCode at all */
    int64_t               delay;   /* ms, rounded up; -1: not given */
} kmq_said_t;

/*
 * Reads a text: one of the above, bare or in the quotes of a JSON string.
 * SECONDS are digits, with decimals or without, up to 30 days.  NULL, or a
 * static string that says what is wrong; the verb is set then, too.
 */
const char *kmq_said_read(kmq_said_t *said, const unsigned char *text,
    size_t size);

#endif /* KMQ_CONSUMER_MESSAGE_H */
