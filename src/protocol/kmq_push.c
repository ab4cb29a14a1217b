/* The JSON around a pushed message's data. */

#include <string.h>

#include "kmq_json.h"


/* A string constant and its length, for kmq_push_add(). */
#define kmq_push_text(text)  (text), sizeof(text) - 1


static unsigned char *
kmq_push_add(unsigned char *to, const char *text, size_t len)
{
    memcpy(to, text, len);

    return to + len;
}


static unsigned
kmq_push_digits(uint32_t n)
{
    unsigned  digits;

    for (digits = 1; n >= 10; digits++) {
        n /= 10;
    }

    return digits;
}


static unsigned char *
kmq_push_number(unsigned char *to, uint32_t n)
{
    unsigned char  *p, *end;

    end = to + kmq_push_digits(n);
    p = end;

    do {
        *--p = (unsigned char) ('0' + n % 10);
        n /= 10;
    } while (n);

    return end;
}


size_t
kmq_push_topic(unsigned char *to, const unsigned char *topic, size_t len)
{
    unsigned char  *p;
    size_t          used;

    used = 0;

    p = kmq_push_add(to, kmq_push_text("\",\"Topic\":\""));
    p += kmq_json_escape(p, 6 * 255, topic, len, &used);
    p = kmq_push_add(p, kmq_push_text("\",\"CreateTime\":"));

    return (size_t) (p - to);
}


unsigned char *
kmq_push_head(unsigned char *to, const char code[KMQ_PUSH_CODE_LEN])
{
    to = kmq_push_add(to, kmq_push_text("{\"MessageCode\":\""));
    to = kmq_push_add(to, code, KMQ_PUSH_CODE_LEN);

    return kmq_push_add(to, kmq_push_text("\",\"MessageData\":\""));
}


unsigned char *
kmq_push_end(unsigned char *to, uint32_t create_time, uint32_t delay)
{
    to = kmq_push_number(to, create_time);
    to = kmq_push_add(to, kmq_push_text(",\"ConsumedTime\":0,\"DelayTime\":"));
    to = kmq_push_number(to, delay);

    return kmq_push_add(to, kmq_push_text(",\"Status\":-1}"));
}


size_t
kmq_push_end_len(uint32_t create_time, uint32_t delay)
{
    return kmq_push_digits(create_time) + kmq_push_digits(delay)
           + sizeof(",\"ConsumedTime\":0,\"DelayTime\":") - 1
           + sizeof(",\"Status\":-1}") - 1;
}
