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


static unsigned char *
kmq_push_number(unsigned char *to, uint32_t n)
{
    unsigned char  digits[10], *p;

    p = digits + sizeof(digits);

    do {
        *--p = (unsigned char) ('0' + n % 10);
        n /= 10;
    } while (n);

    return kmq_push_add(to, (char *) p, (size_t) (digits + 10 - p));
}


void
kmq_push_topic(kmq_push_tail_t *tail, const unsigned char *topic, size_t len)
{
    unsigned char  *p;
    size_t          used;

    used = 0;

    p = kmq_push_add(tail->text, kmq_push_text("\",\"Topic\":\""));
    p += kmq_json_escape(p, 6 * 255, topic, len, &used);
    p = kmq_push_add(p, kmq_push_text("\",\"CreateTime\":"));

    tail->topic_len = (size_t) (p - tail->text);

    kmq_push_times(tail, 0, 0);
}


void
kmq_push_times(kmq_push_tail_t *tail, uint32_t create_time, uint32_t delay)
{
    unsigned char  *p;

    p = kmq_push_number(tail->text + tail->topic_len, create_time);
    p = kmq_push_add(p, kmq_push_text(",\"ConsumedTime\":0,\"DelayTime\":"));
    p = kmq_push_number(p, delay);
    p = kmq_push_add(p, kmq_push_text(",\"Status\":-1}"));

    tail->len = (size_t) (p - tail->text);
    tail->create_time = create_time;
    tail->delay = delay;
}


unsigned char *
kmq_push_attempts(unsigned char *end, uint32_t attempts)
{
    end = kmq_push_add(end - 1, kmq_push_text(",\"Attempts\":"));
    end = kmq_push_number(end, attempts);
    *end++ = '}';

    return end;
}


size_t
kmq_push_attempts_len(uint32_t attempts)
{
    size_t  len;

    len = sizeof(",\"Attempts\":") - 1;

    do {
        len++;
        attempts /= 10;
    } while (attempts);

    return len;
}


unsigned char *
kmq_push_head(unsigned char *to, const char code[KMQ_PUSH_CODE_LEN])
{
    to = kmq_push_add(to, kmq_push_text("{\"MessageCode\":\""));
    to = kmq_push_add(to, code, KMQ_PUSH_CODE_LEN);

    return kmq_push_add(to, kmq_push_text("\",\"MessageData\":\""));
}
